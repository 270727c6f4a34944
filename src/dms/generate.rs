//! Writes a task's table mappings from a mapping.
//!
//! A rule of the mapping becomes one selection rule with the very same patterns, in the same order: both sides match names
//! alike, and on both sides an exclude wins, so what the task selects is what the mapping loads. Which of several rules
//! is the most specific decides where a table goes, not whether it comes, and has no counterpart.

use std::collections::{BTreeMap, HashSet};

use serde::Serialize;
use serde_json::value::RawValue;
use sha2::{Digest, Sha256};

use super::compare::look_at_parallel_load;
use super::fault::Fault;
use super::node::Node;
use super::remark::{Level, Remark, Told};
use super::task::{self, Selection, Task};
use crate::route::{Landing, Pattern};

/// The smallest rule-id that is given, and how many there are from there on: nine digits, as the console has them.
const FIRST_ID: u64 = 100_000_000;
const IDS: u64 = 900_000_000;

/// What to write besides the selection.
#[derive(Debug, Clone, Copy, Default)]
pub struct Extras {
    /// A column with the sequence of changes, by which changes of one moment can be put in order.
    pub change_sequence: bool,
    /// Columns with the key as it was before an update.
    pub before_image_keys: bool,
}

/// Table mappings, and what they do not say.
#[derive(Debug)]
pub struct Generated {
    /// The JSON, with a line break at its end.
    pub text: String,
    /// What could not be said, or was left out.
    pub remarks: Vec<Remark>,
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
enum Unsaid {
    #[error("{mapping} loads no table, and a task needs one rule that includes")]
    NothingToSelect { mapping: String },
    #[error(
        "{rule} of the task changes names (`{action}`), and {mapping} has the names that arrive: the source's cannot be told from them"
    )]
    RenamesKept { rule: String, action: String, mapping: String },
    #[error("{mapping} says `parallel_load`, which only rules for single tables can tell DMS")]
    ParallelLoad { mapping: String },
    #[error("{rule} ({action} `{schema}.{table}`) is not of the mapping and was left out")]
    LeftOut { rule: String, action: &'static str, schema: String, table: String },
}

impl Told for Unsaid {
    fn level(&self) -> Level {
        match self {
            Self::NothingToSelect { .. } | Self::RenamesKept { .. } => Level::Error,
            Self::ParallelLoad { .. } | Self::LeftOut { .. } => Level::Warning,
        }
    }

    fn code(&self) -> &'static str {
        match self {
            Self::NothingToSelect { .. } => "dms.nothing_to_select",
            Self::RenamesKept { .. } => "dms.renames_kept",
            Self::ParallelLoad { .. } => "dms.parallel_load_unsaid",
            Self::LeftOut { .. } => "dms.left_out",
        }
    }

    fn remedy(&self) -> String {
        match self {
            Self::NothingToSelect { .. } => "add a rule to the mapping's tables".to_owned(),
            Self::RenamesKept { .. } => {
                "take the transformation out of the task and name the table in the mapping's destination; or keep it, write \
                 the selection rules yourself, and let `dms2bq check --dms` compare them"
                    .to_owned()
            }
            Self::ParallelLoad { .. } => {
                "write table-settings rules into a file and give it with --keep; they are taken over as they are".to_owned()
            }
            Self::LeftOut { .. } => "if it is wanted, add it to the mapping".to_owned(),
        }
    }
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
struct SelectionRule<'p> {
    rule_type: &'static str,
    rule_id: String,
    rule_name: String,
    object_locator: Locator<'p>,
    rule_action: &'static str,
    filters: [(); 0],
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
struct Locator<'p> {
    schema_name: &'p str,
    table_name: &'p str,
}

/// Where a document has the rules of its one task, each as it is written.
#[derive(Default, serde::Deserialize)]
#[serde(default)]
struct Described {
    rules: Vec<Box<RawValue>>,
    #[serde(rename = "ReplicationTasks")]
    tasks: Vec<Self>,
    #[serde(rename = "ReplicationTask")]
    task: Option<Box<Self>>,
    #[serde(rename = "TableMappings")]
    mappings: Option<Box<RawValue>>,
}

impl Described {
    fn rules_of(text: &str) -> Result<Vec<Box<RawValue>>, serde_json::Error> {
        let described: Self = serde_json::from_str(text)?;
        if let Some(mappings) = &described.mappings {
            // The AWS CLI prints them as text; who took that apart has them as they are.
            let text: Option<String> = serde_json::from_str(mappings.get()).ok();
            return Self::rules_of(text.as_deref().unwrap_or(mappings.get()));
        }
        let within = described.tasks.into_iter().chain(described.task.map(|task| *task));
        let of_task = within.filter_map(|task| task.mappings).next();
        match of_task {
            Some(mappings) => Self::rules_of(&format!("{{\"TableMappings\": {}}}", mappings.get())),
            None => Ok(described.rules),
        }
    }
}

/// Rules that a task has and that are taken over as they are written.
#[derive(Debug, Default)]
pub struct Kept {
    file: String,
    /// Each rule's text, by its path.
    texts: BTreeMap<String, String>,
    task: Option<Task>,
    /// Every rule that selects nothing, in the order of the file.
    others: Vec<String>,
    ids: HashSet<String>,
}

impl Kept {
    /// Reads the table mappings that a task has: `{ "rules": [ … ] }`, or what `aws dms describe-replication-tasks` prints
    /// of it.
    ///
    /// # Errors
    /// All that is wrong with the file.
    pub fn read(file: &str, text: &str) -> Result<Self, Vec<Remark>> {
        // A file of other rules alone is as good: what it selects comes from the mapping.
        let (mut tasks, _) = Task::read_kept(file, text)?;
        let refused = |fault: &Fault| vec![Remark::new(file, "$", fault)];
        if tasks.len() > 1 {
            return Err(refused(&Fault::SeveralTasks { count: tasks.len() }));
        }
        let rules = Described::rules_of(text.strip_prefix('\u{feff}').unwrap_or(text));
        let rules = rules.map_err(|error| refused(&Fault::NotJson { detail: error.to_string() }))?;
        let task = tasks.pop();
        let path = task.as_ref().map(|task| task.rules_path.clone()).unwrap_or_default();
        let mut kept = Self { file: file.to_owned(), task, ..Self::default() };
        for (at, rule) in rules.iter().enumerate() {
            let value: serde_json::Value = serde_json::from_str(rule.get()).unwrap_or_default();
            let node = Node::root(&value, "$");
            kept.ids.extend(node.plain_text("rule-id"));
            kept.texts.insert(format!("{path}[{at}]"), rule.get().to_owned());
            if node.plain_text("rule-type").as_deref() != Some("selection") {
                kept.others.push(rule.get().to_owned());
            }
        }
        Ok(kept)
    }

    fn selections(&self) -> &[Selection] {
        self.task.as_ref().map(|task| task.selections.as_slice()).unwrap_or_default()
    }
}

/// Writes the table mappings of a task that selects exactly what a mapping loads.
///
/// # Errors
/// Why there are none, when the mapping loads nothing or the kept rules change names.
pub fn generate(landing: &Landing, kept: &Kept, extras: Extras) -> Result<Generated, Vec<Remark>> {
    let mapping = landing.file().to_owned();
    let rules = landing.table_rules();
    let mut remarks = Vec::new();
    if rules.iter().all(|rule| rule.excludes()) {
        remarks.push(Remark::new(
            &mapping,
            "$.tables",
            &Unsaid::NothingToSelect { mapping: mapping.clone() },
        ));
    }
    for rule in kept.task.iter().flat_map(|task| &task.transformations) {
        let (told, action) = (rule.rule.to_string(), rule.action.clone());
        let unsaid = Unsaid::RenamesKept { rule: told, action, mapping: mapping.clone() };
        remarks.push(Remark::new(&kept.file, rule.rule.path.clone(), &unsaid));
    }
    if !remarks.is_empty() {
        return Err(remarks);
    }
    let mut ids = kept.ids.clone();
    let mut texts = Vec::new();
    let mut taken_over = HashSet::new();
    let mut written = HashSet::new();
    for rule in rules {
        let (schema, table) = (rule.schema(), rule.table());
        if !written.insert((rule.excludes(), schema.as_str(), table.as_str())) {
            continue;
        }
        match kept.selections().iter().find(|own| says_the_same(own, rule.excludes(), schema, table)) {
            Some(own) => {
                taken_over.insert(own.rule.path.clone());
                texts.extend(kept.texts.get(&own.rule.path).cloned());
            }
            None => texts.push(selection_rule(rule.excludes(), schema, table, &mut ids)),
        }
    }
    texts.extend(kept.others.iter().cloned());
    texts.extend(extra_rules(extras.beside(&kept.others), &mut ids));
    let is_taken_over = |own: &&Selection| taken_over.contains(&own.rule.path);
    let of_filters = task::filtered(kept.selections().iter().filter(is_taken_over));
    remarks.extend(of_filters.map(|(path, fault)| Remark::new(&kept.file, path, &fault)));
    remarks.extend(left_out(kept, &taken_over));
    let parallel = kept.task.iter().flat_map(|task| look_at_parallel_load(task, landing));
    remarks.extend(parallel.map(Remark::into_warning));
    if landing.layout().parallel_load && kept.task.as_ref().is_none_or(|task| task.segment_folders.is_empty())
    {
        remarks.push(Remark::new(
            &mapping,
            "$.source.parallel_load",
            &Unsaid::ParallelLoad { mapping: mapping.clone() },
        ));
    }
    Ok(Generated { text: document(&texts), remarks })
}

/// Whether a rule of the task says what a rule of the mapping says. Then it stays, with its id, its filters and its load order.
fn says_the_same(own: &Selection, excludes: bool, schema: &Pattern, table: &Pattern) -> bool {
    let is_same = |a: &Pattern, b: &Pattern| {
        a.as_str() == b.as_str() && a.is_literal() == b.is_literal()
            || a.is_literal() && b.is_literal() && a.spoken() == b.spoken()
    };
    own.excludes == excludes && is_same(&own.schema, schema) && is_same(&own.table, table)
}

fn left_out(kept: &Kept, taken_over: &HashSet<String>) -> Vec<Remark> {
    let missing = kept.selections().iter().filter(|own| !taken_over.contains(&own.rule.path));
    let remark = |own: &Selection| {
        let unsaid = Unsaid::LeftOut {
            rule: own.rule.to_string(),
            action: if own.excludes { "excludes" } else { "includes" },
            schema: own.schema.to_string(),
            table: own.table.to_string(),
        };
        Remark::new(&kept.file, own.rule.path.clone(), &unsaid)
    };
    missing.map(remark).collect()
}

fn selection_rule(excludes: bool, schema: &Pattern, table: &Pattern, ids: &mut HashSet<String>) -> String {
    let rule_action = if excludes { "exclude" } else { "include" };
    let rule_id = new_id(&[rule_action, schema.as_str(), table.as_str()], ids);
    let object_locator = Locator { schema_name: schema.as_str(), table_name: table.as_str() };
    let rule = SelectionRule {
        rule_type: "selection",
        rule_name: rule_id.clone(),
        rule_id,
        object_locator,
        rule_action,
        filters: [],
    };
    serde_json::to_string_pretty(&rule).unwrap_or_default()
}

/// An id made from what the rule says, so that a rule keeps its id while others come and go.
fn new_id(content: &[&str], ids: &mut HashSet<String>) -> String {
    let digest = Sha256::digest(content.join("\0"));
    let number = digest.iter().take(8).fold(0_u64, |number, byte| number << 8 | u64::from(*byte));
    let mut id = number % IDS;
    while !ids.insert((FIRST_ID + id).to_string()) {
        id = (id + 1) % IDS;
    }
    (FIRST_ID + id).to_string()
}

/// Rules about columns, which no mapping speaks of.
impl Extras {
    /// What is still to be added where these rules are kept: what they say already, a second run must not say again.
    fn beside(self, kept_rules: &[String]) -> Self {
        let says = |is_said: &dyn Fn(&serde_json::Value) -> bool| {
            kept_rules.iter().filter_map(|text| serde_json::from_str(text).ok()).any(|rule| is_said(&rule))
        };
        let adds_sequence = |rule: &serde_json::Value| {
            rule["rule-action"] == "add-column"
                && rule["expression"].as_str().is_some_and(|text| text.contains("$AR_H_CHANGE_SEQ"))
        };
        let adds_images = |rule: &serde_json::Value| rule["rule-action"] == "add-before-image-columns";
        Self {
            change_sequence: self.change_sequence && !says(&adds_sequence),
            before_image_keys: self.before_image_keys && !says(&adds_images),
        }
    }
}

fn extra_rules(extras: Extras, ids: &mut HashSet<String>) -> Vec<String> {
    let mut rule = |action: &str, rest: &str| {
        let id = new_id(&[action], ids);
        format!(
            "{{\n  \"rule-type\": \"transformation\",\n  \"rule-id\": \"{id}\",\n  \"rule-name\": \"{id}\",\n  \
             \"rule-target\": \"column\",\n  \"object-locator\": {{\n    \"schema-name\": \"%\",\n    \
             \"table-name\": \"%\"\n  }},\n  \"rule-action\": \"{action}\",\n{rest}\n}}"
        )
    };
    let mut texts = Vec::new();
    if extras.change_sequence {
        texts.push(rule(
            "add-column",
            "  \"value\": \"AR_H_CHANGE_SEQ\",\n  \"expression\": \"$AR_H_CHANGE_SEQ\",\n  \
             \"data-type\": {\n    \"type\": \"string\",\n    \"length\": 35\n  }",
        ));
    }
    if extras.before_image_keys {
        texts.push(rule(
            "add-before-image-columns",
            "  \"before-image-def\": {\n    \"column-prefix\": \"BI_\",\n    \"column-suffix\": \"\",\n    \
             \"column-filter\": \"pk-only\"\n  }",
        ));
    }
    texts
}

/// The rules as one document. Kept ones stay as they are, and so each line of them in a diff.
fn document(rules: &[String]) -> String {
    let indented = |rule: &String| {
        let is_own = rule.starts_with("{\n  \"rule-type\"");
        let text = if is_own { rule.replace('\n', "\n    ") } else { rule.clone() };
        format!("    {text}")
    };
    let rules: Vec<String> = rules.iter().map(indented).collect();
    format!("{{\n  \"rules\": [\n{}\n  ]\n}}\n", rules.join(",\n"))
}
