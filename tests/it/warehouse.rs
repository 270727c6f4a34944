//! Who keeps the contract of `Warehouse`: memory, and the embedded BigQuery through the real client over HTTP.

#[path = "../contract/warehouse.rs"]
mod contract;

use std::sync::Arc;

use async_trait::async_trait;
use contract::{Bench, DATASET, LOCATION, PROJECT, Party, examine, file, ids, table_ref};
use dms2bq::cloud::clock::SystemClock;
use dms2bq::cloud::google::{BigQuery, CHUNK_MULTIPLE_BYTES, Settings, Sizes};
use dms2bq::cloud::memory::objects::MemoryObjects;
use dms2bq::cloud::memory::warehouse::{Course, Ending, MemoryWarehouse};
use dms2bq::cloud::{Inserted, Warehouse};
use dms2bq::emulator::{self, Limits, Options};
use dms2bq::job::{JobRecord, JobState};
use dms2bq::route::TableRef;

#[tokio::test]
async fn memory_keeps_the_contract_of_warehouse() {
    examine(&MemoryWarehouse::new(Arc::new(SystemClock))).await;
}

#[async_trait]
impl Party for MemoryWarehouse {
    fn warehouse(&self) -> &dyn Warehouse {
        self
    }

    async fn create_dataset(&self, project: &str, dataset: &str, location: &str) {
        MemoryWarehouse::create_dataset(self, project, dataset, location);
    }

    async fn row_count(&self, table: &TableRef) -> u64 {
        MemoryWarehouse::row_count(self, table).expect("the table is there")
    }
}

#[tokio::test]
async fn the_client_and_the_embedded_bigquery_keep_the_contract_of_warehouse() {
    // The suite loads one table more often than BigQuery's limits allow; the limits have tests of their own.
    let options = Options { limits: Limits::NONE, ..Options::default() };
    let running = emulator::start(options).await.expect("loopback is there");
    let mut settings = Settings::emulator(running.base_url()).expect("a URL");
    // The smallest chunks that Google accepts, so that a small file needs several.
    settings.sizes = Sizes { multipart_limit_bytes: CHUNK_MULTIPLE_BYTES, chunk_bytes: CHUNK_MULTIPLE_BYTES };
    let client = BigQuery::new(settings, Arc::new(SystemClock)).await.expect("a client needs no network");
    let party = Embedded { running, client };
    examine(&party).await;
    party.running.shutdown().await;
}

/// The embedded BigQuery, and the real client that talks to it.
struct Embedded {
    running: emulator::Running,
    client: BigQuery,
}

#[async_trait]
impl Party for Embedded {
    fn warehouse(&self) -> &dyn Warehouse {
        &self.client
    }

    async fn create_dataset(&self, project: &str, dataset: &str, location: &str) {
        self.running.ensure_dataset(project, dataset, location).await.expect("a good name");
    }

    async fn row_count(&self, table: &TableRef) -> u64 {
        let url = format!(
            "{}/bigquery/v2/projects/{}/datasets/{}/tables/{}",
            self.running.base_url(),
            table.project,
            table.dataset,
            table.table
        );
        let answer: serde_json::Value =
            reqwest::get(url).await.expect("an answer").json().await.expect("a table");
        answer["numRows"].as_str().expect("a number in a string").parse().expect("a number")
    }
}

/// The words of BigQuery for a job's state.
fn word(record: &JobRecord) -> &'static str {
    match record.state {
        JobState::Pending => "PENDING",
        JobState::Running => "RUNNING",
        JobState::Succeeded => "DONE",
        JobState::Failed(_) => "FAILED",
    }
}

#[tokio::test]
async fn a_job_in_memory_takes_the_course_that_a_test_gives_it() {
    let long = Course { reads_pending: 2, reads_running: 1, ending: Ending::Deserved };
    let courses = [
        (Course::at_once(), ["DONE", "DONE", "DONE", "DONE", "DONE"]),
        (Course::default(), ["PENDING", "RUNNING", "DONE", "DONE", "DONE"]),
        (long, ["PENDING", "PENDING", "PENDING", "RUNNING", "DONE"]),
        (Course::fails("backendError", "try again"), ["PENDING", "RUNNING", "FAILED", "FAILED", "FAILED"]),
        (Course::held(), ["PENDING", "RUNNING", "RUNNING", "RUNNING", "RUNNING"]),
    ];
    for (n, (course, expected)) in courses.into_iter().enumerate() {
        let memory = MemoryWarehouse::new(Arc::new(SystemClock));
        memory.create_dataset(PROJECT, DATASET, LOCATION);
        memory.direct(move |_| course.clone());
        let bench = Bench { party: &memory, objects: Arc::new(MemoryObjects::new()) };
        let load = bench.load(&format!("course_{n}"), "course", file(&ids(0..7)));
        let Ok(Inserted::Created(made)) = bench.insert(&load).await else { panic!("the id is free") };
        let mut states = vec![word(&made)];
        while states.len() < expected.len() {
            states.push(word(&bench.get(&load.job).await.expect("it was made")));
            let rows = memory.row_count(&table_ref("course"));
            assert_eq!(
                rows.is_some(),
                states.last() == Some(&"DONE"),
                "rows and state become visible together"
            );
        }
        assert_eq!(states, expected);
        memory.release(&load.job);
        let after_release = bench.get(&load.job).await.expect("it was made");
        assert_eq!(word(&after_release), if expected[4] == "FAILED" { "FAILED" } else { "DONE" });
    }
}
