//! What Google and S3 accept as names. Nothing here mends a name: two could become one.
//!
//! Sources: Google's pages on creating projects, "Organizing BigQuery resources" (datasets), "Create
//! and use tables" (table names), "Specify a schema" (column names, reserved prefixes, flexible column
//! names), "BigQuery locations", and the S3 user guide's bucket naming rules.

use crate::object::footer::{MAX_COLUMN_NAME_CHARS, NameFault, column_name_fault};
use std::fmt;

use icu_properties::CodePointMapData;
use icu_properties::props::{GeneralCategory, GeneralCategoryGroup};

/// The longest table name, in bytes of UTF-8.
pub const MAX_TABLE_BYTES: usize = 1024;
/// The longest dataset name; its characters are ASCII, so also in bytes.
pub const MAX_DATASET_CHARS: usize = 1024;
/// The shortest and the longest project id.
const PROJECT_CHARS: (usize, usize) = (6, 30);
/// The shortest and the longest bucket name; today's buckets end at 63, the oldest of us-east-1 at 255.
const BUCKET_CHARS: (usize, usize) = (3, 255);
/// S3's limit on a key, and so on a folder.
const MAX_KEY_BYTES: usize = 1024;

/// BigQuery's regions and multi-regions when this was written. Only a hint: new ones open every year.
const KNOWN_LOCATIONS: &[&str] = &[
    "US",
    "EU",
    "africa-south1",
    "asia-east1",
    "asia-east2",
    "asia-northeast1",
    "asia-northeast2",
    "asia-northeast3",
    "asia-south1",
    "asia-south2",
    "asia-southeast1",
    "asia-southeast2",
    "australia-southeast1",
    "australia-southeast2",
    "europe-central2",
    "europe-north1",
    "europe-north2",
    "europe-southwest1",
    "europe-west1",
    "europe-west10",
    "europe-west12",
    "europe-west2",
    "europe-west3",
    "europe-west4",
    "europe-west6",
    "europe-west8",
    "europe-west9",
    "me-central1",
    "me-central2",
    "me-west1",
    "northamerica-northeast1",
    "northamerica-northeast2",
    "northamerica-south1",
    "southamerica-east1",
    "southamerica-west1",
    "us-central1",
    "us-east1",
    "us-east4",
    "us-east5",
    "us-south1",
    "us-west1",
    "us-west2",
    "us-west3",
    "us-west4",
];

/// What a name names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NameKind {
    /// An S3 bucket.
    Bucket,
    /// A folder of an S3 bucket.
    Folder,
    /// A Google project, by its id.
    Project,
    /// A BigQuery dataset.
    Dataset,
    /// A BigQuery table.
    Table,
    /// A column of a BigQuery table.
    Column,
    /// A BigQuery location.
    Location,
}

impl fmt::Display for NameKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Bucket => "bucket name",
            Self::Folder => "bucket folder",
            Self::Project => "project id",
            Self::Dataset => "dataset name",
            Self::Table => "table name",
            Self::Column => "column name",
            Self::Location => "location",
        })
    }
}

/// A name that its owner would refuse, and why.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{}` is not a valid {kind}: {reason}", shortened(given))]
pub struct BadName {
    /// What it should have named.
    pub kind: NameKind,
    /// The name as it was given.
    pub given: String,
    /// What is wrong with it.
    pub reason: BadNameReason,
}

/// The beginning of what somebody wrote, for a sentence that a person can read.
pub(super) fn shortened(text: &str) -> String {
    const SHOWN_CHARS: usize = 80;
    match text.char_indices().nth(SHOWN_CHARS) {
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or_default()),
        None => text.to_owned(),
    }
}

/// What is wrong with a name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BadNameReason {
    /// There is no name.
    Empty,
    /// It is too long.
    TooLong {
        /// The limit.
        max: usize,
        /// What is counted: `bytes` or `characters`.
        unit: &'static str,
    },
    /// It is too short.
    TooShort {
        /// The least number of characters.
        min: usize,
    },
    /// A character that does not belong there.
    Character(char),
    /// It begins with what BigQuery keeps for itself.
    Reserved(&'static str),
    /// It is not of the shape that such names have.
    Shape(&'static str),
}

impl fmt::Display for BadNameReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("it is empty"),
            Self::TooLong { max, unit } => write!(f, "it is longer than {max} {unit}"),
            Self::TooShort { min } => write!(f, "it is shorter than {min} characters"),
            Self::Character(' ') => f.write_str("a space is not allowed"),
            Self::Character(c) => write!(f, "`{}` is not allowed", c.escape_debug()),
            Self::Reserved(prefix) => write!(f, "names that begin with `{prefix}` are reserved"),
            Self::Shape(shape) => f.write_str(shape),
        }
    }
}

impl BadName {
    fn new(kind: NameKind, given: &str, reason: BadNameReason) -> Self {
        Self { kind, given: given.to_owned(), reason }
    }

    /// What a person should write instead.
    pub fn remedy(&self) -> String {
        match self.kind {
            NameKind::Bucket => bucket_remedy(&self.given),
            NameKind::Folder => folder_remedy(&self.given),
            NameKind::Project => project_remedy(&self.given),
            NameKind::Dataset => {
                "write the dataset's name alone: letters a-z and A-Z, digits and `_`".to_owned()
            }
            NameKind::Table => {
                "give the table another name in `destination.table`: letters, marks and digits of any \
                 script, `_`, dashes and spaces, 1,024 bytes at most; names are never mended, since two \
                 could become one"
                    .to_owned()
            }
            NameKind::Column => "write the column as the Parquet file and BigQuery spell it".to_owned(),
            NameKind::Location => location_remedy(&self.given),
        }
    }
}

fn bucket_remedy(given: &str) -> String {
    let bare = given.strip_prefix("s3://").or_else(|| given.strip_prefix("arn:aws:s3:::"));
    match bare.unwrap_or(given).split_once('/') {
        Some((bucket, folder)) if !folder.trim_matches('/').is_empty() => {
            format!("write `\"bucket\": \"{bucket}\", \"bucket_folder\": \"{}\"`", folder.trim_matches('/'))
        }
        Some((bucket, _)) => format!("write the bucket's name alone: `{bucket}`"),
        None => match bare {
            Some(bucket) => format!("write the bucket's name alone: `{bucket}`"),
            None => "write the bucket's name alone, as the S3 console shows it".to_owned(),
        },
    }
}

fn folder_remedy(given: &str) -> String {
    let folders: Vec<&str> = given.split('/').filter(|s| !matches!(*s, "" | "." | "..")).collect();
    match folders.join("/") {
        empty if empty.is_empty() => {
            "leave `bucket_folder` out: the files stand at the bucket's root".to_owned()
        }
        folder => {
            format!("write `{folder}`: the BucketFolder of the DMS endpoint, without slashes at its ends")
        }
    }
}

fn project_remedy(given: &str) -> String {
    if !given.is_empty() && given.chars().all(|c| c.is_ascii_digit()) {
        return "write the project's id, not its number".to_owned();
    }
    "write the project's id: 6 to 30 lower-case letters, digits and dashes, a letter first".to_owned()
}

fn location_remedy(given: &str) -> String {
    match nearest_location(given) {
        Some(known) => format!("did you mean `{known}`?"),
        None => "write the dataset's location as BigQuery spells it, such as `US`, `EU` or `asia-northeast3`"
            .to_owned(),
    }
}

/// The location that somebody who wrote `given` probably meant.
pub fn nearest_location(given: &str) -> Option<&'static str> {
    super::nearest::nearest(
        &given.to_ascii_lowercase(),
        KNOWN_LOCATIONS.iter().copied(),
        str::to_ascii_lowercase,
    )
}

/// Whether BigQuery had this location when this was written.
pub fn is_known_location(given: &str) -> bool {
    KNOWN_LOCATIONS.contains(&given)
}

/// Checks the name of an S3 bucket, as loosely as the oldest buckets and other makers' S3 need.
///
/// # Errors
/// [`BadName`] when no bucket can have this name.
pub fn check_bucket(name: &str) -> Result<(), BadName> {
    let bad = |reason| Err(BadName::new(NameKind::Bucket, name, reason));
    if name.is_empty() {
        return bad(BadNameReason::Empty);
    }
    if let Some(c) = name.chars().find(|c| !(c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_'))) {
        return bad(BadNameReason::Character(c));
    }
    if name.len() < BUCKET_CHARS.0 {
        return bad(BadNameReason::TooShort { min: BUCKET_CHARS.0 });
    }
    if name.len() > BUCKET_CHARS.1 {
        return bad(BadNameReason::TooLong { max: BUCKET_CHARS.1, unit: "characters" });
    }
    Ok(())
}

/// Checks a bucket folder that is not empty: whole folders, without slashes at its ends.
///
/// # Errors
/// [`BadName`] when no key that DMS writes lies under it.
pub fn check_folder(folder: &str) -> Result<(), BadName> {
    let bad = |reason| Err(BadName::new(NameKind::Folder, folder, reason));
    if folder.len() > MAX_KEY_BYTES {
        return bad(BadNameReason::TooLong { max: MAX_KEY_BYTES, unit: "bytes" });
    }
    if folder.starts_with('/') {
        return bad(BadNameReason::Shape("it begins with a slash"));
    }
    if folder.starts_with("s3:") {
        return bad(BadNameReason::Shape("it is an address, not a folder"));
    }
    if folder.split('/').any(|segment| matches!(segment, "" | "." | "..")) {
        return bad(BadNameReason::Shape("it has an empty folder, `.` or `..` in it"));
    }
    if let Some(c) = folder.chars().find(|c| c.is_control()) {
        return bad(BadNameReason::Character(c));
    }
    Ok(())
}

/// Checks a project id, an old domain-scoped one (`example.com:sales-dw`) too.
///
/// # Errors
/// [`BadName`] when no project can have this id.
pub fn check_project(id: &str) -> Result<(), BadName> {
    let bad = |reason| Err(BadName::new(NameKind::Project, id, reason));
    if id.is_empty() {
        return bad(BadNameReason::Empty);
    }
    let (domain, name) = match id.split_once(':') {
        Some((domain, name)) => (Some(domain), name),
        None => (None, id),
    };
    if domain.is_some_and(|domain| !is_domain(domain)) {
        return bad(BadNameReason::Shape("what stands before `:` is not a domain"));
    }
    if let Some(c) = name.chars().find(|c| !(c.is_ascii_lowercase() || c.is_ascii_digit() || *c == '-')) {
        return bad(BadNameReason::Character(c));
    }
    if name.len() < PROJECT_CHARS.0 {
        return bad(BadNameReason::TooShort { min: PROJECT_CHARS.0 });
    }
    if name.len() > PROJECT_CHARS.1 {
        return bad(BadNameReason::TooLong { max: PROJECT_CHARS.1, unit: "characters" });
    }
    if !name.starts_with(|c: char| c.is_ascii_lowercase()) {
        return bad(BadNameReason::Shape("it does not begin with a letter"));
    }
    if name.ends_with('-') {
        return bad(BadNameReason::Shape("it ends with a dash"));
    }
    Ok(())
}

fn is_domain(domain: &str) -> bool {
    let is_label = |label: &str| {
        !label.is_empty()
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-')
    };
    domain.contains('.') && domain.split('.').all(is_label)
}

/// Checks the name of a dataset.
///
/// # Errors
/// [`BadName`] when BigQuery would refuse it.
pub fn check_dataset(name: &str) -> Result<(), BadName> {
    let bad = |reason| Err(BadName::new(NameKind::Dataset, name, reason));
    if name.is_empty() {
        return bad(BadNameReason::Empty);
    }
    if let Some(c) = name.chars().find(|c| !is_dataset_char(*c)) {
        return bad(BadNameReason::Character(c));
    }
    if name.len() > MAX_DATASET_CHARS {
        return bad(BadNameReason::TooLong { max: MAX_DATASET_CHARS, unit: "characters" });
    }
    Ok(())
}

fn is_dataset_char(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_'
}

/// Checks the name of a table.
///
/// # Errors
/// [`BadName`] when BigQuery would refuse it.
pub fn check_table(name: &str) -> Result<(), BadName> {
    let bad = |reason| Err(BadName::new(NameKind::Table, name, reason));
    if name.is_empty() {
        return bad(BadNameReason::Empty);
    }
    if let Some(c) = name.chars().find(|c| !is_table_char(*c)) {
        return bad(BadNameReason::Character(c));
    }
    if name.len() > MAX_TABLE_BYTES {
        return bad(BadNameReason::TooLong { max: MAX_TABLE_BYTES, unit: "bytes" });
    }
    Ok(())
}

/// The Unicode categories that BigQuery names for tables: letters, marks, numbers, connectors
/// (underscores), dashes and spaces.
const TABLE_CHARS: GeneralCategoryGroup = GeneralCategoryGroup::Letter
    .union(GeneralCategoryGroup::Mark)
    .union(GeneralCategoryGroup::Number)
    .union(GeneralCategoryGroup::ConnectorPunctuation)
    .union(GeneralCategoryGroup::DashPunctuation)
    .union(GeneralCategoryGroup::SpaceSeparator);

fn is_table_char(c: char) -> bool {
    TABLE_CHARS.contains(CodePointMapData::<GeneralCategory>::new().get(c))
}

/// Checks the name of a column, by the rules for flexible column names.
///
/// # Errors
/// [`BadName`] when BigQuery would refuse it.
pub fn check_column(name: &str) -> Result<(), BadName> {
    let reason = match column_name_fault(name) {
        None => return Ok(()),
        Some(NameFault::Empty) => BadNameReason::Empty,
        Some(NameFault::Character(character)) => BadNameReason::Character(character),
        Some(NameFault::TooLong) => BadNameReason::TooLong { max: MAX_COLUMN_NAME_CHARS, unit: "characters" },
        Some(NameFault::Reserved(prefix)) => BadNameReason::Reserved(prefix),
    };
    Err(BadName::new(NameKind::Column, name, reason))
}

/// Checks that a location has the shape of one: `US`, `EU`, or a region such as `asia-northeast3`.
///
/// # Errors
/// [`BadName`] when BigQuery has no such location.
pub fn check_location(location: &str) -> Result<(), BadName> {
    if location.is_empty() {
        return Err(BadName::new(NameKind::Location, location, BadNameReason::Empty));
    }
    if matches!(location, "US" | "EU") || is_region(location) {
        return Ok(());
    }
    let shape = "it is neither `US` nor `EU` nor of the shape of a region";
    Err(BadName::new(NameKind::Location, location, BadNameReason::Shape(shape)))
}

/// `asia-northeast3`: words of letters joined by dashes, and a number of one or two digits at the end.
fn is_region(location: &str) -> bool {
    let Some((area, place)) = location.rsplit_once('-') else { return false };
    let word = place.trim_end_matches(|c: char| c.is_ascii_digit());
    let digits = place.len() - word.len();
    (1..=2).contains(&digits)
        && area.split('-').chain([word]).all(|w| !w.is_empty() && w.chars().all(|c| c.is_ascii_lowercase()))
}
