//! The notifications that AWS would send about a folder's files, in the shapes and the disorder in which they arrive.

use serde_json::{Value, json};

use crate::object::name::encode;
use crate::object::{ETag, ObjectRef};

/// How many messages a batch holds, as both deployment templates set it.
pub(super) const MESSAGES_PER_BATCH: usize = 10;

/// Every seventh object is announced twice: S3 promises "at least once".
const DUPLICATE_EVERY: usize = 7;

/// A message of the pretended queue.
#[derive(Debug, Clone)]
pub(super) struct Message {
    /// Its id.
    pub(super) id: String,
    /// Its body.
    pub(super) body: String,
    /// How often it has been handed out.
    pub(super) receive_count: u32,
    /// When it was sent, in milliseconds since 1970.
    pub(super) sent_at_ms: u64,
}

/// All messages about a folder: one for each object, some twice, one wrapped by SNS, one by EventBridge, and the
/// test event that S3 sends when a notification is configured.
pub(super) fn messages(objects: &[ObjectRef], now_ms: u64) -> Vec<Message> {
    let mut bodies = vec![test_event(objects)];
    for (n, object) in objects.iter().enumerate() {
        bodies.push(match n % DUPLICATE_EVERY {
            2 => sns(&s3_notification(object)),
            4 => event_bridge(object),
            _ => s3_notification(object),
        });
    }
    let again = objects.iter().step_by(DUPLICATE_EVERY).map(s3_notification);
    bodies.extend(again);
    let message = |(n, body): (usize, Value)| Message {
        id: format!("{:08x}-0000-4000-8000-{n:012x}", now_ms & 0xffff_ffff),
        body: body.to_string(),
        receive_count: 0,
        sent_at_ms: now_ms,
    };
    bodies.into_iter().enumerate().map(message).collect()
}

/// The batch as Lambda's event source mapping hands it over.
pub(super) fn batch(messages: &[Message]) -> Value {
    let records: Vec<Value> = messages
        .iter()
        .map(|message| {
            json!({
                "messageId": message.id,
                "receiptHandle": "local",
                "body": message.body,
                "attributes": {
                    "ApproximateReceiveCount": message.receive_count.to_string(),
                    "SentTimestamp": message.sent_at_ms.to_string(),
                    "SenderId": "local",
                    "ApproximateFirstReceiveTimestamp": message.sent_at_ms.to_string(),
                },
                "messageAttributes": {},
                "eventSource": "aws:sqs",
                "eventSourceARN": "arn:aws:sqs:local:000000000000:dms2bq",
                "awsRegion": "local",
            })
        })
        .collect();
    json!({ "Records": records })
}

fn s3_notification(object: &ObjectRef) -> Value {
    json!({ "Records": [{
        "eventVersion": "2.1",
        "eventSource": "aws:s3",
        "awsRegion": "local",
        "eventTime": "2026-01-01T00:00:00.000Z",
        "eventName": "ObjectCreated:Put",
        "userIdentity": { "principalId": "AWS:dms" },
        "requestParameters": { "sourceIPAddress": "127.0.0.1" },
        "responseElements": { "x-amz-request-id": "LOCAL", "x-amz-id-2": "LOCAL" },
        "s3": {
            "s3SchemaVersion": "1.0",
            "configurationId": "dms2bq",
            "bucket": {
                "name": object.bucket,
                "ownerIdentity": { "principalId": "LOCAL" },
                "arn": format!("arn:aws:s3:::{}", object.bucket),
            },
            "object": {
                "key": encode(&object.key).to_string(),
                "size": object.size_bytes,
                "eTag": object.etag.as_ref().map(ETag::as_str),
                "sequencer": "0055AED6DCD90281E5",
            },
        },
    }]})
}

fn sns(inner: &Value) -> Value {
    json!({
        "Type": "Notification",
        "MessageId": "00000000-0000-4000-8000-000000000000",
        "TopicArn": "arn:aws:sns:local:000000000000:landing",
        "Subject": "Amazon S3 Notification",
        "Message": inner.to_string(),
        "Timestamp": "2026-01-01T00:00:00.000Z",
    })
}

/// EventBridge leaves keys as they are.
fn event_bridge(object: &ObjectRef) -> Value {
    json!({
        "version": "0",
        "id": "00000000-0000-4000-8000-000000000000",
        "detail-type": "Object Created",
        "source": "aws.s3",
        "account": "000000000000",
        "time": "2026-01-01T00:00:00Z",
        "region": "local",
        "resources": [format!("arn:aws:s3:::{}", object.bucket)],
        "detail": {
            "version": "0",
            "bucket": { "name": object.bucket },
            "object": {
                "key": object.key,
                "size": object.size_bytes,
                "etag": object.etag.as_ref().map(ETag::as_str),
                "sequencer": "0055AED6DCD90281E5",
            },
            "requester": "000000000000",
            "reason": "PutObject",
        },
    })
}

fn test_event(objects: &[ObjectRef]) -> Value {
    json!({
        "Service": "Amazon S3",
        "Event": "s3:TestEvent",
        "Time": "2026-01-01T00:00:00.000Z",
        "Bucket": objects.first().map(|object| object.bucket.as_str()).unwrap_or("landing"),
        "RequestId": "LOCAL",
        "HostId": "LOCAL",
    })
}
