//! `dms2bq explain`: what would happen to an object, and why. Touches nothing.

mod answer;
mod human;
mod question;

use std::io::{self, Read, Write};
use std::process::ExitCode;

use clap::{Args, ValueEnum};

pub use answer::{Answer, Ending};

use crate::object::ETag;
use crate::route::Mappings;

/// Say what would happen to a file that lands in S3, and why. Touches nothing.
///
/// Reads the mappings of DMS2BQ_MAPPINGS and nothing else: no object, no table, no network. What it says is
/// what the Lambda would do with an event about the object, down to the id of the load job.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  dms2bq explain dms/casino-a/game/player/LOAD0000000A.parquet
  dms2bq explain s3://acme-landing/dms/casino-a/game/player/20221201-093015123.parquet --etag 9b2c…
  dms2bq explain event.json                         an event, an SQS message's body, or a whole batch
  aws sqs receive-message --queue-url … | dms2bq explain -
  dms2bq explain --format json - < event.json | jq -r .job_id

Keys are taken as they are, not encoded; only inside S3's events they are decoded. The job id depends on the
object's etag: an event tells it, for a key or an address --etag does.

Exit code: 0 if everything would be loaded or ignored, 1 if anything is an error, 2 if explain could not run.")]
pub struct ExplainArgs {
    /// A key, an s3:// address, or a file with an event; `-` reads an event from standard input. What exists
    /// as a file is a file.
    #[arg(required = true, value_name = "WHAT")]
    what: Vec<String>,
    /// The etag of the objects whose etag is not told otherwise; the job id depends on it.
    #[arg(long)]
    etag: Option<String>,
    /// How to answer: in words, or one JSON object per line and object.
    #[arg(long, value_enum, default_value_t)]
    format: OutputFormat,
}

/// How a command answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum OutputFormat {
    /// In words, for a person.
    #[default]
    Human,
    /// One JSON object per line, for a program.
    Json,
}

/// What `explain` has found, taken together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Everything would be loaded or ignored.
    Fine,
    /// Something is an error.
    Errors,
}

impl From<Verdict> for ExitCode {
    fn from(verdict: Verdict) -> Self {
        match verdict {
            Verdict::Fine => Self::SUCCESS,
            Verdict::Errors => Self::FAILURE,
        }
    }
}

/// Answers everything that was asked, in its order.
///
/// # Errors
/// When a file or standard input cannot be read, or the answer cannot be written.
pub fn run(
    args: &ExplainArgs,
    mappings: &Mappings,
    stdin: &mut dyn Read,
    out: &mut dyn Write,
) -> io::Result<Verdict> {
    let etag = args.etag.as_deref().and_then(ETag::parse);
    let mut verdict = Verdict::Fine;
    let mut first = true;
    for what in &args.what {
        for question in question::read(what, stdin)? {
            let answer = Answer::to(question, etag.as_ref(), mappings);
            if answer.ending == Ending::Error {
                verdict = Verdict::Errors;
            }
            match args.format {
                OutputFormat::Json => writeln!(out, "{}", serde_json::to_string(&answer)?)?,
                OutputFormat::Human if first => write!(out, "{}", human::in_words(&answer))?,
                OutputFormat::Human => write!(out, "\n{}", human::in_words(&answer))?,
            }
            first = false;
        }
    }
    Ok(verdict)
}
