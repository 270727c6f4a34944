//! What doctor says of one hop.

use serde::Serialize;

use super::facts::{Failure, FailureKind};

/// A hop on the way from a file in S3 to rows in BigQuery.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Hop {
    /// The mappings.
    Mappings,
    /// Our credentials for AWS.
    Aws,
    /// A bucket, below a mapped prefix.
    Bucket,
    /// What the bucket tells of new objects, and whom.
    Notification,
    /// The queue.
    Queue,
    /// Who may send to the queue.
    QueuePolicy,
    /// The queue's dead-letter queue.
    DeadLetters,
    /// The event source mapping, which takes from the queue and calls the function.
    EventSource,
    /// The function.
    Function,
    /// Our credentials for Google, and the way there.
    Google,
    /// A dataset.
    Dataset,
    /// The clocks.
    Clock,
}

impl Hop {
    /// Its name for a person.
    pub fn name(self) -> &'static str {
        match self {
            Self::Mappings => "mappings",
            Self::Aws => "AWS",
            Self::Bucket => "bucket",
            Self::Notification => "notification",
            Self::Queue => "queue",
            Self::QueuePolicy => "queue policy",
            Self::DeadLetters => "dead letters",
            Self::EventSource => "event source",
            Self::Function => "function",
            Self::Google => "Google",
            Self::Dataset => "dataset",
            Self::Clock => "clock",
        }
    }
}

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Level {
    /// As it should be.
    Fine,
    /// Nobody looked.
    NotLooked,
    /// It works, and will hurt.
    Warning,
    /// Rows do not arrive, or are at risk.
    Error,
}

/// What to do where nothing answered.
pub(super) const REACH: &str = "See that this machine reaches the service: name resolution, HTTPS_PROXY and NO_PROXY. Then run \
                                doctor again.";

/// What to do where a service fails.
pub(super) const TRY_AGAIN: &str = "Nothing to mend here: the service says that it cannot at the moment. Run doctor again; if it \
                                    lasts, look at the service's status page.";

/// What to do where a service refuses, and nobody knows better.
pub(super) const READ_IT: &str =
    "Read what the service says; if it means nothing to you, open an issue with this line.";

/// What is to be said of one hop.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// Where on the way.
    pub hop: Hop,
    /// How bad it is.
    pub level: Level,
    /// The stable code of what is wrong; none where nothing is.
    pub code: Option<&'static str>,
    /// Of which bucket, queue, function or dataset it is said.
    pub about: String,
    /// What was found.
    pub message: String,
    /// What to do; none where nothing is to be done.
    pub remedy: Option<String>,
}

impl Finding {
    /// All is well.
    pub fn fine(hop: Hop, about: impl Into<String>, message: impl Into<String>) -> Self {
        Self::without_remedy(hop, Level::Fine, about.into(), message.into())
    }

    /// Nobody looked, because of `why`.
    pub fn not_looked(hop: Hop, about: impl Into<String>, why: &str) -> Self {
        Self::without_remedy(hop, Level::NotLooked, about.into(), format!("not looked at, because {why}"))
    }

    fn without_remedy(hop: Hop, level: Level, about: String, message: String) -> Self {
        Self { hop, level, code: None, about, message, remedy: None }
    }

    /// A call failed. `allow` says what to do where it was denied, `missing` where there is no such thing.
    pub fn failed(
        hop: Hop,
        about: impl Into<String>,
        failure: &Failure,
        allow: impl Into<String>,
        missing: impl Into<String>,
    ) -> Self {
        let (code, of_kind) = match failure.kind {
            FailureKind::Denied => ("doctor.denied", allow.into()),
            FailureKind::Missing => ("doctor.missing", missing.into()),
            FailureKind::Unreachable => ("doctor.unreachable", REACH.to_owned()),
            FailureKind::Unavailable => ("doctor.unavailable", TRY_AGAIN.to_owned()),
            FailureKind::Refused => ("doctor.refused", READ_IT.to_owned()),
        };
        let remedy = failure.remedy.clone().unwrap_or(of_kind);
        let detail = failure.detail.clone();
        Self {
            hop,
            level: Level::Error,
            code: Some(code),
            about: about.into(),
            message: detail,
            remedy: Some(remedy),
        }
    }
}

/// Findings about one thing, gathered. When it is finished without any, the thing is fine.
pub struct Findings<'a> {
    hop: Hop,
    about: &'a str,
    found: Vec<Finding>,
}

impl<'a> Findings<'a> {
    /// None yet.
    pub fn of(hop: Hop, about: &'a str) -> Self {
        Self { hop, about, found: Vec::new() }
    }

    /// It works, and will hurt.
    pub fn warn(&mut self, code: &'static str, message: impl Into<String>, remedy: impl Into<String>) {
        self.push(Level::Warning, code, message.into(), remedy.into());
    }

    /// Rows do not arrive, or are at risk.
    pub fn fail(&mut self, code: &'static str, message: impl Into<String>, remedy: impl Into<String>) {
        self.push(Level::Error, code, message.into(), remedy.into());
    }

    fn push(&mut self, level: Level, code: &'static str, message: String, remedy: String) {
        self.found.push(Finding {
            hop: self.hop,
            level,
            code: Some(code),
            about: self.about.to_owned(),
            message,
            remedy: Some(remedy),
        });
    }

    /// What was found; that nobody looked, because of `why`, if that is nothing.
    pub fn or_not_looked(self, why: &str) -> Vec<Finding> {
        if self.found.is_empty() {
            return vec![Finding::not_looked(self.hop, self.about, why)];
        }
        self.found
    }

    /// What was found; `fine` if that is nothing.
    pub fn or_fine(self, fine: impl Into<String>) -> Vec<Finding> {
        if self.found.is_empty() {
            return vec![Finding::fine(self.hop, self.about, fine)];
        }
        self.found
    }
}
