//! BigQuery for real: tokens, the calls that read, and uploads.
//!
//! `gcp-bigquery-client` makes the calls. Where it cannot read an answer, the thin client of this module asks once more
//! (see `docs/decisions/0003-bigquery-clients.md`); load jobs, which need an upload, are the thin client's alone.

pub mod answers;
mod credentials;
pub mod external;
mod federation;
mod fence;
mod http;
pub mod identity;
mod impersonation;
mod parts;
mod read;
#[cfg(feature = "cli")]
pub mod rest;
mod settings;
pub mod sign_in;
mod source;
mod token;
mod upload;
mod wire;

use std::sync::Arc;

use async_trait::async_trait;
use gcp_bigquery_client::client_builder::ClientBuilder;

use self::http::Http;
use self::token::{SharedTokens, Tokens};
use self::upload::Upload;
use super::{Clock, Deadline, InsertError, Inserted, Objects, TableLookup, Warehouse};
use crate::cloud::CallError;
use crate::job::{JobRecord, JobRef, LoadJob};
use crate::route::TableRef;

pub use self::federation::{BadIdentity, Federation, Provider, ServiceAccount};
pub use self::identity::AwsIdentity;
pub use self::settings::{
    Access, BadEmulatorHost, CHUNK_BYTES, CHUNK_MULTIPLE_BYTES, MULTIPART_LIMIT_BYTES, Settings, Sizes,
    Timings,
};
pub use self::token::install_crypto;

/// BigQuery over its REST API.
pub struct BigQuery {
    http: Http,
    client: gcp_bigquery_client::Client,
}

/// The client could not be made: the system's certificates or proxy settings cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("make the client for BigQuery")]
pub struct ClientError(#[source] Box<dyn std::error::Error + Send + Sync>);

impl BigQuery {
    /// Makes the client. It connects to nothing and opens no credential file; the first call does.
    ///
    /// # Errors
    /// [`ClientError`], whatever the network does.
    pub async fn new(settings: Settings, clock: Arc<dyn Clock>) -> Result<Self, ClientError> {
        install_crypto();
        let settings = Arc::new(settings);
        let tokens = Arc::new(Tokens::new(Arc::clone(&settings), Arc::clone(&clock)));
        let client = wire::client(&settings).map_err(|error| ClientError(Box::new(error)))?;
        let http = Http { client, tokens, settings, clock };
        let shared = SharedTokens { tokens: Arc::clone(&http.tokens), clock: Arc::clone(&http.clock) };
        let client = ClientBuilder::new()
            .with_client(http.client.clone())
            .with_v2_base_url(http.settings.api_url())
            .build_from_authenticator(Arc::new(shared))
            .await
            .map_err(|error| ClientError(Box::new(error)))?;
        Ok(Self { http, client })
    }

    /// The API as it is, for those who ask what the pipeline never asks.
    #[cfg(feature = "cli")]
    pub fn rest(&self) -> rest::Rest {
        rest::Rest::new(self.http.clone())
    }
}

#[async_trait]
impl Warehouse for BigQuery {
    async fn get_job(&self, job: &JobRef, deadline: Deadline) -> Result<Option<JobRecord>, CallError> {
        read::job(&self.http, Some(&self.client), job, deadline).await
    }

    async fn get_table(&self, table: &TableRef, deadline: Deadline) -> Result<TableLookup, CallError> {
        read::table(&self.http, &self.client, table, deadline).await
    }

    async fn insert(
        &self,
        load: &LoadJob,
        objects: Arc<dyn Objects>,
        deadline: Deadline,
    ) -> Result<Inserted, InsertError> {
        Upload::new(&self.http, load, objects, deadline).send().await
    }
}
