//! In-memory twins of the traits, for tests: as strict as the services, and under the same contracts.

pub mod objects;
mod tables;
pub mod warehouse;
