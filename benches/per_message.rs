//! What one message costs but for the network: decode, parse, route, plan.
//!
//! `cargo bench --bench per_message`. The batch comes as JSON from Lambda, the mapping has 70 rules, and the job is planned
//! down to the bytes that BigQuery is sent.

#![allow(missing_docs, reason = "criterion's macros make public functions")]
#![allow(clippy::expect_used, reason = "a bench stops at what it did not expect")]

use std::hint::black_box;

use aws_lambda_events::event::sqs::SqsMessage;
use criterion::{Criterion, criterion_group, criterion_main};
use dms2bq::entry::lambda::SqsBatch;
use dms2bq::event::{self, Notice};
use dms2bq::job::plan::Plan;
use dms2bq::key::{self, KeyMeaning};
use dms2bq::object::Object;
use dms2bq::object::footer::{self, Footer, FooterRead};
use dms2bq::route::{Decision, MappingFile, Mappings};
use serde_json::{Value, json};

/// A file of changes with seventeen columns.
const FILE: &str = "samples/acme-landing/dms/casino-a/game/player/2022/12/01/20221201-093015123.parquet";
const KEY: &str = "dms/casino-a/game/player/2022/12/01/20221201-093015123.parquet";

fn mappings() -> Mappings {
    let rule = |n: usize| json!({ "schema": "game", "table": format!("table_{n}"), "destination": { "table": "{table}" } });
    let mut rules: Vec<Value> = (0..68).map(rule).collect();
    rules.push(json!({ "schema": "game", "table": "log_%", "destination": { "table": "{schema}_{table}" } }));
    rules.push(json!({ "schema": "game", "table": "player", "destination": { "table": "player_log" } }));
    let mapping = json!({
        "source": {
            "bucket": "acme-landing", "bucket_folder": "dms/casino-a",
            "date_partition": { "sequence": "YYYYMMDD", "delimiter": "SLASH" },
        },
        "destination": { "project": "acme-dw", "location": "asia-northeast3", "dataset": "casino_a" },
        "tables": rules,
    });
    let file = MappingFile { name: "casino-a.json".to_owned(), text: mapping.to_string() };
    Mappings::parse(vec![file]).expect("the mapping is good")
}

/// A batch of one message, as Lambda hands it over.
fn batch(size_bytes: usize) -> String {
    let record = json!({
        "eventVersion": "2.1", "eventSource": "aws:s3", "awsRegion": "ap-northeast-2",
        "eventTime": "2022-12-01T09:30:16.123Z", "eventName": "ObjectCreated:Put",
        "userIdentity": { "principalId": "AWS:AROAEXAMPLE:dms-session-for-replication-engine" },
        "requestParameters": { "sourceIPAddress": "198.51.100.7" },
        "responseElements": { "x-amz-request-id": "C3D13FE58DE4C810", "x-amz-id-2": "FMyUVURIY8/IgAtTv8xRjskZQpcIZ9KG" },
        "s3": {
            "s3SchemaVersion": "1.0", "configurationId": "landing",
            "bucket": {
                "name": "acme-landing", "ownerIdentity": { "principalId": "A3NL1KOZZKExample" },
                "arn": "arn:aws:s3:::acme-landing",
            },
            "object": {
                "key": KEY, "size": size_bytes, "eTag": "d41d8cd98f00b204e9800998ecf8427e", "sequencer": "0055AED6DCD90281E5",
            },
        },
    });
    let message = json!({
        "messageId": "059f36b4-87a3-44ab-83d2-661975830a7d",
        "receiptHandle": "AQEBwJnKyrHigUMZj6rYigCgxlaS3SLy0a",
        "body": json!({ "Records": [record] }).to_string(),
        "attributes": {
            "ApproximateReceiveCount": "1", "SentTimestamp": "1669887016123",
            "SenderId": "AIDAIENQZJOLO23YVJ4VO", "ApproximateFirstReceiveTimestamp": "1669887016185",
        },
        "messageAttributes": {}, "md5OfBody": "e4e68fb7bd0e697a0ae8f1bb342846b3",
        "eventSource": "aws:sqs", "eventSourceARN": "arn:aws:sqs:ap-northeast-2:123456789012:landing",
        "awsRegion": "ap-northeast-2",
    });
    json!({ "Records": [message] }).to_string()
}

fn read_footer(bytes: &[u8]) -> Footer {
    match footer::read(bytes, bytes.len() as u64) {
        Ok(FooterRead::Done(footer)) => footer,
        other => panic!("expected a footer, got {other:?}"),
    }
}

/// The body of the first message of a batch.
fn decode(batch: &str) -> String {
    let batch: SqsBatch = serde_json::from_str(batch).expect("the batch is good");
    let message = batch.records.first().expect("the batch has a message");
    let message: SqsMessage = serde_json::from_str(message.get()).expect("the message is good");
    message.body.expect("the message has a body")
}

/// From a message's body to the job that BigQuery is asked for.
fn plan(body: &str, mappings: &Mappings, footer: &Footer, size_bytes: u64) -> Vec<u8> {
    let mut notices = event::read(body).expect("the body is good");
    let Some(Ok(Notice::Created(created))) = notices.pop() else { panic!("an object was created") };
    let named = created.object;
    let landing = mappings.landing(&named.bucket, &named.key).expect("the mapping names the folder");
    let Ok(KeyMeaning::Data(key)) = key::parse(&named.key, landing.layout()) else {
        panic!("the key is DMS's")
    };
    let Ok(Decision::Load(route)) = landing.resolve(&key) else { panic!("a rule matches") };
    let etag = named.etag.expect("the event has an etag");
    let object = Object::new(named.bucket, named.key, etag, named.version_id);
    let plan = Plan { object: &object, size_bytes, footer, key: &key, route: &route, table: None };
    let job = plan.job(0).expect("the job can be planned");
    serde_json::to_vec(&job.resource).expect("a job is JSON")
}

fn per_message(c: &mut Criterion) {
    let file = std::fs::read(FILE).expect("the sample is there");
    let mappings = mappings();
    let batch = batch(file.len());
    let body = decode(&batch);
    let footer = read_footer(&file);
    let size_bytes = file.len() as u64;

    c.bench_function("decode the batch", |b| b.iter(|| decode(black_box(&batch))));
    c.bench_function("event, key, route, job", |b| {
        b.iter(|| plan(black_box(&body), &mappings, &footer, size_bytes));
    });
    c.bench_function("read the footer", |b| b.iter(|| read_footer(black_box(&file))));
    c.bench_function("all of one message", |b| {
        b.iter(|| {
            let body = decode(black_box(&batch));
            let footer = read_footer(black_box(&file));
            plan(&body, &mappings, &footer, size_bytes)
        });
    });
}

criterion_group!(benches, per_message);
criterion_main!(benches);
