//! Writes Parquet as DMS does with `CompressionType: GZIP` and `EncodingType: rle-dictionary`, with the `parquet` crate: pages
//! are compressed, values stand in dictionaries, types are still given by converted types alone.

#![allow(clippy::expect_used, reason = "writing to a vector does not fail")]

use std::sync::Arc;

use parquet::basic::{Compression, ConvertedType, GzipLevel, Repetition, Type as Physical};
use parquet::data_type::{
    BoolType, ByteArray, ByteArrayType, DataType, DoubleType, FixedLenByteArray, FixedLenByteArrayType,
    FloatType, Int32Type, Int64Type,
};
use parquet::errors::Result;
use parquet::file::properties::{EnabledStatistics, WriterProperties};
use parquet::file::writer::{SerializedColumnWriter, SerializedFileWriter};
use parquet::schema::types::Type as SchemaType;

use super::table::{Cell, Column, Table, Type};

/// A file of one row group, compressed.
pub(crate) fn file(table: &Table) -> Vec<u8> {
    write(table).expect("a vector takes all")
}

fn write(table: &Table) -> Result<Vec<u8>> {
    let fields =
        table.columns.iter().map(|column| field(column).map(Arc::new)).collect::<Result<Vec<_>>>()?;
    let schema = SchemaType::group_type_builder("schema").with_fields(fields).build()?;
    let properties = WriterProperties::builder()
        .set_created_by("AWS".to_owned())
        .set_compression(Compression::GZIP(GzipLevel::default()))
        .set_statistics_enabled(EnabledStatistics::Chunk)
        .set_offset_index_disabled(true)
        .build();
    let mut writer = SerializedFileWriter::new(Vec::new(), Arc::new(schema), Arc::new(properties))?;
    let mut group = writer.next_row_group()?;
    let mut index = 0;
    while let Some(mut chunk) = group.next_column()? {
        let cells: Vec<&Cell> = table.rows.iter().map(|row| &row[index]).collect();
        write_column(&mut chunk, &table.columns[index], &cells)?;
        chunk.close()?;
        index += 1;
    }
    group.close()?;
    writer.into_inner()
}

fn write_column(chunk: &mut SerializedColumnWriter<'_>, column: &Column, cells: &[&Cell]) -> Result<usize> {
    match column.kind.physical() {
        0 => typed::<BoolType>(chunk, column, cells, |cell| *cell == Cell::Bool(true)),
        1 => typed::<Int32Type>(chunk, column, cells, |cell| whole(cell) as i32),
        2 => typed::<Int64Type>(chunk, column, cells, |cell| whole(cell) as i64),
        4 => typed::<FloatType>(chunk, column, cells, |cell| real(cell) as f32),
        5 => typed::<DoubleType>(chunk, column, cells, real),
        6 => typed::<ByteArrayType>(chunk, column, cells, |cell| match cell {
            Cell::Bytes(bytes) => ByteArray::from(bytes.clone()),
            _ => ByteArray::new(),
        }),
        _ => typed::<FixedLenByteArrayType>(chunk, column, cells, |cell| {
            FixedLenByteArray::from(column.kind.plain(cell))
        }),
    }
}

fn typed<T: DataType>(
    chunk: &mut SerializedColumnWriter<'_>,
    column: &Column,
    cells: &[&Cell],
    value: impl Fn(&Cell) -> T::T,
) -> Result<usize> {
    let present: Vec<T::T> =
        cells.iter().filter(|cell| ***cell != Cell::Null).map(|cell| value(cell)).collect();
    let levels: Vec<i16> = cells.iter().map(|cell| i16::from(**cell != Cell::Null)).collect();
    let levels = (!column.required).then_some(levels.as_slice());
    chunk.typed::<T>().write_batch(&present, levels, None)
}

fn whole(cell: &Cell) -> i128 {
    match cell {
        Cell::Int(value) => *value,
        _ => 0,
    }
}

fn real(cell: &Cell) -> f64 {
    match cell {
        Cell::Real(value) => *value,
        _ => 0.0,
    }
}

fn field(column: &Column) -> Result<SchemaType> {
    let physical = match column.kind.physical() {
        0 => Physical::BOOLEAN,
        1 => Physical::INT32,
        2 => Physical::INT64,
        4 => Physical::FLOAT,
        5 => Physical::DOUBLE,
        6 => Physical::BYTE_ARRAY,
        _ => Physical::FIXED_LEN_BYTE_ARRAY,
    };
    let (precision, scale) = match column.kind {
        Type::Decimal(precision, scale) => (precision, scale),
        _ => (-1, -1),
    };
    SchemaType::primitive_type_builder(&column.name, physical)
        .with_repetition(if column.required { Repetition::REQUIRED } else { Repetition::OPTIONAL })
        .with_converted_type(converted(column.kind))
        .with_length(column.kind.decimal_bytes().map_or(-1, |bytes| bytes as i32))
        .with_precision(precision)
        .with_scale(scale)
        .build()
}

fn converted(kind: Type) -> ConvertedType {
    match kind {
        Type::Text => ConvertedType::UTF8,
        Type::Decimal(..) => ConvertedType::DECIMAL,
        Type::Date => ConvertedType::DATE,
        Type::TimestampMillis => ConvertedType::TIMESTAMP_MILLIS,
        Type::TimestampMicros => ConvertedType::TIMESTAMP_MICROS,
        Type::UInt8 => ConvertedType::UINT_8,
        Type::UInt16 => ConvertedType::UINT_16,
        Type::UInt32 => ConvertedType::UINT_32,
        Type::UInt64 => ConvertedType::UINT_64,
        Type::Int8 => ConvertedType::INT_8,
        Type::Int16 => ConvertedType::INT_16,
        Type::Boolean | Type::Int32 | Type::Int64 | Type::Float | Type::Double | Type::Bytes => {
            ConvertedType::NONE
        }
    }
}
