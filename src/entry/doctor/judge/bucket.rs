//! The buckets: can they be read below each mapped prefix, and whom do they tell of new objects?

use super::rules;
use crate::entry::doctor::facts::{BucketSeen, Facts, Look, Notification, PrefixSeen, Target};
use crate::entry::doctor::finding::{Finding, Findings, Hop};

/// The way that news take from a bucket to a queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Way {
    /// S3 sends to the queue.
    Direct,
    /// S3 tells a topic, which has the queue as a subscriber.
    Topic,
    /// S3 tells EventBridge, which has a rule with the queue as its target.
    EventBridge,
}

impl Way {
    /// Who sends to the queue at the end of it.
    pub(super) fn service(self) -> &'static str {
        match self {
            Self::Direct => "s3.amazonaws.com",
            Self::Topic => "sns.amazonaws.com",
            Self::EventBridge => "events.amazonaws.com",
        }
    }
}

/// Each way on which news may come to a queue, with the ARN of who speaks for it. Where a bucket
/// tells nobody yet, it is taken that it is meant to send directly.
pub(super) fn ways_to(facts: &Facts, queue_arn: &str) -> Vec<(Way, String)> {
    let mut ways = Vec::new();
    let partition = queue_arn.split(':').nth(1).unwrap_or("aws");
    for seen in facts.buckets.each() {
        let bucket_arn = format!("arn:{partition}:s3:::{}", seen.bucket);
        let Some(notification) = seen.notification.seen() else { continue };
        let topics = notification.targets.iter().filter(|target| target.arn.contains(":sns:"));
        let other: Vec<(Way, String)> = topics.map(|topic| (Way::Topic, topic.arn.clone())).collect();
        let is_direct = notification.targets.iter().any(|target| target.arn == queue_arn);
        if is_direct || (other.is_empty() && !notification.event_bridge) {
            ways.push((Way::Direct, bucket_arn));
        } else if !other.is_empty() {
            ways.extend(other);
        } else {
            ways.extend(
                rules::of_queue(facts, queue_arn, &seen.bucket).map(|source| (Way::EventBridge, source)),
            );
        }
    }
    ways.sort();
    ways.dedup();
    ways
}

pub(super) fn judge(facts: &Facts) -> Vec<Finding> {
    match &facts.buckets {
        Look::Seen(buckets) => buckets.iter().flat_map(|bucket| of_bucket(facts, bucket)).collect(),
        Look::NotLooked(why) => vec![Finding::not_looked(Hop::Bucket, "", why)],
        Look::Failed(failure) => vec![Finding::failed(Hop::Bucket, "", failure, ALLOW_READ, MISSING)],
    }
}

const ALLOW_READ: &str = "Let your AWS identity s3:ListBucket on the bucket and s3:GetObject below the prefix (and kms:Decrypt on \
                          its key, if it has one). The function's role needs the same.";
const MISSING: &str =
    "There is no such bucket: mend \"bucket\" in the mapping's `source`, or make the bucket.";

fn of_bucket(facts: &Facts, bucket: &BucketSeen) -> Vec<Finding> {
    let mut found: Vec<Finding> =
        bucket.prefixes.iter().flat_map(|prefix| of_prefix(bucket, prefix)).collect();
    match &bucket.notification {
        Look::Seen(notification) => {
            let of_prefix = |prefix| tells(facts, bucket, prefix, notification);
            found.extend(bucket.prefixes.iter().flat_map(of_prefix));
        }
        Look::NotLooked(why) => found.push(Finding::not_looked(Hop::Notification, &bucket.bucket, why)),
        Look::Failed(failure) => {
            let allow = "Let your AWS identity s3:GetBucketNotification on the bucket.";
            found.push(Finding::failed(Hop::Notification, &bucket.bucket, failure, allow, MISSING));
        }
    }
    found
}

fn address(bucket: &BucketSeen, prefix: &PrefixSeen) -> String {
    format!("s3://{}/{}", bucket.bucket, prefix.prefix)
}

fn of_prefix(bucket: &BucketSeen, prefix: &PrefixSeen) -> Vec<Finding> {
    let address = address(bucket, prefix);
    let listing = match &prefix.listing {
        Look::Seen(listing) => listing,
        Look::NotLooked(why) => return vec![Finding::not_looked(Hop::Bucket, address, why)],
        Look::Failed(failure) => {
            return vec![Finding::failed(Hop::Bucket, address, failure, ALLOW_READ, MISSING)];
        }
    };
    let mut findings = Findings::of(Hop::Bucket, &address);
    let read = match &prefix.object {
        Look::Seen(key) => key,
        Look::Failed(failure) => {
            return vec![Finding::failed(
                Hop::Bucket,
                &address,
                failure,
                ALLOW_READ,
                "Run doctor again: the object was deleted meanwhile.",
            )];
        }
        Look::NotLooked(_) if listing.object_count == 0 => {
            findings.warn(
                "doctor.prefix_empty",
                "it can be listed, and there is nothing in it",
                "Fine if DMS has not begun. Otherwise compare `bucket_folder` in the mapping with BucketFolder in the endpoint's settings.",
            );
            return findings.or_fine("");
        }
        Look::NotLooked(why) => return vec![Finding::not_looked(Hop::Bucket, address, why)],
    };
    findings.or_fine(format!("can be listed, and {read} can be read"))
}

/// What the bucket tells of one prefix.
fn tells(
    facts: &Facts,
    bucket: &BucketSeen,
    prefix: &PrefixSeen,
    notification: &Notification,
) -> Vec<Finding> {
    let address = address(bucket, prefix);
    let mut findings = Findings::of(Hop::Notification, &address);
    let queues: Vec<&str> =
        facts.queues.each().filter_map(|queue| Some(queue.settings.seen()?.arn.as_str())).collect();
    let touching: Vec<&Target> = notification
        .targets
        .iter()
        .filter(|target| overlaps(&target.prefix, &prefix.prefix) && tells_of_creation(target))
        .collect();
    let to_ours: Vec<&Target> = touching.iter().copied().filter(|target| is_ours(target, &queues)).collect();
    if to_ours.is_empty() {
        if notification.event_bridge {
            return rules::judge(facts, &bucket.bucket, &prefix.prefix, &address);
        }
        nobody_told(bucket, prefix, &touching, &queues, &mut findings);
        return findings.or_fine("");
    }
    for target in &to_ours {
        narrow(target, prefix, &mut findings);
    }
    if !to_ours.iter().any(|target| tells_of_all_creation(target) || to_ours.len() > 1) {
        findings.fail(
            "doctor.notification_events",
            format!(
                "it tells only of {}: files that DMS uploads in parts are not told",
                to_ours[0].events.join(", ")
            ),
            "Set the events of this notification to s3:ObjectCreated:*.",
        );
    }
    let arns: Vec<&str> = to_ours.iter().map(|target| target.arn.as_str()).collect();
    findings.or_fine(format!("new objects are told to {}", arns.join(", ")))
}

/// A queue of ours; a topic, whose subscribers are not looked at; any queue, where none is known.
fn is_ours(target: &Target, queues: &[&str]) -> bool {
    queues.contains(&target.arn.as_str())
        || target.arn.contains(":sns:")
        || (queues.is_empty() && target.arn.contains(":sqs:"))
}

fn nobody_told(
    bucket: &BucketSeen,
    prefix: &PrefixSeen,
    touching: &[&Target],
    queues: &[&str],
    findings: &mut Findings<'_>,
) {
    let queue = queues.first().copied().unwrap_or("QUEUE_ARN");
    let merge = format!(
        "Add to the bucket's notifications, and keep what is there (`aws s3api get-bucket-notification-configuration --bucket {}`; \
         put-… replaces all of them): {{\"QueueArn\":\"{queue}\",\"Events\":[\"s3:ObjectCreated:*\"],\"Filter\":{{\"Key\":{{\
         \"FilterRules\":[{{\"Name\":\"prefix\",\"Value\":\"{}\"}}]}}}}}}",
        bucket.bucket, prefix.prefix
    );
    match touching.first() {
        Some(target) => findings.fail(
            "doctor.notification_elsewhere",
            format!("new objects are told to {}, and to no queue of ours", target.arn),
            merge,
        ),
        None => findings.fail(
            "doctor.notification_missing",
            "new objects are told to nobody, so nothing ever loads",
            merge,
        ),
    }
}

fn narrow(target: &Target, prefix: &PrefixSeen, findings: &mut Findings<'_>) {
    if !prefix.prefix.starts_with(&target.prefix) {
        findings.warn(
            "doctor.notification_prefix",
            format!(
                "only keys that begin with {} are told; others below the mapped prefix are not",
                target.prefix
            ),
            format!("Set the prefix of this notification to {}.", prefix.prefix),
        );
    }
    if !target.suffix.is_empty() {
        findings.warn(
            "doctor.notification_suffix",
            format!("only keys that end with {} are told: files of other names are somebody's rows, and nobody hears of them", target.suffix),
            "Remove the suffix from this notification; what is not Parquet then shows in the dead-letter queue.",
        );
    }
}

fn overlaps(one: &str, other: &str) -> bool {
    one.starts_with(other) || other.starts_with(one)
}

fn tells_of_creation(target: &Target) -> bool {
    target.events.iter().any(|event| event.starts_with("s3:ObjectCreated:"))
}

/// DMS uploads large files in parts, so both ways of creating an object have to be told.
fn tells_of_all_creation(target: &Target) -> bool {
    let has = |event: &str| target.events.iter().any(|told| told == event);
    has("s3:ObjectCreated:*")
        || (has("s3:ObjectCreated:Put") && has("s3:ObjectCreated:CompleteMultipartUpload"))
}
