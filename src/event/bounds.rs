//! How long the names in a record may be. S3's own limits are admitted; what is longer names no object of S3, and
//! would only fill the log.

use super::EventError;
use crate::object::ObjectRef;

/// The longest key in bytes of UTF-8 (<https://docs.aws.amazon.com/AmazonS3/latest/userguide/object-keys.html>).
const MAX_KEY_BYTES: usize = 1024;

/// A key as a notification spells it: each byte as three characters at most.
const MAX_KEY_SPELLING_BYTES: usize = 3 * MAX_KEY_BYTES;

/// The longest bucket name. Today's end at 63 characters; the oldest of us-east-1 may have 255.
const MAX_BUCKET_BYTES: usize = 255;

/// The longest etag and version id. S3's version ids have up to 1,024 bytes; its etags far fewer.
const MAX_ID_BYTES: usize = 1024;

/// Refuses a key's spelling that no key of S3 can have, before it is decoded or quoted.
pub(super) fn check_spelling(spelling: &str) -> Result<(), EventError> {
    at_most("key", spelling, MAX_KEY_SPELLING_BYTES)
}

/// Refuses an address that no object of S3 can have.
pub(super) fn check(object: ObjectRef) -> Result<ObjectRef, EventError> {
    at_most("bucket", &object.bucket, MAX_BUCKET_BYTES)?;
    at_most("key", &object.key, MAX_KEY_BYTES)?;
    at_most("etag", object.etag.as_ref().map_or("", |etag| etag.as_str()), MAX_ID_BYTES)?;
    at_most("version id", object.version_id.as_ref().map_or("", |id| id.as_str()), MAX_ID_BYTES)?;
    Ok(object)
}

fn at_most(what: &'static str, text: &str, limit_bytes: usize) -> Result<(), EventError> {
    let size_bytes = text.len();
    match size_bytes > limit_bytes {
        true => Err(EventError::NameTooLong { what, size_bytes, limit_bytes }),
        false => Ok(()),
    }
}
