//! The queue and its dead-letter queue, against each other and against the function.

use serde_json::{Value, json};

use super::{policy, span};
use crate::entry::doctor::facts::{Facts, Failure, Look, QueueSeen, QueueSettings, Redrive};
use crate::entry::doctor::finding::{Finding, Findings, Hop};

/// AWS's own advice: visibility of at least six times the function's time-out, plus the batching window
/// (<https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-configure.html>).
const TIMEOUTS_OF_VISIBILITY: u64 = 6;

/// With this many receives an outage of six hours dead-letters nothing (docs/decisions/0010-visibility.md).
const RECEIVES_MIN: u64 = 50;

const DAY_SECS: u64 = 86_400;

/// A long weekend without the function loses nothing.
const RETENTION_MIN_SECS: u64 = 4 * DAY_SECS;

/// The longest that SQS keeps anything, and what is dead-lettered waits for a person.
const DEAD_LETTER_RETENTION_SECS: u64 = 14 * DAY_SECS;

/// The key that SQS has of its own. Its policy, which nobody can change, does not admit S3
/// (<https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-key-management.html>).
const KEY_OF_SQS: &str = "alias/aws/sqs";

pub(super) fn judge(facts: &Facts) -> Vec<Finding> {
    let queues = match &facts.queues {
        Look::Seen(queues) => queues,
        Look::NotLooked(why) => return vec![Finding::not_looked(Hop::Queue, "", why)],
        Look::Failed(failure) => return vec![failed(Hop::Queue, "", failure)],
    };
    queues.iter().flat_map(|queue| of_queue(facts, queue)).collect()
}

fn failed(hop: Hop, about: &str, failure: &Failure) -> Finding {
    let allow = "Let your AWS identity sqs:GetQueueAttributes and sqs:GetQueueUrl on the queue and its dead-letter queue.";
    let missing =
        "There is no such queue in this account and region: make it, or mend the address that names it.";
    Finding::failed(hop, about, failure, allow, missing)
}

fn of_queue(facts: &Facts, queue: &QueueSeen) -> Vec<Finding> {
    let settings = match &queue.settings {
        Look::Seen(settings) => settings,
        Look::NotLooked(why) => return vec![Finding::not_looked(Hop::Queue, &queue.name, why)],
        Look::Failed(failure) => return vec![failed(Hop::Queue, &queue.name, failure)],
    };
    let mut found = queue_itself(facts, settings);
    found.extend(policy::judge(facts, settings));
    found.extend(dead_letters(queue, settings));
    found
}

/// How a person sets an attribute of a queue. In JSON, since the short form of the AWS CLI cannot spell policies.
fn set(arn: &str, attribute: &str, value: impl ToString) -> String {
    let name = arn.rsplit(':').next().unwrap_or(arn);
    let attributes = json!({ attribute: value.to_string() });
    format!(
        "aws sqs set-queue-attributes --queue-url $(aws sqs get-queue-url --queue-name {name} --query QueueUrl --output text) \
         --attributes '{attributes}'"
    )
}

fn queue_itself(facts: &Facts, queue: &QueueSettings) -> Vec<Finding> {
    let mut findings = Findings::of(Hop::Queue, &queue.arn);
    if queue.fifo {
        findings.fail(
            "doctor.queue_fifo",
            "it is a FIFO queue, to which S3 tells nothing",
            "Make a standard queue. Order does not matter to dms2bq.",
        );
    }
    visibility(facts, queue, &mut findings);
    read_by_a_function(facts, queue, &mut findings);
    if queue.retention_secs < RETENTION_MIN_SECS {
        let message = format!(
            "messages are deleted after {}: a long weekend without the function loses files",
            span(queue.retention_secs)
        );
        findings.warn("doctor.retention", message, set(&queue.arn, "MessageRetentionPeriod", "345600"));
    }
    if queue.delay_secs > 0 {
        let message = format!(
            "every message is held back for {}, and every file waits as long",
            span(queue.delay_secs)
        );
        findings.warn("doctor.delivery_delay", message, set(&queue.arn, "DelaySeconds", 0));
    }
    if queue.kms_key.as_deref().is_some_and(|key| key.ends_with(KEY_OF_SQS)) {
        findings.fail(
            "doctor.queue_key",
            format!("it is encrypted with {KEY_OF_SQS}, which S3 may not use: no message arrives"),
            "Encrypt it with SSE-SQS, or with a key of your own whose policy lets s3.amazonaws.com kms:GenerateDataKey and kms:Decrypt.",
        );
    }
    match &queue.redrive {
        None => findings.fail(
            "doctor.dead_letters_missing",
            "it has no dead-letter queue: what never loads goes round until it is deleted, unseen",
            "Make a second standard queue, kept for 14 days, and name it in this queue's RedrivePolicy with maxReceiveCount 50.",
        ),
        Some(redrive) if redrive.max_receive_count < RECEIVES_MIN => findings.warn(
            "doctor.max_receive_count",
            format!(
                "maxReceiveCount is {}: an outage of less than six hours sends good files to the dead-letter queue",
                redrive.max_receive_count
            ),
            set(
                &queue.arn,
                "RedrivePolicy",
                json!({ "deadLetterTargetArn": redrive.dead_letter_arn, "maxReceiveCount": 50 }),
            ),
        ),
        Some(_) => {}
    }
    let receives = queue.redrive.as_ref().map_or(0, |redrive| redrive.max_receive_count);
    findings.or_fine(format!(
        "visibility {}, {receives} receives, kept for {}, {} waiting",
        span(queue.visibility_timeout_secs),
        span(queue.retention_secs),
        queue.message_count
    ))
}

/// Where functions were named, one of them should take from the queue.
fn read_by_a_function(facts: &Facts, queue: &QueueSettings, findings: &mut Findings<'_>) {
    let sources: Vec<_> = facts.functions.each().map(|function| function.event_sources.seen()).collect();
    let is_read = |arn: &str| {
        sources.iter().flatten().flat_map(|sources| sources.iter()).any(|source| source.queue_arn == arn)
    };
    // A function whose event sources were not seen may be the one.
    if sources.is_empty() || sources.contains(&None) || is_read(&queue.arn) {
        return;
    }
    findings.fail(
        "doctor.queue_unread",
        "no function that was named takes from it: what is sent to it waits until its retention deletes it",
        "Name the function that does, too; or make the queue its event source, and take the other one away.",
    );
}

/// Against every function that takes from the queue.
fn visibility(facts: &Facts, queue: &QueueSettings, findings: &mut Findings<'_>) {
    for function in facts.functions.each() {
        let Some(settings) = function.settings.seen() else { continue };
        for source in function.event_sources.each().filter(|source| source.queue_arn == queue.arn) {
            let needed_secs = settings.timeout_secs * TIMEOUTS_OF_VISIBILITY + source.batching_window_secs;
            if queue.visibility_timeout_secs >= needed_secs {
                continue;
            }
            let message = format!(
                "the visibility timeout is {}, and six time-outs of {} with its batching window are {needed_secs} s: a message comes \
                 back while it is worked on",
                span(queue.visibility_timeout_secs),
                function.name
            );
            let remedy = set(&queue.arn, "VisibilityTimeout", needed_secs);
            if queue.visibility_timeout_secs < settings.timeout_secs {
                findings.fail("doctor.visibility", message, remedy);
            } else {
                findings.warn("doctor.visibility", message, remedy);
            }
        }
    }
}

fn dead_letters(queue: &QueueSeen, settings: &QueueSettings) -> Vec<Finding> {
    let Some(redrive) = &settings.redrive else {
        return vec![Finding::not_looked(Hop::DeadLetters, "", "the queue names none")];
    };
    if redrive.dead_letter_arn == settings.arn {
        return itself(settings);
    }
    let dead = match &queue.dead_letters {
        Look::Seen(dead) => dead,
        Look::NotLooked(why) => {
            return vec![Finding::not_looked(Hop::DeadLetters, &redrive.dead_letter_arn, why)];
        }
        Look::Failed(failure) => return vec![failed(Hop::DeadLetters, &redrive.dead_letter_arn, failure)],
    };
    let mut findings = Findings::of(Hop::DeadLetters, &dead.arn);
    same_kind_and_place(settings, redrive, dead, &mut findings);
    kept_long_enough(settings, dead, &mut findings);
    if !allows(dead.redrive_allow.as_deref(), &settings.arn) {
        findings.fail(
            "doctor.redrive_not_allowed",
            format!("its redrive-allow policy does not admit {}: messages that are received too often stay where they are", settings.arn),
            set(
                &dead.arn,
                "RedriveAllowPolicy",
                json!({ "redrivePermission": "byQueue", "sourceQueueArns": [settings.arn] }),
            ),
        );
    }
    if dead.message_count > 0 {
        findings.warn(
            "doctor.dead_letters_waiting",
            format!(
                "about {} messages lie there: each is a file that will not load as it is",
                dead.message_count
            ),
            "docs/operating.md says how to read them, mend the cause and redrive.",
        );
    }
    findings.or_fine(format!("empty, kept for {}", span(dead.retention_secs)))
}

fn itself(queue: &QueueSettings) -> Vec<Finding> {
    let mut findings = Findings::of(Hop::DeadLetters, &queue.arn);
    findings.fail(
        "doctor.dead_letters_itself",
        "the queue is its own dead-letter queue: what never loads goes round until it is deleted, unseen",
        "Make a second standard queue, kept for 14 days, and name it in this queue's RedrivePolicy with maxReceiveCount 50.",
    );
    findings.or_fine("")
}

fn same_kind_and_place(
    queue: &QueueSettings,
    redrive: &Redrive,
    dead: &QueueSettings,
    findings: &mut Findings<'_>,
) {
    if dead.fifo != queue.fifo {
        findings.fail(
            "doctor.dead_letters_kind",
            "one of the two is a FIFO queue and the other is not, so SQS moves nothing",
            "Make the dead-letter queue of the same kind as the queue: standard.",
        );
    }
    // arn:aws:sqs:REGION:ACCOUNT:NAME
    let place = |arn: &str| arn.split(':').skip(3).take(2).map(str::to_owned).collect::<Vec<_>>();
    if place(&redrive.dead_letter_arn) != place(&queue.arn) {
        findings.fail(
            "doctor.dead_letters_elsewhere",
            "it is in another region or account than the queue, so SQS moves nothing",
            "Make a dead-letter queue beside the queue, and name that in the RedrivePolicy.",
        );
    }
}

/// SQS counts from when a message was first sent, so a dead-letter queue has to keep it for longer than the queue.
fn kept_long_enough(queue: &QueueSettings, dead: &QueueSettings, findings: &mut Findings<'_>) {
    let remedy = set(&dead.arn, "MessageRetentionPeriod", "1209600");
    let kept = span(dead.retention_secs);
    if dead.retention_secs <= queue.retention_secs {
        let message = format!(
            "it keeps messages for {kept} from when they were first sent, no longer than the queue: they can be gone before anybody sees them"
        );
        findings.fail("doctor.dead_letter_retention", message, remedy);
    } else if dead.retention_secs < DEAD_LETTER_RETENTION_SECS {
        let message =
            format!("it keeps messages for {kept} from when they were first sent; 14 d is what SQS can");
        findings.warn("doctor.dead_letter_retention", message, remedy);
    }
}

/// Whether a redrive-allow policy admits a queue. Without one, every queue of the account is admitted.
fn allows(policy: Option<&str>, queue_arn: &str) -> bool {
    let Some(policy) = policy.and_then(|text| serde_json::from_str::<Value>(text).ok()) else { return true };
    match policy.get("redrivePermission").and_then(Value::as_str) {
        None | Some("allowAll") => true,
        Some("byQueue") => {
            let admitted = policy.get("sourceQueueArns").and_then(Value::as_array);
            admitted.is_some_and(|arns| arns.iter().any(|arn| arn.as_str() == Some(queue_arn)))
        }
        Some(_) => false,
    }
}
