//! One process as the world sees it: what it is doing, what it asks of S3, BigQuery and SQS, and what goes wrong with
//! that. Every call is written down and held to the invariants before it gets any further.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use dms2bq::cloud::{
    ByteStream, CallError, Clock, Deadline, InsertError, Inserted, ObjectHead, Objects, ObjectsError, Queue,
    TableLookup, Tail, VisibilityChange, VisibilityFailure, Warehouse,
};
use dms2bq::entry::mapping_store::{MappingSource, Offer, SourceError, Version};
use dms2bq::event::QueueArn;
use dms2bq::job::{JobRecord, JobRef, JobState, LoadJob};
use dms2bq::object::{Object, ObjectRef};
use dms2bq::route::{MappingFile, TableRef};
use futures_util::{StreamExt, stream};
use tokio::time::Instant;

use crate::checks;
use crate::faults::{Failure, Fault, Kind};
use crate::secrets;
use crate::story::{self, BUCKET, VERSIONED_BUCKET};
use crate::world::World;

/// For how long after a change BigQuery may still tell what was before.
pub(crate) const STALE_FOR: Duration = Duration::from_secs(15);

/// A process and its present invocation.
pub(crate) struct Station {
    pub(crate) world: Arc<World>,
    pub(crate) name: String,
    invocation: Mutex<Option<Invocation>>,
    mappings_fail: bool,
}

/// What an invocation has been given and has done so far.
#[derive(Debug, Clone)]
pub(crate) struct Invocation {
    pub(crate) started: Duration,
    /// When its work has to have ended, and by when it has to have replied.
    pub(crate) work_until: Instant,
    pub(crate) reply_by: Instant,
    pub(crate) messages: Vec<Received>,
    /// Jobs that it has read as done and failed, with the reason.
    pub(crate) read_failed: BTreeMap<String, String>,
    /// Jobs that it has seen before their end.
    pub(crate) seen_open: BTreeSet<String>,
    /// The attempts that it has asked for, by the job's id without its attempt.
    pub(crate) asked: BTreeMap<String, BTreeSet<u32>>,
    /// Whether the messages' visibility was set already.
    pub(crate) has_set_visibility: bool,
}

/// A message of an invocation.
#[derive(Debug, Clone)]
pub(crate) struct Received {
    pub(crate) message_id: String,
    pub(crate) receipt_handle: String,
    pub(crate) receive_count: u32,
    pub(crate) sent_at_ms: u64,
}

impl Station {
    pub(crate) fn new(world: Arc<World>, name: String, mappings_fail: bool) -> Arc<Self> {
        Arc::new(Self { world, name, invocation: Mutex::default(), mappings_fail })
    }

    pub(crate) fn begin(&self, invocation: Invocation) {
        *self.lock() = Some(invocation);
    }

    pub(crate) fn end(&self) -> Option<Invocation> {
        self.lock().take()
    }

    /// Reads or changes the present invocation.
    pub(crate) fn with<T>(&self, read: impl FnOnce(&mut Invocation) -> T) -> Option<T> {
        self.lock().as_mut().map(read)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Option<Invocation>> {
        self.invocation.lock().expect("nothing panics while it holds an invocation")
    }

    pub(crate) fn say(&self, what: &dyn std::fmt::Display) {
        self.world.say(&self.name, what);
    }

    /// Takes a call in: writes it down, checks that it may be made at all, and lets what belongs before it go by.
    async fn call(&self, what: &str, about: &str, kind: Kind, deadline: Option<Deadline>) -> Fault {
        self.world.hear();
        let fault = match self.world.is_out(kind) {
            true => Fault::Fails(Failure::NoAnswer),
            false => self.world.faults.of_call(kind),
        };
        self.world.count(what);
        match fault {
            Fault::None => self.say(&format_args!("{what} {about}")),
            fault => {
                self.world.count(fault.name());
                self.say(&format_args!("{what} {about} [{fault:?}]"));
            }
        }
        // What a library says at debug, and what must not get out.
        tracing::debug!(target: "hyper::proto", authorization = secrets::TOKEN, url = secrets::UPLOAD_ADDRESS);
        checks::call(self, what, kind, deadline);
        if fault == Fault::Panics {
            panic!("planted: {what} panics");
        }
        tokio::time::sleep(self.world.faults.latency()).await;
        fault
    }

    /// Lets a slow call take its time. The real clients of BigQuery and SQS give up at the deadline.
    async fn dawdle(
        &self,
        call: &'static str,
        fault: Fault,
        deadline: Deadline,
        sent: bool,
    ) -> Result<(), CallError> {
        let until = match fault {
            Fault::Slow(span) => Instant::now() + span,
            Fault::Hangs | Fault::HappensAndHangs => deadline.instant() + Duration::from_secs(1),
            _ => return Ok(()),
        };
        tokio::time::sleep_until(until.min(deadline.instant())).await;
        match until > deadline.instant() {
            true => Err(CallError::OutOfTime { call, sent }),
            false => Ok(()),
        }
    }

    async fn before_reading(
        &self,
        what: &'static str,
        about: &str,
        kind: Kind,
        deadline: Deadline,
    ) -> Result<Fault, CallError> {
        let fault = self.call(what, about, kind, Some(deadline)).await;
        self.dawdle(what, fault, deadline, false).await?;
        match fault {
            Fault::Fails(failure) => Err(failure.error(what, kind)),
            fault => Ok(fault),
        }
    }

    async fn before_object(&self, what: &'static str, about: &str) -> Result<Fault, ObjectsError> {
        let fault = self.call(what, about, Kind::ReadObject, None).await;
        match fault {
            Fault::Slow(span) => tokio::time::sleep(span).await,
            // S3's client has no deadline of ours; whoever waits has to give up.
            Fault::Hangs => std::future::pending().await,
            Fault::Fails(failure) => return Err(failure.error(what, Kind::ReadObject).into()),
            Fault::Breaks(_) if what != "s3.get" => {
                return Err(Failure::NoAnswer.error(what, Kind::ReadObject).into());
            }
            _ => {}
        }
        Ok(fault)
    }

    /// Mappings in S3. In some worlds they cannot be read now and then.
    async fn before_mappings(&self, what: &'static str, deadline: Deadline) -> Result<(), SourceError> {
        if self.mappings_fail && self.world.faults.percent(20) {
            self.say(&format_args!("{what} -> no mappings"));
            return Err(SourceError::Unread(format!("{what}: as the world would have it")));
        }
        checks::call(self, what, Kind::ReadObject, Some(deadline));
        match self.mappings_fail {
            true => self.before_object(what, "mappings").await.map(|_fault| ()),
            false => {
                tokio::time::sleep(self.world.faults.latency()).await;
                Ok(())
            }
        }
        .map_err(|error| SourceError::Unread(error.to_string()))
    }

    fn answered<T>(&self, what: &str, about: &str, answer: T, told: impl FnOnce(&T) -> String) -> T {
        self.say(&format_args!("{what} {about} -> {}", told(&answer)));
        answer
    }
}

#[async_trait]
impl Objects for Station {
    async fn head(&self, object: &ObjectRef) -> Result<ObjectHead, ObjectsError> {
        self.before_object("s3.head", &object.key).await?;
        let head = self.world.objects.head(object).await;
        self.answered("s3.head", &object.key, head, told)
    }

    async fn read_tail(&self, object: &Object, length_bytes: u64) -> Result<Tail, ObjectsError> {
        self.before_object("s3.tail", object.key()).await?;
        let tail = self.world.objects.read_tail(object, length_bytes).await;
        self.answered("s3.tail", object.key(), tail, |tail| match tail {
            Ok(tail) => format!("{} bytes", tail.bytes.len()),
            Err(error) => format!("{error:?}"),
        })
    }

    async fn open(&self, object: &Object, range: Range<u64>) -> Result<ByteStream, ObjectsError> {
        let fault = self.before_object("s3.get", object.key()).await?;
        let whole = self.world.objects.open(object, range).await;
        let whole = self.answered("s3.get", object.key(), whole, |whole| match whole {
            Ok(_) => "a stream".to_owned(),
            Err(error) => format!("{error:?}"),
        })?;
        match fault {
            Fault::Breaks(after_bytes) => Ok(broken(whole, after_bytes)),
            _ => Ok(whole),
        }
    }
}

/// A stream that breaks after so many bytes, in a chunk's middle if need be.
fn broken(whole: ByteStream, after_bytes: usize) -> ByteStream {
    let mut left = after_bytes;
    let cut = whole.map(move |chunk| {
        let chunk: Bytes = chunk?;
        let given = chunk.slice(..left.min(chunk.len()));
        left -= given.len();
        Ok((given.len() == chunk.len(), given))
    });
    let pieces = cut.flat_map(|cut| {
        let reset =
            || Err(CallError::Unavailable { call: "s3.get_object", detail: "connection reset".to_owned() });
        stream::iter(match cut {
            Ok((true, whole)) => vec![Ok(whole)],
            Ok((false, given)) => vec![Ok(given), reset()],
            Err(error) => vec![Err(error)],
        })
    });
    pieces.boxed()
}

#[async_trait]
impl Warehouse for Station {
    async fn get_job(&self, job: &JobRef, deadline: Deadline) -> Result<Option<JobRecord>, CallError> {
        let fault = self.before_reading("jobs.get", &job.id, Kind::ReadJob, deadline).await?;
        let mut record = match fault {
            Fault::Stale => self.world.stale_job(job),
            _ if self.world.is_unseen(job) => None,
            _ => self.world.warehouse.get_job(job, deadline).await?,
        };
        tokio::time::sleep(self.world.faults.latency()).await;
        if let Some(record) = &mut record {
            self.world.shorten(record);
            self.note_read(job, record);
        }
        Ok(self.answered("jobs.get", &job.id, record, |record| {
            record.as_ref().map_or("none".to_owned(), |record| format!("{:?}", record.state))
        }))
    }

    async fn get_table(&self, table: &TableRef, deadline: Deadline) -> Result<TableLookup, CallError> {
        let fault = self.before_reading("tables.get", &table.to_string(), Kind::ReadTable, deadline).await?;
        let lookup = self.world.warehouse.get_table(table, deadline).await?;
        let lookup = self.world.table_as_seen(table, lookup, fault == Fault::Stale);
        tokio::time::sleep(self.world.faults.latency()).await;
        Ok(self.answered("tables.get", &table.to_string(), lookup, |lookup| match lookup {
            TableLookup::Found(info) => format!("{} columns", info.columns.len()),
            missing => format!("{missing:?}"),
        }))
    }

    async fn insert(
        &self,
        load: &LoadJob,
        objects: Arc<dyn Objects>,
        deadline: Deadline,
    ) -> Result<Inserted, InsertError> {
        let fault = self.call("jobs.insert", &load.job.id, Kind::Insert, Some(deadline)).await;
        checks::insert(self, load);
        let answer = self.insert_with(fault, load, objects, deadline).await;
        if let Ok(Inserted::Created(record)) = &answer {
            self.note_read(&load.job, record);
        }
        self.answered("jobs.insert", &load.job.id, answer, told_insert)
    }
}

fn told_insert(answer: &Result<Inserted, InsertError>) -> String {
    match answer {
        Ok(Inserted::Created(record)) => format!("created, {:?}", record.state),
        Ok(Inserted::Exists) => "409".to_owned(),
        Err(error) => format!("{error:?}"),
    }
}

fn told<T: std::fmt::Debug>(answer: &T) -> String {
    format!("{answer:?}")
}

impl Station {
    async fn insert_with(
        &self,
        fault: Fault,
        load: &LoadJob,
        objects: Arc<dyn Objects>,
        deadline: Deadline,
    ) -> Result<Inserted, InsertError> {
        const CALL: &str = "jobs.insert";
        let unanswered = || InsertError::Call(Failure::NoAnswer.error(CALL, Kind::Insert));
        let warehouse = &self.world.warehouse;
        match fault {
            Fault::Fails(failure) => return Err(InsertError::Call(failure.error(CALL, Kind::Insert))),
            Fault::HappensLate(span) => {
                self.insert_later(load.clone(), span);
                return Err(unanswered());
            }
            Fault::Slow(_) | Fault::Hangs => {
                self.dawdle(CALL, fault, deadline, true).await.map_err(InsertError::Call)?;
            }
            _ => {}
        }
        // It reaches BigQuery now, which may be much later than it was asked for.
        checks::call(self, CALL, Kind::Insert, Some(deadline));
        let answer = warehouse.insert(load, objects, deadline).await;
        let answer = match answer {
            Ok(Inserted::Created(mut record)) => {
                self.world.shorten(&mut record);
                Ok(Inserted::Created(record))
            }
            other => other,
        };
        if fault == Fault::HappensAndHangs {
            self.dawdle(CALL, fault, deadline, true).await.map_err(InsertError::Call)?;
        }
        tokio::time::sleep(self.world.faults.latency()).await;
        match (fault, answer) {
            (Fault::HappensUnanswered, Ok(_)) => Err(unanswered()),
            (Fault::HappensTwice, Ok(_)) => Ok(Inserted::Exists),
            (_, answer) => answer,
        }
    }

    /// The request is on its way, and arrives when nobody waits for it any more.
    fn insert_later(&self, load: LoadJob, span: Duration) {
        let world = Arc::clone(&self.world);
        world.state().stray_inserts += 1;
        tokio::spawn(async move {
            tokio::time::sleep(span).await;
            let deadline = Deadline::at(world.clock.now() + Duration::from_secs(60));
            let objects = Arc::clone(&world.objects) as _;
            let made = world.warehouse.insert(&load, objects, deadline).await;
            world.say("bigquery", &format_args!("{} arrives late: {}", load.job.id, told_insert(&made)));
            world.state().stray_inserts -= 1;
        });
    }

    fn note_read(&self, job: &JobRef, record: &JobRecord) {
        self.with(|invocation| match &record.state {
            JobState::Pending | JobState::Running => {
                invocation.seen_open.insert(job.id.clone());
            }
            JobState::Failed(failure) => {
                invocation.read_failed.insert(job.id.clone(), failure.reason.clone());
            }
            JobState::Succeeded => {}
        });
    }
}

#[async_trait]
impl Queue for Station {
    async fn set_visibility(
        &self,
        queue: &QueueArn,
        changes: &[VisibilityChange],
        deadline: Deadline,
    ) -> Result<Vec<VisibilityFailure>, CallError> {
        const CALL: &str = "sqs.visibility";
        let seconds: Vec<u32> = changes.iter().map(|change| change.visibility_timeout_secs).collect();
        let about = format!("{seconds:?}");
        let fault = self.call(CALL, &about, Kind::SetVisibility, Some(deadline)).await;
        checks::visibility(self, changes);
        self.dawdle(CALL, fault, deadline, true).await?;
        if let Fault::Fails(failure) = fault {
            return Err(failure.error(CALL, Kind::SetVisibility));
        }
        let failures = self.world.queue.set_visibility(queue, changes, deadline).await;
        self.world.arrivals.notify_waiters();
        match fault {
            Fault::HappensUnanswered => Err(Failure::NoAnswer.error(CALL, Kind::SetVisibility)),
            _ => self.answered(CALL, &about, failures, told),
        }
    }
}

#[async_trait]
impl MappingSource for Station {
    async fn look(&self, deadline: Deadline) -> Result<Offer, SourceError> {
        self.before_mappings("s3.list", deadline).await?;
        // Each hour has a version of its own, which holds the same; a bad one now and then.
        let hours = self.world.clock.elapsed().as_secs() / 3_600;
        let is_bad = self.mappings_fail && self.world.faults.percent(30);
        let name = |hours: u64| Version::Published(format!("v{hours}"));
        let version = if is_bad { Version::Published("bad".to_owned()) } else { name(hours) };
        Ok(Offer { version, before: Some(name(hours.saturating_sub(1))) })
    }

    async fn read(&self, version: &Version, deadline: Deadline) -> Result<Vec<MappingFile>, SourceError> {
        self.before_mappings("s3.get_object", deadline).await?;
        self.world.count("mappings read");
        let is_bad = *version == Version::Published("bad".to_owned());
        let text = |bucket: &str| if is_bad { "{}".to_owned() } else { story::mapping(bucket) };
        let file = |bucket: &str| MappingFile { name: format!("mappings/{bucket}.json"), text: text(bucket) };
        Ok([BUCKET, VERSIONED_BUCKET].map(file).to_vec())
    }
}
