//! What a GET answered: which bytes of how many, and a stream that gives exactly those.

use std::ops::Range;

use aws_sdk_s3::operation::get_object::GetObjectOutput;
use aws_sdk_s3::primitives::ByteStream as SdkStream;
use bytes::{Bytes, BytesMut};
use futures_util::{StreamExt, TryStreamExt, stream};

use super::errors::unavailable;
use crate::cloud::quote::chain;
use crate::cloud::{ByteStream, CallError, ObjectsError};

/// The bytes that an answer says it brings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Answered {
    pub(super) range: Range<u64>,
    pub(super) object_size_bytes: u64,
}

impl Answered {
    /// Reads `Content-Range`, or, of an answer that brings the whole object, `Content-Length`.
    pub(super) fn of(call: &'static str, output: &GetObjectOutput) -> Result<Self, ObjectsError> {
        let length_bytes = output.content_length().and_then(|length| u64::try_from(length).ok());
        let answered = match output.content_range() {
            Some(header) => Self::parse(header),
            None => length_bytes.map(|size| Self { range: 0..size, object_size_bytes: size }),
        };
        answered.ok_or_else(|| {
            let (range, length) = (output.content_range(), output.content_length());
            unavailable(call, format!("cannot tell which bytes came (range {range:?}, length {length:?})"))
        })
    }

    /// Reads `bytes 0-99/1234`.
    fn parse(header: &str) -> Option<Self> {
        let (range, size) = header.trim().strip_prefix("bytes ")?.split_once('/')?;
        let (first, last) = range.split_once('-')?;
        let (first, last, object_size_bytes): (u64, u64, u64) =
            (first.parse().ok()?, last.parse().ok()?, size.parse().ok()?);
        let is_sound = first <= last && last < object_size_bytes;
        is_sound.then(|| Self { range: first..last + 1, object_size_bytes })
    }

    /// The error of an answer that brings other bytes than were asked for.
    pub(super) fn mismatch(&self, call: &'static str, asked: &str) -> ObjectsError {
        let Self { range, object_size_bytes } = self;
        unavailable(call, format!("asked for {asked}, answered with {range:?} of {object_size_bytes} bytes"))
    }
}

/// The body as a stream of exactly so many bytes: one less or one more is an error, and ends it.
pub(super) fn exactly(call: &'static str, body: SdkStream, length_bytes: u64) -> ByteStream {
    let unfinished = move |left_bytes: u64, why: String| CallError::Unavailable {
        call,
        detail: format!("the body ended {left_bytes} of {length_bytes} bytes early: {why}"),
    };
    stream::try_unfold((body, length_bytes), move |(mut body, left_bytes)| async move {
        let chunk = match body.next().await {
            Some(Ok(chunk)) => chunk,
            Some(Err(error)) => return Err(unfinished(left_bytes, chain(&error))),
            None if left_bytes > 0 => return Err(unfinished(left_bytes, "end of stream".to_owned())),
            None => return Ok(None),
        };
        match left_bytes.checked_sub(chunk.len() as u64) {
            Some(left_bytes) => Ok(Some((chunk, (body, left_bytes)))),
            None => Err(CallError::Unavailable {
                call,
                detail: format!("a body of more than {length_bytes} bytes"),
            }),
        }
    })
    .boxed()
}

/// Holds a whole body in memory; whoever asks has bounded its length.
pub(super) async fn collect(body: ByteStream, length_bytes: u64) -> Result<Bytes, CallError> {
    let capacity = usize::try_from(length_bytes).unwrap_or_default();
    let bytes = body.try_fold(BytesMut::with_capacity(capacity), async |mut bytes, chunk| {
        bytes.extend_from_slice(&chunk);
        Ok(bytes)
    });
    Ok(bytes.await?.freeze())
}

#[cfg(test)]
mod tests {
    use super::Answered;

    #[test]
    fn content_range_is_read_or_refused() {
        let whole = Answered { range: 0..100, object_size_bytes: 100 };
        assert_eq!(Answered::parse("bytes 0-99/100"), Some(whole));
        for unsound in
            ["bytes */100", "bytes 0-100/100", "bytes 9-3/100", "bytes 0-9/*", "0-9/10", "", "bytes -1-3/9"]
        {
            assert_eq!(Answered::parse(unsound), None, "{unsound}");
        }
    }
}
