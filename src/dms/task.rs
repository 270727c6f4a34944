//! A task's table mappings: which tables DMS selects, and under which names they arrive.

use std::collections::HashMap;

use serde_json::Value;

use super::fault::Fault;
use super::node::{Node, Reader, described, shortened};
use super::remark::Remark;
use super::rule::TaskRule;
use super::settings::{self, TargetSchema};
use super::words;
use crate::route::Pattern;
use crate::route::apart::Change;
use crate::route::index::ByTable;

/// A selection rule.
#[derive(Debug, Clone)]
pub struct Selection {
    pub(super) rule: TaskRule,
    pub(super) excludes: bool,
    pub(super) schema: Pattern,
    pub(super) table: Pattern,
    /// Whether it leaves out rows.
    is_filtered: bool,
}

impl Selection {
    pub(super) fn matches(&self, schema: &str, table: &str) -> bool {
        self.schema.matches(schema) && self.table.matches(table)
    }
}

/// What a transformation makes of a name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Renaming {
    /// One name for whatever it was, as the pattern that matches it alone.
    To(Pattern),
    Lowercase,
    Uppercase,
    Prefix {
        old: String,
        new: String,
    },
    Suffix {
        old: String,
        new: String,
    },
}

impl Renaming {
    pub(super) fn of(&self, name: &str) -> String {
        match self {
            Self::To(value) => value.as_str().to_owned(),
            changing => changing.change().of(name),
        }
    }

    /// How it changes a name, apart from replacing it.
    pub(super) fn change(&self) -> Change<'_> {
        match self {
            Self::To(_) => Change::AsIs,
            Self::Lowercase => Change::Lowercase,
            Self::Uppercase => Change::Uppercase,
            Self::Prefix { old, new } => Change::Prefix { old, new },
            Self::Suffix { old, new } => Change::Suffix { old, new },
        }
    }

    /// The name that it gives to whatever it matches.
    pub(super) fn value(&self) -> Option<&Pattern> {
        match self {
            Self::To(value) => Some(value),
            Self::Lowercase | Self::Uppercase | Self::Prefix { .. } | Self::Suffix { .. } => None,
        }
    }
}

/// A transformation of the names of schemas or tables.
#[derive(Debug, Clone)]
pub struct Transformation {
    pub(super) rule: TaskRule,
    pub(super) action: String,
    pub(super) schema: Pattern,
    /// The tables whose names it changes; `None` if it changes the schema's.
    pub(super) table: Option<Pattern>,
    pub(super) renaming: Renaming,
}

/// How a selected table arrives in S3.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Arrival {
    /// The name of the schema's folder.
    pub schema: String,
    /// The name of the table's folder.
    pub table: String,
}

/// The table mappings of one task.
#[derive(Debug, Clone)]
pub struct Task {
    pub(super) file: String,
    /// Where it stands, if it has a description; what the description says of it beside the mappings.
    pub(super) path: String,
    /// Where its rules stand.
    pub(super) rules_path: String,
    pub(super) identifier: Option<String>,
    pub(super) target_arn: Option<String>,
    has_settings: bool,
    pub(super) selections: Vec<Selection>,
    by_table: ByTable,
    pub(super) transformations: Vec<Transformation>,
    /// Rules for loading tables in parts that leave out rows: `parallel-load` by ranges.
    pub(super) ranges: Vec<TaskRule>,
    /// Rules for loading tables in folders of their own per segment.
    pub(super) segment_folders: Vec<TaskRule>,
}

impl Task {
    /// Reads table mappings as DMS keeps them, or each task's of what `aws dms describe-replication-tasks`
    /// prints. `escape` is the character that makes the next one stand for itself, if the source endpoint
    /// has an `escapeCharacter`.
    ///
    /// # Errors
    /// All that is wrong with the file.
    pub fn read(
        file: &str,
        text: &str,
        escape: Option<char>,
    ) -> Result<(Vec<Self>, Vec<Remark>), Vec<Remark>> {
        read_but_for(file, text, escape, "dms.unknown_rule_type")
    }

    /// The same for rules that are to be taken over: they need not select anything, and each has to be understood.
    pub(super) fn read_kept(file: &str, text: &str) -> Result<(Vec<Self>, Vec<Remark>), Vec<Remark>> {
        read_but_for(file, text, None, "dms.selects_nothing")
    }

    /// Has the task rename by the `TargetSchema` of settings in another file, unless it has settings of its own.
    pub fn take_target_schema(&mut self, target: &TargetSchema) {
        if !self.has_settings {
            self.rename_schemas(target);
        }
    }

    /// Behind all others: a schema that a rule renames keeps the rule's name, says the user guide.
    fn rename_schemas(&mut self, target: &TargetSchema) {
        if let (Ok(schema), Ok(value)) = (Pattern::parse("%"), Pattern::literal(&target.schema)) {
            let rule = TaskRule {
                path: target.path.clone(),
                id: "TargetSchema".to_owned(),
                name: String::new(),
                settings_file: Some(target.file.clone()),
            };
            let (action, renaming) = (target.schema.clone(), Renaming::To(value));
            self.transformations.push(Transformation { rule, action, schema, table: None, renaming });
        }
    }

    /// Whether what is said at a path of its file is about this task.
    pub fn is_at(&self, path: &str) -> bool {
        path.strip_prefix(&self.path).is_some_and(|rest| rest.starts_with('.'))
    }

    /// The file that it was read from.
    pub fn file(&self) -> &str {
        &self.file
    }

    /// The rules that include a table, and those that exclude it.
    pub(super) fn selecting(&self, schema: &str, table: &str) -> (Vec<&Selection>, Vec<&Selection>) {
        let candidates = self.by_table.candidates(table).into_iter().filter_map(|at| self.selections.get(at));
        candidates.filter(|rule| rule.matches(schema, table)).partition(|rule| !rule.excludes)
    }

    /// Whether a table of the source is selected. An exclude wins.
    pub fn selects(&self, schema: &str, table: &str) -> bool {
        let (includes, excludes) = self.selecting(schema, table);
        !includes.is_empty() && excludes.is_empty()
    }

    /// The transformations of the schema's name, and of the table's. DMS takes one for each object at most; where
    /// a file has more, the first counts here, and the comparison says so.
    pub(super) fn transforming(
        &self,
        schema: &str,
        table: &str,
    ) -> (Vec<&Transformation>, Vec<&Transformation>) {
        let matching = self.transformations.iter().filter(|rule| {
            rule.schema.matches(schema) && rule.table.as_ref().is_none_or(|pattern| pattern.matches(table))
        });
        matching.partition(|rule| rule.table.is_none())
    }

    /// Under which names the files of a selected table arrive.
    pub fn arrival(&self, schema: &str, table: &str) -> Arrival {
        let (of_schema, of_table) = self.transforming(schema, table);
        let renamed = |rules: &[&Transformation], name: &str| match rules.first() {
            Some(rule) => rule.renaming.of(name),
            None => name.to_owned(),
        };
        Arrival { schema: renamed(&of_schema, schema), table: renamed(&of_table, table) }
    }
}

/// Reads tasks; an error stands in the way, but for the one of that code.
fn read_but_for(
    file: &str,
    text: &str,
    escape: Option<char>,
    code: &str,
) -> Result<(Vec<Task>, Vec<Remark>), Vec<Remark>> {
    let mut reader = Reader::new(file);
    let tasks = read_document(&mut reader, text, escape);
    let is_fatal = |remark: &Remark| remark.level() == super::Level::Error && remark.code() != code;
    match tasks {
        Some(tasks) if !reader.remarks.iter().any(is_fatal) => Ok((tasks, reader.remarks)),
        _ => Err(reader.remarks),
    }
}

fn read_document(reader: &mut Reader<'_>, text: &str, escape: Option<char>) -> Option<Vec<Task>> {
    let json = reader.document(text, "$")?;
    let top = Node::root(&json, "$");
    if let Some(rules) = top.field("rules") {
        return read_rules(reader, &rules, escape).map(|task| vec![task]);
    }
    let listed = top.field("ReplicationTasks").map(|tasks| tasks.items());
    if listed.as_ref().is_some_and(Vec::is_empty) {
        reader.report("$.ReplicationTasks", &Fault::NothingListed { list: "ReplicationTasks" });
        return None;
    }
    let one = top.field("ReplicationTask").into_iter().chain([top.clone()]);
    let holders: Vec<Node<'_>> = listed
        .unwrap_or_default()
        .into_iter()
        .chain(one)
        .filter(|task| task.field("TableMappings").is_some())
        .collect();
    if holders.is_empty() {
        reader.report("$", &Fault::AnotherShape { sought: "table mappings", found: described(&json) });
        return None;
    }
    holders.iter().map(|holder| read_embedded(reader, holder, escape)).collect()
}

/// Table mappings inside a task's description, where they are JSON in a string.
fn read_embedded(reader: &mut Reader<'_>, holder: &Node<'_>, escape: Option<char>) -> Option<Task> {
    let at = holder.field("TableMappings")?;
    let embedded = match at.json {
        Value::String(text) => reader.document(text, &at.path)?,
        other => other.clone(),
    };
    let top = Node::root(&embedded, &at.path);
    match top.field("rules") {
        Some(rules) => {
            let mut task = read_rules(reader, &rules, escape)?;
            task.path.clone_from(&holder.path);
            task.identifier = holder.plain_text("ReplicationTaskIdentifier");
            task.target_arn = holder.plain_text("TargetEndpointArn");
            task.has_settings = holder.field("ReplicationTaskSettings").is_some();
            if let Some(target) = settings::target_schema_of(reader.file, holder) {
                task.rename_schemas(&target);
            }
            Some(task)
        }
        None => {
            reader.report(
                &at.path,
                &Fault::AnotherShape { sought: "table mappings", found: described(&embedded) },
            );
            None
        }
    }
}

fn read_rules(reader: &mut Reader<'_>, rules: &Node<'_>, escape: Option<char>) -> Option<Task> {
    if !rules.json.is_array() {
        reader.wrong_type(rules, "a list of rules");
        return None;
    }
    let mut task = Task {
        file: reader.file.to_owned(),
        path: rules.path.clone(),
        rules_path: rules.path.clone(),
        identifier: None,
        target_arn: None,
        has_settings: false,
        selections: Vec::new(),
        by_table: ByTable::default(),
        transformations: Vec::new(),
        ranges: Vec::new(),
        segment_folders: Vec::new(),
    };
    let mut ids: HashMap<String, String> = HashMap::new();
    for node in rules.items() {
        if reader.object(&node).is_none() {
            continue;
        }
        let rule = TaskRule {
            path: node.path.clone(),
            id: node.plain_text("rule-id").unwrap_or_else(|| "without an id".to_owned()),
            name: node.plain_text("rule-name").unwrap_or_default(),
            settings_file: None,
        };
        if let Some(other) =
            node.field("rule-id").and_then(|_| ids.insert(rule.id.clone(), rule.path.clone()))
        {
            reader.report(&node.path, &Fault::DuplicateId { id: shortened(&rule.id), other });
        }
        match reader.required_text(&node, "rule-type") {
            Some("selection") => task.selections.extend(read_selection(reader, &node, rule, escape)),
            Some("transformation") => {
                task.transformations.extend(read_transformation(reader, &node, rule, escape));
            }
            Some("table-settings") => read_table_settings(&node, rule, &mut task),
            // Object mappings, post-processing and the like change no names.
            Some(other) if !words::RULE_TYPES.contains(&other) => {
                reader.report(&format!("{}['rule-type']", node.path), &words::unknown_rule_type(other));
            }
            Some(_) | None => {}
        }
    }
    if let Some((path, fault)) = filtered(task.selections.iter()) {
        reader.report(&path, &fault);
    }
    task.by_table = ByTable::of(task.selections.iter().map(|rule| &rule.table));
    if !reader.remarks.iter().any(|remark| remark.level() == super::Level::Error)
        && task.selections.iter().all(|rule| rule.excludes)
    {
        reader.report(&rules.path, &Fault::SelectsNothing);
    }
    Some(task)
}

/// What to say of rules that leave out rows, and where; all at once, since a task that has one often has one for each table.
pub(super) fn filtered<'s>(selections: impl Iterator<Item = &'s Selection>) -> Option<(String, Fault)> {
    let mut filtered = selections.filter(|rule| rule.is_filtered && !rule.excludes);
    let first = filtered.next()?;
    let table = shortened(&format!("{}.{}", first.schema, first.table));
    let fault = Fault::Filtered { rule: first.rule.to_string(), table, others: filtered.count() };
    Some((format!("{}.filters", first.rule.path), fault))
}

fn read_selection(
    reader: &mut Reader<'_>,
    node: &Node<'_>,
    rule: TaskRule,
    escape: Option<char>,
) -> Option<Selection> {
    let action = reader.required_text(node, "rule-action")?;
    let is_explicit = action == "explicit";
    if !matches!(action, "include" | "exclude" | "explicit") {
        reader.report(&node.path, &words::unknown_action(action, &words::SELECTION_ACTIONS));
        return None;
    }
    let mut read = |field| match is_explicit {
        true => read_literal(reader, node, field),
        false => read_pattern(reader, node, field, escape),
    };
    let (schema, table) = (read("schema-name"), read("table-name"));
    let is_filtered = node.field("filters").is_some_and(|filters| !filters.items().is_empty());
    Some(Selection { rule, excludes: action == "exclude", schema: schema?, table: table?, is_filtered })
}

fn located<'j>(reader: &mut Reader<'_>, node: &Node<'j>, field: &'static str) -> Option<(&'j str, String)> {
    let Some(locator) = node.field("object-locator") else {
        reader.report(&node.path, &Fault::MissingField { field: "object-locator" });
        return None;
    };
    let given = reader.required_text(&locator, field)?;
    Some((given, format!("{}['{field}']", locator.path)))
}

fn read_pattern(
    reader: &mut Reader<'_>,
    node: &Node<'_>,
    field: &'static str,
    escape: Option<char>,
) -> Option<Pattern> {
    let (given, path) = located(reader, node, field)?;
    let parsed = Pattern::parse(&unescaped(given, escape));
    or_report(reader, parsed, given, &path)
}

/// The name of an `explicit` rule, in which `_` stands for itself. A `%` there is most likely meant as one, and matches nothing.
fn read_literal(reader: &mut Reader<'_>, node: &Node<'_>, field: &'static str) -> Option<Pattern> {
    let (given, path) = located(reader, node, field)?;
    if given.contains('%') {
        reader.report(&path, &Fault::ExplicitWildcard { given: shortened(given) });
        return None;
    }
    // `[_]` is how people write an underscore for DMS; in an explicit rule it can only mean the same.
    let parsed = Pattern::literal(&given.replace("[_]", "_"));
    or_report(reader, parsed, given, &path)
}

fn or_report(
    reader: &mut Reader<'_>,
    parsed: Result<Pattern, crate::route::BadPattern>,
    given: &str,
    path: &str,
) -> Option<Pattern> {
    match parsed {
        Ok(pattern) => Some(pattern),
        Err(reason) => {
            reader.report(path, &Fault::BadPattern { given: shortened(given), reason });
            None
        }
    }
}

/// The pattern without escapes: `TEST#_T%` with `#` is `TEST[_]T%`.
fn unescaped(given: &str, escape: Option<char>) -> String {
    let Some(escape) = escape else { return given.to_owned() };
    let mut pattern = String::new();
    let mut chars = given.chars();
    while let Some(c) = chars.next() {
        match (c == escape).then(|| chars.next()) {
            None => pattern.push(c),
            Some(Some(wild @ ('%' | '_' | '['))) => pattern.extend(['[', wild, ']']),
            Some(Some(other)) => pattern.push(other),
            Some(None) => pattern.push(escape),
        }
    }
    pattern
}

/// A transformation of names; `None` for those of columns and tablespaces, and for actions that leave names alone.
fn read_transformation(
    reader: &mut Reader<'_>,
    node: &Node<'_>,
    rule: TaskRule,
    escape: Option<char>,
) -> Option<Transformation> {
    let target = reader.required_text(node, "rule-target")?;
    if !words::TARGETS.contains(&target) {
        reader.report(&node.path, &words::unknown_target(target));
        return None;
    }
    let action = reader.required_text(node, "rule-action")?;
    if !words::is_transformation(action) {
        reader.report(&node.path, &words::unknown_action(action, &words::TRANSFORMATION_ACTIONS));
        return None;
    }
    if !matches!(target, "schema" | "table") {
        return None;
    }
    let renaming = match action {
        "rename" => {
            let value = reader.required_text(node, "value")?;
            let literal = Pattern::literal(value);
            Renaming::To(or_report(reader, literal, value, &format!("{}.value", node.path))?)
        }
        "convert-lowercase" => Renaming::Lowercase,
        "convert-uppercase" => Renaming::Uppercase,
        "add-prefix" | "remove-prefix" | "replace-prefix" => {
            let (old, new) = read_parts(reader, node, action)?;
            Renaming::Prefix { old, new }
        }
        "add-suffix" | "remove-suffix" | "replace-suffix" => {
            let (old, new) = read_parts(reader, node, action)?;
            Renaming::Suffix { old, new }
        }
        _ => return None,
    };
    let schema = read_pattern(reader, node, "schema-name", escape);
    let table = match target {
        "table" => Some(read_pattern(reader, node, "table-name", escape)?),
        _ => None,
    };
    Some(Transformation { rule, action: action.to_owned(), schema: schema?, table, renaming })
}

/// What is taken away and what is put there, for an action on prefixes or suffixes.
fn read_parts(reader: &mut Reader<'_>, node: &Node<'_>, action: &str) -> Option<(String, String)> {
    let value = reader.required_text(node, "value")?.to_owned();
    Some(match action.split_once('-') {
        Some(("add", _)) => (String::new(), value),
        Some(("remove", _)) => (value, String::new()),
        _ => (reader.required_text(node, "old-value")?.to_owned(), value),
    })
}

fn read_table_settings(node: &Node<'_>, rule: TaskRule, task: &mut Task) {
    let Some(parallel) = node.field("parallel-load") else { return };
    let kind = parallel.plain_text("type").unwrap_or_default();
    match kind.as_str() {
        "ranges" => {
            if parallel.field("segment-names").is_some() {
                task.segment_folders.push(rule.clone());
            }
            task.ranges.push(rule);
        }
        "partitions-auto" | "partitions-list" | "subpartitions-auto" => task.segment_folders.push(rule),
        _ => {}
    }
}
