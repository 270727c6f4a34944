//! Acting as a service account: a federated token against one of the account's own
//! (<https://cloud.google.com/iam/docs/reference/credentials/rest/v1/projects.serviceAccounts/generateAccessToken>).

use std::time::Duration;

use reqwest::Url;
use reqwest::header::DATE;
use serde::Deserialize;
use serde_json::json;

use super::credentials::{SCOPE, host};
use super::settings::Settings;
use super::sign_in::{SignInError, Step, refused, shown};
use super::wire::{Answer, Lost, client_for, whole_answer};
use crate::cloud::quote::chain;
use crate::cloud::{Clock, Deadline};

/// A token is renewed so long before it expires, if it lives long enough; `google-cloud-auth` does the same.
const AHEAD: Duration = Duration::from_secs(240);

/// One that lives for less is renewed when a fifth of its life is left.
const AHEAD_SHARE: u32 = 5;

/// Google gives tokens for at most twelve hours, so a longer life is a mistake of somebody's clock.
const LONGEST_LIFE: Duration = Duration::from_secs(12 * 60 * 60);

/// A service account's token, and for how long it is good.
#[derive(Clone)]
pub(super) struct Lease {
    pub(super) secret: String,
    renew_unix_ms: u64,
    expires_unix_ms: u64,
}

/// How good a lease is at a moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Age {
    /// Nothing to do.
    Fresh,
    /// Good, and to be renewed.
    Ageing,
    /// No longer good.
    Expired,
}

impl Lease {
    fn new(secret: String, life: Duration, now_unix_ms: u64) -> Self {
        let life = life.min(LONGEST_LIFE);
        let ahead = AHEAD.min(life / AHEAD_SHARE);
        let after = |span: Duration| now_unix_ms.saturating_add(u64::try_from(span.as_millis()).unwrap_or(0));
        Self { secret, renew_unix_ms: after(life - ahead), expires_unix_ms: after(life) }
    }

    /// By the wall clock, for the other one may stand still while a Lambda is frozen.
    pub(super) fn age(&self, now_unix_ms: u64) -> Age {
        if now_unix_ms >= self.expires_unix_ms {
            Age::Expired
        } else if now_unix_ms >= self.renew_unix_ms {
            Age::Ageing
        } else {
            Age::Fresh
        }
    }
}

/// Asks for the service account's token; a few times, if what is in the way may pass.
///
/// # Errors
/// Why there is none, or none in time.
pub(super) async fn impersonate(
    url: &str,
    lifetime_seconds: u32,
    federated: &str,
    settings: &Settings,
    clock: &dyn Clock,
    deadline: Deadline,
) -> Result<Lease, SignInError> {
    let service = host(url);
    let parsed = Url::parse(url).map_err(|error| SignInError::BadFile {
        detail: format!("service_account_impersonation_url is no address: {error}"),
    })?;
    let client =
        client_for(&parsed, settings).map_err(|error| SignInError::Broken { detail: chain(&error) })?;
    let body = json!({"scope": [SCOPE], "lifetime": format!("{lifetime_seconds}s")});
    let mut failed = 0;
    loop {
        let request = client.post(parsed.clone()).bearer_auth(federated).json(&body);
        let asked = async { whole_answer(request.send().await?).await };
        let slow = || SignInError::Slow { service: service.clone() };
        let answer = tokio::time::timeout_at(deadline.instant(), asked).await.map_err(|_| slow())?;
        let error = match understood(answer, &service, clock) {
            Ok(lease) => return Ok(lease),
            Err(error) => error,
        };
        failed += 1;
        let wait = settings.jitter.shorten(settings.tries.wait_after(failed));
        let may_pass = matches!(error, SignInError::Unreachable { .. });
        if !may_pass || failed >= settings.tries.most || wait >= deadline.left(clock) {
            return Err(error);
        }
        clock.sleep(wait).await;
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Granted {
    access_token: String,
    expire_time: String,
}

fn understood(answer: Result<Answer, Lost>, service: &str, clock: &dyn Clock) -> Result<Lease, SignInError> {
    let unreachable = |detail: String| SignInError::Unreachable { service: service.to_owned(), detail };
    let answer = answer.map_err(|lost| unreachable(lost.to_string()))?;
    let text = String::from_utf8_lossy(&answer.body);
    match answer.status {
        200..=299 => {}
        408 | 429 | 500..=599 => return Err(unreachable(shown(&format!("{} {text}", answer.status)))),
        _ => return Err(refused(Step::Impersonation, service, &text)),
    }
    let granted: Granted = serde_json::from_slice(&answer.body)
        .map_err(|_| unreachable(format!("{} without a token", answer.status)))?;
    let expires: jiff::Timestamp =
        granted.expire_time.parse().map_err(|_| unreachable("a token without an end".to_owned()))?;
    let sent = answer.headers.get(DATE).and_then(|value| value.to_str().ok());
    let sent_ms = sent
        .and_then(|value| jiff::fmt::rfc2822::parse(value).ok())
        .map(|moment| moment.timestamp().as_millisecond());
    // By Google's clock on both ends, so that ours may be off by the minutes that AWS allows.
    let now_unix_ms = clock.unix_ms();
    let now_ms = sent_ms.unwrap_or_else(|| i64::try_from(now_unix_ms).unwrap_or(i64::MAX));
    let life_ms = u64::try_from(expires.as_millisecond().saturating_sub(now_ms)).unwrap_or(0);
    Ok(Lease::new(granted.access_token, Duration::from_millis(life_ms), now_unix_ms))
}
