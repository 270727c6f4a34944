//! What a pattern of source names is called once a task has renamed them. Only what is exact: a fix that takes other
//! tables than those that arrive is worse than none.

use super::task::{Renaming, Selection, Task, Transformation};
use crate::route::Pattern;

/// A schema's and a table's pattern.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Patterns {
    pub(super) schema: String,
    pub(super) table: String,
}

/// The patterns that take just what arrives of the tables that these match, if there are such.
pub(super) fn arriving(task: &Task, schema: &Pattern, table: &Pattern) -> Option<Patterns> {
    let of_schema: Vec<&Transformation> = task
        .transformations
        .iter()
        .filter(|rule| rule.table.is_none() && rule.schema.may_overlap(schema))
        .collect();
    let of_table: Vec<&Transformation> = task
        .transformations
        .iter()
        .filter(|rule| rule.schema.may_overlap(schema))
        .filter(|rule| rule.table.as_ref().is_some_and(|pattern| pattern.may_overlap(table)))
        .collect();
    Some(Patterns {
        schema: renamed(&of_schema, schema, schema, table)?,
        table: renamed(&of_table, table, schema, table)?,
    })
}

/// Whether a selection is for several tables.
pub(super) fn is_wide(selection: &Selection) -> bool {
    selection.schema.meant_name().is_none() || selection.table.meant_name().is_none()
}

fn renamed(
    rules: &[&Transformation],
    pattern: &Pattern,
    schema: &Pattern,
    table: &Pattern,
) -> Option<String> {
    // The first counts, if it is for all of them.
    let Some(first) = rules.first() else { return Some(written(pattern)) };
    let is_for_all = covers(&first.schema, schema) && first.table.as_ref().is_none_or(|of| covers(of, table));
    is_for_all.then(|| changed(&first.renaming, pattern)).flatten()
}

fn covers(wide: &Pattern, pattern: &Pattern) -> bool {
    let is_one_name = pattern.is_literal() && wide.matches(&pattern.spoken());
    (wide.as_str() == "%" && !wide.is_literal()) || wide == pattern || is_one_name
}

fn changed(renaming: &Renaming, pattern: &Pattern) -> Option<String> {
    match (renaming, pattern.is_literal()) {
        (Renaming::To(value), _) => Some(written(value)),
        (changing, true) => Some(escaped(&changing.of(&pattern.spoken()))),
        (Renaming::Prefix { old, new }, false) if old.is_empty() => Some(escaped(new) + pattern.as_str()),
        (Renaming::Suffix { old, new }, false) if old.is_empty() => {
            Some(pattern.as_str().to_owned() + &escaped(new))
        }
        // In another case, or without its beginning, a name matches more than it did.
        (
            Renaming::Lowercase | Renaming::Uppercase | Renaming::Prefix { .. } | Renaming::Suffix { .. },
            false,
        ) => None,
    }
}

/// A pattern as a mapping spells it.
fn written(pattern: &Pattern) -> String {
    if pattern.is_literal() { escaped(&pattern.spoken()) } else { pattern.as_str().to_owned() }
}

/// The name as a pattern that matches it alone.
pub(super) fn escaped(name: &str) -> String {
    name.replace('_', "[_]")
}
