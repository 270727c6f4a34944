//! Where BigQuery is, how we prove who we are, and how long we wait.

use std::path::{Path, PathBuf};
use std::time::Duration;

use reqwest::Url;

use super::federation::Federation;
use super::identity::AwsIdentity;
use crate::cloud::Jitter;
use crate::cloud::call::Tries;

/// Google's own address of BigQuery.
const GOOGLE: &str = "https://bigquery.googleapis.com";

/// How to reach BigQuery.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The address before `/bigquery/v2` and `/upload/bigquery/v2`, without a slash at its end.
    pub base_url: Url,
    /// How we prove who we are.
    pub access: Access,
    /// Who we are in AWS, for signing in from there.
    pub aws: Option<AwsIdentity>,
    /// How long we wait for what.
    pub timings: Timings,
    /// Where uploads are cut.
    pub sizes: Sizes,
    /// How often a call is repeated, and after which waits.
    pub tries: Tries,
    /// The randomness of waits.
    pub jitter: Jitter,
}

/// How we prove who we are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Access {
    /// Not at all: an emulator.
    Anonymous,
    /// By a credential file of Google's, such as `GOOGLE_APPLICATION_CREDENTIALS` names.
    CredentialFile(PathBuf),
    /// By who we are in AWS, without a key and without a file.
    Federation(Federation),
    /// There are no credentials, so every call is refused here. (Not an error at start: a Lambda that cannot
    /// authenticate must return its messages, not crash.)
    Missing,
}

/// How long we wait for what. All of it is within the deadline of the call.
#[derive(Debug, Clone, Copy)]
pub struct Timings {
    /// For a connection, TLS and a proxy's consent included.
    pub connect: Duration,
    /// For the answer to a call without an upload.
    pub call: Duration,
    /// For the next byte of an upload, from S3 or into the network.
    pub stall: Duration,
    /// For the answer once the last byte of an upload is sent. BigQuery takes a while to make a job of a large one.
    pub answer: Duration,
    /// For an access token.
    pub token: Duration,
    /// How long the speed of an upload is measured before it is judged.
    pub measure: Duration,
}

impl Default for Timings {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(3),
            call: Duration::from_secs(10),
            stall: Duration::from_secs(20),
            answer: Duration::from_secs(60),
            token: Duration::from_secs(5),
            measure: Duration::from_secs(5),
        }
    }
}

/// Where uploads are cut.
#[derive(Debug, Clone, Copy)]
pub struct Sizes {
    /// An upload shorter than this is sent in one request (multipart), others in a session (resumable).
    pub multipart_limit_bytes: u64,
    /// What is sent in one request of a session: a multiple of 256 KiB.
    pub chunk_bytes: u64,
}

/// One request instead of two or more, for what can be sent again from its start without regret. Google's own
/// Python client draws the line at the same 5 MiB.
pub const MULTIPART_LIMIT_BYTES: u64 = 5 * 1024 * 1024;

/// After a break at most this much is read and sent again. Larger chunks would save one round trip each, which
/// at 16 MiB is already little beside the sending.
pub const CHUNK_BYTES: u64 = 16 * 1024 * 1024;

/// Google accepts only multiples of this, but for the last chunk
/// (<https://cloud.google.com/bigquery/docs/reference/api-uploads>).
pub const CHUNK_MULTIPLE_BYTES: u64 = 256 * 1024;

impl Default for Sizes {
    fn default() -> Self {
        Self { multipart_limit_bytes: MULTIPART_LIMIT_BYTES, chunk_bytes: CHUNK_BYTES }
    }
}

/// The address of the emulator cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("BIGQUERY_EMULATOR_HOST is {value:?}, which is no http or https address")]
pub struct BadEmulatorHost {
    /// What it was set to.
    pub value: String,
}

impl Settings {
    /// Reads what the environment says: an emulator, which wins and needs no credentials, or a credential file, or a
    /// provider that believes AWS, or what the gcloud command left (a file that is there). Empty values count as unset. No file
    /// is opened yet.
    ///
    /// # Errors
    /// The emulator's address is no http or https address.
    pub fn from_environment(
        emulator_host: Option<&str>,
        credential_file: Option<&Path>,
        federation: Option<&Federation>,
        gcloud_file: Option<&Path>,
    ) -> Result<Self, BadEmulatorHost> {
        if let Some(host) = emulator_host.map(str::trim).filter(|host| !host.is_empty()) {
            return Self::emulator(host);
        }
        let access = match credential_file.filter(|file| !file.as_os_str().is_empty()) {
            Some(file) => Access::CredentialFile(file.to_owned()),
            None => match (federation, gcloud_file) {
                (Some(federation), _) => Access::Federation(federation.clone()),
                (None, Some(file)) => Access::CredentialFile(file.to_owned()),
                (None, None) => Access::Missing,
            },
        };
        let base_url = parse_base(GOOGLE).ok_or_else(|| BadEmulatorHost { value: GOOGLE.to_owned() })?;
        Ok(Self::new(base_url, access))
    }

    /// An emulator at an address such as `http://127.0.0.1:9050`; without a scheme it is `http`.
    ///
    /// # Errors
    /// It is no http or https address.
    pub fn emulator(host: &str) -> Result<Self, BadEmulatorHost> {
        let with_scheme = if host.contains("://") { host.to_owned() } else { format!("http://{host}") };
        let base_url = parse_base(&with_scheme).ok_or_else(|| BadEmulatorHost { value: host.to_owned() })?;
        Ok(Self::new(base_url, Access::Anonymous))
    }

    /// BigQuery at an address, with the default timings and sizes.
    pub fn new(base_url: Url, access: Access) -> Self {
        Self {
            base_url,
            access,
            aws: None,
            timings: Timings::default(),
            sizes: Sizes::default(),
            tries: Tries::FEW,
            jitter: Jitter::random(),
        }
    }

    /// The same settings for a process that is somebody in AWS.
    #[must_use]
    pub fn with_aws(self, aws: Option<AwsIdentity>) -> Self {
        Self { aws, ..self }
    }

    /// The base URL of all calls but uploads.
    pub(super) fn api_url(&self) -> String {
        format!("{}/bigquery/v2", self.base_url.as_str().trim_end_matches('/'))
    }

    /// The base URL of uploads.
    pub(super) fn upload_url(&self) -> String {
        format!("{}/upload/bigquery/v2", self.base_url.as_str().trim_end_matches('/'))
    }
}

fn parse_base(text: &str) -> Option<Url> {
    let url = Url::parse(text).ok()?;
    let is_base = matches!(url.scheme(), "http" | "https") && url.has_host() && url.query().is_none();
    is_base.then_some(url)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::expect_used, reason = "a test may stop where its premise fails")]

    use super::*;

    #[test]
    fn an_emulator_wins_over_a_credential_file_and_needs_no_credentials() {
        let file = Path::new("/secret.json");
        for host in
            ["http://127.0.0.1:9050", "http://127.0.0.1:9050/", "127.0.0.1:9050", " http://127.0.0.1:9050 "]
        {
            let settings = Settings::from_environment(Some(host), Some(file), None, None).expect(host);
            assert_eq!(settings.access, Access::Anonymous, "{host}");
            assert_eq!(settings.api_url(), "http://127.0.0.1:9050/bigquery/v2", "{host}");
            assert_eq!(settings.upload_url(), "http://127.0.0.1:9050/upload/bigquery/v2", "{host}");
        }
    }

    #[test]
    fn without_an_emulator_the_credential_file_is_for_google() {
        let settings =
            Settings::from_environment(Some(""), Some(Path::new("/secret.json")), None, None).expect("valid");
        assert_eq!(settings.access, Access::CredentialFile("/secret.json".into()));
        assert_eq!(settings.api_url(), "https://bigquery.googleapis.com/bigquery/v2");
        let settings = Settings::from_environment(None, Some(Path::new("")), None, None).expect("valid");
        assert_eq!(settings.access, Access::Missing);
    }

    #[test]
    fn an_address_that_is_none_is_named() {
        for host in ["http://", "ftp://host", "http://host?x=1", "::::"] {
            let error = Settings::from_environment(Some(host), None, None, None).expect_err(host);
            assert_eq!(error.value, host);
        }
    }
}
