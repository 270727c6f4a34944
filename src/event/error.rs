//! What is wrong with a message, or with one of its records.

use std::fmt;

use crate::object::name::SpellingError;

/// Why a message, or one of its records, cannot be understood.
///
/// Such a message is never dropped: it goes back to the queue, whose redrive policy moves it to the
/// dead-letter queue, where a person finds it whole.
#[derive(Debug, thiserror::Error)]
pub enum EventError {
    /// The body is larger than any queue delivers.
    #[error("body of {size_bytes} bytes, more than the {limit_bytes} that a Lambda batch can hold")]
    TooLarge {
        /// The body's size.
        size_bytes: usize,
        /// The bound that it breaks.
        limit_bytes: usize,
    },
    /// The body is not JSON.
    #[error("body is not JSON")]
    NotJson(#[source] serde_json::Error),
    /// JSON, but none of the shapes in which S3 news travels.
    #[error("JSON of no known shape: {found}")]
    UnknownShape {
        /// What it is instead, without its values.
        found: String,
    },
    /// SNS delivered something else than S3 news.
    #[error("SNS message of topic `{topic}` carries no S3 news")]
    SnsPayload {
        /// The topic; empty if the envelope does not name it.
        topic: String,
        /// What is wrong with the payload.
        #[source]
        source: Box<EventError>,
    },
    /// The notification announces more records than are admitted.
    #[error("notification of {records} records where at most {limit} are admitted")]
    TooManyRecords {
        /// How many there are.
        records: usize,
        /// The bound.
        limit: usize,
    },
    /// A version of the format that this program was not written for.
    #[error("{speaker} event of version `{found}`, but only {major}.x is understood")]
    Version {
        /// Whose format.
        speaker: Speaker,
        /// The version that it carries.
        found: String,
        /// The major version that is understood.
        major: u32,
    },
    /// A record of S3 that does not say what happened.
    #[error("record has no `eventName`, so whether it tells of a new object is unknown")]
    NoName,
    /// A record of S3 that names no bucket.
    #[error("{speaker} record names no bucket")]
    NoBucket {
        /// Whose record.
        speaker: Speaker,
    },
    /// A record of S3 that names no key.
    #[error("{speaker} record about bucket `{bucket}` names no key")]
    NoKey {
        /// Whose record.
        speaker: Speaker,
        /// The bucket.
        bucket: String,
    },
    /// A name that is longer than any of S3.
    #[error("the record's {what} has {size_bytes} bytes, and none of S3 has more than {limit_bytes}")]
    NameTooLong {
        /// Which name.
        what: &'static str,
        /// How long it is.
        size_bytes: usize,
        /// How long it may be.
        limit_bytes: usize,
    },
    /// A key whose spelling cannot be decoded.
    #[error("key `{spelling}` in bucket `{bucket}` cannot be decoded")]
    BadKey {
        /// The bucket.
        bucket: String,
        /// The key as the record spells it.
        spelling: String,
        /// What is wrong with the spelling.
        #[source]
        source: SpellingError,
    },
}

/// Whose format a piece of news is in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Speaker {
    /// S3's own notifications.
    S3,
    /// Amazon EventBridge.
    EventBridge,
}

impl fmt::Display for Speaker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::S3 => "S3",
            Self::EventBridge => "EventBridge",
        })
    }
}

impl EventError {
    /// The stable code of this error.
    pub fn code(&self) -> &'static str {
        match self {
            Self::TooLarge { .. } => "event.too_large",
            Self::NotJson(_) => "event.not_json",
            Self::UnknownShape { .. } => "event.unknown_shape",
            Self::SnsPayload { .. } => "event.sns_payload",
            Self::TooManyRecords { .. } => "event.too_many_records",
            Self::Version { .. } => "event.version",
            Self::NoName => "event.no_name",
            Self::NoBucket { .. } => "event.no_bucket",
            Self::NoKey { .. } => "event.no_key",
            Self::NameTooLong { .. } => "event.name_too_long",
            Self::BadKey { .. } => "event.bad_key",
        }
    }

    /// What a person should do.
    pub fn remedy(&self) -> &'static str {
        match self {
            Self::TooLarge { .. } | Self::TooManyRecords { .. } => {
                "S3 sends nothing like it, so find out who else writes to the queue; what such a message \
                 announces can be sent again in smaller ones"
            }
            Self::NotJson(_) | Self::UnknownShape { .. } => {
                "find out who else sends to the queue, and let its policy admit S3, SNS or EventBridge alone; \
                 if the message stands for an object, load that with `dms2bq load s3://…`; then delete the \
                 message"
            }
            Self::SnsPayload { .. } => {
                "subscribe the queue to a topic that carries nothing but S3's news, or give the subscription a \
                 filter; then delete the message"
            }
            Self::Version { .. } => {
                "AWS has changed the format of its events: look for a newer dms2bq that knows it, then redrive \
                 the message"
            }
            Self::NoName | Self::NoBucket { .. } | Self::NoKey { .. } => {
                "S3 sends nothing like it, so find out who does: a relay or an input transformer on the way may \
                 have cut the event short; load the object with `dms2bq load s3://…`, then delete the message"
            }
            Self::NameTooLong { .. } => {
                "no object of S3 has such a name, so S3 did not send this: find out who else writes to the queue, \
                 then delete the message"
            }
            Self::BadKey { .. } => {
                "S3 encodes keys like an HTML form and this one is encoded otherwise, so a relay on the way has \
                 changed it; load the object with `dms2bq load s3://…`, then delete the message"
            }
        }
    }

    /// The bucket that the record names, where it got that far.
    pub fn bucket(&self) -> Option<&str> {
        match self {
            Self::NoKey { bucket, .. } | Self::BadKey { bucket, .. } => Some(bucket),
            Self::TooLarge { .. }
            | Self::NotJson(_)
            | Self::UnknownShape { .. }
            | Self::SnsPayload { .. }
            | Self::TooManyRecords { .. }
            | Self::Version { .. }
            | Self::NoName
            | Self::NameTooLong { .. }
            | Self::NoBucket { .. } => None,
        }
    }
}
