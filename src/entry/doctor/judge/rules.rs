//! The rules of EventBridge, where a bucket's news take that way.

use super::event_pattern::{Match, takes};
use crate::entry::doctor::facts::{Facts, Look, QueueSeen, Rule};
use crate::entry::doctor::finding::{Finding, Findings, Hop};

/// A file of each kind that DMS writes, below a table's folder. Two lanes take them apart by their names.
const FILES: [(&str, &str); 3] = [
    ("full loads", "LOAD00000001.parquet"),
    ("parallel full loads", "SEGMENT1_LOAD00000001.parquet"),
    ("changes", "20221201-093015123.parquet"),
];

/// The sources by which EventBridge sends news of a bucket to a queue: the ARN of each rule that is for it. Where the rules
/// were not seen, words that are no ARN.
pub(super) fn of_queue<'a>(
    facts: &'a Facts,
    queue_arn: &'a str,
    bucket: &'a str,
) -> Box<dyn Iterator<Item = String> + 'a> {
    let is_it = |queue: &&QueueSeen| queue.settings.seen().is_some_and(|settings| settings.arn == queue_arn);
    let Some(Look::Seen(rules)) = facts.queues.each().find(is_it).map(|queue| &queue.rules) else {
        return Box::new(std::iter::once(format!("the news of {bucket}")));
    };
    let is_for = move |rule: &&Rule| {
        FILES
            .iter()
            .any(|(_, file)| takes(&rule.pattern, bucket, &format!("schema/table/{file}")) != Match::No)
    };
    Box::new(rules.iter().filter(is_for).map(|rule| rule.arn.clone()))
}

/// Whether the news of a prefix come to a queue of ours, for every kind of file.
pub(super) fn judge(facts: &Facts, bucket: &str, prefix: &str, address: &str) -> Vec<Finding> {
    let mut rules = Vec::new();
    for queue in facts.queues.each() {
        match &queue.rules {
            Look::Seen(seen) => rules.extend(seen),
            Look::Failed(failure) => {
                let allow = "Let your AWS identity events:ListRuleNamesByTarget and events:DescribeRule.";
                return vec![Finding::failed(Hop::Notification, address, failure, allow, allow)];
            }
            Look::NotLooked(why) => return vec![Finding::not_looked(Hop::Notification, address, why)],
        }
    }
    if facts.queues.seen().is_none() {
        return vec![Finding::not_looked(
            Hop::Notification,
            address,
            "no queue is known that its rules should name",
        )];
    }
    let mut findings = Findings::of(Hop::Notification, address);
    let of_file = |file: &str| {
        let key = format!("{prefix}schema/table/{file}");
        let enabled = rules.iter().filter(|rule| rule.state.starts_with("ENABLED"));
        enabled.map(|rule| takes(&rule.pattern, bucket, &key)).collect::<Vec<_>>()
    };
    let found: Vec<(&str, Vec<Match>)> = FILES.iter().map(|(kind, file)| (*kind, of_file(file))).collect();
    let kinds = |wanted: fn(&[Match]) -> bool| {
        let kinds = found.iter().filter(|(_, matches)| wanted(matches)).map(|(kind, _)| *kind);
        kinds.collect::<Vec<_>>().join(", ")
    };
    let missing = kinds(|matches| !matches.contains(&Match::Yes) && !matches.contains(&Match::Unclear));
    let unclear = kinds(|matches| !matches.contains(&Match::Yes) && matches.contains(&Match::Unclear));
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
