//! What is legal in a rule and most likely a slip of the pen.

use std::collections::{BTreeMap, BTreeSet};

use super::RuleName;
use super::mapping::{Action, Matcher, Rule};
use super::warning::MappingDoubt;

/// What is doubtful about a rule by itself.
pub(super) fn of_rule(rule: &Rule) -> Vec<MappingDoubt> {
    let Matcher { schema, table, idle_field, .. } = &rule.matcher;
    let mut names = vec![schema.to_string(), table.to_string()];
    if let Action::Load(target) = &rule.action {
        // What stands for the source's names is spelled as they are.
        names.push(target.table.expand("schema", "table"));
    }
    let mut doubts = Vec::new();
    doubts.extend(names.into_iter().find(has_edge_space).map(|name| MappingDoubt::EdgeSpace { name }));
    doubts.extend(schema_in_table(&rule.matcher));
    doubts.extend(idle_field.map(|field| MappingDoubt::IdleField { field }));
    doubts
}

fn has_edge_space(name: &String) -> bool {
    name.trim() != name
}

/// `game.player` as the table of the schema `game`.
fn schema_in_table(rule: &Matcher) -> Option<MappingDoubt> {
    let (schema, table) = (rule.schema.as_str(), rule.table.as_str());
    let (before, name) = table.split_once('.')?;
    let is_schema = before.eq_ignore_ascii_case(schema) && !name.is_empty();
    is_schema.then(|| MappingDoubt::SchemaInTable { table: table.to_owned(), name: name.to_owned() })
}

/// Schemas and tables that another rule spells with other capitals, each spelling once, by the rule's place.
pub(super) fn but_for_case(rules: &[&Rule]) -> BTreeMap<usize, MappingDoubt> {
    let mut first: BTreeMap<(&str, String), (&str, RuleName)> = BTreeMap::new();
    let mut said = BTreeSet::new();
    let mut doubts = BTreeMap::new();
    for rule in rules {
        let Matcher { index, schema, table, .. } = &rule.matcher;
        let (schema, table) = (schema.as_str(), table.as_str());
        let of_table = format!("{}.{}", schema.to_lowercase(), table.to_lowercase());
        for (kind, name, key) in [("schema", schema, schema.to_lowercase()), ("table", table, of_table)] {
            let (other, by) =
                first.entry((kind, key.clone())).or_insert_with(|| (name, rule.matcher.name())).clone();
            if other != name && said.insert((kind, key, name)) {
                let (name, other) = (name.to_owned(), other.to_owned());
                doubts.entry(*index).or_insert(MappingDoubt::ButForCase { kind, name, other, by });
            }
        }
    }
    doubts
}
