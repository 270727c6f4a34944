//! `datasets`: insert, get, list, delete.

use axum::Json;
use axum::body::Body;
use axum::extract::{Path, State};
use http::StatusCode;
use serde_json::Value;

use super::{Params, Shared, page_of, read_json};
use crate::emulator::error::ApiError;
use crate::emulator::names::{DatasetKey, check_labels, parse_location};

/// What would make tables or partitions go away by themselves: nothing does that here.
const EXPIRATIONS: [&str; 2] = ["defaultTableExpirationMs", "defaultPartitionExpirationMs"];

pub(super) async fn insert(
    State(emulator): Shared,
    Path(project): Path<String>,
    body: Body,
) -> Result<Json<Value>, ApiError> {
    let resource = read_json(body).await?;
    let reference =
        |name: &str| resource.get("datasetReference").and_then(|it| it.get(name)).and_then(Value::as_str);
    let id = reference("datasetId")
        .ok_or_else(|| ApiError::invalid("Required parameter is missing: datasetId"))?;
    let key = DatasetKey::parse(reference("projectId").unwrap_or(&project), id)?;
    let location = parse_location(resource.get("location").and_then(Value::as_str).unwrap_or("US"))?;
    if let Some(name) =
        EXPIRATIONS.iter().find(|name| resource.get(**name).is_some_and(|value| !value.is_null()))
    {
        return Err(ApiError::not_implemented(format!("lets nothing expire, so it does not take {name}")));
    }
    check_resource_labels(&resource)?;
    let mut given = resource.as_object().cloned().unwrap_or_default();
    given.retain(|name, _| name != "datasetReference" && name != "location");
    let dataset = emulator.create_dataset(key, location, given).await?;
    Ok(Json(dataset.resource(&emulator.base_url)))
}

/// Checks the labels of a dataset or table as a client sends them.
pub(super) fn check_resource_labels(resource: &Value) -> Result<(), ApiError> {
    let labels = resource.get("labels").and_then(Value::as_object);
    let pairs =
        labels.into_iter().flatten().map(|(key, value)| (key.as_str(), value.as_str().unwrap_or_default()));
    check_labels(pairs)
}

pub(super) async fn get(
    State(emulator): Shared,
    Path((project, dataset)): Path<(String, String)>,
) -> Result<Json<Value>, ApiError> {
    let dataset = emulator.existing_dataset(&DatasetKey::parse(&project, &dataset)?)?;
    Ok(Json(dataset.resource(&emulator.base_url)))
}

pub(super) async fn list(
    State(emulator): Shared,
    Path(project): Path<String>,
    params: Params,
) -> Result<Json<Value>, ApiError> {
    let items: Vec<Value> =
        emulator.catalog.datasets(&project).iter().map(|dataset| dataset.list_item()).collect();
    Ok(Json(page_of("bigquery#datasetList", "datasets", &items, params.page()?)))
}

pub(super) async fn delete(
    State(emulator): Shared,
    Path((project, dataset)): Path<(String, String)>,
    params: Params,
) -> Result<StatusCode, ApiError> {
    let key = DatasetKey::parse(&project, &dataset)?;
    emulator.delete_dataset(&key, params.is_true("deleteContents")).await?;
    Ok(StatusCode::NO_CONTENT)
}
