//! A resumable upload: a session, its chunks, and what to do when one breaks.

use std::time::Duration;

use bytes::Bytes;
use reqwest::Url;
use reqwest::header::{CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, LOCATION, RANGE};

use super::Upload;
use super::send::{Frame, Interrupted};
use crate::cloud::call::{Effect, repeat};
use crate::cloud::google::answers::{self, Missing};
use crate::cloud::google::http::{Http, request_with};
use crate::cloud::google::read;
use crate::cloud::google::settings::CHUNK_MULTIPLE_BYTES;
use crate::cloud::google::wire::{Answer, Lost, whole_answer};
use crate::cloud::quote::chain;
use crate::cloud::{CallError, InsertError, Inserted};

/// The call that opens a session. It makes no job, so it may be repeated.
const START: &str = "jobs.insert (session)";

/// How many sessions are tried: BigQuery forgets one now and then (404, 410), and then all is sent again.
const SESSIONS: u32 = 2;

/// How many answers in a row may bring the upload no further.
const FRUITLESS: u32 = 6;

/// How long we try to cancel a session that will not be completed. It expires by itself in any case.
const CANCEL: Duration = Duration::from_secs(2);

/// What a request of a session came to.
enum Step {
    /// The upload is over.
    Ended(Inserted),
    /// BigQuery has so much of it.
    Persisted(u64),
    /// BigQuery knows the session no longer.
    Gone,
    /// No usable answer: the session has to be asked how far it is.
    Unclear { detail: String, wait: Option<Duration> },
}

impl Upload<'_> {
    /// Sends everything in a session, or a second one if the first is forgotten.
    pub(super) async fn send_in_a_session(&mut self) -> Result<Inserted, InsertError> {
        for _ in 0..SESSIONS {
            let Some(session) = self.open_session().await? else { return Ok(Inserted::Exists) };
            self.progress.persisted_bytes = 0;
            match self.fill(&session).await {
                Ok(Some(inserted)) => return Ok(inserted),
                Ok(None) if self.progress.complete && self.job_exists().await? => {
                    return Ok(Inserted::Exists);
                }
                Ok(None) => {}
                Err(error) => {
                    self.cancel(&session, &error).await;
                    return Err(error);
                }
            }
        }
        Err(self.no_answer(format!("the upload was forgotten {SESSIONS} times")))
    }

    /// Opens a session; `None` if the job exists already.
    async fn open_session(&mut self) -> Result<Option<Url>, InsertError> {
        let (http, load, deadline) = (self.http, self.load, self.deadline);
        let (address, total_bytes) = (self.address("resumable")?, self.source.total_bytes());
        let request = || {
            http.client
                .post(address.clone())
                .header("X-Upload-Content-Type", "application/octet-stream")
                .header("X-Upload-Content-Length", total_bytes)
                .json(&load.resource)
        };
        let opened =
            repeat(http.settings.tries, http.clock.as_ref(), &http.settings.jitter, deadline, || async {
                let answer = http.call(START, Effect::Read, deadline, request).await?;
                session_of(http, &address, &answer)
            });
        opened.await.map_err(InsertError::Call)
    }

    /// Sends chunk after chunk; `None` if the session is gone.
    async fn fill(&mut self, session: &Url) -> Result<Option<Inserted>, InsertError> {
        let total = self.source.total_bytes();
        let (mut fruitless, mut furthest_bytes) = (0, 0);
        let mut ask = false;
        loop {
            let asked = ask;
            let step = if asked { self.ask(session).await? } else { self.send_chunk(session).await? };
            let (detail, wait) = match step {
                Step::Ended(inserted) => return Ok(Some(inserted)),
                Step::Gone => return Ok(None),
                // What was kept is kept, by the protocol. Less counts only when the question confirms it.
                Step::Persisted(bytes) if bytes < self.progress.persisted_bytes && !asked => {
                    ask = true;
                    (format!("the upload fell back to {bytes} of {total} bytes"), None)
                }
                Step::Persisted(bytes) => {
                    self.progress.persisted_bytes = bytes;
                    // All is there, but the job was not in the answer.
                    ask = bytes >= total;
                    (format!("the upload stays at {bytes} of {total} bytes"), None)
                }
                Step::Unclear { detail, wait } => {
                    ask = true;
                    (detail, wait)
                }
            };
            // Falling back and catching up again is no progress.
            fruitless = if self.progress.persisted_bytes > furthest_bytes { 0 } else { fruitless + 1 };
            furthest_bytes = furthest_bytes.max(self.progress.persisted_bytes);
            if fruitless > FRUITLESS {
                return Err(self.no_answer(detail));
            }
            if fruitless > 0 {
                self.wait(fruitless, wait).await;
            }
        }
    }

    /// Sends what follows on what is there, up to a chunk.
    async fn send_chunk(&mut self, session: &Url) -> Result<Step, InsertError> {
        let total = self.source.total_bytes();
        let from = self.progress.persisted_bytes;
        let to = total.min(from.saturating_add(self.chunk_bytes()));
        let token = self.http.tokens.get(self.deadline).await.map_err(InsertError::Call)?;
        let request = self
            .http
            .client
            .put(session.clone())
            .header(CONTENT_TYPE, "application/octet-stream")
            .header(CONTENT_RANGE, format!("bytes {from}-{}/{total}", to - 1));
        let frame = Frame { before: Bytes::new(), from, to, after: Bytes::new() };
        let answer = match self.send_frame(request_with(request, token.as_ref()), frame).await {
            Ok(answer) => answer,
            Err(Interrupted::Ended(error)) => return Err(error),
            Err(Interrupted::Lost(lost)) => return self.lost(lost),
        };
        if self.renews(&answer, token.as_ref()) {
            return Ok(Step::Persisted(from));
        }
        self.step(&answer, to)
    }

    fn chunk_bytes(&self) -> u64 {
        let wanted = self.http.settings.sizes.chunk_bytes;
        (wanted - wanted % CHUNK_MULTIPLE_BYTES).max(CHUNK_MULTIPLE_BYTES)
    }

    /// Asks how far the session is.
    async fn ask(&mut self, session: &Url) -> Result<Step, InsertError> {
        let total = self.source.total_bytes();
        let token = self.http.tokens.get(self.deadline).await.map_err(InsertError::Call)?;
        let request = self.http.client.put(session.clone());
        let request = request.header(CONTENT_LENGTH, 0).header(CONTENT_RANGE, format!("bytes */{total}"));
        let request = request_with(request, token.as_ref());
        let answer = async { whole_answer(request.send().await?).await };
        let answer = match self.http.within(self.deadline, self.http.settings.timings.answer, answer).await {
            Ok(answer) => answer,
            Err(lost) => return self.lost(lost),
        };
        if self.renews(&answer, token.as_ref()) {
            return Ok(Step::Unclear { detail: "the token was refused".to_owned(), wait: None });
        }
        match self.step(&answer, total) {
            // It is the question that was refused. What became of the last byte, it does not say; the job's record
            // may. Who is denied once is denied again, so that is not asked a second time.
            Err(InsertError::Call(error)) if self.progress.complete => match error {
                CallError::Denied { .. } => Err(self.no_answer(error.to_string())),
                error => Ok(Step::Unclear { detail: error.to_string(), wait: None }),
            },
            step => step,
        }
    }

    fn lost(&self, lost: Lost) -> Result<Step, InsertError> {
        match lost {
            Lost::NotSent(error) => Ok(Step::Unclear { detail: chain(&error), wait: None }),
            Lost::Broken(detail) => Ok(Step::Unclear { detail, wait: None }),
            Lost::OutOfTime => Err(self.out_of_time()),
        }
    }

    /// Reads an answer of the session. `sent_to` is how far it was sent at most.
    fn step(&self, answer: &Answer, sent_to: u64) -> Result<Step, InsertError> {
        match answer.status {
            308 => {
                let range = answer.headers.get(RANGE).and_then(|value| value.to_str().ok());
                match answers::persisted_bytes(range) {
                    Ok(bytes) if bytes <= sent_to => Ok(Step::Persisted(bytes)),
                    Ok(bytes) => Err(self.no_answer(format!("{bytes} bytes are there, {sent_to} were sent"))),
                    Err(error) => Ok(Step::Unclear { detail: error.to_string(), wait: None }),
                }
            }
            404 | 410 if is_gone(answer) => Ok(Step::Gone),
            408 | 429 | 500..=599 if answer.status != 501 => {
                let refusal = self.http.refusal(answer);
                Ok(Step::Unclear { detail: refusal.to_string(), wait: refusal.retry_after })
            }
            _ => match self.ending(answer) {
                Ok(inserted) => Ok(Step::Ended(inserted)),
                Err(CallError::Unanswered { detail, .. }) => Ok(Step::Unclear { detail, wait: None }),
                Err(error) => Err(InsertError::Call(error)),
            },
        }
    }

    /// Looks whether the job was made after all.
    async fn job_exists(&mut self) -> Result<bool, InsertError> {
        let found = read::job(self.http, None, &self.load.job, self.deadline).await;
        match found {
            Ok(record) => Ok(record.is_some()),
            Err(error) => Err(self.no_answer(format!("the upload was forgotten, and then {error}"))),
        }
    }

    /// Waits before the next try: as long as was asked for, if that is bearable.
    pub(super) async fn wait(&mut self, failed: u32, asked: Option<Duration>) {
        let tries = self.http.settings.tries;
        let own = self.http.settings.jitter.shorten(tries.wait_after(failed));
        let wait = asked.map_or(own, |asked| asked.clamp(own, tries.longest_wait.max(own)));
        self.http.clock.sleep(wait).await;
    }

    /// Tells BigQuery that no more will come, when we know that before the deadline.
    async fn cancel(&mut self, session: &Url, error: &InsertError) {
        match error {
            InsertError::Object(_) | InsertError::NotParquet | InsertError::TooSlow { .. } => {}
            InsertError::Call(_) => return,
        }
        let Ok(token) = self.http.tokens.get(self.deadline).await else { return };
        let request = self.http.client.delete(session.clone()).header(CONTENT_LENGTH, 0);
        let request = request_with(request, token.as_ref());
        let answer = async { whole_answer(request.send().await?).await };
        let canceled = self.http.within(self.deadline, CANCEL, answer).await;
        tracing::debug!(status = canceled.ok().map(|answer| answer.status), "cancelled an upload");
    }
}

/// Reads the answer that opens a session; `None` if the job exists already.
fn session_of(http: &Http, asked: &Url, answer: &Answer) -> Result<Option<Url>, CallError> {
    if answer.status == 409 {
        return Ok(None);
    }
    let location = answer.headers.get(LOCATION).and_then(|value| value.to_str().ok());
    match location {
        Some(location) if matches!(answer.status, 200 | 201) => {
            let session = answers::session_address(&http.settings.base_url, asked, location);
            let foreign = |error: answers::ForeignSession| CallError::Rejected {
                call: START,
                detail: error.to_string(),
            };
            session.map(Some).map_err(foreign)
        }
        Some(_) | None => {
            http.success(START, Effect::Read, answer)?;
            Err(Effect::Read.no_answer(START, "a session without an address"))
        }
    }
}

/// Whether a 404 or 410 is about the session. BigQuery's own `Not found: Dataset …` is about the job.
fn is_gone(answer: &Answer) -> bool {
    let refusal = answers::refusal(answer.status, None, &answer.body);
    match answers::missing(&refusal) {
        Missing::Project | Missing::Dataset | Missing::Table => false,
        Missing::Job | Missing::Unknown => true,
    }
}
