//! `tests/cases/mappings`: what `dms2bq check` says of mapping files.
//!
//! `invalid/` and `valid/` hold one folder per case: mapping files, and `check.txt` with exactly what
//! `check` prints of them. To add a case, write its mappings and run the tests with `UPDATE_CASES=1`; then read
//! what was written into `check.txt`, and whether you would understand it.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use dms2bq::entry::check::{self, CheckArgs, CheckFormat, Verdict};
use dms2bq::entry::mapping_files::read_local;
use dms2bq::route::{MAX_COLUMNS, MappingFile, Mappings, schema};
use serde_json::json;

use crate::cases;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn run_check(format: CheckFormat, path: &Path) -> (Verdict, String) {
    let mut out = Vec::new();
    let args = CheckArgs::of_mappings(format);
    let verdict = check::run(&args, path, &mut out).expect("a vector takes every byte");
    let text = String::from_utf8(out).expect("check prints text");
    let place = path.display().to_string();
    (verdict, text.replace(&format!("{place}/"), "").replace(&place, "<the case>"))
}

/// Compares with the file that stands beside the case, or writes that file.
fn compare(expected: &Path, got: &str) -> Result<(), String> {
    #[expect(clippy::disallowed_methods, reason = "how somebody who adds a case asks for its file")]
    let update = std::env::var_os("UPDATE_CASES").is_some();
    if update {
        fs::write(expected, got).expect("the case's file can be written");
        return Ok(());
    }
    let wanted = fs::read_to_string(expected).unwrap_or_default();
    if wanted == got {
        return Ok(());
    }
    Err(format!("{}\n--- wanted\n{wanted}--- got\n{got}", expected.display()))
}

fn check_cases(kind: &str, wanted: Verdict) {
    let mut failures = Vec::new();
    for case in cases::folders(&format!("mappings/{kind}")) {
        let (verdict, text) = run_check(CheckFormat::Human, &case);
        if verdict != wanted {
            failures.push(format!("{}: {verdict:?}, not {wanted:?}\n{text}", case.display()));
        }
        failures.extend(compare(&case.join("check.txt"), &text).err());
    }
    assert!(failures.is_empty(), "{}", failures.join("\n\n"));
}

#[test]
fn each_invalid_mapping_is_refused_with_all_its_problems_and_their_places() {
    check_cases("invalid", Verdict::Faulty);
}

#[test]
fn each_valid_mapping_is_accepted_and_what_is_doubtful_about_it_is_said() {
    check_cases("valid", Verdict::Sound);
}

/// Every code that a mapping can be refused or doubted with, but for those of its own tests below.
const CODES: [&str; 32] = [
    "mapping.ambiguous_rules",
    "mapping.bad_bucket",
    "mapping.bad_column",
    "mapping.bad_dataset",
    "mapping.bad_folder",
    "mapping.bad_location",
    "mapping.bad_option",
    "mapping.bad_pattern",
    "mapping.bad_project",
    "mapping.bad_template",
    "mapping.bad_timezone",
    "mapping.but_for_case",
    "mapping.duplicate_field",
    "mapping.duplicate_landing",
    "mapping.edge_space",
    "mapping.foreign_wildcard",
    "mapping.idle_field",
    "mapping.missing_field",
    "mapping.no_tables",
    "mapping.none",
    "mapping.not_json",
    "mapping.not_read",
    "mapping.schema_in_table",
    "mapping.shared_destination",
    "mapping.two_locations",
    "mapping.unknown_field",
    "mapping.unknown_location",
    "mapping.unknown_schema",
    "mapping.unknown_value",
    "mapping.unpartitioned",
    "mapping.unreachable_rule",
    "mapping.wrong_type",
];

#[test]
fn each_code_of_a_mapping_has_a_case() {
    let mut seen = BTreeSet::new();
    for case in [cases::folders("mappings/invalid"), cases::folders("mappings/valid")].concat() {
        let (_, lines) = run_check(CheckFormat::Json, &case);
        for line in lines.lines() {
            let finding: serde_json::Value = serde_json::from_str(line).expect("each line is JSON");
            seen.insert(finding["code"].as_str().expect("each finding has a code").to_owned());
        }
    }
    let missing: Vec<&str> = CODES.into_iter().filter(|code| !seen.contains(*code)).collect();
    assert!(missing.is_empty(), "no case in tests/cases/mappings gives {missing:?}");
    let unlisted: Vec<&String> = seen.iter().filter(|code| !CODES.contains(&code.as_str())).collect();
    assert_eq!(unlisted, ["mapping.unreadable", "route.bad_name"], "codes that the list above does not have");
}

#[test]
fn findings_as_json_have_level_code_file_path_message_and_hint() {
    let (_, lines) = run_check(CheckFormat::Json, &root().join("tests/cases/mappings/invalid/unknown-field"));
    let line = lines.lines().nth(1).expect("the case has several problems");
    let finding: serde_json::Value = serde_json::from_str(line).expect("the line is JSON");
    assert_eq!(
        finding,
        json!({
            "level": "error",
            "code": "mapping.unknown_field",
            "file": "casino-a.json",
            "path": "$.source.bucket_foldr",
            "message": "unknown field `bucket_foldr`",
            "hint": "did you mean `bucket_folder`?",
        })
    );
}

/// Whoever takes this repository puts their own there.
#[test]
fn the_mappings_that_are_there_to_be_published_are_sound() {
    let files = read_local(&root().join("mappings")).expect("mappings/ can be read");
    Mappings::parse(files).expect("mappings/ has no problem");
}

#[test]
fn the_published_schema_is_the_one_that_the_code_makes() {
    let published = fs::read_to_string(root().join("mappings/schema.json")).unwrap_or_default();
    assert!(
        published == schema::text(),
        "mappings/schema.json is not up to date; refresh it with:\n  \
         cargo run -- check --print-schema > mappings/schema.json"
    );
}

#[test]
fn check_prints_the_schema_when_asked() {
    let mut out = Vec::new();
    let args = CheckArgs { print_schema: true, ..CheckArgs::of_mappings(CheckFormat::Human) };
    let verdict = check::run(&args, Path::new("no such place"), &mut out).expect("a vector takes every byte");
    assert_eq!((verdict, String::from_utf8_lossy(&out).as_ref()), (Verdict::Sound, schema::text().as_str()));
}

#[test]
fn a_place_that_cannot_be_read_is_said_to_be_so() {
    let (verdict, text) = run_check(CheckFormat::Human, &root().join("tests/cases/mappings/no-such-place"));
    assert_eq!(verdict, Verdict::Faulty);
    assert!(
        text.contains("[mapping.unreadable] the mappings at <the case> cannot be read: No such file"),
        "{text}"
    );
}

#[test]
fn a_file_that_is_not_utf_8_is_named() {
    let folder = tempfile::tempdir().expect("a folder for the test");
    fs::write(folder.path().join("latin1.json"), b"{ \"tables\": \"caf\xe9\" }")
        .expect("the file is written");
    let (verdict, text) = run_check(CheckFormat::Human, folder.path());
    assert_eq!(verdict, Verdict::Faulty);
    assert!(text.contains("latin1.json cannot be read: it is not UTF-8"), "{text}");
}

#[test]
fn a_place_that_an_argument_names_is_said_to_be_the_argument_s() {
    let folder = tempfile::tempdir().expect("a folder for the test");
    for (path, said) in [
        (folder.path().join("none"), "error [mapping.unreadable] PATH names no file or folder: "),
        (folder.path().to_owned(), "error [mapping.none] PATH names a folder without mappings: "),
    ] {
        let mut out = Vec::new();
        let place = Some(path.display().to_string());
        let args = CheckArgs { place, ..CheckArgs::of_mappings(CheckFormat::Human) };
        let verdict = check::run(&args, &path, &mut out).expect("a vector takes every byte");
        let text = String::from_utf8(out).expect("check prints text");
        assert_eq!(verdict, Verdict::Faulty);
        assert!(text.starts_with(said) && !text.contains("DMS2BQ_MAPPINGS"), "{text}");
    }
}

#[test]
fn a_file_larger_than_any_mapping_is_refused_without_reading_it_whole() {
    let folder = tempfile::tempdir().expect("a folder for the test");
    fs::write(folder.path().join("huge.json"), vec![b' '; 2 << 20]).expect("the file is written");
    let (verdict, text) = run_check(CheckFormat::Human, folder.path());
    assert_eq!(verdict, Verdict::Faulty);
    assert!(text.contains("[mapping.too_large]"), "{text}");
}

#[test]
fn more_columns_than_a_table_can_have_are_refused() {
    let column = |i: usize| (format!("c{i}"), json!({ "type": "STRING" }));
    let columns: serde_json::Map<_, _> = (0..=MAX_COLUMNS).map(column).collect();
    let text = json!({
        "source": { "bucket": "acme-landing" },
        "destination": { "project": "acme-dw", "location": "US", "dataset": "casino" },
        "tables": [{ "schema": "game", "table": "player", "columns": columns }],
    });
    let file = MappingFile { name: "wide.json".to_owned(), text: text.to_string() };
    let problems = Mappings::parse(vec![file]).expect_err("a table has 10,000 columns at most");
    let found: Vec<(&str, &str)> = problems.iter().map(|problem| (problem.code(), problem.path())).collect();
    assert_eq!(found, [("mapping.bad_option", "$.tables[0].columns")]);
}

#[test]
fn no_files_at_all_are_a_problem_too() {
    let problems = Mappings::parse(Vec::new()).expect_err("there is nothing to run with");
    let codes: Vec<&str> = problems.iter().map(|problem| problem.code()).collect();
    assert_eq!(codes, ["mapping.none"]);
}

#[test]
fn a_folder_is_read_in_the_order_of_names_without_the_schema_and_hidden_files() {
    let folder = tempfile::tempdir().expect("a folder for the test");
    for name in ["b.json", "a.json", "schema.json", "._a.json", "notes.txt"] {
        fs::write(folder.path().join(name), "{}").expect("the file is written");
    }
    fs::create_dir(folder.path().join("old.json")).expect("the folder is made");
    let files = read_local(folder.path()).expect("the folder can be read");
    let names: Vec<&str> = files.iter().filter_map(|file| file.name.rsplit('/').next()).collect();
    assert_eq!(names, ["a.json", "b.json"]);
}

#[test]
fn the_page_about_mappings_names_every_field_and_shows_what_check_prints() {
    let page = fs::read_to_string(root().join("mappings/README.md")).expect("the page exists");
    let schema: serde_json::Value = serde_json::from_str(&schema::text()).expect("the schema is JSON");
    let mut fields = BTreeSet::new();
    collect_fields(&schema, &mut fields);
    let unnamed: Vec<&String> = fields
        .iter()
        .filter(|field| !page.contains(&format!("`{field}`")) && !page.contains(&format!("\"{field}\"")))
        .collect();
    assert!(unnamed.is_empty(), "mappings/README.md does not name {unnamed:?}");

    let (_, printed) = run_check(CheckFormat::Human, &root().join("samples/mappings"));
    let shown = page.lines().skip_while(|line| !line.ends_with("$ dms2bq check samples/mappings")).skip(1);
    // What is printed here has the names of files alone.
    let shown = shown.map(|line| line.trim().trim_start_matches("samples/mappings/"));
    let shown: Vec<&str> = shown.take_while(|line| *line != "…").collect();
    let wanted: Vec<&str> = printed.lines().map(str::trim).take(shown.len()).collect();
    assert!(!shown.is_empty());
    assert_eq!(shown, wanted, "what mappings/README.md shows of check");
}

/// The names of all fields in a JSON Schema.
fn collect_fields(schema: &serde_json::Value, fields: &mut BTreeSet<String>) {
    match schema {
        serde_json::Value::Object(object) => {
            if let Some(serde_json::Value::Object(properties)) = object.get("properties") {
                fields.extend(properties.keys().cloned());
            }
            object.values().for_each(|value| collect_fields(value, fields));
        }
        serde_json::Value::Array(items) => items.iter().for_each(|item| collect_fields(item, fields)),
        _ => {}
    }
}
