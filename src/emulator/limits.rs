//! BigQuery's limits on how often one table may change.
//!
//! A standard table takes 1,500 load, copy and query jobs a day that append or overwrite, and about 5 updates in
//! 10 s; partitioned ones take 50 in 10 s, and a day's partition modifications instead: 11,000 by ingestion
//! time, 30,000 by column (<https://cloud.google.com/bigquery/quotas>). Failed jobs count for the day, and so
//! does what happened to an earlier table of the same name. Two simplifications: the day is the last 24 hours,
//! and a load counts as one partition modification however many partitions it touches.

use std::collections::{HashMap, VecDeque};

use super::error::JobError;
use super::names::TableKey;
use super::table::Layout;

const BURST_MS: u64 = 10_000;
const DAY_MS: u64 = 24 * 60 * 60 * 1000;

/// How many changes one table may see. `None` is no limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Changes of an unpartitioned table in 10 s.
    pub changes_per_10_s: Option<usize>,
    /// Changes of a partitioned table in 10 s.
    pub partitioned_changes_per_10_s: Option<usize>,
    /// Jobs on an unpartitioned table in a day.
    pub changes_per_day: Option<usize>,
    /// Jobs on a table that is partitioned by ingestion time, in a day.
    pub ingestion_partitioned_changes_per_day: Option<usize>,
    /// Jobs on a table that is partitioned by a column, in a day.
    pub column_partitioned_changes_per_day: Option<usize>,
}

impl Limits {
    /// BigQuery's own.
    pub const BIGQUERY: Self = Self {
        changes_per_10_s: Some(5),
        partitioned_changes_per_10_s: Some(50),
        changes_per_day: Some(1_500),
        ingestion_partitioned_changes_per_day: Some(11_000),
        column_partitioned_changes_per_day: Some(30_000),
    };

    /// None at all.
    pub const NONE: Self = Self {
        changes_per_10_s: None,
        partitioned_changes_per_10_s: None,
        changes_per_day: None,
        ingestion_partitioned_changes_per_day: None,
        column_partitioned_changes_per_day: None,
    };

    fn burst(&self, layout: &Layout) -> Option<usize> {
        if layout.time_partitioning.is_some() {
            self.partitioned_changes_per_10_s
        } else {
            self.changes_per_10_s
        }
    }

    fn day(&self, layout: &Layout) -> Option<usize> {
        match layout.time_partitioning.as_ref().map(|by| by.field.is_some()) {
            None => self.changes_per_day,
            Some(false) => self.ingestion_partitioned_changes_per_day,
            Some(true) => self.column_partitioned_changes_per_day,
        }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self::BIGQUERY
    }
}

/// What happened to each table name in the last day.
#[derive(Debug, Default)]
pub(crate) struct ChangeLog {
    by_table: HashMap<TableKey, Changes>,
}

#[derive(Debug, Default)]
struct Changes {
    /// When a job ended, failed ones included.
    jobs_ms: VecDeque<u64>,
    /// When a job changed the table.
    loads_ms: VecDeque<u64>,
}

impl ChangeLog {
    /// Says whether a job may change the table now.
    pub(crate) fn check(
        &mut self,
        limits: &Limits,
        table: &TableKey,
        layout: &Layout,
        now_ms: u64,
    ) -> Result<(), JobError> {
        let changes = self.by_table.entry(table.clone()).or_default();
        changes.forget_before(now_ms);
        if limits.day(layout).is_some_and(|limit| changes.jobs_ms.len() >= limit) {
            return Err(JobError::new(QUOTA_EXCEEDED, DAY_MESSAGE));
        }
        if limits.burst(layout).is_some_and(|limit| changes.loads_ms.len() >= limit) {
            return Err(JobError::new("rateLimitExceeded", BURST_MESSAGE));
        }
        Ok(())
    }

    /// Notes the end of a job. One that the day's quota refused does not count, or a day would never end.
    pub(crate) fn note(&mut self, table: &TableKey, ended_ms: u64, error: Option<&JobError>) {
        if error.is_some_and(|error| error.reason == QUOTA_EXCEEDED) {
            return;
        }
        let changes = self.by_table.entry(table.clone()).or_default();
        changes.jobs_ms.push_back(ended_ms);
        if error.is_none() {
            changes.loads_ms.push_back(ended_ms);
        }
    }
}

impl Changes {
    fn forget_before(&mut self, now_ms: u64) {
        drop_older(&mut self.jobs_ms, now_ms, DAY_MS);
        drop_older(&mut self.loads_ms, now_ms, BURST_MS);
    }
}

fn drop_older(moments: &mut VecDeque<u64>, now_ms: u64, span_ms: u64) {
    while moments.front().is_some_and(|moment| moment + span_ms <= now_ms) {
        moments.pop_front();
    }
}

const QUOTA_EXCEEDED: &str = "quotaExceeded";
const DAY_MESSAGE: &str = "Quota exceeded: Your table exceeded quota for imports or query appends per table. For more \
                           information, see https://cloud.google.com/bigquery/docs/troubleshoot-quotas";
const BURST_MESSAGE: &str = "Exceeded rate limits: too many table update operations for this table. For more \
                             information, see https://cloud.google.com/bigquery/docs/troubleshoot-quotas";
