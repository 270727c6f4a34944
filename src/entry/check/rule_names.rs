//! The rules of mapping files by name: of seventy, `$.tables[41]` is found by counting.

use std::collections::HashMap;

use serde_json::Value;

use crate::entry::stdout::printable;
use crate::route::MappingFile;

/// What each rule of each file is for, as far as it says so.
#[derive(Default)]
pub(super) struct RuleNames(HashMap<String, Vec<Option<String>>>);

impl RuleNames {
    pub(super) fn of(files: &[MappingFile]) -> Self {
        Self(files.iter().map(|file| (file.name.clone(), names(&file.text))).collect())
    }

    /// The name of the rule in which a place lies.
    pub(super) fn at(&self, file: &str, path: &str) -> Option<String> {
        let (index, _) = path.strip_prefix("$.tables[")?.split_once(']')?;
        self.0.get(file)?.get(index.parse::<usize>().ok()?)?.clone()
    }
}

fn names(text: &str) -> Vec<Option<String>> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let json: Value = serde_json::from_str(text).unwrap_or_default();
    let rules = json["tables"].as_array().map(Vec::as_slice).unwrap_or_default();
    let name = |rule: &Value| {
        let (schema, table) = (rule["schema"].as_str()?, rule["table"].as_str()?);
        Some(printable(&format!("{schema}.{table}")))
    };
    rules.iter().map(name).collect()
}
