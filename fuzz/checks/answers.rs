//! BigQuery's answers, and those of whoever stands in between: jobs, tables, refusals, headers of uploads.

use dms2bq::cloud::call::{Effect, Refusal};
use dms2bq::cloud::google::answers;
use dms2bq::job::{JobRecord, JobState};
use gcp_bigquery_client::model::job::Job;
use reqwest::Url;
use serde_json::Value;

/// The longest message that is kept of an answer, in characters, with its ellipsis.
const LONGEST_MESSAGE_CHARS: usize = 501;

/// The statuses under which an answer is read as a refusal.
const STATUSES: [u16; 8] = [200, 308, 403, 404, 409, 429, 501, 503];

/// Reads an answer as everything that it could be.
pub fn check(data: &[u8]) {
    hold_refused(super::one_of(STATUSES.to_vec(), data), data);
    if let Ok(body) = serde_json::from_slice::<Value>(data) {
        hold_job(&body);
        if let Ok(table) = answers::table_info(body.clone()) {
            let fields = body["schema"]["fields"].as_array().map_or(0, Vec::len);
            assert_eq!(table.columns.len(), fields, "columns");
        }
        if let Some(refusal) = answers::refusal_in_success(&body) {
            hold_refusal(refusal);
        }
    }
    if let Ok(text) = std::str::from_utf8(data) {
        hold_headers(text);
    }
}

/// A job counts as loaded only if its document says `DONE` and names no error, and the client that reads jobs tells
/// of it what we read ourselves.
fn hold_job(body: &Value) {
    let Ok(record) = answers::job_record(body.clone()) else { return };
    let status = &body["status"];
    match &record.state {
        JobState::Succeeded => {
            assert_eq!(status["state"], "DONE", "a success that is not done");
            assert!(status["errorResult"].is_null(), "a success with an error");
        }
        JobState::Failed(failure) => {
            assert!(status["errorResult"].is_object(), "a failure without an error");
            hold_line(&failure.reason);
            hold_line(&failure.message);
            failure.details.iter().for_each(|detail| hold_line(detail));
        }
        JobState::Pending | JobState::Running => assert_ne!(status["state"], "DONE"),
    }
    if let Some(rows) = record.output_rows {
        let told = &body["statistics"]["load"]["outputRows"];
        let told = told.as_u64().or_else(|| told.as_str()?.parse().ok());
        assert_eq!(told, Some(rows), "rows");
    }
    if let Some(retold) = retold(body) {
        assert_eq!(retold, record, "as the client's crate tells it");
    }
}

/// The job as `gcp-bigquery-client` reads it and tells it on.
fn retold(body: &Value) -> Option<JobRecord> {
    let job: Job = serde_json::from_str(&body.to_string()).ok()?;
    answers::job_record(serde_json::to_value(job).ok()?).ok()
}

fn hold_refused(status: u16, body: &[u8]) {
    let refusal = answers::refusal(status, None, body);
    if !(200..300).contains(&status) {
        assert_eq!(refusal.status, status, "the body does not overrule the status");
    }
    let _ = answers::missing(&refusal);
    hold_refusal(refusal);
}

/// A refusal is a short line, and never a reason to believe that a write without an answer did not happen.
fn hold_refusal(refusal: Refusal) {
    hold_line(&refusal.message);
    hold_line(&refusal.reason);
    let answered =
        (400..500).contains(&refusal.status) || refusal.status == 501 || !refusal.reason.is_empty();
    for effect in [Effect::Read, Effect::Write] {
        let error = refusal.clone().into_error("jobs.insert", effect);
        assert!(effect == Effect::Write || !error.may_have_happened(), "a read happened: {error}");
        assert!(
            effect == Effect::Read || answered || error.may_have_happened(),
            "taken for an answer: {error}"
        );
        assert!(!error.remedy().is_empty());
    }
}

fn hold_line(text: &str) {
    assert!(
        text.chars().count() <= LONGEST_MESSAGE_CHARS,
        "{} characters of a message",
        text.chars().count()
    );
    assert!(!text.contains(char::is_control), "{text:?} is more than a line");
}

/// `Range`, `Retry-After` and `Location`.
fn hold_headers(text: &str) {
    if let Ok(bytes) = answers::persisted_bytes(Some(text)) {
        assert!(bytes > 0, "a range of no bytes");
        assert_eq!(answers::persisted_bytes(Some(&format!("bytes=0-{}", bytes - 1))), Ok(bytes));
    }
    let _ = answers::retry_after(text, 1_700_000_000_000);
    for base in ["https://bigquery.googleapis.com", "http://127.0.0.1:9050"] {
        let base = Url::parse(base).expect("this is an address");
        let asked =
            base.join("/upload/bigquery/v2/projects/acme-dw/jobs?uploadType=resumable").expect("and this");
        let Ok(session) = answers::session_address(&base, &asked, text) else { continue };
        let is_google = base.scheme() == "https"
            && session.scheme() == "https"
            && session.host_str().is_some_and(|host| host.ends_with(".googleapis.com"));
        assert!(session.origin() == base.origin() || is_google, "the token would follow to {session}");
    }
}
