//! What holds nothing to load.

use crate::object::ObjectRef;

/// Why a record of a message holds nothing to load.
///
/// Each is known by name, and acknowledged; what is not known is an [`EventError`](super::EventError).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum IgnoredEvent {
    /// News of S3 that creates nothing: a removal, a restore, a tag, a lifecycle transition.
    NotCreated {
        /// The event's name (`ObjectRemoved:Delete`), or EventBridge's detail type (`Object Deleted`).
        name: String,
        /// The object, if the event names one.
        object: Option<ObjectRef>,
    },
    /// The test event that S3 sends whenever somebody saves a bucket's notification settings.
    Test {
        /// The bucket whose settings were saved.
        bucket: Option<String>,
    },
    /// SNS asks to confirm, or tells of the end of, a subscription.
    Confirmation {
        /// SNS's word for it: `SubscriptionConfirmation` or `UnsubscribeConfirmation`.
        kind: String,
        /// The topic.
        topic: String,
    },
    /// A notification without any record.
    NoRecords,
    /// An object that only stands for a folder.
    FolderMarker {
        /// The marker.
        object: ObjectRef,
    },
    /// An object of zero bytes, which no Parquet file is.
    EmptyObject {
        /// The object.
        object: ObjectRef,
    },
}

impl IgnoredEvent {
    /// The stable code of this reason.
    pub fn code(&self) -> &'static str {
        match self {
            Self::NotCreated { .. } => "event.not_created",
            Self::Test { .. } => "event.test",
            Self::Confirmation { .. } => "event.confirmation",
            Self::NoRecords => "event.no_records",
            Self::FolderMarker { .. } => "event.folder_marker",
            Self::EmptyObject { .. } => "event.empty_object",
        }
    }

    /// Why there is nothing to load, in one line.
    pub fn reason(&self) -> String {
        match self {
            Self::NotCreated { name, .. } => format!("a `{name}` event creates no object"),
            Self::Test { bucket: Some(bucket) } => {
                format!("the test event that S3 sends when the notifications of bucket `{bucket}` are saved")
            }
            Self::Test { bucket: None } => {
                "the test event that S3 sends when a bucket's notifications are saved".to_owned()
            }
            Self::Confirmation { kind, topic } => {
                format!("SNS's `{kind}` for topic `{topic}`, which a person answers in SNS")
            }
            Self::NoRecords => "a notification without records".to_owned(),
            Self::FolderMarker { .. } => "an object that only stands for a folder".to_owned(),
            Self::EmptyObject { .. } => "an object of zero bytes holds no rows".to_owned(),
        }
    }

    /// The object that the news is about, where it names one.
    pub fn object(&self) -> Option<&ObjectRef> {
        match self {
            Self::NotCreated { object, .. } => object.as_ref(),
            Self::FolderMarker { object } | Self::EmptyObject { object } => Some(object),
            Self::Test { .. } | Self::Confirmation { .. } | Self::NoRecords => None,
        }
    }
}
