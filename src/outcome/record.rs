//! The one wide line per object and receive, as data.

use std::fmt;

use serde::Serialize;

use crate::event::Receipt;
use crate::job::id::JobId;
use crate::job::load::Settled;
use crate::key::DmsKey;
use crate::object::{Object, ObjectRef};
use crate::outcome::{Disposition, Outcome, StepError};
use crate::route::Route;

/// AWS's clock and Google's are not the same; by more than this they do not differ.
const CLOCKS_DIFFER_MS: u64 = 60_000;

const LANDED_AGAIN: &str = "the same bytes landed again after they were loaded; they are in once";

const LANDED_AGAIN_REMEDY: &str = "Nothing, if the file was only written again. If the table was emptied meanwhile, its rows are not \
     there: see \"Loading again on purpose\" in docs/operating.md.";

/// What the steps have learned about one object, gathered as they go, so that the line is whole however it ends.
#[derive(Debug, Default)]
pub struct Known {
    /// The address, as the event names it.
    pub object: Option<ObjectRef>,
    /// When S3 had the object, in milliseconds since 1970, as the event says.
    pub landed_at_ms: Option<u64>,
    /// The identity, once there is an etag.
    pub identified: Option<Object>,
    /// What DMS meant.
    pub key: Option<DmsKey>,
    /// Where it goes.
    pub route: Option<Route>,
}

/// What became of one object of one message in one receive. Field names are stable: dashboards read them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Record {
    /// `loaded`, `ignored` or `returned`.
    pub outcome: &'static str,
    /// The stable code of an ignored or returned object, or `job.adopted` where the rows were in already.
    pub code: Option<&'static str>,
    /// What the queue is told, for a returned object.
    #[serde(serialize_with = "disposition")]
    pub disposition: Option<Disposition>,
    /// The message's id.
    pub message_id: String,
    /// How often SQS has handed it out.
    pub receive_count: u32,
    /// The bucket.
    pub bucket: Option<String>,
    /// The key, decoded.
    pub key: Option<String>,
    /// The etag.
    pub etag: Option<String>,
    /// `full_load` or `cdc`.
    pub kind: Option<&'static str>,
    /// `schema.table` at the source.
    pub source_table: Option<String>,
    /// The mapping that routed it.
    pub mapping: Option<String>,
    /// `project.dataset.table`.
    pub destination: Option<String>,
    /// The job that loaded it, or that the error is about, or the first that would load it.
    pub job_id: Option<String>,
    /// Which attempt loaded it.
    pub attempt: Option<u32>,
    /// How many rows it brought.
    pub row_count: Option<u64>,
    /// The object's size in bytes.
    pub size_bytes: Option<u64>,
    /// How long this receive worked on it.
    pub duration_ms: u64,
    /// From the object's landing in S3 to the moment when its rows could be queried, by the clocks of AWS and Google. For
    /// loaded objects whose event tells when they landed, and not for news of an object that was in already.
    pub load_latency_ms: Option<u64>,
    /// How long this receive waited for BigQuery's job, for loaded objects.
    pub job_wait_ms: Option<u64>,
    /// What is wrong, the whole chain; or why it is ignored.
    #[serde(rename = "reason")]
    pub message: Option<String>,
    /// What a person should do.
    pub remedy: Option<String>,
    /// Whether the rows came in by this very message, as far as can be told: it made the job, or the job took longer than the receive
    /// that made it could wait. What is counted, and no field.
    #[serde(skip)]
    pub brought_rows: bool,
    /// Whether a person may want to know of an object that is loaded or ignored. It decides the line's level and is no field.
    #[serde(skip)]
    pub notable: bool,
}

impl Record {
    /// Writes down what became of an object.
    pub fn new(outcome: &Outcome, known: &Known, receipt: &Receipt, duration_ms: u64) -> Self {
        let mut record = Self::without_end(known, receipt, duration_ms);
        match outcome {
            Outcome::Loaded(settled) => {
                record.outcome = "loaded";
                record.code = settled.adopted.then_some("job.adopted");
                record.job_id = Some(settled.job_id.clone());
                record.brought_rows =
                    !settled.adopted || (settled.outlived_a_receive && receipt.receive_count > 1);
                record.attempt = Some(settled.attempt);
                record.row_count = Some(settled.row_count);
                record.size_bytes = settled.size_bytes.or(record.size_bytes);
                record.load_latency_ms = latency_ms(known, settled);
                record.job_wait_ms = Some(settled.job_wait_ms);
                if settled.adopted && landed_again(known, settled) {
                    record.notable = true;
                    record.message = Some(LANDED_AGAIN.to_owned());
                    record.remedy = Some(LANDED_AGAIN_REMEDY.to_owned());
                }
            }
            Outcome::Ignored(ignored) => {
                record.outcome = "ignored";
                record.code = Some(ignored.code);
                record.message = Some(ignored.reason.clone());
                record.notable = ignored.notable;
            }
            Outcome::Returned(error) => record.returned(error),
        }
        record
    }

    /// `project.dataset` of the destination: what a permission is given for.
    pub fn dataset(&self) -> Option<&str> {
        self.destination.as_deref().map(|table| table.rsplit_once('.').map_or(table, |(dataset, _)| dataset))
    }

    fn returned(&mut self, error: &StepError) {
        self.outcome = "returned";
        self.code = Some(error.code());
        self.disposition = Some(error.disposition());
        self.job_id = error.job_id().map(str::to_owned).or(self.job_id.take());
        self.message = Some(Chain(error).to_string());
        self.remedy = Some(error.remedy());
    }

    fn without_end(known: &Known, receipt: &Receipt, duration_ms: u64) -> Self {
        let object = known.object.as_ref();
        let first_job = match (&known.identified, &known.key, &known.route) {
            (Some(object), Some(key), Some(route)) => Some(JobId::new(object, key, route, 0)),
            (_, _, _) => None,
        };
        Self {
            outcome: "returned",
            code: None,
            disposition: None,
            message_id: receipt.message_id.clone(),
            receive_count: receipt.receive_count,
            bucket: object.map(|object| object.bucket.clone()),
            key: object.map(|object| object.key.clone()),
            etag: match &known.identified {
                Some(object) => Some(object.etag().to_string()),
                None => object.and_then(|object| object.etag.as_ref()).map(ToString::to_string),
            },
            kind: known.key.as_ref().map(|key| key.file.kind()),
            source_table: known.key.as_ref().map(|key| format!("{}.{}", key.schema, key.table)),
            mapping: known.route.as_ref().map(|route| route.mapping.clone()),
            destination: known.route.as_ref().map(|route| route.destination.to_string()),
            job_id: first_job.map(|id| id.to_string()),
            attempt: None,
            row_count: None,
            size_bytes: object.and_then(|object| object.size_bytes),
            duration_ms,
            load_latency_ms: None,
            job_wait_ms: None,
            message: None,
            remedy: None,
            brought_rows: false,
            notable: false,
        }
    }
}

/// From landing to queryable. A job that ended before its object landed loaded it for an earlier event.
fn latency_ms(known: &Known, settled: &Settled) -> Option<u64> {
    settled.ended_ms?.checked_sub(known.landed_at_ms?)
}

/// Whether the same bytes were written once more after they had been loaded. Then they are in once, which is right, unless
/// somebody emptied the table in between and meant them to come again.
fn landed_again(known: &Known, settled: &Settled) -> bool {
    let (Some(landed_at_ms), Some(ended_ms)) = (known.landed_at_ms, settled.ended_ms) else { return false };
    landed_at_ms > ended_ms.saturating_add(CLOCKS_DIFFER_MS)
}

fn disposition<S: serde::Serializer>(value: &Option<Disposition>, serializer: S) -> Result<S::Ok, S::Error> {
    value.map(Disposition::as_str).serialize(serializer)
}

/// Prints an error and its causes as one line: `load into t: jobs.get: no usable answer`.
///
/// Our errors never print their own cause, so nothing is said twice.
pub struct Chain<'a>(pub &'a dyn std::error::Error);

impl fmt::Display for Chain<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)?;
        let mut cause = self.0.source();
        while let Some(error) = cause {
            write!(f, ": {error}")?;
            cause = error.source();
        }
        Ok(())
    }
}
