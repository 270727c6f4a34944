//! Names: what BigQuery accepts as one, and what they are called on disk.

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::error::ApiError;

/// The longest job id, dataset id and table id that BigQuery takes
/// (<https://cloud.google.com/bigquery/docs/reference/rest/v2/JobReference>).
const ID_MAX_BYTES: usize = 1024;
/// The longest column name (<https://cloud.google.com/bigquery/docs/schemas#column_names>).
const COLUMN_NAME_MAX_CHARS: usize = 300;
/// The most labels of a resource, and the longest key or value
/// (<https://cloud.google.com/bigquery/docs/labels-intro#requirements>).
const LABELS_MAX: usize = 64;
const LABEL_MAX_CHARS: usize = 63;
/// Longer names get a hash in their file name, since file systems stop at 255 bytes.
const FILE_NAME_MAX_BYTES: usize = 100;

/// Column names must not start with these, in any case
/// (<https://cloud.google.com/bigquery/docs/schemas#column_names>).
const RESERVED_COLUMN_PREFIXES: [&str; 9] = [
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

/// A dataset: project and id.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub(crate) struct DatasetKey {
    pub(crate) project: String,
    pub(crate) dataset: String,
}

impl DatasetKey {
    pub(crate) fn parse(project: &str, dataset: &str) -> Result<Self, ApiError> {
        let well_formed = dataset.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
        if dataset.is_empty() || dataset.len() > ID_MAX_BYTES || !well_formed {
            let rule = "Dataset IDs must be alphanumeric (plus underscores) and must be at most 1024 characters long.";
            return Err(ApiError::invalid(format!("Invalid dataset ID \"{dataset}\". {rule}")));
        }
        Ok(Self { project: parse_project(project)?, dataset: dataset.to_owned() })
    }
}

impl std::fmt::Display for DatasetKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{}", self.project, self.dataset)
    }
}

/// A table: its dataset and its id.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub(crate) struct TableKey {
    pub(crate) dataset: DatasetKey,
    pub(crate) table: String,
}

impl TableKey {
    pub(crate) fn parse(project: &str, dataset: &str, table: &str) -> Result<Self, ApiError> {
        let dataset = DatasetKey::parse(project, dataset)?;
        if table.contains(['$', '@']) {
            let hint = "does not know table decorators; name the table without the partition";
            return Err(ApiError::not_implemented(format!("{hint} ({table})")));
        }
        if table.is_empty() || table.len() > ID_MAX_BYTES || !table.chars().all(is_table_char) {
            let rule = "Table IDs must be alphanumeric (plus underscores, dashes and spaces) and must be at most \
                        1024 bytes long.";
            return Err(ApiError::invalid(format!("Invalid table ID \"{table}\". {rule}")));
        }
        Ok(Self { dataset, table: table.to_owned() })
    }
}

impl std::fmt::Display for TableKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}.{}", self.dataset, self.table)
    }
}

/// BigQuery allows the Unicode categories L, M, N, Pc, Pd and Zs. The standard library knows only L and N, so
/// beyond ASCII this takes all that is not a control character.
fn is_table_char(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | ' ') || (!c.is_ascii() && !c.is_control())
}

/// A job: unique by project, location and id together.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub(crate) struct JobKey {
    pub(crate) project: String,
    pub(crate) location: String,
    pub(crate) id: String,
}

impl JobKey {
    pub(crate) fn parse(project: &str, location: &str, id: &str) -> Result<Self, ApiError> {
        let well_formed = id.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-'));
        if id.is_empty() || id.len() > ID_MAX_BYTES || !well_formed {
            let rule = "Job IDs must be alphanumeric (plus underscores and dashes) and must be at most 1024 \
                        characters long.";
            return Err(ApiError::invalid(format!("Invalid job ID \"{id}\". {rule}")));
        }
        Ok(Self { project: parse_project(project)?, location: parse_location(location)?, id: id.to_owned() })
    }
}

impl std::fmt::Display for JobKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{}.{}", self.project, self.location, self.id)
    }
}

/// A project id, as loosely as needed to be safe: old ones are domain-scoped (`example.com:project`).
fn parse_project(project: &str) -> Result<String, ApiError> {
    let well_formed =
        project.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | ':' | '.' | '_'));
    if project.is_empty() || project.len() > ID_MAX_BYTES || !well_formed {
        return Err(ApiError::invalid(format!("Invalid project ID '{project}'.")));
    }
    Ok(project.to_owned())
}

/// A location in BigQuery's own spelling: `US` and `EU`, and regions in lower case.
pub(crate) fn parse_location(location: &str) -> Result<String, ApiError> {
    let well_formed = location.chars().all(|c| c.is_ascii_alphanumeric() || c == '-');
    if location.is_empty() || location.len() > LABEL_MAX_CHARS || !well_formed {
        return Err(ApiError::invalid(format!("Invalid location '{location}'.")));
    }
    let upper = location.to_ascii_uppercase();
    Ok(if matches!(upper.as_str(), "US" | "EU") { upper } else { location.to_ascii_lowercase() })
}

/// Checks a column's name. Case-insensitive repetition is for the whole schema to find.
pub(crate) fn check_column_name(name: &str) -> Result<(), String> {
    let forbidden = |c: char| c.is_control() || "!\"$()*,./;?@[\\]^`{}~".contains(c);
    if name.is_empty() || name.chars().count() > COLUMN_NAME_MAX_CHARS || name.contains(forbidden) {
        return Err(format!(
            "Invalid field name \"{name}\". Fields must contain the allowed characters, and be at most 300 characters \
             long. For allowed characters, please refer to https://cloud.google.com/bigquery/docs/schemas#column_names"
        ));
    }
    let upper = name.to_uppercase();
    match RESERVED_COLUMN_PREFIXES.iter().find(|prefix| upper.starts_with(**prefix)) {
        Some(prefix) => Err(format!(
            "Invalid field name \"{name}\". Field names are not allowed to start with the (case-insensitive) prefix {prefix}"
        )),
        None => Ok(()),
    }
}

/// Checks a resource's labels.
pub(crate) fn check_labels<'a>(labels: impl Iterator<Item = (&'a str, &'a str)>) -> Result<(), ApiError> {
    let mut count = 0;
    for (key, value) in labels {
        count += 1;
        let starts_well = key.chars().next().is_some_and(|c| c.is_alphabetic() && !c.is_uppercase());
        if !starts_well || !is_label_text(key) {
            return Err(ApiError::invalid(format!("Invalid label key \"{key}\": {LABEL_RULE}")));
        }
        if !is_label_text(value) {
            return Err(ApiError::invalid(format!(
                "Invalid label value \"{value}\" of \"{key}\": {LABEL_RULE}"
            )));
        }
    }
    if count > LABELS_MAX {
        return Err(ApiError::invalid(format!(
            "{count} labels are too many: at most {LABELS_MAX} are allowed."
        )));
    }
    Ok(())
}

const LABEL_RULE: &str = "labels contain only lowercase letters, digits, dashes and underscores, at most 63 characters, \
                          and keys start with a letter.";

fn is_label_text(text: &str) -> bool {
    let allowed = |c: char| (c.is_alphanumeric() && !c.is_uppercase()) || matches!(c, '_' | '-');
    text.chars().count() <= LABEL_MAX_CHARS && text.chars().all(allowed)
}

/// What a name is called on disk: itself if it is plain and short, else its plain characters and a hash.
/// Upper case is not plain, since some file systems know no case.
pub(crate) fn file_name(name: &str) -> String {
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '_' | '-');
    if name.len() <= FILE_NAME_MAX_BYTES && name.chars().all(plain) {
        return name.to_owned();
    }
    let readable = |c: char| if c.is_ascii_alphanumeric() || matches!(c, '_' | '-') { c } else { '-' };
    let start: String = name.chars().take(FILE_NAME_MAX_BYTES).map(readable).collect();
    let hash = Sha256::digest(name.as_bytes());
    let hex: String = hash.iter().take(8).map(|byte| format!("{byte:02x}")).collect();
    format!("{start}~{hex}")
}
