//! `multipart/related`, read as it arrives: the parts' bytes pass through, none is held.

use bytes::{Buf, Bytes, BytesMut};
use futures_util::{Stream, StreamExt};
use memchr::memmem;

use super::error::ApiError;

/// The headers of one part are two short lines; this is far above what any client sends.
const PART_HEADERS_MAX_BYTES: usize = 16 * 1024;

/// The parts of a body, one after the other.
pub(crate) struct Multipart<S> {
    body: S,
    buffer: BytesMut,
    /// CRLF, two dashes and the boundary.
    delimiter: Vec<u8>,
}

impl<S, E> Multipart<S>
where
    S: Stream<Item = Result<Bytes, E>> + Unpin,
    E: std::fmt::Display,
{
    /// Starts reading a body with the boundary that its `Content-Type` names.
    pub(crate) fn new(body: S, content_type: &str) -> Result<Self, ApiError> {
        let boundary = boundary(content_type).ok_or_else(|| {
            ApiError::invalid("Multipart must have a Content-Type multipart/related with a boundary.")
        })?;
        // The first boundary has no line end before it; this one makes it look like the others.
        Ok(Self { body, buffer: BytesMut::from("\r\n"), delimiter: format!("\r\n--{boundary}").into_bytes() })
    }

    /// Goes to the next part, whatever is left of this one. `None` after the last.
    pub(crate) async fn next_part(&mut self) -> Result<Option<()>, ApiError> {
        while self.chunk().await?.is_some() {}
        self.buffer.advance(self.delimiter.len());
        while self.buffer.len() < 2 {
            self.fill().await?;
        }
        if self.buffer.starts_with(b"--") {
            return Ok(None);
        }
        let headers = self.headers_end().await?;
        self.buffer.advance(headers);
        Ok(Some(()))
    }

    /// The next bytes of this part. `None` at its end.
    pub(crate) async fn chunk(&mut self) -> Result<Option<Bytes>, ApiError> {
        loop {
            if let Some(end) = memmem::find(&self.buffer, &self.delimiter) {
                return Ok((end > 0).then(|| self.buffer.split_to(end).freeze()));
            }
            // The last bytes may be the start of a delimiter that is not here yet.
            let safe = (self.buffer.len() + 1).saturating_sub(self.delimiter.len());
            if safe > 0 {
                return Ok(Some(self.buffer.split_to(safe).freeze()));
            }
            self.fill().await?;
        }
    }

    /// Reads a part that must be small.
    pub(crate) async fn small_part(&mut self, max_bytes: usize) -> Result<Vec<u8>, ApiError> {
        let mut whole = Vec::new();
        while let Some(chunk) = self.chunk().await? {
            whole.extend_from_slice(&chunk);
            if whole.len() > max_bytes {
                return Err(ApiError::invalid(format!("The job's part is larger than {max_bytes} bytes.")));
            }
        }
        Ok(whole)
    }

    /// The body as it is, to read what is left of it.
    pub(crate) fn into_body(self) -> S {
        self.body
    }

    /// The length of what stands before the part's content: the rest of the boundary's line, and the headers.
    async fn headers_end(&mut self) -> Result<usize, ApiError> {
        loop {
            if let Some(end) = memmem::find(&self.buffer, b"\r\n\r\n") {
                return Ok(end + 4);
            }
            if self.buffer.len() > PART_HEADERS_MAX_BYTES {
                return Err(ApiError::invalid("The headers of a multipart part do not end."));
            }
            self.fill().await?;
        }
    }

    async fn fill(&mut self) -> Result<(), ApiError> {
        match self.body.next().await {
            Some(Ok(bytes)) => self.buffer.extend_from_slice(&bytes),
            Some(Err(error)) => return Err(ApiError::invalid(format!("The upload broke off: {error}"))),
            None => return Err(ApiError::invalid("Missing end boundary in multipart body.")),
        }
        Ok(())
    }
}

/// The boundary of a `multipart/related` content type, with or without quotes.
fn boundary(content_type: &str) -> Option<&str> {
    let (kind, parameters) = content_type.split_once(';')?;
    if !kind.trim().eq_ignore_ascii_case("multipart/related") {
        return None;
    }
    let value = parameters.split(';').find_map(|parameter| {
        let (name, value) = parameter.split_once('=')?;
        name.trim().eq_ignore_ascii_case("boundary").then_some(value.trim())
    })?;
    let value = value.strip_prefix('"').and_then(|it| it.strip_suffix('"')).unwrap_or(value);
    (!value.is_empty()).then_some(value)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed unwrap fails the test")]

    use futures_util::stream;

    use super::*;

    const BODY: &[u8] =
        b"--=x=\r\ncontent-type: application/json\r\n\r\n{}\r\n--=x=\r\ncontent-type: */*\r\n\r\n\
                          PAR1\r\n--=x\r\n\r\n-PAR1\r\n--=x=--";

    #[test]
    fn a_body_gives_the_same_parts_however_it_is_cut() {
        for size in 1..BODY.len() {
            let chunks: Vec<Result<Bytes, String>> =
                BODY.chunks(size).map(|it| Ok(Bytes::copy_from_slice(it))).collect();
            let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
            let parts = runtime.block_on(async {
                let mut multipart =
                    Multipart::new(stream::iter(chunks), "multipart/related; boundary=\"=x=\"").unwrap();
                let mut parts = Vec::new();
                while multipart.next_part().await.unwrap().is_some() {
                    parts.push(multipart.small_part(1000).await.unwrap());
                }
                parts
            });
            assert_eq!(
                parts,
                [b"{}".to_vec(), b"PAR1\r\n--=x\r\n\r\n-PAR1".to_vec()],
                "cut every {size} bytes"
            );
        }
    }

    #[test]
    fn a_body_that_ends_early_is_an_error() {
        for length in 0..BODY.len() - 1 {
            let chunks = vec![Ok::<_, String>(Bytes::copy_from_slice(&BODY[..length]))];
            let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
            let ended = runtime.block_on(async {
                let mut multipart =
                    Multipart::new(stream::iter(chunks), "multipart/related; boundary==x=").unwrap();
                while multipart.next_part().await?.is_some() {}
                Ok::<_, ApiError>(())
            });
            assert!(ended.is_err(), "after {length} bytes");
        }
    }
}
