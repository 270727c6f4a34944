//! How an object can fail to be the bytes that we load.

use crate::cloud::{CallError, ObjectsError};
use crate::object::footer::FooterError;
use crate::object::{Object, ObjectRef};

/// An object cannot be loaded, or not now.
#[derive(Debug, thiserror::Error)]
pub enum ObjectError {
    /// S3 copied it: DMS does not copy, and a copy in place would load its rows again.
    #[error("{object} was written by a copy, not by DMS")]
    Copied {
        /// The object's address.
        object: String,
    },
    /// There is no such object, version or bucket (any more).
    #[error("{object} does not exist")]
    Missing {
        /// The object's address.
        object: String,
    },
    /// It holds no bytes.
    #[error("{object} is empty")]
    Empty {
        /// The object's address.
        object: String,
    },
    /// Another object has taken its place since the event.
    #[error("{object} was replaced since its event")]
    Superseded {
        /// The object's address.
        object: String,
    },
    /// The version that the event names has another etag than the event says.
    #[error("{object} at the version of its event has another etag than the event says")]
    EtagMismatch {
        /// The object's address.
        object: String,
    },
    /// It is no Parquet file that BigQuery can take.
    #[error("{object} is not a file to load")]
    Footer {
        /// The object's address.
        object: String,
        /// What is wrong with it.
        #[source]
        source: FooterError,
    },
    /// It ends as a Parquet file does, and does not begin as one.
    #[error("{object} ends as a Parquet file does, but does not begin with PAR1")]
    NoMagic {
        /// The object's address.
        object: String,
    },
    /// It cannot be sent in the time that an invocation has.
    #[error("{object} is too slow to send: {sent_bytes} of {total_bytes} bytes in {elapsed_ms} ms")]
    TooSlow {
        /// The object's address.
        object: String,
        /// What BigQuery had received.
        sent_bytes: u64,
        /// The object's size.
        total_bytes: u64,
        /// How long that took.
        elapsed_ms: u64,
    },
    /// A call to S3 failed.
    #[error("read {object}")]
    Call {
        /// The object's address.
        object: String,
        /// The call's failure.
        #[source]
        source: CallError,
    },
}

impl ObjectError {
    /// Names the object that S3 did not give us.
    pub fn unread(object: &Object, error: ObjectsError) -> Self {
        let address = object.to_string();
        match error {
            ObjectsError::Missing => Self::Missing { object: address },
            // Its own event follows; a version, though, cannot be replaced.
            ObjectsError::Replaced if object.version_id().is_none() => Self::Superseded { object: address },
            ObjectsError::Replaced => Self::EtagMismatch { object: address },
            ObjectsError::Call(source) => Self::Call { object: address, source },
        }
    }

    /// Names the object whose HEAD failed. A HEAD asks for no etag, so it cannot find another one.
    pub fn unheard(object: &ObjectRef, error: ObjectsError) -> Self {
        let object = object.to_string();
        match error {
            ObjectsError::Missing | ObjectsError::Replaced => Self::Missing { object },
            ObjectsError::Call(source) => Self::Call { object, source },
        }
    }

    /// The stable code.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Copied { .. } => "object.copied",
            Self::Missing { .. } => "object.missing",
            Self::Empty { .. } => "object.empty",
            Self::Superseded { .. } => "object.superseded",
            Self::EtagMismatch { .. } => "object.etag_mismatch",
            Self::Footer { source, .. } => source.code(),
            Self::NoMagic { .. } => "object.not_parquet",
            Self::TooSlow { .. } => "object.too_slow",
            Self::Call { source, .. } => match source {
                CallError::NotSent { .. } => "object.not_sent",
                CallError::Unavailable { .. } | CallError::Unanswered { .. } => "object.unavailable",
                CallError::Throttled { .. } | CallError::QuotaExceeded { .. } => "object.throttled",
                CallError::Denied { .. } => "object.denied",
                CallError::NotFound { .. } => "object.missing",
                CallError::Rejected { .. } => "object.refused",
                CallError::OutOfTime { .. } => "object.out_of_time",
            },
        }
    }

    /// What a person should do.
    pub fn remedy(&self) -> String {
        match self {
            Self::Copied { .. } => "First find out whether the original was loaded: look for the log line of this key. If it says \
                 `object.superseded`, or there is none, load the copy with `dms2bq load s3://…`. Delete the message only \
                 if the original was loaded. Where copies are how files arrive, set \"copies\": true in the mapping's \
                 source and redrive."
                .to_owned(),
            Self::Missing { .. } => {
                "Find out what removed it (a lifecycle rule, a TRUNCATE on the source, a person); restore it and redrive, or delete the message.".to_owned()
            }
            Self::Empty { .. } | Self::Superseded { .. } => "Nothing.".to_owned(),
            Self::EtagMismatch { .. } => "Compare the event with the object's versions; send a true event, or delete the message.".to_owned(),
            Self::Footer { source, .. } => source.remedy().to_string(),
            Self::NoMagic { .. } => {
                "Find out what wrote it, replace it with the file that DMS wrote, or delete the message.".to_owned()
            }
            Self::TooSlow { .. } => {
                "Give the function more time or memory (its network grows with it), or lower MaxFileSize of the DMS endpoint.".to_owned()
            }
            Self::Call { object, source } => match source {
                CallError::Denied { .. } => match source.without_aws_credentials() {
                    Some(remedy) => remedy.to_owned(),
                    None => format!(
                        "Grant the function's role s3:GetObject (and s3:GetObjectVersion) on {object}, and kms:Decrypt if the bucket has a key; \
                         without s3:ListBucket a missing object looks like a denied one."
                    ),
                },
                CallError::NotSent { .. }
                | CallError::Unavailable { .. }
                | CallError::Unanswered { .. }
                | CallError::Throttled { .. }
                | CallError::QuotaExceeded { .. }
                | CallError::NotFound { .. }
                | CallError::Rejected { .. }
                | CallError::OutOfTime { .. } => source.remedy().to_owned(),
            },
        }
    }
}
