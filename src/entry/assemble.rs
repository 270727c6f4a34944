//! Puts the pipeline together from the environment: what the Lambda and `dms2bq load` share.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use aws_config::SdkConfig;

use crate::cloud::aws::mappings::{S3Folder, read_mappings};
use crate::cloud::clock::SystemClock;
use crate::cloud::google::{BigQuery, Settings};
use crate::cloud::{Clock, Deadline, Jitter, aws};
use crate::config::{Config, MappingsLocation};
use crate::entry::lambda::Handler;
use crate::entry::mapping_files;
use crate::entry::mapping_store::{MappingSource, MappingStore};
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
    let warehouse = bigquery(config, Arc::clone(&clock)).await?;
    Ok(Pipeline::new(Arc::new(aws::S3::new(sdk_config)), Arc::new(warehouse), clock))
}

/// BigQuery, as the environment says how to reach it and who we are there. It connects to nothing yet.
///
/// # Errors
/// What is wrong with the settings for Google, in words.
pub async fn bigquery(config: &Config, clock: Arc<dyn Clock>) -> anyhow::Result<BigQuery> {
    let settings = Settings::from_environment(
        config.bigquery_emulator.as_deref(),
        config.google_credentials.as_deref(),
    )?;
    Ok(BigQuery::new(settings, clock).await?)
}

/// The mapping files that the environment names, from this machine or from S3.
///
/// # Errors
/// What keeps them from being read, in words.
pub async fn mapping_files(config: &Config) -> Result<Vec<MappingFile>, String> {
    let no_hurry = Deadline::at(SystemClock.now() + MAPPINGS_TIMEOUT);
    mapping_source(config, &aws::sdk_config().await).read(no_hurry).await
}

fn mapping_source(config: &Config, sdk_config: &SdkConfig) -> Arc<dyn MappingSource> {
    match &config.mappings {
        MappingsLocation::Local(path) => Arc::new(LocalFiles { path: path.clone() }),
        MappingsLocation::S3(folder) => {
            Arc::new(S3Files { s3: aws::S3::new(sdk_config), folder: folder.clone() })
        }
    }
}

struct LocalFiles {
    path: PathBuf,
}

#[async_trait]
impl MappingSource for LocalFiles {
    async fn read(&self, _deadline: Deadline) -> Result<Vec<MappingFile>, String> {
        mapping_files::read_local(&self.path)
            .map_err(|error| format!("{}. {}", Chain(&error), error.remedy()))
    }
}

struct S3Files {
    s3: aws::S3,
    folder: S3Folder,
}

#[async_trait]
impl MappingSource for S3Files {
    async fn read(&self, _deadline: Deadline) -> Result<Vec<MappingFile>, String> {
        let files = read_mappings(&self.s3, &self.folder).await;
        files.map_err(|error| format!("{}. {}", Chain(&error), error.remedy()))
    }
}
