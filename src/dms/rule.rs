//! How a rule of a task is named to people.

use std::fmt;

use super::node::shortened;

/// A rule of a task, as people find it again.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TaskRule {
    /// Where it stands, as a JSON path.
    pub path: String,
    /// Its `rule-id`.
    pub id: String,
    /// Its `rule-name`.
    pub name: String,
    /// The file of the settings that it stands for: `TargetSchema` renames as a rule would, and is none.
    pub(super) settings_file: Option<String>,
}

impl fmt::Display for TaskRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let id = shortened(&self.id);
        if self.settings_file.is_some() {
            return f.write_str(&id);
        }
        if self.name.is_empty() || self.name == self.id {
            return write!(f, "rule {id}");
        }
        write!(f, "rule {id} ({})", shortened(&self.name))
    }
}
