//! The event source mapping: what Lambda's poller takes from the queue, and how it hands it over.

use super::environment::Environment;
use super::span;
use crate::config::names;
use crate::entry::doctor::facts::{EventSource, Facts, FunctionSeen, Look};
use crate::entry::doctor::finding::{Finding, Findings, Hop};

/// More messages in a batch share one time-out; the templates say 10.
const BATCH_SIZE_MAX: u64 = 10;

/// Poison passes its 50 receives within five minutes up to this window (docs/decisions/0010-visibility.md).
const BATCHING_WINDOW_MAX_SECS: u64 = 3;

/// The least that Lambda takes for the maximum concurrency of an event source.
const MAXIMUM_CONCURRENCY_LEAST: u64 = 2;

pub(super) fn judge(facts: &Facts) -> Vec<Finding> {
    match &facts.functions {
        Look::Seen(functions) => functions.iter().flat_map(of_function).collect(),
        Look::NotLooked(why) => vec![Finding::not_looked(Hop::EventSource, "", why)],
        Look::Failed(_) => Vec::new(),
    }
}

fn of_function(function: &FunctionSeen) -> Vec<Finding> {
    let sources = match &function.event_sources {
        Look::Seen(sources) => sources,
        Look::NotLooked(why) => return vec![Finding::not_looked(Hop::EventSource, &function.name, why)],
        Look::Failed(failure) => {
            let allow = "Let your AWS identity lambda:ListEventSourceMappings.";
            return vec![Finding::failed(Hop::EventSource, &function.name, failure, allow, allow)];
        }
    };
    if sources.is_empty() {
        let mut findings = Findings::of(Hop::EventSource, &function.name);
        findings.fail(
            "doctor.event_source_missing",
            "no queue is an event source of the function, so nobody ever calls it",
            format!(
                "aws lambda create-event-source-mapping --function-name {} --event-source-arn QUEUE_ARN --batch-size 10 \
                 --function-response-types ReportBatchItemFailures --scaling-config MaximumConcurrency=10",
                function.name
            ),
        );
        return findings.or_fine("");
    }
    sources.iter().flat_map(|source| of_source(source, function)).collect()
}

fn of_source(source: &EventSource, function: &FunctionSeen) -> Vec<Finding> {
    let mut findings = Findings::of(Hop::EventSource, &source.queue_arn);
    let update =
        |settings: &str| format!("aws lambda update-event-source-mapping --uuid {} {settings}", source.uuid);
    state(source, &update, &mut findings);
    // What the function does with replies is not known if its environment was not seen, and moot if it does not start.
    let replies = function.settings.seen().and_then(|settings| Environment::of(settings).partial_replies());
    if let Some(replies) = replies {
        partial_replies(source, replies, &update, &mut findings);
    }
    if source.filter_count > 0 {
        findings.fail(
            "doctor.event_source_filter",
            "the event source has filters, and Lambda deletes every message that passes none of them: silently lost files",
            update("--filter-criteria '{}'"),
        );
    }
    if source.batch_size > BATCH_SIZE_MAX {
        let message = format!("batches of {} messages share one time-out of the function", source.batch_size);
        findings.warn("doctor.batch_size", message, update("--batch-size 10"));
    }
    if source.batching_window_secs > BATCHING_WINDOW_MAX_SECS {
        let message = format!(
            "a batching window of {}: every file waits for it, and what never loads takes more than five minutes to the dead-letter queue",
            span(source.batching_window_secs)
        );
        findings.warn("doctor.batching_window", message, update("--maximum-batching-window-in-seconds 1"));
    }
    concurrency(source, function, &update, &mut findings);
    findings.or_fine(format!(
        "batches of {}, partial replies honoured, {} at once",
        source.batch_size,
        source.maximum_concurrency.unwrap_or_default()
    ))
}

fn state(source: &EventSource, update: &dyn Fn(&str) -> String, findings: &mut Findings<'_>) {
    match source.state.as_str() {
        "Enabled" => {}
        "Creating" | "Enabling" | "Updating" => findings.warn(
            "doctor.event_source_changing",
            format!("the event source is {} and takes nothing yet", source.state),
            "Wait a minute, and run doctor again.",
        ),
        state => findings.fail(
            "doctor.event_source_disabled",
            format!(
                "the event source is {state}: messages wait in the queue until its retention deletes them"
            ),
            update("--enabled"),
        ),
    }
}

/// The two halves of partial replies. With one half missing the reply is either not made, or made and ignored.
fn partial_replies(
    source: &EventSource,
    replies: bool,
    update: &dyn Fn(&str) -> String,
    findings: &mut Findings<'_>,
) {
    let variable = names::PARTIAL_BATCH_RESPONSE;
    let report = update("--function-response-types ReportBatchItemFailures");
    match (replies, source.reports_item_failures) {
        (true, true) => {}
        (true, false) => findings.fail(
            "doctor.messages_deleted",
            format!(
                "{variable} is `on`, and the event source lacks ReportBatchItemFailures: Lambda ignores the replies and \
                 DELETES messages whose files were not loaded"
            ),
            format!("At once: {report}"),
        ),
        (false, true) => findings.warn(
            "doctor.partial_replies_off",
            format!("the event source has ReportBatchItemFailures, and {variable} is not `on`: one file that fails returns its whole batch"),
            format!("Set {variable}=on in the function's environment."),
        ),
        (false, false) => findings.warn(
            "doctor.partial_replies_off",
            "partial replies are off: one file that fails returns its whole batch, and takes it along to the dead-letter queue",
            format!("First: {report}. When that shows Enabled, set {variable}=on in the function's environment; never the other way round."),
        ),
    }
}

fn concurrency(
    source: &EventSource,
    function: &FunctionSeen,
    update: &dyn Fn(&str) -> String,
    findings: &mut Findings<'_>,
) {
    let reserved = function.settings.seen().and_then(|settings| settings.reserved_concurrency);
    match (source.maximum_concurrency, reserved) {
        (None, _) => findings.warn(
            "doctor.concurrency_unbounded",
            "the event source has no maximum concurrency: a full load starts as many environments as the account allows, and \
             BigQuery takes about five changes of a table in ten seconds",
            update("--scaling-config MaximumConcurrency=10"),
        ),
        (Some(maximum), Some(reserved)) if reserved > 0 && reserved < maximum => {
            let raise = format!(
                "aws lambda put-function-concurrency --function-name {} --reserved-concurrent-executions {maximum}",
                function.name
            );
            // Less than 2 is not to be had (https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-scaling.html).
            let remedy = match reserved {
                ..MAXIMUM_CONCURRENCY_LEAST => {
                    format!("{raise}; or take the reservation away with delete-function-concurrency.")
                }
                _ => format!("{raise}; or {}", update(&format!("--scaling-config MaximumConcurrency={reserved}"))),
            };
            let environments = match reserved {
                1 => "1 environment is".to_owned(),
                many => format!("{many} environments are"),
            };
            findings.warn(
                "doctor.concurrency_reserved",
                format!(
                    "{environments} reserved and the event source may use {maximum}: receives that are throttled count \
                     towards the dead-letter queue"
                ),
                remedy,
            );
        }
        (Some(_), _) => {}
    }
}
