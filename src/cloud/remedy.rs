//! What a person should do about a failed call.

use super::CallError;

impl CallError {
    /// What a person should do about this failure of a call to `service`.
    pub fn remedy(&self, service: &str) -> String {
        match self {
            Self::NotSent { .. } => {
                format!("nothing at once: it is tried again; if it lasts, check the way to {service} (DNS, proxy, VPC egress)")
            }
            Self::Unavailable { .. } | Self::Unanswered { .. } | Self::Throttled { .. } => {
                format!("nothing: it is tried again; if it lasts, look at the status page of {service}")
            }
            Self::QuotaExceeded { .. } => format!("nothing at once: it is tried again for hours; look at the quotas of {service}"),
            Self::Denied { .. } => format!("check the credentials and the permissions on {service}"),
            Self::NotFound { .. } => format!("check that {service} and what the mapping names there exist"),
            Self::Rejected { .. } => {
                "read the message: the mapping or the table asks for what the service does not take".to_owned()
            }
            Self::OutOfTime { .. } => {
                "nothing: the next receive goes on; if it lasts, give the function more time or fewer messages per batch".to_owned()
            }
        }
    }
}
