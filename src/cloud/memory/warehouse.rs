//! BigQuery in memory.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use bytes::{Bytes, BytesMut};
use futures_util::StreamExt;
use serde_json::Value;

pub use super::tables::Loaded;
use super::tables::{LoadRules, MemoryTable};
use crate::cloud::{
    CallError, Clock, Deadline, InsertError, Inserted, Objects, ObjectsError, TableLookup, Warehouse,
};
use crate::job::{JobFailure, JobRecord, JobRef, JobState, LoadJob, Part};
use crate::route::TableRef;

const INSERT: &str = "jobs.insert";
const GET_JOB: &str = "jobs.get";
const GET_TABLE: &str = "tables.get";

/// The longest id of a job (<https://cloud.google.com/bigquery/docs/reference/rest/v2/JobReference>).
const JOB_ID_CHARS: usize = 1024;

/// The longest value of a label (<https://cloud.google.com/bigquery/docs/labels-intro>).
const LABEL_CHARS: usize = 63;

/// How a job goes, as a test wants it. Time plays no part: a job moves on when it is read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Course {
    /// How often it is read as PENDING, the answer to its insertion not counted.
    pub reads_pending: u32,
    /// How often it is then read as RUNNING.
    pub reads_running: u32,
    /// How it then ends.
    pub ending: Ending,
}

/// How a job ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ending {
    /// As its bytes and its table deserve.
    Deserved,
    /// It fails, whatever its bytes are.
    Fails(JobFailure),
    /// It does not end before [`MemoryWarehouse::release`].
    Held,
}

impl Default for Course {
    /// PENDING when inserted, RUNNING when first read, then done.
    fn default() -> Self {
        Self { reads_pending: 0, reads_running: 1, ending: Ending::Deserved }
    }
}

impl Course {
    /// Done, and well if the bytes are good, by the time the insertion is answered.
    pub fn at_once() -> Self {
        Self { reads_pending: 0, reads_running: 0, ending: Ending::Deserved }
    }

    /// Fails with this reason when it is read the second time.
    pub fn fails(reason: &str, message: &str) -> Self {
        let failure =
            JobFailure { reason: reason.to_owned(), message: message.to_owned(), details: Vec::new() };
        Self { ending: Ending::Fails(failure), ..Self::default() }
    }

    /// Nothing stands before its end.
    fn is_over(&self) -> bool {
        self.reads_pending == 0 && self.reads_running == 0 && self.ending != Ending::Held
    }

    /// Runs until it is released.
    pub fn held() -> Self {
        Self { ending: Ending::Held, ..Self::default() }
    }
}

type Director = Box<dyn FnMut(&LoadJob) -> Course + Send>;

/// Datasets, tables and jobs. Strict where BigQuery is: a known id is refused, a load is in as a whole or not at
/// all, a job that is done never changes and is kept for good.
pub struct MemoryWarehouse {
    clock: Arc<dyn Clock>,
    state: Mutex<State>,
}

struct State {
    /// The location of each dataset, by project and name.
    datasets: BTreeMap<(String, String), String>,
    tables: BTreeMap<TableRef, MemoryTable>,
    jobs: BTreeMap<JobKey, Job>,
    director: Director,
}

/// What is unique about a job. Locations compare without case.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct JobKey {
    project: String,
    location: String,
    id: String,
}

impl From<&JobRef> for JobKey {
    fn from(job: &JobRef) -> Self {
        let location = job.location.to_ascii_lowercase();
        Self { project: job.project.clone(), location, id: job.id.clone() }
    }
}

struct Job {
    record: JobRecord,
    course: Course,
    bytes: Bytes,
    rules: LoadRules,
}

impl fmt::Debug for MemoryWarehouse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = self.lock();
        f.debug_struct("MemoryWarehouse")
            .field("tables", &state.tables.len())
            .field("jobs", &state.jobs.len())
            .finish()
    }
}

impl MemoryWarehouse {
    /// Empty: no dataset, no table, no job.
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        let state = State {
            datasets: BTreeMap::new(),
            tables: BTreeMap::new(),
            jobs: BTreeMap::new(),
            director: Box::new(|_| Course::default()),
        };
        Self { clock, state: Mutex::new(state) }
    }

    /// Makes a dataset.
    pub fn create_dataset(&self, project: &str, dataset: &str, location: &str) {
        self.lock().datasets.insert((project.to_owned(), dataset.to_owned()), location.to_owned());
    }

    /// Deletes a table, with its rows. Its jobs stay.
    pub fn delete_table(&self, table: &TableRef) {
        self.lock().tables.remove(table);
    }

    /// Makes an empty table, in place of the one that may be there.
    pub fn create_table(&self, table: &TableRef, info: crate::job::TableInfo) {
        self.lock().tables.insert(table.clone(), MemoryTable::new(info));
    }

    /// Decides how each job goes, when it is inserted.
    pub fn direct(&self, director: impl FnMut(&LoadJob) -> Course + Send + 'static) {
        self.lock().director = Box::new(director);
    }

    /// Lets a held job end at its next read.
    pub fn release(&self, job: &JobRef) {
        if let Some(job) = self.lock().jobs.get_mut(&JobKey::from(job)) {
            job.course = Course::at_once();
        }
    }

    /// What was loaded into a table, in the order in which it became visible.
    pub fn loaded(&self, table: &TableRef) -> Vec<Loaded> {
        self.lock().tables.get(table).map(|table| table.loaded.clone()).unwrap_or_default()
    }

    /// The rows of a table; `None` if there is no such table.
    pub fn row_count(&self, table: &TableRef) -> Option<u64> {
        let state = self.lock();
        let loaded = &state.tables.get(table)?.loaded;
        Some(loaded.iter().map(|load| load.row_count).sum())
    }

    /// All jobs ever made, in the order of their names. Looking moves none of them on.
    pub fn jobs(&self) -> Vec<JobRecord> {
        self.lock().jobs.values().map(|job| job.record.clone()).collect()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn check_time(&self, call: &'static str, deadline: Deadline) -> Result<(), CallError> {
        if deadline.left(self.clock.as_ref()).is_zero() {
            return Err(CallError::OutOfTime { call, sent: false });
        }
        Ok(())
    }
}

#[async_trait]
impl Warehouse for MemoryWarehouse {
    async fn get_job(&self, job: &JobRef, deadline: Deadline) -> Result<Option<JobRecord>, CallError> {
        self.check_time(GET_JOB, deadline)?;
        let now_ms = self.clock.unix_ms();
        let mut state = self.lock();
        let key = JobKey::from(job);
        if state.jobs.get_mut(&key).is_some_and(Job::be_read) {
            state.settle(&key, now_ms);
        }
        Ok(state.jobs.get(&key).map(|job| job.record.clone()))
    }

    async fn get_table(&self, table: &TableRef, deadline: Deadline) -> Result<TableLookup, CallError> {
        self.check_time(GET_TABLE, deadline)?;
        let state = self.lock();
        if !state.datasets.contains_key(&(table.project.clone(), table.dataset.clone())) {
            return Ok(TableLookup::NoDataset);
        }
        let found = state.tables.get(table).map(|table| TableLookup::Found(table.info.clone()));
        Ok(found.unwrap_or(TableLookup::NoTable))
    }

    async fn insert(
        &self,
        load: &LoadJob,
        objects: Arc<dyn Objects>,
        deadline: Deadline,
    ) -> Result<Inserted, InsertError> {
        self.check_time(INSERT, deadline).map_err(InsertError::Call)?;
        let request = LoadRequest::read(load).map_err(InsertError::Call)?;
        // The real one reads the bytes before it knows of a conflict, or learns of it at once: both are right.
        let bytes = tokio::time::timeout_at(deadline.instant(), read_parts(load, objects.as_ref())).await;
        let bytes =
            bytes.unwrap_or(Err(InsertError::Call(CallError::OutOfTime { call: INSERT, sent: false })))?;
        let now_ms = self.clock.unix_ms();
        let mut state = self.lock();
        let key = JobKey::from(&load.job);
        if state.jobs.contains_key(&key) {
            return Ok(Inserted::Exists);
        }
        state.check_dataset(&request.destination, &load.job.location).map_err(InsertError::Call)?;
        let course = (state.director)(load);
        let record = JobRecord {
            id: load.job.id.clone(),
            state: JobState::Pending,
            destination: Some(request.destination),
            labels: request.labels,
            output_rows: None,
            created_ms: Some(now_ms),
            ended_ms: None,
        };
        let is_over = course.is_over();
        state.jobs.insert(key.clone(), Job { record, course, bytes, rules: request.rules });
        if is_over {
            state.settle(&key, now_ms);
        }
        let made = state.jobs.get(&key).map(|job| job.record.clone());
        Ok(made.map_or(Inserted::Exists, Inserted::Created))
    }
}

impl Job {
    /// Goes one step of its course; `true` if its end has come.
    fn be_read(&mut self) -> bool {
        if !matches!(self.record.state, JobState::Pending | JobState::Running) {
            return false;
        }
        if self.course.reads_pending > 0 {
            self.course.reads_pending -= 1;
            return false;
        }
        let ends = self.course.is_over();
        self.course.reads_running = self.course.reads_running.saturating_sub(1);
        self.record.state = JobState::Running;
        ends
    }
}

impl State {
    fn check_dataset(&self, destination: &TableRef, location: &str) -> Result<(), CallError> {
        let name = (destination.project.clone(), destination.dataset.clone());
        match self.datasets.get(&name) {
            Some(there) if there.eq_ignore_ascii_case(location) => Ok(()),
            Some(_) | None => {
                let detail = format!("404 notFound: Not found: Dataset {}:{}", name.0, name.1);
                Err(CallError::NotFound { call: INSERT, detail })
            }
        }
    }

    /// Ends a job whose time has come: its rows and its state become visible together.
    fn settle(&mut self, key: &JobKey, now_ms: u64) {
        let Some(job) = self.jobs.get_mut(key) else { return };
        let ended = match (&job.course.ending, &job.record.destination) {
            (Ending::Fails(failure), _) => Err(failure.clone()),
            (Ending::Deserved | Ending::Held, Some(table)) => {
                let id = &job.record.id;
                super::tables::load(&mut self.tables, table, id, &job.bytes, &job.rules, now_ms)
            }
            (Ending::Deserved | Ending::Held, None) => {
                Err(super::tables::invalid("the job has no destination".to_owned()))
            }
        };
        job.record.ended_ms = Some(now_ms);
        job.bytes = Bytes::new();
        match ended {
            Ok(row_count) => {
                job.record.output_rows = Some(row_count);
                job.record.state = JobState::Succeeded;
            }
            Err(failure) => job.record.state = JobState::Failed(failure),
        }
    }
}

/// What a load job's resource asks for.
struct LoadRequest {
    destination: TableRef,
    labels: BTreeMap<String, String>,
    rules: LoadRules,
}

impl LoadRequest {
    /// Reads the resource as strictly as BigQuery does, as far as we use it.
    fn read(load: &LoadJob) -> Result<Self, CallError> {
        let resource = &load.resource;
        let reference = JobRef {
            project: text(resource, "/jobReference/projectId")?,
            location: text(resource, "/jobReference/location")?,
            id: text(resource, "/jobReference/jobId")?,
        };
        if reference != load.job {
            return Err(rejected(format!("the resource is of job {reference}, not {}", load.job)));
        }
        let is_id = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
        if reference.id.is_empty() || reference.id.len() > JOB_ID_CHARS || !reference.id.chars().all(is_id) {
            return Err(rejected(format!("Invalid job ID {:?}", reference.id)));
        }
        if text(resource, "/configuration/load/sourceFormat")? != "PARQUET" {
            return Err(rejected("only PARQUET is loaded here".to_owned()));
        }
        Ok(Self {
            destination: TableRef {
                project: text(resource, "/configuration/load/destinationTable/projectId")?,
                dataset: text(resource, "/configuration/load/destinationTable/datasetId")?,
                table: text(resource, "/configuration/load/destinationTable/tableId")?,
            },
            labels: labels(resource)?,
            rules: LoadRules::read(resource.pointer("/configuration/load").unwrap_or(&Value::Null))
                .map_err(rejected)?,
        })
    }
}

fn text(resource: &Value, pointer: &str) -> Result<String, CallError> {
    let text = resource.pointer(pointer).and_then(Value::as_str);
    text.map(str::to_owned).ok_or_else(|| rejected(format!("Required parameter is missing: {pointer}")))
}

fn labels(resource: &Value) -> Result<BTreeMap<String, String>, CallError> {
    let Some(labels) = resource.pointer("/configuration/labels") else { return Ok(BTreeMap::new()) };
    let labels: BTreeMap<String, String> =
        serde_json::from_value(labels.clone()).map_err(|error| rejected(error.to_string()))?;
    let is_letter = |c: char| c.is_lowercase() || c.is_numeric() || c == '_' || c == '-';
    let is_good = |text: &String| text.chars().count() <= LABEL_CHARS && text.chars().all(is_letter);
    match labels.iter().find(|(key, value)| key.is_empty() || !is_good(key) || !is_good(value)) {
        Some((key, value)) => Err(rejected(format!("Invalid label {key:?}: {value:?}"))),
        None => Ok(labels),
    }
}

fn rejected(detail: String) -> CallError {
    CallError::Rejected { call: INSERT, detail: format!("400 invalid: {detail}") }
}

async fn read_parts(load: &LoadJob, objects: &dyn Objects) -> Result<Bytes, InsertError> {
    let mut upload = BytesMut::new();
    for part in &load.parts {
        match part {
            Part::Bytes(bytes) => upload.extend_from_slice(bytes),
            Part::Range { object, offset_bytes, length_bytes } => {
                let end = upload.len() as u64 + length_bytes;
                let range = *offset_bytes..offset_bytes + length_bytes;
                let mut stream = objects.open(object, range).await.map_err(InsertError::Object)?;
                while let Some(bytes) = stream.next().await {
                    let bytes = bytes.map_err(|error| InsertError::Object(ObjectsError::Call(error)))?;
                    upload.extend_from_slice(&bytes);
                }
                if upload.len() as u64 != end {
                    return Err(wrong_length(*length_bytes));
                }
            }
        }
    }
    if !upload.starts_with(b"PAR1") {
        return Err(InsertError::NotParquet);
    }
    Ok(upload.freeze())
}

fn wrong_length(asked_bytes: u64) -> InsertError {
    let detail = format!("the body has not the {asked_bytes} bytes that were asked for");
    InsertError::Object(ObjectsError::Call(CallError::Unavailable { call: "s3.get_object", detail }))
}
