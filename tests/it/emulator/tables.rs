//! Datasets, tables and rows.

use serde_json::{Value, json};

use super::parquet;
use super::server::{assert_error, job, quick, serve};

fn dataset(id: &str, location: &str) -> Value {
    json!({ "datasetReference": { "projectId": "proj", "datasetId": id }, "location": location, "labels": { "a": "b" } })
}

#[tokio::test]
async fn datasets_are_made_found_listed_and_deleted() {
    let (running, client) = serve(quick()).await;
    let (status, made) = client.post("/datasets", &dataset("more", "asia-northeast3")).await;
    assert_eq!(status, 200);
    assert_eq!(made["id"], "proj:more");
    assert_eq!(made["location"], "asia-northeast3");
    assert_eq!(made["labels"], json!({ "a": "b" }));
    assert_eq!(client.get("/datasets/more").await.1, made);
    assert_error(
        &client.post("/datasets", &dataset("more", "EU")).await.1,
        409,
        "duplicate",
        "Already Exists: Dataset proj:more",
    );
    let (_, list) = client.get("/datasets?maxResults=1").await;
    assert_eq!(list["datasets"][0]["id"], "proj:ds");
    let (_, rest) = client
        .get(&format!("/datasets?pageToken={}", list["nextPageToken"].as_str().unwrap_or("none")))
        .await;
    assert_eq!(rest["datasets"][0]["id"], "proj:more");
    assert_eq!(client.delete("/datasets/more").await, 204);
    assert_error(&client.get("/datasets/more").await.1, 404, "notFound", "Not found: Dataset proj:more");
    running.shutdown().await;
}

#[tokio::test]
async fn a_dataset_with_tables_is_deleted_only_with_its_contents() {
    let (running, client) = serve(quick()).await;
    client.load("a", "t", &parquet::ids(0..1)).await;
    assert_eq!(client.delete("/datasets/ds").await, 400);
    assert_eq!(client.delete("/datasets/ds?deleteContents=true").await, 204);
    assert_error(&client.get("/datasets/ds/tables/t").await.1, 404, "notFound", "Not found: Dataset proj:ds");
    running.shutdown().await;
}

#[tokio::test]
async fn a_table_made_again_starts_empty_and_young() {
    let clock = super::server::TestClock::free_running();
    let (running, client) = serve(dms2bq::emulator::Options { clock: clock.clone(), ..quick() }).await;
    client.load("a", "t", &parquet::ids(0..5)).await;
    let before = client.table("t").await;
    assert_eq!(client.delete("/datasets/ds/tables/t").await, 204);
    assert_error(&client.get("/datasets/ds/tables/t").await.1, 404, "notFound", "Not found: Table proj:ds.t");
    clock.advance(std::time::Duration::from_secs(1));
    client.load("b", "t", &parquet::ids(0..2)).await;
    let after = client.table("t").await;
    assert_eq!((&before["numRows"], &after["numRows"]), (&json!("5"), &json!("2")));
    assert_eq!(
        (&before["creationTime"], &after["creationTime"]),
        (&json!("1700000000000"), &json!("1700000001000"))
    );
    running.shutdown().await;
}

#[tokio::test]
async fn rows_come_in_pages_across_parts() {
    let (running, client) = serve(quick()).await;
    for part in 0..4_i64 {
        client.load(&format!("part{part}"), "t", &parquet::ids(part * 3..part * 3 + 3)).await;
    }
    let cells = |rows: Vec<Vec<Value>>| -> Vec<Value> { rows.into_iter().flatten().collect() };
    let expected: Vec<Value> = (0..12).map(|id| json!(id.to_string())).collect();
    assert_eq!(cells(client.rows("t", "").await), expected);
    assert_eq!(cells(client.rows("t", "startIndex=2&maxResults=5").await), expected[2..7]);
    assert_eq!(cells(client.rows("t", "startIndex=12").await), expected[12..]);
    let (mut pages, mut token) = (Vec::new(), String::new());
    loop {
        let (_, page) =
            client.get(&format!("/datasets/ds/tables/t/data?maxResults=5&pageToken={token}")).await;
        assert_eq!(page["totalRows"], "12");
        pages.push(page["rows"].as_array().map_or(0, Vec::len));
        let Some(next) = page["pageToken"].as_str() else { break };
        next.clone_into(&mut token);
    }
    assert_eq!(pages, [5, 5, 2]);
    running.shutdown().await;
}

#[tokio::test]
async fn columns_can_be_selected_and_timestamps_come_in_two_forms() {
    let (running, client) = serve(quick()).await;
    let message =
        "message m { optional int64 t (TIMESTAMP(MILLIS,true)); optional int32 a; optional int32 b; }";
    client.load("a", "t", &parquet::file(message, &[vec![json!(-1500), json!(1), json!(2)]])).await;
    assert_eq!(client.rows("t", "selectedFields=B,t").await, [[json!("-1.500000"), json!("2")]]);
    let micros = "formatOptions.useInt64Timestamp=True";
    assert_eq!(client.rows("t", micros).await, [[json!("-1500000"), json!("1"), json!("2")]]);
    let (_, refusal) = client.get("/datasets/ds/tables/t/data?selectedFields=zz").await;
    assert_error(&refusal, 400, "invalid", "zz is no column");
    running.shutdown().await;
}

#[tokio::test]
async fn what_a_table_cannot_be_is_refused() {
    let (running, client) = serve(quick()).await;
    let table = |extra: Value| {
        let mut table = json!({ "tableReference": { "tableId": "made" } });
        for (name, value) in extra.as_object().into_iter().flatten() {
            table[name] = value.clone();
        }
        table
    };
    let cases = [
        (json!({ "view": { "query": "SELECT 1" } }), 501, "notImplemented", "without view"),
        (json!({ "rangePartitioning": {} }), 501, "notImplemented", "without rangePartitioning"),
        (json!({ "timePartitioning": { "type": "WEEK" } }), 400, "invalid", "WEEK"),
        (
            json!({ "timePartitioning": { "type": "DAY", "field": "d" } }),
            400,
            "invalid",
            "cannot be found in the schema",
        ),
        (
            json!({ "schema": { "fields": [{ "name": "a", "type": "NUMERIC", "precision": "5" }] } }),
            501,
            "notImplemented",
            "precision",
        ),
    ];
    for (extra, status, reason, message) in cases {
        assert_error(&client.post("/datasets/ds/tables", &table(extra)).await.1, status, reason, message);
    }
    assert_eq!(client.post("/datasets/nowhere/tables", &table(json!({}))).await.0, 404);
    assert_eq!(client.post("/datasets/ds/tables", &table(json!({}))).await.0, 200);
    assert_eq!(client.post("/datasets/ds/tables", &table(json!({}))).await.0, 409);
    assert_eq!(client.get("/datasets/ds/tables").await.1["totalItems"], 1);
    running.shutdown().await;
}

#[tokio::test]
async fn tables_keep_names_with_spaces_and_letters_of_any_script() {
    let (running, client) = serve(quick()).await;
    for (place, name) in ["spiel tag", "größe", "T", "t", "日付"].iter().enumerate() {
        let id = format!("n{place}");
        client.insert(&job(&id, name, &json!({})), &parquet::ids(0..1)).await;
        assert_eq!(client.wait(&id).await["status"], json!({ "state": "DONE" }), "{name}");
        assert_eq!(client.row_count(name).await, 1, "{name}");
    }
    running.shutdown().await;
}
