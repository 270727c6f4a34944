//! The words that rules of a task are made of, so that a slip of the pen is not taken for something that changes no names.
//!
//! Source: the DMS user guide's pages on table mappings, data masking, data validation and tagging of S3 objects.

use super::fault::Fault;
use super::node::shortened;
use crate::route::nearest;

/// What a rule may be.
pub(super) const RULE_TYPES: [&str; 6] =
    ["selection", "transformation", "table-settings", "object-mapping", "post-processing", "validation"];

/// What a selection rule does.
pub(super) const SELECTION_ACTIONS: [&str; 3] = ["include", "exclude", "explicit"];

/// What a transformation is of.
pub(super) const TARGETS: [&str; 6] =
    ["schema", "table", "column", "table-tablespace", "index-tablespace", "tablespace"];

/// What a transformation does.
pub(super) const TRANSFORMATION_ACTIONS: [&str; 15] = [
    "rename",
    "convert-lowercase",
    "convert-uppercase",
    "add-prefix",
    "remove-prefix",
    "replace-prefix",
    "add-suffix",
    "remove-suffix",
    "replace-suffix",
    "add-column",
    "remove-column",
    "include-column",
    "change-data-type",
    "define-primary-key",
    "add-before-image-columns",
];

/// How the actions begin that hide what is in a column.
const MASKING: &str = "data-masking-";

pub(super) fn is_transformation(action: &str) -> bool {
    TRANSFORMATION_ACTIONS.contains(&action) || action.starts_with(MASKING)
}

pub(super) fn unknown_rule_type(given: &str) -> Fault {
    Fault::UnknownRuleType { given: shortened(given), nearest: meant(given, &RULE_TYPES) }
}

pub(super) fn unknown_action(given: &str, known: &[&'static str]) -> Fault {
    Fault::UnknownAction { given: shortened(given), nearest: meant(given, known) }
}

pub(super) fn unknown_target(given: &str) -> Fault {
    Fault::UnknownTarget { given: shortened(given), nearest: meant(given, &TARGETS) }
}

/// The word that somebody most likely meant.
fn meant(given: &str, known: &[&'static str]) -> Option<&'static str> {
    nearest(&given.to_lowercase(), known.iter().copied(), str::to_owned)
}
