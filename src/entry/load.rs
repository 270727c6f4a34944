//! `dms2bq load`: one object, now, by the same pipeline and under the same job id.

use std::io::Write;
use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use serde_json::json;

use crate::cloud::Deadline;
use crate::cloud::clock::{Clock, SystemClock};
use crate::config::Config;
use crate::entry::assemble;
use crate::entry::explain::OutputFormat;
use crate::entry::stdout::stdout;
use crate::event::Receipt;
use crate::event::{Created, Notice};
use crate::object::{ETag, ObjectRef, VersionId};
use crate::outcome::Disposition;
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
    #[arg(
        long,
        default_value_t = DEFAULT_TIMEOUT_SECS,
        value_name = "SECONDS",
        value_parser = clap::value_parser!(u64).range(1..=86_400)
    )]
    timeout_secs: u64,
    /// Print the record as one line of JSON.
    #[arg(long, value_enum, default_value_t = OutputFormat::Human)]
    format: OutputFormat,
}

/// The exit code of "try again later", as in `sysexits.h`.
const EXIT_TRY_AGAIN: u8 = 75;

/// The pause before a returned object is taken up again.
const PAUSE: Duration = Duration::from_secs(2);

/// Loads the object and tells what became of it.
pub async fn run(args: LoadArgs, config: &Config) -> ExitCode {
    let object = match parse(&args) {
        Ok(object) => object,
        Err(problem) => {
            eprintln!("error: {problem}");
            return ExitCode::from(2);
        }
    };
    let handler = match assemble::handler(config).await {
        Ok(handler) => handler,
        Err(error) => {
            eprintln!("error: {error:#}");
            return ExitCode::from(2);
        }
    };
    let clock = SystemClock;
    let deadline = Deadline::at(clock.now() + Duration::from_secs(args.timeout_secs));
    let notice = Notice::Created(Created { object, copied: false, landed_at_ms: None });
    // Sent now, and never fresh: what is loaded already is found before S3 is asked for a byte.
    let receipt = Receipt {
        message_id: "dms2bq-load".to_owned(),
        receive_count: 1,
        sent_at_ms: Some(clock.unix_ms()),
        redriven: true,
        ..Receipt::default()
    };
    let mut told = None;
    loop {
        let record = handler.handle_one(notice.clone(), receipt.clone(), deadline).await;
        let again = record.disposition.is_some_and(Disposition::passes_by_itself);
        let pause = match record.disposition {
            Some(Disposition::Paced { after }) => after.max(PAUSE),
            Some(_) | None => PAUSE,
        };
        if !again || deadline.left(&clock) < pause {
            print(&record, args.format);
            return exit_code(&record);
        }
        if told != record.message {
            let message = record.message.as_deref().unwrap_or_default();
            let left_secs = deadline.left(&clock).as_secs();
            eprintln!("{}: {message}; trying again for {left_secs} s", record.code.unwrap_or_default());
            told = record.message;
        }
        clock.sleep(pause).await;
    }
}

fn parse(args: &LoadArgs) -> Result<ObjectRef, String> {
    let parts = args.address.strip_prefix("s3://").and_then(|rest| rest.split_once('/'));
    let Some((bucket, key)) = parts.filter(|(bucket, key)| !bucket.is_empty() && !key.is_empty()) else {
        return Err(format!("{:?} is no address of an object: write s3://BUCKET/KEY", args.address));
    };
    Ok(ObjectRef {
        bucket: bucket.to_owned(),
        key: key.to_owned(),
        version_id: args.version_id.as_deref().and_then(VersionId::parse),
        etag: args.etag.as_deref().and_then(ETag::parse),
        size_bytes: None,
    })
}

fn print(record: &Record, format: OutputFormat) {
    let text = match format {
        OutputFormat::Json => json!(record).to_string(),
        OutputFormat::Human => in_words(record),
    };
    // The exit code says what became of the file to whoever does not read.
    let _unread = writeln!(stdout(), "{text}");
}

fn in_words(record: &Record) -> String {
    let destination = record.destination.as_deref().unwrap_or("BigQuery");
    let job_id = record.job_id.as_deref().unwrap_or("none");
    let rows = record.row_count.unwrap_or_default();
    match (record.outcome, record.code) {
        ("loaded", Some(_adopted)) => {
            format!("loaded before: {rows} rows are in {destination} by job {job_id}")
        }
        ("loaded", None) => format!("loaded {rows} rows into {destination} by job {job_id}"),
        ("ignored", code) => {
            let reason = record.message.as_deref().unwrap_or_default();
            format!("nothing to load [{}]: {reason}", code.unwrap_or_default())
        }
        (_, code) => {
            let message = record.message.as_deref().unwrap_or_default();
            let remedy = record.remedy.as_deref().unwrap_or_default();
            format!("not loaded [{}]: {message}\nwhat to do: {remedy}", code.unwrap_or_default())
        }
    }
}

fn exit_code(record: &Record) -> ExitCode {
    match record.disposition {
        // Superseded: nobody's own event follows a person's load.
        None if record.notable => ExitCode::FAILURE,
        None => ExitCode::SUCCESS,
        Some(disposition) if disposition.passes_by_itself() => ExitCode::from(EXIT_TRY_AGAIN),
        Some(_) => ExitCode::FAILURE,
    }
}
