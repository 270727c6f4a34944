//! A queue for one run: hands out batches, takes replies, delivers again what may pass.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::future::join_all;
use tokio::time::Instant;

use crate::cloud::Clock;
use crate::cloud::clock::SystemClock;
use crate::entry::lambda::{Handler, SqsBatch};
use crate::entry::local::events::{self, MESSAGES_PER_BATCH, Message};
use crate::outcome::Disposition;
use crate::outcome::record::Record;

/// How many pretended Lambdas work at once.
const WORKERS: usize = 3;

/// How long one invocation may take, as in the deployment templates.
const INVOCATION: Duration = Duration::from_secs(60);

/// How often a message is handed out before it counts as dead.
const RECEIVES_MAX: u32 = 6;

/// The same for one that waits for its table's turn, as in the deployment templates.
const RECEIVES_MAX_IN_TURN: u32 = 50;

/// The pause before what came back is handed out again. BigQuery counts changes of a table over ten seconds.
const REDELIVERY_PAUSE: Duration = Duration::from_secs(3);

/// What the handler said about every object, in order.
#[derive(Default)]
pub(super) struct Records(Mutex<Vec<Record>>);

impl Records {
    /// Notes one.
    pub(super) fn push(&self, record: &Record) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(record.clone());
    }

    /// All so far.
    pub(super) fn all(&self) -> Vec<Record> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// Hands out messages until each has left the queue or is dead.
pub(super) async fn drain(
    messages: Vec<Message>,
    handler: &Handler,
    records: &Arc<Records>,
    progress: &(dyn Fn(usize) + Sync),
) -> anyhow::Result<()> {
    let clock = SystemClock;
    let mut waiting: VecDeque<Message> = messages.into();
    let mut came_back = Vec::new();
    let mut away: Vec<(Instant, Message)> = Vec::new();
    while !waiting.is_empty() || !away.is_empty() {
        while !waiting.is_empty() {
            let batches: Vec<Vec<Message>> = (0..WORKERS).map(|_| take_batch(&mut waiting)).collect();
            let invocations = batches.into_iter().filter(|batch| !batch.is_empty());
            let results = join_all(invocations.map(|batch| invoke(handler, batch, &clock))).await;
            for result in results {
                let (done, returned) = result?;
                progress(done);
                came_back.extend(returned);
            }
        }
        let last = last_by_message(&records.all());
        let now = clock.now();
        let again =
            came_back.drain(..).filter_map(|message| Some((now + comes_back(&message, &last)?, message)));
        away.extend(again);
        if let Some(next) = away.iter().map(|(at, _)| *at).min() {
            clock.sleep(next.saturating_duration_since(now)).await;
        }
        let due = away.extract_if(.., |(at, _)| *at <= clock.now()).map(|(_, message)| message);
        waiting.extend(due);
    }
    Ok(())
}

fn take_batch(waiting: &mut VecDeque<Message>) -> Vec<Message> {
    let mut batch: Vec<Message> = waiting.drain(..waiting.len().min(MESSAGES_PER_BATCH)).collect();
    for message in &mut batch {
        message.receive_count += 1;
    }
    batch
}

/// One invocation: how many messages are done, and which come back.
async fn invoke(
    handler: &Handler,
    batch: Vec<Message>,
    clock: &SystemClock,
) -> anyhow::Result<(usize, Vec<Message>)> {
    let payload: SqsBatch = serde_json::from_str(&events::batch(&batch).to_string())?;
    let ends_at_ms = clock.unix_ms() + u64::try_from(INVOCATION.as_millis())?;
    let reply = handler.handle(payload, handler.time(ends_at_ms)).await?;
    let failed: Vec<&str> = reply.batch_item_failures.iter().map(|f| f.item_identifier.as_str()).collect();
    let count = batch.len();
    let returned: Vec<Message> = batch.into_iter().filter(|m| failed.contains(&m.id.as_str())).collect();
    Ok((count - returned.len(), returned))
}

fn last_by_message(records: &[Record]) -> HashMap<String, Record> {
    records.iter().map(|record| (record.message_id.clone(), record.clone())).collect()
}

/// When a message is handed out again; `None` if it never is.
fn comes_back(message: &Message, last: &HashMap<String, Record>) -> Option<Duration> {
    let disposition = last.get(&message.id).and_then(|record| record.disposition);
    let (after, receives_max) = match disposition {
        Some(Disposition::Paced { after }) => (after.max(REDELIVERY_PAUSE), RECEIVES_MAX_IN_TURN),
        Some(_) | None => (REDELIVERY_PAUSE, RECEIVES_MAX),
    };
    let passes = disposition.is_none_or(Disposition::passes_by_itself);
    (passes && message.receive_count < receives_max).then_some(after)
}
