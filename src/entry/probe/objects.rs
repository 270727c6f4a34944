//! The scratch prefix: its objects, what the bucket tells of them, and how both are taken away.

use std::str::FromStr;
use std::sync::atomic::{AtomicBool, Ordering};

use aws_sdk_s3::Client;
use aws_sdk_s3::types::{
    CompletedMultipartUpload, CompletedPart, Event, FilterRule, FilterRuleName, NotificationConfiguration,
    NotificationConfigurationFilter, QueueConfiguration, S3KeyFilter,
};
use bytes::Bytes;

use super::experiment::Trouble;
use super::made::Made;
use super::words::{failed, in_words, is_gone, status};
use crate::cloud::aws::S3;
use crate::route::names::check_bucket;

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

/// An upload in parts that was begun.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Upload {
    key: String,
    id: String,
}

/// A folder of this run's own below the scratch prefix, so that nobody's objects are replaced.
pub(super) struct Objects {
    s3: S3,
    folder: Folder,
    /// The folder's name, and that of its entry among the bucket's notifications.
    run: String,
    keys: Made<String>,
    uploads: Made<Upload>,
    /// Whether the bucket may tell of them.
    tells: AtomicBool,
}

impl Objects {
    pub(super) fn new(s3: S3, folder: Folder, run: &str) -> Self {
        let run = run.to_owned();
        let (keys, uploads, tells) = (Made::default(), Made::default(), AtomicBool::new(false));
        Self { s3, folder, run, keys, uploads, tells }
    }

    fn client(&self) -> &Client {
        self.s3.client()
    }

    pub(super) fn bucket(&self) -> &str {
        &self.folder.bucket
    }

    /// What was named of S3, which is nobody's business but the person's.
    pub(super) fn names(&self) -> [&str; 2] {
        [self.bucket(), self.folder.prefix.trim_end_matches('/')]
    }

    /// What all keys of this run begin with.
    fn prefix(&self) -> String {
        format!("{}{}/", self.folder.prefix, self.run)
    }

    /// Whether the bucket is there. Who may not ask may still be allowed all that the experiments do.
    pub(super) async fn look(&self, region: &str) -> anyhow::Result<()> {
        let bucket = self.bucket();
        let Err(error) = self.client().head_bucket().bucket(bucket).send().await else { return Ok(()) };
        match status(&error) {
            None => anyhow::bail!("the bucket {bucket} cannot be asked for: {}", in_words(&error)),
            Some(404) => {
                anyhow::bail!("there is no bucket {bucket}: make one, or name another by --bucket-prefix")
            }
            Some(301) => anyhow::bail!(
                "the bucket {bucket} is in another region than {region}: set AWS_REGION to its own"
            ),
            Some(_) => Ok(()),
        }
    }

    /// The full key of a name, to be deleted at the end.
    pub(super) fn key(&self, name: &str) -> String {
        let key = format!("{}{name}", self.prefix());
        self.keys.note(key.clone());
        key
    }

    /// Puts an object and gives its etag.
    pub(super) async fn put(&self, key: &str, bytes: Bytes) -> Result<String, Trouble> {
        let request = self.client().put_object().bucket(self.bucket()).key(key).body(bytes.into());
        let answer = request.send().await.map_err(failed)?;
        Ok(answer.e_tag().unwrap_or_default().trim_matches('"').to_owned())
    }

    /// Puts an object in parts. One that is begun and not ended is paid for and seen in no listing of objects, so what fails
    /// midway is aborted at the end.
    pub(super) async fn put_in_parts(&self, key: &str, parts: Vec<Bytes>) -> Result<(), Trouble> {
        let (client, bucket) = (self.client(), self.bucket());
        let begun = client.create_multipart_upload().bucket(bucket).key(key).send().await.map_err(failed)?;
        let upload = Upload { key: key.to_owned(), id: begun.upload_id().unwrap_or_default().to_owned() };
        self.uploads.note(upload.clone());
        let mut done = CompletedMultipartUpload::builder();
        for (number, bytes) in (1..).zip(parts) {
            let part = client.upload_part().bucket(bucket).key(key).upload_id(&upload.id).part_number(number);
            let part = part.body(bytes.into()).send().await.map_err(failed)?;
            let etag = part.e_tag().map(str::to_owned);
            done = done.parts(CompletedPart::builder().part_number(number).set_e_tag(etag).build());
        }
        let complete = client.complete_multipart_upload().bucket(bucket).key(key).upload_id(&upload.id);
        complete.multipart_upload(done.build()).send().await.map_err(failed)?;
        self.uploads.forget(&upload);
        Ok(())
    }

    async fn notifications(&self) -> Result<NotificationConfiguration, Trouble> {
        let request = self.client().get_bucket_notification_configuration().bucket(self.bucket());
        let told = request.send().await.map_err(failed)?;
        Ok(NotificationConfiguration::builder()
            .set_queue_configurations(told.queue_configurations)
            .set_topic_configurations(told.topic_configurations)
            .set_lambda_function_configurations(told.lambda_function_configurations)
            .set_event_bridge_configuration(told.event_bridge_configuration)
            .build())
    }

    /// Has the bucket tell a queue of new objects of this run.
    ///
    /// # Errors
    /// The bucket tells somebody else: a bucket has one list of notifications, and it must not be replaced.
    pub(super) async fn start_telling(&self, queue_arn: &str) -> Result<(), Trouble> {
        if self.notifications().await? != NotificationConfiguration::builder().build() {
            return Err(Trouble::NotHere(
                "the bucket has notifications of its own, which must not be touched: name a bucket without"
                    .to_owned(),
            ));
        }
        let rule = FilterRule::builder().name(FilterRuleName::Prefix).value(self.prefix()).build();
        let key = S3KeyFilter::builder().filter_rules(rule).build();
        let to_queue = QueueConfiguration::builder()
            .id(&self.run)
            .queue_arn(queue_arn)
            .events(Event::S3ObjectCreated)
            .filter(NotificationConfigurationFilter::builder().key(key).build())
            .build()
            .map_err(|error| Trouble::Failed(error.to_string()))?;
        self.tells.store(true, Ordering::Relaxed);
        let all = NotificationConfiguration::builder().queue_configurations(to_queue).build();
        let put = self.client().put_bucket_notification_configuration().bucket(self.bucket());
        put.notification_configuration(all).send().await.map_err(failed)?;
        Ok(())
    }

    /// Takes our entry out of the bucket's notifications, and leaves what others added meanwhile.
    async fn stop_telling(&self) -> Result<(), Trouble> {
        let mut told = self.notifications().await?;
        let is_ours = |entry: &QueueConfiguration| entry.id() == Some(&self.run);
        if told.queue_configurations().iter().any(is_ours) {
            told.queue_configurations.iter_mut().for_each(|entries| entries.retain(|entry| !is_ours(entry)));
            let put = self.client().put_bucket_notification_configuration().bucket(self.bucket());
            // Whether the queues of others take messages now is not asked anew.
            let put = put.skip_destination_validation(true).notification_configuration(told);
            put.send().await.map_err(failed)?;
        }
        self.tells.store(false, Ordering::Relaxed);
        Ok(())
    }

    /// Takes all away that was made, and says what could not be.
    pub(super) async fn clean_up(&self) -> Vec<String> {
        let (client, bucket) = (self.client(), self.bucket());
        let mut left = Vec::new();
        if self.tells.load(Ordering::Relaxed)
            && let Err(Trouble::Failed(why) | Trouble::NotHere(why)) = self.stop_telling().await
        {
            left.push(format!("{}: {why}", self.notification()));
        }
        for upload in self.uploads.all() {
            let abort = client.abort_multipart_upload().bucket(bucket).key(&upload.key).upload_id(&upload.id);
            match abort.send().await {
                Err(error) if !is_gone(&error) => {
                    left.push(format!("{}: {}", self.unfinished(&upload), in_words(&error)));
                }
                Ok(_) | Err(_) => self.uploads.forget(&upload),
            }
        }
        for key in self.keys.all() {
            match client.delete_object().bucket(bucket).key(&key).send().await {
                Err(error) if !is_gone(&error) => {
                    left.push(format!("s3://{bucket}/{key}: {}", in_words(&error)));
                }
                Ok(_) | Err(_) => self.keys.forget(&key),
            }
        }
        left
    }

    fn notification(&self) -> String {
        format!("the notification {} of the bucket {}", self.run, self.bucket())
    }

    fn unfinished(&self, upload: &Upload) -> String {
        format!("the unfinished upload {} of s3://{}/{}", upload.id, self.bucket(), upload.key)
    }

    /// What may be there at this moment.
    pub(super) fn made(&self) -> Vec<String> {
        let mut made = Vec::new();
        if self.tells.load(Ordering::Relaxed) {
            made.push(self.notification());
        }
        made.extend(self.uploads.all().iter().map(|upload| self.unfinished(upload)));
        if !self.keys.all().is_empty() {
            made.push(format!("objects below s3://{}/{}", self.bucket(), self.prefix()));
        }
        made
    }
}
