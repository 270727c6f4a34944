//! BigQuery is away for hours while files go on landing and poison arrives: what the queue's settings are for.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use dms2bq::cloud::call::Effect;
use dms2bq::cloud::memory::warehouse::{Course, MemoryWarehouse};
use dms2bq::cloud::{CallError, Clock, Deadline, InsertError, Inserted, Objects, TableLookup, Warehouse};
use dms2bq::job::{JobRecord, JobRef, LoadJob};
use dms2bq::outcome::record::Record;
use dms2bq::route::TableRef;
use futures_util::future::join_all;
use serde_json::json;
use tokio::time::Instant;

use super::event_source::{DATASET, EventSource, FOLDER};

/// The longest that the templates let a batch be gathered.
const WINDOW: Duration = Duration::from_secs(3);

/// How long all goes well before and after.
const BEFORE: Duration = Duration::from_secs(600);
const AFTER: Duration = Duration::from_secs(1_200);

/// How often a message comes that will never load.
const POISON_EVERY: Duration = Duration::from_secs(900);

/// What is wrong with BigQuery.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Trouble {
    /// It answers every call with 503.
    Away,
    /// It fails every job: too many changes of the table. Somebody else makes them.
    Crowded,
}

/// What happens.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Outage {
    pub(crate) trouble: Trouble,
    /// Each with a file a minute.
    pub(crate) tables: u32,
    pub(crate) lasts: Duration,
    /// Environments of the function at most.
    pub(crate) workers: usize,
}

/// What came of it.
#[derive(Debug, Clone)]
pub(crate) struct Figures {
    pub(crate) outage: Outage,
    pub(crate) files: usize,
    pub(crate) lost: usize,
    pub(crate) dead_letters: usize,
    pub(crate) poison: usize,
    pub(crate) poison_in_dead_letters: usize,
    /// From a poisonous message's sending to its arrival there.
    pub(crate) slowest_poison: Duration,
    /// From the end of the outage until everything announced before it was in.
    pub(crate) caught_up_after: Duration,
    pub(crate) most_receives: u32,
    pub(crate) receives: usize,
}

impl Figures {
    /// Nothing but poison dead-letters, all is in within 15 minutes, poison is out within five.
    pub(crate) fn check(&self) {
        assert_eq!((self.lost, self.dead_letters), (0, 0), "{self}");
        assert!(self.caught_up_after <= Duration::from_secs(15 * 60), "{self}");
        assert_eq!(self.poison_in_dead_letters, self.poison, "{self}");
        // Poison waits for the rest of its batches, and those of a table that is tried again take seconds each.
        let in_time = match self.outage.trouble {
            Trouble::Away => Duration::from_secs(5 * 60),
            Trouble::Crowded => Duration::from_secs(10 * 60),
        };
        assert!(self.slowest_poison <= in_time, "{self}");
    }
}

impl fmt::Display for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Outage { trouble, tables, lasts, workers } = self.outage;
        let hours = lasts.as_secs_f64() / 3600.0;
        let trouble = match trouble {
            Trouble::Away => "away",
            Trouble::Crowded => "refusing every change",
        };
        writeln!(
            f,
            "BigQuery {trouble} for {hours:.1} h, {tables} tables with a file a minute, {workers} workers at most"
        )?;
        writeln!(f, "  files           {}, lost {}, doubled 0", self.files, self.lost)?;
        writeln!(f, "  receives        {}, {} at most for one message", self.receives, self.most_receives)?;
        writeln!(f, "  dead letters    {} besides poison", self.dead_letters)?;
        writeln!(f, "  caught up       {} s after its end", self.caught_up_after.as_secs())?;
        let (poison, slowest) = (self.poison, self.slowest_poison.as_secs());
        write!(
            f,
            "  poison          {} of {poison} in the DLQ, the slowest after {slowest} s",
            self.poison_in_dead_letters
        )
    }
}

/// Runs an outage to its end, on a paused clock.
pub(crate) async fn run(outage: Outage, clock: Arc<dyn Clock>, file: bytes::Bytes) -> Figures {
    let world = World::new(outage, clock, file);
    let observer = || {
        let (seen, clock) = (Arc::clone(&world.seen), Arc::clone(&world.source.clock));
        Arc::new(move |record: &Record| note(&seen, record, clock.now()))
    };
    let warehouse = || Arc::clone(&world.bigquery) as Arc<dyn Warehouse>;
    let partition = json!({ "type": "DAY" });
    let handlers: Vec<_> =
        (0..outage.workers).map(|_| world.source.handler(warehouse(), &partition, observer())).collect();
    let over = AtomicBool::new(false);
    let is_over = || over.load(Ordering::Relaxed);
    let story = async {
        world.source.clock.sleep(BEFORE).await;
        world.bigquery.bad_day.store(true, Ordering::Relaxed);
        world.source.clock.sleep(outage.lasts).await;
        world.bigquery.bad_day.store(false, Ordering::Relaxed);
        let ended = world.source.clock.now();
        world.source.clock.sleep(AFTER).await;
        over.store(true, Ordering::Relaxed);
        ended
    };
    let (ended, (), (), (), _) = tokio::join!(
        story,
        world.land_files(&is_over),
        world.send_poison(&is_over),
        world.watch_dead_letters(&is_over),
        join_all(handlers.iter().map(|handler| world.source.serve(handler, is_over))),
    );
    world.figures(ended)
}

struct World {
    outage: Outage,
    source: EventSource,
    bigquery: Arc<Away>,
    file: bytes::Bytes,
    seen: Arc<Mutex<Seen>>,
}

#[derive(Default)]
struct Seen {
    landed: BTreeMap<String, Instant>,
    loaded: BTreeMap<String, Instant>,
    poison: BTreeMap<String, Instant>,
    buried: BTreeMap<String, Instant>,
    most_receives: u32,
    receives: usize,
}

impl World {
    fn new(outage: Outage, clock: Arc<dyn Clock>, file: bytes::Bytes) -> Self {
        let inner = MemoryWarehouse::new(Arc::clone(&clock));
        let (project, dataset, location) = DATASET;
        inner.create_dataset(project, dataset, location);
        let bad_day = Arc::new(AtomicBool::new(false));
        let (seen_by_jobs, trouble) = (Arc::clone(&bad_day), outage.trouble);
        inner.direct(move |_| match trouble == Trouble::Crowded && seen_by_jobs.load(Ordering::Relaxed) {
            true => {
                Course::fails("rateLimitExceeded", "Exceeded rate limits: too many table update operations")
            }
            false => Course { reads_running: 3, ..Course::default() },
        });
        let bigquery = Arc::new(Away { inner, trouble, bad_day });
        Self { outage, source: EventSource::new(clock, WINDOW), bigquery, file, seen: Arc::default() }
    }

    /// A file a minute for each table, the tables one after the other.
    async fn land_files(&self, is_over: &impl Fn() -> bool) {
        let tables = self.outage.tables;
        for n in 0.. {
            if is_over() {
                return;
            }
            let (table, minute) = (n % tables, n / tables);
            let name =
                format!("202212{:02}-{:02}{:02}00000", 1 + minute / 1440, minute / 60 % 24, minute % 60);
            let key = format!("{FOLDER}/game/table_{table}/{name}.parquet");
            self.lock().landed.insert(key.clone(), self.source.clock.now());
            self.source.put(&key, self.file.clone());
            self.source.clock.sleep(Duration::from_secs(60) / tables).await;
        }
    }

    async fn send_poison(&self, is_over: &impl Fn() -> bool) {
        for n in 0.. {
            self.source.clock.sleep(POISON_EVERY).await;
            // None so late that it could not have got there.
            if is_over() || self.source.clock.now() > self.started() + BEFORE + self.outage.lasts + AFTER / 2
            {
                return;
            }
            let id = self.source.queue.send(format!("poison {n}"));
            self.lock().poison.insert(id, self.source.clock.now());
        }
    }

    fn started(&self) -> Instant {
        self.lock().landed.values().next().copied().unwrap_or_else(|| self.source.clock.now())
    }

    async fn watch_dead_letters(&self, is_over: &impl Fn() -> bool) {
        while !is_over() {
            self.source.clock.sleep(Duration::from_secs(1)).await;
            let (now, mut seen) = (self.source.clock.now(), self.lock());
            for id in self.source.dead_letters.message_ids() {
                seen.buried.entry(id).or_insert(now);
            }
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Seen> {
        self.seen.lock().expect("nobody panics while writing down")
    }

    fn figures(&self, ended: Instant) -> Figures {
        let seen = self.lock();
        let due: Vec<&String> =
            seen.landed.iter().filter(|(_, at)| **at <= ended).map(|(key, _)| key).collect();
        let caught_up = due.iter().filter_map(|key| seen.loaded.get(*key)).max().copied().unwrap_or(ended);
        let buried_poison = seen.buried.iter().filter(|(id, _)| seen.poison.contains_key(*id));
        let times: Vec<Duration> = buried_poison.map(|(id, at)| *at - seen.poison[id]).collect();
        Figures {
            outage: self.outage,
            files: due.len(),
            lost: due.iter().filter(|key| !seen.loaded.contains_key(**key)).count(),
            dead_letters: seen.buried.len() - times.len(),
            poison: seen.poison.len(),
            poison_in_dead_letters: times.len(),
            slowest_poison: times.iter().max().copied().unwrap_or_default(),
            caught_up_after: caught_up.saturating_duration_since(ended),
            most_receives: seen.most_receives,
            receives: seen.receives,
        }
    }
}

fn note(seen: &Mutex<Seen>, record: &Record, at: Instant) {
    let mut seen = seen.lock().expect("nobody panics while writing down");
    seen.receives += 1;
    if let Some(key) = &record.key {
        seen.most_receives = seen.most_receives.max(record.receive_count);
        if record.outcome == "loaded" {
            let before = seen.loaded.insert(key.clone(), at);
            assert!(before.is_none(), "{key} was loaded twice");
        }
    }
}

/// A BigQuery that has a bad day for a while.
struct Away {
    inner: MemoryWarehouse,
    trouble: Trouble,
    bad_day: Arc<AtomicBool>,
}

impl Away {
    fn answer(&self, call: &'static str, effect: Effect) -> Result<(), CallError> {
        match self.trouble == Trouble::Away && self.bad_day.load(Ordering::Relaxed) {
            true => Err(effect.no_answer(call, "503 backendError: Service Unavailable")),
            false => Ok(()),
        }
    }
}

#[async_trait]
impl Warehouse for Away {
    async fn get_job(&self, job: &JobRef, deadline: Deadline) -> Result<Option<JobRecord>, CallError> {
        self.answer("jobs.get", Effect::Read)?;
        self.inner.get_job(job, deadline).await
    }

    async fn get_table(&self, table: &TableRef, deadline: Deadline) -> Result<TableLookup, CallError> {
        self.answer("tables.get", Effect::Read)?;
        self.inner.get_table(table, deadline).await
    }

    async fn insert(
        &self,
        load: &LoadJob,
        objects: Arc<dyn Objects>,
        deadline: Deadline,
    ) -> Result<Inserted, InsertError> {
        self.answer("jobs.insert", Effect::Write).map_err(InsertError::Call)?;
        self.inner.insert(load, objects, deadline).await
    }
}
