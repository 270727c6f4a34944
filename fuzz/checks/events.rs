//! Bodies of SQS messages.

use dms2bq::event::{self, Created, EventError, IgnoredEvent, MAX_RECORDS, Notice};
use dms2bq::object::name;
use serde_json::{Value, json};

/// S3's own limits on names, which what is read has to keep.
const MAX_KEY_BYTES: usize = 1024;
const MAX_BUCKET_BYTES: usize = 255;

/// Reads a body, and holds the reader to its word: nothing is dropped, nothing is larger than S3 makes it, and what
/// was read is read again alike, from a notification that S3 might have sent and from inside an SNS envelope.
pub fn check(data: &[u8]) {
    let Ok(body) = std::str::from_utf8(data) else { return };
    let read = event::read(body);
    match &read {
        Err(error) => hold_error(error),
        Ok(records) => {
            assert!(!records.is_empty() && records.len() <= MAX_RECORDS, "{} records", records.len());
            for record in records {
                match record {
                    Err(error) => hold_error(error),
                    Ok(Notice::Ignored(event)) => hold_ignored(event),
                    Ok(Notice::Created(created)) => hold_created(created),
                }
            }
        }
    }
    if is_no_envelope(body) {
        let wrapped = event::read(&sns_around(body));
        let alike = match (&read, &wrapped) {
            (Ok(bare), Ok(wrapped)) => format!("{bare:?}") == format!("{wrapped:?}"),
            (Err(bare), Err(wrapped)) => {
                wrapped.code() == bare.code() || wrapped.code() == "event.sns_payload"
            }
            _ => false,
        };
        assert!(alike, "bare it is {read:?}, wrapped it is {wrapped:?}");
    }
}

fn hold_error(error: &EventError) {
    super::hold_refusal(&super::chain(error), error.code(), &["event"], error.remedy());
}

fn hold_ignored(event: &IgnoredEvent) {
    assert!(event.code().starts_with("event.") && !event.reason().is_empty(), "{event:?} has no reason");
}

fn hold_created(created: &Created) {
    let object = &created.object;
    assert!((1..=MAX_KEY_BYTES).contains(&object.key.len()), "a key of {} bytes", object.key.len());
    assert!(
        (1..=MAX_BUCKET_BYTES).contains(&object.bucket.len()),
        "a bucket of {} bytes",
        object.bucket.len()
    );
    assert_ne!(object.size_bytes, Some(0), "an object without bytes is news");
    assert_ne!(object.etag.as_ref().map(|etag| etag.as_str()), Some(""), "an empty etag is none");

    let spelling = name::encode(&object.key).to_string();
    assert_eq!(name::decode(&spelling).as_ref(), Ok(&object.key), "spelt {spelling}");
    let again = event::read(&notification(created, &spelling)).expect("S3 could have sent this");
    let [Ok(Notice::Created(again))] = again.as_slice() else { panic!("sent again, it is {again:?}") };
    // Without a time, which decides nothing.
    let created = Created { landed_at_ms: None, ..created.clone() };
    assert_eq!(*again, created, "sent again by S3");
}

/// The notification that S3 would send of it.
fn notification(created: &Created, spelling: &str) -> String {
    let object = &created.object;
    let event_name = if created.copied { "ObjectCreated:Copy" } else { "ObjectCreated:Put" };
    let mut named = json!({ "key": spelling });
    let told = [
        ("size", object.size_bytes.map(Value::from)),
        ("eTag", object.etag.as_ref().map(|etag| etag.as_str().into())),
        ("versionId", object.version_id.as_ref().map(|id| id.as_str().into())),
    ];
    for (field, value) in told {
        if let Some(value) = value {
            named[field] = value;
        }
    }
    let s3 = json!({ "bucket": { "name": object.bucket }, "object": named });
    json!({ "Records": [{ "eventVersion": "2.1", "eventName": event_name, "s3": s3 }] }).to_string()
}

/// An envelope is opened once, and confirmations are SNS's own: neither says the same inside another envelope.
fn is_no_envelope(body: &str) -> bool {
    let fields: Result<Value, _> = serde_json::from_str(body);
    fields.map_or(true, |fields| fields.get("Type").is_none())
}

fn sns_around(body: &str) -> String {
    json!({ "Type": "Notification", "TopicArn": "arn:aws:sns:eu-west-1:111122223333:landing", "Message": body })
        .to_string()
}
