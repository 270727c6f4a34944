//! Which settings of an endpoint hurt, why, and what to set instead.
//!
//! Sources: the DMS user guide's page on S3 as a target, the API reference of S3Settings, and BigQuery's page on quotas.

use super::endpoint::{Endpoint, date_folders};
use super::node::shortened;
use super::quota::{self, Load, grouped};
use super::remark::{Level, Remark, Told};
use crate::key::DateFolders;
use crate::route::{Landing, Mappings};

/// How long a file may take of the function's time besides being sent, in seconds: 30 for the job's end, and a margin
/// before the deadline.
const NOT_SENDING_S: u64 = 33;
/// What a function of 512 MB sends in a second with some certainty, in KB.
const SURE_KB_PER_S: u64 = 10_000;
/// The largest file that DMS writes in a full load unless MaxFileSize says less, in KB.
const DEFAULT_MAX_FILE_KB: u64 = 1_048_576;
/// Files of less than this, in KB, come more often than the batch interval as soon as a table is busy.
const SMALL_MIN_FILE_KB: u64 = 8_000;

/// What a table is called that was made without partitions.
const UNPARTITIONED: &str = "without partitions";

/// What else is known when an endpoint is looked at.
#[derive(Debug, Clone, Copy)]
pub struct Circumstances {
    /// How many tables it writes, if the mapping's patterns do not say.
    pub table_count: Option<u64>,
    /// The function's time-out in seconds.
    pub function_timeout_s: u64,
}

/// One thing about an endpoint.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
enum Advice {
    #[error("DataFormat is {given}: DMS writes CSV, and every file is refused")]
    NotParquet { given: String },
    #[error(
        "PreserveTransactions is on: DMS writes changes as CSV transaction files below CdcPath, which are refused"
    )]
    PreserveTransactions,
    #[error("{setting} is on: {lost} at the source never leave DMS, and nothing tells of them")]
    LeavesOut { setting: &'static str, lost: &'static str },
    #[error(
        "TimestampColumnName is not set: nothing in the rows tells which change of a row is the later one"
    )]
    NoTimestamp,
    #[error("IncludeOpForFullLoad is off: rows of the full load have no `Op`, and those of changes have one")]
    NoOpForFullLoad,
    #[error(
        "UseTaskStartTimeForFullLoadTimestamp is off: a row changed while its table is being loaded gets a later time from the full load than from the change"
    )]
    FullLoadTimestamp,
    #[error("ParquetTimestampInMillisecond is on: times lose their microseconds")]
    Milliseconds,
    #[error("AddTrailingPaddingCharacter is on: texts get spaces that the source does not have")]
    Padding,
    #[error(
        "the endpoint puts changes into date folders ({theirs}), and {mapping} says {ours}: every file of changes would be refused"
    )]
    DateFolders { theirs: String, ours: String, mapping: String, shape: Option<DateFolders> },
    #[error("{mapping} says date folders ({ours}), and the endpoint has none")]
    NoDateFolders { ours: String, mapping: String },
    #[error("DatePartitionSequence or DatePartitionDelimiter is {given}, which this version does not know")]
    UnknownDateFolders { given: String },
    #[error("the endpoint names its files by the time of {theirs}, and {mapping} says {ours}")]
    Timezone { theirs: String, ours: String, mapping: String },
    #[error("BucketName is not set")]
    NoBucket,
    #[error("it writes to {place}, which no mapping names: all its files would be refused")]
    Unmapped { place: String, nearest: Option<String> },
    #[error("it writes to {place}, and {mapping} is for {other}")]
    AnotherMapping { place: String, mapping: String, other: String },
    #[error("{arithmetic} load jobs a day, and BigQuery takes 100,000 of a project ({project})")]
    TooManyJobs { arithmetic: String, project: String, tables: u64 },
    #[error(
        "at a file of each table every {interval_s} s, {most_tables} tables use up the 100,000 load jobs that a project has in a day, and {mapping} takes tables by patterns, so that nobody knows how many"
    )]
    UnknownTables { interval_s: u64, most_tables: u64, mapping: String },
    #[error(
        "a file every {interval_s} s is {files} a day, and BigQuery takes {limit} changes a day of a table {kind} ({rules} in {mapping})"
    )]
    TooManyChanges {
        interval_s: u64,
        files: String,
        limit: String,
        kind: &'static str,
        rules: String,
        mapping: String,
    },
    #[error(
        "a file every {interval_s} s is {files} changes a day, and BigQuery takes {limit} of a table {kind} ({rules} in {mapping}): {left} are left, and jobs that fail count as well"
    )]
    FewChangesLeft {
        interval_s: u64,
        files: String,
        limit: String,
        left: String,
        kind: &'static str,
        rules: String,
        mapping: String,
        enough_s: u64,
    },
    #[error(
        "{setting} is `{given}`, which is no number of {unit}; the sums here are made with DMS's default, {counted}"
    )]
    NotANumber { setting: &'static str, given: String, unit: &'static str, counted: String },
    #[error(
        "CdcMinFileSize is {size_kb} KB: a table that changes by more than {rate_kb} KB a second gets files more often than every {interval_s} s, and the sums above no longer hold"
    )]
    SmallFiles { size_kb: u64, rate_kb: u64, interval_s: u64 },
    #[error(
        "files of a full load have up to {size_kb} KB (MaxFileSize); to send that in the {sending_s} s that a function with a time-out of {timeout_s} s has for it takes {rate_kb} KB a second"
    )]
    LargeFiles { size_kb: String, sending_s: u64, timeout_s: u64, rate_kb: String },
    #[error(
        "files are encrypted with the KMS key {key}: without a right to it every file is `object.denied`"
    )]
    Kms { key: String },
    #[error("CannedAclForObjects is {acl}: others than your accounts can read the rows")]
    Public { acl: String },
    #[error(
        "{name} is {of_settings} in the S3 settings and {of_attributes} in the extra connection attributes"
    )]
    Contradiction { name: String, of_settings: String, of_attributes: String },
}

/// Looks at one endpoint: its place, its settings, and what it asks of the quotas. `wanted` is the mapping that
/// somebody named, if they did.
pub fn look_at(
    endpoint: &Endpoint,
    mappings: &Mappings,
    wanted: Option<&Landing>,
    circumstances: Circumstances,
) -> (Vec<Remark>, Option<Load>) {
    let mut found = Found { endpoint, remarks: Vec::new() };
    found.look_at_settings(circumstances.function_timeout_s);
    let Some(landing) = found.landing(mappings, wanted) else { return (found.remarks, None) };
    found.look_at_dates(landing);
    let load = found.look_at_quotas(landing, circumstances.table_count);
    (found.remarks, Some(load))
}

/// Looks at what all endpoints together ask of a project, where one alone stays within its quota.
pub fn look_at_all(loads: &[Load], file: &str) -> Vec<Remark> {
    let mut projects: Vec<&String> = loads.iter().flat_map(|load| &load.projects).collect();
    projects.sort();
    projects.dedup();
    let mut remarks = Vec::new();
    for project in projects {
        let here: Vec<&Load> = loads.iter().filter(|load| load.projects.contains(project)).collect();
        let jobs: u64 = here.iter().map(|load| load.jobs()).sum();
        let limit = quota::LOAD_JOBS_PER_PROJECT_AND_DAY;
        if here.len() > 1 && jobs > limit && here.iter().all(|load| load.jobs() <= limit) {
            let each = here.iter().map(|load| format!("{} ({})", grouped(load.jobs()), load.endpoint));
            let arithmetic = format!("{} = {}", each.collect::<Vec<_>>().join(" + "), grouped(jobs));
            let tables = here.iter().map(|load| load.tables).sum();
            let advice = Advice::TooManyJobs { arithmetic, project: project.clone(), tables };
            remarks.push(Remark::new(file, "$", &advice));
        }
    }
    remarks
}

struct Found<'e> {
    endpoint: &'e Endpoint,
    remarks: Vec<Remark>,
}

impl Found<'_> {
    fn say(&mut self, setting: &str, advice: &Advice) {
        self.remarks.push(Remark::new(&self.endpoint.file, self.endpoint.path(setting), advice));
    }

    fn say_if(&mut self, is_so: bool, setting: &str, advice: &Advice) {
        if is_so {
            self.say(setting, advice);
        }
    }

    fn look_at_settings(&mut self, timeout_s: u64) {
        let endpoint = self.endpoint;
        let on = |name| endpoint.is_on(name);
        let format = endpoint.get("DataFormat");
        if !format.is_some_and(|format| format.eq_ignore_ascii_case("parquet")) {
            let given = format.unwrap_or("not set, which means csv").to_owned();
            self.say("DataFormat", &Advice::NotParquet { given });
        }
        self.say_if(on("PreserveTransactions"), "PreserveTransactions", &Advice::PreserveTransactions);
        let lost = "updates and deletes";
        self.say_if(
            on("CdcInsertsOnly"),
            "CdcInsertsOnly",
            &Advice::LeavesOut { setting: "CdcInsertsOnly", lost },
        );
        let (setting, lost) = ("CdcInsertsAndUpdates", "deletes");
        self.say_if(on(setting), setting, &Advice::LeavesOut { setting, lost });
        let timestamp = endpoint.get("TimestampColumnName");
        self.say_if(timestamp.is_none(), "TimestampColumnName", &Advice::NoTimestamp);
        self.say_if(!on("IncludeOpForFullLoad"), "IncludeOpForFullLoad", &Advice::NoOpForFullLoad);
        let (setting, at_start) =
            ("UseTaskStartTimeForFullLoadTimestamp", on("UseTaskStartTimeForFullLoadTimestamp"));
        self.say_if(timestamp.is_some() && !at_start, setting, &Advice::FullLoadTimestamp);
        let setting = "ParquetTimestampInMillisecond";
        self.say_if(on(setting), setting, &Advice::Milliseconds);
        let setting = "AddTrailingPaddingCharacter";
        self.say_if(on(setting), setting, &Advice::Padding);
        self.look_at_numbers();
        self.look_at_access();
        self.look_at_file_size(timeout_s);
        for contradiction in &endpoint.contradictions {
            let super::endpoint::Contradiction { name, path, of_settings, of_attributes } =
                contradiction.clone();
            let advice = Advice::Contradiction { name, of_settings, of_attributes };
            self.remarks.push(Remark::new(&endpoint.file, path, &advice));
        }
    }

    /// Settings that the sums are made of.
    fn look_at_numbers(&mut self) {
        let numbers = [
            ("CdcMaxBatchInterval", "seconds", quota::DEFAULT_INTERVAL_S),
            ("CdcMinFileSize", "KB", quota::DEFAULT_MIN_FILE_KB),
            ("MaxFileSize", "KB", DEFAULT_MAX_FILE_KB),
        ];
        for (setting, unit, default) in numbers {
            let Some(given) = self.endpoint.get(setting) else { continue };
            if self.endpoint.number(setting).is_none() {
                let (given, counted) = (shortened(given), grouped(default));
                self.say(setting, &Advice::NotANumber { setting, given, unit, counted });
            }
        }
    }

    fn look_at_access(&mut self) {
        if self.endpoint.get("EncryptionMode").is_some_and(|mode| is_word(mode, "sse-kms")) {
            let key = self.endpoint.get("ServerSideEncryptionKmsKeyId").unwrap_or("of the bucket").to_owned();
            self.say("EncryptionMode", &Advice::Kms { key });
        }
        let acl = self.endpoint.get("CannedAclForObjects").unwrap_or_default();
        if ["public-read", "public-read-write", "authenticated-read"].iter().any(|open| is_word(acl, open)) {
            self.say("CannedAclForObjects", &Advice::Public { acl: acl.to_owned() });
        }
    }

    fn look_at_file_size(&mut self, timeout_s: u64) {
        let size_kb = self.endpoint.number("MaxFileSize").unwrap_or(DEFAULT_MAX_FILE_KB);
        let sending_s = timeout_s.saturating_sub(NOT_SENDING_S).max(1);
        let rate_kb = size_kb.div_ceil(sending_s);
        if rate_kb > SURE_KB_PER_S {
            let (size_kb, rate_kb) = (grouped(size_kb), grouped(rate_kb));
            self.say("MaxFileSize", &Advice::LargeFiles { size_kb, sending_s, timeout_s, rate_kb });
        }
    }

    /// The mapping that its files fall under.
    fn landing<'m>(&mut self, mappings: &'m Mappings, wanted: Option<&'m Landing>) -> Option<&'m Landing> {
        let Some(bucket) = self.endpoint.bucket() else {
            self.say("BucketName", &Advice::NoBucket);
            return wanted;
        };
        let folder = self.endpoint.bucket_folder();
        let place =
            if folder.is_empty() { format!("s3://{bucket}/") } else { format!("s3://{bucket}/{folder}/") };
        let own = self.endpoint.landing(mappings);
        match (own, wanted) {
            (Some(own), Some(wanted)) if own.address() != wanted.address() => {
                let (mapping, other) = (wanted.file().to_owned(), wanted.address());
                self.say("BucketFolder", &Advice::AnotherMapping { place, mapping, other });
                Some(own)
            }
            (Some(own), _) => Some(own),
            (None, _) => {
                let nearest = mappings.landings().iter().map(Landing::address);
                let nearest = nearest
                    .max_by_key(|at| at.chars().zip(place.chars()).take_while(|(a, b)| a == b).count());
                self.say("BucketFolder", &Advice::Unmapped { place, nearest });
                wanted
            }
        }
    }

    fn look_at_dates(&mut self, landing: &Landing) {
        let (endpoint, mapping) = (self.endpoint, landing.file().to_owned());
        let ours = landing.layout().date_partition;
        if endpoint.is_on("DatePartitionEnabled") {
            match date_folders(endpoint) {
                Err(given) => self.say("DatePartitionSequence", &Advice::UnknownDateFolders { given }),
                Ok(shape) if ours != Some(shape) => {
                    let ours = ours.map_or("none".to_owned(), |ours| ours.to_string());
                    let theirs = shape.to_string();
                    let advice =
                        Advice::DateFolders { theirs, ours, mapping: mapping.clone(), shape: Some(shape) };
                    self.say("DatePartitionEnabled", &advice);
                }
                Ok(_) => {}
            }
        } else if let Some(ours) = ours {
            let advice = Advice::NoDateFolders { ours: ours.to_string(), mapping: mapping.clone() };
            self.say("DatePartitionEnabled", &advice);
        }
        let (theirs, ours) = (endpoint.timezone().to_owned(), landing.timezone().to_owned());
        // Without date folders the setting does nothing.
        let counts =
            endpoint.is_on("DatePartitionEnabled") || endpoint.get("DatePartitionTimezone").is_none();
        if theirs != ours && counts {
            self.say("DatePartitionTimezone", &Advice::Timezone { theirs, ours, mapping });
        }
    }

    fn look_at_quotas(&mut self, landing: &Landing, table_count: Option<u64>) -> Load {
        let interval_s =
            self.endpoint.number("CdcMaxBatchInterval").unwrap_or(quota::DEFAULT_INTERVAL_S).max(1);
        let (named, by_patterns) = quota::tables_of(landing);
        let mut projects: Vec<String> =
            landing.table_rules().iter().filter_map(|rule| rule.project().map(str::to_owned)).collect();
        projects.sort();
        projects.dedup();
        let load = Load {
            endpoint: self.endpoint.name().to_owned(),
            projects,
            // A pattern stands for one table at least, or nobody would have written it.
            tables: table_count.unwrap_or(named.max(1)),
            more: by_patterns && table_count.is_none(),
            interval_s,
        };
        let setting = "CdcMaxBatchInterval";
        let mapping = landing.file().to_owned();
        if load.jobs() > quota::LOAD_JOBS_PER_PROJECT_AND_DAY {
            let project = load.projects.join(", ");
            let advice = Advice::TooManyJobs { arithmetic: load.arithmetic(), project, tables: load.tables };
            self.say(setting, &advice);
        } else if load.more {
            let most_tables =
                quota::LOAD_JOBS_PER_PROJECT_AND_DAY / quota::files_per_table_and_day(interval_s);
            self.say(setting, &Advice::UnknownTables { interval_s, most_tables, mapping: mapping.clone() });
        }
        self.look_at_changes(landing, interval_s);
        let size_kb = self.endpoint.number("CdcMinFileSize").unwrap_or(quota::DEFAULT_MIN_FILE_KB);
        let rate_kb = size_kb / interval_s;
        self.say_if(
            size_kb < SMALL_MIN_FILE_KB,
            "CdcMinFileSize",
            &Advice::SmallFiles { size_kb, rate_kb, interval_s },
        );
        load
    }

    /// How often one table would change.
    fn look_at_changes(&mut self, landing: &Landing, interval_s: u64) {
        let files = quota::files_per_table_and_day(interval_s);
        let kinds = [
            (true, UNPARTITIONED, quota::CHANGES_PER_TABLE_AND_DAY),
            (false, "partitioned by the time of loading", quota::CHANGES_PER_PARTITIONED_TABLE_AND_DAY),
        ];
        for (unpartitioned, kind, limit) in kinds {
            let loading = landing.table_rules().into_iter().filter(|rule| !rule.excludes());
            let of_kind: Vec<String> = loading
                .filter(|rule| rule.is_unpartitioned() == unpartitioned)
                .map(|rule| rule.name().to_string())
                .collect();
            let Some(first) = of_kind.first().filter(|_| files > quota::sure_part(limit)) else { continue };
            let rules = match of_kind.len() {
                1 => first.clone(),
                many => format!("{first} and {} more", many - 1),
            };
            let (left, enough_s) = (limit.checked_sub(files).map(grouped), quota::easy_interval_for(limit));
            let (files, limit, mapping) = (grouped(files), grouped(limit), landing.file().to_owned());
            let advice = match left {
                None => Advice::TooManyChanges { interval_s, files, limit, kind, rules, mapping },
                Some(left) => {
                    Advice::FewChangesLeft { interval_s, files, limit, left, kind, rules, mapping, enough_s }
                }
            };
            self.say("CdcMaxBatchInterval", &advice);
        }
    }
}

fn is_word(given: &str, word: &str) -> bool {
    given.to_lowercase().replace('_', "-") == word
}

impl Told for Advice {
    fn level(&self) -> Level {
        match self {
            Self::NotParquet { .. }
            | Self::PreserveTransactions
            | Self::LeavesOut { .. }
            | Self::NoTimestamp
            | Self::DateFolders { .. }
            | Self::UnknownDateFolders { .. }
            | Self::NoBucket
            | Self::Unmapped { .. }
            | Self::AnotherMapping { .. }
            | Self::TooManyJobs { .. }
            | Self::TooManyChanges { .. }
            | Self::NotANumber { .. } => Level::Error,
            Self::NoOpForFullLoad
            | Self::FullLoadTimestamp
            | Self::Milliseconds
            | Self::Padding
            | Self::NoDateFolders { .. }
            | Self::Timezone { .. }
            | Self::UnknownTables { .. }
            | Self::FewChangesLeft { .. }
            | Self::SmallFiles { .. }
            | Self::LargeFiles { .. }
            | Self::Kms { .. }
            | Self::Public { .. }
            | Self::Contradiction { .. } => Level::Warning,
        }
    }

    fn code(&self) -> &'static str {
        match self {
            Self::NotParquet { .. } => "endpoint.not_parquet",
            Self::PreserveTransactions => "endpoint.preserve_transactions",
            Self::LeavesOut { .. } => "endpoint.leaves_out",
            Self::NoTimestamp => "endpoint.no_timestamp",
            Self::NoOpForFullLoad => "endpoint.no_op_for_full_load",
            Self::FullLoadTimestamp => "endpoint.full_load_timestamp",
            Self::Milliseconds => "endpoint.milliseconds",
            Self::Padding => "endpoint.padding",
            Self::DateFolders { .. } | Self::NoDateFolders { .. } | Self::UnknownDateFolders { .. } => {
                "endpoint.date_partition"
            }
            Self::Timezone { .. } => "endpoint.timezone",
            Self::NoBucket => "endpoint.no_bucket",
            Self::Unmapped { .. } => "endpoint.unmapped",
            Self::AnotherMapping { .. } => "endpoint.another_mapping",
            Self::TooManyJobs { .. } => "endpoint.too_many_jobs",
            Self::UnknownTables { .. } => "endpoint.unknown_tables",
            Self::TooManyChanges { .. } => "endpoint.too_many_changes",
            Self::FewChangesLeft { .. } => "endpoint.few_changes_left",
            Self::NotANumber { .. } => "endpoint.not_a_number",
            Self::SmallFiles { .. } => "endpoint.small_files",
            Self::LargeFiles { .. } => "endpoint.large_files",
            Self::Kms { .. } => "endpoint.kms",
            Self::Public { .. } => "endpoint.public",
            Self::Contradiction { .. } => "endpoint.contradiction",
        }
    }

    fn remedy(&self) -> String {
        match self {
            Self::NotParquet { .. } => "set DataFormat to parquet, then reload the tables: what was written as CSV is not loaded".to_owned(),
            Self::PreserveTransactions => "switch PreserveTransactions off and take CdcPath out, then reload the tables".to_owned(),
            Self::LeavesOut { setting, .. } => format!("set {setting} to false, unless that is what somebody wants: then `--allow endpoint.leaves_out`"),
            Self::NoTimestamp => "set TimestampColumnName, such as `dms_timestamp`, before the first load: rows that are written without it never get it".to_owned(),
            Self::NoOpForFullLoad => "set IncludeOpForFullLoad to true: a full load's rows then say `I`, and a table has the same columns from its first file on".to_owned(),
            Self::FullLoadTimestamp => "set UseTaskStartTimeForFullLoadTimestamp to true, so that whatever comes after the start of the task is later than the full load".to_owned(),
            Self::Milliseconds => "set ParquetTimestampInMillisecond to false; BigQuery reads microseconds".to_owned(),
            Self::Padding => "set AddTrailingPaddingCharacter to false, unless the spaces are wanted".to_owned(),
            Self::DateFolders { shape, mapping, .. } => match shape {
                Some(shape) => format!(
                    "write `\"date_partition\": {{ \"sequence\": \"{}\", \"delimiter\": \"{}\" }}` into the source of {mapping}",
                    shape.sequence.as_str(),
                    shape.delimiter.as_str()
                ),
                None => format!("describe the date folders in the source of {mapping}"),
            },
            Self::NoDateFolders { .. } => "harmless: files without date folders are loaded as well; if the endpoint keeps none, take `date_partition` out of the mapping".to_owned(),
            Self::UnknownDateFolders { .. } => "use YYYYMMDD, YYYYMMDDHH, YYYYMM, MMYYYYDD or DDMMYYYY with SLASH, DASH, UNDERSCORE or NONE, or run a newer dms2bq".to_owned(),
            Self::Timezone { theirs, mapping, .. } => format!("write `\"timezone\": \"{theirs}\"` into the source of {mapping}; better still, use UTC: where clocks are put back, names repeat"),
            Self::NoBucket => "give the settings whole, as `aws dms describe-endpoints` prints them".to_owned(),
            Self::Unmapped { nearest: Some(nearest), .. } => format!("add a mapping with this bucket and bucket_folder, or correct the one for {nearest}"),
            Self::Unmapped { nearest: None, .. } => "add a mapping with this bucket and bucket_folder".to_owned(),
            Self::AnotherMapping { .. } => "name the mapping of this endpoint with --mapping, or leave --mapping out: the bucket and folder say which it is".to_owned(),
            Self::TooManyJobs { tables, .. } => format!("set CdcMaxBatchInterval to {} s or more, or let tables that nobody needs that fresh have an endpoint of their own", quota::interval_for(*tables)),
            Self::UnknownTables { .. } => "say how many tables the task writes: `--tables 70`".to_owned(),
            Self::TooManyChanges { kind: UNPARTITIONED, .. } => "leave `partition` out of the rule (a table by day takes 11,000 changes; it cannot be added later), or set CdcMaxBatchInterval to 60 s or more".to_owned(),
            Self::TooManyChanges { .. } => "set CdcMaxBatchInterval to 60 s or more".to_owned(),
            Self::FewChangesLeft { kind: UNPARTITIONED, enough_s, .. } => format!("leave `partition` out of the rule (a table by day takes 11,000 changes; it cannot be added later), or set CdcMaxBatchInterval to {enough_s} s or more"),
            Self::FewChangesLeft { enough_s, .. } => format!("set CdcMaxBatchInterval to {enough_s} s or more"),
            Self::NotANumber { setting, unit, .. } => format!("write {setting} as a whole number of {unit}"),
            Self::SmallFiles { .. } => "set CdcMinFileSize to 32000 (KB), DMS's default, so that the interval decides".to_owned(),
            Self::LargeFiles { .. } => "give the function a longer time-out (say so with --function-timeout-s), more memory, which brings it network, or set MaxFileSize to 262144 (KB)".to_owned(),
            Self::Kms { .. } => "give the function's role kms:Decrypt on that key, in the role's policy and in the key's; the templates have a parameter for it".to_owned(),
            Self::Public { .. } => "set CannedAclForObjects to bucket-owner-full-control, or to none".to_owned(),
            Self::Contradiction { .. } => "keep the S3 settings (they are taken here) and clear the extra connection attributes".to_owned(),
        }
    }
}
