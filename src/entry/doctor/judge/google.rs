//! Google: our credentials, and the datasets.

use crate::entry::doctor::facts::{
    DatasetSeen, DatasetSettings, Facts, Failure, FailureKind, Look, Step, WriteStep, Written,
};
use crate::entry::doctor::finding::{Finding, Findings, Hop, REACH, READ_IT, TRY_AGAIN};

pub(super) fn judge(facts: &Facts) -> Vec<Finding> {
    let mut findings = vec![signed_in(facts)];
    match &facts.datasets {
        Look::Seen(datasets) => findings.extend(datasets.iter().flat_map(dataset)),
        Look::NotLooked(why) => findings.push(Finding::not_looked(Hop::Dataset, "", why)),
        Look::Failed(failure) => findings.push(failed(Hop::Dataset, "", failure, "")),
    }
    findings
}

fn signed_in(facts: &Facts) -> Finding {
    match &facts.google {
        Look::Seen(seen) if seen.anonymous => {
            Finding::fine(Hop::Google, &seen.address, "reached, without credentials: an emulator")
        }
        Look::Seen(seen) => {
            Finding::fine(Hop::Google, &seen.address, "reached, and our credentials are taken")
        }
        Look::NotLooked(why) => Finding::not_looked(Hop::Google, "", why),
        Look::Failed(failure) => failed(Hop::Google, "", failure, SIGN_IN),
    }
}

const SIGN_IN: &str = "gcloud auth application-default login, on a machine of your own; or set GOOGLE_APPLICATION_CREDENTIALS \
                       to a credential file.";

fn failed(hop: Hop, about: &str, failure: &Failure, allow: &str) -> Finding {
    Finding::failed(hop, about, failure, allow, allow)
}

fn dataset(seen: &DatasetSeen) -> Vec<Finding> {
    let settings = match &seen.settings {
        Look::Seen(settings) => settings,
        Look::NotLooked(why) => return vec![Finding::not_looked(Hop::Dataset, &seen.name, why)],
        Look::Failed(failure) => {
            let allow = format!("Grant roles/bigquery.dataEditor on {} to this account.", seen.name);
            let name = seen.name.replacen('.', ":", 1);
            let missing = format!(
                "bq --location={} mk --dataset {name}; or mend the mapping's `destination`.",
                seen.stated_location
            );
            return vec![Finding::failed(Hop::Dataset, &seen.name, failure, allow, missing)];
        }
    };
    let mut findings = Findings::of(Hop::Dataset, &seen.name);
    location(seen, settings, &mut findings);
    expiry(settings, &mut findings);
    let mut wrote = String::new();
    match &seen.write {
        Look::Seen(written) => {
            write(seen, written, &mut findings);
            wrote = ", a table was made, loaded and deleted".to_owned();
        }
        Look::NotLooked(why) => wrote = format!(", not written to, because {why}"),
        Look::Failed(failure) => findings.fail("doctor.write_failed", &failure.detail, "Run doctor again."),
    }
    findings.or_fine(format!("in {}{wrote}", settings.location))
}

fn location(seen: &DatasetSeen, settings: &DatasetSettings, findings: &mut Findings<'_>) {
    if !settings.location.eq_ignore_ascii_case(&seen.stated_location) {
        findings.fail(
            "doctor.dataset_location",
            format!(
                "it is in {}, and the mapping says {}: every load is refused",
                settings.location, seen.stated_location
            ),
            format!("Set \"location\": \"{}\" in the mapping's `destination`.", settings.location),
        );
    }
}

fn expiry(settings: &DatasetSettings, findings: &mut Findings<'_>) {
    let days = |ms: u64| format!("{:.1} days", ms as f64 / 86_400_000.0);
    if let Some(ms) = settings.table_expiration_ms {
        findings.warn(
            "doctor.tables_expire",
            format!("tables that are made in it are deleted after {}, rows and all", days(ms)),
            "bq update --default_table_expiration 0 DATASET; or `--expiration 0` for a table that is there.",
        );
    }
    if let Some(ms) = settings.partition_expiration_ms {
        findings.warn(
            "doctor.partitions_expire",
            format!("partitions of tables that are made in it are deleted after {}, and loads are partitioned by day", days(ms)),
            "bq update --default_partition_expiration 0 DATASET, unless this is meant.",
        );
    }
}

fn write(seen: &DatasetSeen, written: &Written, findings: &mut Findings<'_>) {
    let project = seen.name.split('.').next().unwrap_or_default();
    for Step { step, failure } in &written.steps {
        let Some(failure) = failure else { continue };
        let (what, remedy) = match step {
            WriteStep::MakeTable => (
                "no table can be made",
                format!("Grant roles/bigquery.dataEditor on {} (bigquery.tables.create).", seen.name),
            ),
            WriteStep::InsertJob => (
                "no load job can be made",
                format!("Grant roles/bigquery.jobUser on the project {project} (bigquery.jobs.create)."),
            ),
            WriteStep::ReadJob => (
                "the load job cannot be read",
                format!(
                    "Grant a role with bigquery.jobs.get on the project {project}, such as roles/bigquery.jobUser, to whoever makes the jobs."
                ),
            ),
            WriteStep::LoadRow => (
                "a row cannot be loaded",
                format!("Grant roles/bigquery.dataEditor on {} (bigquery.tables.updateData).", seen.name),
            ),
            WriteStep::DeleteTable => {
                findings.warn(
                    "doctor.table_left",
                    format!("the table {} was left there: {}", written.table, failure.detail),
                    format!(
                        "It goes by itself within the hour; or `bq rm -f -t {}`.",
                        written.table.replacen('.', ":", 1)
                    ),
                );
                continue;
            }
        };
        let remedy = match failure.kind {
            FailureKind::Denied | FailureKind::Missing => remedy,
            FailureKind::Unreachable => REACH.to_owned(),
            FailureKind::Unavailable => TRY_AGAIN.to_owned(),
            FailureKind::Refused => READ_IT.to_owned(),
        };
        let remedy = failure.remedy.clone().unwrap_or(remedy);
        findings.fail("doctor.write_failed", format!("{what}: {}", failure.detail), remedy);
    }
}
