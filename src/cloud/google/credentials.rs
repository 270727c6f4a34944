//! Credentials of `google-cloud-auth`, from a file or from our identity in AWS, and the first token that they give.
//!
//! The crate keeps the token and renews it: some minutes before it expires, or every ten seconds if it lives for less.

use std::io;
use std::panic::AssertUnwindSafe;
use std::path::Path;
use std::sync::Arc;

use futures_util::FutureExt;
use google_cloud_auth::credentials::{
    CacheableResource, Credentials, external_account, impersonated, service_account, user_account,
};
use google_cloud_auth::errors::CredentialsError;
use google_cloud_gax::exponential_backoff::{ExponentialBackoff, ExponentialBackoffBuilder};
use google_cloud_gax::retry_policy::{Aip194Strict, RetryPolicyArg, RetryPolicyExt};
use http::Extensions;
use http::header::AUTHORIZATION;
use serde_json::Value;

use super::external::External;
use super::fence::Fence;
use super::identity::{AwsSubject, NoIdentity};
use super::settings::{Access, Settings};
use super::sign_in::{SignInError, Step, refused, shown};
use crate::cloud::call::Tries;
use crate::cloud::quote::chain;
use crate::cloud::{Clock, Deadline};

/// What a token is for. BigQuery's own scope: reading and writing data, running jobs, and nothing of other services.
pub(super) const SCOPE: &str = "https://www.googleapis.com/auth/bigquery";

/// What a federated token is for, if all that it is used for is to act as a service account.
const IAM_SCOPE: &str = "https://www.googleapis.com/auth/iam";

/// What AWS's signed calls are called among the kinds of tokens.
const AWS_TOKEN_TYPE: &str = "urn:ietf:params:aws:token-type:aws4_request";

/// A credential file is a few KiB; what is larger is another file.
const CREDENTIAL_FILE_BYTES: u64 = 256 * 1024;

/// What the crate says of an answer that is no success stands behind these words.
const BODY_MARK: &str = "body=<";

/// How to sign in, read but not yet done.
pub(super) enum Plan {
    /// By our identity in AWS.
    Aws(External),
    /// By a file that `google-cloud-auth` understands, of this type.
    File { shown_path: String, kind: String, content: Value },
}

impl Plan {
    /// Reads the settings, and the file if they name one.
    ///
    /// # Errors
    /// [`SignInError::NoCredentials`], [`SignInError::BadFile`].
    pub(super) async fn read(access: &Access) -> Result<Self, SignInError> {
        match access {
            Access::Anonymous | Access::Missing => Err(SignInError::NoCredentials),
            Access::Federation(federation) => Ok(Self::Aws(External::from(federation))),
            Access::CredentialFile(file) => Self::of_file(file, read(file).await?),
        }
    }

    fn of_file(file: &Path, content: Value) -> Result<Self, SignInError> {
        let shown_path = file.display().to_string();
        let kind = content.get("type").and_then(Value::as_str).unwrap_or_default().to_owned();
        if kind == "external_account" {
            let external = External::from_file(&content);
            if let Some(external) = external.map_err(|detail| incomplete(&shown_path, &kind, &detail))? {
                return Ok(Self::Aws(external));
            }
        }
        Ok(Self::File { shown_path, kind, content })
    }

    /// Where a federated token is taken to act as a service account, and for how long.
    pub(super) fn impersonation(&self) -> Option<(&str, u32)> {
        match self {
            Self::Aws(external) => Some((external.impersonation_url.as_deref()?, external.lifetime_seconds)),
            Self::File { .. } => None,
        }
    }

    /// The host that is asked for a token.
    fn service(&self) -> String {
        let url = match self {
            Self::Aws(external) => Some(external.token_url.as_str()),
            Self::File { content, .. } => {
                content.get("token_url").or_else(|| content.get("token_uri")).and_then(Value::as_str)
            }
        };
        url.map_or_else(|| "Google's token service".to_owned(), host)
    }

    fn build(self, settings: &Settings, clock: &Arc<dyn Clock>) -> Result<Credentials, SignInError> {
        match self {
            Self::Aws(external) => from_aws(external, settings, clock),
            Self::File { shown_path, kind, content } => {
                from_file(&shown_path, &kind, content, settings.tries)
            }
        }
    }
}

/// The host of an address, for people.
pub(super) fn host(url: &str) -> String {
    let parsed = reqwest::Url::parse(url).ok();
    parsed.and_then(|url| url.host_str().map(str::to_owned)).unwrap_or_else(|| shown(url))
}

async fn read(file: &Path) -> Result<Value, SignInError> {
    let bad = |detail: String| SignInError::BadFile { detail };
    let unreadable = |error: std::io::Error| bad(format!("cannot read {}: {error}", file.display()));
    let size_bytes = tokio::fs::metadata(file).await.map_err(unreadable)?.len();
    if size_bytes > CREDENTIAL_FILE_BYTES {
        return Err(bad(format!("{} is too large for a credential file", file.display())));
    }
    let bytes = tokio::fs::read(file).await.map_err(unreadable)?;
    // The parser's message is left out: it may quote the file.
    serde_json::from_slice(&bytes).map_err(|_| bad(format!("{} is not JSON", file.display())))
}

fn incomplete(shown_path: &str, kind: &str, detail: &str) -> SignInError {
    SignInError::BadFile { detail: format!("{shown_path} is no complete file of type {kind:?}: {detail}") }
}

/// The crate exchanges tokens; who we are in AWS is ours to say ([`AwsSubject`]), and acting as a service account, too:
/// what the crate has for it repeats failures for a minute without a word, and panics over a token that came expired.
fn from_aws(
    external: External,
    settings: &Settings,
    clock: &Arc<dyn Clock>,
) -> Result<Credentials, SignInError> {
    let Some(aws) = settings.aws.clone() else {
        let detail = "the AWS SDK found none".to_owned();
        return Err(SignInError::NoAwsCredentials { detail, may_pass: false });
    };
    let scope = if external.impersonation_url.is_some() { IAM_SCOPE } else { SCOPE };
    let subject = AwsSubject {
        aws,
        audience: external.audience.clone(),
        verification_url: external.verification_url,
        clock: Arc::clone(clock),
    };
    external_account::ProgrammaticBuilder::new(Arc::new(subject))
        .with_audience(external.audience)
        .with_subject_token_type(AWS_TOKEN_TYPE)
        .with_token_url(external.token_url)
        .with_scopes([scope])
        .with_retry_policy(few(settings.tries))
        .with_backoff_policy(short(settings.tries))
        .build()
        .map_err(|error| SignInError::Broken { detail: chain(&error) })
}

/// A few tries of what may pass; the policy repeats nothing else.
fn few(tries: Tries) -> RetryPolicyArg {
    Aip194Strict.with_attempt_limit(tries.most).into()
}

fn short(tries: Tries) -> ExponentialBackoff {
    let waits = ExponentialBackoffBuilder::new().with_initial_delay(tries.first_wait);
    waits.with_maximum_delay(tries.longest_wait).clamp()
}

fn from_file(shown_path: &str, kind: &str, content: Value, tries: Tries) -> Result<Credentials, SignInError> {
    let scopes = [SCOPE];
    let built = match kind {
        "service_account" => service_account::Builder::new(content)
            .with_access_specifier(service_account::AccessSpecifier::from_scopes(scopes))
            .build(),
        "external_account" => external_account::Builder::new(content)
            .with_scopes(scopes)
            .with_retry_policy(few(tries))
            .with_backoff_policy(short(tries))
            .build(),
        // A person's token is for what the person agreed to; to ask for other words than those may be refused.
        "authorized_user" => user_account::Builder::new(content)
            .with_retry_policy(few(tries))
            .with_backoff_policy(short(tries))
            .build(),
        "impersonated_service_account" => impersonated::Builder::new(content)
            .with_scopes(scopes)
            .with_retry_policy(few(tries))
            .with_backoff_policy(short(tries))
            .build(),
        _ => {
            return Err(SignInError::BadFile {
                detail: format!("{shown_path} has the unknown type {kind:?}"),
            });
        }
    };
    built.map_err(|error| {
        let detail =
            missing_field(&error).unwrap_or_else(|| "a field is missing or of a wrong type".to_owned());
        incomplete(shown_path, kind, &detail)
    })
}

/// What the parser says of a missing field. Its other messages quote the file and are kept to ourselves.
fn missing_field(error: &(dyn std::error::Error + 'static)) -> Option<String> {
    sources(error).map(ToString::to_string).find(|text| text.starts_with("missing field"))
}

/// An error and what it stems from.
fn sources<'a>(
    error: &'a (dyn std::error::Error + 'static),
) -> impl Iterator<Item = &'a (dyn std::error::Error + 'static)> {
    std::iter::successors(Some(error), |error| error.source())
}

/// Credentials at work, with the fence that they work in.
pub(super) struct Source {
    credentials: Credentials,
    service: String,
    fence: Fence,
}

impl Source {
    /// Makes credentials of a plan. They begin to ask for a token at once.
    ///
    /// # Errors
    /// They cannot be made.
    pub(super) fn start(
        plan: Plan,
        settings: &Settings,
        clock: &Arc<dyn Clock>,
    ) -> Result<Self, SignInError> {
        let fence = Fence::new().map_err(|error| SignInError::Broken { detail: error.to_string() })?;
        let service = plan.service();
        let credentials = fence.inside(|| plan.build(settings, clock))?;
        Ok(Self { credentials, service, fence })
    }

    /// Waits for the first token.
    ///
    /// # Errors
    /// Why there is none, or none in time.
    pub(super) async fn first(&self, deadline: Deadline) -> Result<String, SignInError> {
        let slow = || SignInError::Slow { service: self.service.clone() };
        let credentials = self.credentials.clone();
        // In a task, for the crate panics where its own task has died.
        let asked = self.fence.spawn(async move { secret(&credentials).await });
        let answer = tokio::time::timeout_at(deadline.instant(), asked).await.map_err(|_| slow())?;
        let answer = answer.map_err(|error| SignInError::Broken { detail: error.to_string() })?;
        answer.map_err(|error| explained(&error, &self.service))
    }

    /// The token, if there is one that has not expired. Never waits.
    pub(super) fn current(&self) -> Option<String> {
        // The crate's answer is there at once, or it is waiting for a task that may sleep for ten seconds.
        AssertUnwindSafe(secret(&self.credentials)).catch_unwind().now_or_never()?.ok()?.ok()
    }
}

async fn secret(credentials: &Credentials) -> Result<String, CredentialsError> {
    let headers = match credentials.headers(Extensions::new()).await? {
        CacheableResource::New { data, .. } => data,
        CacheableResource::NotModified => http::HeaderMap::new(),
    };
    let value = headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok());
    let token = value.and_then(|value| value.split_once(' ')).map(|(_kind, token)| token.to_owned());
    token.ok_or_else(|| CredentialsError::from_msg(false, "the credentials give no token"))
}

/// What the crate's error means.
fn explained(error: &CredentialsError, service: &str) -> SignInError {
    let service = service.to_owned();
    if let Some(none) = sources(error).find_map(|error| error.downcast_ref::<NoIdentity>()) {
        return SignInError::NoAwsCredentials { detail: shown(&none.detail), may_pass: none.may_pass };
    }
    // The crate calls an answer that broke off a failure for good.
    let broke_off = sources(error).any(|error| error.is::<io::Error>());
    if error.is_transient() || broke_off {
        return SignInError::Unreachable { service, detail: shown(&chain(error)) };
    }
    let body = sources(error).find_map(|error| {
        let text = error.to_string();
        let (_, body) = text.split_once(BODY_MARK)?;
        Some(body.rsplit_once('>').map_or(body, |(body, _)| body).to_owned())
    });
    match body {
        Some(body) => refused(Step::Exchange, &service, &body),
        None => refused(Step::Exchange, &service, &chain(error)),
    }
}
