//! `bootstrap`, the Lambda function: AWS's runtime calls it, it calls [`dms2bq::entry::lambda`].

use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use dms2bq::cloud::google::install_crypto;
use dms2bq::config::{Config, names};
use dms2bq::entry::lambda::{InvocationError, SqsBatch};
use dms2bq::outcome::record::Chain;
use dms2bq::{entry, telemetry};
use lambda_runtime::{Diagnostic, LambdaEvent, service_fn};
use serde_json::value::RawValue;

/// What initialisation may spend on the network. Lambda gives it 10 s; what is not there by then is fetched by
/// the first invocation.
const INIT_NETWORK_BUDGET: Duration = Duration::from_secs(3);

#[tokio::main]
async fn main() -> ExitCode {
    telemetry::init(telemetry::Format::Json, Config::log_directives().as_deref(), "info");
    install_crypto();
    // An error is logged here and not returned: Rust would print it, and all output is lines of JSON.
    match run().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let reason = format!("{error:#}");
            tracing::error!(target: "dms2bq", code = "config.unusable", reason, "cannot run");
            ExitCode::FAILURE
        }
    }
}

async fn run() -> anyhow::Result<()> {
    let handler = Arc::new(start().await?);
    // Without mappings it runs all the same: the first invocation tries again, and says of each message what is wrong.
    let _said = handler.prefetch_mappings(INIT_NETWORK_BUDGET).await;
    lambda_runtime::run(service_fn(move |event: LambdaEvent<Box<RawValue>>| {
        let handler = Arc::clone(&handler);
        async move {
            let time = handler.time(event.context.deadline);
            let batch = SqsBatch::parse(&event.payload).map_err(diagnostic)?;
            handler.handle(batch, time).await.map_err(diagnostic)
        }
    }))
    .await
    .map_err(anyhow::Error::from_boxed)
}

async fn start() -> anyhow::Result<entry::lambda::Handler> {
    let config = Config::from_env()?;
    // Lambda's runtime crate would panic over its first missing variable.
    anyhow::ensure!(
        config.function.is_some(),
        "this is not Lambda ({} is not set), and bootstrap runs nowhere else; `dms2bq load` loads one object, and `dms2bq local` a \
         folder of them",
        names::FUNCTION
    );
    entry::assemble::handler(&config).await
}

/// Says with its code why a whole invocation fails, to the log and to Lambda.
fn diagnostic(error: InvocationError) -> Diagnostic {
    tracing::error!(target: "dms2bq", code = error.code(), reason = %Chain(&error), "the whole batch comes back");
    Diagnostic { error_type: error.code().to_owned(), error_message: error.to_string() }
}
