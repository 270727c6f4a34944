//! A full load of one table while others go on changing: hundreds of files announced within a minute, to workers that
//! know nothing of each other, over a BigQuery that holds its limits.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use dms2bq::cloud::{CallError, Clock, Deadline, InsertError, Inserted, Objects, TableLookup, Warehouse};
use dms2bq::job::{JobRecord, JobRef, JobState, LoadJob};
use dms2bq::outcome::record::Record;
use dms2bq::route::TableRef;
use futures_util::future::join_all;
use serde_json::json;
use tokio::time::Instant;

use super::event_source::{EventSource, FOLDER};

/// The table that is loaded in full.
pub(crate) const TABLE: &str = "orders";

/// How long a batch is gathered.
const WINDOW: Duration = Duration::from_secs(1);

/// What is announced.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Announced {
    /// Files of the full load.
    pub(crate) files: u32,
    /// Within this time, evenly.
    pub(crate) within: Duration,
    /// Other tables, each with a file of changes a minute for as long as the full load takes.
    pub(crate) other_tables: u32,
    /// Processes that share the queue.
    pub(crate) workers: usize,
    /// Whether the tables are partitioned.
    pub(crate) partitioned: bool,
}

/// What came of it.
#[derive(Debug, Clone)]
pub(crate) struct Figures {
    pub(crate) announced: Announced,
    /// From the first announcement to the last file's rows.
    pub(crate) took: Duration,
    pub(crate) jobs: usize,
    pub(crate) failed_jobs: usize,
    pub(crate) loaded_files: usize,
    pub(crate) most_receives: u32,
    pub(crate) dead_letters: usize,
    /// For each file of another table: how long it waited besides being worked on.
    pub(crate) others_waited: Vec<Duration>,
    /// And how long it was worked on.
    pub(crate) others_worked: Vec<Duration>,
}

impl Announced {
    /// BigQuery's limit on changes of one table in ten seconds.
    fn changes_per_10_s(&self) -> u32 {
        if self.partitioned { 50 } else { 5 }
    }

    /// The least time in which the limit lets all files in: they come evenly, and the limit lets so many in at once,
    /// and then again every ten seconds.
    pub(crate) fn least_time(&self) -> Duration {
        let by_limit = Duration::from_secs(10) * (self.files.div_ceil(self.changes_per_10_s()) - 1);
        by_limit.max(self.within)
    }
}

impl Figures {
    /// What was promised: all in, within three times the least time, at most one failed job in ten, no dead letter, and
    /// other tables held up by no more than their own work and the time that a batch is gathered.
    pub(crate) fn check(&self) {
        assert_eq!(self.loaded_files, self.announced.files as usize, "{self}");
        assert!(self.times_the_least() <= 3.0, "{self}");
        assert!(self.failed_share() <= 0.1, "{self}");
        assert_eq!(self.dead_letters, 0, "{self}");
        let own_work = quantile(&self.others_worked, 0.95);
        assert!(quantile(&self.others_waited, 0.95) <= own_work + WINDOW, "{self}");
    }

    pub(crate) fn times_the_least(&self) -> f64 {
        self.took.as_secs_f64() / self.announced.least_time().as_secs_f64()
    }

    pub(crate) fn failed_share(&self) -> f64 {
        self.failed_jobs as f64 / self.jobs.max(1) as f64
    }
}

/// The value below which a share of the values lie.
pub(crate) fn quantile(values: &[Duration], share: f64) -> Duration {
    let mut sorted = values.to_vec();
    sorted.sort();
    let last = sorted.len().saturating_sub(1);
    sorted.get((last as f64 * share).round() as usize).copied().unwrap_or_default()
}

impl fmt::Display for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Announced { files, within, other_tables, workers, partitioned } = self.announced;
        let kind = if partitioned { "partitioned" } else { "not partitioned" };
        writeln!(f, "{files} files of one table ({kind}) within {} s, {workers} workers", within.as_secs())?;
        let least = self.announced.least_time().as_secs_f64();
        let took = self.took.as_secs_f64();
        writeln!(
            f,
            "  all in after    {took:.0} s, {:.2} times the least ({least:.0} s)",
            self.times_the_least()
        )?;
        let share = 100.0 * self.failed_share();
        writeln!(f, "  jobs            {} made, {} failed ({share:.1} %)", self.jobs, self.failed_jobs)?;
        writeln!(f, "  receives        {} at most for one message", self.most_receives)?;
        writeln!(f, "  dead letters    {}", self.dead_letters)?;
        let secs = |values: &[Duration], share| quantile(values, share).as_secs_f64();
        let (waited, worked) = (&self.others_waited, &self.others_worked);
        write!(
            f,
            "  other tables    {other_tables}, {} files: waited {:.1} s at the median, {:.1} s at 95 %, {:.1} s at most; \
             worked on for {:.1} s at the median, {:.1} s at 95 %",
            waited.len(),
            secs(waited, 0.5),
            secs(waited, 0.95),
            secs(waited, 1.0),
            secs(worked, 0.5),
            secs(worked, 0.95)
        )
    }
}

/// Runs a full load to its end. `warehouse` makes each worker its own client; `file` is a small Parquet file.
pub(crate) async fn run(
    announced: Announced,
    clock: Arc<dyn Clock>,
    warehouses: Vec<Arc<dyn Warehouse>>,
    file: impl Fn(u32) -> bytes::Bytes,
) -> Figures {
    let source = EventSource::new(Arc::clone(&clock), WINDOW);
    let watch = Arc::new(Watch::default());
    let partition = if announced.partitioned { json!({ "type": "DAY" }) } else { json!(null) };
    let handler = |warehouse| {
        let counted = Arc::new(Counted { inner: warehouse, watch: Arc::clone(&watch) });
        let (told, at) = (Arc::clone(&watch), Arc::clone(&clock));
        let observer = Arc::new(move |record: &Record| told.note(record, at.now()));
        source.handler(counted, &partition, observer)
    };
    let handlers: Vec<_> = warehouses.into_iter().map(handler).collect();
    let post = Post { source: &source, watch: &watch };
    let began = clock.now();
    let over = AtomicBool::new(false);
    let is_over = || over.load(Ordering::Relaxed);
    let all_in = async {
        while watch.loaded_of(TABLE) < announced.files as usize {
            clock.sleep(Duration::from_millis(50)).await;
        }
        let took = clock.now() - began;
        over.store(true, Ordering::Relaxed);
        took
    };
    let (took, (), (), _) = tokio::join!(
        all_in,
        post.announce_full_load(announced, &file),
        post.announce_changes(announced, &is_over, &file),
        join_all(handlers.iter().map(|handler| source.serve(handler, is_over))),
    );
    watch.figures(announced, took, source.dead_letters.message_ids().len())
}

/// Puts files and tells the queue.
struct Post<'a> {
    source: &'a EventSource,
    watch: &'a Watch,
}

impl Post<'_> {
    async fn announce_full_load(&self, announced: Announced, file: &impl Fn(u32) -> bytes::Bytes) {
        for n in 1..=announced.files {
            self.put(&format!("{FOLDER}/game/{TABLE}/LOAD{n:08X}.parquet"), file(n));
            self.source.clock.sleep(announced.within / announced.files).await;
        }
    }

    /// A file a minute for each table, the tables one after the other.
    async fn announce_changes(
        &self,
        announced: Announced,
        is_over: &impl Fn() -> bool,
        file: &impl Fn(u32) -> bytes::Bytes,
    ) {
        let Some(pause) = Duration::from_secs(60).checked_div(announced.other_tables) else { return };
        for n in 0.. {
            if is_over() {
                return;
            }
            let (table, minute) = (n % announced.other_tables, n / announced.other_tables);
            let time = format!("{:02}{:02}00000", minute / 60 % 24, minute % 60);
            self.put(&format!("{FOLDER}/game/other_{table}/20221201-{time}.parquet"), file(n));
            self.source.clock.sleep(pause).await;
        }
    }

    fn put(&self, key: &str, bytes: bytes::Bytes) {
        self.watch.announced(key, self.source.clock.now());
        self.source.put(key, bytes);
    }
}

/// Who writes down what happens.
#[derive(Default)]
struct Watch(Mutex<Seen>);

#[derive(Default)]
struct Seen {
    announced: BTreeMap<String, Instant>,
    /// When each file was in, and how long that receive worked on it.
    loaded: BTreeMap<String, (Instant, Duration)>,
    jobs: BTreeSet<String>,
    failed_jobs: BTreeSet<String>,
    most_receives: u32,
}

impl Watch {
    fn lock(&self) -> std::sync::MutexGuard<'_, Seen> {
        self.0.lock().expect("nobody panics while writing down")
    }

    fn announced(&self, key: &str, at: Instant) {
        self.lock().announced.insert(key.to_owned(), at);
    }

    fn note(&self, record: &Record, at: Instant) {
        let mut seen = self.lock();
        seen.most_receives = seen.most_receives.max(record.receive_count);
        if let ("loaded", Some(key)) = (record.outcome, &record.key) {
            let worked = Duration::from_millis(record.duration_ms);
            let before = seen.loaded.insert(key.clone(), (at, worked));
            assert!(before.is_none(), "{key} was loaded twice");
        }
    }

    fn loaded_of(&self, table: &str) -> usize {
        let folder = format!("{FOLDER}/game/{table}/");
        self.lock().loaded.keys().filter(|key| key.starts_with(&folder)).count()
    }

    fn figures(&self, announced: Announced, took: Duration, dead_letters: usize) -> Figures {
        let seen = self.lock();
        let others = seen.loaded.iter().filter(|(key, _)| key.contains("/other_"));
        let (others_waited, others_worked) = others
            .map(|(key, (at, worked))| ((*at - seen.announced[key]).saturating_sub(*worked), *worked))
            .unzip();
        let of_table = |ids: &BTreeSet<String>| ids.iter().filter(|id| id.contains(TABLE)).count();
        Figures {
            announced,
            took,
            jobs: of_table(&seen.jobs),
            failed_jobs: of_table(&seen.failed_jobs),
            loaded_files: seen.loaded.keys().filter(|key| key.contains(TABLE)).count(),
            most_receives: seen.most_receives,
            dead_letters,
            others_waited,
            others_worked,
        }
    }
}

/// A warehouse whose jobs are counted.
struct Counted {
    inner: Arc<dyn Warehouse>,
    watch: Arc<Watch>,
}

impl Counted {
    fn see(&self, record: &JobRecord) {
        let mut seen = self.watch.lock();
        seen.jobs.insert(record.id.clone());
        if let JobState::Failed(_) = record.state {
            seen.failed_jobs.insert(record.id.clone());
        }
    }
}

#[async_trait]
impl Warehouse for Counted {
    async fn get_job(&self, job: &JobRef, deadline: Deadline) -> Result<Option<JobRecord>, CallError> {
        let found = self.inner.get_job(job, deadline).await?;
        found.iter().for_each(|record| self.see(record));
        Ok(found)
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
        let inserted = self.inner.insert(load, objects, deadline).await?;
        if let Inserted::Created(record) = &inserted {
            self.see(record);
        }
        Ok(inserted)
    }
}
