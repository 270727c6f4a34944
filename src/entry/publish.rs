//! `dms2bq publish`: puts mappings in force, all at once.

use std::io::{self, Write};
use std::path::Path;
use std::process::ExitCode;

use clap::Args;
use serde_json::json;

use crate::cloud::aws;
use crate::cloud::aws::S3;
use crate::cloud::aws::mappings::{
    Current, FileChanges, InForce, PublishError, S3Folder, VersionId, in_force, mark_published, put_in_force,
    read_mappings, read_version, upload, version_before,
};
use crate::cloud::clock::{Clock, SystemClock};
use crate::entry::check::{self, CheckFormat};
use crate::entry::explain::OutputFormat;
use crate::entry::mapping_files::{MappingFilesError, read_local};
use crate::entry::stdout::{on_one_line, stdout};
use crate::outcome::record::Chain;
use crate::route::{MappingFile, Mappings};

/// The longest note, in characters: a commit and a sentence.
const MAX_NOTE_CHARS: usize = 500;

/// Publish mappings to S3: all of a change comes into force at once, or none of it.
///
/// A folder is published as a whole: what it does not hold is not in force any more. Its mappings are checked first, as by
/// `dms2bq check`, and nothing is published if one of them has a problem. Then publish writes the files as a version of their own, and puts the version in force with one conditional write of CURRENT: if somebody
/// else has published meanwhile, nothing changes. Workers with DMS2BQ_MAPPINGS=s3://bucket/prefix go by it within two
/// minutes.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  dms2bq publish mappings s3://acme-config/mappings --note \"$(git rev-parse HEAD)\"
  dms2bq publish --dry-run mappings s3://acme-config/mappings
  dms2bq publish --rollback s3://acme-config/mappings        back to the version before; once more undoes it

Needs s3:ListBucket on the bucket, s3:GetObject and s3:PutObject on the prefix.

Exit code: 0 if the mappings are in force (or were already), 1 if they have problems, somebody else has published
meanwhile, or there is nothing to go back to, 2 if publish could not run.")]
pub struct PublishArgs {
    /// The folder of all mappings, and where to; with --rollback, where to alone
    #[arg(required = true, num_args = 1..=2, value_names = ["DIR", "s3://BUCKET/PREFIX"])]
    places: Vec<String>,
    /// Put the version before in force again, if it has no problems
    #[arg(long)]
    rollback: bool,
    /// Check, compare, and write nothing
    #[arg(long)]
    dry_run: bool,
    /// What to remember beside the version, such as a commit
    #[arg(long, value_name = "TEXT")]
    note: Option<String>,
    /// How to answer: in words, or one JSON object (one for each problem and line, if there are any)
    #[arg(long, value_enum, default_value_t)]
    format: OutputFormat,
}

/// Refuses a note that is too long. It is not shown again: clap, which would do so, has no part in this.
fn check_note(note: &str) -> anyhow::Result<()> {
    let length = note.chars().count();
    anyhow::ensure!(
        length <= MAX_NOTE_CHARS,
        "the --note has {length} characters; {MAX_NOTE_CHARS} are the most, room for a commit and a sentence"
    );
    Ok(())
}

/// What to put in force.
enum What {
    /// These files.
    Files(Vec<MappingFile>),
    /// The version before.
    Before,
}

/// Publishes, and says what is in force.
///
/// # Errors
/// When the answer cannot be written, or the command line makes no sense.
pub async fn run(args: PublishArgs) -> anyhow::Result<ExitCode> {
    check_note(args.note.as_deref().unwrap_or_default())?;
    let mut out = stdout();
    let (what, folder) = match (args.places.as_slice(), args.rollback) {
        ([to], true) => (What::Before, S3Folder::parse(to)?),
        ([from, to], false) => {
            let folder = S3Folder::parse(to)?;
            refuse_one_file(Path::new(from))?;
            match read_local(Path::new(from)) {
                Ok(files) => match Mappings::parse(files.clone()) {
                    Ok(_) => (What::Files(files), folder),
                    Err(_) => return Ok(refuse(args.format, files, &mut out)?),
                },
                Err(error @ MappingFilesError::Files { .. }) => {
                    let format = as_check(args.format);
                    check::report_unreadable(format, Path::new(from), Some("DIR"), error, &mut out)?;
                    return Ok(say_refused(args.format, &mut out)?);
                }
                Err(error) => {
                    let (what, remedy) = error.of_argument("DIR");
                    anyhow::bail!("{what} [{}]\nhint: {remedy}", error.code())
                }
            }
        }
        ([only], false) => anyhow::bail!("{only:?} is one place; write DIR and s3://bucket/prefix"),
        (_, _) => {
            anyhow::bail!("--rollback takes s3://bucket/prefix alone: what it puts in force is there already")
        }
    };
    let s3 = S3::new(&aws::sdk_config().await);
    let publisher = Publisher {
        s3: &s3,
        folder: &folder,
        clock: &SystemClock,
        is_rollback: args.rollback,
        dry_run: args.dry_run,
        note: args.note,
        format: args.format,
    };
    Ok(publisher.publish(what, &mut out).await?)
}

/// Refuses a single file: published alone, it would put all other mappings out of force.
fn refuse_one_file(from: &Path) -> anyhow::Result<()> {
    anyhow::ensure!(
        !from.is_file(),
        "{} is a file, and what is published is a whole folder: mappings that are not in it are not in force any more\n\
         hint: name the folder that holds this mapping and all others",
        from.display()
    );
    Ok(())
}

/// Says every problem of mappings that have some; S3 is not asked about them.
fn refuse(format: OutputFormat, files: Vec<MappingFile>, out: &mut dyn Write) -> io::Result<ExitCode> {
    check::report(as_check(format), files, out)?;
    say_refused(format, out)
}

fn say_refused(format: OutputFormat, out: &mut dyn Write) -> io::Result<ExitCode> {
    if format == OutputFormat::Human {
        writeln!(out, "Nothing was published.")?;
    }
    Ok(ExitCode::FAILURE)
}

fn as_check(format: OutputFormat) -> CheckFormat {
    match format {
        OutputFormat::Human => CheckFormat::Human,
        OutputFormat::Json => CheckFormat::Json,
    }
}

/// What the check of sound mappings found.
#[derive(Clone, Copy)]
struct Checked {
    file_count: usize,
    warning_count: usize,
}

impl Checked {
    fn of(files: &[MappingFile], mappings: &Mappings) -> Self {
        Self { file_count: files.len(), warning_count: mappings.warnings().len() }
    }

    fn in_words(self) -> String {
        let files = match self.file_count {
            1 => "1 file".to_owned(),
            many => format!("{many} files"),
        };
        let warnings = match self.warning_count {
            0 => String::new(),
            1 => "; 1 warning, which `dms2bq check` shows".to_owned(),
            many => format!("; {many} warnings, which `dms2bq check` shows"),
        };
        format!("{files}, no problems{warnings}.")
    }
}

/// The exit code of "could not run".
const EXIT_COULD_NOT: u8 = 2;

struct Publisher<'a> {
    s3: &'a S3,
    folder: &'a S3Folder,
    clock: &'a dyn Clock,
    is_rollback: bool,
    dry_run: bool,
    note: Option<String>,
    format: OutputFormat,
}

impl Publisher<'_> {
    async fn publish(&self, what: What, out: &mut dyn Write) -> io::Result<ExitCode> {
        let checked = match &what {
            What::Files(files) => {
                Mappings::parse(files.clone()).ok().map(|mappings| Checked::of(files, &mappings))
            }
            What::Before => None,
        };
        let (files, before) = match self.prepare(what).await {
            Ok(prepared) => prepared,
            // S3 may be out of reach for whoever only wants to know whether the mappings are sound.
            Err(error) => return self.write_error(&error, checked, out),
        };
        let Ok(mappings) = Mappings::parse(files.clone()) else { return refuse(self.format, files, out) };
        match self.put(&files, &before).await {
            Ok(put) => {
                let told = Told { checked: Checked::of(&files, &mappings), before: &before, put: &put };
                self.write(&told, out)?;
                Ok(ExitCode::SUCCESS)
            }
            Err(error) => self.write_error(&error, None, out),
        }
    }

    /// What is to be put in force, and what is.
    async fn prepare(&self, what: What) -> Result<(Vec<MappingFile>, InForce), PublishError> {
        let before = in_force(self.s3, self.folder).await?;
        let files = match what {
            What::Files(files) => files,
            What::Before => {
                let previous = version_before(self.folder, &before)?;
                read_version(self.s3, self.folder, &previous).await?
            }
        };
        Ok((files, before))
    }

    async fn put(&self, files: &[MappingFile], before: &InForce) -> Result<Put, PublishError> {
        let id = VersionId::of(files);
        let current = before.current.as_ref();
        if let Some(current) = current.filter(|current| current.version == id) {
            // Whole, or it would not count as being in force.
            if !self.dry_run {
                upload(self.s3, self.folder, files).await?;
                mark_published(self.s3, self.folder).await?;
            }
            return Ok(Put { current: current.clone(), is_new: false, changes: None });
        }
        let was = self.files_before(before).await?;
        let changes = was.as_deref().map(|was| FileChanges::between(was, files));
        let seconds = i64::try_from(self.clock.unix_ms() / 1000).unwrap_or(i64::MAX);
        let published_at = jiff::Timestamp::from_second(seconds).map(|at| at.to_string()).unwrap_or_default();
        let previous = match current {
            Some(current) => self.last_good(current, was, &id).await?,
            None => None,
        };
        let next = Current::new(id, previous, published_at, self.note.clone());
        let next = if self.is_rollback { next.taking_back() } else { next };
        if !self.dry_run {
            upload(self.s3, self.folder, files).await?;
            put_in_force(self.s3, self.folder, before, &next).await?;
            mark_published(self.s3, self.folder).await?;
        }
        Ok(Put { current: next, is_new: true, changes })
    }

    /// The files in force, unless nobody can read them: then they are what is to be replaced.
    async fn files_before(&self, before: &InForce) -> Result<Option<Vec<MappingFile>>, PublishError> {
        let read = match &before.current {
            Some(current) => read_version(self.s3, self.folder, &current.version).await,
            None if before.plain_files > 0 => read_mappings(self.s3, self.folder).await,
            None => Ok(Vec::new()),
        };
        match read {
            Ok(files) => Ok(Some(files)),
            Err(error) if error.may_pass() => Err(error.into()),
            Err(_) => Ok(None),
        }
    }

    /// The version to go back to: the one in force, unless somebody put it there by hand and it cannot run.
    async fn last_good(
        &self,
        current: &Current,
        its_files: Option<Vec<MappingFile>>,
        next: &VersionId,
    ) -> Result<Option<VersionId>, PublishError> {
        if its_files.is_some_and(|files| Mappings::parse(files).is_ok()) {
            return Ok(Some(current.version.clone()));
        }
        let Some(before_it) = current.fallback().filter(|id| *id != next) else { return Ok(None) };
        match read_version(self.s3, self.folder, before_it).await {
            Ok(files) => Ok(Mappings::parse(files).is_ok().then(|| before_it.clone())),
            Err(error) if error.may_pass() => Err(error.into()),
            Err(_) => Ok(None),
        }
    }

    fn write(&self, told: &Told<'_>, out: &mut dyn Write) -> io::Result<()> {
        match self.format {
            OutputFormat::Json => writeln!(out, "{}", self.as_json(told)),
            OutputFormat::Human => self.write_words(told, out),
        }
    }

    fn as_json(&self, told: &Told<'_>) -> serde_json::Value {
        json!({
            "address": self.folder.to_string(),
            "version": told.put.current.version,
            "before": told.before.current,
            "changes": told.put.changes,
            "in_force": !self.dry_run || !told.put.is_new,
            "changed": told.put.is_new && !self.dry_run,
            "dry_run": self.dry_run,
            "rollback": self.is_rollback,
            "files": told.checked.file_count,
            "warnings": told.checked.warning_count,
        })
    }

    fn write_words(&self, told: &Told<'_>, out: &mut dyn Write) -> io::Result<()> {
        let Told { checked, before, put } = told;
        writeln!(out, "{}", self.folder)?;
        match &before.current {
            Some(was) if put.is_new => writeln!(out, "  was in force      {}", version_in_words(was))?,
            Some(_) => {}
            None => writeln!(out, "  was in force      nothing that was published")?,
        }
        let is = match (put.is_new, self.dry_run) {
            (true, true) => "would be in force",
            (true, false) => "is in force now",
            (false, _) => "is in force still",
        };
        writeln!(out, "  {is:<17} {}", version_in_words(&put.current))?;
        if let Some(changes) = &put.changes {
            write_changes(changes, out)?;
        }
        writeln!(out, "\n{}", checked.in_words())?;
        match (put.is_new, self.dry_run) {
            (true, true) => writeln!(out, "Nothing was written.")?,
            (true, false) => writeln!(
                out,
                "Workers go by it within two minutes. To go back: dms2bq publish --rollback {}",
                self.folder
            )?,
            (false, _) => writeln!(out, "They are the mappings that were in force, so nothing was changed.")?,
        }
        if before.plain_files > 0 {
            let what = "*.json directly below the prefix";
            writeln!(out, "The {what} are not read any more once CURRENT is there; delete them.")?;
        }
        Ok(())
    }

    fn write_error(
        &self,
        error: &PublishError,
        checked: Option<Checked>,
        out: &mut dyn Write,
    ) -> io::Result<ExitCode> {
        let (code, message, hint) = (error.code(), Chain(error).to_string(), error.remedy());
        match self.format {
            OutputFormat::Json => {
                let mut line = json!({ "level": "error", "code": code, "message": message, "hint": hint });
                if let Some(Checked { file_count, warning_count }) = checked {
                    line["files"] = file_count.into();
                    line["warnings"] = warning_count.into();
                }
                writeln!(out, "{line}")?;
            }
            OutputFormat::Human => {
                if let Some(checked) = checked {
                    writeln!(out, "{} Nothing was written, for S3 could not be read:", checked.in_words())?;
                }
                writeln!(out, "error [{code}] {message}\nhint: {hint}")?;
            }
        }
        Ok(match error {
            PublishError::Conflict { .. } | PublishError::NothingBefore { .. } => ExitCode::FAILURE,
            PublishError::Mappings(_)
            | PublishError::Unwritable { .. }
            | PublishError::Unsure { .. }
            | PublishError::Unmarked { .. } => ExitCode::from(EXIT_COULD_NOT),
        })
    }
}

/// What is in force, or would be.
struct Put {
    current: Current,
    is_new: bool,
    /// If it is new, and what was in force before can be read.
    changes: Option<FileChanges>,
}

struct Told<'a> {
    checked: Checked,
    before: &'a InForce,
    put: &'a Put,
}

fn write_changes(changes: &FileChanges, out: &mut dyn Write) -> io::Result<()> {
    let FileChanges { added, changed, dropped } = changes;
    for (what, names) in [("added", added), ("changed", changed), ("dropped", dropped)] {
        if !names.is_empty() {
            writeln!(out, "  {what:<17} {}", on_one_line(&names.join(", ")))?;
        }
    }
    if !dropped.is_empty() {
        writeln!(
            out,
            "\nWhat only a dropped file named is unmapped now: its files go to the dead-letter queue."
        )?;
    }
    Ok(())
}

fn version_in_words(current: &Current) -> String {
    let note = current.note.as_ref().map(|note| format!(" ({note})")).unwrap_or_default();
    format!("{} of {}{}", current.version, current.published_at, on_one_line(&note))
}
