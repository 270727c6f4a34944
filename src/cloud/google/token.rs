//! Access tokens: `google-cloud-auth` makes, caches and renews them; this decides what its failures mean.

use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;
use gcp_bigquery_client::auth::Authenticator;
use gcp_bigquery_client::error::BQError;
use google_cloud_auth::credentials::{
    AccessTokenCredentials, external_account, impersonated, service_account, user_account,
};
use google_cloud_auth::errors::CredentialsError;
use serde_json::Value;
use tokio::sync::Mutex;

use super::settings::{Access, Settings};
use crate::cloud::{CallError, Clock, Deadline};

/// The call whose failure a missing token is.
const CALL: &str = "google.token";

/// What the token is for. BigQuery's own scope: reading and writing data, running jobs, and nothing of other services.
const SCOPE: &str = "https://www.googleapis.com/auth/bigquery";

/// A credential file is a few KiB; what is larger is another file.
const CREDENTIAL_FILE_BYTES: u64 = 256 * 1024;

/// Makes ring the process's cryptography, for TLS and for signing tokens. Without one `google-cloud-auth` panics,
/// so this is called first thing in `main`, and again by every client, which does no harm.
pub fn install_crypto() {
    // An error says that one is installed already, which is all that is wanted.
    let _already_installed = rustls::crypto::ring::default_provider().install_default();
}

/// An access token, and which of the credentials it came from.
pub(super) struct Token {
    /// The secret itself.
    pub(super) secret: String,
    /// Names the credentials, so that a refused token is forgotten once and not its successor, too.
    pub(super) serial: u64,
}

/// The access tokens of one account.
///
/// Two things to know of the crate. It renews tokens in a task of its own, by a clock that may stand still while a Lambda
/// is frozen: a token may be older than it believes, and the 401 that follows gets a fresh one. And its requests to a token
/// server (external accounts only) know no time-out: when we stop waiting for one, it goes on in that task.
pub(super) struct Tokens {
    settings: Arc<Settings>,
    clock: Arc<dyn Clock>,
    made: Mutex<Made>,
}

/// The credentials in use. They keep their token and renew it some minutes before it expires.
#[derive(Default)]
struct Made {
    credentials: Option<AccessTokenCredentials>,
    serial: u64,
}

impl Tokens {
    /// Reads nothing yet: the first call for a token opens the file.
    pub(super) fn new(settings: Arc<Settings>, clock: Arc<dyn Clock>) -> Self {
        install_crypto();
        Self { settings, clock, made: Mutex::default() }
    }

    /// A token that should be good; `None` where none is needed.
    ///
    /// # Errors
    /// [`CallError::Denied`] if there are no usable credentials, [`CallError::NotSent`] if the network failed.
    pub(super) async fn get(&self, deadline: Deadline) -> Result<Option<Token>, CallError> {
        let file = match &self.settings.access {
            Access::Anonymous => return Ok(None),
            Access::CredentialFile(file) => file,
            Access::Missing => {
                return Err(denied("no Google credentials: set GOOGLE_APPLICATION_CREDENTIALS".to_owned()));
            }
        };
        let deadline = deadline.within(self.clock.as_ref(), self.settings.timings.token);
        let (credentials, serial) = self.credentials(file).await?;
        let error = match tokio::time::timeout_at(deadline.instant(), credentials.access_token()).await {
            Ok(Ok(token)) => return Ok(Some(Token { secret: token.token, serial })),
            Ok(Err(error)) => token_error(&error),
            Err(_) => CallError::NotSent { call: CALL, source: "the token did not come in time".into() },
        };
        // Credentials that failed for good stay failed: the next call starts from the file again.
        self.forget(serial).await;
        Err(error)
    }

    /// Drops the credentials that gave a token which was refused, so that the next token is a fresh one.
    pub(super) async fn forget(&self, serial: u64) {
        let mut made = self.made.lock().await;
        if made.serial == serial {
            made.credentials = None;
        }
    }

    async fn credentials(&self, file: &Path) -> Result<(AccessTokenCredentials, u64), CallError> {
        let mut made = self.made.lock().await;
        if let Some(credentials) = &made.credentials {
            return Ok((credentials.clone(), made.serial));
        }
        let credentials = build(file, read(file).await?)?;
        made.credentials = Some(credentials.clone());
        made.serial += 1;
        Ok((credentials, made.serial))
    }
}

async fn read(file: &Path) -> Result<Value, CallError> {
    let unreadable = |error: std::io::Error| denied(format!("cannot read {}: {error}", file.display()));
    let size_bytes = tokio::fs::metadata(file).await.map_err(unreadable)?.len();
    if size_bytes > CREDENTIAL_FILE_BYTES {
        return Err(denied(format!("{} is too large for a credential file", file.display())));
    }
    let bytes = tokio::fs::read(file).await.map_err(unreadable)?;
    // The parser's message is left out: it may quote the file.
    serde_json::from_slice(&bytes).map_err(|_| denied(format!("{} is not JSON", file.display())))
}

/// Makes credentials of a file's content, by its `type`.
fn build(file: &Path, content: Value) -> Result<AccessTokenCredentials, CallError> {
    let kind = content.get("type").and_then(Value::as_str).unwrap_or_default().to_owned();
    let scopes = [SCOPE];
    let built = match kind.as_str() {
        "service_account" => service_account::Builder::new(content)
            .with_access_specifier(service_account::AccessSpecifier::from_scopes(scopes))
            .build_access_token_credentials(),
        "external_account" => {
            external_account::Builder::new(content).with_scopes(scopes).build_access_token_credentials()
        }
        "authorized_user" => {
            user_account::Builder::new(content).with_scopes(scopes).build_access_token_credentials()
        }
        "impersonated_service_account" => {
            impersonated::Builder::new(content).with_scopes(scopes).build_access_token_credentials()
        }
        _ => return Err(denied(format!("{} has the unknown type {kind:?}", file.display()))),
    };
    built.map_err(|error| {
        let detail =
            missing_field(&error).unwrap_or_else(|| "a field is missing or of a wrong type".to_owned());
        denied(format!("{} is no complete file of type {kind:?}: {detail}", file.display()))
    })
}

/// What the parser says of a missing field. Its other messages quote the file and are kept to ourselves.
fn missing_field(error: &dyn std::error::Error) -> Option<String> {
    let mut next = Some(error);
    while let Some(error) = next {
        let text = error.to_string();
        if text.starts_with("missing field") {
            return Some(text);
        }
        next = error.source();
    }
    None
}

fn token_error(error: &CredentialsError) -> CallError {
    let detail = super::http::chain(error);
    if error.is_transient() {
        return CallError::NotSent { call: CALL, source: detail.into() };
    }
    denied(detail)
}

fn denied(detail: String) -> CallError {
    CallError::Denied { call: CALL, detail }
}

/// The same tokens, for `gcp-bigquery-client`.
#[derive(Clone)]
pub(super) struct SharedTokens {
    pub(super) tokens: Arc<Tokens>,
    pub(super) clock: Arc<dyn Clock>,
}

#[async_trait]
impl Authenticator for SharedTokens {
    async fn access_token(&self) -> Result<String, BQError> {
        let soon = Deadline::at(self.clock.now() + self.tokens.settings.timings.token);
        match self.tokens.get(soon).await {
            Ok(Some(token)) => Ok(token.secret),
            // The crate sends an `Authorization` header always; an emulator takes any word.
            Ok(None) => Ok("emulator".to_owned()),
            Err(_) => Err(BQError::NoToken),
        }
    }
}
