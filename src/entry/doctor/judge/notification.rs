//! What a bucket tells of new objects below a prefix, and whether that comes to a queue of ours.

use super::news::{self, News, Together};
use super::{policy, rules};
use crate::entry::doctor::facts::{BucketSeen, Facts, Notification, PrefixSeen, Target};
use crate::entry::doctor::finding::{Finding, Findings, Hop};

/// A prefix, and what is known of whom its bucket tells.
struct Told<'a> {
    facts: &'a Facts,
    bucket: &'a BucketSeen,
    prefix: &'a PrefixSeen,
    notification: &'a Notification,
}

pub(super) fn judge(
    facts: &Facts,
    bucket: &BucketSeen,
    prefix: &PrefixSeen,
    notification: &Notification,
) -> Vec<Finding> {
    let address = bucket.address(prefix);
    let mut findings = Findings::of(Hop::Notification, &address);
    let told = Told { facts, bucket, prefix, notification };
    match news::of_prefix(facts, bucket, prefix, notification) {
        News::Direct(targets) => {
            completeness(&targets, prefix, &mut findings);
            findings.or_fine(format!("new objects are told to {}", arns(&targets)))
        }
        News::Rules(verdict) => rules::judge(verdict, &bucket.bucket, &prefix.prefix, &address),
        News::Topics(topics) => {
            completeness(&topics, prefix, &mut findings);
            findings.or_not_looked(&through_topic(&topics, notification))
        }
        News::Elsewhere(targets) => {
            told.elsewhere(&targets, &mut findings);
            findings.or_fine("")
        }
        News::Untold => {
            told.untold(&mut findings);
            findings.or_fine("")
        }
        News::Unknown(targets) => findings.or_not_looked(&unknown(facts, &targets, notification)),
    }
}

fn arns(targets: &[&Target]) -> String {
    let mut arns: Vec<&str> = targets.iter().map(|target| target.arn.as_str()).collect();
    arns.dedup();
    arns.join(", ")
}

fn through_topic(topics: &[&Target], notification: &Notification) -> String {
    let also = if notification.event_bridge {
        " (and to EventBridge, of which no rule leads to a queue of ours)"
    } else {
        ""
    };
    format!(
        "new objects are told to {}{also}, which may send to a queue of ours, and whose subscriptions doctor does not read: put an \
         object below the prefix, and see that a message arrives",
        arns(topics)
    )
}

fn unknown(facts: &Facts, targets: &[&Target], notification: &Notification) -> String {
    let to = match (targets, notification.event_bridge) {
        ([], _) => "EventBridge".to_owned(),
        (targets, true) => format!("{} and EventBridge", arns(targets)),
        (targets, false) => arns(targets),
    };
    let name =
        if facts.nothing_named { ": name --function or --queue to see whether that is yours" } else { "" };
    format!("new objects are told to {to}, and no queue of ours is known{name}")
}

/// Whether some keys or some ways of creating an object are left out.
fn completeness(targets: &[&Target], prefix: &PrefixSeen, findings: &mut Findings<'_>) {
    let whole = news::whole(targets, prefix);
    if whole.tell_all() {
        return;
    }
    for target in targets {
        narrow(target, prefix, findings);
    }
    let together = if whole.0.is_empty() { Together(targets.to_vec()) } else { whole };
    if !together.tell_all() {
        findings.fail(
            "doctor.notification_events",
            format!(
                "it tells only of {}: files that DMS uploads in parts are not told",
                together.events().join(", ")
            ),
            "Set the events of this notification to s3:ObjectCreated:*.",
        );
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

impl Told<'_> {
    fn elsewhere(&self, targets: &[&Target], findings: &mut Findings<'_>) {
        let (topics, others): (Vec<&Target>, Vec<&Target>) =
            targets.iter().partition(|target| news::is_topic(target));
        let message = match topics.first() {
            Some(_) if others.is_empty() => {
                format!("new objects are told to {}, which may send to no queue of ours", arns(&topics))
            }
            _ => format!("new objects are told to {}, and to no queue of ours", arns(targets)),
        };
        let remedy = match topics.first() {
            Some(topic) => format!(
                "{} Or, if the news are to come by that topic: subscribe the queue to it, and {}",
                self.add(),
                policy::add_topic(self.queue_arn(), &topic.arn)
            ),
            None => self.add(),
        };
        findings.fail("doctor.notification_elsewhere", message, remedy);
    }

    fn untold(&self, findings: &mut Findings<'_>) {
        let nobody = "new objects are told to nobody, so nothing ever loads";
        let (message, remedy) = match self.near() {
            None => (nobody.to_owned(), self.add()),
            Some(near) if news::overlaps(near, self.prefix) => (
                format!("{nobody}: {} is told only of {}", near.arn, near.events.join(", ")),
                "Add s3:ObjectCreated:* to the events of that notification.".to_owned(),
            ),
            Some(near) => self.mistyped(near, nobody),
        };
        findings.fail("doctor.notification_missing", message, remedy);
    }

    /// A notification that is for no mapping: one of the two prefixes is mistyped. Objects below the mapped one say which.
    fn mistyped(&self, near: &Target, nobody: &str) -> (String, String) {
        let (theirs, ours) = (&near.prefix, &self.prefix.prefix);
        if self.prefix.listing.seen().is_some_and(|listing| listing.object_count == 0) {
            return (
                format!(
                    "{nobody}: {} is told of keys that begin with {theirs}, and below {ours} there are none",
                    near.arn
                ),
                format!(
                    "If DMS writes below {theirs}, mend `bucket_folder` in the mapping's `source`; otherwise set the prefix of that \
                     notification to {ours}."
                ),
            );
        }
        (
            format!("{nobody}: {} is told only of keys that begin with {theirs}", near.arn),
            format!("Set the prefix of that notification to {ours}."),
        )
    }

    /// What tells a queue of ours, or of anybody's where ours are not known, and serves no mapping as it is.
    fn near(&self) -> Option<&Target> {
        let knows_ours = self.facts.queues.each().next().is_some();
        let is_near = |target: &&Target| match knows_ours {
            true => news::is_ours(self.facts, &target.arn),
            false => news::is_queue(target),
        };
        let serves = |target: &&Target| {
            news::tells_of_creation(target)
                && self.bucket.prefixes.iter().any(|prefix| news::overlaps(target, prefix))
        };
        self.notification.targets.iter().find(|target| is_near(target) && !serves(target))
    }

    fn queue_arn(&self) -> &str {
        let mut arns = self.facts.queues.each().filter_map(|queue| Some(queue.settings.seen()?.arn.as_str()));
        arns.next().unwrap_or("QUEUE_ARN")
    }

    fn add(&self) -> String {
        format!(
            "Add to the bucket's notifications, and keep what is there (`aws s3api get-bucket-notification-configuration --bucket {}`; \
             put-… replaces all of them): {{\"QueueArn\":\"{}\",\"Events\":[\"s3:ObjectCreated:*\"],\"Filter\":{{\"Key\":{{\
             \"FilterRules\":[{{\"Name\":\"prefix\",\"Value\":\"{}\"}}]}}}}}}",
            self.bucket.bucket,
            self.queue_arn(),
            self.prefix.prefix
        )
    }
}
