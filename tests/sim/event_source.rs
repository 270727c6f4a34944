//! Lambda and its event source: receives from the queue, invokes, kills, and deletes what the reply lets go.

use std::any::Any;
use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use dms2bq::cloud::memory::queue::Delivery;
use dms2bq::cloud::{Clock, Deadline, Jitter, Objects, Queue, VisibilityChange, Warehouse};
use dms2bq::entry::lambda::{Handler, SqsBatch};
use dms2bq::entry::mapping_store::MappingStore;
use dms2bq::entry::redelivery::Redelivery;
use dms2bq::outcome::reply::Reply;
use dms2bq::pipeline::Pipeline;
use dms2bq::telemetry::panic_message;
use futures_util::FutureExt;
use serde_json::{Value, json};
use tokio::time::{Instant, sleep, timeout_at};

use crate::checks;
use crate::defects::{Defect, Mutant};
use crate::station::{Invocation, Received, Station};
use crate::world::World;

/// So many receives in a hundred are never handed to a function, because there are too many at once.
const THROTTLED_PERCENT: u64 = 4;

/// So many acknowledgements in a hundred are lost.
const LOST_ACKS_PERCENT: u64 = 10;

/// One of the function's environments, for as long as the world lasts: it is killed, and starts anew.
pub(crate) async fn environment(world: Arc<World>, n: usize, mappings_fail: bool) {
    let mut process: Option<Process> = None;
    let mut started = 0;
    while !world.is_over() {
        let deliveries = receive(&world);
        if deliveries.is_empty() {
            wait_for_messages(&world).await;
            continue;
        }
        if world.faults.percent(THROTTLED_PERCENT) {
            world.count("throttled receives");
            world.say(&format!("w{n}"), &format_args!("throttled: {} messages come back", deliveries.len()));
            continue;
        }
        let current = match process.take() {
            Some(process) => process,
            None => {
                started += 1;
                sleep(world.faults.latency() * 5).await;
                Process::start(&world, format!("w{n}.{started}"), mappings_fail)
            }
        };
        if current.invoke(deliveries).await {
            process = Some(current);
        }
        sleep(world.faults.latency()).await;
    }
}

fn receive(world: &World) -> Vec<Delivery> {
    world.queue.receive_in_order(world.settings.batch, |left| world.faults.with(|rng| rng.index(left)))
}

async fn wait_for_messages(world: &World) {
    let soonest = Instant::now() + Duration::from_millis(1);
    let latest = Instant::now() + Duration::from_secs(3600);
    let until = world.queue.next_visible().unwrap_or(latest).clamp(soonest, latest);
    let _either = timeout_at(until, world.arrivals.notified()).await;
}

/// A process: its caches live as long as it does.
struct Process {
    station: Arc<Station>,
    handler: Handler,
}

/// How an invocation ended.
enum End {
    Replied(Option<Reply>),
    Killed,
}

impl Process {
    fn start(world: &Arc<World>, name: String, mappings_fail: bool) -> Self {
        let station = Station::new(Arc::clone(world), name, mappings_fail);
        station.say(&"starts");
        let (objects, warehouse): (Arc<dyn Objects>, Arc<dyn Warehouse>) = match world.defect {
            None => (Arc::clone(&station) as _, Arc::clone(&station) as _),
            Some(defect) => {
                let mutant = Arc::new(Mutant::new(Arc::clone(&station), defect));
                (Arc::clone(&mutant) as _, mutant)
            }
        };
        let clock: Arc<dyn Clock> = Arc::clone(&world.clock) as _;
        let pipeline = Pipeline::new(objects, warehouse, Arc::clone(&clock));
        let mappings = MappingStore::from_source(Arc::clone(&station) as _);
        let observer = Arc::clone(world);
        let partial_replies =
            world.settings.partial_replies || world.defect == Some(Defect::PartialRepliesAssumed);
        let mut handler = Handler::new(pipeline, mappings, clock, partial_replies)
            .observed_by(Arc::new(move |record| observer.observe(record)));
        if world.settings.sets_visibility {
            handler = handler.with_redelivery(Redelivery::new(Arc::clone(&station) as _, jitter(world)));
        }
        Self { station, handler }
    }

    /// Invokes the function with these messages; `false` if it did not survive.
    async fn invoke(&self, deliveries: Vec<Delivery>) -> bool {
        let world = &self.station.world;
        let ends = Instant::now() + world.settings.invocation;
        let left_ms = u64::try_from(world.settings.invocation.as_millis()).expect("a timeout is short");
        let time = self.handler.time(world.clock.unix_ms() + left_ms);
        let messages: Vec<Received> = deliveries.iter().map(received).collect();
        let names: Vec<String> =
            messages.iter().map(|m| format!("{}#{}", m.message_id, m.receive_count)).collect();
        self.station.say(&format_args!("is invoked with {}", names.join(" ")));
        world.count("invocations");
        self.station.begin(Invocation {
            started: world.clock.elapsed(),
            work_until: time.work_until.instant(),
            reply_by: time.reply_by.instant(),
            messages,
            read_failed: Default::default(),
            seen_open: Default::default(),
            asked: Default::default(),
            has_set_visibility: false,
        });
        self.meddle_before(&deliveries).await;
        let batch = batch(world, &deliveries);
        let is_killed = world.faults.percent(world.settings.kills_percent);
        let polls_left = is_killed.then(|| world.faults.with(|rng| rng.between(1, 80)));
        let work = AssertUnwindSafe(self.handler.handle(batch, time)).catch_unwind();
        let work = Killable { work: Some(Box::pin(work)), polls_left };
        let end = match timeout_at(ends, work).await {
            Ok(Some(Ok(Ok(reply)))) => End::Replied(Some(reply)),
            Ok(Some(Ok(Err(error)))) => {
                self.station.say(&format_args!("fails as a whole: {error}"));
                End::Replied(None)
            }
            Ok(Some(Err(panic))) => {
                self.panicked(panic.as_ref());
                End::Replied(None)
            }
            Ok(None) => End::Killed,
            Err(_elapsed) => {
                world.violated("no-call-after-deadline", "Lambda had to end the invocation");
                End::Killed
            }
        };
        let invocation = self.station.end().expect("it was begun");
        world.hear();
        match end {
            End::Killed => {
                world.count("kills");
                self.station.say(&"is killed");
                false
            }
            End::Replied(reply) => {
                checks::lines(world, &invocation);
                self.acknowledge(&invocation, reply.as_ref()).await;
                true
            }
        }
    }

    /// Lambda's runtime catches a panic of the handler, and fails the invocation. Only the world may make it panic.
    fn panicked(&self, panic: &(dyn Any + Send)) {
        let message = panic_message(panic);
        self.station.say(&format_args!("panics: {message}"));
        if !message.starts_with("planted: ") {
            self.station.world.violated("no-panic", message);
        }
    }

    /// What some defects do before the work.
    async fn meddle_before(&self, deliveries: &[Delivery]) {
        let world = &self.station.world;
        match world.defect {
            Some(Defect::AckBeforeLoad) => {
                let everything_is_well = Reply { batch_item_failures: Vec::new() };
                let invocation = self.station.with(|invocation| invocation.clone()).expect("it was begun");
                self.acknowledge(&invocation, Some(&everything_is_well)).await;
            }
            Some(Defect::VisibilitySetEarly) => {
                let change = |delivery: &Delivery| VisibilityChange {
                    receipt_handle: delivery.receipt_handle.clone(),
                    visibility_timeout_secs: 30,
                };
                let changes: Vec<_> = deliveries.iter().map(change).collect();
                let deadline = Deadline::at(Instant::now() + Duration::from_secs(3));
                let work = self.station.set_visibility(world.queue.arn(), &changes, deadline);
                let _whatever_comes_of_it = AssertUnwindSafe(work).catch_unwind().await;
            }
            _ => {}
        }
    }

    /// Deletes what the reply lets go, as the event source does.
    async fn acknowledge(&self, invocation: &Invocation, reply: Option<&Reply>) {
        let world = &self.station.world;
        let Some(reply) = reply else { return };
        let comes_back = |id: &str| {
            let failures = &reply.batch_item_failures;
            world.settings.partial_replies
                && failures.iter().any(|failure| failure.item_identifier == id)
                && !is_let_go(world, invocation, id)
        };
        self.station.say(&format_args!("returns {} messages", reply.batch_item_failures.len()));
        let done: Vec<&Received> =
            invocation.messages.iter().filter(|m| !comes_back(&m.message_id)).collect();
        for message in &done {
            checks::gone(world, &message.message_id, invocation);
        }
        sleep(world.faults.latency()).await;
        for message in done {
            if world.faults.percent(LOST_ACKS_PERCENT) {
                world.count("lost acks");
                self.station.say(&format_args!("ack of {} is lost", message.message_id));
                continue;
            }
            let is_gone = world.queue.delete(&message.receipt_handle);
            let how = if is_gone { "is deleted" } else { "has been handed out again" };
            self.station.say(&format_args!("{} {how}", message.message_id));
        }
    }
}

/// The batch as the handler gets it.
fn batch(world: &World, deliveries: &[Delivery]) -> SqsBatch {
    let records = deliveries.iter().map(|delivery| {
        let mut record = delivery.as_lambda_record();
        if world.defect == Some(Defect::RecordForgotten) {
            record["body"] = without_last_record(&delivery.body).into();
        }
        record
    });
    serde_json::from_value(json!({ "Records": records.collect::<Vec<_>>() })).expect("a batch")
}

fn without_last_record(body: &str) -> String {
    let Ok(mut news) = serde_json::from_str::<Value>(body) else { return body.to_owned() };
    match news.get_mut("Records").and_then(Value::as_array_mut) {
        Some(records) if records.len() > 1 => {
            records.pop();
            news.to_string()
        }
        Some(_) | None => body.to_owned(),
    }
}

/// Whether a defect lets a message go that is not done.
fn is_let_go(world: &World, invocation: &Invocation, message_id: &str) -> bool {
    let message = invocation.messages.iter().find(|message| message.message_id == message_id);
    let told = message.map(|message| world.told(message_id, message.receive_count)).unwrap_or_default();
    match world.defect {
        Some(Defect::PoisonAcknowledged) => {
            told.iter().all(|word| ["never", "loaded", "ignored"].contains(word))
        }
        Some(Defect::AckOnFirstRecord) => told.contains(&"loaded"),
        _ => false,
    }
}

/// Chance, as the seed has it.
fn jitter(world: &Arc<World>) -> Jitter {
    let world = Arc::clone(world);
    Jitter::from_fn(move || {
        world.faults.with(|rng| f64::from(u32::try_from(rng.below(1_000)).unwrap()) / 1_000.0)
    })
}

fn received(delivery: &Delivery) -> Received {
    Received {
        message_id: delivery.message_id.clone(),
        receipt_handle: delivery.receipt_handle.clone(),
        receive_count: delivery.receive_count,
        sent_at_ms: delivery.sent_at_ms,
    }
}

/// Work that ends after so many polls, wherever it stands then: a Lambda may be killed at any `await`.
struct Killable<F> {
    work: Option<Pin<Box<F>>>,
    polls_left: Option<u64>,
}

impl<F: Future> Future for Killable<F> {
    type Output = Option<F::Output>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        if let Some(left) = &mut self.polls_left {
            *left = left.saturating_sub(1);
            if *left == 0 {
                self.work = None;
            }
        }
        match &mut self.work {
            Some(work) => work.as_mut().poll(context).map(Some),
            None => Poll::Ready(None),
        }
    }
}
