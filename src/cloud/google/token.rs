//! Access tokens: got once for everybody, kept, renewed ahead of time, and forgotten when Google refuses them.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use gcp_bigquery_client::auth::Authenticator;
use gcp_bigquery_client::error::BQError;
use tokio::time::Instant;

use super::credentials::{Plan, Source};
use super::impersonation::{Age, Lease, impersonate};
use super::settings::{Access, Settings};
use super::sign_in::SignInError;
use crate::cloud::{CallError, Clock, Deadline};

/// After an attempt to renew a token ahead of time the next one waits so long: the token at hand is still good.
const BETWEEN_RENEWALS: Duration = Duration::from_secs(10);

/// How long the one that renews a token ahead of time waits for it. A sign-in takes some 300 ms.
const RENEWAL_PATIENCE: Duration = Duration::from_secs(2);

/// `google-cloud-auth` measures a token's life by a clock that may stand still while a Lambda is frozen. If the wall
/// clock has gone on for this much longer, its token may be dead without its knowing.
const FROZEN: Duration = Duration::from_secs(30);

/// Makes ring the process's cryptography, for TLS and for signing tokens. Without one `google-cloud-auth` panics,
/// so this is called first thing in `main`, and again by every client, which does no harm.
pub fn install_crypto() {
    // An error says that one is installed already, which is all that is wanted.
    let _already_installed = rustls::crypto::ring::default_provider().install_default();
}

/// An access token, and which sign-in it came from.
pub(super) struct Token {
    /// The secret itself.
    pub(super) secret: String,
    /// Names the sign-in, so that a refused token is forgotten once and not its successor, too.
    pub(super) serial: u64,
}

/// The access tokens of one account.
///
/// Whoever finds no good token signs in; all others wait for that one sign-in and share what comes of it.
pub(super) struct Tokens {
    settings: Arc<Settings>,
    clock: Arc<dyn Clock>,
    held: Mutex<Held>,
    /// Held by whoever signs in.
    signing_in: tokio::sync::Mutex<()>,
}

#[derive(Default)]
struct Held {
    account: Option<Arc<Account>>,
    serial: u64,
    /// How many sign-ins have ended.
    ended: u64,
    /// Why the last of them failed, if it did.
    failure: Option<SignInError>,
    /// When the last renewal ahead of time began.
    renewal_began: Option<Instant>,
}

/// A sign-in that succeeded.
struct Account {
    serial: u64,
    kept: Kept,
    began: Instant,
    began_unix_ms: u64,
}

/// Who keeps the token.
enum Kept {
    /// Google's library, which renews it by itself.
    ByLibrary(Source),
    /// We, for a service account's.
    ByUs(Lease),
}

impl Tokens {
    /// Reads nothing yet: the first call for a token opens the file.
    pub(super) fn new(settings: Arc<Settings>, clock: Arc<dyn Clock>) -> Self {
        install_crypto();
        Self { settings, clock, held: Mutex::default(), signing_in: tokio::sync::Mutex::default() }
    }

    /// A token that should be good; `None` where none is needed.
    ///
    /// # Errors
    /// [`CallError::Denied`] if there are no usable credentials, [`CallError::NotSent`] if the network failed.
    pub(super) async fn get(&self, deadline: Deadline) -> Result<Option<Token>, CallError> {
        if self.settings.access == Access::Anonymous {
            return Ok(None);
        }
        match self.at_hand() {
            Some((token, Age::Ageing)) => return Ok(Some(self.renew_ahead(token, deadline).await)),
            Some((token, Age::Fresh | Age::Expired)) => return Ok(Some(token)),
            None => {}
        }
        let deadline = deadline.within(self.clock.as_ref(), self.settings.timings.token);
        Ok(Some(self.shared_sign_in(deadline).await?))
    }

    /// Drops the sign-in that gave a token which was refused, so that the next token is a fresh one.
    pub(super) fn forget(&self, serial: u64) {
        let mut held = self.held();
        if held.account.as_ref().is_some_and(|account| account.serial == serial) {
            held.account = None;
        }
    }

    fn at_hand(&self) -> Option<(Token, Age)> {
        let account = self.held().account.clone()?;
        let (secret, age) = account.token(self.clock.as_ref())?;
        Some((Token { secret, serial: account.serial }, age))
    }

    async fn shared_sign_in(&self, deadline: Deadline) -> Result<Token, SignInError> {
        let ended_before = self.held().ended;
        let turn = async {
            let _turn = self.signing_in.lock().await;
            if let Some((token, _age)) = self.at_hand() {
                return Ok(token);
            }
            if let Some(failure) = self.failure_since(ended_before) {
                return Err(failure);
            }
            self.sign_in(deadline).await
        };
        let slow = |_elapsed| SignInError::Slow { service: "Google's token service".to_owned() };
        tokio::time::timeout_at(deadline.instant(), turn).await.map_err(slow)?
    }

    /// Signs in, and keeps what comes of it. Only for whoever has the turn.
    async fn sign_in(&self, deadline: Deadline) -> Result<Token, SignInError> {
        let result = self.exchange(deadline).await;
        let mut held = self.held();
        held.ended += 1;
        match result {
            Ok((kept, secret)) => {
                held.serial += 1;
                let serial = held.serial;
                let (began, began_unix_ms) = (self.clock.now(), self.clock.unix_ms());
                held.failure = None;
                held.account = Some(Arc::new(Account { serial, kept, began, began_unix_ms }));
                Ok(Token { secret, serial })
            }
            Err(error) => {
                held.failure = Some(error.clone());
                Err(error)
            }
        }
    }

    async fn exchange(&self, deadline: Deadline) -> Result<(Kept, String), SignInError> {
        let plan = Plan::read(&self.settings.access).await?;
        let impersonation = plan.impersonation().map(|(url, seconds)| (url.to_owned(), seconds));
        let source = Source::start(plan, &self.settings, &self.clock)?;
        let secret = source.first(deadline).await?;
        let Some((url, seconds)) = impersonation else { return Ok((Kept::ByLibrary(source), secret)) };
        let lease =
            impersonate(&url, seconds, &secret, &self.settings, self.clock.as_ref(), deadline).await?;
        let secret = lease.secret.clone();
        // The federated token has done its work, and the library's task with it: the next sign-in gets its own.
        Ok((Kept::ByUs(lease), secret))
    }

    /// Renews a token that is still good. One caller does so, in its own time; all others go on with the one at hand, and so
    /// does this one if nothing comes of it soon. No task of ours is left when an invocation ends.
    async fn renew_ahead(&self, at_hand: Token, deadline: Deadline) -> Token {
        let Ok(_turn) = self.signing_in.try_lock() else { return at_hand };
        let now = self.clock.now();
        {
            let mut held = self.held();
            if held.renewal_began.is_some_and(|began| now < began + BETWEEN_RENEWALS) {
                return at_hand;
            }
            held.renewal_began = Some(now);
        }
        let soon = deadline.within(self.clock.as_ref(), RENEWAL_PATIENCE);
        // If it fails, the token at hand serves until it expires; whoever then signs in tells why that fails.
        match tokio::time::timeout_at(soon.instant(), self.sign_in(soon)).await {
            Ok(Ok(renewed)) => renewed,
            Ok(Err(_)) | Err(_) => at_hand,
        }
    }

    fn failure_since(&self, ended_before: u64) -> Option<SignInError> {
        let held = self.held();
        if held.ended > ended_before { held.failure.clone() } else { None }
    }

    fn held(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Account {
    fn token(&self, clock: &dyn Clock) -> Option<(String, Age)> {
        match &self.kept {
            Kept::ByLibrary(_) if self.slept(clock) => None,
            Kept::ByLibrary(source) => Some((source.current()?, Age::Fresh)),
            Kept::ByUs(lease) => match lease.age(clock.unix_ms()) {
                Age::Expired => None,
                age => Some((lease.secret.clone(), age)),
            },
        }
    }

    /// Whether the process was frozen since, and the clock that spans are measured by with it.
    fn slept(&self, clock: &dyn Clock) -> bool {
        let by_wall = Duration::from_millis(clock.unix_ms().saturating_sub(self.began_unix_ms));
        by_wall > clock.now().saturating_duration_since(self.began) + FROZEN
    }
}

/// The same tokens, for `gcp-bigquery-client`.
#[derive(Clone)]
pub(super) struct SharedTokens {
    pub(super) tokens: Arc<Tokens>,
    pub(super) clock: Arc<dyn Clock>,
}

#[async_trait]
impl Authenticator for SharedTokens {
    async fn access_token(&self) -> Result<String, BQError> {
        let soon = Deadline::at(self.clock.now() + self.tokens.settings.timings.token);
        match self.tokens.get(soon).await {
            Ok(Some(token)) => Ok(token.secret),
            // The crate sends an `Authorization` header always; an emulator takes any word.
            Ok(None) => Ok("emulator".to_owned()),
            Err(_) => Err(BQError::NoToken),
        }
    }
}
