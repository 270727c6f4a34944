//! How the embedded BigQuery says no: as an HTTP error, or as the error of a job.

use axum::Json;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use serde_json::json;

/// An answer that is an error, in the form that all of Google's APIs share.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{message}")]
pub(crate) struct ApiError {
    status: StatusCode,
    reason: &'static str,
    message: String,
}

impl ApiError {
    pub(crate) fn new(status: StatusCode, reason: &'static str, message: impl Into<String>) -> Self {
        Self { status, reason, message: message.into() }
    }

    /// 400: the request itself is wrong.
    pub(crate) fn invalid(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "invalid", message)
    }

    /// 404: `what` is for example `Table p:d.t`.
    pub(crate) fn not_found(what: impl std::fmt::Display) -> Self {
        Self::new(StatusCode::NOT_FOUND, "notFound", format!("Not found: {what}"))
    }

    /// 409: `what` is for example `Job p:US.id`.
    pub(crate) fn duplicate(what: impl std::fmt::Display) -> Self {
        Self::new(StatusCode::CONFLICT, "duplicate", format!("Already Exists: {what}"))
    }

    /// 501: BigQuery has this, the embedded one does not.
    pub(crate) fn not_implemented(message: impl std::fmt::Display) -> Self {
        let message = format!("The embedded BigQuery of dms2bq {message}");
        Self::new(StatusCode::NOT_IMPLEMENTED, "notImplemented", message)
    }

    /// 500: the disk failed, or a bug.
    pub(crate) fn internal(source: impl std::fmt::Display) -> Self {
        Self::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "internalError",
            format!("The embedded BigQuery failed: {source}"),
        )
    }

    pub(crate) fn status(&self) -> StatusCode {
        self.status
    }
}

impl From<std::io::Error> for ApiError {
    fn from(source: std::io::Error) -> Self {
        Self::internal(source)
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        (self.status, Json(error_body(self.status, self.reason, &self.message))).into_response()
    }
}

/// The body of an error, as Google's clients parse it.
pub(crate) fn error_body(status: StatusCode, reason: &str, message: &str) -> serde_json::Value {
    json!({
        "error": {
            "code": status.as_u16(),
            "message": message,
            "errors": [{ "message": message, "domain": "global", "reason": reason }],
            "status": canonical_name(status),
        }
    })
}

/// The name that Google gives a status beside its number.
fn canonical_name(status: StatusCode) -> &'static str {
    match status.as_u16() {
        400 => "INVALID_ARGUMENT",
        401 => "UNAUTHENTICATED",
        403 => "PERMISSION_DENIED",
        404 | 410 => "NOT_FOUND",
        409 => "ALREADY_EXISTS",
        412 => "FAILED_PRECONDITION",
        429 => "RESOURCE_EXHAUSTED",
        500 => "INTERNAL",
        501 => "UNIMPLEMENTED",
        503 => "UNAVAILABLE",
        _ => "UNKNOWN",
    }
}

/// Why a job failed: one entry of `status.errors`, and `status.errorResult` itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{reason}: {message}")]
pub(crate) struct JobError {
    /// BigQuery's word, such as `invalid`.
    pub(crate) reason: String,
    /// What is wrong, in BigQuery's words where they are known.
    pub(crate) message: String,
}

impl JobError {
    pub(crate) fn new(reason: &str, message: impl Into<String>) -> Self {
        Self { reason: reason.to_owned(), message: message.into() }
    }

    pub(crate) fn invalid(message: impl Into<String>) -> Self {
        Self::new("invalid", message)
    }

    pub(crate) fn not_found(what: impl std::fmt::Display) -> Self {
        Self::new("notFound", format!("Not found: {what}"))
    }

    /// The file's content is at fault.
    pub(crate) fn unreadable(what: impl std::fmt::Display) -> Self {
        Self::invalid(format!("Error while reading data, error message: {what}"))
    }
}

impl From<std::io::Error> for JobError {
    fn from(source: std::io::Error) -> Self {
        Self::new("internalError", format!("The embedded BigQuery failed: {source}"))
    }
}
