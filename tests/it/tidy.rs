//! The repository keeps its own house: the map is true, nobody imports what they should not, nothing grows too long,
//! links lead somewhere, and the Lambda holds only what it needs.
//!
//! All of this reads the sources as text, by the shape that rustfmt gives them. That is cruder than a parser, and enough.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// What a function may have at most, its signature and last brace included: a screen.
const FUNCTION_LINES: usize = 70;

/// What a file may have at most, its unit tests left out.
const FILE_LINES: usize = 500;

/// Files that may be longer, each with the reason. Keep it short.
const LONGER_FILES: [(&str, &str); 0] = [];

/// Folders that are not ours to check, wherever they stand.
const FOREIGN_FOLDERS: [&str; 5] = [".git", ".dms2bq", "target", "__pycache__", ".pytest_cache"];

/// The repository's folder.
pub(crate) fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Every file below a folder of the repository, by its path from the repository's folder, with `/` in between.
pub(crate) fn files_below(folder: &str) -> Vec<String> {
    let mut found = Vec::new();
    collect(&repository().join(folder), &mut found);
    let relative = |path: PathBuf| {
        let path = path.strip_prefix(repository()).unwrap().to_str().unwrap();
        path.replace(std::path::MAIN_SEPARATOR, "/")
    };
    let mut files: Vec<String> = found.into_iter().map(relative).collect();
    files.sort();
    files
}

fn collect(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display())) {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap();
        if !path.is_dir() {
            found.push(path);
        } else if !FOREIGN_FOLDERS.contains(&name) {
            collect(&path, found);
        }
    }
}

/// The files below a folder whose names end in `.{suffix}`.
pub(crate) fn files_with_suffix(folder: &str, suffix: &str) -> Vec<String> {
    let end = format!(".{suffix}");
    files_below(folder).into_iter().filter(|file| file.ends_with(&end)).collect()
}

/// The text of a file of the repository.
pub(crate) fn text_of(file: &str) -> String {
    fs::read_to_string(repository().join(file)).unwrap_or_else(|error| panic!("{file}: {error}"))
}

/// A source without its unit tests, which stand at its end.
pub(crate) fn without_unit_tests(source: &str) -> &str {
    source.split("#[cfg(test)]\nmod tests").next().unwrap()
}

/// A source without its unit tests and without comments on lines of their own.
fn code_of(file: &str) -> String {
    let source = text_of(file);
    let lines = without_unit_tests(&source).lines().filter(|line| !line.trim_start().starts_with("//"));
    lines.collect::<Vec<_>>().join("\n")
}

fn assert_none(what: &str, problems: &[String]) {
    assert!(problems.is_empty(), "{what}:\n  {}\n", problems.join("\n  "));
}

// ---- the map ----

#[test]
fn the_map_in_architecture_md_is_what_src_holds() {
    let page = text_of("ARCHITECTURE.md");
    let tree = page.split("```text\nsrc/\n").nth(1).expect("the map is a fenced block that begins with src/");
    let drawn = drawn_paths(tree.split("```").next().unwrap());
    let there = paths_to_depth_two("src");
    let missing: Vec<_> =
        there.difference(&drawn).map(|path| format!("not on the map: src/{path}")).collect();
    let gone: Vec<_> = drawn.difference(&there).map(|path| format!("not on the disk: src/{path}")).collect();
    assert_none("ARCHITECTURE.md", &[missing, gone].concat());
}

/// Reads the map: two spaces of indentation for each level, then a name, which ends in a slash if it is a folder.
fn drawn_paths(tree: &str) -> BTreeSet<String> {
    let mut folders: Vec<&str> = Vec::new();
    let mut paths = BTreeSet::new();
    for line in tree.lines() {
        let Some(name) = line.split_whitespace().next() else { continue };
        let depth = (line.len() - line.trim_start().len()) / 2;
        folders.truncate(depth - 1);
        paths.insert(format!("{}{name}", folders.concat()));
        if name.ends_with('/') {
            folders.push(name);
        }
    }
    paths
}

fn paths_to_depth_two(root: &str) -> BTreeSet<String> {
    let files = files_below(root);
    let below = files.iter().map(|file| file.strip_prefix(root).unwrap().trim_start_matches('/'));
    let mut paths = BTreeSet::new();
    for path in below {
        let parts: Vec<&str> = path.split('/').collect();
        for depth in 1..=parts.len().min(2) {
            let slash = if depth < parts.len() { "/" } else { "" };
            paths.insert(format!("{}{slash}", parts[..depth].join("/")));
        }
    }
    paths
}

// ---- who may use whom ----

/// Words that have no place in a pure step.
const IMPURE: [&str; 13] = [
    "tokio",
    "reqwest",
    "hyper",
    "axum",
    "aws_config",
    "aws_sdk_s3",
    "lambda_runtime",
    "SystemTime",
    "Instant",
    "async",
    "await",
    "env",
    "fs",
];

/// The six steps, but for the part of `job` that waits; and what only compares texts.
const PURE: [&str; 12] = [
    "src/dms/",
    "src/event/",
    "src/object/",
    "src/key/",
    "src/route/",
    "src/job/id.rs",
    "src/job/plan.rs",
    "src/job/reason.rs",
    "src/job/schema.rs",
    "src/job/mod.rs",
    "src/job/error.rs",
    "src/outcome/",
];

/// What each part of the crate may use of the others. A part may always use itself.
const MAY_USE: [(&str, &[&str]); 16] = [
    ("src/dms/", &["key", "route"]),
    // To the right, for plain data: a notice is made of an object's address.
    ("src/event/", &["object"]),
    // To the outside, for plain data: how a call to S3 failed.
    ("src/object/", &["cloud::CallError", "cloud::ObjectsError"]),
    ("src/key/", &[]),
    ("src/route/", &["object", "key"]),
    // The part of `job` that waits reaches the world through the traits of `cloud`.
    ("src/job/drive/", &["event", "object", "key", "route", "cloud"]),
    ("src/job/load.rs", &["event", "object", "key", "route", "cloud::CallError", "cloud::Deadline"]),
    ("src/job/footers.rs", &["object", "cloud"]),
    ("src/job/pace.rs", &["route", "cloud::Clock", "cloud::Deadline"]),
    ("src/job/tables.rs", &["route", "cloud"]),
    ("src/job/", &["event", "object", "key", "route", "cloud::CallError"]),
    ("src/outcome/", &["event", "object", "key", "route", "job", "cloud::CallError"]),
    ("src/pipeline.rs", &["event", "object", "key", "route", "job", "outcome", "cloud"]),
    // The nouns' data, and none of their decisions.
    ("src/cloud/", &["event::QueueArn", "object", "route", "job"]),
    // Nothing of the steps, lest it share their mistakes.
    ("src/emulator/", &["cloud::Clock", "cloud::clock"]),
    ("src/telemetry/", &["outcome"]),
];

#[test]
fn the_steps_are_pure() {
    let mut problems = Vec::new();
    for file in files_with_suffix("src", "rs").iter().filter(|file| is_in(file, &PURE)) {
        for line in code_of(file).lines() {
            let impure = IMPURE.iter().find(|word| has_word(line, word));
            problems.extend(impure.map(|word| format!("{file}: `{word}` in `{}`", line.trim())));
        }
    }
    assert_none("a step knows what only `cloud`, `entry` and the waiting part of `job` may know", &problems);
}

#[test]
fn a_step_uses_only_what_stands_to_its_left() {
    let mut problems = Vec::new();
    for file in files_with_suffix("src", "rs") {
        let Some((part, allowed)) = MAY_USE.iter().find(|(part, _)| file.starts_with(part)) else { continue };
        let own = part.trim_start_matches("src/").split('/').next().unwrap();
        for used in crate_paths(&code_of(&file)) {
            let is_allowed = [own].iter().chain(*allowed).any(|may| is_path_below(&used, may));
            if !is_allowed {
                problems.push(format!("{file} uses crate::{used}"));
            }
        }
    }
    assert_none("imports against the layers (the table is above this test)", &problems);
}

#[test]
fn nobody_reaches_the_crates_root_by_climbing() {
    let mut problems = Vec::new();
    for file in files_with_suffix("src", "rs") {
        let climb = if file.ends_with("/mod.rs") { "super::" } else { "super::super::" };
        if file.matches('/').count() == 2 && code_of(&file).contains(climb) {
            problems.push(format!("{file}: `{climb}` leaves its part; write `crate::…`"));
        }
    }
    assert_none("imports that the layers cannot see", &problems);
}

fn is_in(file: &str, parts: &[&str]) -> bool {
    parts.iter().any(|part| file.starts_with(part))
}

fn is_path_below(path: &str, above: &str) -> bool {
    path.strip_prefix(above).is_some_and(|rest| rest.is_empty() || rest.starts_with("::"))
}

fn is_word_character(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// Whether a word stands in a line of code: alone, outside of strings, and not as a macro (`env!` is the compiler's).
fn has_word(line: &str, word: &str) -> bool {
    let outside_strings: String = line.split('"').step_by(2).collect::<Vec<_>>().join("\"\"");
    outside_strings.match_indices(word).any(|(at, _)| {
        let before = outside_strings[..at].chars().next_back();
        let after = outside_strings[at + word.len()..].chars().next();
        !before.is_some_and(is_word_character) && !after.is_some_and(|c| is_word_character(c) || c == '!')
    })
}

/// What a source names of its own crate: `cloud::CallError`, `object`, … A list in braces gives one path for each.
fn crate_paths(code: &str) -> BTreeSet<String> {
    let mut paths = BTreeSet::new();
    for (at, found) in code.match_indices("crate::") {
        if code[..at].chars().next_back().is_some_and(is_word_character) {
            continue;
        }
        let rest = &code[at + found.len()..];
        let end = rest.find(|c| !(is_word_character(c) || c == ':')).unwrap_or(rest.len());
        let (path, after) = rest.split_at(end);
        match after.strip_prefix('{') {
            Some(list) => paths.extend(names_in_braces(list).map(|name| format!("{path}{name}"))),
            None => {
                paths.insert(path.to_owned());
            }
        }
    }
    paths
}

/// The first names of a list in braces, whose opening brace has been passed.
fn names_in_braces(list: &str) -> impl Iterator<Item = &str> {
    let list = list.split('}').next().unwrap();
    list.split(',')
        .map(|item| item.split('{').next().unwrap().trim().trim_end_matches("::"))
        .filter(|n| !n.is_empty())
}

// ---- length ----

#[test]
fn functions_fit_a_screen() {
    let mut problems = Vec::new();
    for file in files_with_suffix(".", "rs") {
        let source = text_of(&file);
        for (name, length) in functions(&source) {
            if length > FUNCTION_LINES {
                problems.push(format!("{file}: {name} has {length} lines"));
            }
        }
    }
    assert_none("functions of more than a screen", &problems);
}

#[test]
fn files_stay_short() {
    let lengths: BTreeMap<String, usize> = files_with_suffix(".", "rs")
        .into_iter()
        .map(|file| (file.clone(), without_unit_tests(&text_of(&file)).lines().count()))
        .filter(|(_, length)| *length > FILE_LINES)
        .collect();
    let excused: Vec<&str> = LONGER_FILES.iter().map(|(file, _)| *file).collect();
    let long = lengths.iter().filter(|(file, _)| !excused.contains(&file.as_str()));
    let mut problems: Vec<String> = long.map(|(file, length)| format!("{file} has {length} lines")).collect();
    let stale = excused.iter().filter(|file| !lengths.contains_key(**file));
    problems.extend(stale.map(|file| format!("{file} is short by now: take it off the list")));
    assert_none("files of more than 500 lines", &problems);
}

/// The functions of a source, with their lengths in lines: from `fn` to the brace in the same column.
fn functions(source: &str) -> Vec<(String, usize)> {
    let lines: Vec<&str> = source.lines().collect();
    let mut found = Vec::new();
    for (start, line) in lines.iter().enumerate() {
        let Some(name) = function_name(line) else { continue };
        let indent = &line[..line.len() - line.trim_start().len()];
        let brace = format!("{indent}}}");
        let signature_only = format!("{indent}) ");
        for (length, next) in lines[start..].iter().enumerate() {
            let is_bodiless = next.ends_with(';') && (length == 0 || next.starts_with(&signature_only));
            if is_bodiless || (length == 0 && next.ends_with('}')) {
                break;
            }
            if *next == brace {
                found.push((name.to_owned(), length + 1));
                break;
            }
        }
    }
    found
}

fn function_name(line: &str) -> Option<&str> {
    let mut words = line.split_whitespace().skip_while(|word| {
        matches!(*word, "pub" | "async" | "const" | "unsafe" | "extern") || word.starts_with("pub(")
    });
    if words.next() != Some("fn") {
        return None;
    }
    words.next().map(|name| name.split(['(', '<']).next().unwrap())
}

// ---- pages ----

#[test]
fn links_between_pages_lead_somewhere() {
    let mut problems = Vec::new();
    for page in files_with_suffix(".", "md") {
        let folder = Path::new(&page).parent().unwrap();
        for link in links(&text_of(&page)) {
            let (target, anchor) = link.split_once('#').unwrap_or((&link, ""));
            let target = if target.is_empty() { PathBuf::from(&page) } else { folder.join(target) };
            let is_there = repository().join(&target).exists();
            let has_anchor =
                anchor.is_empty() || (is_there && anchors(&repository().join(&target)).contains(anchor));
            if !is_there || !has_anchor {
                problems.push(format!("{page}: {link}"));
            }
        }
    }
    assert_none("links to nothing", &problems);
}

/// The targets of a page's links, but for those into the web.
fn links(page: &str) -> Vec<String> {
    let prose = without_code(page);
    let targets = prose.split("](").skip(1).filter_map(|rest| rest.split(')').next());
    targets.filter(|target| !target.contains("://")).map(str::to_owned).collect()
}

fn without_code(page: &str) -> String {
    let outside_blocks = page.split("```").step_by(2).collect::<Vec<_>>().join("\n");
    outside_blocks.split('`').step_by(2).collect::<Vec<_>>().join("`")
}

/// The anchors of a page's headings, as GitHub makes them.
fn anchors(page: &Path) -> BTreeSet<String> {
    let text = fs::read_to_string(page).unwrap_or_default();
    let headings =
        text.lines().filter(|line| line.starts_with('#')).map(|line| line.trim_start_matches('#').trim());
    let slug = |heading: &str| {
        let kept = heading.to_lowercase().replace(' ', "-");
        kept.chars().filter(|c| is_word_character(*c) || *c == '-').collect()
    };
    headings.map(slug).collect()
}

#[test]
fn the_index_of_decisions_names_each_of_them() {
    let index = links(&text_of("docs/decisions/README.md")).into_iter().collect::<BTreeSet<_>>();
    let pages = files_with_suffix("docs/decisions", "md").into_iter();
    let pages: BTreeSet<String> = pages.map(|page| page.rsplit('/').next().unwrap().to_owned()).collect();
    for page in pages.iter().filter(|page| *page != "README.md") {
        assert!(index.contains(page), "docs/decisions/README.md does not name {page}");
    }
}

#[test]
fn nothing_names_a_place_on_one_machine() {
    // In two parts each, or this file would be the first to name them.
    let places = [concat!("/wo", "rk/"), concat!("/ro", "ot/"), concat!("/ho", "me/")];
    let mut problems = Vec::new();
    for file in files_below(".") {
        let Ok(text) = fs::read_to_string(repository().join(&file)) else { continue };
        // In a worktree of git's, `.git` is a file that says where the rest is.
        let is_git = file == ".git" || file == "./.git";
        let found = places.iter().find(|place| !is_git && text.contains(**place));
        problems.extend(found.map(|place| format!("{file} has {place}")));
    }
    assert_none("paths that exist on somebody's machine only", &problems);
}

#[test]
fn the_workflows_pin_every_action_to_a_commit() {
    let mut problems = Vec::new();
    for file in files_with_suffix(".github", "yml") {
        for line in text_of(&file).lines().filter(|line| line.contains("uses:")) {
            let action = line.split("uses:").nth(1).unwrap().trim();
            let (commit, version) =
                action.split_once('@').unwrap_or_default().1.split_once(' ').unwrap_or_default();
            let is_commit = commit.len() == 40 && commit.chars().all(|c| c.is_ascii_hexdigit());
            if !is_commit || !version.trim_start().starts_with("# v") {
                problems.push(format!("{file}: {action}"));
            }
        }
    }
    assert_none(
        "actions that somebody else could change (pin the commit, name the version behind it)",
        &problems,
    );
}

// ---- what the Lambda holds ----

/// What only the command line and the embedded BigQuery need.
const NOT_IN_THE_LAMBDA: [&str; 10] = [
    "arrow",
    "arrow-array",
    "axum",
    "clap",
    "clap_complete",
    "comfy-table",
    "indicatif",
    "parquet",
    "schemars",
    "snap",
];

#[test]
fn the_lambda_links_nothing_that_only_the_command_line_needs() {
    let tree = Command::new(env!("CARGO"))
        .args([
            "tree",
            "--no-default-features",
            "--edges",
            "normal",
            "--prefix",
            "none",
            "--locked",
            "--offline",
        ])
        .current_dir(repository())
        .output()
        .expect("cargo runs, since it built this test");
    assert!(tree.status.success(), "cargo tree: {}", String::from_utf8_lossy(&tree.stderr));
    let crates = String::from_utf8(tree.stdout).expect("cargo prints UTF-8");
    let linked: BTreeSet<&str> = crates.lines().filter_map(|line| line.split(' ').next()).collect();
    assert!(linked.contains("lambda_runtime"), "this is not the Lambda's tree: {crates}");
    let needless = NOT_IN_THE_LAMBDA.iter().filter(|name| linked.contains(**name));
    let needless: Vec<String> =
        needless.map(|name| format!("{name}: put it behind the feature `cli`")).collect();
    assert_none("in `bootstrap`, and not needed there", &needless);
}
