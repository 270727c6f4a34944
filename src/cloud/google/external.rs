//! The agreement between AWS and Google: which provider believes whom, and as whom we then act. It is written down in an
//! external_account file, or follows from the provider's name alone.

use serde::Deserialize;
use serde_json::Value;

use super::federation::Federation;
use super::identity::VERIFICATION_URL;

/// Google's token service.
const TOKEN_URL: &str = "https://sts.googleapis.com/v1/token";

/// Google's service that gives tokens of service accounts.
const IMPERSONATION_URL: &str = "https://iamcredentials.googleapis.com/v1/projects/-/serviceAccounts";

/// The version of a file's `credential_source` for AWS (<https://google.aip.dev/auth/4117>).
const AWS_VERSION: &str = "aws1";

/// How long a service account's token lasts, in seconds: Google's default, and what every organisation allows.
const LIFETIME_SECONDS: u32 = 3600;

/// Sign-in from AWS, by whichever way it was configured.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct External {
    /// The provider: `//iam.googleapis.com/projects/…`.
    pub audience: String,
    /// Where AWS's identity is exchanged for a federated token.
    pub token_url: String,
    /// Where that is exchanged for a service account's token, if one is acted as.
    pub impersonation_url: Option<String>,
    /// How long the service account's token shall last.
    pub lifetime_seconds: u32,
    /// The call of AWS's that is signed.
    pub verification_url: String,
}

impl From<&Federation> for External {
    fn from(federation: &Federation) -> Self {
        let url = |account| format!("{IMPERSONATION_URL}/{account}:generateAccessToken");
        Self {
            audience: federation.provider.audience(),
            token_url: TOKEN_URL.to_owned(),
            impersonation_url: federation.service_account.as_ref().map(url),
            lifetime_seconds: LIFETIME_SECONDS,
            verification_url: VERIFICATION_URL.to_owned(),
        }
    }
}

impl External {
    /// Reads an external_account file about AWS; `None` if it is about something else, which `google-cloud-auth` knows.
    ///
    /// The addresses of EC2's metadata service, which such a file may hold, are not asked: the AWS SDK finds credentials and
    /// region, and asks that service only where there is nothing else.
    ///
    /// # Errors
    /// What is wrong with the file, without quoting it.
    pub fn from_file(content: &Value) -> Result<Option<Self>, String> {
        let source = content.get("credential_source");
        let Some(version) = source.and_then(|source| source.get("environment_id")) else { return Ok(None) };
        if version.as_str() != Some(AWS_VERSION) {
            return Err(format!(
                "credential_source.environment_id is {version}, where {AWS_VERSION} is known"
            ));
        }
        let file: File = serde_json::from_value(content.clone()).map_err(|error| {
            let text = error.to_string();
            // The parser's other messages quote the file.
            if text.starts_with("missing field") { text } else { "a field is of a wrong type".to_owned() }
        })?;
        let impersonation = file.service_account_impersonation.unwrap_or_default();
        Ok(Some(Self {
            audience: file.audience,
            token_url: file.token_url,
            impersonation_url: file.service_account_impersonation_url,
            lifetime_seconds: impersonation.token_lifetime_seconds.unwrap_or(LIFETIME_SECONDS),
            verification_url: file
                .credential_source
                .regional_cred_verification_url
                .unwrap_or_else(|| VERIFICATION_URL.to_owned()),
        }))
    }
}

#[derive(Deserialize)]
struct File {
    audience: String,
    token_url: String,
    service_account_impersonation_url: Option<String>,
    service_account_impersonation: Option<Impersonation>,
    credential_source: AwsSource,
}

#[derive(Deserialize, Default)]
struct Impersonation {
    token_lifetime_seconds: Option<u32>,
}

#[derive(Deserialize)]
struct AwsSource {
    regional_cred_verification_url: Option<String>,
}
