//! A handler over twins that a test can watch and spoil, and the batches that it is given.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use dms2bq::cloud::memory::objects::MemoryObjects;
use dms2bq::cloud::memory::warehouse::MemoryWarehouse;
use dms2bq::cloud::{
    ByteStream, CallError, Clock, Deadline, InsertError, Inserted, ObjectHead, Objects, ObjectsError,
    TableLookup, Tail, Warehouse,
};
use dms2bq::entry::lambda::{Handler, SqsBatch, Time};
use dms2bq::entry::mapping_store::MappingStore;
use dms2bq::job::{JobRecord, JobRef, LoadJob};
use dms2bq::object::{Object, ObjectRef};
use dms2bq::outcome::record::Record;
use dms2bq::pipeline::Pipeline;
use dms2bq::route::{MappingFile, Mappings, TableRef};
use serde_json::{Value, json};

use crate::cases;
use crate::twins::TestClock;

pub(crate) const BUCKET: &str = "acme-landing";

/// The mappings that all batches go by: `tests/cases/batches/mappings`.
pub(crate) fn mappings() -> Arc<Mappings> {
    let folder = cases::root("batches").join("mappings");
    let read =
        |name: String| MappingFile { text: cases::text(&folder, &name), name: format!("mappings/{name}") };
    let files = cases::files("batches/mappings", "json").into_iter().map(read).collect();
    Arc::new(Mappings::parse(files).unwrap_or_else(|problems| panic!("{problems}")))
}

/// The records that a handler has written.
pub(crate) type Records = Arc<Mutex<Vec<Record>>>;

/// A handler, and all that it works on.
pub(crate) struct Bench {
    pub(crate) objects: Arc<WatchedObjects>,
    pub(crate) memory: Arc<MemoryWarehouse>,
    pub(crate) warehouse: Arc<UnrulyWarehouse>,
    pub(crate) handler: Handler,
    pub(crate) records: Records,
    pub(crate) clock: Arc<dyn Clock>,
}

impl Bench {
    pub(crate) fn new() -> Self {
        Self::with(MappingStore::fixed(mappings()), true)
    }

    pub(crate) fn with(mappings: MappingStore, partial_replies: bool) -> Self {
        Self::over(Arc::new(TestClock::at_unix_s(1_700_000_000)), mappings, partial_replies)
    }

    pub(crate) fn over(clock: Arc<dyn Clock>, mappings: MappingStore, partial_replies: bool) -> Self {
        let objects = Arc::new(WatchedObjects::default());
        let memory = Arc::new(MemoryWarehouse::new(Arc::clone(&clock)));
        memory.create_dataset("acme-dw", "casino_a", "asia-northeast3");
        let warehouse = Arc::new(UnrulyWarehouse::over(Arc::clone(&memory)));
        let (handler, records) = handler(
            Arc::clone(&objects) as _,
            Arc::clone(&warehouse) as _,
            &clock,
            mappings,
            partial_replies,
        );
        Self { objects, memory, warehouse, handler, records, clock }
    }

    /// Puts an object and gives the record that S3 would send of it.
    pub(crate) fn put(&self, key: &str, bytes: impl Into<Bytes>) -> Value {
        let object = self.objects.inner.put(BUCKET, key, bytes);
        record(BUCKET, key, object.etag().as_str())
    }

    /// Gives the handler a batch, with ample time, and tells which messages come back.
    pub(crate) async fn handle(&self, messages: &[Value]) -> Vec<String> {
        let deadline = Deadline::at(self.clock.now() + Duration::from_secs(3600));
        failures(&self.handler, messages, deadline).await
    }

    pub(crate) fn rows(&self, table: &str) -> Option<u64> {
        self.memory.row_count(&table_ref(table))
    }

    /// What the handler has written, in words, sorted: `id: loaded`, `id: returned event.not_json, never`.
    pub(crate) fn lines(&self) -> Vec<String> {
        lines(&self.records)
    }
}

pub(crate) fn handler(
    objects: Arc<dyn Objects>,
    warehouse: Arc<dyn Warehouse>,
    clock: &Arc<dyn Clock>,
    mappings: MappingStore,
    partial_replies: bool,
) -> (Handler, Records) {
    let records = Records::default();
    let pipeline = Pipeline::new(objects, warehouse, Arc::clone(clock));
    let seen = Arc::clone(&records);
    let handler = Handler::new(pipeline, mappings, Arc::clone(clock), partial_replies)
        .observed_by(Arc::new(move |record| seen.lock().unwrap().push(record.clone())));
    (handler, records)
}

pub(crate) async fn failures(handler: &Handler, messages: &[Value], deadline: Deadline) -> Vec<String> {
    let reply = handler.handle(batch(messages), Time::until(deadline)).await.unwrap();
    reply.batch_item_failures.into_iter().map(|failure| failure.item_identifier).collect()
}

pub(crate) fn lines(records: &Records) -> Vec<String> {
    let mut lines: Vec<String> = records.lock().unwrap().iter().map(line).collect();
    lines.sort();
    lines
}

fn line(record: &Record) -> String {
    let code = record.code.map(|code| format!(" {code}")).unwrap_or_default();
    let disposition = record.disposition.map(|word| format!(", {}", word.as_str())).unwrap_or_default();
    format!("{}: {}{code}{disposition}", record.message_id, record.outcome)
}

pub(crate) fn table_ref(table: &str) -> TableRef {
    let [project, dataset, table] = ["acme-dw", "casino_a", table].map(str::to_owned);
    TableRef { project, dataset, table }
}

pub(crate) fn batch(messages: &[Value]) -> SqsBatch {
    serde_json::from_str(&json!({ "Records": messages }).to_string()).unwrap()
}

/// A message as SQS hands it to Lambda.
pub(crate) fn message(id: &str, receive_count: u32, body: &str) -> Value {
    json!({
        "messageId": id,
        "receiptHandle": "AQEB",
        "body": body,
        "attributes": {
            "ApproximateReceiveCount": receive_count.to_string(),
            "SentTimestamp": "1600000000000",
            "SenderId": "AIDAEXAMPLE",
            "ApproximateFirstReceiveTimestamp": "1600000000001",
        },
        "messageAttributes": {},
        "md5OfBody": "0",
        "eventSource": "aws:sqs",
        "eventSourceARN": "arn:aws:sqs:ap-northeast-2:111122223333:dms2bq",
        "awsRegion": "ap-northeast-2",
    })
}

/// A message of these records of S3.
pub(crate) fn news(id: &str, records: &[Value]) -> Value {
    message(id, 1, &json!({ "Records": records }).to_string())
}

/// What S3 says of an object that was put.
pub(crate) fn record(bucket: &str, key: &str, etag: &str) -> Value {
    json!({
        "eventVersion": "2.1",
        "eventSource": "aws:s3",
        "eventTime": "2022-12-01T09:30:17.512Z",
        "eventName": "ObjectCreated:Put",
        "s3": { "bucket": { "name": bucket }, "object": { "key": key.replace(' ', "+"), "size": 4096, "eTag": etag } },
    })
}

/// S3 in memory, whose calls are counted by key.
#[derive(Default)]
pub(crate) struct WatchedObjects {
    pub(crate) inner: MemoryObjects,
    calls: Mutex<BTreeMap<String, usize>>,
}

impl WatchedObjects {
    pub(crate) fn calls(&self, key: &str) -> usize {
        self.calls.lock().unwrap().get(key).copied().unwrap_or(0)
    }

    /// The keys that S3 was asked about, sorted.
    pub(crate) fn keys_called(&self) -> Vec<String> {
        self.calls.lock().unwrap().keys().cloned().collect()
    }

    fn note(&self, key: &str) {
        *self.calls.lock().unwrap().entry(key.to_owned()).or_default() += 1;
    }
}

#[async_trait]
impl Objects for WatchedObjects {
    async fn head(&self, object: &ObjectRef) -> Result<ObjectHead, ObjectsError> {
        self.note(&object.key);
        self.inner.head(object).await
    }

    async fn read_tail(&self, object: &Object, length_bytes: u64) -> Result<Tail, ObjectsError> {
        self.note(object.key());
        self.inner.read_tail(object, length_bytes).await
    }

    async fn open(&self, object: &Object, range: Range<u64>) -> Result<ByteStream, ObjectsError> {
        self.note(object.key());
        self.inner.open(object, range).await
    }
}

/// How an insertion goes, by the destination's table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Manner {
    /// As in memory.
    Well,
    /// The twin panics.
    Panics,
    /// There is never an answer.
    Hangs,
}

/// Decides by the destination's table.
type Behaviour = Box<dyn Fn(&str) -> Manner + Send>;

/// BigQuery in memory, whose insertions may misbehave, and are counted while they are under way.
pub(crate) struct UnrulyWarehouse {
    inner: Arc<MemoryWarehouse>,
    manner: Mutex<Behaviour>,
    meeting: Mutex<Option<Arc<tokio::sync::Barrier>>>,
    under_way: AtomicUsize,
    most_under_way: AtomicUsize,
}

impl UnrulyWarehouse {
    fn over(inner: Arc<MemoryWarehouse>) -> Self {
        Self {
            inner,
            manner: Mutex::new(Box::new(|_| Manner::Well)),
            meeting: Mutex::default(),
            under_way: AtomicUsize::new(0),
            most_under_way: AtomicUsize::new(0),
        }
    }

    /// Decides by the destination's table how each insertion goes.
    pub(crate) fn behave(&self, manner: impl Fn(&str) -> Manner + Send + 'static) {
        *self.manner.lock().unwrap() = Box::new(manner);
    }

    /// Lets no insertion go on before this many are under way.
    pub(crate) fn wait_for(&self, insertions: usize) {
        *self.meeting.lock().unwrap() = Some(Arc::new(tokio::sync::Barrier::new(insertions)));
    }

    pub(crate) fn under_way(&self) -> usize {
        self.under_way.load(Ordering::SeqCst)
    }

    pub(crate) fn most_under_way(&self) -> usize {
        self.most_under_way.load(Ordering::SeqCst)
    }
}

/// Counts an insertion for as long as its future lives.
struct UnderWay<'a>(&'a UnrulyWarehouse);

impl<'a> UnderWay<'a> {
    fn begin(warehouse: &'a UnrulyWarehouse) -> Self {
        let now = warehouse.under_way.fetch_add(1, Ordering::SeqCst) + 1;
        warehouse.most_under_way.fetch_max(now, Ordering::SeqCst);
        Self(warehouse)
    }
}

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        self.0.under_way.fetch_sub(1, Ordering::SeqCst);
    }
}

#[async_trait]
impl Warehouse for UnrulyWarehouse {
    async fn get_job(&self, job: &JobRef, deadline: Deadline) -> Result<Option<JobRecord>, CallError> {
        self.inner.get_job(job, deadline).await
    }

    async fn get_table(&self, table: &TableRef, deadline: Deadline) -> Result<TableLookup, CallError> {
        self.inner.get_table(table, deadline).await
    }

    async fn insert(
        &self,
        load: &LoadJob,
        objects: Arc<dyn Objects>,
        deadline: Deadline,
    ) -> Result<Inserted, InsertError> {
        let _under_way = UnderWay::begin(self);
        let table = load.resource["configuration"]["load"]["destinationTable"]["tableId"].as_str().unwrap();
        let manner = (self.manner.lock().unwrap())(table);
        let meeting = self.meeting.lock().unwrap().clone();
        if let Some(meeting) = meeting {
            meeting.wait().await;
        }
        match manner {
            Manner::Well => self.inner.insert(load, objects, deadline).await,
            Manner::Panics => panic!("the twin panics"),
            Manner::Hangs => std::future::pending().await,
        }
    }
}
