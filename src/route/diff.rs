//! What differs between two sets of mappings: by what becomes of tables, not by how the files are written.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use super::apart::TooManyWays;
use super::mapping::{Action, Matcher, Rule, Target};
use super::resolve::Specificity;
use super::ways::{Side, Way, ways};
use super::{Landing, Partition, Pattern, TableOptions};

/// Rules of the other side that are named beside a pattern which it does not have.
const OTHERS_SHOWN: usize = 3;

/// What differs, mapping by mapping; those that do not differ are not in it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MappingsDiff {
    /// By landing prefix.
    pub mappings: Vec<MappingDiff>,
}

/// What differs in one landing prefix.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MappingDiff {
    /// The mapping's name, as it is now if it is there still.
    pub mapping: String,
    /// The landing prefix as an address, as it is now if it is there still.
    pub landing: String,
    /// What became of the mapping as a whole.
    pub change: MappingChange,
    /// What the mapping says of the source.
    pub settings: Vec<SettingChange>,
    /// What becomes of tables.
    pub tables: Vec<TableChange>,
    /// Whether that holds of every name there can be. If not, the patterns overlap in too many ways to try them all, and
    /// only what each rule says by itself was compared.
    pub is_exact: bool,
}

/// What became of a mapping as a whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MappingChange {
    /// Its landing prefix was not mapped.
    Added,
    /// Its landing prefix is mapped no longer.
    Removed,
    /// Both sides have it.
    Changed,
}

/// A setting or an option that has another value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SettingChange {
    /// The field, as the mapping spells it.
    pub name: &'static str,
    /// Its value until now.
    pub old: String,
    /// Its value from now on.
    pub new: String,
    /// What follows from that.
    pub consequence: &'static str,
    /// Whether rows may be loaded twice or not at all for it.
    pub is_loud: bool,
}

/// Tables of which something else becomes: those that one rule decides about until now, and one from now on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TableChange {
    /// The tables of the more specific of the two rules, as `schema.table`, with its wildcards.
    pub tables: String,
    /// What kind of change it is.
    pub kind: TableChangeKind,
    /// What became of the tables until now.
    pub old: Effect,
    /// What becomes of them from now on.
    pub new: Effect,
    /// The rule that decides about them until now.
    pub old_rule: Option<String>,
    /// The rule that decides about them from now on.
    pub new_rule: Option<String>,
    /// One of them, as `schema.table`, if the rule is for several.
    pub example: Option<String>,
    /// Options that differ, if they are loaded before and after.
    pub options: Vec<SettingChange>,
}

/// The kinds of changes, each a thing that a person wants to know.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum TableChangeKind {
    /// Loaded from now on; no rule took them.
    Added,
    /// Loaded or excluded until now; no rule takes them any more.
    Removed,
    /// Loaded into another table.
    Rerouted,
    /// Not loaded from now on, on purpose.
    Excluded,
    /// Loaded from now on, and excluded until now.
    Included,
    /// Loaded into the same table in another way.
    Options,
}

impl TableChangeKind {
    /// All kinds, in the order in which they are shown.
    pub const ALL: [Self; 6] =
        [Self::Added, Self::Removed, Self::Rerouted, Self::Excluded, Self::Included, Self::Options];

    /// The kind in a word, for people and programs.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Added => "added",
            Self::Removed => "removed",
            Self::Rerouted => "re-routed",
            Self::Excluded => "excluded",
            Self::Included => "included",
            Self::Options => "options",
        }
    }
}

/// What becomes of the tables of a rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Effect {
    /// They are loaded into this table; placeholders stand for what a wildcard leaves open.
    Loaded(String),
    /// They are not loaded, on purpose.
    Excluded,
    /// No rule is for them: their files are errors.
    Unmapped,
    /// There is no such rule; others match some of them, each with what it does, and the rest are unmapped.
    Others(Vec<String>),
}

impl MappingsDiff {
    /// Compares two sets of mappings.
    pub fn between(old: &[Landing], new: &[Landing]) -> Self {
        let mut mappings: Vec<MappingDiff> = pairs(old, new).into_iter().filter_map(compare).collect();
        mappings.sort_by(|a, b| (&a.mapping, &a.landing).cmp(&(&b.mapping, &b.landing)));
        Self { mappings }
    }

    /// Whether nothing differs.
    pub fn is_empty(&self) -> bool {
        self.mappings.is_empty()
    }

    /// How many rules there are of each kind of change.
    pub fn counts(&self) -> BTreeMap<TableChangeKind, usize> {
        let mut counts = BTreeMap::new();
        for change in self.mappings.iter().flat_map(|mapping| &mapping.tables) {
            *counts.entry(change.kind).or_default() += 1;
        }
        counts
    }
}

/// The two sides of one mapping; at least one of them is there.
type Pair<'m> = (Option<&'m Landing>, Option<&'m Landing>);

/// Brings together what is about the same landing prefix, and of the rest what has the same name: a mapping whose bucket
/// or folder was changed.
fn pairs<'m>(old: &'m [Landing], new: &'m [Landing]) -> Vec<Pair<'m>> {
    let mut left: Vec<&Landing> = old.iter().collect();
    let mut take = |is_it: &dyn Fn(&Landing) -> bool| {
        let found = left.iter().position(|landing| is_it(landing));
        found.map(|index| left.remove(index))
    };
    let mut pairs: Vec<Pair<'m>> = Vec::new();
    let mut unpaired = Vec::new();
    for landing in new {
        match take(&|other| other.address() == landing.address()) {
            Some(other) => pairs.push((Some(other), Some(landing))),
            None => unpaired.push(landing),
        }
    }
    for landing in unpaired {
        pairs.push((take(&|other| other.mapping_name() == landing.mapping_name()), Some(landing)));
    }
    pairs.extend(left.into_iter().map(|landing| (Some(landing), None)));
    pairs
}

fn compare((old, new): Pair<'_>) -> Option<MappingDiff> {
    let shown = new.or(old)?;
    let change = match (old, new) {
        (None, _) => MappingChange::Added,
        (_, None) => MappingChange::Removed,
        (Some(_), Some(_)) => MappingChange::Changed,
    };
    let settings = match (old, new) {
        (Some(old), Some(new)) => settings(old, new),
        (_, None) | (None, _) => Vec::new(),
    };
    let (tables, is_exact) = tables(old, new);
    if change == MappingChange::Changed && settings.is_empty() && tables.is_empty() && is_exact {
        return None;
    }
    let (mapping, landing) = (shown.mapping_name().to_owned(), shown.address());
    Some(MappingDiff { mapping, landing, change, settings, tables, is_exact })
}

// ---- settings of the source ----

const READS_ELSEWHERE: &str =
    "files below the old place are errors from now on (`route.unmapped`), unless another mapping names it";
const OTHER_KEYS: &str =
    "compare with the DMS endpoint: files whose keys do not fit are errors (`key.not_dms`)";

fn settings(old: &Landing, new: &Landing) -> Vec<SettingChange> {
    let dates = |landing: &Landing| match landing.layout().date_partition {
        Some(folders) => folders.to_string(),
        None => "none".to_owned(),
    };
    let transactions =
        |landing: &Landing| if landing.layout().ignore_transaction_files { "ignore" } else { "errors" };
    let yes = |flag: bool| if flag { "true" } else { "false" }.to_owned();
    let all = [
        (
            "file",
            old.mapping_name().to_owned(),
            new.mapping_name().to_owned(),
            "only the label of jobs and the log's field `mapping` change",
            false,
        ),
        ("bucket and folder", old.address(), new.address(), READS_ELSEWHERE, true),
        ("date_partition", dates(old), dates(new), OTHER_KEYS, true),
        ("timezone", old.timezone().to_owned(), new.timezone().to_owned(), "only how times are shown", false),
        (
            "parallel_load",
            yes(old.layout().parallel_load),
            yes(new.layout().parallel_load),
            OTHER_KEYS,
            false,
        ),
        (
            "transaction_files",
            transactions(old).to_owned(),
            transactions(new).to_owned(),
            "transaction files may be the only copy of changes: they are ignored, or errors that a person sees",
            true,
        ),
        (
            "copies",
            yes(old.allows_copies()),
            yes(new.allows_copies()),
            "a copy made in place loads its rows again",
            true,
        ),
    ];
    let changed = all.into_iter().filter(|(_, old, new, _, _)| old != new);
    changed
        .map(|(name, old, new, consequence, is_loud)| SettingChange { name, old, new, consequence, is_loud })
        .collect()
}

// ---- tables ----

/// The patterns of a rule, as they are written: rules of both sides with the same are the same.
type RuleKey<'m> = (&'m str, &'m str);

/// What becomes of tables, and whether that could be decided for every name.
fn tables(old: Option<&Landing>, new: Option<&Landing>) -> (Vec<TableChange>, bool) {
    let (old_rules, new_rules) = (rules(old), rules(new));
    let (old_side, new_side) = (Side::of(old), Side::of(new));
    let keys: BTreeSet<RuleKey<'_>> = old_rules.keys().chain(new_rules.keys()).copied().collect();
    let mut changes = Vec::new();
    let mut told = HashSet::new();
    let mut patterns = Vec::new();
    for key in keys {
        let (old_rule, new_rule) = (old_rules.get(&key).copied(), new_rules.get(&key).copied());
        let Some(Matcher { schema, table, .. }) = old_rule.or(new_rule).map(|rule| &rule.matcher) else {
            continue;
        };
        let Some((schema, table)) = name_of(schema).zip(name_of(table)) else {
            patterns.push((key, old_rule, new_rule));
            continue;
        };
        let (old_rule, new_rule) = (old_side.find(&schema, &table), new_side.find(&schema, &table));
        // A rule such as `order_item` is for other names as well, which nobody means: the one stands for them.
        if [old_rule, new_rule].into_iter().flatten().any(|rule| key_of(rule) == key) {
            told.insert((index(old_rule), index(new_rule)));
        }
        let name = Names { schema: &schema, table: &table };
        let change = change(at_names(old_rule, name), at_names(new_rule, name));
        changes.extend(change.map(|change| TableChange { tables: shown(key), ..change }));
    }
    let ways = ways(&old_side, &new_side);
    let is_exact = ways.is_ok();
    match ways {
        Ok(ways) => {
            let new_ways = ways.iter().filter(|way| !told.contains(&(index(way.old), index(way.new))));
            changes.extend(new_ways.filter_map(of_way));
        }
        Err(TooManyWays) => changes.extend(patterns.into_iter().filter_map(|(key, old_rule, new_rule)| {
            let patterns = &old_rule.or(new_rule)?.matcher;
            let at = |landing, rule| at_pattern(landing, rule, &patterns.schema, &patterns.table);
            let change = change(at(old, old_rule), at(new, new_rule))?;
            Some(TableChange { tables: shown(key), ..change })
        })),
    }
    changes.sort_by(|a, b| (&a.tables, &a.example).cmp(&(&b.tables, &b.example)));
    (changes, is_exact)
}

/// The rules by their patterns. Of several with the same the first decides, as for a table.
fn rules(landing: Option<&Landing>) -> BTreeMap<RuleKey<'_>, &Rule> {
    let mut rules = BTreeMap::new();
    for rule in landing.into_iter().flat_map(Landing::rules) {
        rules.entry(key_of(rule)).or_insert(rule);
    }
    rules
}

fn key_of(rule: &Rule) -> RuleKey<'_> {
    (rule.matcher.schema.as_str(), rule.matcher.table.as_str())
}

fn shown((schema, table): RuleKey<'_>) -> String {
    format!("{schema}.{table}")
}

fn index(rule: Option<&Rule>) -> Option<usize> {
    rule.map(|rule| rule.matcher.index)
}

/// The one name that whoever wrote a pattern without `%` had in mind: `log_x` for `log[_]x`, and for `log_x`.
fn name_of(pattern: &Pattern) -> Option<String> {
    let spoken = pattern.spoken();
    (!pattern.as_str().contains('%') && pattern.matches(&spoken)).then_some(spoken)
}

/// What changes for the names of which one rule decides until now, and one from now on.
fn of_way(way: &Way<'_>) -> Option<TableChange> {
    let rules = || [way.old, way.new].into_iter().flatten();
    // A name is told if it can be no other; of the rest stands what the destinations say of it.
    let only_one = |pattern: fn(&Rule) -> &Pattern| rules().any(|rule| pattern(rule).is_literal());
    let schema = if only_one(|rule| &rule.matcher.schema) { &way.schema } else { "{schema}" };
    let table = if only_one(|rule| &rule.matcher.table) { &way.table } else { "{table}" };
    let names = Names { schema, table };
    let change = change(at_names(way.old, names), at_names(way.new, names))?;
    let narrower = rules().max_by_key(|rule| Specificity::of(&rule.matcher.schema, &rule.matcher.table))?;
    let example = Some(format!("{}.{}", way.schema, way.table));
    Some(TableChange { tables: shown(key_of(narrower)), example, ..change })
}

/// What becomes of tables, by which rule, and with which options.
struct Fate<'m> {
    effect: Effect,
    rule: Option<String>,
    target: Option<&'m Target>,
}

/// A table's name, or placeholders for what is open.
#[derive(Clone, Copy)]
struct Names<'n> {
    schema: &'n str,
    table: &'n str,
}

/// What becomes of names by the rule that decides about them.
fn at_names<'m>(rule: Option<&'m Rule>, names: Names<'_>) -> Fate<'m> {
    let (effect, target) = match rule.map(|rule| &rule.action) {
        Some(Action::Load(target)) => {
            (Effect::Loaded(destination(target, names.schema, names.table)), Some(target.as_ref()))
        }
        Some(Action::Exclude) => (Effect::Excluded, None),
        None => (Effect::Unmapped, None),
    };
    Fate { effect, rule: rule.map(|rule| shown(key_of(rule))), target }
}

/// What becomes of the tables of a pattern: what its own rule says, or, without one, what others say.
fn at_pattern<'m>(
    landing: Option<&Landing>,
    rule: Option<&'m Rule>,
    schema: &Pattern,
    table: &Pattern,
) -> Fate<'m> {
    match rule {
        Some(_) => at_names(rule, Names { schema: "{schema}", table: "{table}" }),
        None => Fate { effect: others(landing, schema, table), rule: None, target: None },
    }
}

fn others(landing: Option<&Landing>, schema: &Pattern, table: &Pattern) -> Effect {
    let rules = landing.into_iter().flat_map(Landing::rules);
    let meets =
        |rule: &&Rule| rule.matcher.schema.may_overlap(schema) && rule.matcher.table.may_overlap(table);
    let told = |rule: &Rule| {
        let does = match &rule.action {
            Action::Load(target) => destination(target, "{schema}", "{table}"),
            Action::Exclude => "excluded".to_owned(),
        };
        format!("{}: {does}", shown(key_of(rule)))
    };
    let mut meeting = rules.filter(meets);
    let mut others: Vec<String> = meeting.by_ref().take(OTHERS_SHOWN).map(told).collect();
    let more = meeting.count();
    if more > 0 {
        others.push(format!("and {more} more"));
    }
    if others.is_empty() { Effect::Unmapped } else { Effect::Others(others) }
}

fn destination(target: &Target, schema: &str, table: &str) -> String {
    let (dataset, table) = (target.dataset.expand(schema, table), target.table.expand(schema, table));
    format!("{}.{dataset}.{table}", target.project)
}

/// What kind of change it is, if it is one.
fn change(old: Fate<'_>, new: Fate<'_>) -> Option<TableChange> {
    let options = match (old.target, new.target) {
        (Some(old), Some(new)) => options(old, new),
        (_, None) | (None, _) => Vec::new(),
    };
    let kind = match (&old.effect, &new.effect) {
        (Effect::Loaded(from), Effect::Loaded(to)) if from != to => TableChangeKind::Rerouted,
        (Effect::Loaded(_), Effect::Loaded(_)) if options.is_empty() => return None,
        (Effect::Loaded(_), Effect::Loaded(_)) => TableChangeKind::Options,
        (Effect::Excluded, Effect::Loaded(_)) => TableChangeKind::Included,
        (Effect::Unmapped | Effect::Others(_), Effect::Loaded(_)) => TableChangeKind::Added,
        (Effect::Loaded(_) | Effect::Unmapped | Effect::Others(_), Effect::Excluded) => {
            TableChangeKind::Excluded
        }
        (Effect::Loaded(_) | Effect::Excluded, Effect::Unmapped | Effect::Others(_)) => {
            TableChangeKind::Removed
        }
        (Effect::Excluded, Effect::Excluded)
        | (Effect::Unmapped | Effect::Others(_), Effect::Unmapped | Effect::Others(_)) => return None,
    };
    Some(TableChange {
        tables: String::new(),
        kind,
        old: old.effect,
        new: new.effect,
        old_rule: old.rule,
        new_rule: new.rule,
        example: None,
        options,
    })
}

// ---- table options ----

const LOADS_AGAIN: &str = "job ids change: whatever is still in a queue, redelivered or asked for again is loaded once \
                           more, into the rows that are there";
const OTHER_JOBS: &str = "BigQuery keeps jobs by location: what was loaded is not found in another one, so whatever is \
                          redelivered is loaded once more";
const NEW_TABLES: &str = "only tables that are made from now on; one that is there stays as it is";
const NEXT_LOADS: &str = "loads from now on; rows that are in stay as they are";
const KEY: &str = "sent with each load from now on; see that the tables that are there have this key";

fn options(old: &Target, new: &Target) -> Vec<SettingChange> {
    let (a, b) = (&old.options, &new.options);
    let key = |options: &TableOptions| options.kms_key.clone().unwrap_or_else(|| "Google's".to_owned());
    let all = [
        ("generation", a.generation.to_string(), b.generation.to_string(), LOADS_AGAIN, true),
        ("location", old.location.clone(), new.location.clone(), OTHER_JOBS, true),
        ("partition", partition(a), partition(b), NEW_TABLES, false),
        ("cluster_by", list(&a.cluster_by), list(&b.cluster_by), NEW_TABLES, false),
        ("columns", columns(a), columns(b), NEXT_LOADS, false),
        ("kms_key", key(a), key(b), KEY, false),
    ];
    let changed = all.into_iter().filter(|(_, old, new, _, _)| old != new);
    changed
        .map(|(name, old, new, consequence, is_loud)| SettingChange { name, old, new, consequence, is_loud })
        .collect()
}

fn partition(options: &TableOptions) -> String {
    match &options.partition {
        None => "none".to_owned(),
        Some(Partition { unit, column: None }) => format!("{} of loading", unit.as_str()),
        Some(Partition { unit, column: Some(column) }) => format!("{} of {column}", unit.as_str()),
    }
}

fn columns(options: &TableOptions) -> String {
    let typed: Vec<String> = options.columns.iter().map(|(name, kind)| format!("{name} {kind}")).collect();
    if typed.is_empty() { "inferred".to_owned() } else { typed.join(", ") }
}

fn list(names: &[String]) -> String {
    if names.is_empty() { "none".to_owned() } else { names.join(", ") }
}
