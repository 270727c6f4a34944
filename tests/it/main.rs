//! Everything that is tested from outside the library, in one binary.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test stops at what it did not expect")]

mod aws_answers;
mod batch_bench;
mod cases;
mod cases_answers;
#[cfg(feature = "cli")]
mod cases_dms;
mod cases_events;
mod cases_keys;
mod cases_mappings;
mod cases_routes;
mod corpora;
mod clouds;
#[cfg(feature = "cli")]
mod closed_stdout;
#[cfg(feature = "cli")]
mod doctor;
mod environment;
#[cfg(feature = "cli")]
mod dms_properties;
mod error_codes;
#[cfg(feature = "cli")]
mod explain;
mod drive_table;
mod footer;
mod google;
mod handler;
mod handler_over_http;
mod hostile;
mod job_ids;
mod jobs_over_http;
mod kills_and_load;
#[path = "../support/runtime_api.rs"]
mod lambda_api;
#[cfg(feature = "cli")]
mod local;
mod log;
#[cfg(feature = "cli")]
mod mapping_diff;
mod mapping_refresh;
mod metrics;
mod objects;
mod outage;
mod pace;
mod plans;
#[cfg(feature = "cli")]
mod probe;
mod published_mappings;
#[path = "../support/process/mod.rs"]
mod process;
mod queue;
mod route_properties;
mod runtime_api;
mod samples;
mod schema;
mod tidy;
mod emulator;
mod twins;
mod warehouse;
mod what_hurt_others;

// What the benches share with the tests.
#[path = "../support/event_source.rs"]
mod event_source;
#[path = "../support/full_load.rs"]
mod full_load;
#[path = "../support/outage.rs"]
mod outage_of;
#[path = "../support/one_object_s3.rs"]
mod one_object_s3;
