//! The metrics in the log lines, by the words of CloudWatch's specification of its embedded format
//! (<https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html>):
//! what refers to a field that is not there, or has another type, CloudWatch drops without a word.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use dms2bq::cloud::Clock;
use dms2bq::cloud::clock::SystemClock;
use dms2bq::emulator::{self, Options};
use dms2bq::telemetry::metrics::{METRICS, NAMESPACE};
use serde_json::{Value, json};

use crate::lambda_api::{Answer, Function};
use crate::one_object_s3::{Manner, OneObjectS3};
use crate::runtime_api::{BOOTSTRAP, environment};
use crate::twins::{file_of, numbers};

const KEY: &str = "dms/casino-a/game/player/LOAD00000001.parquet";

/// What a line counts: each metric with the values of the dimensions that it is told apart by.
type Counted = BTreeMap<String, Vec<Vec<String>>>;

/// Reads a line as CloudWatch does, and stops at what it would drop.
fn counted(line: &Value) -> Counted {
    let mut counted = Counted::new();
    let embedded = &line["_aws"];
    let now_ms = SystemClock.unix_ms();
    let at_ms = embedded["Timestamp"].as_u64().expect("milliseconds");
    assert!(now_ms.abs_diff(at_ms) < 3_600_000, "{at_ms} is not about now");
    for directive in embedded["CloudWatchMetrics"].as_array().expect("a list") {
        assert_eq!(directive["Namespace"], NAMESPACE);
        let sets = directive["Dimensions"].as_array().expect("a list of lists");
        assert!(!sets.is_empty(), "{line}");
        let values_of = |set: &Value| -> Vec<String> {
            let names = set.as_array().expect("a list of names").iter();
            names.map(|name| line[name.as_str().unwrap()].as_str().expect("a text").to_owned()).collect()
        };
        let sets: Vec<Vec<String>> = sets.iter().map(values_of).collect();
        for metric in directive["Metrics"].as_array().expect("a list") {
            let known = METRICS.iter().find(|known| metric["Name"] == known.name).expect("a metric of ours");
            assert_eq!(metric["Unit"], known.unit);
            assert!(line[known.name].is_number(), "{} is no number in {line}", known.name);
            counted.entry(known.name.to_owned()).or_default().extend(sets.clone());
        }
    }
    counted
}

/// A function over a bucket of one object and an embedded BigQuery.
struct Ground {
    function: Function,
    _s3: OneObjectS3,
    bigquery: emulator::Running,
    _folder: tempfile::TempDir,
    lines_seen: usize,
}

impl Ground {
    async fn start() -> Self {
        let ground = Self::with(&[]).await;
        ground.bigquery.ensure_dataset("acme-dw", "casino_a", "asia-northeast3").await.expect("a good name");
        ground
    }

    /// Without any dataset, and with these variables besides the usual ones.
    async fn with(more: &[(&str, &str)]) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let options = Options { data_dir: Some(folder.path().to_owned()), ..Options::default() };
        let bigquery = emulator::start(options).await.expect("loopback is there");
        let s3 = OneObjectS3::start(file_of(&[numbers("id", 1..4)]), "e1", Manner::default()).await;
        let mut settings = vec![
            ("DMS2BQ_PARTIAL_BATCH_RESPONSE", "on"),
            ("AWS_ENDPOINT_URL_S3", s3.url()),
            ("BIGQUERY_EMULATOR_HOST", bigquery.base_url()),
        ];
        settings.extend(more);
        let function = Function::start(BOOTSTRAP, &environment(&settings)).await;
        Self { function, _s3: s3, bigquery, _folder: folder, lines_seen: 0 }
    }

    /// Hands the function a message and gives the one wide line that it wrote.
    async fn line_of(&mut self, receive_count: u32, body: &Value) -> Value {
        let (mut wide, _others) = self.lines_of(receive_count, body).await;
        assert_eq!(wide.len(), 1, "{wide:?}");
        wide.remove(0)
    }

    /// Hands the function a message and gives the wide lines that it wrote, and the others that count something.
    async fn lines_of(&mut self, receive_count: u32, body: &Value) -> (Vec<Value>, Vec<Value>) {
        let attributes = json!({ "ApproximateReceiveCount": receive_count.to_string() });
        let message = json!({ "messageId": "m", "body": body.to_string(), "attributes": attributes });
        let answer = self.function.invoke(&json!({ "Records": [message] }), Duration::from_secs(30)).await;
        assert!(matches!(answer, Answer::Response(_)), "{answer:?}");
        let output = self.function.output();
        let lines: Vec<Value> = output
            .lines()
            .skip(self.lines_seen)
            .map(|line| serde_json::from_str::<Value>(line).expect("JSON"))
            .filter(|line| line.get("_aws").is_some())
            .collect();
        self.lines_seen = output.lines().count();
        lines.into_iter().partition(|line| line.get("outcome").is_some())
    }
}

fn created(bucket: &str, landed_at: &str) -> Value {
    json!({ "Records": [{
        "eventVersion": "2.1", "eventSource": "aws:s3", "eventName": "ObjectCreated:Put", "eventTime": landed_at,
        "s3": { "bucket": { "name": bucket }, "object": { "key": KEY, "eTag": "e1", "size": 999 } },
    }] })
}

/// `files`, told apart by outcome and code.
fn files(outcome: &str, code: Option<&str>) -> (String, Vec<Vec<String>>) {
    let set = |values: &[&str]| values.iter().map(|&value| value.to_owned()).collect::<Vec<_>>();
    let mut sets = vec![set(&["dms2bq"]), set(&["dms2bq", outcome])];
    sets.extend(code.map(|code| set(&["dms2bq", outcome, code])));
    ("files".to_owned(), sets)
}

/// The metrics that are not told apart by anything but the function.
fn plain(names: &[&str]) -> Counted {
    names.iter().map(|&name| (name.to_owned(), vec![vec!["dms2bq".to_owned()]])).collect()
}

const MEASURED: [&str; 5] = ["row_count", "size_bytes", "load_latency_ms", "job_wait_ms", "retry_count"];

#[tokio::test]
async fn a_line_counts_what_came_in_with_its_message_and_nothing_twice() {
    let mut ground = Ground::start().await;
    let landed = jiff::Timestamp::now().to_string();
    let news = created("acme-landing", &landed);

    let line = ground.line_of(1, &news).await;
    let mut expected = plain(&MEASURED);
    expected.extend([files("loaded", None)]);
    assert_eq!(counted(&line), expected, "{line}");
    assert_eq!((&line["files"], &line["row_count"], &line["retry_count"]), (&json!(1), &json!(3), &json!(0)));
    assert!(line["load_latency_ms"].as_u64().expect("a number") < 30_000, "{line}");

    let line = ground.line_of(1, &news).await;
    assert_eq!(
        counted(&line),
        Counted::from([files("loaded", Some("job.adopted"))]),
        "S3's second message: {line}"
    );

    let line = ground.line_of(2, &news).await;
    assert_eq!(
        counted(&line),
        Counted::from([files("loaded", Some("job.adopted"))]),
        "it came for another's sake: {line}"
    );

    let line = ground.line_of(1, &json!({ "Event": "s3:TestEvent", "Bucket": "acme-landing" })).await;
    assert_eq!(counted(&line), Counted::from([files("ignored", Some("event.test"))]), "{line}");

    let line = ground.line_of(1, &created("elsewhere", &landed)).await;
    assert_eq!(counted(&line), Counted::from([files("returned", Some("route.unmapped"))]), "{line}");
}

#[tokio::test]
async fn what_keeps_all_of_a_dataset_from_loading_is_counted_once_in_each_invocation() {
    let mut ground = Ground::with(&[]).await;
    let news = created("acme-landing", &jiff::Timestamp::now().to_string());
    let two = json!({ "Records": [news["Records"][0], news["Records"][0]] });
    for receive_count in 1..=2 {
        let (wide, others) = ground.lines_of(receive_count, &two).await;
        assert_eq!(wide.len(), 2, "{wide:?}");
        for line in &wide {
            assert_eq!(
                counted(line),
                Counted::from([files("returned", Some("job.dataset_not_found"))]),
                "{line}"
            );
        }
        let [line] = others.as_slice() else { panic!("one line, and not {others:?}") };
        assert_eq!(counted(line), plain(&["nothing_can_load"]), "{line}");
        assert_eq!((&line["nothing_can_load"], &line["message_count"]), (&json!(1), &json!(2)), "{line}");
    }
}

#[tokio::test]
async fn mappings_that_a_process_cannot_begin_with_are_counted_when_it_starts() {
    let broken = tempfile::tempdir().expect("a folder");
    std::fs::write(broken.path().join("casino-a.json"), r#"{ "sauce": {} }"#).expect("written");
    let mut ground = Ground::with(&[("DMS2BQ_MAPPINGS", broken.path().to_str().expect("a path"))]).await;
    let (wide, others) = ground.lines_of(1, &created("acme-landing", "2022-12-01T09:30:15.123Z")).await;
    assert_eq!(counted(&wide[0]), Counted::from([files("returned", Some("mapping.unusable"))]));
    let counted_by_others: Vec<Counted> = others.iter().map(counted).collect();
    assert_eq!(
        counted_by_others,
        [plain(&["mappings_rejected"]), plain(&["nothing_can_load"])],
        "{others:?}"
    );
    assert!(others[0]["reason"].as_str().expect("a text").contains("sauce"), "{others:?}");

    // Whoever deploys asks with an empty batch whether the function starts, and reads the end of its log.
    let before = ground.function.output().lines().count();
    ground.function.invoke(&json!({ "Records": [] }), Duration::from_secs(30)).await;
    let output = ground.function.output();
    let said: Vec<&str> = output.lines().skip(before).collect();
    assert!(
        said.len() == 1 && said[0].contains(r#""level":"ERROR""#) && said[0].contains("sauce"),
        "{said:?}"
    );
}

#[tokio::test]
async fn news_without_a_time_or_from_the_future_measures_no_latency() {
    for landed_at in ["", "yesterday", "2999-01-01T00:00:00.000Z"] {
        let mut ground = Ground::start().await;
        let line = ground.line_of(1, &created("acme-landing", landed_at)).await;
        let names: BTreeSet<String> = counted(&line).into_keys().collect();
        assert!(!names.contains("load_latency_ms"), "{landed_at}: {line}");
        assert!(names.contains("row_count"), "{landed_at}: {line}");
    }
}

#[tokio::test]
async fn bytes_that_land_again_after_they_were_loaded_are_said_to_be_in_once() {
    let mut ground = Ground::start().await;
    let (before, after) = ("2022-12-01T09:30:15.123Z", "2999-01-01T00:00:00.000Z");
    for (landed_at, level, says_why) in
        [(before, "INFO", false), (before, "INFO", false), (after, "WARN", true)]
    {
        let line = ground.line_of(1, &created("acme-landing", landed_at)).await;
        assert_eq!((&line["outcome"], &line["level"]), (&json!("loaded"), &json!(level)), "{line}");
        let reason = line["reason"].as_str().unwrap_or_default();
        assert_eq!(reason.contains("landed again"), says_why, "{line}");
        assert_eq!(line["remedy"].is_string(), says_why, "{line}");
    }
}

#[test]
fn the_metrics_have_names_of_their_own_and_a_unit_that_cloudwatch_knows() {
    let names: BTreeSet<&str> = METRICS.iter().map(|metric| metric.name).collect();
    assert_eq!(names.len(), METRICS.len());
    for metric in METRICS {
        assert!(["Count", "Bytes", "Milliseconds"].contains(&metric.unit), "{metric:?}");
    }
}
