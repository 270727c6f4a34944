//! Who may send to the queue, read from its policy.
//!
//! Only as much of AWS's policy language as such policies use. What is not understood is said to be so, and never taken
//! for a permission.

use serde_json::{Value, json};

use super::news::{self, Sender};
use super::wildcard::is_like;
use crate::entry::doctor::facts::{Facts, QueueSettings};
use crate::entry::doctor::finding::{Finding, Findings, Hop};

/// What a statement comes to for one sender.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Answer {
    Yes,
    No,
    /// A statement that denies is about the sender.
    Denied,
    /// A condition or an element that is not understood here.
    Unclear,
}

/// Who wants to send.
struct Asking<'a> {
    service: &'static str,
    source_arn: Option<String>,
    account: Option<&'a str>,
}

pub(super) fn judge(facts: &Facts, queue: &QueueSettings) -> Vec<Finding> {
    let mut findings = Findings::of(Hop::QueuePolicy, &queue.arn);
    let statements = statements(queue.policy.as_deref());
    let account = account(facts, &queue.arn);
    let mut admitted = Vec::new();
    for (sender, source) in news::senders_to(facts, &queue.arn) {
        let service = sender.service();
        // The ARN of a rule that could not be read is not known, so it cannot be held against a condition.
        let source_arn = (sender != Sender::Rule || source.starts_with("arn:")).then(|| source.clone());
        let asking = Asking { service, source_arn, account };
        match may_send(&statements, &asking, &queue.arn) {
            Answer::Yes => admitted.push(format!("{service} for {source}")),
            Answer::No => findings.fail(
                "doctor.queue_policy",
                format!("{service} may not send to it for {source}: no message arrives"),
                remedy(service, &source, &queue.arn, account),
            ),
            Answer::Denied => findings.fail(
                "doctor.queue_policy",
                format!("a statement of its policy denies {service} to send to it for {source}: no message arrives"),
                "Take that statement out, or give it a condition that leaves the service alone. A Deny goes before every Allow.",
            ),
            Answer::Unclear => findings.warn(
                "doctor.queue_policy_unclear",
                format!("whether {service} may send to it for {source} hangs on conditions that doctor cannot judge"),
                "Put an object below a mapped prefix, and see that a message arrives.",
            ),
        }
    }
    if statements.iter().any(is_open) {
        findings.warn(
            "doctor.queue_policy_open",
            "anybody may send to it: its policy admits every principal without a condition",
            "Admit s3.amazonaws.com alone, with the bucket as aws:SourceArn and your account as aws:SourceAccount.",
        );
    }
    let fine = if admitted.is_empty() {
        "admits nobody else".to_owned()
    } else {
        format!("admits {}", admitted.join(", "))
    };
    findings.or_fine(fine)
}

/// Whether a queue's policy lets a topic in, or may.
pub(super) fn admits_topic(facts: &Facts, queue_arn: &str, topic_arn: &str) -> bool {
    let settings = facts.queues.each().filter_map(|queue| queue.settings.seen());
    let Some(queue) = settings.into_iter().find(|settings| settings.arn == queue_arn) else { return false };
    let asking = Asking {
        service: Sender::Topic.service(),
        source_arn: Some(topic_arn.to_owned()),
        account: account(facts, queue_arn),
    };
    match may_send(&statements(queue.policy.as_deref()), &asking, queue_arn) {
        Answer::Yes | Answer::Unclear => true,
        Answer::No | Answer::Denied => false,
    }
}

/// What lets a topic in.
pub(super) fn add_topic(queue_arn: &str, topic_arn: &str) -> String {
    format!("add to the queue's policy: {}", statement(Sender::Topic.service(), topic_arn, queue_arn, None))
}

/// Bucket and queue are taken to be in one account: ours, or else the one that the queue's ARN names.
fn account<'a>(facts: &'a Facts, queue_arn: &'a str) -> Option<&'a str> {
    facts.aws.seen().map(|aws| aws.account.as_str()).or_else(|| queue_arn.split(':').nth(4))
}

fn remedy(service: &str, source: &str, queue_arn: &str, account: Option<&str>) -> String {
    // The rule's name is not known where rules could not be read.
    let source = if source.starts_with("arn:") { source } else { "ARN_OF_THE_RULE" };
    format!("Add to the queue's policy: {}", statement(service, source, queue_arn, account))
}

fn statement(service: &str, source: &str, queue_arn: &str, account: Option<&str>) -> Value {
    let mut condition = json!({ "ArnLike": { "aws:SourceArn": source } });
    // A bucket's ARN names no account; those of a topic and a rule do.
    if service == Sender::Bucket.service() {
        condition["StringEquals"] = json!({ "aws:SourceAccount": account.unwrap_or("ACCOUNT") });
    }
    json!({
        "Effect": "Allow", "Principal": { "Service": service }, "Action": "sqs:SendMessage", "Resource": queue_arn,
        "Condition": condition,
    })
}

fn statements(policy: Option<&str>) -> Vec<Value> {
    let policy: Value = policy.and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default();
    match policy.get("Statement") {
        Some(Value::Array(statements)) => statements.clone(),
        Some(statement) => vec![statement.clone()],
        None => Vec::new(),
    }
}

fn may_send(statements: &[Value], asking: &Asking<'_>, queue_arn: &str) -> Answer {
    let of_effect = |effect: &str| -> Vec<Answer> {
        let of_it = statements.iter().filter(|statement| text(statement, "Effect") == effect);
        of_it.map(|statement| applies(statement, asking, queue_arn)).collect()
    };
    let (allowed, denied) = (of_effect("Allow"), of_effect("Deny"));
    if denied.contains(&Answer::Yes) {
        Answer::Denied
    } else if allowed.contains(&Answer::Yes) && !denied.contains(&Answer::Unclear) {
        Answer::Yes
    } else if allowed.contains(&Answer::Yes) || allowed.contains(&Answer::Unclear) {
        Answer::Unclear
    } else {
        Answer::No
    }
}

/// Whether a statement is about this sender sending to this queue.
fn applies(statement: &Value, asking: &Asking<'_>, queue_arn: &str) -> Answer {
    if ["NotPrincipal", "NotAction", "NotResource"].iter().any(|element| statement.get(element).is_some()) {
        return Answer::Unclear;
    }
    let actions = texts(statement.get("Action"));
    let sends = actions.iter().any(|action| is_like(&action.to_ascii_lowercase(), "sqs:sendmessage"));
    let here = texts(statement.get("Resource")).iter().any(|resource| is_like(resource, queue_arn));
    if !sends || !here || !is_principal(statement, asking.service) {
        return Answer::No;
    }
    conditions(statement.get("Condition"), asking)
}

fn is_principal(statement: &Value, service: &str) -> bool {
    match statement.get("Principal") {
        Some(Value::String(everybody)) => everybody == "*",
        Some(principal) => {
            texts(principal.get("Service")).iter().any(|named| named == service)
                || texts(principal.get("AWS")).iter().any(|named| named == "*")
        }
        None => false,
    }
}

/// All conditions have to hold. One that does not hold decides; one that is not understood leaves it open.
fn conditions(conditions: Option<&Value>, asking: &Asking<'_>) -> Answer {
    let mut worst = Answer::Yes;
    let empty = serde_json::Map::new();
    for (operator, keys) in conditions.and_then(Value::as_object).unwrap_or(&empty) {
        for (key, wanted) in keys.as_object().unwrap_or(&empty) {
            match condition(operator, &key.to_ascii_lowercase(), &texts(Some(wanted)), asking) {
                Answer::No | Answer::Denied => return Answer::No,
                Answer::Unclear => worst = Answer::Unclear,
                Answer::Yes => {}
            }
        }
    }
    worst
}

fn condition(operator: &str, key: &str, wanted: &[String], asking: &Asking<'_>) -> Answer {
    let actual = match key {
        "aws:sourcearn" => asking.source_arn.as_deref(),
        "aws:sourceaccount" => asking.account,
        // Services always call over TLS.
        "aws:securetransport" => Some("true"),
        _ => None,
    };
    let Some(actual) = actual else { return Answer::Unclear };
    let holds = match operator {
        "StringEquals" | "Bool" => wanted.iter().any(|value| value == actual),
        "ArnEquals" | "ArnLike" | "StringLike" => wanted.iter().any(|value| is_like(value, actual)),
        _ => return Answer::Unclear,
    };
    if holds { Answer::Yes } else { Answer::No }
}

/// Everybody may send, on no condition.
fn is_open(statement: &Value) -> bool {
    let sends = texts(statement.get("Action"))
        .iter()
        .any(|action| is_like(&action.to_ascii_lowercase(), "sqs:sendmessage"));
    let has_conditions =
        statement.get("Condition").and_then(Value::as_object).is_some_and(|all| !all.is_empty());
    text(statement, "Effect") == "Allow" && sends && !has_conditions && is_principal(statement, "")
}

fn text<'a>(value: &'a Value, name: &str) -> &'a str {
    value.get(name).and_then(Value::as_str).unwrap_or_default()
}

/// One text or a list of them.
fn texts(value: Option<&Value>) -> Vec<String> {
    match value {
        Some(Value::String(text)) => vec![text.clone()],
        Some(Value::Array(list)) => list.iter().filter_map(Value::as_str).map(str::to_owned).collect(),
        Some(_) | None => Vec::new(),
    }
}
