//! What really happened in a world, kept beside the program and without its code: which objects there were, what each
//! message was about, and what has to become of it.

use std::time::Duration;

use dms2bq::route::TableRef;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::files::File;
use crate::secrets;

pub(crate) const PROJECT: &str = "acme-dw";
pub(crate) const LOCATION: &str = "asia-northeast3";

/// An object as it was under one etag.
#[derive(Debug, Clone)]
pub(crate) struct Version {
    pub(crate) bucket: &'static str,
    pub(crate) key: String,
    pub(crate) etag: String,
    pub(crate) version_id: Option<String>,
    pub(crate) file: File,
    pub(crate) table: TableRef,
    pub(crate) identity: Identity,
    /// When another object took its place, if one did.
    pub(crate) replaced_at: Option<Duration>,
    /// Whether it is deleted at present.
    pub(crate) is_deleted: bool,
    /// Why it must never count as loaded, if so.
    pub(crate) spoiled: Option<&'static str>,
    /// Whether its first job runs for longer than a receive waits.
    pub(crate) is_held: bool,
    /// When somebody dropped the table with its rows in it.
    pub(crate) rows_dropped_at: Option<Duration>,
}

/// The names that a load of an object has, computed here from the design's words and not by the program.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Identity {
    /// The job id without its attempt.
    pub(crate) job_base: String,
    /// The label `object`.
    pub(crate) label: String,
}

impl Identity {
    pub(crate) fn of(names: &[&str; 3], bucket: &str, key: &str, etag: &str, table: &TableRef) -> Self {
        let destination = format!("{}.{}.{}", table.project, table.dataset, table.table);
        let hash = Sha256::digest([bucket, key, etag, &destination].join("\0").as_bytes());
        let hex: String = hash.iter().map(|byte| format!("{byte:02x}")).collect();
        let [file, schema, table] = names;
        Self { job_base: format!("{file}_{schema}_{table}_{}", &hex[..16]), label: hex[..32].to_owned() }
    }
}

/// How a message is wrapped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    S3,
    SnsAroundS3,
    EventBridge,
    SnsAroundEventBridge,
}

/// One record of a message.
#[derive(Debug, Clone)]
pub(crate) enum Piece {
    /// News of an object.
    Object { version: usize, names_etag: bool, names_version: bool, copied: bool },
    /// News of something else.
    Other { record: Value, end: End },
}

impl Piece {
    /// Whether it is news of an object that was put there.
    pub(crate) fn is_clean(&self) -> bool {
        matches!(self, Self::Object { copied: false, names_etag: true, .. })
    }
}

/// What has to become of news that are of no object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    Ignored,
    Poison,
}

/// A message, whatever ids it has had.
#[derive(Debug, Clone)]
pub(crate) struct Letter {
    pub(crate) form: Form,
    pub(crate) pieces: Vec<Piece>,
    /// The body, if it is not made from the pieces.
    pub(crate) raw: Option<String>,
}

impl Letter {
    /// How many lines each receive of it has to leave.
    pub(crate) fn lines(&self) -> usize {
        self.pieces.len().max(1)
    }

    pub(crate) fn body(&self, versions: &[Version]) -> String {
        if let Some(raw) = &self.raw {
            return raw.clone();
        }
        match self.form {
            Form::S3 => self.records(versions).to_string(),
            Form::SnsAroundS3 => around(&self.records(versions)),
            Form::EventBridge => self.bridge(versions).to_string(),
            Form::SnsAroundEventBridge => around(&self.bridge(versions)),
        }
    }

    fn records(&self, versions: &[Version]) -> Value {
        let record = |piece: &Piece| match piece {
            Piece::Other { record, .. } => record.clone(),
            Piece::Object { version, names_etag, names_version, copied } => {
                let version = &versions[*version];
                let mut object =
                    json!({ "key": version.key.replace(' ', "+"), "size": version.file.bytes.len() });
                if *names_etag {
                    object["eTag"] = json!(version.etag);
                }
                if let (true, Some(id)) = (names_version, &version.version_id) {
                    object["versionId"] = json!(id);
                }
                let name = if *copied { "ObjectCreated:Copy" } else { "ObjectCreated:Put" };
                record(name, version.bucket, &object)
            }
        };
        json!({ "Records": self.pieces.iter().map(record).collect::<Vec<_>>() })
    }

    fn bridge(&self, versions: &[Version]) -> Value {
        let Some(Piece::Object { version, names_etag, names_version, copied }) = self.pieces.first() else {
            return json!({});
        };
        let version = &versions[*version];
        let mut object = json!({ "key": version.key, "size": version.file.bytes.len() });
        if *names_etag {
            object["etag"] = json!(version.etag);
        }
        if let (true, Some(id)) = (names_version, &version.version_id) {
            object["version-id"] = json!(id);
        }
        let reason = if *copied { "CopyObject" } else { "PutObject" };
        json!({
            "version": "0", "id": secrets::BODY, "detail-type": "Object Created", "source": "aws.s3",
            "detail": { "version": "0", "bucket": { "name": version.bucket }, "object": object, "reason": reason },
        })
    }
}

/// A record as S3 sends it.
pub(crate) fn record(name: &str, bucket: &str, object: &Value) -> Value {
    json!({
        "eventVersion": "2.1", "eventSource": "aws:s3", "eventName": name,
        "responseElements": { "x-amz-id-2": secrets::BODY },
        "s3": { "bucket": { "name": bucket }, "object": object },
    })
}

fn around(news: &Value) -> String {
    let unsubscribe = format!("https://sns.invalid/?Token={}", secrets::BODY);
    json!({
        "Type": "Notification", "TopicArn": "arn:aws:sns:ap-northeast-2:111122223333:landing",
        "Message": news.to_string(), "Signature": secrets::BODY, "UnsubscribeURL": unsubscribe,
    })
    .to_string()
}
