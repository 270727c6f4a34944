//! Which shape a body has, and what it is taken apart into.

use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, IgnoredAny, SeqAccess, Visitor};
use serde_json::value::RawValue;

use super::error::EventError;
use super::lenient::{Text, describe, is_object};
use super::{IgnoredEvent, Notice, bridge, notification};

/// The largest body that is read. SQS admits messages of 1 MiB, and Lambda hands over batches of 6 MB
/// including their envelopes, so no queue delivers more than this.
pub const MAX_BODY_BYTES: usize = 6 * 1024 * 1024;

/// The most records that one notification may hold. S3 sends one, its format allows any number, and a
/// thousand are promised to whoever gathers them; ten times that is beyond what a body can hold with
/// records of their usual size.
pub const MAX_RECORDS: usize = 10_000;

/// The fields by which a body is recognised; everything else in it is skipped.
#[derive(Deserialize)]
struct Body<'a> {
    #[serde(rename = "Records", borrow, default)]
    records: Option<&'a RawValue>,
    #[serde(rename = "Event", default)]
    event: Text,
    #[serde(rename = "Bucket", default)]
    bucket: Text,
    #[serde(rename = "Type", default)]
    kind: Text,
    #[serde(rename = "TopicArn", default)]
    topic: Text,
    #[serde(rename = "Message", default)]
    message: Text,
    #[serde(default)]
    version: Text,
    #[serde(rename = "detail-type", default)]
    detail_type: Text,
    #[serde(default)]
    source: Text,
    #[serde(borrow, default)]
    detail: Option<&'a RawValue>,
    #[serde(default)]
    time: Text,
}

/// What a body holds: a notice or an error for each of its records, in order.
type Records = Vec<Result<Notice, EventError>>;

/// Takes the body of an SQS message apart.
///
/// Every shape is recognised by its own marks: S3's notification by `Records`, its test event by
/// `Event`, an EventBridge event by `detail-type` and the source `aws.s3`, an SNS envelope by `Type`.
/// An SNS envelope is opened once.
///
/// # Errors
/// The outer error says that the body as a whole is not understood. An inner one says so of one record,
/// which leaves the others good.
pub fn read(body: &str) -> Result<Records, EventError> {
    if body.len() > MAX_BODY_BYTES {
        return Err(EventError::TooLarge { size_bytes: body.len(), limit_bytes: MAX_BODY_BYTES });
    }
    let fields = recognise(body)?;
    match fields.kind.as_deref() {
        Some("Notification") if fields.records.is_none() => open_envelope(&fields),
        Some(kind @ ("SubscriptionConfirmation" | "UnsubscribeConfirmation")) => {
            let Some(topic) = fields.topic.as_deref() else { return Err(unknown_shape(body)) };
            let (kind, topic) = (kind.to_owned(), topic.to_owned());
            Ok(vec![Ok(Notice::Ignored(IgnoredEvent::Confirmation { kind, topic }))])
        }
        _ => read_news(body, &fields),
    }
}

fn recognise(body: &str) -> Result<Body<'_>, EventError> {
    let not_json = |error: serde_json::Error| match error.classify() {
        serde_json::error::Category::Data => unknown_shape(body),
        _ => EventError::NotJson(error),
    };
    if !is_object(body) {
        serde_json::from_str::<IgnoredAny>(body).map_err(not_json)?;
        return Err(unknown_shape(body));
    }
    serde_json::from_str(body).map_err(not_json)
}

fn unknown_shape(body: &str) -> EventError {
    EventError::UnknownShape { found: describe(body) }
}

/// Opens an SNS envelope. What it holds has to be S3 news; another envelope inside it is not.
fn open_envelope(envelope: &Body) -> Result<Records, EventError> {
    let inner = envelope.message.as_deref().unwrap_or_default();
    let news = recognise(inner).and_then(|fields| read_news(inner, &fields));
    news.map_err(|error| match error {
        error @ (EventError::NotJson(_) | EventError::UnknownShape { .. }) => EventError::SnsPayload {
            topic: envelope.topic.as_deref().unwrap_or_default().to_owned(),
            source: Box::new(error),
        },
        other => other,
    })
}

/// Reads what S3 or EventBridge says.
fn read_news(body: &str, fields: &Body) -> Result<Records, EventError> {
    if let Some(records) = fields.records {
        return read_records(records).unwrap_or_else(|| Err(unknown_shape(body)));
    }
    if fields.event.as_deref() == Some("s3:TestEvent") {
        let bucket = fields.bucket.as_deref().map(str::to_owned);
        return Ok(vec![Ok(Notice::Ignored(IgnoredEvent::Test { bucket }))]);
    }
    match (fields.detail_type.as_deref(), fields.source.as_deref()) {
        (Some(detail_type), Some("aws.s3")) => {
            let version = fields.version.as_deref();
            let (detail, time) = (fields.detail, &fields.time);
            Ok(vec![bridge::read(&bridge::Envelope { version, detail_type, detail, time })])
        }
        _ => Err(unknown_shape(body)),
    }
}

/// Reads the list of records; `None` if it is no list.
fn read_records(json: &RawValue) -> Option<Result<Records, EventError>> {
    let list: List = serde_json::from_str(json.get()).ok()?;
    Some(match list {
        List { count: 0, .. } => Ok(vec![Ok(Notice::Ignored(IgnoredEvent::NoRecords))]),
        List { count, .. } if count > MAX_RECORDS => {
            Err(EventError::TooManyRecords { records: count, limit: MAX_RECORDS })
        }
        List { records, .. } => Ok(records.into_iter().map(notification::read).collect()),
    })
}

/// A list of records, counted to its end but kept only as far as it is admitted.
struct List<'a> {
    records: Vec<&'a RawValue>,
    count: usize,
}

impl<'de: 'a, 'a> Deserialize<'de> for List<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_seq(ListVisitor)
    }
}

struct ListVisitor;

impl<'de> Visitor<'de> for ListVisitor {
    type Value = List<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of records")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<Self::Value, A::Error> {
        let mut records = Vec::new();
        while records.len() < MAX_RECORDS {
            let Some(record) = elements.next_element::<&'de RawValue>()? else {
                return Ok(List { count: records.len(), records });
            };
            records.push(record);
        }
        let mut count = records.len();
        while elements.next_element::<IgnoredAny>()?.is_some() {
            count += 1;
        }
        Ok(List { records, count })
    }
}
