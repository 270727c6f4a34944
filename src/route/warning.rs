//! What is legal in a mapping and yet probably not meant.

use std::collections::BTreeMap;
use std::fmt;

use super::mapping::{Action, Matcher, Rule, Target};
use super::names::{self, BadName};
use super::pattern::Pattern;
use super::{Landing, Mappings, RuleName, TableRef, typos};

/// One thing in one mapping that a person should look at; nothing is refused for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MappingWarning {
    file: String,
    /// The rule, or `None` for all of them.
    rule: Option<usize>,
    doubt: MappingDoubt,
}

impl MappingWarning {
    fn of_rule(landing: &Landing, index: usize, doubt: MappingDoubt) -> Self {
        Self { file: landing.file().to_owned(), rule: Some(index), doubt }
    }

    /// The file, as whoever read it named it.
    pub fn file(&self) -> &str {
        &self.file
    }

    /// Where in the file, as a JSON path.
    pub fn path(&self) -> String {
        match self.rule {
            Some(index) => format!("$.tables[{index}]"),
            None => "$.tables".to_owned(),
        }
    }

    /// The stable name of the doubt.
    pub fn code(&self) -> &'static str {
        self.doubt.code()
    }

    /// What a person should do, if it is not meant.
    pub fn remedy(&self) -> String {
        self.doubt.remedy()
    }

    /// What is doubtful.
    pub fn doubt(&self) -> &MappingDoubt {
        &self.doubt
    }
}

impl fmt::Display for MappingWarning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}: {}", self.file, self.path(), self.doubt)
    }
}

/// What is legal and yet probably not meant.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum MappingDoubt {
    /// A mapping without rules: every table of its prefix is unmapped.
    #[error("there are no rules, so every table of this landing prefix is refused")]
    NoTables,
    /// Two rules for two tables have one destination.
    #[error("its rows meet those of {other} of {other_file} in {destination}")]
    SharedDestination {
        /// The destination.
        destination: TableRef,
        /// The rule that has it too.
        other: RuleName,
        /// The file of that rule.
        other_file: String,
    },
    /// One rule for many tables has one destination.
    #[error("it matches many {many}, and the destination does not name them apart")]
    Merges {
        /// `schemas` or `tables`.
        many: &'static str,
    },
    /// An exclude takes away all that the rule is for.
    #[error("it never applies: {by} excludes the table")]
    Unreachable {
        /// The rule that excludes.
        by: RuleName,
    },
    /// Other rules go before this one for all that its patterns match.
    #[error("it never applies: for every table that it matches another rule goes before it, such as {by}")]
    Covered {
        /// One of those.
        by: RuleName,
    },
    /// The destination that the rule makes of its table is none that BigQuery takes.
    #[error("the table's files will be refused: {0}")]
    UnusableName(BadName),
    /// A location that was unknown when this version was made.
    #[error("the location `{location}` was not known when this version was made")]
    UnknownLocation {
        /// The location.
        location: String,
    },
    /// One dataset in two locations.
    #[error("the dataset {dataset} is in {location} here, and in {other_location} elsewhere in the mappings")]
    TwoLocations {
        /// The dataset, with its project.
        dataset: String,
        /// Its location here.
        location: String,
        /// Its location elsewhere.
        other_location: String,
    },
    /// `*` or `?` in a pattern.
    #[error("`{pattern}` has `{character}` in it, which stands for itself")]
    ForeignWildcard {
        /// The pattern.
        pattern: String,
        /// `*` or `?`.
        character: char,
    },
    /// A name that another rule spells with other capitals.
    #[error("the {kind} `{name}` differs from `{other}` of {by} in upper and lower case alone")]
    ButForCase {
        /// `schema` or `table`.
        kind: &'static str,
        /// The name here.
        name: String,
        /// The name there.
        other: String,
        /// The rule that has the other.
        by: RuleName,
    },
    /// A name that begins or ends with a space.
    #[error("`{name}` begins or ends with a space")]
    EdgeSpace {
        /// The name.
        name: String,
    },
    /// The schema is written into the table's name as well.
    #[error("the table `{table}` has its schema in its name")]
    SchemaInTable {
        /// The table as it is written.
        table: String,
        /// The table without the schema.
        name: String,
    },
    /// A field of loads in a rule that excludes.
    #[error("the rule excludes, so its `{field}` means nothing")]
    IdleField {
        /// The field.
        field: &'static str,
    },
    /// A table without partitions.
    #[error("a table without partitions takes 1,500 changes a day, one a minute and no more")]
    Unpartitioned,
}

impl MappingDoubt {
    /// The stable name of the doubt.
    pub fn code(&self) -> &'static str {
        match self {
            Self::NoTables => "mapping.no_tables",
            Self::SharedDestination { .. } | Self::Merges { .. } => "mapping.shared_destination",
            Self::Unreachable { .. } | Self::Covered { .. } => "mapping.unreachable_rule",
            Self::UnusableName(_) => "route.bad_name",
            Self::UnknownLocation { .. } => "mapping.unknown_location",
            Self::TwoLocations { .. } => "mapping.two_locations",
            Self::ForeignWildcard { .. } => "mapping.foreign_wildcard",
            Self::ButForCase { .. } => "mapping.but_for_case",
            Self::EdgeSpace { .. } => "mapping.edge_space",
            Self::SchemaInTable { .. } => "mapping.schema_in_table",
            Self::IdleField { .. } => "mapping.idle_field",
            Self::Unpartitioned => "mapping.unpartitioned",
        }
    }

    /// What a person should do, if it is not meant.
    pub fn remedy(&self) -> String {
        match self {
            Self::NoTables => {
                "add rules: `{ \"schema\": \"%\", \"table\": \"%\" }` takes every table".to_owned()
            }
            Self::SharedDestination { .. } => {
                "if the tables are parts of one, leave it; else give each a destination of its own".to_owned()
            }
            Self::Merges { many } => {
                let placeholder = if *many == "schemas" { "{schema}" } else { "{table}" };
                format!(
                    "if they are parts of one table, leave it; else write `{placeholder}` into the destination"
                )
            }
            Self::Unreachable { .. } => "take one of the two rules away".to_owned(),
            Self::Covered { .. } => {
                "excludes go first, then the more specific rule: take this one away, or narrow the other"
                    .to_owned()
            }
            Self::UnusableName(name) => name.remedy(),
            Self::UnknownLocation { location } => match names::nearest_location(location) {
                Some(known) => format!("if it is not a new region: did you mean `{known}`?"),
                None => "compare it with the dataset's location in the BigQuery console".to_owned(),
            },
            Self::TwoLocations { .. } => {
                "a dataset is in one place: compare both with the BigQuery console".to_owned()
            }
            Self::ForeignWildcard { .. } => {
                "patterns are as in DMS: `%` for any characters, `_` for one".to_owned()
            }
            Self::ButForCase { .. } => {
                "case counts: write both as the source does, unless it has the one and the other".to_owned()
            }
            Self::EdgeSpace { .. } => {
                "take the space away, unless the table at the source has one, too".to_owned()
            }
            Self::SchemaInTable { name, .. } => {
                format!("write `\"table\": \"{name}\"`, unless the source's table has the dot in its name")
            }
            Self::IdleField { field } => {
                format!("take `{field}` away, or `\"action\": \"exclude\"` if the table is to be loaded")
            }
            Self::Unpartitioned => {
                "leave `partition` out: partitions by day lift the limit to 11,000, and cannot be added later"
                    .to_owned()
            }
        }
    }
}

impl Mappings {
    /// What is legal in these mappings and yet probably not meant, file by file.
    pub fn warnings(&self) -> Vec<MappingWarning> {
        let mut found = Vec::new();
        for landing in self.landings() {
            warn_of_landing(landing, &mut found);
        }
        warn_of_shared_destinations(self, &mut found);
        warn_of_two_locations(self, &mut found);
        found.sort_by(|a, b| (&a.file, a.rule).cmp(&(&b.file, b.rule)));
        said_once(found)
    }
}

/// What a whole mapping has in common, such as its location, is said of the first rule only.
fn said_once(found: Vec<MappingWarning>) -> Vec<MappingWarning> {
    let mut kept: Vec<MappingWarning> = Vec::new();
    for warning in found {
        let of_mapping =
            matches!(warning.doubt, MappingDoubt::UnknownLocation { .. } | MappingDoubt::TwoLocations { .. });
        let is_said =
            |earlier: &MappingWarning| earlier.file == warning.file && earlier.doubt == warning.doubt;
        if !(of_mapping && kept.iter().any(is_said)) {
            kept.push(warning);
        }
    }
    kept
}

fn warn_of_landing(landing: &Landing, found: &mut Vec<MappingWarning>) {
    if landing.rules().is_empty() {
        let file = landing.file().to_owned();
        found.push(MappingWarning { file, rule: None, doubt: MappingDoubt::NoTables });
    }
    let covered = covered(landing);
    let rules = in_order(landing);
    let mut but_for_case = typos::but_for_case(&rules);
    for rule in rules {
        let mut doubts = doubts_of_rule(landing, rule);
        let is_said = doubts.iter().any(|doubt| doubt.code() == "mapping.unreachable_rule");
        doubts.extend(covered.get(&rule.matcher.index).filter(|_| !is_said).cloned());
        doubts.extend(but_for_case.remove(&rule.matcher.index));
        found.extend(
            doubts.into_iter().map(|doubt| MappingWarning::of_rule(landing, rule.matcher.index, doubt)),
        );
    }
}

/// The rules as the file has them.
fn in_order(landing: &Landing) -> Vec<&Rule> {
    let mut rules: Vec<&Rule> = landing.rules().iter().collect();
    rules.sort_by_key(|rule| rule.matcher.index);
    rules
}

fn doubts_of_rule(landing: &Landing, rule: &Rule) -> Vec<MappingDoubt> {
    let mut doubts: Vec<MappingDoubt> =
        [&rule.matcher.schema, &rule.matcher.table].into_iter().filter_map(foreign_wildcard).collect();
    doubts.extend(typos::of_rule(rule));
    let Action::Load(target) = &rule.action else { return doubts };
    doubts.extend(unreachable(landing, &rule.matcher));
    doubts.extend(merges(&rule.matcher, target));
    doubts.extend(unusable_name(&rule.matcher, target));
    if !names::is_known_location(&target.location) {
        doubts.push(MappingDoubt::UnknownLocation { location: target.location.clone() });
    }
    if target.options.partition.is_none() {
        doubts.push(MappingDoubt::Unpartitioned);
    }
    doubts
}

fn foreign_wildcard(pattern: &Pattern) -> Option<MappingDoubt> {
    let character = pattern.as_str().chars().find(|c| matches!(c, '*' | '?'))?;
    Some(MappingDoubt::ForeignWildcard { pattern: pattern.to_string(), character })
}

/// The one table that a rule is meant for. A name such as `order_item` is a pattern to DMS, since `_`
/// stands for any character; who writes it means the table of that name.
fn meant_table(rule: &Matcher) -> Option<(String, String)> {
    Some((rule.schema.meant_name()?, rule.table.meant_name()?))
}

fn unreachable(landing: &Landing, rule: &Matcher) -> Option<MappingDoubt> {
    let (schema, table) = meant_table(rule)?;
    let excludes = |other: &&Rule| {
        other.matcher.excludes && other.matcher.schema.matches(&schema) && other.matcher.table.matches(&table)
    };
    let by = landing.rules().iter().find(excludes)?.matcher.name();
    Some(MappingDoubt::Unreachable { by })
}

/// Rules with patterns that never apply, by their places. Who asks is the command line: it takes a while.
#[cfg(feature = "cli")]
fn covered(landing: &Landing) -> BTreeMap<usize, MappingDoubt> {
    let idle = super::ways::idle(landing).unwrap_or_default();
    let doubt =
        |(rule, by): (&Rule, &Rule)| (rule.matcher.index, MappingDoubt::Covered { by: by.matcher.name() });
    idle.into_iter().map(doubt).collect()
}

#[cfg(not(feature = "cli"))]
fn covered(_landing: &Landing) -> BTreeMap<usize, MappingDoubt> {
    BTreeMap::new()
}

fn merges(rule: &Matcher, target: &Target) -> Option<MappingDoubt> {
    let names_schema = target.dataset.has_schema() || target.table.has_schema();
    let names_table = target.dataset.has_table() || target.table.has_table();
    let many = match (rule.schema.meant_name(), rule.table.meant_name()) {
        (_, None) if !names_table => "tables",
        (None, _) if !names_schema => "schemas",
        (_, _) => return None,
    };
    Some(MappingDoubt::Merges { many })
}

/// Where the one table goes that a rule is meant for.
fn meant_destination(rule: &Matcher, target: &Target) -> Option<TableRef> {
    let (schema, table) = meant_table(rule)?;
    Some(TableRef {
        project: target.project.clone(),
        dataset: target.dataset.expand(&schema, &table),
        table: target.table.expand(&schema, &table),
    })
}

fn unusable_name(rule: &Matcher, target: &Target) -> Option<MappingDoubt> {
    let destination = meant_destination(rule, target)?;
    let checked =
        names::check_dataset(&destination.dataset).and_then(|()| names::check_table(&destination.table));
    checked.err().map(MappingDoubt::UnusableName)
}

fn warn_of_shared_destinations(mappings: &Mappings, found: &mut Vec<MappingWarning>) {
    let mut first: BTreeMap<TableRef, (&Landing, RuleName)> = BTreeMap::new();
    for (landing, rule, target) in loading_rules(mappings) {
        let Some(destination) = meant_destination(&rule.matcher, target) else { continue };
        match first.get(&destination) {
            Some((other_landing, other)) => {
                let other_file = other_landing.file().to_owned();
                let doubt = MappingDoubt::SharedDestination { destination, other: other.clone(), other_file };
                found.push(MappingWarning::of_rule(landing, rule.matcher.index, doubt));
            }
            None => {
                first.insert(destination, (landing, rule.matcher.name()));
            }
        }
    }
}

fn warn_of_two_locations(mappings: &Mappings, found: &mut Vec<MappingWarning>) {
    let mut first: BTreeMap<String, String> = BTreeMap::new();
    for (landing, rule, target) in loading_rules(mappings) {
        if target.dataset.has_schema() || target.dataset.has_table() {
            continue;
        }
        let dataset = format!("{}.{}", target.project, target.dataset.expand("", ""));
        let location = target.location.clone();
        let other_location = first.entry(dataset.clone()).or_insert_with(|| location.clone()).clone();
        if other_location != location {
            let doubt = MappingDoubt::TwoLocations { dataset, location, other_location };
            found.push(MappingWarning::of_rule(landing, rule.matcher.index, doubt));
        }
    }
}

fn loading_rules(mappings: &Mappings) -> impl Iterator<Item = (&Landing, &Rule, &Target)> {
    mappings.landings().iter().flat_map(|landing| {
        in_order(landing).into_iter().filter_map(move |rule| match &rule.action {
            Action::Load(target) => Some((landing, rule, target.as_ref())),
            Action::Exclude => None,
        })
    })
}
