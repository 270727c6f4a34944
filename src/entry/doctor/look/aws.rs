//! What AWS says: STS, Lambda, SQS and S3. Reads alone, each bounded by the SDK's own time-outs (20 s with its retries).

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use aws_config::SdkConfig;
use aws_sdk_lambda::operation::get_function_configuration::GetFunctionConfigurationOutput;
use aws_sdk_lambda::types::{EventSourceMappingConfiguration, FunctionResponseType};
use aws_sdk_s3::config::http::HttpResponse;
use aws_sdk_s3::config::interceptors::BeforeDeserializationInterceptorContextRef;
use aws_sdk_s3::config::{ConfigBag, Intercept, RuntimeComponents};
use aws_sdk_s3::error::{BoxError, ProvideErrorMetadata, SdkError};
use aws_sdk_s3::types::Event;
use aws_sdk_sqs::types::QueueAttributeName;
use futures_util::future::join_all;
use serde_json::Value;

use super::clock_seen;
use crate::cloud::aws::errors::lacks_credentials;
use crate::cloud::aws::{S3, Sqs, sdk_config};
use crate::cloud::clock::SystemClock;
use crate::cloud::quote::chain;
use crate::cloud::{Clock, aws};
use crate::config::names;
use crate::entry::doctor::facts::{
    Account, BucketSeen, ClockSeen, EventSource, Failure, FailureKind, FunctionSeen, FunctionSettings,
    Listing, Look, Notification, PrefixSeen, QueueSeen, QueueSettings, Redrive, Rule, Target,
};

/// The variables that dms2bq reads; what else is in a function's environment is nobody's business here.
const READ_VARIABLES: [&str; 6] = [
    names::MAPPINGS,
    names::PARTIAL_BATCH_RESPONSE,
    names::GOOGLE_CREDENTIALS,
    names::GOOGLE_PROVIDER,
    names::GOOGLE_SERVICE_ACCOUNT,
    names::BIGQUERY_EMULATOR,
];

/// Event source mappings of one function that are looked at: one for each lane, and room for what somebody tries out.
const EVENT_SOURCES_MAX: i32 = 100;

/// Objects that are listed below a prefix, to find one that can be read.
const LISTED_OBJECTS: i32 = 10;

/// What of an object is read: enough to be refused where the key or the right is missing.
const FIRST_BYTES: &str = "bytes=0-3";

/// A queue, as somebody or something named it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum QueueName {
    Url(String),
    Arn(String),
}

/// AWS, with the credentials of whoever runs doctor.
pub(super) struct Aws {
    config: SdkConfig,
    s3: S3,
    sqs: Sqs,
    lambda: aws_sdk_lambda::Client,
    events: aws_sdk_eventbridge::Client,
}

impl Aws {
    pub(super) async fn new() -> Self {
        let config = sdk_config().await;
        let (s3, sqs) = (aws::S3::new(&config), aws::Sqs::new(&config));
        let lambda = aws_sdk_lambda::Client::new(&config);
        let events = aws_sdk_eventbridge::Client::new(&config);
        Self { config, s3, sqs, lambda, events }
    }

    pub(super) fn config(&self) -> &SdkConfig {
        &self.config
    }

    /// Who we are, and what AWS thinks the time is. (A clock that is off shows in the refusal's date, too.)
    pub(super) async fn account(&self, clocks: &mut Vec<ClockSeen>) -> Look<Account> {
        let date = DateHeader::default();
        let config = aws_sdk_sts::config::Builder::from(&self.config).interceptor(date.clone()).build();
        let answer = aws_sdk_sts::Client::from_conf(config).get_caller_identity().send().await;
        clocks.extend(date.compared("AWS"));
        let region = self.config.region().map(ToString::to_string).unwrap_or_default();
        let seen = answer.map_err(|error| failure(&error)).map(|identity| Account {
            account: identity.account().unwrap_or_default().to_owned(),
            arn: identity.arn().unwrap_or_default().to_owned(),
            region,
        });
        seen.into()
    }

    pub(super) async fn functions(&self, names: &[String]) -> Vec<FunctionSeen> {
        join_all(names.iter().map(|name| self.function_seen(name))).await
    }

    async fn function_seen(&self, name: &str) -> FunctionSeen {
        let settings = self.function(name).await;
        let event_sources = match &settings {
            Err(failure) if failure.kind == FailureKind::Missing => {
                Look::NotLooked("there is no such function".to_owned())
            }
            Ok(_) | Err(_) => self.event_sources(name).await.into(),
        };
        FunctionSeen { name: name.to_owned(), settings: settings.into(), event_sources }
    }

    async fn function(&self, name: &str) -> Result<FunctionSettings, Failure> {
        let answer = self.lambda.get_function_configuration().function_name(name).send().await;
        let mut settings = function_settings(&answer.map_err(|error| failure(&error))?);
        // Not every stand-in knows the call, and the rest is worth having.
        if let Ok(answer) = self.lambda.get_function_concurrency().function_name(name).send().await {
            settings.reserved_concurrency = answer.reserved_concurrent_executions().and_then(whole);
        }
        Ok(settings)
    }

    async fn event_sources(&self, function: &str) -> Result<Vec<EventSource>, Failure> {
        let request = self.lambda.list_event_source_mappings().function_name(function);
        let answer = request.max_items(EVENT_SOURCES_MAX).send().await.map_err(|error| failure(&error))?;
        let of_queues = answer
            .event_source_mappings()
            .iter()
            .filter(|source| source.event_source_arn().is_some_and(|arn| arn.contains(":sqs:")));
        Ok(of_queues.map(event_source).collect())
    }

    pub(super) async fn queues(&self, named: &[QueueName]) -> Vec<QueueSeen> {
        join_all(named.iter().map(|name| self.queue_seen(name))).await
    }

    async fn queue_seen(&self, name: &QueueName) -> QueueSeen {
        let settings = self.queue(name).await;
        let redrive = settings.as_ref().ok().and_then(|settings| settings.redrive.clone());
        let dead_letters = match redrive {
            Some(redrive) => self.queue(&QueueName::Arn(redrive.dead_letter_arn)).await.into(),
            None => Look::NotLooked("the queue names none".to_owned()),
        };
        let rules = match &settings {
            Ok(settings) => self.rules(&settings.arn).await.into(),
            Err(_) => Look::NotLooked("the queue cannot be read".to_owned()),
        };
        let (QueueName::Url(text) | QueueName::Arn(text)) = name;
        QueueSeen { name: text.clone(), settings: settings.into(), dead_letters, rules }
    }

    /// The rules of the default bus that name a queue as their target: S3 tells no other bus.
    async fn rules(&self, queue_arn: &str) -> Result<Vec<Rule>, Failure> {
        let request = self.events.list_rule_names_by_target().target_arn(queue_arn);
        let names = request.send().await.map_err(|error| failure(&error))?;
        let mut rules = Vec::new();
        for name in names.rule_names() {
            let rule =
                self.events.describe_rule().name(name).send().await.map_err(|error| failure(&error))?;
            rules.push(Rule {
                arn: rule.arn().unwrap_or_default().to_owned(),
                state: rule.state().map(|state| state.as_str().to_owned()).unwrap_or_default(),
                pattern: rule.event_pattern().unwrap_or_default().to_owned(),
            });
        }
        Ok(rules)
    }

    async fn queue(&self, name: &QueueName) -> Result<QueueSettings, Failure> {
        let sqs = self.sqs.client();
        let url = match name {
            QueueName::Url(url) => url.clone(),
            QueueName::Arn(arn) => {
                let (account, name) = account_and_name(arn)?;
                let request = sqs.get_queue_url().queue_name(name).queue_owner_aws_account_id(account);
                let answer = request.send().await.map_err(|error| failure(&error))?;
                answer.queue_url().unwrap_or_default().to_owned()
            }
        };
        let request = sqs.get_queue_attributes().queue_url(url).attribute_names(QueueAttributeName::All);
        let answer = request.send().await.map_err(|error| failure(&error))?;
        let attributes = answer.attributes.unwrap_or_default();
        Ok(queue_settings(|name| attributes.get(&name).map(String::as_str)))
    }

    pub(super) async fn buckets(&self, prefixes: &BTreeMap<String, Vec<String>>) -> Vec<BucketSeen> {
        join_all(prefixes.iter().map(|(bucket, prefixes)| self.bucket_seen(bucket, prefixes))).await
    }

    async fn bucket_seen(&self, bucket: &str, prefixes: &[String]) -> BucketSeen {
        let prefixes = join_all(prefixes.iter().map(|prefix| self.prefix(bucket, prefix)));
        let (prefixes, notification) = tokio::join!(prefixes, self.notification(bucket));
        BucketSeen { bucket: bucket.to_owned(), prefixes, notification: notification.into() }
    }

    async fn prefix(&self, bucket: &str, prefix: &str) -> PrefixSeen {
        let request = self.s3.client().list_objects_v2().bucket(bucket).prefix(prefix);
        let listing = request.max_keys(LISTED_OBJECTS).send().await.map_err(|error| failure(&error));
        let prefix = prefix.to_owned();
        let listing = match listing {
            Ok(listing) => listing,
            Err(failure) => {
                let object = Look::NotLooked("the prefix cannot be listed".to_owned());
                return PrefixSeen { prefix, listing: Look::Failed(failure), object };
            }
        };
        let with_bytes = listing.contents().iter().find(|object| object.size().unwrap_or_default() > 0);
        let object = match with_bytes.and_then(|object| object.key()) {
            Some(key) => self.first_bytes(bucket, key).await.into(),
            None => Look::NotLooked("there is no object with bytes among the first".to_owned()),
        };
        let object_count = listing.contents().len();
        PrefixSeen { prefix, listing: Look::Seen(Listing { object_count }), object }
    }

    async fn first_bytes(&self, bucket: &str, key: &str) -> Result<String, Failure> {
        let request = self.s3.client().get_object().bucket(bucket).key(key).range(FIRST_BYTES);
        request.send().await.map_err(|error| failure(&error))?;
        Ok(key.to_owned())
    }

    async fn notification(&self, bucket: &str) -> Result<Notification, Failure> {
        let request = self.s3.client().get_bucket_notification_configuration().bucket(bucket);
        let told = request.send().await.map_err(|error| failure(&error))?;
        let queues = told.queue_configurations().iter();
        let queues = queues.map(|it| target(it.queue_arn(), it.events(), it.filter()));
        let topics = told.topic_configurations().iter();
        let topics = topics.map(|it| target(it.topic_arn(), it.events(), it.filter()));
        let functions = told.lambda_function_configurations().iter();
        let functions = functions.map(|it| target(it.lambda_function_arn(), it.events(), it.filter()));
        let event_bridge = told.event_bridge_configuration().is_some();
        Ok(Notification { targets: queues.chain(topics).chain(functions).collect(), event_bridge })
    }
}

/// The queues that were named, and those that functions take from; each once.
pub(super) fn queues_of(named: &[String], functions: &Look<Vec<FunctionSeen>>) -> Vec<QueueName> {
    let read = |text: &String| match text.starts_with("arn:") {
        true => QueueName::Arn(text.clone()),
        false => QueueName::Url(text.clone()),
    };
    let mut queues: Vec<QueueName> = named.iter().map(read).collect();
    for source in functions.each().flat_map(|function| function.event_sources.each()) {
        queues.push(QueueName::Arn(source.queue_arn.clone()));
    }
    let mut known: Vec<QueueName> = Vec::new();
    for queue in queues {
        let is_known = known.iter().any(|other| other == &queue || same_queue(other, &queue));
        if !is_known {
            known.push(queue);
        }
    }
    known
}

/// Whether a URL and an ARN are the same queue, as far as account and name tell.
fn same_queue(one: &QueueName, other: &QueueName) -> bool {
    let (QueueName::Url(url), QueueName::Arn(arn)) = (one, other) else { return false };
    account_and_name(arn).is_ok_and(|(account, name)| url.ends_with(&format!("/{account}/{name}")))
}

/// `arn:aws:sqs:REGION:ACCOUNT:NAME`.
fn account_and_name(arn: &str) -> Result<(&str, &str), Failure> {
    let mut parts = arn.split(':').skip(4);
    match (parts.next(), parts.next()) {
        (Some(account), Some(name)) => Ok((account, name)),
        _ => Err(Failure { kind: FailureKind::Missing, detail: format!("{arn:?} is no ARN of a queue") }),
    }
}

fn function_settings(answer: &GetFunctionConfigurationOutput) -> FunctionSettings {
    let variables = answer.environment().and_then(|environment| environment.variables());
    let read = |name: &&str| Some(((*name).to_owned(), variables?.get(*name)?.clone()));
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
        environment: READ_VARIABLES.iter().filter_map(read).collect(),
    }
}

fn event_source(source: &EventSourceMappingConfiguration) -> EventSource {
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

fn whole(number: i32) -> Option<u64> {
    u64::try_from(number).ok()
}

fn queue_settings<'a>(attribute: impl Fn(QueueAttributeName) -> Option<&'a str>) -> QueueSettings {
    let number = |name| attribute(name).and_then(|text| text.parse().ok()).unwrap_or_default();
    let text = |name| attribute(name).filter(|text| !text.is_empty()).map(str::to_owned);
    QueueSettings {
        arn: text(QueueAttributeName::QueueArn).unwrap_or_default(),
        visibility_timeout_secs: number(QueueAttributeName::VisibilityTimeout),
        retention_secs: number(QueueAttributeName::MessageRetentionPeriod),
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

fn target(
    arn: &str,
    events: &[Event],
    filter: Option<&aws_sdk_s3::types::NotificationConfigurationFilter>,
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

/// Puts a failed call into our words.
fn failure<E>(error: &SdkError<E, HttpResponse>) -> Failure
where
    E: ProvideErrorMetadata + std::error::Error + Send + Sync + 'static,
{
    let Some(refused) = error.as_service_error() else {
        let kind = if lacks_credentials(error) { FailureKind::Denied } else { FailureKind::Unreachable };
        return Failure { kind, detail: chain(error) };
    };
    let status = error.raw_response().map_or(0, |response| response.status().as_u16());
    let (code, message) = (refused.code().unwrap_or_default(), refused.message().unwrap_or_default());
    let region = error.raw_response().and_then(|response| response.headers().get("x-amz-bucket-region"));
    let elsewhere = match region {
        Some(region) if (300..400).contains(&status) => {
            format!("; the bucket is in {region}: set AWS_REGION, and let function and queue be there, too")
        }
        Some(_) | None => String::new(),
    };
    Failure { kind: kind_of(status, code), detail: format!("{status} {code}: {message}{elsewhere}") }
}

/// What AWS's codes come to, of all four services.
fn kind_of(status: u16, code: &str) -> FailureKind {
    let names_nothing = code.starts_with("NoSuch")
        || code.contains("NotFound")
        || code.contains("NonExistentQueue")
        || code.contains("QueueDoesNotExist");
    match status {
        _ if names_nothing => FailureKind::Missing,
        401 | 403 => FailureKind::Denied,
        400 if code.contains("Token") || code.contains("AccessDenied") || code.contains("Signature") => {
            FailureKind::Denied
        }
        404 => FailureKind::Missing,
        500..=599 => FailureKind::Unreachable,
        _ => FailureKind::Refused,
    }
}

/// Keeps the `Date` of the last answer of a client, and our own time when it came.
#[derive(Debug, Clone, Default)]
struct DateHeader(Arc<Mutex<Option<(String, u64)>>>);

impl DateHeader {
    fn compared(&self, of: &str) -> Option<ClockSeen> {
        let seen = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (date, our_unix_ms) = seen.as_ref()?;
        clock_seen(of, Some(date), *our_unix_ms)
    }
}

impl Intercept for DateHeader {
    fn name(&self) -> &'static str {
        "DateHeader"
    }

    fn read_before_deserialization(
        &self,
        context: &BeforeDeserializationInterceptorContextRef<'_>,
        _components: &RuntimeComponents,
        _config: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        if let Some(date) = context.response().headers().get("date") {
            let mut seen = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            *seen = Some((date.to_owned(), SystemClock.unix_ms()));
        }
        Ok(())
    }
}
