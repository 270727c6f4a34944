//! Whole batches through the handler, over memory. What one message holds must not matter to any other.
//!
//! `tests/cases/batches` holds batches as files; its README says how to write one. What a file cannot say (panics,
//! deadlines, how much goes on at once) is tested below.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use dms2bq::cloud::clock::SystemClock;
use dms2bq::cloud::{Clock, Deadline};
use dms2bq::entry::lambda::{InvocationError, Time};
use dms2bq::entry::mapping_store::{MappingSource, MappingStore, Offer, SourceError, Version};
use dms2bq::outcome::reply::WholeBatch;
use dms2bq::route::MappingFile;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::batch_bench::{BUCKET, Bench, Manner, batch, mappings, message, news, record, table_ref};
use crate::twins::file;
use crate::{cases, schema};

const FOLDER: &str = "dms/casino-a/game";

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    #[serde(rename = "why")]
    _why: String,
    /// The objects of the bucket by key: `3 rows`, `empty`, or a file below `tests/cases`.
    #[serde(default)]
    objects: BTreeMap<String, String>,
    /// The tables that there are before, by name: columns as name, mode and type.
    #[serde(default)]
    tables: BTreeMap<String, Vec<[String; 3]>>,
    messages: Vec<Message>,
    /// What is written, in order of the messages' ids.
    lines: Vec<String>,
    failures: Vec<String>,
    /// The rows of each table afterwards; null if there must be no such table.
    #[serde(default)]
    rows: BTreeMap<String, Option<u64>>,
    /// The keys that S3 is not asked about.
    #[serde(default)]
    s3_untouched: Vec<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Message {
    id: String,
    #[serde(default = "first")]
    receive_count: u32,
    /// News of S3, each with what differs from an object that was put.
    records: Option<Vec<Piece>>,
    /// Or a body of its own: text as it stands, anything else as JSON.
    body: Option<Value>,
    /// Or what stands in the place of the SQS message.
    raw: Option<Value>,
}

fn first() -> u32 {
    1
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Piece {
    key: String,
    bucket: Option<String>,
    etag: Option<String>,
    event: Option<String>,
    version: Option<String>,
}

/// Every batch of the cases ends with this message, which must be loaded whatever the others hold.
const BYSTANDER: &str = "zz-bystander";

#[tokio::test]
async fn every_batch_ends_as_its_case_says_and_a_good_message_beside_it_is_loaded() {
    let names = cases::files("batches", "json");
    assert!(names.len() >= 25, "only {} cases", names.len());
    let mut problems = Vec::new();
    for name in names {
        let case: Case = cases::json(&cases::root("batches"), &name);
        problems.extend(walk(&case).await.into_iter().map(|problem| format!("{name}: {problem}")));
    }
    assert!(problems.is_empty(), "{}", problems.join("\n"));
}

async fn walk(case: &Case) -> Vec<String> {
    let bench = Bench::new();
    let mut etags = BTreeMap::new();
    for (key, content) in &case.objects {
        let object = bench.objects.inner.put(BUCKET, key, content_of(content));
        etags.insert(key.as_str(), object.etag().to_string());
    }
    for (name, columns) in &case.tables {
        bench.memory.create_table(&table_ref(name), schema::table(columns));
    }
    let mut messages: Vec<Value> = case.messages.iter().map(|message| sqs_message(message, &etags)).collect();
    messages
        .push(news(BYSTANDER, &[bench.put(&format!("{FOLDER}/bystander/LOAD00000001.parquet"), file(2))]));
    let failures = bench.handle(&messages).await;

    let mut problems = Vec::new();
    let mut wanted = case.lines.clone();
    wanted.push(format!("{BYSTANDER}: loaded"));
    wanted.sort();
    if bench.lines() != wanted {
        problems.push(format!("wanted the lines {wanted:#?}, found {:#?}", bench.lines()));
    }
    if failures != case.failures {
        problems.push(format!("wanted the failures {:?}, found {failures:?}", case.failures));
    }
    if bench.rows("bystander") != Some(2) {
        problems.push("the bystander's rows are not in".to_owned());
    }
    for (table, rows) in &case.rows {
        let found = bench.rows(table);
        if found != *rows {
            problems.push(format!("table {table}: wanted {rows:?} rows, found {found:?}"));
        }
    }
    for key in case.s3_untouched.iter().filter(|key| bench.objects.calls(key) > 0) {
        problems.push(format!("S3 was asked about {key}"));
    }
    let records = bench.records.lock().unwrap();
    for record in records.iter().filter(|record| record.outcome == "returned") {
        if record.remedy.as_ref().is_none_or(|text| text.is_empty() || text.contains('\n')) {
            problems
                .push(format!("{:?} does not say in a line what to do: {:?}", record.code, record.remedy));
        }
        if record.message.as_ref().is_none_or(|text| text.is_empty() || text.contains('\n')) {
            problems.push(format!("{:?} is not told in a line: {:?}", record.code, record.message));
        }
    }
    problems
}

fn content_of(words: &str) -> Bytes {
    match words.split_once(' ') {
        Some((rows, "rows")) => file(rows.parse().unwrap()),
        _ if words == "empty" => Bytes::new(),
        _ => {
            let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases").join(words);
            fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display())).into()
        }
    }
}

fn sqs_message(message: &Message, etags: &BTreeMap<&str, String>) -> Value {
    if let Some(raw) = &message.raw {
        return raw.clone();
    }
    let body = match (&message.records, &message.body) {
        (Some(pieces), None) => {
            let records: Vec<Value> = pieces.iter().map(|piece| s3_record(piece, etags)).collect();
            json!({ "Records": records }).to_string()
        }
        (None, Some(Value::String(text))) => text.clone(),
        (None, Some(json)) => json.to_string(),
        _ => panic!("{}: either records or a body", message.id),
    };
    self::message(&message.id, message.receive_count, &body)
}

fn s3_record(piece: &Piece, etags: &BTreeMap<&str, String>) -> Value {
    let etag = piece.etag.clone().or_else(|| etags.get(piece.key.as_str()).cloned());
    let etag = etag.unwrap_or_else(|| "d41d8cd98f00b204e9800998ecf8427e".to_owned());
    let mut made = record(piece.bucket.as_deref().unwrap_or(BUCKET), &piece.key, &etag);
    if let Some(event) = &piece.event {
        made["eventName"] = json!(event);
    }
    if let Some(version) = &piece.version {
        made["eventVersion"] = json!(version);
    }
    made
}

fn key(table: &str, sequence: u32) -> String {
    format!("{FOLDER}/{table}/LOAD{sequence:08X}.parquet")
}

#[tokio::test]
async fn without_partial_replies_a_good_batch_is_done_and_one_failure_brings_all_back() {
    let bench = Bench::with(MappingStore::fixed(mappings()), false);
    let good = news("good", &[bench.put(&key("player", 1), file(3))]);
    let deadline = Deadline::at(bench.clock.now() + Duration::from_secs(600));
    let reply =
        bench.handler.handle(batch(std::slice::from_ref(&good)), Time::until(deadline)).await.unwrap();
    assert_eq!(serde_json::to_string(&reply).unwrap(), r#"{"batchItemFailures":[]}"#);
    let with_poison = [good, message("poison", 1, "not JSON")];
    let error = bench.handler.handle(batch(&with_poison), Time::until(deadline)).await.unwrap_err();
    assert_eq!(error.code(), "outcome.whole_batch");
    assert!(matches!(
        error,
        InvocationError::WholeBatch(WholeBatch::PartialRepliesOff { failed: 1, messages: 2 })
    ));
    assert_eq!(bench.rows("player"), Some(3), "what came back a second time was found loaded");
}

#[tokio::test]
async fn with_partial_replies_the_reply_names_what_comes_back_in_lambdas_own_words() {
    let bench = Bench::new();
    let messages = [
        message("bad-1", 1, "not JSON"),
        news("good", &[bench.put(&key("player", 1), file(3))]),
        message("bad-2", 1, "{}"),
    ];
    let deadline = Deadline::at(bench.clock.now() + Duration::from_secs(600));
    let reply = bench.handler.handle(batch(&messages), Time::until(deadline)).await.unwrap();
    assert_eq!(
        serde_json::to_string(&reply).unwrap(),
        r#"{"batchItemFailures":[{"itemIdentifier":"bad-1"},{"itemIdentifier":"bad-2"}]}"#
    );
}

#[tokio::test]
async fn an_empty_batch_is_done() {
    let bench = Bench::new();
    assert_eq!(bench.handle(&[]).await, Vec::<String>::new());
    assert_eq!(bench.lines(), Vec::<String>::new());
}

#[tokio::test]
async fn more_messages_than_lambda_hands_over_are_refused_as_a_whole() {
    let bench = Bench::new();
    let deadline = Deadline::at(bench.clock.now() + Duration::from_secs(600));
    let test_event = |n: usize| message(&n.to_string(), 1, r#"{"Records": []}"#);
    let admitted: Vec<Value> = (0..10_000).map(test_event).collect();
    assert!(
        bench
            .handler
            .handle(batch(&admitted), Time::until(deadline))
            .await
            .unwrap()
            .batch_item_failures
            .is_empty()
    );
    let too_many: Vec<Value> = (0..10_001).map(test_event).collect();
    let error = bench.handler.handle(batch(&too_many), Time::until(deadline)).await.unwrap_err();
    assert_eq!(error.code(), "event.too_many_messages");
}

#[tokio::test]
async fn a_message_without_an_id_that_is_not_done_brings_the_whole_batch_back() {
    let bench = Bench::new();
    let deadline = Deadline::at(bench.clock.now() + Duration::from_secs(600));
    let mut nameless = news("", &[bench.put(&key("player", 1), file(3))]);
    nameless.as_object_mut().unwrap().remove("messageId");
    let reply = bench.handler.handle(batch(&[nameless]), Time::until(deadline)).await.unwrap();
    assert!(reply.batch_item_failures.is_empty(), "one that is done needs no name");
    let mut nameless = message("", 1, "not JSON");
    nameless.as_object_mut().unwrap().remove("messageId");
    let error = bench.handler.handle(batch(&[nameless]), Time::until(deadline)).await.unwrap_err();
    assert_eq!(error.code(), "outcome.no_message_id");
}

#[tokio::test]
async fn a_panic_returns_its_own_message_only() {
    let bench = Bench::new();
    bench.warehouse.behave(|table| if table == "cursed" { Manner::Panics } else { Manner::Well });
    let messages = [
        news("cursed", &[bench.put(&key("cursed", 1), file(3))]),
        news("good", &[bench.put(&key("player", 1), file(3))]),
    ];
    assert_eq!(bench.handle(&messages).await, ["cursed"]);
    assert_eq!(bench.lines(), ["cursed: returned bug.panic, may_pass", "good: loaded"]);
    let records = bench.records.lock().unwrap();
    let cursed = records.iter().find(|record| record.message_id == "cursed").unwrap();
    assert!(cursed.message.as_ref().unwrap().contains("the twin panics"), "{:?}", cursed.message);
    assert!(cursed.job_id.is_some(), "the line is whole however it ends");
}

#[tokio::test]
async fn at_the_deadline_what_is_not_done_comes_back_and_nothing_runs_on() {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let bench = Bench::over(Arc::clone(&clock), MappingStore::fixed(mappings()), true);
    bench.memory.direct(|_| dms2bq::cloud::memory::warehouse::Course::at_once());
    bench.warehouse.behave(|table| if table == "silent" { Manner::Hangs } else { Manner::Well });
    let mut messages = vec![news("good", &[bench.put(&key("player", 1), file(3))])];
    // More than are worked on at once, so that some have not even begun.
    let silent: Vec<String> = (1..=20).map(|n| format!("silent-{n:02}")).collect();
    for (n, id) in silent.iter().enumerate() {
        let sequence = u32::try_from(n).unwrap() + 1;
        messages.push(news(id, &[bench.put(&key("silent", sequence), file(3))]));
    }
    let deadline = Deadline::at(clock.now() + Duration::from_secs(2));
    let reply = bench.handler.handle(batch(&messages), Time::until(deadline)).await.unwrap();
    assert!(clock.now() >= deadline.instant(), "it was given all its time");
    assert_eq!(bench.warehouse.under_way(), 0, "nothing outlives the reply");
    let failed: Vec<String> = reply.batch_item_failures.into_iter().map(|f| f.item_identifier).collect();
    assert_eq!(failed, silent);
    let found = bench.lines();
    assert_eq!(found.len(), 1 + silent.len(), "one line each: {found:#?}");
    let ended_with = |end: &str| found.iter().filter(|line| line.ends_with(end)).count();
    assert_eq!(ended_with(": loaded"), 1, "{found:#?}");
    // Four loads of one table are under way at once; the others wait for a place for half of the time.
    assert_eq!(ended_with(": returned job.out_of_time, may_have_happened"), 4, "{found:#?}");
    assert_eq!(ended_with(": returned job.paced, paced"), 12, "{found:#?}");
    assert_eq!(ended_with(": returned job.not_begun, may_pass"), 4, "{found:#?}");
    assert_eq!(bench.rows("player"), Some(3));
}

#[tokio::test]
async fn objects_are_worked_on_at_the_same_time_and_within_a_bound() {
    let bench = Bench::new();
    // None of the first sixteen goes on before all of them are there.
    bench.warehouse.wait_for(16);
    let mut messages = Vec::new();
    for n in 1..=32 {
        let table = format!("table_{n}");
        messages.push(news(&format!("m{n}"), &[bench.put(&key(&table, 1), file(3))]));
    }
    assert_eq!(bench.handle(&messages).await, Vec::<String>::new());
    assert_eq!(bench.warehouse.most_under_way(), 16);
    assert_eq!(bench.lines().len(), 32, "one line for each object");
    assert!((1..=32).all(|n| bench.rows(&format!("table_{n}")) == Some(3)));
}

#[tokio::test]
async fn the_same_batch_again_loads_nothing_and_reads_nothing_from_s3() {
    let bench = Bench::new();
    let records: Vec<Value> = (1..=3).map(|n| bench.put(&key("player", n), file(3))).collect();
    let body = json!({ "Records": records }).to_string();
    assert_eq!(bench.handle(&[message("m", 1, &body)]).await, Vec::<String>::new());
    let calls: usize = (1..=3).map(|n| bench.objects.calls(&key("player", n))).sum();
    for n in 1..=3 {
        bench.objects.inner.delete(BUCKET, &key("player", n));
    }
    bench.records.lock().unwrap().clear();
    assert_eq!(bench.handle(&[message("m", 2, &body)]).await, Vec::<String>::new());
    assert_eq!(bench.lines(), ["m: loaded job.adopted"; 3]);
    assert_eq!(bench.rows("player"), Some(9));
    let calls_now: usize = (1..=3).map(|n| bench.objects.calls(&key("player", n))).sum();
    assert_eq!(calls_now, calls, "what is loaded is loaded, though its object is gone");
}

#[tokio::test]
async fn a_duplicate_within_a_batch_is_loaded_once() {
    let bench = Bench::new();
    let one = bench.put(&key("player", 1), file(3));
    let messages = [news("a", std::slice::from_ref(&one)), news("b", &[one.clone(), one])];
    assert_eq!(bench.handle(&messages).await, Vec::<String>::new());
    assert_eq!(bench.rows("player"), Some(3));
    assert_eq!(bench.lines().len(), 3, "each record has its line");
    assert_eq!(bench.memory.jobs().len(), 1);
}

/// Mapping files that cannot be read at first.
struct Flaky(Mutex<Vec<Result<Vec<MappingFile>, String>>>);

#[async_trait]
impl MappingSource for Flaky {
    async fn look(&self, _: Deadline) -> Result<Offer, SourceError> {
        Ok(Offer { version: Version::Package, before: None })
    }

    async fn read(&self, _: &Version, _: Deadline) -> Result<Vec<MappingFile>, SourceError> {
        self.0.lock().unwrap().remove(0).map_err(SourceError::Unread)
    }
}

fn source(answers: Vec<Result<Vec<MappingFile>, String>>) -> MappingStore {
    MappingStore::from_source(Arc::new(Flaky(Mutex::new(answers))))
}

#[tokio::test]
async fn without_mappings_every_message_comes_back_and_the_next_invocation_reads_them_again() {
    let text = cases::text(&cases::root("batches").join("mappings"), "casino-a.json");
    let good = vec![MappingFile { name: "mappings/casino-a.json".to_owned(), text }];
    let bad = vec![MappingFile { name: "mappings/bad.json".to_owned(), text: r#"{"sauce": {}}"#.to_owned() }];
    let store = source(vec![Err("s3: denied".to_owned()), Ok(Vec::new()), Ok(bad), Ok(good)]);
    let bench = Bench::with(store, true);
    let messages = [
        news("a", &[bench.put(&key("player", 1), file(3))]),
        news("b", &[bench.put(&key("player", 2), file(3))]),
    ];
    for problem in ["s3: denied", "no mapping files", "sauce"] {
        assert_eq!(bench.handle(&messages).await, ["a", "b"], "{problem}");
        let found = bench.lines();
        assert_eq!(
            found,
            [
                "a: returned mapping.unusable, nothing_can_load",
                "b: returned mapping.unusable, nothing_can_load"
            ]
        );
        let told = bench.records.lock().unwrap().remove(0).message.unwrap();
        assert!(told.to_lowercase().contains(problem), "{problem}: {told}");
        bench.records.lock().unwrap().clear();
    }
    assert_eq!(bench.objects.calls(&key("player", 1)), 0, "S3 is not touched");
    assert_eq!(bench.handle(&messages).await, Vec::<String>::new());
    assert_eq!(bench.rows("player"), Some(6));
}

#[tokio::test]
async fn what_keeps_everything_from_loading_is_said_once_and_loudly() {
    let log = crate::log::listen();
    let bench = Bench::with(source(vec![Err("s3: denied".to_owned())]), true);
    let messages: Vec<Value> =
        (1..=5).map(|n| news(&n.to_string(), &[bench.put(&key("player", n), file(3))])).collect();
    bench.handle(&messages).await;
    let lines = log.lines();
    let loud: Vec<&Value> = lines.iter().filter(|line| line["level"] == "ERROR").collect();
    assert_eq!(loud.len(), 1, "{lines:?}");
    assert_eq!(loud[0]["fields"]["code"], "mapping.unusable");
    assert_eq!(loud[0]["fields"]["message_count"], 5);
    let wide: Vec<&Value> = lines.iter().filter(|line| line["fields"]["outcome"] == "returned").collect();
    assert_eq!(wide.len(), 5, "and one line for each object all the same");
}

#[tokio::test]
async fn every_file_that_bigquery_cannot_take_is_returned_by_its_code_and_costs_no_job() {
    let bench = Bench::new();
    let mut messages = Vec::new();
    let mut wanted = Vec::new();
    for path in crate::footer::parquet_files("tests/cases/footers") {
        let code = path.parent().unwrap().file_name().unwrap().to_str().unwrap().to_owned();
        if code == "ok" {
            continue;
        }
        let id = format!("{code}-{}", path.file_stem().unwrap().to_str().unwrap());
        let sequence = u32::try_from(messages.len()).unwrap() + 1;
        messages.push(news(&id, &[bench.put(&key("player", sequence), fs::read(&path).unwrap())]));
        wanted.push(format!("{id}: returned {code}, never"));
    }
    wanted.sort();
    assert!(wanted.len() >= 25, "only {} files", wanted.len());
    assert_eq!(bench.handle(&messages).await.len(), wanted.len());
    assert_eq!(bench.lines(), wanted);
    assert!(bench.memory.jobs().is_empty());
}
