//! What fuzzing holds all input to (`fuzz/checks`), held for the corpora that it left and for every case that somebody
//! wrote: a find, once mended, stays mended without a fuzzer.

use std::fs;

use serde_json::Value;

use crate::tidy::{files_below, files_with_suffix, repository, text_of};

#[path = "../../fuzz/checks/mod.rs"]
#[allow(unreachable_pub, reason = "to the fuzz targets it is a library")]
mod checks;

/// Inputs, each with the file that it is from.
type Inputs = Vec<(String, Vec<u8>)>;

/// Gives a check its corpus, and inputs from cases.
fn replay(target: &str, from_cases: Inputs, check: fn(&[u8])) {
    let corpus = read(files_below(&format!("fuzz/corpus/{target}")));
    assert!(corpus.len() > 10 && from_cases.len() > 10, "{target} has too little to show anything");
    for (file, input) in corpus.iter().chain(&from_cases) {
        if let Err(panic) = std::panic::catch_unwind(|| check(input)) {
            panic!("{target} breaks over {file}: {}", dms2bq::telemetry::panic_message(panic.as_ref()));
        }
    }
}

fn read(files: Vec<String>) -> Inputs {
    let bytes = |file: &String| fs::read(repository().join(file)).unwrap();
    files.into_iter().map(|file| (file.clone(), bytes(&file))).collect()
}

/// Every text in the JSON files of a folder.
fn texts_in(folder: &str) -> Inputs {
    let mut found = Vec::new();
    for file in files_with_suffix(folder, "json") {
        let mut values: Vec<Value> = vec![serde_json::from_str(&text_of(&file)).unwrap()];
        while let Some(value) = values.pop() {
            match value {
                Value::String(text) => found.push((file.clone(), text.into_bytes())),
                Value::Array(items) => values.extend(items),
                Value::Object(fields) => values.extend(fields.into_iter().map(|(_, value)| value)),
                Value::Null | Value::Bool(_) | Value::Number(_) => {}
            }
        }
    }
    found
}

#[test]
fn what_fuzzing_holds_of_events_holds_of_the_corpus_and_of_every_case() {
    replay("events", read(files_with_suffix("tests/cases/events", "json")), checks::events::check);
}

#[test]
fn what_fuzzing_holds_of_keys_holds_of_the_corpus_and_of_every_case() {
    let cases = [texts_in("tests/cases/keys"), texts_in("tests/cases/objects")].concat();
    replay("keys", cases, checks::keys::check);
}

#[test]
fn what_fuzzing_holds_of_mappings_holds_of_the_corpus_and_of_every_case() {
    replay("mappings", read(files_with_suffix("tests/cases/mappings", "json")), checks::mappings::check);
}

#[test]
fn what_fuzzing_holds_of_footers_holds_of_the_corpus_and_of_every_case() {
    replay("footers", read(files_with_suffix("tests/cases/footers", "parquet")), checks::footers::check);
}

#[test]
fn what_fuzzing_holds_of_answers_holds_of_the_corpus_and_of_every_case() {
    let answer = |file: &String| match serde_json::from_str::<Value>(&text_of(file)).unwrap()["answer"].take()
    {
        Value::String(text) => text.into_bytes(),
        json => json.to_string().into_bytes(),
    };
    let files = files_with_suffix("tests/cases/answers", "json");
    let cases = files.into_iter().map(|file| (file.clone(), answer(&file))).collect();
    replay("answers", cases, checks::answers::check);
}
