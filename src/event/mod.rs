//! Step 1 of 6: **event**. What the queue handed us, taken apart into notices.
//!
//! Takes an SQS body, gives zero or more [`Notice`]s. Knows the shapes in which S3 news travels (S3
//! notifications, wrapped by SNS or not, EventBridge events, test events, SNS confirmations) and
//! detects them; nothing is configured.
//!
//! Nothing is dropped: [`read`] gives one notice or one error for each record of the body, or one
//! error for a body that it does not understand. What holds nothing to load says so by name.

mod body;
mod notification;
mod bridge;
mod version;
mod bounds;
mod lenient;
mod ignored;
mod error;
mod receipt;

pub use body::{MAX_BODY_BYTES, MAX_RECORDS, read};
pub use error::{EventError, Speaker};
pub use ignored::IgnoredEvent;
pub use receipt::{QueueArn, Receipt};

use crate::object::ObjectRef;

/// One piece of news about one object, or a reason why there is nothing to load.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Notice {
    /// An object was written.
    Created(Created),
    /// The record holds nothing to load, by name and with a reason.
    Ignored(IgnoredEvent),
}

/// An object was written under a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Created {
    /// Which object, as far as the event says.
    pub object: ObjectRef,
    /// Whether S3 copied it (`ObjectCreated:Copy`, or EventBridge's reason `CopyObject`).
    pub copied: bool,
    /// When S3 had it, in milliseconds since 1970, if the event says so in a way that can be read. Only told to
    /// people; nothing is decided by it. EventBridge knows whole seconds.
    pub landed_at_ms: Option<u64>,
}

impl Notice {
    /// What became of an object that S3 says was created: news, unless it holds no rows by its very size.
    fn of_created(object: ObjectRef, copied: bool, landed_at_ms: Option<u64>) -> Self {
        if is_folder_marker(&object) {
            Self::Ignored(IgnoredEvent::FolderMarker { object })
        } else if object.size_bytes == Some(0) {
            Self::Ignored(IgnoredEvent::EmptyObject { object })
        } else {
            Self::Created(Created { object, copied, landed_at_ms })
        }
    }
}

/// Consoles and S3 browsers mark an empty "folder" by an object whose key ends in a slash, Hadoop by
/// one that ends in `_$folder$`. One that has content is no marker: the key step refuses it by name.
fn is_folder_marker(object: &ObjectRef) -> bool {
    let marked = object.key.ends_with('/') || object.key.ends_with("_$folder$");
    marked && object.size_bytes.unwrap_or(0) == 0
}
