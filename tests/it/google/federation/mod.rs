//! Signing in to Google by who we are in AWS, against stand-ins that check what AWS and Google check.

mod aws_sts;
mod refusals;
mod renewal;
mod signing;
mod stand_in;
mod surroundings;

use std::path::PathBuf;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use async_trait::async_trait;
use aws_credential_types::Credentials;
use aws_credential_types::provider::SharedCredentialsProvider;
use dms2bq::cloud::clock::SystemClock;
use dms2bq::cloud::google::{Access, AwsIdentity, BigQuery, Settings};
use dms2bq::cloud::{CallError, Clock, Warehouse};
use dms2bq::job::JobRecord;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::time::Instant;

use self::aws_sts::Session;
use self::stand_in::{ACCOUNT, AUDIENCE, Agreement, Ledger, StandIn, WorldClock, lambda_session};
use super::server::Server;
use super::{ample, job_ref, settings};

/// Whether a service account is acted as, or the role has Google's permissions itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    Direct,
    AsServiceAccount,
}

/// AWS, Google and the time in them.
struct World {
    server: Server,
    agreement: Arc<Mutex<Agreement>>,
    ledger: Arc<Mutex<Ledger>>,
    clock: WorldClock,
    folder: TempDir,
}

impl World {
    async fn new(agreement: Agreement) -> Self {
        let agreement = Arc::new(Mutex::new(agreement));
        let ledger = Arc::new(Mutex::new(Ledger::default()));
        let clock = Arc::new(AtomicI64::new(SystemClock.unix_ms() as i64));
        let stand_in = StandIn {
            agreement: Arc::clone(&agreement),
            ledger: Arc::clone(&ledger),
            clock: Arc::clone(&clock),
        };
        let server = Server::start(stand_in).await;
        Self { server, agreement, ledger, clock, folder: tempfile::tempdir().expect("a folder") }
    }

    fn agreement(&self) -> MutexGuard<'_, Agreement> {
        self.agreement.lock().expect("no test panics while it holds this")
    }

    fn ledger(&self) -> MutexGuard<'_, Ledger> {
        self.ledger.lock().expect("no test panics while it holds this")
    }

    fn exchanged(&self) -> usize {
        self.ledger().exchanged
    }

    fn impersonated(&self) -> usize {
        self.ledger().impersonated
    }

    /// An external_account file as `gcloud iam workload-identity-pools create-cred-config --aws` writes it, but for the
    /// two hosts. EC2's metadata service stands in it at an address that nobody has.
    fn file(&self, way: Way) -> Value {
        external_account(&self.server.url, way)
    }

    fn written(&self, file: &Value) -> PathBuf {
        let path = self.folder.path().join("external_account.json");
        std::fs::write(&path, file.to_string()).expect("written");
        path
    }

    fn settings(&self, way: Way) -> Settings {
        let file = self.written(&self.file(way));
        Settings { access: Access::CredentialFile(file), ..settings(&self.server) }
            .with_aws(Some(aws(&lambda_session())))
    }

    /// A client whose clock agrees with the world's.
    async fn client(&self, way: Way) -> BigQuery {
        self.client_with(self.settings(way)).await
    }

    async fn client_with(&self, settings: Settings) -> BigQuery {
        let clock = OurClock { world: Arc::clone(&self.clock), off_ms: 0, passed_ms: Arc::default() };
        BigQuery::new(settings, Arc::new(clock)).await.expect("a client needs no network")
    }
}

fn external_account(url: &str, way: Way) -> Value {
    let nowhere = "http://127.0.0.1:1/latest";
    let mut file = json!({
        "type": "external_account",
        "audience": AUDIENCE,
        "subject_token_type": "urn:ietf:params:aws:token-type:aws4_request",
        "token_url": format!("{url}/v1/token"),
        "credential_source": {
            "environment_id": "aws1",
            "region_url": format!("{nowhere}/meta-data/placement/availability-zone"),
            "url": format!("{nowhere}/meta-data/iam/security-credentials"),
            "imdsv2_session_token_url": format!("{nowhere}/api/token"),
            "regional_cred_verification_url":
                "https://sts.{region}.amazonaws.com?Action=GetCallerIdentity&Version=2011-06-15",
        },
    });
    if way == Way::AsServiceAccount {
        let path = format!("v1/projects/-/serviceAccounts/{ACCOUNT}:generateAccessToken");
        file["service_account_impersonation_url"] = format!("{url}/{path}").into();
    }
    file
}

fn credentials(session: &Session) -> Credentials {
    let token = session.session_token.clone();
    Credentials::new(&session.access_key_id, &session.secret_access_key, token, None, "test")
}

fn aws(session: &Session) -> AwsIdentity {
    AwsIdentity::new(SharedCredentialsProvider::new(credentials(session)), "ap-northeast-2")
}

/// This machine's clocks: the wall clock goes with the world's, or is off; the other one stands still unless it is moved.
struct OurClock {
    world: WorldClock,
    off_ms: i64,
    passed_ms: Arc<AtomicU64>,
}

#[async_trait]
impl Clock for OurClock {
    fn unix_ms(&self) -> u64 {
        (self.world.load(Ordering::SeqCst) + self.off_ms) as u64
    }

    fn now(&self) -> Instant {
        Instant::now() + Duration::from_millis(self.passed_ms.load(Ordering::SeqCst))
    }

    async fn sleep(&self, duration: Duration) {
        tokio::time::sleep(duration).await;
    }
}

async fn get(client: &BigQuery) -> Result<Option<JobRecord>, CallError> {
    client.get_job(&job_ref(), ample()).await
}

/// An error with all that it stems from, as the log shows it; and no secret in it, nor in what a programmer would print.
fn told(error: &CallError) -> String {
    let text = dms2bq::outcome::record::Chain(error).to_string();
    let session = lambda_session();
    let secrets = [
        session.secret_access_key.as_str(),
        session.session_token.as_deref().unwrap_or("?"),
        "Signature=",
        "-token-",
    ];
    for secret in secrets {
        assert!(!text.contains(secret), "a secret in {text}");
        assert!(!format!("{error:?}").contains(secret), "a secret in {error:?}");
    }
    text
}
