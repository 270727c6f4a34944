//! From S3's answer to our errors: one function, and one table inside it.

use std::error::Error;
use std::time::Duration;

use aws_credential_types::provider::error::CredentialsError;
use aws_sdk_s3::config::http::HttpResponse;
use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};

use crate::cloud::call::NO_AWS_CREDENTIALS;
use crate::cloud::quote::{chain, one_line};
use crate::cloud::{CallError, ObjectsError};

/// A service that asks for more patience than this is not believed; SQS bounds the wait as well.
const MAX_RETRY_AFTER: Duration = Duration::from_secs(900);

/// An answer of S3 other than the one hoped for.
#[derive(Debug, Default, Clone, Copy)]
struct Refusal<'a> {
    status: u16,
    /// S3's own code. Answers to HEAD have none, and neither has what a proxy or nginx says.
    code: Option<&'a str>,
    message: Option<&'a str>,
    request_id: Option<&'a str>,
    /// `x-amz-bucket-region`: S3 says where the bucket lives when it is not where it was asked.
    bucket_region: Option<&'a str>,
    retry_after: Option<Duration>,
}

/// Puts a failed call into our words. All calls to S3 are reads, so none "may have happened".
pub(super) fn classify<E>(call: &'static str, region: &str, error: &SdkError<E, HttpResponse>) -> ObjectsError
where
    E: ProvideErrorMetadata + Error + Send + Sync + 'static,
{
    match error {
        SdkError::ServiceError(refused) => {
            let header = |name| refused.raw().headers().get(name);
            let refusal = Refusal {
                status: refused.raw().status().as_u16(),
                code: refused.err().code(),
                message: refused.err().message(),
                request_id: header("x-amz-request-id"),
                bucket_region: header("x-amz-bucket-region"),
                retry_after: header("retry-after").and_then(parse_retry_after),
            };
            classify_refusal(call, region, &refusal)
        }
        SdkError::ConstructionFailure(_) => rejected(call, chain(error)),
        // Credentials are looked for when a request is about to be sent, so their lack shows here.
        SdkError::DispatchFailure(_) => match find_credentials_error(error) {
            // A provider that is there and fails (no metadata service on a laptop) is no network that will come back.
            Some(
                CredentialsError::CredentialsNotLoaded(_)
                | CredentialsError::InvalidConfiguration(_)
                | CredentialsError::ProviderError(_),
            ) => CallError::Denied { call, detail: format!("{NO_AWS_CREDENTIALS}: {}", chain(error)) }.into(),
            Some(_) => CallError::NotSent { call, source: chain(error).into() }.into(),
            None => unavailable(call, chain(error)),
        },
        _ => unavailable(call, chain(error)),
    }
}

/// The table: what S3 answers, and what that is to us.
fn classify_refusal(call: &'static str, region: &str, refusal: &Refusal<'_>) -> ObjectsError {
    let denied =
        |hint: &str| CallError::Denied { call, detail: format!("{}{hint}", refusal.describe()) }.into();
    match (refusal.status, refusal.code.unwrap_or_default()) {
        (301 | 307, _) | (400, "AuthorizationHeaderMalformed" | "IllegalLocationConstraintException") => {
            CallError::Denied { call, detail: refusal.describe_other_region(region) }.into()
        }
        // A version that is a delete marker answers 405.
        (404 | 405, _) => ObjectsError::Missing,
        (412, _) => ObjectsError::Replaced,
        (429, _)
        | (
            _,
            "SlowDown"
            | "Throttling"
            | "ThrottlingException"
            | "RequestLimitExceeded"
            | "KMS.ThrottlingException",
        ) => {
            let (detail, retry_after) = (refusal.describe(), refusal.retry_after);
            CallError::Throttled { call, detail, retry_after }.into()
        }
        // S3 closed a connection that it found idle.
        (400, "RequestTimeout") => unavailable(call, refusal.describe()),
        (400, "ExpiredToken" | "InvalidToken" | "TokenRefreshRequired") => denied(""),
        (400, code) if code.starts_with("KMS.") => {
            denied("; the key that encrypts the object cannot be used")
        }
        (403, "InvalidObjectState") => {
            rejected(call, format!("{}; the object is archived: restore it first", refusal.describe()))
        }
        (401 | 403, "AccessDenied" | "Forbidden" | "") => denied(
            "; the role needs s3:GetObject (and s3:GetObjectVersion), and without s3:ListBucket \
             S3 answers this for a missing object, too",
        ),
        (401 | 403, _) => denied(""),
        (400..=499, _) => rejected(call, refusal.describe()),
        _ => unavailable(call, refusal.describe()),
    }
}

impl Refusal<'_> {
    /// Such as `403 AccessDenied: Access Denied, request id 4442587FB7D0A2F9`.
    fn describe(&self) -> String {
        let mut text = self.status.to_string();
        if let Some(code) = self.code {
            text = format!("{text} {}", one_line(code));
        }
        if let Some(message) = self.message {
            text = format!("{text}: {}", one_line(message));
        }
        if let Some(id) = self.request_id {
            text = format!("{text}, request id {}", one_line(id));
        }
        text
    }

    fn describe_other_region(&self, asked: &str) -> String {
        let lives_in = self.bucket_region.map_or("another region".to_owned(), one_line);
        format!(
            "{}; the bucket lives in {lives_in}, but was asked for in {asked}: set AWS_REGION",
            self.describe()
        )
    }
}

/// A read that failed and may succeed.
pub(super) fn unavailable(call: &'static str, detail: impl Into<String>) -> ObjectsError {
    CallError::Unavailable { call, detail: detail.into() }.into()
}

/// A read that is refused for good.
pub(super) fn rejected(call: &'static str, detail: impl Into<String>) -> ObjectsError {
    CallError::Rejected { call, detail: detail.into() }.into()
}

/// Whether a call failed because there are no credentials to sign it with.
#[cfg(feature = "cli")]
pub(crate) fn lacks_credentials(error: &(dyn Error + 'static)) -> bool {
    find_credentials_error(error).is_some()
}

fn find_credentials_error<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a CredentialsError> {
    std::iter::successors(Some(error), |&link| link.source()).find_map(|link| link.downcast_ref())
}

/// Reads `Retry-After` in seconds; S3 does not send its other form, a date.
fn parse_retry_after(header: &str) -> Option<Duration> {
    let wait = Duration::from_secs(header.trim().parse().ok()?);
    Some(wait.min(MAX_RETRY_AFTER))
}
