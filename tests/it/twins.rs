//! What the tests of the driver and the handler share: a clock that a test owns, and small Parquet files.

use std::ops::Range;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use arrow::array::{ArrayRef, Int64Array, RecordBatch, StringArray};
use arrow::datatypes::{DataType, Field, Schema};
use async_trait::async_trait;
use bytes::Bytes;
use dms2bq::cloud::Clock;
use parquet::arrow::ArrowWriter;
use tokio::time::Instant;

/// A clock on which sleeping takes no time.
pub(crate) struct TestClock {
    started: Instant,
    started_unix_ms: u64,
    slept: Mutex<Duration>,
}

impl TestClock {
    pub(crate) fn at_unix_s(unix_s: u64) -> Self {
        Self { started: Instant::now(), started_unix_ms: unix_s * 1000, slept: Mutex::default() }
    }

    pub(crate) fn slept(&self) -> Duration {
        *self.slept.lock().unwrap()
    }
}

#[async_trait]
impl Clock for TestClock {
    fn unix_ms(&self) -> u64 {
        self.started_unix_ms + u64::try_from(self.slept().as_millis()).unwrap()
    }

    fn now(&self) -> Instant {
        self.started + self.slept()
    }

    async fn sleep(&self, duration: Duration) {
        *self.slept.lock().unwrap() += duration;
        tokio::task::yield_now().await;
    }
}

/// A clock over tokio's paused time: a wait takes none, and happens in order with all others.
pub(crate) struct PausedClock {
    started: Instant,
}

impl PausedClock {
    pub(crate) fn new() -> Self {
        Self { started: Instant::now() }
    }
}

#[async_trait]
impl Clock for PausedClock {
    fn unix_ms(&self) -> u64 {
        1_700_000_000_000 + u64::try_from(self.started.elapsed().as_millis()).unwrap()
    }

    fn now(&self) -> Instant {
        Instant::now()
    }

    async fn sleep(&self, duration: Duration) {
        tokio::time::sleep(duration).await;
    }
}

/// A column of a file, with its values.
pub(crate) type Column = (Field, ArrayRef);

/// A column of numbers.
pub(crate) fn numbers(name: &str, values: Range<i64>) -> Column {
    (Field::new(name, DataType::Int64, true), Arc::new(Int64Array::from_iter_values(values)))
}

/// A column of texts; `required` as the column of commit times is that DMS writes.
pub(crate) fn texts(name: &str, rows: usize, required: bool) -> Column {
    let values = StringArray::from_iter_values((0..rows).map(|row| format!("{name} {row}")));
    (Field::new(name, DataType::Utf8, !required), Arc::new(values))
}

/// A Parquet file with these columns.
pub(crate) fn file_of(columns: &[Column]) -> Bytes {
    let (fields, arrays): (Vec<Field>, Vec<ArrayRef>) = columns.iter().cloned().unzip();
    let schema = Arc::new(Schema::new(fields));
    let batch = RecordBatch::try_new(Arc::clone(&schema), arrays).unwrap();
    let mut bytes = Vec::new();
    let mut writer = ArrowWriter::try_new(&mut bytes, schema, None).unwrap();
    writer.write(&batch).unwrap();
    writer.close().unwrap();
    bytes.into()
}

/// A Parquet file of this many rows: `id` and `name`.
pub(crate) fn file(rows: usize) -> Bytes {
    file_of(&[numbers("id", 0..i64::try_from(rows).unwrap()), texts("name", rows, false)])
}
