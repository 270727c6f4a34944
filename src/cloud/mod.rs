//! Everything outside the process, behind a few narrow traits.
//!
//! | Trait | Stands for | Real | Twin |
//! |---|---|---|---|
//! | [`Objects`] | S3 | [`aws`] | [`memory`]; and `folder`, for `dms2bq local` |
//! | [`Warehouse`] | BigQuery | [`google`] | [`memory`] |
//! | [`Queue`] | SQS | [`aws`] | [`memory`] |
//! | [`Clock`] | time | [`clock`] | the same, over a paused runtime |
//!
//! The docs of the traits are contracts; `tests/contract` examines every implementation by them.

pub mod call;
pub mod clock;
pub mod google;
pub mod aws;
#[cfg(feature = "cli")]
pub mod folder;
pub mod memory;
pub mod quote;

use std::ops::Range;
use std::pin::Pin;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::Stream;

use crate::event::QueueArn;
use crate::job::{JobRecord, JobRef, LoadJob, TableInfo};
use crate::object::{ETag, Object, ObjectRef};
use crate::route::TableRef;

pub use call::{CallError, Jitter};
pub use clock::{Clock, Deadline};

/// A stream of an object's bytes. An error ends it; nothing follows an error.
pub type ByteStream = Pin<Box<dyn Stream<Item = Result<Bytes, CallError>> + Send>>;

/// S3, as far as we need it.
///
/// All reads of bytes are conditional on the object's etag, so the bytes read are the bytes identified.
#[async_trait]
pub trait Objects: Send + Sync {
    /// Asks for an object's identity and size (HEAD), at its version if it names one.
    ///
    /// # Errors
    /// [`ObjectsError::Missing`] if there is no such object, version or bucket; otherwise the call's failure.
    async fn head(&self, object: &ObjectRef) -> Result<ObjectHead, ObjectsError>;

    /// Reads the last `length_bytes` of an object, or all of it if it is shorter, and learns its size.
    /// The bytes are held in memory, so the caller bounds the length.
    ///
    /// # Errors
    /// [`ObjectsError::Missing`], [`ObjectsError::Replaced`] if the etag is another one by now, or the
    /// call's failure.
    async fn read_tail(&self, object: &Object, length_bytes: u64) -> Result<Tail, ObjectsError>;

    /// Opens a range of an object for reading. The stream gives exactly the bytes of the range, or an
    /// error: a short body is an error, never a short success. An empty range gives an empty stream.
    ///
    /// # Errors
    /// As [`Objects::read_tail`]. A range beyond the object's end is the caller's bug and a rejected call.
    async fn open(&self, object: &Object, range: Range<u64>) -> Result<ByteStream, ObjectsError>;
}

/// What a HEAD tells.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObjectHead {
    /// The object's etag now.
    pub etag: ETag,
    /// Its size in bytes.
    pub size_bytes: u64,
}

/// The end of an object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tail {
    /// The last bytes.
    pub bytes: Bytes,
    /// The size of the whole object in bytes.
    pub object_size_bytes: u64,
}

/// Why an object was not read.
#[derive(Debug, thiserror::Error)]
pub enum ObjectsError {
    /// There is no such object, version or bucket.
    #[error("no such object")]
    Missing,
    /// The object under this key has another etag by now.
    #[error("the object was replaced")]
    Replaced,
    /// The call failed.
    #[error("the call to S3 failed")]
    Call(#[from] CallError),
}

/// BigQuery, as far as we need it.
#[async_trait]
pub trait Warehouse: Send + Sync {
    /// Reads a job's record; `None` if BigQuery knows no such job in that project and location.
    ///
    /// # Errors
    /// The call's failure. Reading changes nothing, so it may be repeated.
    async fn get_job(&self, job: &JobRef, deadline: Deadline) -> Result<Option<JobRecord>, CallError>;

    /// Reads what is known of a table.
    ///
    /// # Errors
    /// The call's failure. That a table or its dataset does not exist is an answer, not a failure.
    async fn get_table(&self, table: &TableRef, deadline: Deadline) -> Result<TableLookup, CallError>;

    /// Submits a load job with its bytes, read from `objects` as they are sent.
    ///
    /// `Ok(Created)` promises that BigQuery has the whole upload and has made the job with the id that was
    /// asked for. `Ok(Exists)` says that a job with this id is there already, whatever it is.
    ///
    /// # Errors
    /// [`InsertError`] says whether the job may have been made all the same.
    async fn insert(
        &self,
        load: &LoadJob,
        objects: Arc<dyn Objects>,
        deadline: Deadline,
    ) -> Result<Inserted, InsertError>;
}

/// What `tables.get` found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TableLookup {
    /// The table exists.
    Found(TableInfo),
    /// The dataset exists, the table does not.
    NoTable,
    /// The dataset does not exist.
    NoDataset,
}

/// How a submission ended.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(clippy::large_enum_variant, reason = "there is one for each load job, and it is not kept")]
pub enum Inserted {
    /// BigQuery made the job and answered with its record.
    Created(JobRecord),
    /// BigQuery refused it with 409: the id is taken.
    Exists,
}

/// Why a submission did not end well.
#[derive(Debug, thiserror::Error)]
pub enum InsertError {
    /// The object could not be read to its end; no job was made.
    #[error("read the object while uploading it")]
    Object(#[source] ObjectsError),
    /// At the speed seen the upload cannot end before the deadline; no job was made.
    #[error("upload {sent_bytes} of {total_bytes} bytes in {elapsed_ms} ms, too slow for the time left")]
    TooSlow {
        /// What BigQuery has received.
        sent_bytes: u64,
        /// What there is to send.
        total_bytes: u64,
        /// How long that took.
        elapsed_ms: u64,
    },
    /// The bytes do not begin as a Parquet file does; no job was made.
    #[error("the upload does not begin with PAR1, as a Parquet file does")]
    NotParquet,
    /// The call failed. [`CallError::may_have_happened`] says whether the job may exist.
    #[error("send the load job to BigQuery")]
    Call(#[source] CallError),
}

impl InsertError {
    /// Whether the job may have been made all the same.
    pub fn may_have_happened(&self) -> bool {
        match self {
            Self::Object(_) | Self::TooSlow { .. } | Self::NotParquet => false,
            Self::Call(error) => error.may_have_happened(),
        }
    }
}

/// The most messages whose visibility one call sets
/// (<https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_ChangeMessageVisibilityBatch.html>).
pub const VISIBILITY_CHANGES_PER_CALL: usize = 10;

/// The longest visibility timeout that SQS knows: twelve hours, counted from when the message was received.
pub const VISIBILITY_TIMEOUT_SECS_MAX: u32 = 43_200;

/// SQS, as far as we need it. Messages are handed to us by Lambda, acknowledged by our reply, and moved to the
/// dead-letter queue by SQS itself: we neither receive, nor send, nor delete.
#[async_trait]
pub trait Queue: Send + Sync {
    /// Says when messages that were received become visible again, counted from now. At most
    /// [`VISIBILITY_CHANGES_PER_CALL`] of them, each for at most [`VISIBILITY_TIMEOUT_SECS_MAX`].
    ///
    /// Each is set or fails on its own: `Ok` lists those that failed, and the others are set. A receipt handle is
    /// good until its message is deleted or handed out again; a stale one fails and changes nothing.
    ///
    /// # Errors
    /// The call failed as a whole. Each of the messages may have been set all the same; what is not set comes back
    /// after the queue's own visibility timeout.
    async fn set_visibility(
        &self,
        queue: &QueueArn,
        changes: &[VisibilityChange],
        deadline: Deadline,
    ) -> Result<Vec<VisibilityFailure>, CallError>;
}

/// When one message is to become visible again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VisibilityChange {
    /// The handle of the receive that we have.
    pub receipt_handle: String,
    /// Seconds from now.
    pub visibility_timeout_secs: u32,
}

/// One message whose visibility was not set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VisibilityFailure {
    /// Which of the changes, counted from 0.
    pub index: usize,
    /// SQS's code and message.
    pub detail: String,
}
