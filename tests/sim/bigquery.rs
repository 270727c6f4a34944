//! What BigQuery does in a world, beyond what its twin does by itself: courses of jobs, limits, an index that lags,
//! and what people do to it.

use std::sync::{Arc, Weak};
use std::time::Duration;

use dms2bq::cloud::memory::warehouse::Course;
use dms2bq::cloud::{Clock, Deadline, TableLookup, Warehouse};
use dms2bq::job::{JobRecord, JobRef, JobState, LoadJob, Part};
use dms2bq::route::TableRef;
use serde_json::json;

use crate::faults::Kind;
use crate::files::{self, Shape};
use crate::rng::Rng;
use crate::station::STALE_FOR;
use crate::story::{self, SHORT};
use crate::truth::{LOCATION, PROJECT};
use crate::world::World;

impl World {
    /// Makes a job of the id that an object's load will ask for.
    pub(crate) async fn take_id(&self, n: usize, other_destination: bool) {
        let version = self.state().versions[n].clone();
        let table = if other_destination { story::destination("others") } else { version.table };
        let id = format!("{}_0", version.identity.job_base);
        let job = JobRef { project: PROJECT.to_owned(), location: LOCATION.to_owned(), id: id.clone() };
        let label = if other_destination { version.identity.label } else { "0".repeat(32) };
        let resource = json!({
            "jobReference": { "projectId": PROJECT, "location": LOCATION, "jobId": id },
            "configuration": {
                "labels": { "object": label, "rows": "1" },
                "load": {
                    "destinationTable": {
                        "projectId": table.project, "datasetId": table.dataset, "tableId": table.table,
                    },
                    "sourceFormat": "PARQUET",
                    "schemaUpdateOptions": ["ALLOW_FIELD_ADDITION", "ALLOW_FIELD_RELAXATION"],
                },
            },
        });
        let parts = vec![Part::Bytes(files::file(Shape::Narrower, 0).bytes.clone())];
        let load = LoadJob { job, resource, parts };
        let deadline = Deadline::at(self.clock.now() + Duration::from_secs(60));
        let objects = Arc::clone(&self.objects) as _;
        let made = self.warehouse.insert(&load, objects, deadline).await;
        if made.is_err() {
            // The dataset is not there yet, so nobody can have taken the id.
            self.state().versions[n].spoiled = None;
        }
    }

    pub(crate) fn drop_table(&self, table: &TableRef) {
        let at = self.clock.elapsed();
        let mut state = self.state();
        for version in state.versions.iter_mut().filter(|version| version.table == *table) {
            if self.times_loaded(version) > 0 {
                version.rows_dropped_at = Some(at);
            }
        }
        self.warehouse.delete_table(table);
        drop(state);
        self.table_as_seen(table, TableLookup::NoTable, false);
    }

    /// Whether a table has had its changes of the last ten seconds, in a world that counts them.
    fn is_one_too_many(&self, load: &LoadJob) -> bool {
        let now = self.clock.elapsed();
        let table = load.resource.pointer("/configuration/load/destinationTable").map(ToString::to_string);
        let mut state = self.state();
        let changes = state.changes.entry(table.unwrap_or_default()).or_default();
        let (most, span) = CHANGES_OF_A_TABLE;
        changes.retain(|at| now - *at < span);
        changes.push(now);
        self.settings.limits_changes && changes.len() > most
    }

    /// Whether nothing answers calls of this kind at present.
    pub(crate) fn is_out(&self, kind: Kind) -> bool {
        let now = self.clock.elapsed();
        let Some(outage) = self.settings.outage.filter(|outage| outage.from <= now && now < outage.until)
        else {
            return false;
        };
        match kind {
            Kind::Insert => true,
            Kind::ReadJob | Kind::ReadTable => !outage.of_uploads_only,
            Kind::ReadObject | Kind::SetVisibility => false,
        }
    }

    /// Whether a job that there is is not found yet.
    pub(crate) fn is_unseen(&self, job: &JobRef) -> bool {
        let now = self.clock.elapsed();
        self.state().unseen_until.get(&job.id).is_some_and(|until| now < *until) && !self.faults.is_calm()
    }

    /// What an index that lags says of a job.
    pub(crate) fn stale_job(&self, job: &JobRef) -> Option<JobRecord> {
        let now_ms = self.clock.unix_ms();
        let is_recent = |at_ms: Option<u64>| {
            at_ms.is_some_and(|at_ms| u128::from(now_ms.saturating_sub(at_ms)) < STALE_FOR.as_millis())
        };
        let record = self.warehouse.jobs().into_iter().find(|record| record.id == job.id)?;
        let earlier =
            JobRecord { state: JobState::Pending, output_rows: None, ended_ms: None, ..record.clone() };
        match (is_recent(record.created_ms), is_recent(record.ended_ms)) {
            (true, _) => self.faults.with(|rng| rng.percent(60)).then_some(earlier),
            (false, true) => Some(earlier),
            (false, false) => Some(record),
        }
    }

    /// What `tables.get` answers: how the table is, or for a while how it was before.
    pub(crate) fn table_as_seen(&self, table: &TableRef, now: TableLookup, is_stale: bool) -> TableLookup {
        let at = self.clock.elapsed();
        let mut state = self.state();
        let known =
            state.tables.entry(table.clone()).or_insert_with(|| (now.clone(), TableLookup::NoTable, at));
        if known.0 != now {
            *known = (now.clone(), known.0.clone(), at);
        }
        match is_stale && at - known.2 < STALE_FOR {
            true => known.1.clone(),
            false => now,
        }
    }

    fn is_held(&self, job: &JobRef) -> bool {
        let state = self.state();
        let mut held = state.versions.iter().filter(|version| version.is_held);
        held.any(|version| job.id == format!("{}_0", version.identity.job_base))
    }

    /// Tells too few rows of a job, if that is its lot.
    pub(crate) fn shorten(&self, record: &mut JobRecord) {
        if self.is_short(&record.id) {
            record.output_rows = record.output_rows.map(|rows| rows.saturating_sub(1));
        }
    }

    /// Whether BigQuery tells too few rows of the jobs of this id.
    pub(crate) fn is_short(&self, job_id: &str) -> bool {
        let state = self.state();
        let mut short = state.versions.iter().filter(|version| version.spoiled == Some(SHORT));
        short.any(|version| job_id.starts_with(&version.identity.job_base))
    }
}

/// How a job goes.
pub(crate) fn direct(world: &Weak<World>, rng: &mut Rng, load: &LoadJob) -> Course {
    let Some(world) = world.upgrade() else { return Course::default() };
    if world.is_one_too_many(load) {
        return Course::fails("rateLimitExceeded", "Exceeded rate limits: too many table update operations");
    }
    if world.faults.is_calm() {
        return Course::default();
    }
    if world.is_held(&load.job) {
        return held(&world, &load.job, Duration::from_secs(90));
    }
    if rng.percent(LAGGING_PERCENT) {
        let until = world.clock.elapsed() + Duration::from_millis(rng.between(50, 10_000));
        world.state().unseen_until.insert(load.job.id.clone(), until);
    }
    if !rng.percent(world.settings.odd_jobs_percent) {
        return Course::default();
    }
    match rng.below(10) {
        0..=1 => Course::at_once(),
        2..=3 => Course {
            reads_pending: u32::try_from(rng.below(20)).expect("it is small"),
            reads_running: u32::try_from(rng.below(20)).expect("it is small"),
            ..Course::default()
        },
        4..=5 => held(&world, &load.job, Duration::from_secs(rng.between(5, 200))),
        _ => Course::fails(rng.pick::<&str>(&REASONS), "as the world would have it"),
    }
}

/// A job that runs for this long, which may be longer than any receive waits for it.
fn held(world: &Arc<World>, job: &JobRef, span: Duration) -> Course {
    let (world, job) = (Arc::clone(world), job.clone());
    world.state().held.push(job.clone());
    tokio::spawn(async move {
        tokio::time::sleep(span).await;
        world.say("bigquery", &format_args!("lets {} go on", job.id));
        world.warehouse.release(&job);
    });
    Course::held()
}

/// So many jobs in a hundred are not found for a while after they were made.
const LAGGING_PERCENT: u64 = 5;

/// What BigQuery takes of a table that is not partitioned
/// (<https://cloud.google.com/bigquery/quotas#load_jobs>).
const CHANGES_OF_A_TABLE: (usize, Duration) = (5, Duration::from_secs(10));

/// Why jobs fail: every reason that `job/reason.rs` names, and some that it does not.
const REASONS: [&str; 26] = [
    "backendError",
    "internalError",
    "jobBackendError",
    "jobInternalError",
    "tableUnavailable",
    "rateLimitExceeded",
    "jobRateLimitExceeded",
    "duplicate",
    "invalid",
    "quotaExceeded",
    "accessDenied",
    "notFound",
    "backendError",
    "rateLimitExceeded",
    "duplicate",
    "invalid",
    "stopped",
    "invalidQuery",
    "billingNotEnabled",
    "blocked",
    "notImplemented",
    "policyViolation",
    "resourcesExceeded",
    "responseTooLarge",
    "resourceInUse",
    "aReasonOfNextYear",
];
