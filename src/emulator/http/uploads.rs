//! The media uploads of `jobs.insert`: multipart, and resumable sessions.

use std::sync::Arc;

use axum::Json;
use axum::body::{Body, BodyDataStream};
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use futures_util::StreamExt;
use http::{HeaderMap, HeaderName, StatusCode, header};

use super::{JSON_MAX_BYTES, Params, Shared, parse_json, read_json};
use crate::emulator::Emulator;
use crate::emulator::error::ApiError;
use crate::emulator::multipart::Multipart;
use crate::emulator::uploads::{ContentRange, PutAnswer, write_part};

const X_UPLOAD_CONTENT_LENGTH: HeaderName = HeaderName::from_static("x-upload-content-length");
const X_GUPLOADER_UPLOADID: HeaderName = HeaderName::from_static("x-guploader-uploadid");

pub(super) async fn post(
    State(emulator): Shared,
    Path(project): Path<String>,
    params: Params,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, ApiError> {
    match params.get("uploadType") {
        Some("multipart") => multipart(&emulator, &project, &headers, body).await,
        Some("resumable") if params.get("upload_id").is_some() => {
            put(State(emulator), params, headers, body).await
        }
        Some("resumable") => open(&emulator, &project, &headers, body).await,
        other => Err(ApiError::not_implemented(format!(
            "takes uploads with uploadType=multipart or resumable, not {}",
            other.unwrap_or("without one"),
        ))),
    }
}

async fn multipart(
    emulator: &Arc<Emulator>,
    project: &str,
    headers: &HeaderMap,
    body: Body,
) -> Result<Response, ApiError> {
    let content_type = text(headers, &header::CONTENT_TYPE).unwrap_or_default();
    let mut multipart = Multipart::new(body.into_data_stream(), content_type)?;
    let answer = multipart_job(emulator, project, &mut multipart).await;
    drain(multipart.into_body()).await;
    answer
}

async fn multipart_job(
    emulator: &Arc<Emulator>,
    project: &str,
    multipart: &mut Multipart<BodyDataStream>,
) -> Result<Response, ApiError> {
    let missing = || ApiError::invalid("A multipart upload needs two parts: the job, and the file.");
    multipart.next_part().await?.ok_or_else(missing)?;
    let resource = parse_json(&multipart.small_part(JSON_MAX_BYTES).await?)?;
    let request = emulator.parse_job(project, &resource)?;
    emulator.jobs.check_free(&request.key)?;
    multipart.next_part().await?.ok_or_else(missing)?;

    let upload = emulator.new_upload();
    let length_bytes = write_part(upload.path(), multipart).await?;
    if multipart.next_part().await?.is_some() {
        return Err(ApiError::invalid("A multipart upload has two parts, but there is a third."));
    }
    // In a task of its own: a client that goes away drops this future, and must not leave a job without its bytes.
    let maker = Arc::clone(emulator);
    let made = tokio::spawn(async move {
        let job = maker.create_job(request, upload.id(), length_bytes).await?;
        upload.keep();
        Ok::<_, ApiError>(job)
    });
    let job = made.await.map_err(|panic| ApiError::internal(panic.to_string()))??;
    Ok(Json(job.resource(&emulator.base_url)).into_response())
}

async fn open(
    emulator: &Arc<Emulator>,
    project: &str,
    headers: &HeaderMap,
    body: Body,
) -> Result<Response, ApiError> {
    let request = emulator.parse_job(project, &read_json(body).await?)?;
    let announced = text(headers, &X_UPLOAD_CONTENT_LENGTH).map(str::parse).transpose();
    let announced = announced.map_err(|_| ApiError::invalid("Invalid X-Upload-Content-Length."))?;
    let id = emulator.open_session(request, announced).await?;
    let base_url = text(headers, &header::HOST)
        .map_or_else(|| emulator.base_url.clone(), |host| format!("http://{host}"));
    let path = format!("/upload/bigquery/v2/projects/{project}/jobs?uploadType=resumable&upload_id={id}");
    let headers = [(header::LOCATION, format!("{base_url}{path}")), (X_GUPLOADER_UPLOADID, id)];
    Ok((StatusCode::OK, headers).into_response())
}

pub(super) async fn put(
    State(emulator): Shared,
    params: Params,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, ApiError> {
    let mut body = body.into_data_stream();
    let answer = put_chunk(&emulator, &params, &headers, &mut body).await;
    drain(body).await;
    match answer? {
        PutAnswer::Done(job) => Ok(Json(job.resource(&emulator.base_url)).into_response()),
        PutAnswer::GoOn { received_bytes: 0 } => Ok(StatusCode::PERMANENT_REDIRECT.into_response()),
        PutAnswer::GoOn { received_bytes } => {
            let range = [(header::RANGE, format!("bytes=0-{}", received_bytes - 1))];
            Ok((StatusCode::PERMANENT_REDIRECT, range).into_response())
        }
    }
}

async fn put_chunk(
    emulator: &Arc<Emulator>,
    params: &Params,
    headers: &HeaderMap,
    body: &mut BodyDataStream,
) -> Result<PutAnswer, ApiError> {
    let id = upload_id(params)?;
    let range = ContentRange::parse(text(headers, &header::CONTENT_RANGE))?;
    let length = text(headers, &header::CONTENT_LENGTH).and_then(|length| length.parse().ok());
    emulator.put_session(id, range, length, body).await
}

pub(super) async fn delete(State(emulator): Shared, params: Params) -> Result<StatusCode, ApiError> {
    emulator.cancel_session(upload_id(&params)?).await?;
    Ok(StatusCode::NO_CONTENT)
}

fn upload_id(params: &Params) -> Result<&str, ApiError> {
    params.get("upload_id").ok_or_else(|| ApiError::invalid("Required parameter is missing: upload_id"))
}

fn text<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}

/// Reads what is left of a body. A client that is still sending would see a reset instead of the answer.
async fn drain(mut body: BodyDataStream) {
    while let Some(Ok(_)) = body.next().await {}
}
