//! What Lambda is answered: which messages of the batch are to come back.
//!
//! The reply starts as *every message failed*. A message leaves the list on proof alone, when all its records
//! have settled; a panic, a missed deadline or a bug therefore errs towards redelivery. (An empty reply, by
//! contrast, tells Lambda that the whole batch succeeded:
//! <https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-errorhandling.html>.)

use serde::Serialize;

/// The messages of a batch that are not proven done yet.
#[derive(Debug)]
pub struct Unproven {
    messages: Vec<Message>,
}

#[derive(Debug)]
struct Message {
    id: String,
    /// How many of its records have not settled. `None` until it is known how many there are.
    open_records: Option<usize>,
}

/// The partial-batch reply, in Lambda's JSON.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Reply {
    /// The messages that come back to the queue.
    pub batch_item_failures: Vec<BatchItemFailure>,
}

/// One message that comes back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct BatchItemFailure {
    /// The message's id.
    pub item_identifier: String,
}

/// The whole batch comes back.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WholeBatch {
    /// The event source is not known to honour partial replies, so one message can only come back with all.
    #[error(
        "{failed} of {messages} messages are not done, and without DMS2BQ_PARTIAL_BATCH_RESPONSE=on the whole \
         batch comes back; what is loaded will be found loaded"
    )]
    PartialRepliesOff {
        /// How many are not done.
        failed: usize,
        /// How many there are.
        messages: usize,
    },
    /// A message that is not done has no id to name it by.
    #[error("a message that is not done has no messageId, so the whole batch of {messages} comes back")]
    NoMessageId {
        /// How many messages there are.
        messages: usize,
    },
}

impl Unproven {
    /// A batch of which nothing is proven.
    pub fn new(message_ids: impl IntoIterator<Item = String>) -> Self {
        let messages = message_ids.into_iter().map(|id| Message { id, open_records: None }).collect();
        Self { messages }
    }

    /// Notes how many records a message has. One without any is done.
    pub fn has_records(&mut self, message: usize, record_count: usize) {
        if let Some(message) = self.messages.get_mut(message) {
            message.open_records = Some(record_count);
        }
    }

    /// Notes that one record of a message is loaded or ignored.
    pub fn record_settled(&mut self, message: usize) {
        if let Some(Message { open_records: Some(open), .. }) = self.messages.get_mut(message) {
            *open = open.saturating_sub(1);
        }
    }

    /// Which messages come back: those that are not done, or all if the event source takes no partial replies.
    pub fn returned(&self, partial_replies: bool) -> Vec<usize> {
        let whole_batch = self.reply(partial_replies).is_err();
        let messages = self.messages.iter().enumerate();
        let returned = messages.filter(|(_, message)| whole_batch || message.open_records != Some(0));
        returned.map(|(message, _)| message).collect()
    }

    /// The reply.
    ///
    /// # Errors
    /// [`WholeBatch`] if something is not done and the messages cannot be named one by one.
    pub fn reply(&self, partial_replies: bool) -> Result<Reply, WholeBatch> {
        let failed: Vec<&Message> = self.messages.iter().filter(|m| m.open_records != Some(0)).collect();
        let messages = self.messages.len();
        if !failed.is_empty() && !partial_replies {
            return Err(WholeBatch::PartialRepliesOff { failed: failed.len(), messages });
        }
        if failed.iter().any(|message| message.id.is_empty()) {
            return Err(WholeBatch::NoMessageId { messages });
        }
        let failures = failed.iter().map(|message| BatchItemFailure { item_identifier: message.id.clone() });
        Ok(Reply { batch_item_failures: failures.collect() })
    }
}
