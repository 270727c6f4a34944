//! Rows of a table, as `tabledata.list` gives them.

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::datatypes::DataType;
use serde_json::{Value, json};

use super::disk::Disk;
use super::error::ApiError;
use super::parquet_file::ParquetFile;
use super::schema::{Field, Mode, same_name};
use super::table::Table;
use super::values::{StampFormat, scalar, text};

/// Which rows, and how.
#[derive(Debug, Clone)]
pub(crate) struct RowQuery {
    pub(crate) start: u64,
    pub(crate) limit: u64,
    /// The columns to give, in the order of the table's schema.
    pub(crate) fields: Vec<Field>,
    pub(crate) stamps: StampFormat,
}

/// Reads rows, part by part, skipping what comes before them.
pub(crate) fn read_rows(disk: &Disk, table: &Table, query: &RowQuery) -> Result<Vec<Value>, ApiError> {
    let mut rows = Vec::new();
    let mut skip = query.start;
    for part in &table.parts {
        let left = query.limit - rows.len() as u64;
        if left == 0 {
            break;
        }
        if skip >= part.rows {
            skip -= part.rows;
            continue;
        }
        let loaded = table.loaded_schemas.get(part.loaded_schema).map_or(&[][..], Vec::as_slice);
        let present: Vec<Field> =
            query.fields.iter().filter_map(|field| named(loaded, &field.name)).cloned().collect();
        let file = ParquetFile::open(&disk.part_path(&table.key, &part.file)).map_err(ApiError::internal)?;
        let (offset, limit) = (to_usize(skip), to_usize(left.min(part.rows - skip)));
        for batch in file.rows(&present, offset, limit).map_err(ApiError::internal)? {
            let batch = batch.map_err(ApiError::internal)?;
            rows.extend((0..batch.num_rows()).map(|row| row_of(&batch, row, loaded, query)));
        }
        skip = 0;
    }
    Ok(rows)
}

fn to_usize(value: u64) -> usize {
    usize::try_from(value).unwrap_or(usize::MAX)
}

fn named<'a>(fields: &'a [Field], name: &str) -> Option<&'a Field> {
    fields.iter().find(|field| same_name(&field.name, name))
}

fn row_of(batch: &RecordBatch, row: usize, loaded: &[Field], query: &RowQuery) -> Value {
    let cells = query.fields.iter().map(|field| {
        let schema = batch.schema_ref().fields();
        let place = schema.iter().position(|it| same_name(it.name(), &field.name));
        let value = match (place.and_then(|place| batch.columns().get(place)), named(loaded, &field.name)) {
            (Some(array), Some(loaded)) => {
                Cell { field, loaded, stamps: query.stamps }.write(array.as_ref(), row)
            }
            _ => absent(field),
        };
        json!({ "v": value })
    });
    json!({ "f": cells.collect::<Vec<_>>() })
}

/// What a row has in a column that its file does not have.
fn absent(field: &Field) -> Value {
    if field.mode == Mode::Repeated { json!([]) } else { Value::Null }
}

/// A column of the table, and as what it was loaded.
#[derive(Clone, Copy)]
struct Cell<'a> {
    field: &'a Field,
    loaded: &'a Field,
    stamps: StampFormat,
}

impl Cell<'_> {
    fn write(self, array: &dyn Array, row: usize) -> Value {
        if self.field.mode != Mode::Repeated {
            return self.write_single(array, row);
        }
        match array.as_list_opt::<i32>() {
            Some(list) if !list.is_null(row) => self.write_items(list.value(row).as_ref()),
            _ => json!([]),
        }
    }

    fn write_items(self, items: &dyn Array) -> Value {
        (0..items.len()).map(|item| json!({ "v": self.write_single(items, item) })).collect()
    }

    fn write_single(self, array: &dyn Array, row: usize) -> Value {
        match array.data_type() {
            DataType::Struct(_) | DataType::List(_) | DataType::Map(..) if array.is_null(row) => Value::Null,
            DataType::Struct(_) => self.write_record(array, row),
            DataType::List(_) => self.write_list(array.as_list::<i32>().value(row).as_ref()),
            DataType::Map(..) => {
                let entries = array.as_map().value(row);
                self.write_wrapped(|group| group.write_items(&entries))
            }
            // Every value was read once before its part was added, so none fails here.
            _ => scalar(array, row).ok().and_then(|value| text(value, self.field.kind, self.stamps)).into(),
        }
    }

    fn write_record(self, array: &dyn Array, row: usize) -> Value {
        let record = array.as_struct();
        let cells = self.field.fields.iter().map(|field| {
            let names = record.column_names();
            let place = names.iter().position(|name| same_name(name, &field.name));
            let value = match (place, named(&self.loaded.fields, &field.name)) {
                (Some(place), Some(loaded)) => {
                    Cell { field, loaded, ..self }.write(record.column(place).as_ref(), row)
                }
                _ => absent(field),
            };
            json!({ "v": value })
        });
        json!({ "f": cells.collect::<Vec<_>>() })
    }

    /// A list that was not inferred as one: a record with one repeated record, which has one field each.
    fn write_list(self, items: &dyn Array) -> Value {
        self.write_wrapped(|group| {
            let item = |item| group.write_wrapped(|element| element.write(items, item));
            (0..items.len()).map(|place| json!({ "v": item(place) })).collect()
        })
    }

    /// A record whose only field is what `write` gives for it.
    fn write_wrapped(self, write: impl FnOnce(Self) -> Value) -> Value {
        match (self.field.fields.first(), self.loaded.fields.first()) {
            (Some(field), Some(loaded)) => json!({ "f": [{ "v": write(Cell { field, loaded, ..self }) }] }),
            _ => Value::Null,
        }
    }
}
