//! Everything that is tested from outside the library, in one binary.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test stops at what it did not expect")]

mod google;
mod objects;
mod runtime_api;
mod s3_answers;
mod cases;
mod cases_events;
mod cases_keys;
mod cases_mappings;
mod cases_routes;
mod google;
mod job_ids;
mod objects;
mod route_properties;
mod s3_answers;
mod footer;
mod samples;
mod schema;
