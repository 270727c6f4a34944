use std::sync::Arc;

use aws_credential_types::Credentials;
use dms2bq::cloud::google::external::External;
use dms2bq::cloud::google::identity::IdentityRequest;
use dms2bq::cloud::google::{Federation, Provider, ServiceAccount};
use percent_encoding::percent_decode_str;
use serde_json::Value;

use super::aws_sts::Call;
use super::stand_in::{ACCOUNT, AUDIENCE, Agreement};
use super::{Way, World, external_account, get};
use crate::cases;

/// The cases: the calls in them were signed by AWS's own library for Python.
fn signed_calls() -> Vec<(String, Value)> {
    let folder = cases::root("subject_tokens");
    let names = cases::files("subject_tokens", "json");
    names.into_iter().map(|name| (name.clone(), cases::json(&folder, &name))).collect()
}

#[test]
fn the_proof_of_who_we_are_is_what_awss_own_library_signs() {
    for (name, case) in signed_calls() {
        let text = |field: &str| case[field].as_str().map(str::to_owned);
        let needed = |field: &str| text(field).unwrap_or_else(|| panic!("{name} lacks {field}"));
        let credentials = Credentials::new(
            needed("access_key_id"),
            needed("secret_access_key"),
            text("session_token"),
            None,
            "case",
        );
        let moment: jiff::Timestamp = needed("time").parse().expect("a moment");
        let request = IdentityRequest {
            region: &needed("region"),
            verification_url: &needed("regional_cred_verification_url"),
            audience: &needed("audience"),
            unix_ms: moment.as_millisecond() as u64,
        };
        let token = request.sign(&credentials).expect("signed");
        let decoded = percent_decode_str(&token).decode_utf8().expect("text").into_owned();
        let mut ours: Value = serde_json::from_str(&decoded).expect("JSON");
        ours["headers"].as_array_mut().expect("headers").sort_by_key(|header| header["key"].to_string());
        assert_eq!(ours, case["signed_call"], "{name}");
        assert!(!token.contains(['{', '"', ':', '/']), "{name}: all of it is percent-encoded: {token}");
    }
}

#[test]
fn the_signature_covers_the_provider_the_host_the_time_and_the_session() {
    for (name, case) in signed_calls() {
        let call = Call::read(&case["signed_call"].to_string());
        let signed = call.signed_headers();
        for header in call.headers.keys().filter(|header| *header != "authorization") {
            assert!(signed.contains(&header.as_str()), "{name}: {header} is not signed");
        }
        assert_eq!(call.header("x-goog-cloud-target-resource"), case["audience"], "{name}");
        assert_eq!(
            call.headers.contains_key("x-amz-security-token"),
            !case["session_token"].is_null(),
            "{name}"
        );
    }
}

#[test]
fn the_two_variables_mean_what_the_file_of_gcloud_means() {
    let provider = AUDIENCE.trim_start_matches("//iam.googleapis.com/");
    for way in [Way::Direct, Way::AsServiceAccount] {
        let service_account =
            (way == Way::AsServiceAccount).then(|| ServiceAccount::parse(ACCOUNT).expect("an address"));
        let federation =
            Federation { provider: Provider::parse(provider).expect("a provider"), service_account };
        let mut file = external_account("https://iamcredentials.googleapis.com", way);
        file["token_url"] = "https://sts.googleapis.com/v1/token".into();
        let from_file = External::from_file(&file).expect("a file").expect("about AWS");
        assert_eq!(External::from(&federation), from_file, "{way:?}");
    }
}

#[test]
fn files_about_other_workloads_are_left_to_googles_library() {
    let file = serde_json::json!({"type": "external_account", "credential_source": {"file": "/token"}});
    assert_eq!(External::from_file(&file), Ok(None));
    let later =
        serde_json::json!({"type": "external_account", "credential_source": {"environment_id": "aws2"}});
    assert!(External::from_file(&later).is_err_and(|error| error.contains("\"aws2\"")));
}

#[tokio::test]
async fn aws_and_google_believe_the_signature_with_and_without_a_service_account() {
    for (way, impersonated) in [(Way::Direct, 0), (Way::AsServiceAccount, 1)] {
        let world = World::new(Agreement::default()).await;
        let client = world.client(way).await;
        get(&client).await.unwrap_or_else(|error| panic!("{way:?}: {error:?}"));
        let ledger = world.ledger();
        assert_eq!((ledger.exchanged, ledger.impersonated, ledger.refused), (1, impersonated, 0), "{way:?}");
    }
}

#[tokio::test]
async fn a_key_without_a_session_signs_in_too() {
    let mut agreement = Agreement::default();
    agreement.sessions[0].session_token = None;
    let world = World::new(agreement.clone()).await;
    let settings = world.settings(Way::AsServiceAccount).with_aws(Some(super::aws(&agreement.sessions[0])));
    let client = Arc::new(world.client_with(settings).await);
    get(&client).await.expect("signed in");
}
