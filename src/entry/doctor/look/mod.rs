//! Looks at a deployment: every call that doctor makes. Nothing is changed but one table of its own in each dataset, which
//! is deleted at the end and would go by itself within the hour.

mod aws;
mod google;

use std::collections::BTreeMap;

use super::DoctorArgs;
use super::facts::{
    BucketSeen, ClockSeen, Facts, Failure, FailureKind, FunctionSeen, Look, MappingsSeen, QueueSeen,
};
use crate::config::{Config, MappingsLocation, names};
use crate::entry::assemble;
use crate::route::Mappings;

/// Why nothing of AWS is asked for.
const NO_AWS: &str = "there are no AWS credentials";
/// Why nothing that a mapping names is looked at.
const NO_MAPPINGS: &str = "there are no mappings to go by";

/// Looks at everything that can be looked at; what fails is a fact like any other.
///
/// # Errors
/// The settings for Google cannot be read.
pub(super) async fn look(args: &DoctorArgs, config: &Config) -> anyhow::Result<Facts> {
    let mut clocks = Vec::new();
    let aws = aws::Aws::new().await;
    let account = aws.account(&mut clocks).await;
    let signed_in = !matches!(&account, Look::Failed(failure) if failure.kind == FailureKind::Denied);
    let functions = match (args.functions.is_empty(), signed_in) {
        (true, _) => Look::NotLooked("no --function was named".to_owned()),
        (_, false) => Look::NotLooked(NO_AWS.to_owned()),
        (false, true) => Look::Seen(aws.functions(&args.functions).await),
    };
    let (mappings, seen) = read_mappings(config, &functions).await;
    let google = google::Google::new(config, aws.config()).await?;
    let google = google.look(mappings.as_ref(), !args.no_write, &mut clocks);
    let (queues, buckets, (google, datasets)) = tokio::join!(
        queues(&aws, signed_in, args, &functions),
        buckets(&aws, signed_in, mappings.as_ref()),
        google
    );
    Ok(Facts { mappings: seen, aws: account, functions, queues, buckets, google, datasets, clocks })
}

async fn queues(
    aws: &aws::Aws,
    signed_in: bool,
    args: &DoctorArgs,
    functions: &Look<Vec<FunctionSeen>>,
) -> Look<Vec<QueueSeen>> {
    match (signed_in, aws::queues_of(&args.queues, functions)) {
        (false, _) => Look::NotLooked(NO_AWS.to_owned()),
        (true, queues) if queues.is_empty() => {
            Look::NotLooked("no --queue was named, and no --function that takes from one".to_owned())
        }
        (true, queues) => Look::Seen(aws.queues(&queues).await),
    }
}

async fn buckets(aws: &aws::Aws, signed_in: bool, mappings: Option<&Mappings>) -> Look<Vec<BucketSeen>> {
    match mappings {
        None => Look::NotLooked(NO_MAPPINGS.to_owned()),
        Some(_) if !signed_in => Look::NotLooked(NO_AWS.to_owned()),
        Some(mappings) => Look::Seen(aws.buckets(&prefixes(mappings)).await),
    }
}

/// The mappings that the function reads, or those that we would.
async fn read_mappings(
    config: &Config,
    functions: &Look<Vec<FunctionSeen>>,
) -> (Option<Mappings>, Look<MappingsSeen>) {
    let published = functions.each().find_map(published_mappings);
    let place = published.unwrap_or_else(|| config.mappings.clone());
    let location = place.to_string();
    let files = match assemble::read_mappings_at(&place).await {
        Ok(files) => files,
        Err(error) => {
            let failure = Failure { kind: FailureKind::Refused, detail: error.in_words() };
            return (None, Look::Failed(failure));
        }
    };
    let others_are_packaged = functions
        .each()
        .any(|function| function.settings.seen().is_some() && published_mappings(function).is_none());
    let (file_count, problems, warnings) = (files.len(), Vec::new(), Vec::new());
    let mut seen = MappingsSeen { location, others_are_packaged, file_count, problems, warnings };
    match Mappings::parse(files) {
        Ok(mappings) => {
            let said = |warning: &crate::route::MappingWarning| {
                format!("{} {}: {}", warning.file(), warning.path(), warning.doubt())
            };
            seen.warnings = mappings.warnings().iter().map(said).collect();
            (Some(mappings), Look::Seen(seen))
        }
        Err(problems) => {
            let said = |problem: &crate::route::MappingProblem| {
                format!("{} {}: {}", problem.file(), problem.path(), problem.fault())
            };
            seen.problems = problems.iter().map(said).collect();
            (None, Look::Seen(seen))
        }
    }
}

/// Where a function reads its mappings, if that is in S3. What is in its package cannot be seen from here.
fn published_mappings(function: &FunctionSeen) -> Option<MappingsLocation> {
    let location = function.settings.seen()?.environment.get(names::MAPPINGS)?;
    MappingsLocation::parse(location).ok().filter(|location| matches!(location, MappingsLocation::S3(_)))
}

/// The prefixes that mappings name, by bucket.
fn prefixes(mappings: &Mappings) -> BTreeMap<String, Vec<String>> {
    let mut prefixes: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for landing in mappings.landings() {
        let folder = &landing.layout().bucket_folder;
        let prefix = if folder.is_empty() { String::new() } else { format!("{folder}/") };
        prefixes.entry(landing.bucket().to_owned()).or_default().push(prefix);
    }
    prefixes
}

/// Compares a server's `Date` with our clock when its answer came.
fn clock_seen(of: &str, date: Option<&str>, our_unix_ms: u64) -> Option<ClockSeen> {
    let theirs = jiff::fmt::rfc2822::DateTimeParser::new().parse_timestamp(date?.trim()).ok()?;
    let ours = i64::try_from(our_unix_ms / 1_000).ok()?;
    Some(ClockSeen { of: of.to_owned(), ahead_secs: ours - theirs.as_second() })
}
