//! The mappings: can they run?

use crate::entry::doctor::facts::{Failure, FailureKind, Look, MappingsSeen};
use crate::entry::doctor::finding::{Finding, Findings, Hop};

pub(super) fn judge(mappings: &Look<MappingsSeen>) -> Vec<Finding> {
    let seen = match mappings {
        Look::Seen(seen) => seen,
        Look::NotLooked(why) => return vec![Finding::not_looked(Hop::Mappings, "", why)],
        Look::Failed(failure) => return vec![failed(failure)],
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

/// Which bucket is missing or closed is said as of any bucket; all else is of the mappings.
fn failed(failure: &Failure) -> Finding {
    let allow =
        "Let your AWS identity s3:ListBucket and s3:GetObject there. The function's role needs the same.";
    let missing =
        "There is no such bucket: make it and `dms2bq publish DIR s3://…` there, or mend DMS2BQ_MAPPINGS.";
    let finding = Finding::failed(Hop::Mappings, "", failure, allow, missing);
    match failure.kind {
        FailureKind::Refused => Finding { code: Some("doctor.mappings_unreadable"), ..finding },
        FailureKind::Denied | FailureKind::Missing | FailureKind::Unreachable | FailureKind::Unavailable => {
            finding
        }
    }
}

fn counted(things: &[String], noun: &str) -> String {
    match things.len() {
        1 => format!("1 {noun}"),
        many => format!("{many} {noun}s"),
    }
}
