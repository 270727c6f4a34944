//! What the environment may say of signing in to Google, and what is refused at the start with a reason.

use dms2bq::cloud::google::{Access, Settings};
use dms2bq::config::Config;
use serde_json::Value;

use crate::cases;

#[test]
fn each_environment_is_read_strictly_or_refused_with_what_may_stand_there() {
    let folder = cases::root("environment");
    for name in cases::files("environment", "json") {
        let case: Value = cases::json(&folder, &name);
        let value = |variable: &str| case["variables"][variable].as_str().map(str::to_owned);
        let read = Config::read(|variable| value(variable).filter(|value| !value.is_empty()));
        match (read, case["refused"].as_array()) {
            (Ok(config), None) => {
                let federation = config.google_federation.as_ref();
                let provider = federation.map(|federation| federation.provider.to_string());
                assert_eq!(provider.as_deref(), case["signs_in_by"].as_str(), "{name}");
                let account = federation.and_then(|federation| federation.service_account.as_ref());
                assert_eq!(account.map(ToString::to_string).as_deref(), case["acts_as"].as_str(), "{name}");
            }
            (Err(error), Some(words)) => {
                assert_eq!(error.code(), "config.bad_value", "{name}");
                for word in words {
                    let word = word.as_str().expect("a text");
                    assert!(error.to_string().contains(word), "{name}: {word} is not in {error}");
                }
            }
            (read, refused) => panic!("{name}: {read:?}, and {refused:?} was expected"),
        }
    }
}

#[test]
fn an_emulator_wins_over_a_file_and_a_file_over_the_provider_and_that_over_gclouds_own() {
    let provider = "projects/1/locations/global/workloadIdentityPools/dms2bq/providers/aws-lambda";
    let access = |set: &[(&str, &str)]| {
        let config = Config::read(|name| {
            set.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned())
        });
        let config = config.expect("a good environment");
        let (emulator, file) = (config.bigquery_emulator.as_deref(), config.google_credentials.as_deref());
        let gcloud = config.gcloud_credentials.as_deref();
        Settings::from_environment(emulator, file, config.google_federation.as_ref(), gcloud)
            .expect("settings")
            .access
    };
    let emulator = ("BIGQUERY_EMULATOR_HOST", "http://127.0.0.1:9050");
    let file = ("GOOGLE_APPLICATION_CREDENTIALS", "google.json");
    let federation = ("DMS2BQ_GOOGLE_PROVIDER", provider);
    assert_eq!(access(&[emulator, file, federation]), Access::Anonymous);
    assert_eq!(access(&[file, federation]), Access::CredentialFile("google.json".into()));
    assert!(matches!(access(&[federation]), Access::Federation(_)));
    let (home, gcloud) = (("HOME", "/ana"), ("CLOUDSDK_CONFIG", "/etc/gcloud"));
    let of_gcloud = |folder: &str| {
        Access::CredentialFile(format!("{folder}/application_default_credentials.json").into())
    };
    assert!(matches!(access(&[federation, home]), Access::Federation(_)));
    assert_eq!(access(&[home]), of_gcloud("/ana/.config/gcloud"));
    assert_eq!(access(&[home, gcloud]), of_gcloud("/etc/gcloud"));
    assert_eq!(access(&[]), Access::Missing);
}
