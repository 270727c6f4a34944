//! Rules by the names of their tables, so that thousands of tables named one by one are compared in seconds.

use std::collections::HashMap;

use super::Pattern;

/// The places of rules in a list, by the one table that each names, and of those that name several.
#[derive(Debug, Clone, Default)]
pub struct ByTable {
    one: HashMap<String, Vec<usize>>,
    several: Vec<usize>,
}

impl ByTable {
    /// An index of these, by their places.
    pub fn of<'p>(tables: impl Iterator<Item = &'p Pattern>) -> Self {
        let mut index = Self::default();
        for (at, table) in tables.enumerate() {
            if table.is_literal() {
                index.one.entry(table.spoken()).or_default().push(at);
            } else {
                index.several.push(at);
            }
        }
        index
    }

    /// The places of the rules that can match a table, in their order.
    pub fn candidates(&self, table: &str) -> Vec<usize> {
        let mut places = self.several.clone();
        places.extend(self.one.get(table).into_iter().flatten());
        places.sort_unstable();
        places
    }
}
