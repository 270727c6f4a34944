//! **dms2bq** brings what AWS DMS writes to S3 into Google BigQuery: every row once, within seconds.
//!
//! Six nouns are the whole program. Each is a step, a module, a type and an error enum:
//!
//! ```text
//! event → object → key → route → job → outcome
//! ```
//!
//! [`pipeline`] tells the story on one screen. The steps are pure; what touches the world stands
//! behind the narrow traits of [`cloud`]; who calls the pipeline lives in [`entry`].

pub mod event;
pub mod object;
pub mod key;
pub mod route;
pub mod job;
pub mod outcome;

pub mod pipeline;

pub mod cloud;
pub mod config;
pub mod telemetry;
pub mod entry;

#[cfg(feature = "cli")]
pub mod dms;
#[cfg(feature = "cli")]
pub mod emulator;
