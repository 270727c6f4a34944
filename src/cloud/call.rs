//! How a call to the outside fails, and the one retry loop.

use std::time::Duration;

/// A call to a service failed. What matters is what may have happened all the same, and what to tell a person.
///
/// The default for the unknown is the careful one: an unclear answer to a write is
/// [`CallError::Unanswered`], never a plain failure.
#[derive(Debug, thiserror::Error)]
pub enum CallError {
    /// The request was never sent: no connection, or no token because the network failed.
    #[error("{call}: the request was not sent")]
    NotSent {
        /// What was being done, such as `jobs.get`.
        call: &'static str,
        /// The transport's error.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// A read had no usable answer: a time-out, a reset, a 5xx, a body that cannot be understood.
    #[error("{call}: no usable answer ({detail})")]
    Unavailable {
        /// What was being done.
        call: &'static str,
        /// The status and reason, or the transport's error, without secrets.
        detail: String,
    },
    /// A write had no usable answer: it may have happened.
    #[error("{call}: no usable answer, so it may have happened ({detail})")]
    Unanswered {
        /// What was being done.
        call: &'static str,
        /// The status and reason, or the transport's error, without secrets.
        detail: String,
    },
    /// The service asked for patience (429, `rateLimitExceeded`, S3's `SlowDown`); it did not happen.
    #[error("{call}: throttled ({detail})")]
    Throttled {
        /// What was being done.
        call: &'static str,
        /// The reason as the service gave it.
        detail: String,
        /// What the service asked us to wait, if it said.
        retry_after: Option<Duration>,
    },
    /// A quota of the day is used up (`quotaExceeded`); it did not happen.
    #[error("{call}: a quota is used up ({detail})")]
    QuotaExceeded {
        /// What was being done.
        call: &'static str,
        /// The message as the service gave it.
        detail: String,
    },
    /// The service refused us: credentials, token or permission.
    #[error("{call}: refused ({detail})")]
    Denied {
        /// What was being done.
        call: &'static str,
        /// The status and message.
        detail: String,
    },
    /// What the call is about does not exist, and the call has no answer for that.
    #[error("{call}: not found ({detail})")]
    NotFound {
        /// What was being done.
        call: &'static str,
        /// The message as the service gave it.
        detail: String,
    },
    /// The service understood the request and refuses it for good.
    #[error("{call}: rejected ({detail})")]
    Rejected {
        /// What was being done.
        call: &'static str,
        /// The status, reason and message.
        detail: String,
    },
    /// The invocation's time was up before an answer came. If `sent`, it may have happened.
    #[error("{call}: the time for this invocation was up")]
    OutOfTime {
        /// What was being done.
        call: &'static str,
        /// Whether any of a write was sent.
        sent: bool,
    },
}

impl CallError {
    /// Whether what was asked for may have been done although the call failed.
    pub fn may_have_happened(&self) -> bool {
        match self {
            Self::Unanswered { .. } => true,
            Self::OutOfTime { sent, .. } => *sent,
            Self::NotSent { .. }
            | Self::Unavailable { .. }
            | Self::Throttled { .. }
            | Self::QuotaExceeded { .. }
            | Self::Denied { .. }
            | Self::NotFound { .. }
            | Self::Rejected { .. } => false,
        }
    }
}
