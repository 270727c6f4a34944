//! What Google says: the datasets, and whether they can be written.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use aws_config::SdkConfig;
use bytes::Bytes;
use reqwest::Method;
use serde_json::{Value, json};

use super::NO_MAPPINGS;
use super::dates::clock_seen;
use crate::cloud::call::SIGN_IN;
use crate::cloud::clock::SystemClock;
use crate::cloud::google::BigQuery;
use crate::cloud::google::rest::{Rest, RestAnswer};
use crate::cloud::google::sign_in::SignInError;
use crate::cloud::{CallError, Clock, Deadline, Inserted, Objects, Warehouse, aws};
use crate::config::Config;
use crate::entry::assemble;
use crate::entry::doctor::facts::{
    ClockSeen, DatasetSeen, DatasetSettings, Failure, FailureKind, GoogleSeen, Look, Step, WriteStep, Written,
};
use crate::job::{JobRef, JobState, LoadJob, Part};
use crate::outcome::record::Chain;
use crate::route::Mappings;

/// How long the table that is made to try lives, should its deletion fail.
const TABLE_LIVES_MS: u64 = 3_600_000;

/// How long the load of one row is waited for.
const LOAD_PATIENCE: Duration = Duration::from_secs(60);

/// Between two looks at a job.
const LOOK_PAUSE: Duration = Duration::from_millis(500);

/// A Parquet file of one column, `a`, and one row.
const ONE_ROW: &[u8] = include_bytes!("one_row.parquet");

/// Google, with the credentials of whoever runs doctor.
pub(super) struct Google {
    warehouse: BigQuery,
    rest: Rest,
    /// What an upload of our own bytes never asks.
    objects: Arc<dyn Objects>,
}

/// A dataset as mappings name it.
struct Named {
    project: String,
    dataset: String,
}

impl Google {
    pub(super) async fn new(config: &Config, sdk_config: &SdkConfig) -> anyhow::Result<Self> {
        let warehouse = assemble::bigquery(config, sdk_config, Arc::new(SystemClock)).await?;
        let rest = warehouse.rest();
        Ok(Self { warehouse, rest, objects: Arc::new(aws::S3::new(sdk_config)) })
    }

    /// Looks at each dataset that the mappings name.
    pub(super) async fn look(
        &self,
        mappings: Option<&Mappings>,
        write: bool,
        clocks: &mut Vec<ClockSeen>,
    ) -> (Look<GoogleSeen>, Look<Vec<DatasetSeen>>) {
        let not_looked = |why: &str| Look::NotLooked(why.to_owned());
        let Some(mappings) = mappings else {
            return (not_looked(NO_MAPPINGS), Look::NotLooked(NO_MAPPINGS.to_owned()));
        };
        let named: BTreeSet<(String, String)> =
            mappings.landings().iter().flat_map(|landing| landing.datasets()).collect();
        let mut google = not_looked("no dataset that could be asked for");
        let mut datasets = Vec::new();
        for (name, stated_location) in named {
            let Some(dataset) = fixed(&name) else {
                let why = "its name depends on the schema or the table";
                datasets.push(DatasetSeen {
                    name,
                    stated_location,
                    settings: not_looked_at(why),
                    write: not_looked_at(why),
                });
                continue;
            };
            let answer = self.get_dataset(&dataset).await;
            google = better(google, self.reached(&answer, clocks));
            if let Look::Failed(failure) = &google {
                let is_closed = failure.kind == FailureKind::Denied;
                let why =
                    if is_closed { "BigQuery does not let us in" } else { "BigQuery cannot be reached" };
                return (google, not_looked_at(why));
            }
            let settings: Look<DatasetSettings> =
                answer.map_err(|error| call_failure(&error)).and_then(|answer| settings(&answer)).into();
            let write = self.write(&dataset, &settings, write).await;
            datasets.push(DatasetSeen { name, stated_location, settings, write });
        }
        (google, Look::Seen(datasets))
    }

    async fn get_dataset(&self, dataset: &Named) -> Result<RestAnswer, CallError> {
        let path = ["projects", &dataset.project, "datasets", &dataset.dataset];
        self.rest.call(Method::GET, &path, &[], &Value::Null).await
    }

    /// What the first answer says of the way to BigQuery and of our credentials.
    fn reached(
        &self,
        answer: &Result<RestAnswer, CallError>,
        clocks: &mut Vec<ClockSeen>,
    ) -> Look<GoogleSeen> {
        let answer = match answer {
            Ok(answer) => answer,
            Err(error) => return Look::Failed(self.not_reached(error)),
        };
        if !clocks.iter().any(|clock| clock.of == "Google") {
            clocks.extend(clock_seen("Google", answer.date.as_deref(), SystemClock.unix_ms()));
        }
        if answer.status == 401 {
            return Look::Failed(answer_failure(answer));
        }
        // BigQuery says what it did not find.
        if answer.status == 404 && answer.reason.is_empty() {
            return Look::Failed(self.no_answer("404, which is no answer of BigQuery's"));
        }
        let address = self.rest.address().to_string();
        Look::Seen(GoogleSeen { address, anonymous: self.rest.is_anonymous() })
    }

    /// Why there was no answer, or nothing to ask with.
    fn not_reached(&self, error: &CallError) -> Failure {
        let is_sign_in = matches!(
            error,
            CallError::NotSent { call, .. } | CallError::Denied { call, .. } if *call == SIGN_IN
        );
        match (is_sign_in, self.rest.sign_in_failure()) {
            (true, Some(error)) => sign_in_failure(&error),
            // The time was up before the sign-in knew why.
            (true, None) => call_failure(error),
            (false, _) => self.no_answer(&Chain(error).to_string()),
        }
    }

    fn no_answer(&self, said: &str) -> Failure {
        let address = self.rest.address().as_str().trim_end_matches('/');
        let remedy = if self.rest.is_anonymous() {
            format!(
                "See that something answers at {address}, which BIGQUERY_EMULATOR_HOST names; or take that out."
            )
        } else {
            format!("See that this machine reaches {address}: name resolution, HTTPS_PROXY and NO_PROXY.")
        };
        let detail = format!("no usable answer from {address}: {said}");
        Failure { kind: FailureKind::Unreachable, detail, remedy: Some(remedy) }
    }

    async fn write(&self, dataset: &Named, settings: &Look<DatasetSettings>, write: bool) -> Look<Written> {
        match settings.seen() {
            _ if !write => not_looked_at("--no-write was given"),
            None => not_looked_at("the dataset cannot be read"),
            Some(settings) => Look::Seen(self.try_table(dataset, &settings.location).await),
        }
    }

    /// Makes a table that expires, loads a row into it as the worker would, and deletes it, whatever happened between.
    async fn try_table(&self, dataset: &Named, location: &str) -> Written {
        let name = format!("dms2bq_doctor_{}", SystemClock.unix_ms());
        let mut steps = Vec::new();
        let made = self.make_table(dataset, &name).await;
        steps.push(step(WriteStep::MakeTable, &made));
        // A table may have been made although no answer came.
        let is_refused = made.as_ref().is_err_and(|failure| {
            !matches!(failure.kind, FailureKind::Unreachable | FailureKind::Unavailable)
        });
        if made.is_ok() {
            self.load_row(dataset, &name, location, &mut steps).await;
        }
        if !is_refused {
            let path = ["projects", &dataset.project, "datasets", &dataset.dataset, "tables", &name];
            let deleted = self.rest.call(Method::DELETE, &path, &[], &Value::Null).await;
            steps.push(step(
                WriteStep::DeleteTable,
                &deleted.map_err(|error| call_failure(&error)).and_then(accepted),
            ));
        }
        Written { table: format!("{}.{}.{name}", dataset.project, dataset.dataset), steps }
    }

    async fn make_table(&self, dataset: &Named, name: &str) -> Result<(), Failure> {
        let expires_ms = SystemClock.unix_ms() + TABLE_LIVES_MS;
        let table = json!({
            "tableReference": { "projectId": dataset.project, "datasetId": dataset.dataset, "tableId": name },
            "schema": { "fields": [{ "name": "a", "type": "INTEGER", "mode": "NULLABLE" }] },
            "expirationTime": expires_ms.to_string(),
            "description": "made by `dms2bq doctor`, to see that it can be; may be deleted",
        });
        let path = ["projects", &dataset.project, "datasets", &dataset.dataset, "tables"];
        let answer =
            self.rest.call(Method::POST, &path, &[], &table).await.map_err(|error| call_failure(&error))?;
        accepted(answer)
    }

    async fn load_row(&self, dataset: &Named, table: &str, location: &str, steps: &mut Vec<Step>) {
        let job = load_job(dataset, table, location);
        let deadline = Deadline::at(SystemClock.now() + LOAD_PATIENCE);
        let inserted = match self.warehouse.insert(&job, Arc::clone(&self.objects), deadline).await {
            Ok(Inserted::Created(_) | Inserted::Exists) => Ok(()),
            Err(crate::cloud::InsertError::Call(error)) => Err(call_failure(&error)),
            Err(error) => Err(Failure::new(FailureKind::Refused, Chain(&error).to_string())),
        };
        steps.push(step(WriteStep::InsertJob, &inserted));
        if inserted.is_err() {
            return;
        }
        loop {
            let state = match self.warehouse.get_job(&job.job, deadline).await {
                Ok(Some(record)) => record.state,
                // The index lags.
                Ok(None) => JobState::Pending,
                Err(error) => return steps.push(step(WriteStep::ReadJob, &Err(call_failure(&error)))),
            };
            let ended = match state {
                JobState::Succeeded => Ok(()),
                JobState::Failed(failure) => {
                    let kind = kind_of_reason(&failure.reason).unwrap_or(FailureKind::Refused);
                    Err(Failure::new(kind, format!("{}: {}", failure.reason, failure.message)))
                }
                JobState::Pending | JobState::Running if deadline.left(&SystemClock).is_zero() => {
                    let detail = format!("the job is not done after {} s", LOAD_PATIENCE.as_secs());
                    Err(Failure::new(FailureKind::Unavailable, detail))
                }
                JobState::Pending | JobState::Running => {
                    SystemClock.sleep(LOOK_PAUSE).await;
                    continue;
                }
            };
            steps.push(step(WriteStep::ReadJob, &Ok(())));
            return steps.push(step(WriteStep::LoadRow, &ended));
        }
    }
}

fn load_job(dataset: &Named, table: &str, location: &str) -> LoadJob {
    let job =
        JobRef { project: dataset.project.clone(), location: location.to_owned(), id: table.to_owned() };
    let resource = json!({
        "jobReference": { "projectId": job.project, "location": job.location, "jobId": job.id },
        "configuration": {
            "labels": { "made_by": "dms2bq-doctor" },
            "load": {
                "destinationTable": { "projectId": dataset.project, "datasetId": dataset.dataset, "tableId": table },
                "sourceFormat": "PARQUET",
                "createDisposition": "CREATE_NEVER",
                "writeDisposition": "WRITE_APPEND",
            },
        },
    });
    LoadJob { job, resource, parts: vec![Part::Bytes(Bytes::from_static(ONE_ROW))] }
}

/// A dataset whose name has no placeholder in it.
fn fixed(name: &str) -> Option<Named> {
    let (project, dataset) = name.rsplit_once('.').filter(|(_, dataset)| !dataset.contains('{'))?;
    Some(Named { project: project.to_owned(), dataset: dataset.to_owned() })
}

fn not_looked_at<T>(why: &str) -> Look<T> {
    Look::NotLooked(why.to_owned())
}

/// Once we are in, we are in: what a later dataset refuses is that dataset's.
fn better(before: Look<GoogleSeen>, now: Look<GoogleSeen>) -> Look<GoogleSeen> {
    if before.seen().is_some() { before } else { now }
}

fn settings(answer: &RestAnswer) -> Result<DatasetSettings, Failure> {
    if !answer.is_success() {
        return Err(answer_failure(answer));
    }
    let number =
        |name: &str| answer.body.get(name).and_then(Value::as_str).and_then(|text| text.parse().ok());
    Ok(DatasetSettings {
        location: answer.body.get("location").and_then(Value::as_str).unwrap_or_default().to_owned(),
        table_expiration_ms: number("defaultTableExpirationMs"),
        partition_expiration_ms: number("defaultPartitionExpirationMs"),
    })
}

fn accepted(answer: RestAnswer) -> Result<(), Failure> {
    if answer.is_success() { Ok(()) } else { Err(answer_failure(&answer)) }
}

/// The reasons of BigQuery that say more than a status
/// (<https://cloud.google.com/bigquery/docs/error-messages>).
fn kind_of_reason(reason: &str) -> Option<FailureKind> {
    match reason {
        "accessDenied" => Some(FailureKind::Denied),
        "backendError"
        | "internalError"
        | "jobBackendError"
        | "jobInternalError"
        | "rateLimitExceeded"
        | "jobRateLimitExceeded"
        | "tableUnavailable" => Some(FailureKind::Unavailable),
        "quotaExceeded" => Some(FailureKind::Refused),
        _ => None,
    }
}

fn answer_failure(answer: &RestAnswer) -> Failure {
    let of_status = match answer.status {
        401 | 403 => FailureKind::Denied,
        404 => FailureKind::Missing,
        429 | 500..=599 => FailureKind::Unavailable,
        _ => FailureKind::Refused,
    };
    let kind = kind_of_reason(&answer.reason).unwrap_or(of_status);
    Failure::new(kind, answer.refusal.clone().unwrap_or_else(|| answer.status.to_string()))
}

/// Of calls that are made once BigQuery has answered: what then has no answer is BigQuery's.
fn call_failure(error: &CallError) -> Failure {
    let kind = match error {
        CallError::Denied { .. } => FailureKind::Denied,
        CallError::NotFound { .. } => FailureKind::Missing,
        CallError::NotSent { .. } | CallError::OutOfTime { .. } => FailureKind::Unreachable,
        CallError::Unavailable { .. } | CallError::Unanswered { .. } | CallError::Throttled { .. } => {
            FailureKind::Unavailable
        }
        CallError::QuotaExceeded { .. } | CallError::Rejected { .. } => FailureKind::Refused,
    };
    Failure::new(kind, Chain(error).to_string())
}

/// What a person does who runs doctor, where the file that was named cannot be used. (The sign-in thinks of functions.)
const MEND_FILE: &str = "Set GOOGLE_APPLICATION_CREDENTIALS to a credential file that is there and whole; or unset it, and sign in \
                         by `gcloud auth application-default login`.";

/// A person who has no credentials, or a file that is none, is told how a person signs in; all else is the sign-in's to say.
fn sign_in_failure(error: &SignInError) -> Failure {
    let (kind, remedy) = match error {
        SignInError::NoCredentials => (FailureKind::Denied, None),
        SignInError::BadFile { .. } => (FailureKind::Denied, Some(MEND_FILE)),
        SignInError::NoAwsCredentials { .. } | SignInError::Refused { .. } => {
            (FailureKind::Denied, Some(error.remedy()))
        }
        SignInError::Unreachable { .. } | SignInError::Slow { .. } => {
            (FailureKind::Unreachable, Some(error.remedy()))
        }
        SignInError::Broken { .. } => (FailureKind::Refused, Some(error.remedy())),
    };
    let detail = format!("{}: {error}", error.code());
    Failure { kind, detail, remedy: remedy.map(str::to_owned) }
}

fn step(step: WriteStep, done: &Result<(), Failure>) -> Step {
    Step { step, failure: done.as_ref().err().cloned() }
}
