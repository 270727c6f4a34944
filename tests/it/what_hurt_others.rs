//! `docs/decisions/0009-what-hurt-others.md` names only tests and cases that exist; and the pains that no other test is
//! about.

use std::sync::Arc;

use dms2bq::entry::mapping_store::MappingStore;
use dms2bq::route::{MappingFile, Mappings};
use serde_json::Value;

use crate::batch_bench::{BUCKET, Bench, news, record};
use crate::cases;
use crate::tidy::{repository, text_of};
use crate::twins::file;

const PAGE: &str = "docs/decisions/0009-what-hurt-others.md";

/// The rows of the page's tables: what hurt, where, and why it cannot happen here.
fn rows() -> Vec<[String; 3]> {
    let page = text_of(PAGE);
    let lines = page.lines().filter(|line| line.starts_with("| ") && !line.starts_with("| What hurt"));
    let cells = |line: &str| -> [String; 3] {
        let cells: Vec<String> =
            line.trim_matches('|').split(" | ").map(|cell| cell.trim().to_owned()).collect();
        cells.try_into().unwrap_or_else(|cells| panic!("{PAGE}: not three cells: {cells:?}"))
    };
    lines.map(cells).collect()
}

/// What a cell names in backquotes.
fn names(cell: &str) -> impl Iterator<Item = &str> {
    cell.split('`').skip(1).step_by(2)
}

#[test]
fn every_test_and_case_that_is_named_against_a_pain_exists() {
    let mut problems = Vec::new();
    let (mut tests, mut named_cases) = (0, 0);
    for [_, _, why] in rows() {
        for name in names(&why) {
            if let Some((file, test)) = name.split_once("::") {
                tests += 1;
                let source = std::fs::read_to_string(repository().join(file)).unwrap_or_default();
                let is_there = ["fn", "def"].iter().any(|word| source.contains(&format!("{word} {test}(")));
                problems.extend((!is_there).then(|| format!("no test {test} in {file}")));
            } else if let Some((kind, case)) = name.split_once('/') {
                named_cases += 1;
                let folder = cases::root(kind);
                let is_there =
                    ["", ".json", ".http"].iter().any(|end| folder.join(format!("{case}{end}")).exists());
                problems.extend((!is_there).then(|| format!("no case {case} in tests/cases/{kind}")));
            }
        }
    }
    assert!(problems.is_empty(), "{PAGE}:\n  {}", problems.join("\n  "));
    assert!(tests >= 50 && named_cases >= 30, "only {tests} tests and {named_cases} cases were found");
}

#[test]
fn every_pain_says_where_it_was_felt_and_why_it_is_not_felt_here() {
    let rows = rows();
    assert!(rows.len() >= 45, "only {} rows", rows.len());
    for [what, place, why] in rows {
        let is_public = place.split([',', ' ']).any(|word| word.contains('/') || word.contains("://"));
        assert!(what.len() > 20 && is_public, "{what}: {place}");
        let has_test = names(&why).any(|name| name.contains("::"));
        assert!(has_test || why.starts_with("Cannot: "), "{what}: neither a test nor a reason");
    }
}

// ---- pains that no other test is about ----

const FOLDER: &str = "dms/casino-a/game/player";

#[tokio::test]
async fn files_announced_in_reverse_get_the_same_jobs_and_all_their_rows() {
    let mut ids = Vec::new();
    for is_reversed in [false, true] {
        let bench = Bench::new();
        let put = |n: usize| bench.put(&format!("{FOLDER}/20221201-09301512{n}.parquet"), file(n + 1));
        let mut announced: Vec<Value> = (0..4).map(|n| news(&n.to_string(), &[put(n)])).collect();
        if is_reversed {
            announced.reverse();
        }
        for message in announced {
            assert!(bench.handle(&[message]).await.is_empty());
        }
        assert_eq!(bench.rows("player"), Some(1 + 2 + 3 + 4));
        let mut jobs: Vec<String> = bench.memory.jobs().into_iter().map(|job| job.id).collect();
        jobs.sort();
        ids.push(jobs);
    }
    assert_eq!(ids[0], ids[1]);
}

/// DMS numbers the files of a full load from one again when a table is reloaded, so keys come back with other bytes.
#[tokio::test]
async fn a_reload_under_the_same_key_is_another_object_and_is_loaded() {
    let bench = Bench::new();
    let key = format!("{FOLDER}/LOAD00000001.parquet");
    let first = bench.put(&key, file(3));
    assert!(bench.handle(&[news("first", std::slice::from_ref(&first))]).await.is_empty());
    let reload = bench.put(&key, file(5));
    assert!(bench.handle(&[news("reload", &[reload])]).await.is_empty());
    assert_eq!(bench.rows("player"), Some(3 + 5), "no name in it keeps it out");
    // The first notification once more: those bytes are in, though others are under the key by now.
    let mut again = news("again", &[first]);
    again["attributes"]["ApproximateReceiveCount"] = "2".into();
    assert!(bench.handle(&[again]).await.is_empty());
    assert_eq!(bench.rows("player"), Some(3 + 5));
}

/// What was loaded is known to BigQuery by object and destination, and by nothing that a deployment renames.
#[tokio::test]
async fn a_mapping_that_is_renamed_or_reordered_loads_nothing_again() {
    let rules = [r#"{"schema":"game","table":"player"}"#, r#"{"schema":"game","table":"%"}"#];
    let mapping = |name: &str, tables: String| {
        let text = format!(
            r#"{{"source":{{"bucket":"{BUCKET}","bucket_folder":"dms/casino-a"}},
                "destination":{{"project":"acme-dw","location":"asia-northeast3","dataset":"casino_a"}},
                "tables":[{tables}]}}"#
        );
        let files = vec![MappingFile { name: format!("mappings/{name}.json"), text }];
        MappingStore::fixed(Arc::new(Mappings::parse(files).expect("a good mapping")))
    };
    let mut ids = Vec::new();
    for (name, tables) in [("before", rules.join(",")), ("after", format!("{},{}", rules[1], rules[0]))] {
        let bench = Bench::with(mapping(name, tables), true);
        let key = format!("{FOLDER}/LOAD00000001.parquet");
        bench.put(&key, file(3));
        let announced = record(BUCKET, &key, "0123456789abcdef0123456789abcdef");
        bench.handle(&[news("m", &[announced])]).await;
        ids.push(bench.records.lock().unwrap().first().and_then(|record| record.job_id.clone()));
    }
    assert!(ids[0].is_some() && ids[0] == ids[1], "{ids:?}");
}
