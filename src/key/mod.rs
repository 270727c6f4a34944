//! Step 3 of 6: **key**. What DMS meant by an object's name.
//!
//! Takes an object's key and the [`Layout`] of the landing prefix it lies under, gives a [`DmsKey`]:
//! schema, table, and whether the file is part *n* of a full load or the changes written at *t*.
//! Knows how DMS names files, and nothing of BigQuery.

mod parse;
mod guess;
mod file;
mod date;
mod ignored;
mod error;

pub use date::{DateFolders, Delimiter, Sequence};
pub use error::{KeyError, Misfit};
pub use guess::guess;
pub use ignored::IgnoredKey;
pub use parse::parse;

/// How DMS lays out one landing prefix, as its mapping describes it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Layout {
    /// The folder of the bucket below which `schema/table/` stands; empty for the bucket's root.
    /// Without slashes at its ends.
    pub bucket_folder: String,
    /// The date folders of CDC files, if the endpoint has them.
    pub date_partition: Option<DateFolders>,
    /// Whether full loads may stand in a folder for each segment below the table.
    pub parallel_load: bool,
    /// Whether somebody decided that `CDC_TXN-*` transaction files may be ignored.
    pub ignore_transaction_files: bool,
}

/// What a key of DMS's stands for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KeyMeaning {
    /// Rows of a table.
    Data(DmsKey),
    /// Nothing to load, by name and with a reason.
    Ignored(IgnoredKey),
}

/// What DMS meant by a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DmsKey {
    /// The folder of the bucket, as in the layout.
    pub bucket_folder: String,
    /// The schema as the key spells it.
    pub schema: String,
    /// The table as the key spells it.
    pub table: String,
    /// Which file of the table.
    pub file: DmsFile,
    /// The date folder as the key spells it (`2022/12/01`), for CDC files that have one.
    pub date_partition: Option<String>,
    /// The segment folder of a parallel full load, if there is one.
    pub segment: Option<String>,
}

/// One of the two kinds of data files that DMS writes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DmsFile {
    /// Part of a full load: `LOAD0000000A.parquet`, `SEGMENT2_LOAD00000009.parquet`.
    FullLoad {
        /// The file's name without its suffix, as the key spells it.
        stem: String,
        /// The counter, which DMS writes in hexadecimal.
        sequence: u64,
    },
    /// Changes: `20221201-093015123.parquet`.
    Cdc {
        /// The digits of the name without the dash (`20221201093015123`).
        digits: String,
        /// When DMS wrote the file out, in the mapping's time zone: `2022-12-01T09:30:15.123`.
        timestamp: String,
    },
}

impl DmsFile {
    /// The word for the kind in labels, logs and `explain`: `full_load` or `cdc`.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::FullLoad { .. } => "full_load",
            Self::Cdc { .. } => "cdc",
        }
    }
}
