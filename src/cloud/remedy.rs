//! What a person should do about a failed call.

use super::CallError;

impl CallError {
    /// What a person should do about this failure of a call to `service`.
    pub fn remedy(&self, service: &str) -> String {
        match self {
            Self::NotSent { .. } => {
                format!("Nothing at once: it is tried again; if it lasts, check the way to {service} (DNS, proxy, VPC egress).")
            }
            Self::Unavailable { .. } | Self::Unanswered { .. } | Self::Throttled { .. } => {
                format!("Nothing: it is tried again; if it lasts, look at the status page of {service}.")
            }
            Self::QuotaExceeded { .. } => format!("Nothing at once: it is tried again for hours; look at the quotas of {service}."),
            Self::Denied { .. } => format!("Check the credentials and the permissions on {service}."),
            Self::NotFound { .. } => format!("Check that {service} and what the mapping names there exist."),
            Self::Rejected { .. } => {
                "Read the message: the mapping or the table asks for what the service does not take.".to_owned()
            }
            Self::OutOfTime { .. } => {
                "Nothing: the next receive goes on; if it lasts, give the function more time or fewer messages per batch.".to_owned()
            }
        }
    }
}
