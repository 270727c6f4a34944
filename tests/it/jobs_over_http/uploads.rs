//! Large files on their way: from an S3 over HTTP, by the real clients, in resumable sessions of the embedded BigQuery.

use std::collections::BTreeSet;
use std::sync::{Arc, LazyLock};
use std::time::{Duration, Instant};

use aws_credential_types::Credentials;
use aws_sdk_s3::config::{Region, SharedCredentialsProvider};
use bytes::Bytes;
use dms2bq::cloud::aws::{self, S3};
use dms2bq::cloud::google::{CHUNK_BYTES, Sizes};
use futures_util::{StreamExt, stream};
use serde_json::json;

use super::bench::{Bench, Receive, Received, quick};
use super::faults::FaultSpec;
use crate::twins::{Column, file_of, numbers};

use crate::one_object_s3::{Manner, OneObjectS3, Read};

/// BigQuery keeps what a broken chunk has brought in steps of this.
const STEP: u64 = 256 * 1024;

/// So small, that little data makes many.
const CHUNK: u64 = 2 * STEP;

/// The rows of the large file.
const ROWS: usize = 1_400;

static LARGE_FILE: LazyLock<Bytes> = LazyLock::new(large_file);

/// A file that does not compress: two chunks and a half.
fn large_file() -> Bytes {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut word = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        format!("{:016x}", state ^ (state >> 29))
    };
    let text = |_| (0..60).map(|_| word()).collect::<String>();
    let texts: Vec<String> = (0..ROWS).map(text).collect();
    let field = arrow::datatypes::Field::new("text", arrow::datatypes::DataType::Utf8, true);
    let texts: Column = (field, Arc::new(arrow::array::StringArray::from(texts)));
    file_of(&[numbers("id", 0..i64::try_from(ROWS).expect("small")), texts])
}

struct Upload {
    bench: Bench,
    s3: OneObjectS3,
    total: u64,
}

impl Upload {
    async fn of(manner: Manner) -> Self {
        let file = LARGE_FILE.clone();
        let total = file.len() as u64;
        assert!(total > 2 * CHUNK + STEP && total < 3 * CHUNK, "{total} bytes");
        let bench = Bench::start(quick(), file.clone()).await;
        let s3 = OneObjectS3::start(file, bench.object.etag().as_str(), manner).await;
        Self { bench, s3, total }
    }

    async fn receive(&self, receive: Receive) -> Received {
        let mut settings = self.bench.settings();
        settings.sizes = Sizes { multipart_limit_bytes: STEP, chunk_bytes: CHUNK };
        settings.timings.measure = Duration::from_millis(150);
        settings.timings.stall = Duration::from_millis(1_000);
        self.bench.receive_with(receive, settings, Arc::new(client(self.s3.url()).await)).await
    }

    async fn receive_with(&self, faults: Vec<FaultSpec>) -> Received {
        self.receive(Receive { faults, ..Receive::default() }).await
    }

    /// Every row is in once, by one job.
    async fn assert_loaded_once(&self) {
        self.bench.wait_for_jobs().await;
        assert_eq!(self.bench.jobs().await, ["0 done"]);
        assert_eq!(self.bench.rows().await, ROWS as u64);
    }

    async fn assert_no_job(&self) {
        assert!(self.bench.jobs().await.is_empty());
        assert_eq!(self.bench.rows().await, 0);
    }

    /// Where the reads of the upload start; every one asks for the bytes that were identified.
    fn starts(&self) -> Vec<u64> {
        let etag = Some(format!("\"{}\"", self.bench.object.etag().as_str()));
        let reads = self.s3.reads();
        assert!(reads.iter().all(|read| read.if_match == etag), "{reads:?}");
        reads.iter().map(|read| read.start).collect()
    }
}

async fn client(url: &str) -> S3 {
    let credentials = Credentials::new("AKIAIOSFODNN7EXAMPLE", "secret", None, None, "test");
    let config = aws::sdk_config().await.into_builder().endpoint_url(url).region(Region::new("us-east-1"));
    S3::new(&config.credentials_provider(SharedCredentialsProvider::new(credentials)).build())
}

fn spoilt(to: &str, with: &str) -> FaultSpec {
    FaultSpec { times: 1, ..FaultSpec::always(to, with) }
}

/// The `n`-th PUT, from 0, goes wrong.
fn put(n: u32, with: &str) -> FaultSpec {
    FaultSpec { spares: n, ..spoilt("put", with) }
}

const LOADED: &str = "loaded, attempt 0";
const ADOPTED: &str = "loaded: job.adopted, attempt 0";

#[test]
fn a_break_costs_a_chunk_at_most_and_a_chunk_is_16_mib() {
    assert_eq!(CHUNK_BYTES, 16 * 1024 * 1024);
}

#[tokio::test]
async fn a_large_file_is_read_once_and_sent_in_chunks() {
    let upload = Upload::of(Manner::default()).await;
    let received = upload.receive_with(Vec::new()).await;
    assert_eq!((received.end.as_str(), received.asked.as_str()), (LOADED, "table, open, put, get 0"));
    assert_eq!(upload.starts(), [0]);
    upload.assert_loaded_once().await;
}

/// Offsets of the first byte, the last one, the steps' and the chunks' ends, and others between them.
fn offsets(length: u64) -> BTreeSet<u64> {
    let borders = (0..=length).step_by(STEP as usize).chain([length]);
    let around = borders.flat_map(|at| [at.saturating_sub(1), at, at + 1]);
    around.chain((0..length).step_by(69_991)).filter(|at| *at <= length).collect()
}

#[tokio::test]
async fn a_connection_that_breaks_at_any_byte_costs_what_was_not_kept_and_no_more() {
    let total = LARGE_FILE.len() as u64;
    let breaks = offsets(total).into_iter().map(break_at);
    stream::iter(breaks).buffer_unordered(4).collect::<Vec<()>>().await;
}

/// Breaks the connection to BigQuery once `at` bytes of the file have arrived there.
async fn break_at(at: u64) {
    let upload = Upload::of(Manner::default()).await;
    let (n, within) = (at / CHUNK, at % CHUNK);
    let fault = put(u32::try_from(n).expect("small"), &format!("cut body {within}"));
    let received = upload.receive_with(vec![fault]).await;
    assert_eq!(received.end, LOADED, "broken at {at}");
    assert_eq!(received.asked, "table, open, put, get 0", "broken at {at}: the session goes on");
    let kept = n * CHUNK + within / STEP * STEP;
    match at == upload.total {
        true => assert_eq!(upload.starts(), [0], "all bytes were there"),
        false => assert_eq!(upload.starts(), [0, kept], "broken at {at}"),
    }
    upload.assert_loaded_once().await;
}

#[tokio::test]
async fn a_body_of_s3_that_breaks_at_any_byte_is_read_on_from_there() {
    let total = LARGE_FILE.len();
    let offsets =
        [1, 65_535, 65_537, STEP as usize, CHUNK as usize - 1, CHUNK as usize, 1_000_003, total - 1];
    for at in offsets {
        let upload = Upload::of(Manner { breaks_after_bytes: Some(at), ..Manner::default() }).await;
        let received = upload.receive_with(Vec::new()).await;
        assert_eq!(
            (received.end.as_str(), received.asked.as_str()),
            (LOADED, "table, open, put, get 0"),
            "{at}"
        );
        let starts = upload.starts();
        let [0, again] = starts[..] else { panic!("broken at {at}: {starts:?}") };
        assert!(again <= at as u64, "what did not come is read: {at}, {again}");
        assert!(again as usize + 2 * 65_536 > at, "what came is not read again: {at}, {again}");
        upload.assert_loaded_once().await;
    }
}

#[tokio::test]
async fn a_small_upload_that_breaks_at_any_byte_is_loaded_once() {
    let file = file_of(&[numbers("id", 0..5)]);
    let mut ends = BTreeSet::new();
    for at in (0..3_500).step_by(173).chain([1, 3_499]) {
        let bench = Bench::start(quick(), file.clone()).await;
        let faults = vec![spoilt("insert", &format!("cut body {at}"))];
        let received = bench.receive(Receive { faults, ..Receive::default() }).await;
        assert!(received.end == LOADED || received.end == ADOPTED, "broken at {at}: {received:?}");
        assert_eq!((bench.rows().await, bench.jobs().await.len()), (5, 1), "broken at {at}");
        ends.insert(received.end);
        bench.stop().await;
    }
    assert_eq!(ends.len(), 2, "some breaks are before the last byte, some are after it: {ends:?}");
}

#[tokio::test]
async fn an_answer_of_a_session_that_is_unclear_is_asked_about() {
    for (n, after) in [(0, false), (0, true), (1, false), (1, true), (2, false), (2, true)] {
        for with in ["500 backendError", "502 html", "503 html", "429 rateLimitExceeded", "cut", "200 html"] {
            let upload = Upload::of(Manner::default()).await;
            let received = upload.receive_with(vec![FaultSpec { after, ..put(n, with) }]).await;
            let what = format!("put {n}, after: {after}, {with}");
            assert_eq!(
                (received.end.as_str(), received.asked.as_str()),
                (LOADED, "table, open, put, get 0"),
                "{what}"
            );
            let kept = if after { &[0][..] } else { &[0, u64::from(n) * CHUNK][..] };
            let starts = upload.starts();
            // What was not kept had been taken from S3, or was still in the stream.
            assert!(starts == [0] || starts == kept, "{what}: {starts:?}");
            upload.assert_loaded_once().await;
        }
    }
}

#[tokio::test]
async fn a_308_without_progress_is_asked_again_a_few_times_and_makes_no_job() {
    let upload = Upload::of(Manner::default()).await;
    let received = upload.receive_with(vec![FaultSpec::always("put", "308 empty")]).await;
    assert_eq!(received.end, "returned: job.unavailable, may_pass, attempt 0");
    assert_eq!(received.asked, "table, open, put", "a 308 opens no new session");
    assert!(received.spoilt <= 7, "{} calls", received.spoilt);
    upload.assert_no_job().await;
    assert_eq!(upload.receive_with(Vec::new()).await.end, LOADED, "the next receive begins anew");
    upload.assert_loaded_once().await;
}

#[tokio::test]
async fn a_308_that_forgets_what_was_kept_is_asked_about_and_not_believed_at_once() {
    let upload = Upload::of(Manner::default()).await;
    // Without a range it says that nothing is there, and a chunk is.
    let received = upload.receive_with(vec![put(1, "308 empty")]).await;
    assert_eq!((received.end.as_str(), received.asked.as_str()), (LOADED, "table, open, put, get 0"));
    let starts = upload.starts();
    // It may come before the chunk has been taken from S3.
    assert!(starts == [0] || starts == [0, CHUNK], "never from zero while the session is there: {starts:?}");
    upload.assert_loaded_once().await;
}

#[tokio::test]
async fn a_session_that_forgets_everything_again_and_again_is_given_up() {
    let upload = Upload::of(Manner::default()).await;
    let received = upload.receive_with(vec![FaultSpec { times: 0, ..put(1, "308 empty") }]).await;
    assert_eq!(received.end, "returned: job.unavailable, may_pass, attempt 0");
    assert_eq!(received.asked, "table, open, put");
    assert!(received.spoilt <= 7, "{} calls", received.spoilt);
    upload.assert_no_job().await;
}

#[tokio::test]
async fn a_question_after_the_last_byte_that_is_denied_is_left_for_a_look_at_the_job() {
    let denied = FaultSpec { times: 0, ..put(3, "403 accessDenied: no") };
    let lost = FaultSpec { after: true, ..put(2, "cut") };
    let upload = Upload::of(Manner::default()).await;
    let received = upload.receive_with(vec![lost.clone(), denied.clone()]).await;
    assert_eq!((received.end.as_str(), received.asked.as_str()), (ADOPTED, "table, open, put, get 0, table"));
    assert_eq!(received.spoilt, 2);
    upload.assert_loaded_once().await;

    let upload = Upload::of(Manner::default()).await;
    let blind = FaultSpec::always("get", "403 accessDenied: no");
    let received = upload.receive_with(vec![lost, denied, blind]).await;
    assert_eq!(received.end, "returned: job.denied, nothing_can_load, attempt 0");
    assert_eq!(received.spoilt, 3, "one answer lost, two refused");
    upload.assert_loaded_once().await;
}

#[tokio::test]
async fn a_session_that_is_gone_is_begun_once_more_from_zero() {
    for with in ["404 empty", "410 empty", "404 notFound: Upload session x", "410 gone: gone"] {
        let upload = Upload::of(Manner::default()).await;
        let received = upload.receive_with(vec![put(1, with)]).await;
        let asked = "table, open, put, open, put, get 0";
        assert_eq!((received.end.as_str(), received.asked.as_str()), (LOADED, asked), "{with}");
        assert_eq!(upload.starts(), [0, 0], "{with}");
        upload.assert_loaded_once().await;
    }
}

#[tokio::test]
async fn sessions_that_are_always_gone_are_given_up_and_made_no_job() {
    let upload = Upload::of(Manner::default()).await;
    let received = upload.receive_with(vec![FaultSpec::always("put", "410 empty")]).await;
    assert_eq!(received.end, "returned: job.unavailable, may_pass, attempt 0");
    assert_eq!((received.asked.as_str(), received.spoilt), ("table, open, put, open, put", 2));
    upload.assert_no_job().await;
}

#[tokio::test]
async fn a_session_that_is_gone_after_the_last_byte_is_no_reason_to_send_again() {
    let gone = || vec![FaultSpec { after: true, ..put(2, "cut") }, put(3, "404 empty")];
    let upload = Upload::of(Manner::default()).await;
    let received = upload.receive_with(gone()).await;
    assert_eq!((received.end.as_str(), received.asked.as_str()), (ADOPTED, "table, open, put, get 0, table"));
    assert_eq!(upload.starts(), [0], "the job was looked for first");
    upload.assert_loaded_once().await;

    // While the index lags, a new session is opened, and refused.
    let upload = Upload::of(Manner::default()).await;
    let lags = spoilt("get 0", "404 notFound: Not found: Job acme-dw:x");
    let received = upload.receive_with([gone(), vec![lags]].concat()).await;
    let asked = "table, open, put, get 0, open, get 0, table";
    assert_eq!((received.end.as_str(), received.asked.as_str()), (ADOPTED, asked));
    assert_eq!(upload.starts(), [0]);
    upload.assert_loaded_once().await;
}

#[tokio::test]
async fn an_upload_that_another_worker_overtakes_is_refused_at_its_end_and_adopts_the_other_job() {
    let upload = Upload::of(Manner::default()).await;
    let overtake = async {
        while !upload.bench.script.was_asked("put") {
            tokio::task::yield_now().await;
        }
        upload.bench.make_foreign_job(&json!({})).await;
    };
    let (received, ()) = tokio::join!(upload.receive_with(vec![put(2, "late")]), overtake);
    // The insertion is the other worker's.
    assert_eq!(
        (received.end.as_str(), received.asked.as_str()),
        (ADOPTED, "table, open, put, insert, put, get 0, table")
    );
    upload.assert_loaded_once().await;
}

#[tokio::test]
async fn an_object_replaced_in_the_middle_is_superseded_and_makes_no_job() {
    let upload = Upload::of(Manner { is_replaced: true, ..Manner::default() }).await;
    let received = upload.receive_with(vec![put(1, "cut body 270000")]).await;
    assert_eq!(received.end, "ignored: object.superseded, attempt 0");
    assert_eq!(received.asked, "table, open, put, cancel");
    let reads = upload.s3.reads();
    let [_, Read { start, status: 412, .. }] = reads[..] else { panic!("{reads:?}") };
    assert_eq!(start, CHUNK + STEP, "what was kept is not read again");
    upload.assert_no_job().await;
}

#[tokio::test]
async fn an_object_replaced_while_its_stream_is_open_loads_as_it_was_identified() {
    let upload = Upload::of(Manner { is_replaced: true, ..Manner::default() }).await;
    assert_eq!(upload.receive_with(Vec::new()).await.end, LOADED);
    assert_eq!(upload.starts(), [0]);
    upload.assert_loaded_once().await;
}

#[tokio::test]
async fn a_drip_that_is_in_time_is_no_stall() {
    let upload = Upload::of(Manner { drips: Duration::from_millis(20), ..Manner::default() }).await;
    let received = upload.receive_with(vec![put(1, "late")]).await;
    assert_eq!(received.end, LOADED);
    assert_eq!(upload.starts()[0], 0);
    upload.assert_loaded_once().await;
}

#[tokio::test]
async fn a_drip_too_slow_for_the_time_left_is_given_up_early_and_makes_no_job() {
    // All of it would take ten seconds.
    let upload = Upload::of(Manner { drips: Duration::from_millis(500), ..Manner::default() }).await;
    let within = Duration::from_secs(6);
    let begun = Instant::now();
    let received = upload.receive(Receive { within, ..Receive::default() }).await;
    assert_eq!(received.end, "returned: object.too_slow, may_pass, attempt 0");
    assert_eq!(received.asked, "table, open, put, cancel", "the session is told that no more will come");
    assert!(begun.elapsed() < within * 3 / 4, "early, and not at the deadline: {:?}", begun.elapsed());
    upload.assert_no_job().await;
}

#[tokio::test]
async fn an_upload_refused_at_its_end_made_no_job_and_says_why() {
    let refusals = [
        ("403 accessDenied: no", "returned: job.denied, nothing_can_load, attempt 0"),
        ("403 quotaExceeded: used up", "returned: job.quota_exceeded, not_soon, attempt 0"),
        ("403 rateLimitExceeded: too fast", "returned: job.throttled, may_pass, attempt 0"),
        ("400 invalid: no", "returned: job.refused, never, attempt 0"),
        (
            "404 notFound: Not found: Dataset acme-dw:casino_a",
            "returned: job.dataset_not_found, nothing_can_load, attempt 0",
        ),
        ("200 quotaExceeded: used up", "returned: job.quota_exceeded, not_soon, attempt 0"),
    ];
    for (with, end) in refusals {
        let upload = Upload::of(Manner::default()).await;
        let received = upload.receive_with(vec![put(2, with)]).await;
        assert_eq!((received.end.as_str(), received.asked.as_str()), (end, "table, open, put"), "{with}");
        upload.assert_no_job().await;
    }
}
