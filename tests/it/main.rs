//! Everything that is tested from outside the library, in one binary.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test stops at what it did not expect")]

mod google;
mod objects;
mod s3_answers;
mod cases;
mod cases_events;
mod cases_keys;
mod cases_mappings;
mod cases_routes;
mod job_ids;
mod route_properties;
mod footer;
mod samples;
mod schema;
mod emulator;
