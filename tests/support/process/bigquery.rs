//! The embedded BigQuery as a process of its own, which can be killed and started again on its folder and port.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};
use std::sync::{Mutex, MutexGuard};
use std::time::Duration;

use serde_json::Value;
use tempfile::TempDir;

use super::audit::{FoundJob, FoundRow};
use super::files::{DATASET, LOCATION, PROJECT};

/// Below the ports that an operating system hands out by itself, so that nobody takes ours while we are down.
const PORTS: std::ops::Range<u16> = 15_000..30_000;

/// Longer than any answer takes.
const PATIENCE: Duration = Duration::from_secs(60);

/// The process, and what is in its tables.
pub(crate) struct BigQuery {
    program: String,
    extra: Vec<String>,
    folder: TempDir,
    port: u16,
    child: Mutex<Option<Child>>,
    http: reqwest::Client,
}

impl BigQuery {
    /// Starts it with one dataset.
    pub(crate) fn start(program: &str, extra: &[&str]) -> Self {
        let http = reqwest::Client::builder().no_proxy().timeout(PATIENCE).build().expect("a client");
        let bigquery = Self {
            program: program.to_owned(),
            extra: extra.iter().map(|argument| (*argument).to_owned()).collect(),
            folder: tempfile::tempdir().expect("a folder"),
            port: free_port(),
            child: Mutex::new(None),
            http,
        };
        bigquery.restart();
        bigquery
    }

    pub(crate) fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// Its process id, while it lives.
    pub(crate) fn pid(&self) -> Option<u32> {
        self.child().as_ref().map(Child::id)
    }

    fn child(&self) -> MutexGuard<'_, Option<Child>> {
        self.child.lock().unwrap()
    }

    /// Ends it by SIGKILL.
    pub(crate) fn kill(&self) {
        if let Some(mut child) = self.child().take() {
            drop(child.kill());
            drop(child.wait());
        }
    }

    /// Starts it on its folder and port. When this returns, it answers.
    pub(crate) fn restart(&self) {
        let mut child = Command::new(&self.program)
            .args(["emulator", "--port", &self.port.to_string(), "--data"])
            .arg(self.folder.path())
            .args(["--dataset", &format!("{PROJECT}.{DATASET}@{LOCATION}")])
            .args(&self.extra)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("the embedded BigQuery starts");
        let mut url = String::new();
        BufReader::new(child.stdout.take().expect("its output")).read_line(&mut url).expect("its URL");
        assert_eq!(url.trim(), self.url(), "the embedded BigQuery is not where it was asked to be");
        *self.child() = Some(child);
    }

    async fn get(&self, path: &str) -> Value {
        let url = format!("{}/bigquery/v2/projects/{PROJECT}/{path}", self.url());
        let answer = self.http.get(&url).send().await.expect("an answer");
        assert!(answer.status().is_success(), "{url}: {answer:?}");
        answer.json().await.expect("JSON")
    }

    /// All pages of a list.
    async fn list(&self, path: &str, name: &str) -> Vec<Value> {
        let (mut items, mut page) = (Vec::new(), String::new());
        loop {
            let mut answer = self.get(&format!("{path}{page}")).await;
            if let Value::Array(found) = answer[name].take() {
                items.extend(found);
            }
            let token = answer["nextPageToken"].as_str().or(answer["pageToken"].as_str());
            match token {
                Some(token) => page = format!("&pageToken={token}"),
                None => return items,
            }
        }
    }

    /// Every row of every table.
    pub(crate) async fn rows(&self) -> Vec<FoundRow> {
        let mut rows = Vec::new();
        for table in self.list(&format!("datasets/{DATASET}/tables?maxResults=1000"), "tables").await {
            let table = table["tableReference"]["tableId"].as_str().expect("a name").to_owned();
            let path = format!("datasets/{DATASET}/tables/{table}/data?selectedFields=file,row,text");
            for mut row in self.list(&path, "rows").await {
                let mut cells =
                    row["f"].as_array_mut().expect("cells").iter_mut().map(|cell| cell["v"].take());
                let mut next =
                    || cells.next().and_then(|cell| cell.as_str().map(str::to_owned)).unwrap_or_default();
                let (file, row, text) = (next(), next(), next());
                let number = |text: &str| text.parse().unwrap_or(u64::MAX);
                rows.push(FoundRow { table: table.clone(), file: number(&file), row: number(&row), text });
            }
        }
        rows
    }

    /// Every job, by its id.
    pub(crate) async fn jobs(&self) -> BTreeMap<String, FoundJob> {
        let jobs = self.list("jobs?projection=full&maxResults=1000", "jobs").await;
        jobs.iter().map(|job| (text(&job["jobReference"]["jobId"]), FoundJob::of(job))).collect()
    }

    /// Loads bytes into a table under any job id, as somebody would who knows nothing of the rules.
    pub(crate) async fn load_behind_the_back(&self, job_id: &str, table: &str, bytes: &[u8]) {
        let resource = serde_json::json!({
            "jobReference": { "projectId": PROJECT, "jobId": job_id, "location": LOCATION },
            "configuration": { "load": {
                "destinationTable": { "projectId": PROJECT, "datasetId": DATASET, "tableId": table },
                "sourceFormat": "PARQUET",
                "writeDisposition": "WRITE_APPEND",
            } },
        });
        let body = [format!("--b\r\n\r\n{resource}\r\n--b\r\n\r\n").as_bytes(), bytes, b"\r\n--b--"].concat();
        let url = format!("{}/upload/bigquery/v2/projects/{PROJECT}/jobs?uploadType=multipart", self.url());
        let request = self.http.post(url).header("content-type", "multipart/related; boundary=b").body(body);
        let answer = request.send().await.expect("an answer");
        assert!(answer.status().is_success(), "{answer:?}");
        while !self.jobs().await[job_id].succeeded() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

impl Drop for BigQuery {
    fn drop(&mut self) {
        self.kill();
    }
}

impl FoundJob {
    fn of(job: &Value) -> Self {
        let number = |value: &Value| value.as_str().and_then(|text| text.parse().ok());
        let reason = &job["status"]["errorResult"]["reason"];
        Self {
            destination: text(&job["configuration"]["load"]["destinationTable"]["tableId"]),
            state: text(&job["status"]["state"]),
            failure: reason.as_str().map(str::to_owned),
            created_ms: number(&job["statistics"]["creationTime"]).unwrap_or(0),
            ended_ms: number(&job["statistics"]["endTime"]),
        }
    }
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

/// A port that nobody in this process has asked for, and nobody else has.
fn free_port() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let spread = u16::try_from(std::process::id() % 10_000).expect("a small number");
    let next = || PORTS.start + (spread + NEXT.fetch_add(1, Ordering::Relaxed)) % (PORTS.end - PORTS.start);
    let is_free = |port: &u16| TcpListener::bind(("127.0.0.1", *port)).is_ok();
    std::iter::repeat_with(next).find(is_free).expect("a free port")
}
