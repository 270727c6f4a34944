//! [`Queue`] over SQS.

use async_trait::async_trait;
use aws_config::SdkConfig;
use aws_sdk_sqs::Client;
use aws_sdk_sqs::config::http::HttpResponse;
use aws_sdk_sqs::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_sqs::operation::change_message_visibility_batch::ChangeMessageVisibilityBatchError;
use aws_sdk_sqs::types::{BatchResultErrorEntry, ChangeMessageVisibilityBatchRequestEntry};
use tokio::time::Instant;

use super::endpoint_override;
use crate::cloud::call::{Effect, Refusal};
use crate::cloud::quote::chain;
use crate::cloud::{
    CallError, Deadline, Queue, VISIBILITY_CHANGES_PER_CALL, VISIBILITY_TIMEOUT_SECS_MAX, VisibilityChange,
    VisibilityFailure,
};
use crate::event::QueueArn;

const SET_VISIBILITY: &str = "sqs.ChangeMessageVisibilityBatch";

/// SQS, or what speaks its language at `AWS_ENDPOINT_URL_SQS`.
#[derive(Debug, Clone)]
pub struct Sqs {
    client: Client,
    /// Where requests go, if not to AWS itself.
    endpoint: Option<String>,
}

impl Sqs {
    /// A client by the configuration that [`sdk_config`](super::sdk_config) found. Nothing is sent yet.
    pub fn new(config: &SdkConfig) -> Self {
        Self { client: Client::new(config), endpoint: endpoint_override(config, "SQS") }
    }

    /// The SDK's client below, for what is not part of [`Queue`].
    #[cfg(feature = "cli")]
    pub(crate) fn client(&self) -> &Client {
        &self.client
    }

    /// The queue's URL. Lambda tells the queue's ARN alone, and to ask for the URL would cost a call and a
    /// permission; its form has been the same since 2012
    /// (<https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-queue-message-identifiers.html>).
    fn url(&self, queue: &QueueArn) -> String {
        let base = match &self.endpoint {
            Some(endpoint) => endpoint.trim_end_matches('/').to_owned(),
            None => {
                let domain = if queue.partition() == "aws-cn" { "amazonaws.com.cn" } else { "amazonaws.com" };
                format!("https://sqs.{}.{domain}", queue.region())
            }
        };
        format!("{base}/{}/{}", queue.account(), queue.name())
    }
}

#[async_trait]
impl Queue for Sqs {
    async fn set_visibility(
        &self,
        queue: &QueueArn,
        changes: &[VisibilityChange],
        deadline: Deadline,
    ) -> Result<Vec<VisibilityFailure>, CallError> {
        check(changes)?;
        if changes.is_empty() {
            return Ok(Vec::new());
        }
        // A time-out that is up already would still let the request begin.
        if deadline.instant() <= Instant::now() {
            return Err(CallError::OutOfTime { call: SET_VISIBILITY, sent: false });
        }
        let entries = changes.iter().enumerate().map(|(index, change)| {
            ChangeMessageVisibilityBatchRequestEntry::builder()
                .id(index.to_string())
                .receipt_handle(&change.receipt_handle)
                .visibility_timeout(i32::try_from(change.visibility_timeout_secs).unwrap_or(i32::MAX))
                .build()
                .map_err(|error| rejected(error.to_string()))
        });
        let entries = entries.collect::<Result<Vec<_>, _>>()?;
        let call = self
            .client
            .change_message_visibility_batch()
            .queue_url(self.url(queue))
            .set_entries(Some(entries));
        match tokio::time::timeout_at(deadline.instant(), call.send()).await {
            Ok(Ok(answer)) => Ok(answer.failed().iter().map(failure).collect()),
            Ok(Err(error)) => Err(classify(&error)),
            Err(_elapsed) => Err(CallError::OutOfTime { call: SET_VISIBILITY, sent: true }),
        }
    }
}

/// What SQS would refuse as a whole is not sent.
fn check(changes: &[VisibilityChange]) -> Result<(), CallError> {
    if changes.len() > VISIBILITY_CHANGES_PER_CALL {
        return Err(rejected(format!(
            "{} changes; a call takes {VISIBILITY_CHANGES_PER_CALL}",
            changes.len()
        )));
    }
    match changes
        .iter()
        .map(|change| change.visibility_timeout_secs)
        .find(|s| *s > VISIBILITY_TIMEOUT_SECS_MAX)
    {
        Some(secs) => Err(rejected(format!("{secs} s; SQS knows {VISIBILITY_TIMEOUT_SECS_MAX} s at most"))),
        None => Ok(()),
    }
}

fn rejected(detail: String) -> CallError {
    CallError::Rejected { call: SET_VISIBILITY, detail }
}

fn failure(entry: &BatchResultErrorEntry) -> VisibilityFailure {
    let detail = format!("{SET_VISIBILITY}: {}: {}", entry.code(), entry.message().unwrap_or("no message"));
    VisibilityFailure { index: entry.id().parse().unwrap_or_default(), detail }
}

fn classify(error: &SdkError<ChangeMessageVisibilityBatchError, HttpResponse>) -> CallError {
    match error {
        SdkError::ServiceError(refused) => Refusal {
            status: refused.raw().status().as_u16(),
            reason: refused.err().code().unwrap_or_default().to_owned(),
            message: refused.err().message().unwrap_or_default().to_owned(),
            retry_after: None,
        }
        .into_error(SET_VISIBILITY, Effect::Write),
        SdkError::ConstructionFailure(_) => rejected(chain(error)),
        _ => Effect::Write.no_answer(SET_VISIBILITY, chain(error)),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test stops at what it did not expect")]

    use super::*;

    fn url(endpoint: Option<&str>, arn: &str) -> String {
        let mut config = SdkConfig::builder().behavior_version(aws_config::BehaviorVersion::latest());
        config.set_endpoint_url(endpoint.map(str::to_owned));
        Sqs::new(&config.build()).url(&QueueArn::parse(arn).unwrap())
    }

    #[test]
    fn a_queue_is_found_by_its_arn() {
        let arn = "arn:aws:sqs:eu-west-1:123456789012:dms2bq";
        assert_eq!(url(None, arn), "https://sqs.eu-west-1.amazonaws.com/123456789012/dms2bq");
        let local = "http://127.0.0.1:4566/123456789012/dms2bq";
        assert_eq!(url(Some("http://127.0.0.1:4566"), arn), local);
        assert_eq!(url(Some("http://127.0.0.1:4566/"), arn), local);
        let of_china = "arn:aws-cn:sqs:cn-north-1:123456789012:q.fifo";
        assert_eq!(url(None, of_china), "https://sqs.cn-north-1.amazonaws.com.cn/123456789012/q.fifo");
    }
}
