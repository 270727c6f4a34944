//! What DMS writes besides tables.

use super::Layout;

/// Why a key of DMS's holds nothing to load. Each is known by name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum IgnoredKey {
    /// A file of one of DMS's own tables.
    ControlTable {
        /// The table.
        table: String,
    },
    /// A file of the folder where DMS's data validation notes what differed.
    ValidationFailures,
    /// A transaction file (`CDC_TXN-…`), which the mapping says may be ignored.
    TransactionFile,
}

impl IgnoredKey {
    /// The stable code of this reason.
    pub fn code(&self) -> &'static str {
        match self {
            Self::ControlTable { .. } => "key.control_table",
            Self::ValidationFailures => "key.validation_failures",
            Self::TransactionFile => "key.transaction_ignored",
        }
    }

    /// Why there is nothing to load, in one line.
    pub fn reason(&self) -> String {
        match self {
            Self::ControlTable { table } => {
                format!("`{table}` is one of DMS's own tables, not of the source")
            }
            Self::ValidationFailures => {
                format!("the folder `{VALIDATION_FOLDER}` holds what DMS's data validation found")
            }
            Self::TransactionFile => {
                "a transaction file, and the mapping says `\"transaction_files\": \"ignore\"`".to_owned()
            }
        }
    }
}

/// The tables that DMS keeps for itself, at the target (see the page on control table task settings of
/// its user guide) or in the source (heartbeat, DDL audit). Only these: a table of somebody's own that
/// merely begins alike is data.
const CONTROL_TABLES: [&str; 13] = [
    "awsdms_apply_exceptions",
    "awsdms_audit_table",
    "awsdms_ddl_audit",
    "awsdms_full_load_exceptions",
    "awsdms_heartbeat",
    "awsdms_history",
    "awsdms_loopback_prevention",
    "awsdms_status",
    "awsdms_suspended_tables",
    "awsdms_txn_state",
    "awsdms_validation_failures",
    "awsdms_validation_failures_v1",
    "awsdms_validation_failures_v2",
];

/// Where the validation of S3 targets (DMS 3.5.0 and later) puts its findings.
const VALIDATION_FOLDER: &str = "s3_validation_failures";

/// Tells what DMS keeps for itself from data, by the folders below the bucket folder.
///
/// A control table stands below the schema folder of the task's `ControlSchema`, or, if that setting is
/// empty, right below the bucket folder. There it takes the schema's place, so that only its own date
/// folders may follow; with any other folder it is somebody's schema of that odd name, and data.
pub(super) fn recognise(folders: &[&str], layout: &Layout) -> Option<IgnoredKey> {
    let control = |name: &str| CONTROL_TABLES.contains(&name);
    let dated = |below: &[&str]| {
        below.is_empty() || layout.date_partition.is_some_and(|shape| shape.matches(&below.join("/")))
    };
    match folders {
        [VALIDATION_FOLDER, ..] => Some(IgnoredKey::ValidationFailures),
        [_, table, ..] if control(table) => Some(IgnoredKey::ControlTable { table: (*table).to_owned() }),
        [table, below @ ..] if control(table) && dated(below) => {
            Some(IgnoredKey::ControlTable { table: (*table).to_owned() })
        }
        _ => None,
    }
}
