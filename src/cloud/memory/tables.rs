//! The tables of BigQuery in memory, and what a load does to them: all of it, or nothing.

use std::collections::BTreeMap;

use bytes::Bytes;
use serde_json::Value;

use crate::job::schema::inferred_type;
use crate::job::{ColumnMode, JobFailure, TableColumn, TableInfo};
use crate::object::footer::{self, Footer, FooterRead, Repetition};
use crate::route::TableRef;

/// A load that went well.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Loaded {
    /// The job that did it.
    pub job_id: String,
    /// The rows that it added.
    pub row_count: u64,
    /// The file.
    pub bytes: Bytes,
}

/// A table, and what was loaded into it.
#[derive(Debug, Clone)]
pub(super) struct MemoryTable {
    pub(super) info: TableInfo,
    pub(super) loaded: Vec<Loaded>,
}

impl MemoryTable {
    pub(super) fn new(info: TableInfo) -> Self {
        Self { info, loaded: Vec::new() }
    }
}

/// What a load job allows.
#[derive(Debug, Clone)]
pub(super) struct LoadRules {
    create_table: bool,
    add_columns: bool,
    relax_columns: bool,
    partitioned: bool,
    schema: Option<Vec<TableColumn>>,
}

impl LoadRules {
    /// Reads `configuration.load`.
    pub(super) fn read(load: &Value) -> Result<Self, String> {
        let word = |name: &str| load.get(name).and_then(Value::as_str);
        if let Some(other) = word("writeDisposition").filter(|word| *word != "WRITE_APPEND") {
            return Err(format!("writeDisposition {other:?} is not done here"));
        }
        let options = load.get("schemaUpdateOptions").and_then(Value::as_array);
        let allows =
            |option: &str| options.is_some_and(|options| options.iter().any(|known| known == option));
        let schema = load.pointer("/schema/fields").and_then(Value::as_array);
        Ok(Self {
            create_table: word("createDisposition") != Some("CREATE_NEVER"),
            add_columns: allows("ALLOW_FIELD_ADDITION"),
            relax_columns: allows("ALLOW_FIELD_RELAXATION"),
            partitioned: load.get("timePartitioning").is_some(),
            schema: schema.map(|fields| fields.iter().map(column).collect()).transpose()?,
        })
    }
}

fn column(field: &Value) -> Result<TableColumn, String> {
    let word = |name: &str| field.get(name).and_then(Value::as_str);
    let name = word("name").ok_or("a column of the schema has no name")?;
    let kind = word("type").ok_or("a column of the schema has no type")?;
    let mode = match word("mode") {
        None | Some("NULLABLE") => ColumnMode::Nullable,
        Some("REQUIRED") => ColumnMode::Required,
        Some("REPEATED") => ColumnMode::Repeated,
        Some(other) => return Err(format!("column {name:?} has the mode {other:?}")),
    };
    Ok(TableColumn { name: name.to_owned(), kind: kind.to_owned(), mode })
}

/// Loads a file: the number of rows, or why none is in.
pub(super) fn load(
    tables: &mut BTreeMap<TableRef, MemoryTable>,
    name: &TableRef,
    job_id: &str,
    bytes: &Bytes,
    rules: &LoadRules,
    now_ms: u64,
) -> Result<u64, JobFailure> {
    let footer = read_footer(bytes)?;
    let columns = rules.schema.clone().unwrap_or_else(|| inferred(&footer));
    let mut info = match tables.get(name) {
        Some(table) => table.info.clone(),
        None if rules.create_table => {
            TableInfo { created_ms: now_ms, columns: columns.clone(), partitioned: rules.partitioned }
        }
        None => return Err(failure("notFound", format!("Not found: Table {name}"))),
    };
    extend(&mut info, &columns, rules)?;
    let table = tables.entry(name.clone()).or_insert_with(|| MemoryTable::new(info.clone()));
    table.info = info;
    table.loaded.push(Loaded {
        job_id: job_id.to_owned(),
        row_count: footer.row_count,
        bytes: bytes.clone(),
    });
    Ok(footer.row_count)
}

fn read_footer(bytes: &Bytes) -> Result<Footer, JobFailure> {
    match footer::read(bytes, bytes.len() as u64) {
        Ok(FooterRead::Done(footer)) => Ok(footer),
        Ok(FooterRead::More { .. }) => Err(invalid("the file is shorter than its footer".to_owned())),
        Err(error) => Err(invalid(format!("Error while reading data, error message: {error}"))),
    }
}

fn inferred(footer: &Footer) -> Vec<TableColumn> {
    let columns = footer.columns.iter().map(|column| TableColumn {
        name: column.name.clone(),
        kind: inferred_type(&column.kind).to_owned(),
        mode: match column.repetition {
            Repetition::Required => ColumnMode::Required,
            Repetition::Optional => ColumnMode::Nullable,
            Repetition::Repeated => ColumnMode::Repeated,
        },
    });
    columns.collect()
}

/// Widens a table's columns for a file's, as far as the job allows. A column that the file lacks becomes null.
fn extend(info: &mut TableInfo, columns: &[TableColumn], rules: &LoadRules) -> Result<(), JobFailure> {
    for column in columns {
        let known = info.columns.iter_mut().find(|known| known.name.eq_ignore_ascii_case(&column.name));
        match known {
            None => info.columns.push(added(column, rules)?),
            Some(known) if known.kind != column.kind => {
                let change =
                    format!("Field {} has changed type from {} to {}", column.name, known.kind, column.kind);
                return Err(mismatch(&change));
            }
            Some(known) => relax(known, column, rules)?,
        }
    }
    let missing = info.columns.iter_mut().filter(|known| {
        let is_in_file = columns.iter().any(|column| column.name.eq_ignore_ascii_case(&known.name));
        known.mode == ColumnMode::Required && !is_in_file
    });
    for known in missing {
        if !rules.relax_columns {
            return Err(mismatch(&format!("Field {} is missing in new schema", known.name)));
        }
        known.mode = ColumnMode::Nullable;
    }
    Ok(())
}

fn added(column: &TableColumn, rules: &LoadRules) -> Result<TableColumn, JobFailure> {
    if !rules.add_columns {
        return Err(mismatch(&format!("Cannot add fields (field: {})", column.name)));
    }
    if column.mode == ColumnMode::Required {
        return Err(mismatch(&format!(
            "Cannot add required fields to an existing schema. (field: {})",
            column.name
        )));
    }
    Ok(column.clone())
}

fn relax(known: &mut TableColumn, column: &TableColumn, rules: &LoadRules) -> Result<(), JobFailure> {
    let change =
        || format!("Field {} has changed mode from {:?} to {:?}", column.name, known.mode, column.mode);
    match (known.mode, column.mode) {
        (before, after) if before == after => Ok(()),
        (ColumnMode::Required, ColumnMode::Nullable) if rules.relax_columns => {
            known.mode = ColumnMode::Nullable;
            Ok(())
        }
        // A file without nulls fits a column that allows them.
        (ColumnMode::Nullable, ColumnMode::Required) => Ok(()),
        _ => Err(mismatch(&change())),
    }
}

fn mismatch(change: &str) -> JobFailure {
    invalid(format!("Provided Schema does not match Table. {change}"))
}

/// A failure for good, because of the file.
pub(super) fn invalid(message: String) -> JobFailure {
    failure("invalid", message)
}

fn failure(reason: &str, message: String) -> JobFailure {
    JobFailure { reason: reason.to_owned(), message, details: Vec::new() }
}
