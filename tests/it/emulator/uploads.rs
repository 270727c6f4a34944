//! Resumable uploads, with everything that can come between.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use dms2bq::emulator::{Call, Fault, Faults, Options};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::parquet;
use super::server::{Client, assert_error, job, quick, serve};

const STEP: usize = 256 * 1024;

/// A file of more than two steps: text that does not compress.
fn large_file() -> Vec<u8> {
    let text = |row: u64| {
        (0..40).fold(String::new(), |text, word| {
            text + &format!("{:016x}", (row * 1_000 + word).wrapping_mul(0x9e37_79b9_7f4a_7c15))
        })
    };
    let rows: Vec<Vec<Value>> = (0..1000).map(|row| vec![json!(row), json!(text(row))]).collect();
    let file = parquet::file("message m { optional int64 id; optional binary text (UTF8); }", &rows);
    assert!(file.len() > 2 * STEP, "{} bytes", file.len());
    file
}

async fn open(client: &Client, id: &str) -> String {
    let start = client.http.post(client.upload_url("resumable")).json(&job(id, "t", &json!({})));
    let answer = start.send().await.expect("an answer");
    assert_eq!(answer.status(), 200);
    answer.headers()["location"].to_str().expect("a URL").to_owned()
}

/// Sends a chunk: status, `Range`, and the body if there is one.
async fn put(client: &Client, session: &str, range: &str, body: Vec<u8>) -> (u16, Option<String>, Value) {
    let request = client.http.put(session).header("content-range", range).body(body);
    let answer = request.send().await.expect("an answer");
    let (status, range) = (answer.status().as_u16(), answer.headers().get("range").cloned());
    let body = answer.bytes().await.expect("a body");
    let range = range.map(|range| range.to_str().expect("text").to_owned());
    (status, range, if body.is_empty() { Value::Null } else { serde_json::from_slice(&body).expect("JSON") })
}

fn range(first: usize, past: usize, total: Option<usize>) -> String {
    format!("bytes {first}-{}/{}", past - 1, total.map_or("*".to_owned(), |total| total.to_string()))
}

#[tokio::test]
async fn chunks_become_a_job_and_the_session_remembers_it() {
    let (running, client) = serve(quick()).await;
    let file = large_file();
    let session = open(&client, "chunks").await;
    assert_eq!(put(&client, &session, "bytes */*", vec![]).await, (308, None, Value::Null));
    let first = put(&client, &session, &range(0, STEP, None), file[..STEP].to_vec()).await;
    assert_eq!(first, (308, Some("bytes=0-262143".to_owned()), Value::Null));
    let again = put(&client, &session, &range(0, STEP, None), file[..STEP].to_vec()).await;
    assert_eq!(again, first, "a chunk sent twice counts once");
    let overlapping = put(&client, &session, &range(0, 2 * STEP, None), file[..2 * STEP].to_vec()).await;
    assert_eq!(overlapping.1.as_deref(), Some("bytes=0-524287"));
    let (status, _, made) =
        put(&client, &session, &range(2 * STEP, file.len(), Some(file.len())), file[2 * STEP..].to_vec())
            .await;
    assert_eq!((status, &made["jobReference"]["jobId"]), (200, &json!("chunks")));
    assert_eq!(client.wait("chunks").await["statistics"]["load"]["outputRows"], "1000");
    let (status, _, repeated) = put(&client, &session, &format!("bytes */{}", file.len()), vec![]).await;
    assert_eq!(
        (status, &repeated["status"]["state"]),
        (200, &json!("DONE")),
        "a lost answer can be asked for"
    );
    assert_eq!(client.row_count("t").await, 1000);
    running.shutdown().await;
}

#[tokio::test]
async fn a_whole_file_may_come_in_one_put() {
    let (running, client) = serve(quick()).await;
    let file = parquet::ids(0..5);
    let session = open(&client, "whole").await;
    let answer = client.http.put(&session).body(file.clone()).send().await.expect("an answer");
    assert_eq!(answer.status(), 200);
    assert_eq!(client.wait("whole").await["statistics"]["load"]["outputRows"], "5");
    let session = open(&client, "ranged").await;
    assert_eq!(put(&client, &session, &range(0, file.len(), Some(file.len())), file).await.0, 200);
    running.shutdown().await;
}

#[tokio::test]
async fn chunks_that_break_the_rules_are_refused_and_change_nothing() {
    let (running, client) = serve(quick()).await;
    let session = open(&client, "rules").await;
    let cases = [
        (range(0, 1000, None), 1000, "multiple of 262144"),
        (range(STEP, 2 * STEP, None), STEP, "exceeds already uploaded size of 0"),
        (range(0, STEP, None), STEP - 1, "not as long"),
        ("bytes 5-1/*".to_owned(), 1, "Failed to parse Content-Range"),
        ("bytes 0-9/5".to_owned(), 10, "Failed to parse Content-Range"),
    ];
    for (range, length, message) in cases {
        let (status, _, refusal) = put(&client, &session, &range, vec![0; length]).await;
        assert_eq!(status, 400, "{range}");
        assert_error(&refusal, 400, "invalid", message);
        assert_eq!(put(&client, &session, "bytes */*", vec![]).await, (308, None, Value::Null));
    }
    running.shutdown().await;
}

#[tokio::test]
async fn an_unknown_session_is_404_and_a_cancelled_one_410() {
    let (running, client) = serve(quick()).await;
    let session = open(&client, "gone").await;
    assert_eq!(client.http.delete(&session).send().await.expect("an answer").status(), 204);
    assert_eq!(put(&client, &session, "bytes */*", vec![]).await.0, 410);
    let unknown = format!("{}&upload_id=nobody", client.upload_url("resumable"));
    assert_eq!(put(&client, &unknown, "bytes */*", vec![]).await.0, 404);
    assert_eq!(client.get("/jobs/gone?location=EU").await.0, 404);
    running.shutdown().await;
}

#[tokio::test]
async fn a_known_id_is_refused_at_the_start_of_a_session_and_at_its_end() {
    let (running, client) = serve(quick()).await;
    let file = parquet::ids(0..4);
    let (one, two) = (open(&client, "twice").await, open(&client, "twice").await);
    let whole = range(0, file.len(), Some(file.len()));
    let (first, second) =
        tokio::join!(put(&client, &one, &whole, file.clone()), put(&client, &two, &whole, file.clone()));
    let mut statuses = [first.0, second.0];
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 409], "exactly one session makes the job");
    let refused = if first.0 == 409 { first.2 } else { second.2 };
    assert_error(&refused, 409, "duplicate", "Already Exists: Job proj:EU.twice");
    client.wait("twice").await;
    assert_eq!(client.row_count("t").await, 4);
    let start = client.http.post(client.upload_url("resumable")).json(&job("twice", "t", &json!({})));
    assert_eq!(super::server::answer(start).await.0, 409);
    running.shutdown().await;
}

#[tokio::test]
async fn a_connection_that_breaks_leaves_whole_steps_behind() {
    let (running, client) = serve(quick()).await;
    let file = large_file();
    let session = open(&client, "broken").await;
    let (address, path) = session.strip_prefix("http://").and_then(|it| it.split_once('/')).expect("a URL");
    let mut socket = tokio::net::TcpStream::connect(address).await.expect("a connection");
    let head = format!(
        "PUT /{path} HTTP/1.1\r\nhost: {address}\r\ncontent-range: bytes 0-{}/{1}\r\ncontent-length: {1}\r\n\r\n",
        file.len() - 1,
        file.len()
    );
    socket.write_all(head.as_bytes()).await.expect("a head");
    socket.write_all(&file[..STEP + 70_000]).await.expect("a part of the body");
    socket.shutdown().await.expect("an end");
    let mut rest = Vec::new();
    let _ended = socket.read_to_end(&mut rest).await;
    let (status, kept, _) = put(&client, &session, &format!("bytes */{}", file.len()), vec![]).await;
    assert_eq!((status, kept.as_deref()), (308, Some("bytes=0-262143")));
    let (status, _, _) =
        put(&client, &session, &range(STEP, file.len(), Some(file.len())), file[STEP..].to_vec()).await;
    assert_eq!(status, 200);
    assert_eq!(client.wait("broken").await["statistics"]["load"]["outputRows"], "1000");
    running.shutdown().await;
}

/// One fault, once, on the first request that is a PUT.
struct OnePut {
    fault: Fault,
    after: bool,
    done: AtomicBool,
}

impl OnePut {
    fn strike(&self, call: &Call, after: bool) -> Option<Fault> {
        let strikes = call.method == "PUT" && after == self.after && !self.done.swap(true, Ordering::SeqCst);
        strikes.then(|| self.fault.clone())
    }
}

impl Faults for OnePut {
    fn before(&self, call: &Call) -> Option<Fault> {
        if self.after { None } else { self.strike(call, false) }
    }

    fn after(&self, call: &Call) -> Option<Fault> {
        if self.after { self.strike(call, true) } else { None }
    }
}

#[tokio::test]
async fn faults_leave_an_upload_that_can_be_gone_on_with() {
    let file = large_file();
    let whole = range(0, file.len(), Some(file.len()));
    let answer =
        Fault::Answer { status: 502, content_type: "text/html".to_owned(), body: "<html>".to_owned() };
    let cases = [
        (Fault::Cut, false, 308, None),
        (Fault::CutBody { after_bytes: 300_000 }, false, 308, Some("bytes=0-262143")),
        (answer.clone(), false, 308, None),
        (Fault::Cut, true, 200, None),
        (answer, true, 200, None),
    ];
    for (fault, after, status, kept) in cases {
        let faults = Arc::new(OnePut { fault: fault.clone(), after, done: AtomicBool::new(false) });
        let (running, client) = serve(Options { faults, ..quick() }).await;
        let session = open(&client, "faulty").await;
        let put_request = client.http.put(&session).header("content-range", &whole).body(file.clone());
        match put_request.send().await {
            Ok(answer) => assert_eq!(answer.status(), 502, "{fault:?}"),
            Err(error) => assert!(!error.is_connect(), "{fault:?}: {error}"),
        }
        let (found, range, _) = put(&client, &session, &format!("bytes */{}", file.len()), vec![]).await;
        assert_eq!((found, range.as_deref()), (status, kept), "{fault:?} after: {after}");
        running.shutdown().await;
    }
}
