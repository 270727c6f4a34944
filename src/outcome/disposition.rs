//! Every error of every step → what the queue is told. Decided here, and nowhere else.
//!
//! No match in this file has a wildcard: a new error does not compile until somebody decides.

use std::time::Duration;

use crate::cloud::CallError;
use crate::event::EventError;
use crate::job::JobError;
use crate::key::KeyError;
use crate::object::ObjectError;
use crate::outcome::StepError;
use crate::route::RouteError;

/// What a returned message means for the receives to come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Disposition {
    /// It did not happen, and may pass: try again, later and later.
    MayPass,
    /// It may pass, but not soon: a quota of the day.
    NotSoon,
    /// The table takes no more changes for now: wait for a turn.
    Paced {
        /// When the turn comes.
        after: Duration,
    },
    /// It may have happened: look before doing it again.
    MayHaveHappened,
    /// The job is not done: take it up by its id.
    Running,
    /// This object, as it is, will never load: on to the dead-letter queue.
    Never,
    /// Nothing can load: said once per invocation, loudly.
    NothingCanLoad,
}

impl Disposition {
    /// Whether trying again, with nothing changed by a person, may lead to the rows being in.
    pub fn passes_by_itself(self) -> bool {
        match self {
            Self::MayPass | Self::NotSoon | Self::Paced { .. } | Self::MayHaveHappened | Self::Running => {
                true
            }
            Self::Never | Self::NothingCanLoad => false,
        }
    }

    /// The word for it in the log.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::MayPass => "may_pass",
            Self::NotSoon => "not_soon",
            Self::Paced { .. } => "paced",
            Self::MayHaveHappened => "may_have_happened",
            Self::Running => "running",
            Self::Never => "never",
            Self::NothingCanLoad => "nothing_can_load",
        }
    }
}

impl StepError {
    /// What the queue is told.
    pub fn disposition(&self) -> Disposition {
        match self {
            Self::Event(error) => of_event(error),
            Self::Object(error) => of_object(error),
            Self::Key(error) => of_key(error),
            Self::Route(error) => of_route(error),
            Self::Job(error) => of_job(error),
            Self::Mappings { .. } => Disposition::NothingCanLoad,
            Self::NotBegun => Disposition::MayPass,
            // The object may be anywhere on its way; the next receive looks first.
            Self::OutOfTime => Disposition::MayHaveHappened,
            Self::Panicked { .. } => Disposition::MayPass,
        }
    }
}

fn of_object(error: &ObjectError) -> Disposition {
    match error {
        ObjectError::Copied { .. }
        | ObjectError::Missing { .. }
        | ObjectError::EtagMismatch { .. }
        | ObjectError::Footer { .. }
        | ObjectError::NoMagic { .. } => Disposition::Never,
        // The next receive may begin it earlier; one that is never early enough is bounded by the queue.
        ObjectError::TooSlow { .. } => Disposition::MayPass,
        // Acknowledged before a disposition is asked for; if it ever is, redelivery is the harmless answer.
        ObjectError::Superseded { .. } | ObjectError::Empty { .. } => Disposition::MayPass,
        ObjectError::Call { source, .. } => of_call(source),
    }
}

fn of_job(error: &JobError) -> Disposition {
    match error {
        JobError::Object(error) => of_object(error),
        JobError::Schema { .. }
        | JobError::Rejected { .. }
        | JobError::IdCollision { .. }
        | JobError::TableRecreated { .. }
        | JobError::RowMismatch { .. }
        | JobError::TooManyAttempts { .. } => Disposition::Never,
        JobError::Paced { after, .. } | JobError::Failed { next_turn: Some(after), .. } => {
            Disposition::Paced { after: *after }
        }
        JobError::Failed { next_turn: None, .. } => Disposition::MayPass,
        JobError::QuotaExceeded { .. } => Disposition::NotSoon,
        JobError::DestinationDenied { .. }
        | JobError::DatasetNotFound { .. }
        | JobError::Unreadable { .. } => Disposition::NothingCanLoad,
        JobError::Running { .. } => Disposition::Running,
        JobError::NotVisible { .. } => Disposition::MayHaveHappened,
        JobError::Call { source, .. } => of_call(source),
    }
}

fn of_call(error: &CallError) -> Disposition {
    match error {
        CallError::NotSent { .. } | CallError::Unavailable { .. } | CallError::Throttled { .. } => {
            Disposition::MayPass
        }
        CallError::OutOfTime { sent: false, .. } => Disposition::MayPass,
        CallError::Unanswered { .. } | CallError::OutOfTime { sent: true, .. } => {
            Disposition::MayHaveHappened
        }
        CallError::QuotaExceeded { .. } => Disposition::NotSoon,
        CallError::Denied { .. } | CallError::NotFound { .. } => Disposition::NothingCanLoad,
        CallError::Rejected { .. } => Disposition::Never,
    }
}

/// A message that cannot be understood now will not be understood later.
fn of_event(error: &EventError) -> Disposition {
    match error {
        EventError::TooLarge { .. }
        | EventError::NotJson(_)
        | EventError::UnknownShape { .. }
        | EventError::SnsPayload { .. }
        | EventError::TooManyRecords { .. }
        | EventError::Version { .. }
        | EventError::NoName
        | EventError::NoBucket { .. }
        | EventError::NoKey { .. }
        | EventError::NameTooLong { .. }
        | EventError::BadKey { .. } => Disposition::Never,
    }
}

fn of_key(error: &KeyError) -> Disposition {
    match error {
        KeyError::NotDms { .. } | KeyError::NotParquet { .. } | KeyError::TransactionFile { .. } => {
            Disposition::Never
        }
    }
}

/// Until somebody changes the mapping, which is what a redrive is for.
fn of_route(error: &RouteError) -> Disposition {
    match error {
        RouteError::UnmappedObject { .. } | RouteError::UnmappedTable { .. } | RouteError::BadName(_) => {
            Disposition::Never
        }
    }
}
