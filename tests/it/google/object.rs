//! One object to upload, which can be told to fail.

use std::ops::Range;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use bytes::Bytes;
use dms2bq::cloud::{ByteStream, CallError, ObjectHead, Objects, ObjectsError, Tail};
use dms2bq::object::{ETag, Object, ObjectRef};
use futures_util::{StreamExt, stream};

/// What goes wrong when a range is opened.
#[derive(Debug, Clone, Copy)]
pub(super) enum Fault {
    /// The object is another one by now.
    Replaced,
    /// The stream breaks after so many bytes.
    Breaks(usize),
    /// The stream ends after so many bytes, as if it were whole.
    EndsEarly(usize),
    /// The stream goes on after the range.
    TooLong,
}

/// An object whose n-th opening may fail.
pub(super) struct OneObject {
    content: Bytes,
    faults: Mutex<Vec<Option<Fault>>>,
    opened: Mutex<Vec<Range<u64>>>,
}

impl OneObject {
    pub(super) fn new(content: Bytes) -> Arc<Self> {
        Self::failing(content, Vec::new())
    }

    /// The faults are for the first openings, in order.
    pub(super) fn failing(content: Bytes, faults: Vec<Option<Fault>>) -> Arc<Self> {
        Arc::new(Self { content, faults: Mutex::new(faults), opened: Mutex::default() })
    }

    /// The ranges that were opened.
    pub(super) fn opened(&self) -> Vec<Range<u64>> {
        self.opened.lock().expect("not poisoned").clone()
    }
}

/// The object's name.
pub(super) fn object() -> Object {
    Object::new("landing", "game/player/LOAD00000001.parquet", ETag::parse("abc").expect("an etag"), None)
}

#[async_trait]
impl Objects for OneObject {
    async fn head(&self, _object: &ObjectRef) -> Result<ObjectHead, ObjectsError> {
        Err(ObjectsError::Missing)
    }

    async fn read_tail(&self, _object: &Object, _length_bytes: u64) -> Result<Tail, ObjectsError> {
        Err(ObjectsError::Missing)
    }

    async fn open(&self, wanted: &Object, range: Range<u64>) -> Result<ByteStream, ObjectsError> {
        assert_eq!(wanted, &object());
        self.opened.lock().expect("not poisoned").push(range.clone());
        let faults = &mut self.faults.lock().expect("not poisoned");
        let fault = if faults.is_empty() { None } else { faults.remove(0) };
        let mut bytes = self.content.slice(range.start as usize..range.end as usize);
        let mut end = None;
        match fault {
            None => {}
            Some(Fault::Replaced) => return Err(ObjectsError::Replaced),
            Some(Fault::Breaks(after)) => {
                bytes.truncate(after);
                end = Some(Err(CallError::Unavailable { call: "s3.get_object", detail: "reset".to_owned() }));
            }
            Some(Fault::EndsEarly(after)) => bytes.truncate(after),
            Some(Fault::TooLong) => end = Some(Ok(Bytes::from_static(b"more"))),
        }
        // Uneven pieces, as a network gives them.
        let pieces: Vec<_> =
            bytes.chunks(100_003).map(|piece| Ok(bytes.slice_ref(piece))).chain(end).collect();
        Ok(stream::iter(pieces).boxed())
    }
}

/// Bytes that begin as Parquet does; every place in them is different enough for a wrong order to show.
pub(super) fn content(length: usize) -> Bytes {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut bytes = Vec::with_capacity(length + 8);
    bytes.extend_from_slice(b"PAR1");
    while bytes.len() < length {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        bytes.extend_from_slice(&state.to_be_bytes());
    }
    bytes.truncate(length);
    bytes.into()
}
