//! Mappings as `dms2bq publish` writes them to S3 and workers read them: over moto, LocalStack or S3 itself, which
//! `objects.rs` finds.

use aws_sdk_s3::Client;
use aws_sdk_s3::primitives::ByteStream;
use dms2bq::cloud::aws::S3;
use dms2bq::cloud::aws::mappings::{
    Current, Found, InForce, MappingsError, PublishError, S3Folder, VersionId, in_force, look,
    mark_published, put_in_force, read_folder, read_mappings, read_version, upload, version_before,
};
use dms2bq::cloud::clock::SystemClock;
use dms2bq::cloud::{Clock, Deadline};
use dms2bq::entry::assemble::S3Files;
use dms2bq::entry::mapping_store::MappingStore;
use dms2bq::route::MappingFile;
use serde_json::json;

/// A prefix of a bucket.
pub(crate) struct Prefix<'a> {
    pub(crate) s3: &'a S3,
    pub(crate) client: &'a Client,
    pub(crate) bucket: &'a str,
    pub(crate) below: &'a str,
}

pub(crate) async fn examine(prefix: &Prefix<'_>) {
    prefix.a_version_comes_into_force_as_a_whole().await;
    prefix.of_two_that_publish_at_once_one_is_told().await;
    prefix.a_lost_answer_is_not_a_conflict().await;
    prefix.what_is_not_as_it_was_published_is_not_read().await;
    prefix.a_first_publication_is_whole_or_the_plain_folder_stays_in_force().await;
    prefix.what_was_taken_back_is_not_gone_by_again().await;
    prefix.a_process_that_starts_on_damaged_mappings_goes_by_those_before().await;
    prefix.a_plain_folder_is_read_as_it_was_listed().await;
}

/// Mappings that send every table to this dataset.
fn files(dataset: &str) -> Vec<MappingFile> {
    let file = |name: &str| MappingFile {
        name: format!("mappings/{name}.json"),
        text: json!({
            "source": { "bucket": "acme-landing", "bucket_folder": name },
            "destination": { "project": "acme-dw", "location": "US", "dataset": dataset },
            "tables": [{ "schema": "%", "table": "%" }],
        })
        .to_string(),
    };
    ["a", "b"].map(file).to_vec()
}

fn next(id: VersionId, before: &InForce) -> Current {
    let previous = before.current.as_ref().map(|current| current.version.clone());
    Current::new(id, previous, "2026-11-21T15:00:00Z".to_owned(), None)
}

impl Prefix<'_> {
    fn folder(&self, name: &str) -> S3Folder {
        S3Folder::parse(&format!("s3://{}/{}published/{name}", self.bucket, self.below)).expect("an address")
    }

    fn key(&self, name: &str, file: &str) -> String {
        format!("{}published/{name}/{file}", self.below)
    }

    async fn put(&self, name: &str, file: &str, text: &str) {
        let body = ByteStream::from(text.as_bytes().to_vec());
        let request = self.client.put_object().bucket(self.bucket).key(self.key(name, file)).body(body);
        request.send().await.expect("put");
    }

    async fn delete(&self, name: &str, file: &str) {
        let request = self.client.delete_object().bucket(self.bucket).key(self.key(name, file));
        request.send().await.expect("gone");
    }

    async fn publish(&self, folder: &S3Folder, dataset: &str) -> VersionId {
        let before = in_force(self.s3, folder).await.expect("what is in force");
        let id = upload(self.s3, folder, &files(dataset)).await.expect("written");
        put_in_force(self.s3, folder, &before, &next(id.clone(), &before)).await.expect("in force");
        id
    }

    async fn in_force(&self, folder: &S3Folder) -> Option<Current> {
        in_force(self.s3, folder).await.expect("what is in force").current
    }

    async fn a_version_comes_into_force_as_a_whole(&self) {
        let folder = self.folder("whole");
        assert_eq!(self.in_force(&folder).await, None);
        let first = self.publish(&folder, "one").await;
        let id = upload(self.s3, &folder, &files("two")).await.expect("written");
        assert_eq!(id, upload(self.s3, &folder, &files("two")).await.expect("there already"));
        assert_eq!(read_mappings(self.s3, &folder).await.expect("read")[0].text, files("one")[0].text);
        assert_eq!(self.publish(&folder, "two").await, id);
        let read = read_mappings(self.s3, &folder).await.expect("read");
        assert_eq!(VersionId::of(&read), id);
        assert!(read[1].name.ends_with(&format!("/versions/{id}/b.json")), "{}", read[1].name);
        let now = in_force(self.s3, &folder).await.expect("what is in force");
        assert_eq!(version_before(&folder, &now).expect("there is one"), first);
        // Files of a plain folder are of no meaning beside CURRENT.
        self.put("whole", "c.json", "{}").await;
        assert_eq!(read_mappings(self.s3, &folder).await.expect("read"), read);
    }

    async fn of_two_that_publish_at_once_one_is_told(&self) {
        let folder = self.folder("two");
        // Neither finds anything there.
        let (ours, theirs) = (in_force(self.s3, &folder).await, in_force(self.s3, &folder).await);
        let (ours, theirs) = (ours.expect("nothing"), theirs.expect("nothing"));
        self.conflict(&folder, &ours, &theirs, "one", "two").await;
        // And then both find the same.
        let (ours, theirs) = (in_force(self.s3, &folder).await, in_force(self.s3, &folder).await);
        let (ours, theirs) = (ours.expect("a version"), theirs.expect("a version"));
        self.conflict(&folder, &ours, &theirs, "three", "four").await;
        // And then somebody takes it away.
        let ours = in_force(self.s3, &folder).await.expect("a version");
        self.delete("two", "CURRENT").await;
        let id = upload(self.s3, &folder, &files("five")).await.expect("written");
        let error = put_in_force(self.s3, &folder, &ours, &next(id, &ours)).await.expect_err("a conflict");
        assert!(error.to_string().ends_with("/CURRENT is gone"), "{error}");
    }

    async fn conflict(&self, folder: &S3Folder, ours: &InForce, theirs: &InForce, our: &str, their: &str) {
        let our = upload(self.s3, folder, &files(our)).await.expect("written");
        let their = upload(self.s3, folder, &files(their)).await.expect("written");
        put_in_force(self.s3, folder, theirs, &next(their.clone(), theirs)).await.expect("in force");
        let error = put_in_force(self.s3, folder, ours, &next(our, ours)).await.expect_err("a conflict");
        assert!(matches!(error, PublishError::Conflict { .. }), "{error}");
        assert!(error.to_string().contains(&format!("says {their} since 2026")), "{error}");
        assert_eq!(self.in_force(folder).await.expect("a version").version, their);
    }

    async fn a_lost_answer_is_not_a_conflict(&self) {
        let folder = self.folder("lost-answer");
        let before = in_force(self.s3, &folder).await.expect("nothing");
        let id = upload(self.s3, &folder, &files("one")).await.expect("written");
        let next = next(id, &before);
        for _try in 0..2 {
            put_in_force(self.s3, &folder, &before, &next).await.expect("ours is in force");
        }
    }

    async fn what_is_not_as_it_was_published_is_not_read(&self) {
        let folder = self.folder("damaged");
        let id = self.publish(&folder, "one").await;
        let a = format!("versions/{id}/a.json");
        let text = files("one")[0].text.clone();
        for damage in ["changed", "added", "deleted"] {
            match damage {
                "changed" => self.put("damaged", &a, "{}").await,
                "added" => self.put("damaged", &format!("versions/{id}/c.json"), "{}").await,
                _ => self.delete("damaged", &a).await,
            }
            let error = read_version(self.s3, &folder, &id).await.expect_err(damage);
            assert!(matches!(error, MappingsError::Damaged { .. }), "{damage}: {error}");
            self.put("damaged", &a, &text).await;
            self.delete("damaged", &format!("versions/{id}/c.json")).await;
        }
        assert_eq!(read_version(self.s3, &folder, &id).await.expect("whole again").len(), 2);
        self.put("damaged", "CURRENT", "6f77c38b8f5fbb88").await;
        let error = look(self.s3, &folder).await.expect_err("no pointer");
        assert_eq!(error.code(), "mapping.bad_current");
    }

    async fn a_first_publication_is_whole_or_the_plain_folder_stays_in_force(&self) {
        let folder = self.folder("first");
        self.put("first", "a.json", &files("plain")[0].text).await;
        let before = in_force(self.s3, &folder).await.expect("a plain folder");
        // Somebody is killed here, the first time.
        let id = upload(self.s3, &folder, &files("one")).await.expect("written");
        assert_eq!(self.dataset(&folder).await, "plain");
        put_in_force(self.s3, &folder, &before, &next(id, &before)).await.expect("in force");
        for _again in 0..2 {
            mark_published(self.s3, &folder).await.expect("marked");
        }
        assert_eq!(self.dataset(&folder).await, "one");
        self.delete("first", "CURRENT").await;
        let error = look(self.s3, &folder).await.expect_err("it is gone");
        assert_eq!(error.code(), "mapping.current_gone");
        assert_eq!(in_force(self.s3, &folder).await.expect("to publish again").current, None);
        self.publish(&folder, "two").await;
        assert_eq!(self.dataset(&folder).await, "two");
    }

    async fn what_was_taken_back_is_not_gone_by_again(&self) {
        let folder = self.folder("back");
        let good = self.publish(&folder, "good").await;
        let regretted = self.publish(&folder, "regretted").await;
        let before = in_force(self.s3, &folder).await.expect("what is in force");
        let back = next(version_before(&folder, &before).expect("there is one"), &before).taking_back();
        put_in_force(self.s3, &folder, &before, &back).await.expect("in force");
        let now = in_force(self.s3, &folder).await.expect("what is in force");
        assert_eq!(version_before(&folder, &now).expect("a second rollback undoes it"), regretted);
        self.delete("back", &format!("versions/{good}/a.json")).await;
        let store =
            MappingStore::from_source(std::sync::Arc::new(S3Files::new(self.s3.clone(), folder.clone())));
        let error = store.snapshot(&SystemClock, soon()).await.expect_err("nothing to go by");
        assert!(error.contains(good.as_str()) && !error.contains(regretted.as_str()), "{error}");
    }

    async fn a_process_that_starts_on_damaged_mappings_goes_by_those_before(&self) {
        let folder = self.folder("cold");
        let first = self.publish(&folder, "one").await;
        let second = self.publish(&folder, "two").await;
        self.delete("cold", &format!("versions/{second}/a.json")).await;
        assert_eq!(self.dataset(&folder).await, "one");
        self.delete("cold", &format!("versions/{first}/a.json")).await;
        let store =
            MappingStore::from_source(std::sync::Arc::new(S3Files::new(self.s3.clone(), folder.clone())));
        let error = store.snapshot(&SystemClock, soon()).await.expect_err("both are damaged");
        assert!(error.contains(second.as_str()) && error.contains(first.as_str()), "{error}");
        self.publish(&folder, "three").await;
        assert_eq!(self.dataset(&folder).await, "three");
    }

    /// The dataset that a new process loads into.
    async fn dataset(&self, folder: &S3Folder) -> String {
        let store =
            MappingStore::from_source(std::sync::Arc::new(S3Files::new(self.s3.clone(), folder.clone())));
        let mappings = store.snapshot(&SystemClock, soon()).await.expect("mappings");
        let (dataset, _location) = mappings.landings()[0].datasets().into_iter().next().expect("a dataset");
        dataset.trim_start_matches("acme-dw.").to_owned()
    }

    async fn a_plain_folder_is_read_as_it_was_listed(&self) {
        let folder = self.folder("plain");
        self.put("plain", "a.json", "{}").await;
        let fingerprint = async || match look(self.s3, &folder).await.expect("a folder") {
            Found::Folder(fingerprint) => fingerprint.to_string(),
            Found::Published(current, _) => panic!("{current:?}"),
        };
        let one = fingerprint().await;
        assert_eq!(read_folder(self.s3, &folder, &one).await.expect("read").len(), 1);
        self.put("plain", "b.json", "{}").await;
        let two = fingerprint().await;
        assert_ne!(one, two);
        let error = read_folder(self.s3, &folder, &one).await.expect_err("another state");
        assert_eq!(error.code(), "mapping.changing");
        for meaningless in ["schema.json", "._a.json", "old/c.json", "README.md"] {
            self.put("plain", meaningless, "{}").await;
        }
        assert_eq!(fingerprint().await, two);
        self.put("plain", "b.json", "{ }").await;
        assert_ne!(fingerprint().await, two, "the same name with other content is another state");
        let now = in_force(self.s3, &folder).await.expect("a folder");
        assert_eq!((now.plain_files, now.current.is_none()), (2, true));
        assert_eq!(version_before(&folder, &now).expect_err("none").code(), "mapping.nothing_before");
    }
}

fn soon() -> Deadline {
    Deadline::at(SystemClock.now() + std::time::Duration::from_secs(30))
}
