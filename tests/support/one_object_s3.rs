//! An S3 with one object that can be replaced, which notes what it is asked and can be told to misbehave.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, Response, StatusCode};
use bytes::Bytes;
use futures_util::{StreamExt, stream};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

/// Bodies come in pieces of this size.
const PIECE_BYTES: usize = 64 * 1024;

/// A GET of a range from somewhere in the object to its end or to somewhere before it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Read {
    pub(crate) start: u64,
    pub(crate) if_match: Option<String>,
    pub(crate) status: u16,
}

/// How the reads go.
#[derive(Debug, Clone, Default)]
pub(crate) struct Manner {
    /// The body of the first read ends with a broken connection after so many bytes.
    pub(crate) breaks_after_bytes: Option<usize>,
    /// The pause before each piece.
    pub(crate) drips: Duration,
    /// Once the first read is being answered, another object takes the place of this one.
    pub(crate) is_replaced: bool,
}

struct Content {
    bytes: Bytes,
    etag: String,
    manner: Manner,
    reads: Vec<Read>,
}

/// The server. It ends when it is dropped.
pub(crate) struct OneObjectS3 {
    url: String,
    content: Arc<Mutex<Content>>,
    serving: JoinHandle<()>,
}

impl OneObjectS3 {
    pub(crate) async fn start(bytes: Bytes, etag: &str, manner: Manner) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        let content = Content { bytes, etag: format!("\"{etag}\""), manner, reads: Vec::new() };
        let content = Arc::new(Mutex::new(content));
        let router = Router::new().fallback(answer).with_state(Arc::clone(&content));
        let serving = tokio::spawn(async move {
            let _ended = axum::serve(listener, router).await;
        });
        Self { url, content, serving }
    }

    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// The reads for uploading; not those of the footer, which ask for the object's end.
    pub(crate) fn reads(&self) -> Vec<Read> {
        lock(&self.content).reads.clone()
    }
}

impl Drop for OneObjectS3 {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

fn lock(content: &Mutex<Content>) -> MutexGuard<'_, Content> {
    content.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn answer(State(content): State<Arc<Mutex<Content>>>, headers: HeaderMap) -> Response<Body> {
    let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let if_match = header("if-match").map(str::to_owned);
    let mut content = lock(&content);
    let total = content.bytes.len();
    let range =
        header("range").and_then(|range| range.strip_prefix("bytes=")).expect("every read has a range");
    let (first, last) = range.split_once('-').expect("a range");
    let is_footer = first.is_empty();
    let number = |text: &str| text.parse::<usize>().expect("a number");
    let (start, end) = match (first, last) {
        ("", last) => (total.saturating_sub(number(last)), total),
        (first, "") => (number(first), total),
        (first, last) => (number(first), (number(last) + 1).min(total)),
    };
    let replaced = if_match.as_ref().is_some_and(|wanted| *wanted != content.etag);
    let status = if replaced { StatusCode::PRECONDITION_FAILED } else { StatusCode::PARTIAL_CONTENT };
    let mut manner = Manner { breaks_after_bytes: None, ..content.manner.clone() };
    if !is_footer {
        if content.reads.is_empty() {
            manner.breaks_after_bytes = content.manner.breaks_after_bytes;
        }
        content.reads.push(Read { start: start as u64, if_match, status: status.as_u16() });
    }
    let response = Response::builder().status(status).header("etag", &content.etag);
    if replaced {
        let body = "<Error><Code>PreconditionFailed</Code><Message>At least one of the pre-conditions you specified did not hold</Message></Error>";
        return response.body(Body::from(body)).expect("a response");
    }
    let bytes = content.bytes.slice(start..end);
    if !is_footer && manner.is_replaced {
        content.etag = "\"another\"".to_owned();
    }
    response
        .header("content-length", bytes.len())
        .header("content-range", format!("bytes {start}-{}/{total}", end - 1))
        .body(body(bytes, &manner))
        .expect("a response")
}

fn body(bytes: Bytes, manner: &Manner) -> Body {
    let whole = manner.breaks_after_bytes.is_none();
    let kept = bytes.slice(..manner.breaks_after_bytes.unwrap_or(bytes.len()).min(bytes.len()));
    let pieces: Vec<Bytes> = kept.chunks(PIECE_BYTES).map(|piece| kept.slice_ref(piece)).collect();
    let end = (!whole).then(|| Err(std::io::Error::other("broken by order of a test")));
    let pause = manner.drips;
    let pieces = stream::iter(pieces.into_iter().map(Ok).chain(end)).then(move |piece| async move {
        tokio::time::sleep(pause).await;
        piece
    });
    Body::from_stream(pieces)
}
