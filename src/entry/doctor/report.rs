//! How findings are told.

use std::io::{self, Write};

use super::finding::{Finding, Level};
use crate::entry::stdout::on_one_line;

/// The width of the column of hops.
const HOP_WIDTH: usize = 13;

pub(super) fn as_json_lines(findings: &[Finding], out: &mut dyn Write) -> io::Result<()> {
    for finding in findings {
        serde_json::to_writer(&mut *out, finding)?;
        writeln!(out)?;
    }
    Ok(())
}

/// One line for each hop, and below it what to do where something is wrong. At the end what was left out, as `rest` says.
pub(super) fn for_a_person(findings: &[Finding], rest: Option<&str>, out: &mut dyn Write) -> io::Result<()> {
    for finding in findings {
        let hop = finding.hop.name();
        let about = match finding.about.as_str() {
            "" => String::new(),
            about => format!("{}: ", on_one_line(about)),
        };
        let code = finding.code.map(|code| format!(" [{code}]")).unwrap_or_default();
        let message = on_one_line(&finding.message);
        writeln!(out, "{} {hop:<HOP_WIDTH$} {about}{message}{code}", sign(finding.level))?;
        if let Some(remedy) = &finding.remedy {
            writeln!(out, "  {:<HOP_WIDTH$} do: {}", "", on_one_line(remedy))?;
        }
    }
    writeln!(out, "\n{}", summary(findings))?;
    rest.map_or(Ok(()), |rest| writeln!(out, "{rest}"))
}

fn sign(level: Level) -> char {
    match level {
        Level::Fine => '✓',
        Level::NotLooked => '-',
        Level::Warning => '!',
        Level::Error => '✗',
    }
}

fn summary(findings: &[Finding]) -> String {
    let count = |level: Level| findings.iter().filter(|finding| finding.level == level).count();
    let counted = |level: Level, noun: &str| match count(level) {
        1 => format!("1 {noun}"),
        many => format!("{many} {noun}s"),
    };
    let errors = counted(Level::Error, "error");
    let warnings = counted(Level::Warning, "warning");
    format!("{errors}, {warnings}, {} fine, {} not looked at.", count(Level::Fine), count(Level::NotLooked))
}
