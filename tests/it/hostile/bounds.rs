//! What a message or a file announces is bounded before it is believed, and what the vendors allow is admitted.

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use dms2bq::cloud::{ByteStream, Deadline, ObjectHead, Objects, ObjectsError, Tail};
use dms2bq::entry::lambda::{InvocationError, Time};
use dms2bq::event::{self, MAX_BODY_BYTES};
use dms2bq::job::footers::FooterReader;
use dms2bq::object::footer::{MAX_COLUMNS, MAX_FOOTER_BYTES, TAIL_BYTES};
use dms2bq::object::{ETag, Object, ObjectError, ObjectRef};
use futures_util::future;
use parquet::file::properties::WriterProperties;
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::parser::parse_message_type;
use serde_json::json;

use super::{bench, bridged, notification, outcomes};
use crate::batch_bench::{BUCKET, batch, message};

/// S3 with one object that is larger than anything in memory. Its last eight bytes announce a footer, all others are zero.
/// It keeps count of the bytes that it was asked for.
struct Colossus {
    object_size_bytes: u64,
    footer_bytes: u32,
    largest_read_bytes: AtomicU64,
    in_flight_bytes: AtomicU64,
    most_in_flight_bytes: AtomicU64,
}

impl Colossus {
    fn announcing(footer_bytes: u32, object_size_bytes: u64) -> Self {
        let [largest_read_bytes, in_flight_bytes, most_in_flight_bytes] = [const { AtomicU64::new(0) }; 3];
        Self { object_size_bytes, footer_bytes, largest_read_bytes, in_flight_bytes, most_in_flight_bytes }
    }
}

#[async_trait]
impl Objects for Colossus {
    async fn head(&self, _object: &ObjectRef) -> Result<ObjectHead, ObjectsError> {
        Err(ObjectsError::Missing)
    }

    async fn read_tail(&self, _object: &Object, length_bytes: u64) -> Result<Tail, ObjectsError> {
        let asked_bytes = length_bytes.min(self.object_size_bytes);
        self.largest_read_bytes.fetch_max(asked_bytes, Ordering::SeqCst);
        let now = self.in_flight_bytes.fetch_add(asked_bytes, Ordering::SeqCst) + asked_bytes;
        self.most_in_flight_bytes.fetch_max(now, Ordering::SeqCst);
        // Every other reader gets its turn while this one holds its bytes.
        for _ in 0..100 {
            tokio::task::yield_now().await;
        }
        let mut bytes = vec![0; usize::try_from(asked_bytes).expect("it fits, since it was bounded")];
        let trailer = bytes.len() - 8;
        bytes[trailer..].copy_from_slice(&[self.footer_bytes.to_le_bytes(), *b"PAR1"].concat());
        self.in_flight_bytes.fetch_sub(asked_bytes, Ordering::SeqCst);
        Ok(Tail { bytes: bytes.into(), object_size_bytes: self.object_size_bytes })
    }

    async fn open(&self, _object: &Object, _range: Range<u64>) -> Result<ByteStream, ObjectsError> {
        Err(ObjectsError::Missing)
    }
}

fn object() -> Object {
    Object::new(
        BUCKET,
        "dms/casino-a/game/player/LOAD00000001.parquet",
        ETag::parse("e").expect("an etag"),
        None,
    )
}

#[tokio::test]
async fn a_footer_of_two_gigabytes_is_refused_by_its_announcement() {
    for footer_bytes in [1 << 31, u32::MAX, u32::try_from(MAX_FOOTER_BYTES + 1).expect("it fits")] {
        let s3 = Arc::new(Colossus::announcing(footer_bytes, 5 << 40));
        let refused = FooterReader::new(Arc::clone(&s3) as _).read(&object()).await.expect_err("too large");
        assert_eq!(refused.code(), "object.footer_too_large");
        assert_eq!(s3.largest_read_bytes.load(Ordering::SeqCst), TAIL_BYTES, "nothing more was asked for");
    }
}

#[tokio::test]
async fn large_footers_at_once_are_read_within_one_budget() {
    let footer_bytes = u32::try_from(MAX_FOOTER_BYTES).expect("it fits");
    let s3 = Arc::new(Colossus::announcing(footer_bytes, 5 << 30));
    let reader = FooterReader::new(Arc::clone(&s3) as _);
    let object = object();
    let read = future::join_all((0..16).map(|_| reader.read(&object))).await;
    assert!(read.iter().all(|read| matches!(read, Err(ObjectError::Footer { .. }))), "zeros are no footer");
    assert_eq!(s3.largest_read_bytes.load(Ordering::SeqCst), MAX_FOOTER_BYTES + 8, "each was read whole");
    let most = s3.most_in_flight_bytes.load(Ordering::SeqCst);
    assert!(most <= MAX_FOOTER_BYTES + 8, "{most} bytes of footers at one time");
}

/// A file of so many columns, and no rows.
fn file_of_columns(columns: usize) -> Bytes {
    let fields: String = (0..columns).map(|n| format!("OPTIONAL INT32 c{n};")).collect();
    let schema = parse_message_type(&format!("message m {{ {fields} }}")).expect("a schema");
    let mut bytes = Vec::new();
    let writer = SerializedFileWriter::new(
        &mut bytes,
        Arc::new(schema),
        Arc::new(WriterProperties::builder().build()),
    );
    writer.expect("a writer").close().expect("a file");
    bytes.into()
}

#[tokio::test]
async fn ten_thousand_columns_are_loaded_and_one_more_is_refused() {
    let bench = bench();
    let put = |n: usize, columns| {
        let record =
            bench.put(&format!("dms/casino-a/game/wide/LOAD0000000{n}.parquet"), file_of_columns(columns));
        json!({ "Records": [record] }).to_string()
    };
    let found = outcomes(&bench, &[put(1, MAX_COLUMNS), put(2, MAX_COLUMNS + 1)]).await;
    assert_eq!(found, ["loaded", "returned object.too_many_columns, never"]);
    assert_eq!(bench.memory.jobs().len(), 2, "the good message's and that of 10,000 columns");
}

#[tokio::test]
async fn a_million_records_are_counted_and_not_kept() {
    let bench = bench();
    let million = format!(r#"{{"Records":[{}{{}}]}}"#, "{},".repeat(999_999));
    assert!(million.len() < MAX_BODY_BYTES, "a queue could bring it");
    let found = outcomes(&bench, std::slice::from_ref(&million)).await;
    assert_eq!(found, ["returned event.too_many_records, never"]);
    let error = event::read(&million).expect_err("too many");
    assert!(error.to_string().contains("1000000"), "{error}");
}

#[tokio::test]
async fn a_thousand_records_of_one_message_are_a_thousand_pieces_of_work() {
    let bench = bench();
    let of_elsewhere = crate::batch_bench::record("acme-elsewhere", "k", "e").to_string();
    let body = format!(r#"{{"Records":[{}]}}"#, vec![of_elsewhere; 1000].join(","));
    let found = outcomes(&bench, &[body]).await;
    assert_eq!(found, vec!["returned route.unmapped, never"; 1000]);
}

#[tokio::test]
async fn deep_json_is_an_error_wherever_it_stands() {
    let bench = bench();
    let deep = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
    let inside =
        |field: &str| format!(r#"{{"Records":[{{"eventVersion":"2.1","{field}":{}}}]}}"#, deep(100_000));
    let objects = format!("{}1{}", r#"{"Records":"#.repeat(100_000), "}".repeat(100_000));
    let bodies = [deep(100_000), "[".repeat(100_000), inside("s3"), inside("unknown"), objects];
    let found = outcomes(&bench, &bodies).await;
    assert_eq!(found.len(), bodies.len(), "{found:?}");
    assert!(
        found.iter().all(|line| line.starts_with("returned event.") && line.ends_with(", never")),
        "{found:?}"
    );
}

#[tokio::test]
async fn a_key_of_1024_bytes_is_loaded_and_one_of_1024_multi_byte_characters_is_refused() {
    let bench = bench();
    let before = "dms/casino-a/game/";
    let after = "/LOAD00000001.parquet";
    let room = 1024 - before.len() - after.len();
    let longest = format!("{before}{}{}{after}", "가".repeat(room / 3), "a".repeat(room % 3));
    assert_eq!(longest.len(), 1024);
    let too_long = format!("{before}{}{after}", "가".repeat(1024 - before.len() - after.len()));
    assert_eq!(too_long.chars().count(), 1024);
    bench.put(&longest, crate::twins::file(3));
    let object = bench.objects.inner.put(BUCKET, &longest, crate::twins::file(3));
    let body = bridged(BUCKET, &longest).replace("0123456789abcdef0123456789abcdef", object.etag().as_str());
    let spelt = dms2bq::object::name::encode(&too_long).to_string();
    let found = outcomes(&bench, &[body, bridged(BUCKET, &too_long), notification(BUCKET, &spelt)]).await;
    let refused = "returned event.name_too_long, never";
    assert_eq!(found, ["loaded", refused, refused]);
    assert!(bench.memory.jobs().iter().all(|job| job.id.len() <= 1024), "BigQuery takes no longer id");
}

#[tokio::test]
async fn a_body_beyond_six_megabytes_is_refused_alone() {
    let bench = bench();
    let padded = |bytes: usize| {
        let body = notification("acme-elsewhere", "k");
        format!("{body}{}", " ".repeat(bytes - body.len()))
    };
    let found = outcomes(&bench, &[padded(MAX_BODY_BYTES), padded(MAX_BODY_BYTES + 1)]).await;
    assert_eq!(found, ["returned route.unmapped, never", "returned event.too_large, never"]);
}

#[tokio::test]
async fn ten_thousand_messages_are_answered_one_by_one_and_more_as_a_whole() {
    let bench = bench();
    let messages: Vec<_> = (0..10_001).map(|n| message(&n.to_string(), 1, "not json")).collect();
    let failures = bench.handle(&messages[..10_000]).await;
    assert_eq!(failures.len(), 10_000);
    let time = Time::until(Deadline::at(bench.clock.now() + Duration::from_secs(60)));
    let refused = bench.handler.handle(batch(&messages), time).await.expect_err("too many");
    assert!(matches!(refused, InvocationError::TooManyMessages { messages: 10_001 }), "{refused}");
}

#[tokio::test]
async fn messages_of_several_records_share_a_bound_and_those_of_one_always_pass() {
    let bench = bench();
    let several = format!(r#"{{"Records":[{}{{}}]}}"#, "{},".repeat(9_999));
    let single = notification("acme-elsewhere", "k");
    let bodies = [vec![several; 7], vec![single]].concat();
    let found = outcomes(&bench, &bodies).await;
    let refused = found.iter().filter(|line| *line == "returned event.too_many_records, never").count();
    assert_eq!((found.len(), refused), (5 * 10_000 + 2 + 1, 2));
    assert_eq!(
        found.last().map(String::as_str),
        Some("returned route.unmapped, never"),
        "it came last, and passed"
    );
}
