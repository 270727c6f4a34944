//! What SQS says of a message besides its body.

/// How a message came to us.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Receipt {
    /// The message's id, by which the reply names it.
    pub message_id: String,
    /// How often SQS has handed it out, this time included; 1 for the first.
    pub receive_count: u32,
    /// When it was sent, in milliseconds since 1970. A redrive sends it anew.
    pub sent_at_ms: Option<u64>,
    /// Whether it came back from a dead-letter queue.
    pub redriven: bool,
}

impl Receipt {
    /// Whether nobody can have worked on this message before, so that its job need not be looked up first.
    ///
    /// A wrong "fresh" costs one upload that BigQuery refuses with 409; a wrong "not fresh" costs one look.
    pub fn is_fresh(&self) -> bool {
        self.receive_count <= 1 && !self.redriven
    }

    /// Whether the message was sent after a moment. Without a sent time it counts as sent before, since
    /// "after" is what makes another job.
    pub fn sent_after(&self, moment_ms: u64) -> bool {
        self.sent_at_ms.is_some_and(|sent_at_ms| sent_at_ms > moment_ms)
    }
}
