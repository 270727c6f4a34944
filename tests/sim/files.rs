//! The Parquet files of all worlds, made once. No two are alike, so that rows in a table tell whose they are.

use std::sync::{Arc, LazyLock};

use arrow::array::{ArrayRef, Int64Array, RecordBatch, StringArray};
use arrow::datatypes::{DataType, Field, Schema};
use bytes::Bytes;
use parquet::arrow::ArrowWriter;

use crate::secrets;

/// How many files of each shape there are: as many as one world uses at most.
const FILES_PER_SHAPE: usize = 24;

/// Which columns a file has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shape {
    /// `id` and `name`.
    Plain,
    /// One more column, which may be null.
    Wider,
    /// One more column that is REQUIRED, as DMS's column of commit times is.
    Stamped,
    /// `id` alone: the other column is gone at the source.
    Narrower,
    /// `id` as a text, which a table of numbers refuses for good.
    OtherType,
}

impl Shape {
    /// Those that fit into one table, in any order.
    pub(crate) const COMPATIBLE: [Self; 4] = [Self::Plain, Self::Wider, Self::Stamped, Self::Narrower];
}

/// A file.
#[derive(Debug, Clone)]
pub(crate) struct File {
    pub(crate) bytes: Bytes,
    pub(crate) row_count: u64,
}

static FILES: LazyLock<Vec<Vec<File>>> = LazyLock::new(|| {
    let shapes = [Shape::Plain, Shape::Wider, Shape::Stamped, Shape::Narrower, Shape::OtherType];
    let files = |shape: Shape| (0..FILES_PER_SHAPE).map(|n| make(shape, n)).collect();
    shapes.into_iter().map(files).collect()
});

/// The `n`-th file of a shape.
pub(crate) fn file(shape: Shape, n: usize) -> &'static File {
    &FILES[shape as usize][n % FILES_PER_SHAPE]
}

fn make(shape: Shape, n: usize) -> File {
    let rows = 1 + n % 5;
    let id = (shape as usize * 1_000 + n) * 10;
    let ids: Vec<i64> = (id..id + rows).map(|id| i64::try_from(id).expect("it is small")).collect();
    let numbers = |ids: Vec<i64>| Arc::new(Int64Array::from(ids)) as ArrayRef;
    let texts = |word: &str| {
        let values = ids.iter().map(|id| format!("{word} {id}"));
        Arc::new(StringArray::from_iter_values(values)) as ArrayRef
    };
    let text = |name: &str, nullable| Field::new(name, DataType::Utf8, nullable);
    let mut columns = match shape {
        Shape::OtherType => vec![(text("id", true), texts("number"))],
        _ => vec![(Field::new("id", DataType::Int64, true), numbers(ids.clone()))],
    };
    if shape != Shape::Narrower {
        columns.push((text("name", true), texts(secrets::ROW)));
    }
    match shape {
        Shape::Wider => columns.push((text("extra", true), texts("extra"))),
        Shape::Stamped => columns.push((text("commit_ts", false), texts("2022-12-01"))),
        Shape::Plain | Shape::Narrower | Shape::OtherType => {}
    }
    File { bytes: written(columns), row_count: rows as u64 }
}

fn written(columns: Vec<(Field, ArrayRef)>) -> Bytes {
    let (fields, arrays): (Vec<Field>, Vec<ArrayRef>) = columns.into_iter().unzip();
    let schema = Arc::new(Schema::new(fields));
    let batch = RecordBatch::try_new(Arc::clone(&schema), arrays).expect("the columns fit");
    let mut bytes = Vec::new();
    let mut writer = ArrowWriter::try_new(&mut bytes, schema, None).expect("a schema");
    writer.write(&batch).expect("memory takes it");
    writer.close().expect("memory takes it");
    bytes.into()
}
