//! Which way a bucket's news of new objects take to a queue of ours. All of `judge` goes by this one answer.

use super::policy;
use super::rules::{self, Verdict};
use crate::entry::doctor::facts::{BucketSeen, Facts, Notification, PrefixSeen, QueueSeen, Target};

/// Who sends to a queue at the end of a way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Sender {
    /// S3 itself.
    Bucket,
    /// A topic, which has the queue as a subscriber.
    Topic,
    /// EventBridge, which has a rule with the queue as its target.
    Rule,
}

impl Sender {
    /// Its name among AWS's principals.
    pub(super) fn service(self) -> &'static str {
        match self {
            Self::Bucket => "s3.amazonaws.com",
            Self::Topic => "sns.amazonaws.com",
            Self::Rule => "events.amazonaws.com",
        }
    }
}

/// What becomes of the news of one prefix.
pub(super) enum News<'a> {
    /// Nobody is told.
    Untold,
    /// These tell queues of ours.
    Direct(Vec<&'a Target>),
    /// EventBridge is told, whose rules do this with it.
    Rules(Verdict),
    /// These tell topics that may send to a queue of ours. Their subscriptions are not read.
    Topics(Vec<&'a Target>),
    /// These tell others.
    Elsewhere(Vec<&'a Target>),
    /// Somebody is told, by these or by EventBridge, and no queue of ours is known.
    Unknown(Vec<&'a Target>),
}

/// The way that the news of a prefix take.
pub(super) fn of_prefix<'a>(
    facts: &Facts,
    bucket: &BucketSeen,
    prefix: &PrefixSeen,
    notification: &'a Notification,
) -> News<'a> {
    let told: Vec<&Target> = notification
        .targets
        .iter()
        .filter(|target| overlaps(target, prefix) && tells_of_creation(target))
        .collect();
    if facts.queues.each().next().is_none() {
        let may_be_ours = told.iter().any(|target| is_queue(target) || is_topic(target));
        return if notification.event_bridge || may_be_ours { News::Unknown(told) } else { not_ours(told) };
    }
    let verdict = notification.event_bridge.then(|| rules::verdict(facts, &bucket.bucket, &prefix.prefix));
    let direct: Vec<&Target> = told.iter().copied().filter(|target| is_ours(facts, &target.arn)).collect();
    let by_rule = verdict.as_ref().is_some_and(Verdict::is_complete);
    if !direct.is_empty() && (!by_rule || whole(&direct, prefix).tell_all()) {
        return News::Direct(direct);
    }
    let topics: Vec<&Target> = told.iter().copied().filter(|target| is_way(facts, target)).collect();
    match verdict {
        Some(verdict) if topics.is_empty() || !verdict.is_nothing() => News::Rules(verdict),
        Some(_) | None if !topics.is_empty() => News::Topics(topics),
        Some(_) | None => not_ours(told),
    }
}

fn not_ours(told: Vec<&Target>) -> News<'_> {
    if told.is_empty() { News::Untold } else { News::Elsewhere(told) }
}

/// Who has to be let in by a queue for the mapped prefixes, with the ARN of who it is. Where a bucket tells nobody yet, it is
/// taken that it is to tell the first queue.
pub(super) fn senders_to(facts: &Facts, queue_arn: &str) -> Vec<(Sender, String)> {
    let mut senders = Vec::new();
    let partition = queue_arn.split(':').nth(1).unwrap_or("aws");
    let is_first = facts.queues.each().next().is_some_and(|queue| is_queue_of(queue, queue_arn));
    for bucket in facts.buckets.each() {
        let Some(notification) = bucket.notification.seen() else { continue };
        let itself = || (Sender::Bucket, format!("arn:{partition}:s3:::{}", bucket.bucket));
        for prefix in &bucket.prefixes {
            match of_prefix(facts, bucket, prefix, notification) {
                News::Direct(targets) if targets.iter().any(|target| target.arn == queue_arn) => {
                    senders.push(itself());
                }
                News::Direct(_) | News::Unknown(_) => {}
                News::Rules(_) => {
                    let arns = rules::of_queue(facts, queue_arn, &bucket.bucket, &prefix.prefix);
                    senders.extend(arns.into_iter().map(|arn| (Sender::Rule, arn)));
                }
                News::Topics(topics) => {
                    let admitted =
                        topics.iter().filter(|topic| policy::admits_topic(facts, queue_arn, &topic.arn));
                    senders.extend(admitted.map(|topic| (Sender::Topic, topic.arn.clone())));
                }
                // Whether S3 or that topic is to send is for a person to decide.
                News::Elsewhere(told) if told.iter().any(|target| is_topic(target)) => {}
                News::Elsewhere(_) | News::Untold if is_first => senders.push(itself()),
                News::Elsewhere(_) | News::Untold => {}
            }
        }
    }
    senders.sort();
    senders.dedup();
    senders
}

/// Whether a queue of ours has this ARN.
pub(super) fn is_ours(facts: &Facts, arn: &str) -> bool {
    facts.queues.each().any(|queue| is_queue_of(queue, arn))
}

/// A queue that could not be read is known by the ARN or the URL that named it.
fn is_queue_of(queue: &QueueSeen, arn: &str) -> bool {
    let mut account_and_name = arn.split(':').skip(4);
    let path = match (account_and_name.next(), account_and_name.next()) {
        (Some(account), Some(name)) => format!("/{account}/{name}"),
        _ => return false,
    };
    match queue.settings.seen() {
        Some(settings) => settings.arn == arn,
        None => queue.name == arn || queue.name.ends_with(&path),
    }
}

/// A topic that a queue of ours lets in, as far as that is known.
fn is_way(facts: &Facts, target: &Target) -> bool {
    let lets_in = |queue: &QueueSeen| {
        let settings = queue.settings.seen();
        settings.is_none_or(|settings| policy::admits_topic(facts, &settings.arn, &target.arn))
    };
    is_topic(target) && facts.queues.each().any(lets_in)
}

pub(super) fn is_topic(target: &Target) -> bool {
    target.arn.contains(":sns:")
}

pub(super) fn is_queue(target: &Target) -> bool {
    target.arn.contains(":sqs:")
}

pub(super) fn overlaps(target: &Target, prefix: &PrefixSeen) -> bool {
    target.prefix.starts_with(&prefix.prefix) || prefix.prefix.starts_with(&target.prefix)
}

pub(super) fn tells_of_creation(target: &Target) -> bool {
    target.events.iter().any(|event| event.starts_with("s3:ObjectCreated:"))
}

/// Those that tell of every key of a prefix.
pub(super) fn whole<'a>(targets: &[&'a Target], prefix: &PrefixSeen) -> Together<'a> {
    let tells_all_keys =
        |target: &&Target| prefix.prefix.starts_with(&target.prefix) && target.suffix.is_empty();
    Together(targets.iter().copied().filter(tells_all_keys).collect())
}

/// Notifications that add up.
pub(super) struct Together<'a>(pub(super) Vec<&'a Target>);

impl Together<'_> {
    /// DMS uploads large files in parts, so both ways of creating an object have to be told.
    pub(super) fn tell_all(&self) -> bool {
        let has = |event: &str| self.events().contains(&event);
        has("s3:ObjectCreated:*")
            || (has("s3:ObjectCreated:Put") && has("s3:ObjectCreated:CompleteMultipartUpload"))
    }

    /// Of what they tell.
    pub(super) fn events(&self) -> Vec<&str> {
        self.0.iter().flat_map(|target| &target.events).map(String::as_str).collect()
    }
}
