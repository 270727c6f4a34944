//! BigQuery's API as it is: any call, and every answer for what it says.
//!
//! The pipeline never needs this. `dms2bq doctor` asks for datasets and makes a table of its own; `dms2bq probe` has to send
//! what our client would not, and to see the answer raw. Requests go through the same HTTP client, with the same tokens
//! and time-outs.

use std::fmt::Write as _;
use std::time::Duration;

use bytes::Bytes;
use futures_util::{StreamExt, stream};
use reqwest::header::{CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, DATE, LOCATION, RANGE};
use reqwest::{Method, RequestBuilder, Url};
use serde_json::Value;

use super::answers;
use super::http::{Http, request_with};
use super::settings::Access;
use super::wire::Answer;
use crate::cloud::call::Effect;
use crate::cloud::{CallError, Deadline};

/// What stands between the parts of an upload. No Parquet file of ours holds it.
const BOUNDARY: &str = "dms2bq-probe-3f0f2c6d1b";

/// Patience with one call. A person waits for the answer.
const CALL_PATIENCE: Duration = Duration::from_secs(60);

/// How long a connection that is to be broken off is left open once its bytes are handed over.
const BREAK_PAUSE: Duration = Duration::from_secs(1);

/// Makes calls.
#[derive(Clone)]
pub struct Rest {
    http: Http,
}

/// An answer, whatever it says.
#[derive(Debug, Clone)]
pub struct RestAnswer {
    /// The HTTP status.
    pub status: u16,
    /// The server's clock, as its `Date` header spells it.
    pub date: Option<String>,
    /// Where a session is. It is a secret while the session lives.
    pub location: Option<String>,
    /// What of a session's bytes the server has.
    pub range: Option<String>,
    /// The body, if it is JSON; otherwise null.
    pub body: Value,
    /// The reason and message of a refusal, in one line.
    pub refusal: Option<String>,
    /// BigQuery's word for why it refused, such as `duplicate`; empty if it gave none.
    pub reason: String,
}

impl RestAnswer {
    /// Whether the status says success.
    pub fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
    }
}

impl Rest {
    pub(super) fn new(http: Http) -> Self {
        Self { http }
    }

    /// Where calls go.
    pub fn address(&self) -> &Url {
        &self.http.settings.base_url
    }

    /// Whether no credentials are sent, as to an emulator.
    pub fn is_anonymous(&self) -> bool {
        self.http.settings.access == Access::Anonymous
    }

    /// Calls `method` on a resource, by the names on its path. A body of null is none.
    ///
    /// # Errors
    /// There was no token, or no answer. A refusal is an answer.
    pub async fn call(
        &self,
        method: Method,
        path: &[&str],
        query: &[(&str, &str)],
        body: &Value,
    ) -> Result<RestAnswer, CallError> {
        let url = self.url(&self.http.settings.api_url(), path, query)?;
        self.send("bigquery", || {
            let request = self.http.client.request(method.clone(), url.clone());
            if body.is_null() { request } else { request.json(body) }
        })
        .await
    }

    /// Sends a job and its bytes in one request.
    ///
    /// # Errors
    /// As [`Rest::call`].
    pub async fn upload(&self, project: &str, job: &Value, bytes: &Bytes) -> Result<RestAnswer, CallError> {
        let url = self.upload_url(project, "multipart")?;
        let mut head = format!("--{BOUNDARY}\r\nContent-Type: application/json\r\n\r\n{job}\r\n");
        // Writing to a string does not fail.
        let _ = write!(head, "--{BOUNDARY}\r\nContent-Type: application/octet-stream\r\n\r\n");
        let body = [head.as_bytes(), bytes, format!("\r\n--{BOUNDARY}--\r\n").as_bytes()].concat();
        let content_type = format!("multipart/related; boundary={BOUNDARY}");
        self.send("jobs.insert", || {
            self.http.client.post(url.clone()).header(CONTENT_TYPE, &content_type).body(body.clone())
        })
        .await
    }

    /// Opens a resumable session; its address is the answer's `location`.
    ///
    /// # Errors
    /// As [`Rest::call`].
    pub async fn open_session(
        &self,
        project: &str,
        job: &Value,
        total_bytes: u64,
    ) -> Result<RestAnswer, CallError> {
        let url = self.upload_url(project, "resumable")?;
        self.send("jobs.insert", || {
            let post = self.http.client.post(url.clone()).json(job);
            post.header("X-Upload-Content-Type", "application/octet-stream")
                .header("X-Upload-Content-Length", total_bytes)
        })
        .await
    }

    /// Puts bytes into a session, or asks how far it is: `content_range` as in the header, without its unit.
    ///
    /// # Errors
    /// As [`Rest::call`]; [`CallError::Rejected`] for an address that is not BigQuery's.
    pub async fn put(
        &self,
        session: &str,
        content_range: &str,
        bytes: &Bytes,
    ) -> Result<RestAnswer, CallError> {
        let base = self.http.settings.base_url.clone();
        let url = answers::session_address(&base, &base, session)
            .map_err(|error| CallError::Rejected { call: "jobs.insert", detail: error.to_string() })?;
        self.send("jobs.insert", || {
            let put = self.http.client.put(url.clone()).header(CONTENT_LENGTH, bytes.len());
            put.header(CONTENT_RANGE, format!("bytes {content_range}")).body(bytes.clone())
        })
        .await
    }

    /// Puts bytes into a session and breaks off after so many of them, with the connection.
    pub async fn put_broken(&self, session: &str, content_range: &str, bytes: &Bytes, break_at: usize) {
        let base = &self.http.settings.base_url;
        let Ok(url) = answers::session_address(base, base, session) else { return };
        let Ok(token) = self.http.tokens.get(self.deadline()).await else { return };
        let broken = std::io::Error::other("broken off on purpose");
        // What is sent should be on its way before the connection ends.
        let end = stream::once(async {
            tokio::time::sleep(BREAK_PAUSE).await;
            Err(broken)
        });
        let parts = stream::iter([Ok(bytes.slice(..break_at.min(bytes.len())))]).chain(end);
        let put = self.http.client.put(url).header(CONTENT_LENGTH, bytes.len());
        let put = put.header(CONTENT_RANGE, format!("bytes {content_range}"));
        let put = put.body(reqwest::Body::wrap_stream(parts.boxed()));
        // It ends in an error, as it is meant to.
        let _ = tokio::time::timeout(CALL_PATIENCE, request_with(put, token.as_ref()).send()).await;
    }

    fn deadline(&self) -> Deadline {
        Deadline::at(self.http.clock.now() + CALL_PATIENCE)
    }

    fn upload_url(&self, project: &str, kind: &str) -> Result<Url, CallError> {
        self.url(&self.http.settings.upload_url(), &["projects", project, "jobs"], &[("uploadType", kind)])
    }

    fn url(&self, base: &str, path: &[&str], query: &[(&str, &str)]) -> Result<Url, CallError> {
        let mut url = self.http.url(base, path)?;
        if !query.is_empty() {
            url.query_pairs_mut().extend_pairs(query);
        }
        Ok(url)
    }

    async fn send(
        &self,
        call: &'static str,
        request: impl Fn() -> RequestBuilder,
    ) -> Result<RestAnswer, CallError> {
        let answer = self.http.call(call, Effect::Write, self.deadline(), request).await?;
        Ok(self.told(&answer))
    }

    fn told(&self, answer: &Answer) -> RestAnswer {
        let header = |name| answer.headers.get(name).and_then(|value| value.to_str().ok()).map(str::to_owned);
        let is_success = (200..400).contains(&answer.status);
        let refusal = (!is_success).then(|| self.http.refusal(answer));
        RestAnswer {
            status: answer.status,
            date: header(DATE),
            location: header(LOCATION),
            range: header(RANGE),
            body: serde_json::from_slice(&answer.body).unwrap_or_default(),
            reason: refusal.as_ref().map(|refusal| refusal.reason.clone()).unwrap_or_default(),
            refusal: refusal.map(|refusal| refusal.to_string()),
        }
    }
}
