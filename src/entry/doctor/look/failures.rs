//! Why AWS gave no answer, with the place that was asked.

use aws_config::SdkConfig;
use aws_sdk_s3::config::http::HttpResponse;
use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};

use crate::cloud::aws::endpoint_override;
use crate::cloud::aws::errors::lacks_credentials;
use crate::cloud::quote::chain;
use crate::config::Config;
use crate::entry::doctor::facts::{Failure, FailureKind};

/// What the SDK says where it went through all its sources of credentials, before it lists them.
const NONE_ANYWHERE: &str = "no credentials found in chain";

/// The headers by which AWS names a request.
const REQUEST_IDS: [&str; 2] = ["x-amz-request-id", "x-amzn-requestid"];

/// A service of AWS.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Service {
    Sts,
    Lambda,
    Sqs,
    EventBridge,
    S3,
}

impl Service {
    /// What the SDK calls it.
    fn id(self) -> &'static str {
        match self {
            Self::Sts => "STS",
            Self::Lambda => "Lambda",
            Self::Sqs => "SQS",
            Self::EventBridge => "EventBridge",
            Self::S3 => "S3",
        }
    }

    /// How its hosts begin.
    fn host(self) -> &'static str {
        match self {
            Self::Sts => "sts",
            Self::Lambda => "lambda",
            Self::Sqs => "sqs",
            Self::EventBridge => "events",
            Self::S3 => "s3",
        }
    }
}

/// Where AWS is asked.
#[derive(Debug, Clone)]
pub(super) struct Place {
    pub(super) config: SdkConfig,
    /// Whether nothing names the region.
    pub(super) region_is_assumed: bool,
}

impl Place {
    pub(super) fn region(&self) -> String {
        self.config.region().map(ToString::to_string).unwrap_or_default()
    }

    /// Puts a failed call into our words.
    pub(super) fn failure<E>(&self, service: Service, error: &SdkError<E, HttpResponse>) -> Failure
    where
        E: ProvideErrorMetadata + std::error::Error + Send + Sync + 'static,
    {
        match error {
            SdkError::ServiceError(refused) => {
                let status = refused.raw().status().as_u16();
                if status == 404 && !is_of_aws(refused.err().code(), refused.raw()) {
                    return self.unreachable(service, "404, which is no answer of AWS's");
                }
                let region = refused.raw().headers().get("x-amz-bucket-region");
                self.refused(status, refused.err().code(), refused.err().message(), region)
            }
            error if lacks_credentials(error) => no_credentials(error),
            SdkError::ConstructionFailure(_) => Failure::new(FailureKind::Refused, chain(error)),
            error => self.unreachable(service, &chain(error)),
        }
    }

    fn refused(
        &self,
        status: u16,
        code: Option<&str>,
        message: Option<&str>,
        bucket_region: Option<&str>,
    ) -> Failure {
        let code_and_message: Vec<&str> = [code, message].into_iter().flatten().collect();
        let detail = format!("{status} {}", code_and_message.join(": "));
        match bucket_region.filter(|region| *region != self.region()) {
            Some(region) if (300..=400).contains(&status) => Failure {
                kind: FailureKind::Refused,
                detail: format!("the bucket is in {region}, and {} was asked ({detail})", self.region()),
                remedy: Some(format!(
                    "Set AWS_REGION={region} and run doctor again. Function and queue have to be in {region}, too: S3 tells no queue \
                     of another region."
                )),
            },
            Some(_) | None => Failure::new(kind_of(status, code.unwrap_or_default()), detail.trim_end()),
        }
    }

    fn unreachable(&self, service: Service, detail: &str) -> Failure {
        let region = self.region();
        let stand_in = endpoint_override(&self.config, service.id());
        let china = if region.starts_with("cn-") { ".cn" } else { "" };
        let host = format!("{}.{region}.amazonaws.com{china}", service.host());
        let (address, remedy) = match (stand_in, self.region_is_assumed) {
            (Some(address), _) => {
                let remedy = format!(
                    "See that something answers at {address}, which AWS_ENDPOINT_URL (or a profile) names; or take that out."
                );
                (address, remedy)
            }
            (None, true) => {
                let remedy = format!(
                    "Set AWS_REGION: it is not set, so {region} was asked. If that is right, see that this machine reaches {host}: \
                     name resolution, HTTPS_PROXY and NO_PROXY."
                );
                (host, remedy)
            }
            (None, false) => {
                let remedy = format!(
                    "See that {region} is the region that is meant (AWS_REGION), and that this machine reaches {host}: name \
                     resolution, HTTPS_PROXY and NO_PROXY."
                );
                (host, remedy)
            }
        };
        let detail = format!("no usable answer of {} from {address} ({region}): {detail}", service.id());
        Failure { kind: FailureKind::Unreachable, detail, remedy: Some(remedy) }
    }
}

/// Whether it is AWS, or a stand-in for it, that does not find a thing: it says which, or at least signs what it says. (Where
/// a body says nothing, the SDK makes `NotFound` of the status.)
fn is_of_aws(code: Option<&str>, answer: &HttpResponse) -> bool {
    let names_it = code.is_some_and(|code| code != "NotFound");
    names_it || REQUEST_IDS.iter().any(|name| answer.headers().get(name).is_some())
}

/// Half a key is no key to the SDK, which then asks the metadata service, and reports only what that says.
fn no_credentials(error: &(dyn std::error::Error + 'static)) -> Failure {
    let Some(missing) = Config::missing_half_of_aws_key() else {
        let said = chain(error);
        let detail = match said.contains(NONE_ANYWHERE) {
            true => "no AWS credentials: neither the environment nor a profile has any".to_owned(),
            false => format!("no AWS credentials: {said}"),
        };
        return Failure::new(FailureKind::Denied, detail);
    };
    Failure {
        kind: FailureKind::Denied,
        detail: format!(
            "no AWS credentials: of the two halves of a key only one is set, and {missing} is not"
        ),
        remedy: Some(format!(
            "Set {missing}, too (and AWS_SESSION_TOKEN, if the key is temporary); or take the other half out and sign in by AWS_PROFILE."
        )),
    }
}

/// What AWS's codes come to, of all four services.
fn kind_of(status: u16, code: &str) -> FailureKind {
    let names_nothing = code.starts_with("NoSuch")
        || code.contains("NotFound")
        || code.contains("NonExistentQueue")
        || code.contains("QueueDoesNotExist");
    let asks_for_patience = code.contains("Throttl") || code == "SlowDown" || code == "RequestLimitExceeded";
    match status {
        _ if asks_for_patience => FailureKind::Unavailable,
        _ if names_nothing => FailureKind::Missing,
        401 | 403 => FailureKind::Denied,
        400 if code.contains("Token") || code.contains("AccessDenied") || code.contains("Signature") => {
            FailureKind::Denied
        }
        404 => FailureKind::Missing,
        429 | 500..=599 => FailureKind::Unavailable,
        _ => FailureKind::Refused,
    }
}
