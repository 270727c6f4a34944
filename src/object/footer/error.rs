//! Why a file is not loaded, by its footer.

use super::MAX_FOOTER_BYTES;
use super::compact::Malformed;
use super::fit::{MAX_COLUMNS, NameFault};

/// Why a file is not loaded, by its footer. None of these passes by itself.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FooterError {
    /// The object does not end as a Parquet file does.
    #[error(
        "the object ends with \"{ends_with}\" instead of \"PAR1\": it is no Parquet file, or was cut short"
    )]
    NotParquet {
        /// The last four bytes, escaped.
        ends_with: String,
    },
    /// The object begins as a Parquet file and does not end as one.
    #[error(
        "the object begins as a Parquet file but its {object_size_bytes} bytes do not end as one: it was cut short, or something was appended"
    )]
    Truncated {
        /// How long it is.
        object_size_bytes: u64,
    },
    /// The footer is encrypted.
    #[error("the Parquet footer is encrypted")]
    Encrypted,
    /// The footer claims to be longer than the object.
    #[error(
        "the object announces a footer of {footer_bytes} bytes, more than its {object_size_bytes} bytes can hold"
    )]
    LargerThanObject {
        /// The announced length.
        footer_bytes: u64,
        /// The object's size.
        object_size_bytes: u64,
    },
    /// The footer is longer than this program reads.
    #[error("the footer has {footer_bytes} bytes, more than the {MAX_FOOTER_BYTES} that are read")]
    TooLarge {
        /// The announced length.
        footer_bytes: u64,
    },
    /// The footer's bytes cannot be understood.
    #[error("the footer cannot be read at its byte {offset_bytes}: {what}")]
    Malformed {
        /// Where, counted from the footer's start.
        offset_bytes: usize,
        /// What is wrong there.
        what: Malformed,
    },
    /// The footer lacks a part, or has one twice.
    #[error("the footer's schema, row count or row groups are missing, incomplete or doubled")]
    Incomplete,
    /// A column's description contradicts itself.
    #[error("the footer contradicts itself about the type of column {column:?}")]
    Contradiction {
        /// The column.
        column: String,
    },
    /// The row count is negative or not the sum of the row groups' counts.
    #[error("the footer counts {rows} rows, its row groups {group_rows}")]
    BadRowCount {
        /// The count of the whole file.
        rows: i64,
        /// The sum of the row groups' counts.
        group_rows: i128,
    },
    /// There are no columns.
    #[error("the file has no columns")]
    NoColumns,
    /// There are more columns than a BigQuery table may have.
    #[error("the file has {columns} columns, BigQuery takes {MAX_COLUMNS}")]
    TooManyColumns {
        /// How many there are.
        columns: usize,
    },
    /// The columns nest deeper than BigQuery takes.
    #[error("the file's columns nest deeper than BigQuery's 15 levels of records")]
    TooDeep,
    /// BigQuery refuses the name of a column.
    #[error("BigQuery cannot take column {column:?}: {fault}")]
    BadColumnName {
        /// The column's path.
        column: String,
        /// What is wrong with it.
        fault: NameFault,
    },
    /// Two columns differ in case at most, which BigQuery does not tell apart.
    #[error("BigQuery cannot tell column {column:?} from {first:?}: it ignores case")]
    DuplicateColumn {
        /// The second column's path.
        column: String,
        /// The first column's name.
        first: String,
    },
    /// BigQuery has no type for a column.
    #[error("BigQuery cannot take column {column:?}: its type is {kind}")]
    UnsupportedColumn {
        /// The column's path.
        column: String,
        /// Its type, in words.
        kind: &'static str,
    },
}

impl FooterError {
    /// The error's stable code.
    pub fn code(&self) -> &'static str {
        match self {
            Self::NotParquet { .. } => "object.not_parquet",
            Self::Truncated { .. } => "object.truncated",
            Self::Encrypted => "object.encrypted",
            Self::LargerThanObject { .. } | Self::TooLarge { .. } => "object.footer_too_large",
            Self::Malformed { .. }
            | Self::Incomplete
            | Self::Contradiction { .. }
            | Self::BadRowCount { .. } => "object.footer_unreadable",
            Self::NoColumns => "object.no_columns",
            Self::TooManyColumns { .. } => "object.too_many_columns",
            Self::BadColumnName { .. } => "object.bad_column_name",
            Self::DuplicateColumn { .. } => "object.duplicate_column",
            Self::UnsupportedColumn { .. } | Self::TooDeep => "object.unsupported_column",
        }
    }

    /// What a person should do.
    pub fn remedy(&self) -> &'static str {
        match self {
            Self::NotParquet { .. } => {
                "Look at what wrote the object. If it is DMS, set the endpoint's DataFormat to parquet; \
                 other files do not belong under a mapped folder."
            }
            Self::Truncated { .. }
            | Self::LargerThanObject { .. }
            | Self::Malformed { .. }
            | Self::Incomplete
            | Self::Contradiction { .. }
            | Self::BadRowCount { .. } => {
                "The file is damaged. Have DMS write it again (reload the table), or restore the object \
                 from where it was copied."
            }
            Self::Encrypted => {
                "BigQuery reads no encrypted Parquet. Encrypt the bucket instead: S3 then hands out plain bytes."
            }
            Self::TooLarge { .. } => {
                "Have DMS write smaller files (MaxFileSize) or larger row groups (RowGroupLength)."
            }
            Self::NoColumns => "Look at the task's transformation rules: they leave no column of the table.",
            Self::TooManyColumns { .. } | Self::TooDeep => {
                "Leave columns out with a remove-column rule in the DMS task, or load the table in another way."
            }
            Self::BadColumnName { .. } => {
                "Rename the column with a rule in the DMS task (rule-target column, rule-action rename), \
                 then reload the table."
            }
            Self::DuplicateColumn { .. } => {
                "Rename one of the two columns with a rule in the DMS task, then reload the table."
            }
            Self::UnsupportedColumn { .. } => {
                "Change the column's type with a rule in the DMS task (change-data-type), or leave it out \
                 (remove-column). DMS itself writes no such type."
            }
        }
    }
}
