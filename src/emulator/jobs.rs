//! Jobs: their records, and the rule that an id is used once.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use super::error::{ApiError, JobError};
use super::names::JobKey;

/// A job's record, as it is kept. Its bytes wait under the name `upload` until it has run.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Job {
    pub(crate) key: JobKey,
    /// As the client gave it.
    pub(crate) configuration: Value,
    pub(crate) upload: String,
    pub(crate) input_bytes: u64,
    pub(crate) created_ms: u64,
    pub(crate) started_ms: Option<u64>,
    pub(crate) end: Option<JobEnd>,
}

/// How a job ended, and when.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct JobEnd {
    pub(crate) ended_ms: u64,
    pub(crate) result: Result<Loaded, JobError>,
}

/// What a job added.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Loaded {
    pub(crate) rows: u64,
    pub(crate) bytes: u64,
}

impl Job {
    pub(crate) fn state(&self) -> &'static str {
        match (&self.end, self.started_ms) {
            (Some(_), _) => "DONE",
            (None, Some(_)) => "RUNNING",
            (None, None) => "PENDING",
        }
    }

    pub(crate) fn error(&self) -> Option<&JobError> {
        self.end.as_ref().and_then(|end| end.result.as_ref().err())
    }

    pub(crate) fn resource(&self, base_url: &str) -> Value {
        let JobKey { project, location, id } = &self.key;
        let mut configuration = self.configuration.clone();
        if let Value::Object(configuration) = &mut configuration {
            configuration.insert("jobType".to_owned(), json!("LOAD"));
        }
        json!({
            "kind": "bigquery#job",
            "etag": format!("{}-{:x}", self.state(), self.created_ms),
            "id": self.key.to_string(),
            "selfLink": format!("{base_url}/bigquery/v2/projects/{project}/jobs/{id}?location={location}"),
            "user_email": "emulator@dms2bq.invalid",
            "jobReference": { "projectId": project, "jobId": id, "location": location },
            "configuration": configuration,
            "status": self.status(),
            "statistics": self.statistics(),
        })
    }

    pub(crate) fn list_item(&self, with_configuration: bool) -> Value {
        let mut item = self.resource("");
        if let Value::Object(fields) = &mut item {
            fields.remove("selfLink");
            fields.remove("etag");
            fields.insert("state".to_owned(), json!(self.state()));
            if let Some(error) = self.error() {
                fields.insert("errorResult".to_owned(), json!(error));
            }
            if !with_configuration {
                fields.remove("configuration");
            }
        }
        item
    }

    fn status(&self) -> Value {
        match self.error() {
            Some(error) => json!({ "state": self.state(), "errorResult": error, "errors": [error] }),
            None => json!({ "state": self.state() }),
        }
    }

    fn statistics(&self) -> Value {
        let mut statistics = json!({ "creationTime": self.created_ms.to_string() });
        if let Some(started_ms) = self.started_ms {
            statistics["startTime"] = json!(started_ms.to_string());
        }
        if let Some(end) = &self.end {
            statistics["endTime"] = json!(end.ended_ms.to_string());
            if let Ok(loaded) = &end.result {
                statistics["load"] = json!({
                    "inputFiles": "1",
                    "inputFileBytes": self.input_bytes.to_string(),
                    "outputRows": loaded.rows.to_string(),
                    "outputBytes": loaded.bytes.to_string(),
                    "badRecords": "0",
                });
            }
        }
        statistics
    }
}

/// All jobs that there are.
#[derive(Debug, Default)]
pub(crate) struct Jobs {
    content: Mutex<Content>,
}

#[derive(Debug, Default)]
struct Content {
    place_by_key: HashMap<JobKey, usize>,
    /// In the order in which they were made.
    entries: Vec<Entry>,
    /// Ids that are being written to disk: taken, but not yet seen by anybody.
    reserved: HashSet<JobKey>,
}

#[derive(Debug, Clone)]
struct Entry {
    job: Arc<Job>,
    cancelled: CancellationToken,
}

/// An id that is taken for a job that does not exist yet. Dropped unused, it is free again.
pub(crate) struct Reservation<'a> {
    jobs: &'a Jobs,
    key: JobKey,
}

impl Drop for Reservation<'_> {
    fn drop(&mut self) {
        self.jobs.content().reserved.remove(&self.key);
    }
}

impl Jobs {
    /// Refuses an id that is known, as BigQuery does.
    pub(crate) fn check_free(&self, key: &JobKey) -> Result<(), ApiError> {
        let content = self.content();
        if content.place_by_key.contains_key(key) || content.reserved.contains(key) {
            return Err(ApiError::duplicate(format!("Job {key}")));
        }
        Ok(())
    }

    /// Takes an id, or refuses it because it is known. Of two that ask at once, one gets it.
    pub(crate) fn reserve(&self, key: &JobKey) -> Result<Reservation<'_>, ApiError> {
        let mut content = self.content();
        if content.place_by_key.contains_key(key) || !content.reserved.insert(key.clone()) {
            return Err(ApiError::duplicate(format!("Job {key}")));
        }
        Ok(Reservation { jobs: self, key: key.clone() })
    }

    /// Shows a new job, or a new state of one.
    pub(crate) fn put(&self, job: Job) -> Arc<Job> {
        let job = Arc::new(job);
        let mut content = self.content();
        match content.place_by_key.get(&job.key).copied() {
            Some(place) => {
                if let Some(entry) = content.entries.get_mut(place) {
                    entry.job = Arc::clone(&job);
                }
            }
            None => {
                let place = content.entries.len();
                content.place_by_key.insert(job.key.clone(), place);
                content.entries.push(Entry { job: Arc::clone(&job), cancelled: CancellationToken::new() });
            }
        }
        job
    }

    pub(crate) fn get(&self, key: &JobKey) -> Option<Arc<Job>> {
        let content = self.content();
        let place = content.place_by_key.get(key)?;
        content.entries.get(*place).map(|entry| Arc::clone(&entry.job))
    }

    /// The token that `jobs.cancel` sets.
    pub(crate) fn cancelled(&self, key: &JobKey) -> Option<CancellationToken> {
        let content = self.content();
        let place = content.place_by_key.get(key)?;
        content.entries.get(*place).map(|entry| entry.cancelled.clone())
    }

    /// Jobs that `wanted` admits, newest first, from those made before `before` (a place in the order of making).
    /// With each its place.
    pub(crate) fn newest(
        &self,
        before: usize,
        limit: usize,
        wanted: impl Fn(&Job) -> bool,
    ) -> Vec<(usize, Arc<Job>)> {
        let content = self.content();
        let older = content.entries.iter().enumerate().take(before).rev();
        older
            .filter(|(_, entry)| wanted(&entry.job))
            .take(limit)
            .map(|(place, entry)| (place, Arc::clone(&entry.job)))
            .collect()
    }

    fn content(&self) -> MutexGuard<'_, Content> {
        self.content.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
