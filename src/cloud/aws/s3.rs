//! [`Objects`] over S3: conditional reads whose answers are checked, byte for byte.

use std::ops::Range;

use async_trait::async_trait;
use aws_config::SdkConfig;
use aws_sdk_s3::Client;
use aws_sdk_s3::config::ResponseChecksumValidation;
use aws_sdk_s3::operation::get_object::GetObjectOutput;
use bytes::Bytes;
use futures_util::{StreamExt, stream};

use super::answer::{Answered, collect, exactly};
use super::endpoint_override;
use super::errors::{classify, rejected, unavailable};
use crate::cloud::{ByteStream, ObjectHead, Objects, ObjectsError, Tail};
use crate::object::{ETag, Object, ObjectRef};

const HEAD: &str = "s3.HeadObject";
const GET: &str = "s3.GetObject";

/// S3, or what speaks its language at `AWS_ENDPOINT_URL_S3`.
#[derive(Debug, Clone)]
pub struct S3 {
    client: Client,
    /// Where requests go, for the message when a bucket lives elsewhere.
    region: String,
}

impl S3 {
    /// A client by the configuration that [`sdk_config`](super::sdk_config) found. Nothing is sent yet.
    pub fn new(config: &SdkConfig) -> Self {
        let s3_config = aws_sdk_s3::config::Builder::from(config)
            // Stand-ins for S3 have no name in DNS for each bucket, so with them the bucket is in the path.
            .force_path_style(endpoint_override(config, "S3").is_some())
            // S3 keeps checksums of whole objects (or of whole parts). We read ranges, to which they do not
            // apply, and some stand-ins send the whole object's checksum with a range all the same. What
            // guards our bytes is TLS, the exact length and, in the end, the row count.
            .response_checksum_validation(ResponseChecksumValidation::WhenRequired)
            .build();
        let region = config.region().map_or("no region", |region| region.as_ref()).to_owned();
        Self { client: Client::from_conf(s3_config), region }
    }

    /// The SDK's client below, for what is not part of [`Objects`].
    pub(crate) fn client(&self) -> &Client {
        &self.client
    }

    /// The region that is asked.
    pub(super) fn region(&self) -> &str {
        &self.region
    }

    /// Sends a GET for a range (in the header's spelling) of exactly this object.
    async fn get(&self, object: &Object, range: String) -> Result<GetObjectOutput, GetFailure> {
        let answer = self
            .client
            .get_object()
            .bucket(object.bucket())
            .key(object.key())
            .set_version_id(object.version_id().map(|version| version.as_str().to_owned()))
            .if_match(format!("\"{}\"", object.etag()))
            .range(range)
            .send()
            .await;
        let output = match answer {
            Ok(output) => output,
            Err(error) => {
                let status = error.raw_response().map(|response| response.status().as_u16());
                return Err(match status {
                    Some(416) => GetFailure::RangeNotSatisfiable,
                    Some(_) | None => GetFailure::Objects(classify(GET, &self.region, &error)),
                });
            }
        };
        // Not everything that speaks S3's language honours If-Match.
        match output.e_tag().and_then(ETag::parse) {
            Some(etag) if etag != *object.etag() => Err(GetFailure::Objects(ObjectsError::Replaced)),
            Some(_) | None => Ok(output),
        }
    }

    /// Tells why no byte could be read from the end of an object: it is empty, or it is another one.
    async fn read_tail_of_empty(&self, object: &Object) -> Result<Tail, ObjectsError> {
        let reference = ObjectRef {
            bucket: object.bucket().to_owned(),
            key: object.key().to_owned(),
            version_id: object.version_id().cloned(),
            etag: None,
            size_bytes: None,
        };
        let head = self.head(&reference).await?;
        if head.etag != *object.etag() {
            return Err(ObjectsError::Replaced);
        }
        if head.size_bytes > 0 {
            return Err(unavailable(GET, format!("416 for the end of {} bytes", head.size_bytes)));
        }
        Ok(Tail { bytes: Bytes::new(), object_size_bytes: 0 })
    }
}

#[async_trait]
impl Objects for S3 {
    async fn head(&self, object: &ObjectRef) -> Result<ObjectHead, ObjectsError> {
        let output = self
            .client
            .head_object()
            .bucket(&object.bucket)
            .key(&object.key)
            .set_version_id(object.version_id.as_ref().map(|version| version.as_str().to_owned()))
            .send()
            .await
            .map_err(|error| classify(HEAD, &self.region, &error))?;
        let etag =
            output.e_tag().and_then(ETag::parse).ok_or_else(|| unavailable(HEAD, "no etag in the answer"))?;
        let size_bytes = output.content_length().and_then(|length| u64::try_from(length).ok());
        let size_bytes = size_bytes.ok_or_else(|| unavailable(HEAD, "no size in the answer"))?;
        Ok(ObjectHead { etag, size_bytes })
    }

    async fn read_tail(&self, object: &Object, length_bytes: u64) -> Result<Tail, ObjectsError> {
        // A suffix of no bytes cannot be asked for; one byte tells the size as well.
        let asked_bytes = length_bytes.max(1);
        let output = match self.get(object, format!("bytes=-{asked_bytes}")).await {
            Ok(output) => output,
            Err(GetFailure::RangeNotSatisfiable) => return self.read_tail_of_empty(object).await,
            Err(GetFailure::Objects(error)) => return Err(error),
        };
        let answered = Answered::of(GET, &output)?;
        let expected_bytes = asked_bytes.min(answered.object_size_bytes);
        if answered.range.end != answered.object_size_bytes
            || answered.range.end - answered.range.start != expected_bytes
        {
            return Err(answered.mismatch(GET, &format!("the last {asked_bytes} bytes")));
        }
        let bytes = collect(exactly(GET, output.body, expected_bytes), expected_bytes).await?;
        let bytes = if length_bytes == 0 { Bytes::new() } else { bytes };
        Ok(Tail { bytes, object_size_bytes: answered.object_size_bytes })
    }

    async fn open(&self, object: &Object, range: Range<u64>) -> Result<ByteStream, ObjectsError> {
        if range.is_empty() {
            return Ok(stream::empty().boxed());
        }
        let output = match self.get(object, format!("bytes={}-{}", range.start, range.end - 1)).await {
            Ok(output) => output,
            Err(GetFailure::RangeNotSatisfiable) => {
                return Err(rejected(GET, format!("416, {range:?} is beyond the object's end")));
            }
            Err(GetFailure::Objects(error)) => return Err(error),
        };
        let answered = Answered::of(GET, &output)?;
        if answered.range == range {
            return Ok(exactly(GET, output.body, range.end - range.start));
        }
        if answered.object_size_bytes < range.end {
            let size_bytes = answered.object_size_bytes;
            return Err(rejected(GET, format!("{range:?} is beyond the object's {size_bytes} bytes")));
        }
        Err(answered.mismatch(GET, &format!("{range:?}")))
    }
}

/// A GET that gave no body.
enum GetFailure {
    /// 416. An empty object has no range at all, so this is not always an error.
    RangeNotSatisfiable,
    /// Everything else.
    Objects(ObjectsError),
}
