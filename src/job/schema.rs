//! The schema that a load job carries where BigQuery's own reading of the file would fail or lie.
//!
//! BigQuery infers the schema of a Parquet file, and mostly that is right: it follows the file, adds new
//! columns and creates the table. It is not where a mapping names a type, where the table has another type
//! or mode that the file's values can be read into, where a REQUIRED column is new to the table, and for
//! times of the day. Then the job lists all columns of the file, in the file's order, and nothing else.

use std::collections::{BTreeMap, HashMap};

use serde::Serialize;

use super::{ColumnMode, TableColumn, TableInfo};
use crate::object::footer::{Column, ColumnKind, Footer, GroupShape, Repetition};

/// A column of an explicit schema, as BigQuery's `TableFieldSchema`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SchemaField {
    /// The name, as the file spells it.
    pub name: String,
    /// The type in its API spelling.
    #[serde(rename = "type")]
    pub kind: String,
    /// `NULLABLE`, `REQUIRED` or `REPEATED`.
    pub mode: &'static str,
    /// The fields of a record.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub fields: Vec<SchemaField>,
}

/// Why no explicit schema can be made although one is needed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SchemaError {
    /// The file has a list or a map, which this program does not describe to BigQuery.
    #[error(
        "the load needs an explicit schema, and column {column:?} is a list or a map, which cannot be given one"
    )]
    Nested {
        /// The column.
        column: String,
    },
}

impl SchemaError {
    /// The error's stable code.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Nested { .. } => "job.nested_schema",
        }
    }

    /// What a person should do.
    pub fn remedy(&self) -> &'static str {
        match self {
            Self::Nested { .. } => {
                "Remove what asks for an explicit schema: the mapping's \"columns\" for this table, or a type \
                 in the destination table that differs from the file's. DMS itself writes no lists or maps."
            }
        }
    }
}

/// What BigQuery makes of a column by itself. Decimals follow the job's `decimalTargetTypes` (`NUMERIC`,
/// `BIGNUMERIC`, `STRING`: the first that holds the precision and scale), enums its `enumAsString`.
///
/// Source: "Parquet conversions" of BigQuery's page on loading Parquet. Times of the day are not in its
/// table, so they get an explicit schema; so are kinds that [`footer`](crate::object::footer) refuses, which
/// stand here as the bytes they are stored in.
pub fn inferred_type(kind: &ColumnKind) -> &'static str {
    match kind {
        ColumnKind::Boolean => "BOOLEAN",
        // A column of pyarrow's type `null` lands as INTEGER (broadinstitute/depmap_omics#152).
        ColumnKind::Integer { .. } | ColumnKind::Null => "INTEGER",
        ColumnKind::Float | ColumnKind::Double => "FLOAT",
        ColumnKind::Decimal { precision, scale, .. } => decimal_type(*precision, *scale),
        ColumnKind::Date => "DATE",
        ColumnKind::Time { .. } => "TIME",
        ColumnKind::Timestamp { .. } | ColumnKind::Int96 => "TIMESTAMP",
        ColumnKind::Text | ColumnKind::Enum => "STRING",
        ColumnKind::Json
        | ColumnKind::Bson
        | ColumnKind::Uuid
        | ColumnKind::Float16
        | ColumnKind::Interval
        | ColumnKind::Bytes
        | ColumnKind::Unknown { .. } => "BYTES",
        ColumnKind::Group { .. } => "RECORD",
    }
}

/// NUMERIC has 29 digits before the point and 9 after it, BIGNUMERIC 38 and 38 (BigQuery's page on data
/// types, "Decimal types").
fn decimal_type(precision: u32, scale: u32) -> &'static str {
    let whole_digits = precision.saturating_sub(scale);
    match (whole_digits, scale) {
        (0..=29, 0..=9) => "NUMERIC",
        (0..=38, 0..=38) => "BIGNUMERIC",
        _ => "STRING",
    }
}

/// The types, besides the inferred one, that BigQuery reads a kind into when an explicit schema asks for it.
/// Everything that is not listed is left to inference, and so to BigQuery's refusal: it is better told
/// "has changed type" than misread.
///
/// | In the file | Types | Source |
/// |---|---|---|
/// | DECIMAL | NUMERIC, BIGNUMERIC, STRING | `decimalTargetTypes` in the REST reference of load jobs; that an explicit schema chooses among them, too: not documented, unverified. Never one with too few places after the point, for whether BigQuery would round is not documented; too few before it is an error |
/// | TIMESTAMP | DATETIME | googleapis/python-bigquery#985 and its system test of dataframes with a schema |
/// | TIME | TIME (inferred here, never by BigQuery) | googleapis/python-bigquery#667: loads right since August 2021 |
/// | ENUM | BYTES | `parquetOptions.enumAsString` in the REST reference; with an explicit schema: not documented, unverified |
///
/// Left out, being undocumented: INT32 and INT64 into NUMERIC or FLOAT, INT96 into DATETIME, bytes into
/// STRING, text into JSON or BYTES.
fn also_readable(kind: &ColumnKind) -> &'static [&'static str] {
    match kind {
        ColumnKind::Decimal { scale: 0..=9, .. } => &["NUMERIC", "BIGNUMERIC", "STRING"],
        ColumnKind::Decimal { scale: 10..=38, .. } => &["BIGNUMERIC", "STRING"],
        ColumnKind::Decimal { .. } => &["STRING"],
        ColumnKind::Timestamp { .. } => &["DATETIME"],
        ColumnKind::Enum => &["BYTES"],
        ColumnKind::Boolean
        | ColumnKind::Integer { .. }
        | ColumnKind::Float
        | ColumnKind::Double
        | ColumnKind::Date
        | ColumnKind::Time { .. }
        | ColumnKind::Int96
        | ColumnKind::Text
        | ColumnKind::Json
        | ColumnKind::Bson
        | ColumnKind::Uuid
        | ColumnKind::Float16
        | ColumnKind::Interval
        | ColumnKind::Bytes
        | ColumnKind::Null
        | ColumnKind::Unknown { .. }
        | ColumnKind::Group { .. } => &[],
    }
}

/// The schema that a load of the file must carry, or `None` if BigQuery's inference does.
///
/// `columns` are the mapping's types by column name; names that the file does not have are other files'
/// business. Names compare without case, as they do in BigQuery.
///
/// # Errors
/// If a schema is needed and the file has a column that this program cannot describe.
pub fn explicit_schema(
    footer: &Footer,
    table: Option<&TableInfo>,
    columns: &BTreeMap<String, String>,
) -> Result<Option<Vec<SchemaField>>, SchemaError> {
    let mapped = by_name(columns.iter());
    let existing = table.map(|table| by_name(table.columns.iter().map(|column| (&column.name, column))));

    let choices: Vec<Choice<'_>> = footer
        .columns
        .iter()
        .map(|column| {
            let name = column.name.to_lowercase();
            let in_table = existing.as_ref().map(|existing| existing.get(&name).copied());
            Choice::of(column, mapped.get(&name).map(|kind| kind.as_str()), in_table)
        })
        .collect();

    let is_mapped = choices.iter().any(|choice| choice.reason == Reason::Mapped);
    let is_hopeless = choices.iter().any(|choice| choice.reason == Reason::Unreadable);
    let is_needed = choices.iter().any(|choice| choice.reason == Reason::Differs);
    if is_mapped || (is_needed && !is_hopeless) {
        return choices.into_iter().map(Choice::into_field).collect::<Result<_, _>>().map(Some);
    }
    Ok(None)
}

fn by_name<'a, T>(named: impl Iterator<Item = (&'a String, T)>) -> HashMap<String, T> {
    named.map(|(name, value)| (name.to_lowercase(), value)).collect()
}

/// What a column is to be in an explicit schema, and whether it asks for one.
struct Choice<'a> {
    column: &'a Column,
    kind: String,
    mode: ColumnMode,
    reason: Reason,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Reason {
    /// Inference gives the same.
    Inferred,
    /// The mapping names the type.
    Mapped,
    /// Inference gives something else, and would fail or lie.
    Differs,
    /// The table's type or mode is one that the file cannot be read into.
    Unreadable,
}

impl<'a> Choice<'a> {
    /// `in_table` is `None` without a table, `Some(None)` for a column that is new to it.
    fn of(column: &'a Column, mapped: Option<&str>, in_table: Option<Option<&TableColumn>>) -> Self {
        let inferred = inferred_type(&column.kind);
        let (mode, mode_reason) = choose_mode(column.repetition, in_table);
        let table_type = in_table.flatten().map(|column| canonical_type(&column.kind));
        let (kind, kind_reason) = match (mapped.map(canonical_type), table_type) {
            (Some(mapped), _) => (mapped, Reason::Mapped),
            (None, Some(table)) if table == inferred => (table, Reason::Inferred),
            (None, Some(table)) if also_readable(&column.kind).contains(&table.as_str()) => {
                (table, Reason::Differs)
            }
            (None, Some(_)) => (inferred.to_owned(), Reason::Unreadable),
            (None, None) => (inferred.to_owned(), Reason::Inferred),
        };
        let reason = match (kind_reason, mode_reason, &column.kind) {
            (Reason::Mapped, _, _) => Reason::Mapped,
            (Reason::Unreadable, _, _) | (_, Reason::Unreadable, _) => Reason::Unreadable,
            (Reason::Differs, _, _) | (_, Reason::Differs, _) | (_, _, ColumnKind::Time { .. }) => {
                Reason::Differs
            }
            (Reason::Inferred, _, _) => Reason::Inferred,
        };
        Self { column, kind, mode, reason }
    }

    fn into_field(self) -> Result<SchemaField, SchemaError> {
        Ok(SchemaField {
            name: self.column.name.clone(),
            kind: self.kind,
            mode: mode_name(self.mode),
            fields: record_fields(self.column)?,
        })
    }
}

/// A column's mode follows the table, which REQUIRED can be given over an OPTIONAL column of the file
/// (googleapis/python-bigquery#1981). The other way round was refused in 2019
/// (googleapis/java-bigquery#13), so it is asked for only where inference fails, too: for a column that is
/// NULLABLE in the table, or new to it, since columns can only be added as NULLABLE.
fn choose_mode(file: Repetition, in_table: Option<Option<&TableColumn>>) -> (ColumnMode, Reason) {
    let inferred = match file {
        Repetition::Required => ColumnMode::Required,
        Repetition::Optional => ColumnMode::Nullable,
        Repetition::Repeated => ColumnMode::Repeated,
    };
    let wanted = match in_table {
        None => inferred,
        Some(None) if inferred == ColumnMode::Required => ColumnMode::Nullable,
        Some(None) => inferred,
        Some(Some(column)) => column.mode,
    };
    match (wanted, inferred) {
        (wanted, inferred) if wanted == inferred => (wanted, Reason::Inferred),
        (ColumnMode::Repeated, _) | (_, ColumnMode::Repeated) => (inferred, Reason::Unreadable),
        (wanted, _) => (wanted, Reason::Differs),
    }
}

fn record_fields(column: &Column) -> Result<Vec<SchemaField>, SchemaError> {
    let ColumnKind::Group { shape, columns } = &column.kind else {
        return Ok(Vec::new());
    };
    match shape {
        GroupShape::Record => columns.iter().map(inferred_field).collect(),
        GroupShape::List | GroupShape::Map => Err(SchemaError::Nested { column: column.name.clone() }),
    }
}

fn inferred_field(column: &Column) -> Result<SchemaField, SchemaError> {
    Ok(SchemaField {
        name: column.name.clone(),
        kind: inferred_type(&column.kind).to_owned(),
        mode: mode_name(choose_mode(column.repetition, None).0),
        fields: record_fields(column)?,
    })
}

fn mode_name(mode: ColumnMode) -> &'static str {
    match mode {
        ColumnMode::Nullable => "NULLABLE",
        ColumnMode::Required => "REQUIRED",
        ColumnMode::Repeated => "REPEATED",
    }
}

/// The API's spelling of a type, which SQL, and so a mapping or a table, may spell otherwise.
fn canonical_type(kind: &str) -> String {
    let upper = kind.to_uppercase();
    match upper.as_str() {
        "INT64" | "INT" | "SMALLINT" | "BIGINT" | "TINYINT" | "BYTEINT" => "INTEGER".to_owned(),
        "FLOAT64" => "FLOAT".to_owned(),
        "BOOL" => "BOOLEAN".to_owned(),
        "DECIMAL" => "NUMERIC".to_owned(),
        "BIGDECIMAL" => "BIGNUMERIC".to_owned(),
        "STRUCT" => "RECORD".to_owned(),
        _ => upper,
    }
}
