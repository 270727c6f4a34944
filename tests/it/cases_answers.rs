//! Walks `tests/cases/answers`: what BigQuery or a proxy answers, and what each answer is read as.

use dms2bq::cloud::call::Refusal;
use dms2bq::cloud::google::answers;
use dms2bq::job::{JobRecord, JobState};
use reqwest::Url;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::cases;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    about: String,
    answer: Value,
    gives: Map<String, Value>,
}

#[test]
fn every_answer_is_read_as_its_case_says() {
    let mut wrong = Vec::new();
    let files = cases::files("answers", "json");
    for file in &files {
        let case: Case = cases::json(&cases::root("answers"), file);
        assert!(case.about.ends_with('.') && !case.gives.is_empty(), "{file} tells nothing");
        for (reader, wanted) in &case.gives {
            let found = read_as(reader, wanted, &case.answer);
            if found != *wanted {
                wrong.push(format!("{file}, read as {reader}\n  wanted: {wanted}\n  found:  {found}"));
            }
        }
    }
    assert!(wrong.is_empty() && files.len() > 30, "{}", wrong.join("\n"));
}

fn read_as(reader: &str, wanted: &Value, answer: &Value) -> Value {
    let text = || answer.as_str().map_or_else(|| answer.to_string(), str::to_owned);
    let json = || serde_json::from_str(&text()).unwrap_or_else(|error| panic!("{answer}: {error}"));
    match reader {
        "job" => answers::job_record(json()).map_or(Value::Null, |record| job(&record)),
        "table" => answers::table_info(json()).map_or(
            Value::Null,
            |table| json!({ "columns": table.columns.len(), "partitioned": table.partitioned }),
        ),
        "refusal" => {
            let status = wanted["status"].as_u64().and_then(|status| u16::try_from(status).ok());
            refusal(&answers::refusal(status.expect("the case names a status"), None, text().as_bytes()))
        }
        "in_success" => answers::refusal_in_success(&json()).map_or(Value::Null, |found| refusal(&found)),
        "range" => answers::persisted_bytes(Some(&text())).map_or(Value::Null, Value::from),
        "session" => {
            let base = Url::parse("https://bigquery.googleapis.com").unwrap();
            let asked = base.join("/upload/bigquery/v2/projects/acme-dw/jobs").unwrap();
            json!(answers::session_address(&base, &asked, &text()).is_ok())
        }
        other => panic!("nothing reads an answer as {other:?}"),
    }
}

fn job(record: &JobRecord) -> Value {
    let mut found = match &record.state {
        JobState::Pending => json!({ "state": "pending" }),
        JobState::Running => json!({ "state": "running" }),
        JobState::Succeeded => json!({ "state": "succeeded" }),
        JobState::Failed(failure) => {
            json!({ "state": "failed", "reason": failure.reason, "message": failure.message })
        }
    };
    if let JobState::Failed(failure) = &record.state
        && !failure.details.is_empty()
    {
        found["details"] = json!(failure.details);
    }
    for (name, number) in [("output_rows", record.output_rows), ("ended_ms", record.ended_ms)] {
        if let Some(number) = number {
            found[name] = json!(number);
        }
    }
    found
}

fn refusal(refusal: &Refusal) -> Value {
    json!({ "status": refusal.status, "reason": refusal.reason, "message": refusal.message })
}
