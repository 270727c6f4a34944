//! From an object's key to its landing prefix, and from a table's name to its route.

use std::cmp::Reverse;
use std::collections::BTreeSet;
use std::fmt;

use super::mapping::{Action, Rule, Source, Target};
use super::names::{self, BadName};
use super::nearest::nearest;
use super::pattern::Pattern;
use super::{Route, TableRef};
use crate::key::{DmsKey, Layout};

/// A rule, as people find it again in its file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RuleName {
    /// Its place in `tables`, from 0.
    pub index: usize,
    /// The schema or pattern that it is for.
    pub schema: String,
    /// The table or pattern that it is for.
    pub table: String,
}

impl fmt::Display for RuleName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{} ($.tables[{}])", self.schema, self.table, self.index)
    }
}

/// What the mapping says of a table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decision {
    /// Its files are loaded.
    Load(Route),
    /// Somebody decided that its files are not loaded.
    Exclude {
        /// The rule that says so.
        rule: RuleName,
    },
}

/// How specific a rule is: the greater goes first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Specificity {
    literal_schema: bool,
    literal_table: bool,
    schema_chars: usize,
    table_chars: usize,
}

impl Specificity {
    pub(super) fn of(schema: &Pattern, table: &Pattern) -> Self {
        Self {
            literal_schema: schema.is_literal(),
            literal_table: table.is_literal(),
            schema_chars: schema.literal_chars(),
            table_chars: table.literal_chars(),
        }
    }
}

/// One rule of a mapping, for those who compare mappings with something else.
#[cfg(feature = "cli")]
#[derive(Debug, Clone, Copy)]
pub struct TableRule<'m>(&'m Rule);

#[cfg(feature = "cli")]
impl<'m> TableRule<'m> {
    /// The rule's place and patterns.
    pub fn name(self) -> RuleName {
        self.0.matcher.name()
    }

    /// Its place in `tables`, from 0.
    pub fn index(self) -> usize {
        self.0.matcher.index
    }

    /// Whether it keeps its tables from being loaded.
    pub fn excludes(self) -> bool {
        self.0.matcher.excludes
    }

    /// Which schemas it is for.
    pub fn schema(self) -> &'m Pattern {
        &self.0.matcher.schema
    }

    /// Which tables it is for.
    pub fn table(self) -> &'m Pattern {
        &self.0.matcher.table
    }

    /// Whether it matches a table; another rule may still go before it.
    pub fn matches(self, schema: &str, table: &str) -> bool {
        self.schema().matches(schema) && self.table().matches(table)
    }

    /// The project that it loads into.
    pub fn project(self) -> Option<&'m str> {
        match &self.0.action {
            Action::Load(target) => Some(&target.project),
            Action::Exclude => None,
        }
    }

    /// Whether it makes tables without partitions, which take fewer changes a day.
    pub fn is_unpartitioned(self) -> bool {
        matches!(&self.0.action, Action::Load(target) if target.options.partition.is_none())
    }
}

/// One landing prefix: a folder of a bucket, how DMS writes to it, and where its tables go.
#[derive(Debug, Clone)]
pub struct Landing {
    mapping: String,
    file: String,
    source: Source,
    /// Excludes first, then the most specific: the first that matches decides.
    rules: Vec<Rule>,
}

impl Landing {
    pub(super) fn new(file: &str, source: Source, mut rules: Vec<Rule>) -> Self {
        rules.sort_by_key(|rule| {
            let specificity = Specificity::of(&rule.matcher.schema, &rule.matcher.table);
            (Reverse(rule.matcher.excludes), Reverse(specificity), rule.matcher.index)
        });
        Self { mapping: mapping_name(file).to_owned(), file: file.to_owned(), source, rules }
    }

    /// The name of the mapping: its file's name without `.json`.
    pub fn mapping_name(&self) -> &str {
        &self.mapping
    }

    /// The file, as whoever read it named it.
    pub fn file(&self) -> &str {
        &self.file
    }

    /// The bucket.
    pub fn bucket(&self) -> &str {
        &self.source.bucket
    }

    /// The folder of the bucket, and how DMS lays it out.
    pub fn layout(&self) -> &Layout {
        &self.source.layout
    }

    /// The time zone of the times in the names of CDC files and date folders: `UTC`, or an Area/Location.
    pub fn timezone(&self) -> &str {
        &self.source.timezone
    }

    /// Whether somebody decided that objects which S3 copied here are loaded.
    pub fn allows_copies(&self) -> bool {
        self.source.copies
    }

    /// The landing prefix as an address: `s3://acme-landing/dms/casino-a/`.
    pub fn address(&self) -> String {
        address(&self.source)
    }

    /// The rule that decides about a table, if one matches it.
    pub fn rule_for(&self, schema: &str, table: &str) -> Option<RuleName> {
        self.find(schema, table).map(|rule| rule.matcher.name())
    }

    /// Where the files of a key's table go.
    ///
    /// # Errors
    /// [`RouteError::UnmappedTable`] when no rule matches, [`RouteError::BadName`] when BigQuery would
    /// refuse the dataset's or the table's name.
    pub fn resolve(&self, key: &DmsKey) -> Result<Decision, RouteError> {
        let Some(rule) = self.find(&key.schema, &key.table) else { return Err(self.unmapped(key)) };
        match &rule.action {
            Action::Exclude => Ok(Decision::Exclude { rule: rule.matcher.name() }),
            Action::Load(target) => self.route(key, rule, target).map(Decision::Load),
        }
    }

    /// How many rules there are, and how many of them exclude.
    pub fn rule_counts(&self) -> (usize, usize) {
        let excludes = self.rules.iter().filter(|rule| rule.matcher.excludes).count();
        (self.rules.len(), excludes)
    }

    /// The datasets that rules load into, as `project.dataset`, each with its location. Placeholders
    /// stand in them as they were written.
    pub fn datasets(&self) -> BTreeSet<(String, String)> {
        let dataset = |rule: &Rule| match &rule.action {
            Action::Load(target) => {
                let dataset = target.dataset.expand("{schema}", "{table}");
                Some((format!("{}.{dataset}", target.project), target.location.clone()))
            }
            Action::Exclude => None,
        };
        self.rules.iter().filter_map(dataset).collect()
    }

    /// The rules in the order of the file: which tables each is for, and what it does with them.
    #[cfg(feature = "cli")]
    pub fn table_rules(&self) -> Vec<TableRule<'_>> {
        let mut rules: Vec<TableRule<'_>> = self.rules.iter().map(TableRule).collect();
        rules.sort_by_key(|rule| rule.0.matcher.index);
        rules
    }

    /// The rules in the order in which they are asked: of those that match a table, the first decides.
    #[cfg(feature = "cli")]
    pub fn table_rules_by_precedence(&self) -> Vec<TableRule<'_>> {
        self.rules.iter().map(TableRule).collect()
    }

    pub(super) fn rules(&self) -> &[Rule] {
        &self.rules
    }

    pub(super) fn contains(&self, key: &str) -> bool {
        let folder = &self.source.layout.bucket_folder;
        folder.is_empty() || key.strip_prefix(folder.as_str()).is_some_and(|rest| rest.starts_with('/'))
    }

    pub(super) fn find(&self, schema: &str, table: &str) -> Option<&Rule> {
        self.rules
            .iter()
            .find(|rule| rule.matcher.schema.matches(schema) && rule.matcher.table.matches(table))
    }

    fn route(&self, key: &DmsKey, rule: &Rule, target: &Target) -> Result<Route, RouteError> {
        let dataset = target.dataset.expand(&key.schema, &key.table);
        let table = target.table.expand(&key.schema, &key.table);
        names::check_dataset(&dataset).and_then(|()| names::check_table(&table)).map_err(|name| {
            let (schema, table) = (key.schema.clone(), key.table.clone());
            let (file, rule) = (self.file.clone(), rule.matcher.name());
            RouteError::BadName(Box::new(BadDestination { file, schema, table, rule, name }))
        })?;
        Ok(Route {
            mapping: self.mapping.clone(),
            destination: TableRef { project: target.project.clone(), dataset, table },
            location: target.location.clone(),
            options: target.options.clone(),
        })
    }

    fn unmapped(&self, key: &DmsKey) -> RouteError {
        let spoken =
            |rule: &Rule| format!("{}.{}", rule.matcher.schema.spoken(), rule.matcher.table.spoken());
        let sought = format!("{}.{}", key.schema, key.table).to_lowercase();
        let names: Vec<String> = self.rules.iter().map(spoken).collect();
        let same_case = |name: &str| name.to_lowercase();
        let nearest_name = nearest(&sought, names.iter().enumerate().map(Candidate::of), same_case);
        let nearest =
            nearest_name.and_then(|found| self.rules.get(found.index)).map(|rule| rule.matcher.name());
        RouteError::UnmappedTable(Box::new(UnmappedTable {
            file: self.file.clone(),
            schema: key.schema.clone(),
            table: key.table.clone(),
            nearest,
        }))
    }
}

/// A name among several, which remembers its place.
struct Candidate<'n> {
    index: usize,
    name: &'n str,
}

impl<'n> Candidate<'n> {
    fn of((index, name): (usize, &'n String)) -> Self {
        Self { index, name }
    }
}

impl AsRef<str> for Candidate<'_> {
    fn as_ref(&self) -> &str {
        self.name
    }
}

pub(super) fn address(source: &Source) -> String {
    match source.layout.bucket_folder.as_str() {
        "" => format!("s3://{}/", source.bucket),
        folder => format!("s3://{}/{folder}/", source.bucket),
    }
}

fn mapping_name(file: &str) -> &str {
    let name = file.rsplit(['/', '\\']).next().unwrap_or(file);
    name.strip_suffix(".json").unwrap_or(name)
}

/// Why an object or a table has no route.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RouteError {
    /// No mapping names the bucket, or a folder of it that the key lies in.
    #[error("no mapping names the place of s3://{bucket}/{key}")]
    UnmappedObject {
        /// The object's bucket.
        bucket: String,
        /// The object's key.
        key: String,
        /// The landing prefix that is most like it, as an address.
        nearest: Option<String>,
    },
    /// No rule of the mapping matches the table.
    #[error("{0}")]
    UnmappedTable(Box<UnmappedTable>),
    /// BigQuery would refuse the name of the table's destination.
    #[error("{0}")]
    BadName(Box<BadDestination>),
}

/// A table that no rule of its mapping matches.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("no rule of {file} matches the table {schema}.{table}")]
pub struct UnmappedTable {
    /// The mapping's file.
    pub file: String,
    /// The schema as the key spells it.
    pub schema: String,
    /// The table as the key spells it.
    pub table: String,
    /// The rule that is most like it.
    pub nearest: Option<RuleName>,
}

/// A destination that BigQuery would refuse.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{file} sends the table {schema}.{table} to a name that BigQuery refuses: {name}")]
pub struct BadDestination {
    /// The mapping's file.
    pub file: String,
    /// The schema as the key spells it.
    pub schema: String,
    /// The table as the key spells it.
    pub table: String,
    /// The rule that makes the name.
    pub rule: RuleName,
    /// The name, and what is wrong with it.
    pub name: BadName,
}

impl RouteError {
    /// The stable name of the error.
    pub fn code(&self) -> &'static str {
        match self {
            Self::UnmappedObject { .. } | Self::UnmappedTable(_) => "route.unmapped",
            Self::BadName(_) => "route.bad_name",
        }
    }

    /// What a person should do.
    pub fn remedy(&self) -> String {
        match self {
            Self::UnmappedObject { nearest, .. } => {
                let nearest = nearest.as_ref().map(|at| format!(" (the nearest that is mapped: {at})"));
                format!(
                    "if DMS writes there, add a mapping for this bucket and folder{}; else take the place out \
                     of the bucket's notifications",
                    nearest.unwrap_or_default()
                )
            }
            Self::UnmappedTable(unmapped) => unmapped.remedy(),
            Self::BadName(bad) => format!("at the rule {} of {}: {}", bad.rule, bad.file, bad.name.remedy()),
        }
    }
}

impl UnmappedTable {
    fn remedy(&self) -> String {
        let (schema, table) = (quoted(&self.schema), quoted(&self.table));
        let nearest = self.nearest.as_ref().map(|rule| nearest_rule(rule, &self.schema, &self.table));
        format!(
            "add {{ \"schema\": {schema}, \"table\": {table} }} to the tables of {}, or the same with \"action\": \
             \"exclude\"; then redrive{}",
            self.file,
            nearest.unwrap_or_default()
        )
    }
}

/// The name as a pattern that matches it alone, in JSON's quotes.
fn quoted(name: &str) -> String {
    let literal: String =
        name.chars().flat_map(|c| if c == '_' { vec!['[', '_', ']'] } else { vec![c] }).collect();
    serde_json::Value::String(literal).to_string()
}

fn nearest_rule(rule: &RuleName, schema: &str, table: &str) -> String {
    let folded = |schema: &str, table: &str| format!("{schema}.{table}").to_lowercase();
    let why = if folded(&rule.schema, &rule.table) == folded(schema, table) {
        "; names are case-sensitive"
    } else {
        ""
    };
    format!(" (the nearest rule: {rule}{why})")
}
