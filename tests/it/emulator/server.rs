//! An embedded BigQuery to talk to, and the few calls that every test makes.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use dms2bq::cloud::Clock;
use dms2bq::emulator::{Limits, Options, Running, start};
use serde_json::{Value, json};
use tokio::sync::Semaphore;
use tokio::time::Instant;

pub(crate) const PROJECT: &str = "proj";
pub(crate) const DATASET: &str = "ds";
pub(crate) const LOCATION: &str = "EU";
/// Far beyond what any job here takes; a test that waits for longer hangs.
const PATIENCE: Duration = Duration::from_secs(60);

/// A clock that tests set. Its waits are over at once, or when the test says so.
pub(crate) struct TestClock {
    now_ms: AtomicU64,
    waits: Semaphore,
}

impl TestClock {
    pub(crate) fn free_running() -> Arc<Self> {
        Arc::new(Self {
            now_ms: AtomicU64::new(1_700_000_000_000),
            waits: Semaphore::new(Semaphore::MAX_PERMITS),
        })
    }

    /// Every wait of a job lasts until [`Self::let_one_wait_end`].
    pub(crate) fn held() -> Arc<Self> {
        Arc::new(Self { now_ms: AtomicU64::new(1_700_000_000_000), waits: Semaphore::new(0) })
    }

    pub(crate) fn let_one_wait_end(&self) {
        self.waits.add_permits(1);
    }

    pub(crate) fn advance(&self, span: Duration) {
        self.now_ms.fetch_add(u64::try_from(span.as_millis()).expect("a short span"), Ordering::SeqCst);
    }
}

#[async_trait]
impl Clock for TestClock {
    fn unix_ms(&self) -> u64 {
        self.now_ms.load(Ordering::SeqCst)
    }

    fn now(&self) -> Instant {
        Instant::now()
    }

    async fn sleep(&self, _duration: Duration) {
        self.waits.acquire().await.expect("a clock that goes on").forget();
    }
}

/// Options for a test: no waits, no limits.
pub(crate) fn quick() -> Options {
    Options { clock: TestClock::free_running(), limits: Limits::NONE, ..Options::default() }
}

/// A client of one embedded BigQuery.
#[derive(Clone)]
pub(crate) struct Client {
    pub(crate) base_url: String,
    pub(crate) http: reqwest::Client,
}

/// Starts one with a dataset in it.
pub(crate) async fn serve(options: Options) -> (Running, Client) {
    let running = start(options).await.expect("an embedded BigQuery that starts");
    running.ensure_dataset(PROJECT, DATASET, LOCATION).await.expect("a dataset");
    let client = Client::new(running.base_url());
    (running, client)
}

impl Client {
    pub(crate) fn new(base_url: &str) -> Self {
        // A 308 says how far an upload is; it is no redirect.
        let http = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).no_proxy().build();
        Self { base_url: base_url.to_owned(), http: http.expect("an HTTP client") }
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("{}/bigquery/v2/projects/{PROJECT}{path}", self.base_url)
    }

    pub(crate) fn upload_url(&self, kind: &str) -> String {
        format!("{}/upload/bigquery/v2/projects/{PROJECT}/jobs?uploadType={kind}", self.base_url)
    }

    pub(crate) async fn get(&self, path: &str) -> (u16, Value) {
        answer(self.http.get(self.url(path))).await
    }

    pub(crate) async fn post(&self, path: &str, body: &Value) -> (u16, Value) {
        answer(self.http.post(self.url(path)).json(body)).await
    }

    pub(crate) async fn delete(&self, path: &str) -> u16 {
        answer(self.http.delete(self.url(path))).await.0
    }

    /// Sends a job and its file in one request.
    pub(crate) async fn insert(&self, job: &Value, file: &[u8]) -> (u16, Value) {
        let mut body =
            format!("--b\r\ncontent-type: application/json\r\n\r\n{job}\r\n--b\r\ncontent-type: */*\r\n\r\n")
                .into_bytes();
        body.extend_from_slice(file);
        body.extend_from_slice(b"\r\n--b--");
        let request = self.http.post(self.upload_url("multipart"));
        answer(request.header("content-type", "multipart/related; boundary=\"b\"").body(body)).await
    }

    /// Loads a file and waits for the end: the job as it is then.
    pub(crate) async fn load(&self, id: &str, table: &str, file: &[u8]) -> Value {
        let (status, answer) = self.insert(&job(id, table, &json!({})), file).await;
        assert_eq!(status, 200, "{answer}");
        self.wait(id).await
    }

    /// Asks until a job is done.
    pub(crate) async fn wait(&self, id: &str) -> Value {
        self.wait_for(id, "DONE").await
    }

    /// Asks until a job is in a state.
    pub(crate) async fn wait_for(&self, id: &str, state: &str) -> Value {
        let waiting = async {
            loop {
                let (status, job) = self.get(&format!("/jobs/{id}?location={LOCATION}")).await;
                assert_eq!(status, 200, "{job}");
                if job["status"]["state"] == state {
                    return job;
                }
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(PATIENCE, waiting).await.expect("a job that gets there")
    }

    pub(crate) async fn table(&self, table: &str) -> Value {
        let (status, table) = self.get(&format!("/datasets/{DATASET}/tables/{table}")).await;
        assert_eq!(status, 200, "{table}");
        table
    }

    pub(crate) async fn row_count(&self, table: &str) -> u64 {
        let table = self.table(table).await;
        table["numRows"].as_str().expect("a number as text").parse().expect("a number")
    }

    /// All cells of a table, row by row.
    pub(crate) async fn rows(&self, table: &str, query: &str) -> Vec<Vec<Value>> {
        let (status, answer) = self.get(&format!("/datasets/{DATASET}/tables/{table}/data?{query}")).await;
        assert_eq!(status, 200, "{answer}");
        let cells =
            |row: &Value| row["f"].as_array().expect("cells").iter().map(|cell| cell["v"].clone()).collect();
        answer["rows"].as_array().map(|rows| rows.iter().map(cells).collect()).unwrap_or_default()
    }
}

/// Sends a request; gives status and body, `null` if there is none.
pub(crate) async fn answer(request: reqwest::RequestBuilder) -> (u16, Value) {
    let response = request.send().await.expect("an answer");
    let status = response.status().as_u16();
    let body = response.bytes().await.expect("a body");
    let body =
        if body.is_empty() { Value::Null } else { serde_json::from_slice(&body).expect("a body of JSON") };
    (status, body)
}

/// A load job's resource. `load` adds to its configuration, or overrides it.
pub(crate) fn job(id: &str, table: &str, load: &Value) -> Value {
    let mut configuration = json!({
        "sourceFormat": "PARQUET",
        "destinationTable": { "projectId": PROJECT, "datasetId": DATASET, "tableId": table },
    });
    for (name, value) in load.as_object().into_iter().flatten() {
        configuration[name] = value.clone();
    }
    json!({
        "jobReference": { "projectId": PROJECT, "jobId": id, "location": LOCATION },
        "configuration": { "load": configuration, "labels": { "object": "0123abcd" } },
    })
}

/// Checks Google's form of an error.
pub(crate) fn assert_error(answer: &Value, status: u16, reason: &str, message: &str) {
    let error = &answer["error"];
    assert_eq!(error["code"], status, "{answer}");
    assert_eq!(error["errors"][0]["reason"], reason, "{answer}");
    assert_eq!(error["errors"][0]["message"], error["message"]);
    let text = error["message"].as_str().expect("a message");
    assert!(text.contains(message), "{text:?} does not say {message:?}");
}

/// Checks a failed job.
pub(crate) fn assert_failed(job: &Value, reason: &str, message: &str) {
    assert_eq!(job["status"]["state"], "DONE", "{job}");
    let error = &job["status"]["errorResult"];
    assert_eq!(error["reason"], reason, "{job}");
    let text = error["message"].as_str().expect("a message");
    assert!(text.contains(message), "{text:?} does not say {message:?}");
    assert_eq!(job["status"]["errors"][0], *error);
}
