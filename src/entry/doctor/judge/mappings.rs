//! The mappings: can they run?

use crate::entry::doctor::facts::{Look, MappingsSeen};
use crate::entry::doctor::finding::{Finding, Findings, Hop};

pub(super) fn judge(mappings: &Look<MappingsSeen>) -> Vec<Finding> {
    let seen = match mappings {
        Look::Seen(seen) => seen,
        Look::NotLooked(why) => return vec![Finding::not_looked(Hop::Mappings, "", why)],
        Look::Failed(failure) => {
            let mut findings = Findings::of(Hop::Mappings, "");
            let remedy = "Set DMS2BQ_MAPPINGS to the file, folder or s3:// prefix that has the mappings, as the function has it.";
            findings.fail("doctor.mappings_unreadable", &failure.detail, remedy);
            return findings.or_fine("");
        }
    };
    let mut findings = Findings::of(Hop::Mappings, &seen.location);
    if let Some(first) = seen.problems.first() {
        let message = format!(
            "nothing loads by these mappings: {}, the first: {first}",
            counted(&seen.problems, "problem")
        );
        findings.fail(
            "doctor.mappings_faulty",
            message,
            "`dms2bq check` shows each with its place and what to do.",
        );
    } else if let Some(first) = seen.warnings.first() {
        let message = format!("{}, the first: {first}", counted(&seen.warnings, "warning"));
        findings.warn(
            "doctor.mappings_doubtful",
            message,
            "`dms2bq check` shows each with its place and what to do.",
        );
    }
    let packaged = match seen.others_are_packaged {
        true => "; the function reads those in its package, which cannot be seen from here",
        false => "",
    };
    let files = if seen.file_count == 1 { "1 file".to_owned() } else { format!("{} files", seen.file_count) };
    findings.or_fine(format!("{files} checked{packaged}"))
}

fn counted(things: &[String], noun: &str) -> String {
    match things.len() {
        1 => format!("1 {noun}"),
        many => format!("{many} {noun}s"),
    }
}
