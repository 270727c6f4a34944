//! Every way in which a sign-in fails, and what a person is told.

use std::time::Duration;

use aws_credential_types::provider::error::CredentialsError;
use aws_credential_types::provider::{ProvideCredentials, SharedCredentialsProvider, future};
use dms2bq::cloud::google::{Access, AwsIdentity, Settings};
use dms2bq::cloud::{CallError, Warehouse};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use super::stand_in::{Agreement, lambda_session};
use super::{OurClock, Way, World, aws, external_account, get, told};
use crate::cases;
use crate::google::server::Reply;
use crate::google::{ample, job_ref, settings, variant};

/// Answers of Google's, each with what is made of it.
#[tokio::test]
async fn each_refusal_names_what_is_wrong_and_what_to_do() {
    let folder = cases::root("sign_in");
    for name in cases::files("sign_in", "json") {
        let case: Value = cases::json(&folder, &name);
        let body = case["body"].as_str().map_or_else(|| case["body"].to_string(), str::to_owned);
        let reply = Reply::text(case["status"].as_u64().expect("a status") as u16, "application/json", &body);
        let is_exchange = case["step"] == "exchange";
        let agreement = Agreement {
            exchange_fault: is_exchange.then(|| reply.clone()),
            impersonation_fault: (!is_exchange).then_some(reply),
            ..Agreement::default()
        };
        let world = World::new(agreement).await;
        let error = get(&world.client(Way::AsServiceAccount).await).await.expect_err(&name);
        let text = told(&error);
        assert_eq!(variant(&error), case["kind"], "{name}: {text}");
        assert!(text.contains(case["code"].as_str().expect("a code")), "{name}: {text}");
        for words in case["says"].as_array().expect("words") {
            assert!(text.contains(words.as_str().expect("a text")), "{name}: {words} is not in {text}");
        }
        assert!(text.contains("127.0.0.1"), "{name}: who said so? {text}");
    }
}

/// The same from the stand-ins, which find it out themselves.
#[tokio::test]
async fn what_is_wrong_with_the_agreement_is_told_apart() {
    type Change = fn(&mut Agreement);
    let wrongs: [(&str, Change); 5] = [
        ("sign_in.aws_expired", |agreement| agreement.sessions[0].has_ended = true),
        ("sign_in.aws_refused", |agreement| agreement.sessions[0].secret_access_key = "another".to_owned()),
        ("sign_in.aws_refused", |agreement| agreement.sessions[0].session_token = Some("another".to_owned())),
        ("sign_in.condition", |agreement| {
            agreement.admitted = "arn:aws:sts::1:assumed-role/other/".to_owned()
        }),
        ("sign_in.impersonation", |agreement| agreement.may_impersonate = false),
    ];
    for (code, change) in wrongs {
        let world = World::new(Agreement::default()).await;
        change(&mut world.agreement());
        let error = get(&world.client(Way::AsServiceAccount).await).await.expect_err(code);
        let text = told(&error);
        assert!(matches!(error, CallError::Denied { .. }) && text.contains(code), "{code}: {text}");
        // Mended, the next call signs in.
        *world.agreement() = Agreement::default();
        get(&world.client(Way::AsServiceAccount).await).await.expect("signed in");
    }
}

#[tokio::test]
async fn a_wrong_audience_is_a_provider_that_does_not_exist() {
    let world = World::new(Agreement::default()).await;
    let mut file = world.file(Way::Direct);
    file["audience"] =
        json!("//iam.googleapis.com/projects/1/locations/global/workloadIdentityPools/other/providers/aws");
    let settings = world.settings(Way::Direct);
    world.written(&file);
    let text = told(&get(&world.client_with(settings).await).await.expect_err("refused"));
    assert!(text.contains("sign_in.no_provider"), "{text}");
}

#[tokio::test]
async fn a_clock_that_is_off_is_named_whichever_way_it_is_off() {
    for (minutes, is_fine) in [(-30, false), (30, false), (-3, true), (3, true)] {
        let world = World::new(Agreement::default()).await;
        let clock =
            OurClock { world: world.clock.clone(), off_ms: minutes * 60_000, passed_ms: Default::default() };
        let settings = world.settings(Way::AsServiceAccount);
        let client = dms2bq::cloud::google::BigQuery::new(settings, std::sync::Arc::new(clock)).await;
        let found = get(&client.expect("a client")).await;
        match found {
            Ok(_) => assert!(is_fine, "{minutes} minutes"),
            Err(error) => {
                let text = told(&error);
                assert!(
                    !is_fine && text.contains("sign_in.clock_off") && text.contains("set the clock"),
                    "{text}"
                );
            }
        }
    }
}

type Failure = fn() -> CredentialsError;

/// A source of credentials that has none, or fails.
#[derive(Debug)]
struct NoKeys(Failure);

impl ProvideCredentials for NoKeys {
    fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
    where
        Self: 'a,
    {
        future::ProvideCredentials::ready(Err((self.0)()))
    }
}

#[tokio::test]
async fn without_aws_credentials_nothing_is_asked_of_google() {
    let sources: [(Failure, &str); 3] = [
        (|| CredentialsError::not_loaded("no providers in chain provided credentials"), "Denied"),
        (|| CredentialsError::invalid_configuration("the profile \"x\" was not defined"), "Denied"),
        (|| CredentialsError::provider_error("the container endpoint answered 500"), "NotSent"),
    ];
    for (source, kind) in sources {
        let world = World::new(Agreement::default()).await;
        let none = AwsIdentity::new(SharedCredentialsProvider::new(NoKeys(source)), "us-east-1");
        let settings = world.settings(Way::Direct).with_aws(Some(none));
        let error = get(&world.client_with(settings).await).await.expect_err("there is nobody to vouch for");
        let text = told(&error);
        assert_eq!(variant(&error), kind, "{text}");
        assert!(text.contains("sign_in.no_aws_credentials") && text.contains("ECS or EKS role"), "{text}");
        assert!(world.server.requests().is_empty());
    }
    let world = World::new(Agreement::default()).await;
    let nobody = world.settings(Way::Direct).with_aws(None);
    let text = told(&get(&world.client_with(nobody).await).await.expect_err("nobody"));
    assert!(text.contains("sign_in.no_aws_credentials"), "{text}");
}

#[tokio::test]
async fn a_host_that_cannot_be_reached_is_named_with_what_is_in_the_way() {
    let refuses = {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("loopback");
        format!("http://{}", listener.local_addr().expect("bound"))
    };
    for (url, host) in [("http://sts.invalid", "sts.invalid"), (refuses.as_str(), "127.0.0.1")] {
        for field in ["token_url", "service_account_impersonation_url"] {
            let world = World::new(Agreement::default()).await;
            let settings = world.settings(Way::AsServiceAccount);
            let mut file = world.file(Way::AsServiceAccount);
            file[field] = external_account(url, Way::AsServiceAccount)[field].clone();
            world.written(&file);
            let error = get(&world.client_with(settings).await).await.expect_err("nobody is there");
            let text = told(&error);
            assert!(matches!(error, CallError::NotSent { .. }), "{text}");
            assert!(text.contains("sign_in.unreachable") && text.contains(host), "{field}: {text}");
            assert!(text.contains("HTTPS_PROXY"), "{text}");
        }
    }
}

/// The answer breaks off within its body: that is the network, and no word of Google's.
#[tokio::test]
async fn an_answer_that_breaks_off_may_pass() {
    for field in ["token_url", "service_account_impersonation_url"] {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("loopback");
        let breaks_off = format!("http://{}", listener.local_addr().expect("bound"));
        tokio::spawn(async move {
            while let Ok((mut connection, _)) = listener.accept().await {
                let _request = connection.read(&mut [0; 16 * 1024]).await;
                let _sent =
                    connection.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 500\r\n\r\n{\"acc").await;
                let _closed = connection.shutdown().await;
            }
        });
        let world = World::new(Agreement::default()).await;
        let mut settings = world.settings(Way::AsServiceAccount);
        settings.tries.most = 1;
        let mut file = world.file(Way::AsServiceAccount);
        file[field] = external_account(&breaks_off, Way::AsServiceAccount)[field].clone();
        world.written(&file);
        let error = get(&world.client_with(settings).await).await.expect_err("half an answer");
        let text = told(&error);
        assert!(matches!(error, CallError::NotSent { .. }), "{field}: {text}");
        assert!(text.contains("sign_in.unreachable"), "{field}: {text}");
    }
}

/// A service that takes requests and never answers: waiting ends, what waited is gone, and the next call starts anew.
#[tokio::test]
async fn a_service_that_is_silent_is_given_up_with_its_connection() {
    for field in ["token_url", "service_account_impersonation_url"] {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("loopback");
        let silent = format!("http://{}", listener.local_addr().expect("bound"));
        let hung_up = tokio::spawn(async move {
            let (mut connection, _) = listener.accept().await.expect("a connection");
            // Reads the request, answers nothing, and ends when the other side does.
            connection.read_to_end(&mut Vec::new()).await
        });
        let world = World::new(Agreement::default()).await;
        let mut settings = world.settings(Way::AsServiceAccount);
        settings.timings.token = Duration::from_millis(500);
        let good = world.file(Way::AsServiceAccount);
        let mut file = good.clone();
        file[field] = external_account(&silent, Way::AsServiceAccount)[field].clone();
        world.written(&file);
        settings.tries.most = 1;
        let client = world.client_with(settings).await;
        let error = get(&client).await.expect_err("no answer");
        let text = told(&error);
        assert!(
            matches!(error, CallError::NotSent { .. }) && text.contains("sign_in.slow"),
            "{field}: {text}"
        );
        let ended = tokio::time::timeout(Duration::from_secs(10), hung_up).await;
        assert!(ended.is_ok(), "{field}: the connection lives on");
        world.written(&good);
        get(&client).await.expect("the next call is not held up by the last");
    }
}

#[tokio::test]
async fn a_file_that_is_incomplete_is_named_with_what_it_lacks() {
    let world = World::new(Agreement::default()).await;
    let good = world.file(Way::Direct);
    for field in ["audience", "token_url"] {
        let mut file = good.clone();
        file.as_object_mut().expect("an object").remove(field);
        let access = Access::CredentialFile(world.written(&file));
        let settings = Settings { access, ..settings(&world.server) }.with_aws(Some(aws(&lambda_session())));
        let text = told(&get(&world.client_with(settings).await).await.expect_err("incomplete"));
        assert!(
            text.contains("sign_in.bad_file") && text.contains(&format!("missing field `{field}`")),
            "{text}"
        );
    }
    assert!(world.server.requests().is_empty());
}

#[tokio::test]
async fn a_moment_of_trouble_is_passed_over_and_a_longer_one_is_not_hammered() {
    for (hiccups, is_passed_over) in [([2, 2], true), ([50, 0], false), ([0, 50], false)] {
        let world = World::new(Agreement { hiccups, ..Agreement::default() }).await;
        let mut settings = world.settings(Way::AsServiceAccount);
        settings.tries.most = 3;
        let found = get(&world.client_with(settings).await).await;
        assert_eq!(found.is_ok(), is_passed_over, "{hiccups:?}: {found:?}");
        // Three tries of a sign-in in each of three tries of the call.
        assert!(world.server.requests().len() <= 18, "{} requests", world.server.requests().len());
    }
}

/// Sixteen objects of a batch, and one refusal for all of them.
#[tokio::test]
async fn a_burst_of_calls_is_refused_once() {
    let world = World::new(Agreement { admitted: "nobody".to_owned(), ..Agreement::default() }).await;
    let client = world.client(Way::AsServiceAccount).await;
    let job = job_ref();
    let calls = (0..16).map(|_| client.get_job(&job, ample()));
    let found = futures_util::future::join_all(calls).await;
    assert!(found.iter().all(|found| matches!(found, Err(CallError::Denied { .. }))), "{found:?}");
    assert_eq!(world.server.requests().len(), 1);
}
