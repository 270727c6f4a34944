//! Parquet files from a few lines of text: a message type and rows of JSON.

use std::sync::Arc;

use parquet::basic::{Compression, Repetition, Type as PhysicalType};
use parquet::data_type::{
    BoolType, ByteArray, ByteArrayType, DataType, DoubleType, FixedLenByteArray, FixedLenByteArrayType,
    FloatType, Int32Type, Int64Type, Int96, Int96Type,
};
use parquet::file::properties::WriterProperties;
use parquet::file::writer::{SerializedFileWriter, SerializedRowGroupWriter};
use parquet::schema::parser::parse_message_type;
use serde_json::Value;

/// Writes a file with one row group. Rows need flat columns; a file without rows may have any.
///
/// Text goes into byte arrays as it is, or as bytes if it starts with `hex:`; INT96 is a list of three numbers.
pub(crate) fn file(message: &str, rows: &[Vec<Value>]) -> Vec<u8> {
    let schema = Arc::new(parse_message_type(message).expect("a message type that parses"));
    let properties = WriterProperties::builder().set_compression(Compression::SNAPPY).build();
    let mut bytes = Vec::new();
    let mut writer =
        SerializedFileWriter::new(&mut bytes, Arc::clone(&schema), Arc::new(properties)).expect("a writer");
    if !rows.is_empty() {
        let mut group = writer.next_row_group().expect("a row group");
        for (place, column) in schema.get_fields().iter().enumerate() {
            let cells: Vec<&Value> = rows.iter().map(|row| row.get(place).unwrap_or(&Value::Null)).collect();
            let optional = column.get_basic_info().repetition() == Repetition::OPTIONAL;
            write_column(&mut group, column.get_physical_type(), optional, &cells);
        }
        group.close().expect("a row group that closes");
    }
    writer.close().expect("a file that closes");
    bytes
}

fn write_column(
    group: &mut SerializedRowGroupWriter<'_, &mut Vec<u8>>,
    kind: PhysicalType,
    optional: bool,
    cells: &[&Value],
) {
    let int =
        |cell: &Value| cell.as_i64().or_else(|| cell.as_u64().map(u64::cast_signed)).expect("an integer");
    match kind {
        PhysicalType::BOOLEAN => {
            write::<BoolType>(group, optional, cells, |it| it.as_bool().expect("a boolean"))
        }
        PhysicalType::INT32 => write::<Int32Type>(group, optional, cells, |it| int(it) as i32),
        PhysicalType::INT64 => write::<Int64Type>(group, optional, cells, int),
        PhysicalType::INT96 => write::<Int96Type>(group, optional, cells, |it| {
            let word = |place: usize| u32::try_from(it[place].as_u64().expect("a word")).expect("32 bits");
            let mut value = Int96::new();
            value.set_data(word(0), word(1), word(2));
            value
        }),
        PhysicalType::FLOAT => {
            write::<FloatType>(group, optional, cells, |it| it.as_f64().expect("a number") as f32)
        }
        PhysicalType::DOUBLE => {
            write::<DoubleType>(group, optional, cells, |it| it.as_f64().expect("a number"))
        }
        PhysicalType::BYTE_ARRAY => {
            write::<ByteArrayType>(group, optional, cells, |it| ByteArray::from(bytes_of(it)))
        }
        PhysicalType::FIXED_LEN_BYTE_ARRAY => {
            write::<FixedLenByteArrayType>(group, optional, cells, |it| {
                FixedLenByteArray::from(bytes_of(it))
            });
        }
    }
}

fn bytes_of(cell: &Value) -> Vec<u8> {
    let text = cell.as_str().expect("text");
    match text.strip_prefix("hex:") {
        None => text.as_bytes().to_vec(),
        Some(hex) => hex
            .as_bytes()
            .chunks(2)
            .map(|pair| {
                u8::from_str_radix(std::str::from_utf8(pair).expect("ASCII"), 16).expect("hex digits")
            })
            .collect(),
    }
}

fn write<T: DataType>(
    group: &mut SerializedRowGroupWriter<'_, &mut Vec<u8>>,
    optional: bool,
    cells: &[&Value],
    value: impl Fn(&Value) -> T::T,
) {
    let values: Vec<T::T> = cells.iter().filter(|cell| !cell.is_null()).map(|cell| value(cell)).collect();
    let levels: Vec<i16> = cells.iter().map(|cell| i16::from(!cell.is_null())).collect();
    let mut column = group.next_column().expect("a column").expect("as many columns as the schema has");
    let levels = optional.then_some(levels.as_slice());
    column.typed::<T>().write_batch(&values, levels, None).expect("values that fit the column");
    column.close().expect("a column that closes");
}

/// A file of one INTEGER column `id`.
pub(crate) fn ids(ids: std::ops::Range<i64>) -> Vec<u8> {
    let rows: Vec<Vec<Value>> = ids.map(|id| vec![Value::from(id)]).collect();
    file("message m { optional int64 id; }", &rows)
}
