//! The real `bootstrap`, given what nobody would send: what it takes of memory, and what it writes.

use std::time::Duration;

use serde_json::{Value, json};

use super::{bridged, notification};
use crate::batch_bench::BUCKET;
use crate::lambda_api::{Answer, Function};
use crate::runtime_api::{BOOTSTRAP, assert_only_json, environment};

/// Ample for 6 MB in a build without optimisation.
const AMPLE: Duration = Duration::from_secs(50);

/// What Lambda hands over at most.
const PAYLOAD_BYTES: usize = 6 * 1024 * 1024;

async fn start() -> Function {
    Function::start(BOOTSTRAP, &environment(&[("DMS2BQ_PARTIAL_BATCH_RESPONSE", "on")])).await
}

fn message(id: &str, body: &str) -> Value {
    json!({ "messageId": id, "body": body, "attributes": { "ApproximateReceiveCount": "1" } })
}

/// Hostile payloads, each no larger than Lambda's limit, by name.
fn payloads() -> Vec<(&'static str, String)> {
    let batch = |messages: &[Value]| json!({ "Records": messages }).to_string();
    let records = |count: usize, record: &str| {
        format!(r#"{{"Records":[{}{record}]}}"#, format!("{record},").repeat(count - 1))
    };
    let message_of_all = |body: &str| batch(&[message("m", body)]);
    let deep = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
    let many_small: Vec<Value> = (0..10_000).map(|n| message(&n.to_string(), "{}")).collect();
    // As many records as a message may have, and more of them together than a batch may.
    let full = records(10_000, "{}");
    let many_full: Vec<Value> = (0..40).map(|n| message(&n.to_string(), &full)).collect();
    vec![
        ("a million records", message_of_all(&records(1_000_000, "{}"))),
        ("deep JSON in a body", message_of_all(&deep(100_000))),
        ("deep JSON in the place of a batch", deep(1_000_000)),
        ("deep JSON in the place of a message", format!(r#"{{"Records":[{}]}}"#, deep(1_000_000))),
        ("10,000 messages", batch(&many_small)),
        ("one text of 6 MB", message_of_all(&"x".repeat(PAYLOAD_BYTES - 200))),
        ("a key of 5 MB", message_of_all(&notification(BUCKET, &"%41".repeat(5_000_000 / 3)))),
        ("thousands of records in each of many messages", batch(&many_full)),
    ]
}

#[tokio::test]
async fn no_payload_that_lambda_hands_over_makes_the_function_large() {
    let function = start().await;
    let empty = function.invoke(&json!({ "Records": [] }), AMPLE).await;
    assert_eq!(empty, Answer::Response(json!({ "batchItemFailures": [] })));
    let before = function.peak_memory_bytes();
    for (name, payload) in payloads() {
        assert!(payload.len() <= PAYLOAD_BYTES + 1024, "{name}: {} bytes", payload.len());
        let answer = function.invoke_text(payload, AMPLE).await;
        let grown = function.peak_memory_bytes() - before;
        println!("{name}: {} MiB more at the most so far", grown >> 20);
        assert!(grown <= 64 << 20, "{name} took {} MiB, answered {answer:?}", grown >> 20);
    }
    assert_only_json(&function.output());
}

#[tokio::test]
async fn whatever_a_key_holds_its_log_line_is_one_line_of_json() {
    let function = start().await;
    let keys = [
        "a\nb",
        "a\r\n{\"outcome\":\"loaded\"}",
        "a\",\"outcome\":\"loaded\",\"x\":\"",
        "a\u{0}\u{1b}[2J\u{7f}",
        "a\u{85}\u{2028}\u{2029}b",
        "\u{202e}gnp.exe\u{2066}\u{200f}",
        "\\u0022 \\n \\",
        "{key} {0} %s",
    ];
    for key in keys {
        let key = format!("dms/casino-a/{key}/LOAD00000001.parquet");
        let answer =
            function.invoke(&json!({ "Records": [message(&key, &bridged(BUCKET, &key))] }), AMPLE).await;
        assert_eq!(answer, Answer::Response(json!({ "batchItemFailures": [{ "itemIdentifier": key }] })));
        let output = function.output();
        let last = output.lines().last().expect("a line");
        let line: Value = serde_json::from_str(last).unwrap_or_else(|error| panic!("{error}: {last}"));
        assert_eq!((&line["key"], &line["message_id"]), (&json!(key), &json!(key)), "{last}");
        assert_eq!(line["outcome"], "returned");
        assert!(!last.contains(is_unprintable), "{last:?} would not show on a terminal as it is");
    }
    assert_only_json(&function.output());
}

/// What a terminal or a browser does not print but obey: control characters, line ends of Unicode's, marks of direction.
fn is_unprintable(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{2028}' | '\u{2029}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}
