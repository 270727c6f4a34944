//! Puts the pipeline together from the environment: what the Lambda and `dms2bq load` share.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use aws_config::SdkConfig;

use crate::cloud::aws::mappings::{
    Found, MappingsError, S3Folder, VersionId, read_folder, read_mappings, read_version,
};
use crate::cloud::clock::SystemClock;
use crate::cloud::google::{AwsIdentity, BadEmulatorHost, BigQuery, Settings};
use crate::cloud::{Clock, Deadline, Jitter, aws};
use crate::config::{Config, MappingsLocation};
use crate::entry::lambda::Handler;
use crate::entry::mapping_files::{MappingFilesError, read_local};
use crate::entry::mapping_store::{MappingSource, MappingStore, Offer, SourceError, Version};
use crate::entry::redelivery::Redelivery;
use crate::outcome::record::Chain;
use crate::pipeline::Pipeline;
use crate::route::MappingFile;
use crate::telemetry::metrics::Metrics;

/// How long a person at a terminal waits for mappings in S3.
const MAPPINGS_TIMEOUT: Duration = Duration::from_secs(60);

/// The handler that the environment asks for. Nothing here touches the network: tokens, mappings in S3 and
/// credentials are fetched when they are first needed.
///
/// # Errors
/// What is wrong with the settings for Google, in words.
pub async fn handler(config: &Config) -> anyhow::Result<Handler> {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let sdk_config = aws::sdk_config().await;
    let pipeline = pipeline(config, &sdk_config, Arc::clone(&clock)).await?;
    let mappings = MappingStore::from_source(mapping_source(config, &sdk_config));
    let redelivery = Redelivery::new(Arc::new(aws::Sqs::new(&sdk_config)), Jitter::random());
    let handler = Handler::new(pipeline, mappings, clock, config.partial_replies).with_redelivery(redelivery);
    Ok(match &config.function {
        Some(name) => handler.with_metrics(Metrics::of_function(name)),
        None => handler,
    })
}

async fn pipeline(
    config: &Config,
    sdk_config: &SdkConfig,
    clock: Arc<dyn Clock>,
) -> anyhow::Result<Pipeline> {
    let warehouse = bigquery(config, sdk_config, Arc::clone(&clock)).await?;
    Ok(Pipeline::new(Arc::new(aws::S3::new(sdk_config)), Arc::new(warehouse), clock))
}

/// BigQuery, as the environment says how to reach it and who we are there. It connects to nothing yet.
///
/// # Errors
/// What is wrong with the settings for Google, in words.
pub async fn bigquery(
    config: &Config,
    sdk_config: &SdkConfig,
    clock: Arc<dyn Clock>,
) -> anyhow::Result<BigQuery> {
    Ok(BigQuery::new(google_settings(config, sdk_config)?, clock).await?)
}

/// How BigQuery is reached: who we are there comes from the environment, who we are in AWS from the SDK.
///
/// # Errors
/// The emulator's address is none.
pub fn google_settings(config: &Config, sdk_config: &SdkConfig) -> Result<Settings, BadEmulatorHost> {
    let settings = Settings::from_environment(
        config.bigquery_emulator.as_deref(),
        config.google_credentials.as_deref(),
        config.google_federation.as_ref(),
        config.gcloud_credentials.as_deref().filter(|file| file.is_file()),
    )?;
    Ok(settings.with_aws(AwsIdentity::of(sdk_config)))
}

/// Why mappings could not be read for a person at a terminal.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// From this machine.
    #[error(transparent)]
    Local(#[from] MappingFilesError),
    /// From S3.
    #[error(transparent)]
    S3(#[from] MappingsError),
    /// S3 does not answer.
    #[error("reading {place} took more than {} s", MAPPINGS_TIMEOUT.as_secs())]
    NoAnswer {
        /// The place.
        place: String,
    },
}

impl ReadError {
    /// The stable code.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Local(error) => error.code(),
            Self::S3(error) => error.code(),
            Self::NoAnswer { .. } => "mapping.unreadable",
        }
    }

    /// What a person should do.
    pub fn remedy(&self) -> String {
        match self {
            Self::Local(error) => error.remedy(),
            Self::S3(error) => error.remedy().to_owned(),
            Self::NoAnswer { .. } => "See that S3 can be reached from here.".to_owned(),
        }
    }

    /// What is wrong, and what to do.
    pub fn in_words(&self) -> String {
        format!("{}. {}", Chain(self), self.remedy())
    }
}

/// The mapping files of a place on this machine or in S3: those in force.
///
/// # Errors
/// What keeps them from being read.
pub async fn read_mappings_at(place: &MappingsLocation) -> Result<Vec<MappingFile>, ReadError> {
    let folder = match place {
        MappingsLocation::Local(path) => return Ok(read_local(path)?),
        MappingsLocation::S3(folder) => folder,
    };
    let s3 = aws::S3::new(&aws::sdk_config().await);
    let files = tokio::time::timeout(MAPPINGS_TIMEOUT, read_mappings(&s3, folder)).await;
    Ok(files.map_err(|_elapsed| ReadError::NoAnswer { place: place.to_string() })??)
}

fn mapping_source(config: &Config, sdk_config: &SdkConfig) -> Arc<dyn MappingSource> {
    match &config.mappings {
        MappingsLocation::Local(path) => Arc::new(LocalFiles { path: path.clone() }),
        MappingsLocation::S3(folder) => Arc::new(S3Files::new(aws::S3::new(sdk_config), folder.clone())),
    }
}

struct LocalFiles {
    path: PathBuf,
}

#[async_trait]
impl MappingSource for LocalFiles {
    async fn look(&self, _deadline: Deadline) -> Result<Offer, SourceError> {
        Ok(Offer { version: Version::Package, before: None })
    }

    async fn read(&self, _version: &Version, _deadline: Deadline) -> Result<Vec<MappingFile>, SourceError> {
        read_local(&self.path)
            .map_err(|error| SourceError::Unread(format!("{}. {}", Chain(&error), error.remedy())))
    }
}

/// The mappings of a prefix in S3, published or not.
pub struct S3Files {
    s3: aws::S3,
    folder: S3Folder,
}

impl S3Files {
    /// Those of a folder.
    pub fn new(s3: aws::S3, folder: S3Folder) -> Self {
        Self { s3, folder }
    }
}

#[async_trait]
impl MappingSource for S3Files {
    async fn look(&self, _deadline: Deadline) -> Result<Offer, SourceError> {
        let found = aws::mappings::look(&self.s3, &self.folder).await.map_err(|error| match &error {
            // Without a right to look it is not known what is there.
            MappingsError::Unreadable { .. } => SourceError::Unread(in_words(&error)),
            _ => source_error(&error),
        })?;
        let published = |id: VersionId| Version::Published(id.to_string());
        Ok(match found {
            Found::Published(current, _etag) => {
                let before = current.fallback().cloned().map(published);
                Offer { version: published(current.version), before }
            }
            Found::Folder(fingerprint) => {
                Offer { version: Version::Folder(fingerprint.to_string()), before: None }
            }
        })
    }

    async fn read(&self, version: &Version, _deadline: Deadline) -> Result<Vec<MappingFile>, SourceError> {
        let files = match version {
            Version::Published(id) => {
                let id = VersionId::parse(id);
                let id = id.ok_or_else(|| SourceError::Broken(format!("{version} is no version")))?;
                read_version(&self.s3, &self.folder, &id).await
            }
            Version::Folder(fingerprint) => read_folder(&self.s3, &self.folder, fingerprint).await,
            Version::Package => return Err(SourceError::Broken("the package is not in S3".to_owned())),
        };
        files.map_err(|error| source_error(&error))
    }
}

fn source_error(error: &MappingsError) -> SourceError {
    let detail = in_words(error);
    match error {
        MappingsError::Changing { .. } => SourceError::Changing(detail),
        error if error.may_pass() => SourceError::Unread(detail),
        _ => SourceError::Broken(detail),
    }
}

fn in_words(error: &MappingsError) -> String {
    format!("{}. {}", Chain(error), error.remedy())
}
