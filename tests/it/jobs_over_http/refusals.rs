//! Where nothing can load: how often BigQuery, or a token server, is bothered for one object in one receive.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use axum::Router;
use axum::http::StatusCode;
use dms2bq::cloud::google::{Access, Sizes};
use serde_json::{Value, json};
use tempfile::TempDir;

use super::bench::{Bench, Receive, quick};
use super::faults::FaultSpec;
use crate::twins::file;

/// The most calls that may be refused for one object in one receive.
const REFUSED_MOST: usize = 6;

const DENIED: &str = "returned: job.denied, nothing_can_load, attempt 0";

struct Credentials {
    folder: TempDir,
}

impl Credentials {
    fn of(content: &Value) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        std::fs::write(folder.path().join("key.json"), content.to_string()).expect("written");
        Self { folder }
    }

    /// An account that signs its own tokens, so that each is a fresh one without a server.
    fn service_account() -> Self {
        Self::of(&json!({
            "type": "service_account",
            "project_id": "acme-dw",
            "private_key_id": "key-1",
            "private_key": include_str!("../../fixtures/fake_service_account/private_key.pem"),
            "client_email": "loader@acme-dw.iam.gserviceaccount.com",
            "token_uri": "https://oauth2.googleapis.com/token",
        }))
    }

    fn file(&self) -> PathBuf {
        self.folder.path().join("key.json")
    }
}

/// A receive with credentials, where calls go wrong: its end, how many went wrong, and whether the rows are in.
async fn receive(count: u32, in_a_session: bool, faults: Vec<FaultSpec>) -> (String, usize, u64) {
    let credentials = Credentials::service_account();
    let bench = Bench::start(quick(), file(3)).await;
    let mut settings = bench.settings();
    settings.access = Access::CredentialFile(credentials.file());
    let smallest = if in_a_session { 1 } else { u64::MAX };
    settings.sizes = Sizes { multipart_limit_bytes: smallest, ..settings.sizes };
    let receive = Receive { count, faults, ..Receive::default() };
    let received = bench.receive_with(receive, settings, Arc::clone(&bench.objects) as _).await;
    bench.wait_for_jobs().await;
    let rows = bench.rows().await;
    bench.stop().await;
    (received.end, received.spoilt, rows)
}

/// Every call that a load makes: its name, the receive that makes it first, and whether the upload is in a session.
const CALLS: [(&str, u32, bool); 5] =
    [("get 0", 2, false), ("table", 1, false), ("insert", 1, false), ("open", 1, true), ("put", 1, true)];

#[tokio::test]
async fn a_401_to_any_call_gets_one_fresh_token() {
    for (call, count, in_a_session) in CALLS {
        let once = FaultSpec { times: 1, ..FaultSpec::always(call, "401 authError: Invalid Credentials") };
        let (end, refused, rows) = receive(count, in_a_session, vec![once]).await;
        assert_eq!((end.as_str(), refused, rows), ("loaded, attempt 0", 1, 3), "{call}");
    }
}

#[tokio::test]
async fn a_second_401_is_believed_and_nothing_more_is_asked() {
    for (call, count, in_a_session) in CALLS {
        for with in ["401 authError: Invalid Credentials", "401 html"] {
            let (end, refused, rows) =
                receive(count, in_a_session, vec![FaultSpec::always(call, with)]).await;
            assert_eq!((end.as_str(), rows), (DENIED, 0), "{call}, {with}");
            assert!(
                refused == 2 || (with.ends_with("html") && refused <= 3),
                "{call}, {with}: {refused} refused"
            );
        }
    }
}

#[tokio::test]
async fn whatever_is_denied_at_most_six_calls_are_refused() {
    let answers = [
        "401 authError: no",
        "401 html",
        "403 accessDenied: no",
        "403 html",
        "404 notFound: Not found: Dataset x:y",
    ];
    for with in answers {
        for (call, count, in_a_session) in CALLS {
            // This call and all that come after it.
            let all = ["get", "table", "insert", "open", "put"].map(|to| FaultSpec::always(to, with));
            let here_on = vec![FaultSpec::always(call, with)];
            for faults in [all.to_vec(), here_on] {
                let (end, refused, rows) = receive(count, in_a_session, faults).await;
                assert!(end.ends_with("nothing_can_load, attempt 0"), "{call}, {with}: {end}");
                assert!((1..=REFUSED_MOST).contains(&refused), "{call}, {with}: {refused} refused");
                assert_eq!(rows, 0);
            }
        }
    }
}

#[tokio::test]
async fn a_refused_token_is_asked_for_a_few_times_and_bigquery_is_not() {
    let asked = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&asked);
    let refuse = move || {
        count.fetch_add(1, Ordering::SeqCst);
        async {
            (
                StatusCode::BAD_REQUEST,
                r#"{"error": "invalid_grant", "error_description": "no such provider"}"#,
            )
        }
    };
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let url = format!("http://{}/v1/token", listener.local_addr().expect("an address"));
    let serving = tokio::spawn(axum::serve(listener, Router::new().fallback(refuse)).into_future());

    let subject = Credentials::of(&json!("subject"));
    let credentials = Credentials::of(&json!({
        "type": "external_account",
        "audience": "//iam.googleapis.com/projects/1/locations/global/workloadIdentityPools/p/providers/x",
        "subject_token_type": "urn:ietf:params:oauth:token-type:jwt",
        "token_url": url,
        "credential_source": { "file": subject.file() },
    }));
    let bench = Bench::start(quick(), file(3)).await;
    for count in [1, 2] {
        asked.store(0, Ordering::SeqCst);
        let mut settings = bench.settings();
        settings.access = Access::CredentialFile(credentials.file());
        let receive = Receive { count, ..Receive::default() };
        let received = bench.receive_with(receive, settings, Arc::clone(&bench.objects) as _).await;
        assert_eq!((received.end.as_str(), received.asked.as_str()), (DENIED, ""));
        let asked = asked.load(Ordering::SeqCst);
        assert!((1..=REFUSED_MOST).contains(&asked), "receive {count}: {asked} refused");
    }
    bench.stop().await;
    serving.abort();
}
