//! What stands in a message stays where it belongs in a request: one key in a path of S3's, one segment in an address of
//! BigQuery's, and never a header.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use aws_credential_types::Credentials;
use aws_credential_types::provider::SharedCredentialsProvider;
use aws_types::region::Region;
use axum::Router;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use dms2bq::cloud::aws::{self, S3};
use dms2bq::cloud::clock::SystemClock;
use dms2bq::cloud::google::{BigQuery, Settings};
use dms2bq::cloud::{CallError, Clock, Deadline, Objects, Warehouse};
use dms2bq::emulator::{self, Call, Fault, Faults, Options};
use dms2bq::job::JobRef;
use dms2bq::object::{ETag, Object, VersionId};
use dms2bq::route::TableRef;
use percent_encoding::percent_decode_str;
use tokio::net::TcpListener;

use super::bridged;
use crate::batch_bench::{self, BUCKET, WatchedObjects, message};
use crate::twins::file;

const ETAG: &str = "0123456789abcdef0123456789abcdef";

/// A request line and its headers, as they came.
#[derive(Debug, Clone)]
struct Seen {
    path: String,
    query: String,
    header_names: Vec<String>,
}

/// A server that has nothing, and keeps what it was asked.
struct Recorder {
    url: String,
    seen: Arc<Mutex<Vec<Seen>>>,
    serving: tokio::task::JoinHandle<()>,
}

impl Recorder {
    async fn start() -> Self {
        let seen: Arc<Mutex<Vec<Seen>>> = Arc::default();
        let routes = Router::new().fallback(record).with_state(Arc::clone(&seen));
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        let serving = tokio::spawn(async move { axum::serve(listener, routes).await.expect("a server") });
        Self { url, seen, serving }
    }

    fn seen(&self) -> Vec<Seen> {
        std::mem::take(&mut *self.seen.lock().expect("nobody panics while holding it"))
    }
}

impl Drop for Recorder {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

async fn record(State(seen): State<Arc<Mutex<Vec<Seen>>>>, request: Request) -> StatusCode {
    let uri = request.uri();
    let header_names = request.headers().keys().map(ToString::to_string).collect();
    let (path, query) = (uri.path().to_owned(), uri.query().unwrap_or_default().to_owned());
    seen.lock().expect("nobody panics while holding it").push(Seen { path, query, header_names });
    StatusCode::NOT_FOUND
}

/// The S3 client as it is made for production, but for where it goes.
async fn s3_at(url: &str) -> S3 {
    let credentials = Credentials::new("AKIAIOSFODNN7EXAMPLE", "secret", None, None, "test");
    let config = aws::sdk_config().await.into_builder().endpoint_url(url);
    let config = config.region(Region::new("us-east-1"));
    S3::new(&config.credentials_provider(SharedCredentialsProvider::new(credentials)).build())
}

#[tokio::test]
async fn dots_slashes_and_escapes_of_a_key_stay_in_the_key_that_s3_is_asked_for() {
    let server = Recorder::start().await;
    let s3 = s3_at(&server.url).await;
    let keys = [
        "dms/casino-a/../../acme-secrets/LOAD00000001.parquet",
        "dms/casino-a/./game/player/LOAD00000001.parquet",
        "dms/casino-a//game/player/LOAD00000001.parquet",
        "/dms/casino-a/game/player/LOAD00000001.parquet",
        "dms/casino-a/game/player%2e%2e%2fsecret/LOAD00000001.parquet",
        "dms/casino-a/game/player?versionId=1&acl/LOAD00000001.parquet",
        "dms/casino-a/game/player#fragment/LOAD00000001.parquet",
        "dms/casino-a/game/player HTTP/1.1\r\nX-Evil: 1\r\n\r\n/LOAD00000001.parquet",
        "dms/casino-a/game/\u{202e}비밀\u{0}/LOAD00000001.parquet",
        "http://example.net/LOAD00000001.parquet",
    ];
    for key in keys {
        for version in [None, VersionId::parse("3&partNumber=1&x=\r\nX-Evil: 1#/../")] {
            let object = Object::new(BUCKET, key, ETag::parse(ETAG).expect("an etag"), version.clone());
            let _not_there = s3.read_tail(&object, 8).await.expect_err("the server has nothing");
            let seen = server.seen();
            assert!(!seen.is_empty(), "{key:?} was asked for");
            for request in seen {
                let path = percent_decode_str(&request.path).decode_utf8().expect("a key is UTF-8");
                assert_eq!(path, format!("/{BUCKET}/{key}"), "as one key, as it stands");
                assert!(!request.header_names.contains(&"x-evil".to_owned()), "{request:?}");
                let asked: Vec<(String, String)> =
                    reqwest::Url::parse(&format!("http://s3/?{}", request.query))
                        .expect("a query")
                        .query_pairs()
                        .map(|(name, value)| (name.into_owned(), value.into_owned()))
                        .filter(|(name, _)| name != "x-id")
                        .collect();
                let version = version.iter().map(|id| ("versionId".to_owned(), id.to_string()));
                assert_eq!(asked, version.collect::<Vec<_>>(), "one version, and nothing besides");
            }
        }
    }
}

/// The client below is asked for what no mapping lets through: a name is one segment for it all the same, or refused.
#[tokio::test]
async fn a_name_of_any_characters_is_one_segment_of_a_bigquery_address() {
    let server = Recorder::start().await;
    let client = client_at(&server.url).await;
    for name in
        ["a/b", "a/../../b", "a?b=c", "a#b", "a%2fb", "a%2e%2e", "%2e%2e", "a;b", "a:b", "é-비밀\u{202e}"]
    {
        let _refused = ask_for(&client, name).await;
        let seen = server.seen();
        assert!(seen.len() >= 2, "{name:?} was asked for");
        for request in seen {
            let segments: Vec<String> = request
                .path
                .split('/')
                .map(|segment| {
                    percent_decode_str(segment).decode_utf8().expect("a name is UTF-8").into_owned()
                })
                .collect();
            let of_table =
                ["", "bigquery", "v2", "projects", "acme-dw", "datasets", "casino_a", "tables", name];
            let of_job = ["", "bigquery", "v2", "projects", "acme-dw", "jobs", name];
            assert!(segments == of_table || segments == of_job, "{name:?} became {request:?}");
            let only_location =
                request.query.is_empty() || request.query.starts_with("location=EU%26x%3D1%23");
            assert!(only_location && !request.query.contains('&'), "{request:?}");
        }
    }
}

#[tokio::test]
async fn a_name_that_an_address_would_leave_out_is_refused_before_anything_is_sent() {
    let server = Recorder::start().await;
    let client = client_at(&server.url).await;
    for name in ["", ".", "..", "a\r\nX-Evil: 1", "a\tb", "a\0b"] {
        for error in ask_for(&client, name).await {
            assert!(matches!(error, CallError::Rejected { .. }), "{name:?}: {error:?}");
        }
        assert!(server.seen().is_empty(), "{name:?} was asked for");
    }
}

async fn client_at(url: &str) -> BigQuery {
    let settings = Settings::emulator(url).expect("a URL");
    BigQuery::new(settings, Arc::new(SystemClock)).await.expect("a client needs no network")
}

/// Asks for a table and a job of this name, and gives the two refusals.
async fn ask_for(client: &BigQuery, name: &str) -> [CallError; 2] {
    let deadline = Deadline::at(SystemClock.now() + Duration::from_secs(20));
    let table = TableRef { project: "acme-dw".into(), dataset: "casino_a".into(), table: name.into() };
    let job = JobRef { project: "acme-dw".into(), location: "EU&x=1#".into(), id: name.into() };
    let of_table = client.get_table(&table, deadline).await.expect_err("there is nothing");
    let of_job = client.get_job(&job, deadline).await.expect_err("there is nothing");
    [of_table, of_job]
}

/// Keeps the requests that an embedded BigQuery gets.
#[derive(Default)]
struct Watching(Mutex<Vec<String>>);

impl Faults for Watching {
    fn before(&self, call: &Call) -> Option<Fault> {
        self.0.lock().expect("nobody panics while holding it").push(format!("{} {}", call.method, call.path));
        None
    }
}

#[tokio::test]
async fn whatever_keys_are_forged_bigquery_is_asked_for_the_mapped_datasets_alone() {
    let watching = Arc::new(Watching::default());
    let options = Options { faults: Arc::clone(&watching) as Arc<dyn Faults>, ..Options::default() };
    let running = emulator::start(options).await.expect("loopback is there");
    running.ensure_dataset("acme-dw", "casino_a", "asia-northeast3").await.expect("a good name");
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let settings = Settings::emulator(running.base_url()).expect("a URL");
    let client = BigQuery::new(settings, Arc::clone(&clock)).await.expect("a client needs no network");
    let objects = Arc::new(WatchedObjects::default());
    let (handler, records) =
        batch_bench::handler(Arc::clone(&objects) as _, Arc::new(client), &clock, super::mappings(), true);

    let tables =
        ["..", "a%2Fb", "a?b", "a#b", "a:b", "a`b", "a b", "a-b", "ä", "비밀", "a\r\nb", "{schema}", "a.b.c"];
    let messages: Vec<_> = tables
        .iter()
        .enumerate()
        .map(|(number, table)| {
            let key = format!("dms/casino-a/game/{table}/LOAD00000001.parquet");
            let object = objects.inner.put(BUCKET, &key, file(1));
            let body = bridged(BUCKET, &key).replace(ETAG, object.etag().as_str());
            message(&number.to_string(), 1, &body)
        })
        .collect();
    let deadline = Deadline::at(clock.now() + Duration::from_secs(60));
    let failures = batch_bench::failures(&handler, &messages, deadline).await;
    assert_eq!(failures.len(), 9, "{:?}", batch_bench::lines(&records));
    running.shutdown().await;

    let requests = watching.0.lock().expect("nobody panics while holding it").clone();
    let named = |request: &str| request.rsplit('/').next().unwrap_or_default().to_owned();
    for request in &requests {
        let is_known = [
            "GET /bigquery/v2/projects/acme-dw/datasets/casino_a/tables/",
            "GET /bigquery/v2/projects/acme-dw/jobs/",
        ]
        .iter()
        .any(|path| request.strip_prefix(path).is_some_and(|name| !name.is_empty() && !name.contains('/')))
            || request == "POST /upload/bigquery/v2/projects/acme-dw/jobs";
        assert!(is_known, "{request}");
    }
    let tables: Vec<String> = requests
        .iter()
        .filter(|request| request.contains("/tables/"))
        .map(|request| percent_decode_str(&named(request)).decode_utf8().expect("UTF-8").into_owned())
        .collect();
    for table in ["a b", "a-b", "ä", "비밀"] {
        assert!(tables.contains(&table.to_owned()), "{table} is a name of BigQuery's: {tables:?}");
    }
}
