//! What an experiment is, and what it may come to.

use futures_util::future::BoxFuture;
use serde::Serialize;

use super::bench::Bench;

/// A question to the real services, of one row of `docs/verified.md`.
pub struct Experiment {
    /// The row's number.
    pub number: u16,
    /// What it is called after `--only`.
    pub name: &'static str,
    /// What the code takes for granted.
    pub assumed: &'static str,
    /// What it takes.
    pub cost: Cost,
    /// What it needs besides the dataset.
    pub needs: Needs,
    /// Asks.
    pub ask: for<'a> fn(&'a Bench) -> BoxFuture<'a, Answer>,
}

/// What an experiment takes at most.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cost {
    /// Load jobs. They are free of charge and count against the project's and the tables' days.
    pub jobs: u32,
    /// Bytes sent.
    pub bytes: u64,
    /// Time.
    pub secs: u32,
}

/// What an experiment needs besides the dataset.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Needs {
    /// Nothing.
    Dataset,
    /// A prefix in a bucket.
    Bucket,
    /// A queue of its own.
    Queue,
    /// Both, and a bucket that tells nobody else of new objects.
    News,
}

/// What was answered.
pub type Answer = Result<Verdict, Trouble>;

/// What the services said, with what shows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "answer", content = "evidence", rename_all = "snake_case")]
pub enum Verdict {
    /// It is as the code takes it to be.
    AsAssumed(String),
    /// It is not.
    Otherwise(String),
}

impl Verdict {
    /// The one or the other, with the same evidence.
    pub fn of(as_assumed: bool, evidence: impl Into<String>) -> Self {
        if as_assumed { Self::AsAssumed(evidence.into()) } else { Self::Otherwise(evidence.into()) }
    }
}

/// Why there is no answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "answer", content = "evidence", rename_all = "snake_case")]
pub enum Trouble {
    /// What stands in for the service here does not do it, or what it takes was not given.
    NotHere(String),
    /// It could not be asked.
    Failed(String),
}
