//! Step 6 of 6: **outcome**. What becomes of the message.
//!
//! Takes a settled load or an error, says what the queue is told ([`disposition`]) and when the message is to come
//! back ([`backoff`]), what Lambda is answered ([`reply`]), and what is written down about it ([`record`]).

pub mod backoff;
pub mod disposition;
pub mod record;
pub mod reply;

use crate::event::EventError;
use crate::job::JobError;
use crate::job::load::Settled;
use crate::key::KeyError;
use crate::object::ObjectError;
use crate::route::RouteError;

pub use disposition::Disposition;

/// What became of one object of one message in one receive.
#[derive(Debug)]
pub enum Outcome {
    /// Its rows are in.
    Loaded(Settled),
    /// There is nothing to load, for a reason that has a name.
    Ignored(Ignored),
    /// It goes back to the queue.
    Returned(StepError),
}

/// Why there is nothing to load.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ignored {
    /// The stable code.
    pub code: &'static str,
    /// The reason, in words.
    pub reason: String,
    /// Whether a person may want to know.
    pub notable: bool,
}

impl Ignored {
    /// Something that happens every day.
    pub fn quietly(code: &'static str, reason: impl Into<String>) -> Self {
        Self { code, reason: reason.into(), notable: false }
    }
}

impl From<Ignored> for Outcome {
    fn from(ignored: Ignored) -> Self {
        Self::Ignored(ignored)
    }
}

/// A step failed. The only error that leaves the pipeline.
#[derive(Debug, thiserror::Error)]
pub enum StepError {
    /// Step 1: the message, or a record of it.
    #[error(transparent)]
    Event(#[from] EventError),
    /// Step 2: the object.
    #[error(transparent)]
    Object(#[from] ObjectError),
    /// Step 3: its key.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// Step 4: its route.
    #[error(transparent)]
    Route(#[from] RouteError),
    /// Step 5: its job.
    #[error(transparent)]
    Job(#[from] JobError),
    /// No step can run: there are no mappings to go by.
    #[error("the mappings cannot be used: {detail}")]
    Mappings {
        /// What is wrong with them.
        detail: String,
    },
    /// Too little was left of the invocation to begin with this object.
    #[error("too little of this invocation was left to begin")]
    NotBegun,
    /// The invocation's time was up before this object had ended.
    #[error("the time of this invocation was up")]
    OutOfTime,
    /// A bug of ours.
    #[error("dms2bq panicked: {message}")]
    Panicked {
        /// The panic's message.
        message: String,
    },
}

impl StepError {
    /// The stable code.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Event(error) => error.code(),
            Self::Object(error) => error.code(),
            Self::Key(error) => error.code(),
            Self::Route(error) => error.code(),
            Self::Job(error) => error.code(),
            Self::Mappings { .. } => "mapping.unusable",
            Self::NotBegun => "job.not_begun",
            Self::OutOfTime => "job.out_of_time",
            Self::Panicked { .. } => "bug.panic",
        }
    }

    /// What a person should do, in sentences.
    pub fn remedy(&self) -> String {
        sentence(match self {
            Self::Event(error) => error.remedy().to_string(),
            Self::Object(error) => error.remedy(),
            Self::Key(error) => error.remedy().to_string(),
            Self::Route(error) => error.remedy().to_string(),
            Self::Job(error) => error.remedy(),
            Self::Mappings { .. } => {
                "Run `dms2bq check` on what DMS2BQ_MAPPINGS names, and see that the function may read it.".to_owned()
            }
            Self::NotBegun | Self::OutOfTime => {
                "Nothing: the next receive goes on; if it lasts, give the function more time or fewer messages per batch.".to_owned()
            }
            Self::Panicked { .. } => "Report it, with the log line; the message is tried again.".to_owned(),
        })
    }

    /// The job that the error is about, if it got that far.
    pub fn job_id(&self) -> Option<&str> {
        match self {
            Self::Job(error) => error.job_id(),
            Self::Event(_)
            | Self::Object(_)
            | Self::Key(_)
            | Self::Route(_)
            | Self::Mappings { .. }
            | Self::NotBegun
            | Self::OutOfTime
            | Self::Panicked { .. } => None,
        }
    }
}

impl From<StepError> for Outcome {
    /// Two errors of an object are no failures of the message: nothing is lost when it is acknowledged.
    fn from(error: StepError) -> Self {
        let object_error = match &error {
            StepError::Object(object) | StepError::Job(JobError::Object(object)) => Some(object),
            StepError::Event(_)
            | StepError::Key(_)
            | StepError::Route(_)
            | StepError::Job(_)
            | StepError::Mappings { .. }
            | StepError::NotBegun
            | StepError::OutOfTime
            | StepError::Panicked { .. } => None,
        };
        match object_error {
            Some(object @ ObjectError::Superseded { .. }) => Self::Ignored(Ignored {
                code: object.code(),
                reason: format!(
                    "{object}; its own event follows (that of a copy in place comes back as object.copied)"
                ),
                notable: true,
            }),
            Some(object @ ObjectError::Empty { .. }) => {
                Self::Ignored(Ignored::quietly(object.code(), object.to_string()))
            }
            Some(_) | None => Self::Returned(error),
        }
    }
}

/// The steps word some remedies as fragments, for the middle of a line; alone they are sentences.
fn sentence(text: String) -> String {
    let mut letters = text.chars();
    let first = letters.next().map(|first| first.to_uppercase().to_string()).unwrap_or_default();
    let stop = if text.ends_with(['.', '!', '?']) { "" } else { "." };
    format!("{first}{}{stop}", letters.as_str())
}
