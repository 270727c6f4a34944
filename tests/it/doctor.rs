//! Walks `tests/cases/doctor`: what was seen of a deployment, and what doctor says of it.
//!
//! `good.json` is a deployment as it should be. Each other file has states of one hop: what is otherwise (a JSON pointer and
//! what stands there; null for nothing), and the codes of what must be found, the worst deciding the exit code. The words
//! of all of a file's findings stand in the `.txt` beside it: to renew them run with `UPDATE_CASES=1`, and read them.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use dms2bq::entry::doctor::facts::Facts;
use dms2bq::entry::doctor::finding::{Finding, Level};
use dms2bq::entry::doctor::{judge, worst};
use serde::Deserialize;
use serde_json::Value;

use crate::cases;
use crate::tidy::text_of;

const GOOD: &str = "good.json";

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct State {
    state: String,
    change: BTreeMap<String, Value>,
    finds: Vec<String>,
}

fn good() -> Value {
    cases::json(&cases::root("doctor"), GOOD)
}

fn judged(facts: Value) -> Vec<Finding> {
    let facts: Facts = serde_json::from_value(facts).unwrap();
    judge::judge(&facts)
}

fn changed(state: &State) -> Value {
    let mut facts = good();
    for (pointer, value) in &state.change {
        let (parent, name) = pointer.rsplit_once('/').unwrap();
        let parent =
            facts.pointer_mut(parent).unwrap_or_else(|| panic!("{}: nothing at {pointer}", state.state));
        match (parent, value) {
            (Value::Object(fields), Value::Null) => {
                fields.remove(name).unwrap_or_else(|| panic!("{}: {pointer} is not there", state.state));
            }
            (Value::Object(fields), value) => {
                fields.insert(name.to_owned(), value.clone());
            }
            (Value::Array(items), value) => items[name.parse::<usize>().unwrap()] = value.clone(),
            (other, _) => panic!("{}: {pointer} is in {other}", state.state),
        }
    }
    facts
}

fn states() -> Vec<(String, Vec<State>)> {
    let files = cases::files("doctor", "json").into_iter().filter(|file| file != GOOD);
    files.map(|file| (file.clone(), cases::json(&cases::root("doctor"), &file))).collect()
}

fn is_problem(finding: &&Finding) -> bool {
    finding.level >= Level::Warning
}

#[test]
fn a_deployment_as_it_should_be_is_fine_at_every_hop() {
    for finding in judged(good()) {
        assert_eq!((finding.level, finding.code), (Level::Fine, None), "{finding:?}");
    }
}

#[test]
fn each_bad_state_is_found_and_nothing_else() {
    for (file, states) in states() {
        let mut words = String::new();
        for state in &states {
            let findings = judged(changed(state));
            let problems: Vec<&Finding> = findings.iter().filter(is_problem).collect();
            let told = |finding: &&Finding| {
                let level = if finding.level == Level::Error { "error" } else { "warning" };
                format!("{level} {}", finding.code.unwrap())
            };
            let found: Vec<String> = problems.iter().map(told).collect();
            assert_eq!(found, state.finds, "{file}: {}", state.state);
            let expected = if state.finds.iter().any(|find| find.starts_with("error")) {
                Level::Error
            } else if state.finds.is_empty() {
                worst(&findings).min(Level::NotLooked)
            } else {
                Level::Warning
            };
            assert_eq!(worst(&findings), expected, "{file}: {}", state.state);
            writeln!(words, "{}", state.state).unwrap();
            for finding in findings.iter().filter(|finding| finding.level > Level::Fine) {
                writeln!(words, "  {}: {}: {}", finding.hop.name(), finding.about, finding.message).unwrap();
                if let Some(remedy) = &finding.remedy {
                    writeln!(words, "    do: {remedy}").unwrap();
                }
            }
        }
        let expected = cases::root("doctor").join(file.replace(".json", ".txt"));
        if let Some(difference) = cases::difference(&expected, &words) {
            panic!("{difference}");
        }
    }
}

#[test]
fn every_problem_says_what_to_do() {
    for (file, states) in states() {
        for state in states {
            for finding in judged(changed(&state)).iter().filter(is_problem) {
                let remedy = finding.remedy.as_deref().unwrap_or_default();
                assert!(remedy.len() > 8, "{file}: {}: {finding:?}", state.state);
            }
        }
    }
}

#[test]
fn every_code_of_doctor_has_a_case() {
    let page = text_of("docs/errors.md");
    let codes = page.lines().filter_map(|line| line.strip_prefix("| `doctor.")?.split('`').next());
    let codes: BTreeSet<String> = codes.map(|code| format!("doctor.{code}")).collect();
    let found = states().into_iter().flat_map(|(_, states)| states).flat_map(|state| state.finds);
    let found: BTreeSet<String> = found.map(|find| find.split(' ').nth(1).unwrap().to_owned()).collect();
    assert_eq!(codes, found);
}
