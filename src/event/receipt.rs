//! What SQS says of a message besides its body.

use std::fmt;

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
    /// The handle of this receive, by which its visibility is set; `None` outside of a queue.
    pub receipt_handle: Option<String>,
    /// The queue that it came from; `None` outside of a queue.
    pub queue: Option<QueueArn>,
}

/// The name of a queue for all of AWS: `arn:aws:sqs:eu-west-1:123456789012:dms2bq`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct QueueArn {
    partition: String,
    region: String,
    account: String,
    name: String,
}

impl QueueArn {
    /// Reads `eventSourceARN`; `None` if it is not of a queue.
    pub fn parse(arn: &str) -> Option<Self> {
        let parts: Vec<&str> = arn.split(':').collect();
        let ["arn", partition, "sqs", region, account, name] = parts[..] else { return None };
        let is_label = |text: &str| {
            !text.is_empty()
                && text.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.'))
        };
        [partition, region, account, name].into_iter().all(is_label).then(|| Self {
            partition: partition.to_owned(),
            region: region.to_owned(),
            account: account.to_owned(),
            name: name.to_owned(),
        })
    }

    /// `aws`, `aws-cn`, `aws-us-gov`.
    pub fn partition(&self) -> &str {
        &self.partition
    }

    /// The region.
    pub fn region(&self) -> &str {
        &self.region
    }

    /// The account's number.
    pub fn account(&self) -> &str {
        &self.account
    }

    /// The queue's own name.
    pub fn name(&self) -> &str {
        &self.name
    }
}

impl fmt::Display for QueueArn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { partition, region, account, name } = self;
        write!(f, "arn:{partition}:sqs:{region}:{account}:{name}")
    }
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
