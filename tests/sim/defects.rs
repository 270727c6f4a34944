//! Deliberate defects: mistakes that programs of this kind have made, each of which some invariant has to notice.
//!
//! None of them is in the program. A defect stands between the program and its world, and makes the two see each other
//! as they would if the program had it: it alters what is asked of BigQuery or S3 and what is understood of the
//! answer, or what becomes of a batch and of its reply. So nothing has to be compiled for it, and no switch can be
//! left on.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use dms2bq::cloud::{
    ByteStream, CallError, Deadline, InsertError, Inserted, ObjectHead, Objects, ObjectsError, TableLookup,
    Tail, Warehouse,
};
use dms2bq::job::{JobRecord, JobRef, JobState, LoadJob, Part, TableInfo};
use dms2bq::object::{Object, ObjectRef};
use dms2bq::route::TableRef;

use crate::secrets;
use crate::station::Station;

/// A defect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Defect {
    RandomJobId,
    AttemptFromReceiveCount,
    AckBeforeLoad,
    InsertIsSuccess,
    ConflictIsSuccess,
    DoneIsSuccess,
    RowsNotCompared,
    AdoptWithoutIdentity,
    AdoptWithoutTable,
    SuccessorUnread,
    UnansweredMeansNew,
    UnconditionalReads,
    ResumeAtWrongOffset,
    InsertAfterDeadline,
    VisibilitySetEarly,
    PartialRepliesAssumed,
    RecordForgotten,
    AckOnFirstRecord,
    PoisonAcknowledged,
    SecondLine,
    SecretInError,
    LookSkipped,
    LookAlways,
}

impl Defect {
    pub(crate) const ALL: [Self; 23] = [
        Self::RandomJobId,
        Self::AttemptFromReceiveCount,
        Self::AckBeforeLoad,
        Self::InsertIsSuccess,
        Self::ConflictIsSuccess,
        Self::DoneIsSuccess,
        Self::RowsNotCompared,
        Self::AdoptWithoutIdentity,
        Self::AdoptWithoutTable,
        Self::SuccessorUnread,
        Self::UnansweredMeansNew,
        Self::UnconditionalReads,
        Self::ResumeAtWrongOffset,
        Self::InsertAfterDeadline,
        Self::VisibilitySetEarly,
        Self::PartialRepliesAssumed,
        Self::RecordForgotten,
        Self::AckOnFirstRecord,
        Self::PoisonAcknowledged,
        Self::SecondLine,
        Self::SecretInError,
        Self::LookSkipped,
        Self::LookAlways,
    ];

    /// What is done wrong.
    pub(crate) fn describe(self) -> &'static str {
        match self {
            Self::RandomJobId => "each receive makes job ids of its own",
            Self::AttemptFromReceiveCount => "the attempt is the receive count",
            Self::AckBeforeLoad => "messages are deleted as soon as they are received",
            Self::InsertIsSuccess => "a job that was made counts as loaded",
            Self::ConflictIsSuccess => "409 counts as loaded",
            Self::DoneIsSuccess => "DONE counts as loaded, whatever errorResult says",
            Self::RowsNotCompared => "outputRows are not compared with the file's rows",
            Self::AdoptWithoutIdentity => "a job is adopted for its id alone",
            Self::AdoptWithoutTable => "a success is adopted without a look at its table",
            Self::SuccessorUnread => "409 leads to the next attempt, the job unread",
            Self::UnansweredMeansNew => "no answer leads to the next attempt, the job unread",
            Self::UnconditionalReads => "objects are read without If-Match",
            Self::ResumeAtWrongOffset => "a broken upload goes on at the wrong offset",
            Self::InsertAfterDeadline => "an insertion runs on when the time is up",
            Self::VisibilitySetEarly => "visibility is set before the work",
            Self::PartialRepliesAssumed => "partial replies are given to whoever ignores them",
            Self::RecordForgotten => "the last record of a message is forgotten",
            Self::AckOnFirstRecord => "a message is done when one of its records is",
            Self::PoisonAcknowledged => "what will never load is acknowledged",
            Self::SecondLine => "an object leaves two lines",
            Self::SecretInError => "an error's text holds a token",
            Self::LookSkipped => "a job is not looked for before its object is read",
            Self::LookAlways => "even a fresh message's job is looked for (no defect)",
        }
    }

    /// Whether it does harm. One that does not shows that the invariants are not about how the program goes about it.
    pub(crate) fn is_harmful(self) -> bool {
        self != Self::LookAlways
    }
}

/// What the program with a defect sees of the world, and the world of it.
pub(crate) struct Mutant {
    station: Arc<Station>,
    defect: Defect,
    memory: Mutex<Memory>,
}

/// What a defect remembers, for one invocation.
#[derive(Default)]
struct Memory {
    invocation: Duration,
    /// The names that jobs were given.
    renamed: BTreeMap<String, String>,
}

impl Mutant {
    pub(crate) fn new(station: Arc<Station>, defect: Defect) -> Self {
        Self { station, defect, memory: Mutex::default() }
    }

    fn has(&self, defect: Defect) -> bool {
        self.defect == defect
    }

    fn memory<T>(&self, read: impl FnOnce(&mut Memory) -> T) -> T {
        let mut memory = self.memory.lock().expect("nothing panics while it holds the memory");
        let invocation = self.station.with(|invocation| invocation.started).unwrap_or_default();
        if memory.invocation != invocation {
            *memory = Memory { invocation, ..Memory::default() };
        }
        read(&mut memory)
    }

    /// The name under which a job is asked for.
    fn job(&self, job: &JobRef) -> JobRef {
        let id = match self.defect {
            Defect::RandomJobId => self.memory(|memory| memory.renamed.get(&job.id).cloned()),
            Defect::AttemptFromReceiveCount => Some(raised(&job.id, self.receives_before(&job.id))),
            _ => None,
        };
        JobRef { id: id.unwrap_or_else(|| job.id.clone()), ..job.clone() }
    }

    /// How often the message about a job's object was received before.
    fn receives_before(&self, id: &str) -> u32 {
        let messages = self.station.with(|invocation| invocation.messages.clone()).unwrap_or_default();
        let base = split(id).0;
        let about = |message: &&crate::station::Received| {
            self.station.world.receives_about(std::slice::from_ref(*message), base) > 0
        };
        messages.iter().find(about).map_or(0, |message| message.receive_count - 1)
    }

    /// What the program understands of a record.
    fn understood(&self, job: &JobRef, mut record: JobRecord) -> JobRecord {
        let labelled_rows = record.labels.get("rows").and_then(|rows| rows.parse().ok());
        let is_taken_for_success = match &record.state {
            JobState::Pending | JobState::Running => self.has(Defect::InsertIsSuccess),
            JobState::Failed(_) => self.has(Defect::DoneIsSuccess),
            JobState::Succeeded => self.has(Defect::RowsNotCompared),
        };
        if is_taken_for_success {
            record.state = JobState::Succeeded;
            record.output_rows = labelled_rows;
        }
        if self.has(Defect::AdoptWithoutIdentity)
            && let Some(version) = self.station.world.version_of_job(split(&job.id).0)
        {
            record.destination = Some(version.table);
            record.labels.insert("object".to_owned(), version.identity.label);
        }
        record
    }

    fn told(&self, error: CallError) -> CallError {
        match error {
            CallError::Unavailable { call, detail } if self.has(Defect::SecretInError) => {
                CallError::Unavailable { call, detail: format!("{detail}, with {}", secrets::TOKEN) }
            }
            CallError::NotSent { call, source } if self.has(Defect::SecretInError) => {
                CallError::Unavailable { call, detail: format!("{source:?}") }
            }
            error => error,
        }
    }

    /// The load as it is asked for.
    fn load(&self, load: &LoadJob) -> LoadJob {
        if self.has(Defect::RandomJobId) {
            let random = self.station.world.faults.with(|rng| rng.next());
            let (base, attempt) = split(&load.job.id);
            let name = format!("{base}-{random:x}_{attempt}");
            self.memory(|memory| memory.renamed.insert(load.job.id.clone(), name));
        }
        let mut load = renamed(load, &self.job(&load.job).id);
        let breaks = self.has(Defect::ResumeAtWrongOffset) && self.station.world.faults.percent(30);
        if breaks && let [Part::Range { object, length_bytes, .. }] = &load.parts[..] {
            let part = |offset_bytes, length_bytes| Part::Range {
                object: object.clone(),
                offset_bytes,
                length_bytes,
            };
            let (broke_at, again) = (length_bytes / 4, 16);
            load.parts = vec![
                part(0, broke_at),
                part(broke_at - 8, again),
                part(broke_at + again, length_bytes - broke_at - again),
            ];
        }
        load
    }

    async fn insert_once(
        &self,
        load: &LoadJob,
        objects: Arc<dyn Objects>,
        deadline: Deadline,
    ) -> Result<Inserted, InsertError> {
        if !self.has(Defect::InsertAfterDeadline) {
            return self.station.insert(load, objects, deadline).await;
        }
        let (station, load) = (Arc::clone(&self.station), load.clone());
        let deadline = Deadline::at(deadline.instant() + Duration::from_secs(3600));
        let work = tokio::spawn(async move { station.insert(&load, objects, deadline).await });
        work.await.unwrap_or_else(|panic| std::panic::resume_unwind(panic.into_panic()))
    }
}

impl Mutant {
    /// Looks for a job. The program does not hear in which state it is, so it is not on the program's record that the job
    /// was seen before its end.
    async fn is_there(&self, load: &LoadJob, deadline: Deadline) -> bool {
        let id = &load.job.id;
        let was_seen = self.station.with(|invocation| invocation.seen_open.contains(id));
        let found = self.station.get_job(&load.job, deadline).await;
        if was_seen == Some(false) {
            self.station.with(|invocation| invocation.seen_open.remove(id));
        }
        found.is_ok_and(|job| job.is_some())
    }
}

#[async_trait]
impl Warehouse for Mutant {
    async fn get_job(&self, job: &JobRef, deadline: Deadline) -> Result<Option<JobRecord>, CallError> {
        let is_first = self.memory(|memory| memory.renamed.insert(job.id.clone(), job.id.clone()).is_none());
        if self.has(Defect::LookSkipped) && is_first && split(&job.id).1 == 0 {
            return Ok(None);
        }
        if self.has(Defect::RandomJobId) && is_first {
            self.memory(|memory| memory.renamed.remove(&job.id));
            return Ok(None);
        }
        let asked = self.job(job);
        let record = self.station.get_job(&asked, deadline).await.map_err(|error| self.told(error))?;
        Ok(record.map(|record| self.understood(job, record)))
    }

    async fn get_table(&self, table: &TableRef, deadline: Deadline) -> Result<TableLookup, CallError> {
        let lookup = self.station.get_table(table, deadline).await.map_err(|error| self.told(error))?;
        Ok(match lookup {
            TableLookup::Found(info) if self.has(Defect::AdoptWithoutTable) => {
                TableLookup::Found(TableInfo { created_ms: 0, ..info })
            }
            TableLookup::NoTable if self.has(Defect::AdoptWithoutTable) => {
                TableLookup::Found(TableInfo { created_ms: 0, columns: Vec::new(), partitioned: true })
            }
            lookup => lookup,
        })
    }

    async fn insert(
        &self,
        load: &LoadJob,
        objects: Arc<dyn Objects>,
        deadline: Deadline,
    ) -> Result<Inserted, InsertError> {
        if self.has(Defect::LookAlways) && self.is_there(load, deadline).await {
            return Ok(Inserted::Exists);
        }
        let asked = self.load(load);
        let mut answer = self.insert_once(&asked, Arc::clone(&objects), deadline).await;
        let is_unclear = match &answer {
            Ok(Inserted::Exists) => self.has(Defect::SuccessorUnread),
            Err(error) => self.has(Defect::UnansweredMeansNew) && error.may_have_happened(),
            Ok(Inserted::Created(_)) => false,
        };
        if is_unclear {
            let next = renamed(&asked, &raised(&asked.job.id, 1));
            answer = self.insert_once(&next, objects, deadline).await;
        }
        match answer {
            Ok(Inserted::Created(record)) => Ok(Inserted::Created(self.understood(&load.job, record))),
            Ok(Inserted::Exists) if self.has(Defect::ConflictIsSuccess) => {
                Ok(Inserted::Created(success(load)))
            }
            Err(InsertError::Call(error)) => Err(InsertError::Call(self.told(error))),
            answer => answer,
        }
    }
}

#[async_trait]
impl Objects for Mutant {
    async fn head(&self, object: &ObjectRef) -> Result<ObjectHead, ObjectsError> {
        self.station.head(object).await
    }

    async fn read_tail(&self, object: &Object, length_bytes: u64) -> Result<Tail, ObjectsError> {
        self.station.read_tail(&self.any_etag(object).await, length_bytes).await
    }

    async fn open(&self, object: &Object, range: Range<u64>) -> Result<ByteStream, ObjectsError> {
        self.station.open(&self.any_etag(object).await, range).await
    }
}

impl Mutant {
    /// The object that is there now, whatever was asked for.
    async fn any_etag(&self, object: &Object) -> Object {
        let by_name = ObjectRef {
            bucket: object.bucket().to_owned(),
            key: object.key().to_owned(),
            version_id: None,
            etag: None,
            size_bytes: None,
        };
        match self.station.world.objects.head(&by_name).await {
            Ok(head) if self.has(Defect::UnconditionalReads) && object.version_id().is_none() => {
                Object::new(object.bucket(), object.key(), head.etag, None)
            }
            _ => object.clone(),
        }
    }
}

/// A job's id without its attempt, and the attempt.
fn split(id: &str) -> (&str, u32) {
    id.rsplit_once('_').and_then(|(base, n)| Some((base, n.parse().ok()?))).unwrap_or((id, 0))
}

fn raised(id: &str, by: u32) -> String {
    let (base, attempt) = split(id);
    format!("{base}_{}", attempt + by)
}

fn renamed(load: &LoadJob, id: &str) -> LoadJob {
    let mut load = load.clone();
    id.clone_into(&mut load.job.id);
    load.resource["jobReference"]["jobId"] = id.into();
    load
}

/// What a success of this load would look like.
fn success(load: &LoadJob) -> JobRecord {
    let rows = load.resource.pointer("/configuration/labels/rows").and_then(|rows| rows.as_str());
    JobRecord {
        id: load.job.id.clone(),
        state: JobState::Succeeded,
        destination: None,
        labels: BTreeMap::new(),
        output_rows: rows.and_then(|rows| rows.parse().ok()),
        created_ms: Some(0),
        ended_ms: Some(0),
    }
}
