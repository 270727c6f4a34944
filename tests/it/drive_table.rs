//! What every answer of BigQuery leads to. A case in `tests/cases/jobs` is the transcript of one receive: how the
//! message came, each call with the answer that it gets, and the end. A call that does not stand there, or that
//! stands there and is not made, fails the case. `tests/cases/jobs/README.md` says how to write one.

use std::collections::{BTreeMap, VecDeque};
use std::ops::Range;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use dms2bq::cloud::call::SIGN_IN;
use dms2bq::cloud::memory::objects::MemoryObjects;
use dms2bq::cloud::memory::warehouse::{Course, MemoryWarehouse};
use dms2bq::cloud::{
    ByteStream, CallError, Clock, Deadline, InsertError, Inserted, ObjectHead, Objects, ObjectsError,
    TableLookup, Tail, Warehouse,
};
use dms2bq::event::Receipt;
use dms2bq::job::drive::Driver;
use dms2bq::job::id::Identity;
use dms2bq::job::load::Load;
use dms2bq::job::{
    ColumnMode, JobError, JobFailure, JobRecord, JobRef, JobState, LoadJob, TableColumn, TableInfo,
};
use dms2bq::key::{self, DmsKey, KeyMeaning, Layout};
use dms2bq::object::{ETag, Object, ObjectRef};
use dms2bq::outcome::{Outcome, StepError};
use dms2bq::route::{Route, TableOptions, TableRef};
use serde::Deserialize;

use crate::cases;
use crate::twins::{TestClock, file};

/// When the receive begins, in seconds of 1970. The times of the cases are before it.
const NOW_S: u64 = 1000;

/// The rows of the file, unless the case says otherwise.
const ROWS: u64 = 5;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    #[serde(rename = "why")]
    _why: String,
    #[serde(default)]
    receipt: How,
    calls: VecDeque<Line>,
    end: String,
    /// The least and the most that is slept, in seconds.
    slept_s: Option<Range<u64>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, default)]
struct How {
    receive_count: u32,
    redriven: bool,
    sent_s: Option<u64>,
}

impl Default for How {
    fn default() -> Self {
        Self { receive_count: 1, redriven: false, sent_s: Some(900) }
    }
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Line {
    call: String,
    answer: String,
    rows: Option<u64>,
    label_rows: Option<u64>,
    reason: String,
    ended_s: Option<u64>,
    created_s: Option<u64>,
    columns: Vec<String>,
    again_and_again: bool,
}

#[tokio::test]
async fn every_receive_goes_as_its_transcript_says() {
    let files = cases::files("jobs", "json");
    assert!(files.len() >= 40, "only {} cases", files.len());
    let mut problems = Vec::new();
    for name in files {
        let case: Case = cases::json(&cases::root("jobs"), &name);
        problems.extend(walk(case).await.into_iter().map(|problem| format!("{name}: {problem}")));
    }
    assert!(problems.is_empty(), "{}", problems.join("\n"));
}

async fn walk(case: Case) -> Vec<String> {
    let clock = Arc::new(TestClock::at_unix_s(NOW_S));
    let script = Arc::new(Script { lines: Mutex::new(case.calls), problems: Mutex::default() });
    let driver = Driver::new(
        Arc::clone(&script) as Arc<dyn Warehouse>,
        Arc::clone(&script) as Arc<dyn Objects>,
        Arc::clone(&clock) as Arc<dyn Clock>,
    );
    let receipt = Receipt {
        message_id: "m".to_owned(),
        receive_count: case.receipt.receive_count,
        sent_at_ms: case.receipt.sent_s.map(|s| s * 1000),
        redriven: case.receipt.redriven,
        ..Receipt::default()
    };
    let end = describe(settle(&driver, &receipt, clock.as_ref()).await);
    let mut problems = std::mem::take(&mut *script.problems.lock().unwrap());
    problems.extend(script.left());
    if end != case.end {
        problems.push(format!("wanted the end {:?}, found {end:?}", case.end));
    }
    let slept = clock.slept().as_secs();
    if case.slept_s.is_some_and(|range| !range.contains(&slept)) {
        problems.push(format!("slept {slept} s"));
    }
    problems
}

async fn settle(driver: &Driver, receipt: &Receipt, clock: &dyn Clock) -> Result<Outcome, JobError> {
    let deadline = Deadline::at(clock.now() + Duration::from_secs(600));
    let load = Load { object: &object(), key: &dms_key(), route: &route(), receipt, deadline };
    driver.settle(&load).await.map(Outcome::Loaded)
}

/// An end in words: `loaded: attempt 0, 5 rows`, `returned: job.rejected, never, attempt 0`.
fn describe(end: Result<Outcome, JobError>) -> String {
    match end.unwrap_or_else(|error| StepError::from(error).into()) {
        Outcome::Loaded(settled) => {
            let word = if settled.adopted { "adopted" } else { "loaded" };
            format!("{word}: attempt {}, {} rows", settled.attempt, settled.row_count)
        }
        Outcome::Ignored(ignored) => format!("ignored: {}", ignored.code),
        Outcome::Returned(error) => {
            let attempt = error.job_id().and_then(|id| id.rsplit('_').next());
            let attempt = attempt.map(|attempt| format!(", attempt {attempt}")).unwrap_or_default();
            format!("returned: {}, {}{attempt}", error.code(), error.disposition().as_str())
        }
    }
}

/// S3 and BigQuery, which say what the case has them say.
struct Script {
    lines: Mutex<VecDeque<Line>>,
    problems: Mutex<Vec<String>>,
}

impl Script {
    fn answer(&self, call: &str) -> Option<Line> {
        let mut lines = self.lines.lock().unwrap();
        if lines.front().is_some_and(|line| line.again_and_again && line.call != call) {
            lines.pop_front();
        }
        match lines.front() {
            Some(line) if line.call == call && line.again_and_again => lines.front().cloned(),
            Some(line) if line.call == call => lines.pop_front(),
            other => {
                let wanted = other.map_or("no call", |line| line.call.as_str());
                self.problems.lock().unwrap().push(format!("wanted {wanted}, found {call}"));
                None
            }
        }
    }

    fn left(&self) -> Option<String> {
        let lines = self.lines.lock().unwrap();
        let left: Vec<&str> =
            lines.iter().filter(|line| !line.again_and_again).map(|line| line.call.as_str()).collect();
        (!left.is_empty()).then(|| format!("not called: {}", left.join(", ")))
    }
}

/// The call's name and the attempt that it is about.
fn attempt_of(call: &str, job: &JobRef) -> String {
    format!("{call} {}", job.id.rsplit('_').next().unwrap())
}

#[async_trait]
impl Warehouse for Script {
    async fn get_job(&self, job: &JobRef, _: Deadline) -> Result<Option<JobRecord>, CallError> {
        let line = self.answer(&attempt_of("jobs.get", job)).unwrap_or_default();
        match line.answer.as_str() {
            "not found" => Ok(None),
            _ => match record(&job.id, &line) {
                Some(record) => Ok(Some(record)),
                None => Err(call_error("jobs.get", &line.answer)),
            },
        }
    }

    async fn get_table(&self, table: &TableRef, _: Deadline) -> Result<TableLookup, CallError> {
        assert_eq!(*table, route().destination);
        let line = self.answer("tables.get").unwrap_or_default();
        match line.answer.as_str() {
            "no table" => Ok(TableLookup::NoTable),
            "no dataset" => Ok(TableLookup::NoDataset),
            "table" => Ok(TableLookup::Found(table_info(&line))),
            other => Err(call_error("tables.get", other)),
        }
    }

    async fn insert(
        &self,
        load: &LoadJob,
        _: Arc<dyn Objects>,
        _: Deadline,
    ) -> Result<Inserted, InsertError> {
        let line = self.answer(&attempt_of("jobs.insert", &load.job)).unwrap_or_default();
        match line.answer.as_str() {
            "exists" => Ok(Inserted::Exists),
            "not parquet" => Err(InsertError::NotParquet),
            "too slow" => Err(InsertError::TooSlow { sent_bytes: 1, total_bytes: 2, elapsed_ms: 3 }),
            "object missing" => Err(InsertError::Object(ObjectsError::Missing)),
            "object replaced" => Err(InsertError::Object(ObjectsError::Replaced)),
            other => match record(&load.job.id, &line) {
                Some(record) => Ok(Inserted::Created(record)),
                None => Err(InsertError::Call(call_error("jobs.insert", other))),
            },
        }
    }
}

#[async_trait]
impl Objects for Script {
    async fn head(&self, _: &ObjectRef) -> Result<ObjectHead, ObjectsError> {
        self.answer("s3.head");
        Err(ObjectsError::Missing)
    }

    async fn read_tail(&self, _: &Object, _: u64) -> Result<Tail, ObjectsError> {
        let line = self.answer("s3.read_tail").unwrap_or_default();
        let bytes = match line.answer.as_str() {
            "file" => file(usize::try_from(line.rows.unwrap_or(ROWS)).unwrap()),
            "empty" => bytes::Bytes::new(),
            "not parquet" => "id,name\n1,a\n2,b\n".into(),
            "missing" => return Err(ObjectsError::Missing),
            "replaced" => return Err(ObjectsError::Replaced),
            other => return Err(call_error("s3.get_object", other).into()),
        };
        Ok(Tail { object_size_bytes: bytes.len() as u64, bytes })
    }

    async fn open(&self, _: &Object, _: Range<u64>) -> Result<ByteStream, ObjectsError> {
        self.answer("s3.open");
        Err(ObjectsError::Missing)
    }
}

/// A job as the line has it; `None` if the line speaks of no job.
fn record(id: &str, line: &Line) -> Option<JobRecord> {
    let state = match line.answer.as_str() {
        "pending" => JobState::Pending,
        "running" => JobState::Running,
        "failed" => JobState::Failed(JobFailure {
            reason: line.reason.clone(),
            message: "of the case".to_owned(),
            details: Vec::new(),
        }),
        answer if answer.starts_with("done") => JobState::Succeeded,
        _ => return None,
    };
    let ended = matches!(state, JobState::Succeeded | JobState::Failed(_));
    let rows = line.rows.unwrap_or(ROWS);
    let mut record = JobRecord {
        id: id.to_owned(),
        destination: Some(route().destination),
        labels: BTreeMap::from([
            ("object".to_owned(), Identity::of(&object(), &route()).label().to_owned()),
            ("rows".to_owned(), line.label_rows.unwrap_or(ROWS).to_string()),
        ]),
        output_rows: (state == JobState::Succeeded).then_some(rows),
        created_ms: Some(800_000),
        ended_ms: ended.then_some(line.ended_s.unwrap_or(950) * 1000),
        state,
    };
    match line.answer.strip_prefix("done, ") {
        Some("another destination") => {
            record.destination = Some(TableRef { table: "monster".to_owned(), ..route().destination });
        }
        Some("no load job") => record.destination = None,
        Some("another object") => drop(record.labels.insert("object".to_owned(), "0".repeat(32))),
        Some("no object label") => drop(record.labels.remove("object")),
        Some("no rows label") => drop(record.labels.remove("rows")),
        Some("rows unknown") => record.output_rows = None,
        Some(other) => panic!("no such job in these cases: {other}"),
        None => {}
    }
    Some(record)
}

fn call_error(call: &'static str, answer: &str) -> CallError {
    let detail = "of the case".to_owned();
    match answer {
        "unanswered" => CallError::Unanswered { call, detail },
        "unavailable" => CallError::Unavailable { call, detail },
        "not sent" => CallError::NotSent { call, source: "no connection".into() },
        "throttled" => CallError::Throttled { call, detail, retry_after: None },
        "quota used up" => CallError::QuotaExceeded { call, detail },
        "denied" => CallError::Denied { call, detail },
        "not signed in" => CallError::Denied { call: SIGN_IN, detail },
        "dataset not found" => CallError::NotFound { call, detail },
        "out of time" => CallError::OutOfTime { call, sent: false },
        "out of time after sending" => CallError::OutOfTime { call, sent: true },
        // Also what a call gets that the case does not foresee.
        "refused" | "" => CallError::Rejected { call, detail },
        other => panic!("{call}: no such answer in these cases: {other}"),
    }
}

fn table_info(line: &Line) -> TableInfo {
    let default = ["id INTEGER".to_owned(), "name STRING".to_owned()];
    let columns = if line.columns.is_empty() { &default[..] } else { &line.columns[..] };
    let column = |text: &String| {
        let (name, kind) = text.split_once(' ').expect("a name and a type");
        TableColumn { name: name.to_owned(), kind: kind.to_owned(), mode: ColumnMode::Nullable }
    };
    TableInfo {
        created_ms: line.created_s.unwrap_or(500) * 1000,
        columns: columns.iter().map(column).collect(),
        partitioned: true,
    }
}

const KEY: &str = "dms/casino-a/game/player/LOAD00000001.parquet";

fn object() -> Object {
    let etag = ETag::parse("d41d8cd98f00b204e9800998ecf8427e").expect("an etag");
    Object::new("acme-landing", KEY, etag, None)
}

fn dms_key() -> DmsKey {
    let layout = Layout { bucket_folder: "dms/casino-a".to_owned(), ..Layout::default() };
    match key::parse(KEY, &layout) {
        Ok(KeyMeaning::Data(key)) => key,
        other => panic!("{other:?}"),
    }
}

fn route() -> Route {
    let [project, dataset, table] = ["acme-dw", "casino_a", "player"].map(str::to_owned);
    Route {
        mapping: "casino-a".to_owned(),
        destination: TableRef { project, dataset, table },
        location: "asia-northeast3".to_owned(),
        options: TableOptions::default(),
    }
}

/// Every reason of a failed job that is known, and what it leads to in the receive that made the job.
#[derive(Deserialize)]
struct Reason {
    reason: String,
    end: String,
    jobs: usize,
}

#[tokio::test]
async fn every_reason_leads_where_its_line_says() {
    let reasons: Vec<Reason> = cases::json(&cases::root("jobs"), "reasons/all.json");
    let mut problems = Vec::new();
    for wanted in reasons {
        let clock: Arc<dyn Clock> = Arc::new(TestClock::at_unix_s(NOW_S));
        let objects = Arc::new(MemoryObjects::new());
        let etag = object().etag().clone();
        objects.put_as("acme-landing", KEY, etag, file(5));
        let warehouse = Arc::new(MemoryWarehouse::new(Arc::clone(&clock)));
        warehouse.create_dataset("acme-dw", "casino_a", "asia-northeast3");
        let mut fails = vec![Course::fails(&wanted.reason, "of the case")];
        warehouse.direct(move |_| fails.pop().unwrap_or_default());
        let driver = Driver::new(Arc::clone(&warehouse) as Arc<dyn Warehouse>, objects, Arc::clone(&clock));
        let receipt = Receipt { receive_count: 1, sent_at_ms: Some(900_000), ..Receipt::default() };
        let end = describe(settle(&driver, &receipt, clock.as_ref()).await);
        let jobs = warehouse.jobs().len();
        if (&end, jobs) != (&wanted.end, wanted.jobs) {
            problems.push(format!("{}: {end}, {jobs} jobs", wanted.reason));
        }
    }
    assert!(problems.is_empty(), "{}", problems.join("\n"));
}
