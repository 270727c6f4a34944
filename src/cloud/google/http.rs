//! The thin client: a request with a token, and what its answer says.

use std::sync::Arc;
use std::time::Duration;

use reqwest::header::RETRY_AFTER;
use reqwest::{Client, RequestBuilder, Url};
use serde_json::Value;

use super::answers;
use super::settings::Settings;
use super::token::{Token, Tokens};
use super::wire::{Answer, Lost, whole_answer};
use crate::cloud::call::{Effect, Refusal};
use crate::cloud::{CallError, Clock, Deadline};

/// Sends requests with a token and reads their answers.
#[derive(Clone)]
pub(super) struct Http {
    pub(super) client: Client,
    pub(super) tokens: Arc<Tokens>,
    pub(super) settings: Arc<Settings>,
    pub(super) clock: Arc<dyn Clock>,
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
