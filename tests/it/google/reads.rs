use std::time::Duration;

use dms2bq::cloud::{CallError, TableLookup, Warehouse};
use dms2bq::job::{ColumnMode, JobFailure, JobState, TableColumn};
use dms2bq::route::TableRef;
use serde_json::json;

use super::server::{Reply, Server};
use super::{JOB_ID, ample, client, deadline, error, job, job_ref, variant};

fn table_ref() -> TableRef {
    TableRef { project: "acme-dw".to_owned(), dataset: "casino_a".to_owned(), table: "player".to_owned() }
}

async fn get_job(script: Vec<Reply>) -> (Result<Option<dms2bq::job::JobRecord>, CallError>, Server) {
    let server = Server::start(script).await;
    let found = client(&server).await.get_job(&job_ref(), ample()).await;
    (found, server)
}

async fn get_table(script: Vec<Reply>) -> (Result<TableLookup, CallError>, Server) {
    let server = Server::start(script).await;
    let found = client(&server).await.get_table(&table_ref(), ample()).await;
    (found, server)
}

#[tokio::test]
async fn a_job_is_read_with_its_project_location_and_id() {
    let (found, server) = get_job(vec![Reply::json(200, &job("DONE"))]).await;
    let record = found.expect("an answer").expect("a job");
    assert_eq!(record.id, JOB_ID);
    assert_eq!(record.state, JobState::Succeeded);
    assert_eq!(record.destination, Some(table_ref()));
    assert_eq!(record.labels.get("object").map(String::as_str), Some("0123"));
    assert_eq!(
        (record.output_rows, record.created_ms, record.ended_ms),
        (Some(42), Some(1_700_000_000_000), Some(1_700_000_001_500))
    );
    let target = format!("/bigquery/v2/projects/acme-dw/jobs/{JOB_ID}?location=asia-northeast3");
    assert_eq!(server.requests()[0].target, target);
}

#[tokio::test]
async fn a_failed_job_keeps_its_reason_and_a_warning_is_no_failure() {
    let mut failed = job("DONE");
    failed["status"]["errorResult"] = json!({"reason": "invalid", "message": "bad file"});
    failed["status"]["errors"] = json!([
        {"reason": "invalid", "message": "bad file"},
        {"reason": "invalid", "message": "row 7", "location": "gs"},
    ]);
    let (found, _server) = get_job(vec![Reply::json(200, &failed)]).await;
    let failure =
        JobFailure { reason: "invalid".into(), message: "bad file".into(), details: vec!["row 7".into()] };
    assert_eq!(found.expect("an answer").expect("a job").state, JobState::Failed(failure));

    let mut warned = job("DONE");
    warned["status"]["errors"] = json!([{"reason": "invalid", "message": "row 7"}]);
    let (found, _server) = get_job(vec![Reply::json(200, &warned)]).await;
    assert_eq!(found.expect("an answer").expect("a job").state, JobState::Succeeded);
}

#[tokio::test]
async fn an_unknown_job_is_none_but_only_bigquery_can_say_so() {
    let unknown = error(404, "notFound", &format!("Not found: Job acme-dw:{JOB_ID}"));
    let (found, server) = get_job(vec![Reply::json(404, &unknown)]).await;
    assert_eq!(found.expect("an answer"), None);
    assert_eq!(server.requests().len(), 1);

    let (found, _server) =
        get_job(vec![Reply::text(404, "text/html", "<html><title>Not Found</title>")]).await;
    assert!(
        matches!(found, Err(CallError::Unavailable { .. })),
        "a proxy's page says nothing of jobs: {found:?}"
    );
    let project = error(404, "notFound", "Not found: Project acme-dw");
    let (found, _server) = get_job(vec![Reply::json(404, &project)]).await;
    assert!(matches!(found, Err(CallError::NotFound { .. })), "{found:?}");
}

#[tokio::test]
async fn a_read_is_repeated_until_it_is_answered() {
    let page = Reply::text(502, "text/html", "<html><head><title>502\nBad Gateway</title>");
    let script = vec![
        page,
        Reply::Reset,
        Reply::Truncated { status: 200, body: "{".into() },
        Reply::json(200, &job("RUNNING")),
    ];
    let (found, server) = get_job(script).await;
    assert_eq!(found.expect("an answer").expect("a job").state, JobState::Running);
    assert!(server.requests().len() <= 5, "{}", server.requests().len());
}

#[tokio::test]
async fn a_read_gives_up_after_a_few_tries_and_says_what_came() {
    let page = Reply::text(502, "text/html", "<html><head><title>502\nBad Gateway</title>");
    let (found, server) = get_job(vec![page]).await;
    let error = found.expect_err("nothing usable came");
    assert!(matches!(error, CallError::Unavailable { .. }), "{error:?}");
    assert_eq!(error.to_string(), "jobs.get: no usable answer (502: 502 Bad Gateway)");
    // Three tries; each time the crate cannot say what came, and the thin client asks again.
    assert_eq!(server.requests().len(), 6);
}

#[tokio::test]
async fn an_error_with_a_success_around_it_is_the_error_it_is() {
    let (found, _server) =
        get_job(vec![Reply::json(200, &error(403, "accessDenied", "Access Denied"))]).await;
    assert!(matches!(found, Err(CallError::Denied { .. })), "{found:?}");
}

#[tokio::test]
async fn refusals_are_told_apart_by_their_reason_first() {
    let cases = [
        (403, "rateLimitExceeded", "Throttled"),
        (403, "quotaExceeded", "QuotaExceeded"),
        (403, "accessDenied", "Denied"),
        (403, "billingNotEnabled", "Denied"),
        (400, "invalid", "Rejected"),
        (400, "backendError", "Unavailable"),
        (501, "notImplemented", "Rejected"),
        (503, "backendError", "Unavailable"),
    ];
    for (status, reason, expected) in cases {
        let (found, _server) = get_job(vec![Reply::json(status, &error(status, reason, "why"))]).await;
        let found = found.expect_err(reason);
        assert_eq!(variant(&found), expected, "{status} {reason}");
        assert!(found.to_string().contains(&format!("{status} {reason}: why")), "{found}");
    }
}

#[tokio::test]
async fn an_error_without_the_list_that_the_crate_wants_keeps_its_status() {
    let bare = json!({"error": {"code": 403, "message": "API is off", "status": "PERMISSION_DENIED"}});
    let (found, _server) = get_job(vec![Reply::json(403, &bare)]).await;
    assert!(matches!(found, Err(CallError::Denied { .. })), "{found:?}");
    let (found, _server) = get_job(vec![Reply::text(403, "text/html", "<title>Blocked</title>")]).await;
    let error = found.expect_err("refused");
    assert_eq!(error.to_string(), "jobs.get: refused (403: Blocked)");
}

#[tokio::test]
async fn a_throttled_read_waits_as_asked_if_that_is_short_and_returns_if_it_is_long() {
    let throttled = Reply::json(429, &error(429, "rateLimitExceeded", "slow down"));
    let (found, _server) =
        get_job(vec![throttled.clone(), throttled.clone(), Reply::json(200, &job("DONE"))]).await;
    assert!(found.expect("an answer").is_some());

    let long = throttled.with("retry-after", "30");
    let (found, server) = get_job(vec![long]).await;
    let Err(CallError::Throttled { retry_after, .. }) = found else { panic!("{found:?}") };
    assert_eq!(retry_after, Some(Duration::from_secs(30)));
    assert_eq!(server.requests().len(), 2, "the crate's call, and the one that reads Retry-After");
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let elsewhere = Server::start(vec![Reply::json(200, &job("DONE"))]).await;
    let (found, _server) = get_job(vec![Reply::empty(302).with("location", elsewhere.url.clone())]).await;
    assert!(matches!(found, Err(CallError::Unavailable { .. })), "{found:?}");
    assert!(elsewhere.requests().is_empty());
}

#[tokio::test]
async fn a_silent_service_costs_no_more_than_the_deadline() {
    let server = Server::start(vec![Reply::Silence]).await;
    let begun = std::time::Instant::now();
    let found = client(&server).await.get_job(&job_ref(), deadline(Duration::from_millis(150))).await;
    assert!(matches!(found, Err(CallError::OutOfTime { sent: false, .. })), "{found:?}");
    assert!(begun.elapsed() < Duration::from_millis(1500), "{:?}", begun.elapsed());
    let found = client(&server).await.get_job(&job_ref(), deadline(Duration::ZERO)).await;
    assert!(matches!(found, Err(CallError::OutOfTime { .. })), "{found:?}");
}

#[tokio::test]
async fn a_service_that_is_not_there_was_not_asked() {
    let server = Server::start(vec![Reply::Silence]).await;
    let client = client(&server).await;
    drop(server);
    tokio::task::yield_now().await;
    let found = client.get_job(&job_ref(), ample()).await;
    assert!(matches!(found, Err(CallError::NotSent { .. })), "{found:?}");
}

#[tokio::test]
async fn a_table_is_read_with_its_columns() {
    let table = json!({
        "kind": "bigquery#table",
        "tableReference": {"projectId": "acme-dw", "datasetId": "casino_a", "tableId": "player"},
        "creationTime": "1700000000000",
        "numRows": "7",
        "timePartitioning": {"type": "DAY"},
        "schema": {"fields": [
            {"name": "id", "type": "INT64", "mode": "REQUIRED"},
            {"name": "tags", "type": "STRING", "mode": "REPEATED"},
            {"name": "at", "type": "TIMESTAMP"},
        ]},
    });
    let (found, server) = get_table(vec![Reply::json(200, &table)]).await;
    let TableLookup::Found(info) = found.expect("an answer") else { panic!("the table is there") };
    assert_eq!(info.created_ms, 1_700_000_000_000);
    assert!(info.partitioned);
    let column = |name: &str, kind: &str, mode| TableColumn { name: name.into(), kind: kind.into(), mode };
    assert_eq!(
        info.columns,
        [
            column("id", "INTEGER", ColumnMode::Required),
            column("tags", "STRING", ColumnMode::Repeated),
            column("at", "TIMESTAMP", ColumnMode::Nullable),
        ]
    );
    assert_eq!(server.requests()[0].target, "/bigquery/v2/projects/acme-dw/datasets/casino_a/tables/player");
}

#[tokio::test]
async fn a_table_that_the_crate_cannot_read_is_read_all_the_same() {
    let reference = json!({"projectId": "acme-dw", "datasetId": "casino_a", "tableId": "player"});
    let bare = json!({"tableReference": reference, "creationTime": 1_700_000_000_000_u64});
    let (found, _server) = get_table(vec![Reply::json(200, &bare)]).await;
    let TableLookup::Found(info) = found.expect("an answer") else { panic!("the table is there") };
    assert_eq!((info.created_ms, info.columns.len(), info.partitioned), (1_700_000_000_000, 0, false));

    let ranged = json!({
        "tableReference": reference,
        "creationTime": "1700000000000",
        "schema": {"fields": [{"name": "during", "type": "RANGE", "rangeElementType": {"type": "DATE"}}]},
        "rangePartitioning": {"field": "id", "range": {"start": "0", "end": "10", "interval": "1"}},
    });
    let (found, _server) = get_table(vec![Reply::json(200, &ranged)]).await;
    let TableLookup::Found(info) = found.expect("an answer") else { panic!("the table is there") };
    assert_eq!(info.columns[0].kind, "RANGE");
    assert!(info.partitioned);
}

#[tokio::test]
async fn a_missing_dataset_is_told_from_a_missing_table() {
    let cases = [
        ("Not found: Table acme-dw:casino_a.player", Some(TableLookup::NoTable)),
        ("Not found: Dataset acme-dw:casino_a", Some(TableLookup::NoDataset)),
        ("Not found: Dataset acme-dw:casino_a was not found in location EU", Some(TableLookup::NoDataset)),
        ("Not found: Project acme-dw", None),
        ("Something else", None),
    ];
    for (message, expected) in cases {
        let (found, _server) = get_table(vec![Reply::json(404, &error(404, "notFound", message))]).await;
        match expected {
            Some(expected) => assert_eq!(found.expect(message), expected),
            None => assert!(matches!(found, Err(CallError::NotFound { .. })), "{message}: {found:?}"),
        }
    }
}
