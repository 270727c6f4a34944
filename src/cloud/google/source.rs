//! The bytes of an upload, in order, from any offset: read from the objects as they are sent.

use std::sync::Arc;

use bytes::Bytes;
use futures_util::StreamExt;

use super::parts::{Layout, Place};
use super::settings::Settings;
use crate::cloud::{ByteStream, CallError, Clock, InsertError, Objects, ObjectsError};
use crate::job::Part;

/// What is handed on at a time. A larger piece, which an in-memory object gives, is cut without a copy,
/// so that a piece waiting for the network never holds much.
const PIECE_BYTES: usize = 64 * 1024;

/// The first bytes of every Parquet file. (An encrypted footer has `PARE`, which BigQuery does not read.)
const MAGIC: &[u8; 4] = b"PAR1";

/// The call whose failure a broken stream is.
const CALL: &str = "s3.get_object";

/// Reads an upload's parts one after the other.
pub(super) struct Source {
    objects: Arc<dyn Objects>,
    clock: Arc<dyn Clock>,
    settings: Arc<Settings>,
    parts: Vec<Part>,
    layout: Layout,
    position: u64,
    reading: Option<Reading>,
}

/// An open stream of a part, from the source's position to the part's end.
struct Reading {
    stream: ByteStream,
    /// Taken from the stream, but not handed on yet.
    pending: Bytes,
    left_bytes: u64,
}

impl Source {
    /// Stands at the first byte; nothing is opened yet.
    pub(super) fn new(
        parts: Vec<Part>,
        objects: Arc<dyn Objects>,
        clock: Arc<dyn Clock>,
        settings: Arc<Settings>,
    ) -> Self {
        let layout = Layout::new(&parts);
        Self { objects, clock, settings, parts, layout, position: 0, reading: None }
    }

    /// The length of the whole upload in bytes.
    pub(super) fn total_bytes(&self) -> u64 {
        self.layout.total_bytes()
    }

    /// Goes to an offset. An open stream is kept if it stands there already.
    pub(super) fn seek(&mut self, offset: u64) {
        if offset != self.position {
            self.position = offset;
            self.reading = None;
        }
    }

    /// Gives the next bytes: at most `at_most` and at most a piece; `None` at the end of the upload.
    ///
    /// A stream that breaks is opened again where it broke, a few times without progress.
    ///
    /// # Errors
    /// The object cannot be read, or the upload does not begin as Parquet does.
    pub(super) async fn next(&mut self, at_most: u64) -> Result<Option<Bytes>, InsertError> {
        let Some(place) = self.layout.locate(self.position) else { return Ok(None) };
        let cut = usize::try_from(at_most.min(place.left_bytes)).unwrap_or(PIECE_BYTES).min(PIECE_BYTES);
        let bytes = match self.parts.get(place.part) {
            None => return Ok(None),
            Some(Part::Bytes(bytes)) => {
                let start = usize::try_from(place.within_bytes).unwrap_or(usize::MAX).min(bytes.len());
                bytes.slice(start..start.saturating_add(cut).min(bytes.len()))
            }
            Some(Part::Range { .. }) => self.read_patiently(place, cut).await.map_err(InsertError::Object)?,
        };
        if !begins_as_parquet(self.position, &bytes) {
            return Err(InsertError::NotParquet);
        }
        self.position += bytes.len() as u64;
        Ok(Some(bytes))
    }

    async fn read_patiently(&mut self, place: Place, cut: usize) -> Result<Bytes, ObjectsError> {
        let mut failed = 0;
        loop {
            let stall = self.settings.timings.stall;
            let error = match tokio::time::timeout(stall, self.read(place, cut)).await {
                Ok(Ok(bytes)) => return Ok(bytes),
                Ok(Err(error)) => error,
                Err(_) => broken(format!("no byte came for {stall:?}")),
            };
            self.reading = None;
            failed += 1;
            let ObjectsError::Call(call) = &error else { return Err(error) };
            if failed >= self.settings.tries.most || !call.may_be_repeated() {
                return Err(error);
            }
            self.clock.sleep(self.settings.jitter.shorten(self.settings.tries.wait_after(failed))).await;
        }
    }

    async fn read(&mut self, place: Place, cut: usize) -> Result<Bytes, ObjectsError> {
        let reading = match &mut self.reading {
            Some(reading) => reading,
            None => {
                let stream = open(self.objects.as_ref(), self.parts.get(place.part), place).await?;
                let fresh = Reading { stream, pending: Bytes::new(), left_bytes: place.left_bytes };
                self.reading.insert(fresh)
            }
        };
        let bytes = reading.take(cut).await?;
        if reading.left_bytes == 0 {
            reading.expect_end().await?;
            self.reading = None;
        }
        Ok(bytes)
    }
}

impl Reading {
    /// Takes up to `cut` bytes, at least one.
    async fn take(&mut self, cut: usize) -> Result<Bytes, ObjectsError> {
        while self.pending.is_empty() {
            match self.stream.next().await {
                Some(bytes) => self.pending = bytes?,
                None => return Err(broken(format!("the body ended {} bytes early", self.left_bytes))),
            }
        }
        let bytes = self.pending.split_to(cut.min(self.pending.len()));
        self.left_bytes = self.left_bytes.saturating_sub(bytes.len() as u64);
        Ok(bytes)
    }

    /// Makes sure that nothing follows the last byte: a body that is too long is another object's.
    async fn expect_end(&mut self) -> Result<(), ObjectsError> {
        while self.pending.is_empty() {
            match self.stream.next().await {
                Some(bytes) => self.pending = bytes?,
                None => return Ok(()),
            }
        }
        Err(broken("the body is longer than the range that was asked for".to_owned()))
    }
}

async fn open(objects: &dyn Objects, part: Option<&Part>, place: Place) -> Result<ByteStream, ObjectsError> {
    let Some(Part::Range { object, offset_bytes, .. }) = part else {
        return Err(broken("the part is no range of an object".to_owned()));
    };
    let start = offset_bytes.saturating_add(place.within_bytes);
    objects.open(object, start..start.saturating_add(place.left_bytes)).await
}

fn broken(detail: String) -> ObjectsError {
    ObjectsError::Call(CallError::Unavailable { call: CALL, detail })
}

/// Looks at the bytes at an offset, if they are among the first four.
fn begins_as_parquet(offset: u64, bytes: &[u8]) -> bool {
    let expected = MAGIC.iter().skip(usize::try_from(offset).unwrap_or(usize::MAX));
    expected.zip(bytes).all(|(expected, byte)| expected == byte)
}
