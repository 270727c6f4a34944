//! `tables`: insert, get, list, delete; and `tabledata.list`.

use std::sync::Arc;

use axum::Json;
use axum::body::Body;
use axum::extract::{Path, State};
use http::StatusCode;
use serde_json::{Value, json};

use super::datasets::check_resource_labels;
use super::{Params, Shared, page_of, read_json};
use crate::emulator::error::ApiError;
use crate::emulator::load::clustering_fields;
use crate::emulator::names::{DatasetKey, TableKey};
use crate::emulator::plan::check_layout;
use crate::emulator::rows::{RowQuery, read_rows};
use crate::emulator::run::blocking;
use crate::emulator::schema::{Field, parse_schema, same_name};
use crate::emulator::table::{Layout, Table};
use crate::emulator::values::StampFormat;

/// `tabledata.list` gives at most about 10 MB in a page, and fewer rows than this.
const PAGE_MAX_BYTES: u64 = 10_000_000;
const PAGE_MAX_ROWS: u64 = 50_000;

/// What of a table resource is kept as it is given. Nothing expires here: the time is told, and nobody acts on it.
const KEPT_AS_GIVEN: [&str; 4] = ["labels", "description", "friendlyName", "expirationTime"];
/// What is read, or is of no consequence in a request.
const READ: [&str; 8] = [
    "kind",
    "etag",
    "tableReference",
    "schema",
    "timePartitioning",
    "clustering",
    "encryptionConfiguration",
    "type",
];

pub(super) async fn insert(
    State(emulator): Shared,
    Path((project, dataset)): Path<(String, String)>,
    body: Body,
) -> Result<Json<Value>, ApiError> {
    let resource = read_json(body).await?;
    let table = parse_table(&project, &dataset, &resource)?;
    let table = emulator.create_table(table).await?;
    Ok(Json(table.resource(&emulator.base_url)))
}

fn parse_table(project: &str, dataset: &str, resource: &Value) -> Result<Table, ApiError> {
    let id = resource.get("tableReference").and_then(|it| it.get("tableId")).and_then(Value::as_str);
    let id = id.ok_or_else(|| ApiError::invalid("Required parameter is missing: tableId"))?;
    let known = |name: &str| READ.contains(&name) || KEPT_AS_GIVEN.contains(&name);
    let fields = resource.as_object().cloned().unwrap_or_default();
    if let Some((name, _)) = fields.iter().find(|(name, value)| !value.is_null() && !known(name)) {
        return Err(ApiError::not_implemented(format!("makes plain tables only, without {name}")));
    }
    check_resource_labels(resource)?;
    let schema = resource.get("schema").map(parse_schema).transpose()?.unwrap_or_default();
    let time_partitioning =
        resource.get("timePartitioning").filter(|it| !it.is_null()).cloned().map(serde_json::from_value);
    let time_partitioning = time_partitioning
        .transpose()
        .map_err(|source| ApiError::invalid(format!("Invalid timePartitioning: {source}")))?;
    let clustering =
        resource.get("clustering").and_then(|it| it.get("fields")).cloned().map(serde_json::from_value);
    let clustering = clustering
        .transpose()
        .map_err(|source| ApiError::invalid(format!("Invalid clustering: {source}")))?;
    let layout = Layout { time_partitioning, clustering: clustering_fields(clustering)? };
    check_layout(&layout, &schema).map_err(|error| ApiError::invalid(error.message))?;
    let kms_key =
        resource.get("encryptionConfiguration").and_then(|it| it.get("kmsKeyName")).and_then(Value::as_str);
    Ok(Table {
        key: TableKey::parse(project, dataset, id)?,
        location: String::new(),
        created_ms: 0,
        modified_ms: 0,
        schema,
        layout,
        kms_key: kms_key.map(str::to_owned),
        given: fields.into_iter().filter(|(name, _)| KEPT_AS_GIVEN.contains(&name.as_str())).collect(),
        loaded_schemas: Vec::new(),
        parts: Vec::new(),
    })
}

pub(super) async fn get(
    State(emulator): Shared,
    Path((project, dataset, table)): Path<(String, String, String)>,
) -> Result<Json<Value>, ApiError> {
    let table = emulator.existing_table(&TableKey::parse(&project, &dataset, &table)?)?;
    Ok(Json(table.resource(&emulator.base_url)))
}

pub(super) async fn list(
    State(emulator): Shared,
    Path((project, dataset)): Path<(String, String)>,
    params: Params,
) -> Result<Json<Value>, ApiError> {
    let key = DatasetKey::parse(&project, &dataset)?;
    emulator.existing_dataset(&key)?;
    let items: Vec<Value> = emulator.catalog.tables(&key).iter().map(|table| table.list_item()).collect();
    let mut page = page_of("bigquery#tableList", "tables", &items, params.page()?);
    page["totalItems"] = json!(items.len());
    Ok(Json(page))
}

pub(super) async fn delete(
    State(emulator): Shared,
    Path((project, dataset, table)): Path<(String, String, String)>,
) -> Result<StatusCode, ApiError> {
    emulator.delete_table(&TableKey::parse(&project, &dataset, &table)?).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// `tabledata.list`.
pub(super) async fn rows(
    State(emulator): Shared,
    Path((project, dataset, table)): Path<(String, String, String)>,
    params: Params,
) -> Result<Json<Value>, ApiError> {
    let table = emulator.existing_table(&TableKey::parse(&project, &dataset, &table)?)?;
    let query = row_query(&table, &params)?;
    let (start, total) = (query.start, table.rows());
    let mut answer = json!({
        "kind": "bigquery#tableDataList",
        "etag": table.etag(),
        "totalRows": total.to_string(),
    });
    let reader = Arc::clone(&emulator);
    let rows = blocking(move || Ok(read_rows(&reader.disk, &table, &query))).await??;
    let next = start + rows.len() as u64;
    if next < total && !rows.is_empty() {
        answer["pageToken"] = json!(next.to_string());
    }
    if !rows.is_empty() {
        answer["rows"] = Value::Array(rows);
    }
    Ok(Json(answer))
}

fn row_query(table: &Table, params: &Params) -> Result<RowQuery, ApiError> {
    let start = match params.number("pageToken")? {
        Some(next) => next,
        None => params.number("startIndex")?.unwrap_or(0),
    };
    let average_bytes = table.parts.iter().map(|part| part.bytes).sum::<u64>() / table.rows().max(1);
    let fit = (PAGE_MAX_BYTES / average_bytes.max(1)).clamp(1, PAGE_MAX_ROWS);
    let limit = params.number("maxResults")?.map_or(fit, |wanted| wanted.min(fit));
    Ok(RowQuery { start, limit, fields: selected(table, params)?, stamps: stamp_format(params)? })
}

fn selected(table: &Table, params: &Params) -> Result<Vec<Field>, ApiError> {
    let Some(names) = params.get("selectedFields") else { return Ok(table.schema.clone()) };
    let names: Vec<&str> = names.split(',').map(str::trim).collect();
    let unknown = names.iter().find(|name| !table.schema.iter().any(|field| same_name(&field.name, name)));
    if let Some(name) = unknown {
        let hint = if name.contains('.') { " (fields of records cannot be selected here)" } else { "" };
        return Err(ApiError::invalid(format!(
            "Invalid selectedFields: {name} is no column of the table{hint}."
        )));
    }
    let wanted = |field: &&Field| names.iter().any(|name| same_name(&field.name, name));
    Ok(table.schema.iter().filter(wanted).cloned().collect())
}

fn stamp_format(params: &Params) -> Result<StampFormat, ApiError> {
    match params.get("formatOptions.timestampOutputFormat") {
        None | Some("TIMESTAMP_OUTPUT_FORMAT_UNSPECIFIED")
            if params.is_true("formatOptions.useInt64Timestamp") =>
        {
            Ok(StampFormat::IntMicros)
        }
        Some("INT64") => Ok(StampFormat::IntMicros),
        None | Some("FLOAT64" | "TIMESTAMP_OUTPUT_FORMAT_UNSPECIFIED") => Ok(StampFormat::FloatSeconds),
        Some(other) => Err(ApiError::not_implemented(format!("knows no timestampOutputFormat {other}"))),
    }
}
