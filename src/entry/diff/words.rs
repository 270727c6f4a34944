//! What `diff` says, for people: the same words on a terminal and in a pipeline's summary.

use std::collections::BTreeSet;

use super::keys::{Effect as FileEffect, KeysReport};
use super::{Answer, Old, datasets};
use crate::dms::grouped;
use crate::route::diff::SettingChange;
use crate::route::diff::{Effect, MappingChange, MappingDiff, MappingsDiff, TableChange, TableChangeKind};

/// Tables of which the same becomes, said once.
pub(super) struct Group<'d> {
    pub(super) kind: TableChangeKind,
    pub(super) tables: Vec<&'d str>,
    /// One of the tables, where their patterns do not say which they are: another rule decides about them now.
    pub(super) example: Option<&'d str>,
    pub(super) old: String,
    pub(super) new: String,
    pub(super) options: &'d [SettingChange],
}

/// The changes of a mapping's tables: kind by kind, and in each those together that have the same done to them. One
/// change of `defaults` or of `destination` changes every rule.
pub(super) fn groups(mapping: &MappingDiff) -> Vec<Group<'_>> {
    let mut groups: Vec<Group<'_>> = Vec::new();
    for kind in TableChangeKind::ALL {
        for change in mapping.tables.iter().filter(|change| change.kind == kind) {
            let old = effect(&change.old, change.old_rule.as_deref(), &change.tables);
            let new = effect(&change.new, change.new_rule.as_deref(), &change.tables);
            let is_another_rule = change.old_rule != change.new_rule
                && (mapping.change == MappingChange::Changed)
                && change.tables.contains(['%', '_']);
            let example = change.example.as_deref().filter(|_| is_another_rule);
            let alike = groups.iter_mut().find(|group| {
                group.kind == kind
                    && example.is_none()
                    && group.example.is_none()
                    && (&group.old, &group.new) == (&old, &new)
                    && group.options == change.options
            });
            match alike {
                Some(group) => group.tables.push(&change.tables),
                None => groups.push(Group {
                    kind,
                    tables: vec![&change.tables],
                    example,
                    old,
                    new,
                    options: &change.options,
                }),
            }
        }
    }
    for group in &mut groups {
        if let [only] = group.tables.as_slice() {
            let table = only.rsplit('.').next().unwrap_or_default();
            for side in [&mut group.old, &mut group.new] {
                if !table.contains('%') {
                    *side = side.replace("{table}", table);
                }
            }
        }
    }
    groups
}

/// What becomes of tables, with `{table}` for a name that a table keeps; and the rule, if it is not the one that is shown.
fn effect(effect: &Effect, rule: Option<&str>, tables: &str) -> String {
    let does = match effect {
        Effect::Loaded(destination) => match destination.rsplit_once('.') {
            Some((dataset, table)) if tables.ends_with(&format!(".{table}")) => {
                format!("{dataset}.{{table}}")
            }
            Some(_) | None => destination.clone(),
        },
        Effect::Excluded => "excluded".to_owned(),
        Effect::Unmapped => "unmapped (errors)".to_owned(),
        Effect::Others(others) => format!("by other rules ({}), else unmapped", others.join("; ")),
    };
    match rule.filter(|rule| *rule != tables) {
        Some(rule) => format!("{does}, by {rule}"),
        None => does,
    }
}

/// The change in a line.
pub(super) fn summary(diff: &MappingsDiff) -> String {
    if diff.is_empty() {
        return "nothing differs".to_owned();
    }
    let mappings =
        |change: MappingChange| diff.mappings.iter().filter(|mapping| mapping.change == change).count();
    let settings: usize = diff.mappings.iter().map(|mapping| mapping.settings.len()).sum();
    let counts = diff.counts();
    let rules = |kind: TableChangeKind| counts.get(&kind).copied().unwrap_or_default();
    let mut parts = Vec::new();
    for (count, noun, what) in [
        (mappings(MappingChange::Added), "mapping", "added"),
        (mappings(MappingChange::Removed), "mapping", "removed"),
        (settings, "setting", "changed"),
        (rules(TableChangeKind::Added), "rule", "added"),
        (rules(TableChangeKind::Removed), "rule", "removed"),
        (rules(TableChangeKind::Rerouted), "rule", "re-routed"),
        (rules(TableChangeKind::Excluded), "rule", "excluded"),
        (rules(TableChangeKind::Included), "rule", "included"),
        (rules(TableChangeKind::Options), "rule", "with other options"),
    ] {
        if count > 0 {
            parts.push(format!("{} {what}", counted(count, noun)));
        }
    }
    parts.join(", ")
}

/// What the mapping's change as a whole is.
pub(super) fn mapping_change(change: MappingChange) -> &'static str {
    match change {
        MappingChange::Added => ", a new mapping",
        MappingChange::Removed => ", removed: its files are errors from now on",
        MappingChange::Changed => "",
    }
}

/// What somebody should think of before this goes into force; each once. What the listing shows is among it.
pub(super) fn cautions(answer: &Answer<'_>) -> Vec<String> {
    let mut cautions = Vec::new();
    cautions.extend(nothing_until_now(answer.old));
    cautions.extend(answer.keys.as_ref().and_then(another_listing));
    cautions.extend(datasets::cautions(&answer.new_datasets));
    cautions.extend(of_changes(&answer.diff, answer.keys.as_ref()));
    cautions
}

/// Somebody begins, or the address is another one than was meant.
fn nothing_until_now(old: &Old) -> Option<String> {
    match old {
        Old::Nothing { place } => Some(format!(
            "nothing to compare with: there are no mappings at {place}. If there should be, the address is another one, \
             and all that is said here is wrong"
        )),
        Old::Sound(_) | Old::Faulty(_) => None,
    }
}

fn another_listing(keys: &KeysReport) -> Option<String> {
    let is_another = keys.files > 0 && keys.below_landings == 0;
    is_another.then(|| {
        let which = match keys.files {
            1 => "the one key does not lie".to_owned(),
            many => format!("none of {} keys lies", grouped(many)),
        };
        format!("another listing: {which} below a mapped prefix. See that this is the listing you mean")
    })
}

fn of_changes(diff: &MappingsDiff, keys: Option<&KeysReport>) -> Vec<String> {
    let mut cautions = Vec::new();
    let changes = || diff.mappings.iter().flat_map(|mapping| &mapping.tables);
    let tables = |kind| changes().any(|table: &TableChange| table.kind == kind);
    let files = |effect| keys.map(|keys| keys.count(effect)).unwrap_or_default();
    let mut caution = |is_due: bool, effect: FileEffect, text: &str| {
        let files = files(effect);
        if is_due || files > 0 {
            cautions.push(format!("{text}{}", in_the_listing(files)));
        }
    };
    caution(tables(TableChangeKind::Rerouted), FileEffect::Moved, REROUTED);
    let were_not_unmapped =
        |table: &TableChange| table.kind == TableChangeKind::Excluded && table.old != Effect::Unmapped;
    caution(changes().any(were_not_unmapped), FileEffect::Ignored, EXCLUDED);
    caution(tables(TableChangeKind::Included), FileEffect::WasIgnored, INCLUDED);
    let has_gone = diff.mappings.iter().any(|mapping| mapping.change == MappingChange::Removed);
    caution(tables(TableChangeKind::Removed) || has_gone, FileEffect::Unmapped, REMOVED);
    caution(false, FileEffect::NewJobId, NEW_JOB_ID);
    caution(false, FileEffect::Refused, REFUSED);
    if diff.mappings.iter().any(|mapping| !mapping.is_exact) {
        cautions.push(TOO_MANY_WAYS.to_owned());
    }
    let settings = diff.mappings.iter().flat_map(|mapping| &mapping.settings);
    let options = changes().flat_map(|table| &table.options);
    let mut said = BTreeSet::new();
    for setting in settings.chain(options).filter(|setting| setting.is_loud) {
        if said.insert(setting.name) {
            cautions.push(format!("{}: {}", setting.name, setting.consequence));
        }
    }
    cautions
}

const REROUTED: &str = "re-routed: rows that are in stay in the old table. Another table makes other job ids, so whatever is \
                        still in a queue, redelivered or asked for again is loaded into the new table, though it may be in \
                        the old one";
const EXCLUDED: &str = "excluded: files are acknowledged and not loaded, also those that wait in a queue now. Nothing brings \
                        them back by itself";
const INCLUDED: &str = "included: what came while it was excluded was acknowledged, and its rows are in no table. Nothing \
                        brings it back by itself";
const REMOVED: &str = "removed: files that no rule is for are errors, and wait in the dead-letter queue. To leave tables out on \
                       purpose, exclude them";
const NEW_JOB_ID: &str = "other job ids: files go to the same table by another job, so rows may be doubled: whatever is \
                          redelivered or asked for again is loaded once more";
const REFUSED: &str = "new errors: files that were no errors are refused, and wait in the dead-letter queue";
const TOO_MANY_WAYS: &str = "too many ways: the patterns overlap in so many ways that not all were tried. Each rule was \
                             compared by itself, so tables that go from one rule to another may be missing here: give \
                             --keys a listing";

/// How many files of the listing a caution is about.
fn in_the_listing(files: u64) -> String {
    match files {
        0 => String::new(),
        1 => ". In the listing: 1 file".to_owned(),
        many => format!(". In the listing: {} files", grouped(many)),
    }
}

/// What is to be said of the side until now.
pub(super) fn about_old(old: &Old) -> Option<String> {
    match old {
        Old::Sound(_) => None,
        Old::Nothing { place } => Some(format!("There were no mappings until now: {place} has none.")),
        Old::Faulty(problems) => Some(format!(
            "The mappings until now cannot run, so all of the new ones are shown as added: {problems}."
        )),
    }
}

/// `1 rule`, `2 rules`.
pub(super) fn counted(count: usize, noun: &str) -> String {
    if count == 1 { format!("1 {noun}") } else { format!("{count} {noun}s") }
}
