//! `dms2bq check`: are the mappings sound, and does DMS write what they expect?

pub(super) mod dms;
mod passed_over;
mod rule_names;

use std::collections::BTreeSet;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use serde::Serialize;

use self::rule_names::RuleNames;
use super::assemble;
use super::mapping_files::{MappingFilesError, read_local};
use crate::config::MappingsLocation;
use crate::outcome::record::Chain;
use crate::route::{Landing, MappingFile, MappingProblems, MappingWarning, Mappings, schema};

/// Validates the mappings and lists every problem of every file at once; with DMS's own files, compares those as well.
///
/// Exit code 0 means that the mappings can run and that nothing given of DMS works against them; 1, that there are
/// errors. Warnings change no exit code.
#[derive(Debug, Clone, clap::Args)]
#[command(after_help = "\
Examples:
  dms2bq check                                    the mappings in ./mappings
  dms2bq check new.json                           one file
  dms2bq check --format json | jq -r .code        for a program
  dms2bq check --print-schema > mappings/schema.json

Every problem shows the file, the place in it, what is wrong and what to do. Warnings are about
what is legal and probably not meant; they change no exit code.

With DMS's side:
  dms2bq check --dms table-mappings.json --mapping casino-a
  aws dms describe-endpoints --filters Name=endpoint-id,Values=casino-a > endpoint.json
  aws dms describe-replication-tasks \\
    --filters Name=replication-task-id,Values=casino-a > tasks.json
  dms2bq check --endpoint endpoint.json --dms tasks.json --tables 70

`--dms` names tables that the task selects and no rule of the mapping takes, tables that the
mapping waits for and no task selects, and tables that a transformation gives another name than
the mapping means; each with an example. Which mapping a task writes to is said by --mapping, or
by the bucket and folder of --endpoint, or there is only one. Give all tasks that write there, and
no others: `--dms a.json --dms b.json`.

`--endpoint` says which of the endpoint's settings lose, delay or refuse rows. docs/dms.md explains
each, and docs/errors.md every code. What you know about and want: `--allow endpoint.leaves_out`.")]
#[command(group = clap::ArgGroup::new("of_dms").args(["dms", "endpoint", "task_settings"]).multiple(true))]
pub struct CheckArgs {
    /// The mappings: a file, a folder or s3://bucket/prefix [default: DMS2BQ_MAPPINGS, or `mappings`]
    #[arg(value_name = "PATH")]
    pub place: Option<String>,
    /// How to answer: for a person, or one JSON object per problem and line
    #[arg(long, value_enum, default_value_t)]
    pub format: CheckFormat,
    /// Print the JSON Schema of mappings instead, for editors
    #[arg(long)]
    pub print_schema: bool,
    /// Compare with a DMS task's table mappings, or with the tasks that `aws dms describe-replication-tasks` prints;
    /// may be given several times
    #[arg(long, value_name = "FILE")]
    pub dms: Vec<PathBuf>,
    /// Look at an endpoint's settings, as `aws dms describe-endpoints` prints them; may be given several times
    #[arg(long, value_name = "FILE")]
    pub endpoint: Vec<PathBuf>,
    /// Look at a task's settings; may be given several times
    #[arg(long, value_name = "FILE")]
    pub task_settings: Vec<PathBuf>,
    /// The mapping that DMS writes for, by its name (casino-a) or file
    #[arg(long, value_name = "NAME|FILE", requires = "of_dms")]
    pub mapping: Option<String>,
    /// How many tables an endpoint writes, where the mapping has patterns: for the quotas
    #[arg(long, value_name = "N", requires = "of_dms", value_parser = clap::value_parser!(u64).range(1..=1_000_000))]
    pub tables: Option<u64>,
    /// The function's time-out in seconds: a file of a full load has to be sent within it
    #[arg(long, value_name = "SECONDS", requires = "of_dms", default_value_t = 120, value_parser = clap::value_parser!(u64).range(1..=900))]
    pub function_timeout_s: u64,
    /// The source endpoint's escapeCharacter (Oracle), after which a wildcard stands for itself
    #[arg(long, value_name = "C", requires = "of_dms")]
    pub escape_character: Option<char>,
    /// Take an error about DMS as a warning, and leave out a warning, by its code; may be given several times
    #[arg(long, value_name = "CODE", requires = "of_dms")]
    pub allow: Vec<String>,
}

impl CheckArgs {
    /// The arguments of a plain `dms2bq check`.
    pub fn of_mappings(format: CheckFormat) -> Self {
        Self {
            place: None,
            format,
            print_schema: false,
            dms: Vec::new(),
            endpoint: Vec::new(),
            task_settings: Vec::new(),
            mapping: None,
            tables: None,
            function_timeout_s: 120,
            escape_character: None,
            allow: Vec::new(),
        }
    }

    fn asks_about_dms(&self) -> bool {
        !(self.dms.is_empty() && self.endpoint.is_empty() && self.task_settings.is_empty())
    }

    fn dms_files(&self) -> String {
        self.dms.iter().map(|path| path.display().to_string()).collect::<Vec<_>>().join(", ")
    }
}

/// How `check` answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub enum CheckFormat {
    /// Text for a person.
    #[default]
    Human,
    /// One JSON object per line.
    Json,
}

/// What `check` found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// The mappings can run.
    Sound,
    /// They have problems.
    Faulty,
}

impl From<Verdict> for ExitCode {
    fn from(verdict: Verdict) -> Self {
        match verdict {
            Verdict::Sound => Self::SUCCESS,
            Verdict::Faulty => Self::FAILURE,
        }
    }
}

/// Runs `check` for mappings wherever they are.
///
/// # Errors
/// When the answer cannot be written.
pub async fn run_at(args: &CheckArgs, place: &MappingsLocation, out: &mut dyn Write) -> io::Result<Verdict> {
    let folder = match place {
        MappingsLocation::Local(path) => return run(args, path, out),
        MappingsLocation::S3(_) if args.print_schema => return print_schema(out),
        MappingsLocation::S3(folder) => folder,
    };
    match assemble::read_mappings_at(place).await {
        Ok(files) => report_with_dms(args, files, out),
        Err(error) => {
            let finding = Finding {
                level: "error",
                code: error.code(),
                file: folder.to_string(),
                path: String::new(),
                message: Chain(&error).to_string(),
                hint: error.remedy(),
                rule: None,
            };
            write_unreadable(args.format, vec![finding], out)
        }
    }
}

fn print_schema(out: &mut dyn Write) -> io::Result<Verdict> {
    out.write_all(schema::text().as_bytes())?;
    Ok(Verdict::Sound)
}

/// Runs `check` for mappings on this machine.
///
/// # Errors
/// When the answer cannot be written.
pub fn run(args: &CheckArgs, path: &Path, out: &mut dyn Write) -> io::Result<Verdict> {
    if args.print_schema {
        return print_schema(out);
    }
    let passed_over = passed_over::find(path);
    match read_local(path) {
        Ok(files) => report_all(args, files, passed_over, out),
        Err(error) => {
            let argument = args.place.as_ref().map(|_| "PATH");
            let is_empty = matches!(error, MappingFilesError::None { .. });
            let verdict = report_unreadable(args.format, path, argument, error, out)?;
            if is_empty {
                write_further(args.format, passed_over, out)?;
            }
            Ok(verdict)
        }
    }
}

/// Checks mappings that somebody has read, from wherever.
///
/// # Errors
/// When the answer cannot be written.
pub fn report(format: CheckFormat, files: Vec<MappingFile>, out: &mut dyn Write) -> io::Result<Verdict> {
    report_with_dms(&CheckArgs::of_mappings(format), files, out)
}

/// The same, and what was given of DMS with them.
///
/// # Errors
/// When the answer cannot be written.
pub fn report_with_dms(
    args: &CheckArgs,
    files: Vec<MappingFile>,
    out: &mut dyn Write,
) -> io::Result<Verdict> {
    report_all(args, files, Vec::new(), out)
}

/// The same, and what of a folder was not read.
fn report_all(
    args: &CheckArgs,
    files: Vec<MappingFile>,
    passed_over: Vec<Finding>,
    out: &mut dyn Write,
) -> io::Result<Verdict> {
    let file_count = files.len();
    let names = RuleNames::of(&files);
    match Mappings::parse(files) {
        Ok(mappings) => {
            let mut warnings: Vec<Finding> =
                mappings.warnings().iter().map(|warning| Finding::of_warning(warning, &names)).collect();
            warnings.extend(passed_over);
            match args.format {
                CheckFormat::Human => write_sound(&mappings, warnings, out)?,
                CheckFormat::Json => write_lines(warnings, out)?,
            }
            if args.asks_about_dms() { dms::report(args, &mappings, out) } else { Ok(Verdict::Sound) }
        }
        Err(problems) => {
            match args.format {
                CheckFormat::Human => write_faulty(&problems, &names, file_count, out)?,
                CheckFormat::Json => write_lines(Finding::of_problems(&problems, &names), out)?,
            }
            Ok(Verdict::Faulty)
        }
    }
}

/// Writes findings behind others.
fn write_further(format: CheckFormat, findings: Vec<Finding>, out: &mut dyn Write) -> io::Result<()> {
    match format {
        CheckFormat::Human if findings.is_empty() => Ok(()),
        CheckFormat::Human => {
            writeln!(out)?;
            write_findings(findings, out)
        }
        CheckFormat::Json => write_lines(findings, out),
    }
}

/// Says what could not be read, and every problem of what could. `argument` named the place, or else the environment did.
pub(super) fn report_unreadable(
    format: CheckFormat,
    path: &Path,
    argument: Option<&str>,
    error: MappingFilesError,
    out: &mut dyn Write,
) -> io::Result<Verdict> {
    let code = error.code();
    let finding = |file: &Path, message, hint| Finding {
        level: "error",
        code,
        file: file.display().to_string(),
        path: String::new(),
        message,
        hint,
        rule: None,
    };
    let findings: Vec<Finding> = match (error, argument) {
        (MappingFilesError::Files { first, further, read }, _) => {
            let is_single = first.path == path;
            let unread: Vec<Finding> = [first]
                .into_iter()
                .chain(further)
                .map(|file| {
                    let message =
                        format!("the mappings at {} cannot be read: {}", file.path.display(), file.why);
                    finding(&file.path, message, file.remedy())
                })
                .collect();
            let names = RuleNames::of(&read);
            let problems = if read.is_empty() { None } else { Mappings::parse(read).err() };
            if is_single || (unread.len() == 1 && problems.is_none()) {
                unread
            } else {
                let problems: Vec<Finding> =
                    problems.iter().flat_map(|problems| Finding::of_problems(problems, &names)).collect();
                return write_unread(format, unread, problems, out);
            }
        }
        (error, Some(argument)) => {
            let (message, hint) = error.of_argument(argument);
            vec![finding(path, message, hint)]
        }
        (error, None) => {
            let why =
                std::error::Error::source(&error).map(|source| format!(": {source}")).unwrap_or_default();
            vec![finding(path, format!("{error}{why}"), error.remedy())]
        }
    };
    write_unreadable(format, findings, out)
}

/// Says what stands in the way of reading any mapping.
fn write_unreadable(format: CheckFormat, findings: Vec<Finding>, out: &mut dyn Write) -> io::Result<Verdict> {
    match format {
        CheckFormat::Human => {
            for Finding { code, message, hint, .. } in &findings {
                writeln!(out, "error [{code}] {message}\nhint: {hint}")?;
            }
        }
        CheckFormat::Json => write_lines(findings, out)?,
    }
    Ok(Verdict::Faulty)
}

/// What could not be read, and the problems of what could, by file.
fn write_unread(
    format: CheckFormat,
    unread: Vec<Finding>,
    problems: Vec<Finding>,
    out: &mut dyn Write,
) -> io::Result<Verdict> {
    let mut findings = [unread, problems].concat();
    findings.sort_by(|a, b| a.file.cmp(&b.file));
    let count = findings.len();
    match format {
        CheckFormat::Human => {
            write_findings(findings, out)?;
            writeln!(out, "\n{}. Nothing runs with these mappings.", counted(count, "problem"))?;
        }
        CheckFormat::Json => write_lines(findings, out)?,
    }
    Ok(Verdict::Faulty)
}

/// A problem or a warning, as `--format json` writes it.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Finding {
    level: &'static str,
    code: &'static str,
    file: String,
    path: String,
    message: String,
    hint: String,
    /// The rule of the mapping that it is about, for a person to find it.
    #[serde(skip)]
    rule: Option<String>,
}

impl Finding {
    fn of_problems(problems: &MappingProblems, names: &RuleNames) -> impl Iterator<Item = Self> {
        problems.iter().map(|problem| Self {
            rule: names.at(problem.file(), problem.path()),
            level: "error",
            code: problem.code(),
            file: problem.file().to_owned(),
            path: problem.path().to_owned(),
            message: problem.fault().to_string(),
            hint: problem.remedy(),
        })
    }

    fn of_warning(warning: &MappingWarning, names: &RuleNames) -> Self {
        Self {
            rule: names.at(warning.file(), &warning.path()),
            level: "warning",
            code: warning.code(),
            file: warning.file().to_owned(),
            path: warning.path(),
            message: warning.doubt().to_string(),
            hint: warning.remedy(),
        }
    }
}

fn write_lines(findings: impl IntoIterator<Item = Finding>, out: &mut dyn Write) -> io::Result<()> {
    for finding in findings {
        serde_json::to_writer(&mut *out, &finding)?;
        writeln!(out)?;
    }
    Ok(())
}

fn write_finding(finding: &Finding, out: &mut dyn Write) -> io::Result<()> {
    let Finding { level, code, path, message, hint, rule, .. } = finding;
    if !path.is_empty() {
        let rule = rule.as_ref().map(|rule| format!(" ({rule})")).unwrap_or_default();
        writeln!(out, "  {path}{rule}")?;
    }
    writeln!(out, "    {level} [{code}] {message}")?;
    writeln!(out, "    hint: {hint}")
}

/// The findings under the names of their files.
pub(super) fn write_findings(
    findings: impl IntoIterator<Item = Finding>,
    out: &mut dyn Write,
) -> io::Result<()> {
    let mut current = None;
    for finding in findings {
        if current.as_ref() != Some(&finding.file) {
            if current.is_some() {
                writeln!(out)?;
            }
            writeln!(out, "{}", finding.file)?;
        }
        write_finding(&finding, out)?;
        current = Some(finding.file);
    }
    Ok(())
}

fn write_faulty(
    problems: &MappingProblems,
    names: &RuleNames,
    file_count: usize,
    out: &mut dyn Write,
) -> io::Result<()> {
    let faulty: BTreeSet<&str> = problems.iter().map(|problem| problem.file()).collect();
    write_findings(Finding::of_problems(problems, names), out)?;
    writeln!(out)?;
    writeln!(
        out,
        "{} in {} of {}. Nothing runs with these mappings.",
        counted(problems.iter().len(), "problem"),
        faulty.len(),
        counted(file_count, "file"),
    )
}

fn write_sound(mappings: &Mappings, warnings: Vec<Finding>, out: &mut dyn Write) -> io::Result<()> {
    let warning_count = warnings.len();
    let mut rule_count = 0;
    let mut landings: Vec<&Landing> = mappings.landings().iter().collect();
    landings.sort_by_key(|landing| landing.file());
    for landing in landings {
        let (rules, excludes) = landing.rule_counts();
        rule_count += rules;
        writeln!(out, "{}", landing.file())?;
        writeln!(out, "  reads  {}{}", landing.address(), settings(landing))?;
        for (dataset, location) in landing.datasets() {
            writeln!(out, "  loads  {dataset} ({location})")?;
        }
        let to_exclude = if excludes > 0 { format!(", {excludes} to exclude") } else { String::new() };
        writeln!(out, "  by     {}{to_exclude}", counted(rules, "rule"))?;
    }
    if !warnings.is_empty() {
        writeln!(out, "\nWorth a look:\n")?;
        write_findings(warnings, out)?;
    }
    writeln!(out)?;
    writeln!(
        out,
        "{}, {}: no problems, {}.",
        counted(mappings.landings().len(), "mapping"),
        counted(rule_count, "rule"),
        counted(warning_count, "warning"),
    )
}

/// What the mapping says of the source besides its place.
fn settings(landing: &Landing) -> String {
    let layout = landing.layout();
    let mut said = Vec::new();
    said.extend(layout.date_partition.map(|folders| format!("date folders {folders}")));
    if landing.timezone() != "UTC" {
        said.push(format!("times of {}", landing.timezone()));
    }
    if layout.parallel_load {
        said.push("segment folders".to_owned());
    }
    if layout.ignore_transaction_files {
        said.push("transaction files ignored".to_owned());
    }
    if landing.allows_copies() {
        said.push("copies loaded, too".to_owned());
    }
    if said.is_empty() { String::new() } else { format!(" ({})", said.join(", ")) }
}

/// `no rules`, `1 rule`, `2 rules`.
pub(super) fn counted(count: usize, noun: &str) -> String {
    match count {
        0 => format!("no {noun}s"),
        1 => format!("1 {noun}"),
        many => format!("{many} {noun}s"),
    }
}
