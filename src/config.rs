//! The environment, read once and completely.

use std::path::PathBuf;

use crate::cloud::aws::mappings::S3Folder;
use crate::cloud::google::{BadIdentity, Federation, Provider, ServiceAccount};

/// The variables that dms2bq itself reads. The AWS SDK and reqwest read their own (`AWS_*`, `HTTPS_PROXY`, …).
pub mod names {
    /// File or folder of mappings, or `s3://bucket/prefix`.
    pub const MAPPINGS: &str = "DMS2BQ_MAPPINGS";
    /// `on` where the event source honours partial-batch replies.
    pub const PARTIAL_BATCH_RESPONSE: &str = "DMS2BQ_PARTIAL_BATCH_RESPONSE";
    /// A Google credential file.
    pub const GOOGLE_CREDENTIALS: &str = "GOOGLE_APPLICATION_CREDENTIALS";
    /// The workload identity provider that signs us in to Google without a key.
    pub const GOOGLE_PROVIDER: &str = "DMS2BQ_GOOGLE_PROVIDER";
    /// The service account to act as, once signed in by that provider.
    pub const GOOGLE_SERVICE_ACCOUNT: &str = "DMS2BQ_GOOGLE_SERVICE_ACCOUNT";
    /// Where the gcloud command keeps its files, if that is not in the home folder's `.config/gcloud`.
    pub const GCLOUD_FOLDER: &str = "CLOUDSDK_CONFIG";
    /// The home folder.
    pub const HOME: &str = "HOME";
    /// The base URL of a BigQuery emulator.
    pub const BIGQUERY_EMULATOR: &str = "BIGQUERY_EMULATOR_HOST";
    /// The function's name, set by Lambda. With it, metrics are written into the log lines.
    pub const FUNCTION: &str = "AWS_LAMBDA_FUNCTION_NAME";
    /// Log levels, as in every Rust program.
    pub const LOG: &str = "RUST_LOG";
}

/// Where mappings are when nobody says so.
const DEFAULT_MAPPINGS: &str = "mappings";

/// What the environment says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// Where the mappings are.
    pub mappings: MappingsLocation,
    /// Whether the event source honours partial-batch replies.
    pub partial_replies: bool,
    /// The Google credential file, if one is named.
    pub google_credentials: Option<PathBuf>,
    /// Sign-in to Google without a key and without a file, used if no credential file is named.
    pub google_federation: Option<Federation>,
    /// Where `gcloud auth application-default login` leaves who a person is: used, if the file is there, when nothing else says
    /// how to sign in. Every Google client looks there (<https://cloud.google.com/docs/authentication/application-default-credentials>).
    pub gcloud_credentials: Option<PathBuf>,
    /// The base URL of a BigQuery emulator, used without credentials and before any credential file.
    pub bigquery_emulator: Option<String>,
    /// The Lambda function's name, if this is one.
    pub function: Option<String>,
}

/// Where the mappings are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MappingsLocation {
    /// A file or a folder.
    Local(PathBuf),
    /// Below a prefix of a bucket.
    S3(S3Folder),
}

/// The environment asks for what does not exist.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// A variable holds a value that means nothing.
    #[error("{variable} is {value:?}: {expected}")]
    BadValue {
        /// The variable's name.
        variable: &'static str,
        /// Its value.
        value: String,
        /// What it may be.
        expected: &'static str,
    },
    /// A variable should name somebody in Google, and does not.
    #[error("{variable} is {value:?}: {problem}")]
    BadIdentity {
        /// The variable's name.
        variable: &'static str,
        /// Its value.
        value: String,
        /// What is wrong with it, and what it may be.
        problem: BadIdentity,
    },
}

impl ConfigError {
    /// The stable code.
    pub fn code(&self) -> &'static str {
        match self {
            Self::BadValue { .. } | Self::BadIdentity { .. } => "config.bad_value",
        }
    }
}

impl Config {
    /// Reads the process's environment.
    ///
    /// # Errors
    /// [`ConfigError`] for a value that means nothing: a guess could switch safety off.
    #[expect(clippy::disallowed_methods, reason = "this is the one place that reads the environment")]
    pub fn from_env() -> Result<Self, ConfigError> {
        Self::read(|name| std::env::var(name).ok().filter(|value| !value.is_empty()))
    }

    /// What `RUST_LOG` says. Read before everything else, so that what follows can be logged.
    #[expect(clippy::disallowed_methods, reason = "this is the one place that reads the environment")]
    pub fn log_directives() -> Option<String> {
        std::env::var(names::LOG).ok().filter(|value| !value.is_empty())
    }

    /// Reads an environment given as a function. Empty values count as unset.
    ///
    /// # Errors
    /// As [`Config::from_env`].
    pub fn read(get: impl Fn(&str) -> Option<String>) -> Result<Self, ConfigError> {
        let mappings = get(names::MAPPINGS).unwrap_or_else(|| DEFAULT_MAPPINGS.to_owned());
        Ok(Self {
            mappings: MappingsLocation::parse(&mappings)?,
            partial_replies: partial_replies(get(names::PARTIAL_BATCH_RESPONSE))?,
            google_credentials: get(names::GOOGLE_CREDENTIALS).map(PathBuf::from),
            google_federation: federation(get(names::GOOGLE_PROVIDER), get(names::GOOGLE_SERVICE_ACCOUNT))?,
            gcloud_credentials: gcloud_credentials(get(names::GCLOUD_FOLDER), get(names::HOME)),
            bigquery_emulator: get(names::BIGQUERY_EMULATOR),
            function: get(names::FUNCTION),
        })
    }
}

impl MappingsLocation {
    /// Reads a path or an `s3://` address.
    ///
    /// # Errors
    /// [`ConfigError::BadValue`] for an `s3://` address without a bucket.
    pub fn parse(text: &str) -> Result<Self, ConfigError> {
        if !text.starts_with("s3://") {
            return Ok(Self::Local(PathBuf::from(text)));
        }
        let bad_address = |_error| ConfigError::BadValue {
            variable: names::MAPPINGS,
            value: text.to_owned(),
            expected: "an address in S3 is s3://bucket/prefix",
        };
        S3Folder::parse(text).map(Self::S3).map_err(bad_address)
    }
}

impl std::fmt::Display for MappingsLocation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Local(path) => write!(f, "{}", path.display()),
            Self::S3(folder) => write!(f, "{folder}"),
        }
    }
}

fn gcloud_credentials(gcloud_folder: Option<String>, home: Option<String>) -> Option<PathBuf> {
    let in_home = || Some(PathBuf::from(home?).join(".config/gcloud"));
    let folder = gcloud_folder.map(PathBuf::from).or_else(in_home)?;
    Some(folder.join("application_default_credentials.json"))
}

fn federation(
    provider: Option<String>,
    service_account: Option<String>,
) -> Result<Option<Federation>, ConfigError> {
    let service_account = named(names::GOOGLE_SERVICE_ACCOUNT, service_account, ServiceAccount::parse)?;
    match (named(names::GOOGLE_PROVIDER, provider, Provider::parse)?, service_account) {
        (Some(provider), service_account) => Ok(Some(Federation { provider, service_account })),
        (None, None) => Ok(None),
        // Left alone, whoever set it would believe that it is in force.
        (None, Some(service_account)) => Err(ConfigError::BadValue {
            variable: names::GOOGLE_SERVICE_ACCOUNT,
            value: service_account.to_string(),
            expected: "it means nothing without DMS2BQ_GOOGLE_PROVIDER (a credential file names its own service account)",
        }),
    }
}

fn named<T>(
    variable: &'static str,
    value: Option<String>,
    parse: impl Fn(&str) -> Result<T, BadIdentity>,
) -> Result<Option<T>, ConfigError> {
    let Some(value) = value else { return Ok(None) };
    parse(&value).map(Some).map_err(|problem| ConfigError::BadIdentity { variable, value, problem })
}

fn partial_replies(value: Option<String>) -> Result<bool, ConfigError> {
    match value.as_deref() {
        Some("on") => Ok(true),
        None | Some("off") => Ok(false),
        Some(other) => Err(ConfigError::BadValue {
            variable: names::PARTIAL_BATCH_RESPONSE,
            value: other.to_owned(),
            expected: "set it to `on` if the event source mapping has ReportBatchItemFailures, otherwise leave it unset",
        }),
    }
}
