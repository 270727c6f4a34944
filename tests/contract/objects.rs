//! The contract of [`Objects`], for whoever implements it.
//!
//! A clause is a function, and its name is the clause. [`examine`] holds a party to all of them. To examine one more
//! implementation, implement [`Party`] for it and call [`examine`].

use std::ops::Range;

use async_trait::async_trait;
use bytes::Bytes;
use dms2bq::cloud::{CallError, Objects, ObjectsError};
use dms2bq::object::{ETag, Object, ObjectRef, VersionId};
use futures_util::{StreamExt, TryStreamExt};

/// An implementation of [`Objects`], and the way to put things where it finds them.
#[async_trait]
pub(super) trait Party: Send + Sync {
    /// What is examined.
    fn objects(&self) -> &dyn Objects;
    /// A bucket that keeps no versions.
    fn bucket(&self) -> &str;
    /// A bucket that keeps versions, if the party has such.
    fn versioned_bucket(&self) -> Option<&str>;
    /// Whether an object can have this key. A local folder cannot have them all.
    fn can_hold(&self, key: &str) -> bool;
    /// Puts an object, in place of the one that may be there.
    async fn put(&self, bucket: &str, key: &str, bytes: Bytes) -> Object;
    /// Puts an object by a multipart upload, if the party knows such.
    async fn put_in_parts(&self, bucket: &str, key: &str, parts: Vec<Bytes>) -> Option<Object>;
    /// Deletes an object.
    async fn delete(&self, bucket: &str, key: &str);
}

/// Holds a party to every clause.
pub(super) async fn examine(party: &dyn Party) {
    what_is_not_there_is_missing(party).await;
    a_deleted_object_is_missing(party).await;
    head_tells_etag_and_size(party).await;
    a_tail_is_the_end_of_the_object(party).await;
    a_tail_longer_than_the_object_is_all_of_it(party).await;
    an_empty_object_has_an_empty_tail(party).await;
    a_range_gives_exactly_its_bytes(party).await;
    a_range_beyond_the_end_is_rejected(party).await;
    an_object_with_another_etag_is_replaced(party).await;
    a_named_version_is_read_after_it_was_overwritten(party).await;
    a_version_that_is_not_there_is_missing(party).await;
    keys_of_every_kind_of_character_are_read(party).await;
    an_object_uploaded_in_parts_is_read_across_them(party).await;
}

async fn what_is_not_there_is_missing(party: &dyn Party) {
    party.put(party.bucket(), "there", bytes_of(1)).await;
    for (bucket, key) in [(party.bucket(), "not-there"), ("no-such-bucket-anywhere", "there")] {
        let object = Object::new(bucket, key, etag("0123456789abcdef0123456789abcdef"), None);
        assert_missing(party, &object).await;
    }
}

async fn a_deleted_object_is_missing(party: &dyn Party) {
    for bucket in [Some(party.bucket()), party.versioned_bucket()].into_iter().flatten() {
        let object = party.put(bucket, "deleted", bytes_of(10)).await;
        party.delete(bucket, "deleted").await;
        assert_missing(party, &without_version(&object)).await;
    }
}

async fn head_tells_etag_and_size(party: &dyn Party) {
    for size in [0, 1, 100_000] {
        let object = party.put(party.bucket(), "head", bytes_of(size)).await;
        let head = party.objects().head(&reference_to(&object)).await.expect("the object is there");
        assert_eq!((&head.etag, head.size_bytes), (object.etag(), size as u64));
    }
}

async fn a_tail_is_the_end_of_the_object(party: &dyn Party) {
    let whole = bytes_of(100_000);
    let object = party.put(party.bucket(), "tail", whole.clone()).await;
    for length in [0, 1, 8, 65_536, 99_999, 100_000] {
        let tail = party.objects().read_tail(&object, length as u64).await.expect("the object is there");
        assert_eq!(tail.object_size_bytes, 100_000, "a tail of {length}");
        assert!(tail.bytes == whole[100_000 - length..], "a tail of {length}");
    }
}

async fn a_tail_longer_than_the_object_is_all_of_it(party: &dyn Party) {
    let whole = bytes_of(1_000);
    let object = party.put(party.bucket(), "short", whole.clone()).await;
    for length in [1_001, 1_000_000] {
        let tail = party.objects().read_tail(&object, length).await.expect("the object is there");
        assert_eq!((tail.bytes, tail.object_size_bytes), (whole.clone(), 1_000));
    }
}

async fn an_empty_object_has_an_empty_tail(party: &dyn Party) {
    let object = party.put(party.bucket(), "empty", Bytes::new()).await;
    for length in [0, 8, 65_536] {
        let tail = party.objects().read_tail(&object, length).await.expect("the object is there");
        assert_eq!((tail.bytes, tail.object_size_bytes), (Bytes::new(), 0));
    }
    assert_eq!(read(party, &object, 0..0).await, Bytes::new());
}

async fn a_range_gives_exactly_its_bytes(party: &dyn Party) {
    let whole = bytes_of(300_000);
    let object = party.put(party.bucket(), "ranges", whole.clone()).await;
    for range in [0..300_000, 0..1, 299_999..300_000, 1..299_999, 65_535..131_073, 7..7] {
        let read = read(party, &object, range.clone()).await;
        let expected = &whole[range.start as usize..range.end as usize];
        assert!(read == expected, "{range:?} gave {} bytes", read.len());
    }
}

async fn a_range_beyond_the_end_is_rejected(party: &dyn Party) {
    let object = party.put(party.bucket(), "bounded", bytes_of(1_000)).await;
    for range in [0..1_001, 999..1_001, 1_000..1_001, 5_000..6_000] {
        let refused = party.objects().open(&object, range.clone()).await.err();
        assert!(
            matches!(refused, Some(ObjectsError::Call(CallError::Rejected { .. }))),
            "{range:?}: {refused:?}"
        );
    }
}

async fn an_object_with_another_etag_is_replaced(party: &dyn Party) {
    // Its size stays, so that nothing but the etag tells.
    let before = party.put(party.bucket(), "replaced", bytes_of(1_000)).await;
    let after = party.put(party.bucket(), "replaced", Bytes::from(vec![7; 1_000])).await;
    assert_ne!(before.etag(), after.etag());
    assert_replaced(party, &before).await;
    // An empty object has no range that could be asked for, and is told apart all the same.
    party.put(party.bucket(), "replaced", Bytes::new()).await;
    assert_replaced(party, &after).await;
}

async fn a_named_version_is_read_after_it_was_overwritten(party: &dyn Party) {
    let Some(bucket) = party.versioned_bucket() else { return };
    let first = party.put(bucket, "versioned", bytes_of(1_000)).await;
    let second = party.put(bucket, "versioned", Bytes::from(vec![7; 2_000])).await;
    assert!(first.version_id().is_some() && first.version_id() != second.version_id());
    party.delete(bucket, "versioned").await;
    for (version, content) in [(&first, bytes_of(1_000)), (&second, Bytes::from(vec![7; 2_000]))] {
        let head = party.objects().head(&reference_to(version)).await.expect("the version is there");
        assert_eq!((&head.etag, head.size_bytes), (version.etag(), content.len() as u64));
        let tail = party.objects().read_tail(version, 100).await.expect("the version is there");
        assert!(tail.bytes == content[content.len() - 100..]);
        assert!(read(party, version, 0..content.len() as u64).await == content);
    }
    // The id says where to read, the etag what is to be read: the one does not excuse the other.
    let mixed = Object::new(bucket, "versioned", first.etag().clone(), second.version_id().cloned());
    assert_replaced(party, &mixed).await;
}

async fn a_version_that_is_not_there_is_missing(party: &dyn Party) {
    let Some(bucket) = party.versioned_bucket() else { return };
    let here = party.put(bucket, "one-version", bytes_of(10)).await;
    let elsewhere = party.put(bucket, "other-key", bytes_of(10)).await;
    let version_id = elsewhere.version_id().cloned();
    assert_missing(party, &Object::new(bucket, "one-version", here.etag().clone(), version_id)).await;
}

async fn keys_of_every_kind_of_character_are_read(party: &dyn Party) {
    let keys: Vec<String> = serde_json::from_str(include_str!("../cases/objects/keys.json")).expect("JSON");
    let mut objects = Vec::new();
    for key in &keys {
        if party.can_hold(key) {
            objects.push((party.put(party.bucket(), key, Bytes::from(key.clone())).await, key));
        } else {
            assert_missing(party, &Object::new(party.bucket(), key, etag("0"), None)).await;
        }
    }
    assert!(objects.len() * 2 > keys.len(), "most keys are examined");
    // After all are there, so that two keys that a party takes for one are found out.
    for (object, key) in &objects {
        let head = party
            .objects()
            .head(&reference_to(object))
            .await
            .unwrap_or_else(|e| panic!("head {key:?}: {e:?}"));
        assert_eq!(&head.etag, object.etag(), "{key:?}");
        let tail =
            party.objects().read_tail(object, 2_000).await.unwrap_or_else(|e| panic!("tail {key:?}: {e:?}"));
        assert_eq!(tail.bytes, key.as_bytes());
        assert_eq!(read(party, object, 0..key.len() as u64).await, key.as_bytes());
    }
}

async fn an_object_uploaded_in_parts_is_read_across_them(party: &dyn Party) {
    // S3 takes no part but the last below 5 MiB.
    let first = bytes_of(5 * 1024 * 1024);
    let last = Bytes::from(vec![7; 1_000]);
    let Some(object) = party.put_in_parts(party.bucket(), "parts", vec![first.clone(), last.clone()]).await
    else {
        return;
    };
    assert!(object.etag().as_str().ends_with("-2"), "{}", object.etag());
    let size = (first.len() + last.len()) as u64;
    let tail = party.objects().read_tail(&object, 2_000).await.expect("the object is there");
    assert_eq!(tail.object_size_bytes, size);
    assert!(tail.bytes[..1_000] == first[first.len() - 1_000..] && tail.bytes[1_000..] == last[..]);
    let whole = read(party, &object, 0..size).await;
    assert!(whole[..first.len()] == first[..] && whole[first.len()..] == last[..]);
}

/// Bytes of which no two neighbourhoods are alike, so that a shifted range is found out.
fn bytes_of(size: usize) -> Bytes {
    (0..size as u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 24) as u8).collect()
}

fn etag(text: &str) -> ETag {
    ETag::parse(text).expect("an etag")
}

fn without_version(object: &Object) -> Object {
    Object::new(object.bucket(), object.key(), object.etag().clone(), None)
}

fn reference_to(object: &Object) -> ObjectRef {
    ObjectRef {
        bucket: object.bucket().to_owned(),
        key: object.key().to_owned(),
        version_id: object.version_id().cloned().as_ref().map(VersionId::as_str).and_then(VersionId::parse),
        etag: None,
        size_bytes: None,
    }
}

async fn read(party: &dyn Party, object: &Object, range: Range<u64>) -> Bytes {
    let stream = party.objects().open(object, range.clone()).await;
    let stream = stream.unwrap_or_else(|error| panic!("open {object} at {range:?}: {error:?}"));
    let chunks: Vec<Bytes> = stream.try_collect().await.expect("the body is whole");
    Bytes::from(chunks.concat())
}

async fn assert_missing(party: &dyn Party, object: &Object) {
    let head = party.objects().head(&reference_to(object)).await;
    assert!(matches!(head, Err(ObjectsError::Missing)), "head of {object}: {head:?}");
    let tail = party.objects().read_tail(object, 8).await;
    assert!(matches!(tail, Err(ObjectsError::Missing)), "tail of {object}: {tail:?}");
    let opened = party.objects().open(object, 0..1).await.err();
    assert!(matches!(opened, Some(ObjectsError::Missing)), "open {object}: {opened:?}");
}

async fn assert_replaced(party: &dyn Party, object: &Object) {
    let tail = party.objects().read_tail(object, 8).await;
    assert!(matches!(tail, Err(ObjectsError::Replaced)), "tail of {object}: {tail:?}");
    let opened = party.objects().open(object, 0..1).await;
    let refused = match opened {
        Ok(mut stream) => panic!("{object} opened, and gave {:?}", stream.next().await),
        Err(error) => error,
    };
    assert!(matches!(refused, ObjectsError::Replaced), "open {object}: {refused:?}");
}
