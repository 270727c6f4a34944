//! What was seen of a deployment: plain data, gathered by `look` and judged by [`judge`](super::judge).
//!
//! Everything can be written as JSON and read back, so that each bad state is a case in a file.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// All that was seen.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Facts {
    /// The mappings that are in force, or would be.
    pub mappings: Look<MappingsSeen>,
    /// Who we are for AWS.
    pub aws: Look<Account>,
    /// Each function that was named.
    pub functions: Look<Vec<FunctionSeen>>,
    /// Each queue that was named, or that a function takes its messages from.
    pub queues: Look<Vec<QueueSeen>>,
    /// Each bucket that a mapping names.
    pub buckets: Look<Vec<BucketSeen>>,
    /// BigQuery, before any dataset is asked for.
    pub google: Look<GoogleSeen>,
    /// Each dataset that a mapping names.
    pub datasets: Look<Vec<DatasetSeen>>,
    /// What others think the time is.
    pub clocks: Vec<ClockSeen>,
    /// Whether neither a function nor a queue was named.
    #[serde(default)]
    pub nothing_named: bool,
}

/// One look at something.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Look<T> {
    /// It is there, and this is what it says.
    Seen(T),
    /// The look failed.
    Failed(Failure),
    /// Nobody looked, and this is why.
    NotLooked(String),
}

impl<T> Look<T> {
    /// What was seen, if anything.
    pub fn seen(&self) -> Option<&T> {
        match self {
            Self::Seen(seen) => Some(seen),
            Self::Failed(_) | Self::NotLooked(_) => None,
        }
    }

    /// What was seen, of lists: nothing is an empty list.
    pub fn each<'a, Item: 'a>(&'a self) -> impl Iterator<Item = &'a Item>
    where
        T: AsRef<[Item]> + 'a,
    {
        self.seen().into_iter().flat_map(|list| list.as_ref().iter())
    }
}

impl<T> From<Result<T, Failure>> for Look<T> {
    fn from(result: Result<T, Failure>) -> Self {
        match result {
            Ok(seen) => Self::Seen(seen),
            Err(failure) => Self::Failed(failure),
        }
    }
}

/// Why a look failed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Failure {
    /// What kind of failure it is, which decides what to do.
    pub kind: FailureKind,
    /// What the service or the network said, in one line.
    pub detail: String,
    /// What to do, where whoever failed knows better than its kind tells.
    #[serde(default)]
    pub remedy: Option<String>,
}

impl Failure {
    /// A failure of which nothing is known beyond its kind and what was said.
    pub fn new(kind: FailureKind, detail: impl Into<String>) -> Self {
        Self { kind, detail: detail.into(), remedy: None }
    }
}

/// The kinds of failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FailureKind {
    /// There are no credentials, or they were refused, or they do not allow it.
    Denied,
    /// There is no such thing.
    Missing,
    /// Nothing answered.
    Unreachable,
    /// The service said that it cannot at the moment.
    Unavailable,
    /// The service refused the call for another reason.
    Refused,
}

/// The mappings.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MappingsSeen {
    /// Where they were read.
    pub location: String,
    /// Whether a function reads others, in its package, which cannot be seen from here.
    #[serde(default)]
    pub others_are_packaged: bool,
    /// How many files there are.
    pub file_count: usize,
    /// What keeps them from running, each with its place.
    pub problems: Vec<String>,
    /// What is legal and probably not meant.
    pub warnings: Vec<String>,
}

/// Who we are for AWS.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Account {
    /// The account's number.
    pub account: String,
    /// The identity's ARN.
    pub arn: String,
    /// The region that is asked.
    pub region: String,
    /// Whether nothing names that region.
    #[serde(default)]
    pub region_is_assumed: bool,
}

/// A function, by its name.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FunctionSeen {
    /// Its name or ARN, as it was given.
    pub name: String,
    /// How it is set up.
    pub settings: Look<FunctionSettings>,
    /// What hands it messages.
    pub event_sources: Look<Vec<EventSource>>,
}

/// How a function is set up.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FunctionSettings {
    /// Such as `provided.al2023`; none for a container image.
    pub runtime: Option<String>,
    /// Such as `arm64`.
    pub architecture: String,
    /// Such as `Active`, if Lambda says.
    pub state: Option<String>,
    /// Why it is in that state.
    pub state_reason: Option<String>,
    /// Its time-out.
    pub timeout_secs: u64,
    /// Its memory.
    pub memory_mb: u64,
    /// The role that it runs as.
    pub role: String,
    /// Concurrency that is set aside for it, if any is.
    pub reserved_concurrency: Option<u64>,
    /// Its environment: the variables that dms2bq reads, and those that look like them.
    pub environment: BTreeMap<String, String>,
}

/// An event source mapping.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EventSource {
    /// Its id.
    pub uuid: String,
    /// The ARN of what it reads.
    pub queue_arn: String,
    /// Such as `Enabled`.
    pub state: String,
    /// The most messages of one batch.
    pub batch_size: u64,
    /// How long a batch is gathered.
    pub batching_window_secs: u64,
    /// Whether `ReportBatchItemFailures` is on.
    pub reports_item_failures: bool,
    /// How many batches are worked on at once, if that is bounded.
    pub maximum_concurrency: Option<u64>,
    /// How many filters it has.
    pub filter_count: usize,
}

/// A queue and its dead-letter queue.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct QueueSeen {
    /// Its ARN or URL, as far as it is known.
    pub name: String,
    /// How it is set up.
    pub settings: Look<QueueSettings>,
    /// How the queue that its redrive policy names is set up.
    pub dead_letters: Look<QueueSettings>,
    /// The rules of EventBridge that send to it.
    pub rules: Look<Vec<Rule>>,
}

/// A rule of EventBridge.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    /// Its ARN.
    pub arn: String,
    /// Such as `ENABLED`.
    pub state: String,
    /// Which events it takes, as JSON.
    pub pattern: String,
}

/// How a queue is set up.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct QueueSettings {
    /// Its ARN.
    pub arn: String,
    /// How long a received message stays away.
    pub visibility_timeout_secs: u64,
    /// How long a message is kept.
    pub retention_secs: u64,
    /// How long a message is held back when it is sent.
    #[serde(default)]
    pub delay_secs: u64,
    /// Messages that wait.
    pub message_count: u64,
    /// Whether it is a FIFO queue.
    pub fifo: bool,
    /// The KMS key, if it is encrypted with one.
    pub kms_key: Option<String>,
    /// Who may send, as JSON.
    pub policy: Option<String>,
    /// Where messages go that were received too often.
    pub redrive: Option<Redrive>,
    /// Which queues may use it as their dead-letter queue, as JSON; any, if it does not say.
    pub redrive_allow: Option<String>,
}

/// A redrive policy.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Redrive {
    /// The dead-letter queue's ARN.
    pub dead_letter_arn: String,
    /// After how many receives a message goes there.
    pub max_receive_count: u64,
}

/// A bucket that a mapping names.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BucketSeen {
    /// Its name.
    pub bucket: String,
    /// The prefixes that mappings name in it.
    pub prefixes: Vec<PrefixSeen>,
    /// Whom it tells of new objects.
    pub notification: Look<Notification>,
}

impl BucketSeen {
    /// How one of its prefixes is called for a person.
    pub fn address(&self, prefix: &PrefixSeen) -> String {
        format!("s3://{}/{}", self.bucket, prefix.prefix)
    }
}

/// A prefix that a mapping names.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PrefixSeen {
    /// With its slash at the end; empty for the whole bucket.
    pub prefix: String,
    /// The first objects below it.
    pub listing: Look<Listing>,
    /// The first bytes of one of them.
    pub object: Look<String>,
}

/// The beginning of a listing.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Listing {
    /// How many objects the first page has.
    pub object_count: usize,
}

/// Whom a bucket tells of new objects.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Notification {
    /// Each thing that it tells.
    pub targets: Vec<Target>,
    /// Whether it tells EventBridge, of everything.
    pub event_bridge: bool,
}

/// One configuration of a bucket's notification.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Target {
    /// The ARN of the queue, topic or function.
    pub arn: String,
    /// Such as `s3:ObjectCreated:*`.
    pub events: Vec<String>,
    /// Only keys that begin so.
    pub prefix: String,
    /// Only keys that end so.
    pub suffix: String,
}

/// BigQuery, as it is reached.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GoogleSeen {
    /// Where it is.
    pub address: String,
    /// Whether that needs no credentials, as an emulator.
    pub anonymous: bool,
}

/// A dataset that a mapping names.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DatasetSeen {
    /// `project.dataset`.
    pub name: String,
    /// Where the mapping says it is.
    pub stated_location: String,
    /// What it is.
    pub settings: Look<DatasetSettings>,
    /// A table made in it, filled by a load job, and deleted.
    pub write: Look<Written>,
}

/// What a dataset is.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DatasetSettings {
    /// Where it is.
    pub location: String,
    /// How long its new tables live, if not for ever.
    pub table_expiration_ms: Option<u64>,
    /// How long the partitions of its new tables live, if not for ever.
    pub partition_expiration_ms: Option<u64>,
}

/// What became of the table that was made to try.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Written {
    /// The table's name.
    pub table: String,
    /// The steps that were taken, in order, each with what came of it.
    pub steps: Vec<Step>,
}

/// One step of trying to write.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Step {
    /// Which step.
    pub step: WriteStep,
    /// Why it failed, if it did.
    pub failure: Option<Failure>,
}

/// The steps of trying to write.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WriteStep {
    /// `tables.insert`, with an hour to live.
    MakeTable,
    /// An upload of one row, as the worker uploads.
    InsertJob,
    /// `jobs.get` until the job is done.
    ReadJob,
    /// The job's end: one row.
    LoadRow,
    /// `tables.delete`.
    DeleteTable,
}

/// What somebody else thinks the time is.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClockSeen {
    /// Whose clock it is.
    pub of: String,
    /// By how much ours is ahead of it, in seconds; negative if it is behind.
    pub ahead_secs: i64,
}
