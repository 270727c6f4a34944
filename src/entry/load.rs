//! `dms2bq load`: one object, now, by the same pipeline and under the same job id.

use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use serde_json::json;

use crate::cloud::Deadline;
use crate::cloud::clock::{Clock, SystemClock};
use crate::config::Config;
use crate::entry::assemble;
use crate::event::Receipt;
use crate::event::{Created, Notice};
use crate::object::{ETag, ObjectRef, VersionId};
use crate::outcome::record::Record;

/// How long a load may take when nobody says so.
const DEFAULT_TIMEOUT_SECS: u64 = 900;

/// Load one object of S3 now, by the same pipeline and under the same job id as the Lambda.
///
/// Loading it twice is harmless: the second time finds the first one's job. A load counts as sent now, so an
/// object whose last job failed for good is tried again, as after a redrive.
///
///   dms2bq load s3://acme-landing/dms/casino-a/game/player/LOAD00000001.parquet
///
/// Reads the mappings of DMS2BQ_MAPPINGS, and the credentials of both clouds where their own tools find them.
/// Exit code: 0 loaded (now or before) or nothing to load, 1 not loaded and won't be as it is, 75 try again.
#[derive(Debug, Args)]
#[command(verbatim_doc_comment)]
pub struct LoadArgs {
    /// The object's address, its key as it is (not encoded).
    #[arg(value_name = "s3://BUCKET/KEY")]
    address: String,
    /// Load the bytes with this etag and no others; without it, those that are there now.
    #[arg(long)]
    etag: Option<String>,
    /// Load this version of the object.
    #[arg(long)]
    version_id: Option<String>,
    /// Give up waiting after this many seconds. BigQuery goes on; the next `load` finds its job.
    #[arg(long, default_value_t = DEFAULT_TIMEOUT_SECS, value_name = "SECONDS")]
    timeout_secs: u64,
    /// Print the record as one line of JSON.
    #[arg(long, value_enum, default_value_t = crate::entry::explain::OutputFormat::Human)]
    format: crate::entry::explain::OutputFormat,
}
