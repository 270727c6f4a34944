//! Holds the table mappings of tasks against the mapping that their files fall under.
//!
//! All names there can be are too many, so one is tried for each way in which the rules can tell names apart
//! ([`names_apart`]): that decides every question about overlap and containment exactly. Each name then goes
//! through the task's rules and through the mapping's as DMS and the worker would take it.

use std::collections::{HashMap, HashSet};

use super::arriving::{arriving, is_wide};
use super::difference::{Difference, TableName, Wide};
use super::remark::{Remark, Told};
use super::rule::TaskRule;
use super::task::{Selection, Task, Transformation};
use crate::route::apart::{Change, Effort, TooManyWays, names_apart};
use crate::route::index::ByTable;
use crate::route::{Landing, Pattern, RuleName, TableRule};

/// Every difference between the tasks that write below one landing prefix, all of them together, and its mapping.
pub fn compare(tasks: &[Task], landing: &Landing) -> Vec<Remark> {
    let mut comparison = Comparison::new(tasks, landing);
    if comparison.look_at_all().is_err() {
        let file = tasks.first().map(Task::file).unwrap_or_default();
        return vec![Remark::new(file, "$.rules", &Difference::TooManyWays)];
    }
    let mut remarks = comparison.remarks;
    remarks.extend(tasks.iter().flat_map(|task| look_at_parallel_load(task, landing)));
    sorted(remarks, landing.file())
}

/// What loading in parallel does that the mapping does not expect.
pub(super) fn look_at_parallel_load(task: &Task, landing: &Landing) -> Vec<Remark> {
    let of_ranges = |rule: &TaskRule| {
        let difference = Difference::RangesWithoutNulls { rule: rule.clone() };
        Remark::new(&task.file, rule.path.clone(), &difference)
    };
    let of_folders = |rule: &TaskRule| {
        let mapping = landing.file().to_owned();
        Remark::new(
            &task.file,
            rule.path.clone(),
            &Difference::SegmentFolders { rule: rule.clone(), mapping },
        )
    };
    let are_expected = landing.layout().parallel_load;
    let folders = task.segment_folders.iter().filter(|_| !are_expected);
    task.ranges.iter().map(of_ranges).chain(folders.map(of_folders)).collect()
}

struct Comparison<'c> {
    tasks: &'c [Task],
    landing: &'c Landing,
    /// The rules of the mapping: of those that match, the first decides.
    ours: Vec<TableRule<'c>>,
    by_table: ByTable,
    /// The rules of the mapping that something arrives for.
    reached: HashSet<usize>,
    /// What has arrived under which name: a task's file and the name in S3, and the name at the source.
    arrived: HashMap<(String, TableName), TableName>,
    /// What is said already: a code, the file and the path, and a rule of the other side.
    said: HashSet<(&'static str, String, String, usize)>,
    remarks: Vec<Remark>,
}

/// One name of the source, and the task that may have it.
struct Seen<'c> {
    task: &'c Task,
    includes: Vec<&'c Selection>,
    excludes: Vec<&'c Selection>,
    source_name: TableName,
    arrival: TableName,
}

impl Seen<'_> {
    fn is_selected(&self) -> bool {
        !self.includes.is_empty() && self.excludes.is_empty()
    }
}

impl<'c> Comparison<'c> {
    fn new(tasks: &'c [Task], landing: &'c Landing) -> Self {
        let ours = landing.table_rules_by_precedence();
        Self {
            tasks,
            landing,
            by_table: ByTable::of(ours.iter().map(|rule| rule.table())),
            ours,
            reached: HashSet::new(),
            arrived: HashMap::new(),
            said: HashSet::new(),
            remarks: Vec::new(),
        }
    }

    fn look_at_all(&mut self) -> Result<(), TooManyWays> {
        let mut effort = Effort::default();
        let mut names = Vec::new();
        for schema in names_apart(self.schema_patterns(), &mut effort)? {
            for table in names_apart(self.table_patterns(&schema), &mut effort)? {
                names.push(TableName { schema: schema.clone(), table });
            }
        }
        for name in &names {
            self.look_at(name);
        }
        let unreached: Vec<TableRule<'c>> = self
            .ours
            .iter()
            .filter(|rule| !rule.excludes() && !self.reached.contains(&rule.index()))
            .copied()
            .collect();
        for rule in unreached {
            self.look_at_unreached(rule, &names, &mut effort)?;
        }
        Ok(())
    }

    /// The rule of the mapping that decides about a table.
    fn rule_for(&self, schema: &str, table: &str) -> Option<TableRule<'c>> {
        let mut candidates = self.by_table.candidates(table).into_iter().filter_map(|at| self.ours.get(at));
        candidates.find(|rule| rule.matches(schema, table)).copied()
    }

    /// All that can tell one schema from another.
    fn schema_patterns(&self) -> Vec<(&'c Pattern, Change<'c>)> {
        let mut patterns = Vec::new();
        let mut changes = vec![Change::AsIs];
        for task in self.tasks {
            patterns.extend(task.selections.iter().map(|rule| (&rule.schema, Change::AsIs)));
            patterns.extend(task.transformations.iter().map(|rule| (&rule.schema, Change::AsIs)));
            let of_schemas = task.transformations.iter().filter(|rule| rule.table.is_none());
            changes.extend(of_schemas.map(|rule| rule.renaming.change()));
            patterns.extend(
                task.transformations.iter().filter_map(|rule| Some((rule.renaming.value()?, Change::AsIs))),
            );
        }
        let ours = self.ours.iter();
        patterns.extend(ours.flat_map(|rule| changes.iter().map(|change| (rule.schema(), *change))));
        patterns
    }

    /// All that can tell one table of a schema from another.
    fn table_patterns(&self, schema: &str) -> Vec<(&'c Pattern, Change<'c>)> {
        let mut patterns = Vec::new();
        let mut changes = vec![Change::AsIs];
        let mut spellings = HashSet::from([schema.to_owned()]);
        for task in self.tasks {
            let selections = task.selections.iter().filter(|rule| rule.schema.matches(schema));
            patterns.extend(selections.map(|rule| (&rule.table, Change::AsIs)));
            let renaming = task.transformations.iter().filter(|rule| rule.schema.matches(schema));
            for (rule, table) in renaming.filter_map(|rule| Some((rule, rule.table.as_ref()?))) {
                patterns.push((table, Change::AsIs));
                changes.push(rule.renaming.change());
                patterns.extend(rule.renaming.value().map(|value| (value, Change::AsIs)));
            }
            spellings.insert(task.arrival(schema, "x").schema);
        }
        let ours = self.ours.iter().filter(|rule| spellings.iter().any(|name| rule.schema().matches(name)));
        patterns.extend(ours.flat_map(|rule| changes.iter().map(|change| (rule.table(), *change))));
        patterns
    }

    /// What the tasks and the mapping make of one name of the source.
    fn look_at(&mut self, name: &TableName) {
        let seen: Vec<Seen<'c>> = self.tasks.iter().map(|task| see(task, name)).collect();
        for one in seen.iter().filter(|seen| seen.is_selected()) {
            self.look_at_selected(one);
        }
        if !seen.iter().any(Seen::is_selected) {
            seen.iter().for_each(|one| self.look_at_excluded(one));
        }
        self.look_for_two(&seen);
    }

    fn look_at_selected(&mut self, seen: &Seen<'c>) {
        let Some(selection) = seen.includes.first() else { return };
        let TableName { schema, table } = &seen.source_name;
        let (of_schema, of_table) = seen.task.transforming(schema, table);
        for rules in [&of_schema, &of_table] {
            self.look_at_transformations(seen, rules);
        }
        let by = at_fault(&of_schema, &of_table);
        match of_table.first().or(of_schema.first()) {
            Some(by) => self.look_for_one_name(seen, by),
            None => self.look_for_name_of_other(seen),
        }
        match self.rule_for(&seen.arrival.schema, &seen.arrival.table) {
            Some(rule) if rule.excludes() => {
                let (example, their, file) =
                    (seen.arrival.clone(), selection.rule.clone(), seen.task.file.clone());
                self.say_of_ours(rule, &Difference::ExcludedByMapping { example, rule: their, file });
            }
            Some(rule) => {
                self.reached.insert(rule.index());
            }
            None => self.look_at_unrouted(seen, selection, by),
        }
    }

    fn look_at_unrouted(
        &mut self,
        seen: &Seen<'c>,
        selection: &Selection,
        transformation: Option<&Transformation>,
    ) {
        let TableName { schema, table } = &seen.source_name;
        let meant = self.rule_for(schema, table).filter(|rule| !rule.excludes());
        if let (Some(meant), Some(transformation)) = (meant, transformation) {
            return self.say_renamed(seen, transformation, meant, None);
        }
        let nearest = self.same_but_for_case(&seen.arrival);
        let by_underscore = !means(&selection.schema, schema) || !means(&selection.table, table);
        let (rule, example) = (selection.rule.clone(), seen.arrival.clone());
        let mapping = self.landing.file().to_owned();
        let difference = if is_wide(selection) && nearest.is_none() && !by_underscore {
            Difference::WideUnrouted { rule, example, mapping, wide: self.wide(seen, selection) }
        } else {
            Difference::Unrouted { rule, example, mapping, nearest, by_underscore }
        };
        self.say_of_task(seen.task, &selection.rule, 0, &difference);
    }

    /// What a selection by patterns takes, and what of that the mapping has.
    fn wide(&self, seen: &Seen<'c>, selection: &Selection) -> Wide {
        let is_of_it = |rule: &&TableRule<'c>| {
            !rule.excludes()
                && rule.schema().may_overlap(&selection.schema)
                && rule.table().may_overlap(&selection.table)
        };
        let ours: Vec<&TableRule<'c>> = self.ours.iter().filter(is_of_it).collect();
        let is_one = |rule: &&TableRule<'c>| {
            rule.schema().meant_name().is_some() && rule.table().meant_name().is_some()
        };
        let keeps_names = seen.source_name == seen.arrival;
        Wide {
            schema: selection.schema.meant_name(),
            patterns: (selection.schema.to_string(), selection.table.to_string()),
            rules: ours.len(),
            are_listed: ours.iter().copied().all(|rule| is_one(&rule)),
            fix: arriving(seen.task, &selection.schema, &selection.table),
            mapping_name: keeps_names.then(|| self.landing.mapping_name().to_owned()),
        }
    }

    fn say_renamed(
        &mut self,
        seen: &Seen<'c>,
        by: &Transformation,
        meant: TableRule<'_>,
        taken_by: Option<RuleName>,
    ) {
        // Another task may need the rule as it is.
        let is_alone = self.tasks.len() == 1;
        let fix = arriving(seen.task, meant.schema(), meant.table()).filter(|_| is_alone);
        // One setting renames all tables, and is said once.
        let about = if by.rule.settings_file.is_some() { 0 } else { meant.index() };
        let difference = Difference::Renamed {
            fix,
            rule: by.rule.clone(),
            action: by.action.clone(),
            source_name: seen.source_name.clone(),
            arrival: seen.arrival.clone(),
            meant: meant.name(),
            mapping: self.landing.file().to_owned(),
            taken_by,
        };
        self.say_of_task(seen.task, &by.rule, about, &difference);
    }

    /// A name that no task selects, although one would if it did not exclude it.
    fn look_at_excluded(&mut self, seen: &Seen<'c>) {
        let (Some(_), Some(exclude)) = (seen.includes.first(), seen.excludes.first()) else { return };
        let ours = self.rule_for(&seen.arrival.schema, &seen.arrival.table);
        if let Some(ours) = ours.filter(|rule| !rule.excludes()) {
            let difference = Difference::ExcludedByTask {
                rule: exclude.rule.clone(),
                example: seen.arrival.clone(),
                ours: ours.name(),
                mapping: self.landing.file().to_owned(),
            };
            self.say_of_task(seen.task, &exclude.rule, 0, &difference);
        }
    }

    /// Whether two tasks write one table.
    fn look_for_two(&mut self, seen: &[Seen<'c>]) {
        let mut selected = seen.iter().filter(|seen| seen.is_selected());
        while let Some(first) = selected.next() {
            let Some(second) = selected.clone().find(|other| other.arrival == first.arrival) else {
                continue;
            };
            let (Some(other), Some(selection)) = (first.includes.first(), second.includes.first()) else {
                continue;
            };
            let difference = Difference::SelectedTwice {
                rule: selection.rule.clone(),
                example: first.arrival.clone(),
                other: other.rule.clone(),
                other_file: first.task.file.clone(),
            };
            self.say_of_task(second.task, &selection.rule, 0, &difference);
        }
    }

    fn look_at_transformations(&mut self, seen: &Seen<'c>, rules: &[&Transformation]) {
        let written: Vec<_> = rules.iter().filter(|by| by.rule.settings_file.is_none()).collect();
        if let [first, second, ..] = written.as_slice() {
            let (rule, other, example) = (second.rule.clone(), first.rule.clone(), seen.source_name.clone());
            self.say_of_task(
                seen.task,
                &second.rule,
                0,
                &Difference::TwoTransformations { rule, other, example },
            );
        }
    }

    /// Whether two tables of the source arrive under one name.
    fn look_for_one_name(&mut self, seen: &Seen<'c>, by: &Transformation) {
        let place = (seen.task.file.clone(), seen.arrival.clone());
        let source_name = seen.source_name.clone();
        let earlier = self.arrived.entry(place).or_insert_with(|| source_name.clone()).clone();
        let other = if earlier != source_name { Some(earlier) } else { another(seen, by) };
        if let Some(other) = other {
            let (rule, arrival) = (by.rule.clone(), seen.arrival.clone());
            let difference = Difference::ManyToOne { rule, example: source_name, other, arrival };
            self.say_of_task(seen.task, &by.rule, 0, &difference);
        }
    }

    /// Notes a table that keeps its name, which another may have been given already.
    fn look_for_name_of_other(&mut self, seen: &Seen<'c>) {
        let place = (seen.task.file.clone(), seen.arrival.clone());
        let earlier = self.arrived.insert(place, seen.source_name.clone());
        let Some(earlier) = earlier.filter(|earlier| *earlier != seen.source_name) else { return };
        let (of_schema, of_table) = seen.task.transforming(&earlier.schema, &earlier.table);
        if let Some(by) = of_table.first().or(of_schema.first()) {
            let (rule, other) = (by.rule.clone(), seen.source_name.clone());
            let arrival = seen.arrival.clone();
            let difference = Difference::ManyToOne { rule, example: earlier, other, arrival };
            self.say_of_task(seen.task, &by.rule, 0, &difference);
        }
    }

    /// A rule of the mapping that nothing arrives for: why?
    fn look_at_unreached(
        &mut self,
        rule: TableRule<'c>,
        names: &[TableName],
        effort: &mut Effort,
    ) -> Result<(), TooManyWays> {
        let Some(example) = self.example_of(rule, effort)? else { return Ok(()) };
        let mut excluded_by = None;
        for name in names.iter().filter(|name| rule.matches(&name.schema, &name.table)) {
            for task in self.tasks {
                let seen = see(task, name);
                let (of_schema, of_table) = task.transforming(&name.schema, &name.table);
                if let (true, Some(by)) = (seen.is_selected(), at_fault(&of_schema, &of_table)) {
                    let taken_by =
                        self.rule_for(&seen.arrival.schema, &seen.arrival.table).map(TableRule::name);
                    self.say_renamed(&seen, by, rule, taken_by);
                    return Ok(());
                }
                if !seen.includes.is_empty() && excluded_by.is_none() {
                    excluded_by = seen.excludes.first().map(|exclude| exclude.rule.clone());
                }
            }
        }
        let nearest = self.selection_but_for_case(&example);
        self.say_of_ours(rule, &Difference::NeverSelected { example, excluded_by, nearest });
        Ok(())
    }

    /// A name that a rule of the mapping decides about; none, if others go before it for all of them.
    fn example_of(&self, rule: TableRule<'c>, effort: &mut Effort) -> Result<Option<TableName>, TooManyWays> {
        let decides = |name: &TableName| {
            self.rule_for(&name.schema, &name.table).is_some_and(|it| it.index() == rule.index())
        };
        if let (Some(schema), Some(table)) = (rule.schema().meant_name(), rule.table().meant_name()) {
            let meant = TableName { schema, table };
            if decides(&meant) {
                return Ok(Some(meant));
            }
        }
        let overlapping: Vec<TableRule<'_>> =
            self.ours.iter().filter(|other| other.schema().may_overlap(rule.schema())).copied().collect();
        let schemas = overlapping.iter().map(|other| (other.schema(), Change::AsIs));
        for schema in names_apart(schemas, effort)?.into_iter().filter(|name| rule.schema().matches(name)) {
            let tables = overlapping
                .iter()
                .filter(|other| other.schema().matches(&schema) && other.table().may_overlap(rule.table()))
                .map(|other| (other.table(), Change::AsIs));
            for table in names_apart(tables, effort)? {
                let name = TableName { schema: schema.clone(), table };
                if decides(&name) {
                    return Ok(Some(name));
                }
            }
        }
        Ok(None)
    }

    /// The rule of the mapping that would take a table if case did not count.
    fn same_but_for_case(&self, name: &TableName) -> Option<RuleName> {
        let found = self.ours.iter().find(|rule| is_same_but_for_case(rule.schema(), rule.table(), name));
        found.map(|rule| rule.name())
    }

    /// The selection rule that would take a table if case did not count.
    fn selection_but_for_case(&self, name: &TableName) -> Option<TaskRule> {
        let mut rules = self.tasks.iter().flat_map(|task| &task.selections).filter(|rule| !rule.excludes);
        let found = rules.find(|rule| is_same_but_for_case(&rule.schema, &rule.table, name));
        found.map(|rule| rule.rule.clone())
    }

    fn say_of_task(&mut self, task: &Task, rule: &TaskRule, about: usize, difference: &Difference) {
        self.say(rule.settings_file.as_ref().unwrap_or(&task.file), &rule.path, about, difference);
    }

    fn say_of_ours(&mut self, rule: TableRule<'_>, difference: &Difference) {
        self.say(self.landing.file(), &format!("$.tables[{}]", rule.index()), 0, difference);
    }

    /// Says of each rule once what is wrong with it: one example is as good as a hundred.
    fn say(&mut self, file: &str, path: &str, about: usize, difference: &Difference) {
        if self.said.insert((difference.code(), file.to_owned(), path.to_owned(), about)) {
            self.remarks.push(Remark::new(file, path, difference));
        }
    }
}

/// Tasks first, in the order of their files' rules.
fn sorted(mut remarks: Vec<Remark>, of_ours: &str) -> Vec<Remark> {
    // A longer path of the same kind is a higher number.
    remarks.sort_by(|a, b| {
        let key = |remark: &Remark| (remark.file() == of_ours, remark.file().to_owned(), remark.path().len());
        key(a).cmp(&key(b)).then_with(|| a.path().cmp(b.path()))
    });
    remarks
}

/// The transformation that is most likely at fault: settings rename everything, and a rule what it names.
fn at_fault<'t>(
    of_schema: &[&'t Transformation],
    of_table: &[&'t Transformation],
) -> Option<&'t Transformation> {
    let by_settings = of_schema.first().filter(|by| by.rule.settings_file.is_some());
    by_settings.or(of_table.first()).or(of_schema.first()).copied()
}

fn see<'c>(task: &'c Task, name: &TableName) -> Seen<'c> {
    let (includes, excludes) = task.selecting(&name.schema, &name.table);
    let arrival = task.arrival(&name.schema, &name.table).into();
    Seen { task, includes, excludes, source_name: name.clone(), arrival }
}

/// Whether a pattern matches a name by what it most likely means: `_` as an underscore.
fn means(pattern: &Pattern, name: &str) -> bool {
    let spoken = pattern.as_str().replace("[_]", "_").replace('_', "[_]");
    Pattern::parse(&spoken).map_or(true, |pattern| pattern.matches(name))
}

/// Whether patterns would match a table if case did not count, and do not as it does.
fn is_same_but_for_case(schema: &Pattern, table: &Pattern, name: &TableName) -> bool {
    let would = |pattern: &Pattern, name: &str| {
        let lower = Pattern::parse(&pattern.as_str().to_lowercase());
        lower.is_ok_and(|pattern| pattern.matches(&name.to_lowercase()))
    };
    let does = schema.matches(&name.schema) && table.matches(&name.table);
    !does && would(schema, &name.schema) && would(table, &name.table)
}

/// Another table of the source that the same rule gives the same name. `rename` does so to all that it matches.
fn another(seen: &Seen<'_>, by: &Transformation) -> Option<TableName> {
    by.renaming.value()?;
    let TableName { schema, table } = &seen.source_name;
    let is_alike = |other: &TableName| {
        *other != seen.source_name
            && seen.task.selects(&other.schema, &other.table)
            && TableName::from(seen.task.arrival(&other.schema, &other.table)) == seen.arrival
    };
    let of_table = alike(table).into_iter().map(|table| TableName { schema: schema.clone(), table });
    let of_schema = alike(schema).into_iter().map(|schema| TableName { schema, table: table.clone() });
    of_table.chain(of_schema).find(is_alike)
}

/// Names that a pattern with a wildcard is likely to match as well: longer ones, and those that differ in one character.
fn alike(name: &str) -> Vec<String> {
    let mut names = vec![format!("{name}x"), format!("{name}1"), format!("x{name}")];
    for (at, old) in name.char_indices() {
        for new in ['x', 'y', '1'] {
            let (before, after) = name.split_at(at);
            let after = after.strip_prefix(old).unwrap_or_default();
            names.push(format!("{before}{new}{after}"));
        }
    }
    names
}
