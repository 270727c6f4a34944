//! The real programs, killed and loaded: `bootstrap` under Lambda's Runtime API between a queue, a bucket and the embedded
//! BigQuery, each fast enough not to be what is measured, and unkind enough to be worth surviving.
//!
//! | Part | Is |
//! |---|---|
//! | [`kills`], [`load`] | the two runs |
//! | [`audit`] | what must hold when a run is over |
//! | [`queue`], [`bucket`] | SQS and S3 over loopback |
//! | [`bigquery`], [`worker`] | the two programs |
//! | [`files`], [`dice`] | what lands, and chance |

pub(crate) mod audit;
pub(crate) mod bigquery;
pub(crate) mod bucket;
pub(crate) mod dice;
pub(crate) mod files;
pub(crate) mod kills;
pub(crate) mod load;
pub(crate) mod queue;
pub(crate) mod worker;

use std::collections::BTreeMap;
use std::fmt;
use std::fs::File;
use std::io::Write;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use audit::{Found, Problem};
use bigquery::BigQuery;
use bucket::Bucket;
use files::{BUCKET, LandedFile, MAPPING};
use queue::LandingQueue;

/// Where the two programs are, and where to write what they log.
#[derive(Debug, Clone)]
pub(crate) struct Programs {
    pub(crate) bootstrap: String,
    pub(crate) dms2bq: String,
    pub(crate) log: Option<PathBuf>,
}

/// Everything around the workers.
pub(crate) struct Ground {
    pub(crate) bootstrap: String,
    pub(crate) bucket: Arc<Bucket>,
    pub(crate) queue: Arc<LandingQueue>,
    pub(crate) bigquery: BigQuery,
    landed: Mutex<Vec<LandedFile>>,
    lines: Mutex<Lines>,
    bad_lines: Mutex<Vec<String>>,
    log: Option<File>,
    mappings: TempDir,
    s3_url: String,
    sqs_url: String,
    serving: [JoinHandle<()>; 2],
}

/// What workers wrote, counted by outcome and code.
type Lines = BTreeMap<String, u64>;

impl Ground {
    pub(crate) async fn start(
        programs: &Programs,
        bucket: Bucket,
        queue: LandingQueue,
        bigquery_options: &[&str],
    ) -> Self {
        let mappings = tempfile::tempdir().expect("a folder");
        std::fs::write(mappings.path().join("casino-a.json"), MAPPING).expect("a file");
        let (bucket, queue) = (Arc::new(bucket), Arc::new(queue));
        let (s3_url, serving_s3) = serve(bucket.routes()).await;
        let (sqs_url, serving_sqs) = serve(queue.routes()).await;
        Self {
            bootstrap: programs.bootstrap.clone(),
            bucket,
            queue,
            bigquery: BigQuery::start(&programs.dms2bq, bigquery_options),
            landed: Mutex::default(),
            lines: Mutex::default(),
            bad_lines: Mutex::default(),
            log: programs.log.as_ref().map(|path| File::create(path).expect("a file for the log")),
            mappings,
            s3_url,
            sqs_url,
            serving: [serving_s3, serving_sqs],
        }
    }

    /// What a worker finds in its environment.
    fn environment(&self) -> BTreeMap<&str, String> {
        BTreeMap::from([
            ("DMS2BQ_MAPPINGS", self.mappings.path().to_str().expect("UTF-8").to_owned()),
            ("DMS2BQ_PARTIAL_BATCH_RESPONSE", "on".to_owned()),
            ("BIGQUERY_EMULATOR_HOST", self.bigquery.url()),
            ("AWS_ENDPOINT_URL_S3", self.s3_url.clone()),
            ("AWS_ENDPOINT_URL_SQS", self.sqs_url.clone()),
            ("AWS_REGION", "us-east-1".to_owned()),
            ("AWS_ACCESS_KEY_ID", "nobody".to_owned()),
            ("AWS_SECRET_ACCESS_KEY", "nothing".to_owned()),
        ])
    }

    /// Puts files into the bucket and announces them in one message. Without etags, a worker has to ask for them.
    pub(crate) fn land(&self, files: &[LandedFile], with_etags: bool) {
        for file in files {
            self.bucket.put(BUCKET, &file.key(), file.etag(), file.parquet());
        }
        self.landed.lock().unwrap().extend_from_slice(files);
        self.announce(files, with_etags);
    }

    /// Sends a message about files, which S3 may do more than once.
    pub(crate) fn announce(&self, files: &[LandedFile], with_etags: bool) {
        let records: Vec<Value> = files.iter().map(|file| created(file, with_etags)).collect();
        let numbers = files.iter().map(|file| file.number).collect();
        self.queue.send(json!({ "Records": records }).to_string(), numbers);
    }

    pub(crate) fn landed(&self) -> Vec<LandedFile> {
        self.landed.lock().unwrap().clone()
    }

    /// Counts what a worker wrote. A last line that the worker's end cut short is none.
    fn keep_lines(&self, output: &str) {
        if let Some(mut log) = self.log.as_ref() {
            log.write_all(output.as_bytes()).expect("a file that takes the log");
        }
        let (mut lines, mut bad_lines) = (self.lines.lock().unwrap(), self.bad_lines.lock().unwrap());
        for line in output.split_inclusive('\n').filter(|line| line.ends_with('\n')) {
            let fields: Value = serde_json::from_str(line).unwrap_or_default();
            let word = |name: &str| fields[name].as_str().unwrap_or_default();
            if !fields.is_object() || word("code") == "bug.panic" {
                bad_lines.push(line.trim_end().to_owned());
            }
            let what = format!("{} {}", word("outcome"), word("code"));
            *lines.entry(what.trim().to_owned()).or_default() += 1;
        }
    }

    /// Of a worker's reply, whatever is no partial reply is as bad as a panic.
    fn keep_bad_reply(&self, reply: String) {
        self.bad_lines.lock().unwrap().push(reply);
    }

    /// How many lines workers wrote of each outcome and code.
    pub(crate) fn lines(&self) -> Lines {
        self.lines.lock().unwrap().clone()
    }

    /// Reads all that can be seen from outside.
    pub(crate) async fn found(&self) -> Found {
        Found {
            rows: self.bigquery.rows().await,
            jobs: self.bigquery.jobs().await,
            done: self.queue.done(),
            dead_lettered: self.queue.dead_lettered(),
            stuck: self.queue.left(),
            bad_lines: self.bad_lines.lock().unwrap().clone(),
        }
    }
}

impl Drop for Ground {
    fn drop(&mut self) {
        self.serving.iter().for_each(JoinHandle::abort);
    }
}

/// S3's word that an object was created.
fn created(file: &LandedFile, with_etag: bool) -> Value {
    let mut object = json!({ "key": file.key(), "size": file.row_count * file.text_bytes as u64 });
    if with_etag {
        object["eTag"] = json!(file.etag());
    }
    json!({
        "eventVersion": "2.1",
        "eventSource": "aws:s3",
        "awsRegion": "us-east-1",
        "eventTime": "2022-12-01T09:30:15.123Z",
        "eventName": "ObjectCreated:Put",
        "s3": { "s3SchemaVersion": "1.0", "bucket": { "name": BUCKET }, "object": object },
    })
}

async fn serve(routes: Router) -> (String, JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let url = format!("http://{}", listener.local_addr().expect("an address"));
    (url, tokio::spawn(async move { axum::serve(listener, routes).await.expect("a server") }))
}

/// What a run has to say.
pub(crate) struct Report {
    pub(crate) figures: Vec<(String, String)>,
    pub(crate) problems: Vec<Problem>,
}

/// How many problems are spelt out.
const PROBLEMS_SHOWN: usize = 20;

impl Report {
    pub(crate) fn figure(&mut self, name: impl Into<String>, value: impl fmt::Display) {
        self.figures.push((name.into(), value.to_string()));
    }

    /// Takes over what the audit found, and counts the rows lost and doubled.
    fn judge(&mut self, problems: Vec<Problem>) {
        let count = |is: fn(&Problem) -> bool| problems.iter().filter(|problem| is(problem)).count();
        self.figure("rows lost", count(|problem| matches!(problem, Problem::Lost { .. })));
        self.figure("rows doubled", count(|problem| matches!(problem, Problem::Doubled { .. })));
        self.figure("problems", problems.len());
        self.problems = problems;
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (name, value) in &self.figures {
            writeln!(f, "{name:<44}{value:>16}")?;
        }
        for problem in self.problems.iter().take(PROBLEMS_SHOWN) {
            writeln!(f, "PROBLEM {problem}")?;
        }
        Ok(())
    }
}

/// Seconds, with one decimal.
fn seconds(time: Duration) -> String {
    format!("{:.1} s", time.as_secs_f64())
}
