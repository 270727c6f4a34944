//! In-memory twins of the traits, for tests: as strict as the services, and under the same contracts.

pub mod objects;
pub mod queue;
mod tables;
pub mod warehouse;
