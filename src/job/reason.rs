//! What BigQuery's reasons mean for us: one table.
//!
//! Source: <https://cloud.google.com/bigquery/docs/error-messages>, and for the transient ones Google's own
//! clients. A job is judged by `errorResult.reason` alone; `errors` explains, it does not decide.

/// What a failed job's reason tells us to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// The same load may succeed as a new attempt, now.
    MayPass,
    /// It may pass if the table's schema has changed since the job was planned; otherwise it is for good.
    MayPassIfSchemaMoved,
    /// A quota of the day: a later receive tries again, this one makes no second job.
    NotSoon,
    /// We may not write there: said loudly, tried again by a later receive.
    Denied,
    /// The dataset is not there: said loudly, tried again by a later receive.
    DatasetMissing,
    /// This object, as it is, will never load.
    ForGood,
}

/// Whether the reason is the limit on how often a table may change, or on how many jobs may come at once.
pub fn is_rate_limit(reason: &str) -> bool {
    matches!(reason, "rateLimitExceeded" | "jobRateLimitExceeded")
}

/// Judges the reason of a job's `errorResult`.
///
/// An unknown reason is for good: a new one should reach a person, not a loop.
pub fn judge(reason: &str) -> Verdict {
    match reason {
        // Google's side had a hiccup. In a job's record the id is burnt, so a retry needs a new one.
        "backendError" | "internalError" | "jobBackendError" | "jobInternalError" | "tableUnavailable" => {
            Verdict::MayPass
        }
        // Too many changes of this table in ten seconds, or too many jobs at once.
        "rateLimitExceeded" | "jobRateLimitExceeded" => Verdict::MayPass,
        // In a record this does not speak of the job's id (that is the 409): two jobs created the table at once.
        "duplicate" => Verdict::MayPass,
        // Another load may have added the column that ours did not know of.
        "invalid" => Verdict::MayPassIfSchemaMoved,
        "quotaExceeded" => Verdict::NotSoon,
        "accessDenied" => Verdict::Denied,
        "notFound" => Verdict::DatasetMissing,
        // Among them `stopped` (somebody cancelled it), `invalidQuery`, `billingNotEnabled`, `blocked`,
        // `notImplemented`, `policyViolation`, `resourcesExceeded`, `responseTooLarge`, `resourceInUse`, `timeout`.
        _ => Verdict::ForGood,
    }
}
