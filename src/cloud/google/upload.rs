//! A load job with its bytes: in one request if they are few, in a resumable session otherwise.
//!
//! The protocol is that of <https://cloud.google.com/bigquery/docs/reference/api-uploads>. One rule stands above it:
//! while a byte is missing no job can have been made, and once the last byte was sent one may have been.

mod send;
mod session;

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::answers;
use super::http::Http;
use super::source::Source;
use super::wire::Answer;
use crate::cloud::call::Effect;
use crate::cloud::{CallError, Deadline, InsertError, Inserted, Objects};
use crate::job::LoadJob;

/// The call that an upload is.
const INSERT: &str = "jobs.insert";

/// An upload that is half as slow again as the time left allows may still catch up; a slower one is given up.
const TOLERANCE: f64 = 1.5;

/// An upload on its way.
pub(super) struct Upload<'a> {
    http: &'a Http,
    load: &'a LoadJob,
    deadline: Deadline,
    source: Source,
    progress: Progress,
}

/// How far an upload is.
struct Progress {
    started: Instant,
    /// Bytes handed to the network, repeated ones too: what the speed is measured by.
    handed_bytes: u64,
    /// How much BigQuery has said it has.
    persisted_bytes: u64,
    /// The last byte was handed to the network at some time: from then on a job may exist.
    complete: bool,
    /// Credentials were refused once, and fresh ones were tried.
    refused: bool,
}

impl<'a> Upload<'a> {
    /// Prepares to send; nothing is opened yet.
    pub(super) fn new(
        http: &'a Http,
        load: &'a LoadJob,
        objects: Arc<dyn Objects>,
        deadline: Deadline,
    ) -> Self {
        let (clock, settings) = (Arc::clone(&http.clock), Arc::clone(&http.settings));
        let progress = Progress {
            started: clock.now(),
            handed_bytes: 0,
            persisted_bytes: 0,
            complete: false,
            refused: false,
        };
        let source = Source::new(load.parts.clone(), objects, clock, settings);
        Self { http, load, deadline, source, progress }
    }

    /// Sends it, within the deadline.
    ///
    /// # Errors
    /// As [`Warehouse::insert`](crate::cloud::Warehouse::insert).
    pub(super) async fn send(mut self) -> Result<Inserted, InsertError> {
        if self.deadline.left(self.http.clock.as_ref()).is_zero() {
            return Err(self.out_of_time());
        }
        let in_one = self.source.total_bytes() < self.http.settings.sizes.multipart_limit_bytes;
        let deadline = self.deadline.instant();
        let sent = tokio::time::timeout_at(deadline, async {
            if in_one { self.send_in_one().await } else { self.send_in_a_session().await }
        });
        match sent.await {
            Ok(ended) => ended,
            Err(_) => Err(self.out_of_time()),
        }
    }

    /// The deadline came. Once the speed is known, what is missing is told; a short time says nothing of the speed.
    fn out_of_time(&self) -> InsertError {
        let elapsed = self.http.clock.now().saturating_duration_since(self.progress.started);
        if !self.progress.complete && elapsed >= self.http.settings.timings.measure {
            return self.too_slow(elapsed);
        }
        InsertError::Call(CallError::OutOfTime { call: INSERT, sent: self.progress.complete })
    }

    fn too_slow(&self, elapsed: Duration) -> InsertError {
        InsertError::TooSlow {
            sent_bytes: self
                .progress
                .persisted_bytes
                .max(self.progress.handed_bytes.min(self.source.total_bytes())),
            total_bytes: self.source.total_bytes(),
            elapsed_ms: u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX),
        }
    }

    /// Judges the speed, once it has been measured for a while.
    fn check_speed(&self, position: u64) -> Result<(), InsertError> {
        let clock = self.http.clock.as_ref();
        let elapsed = clock.now().saturating_duration_since(self.progress.started);
        if elapsed < self.http.settings.timings.measure || self.progress.complete {
            return Ok(());
        }
        let missing_bytes = self.source.total_bytes().saturating_sub(position);
        let seconds_per_byte = elapsed.as_secs_f64() / self.progress.handed_bytes.max(1) as f64;
        let needed_seconds = missing_bytes as f64 * seconds_per_byte;
        if needed_seconds > self.deadline.left(clock).as_secs_f64() * TOLERANCE {
            return Err(self.too_slow(elapsed));
        }
        Ok(())
    }

    /// The failure of an upload that got no usable answer: careful only once a job may exist.
    fn no_answer(&self, detail: impl Into<String>) -> InsertError {
        let effect = if self.progress.complete { Effect::Write } else { Effect::Read };
        InsertError::Call(effect.no_answer(INSERT, detail))
    }

    /// Reads the answer that ends an upload: a success has the job, a 409 says that there is one.
    fn ending(&self, answer: &Answer) -> Result<Inserted, CallError> {
        if answer.status == 409 {
            return Ok(Inserted::Exists);
        }
        let body = match self.http.success(INSERT, Effect::Write, answer) {
            // A 409 inside a 200 comes as a rejection, and is no less a conflict.
            Err(CallError::Rejected { detail, .. }) if detail.starts_with("409 ") => {
                return Ok(Inserted::Exists);
            }
            other => other?,
        };
        let record =
            answers::job_record(body).map_err(|error| Effect::Write.no_answer(INSERT, error.to_string()))?;
        if record.id != self.load.job.id {
            let detail = format!("the answer is about another job, {:?}", record.id);
            return Err(Effect::Write.no_answer(INSERT, detail));
        }
        Ok(Inserted::Created(record))
    }

    /// The address that uploads are sent to.
    fn address(&self, upload_type: &str) -> Result<reqwest::Url, InsertError> {
        let base = self.http.settings.upload_url();
        let url = self.http.url(&base, &["projects", &self.load.job.project, "jobs"]);
        let mut url = url.map_err(InsertError::Call)?;
        url.query_pairs_mut().append_pair("uploadType", upload_type);
        Ok(url)
    }
}
