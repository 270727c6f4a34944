//! Step 2 of 6: **object**. Exactly which bytes.
//!
//! Takes a notice, gives the identity of an object: bucket, key and etag, the three on which an
//! event, a HEAD and a bucket listing agree. Also reads the Parquet footer, from bytes it is handed.

pub mod name;
pub mod error;
pub mod footer;

use std::fmt;

use serde::Serialize;

pub use error::ObjectError;
pub use footer::{Footer, FooterError, FooterRead};

/// An object's etag: without quotes, its case kept, never empty.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize)]
pub struct ETag(String);

impl ETag {
    /// Reads an etag as an event, a header or a listing spells it. Quotes are taken off; an empty
    /// one counts as absent.
    pub fn parse(text: &str) -> Option<Self> {
        let bare = text.trim().trim_matches('"');
        (!bare.is_empty()).then(|| Self(bare.to_owned()))
    }

    /// The etag without quotes.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ETag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The id of one version of an object in a versioned bucket.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize)]
pub struct VersionId(String);

impl VersionId {
    /// Reads a version id. Empty, and S3's word `null` for "no version", count as absent.
    pub fn parse(text: &str) -> Option<Self> {
        (!text.is_empty() && text != "null").then(|| Self(text.to_owned()))
    }

    /// The id as S3 spells it.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for VersionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// An object as somebody named it: perhaps without an etag, which a HEAD then supplies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObjectRef {
    /// The bucket's name.
    pub bucket: String,
    /// The key, decoded. A leading slash belongs to it.
    pub key: String,
    /// The version that the event named, if the bucket keeps versions.
    pub version_id: Option<VersionId>,
    /// The etag, where it is known.
    pub etag: Option<ETag>,
    /// The size in bytes, where it is known.
    pub size_bytes: Option<u64>,
}

impl fmt::Display for ObjectRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "s3://{}/{}", self.bucket, self.key)
    }
}

/// An object whose identity is known: bucket, key and etag.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Object {
    bucket: String,
    key: String,
    etag: ETag,
    version_id: Option<VersionId>,
}

impl Object {
    /// Names an object by its identity; `version_id` says where to read it, not what it is.
    pub fn new(
        bucket: impl Into<String>,
        key: impl Into<String>,
        etag: ETag,
        version_id: Option<VersionId>,
    ) -> Self {
        Self { bucket: bucket.into(), key: key.into(), etag, version_id }
    }

    /// The bucket's name.
    pub fn bucket(&self) -> &str {
        &self.bucket
    }

    /// The key, decoded.
    pub fn key(&self) -> &str {
        &self.key
    }

    /// The etag, which every read of the bytes is conditional on.
    pub fn etag(&self) -> &ETag {
        &self.etag
    }

    /// The version to read, if the event named one.
    pub fn version_id(&self) -> Option<&VersionId> {
        self.version_id.as_ref()
    }
}

impl fmt::Display for Object {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "s3://{}/{}", self.bucket, self.key)
    }
}
