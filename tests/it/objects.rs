//! Who keeps the contract of `Objects`: memory, a local folder, and S3 as moto, LocalStack and AWS see it.
//!
//! The last three are examined where the environment names them; without, the tests say loudly that they were skipped.
//! `./test` starts moto and LocalStack.

#[path = "../contract/objects.rs"]
mod contract;

use std::ops::Range;

use async_trait::async_trait;
use aws_sdk_s3::Client;
use aws_sdk_s3::config::{Credentials, Region, SharedCredentialsProvider};
use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_s3::types::{
    BucketVersioningStatus, CompletedMultipartUpload, CompletedPart, VersioningConfiguration,
};
use bytes::Bytes;
use contract::{Party, examine};
use dms2bq::cloud::aws::mappings::{MappingsError, S3Folder, read_mappings};
use dms2bq::cloud::aws::{self, S3};
use dms2bq::cloud::clock::SystemClock;
use dms2bq::cloud::folder::Folder;
use dms2bq::cloud::memory::objects::MemoryObjects;
use dms2bq::cloud::{self, Clock, ObjectHead, Objects, ObjectsError, Tail};
use dms2bq::object::{ETag, Object, ObjectRef, VersionId};
use dms2bq::route::MappingFile;
use tempfile::TempDir;

use crate::clouds::named_by;
use crate::published_mappings::{Prefix, examine as examine_mappings};

#[tokio::test]
async fn memory_keeps_the_contract_of_objects() {
    let memory = MemoryObjects::new();
    memory.create_versioned_bucket("versioned");
    examine(&memory).await;
}

#[async_trait]
impl Party for MemoryObjects {
    fn objects(&self) -> &dyn Objects {
        self
    }

    fn bucket(&self) -> &str {
        "landing"
    }

    fn versioned_bucket(&self) -> Option<&str> {
        Some("versioned")
    }

    fn can_hold(&self, _: &str) -> bool {
        true
    }

    async fn put(&self, bucket: &str, key: &str, bytes: Bytes) -> Object {
        MemoryObjects::put(self, bucket, key, bytes)
    }

    async fn put_in_parts(&self, bucket: &str, key: &str, parts: Vec<Bytes>) -> Option<Object> {
        let etag = format!("0123456789abcdef0123456789abcdef-{}", parts.len());
        Some(self.put_as(bucket, key, ETag::parse(&etag)?, parts.concat()))
    }

    async fn delete(&self, bucket: &str, key: &str) {
        MemoryObjects::delete(self, bucket, key);
    }
}

#[tokio::test]
async fn a_local_folder_keeps_the_contract_of_objects() {
    let root = TempDir::new().expect("a temporary folder");
    let folder = Folder::new(root.path());
    examine(&FolderParty { root, folder }).await;
}

#[tokio::test]
async fn a_local_folder_lists_its_objects_with_the_etags_of_s3() {
    let root = TempDir::new().expect("a temporary folder");
    for path in ["landing/game/player/b", "landing/game/a b+ü", "landing/.DS_Store", "other/c"] {
        let path = root.path().join(path);
        std::fs::create_dir_all(path.parent().expect("a parent")).expect("a folder");
        std::fs::write(path, "hello\n").expect("a file");
    }
    let listed = Folder::new(root.path()).list("landing").expect("a readable folder");
    let keys: Vec<&str> = listed.iter().map(|object| object.key.as_str()).collect();
    assert_eq!(keys, ["game/a b+ü", "game/player/b"]);
    // What `md5sum` says of "hello\n".
    let etag = ETag::parse("b1946ac92492d2347c6235b4d2611184");
    assert!(listed.iter().all(|object| object.etag == etag && object.size_bytes == Some(6)));
    let absent = Folder::new(root.path()).list("absent").expect_err("no such bucket");
    assert_eq!(absent.code(), "folder.unreadable");
}

struct FolderParty {
    root: TempDir,
    folder: Folder,
}

#[async_trait]
impl Party for FolderParty {
    fn objects(&self) -> &dyn Objects {
        &self.folder
    }

    fn bucket(&self) -> &str {
        "landing"
    }

    fn versioned_bucket(&self) -> Option<&str> {
        None
    }

    fn can_hold(&self, key: &str) -> bool {
        key.split('/').all(|name| !["", ".", ".."].contains(&name) && name.len() < 256)
    }

    async fn put(&self, bucket: &str, key: &str, bytes: Bytes) -> Object {
        let path = self.root.path().join(bucket).join(key);
        std::fs::create_dir_all(path.parent().expect("a parent")).expect("a folder");
        std::fs::write(path, bytes).expect("a file");
        identify(self.objects(), bucket, key).await
    }

    async fn put_in_parts(&self, _: &str, _: &str, _: Vec<Bytes>) -> Option<Object> {
        None
    }

    async fn delete(&self, bucket: &str, key: &str) {
        std::fs::remove_file(self.root.path().join(bucket).join(key)).expect("a file");
    }
}

/// Names an object by what a HEAD says of it.
async fn identify(objects: &dyn Objects, bucket: &str, key: &str) -> Object {
    let reference =
        ObjectRef { bucket: bucket.into(), key: key.into(), version_id: None, etag: None, size_bytes: None };
    let head = objects.head(&reference).await.expect("the object was just put");
    Object::new(bucket, key, head.etag, None)
}

#[tokio::test]
async fn s3_as_moto_sees_it_keeps_the_contract_of_objects() {
    examine_s3_at("DMS2BQ_TEST_MOTO").await;
}

#[tokio::test]
async fn s3_as_localstack_sees_it_keeps_the_contract_of_objects() {
    examine_s3_at("DMS2BQ_TEST_LOCALSTACK").await;
}

async fn examine_s3_at(variable: &str) {
    let Some(endpoint) = named_by(variable, "the contract of Objects") else { return };
    examine_s3(&S3Party::at(&endpoint).await).await;
}

#[tokio::test]
async fn s3_itself_keeps_the_contract_of_objects() {
    let variable = "DMS2BQ_TEST_S3_BUCKET";
    let Some(address) = named_by(variable, "the contract of Objects over S3 itself") else { return };
    let versioned = named_by("DMS2BQ_TEST_S3_VERSIONED_BUCKET", "what it says of versions, over S3 itself");
    examine_s3(&S3Party::below(&address, versioned).await).await;
}

async fn examine_s3(party: &S3Party) {
    examine(party).await;
    mappings_are_read_from_their_folder_alone(party).await;
    what_is_no_folder_of_mappings_is_an_error(party).await;
    let Below { s3, prefix } = &party.real;
    examine_mappings(&Prefix { s3, client: &party.client, bucket: &party.bucket, below: prefix }).await;
}

async fn mappings_are_read_from_their_folder_alone(party: &S3Party) {
    for name in ["b.json", "a.json", "schema.json", "README.md", "old/c.json", "d.json.bak"] {
        let text = format!("{{ \"name\": {name:?} }}");
        party.put(&party.bucket, &format!("config/mappings/{name}"), text.into()).await;
    }
    party.put(&party.bucket, "config/mappings-of-others.json", Bytes::from("{}")).await;
    for prefix in ["config/mappings", "config/mappings/"] {
        let files = read_from(party, &party.bucket, prefix).await.expect("mappings");
        let names: Vec<&str> = files.iter().map(|file| file.name.as_str()).collect();
        let address = format!("s3://{}/{}config/mappings", party.bucket, party.real.prefix);
        assert_eq!(names, [format!("{address}/a.json"), format!("{address}/b.json")]);
        assert_eq!(files[0].text, r#"{ "name": "a.json" }"#);
    }
}

async fn read_from(party: &S3Party, bucket: &str, prefix: &str) -> Result<Vec<MappingFile>, MappingsError> {
    let address = format!("s3://{bucket}/{}{prefix}", party.real.prefix);
    let folder = S3Folder::parse(&address).expect("an address");
    read_mappings(&party.real.s3, &folder).await
}

async fn what_is_no_folder_of_mappings_is_an_error(party: &S3Party) {
    party.put(&party.bucket, "not-text/latin.json", Bytes::from_static(b"\xfcber")).await;
    party.put(&party.bucket, "large/large.json", vec![b' '; 1024 * 1024 + 1].into()).await;
    for (bucket, prefix, code) in [
        (party.bucket.as_str(), "not-text", "mapping.not_utf8"),
        (&party.bucket, "large", "mapping.too_large"),
        (&party.bucket, "empty", "mapping.none_found"),
        ("no-such-bucket-anywhere", "mappings", "mapping.unreadable"),
    ] {
        let error = read_from(party, bucket, prefix).await.expect_err(code);
        assert_eq!(error.code(), code, "{error}");
    }
}

/// S3, or a server that stands in for it.
struct S3Party {
    real: Below,
    client: Client,
    bucket: String,
    versioned_bucket: Option<String>,
}

impl S3Party {
    /// A server, and buckets of our own.
    async fn at(endpoint: &str) -> Self {
        let credentials = Credentials::new("test", "test", None, None, "test");
        let config = aws::sdk_config()
            .await
            .into_builder()
            .endpoint_url(endpoint)
            .region(Region::new("us-east-1"))
            .credentials_provider(SharedCredentialsProvider::new(credentials))
            .build();
        let path_style = aws_sdk_s3::config::Builder::from(&config).force_path_style(true).build();
        let client = Client::from_conf(path_style);
        let bucket = format!("contract-{}", std::process::id());
        let versioned_bucket = format!("contract-versioned-{}", std::process::id());
        for bucket in [&bucket, &versioned_bucket] {
            client.create_bucket().bucket(bucket).send().await.expect("a new bucket");
        }
        let enabled = VersioningConfiguration::builder().status(BucketVersioningStatus::Enabled).build();
        let versioning = client.put_bucket_versioning().bucket(&versioned_bucket);
        versioning.versioning_configuration(enabled).send().await.expect("versioning");
        let real = Below { s3: S3::new(&config), prefix: String::new() };
        Self { real, client, bucket, versioned_bucket: Some(versioned_bucket) }
    }

    /// S3 itself: everything goes below the prefix of `s3://bucket/prefix`, in a folder of this run.
    async fn below(address: &str, versioned_bucket: Option<String>) -> Self {
        let config = aws::sdk_config().await;
        let address = address.strip_prefix("s3://").expect("s3://bucket/prefix");
        let (bucket, prefix) = address.trim_end_matches('/').split_once('/').expect("s3://bucket/prefix");
        let prefix = format!("{prefix}/{}/", SystemClock.unix_ms());
        let real = Below { s3: S3::new(&config), prefix };
        // With an endpoint of its own it is a rehearsal, and no server finds buckets in host names.
        let is_rehearsal = config.endpoint_url().is_some();
        let client = aws_sdk_s3::config::Builder::from(&config).force_path_style(is_rehearsal).build();
        let client = Client::from_conf(client);
        Self { real, client, bucket: bucket.to_owned(), versioned_bucket }
    }
}

/// S3's own limit (<https://docs.aws.amazon.com/AmazonS3/latest/userguide/object-keys.html>).
const KEY_BYTES_MAX: usize = 1024;

/// The real client, below a prefix that the suite knows nothing of.
struct Below {
    s3: S3,
    prefix: String,
}

impl Below {
    /// The longest keys stand beside the prefix, since with it they would be too long for S3.
    fn key(&self, key: &str) -> String {
        let below = format!("{}{key}", self.prefix);
        if below.len() > KEY_BYTES_MAX { key.to_owned() } else { below }
    }

    fn object(&self, object: &Object) -> Object {
        let version = object.version_id().cloned();
        Object::new(object.bucket(), self.key(object.key()), object.etag().clone(), version)
    }
}

#[async_trait]
impl Objects for Below {
    async fn head(&self, object: &ObjectRef) -> Result<ObjectHead, ObjectsError> {
        self.s3.head(&ObjectRef { key: self.key(&object.key), ..object.clone() }).await
    }

    async fn read_tail(&self, object: &Object, length_bytes: u64) -> Result<Tail, ObjectsError> {
        self.s3.read_tail(&self.object(object), length_bytes).await
    }

    async fn open(&self, object: &Object, range: Range<u64>) -> Result<cloud::ByteStream, ObjectsError> {
        self.s3.open(&self.object(object), range).await
    }
}

#[async_trait]
impl Party for S3Party {
    fn objects(&self) -> &dyn Objects {
        &self.real
    }

    fn bucket(&self) -> &str {
        &self.bucket
    }

    fn versioned_bucket(&self) -> Option<&str> {
        self.versioned_bucket.as_deref()
    }

    fn can_hold(&self, _: &str) -> bool {
        true
    }

    async fn put(&self, bucket: &str, key: &str, bytes: Bytes) -> Object {
        let below = self.real.key(key);
        let request = self.client.put_object().bucket(bucket).key(below).body(ByteStream::from(bytes));
        let put = request.send().await.unwrap_or_else(|error| panic!("put {key:?}: {error:?}"));
        let etag = put.e_tag().and_then(ETag::parse).expect("an etag");
        Object::new(bucket, key, etag, put.version_id().and_then(VersionId::parse))
    }

    async fn put_in_parts(&self, bucket: &str, key: &str, parts: Vec<Bytes>) -> Option<Object> {
        let below = &self.real.key(key);
        let upload = self.client.create_multipart_upload().bucket(bucket).key(below);
        let upload = upload.send().await.expect("an upload");
        let id = upload.upload_id().expect("an id");
        let mut completed = CompletedMultipartUpload::builder();
        for (number, part) in (1..).zip(parts) {
            let request =
                self.client.upload_part().bucket(bucket).key(below).upload_id(id).part_number(number);
            let sent = request.body(ByteStream::from(part)).send().await.expect("a part");
            let part = CompletedPart::builder().part_number(number).set_e_tag(sent.e_tag).build();
            completed = completed.parts(part);
        }
        let request = self.client.complete_multipart_upload().bucket(bucket).key(below).upload_id(id);
        let done = request.multipart_upload(completed.build()).send().await.expect("an object");
        Some(Object::new(bucket, key, done.e_tag().and_then(ETag::parse)?, None))
    }

    async fn delete(&self, bucket: &str, key: &str) {
        self.client.delete_object().bucket(bucket).key(self.real.key(key)).send().await.expect("gone");
    }
}
