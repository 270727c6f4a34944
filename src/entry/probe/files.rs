//! The Parquet files of the experiments, written column by column as Parquet itself spells types: what an experiment is
//! about is often just what a writer of tables would not write.

use std::sync::Arc;

use bytes::Bytes;
use parquet::basic::{Compression, Repetition};
use parquet::column::writer::ColumnWriter;
use parquet::data_type::{ByteArray, FixedLenByteArray};
use parquet::errors::ParquetError;
use parquet::file::properties::WriterProperties;
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::parser::parse_message_type;
use parquet::schema::types::Type;

use super::experiment::Trouble;

/// The values of one column, each with its definition level: 0 where an OPTIONAL column is null. REQUIRED columns have
/// no levels.
pub(super) enum Column<'a> {
    I32(&'a [i32], Levels<'a>),
    I64(&'a [i64], Levels<'a>),
    Bytes(&'a [&'a [u8]], Levels<'a>),
    Fixed(&'a [&'a [u8]], Levels<'a>),
}

/// Definition and repetition levels of a column.
#[derive(Clone, Copy)]
pub(super) enum Levels<'a> {
    /// It is REQUIRED.
    None,
    /// It is OPTIONAL, and nothing is null.
    Present,
    /// As they are.
    These(&'a [i16], &'a [i16]),
}

/// Writes a file with one row group, by the schema's text.
pub(super) fn parquet(message: &str, columns: &[Column<'_>]) -> Result<Bytes, Trouble> {
    let file = parse_message_type(message).and_then(|schema| write(schema, columns));
    file.map_err(|error| in_words(&error))
}

fn in_words(error: &ParquetError) -> Trouble {
    Trouble::Failed(format!("the file of the experiment: {error}"))
}

fn write(schema: Type, columns: &[Column<'_>]) -> Result<Bytes, ParquetError> {
    let properties = WriterProperties::builder().set_compression(Compression::UNCOMPRESSED);
    let mut writer = SerializedFileWriter::new(Vec::new(), Arc::new(schema), Arc::new(properties.build()))?;
    let mut group = writer.next_row_group()?;
    let mut columns = columns.iter();
    while let Some(mut column) = group.next_column()? {
        let values = columns.next().ok_or_else(|| ParquetError::General("too few columns".to_owned()))?;
        write_column(column.untyped(), values)?;
        column.close()?;
    }
    group.close()?;
    Ok(writer.into_inner()?.into())
}

fn write_column(writer: &mut ColumnWriter<'_>, column: &Column<'_>) -> Result<(), ParquetError> {
    match (writer, column) {
        (ColumnWriter::Int32ColumnWriter(writer), Column::I32(values, levels)) => levels
            .with(values.len(), |definitions, repetitions| {
                writer.write_batch(values, definitions, repetitions)
            }),
        (ColumnWriter::Int64ColumnWriter(writer), Column::I64(values, levels)) => levels
            .with(values.len(), |definitions, repetitions| {
                writer.write_batch(values, definitions, repetitions)
            }),
        (ColumnWriter::ByteArrayColumnWriter(writer), Column::Bytes(values, levels)) => {
            let values: Vec<ByteArray> = values.iter().map(|value| value.to_vec().into()).collect();
            levels.with(values.len(), |definitions, repetitions| {
                writer.write_batch(&values, definitions, repetitions)
            })
        }
        (ColumnWriter::FixedLenByteArrayColumnWriter(writer), Column::Fixed(values, levels)) => {
            let values: Vec<FixedLenByteArray> =
                values.iter().map(|value| ByteArray::from(value.to_vec()).into()).collect();
            levels.with(values.len(), |definitions, repetitions| {
                writer.write_batch(&values, definitions, repetitions)
            })
        }
        _ => return Err(ParquetError::General("a column's values are not of its type".to_owned())),
    }
    .map(|_written| ())
}

impl Levels<'_> {
    fn with<T>(&self, count: usize, write: impl FnOnce(Option<&[i16]>, Option<&[i16]>) -> T) -> T {
        match self {
            Self::None => write(None, None),
            Self::Present => write(Some(&vec![1; count]), None),
            Self::These(definitions, []) => write(Some(definitions), None),
            Self::These(definitions, repetitions) => write(Some(definitions), Some(repetitions)),
        }
    }
}

/// `a`: 1 and 2.
pub(super) fn plain() -> Result<Bytes, Trouble> {
    parquet("message m { optional int64 a; }", &[Column::I64(&[1, 2], Levels::Present)])
}

/// One column under any name, of which a schema's text could not spell each.
pub(super) fn named(name: &str) -> Result<Bytes, Trouble> {
    let column = Type::primitive_type_builder(name, parquet::basic::Type::INT64)
        .with_repetition(Repetition::OPTIONAL)
        .build();
    let schema =
        column.and_then(|column| Type::group_type_builder("m").with_fields(vec![Arc::new(column)]).build());
    let file = schema.and_then(|schema| write(schema, &[Column::I64(&[1], Levels::Present)]));
    file.map_err(|error| in_words(&error))
}

/// `ts`, REQUIRED, as DMS writes its timestamp column; and `a`.
pub(super) fn required() -> Result<Bytes, Trouble> {
    let columns = [Column::Bytes(&[b"x", b"y"], Levels::None), Column::I64(&[1, 2], Levels::Present)];
    parquet("message m { required binary ts (UTF8); optional int64 a; }", &columns)
}

/// `a` and `b`.
pub(super) fn two_columns() -> Result<Bytes, Trouble> {
    let columns = [Column::I64(&[1], Levels::Present), Column::I64(&[7], Levels::Present)];
    parquet("message m { optional int64 a; optional int64 b; }", &columns)
}

/// `a`, so many rows of it.
pub(super) fn many_rows(rows: i64) -> Result<Bytes, Trouble> {
    // Values that no encoding makes short.
    let values: Vec<i64> = (0..rows).map(|row| row.wrapping_mul(0x9E37_79B9_7F4A_7C15_u64 as i64)).collect();
    parquet("message m { optional int64 a; }", &[Column::I64(&values, Levels::Present)])
}
