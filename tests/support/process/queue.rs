//! The queue: SQS in memory, made unkind; and over HTTP the one call that a worker makes to it
//! (<https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_ChangeMessageVisibilityBatch.html>).

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use dms2bq::cloud::clock::SystemClock;
use dms2bq::cloud::memory::queue::{Delivery, MESSAGES_PER_RECEIVE, MemoryQueue, RedrivePolicy};
use dms2bq::cloud::{CallError, Clock, Deadline, Queue, VisibilityChange};
use dms2bq::event::QueueArn;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::time::Instant;

use super::dice::Dice;
use crate::lambda_api::unix_ms;

/// How a queue behaves.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Rules {
    /// How long a message that was handed out stays away.
    pub(crate) visibility: Duration,
    /// How long it keeps a message away at most that a worker wants to be away: nobody waits here for ten minutes.
    pub(crate) longest_wait_secs: u32,
    /// Once in so many receives a message that is in flight is handed out once more; 0 is never.
    pub(crate) again_once_in: u64,
}

/// As in the templates.
const MAX_RECEIVE_COUNT: u32 = 50;

/// No record of ours is longer.
const RECORD_BYTES_MAX: usize = 8 * 1024;

/// A standard queue and its dead-letter queue.
pub(crate) struct LandingQueue {
    rules: Rules,
    queue: MemoryQueue,
    dead_letters: Arc<MemoryQueue>,
    kept: Mutex<Kept>,
}

/// What nobody but the run wants to know.
struct Kept {
    dice: Dice,
    /// The files that each message is about, by its id.
    files: HashMap<String, Vec<u64>>,
    in_flight: Vec<String>,
    done: Vec<Done>,
    figures: QueueFigures,
    last_end: Instant,
}

/// A worker said of a message that it is done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Done {
    pub(crate) files: Vec<u64>,
    pub(crate) at_ms: u64,
}

/// Counts over all messages.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct QueueFigures {
    pub(crate) messages: u64,
    pub(crate) receives: u64,
    /// Of one message.
    pub(crate) most_receives: u32,
    pub(crate) deleted: u64,
    pub(crate) visibility_changes: u64,
    /// Changes that were refused, as for a handle that is not the last.
    pub(crate) visibility_refusals: u64,
}

impl LandingQueue {
    pub(crate) fn new(rules: Rules, dice: Dice) -> Self {
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let visibility = rules.visibility;
        let dead_letters = Arc::new(MemoryQueue::new(arn("landing-dlq"), Arc::clone(&clock), visibility));
        let policy =
            RedrivePolicy { max_receive_count: MAX_RECEIVE_COUNT, dead_letters: Arc::clone(&dead_letters) };
        let queue = MemoryQueue::new(arn("landing"), Arc::clone(&clock), visibility).with_redrive(policy);
        let kept = Kept {
            dice,
            files: HashMap::new(),
            in_flight: Vec::new(),
            done: Vec::new(),
            figures: QueueFigures::default(),
            last_end: Instant::now(),
        };
        Self { rules, queue, dead_letters, kept: Mutex::new(kept) }
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap()
    }

    /// Takes a message about some files.
    pub(crate) fn send(&self, body: String, files: Vec<u64>) {
        let mut kept = self.kept();
        kept.files.insert(self.queue.send(body), files);
        kept.figures.messages += 1;
    }

    /// Hands out visible messages in any order, as many as `most` and `most_bytes` allow.
    pub(crate) fn receive(&self, most: usize, most_bytes: usize) -> Vec<Delivery> {
        let mut kept = self.kept();
        kept.expose_one(self);
        let (mut batch, mut bytes) = (Vec::new(), 0);
        while batch.len() < most && bytes + MESSAGES_PER_RECEIVE * RECORD_BYTES_MAX <= most_bytes {
            let dice = &mut kept.dice;
            let any = |left: usize| usize::try_from(dice.below(left as u64)).expect("an index");
            let received = self.queue.receive_in_order(most - batch.len(), any);
            if received.is_empty() {
                break;
            }
            bytes += received.iter().map(|it| it.as_lambda_record().to_string().len() + 1).sum::<usize>();
            batch.extend(received);
        }
        for delivery in &batch {
            kept.figures.receives += 1;
            kept.figures.most_receives = kept.figures.most_receives.max(delivery.receive_count);
            kept.in_flight.push(delivery.message_id.clone());
        }
        batch
    }

    /// What Lambda does with a reply: what is not named as failed is deleted.
    pub(crate) fn settle(&self, batch: &[Delivery], failed: &[String]) {
        let mut kept = self.kept();
        for delivery in batch.iter().filter(|delivery| !failed.contains(&delivery.message_id)) {
            let files = kept.files[&delivery.message_id].clone();
            kept.done.push(Done { files, at_ms: unix_ms() });
            if self.queue.delete(&delivery.receipt_handle) {
                kept.figures.deleted += 1;
                kept.last_end = Instant::now();
            }
        }
    }

    /// The files that a message is about.
    pub(crate) fn files_of(&self, batch: &[Delivery]) -> Vec<u64> {
        let kept = self.kept();
        batch.iter().flat_map(|delivery| kept.files[&delivery.message_id].clone()).collect()
    }

    /// Every time that a worker said of a message that it is done.
    pub(crate) fn done(&self) -> Vec<Done> {
        self.kept().done.clone()
    }

    /// The files of messages that were dead-lettered.
    pub(crate) fn dead_lettered(&self) -> Vec<u64> {
        self.files_by_id(&self.dead_letters.message_ids())
    }

    /// The files of messages that are neither deleted nor dead-lettered.
    pub(crate) fn left(&self) -> Vec<u64> {
        self.files_by_id(&self.queue.message_ids())
    }

    fn files_by_id(&self, ids: &[String]) -> Vec<u64> {
        let kept = self.kept();
        ids.iter().flat_map(|id| kept.files[id].clone()).collect()
    }

    /// How many messages are neither deleted nor dead-lettered.
    pub(crate) fn messages_left(&self) -> u64 {
        let figures = self.figures();
        figures.messages - figures.deleted - self.dead_letters.message_ids().len() as u64
    }

    /// How long ago a message was deleted.
    pub(crate) fn idle(&self) -> Duration {
        self.kept().last_end.elapsed()
    }

    pub(crate) fn figures(&self) -> QueueFigures {
        self.kept().figures
    }

    pub(crate) fn routes(self: &Arc<Self>) -> Router {
        Router::new().route("/", post(call)).with_state(Arc::clone(self))
    }

    async fn change_visibility(&self, change: &ChangeVisibility) -> Result<Value, CallError> {
        let to_change = |entry: &ChangeEntry| VisibilityChange {
            receipt_handle: entry.receipt_handle.clone(),
            visibility_timeout_secs: entry.visibility_timeout.min(self.rules.longest_wait_secs),
        };
        let changes: Vec<VisibilityChange> = change.entries.iter().map(to_change).collect();
        let ample = Deadline::at(Instant::now() + Duration::from_secs(3600));
        let failures = self.queue.set_visibility(self.queue.arn(), &changes, ample).await?;
        let (mut successful, mut failed) = (Vec::new(), Vec::new());
        for (index, ChangeEntry { id, .. }) in change.entries.iter().enumerate() {
            match failures.iter().find(|failure| failure.index == index) {
                None => successful.push(json!({ "Id": id })),
                Some(failure) => {
                    let (code, message) = failure.detail.split_once(": ").unwrap_or((&failure.detail, ""));
                    failed.push(json!({ "Id": id, "SenderFault": true, "Code": code, "Message": message }));
                }
            }
        }
        let mut kept = self.kept();
        kept.figures.visibility_changes += successful.len() as u64;
        kept.figures.visibility_refusals += failed.len() as u64;
        Ok(json!({ "Successful": successful, "Failed": failed }))
    }
}

impl Kept {
    /// Now and then lets a message be seen that somebody is working on.
    fn expose_one(&mut self, queue: &LandingQueue) {
        if !self.in_flight.is_empty() && self.dice.once_in(queue.rules.again_once_in) {
            let drawn = self.dice.below(self.in_flight.len() as u64);
            queue.queue.expose(&self.in_flight.swap_remove(usize::try_from(drawn).expect("an index")));
        }
    }
}

fn arn(name: &str) -> QueueArn {
    QueueArn::parse(&format!("arn:aws:sqs:us-east-1:111122223333:{name}")).expect("an ARN")
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

/// The JSON protocol of AWS: a header names the operation.
async fn call(State(queue): State<Arc<LandingQueue>>, headers: HeaderMap, body: String) -> Response {
    let target = headers.get("x-amz-target").and_then(|target| target.to_str().ok());
    if target != Some("AmazonSQS.ChangeMessageVisibilityBatch") {
        return refuse("com.amazonaws.sqs#UnsupportedOperation");
    }
    let Ok(change) = serde_json::from_str::<ChangeVisibility>(&body) else {
        return refuse("com.amazon.coral.service#SerializationException");
    };
    let arn = queue.queue.arn();
    if !change.queue_url.ends_with(&format!("/{}/{}", arn.account(), arn.name())) {
        return refuse("com.amazonaws.sqs#QueueDoesNotExist");
    }
    match queue.change_visibility(&change).await {
        Ok(result) => answer(StatusCode::OK, &result),
        Err(error) => refuse(&error.to_string()),
    }
}

fn refuse(code: &str) -> Response {
    answer(StatusCode::BAD_REQUEST, &json!({ "__type": code, "message": code }))
}

fn answer(status: StatusCode, body: &Value) -> Response {
    (status, [("content-type", "application/x-amz-json-1.0")], body.to_string()).into_response()
}
