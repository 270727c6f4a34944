//! How a load can fail to settle.

use std::time::Duration;

use crate::cloud::CallError;
use crate::job::JobRef;
use crate::job::schema::SchemaError;
use crate::object::ObjectError;
use crate::route::TableRef;

/// A load did not end well in this receive.
#[derive(Debug, thiserror::Error)]
pub enum JobError {
    /// The object could not be read or is no file that BigQuery can take.
    #[error(transparent)]
    Object(#[from] ObjectError),
    /// The job needs an explicit schema, and the file's columns do not allow one.
    #[error("plan the load into {destination}")]
    Schema {
        /// Where it was to go.
        destination: Box<TableRef>,
        /// What is wrong with the columns.
        #[source]
        source: SchemaError,
    },
    /// BigQuery read the file and will never load it as it is.
    #[error("BigQuery rejected job {job} ({reason}): {message}")]
    Rejected {
        /// The job, kept by BigQuery as failed.
        job: Box<JobRef>,
        /// `errorResult.reason`.
        reason: String,
        /// `errorResult.message`.
        message: String,
    },
    /// BigQuery failed it for a reason that may pass, as often as one receive allows.
    #[error("job {job} failed ({reason}): {message}")]
    Failed {
        /// The last job tried.
        job: Box<JobRef>,
        /// `errorResult.reason`.
        reason: String,
        /// `errorResult.message`.
        message: String,
        /// If it was the table's rate limit: when its turn comes.
        next_turn: Option<Duration>,
    },
    /// Nothing was submitted: the table has met BigQuery's limit on changes, and others are before this one.
    #[error("{destination} takes no more changes for now; the turn of this object comes in {} s", .after.as_secs() + 1)]
    Paced {
        /// The table.
        destination: Box<TableRef>,
        /// When its turn comes.
        after: Duration,
    },
    /// A quota of the day is used up.
    #[error("job {job} met a used-up quota: {message}")]
    QuotaExceeded {
        /// The job that met it.
        job: Box<JobRef>,
        /// BigQuery's message.
        message: String,
    },
    /// BigQuery ran the job and refuses us the destination.
    #[error("job {job} may not write to {destination}: {message}")]
    DestinationDenied {
        /// The job that was refused.
        job: Box<JobRef>,
        /// The destination.
        destination: Box<TableRef>,
        /// BigQuery's message.
        message: String,
    },
    /// The destination's dataset is not there.
    #[error("no dataset {project}.{dataset} in {location}: {detail}")]
    DatasetNotFound {
        /// The project that the route names.
        project: String,
        /// The dataset that the route names.
        dataset: String,
        /// The location that the route names.
        location: String,
        /// What BigQuery said.
        detail: String,
    },
    /// The job is not done yet. The next receive takes it up by its id.
    #[error("job {job} is still {state} after {waited_ms} ms")]
    Running {
        /// The job.
        job: Box<JobRef>,
        /// `pending` or `running`.
        state: &'static str,
        /// How long this receive has waited for it.
        waited_ms: u64,
    },
    /// The id is taken by a job that loads something else.
    #[error("job id {job} is taken by a job that is not ours: {difference}")]
    IdCollision {
        /// The id.
        job: Box<JobRef>,
        /// What differs.
        difference: String,
    },
    /// BigQuery refuses a second job with this id, and refuses to show the first.
    #[error("job {job} exists, but we may not read it: {detail}")]
    Unreadable {
        /// The job.
        job: Box<JobRef>,
        /// What BigQuery said.
        detail: String,
    },
    /// BigQuery refuses a second job with this id, and does not find the first yet.
    #[error("job {job} exists, but BigQuery does not find it yet")]
    NotVisible {
        /// The job.
        job: Box<JobRef>,
    },
    /// The job loaded, and its table has been dropped or made anew since.
    #[error("job {job} loaded this object, but {destination} {what}")]
    TableRecreated {
        /// The job that loaded it.
        job: Box<JobRef>,
        /// The destination.
        destination: Box<TableRef>,
        /// What has become of the table.
        what: &'static str,
    },
    /// BigQuery added another number of rows than the file holds.
    #[error("job {job} loaded {} of the {file_rows} rows of the file", .output_rows.map_or("an unknown number".to_owned(), |rows| rows.to_string()))]
    RowMismatch {
        /// The job.
        job: Box<JobRef>,
        /// The rows that the footer announces.
        file_rows: u64,
        /// The rows that BigQuery says it added.
        output_rows: Option<u64>,
    },
    /// More attempts have failed than anyone should make.
    #[error("{attempts} jobs for this object have failed, the last as {job}")]
    TooManyAttempts {
        /// How many.
        attempts: u32,
        /// The last one.
        job: Box<JobRef>,
    },
    /// A call to BigQuery failed.
    #[error("load into {destination}")]
    Call {
        /// Where it was to go.
        destination: Box<TableRef>,
        /// The call's failure.
        #[source]
        source: CallError,
    },
}

impl JobError {
    /// The stable code.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Object(error) => error.code(),
            Self::Schema { source, .. } => source.code(),
            Self::Rejected { .. } => "job.rejected",
            Self::Failed { .. } => "job.failed",
            Self::Paced { .. } => "job.paced",
            Self::QuotaExceeded { .. } => "job.quota_exceeded",
            Self::DestinationDenied { .. } => "job.denied",
            Self::DatasetNotFound { .. } => "job.dataset_not_found",
            Self::Running { .. } => "job.running",
            Self::IdCollision { .. } => "job.id_collision",
            Self::Unreadable { .. } => "job.unreadable",
            Self::NotVisible { .. } => "job.not_visible",
            Self::TableRecreated { .. } => "job.table_recreated",
            Self::RowMismatch { .. } => "job.row_mismatch",
            Self::TooManyAttempts { .. } => "job.too_many_attempts",
            Self::Call { source, .. } => call_code(source),
        }
    }

    /// What a person should do.
    pub fn remedy(&self) -> String {
        match self {
            Self::Object(error) => error.remedy(),
            Self::Schema { source, .. } => source.remedy().to_string(),
            Self::Rejected { job, .. } => format!(
                "Read the whole reason with `bq show -j {job}`, mend the table or the mapping (`columns`), then redrive the message."
            ),
            Self::Failed { .. } => "Nothing: it is tried again; look at Google's status page if it lasts.".to_owned(),
            Self::Paced { .. } => {
                "Nothing: its turn comes. If it happens daily, partition the table or write fewer, larger files.".to_owned()
            }
            Self::QuotaExceeded { .. } => {
                "Nothing at once: it is tried again for some seven hours, then it is in the dead-letter queue; redrive that when the quota is back. If it happens daily, partition the table or write fewer files.".to_owned()
            }
            Self::DestinationDenied { destination, .. } => format!(
                "Grant the service account roles/bigquery.dataEditor on the dataset {}.{}.",
                destination.project, destination.dataset
            ),
            Self::DatasetNotFound { project, dataset, location, .. } => format!(
                "Create the dataset ({}), or correct `destination` in the mapping.",
                make_dataset(project, dataset, location)
            ),
            Self::Running { .. } => "Nothing: the next receive takes it up by its id.".to_owned(),
            Self::IdCollision { job, .. } => format!(
                "Find out who made the job (`bq show -j {job}`); to load under a new id, `dms2bq load` this one object with a copy of the mappings in which the table's `generation` is raised, then delete the message."
            ),
            Self::Unreadable { .. } => {
                "Grant the service account roles/bigquery.jobUser and bigquery.jobs.get on the project that runs the jobs.".to_owned()
            }
            Self::NotVisible { .. } => "Nothing: the next receive looks again.".to_owned(),
            Self::TableRecreated { .. } => {
                "Count the file's rows in the table first: if they are there, delete the message. If they are not and should \
                 be, `dms2bq load` this one object with a copy of the mappings in which this table's `generation` is raised, and \
                 delete the message. Do not deploy that copy: every message of the table that is still about would load anew."
                .to_owned()
            }
            Self::RowMismatch { job, .. } => format!(
                "Compare the file with the table (`bq show -j {job}`), mend the rows by hand, then delete the message."
            ),
            Self::TooManyAttempts { .. } => {
                "Read the last job's reason and mend its cause; then `dms2bq load` this one object with a copy of the mappings in which \
                 the table's `generation` is raised, and delete the message.".to_owned()
            }
            Self::Call { source, .. } => source.remedy().to_owned(),
        }
    }

    /// The job that the error is about, if there is one.
    pub fn job_id(&self) -> Option<&str> {
        match self {
            Self::Rejected { job, .. }
            | Self::Failed { job, .. }
            | Self::QuotaExceeded { job, .. }
            | Self::DestinationDenied { job, .. }
            | Self::Running { job, .. }
            | Self::IdCollision { job, .. }
            | Self::Unreadable { job, .. }
            | Self::NotVisible { job }
            | Self::TableRecreated { job, .. }
            | Self::RowMismatch { job, .. }
            | Self::TooManyAttempts { job, .. } => Some(&job.id),
            Self::Object(_)
            | Self::Schema { .. }
            | Self::Paced { .. }
            | Self::DatasetNotFound { .. }
            | Self::Call { .. } => None,
        }
    }
}

fn make_dataset(project: &str, dataset: &str, location: &str) -> String {
    format!("`bq --location={location} mk --dataset {project}:{dataset}`")
}

fn call_code(error: &CallError) -> &'static str {
    match error {
        CallError::NotSent { .. } => "job.not_sent",
        CallError::Unavailable { .. } => "job.unavailable",
        CallError::Unanswered { .. } => "job.unanswered",
        CallError::Throttled { .. } => "job.throttled",
        CallError::QuotaExceeded { .. } => "job.quota_exceeded",
        CallError::Denied { .. } => "job.denied",
        // A call for a load names nothing else that may be missing.
        CallError::NotFound { .. } => "job.dataset_not_found",
        CallError::Rejected { .. } => "job.refused",
        CallError::OutOfTime { .. } => "job.out_of_time",
    }
}
