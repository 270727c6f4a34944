//! The checker: every row once, where it belongs and as it was; every message ended, and none before its rows were in;
//! every job under the id that its object has, and another attempt only after a failure.
//!
//! It looks at what was loaded row by row, by the file and row that each one names. A count would not see a row lost and
//! another one doubled.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use super::files::LandedFile;
use super::queue::Done;

/// A row of a table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct FoundRow {
    pub(crate) table: String,
    pub(crate) file: u64,
    pub(crate) row: u64,
    pub(crate) text: String,
}

/// A job as BigQuery has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct FoundJob {
    pub(crate) destination: String,
    pub(crate) state: String,
    /// Why it failed, if it did.
    pub(crate) failure: Option<String>,
    pub(crate) created_ms: u64,
    pub(crate) ended_ms: Option<u64>,
}

impl FoundJob {
    pub(crate) fn succeeded(&self) -> bool {
        self.state == "DONE" && self.failure.is_none()
    }

    fn failed(&self) -> bool {
        self.state == "DONE" && self.failure.is_some()
    }
}

/// All that can be seen from outside when a run is over.
#[derive(Debug, Clone, Default)]
pub(crate) struct Found {
    pub(crate) rows: Vec<FoundRow>,
    pub(crate) jobs: BTreeMap<String, FoundJob>,
    pub(crate) done: Vec<Done>,
    /// The files of messages that were dead-lettered.
    pub(crate) dead_lettered: Vec<u64>,
    /// The files of messages that had not ended when patience did.
    pub(crate) stuck: Vec<u64>,
    /// What workers wrote that is not JSON, or a panic; and replies that are none.
    pub(crate) bad_lines: Vec<String>,
}

/// What must not be; what may be the reason of others comes first.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Problem {
    BadLine { line: String },
    MemoryGrew { bytes: u64 },
    DeadLettered { file: u64 },
    Stuck { file: u64 },
    DoneTooEarly { file: u64, early_ms: u64 },
    StrangeJob { id: String },
    AttemptWithoutFailure { id: String },
    WrongTable { file: u64, row: u64, table: String },
    Altered { file: u64, row: u64 },
    Unknown { file: u64, row: u64, table: String },
    Doubled { file: u64, row: u64, times: usize },
    Lost { file: u64, row: u64 },
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Lost { file, row } => write!(f, "lost: row {row} of file {file}"),
            Self::Doubled { file, row, times } => {
                write!(f, "doubled: row {row} of file {file}, {times} times")
            }
            Self::WrongTable { file, row, table } => {
                write!(f, "in {table} by mistake: row {row} of file {file}")
            }
            Self::Altered { file, row } => write!(f, "altered: row {row} of file {file}"),
            Self::Unknown { file, row, table } => {
                write!(f, "never sent: row {row} of file {file}, in {table}")
            }
            Self::DeadLettered { file } => write!(f, "dead-lettered: a message of file {file}"),
            Self::Stuck { file } => write!(f, "not ended: a message of file {file}"),
            Self::DoneTooEarly { file, early_ms } => {
                write!(f, "a message of file {file} was done {early_ms} ms before its rows were in")
            }
            Self::StrangeJob { id } => write!(f, "job {id} is of no file, or loads into another table"),
            Self::AttemptWithoutFailure { id } => {
                write!(f, "job {id} was made before the one before it had failed")
            }
            Self::BadLine { line } => write!(f, "a worker said {line}"),
            Self::MemoryGrew { bytes } => write!(f, "a worker's memory grew by {bytes} bytes"),
        }
    }
}

/// Compares what was found with what landed.
pub(crate) fn audit(landed: &[LandedFile], found: &Found) -> Vec<Problem> {
    let mut problems = check_rows(landed, &found.rows);
    problems.extend(check_jobs(landed, &found.jobs));
    problems.extend(check_ends(landed, found));
    problems.extend(found.bad_lines.iter().map(|line| Problem::BadLine { line: line.clone() }));
    problems.sort();
    problems
}

fn check_rows(landed: &[LandedFile], rows: &[FoundRow]) -> Vec<Problem> {
    let files: BTreeMap<u64, &LandedFile> = landed.iter().map(|file| (file.number, file)).collect();
    let mut times: BTreeMap<(u64, u64), usize> = BTreeMap::new();
    let mut problems = Vec::new();
    for FoundRow { table, file: number, row, text } in rows {
        let (file, row, table) = (*number, *row, table.clone());
        match files.get(number) {
            Some(known) if row < known.row_count => {
                *times.entry((file, row)).or_default() += 1;
                if table != known.table {
                    problems.push(Problem::WrongTable { file, row, table });
                }
                if *text != known.text(row) {
                    problems.push(Problem::Altered { file, row });
                }
            }
            Some(_) | None => problems.push(Problem::Unknown { file, row, table }),
        }
    }
    for file in landed {
        for row in 0..file.row_count {
            match times.get(&(file.number, row)) {
                Some(1) => {}
                Some(times) => problems.push(Problem::Doubled { file: file.number, row, times: *times }),
                None => problems.push(Problem::Lost { file: file.number, row }),
            }
        }
    }
    problems
}

fn check_jobs(landed: &[LandedFile], jobs: &BTreeMap<String, FoundJob>) -> Vec<Problem> {
    let tables: BTreeMap<String, &str> =
        landed.iter().map(|file| (file.job_stem(), file.table.as_str())).collect();
    let mut problems = Vec::new();
    for (id, job) in jobs {
        let attempt =
            id.rsplit_once('_').and_then(|(stem, attempt)| Some((stem, attempt.parse::<u32>().ok()?)));
        let Some((stem, attempt)) =
            attempt.filter(|(stem, _)| tables.get(*stem) == Some(&job.destination.as_str()))
        else {
            problems.push(Problem::StrangeJob { id: id.clone() });
            continue;
        };
        let Some(before) = attempt.checked_sub(1).map(|before| jobs.get(&format!("{stem}_{before}"))) else {
            continue;
        };
        let had_failed =
            before.is_some_and(|it| it.failed() && it.ended_ms.is_some_and(|end| end <= job.created_ms));
        if !had_failed {
            problems.push(Problem::AttemptWithoutFailure { id: id.clone() });
        }
    }
    problems
}

fn check_ends(landed: &[LandedFile], found: &Found) -> Vec<Problem> {
    let mut in_since: BTreeMap<&str, u64> = BTreeMap::new();
    for (id, job) in found.jobs.iter().filter(|(_, job)| job.succeeded()) {
        if let (Some((stem, _)), Some(ended_ms)) = (id.rsplit_once('_'), job.ended_ms) {
            in_since.entry(stem).and_modify(|since| *since = ended_ms.min(*since)).or_insert(ended_ms);
        }
    }
    let stems: BTreeMap<u64, String> = landed.iter().map(|file| (file.number, file.job_stem())).collect();
    let mut problems = Vec::new();
    for done in &found.done {
        for file in &done.files {
            let since = stems.get(file).and_then(|stem| in_since.get(stem.as_str()));
            let early_ms = since.copied().unwrap_or(u64::MAX).saturating_sub(done.at_ms);
            if early_ms > 0 {
                problems.push(Problem::DoneTooEarly { file: *file, early_ms });
            }
        }
    }
    let once = |files: &[u64]| files.iter().copied().collect::<BTreeSet<u64>>();
    problems.extend(once(&found.dead_lettered).into_iter().map(|file| Problem::DeadLettered { file }));
    problems.extend(once(&found.stuck).into_iter().map(|file| Problem::Stuck { file }));
    problems
}
