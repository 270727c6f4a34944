//! Step 1 of 6: **event**. What the queue handed us, taken apart into notices.
//!
//! Takes an SQS body, gives zero or more [`Notice`]s. Knows the shapes in which S3 news travels (S3
//! notifications, wrapped by SNS or not, EventBridge events, test events, SNS confirmations) and
//! detects them; nothing is configured.

use crate::object::ObjectRef;

/// Why a record of a message holds nothing to load.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum IgnoredEvent {}

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
}
