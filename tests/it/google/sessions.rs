use std::time::Duration;

use bytes::Bytes;
use dms2bq::cloud::{CallError, InsertError, Inserted, ObjectsError, Warehouse};

use super::object::{Fault, OneObject, content};
use super::server::{Reading, Reply, Request, Script, Scripted, Server};
use super::{CHUNK_BYTES, ample, client, client_with, deadline, error, hasty, job, judging, load, variant};

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
        assert!(
            is_last || request.announced_bytes().is_multiple_of(256 * 1024),
            "a chunk is a multiple of 256 KiB"
        );
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
    assert_eq!(run.opened.len(), 1, "S3 is read once, from end to end");
    assert_eq!(run.opened[0], 0..LARGE_BYTES as u64);
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

#[tokio::test]
async fn what_is_not_kept_is_read_and_sent_again_from_there() {
    let run = run(vec![Turn::Keeps(1), Turn::Well, Turn::Keeps(100_001)]).await;
    run.assert_created();
    let kept_after_third = 1 + CHUNK_BYTES + 100_001;
    let total = LARGE_BYTES as u64;
    assert_eq!(run.opened, [0..total, 1..total, kept_after_third..total]);
    for reopened in run.opened.windows(2) {
        assert!(reopened[1].start > reopened[0].start, "what was kept is not read again");
    }
}

#[tokio::test]
async fn after_a_break_the_session_is_asked_how_far_it_is() {
    let run = run(vec![Turn::Well, Turn::Resets { reads: 200_000, keeps: 131_072 }]).await;
    run.assert_created();
    let ranges: Vec<String> =
        run.puts().iter().filter_map(|put| put.header("content-range").map(str::to_owned)).collect();
    assert_eq!(ranges[2], format!("bytes */{LARGE_BYTES}"));
    let next = CHUNK_BYTES + 131_072;
    assert_eq!(ranges[3], format!("bytes {next}-{}/{LARGE_BYTES}", next + CHUNK_BYTES - 1));
    let posts = run.server.requests().iter().filter(|request| request.method == "POST").count();
    assert_eq!(posts, 1, "a 308 opens no new session");
}

#[tokio::test]
async fn an_unclear_answer_in_the_middle_is_asked_about() {
    let replies = [
        Reply::text(502, "text/html", "<title>502</title>"),
        Reply::json(503, &error(503, "backendError", "later")).with("retry-after", "0"),
        Reply::empty(429),
        Reply::Silence,
        Reply::Truncated { status: 308, body: String::new() },
        Reply::text(200, "text/plain", "what?"),
    ];
    for reply in replies {
        let turns = vec![Turn::Well, Turn::Takes(reply.clone())];
        let content = content(LARGE_BYTES);
        let server = Server::start(Session::new(LARGE_BYTES, turns)).await;
        let client = client_with(hasty(&server)).await;
        let inserted = client.insert(&load(&content), OneObject::new(content), ample()).await;
        assert!(matches!(inserted, Ok(Inserted::Created(_))), "{reply:?}: {inserted:?}");
    }
}

#[tokio::test]
async fn the_answer_to_the_last_byte_may_be_lost_and_is_found_by_asking() {
    let lost = Turn::Takes(Reply::Reset);
    let run = run(vec![Turn::Well, Turn::Well, Turn::Well, Turn::Well, lost]).await;
    run.assert_created();
    let last = run.puts().pop().expect("a PUT");
    assert_eq!(last.header("content-range"), Some(format!("bytes */{LARGE_BYTES}").as_str()));
}

#[tokio::test]
async fn an_upload_that_gets_no_further_is_given_up_and_made_no_job() {
    let run = run(vec![Turn::Keeps(0); 50]).await;
    let Err(InsertError::Call(error)) = &run.inserted else { panic!("{:?}", run.inserted) };
    assert!(matches!(error, CallError::Unavailable { .. }), "{error:?}");
    assert!(!error.may_have_happened(), "bytes are missing, so there can be no job");
    assert!(run.puts().len() < 10, "{}", run.puts().len());
}

#[tokio::test]
async fn an_upload_that_is_whole_but_not_confirmed_may_have_happened() {
    let unclear = Reply::text(502, "text/html", "<title>502</title>");
    let mut turns = vec![Turn::Well; 4];
    turns.extend(vec![Turn::Takes(unclear); 50]);
    let run = run(turns).await;
    let Err(error) = &run.inserted else { panic!("{:?}", run.inserted) };
    assert!(matches!(error, InsertError::Call(CallError::Unanswered { .. })), "{error:?}");
}

#[tokio::test]
async fn a_refused_question_does_not_say_what_became_of_the_last_byte() {
    let refused = Reply::json(403, &error(403, "quotaExceeded", "too many questions"));
    let mut turns = vec![Turn::Well; 4];
    turns.push(Turn::Takes(Reply::Reset));
    turns.extend(vec![Turn::Refuses(refused.clone()); 50]);
    let run_in_vain = run(turns.clone()).await;
    let Err(error) = &run_in_vain.inserted else { panic!("{:?}", run_in_vain.inserted) };
    assert!(error.may_have_happened(), "{error:?}");
    turns.truncate(6);
    run(turns).await.assert_created();
}

#[tokio::test]
async fn a_session_that_is_forgotten_is_begun_once_more_from_zero() {
    for status in [404, 410] {
        let run = run(vec![Turn::Well, Turn::Refuses(Reply::empty(status))]).await;
        run.assert_created();
        let total = LARGE_BYTES as u64;
        assert_eq!(run.opened, [0..total, 0..total]);
    }
    let forgotten = Turn::Refuses(Reply::empty(410));
    let run = run(vec![forgotten; 50]).await;
    assert!(
        matches!(run.inserted, Err(InsertError::Call(CallError::Unavailable { .. }))),
        "{:?}",
        run.inserted
    );
    assert_eq!(run.puts().len(), 2);
}

/// A session that has all bytes, made the job, and is forgotten before it says so.
struct ForgottenAtTheEnd(Session);

impl Script for ForgottenAtTheEnd {
    fn reply(&mut self, request: &Request) -> Reply {
        if request.method == "GET" { Reply::json(200, &job("RUNNING")) } else { self.0.reply(request) }
    }
}

#[tokio::test]
async fn a_job_that_exists_when_its_session_is_forgotten_is_not_sent_again() {
    let mut turns = vec![Turn::Well; 4];
    turns.extend([Turn::Takes(Reply::Reset), Turn::Refuses(Reply::empty(404))]);
    let content = content(LARGE_BYTES);
    let server = Server::start(ForgottenAtTheEnd(Session::new(LARGE_BYTES, turns))).await;
    let inserted = client(&server).await.insert(&load(&content), OneObject::new(content), ample()).await;
    assert_eq!(inserted.expect("an answer"), Inserted::Exists);
    let posts = server.requests().iter().filter(|request| request.method == "POST").count();
    assert_eq!(posts, 1);
}

#[tokio::test]
async fn a_taken_id_is_told_at_the_start_and_at_the_end() {
    let taken = Reply::json(409, &error(409, "duplicate", "Already Exists: Job acme-dw:x"));
    let server = Server::start(vec![taken.clone()]).await;
    let content = content(LARGE_BYTES);
    let objects = OneObject::new(content.clone());
    let inserted = client(&server).await.insert(&load(&content), objects.clone(), ample()).await;
    assert_eq!(inserted.expect("an answer"), Inserted::Exists);
    assert!(objects.opened().is_empty(), "nothing is read for a job that is there");

    let mut turns = vec![Turn::Well; 4];
    turns.push(Turn::Takes(taken));
    assert_eq!(run(turns).await.inserted.expect("an answer"), Inserted::Exists);
}

#[tokio::test]
async fn a_refusal_at_the_end_is_final() {
    let cases = [
        (404, "notFound", "Not found: Dataset acme-dw:casino_a", "NotFound"),
        (403, "quotaExceeded", "used up", "QuotaExceeded"),
        (403, "rateLimitExceeded", "too fast", "Throttled"),
        (400, "invalid", "bad", "Rejected"),
    ];
    for (status, reason, message, expected) in cases {
        let mut turns = vec![Turn::Well; 4];
        turns.push(Turn::Takes(Reply::json(status, &error(status, reason, message))));
        let run = run(turns).await;
        let Err(InsertError::Call(error)) = run.inserted else { panic!("{:?}", run.inserted) };
        assert_eq!(variant(&error), expected);
        assert!(!error.may_have_happened());
    }
}

#[tokio::test]
async fn the_start_of_a_session_is_repeated_for_it_makes_no_job() {
    let mut broken = vec![Reply::Reset, Reply::text(502, "text/html", "<title>502</title>")].into_iter();
    let mut session = Session::new(LARGE_BYTES, Vec::new());
    let script = Scripted(move |request: &Request| {
        let fault = if request.method == "POST" { broken.next() } else { None };
        fault.unwrap_or_else(|| session.reply(request))
    });
    let content = content(LARGE_BYTES);
    let server = Server::start(script).await;
    let inserted = client(&server).await.insert(&load(&content), OneObject::new(content), ample()).await;
    assert!(matches!(inserted, Ok(Inserted::Created(_))), "{inserted:?}");
}

#[tokio::test]
async fn a_session_on_another_host_gets_neither_bytes_nor_token() {
    let foreign = Server::start(vec![Reply::json(200, &job("DONE"))]).await;
    let addresses = [
        format!("{}/upload?upload_id=secret", foreign.url),
        "https://127.0.0.1/x?upload_id=secret".to_owned(),
    ];
    for address in addresses {
        let server = Server::start(vec![Reply::empty(200).with("location", address)]).await;
        let content = content(LARGE_BYTES);
        let objects = OneObject::new(content.clone());
        let inserted = client(&server).await.insert(&load(&content), objects, ample()).await;
        let error = inserted.expect_err("refused");
        assert!(matches!(error, InsertError::Call(CallError::Rejected { .. })), "{error:?}");
        assert!(!format!("{error:?}").contains("secret"), "the address is a secret: {error:?}");
        assert!(foreign.requests().is_empty());
    }
}

#[tokio::test]
async fn a_session_address_is_in_no_error() {
    let run = run(vec![Turn::Refuses(Reply::Reset); 50]).await;
    let error = run.inserted.expect_err("nothing went through");
    assert!(!format!("{error:?} {error}").contains("secret"), "{error:?}");
}

#[tokio::test]
async fn a_session_that_claims_more_than_was_sent_is_not_believed() {
    let boast = Reply::empty(308).with("range", format!("bytes=0-{}", LARGE_BYTES - 1));
    let run = run(vec![Turn::Refuses(boast)]).await;
    assert!(
        matches!(run.inserted, Err(InsertError::Call(CallError::Unavailable { .. }))),
        "{:?}",
        run.inserted
    );
}

#[tokio::test]
async fn an_object_replaced_in_the_middle_ends_the_session() {
    let run = run_with(vec![Turn::Well, Turn::Keeps(5)], vec![None, Some(Fault::Replaced)]).await;
    let error = run.inserted.expect_err("the object is another one");
    assert!(matches!(error, InsertError::Object(ObjectsError::Replaced)), "{error:?}");
    let last = run.server.requests().pop().expect("a request");
    assert_eq!(last.method, "DELETE", "the session is told that no more will come");
}

/// Takes bytes so slowly that the upload cannot end in time.
struct Slow(Session);

impl Script for Slow {
    fn reading(&mut self, head: &Request) -> Reading {
        match head.method.as_str() {
            "PUT" => Reading::Slowly { piece_bytes: 64 * 1024, pause: Duration::from_millis(30) },
            _ => Reading::Whole,
        }
    }

    fn reply(&mut self, request: &Request) -> Reply {
        self.0.reply(request)
    }
}

#[tokio::test]
async fn an_upload_too_slow_for_the_time_left_says_so_early() {
    // 32 MiB at about 2 MB/s need 15 s or so; the budget is 5 s, and the speed is known after a fraction of that.
    let content = content(32 * 1024 * 1024);
    let server = Server::start(Slow(Session::new(content.len(), Vec::new()))).await;
    let begun = std::time::Instant::now();
    let objects = OneObject::new(content.clone());
    let inserted = client_with(judging(&server))
        .await
        .insert(&load(&content), objects, deadline(Duration::from_secs(5)))
        .await;
    let error = inserted.expect_err("too slow");
    let InsertError::TooSlow { sent_bytes, total_bytes, elapsed_ms } = error else { panic!("{error:?}") };
    assert_eq!(total_bytes, content.len() as u64);
    assert!(sent_bytes > 0 && sent_bytes < total_bytes, "{sent_bytes}");
    assert!((200..4000).contains(&elapsed_ms), "{elapsed_ms}");
    assert!(begun.elapsed() < Duration::from_millis(4900), "{:?}", begun.elapsed());
}

#[tokio::test]
async fn a_short_time_says_nothing_about_the_speed() {
    let content = content(LARGE_BYTES);
    let server = Server::start(Slow(Session::new(content.len(), Vec::new()))).await;
    let objects = OneObject::new(content.clone());
    let inserted = client_with(judging(&server))
        .await
        .insert(&load(&content), objects, deadline(Duration::from_millis(100)))
        .await;
    assert!(
        matches!(inserted, Err(InsertError::Call(CallError::OutOfTime { sent: false, .. }))),
        "{inserted:?}"
    );
}

#[tokio::test]
async fn whatever_breaks_the_object_arrives_whole_and_once() {
    let mut runs = tokio::task::JoinSet::new();
    for seed in 0..60_u64 {
        runs.spawn(upload_among_misfortunes(seed));
    }
    let created = runs.join_all().await.into_iter().filter(|created| *created).count();
    assert!(created > 40, "most of what breaks is mended: {created}");
}

async fn upload_among_misfortunes(seed: u64) -> bool {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut below = |bound: u64| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (state >> 33) % bound
    };
    let turns = (0..12).map(|_| misfortune(&mut below)).collect();
    let faults =
        (0..4).map(|_| (below(3) == 0).then(|| Fault::Breaks(1 + below(300_000) as usize))).collect();
    let content = content(LARGE_BYTES);
    let server = Server::start(Session::new(LARGE_BYTES, turns)).await;
    let objects = OneObject::failing(content.clone(), faults);
    let inserted = client(&server).await.insert(&load(&content), objects, ample()).await;
    // The session itself asserts that each chunk starts where the last one ended; here, what it has in the end.
    match inserted {
        Ok(Inserted::Created(_)) => {
            assert!(kept(&server.requests()) == content, "seed {seed}: what arrived is not what was sent");
            true
        }
        Err(InsertError::Call(CallError::Unavailable { .. } | CallError::Unanswered { .. })) => false,
        other => panic!("seed {seed}: {other:?}"),
    }
}

fn misfortune(below: &mut impl FnMut(u64) -> u64) -> Turn {
    let bytes = below(CHUNK_BYTES + 10) as usize;
    match below(6) {
        0 => Turn::Keeps(bytes),
        1 => Turn::Resets { reads: bytes, keeps: below(bytes as u64 + 1) as usize },
        2 => Turn::Takes(Reply::text(502, "text/html", "<title>502</title>")),
        3 => Turn::Refuses(Reply::empty(503)),
        _ => Turn::Well,
    }
}

/// Puts together what a session was sent: a chunk's bytes count from where it starts.
fn kept(requests: &[Request]) -> Vec<u8> {
    let mut kept = Vec::new();
    for put in requests.iter().filter(|request| request.method == "PUT") {
        let range = put.header("content-range").expect("a range");
        let Ok(start) = range.trim_start_matches("bytes ").split('-').next().expect("a start").parse() else {
            continue;
        };
        kept.truncate(start);
        kept.extend_from_slice(&put.body);
    }
    kept
}
