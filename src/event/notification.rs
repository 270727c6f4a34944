//! S3's own notifications, and those of its look-alikes.

use serde::Deserialize;
use serde_json::value::RawValue;

use super::error::{EventError, Speaker};
use super::lenient::{Text, describe, object};
use super::{IgnoredEvent, Notice, bounds, version};
use crate::object::{ETag, ObjectRef, VersionId, name};

/// The major version of the notification format that this module reads.
const MAJOR: u32 = 2;

/// A record, as far as it is used. Whoever speaks S3 adds fields and leaves others out: moto sends no
/// `userIdentity`, MinIO puts `EventName` beside the records, CloudFormation's buckets carry tags.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Record<'a> {
    #[serde(default)]
    event_version: Text,
    #[serde(default)]
    event_source: Text,
    #[serde(default)]
    event_name: Text,
    #[serde(default)]
    event_time: Text,
    #[serde(borrow, default)]
    s3: Option<&'a RawValue>,
}

#[derive(Deserialize, Default)]
struct Entity<'a> {
    #[serde(borrow, default)]
    bucket: Option<&'a RawValue>,
    #[serde(borrow, default)]
    object: Option<&'a RawValue>,
}

#[derive(Deserialize, Default)]
struct Bucket {
    #[serde(default)]
    name: Text,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase")]
struct Object {
    #[serde(default)]
    key: Text,
    #[serde(default)]
    size: Text,
    #[serde(default)]
    e_tag: Text,
    #[serde(default)]
    version_id: Text,
}

/// Reads one element of `Records`.
pub(super) fn read(json: &RawValue) -> Result<Notice, EventError> {
    let unknown = || EventError::UnknownShape { found: format!("a record that is {}", describe(json.get())) };
    let record: Record = object(json.get()).ok_or_else(unknown)?;
    if record.s3.is_none() && !record.source_is_s3() {
        return Err(unknown());
    }
    version::admit(Speaker::S3, MAJOR, record.event_version.as_deref())?;
    let name = record.name().ok_or(EventError::NoName)?;
    match creation(name) {
        Some(way) => {
            let copied = way.eq_ignore_ascii_case("Copy");
            Ok(Notice::of_created(record.object()?, copied, record.event_time.as_unix_ms()))
        }
        None => {
            let (name, object) = (name.to_owned(), record.object().ok());
            Ok(Notice::Ignored(IgnoredEvent::NotCreated { name, object }))
        }
    }
}

/// The way an object was created (`Put`, `CompleteMultipartUpload`, `Copy`), if the event says that one was.
fn creation(name: &str) -> Option<&str> {
    let (family, way) = name.split_once(':').unwrap_or((name, ""));
    family.eq_ignore_ascii_case("ObjectCreated").then_some(way)
}

impl Record<'_> {
    /// `aws:s3`, `minio:s3`, `ceph:s3`.
    fn source_is_s3(&self) -> bool {
        self.event_source.as_deref().is_some_and(|source| source.ends_with(":s3"))
    }

    /// The event's name. S3 leaves out the `s3:` that its documentation and MinIO put before it.
    fn name(&self) -> Option<&str> {
        let name = self.event_name.as_deref()?;
        Some(name.strip_prefix("s3:").unwrap_or(name)).filter(|name| !name.is_empty())
    }

    fn object(&self) -> Result<ObjectRef, EventError> {
        let speaker = Speaker::S3;
        let entity: Entity = self.s3.and_then(|s3| object(s3.get())).unwrap_or_default();
        let bucket: Bucket = entity.bucket.and_then(|json| object(json.get())).unwrap_or_default();
        let named: Object = entity.object.and_then(|json| object(json.get())).unwrap_or_default();

        let Some(bucket) = bucket.name.into_inner() else { return Err(EventError::NoBucket { speaker }) };
        let Some(spelling) = named.key.into_inner() else {
            return Err(EventError::NoKey { speaker, bucket });
        };
        bounds::check_spelling(&spelling)?;
        let key = match name::decode(&spelling) {
            Ok(key) => key,
            Err(source) => return Err(EventError::BadKey { bucket, spelling, source }),
        };
        bounds::check(ObjectRef {
            bucket,
            key,
            version_id: self.version_id(&named.version_id),
            etag: named.e_tag.as_deref().and_then(ETag::parse),
            size_bytes: named.size.as_count(),
        })
    }

    /// MinIO used to say version `1` of every object in a bucket without versions
    /// (<https://github.com/minio/minio/issues/7665>), and knows no such version when asked for it.
    fn version_id(&self, text: &Text) -> Option<VersionId> {
        let placeholder = self.event_source.as_deref() == Some("minio:s3") && text.as_deref() == Some("1");
        text.as_deref().filter(|_| !placeholder).and_then(VersionId::parse)
    }
}
