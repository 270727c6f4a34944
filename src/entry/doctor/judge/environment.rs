//! A function's environment, read as the function reads it when it starts.

use std::path::Path;

use tracing_subscriber::filter::{EnvFilter, Targets};

use crate::config::{Config, ConfigError, MappingsLocation, names};
use crate::entry::doctor::facts::FunctionSettings;
use crate::entry::doctor::finding::Findings;
use crate::route::nearest;

/// Where a function has files that are its own: its package, its layers and its file systems
/// (<https://docs.aws.amazon.com/lambda/latest/dg/lambda-runtime-environment.html>).
const FOLDERS_OF_FUNCTIONS: [&str; 3] = ["/var/task", "/opt", "/mnt"];

/// How our own variables begin.
const OUR_PREFIX: &str = "DMS2BQ";

/// What an environment comes to.
pub(super) struct Environment {
    /// With what the function refuses to start.
    refused: Vec<ConfigError>,
    /// What the rest says.
    config: Option<Config>,
}

impl Environment {
    /// Reads it as often as it takes to be told of all that is refused.
    pub(super) fn of(settings: &FunctionSettings) -> Self {
        let mut left = settings.environment.clone();
        left.retain(|_, value| !value.is_empty());
        let mut refused = Vec::new();
        loop {
            let error = match Config::read(|name| left.get(name).cloned()) {
                Ok(config) => return Self { refused, config: Some(config) },
                Err(error) => error,
            };
            let is_set = left.remove(error.variable()).is_some();
            // A service account without a provider is refused, too, which says nothing new.
            if error.variable() == names::GOOGLE_PROVIDER {
                left.remove(names::GOOGLE_SERVICE_ACCOUNT);
            }
            refused.push(error);
            if !is_set {
                return Self { refused, config: None };
            }
        }
    }

    /// Whether the function takes partial replies to be honoured. `None` if it does not start.
    pub(super) fn partial_replies(&self) -> Option<bool> {
        if self.refuses(names::PARTIAL_BATCH_RESPONSE) {
            return None;
        }
        self.config.as_ref().map(|config| config.partial_replies)
    }

    fn refuses(&self, variable: &str) -> bool {
        self.refused.iter().any(|error| error.variable() == variable)
    }

    /// The credential file by which it signs in to Google.
    pub(super) fn credential_file(&self) -> Option<&Path> {
        self.config.as_ref()?.google_credentials.as_deref()
    }

    /// Says with what the function does not start, and with what it does no good.
    pub(super) fn judge(&self, settings: &FunctionSettings, findings: &mut Findings<'_>) {
        for error in &self.refused {
            findings.fail(
                "doctor.variable_refused",
                format!(
                    "{} is {:?}, with which the function does not start",
                    error.variable(),
                    error.value()
                ),
                format!("Mend {} in the function's environment: {}.", error.variable(), error.remedy()),
            );
        }
        if let Some(config) = &self.config {
            self.google(config, findings);
            // An image has its files wherever it was built to have them.
            if settings.runtime.is_some() {
                own_files(config, findings);
            }
        }
        if let Some(directives) = settings.environment.get(names::LOG).filter(|text| !text.is_empty()) {
            log_level(directives, findings);
        }
        for name in settings.environment.keys() {
            unknown(name, findings);
        }
    }

    fn google(&self, config: &Config, findings: &mut Findings<'_>) {
        if let Some(host) = &config.bigquery_emulator {
            findings.fail(
                "doctor.function_emulator",
                format!("{} is {host:?}: rows go there, and not to BigQuery", names::BIGQUERY_EMULATOR),
                format!("Remove {} from the function's environment.", names::BIGQUERY_EMULATOR),
            );
            return;
        }
        let is_said = config.google_credentials.is_some() || config.google_federation.is_some();
        if !is_said && !self.refuses(names::GOOGLE_PROVIDER) && !self.refuses(names::GOOGLE_SERVICE_ACCOUNT) {
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
}

/// Files of this machine are not there.
fn own_files(config: &Config, findings: &mut Findings<'_>) {
    let mappings = match &config.mappings {
        MappingsLocation::Local(path) => Some(path.as_path()),
        MappingsLocation::S3(_) => None,
    };
    let files = [
        (
            names::GOOGLE_CREDENTIALS,
            config.google_credentials.as_deref(),
            "or sign in without a file, by DMS2BQ_GOOGLE_PROVIDER",
        ),
        (names::MAPPINGS, mappings, "or publish the mappings, and set it to their s3://bucket/prefix"),
    ];
    for (variable, path, otherwise) in files {
        let Some(path) = path.filter(|path| path.is_absolute()) else { continue };
        if FOLDERS_OF_FUNCTIONS.iter().any(|folder| path.starts_with(folder)) {
            continue;
        }
        findings.fail(
            "doctor.function_file",
            format!("{variable} is {:?}, and a function has no files there", path.display().to_string()),
            format!(
                "Put it into the function's package, and set {variable} to the path within that; {otherwise}."
            ),
        );
    }
}

/// Metrics are in the lines that tell of each file, and those of loaded ones are of level `info`.
fn log_level(directives: &str, findings: &mut Findings<'_>) {
    let both = format!("info,{directives}");
    // The function passes over what it cannot read.
    if EnvFilter::try_new(&both).is_err() {
        return;
    }
    let admitted =
        both.parse::<Targets>().map(|targets| targets.would_enable("dms2bq", &tracing::Level::INFO));
    if admitted.unwrap_or(true) {
        return;
    }
    findings.warn(
        "doctor.log_level",
        format!(
            "{} is {directives:?}: the lines of loaded files are left out, their metrics with them, and alarms go blind",
            names::LOG
        ),
        format!("Set {}=info in the function's environment, or remove it.", names::LOG),
    );
}

fn unknown(name: &str, findings: &mut Findings<'_>) {
    if names::ALL.contains(&name) || !name.to_ascii_uppercase().starts_with(OUR_PREFIX) {
        return;
    }
    let remedy = match nearest(&name.to_ascii_uppercase(), names::ALL, str::to_owned) {
        Some(known) => format!("Is {known} meant? Then rename it; otherwise remove it."),
        None => "Remove it from the function's environment.".to_owned(),
    };
    findings.warn(
        "doctor.variable_unknown",
        format!("{name} is set, and dms2bq reads no variable of that name"),
        remedy,
    );
}
