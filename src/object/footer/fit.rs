//! Whether BigQuery can take a file's columns at all, by name, number and type.
//!
//! What is refused here would fail in BigQuery, or be read there as something else, whatever the job says;
//! refused here, it costs no job.

use std::collections::HashMap;

use super::columns::{Column, ColumnKind, DecimalStorage, TimeUnit};
use super::error::FooterError;

/// The most columns of a BigQuery table, nested ones counted (BigQuery's quotas page, "Table limits").
pub const MAX_COLUMNS: usize = 10_000;

/// The longest column name in characters (BigQuery's schema page, "Column names").
pub const MAX_COLUMN_NAME_CHARS: usize = 300;

/// Prefixes that BigQuery keeps for itself, whatever their case (its schema page, "Column names").
const RESERVED_PREFIXES: [&str; 9] = [
    "_TABLE_",
    "_FILE_",
    "_PARTITION",
    "_ROW_TIMESTAMP",
    "__ROOT__",
    "_COLIDENTIFIER",
    "_CHANGE_TYPE",
    "_CHANGE_SEQUENCE_NUMBER",
    "_CHANGE_TIMESTAMP",
];

/// Refuses columns that BigQuery cannot take.
pub(super) fn check(columns: &[Column]) -> Result<(), FooterError> {
    let leaves = columns.iter().map(leaf_count).sum();
    if leaves > MAX_COLUMNS {
        return Err(FooterError::TooManyColumns { columns: leaves });
    }
    check_level(columns, None)
}

fn leaf_count(column: &Column) -> usize {
    match &column.kind {
        ColumnKind::Group { columns, .. } => columns.iter().map(leaf_count).sum(),
        _ => 1,
    }
}

fn check_level(columns: &[Column], parent: Option<&str>) -> Result<(), FooterError> {
    let mut seen = HashMap::with_capacity(columns.len());
    for column in columns {
        let path = match parent {
            Some(parent) => format!("{parent}.{}", column.name),
            None => column.name.clone(),
        };
        if let Some(fault) = column_name_fault(&column.name) {
            return Err(FooterError::BadColumnName { column: path, fault });
        }
        if let Some(first) = seen.insert(column.name.to_lowercase(), &column.name) {
            return Err(FooterError::DuplicateColumn { column: path, first: first.clone() });
        }
        if let Some(kind) = unsupported(&column.kind) {
            return Err(FooterError::UnsupportedColumn { column: path, kind });
        }
        if let ColumnKind::Group { columns, .. } = &column.kind {
            check_level(columns, Some(&path))?;
        }
    }
    Ok(())
}

/// What is wrong with a column's name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NameFault {
    /// It is empty.
    #[error("it is empty")]
    Empty,
    /// It is too long.
    #[error("it is longer than 300 characters")]
    TooLong,
    /// It has a character that BigQuery takes in no column name. A dot cannot even be mapped away.
    #[error("BigQuery takes no {0:?} in column names")]
    Character(char),
    /// It begins with a prefix that BigQuery keeps for itself.
    #[error("BigQuery keeps names that begin with {0} for itself")]
    Reserved(&'static str),
}

/// BigQuery's rules for column names, the flexible ones: letters, digits and marks of any script, `_`,
/// `-`, white space and some signs (its schema page, "Flexible column names"). What is refused here is
/// refused under every one of its settings.
pub fn column_name_fault(name: &str) -> Option<NameFault> {
    if name.is_empty() {
        return Some(NameFault::Empty);
    }
    if name.chars().count() > MAX_COLUMN_NAME_CHARS {
        return Some(NameFault::TooLong);
    }
    let refused = |c: &char| c.is_control() || "!\"$()*,./;?@[\\]^`{}~".contains(*c);
    if let Some(character) = name.chars().find(refused) {
        return Some(NameFault::Character(character));
    }
    let is_prefix =
        |prefix: &&&str| name.get(..prefix.len()).is_some_and(|start| start.eq_ignore_ascii_case(prefix));
    RESERVED_PREFIXES.iter().find(is_prefix).map(|prefix| NameFault::Reserved(prefix))
}

/// The kinds that BigQuery's table of Parquet conversions does not list ("other combinations … are not
/// supported") and that are not known to load with an explicit schema either, in words. Nanoseconds were
/// reported to land as integers, in silence (googleapis/google-cloud-python#9206).
fn unsupported(kind: &ColumnKind) -> Option<&'static str> {
    match kind {
        ColumnKind::Timestamp { unit: TimeUnit::Nanos, .. } => Some("a timestamp in nanoseconds"),
        ColumnKind::Time { unit: TimeUnit::Nanos } => Some("a time in nanoseconds"),
        ColumnKind::Decimal { storage: DecimalStorage::Bytes, .. } => {
            Some("a DECIMAL in bytes of varying length")
        }
        ColumnKind::Json => Some("JSON"),
        ColumnKind::Bson => Some("BSON"),
        ColumnKind::Uuid => Some("a UUID in 16 bytes"),
        ColumnKind::Float16 => Some("FLOAT16"),
        ColumnKind::Interval => Some("INTERVAL"),
        ColumnKind::Unknown { .. } => Some("an annotation that is not known"),
        ColumnKind::Boolean
        | ColumnKind::Integer { .. }
        | ColumnKind::Float
        | ColumnKind::Double
        | ColumnKind::Decimal { .. }
        | ColumnKind::Date
        | ColumnKind::Time { .. }
        | ColumnKind::Timestamp { .. }
        | ColumnKind::Int96
        | ColumnKind::Text
        | ColumnKind::Enum
        | ColumnKind::Bytes
        | ColumnKind::Null
        | ColumnKind::Group { .. } => None,
    }
}
