//! The real `bootstrap` under a Lambda Runtime API: what it answers, with and without partial replies.
//!
//! The cases in `tests/cases/invocations` need neither S3 nor BigQuery; what does is driven from `tests/parties`.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, Instant};
use std::{fs, io};

use serde::Deserialize;
use serde_json::{Value, json};
use tokio::net::TcpListener;

use crate::lambda_api::{Answer, Function};

pub(crate) const BOOTSTRAP: &str = env!("CARGO_BIN_EXE_bootstrap");

/// More than enough for what is answered without a network.
const AMPLE: Duration = Duration::from_secs(30);

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    #[serde(rename = "why")]
    _why: String,
    event: Value,
    /// The messages that come back; `null` if all do, by an error.
    failures: Option<Vec<String>>,
    /// The error's type where partial replies are not honoured; `null` if there is none.
    error_without_partial_replies: Option<String>,
}

#[tokio::test]
async fn with_partial_replies_only_what_is_not_done_comes_back() {
    let function = Function::start(BOOTSTRAP, &environment(&[("DMS2BQ_PARTIAL_BATCH_RESPONSE", "on")])).await;
    for (name, case) in cases() {
        let answer = function.invoke(&case.event, AMPLE).await;
        match case.failures {
            Some(ids) => {
                let failures: Vec<Value> = ids.iter().map(|id| json!({ "itemIdentifier": id })).collect();
                assert_eq!(answer, Answer::Response(json!({ "batchItemFailures": failures })), "{name}");
            }
            None => assert_eq!(error_type(&answer), Some("outcome.no_message_id"), "{name}: {answer:?}"),
        }
    }
    assert_only_json(&function.output());
}

#[tokio::test]
async fn without_partial_replies_one_failure_brings_the_whole_batch_back() {
    for environment in [environment(&[]), environment(&[("DMS2BQ_PARTIAL_BATCH_RESPONSE", "off")])] {
        let function = Function::start(BOOTSTRAP, &environment).await;
        for (name, case) in cases() {
            let answer = function.invoke(&case.event, AMPLE).await;
            match case.error_without_partial_replies {
                Some(code) => assert_eq!(error_type(&answer), Some(code.as_str()), "{name}: {answer:?}"),
                None => assert_eq!(answer, Answer::Response(json!({ "batchItemFailures": [] })), "{name}"),
            }
        }
        assert_only_json(&function.output());
    }
}

#[tokio::test]
async fn an_event_that_is_no_batch_is_an_error_and_the_next_one_is_served() {
    let function = Function::start(BOOTSTRAP, &environment(&[("DMS2BQ_PARTIAL_BATCH_RESPONSE", "on")])).await;
    for event in [json!({}), json!([]), json!(null), json!("text"), json!({ "Records": {} })] {
        let answer = function.invoke(&event, AMPLE).await;
        assert_eq!(error_type(&answer), Some("event.not_a_batch"), "{event}: {answer:?}");
    }
    let answer = function.invoke(&json!({ "Records": [] }), AMPLE).await;
    assert_eq!(answer, Answer::Response(json!({ "batchItemFailures": [] })));
    assert_only_json(&function.output());
}

#[tokio::test]
async fn an_s3_that_never_answers_does_not_keep_the_reply_past_the_deadline() {
    let s3 = silent_server().await;
    let settings = [("DMS2BQ_PARTIAL_BATCH_RESPONSE", "on"), ("AWS_ENDPOINT_URL_S3", &s3)];
    let function = Function::start(BOOTSTRAP, &environment(&settings)).await;
    let event = json!({ "Records": [
        message("slow", &created("acme-landing", "dms/casino-a/game/player/LOAD00000001.parquet")),
        message("good", &json!({ "Event": "s3:TestEvent" })),
    ] });
    let (started, time) = (Instant::now(), Duration::from_secs(4));
    let answer = function.invoke(&event, time).await;
    assert_eq!(answer, Answer::Response(json!({ "batchItemFailures": [{ "itemIdentifier": "slow" }] })));
    assert!(started.elapsed() < time, "the reply came after {:?}", started.elapsed());
    assert_only_json(&function.output());
}

#[tokio::test]
async fn a_setting_that_means_nothing_keeps_the_function_from_starting() {
    let function =
        Function::start(BOOTSTRAP, &environment(&[("DMS2BQ_PARTIAL_BATCH_RESPONSE", "maybe")])).await;
    let said = wait_for(&function, "DMS2BQ_PARTIAL_BATCH_RESPONSE is").await;
    assert_only_json(&said);
}

#[tokio::test]
async fn at_debug_all_output_is_still_json() {
    let settings = [("DMS2BQ_PARTIAL_BATCH_RESPONSE", "on"), ("RUST_LOG", "debug")];
    let function = Function::start(BOOTSTRAP, &environment(&settings)).await;
    let event = json!({ "Records": [message("bad", &json!({ "Records": "none" }))] });
    function.invoke(&event, AMPLE).await;
    assert_only_json(&function.output());
}

/// The cases, by name.
fn cases() -> Vec<(String, Case)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases/invocations");
    let paths: io::Result<Vec<_>> =
        fs::read_dir(folder).expect("cases").map(|entry| Ok(entry?.path())).collect();
    let mut paths = paths.expect("cases");
    paths.sort();
    assert!(!paths.is_empty(), "the cases are found");
    let read = |path: &Path| -> Case {
        let text = fs::read_to_string(path).expect("UTF-8");
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
    };
    paths.iter().map(|path| (path.display().to_string(), read(path))).collect()
}

/// The samples' mappings, and a BigQuery and an S3 that are not there.
pub(crate) fn environment<'a>(settings: &[(&'a str, &str)]) -> BTreeMap<&'a str, String> {
    let mut environment = BTreeMap::from([
        ("DMS2BQ_MAPPINGS", concat!(env!("CARGO_MANIFEST_DIR"), "/samples/mappings").to_owned()),
        ("BIGQUERY_EMULATOR_HOST", "http://127.0.0.1:1".to_owned()),
        ("AWS_ENDPOINT_URL_S3", "http://127.0.0.1:1".to_owned()),
        ("AWS_REGION", "us-east-1".to_owned()),
        ("AWS_ACCESS_KEY_ID", "test".to_owned()),
        ("AWS_SECRET_ACCESS_KEY", "test".to_owned()),
    ]);
    environment.extend(settings.iter().map(|(name, value)| (*name, (*value).to_owned())));
    environment
}

fn message(id: &str, body: &Value) -> Value {
    let attributes = json!({ "ApproximateReceiveCount": "1", "SentTimestamp": "1669887015123" });
    json!({ "messageId": id, "body": body.to_string(), "attributes": attributes })
}

fn created(bucket: &str, key: &str) -> Value {
    let object = json!({ "key": key, "size": 1000, "eTag": "0123456789abcdef0123456789abcdef" });
    let s3 = json!({ "bucket": { "name": bucket }, "object": object });
    json!({ "Records": [{ "eventVersion": "2.1", "eventSource": "aws:s3", "eventName": "ObjectCreated:Put", "s3": s3 }] })
}

fn error_type(answer: &Answer) -> Option<&str> {
    match answer {
        Answer::Error { error_type, .. } => Some(error_type),
        Answer::Response(_) | Answer::InitError(_) => None,
    }
}

/// Takes connections and says nothing.
async fn silent_server() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let url = format!("http://{}", listener.local_addr().expect("an address"));
    tokio::spawn(async move {
        let mut held = Vec::new();
        while let Ok((connection, _)) = listener.accept().await {
            held.push(connection);
        }
    });
    url
}

async fn wait_for(function: &Function, text: &str) -> String {
    let deadline = Instant::now() + AMPLE;
    while Instant::now() < deadline {
        let output = function.output();
        if output.contains(text) {
            return output;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("{text:?} did not come; the output is\n{}", function.output());
}

pub(crate) fn assert_only_json(output: &str) {
    assert!(!output.is_empty(), "something is logged");
    for line in output.lines() {
        assert!(serde_json::from_str::<Value>(line).is_ok_and(|value| value.is_object()), "not JSON: {line}");
    }
}

#[test]
fn started_by_hand_it_says_what_runs_outside_of_lambda() {
    let done = std::process::Command::new(BOOTSTRAP).env_clear().output().expect("it starts");
    let said: Value = serde_json::from_slice(&done.stdout).expect("one line of JSON");
    assert_eq!((done.status.code(), &said["code"]), (Some(1), &json!("config.unusable")));
    assert!(said["reason"].as_str().expect("a text").contains("`dms2bq load`"), "{said}");
}
