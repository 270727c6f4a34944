//! The experiments themselves, by the parts of `docs/verified.md`.

pub(super) mod aws;
pub(super) mod jobs;
pub(super) mod schemas;
pub(super) mod uploads;
