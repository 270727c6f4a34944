//! What AWS answers, in words.

use std::error::Error;

use aws_sdk_s3::config::http::HttpResponse;
use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};

use super::experiment::Trouble;
use crate::cloud::quote::chain;

/// What S3 and SQS answer for what is not there; SQS has a word of its own besides.
const NOT_FOUND: u16 = 404;

/// A failed call, in one line: status, code and message of what the service said, or why it could not be asked.
pub(super) fn in_words<E>(error: &SdkError<E, HttpResponse>) -> String
where
    E: ProvideErrorMetadata + Error + 'static,
{
    let SdkError::ServiceError(refused) = error else { return chain(error) };
    let said = [refused.err().code(), refused.err().message()];
    let said: Vec<&str> = said.into_iter().flatten().collect();
    format!("{} {}", refused.raw().status().as_u16(), said.join(": ")).trim_end().to_owned()
}

/// A failed call, as why there is no answer.
pub(super) fn failed<E>(error: SdkError<E, HttpResponse>) -> Trouble
where
    E: ProvideErrorMetadata + Error + 'static,
{
    Trouble::Failed(in_words(&error))
}

/// The status of an answer; none if there is no answer.
pub(super) fn status<E>(error: &SdkError<E, HttpResponse>) -> Option<u16> {
    error.raw_response().map(|response| response.status().as_u16())
}

/// Whether what was to be taken away is not there.
pub(super) fn is_gone<E>(error: &SdkError<E, HttpResponse>) -> bool
where
    E: ProvideErrorMetadata,
{
    let code = error.as_service_error().and_then(ProvideErrorMetadata::code).unwrap_or_default();
    status(error) == Some(NOT_FOUND) || code.ends_with("NonExistentQueue") || code == "QueueDoesNotExist"
}
