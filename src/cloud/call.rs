//! How a call to the outside fails, how an answer becomes a failure, and the one retry loop.

use std::fmt;
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::time::Duration;

use super::clock::{Clock, Deadline};

/// A call to a service failed. What matters is what may have happened all the same, and what to tell a person.
///
/// The default for the unknown is the careful one: an unclear answer to a write is
/// [`CallError::Unanswered`], never a plain failure.
#[derive(Debug, thiserror::Error)]
pub enum CallError {
    /// The request was never sent: no connection, or no token because the network failed.
    #[error("{call}: the request was not sent")]
    NotSent {
        /// What was being done, such as `jobs.get`.
        call: &'static str,
        /// The transport's error.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// A read had no usable answer: a time-out, a reset, a 5xx, a body that cannot be understood.
    #[error("{call}: no usable answer ({detail})")]
    Unavailable {
        /// What was being done.
        call: &'static str,
        /// The status and reason, or the transport's error, without secrets.
        detail: String,
    },
    /// A write had no usable answer: it may have happened.
    #[error("{call}: no usable answer, so it may have happened ({detail})")]
    Unanswered {
        /// What was being done.
        call: &'static str,
        /// The status and reason, or the transport's error, without secrets.
        detail: String,
    },
    /// The service asked for patience (429, `rateLimitExceeded`, S3's `SlowDown`); it did not happen.
    #[error("{call}: throttled ({detail})")]
    Throttled {
        /// What was being done.
        call: &'static str,
        /// The reason as the service gave it.
        detail: String,
        /// What the service asked us to wait, if it said.
        retry_after: Option<Duration>,
    },
    /// A quota of the day is used up (`quotaExceeded`); it did not happen.
    #[error("{call}: a quota is used up ({detail})")]
    QuotaExceeded {
        /// What was being done.
        call: &'static str,
        /// The message as the service gave it.
        detail: String,
    },
    /// The service refused us: credentials, token or permission.
    #[error("{call}: refused ({detail})")]
    Denied {
        /// What was being done.
        call: &'static str,
        /// The status and message.
        detail: String,
    },
    /// What the call is about does not exist, and the call has no answer for that.
    #[error("{call}: not found ({detail})")]
    NotFound {
        /// What was being done.
        call: &'static str,
        /// The message as the service gave it.
        detail: String,
    },
    /// The service understood the request and refuses it for good.
    #[error("{call}: rejected ({detail})")]
    Rejected {
        /// What was being done.
        call: &'static str,
        /// The status, reason and message.
        detail: String,
    },
    /// The invocation's time was up before an answer came. If `sent`, it may have happened.
    #[error("{call}: the time for this invocation was up")]
    OutOfTime {
        /// What was being done.
        call: &'static str,
        /// Whether any of a write was sent.
        sent: bool,
    },
}

/// The call that gets a token for Google, of which every other one may fail. Refused, it says nothing about what was asked.
pub const SIGN_IN: &str = "google.token";

/// How the failure begins where the AWS SDK found nothing to sign with.
pub(crate) const NO_AWS_CREDENTIALS: &str = "no AWS credentials";

impl CallError {
    /// What to do where the AWS SDK found nothing to sign with; `None` for every other failure. No right that is granted
    /// would mend it.
    pub fn without_aws_credentials(&self) -> Option<&'static str> {
        match self {
            Self::Denied { detail, .. } if detail.starts_with(NO_AWS_CREDENTIALS) => Some(
                "There are no AWS credentials here: set AWS_PROFILE, or sign in (`aws sso login`); a function, task or \
                 pod needs a role.",
            ),
            Self::Denied { .. }
            | Self::NotSent { .. }
            | Self::Unavailable { .. }
            | Self::Unanswered { .. }
            | Self::Throttled { .. }
            | Self::QuotaExceeded { .. }
            | Self::NotFound { .. }
            | Self::Rejected { .. }
            | Self::OutOfTime { .. } => None,
        }
    }

    /// Whether what was asked for may have been done although the call failed.
    pub fn may_have_happened(&self) -> bool {
        match self {
            Self::Unanswered { .. } => true,
            Self::OutOfTime { sent, .. } => *sent,
            Self::NotSent { .. }
            | Self::Unavailable { .. }
            | Self::Throttled { .. }
            | Self::QuotaExceeded { .. }
            | Self::Denied { .. }
            | Self::NotFound { .. }
            | Self::Rejected { .. } => false,
        }
    }

    /// Whether the same call may be made again at once: it did not happen, and what was in its way may pass.
    /// (An unanswered write is not among these: the caller looks first.)
    pub fn may_be_repeated(&self) -> bool {
        match self {
            Self::NotSent { .. } | Self::Unavailable { .. } | Self::Throttled { .. } => true,
            Self::Unanswered { .. }
            | Self::QuotaExceeded { .. }
            | Self::Denied { .. }
            | Self::NotFound { .. }
            | Self::Rejected { .. }
            | Self::OutOfTime { .. } => false,
        }
    }

    /// What a person should do about it.
    pub fn remedy(&self) -> &'static str {
        match self {
            Self::NotSent { .. } => {
                "The service could not be reached. Check the network, HTTPS_PROXY and NO_PROXY; \
                 the message comes back by itself."
            }
            Self::Unavailable { .. } | Self::Unanswered { .. } => {
                "Nothing, if it passes: the message comes back and the job is looked up first. \
                 If it stays, look at the service's status page."
            }
            Self::Throttled { .. } => {
                "Nothing, if it passes: the message comes back later. If it stays, lower the concurrency."
            }
            Self::QuotaExceeded { .. } => {
                "A quota of the day is used up. Wait for it to refill, or ask Google to raise it."
            }
            Self::Denied { .. } => {
                "Check the sign-in (DMS2BQ_GOOGLE_PROVIDER or GOOGLE_APPLICATION_CREDENTIALS) and the roles that the account has: \
                 nothing can load until they are right."
            }
            Self::NotFound { .. } => "Create what is missing, or correct its name in the mapping.",
            Self::Rejected { .. } => {
                "The service will refuse this request again. Read its message, correct the mapping or the file, \
                 then redrive the message."
            }
            Self::OutOfTime { .. } => {
                "Nothing: the message comes back. If it happens often, give the function more time or \
                 the batch fewer messages."
            }
        }
    }
}

/// What a call may do to the service.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effect {
    /// It changes nothing, so it may be repeated.
    Read,
    /// It may have happened although there is no answer.
    Write,
}

impl Effect {
    /// The failure of a call that got no usable answer: the careful default for everything unknown.
    pub fn no_answer(self, call: &'static str, detail: impl Into<String>) -> CallError {
        let detail = detail.into();
        match self {
            Self::Read => CallError::Unavailable { call, detail },
            Self::Write => CallError::Unanswered { call, detail },
        }
    }
}

/// An answer that is no success, as it came over the wire.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// The HTTP status. If a success carried an error in its body, the status that the error names.
    pub status: u16,
    /// The service's reason, such as `rateLimitExceeded`; empty if it gave none.
    pub reason: String,
    /// The service's message.
    pub message: String,
    /// `Retry-After`.
    pub retry_after: Option<Duration>,
}

/// Google answers 403 for these as it does for a missing permission, so the reason is looked at before the status.
/// (<https://cloud.google.com/bigquery/docs/error-messages>; S3 says `SlowDown` with a 503, SQS `RequestThrottled`
/// with a 403.)
const THROTTLING_REASONS: [&str; 7] = [
    "rateLimitExceeded",
    "userRateLimitExceeded",
    "jobRateLimitExceeded",
    "SlowDown",
    "RequestLimitExceeded",
    "RequestThrottled",
    "ThrottlingException",
];

/// Quotas of a day: waiting for seconds does not help.
const QUOTA_REASONS: [&str; 2] = ["quotaExceeded", "dailyLimitExceeded"];

/// Failures of the service that BigQuery sends with a 4xx.
const FAULT_REASONS: [&str; 5] =
    ["backendError", "internalError", "jobBackendError", "jobInternalError", "tableUnavailable"];

impl Refusal {
    /// What this answer means for the call: the one place where wire becomes error. What is not listed is
    /// treated as if no answer had come.
    pub fn into_error(self, call: &'static str, effect: Effect) -> CallError {
        let is_one_of = |reasons: &[&str]| reasons.contains(&self.reason.as_str());
        if is_one_of(&THROTTLING_REASONS) || self.status == 429 {
            return CallError::Throttled { call, detail: self.to_string(), retry_after: self.retry_after };
        }
        if is_one_of(&QUOTA_REASONS) {
            return CallError::QuotaExceeded { call, detail: self.to_string() };
        }
        if is_one_of(&FAULT_REASONS) {
            return effect.no_answer(call, self.to_string());
        }
        let detail = self.to_string();
        match self.status {
            // 407 is a proxy's: as final as a 401 until somebody changes the settings.
            401 | 403 | 407 => CallError::Denied { call, detail },
            // Not in Google's form, a 404 is a proxy's or a wrong address's, and says nothing about what is there.
            404 if self.reason != "notFound" => effect.no_answer(call, detail),
            404 => CallError::NotFound { call, detail },
            408 => effect.no_answer(call, detail),
            // 501 is a service (or an emulator) that will never do it.
            400..=499 | 501 => CallError::Rejected { call, detail },
            _ => effect.no_answer(call, detail),
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.status)?;
        if !self.reason.is_empty() {
            write!(f, " {}", self.reason)?;
        }
        if !self.message.is_empty() {
            write!(f, ": {}", self.message)?;
        }
        Ok(())
    }
}

/// Where the randomness of waits comes from: an argument, so that a simulation can be repeated.
#[derive(Clone)]
pub struct Jitter(Arc<dyn Fn() -> f64 + Send + Sync>);

impl Jitter {
    /// Takes numbers from a function; they are clamped to 0..=1.
    pub fn from_fn(next: impl Fn() -> f64 + Send + Sync + 'static) -> Self {
        Self(Arc::new(next))
    }

    /// Real randomness, from the standard library's hash seeds: good enough to spread waits, and for nothing else.
    pub fn random() -> Self {
        Self::from_fn(|| {
            let bits = RandomState::new().hash_one(0_u8) >> 11;
            bits as f64 / (1_u64 << 53) as f64
        })
    }

    /// No randomness: every wait has its full length.
    pub fn none() -> Self {
        Self::from_fn(|| 0.0)
    }

    /// A number from 0 to 1.
    pub fn draw(&self) -> f64 {
        (self.0)().clamp(0.0, 1.0)
    }

    /// Shortens a wait by up to half.
    pub fn shorten(&self, wait: Duration) -> Duration {
        wait.mul_f64(1.0 - self.draw() / 2.0)
    }
}

impl fmt::Debug for Jitter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Jitter")
    }
}

/// How often a call is made, and how long to wait in between.
///
/// Few and short: the queue's receives are the outer budget, and while we wait here a message is held up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tries {
    /// How often the call is made at most.
    pub most: u32,
    /// The wait after the first try; each further one is four times as long.
    pub first_wait: Duration,
    /// The longest wait; a service that asks for more is left alone for this time.
    pub longest_wait: Duration,
}

impl Tries {
    /// Three tries within about half a second: enough for a lost connection or one overloaded front end.
    pub const FEW: Self =
        Self { most: 3, first_wait: Duration::from_millis(100), longest_wait: Duration::from_secs(2) };

    /// The wait after a number of failed tries, before jitter.
    pub fn wait_after(&self, failed: u32) -> Duration {
        let factor = 4_u32.saturating_pow(failed.saturating_sub(1));
        self.first_wait.saturating_mul(factor).min(self.longest_wait)
    }

    /// The wait before the next try; `None` if there should be none in this receive.
    fn wait_before_next(&self, failed: u32, error: &CallError, jitter: &Jitter) -> Option<Duration> {
        if failed >= self.most || !error.may_be_repeated() {
            return None;
        }
        match error {
            CallError::Throttled { retry_after: Some(asked), .. } => {
                (*asked <= self.longest_wait).then_some(*asked)
            }
            _ => Some(jitter.shorten(self.wait_after(failed))),
        }
    }
}

/// Makes a call until it succeeds, fails in a way that no repetition mends, or the tries or the time are used up.
///
/// # Errors
/// The last failure.
pub async fn repeat<T, Call, Answer>(
    tries: Tries,
    clock: &dyn Clock,
    jitter: &Jitter,
    deadline: Deadline,
    mut call: Call,
) -> Result<T, CallError>
where
    Call: FnMut() -> Answer,
    Answer: Future<Output = Result<T, CallError>>,
{
    let mut failed = 0;
    loop {
        let error = match call().await {
            Ok(answer) => return Ok(answer),
            Err(error) => error,
        };
        failed += 1;
        match tries.wait_before_next(failed, &error, jitter) {
            Some(wait) if wait < deadline.left(clock) => clock.sleep(wait).await,
            Some(_) | None => return Err(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};
    use std::sync::{Mutex, PoisonError};

    use async_trait::async_trait;
    use tokio::time::Instant;

    use super::*;

    fn refusal(status: u16, reason: &str) -> Refusal {
        Refusal { status, reason: reason.to_owned(), message: String::new(), retry_after: None }
    }

    fn variant(error: &CallError) -> String {
        format!("{error:?}").split(' ').next().unwrap_or_default().to_owned()
    }

    #[test]
    fn an_answer_means_what_its_reason_says_and_then_what_its_status_says() {
        let cases = [
            (403, "rateLimitExceeded", "Throttled", "Throttled"),
            (403, "userRateLimitExceeded", "Throttled", "Throttled"),
            (400, "jobRateLimitExceeded", "Throttled", "Throttled"),
            (503, "SlowDown", "Throttled", "Throttled"),
            (429, "", "Throttled", "Throttled"),
            (403, "quotaExceeded", "QuotaExceeded", "QuotaExceeded"),
            (400, "jobBackendError", "Unavailable", "Unanswered"),
            (400, "tableUnavailable", "Unavailable", "Unanswered"),
            (401, "", "Denied", "Denied"),
            (403, "accessDenied", "Denied", "Denied"),
            (403, "", "Denied", "Denied"),
            (407, "", "Denied", "Denied"),
            (404, "notFound", "NotFound", "NotFound"),
            (408, "", "Unavailable", "Unanswered"),
            (400, "invalid", "Rejected", "Rejected"),
            (409, "duplicate", "Rejected", "Rejected"),
            (413, "", "Rejected", "Rejected"),
            (501, "notImplemented", "Rejected", "Rejected"),
            (500, "", "Unavailable", "Unanswered"),
            (502, "", "Unavailable", "Unanswered"),
            (503, "backendError", "Unavailable", "Unanswered"),
            // Nothing that we know: the careful default.
            (302, "", "Unavailable", "Unanswered"),
            (200, "", "Unavailable", "Unanswered"),
            (0, "", "Unavailable", "Unanswered"),
            (999, "", "Unavailable", "Unanswered"),
        ];
        for (status, reason, read, write) in cases {
            let of = |effect| variant(&refusal(status, reason).into_error("call", effect));
            assert_eq!(of(Effect::Read), read, "{status} {reason}, reading");
            assert_eq!(of(Effect::Write), write, "{status} {reason}, writing");
        }
    }

    #[test]
    fn only_an_unanswered_write_may_have_happened() {
        for status in 0..=999 {
            assert!(!refusal(status, "").into_error("call", Effect::Read).may_have_happened());
            let error = refusal(status, "").into_error("call", Effect::Write);
            assert_eq!(error.may_have_happened(), variant(&error) == "Unanswered", "{status}");
            assert!(
                !(error.may_have_happened() && error.may_be_repeated()),
                "a write is not repeated blindly"
            );
        }
    }

    /// A clock on which only waiting takes time.
    struct Waits {
        begun: Instant,
        waited: Mutex<Duration>,
    }

    impl Waits {
        fn waited(&self) -> Duration {
            *self.waited.lock().unwrap_or_else(PoisonError::into_inner)
        }
    }

    #[async_trait]
    impl Clock for Waits {
        fn unix_ms(&self) -> u64 {
            0
        }

        fn now(&self) -> Instant {
            self.begun + self.waited()
        }

        async fn sleep(&self, duration: Duration) {
            *self.waited.lock().unwrap_or_else(PoisonError::into_inner) += duration;
        }
    }

    /// Fails a few times, and says how often it was tried and how long that took.
    async fn tried(failures: u32, error: fn() -> CallError, left: Duration) -> (bool, u32, Duration) {
        let tries = AtomicU32::new(0);
        let clock = Waits { begun: Instant::now(), waited: Mutex::default() };
        let deadline = Deadline::at(clock.begun + left);
        let done = repeat(Tries::FEW, &clock, &Jitter::none(), deadline, || async {
            if tries.fetch_add(1, Ordering::Relaxed) < failures { Err(error()) } else { Ok(()) }
        })
        .await;
        (done.is_ok(), tries.into_inner(), clock.waited())
    }

    fn unavailable() -> CallError {
        Effect::Read.no_answer("call", "")
    }

    fn patient(seconds: u64) -> CallError {
        let wait = Some(Duration::from_secs(seconds));
        Refusal { retry_after: wait, ..refusal(429, "") }.into_error("call", Effect::Read)
    }

    const MINUTE: Duration = Duration::from_secs(60);

    #[tokio::test]
    async fn what_may_pass_is_tried_three_times_with_longer_and_longer_waits() {
        assert_eq!(tried(0, unavailable, MINUTE).await, (true, 1, Duration::ZERO));
        assert_eq!(tried(1, unavailable, MINUTE).await, (true, 2, Duration::from_millis(100)));
        assert_eq!(tried(2, unavailable, MINUTE).await, (true, 3, Duration::from_millis(500)));
        assert_eq!(tried(3, unavailable, MINUTE).await, (false, 3, Duration::from_millis(500)));
    }

    #[tokio::test]
    async fn what_will_not_pass_or_may_have_happened_is_tried_once() {
        assert_eq!(
            tried(1, || Effect::Write.no_answer("call", ""), MINUTE).await,
            (false, 1, Duration::ZERO)
        );
        assert_eq!(tried(1, || refusal(400, "").into_error("call", Effect::Read), MINUTE).await.1, 1);
        assert_eq!(tried(1, || refusal(403, "").into_error("call", Effect::Read), MINUTE).await.1, 1);
    }

    #[tokio::test]
    async fn a_wait_is_as_long_as_was_asked_for_or_not_begun() {
        assert_eq!(tried(1, || patient(2), MINUTE).await, (true, 2, Duration::from_secs(2)));
        assert_eq!(tried(1, || patient(3), MINUTE).await, (false, 1, Duration::ZERO));
        assert_eq!(tried(1, unavailable, Duration::from_millis(50)).await, (false, 1, Duration::ZERO));
    }

    #[test]
    fn jitter_shortens_a_wait_by_half_at_most() {
        let wait = Duration::from_secs(2);
        assert_eq!(Jitter::none().shorten(wait), wait);
        assert_eq!(Jitter::from_fn(|| 7.0).shorten(wait), wait / 2);
        let random = Jitter::random();
        let waits: Vec<Duration> = (0..100).map(|_| random.shorten(wait)).collect();
        assert!(waits.iter().all(|shorter| *shorter >= wait / 2 && *shorter <= wait));
        assert!(waits.iter().any(|shorter| *shorter != waits[0]), "random numbers differ");
    }
}
