//! The scratch queues, and the news that come to them: what experiments of AWS are made with, and how they are taken away.

use std::time::Duration;

use aws_config::SdkConfig;
use aws_sdk_sqs::types::{Message, MessageSystemAttributeName, QueueAttributeName};
use bytes::Bytes;
use serde_json::json;
use tokio::sync::OnceCell;

use super::experiment::Trouble;
use super::made::Made;
use super::objects::{Folder, Objects};
use super::words::{failed, in_words, is_gone, status};
use crate::cloud::aws::{S3, Sqs, endpoint_override};
use crate::cloud::clock::SystemClock;
use crate::cloud::{Clock, Deadline};

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
    objects: Option<Objects>,
    queue_name: Option<String>,
    queues: OnceCell<Queues>,
    listening: OnceCell<()>,
    journey: OnceCell<Journey>,
    /// The names of the queues that were made, also where making the other one failed.
    made: Made<String>,
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
    /// What was named, as yet untouched. What is made in S3 has the run's name in it.
    pub fn new(config: &SdkConfig, folder: Option<Folder>, queue_name: Option<String>, run: &str) -> Self {
        let is_stand_in = ["S3", "SQS"].iter().any(|service| endpoint_override(config, service).is_some());
        Self {
            region: config.region().map(ToString::to_string).unwrap_or_default(),
            is_stand_in,
            s3: S3::new(config),
            sqs: Sqs::new(config),
            objects: folder.map(|folder| Objects::new(S3::new(config), folder, run)),
            queue_name,
            queues: OnceCell::new(),
            listening: OnceCell::new(),
            journey: OnceCell::new(),
            made: Made::default(),
        }
    }

    /// Looks whether what was named can be used, before anything is made: a bucket that is there, and queues that are not.
    ///
    /// # Errors
    /// Why it cannot, in words.
    pub async fn look(&self) -> anyhow::Result<()> {
        if let Some(objects) = &self.objects {
            objects.look(&self.region).await?;
        }
        for name in self.queue_name.iter().flat_map(|name| queue_names(name)) {
            self.expect_no_queue(&name).await.map_err(anyhow::Error::msg)?;
        }
        Ok(())
    }

    /// To make a queue that is there gives that one, and to take it away would take somebody's.
    async fn expect_no_queue(&self, name: &str) -> Result<(), String> {
        match self.sqs.client().get_queue_url().queue_name(name).send().await {
            Ok(_) => Err(format!(
                "there is a queue {name} already, which is left alone: name one that is not there"
            )),
            Err(error) if is_gone(&error) => Ok(()),
            Err(error) => {
                Err(format!("whether there is a queue {name} already cannot be told: {}", in_words(&error)))
            }
        }
    }

    /// What was named and found of AWS, which has no place on a public page: bucket, prefix, queue and account.
    pub fn names(&self) -> Vec<&str> {
        let account = self.queues.get().and_then(|queues| queues.arn.split(':').nth(4));
        let of_objects = self.objects.iter().flat_map(Objects::names);
        of_objects.chain(self.queue_name.as_deref()).chain(account).collect()
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
        Ok(self.objects()?.bucket())
    }

    fn objects(&self) -> Result<&Objects, Trouble> {
        self.objects
            .as_ref()
            .ok_or_else(|| Trouble::NotHere("it needs --bucket-prefix s3://bucket/prefix".to_owned()))
    }

    /// The full key of a name below the prefix, to be deleted at the end.
    ///
    /// # Errors
    /// No prefix was named.
    pub fn key(&self, name: &str) -> Result<String, Trouble> {
        Ok(self.objects()?.key(name))
    }

    /// Puts an object and gives its etag.
    ///
    /// # Errors
    /// It is not taken.
    pub async fn put(&self, key: &str, bytes: Bytes) -> Result<String, Trouble> {
        self.objects()?.put(key, bytes).await
    }

    /// Puts an object in parts.
    ///
    /// # Errors
    /// It is not taken.
    pub async fn put_in_parts(&self, key: &str, parts: Vec<Bytes>) -> Result<(), Trouble> {
        self.objects()?.put_in_parts(key, parts).await
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
        let [name, dead_name] = queue_names(name);
        for name in [&name, &dead_name] {
            self.expect_no_queue(name).await.map_err(Trouble::Failed)?;
        }
        let (dead_url, dead_arn) = self.make_queue(&dead_name).await?;
        let (url, arn) = self.make_queue(&name).await?;
        let redrive = json!({ "deadLetterTargetArn": dead_arn, "maxReceiveCount": RECEIVES }).to_string();
        let set =
            sqs.set_queue_attributes().queue_url(&url).attributes(QueueAttributeName::RedrivePolicy, redrive);
        set.send().await.map_err(failed)?;
        Ok(Queues { url, arn, dead_url, dead_arn })
    }

    /// Makes a queue, and gives its URL and its ARN.
    async fn make_queue(&self, name: &str) -> Result<(String, String), Trouble> {
        self.made.note(name.to_owned());
        let made = self.sqs.client().create_queue().queue_name(name).send().await.map_err(|error| {
            // Refused, it was not made: a queue of that name is somebody's. Without an answer it may have been.
            if status(&error).is_some_and(|status| status < 500) {
                self.made.forget(&name.to_owned());
            }
            failed(error)
        })?;
        let url = made.queue_url().unwrap_or_default().to_owned();
        let arn = self.attribute(&url, QueueAttributeName::QueueArn).await?;
        Ok((url, arn))
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
        let (objects, queues) = (self.objects()?, self.queues().await?);
        self.admit_bucket(objects.bucket(), queues).await?;
        objects.start_telling(&queues.arn).await
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
        let mut left = match &self.objects {
            Some(objects) => objects.clean_up().await,
            None => Vec::new(),
        };
        for name in self.made.all() {
            match self.delete_queue(&name).await {
                Ok(()) => self.made.forget(&name),
                Err(why) => left.push(format!("the queue {name}: {why}")),
            }
        }
        left
    }

    async fn delete_queue(&self, name: &str) -> Result<(), String> {
        let sqs = self.sqs.client();
        let found = match sqs.get_queue_url().queue_name(name).send().await {
            Err(error) if is_gone(&error) => return Ok(()),
            found => found.map_err(|error| in_words(&error))?,
        };
        match sqs.delete_queue().set_queue_url(found.queue_url).send().await {
            Err(error) if !is_gone(&error) => Err(in_words(&error)),
            Ok(_) | Err(_) => Ok(()),
        }
    }

    /// What may be there at this moment.
    pub fn made(&self) -> Vec<String> {
        let mut made = self.objects.as_ref().map(Objects::made).unwrap_or_default();
        made.extend(self.made.all().iter().map(|name| format!("the queue {name}")));
        made
    }
}

/// The scratch queue's name, and that of its dead-letter queue.
fn queue_names(name: &str) -> [String; 2] {
    [name.to_owned(), format!("{name}-dead")]
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
