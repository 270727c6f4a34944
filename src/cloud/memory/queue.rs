//! SQS in memory: one standard queue, and the dead-letter queue that it may have.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tokio::time::Instant;

use crate::cloud::{
    CallError, Clock, Deadline, Queue, VISIBILITY_CHANGES_PER_CALL, VISIBILITY_TIMEOUT_SECS_MAX,
    VisibilityChange, VisibilityFailure,
};
use crate::event::QueueArn;

const SET_VISIBILITY: &str = "sqs.change_message_visibility_batch";

/// The most messages that one receive hands out
/// (<https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_ReceiveMessage.html>). Lambda gathers
/// a larger batch from several.
pub const MESSAGES_PER_RECEIVE: usize = 10;

/// A standard queue. Strict where SQS is vague: an old receipt handle never deletes, and nothing is handed out
/// twice unless its time has come or [`MemoryQueue::expose`] says so. Retention plays no part.
pub struct MemoryQueue {
    arn: QueueArn,
    clock: Arc<dyn Clock>,
    visibility_timeout: Duration,
    redrive: Option<RedrivePolicy>,
    state: Mutex<State>,
}

/// When messages leave for the dead-letter queue, and which that is.
#[derive(Debug, Clone)]
pub struct RedrivePolicy {
    /// How often a message is handed out at most. A receive beyond it moves the message instead.
    pub max_receive_count: u32,
    /// Where it goes.
    pub dead_letters: Arc<MemoryQueue>,
}

#[derive(Debug, Default)]
struct State {
    /// By the order in which they came.
    messages: BTreeMap<u64, Message>,
    /// The same, by when they are visible: a queue may hold a day's messages, and each receive looks here.
    by_visibility: BTreeSet<(Instant, u64)>,
    /// The handles of their last receives.
    by_handle: HashMap<String, u64>,
    /// Numbers the messages.
    taken_in: u64,
    /// Messages ever sent, and receives ever made: they number ids and handles.
    sent: u64,
    received: u64,
}

#[derive(Debug, Clone)]
struct Message {
    id: String,
    body: String,
    sent_at_ms: u64,
    first_received_at_ms: Option<u64>,
    receive_count: u32,
    /// The handle of the last receive, and when that was.
    receipt: Option<(String, Instant)>,
    visible_from: Instant,
    dead_letter_source: Option<QueueArn>,
}

/// A message as a receive hands it out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delivery {
    /// The message's id, the same at every receive.
    pub message_id: String,
    /// The handle of this receive.
    pub receipt_handle: String,
    /// The body, byte for byte as it was sent.
    pub body: String,
    /// How often it was handed out, this time included.
    pub receive_count: u32,
    /// When it was sent, in milliseconds since 1970.
    pub sent_at_ms: u64,
    /// When it was first handed out.
    pub first_received_at_ms: u64,
    /// The queue from which it went to a dead-letter queue, if it did.
    pub dead_letter_source: Option<QueueArn>,
    /// The queue that hands it out.
    pub queue: QueueArn,
}

impl Delivery {
    /// The record that Lambda's event source mapping makes of it
    /// (<https://docs.aws.amazon.com/lambda/latest/dg/with-sqs.html>).
    pub fn as_lambda_record(&self) -> Value {
        let mut attributes = json!({
            "ApproximateReceiveCount": self.receive_count.to_string(),
            "SentTimestamp": self.sent_at_ms.to_string(),
            "SenderId": "AIDAIT2UOQQY3AUEKVGXU",
            "ApproximateFirstReceiveTimestamp": self.first_received_at_ms.to_string(),
        });
        if let (Some(source), Some(attributes)) = (&self.dead_letter_source, attributes.as_object_mut()) {
            attributes.insert("DeadLetterQueueSourceArn".to_owned(), source.to_string().into());
        }
        json!({
            "messageId": self.message_id,
            "receiptHandle": self.receipt_handle,
            "body": self.body,
            "attributes": attributes,
            "messageAttributes": {},
            "eventSource": "aws:sqs",
            "eventSourceARN": self.queue.to_string(),
            "awsRegion": self.queue.region(),
        })
    }
}

/// Whether a message that is moved back from a dead-letter queue still says so (`DeadLetterQueueSourceArn`). AWS does
/// not document it, so nobody should rely on either.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MovedMessages {
    /// They name the queue that they once left.
    NameTheirSource,
    /// They look like any other.
    LookNew,
}

impl fmt::Debug for MemoryQueue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let messages = self.lock().messages.len();
        f.debug_struct("MemoryQueue").field("arn", &self.arn).field("messages", &messages).finish()
    }
}

impl MemoryQueue {
    /// An empty queue without a dead-letter queue.
    pub fn new(arn: QueueArn, clock: Arc<dyn Clock>, visibility_timeout: Duration) -> Self {
        Self { arn, clock, visibility_timeout, redrive: None, state: Mutex::default() }
    }

    /// The same queue with a redrive policy.
    #[must_use]
    pub fn with_redrive(mut self, policy: RedrivePolicy) -> Self {
        self.redrive = Some(policy);
        self
    }

    /// The queue's name.
    pub fn arn(&self) -> &QueueArn {
        &self.arn
    }

    /// Sends a message, and tells its id.
    pub fn send(&self, body: impl Into<String>) -> String {
        self.take_in(body.into(), None)
    }

    /// Hands out up to `max` messages, and never more than [`MESSAGES_PER_RECEIVE`], those first that have been visible
    /// for longest.
    pub fn receive(&self, max: usize) -> Vec<Delivery> {
        self.receive_by(max, |visible| visible.next())
    }

    /// As [`MemoryQueue::receive`], in an order that the caller chooses, since a standard queue promises none: of so
    /// many messages that are left, in the order in which they came, `choose` says which comes next, counted from 0.
    pub fn receive_in_order(&self, max: usize, mut choose: impl FnMut(usize) -> usize) -> Vec<Delivery> {
        self.receive_by(max, |visible| {
            let mut left: Vec<u64> = visible.collect();
            left.sort_unstable();
            (!left.is_empty()).then(|| left.swap_remove(choose(left.len()) % left.len()))
        })
    }

    fn receive_by(
        &self,
        max: usize,
        mut next: impl FnMut(&mut dyn Iterator<Item = u64>) -> Option<u64>,
    ) -> Vec<Delivery> {
        let (now, now_ms) = (self.clock.now(), self.clock.unix_ms());
        let mut state = self.lock();
        let (mut deliveries, mut dead, mut seen) = (Vec::new(), Vec::new(), Vec::new());
        while deliveries.len() < max.min(MESSAGES_PER_RECEIVE) {
            let visible = state.by_visibility.range(..=(now, u64::MAX)).map(|(_, n)| *n);
            let Some(n) = next(&mut visible.filter(|n| !seen.contains(n))) else { break };
            seen.push(n);
            let used_up = self.redrive.as_ref().is_some_and(|policy| {
                state
                    .messages
                    .get(&n)
                    .is_some_and(|message| message.receive_count >= policy.max_receive_count)
            });
            match used_up {
                true => dead.extend(state.remove(n)),
                false => deliveries.extend(self.hand_out(&mut state, n, now, now_ms)),
            }
        }
        drop(state);
        self.bury(dead);
        deliveries
    }

    fn hand_out(&self, state: &mut State, n: u64, now: Instant, now_ms: u64) -> Option<Delivery> {
        state.received += 1;
        let received = state.received;
        state.show_from(n, now + self.visibility_timeout);
        let message = state.messages.get_mut(&n)?;
        message.receive_count += 1;
        let handle = format!("AQEB{}", digits(&[&self.arn.to_string(), &message.id, &received.to_string()]));
        let old = message.receipt.replace((handle.clone(), now));
        let delivery = Delivery {
            message_id: message.id.clone(),
            receipt_handle: handle.clone(),
            body: message.body.clone(),
            receive_count: message.receive_count,
            sent_at_ms: message.sent_at_ms,
            first_received_at_ms: *message.first_received_at_ms.get_or_insert(now_ms),
            dead_letter_source: message.dead_letter_source.clone(),
            queue: self.arn.clone(),
        };
        if let Some((old, _)) = old {
            state.by_handle.remove(&old);
        }
        state.by_handle.insert(handle, n);
        Some(delivery)
    }

    /// Moves messages to the dead-letter queue: body, id and sent time stay
    /// (<https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-dead-letter-queues.html>).
    fn bury(&self, dead: Vec<Message>) {
        let Some(policy) = &self.redrive else { return };
        let visible_from = self.clock.now();
        let mut there = policy.dead_letters.lock();
        for message in dead {
            let dead_letter_source = Some(self.arn.clone());
            there.take_in(Message { receipt: None, visible_from, dead_letter_source, ..message });
        }
    }

    /// Deletes the message of a receive; `false` if the handle is stale, and the message stays.
    pub fn delete(&self, receipt_handle: &str) -> bool {
        let mut state = self.lock();
        let found = state.by_handle.get(receipt_handle).copied();
        found.and_then(|n| state.remove(n)).is_some()
    }

    /// Makes a message that is in flight visible at once, as SQS does now and then: a standard queue delivers at
    /// least once. Its handle stays good until it is handed out again.
    pub fn expose(&self, message_id: &str) {
        let now = self.clock.now();
        let mut state = self.lock();
        let found = state.messages.iter().find(|(_, message)| message.id == message_id).map(|(n, _)| *n);
        if let Some(n) = found {
            state.show_from(n, now);
        }
    }

    /// Moves all messages of this dead-letter queue that are visible to `source`, as `StartMessageMoveTask` does: there
    /// they are new, with an id, a sent time and a receive count of their own
    /// (<https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-configure-dead-letter-queue-redrive.html>).
    /// Tells each one's old id and its new one.
    pub fn move_all_to(&self, source: &MemoryQueue, moved: MovedMessages) -> Vec<(String, String)> {
        let now = self.clock.now();
        let mut state = self.lock();
        let mut visible: Vec<u64> = state.by_visibility.range(..=(now, u64::MAX)).map(|(_, n)| *n).collect();
        visible.sort_unstable();
        let leaving: Vec<Message> = visible.into_iter().filter_map(|n| state.remove(n)).collect();
        drop(state);
        let send = |message: Message| {
            let origin = message.dead_letter_source.filter(|_| moved == MovedMessages::NameTheirSource);
            (message.id, source.take_in(message.body, origin))
        };
        leaving.into_iter().map(send).collect()
    }

    /// The ids of all messages, visible or in flight, in the order in which they came.
    pub fn message_ids(&self) -> Vec<String> {
        self.lock().messages.values().map(|message| message.id.clone()).collect()
    }

    /// The bodies of all messages, in the same order.
    pub fn bodies(&self) -> Vec<String> {
        self.lock().messages.values().map(|message| message.body.clone()).collect()
    }

    /// When the next message is to be had; `None` if there is no message.
    pub fn next_visible(&self) -> Option<Instant> {
        self.lock().by_visibility.first().map(|(visible_from, _)| *visible_from)
    }

    fn take_in(&self, body: String, dead_letter_source: Option<QueueArn>) -> String {
        let (visible_from, sent_at_ms) = (self.clock.now(), self.clock.unix_ms());
        let mut state = self.lock();
        state.sent += 1;
        let id = message_id(&self.arn, state.sent);
        state.take_in(Message {
            id: id.clone(),
            body,
            sent_at_ms,
            first_received_at_ms: None,
            receive_count: 0,
            receipt: None,
            visible_from,
            dead_letter_source,
        });
        id
    }

    fn set_one(&self, state: &mut State, change: &VisibilityChange) -> Result<(), String> {
        let seconds = change.visibility_timeout_secs;
        if seconds > VISIBILITY_TIMEOUT_SECS_MAX {
            return Err(format!(
                "InvalidParameterValue: Value {seconds} for parameter VisibilityTimeout is invalid"
            ));
        }
        let now = self.clock.now();
        let found = state.by_handle.get(&change.receipt_handle).copied();
        let Some((n, message)) = found.and_then(|n| Some((n, state.messages.get(&n)?))) else {
            return Err("ReceiptHandleIsInvalid: The input receipt handle is not a valid one".to_owned());
        };
        if message.visible_from <= now {
            return Err("MessageNotInflight: The message referred to is not in flight".to_owned());
        }
        let visible_from = now + Duration::from_secs(seconds.into());
        let longest = Duration::from_secs(VISIBILITY_TIMEOUT_SECS_MAX.into());
        if message.receipt.as_ref().is_some_and(|(_, received)| visible_from > *received + longest) {
            return Err(format!(
                "InvalidParameterValue: Total VisibilityTimeout for the message is beyond the limit \
                 [{VISIBILITY_TIMEOUT_SECS_MAX} seconds]"
            ));
        }
        state.show_from(n, visible_from);
        Ok(())
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn take_in(&mut self, message: Message) {
        self.taken_in += 1;
        self.by_visibility.insert((message.visible_from, self.taken_in));
        self.messages.insert(self.taken_in, message);
    }

    fn remove(&mut self, n: u64) -> Option<Message> {
        let message = self.messages.remove(&n)?;
        self.by_visibility.remove(&(message.visible_from, n));
        if let Some((handle, _)) = &message.receipt {
            self.by_handle.remove(handle);
        }
        Some(message)
    }

    fn show_from(&mut self, n: u64, visible_from: Instant) {
        if let Some(message) = self.messages.get_mut(&n) {
            self.by_visibility.remove(&(message.visible_from, n));
            message.visible_from = visible_from;
            self.by_visibility.insert((visible_from, n));
        }
    }
}

#[async_trait]
impl Queue for MemoryQueue {
    async fn set_visibility(
        &self,
        queue: &QueueArn,
        changes: &[VisibilityChange],
        deadline: Deadline,
    ) -> Result<Vec<VisibilityFailure>, CallError> {
        let call = SET_VISIBILITY;
        if deadline.left(self.clock.as_ref()).is_zero() {
            return Err(CallError::OutOfTime { call, sent: false });
        }
        if *queue != self.arn {
            let detail =
                "AWS.SimpleQueueService.NonExistentQueue: The specified queue does not exist".to_owned();
            return Err(CallError::NotFound { call, detail });
        }
        if changes.is_empty() {
            let detail = "EmptyBatchRequest: There should be at least one entry in the request".to_owned();
            return Err(CallError::Rejected { call, detail });
        }
        if changes.len() > VISIBILITY_CHANGES_PER_CALL {
            let detail = format!(
                "TooManyEntriesInBatchRequest: Maximum number of entries per request are \
                 {VISIBILITY_CHANGES_PER_CALL}. You have sent {}",
                changes.len()
            );
            return Err(CallError::Rejected { call, detail });
        }
        let mut state = self.lock();
        let set = changes.iter().enumerate().map(|(index, change)| {
            self.set_one(&mut state, change).err().map(|detail| VisibilityFailure { index, detail })
        });
        Ok(set.flatten().collect())
    }
}

/// As SQS's, in the form of a UUID.
fn message_id(arn: &QueueArn, n: u64) -> String {
    let hex = digits(&[&arn.to_string(), &n.to_string()]);
    let lengths = [8, 4, 4, 4, 12];
    let mut rest = hex.as_str();
    let parts = lengths.map(|length| {
        let (part, after) = rest.split_at_checked(length).unwrap_or((rest, ""));
        rest = after;
        part
    });
    parts.join("-")
}

/// 32 hex digits that follow from `parts`.
fn digits(parts: &[&str]) -> String {
    let hash = Sha256::digest(parts.join("\0").as_bytes());
    hash.iter().take(16).map(|byte| format!("{byte:02x}")).collect()
}
