//! One load: what is asked of the driver, and what it answers when the rows are in.

use crate::cloud::{CallError, Deadline};
use crate::event::Receipt;
use crate::job::JobRef;
use crate::job::error::JobError;
use crate::job::id::JobId;
use crate::key::DmsKey;
use crate::object::Object;
use crate::route::Route;

/// One load: the bytes, what they mean, where they go, and how the message came to us.
#[derive(Debug, Clone, Copy)]
pub struct Load<'a> {
    /// The bytes.
    pub object: &'a Object,
    /// What DMS meant.
    pub key: &'a DmsKey,
    /// Where they go.
    pub route: &'a Route,
    /// How the message came.
    pub receipt: &'a Receipt,
    /// When this must have ended.
    pub deadline: Deadline,
}

impl Load<'_> {
    /// The name of the `attempt`-th job.
    pub(super) fn job(&self, attempt: u32) -> JobRef {
        JobRef {
            project: self.route.destination.project.clone(),
            location: self.route.location.clone(),
            id: JobId::new(self.object, self.key, self.route, attempt).as_str().to_owned(),
        }
    }

    /// What a failed call for this load comes to.
    pub(super) fn call_error(&self, source: CallError) -> JobError {
        match source {
            // The only thing that a load's calls name and that may be missing is the dataset (or its project).
            CallError::NotFound { detail, .. } => self.dataset_not_found(detail),
            source => JobError::Call { destination: Box::new(self.route.destination.clone()), source },
        }
    }

    /// The destination's dataset is not there, as BigQuery says in `detail`.
    pub(super) fn dataset_not_found(&self, detail: String) -> JobError {
        JobError::DatasetNotFound {
            project: self.route.destination.project.clone(),
            dataset: self.route.destination.dataset.clone(),
            location: self.route.location.clone(),
            detail,
        }
    }
}

/// A load whose rows are in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settled {
    /// The job that brought them.
    pub job_id: String,
    /// Which attempt that was, from 0.
    pub attempt: u32,
    /// How many rows it added.
    pub row_count: u64,
    /// Whether the job was there before this receive asked for one.
    pub adopted: bool,
    /// The object's size, if this receive read it.
    pub size_bytes: Option<u64>,
    /// When the job ended, in milliseconds since 1970: from then on its rows can be queried.
    pub ended_ms: Option<u64>,
    /// Whether the job took longer than one receive waits for a job, so that the receive which made it could not tell of it.
    pub outlived_a_receive: bool,
    /// How long this receive waited for the job.
    pub job_wait_ms: u64,
}
