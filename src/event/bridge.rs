//! Amazon EventBridge's events about S3.

use serde::Deserialize;
use serde_json::value::RawValue;

use super::error::{EventError, Speaker};
use super::lenient::{Text, object};
use super::{IgnoredEvent, Notice, bounds, version};
use crate::object::{ETag, ObjectRef, VersionId};

/// The major version of EventBridge's envelope, and of the `detail` that S3 puts into it.
const ENVELOPE_MAJOR: u32 = 0;

/// The major version of the `event-version` that S3 has added to the `detail`.
const EVENT_MAJOR: u32 = 1;

/// What is used of the envelope.
pub(super) struct Envelope<'a> {
    pub(super) version: Option<&'a str>,
    pub(super) detail_type: &'a str,
    pub(super) detail: Option<&'a RawValue>,
    pub(super) time: &'a Text,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "kebab-case")]
struct Detail<'a> {
    #[serde(default)]
    version: Text,
    #[serde(default)]
    event_version: Text,
    #[serde(default)]
    reason: Text,
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
#[serde(rename_all = "kebab-case")]
struct Object {
    #[serde(default)]
    key: Text,
    #[serde(default)]
    size: Text,
    #[serde(default)]
    etag: Text,
    #[serde(default)]
    version_id: Text,
}

/// Reads an event whose source is `aws.s3`. All but "Object Created" is ignored by name: other news of
/// S3, and CloudTrail's, which shares the source.
pub(super) fn read(envelope: &Envelope) -> Result<Notice, EventError> {
    version::admit(Speaker::EventBridge, ENVELOPE_MAJOR, envelope.version)?;
    let detail: Detail = envelope.detail.and_then(|json| object(json.get())).unwrap_or_default();
    if !envelope.detail_type.eq_ignore_ascii_case("Object Created") {
        let (name, object) = (envelope.detail_type.to_owned(), detail.object().ok());
        return Ok(Notice::Ignored(IgnoredEvent::NotCreated { name, object }));
    }
    version::admit(Speaker::EventBridge, ENVELOPE_MAJOR, detail.version.as_deref())?;
    version::admit(Speaker::EventBridge, EVENT_MAJOR, detail.event_version.as_deref())?;
    let copied = detail.reason.as_deref().is_some_and(|reason| reason.eq_ignore_ascii_case("CopyObject"));
    Ok(Notice::of_created(detail.object()?, copied, envelope.time.as_unix_ms()))
}

impl Detail<'_> {
    /// The object. Its key is taken as it stands: EventBridge does not encode keys.
    fn object(&self) -> Result<ObjectRef, EventError> {
        let speaker = Speaker::EventBridge;
        let bucket: Bucket = self.bucket.and_then(|json| object(json.get())).unwrap_or_default();
        let named: Object = self.object.and_then(|json| object(json.get())).unwrap_or_default();

        let Some(bucket) = bucket.name.into_inner() else { return Err(EventError::NoBucket { speaker }) };
        let Some(key) = named.key.into_inner() else { return Err(EventError::NoKey { speaker, bucket }) };
        bounds::check(ObjectRef {
            bucket,
            key,
            version_id: named.version_id.as_deref().and_then(VersionId::parse),
            etag: named.etag.as_deref().and_then(ETag::parse),
            size_bytes: named.size.as_count(),
        })
    }
}
