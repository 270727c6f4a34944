//! Look → insert → wait → settled: one load, driven to its end. The only waiting loop.
//!
//! Two workers may drive the same load at once, and one may die at any line: the job id makes it the same
//! job, and whoever looks next reads what became of it.

mod found;
mod settle;

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use self::found::{Found, Origin, Seen, adopt, contradicts, is_done};
use crate::cloud::call::SIGN_IN;
use crate::cloud::{CallError, Clock, InsertError, Inserted, Objects, TableLookup, Warehouse};
use crate::event::Receipt;
use crate::job::error::JobError;
use crate::job::footers::{FooterReader, ReadFooter};
use crate::job::load::{Load, Settled};
use crate::job::pace::{NoTurn, Pace, Turn};
use crate::job::plan::Plan;
use crate::job::reason::is_rate_limit;
use crate::job::tables::Tables;
use crate::job::{JobFailure, JobRecord, JobRef, JobState, LoadJob, TableInfo};
use crate::object::ObjectError;

/// How many jobs one receive makes for one object. Each failed one counts against the table's day.
const JOBS_PER_RECEIVE: u32 = 3;

/// After so many receives it is one job each: what has failed that often will not pass within seconds.
const RECEIVES_WITH_SEVERAL_JOBS: u32 = 5;

/// How many attempts are looked through. 50 receives with three jobs each, redriven six times, stay below it.
const ATTEMPTS_MAX: u32 = 1_000;

/// How often one job is sent in one receive when the answer stays away. Sending again is safe: the id is the same.
const SENDS_PER_JOB: u32 = 3;

/// How long one receive waits for a job at most. A load of a minute's changes takes a few seconds.
const WAIT_FOR_JOB: Duration = Duration::from_secs(30);

/// The first and the longest pause between two looks at a running job. BigQuery allows 1,000 `jobs.get` a second
/// for a project (<https://cloud.google.com/bigquery/quotas#api_request_quotas>).
const POLL_PAUSE: (Duration, Duration) = (Duration::from_millis(200), Duration::from_secs(2));

/// The pauses after a 409 whose job is not found: the index lags, seconds as a rule
/// (googleapis/python-bigquery#2134).
const LAG_PAUSES: [Duration; 5] = [
    Duration::from_millis(100),
    Duration::from_millis(300),
    Duration::from_millis(600),
    Duration::from_secs(1),
    Duration::from_secs(2),
];

/// With less than this left of the invocation no job is begun: it could hardly be sent, and would only be looked
/// for by the next receive.
pub const LEAST_TIME_FOR_A_JOB: Duration = Duration::from_secs(1);

/// A job that ended within this time still says something of how its table fares.
const LATELY_MS: u64 = 60_000;

/// The pause before the next attempt, once for each job that failed in this receive.
const ATTEMPT_PAUSE: Duration = Duration::from_millis(500);

/// Drives loads to their end.
pub struct Driver {
    warehouse: Arc<dyn Warehouse>,
    objects: Arc<dyn Objects>,
    clock: Arc<dyn Clock>,
    footers: FooterReader,
    tables: Tables,
    pace: Pace,
}

/// What one receive has learned of a load so far.
#[derive(Default)]
struct Progress {
    footer: Option<ReadFooter>,
    planned_with: Option<TableInfo>,
    jobs_made: u32,
    last_failure: Option<FailedJob>,
    /// The next attempt, where judging the one before has found it.
    seen_next: Option<Found>,
    waiting_since: Option<Instant>,
    /// Held until this receive has done with the object.
    turn: Option<Turn>,
}

fn jobs_per_receive(receipt: &Receipt) -> u32 {
    if receipt.receive_count > RECEIVES_WITH_SEVERAL_JOBS { 1 } else { JOBS_PER_RECEIVE }
}

impl Progress {
    /// Whether the destination is partitioned, or will be once it is made.
    fn partitioned(&self, load: &Load<'_>) -> bool {
        let when_made = load.route.options.partition.is_some();
        self.planned_with.as_ref().map_or(when_made, |table| table.partitioned)
    }
}

/// A job that failed, and why.
type FailedJob = (JobRef, JobFailure);

/// What a settled job leads to.
enum Next {
    Done(Settled),
    Attempt(JobFailure),
}

impl Driver {
    /// A driver over the two clouds.
    pub fn new(warehouse: Arc<dyn Warehouse>, objects: Arc<dyn Objects>, clock: Arc<dyn Clock>) -> Self {
        Self {
            footers: FooterReader::new(Arc::clone(&objects)),
            tables: Tables::new(Arc::clone(&warehouse), Arc::clone(&clock)),
            pace: Pace::new(Arc::clone(&clock)),
            warehouse,
            objects,
            clock,
        }
    }

    /// Loads the object unless it is loaded, and says what became of it.
    ///
    /// # Errors
    /// [`JobError`] names everything that keeps the rows from being in, or from being known to be in.
    pub async fn settle(&self, load: &Load<'_>) -> Result<Settled, JobError> {
        let mut progress = Progress::default();
        let mut look_first = !load.receipt.is_fresh();
        for attempt in 0..ATTEMPTS_MAX {
            let found = match progress.seen_next.take() {
                Some(found) => Some(found),
                None if look_first => self.look(load, attempt).await?,
                None => None,
            };
            let found = match found {
                Some(found) => found,
                None => self.make(load, attempt, &mut progress).await?,
            };
            match self.follow(load, attempt, found, &mut progress).await? {
                Next::Done(settled) => return Ok(settled),
                Next::Attempt(failure) => {
                    progress.last_failure = Some((load.job(attempt), failure));
                    look_first = true;
                }
            }
        }
        Err(JobError::TooManyAttempts { attempts: ATTEMPTS_MAX, job: Box::new(load.job(ATTEMPTS_MAX - 1)) })
    }

    async fn look(&self, load: &Load<'_>, attempt: u32) -> Result<Option<Found>, JobError> {
        let job = load.job(attempt);
        let record = self.warehouse.get_job(&job, load.deadline).await.map_err(|e| load.call_error(e))?;
        record.map(|record| adopt(load, job, record)).transpose()
    }

    /// Makes the job, or finds that it was made already.
    async fn make(&self, load: &Load<'_>, attempt: u32, progress: &mut Progress) -> Result<Found, JobError> {
        if progress.footer.is_none() {
            // First of all: a file that is none takes nobody's turn, and need not wait for one.
            progress.footer = Some(self.footers.read(load.object).await?);
        }
        self.await_turn(load, progress).await?;
        let planned = self.plan(load, attempt, progress).await?;
        if load.deadline.left(self.clock.as_ref()) < LEAST_TIME_FOR_A_JOB {
            return Err(load.call_error(CallError::OutOfTime { call: "jobs.insert", sent: false }));
        }
        progress.jobs_made += 1;
        self.send(load, attempt, &planned, progress).await
    }

    /// Waits until this receive may make a job for the table: for the first, and between two attempts.
    async fn await_turn(&self, load: &Load<'_>, progress: &mut Progress) -> Result<(), JobError> {
        let destination = &load.route.destination;
        let partitioned = progress.partitioned(load);
        let Some(turn) = &mut progress.turn else {
            let turn = self.pace.turn(destination, load.deadline).await;
            let paced = |no_turn: NoTurn| JobError::Paced {
                destination: Box::new(destination.clone()),
                after: no_turn.after,
            };
            progress.turn = Some(turn.map_err(paced)?);
            return Ok(());
        };
        let Some((job, failure)) = &progress.last_failure else { return Ok(()) };
        let made_enough = progress.jobs_made >= jobs_per_receive(load.receipt);
        let next_turn = match (is_rate_limit(&failure.reason), made_enough) {
            (true, true) => Some(turn.give_up(partitioned).after),
            (true, false) => match turn.try_again(partitioned, load.deadline).await {
                Ok(()) => return Ok(()),
                Err(no_turn) => Some(no_turn.after),
            },
            (false, true) => None,
            (false, false) => {
                self.clock.sleep(ATTEMPT_PAUSE * progress.jobs_made).await;
                return Ok(());
            }
        };
        let (reason, message) = (failure.reason.clone(), failure.message.clone());
        Err(JobError::Failed { job: Box::new(job.clone()), reason, message, next_turn })
    }

    async fn plan(
        &self,
        load: &Load<'_>,
        attempt: u32,
        progress: &mut Progress,
    ) -> Result<LoadJob, JobError> {
        let footer = match progress.footer.take() {
            Some(footer) => footer,
            None => self.footers.read(load.object).await?,
        };
        let destination = &load.route.destination;
        let lookup = match progress.last_failure {
            // Another load may have changed the table, so what was known of it is not good enough.
            Some(_) => self.tables.get_afresh(destination, load.deadline).await,
            None => self.tables.get(destination, load.deadline).await,
        };
        progress.planned_with = match lookup.map_err(|e| load.call_error(e))? {
            TableLookup::Found(table) => Some(table),
            TableLookup::NoTable => None,
            TableLookup::NoDataset => return Err(load.dataset_not_found("tables.get says so".to_owned())),
        };
        let plan = Plan {
            object: load.object,
            size_bytes: footer.object_size_bytes,
            footer: &footer.footer,
            key: load.key,
            route: load.route,
            table: progress.planned_with.as_ref(),
        };
        let planned = plan.job(attempt);
        progress.footer = Some(footer);
        planned.map_err(|source| JobError::Schema { destination: Box::new(destination.clone()), source })
    }

    /// Sends the job until there is an answer; where none comes, looks whether it happened.
    async fn send(
        &self,
        load: &Load<'_>,
        attempt: u32,
        planned: &LoadJob,
        progress: &Progress,
    ) -> Result<Found, JobError> {
        let mut sends = 1;
        loop {
            let answer = self.warehouse.insert(planned, Arc::clone(&self.objects), load.deadline).await;
            let failure = match answer {
                // An answer about another load proves only that the id is taken: the record decides.
                Ok(Inserted::Created(record)) if contradicts(load, &record) => {
                    let found = self.read_existing(load, attempt).await?;
                    return Ok(Found { origin: Origin::Asked, ..found });
                }
                Ok(Inserted::Created(record)) => return Ok(Found { record, origin: Origin::Made }),
                Ok(Inserted::Exists) => {
                    let found = self.read_existing(load, attempt).await?;
                    let origin = if sends > 1 { Origin::Asked } else { found.origin };
                    return Ok(Found { origin, ..found });
                }
                Err(InsertError::Call(failure)) => failure,
                Err(InsertError::NotParquet) => {
                    return Err(ObjectError::NoMagic { object: load.object.to_string() }.into());
                }
                Err(InsertError::Object(source)) => {
                    return Err(ObjectError::unread(load.object, source).into());
                }
                Err(InsertError::TooSlow { sent_bytes, total_bytes, elapsed_ms }) => {
                    let object = load.object.to_string();
                    return Err(ObjectError::TooSlow { object, sent_bytes, total_bytes, elapsed_ms }.into());
                }
            };
            if let (CallError::Throttled { .. }, Some(turn)) = (&failure, &progress.turn) {
                turn.give_up(progress.partitioned(load));
            }
            let out_of_time = matches!(failure, CallError::OutOfTime { .. });
            if out_of_time || !failure.may_have_happened() {
                return Err(load.call_error(failure));
            }
            match self.look(load, attempt).await {
                Ok(Some(found)) => return Ok(Found { origin: Origin::Asked, ..found }),
                Ok(None) if sends < SENDS_PER_JOB => sends += 1,
                Ok(None) => return Err(load.call_error(failure)),
                Err(error @ JobError::Call { source: CallError::Denied { .. }, .. }) => return Err(error),
                // The look says nothing new, so what was said of the insertion stands: it may have happened.
                Err(JobError::Call { .. }) => return Err(load.call_error(failure)),
                Err(error) => return Err(error),
            }
        }
    }

    /// Reads the job that BigQuery refused to make again.
    async fn read_existing(&self, load: &Load<'_>, attempt: u32) -> Result<Found, JobError> {
        let job = load.job(attempt);
        let mut pauses = LAG_PAUSES.iter();
        loop {
            match self.warehouse.get_job(&job, load.deadline).await {
                Ok(Some(record)) => return adopt(load, job, record),
                Ok(None) => match pauses.next() {
                    Some(pause) => self.clock.sleep(*pause).await,
                    None => return Err(JobError::NotVisible { job: Box::new(job) }),
                },
                // Refused at the sign-in, the job was not asked for at all.
                Err(CallError::Denied { call, detail }) if call != SIGN_IN => {
                    return Err(JobError::Unreadable { job: Box::new(job), detail });
                }
                Err(failure) => return Err(load.call_error(failure)),
            }
        }
    }

    /// Waits for a job's end and says what it leads to.
    async fn follow(
        &self,
        load: &Load<'_>,
        attempt: u32,
        found: Found,
        progress: &mut Progress,
    ) -> Result<Next, JobError> {
        let Found { record, origin } = found;
        let seen = Seen { asked_here: origin != Origin::Adopted, was_done: is_done(&record) };
        let record = self.wait(load, attempt, record, progress).await?;
        match &record.state {
            JobState::Pending | JobState::Running => {
                Err(self.still_running(load.job(attempt), &record, progress))
            }
            JobState::Succeeded => {
                self.note_success(load, &record, progress);
                let settled = self.loaded(load, attempt, &record, origin, progress).await?;
                Ok(Next::Done(settled))
            }
            JobState::Failed(failure) => {
                self.failed(load, attempt, &record, failure, seen, progress).await?;
                Ok(Next::Attempt(failure.clone()))
            }
        }
    }

    async fn wait(
        &self,
        load: &Load<'_>,
        attempt: u32,
        mut record: JobRecord,
        progress: &mut Progress,
    ) -> Result<JobRecord, JobError> {
        let job = load.job(attempt);
        let since = *progress.waiting_since.get_or_insert_with(|| self.clock.now());
        let until = (since + WAIT_FOR_JOB).min(load.deadline.instant());
        let (mut pause, longest_pause) = POLL_PAUSE;
        while !is_done(&record) && self.clock.now() + pause < until {
            self.clock.sleep(pause).await;
            pause = (pause * 3 / 2).min(longest_pause);
            let read = self.warehouse.get_job(&job, load.deadline).await.map_err(|e| load.call_error(e))?;
            // A job that was just made may not be found yet; its last known state stands.
            if let Some(read) = read {
                record = read;
            }
        }
        Ok(record)
    }

    /// A load that went well lately says that the table takes changes.
    fn note_success(&self, load: &Load<'_>, record: &JobRecord, progress: &Progress) {
        let lately_ms = self.clock.unix_ms().saturating_sub(LATELY_MS);
        match &progress.turn {
            Some(turn) => turn.went_well(),
            None if record.ended_ms.is_some_and(|ended_ms| ended_ms > lately_ms) => {
                self.pace.went_well(&load.route.destination);
            }
            None => {}
        }
    }

    fn still_running(&self, job: JobRef, record: &JobRecord, progress: &Progress) -> JobError {
        JobError::Running {
            job: Box::new(job),
            state: if record.state == JobState::Pending { "pending" } else { "running" },
            waited_ms: self.waited_ms(progress),
        }
    }

    /// How long this receive has waited for its jobs so far.
    fn waited_ms(&self, progress: &Progress) -> u64 {
        let waited = progress.waiting_since.map_or(Duration::ZERO, |since| self.clock.now() - since);
        u64::try_from(waited.as_millis()).unwrap_or(u64::MAX)
    }
}
