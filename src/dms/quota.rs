//! How many load jobs a day an endpoint's files make, and what BigQuery admits. All of it arithmetic, shown as such.

use std::fmt;

use crate::route::{Landing, TableRule};

/// BigQuery's load jobs of one project in a day, failed ones among them.
pub(super) const LOAD_JOBS_PER_PROJECT_AND_DAY: u64 = 100_000;
/// Changes of one table without partitions in a day.
pub(super) const CHANGES_PER_TABLE_AND_DAY: u64 = 1_500;
/// Changes of one table that is partitioned by the time of loading in a day.
pub(super) const CHANGES_PER_PARTITIONED_TABLE_AND_DAY: u64 = 11_000;

/// DMS's CdcMaxBatchInterval, unless the endpoint has another.
pub(super) const DEFAULT_INTERVAL_S: u64 = 60;
/// DMS's CdcMinFileSize, in KB.
pub(super) const DEFAULT_MIN_FILE_KB: u64 = 32_000;

const DAY_S: u64 = 86_400;

/// How many files of one table an endpoint writes in a day, while the table changes all the time and slowly enough that
/// the interval comes before the size.
pub(super) fn files_per_table_and_day(interval_s: u64) -> u64 {
    DAY_S.div_ceil(interval_s.max(1))
}

/// How many of so many changes a day can be planned for: nine in ten, since a job that fails and is tried again counts twice.
pub(super) fn sure_part(limit: u64) -> u64 {
    limit / 10 * 9
}

/// The shortest interval, in full minutes, that leaves half of so many changes a day.
pub(super) fn easy_interval_for(limit: u64) -> u64 {
    DAY_S.div_ceil((limit / 2).max(1)).next_multiple_of(60)
}

/// The shortest interval, in seconds, at which so many tables stay within the jobs of a day, rounded up to full tens.
pub(super) fn interval_for(tables: u64) -> u64 {
    let files_per_table = (LOAD_JOBS_PER_PROJECT_AND_DAY / tables.max(1)).max(1);
    DAY_S.div_ceil(files_per_table).next_multiple_of(10)
}

/// What one endpoint brings to a project in a day.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Load {
    /// The endpoint's name.
    pub(super) endpoint: String,
    /// The Google projects that its mapping loads into.
    pub(super) projects: Vec<String>,
    /// How many tables it writes, at least.
    pub(super) tables: u64,
    /// Whether more tables may match the mapping's patterns.
    pub(super) more: bool,
    /// A file of each table every so many seconds.
    pub(super) interval_s: u64,
}

impl Load {
    /// The jobs of a day.
    pub(super) fn jobs(&self) -> u64 {
        self.tables.saturating_mul(files_per_table_and_day(self.interval_s))
    }

    /// The sum as a person would write it down.
    pub(super) fn arithmetic(&self) -> String {
        let least = if self.more { "at least " } else { "" };
        let tables = if self.tables == 1 { "table" } else { "tables" };
        format!(
            "{least}{} {tables} × {} files a day (one every {} s) = {}",
            grouped(self.tables),
            grouped(files_per_table_and_day(self.interval_s)),
            self.interval_s,
            grouped(self.jobs())
        )
    }
}

impl fmt::Display for Load {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "endpoint {}: {} load jobs a day; BigQuery takes {} of a project",
            self.endpoint,
            self.arithmetic(),
            grouped(LOAD_JOBS_PER_PROJECT_AND_DAY)
        )
    }
}

/// How many tables a mapping names one by one, and whether it takes others by patterns.
pub(super) fn tables_of(landing: &Landing) -> (u64, bool) {
    let is_one =
        |rule: &TableRule<'_>| rule.schema().meant_name().is_some() && rule.table().meant_name().is_some();
    let loading: Vec<TableRule<'_>> =
        landing.table_rules().into_iter().filter(|rule| !rule.excludes()).collect();
    let named = loading.iter().filter(|rule| is_one(rule)).count();
    (u64::try_from(named).unwrap_or(u64::MAX), named < loading.len())
}

/// A number with its thousands apart: `100,800`.
pub(crate) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut out = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}
