//! The one HTTP client: how it is made, a whole answer with a bound, and how a lost request is told.

use std::net::IpAddr;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use reqwest::header::HeaderMap;
use reqwest::{Client, Response, Url};

use super::settings::Settings;
use crate::cloud::CallError;
use crate::cloud::call::Effect;
use crate::cloud::quote::chain;

/// The longest answer that is read: a table of 10,000 columns, which is BigQuery's limit, with a description of
/// 1,024 characters each is some 12 MB of JSON.
const ANSWER_BYTES: usize = 32 * 1024 * 1024;

/// How long an unused connection is kept. Google keeps them for some minutes; a Lambda that slept wakes with
/// connections that are dead already, so few of them should be left.
const IDLE_CONNECTION: Duration = Duration::from_secs(20);

/// Makes the one HTTP client, which `gcp-bigquery-client` and the uploads share.
///
/// - No redirects: the 308 of a resumable upload is an answer, and nothing else of Google's API redirects.
/// - HTTP/1.1: an upload then has a connection of its own and the kernel's flow control. Over HTTP/2 the uploads of a
///   batch would share one connection, one window and one fate, and a reset stream would say less about what was sent.
/// - `HTTPS_PROXY`, `HTTP_PROXY` and `NO_PROXY` are `reqwest`'s default; `SSL_CERT_FILE` is read with the system's roots.
///   An emulator on this machine is reached without a proxy, and without reading certificates where it needs none.
/// - No automatic retry: whether a request may be repeated is decided by [`CallError`].
pub(super) fn client(settings: &Settings) -> Result<Client, reqwest::Error> {
    client_for(&settings.base_url, settings)
}

/// The same for another address of Google's.
pub(super) fn client_for(base: &Url, settings: &Settings) -> Result<Client, reqwest::Error> {
    let mut builder = Client::builder();
    if is_loopback(base) {
        builder = builder.no_proxy();
    }
    builder
        .tls_built_in_root_certs(base.scheme() == "https")
        .user_agent(concat!("dms2bq/", env!("CARGO_PKG_VERSION")))
        .redirect(reqwest::redirect::Policy::none())
        .http1_only()
        .connect_timeout(settings.timings.connect)
        .pool_idle_timeout(IDLE_CONNECTION)
        .tcp_keepalive(Duration::from_secs(15))
        .retry(reqwest::retry::never())
        .build()
}

/// Whether an address is on this machine.
fn is_loopback(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default().trim_start_matches('[').trim_end_matches(']');
    host == "localhost" || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

/// A whole answer.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
}

/// A request without an answer.
#[derive(Debug)]
pub(super) enum Lost {
    /// It did not leave.
    NotSent(reqwest::Error),
    /// It may have arrived.
    Broken(String),
    /// The invocation's time was up.
    OutOfTime,
}

/// Reads an answer to its end.
pub(super) async fn whole_answer(mut response: Response) -> Result<Answer, Lost> {
    let status = response.status().as_u16();
    let headers = response.headers().clone();
    let mut body = BytesMut::new();
    while let Some(bytes) = response.chunk().await? {
        if body.len() + bytes.len() > ANSWER_BYTES {
            return Err(Lost::Broken(format!("the answer is longer than {ANSWER_BYTES} bytes")));
        }
        body.extend_from_slice(&bytes);
    }
    Ok(Answer { status, headers, body: body.freeze() })
}

impl From<reqwest::Error> for Lost {
    fn from(error: reqwest::Error) -> Self {
        // An upload's address is a secret: who knows it may write.
        let error = error.without_url();
        if error.is_connect() { Self::NotSent(error) } else { Self::Broken(chain(&error)) }
    }
}

impl std::fmt::Display for Lost {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::NotSent(error) => f.write_str(&chain(error)),
            Self::Broken(detail) => f.write_str(detail),
            Self::OutOfTime => f.write_str("the time for this invocation was up"),
        }
    }
}

impl Lost {
    /// What a lost request means for the call that it was.
    pub(super) fn into_error(self, call: &'static str, effect: Effect) -> CallError {
        match self {
            Self::NotSent(error) => CallError::NotSent { call, source: Box::new(error) },
            Self::Broken(detail) => effect.no_answer(call, detail),
            Self::OutOfTime => CallError::OutOfTime { call, sent: effect == Effect::Write },
        }
    }
}
