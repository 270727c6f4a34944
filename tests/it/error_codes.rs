//! `docs/errors.md` has every code of the sources, once, and no other.

use std::collections::{BTreeMap, BTreeSet};

use crate::tidy::{files_with_suffix, text_of, without_unit_tests};

/// The nouns that codes begin with.
const NOUNS: [&str; 18] = [
    "bug", "config", "dms", "doctor", "emulator", "endpoint", "event", "folder", "job", "key", "mapping",
    "mappings", "object", "outcome", "queue", "route", "sign_in", "task",
];

/// Spelled like codes, and none: names of calls.
const NOT_CODES: [&str; 1] = ["folder.read"];

const PAGE: &str = "docs/errors.md";

#[test]
fn every_code_has_an_entry_with_what_to_do() {
    let entries = entries();
    let codes = codes();
    assert!(codes.len() > 100, "only {} codes were found, so the search is broken", codes.len());
    let missing: Vec<String> = codes
        .iter()
        .filter(|(code, _)| !entries.contains_key(*code))
        .map(|(code, file)| format!("{code} (in {file})"))
        .collect();
    assert!(missing.is_empty(), "{PAGE} lacks\n  {}", missing.join("\n  "));
    for (code, cells) in &entries {
        let [meaning, _, remedy] = cells.as_slice() else { panic!("{PAGE}: {code} needs four columns") };
        assert!(!meaning.is_empty() && !remedy.is_empty(), "{PAGE}: {code} lacks its meaning or its remedy");
    }
}

#[test]
fn no_entry_is_about_a_code_of_the_past() {
    let codes = codes();
    let stale: Vec<String> = entries().into_keys().filter(|code| !codes.contains_key(code)).collect();
    assert!(stale.is_empty(), "{PAGE} has entries for what the sources know no longer: {}", stale.join(", "));
}

#[test]
fn every_code_is_a_noun_and_what() {
    for file in files_with_suffix("src", "rs") {
        let source = text_of(&file);
        for code in code_functions(without_unit_tests(&source)).flat_map(|body| literals(&body)) {
            let noun = code.split('.').next().unwrap();
            assert!(is_code(&code), "{file}: the code {code:?} is not of the form `noun.what`");
            assert!(
                NOUNS.contains(&noun),
                "{file}: {code} begins with a noun that is not on this test's list"
            );
        }
    }
}

/// The page's entries: rows of tables that begin with a code in backquotes. Gives the other cells.
fn entries() -> BTreeMap<String, Vec<String>> {
    let mut entries = BTreeMap::new();
    for line in text_of(PAGE).lines().filter(|line| line.starts_with("| `")) {
        let cells: Vec<String> =
            line.trim_matches('|').split('|').map(|cell| cell.trim().to_owned()).collect();
        let code = cells[0].trim_matches('`').to_owned();
        if is_code(&code) {
            let before = entries.insert(code.clone(), cells[1..].to_vec());
            assert!(before.is_none(), "{PAGE} has {code} twice");
        }
    }
    entries
}

/// The codes of the sources, each with a file that has it: whatever is spelled like one.
fn codes() -> BTreeMap<String, String> {
    let mut codes = BTreeMap::new();
    for file in files_with_suffix("src", "rs") {
        let source = text_of(&file);
        for literal in literals(without_unit_tests(&source)) {
            let starts_with_noun = literal.split('.').next().is_some_and(|noun| NOUNS.contains(&noun));
            if starts_with_noun && is_code(&literal) && !NOT_CODES.contains(&literal.as_str()) {
                codes.insert(literal, file.clone());
            }
        }
    }
    codes
}

fn is_code(text: &str) -> bool {
    let is_word = |word: &str| {
        !word.is_empty() && word.chars().all(|c| c.is_ascii_lowercase() || c == '_' || c.is_ascii_digit())
    };
    text.split_once('.').is_some_and(|(noun, what)| is_word(noun) && is_word(what))
}

/// The string literals of a source that stand on one line, as far as the quotes on it tell.
fn literals(source: &str) -> BTreeSet<String> {
    let lines = source.lines().filter(|line| !line.trim_start().starts_with("//"));
    lines.flat_map(|line| line.split('"').skip(1).step_by(2)).map(str::to_owned).collect()
}

/// The bodies of the functions that give codes: from `fn code(` or `fn …_code(` to the brace in the same column.
fn code_functions(source: &str) -> impl Iterator<Item = String> {
    let lines: Vec<&str> = source.lines().collect();
    let starts = lines.iter().enumerate().filter(|(_, line)| {
        (line.contains("fn code(") || line.contains("_code(")) && line.contains("-> &'static str {")
    });
    let body = |(start, line): (usize, &&str)| {
        let brace = format!("{}}}", &line[..line.len() - line.trim_start().len()]);
        lines[start + 1..].iter().take_while(|line| **line != brace).copied().collect::<Vec<_>>().join("\n")
    };
    starts.map(body).collect::<Vec<_>>().into_iter()
}
