//! What the process's environment decides: proxies and certificates. An environment belongs to a process, so each test
//! runs itself again in a child process that has the environment in question.

use std::io::{Read, Write};
use std::net::TcpListener as StdListener;
use std::process::Command;
use std::sync::Arc;

use dms2bq::cloud::clock::SystemClock;
use dms2bq::cloud::google::{Access, BigQuery, Settings};
use dms2bq::cloud::{CallError, Warehouse};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use serde_json::Value;

use super::server::{Reply, Server};
use super::{ample, error, job, job_ref, variant};

/// Tells a child what it is to reach.
const BASE_URL: &str = "DMS2BQ_TEST_BASE_URL";

/// Runs a test of this file again in a process of its own, and gives what it printed.
async fn run_again(test: &str, environment: &[(&str, &str)]) -> String {
    run_again_in("google::process", test, environment).await
}

/// The same for a test of another module.
pub(super) async fn run_again_in(module: &str, test: &str, environment: &[(&str, &str)]) -> String {
    let program = std::env::current_exe().expect("a test is a program");
    let mut command = Command::new(program);
    command.args(["--exact", &format!("{module}::{test}"), "--nocapture", "--test-threads=1"]);
    for name in ["HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY", "SSL_CERT_DIR"] {
        command.env_remove(name).env_remove(name.to_lowercase());
    }
    command.envs(environment.iter().copied());
    let output =
        tokio::task::spawn_blocking(move || command.output()).await.expect("joined").expect("started");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("text")
}

/// In a child: reads the job from where it is told, and prints what came of it.
async fn be_the_child() -> bool {
    #[expect(clippy::disallowed_methods, reason = "a test tells its child by the environment")]
    let Ok(base_url) = std::env::var(BASE_URL) else { return false };
    let settings = Settings::new(base_url.parse().expect("a URL"), Access::Anonymous);
    let client = BigQuery::new(settings, Arc::new(SystemClock)).await.expect("a client");
    let found = client.get_job(&job_ref(), ample()).await;
    println!("found: {}", outcome(&found));
    true
}

fn outcome(found: &Result<Option<dms2bq::job::JobRecord>, CallError>) -> String {
    match found {
        Ok(Some(_)) => "a job".to_owned(),
        Ok(None) => "none".to_owned(),
        Err(error) => variant(error),
    }
}

#[tokio::test]
async fn google_is_reached_through_the_proxy() {
    if be_the_child().await {
        return;
    }
    let proxy = Server::start(vec![Reply::json(403, &error(403, "", "no"))]).await;
    let google = "https://bigquery.googleapis.com";
    let environment = [(BASE_URL, google), ("HTTPS_PROXY", proxy.url.as_str())];
    let printed = run_again("google_is_reached_through_the_proxy", &environment).await;
    assert!(printed.contains("found: NotSent"), "{printed}");
    let requests = proxy.requests();
    assert!(!requests.is_empty());
    for request in requests {
        assert_eq!(
            (request.method.as_str(), request.target.as_str()),
            ("CONNECT", "bigquery.googleapis.com:443")
        );
    }
}

#[tokio::test]
async fn an_emulator_on_this_machine_is_reached_without_the_proxy() {
    if be_the_child().await {
        return;
    }
    let proxy = Server::start(vec![Reply::empty(403)]).await;
    let emulator = Server::start(vec![Reply::json(200, &job("DONE"))]).await;
    let environment =
        [(BASE_URL, emulator.url.as_str()), ("HTTP_PROXY", &proxy.url), ("ALL_PROXY", &proxy.url)];
    let printed = run_again("an_emulator_on_this_machine_is_reached_without_the_proxy", &environment).await;
    assert!(printed.contains("found: a job"), "{printed}");
    assert!(proxy.requests().is_empty());
}

#[tokio::test]
async fn other_hosts_are_reached_through_the_proxy_but_those_of_no_proxy() {
    if be_the_child().await {
        return;
    }
    let proxy = Server::start(vec![Reply::json(200, &job("DONE"))]).await;
    let name = "other_hosts_are_reached_through_the_proxy_but_those_of_no_proxy";
    let far = [(BASE_URL, "http://bigquery.invalid"), ("HTTP_PROXY", proxy.url.as_str())];
    assert!(run_again(name, &far).await.contains("found: a job"));
    let far_and_direct = [far[0], far[1], ("NO_PROXY", "bigquery.invalid")];
    assert!(run_again(name, &far_and_direct).await.contains("found: NotSent"), "the name is nobody's");
    assert!(proxy.requests()[0].target.starts_with("http://bigquery.invalid/bigquery/v2/"));
}

#[tokio::test]
async fn a_certificate_named_by_the_environment_is_trusted_and_others_are_not() {
    if be_the_child().await {
        return;
    }
    let name = "a_certificate_named_by_the_environment_is_trusted_and_others_are_not";
    let port = serve_tls(&job("DONE"));
    let base_url = format!("https://localhost:{port}");
    let certificate = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/fake_tls/authority.pem");
    let printed = run_again(name, &[(BASE_URL, &base_url), ("SSL_CERT_FILE", certificate)]).await;
    assert!(printed.contains("found: a job"), "{printed}");
    let printed = run_again(name, &[(BASE_URL, &base_url)]).await;
    assert!(printed.contains("found: NotSent"), "{printed}");
}

/// A TLS server for `localhost`, on a thread that lives as long as the test, with one answer for everybody.
pub(super) fn serve_tls(answer: &Value) -> u16 {
    let answer = answer.to_string();
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/fake_tls");
    let certificate = CertificateDer::from_pem_file(folder.join("localhost.pem")).expect("a certificate");
    let key = PrivateKeyDer::from_pem_file(folder.join("localhost.key")).expect("a key");
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("TLS 1.2 and 1.3")
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key)
        .expect("a key for its certificate");
    let config = Arc::new(config);
    let listener = StdListener::bind("127.0.0.1:0").expect("loopback is there");
    let port = listener.local_addr().expect("bound").port();
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let connection = rustls::ServerConnection::new(Arc::clone(&config)).expect("a connection");
            // A client that does not trust us hangs up, which is its right.
            let _hung_up = answer_over_tls(rustls::StreamOwned::new(connection, stream), &answer);
        }
    });
    port
}

fn answer_over_tls(mut stream: impl Read + Write, body: &str) -> std::io::Result<()> {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") {
        stream.read_exact(&mut byte)?;
        head.push(byte[0]);
    }
    let length = body.len();
    stream.write_all(
        format!("HTTP/1.1 200 OK\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{body}").as_bytes(),
    )?;
    stream.flush()
}
