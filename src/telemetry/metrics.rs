//! Metrics, written into the log lines themselves: CloudWatch reads them out of lines that hold an object `_aws`
//! (<https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html>).
//! No agent, no call, no permission but the log's own.
//!
//! Each metric costs by the month and by every combination of its dimensions' values, so only the number of files is
//! told apart by code, and nothing is told apart by table. Tables are in the lines: ask Logs Insights.

use serde_json::{Value, json};

use crate::outcome::record::Record;

/// The field that makes CloudWatch read metrics out of a line.
pub(super) const EMBEDDED: &str = "_aws";

/// CloudWatch's name for all metrics of dms2bq.
pub const NAMESPACE: &str = "dms2bq";

/// The dimensions, which are fields of the line.
pub mod dimension {
    /// The Lambda function's name.
    pub const FUNCTION: &str = "function";
    /// `loaded`, `ignored` or `returned`.
    pub const OUTCOME: &str = "outcome";
    /// The stable code of what was not simply loaded.
    pub const CODE: &str = "code";
}

/// A metric.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Metric {
    /// Its name, which is the name of the field that holds the value.
    pub name: &'static str,
    /// CloudWatch's name of its unit.
    pub unit: &'static str,
}

/// Objects and receives: 1 for each wide line. By outcome, and by code.
pub const FILES: Metric = Metric { name: "files", unit: "Count" };
/// Rows that were loaded.
pub const ROWS: Metric = Metric { name: "row_count", unit: "Count" };
/// Bytes that were loaded.
pub const BYTES: Metric = Metric { name: "size_bytes", unit: "Bytes" };
/// From an object's landing in S3 until its rows could be queried.
pub const LOAD_LATENCY: Metric = Metric { name: "load_latency_ms", unit: "Milliseconds" };
/// How long a receive waited for BigQuery's job.
pub const JOB_WAIT: Metric = Metric { name: "job_wait_ms", unit: "Milliseconds" };
/// Jobs that failed before the one that loaded the object.
pub const RETRIES: Metric = Metric { name: "retry_count", unit: "Count" };
/// Mappings that were not taken, because they are broken: newer ones, or those that a process would begin with.
pub const MAPPINGS_REJECTED: Metric = Metric { name: "mappings_rejected", unit: "Count" };
/// What keeps everything of a dataset, or everything, from loading: 1 for each invocation that met it. The age of the oldest
/// message does not show it, since SQS leaves out messages that were received three times
/// (<https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-available-cloudwatch-metrics.html>).
pub const NOTHING_CAN_LOAD: Metric = Metric { name: "nothing_can_load", unit: "Count" };

/// Every metric that dms2bq writes.
pub const METRICS: [Metric; 8] =
    [FILES, ROWS, BYTES, LOAD_LATENCY, JOB_WAIT, RETRIES, MAPPINGS_REJECTED, NOTHING_CAN_LOAD];

/// The metrics of one function.
#[derive(Debug, Clone)]
pub struct Metrics {
    function: String,
}

impl Metrics {
    /// The metrics of the function of this name.
    pub fn of_function(name: impl Into<String>) -> Self {
        Self { function: name.into() }
    }

    /// The function's name, which every line with metrics holds.
    pub fn function(&self) -> &str {
        &self.function
    }

    /// What a wide line says to CloudWatch, as JSON.
    pub(super) fn of_record(&self, record: &Record, at_ms: u64) -> String {
        use dimension::{CODE, FUNCTION, OUTCOME};

        let mut sets = vec![vec![FUNCTION], vec![FUNCTION, OUTCOME]];
        sets.extend(record.code.map(|_| vec![FUNCTION, OUTCOME, CODE]));
        let mut directives = vec![directive(&sets, &[FILES])];
        let measured = measured(record);
        if !measured.is_empty() {
            directives.push(directive(&[vec![FUNCTION]], &measured));
        }
        embedded(at_ms, &directives)
    }

    /// What a line about something that is counted by itself says to CloudWatch, as JSON.
    pub(super) fn of_one(&self, metric: Metric, at_ms: u64) -> String {
        embedded(at_ms, &[directive(&[vec![dimension::FUNCTION]], &[metric])])
    }
}

/// What is measured of an object whose rows came in with this message. A message that comes again for another's sake, or
/// news of an object that was in already, measures nothing.
fn measured(record: &Record) -> Vec<Metric> {
    if !record.brought_rows {
        return Vec::new();
    }
    let values = [
        (ROWS, record.row_count.is_some()),
        (BYTES, record.size_bytes.is_some()),
        (LOAD_LATENCY, record.load_latency_ms.is_some()),
        (JOB_WAIT, record.job_wait_ms.is_some()),
        (RETRIES, record.attempt.is_some()),
    ];
    values.into_iter().filter_map(|(metric, is_known)| is_known.then_some(metric)).collect()
}

fn directive(sets: &[Vec<&str>], metrics: &[Metric]) -> Value {
    let metrics: Vec<Value> =
        metrics.iter().map(|metric| json!({ "Name": metric.name, "Unit": metric.unit })).collect();
    json!({ "Namespace": NAMESPACE, "Dimensions": sets, "Metrics": metrics })
}

fn embedded(at_ms: u64, directives: &[Value]) -> String {
    json!({ "Timestamp": at_ms, "CloudWatchMetrics": directives }).to_string()
}
