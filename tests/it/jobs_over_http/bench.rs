//! One object in a bucket, a handler for each receive, and an embedded BigQuery that outlives them.

use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use dms2bq::cloud::call::Tries;
use dms2bq::cloud::clock::SystemClock;
use dms2bq::cloud::google::{BigQuery, Settings};
use dms2bq::cloud::{Clock, Deadline, Jitter, Objects};
use dms2bq::emulator::{self, Faults, Options};
use dms2bq::entry::mapping_store::MappingStore;
use dms2bq::job::id::{Identity, JobId};
use dms2bq::key::{self, DmsKey, KeyMeaning, Layout};
use dms2bq::object::{ETag, Object};
use dms2bq::outcome::record::Record;
use dms2bq::route::{MappingFile, Mappings, Route, TableOptions, TableRef};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::time::Instant;

use super::faults::{FaultSpec, Script};
use crate::batch_bench::{self, BUCKET, WatchedObjects, message, record};

pub(super) const KEY: &str = "dms/casino-a/game/player/LOAD00000001.parquet";
const ETAG: &str = "d41d8cd98f00b204e9800998ecf8427e";
const PROJECT: &str = "acme-dw";
const DATASET: &str = "casino_a";
const TABLE: &str = "player";
const LOCATION: &str = "asia-northeast3";

/// A clock on which a wait takes a fiftieth of its time. What BigQuery and the network take counts in full.
pub(super) struct HastyClock {
    skipped: Mutex<Duration>,
}

impl HastyClock {
    const HASTE: u32 = 50;

    pub(super) fn new() -> Self {
        Self { skipped: Mutex::default() }
    }

    fn skipped(&self) -> Duration {
        *self.skipped.lock().expect("not poisoned")
    }
}

#[async_trait]
impl Clock for HastyClock {
    fn unix_ms(&self) -> u64 {
        SystemClock.unix_ms() + u64::try_from(self.skipped().as_millis()).expect("a test is short")
    }

    fn now(&self) -> Instant {
        Instant::now() + self.skipped()
    }

    async fn sleep(&self, duration: Duration) {
        let real = duration / Self::HASTE;
        tokio::time::sleep(real).await;
        *self.skipped.lock().expect("not poisoned") += duration - real;
    }
}

/// How the message comes, and what goes wrong while it is worked on.
#[derive(Debug, Clone)]
pub(super) struct Receive {
    pub(super) count: u32,
    pub(super) sent_ms: u64,
    pub(super) generation: u64,
    pub(super) faults: Vec<FaultSpec>,
    pub(super) patience: Duration,
    pub(super) within: Duration,
}

impl Default for Receive {
    fn default() -> Self {
        Self {
            count: 1,
            sent_ms: 1_600_000_000_000,
            generation: 0,
            faults: Vec::new(),
            patience: Duration::from_secs(20),
            within: Duration::from_secs(120),
        }
    }
}

/// How a receive ended, and what it asked for.
#[derive(Debug)]
pub(super) struct Received {
    /// In words: `loaded: attempt 0`, `returned: job.rejected, never, attempt 0`.
    pub(super) end: String,
    /// The calls, in their order; the same call again and again counts as one.
    pub(super) asked: String,
    /// How many calls were spoilt.
    pub(super) spoilt: usize,
}

pub(super) struct Bench {
    folder: TempDir,
    running: emulator::Running,
    pub(super) script: Arc<Script>,
    pub(super) objects: Arc<WatchedObjects>,
    pub(super) object: Object,
    bytes: Bytes,
}

impl Bench {
    pub(super) async fn start(options: Options, bytes: Bytes) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let script = Arc::<Script>::default();
        let running = serve(folder.path(), &script, options).await;
        running.ensure_dataset(PROJECT, DATASET, LOCATION).await.expect("a good name");
        let objects = Arc::<WatchedObjects>::default();
        let object = objects.inner.put_as(BUCKET, KEY, ETag::parse(ETAG).expect("an etag"), bytes.clone());
        Self { folder, running, script, objects, object, bytes }
    }

    /// Stops BigQuery and starts another on the same folder: jobs that were pending or running start again.
    pub(super) async fn restart(mut self, options: Options) -> Self {
        self.running.shutdown().await;
        self.running = serve(self.folder.path(), &self.script, options).await;
        self
    }

    pub(super) async fn stop(self) {
        self.running.shutdown().await;
    }

    pub(super) fn settings(&self) -> Settings {
        let mut settings = Settings::emulator(self.running.base_url()).expect("a URL");
        settings.jitter = Jitter::none();
        settings.tries = Tries { first_wait: Duration::from_millis(5), ..Tries::FEW };
        settings
    }

    /// Hands the message to a handler that has just been started.
    pub(super) async fn receive(&self, receive: Receive) -> Received {
        let mut settings = self.settings();
        (settings.timings.call, settings.timings.answer) = (receive.patience, receive.patience);
        self.receive_with(receive, settings, Arc::clone(&self.objects) as _).await
    }

    pub(super) async fn receive_with(
        &self,
        receive: Receive,
        settings: Settings,
        objects: Arc<dyn Objects>,
    ) -> Received {
        let clock: Arc<dyn Clock> = Arc::new(HastyClock::new());
        let client = BigQuery::new(settings, Arc::clone(&clock)).await.expect("a client needs no network");
        let mappings = MappingStore::fixed(mappings(receive.generation));
        let (handler, records) = batch_bench::handler(objects, Arc::new(client), &clock, mappings, true);
        let body = json!({ "Records": [record(BUCKET, KEY, self.object.etag().as_str())] }).to_string();
        let mut message = message("m", receive.count, &body);
        message["attributes"]["SentTimestamp"] = json!(receive.sent_ms.to_string());
        let jobs = (0..4).map(|attempt| (attempt, self.job_resource(receive.generation, attempt)));
        self.script.begin(receive.faults, jobs.collect());
        let deadline = Deadline::at(clock.now() + receive.within);
        let failures = batch_bench::failures(&handler, &[message], deadline).await;
        let (asked, spoilt) = self.script.end();
        let records = records.lock().expect("not poisoned");
        let [record] = &records[..] else { panic!("one line for one object: {records:?}") };
        assert_eq!(failures.is_empty(), record.disposition.is_none(), "the reply is as the line says");
        Received { end: describe(record), asked, spoilt }
    }

    /// The job as BigQuery would show it after a success.
    fn job_resource(&self, generation: u64, attempt: u32) -> Value {
        let mut resource = self.job_to_insert(generation, attempt);
        let now_ms = SystemClock.unix_ms();
        let rows = resource["configuration"]["labels"]["rows"].clone();
        resource["status"] = json!({ "state": "DONE" });
        resource["statistics"] = json!({
            "creationTime": (now_ms - 1000).to_string(),
            "endTime": (now_ms + 60_000).to_string(),
            "load": { "outputRows": rows },
        });
        resource
    }

    fn job_to_insert(&self, generation: u64, attempt: u32) -> Value {
        let (key, route) = (dms_key(), route(generation));
        let id = JobId::new(&self.object, &key, &route, attempt);
        let label = Identity::of(&self.object, &route).label().to_owned();
        let rows = parquet_rows(&self.bytes);
        json!({
            "jobReference": { "projectId": PROJECT, "location": LOCATION, "jobId": id.as_str() },
            "configuration": {
                "labels": { "object": label, "rows": rows.to_string() },
                "load": {
                    "destinationTable": { "projectId": PROJECT, "datasetId": DATASET, "tableId": TABLE },
                    "sourceFormat": "PARQUET",
                },
            },
        })
    }

    /// Somebody makes the job that the first attempt would be, with these fields of it replaced, and it runs.
    pub(super) async fn make_foreign_job(&self, changes: &Value) {
        let mut job = self.job_to_insert(0, 0);
        super::faults::merge(&mut job, changes);
        let mut body = format!("--x\r\nContent-Type: application/json\r\n\r\n{job}\r\n--x\r\nContent-Type: application/octet-stream\r\n\r\n").into_bytes();
        body.extend_from_slice(&self.bytes);
        body.extend_from_slice(b"\r\n--x--\r\n");
        let url = format!(
            "{}/upload/bigquery/v2/projects/{PROJECT}/jobs?uploadType=multipart",
            self.running.base_url()
        );
        let request =
            reqwest::Client::new().post(url).header("content-type", "multipart/related; boundary=x");
        let answer = request.body(body).send().await.expect("an answer");
        assert!(answer.status().is_success(), "{answer:?}");
        self.wait_for_jobs().await;
    }

    /// Waits until every job is done.
    pub(super) async fn wait_for_jobs(&self) {
        let under_way = |job: &String| job.ends_with("pending") || job.ends_with("running");
        while self.jobs().await.iter().any(under_way) {
            tokio::task::yield_now().await;
        }
    }

    /// Something that somebody does between two receives.
    pub(super) async fn act(&self, action: &str) {
        let table = format!("datasets/{DATASET}/tables/{TABLE}");
        match action {
            "the table is dropped" => self.change(reqwest::Method::DELETE, &table, &json!({})).await,
            "the table is made anew" => {
                self.change(reqwest::Method::DELETE, &table, &json!({})).await;
                // Of the next millisecond, so that it is younger than the job's end.
                let now_ms = SystemClock.unix_ms();
                while SystemClock.unix_ms() == now_ms {
                    tokio::task::yield_now().await;
                }
                self.make_table().await;
            }
            "the table is made" => self.make_table().await,
            "the dataset is dropped" => {
                let dataset = format!("datasets/{DATASET}?deleteContents=true");
                self.change(reqwest::Method::DELETE, &dataset, &json!({})).await;
            }
            "the dataset is made" => {
                self.running.ensure_dataset(PROJECT, DATASET, LOCATION).await.expect("a good name");
            }
            "the object is deleted" => self.objects.inner.delete(BUCKET, KEY),
            other => panic!("nobody does this: {other}"),
        }
    }

    async fn make_table(&self) {
        let table = json!({
            "tableReference": { "projectId": PROJECT, "datasetId": DATASET, "tableId": TABLE },
            "schema": { "fields": [{ "name": "id", "type": "INTEGER" }, { "name": "name", "type": "STRING" }] },
        });
        self.change(reqwest::Method::POST, &format!("datasets/{DATASET}/tables"), &table).await;
    }

    async fn change(&self, method: reqwest::Method, path: &str, body: &Value) {
        let url = format!("{}/bigquery/v2/projects/{PROJECT}/{path}", self.running.base_url());
        let answer = reqwest::Client::new().request(method, url).json(body).send().await.expect("an answer");
        assert!(answer.status().is_success(), "{path}: {}", answer.text().await.unwrap_or_default());
    }

    async fn get(&self, path: &str) -> Value {
        let url = format!("{}/bigquery/v2/projects/{PROJECT}/{path}", self.running.base_url());
        reqwest::get(url).await.expect("an answer").json().await.expect("JSON")
    }

    /// The rows of the destination; of a table that is not there, none.
    pub(super) async fn rows(&self) -> u64 {
        let table = self.get(&format!("datasets/{DATASET}/tables/{TABLE}")).await;
        table["numRows"].as_str().unwrap_or("0").parse().expect("a number")
    }

    /// All jobs, oldest first: `0 done`, `1 failed backendError`, `2 running`.
    pub(super) async fn jobs(&self) -> Vec<String> {
        let listed = self.get("jobs?maxResults=1000&projection=full").await;
        let jobs = listed["jobs"].as_array().cloned().unwrap_or_default();
        let in_words = |job: &Value| {
            let id = job["jobReference"]["jobId"].as_str().expect("an id");
            let attempt = id.rsplit('_').next().expect("an attempt");
            match job["status"]["errorResult"]["reason"].as_str() {
                Some(reason) => format!("{attempt} failed {reason}"),
                None => {
                    format!("{attempt} {}", job["status"]["state"].as_str().expect("a state").to_lowercase())
                }
            }
        };
        jobs.iter().rev().map(in_words).collect()
    }
}

async fn serve(folder: &Path, script: &Arc<Script>, options: Options) -> emulator::Running {
    let faults = Arc::clone(script) as Arc<dyn Faults>;
    let options = Options { data_dir: Some(folder.to_owned()), faults, ..options };
    emulator::start(options).await.expect("loopback is there")
}

/// Jobs that are done as soon as they can be.
pub(super) fn quick() -> Options {
    Options { pending: Duration::ZERO, running: Duration::ZERO, ..Options::default() }
}

fn parquet_rows(bytes: &Bytes) -> i64 {
    use parquet::file::reader::{FileReader, SerializedFileReader};
    let reader = SerializedFileReader::new(bytes.clone()).expect("a Parquet file");
    reader.metadata().file_metadata().num_rows()
}

fn describe(record: &Record) -> String {
    let attempt = record.job_id.as_deref().and_then(|id| id.rsplit('_').next());
    let attempt = attempt.map(|attempt| format!(", attempt {attempt}"));
    let code = record.code.map(|code| format!(": {code}"));
    let disposition = record.disposition.map(|disposition| format!(", {}", disposition.as_str()));
    [Some(record.outcome.to_string()), code, disposition, attempt].into_iter().flatten().collect()
}

fn mappings(generation: u64) -> Arc<Mappings> {
    let text = json!({
        "source": { "bucket": BUCKET, "bucket_folder": "dms/casino-a" },
        "destination": { "project": PROJECT, "location": LOCATION, "dataset": DATASET },
        "tables": [{ "schema": "game", "table": "player", "generation": generation }],
    });
    let file = MappingFile { name: "mappings/casino-a.json".to_owned(), text: text.to_string() };
    Arc::new(Mappings::parse(vec![file]).unwrap_or_else(|problems| panic!("{problems}")))
}

fn dms_key() -> DmsKey {
    let layout = Layout { bucket_folder: "dms/casino-a".to_owned(), ..Layout::default() };
    match key::parse(KEY, &layout) {
        Ok(KeyMeaning::Data(key)) => key,
        other => panic!("{other:?}"),
    }
}

fn route(generation: u64) -> Route {
    let [project, dataset, table] = [PROJECT, DATASET, TABLE].map(str::to_owned);
    Route {
        mapping: "casino-a".to_owned(),
        destination: TableRef { project, dataset, table },
        location: LOCATION.to_owned(),
        options: TableOptions { generation, ..TableOptions::default() },
    }
}
