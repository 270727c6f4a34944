//! Walks `tests/cases/events`: bodies of SQS messages, and what each is taken apart into.

use std::collections::BTreeSet;
use std::error::Error;

use dms2bq::event::{self, EventError, IgnoredEvent, MAX_BODY_BYTES, MAX_RECORDS, Notice};
use dms2bq::object::{ObjectRef, name};
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::cases::{self, chain};

/// Every code that a body or one of its records can end in.
const CODES: [&str; 17] = [
    "event.bad_key",
    "event.name_too_long",
    "event.confirmation",
    "event.empty_object",
    "event.folder_marker",
    "event.no_bucket",
    "event.no_key",
    "event.no_name",
    "event.no_records",
    "event.not_created",
    "event.not_json",
    "event.sns_payload",
    "event.test",
    "event.too_large",
    "event.too_many_records",
    "event.unknown_shape",
    "event.version",
];

/// Codes that only bodies too large for a case file end in; they have tests of their own below.
const CODES_OF_LARGE_BODIES: [&str; 2] = ["event.too_large", "event.too_many_records"];

#[test]
fn every_body_is_taken_apart_as_its_case_says() {
    let mut wrong = Vec::new();
    let folders = cases::folders("events");
    for folder in &folders {
        let found = taken_apart(&cases::text(folder, "body.json"));
        let expected: Value = cases::json(folder, "expect.json");
        if found != expected {
            wrong.push(format!("{}:\n{found:#}", folder.display()));
        }
    }
    assert!(folders.len() > 100, "only {} cases found", folders.len());
    assert!(wrong.is_empty(), "not as expected, but:\n{}", wrong.join("\n"));
}

#[test]
fn every_code_has_a_case() {
    let mut seen: BTreeSet<String> = CODES_OF_LARGE_BODIES.map(str::to_owned).into();
    for folder in cases::folders("events") {
        let expected: Value = cases::json(&folder, "expect.json");
        let entries = expected.as_array().cloned().unwrap_or_else(|| vec![expected]);
        let code = |entry: &Value| entry.get("error").or(entry.get("ignored")).cloned();
        seen.extend(entries.iter().filter_map(code).filter_map(|code| code.as_str().map(str::to_owned)));
    }
    assert_eq!(seen, CODES.map(str::to_owned).into());
}

fn taken_apart(body: &str) -> Value {
    match event::read(body) {
        Ok(records) => records.into_iter().map(record).collect(),
        Err(error) => of_error(&error),
    }
}

fn record(record: Result<Notice, EventError>) -> Value {
    match record {
        Ok(Notice::Created(created)) => {
            let ObjectRef { bucket, key, version_id, etag, size_bytes } = created.object;
            let mut found = json!({ "bucket": bucket, "key": key });
            set(&mut found, "etag", etag.map(|etag| json!(etag.as_str())));
            set(&mut found, "version_id", version_id.map(|version| json!(version.as_str())));
            set(&mut found, "size_bytes", size_bytes.map(|size| json!(size)));
            set(&mut found, "copied", created.copied.then_some(json!(true)));
            set(&mut found, "landed_at_ms", created.landed_at_ms.map(|ms| json!(ms)));
            json!({ "created": found })
        }
        Ok(Notice::Ignored(ignored)) => {
            let mut found = json!({ "ignored": ignored.code(), "reason": ignored.reason() });
            let address = |object: &ObjectRef| json!(format!("s3://{}/{}", object.bucket, object.key));
            set(&mut found, "object", ignored.object().map(address));
            found
        }
        Err(error) => of_error(&error),
    }
}

fn of_error(error: &EventError) -> Value {
    assert!(!error.remedy().is_empty());
    json!({ "error": error.code(), "message": chain(error as &dyn Error) })
}

fn set(found: &mut Value, name: &str, value: Option<Value>) {
    if let Some(value) = value {
        found[name] = value;
    }
}

/// A notification of `count` records, each about as large as S3's.
fn notification(count: usize) -> String {
    let record = |n: usize| {
        format!(
            r#"{{"eventVersion":"2.1","eventSource":"aws:s3","eventName":"ObjectCreated:Put","responseElements":{{"x":"{}"}},"s3":{{"bucket":{{"name":"b"}},"object":{{"key":"s/t/LOAD{n:08X}.parquet","size":1}}}}}}"#,
            "x".repeat(300)
        )
    };
    let records: Vec<String> = (0..count).map(record).collect();
    format!(r#"{{"Records":[{}]}}"#, records.join(","))
}

#[test]
fn ten_thousand_records_are_admitted_in_their_order() {
    let records = event::read(&notification(MAX_RECORDS)).unwrap();
    assert_eq!(records.len(), MAX_RECORDS);
    for (n, record) in records.into_iter().enumerate() {
        let Ok(Notice::Created(created)) = record else { panic!("record {n} is {record:?}") };
        assert_eq!(created.object.key, format!("s/t/LOAD{n:08X}.parquet"));
    }
}

#[test]
fn more_records_than_that_are_refused_whole() {
    let error = event::read(&notification(MAX_RECORDS + 1)).unwrap_err();
    assert_eq!(error.code(), "event.too_many_records");
    assert_eq!(error.to_string(), "notification of 10001 records where at most 10000 are admitted");
}

#[test]
fn a_body_is_admitted_up_to_what_lambda_can_hand_over() {
    let fill = |size: usize| format!(r#"{{"Records":[]{}}}"#, " ".repeat(size - 14));
    let largest = event::read(&fill(MAX_BODY_BYTES)).unwrap();
    assert!(matches!(largest.as_slice(), [Ok(Notice::Ignored(IgnoredEvent::NoRecords))]));
    assert_eq!(event::read(&fill(MAX_BODY_BYTES + 1)).unwrap_err().code(), "event.too_large");
}

proptest! {
    #[test]
    fn any_key_arrives_as_it_was_written(key in "[^/].{0,200}", bucket in "[a-z0-9.-]{3,63}") {
        let spelling = name::encode(&key).to_string();
        let s3 = json!({ "Records": [{ "eventName": "ObjectCreated:Put", "s3": {
            "bucket": { "name": bucket }, "object": { "key": spelling, "size": 1 } } }] });
        let bridge = json!({ "detail-type": "Object Created", "source": "aws.s3", "detail": {
            "bucket": { "name": bucket }, "object": { "key": key, "size": 1 } } });
        for news in [s3, bridge] {
            let wrapped = json!({ "Type": "Notification", "Message": news.to_string() });
            for body in [news.to_string(), wrapped.to_string()] {
                let records = event::read(&body).unwrap();
                let [Ok(Notice::Created(created))] = records.as_slice() else { panic!("{records:?}") };
                prop_assert_eq!(&created.object.key, &key);
                prop_assert_eq!(&created.object.bucket, &bucket);
            }
        }
    }

    #[test]
    fn reading_any_text_gives_a_notice_or_an_error(body in any::<String>()) {
        prop_assert!(event::read(&body).is_err());
    }

    #[test]
    fn a_body_cut_anywhere_is_never_taken_for_less(cut in 1..2000_usize) {
        let body = notification(3);
        let Some(cut_body) = body.get(..cut.min(body.len() - 1)) else { return Ok(()) };
        prop_assert_eq!(event::read(cut_body).unwrap_err().code(), "event.not_json");
    }
}
