//! What BigQuery's answers say: jobs, tables, refusals, and the headers of an upload.
//!
//! Pure functions over bytes that somebody else wrote, so that they can be held to their words without a server: by
//! the cases in `tests/cases/answers`, and by fuzzing. Numbers come as strings or as numbers; both are read.

use std::collections::BTreeMap;
use std::time::Duration;

use reqwest::Url;
use serde::Deserialize;
use serde_json::Value;

use crate::cloud::call::Refusal;
use crate::cloud::quote::one_line;
use crate::job::{ColumnMode, JobFailure, JobRecord, JobState, TableColumn, TableInfo};
use crate::route::TableRef;

/// An answer that is not what the call promises.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the answer is no {what}: {detail}")]
pub struct Unreadable {
    /// What was expected.
    pub what: &'static str,
    /// What is wrong with it.
    pub detail: String,
}

/// Reads a job resource.
///
/// # Errors
/// [`Unreadable`] if it is none, or says something of itself that we have to know and cannot read.
pub fn job_record(body: Value) -> Result<JobRecord, Unreadable> {
    let unreadable = |detail: String| Unreadable { what: "job", detail };
    let job: JobBody = serde_json::from_value(body).map_err(|error| unreadable(error.to_string()))?;
    let state = job.status.state().map_err(unreadable)?;
    let statistics = job.statistics.unwrap_or_default();
    Ok(JobRecord {
        id: job.job_reference.job_id,
        state,
        destination: job.configuration.load.and_then(|load| load.destination_table).map(TableRef::from),
        labels: job.configuration.labels,
        output_rows: statistics.load.and_then(|load| load.output_rows).map(|rows| rows.0),
        created_ms: statistics.creation_time.map(|ms| ms.0),
        ended_ms: statistics.end_time.map(|ms| ms.0),
    })
}

/// Reads a table resource. A table without a schema has no columns yet.
///
/// # Errors
/// [`Unreadable`] if it is none, or has a column whose mode is none that we know.
pub fn table_info(body: Value) -> Result<TableInfo, Unreadable> {
    let unreadable = |detail: String| Unreadable { what: "table", detail };
    let table: TableBody = serde_json::from_value(body).map_err(|error| unreadable(error.to_string()))?;
    let fields = table.schema.map(|schema| schema.fields).unwrap_or_default();
    let columns: Result<Vec<TableColumn>, String> = fields.into_iter().map(FieldBody::into_column).collect();
    Ok(TableInfo {
        created_ms: table.creation_time.0,
        columns: columns.map_err(unreadable)?,
        partitioned: table.time_partitioning.is_some() || table.range_partitioning.is_some(),
    })
}

/// Reads an answer that is no success, whatever its body is: Google's JSON, the JSON of OAuth, a proxy's page.
pub fn refusal(status: u16, retry_after: Option<Duration>, body: &[u8]) -> Refusal {
    let json: Option<Value> = serde_json::from_slice(body).ok();
    let error = json.as_ref().and_then(|json| json.get("error"));
    match error {
        Some(Value::Object(_)) => google_refusal(status, retry_after, error.unwrap_or(&Value::Null)),
        Some(Value::String(reason)) => {
            let message =
                json.as_ref().and_then(|json| json.get("error_description")?.as_str()).unwrap_or("");
            Refusal { status, reason: one_line(reason), message: one_line(message), retry_after }
        }
        _ => Refusal { status, reason: String::new(), message: page_title(body), retry_after },
    }
}

/// The error inside a body that came with a success, if there is one.
pub fn refusal_in_success(body: &Value) -> Option<Refusal> {
    let error = body.get("error").filter(|error| error.is_object())?;
    Some(google_refusal(200, None, error))
}

/// Google's form of an error. The status that it names counts only where HTTP said success.
fn google_refusal(status: u16, retry_after: Option<Duration>, error: &Value) -> Refusal {
    let named = error.get("code").and_then(Value::as_u64).and_then(|code| u16::try_from(code).ok());
    let text = |value: Option<&Value>| value.and_then(Value::as_str).unwrap_or("").to_owned();
    let first = error.get("errors").and_then(|errors| errors.get(0));
    Refusal {
        status: if (200..300).contains(&status) { named.unwrap_or(status) } else { status },
        reason: one_line(&text(first.and_then(|first| first.get("reason")))),
        message: one_line(&text(error.get("message"))),
        retry_after,
    }
}

/// What a 404 says is missing. BigQuery's messages are the only place where it says so:
/// `Not found: Dataset project:dataset`, `Not found: Table project:dataset.table`, `Not found: Job …`
/// (<https://cloud.google.com/bigquery/docs/error-messages>).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Missing {
    /// A project.
    Project,
    /// A dataset.
    Dataset,
    /// A table.
    Table,
    /// A job.
    Job,
    /// Something else; perhaps not BigQuery's answer at all.
    Unknown,
}

/// Reads what a 404 says is missing.
pub fn missing(refusal: &Refusal) -> Missing {
    let Some((_, named)) = refusal.message.split_once("Not found: ") else { return Missing::Unknown };
    match named.split([' ', ':']).next() {
        Some("Project") => Missing::Project,
        Some("Dataset") => Missing::Dataset,
        Some("Table") => Missing::Table,
        Some("Job") => Missing::Job,
        Some(_) | None => Missing::Unknown,
    }
}

/// Of a page its title, of another text its beginning.
fn page_title(body: &[u8]) -> String {
    let text = String::from_utf8_lossy(body);
    let Some((_, after)) = text.split_once("<title>") else {
        let is_page = text.trim_start().starts_with('<');
        return if is_page { "a page without a title".to_owned() } else { one_line(&text) };
    };
    one_line(after.split("</title>").next().unwrap_or_default())
}

/// A 64-bit number, which JSON APIs of Google write as a string.
#[derive(Debug, Clone, Copy)]
struct Number(u64);

impl<'de> Deserialize<'de> for Number {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Spelling {
            Text(String),
            Number(u64),
        }
        match Spelling::deserialize(deserializer)? {
            Spelling::Number(number) => Ok(Self(number)),
            Spelling::Text(text) => text.parse().map(Self).map_err(|_| {
                serde::de::Error::invalid_value(serde::de::Unexpected::Str(&text), &"a whole number")
            }),
        }
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct JobBody {
    job_reference: JobReferenceBody,
    #[serde(default)]
    configuration: ConfigurationBody,
    status: StatusBody,
    statistics: Option<StatisticsBody>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct JobReferenceBody {
    job_id: String,
}

#[derive(Deserialize, Default)]
struct ConfigurationBody {
    load: Option<LoadBody>,
    #[serde(default)]
    labels: BTreeMap<String, String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct LoadBody {
    destination_table: Option<TableReferenceBody>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct TableReferenceBody {
    project_id: String,
    dataset_id: String,
    table_id: String,
}

impl From<TableReferenceBody> for TableRef {
    fn from(body: TableReferenceBody) -> Self {
        Self { project: body.project_id, dataset: body.dataset_id, table: body.table_id }
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct StatusBody {
    state: String,
    error_result: Option<ErrorBody>,
    #[serde(default)]
    errors: Vec<ErrorBody>,
}

#[derive(Deserialize)]
struct ErrorBody {
    #[serde(default)]
    reason: String,
    #[serde(default)]
    message: String,
}

/// How many further messages of a failed job are kept: they go into one line of a log.
const MAX_DETAILS: usize = 5;

impl StatusBody {
    /// `errorResult` alone decides: `errors` of a job that went well are warnings.
    fn state(self) -> Result<JobState, String> {
        match (self.state.as_str(), self.error_result) {
            ("PENDING", _) => Ok(JobState::Pending),
            ("RUNNING", _) => Ok(JobState::Running),
            ("DONE", None) => Ok(JobState::Succeeded),
            ("DONE", Some(first)) => {
                let others = self.errors.into_iter().map(|error| error.message);
                let details = others.filter(|message| !message.is_empty() && *message != first.message);
                let details = details.take(MAX_DETAILS).map(|message| one_line(&message)).collect();
                let message = one_line(&first.message);
                Ok(JobState::Failed(JobFailure { reason: one_line(&first.reason), message, details }))
            }
            (other, _) => Err(format!("its state is {other:?}")),
        }
    }
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase")]
struct StatisticsBody {
    creation_time: Option<Number>,
    end_time: Option<Number>,
    load: Option<LoadStatisticsBody>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct LoadStatisticsBody {
    output_rows: Option<Number>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct TableBody {
    creation_time: Number,
    schema: Option<SchemaBody>,
    time_partitioning: Option<Value>,
    range_partitioning: Option<Value>,
}

#[derive(Deserialize)]
struct SchemaBody {
    #[serde(default)]
    fields: Vec<FieldBody>,
}

#[derive(Deserialize)]
struct FieldBody {
    name: String,
    #[serde(rename = "type")]
    kind: String,
    mode: Option<String>,
}

impl FieldBody {
    fn into_column(self) -> Result<TableColumn, String> {
        let mode = match self.mode.as_deref() {
            None | Some("" | "NULLABLE") => ColumnMode::Nullable,
            Some("REQUIRED") => ColumnMode::Required,
            Some("REPEATED") => ColumnMode::Repeated,
            Some(other) => return Err(format!("column {:?} has the mode {other:?}", self.name)),
        };
        Ok(TableColumn { name: self.name, kind: api_type(&self.kind), mode })
    }
}

/// A type's name as the API spells it; the names of GoogleSQL are taken for what they stand for.
fn api_type(kind: &str) -> String {
    let kind = kind.to_ascii_uppercase();
    let legacy = match kind.as_str() {
        "INT64" => "INTEGER",
        "FLOAT64" => "FLOAT",
        "BOOL" => "BOOLEAN",
        "STRUCT" => "RECORD",
        "DECIMAL" => "NUMERIC",
        "BIGDECIMAL" => "BIGNUMERIC",
        _ => return kind,
    };
    legacy.to_owned()
}

/// Reads `Retry-After`: seconds, or a date.
pub fn retry_after(value: &str, now_unix_ms: u64) -> Option<Duration> {
    if let Ok(seconds) = value.trim().parse() {
        return Some(Duration::from_secs(seconds));
    }
    let moment = jiff::fmt::rfc2822::parse(value.trim()).ok()?;
    let moment_ms = u64::try_from(moment.timestamp().as_millisecond()).ok()?;
    Some(Duration::from_millis(moment_ms.saturating_sub(now_unix_ms)))
}

/// Reads the `Range` of a 308, `bytes=0-N`, as the number of bytes that are there: N + 1. Without one, none is.
///
/// # Errors
/// [`Unreadable`] if it is no range, or one that does not begin at the first byte.
pub fn persisted_bytes(range: Option<&str>) -> Result<u64, Unreadable> {
    let Some(range) = range else { return Ok(0) };
    let last = range.trim().strip_prefix("bytes=").unwrap_or(range.trim()).strip_prefix("0-");
    let bytes = last.and_then(|last| last.parse::<u64>().ok()).and_then(|last| last.checked_add(1));
    bytes.ok_or_else(|| Unreadable { what: "range from 0", detail: one_line(range) })
}

/// Reads a session's address, the `Location` of the answer to the request that went to `asked`. It must be where we
/// sent the job, for the bytes and the token follow it: the same scheme, host and port as `base`, or, of Google's own,
/// any host of Google's API.
///
/// # Errors
/// [`ForeignSession`]; the address itself is a secret and stays out of it.
pub fn session_address(base: &Url, asked: &Url, location: &str) -> Result<Url, ForeignSession> {
    let session = asked.join(location).map_err(|_| ForeignSession::Unreadable)?;
    let same = session.origin() == base.origin();
    let both_google = [base, &session].into_iter().all(is_google);
    if same || both_google { Ok(session) } else { Err(ForeignSession::OtherHost) }
}

/// An address that no upload may follow.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ForeignSession {
    /// It is no address.
    #[error("the session's address cannot be read")]
    Unreadable,
    /// It is on a host that is not BigQuery's.
    #[error("the session's address is on another host")]
    OtherHost,
}

fn is_google(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default();
    url.scheme() == "https" && url.port().is_none() && host.ends_with(".googleapis.com")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::expect_used, reason = "a test may stop where its premise fails")]

    use serde_json::json;

    use super::*;

    #[test]
    fn numbers_come_as_strings_or_as_numbers() {
        for rows in [json!("42"), json!(42)] {
            let body = json!({
                "jobReference": {"jobId": "a"},
                "status": {"state": "DONE"},
                "statistics": {"load": {"outputRows": rows}},
            });
            assert_eq!(job_record(body).expect("a job").output_rows, Some(42));
        }
    }

    #[test]
    fn what_is_no_job_is_not_read_as_one() {
        let bodies = [
            json!(null),
            json!({}),
            json!({"jobReference": {"jobId": "a"}}),
            json!({"jobReference": {"jobId": "a"}, "status": {}}),
            json!({"jobReference": {"jobId": "a"}, "status": {"state": "PAUSED"}}),
            json!({"jobReference": {}, "status": {"state": "DONE"}}),
            json!({"jobReference": {"jobId": "a"}, "status": {"state": "DONE"},
                   "statistics": {"load": {"outputRows": "many"}}}),
            json!({"jobReference": {"jobId": "a"}, "status": {"state": "DONE"},
                   "statistics": {"load": {"outputRows": -1}}}),
        ];
        for body in bodies {
            assert!(job_record(body.clone()).is_err(), "{body}");
        }
    }

    #[test]
    fn a_job_that_is_no_load_has_no_destination() {
        let body = json!({
            "jobReference": {"jobId": "a"},
            "configuration": {"query": {"query": "SELECT 1"}},
            "status": {"state": "RUNNING"},
        });
        let record = job_record(body).expect("a job");
        assert_eq!((record.destination, record.state), (None, JobState::Running));
    }

    #[test]
    fn types_have_their_api_names() {
        let cases = [
            ("INT64", "INTEGER"),
            ("FLOAT64", "FLOAT"),
            ("BOOL", "BOOLEAN"),
            ("STRUCT", "RECORD"),
            ("DECIMAL", "NUMERIC"),
            ("BIGDECIMAL", "BIGNUMERIC"),
            ("string", "STRING"),
            ("RANGE", "RANGE"),
            ("SOME_NEW_TYPE", "SOME_NEW_TYPE"),
        ];
        for (spelt, expected) in cases {
            assert_eq!(api_type(spelt), expected);
        }
    }

    #[test]
    fn the_range_of_a_308_counts_from_zero_to_its_last_byte() {
        assert_eq!(persisted_bytes(None), Ok(0));
        assert_eq!(persisted_bytes(Some("bytes=0-0")), Ok(1));
        assert_eq!(persisted_bytes(Some(" bytes=0-524287 ")), Ok(524_288));
        assert_eq!(persisted_bytes(Some("0-9")), Ok(10), "as one emulator writes it");
        let unreadable = [
            "",
            "bytes=",
            "bytes=0-",
            "bytes=5-9",
            "bytes=0-x",
            "bytes=0--1",
            "bytes=0-18446744073709551615",
        ];
        for range in unreadable {
            assert!(persisted_bytes(Some(range)).is_err(), "{range:?}");
        }
    }

    #[test]
    fn a_wait_is_asked_for_in_seconds_or_as_a_date() {
        let now_ms = 784_111_777_000;
        assert_eq!(retry_after(" 120 ", now_ms), Some(Duration::from_secs(120)));
        assert_eq!(retry_after("Sun, 06 Nov 1994 08:49:40 GMT", now_ms), Some(Duration::from_secs(3)));
        assert_eq!(retry_after("Sun, 06 Nov 1994 08:49:30 GMT", now_ms), Some(Duration::ZERO));
        for nonsense in ["", "soon", "-1", "1.5"] {
            assert_eq!(retry_after(nonsense, now_ms), None, "{nonsense:?}");
        }
    }

    #[test]
    fn every_kind_of_refusal_becomes_one_short_line() {
        let long = "x".repeat(5000);
        let bodies = [
            (br#"{"error": {"code": 403, "message": "a\nb"}}"#.to_vec(), "a b"),
            (br#"{"error": "invalid_grant", "error_description": "no"}"#.to_vec(), "no"),
            (b"<html><title>502\r\n Bad</title>".to_vec(), "502 Bad"),
            (b"  <html>".to_vec(), "a page without a title"),
            (b"plain \x1b[31m words\n".to_vec(), "plain [31m words"),
            (b"\xff\xfe".to_vec(), "\u{fffd}\u{fffd}"),
            (b"".to_vec(), ""),
            (br#"{"error": []}"#.to_vec(), r#"{"error": []}"#),
        ];
        for (body, message) in bodies {
            assert_eq!(refusal(403, None, &body).message, message);
        }
        assert_eq!(
            refusal(403, None, long.as_bytes()).message.chars().count(),
            crate::cloud::quote::QUOTED_CHARS + 1
        );
    }
}
