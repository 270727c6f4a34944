//! A job that exists: how we came by it, and whether it is the one that we would make.

use crate::job::error::JobError;
use crate::job::id::Identity;
use crate::job::load::Load;
use crate::job::plan::OBJECT_LABEL;
use crate::job::{JobRecord, JobRef, JobState};

/// A job's record, and how we came by it.
pub(super) struct Found {
    pub(super) record: JobRecord,
    pub(super) origin: Origin,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Origin {
    /// This receive made it.
    Made,
    /// This receive asked for it, had no answer, and then found it.
    Asked,
    /// It was there.
    Adopted,
}

/// How a job looked when this receive first saw it.
#[derive(Clone, Copy)]
pub(super) struct Seen {
    pub(super) asked_here: bool,
    pub(super) was_done: bool,
}

/// Takes a job that exists for the one we would make, if it proves to be.
pub(super) fn adopt(load: &Load<'_>, job: JobRef, record: JobRecord) -> Result<Found, JobError> {
    let destination = &load.route.destination;
    let label = Identity::of(load.object, load.route);
    let difference = match (&record.destination, record.labels.get(OBJECT_LABEL)) {
        (Some(theirs), _) if theirs != destination => {
            Some(format!("it loads into {theirs}, not {destination}"))
        }
        (None, _) => Some("it is no load job".to_owned()),
        (Some(_), Some(theirs)) if theirs == label.label() => None,
        (Some(_), Some(theirs)) => Some(format!("its label `object` is {theirs}, not {}", label.label())),
        (Some(_), None) => Some("it has no label `object`".to_owned()),
    };
    match difference {
        None => Ok(Found { record, origin: Origin::Adopted }),
        Some(difference) => Err(JobError::IdCollision { job: Box::new(job), difference }),
    }
}

/// Whether a record, given as the answer to our own insertion, is about another load. What it leaves out contradicts
/// nothing.
pub(super) fn contradicts(load: &Load<'_>, record: &JobRecord) -> bool {
    let other_table = record.destination.as_ref().is_some_and(|theirs| *theirs != load.route.destination);
    let label = Identity::of(load.object, load.route);
    let other_object = record.labels.get(OBJECT_LABEL).is_some_and(|theirs| theirs != label.label());
    other_table || other_object
}

pub(super) fn is_done(record: &JobRecord) -> bool {
    match record.state {
        JobState::Pending | JobState::Running => false,
        JobState::Succeeded | JobState::Failed(_) => true,
    }
}
