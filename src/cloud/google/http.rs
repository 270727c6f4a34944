//! The thin client: one request with a token, one bounded answer, and how a lost request is told.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use reqwest::header::{HeaderMap, RETRY_AFTER};
use reqwest::{Client, RequestBuilder, Response, Url};
use serde_json::Value;

use super::answers;
use super::settings::Settings;
use super::token::{Token, Tokens};
use crate::cloud::call::{Effect, Refusal};
use crate::cloud::{CallError, Clock, Deadline};

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

/// Sends requests with a token and reads their answers.
#[derive(Clone)]
pub(super) struct Http {
    pub(super) client: Client,
    pub(super) tokens: Arc<Tokens>,
    pub(super) settings: Arc<Settings>,
    pub(super) clock: Arc<dyn Clock>,
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

impl Http {
    /// The address of a resource: each name is one segment of the path, whatever characters it has. Those that an
    /// address would silently leave out (dots alone, control characters) are in no name of BigQuery's, so they are
    /// refused: what is left would be the address of something else.
    pub(super) fn url(&self, base: &str, names: &[&str]) -> Result<Url, CallError> {
        let is_lost = |name: &&&str| matches!(**name, "" | "." | "..") || name.contains(char::is_control);
        if let Some(name) = names.iter().find(is_lost) {
            return Err(bad_address(format!("{name:?} cannot stand in an address")));
        }
        let mut url = Url::parse(base).map_err(|error| bad_address(error.to_string()))?;
        match url.path_segments_mut() {
            Ok(mut path) => path.extend(names),
            Err(()) => return Err(bad_address(format!("{base} has no path"))),
        };
        Ok(url)
    }

    /// Makes a call that can be sent again as it is: at a 401 it is, once, with a fresh token.
    ///
    /// # Errors
    /// No token, or no usable answer.
    pub(super) async fn call(
        &self,
        call: &'static str,
        effect: Effect,
        deadline: Deadline,
        request: impl Fn() -> RequestBuilder,
    ) -> Result<Answer, CallError> {
        let token = self.tokens.get(deadline).await?;
        let answer = self.send(call, effect, deadline, request_with(request(), token.as_ref())).await?;
        match token {
            Some(token) if answer.status == 401 => {
                self.tokens.forget(token.serial);
                self.once(call, effect, deadline, request()).await
            }
            _ => Ok(answer),
        }
    }

    /// Makes a call with a token, once.
    ///
    /// # Errors
    /// No token, or no usable answer.
    pub(super) async fn once(
        &self,
        call: &'static str,
        effect: Effect,
        deadline: Deadline,
        request: RequestBuilder,
    ) -> Result<Answer, CallError> {
        let token = self.tokens.get(deadline).await?;
        self.send(call, effect, deadline, request_with(request, token.as_ref())).await
    }

    async fn send(
        &self,
        call: &'static str,
        effect: Effect,
        deadline: Deadline,
        request: RequestBuilder,
    ) -> Result<Answer, CallError> {
        let answer = async { whole_answer(request.send().await?).await };
        let answer = self.within(deadline, self.settings.timings.call, answer).await;
        answer.map_err(|lost| lost.into_error(call, effect))
    }

    /// Waits for something of a request, for so long and not beyond the deadline.
    pub(super) async fn within<T>(
        &self,
        deadline: Deadline,
        patience: Duration,
        work: impl Future<Output = Result<T, Lost>>,
    ) -> Result<T, Lost> {
        if deadline.left(self.clock.as_ref()).is_zero() {
            return Err(Lost::OutOfTime);
        }
        let soonest = deadline.within(self.clock.as_ref(), patience);
        match tokio::time::timeout_at(soonest.instant(), work).await {
            Ok(done) => done,
            Err(_) if soonest == deadline => Err(Lost::OutOfTime),
            Err(_) => Err(Lost::Broken(format!("no answer for {patience:?}"))),
        }
    }

    /// Reads an answer as a refusal.
    pub(super) fn refusal(&self, answer: &Answer) -> Refusal {
        let value = answer.headers.get(RETRY_AFTER).and_then(|value| value.to_str().ok());
        let wait = value.and_then(|value| answers::retry_after(value, self.clock.unix_ms()));
        answers::refusal(answer.status, wait, &answer.body)
    }

    /// The JSON of a success; an error that came with a 200 is the error it is.
    ///
    /// # Errors
    /// The refusal, or that the body is no JSON.
    pub(super) fn success(
        &self,
        call: &'static str,
        effect: Effect,
        answer: &Answer,
    ) -> Result<Value, CallError> {
        if !(200..300).contains(&answer.status) {
            return Err(self.refusal(answer).into_error(call, effect));
        }
        let body: Value = serde_json::from_slice(&answer.body)
            .map_err(|_| effect.no_answer(call, format!("{} without a JSON body", answer.status)))?;
        match answers::refusal_in_success(&body) {
            Some(refusal) => Err(refusal.into_error(call, effect)),
            None => Ok(body),
        }
    }
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

/// Adds the token to a request. `reqwest` marks the header as sensitive, so that no log shows it.
pub(super) fn request_with(request: RequestBuilder, token: Option<&Token>) -> RequestBuilder {
    match token {
        Some(token) => request.bearer_auth(&token.secret),
        None => request,
    }
}

fn bad_address(detail: String) -> CallError {
    CallError::Rejected { call: "bigquery.url", detail }
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

/// An error and its sources in one line.
pub(super) fn chain(error: &dyn std::error::Error) -> String {
    let mut line = answers::one_line(&error.to_string());
    let mut source = error.source();
    while let Some(error) = source {
        let text = answers::one_line(&error.to_string());
        if !line.contains(&text) {
            line = format!("{line}: {text}");
        }
        source = error.source();
    }
    line
}
