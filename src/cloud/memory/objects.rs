//! S3 in memory.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::{Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::{StreamExt, stream};
use sha2::{Digest, Sha256};

use crate::cloud::{ByteStream, CallError, ObjectHead, Objects, ObjectsError, Tail};
use crate::object::{ETag, Object, ObjectRef, VersionId};

/// Bodies come in pieces of this size, as they do from a network.
const CHUNK_BYTES: usize = 64 * 1024;

/// Buckets, keys, versions and bytes.
#[derive(Debug, Default)]
pub struct MemoryObjects {
    buckets: Mutex<BTreeMap<String, Bucket>>,
}

#[derive(Debug, Default)]
struct Bucket {
    keeps_versions: bool,
    /// Each key's versions, oldest first.
    keys: BTreeMap<String, Vec<Version>>,
    /// Versions ever made, which numbers them.
    versions_made: u64,
}

#[derive(Debug, Clone)]
struct Version {
    id: Option<VersionId>,
    /// `None` is a delete marker.
    content: Option<Content>,
}

#[derive(Debug, Clone)]
struct Content {
    etag: ETag,
    bytes: Bytes,
}

impl MemoryObjects {
    /// No buckets yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Makes a bucket that keeps versions. Others come into being with their first object.
    pub fn create_versioned_bucket(&self, bucket: &str) {
        self.lock().entry(bucket.to_owned()).or_default().keeps_versions = true;
    }

    /// Puts an object, with an etag that follows from its bytes.
    pub fn put(&self, bucket: &str, key: &str, bytes: impl Into<Bytes>) -> Object {
        let bytes = bytes.into();
        let etag = etag_of(&bytes);
        self.put_as(bucket, key, etag, bytes)
    }

    /// Puts an object with an etag of the caller's choice, such as a multipart upload's `…-2`.
    pub fn put_as(&self, bucket: &str, key: &str, etag: ETag, bytes: impl Into<Bytes>) -> Object {
        let content = Content { etag: etag.clone(), bytes: bytes.into() };
        let version_id = self.add_version(bucket, key, Some(content));
        Object::new(bucket, key, etag, version_id)
    }

    /// Deletes an object. Where versions are kept, the earlier ones stay readable by their ids.
    pub fn delete(&self, bucket: &str, key: &str) {
        self.add_version(bucket, key, None);
    }

    fn add_version(&self, bucket: &str, key: &str, content: Option<Content>) -> Option<VersionId> {
        let mut buckets = self.lock();
        let bucket = buckets.entry(bucket.to_owned()).or_default();
        bucket.versions_made += 1;
        let id = bucket.keeps_versions.then(|| format!("version-{}", bucket.versions_made));
        let id = id.as_deref().and_then(VersionId::parse);
        let versions = bucket.keys.entry(key.to_owned()).or_default();
        if !bucket.keeps_versions {
            versions.clear();
        }
        versions.push(Version { id: id.clone(), content });
        id
    }

    fn find(&self, bucket: &str, key: &str, version_id: Option<&VersionId>) -> Result<Content, ObjectsError> {
        let buckets = self.lock();
        let versions =
            buckets.get(bucket).and_then(|bucket| bucket.keys.get(key)).ok_or(ObjectsError::Missing)?;
        let version = match version_id {
            Some(id) => versions.iter().find(|version| version.id.as_ref() == Some(id)),
            None => versions.last(),
        };
        version.and_then(|version| version.content.clone()).ok_or(ObjectsError::Missing)
    }

    fn find_exactly(&self, object: &Object) -> Result<Bytes, ObjectsError> {
        let content = self.find(object.bucket(), object.key(), object.version_id())?;
        if content.etag == *object.etag() { Ok(content.bytes) } else { Err(ObjectsError::Replaced) }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Bucket>> {
        // Each change is a single step, so what a panicking test leaves behind is whole.
        self.buckets.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl Objects for MemoryObjects {
    async fn head(&self, object: &ObjectRef) -> Result<ObjectHead, ObjectsError> {
        let content = self.find(&object.bucket, &object.key, object.version_id.as_ref())?;
        Ok(ObjectHead { etag: content.etag, size_bytes: content.bytes.len() as u64 })
    }

    async fn read_tail(&self, object: &Object, length_bytes: u64) -> Result<Tail, ObjectsError> {
        let bytes = self.find_exactly(object)?;
        let length = usize::try_from(length_bytes).unwrap_or(usize::MAX).min(bytes.len());
        Ok(Tail { bytes: bytes.slice(bytes.len() - length..), object_size_bytes: bytes.len() as u64 })
    }

    async fn open(&self, object: &Object, range: Range<u64>) -> Result<ByteStream, ObjectsError> {
        let bytes = self.find_exactly(object)?;
        if range.is_empty() {
            return Ok(stream::empty().boxed());
        }
        let (Ok(start), Ok(end)) = (usize::try_from(range.start), usize::try_from(range.end)) else {
            return Err(beyond_the_end(&range, bytes.len()));
        };
        if end > bytes.len() {
            return Err(beyond_the_end(&range, bytes.len()));
        }
        let starts = (start..end).step_by(CHUNK_BYTES);
        let chunks = starts.map(move |from| Ok(bytes.slice(from..end.min(from + CHUNK_BYTES))));
        Ok(stream::iter(chunks).boxed())
    }
}

fn beyond_the_end(range: &Range<u64>, size_bytes: usize) -> ObjectsError {
    let detail = format!("{range:?} is beyond the object's {size_bytes} bytes");
    CallError::Rejected { call: "memory.open", detail }.into()
}

/// As S3's, 32 hex digits that only the content decides. Which hash makes them is S3's own affair.
fn etag_of(bytes: &[u8]) -> ETag {
    let hex: String = Sha256::digest(bytes).iter().take(16).map(|byte| format!("{byte:02x}")).collect();
    ETag::parse(&hex).unwrap_or_else(|| unreachable!("32 digits are not empty"))
}
