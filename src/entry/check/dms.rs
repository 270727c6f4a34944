//! `dms2bq check --dms … --endpoint … --task-settings …`: do the task, its endpoint and the mapping agree?

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use super::{CheckArgs, CheckFormat, Finding, Verdict, counted, write_findings, write_lines};
use crate::dms::endpoint_advice::{self, Circumstances};
use crate::dms::{
    self, ByTarget, Endpoint, Level, Load, MAX_DMS_FILE_BYTES, Remark, Task, by_target, choose, compare,
    refuse_unknown, settings,
};
use crate::route::{Landing, Mappings};

/// The name of standard input as a file.
const STDIN: &str = "-";

/// A file of DMS's that cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("{} cannot be read", path.display())]
pub(in crate::entry) struct UnreadableFile {
    path: PathBuf,
    #[source]
    source: io::Error,
}

impl UnreadableFile {
    pub(in crate::entry) fn code(&self) -> &'static str {
        "dms.unreadable"
    }

    pub(in crate::entry) fn remedy(&self) -> &'static str {
        "name a file that is there, in UTF-8, or `-` for standard input"
    }

    /// The error as a finding about its file.
    pub(in crate::entry) fn finding(&self) -> Finding {
        Finding {
            level: Level::Error.as_str(),
            code: self.code(),
            file: self.path.display().to_string(),
            path: String::new(),
            message: format!("{self}: {}", self.source),
            hint: self.remedy().to_owned(),
            rule: None,
        }
    }
}

/// Reads a file of DMS's; no more of it than shows that it is too large.
pub(in crate::entry) fn read_file(path: &Path) -> Result<String, UnreadableFile> {
    use std::io::Read as _;

    let unreadable = |source| UnreadableFile { path: path.to_owned(), source };
    let mut bytes = Vec::new();
    let limit = MAX_DMS_FILE_BYTES as u64 + 1;
    if path.as_os_str() == STDIN {
        io::stdin().lock().take(limit).read_to_end(&mut bytes).map_err(unreadable)?;
    } else {
        std::fs::File::open(path)
            .map_err(unreadable)?
            .take(limit)
            .read_to_end(&mut bytes)
            .map_err(unreadable)?;
    }
    String::from_utf8(bytes)
        .map_err(|_| unreadable(io::Error::new(io::ErrorKind::InvalidData, "it is not UTF-8")))
}

/// What was found, and what can be said beside it.
#[derive(Default)]
struct Report {
    findings: Vec<Finding>,
    /// Sums that a person may want to see though all is well.
    sums: Vec<String>,
}

impl Report {
    fn add(&mut self, remarks: impl IntoIterator<Item = Remark>) {
        self.findings.extend(remarks.into_iter().map(Finding::of_remark));
    }

    /// A file's text, unless it cannot be read.
    fn read(&mut self, path: &Path) -> Option<(String, String)> {
        match read_file(path) {
            Ok(text) => Some((path.display().to_string(), text)),
            Err(error) => {
                self.findings.push(error.finding());
                None
            }
        }
    }
}

/// Holds all that was given of DMS against the mappings.
pub(super) fn report(args: &CheckArgs, mappings: &Mappings, out: &mut dyn Write) -> io::Result<Verdict> {
    let mut report = Report::default();
    report.add(refuse_unknown(&args.allow));
    if !report.findings.is_empty() {
        return finish(args, report, out);
    }
    let wanted =
        match args.mapping.as_deref().map(|name| choose(mappings, Some(name), "--mapping", "they are")) {
            Some(Ok(landing)) => Some(landing),
            Some(Err(remark)) => {
                report.add([remark]);
                return finish(args, report, out);
            }
            None => None,
        };
    let endpoints = look_at_endpoints(args, mappings, wanted, &mut report);
    let settings: Vec<(String, String)> =
        args.task_settings.iter().filter_map(|path| report.read(path)).collect();
    if let Some(tasks) = read_tasks(args, &endpoints, &settings, &mut report) {
        compare_tasks(args, mappings, wanted, &endpoints, &tasks, &mut report);
    }
    for (file, text) in &settings {
        report.add(settings::look_at(file, text));
    }
    finish(args, report, out)
}

/// Looks at every endpoint, and gives them.
fn look_at_endpoints(
    args: &CheckArgs,
    mappings: &Mappings,
    wanted: Option<&Landing>,
    report: &mut Report,
) -> Vec<Endpoint> {
    let circumstances =
        Circumstances { table_count: args.tables, function_timeout_s: args.function_timeout_s };
    let mut endpoints = Vec::new();
    let mut loads: Vec<Load> = Vec::new();
    for path in &args.endpoint {
        let Some((file, text)) = report.read(path) else { continue };
        match Endpoint::read(&file, &text) {
            Ok(read) => {
                for endpoint in read {
                    let (remarks, load) =
                        endpoint_advice::look_at(&endpoint, mappings, wanted, circumstances);
                    report.add(remarks);
                    report.sums.extend(load.as_ref().map(Load::to_string));
                    loads.extend(load);
                    endpoints.push(endpoint);
                }
            }
            Err(remarks) => report.add(remarks),
        }
    }
    let file = endpoints.first().map(Endpoint::file).unwrap_or_default();
    report.add(endpoint_advice::look_at_all(&loads, file));
    endpoints
}

/// Reads the tasks that write to these endpoints, and says what their own settings do. None, if not all could be read.
fn read_tasks(
    args: &CheckArgs,
    endpoints: &[Endpoint],
    settings: &[(String, String)],
    report: &mut Report,
) -> Option<Vec<Task>> {
    let mut tasks: Vec<Task> = Vec::new();
    let mut of_settings: Vec<Remark> = Vec::new();
    let mut are_whole = true;
    for path in &args.dms {
        let (file, text) = report.read(path)?;
        match Task::read(&file, &text, args.escape_character) {
            Ok((read, remarks)) => {
                tasks.extend(read);
                report.add(remarks);
                of_settings.extend(settings::look_within(&file, &text));
            }
            Err(remarks) => {
                are_whole = false;
                report.add(remarks);
            }
        }
    }
    let ByTarget { mut here, elsewhere, remarks } = by_target(tasks, endpoints);
    report.add(remarks);
    let is_of_others = |remark: &Remark| {
        elsewhere.iter().any(|task| task.file() == remark.file() && task.is_at(remark.path()))
    };
    report.add(of_settings.into_iter().filter(|remark| !is_of_others(remark)));
    take_target_schemas(&mut here, settings);
    // Half of the tasks would leave tables unselected that the other half has.
    are_whole.then_some(here)
}

/// Gives the tasks the `TargetSchema` of settings in other files: each its own if there are as many, else all the one
/// that there is, since to name it for too many is the safer mistake.
fn take_target_schemas(tasks: &mut [Task], settings: &[(String, String)]) {
    let targets: Vec<_> =
        settings.iter().flat_map(|(file, text)| settings::target_schemas(file, text)).collect();
    let are_paired = targets.len() == tasks.len();
    let any = targets.iter().flatten().next();
    for (at, task) in tasks.iter_mut().enumerate() {
        let target = if are_paired { targets.get(at).and_then(Option::as_ref) } else { any };
        if let Some(target) = target {
            task.take_target_schema(target);
        }
    }
}

/// Compares the tasks, all of them together, with the one mapping that their files fall under.
fn compare_tasks(
    args: &CheckArgs,
    mappings: &Mappings,
    wanted: Option<&Landing>,
    endpoints: &[Endpoint],
    tasks: &[Task],
    report: &mut Report,
) {
    let Some(first) = tasks.first() else { return };
    let of_endpoints: Vec<&Landing> =
        endpoints.iter().filter_map(|endpoint| endpoint.landing(mappings)).collect();
    let landing = match (wanted, of_endpoints.as_slice()) {
        (Some(wanted), _) => Ok(wanted),
        (None, [first, others @ ..]) if others.iter().all(|other| other.address() == first.address()) => {
            Ok(*first)
        }
        (None, _) => choose(mappings, None, first.file(), "the task writes"),
    };
    match landing {
        Ok(landing) => {
            let remarks = compare::compare(tasks, landing);
            // Rules that were not read, or that leave out rows of the tables that both sides have.
            let is_open = |finding: &Finding| match finding.code {
                "dms.filtered" => !args.allow.iter().any(|code| code == finding.code),
                code => code == "dms.unknown_rule_type",
            };
            if remarks.is_empty() && !report.findings.iter().any(is_open) {
                report.sums.push(format!("{} and {} agree", args.dms_files(), landing.file()));
            }
            report.add(remarks);
        }
        Err(remark) => report.add([remark]),
    }
}

/// Writes the findings. Of what somebody allows, errors are warnings, and warnings are not worth a word.
fn finish(args: &CheckArgs, mut report: Report, out: &mut dyn Write) -> io::Result<Verdict> {
    let is_allowed = |finding: &Finding| args.allow.iter().any(|code| code == finding.code);
    report.findings.retain(|finding| finding.level == Level::Error.as_str() || !is_allowed(finding));
    for finding in &mut report.findings {
        if is_allowed(finding) {
            finding.level = Level::Warning.as_str();
        }
    }
    let is_error = |finding: &&Finding| finding.level == Level::Error.as_str();
    let error_count = report.findings.iter().filter(is_error).count();
    let warning_count = report.findings.len() - error_count;
    match args.format {
        CheckFormat::Json => write_lines(report.findings, out)?,
        CheckFormat::Human => {
            writeln!(out)?;
            for sum in &report.sums {
                writeln!(out, "{sum}")?;
            }
            if !report.findings.is_empty() {
                if !report.sums.is_empty() {
                    writeln!(out)?;
                }
                write_findings(report.findings, out)?;
                writeln!(out)?;
            }
            writeln!(out, "DMS: {}, {}.", counted(error_count, "error"), counted(warning_count, "warning"))?;
        }
    }
    Ok(if error_count == 0 { Verdict::Sound } else { Verdict::Faulty })
}

impl Finding {
    pub(in crate::entry) fn of_remark(remark: dms::Remark) -> Self {
        Self {
            level: remark.level().as_str(),
            code: remark.code(),
            file: remark.file().to_owned(),
            path: remark.path().to_owned(),
            message: remark.message().to_owned(),
            hint: remark.remedy().to_owned(),
            rule: None,
        }
    }
}
