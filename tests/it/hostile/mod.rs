//! Messages that somebody forged, and objects that somebody made to hurt: what they cannot reach, and what they cannot
//! use up.

mod bounds;
#[cfg(target_os = "linux")]
mod process;
mod reach;
mod requests;

use std::sync::Arc;

use dms2bq::entry::mapping_store::MappingStore;
use dms2bq::route::{MappingFile, Mappings};
use serde_json::json;

use crate::batch_bench::{Bench, news};
use crate::twins::file;

/// Mappings with the most that a name of a key can decide: dataset and table of every schema.
const TEMPLATES: &str = r#"{
  "source": { "bucket": "acme-landing", "bucket_folder": "dms/casino-a" },
  "destination": { "project": "acme-dw", "location": "asia-northeast3", "dataset": "casino_a" },
  "tables": [
    { "schema": "game", "table": "%" },
    { "schema": "%", "table": "%", "destination": { "dataset": "app_{schema}", "table": "{schema}_{table}" } }
  ]
}"#;

fn mappings() -> MappingStore {
    let file = MappingFile { name: "mappings/casino-a.json".to_owned(), text: TEMPLATES.to_owned() };
    MappingStore::fixed(Arc::new(Mappings::parse(vec![file]).expect("these mappings are good")))
}

/// A handler over memory, by these mappings.
fn bench() -> Bench {
    Bench::with(mappings(), true)
}

/// Gives the handler these bodies, each in a message of its own, beside a good message, which has to be loaded whatever the
/// others are. Tells what was written of the others, in their order.
async fn outcomes(bench: &Bench, bodies: &[String]) -> Vec<String> {
    let bystander = bench.put("dms/casino-a/game/bystander/LOAD00000001.parquet", file(2));
    let mut messages: Vec<_> = bodies.iter().enumerate().map(|(n, body)| message(n, body)).collect();
    messages.push(news("bystander", &[bystander]));
    let failures = bench.handle(&messages).await;
    assert!(!failures.contains(&"bystander".to_owned()), "the good message is not to suffer");
    assert_eq!(bench.rows("bystander"), Some(2));
    let own = |line: &String| {
        line.strip_prefix("message ").map(|line| line.split_once(": ").expect("a line").1.to_owned())
    };
    bench.lines().iter().filter_map(own).collect()
}

fn message(number: usize, body: &str) -> serde_json::Value {
    crate::batch_bench::message(&format!("message {number:05}"), 1, body)
}

/// News of S3 in which bucket and key stand as they are given, the key in a notification's spelling.
fn notification(bucket: &str, spelling: &str) -> String {
    json!({ "Records": [crate::batch_bench::record(bucket, spelling, "0123456789abcdef0123456789abcdef")] })
        .to_string()
}

/// The same from EventBridge, where keys are not encoded.
fn bridged(bucket: &str, key: &str) -> String {
    let object = json!({ "key": key, "size": 4096, "etag": "0123456789abcdef0123456789abcdef" });
    json!({
        "version": "0", "source": "aws.s3", "detail-type": "Object Created",
        "detail": { "version": "0", "bucket": { "name": bucket }, "object": object, "reason": "PutObject" },
    })
    .to_string()
}
