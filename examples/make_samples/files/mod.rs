//! The files of `samples/`: what DMS would have written, as far as is known, for three made-up clusters of a casino.

pub(crate) mod dice;
pub(crate) mod dms;
mod backoffice;
pub(crate) mod casino_a;
mod casino_b;
pub(crate) mod footers;
mod gzip;
mod table;
mod thrift;

use dice::stamp;
use table::{Cell, Column, Table, Type, column, dms_timestamp};

/// A file of the samples, and what is to become of it.
#[derive(Clone)]
pub(crate) struct File {
    /// Bucket and key.
    pub(crate) path: String,
    pub(crate) bytes: Vec<u8>,
    pub(crate) fate: Fate,
}

/// What dms2bq is to make of a file.
#[derive(Clone)]
pub(crate) enum Fate {
    /// It is loaded.
    Loaded { table: String, rows: usize },
    /// It is acknowledged and not loaded.
    Ignored,
    /// Its message goes back to the queue, with this code.
    Returned { code: &'static str },
}

impl File {
    fn ignored(path: String, bytes: Vec<u8>) -> Self {
        Self { path, bytes, fate: Fate::Ignored }
    }

    fn returned(path: String, bytes: Vec<u8>, code: &'static str) -> Self {
        Self { path, bytes, fate: Fate::Returned { code } }
    }
}

/// A file that is to be loaded into `dataset.table`.
fn landed(path: String, bytes: Vec<u8>, table: &Table, destination: &str) -> File {
    File { path, bytes, fate: Fate::Loaded { table: destination.to_owned(), rows: table.rows.len() } }
}

/// All files, ordered by path.
pub(crate) fn all() -> Vec<File> {
    let mut files = [casino_a::files(), casino_b::files(), backoffice::files()].concat();
    files.sort_by(|a, b| a.path.cmp(&b.path));
    files
}

/// What is to become of each file, as JSON: one object for each, ordered by bucket and key.
pub(crate) fn expectations() -> String {
    let lines: Vec<String> = all().iter().map(expectation).collect();
    format!("[\n{}\n]\n", lines.join(",\n"))
}

fn expectation(file: &File) -> String {
    let (bucket, key) = file.path.split_once('/').unwrap_or_default();
    let (outcome, code, table, rows) = match &file.fate {
        Fate::Loaded { table, rows } => ("load", None, Some(table), Some(rows)),
        Fate::Ignored => ("ignore", None, None, None),
        Fate::Returned { code } => ("error", Some(code), None, None),
    };
    let fields = [
        ("bucket", serde_json::json!(bucket)),
        ("key", serde_json::json!(key)),
        ("outcome", serde_json::json!(outcome)),
        ("code", serde_json::json!(code)),
        ("table", serde_json::json!(table)),
        ("rows", serde_json::json!(rows)),
    ];
    let fields: Vec<String> = fields.iter().map(|(name, value)| format!("\"{name}\": {value}")).collect();
    format!("  {{ {} }}", fields.join(", "))
}

/// A file of changes: `Op`, the timestamp column, then the source's. Eight changes in three transactions,
/// whose timestamps repeat; `second` is the second of 1 December 2022 at which the first was committed.
fn changes(
    timestamp: &str,
    columns: Vec<Column>,
    second: i64,
    row: &mut dyn FnMut(&str, i64) -> Vec<Cell>,
) -> Table {
    const OPS: [(&str, i64); 8] =
        [("I", 0), ("U", 0), ("U", 0), ("I", 1), ("D", 1), ("U", 5), ("I", 5), ("D", 5)];
    let rows = OPS.iter().zip(0..).map(|((op, later), at)| {
        let committed = stamp(second - 60 + later, 104_000 + later * 1_117);
        [vec![Cell::from(*op), committed], row(op, at)].concat()
    });
    Table {
        rows: rows.collect(),
        columns: [vec![column("Op", Type::Text), dms_timestamp(timestamp)], columns].concat(),
    }
}
