//! What the process's environment decides: where AWS's credentials come from, proxies, and whom TLS trusts. Each test runs
//! itself again in a process of its own (see `google::process`).

use std::path::Path;
use std::sync::Arc;

use dms2bq::cloud::google::BigQuery;
use dms2bq::config::Config;
use dms2bq::entry::assemble;
use serde_json::json;

use super::stand_in::{Agreement, lambda_session};
use super::{Way, World, external_account, get, told};
use crate::google::process::{run_again_in, serve_tls};
use crate::google::server::{Reply, Request, Scripted, Server};

const BASE_URL: &str = "DMS2BQ_TEST_BASE_URL";
const CREDENTIALS: &str = "GOOGLE_APPLICATION_CREDENTIALS";

/// In a child: signs in by what its environment says, reads a job from where it is told, and prints what came of it.
async fn be_the_child() -> bool {
    #[expect(clippy::disallowed_methods, reason = "a test tells its child by the environment")]
    let Ok(base_url) = std::env::var(BASE_URL) else { return false };
    let config = Config::from_env().expect("an environment");
    let sdk_config = dms2bq::cloud::aws::sdk_config().await;
    let mut settings = assemble::google_settings(&config, &sdk_config).expect("settings");
    settings.base_url = base_url.parse().expect("a URL");
    let clock = dms2bq::cloud::clock::SystemClock;
    let client = BigQuery::new(settings, Arc::new(clock)).await.expect("a client");
    match get(&client).await {
        Ok(_) => println!("found: a job"),
        Err(error) => println!("found: {}", told(&error)),
    }
    true
}

async fn run_again(test: &str, environment: &[(&str, &str)]) -> String {
    // No credentials of whoever runs the tests.
    let nowhere = [
        ("AWS_EC2_METADATA_DISABLED", "true"),
        ("AWS_CONFIG_FILE", "/nowhere"),
        ("AWS_SHARED_CREDENTIALS_FILE", "/nowhere"),
        ("AWS_REGION", "ap-northeast-2"),
    ];
    let environment: Vec<_> = nowhere.iter().chain(environment).copied().collect();
    run_again_in("google::federation::surroundings", test, &environment).await
}

fn path(path: &Path) -> &str {
    path.to_str().expect("text")
}

#[tokio::test]
async fn lambdas_environment_is_enough() {
    if be_the_child().await {
        return;
    }
    let world = World::new(Agreement::default()).await;
    let file = world.written(&world.file(Way::AsServiceAccount));
    let session = lambda_session();
    let token = session.session_token.expect("a session");
    let lambda = [
        (BASE_URL, world.server.url.as_str()),
        (CREDENTIALS, path(&file)),
        ("AWS_ACCESS_KEY_ID", &session.access_key_id),
        ("AWS_SECRET_ACCESS_KEY", &session.secret_access_key),
        ("AWS_SESSION_TOKEN", &token),
    ];
    let printed = run_again("lambdas_environment_is_enough", &lambda).await;
    assert!(printed.contains("found: a job"), "{printed}");
    assert_eq!(world.exchanged(), 1);
}

/// The endpoint of ECS, and that of EKS Pod Identity, which wants a token from a file.
#[tokio::test]
async fn the_credentials_of_containers_sign_in() {
    if be_the_child().await {
        return;
    }
    let session = lambda_session();
    let keys = json!({
        "AccessKeyId": session.access_key_id, "SecretAccessKey": session.secret_access_key,
        "Token": session.session_token, "Expiration": "2099-01-01T00:00:00Z",
    });
    let container = Server::start(vec![Reply::json(200, &keys)]).await;
    let world = World::new(Agreement::default()).await;
    let file = world.written(&world.file(Way::Direct));
    let token_file = world.folder.path().join("eks-pod-identity-token");
    std::fs::write(&token_file, "pod-token").expect("written");
    let address = format!("{}/v1/credentials", container.url);
    let ecs = [
        (BASE_URL, world.server.url.as_str()),
        (CREDENTIALS, path(&file)),
        ("AWS_CONTAINER_CREDENTIALS_FULL_URI", &address),
    ];
    let eks = [&ecs[..], &[("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", path(&token_file))]].concat();
    for (environment, authorization) in [(ecs.to_vec(), None), (eks, Some("pod-token"))] {
        let printed = run_again("the_credentials_of_containers_sign_in", &environment).await;
        assert!(printed.contains("found: a job"), "{printed}");
        let requests = container.requests();
        let asked = requests.last().expect("it was asked");
        assert_eq!(
            (asked.target.as_str(), asked.header("authorization")),
            ("/v1/credentials", authorization)
        );
    }
}

/// EKS with IRSA: a token in a file is exchanged at AWS's STS.
#[tokio::test]
async fn a_web_identity_signs_in() {
    if be_the_child().await {
        return;
    }
    let session = lambda_session();
    let (key, secret) = (&session.access_key_id, &session.secret_access_key);
    let token = session.session_token.as_deref().expect("a session");
    let answer = format!(
        "<AssumeRoleWithWebIdentityResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\">\
         <AssumeRoleWithWebIdentityResult><Credentials><AccessKeyId>{key}</AccessKeyId>\
         <SecretAccessKey>{secret}</SecretAccessKey><SessionToken>{token}</SessionToken>\
         <Expiration>2099-01-01T00:00:00Z</Expiration></Credentials></AssumeRoleWithWebIdentityResult>\
         </AssumeRoleWithWebIdentityResponse>"
    );
    let sts = Server::start(vec![Reply::text(200, "text/xml", &answer)]).await;
    let world = World::new(Agreement::default()).await;
    let file = world.written(&world.file(Way::Direct));
    let token_file = world.folder.path().join("web-identity-token");
    std::fs::write(&token_file, "pod-jwt").expect("written");
    let irsa = [
        (BASE_URL, world.server.url.as_str()),
        (CREDENTIALS, path(&file)),
        ("AWS_WEB_IDENTITY_TOKEN_FILE", path(&token_file)),
        ("AWS_ROLE_ARN", "arn:aws:iam::123456789012:role/dms2bq-function"),
        ("AWS_ENDPOINT_URL_STS", &sts.url),
    ];
    let printed = run_again("a_web_identity_signs_in", &irsa).await;
    assert!(printed.contains("found: a job"), "{printed}");
    assert_eq!(sts.requests().len(), 1);
}

/// Without a file, by the two variables: everything goes to Google's own hosts, which a proxy sees.
#[tokio::test]
async fn the_variables_lead_to_googles_own_hosts_through_the_proxy() {
    if be_the_child().await {
        return;
    }
    let proxy = Server::start(vec![Reply::empty(403)]).await;
    let session = lambda_session();
    let provider = super::AUDIENCE.trim_start_matches("//iam.googleapis.com/");
    let environment = [
        (BASE_URL, "http://127.0.0.1:1"),
        ("DMS2BQ_GOOGLE_PROVIDER", provider),
        ("DMS2BQ_GOOGLE_SERVICE_ACCOUNT", super::ACCOUNT),
        ("AWS_ACCESS_KEY_ID", &session.access_key_id),
        ("AWS_SECRET_ACCESS_KEY", &session.secret_access_key),
        ("HTTPS_PROXY", &proxy.url),
    ];
    let name = "the_variables_lead_to_googles_own_hosts_through_the_proxy";
    let printed = run_again(name, &environment).await;
    assert!(printed.contains("sign_in.unreachable: sts.googleapis.com"), "{printed}");
    let requests = proxy.requests();
    assert!(!requests.is_empty());
    for request in requests {
        assert_eq!((request.method.as_str(), request.target.as_str()), ("CONNECT", "sts.googleapis.com:443"));
    }
}

/// The proxy for the token service and for the IAM credentials service, and no proxy where `NO_PROXY` says so.
#[tokio::test]
async fn both_services_are_reached_through_the_proxy_but_not_those_of_no_proxy() {
    if be_the_child().await {
        return;
    }
    let world = World::new(Agreement::default()).await;
    let mut file = world.file(Way::AsServiceAccount);
    file["token_url"] = "http://sts.invalid/v1/token".into();
    let through = "http://iamcredentials.invalid";
    let field = "service_account_impersonation_url";
    file[field] = external_account(through, Way::AsServiceAccount)[field].clone();
    let file = world.written(&file);
    let federated = json!({
        "access_token": "federated", "issued_token_type": "urn:ietf:params:oauth:token-type:access_token",
        "token_type": "Bearer", "expires_in": 3600,
    });
    let proxy = Server::start(Scripted(move |request: &Request| match request.target.as_str() {
        "http://sts.invalid/v1/token" => Reply::json(200, &federated),
        _ => Reply::empty(403),
    }))
    .await;
    let session = lambda_session();
    let environment = [
        (BASE_URL, world.server.url.as_str()),
        (CREDENTIALS, path(&file)),
        ("AWS_ACCESS_KEY_ID", &session.access_key_id),
        ("AWS_SECRET_ACCESS_KEY", &session.secret_access_key),
        ("HTTP_PROXY", &proxy.url),
    ];
    let name = "both_services_are_reached_through_the_proxy_but_not_those_of_no_proxy";
    let printed = run_again(name, &environment).await;
    assert!(printed.contains("sign_in.refused: iamcredentials.invalid says no"), "{printed}");
    let targets: Vec<String> = proxy.requests().iter().map(|request| request.target.clone()).collect();
    assert_eq!(targets[0], "http://sts.invalid/v1/token");
    assert!(
        targets[1].starts_with("http://iamcredentials.invalid/v1/projects/-/serviceAccounts/"),
        "{targets:?}"
    );
    for host in ["sts.invalid", "iamcredentials.invalid"] {
        let direct = [&environment[..], &[("NO_PROXY", host)]].concat();
        let printed = run_again(name, &direct).await;
        assert!(printed.contains(&format!("sign_in.unreachable: {host}")), "{host}: {printed}");
    }
}

#[tokio::test]
async fn tokens_are_fetched_from_those_whom_ssl_cert_file_vouches_for_and_from_no_other() {
    if be_the_child().await {
        return;
    }
    let world = World::new(Agreement::default()).await;
    let federated = json!({
        "access_token": "federated", "issued_token_type": "urn:ietf:params:oauth:token-type:access_token",
        "token_type": "Bearer", "expires_in": 3600,
        // The IAM credentials service's answer, from the same server.
        "accessToken": "account-token", "expireTime": "2099-01-01T00:00:00Z",
    });
    let url = format!("https://localhost:{}", serve_tls(&federated));
    let file = world.written(&external_account(&url, Way::AsServiceAccount));
    let session = lambda_session();
    let environment = [
        (BASE_URL, world.server.url.as_str()),
        (CREDENTIALS, path(&file)),
        ("AWS_ACCESS_KEY_ID", &session.access_key_id),
        ("AWS_SECRET_ACCESS_KEY", &session.secret_access_key),
    ];
    let name = "tokens_are_fetched_from_those_whom_ssl_cert_file_vouches_for_and_from_no_other";
    let authority = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/fake_tls/authority.pem");
    let trusting = [&environment[..], &[("SSL_CERT_FILE", authority)]].concat();
    let printed = run_again(name, &trusting).await;
    // The stand-in for BigQuery does not know the token, which is proof enough that there was one.
    assert!(printed.contains("Invalid Credentials"), "{printed}");
    let printed = run_again(name, &environment).await;
    assert!(printed.contains("sign_in.unreachable: localhost"), "{printed}");
}
