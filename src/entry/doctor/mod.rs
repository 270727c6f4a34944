//! `dms2bq doctor`: is every hop as it has to be, and what to do about each that is not?
//!
//! `look` asks, [`facts`] keeps what was answered, [`judge`] says what it means, and `report` tells it. Only the first of
//! them touches the world.

pub mod facts;
pub mod finding;
pub mod judge;
mod look;
mod report;

use std::process::ExitCode;

use self::finding::{Finding, Level};
use super::check::CheckFormat;
use super::stdout::stdout;
use crate::config::Config;

/// The exit code where the worst finding is a warning. (1 is an error, 2 that doctor could not begin.)
const EXIT_WARNINGS: u8 = 3;

/// Proves each hop from S3 to BigQuery, and says what to do about each that fails.
///
/// It looks with your own credentials, changes nothing in AWS, and in each dataset makes one table that expires within
/// the hour, loads one row into it, and deletes it.
#[derive(Debug, Clone, clap::Args)]
#[command(after_help = "\
Examples:
  dms2bq doctor --function dms2bq                 everything, from the bucket to the datasets
  dms2bq doctor --function dms2bq --no-write      without the table
  dms2bq doctor --queue https://sqs.…/dms2bq      before there is a function
  dms2bq doctor --function dms2bq --format json | jq 'select(.level == \"error\")'

The mappings are those of the function, if it reads them from s3://; otherwise those of
DMS2BQ_MAPPINGS.

Exit codes:
  0  all that was looked at is fine
  1  something fails
  2  doctor could not begin
  3  nothing fails, and there are warnings; that neither --function nor --queue is named is one")]
pub struct DoctorArgs {
    /// A function that runs dms2bq, by name or ARN; its queues are found by its event sources. May be repeated.
    #[arg(long = "function", value_name = "NAME")]
    pub functions: Vec<String>,
    /// A queue besides those, by URL or ARN. May be repeated.
    #[arg(long = "queue", value_name = "URL")]
    pub queues: Vec<String>,
    /// Make no table: the datasets are read, and nothing says whether they can be written.
    #[arg(long)]
    pub no_write: bool,
    /// How to answer: for a person, or one JSON object per finding and line.
    #[arg(long, value_enum, default_value_t)]
    pub format: CheckFormat,
}

/// Looks, judges and tells.
///
/// # Errors
/// The settings for Google cannot be read, or the answer cannot be written.
pub async fn run(args: &DoctorArgs, config: &Config) -> anyhow::Result<ExitCode> {
    let facts = look::look(args, config).await?;
    let findings = judge::judge(&facts);
    match args.format {
        CheckFormat::Human => report::for_a_person(&findings, left_out(args), &mut stdout())?,
        CheckFormat::Json => report::as_json_lines(&findings, &mut stdout())?,
    }
    Ok(exit_code(&findings))
}

/// What was not asked for, and how to ask for it.
fn left_out(args: &DoctorArgs) -> Option<&'static str> {
    match (args.functions.is_empty(), args.queues.is_empty()) {
        (false, _) => None,
        (true, false) => {
            Some("The function and its event source were not looked at: name it with --function NAME.")
        }
        (true, true) => Some(
            "The queue, its event source and the function were not looked at: name the function with --function NAME.",
        ),
    }
}

fn exit_code(findings: &[Finding]) -> ExitCode {
    match worst(findings) {
        Level::Fine | Level::NotLooked => ExitCode::SUCCESS,
        Level::Warning => ExitCode::from(EXIT_WARNINGS),
        Level::Error => ExitCode::FAILURE,
    }
}

/// The worst level of all findings.
pub fn worst(findings: &[Finding]) -> Level {
    findings.iter().map(|finding| finding.level).max().unwrap_or(Level::Fine)
}
