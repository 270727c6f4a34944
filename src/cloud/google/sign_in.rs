//! Why there is no token, and what a person does about it.

use serde::Deserialize;

use crate::cloud::CallError;
use crate::cloud::call::SIGN_IN;
use crate::cloud::quote::one_line;

/// Words longer than this are not shown: no service's message needs them, and AWS's, about a signature that is wrong,
/// repeats what was signed, the session's token included.
const WORD_CHARS: usize = 100;

/// There is no token to send with a call to Google.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SignInError {
    /// Nothing says how to sign in.
    #[error(
        "no Google credentials: neither GOOGLE_APPLICATION_CREDENTIALS nor DMS2BQ_GOOGLE_PROVIDER is set, and gcloud has left none"
    )]
    NoCredentials,
    /// The credential file cannot be used.
    #[error("{detail}")]
    BadFile {
        /// Which file, and what is wrong with it.
        detail: String,
    },
    /// AWS gives this process no credentials, so there is nobody to vouch for.
    #[error("no AWS credentials to sign in to Google with ({detail})")]
    NoAwsCredentials {
        /// What the AWS SDK says.
        detail: String,
        /// Whether the source of credentials failed, rather than has none.
        may_pass: bool,
    },
    /// Google's service could not be reached, or failed.
    #[error("{service} could not be reached or failed ({detail})")]
    Unreachable {
        /// The host.
        service: String,
        /// The transport's error, or the status.
        detail: String,
    },
    /// Nothing came in time.
    #[error("{service} gave no token in time")]
    Slow {
        /// The host.
        service: String,
    },
    /// Google said no.
    #[error("{service} says no: {refusal} ({detail})")]
    Refused {
        /// The host.
        service: String,
        /// What is wrong.
        refusal: Refusal,
        /// Google's words, without anything long.
        detail: String,
    },
    /// The process has no thread left to sign in with, or the sign-in broke.
    #[error("the sign-in broke ({detail})")]
    Broken {
        /// What broke.
        detail: String,
    },
}

/// Which part of the agreement between AWS and Google is wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// AWS found the signature too old or too new.
    #[error("AWS finds the signature's time wrong, so the clock of this machine is off")]
    ClockOff,
    /// AWS's session has ended.
    #[error("the AWS credentials have expired")]
    AwsExpired,
    /// AWS does not know the key, or the signature is another's.
    #[error("AWS refuses the credentials")]
    AwsRefused,
    /// The provider's condition does not admit this role.
    #[error("the provider's attribute condition does not admit this AWS role")]
    Condition,
    /// No such pool or provider.
    #[error("there is no such provider")]
    NoProvider,
    /// The signed-in identity may not act as the service account.
    #[error("this AWS role may not act as the service account, or there is none of that name")]
    Impersonation,
    /// An API of the project is switched off.
    #[error("an API that signing in needs is not enabled")]
    ApiDisabled,
    /// Anything else.
    #[error("the sign-in was refused")]
    Other,
}

/// Which service is asked, for the same status means different things.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// The token service: AWS's identity against a federated token, or a key's signature against a token.
    Exchange,
    /// The IAM credentials service: a federated token against a service account's.
    Impersonation,
}

impl SignInError {
    /// The stable code.
    pub fn code(&self) -> &'static str {
        match self {
            Self::NoCredentials => "sign_in.no_credentials",
            Self::BadFile { .. } => "sign_in.bad_file",
            Self::NoAwsCredentials { .. } => "sign_in.no_aws_credentials",
            Self::Unreachable { .. } => "sign_in.unreachable",
            Self::Slow { .. } => "sign_in.slow",
            Self::Refused { refusal, .. } => refusal.code(),
            Self::Broken { .. } => "sign_in.broken",
        }
    }

    /// What a person should do.
    pub fn remedy(&self) -> &'static str {
        match self {
            Self::NoCredentials => {
                "set DMS2BQ_GOOGLE_PROVIDER to the workload identity provider, or GOOGLE_APPLICATION_CREDENTIALS to a file; on a \
                 machine of your own: gcloud auth application-default login"
            }
            Self::BadFile { .. } => {
                "make the file anew (`gcloud iam workload-identity-pools create-cred-config`), or sign in without \
                 one by DMS2BQ_GOOGLE_PROVIDER"
            }
            Self::NoAwsCredentials { .. } => {
                "run it where AWS gives credentials: a Lambda, ECS or EKS role, or `aws configure` on your machine"
            }
            Self::Unreachable { .. } | Self::Slow { .. } => {
                "let this machine reach that host by HTTPS (in a VPC: a NAT gateway, or HTTPS_PROXY; a proxy's own \
                 certificate goes into SSL_CERT_FILE)"
            }
            Self::Refused { refusal, .. } => refusal.remedy(),
            Self::Broken { .. } => "nothing, if it passes; else report it",
        }
    }

    /// Whether trying again may help without anybody doing anything.
    fn may_pass(&self) -> bool {
        match self {
            Self::NoAwsCredentials { may_pass, .. } => *may_pass,
            Self::Unreachable { .. } | Self::Slow { .. } | Self::Broken { .. } => true,
            Self::NoCredentials | Self::BadFile { .. } | Self::Refused { .. } => false,
        }
    }
}

impl Refusal {
    /// The stable code.
    pub fn code(self) -> &'static str {
        match self {
            Self::ClockOff => "sign_in.clock_off",
            Self::AwsExpired => "sign_in.aws_expired",
            Self::AwsRefused => "sign_in.aws_refused",
            Self::Condition => "sign_in.condition",
            Self::NoProvider => "sign_in.no_provider",
            Self::Impersonation => "sign_in.impersonation",
            Self::ApiDisabled => "sign_in.api_disabled",
            Self::Other => "sign_in.refused",
        }
    }

    /// What a person should do.
    pub fn remedy(self) -> &'static str {
        match self {
            Self::ClockOff => "set the clock of this machine (AWS allows some minutes)",
            Self::AwsExpired => {
                "nothing in Lambda, ECS and EKS, where AWS renews them; on your own machine sign in to AWS again"
            }
            Self::AwsRefused => {
                "see that the AWS credentials are those of the role (`aws sts get-caller-identity` with the same ones)"
            }
            Self::Condition => {
                "compare the function's role with the provider's attribute condition: \
                 `gcloud iam workload-identity-pools providers describe` shows it"
            }
            Self::NoProvider => {
                "compare DMS2BQ_GOOGLE_PROVIDER (in a file: `audience`) with the provider's `name`, and see that pool \
                 and provider are neither disabled nor deleted"
            }
            Self::Impersonation => {
                "grant roles/iam.workloadIdentityUser on the service account to the pool's principalSet for this role, \
                 and compare the service account's address"
            }
            Self::ApiDisabled => {
                "gcloud services enable sts.googleapis.com iamcredentials.googleapis.com iam.googleapis.com"
            }
            Self::Other => {
                "read the answer (if it is a proxy's, let the host through); roles and names are listed in docs/deploying.md"
            }
        }
    }
}

impl From<SignInError> for CallError {
    fn from(error: SignInError) -> Self {
        let told = format!("{}: {error}; {}", error.code(), error.remedy());
        if error.may_pass() {
            return Self::NotSent { call: SIGN_IN, source: told.into() };
        }
        Self::Denied { call: SIGN_IN, detail: told }
    }
}

/// What Google's answers to a sign-in look like: OAuth's errors from the token service, and Google's own from others.
#[derive(Deserialize)]
#[serde(untagged)]
enum Body {
    OAuth {
        error: String,
        #[serde(default)]
        error_description: String,
    },
    Google {
        error: GoogleError,
    },
}

#[derive(Deserialize)]
struct GoogleError {
    #[serde(default)]
    message: String,
}

/// Reads a refusal's body.
pub fn refused(step: Step, service: &str, body: &str) -> SignInError {
    let (error, message) = match serde_json::from_str(body) {
        Ok(Body::OAuth { error, error_description }) => (error, error_description),
        Ok(Body::Google { error }) => (String::new(), error.message),
        // A proxy's page, which says nothing about roles.
        Err(_) => {
            let (service, detail) = (service.to_owned(), shown(body));
            return SignInError::Refused { service, refusal: Refusal::Other, detail };
        }
    };
    let detail = if error.is_empty() { message.clone() } else { format!("{error}: {message}") };
    SignInError::Refused {
        service: service.to_owned(),
        refusal: refusal(step, &error, &message),
        detail: shown(&detail),
    }
}

/// AWS's words, which Google passes on, in lower case. (AWS's: <https://docs.aws.amazon.com/STS/latest/APIReference/CommonErrors.html>
/// and what STS answers in practice.)
const PHRASES: [(&str, Refusal); 13] = [
    ("invalid authentication credentials", Refusal::Other),
    ("signature expired", Refusal::ClockOff),
    ("signature not yet current", Refusal::ClockOff),
    ("requestexpired", Refusal::ClockOff),
    ("token included in the request is expired", Refusal::AwsExpired),
    ("expiredtoken", Refusal::AwsExpired),
    ("signaturedoesnotmatch", Refusal::AwsRefused),
    ("signature we calculated does not match", Refusal::AwsRefused),
    ("invalidclienttokenid", Refusal::AwsRefused),
    ("token included in the request is invalid", Refusal::AwsRefused),
    ("attribute condition", Refusal::Condition),
    ("has not been used in project", Refusal::ApiDisabled),
    ("api is not enabled", Refusal::ApiDisabled),
];

fn refusal(step: Step, error: &str, message: &str) -> Refusal {
    let lower = message.to_lowercase();
    if let Some((_, refusal)) = PHRASES.iter().find(|(phrase, _)| lower.contains(phrase)) {
        return *refusal;
    }
    match (step, error) {
        (Step::Exchange, "invalid_target") => Refusal::NoProvider,
        (Step::Impersonation, _) => Refusal::Impersonation,
        (Step::Exchange, _) => Refusal::Other,
    }
}

/// One line of somebody else's words, without those that are too long to be words, and without what AWS repeats of a
/// request.
pub(super) fn shown(text: &str) -> String {
    let told = text.split("The Canonical String").next().unwrap_or_default();
    let short =
        |word: &str| if word.chars().count() > WORD_CHARS { "…".to_owned() } else { word.to_owned() };
    let line = one_line(&told.split_whitespace().map(short).collect::<Vec<_>>().join(" "));
    if line.is_empty() { "no reason given".to_owned() } else { line }
}
