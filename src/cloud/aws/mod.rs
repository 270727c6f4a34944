//! AWS: S3, SQS, and the configuration that the SDK finds.
//!
//! | Part | Is |
//! |---|---|
//! | [`sdk_config`] | region, credentials and endpoints, found as in every AWS SDK |
//! | [`S3`] | [`Objects`](super::Objects) over S3 |
//! | [`Sqs`] | [`Queue`](super::Queue) over SQS |
//! | [`mappings`] | the mapping files of `s3://bucket/prefix` |

mod answer;
pub(crate) mod errors;
pub mod mappings;
mod s3;
mod sqs;

use std::time::Duration;

use aws_config::environment::EnvironmentVariableRegionProvider;
use aws_config::meta::region::ProvideRegion;
use aws_config::profile::ProfileFileRegionProvider;
use aws_config::retry::RetryConfig;
use aws_config::stalled_stream_protection::StalledStreamProtectionConfig;
use aws_config::timeout::TimeoutConfig;
use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_smithy_http_client::tls::{self, rustls_provider::CryptoMode};
use aws_types::service_config::ServiceConfigKey;

pub use s3::S3;
pub use sqs::Sqs;

/// A connection is there within this time or another attempt is the better bet: S3 is in the same region.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);

/// From sending a request to the head of its answer, for one attempt.
const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(10);

/// The same for all attempts of a call. The bodies of answers are not counted here; [`STALL_GRACE`] guards them.
const OPERATION_TIMEOUT: Duration = Duration::from_secs(20);

/// Attempts of one call, the first included. Few, because the queue delivers again anyway.
const MAX_ATTEMPTS: u32 = 3;

/// The first pause between attempts is at most this long; the next ones double.
const INITIAL_BACKOFF: Duration = Duration::from_millis(100);

/// No pause between attempts is longer than this.
const MAX_BACKOFF: Duration = Duration::from_secs(1);

/// How long a body may bring nothing while somebody waits for it.
const STALL_GRACE: Duration = Duration::from_secs(15);

/// Idle connections are given up after this time. S3 closes them at about the same age, and a Lambda that was
/// frozen in between would find out only by a failed request.
const POOL_IDLE_TIMEOUT: Duration = Duration::from_secs(20);

/// The region whose S3 endpoint knows of the buckets of all regions.
const FALLBACK_REGION: &str = "us-east-1";

/// Finds region, credentials and endpoints where every AWS SDK looks for them: in the environment
/// (`AWS_REGION`, `AWS_PROFILE`, `AWS_ENDPOINT_URL`, …) and in the profile files.
///
/// This reads the environment and files, never the network. Credentials are asked for with the first request.
/// The region is not asked of the instance metadata service: in Lambda `AWS_REGION` is always set, and where
/// there is no such service, waiting for it would hold up every start. Where nothing names a region it is
/// `us-east-1`, as for `boto3`; S3 then says where the bucket really lives.
pub async fn sdk_config() -> SdkConfig {
    let region = named_region().await.unwrap_or(Region::from_static(FALLBACK_REGION));
    let http_client = aws_smithy_http_client::Builder::new()
        .pool_idle_timeout(POOL_IDLE_TIMEOUT)
        .tls_provider(tls::Provider::Rustls(CryptoMode::Ring))
        .build_https();
    aws_config::defaults(BehaviorVersion::latest())
        .region(region)
        .http_client(http_client)
        .retry_config(retries())
        .timeout_config(timeouts())
        .stalled_stream_protection(stalled_streams(STALL_GRACE))
        .load()
        .await
}

/// The region that the environment names, or else a profile. An empty name is none.
pub(crate) async fn named_region() -> Option<Region> {
    let is_name = |region: &Region| !region.as_ref().is_empty();
    match EnvironmentVariableRegionProvider::new().region().await.filter(is_name) {
        Some(region) => Some(region),
        None => ProfileFileRegionProvider::new().region().await.filter(is_name),
    }
}

fn retries() -> RetryConfig {
    RetryConfig::standard()
        .with_max_attempts(MAX_ATTEMPTS)
        .with_initial_backoff(INITIAL_BACKOFF)
        .with_max_backoff(MAX_BACKOFF)
}

fn timeouts() -> TimeoutConfig {
    TimeoutConfig::builder()
        .connect_timeout(CONNECT_TIMEOUT)
        .operation_attempt_timeout(ATTEMPT_TIMEOUT)
        .operation_timeout(OPERATION_TIMEOUT)
        .build()
}

/// Ends a download that brings nothing while we wait for it.
///
/// A download is read only as fast as BigQuery takes the upload. The SDK tells a server that sends nothing
/// from a reader that asks for nothing, and blames only the former, so back-pressure is not mistaken for a
/// stall; a test in `tests/it` holds it to that.
fn stalled_streams(grace: Duration) -> StalledStreamProtectionConfig {
    StalledStreamProtectionConfig::enabled().upload_enabled(false).grace_period(grace).build()
}

/// The address that stands in for a service of AWS, named for this service (`AWS_ENDPOINT_URL_S3`) or for all
/// (`AWS_ENDPOINT_URL`).
pub(crate) fn endpoint_override(config: &SdkConfig, service_id: &str) -> Option<String> {
    let key = ServiceConfigKey::builder()
        .service_id(service_id)
        .env("AWS_ENDPOINT_URL")
        .profile("endpoint_url")
        .build();
    let of_service = key.ok().and_then(|key| config.service_config()?.load_config(key));
    of_service.or_else(|| config.endpoint_url().map(str::to_owned))
}
