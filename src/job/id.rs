//! The job id: a function of object and route, the same on every machine, for ever.
//!
//! ```text
//! {file}_{schema}_{table}_{identity}_{attempt}
//! 20221201093015123_game_player_9f2c4e7a1b3d5f60_0
//! ```
//!
//! Golden cases in `tests/cases/job_ids` freeze it: an id that changes is an object that loads twice.

use std::fmt;

use sha2::{Digest, Sha256};

use crate::key::{DmsFile, DmsKey};
use crate::object::Object;
use crate::route::Route;

/// Schema and table are cut to this many characters each. BigQuery takes ids of 1,024 characters
/// (<https://cloud.google.com/bigquery/docs/reference/rest/v2/JobReference>); the identity, not the
/// names, tells jobs apart.
const NAME_MAX_CHARS: usize = 100;

/// How much of the hash the id carries: 64 bits, next to the names that a person reads.
const IDENTITY_HEX_DIGITS: usize = 16;

/// How much of the hash the job's `object` label carries. A label holds 63 characters at most.
const LABEL_HEX_DIGITS: usize = 32;

/// What makes a load the load that it is: the object's bytes and the table they go to.
///
/// SHA-256 over bucket, key, etag and `project.dataset.table`, joined by NUL; a generation above 0 is
/// joined as a fifth part, in decimal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    hex: String,
}

impl Identity {
    /// Computes the identity of loading `object` by `route`.
    pub fn of(object: &Object, route: &Route) -> Self {
        let destination = route.destination.to_string();
        let mut hash = Sha256::new();
        for (n, part) in
            [object.bucket(), object.key(), object.etag().as_str(), &destination].iter().enumerate()
        {
            if n > 0 {
                hash.update([0]);
            }
            hash.update(part.as_bytes());
        }
        if route.options.generation > 0 {
            hash.update([0]);
            hash.update(route.options.generation.to_string().as_bytes());
        }
        let hex = hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
        Self { hex }
    }

    /// The digits that the job id carries.
    fn for_id(&self) -> &str {
        self.hex.get(..IDENTITY_HEX_DIGITS).unwrap_or(&self.hex)
    }

    /// The value of the job's `object` label, by which an existing job proves that it is ours.
    pub fn label(&self) -> &str {
        self.hex.get(..LABEL_HEX_DIGITS).unwrap_or(&self.hex)
    }
}

/// The id of one attempt to load one object.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct JobId(String);

impl JobId {
    /// Makes the id of the `attempt`-th try, counted from 0.
    pub fn new(object: &Object, key: &DmsKey, route: &Route, attempt: u32) -> Self {
        Self::of(&Identity::of(object, route), key, attempt)
    }

    /// As [`JobId::new`], for an identity that is at hand.
    pub fn of(identity: &Identity, key: &DmsKey, attempt: u32) -> Self {
        let file = match &key.file {
            DmsFile::FullLoad { stem, .. } => stem,
            DmsFile::Cdc { digits, .. } => digits,
        };
        let file = spelled(file, |c| c.is_ascii_alphanumeric());
        let schema = name(&key.schema);
        let table = name(&key.table);
        Self(format!("{file}_{schema}_{table}_{}_{attempt}", identity.for_id()))
    }

    /// The id as BigQuery takes it.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for JobId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

fn name(text: &str) -> String {
    let spelled = spelled(text, |c| c.is_ascii_alphanumeric() || c == '_');
    spelled.chars().take(NAME_MAX_CHARS).collect()
}

/// Replaces each character that may not stand in an id by one `-`.
fn spelled(text: &str, allowed: impl Fn(char) -> bool) -> String {
    text.chars().map(|c| if allowed(c) { c } else { '-' }).collect()
}
