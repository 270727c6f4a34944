//! The worker's mappings in simulated time: what a process goes by while somebody publishes, breaks and mends them.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use dms2bq::cloud::Deadline;
use dms2bq::entry::mapping_store::{LOOK_EVERY, MappingSource, MappingStore, Offer, SourceError, Version};
use dms2bq::route::MappingFile;
use dms2bq::telemetry::metrics::Metrics;
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::batch_bench::{BUCKET, Bench, news};
use crate::log::{self, Log};
use crate::twins::{PausedClock, file};

/// What reading from S3 takes here.
const LATENCY: Duration = Duration::from_millis(40);

/// A prefix of S3 that a test changes.
#[derive(Default)]
struct Prefix {
    current: Mutex<Option<Offer>>,
    texts: Mutex<BTreeMap<String, String>>,
    failure: Mutex<Option<SourceError>>,
    hangs: AtomicBool,
    looks: AtomicUsize,
    reads: Mutex<Vec<String>>,
    under_way: AtomicUsize,
}

/// A call that is under way until it ends or is dropped.
struct UnderWay<'a>(&'a AtomicUsize);

impl<'a> UnderWay<'a> {
    fn new(count: &'a AtomicUsize) -> Self {
        count.fetch_add(1, Ordering::SeqCst);
        Self(count)
    }
}

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Prefix {
    async fn answer(&self) -> Result<(), SourceError> {
        let _call = UnderWay::new(&self.under_way);
        if self.hangs.load(Ordering::SeqCst) {
            std::future::pending::<()>().await;
        }
        tokio::time::sleep(LATENCY).await;
        match self.failure.lock().unwrap().clone() {
            Some(failure) => Err(failure),
            None => Ok(()),
        }
    }

    fn publish(&self, version: &str, before: Option<&str>, text: &str) {
        self.texts.lock().unwrap().insert(version.to_owned(), text.to_owned());
        let published = |name: &str| Version::Published(name.to_owned());
        let offer = Offer { version: published(version), before: before.map(published) };
        *self.current.lock().unwrap() = Some(offer);
    }

    /// Somebody copies files into a plain folder.
    fn copy(&self, state: &str, text: &str) {
        self.texts.lock().unwrap().insert(format!("folder {state}"), text.to_owned());
        let offer = Offer { version: Version::Folder(state.to_owned()), before: None };
        *self.current.lock().unwrap() = Some(offer);
    }

    fn looks(&self) -> usize {
        self.looks.load(Ordering::SeqCst)
    }
}

#[async_trait]
impl MappingSource for Prefix {
    async fn look(&self, _: Deadline) -> Result<Offer, SourceError> {
        self.looks.fetch_add(1, Ordering::SeqCst);
        self.answer().await?;
        let nothing = || SourceError::Broken("no *.json".to_owned());
        self.current.lock().unwrap().clone().ok_or_else(nothing)
    }

    async fn read(&self, version: &Version, _: Deadline) -> Result<Vec<MappingFile>, SourceError> {
        self.reads.lock().unwrap().push(version.to_string());
        self.answer().await?;
        let text = self.texts.lock().unwrap().get(&version.to_string()).cloned();
        let text = text.ok_or_else(|| SourceError::Broken(format!("no version {version}")))?;
        Ok(vec![MappingFile { name: "mappings/casino-a.json".to_owned(), text }])
    }
}

/// Mappings that send the table `player` to another one.
fn to(table: &str) -> String {
    json!({
        "source": { "bucket": BUCKET, "bucket_folder": "dms" },
        "destination": { "project": "acme-dw", "location": "asia-northeast3", "dataset": "casino_a" },
        "tables": [
            { "schema": "game", "table": "player", "destination": { "table": table } },
            { "schema": "game", "table": "tmp", "action": "exclude" },
        ],
    })
    .to_string()
}

/// A process, the prefix that it reads, and what it logs.
struct Process {
    bench: Bench,
    prefix: Arc<Prefix>,
    log: Log,
    files: Mutex<u32>,
}

impl Process {
    fn new(prefix: &Arc<Prefix>) -> Self {
        let store = MappingStore::from_source(Arc::clone(prefix) as _);
        let bench = Bench::over(Arc::new(PausedClock::new()), store, true);
        let bench = Bench { handler: bench.handler.with_metrics(Metrics::of_function("dms2bq")), ..bench };
        Self { bench, prefix: Arc::clone(prefix), log: log::listen(), files: Mutex::default() }
    }

    /// An invocation with one new file. Gives the table that it went to, and what the invocation took.
    async fn invoke(&self) -> (String, Duration) {
        let number = {
            let mut files = self.files.lock().unwrap();
            *files += 1;
            *files
        };
        let key = format!("dms/game/player/LOAD{number:08X}.parquet");
        let message = news("m", &[self.bench.put(&key, file(1))]);
        let took = self.invoke_with(&[message]).await;
        let destination = self.bench.records.lock().unwrap().last().and_then(|r| r.destination.clone());
        let table = destination.as_deref().and_then(|name| name.rsplit('.').next()).unwrap_or("none");
        (table.to_owned(), took)
    }

    async fn invoke_with(&self, messages: &[Value]) -> Duration {
        let began = Instant::now();
        self.bench.handle(messages).await;
        let under_way = self.prefix.under_way.load(Ordering::SeqCst);
        assert_eq!(under_way, 0, "nothing runs on after the reply");
        began.elapsed()
    }

    async fn table(&self) -> String {
        self.invoke().await.0
    }
}

async fn next_look() {
    tokio::time::sleep(LOOK_EVERY).await;
}

#[tokio::test(start_paused = true)]
async fn a_new_version_is_in_force_from_the_invocation_after_the_one_that_looked() {
    let prefix = Arc::new(Prefix::default());
    prefix.publish("v1", None, &to("one"));
    let process = Process::new(&prefix);
    assert_eq!(process.table().await, "one");
    prefix.publish("v2", Some("v1"), &to("two"));
    assert_eq!(process.table().await, "one", "it looked less than a minute ago");
    next_look().await;
    assert_eq!(
        process.table().await,
        "one",
        "one snapshot serves an invocation, whatever is found meanwhile"
    );
    assert_eq!(process.table().await, "two");
    assert_eq!(*prefix.reads.lock().unwrap(), ["v1", "v2"]);
}

#[tokio::test(start_paused = true)]
async fn it_looks_once_a_minute_at_most_and_reads_only_what_is_new() {
    let prefix = Arc::new(Prefix::default());
    prefix.publish("v1", None, &to("one"));
    let process = Process::new(&prefix);
    let began = Instant::now();
    let mut invocations = 0;
    while began.elapsed() < Duration::from_secs(600) {
        process.invoke().await;
        invocations += 1;
        tokio::time::sleep(Duration::from_secs(2)).await;
    }
    assert!(invocations > 150, "{invocations}");
    assert!((9..=10).contains(&prefix.looks()), "{} looks in ten minutes", prefix.looks());
    assert_eq!(*prefix.reads.lock().unwrap(), ["v1"]);
}

#[tokio::test(start_paused = true)]
async fn a_broken_version_never_replaces_a_good_one_and_each_look_says_so() {
    let prefix = Arc::new(Prefix::default());
    prefix.publish("v1", None, &to("one"));
    let process = Process::new(&prefix);
    assert_eq!(process.table().await, "one");
    prefix.publish("v2", Some("v1"), r#"{ "sauce": {} }"#);
    for _minute in 0..3 {
        next_look().await;
        for _invocation in 0..3 {
            assert_eq!(process.table().await, "one");
        }
    }
    let said = process.log.of_code("mapping.kept_last_good");
    assert_eq!(said.len(), 3, "once for each invocation that looked: {said:?}");
    assert!(said[0].starts_with("ERROR "), "{said:?}");
    assert!(said[0].contains("$.sauce: unknown field `sauce` (did you mean `source`?)"), "{said:?}");
    assert!(said[0].contains("$: the field `tables` is missing"), "every problem: {said:?}");
    let lines = process.log.lines();
    let counted = lines.iter().filter(|line| line["fields"]["mappings_rejected"] == 1);
    assert_eq!(counted.clone().count(), 3, "the alarm's metric: {lines:?}");
    for line in counted {
        let told = line["fields"]["_aws"].as_str().unwrap();
        assert!(told.contains("mappings_rejected") && line["fields"]["function"] == "dms2bq", "{line}");
    }
    assert_eq!(*prefix.reads.lock().unwrap(), ["v1", "v2"], "what has problems is not read again");

    prefix.publish("v3", Some("v2"), &to("three"));
    next_look().await;
    process.invoke().await;
    assert_eq!(process.table().await, "three");
    assert_eq!(process.log.of_code("mapping.kept_last_good").len(), 3);
}

#[tokio::test(start_paused = true)]
async fn going_back_to_the_version_in_force_ends_the_alarm() {
    let prefix = Arc::new(Prefix::default());
    prefix.publish("v1", None, &to("one"));
    let process = Process::new(&prefix);
    process.invoke().await;
    prefix.publish("v2", Some("v1"), "{}");
    next_look().await;
    process.invoke().await;
    prefix.publish("v1", Some("v2"), &to("one"));
    for _minute in 0..3 {
        next_look().await;
        assert_eq!(process.table().await, "one");
    }
    assert_eq!(process.log.of_code("mapping.kept_last_good").len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_version_that_was_not_whole_is_read_again_once_it_is_mended() {
    let prefix = Arc::new(Prefix::default());
    prefix.publish("v1", None, &to("one"));
    let process = Process::new(&prefix);
    process.invoke().await;
    prefix.publish("v2", Some("v1"), &to("two"));
    let text = prefix.texts.lock().unwrap().remove("v2").unwrap();
    next_look().await;
    process.invoke().await;
    assert_eq!(process.log.of_code("mapping.kept_last_good"), ["ERROR no version v2"]);
    prefix.texts.lock().unwrap().insert("v2".to_owned(), text);
    next_look().await;
    process.invoke().await;
    assert_eq!(process.table().await, "two");
}

#[tokio::test(start_paused = true)]
async fn a_process_that_starts_on_a_broken_version_goes_by_the_one_before() {
    let prefix = Arc::new(Prefix::default());
    prefix.publish("v1", None, &to("one"));
    prefix.publish("v2", Some("v1"), "{}");
    let process = Process::new(&prefix);
    assert_eq!(process.table().await, "one");
    assert_eq!(process.log.of_code("mapping.kept_last_good").len(), 1);
    next_look().await;
    assert_eq!(process.table().await, "one");
    assert_eq!(process.log.of_code("mapping.kept_last_good").len(), 2, "and says so with each look");
    prefix.publish("v3", Some("v1"), &to("three"));
    next_look().await;
    process.invoke().await;
    assert_eq!(process.table().await, "three");
}

#[tokio::test(start_paused = true)]
async fn where_both_versions_are_broken_nothing_loads_and_both_are_said() {
    let prefix = Arc::new(Prefix::default());
    prefix.publish("v1", None, "[]");
    prefix.publish("v2", Some("v1"), r#"{ "sauce": {} }"#);
    let process = Process::new(&prefix);
    assert_eq!(process.table().await, "none");
    let record = process.bench.records.lock().unwrap().last().cloned().unwrap();
    assert_eq!(record.code, Some("mapping.unusable"));
    let reason = record.message.unwrap();
    assert!(reason.contains("version v2") && reason.contains("sauce"), "{reason}");
    assert!(reason.contains("the version before, v1: ") && reason.contains("found a list"), "{reason}");
    prefix.publish("v3", Some("v2"), &to("three"));
    assert_eq!(process.table().await, "three", "the next invocation reads them again at once");
}

#[tokio::test(start_paused = true)]
async fn an_s3_that_fails_while_a_process_starts_is_no_reason_to_go_back() {
    let prefix = Arc::new(Prefix::default());
    prefix.publish("v1", None, &to("one"));
    prefix.publish("v2", Some("v1"), &to("two"));
    *prefix.failure.lock().unwrap() = Some(SourceError::Unread("503".to_owned()));
    let process = Process::new(&prefix);
    assert_eq!(process.table().await, "none");
    *prefix.failure.lock().unwrap() = None;
    assert_eq!(process.table().await, "two");
    assert!(process.log.of_code("mapping.kept_last_good").is_empty());
}

#[tokio::test(start_paused = true)]
async fn an_s3_that_never_answers_holds_up_no_invocation() {
    let prefix = Arc::new(Prefix::default());
    prefix.publish("v1", None, &to("one"));
    let process = Process::new(&prefix);
    process.invoke().await;
    let (_, usual) = process.invoke().await;
    prefix.hangs.store(true, Ordering::SeqCst);
    next_look().await;
    let (table, took) = process.invoke().await;
    assert_eq!((table.as_str(), took), ("one", usual), "the look is dropped when the work is done");
    assert!(process.log.of_code("mapping.not_refreshed").is_empty());
    next_look().await;
    let (table, took) = process.invoke().await;
    assert_eq!(table, "one");
    assert_eq!(
        took,
        usual + Duration::from_secs(2),
        "once in a while a look may end: by two seconds, no more"
    );
    let said = process.log.of_code("mapping.not_refreshed");
    assert_eq!(said, ["WARN looking for newer ones took longer than the invocations did"]);
}

#[tokio::test(start_paused = true)]
async fn a_look_that_takes_too_long_beside_long_work_is_given_up() {
    let prefix = Arc::new(Prefix::default());
    prefix.publish("v1", None, &to("one"));
    let process = Process::new(&prefix);
    process.invoke().await;
    prefix.hangs.store(true, Ordering::SeqCst);
    next_look().await;
    process.bench.warehouse.behave(|_| crate::batch_bench::Manner::Hangs);
    let key = "dms/game/player/LOAD0000FFFF.parquet";
    let message = news("m", &[process.bench.put(key, file(1))]);
    let deadline = Deadline::at(process.bench.clock.now() + Duration::from_secs(60));
    crate::batch_bench::failures(&process.bench.handler, &[message], deadline).await;
    assert_eq!(process.log.of_code("mapping.not_refreshed"), ["WARN looking for newer ones took too long"]);
    assert_eq!(prefix.under_way.load(Ordering::SeqCst), 0);
}

/// Else a table that is excluded no longer would be ignored for as long as the process lives.
#[tokio::test(start_paused = true)]
async fn a_process_whose_invocations_take_no_time_hears_of_a_change_all_the_same() {
    let prefix = Arc::new(Prefix::default());
    prefix.publish("v1", None, &to("one"));
    let process = Process::new(&prefix);
    let excluded = news("m", &[process.bench.put("dms/game/tmp/LOAD00000001.parquet", file(1))]);
    process.invoke_with(std::slice::from_ref(&excluded)).await;
    prefix.publish("v2", Some("v1"), &to("two"));
    let mut longest = Duration::ZERO;
    for _minute in 0..2 {
        next_look().await;
        longest = longest.max(process.invoke_with(std::slice::from_ref(&excluded)).await);
    }
    assert_eq!(process.table().await, "two");
    assert!(longest <= LATENCY * 3, "{longest:?}");
}

#[tokio::test(start_paused = true)]
async fn a_plain_folder_is_taken_over_only_once_it_has_settled() {
    let prefix = Arc::new(Prefix::default());
    prefix.copy("a", &to("one"));
    let process = Process::new(&prefix);
    assert_eq!(process.table().await, "one");
    for (state, table) in [("half", "half"), ("more", "more"), ("whole", "whole")] {
        prefix.copy(state, &to(table));
        next_look().await;
        assert_eq!(process.table().await, "one");
        assert_eq!(process.table().await, "one", "`{state}` was seen once");
    }
    next_look().await;
    process.invoke().await;
    assert_eq!(process.table().await, "whole");
    assert_eq!(*prefix.reads.lock().unwrap(), ["folder a", "folder whole"]);
}

#[tokio::test(start_paused = true)]
async fn a_process_that_went_by_current_does_not_take_files_beside_it_for_mappings() {
    let prefix = Arc::new(Prefix::default());
    prefix.publish("v1", None, &to("one"));
    let process = Process::new(&prefix);
    process.invoke().await;
    prefix.copy("stale", &to("stale"));
    for _minute in 0..3 {
        next_look().await;
        assert_eq!(process.table().await, "one");
    }
    let said = process.log.of_code("mapping.kept_last_good");
    assert!(said.len() == 3 && said[0].contains("CURRENT is gone"), "{said:?}");
}

#[tokio::test(start_paused = true)]
async fn an_outage_of_s3_is_said_at_first_and_then_less_and_less_often() {
    let prefix = Arc::new(Prefix::default());
    prefix.publish("v1", None, &to("one"));
    let process = Process::new(&prefix);
    process.invoke().await;
    *prefix.failure.lock().unwrap() = Some(SourceError::Unread("503 SlowDown".to_owned()));
    for _minute in 0..70 {
        next_look().await;
        assert_eq!(process.table().await, "one");
    }
    let said = process.log.of_code("mapping.not_refreshed");
    let levels: Vec<&str> = said.iter().map(|line| line.split(' ').next().unwrap()).collect();
    assert_eq!(levels, ["WARN", "WARN", "WARN", "WARN", "ERROR", "ERROR", "ERROR"], "1, 2, 4, … 64 looks");
    assert!(process.log.of_code("mapping.kept_last_good").is_empty());
    *prefix.failure.lock().unwrap() = None;
    prefix.publish("v2", Some("v1"), &to("two"));
    next_look().await;
    process.invoke().await;
    assert_eq!(process.table().await, "two");
}
