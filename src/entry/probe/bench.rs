//! Where experiments are made: a dataset and, if they were named, a prefix and a queue; and what they leave there.

use std::fmt;
use std::str::FromStr;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use bytes::Bytes;
use reqwest::Method;
use serde_json::{Value, json};

use super::experiment::{Experiment, Needs, Trouble};
use super::made::Made;
use super::news::News;
use crate::cloud::clock::SystemClock;
use crate::cloud::google::BigQuery;
use crate::cloud::google::rest::{Rest, RestAnswer};
use crate::cloud::{CallError, Clock, Deadline};
use crate::outcome::record::Chain;
use crate::route::names::{BadName, check_dataset, check_project};

/// How long a job is waited for. Loads of a few rows take seconds.
const JOB_PATIENCE: Duration = Duration::from_secs(120);

/// Between two looks at a job.
const LOOK_PAUSE: Duration = Duration::from_millis(300);

/// The status of what an emulator does not do.
const NOT_IMPLEMENTED: u16 = 501;

/// The dataset to make experiments in, as the command line names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScratchDataset {
    project: String,
    dataset: String,
}

impl FromStr for ScratchDataset {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        // `bq` itself writes a colon. A project of a domain has one of its own: `example.com:my-project`.
        let (project, dataset) = text
            .rsplit_once(['.', ':'])
            .ok_or("write the project, a dot and the dataset: my-project.dms2bq_probe")?;
        let in_words = |bad: BadName| format!("{bad}; {}", bad.remedy());
        check_project(project).map_err(in_words)?;
        check_dataset(dataset).map_err(in_words)?;
        Ok(Self { project: project.to_owned(), dataset: dataset.to_owned() })
    }
}

impl fmt::Display for ScratchDataset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.project, self.dataset)
    }
}

/// A dataset to make experiments in.
pub struct Bench {
    /// The API, raw.
    pub rest: Rest,
    /// Our own client, where it is what is examined.
    pub warehouse: BigQuery,
    /// The dataset's project.
    pub project: String,
    /// The dataset.
    pub dataset: String,
    /// Where it is.
    pub location: String,
    /// The scratch prefix and queue, as far as they were named.
    pub news: News,
    /// What all names of this run begin with.
    run: String,
    count: AtomicU32,
    tables: Made<String>,
}

/// How a load ended.
#[derive(Debug, Clone)]
pub enum Ended {
    /// Well; the job's resource.
    Well(Value),
    /// With an `errorResult`.
    Badly {
        /// BigQuery's reason.
        reason: String,
        /// Its message.
        message: String,
    },
    /// The insert was refused.
    Refused {
        /// The HTTP status.
        status: u16,
        /// BigQuery's reason.
        reason: String,
        /// All that it said.
        message: String,
    },
}

impl Ended {
    /// Whether the rows are in.
    pub fn is_well(&self) -> bool {
        matches!(self, Self::Well(_))
    }

    /// BigQuery's reason; empty if all went well.
    pub fn reason(&self) -> &str {
        match self {
            Self::Well(_) => "",
            Self::Badly { reason, .. } | Self::Refused { reason, .. } => reason,
        }
    }

    /// For the page: `loaded`, or how it failed.
    pub fn in_words(&self) -> String {
        match self {
            Self::Well(_) => "loaded".to_owned(),
            Self::Badly { reason, message } => format!("job failed, {reason}: {message}"),
            Self::Refused { status, message, .. } => format!("insert refused with {status}: {message}"),
        }
    }
}

impl Bench {
    /// Finds the dataset.
    ///
    /// # Errors
    /// Why it cannot be used, in words.
    pub async fn open(
        warehouse: BigQuery,
        scratch: &ScratchDataset,
        news: News,
        run: String,
    ) -> anyhow::Result<Self> {
        let ScratchDataset { project, dataset } = scratch;
        let rest = warehouse.rest();
        let path = ["projects", project, "datasets", dataset];
        let answer = rest.call(Method::GET, &path, &[], &Value::Null).await?;
        if !answer.is_success() {
            anyhow::bail!(
                "the scratch dataset {scratch}: {}. Make one, with the location of your tables: \
                 bq --location=LOCATION mk --default_table_expiration 3600 --dataset {project}:{dataset}",
                answer.refusal.unwrap_or_default(),
            );
        }
        news.look().await?;
        let location = answer.body["location"].as_str().unwrap_or("US").to_owned();
        Ok(Self {
            rest,
            warehouse,
            project: project.clone(),
            dataset: dataset.clone(),
            location,
            news,
            run,
            count: AtomicU32::new(0),
            tables: Made::default(),
        })
    }

    fn next(&self) -> u32 {
        self.count.fetch_add(1, Ordering::Relaxed)
    }

    /// Where an experiment's answer holds, as the page says it; none if it was not asked of the real services.
    pub fn place(&self, experiment: &Experiment) -> Option<String> {
        let (aws, google) = (
            experiment.needs != Needs::Dataset,
            experiment.cost.jobs > 0 || experiment.needs == Needs::Dataset,
        );
        if (aws && self.news.is_stand_in) || (google && self.rest.is_anonymous()) {
            return None;
        }
        let places = [aws.then_some(&self.news.region), google.then_some(&self.location)];
        Some(places.into_iter().flatten().map(String::as_str).collect::<Vec<_>>().join(" and "))
    }

    /// The name of a table that nobody has, to be deleted at the end.
    pub fn table(&self) -> String {
        self.table_named(&format!("{}_{}", self.run, self.next()))
    }

    /// The name of a table of one's own choice, to be deleted at the end.
    pub fn table_named(&self, name: &str) -> String {
        self.tables.note(name.to_owned());
        name.to_owned()
    }

    /// What begins the names of this run.
    pub fn run(&self) -> &str {
        &self.run
    }

    /// A job id that nobody has.
    pub fn job_id(&self) -> String {
        format!("{}_job_{}", self.run, self.next())
    }

    /// The job that loads into a table as the worker does, with further fields of `configuration.load`.
    pub fn job(&self, id: &str, table: &str, extra: &Value) -> Value {
        self.job_in(id, &self.location, &self.dataset, table, extra)
    }

    /// The same in a place of one's own choice.
    pub fn job_in(&self, id: &str, location: &str, dataset: &str, table: &str, extra: &Value) -> Value {
        let mut load = json!({
            "destinationTable": { "projectId": self.project, "datasetId": dataset, "tableId": table },
            "sourceFormat": "PARQUET",
            "writeDisposition": "WRITE_APPEND",
            "schemaUpdateOptions": ["ALLOW_FIELD_ADDITION", "ALLOW_FIELD_RELAXATION"],
            "decimalTargetTypes": ["NUMERIC", "BIGNUMERIC", "STRING"],
            "columnNameCharacterMap": "STRICT",
            "parquetOptions": { "enumAsString": true, "enableListInference": true },
        });
        for (name, value) in extra.as_object().into_iter().flatten() {
            load[name] = value.clone();
        }
        json!({
            "jobReference": { "projectId": self.project, "location": location, "jobId": id },
            "configuration": { "load": load, "labels": { "made_by": "dms2bq-probe" } },
        })
    }

    /// Loads a file into a table and waits for the job's end.
    ///
    /// # Errors
    /// There was no answer, or what is asked does not exist here.
    pub async fn load(&self, table: &str, file: &Bytes, extra: Value) -> Result<Ended, Trouble> {
        let job = self.job(&self.job_id(), table, &extra);
        self.run_job(&job, file).await
    }

    /// Sends a job with its bytes, and waits for its end.
    ///
    /// # Errors
    /// As [`Bench::load`].
    pub async fn run_job(&self, job: &Value, file: &Bytes) -> Result<Ended, Trouble> {
        let answer = here(self.rest.upload(&self.project, job, file).await)?;
        if !answer.is_success() {
            return Ok(refused(&answer));
        }
        let reference = &job["jobReference"];
        self.end(text(&reference["jobId"]), text(&reference["location"])).await
    }

    /// Waits for a job's end.
    ///
    /// # Errors
    /// It cannot be read, or does not end in time.
    pub async fn end(&self, id: &str, location: &str) -> Result<Ended, Trouble> {
        let deadline = Deadline::at(SystemClock.now() + JOB_PATIENCE);
        while !deadline.left(&SystemClock).is_zero() {
            let answer = self.get_job(id, location).await?;
            if answer.body["status"]["state"] == "DONE" {
                let error = &answer.body["status"]["errorResult"];
                if error.is_null() {
                    return Ok(Ended::Well(answer.body));
                }
                let (reason, message) =
                    (text(&error["reason"]).to_owned(), text(&error["message"]).to_owned());
                return Ok(Ended::Badly { reason, message });
            }
            SystemClock.sleep(LOOK_PAUSE).await;
        }
        Err(Trouble::Failed(format!("the job {id} is not done after {} s", JOB_PATIENCE.as_secs())))
    }

    /// `jobs.get`, whatever it answers.
    ///
    /// # Errors
    /// As [`Bench::load`].
    pub async fn get_job(&self, id: &str, location: &str) -> Result<RestAnswer, Trouble> {
        let path = ["projects", &self.project, "jobs", id];
        here(self.rest.call(Method::GET, &path, &[("location", location)], &Value::Null).await)
    }

    /// Makes a table with these columns.
    ///
    /// # Errors
    /// It is not made.
    pub async fn make_table(&self, fields: Value) -> Result<String, Trouble> {
        let name = self.table();
        let table = json!({
            "tableReference": { "projectId": self.project, "datasetId": self.dataset, "tableId": name },
            "schema": { "fields": fields },
        });
        let path = ["projects", &self.project, "datasets", &self.dataset, "tables"];
        let answer = here(self.rest.call(Method::POST, &path, &[], &table).await)?;
        if answer.is_success() {
            return Ok(name);
        }
        Err(Trouble::Failed(format!("no table was made: {}", answer.refusal.unwrap_or_default())))
    }

    /// `tables.get`, of a table that is there.
    ///
    /// # Errors
    /// It is not there.
    pub async fn get_table(&self, name: &str) -> Result<Value, Trouble> {
        let path = ["projects", &self.project, "datasets", &self.dataset, "tables", name];
        let answer = here(self.rest.call(Method::GET, &path, &[], &Value::Null).await)?;
        if answer.is_success() {
            return Ok(answer.body);
        }
        Err(Trouble::Failed(format!("the table {name}: {}", answer.refusal.unwrap_or_default())))
    }

    /// How many rows a table has.
    ///
    /// # Errors
    /// As [`Bench::get_table`].
    pub async fn row_count(&self, name: &str) -> Result<u64, Trouble> {
        let table = self.get_table(name).await?;
        Ok(table["numRows"].as_str().and_then(|rows| rows.parse().ok()).unwrap_or_default())
    }

    /// A column as `TYPE MODE`; `none` if there is no such column.
    ///
    /// # Errors
    /// As [`Bench::get_table`].
    pub async fn column(&self, table: &str, name: &str) -> Result<String, Trouble> {
        let table = self.get_table(table).await?;
        let fields = table["schema"]["fields"].as_array().cloned().unwrap_or_default();
        let field = fields.iter().find(|field| field["name"] == name);
        Ok(field.map_or("none".to_owned(), |field| {
            let mode = field["mode"].as_str().unwrap_or("NULLABLE");
            format!("{} {mode}", text(&field["type"]))
        }))
    }

    /// The values of a table's rows, as BigQuery writes them.
    ///
    /// # Errors
    /// They cannot be read.
    pub async fn rows(&self, table: &str) -> Result<Vec<Vec<Value>>, Trouble> {
        let path = ["projects", &self.project, "datasets", &self.dataset, "tables", table, "data"];
        let answer = here(self.rest.call(Method::GET, &path, &[], &Value::Null).await)?;
        let rows = answer.body["rows"].as_array().cloned().unwrap_or_default();
        let values = |row: &Value| {
            let cells = row["f"].as_array().cloned().unwrap_or_default();
            cells.into_iter().map(|cell| cell["v"].clone()).collect()
        };
        Ok(rows.iter().map(values).collect())
    }

    /// Deletes all that was made, and says what could not be.
    pub async fn clean_up(&self) -> Vec<String> {
        let mut left = Vec::new();
        for table in self.tables.all() {
            let path = ["projects", &self.project, "datasets", &self.dataset, "tables", &table];
            let why = match self.rest.call(Method::DELETE, &path, &[], &Value::Null).await {
                // Not every table that was to be made was made.
                Ok(answer) if answer.is_success() || answer.status == 404 => {
                    self.tables.forget(&table);
                    continue;
                }
                Ok(answer) => answer.refusal.unwrap_or_default(),
                Err(error) => Chain(&error).to_string(),
            };
            left.push(format!("{}.{}.{table}: {why}", self.project, self.dataset));
        }
        left.extend(self.news.clean_up().await);
        left
    }

    /// What may be there at this moment.
    pub fn made(&self) -> Vec<String> {
        let count = self.tables.all().len();
        let tables = format!("tables {}.{}.{}… (at most {count})", self.project, self.dataset, self.run);
        let tables = (count > 0).then_some(tables);
        tables.into_iter().chain(self.news.made()).collect()
    }

    /// The names that a person gave or we made, which have no place on a public page.
    pub fn names(&self) -> Vec<&str> {
        let mut names = self.news.names();
        names.extend([self.run.as_str(), &self.project, &self.dataset]);
        names
    }
}

/// Nothing of what a stand-in does not do is an answer.
///
/// # Errors
/// It is not done here, or there is no answer.
pub(super) fn here(answer: Result<RestAnswer, CallError>) -> Result<RestAnswer, Trouble> {
    match answer {
        Ok(answer) if answer.status == NOT_IMPLEMENTED => {
            Err(Trouble::NotHere(answer.refusal.unwrap_or_default()))
        }
        Ok(answer) => Ok(answer),
        Err(error) => Err(Trouble::Failed(Chain(&error).to_string())),
    }
}

fn refused(answer: &RestAnswer) -> Ended {
    Ended::Refused {
        status: answer.status,
        reason: answer.reason.clone(),
        message: answer.refusal.clone().unwrap_or_default(),
    }
}

/// A JSON text; empty if it is none.
pub(super) fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

/// The fields of an explicit schema, each as `(name, type, mode)`.
pub(super) fn schema(fields: &[(&str, &str, &str)]) -> Value {
    let field = |(name, kind, mode): &(&str, &str, &str)| json!({ "name": name, "type": kind, "mode": mode });
    Value::Array(fields.iter().map(field).collect())
}
