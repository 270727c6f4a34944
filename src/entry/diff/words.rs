//! What `diff` says, for people: the same words on a terminal and in a pipeline's summary.

use std::collections::BTreeSet;

use super::Old;
use crate::route::diff::SettingChange;
use crate::route::diff::{Effect, MappingChange, MappingDiff, MappingsDiff, TableChange, TableChangeKind};

/// Tables of which the same becomes, said once.
pub(super) struct Group<'d> {
    pub(super) kind: TableChangeKind,
    pub(super) tables: Vec<&'d str>,
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
            let (old, new) = (effect(&change.old, &change.tables), effect(&change.new, &change.tables));
            let alike = groups.iter_mut().find(|group| {
                group.kind == kind
                    && (&group.old, &group.new) == (&old, &new)
                    && group.options == change.options
            });
            match alike {
                Some(group) => group.tables.push(&change.tables),
                None => groups.push(Group {
                    kind,
                    tables: vec![&change.tables],
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

/// What becomes of tables, with `{table}` for a name that a table keeps.
fn effect(effect: &Effect, tables: &str) -> String {
    match effect {
        Effect::Loaded(destination) => match destination.rsplit_once('.') {
            Some((dataset, table)) if tables.ends_with(&format!(".{table}")) => {
                format!("{dataset}.{{table}}")
            }
            Some(_) | None => destination.clone(),
        },
        Effect::Excluded => "excluded".to_owned(),
        Effect::Unmapped => "unmapped (errors)".to_owned(),
        Effect::Others(others) => format!("by other rules ({}), else unmapped", others.join("; ")),
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

/// What somebody should think of before this goes into force; each once.
pub(super) fn cautions(diff: &MappingsDiff) -> Vec<String> {
    let mut cautions = Vec::new();
    let tables =
        |kind| diff.mappings.iter().flat_map(|m| &m.tables).any(|table: &TableChange| table.kind == kind);
    if tables(TableChangeKind::Rerouted) {
        cautions.push(
            "re-routed: rows that are in stay in the old table. Another table makes other job ids, so whatever is still \
             in a queue, redelivered or asked for again is loaded into the new table, though it may be in the old one"
                .to_owned(),
        );
    }
    let were_not_unmapped =
        |table: &TableChange| table.kind == TableChangeKind::Excluded && table.old != Effect::Unmapped;
    if diff.mappings.iter().flat_map(|mapping| &mapping.tables).any(were_not_unmapped) {
        cautions.push(
            "excluded: files are acknowledged and not loaded, also those that wait in a queue now. Nothing brings them \
             back by itself"
                .to_owned(),
        );
    }
    if tables(TableChangeKind::Removed)
        || diff.mappings.iter().any(|mapping| mapping.change == MappingChange::Removed)
    {
        cautions.push(
            "removed: files that no rule is for are errors, and wait in the dead-letter queue. To leave tables out on \
             purpose, exclude them"
                .to_owned(),
        );
    }
    let settings = diff.mappings.iter().flat_map(|mapping| &mapping.settings);
    let options = diff.mappings.iter().flat_map(|m| &m.tables).flat_map(|table| &table.options);
    let mut said = BTreeSet::new();
    for setting in settings.chain(options).filter(|setting| setting.is_loud) {
        if said.insert(setting.name) {
            cautions.push(format!("{}: {}", setting.name, setting.consequence));
        }
    }
    cautions
}

/// What is to be said of the side until now.
pub(super) fn about_old(old: &Old) -> Option<String> {
    match old {
        Old::Sound(_) => None,
        Old::Nothing => Some("There were no mappings until now.".to_owned()),
        Old::Faulty(problems) => Some(format!(
            "The mappings until now cannot run, so all of the new ones are shown as added: {problems}."
        )),
    }
}

/// `1 rule`, `2 rules`.
pub(super) fn counted(count: usize, noun: &str) -> String {
    if count == 1 { format!("1 {noun}") } else { format!("{count} {noun}s") }
}

/// `1,234,567`.
pub(super) fn number(number: u64) -> String {
    let digits = number.to_string();
    let mut shown = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            shown.push(',');
        }
        shown.push(digit);
    }
    shown
}

/// Names and keys may hold any character, and a terminal or a page obeys some of them.
pub(super) fn printable(text: &str) -> String {
    let escaped = |c: char| if c.is_control() { c.escape_default().to_string() } else { c.to_string() };
    text.chars().map(escaped).collect()
}
