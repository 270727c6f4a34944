//! `tests/cases/dms_checks` and `tests/cases/dms_rules`: what is said of DMS's side, and what is written for it.
//!
//! A case of `dms_checks` is a folder with `mappings/`, files of DMS's (`task*.json` as `--dms`, `endpoint*.json`,
//! `settings*.json` as `--task-settings`), perhaps `args.json` with a list of further arguments, and `check.txt` with exactly
//! what `dms2bq check` prints. A case of `dms_rules` has `mappings/`, perhaps `keep.json` and `args.json`, and what
//! `dms-rules` writes: `rules.json`, and `aside.txt` for what it says. To add one, write its inputs, run the tests with
//! `UPDATE_CASES=1`, and read what was written.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use clap::Parser;
use dms2bq::dms::{Endpoint, Task, settings};
use dms2bq::entry::check::{self, CheckArgs, Verdict};
use dms2bq::entry::dms_rules::{self, DmsRulesArgs};
use dms2bq::entry::mapping_files::read_local;
use dms2bq::route::Mappings;

use crate::cases;

#[derive(Debug, Parser)]
struct Check {
    #[command(flatten)]
    args: CheckArgs,
}

#[derive(Debug, Parser)]
struct Rules {
    #[command(flatten)]
    args: DmsRulesArgs,
}

/// The arguments of a case: its files, and what `args.json` adds.
fn arguments(case: &Path, files: &[(&str, &str)]) -> Vec<String> {
    let mut arguments = vec!["dms2bq".to_owned()];
    let mut names: Vec<PathBuf> = fs::read_dir(case).unwrap().map(|entry| entry.unwrap().path()).collect();
    names.sort();
    for (prefix, option) in files {
        let is_one = |path: &&PathBuf| path.file_name().unwrap().to_str().unwrap().starts_with(prefix);
        for path in names.iter().filter(is_one) {
            arguments.extend([(*option).to_owned(), path.display().to_string()]);
        }
    }
    if case.join("args.json").exists() {
        arguments.extend(cases::json::<Vec<String>>(case, "args.json"));
    }
    arguments
}

fn without_place(text: &str, case: &Path) -> String {
    text.replace(&format!("{}/", case.display()), "")
}

fn run_check(case: &Path, more: &[&str]) -> (Verdict, String) {
    let files = [("task", "--dms"), ("endpoint", "--endpoint"), ("settings", "--task-settings")];
    let mut arguments = arguments(case, &files);
    arguments.extend(more.iter().map(|argument| (*argument).to_owned()));
    let args = match Check::try_parse_from(arguments) {
        Ok(check) => check.args,
        Err(usage) => return (Verdict::Faulty, usage.to_string()),
    };
    let mut out = Vec::new();
    let verdict = check::run(&args, &case.join("mappings"), &mut out).expect("a vector takes every byte");
    (verdict, without_place(&String::from_utf8(out).expect("check prints text"), case))
}

#[test]
fn each_disagreement_with_dms_is_told_with_its_place_and_its_remedy() {
    let mut failures = Vec::new();
    for case in cases::folders("dms_checks") {
        let (verdict, text) = run_check(&case, &[]);
        let has_errors = text.lines().any(|line| {
            // What clap refuses begins with "error:".
            let line = line.trim_start();
            line.starts_with("error [") || line.starts_with("error:")
        });
        if (verdict == Verdict::Faulty) != has_errors {
            failures.push(format!("{}: {verdict:?}, and says\n{text}", case.display()));
        }
        failures.extend(cases::difference(&case.join("check.txt"), &text));
    }
    assert!(failures.is_empty(), "{}", failures.join("\n\n"));
}

#[test]
fn the_rules_written_from_each_mapping_are_those_of_its_case_and_a_check_agrees() {
    let mut failures = Vec::new();
    for case in cases::folders("dms_rules") {
        let args = Rules::parse_from(arguments(&case, &[("keep", "--keep")])).args;
        let mappings = Mappings::parse(read_local(&case.join("mappings")).unwrap()).unwrap();
        let (mut out, mut aside) = (Vec::new(), Vec::new());
        let verdict = dms_rules::run(&args, &mappings, &mut out, &mut aside).unwrap();
        let [out, aside] = [out, aside].map(|bytes| String::from_utf8(bytes).unwrap());
        failures.extend(cases::difference(&case.join("rules.json"), &out));
        failures.extend(cases::difference(&case.join("aside.txt"), &without_place(&aside, &case)));
        if verdict == Verdict::Sound {
            failures.extend(disagreement(&mappings, args.mapping.as_deref(), &out, &case));
        } else if !out.is_empty() || aside.is_empty() {
            failures.push(format!("{}: rules in spite of an error, or no word about it", case.display()));
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n\n"));
}

/// What `check` has against the rules that were just written.
fn disagreement(mappings: &Mappings, mapping: Option<&str>, rules: &str, case: &Path) -> Option<String> {
    let landing = dms2bq::dms::choose(mappings, mapping, "rules.json", "the rules are").unwrap();
    let (tasks, _) = Task::read("rules.json", rules, None).unwrap();
    let remarks = dms2bq::dms::compare::compare(&tasks, landing);
    // What was told when the rules were written is no surprise.
    let aside = fs::read_to_string(case.join("aside.txt")).unwrap_or_default();
    let untold = remarks.iter().filter(|remark| !aside.contains(&format!("[{}]", remark.code())));
    let errors: Vec<String> = untold.map(ToString::to_string).collect();
    (!errors.is_empty()).then(|| format!("{}: {}", case.display(), errors.join("\n")))
}

#[test]
fn each_code_about_dms_has_a_case() {
    let mut seen = BTreeSet::new();
    for case in cases::folders("dms_checks") {
        let (_, text) = run_check(&case, &["--format", "json"]);
        for line in text.lines().take_while(|_| !text.starts_with("error:")) {
            let finding: serde_json::Value = serde_json::from_str(line).expect("each line is JSON");
            seen.insert(finding["code"].as_str().expect("each finding has a code").to_owned());
        }
    }
    for case in cases::folders("dms_rules") {
        let aside = fs::read_to_string(case.join("aside.txt")).unwrap_or_default();
        seen.extend(
            aside.split('[').filter_map(|rest| rest.split_once(']')).map(|(code, _)| code.to_owned()),
        );
    }
    // Those have tests of their own.
    let elsewhere = ["dms.too_large", "dms.too_many_ways"];
    let known = codes_of_the_page();
    let missing: Vec<&String> =
        known.iter().filter(|code| !seen.contains(*code) && !elsewhere.contains(&code.as_str())).collect();
    assert!(known.len() > 40, "docs/errors.md has lost its codes: {known:?}");
    assert!(missing.is_empty(), "no case gives {missing:?}");
}

/// The codes of `docs/errors.md` that are about DMS.
fn codes_of_the_page() -> Vec<String> {
    let page = crate::tidy::text_of("docs/errors.md");
    let codes =
        page.lines().filter_map(|line| line.strip_prefix("| `")?.split_once('`')).map(|(code, _)| code);
    let is_of_dms = |code: &&str| ["dms.", "endpoint.", "task."].iter().any(|noun| code.starts_with(noun));
    codes.filter(is_of_dms).map(str::to_owned).collect()
}

#[test]
fn what_is_allowed_is_a_warning() {
    let case = cases::root("dms_checks").join("selected-but-unrouted");
    assert_eq!(run_check(&case, &[]).0, Verdict::Faulty);
    let (verdict, text) = run_check(&case, &["--allow", "dms.unrouted"]);
    assert_eq!(verdict, Verdict::Sound, "{text}");
    assert!(text.contains("warning [dms.unrouted]"), "{text}");
}

#[test]
fn each_code_about_dms_can_be_allowed() {
    assert_eq!(dms2bq::dms::CODES.to_vec(), codes_of_the_page());
}

#[test]
fn a_file_larger_than_dms_takes_is_refused() {
    let text = " ".repeat(dms2bq::dms::MAX_DMS_FILE_BYTES + 1);
    let codes = |remarks: Vec<dms2bq::dms::Remark>| -> Vec<&'static str> {
        remarks.iter().map(dms2bq::dms::Remark::code).collect()
    };
    assert_eq!(codes(Task::read("t.json", &text, None).unwrap_err()), ["dms.too_large"]);
    assert_eq!(codes(Endpoint::read("e.json", &text).unwrap_err()), ["dms.too_large"]);
    assert_eq!(codes(settings::look_at("s.json", &text)), ["dms.too_large"]);
}

#[test]
fn json_as_deep_as_somebody_likes_is_refused_in_good_order() {
    for deep in
        ["[".repeat(1 << 20), "{\"rules\":".repeat(1 << 17), format!("{{\"rules\":[{}", "[".repeat(1000))]
    {
        let remarks = Task::read("t.json", &deep, None).unwrap_err();
        assert_eq!(remarks[0].code(), "dms.not_json");
        assert_eq!(Endpoint::read("e.json", &deep).unwrap_err()[0].code(), "dms.not_json");
        assert_eq!(settings::look_at("s.json", &deep)[0].code(), "dms.not_json");
    }
}
