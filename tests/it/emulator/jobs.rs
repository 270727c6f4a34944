//! Jobs: their states, ids, labels and failures.

use dms2bq::emulator::{Faults, JobFault, Limits};
use serde_json::{Value, json};

use super::parquet;
use super::server::{TestClock, answer, assert_error, assert_failed, job, quick, serve};

#[tokio::test]
async fn a_job_is_pending_then_running_then_done() {
    let clock = TestClock::held();
    let options = dms2bq::emulator::Options { clock: clock.clone(), limits: Limits::NONE, ..quick() };
    let (running, client) = serve(options).await;

    let (status, made) = client.insert(&job("one", "t", &json!({})), &parquet::ids(0..3)).await;
    assert_eq!(status, 200);
    assert_eq!(made["status"], json!({ "state": "PENDING" }));
    assert_eq!(made["statistics"].get("startTime"), None);
    clock.let_one_wait_end();
    client.wait_for("one", "RUNNING").await;
    assert_eq!(client.get("/datasets/ds/tables/t").await.0, 404, "no table before the commit");
    clock.let_one_wait_end();
    let done = client.wait("one").await;

    assert_eq!(done["kind"], "bigquery#job");
    assert_eq!(done["id"], "proj:EU.one");
    assert_eq!(done["jobReference"], json!({ "projectId": "proj", "jobId": "one", "location": "EU" }));
    assert_eq!(done["configuration"]["jobType"], "LOAD");
    assert_eq!(done["configuration"]["labels"], json!({ "object": "0123abcd" }));
    let statistics = &done["statistics"];
    assert_eq!(statistics["creationTime"], "1700000000000");
    assert_eq!(statistics["endTime"], "1700000000000");
    assert_eq!(statistics["load"]["inputFiles"], "1");
    assert_eq!(statistics["load"]["inputFileBytes"], parquet::ids(0..3).len().to_string());
    assert_eq!(statistics["load"]["outputRows"], "3");
    assert_eq!(statistics["load"]["badRecords"], "0");
    running.shutdown().await;
}

#[tokio::test]
async fn a_known_id_is_refused_and_loads_nothing_more() {
    let (running, client) = serve(quick()).await;
    client.load("same", "t", &parquet::ids(0..3)).await;
    let (status, refusal) = client.insert(&job("same", "t", &json!({})), &parquet::ids(0..3)).await;
    assert_eq!(status, 409);
    assert_error(&refusal, 409, "duplicate", "Already Exists: Job proj:EU.same");
    assert_eq!(client.row_count("t").await, 3);
    running.shutdown().await;
}

#[tokio::test]
async fn of_many_inserts_with_one_id_exactly_one_makes_the_job() {
    let (running, client) = serve(quick()).await;
    let resource = job("race", "t", &json!({}));
    let file = parquet::ids(0..7);
    let attempts = futures_util::future::join_all((0..16).map(|_| client.insert(&resource, &file))).await;
    let made = attempts.iter().filter(|(status, _)| *status == 200).count();
    let refused = attempts.iter().filter(|(status, _)| *status == 409).count();
    assert_eq!((made, refused), (1, 15));
    client.wait("race").await;
    assert_eq!(client.row_count("t").await, 7);
    running.shutdown().await;
}

#[tokio::test]
async fn a_corrupt_file_is_a_failed_job_that_stays() {
    let (running, client) = serve(quick()).await;
    let good = parquet::ids(0..1000);
    let middle = good.len() / 2;
    let mut damaged = good.clone();
    damaged[4..middle].fill(0xff);
    let files: [(&str, Vec<u8>); 5] = [
        ("empty", Vec::new()),
        ("text", b"Op,id\nI,1\n".to_vec()),
        ("truncated", good[..middle].to_vec()),
        ("no-start", good[middle..].to_vec()),
        ("damaged", damaged),
    ];
    for (id, file) in &files {
        let failed = client.load(id, "t", file).await;
        assert_failed(&failed, "invalid", "Error while reading data");
        assert_eq!(client.wait(id).await, failed, "the record stays as it is");
        let (status, refusal) = client.insert(&job(id, "t", &json!({})), &good).await;
        assert_eq!(status, 409, "a failed id is used up: {refusal}");
    }
    assert_eq!(client.get("/datasets/ds/tables/t").await.0, 404);
    running.shutdown().await;
}

#[tokio::test]
async fn a_job_is_found_in_its_own_location_only() {
    let (running, client) = serve(quick()).await;
    client.load("here", "t", &parquet::ids(0..1)).await;
    assert_eq!(client.get("/jobs/here?location=eu").await.0, 200);
    for path in ["/jobs/here", "/jobs/here?location=US", "/jobs/other?location=EU"] {
        let (status, missing) = client.get(path).await;
        assert_eq!(status, 404, "{path}");
        assert_error(&missing, 404, "notFound", "Not found: Job proj:");
    }
    running.shutdown().await;
}

#[tokio::test]
async fn a_missing_dataset_or_another_location_fails_the_job() {
    let (running, client) = serve(quick()).await;
    let to = json!({ "destinationTable": { "projectId": "proj", "datasetId": "nowhere", "tableId": "t" } });
    let (status, _) = client.insert(&job("no-dataset", "t", &to), &parquet::ids(0..1)).await;
    assert_eq!(status, 200);
    assert_failed(&client.wait("no-dataset").await, "notFound", "Not found: Dataset proj:nowhere");

    let mut resource = job("elsewhere", "t", &json!({}));
    resource["jobReference"]["location"] = json!("US");
    client.insert(&resource, &parquet::ids(0..1)).await;
    let job = loop {
        let (_, job) = client.get("/jobs/elsewhere").await;
        if job["status"]["state"] == "DONE" {
            break job;
        }
    };
    assert_failed(&job, "notFound", "Dataset proj:ds was not found in location US");
    running.shutdown().await;
}

#[tokio::test]
async fn a_cancelled_job_is_stopped_and_loads_nothing() {
    let clock = TestClock::held();
    let (running, client) = serve(dms2bq::emulator::Options { clock: clock.clone(), ..quick() }).await;
    client.insert(&job("stop", "t", &json!({})), &parquet::ids(0..3)).await;
    let (status, cancelled) = client.post("/jobs/stop/cancel?location=EU", &Value::Null).await;
    assert_eq!(status, 200);
    assert_eq!(cancelled["kind"], "bigquery#jobCancelResponse");
    assert_failed(&client.wait("stop").await, "stopped", "cancelled");
    assert_eq!(client.get("/datasets/ds/tables/t").await.0, 404);
    running.shutdown().await;
}

#[tokio::test]
async fn jobs_are_listed_newest_first_in_pages_and_by_state() {
    let (running, client) = serve(quick()).await;
    for id in ["a", "b", "c"] {
        client.load(id, "t", &parquet::ids(0..1)).await;
    }
    let ids = |list: &Value| -> Vec<String> {
        let id = |job: &Value| job["jobReference"]["jobId"].as_str().map(str::to_owned);
        list["jobs"].as_array().map(|jobs| jobs.iter().filter_map(id).collect()).unwrap_or_default()
    };
    let (_, first) = client.get("/jobs?maxResults=2").await;
    assert_eq!(ids(&first), ["c", "b"]);
    assert_eq!(first["jobs"][0].get("configuration"), None, "the minimal projection");
    let token = first["nextPageToken"].as_str().map(str::to_owned);
    client.load("d", "t", &parquet::ids(0..1)).await;
    let (_, second) = client
        .get(&format!("/jobs?maxResults=2&projection=full&pageToken={}", token.unwrap_or_default()))
        .await;
    assert_eq!(ids(&second), ["a"], "a job made in between does not shift the pages");
    assert_eq!(second["jobs"][0]["configuration"]["jobType"], "LOAD");
    assert_eq!(second.get("nextPageToken"), None);
    assert_eq!(
        ids(&client.get("/jobs?stateFilter=pending&stateFilter=running").await.1),
        Vec::<String>::new()
    );
    assert_eq!(ids(&client.get("/jobs?stateFilter=done").await.1).len(), 4);
    running.shutdown().await;
}

#[tokio::test]
async fn what_is_wrong_with_a_job_resource_is_said_before_a_job_is_made() {
    let (running, client) = serve(quick()).await;
    let good = job("x", "t", &json!({}));
    let with = |pointer: &str, value: Value| {
        let mut resource = good.clone();
        if let Some(place) = resource.pointer_mut(pointer) {
            *place = value;
        }
        resource
    };
    let load = |name: &str, value: Value| job("x", "t", &json!({ name: value }));
    let cases = [
        (with("/jobReference/jobId", json!("a.b")), 400, "invalid", "Invalid job ID \"a.b\""),
        (with("/jobReference/jobId", json!("x".repeat(1025))), 400, "invalid", "at most 1024"),
        (with("/jobReference/location", json!("moon base")), 400, "invalid", "Invalid location"),
        (with("/jobReference/projectId", json!("other")), 400, "invalid", "not the request's project"),
        (with("/configuration/labels", json!({ "Upper": "a" })), 400, "invalid", "Invalid label key"),
        (with("/configuration/labels", json!({ "a": "B" })), 400, "invalid", "Invalid label value"),
        (with("/configuration/labels", json!({ "a": "x".repeat(64) })), 400, "invalid", "at most 63"),
        (with("/configuration", json!({})), 400, "invalid", "exactly one job-specific configuration"),
        (
            with("/configuration", json!({ "query": { "query": "SELECT 1" } })),
            501,
            "notImplemented",
            "load jobs only",
        ),
        (
            load("destinationTable", json!({ "datasetId": "a-b", "tableId": "t" })),
            400,
            "invalid",
            "Invalid dataset ID",
        ),
        (
            load("destinationTable", json!({ "datasetId": "ds", "tableId": "a/b" })),
            400,
            "invalid",
            "Invalid table ID",
        ),
        (
            load("destinationTable", json!({ "datasetId": "ds", "tableId": "t$20260102" })),
            501,
            "notImplemented",
            "decorators",
        ),
        (load("sourceFormat", json!("CSV")), 501, "notImplemented", "PARQUET only"),
        (load("sourceFormat", json!("XLS")), 400, "invalid", "sourceFormat: XLS"),
        (load("sourceUris", json!(["gs://b/o"])), 501, "notImplemented", "sourceUris"),
        (load("hivePartitioningOptions", json!({})), 501, "notImplemented", "hivePartitioningOptions"),
        (load("writeDisposition", json!("WRITE_SOMEHOW")), 400, "invalid", "WRITE_SOMEHOW"),
        (load("schema", json!({ "fields": [{ "name": "a", "type": "INT9" }] })), 400, "invalid", "INT9"),
        (
            load("schema", json!({ "fields": [{ "name": "a.b", "type": "STRING" }] })),
            400,
            "invalid",
            "Invalid field name",
        ),
        (load("clustering", json!({ "fields": ["a", "b", "c", "d", "e"] })), 400, "invalid", "limited to 4"),
    ];
    for (resource, status, reason, message) in cases {
        let (found, refusal) = client.insert(&resource, &parquet::ids(0..1)).await;
        assert_eq!(found, status, "{refusal}");
        assert_error(&refusal, status, reason, message);
    }
    assert_eq!(client.get("/jobs").await.1["jobs"], json!([]), "no job was made");
    running.shutdown().await;
}

#[tokio::test]
async fn what_is_not_there_says_so_in_googles_form() {
    let (running, client) = serve(quick()).await;
    let query = json!({ "configuration": { "query": { "query": "SELECT 1" } } });
    let plain_load = job("x", "t", &json!({}));
    let posts = [("/jobs", &query), ("/jobs", &plain_load), ("/queries", &query), ("/models", &query)];
    for (path, body) in posts {
        let (status, refusal) = client.post(path, body).await;
        assert_eq!(status, 501, "{path}");
        assert_error(&refusal, 501, "notImplemented", "The embedded BigQuery of dms2bq");
    }
    for path in ["/queries/x?location=EU", "/datasets/ds/models", "/nothing"] {
        assert_eq!(client.get(path).await.0, 501, "{path}");
    }
    let patch = client.http.patch(client.url("/datasets/ds")).json(&json!({}));
    assert_eq!(answer(patch).await.0, 501);
    running.shutdown().await;
}

/// The first attempt of each job fails as BigQuery's own machinery may.
struct BadDay;

impl Faults for BadDay {
    fn job(&self, job_id: &str) -> Option<JobFault> {
        let fault = JobFault {
            reason: "backendError".to_owned(),
            message: "Error encountered. Try again.".to_owned(),
        };
        job_id.ends_with("_0").then_some(fault)
    }
}

#[tokio::test]
async fn a_job_can_be_made_to_fail_and_its_next_attempt_loads() {
    let (running, client) =
        serve(dms2bq::emulator::Options { faults: std::sync::Arc::new(BadDay), ..quick() }).await;
    assert_failed(&client.load("job_0", "t", &parquet::ids(0..2)).await, "backendError", "Try again");
    assert_eq!(client.get("/datasets/ds/tables/t").await.0, 404);
    client.load("job_1", "t", &parquet::ids(0..2)).await;
    assert_eq!(client.row_count("t").await, 2);
    running.shutdown().await;
}
