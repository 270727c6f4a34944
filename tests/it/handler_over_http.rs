//! Whole batches through the handler, with the real client, over HTTP to the embedded BigQuery.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use arrow::array::{Date32Array, Decimal128Array};
use arrow::datatypes::{DataType, Field};
use dms2bq::cloud::clock::SystemClock;
use dms2bq::cloud::google::{BigQuery, Settings};
use dms2bq::cloud::{Clock, Deadline};
use dms2bq::emulator::{self, Call, Fault, Faults, Options};
use dms2bq::entry::lambda::Handler;
use dms2bq::entry::mapping_store::MappingStore;
use serde_json::{Value, json};

use crate::batch_bench::{self, BUCKET, Records, WatchedObjects, lines, mappings, message, news, record};
use crate::twins::{Column, file, file_of, numbers, texts};

/// A handler, S3 in memory, and an embedded BigQuery on a folder that outlives it.
struct Ground {
    running: emulator::Running,
    objects: Arc<WatchedObjects>,
    handler: Handler,
    records: Records,
}

async fn handler(running: &emulator::Running, objects: &Arc<WatchedObjects>) -> (Handler, Records) {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let settings = Settings::emulator(running.base_url()).expect("a URL");
    let client = BigQuery::new(settings, Arc::clone(&clock)).await.expect("a client needs no network");
    let objects = Arc::clone(objects);
    batch_bench::handler(objects, Arc::new(client), &clock, MappingStore::fixed(mappings()), true)
}

impl Ground {
    async fn start(folder: &Path, options: Options) -> Self {
        Self::on(folder, options, Arc::default()).await
    }

    async fn on(folder: &Path, options: Options, objects: Arc<WatchedObjects>) -> Self {
        let options = Options { data_dir: Some(folder.to_owned()), ..options };
        let running = emulator::start(options).await.expect("loopback is there");
        running.ensure_dataset("acme-dw", "casino_a", "asia-northeast3").await.expect("a good name");
        let (handler, records) = handler(&running, &objects).await;
        Self { running, objects, handler, records }
    }

    /// Stops BigQuery and the handler, and starts others on the same folder and bucket.
    async fn restart(self, folder: &Path, options: Options) -> Self {
        self.running.shutdown().await;
        Self::on(folder, options, self.objects).await
    }

    fn put(&self, key: &str, bytes: impl Into<bytes::Bytes>) -> Value {
        let key = format!("dms/casino-a/game/{key}");
        let object = self.objects.inner.put(BUCKET, &key, bytes);
        record(BUCKET, &key, object.etag().as_str())
    }

    async fn load(&self, key: &str, columns: &[Column]) -> Vec<String> {
        self.handle(&[news("m", &[self.put(key, file_of(columns))])]).await
    }

    /// Gives the handler a batch, and tells what it wrote.
    async fn handle(&self, messages: &[Value]) -> Vec<String> {
        self.handle_within(messages, Duration::from_secs(60)).await
    }

    async fn handle_within(&self, messages: &[Value], span: Duration) -> Vec<String> {
        self.records.lock().unwrap().clear();
        let failures =
            batch_bench::failures(&self.handler, messages, Deadline::at(SystemClock.now() + span)).await;
        let lines = lines(&self.records);
        for failure in failures {
            let returned = |line: &String| line.starts_with(&format!("{failure}: returned"));
            assert!(lines.iter().any(returned), "{failure} comes back without a line: {lines:?}");
        }
        lines
    }

    async fn get(&self, path: &str) -> Value {
        let url = format!("{}/bigquery/v2/projects/acme-dw/{path}", self.running.base_url());
        reqwest::get(url).await.expect("an answer").json().await.expect("JSON")
    }

    async fn table(&self, table: &str) -> Value {
        self.get(&format!("datasets/casino_a/tables/{table}")).await
    }

    async fn rows(&self, table: &str) -> u64 {
        self.table(table).await["numRows"].as_str().unwrap_or("0").parse().expect("a number")
    }

    async fn delete_table(&self, table: &str) {
        let url = format!(
            "{}/bigquery/v2/projects/acme-dw/datasets/casino_a/tables/{table}",
            self.running.base_url()
        );
        let answer = reqwest::Client::new().delete(url).send().await.expect("an answer");
        assert!(answer.status().is_success(), "{answer:?}");
    }

    async fn job_count(&self) -> usize {
        self.get("jobs?maxResults=1000").await["jobs"].as_array().map_or(0, Vec::len)
    }

    async fn columns(&self, table: &str) -> Vec<String> {
        let table = self.table(table).await;
        let word = |field: &Value, name: &str| field[name].as_str().unwrap_or("NULLABLE").to_owned();
        let fields = table["schema"]["fields"].as_array().expect("columns");
        fields
            .iter()
            .map(|field| format!("{} {} {}", word(field, "name"), word(field, "type"), word(field, "mode")))
            .collect()
    }
}

#[tokio::test]
async fn a_batch_is_loaded_once_through_duplicates_redelivery_and_restarts() {
    let folder = tempfile::tempdir().expect("a folder");
    let ground = Ground::start(folder.path(), Options::default()).await;
    let first = ground.put("player/LOAD00000001.parquet", file(3));
    let second = ground.put("player/LOAD00000002.parquet", file(4));
    let mut corrupt = file(5).to_vec();
    let footer = corrupt.len() - 20;
    corrupt[footer..].fill(b'x');
    let corrupt = ground.put("player/LOAD00000003.parquet", corrupt);
    let batch = |count| {
        let body = |records: &[&Value]| json!({ "Records": records }).to_string();
        [
            message("a", count, &body(&[&first])),
            message("b", count, &body(&[&second, &first])),
            message("c", count, &body(&[&corrupt])),
            message("d", count, "<html>"),
        ]
    };
    let found = ground.handle(&batch(1)).await;
    assert_eq!(found.len(), 5, "{found:?}");
    assert_eq!(found[3], "c: returned object.truncated, never");
    assert_eq!(found[4], "d: returned event.not_json, never");
    assert!(found[..3].iter().all(|line| line.contains(": loaded")), "{found:?}");
    assert_eq!(ground.rows("player").await, 7);
    assert_eq!(ground.job_count().await, 2, "a corrupt file costs no job");

    let ground = ground.restart(folder.path(), Options::default()).await;
    let adopted = ["a: loaded job.adopted", "b: loaded job.adopted", "b: loaded job.adopted"];
    for receive_count in [2, 1] {
        // Looked up when it is received again; refused with 409 when it pretends to be fresh.
        let found = ground.handle(&batch(receive_count)).await;
        assert_eq!(found[..3], adopted, "receive {receive_count}");
    }
    assert_eq!(ground.rows("player").await, 7);
    assert_eq!(ground.job_count().await, 2);
    ground.running.shutdown().await;
}

#[tokio::test]
async fn a_job_that_outlives_its_receive_is_adopted_after_a_restart() {
    let folder = tempfile::tempdir().expect("a folder");
    let slow = Options { running: Duration::from_secs(3600), ..Options::default() };
    let ground = Ground::start(folder.path(), slow).await;
    let body = json!({ "Records": [ground.put("player/LOAD00000001.parquet", file(3))] }).to_string();
    // The waits between two looks grow; the last one ends well before this.
    let found = ground.handle_within(&[message("m", 1, &body)], Duration::from_secs(6)).await;
    assert_eq!(found, ["m: returned job.running, running"]);
    assert_eq!(ground.rows("player").await, 0);
    let ground = ground.restart(folder.path(), Options::default()).await;
    assert_eq!(ground.handle(&[message("m", 2, &body)]).await, ["m: loaded job.adopted"]);
    assert_eq!(ground.rows("player").await, 3);
    assert_eq!(ground.job_count().await, 1);
    ground.running.shutdown().await;
}

#[tokio::test]
async fn two_handlers_at_once_on_one_batch_load_each_row_once() {
    let folder = tempfile::tempdir().expect("a folder");
    let ground = Ground::start(folder.path(), Options::default()).await;
    let messages: Vec<Value> = (1..=4)
        .map(|n| news(&format!("m{n}"), &[ground.put(&format!("player/LOAD0000000{n}.parquet"), file(n))]))
        .collect();
    let (other, other_records) = handler(&ground.running, &ground.objects).await;
    let deadline = Deadline::at(SystemClock.now() + Duration::from_secs(60));
    let (mine, theirs) = tokio::join!(
        batch_bench::failures(&ground.handler, &messages, deadline),
        batch_bench::failures(&other, &messages, deadline)
    );
    assert_eq!((mine, theirs), (Vec::new(), Vec::new()));
    let all = [lines(&ground.records), lines(&other_records)].concat();
    assert_eq!(all.len(), 8, "{all:?}");
    assert!(all.iter().all(|line| line.contains(": loaded")), "{all:?}");
    assert_eq!(ground.rows("player").await, 1 + 2 + 3 + 4);
    ground.running.shutdown().await;
}

#[tokio::test]
async fn a_table_grows_with_its_files_and_keeps_its_types() {
    let folder = tempfile::tempdir().expect("a folder");
    let ground = Ground::start(folder.path(), Options::default()).await;
    let plain = [numbers("id", 0..3), texts("name", 3, false)];
    assert_eq!(ground.load("player/LOAD00000001.parquet", &plain).await, ["m: loaded"]);
    let with_level = [numbers("id", 3..5), texts("name", 2, false), numbers("level", 0..2)];
    assert_eq!(ground.load("player/LOAD00000002.parquet", &with_level).await, ["m: loaded"]);
    // DMS's column of commit times is REQUIRED, and can only be added as NULLABLE.
    let with_times = [texts("dms_timestamp", 4, true), numbers("id", 5..9), texts("name", 4, false)];
    assert_eq!(ground.load("player/LOAD00000003.parquet", &with_times).await, ["m: loaded"]);
    assert_eq!(ground.load("player/LOAD00000004.parquet", &plain).await, ["m: loaded"]);
    assert_eq!(ground.rows("player").await, 3 + 2 + 4 + 3);
    let mut columns = ground.columns("player").await;
    columns.sort();
    assert_eq!(
        columns,
        [
            "dms_timestamp STRING NULLABLE",
            "id INTEGER NULLABLE",
            "level INTEGER NULLABLE",
            "name STRING NULLABLE"
        ]
    );

    // A column whose type changed is BigQuery's to refuse, and stays refused.
    let jobs = ground.job_count().await;
    let text_id = file_of(&[texts("id", 2, false), texts("name", 2, false)]);
    let body = json!({ "Records": [ground.put("player/LOAD00000005.parquet", text_id)] }).to_string();
    for receive_count in 1..=3 {
        // Sent before the failure, so nobody has redriven it.
        let found = ground.handle(&[message("m", receive_count, &body)]).await;
        assert_eq!(found, ["m: returned job.rejected, never"]);
    }
    assert_eq!(ground.job_count().await, jobs + 1, "one job, whatever the number of receives");
    assert_eq!(ground.rows("player").await, 12);

    // Somebody drops the table and redrives the message: the next attempt loads.
    ground.delete_table("player").await;
    let mut redriven = message("m", 1, &body);
    redriven["attributes"]["SentTimestamp"] = json!((SystemClock.unix_ms() + 1).to_string());
    redriven["attributes"]["DeadLetterQueueSourceArn"] = json!("arn:aws:sqs:eu-west-1:111122223333:dead");
    assert_eq!(ground.handle(&[redriven]).await, ["m: loaded"]);
    assert_eq!(ground.records.lock().unwrap()[0].attempt, Some(1));
    assert_eq!(ground.rows("player").await, 2);
    ground.running.shutdown().await;
}

/// The answer to the first upload gets lost: before the work is done, or after it.
struct LosesAnAnswer {
    after_the_work: bool,
    lost: AtomicBool,
}

impl LosesAnAnswer {
    fn cut(&self, call: &Call) -> Option<Fault> {
        let is_upload = call.method == "POST" && call.path.starts_with("/upload/");
        (is_upload && !self.lost.swap(true, Ordering::SeqCst)).then_some(Fault::Cut)
    }
}

impl Faults for LosesAnAnswer {
    fn before(&self, call: &Call) -> Option<Fault> {
        if self.after_the_work { None } else { self.cut(call) }
    }

    fn after(&self, call: &Call) -> Option<Fault> {
        if self.after_the_work { self.cut(call) } else { None }
    }
}

#[tokio::test]
async fn an_upload_without_an_answer_is_looked_up_and_loaded_once() {
    for after_the_work in [true, false] {
        let folder = tempfile::tempdir().expect("a folder");
        let faults = Arc::new(LosesAnAnswer { after_the_work, lost: AtomicBool::new(false) });
        let options = Options { faults: Arc::clone(&faults) as Arc<dyn Faults>, ..Options::default() };
        let ground = Ground::start(folder.path(), options).await;
        let found = ground.load("player/LOAD00000001.parquet", &[numbers("id", 0..3)]).await;
        assert!(faults.lost.load(Ordering::SeqCst), "there was an upload");
        assert!(found[0].starts_with("m: loaded"), "{found:?}");
        assert_eq!(ground.rows("player").await, 3, "after the work: {after_the_work}");
        assert_eq!(ground.job_count().await, 1);
        ground.running.shutdown().await;
    }
}

#[tokio::test]
async fn a_new_table_gets_its_partitions_and_the_types_of_its_decimals() {
    let folder = tempfile::tempdir().expect("a folder");
    let ground = Ground::start(folder.path(), Options::default()).await;
    let decimals = |name: &str, precision, scale| -> Column {
        let values = Decimal128Array::from(vec![12_345, -1]).with_precision_and_scale(precision, scale);
        (Field::new(name, DataType::Decimal128(precision, scale), true), Arc::new(values.expect("they fit")))
    };
    let days: Column =
        (Field::new("opened_on", DataType::Date32, true), Arc::new(Date32Array::from(vec![19_327, 19_328])));
    let columns = [numbers("id", 0..2), decimals("balance", 15, 2), decimals("worth", 38, 4), days];
    assert_eq!(ground.load("ledger/LOAD00000001.parquet", &columns).await, ["m: loaded"]);
    assert_eq!(ground.load("ledger/LOAD00000002.parquet", &columns).await, ["m: loaded"]);
    let table = ground.table("ledger").await;
    assert_eq!(table["timePartitioning"]["type"], "DAY", "{table}");
    assert_eq!(table["timePartitioning"]["field"], "opened_on");
    assert_eq!(table["clustering"]["fields"], json!(["id"]));
    assert_eq!(
        ground.columns("ledger").await,
        [
            "id INTEGER NULLABLE",
            "balance NUMERIC NULLABLE",
            "worth BIGNUMERIC NULLABLE",
            "opened_on DATE NULLABLE"
        ]
    );
    assert_eq!(ground.rows("ledger").await, 4);
    let by_load = [numbers("id", 0..1)];
    assert_eq!(ground.load("player/LOAD00000001.parquet", &by_load).await, ["m: loaded"]);
    assert_eq!(ground.table("player").await["timePartitioning"], json!({ "type": "DAY" }));
    ground.running.shutdown().await;
}
