//! A table's schema, in BigQuery's words.

use std::collections::HashSet;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::{Map, Value};

use super::error::ApiError;
use super::names::check_column_name;

/// The most columns of a table, nested ones included
/// (<https://cloud.google.com/bigquery/quotas#standard_tables>).
const COLUMNS_MAX: usize = 10_000;
/// How deep records may nest (<https://cloud.google.com/bigquery/docs/nested-repeated#limitations>).
const DEPTH_MAX: usize = 15;

/// A column, or a field of a record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Field {
    pub(crate) name: String,
    #[serde(rename = "type")]
    pub(crate) kind: Kind,
    #[serde(default)]
    pub(crate) mode: Mode,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) fields: Vec<Field>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) description: Option<String>,
    /// What else a client sent: nothing that the embedded BigQuery keeps, so [`parse_schema`] refuses it.
    #[serde(flatten, skip_serializing)]
    pub(crate) rest: Map<String, Value>,
}

impl Field {
    pub(crate) fn new(name: &str, kind: Kind, mode: Mode) -> Self {
        Self { name: name.to_owned(), kind, mode, fields: Vec::new(), description: None, rest: Map::new() }
    }

    pub(crate) fn record(name: &str, mode: Mode, fields: Vec<Self>) -> Self {
        Self { fields, ..Self::new(name, Kind::Record, mode) }
    }
}

/// Whether two column names are the same to BigQuery, which knows no case.
pub(crate) fn same_name(left: &str, right: &str) -> bool {
    left == right || left.to_lowercase() == right.to_lowercase()
}

/// A type, written in the API's older spelling, as `tables.get` does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Integer,
    Float,
    Boolean,
    String,
    Bytes,
    Numeric,
    BigNumeric,
    Date,
    Time,
    DateTime,
    Timestamp,
    Json,
    Geography,
    Record,
}

impl Kind {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Integer => "INTEGER",
            Self::Float => "FLOAT",
            Self::Boolean => "BOOLEAN",
            Self::String => "STRING",
            Self::Bytes => "BYTES",
            Self::Numeric => "NUMERIC",
            Self::BigNumeric => "BIGNUMERIC",
            Self::Date => "DATE",
            Self::Time => "TIME",
            Self::DateTime => "DATETIME",
            Self::Timestamp => "TIMESTAMP",
            Self::Json => "JSON",
            Self::Geography => "GEOGRAPHY",
            Self::Record => "RECORD",
        }
    }

    fn parse(name: &str) -> Option<Self> {
        Some(match name.to_ascii_uppercase().as_str() {
            "INTEGER" | "INT64" => Self::Integer,
            "FLOAT" | "FLOAT64" => Self::Float,
            "BOOLEAN" | "BOOL" => Self::Boolean,
            "STRING" => Self::String,
            "BYTES" => Self::Bytes,
            "NUMERIC" | "DECIMAL" => Self::Numeric,
            "BIGNUMERIC" | "BIGDECIMAL" => Self::BigNumeric,
            "DATE" => Self::Date,
            "TIME" => Self::Time,
            "DATETIME" => Self::DateTime,
            "TIMESTAMP" => Self::Timestamp,
            "JSON" => Self::Json,
            "GEOGRAPHY" => Self::Geography,
            "RECORD" | "STRUCT" => Self::Record,
            _ => return None,
        })
    }
}

impl Serialize for Kind {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

impl<'de> Deserialize<'de> for Kind {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let name = String::deserialize(deserializer)?;
        Self::parse(&name).ok_or_else(|| {
            serde::de::Error::custom(format!("Invalid value for type: {name} is not a valid value"))
        })
    }
}

/// Whether a column may be null, or is a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub(crate) enum Mode {
    #[default]
    Nullable,
    Required,
    Repeated,
}

impl Mode {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Nullable => "NULLABLE",
            Self::Required => "REQUIRED",
            Self::Repeated => "REPEATED",
        }
    }
}

/// Reads `{"fields": [...]}` as a client sends it.
pub(crate) fn parse_schema(schema: &Value) -> Result<Vec<Field>, ApiError> {
    let fields = schema.get("fields").cloned().unwrap_or_else(|| Value::Array(Vec::new()));
    let mut fields: Vec<Field> = serde_json::from_value(fields)
        .map_err(|source| ApiError::invalid(format!("Invalid schema: {source}")))?;
    refuse_unkept(&mut fields)?;
    check_schema(&fields).map_err(ApiError::invalid)?;
    Ok(fields)
}

/// Attributes that would change what a column means, or what it accepts, are not quietly dropped.
fn refuse_unkept(fields: &mut [Field]) -> Result<(), ApiError> {
    for field in fields {
        field.rest.retain(|_, value| !value.is_null());
        if let Some((name, _)) = field.rest.iter().next() {
            return Err(ApiError::not_implemented(format!(
                "does not know '{name}' of column '{}'",
                field.name
            )));
        }
        refuse_unkept(&mut field.fields)?;
    }
    Ok(())
}

/// Checks all names of a schema, and its size.
pub(crate) fn check_schema(fields: &[Field]) -> Result<(), String> {
    let count = check_level(fields, 1)?;
    if count > COLUMNS_MAX {
        return Err(format!("Too many total leaf fields: {count}, max allowed field count: {COLUMNS_MAX}"));
    }
    Ok(())
}

fn check_level(fields: &[Field], depth: usize) -> Result<usize, String> {
    if depth > DEPTH_MAX {
        return Err(format!("Records are nested too deep: the limit is {DEPTH_MAX} levels."));
    }
    let mut seen = HashSet::new();
    let mut count = 0;
    for field in fields {
        check_column_name(&field.name)?;
        if !seen.insert(field.name.to_lowercase()) {
            return Err(format!(
                "Duplicate field name \"{}\": column names are case-insensitive.",
                field.name
            ));
        }
        if field.kind == Kind::Record && field.fields.is_empty() {
            return Err(format!("Field {} is type RECORD but has no schema", field.name));
        }
        count += 1 + check_level(&field.fields, depth + 1)?;
    }
    Ok(count)
}
