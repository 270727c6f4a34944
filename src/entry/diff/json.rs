//! The answer for a program. Its fields are an interface: they may become more, and keep their meaning.

use std::io::{self, Write};

use serde_json::{Value, json};

use super::{Answer, Old, words};
use crate::route::diff::{Effect, MappingChange, MappingDiff, SettingChange, TableChange, TableChangeKind};

pub(super) fn write(answer: &Answer<'_>, out: &mut dyn Write) -> io::Result<()> {
    let counts = answer.diff.counts();
    let counts: serde_json::Map<String, Value> = TableChangeKind::ALL
        .into_iter()
        .map(|kind| (kind.as_str().to_owned(), counts.get(&kind).copied().unwrap_or_default().into()))
        .collect();
    let old = match answer.old {
        Old::Sound(_) => "sound",
        Old::Nothing { .. } => "none",
        Old::Faulty(_) => "faulty",
    };
    let answer = json!({
        "differs": !answer.diff.is_empty(),
        "old": old,
        "rules": counts,
        "cautions": words::cautions(answer),
        "mappings": answer.diff.mappings.iter().map(mapping).collect::<Vec<_>>(),
        "keys": answer.keys,
    });
    writeln!(out, "{answer}")
}

fn mapping(mapping: &MappingDiff) -> Value {
    json!({
        "mapping": mapping.mapping,
        "landing": mapping.landing,
        "change": match mapping.change {
            MappingChange::Added => "added",
            MappingChange::Removed => "removed",
            MappingChange::Changed => "changed",
        },
        "settings": mapping.settings.iter().map(setting).collect::<Vec<_>>(),
        "tables": mapping.tables.iter().map(table).collect::<Vec<_>>(),
        "exact": mapping.is_exact,
    })
}

fn setting(setting: &SettingChange) -> Value {
    let SettingChange { name, old, new, consequence, is_loud } = setting;
    json!({ "name": name, "old": old, "new": new, "consequence": consequence, "loud": is_loud })
}

fn table(change: &TableChange) -> Value {
    json!({
        "tables": change.tables,
        "change": change.kind.as_str(),
        "example": change.example,
        "old": effect(&change.old),
        "old_rule": change.old_rule,
        "new": effect(&change.new),
        "new_rule": change.new_rule,
        "options": change.options.iter().map(setting).collect::<Vec<_>>(),
    })
}

fn effect(effect: &Effect) -> Value {
    match effect {
        Effect::Loaded(destination) => json!({ "effect": "loaded", "destination": destination }),
        Effect::Excluded => json!({ "effect": "excluded" }),
        Effect::Unmapped => json!({ "effect": "unmapped" }),
        Effect::Others(rules) => json!({ "effect": "by_other_rules", "rules": rules }),
    }
}
