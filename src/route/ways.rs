//! Which rules decide about tables, by one name for each way in which two sets of rules can tell names apart.
//!
//! What a wildcard takes cannot be read off its text: a more specific rule or an exclude may go before it. So names are tried,
//! chosen by [`names_apart`], which makes the answer exact.

use std::collections::HashSet;

use super::apart::{Change, Effort, TooManyWays, names_apart};
use super::index::ByTable;
use super::mapping::{Matcher, Rule};
use super::{Landing, Pattern};

/// A name, and the rules that decide about it.
#[derive(Debug, Clone)]
pub(super) struct Way<'m> {
    pub(super) schema: String,
    pub(super) table: String,
    pub(super) old: Option<&'m Rule>,
    pub(super) new: Option<&'m Rule>,
}

/// The rules of one side; of those that match a table, the first decides.
pub(super) struct Side<'m> {
    rules: Vec<&'m Rule>,
    by_table: ByTable,
}

impl<'m> Side<'m> {
    /// All rules of a landing prefix, or none without one.
    pub(super) fn of(landing: Option<&'m Landing>) -> Self {
        Self::of_rules(landing.into_iter().flat_map(Landing::rules).collect())
    }

    fn of_rules(rules: Vec<&'m Rule>) -> Self {
        Self { by_table: ByTable::of(rules.iter().map(|rule| &rule.matcher.table)), rules }
    }

    /// The rule that decides about a table.
    pub(super) fn find(&self, schema: &str, table: &str) -> Option<&'m Rule> {
        let mut candidates = self.by_table.candidates(table).into_iter().filter_map(|at| self.rules.get(at));
        candidates
            .find(|rule| rule.matcher.schema.matches(schema) && rule.matcher.table.matches(table))
            .copied()
    }

    /// The same without the rules of `left_out`.
    fn without(&self, is_left_out: impl Fn(&Rule) -> bool) -> Self {
        Self::of_rules(self.rules.iter().filter(|rule| !is_left_out(rule)).copied().collect())
    }
}

/// For each pair of rules, one of either side, that decide about one and the same name: a name of which they do.
///
/// Rules for a single name are not among them, and neither is that name: of it one can ask. That spares the walk through
/// thousands of tables that are named one by one. If the walk is too long still, a rule such as `order_item` counts as one
/// for that name, which whoever writes it means, though DMS reads `_` as any character.
///
/// # Errors
/// [`TooManyWays`] when there are too many even then.
pub(super) fn ways<'m>(old: &Side<'m>, new: &Side<'m>) -> Result<Vec<Way<'m>>, TooManyWays> {
    exact_ways(old, new).or_else(|TooManyWays| ways_without(old, new, is_meant_for_one))
}

fn exact_ways<'m>(old: &Side<'m>, new: &Side<'m>) -> Result<Vec<Way<'m>>, TooManyWays> {
    let is_finite = |rule: &&&Rule| is_finite(rule) && !is_of_one(rule);
    let finite: Vec<&Rule> = old.rules.iter().chain(&new.rules).filter(is_finite).copied().collect();
    // A pattern without `%` may have all its names taken by rules for single ones, which then count.
    ways_without(old, new, |rule| is_of_one(rule) && !finite.iter().any(|other| overlap(rule, other)))
}

fn ways_without<'m>(
    old: &Side<'m>,
    new: &Side<'m>,
    is_left_out: impl Fn(&Rule) -> bool,
) -> Result<Vec<Way<'m>>, TooManyWays> {
    let is_left_out = &is_left_out;
    let mut effort = Effort::default();
    let effort = &mut effort;
    let (old, new) = (old.without(is_left_out), new.without(is_left_out));
    let rules: Vec<&Rule> = old.rules.iter().chain(&new.rules).copied().collect();
    let mut seen = HashSet::new();
    let mut ways = Vec::new();
    let as_is = |pattern: &'m Pattern| (pattern, Change::AsIs);
    let schemas = rules.iter().map(|rule| as_is(&rule.matcher.schema));
    for schema in names_apart(schemas, effort)? {
        let tables = rules.iter().filter(|rule| rule.matcher.schema.matches(&schema));
        for table in names_apart(tables.map(|rule| as_is(&rule.matcher.table)), effort)? {
            let (old, new) = (old.find(&schema, &table), new.find(&schema, &table));
            let index = |rule: Option<&Rule>| rule.map(|rule| rule.matcher.index);
            if seen.insert((index(old), index(new))) {
                ways.push(Way { schema: schema.clone(), table, old, new });
            }
        }
    }
    Ok(ways)
}

/// The rules with patterns that decide about no table, since others go before them for all that they match; each with one
/// of those. `None` when that cannot be told in reasonable time.
pub(super) fn idle(landing: &Landing) -> Option<Vec<(&Rule, &Rule)>> {
    let (side, nobody) = (Side::of(Some(landing)), Side::of(None));
    let ways = exact_ways(&side, &nobody).ok()?;
    let deciding: HashSet<usize> =
        ways.iter().filter_map(|way| way.old).map(|rule| rule.matcher.index).collect();
    let idle =
        landing.rules().iter().filter(|rule| !is_of_one(rule) && !deciding.contains(&rule.matcher.index));
    let before = |rule: &Rule| {
        let Matcher { schema, table, .. } = &rule.matcher;
        side.find(&schema.common_name(schema)?, &table.common_name(table)?)
    };
    Some(idle.filter_map(|rule| Some((rule, before(rule)?))).collect())
}

fn is_of_one(rule: &Rule) -> bool {
    rule.matcher.schema.is_literal() && rule.matcher.table.is_literal()
}

fn is_meant_for_one(rule: &Rule) -> bool {
    rule.matcher.schema.meant_name().is_some() && rule.matcher.table.meant_name().is_some()
}

fn is_finite(rule: &Rule) -> bool {
    !rule.matcher.schema.is_open() && !rule.matcher.table.is_open()
}

fn overlap(a: &Rule, b: &Rule) -> bool {
    a.matcher.schema.may_overlap(&b.matcher.schema) && a.matcher.table.may_overlap(&b.matcher.table)
}
