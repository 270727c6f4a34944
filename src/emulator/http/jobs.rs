//! `jobs`: insert, get, list, cancel; and queries, which are refused.

use axum::Json;
use axum::body::Body;
use axum::extract::{Path, State};
use serde_json::{Value, json};

use super::{PAGE_DEFAULT, Params, Shared, read_json};
use crate::emulator::error::ApiError;
use crate::emulator::jobs::Job;
use crate::emulator::names::JobKey;

/// `jobs.insert` without an upload: every job that could be asked for so is one that is not done here.
pub(super) async fn insert(
    State(emulator): Shared,
    Path(project): Path<String>,
    body: Body,
) -> Result<Json<Value>, ApiError> {
    let resource = read_json(body).await?;
    emulator.parse_job(&project, &resource)?;
    let hint = "loads uploaded files only: send the job and the file to POST /upload/bigquery/v2/projects/{project}/jobs";
    Err(ApiError::not_implemented(hint))
}

/// `jobs.query` and `jobs.getQueryResults`.
pub(super) async fn query() -> ApiError {
    ApiError::not_implemented(
        "runs no SQL: read rows with tabledata.list, or the Parquet files in its folder with any engine",
    )
}

pub(super) async fn get(
    State(emulator): Shared,
    Path((project, job)): Path<(String, String)>,
    params: Params,
) -> Result<Json<Value>, ApiError> {
    let key = job_key(&project, &job, &params)?;
    let job = emulator.jobs.get(&key).ok_or_else(|| not_found(&key))?;
    Ok(Json(job.resource(&emulator.base_url)))
}

pub(super) async fn cancel(
    State(emulator): Shared,
    Path((project, job)): Path<(String, String)>,
    params: Params,
) -> Result<Json<Value>, ApiError> {
    let key = job_key(&project, &job, &params)?;
    let (job, token) =
        emulator.jobs.get(&key).zip(emulator.jobs.cancelled(&key)).ok_or_else(|| not_found(&key))?;
    // A job that is about to commit may still end well: cancelling is a wish, as in BigQuery.
    token.cancel();
    Ok(Json(json!({ "kind": "bigquery#jobCancelResponse", "job": job.resource(&emulator.base_url) })))
}

pub(super) async fn list(
    State(emulator): Shared,
    Path(project): Path<String>,
    params: Params,
) -> Result<Json<Value>, ApiError> {
    let limit = params.number("maxResults")?.filter(|limit| *limit > 0);
    let limit = limit.map_or(PAGE_DEFAULT, |limit| usize::try_from(limit).unwrap_or(usize::MAX));
    let before =
        params.number("pageToken")?.map_or(usize::MAX, |token| usize::try_from(token).unwrap_or(usize::MAX));
    let (since, until) = (params.number("minCreationTime")?, params.number("maxCreationTime")?);
    let states: Vec<String> = params.all("stateFilter").map(str::to_ascii_uppercase).collect();
    let wanted = |job: &Job| {
        job.key.project == project
            && (states.is_empty() || states.iter().any(|state| state == job.state()))
            && since.is_none_or(|since| job.created_ms >= since)
            && until.is_none_or(|until| job.created_ms <= until)
    };
    let page = emulator.jobs.newest(before, limit, wanted);
    let full = params.get("projection").is_some_and(|projection| projection.eq_ignore_ascii_case("full"));
    let items: Vec<Value> = page.iter().map(|(_, job)| job.list_item(full)).collect();
    let mut answer =
        json!({ "kind": "bigquery#jobList", "etag": format!("{:x}", items.len()), "jobs": items });
    // The next page has the jobs made before the last one of this.
    if let Some((place, _)) = page.last().filter(|(place, _)| page.len() == limit && *place > 0) {
        answer["nextPageToken"] = json!(place.to_string());
    }
    Ok(Json(answer))
}

/// Without a location, a job is looked for in the US only. (BigQuery looks in the EU, too; a client that
/// relies on that fails in every other region, so it had better fail here.)
fn job_key(project: &str, job: &str, params: &Params) -> Result<JobKey, ApiError> {
    JobKey::parse(project, params.get("location").unwrap_or("US"), job)
}

fn not_found(key: &JobKey) -> ApiError {
    ApiError::not_found(format!("Job {key}"))
}
