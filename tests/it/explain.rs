//! Walks `tests/cases/explain`: what is asked, and the answer in JSON and in words.

use std::fs;
use std::path::Path;

use clap::{CommandFactory, Parser};
use dms2bq::entry::explain::{self, ExplainArgs, Verdict};
use dms2bq::entry::mapping_files::read_local;
use dms2bq::route::Mappings;
use serde_json::Value;

use crate::cases;

#[derive(Parser)]
struct CommandLine {
    #[command(flatten)]
    explain: ExplainArgs,
}

/// The fields of a line of `--format json`, in their order.
const FIELDS: [&str; 17] = [
    "bucket",
    "key",
    "etag",
    "version_id",
    "kind",
    "bucket_folder",
    "schema",
    "table",
    "sequence",
    "timestamp",
    "date_partition",
    "segment",
    "destination",
    "job_id",
    "outcome",
    "code",
    "message",
];

fn mappings() -> Mappings {
    let folder = cases::root("explain").join("mappings");
    let files = read_local(&folder).unwrap().into_iter();
    Mappings::parse(files.map(|file| shown_without(file, &folder)).collect()).unwrap()
}

/// A mapping file under a name that is the same on every machine.
fn shown_without(file: dms2bq::route::MappingFile, folder: &Path) -> dms2bq::route::MappingFile {
    let name = file.name.replace(&format!("{}/", folder.display()), "mappings/");
    dms2bq::route::MappingFile { name, text: file.text }
}

/// Asks what the case asks, in one format.
fn ask(case: &Path, format: &str, mappings: &Mappings) -> (Verdict, String) {
    let args = cases::text(case, "args");
    let args = args.lines().map(|arg| {
        let file = case.join(arg);
        if file.is_file() { file.display().to_string() } else { arg.to_owned() }
    });
    let line = ["explain".to_owned(), format!("--format={format}")].into_iter().chain(args);
    let parsed = CommandLine::parse_from(line);
    let stdin = fs::read(case.join("stdin")).unwrap_or_default();
    let mut out = Vec::new();
    let verdict = explain::run(&parsed.explain, mappings, &mut stdin.as_slice(), &mut out).unwrap();
    (verdict, String::from_utf8(out).unwrap().replace(&format!("{}/", case.display()), ""))
}

#[test]
fn every_question_is_answered_as_its_case_says() {
    let mappings = mappings();
    let cases = cases::folders("explain/cases");
    assert!(cases.len() > 30, "only {} cases found", cases.len());
    let mut wrong = Vec::new();
    for case in &cases {
        for (format, file) in [("json", "expect.jsonl"), ("human", "expect.txt")] {
            let (_, answer) = ask(case, format, &mappings);
            wrong.extend(cases::difference(&case.join(file), &answer));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_line_of_json_has_every_field_in_its_order() {
    let mappings = mappings();
    for case in cases::folders("explain/cases") {
        let (verdict, answer) = ask(&case, "json", &mappings);
        let mut any_error = false;
        for line in answer.lines() {
            let fields: serde_json::Map<String, Value> = serde_json::from_str(line).unwrap();
            let place = |name: &&str| line.find(&format!("\"{name}\":"));
            assert!(
                FIELDS.iter().all(|name| fields.contains_key(*name)) && fields.len() == FIELDS.len(),
                "{line}"
            );
            assert!(FIELDS.iter().map(place).is_sorted(), "{line}");
            let loads = fields["outcome"] == "load";
            assert!(loads || matches!(fields["outcome"].as_str(), Some("ignore" | "error")), "{line}");
            assert_eq!(loads, fields["code"].is_null() && fields["message"].is_null(), "{line}");
            assert_eq!(loads, !fields["destination"].is_null(), "{line}");
            assert_eq!(loads && !fields["etag"].is_null(), !fields["job_id"].is_null(), "{line}");
            any_error |= fields["outcome"] == "error";
        }
        assert_eq!(verdict == Verdict::Errors, any_error, "{}", case.display());
    }
}

#[test]
fn the_command_line_is_well_formed_and_asks_for_something() {
    CommandLine::command().debug_assert();
    assert!(CommandLine::try_parse_from(["explain"]).is_err());
}
