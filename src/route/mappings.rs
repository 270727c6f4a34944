//! All mappings together: one immutable snapshot.

use std::collections::HashMap;

use super::mapping::{self, Draft, Matcher};
use super::nearest::nearest;
use super::pattern::Pattern;
use super::problem::{MappingFault, MappingProblem, MappingProblems};
use super::resolve::{self, Landing, RouteError, Specificity};

/// A mapping file as it was read, from wherever.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MappingFile {
    /// Its name, as problems should show it: `mappings/casino-a.json`.
    pub name: String,
    /// What is in it.
    pub text: String,
}

/// Every mapping, checked. Immutable: one snapshot serves a whole invocation.
#[derive(Debug, Clone)]
pub struct Mappings {
    /// By bucket, and in it the longest folder first.
    landings: Vec<Landing>,
}

impl Mappings {
    /// Reads all files and gives the mappings, or every problem of every file.
    ///
    /// # Errors
    /// [`MappingProblems`] with all that is wrong; then none of the mappings may be used.
    pub fn parse(files: Vec<MappingFile>) -> Result<Self, MappingProblems> {
        let mut problems = Vec::new();
        if files.is_empty() {
            problems.push(MappingProblem::new("", "$", MappingFault::NoFiles));
        }
        let mut landings = Vec::new();
        let mut claimed: HashMap<String, String> = HashMap::new();
        for file in &files {
            let (draft, mut found) = mapping::read(&file.name, &file.text);
            find_ambiguous(&file.name, &draft.matchers, &mut found);
            find_claimed(&file.name, &draft, &mut claimed, &mut found);
            problems.append(&mut found);
            if let Draft { source: Some(source), rules, .. } = draft {
                landings.push(Landing::new(&file.name, source, rules));
            }
        }
        MappingProblems::of(problems)?;
        landings.sort_by(|a, b| {
            let length = |landing: &Landing| landing.layout().bucket_folder.len();
            a.bucket().cmp(b.bucket()).then(length(b).cmp(&length(a)))
        });
        Ok(Self { landings })
    }

    /// The landing prefix that an object lies under: its very bucket, and of the folders that hold the
    /// key, the deepest.
    ///
    /// # Errors
    /// [`RouteError::UnmappedObject`] when no mapping names the place; then the object must not be read.
    pub fn landing(&self, bucket: &str, key: &str) -> Result<&Landing, RouteError> {
        let first = self.landings.partition_point(|landing| landing.bucket() < bucket);
        let of_bucket = self.landings.iter().skip(first).take_while(|landing| landing.bucket() == bucket);
        let mut holding = of_bucket.filter(|landing| landing.contains(key));
        holding.next().ok_or_else(|| self.unmapped(bucket, key))
    }

    /// Every landing prefix.
    pub fn landings(&self) -> &[Landing] {
        &self.landings
    }

    fn unmapped(&self, bucket: &str, key: &str) -> RouteError {
        let own: Vec<String> =
            self.landings.iter().filter(|at| at.bucket() == bucket).map(Landing::address).collect();
        let sought = format!("s3://{bucket}/{key}");
        let nearest_own = own.iter().max_by_key(|at| shared_chars(at, &sought)).cloned();
        let nearest_bucket = || {
            let landing = |name: &str| self.landings.iter().find(|at| at.bucket() == name);
            let found = nearest(bucket, self.landings.iter().map(Landing::bucket), str::to_owned)?;
            landing(found).map(Landing::address)
        };
        RouteError::UnmappedObject {
            bucket: bucket.to_owned(),
            key: key.to_owned(),
            nearest: nearest_own.or_else(nearest_bucket),
        }
    }
}

fn shared_chars(a: &str, b: &str) -> usize {
    a.chars().zip(b.chars()).take_while(|(a, b)| a == b).count()
}

/// Finds the rules of which neither goes before the other although one table can match both. Excludes
/// go before all others, and whichever of two excludes wins, the table is excluded.
fn find_ambiguous(file: &str, matchers: &[Matcher], problems: &mut Vec<MappingProblem>) {
    let mut equals: HashMap<Rivals, Vec<&Matcher>> = HashMap::new();
    for rule in matchers.iter().filter(|rule| !rule.excludes) {
        let earlier = equals.entry(Rivals::of(rule)).or_default();
        if let Some((other, example)) = earlier.iter().find_map(|other| Some((other, common(rule, other)?))) {
            let fault = MappingFault::AmbiguousRules {
                this: format!("{}.{}", rule.schema, rule.table),
                index: rule.index,
                other: format!("{}.{}", other.schema, other.table),
                other_index: other.index,
                example,
            };
            problems.push(MappingProblem::new(file, format!("$.tables[{}]", rule.index), fault));
        }
        earlier.push(rule);
    }
}

/// The rules that one has to be compared with: those as specific as it, and with the same names where it has names.
/// Without the names, ten thousand tables by name would be fifty million comparisons, at each start of a worker.
#[derive(PartialEq, Eq, Hash)]
struct Rivals {
    specificity: Specificity,
    schema: Option<String>,
    table: Option<String>,
}

impl Rivals {
    fn of(rule: &Matcher) -> Self {
        let name = |pattern: &Pattern| pattern.is_literal().then(|| pattern.common_name(pattern)).flatten();
        Self {
            specificity: Specificity::of(&rule.schema, &rule.table),
            schema: name(&rule.schema),
            table: name(&rule.table),
        }
    }
}

/// A name that both rules match, as `schema.table`.
fn common(a: &Matcher, b: &Matcher) -> Option<String> {
    Some(format!("{}.{}", a.schema.common_name(&b.schema)?, a.table.common_name(&b.table)?))
}

/// Finds a landing prefix that an earlier file has claimed.
fn find_claimed(
    file: &str,
    draft: &Draft,
    claimed: &mut HashMap<String, String>,
    problems: &mut Vec<MappingProblem>,
) {
    let Some(source) = &draft.source else { return };
    let landing = resolve::address(source);
    match claimed.get(&landing) {
        Some(other_file) => {
            let fault = MappingFault::DuplicateLanding { landing, other_file: other_file.clone() };
            problems.push(MappingProblem::new(file, "$.source", fault));
        }
        None => {
            claimed.insert(landing, file.to_owned());
        }
    }
}
