//! `docs/verified.md` and `dms2bq probe` know of each other: every open row is an experiment, or a person's, with the reason.

use std::collections::{BTreeMap, BTreeSet};

use dms2bq::entry::probe::catalog::{EXPERIMENTS, FOR_A_PERSON, named};

use crate::tidy::text_of;

/// The rows of the page's tables, by number, each with whether it is still open. The table of answers has dates instead.
fn rows() -> BTreeMap<u16, bool> {
    let page = text_of("docs/verified.md");
    let questions = page.split("## Answers").next().unwrap();
    let number =
        |line: &str| line.strip_prefix('|')?.split('|').next()?.trim().trim_matches('*').parse().ok();
    questions.lines().filter_map(|line| Some((number(line)?, line.contains("| no |")))).collect()
}

#[test]
fn every_open_row_of_the_page_is_an_experiment_or_says_why_it_needs_a_person() {
    let rows = rows();
    assert!(rows.len() > 60, "only {} rows were found, so the search is broken", rows.len());
    let experiments: BTreeSet<u16> = EXPERIMENTS.iter().map(|experiment| experiment.number).collect();
    let persons: BTreeSet<u16> = FOR_A_PERSON.iter().map(|(number, _)| *number).collect();
    assert_eq!(experiments.intersection(&persons).count(), 0, "a row is both");
    for (number, open) in &rows {
        assert!(
            !open || experiments.contains(number) || persons.contains(number),
            "nobody asks about row {number}"
        );
    }
    for number in experiments.union(&persons) {
        assert!(rows.contains_key(number), "docs/verified.md has no row {number}");
    }
}

#[test]
fn experiments_stand_in_order_each_under_a_name_of_its_own() {
    let numbers: Vec<u16> = EXPERIMENTS.iter().map(|experiment| experiment.number).collect();
    assert!(numbers.is_sorted_by(|a, b| a < b), "{numbers:?}");
    let names: BTreeSet<&str> = EXPERIMENTS.iter().map(|experiment| experiment.name).collect();
    assert_eq!(names.len(), EXPERIMENTS.len());
    assert!(FOR_A_PERSON.is_sorted_by(|a, b| a.0 < b.0));
    assert!(FOR_A_PERSON.iter().all(|(_, why)| why.len() > 10));
}

#[test]
fn experiments_are_named_by_name_or_number_and_a_wrong_name_is_told() {
    let found = named(&["rate-limit".to_owned(), "20".to_owned()]).unwrap();
    assert_eq!(found.iter().map(|experiment| experiment.number).collect::<Vec<_>>(), [20, 31]);
    assert_eq!(named(&[]).unwrap().len(), EXPERIMENTS.len());
    assert!(named(&["rate".to_owned()]).err().unwrap().contains("--list"));
    assert!(named(&["80".to_owned()]).err().unwrap().contains("DMS task"));
}
