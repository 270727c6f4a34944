//! SQS by its rules, the unpleasant ones included: a standard queue in memory, and the one call that a worker makes to
//! it (`ChangeMessageVisibilityBatch`, <https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/>).

use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use dms2bq::cloud::{VISIBILITY_CHANGES_PER_CALL, VISIBILITY_TIMEOUT_SECS_MAX};
use serde::Deserialize;
use serde_json::{Value, json};

use super::dice::Dice;
use crate::lambda_api::unix_ms;

const REGION: &str = "us-east-1";
const ACCOUNT: &str = "111122223333";
const NAME: &str = "dms2bq";

/// How a queue behaves.
#[derive(Debug, Clone)]
pub(crate) struct Rules {
    /// How long a message that was handed out stays away.
    pub(crate) visibility: Duration,
    /// How long a second lasts that a worker asks for: a back-off of minutes must pass in seconds here.
    pub(crate) asked_second: Duration,
    /// A message that was handed out so often is dead-lettered instead of being handed out again.
    pub(crate) max_receive_count: u32,
    /// Once in so many receives a message is handed out that is in flight or deleted; 0 is never. SQS may do both.
    pub(crate) again_once_in: u64,
}

/// A standard queue.
pub(crate) struct Queue {
    rules: Rules,
    kept: Mutex<Kept>,
}

struct Kept {
    dice: Dice,
    messages: Vec<Message>,
    done: Vec<Done>,
    visibility_changes: u64,
    last_end: Instant,
}

struct Message {
    body: String,
    files: Vec<u64>,
    sent_ms: u64,
    receive_count: u32,
    place: Place,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    /// It may be handed out from this moment on.
    Queue(Instant),
    Deleted,
    DeadLetterQueue,
}

/// A message as a worker has it.
pub(crate) struct Delivery {
    handle: Handle,
    pub(crate) record: Value,
}

/// Which message, and which receive of it. The next receive makes it stale.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Handle {
    message: usize,
    receive: u32,
}

impl Handle {
    fn parse(text: &str) -> Option<Self> {
        let (message, receive) = text.split_once('-')?;
        Some(Self { message: message.parse().ok()?, receive: receive.parse().ok()? })
    }

    fn text(self) -> String {
        format!("{}-{}", self.message, self.receive)
    }
}

/// A worker said of a message that it is done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Done {
    pub(crate) files: Vec<u64>,
    pub(crate) at_ms: u64,
}

/// Counts over all messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct QueueFigures {
    pub(crate) messages: usize,
    pub(crate) receives: u64,
    pub(crate) most_receives: u32,
    pub(crate) ended: usize,
    pub(crate) visibility_changes: u64,
}

impl Queue {
    pub(crate) fn new(rules: Rules, dice: Dice) -> Self {
        let kept = Kept {
            dice,
            messages: Vec::new(),
            done: Vec::new(),
            visibility_changes: 0,
            last_end: Instant::now(),
        };
        Self { rules, kept: Mutex::new(kept) }
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap()
    }

    /// Takes a message that announces some files.
    pub(crate) fn send(&self, body: String, files: Vec<u64>) {
        let place = Place::Queue(Instant::now());
        self.kept().messages.push(Message { body, files, sent_ms: unix_ms(), receive_count: 0, place });
    }

    /// Hands out visible messages in any order, as many as `most` and `most_bytes` allow.
    pub(crate) fn receive(&self, most: usize, most_bytes: usize) -> Vec<Delivery> {
        let now = Instant::now();
        let mut kept = self.kept();
        kept.dead_letter(now, self.rules.max_receive_count);
        let mut waiting: Vec<usize> = (0..kept.messages.len())
            .filter(|at| matches!(kept.messages[*at].place, Place::Queue(from) if from <= now))
            .collect();
        let (mut deliveries, mut bytes) = (Vec::new(), 0);
        while deliveries.len() < most && !waiting.is_empty() {
            let drawn = kept.dice.below(waiting.len() as u64);
            let message = waiting.swap_remove(usize::try_from(drawn).expect("an index"));
            let delivery = kept.hand_out(message, now + self.rules.visibility);
            bytes += delivery.record.to_string().len() + 1;
            if bytes > most_bytes && !deliveries.is_empty() {
                kept.take_back(message, now);
                break;
            }
            deliveries.push(delivery);
        }
        if !deliveries.is_empty() && kept.dice.once_in(self.rules.again_once_in) {
            let messages = kept.messages.len() as u64;
            let drawn = kept.dice.below(messages);
            let message = usize::try_from(drawn).expect("an index");
            let is_here = deliveries.iter().any(|delivery| delivery.handle.message == message);
            if !is_here && kept.messages[message].place != Place::DeadLetterQueue {
                deliveries.push(kept.hand_out(message, now + self.rules.visibility));
            }
        }
        deliveries
    }

    /// What Lambda does with a reply: what is not named as failed is deleted.
    pub(crate) fn settle(&self, deliveries: &[Delivery], failed: &[String]) {
        let mut kept = self.kept();
        for delivery in deliveries {
            if !failed.contains(&message_id(delivery.handle.message)) {
                kept.delete(delivery.handle);
            }
        }
    }

    /// Every time that a worker said of a message that it is done.
    pub(crate) fn done(&self) -> Vec<Done> {
        self.kept().done.clone()
    }

    /// The files of messages that were dead-lettered.
    pub(crate) fn dead_lettered(&self) -> Vec<u64> {
        let kept = self.kept();
        let dead = kept.messages.iter().filter(|message| message.place == Place::DeadLetterQueue);
        dead.flat_map(|message| message.files.clone()).collect()
    }

    /// The files of messages that are neither deleted nor dead-lettered.
    pub(crate) fn unended(&self) -> Vec<u64> {
        let kept = self.kept();
        let left = kept.messages.iter().filter(|message| matches!(message.place, Place::Queue(_)));
        left.flat_map(|message| message.files.clone()).collect()
    }

    /// How long ago the last message ended.
    pub(crate) fn idle(&self) -> Duration {
        self.kept().last_end.elapsed()
    }

    pub(crate) fn figures(&self) -> QueueFigures {
        let kept = self.kept();
        let counts = || kept.messages.iter().map(|message| message.receive_count);
        QueueFigures {
            messages: kept.messages.len(),
            receives: counts().map(u64::from).sum(),
            most_receives: counts().max().unwrap_or(0),
            ended: kept.messages.iter().filter(|message| !matches!(message.place, Place::Queue(_))).count(),
            visibility_changes: kept.visibility_changes,
        }
    }

    pub(crate) fn routes(self: &Arc<Self>) -> Router {
        Router::new().route("/", post(call)).with_state(Arc::clone(self))
    }
}

impl Kept {
    fn dead_letter(&mut self, now: Instant, max_receive_count: u32) {
        for message in &mut self.messages {
            let is_visible = matches!(message.place, Place::Queue(from) if from <= now);
            if is_visible && message.receive_count >= max_receive_count {
                message.place = Place::DeadLetterQueue;
                self.last_end = now;
            }
        }
    }

    fn hand_out(&mut self, at: usize, back: Instant) -> Delivery {
        let message = &mut self.messages[at];
        message.receive_count += 1;
        message.place = Place::Queue(back);
        let handle = Handle { message: at, receive: message.receive_count };
        Delivery { handle, record: record(handle, message) }
    }

    /// As if it had not been handed out: it did not fit.
    fn take_back(&mut self, at: usize, now: Instant) {
        let message = &mut self.messages[at];
        message.receive_count -= 1;
        message.place = Place::Queue(now);
    }

    fn is_current(&self, handle: Handle) -> bool {
        let message = self.messages.get(handle.message);
        message.is_some_and(|it| it.receive_count == handle.receive && matches!(it.place, Place::Queue(_)))
    }

    fn delete(&mut self, handle: Handle) {
        let files = self.messages[handle.message].files.clone();
        self.done.push(Done { files, at_ms: unix_ms() });
        // A stale handle deletes nothing, which the real one may do as well.
        if self.is_current(handle) {
            self.messages[handle.message].place = Place::Deleted;
            self.last_end = Instant::now();
        }
    }
}

fn message_id(message: usize) -> String {
    format!("00000000-0000-4000-8000-{message:012}")
}

/// A message as Lambda's event source hands it over.
fn record(handle: Handle, message: &Message) -> Value {
    json!({
        "messageId": message_id(handle.message),
        "receiptHandle": handle.text(),
        "body": message.body,
        "attributes": {
            "ApproximateReceiveCount": message.receive_count.to_string(),
            "SentTimestamp": message.sent_ms.to_string(),
            "SenderId": "AIDAIENQZJOLO23YVJ4VO",
            "ApproximateFirstReceiveTimestamp": message.sent_ms.to_string(),
        },
        "messageAttributes": {},
        "md5OfBody": "e4e68fb7bd0e697a0ae8f1bb342846b3",
        "eventSource": "aws:sqs",
        "eventSourceARN": format!("arn:aws:sqs:{REGION}:{ACCOUNT}:{NAME}"),
        "awsRegion": REGION,
    })
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct ChangeVisibility {
    queue_url: String,
    entries: Vec<ChangeEntry>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct ChangeEntry {
    id: String,
    receipt_handle: String,
    visibility_timeout: u32,
}

/// The JSON protocol of AWS: the operation is a header.
async fn call(State(queue): State<Arc<Queue>>, headers: HeaderMap, body: String) -> Response {
    let target = headers.get("x-amz-target").and_then(|target| target.to_str().ok());
    if target != Some("AmazonSQS.ChangeMessageVisibilityBatch") {
        return refuse("com.amazonaws.sqs#UnsupportedOperation");
    }
    let Ok(change) = serde_json::from_str::<ChangeVisibility>(&body) else {
        return refuse("com.amazon.coral.service#SerializationException");
    };
    if !change.queue_url.ends_with(&format!("/{ACCOUNT}/{NAME}")) {
        return refuse("com.amazonaws.sqs#QueueDoesNotExist");
    }
    match change.entries.len() {
        0 => return refuse("com.amazonaws.sqs#EmptyBatchRequest"),
        entries if entries > VISIBILITY_CHANGES_PER_CALL => {
            return refuse("com.amazonaws.sqs#TooManyEntriesInBatchRequest");
        }
        _ => {}
    }
    let (mut successful, mut failed) = (Vec::new(), Vec::new());
    for entry in change.entries {
        match queue.change_visibility(&entry) {
            Ok(()) => successful.push(json!({ "Id": entry.id })),
            Err(code) => failed.push(json!({ "Id": entry.id, "SenderFault": true, "Code": code })),
        }
    }
    answer(StatusCode::OK, &json!({ "Successful": successful, "Failed": failed }))
}

impl Queue {
    fn change_visibility(&self, entry: &ChangeEntry) -> Result<(), &'static str> {
        if entry.visibility_timeout > VISIBILITY_TIMEOUT_SECS_MAX {
            return Err("InvalidParameterValue");
        }
        let handle = Handle::parse(&entry.receipt_handle).ok_or("ReceiptHandleIsInvalid")?;
        let mut kept = self.kept();
        if !kept.is_current(handle) {
            return Err("ReceiptHandleIsInvalid");
        }
        let back = Instant::now() + self.rules.asked_second * entry.visibility_timeout;
        kept.messages[handle.message].place = Place::Queue(back);
        kept.visibility_changes += 1;
        Ok(())
    }
}

fn refuse(code: &str) -> Response {
    answer(StatusCode::BAD_REQUEST, &json!({ "__type": code, "message": code }))
}

fn answer(status: StatusCode, body: &Value) -> Response {
    (status, [("content-type", "application/x-amz-json-1.0")], body.to_string()).into_response()
}
