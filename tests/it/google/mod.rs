//! The BigQuery client against a scripted server: real sockets, the real clock, small budgets.
#![allow(clippy::expect_used, reason = "a test may stop where its premise fails")]

mod federation;
mod insert;
mod object;
mod process;
mod reads;
mod server;
mod sessions;
mod tokens;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use dms2bq::cloud::call::Tries;
use dms2bq::cloud::clock::SystemClock;
use dms2bq::cloud::google::{Access, BigQuery, Settings, Sizes, Timings};
use dms2bq::cloud::{CallError, Clock, Deadline, Jitter};
use dms2bq::job::{JobRef, LoadJob, Part};
use serde_json::{Value, json};

use self::server::Server;

/// The id of the job that the tests load with.
const JOB_ID: &str = "LOAD00000001_game_player_51c0d2b7e8f94a36_0";

/// 256 KiB, the smallest chunk that Google accepts, so that little data makes many chunks.
const CHUNK_BYTES: u64 = 256 * 1024;

fn settings(server: &Server) -> Settings {
    let mut settings = Settings::new(server.url.parse().expect("a URL"), Access::Anonymous);
    settings.jitter = Jitter::none();
    settings.tries =
        Tries { most: 3, first_wait: Duration::from_millis(1), longest_wait: Duration::from_millis(20) };
    settings.sizes = Sizes { multipart_limit_bytes: CHUNK_BYTES, chunk_bytes: CHUNK_BYTES };
    // Ample, for a busy machine must not look like a broken service.
    settings.timings = Timings {
        connect: Duration::from_secs(5),
        call: Duration::from_secs(10),
        stall: Duration::from_secs(10),
        answer: Duration::from_secs(10),
        token: Duration::from_secs(5),
        measure: Duration::from_secs(60),
    };
    settings
}

/// Gives up waiting for an answer soon: for servers that never answer.
fn hasty(server: &Server) -> Settings {
    let mut settings = settings(server);
    settings.timings.call = Duration::from_millis(300);
    settings.timings.answer = Duration::from_millis(300);
    settings
}

/// Judges the speed of an upload soon.
fn judging(server: &Server) -> Settings {
    let mut settings = settings(server);
    settings.timings.measure = Duration::from_millis(200);
    settings
}

async fn client(server: &Server) -> BigQuery {
    client_with(settings(server)).await
}

async fn client_with(settings: Settings) -> BigQuery {
    BigQuery::new(settings, Arc::new(SystemClock)).await.expect("a client needs no network")
}

fn deadline(after: Duration) -> Deadline {
    Deadline::at(SystemClock.now() + after)
}

/// Long enough for everything but what is meant to be too slow.
fn ample() -> Deadline {
    deadline(Duration::from_secs(20))
}

fn job_ref() -> JobRef {
    JobRef { project: "acme-dw".to_owned(), location: "asia-northeast3".to_owned(), id: JOB_ID.to_owned() }
}

/// A load job for an object with this content.
fn load(content: &Bytes) -> LoadJob {
    let part = Part::Range { object: object::object(), offset_bytes: 0, length_bytes: content.len() as u64 };
    let reference = json!({"projectId": "acme-dw", "location": "asia-northeast3", "jobId": JOB_ID});
    let resource = json!({
        "jobReference": reference,
        "configuration": {"load": {"destinationTable": destination()}, "labels": {"object": "0123"}},
    });
    LoadJob { job: job_ref(), resource, parts: vec![part] }
}

fn destination() -> Value {
    json!({"projectId": "acme-dw", "datasetId": "casino_a", "tableId": "player"})
}

/// A job resource as BigQuery answers it.
fn job(state: &str) -> Value {
    json!({
        "kind": "bigquery#job",
        "jobReference": {"projectId": "acme-dw", "location": "asia-northeast3", "jobId": JOB_ID},
        "configuration": {
            "jobType": "LOAD",
            "load": {"destinationTable": destination(), "sourceFormat": "PARQUET", "writeDisposition": "WRITE_APPEND"},
            "labels": {"object": "0123"},
        },
        "status": {"state": state},
        "statistics": {"creationTime": "1700000000000", "endTime": "1700000001500", "load": {"outputRows": "42"}},
    })
}

/// An error as BigQuery answers it.
fn error(status: u16, reason: &str, message: &str) -> Value {
    json!({"error": {
        "code": status,
        "message": message,
        "errors": [{"reason": reason, "message": message, "domain": "global"}],
        "status": "X",
    }})
}

/// The name of an error's variant.
fn variant(error: &CallError) -> String {
    let text = format!("{error:?}");
    text.split(' ').next().unwrap_or_default().to_owned()
}
