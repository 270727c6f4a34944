//! The function: its settings and its environment.

use std::path::Path;

use super::environment::Environment;
use super::span;
use crate::entry::doctor::facts::{Account, Facts, Failure, FunctionSeen, FunctionSettings, Look};
use crate::entry::doctor::finding::{Finding, Findings, Hop};

/// The runtime whose C library is new enough for `bootstrap`.
const RUNTIME: &str = "provided.al2023";

/// A receive waits for a job up to 30 s; a file has to be sent in what is left.
const TIMEOUT_MIN_SECS: u64 = 60;

pub(super) fn judge(facts: &Facts) -> Vec<Finding> {
    let account = facts.aws.seen();
    match &facts.functions {
        Look::Seen(functions) => {
            functions.iter().flat_map(|function| of_function(function, account)).collect()
        }
        Look::NotLooked(_) if facts.nothing_named && account.is_some() => not_named(),
        Look::NotLooked(why) => vec![Finding::not_looked(Hop::Function, "", why)],
        Look::Failed(failure) => vec![failed("", failure, account)],
    }
}

/// All that was looked at may be fine, and yet nobody takes a single file.
fn not_named() -> Vec<Finding> {
    let mut findings = Findings::of(Hop::Function, "");
    findings.warn(
        "doctor.nothing_named",
        "neither --function nor --queue is named: whether anything takes the files is not known",
        "dms2bq doctor --function NAME; or --queue URL, before there is a function.",
    );
    findings.or_fine("")
}

fn failed(name: &str, failure: &Failure, account: Option<&Account>) -> Finding {
    let allow = "Let your AWS identity lambda:GetFunctionConfiguration and lambda:GetFunctionConcurrency.";
    let asked = account.map_or_else(
        || "this account and region".to_owned(),
        |account| {
            let assumed = if account.region_is_assumed { " (no AWS_REGION is set)" } else { "" };
            format!("the account {} in {}{assumed}", account.account, account.region)
        },
    );
    let missing = format!(
        "There is no such function in {asked}: see the name after --function, AWS_REGION and AWS_PROFILE."
    );
    Finding::failed(Hop::Function, name, failure, allow, missing)
}

fn of_function(function: &FunctionSeen, account: Option<&Account>) -> Vec<Finding> {
    let settings = match &function.settings {
        Look::Seen(settings) => settings,
        Look::NotLooked(why) => return vec![Finding::not_looked(Hop::Function, &function.name, why)],
        Look::Failed(failure) => return vec![failed(&function.name, failure, account)],
    };
    let mut findings = Findings::of(Hop::Function, &function.name);
    let update = |settings: &str| {
        format!("aws lambda update-function-configuration --function-name {} {settings}", function.name)
    };
    running(function, settings, &mut findings);
    if settings.timeout_secs < TIMEOUT_MIN_SECS {
        let message = format!(
            "a time-out of {}: 30 s may go by waiting for a job, and the file has to be sent in the rest",
            span(settings.timeout_secs)
        );
        findings.warn("doctor.function_timeout", message, update("--timeout 120"));
    }
    let environment = Environment::of(settings);
    environment.judge(settings, &mut findings);
    let runtime = settings.runtime.as_deref().unwrap_or("a container image");
    findings.or_fine(format!(
        "{runtime}, {}, time-out {}, {} MB{}",
        settings.architecture,
        span(settings.timeout_secs),
        settings.memory_mb,
        environment.credential_file().map(packaged).unwrap_or_default()
    ))
}

fn running(function: &FunctionSeen, settings: &FunctionSettings, findings: &mut Findings<'_>) {
    if let Some(runtime) = settings.runtime.as_deref().filter(|runtime| *runtime != RUNTIME) {
        findings.fail(
            "doctor.function_runtime",
            format!("the runtime is {runtime}, and `bootstrap` needs {RUNTIME}"),
            format!(
                "aws lambda update-function-configuration --function-name {} --runtime {RUNTIME}",
                function.name
            ),
        );
    }
    if let Some(state) = settings.state.as_deref().filter(|state| *state == "Failed" || *state == "Inactive")
    {
        let why = settings.state_reason.as_deref().map(|why| format!(": {why}")).unwrap_or_default();
        findings.fail(
            "doctor.function_inactive",
            format!("the function is {state}{why}"),
            "Deploy it again; `aws lambda get-function-configuration` says what Lambda makes of it.",
        );
    }
    if settings.reserved_concurrency == Some(0) {
        findings.fail(
            "doctor.function_stopped",
            "its reserved concurrency is 0: nothing runs, and every receive counts towards the dead-letter queue",
            format!(
                "aws lambda delete-function-concurrency --function-name {}. To pause, disable the event source instead.",
                function.name
            ),
        );
    }
}

fn packaged(file: &Path) -> String {
    format!(
        "; signs in to Google by {}, if that is in its package, which cannot be seen from here",
        file.display()
    )
}
