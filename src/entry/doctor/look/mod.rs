//! Looks at a deployment: every call that doctor makes. Nothing is changed but one table of its own in each dataset, which
//! is deleted at the end and would go by itself within the hour.

mod answers;
mod aws;
mod dates;
mod failures;
mod google;

use std::collections::BTreeMap;

use super::DoctorArgs;
use super::facts::{
    Account, BucketSeen, Facts, Failure, FailureKind, FunctionSeen, Look, MappingsSeen, QueueSeen,
};
use crate::config::{Config, MappingsLocation, names};
use crate::entry::assemble;
use crate::outcome::record::Chain;
use crate::route::{MappingFile, Mappings};

/// Why nothing of AWS is asked for.
const NO_AWS: &str = "there are no AWS credentials";
/// The same, where another try would take as long and say the same.
const AWS_OUT_OF_REACH: &str = "AWS cannot be reached";
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
    let closed = closed(&account);
    let functions = match (args.functions.is_empty(), closed) {
        (true, _) => Look::NotLooked("no --function was named".to_owned()),
        (false, Some(why)) => Look::NotLooked(why.to_owned()),
        (false, None) => Look::Seen(aws.functions(&args.functions).await),
    };
    let (mappings, seen) = read_mappings(config, &aws, closed, &functions).await;
    let google = google::Google::new(config, aws.config()).await?;
    let google = google.look(mappings.as_ref(), !args.no_write, &mut clocks);
    let (queues, buckets, (google, datasets)) = tokio::join!(
        queues(&aws, closed, args, &functions),
        buckets(&aws, closed, mappings.as_ref()),
        google
    );
    let nothing_named = args.functions.is_empty() && args.queues.is_empty();
    Ok(Facts {
        mappings: seen,
        aws: account,
        functions,
        queues,
        buckets,
        google,
        datasets,
        clocks,
        nothing_named,
    })
}

/// Why AWS is not asked for more, if it is not.
fn closed(account: &Look<Account>) -> Option<&'static str> {
    match account {
        Look::Failed(failure) => match failure.kind {
            FailureKind::Denied => Some(NO_AWS),
            FailureKind::Unreachable => Some(AWS_OUT_OF_REACH),
            FailureKind::Missing | FailureKind::Unavailable | FailureKind::Refused => None,
        },
        Look::Seen(_) | Look::NotLooked(_) => None,
    }
}

async fn queues(
    aws: &aws::Aws,
    closed: Option<&str>,
    args: &DoctorArgs,
    functions: &Look<Vec<FunctionSeen>>,
) -> Look<Vec<QueueSeen>> {
    match (closed, aws::queues_of(&args.queues, functions)) {
        (Some(why), _) => Look::NotLooked(why.to_owned()),
        (None, queues) if queues.is_empty() => {
            Look::NotLooked("no --queue was named, and no --function that takes from one".to_owned())
        }
        (None, queues) => Look::Seen(aws.queues(&queues).await),
    }
}

async fn buckets(aws: &aws::Aws, closed: Option<&str>, mappings: Option<&Mappings>) -> Look<Vec<BucketSeen>> {
    match (mappings, closed) {
        (None, _) => Look::NotLooked(NO_MAPPINGS.to_owned()),
        (Some(_), Some(why)) => Look::NotLooked(why.to_owned()),
        (Some(mappings), None) => Look::Seen(aws.buckets(&prefixes(mappings)).await),
    }
}

/// The mappings that the function reads, or those that we would.
async fn read_mappings(
    config: &Config,
    aws: &aws::Aws,
    closed: Option<&str>,
    functions: &Look<Vec<FunctionSeen>>,
) -> (Option<Mappings>, Look<MappingsSeen>) {
    let of_functions: Vec<MappingsLocation> = functions.each().filter_map(mappings_of).collect();
    let published = of_functions.iter().find(|location| matches!(location, MappingsLocation::S3(_)));
    let place = published.unwrap_or(&config.mappings);
    let others_are_packaged =
        of_functions.iter().any(|location| matches!(location, MappingsLocation::Local(_)));
    let location = place.to_string();
    let files = match mapping_files(place, aws, closed).await {
        Look::Seen(files) => files,
        Look::Failed(failure) => return (None, Look::Failed(failure)),
        Look::NotLooked(why) => return (None, Look::NotLooked(why)),
    };
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

async fn mapping_files(
    place: &MappingsLocation,
    aws: &aws::Aws,
    closed: Option<&str>,
) -> Look<Vec<MappingFile>> {
    if let MappingsLocation::S3(folder) = place {
        if let Some(why) = closed {
            return Look::NotLooked(why.to_owned());
        }
        // A bucket that is missing, closed or elsewhere is told as such.
        if let Look::Failed(failure) = aws.prefix(folder.bucket(), folder.prefix()).await.listing {
            let detail = format!("{folder} cannot be read: {}", failure.detail);
            return Look::Failed(Failure { detail, ..failure });
        }
    }
    let files = assemble::read_mappings_at(place).await.map_err(|error| Failure {
        kind: FailureKind::Refused,
        detail: Chain(&error).to_string(),
        remedy: Some(error.remedy()),
    });
    files.into()
}

/// Where a function reads its mappings: in S3, or in its package, which cannot be seen from here. `None` if its settings
/// were not seen, or it cannot read what they say.
fn mappings_of(function: &FunctionSeen) -> Option<MappingsLocation> {
    let settings = function.settings.seen()?;
    let named = settings.environment.get(names::MAPPINGS).filter(|named| !named.is_empty());
    MappingsLocation::parse(named.map_or("", String::as_str)).ok()
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
