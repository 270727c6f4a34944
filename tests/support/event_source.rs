//! Lambda's event source mapping, played over a queue in memory: receives batches, calls handlers, and deletes what
//! they have done.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use dms2bq::cloud::Clock;
use dms2bq::cloud::memory::queue::{Delivery, MESSAGES_PER_RECEIVE, MemoryQueue};
use dms2bq::entry::lambda::{Handler, SqsBatch};
use serde_json::json;

/// The queue and how it is read. The numbers are those of the deployment templates.
pub(crate) struct EventSource {
    pub(crate) queue: Arc<MemoryQueue>,
    pub(crate) clock: Arc<dyn Clock>,
    /// How long a batch that is not full waits for more.
    pub(crate) window: Duration,
    /// How long one invocation may take.
    pub(crate) timeout: Duration,
}

/// How long a poll that finds nothing takes.
const EMPTY_POLL: Duration = Duration::from_millis(200);

impl EventSource {
    /// One environment: invocation after invocation, until somebody says that it is over.
    pub(crate) async fn serve(&self, handler: &Handler, is_over: impl Fn() -> bool) {
        while !is_over() {
            let batch = self.gather().await;
            if batch.is_empty() {
                self.clock.sleep(EMPTY_POLL).await;
            } else {
                self.invoke(handler, batch).await;
            }
        }
    }

    async fn gather(&self) -> Vec<Delivery> {
        let mut batch = self.queue.receive(MESSAGES_PER_RECEIVE);
        if !batch.is_empty() && batch.len() < MESSAGES_PER_RECEIVE {
            self.clock.sleep(self.window).await;
            batch.extend(self.queue.receive(MESSAGES_PER_RECEIVE - batch.len()));
        }
        batch
    }

    async fn invoke(&self, handler: &Handler, batch: Vec<Delivery>) {
        let records: Vec<_> = batch.iter().map(Delivery::as_lambda_record).collect();
        let payload: SqsBatch = serde_json::from_value(json!({ "Records": records })).expect("a batch");
        let ends_at_ms = self.clock.unix_ms() + u64::try_from(self.timeout.as_millis()).expect("short");
        let Ok(reply) = handler.handle(payload, handler.time(ends_at_ms)).await else { return };
        let failed: HashSet<String> =
            reply.batch_item_failures.into_iter().map(|f| f.item_identifier).collect();
        for delivery in batch.iter().filter(|delivery| !failed.contains(&delivery.message_id)) {
            assert!(self.queue.delete(&delivery.receipt_handle), "a message was worked on for too long");
        }
    }
}
