//! S3 over loopback, from memory: HEAD, and GET with a range and a condition.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::http::header::{ACCEPT_RANGES, CONTENT_LENGTH, CONTENT_RANGE, ETAG, IF_MATCH, RANGE};
use axum::http::{HeaderMap, Method, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures_util::stream;
use percent_encoding::percent_decode_str;

/// What is sent at once.
const CHUNK_BYTES: usize = 256 * 1024;

/// A bucket, and what became of the requests to it.
pub(crate) struct Bucket {
    objects: Mutex<BTreeMap<String, Object>>,
    /// The pause after each chunk: an upload takes a while, so that there is something to interrupt.
    pause: Duration,
    broken_off: AtomicU64,
}

#[derive(Clone)]
struct Object {
    etag: String,
    bytes: Bytes,
}

impl Bucket {
    pub(crate) fn new(pause: Duration) -> Self {
        Self { objects: Mutex::default(), pause, broken_off: AtomicU64::new(0) }
    }

    pub(crate) fn put(&self, bucket: &str, key: &str, etag: String, bytes: Bytes) {
        self.objects.lock().unwrap().insert(format!("/{bucket}/{key}"), Object { etag, bytes });
    }

    /// How many answers were given up by their reader before they were whole.
    pub(crate) fn broken_off(&self) -> u64 {
        self.broken_off.load(Ordering::Relaxed)
    }

    pub(crate) fn routes(self: &Arc<Self>) -> Router {
        Router::new().fallback(answer).with_state(Arc::clone(self))
    }
}

async fn answer(State(bucket): State<Arc<Bucket>>, method: Method, uri: Uri, headers: HeaderMap) -> Response {
    let path = percent_decode_str(uri.path()).decode_utf8_lossy().into_owned();
    let Some(object) = bucket.objects.lock().unwrap().get(&path).cloned() else {
        return refuse(StatusCode::NOT_FOUND, "NoSuchKey");
    };
    let quoted = format!("\"{}\"", object.etag);
    let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
    if text(IF_MATCH).is_some_and(|wanted| wanted != quoted) {
        return refuse(StatusCode::PRECONDITION_FAILED, "PreconditionFailed");
    }
    let size = object.bytes.len();
    let whole = (0, size);
    let (status, (start, end)) = match text(RANGE).map(|range| parse_range(range, size)) {
        None => (StatusCode::OK, whole),
        Some(Some(range)) => (StatusCode::PARTIAL_CONTENT, range),
        Some(None) => return refuse(StatusCode::RANGE_NOT_SATISFIABLE, "InvalidRange"),
    };
    let headers = [
        (ETAG, quoted),
        (ACCEPT_RANGES, "bytes".to_owned()),
        (CONTENT_LENGTH, (end - start).to_string()),
        (CONTENT_RANGE, format!("bytes {start}-{}/{size}", end.saturating_sub(1))),
    ];
    let body = match method {
        Method::HEAD => Body::empty(),
        _ => body(Reading { bucket, left: object.bytes.slice(start..end) }),
    };
    (status, headers, body).into_response()
}

fn refuse(status: StatusCode, code: &str) -> Response {
    (status, format!("<Error><Code>{code}</Code></Error>")).into_response()
}

/// Start and end of `bytes=5-9`, `bytes=5-` or `bytes=-5`.
fn parse_range(header: &str, size: usize) -> Option<(usize, usize)> {
    let (first, last) = header.strip_prefix("bytes=")?.split_once('-')?;
    let (start, end) = match (first, last) {
        ("", length) => (size.saturating_sub(length.parse().ok()?), size),
        (first, "") => (first.parse().ok()?, size),
        (first, last) => (first.parse().ok()?, (last.parse::<usize>().ok()? + 1).min(size)),
    };
    (start < end).then_some((start, end))
}

/// An answer on its way.
struct Reading {
    bucket: Arc<Bucket>,
    left: Bytes,
}

impl Drop for Reading {
    fn drop(&mut self) {
        if !self.left.is_empty() {
            self.bucket.broken_off.fetch_add(1, Ordering::Relaxed);
        }
    }
}

fn body(reading: Reading) -> Body {
    Body::from_stream(stream::unfold(reading, |mut reading| async move {
        if reading.left.is_empty() {
            return None;
        }
        let chunk = reading.left.split_to(CHUNK_BYTES.min(reading.left.len()));
        if chunk.len() == CHUNK_BYTES {
            tokio::time::sleep(reading.bucket.pause).await;
        }
        Some((Ok::<_, std::convert::Infallible>(chunk), reading))
    }))
}
