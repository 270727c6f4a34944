//! What the clients for S3 and SQS make of each answer: `tests/cases/s3_answers/*.http` and `sqs_answers`.
//!
//! A case names a call and what it gives, then comes the answer as it is on the wire. `{length}` stands for the length
//! of the body that follows.

use std::fs;
use std::path::Path;
use std::time::Duration;

use aws_config::SdkConfig;
use aws_config::stalled_stream_protection::StalledStreamProtectionConfig;
use aws_credential_types::credential_fn::provide_credentials_fn;
use aws_credential_types::provider::error::CredentialsError;
use aws_sdk_s3::config::{Credentials, Region, SharedCredentialsProvider};
use dms2bq::cloud::aws::mappings::{S3Folder, read_mappings};
use dms2bq::cloud::aws::{self, S3, Sqs};
use dms2bq::cloud::clock::SystemClock;
use dms2bq::cloud::{ByteStream, CallError, Clock, Deadline, Objects, ObjectsError, Queue, VisibilityChange};
use dms2bq::event::QueueArn;
use dms2bq::object::{ETag, Object, ObjectRef};
use futures_util::{StreamExt, future};

#[path = "../support/scripted_server.rs"]
mod scripted_server;
use scripted_server::ScriptedServer;

struct Case {
    name: String,
    call: String,
    gives: String,
    answer: Vec<u8>,
}

#[tokio::test]
async fn every_answer_of_s3_is_understood() {
    all_are_understood("s3_answers", 30).await;
}

#[tokio::test]
async fn every_answer_of_sqs_is_understood() {
    all_are_understood("sqs_answers", 7).await;
}

async fn all_are_understood(folder: &str, least: usize) {
    let cases = cases(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases").join(folder));
    assert!(cases.len() >= least, "the cases are found");
    let checked: Vec<Option<String>> = future::join_all(cases.iter().map(check)).await;
    let wrong: Vec<String> = checked.into_iter().flatten().collect();
    assert!(wrong.is_empty(), "{} of {} cases:\n{}", wrong.len(), cases.len(), wrong.join("\n"));
}

fn cases(folder: &Path) -> Vec<Case> {
    let mut paths: Vec<_> =
        fs::read_dir(folder).expect("cases").map(|entry| entry.expect("a case").path()).collect();
    paths.sort();
    paths.iter().map(|path| parse(path)).collect()
}

fn parse(path: &Path) -> Case {
    let text = fs::read_to_string(path).expect("UTF-8");
    let (about, answer) = text.split_once("\n\n").expect("a blank line after the description");
    let (head, body) = answer.split_once("\n\n").expect("a blank line after the headers");
    let field = |name: &str| {
        let line = about.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
        line.unwrap_or_else(|| panic!("{}: no {name}", path.display())).to_owned()
    };
    let head = head.replace("{length}", &body.len().to_string()).replace('\n', "\r\n");
    Case {
        name: path.file_stem().expect("a name").to_string_lossy().into_owned(),
        call: field("call"),
        gives: field("gives"),
        answer: format!("{head}\r\nConnection: close\r\n\r\n{body}").into_bytes(),
    }
}

/// Plays one case; gives a line to print if it went wrong.
async fn check(case: &Case) -> Option<String> {
    let server = ScriptedServer::start(vec![(Duration::ZERO, case.answer.clone())]).await;
    let config = config_at(&server.url(), Duration::from_secs(5)).await;
    let given = match case.call.strip_prefix("set ") {
        Some(messages) => set_visibility(&Sqs::new(&config), messages.parse().expect("a number")).await,
        None => call(&S3::new(&config), &case.call).await,
    };
    // Causes of the transport's are not ours to word, so an expectation may be the beginning.
    let may_go_on = case.gives.starts_with("unavailable") || case.gives == "unanswered";
    let is_right = given == case.gives || (may_go_on && given.starts_with(&case.gives));
    (!is_right)
        .then(|| format!("{}: {}\n  expected {}\n  given    {given}", case.name, case.call, case.gives))
}

async fn call(s3: &S3, call: &str) -> String {
    let (verb, argument) = call.split_once(' ').unwrap_or((call, ""));
    match verb {
        "head" => match s3.head(&reference()).await {
            Ok(head) => format!("{head:?}"),
            Err(error) => describe(error),
        },
        "tail" => match s3.read_tail(&object(), argument.parse().expect("a length")).await {
            Ok(tail) => format!("bytes: {}", String::from_utf8_lossy(&tail.bytes)),
            Err(error) => describe(error),
        },
        "open" => {
            let (start, end) = argument.split_once("..").expect("a range");
            match s3.open(&object(), start.parse().expect("a start")..end.parse().expect("an end")).await {
                Ok(stream) => read(stream).await,
                Err(error) => describe(error),
            }
        }
        _ => panic!("no call {verb}"),
    }
}

/// Sets the visibility of so many messages.
async fn set_visibility(sqs: &Sqs, messages: usize) -> String {
    let queue = QueueArn::parse("arn:aws:sqs:us-east-1:123456789012:landing").expect("an ARN");
    let change = |n| VisibilityChange { receipt_handle: format!("AQEB{n}"), visibility_timeout_secs: 30 };
    let changes: Vec<VisibilityChange> = (0..messages).map(change).collect();
    let deadline = Deadline::at(SystemClock.now() + Duration::from_secs(30));
    match sqs.set_visibility(&queue, &changes, deadline).await {
        Ok(failures) if failures.is_empty() => "set".to_owned(),
        Ok(failures) => {
            let failures = failures.iter().map(|failure| format!("{}: {}", failure.index, failure.detail));
            format!("not set: {}", failures.collect::<Vec<_>>().join(", "))
        }
        Err(error) => describe(error.into()),
    }
}

async fn read(mut stream: ByteStream) -> String {
    let mut bytes = Vec::new();
    while let Some(chunk) = stream.next().await {
        match chunk {
            Ok(chunk) => bytes.extend_from_slice(&chunk),
            Err(CallError::Unavailable { .. }) => {
                assert!(stream.next().await.is_none(), "nothing follows an error");
                return format!("broken after: {}", String::from_utf8_lossy(&bytes));
            }
            Err(error) => return format!("{error:?}"),
        }
    }
    format!("bytes: {}", String::from_utf8_lossy(&bytes))
}

fn describe(error: ObjectsError) -> String {
    match error {
        ObjectsError::Missing => "missing".to_owned(),
        ObjectsError::Replaced => "replaced".to_owned(),
        ObjectsError::Call(CallError::Denied { detail, .. }) => format!("denied: {detail}"),
        ObjectsError::Call(CallError::Rejected { detail, .. }) => format!("rejected: {detail}"),
        ObjectsError::Call(CallError::Throttled { detail, .. }) => format!("throttled: {detail}"),
        ObjectsError::Call(CallError::Unavailable { detail, .. }) => format!("unavailable: {detail}"),
        ObjectsError::Call(CallError::Unanswered { detail, .. }) => format!("unanswered: {detail}"),
        ObjectsError::Call(other) => format!("{other:?}"),
    }
}

#[tokio::test]
async fn a_server_that_is_not_there_is_unavailable() {
    let given = call(&s3_at("http://127.0.0.1:1", Duration::from_secs(5)).await, "tail 8").await;
    assert!(given.starts_with("unavailable: dispatch failure: io error"), "{given}");
}

#[tokio::test]
async fn without_credentials_the_call_is_denied() {
    let nobody = provide_credentials_fn(async || Err(CredentialsError::not_loaded("nobody has any")));
    let config = aws::sdk_config()
        .await
        .into_builder()
        .endpoint_url("http://127.0.0.1:1")
        .region(Region::new("us-east-1"))
        .credentials_provider(SharedCredentialsProvider::new(nobody));
    let given = call(&S3::new(&config.build()), "head").await;
    assert!(given.starts_with("denied: no AWS credentials"), "{given}");
}

#[tokio::test]
async fn a_body_that_stalls_is_broken_off() {
    let script = vec![(Duration::ZERO, answer_of(1_000)), (Duration::from_secs(60), Vec::new())];
    let server = ScriptedServer::start(script).await;
    let s3 = s3_at(&server.url(), Duration::from_millis(100)).await;
    let given = call(&s3, "open 0..2000").await;
    assert!(given.starts_with("broken after: "), "{given}");
}

#[tokio::test]
async fn a_prefix_with_more_files_than_mappings_is_not_read() {
    let listed: String = (0..501)
        .map(|number| {
            format!(
                "<Contents><Key>config/{number}.json</Key><Size>2</Size><ETag>\"{ETAG}\"</ETag></Contents>"
            )
        })
        .collect();
    let body = format!("<ListBucketResult><IsTruncated>false</IsTruncated>{listed}</ListBucketResult>");
    let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", body.len());
    let server = ScriptedServer::start(vec![(Duration::ZERO, (head + &body).into_bytes())]).await;
    let folder = S3Folder::parse("s3://landing/config").expect("an address");
    let s3 = s3_at(&server.url(), Duration::from_secs(5)).await;
    let error = read_mappings(&s3, &folder).await.expect_err("too many");
    assert_eq!(error.code(), "mapping.too_many");
    assert_eq!(error.to_string(), "more than 500 mapping files in s3://landing/config/");
}

/// The reader is BigQuery's upload, which may take its time: the stall is not the server's then.
#[tokio::test]
async fn a_reader_that_takes_its_time_is_not_a_stall() {
    let server = ScriptedServer::start(vec![(Duration::ZERO, answer_of(BODY_BYTES))]).await;
    let s3 = s3_at(&server.url(), Duration::from_millis(100)).await;
    let mut stream = s3.open(&object(), 0..BODY_BYTES as u64).await.expect("a body");
    let mut read_bytes = stream.next().await.expect("a chunk").expect("bytes").len();
    tokio::time::sleep(Duration::from_secs(2)).await;
    while let Some(chunk) = stream.next().await {
        read_bytes += chunk.expect("no error for the reader's slowness").len();
    }
    assert_eq!(read_bytes, BODY_BYTES);
}

/// More than the buffers between client and server hold, so that the server does wait for the reader.
const BODY_BYTES: usize = 16 * 1024 * 1024;

/// The beginning of an answer with so many bytes; of 2,000 bytes at least, so that a shorter one is not all.
fn answer_of(bytes: usize) -> Vec<u8> {
    let size = bytes.max(2_000);
    let head = format!(
        "HTTP/1.1 206 Partial Content\r\nETag: \"{ETAG}\"\r\nContent-Range: bytes 0-{}/{size}\r\n\
         Content-Length: {size}\r\nConnection: close\r\n\r\n",
        size - 1
    );
    [head.into_bytes(), vec![b'.'; bytes]].concat()
}

const ETAG: &str = "0123456789abcdef0123456789abcdef";

fn object() -> Object {
    Object::new("landing", "k", ETag::parse(ETAG).expect("an etag"), None)
}

fn reference() -> ObjectRef {
    ObjectRef { bucket: "landing".into(), key: "k".into(), version_id: None, etag: None, size_bytes: None }
}

/// The client as it is made for production, but for where it goes and how long it bears a stall.
async fn s3_at(url: &str, stall_grace: Duration) -> S3 {
    S3::new(&config_at(url, stall_grace).await)
}

async fn config_at(url: &str, stall_grace: Duration) -> SdkConfig {
    let credentials = Credentials::new("AKIAIOSFODNN7EXAMPLE", "secret", None, None, "test");
    let stalls =
        StalledStreamProtectionConfig::enabled().upload_enabled(false).grace_period(stall_grace).build();
    aws::sdk_config()
        .await
        .into_builder()
        .endpoint_url(url)
        .region(Region::new("us-east-1"))
        .credentials_provider(SharedCredentialsProvider::new(credentials))
        .stalled_stream_protection(stalls)
        .build()
}
