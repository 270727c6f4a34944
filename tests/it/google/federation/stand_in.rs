//! Google's side: the token service, the IAM credentials service, and a BigQuery that takes no token but theirs.
//!
//! It checks what Google documents that it checks: AWS's signature (see `aws_sts`), that the signature covers the provider's
//! name and the host, the audience, the attribute condition; then the right to act as the service account; and each token's
//! life. Its tokens expire by a clock that the tests move.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};

use super::aws_sts::{Call, Session};
use crate::google::server::{Reply, Request, Script};
use crate::google::{error, job};

pub(super) const AUDIENCE: &str = "//iam.googleapis.com/projects/123456789012/locations/global/workloadIdentityPools/dms2bq/providers/aws-lambda";
pub(super) const ROLE: &str = "arn:aws:sts::123456789012:assumed-role/dms2bq-function/dms2bq";
pub(super) const ACCOUNT: &str = "dms2bq@acme-dw.iam.gserviceaccount.com";

/// A clock of the world outside, in milliseconds since 1970.
pub(super) type WorldClock = Arc<AtomicI64>;

/// What the world knows and what happened in it.
#[derive(Debug, Default)]
pub(super) struct Ledger {
    /// Federated tokens handed out.
    pub(super) exchanged: usize,
    /// A service account's tokens handed out.
    pub(super) impersonated: usize,
    /// Calls of BigQuery with a good token, and with another.
    pub(super) served: usize,
    pub(super) refused: usize,
    /// When each token dies.
    lives: BTreeMap<String, i64>,
}

impl Ledger {
    /// From now on no token is good that was handed out before.
    pub(super) fn forget_tokens(&mut self) {
        self.lives.clear();
    }
}

/// How the stand-in is set up.
#[derive(Debug, Clone)]
pub(super) struct Agreement {
    pub(super) sessions: Vec<Session>,
    /// The attribute condition: the ARN that is let in begins so.
    pub(super) admitted: String,
    /// Whether whoever is let in may act as the service account.
    pub(super) may_impersonate: bool,
    pub(super) life_seconds: i64,
    /// How often both services fail before they serve.
    pub(super) hiccups: [usize; 2],
    /// What these two do instead, if anything.
    pub(super) exchange_fault: Option<Reply>,
    pub(super) impersonation_fault: Option<Reply>,
}

impl Default for Agreement {
    fn default() -> Self {
        Self {
            sessions: vec![lambda_session()],
            admitted: "arn:aws:sts::123456789012:assumed-role/dms2bq-function/".to_owned(),
            may_impersonate: true,
            life_seconds: 3600,
            hiccups: [0; 2],
            exchange_fault: None,
            impersonation_fault: None,
        }
    }
}

/// What Lambda's environment would hold.
pub(super) fn lambda_session() -> Session {
    Session {
        access_key_id: "ASIAEXAMPLEFUNCTION0".to_owned(),
        secret_access_key: "secret/of+the/function/in/AWS/1234567890".to_owned(),
        session_token: Some("FwoGZXIvYXdzEXAMPLEsessiontoken//////////w==+of/the+function".to_owned()),
        arn: ROLE.to_owned(),
        has_ended: false,
    }
}

pub(super) struct StandIn {
    pub(super) agreement: Arc<Mutex<Agreement>>,
    pub(super) ledger: Arc<Mutex<Ledger>>,
    pub(super) clock: WorldClock,
}

impl Script for StandIn {
    fn reply(&mut self, request: &Request) -> Reply {
        if self.hiccup(request) {
            return Reply::text(503, "text/html", "<title>503</title>");
        }
        let agreement = self.agreement.lock().expect("no test panics while it holds this").clone();
        let mut ledger = self.ledger.lock().expect("no test panics while it holds this");
        let now_ms = self.clock.load(Ordering::SeqCst);
        if request.target == "/v1/token" {
            let fault = agreement.exchange_fault.clone();
            return fault.unwrap_or_else(|| exchange(request, &agreement, &mut ledger, now_ms));
        }
        if request.target.ends_with(":generateAccessToken") {
            let fault = agreement.impersonation_fault.clone();
            return fault.unwrap_or_else(|| impersonate(request, &agreement, &mut ledger, now_ms));
        }
        let token = bearer(request);
        let is_good = ledger.lives.get(token).is_some_and(|dies_ms| now_ms < *dies_ms);
        if is_good {
            ledger.served += 1;
            return Reply::json(200, &job("DONE"));
        }
        ledger.refused += 1;
        Reply::json(401, &error(401, "authError", "Invalid Credentials"))
    }
}

impl StandIn {
    /// Whether this request meets one of the failures that were ordered.
    fn hiccup(&self, request: &Request) -> bool {
        let mut agreement = self.agreement.lock().expect("no test panics while it holds this");
        let [exchange, impersonation] = &mut agreement.hiccups;
        let left = if request.target == "/v1/token" {
            exchange
        } else if request.target.ends_with(":generateAccessToken") {
            impersonation
        } else {
            return false;
        };
        let is_due = *left > 0;
        *left = left.saturating_sub(1);
        is_due
    }
}

fn bearer(request: &Request) -> &str {
    request.header("authorization").and_then(|value| value.strip_prefix("Bearer ")).unwrap_or_default()
}

fn oauth_error(error: &str, description: &str) -> Reply {
    Reply::json(400, &json!({"error": error, "error_description": description}))
}

fn exchange(request: &Request, agreement: &Agreement, ledger: &mut Ledger, now_ms: i64) -> Reply {
    let body = std::str::from_utf8(&request.body).expect("a form is text");
    let form: BTreeMap<String, String> = form_fields(body);
    assert_eq!(form["grant_type"], "urn:ietf:params:oauth:grant-type:token-exchange");
    assert_eq!(form["requested_token_type"], "urn:ietf:params:oauth:token-type:access_token");
    assert_eq!(form["subject_token_type"], "urn:ietf:params:aws:token-type:aws4_request");
    if form["audience"] != AUDIENCE {
        let description = "The target service indicated by the \"audience\" parameters is invalid. This might either be \
                           because the pool or provider is disabled or deleted or because it doesn't exist.";
        return oauth_error("invalid_target", description);
    }
    let call = Call::read(&form["subject_token"]);
    if let Some(wrong) = wrong_call(&call) {
        return oauth_error("invalid_grant", &wrong);
    }
    let arn = match call.caller(&agreement.sessions, now_ms) {
        Ok(arn) => arn,
        // How Google wraps AWS's words is not documented; the words are AWS's.
        Err(words) => {
            return oauth_error("invalid_grant", &format!("Received invalid AWS response: \"{words}\""));
        }
    };
    if !arn.starts_with(&agreement.admitted) {
        return oauth_error(
            "unauthorized_client",
            "The given credential is rejected by the attribute condition.",
        );
    }
    ledger.exchanged += 1;
    let token = format!("federated-token-{}", ledger.exchanged);
    ledger.lives.insert(token.clone(), now_ms + agreement.life_seconds * 1000);
    Reply::json(
        200,
        &json!({
            "access_token": token,
            "issued_token_type": "urn:ietf:params:oauth:token-type:access_token",
            "token_type": "Bearer",
            "expires_in": agreement.life_seconds,
        }),
    )
}

/// What Google demands of the call before it sends it to AWS.
fn wrong_call(call: &Call) -> Option<String> {
    let host = call.url.host_str().unwrap_or_default();
    let is_sts = call.url.scheme() == "https" && host.starts_with("sts.") && host.ends_with(".amazonaws.com");
    let action = call.url.query().unwrap_or_default();
    let signed = call.signed_headers();
    let must_be_signed = ["host", "x-amz-date", "x-goog-cloud-target-resource"];
    if !is_sts || action != "Action=GetCallerIdentity&Version=2011-06-15" || call.method != "POST" {
        return Some(format!("Invalid AWS call: {} {}", call.method, call.url));
    }
    if call.header("host") != host || call.header("x-goog-cloud-target-resource") != AUDIENCE {
        return Some("Invalid host or x-goog-cloud-target-resource".to_owned());
    }
    let unsigned = must_be_signed.iter().find(|name| !signed.contains(*name));
    unsigned.map(|name| format!("{name} is not signed"))
}

fn impersonate(request: &Request, agreement: &Agreement, ledger: &mut Ledger, now_ms: i64) -> Reply {
    let is_known = ledger.lives.get(bearer(request)).is_some_and(|dies_ms| now_ms < *dies_ms);
    if !is_known || !bearer(request).starts_with("federated-") {
        return Reply::json(401, &error(401, "authError", "Request had invalid authentication credentials."));
    }
    if !request.target.contains(ACCOUNT) || !agreement.may_impersonate {
        let message =
            "Permission 'iam.serviceAccounts.getAccessToken' denied on resource (or it may not exist).";
        return Reply::json(403, &error(403, "forbidden", message));
    }
    let body: Value = serde_json::from_slice(&request.body).expect("JSON");
    assert_eq!(body["scope"], json!(["https://www.googleapis.com/auth/bigquery"]));
    assert_eq!(body["lifetime"], "3600s");
    ledger.impersonated += 1;
    let token = format!("account-token-{}", ledger.impersonated);
    let dies_ms = now_ms + agreement.life_seconds * 1000;
    ledger.lives.insert(token.clone(), dies_ms);
    let moment = |ms: i64| jiff::Timestamp::from_millisecond(ms).expect("a moment");
    let date = moment(now_ms).strftime("%a, %d %b %Y %H:%M:%S GMT").to_string();
    let expires = moment(dies_ms).strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
    Reply::json(200, &json!({"accessToken": token, "expireTime": expires})).with("date", date)
}

/// Reads a form.
fn form_fields(body: &str) -> BTreeMap<String, String> {
    let url = reqwest::Url::parse(&format!("http://form.invalid/?{body}")).expect("a form");
    url.query_pairs().map(|(name, value)| (name.into_owned(), value.into_owned())).collect()
}
