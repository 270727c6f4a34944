//! What must never be in any output, planted wherever a careless line would pick it up.

use std::error::Error;
use std::fmt;

/// In every secret, so that one search finds them all.
pub(crate) const MARK: &str = "S3CR3T";

/// A value of a row.
pub(crate) const ROW: &str = "row-S3CR3T-value";

/// What Google is shown.
pub(crate) const TOKEN: &str = "ya29.S3CR3T-token";

/// Where an upload goes on; whoever knows it can write there.
pub(crate) const UPLOAD_ADDRESS: &str = "https://bigquery.invalid/upload?upload_id=S3CR3T-session";

/// In a message, beside what is needed of it.
pub(crate) const BODY: &str = "S3CR3T-in-the-body";

/// What every receipt handle begins with: whoever has one can delete the message.
pub(crate) const HANDLE: &str = "AQEB";

/// The secret that a text gives away.
pub(crate) fn found_in(text: &str) -> Option<&'static str> {
    [MARK, HANDLE].into_iter().find(|secret| text.contains(secret))
}

/// A transport's error, as libraries have them: fit to be shown, and not to be dumped.
pub(crate) struct TransportError;

impl fmt::Display for TransportError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("connection refused")
    }
}

impl fmt::Debug for TransportError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TransportError {{ authorization: {TOKEN:?}, url: {UPLOAD_ADDRESS:?} }}")
    }
}

impl Error for TransportError {}
