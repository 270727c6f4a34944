//! `dms2bq diff`: what a change of the mappings would change.

mod datasets;
mod human;
pub mod keys;
pub mod listing;
mod json;
mod markdown;
mod words;

use std::fs::File;
use std::io::{self, BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, ValueEnum};

use self::datasets::NewDataset;
use self::keys::KeysReport;
use crate::cloud::aws::mappings::{MappingsError, S3Folder};
use crate::config::MappingsLocation;
use crate::entry::assemble::{self, ReadError};
use crate::entry::check::{self, CheckFormat};
use crate::entry::mapping_files::MappingFilesError;
use crate::entry::stdout::stdout;
use crate::route::diff::MappingsDiff;
use crate::route::{MappingFile, MappingProblems, Mappings};

/// Show what a change of the mappings would change: tables added, removed, re-routed or excluded, and options.
///
/// OLD and NEW are each a file, a folder, or an address in S3, whose mappings in force count.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  dms2bq diff s3://acme-config/mappings mappings            what publishing would change
  git worktree add /tmp/main main && dms2bq diff /tmp/main/mappings mappings
  aws s3 ls --recursive s3://acme-landing/dms/ > yesterday.txt
  dms2bq diff OLD NEW --keys yesterday.txt                  … and how many real files it would move

A listing is one key or address (s3://, https://) to a line, or what `aws s3 ls --recursive` or
`aws s3api list-objects-v2` prints, or S3 Inventory's CSV. It is read as a stream: millions of files are fine.

Exit code: 0 if NEW can run, 1 if it has problems, 2 if diff could not run. With --exit-code, 3 if NEW can run and
differs from OLD.")]
pub struct DiffArgs {
    /// The mappings until now
    #[arg(value_name = "OLD")]
    old: String,
    /// The mappings from now on
    #[arg(value_name = "NEW")]
    new: String,
    /// A listing of files: say what becomes of each; `-` reads standard input
    #[arg(long, value_name = "FILE")]
    keys: Option<PathBuf>,
    /// The bucket of keys whose bucket the listing does not name; needed if the mappings have several
    #[arg(long, value_name = "BUCKET", requires = "keys")]
    bucket: Option<String>,
    /// How to answer
    #[arg(long, value_enum, default_value_t)]
    format: DiffFormat,
    /// Exit with 3 if anything differs
    #[arg(long)]
    exit_code: bool,
}

/// How `diff` answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum DiffFormat {
    /// In words, for a terminal.
    #[default]
    Human,
    /// For the summary of a pipeline's run, or a comment.
    Markdown,
    /// One JSON object.
    Json,
}

/// What `diff` found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Nothing differs.
    Same,
    /// Something differs, and NEW can run.
    Differs,
    /// NEW has problems.
    Faulty,
}

/// The exit code of "there are differences", for whoever asks.
const EXIT_DIFFERS: u8 = 3;

/// The mappings until now.
pub enum Old {
    /// They can run.
    Sound(Mappings),
    /// There are none.
    Nothing {
        /// Where there are none.
        place: String,
    },
    /// They have problems, so nothing ran with them.
    Faulty(MappingProblems),
}

impl Old {
    fn mappings(&self) -> Option<&Mappings> {
        match self {
            Self::Sound(mappings) => Some(mappings),
            Self::Nothing { .. } | Self::Faulty(_) => None,
        }
    }
}

/// All that there is to say, besides NEW's problems.
struct Answer<'a> {
    old: &'a Old,
    diff: MappingsDiff,
    /// Datasets that the mappings until now do not load into.
    new_datasets: Vec<NewDataset>,
    keys: Option<KeysReport>,
}

/// Compares, and writes the answer to standard output.
///
/// # Errors
/// When a side or the listing cannot be read, or the answer cannot be written.
pub async fn run(args: &DiffArgs) -> anyhow::Result<ExitCode> {
    let mut out = stdout();
    let old = read_old(&args.old).await?;
    let new = match read("NEW", &args.new).await? {
        Side::Files(files) => files,
        Side::Nothing(error) => return Err(error),
        Side::InPart(error) => {
            write_check(args.format, &mut out, |format, out| {
                check::report_unreadable(format, Path::new(&args.new), Some("NEW"), error, out)
            })?;
            return Ok(ExitCode::FAILURE);
        }
    };
    let verdict = match args.keys.as_deref() {
        None => compare(&old, new, None::<(io::Empty, _)>, args.format, &mut out)?,
        Some(path) if path.as_os_str() == "-" => {
            let listing = Some((io::stdin().lock(), args.bucket.as_deref()));
            compare(&old, new, listing, args.format, &mut out)?
        }
        Some(path) => {
            let file = File::open(path).map_err(|error| anyhow::anyhow!("{}: {error}", path.display()))?;
            let listing = Some((BufReader::new(file), args.bucket.as_deref()));
            compare(&old, new, listing, args.format, &mut out)?
        }
    };
    Ok(match verdict {
        Verdict::Faulty => ExitCode::FAILURE,
        Verdict::Differs if args.exit_code => ExitCode::from(EXIT_DIFFERS),
        Verdict::Same | Verdict::Differs => ExitCode::SUCCESS,
    })
}

/// Compares two sides that were read.
///
/// # Errors
/// When the listing cannot be read, or the answer cannot be written.
pub fn compare(
    old: &Old,
    new: Vec<MappingFile>,
    listing: Option<(impl BufRead, Option<&str>)>,
    format: DiffFormat,
    out: &mut dyn Write,
) -> anyhow::Result<Verdict> {
    let Ok(mappings) = Mappings::parse(new.clone()) else {
        // There is nothing to compare; what `check` says is what there is to say.
        write_check(format, out, |format, out| check::report(format, new, out))?;
        return Ok(Verdict::Faulty);
    };
    let before = old.mappings();
    let old_landings = before.map(Mappings::landings).unwrap_or_default();
    let keys = match listing {
        Some((listing, bucket)) => Some(KeysReport::of(listing, bucket, before, &mappings)?),
        None => None,
    };
    let answer = Answer {
        old,
        diff: MappingsDiff::between(old_landings, mappings.landings()),
        new_datasets: match old {
            // What broken mappings name is not known, and most likely there.
            Old::Faulty(_) => Vec::new(),
            Old::Sound(_) | Old::Nothing { .. } => datasets::new(old_landings, mappings.landings()),
        },
        keys,
    };
    match format {
        DiffFormat::Human => human::write(&answer, out)?,
        DiffFormat::Markdown => markdown::write(&answer, out)?,
        DiffFormat::Json => json::write(&answer, out)?,
    }
    Ok(if answer.diff.is_empty() { Verdict::Same } else { Verdict::Differs })
}

/// Says why NEW cannot run, as `check` does.
fn write_check(
    format: DiffFormat,
    out: &mut dyn Write,
    check: impl FnOnce(CheckFormat, &mut dyn Write) -> io::Result<check::Verdict>,
) -> io::Result<()> {
    match format {
        DiffFormat::Human => check(CheckFormat::Human, out)?,
        DiffFormat::Json => check(CheckFormat::Json, out)?,
        DiffFormat::Markdown => {
            let mut said = Vec::new();
            let verdict = check(CheckFormat::Human, &mut said)?;
            let said = String::from_utf8_lossy(&said);
            writeln!(out, "### The mappings have problems\n\n{}", markdown::block(&said))?;
            verdict
        }
    };
    Ok(())
}

/// What was read of a side.
enum Side {
    Files(Vec<MappingFile>),
    /// There are no mappings at all, in words.
    Nothing(anyhow::Error),
    /// Some of the files cannot be read.
    InPart(MappingFilesError),
}

/// The mappings until now. That there are none is an answer: somebody begins.
async fn read_old(given: &str) -> anyhow::Result<Old> {
    match read("OLD", given).await? {
        Side::Files(files) => Ok(read_as_old(files)),
        Side::Nothing(_) => Ok(Old::Nothing { place: given.to_owned() }),
        Side::InPart(error) => Err(in_words("OLD", &ReadError::Local(error))),
    }
}

/// The mappings until now, from their files.
pub fn read_as_old(files: Vec<MappingFile>) -> Old {
    match Mappings::parse(files) {
        Ok(mappings) => Old::Sound(mappings),
        Err(problems) => Old::Faulty(problems),
    }
}

/// Where an argument of the command line says that mappings are.
///
/// # Errors
/// For an `s3://` address that is none.
pub fn place(place: &str) -> anyhow::Result<MappingsLocation> {
    Ok(match place.starts_with("s3://") {
        true => MappingsLocation::S3(S3Folder::parse(place)?),
        false => MappingsLocation::Local(PathBuf::from(place)),
    })
}

async fn read(argument: &str, given: &str) -> anyhow::Result<Side> {
    match assemble::read_mappings_at(&place(given)?).await {
        Ok(files) => Ok(Side::Files(files)),
        Err(ReadError::Local(error @ MappingFilesError::Files { .. })) => Ok(Side::InPart(error)),
        Err(
            error @ (ReadError::Local(MappingFilesError::None { .. })
            | ReadError::S3(MappingsError::NoneFound { .. })),
        ) => Ok(Side::Nothing(in_words(argument, &error))),
        Err(error @ (ReadError::Local(_) | ReadError::S3(_) | ReadError::NoAnswer { .. })) => {
            Err(in_words(argument, &error))
        }
    }
}

fn in_words(argument: &str, error: &ReadError) -> anyhow::Error {
    match error {
        ReadError::Local(local) => {
            let (what, remedy) = local.of_argument(argument);
            anyhow::anyhow!("{what} [{}]\nhint: {remedy}", local.code())
        }
        ReadError::S3(_) | ReadError::NoAnswer { .. } => anyhow::anyhow!("{argument}: {}", error.in_words()),
    }
}
