//! A seam for misbehaviour: a test may look at each request and spoil it, before it is done or after.

use std::time::Duration;

/// A request, as far as a fault may want to know it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Call {
    /// The HTTP method, upper case.
    pub method: String,
    /// The path, percent-encoded as it came.
    pub path: String,
    /// What stands after the question mark, or nothing.
    pub query: String,
}

/// What goes wrong with a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// The client gets this answer instead.
    Answer {
        /// The HTTP status.
        status: u16,
        /// `application/json`, or what a proxy in between would send.
        content_type: String,
        /// The whole body.
        body: String,
    },
    /// The connection ends without an answer.
    Cut,
    /// The answer comes later.
    Delay(Duration),
    /// No answer comes, and after so long the connection ends.
    Hang(Duration),
    /// The connection ends after this many bytes of the request's body have arrived. Only before the work.
    CutBody {
        /// How many bytes arrive.
        after_bytes: u64,
    },
}

/// A job that fails although its file is good.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JobFault {
    /// BigQuery's reason, such as `backendError`.
    pub reason: String,
    /// What the job's `errorResult` says.
    pub message: String,
}

/// Decides what goes wrong. The default is that nothing does.
///
/// A fault *before* the work means that the request did not happen; one *after* it, that it did, but the client
/// does not learn how it ended.
pub trait Faults: Send + Sync {
    /// Asked before a request is worked on.
    fn before(&self, _call: &Call) -> Option<Fault> {
        None
    }

    /// Asked when a request is done, before its answer is sent.
    fn after(&self, _call: &Call) -> Option<Fault> {
        None
    }

    /// Asked when a job is about to commit.
    fn job(&self, _job_id: &str) -> Option<JobFault> {
        None
    }
}

/// Nothing goes wrong.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoFaults;

impl Faults for NoFaults {}
