//! Deliberate defects.

/// A defect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Defect {
    AckBeforeLoad,
}
