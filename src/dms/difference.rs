//! Where a task and a mapping do not agree.

use std::fmt;

use super::arriving::{Patterns, escaped};
use super::remark::{Level, Told};
use super::rule::TaskRule;
use super::task::Arrival;
use crate::route::RuleName;

/// A table by its two names.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct TableName {
    pub(super) schema: String,
    pub(super) table: String,
}

impl fmt::Display for TableName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let escaped = |name: &str| name.chars().flat_map(char::escape_debug).collect::<String>();
        write!(f, "`{}.{}`", escaped(&self.schema), escaped(&self.table))
    }
}

impl From<Arrival> for TableName {
    fn from(arrival: Arrival) -> Self {
        Self { schema: arrival.schema, table: arrival.table }
    }
}

/// What a selection by patterns takes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Wide {
    /// The one schema that it is for, if it is for one.
    pub(super) schema: Option<String>,
    /// Its patterns for schema and table.
    pub(super) patterns: (String, String),
    /// How many rules of the mapping are for some of it, and whether each is for one table.
    pub(super) rules: usize,
    pub(super) are_listed: bool,
    /// What a rule of the mapping would have to say to take all of it.
    pub(super) fix: Option<Patterns>,
    /// The mapping's name, if the task's rules can be written from it.
    pub(super) mapping_name: Option<String>,
}

impl Wide {
    fn taken(&self) -> String {
        match self.rules {
            0 => "takes none of them: each".to_owned(),
            1 if self.are_listed => "lists one: a new one".to_owned(),
            many if self.are_listed => format!("lists {many}: a new one"),
            1 => "has one rule for some of them: a new one".to_owned(),
            many => format!("has {many} rules for some of them: a new one"),
        }
    }
}

impl fmt::Display for Wide {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (schemas, tables) = &self.patterns;
        match (&self.schema, tables.as_str()) {
            (Some(schema), "%") => write!(f, "every table of `{schema}`"),
            (Some(schema), tables) => write!(f, "every table of `{schema}` like `{tables}`"),
            (None, _) if schemas == "%" && tables == "%" => f.write_str("every table of every schema"),
            (None, tables) => write!(f, "every table like `{schemas}.{tables}`"),
        }
    }
}

/// One way in which they do not agree.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum Difference {
    /// DMS writes it, and no rule of the mapping takes it.
    #[error("{rule} selects {example}, and no rule of {mapping} takes it: its files would be refused")]
    Unrouted {
        rule: TaskRule,
        example: TableName,
        mapping: String,
        /// A rule that differs in case alone.
        nearest: Option<RuleName>,
        /// `_` in the task's rule stands for another character than an underscore in the example.
        by_underscore: bool,
    },
    /// DMS writes whatever a pattern takes, and no rule of the mapping takes all of it.
    #[error("{rule} takes {wide}, and {mapping} {} (say {example}, a made-up name) would be refused", wide.taken())]
    WideUnrouted { rule: TaskRule, example: TableName, mapping: String, wide: Wide },
    /// DMS writes it under another name than the mapping means.
    #[error(
        "{source_name} arrives as {arrival}, for {rule} is `{action}`; the rule {meant} of {mapping} means it and never matches{}",
        taken(taken_by.as_ref())
    )]
    Renamed {
        rule: TaskRule,
        action: String,
        source_name: TableName,
        arrival: TableName,
        meant: RuleName,
        mapping: String,
        taken_by: Option<RuleName>,
        /// What the mapping's rule would have to say, if that can be said.
        fix: Option<Patterns>,
    },
    /// The mapping waits for it, and no task writes it.
    #[error("no task selects what it is for, such as {example}{}", excluded(excluded_by.as_ref()))]
    NeverSelected { example: TableName, excluded_by: Option<TaskRule>, nearest: Option<TaskRule> },
    /// The task excludes what the mapping loads.
    #[error("{rule} excludes {example}, which the rule {ours} of {mapping} would load")]
    ExcludedByTask { rule: TaskRule, example: TableName, ours: RuleName, mapping: String },
    /// The mapping excludes what the task writes.
    #[error("it excludes {example}, which {rule} of {file} has DMS write all the same")]
    ExcludedByMapping { example: TableName, rule: TaskRule, file: String },
    /// Two tasks write one table to one folder.
    #[error("{rule} selects {example}, and so does {other} of {other_file}: both would write to one folder")]
    SelectedTwice { rule: TaskRule, example: TableName, other: TaskRule, other_file: String },
    /// DMS takes one transformation for each object.
    #[error(
        "{rule} and {other} both change the name of {example}, and DMS takes one for each schema or table"
    )]
    TwoTransformations { rule: TaskRule, other: TaskRule, example: TableName },
    /// A rule by which many tables get one name.
    #[error(
        "{rule} gives {example} and {other} the one name {arrival}: if the source has both, their files overwrite each other"
    )]
    ManyToOne { rule: TaskRule, example: TableName, other: TableName, arrival: TableName },
    /// A full load by ranges leaves out rows without a value.
    #[error("{rule} loads by ranges of columns, and DMS leaves out the rows that have no value in them")]
    RangesWithoutNulls { rule: TaskRule },
    /// Folders for segments, which the mapping does not expect.
    #[error(
        "{rule} has DMS write a folder for each segment, and {mapping} does not say so: its files would be refused"
    )]
    SegmentFolders { rule: TaskRule, mapping: String },
    /// More overlapping patterns than can be told apart.
    #[error("the rules have too many patterns that overlap in too many ways, so they were not compared")]
    TooManyWays,
}

fn taken(by: Option<&RuleName>) -> String {
    by.map(|rule| format!(" (the rule {rule} takes it instead)")).unwrap_or_default()
}

fn excluded(by: Option<&TaskRule>) -> String {
    by.map(|rule| format!(": {rule} of the task excludes it")).unwrap_or_default()
}

impl Told for Difference {
    fn level(&self) -> Level {
        match self {
            Self::Unrouted { .. }
            | Self::WideUnrouted { .. }
            | Self::Renamed { .. }
            | Self::NeverSelected { .. }
            | Self::SelectedTwice { .. }
            | Self::SegmentFolders { .. }
            | Self::TooManyWays => Level::Error,
            Self::ExcludedByTask { .. }
            | Self::ExcludedByMapping { .. }
            | Self::ManyToOne { .. }
            | Self::TwoTransformations { .. }
            | Self::RangesWithoutNulls { .. } => Level::Warning,
        }
    }

    fn code(&self) -> &'static str {
        match self {
            Self::Unrouted { .. } | Self::WideUnrouted { .. } => "dms.unrouted",
            Self::Renamed { .. } => "dms.renamed",
            Self::NeverSelected { .. } => "dms.never_selected",
            Self::ExcludedByTask { .. } => "dms.excluded_by_task",
            Self::ExcludedByMapping { .. } => "dms.excluded_by_mapping",
            Self::SelectedTwice { .. } => "dms.selected_twice",
            Self::TwoTransformations { .. } => "dms.two_transformations",
            Self::ManyToOne { .. } => "dms.many_to_one",
            Self::RangesWithoutNulls { .. } => "dms.ranges_without_nulls",
            Self::SegmentFolders { .. } => "dms.segment_folders",
            Self::TooManyWays => "dms.too_many_ways",
        }
    }

    fn remedy(&self) -> String {
        match self {
            Self::Unrouted { example, mapping, nearest, by_underscore, .. } => {
                unrouted_remedy(example, mapping, nearest.as_ref(), *by_underscore)
            }
            Self::WideUnrouted { mapping, wide, .. } => wide_remedy(mapping, wide),
            Self::Renamed { rule, arrival, meant, mapping, fix, .. } => {
                renamed_remedy(rule, arrival, meant, mapping, fix.as_ref())
            }
            Self::NeverSelected { nearest: Some(rule), .. } => {
                format!("names are case-sensitive, and {rule} differs in case alone: spell both as the source does")
            }
            Self::NeverSelected { excluded_by: Some(rule), .. } => {
                format!("take {rule} out of the task, or the rule out of the mapping")
            }
            Self::NeverSelected { .. } => {
                "add a selection rule to the task (`dms2bq dms-rules` writes them), or take the rule out of the \
                 mapping; if another task selects it, give that task's file as well (`--dms` once more)"
                    .to_owned()
            }
            Self::ExcludedByTask { .. } => {
                "if nobody waits for it, exclude it in the mapping, too; else take it out of the task's excludes"
                    .to_owned()
            }
            Self::ExcludedByMapping { .. } => {
                "exclude it in the task as well, and DMS need not read, write and store what nobody loads".to_owned()
            }
            Self::SelectedTwice { .. } => {
                "let one task have the table, or give one of the tasks a bucket folder and a mapping of its own"
                    .to_owned()
            }
            Self::TwoTransformations { .. } => {
                "narrow one of them, so that one is left for each table; until then the name is not certain (the first \
                 was taken here)"
                    .to_owned()
            }
            Self::ManyToOne { .. } => {
                "rename one table by one rule, to a name that no selected table has; or exclude the other one in the task"
                    .to_owned()
            }
            Self::RangesWithoutNulls { .. } => {
                "split by columns that are NOT NULL, or load the table in one piece".to_owned()
            }
            Self::SegmentFolders { .. } => {
                "write `\"parallel_load\": true` into the mapping's `source`, or load by ranges without names".to_owned()
            }
            Self::TooManyWays => {
                "write fewer patterns with a `%` at both ends: one `log[_]%` instead of many `%a%`".to_owned()
            }
        }
    }
}

fn unrouted_remedy(
    example: &TableName,
    mapping: &str,
    nearest: Option<&RuleName>,
    by_underscore: bool,
) -> String {
    if by_underscore {
        return "DMS reads `_` as any one character: write `[_]` in the task where an underscore is meant, or let the \
                mapping take the wider pattern"
            .to_owned();
    }
    if let Some(rule) = nearest {
        return format!(
            "names are case-sensitive, and the rule {rule} differs in case alone: spell it as it arrives"
        );
    }
    format!(
        "add {{ \"schema\": {}, \"table\": {} }} to the tables of {mapping}, or the same with \"action\": \"exclude\"; or \
         exclude it in the task",
        quoted(&escaped(&example.schema)),
        quoted(&escaped(&example.table))
    )
}

fn wide_remedy(mapping: &str, wide: &Wide) -> String {
    let by_us = wide
        .mapping_name
        .as_ref()
        .map(|name| format!(" (`dms2bq dms-rules --mapping {name} --keep …` writes them)"));
    let list = format!("list the tables in the task{}", by_us.unwrap_or_default());
    match &wide.fix {
        Some(Patterns { schema, table }) => format!(
            "{list}, or take {{ \"schema\": {}, \"table\": {} }} into {mapping}",
            quoted(schema),
            quoted(table)
        ),
        None => format!("{list}, or take into {mapping} a pattern for all names that may arrive"),
    }
}

fn renamed_remedy(
    rule: &TaskRule,
    arrival: &TableName,
    meant: &RuleName,
    mapping: &str,
    fix: Option<&Patterns>,
) -> String {
    if rule.settings_file.is_some() {
        return format!(
            "clear TargetSchema in the task's settings, which names the folder of every table; or, with one schema \
             alone in the task, write that name into the rules of {mapping}"
        );
    }
    let ours = match fix {
        Some(Patterns { schema, table }) => {
            format!("in {mapping}, write `{schema}.{table}` at $.tables[{}]", meant.index)
        }
        None => format!(
            "in {mapping}, have a rule for the names under which they arrive, such as {arrival}, beside or instead of \
             $.tables[{}]",
            meant.index
        ),
    };
    format!(
        "{ours}; or take the transformation out of the task and name the table in the mapping's destination"
    )
}

/// In JSON's quotes.
fn quoted(pattern: &str) -> String {
    serde_json::Value::String(pattern.to_owned()).to_string()
}
