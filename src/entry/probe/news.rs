//! The scratch prefix and the scratch queues: what experiments of AWS are made with, and how they are taken away.

use std::str::FromStr;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use aws_config::SdkConfig;
use aws_sdk_s3::types::{
    FilterRule, FilterRuleName, NotificationConfiguration, NotificationConfigurationFilter,
    QueueConfiguration, S3KeyFilter,
};
use aws_sdk_sqs::types::{Message, MessageSystemAttributeName, QueueAttributeName};
use bytes::Bytes;
use serde_json::json;
use tokio::sync::OnceCell;

use super::experiment::Trouble;
use crate::cloud::aws::{S3, Sqs, endpoint_override};
use crate::cloud::clock::SystemClock;
use crate::cloud::{Clock, Deadline};
use crate::route::names::check_bucket;

/// How long a message is waited for.
const MESSAGE_PATIENCE: Duration = Duration::from_secs(60);

/// How long one receive waits.
const RECEIVE_WAIT_SECS: i32 = 2;

/// How long a received message stays away, where it is to come back at once.
const VISIBILITY_SECS: i32 = 1;

/// After so many receives a message of the scratch queue is dead.
const RECEIVES: &str = "2";

/// What was named of AWS.
pub struct News {
    /// The region that is asked.
    pub region: String,
    /// Whether it is not AWS itself that is asked.
    pub is_stand_in: bool,
    s3: S3,
    sqs: Sqs,
    folder: Option<Folder>,
    queue_name: Option<String>,
    queues: OnceCell<Queues>,
    listening: OnceCell<()>,
    journey: OnceCell<Journey>,
    keys: Mutex<Vec<String>>,
    /// The URLs of the queues that were made, also where making the other one failed.
    made: Mutex<Vec<String>>,
}

/// The scratch prefix.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Folder {
    bucket: String,
    /// With a slash at its end, or empty.
    prefix: String,
}

impl FromStr for Folder {
    type Err = String;

    fn from_str(address: &str) -> Result<Self, String> {
        let rest = address.strip_prefix("s3://").unwrap_or_default();
        let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
        if bucket.is_empty() {
            return Err("write s3://bucket/prefix".to_owned());
        }
        check_bucket(bucket).map_err(|bad| format!("{bad}; {}", bad.remedy()))?;
        let slash = if prefix.is_empty() || prefix.ends_with('/') { "" } else { "/" };
        Ok(Self { bucket: bucket.to_owned(), prefix: format!("{prefix}{slash}") })
    }
}

/// The scratch queue and its dead-letter queue.
pub struct Queues {
    /// The queue's URL.
    pub url: String,
    /// Its ARN.
    pub arn: String,
    dead_url: String,
    dead_arn: String,
}

/// A message that died and was moved home: as it was, and as it came back.
pub struct Journey {
    /// As it was first received.
    pub before: Received,
    /// As it was received after the move.
    pub after: Received,
}

/// What of a received message tells its story.
#[derive(Debug, Clone)]
pub struct Received {
    /// Its id.
    pub id: String,
    /// When it was sent, by SQS's clock.
    pub sent_ms: u64,
    /// How often it was received.
    pub receive_count: u64,
    /// Whether it names the queue that it died from.
    pub names_source: bool,
    /// The handle of this receive.
    pub handle: String,
    /// Its body.
    pub body: String,
}

impl News {
    /// What was named, as yet untouched.
    pub fn new(config: &SdkConfig, folder: Option<Folder>, queue_name: Option<String>) -> Self {
        let is_stand_in = ["S3", "SQS"].iter().any(|service| endpoint_override(config, service).is_some());
        Self {
            region: config.region().map(ToString::to_string).unwrap_or_default(),
            is_stand_in,
            s3: S3::new(config),
            sqs: Sqs::new(config),
            folder,
            queue_name,
            queues: OnceCell::new(),
            listening: OnceCell::new(),
            journey: OnceCell::new(),
            keys: Mutex::default(),
            made: Mutex::default(),
        }
    }

    /// S3, our own client.
    pub fn s3(&self) -> &S3 {
        &self.s3
    }

    /// SQS, our own client.
    pub fn sqs(&self) -> &Sqs {
        &self.sqs
    }

    /// The bucket.
    ///
    /// # Errors
    /// None was named.
    pub fn bucket(&self) -> Result<&str, Trouble> {
        Ok(&self.folder()?.bucket)
    }

    fn folder(&self) -> Result<&Folder, Trouble> {
        self.folder
            .as_ref()
            .ok_or_else(|| Trouble::NotHere("it needs --bucket-prefix s3://bucket/prefix".to_owned()))
    }

    /// The full key of a name below the prefix, to be deleted at the end.
    ///
    /// # Errors
    /// No prefix was named.
    pub fn key(&self, name: &str) -> Result<String, Trouble> {
        let key = format!("{}{name}", self.folder()?.prefix);
        self.keys.lock().unwrap_or_else(PoisonError::into_inner).push(key.clone());
        Ok(key)
    }

    /// Puts an object and gives its etag.
    ///
    /// # Errors
    /// It is not taken.
    pub async fn put(&self, key: &str, bytes: Bytes) -> Result<String, Trouble> {
        let request = self.s3.client().put_object().bucket(self.bucket()?).key(key).body(bytes.into());
        let answer = request.send().await.map_err(failed)?;
        Ok(answer.e_tag().unwrap_or_default().trim_matches('"').to_owned())
    }

    /// The scratch queues, made when they are first needed.
    ///
    /// # Errors
    /// No name was given, or there is such a queue already.
    pub async fn queues(&self) -> Result<&Queues, Trouble> {
        self.queues.get_or_try_init(|| self.make_queues()).await
    }

    async fn make_queues(&self) -> Result<Queues, Trouble> {
        let name = self.queue_name.as_deref();
        let name = name.ok_or_else(|| Trouble::NotHere("it needs --queue NAME".to_owned()))?;
        let sqs = self.sqs.client();
        if sqs.get_queue_url().queue_name(name).send().await.is_ok() {
            return Err(Trouble::Failed(format!(
                "there is a queue {name} already: name one that is not there"
            )));
        }
        let make = async |name: &str| -> Result<(String, String), Trouble> {
            let made = sqs.create_queue().queue_name(name).send().await.map_err(failed)?;
            let url = made.queue_url().unwrap_or_default().to_owned();
            self.made.lock().unwrap_or_else(PoisonError::into_inner).push(url.clone());
            let arn = self.attribute(&url, QueueAttributeName::QueueArn).await?;
            Ok((url, arn))
        };
        let (dead_url, dead_arn) = make(&format!("{name}-dead")).await?;
        let (url, arn) = make(name).await?;
        let redrive = json!({ "deadLetterTargetArn": dead_arn, "maxReceiveCount": RECEIVES }).to_string();
        let set =
            sqs.set_queue_attributes().queue_url(&url).attributes(QueueAttributeName::RedrivePolicy, redrive);
        set.send().await.map_err(failed)?;
        Ok(Queues { url, arn, dead_url, dead_arn })
    }

    async fn attribute(&self, url: &str, name: QueueAttributeName) -> Result<String, Trouble> {
        let request = self.sqs.client().get_queue_attributes().queue_url(url).attribute_names(name.clone());
        let answer = request.send().await.map_err(failed)?;
        Ok(answer.attributes().and_then(|all| all.get(&name)).cloned().unwrap_or_default())
    }

    /// Sends a message to the scratch queue.
    ///
    /// # Errors
    /// It is not taken.
    pub async fn send(&self, body: &str) -> Result<(), Trouble> {
        let queues = self.queues().await?;
        self.sqs
            .client()
            .send_message()
            .queue_url(&queues.url)
            .message_body(body)
            .send()
            .await
            .map_err(failed)?;
        Ok(())
    }

    /// Receives a message that `wanted` takes. Others are deleted: nobody else writes to the queue.
    ///
    /// # Errors
    /// None comes.
    pub async fn receive(&self, wanted: impl Fn(&Received) -> bool) -> Result<Received, Trouble> {
        self.receive_for(wanted, VISIBILITY_SECS).await
    }

    /// The same, and it stays away for so long.
    ///
    /// # Errors
    /// None comes.
    pub async fn receive_for(
        &self,
        wanted: impl Fn(&Received) -> bool,
        visibility_secs: i32,
    ) -> Result<Received, Trouble> {
        let queues = self.queues().await?;
        let deadline = Deadline::at(SystemClock.now() + MESSAGE_PATIENCE);
        while !deadline.left(&SystemClock).is_zero() {
            let request = self.sqs.client().receive_message().queue_url(&queues.url);
            let request = request.message_system_attribute_names(MessageSystemAttributeName::All);
            let request = request.visibility_timeout(visibility_secs).wait_time_seconds(RECEIVE_WAIT_SECS);
            let answer = request.send().await.map_err(failed)?;
            for message in answer.messages() {
                let message = received(message);
                if wanted(&message) {
                    return Ok(message);
                }
                self.delete(&message).await?;
            }
        }
        Err(Trouble::Failed(format!("no message came within {} s", MESSAGE_PATIENCE.as_secs())))
    }

    /// Deletes a message.
    ///
    /// # Errors
    /// It is not deleted.
    pub async fn delete(&self, message: &Received) -> Result<(), Trouble> {
        let queues = self.queues().await?;
        let request =
            self.sqs.client().delete_message().queue_url(&queues.url).receipt_handle(&message.handle);
        request.send().await.map_err(failed)?;
        Ok(())
    }

    /// A message's way to the dead-letter queue and home again; gone once, for all who ask.
    ///
    /// # Errors
    /// It does not come home.
    pub async fn journey(&self) -> Result<&Journey, Trouble> {
        self.journey.get_or_try_init(|| self.travel()).await
    }

    async fn travel(&self) -> Result<Journey, Trouble> {
        const BODY: &str = "dms2bq probe: to the dead-letter queue and home";
        let queues = self.queues().await?;
        let is_it = |message: &Received| message.body == BODY;
        self.send(BODY).await?;
        let before = self.receive(is_it).await?;
        self.receive(is_it).await?;
        self.wait_for_death(queues).await?;
        let task = self.sqs.client().start_message_move_task().source_arn(&queues.dead_arn);
        task.send().await.map_err(failed)?;
        let after = self.receive(is_it).await?;
        self.delete(&after).await?;
        Ok(Journey { before, after })
    }

    /// SQS moves a message when it would be received once too often.
    async fn wait_for_death(&self, queues: &Queues) -> Result<(), Trouble> {
        let deadline = Deadline::at(SystemClock.now() + MESSAGE_PATIENCE);
        while !deadline.left(&SystemClock).is_zero() {
            let request = self.sqs.client().receive_message().queue_url(&queues.url);
            request.wait_time_seconds(RECEIVE_WAIT_SECS).send().await.map_err(failed)?;
            if self.attribute(&queues.dead_url, QueueAttributeName::ApproximateNumberOfMessages).await? != "0"
            {
                return Ok(());
            }
        }
        Err(Trouble::Failed("the message did not move to the dead-letter queue".to_owned()))
    }

    /// Has the bucket tell the scratch queue of new objects below the prefix.
    ///
    /// # Errors
    /// The bucket tells somebody else: a bucket has one list of notifications, and it must not be replaced.
    pub async fn listen(&self) -> Result<(), Trouble> {
        self.listening.get_or_try_init(|| self.start_listening()).await?;
        Ok(())
    }

    async fn start_listening(&self) -> Result<(), Trouble> {
        let (folder, queues) = (self.folder()?, self.queues().await?);
        let client = self.s3.client();
        let told = client
            .get_bucket_notification_configuration()
            .bucket(&folder.bucket)
            .send()
            .await
            .map_err(failed)?;
        let is_free = told.queue_configurations().is_empty()
            && told.topic_configurations().is_empty()
            && told.lambda_function_configurations().is_empty()
            && told.event_bridge_configuration().is_none();
        if !is_free {
            return Err(Trouble::NotHere(
                "the bucket has notifications of its own, which it would replace: name a bucket without"
                    .to_owned(),
            ));
        }
        self.admit_bucket(&folder.bucket, queues).await?;
        let rule = FilterRule::builder().name(FilterRuleName::Prefix).value(&folder.prefix).build();
        let key = S3KeyFilter::builder().filter_rules(rule).build();
        let filter = NotificationConfigurationFilter::builder().key(key).build();
        let to_queue = QueueConfiguration::builder()
            .queue_arn(&queues.arn)
            .events(aws_sdk_s3::types::Event::S3ObjectCreated)
            .filter(filter)
            .build()
            .map_err(|error| Trouble::Failed(error.to_string()))?;
        let all = NotificationConfiguration::builder().queue_configurations(to_queue).build();
        let put = client
            .put_bucket_notification_configuration()
            .bucket(&folder.bucket)
            .notification_configuration(all);
        put.send().await.map_err(failed)?;
        Ok(())
    }

    async fn admit_bucket(&self, bucket: &str, queues: &Queues) -> Result<(), Trouble> {
        let statement = json!({
            "Effect": "Allow", "Principal": { "Service": "s3.amazonaws.com" }, "Action": "sqs:SendMessage",
            "Resource": queues.arn, "Condition": { "ArnLike": { "aws:SourceArn": format!("arn:*:s3:*:*:{bucket}") } },
        });
        let policy = json!({ "Version": "2012-10-17", "Statement": [statement] }).to_string();
        let set = self.sqs.client().set_queue_attributes().queue_url(&queues.url);
        set.attributes(QueueAttributeName::Policy, policy).send().await.map_err(failed)?;
        Ok(())
    }

    /// Takes all away that was made, and says what could not be.
    pub async fn clean_up(&self) -> Vec<String> {
        let mut left = Vec::new();
        let Ok(bucket) = self.bucket() else { return self.delete_queues().await };
        if self.listening.initialized() {
            let none = NotificationConfiguration::builder().build();
            let put = self.s3.client().put_bucket_notification_configuration().bucket(bucket);
            if let Err(error) = put.notification_configuration(none).send().await {
                left.push(format!("the notifications of {bucket}: {:?}", failed(error)));
            }
        }
        let keys = std::mem::take(&mut *self.keys.lock().unwrap_or_else(PoisonError::into_inner));
        for key in keys {
            if let Err(error) = self.s3.client().delete_object().bucket(bucket).key(&key).send().await {
                left.push(format!("s3://{bucket}/{key}: {:?}", failed(error)));
            }
        }
        left.extend(self.delete_queues().await);
        left
    }

    async fn delete_queues(&self) -> Vec<String> {
        let mut left = Vec::new();
        let urls = std::mem::take(&mut *self.made.lock().unwrap_or_else(PoisonError::into_inner));
        for url in urls {
            if let Err(error) = self.sqs.client().delete_queue().queue_url(&url).send().await {
                left.push(format!("{url}: {:?}", failed(error)));
            }
        }
        left
    }
}

fn received(message: &Message) -> Received {
    let attribute = |name| message.attributes().and_then(|all| all.get(&name)).map(String::as_str);
    let number = |name| attribute(name).and_then(|text| text.parse().ok()).unwrap_or_default();
    Received {
        id: message.message_id().unwrap_or_default().to_owned(),
        sent_ms: number(MessageSystemAttributeName::SentTimestamp),
        receive_count: number(MessageSystemAttributeName::ApproximateReceiveCount),
        names_source: attribute(MessageSystemAttributeName::DeadLetterQueueSourceArn).is_some(),
        handle: message.receipt_handle().unwrap_or_default().to_owned(),
        body: message.body().unwrap_or_default().to_owned(),
    }
}

/// A failed call, in one line.
pub(super) fn failed(error: impl std::error::Error + 'static) -> Trouble {
    Trouble::Failed(crate::cloud::quote::chain(&error))
}
