//! Whom Google knows us as without a key: a provider of a workload identity pool, and perhaps a service account.

use std::fmt;

/// What a provider's name looks like, for messages.
const PROVIDER_FORM: &str = "projects/NUMBER/locations/global/workloadIdentityPools/POOL/providers/PROVIDER";

/// Sign-in by workload identity federation: who we are in AWS is shown to this provider.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Federation {
    /// The provider that believes AWS.
    pub provider: Provider,
    /// The service account to act as. Without one, the role in AWS has Google's permissions itself.
    pub service_account: Option<ServiceAccount>,
}

/// The resource name of a workload identity provider:
/// `projects/NUMBER/locations/global/workloadIdentityPools/POOL/providers/PROVIDER`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Provider(String);

/// The e-mail address of a service account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServiceAccount(String);

/// A text that names no provider or no service account.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadIdentity {
    /// The whole is not of the form of a provider's name.
    #[error(
        "a provider is {PROVIDER_FORM}; `gcloud iam workload-identity-pools providers describe` prints it as `name`"
    )]
    Provider,
    /// A project's id stands where Google has its number.
    #[error(
        "a provider is {PROVIDER_FORM}, with the project's number in it, not its id; \
             `gcloud projects describe` prints it as `projectNumber`"
    )]
    ProjectId,
    /// It begins as an audience does.
    #[error("a provider is {PROVIDER_FORM}: leave out what stands before `projects/`")]
    Audience,
    /// It is no service account's address.
    #[error("a service account is an e-mail address such as dms2bq@acme-dw.iam.gserviceaccount.com")]
    ServiceAccount,
}

impl Provider {
    /// Reads a provider's resource name.
    ///
    /// # Errors
    /// [`BadIdentity`], which says what a provider's name is.
    pub fn parse(text: &str) -> Result<Self, BadIdentity> {
        if text.contains("iam.googleapis.com/") {
            return Err(BadIdentity::Audience);
        }
        let segments: Vec<&str> = text.split('/').collect();
        let [
            "projects",
            project,
            "locations",
            "global",
            "workloadIdentityPools",
            pool,
            "providers",
            provider,
        ] = segments.as_slice()
        else {
            return Err(BadIdentity::Provider);
        };
        if !is_pool_name(pool) || !is_pool_name(provider) || project.is_empty() {
            return Err(BadIdentity::Provider);
        }
        if !project.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(BadIdentity::ProjectId);
        }
        Ok(Self(text.to_owned()))
    }

    /// The name by which Google's token service and the signed request of AWS speak of the provider.
    pub(super) fn audience(&self) -> String {
        format!("//iam.googleapis.com/{self}")
    }
}

impl ServiceAccount {
    /// Reads a service account's e-mail address.
    ///
    /// # Errors
    /// [`BadIdentity::ServiceAccount`].
    pub fn parse(text: &str) -> Result<Self, BadIdentity> {
        let is_plain = |part: &str| {
            !part.is_empty()
                && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._".contains(&byte))
        };
        match text.split_once('@') {
            Some((name, host))
                if is_plain(name) && is_plain(host) && host.ends_with(".gserviceaccount.com") =>
            {
                Ok(Self(text.to_owned()))
            }
            _ => Err(BadIdentity::ServiceAccount),
        }
    }
}

/// Whether a text can be the id of a pool or a provider: 4 to 32 lower-case letters, digits and hyphens
/// (<https://cloud.google.com/iam/docs/reference/rest/v1/projects.locations.workloadIdentityPools/create>).
fn is_pool_name(text: &str) -> bool {
    (4..=32).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
}

impl fmt::Display for Provider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for ServiceAccount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
