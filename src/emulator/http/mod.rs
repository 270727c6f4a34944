//! The REST API: which path does what. What is not here is answered with 501.

mod datasets;
mod jobs;
mod tables;
mod uploads;

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::{FromRequestParts, Query};
use axum::routing::{get, post};
use http::request::Parts;
use serde_json::Value;

use super::Emulator;
use super::error::ApiError;

/// The largest JSON body. A schema of 10,000 columns takes about a megabyte.
const JSON_MAX_BYTES: usize = 8 * 1024 * 1024;
/// What a list gives in one page if the client does not say.
const PAGE_DEFAULT: usize = 1_000;

/// The state that every handler has.
pub(crate) type Shared = axum::extract::State<Arc<Emulator>>;

/// All routes.
pub(crate) fn router(emulator: Arc<Emulator>) -> Router {
    let dataset = get(datasets::get).delete(datasets::delete);
    let table = get(tables::get).delete(tables::delete);
    let upload = post(uploads::post).put(uploads::put).delete(uploads::delete);
    let at = |path: &str| format!("/bigquery/v2/projects/{{project}}{path}");
    Router::new()
        .route(&at("/jobs"), post(jobs::insert).get(jobs::list))
        .route(&at("/jobs/{job}"), get(jobs::get))
        .route(&at("/jobs/{job}/cancel"), post(jobs::cancel))
        .route(&at("/queries"), post(jobs::query))
        .route(&at("/queries/{job}"), get(jobs::query))
        .route(&at("/datasets"), post(datasets::insert).get(datasets::list))
        .route(&at("/datasets/{dataset}"), dataset)
        .route(&at("/datasets/{dataset}/tables"), post(tables::insert).get(tables::list))
        .route(&at("/datasets/{dataset}/tables/{table}"), table)
        .route(&at("/datasets/{dataset}/tables/{table}/data"), get(tables::rows))
        .route("/upload/bigquery/v2/projects/{project}/jobs", upload)
        .fallback(unknown)
        .method_not_allowed_fallback(unknown)
        .with_state(emulator)
}

async fn unknown(method: http::Method, uri: http::Uri) -> ApiError {
    ApiError::not_implemented(format!("has no {method} {}", uri.path()))
}

/// What stands after the question mark.
pub(crate) struct Params(Vec<(String, String)>);

impl<S: Send + Sync> FromRequestParts<S> for Params {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let query = Query::<Vec<(String, String)>>::from_request_parts(parts, state).await;
        query
            .map(|Query(pairs)| Self(pairs))
            .map_err(|error| ApiError::invalid(format!("Invalid query: {error}")))
    }
}

impl Params {
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.all(name).next()
    }

    pub(crate) fn all<'a, 'n>(&'a self, name: &'n str) -> impl Iterator<Item = &'a str> + use<'a, 'n> {
        self.0
            .iter()
            .filter(move |(key, value)| key == name && !value.is_empty())
            .map(|(_, value)| value.as_str())
    }

    pub(crate) fn number(&self, name: &str) -> Result<Option<u64>, ApiError> {
        let parse = |text: &str| {
            text.parse().map_err(|_| ApiError::invalid(format!("Invalid value for {name}: {text}")))
        };
        self.get(name).map(parse).transpose()
    }

    /// Python's client writes `True`.
    pub(crate) fn is_true(&self, name: &str) -> bool {
        self.get(name).is_some_and(|value| value.eq_ignore_ascii_case("true"))
    }

    /// Where a page starts and how long it is at most, for lists whose page token is the place of the next item.
    pub(crate) fn page(&self) -> Result<(usize, usize), ApiError> {
        let start = self.number("pageToken")?.unwrap_or(0);
        let limit = self.number("maxResults")?.filter(|limit| *limit > 0);
        let start = usize::try_from(start).unwrap_or(usize::MAX);
        Ok((start, limit.map_or(PAGE_DEFAULT, |limit| usize::try_from(limit).unwrap_or(usize::MAX))))
    }
}

/// Cuts one page out of a list, under the list's own name, with the token of the next.
pub(crate) fn page_of(kind: &str, name: &str, items: &[Value], (start, limit): (usize, usize)) -> Value {
    let page: Vec<&Value> = items.iter().skip(start).take(limit).collect();
    let next = start.saturating_add(page.len());
    let mut list = serde_json::json!({ "kind": kind, "etag": format!("{:x}", items.len()) });
    if !page.is_empty() {
        list[name] = serde_json::json!(page);
    }
    if next < items.len() {
        list["nextPageToken"] = serde_json::json!(next.to_string());
    }
    list
}

/// Reads a JSON body.
pub(crate) async fn read_json(body: Body) -> Result<Value, ApiError> {
    let bytes = axum::body::to_bytes(body, JSON_MAX_BYTES)
        .await
        .map_err(|error| ApiError::invalid(format!("The request's body could not be read: {error}")))?;
    parse_json(&bytes)
}

pub(crate) fn parse_json(bytes: &[u8]) -> Result<Value, ApiError> {
    serde_json::from_slice(bytes).map_err(|error| {
        let code = http::StatusCode::BAD_REQUEST;
        ApiError::new(code, "parseError", format!("Invalid JSON payload received. {error}"))
    })
}
