use std::time::Duration;

use dms2bq::cloud::{CallError, InsertError, Inserted, ObjectsError, Warehouse};
use dms2bq::job::JobState;

use super::object::{Fault, OneObject, content};
use super::server::{Reading, Reply, Request, Script, Server};
use super::{ample, client, client_with, deadline, error, hasty, job, load, variant};

/// Small enough for one request.
const SMALL_BYTES: usize = 100_000;

async fn insert(script: impl Script) -> (Result<Inserted, InsertError>, Server) {
    let server = Server::start(script).await;
    let content = content(SMALL_BYTES);
    let inserted = client(&server).await.insert(&load(&content), OneObject::new(content), ample()).await;
    (inserted, server)
}

#[tokio::test]
async fn a_small_object_is_one_multipart_request() {
    let (inserted, server) = insert(vec![Reply::json(200, &job("PENDING"))]).await;
    let Inserted::Created(record) = inserted.expect("an answer") else { panic!("the job is new") };
    assert_eq!(record.state, JobState::Pending);

    let requests = server.requests();
    assert_eq!(requests.len(), 1);
    let request = &requests[0];
    assert_eq!(request.method, "POST");
    assert_eq!(request.target, "/upload/bigquery/v2/projects/acme-dw/jobs?uploadType=multipart");
    assert_eq!(request.announced_bytes(), request.body.len());
    assert_eq!(request.header("authorization"), None, "an emulator gets no credentials");
    let boundary =
        request.header("content-type").and_then(|value| value.strip_prefix("multipart/related; boundary="));
    let boundary = boundary.expect("a boundary");
    let content = content(SMALL_BYTES);
    let mut expected = format!(
        "--{boundary}\r\nContent-Type: application/json; charset=UTF-8\r\n\r\n{}\r\n\
         --{boundary}\r\nContent-Type: application/octet-stream\r\n\r\n",
        load(&content).resource
    )
    .into_bytes();
    expected.extend_from_slice(&content);
    expected.extend_from_slice(format!("\r\n--{boundary}--\r\n").as_bytes());
    assert!(request.body == expected, "the body is the job and the object, byte by byte");
}

#[tokio::test]
async fn a_taken_id_is_told() {
    let taken = error(409, "duplicate", "Already Exists: Job acme-dw:x");
    let (inserted, _server) = insert(vec![Reply::json(409, &taken)]).await;
    assert_eq!(inserted.expect("an answer"), Inserted::Exists);
    let (inserted, _server) = insert(vec![Reply::json(200, &taken)]).await;
    assert_eq!(inserted.expect("an answer"), Inserted::Exists, "a 409 inside a 200 is no less a conflict");
}

#[tokio::test]
async fn what_may_have_happened_is_not_repeated() {
    let cases = [
        Reply::Reset,
        Reply::Silence,
        Reply::Truncated { status: 200, body: "{".into() },
        Reply::text(502, "text/html", "<title>502</title>"),
        Reply::json(503, &error(503, "backendError", "later")),
        Reply::text(200, "text/plain", "ok"),
        Reply::json(200, &serde_json::json!({})),
        Reply::empty(302),
    ];
    for reply in cases {
        let server = Server::start(vec![reply.clone()]).await;
        let content = content(SMALL_BYTES);
        let client = client_with(hasty(&server)).await;
        let inserted = client.insert(&load(&content), OneObject::new(content), ample()).await;
        let error = inserted.expect_err("no usable answer");
        assert!(matches!(error, InsertError::Call(CallError::Unanswered { .. })), "{reply:?}: {error:?}");
        assert!(error.may_have_happened());
        assert_eq!(server.requests().len(), 1, "{reply:?}");
    }
}

#[tokio::test]
async fn an_answer_about_another_job_is_not_taken_for_ours() {
    let mut other = job("DONE");
    other["jobReference"]["jobId"] = "other".into();
    let (inserted, _server) = insert(vec![Reply::json(200, &other)]).await;
    assert!(matches!(inserted, Err(InsertError::Call(CallError::Unanswered { .. }))), "{inserted:?}");
}

#[tokio::test]
async fn what_was_refused_did_not_happen() {
    let cases = [
        (403, "accessDenied", "Denied"),
        (403, "quotaExceeded", "QuotaExceeded"),
        (403, "rateLimitExceeded", "Throttled"),
        (404, "notFound", "NotFound"),
        (400, "invalid", "Rejected"),
        (413, "", "Rejected"),
    ];
    for (status, reason, expected) in cases {
        let (inserted, server) = insert(vec![Reply::json(status, &error(status, reason, "why"))]).await;
        let Err(InsertError::Call(error)) = inserted else { panic!("{inserted:?}") };
        assert_eq!(variant(&error), expected, "{status} {reason}");
        assert!(!error.may_have_happened());
        assert_eq!(server.requests().len(), 1);
    }
}

/// Answers before the body was read, as an overloaded front end does.
struct Impatient(Reply);

impl Script for Impatient {
    fn reading(&mut self, _head: &Request) -> Reading {
        Reading::Only(1000)
    }

    fn reply(&mut self, _request: &Request) -> Reply {
        self.0.clone()
    }
}

#[tokio::test]
async fn an_answer_that_comes_early_is_read() {
    let (inserted, _server) = insert(Impatient(Reply::json(403, &error(403, "quotaExceeded", "why")))).await;
    assert!(matches!(inserted, Err(InsertError::Call(CallError::QuotaExceeded { .. }))), "{inserted:?}");
}

#[tokio::test]
async fn a_service_that_is_not_there_got_nothing() {
    let server = Server::start(vec![Reply::Silence]).await;
    let client = client(&server).await;
    drop(server);
    tokio::task::yield_now().await;
    let content = content(SMALL_BYTES);
    let inserted = client.insert(&load(&content), OneObject::new(content), ample()).await;
    let Err(InsertError::Call(error)) = inserted else { panic!("{inserted:?}") };
    assert!(matches!(error, CallError::NotSent { .. }), "{error:?}");
    assert!(!error.may_have_happened());
}

#[tokio::test]
async fn a_broken_object_ends_the_upload_and_makes_no_job() {
    for fault in [Fault::Replaced, Fault::EndsEarly(0), Fault::Breaks(0), Fault::TooLong] {
        let server = Server::start(vec![Reply::json(200, &job("PENDING"))]).await;
        let content = content(SMALL_BYTES);
        let objects = OneObject::failing(content.clone(), vec![Some(fault); 9]);
        let inserted = client(&server).await.insert(&load(&content), objects, ample()).await;
        let Err(InsertError::Object(error)) = inserted else { panic!("{fault:?}: {inserted:?}") };
        match fault {
            Fault::Replaced => assert!(matches!(error, ObjectsError::Replaced), "{error:?}"),
            _ => assert!(matches!(error, ObjectsError::Call(_)), "{fault:?}: {error:?}"),
        }
        assert!(server.requests().is_empty(), "{fault:?}: no whole request came");
    }
}

#[tokio::test]
async fn a_stream_that_breaks_is_opened_again_where_it_broke() {
    let server = Server::start(vec![Reply::json(200, &job("PENDING"))]).await;
    let content = content(SMALL_BYTES);
    let objects = OneObject::failing(
        content.clone(),
        vec![Some(Fault::Breaks(30_000)), Some(Fault::EndsEarly(20_000))],
    );
    let inserted = client(&server).await.insert(&load(&content), objects.clone(), ample()).await;
    assert!(matches!(inserted, Ok(Inserted::Created(_))), "{inserted:?}");
    assert_eq!(objects.opened(), [0..100_000, 30_000..100_000, 50_000..100_000]);
    let body = &server.requests()[0].body;
    assert!(body.windows(content.len()).any(|window| window == content), "the object arrived whole");
}

#[tokio::test]
async fn what_does_not_begin_as_parquet_is_not_sent_to_its_end() {
    let server = Server::start(vec![Reply::json(200, &job("PENDING"))]).await;
    let content = bytes::Bytes::from(vec![b'x'; SMALL_BYTES]);
    let inserted = client(&server).await.insert(&load(&content), OneObject::new(content), ample()).await;
    assert!(matches!(inserted, Err(InsertError::NotParquet)), "{inserted:?}");
    assert!(server.requests().is_empty(), "no whole request came");
}

#[tokio::test]
async fn the_deadline_ends_the_wait_for_an_answer() {
    let server = Server::start(vec![Reply::Silence]).await;
    let content = content(SMALL_BYTES);
    let objects = OneObject::new(content.clone());
    let inserted =
        client(&server).await.insert(&load(&content), objects, deadline(Duration::from_millis(150))).await;
    assert!(
        matches!(inserted, Err(InsertError::Call(CallError::OutOfTime { sent: true, .. }))),
        "{inserted:?}"
    );

    let objects = OneObject::new(content.clone());
    let inserted =
        client(&server).await.insert(&load(&content), objects.clone(), deadline(Duration::ZERO)).await;
    assert!(
        matches!(inserted, Err(InsertError::Call(CallError::OutOfTime { sent: false, .. }))),
        "{inserted:?}"
    );
    assert!(objects.opened().is_empty(), "nothing is begun after the deadline");
}
