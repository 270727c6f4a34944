//! Why mappings in S3 cannot be used.

use super::{MAX_MAPPING_BYTES, VersionId};
use crate::cloud::{CallError, ObjectsError};

const GRANT_OR_CREATE: &str = "Give the role s3:ListBucket on the bucket and s3:GetObject on the prefix, and see that the bucket exists.";

/// Why mappings could not be read from S3.
#[derive(Debug, thiserror::Error)]
pub enum MappingsError {
    /// There are no mapping files.
    #[error("no *.json in {address}")]
    NoneFound {
        /// The folder.
        address: String,
    },
    /// There are more files than a folder of mappings has.
    #[error("more than {limit} {what} in {address}")]
    TooMany {
        /// The folder.
        address: String,
        /// Of what there are too many.
        what: &'static str,
        /// How many may be there.
        limit: usize,
    },
    /// Versions were published there, and nothing says which of them is in force.
    #[error("{address} is gone")]
    CurrentGone {
        /// Where it was.
        address: String,
    },
    /// A file is larger than any mapping.
    #[error("{address} has {size_bytes} bytes, and a mapping has {MAX_MAPPING_BYTES} at most")]
    TooLarge {
        /// The file.
        address: String,
        /// Its size.
        size_bytes: u64,
    },
    /// The listing names a file without its etag, so it cannot be read as it was listed.
    #[error("the listing gives no etag for {address}")]
    NoEtag {
        /// The file.
        address: String,
    },
    /// A file is not text.
    #[error("{address} is not UTF-8")]
    NotUtf8 {
        /// The file.
        address: String,
    },
    /// `CURRENT` does not say which version is in force.
    #[error("{address} does not name a version: {detail}")]
    BadCurrent {
        /// The file.
        address: String,
        /// What is wrong with it.
        detail: String,
    },
    /// The files of a published version are not those that were published.
    #[error("{address} is not as it was published: its files make the version {found}")]
    Damaged {
        /// The version's folder.
        address: String,
        /// The version that the files make.
        found: VersionId,
    },
    /// The files of a folder changed while they were read.
    #[error("the files in {address} changed while they were read")]
    Changing {
        /// The folder.
        address: String,
    },
    /// S3 did not give the list or a file.
    #[error("cannot read {address}")]
    Unreadable {
        /// The folder or the file.
        address: String,
        /// The call's failure.
        #[source]
        source: ObjectsError,
    },
}

impl MappingsError {
    /// The stable code.
    pub fn code(&self) -> &'static str {
        match self {
            Self::NoneFound { .. } => "mapping.none_found",
            Self::TooMany { .. } => "mapping.too_many",
            Self::TooLarge { .. } => "mapping.too_large",
            Self::NoEtag { .. } => "mapping.no_etag",
            Self::NotUtf8 { .. } => "mapping.not_utf8",
            Self::BadCurrent { .. } => "mapping.bad_current",
            Self::CurrentGone { .. } => "mapping.current_gone",
            Self::Damaged { .. } => "mapping.version_damaged",
            Self::Changing { .. } => "mapping.changing",
            Self::Unreadable { .. } => "mapping.unreadable",
        }
    }

    /// What a person should do.
    pub fn remedy(&self) -> &'static str {
        match self {
            Self::NoneFound { .. } => {
                "Publish the mapping files there with `dms2bq publish`, or set DMS2BQ_MAPPINGS to where they are; of \
                 a folder without CURRENT only *.json directly below the prefix are read, and schema.json is not one \
                 of them."
            }
            Self::TooMany { .. } => "Give the mappings a prefix of their own.",
            Self::TooLarge { .. } => {
                "Split the file by landing prefix, or use patterns instead of one rule per table."
            }
            Self::NoEtag { .. } => "S3 always gives one: use an S3 that does, or mappings from a folder.",
            Self::NotUtf8 { .. } => "Save the file as UTF-8.",
            Self::BadCurrent { .. } => {
                "CURRENT is written by `dms2bq publish` and by nobody else: delete it and publish again, or run the \
                 dms2bq that wrote it."
            }
            Self::CurrentGone { .. } => {
                "Publish again. Files beside PUBLISHED are of the time before the first publication, and are not taken \
                 for what was published."
            }
            Self::Damaged { .. } => {
                "Somebody changed, added or deleted a file of a published version. Delete the version's folder and \
                 publish again, or roll back with `dms2bq publish --rollback`."
            }
            Self::Changing { .. } => {
                "Nothing, if it passes: it is read again. `dms2bq publish` changes all files at once."
            }
            Self::Unreadable { source: ObjectsError::Call(call), .. } if call.may_be_repeated() => {
                "S3 gave no answer that helps: try again; if it lasts, look at the network, AWS_REGION and AWS_ENDPOINT_URL."
            }
            Self::Unreadable { source: ObjectsError::Call(call), .. } => {
                call.without_aws_credentials().unwrap_or(GRANT_OR_CREATE)
            }
            Self::Unreadable { source: ObjectsError::Missing | ObjectsError::Replaced, .. } => {
                GRANT_OR_CREATE
            }
        }
    }

    /// Whether it may pass by itself: S3 could not be reached, or somebody is just copying files. Everything else
    /// stays until a person does something about it.
    pub fn may_pass(&self) -> bool {
        match self {
            Self::Changing { .. } => true,
            Self::Unreadable { source: ObjectsError::Call(call), .. } => match call {
                CallError::NotSent { .. }
                | CallError::Unavailable { .. }
                | CallError::Unanswered { .. }
                | CallError::Throttled { .. }
                | CallError::QuotaExceeded { .. }
                | CallError::OutOfTime { .. } => true,
                CallError::Denied { .. } | CallError::NotFound { .. } | CallError::Rejected { .. } => false,
            },
            Self::Unreadable { source: ObjectsError::Missing | ObjectsError::Replaced, .. }
            | Self::NoneFound { .. }
            | Self::TooMany { .. }
            | Self::TooLarge { .. }
            | Self::NoEtag { .. }
            | Self::NotUtf8 { .. }
            | Self::BadCurrent { .. }
            | Self::CurrentGone { .. }
            | Self::Damaged { .. } => false,
        }
    }
}
