//! The rules of EventBridge, where a bucket's news take that way.

use super::event_pattern::{Match, either, takes};
use crate::entry::doctor::facts::{Facts, Failure, Look, QueueSeen, Rule};
use crate::entry::doctor::finding::{Finding, Findings, Hop};

/// A file of each kind that DMS writes, below a table's folder. Two lanes take them apart by their names.
const FILES: [(&str, &str); 3] = [
    ("full loads", "LOAD00000001.parquet"),
    ("parallel full loads", "SEGMENT1_LOAD00000001.parquet"),
    ("changes", "20221201-093015123.parquet"),
];

/// How DMS uploads them: what is said of that, and EventBridge's word for it.
const REASONS: [(&str, &str); 2] = [("", "PutObject"), (" uploaded in parts", "CompleteMultipartUpload")];

/// What the rules that lead to queues of ours make of the news of a prefix.
pub(super) enum Verdict {
    /// They were not seen, and why.
    NotLooked(String),
    /// They could not be seen.
    Failed(Failure),
    /// They were seen.
    Seen {
        /// Kinds of files that no enabled rule takes.
        missing: Vec<String>,
        /// Kinds of files of which it cannot be said.
        unclear: Vec<String>,
        /// Whether there is a file that one takes, or may take.
        takes_any: bool,
    },
}

impl Verdict {
    /// Every kind of file comes to a queue of ours.
    pub(super) fn is_complete(&self) -> bool {
        matches!(self, Self::Seen { missing, unclear, .. } if missing.is_empty() && unclear.is_empty())
    }

    /// No file does.
    pub(super) fn is_nothing(&self) -> bool {
        matches!(self, Self::Seen { takes_any: false, .. })
    }
}

/// The ARN of each rule that sends news of a prefix to a queue. Where the rules were not seen, words that are no ARN.
pub(super) fn of_queue(facts: &Facts, queue_arn: &str, bucket: &str, prefix: &str) -> Vec<String> {
    let is_it = |queue: &&QueueSeen| queue.settings.seen().is_some_and(|settings| settings.arn == queue_arn);
    let Some(Look::Seen(rules)) = facts.queues.each().find(is_it).map(|queue| &queue.rules) else {
        return vec![format!("the news of {bucket}")];
    };
    let is_for = |rule: &&Rule| {
        let news = FILES.iter().flat_map(|(_, file)| REASONS.map(|(_, reason)| (key(prefix, file), reason)));
        news.into_iter().any(|(key, reason)| takes(&rule.pattern, bucket, &key, reason) != Match::No)
    };
    rules.iter().filter(is_for).map(|rule| rule.arn.clone()).collect()
}

fn key(prefix: &str, file: &str) -> String {
    format!("{prefix}schema/table/{file}")
}

/// Holds the rules of all queues against every kind of file.
pub(super) fn verdict(facts: &Facts, bucket: &str, prefix: &str) -> Verdict {
    let enabled = || {
        let rules = facts.queues.each().flat_map(|queue| queue.rules.each());
        rules.filter(|rule| rule.state.starts_with("ENABLED"))
    };
    let (mut missing, mut unclear, mut takes_any) = (Vec::new(), Vec::new(), false);
    for (kind, file) in FILES {
        let key = key(prefix, file);
        let of_reason =
            |reason| enabled().map(|rule| takes(&rule.pattern, bucket, &key, reason)).fold(Match::No, either);
        let found = REASONS.map(|(how, reason)| (how, of_reason(reason)));
        takes_any |= found.iter().any(|(_, found)| *found != Match::No);
        // Where it is so of both ways of uploading, nothing is to be said of how.
        match found.iter().find(|(_, found)| *found != Match::Yes) {
            Some((how, Match::No)) => missing.push(format!("{kind}{how}")),
            Some((how, _)) => unclear.push(format!("{kind}{how}")),
            None => {}
        }
    }
    // A rule that was not seen may take what those that were do not.
    let unseen = facts.queues.each().find_map(|queue| match &queue.rules {
        Look::Seen(_) => None,
        Look::Failed(failure) => Some(Verdict::Failed(failure.clone())),
        Look::NotLooked(why) => Some(Verdict::NotLooked(why.clone())),
    });
    match unseen {
        Some(unseen) if !missing.is_empty() => unseen,
        Some(_) | None => Verdict::Seen { missing, unclear, takes_any },
    }
}

/// Whether the news of a prefix come to a queue of ours, for every kind of file.
pub(super) fn judge(verdict: Verdict, bucket: &str, prefix: &str, address: &str) -> Vec<Finding> {
    let (missing, unclear) = match verdict {
        Verdict::Seen { missing, unclear, .. } => (missing.join(", "), unclear.join(", ")),
        Verdict::NotLooked(why) => return vec![Finding::not_looked(Hop::Notification, address, &why)],
        Verdict::Failed(failure) => {
            let allow = "Let your AWS identity events:ListRuleNamesByTarget and events:DescribeRule.";
            return vec![Finding::failed(Hop::Notification, address, &failure, allow, allow)];
        }
    };
    let mut findings = Findings::of(Hop::Notification, address);
    if !missing.is_empty() {
        findings.fail(
            "doctor.rule_missing",
            format!("the bucket tells EventBridge, and no enabled rule hands its {missing} to a queue of ours: they never load"),
            format!(
                "Make (or enable) a rule on the default bus with the pattern {{\"source\":[\"aws.s3\"],\"detail-type\":[\"Object Created\"],\
                 \"detail\":{{\"bucket\":{{\"name\":[\"{bucket}\"]}},\"object\":{{\"key\":[{{\"prefix\":\"{prefix}\"}}]}}}}}} and the queue as its target."
            ),
        );
    }
    if !unclear.is_empty() {
        findings.warn(
            "doctor.rule_unclear",
            format!("whether a rule hands its {unclear} to a queue of ours hangs on a pattern that doctor cannot judge"),
            "Put an object below the prefix, and see that a message arrives.",
        );
    }
    findings.or_fine("EventBridge hands full loads and changes to a queue of ours")
}
