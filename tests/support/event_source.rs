//! A bucket that tells a queue of its objects, and Lambda's event source mapping, both played in memory: receives
//! batches, calls handlers, and deletes what they have done.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use dms2bq::cloud::memory::objects::MemoryObjects;
use dms2bq::cloud::memory::queue::{Delivery, MESSAGES_PER_RECEIVE, MemoryQueue, RedrivePolicy};
use dms2bq::cloud::{Clock, Jitter, Objects, Warehouse};
use dms2bq::entry::lambda::{Handler, Observer, SqsBatch};
use dms2bq::entry::mapping_store::MappingStore;
use dms2bq::entry::redelivery::Redelivery;
use dms2bq::event::QueueArn;
use dms2bq::pipeline::Pipeline;
use dms2bq::route::{MappingFile, Mappings};
use serde_json::{Value, json};

const BUCKET: &str = "acme-landing";

/// Where DMS writes: `{FOLDER}/schema/table/file`.
pub(crate) const FOLDER: &str = "dms/shop";

/// The dataset of all tables.
pub(crate) const DATASET: (&str, &str, &str) = ("acme-dw", "shop", "asia-northeast3");

/// The numbers of the deployment templates.
const VISIBILITY_TIMEOUT: Duration = Duration::from_secs(6 * 60 + 3);
const MAX_RECEIVE_COUNT: u32 = 50;
const FUNCTION_TIMEOUT: Duration = Duration::from_secs(60);

/// A bucket, its queue with a dead-letter queue, and who reads it.
pub(crate) struct EventSource {
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) objects: Arc<MemoryObjects>,
    pub(crate) queue: Arc<MemoryQueue>,
    pub(crate) dead_letters: Arc<MemoryQueue>,
    /// How long a batch that is not full waits for more.
    window: Duration,
}

/// How long a poll that finds nothing takes.
const EMPTY_POLL: Duration = Duration::from_millis(200);

impl EventSource {
    pub(crate) fn new(clock: Arc<dyn Clock>, window: Duration) -> Self {
        let queue = |name| {
            let arn = format!("arn:aws:sqs:ap-northeast-2:111122223333:{name}");
            let arn = QueueArn::parse(&arn).expect("an ARN");
            MemoryQueue::new(arn, Arc::clone(&clock), VISIBILITY_TIMEOUT)
        };
        let dead_letters = Arc::new(queue("dead"));
        let policy =
            RedrivePolicy { max_receive_count: MAX_RECEIVE_COUNT, dead_letters: Arc::clone(&dead_letters) };
        let queue = Arc::new(queue("dms2bq").with_redrive(policy));
        Self { clock, objects: Arc::new(MemoryObjects::new()), queue, dead_letters, window }
    }

    /// Puts an object, of which S3 tells the queue.
    pub(crate) fn put(&self, key: &str, bytes: bytes::Bytes) {
        let size = bytes.len();
        let object = self.objects.put(BUCKET, key, bytes);
        let object = json!({ "key": key, "size": size, "eTag": object.etag().as_str() });
        let record = json!({
            "eventVersion": "2.1", "eventSource": "aws:s3", "eventName": "ObjectCreated:Put",
            "s3": { "bucket": { "name": BUCKET }, "object": object },
        });
        self.queue.send(json!({ "Records": [record] }).to_string());
    }

    /// A process of the function. `partition` is the tables' option of that name.
    pub(crate) fn handler(
        &self,
        warehouse: Arc<dyn Warehouse>,
        partition: &Value,
        observer: Observer,
    ) -> Handler {
        let objects = Arc::clone(&self.objects) as Arc<dyn Objects>;
        let pipeline = Pipeline::new(objects, warehouse, Arc::clone(&self.clock));
        Handler::new(pipeline, MappingStore::fixed(mappings(partition)), Arc::clone(&self.clock), true)
            .with_redelivery(Redelivery::new(Arc::clone(&self.queue) as _, seeded_jitter()))
            .observed_by(observer)
    }

    /// One environment: invocation after invocation, until somebody says that it is over.
    pub(crate) async fn serve(&self, handler: &Handler, is_over: impl Fn() -> bool) {
        while !is_over() {
            let batch = self.gather().await;
            if batch.is_empty() {
                self.clock.sleep(self.poll()).await;
            } else {
                self.invoke(handler, batch).await;
            }
        }
    }

    /// A poll that finds nothing ends when there is something; nobody knows beforehand what will be sent.
    fn poll(&self) -> Duration {
        let next = self.queue.next_visible().map(|at| at.saturating_duration_since(self.clock.now()));
        next.unwrap_or(EMPTY_POLL).clamp(Duration::from_millis(1), EMPTY_POLL)
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
        let ends_at_ms = self.clock.unix_ms() + u64::try_from(FUNCTION_TIMEOUT.as_millis()).expect("short");
        let Ok(reply) = handler.handle(payload, handler.time(ends_at_ms)).await else { return };
        let failed: HashSet<String> =
            reply.batch_item_failures.into_iter().map(|f| f.item_identifier).collect();
        for delivery in batch.iter().filter(|delivery| !failed.contains(&delivery.message_id)) {
            assert!(self.queue.delete(&delivery.receipt_handle), "a message was worked on for too long");
        }
    }
}

fn mappings(partition: &Value) -> Arc<Mappings> {
    let (project, dataset, location) = DATASET;
    let mapping = json!({
        "source": { "bucket": BUCKET, "bucket_folder": FOLDER },
        "destination": { "project": project, "location": location, "dataset": dataset },
        "defaults": { "partition": partition },
        "tables": [{ "schema": "game", "table": "%" }],
    });
    let file = MappingFile { name: "shop.json".to_owned(), text: mapping.to_string() };
    Arc::new(Mappings::parse(vec![file]).expect("the mapping is good"))
}

/// The same numbers in every run.
fn seeded_jitter() -> Jitter {
    let state = AtomicU64::new(42);
    Jitter::from_fn(move || {
        let step = |state: u64| state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        let before = state.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |state| Some(step(state)));
        (before.unwrap_or_default() >> 11) as f64 / (1_u64 << 53) as f64
    })
}
