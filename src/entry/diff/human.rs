//! The answer for a person at a terminal.

use std::io::{self, Write};

use super::Answer;
use super::keys::{Effect, KeysReport, TableFiles};
use super::words::{self, Group};
use crate::dms::grouped;
use crate::entry::stdout::printable;
use crate::route::diff::{MappingDiff, SettingChange};

/// Groups of files that are shown; JSON has all.
const GROUPS_SHOWN: usize = 40;

/// Groups that are shown of each kind of file that was an error before and is one still: enough to see what they are.
const OLD_ERRORS_SHOWN: usize = 3;

pub(super) fn write(answer: &Answer<'_>, out: &mut dyn Write) -> io::Result<()> {
    if let Some(about_old) = words::about_old(answer.old) {
        writeln!(out, "{about_old}\n")?;
    }
    for mapping in &answer.diff.mappings {
        write_mapping(mapping, out)?;
        writeln!(out)?;
    }
    let cautions = words::cautions(answer);
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
    for Group { kind, tables, example, old, new, options } in words::groups(mapping) {
        let such_as = example.map(|example| format!(", such as {example}")).unwrap_or_default();
        writeln!(out, "  {:<10} {}{}", kind.as_str(), printable(&tables.join(", ")), printable(&such_as))?;
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
    writeln!(out, "Of {} files in the listing:", grouped(keys.files))?;
    let counts = Effect::ALL.map(|effect| (grouped(keys.count(effect)), effect));
    let width = counts.iter().map(|(count, _)| count.len()).max().unwrap_or_default();
    for (count, effect) in counts.iter().filter(|(_, effect)| keys.count(*effect) > 0) {
        writeln!(out, "  {count:>width$} {}", effect.in_words())?;
    }
    writeln!(out, "{}", keys.in_words())?;
    let mut hidden_files = keys.of_further_tables;
    let mut shown_groups = 0;
    let (mut current, mut of_current) = (None, 0);
    for group in &keys.tables {
        let is_first = current != Some(group.effect);
        of_current = if is_first { 1 } else { of_current + 1 };
        let is_left_out = group.effect.is_old_error() && of_current > OLD_ERRORS_SHOWN;
        if is_left_out || shown_groups == GROUPS_SHOWN {
            hidden_files += group.files;
            continue;
        }
        if is_first {
            writeln!(out, "\nFiles {}:", group.effect.in_words())?;
            current = Some(group.effect);
        }
        shown_groups += 1;
        write_group(group, out)?;
    }
    if hidden_files > 0 {
        writeln!(out, "  … and {} files of further tables; --format json has more", grouped(hidden_files))?;
    }
    Ok(())
}

fn write_group(group: &TableFiles, out: &mut dyn Write) -> io::Result<()> {
    let (table, old, new) = (printable(&group.table), printable(&group.old), printable(&group.new));
    let change = if old == new { new } else { format!("{old} → {new}") };
    writeln!(out, "  {table}: {} ({change})", grouped(group.files))?;
    for example in &group.examples {
        writeln!(out, "    {}", printable(example))?;
    }
    Ok(())
}
