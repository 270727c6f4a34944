//! The limits on changes of one table, by a clock that the test sets.

use std::time::Duration;

use dms2bq::emulator::{Limits, Options};
use serde_json::json;

use super::parquet;
use super::server::{Client, TestClock, assert_failed, job, quick, serve};

async fn load_ok(client: &Client, id: &str) -> bool {
    let done = client.load(id, "t", &parquet::ids(0..1)).await;
    done["status"].get("errorResult").is_none()
}

#[tokio::test]
async fn the_sixth_change_of_a_table_in_ten_seconds_fails_and_may_be_tried_later() {
    let clock = TestClock::free_running();
    let (running, client) =
        serve(Options { clock: clock.clone(), limits: Limits::BIGQUERY, ..quick() }).await;
    for change in 0..5 {
        assert!(load_ok(&client, &format!("a{change}")).await);
        clock.advance(Duration::from_millis(100));
    }
    let refused = client.load("a5", "t", &parquet::ids(0..1)).await;
    assert_failed(&refused, "rateLimitExceeded", "too many table update operations for this table");
    clock.advance(Duration::from_millis(9_600));
    assert!(load_ok(&client, "a6").await, "the first change is ten seconds old");
    assert_eq!(client.row_count("t").await, 6);
    running.shutdown().await;
}

#[tokio::test]
async fn a_partitioned_table_takes_fifty_changes_in_ten_seconds() {
    let (running, client) = serve(Options { limits: Limits::BIGQUERY, ..quick() }).await;
    let load = json!({ "timePartitioning": { "type": "DAY" } });
    for change in 0..51 {
        let id = format!("p{change}");
        client.insert(&job(&id, "t", &load), &parquet::ids(0..1)).await;
        let failed = client.wait(&id).await["status"].get("errorResult").is_some();
        assert_eq!(failed, change == 50, "change {change}");
    }
    running.shutdown().await;
}

#[tokio::test]
async fn failed_jobs_use_the_day_up_and_another_table_does_not() {
    let clock = TestClock::free_running();
    let limits = Limits { changes_per_day: Some(3), ..Limits::NONE };
    let (running, client) = serve(Options { clock: clock.clone(), limits, ..quick() }).await;
    client.load("d0", "t", b"not parquet").await;
    assert!(load_ok(&client, "d1").await);
    client.load("d2", "t", b"not parquet").await;
    let refused = client.load("d3", "t", &parquet::ids(0..1)).await;
    assert_failed(&refused, "quotaExceeded", "exceeded quota for imports or query appends per table");
    let other = client.load("d4", "other", &parquet::ids(0..1)).await;
    assert_eq!(other["status"], json!({ "state": "DONE" }));
    assert_eq!(client.delete("/datasets/ds/tables/t").await, 204);
    assert!(!load_ok(&client, "d5").await, "the quota belongs to the name, not to the table");
    clock.advance(Duration::from_secs(24 * 60 * 60));
    assert!(load_ok(&client, "d6").await);
    running.shutdown().await;
}

#[tokio::test]
async fn a_restart_does_not_give_the_day_back() {
    let folder = tempfile::tempdir().unwrap_or_else(|error| panic!("a folder: {error}"));
    let limits = Limits { changes_per_day: Some(2), ..Limits::NONE };
    let options = || Options { limits, data_dir: Some(folder.path().to_path_buf()), ..quick() };
    let (running, client) = serve(options()).await;
    assert!(load_ok(&client, "r0").await);
    assert!(load_ok(&client, "r1").await);
    running.shutdown().await;
    let (running, client) = serve(options()).await;
    assert!(!load_ok(&client, "r2").await);
    running.shutdown().await;
}
