//! Step 4 of 6: **route**. Where a table's rows go.
//!
//! Takes a [`DmsKey`](crate::key::DmsKey) and the mappings, gives a [`Route`]: project, dataset,
//! table and how to load it. The mappings are also the only list of what may be read: an object
//! under no landing prefix is refused before S3 is touched.
//!
//! [`Mappings::parse`] takes the files as text and gives all their problems at once, or a snapshot that
//! can no longer fail but for names: [`Mappings::landing`] finds the prefix that an object lies under,
//! [`Landing::resolve`] what the mapping says of its table.

mod mappings;
mod mapping;
mod options;
mod resolve;
pub mod names;
mod pattern;
mod syntax;
mod template;
mod timezone;
mod typos;
mod problem;
mod warning;
mod reader;
mod json;
mod nearest;
#[cfg(feature = "cli")]
pub mod apart;
#[cfg(feature = "cli")]
pub mod diff;
#[cfg(feature = "cli")]
pub mod index;
#[cfg(feature = "cli")]
pub mod schema;
#[cfg(feature = "cli")]
mod ways;

use std::collections::BTreeMap;
use std::fmt;

pub use mapping::MAX_FILE_BYTES;
pub use mappings::{MappingFile, Mappings};
#[cfg(feature = "cli")]
pub(crate) use nearest::nearest;
pub use options::{MAX_CLUSTERING_COLUMNS, MAX_COLUMNS};
pub use pattern::{BadPattern, MAX_PATTERN_CHARS, Pattern};
pub use problem::{MappingFault, MappingProblem, MappingProblems};
#[cfg(feature = "cli")]
pub use resolve::TableRule;
pub use resolve::{BadDestination, Decision, Landing, RouteError, RuleName, UnmappedTable};
pub use template::BadTemplate;
pub use warning::{MappingDoubt, MappingWarning};

/// A table of BigQuery by its full name.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TableRef {
    /// The Google project.
    pub project: String,
    /// The dataset.
    pub dataset: String,
    /// The table.
    pub table: String,
}

impl fmt::Display for TableRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.project, self.dataset, self.table)
    }
}

/// Where the rows of one DMS table go, and how.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Route {
    /// The name of the mapping: its file's name without `.json`.
    pub mapping: String,
    /// The destination.
    pub destination: TableRef,
    /// The dataset's location, such as `asia-northeast3` or `US`.
    pub location: String,
    /// How to load it.
    pub options: TableOptions,
}

/// How a table is made and loaded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TableOptions {
    /// How the table is partitioned when a load creates it.
    pub partition: Option<Partition>,
    /// The columns to cluster by when a load creates it; four at most.
    pub cluster_by: Vec<String>,
    /// BigQuery types for columns that should not be inferred, by column name.
    pub columns: BTreeMap<String, String>,
    /// The Cloud KMS key of the table, as a resource name.
    pub kms_key: Option<String>,
    /// Raised by somebody who wants the same objects loaded again; 0 otherwise.
    pub generation: u64,
}

impl Default for TableOptions {
    fn default() -> Self {
        Self {
            partition: Some(Partition { unit: PartitionUnit::Day, column: None }),
            cluster_by: Vec::new(),
            columns: BTreeMap::new(),
            kms_key: None,
            generation: 0,
        }
    }
}

/// A time partitioning.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Partition {
    /// The span of one partition.
    pub unit: PartitionUnit,
    /// The column to partition by; without one, by ingestion time.
    pub column: Option<String>,
}

/// The span of one partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PartitionUnit {
    /// A day.
    Day,
    /// An hour.
    Hour,
    /// A month.
    Month,
    /// A year.
    Year,
}

impl PartitionUnit {
    /// BigQuery's word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Day => "DAY",
            Self::Hour => "HOUR",
            Self::Month => "MONTH",
            Self::Year => "YEAR",
        }
    }
}
