//! The Lambda handler: a batch of SQS messages in, a partial-batch reply out.

use std::collections::HashMap;
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use aws_lambda_events::event::sqs::SqsMessage;
use futures_util::{FutureExt, StreamExt, stream};
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::cloud::{Clock, Deadline};
use crate::entry::mapping_store::MappingStore;
use crate::entry::redelivery::Redelivery;
use crate::event::{EventError, Notice, QueueArn, Receipt};
use crate::job::drive::LEAST_TIME_FOR_A_JOB;
use crate::outcome::record::{Known, Record};
use crate::outcome::reply::{Reply, Unproven, WholeBatch};
use crate::outcome::{Disposition, Outcome, StepError};
use crate::pipeline::{self, Pipeline};
use crate::route::Mappings;
use crate::telemetry::metrics::Metrics;
use crate::telemetry::{self, panic_message};

/// The messages of one batch at most: Lambda's own limit for a standard queue
/// (<https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-configure.html>).
const MESSAGES_PER_BATCH: usize = 10_000;

/// The records of one batch at most, in messages that hold several. A batch has 6 MB, and a record that names an object
/// takes more than 120 bytes of them, so what announces more announces nothing that could be loaded; each record
/// would still cost a piece of work and a line of the log. S3 sends one record in a message, and those always pass.
const RECORDS_PER_BATCH: usize = 50_000;

/// How many objects are worked on at once. A load is mostly waiting; sixteen uploads fill a Lambda's network, and
/// hold under a MiB each.
const OBJECTS_AT_ONCE: usize = 16;

/// What is kept of an invocation's time for the end: an eighth of what is left, 3 s at most. Two thirds of it are
/// for saying when returned messages come back, the rest is for the reply itself.
const MARGIN: Duration = Duration::from_secs(3);

/// With less than this left nothing is begun: it could not end.
const LEAST_TIME_TO_BEGIN: Duration = LEAST_TIME_FOR_A_JOB;

/// What an invocation may spend on its two parts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Time {
    /// Until then objects are worked on.
    pub work_until: Deadline,
    /// By then the reply has to be given.
    pub reply_by: Deadline,
}

impl Time {
    /// All of it for work, for callers whom nobody cuts off.
    pub fn until(deadline: Deadline) -> Self {
        Self { work_until: deadline, reply_by: deadline }
    }
}

/// What Lambda hands over: the messages as they stand, each parsed by itself so that none can spoil another.
#[derive(Debug, Deserialize)]
pub struct SqsBatch {
    /// The messages.
    #[serde(rename = "Records")]
    pub records: Vec<Box<RawValue>>,
}

impl SqsBatch {
    /// Reads the event of an invocation.
    ///
    /// # Errors
    /// [`InvocationError::NotABatch`] if it has no `Records`.
    pub fn parse(event: &RawValue) -> Result<Self, InvocationError> {
        serde_json::from_str(event.get()).map_err(|source| InvocationError::NotABatch { source })
    }
}

/// Who is told of every record, besides the log.
pub type Observer = Arc<dyn Fn(&Record) + Send + Sync>;

/// The handler of one process.
pub struct Handler {
    pipeline: Pipeline,
    mappings: MappingStore,
    clock: Arc<dyn Clock>,
    partial_replies: bool,
    redelivery: Option<Redelivery>,
    metrics: Option<Metrics>,
    observer: Option<Observer>,
}

/// An invocation cannot be answered message by message.
#[derive(Debug, thiserror::Error)]
pub enum InvocationError {
    /// The whole batch comes back.
    #[error(transparent)]
    WholeBatch(#[from] WholeBatch),
    /// The event is no batch of SQS.
    #[error("the event is no batch of SQS messages; invoke the function by an SQS event source mapping")]
    NotABatch {
        /// What is wrong with it.
        #[source]
        source: serde_json::Error,
    },
    /// More messages than Lambda ever hands over.
    #[error("a batch of {messages} messages; Lambda hands over {MESSAGES_PER_BATCH} at most")]
    TooManyMessages {
        /// How many there are.
        messages: usize,
    },
}

impl InvocationError {
    /// The stable code.
    pub fn code(&self) -> &'static str {
        match self {
            Self::WholeBatch(WholeBatch::PartialRepliesOff { .. }) => "outcome.whole_batch",
            Self::WholeBatch(WholeBatch::NoMessageId { .. }) => "outcome.no_message_id",
            Self::NotABatch { .. } => "event.not_a_batch",
            Self::TooManyMessages { .. } => "event.too_many_messages",
        }
    }
}

/// What is known of the messages that come back.
#[derive(Default)]
struct Returned {
    /// Of each message, what its records were told.
    dispositions: HashMap<usize, Vec<Disposition>>,
    /// The records that say that nothing can load.
    failed_for_all: Vec<Record>,
}

impl Returned {
    fn note(&mut self, message: usize, record: Record) {
        let disposition = record.disposition.unwrap_or(Disposition::MayPass);
        self.dispositions.entry(message).or_default().push(disposition);
        if disposition == Disposition::NothingCanLoad {
            self.failed_for_all.push(record);
        }
    }
}

/// What a message holds: a notice or an error for each of its records.
type Notices = Vec<Result<Notice, StepError>>;

/// One object of one message.
struct Piece {
    message: usize,
    receipt: Arc<Receipt>,
    notice: Result<Notice, StepError>,
}

impl Handler {
    /// A handler over a pipeline. `partial_replies` says whether the event source honours them.
    pub fn new(
        pipeline: Pipeline,
        mappings: MappingStore,
        clock: Arc<dyn Clock>,
        partial_replies: bool,
    ) -> Self {
        Self { pipeline, mappings, clock, partial_replies, redelivery: None, metrics: None, observer: None }
    }

    /// Says when returned messages come back. Without this they do after the queue's visibility timeout.
    #[must_use]
    pub fn with_redelivery(mut self, redelivery: Redelivery) -> Self {
        self.redelivery = Some(redelivery);
        self
    }

    /// Writes metrics into the log lines.
    #[must_use]
    pub fn with_metrics(mut self, metrics: Metrics) -> Self {
        self.mappings.count_rejected(metrics.clone());
        self.metrics = Some(metrics);
        self
    }

    /// Tells `observer` of every record as well.
    #[must_use]
    pub fn observed_by(mut self, observer: Observer) -> Self {
        self.observer = Some(observer);
        self
    }

    /// Reads the mappings ahead of the first invocation, within a budget, and says so if there are none.
    ///
    /// # Errors
    /// Why there are none yet, in words; the first invocation tries again.
    pub async fn prefetch_mappings(&self, budget: Duration) -> Result<(), String> {
        let deadline = Deadline::at(self.clock.now() + budget);
        self.mappings.begin(self.clock.as_ref(), deadline).await
    }

    /// The time of an invocation that Lambda ends at `ends_at_ms` (milliseconds since 1970).
    pub fn time(&self, ends_at_ms: u64) -> Time {
        let left = Duration::from_millis(ends_at_ms.saturating_sub(self.clock.unix_ms()));
        let margin = MARGIN.min(left / 8);
        let ends_at = self.clock.now() + left;
        Time { work_until: Deadline::at(ends_at - margin), reply_by: Deadline::at(ends_at - margin / 3) }
    }

    /// Works on a batch and says which messages are to come back.
    ///
    /// No task outlives the reply: all work happens inside this future.
    ///
    /// # Errors
    /// [`InvocationError`] if the whole batch has to come back.
    pub async fn handle(&self, batch: SqsBatch, time: Time) -> Result<Reply, InvocationError> {
        let messages = batch.records.len();
        if messages > MESSAGES_PER_BATCH {
            return Err(InvocationError::TooManyMessages { messages });
        }
        let received: Vec<(Arc<Receipt>, Option<String>)> =
            batch.records.iter().map(|r| receive(r)).collect();
        let receipts: Vec<Arc<Receipt>> = received.iter().map(|(receipt, _)| Arc::clone(receipt)).collect();
        let mut unproven = Unproven::new(receipts.iter().map(|receipt| receipt.message_id.clone()));
        let batch_is_empty = receipts.is_empty();
        let mappings = self.mappings.snapshot(self.clock.as_ref(), time.work_until).await;
        if let (Err(reason), true) = (&mappings, batch_is_empty) {
            // Nobody else would: this is how somebody who deploys asks whether it starts.
            telemetry::no_mappings_yet(reason, None, self.clock.unix_ms());
        }
        let pieces = take_apart(received, &mut unproven, |receipt| self.nothing_to_load(receipt));

        let unproven = Mutex::new(unproven);
        let returned = Mutex::new(Returned::default());
        let work = stream::iter(pieces).for_each_concurrent(OBJECTS_AT_ONCE, |piece| async {
            let message = piece.message;
            let (record, settled) = self.work(piece, &mappings, time.work_until).await;
            if settled {
                lock(&unproven).record_settled(message);
            } else {
                lock(&returned).note(message, record);
            }
        });
        self.mappings.look_beside(self.clock.as_ref(), time.work_until, work.boxed()).await;
        let (unproven, returned) = (into_inner(unproven), into_inner(returned));
        self.say_loudly(&returned.failed_for_all);
        let message_indexes = unproven.returned(self.partial_replies);
        self.postpone(&message_indexes, &returned, &receipts, time.reply_by).await;
        Ok(unproven.reply(self.partial_replies)?)
    }

    /// Says when the messages that come back do so: those of several records when the last of these is due.
    async fn postpone(
        &self,
        messages: &[usize],
        returned: &Returned,
        receipts: &[Arc<Receipt>],
        reply_by: Deadline,
    ) {
        let Some(redelivery) = &self.redelivery else { return };
        let mut postponed = Vec::with_capacity(messages.len());
        for (message, receipt) in messages.iter().filter_map(|index| Some((index, receipts.get(*index)?))) {
            // What comes back with others, or without any record's word, may pass like anything else.
            let dispositions =
                returned.dispositions.get(message).map_or(&[Disposition::MayPass][..], Vec::as_slice);
            let waits = dispositions.iter().map(|disposition| redelivery.wait(*disposition, receipt));
            postponed.push((Arc::clone(receipt), waits.max().unwrap_or_default()));
        }
        if !postponed.is_empty() {
            redelivery.postpone(&postponed, reply_by).await;
        }
    }

    /// Works on one notice outside of any batch, for `dms2bq load`.
    pub async fn handle_one(&self, notice: Notice, receipt: Receipt, deadline: Deadline) -> Record {
        let mappings = self.mappings.snapshot(self.clock.as_ref(), deadline).await;
        let piece = Piece { message: 0, receipt: Arc::new(receipt), notice: Ok(notice) };
        let (record, _settled) = self.work(piece, &mappings, deadline).await;
        record
    }

    /// Works on one object, whatever happens, and writes its line. Also says whether it has settled: loaded, or
    /// nothing to load.
    async fn work(
        &self,
        piece: Piece,
        mappings: &Result<Arc<Mappings>, String>,
        deadline: Deadline,
    ) -> (Record, bool) {
        let started = self.clock.now();
        let mut known = Known::default();
        let outcome = match (piece.notice, mappings) {
            (Err(error), _) => error.into(),
            (Ok(_), Err(detail)) => Outcome::Returned(StepError::Mappings { detail: detail.clone() }),
            (Ok(_), Ok(_)) if deadline.left(self.clock.as_ref()) < LEAST_TIME_TO_BEGIN => {
                Outcome::Returned(StepError::NotBegun)
            }
            (Ok(notice), Ok(mappings)) => {
                let run = self.pipeline.run(&notice, &piece.receipt, mappings, deadline, &mut known);
                let caught = AssertUnwindSafe(run).catch_unwind();
                match tokio::time::timeout_at(deadline.instant(), caught).await {
                    Ok(Ok(Ok(outcome))) => outcome,
                    Ok(Ok(Err(error))) => error.into(),
                    Ok(Err(panic)) => {
                        let message = panic_message(panic.as_ref()).to_owned();
                        Outcome::Returned(StepError::Panicked { message })
                    }
                    Err(_elapsed) => Outcome::Returned(StepError::OutOfTime),
                }
            }
        };
        let duration_ms = u64::try_from((self.clock.now() - started).as_millis()).unwrap_or(u64::MAX);
        let record = Record::new(&outcome, &known, &piece.receipt, duration_ms);
        self.write(&record);
        let settled = match outcome {
            Outcome::Loaded(_) | Outcome::Ignored(_) => true,
            Outcome::Returned(_) => false,
        };
        (record, settled)
    }

    /// What makes everything fail is said once per invocation, code and dataset, not once per message.
    fn say_loudly(&self, records: &[Record]) {
        let mut said = Vec::new();
        for record in records {
            let what = (record.code, record.dataset());
            if !said.contains(&what) {
                said.push(what);
                let alike = records.iter().filter(|other| (other.code, other.dataset()) == what).count();
                telemetry::nothing_can_load(record, alike, self.metrics.as_ref(), self.clock.unix_ms());
            }
        }
    }

    /// A message without any record is done, and leaves a line like every other.
    fn nothing_to_load(&self, receipt: &Receipt) {
        let ignored = crate::outcome::Ignored::quietly("event.no_records", "the message holds no record");
        self.write(&Record::new(&Outcome::Ignored(ignored), &Known::default(), receipt, 0));
    }

    fn write(&self, record: &Record) {
        telemetry::write_record(record, self.metrics.as_ref(), self.clock.unix_ms());
        if let Some(observer) = &self.observer {
            observer(record);
        }
    }
}

/// Reads one message of the batch: how it came, and its body.
fn receive(record: &RawValue) -> (Arc<Receipt>, Option<String>) {
    /// Of a message that is otherwise unreadable, the id is what lets it fail alone.
    #[derive(Deserialize, Default)]
    #[serde(rename_all = "camelCase", default)]
    struct IdOnly {
        message_id: Option<String>,
    }
    match serde_json::from_str::<SqsMessage>(record.get()) {
        Ok(message) => {
            let number =
                |name| message.attributes.get(name).and_then(|text: &String| text.parse::<u64>().ok());
            let receive_count = number("ApproximateReceiveCount").and_then(|count| u32::try_from(count).ok());
            let receipt = Receipt {
                message_id: message.message_id.unwrap_or_default(),
                receive_count: receive_count.unwrap_or(1),
                sent_at_ms: number("SentTimestamp"),
                redriven: message.attributes.contains_key("DeadLetterQueueSourceArn"),
                receipt_handle: message.receipt_handle.filter(|handle| !handle.is_empty()),
                queue: message.event_source_arn.as_deref().and_then(QueueArn::parse),
            };
            (Arc::new(receipt), Some(message.body.unwrap_or_default()))
        }
        Err(_) => {
            let id = serde_json::from_str::<IdOnly>(record.get()).unwrap_or_default();
            let message_id = id.message_id.unwrap_or_default();
            (Arc::new(Receipt { message_id, receive_count: 1, ..Receipt::default() }), None)
        }
    }
}

/// What a message holds, or, of several records for which the batch has no room left, one error.
fn admit(notices: Notices, records_left: &mut usize) -> Notices {
    let records = notices.len();
    if records <= 1 {
        return notices;
    }
    match records_left.checked_sub(records) {
        Some(left) => {
            *records_left = left;
            notices
        }
        None => vec![Err(EventError::TooManyRecords { records, limit: *records_left }.into())],
    }
}

/// Takes every message apart into its objects, and notes how many each has.
fn take_apart(
    messages: Vec<(Arc<Receipt>, Option<String>)>,
    unproven: &mut Unproven,
    nothing_to_load: impl Fn(&Receipt),
) -> Vec<Piece> {
    let mut pieces = Vec::with_capacity(messages.len());
    let mut records_left = RECORDS_PER_BATCH;
    for (message, (receipt, body)) in messages.into_iter().enumerate() {
        let notices =
            match std::panic::catch_unwind(|| pipeline::notices(body.as_deref().unwrap_or_default())) {
                Ok(Ok(notices)) => notices,
                Ok(Err(error)) => vec![Err(error)],
                Err(panic) => {
                    vec![Err(StepError::Panicked { message: panic_message(panic.as_ref()).to_owned() })]
                }
            };
        let notices = admit(notices, &mut records_left);
        unproven.has_records(message, notices.len());
        if notices.is_empty() {
            nothing_to_load(&receipt);
        }
        pieces.extend(notices.into_iter().map(|notice| Piece {
            message,
            receipt: Arc::clone(&receipt),
            notice,
        }));
    }
    pieces
}

fn into_inner<T>(mutex: Mutex<T>) -> T {
    mutex.into_inner().unwrap_or_else(PoisonError::into_inner)
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    // A panic while one of these is held leaves at worst a message unproven, which is the safe side.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
