use std::time::Duration;

use bytes::Bytes;
use dms2bq::cloud::{CallError, InsertError, Inserted, ObjectsError, Warehouse};

use super::object::{Fault, OneObject, content};
use super::server::{Reading, Reply, Request, Script, Server};
use super::{CHUNK_BYTES, ample, client, deadline, error, job, load};

/// Four chunks and a bit.
const LARGE_BYTES: usize = 4 * CHUNK_BYTES as usize + 12_345;

/// What a session does with the n-th PUT.
#[derive(Debug, Clone)]
enum Turn {
    /// As it should.
    Well,
    /// Reads so many bytes of the body, keeps so many of them, then answers 308.
    Keeps(usize),
    /// Reads so many bytes, keeps so many of them, then resets the connection.
    Resets { reads: usize, keeps: usize },
    /// Takes the whole body, and then gives this reply.
    Takes(Reply),
    /// Keeps nothing, and gives this reply.
    Refuses(Reply),
}

/// A resumable upload as Google describes it, with a misfortune at each PUT.
struct Session {
    turns: Vec<Turn>,
    total: usize,
    kept: Vec<u8>,
    sessions: usize,
    puts: usize,
}

impl Session {
    fn new(total: usize, turns: Vec<Turn>) -> Self {
        Self { turns, total, kept: Vec::new(), sessions: 0, puts: 0 }
    }

    fn turn(&self) -> Turn {
        self.turns.get(self.puts).cloned().unwrap_or(Turn::Well)
    }

    fn progress(&self) -> Reply {
        if self.kept.len() == self.total {
            return Reply::json(200, &job("PENDING"));
        }
        let reply = Reply::empty(308);
        match self.kept.len() {
            0 => reply,
            kept => reply.with("range", format!("bytes=0-{}", kept - 1)),
        }
    }

    fn put(&mut self, request: &Request) -> Reply {
        let range = request.header("content-range").expect("every PUT says its range");
        let turn = self.turn();
        self.puts += 1;
        if range == format!("bytes */{}", self.total) {
            return match turn {
                Turn::Takes(reply) | Turn::Refuses(reply) => reply,
                Turn::Resets { .. } => Reply::Reset,
                Turn::Well | Turn::Keeps(_) => self.progress(),
            };
        }
        let start: usize = range
            .strip_prefix("bytes ")
            .and_then(|r| r.split('-').next())
            .expect("a start")
            .parse()
            .expect("a number");
        let whole = start..start + request.announced_bytes();
        assert_eq!(range, format!("bytes {}-{}/{}", whole.start, whole.end - 1, self.total));
        assert_eq!(start, self.kept.len(), "a chunk starts where the last one ended");
        let is_last = whole.end == self.total;
        assert!(is_last || request.announced_bytes() % (256 * 1024) == 0, "a chunk is a multiple of 256 KiB");
        let body = &request.body;
        match turn {
            Turn::Well => self.kept.extend_from_slice(body),
            Turn::Keeps(bytes) => self.kept.extend_from_slice(&body[..bytes.min(body.len())]),
            Turn::Resets { keeps, .. } => {
                self.kept.extend_from_slice(&body[..keeps.min(body.len())]);
                return Reply::Reset;
            }
            Turn::Takes(reply) => {
                self.kept.extend_from_slice(body);
                return reply;
            }
            Turn::Refuses(reply) => return reply,
        }
        self.progress()
    }
}

impl Script for Session {
    fn reading(&mut self, head: &Request) -> Reading {
        match (head.method.as_str(), self.turn()) {
            ("PUT", Turn::Resets { reads, .. }) => Reading::Only(reads),
            _ => Reading::Whole,
        }
    }

    fn reply(&mut self, request: &Request) -> Reply {
        match request.method.as_str() {
            "POST" => {
                self.sessions += 1;
                self.kept.clear();
                let address = format!("{}&upload_id=secret{}", request.target, self.sessions);
                Reply::empty(200).with("location", address)
            }
            "PUT" => self.put(request),
            "GET" => Reply::json(404, &error(404, "notFound", "Not found: Job acme-dw:x")),
            "DELETE" => Reply::empty(499),
            other => panic!("an unexpected {other}"),
        }
    }
}

struct Run {
    inserted: Result<Inserted, InsertError>,
    server: Server,
    opened: Vec<std::ops::Range<u64>>,
}

async fn run(turns: Vec<Turn>) -> Run {
    run_with(turns, Vec::new()).await
}

async fn run_with(turns: Vec<Turn>, faults: Vec<Option<Fault>>) -> Run {
    let content = content(LARGE_BYTES);
    let server = Server::start(Session::new(LARGE_BYTES, turns)).await;
    let objects = OneObject::failing(content.clone(), faults);
    let inserted = client(&server).await.insert(&load(&content), objects.clone(), ample()).await;
    Run { inserted, server, opened: objects.opened() }
}

impl Run {
    fn puts(&self) -> Vec<Request> {
        self.server.requests().into_iter().filter(|request| request.method == "PUT").collect()
    }

    fn assert_created(&self) {
        assert!(matches!(self.inserted, Ok(Inserted::Created(_))), "{:?}", self.inserted);
    }
}

#[tokio::test]
async fn a_large_object_goes_chunk_by_chunk_from_one_stream() {
    let run = run(Vec::new()).await;
    run.assert_created();
    assert_eq!(run.opened, [0..LARGE_BYTES as u64], "S3 is read once, from end to end");
    let start = &run.server.requests()[0];
    assert_eq!(start.target, "/upload/bigquery/v2/projects/acme-dw/jobs?uploadType=resumable");
    assert_eq!(start.header("x-upload-content-type"), Some("application/octet-stream"));
    assert_eq!(start.header("x-upload-content-length"), Some(LARGE_BYTES.to_string().as_str()));
    let resource: serde_json::Value = serde_json::from_slice(&start.body).expect("the job");
    assert_eq!(resource, load(&Bytes::new()).resource);
    let puts = run.puts();
    assert_eq!(puts.len(), 5);
    let sent: Vec<u8> = puts.into_iter().flat_map(|put| put.body).collect();
    assert!(sent == content(LARGE_BYTES), "the object arrived whole");
}
