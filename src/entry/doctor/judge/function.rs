//! The function: its settings and its environment.

use super::span;
use crate::config::names;
use crate::entry::doctor::facts::{Facts, FunctionSeen, FunctionSettings, Look};
use crate::entry::doctor::finding::{Finding, Findings, Hop};

/// The runtime whose C library is new enough for `bootstrap`.
const RUNTIME: &str = "provided.al2023";

/// A receive waits for a job up to 30 s; a file has to be sent in what is left.
const TIMEOUT_MIN_SECS: u64 = 60;

/// CPU and network grow with memory; below this the largest batches were not measured.
const MEMORY_MIN_MB: u64 = 256;

pub(super) fn judge(facts: &Facts) -> Vec<Finding> {
    match &facts.functions {
        Look::Seen(functions) => functions.iter().flat_map(of_function).collect(),
        Look::NotLooked(why) => vec![Finding::not_looked(Hop::Function, "", why)],
        Look::Failed(failure) => vec![failed("", failure)],
    }
}

fn failed(name: &str, failure: &crate::entry::doctor::facts::Failure) -> Finding {
    let allow = "Let your AWS identity lambda:GetFunctionConfiguration and lambda:GetFunctionConcurrency.";
    let missing = "There is no such function in this account and region: see the name after --function, AWS_REGION and AWS_PROFILE.";
    Finding::failed(Hop::Function, name, failure, allow, missing)
}

fn of_function(function: &FunctionSeen) -> Vec<Finding> {
    let settings = match &function.settings {
        Look::Seen(settings) => settings,
        Look::NotLooked(why) => return vec![Finding::not_looked(Hop::Function, &function.name, why)],
        Look::Failed(failure) => return vec![failed(&function.name, failure)],
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
    if settings.memory_mb < MEMORY_MIN_MB {
        let message = format!("{} MB of memory: network and CPU grow with it", settings.memory_mb);
        findings.warn("doctor.function_memory", message, update("--memory-size 512"));
    }
    environment(settings, &mut findings);
    let runtime = settings.runtime.as_deref().unwrap_or("a container image");
    findings.or_fine(format!(
        "{runtime}, {}, time-out {}, {} MB",
        settings.architecture,
        span(settings.timeout_secs),
        settings.memory_mb
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

fn environment(settings: &FunctionSettings, findings: &mut Findings<'_>) {
    let get =
        |name: &str| settings.environment.get(name).map(String::as_str).filter(|value| !value.is_empty());
    let variable = names::PARTIAL_BATCH_RESPONSE;
    if let Some(value) = get(variable).filter(|value| !matches!(*value, "on" | "off")) {
        findings.fail(
            "doctor.variable_refused",
            format!("{variable} is {value:?}, with which the function refuses to start"),
            format!(
                "Set {variable}=on if the event source has ReportBatchItemFailures, otherwise remove it."
            ),
        );
    }
    if let Some(host) = get(names::BIGQUERY_EMULATOR) {
        findings.fail(
            "doctor.function_emulator",
            format!("{} is {host:?}: rows go there, and not to BigQuery", names::BIGQUERY_EMULATOR),
            format!("Remove {} from the function's environment.", names::BIGQUERY_EMULATOR),
        );
    } else if get(names::GOOGLE_CREDENTIALS).or(get(names::GOOGLE_PROVIDER)).is_none() {
        findings.fail(
            "doctor.function_no_google",
            "nothing says how it signs in to Google, so nothing loads",
            format!(
                "Set {} to the workload identity provider (keyless, deploy/google makes one), or {} to a credential file in the package.",
                names::GOOGLE_PROVIDER,
                names::GOOGLE_CREDENTIALS
            ),
        );
    }
}
