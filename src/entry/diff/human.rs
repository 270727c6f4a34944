//! The answer for a person at a terminal.

use std::io::{self, Write};

use super::Answer;
use super::keys::{Effect, KeysReport};
use super::words::{self, Group, number, printable};
use crate::route::diff::{MappingDiff, SettingChange};

/// Groups of files that are shown; JSON has all.
const GROUPS_SHOWN: usize = 40;

pub(super) fn write(answer: &Answer<'_>, out: &mut dyn Write) -> io::Result<()> {
    if let Some(about_old) = words::about_old(answer.old) {
        writeln!(out, "{about_old}\n")?;
    }
    for mapping in &answer.diff.mappings {
        write_mapping(mapping, out)?;
        writeln!(out)?;
    }
    let cautions = words::cautions(&answer.diff);
    if !cautions.is_empty() {
        writeln!(out, "Take care:")?;
        for caution in cautions {
            writeln!(out, "  ! {caution}.")?;
        }
        writeln!(out)?;
    }
    if let Some(keys) = &answer.keys {
        write_keys(keys, out)?;
        writeln!(out)?;
    }
    let summary = words::summary(&answer.diff);
    writeln!(
        out,
        "{}{}.",
        summary.get(..1).unwrap_or_default().to_uppercase(),
        summary.get(1..).unwrap_or_default()
    )
}

fn write_mapping(mapping: &MappingDiff, out: &mut dyn Write) -> io::Result<()> {
    let change = words::mapping_change(mapping.change);
    writeln!(out, "{} ({}){change}", printable(&mapping.mapping), printable(&mapping.landing))?;
    for setting in &mapping.settings {
        writeln!(out, "  {:<10} {}", "setting", values(setting))?;
    }
    for Group { kind, tables, old, new, options } in words::groups(mapping) {
        writeln!(out, "  {:<10} {}", kind.as_str(), printable(&tables.join(", ")))?;
        if old != new {
            writeln!(out, "  {:<10}   {} → {}", "", printable(&old), printable(&new))?;
        }
        for option in options {
            writeln!(out, "  {:<10}   {}", "", values(option))?;
        }
    }
    Ok(())
}

fn values(setting: &SettingChange) -> String {
    let SettingChange { name, old, new, consequence, is_loud } = setting;
    let aside = if *is_loud { " (!)".to_owned() } else { format!(" ({consequence})") };
    format!("{name}: {} → {}{aside}", printable(old), printable(new))
}

fn write_keys(keys: &KeysReport, out: &mut dyn Write) -> io::Result<()> {
    writeln!(out, "Of {} files in the listing:", number(keys.files))?;
    let counts = Effect::ALL.map(|effect| (number(keys.count(effect)), effect));
    let width = counts.iter().map(|(count, _)| count.len()).max().unwrap_or_default();
    for (count, effect) in counts.iter().filter(|(_, effect)| keys.count(*effect) > 0) {
        writeln!(out, "  {count:>width$} {}", effect.in_words())?;
    }
    writeln!(
        out,
        "With the new mappings {} would be loaded, {} ignored, {} unmapped, {} other errors.",
        number(keys.will_load),
        number(keys.will_ignore),
        number(keys.will_be_unmapped),
        number(keys.will_be_refused),
    )?;
    let mut current = None;
    for group in keys.tables.iter().take(GROUPS_SHOWN) {
        if current != Some(group.effect) {
            writeln!(out, "\nFiles {}:", group.effect.in_words())?;
            current = Some(group.effect);
        }
        let (table, old, new) = (printable(&group.table), printable(&group.old), printable(&group.new));
        writeln!(out, "  {table}: {} ({old} → {new})", number(group.files))?;
        for example in &group.examples {
            writeln!(out, "    {}", printable(example))?;
        }
    }
    let hidden = keys.tables.iter().skip(GROUPS_SHOWN);
    let hidden_files = hidden.map(|group| group.files).sum::<u64>() + keys.of_further_tables;
    if hidden_files > 0 {
        writeln!(out, "  … and {} files of further tables; --format json has more", number(hidden_files))?;
    }
    Ok(())
}
