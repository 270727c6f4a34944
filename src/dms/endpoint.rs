//! An endpoint's settings for S3, as the AWS CLI prints them or as extra connection attributes spell them.

use std::collections::BTreeMap;

use serde_json::Value;

use super::fault::{Fault, TARGET_IN_S3};
use super::node::{Node, Reader, described, shortened};
use super::remark::Remark;
use crate::key::{DateFolders, Delimiter, Sequence};
use crate::route::{Landing, Mappings};

/// The time zone of an endpoint that has no DatePartitionTimezone.
const UTC: &str = "UTC";

/// One endpoint that writes to S3.
///
/// A setting is found under its name in whatever case it is spelled: the API says `DataFormat`, extra connection attributes
/// `dataFormat`, and the CLI's shorthand either.
#[derive(Debug, Clone)]
pub struct Endpoint {
    pub(super) file: String,
    path: String,
    identifier: Option<String>,
    /// Its ARN, by which tasks name it.
    arn: Option<String>,
    /// By their names in lower case: what they are, and where they stand.
    settings: BTreeMap<String, Setting>,
    /// Settings that stand in both places and differ.
    pub(super) contradictions: Vec<Contradiction>,
}

#[derive(Debug, Clone)]
struct Setting {
    value: String,
    path: String,
}

/// A setting that the S3 settings and the extra connection attributes spell differently.
#[derive(Debug, Clone)]
pub(super) struct Contradiction {
    pub(super) name: String,
    pub(super) path: String,
    pub(super) of_settings: String,
    pub(super) of_attributes: String,
}

impl Endpoint {
    /// Reads what `aws dms describe-endpoints` prints, one of its endpoints, or the S3 settings alone. Endpoints that are
    /// no targets in S3 are left out.
    ///
    /// # Errors
    /// What is wrong with the file.
    pub fn read(file: &str, text: &str) -> Result<Vec<Self>, Vec<Remark>> {
        let mut reader = Reader::new(file);
        read_document(&mut reader, text).ok_or(reader.remarks)
    }

    /// The file that it was read from.
    pub fn file(&self) -> &str {
        &self.file
    }

    /// What to call it: its identifier, or its file.
    pub fn name(&self) -> &str {
        self.identifier.as_deref().unwrap_or(&self.file)
    }

    /// Its ARN, by which tasks name it.
    pub fn arn(&self) -> Option<&str> {
        self.arn.as_deref()
    }

    /// The bucket that it writes to.
    pub fn bucket(&self) -> Option<&str> {
        self.get("BucketName")
    }

    /// The folder of the bucket, without slashes at its ends.
    pub fn bucket_folder(&self) -> &str {
        self.get("BucketFolder").unwrap_or_default().trim_matches('/')
    }

    /// The landing prefix that it writes to, if a mapping has it: the very bucket and folder.
    pub fn landing<'m>(&self, mappings: &'m Mappings) -> Option<&'m Landing> {
        let is_it = |landing: &&Landing| {
            Some(landing.bucket()) == self.bucket() && landing.layout().bucket_folder == self.bucket_folder()
        };
        mappings.landings().iter().find(is_it)
    }

    /// A setting that says something.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.settings.get(&name.to_lowercase()).map(|setting| setting.value.as_str())
    }

    /// The same as a whole number.
    pub(super) fn number(&self, name: &str) -> Option<u64> {
        self.get(name)?.trim().parse().ok()
    }

    /// Whether a switch is on: `true`, or `y` as extra connection attributes may have it.
    pub(super) fn is_on(&self, name: &str) -> bool {
        self.get(name)
            .is_some_and(|value| matches!(value.to_lowercase().as_str(), "true" | "y" | "yes" | "1"))
    }

    /// Where a setting stands, or would stand.
    pub(super) fn path(&self, name: &str) -> String {
        match self.settings.get(&name.to_lowercase()) {
            Some(setting) => setting.path.clone(),
            None => self.path.clone(),
        }
    }

    /// The time zone of its date folders and file names.
    pub(super) fn timezone(&self) -> &str {
        self.get("DatePartitionTimezone").unwrap_or(UTC)
    }
}

fn read_document(reader: &mut Reader<'_>, text: &str) -> Option<Vec<Endpoint>> {
    let json = reader.document(text, "$")?;
    let top = Node::root(&json, "$");
    let listed = top.field("Endpoints").map(|endpoints| endpoints.items());
    if listed.as_ref().is_some_and(Vec::is_empty) {
        reader.report("$.Endpoints", &Fault::NothingListed { list: "Endpoints" });
        return None;
    }
    let holders = listed.unwrap_or_else(|| vec![top.field("Endpoint").unwrap_or_else(|| top.clone())]);
    let mut endpoints: Vec<Endpoint> =
        holders.iter().filter_map(|holder| read_endpoint(reader.file, holder)).collect();
    if endpoints.is_empty() && top.field("BucketName").or_else(|| top.field("bucketName")).is_some() {
        endpoints.push(of_settings(reader.file, &top, &[]));
    }
    if endpoints.is_empty() {
        report_others(reader, &holders, &json);
        return None;
    }
    Some(endpoints)
}

/// Says what was given instead of a target in S3.
fn report_others(reader: &mut Reader<'_>, holders: &[Node<'_>], json: &Value) {
    let before = reader.remarks.len();
    for holder in holders {
        let Some(engine) = holder.plain_text("EngineName") else { continue };
        let is_source = is_source(holder);
        let kind = format!("a {} ({})", if is_source { "source" } else { "target" }, shortened(&engine));
        let which = holder.path.trim_start_matches("$.").replace('$', "the endpoint");
        reader.report(&holder.path, &Fault::NotATarget { which, kind });
    }
    if reader.remarks.len() == before {
        reader.report("$", &Fault::AnotherShape { sought: TARGET_IN_S3, found: described(json) });
    }
}

fn is_source(holder: &Node<'_>) -> bool {
    holder.plain_text("EndpointType").is_some_and(|kind| kind.eq_ignore_ascii_case("source"))
}

/// One endpoint, if it is a target in S3.
fn read_endpoint(file: &str, holder: &Node<'_>) -> Option<Endpoint> {
    let is_s3 = holder.plain_text("EngineName").is_some_and(|engine| engine.eq_ignore_ascii_case("s3"));
    let settings = holder.field("S3Settings").or_else(|| holder.field("s3Settings"));
    if is_source(holder) || (settings.is_none() && !is_s3) {
        return None;
    }
    let attributes = attributes_of(holder);
    let empty = Value::Object(serde_json::Map::new());
    let settings = match &settings {
        Some(settings) => settings.clone(),
        None => Node::root(&empty, &holder.path),
    };
    let mut endpoint = of_settings(file, &settings, &attributes);
    endpoint.identifier = holder.plain_text("EndpointIdentifier");
    endpoint.arn = holder.plain_text("EndpointArn");
    Some(endpoint)
}

/// The extra connection attributes: `bucketName=acme-landing;dataFormat=parquet`. Each with its path.
fn attributes_of(holder: &Node<'_>) -> Vec<(String, Setting)> {
    let Some(at) = holder.field("ExtraConnectionAttributes") else { return Vec::new() };
    let pairs = at.json.as_str().unwrap_or_default().split(';').filter_map(|pair| pair.split_once('='));
    let setting = |(name, value): (&str, &str)| {
        let value = value.trim().to_owned();
        (name.trim().to_owned(), Setting { value, path: at.path.clone() })
    };
    pairs.map(setting).filter(|(_, setting)| !setting.value.is_empty()).collect()
}

fn of_settings(file: &str, settings: &Node<'_>, attributes: &[(String, Setting)]) -> Endpoint {
    let mut endpoint = Endpoint {
        file: file.to_owned(),
        path: settings.path.clone(),
        identifier: None,
        arn: None,
        settings: BTreeMap::new(),
        contradictions: Vec::new(),
    };
    let names = settings.json.as_object().into_iter().flat_map(|fields| fields.keys());
    for name in names {
        let Some(node) = settings.field(name) else { continue };
        let value = match node.json {
            Value::String(text) => text.clone(),
            Value::Bool(_) | Value::Number(_) => node.json.to_string(),
            Value::Null | Value::Array(_) | Value::Object(_) => continue,
        };
        // The CLI prints "" for some of what is not set.
        if !value.is_empty() {
            endpoint.settings.insert(name.to_lowercase(), Setting { value, path: node.path });
        }
    }
    for (name, attribute) in attributes {
        match endpoint.settings.get(&name.to_lowercase()) {
            Some(set) if !is_same(&set.value, &attribute.value) => {
                endpoint.contradictions.push(Contradiction {
                    name: name.clone(),
                    path: attribute.path.clone(),
                    of_settings: set.value.clone(),
                    of_attributes: attribute.value.clone(),
                });
            }
            Some(_) => {}
            None => {
                endpoint.settings.insert(name.to_lowercase(), attribute.clone());
            }
        }
    }
    endpoint
}

/// `parquet-2-0` and `PARQUET_2_0`, `true` and `y` are the same.
fn is_same(a: &str, b: &str) -> bool {
    let plain = |value: &str| match value.to_lowercase().replace('_', "-").as_str() {
        "y" | "yes" => "true".to_owned(),
        "n" | "no" => "false".to_owned(),
        other => other.to_owned(),
    };
    plain(a) == plain(b)
}

/// The shape of the date folders, or what is unknown about it.
pub(super) fn date_folders(endpoint: &Endpoint) -> Result<DateFolders, String> {
    let sequence = endpoint.get("DatePartitionSequence").unwrap_or(Sequence::Yyyymmdd.as_str());
    let delimiter = endpoint.get("DatePartitionDelimiter").unwrap_or(Delimiter::Slash.as_str());
    let is_it = |given: &str, known: &str| given.eq_ignore_ascii_case(known);
    let found = Sequence::ALL.into_iter().find(|known| is_it(sequence, known.as_str()));
    let between = Delimiter::ALL.into_iter().find(|known| is_it(delimiter, known.as_str()));
    match (found, between) {
        (Some(sequence), Some(delimiter)) => Ok(DateFolders { sequence, delimiter }),
        (None, _) => Err(sequence.to_owned()),
        (_, None) => Err(delimiter.to_owned()),
    }
}
