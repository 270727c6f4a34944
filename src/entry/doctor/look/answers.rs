//! AWS's answers, as facts.

use aws_sdk_lambda::operation::get_function_configuration::GetFunctionConfigurationOutput;
use aws_sdk_lambda::types::{EventSourceMappingConfiguration, FunctionResponseType};
use aws_sdk_s3::types::{Event, NotificationConfigurationFilter};
use aws_sdk_sqs::types::QueueAttributeName;
use serde_json::Value;

use crate::config::names;
use crate::entry::doctor::facts::{EventSource, FunctionSettings, QueueSettings, Redrive, Target};

/// How the variables begin that dms2bq might read; what else is in a function's environment is nobody's business here.
const OUR_PREFIX: &str = "DMS2BQ";

pub(super) fn function_settings(answer: &GetFunctionConfigurationOutput) -> FunctionSettings {
    let variables = answer.environment().and_then(|environment| environment.variables());
    let is_ours = |name: &str| {
        names::ALL.contains(&name)
            || name.get(..OUR_PREFIX.len()).is_some_and(|start| start.eq_ignore_ascii_case(OUR_PREFIX))
    };
    let read = variables.into_iter().flatten().filter(|(name, _)| is_ours(name));
    let architectures = answer.architectures().iter();
    FunctionSettings {
        runtime: answer.runtime().map(|runtime| runtime.as_str().to_owned()),
        architecture: architectures.map(|it| it.as_str()).next().unwrap_or("x86_64").to_owned(),
        state: answer.state().map(|state| state.as_str().to_owned()),
        state_reason: answer.state_reason().map(str::to_owned),
        timeout_secs: answer.timeout().and_then(whole).unwrap_or_default(),
        memory_mb: answer.memory_size().and_then(whole).unwrap_or_default(),
        role: answer.role().unwrap_or_default().to_owned(),
        reserved_concurrency: None,
        environment: read.map(|(name, value)| (name.clone(), value.clone())).collect(),
    }
}

pub(super) fn event_source(source: &EventSourceMappingConfiguration) -> EventSource {
    EventSource {
        uuid: source.uuid().unwrap_or_default().to_owned(),
        queue_arn: source.event_source_arn().unwrap_or_default().to_owned(),
        state: source.state().unwrap_or_default().to_owned(),
        batch_size: source.batch_size().and_then(whole).unwrap_or_default(),
        batching_window_secs: source.maximum_batching_window_in_seconds().and_then(whole).unwrap_or_default(),
        reports_item_failures: source
            .function_response_types()
            .contains(&FunctionResponseType::ReportBatchItemFailures),
        maximum_concurrency: source.scaling_config().and_then(|it| it.maximum_concurrency()).and_then(whole),
        filter_count: source.filter_criteria().map_or(0, |criteria| criteria.filters().len()),
    }
}

pub(super) fn whole(number: i32) -> Option<u64> {
    u64::try_from(number).ok()
}

pub(super) fn queue_settings<'a>(attribute: impl Fn(QueueAttributeName) -> Option<&'a str>) -> QueueSettings {
    let number = |name| attribute(name).and_then(|text| text.parse().ok()).unwrap_or_default();
    let text = |name| attribute(name).filter(|text| !text.is_empty()).map(str::to_owned);
    QueueSettings {
        arn: text(QueueAttributeName::QueueArn).unwrap_or_default(),
        visibility_timeout_secs: number(QueueAttributeName::VisibilityTimeout),
        retention_secs: number(QueueAttributeName::MessageRetentionPeriod),
        delay_secs: number(QueueAttributeName::DelaySeconds),
        message_count: number(QueueAttributeName::ApproximateNumberOfMessages),
        fifo: attribute(QueueAttributeName::FifoQueue) == Some("true"),
        kms_key: text(QueueAttributeName::KmsMasterKeyId),
        policy: text(QueueAttributeName::Policy),
        redrive: attribute(QueueAttributeName::RedrivePolicy).and_then(redrive),
        redrive_allow: text(QueueAttributeName::RedriveAllowPolicy),
    }
}

/// `maxReceiveCount` comes as a number or as a text.
fn redrive(policy: &str) -> Option<Redrive> {
    let policy: Value = serde_json::from_str(policy).ok()?;
    let count = policy.get("maxReceiveCount")?;
    Some(Redrive {
        dead_letter_arn: policy.get("deadLetterTargetArn")?.as_str()?.to_owned(),
        max_receive_count: count.as_u64().or_else(|| count.as_str()?.parse().ok())?,
    })
}

pub(super) fn target(
    arn: &str,
    events: &[Event],
    filter: Option<&NotificationConfigurationFilter>,
) -> Target {
    let rules = filter.and_then(|filter| filter.key()).map(|key| key.filter_rules()).unwrap_or_default();
    let value = |wanted: &str| {
        let rule = rules
            .iter()
            .find(|rule| rule.name().is_some_and(|name| name.as_str().eq_ignore_ascii_case(wanted)));
        rule.and_then(|rule| rule.value()).unwrap_or_default().to_owned()
    };
    Target {
        arn: arn.to_owned(),
        events: events.iter().map(|event| event.as_str().to_owned()).collect(),
        prefix: value("prefix"),
        suffix: value("suffix"),
    }
}
