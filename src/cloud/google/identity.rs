//! Who we are in AWS, said in a way that Google believes: a call of AWS's STS, signed and not sent.
//!
//! Google sends it itself and so learns from AWS whose signature it is
//! (<https://cloud.google.com/iam/docs/reference/sts/rest/v1/TopLevel/token>, `subjectToken`; <https://google.aip.dev/auth/4117>).
//! The signature covers the name of the provider that it is for, so nobody else can use it, and it expires by itself
//! within minutes.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use aws_config::SdkConfig;
use aws_credential_types::Credentials;
use aws_credential_types::provider::error::CredentialsError;
use aws_credential_types::provider::{ProvideCredentials, SharedCredentialsProvider};
use aws_sigv4::http_request::{SignableBody, SignableRequest, SigningSettings, sign};
use aws_sigv4::sign::v4;
use google_cloud_auth::credentials::subject_token::{Builder, SubjectToken, SubjectTokenProvider};
use google_cloud_auth::errors::SubjectTokenProviderError;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::json;

use crate::cloud::Clock;
use crate::cloud::quote::chain;

/// The header that names the provider.
const TARGET_HEADER: &str = "x-goog-cloud-target-resource";

/// The call of AWS's that tells whose signature it bears. Google accepts it of any region.
pub(super) const VERIFICATION_URL: &str =
    "https://sts.{region}.amazonaws.com?Action=GetCallerIdentity&Version=2011-06-15";

/// Who this process is in AWS: where its credentials come from, and its region.
///
/// The credentials are those of the AWS SDK's own chain: Lambda's environment, the container endpoints of ECS and of
/// EKS Pod Identity, web identities (IRSA), profiles. They are asked for at each sign-in, for they change.
#[derive(Debug, Clone)]
pub struct AwsIdentity {
    credentials: SharedCredentialsProvider,
    region: String,
}

impl AwsIdentity {
    /// An identity from any provider of credentials.
    pub fn new(credentials: SharedCredentialsProvider, region: impl Into<String>) -> Self {
        Self { credentials, region: region.into() }
    }

    /// The identity that the AWS SDK uses for its own calls, if it has one.
    pub fn of(config: &SdkConfig) -> Option<Self> {
        Some(Self::new(config.credentials_provider()?, config.region()?.to_string()))
    }
}

/// What is to be signed.
#[derive(Debug, Clone)]
pub struct IdentityRequest<'a> {
    /// The region whose STS is asked.
    pub region: &'a str,
    /// The address, with `{region}` where the region belongs.
    pub verification_url: &'a str,
    /// The provider that it is for: `//iam.googleapis.com/projects/…`.
    pub audience: &'a str,
    /// The moment of the signature, in milliseconds since 1970.
    pub unix_ms: u64,
}

/// The call cannot be signed: its address is no address, or the credentials are none.
#[derive(Debug, thiserror::Error)]
#[error("cannot sign the call of AWS that proves who we are")]
pub struct CannotSign(#[source] Box<dyn std::error::Error + Send + Sync>);

impl IdentityRequest<'_> {
    /// Signs the call, and writes it as Google's token service reads it: JSON, percent-encoded.
    ///
    /// # Errors
    /// [`CannotSign`].
    pub fn sign(&self, credentials: &Credentials) -> Result<String, CannotSign> {
        let url = self.verification_url.replace("{region}", self.region);
        let parsed = reqwest::Url::parse(&url).map_err(|error| CannotSign(Box::new(error)))?;
        let identity = credentials.clone().into();
        let parameters = v4::SigningParams::builder()
            .identity(&identity)
            .region(self.region)
            .name("sts")
            .time(self.time())
            .settings(SigningSettings::default())
            .build()
            .map_err(|error| CannotSign(Box::new(error)))?
            .into();
        let plain = [("host", parsed.host_str().unwrap_or_default()), (TARGET_HEADER, self.audience)];
        let nothing = SignableBody::Bytes(&[]);
        let request = SignableRequest::new("POST", parsed.as_str(), plain.into_iter(), nothing)
            .map_err(|error| CannotSign(Box::new(error)))?;
        let signed = sign(request, &parameters).map_err(|error| CannotSign(Box::new(error)))?.into_parts().0;
        let headers = plain.into_iter().chain(signed.headers());
        let headers: Vec<_> = headers.map(|(key, value)| json!({"key": key, "value": value})).collect();
        let call = json!({"url": url, "method": "POST", "headers": headers});
        Ok(utf8_percent_encode(&call.to_string(), NON_ALPHANUMERIC).to_string())
    }

    fn time(&self) -> SystemTime {
        UNIX_EPOCH + Duration::from_millis(self.unix_ms)
    }
}

/// Gives `google-cloud-auth` a fresh proof of who we are whenever it needs one.
///
/// The crate has a source for AWS of its own. It knows keys in the environment and the metadata service of EC2, but not
/// the credentials of ECS and EKS.
pub(super) struct AwsSubject {
    pub(super) aws: AwsIdentity,
    pub(super) audience: String,
    pub(super) verification_url: String,
    pub(super) clock: Arc<dyn Clock>,
}

impl fmt::Debug for AwsSubject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AwsSubject").field("audience", &self.audience).finish_non_exhaustive()
    }
}

/// There is no proof of who we are in AWS.
#[derive(Debug, thiserror::Error)]
#[error("{detail}")]
pub(super) struct NoIdentity {
    pub(super) detail: String,
    pub(super) may_pass: bool,
}

impl SubjectTokenProviderError for NoIdentity {
    fn is_transient(&self) -> bool {
        self.may_pass
    }
}

impl SubjectTokenProvider for AwsSubject {
    type Error = NoIdentity;

    async fn subject_token(&self) -> Result<SubjectToken, NoIdentity> {
        let found = self.aws.credentials.provide_credentials().await;
        let credentials = found.map_err(|error| no_credentials(&error))?;
        let request = IdentityRequest {
            region: &self.aws.region,
            verification_url: &self.verification_url,
            audience: &self.audience,
            unix_ms: self.clock.unix_ms(),
        };
        let token = request.sign(&credentials);
        let token = token.map_err(|error| NoIdentity { detail: chain(&error), may_pass: false })?;
        Ok(Builder::new(token).build())
    }
}

fn no_credentials(error: &CredentialsError) -> NoIdentity {
    // The endpoints of ECS and EKS fail for a moment now and then; that there are no credentials at all stays so.
    let may_pass = match error {
        CredentialsError::CredentialsNotLoaded(_) | CredentialsError::InvalidConfiguration(_) => false,
        CredentialsError::ProviderTimedOut(_) | CredentialsError::ProviderError(_) => true,
        _ => true,
    };
    NoIdentity { detail: chain(error), may_pass }
}
