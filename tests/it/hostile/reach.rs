//! A forged message reaches nothing that the mappings do not name.

use serde_json::Value;

use super::{bench, bridged, notification, outcomes};
use crate::batch_bench::{BUCKET, Bench};
use crate::tidy::{files_with_suffix, text_of, without_unit_tests};
use crate::twins::file;

const FILE: &str = "LOAD00000001.parquet";

/// Checks that nothing but the good message was asked for: no call to S3, no job, no table.
fn assert_nothing_was_reached(bench: &Bench) {
    assert_eq!(bench.objects.keys_called(), ["dms/casino-a/game/bystander/LOAD00000001.parquet"]);
    let jobs: Vec<String> = bench.memory.jobs().into_iter().map(|job| job.id).collect();
    assert!(jobs.len() == 1 && jobs[0].starts_with("LOAD00000001_game_bystander_"), "{jobs:?}");
}

#[tokio::test]
async fn no_spelling_of_another_bucket_is_read() {
    let bench = bench();
    let buckets = [
        "acme-secrets",
        "acme-landing2",
        "acme-landing-2",
        "acme",
        "ACME-LANDING",
        "acme-landing ",
        "acme-landing.",
        "acme-landing/dms",
        "acme-secrets/../acme-landing",
        "../acme-landing",
        "s3://acme-landing",
        "acme-landing?versioning",
        "acme-landing#",
        "acme-landing\r\nHost: example.net",
        "acme-landing.s3.amazonaws.com",
        "arn:aws:s3:::acme-landing",
        "arn:aws:s3:ap-northeast-2:111122223333:accesspoint/acme-landing",
        "arn:aws:s3-object-lambda:ap-northeast-2:111122223333:accesspoint/acme-landing",
        "arn:aws:s3::111122223333:accesspoint/acme-landing.mrap",
        "acme-landing-abcdefghijklmnopqrstuvwxyz012345-s3alias",
        "acme-landing--apne2-az1--x-s3",
    ];
    let key = format!("dms/casino-a/game/player/{FILE}");
    for bucket in buckets {
        bench.objects.inner.put(bucket, &key, file(3));
    }
    let bodies: Vec<String> =
        buckets.iter().flat_map(|bucket| [notification(bucket, &key), bridged(bucket, &key)]).collect();
    let found = outcomes(&bench, &bodies).await;
    assert_eq!(found, vec!["returned route.unmapped, never"; bodies.len()]);
    assert_nothing_was_reached(&bench);
}

#[tokio::test]
async fn no_spelling_of_another_folder_is_read() {
    let bench = bench();
    let keys = [
        "secret/player",
        "dms/casino-b/game/player",
        "dms/casino-a2/game/player",
        "dms/casino-a-2/game/player",
        "dms/casino-/game/player",
        "dms/Casino-A/game/player",
        "/dms/casino-a/game/player",
        "dms//casino-a/game/player",
        "./dms/casino-a/game/player",
        "dms/../dms/casino-a/game/player",
        "dms/casino-b/../casino-a/game/player",
        "dms\\casino-a\\game\\player",
        "dms/casino-a\0/game/player",
        "dms/casino-a\n/game/player",
        "dms/casino-a\u{202e}/game/player",
        "dms%2Fcasino-a/game/player",
        "dms/casino%2Da/game/player",
    ];
    let keys: Vec<String> = keys.iter().map(|folders| format!("{folders}/{FILE}")).collect();
    for key in &keys {
        bench.objects.inner.put(BUCKET, key, file(3));
    }
    let spelt = |key: &String| dms2bq::object::name::encode(key).to_string();
    let bodies: Vec<String> =
        keys.iter().flat_map(|key| [notification(BUCKET, &spelt(key)), bridged(BUCKET, key)]).collect();
    let found = outcomes(&bench, &bodies).await;
    assert_eq!(found, vec!["returned route.unmapped, never"; bodies.len()]);
    assert_nothing_was_reached(&bench);
}

#[tokio::test]
async fn a_key_that_climbs_out_of_a_mapped_folder_is_none_of_dms() {
    let bench = bench();
    let keys = [
        "dms/casino-a/../secret/game/player",
        "dms/casino-a/../../secret/game/player",
        "dms/casino-a/game/../../secret/player",
        "dms/casino-a//game/player",
        "dms/casino-a/game//player",
        "dms/casino-a/./game/player",
    ];
    let keys: Vec<String> = keys.iter().map(|folders| format!("{folders}/{FILE}")).collect();
    // The slashes encoded, as a notification may: they are slashes all the same, and decoded once.
    let encoded = |key: &String| key.replace('/', "%2F").replace('.', "%2E");
    let bodies: Vec<String> = keys
        .iter()
        .flat_map(|key| {
            [notification(BUCKET, key), notification(BUCKET, &encoded(key)), bridged(BUCKET, key)]
        })
        .collect();
    let found = outcomes(&bench, &bodies).await;
    assert_eq!(found, vec!["returned key.not_dms, never"; bodies.len()]);
    assert_nothing_was_reached(&bench);
}

#[tokio::test]
async fn a_schema_or_table_that_is_no_name_leads_to_no_table() {
    let bench = bench();
    let names = [
        ("..", "player"),
        ("game", ".."),
        ("game", "player.secret"),
        ("game", "acme-other.secret.player"),
        ("acme-other:secret", "player"),
        ("acme-other.secret", "player"),
        ("secret`.`player", "x"),
        ("game", "player`; DROP TABLE player; --"),
        ("game", "player$20221201"),
        ("game", "player@-3600000"),
        ("game", "player*"),
        ("game", "pla\u{202e}yer"),
        ("game", "player\r\nX-Evil: 1"),
        ("game", "player?alt=media"),
        ("game", "player#fragment"),
        ("game", "player%2e%2e%2fsecret"),
        ("se\u{301}cret", "player"),
        ("비밀", "player"),
    ];
    let bodies: Vec<String> = names
        .iter()
        .map(|(schema, table)| bridged(BUCKET, &format!("dms/casino-a/{schema}/{table}/{FILE}")))
        .collect();
    let found = outcomes(&bench, &bodies).await;
    assert_eq!(found, vec!["returned route.bad_name, never"; bodies.len()]);
    assert_nothing_was_reached(&bench);
}

#[tokio::test]
async fn whatever_schema_is_named_its_rows_stay_in_the_dataset_of_its_rule() {
    let bench = bench();
    for dataset in ["secret", "casino_b", "app_secret"] {
        bench.memory.create_dataset("acme-dw", dataset, "asia-northeast3");
    }
    let put = |schema: &str| bench.put(&format!("dms/casino-a/{schema}/player/{FILE}"), file(3)).to_string();
    let bodies: Vec<String> =
        ["secret", "casino_b"].iter().map(|schema| format!(r#"{{"Records":[{}]}}"#, put(schema))).collect();
    let found = outcomes(&bench, &bodies).await;
    assert_eq!(found, ["loaded", "returned job.dataset_not_found, nothing_can_load"]);
    let destinations: Vec<String> =
        bench.memory.jobs().into_iter().filter_map(|job| job.destination).map(|t| t.to_string()).collect();
    assert!(destinations.contains(&"acme-dw.app_secret.secret_player".to_owned()), "{destinations:?}");
    assert!(destinations.iter().all(|table| !table.starts_with("acme-dw.secret.")), "{destinations:?}");
}

/// There is no SQL for a name to be injected into: nothing in the program asks BigQuery for anything but jobs, tables
/// and loads. (The embedded BigQuery has no SQL either, but is no part of the Lambda.)
#[test]
fn no_source_of_the_program_can_send_a_query() {
    let queries = [
        "QueryRequest",
        "QueryJob",
        "QueryConfig",
        "ConfigurationQuery",
        ".job().query",
        "/queries",
        "SELECT ",
        "INSERT INTO",
        "MERGE INTO",
        "DELETE FROM",
    ];
    for source in files_with_suffix("src", "rs").iter().filter(|file| !file.starts_with("src/emulator/")) {
        let text = text_of(source);
        let code = without_unit_tests(&text).lines().filter(|line| !line.trim_start().starts_with("//"));
        for line in code {
            let found = queries.iter().find(|word| line.contains(**word));
            assert!(found.is_none(), "{source}: {line}");
        }
    }
}

/// Whatever is loaded, the job that BigQuery is asked for is a load and nothing besides.
#[test]
fn a_job_is_a_load_and_nothing_else() {
    for folder in crate::cases::folders("plans") {
        let request: Value = crate::cases::json(&folder, "request.json");
        let Some(configuration) = request["configuration"].as_object() else {
            // A case of what cannot be planned.
            assert!(request["error"].is_string(), "{}: {request}", folder.display());
            continue;
        };
        let kinds: Vec<&String> = configuration.keys().collect();
        assert_eq!(kinds, ["labels", "load"], "{}", folder.display());
    }
}
