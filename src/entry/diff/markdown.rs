//! The answer for the summary of a pipeline's run, or for a comment on a change.

use std::io::{self, Write};

use super::Answer;
use super::keys::{Effect, KeysReport};
use super::words::{self, Group};
use crate::dms::grouped;
use crate::entry::stdout::printable;
use crate::route::diff::{MappingDiff, SettingChange};

/// Rows of one table. A summary on GitHub may have 1 MiB, and nobody reads so many.
const ROWS_SHOWN: usize = 100;

/// Tables that one cell names.
const TABLES_SHOWN: usize = 20;

pub(super) fn write(answer: &Answer<'_>, out: &mut dyn Write) -> io::Result<()> {
    writeln!(out, "### Mappings: {}\n", words::summary(&answer.diff))?;
    if let Some(about_old) = words::about_old(answer.old) {
        writeln!(out, "{}\n", text(&about_old))?;
    }
    let cautions = words::cautions(answer);
    if !cautions.is_empty() {
        writeln!(out, "> [!WARNING]")?;
        for caution in cautions {
            let (what, why) = caution.split_once(": ").unwrap_or(("", &caution));
            writeln!(out, "> - **{}**: {}.", text(what), sentence(why))?;
        }
        writeln!(out)?;
    }
    for mapping in &answer.diff.mappings {
        write_mapping(mapping, out)?;
    }
    match &answer.keys {
        Some(keys) => write_keys(keys, out),
        None => Ok(()),
    }
}

fn write_mapping(mapping: &MappingDiff, out: &mut dyn Write) -> io::Result<()> {
    let change = words::mapping_change(mapping.change);
    writeln!(out, "**{}**, {}{change}\n", text(&mapping.mapping), code(&mapping.landing))?;
    let groups = words::groups(mapping);
    if mapping.settings.is_empty() && groups.is_empty() {
        return Ok(());
    }
    writeln!(out, "| | Tables | Until now | From now on |\n|---|---|---|---|")?;
    for setting in &mapping.settings {
        write_setting("setting", &setting.name.replace('_', "\\_"), setting, out)?;
    }
    for Group { kind, tables, example, old, new, options } in groups.iter().take(ROWS_SHOWN) {
        let shown: Vec<String> = tables.iter().take(TABLES_SHOWN).map(|table| code(table)).collect();
        let more = tables.len().saturating_sub(TABLES_SHOWN);
        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
        let such_as = example.map(|example| format!(", such as {}", code(example))).unwrap_or_default();
        let tables = format!("{}{more}{such_as}", shown.join(", "));
        if old != new {
            writeln!(out, "| {} | {tables} | {} | {} |", kind.as_str(), code(old), code(new))?;
        }
        for option in *options {
            write_setting("option", &format!("{tables}: {}", option.name.replace('_', "\\_")), option, out)?;
        }
    }
    if groups.len() > ROWS_SHOWN {
        writeln!(out, "| … | {} more | | |", groups.len() - ROWS_SHOWN)?;
    }
    writeln!(out)
}

fn write_setting(kind: &str, what: &str, setting: &SettingChange, out: &mut dyn Write) -> io::Result<()> {
    let SettingChange { old, new, consequence, is_loud, .. } = setting;
    let aside = if *is_loud { String::new() } else { format!("; {}", sentence(consequence)) };
    writeln!(out, "| {kind} | {what} | {} | {}{aside} |", code(old), code(new))
}

fn write_keys(keys: &KeysReport, out: &mut dyn Write) -> io::Result<()> {
    writeln!(out, "#### {} files of the listing\n\n| Files | |\n|---:|---|", grouped(keys.files))?;
    for effect in Effect::ALL.into_iter().filter(|effect| keys.count(*effect) > 0) {
        writeln!(out, "| {} | {} |", grouped(keys.count(effect)), effect.in_words())?;
    }
    writeln!(out, "\n{}\n", keys.in_words())?;
    if keys.tables.is_empty() {
        return Ok(());
    }
    writeln!(out, "| Files | | Table | Until now | From now on | Such as |\n|---:|---|---|---|---|---|")?;
    for group in keys.tables.iter().take(ROWS_SHOWN) {
        let example = group.examples.first().map(|example| code(example)).unwrap_or_default();
        writeln!(
            out,
            "| {} | {} | {} | {} | {} | {example} |",
            grouped(group.files),
            group.effect.in_words(),
            code(&group.table),
            code(&group.old),
            code(&group.new),
        )?;
    }
    let hidden =
        keys.tables.iter().skip(ROWS_SHOWN).map(|group| group.files).sum::<u64>() + keys.of_further_tables;
    if hidden > 0 {
        writeln!(out, "| {} | of further tables | | | | |", grouped(hidden))?;
    }
    writeln!(out)
}

/// A name as code, whatever is in it: a table's row ends at a bar, and code at as many backquotes as it began with.
fn code(name: &str) -> String {
    let name = printable(name).replace('|', "\\|");
    let fence = fence(&name, 1);
    // A space between, where a backquote of the name would else become one of the fence's.
    let space = if name.starts_with('`') || name.ends_with('`') { " " } else { "" };
    format!("{fence}{space}{name}{space}{fence}")
}

/// A sentence of ours, in which backquotes stand around code.
fn sentence(ours: &str) -> String {
    let parts = ours.split('`').enumerate();
    parts.map(|(index, part)| if index % 2 == 0 { text(part) } else { code(part) }).collect()
}

/// Words. What begins a mark-up in it is marked as none.
fn text(sentence: &str) -> String {
    let mut marked = String::new();
    for c in printable(sentence).chars() {
        if matches!(c, '\\' | '*' | '_' | '<' | '[' | ']' | '|' | '#' | '~') {
            marked.push('\\');
        }
        marked.push(c);
    }
    marked
}

/// Text as it stands, in a block that nothing in it can end.
pub(super) fn block(text: &str) -> String {
    let fence = fence(text, 3);
    format!("{fence}text\n{}\n{fence}", text.trim_end())
}

/// Backquotes, so many at least, and more than stand in a row anywhere in the text.
fn fence(text: &str, at_least: usize) -> String {
    let longest = text.split(|c| c != '`').map(str::len).max().unwrap_or_default();
    "`".repeat(at_least.max(longest + 1))
}

#[cfg(test)]
mod tests {
    use super::code;

    #[test]
    fn no_name_ends_its_code() {
        for (name, as_code) in [
            ("player", "`player`"),
            ("a|b", "`a\\|b`"),
            ("a`b", "``a`b``"),
            ("a``b", "```a``b```"),
            ("`a``", "``` `a`` ```"),
            ("a\u{202e}b\nc", "`a\\u{202e}b\\nc`"),
        ] {
            assert_eq!(code(name), as_code);
        }
    }
}
