use std::path::PathBuf;

use dms2bq::cloud::google::{Access, Settings};
use dms2bq::cloud::{CallError, Inserted, Warehouse};
use rustls::SignatureScheme;
use serde_json::{Value, json};
use tempfile::TempDir;

use super::object::{OneObject, content};
use super::server::{Reply, Request, Scripted, Server};
use super::{CHUNK_BYTES, ample, client, client_with, error, job, job_ref, load, settings};

const PRIVATE_KEY: &str = include_str!("../../fixtures/fake_service_account/private_key.pem");
const PUBLIC_KEY: &[u8] = include_bytes!("../../fixtures/fake_service_account/public_key.der");

fn service_account() -> Value {
    json!({
        "type": "service_account",
        "project_id": "acme-dw",
        "private_key_id": "key-1",
        "private_key": PRIVATE_KEY,
        "client_email": "loader@acme-dw.iam.gserviceaccount.com",
        "token_uri": "https://oauth2.googleapis.com/token",
    })
}

/// A credential file, and the folder that it lives in.
struct Credentials {
    _folder: TempDir,
    file: PathBuf,
}

fn credentials(content: &str) -> Credentials {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("credentials.json");
    std::fs::write(&file, content).expect("written");
    Credentials { _folder: folder, file }
}

fn settings_with(server: &Server, credentials: &Credentials) -> Settings {
    Settings { access: Access::CredentialFile(credentials.file.clone()), ..settings(server) }
}

fn bearer(request: &Request) -> String {
    let header = request.header("authorization").expect("a token");
    header.strip_prefix("Bearer ").expect("a bearer token").to_owned()
}

#[tokio::test]
async fn a_service_account_signs_its_own_token_for_bigquery() {
    let credentials = credentials(&service_account().to_string());
    let server = Server::start(vec![Reply::json(200, &job("DONE"))]).await;
    let client = client_with(settings_with(&server, &credentials)).await;
    client.get_job(&job_ref(), ample()).await.expect("an answer");
    let content = content(1000);
    client.insert(&load(&content), OneObject::new(content), ample()).await.expect("an answer");

    let requests = server.requests();
    let token = bearer(&requests[0]);
    assert_eq!(bearer(&requests[1]), token, "uploads carry the same token as the other calls");
    let (signed, signature) = token.rsplit_once('.').expect("a signature");
    let (header, claims) = signed.split_once('.').expect("claims");
    let header: Value = serde_json::from_slice(&base64url(header)).expect("JSON");
    let claims: Value = serde_json::from_slice(&base64url(claims)).expect("JSON");
    assert_eq!(header, json!({"alg": "RS256", "typ": "JWT", "kid": "key-1"}));
    assert_eq!(claims["iss"], "loader@acme-dw.iam.gserviceaccount.com");
    assert_eq!(claims["sub"], claims["iss"]);
    assert_eq!(claims["scope"], "https://www.googleapis.com/auth/bigquery");
    assert!(is_signed(signed.as_bytes(), &base64url(signature)), "with the account's key");
}

#[tokio::test]
async fn a_person_signs_in_by_what_gcloud_has_left_and_asks_for_no_more_than_was_agreed_to() {
    let script = Scripted(|request: &Request| match request.target.as_str() {
        "/token" => Reply::json(
            200,
            &json!({ "access_token": "of-a-person", "expires_in": 3599, "token_type": "Bearer" }),
        ),
        _ => Reply::json(200, &job("DONE")),
    });
    let server = Server::start(script).await;
    let left = json!({
        "type": "authorized_user",
        "client_id": "32555940559.apps.googleusercontent.com",
        "client_secret": "not-so-secret",
        "refresh_token": "1//refresh",
        "quota_project_id": "acme-dw",
        "token_uri": format!("{}/token", server.url),
    });
    let credentials = credentials(&left.to_string());
    let client = client_with(settings_with(&server, &credentials)).await;
    client.get_job(&job_ref(), ample()).await.expect("an answer");
    let requests = server.requests();
    let asked = String::from_utf8_lossy(&requests[0].body);
    assert!(asked.contains("1//refresh") && !asked.contains("auth/bigquery"), "{asked}");
    assert_eq!(bearer(&requests[1]), "of-a-person");
}

#[tokio::test]
async fn a_401_gets_one_fresh_token_and_one_more_try() {
    let unauthorized = Reply::json(401, &error(401, "authError", "Invalid Credentials"));
    let credentials = credentials(&service_account().to_string());

    let server = Server::start(vec![unauthorized.clone(), Reply::json(200, &job("DONE"))]).await;
    let client = client_with(settings_with(&server, &credentials)).await;
    assert!(client.get_job(&job_ref(), ample()).await.expect("an answer").is_some());
    assert_eq!(server.requests().len(), 2);

    let server = Server::start(vec![unauthorized.clone()]).await;
    let client = client_with(settings_with(&server, &credentials)).await;
    let found = client.get_job(&job_ref(), ample()).await;
    assert!(matches!(found, Err(CallError::Denied { .. })), "{found:?}");
    assert_eq!(server.requests().len(), 2, "a second 401 is final");

    for length in [1000, CHUNK_BYTES as usize + 1] {
        let mut refusals = vec![unauthorized.clone()].into_iter();
        let script = Scripted(move |request: &Request| match (request.method.as_str(), refusals.next()) {
            (_, Some(refusal)) => refusal,
            ("POST", None) if request.target.ends_with("resumable") => {
                Reply::empty(200).with("location", format!("{}&upload_id=secret", request.target))
            }
            _ if request.header("content-range").is_some_and(|range| range.starts_with("bytes 0-")) => {
                Reply::empty(308).with("range", format!("bytes=0-{}", CHUNK_BYTES - 1))
            }
            _ => Reply::json(200, &job("PENDING")),
        });
        let server = Server::start(script).await;
        let client = client_with(settings_with(&server, &credentials)).await;
        let content = content(length);
        let inserted = client.insert(&load(&content), OneObject::new(content), ample()).await;
        assert!(matches!(inserted, Ok(Inserted::Created(_))), "{inserted:?}");
    }
}

#[tokio::test]
async fn a_token_refused_in_the_middle_of_a_session_is_renewed() {
    let credentials = credentials(&service_account().to_string());
    let mut puts = 0;
    let script = Scripted(move |request: &Request| {
        puts += usize::from(request.method == "PUT");
        match (request.method.as_str(), puts) {
            ("POST", _) => Reply::empty(200).with("location", format!("{}&upload_id=secret", request.target)),
            (_, 1) => Reply::empty(308).with("range", format!("bytes=0-{}", CHUNK_BYTES - 1)),
            (_, 2) => Reply::empty(401),
            _ => Reply::json(200, &job("PENDING")),
        }
    });
    let server = Server::start(script).await;
    let client = client_with(settings_with(&server, &credentials)).await;
    let content = content(2 * CHUNK_BYTES as usize);
    let inserted = client.insert(&load(&content), OneObject::new(content), ample()).await;
    assert!(matches!(inserted, Ok(Inserted::Created(_))), "{inserted:?}");
    assert_eq!(server.requests().len(), 4);
}

#[tokio::test]
async fn without_usable_credentials_every_call_is_denied_with_the_reason_and_nothing_is_sent() {
    let without_email = {
        let mut file = service_account();
        file.as_object_mut().expect("an object").remove("client_email");
        file.to_string()
    };
    let with_a_broken_key = {
        let mut file = service_account();
        file["private_key"] = "-----BEGIN PRIVATE KEY-----\nsecretsecret\n-----END PRIVATE KEY-----\n".into();
        file.to_string()
    };
    let with_a_number_for_a_key = {
        let mut file = service_account();
        file["private_key"] = json!({"oops": "secretsecret"});
        file.to_string()
    };
    let cases = [
        ("", "is not JSON"),
        ("secretsecret", "is not JSON"),
        ("{}", "has the unknown type \"\""),
        (r#"{"type": "gdch_service_account"}"#, "has the unknown type \"gdch_service_account\""),
        (&without_email, "missing field `client_email`"),
        (&with_a_broken_key, ""),
        (&with_a_number_for_a_key, "a field is missing or of a wrong type"),
    ];
    for (file, expected) in cases {
        let credentials = credentials(file);
        let server = Server::start(vec![Reply::json(200, &job("DONE"))]).await;
        let client = client_with(settings_with(&server, &credentials)).await;
        let found = client.get_job(&job_ref(), ample()).await;
        let error = found.expect_err("there is no token");
        assert!(matches!(error, CallError::Denied { .. }), "{error:?}");
        assert!(error.to_string().contains(expected), "{error}");
        assert!(!format!("{error:?}").contains("secretsecret"), "a secret in {error:?}");
        assert!(server.requests().is_empty());
    }
}

#[tokio::test]
async fn a_missing_file_and_missing_credentials_are_named() {
    let server = Server::start(vec![Reply::json(200, &job("DONE"))]).await;
    let nowhere =
        Settings { access: Access::CredentialFile("/nowhere/key.json".into()), ..settings(&server) };
    let found = client_with(nowhere).await.get_job(&job_ref(), ample()).await;
    let text = found.expect_err("there is no token").to_string();
    assert!(text.contains("cannot read /nowhere/key.json"), "{text}");

    let missing = Settings { access: Access::Missing, ..settings(&server) };
    let found = client_with(missing).await.get_job(&job_ref(), ample()).await;
    let text = found.expect_err("there is no token").to_string();
    assert!(text.contains("GOOGLE_APPLICATION_CREDENTIALS"), "{text}");
    assert!(server.requests().is_empty());
}

#[tokio::test]
async fn credentials_that_are_mended_are_used_by_the_next_call() {
    let credentials = credentials("{}");
    let server = Server::start(vec![Reply::json(200, &job("DONE"))]).await;
    let client = client_with(settings_with(&server, &credentials)).await;
    client.get_job(&job_ref(), ample()).await.expect_err("there is no token yet");
    std::fs::write(&credentials.file, service_account().to_string()).expect("written");
    client.get_job(&job_ref(), ample()).await.expect("an answer");
}

#[tokio::test]
async fn an_external_account_gets_its_token_from_its_token_server() {
    let token = json!({
        "access_token": "federated",
        "issued_token_type": "urn:ietf:params:oauth:token-type:access_token",
        "token_type": "Bearer",
        "expires_in": 3600,
    });
    let tokens = Server::start(vec![Reply::json(200, &token)]).await;
    let subject = credentials("subject");
    let credentials = credentials(
        &json!({
            "type": "external_account",
            "audience": "//iam.googleapis.com/projects/1/locations/global/workloadIdentityPools/p/providers/x",
            "subject_token_type": "urn:ietf:params:oauth:token-type:jwt",
            "token_url": format!("{}/v1/token", tokens.url),
            "credential_source": {"file": subject.file},
        })
        .to_string(),
    );
    let server = Server::start(vec![Reply::json(200, &job("DONE"))]).await;
    let client = client_with(settings_with(&server, &credentials)).await;
    client.get_job(&job_ref(), ample()).await.expect("an answer");
    assert_eq!(bearer(&server.requests()[0]), "federated");
    assert_eq!(tokens.requests().len(), 1);
}

#[tokio::test]
async fn a_token_server_that_is_down_is_a_network_failure_and_one_that_refuses_is_a_denial() {
    let subject = credentials("subject");
    let external = |url: &str| {
        let file = json!({
            "type": "external_account",
            "audience": "//iam.googleapis.com/projects/1/locations/global/workloadIdentityPools/p/providers/x",
            "subject_token_type": "urn:ietf:params:oauth:token-type:jwt",
            "token_url": format!("{url}/v1/token"),
            "credential_source": {"file": subject.file},
        });
        credentials(&file.to_string())
    };
    let server = Server::start(vec![Reply::json(200, &job("DONE"))]).await;
    let refusal = json!({"error": "invalid_grant", "error_description": "no such provider"});
    let cases = [
        (Reply::json(400, &refusal), "Denied"),
        (Reply::text(503, "text/html", "<title>503</title>"), "NotSent"),
        (Reply::Reset, "NotSent"),
        (Reply::Silence, "NotSent"),
    ];
    for (reply, expected) in cases {
        let tokens = Server::start(vec![reply.clone()]).await;
        let credentials = external(&tokens.url);
        let mut settings = settings_with(&server, &credentials);
        settings.timings.token = std::time::Duration::from_millis(500);
        let found = client_with(settings).await.get_job(&job_ref(), ample()).await;
        assert_eq!(super::variant(&found.expect_err("there is no token")), expected, "{reply:?}");
    }
    assert!(server.requests().is_empty());
}

#[tokio::test]
async fn an_emulator_is_used_without_credentials() {
    let server = Server::start(vec![Reply::json(200, &job("DONE"))]).await;
    client(&server).await.get_job(&job_ref(), ample()).await.expect("an answer");
    let header = server.requests()[0].header("authorization").map(str::to_owned);
    assert_eq!(
        header.as_deref(),
        Some("Bearer emulator"),
        "the crate sends a header always; this one opens nothing"
    );
}

/// Decodes base64 of the URL alphabet without padding.
fn base64url(text: &str) -> Vec<u8> {
    let alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let (mut bits, mut count, mut bytes) = (0_u32, 0, Vec::new());
    for letter in text.chars() {
        bits = bits << 6 | alphabet.find(letter).expect("base64url") as u32;
        count += 6;
        if count >= 8 {
            count -= 8;
            bytes.push((bits >> count & 0xff) as u8);
        }
    }
    bytes
}

/// Whether the fake account's key made this signature.
fn is_signed(message: &[u8], signature: &[u8]) -> bool {
    let known = rustls::crypto::ring::default_provider().signature_verification_algorithms;
    let scheme = known.mapping.iter().find(|(scheme, _)| *scheme == SignatureScheme::RSA_PKCS1_SHA256);
    let (_, algorithms) = scheme.expect("ring knows RSA");
    algorithms.iter().any(|algorithm| algorithm.verify_signature(PUBLIC_KEY, message, signature).is_ok())
}
