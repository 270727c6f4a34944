//! What is wrong with a key.

use std::fmt;

use super::DateFolders;

/// Why a key below a landing prefix cannot be loaded.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// The key is none that DMS would give under this layout.
    #[error("key `{key}` is not one that DMS gives: {misfit}")]
    NotDms {
        /// The key.
        key: String,
        /// Where it departs from DMS's naming.
        misfit: Misfit,
    },
    /// A data file of DMS's, but CSV.
    #[error("key `{key}` is a DMS file, but a `{suffix}` and not a `.parquet`")]
    NotParquet {
        /// The key.
        key: String,
        /// Its suffix.
        suffix: String,
    },
    /// A transaction file, which may be the only copy of its changes.
    #[error("key `{key}` is a transaction file of a task with PreserveTransactions, which is CSV always")]
    TransactionFile {
        /// The key.
        key: String,
    },
}

impl KeyError {
    /// The stable code of this error.
    pub fn code(&self) -> &'static str {
        match self {
            Self::NotDms { .. } => "key.not_dms",
            Self::NotParquet { .. } => "key.not_parquet",
            Self::TransactionFile { .. } => "key.transaction_file",
        }
    }

    /// What a person should do.
    pub fn remedy(&self) -> String {
        match self {
            Self::NotDms { misfit, .. } => misfit.remedy(),
            Self::NotParquet { .. } => {
                "set DataFormat to parquet on the DMS endpoint and reload the table: what was written as CSV is \
                 not loaded"
                    .to_owned()
            }
            Self::TransactionFile { .. } => {
                "with PreserveTransactions these files are the only copy of the changes: switch it off on the DMS \
                 endpoint and reload the tables; or, if something else reads the files, say \
                 `\"transaction_files\": \"ignore\"` in the mapping's source"
                    .to_owned()
            }
        }
    }
}

/// Where a key departs from DMS's naming.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Misfit {
    /// It does not lie under the bucket folder.
    OutsideFolder {
        /// The bucket folder.
        bucket_folder: String,
    },
    /// Two slashes with nothing between them, or one at an end.
    EmptyFolder,
    /// Fewer than the two folders that every file of DMS's stands in.
    TooShallow,
    /// The file's name is none that DMS gives.
    UnknownFile {
        /// The name.
        file: String,
    },
    /// The counter of a full load does not fit 64 bits.
    CounterTooLarge {
        /// The counter.
        counter: String,
    },
    /// The name of a CDC file spells no date and time.
    ImpossibleTime {
        /// The name without its suffix.
        stem: String,
    },
    /// A CDC file in what seem to be date folders, but not the mapping's.
    DateFolders {
        /// The folders.
        found: String,
        /// The shapes in which they are a date.
        shapes: Vec<DateFolders>,
        /// The shape that the mapping describes, if any.
        expected: Option<DateFolders>,
    },
    /// A CDC file in folders of the right number, which are no date of the mapping's shape.
    ImpossibleDate {
        /// The folders.
        found: String,
        /// The shape that the mapping describes.
        expected: DateFolders,
    },
    /// A full load in date folders, where DMS puts changes alone.
    FullLoadInDateFolders {
        /// The folders.
        found: String,
    },
    /// A full load one folder below its table, while the mapping tells of no parallel loads.
    SegmentFolder {
        /// The folder.
        folder: String,
    },
    /// A folder `name=value` below the table, as Hive and Spark write them.
    HiveFolder {
        /// The folder.
        folder: String,
    },
    /// A change table of Qlik Replicate (`player__ct`).
    QlikChanges {
        /// The table's folder.
        table: String,
    },
    /// More folders than any setting explains.
    TooDeep {
        /// The folders below the second.
        extra: String,
        /// The bucket folder that the key would fit, read from the right.
        fitting_bucket_folder: Option<String>,
    },
}

impl fmt::Display for Misfit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::OutsideFolder { bucket_folder } => {
                write!(f, "it does not lie under the bucket folder `{bucket_folder}`")
            }
            Self::EmptyFolder => f.write_str("one of its folders, or its file, has no name"),
            Self::TooShallow => f.write_str("below the bucket folder stand `schema/table/`, then the file"),
            Self::UnknownFile { file } => {
                write!(f, "`{file}` is neither like `LOAD0000000A.parquet` nor `20221201-093015123.parquet`")
            }
            Self::CounterTooLarge { counter } => write!(f, "the counter `{counter}` exceeds 64 bits"),
            Self::ImpossibleTime { stem } => write!(f, "there is no such date and time as `{stem}`"),
            Self::DateFolders { found, expected: None, .. } => {
                write!(f, "`{found}` looks like date folders: set source.date_partition")
            }
            Self::DateFolders { found, expected: Some(expected), .. } => {
                write!(
                    f,
                    "`{found}` looks like date folders, but not {expected}: correct source.date_partition"
                )
            }
            Self::ImpossibleDate { found, expected } => {
                write!(f, "`{found}` is no date of the mapping's shape {expected}")
            }
            Self::FullLoadInDateFolders { found } => {
                write!(f, "a full load in the date folders `{found}`, where DMS puts changes alone")
            }
            Self::SegmentFolder { folder } => {
                write!(f, "`{folder}` looks like a segment of a parallel load: set source.parallel_load")
            }
            Self::HiveFolder { folder } => write!(f, "`{folder}` is a folder as Hive and Spark write them"),
            Self::QlikChanges { table } => {
                write!(f, "`{table}` is named like Qlik Replicate's change tables")
            }
            Self::TooDeep { extra, .. } => {
                write!(f, "the folders `{extra}` stand where the file should, below `schema/table/`")
            }
        }
    }
}

impl Misfit {
    /// What a person should do: the setting that would explain the key, if there is one.
    fn remedy(&self) -> String {
        match self {
            Self::DateFolders { shapes, .. } => {
                format!("set source.date_partition in the mapping{}", spelt_out(shapes))
            }
            Self::SegmentFolder { folder } => format!(
                "if DMS loads this table in parallel and `{folder}` is a partition or segment of it, set \
                 source.parallel_load to true in the mapping; if it is the table, and before it stand the bucket \
                 folder and the schema, correct source.bucket_folder"
            ),
            Self::TooDeep { fitting_bucket_folder: Some(folder), .. } => {
                format!("if the endpoint's BucketFolder is `{folder}`, give it a mapping with that source.bucket_folder")
            }
            Self::ImpossibleDate { .. } => {
                "compare source.date_partition of the mapping with DatePartitionSequence and \
                 DatePartitionDelimiter of the DMS endpoint"
                    .to_owned()
            }
            Self::OutsideFolder { .. } | Self::TooShallow | Self::TooDeep { fitting_bucket_folder: None, .. } => {
                "compare source.bucket_folder of the mapping with BucketFolder of the DMS endpoint; if something \
                 else than DMS wrote the file, have it write elsewhere"
                    .to_owned()
            }
            Self::EmptyFolder
            | Self::UnknownFile { .. }
            | Self::CounterTooLarge { .. }
            | Self::ImpossibleTime { .. }
            | Self::FullLoadInDateFolders { .. }
            | Self::HiveFolder { .. }
            | Self::QlikChanges { .. } => {
                "DMS gives no such names, so something else wrote the file: have it write elsewhere, or narrow the \
                 bucket's notifications to what DMS writes; then delete the message"
                    .to_owned()
            }
        }
    }
}

/// ` to {"sequence": …, "delimiter": …}`, or both where the folders are a date in two shapes.
fn spelt_out(shapes: &[DateFolders]) -> String {
    let json = |shape: &DateFolders| {
        let (sequence, delimiter) = (shape.sequence.as_str(), shape.delimiter.as_str());
        format!(r#"{{"sequence": "{sequence}", "delimiter": "{delimiter}"}}"#)
    };
    let all: Vec<String> = shapes.iter().map(json).collect();
    format!(" to {}, as on the DMS endpoint", all.join(" or "))
}
