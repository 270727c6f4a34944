//! When returned messages come back: their visibility, set in tens, just before the reply.
//!
//! Not earlier: a message that is visible again is handed to another worker, while this one still works on it. A
//! failure here is harmless, since what is not set comes back after the queue's own visibility timeout; it is
//! logged, once for an invocation.

use std::collections::BTreeMap;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures_util::{FutureExt, StreamExt, stream};

use crate::cloud::{
    Deadline, Jitter, Queue, VISIBILITY_CHANGES_PER_CALL, VISIBILITY_TIMEOUT_SECS_MAX, VisibilityChange,
};
use crate::event::{QueueArn, Receipt};
use crate::outcome::Disposition;
use crate::outcome::record::Chain;
use crate::telemetry;

/// Calls made at once: a batch of 10,000 messages is a thousand of them.
const CALLS_AT_ONCE: usize = 16;

/// Tells the queue when messages are to come back.
pub struct Redelivery {
    queue: Arc<dyn Queue>,
    jitter: Jitter,
}

/// The changes of one call, all of one queue.
struct Call {
    queue: QueueArn,
    changes: Vec<VisibilityChange>,
}

impl Redelivery {
    /// Tells this queue.
    pub fn new(queue: Arc<dyn Queue>, jitter: Jitter) -> Self {
        Self { queue, jitter }
    }

    /// How long a message stays away.
    pub fn wait(&self, disposition: Disposition, receipt: &Receipt) -> Duration {
        disposition.comes_back_after(receipt.receive_count, self.jitter.draw())
    }

    /// Sets the visibility of returned messages. Whatever is not done by `deadline` is left.
    pub async fn postpone(&self, returned: &[(Arc<Receipt>, Duration)], deadline: Deadline) {
        let asked: usize = returned.len();
        let failures = stream::iter(calls(returned))
            .map(|call| self.set(call, deadline))
            .buffer_unordered(CALLS_AT_ONCE)
            .fold(Vec::new(), async |mut failures, of_call| {
                failures.extend(of_call);
                failures
            });
        match tokio::time::timeout_at(deadline.instant(), failures).await {
            Ok(failures) => {
                if let Some(first) = failures.first() {
                    telemetry::visibility_not_set(failures.len(), asked, first);
                }
            }
            Err(_elapsed) => telemetry::visibility_not_set(asked, asked, "the time for it was up"),
        }
    }

    /// Makes one call, and says of each message that was not set why. A panic is no more than that, either: the reply
    /// must not be lost over it.
    async fn set(&self, call: Call, deadline: Deadline) -> Vec<String> {
        let answer = self.queue.set_visibility(&call.queue, &call.changes, deadline);
        let detail = match AssertUnwindSafe(answer).catch_unwind().await {
            Ok(Ok(failures)) => return failures.into_iter().map(|failure| failure.detail).collect(),
            Ok(Err(error)) => Chain(&error).to_string(),
            Err(panic) => format!("dms2bq panicked: {}", telemetry::panic_message(panic.as_ref())),
        };
        vec![detail; call.changes.len()]
    }
}

/// Groups messages into calls. What has no handle, or no queue, cannot be set, and comes back by itself.
fn calls(returned: &[(Arc<Receipt>, Duration)]) -> Vec<Call> {
    let mut by_queue: BTreeMap<&QueueArn, Vec<VisibilityChange>> = BTreeMap::new();
    for (receipt, wait) in returned {
        if let (Some(queue), Some(receipt_handle)) = (&receipt.queue, &receipt.receipt_handle) {
            let change = VisibilityChange {
                receipt_handle: receipt_handle.clone(),
                visibility_timeout_secs: whole_secs(*wait),
            };
            by_queue.entry(queue).or_default().push(change);
        }
    }
    let calls = by_queue.into_iter().flat_map(|(queue, changes)| {
        let tens: Vec<Call> = changes
            .chunks(VISIBILITY_CHANGES_PER_CALL)
            .map(|changes| Call { queue: queue.clone(), changes: changes.to_vec() })
            .collect();
        tens
    });
    calls.collect()
}

/// Rounded up, so that the waits are never shorter than they add up to.
fn whole_secs(wait: Duration) -> u32 {
    let secs = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
    u32::try_from(secs).unwrap_or(u32::MAX).min(VISIBILITY_TIMEOUT_SECS_MAX)
}
