//! The clocks of others, by the `Date` of their answers.

use std::sync::{Arc, Mutex, PoisonError};

use aws_sdk_sts::config::interceptors::BeforeDeserializationInterceptorContextRef;
use aws_sdk_sts::config::{ConfigBag, Intercept, RuntimeComponents};
use aws_sdk_sts::error::BoxError;

use crate::cloud::Clock;
use crate::cloud::clock::SystemClock;
use crate::entry::doctor::facts::ClockSeen;

/// Keeps the `Date` of the last answer of a client, and our own time when it came.
#[derive(Debug, Clone, Default)]
pub(super) struct DateHeader(Arc<Mutex<Option<(String, u64)>>>);

impl DateHeader {
    pub(super) fn compared(&self, of: &str) -> Option<ClockSeen> {
        let seen = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (date, our_unix_ms) = seen.as_ref()?;
        clock_seen(of, Some(date), *our_unix_ms)
    }
}

impl Intercept for DateHeader {
    fn name(&self) -> &'static str {
        "DateHeader"
    }

    fn read_before_deserialization(
        &self,
        context: &BeforeDeserializationInterceptorContextRef<'_>,
        _components: &RuntimeComponents,
        _config: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        if let Some(date) = context.response().headers().get("date") {
            let mut seen = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            *seen = Some((date.to_owned(), SystemClock.unix_ms()));
        }
        Ok(())
    }
}

/// Compares a server's `Date` with our clock when its answer came.
pub(super) fn clock_seen(of: &str, date: Option<&str>, our_unix_ms: u64) -> Option<ClockSeen> {
    let theirs = jiff::fmt::rfc2822::DateTimeParser::new().parse_timestamp(date?.trim()).ok()?;
    let ours = i64::try_from(our_unix_ms / 1_000).ok()?;
    Some(ClockSeen { of: of.to_owned(), ahead_secs: ours - theirs.as_second() })
}
