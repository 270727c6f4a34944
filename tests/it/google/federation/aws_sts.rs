//! AWS's side of the agreement: who signed this call, and is the signature good?
//!
//! Written from AWS's description of Signature Version 4, and not by the crate that signs in the product.

use std::collections::BTreeMap;

use percent_encoding::percent_decode_str;
use serde_json::Value;
use sha2::{Digest, Sha256};

/// How far a signature's time may be from AWS's.
const TOLERANCE_MS: i64 = 5 * 60 * 1000;

/// A session of a role, as AWS knows it.
#[derive(Debug, Clone)]
pub(super) struct Session {
    pub(super) access_key_id: String,
    pub(super) secret_access_key: String,
    pub(super) session_token: Option<String>,
    pub(super) arn: String,
    pub(super) has_ended: bool,
}

/// A signed call, unpacked.
pub(super) struct Call {
    pub(super) url: reqwest::Url,
    pub(super) method: String,
    pub(super) headers: BTreeMap<String, String>,
}

impl Call {
    /// Reads a subject token: percent-encoded JSON.
    pub(super) fn read(subject_token: &str) -> Self {
        let text = percent_decode_str(subject_token).decode_utf8().expect("text");
        let call: Value = serde_json::from_str(&text).expect("JSON");
        let header = |header: &Value| {
            let text = |name: &str| header[name].as_str().expect("a text").to_owned();
            (text("key").to_lowercase(), text("value"))
        };
        Self {
            url: call["url"].as_str().and_then(|url| url.parse().ok()).expect("an address"),
            method: call["method"].as_str().expect("a method").to_owned(),
            headers: call["headers"].as_array().expect("headers").iter().map(header).collect(),
        }
    }

    pub(super) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", String::as_str)
    }

    /// The signed headers' names.
    pub(super) fn signed_headers(&self) -> Vec<&str> {
        self.part("SignedHeaders=").split(';').collect()
    }

    fn part(&self, name: &str) -> &str {
        let authorization = self.header("authorization");
        let (_, rest) = authorization.split_once(name).expect("a part of the signature");
        rest.split(',').next().expect("its value").trim()
    }

    /// Answers as AWS would: the caller's ARN, or AWS's words of refusal.
    pub(super) fn caller(&self, sessions: &[Session], now_ms: i64) -> Result<String, String> {
        let scope: Vec<&str> = self.part("Credential=").split('/').collect();
        let [key_id, day, region, "sts", "aws4_request"] = scope.as_slice() else {
            return Err("Credential should be scoped to correct service: 'sts'.".to_owned());
        };
        let session = sessions.iter().find(|session| session.access_key_id == *key_id);
        let session = session
            .filter(|session| {
                self.header("x-amz-security-token") == session.session_token.as_deref().unwrap_or("")
            })
            .ok_or("The security token included in the request is invalid")?;
        let signed_at = self.header("x-amz-date");
        let signed_ms = unix_ms(signed_at);
        if signed_ms + TOLERANCE_MS < now_ms {
            return Err(format!("Signature expired: {signed_at} is now earlier than the time allowed"));
        }
        if signed_ms - TOLERANCE_MS > now_ms {
            return Err(format!(
                "Signature not yet current: {signed_at} is still later than the time allowed"
            ));
        }
        let string_to_sign = format!(
            "AWS4-HMAC-SHA256\n{signed_at}\n{}\n{}",
            scope[1..].join("/"),
            hex(&Sha256::digest(self.canonical()))
        );
        let mut key = format!("AWS4{}", session.secret_access_key).into_bytes();
        for part in [*day, *region, "sts", "aws4_request"] {
            key = hmac(&key, part.as_bytes());
        }
        if hex(&hmac(&key, string_to_sign.as_bytes())) != self.part("Signature=") {
            // AWS repeats what it would have signed, the session's token included.
            return Err(format!(
                "The request signature we calculated does not match the signature you provided. The Canonical String \
                 for this request should have been '{}'",
                self.canonical()
            ));
        }
        if session.has_ended {
            return Err("The security token included in the request is expired".to_owned());
        }
        Ok(session.arn.clone())
    }

    fn canonical(&self) -> String {
        let mut query: Vec<String> = self.url.query().unwrap_or("").split('&').map(str::to_owned).collect();
        query.sort();
        let headers = self.signed_headers();
        let lines: String = headers.iter().map(|name| format!("{name}:{}\n", self.header(name))).collect();
        format!(
            "{}\n/\n{}\n{lines}\n{}\n{}",
            self.method,
            query.join("&"),
            headers.join(";"),
            hex(&Sha256::digest(""))
        )
    }
}

/// Reads `20221201T093015Z`.
fn unix_ms(amz_date: &str) -> i64 {
    let moment = jiff::civil::DateTime::strptime("%Y%m%dT%H%M%SZ", amz_date).expect("a date");
    moment.to_zoned(jiff::tz::TimeZone::UTC).expect("a moment").timestamp().as_millisecond()
}

fn hmac(key: &[u8], message: &[u8]) -> Vec<u8> {
    const BLOCK_BYTES: usize = 64;
    let mut block = [0_u8; BLOCK_BYTES];
    let key = if key.len() > BLOCK_BYTES { Sha256::digest(key).to_vec() } else { key.to_vec() };
    block[..key.len()].copy_from_slice(&key);
    let padded = |pad: u8| block.iter().map(|byte| byte ^ pad).collect::<Vec<u8>>();
    let inner = Sha256::digest([padded(0x36), message.to_vec()].concat());
    Sha256::digest([padded(0x5c), inner.to_vec()].concat()).to_vec()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
