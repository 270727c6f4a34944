//! Who keeps the contract of `Warehouse`: memory, and the real client over HTTP, with the embedded BigQuery and with
//! Google's. The last is examined where the environment names a dataset; without, the test says loudly that it was skipped.

#[path = "../contract/warehouse.rs"]
mod contract;

use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;
use contract::{Bench, Party, Place, examine, file, ids};
use dms2bq::cloud::clock::SystemClock;
use dms2bq::cloud::google::{BigQuery, CHUNK_MULTIPLE_BYTES, Settings, Sizes};
use dms2bq::cloud::memory::warehouse::{Course, Ending, MemoryWarehouse};
use dms2bq::cloud::{Clock, Inserted, Warehouse};
use dms2bq::emulator::{self, Limits, Options};
use dms2bq::job::{JobRecord, JobState};
use dms2bq::route::TableRef;

use crate::clouds::named_by;

#[tokio::test]
async fn memory_keeps_the_contract_of_warehouse() {
    examine(&MemoryWarehouse::new(Arc::new(SystemClock))).await;
}

#[async_trait]
impl Party for MemoryWarehouse {
    fn warehouse(&self) -> &dyn Warehouse {
        self
    }

    fn place(&self) -> Place {
        Place::made_up()
    }

    async fn create_dataset(&self, place: &Place) {
        MemoryWarehouse::create_dataset(self, &place.project, &place.dataset, &place.location);
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

    fn place(&self) -> Place {
        Place::made_up()
    }

    async fn create_dataset(&self, place: &Place) {
        let Place { project, dataset, location, .. } = place;
        self.running.ensure_dataset(project, dataset, location).await.expect("a good name");
    }

    async fn row_count(&self, table: &TableRef) -> u64 {
        row_count(reqwest::Client::new().get(table_url(self.running.base_url(), table))).await
    }
}

fn table_url(base_url: &str, table: &TableRef) -> String {
    let TableRef { project, dataset, table } = table;
    format!("{base_url}/bigquery/v2/projects/{project}/datasets/{dataset}/tables/{table}")
}

async fn row_count(tables_get: reqwest::RequestBuilder) -> u64 {
    let answer = tables_get.send().await.and_then(reqwest::Response::error_for_status).expect("an answer");
    let table: serde_json::Value = answer.json().await.expect("a table");
    table["numRows"].as_str().expect("a number in a string").parse().expect("a number")
}

#[tokio::test]
async fn bigquery_itself_keeps_the_contract_of_warehouse() {
    let variable = "DMS2BQ_TEST_BIGQUERY_DATASET";
    let Some(dataset) = named_by(variable, "the contract of Warehouse over BigQuery itself") else { return };
    let credentials = "GOOGLE_APPLICATION_CREDENTIALS";
    let Some(credentials) = named_by(credentials, "the contract of Warehouse over BigQuery itself") else {
        return;
    };
    let settings =
        Settings::from_environment(None, Some(Path::new(&credentials)), None, None).expect("an address");
    let client = BigQuery::new(settings, Arc::new(SystemClock)).await.expect("a client needs no network");
    examine(&Google { client, place: place(&dataset) }).await;
}

/// Reads `project.dataset@location`, where everything gets a name of this run.
fn place(dataset: &str) -> Place {
    let (name, location) = dataset.split_once('@').expect("project.dataset@location");
    let (project, dataset) = name.rsplit_once('.').expect("project.dataset@location");
    Place {
        project: project.to_owned(),
        location: location.to_owned(),
        dataset: dataset.to_owned(),
        suffix: format!("_{}", SystemClock.unix_ms()),
        // Whoever looks into another project is denied.
        other_project: None,
    }
}

/// BigQuery, and a dataset in it that somebody made for this.
struct Google {
    client: BigQuery,
    place: Place,
}

#[async_trait]
impl Party for Google {
    fn warehouse(&self) -> &dyn Warehouse {
        &self.client
    }

    fn place(&self) -> Place {
        self.place.clone()
    }

    async fn create_dataset(&self, _: &Place) {}

    /// The trait does not tell it, so it is asked by a request of the test's own.
    async fn row_count(&self, table: &TableRef) -> u64 {
        let scopes = ["https://www.googleapis.com/auth/bigquery"];
        let credentials = google_cloud_auth::credentials::Builder::default().with_scopes(scopes);
        let credentials = credentials.build_access_token_credentials().expect("credentials");
        let token = credentials.access_token().await.expect("a token").token;
        let url = table_url("https://bigquery.googleapis.com", table);
        row_count(reqwest::Client::new().get(url).bearer_auth(token)).await
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
        memory.direct(move |_| course.clone());
        let bench = Bench::new(&memory).await;
        let load = bench.load(&format!("course_{n}"), "course", file(&ids(0..7)));
        let Ok(Inserted::Created(made)) = bench.insert(&load).await else { panic!("the id is free") };
        let mut states = vec![word(&made)];
        while states.len() < expected.len() {
            states.push(word(&bench.get(&load.job).await.expect("it was made")));
            let rows = memory.row_count(&bench.table_ref("course"));
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
