//! Step 5 of 6: **job**. The load job itself.
//!
//! Takes an object and a route, gives a load job with a deterministic id, and drives it to its end.
//! BigQuery keeps a job's record for about 180 days and refuses a second job with the same id: the
//! id *is* the idempotency key, and the record *is* the ledger.

pub mod drive;
pub mod error;
pub mod footers;
pub mod id;
pub mod load;
pub mod pace;
pub mod plan;
pub mod reason;
pub mod schema;
pub mod tables;

use std::collections::BTreeMap;
use std::fmt;

pub use error::JobError;

use crate::route::TableRef;

/// The name of a job at BigQuery: project, location and id together are unique.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct JobRef {
    /// The project that runs the job.
    pub project: String,
    /// The location of the destination's dataset.
    pub location: String,
    /// The job id.
    pub id: String,
}

impl fmt::Display for JobRef {
    /// BigQuery's own spelling, which `bq show -j` takes.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}.{}", self.project, self.location, self.id)
    }
}

/// What BigQuery says of a job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JobRecord {
    /// The id, as BigQuery echoes it.
    pub id: String,
    /// How far it is.
    pub state: JobState,
    /// Where it loads to; absent if the job is no load job.
    pub destination: Option<TableRef>,
    /// The labels that it was made with.
    pub labels: BTreeMap<String, String>,
    /// The rows that it added, once it is done (`statistics.load.outputRows`).
    pub output_rows: Option<u64>,
    /// When it was created, in milliseconds since 1970.
    pub created_ms: Option<u64>,
    /// When it ended, in milliseconds since 1970.
    pub ended_ms: Option<u64>,
}

/// How far a job is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum JobState {
    /// Waiting to run.
    Pending,
    /// Running.
    Running,
    /// Done, without `errorResult`: every row is in. (`errors` may still list warnings.)
    Succeeded,
    /// Done, with `errorResult`: no row is in.
    Failed(JobFailure),
}

/// Why a job failed: `status.errorResult`, and what `status.errors` adds to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JobFailure {
    /// BigQuery's reason, such as `invalid` or `backendError`.
    pub reason: String,
    /// BigQuery's message.
    pub message: String,
    /// Further messages of `status.errors`, without the first's repetition.
    pub details: Vec<String>,
}

/// What is known of a destination table (`tables.get`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TableInfo {
    /// When the table was created, in milliseconds since 1970.
    pub created_ms: u64,
    /// Its columns, in order.
    pub columns: Vec<TableColumn>,
    /// Whether it is partitioned.
    pub partitioned: bool,
}

/// A column of a BigQuery table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TableColumn {
    /// The column's name. BigQuery compares names without case.
    pub name: String,
    /// The type in its API spelling, upper case: `INTEGER`, `FLOAT`, `BOOLEAN`, `STRING`, `BYTES`,
    /// `NUMERIC`, `BIGNUMERIC`, `DATE`, `TIME`, `DATETIME`, `TIMESTAMP`, `JSON`, `RECORD` …
    pub kind: String,
    /// `NULLABLE`, `REQUIRED` or `REPEATED`.
    pub mode: ColumnMode,
}

/// The mode of a column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ColumnMode {
    /// May be null.
    Nullable,
    /// Never null.
    Required,
    /// A list.
    Repeated,
}

/// A load job, planned: all that BigQuery is told, and which bytes follow.
#[derive(Debug, Clone, PartialEq)]
pub struct LoadJob {
    /// The job's name.
    pub job: JobRef,
    /// The job resource (`jobReference` and `configuration`) in BigQuery's JSON.
    pub resource: serde_json::Value,
    /// The bytes to load, in order. Today one part: the whole object.
    pub parts: Vec<Part>,
}

impl LoadJob {
    /// The length of the upload in bytes: the sum of its parts.
    pub fn content_length_bytes(&self) -> u64 {
        self.parts.iter().map(Part::length_bytes).sum()
    }
}

/// A piece of an upload's body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Part {
    /// A range of an object.
    Range {
        /// Which object.
        object: crate::object::Object,
        /// Where the range starts.
        offset_bytes: u64,
        /// How long it is.
        length_bytes: u64,
    },
    /// Bytes of our own.
    Bytes(bytes::Bytes),
}

impl Part {
    /// The part's length in bytes.
    pub fn length_bytes(&self) -> u64 {
        match self {
            Self::Range { length_bytes, .. } => *length_bytes,
            Self::Bytes(bytes) => bytes.len() as u64,
        }
    }
}
