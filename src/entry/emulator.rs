//! `dms2bq emulator`: the embedded BigQuery alone, for Google's clients.

use std::io::Write;
use std::net::IpAddr;
use std::path::PathBuf;
use std::str::FromStr;

use clap::Args;

use crate::emulator::{EmulatorError, Limits, Options, start};

/// Run the embedded BigQuery by itself, until Ctrl-C.
///
/// Prints its URL on standard output when it is ready. Nobody has to log in, so it listens on this machine
/// only, unless --host says otherwise.
#[derive(Debug, Clone, Args)]
pub struct EmulatorArgs {
    /// The address to listen on
    #[arg(long, value_name = "HOST", default_value = "127.0.0.1")]
    pub host: IpAddr,
    /// The port to listen on; 0 takes any free one
    #[arg(long, value_name = "PORT", default_value_t = 0)]
    pub port: u16,
    /// The folder that keeps tables and jobs; without it they are gone at the end
    #[arg(long, value_name = "DIR")]
    pub data: Option<PathBuf>,
    /// A dataset to start with, such as acme-dw.casino_a@asia-northeast3 (may be repeated)
    #[arg(long = "dataset", value_name = "PROJECT.DATASET[@LOCATION]")]
    pub datasets: Vec<DatasetArg>,
    /// Let a table change as often as it likes, which BigQuery does not
    #[arg(long)]
    pub no_limits: bool,
}

/// A dataset as the command line names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DatasetArg {
    project: String,
    dataset: String,
    location: String,
}

impl FromStr for DatasetArg {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (name, location) = text.split_once('@').unwrap_or((text, "US"));
        let (project, dataset) = name.rsplit_once('.').ok_or("write it as project.dataset@LOCATION")?;
        Ok(Self { project: project.to_owned(), dataset: dataset.to_owned(), location: location.to_owned() })
    }
}

/// Serves until Ctrl-C or SIGTERM.
///
/// # Errors
/// [`EmulatorError`] if the address, the folder or a dataset cannot be used.
pub async fn run(args: EmulatorArgs) -> Result<(), EmulatorError> {
    let limits = if args.no_limits { Limits::NONE } else { Limits::BIGQUERY };
    let options =
        Options { host: args.host, port: args.port, data_dir: args.data, limits, ..Options::default() };
    let running = start(options).await?;
    for DatasetArg { project, dataset, location } in &args.datasets {
        running.ensure_dataset(project, dataset, location).await?;
    }
    announce(running.base_url());
    stop_signal().await;
    running.shutdown().await;
    Ok(())
}

/// One line for scripts on standard output, the rest for people on standard error.
fn announce(url: &str) {
    let mut out = std::io::stdout();
    // Nobody reading is no reason to stop.
    let _unread = writeln!(out, "{url}").and_then(|()| out.flush());
    let help = format!(
        "The embedded BigQuery is ready; Ctrl-C stops it.\n\n\
         Google's clients find it by the environment:  export BIGQUERY_EMULATOR_HOST={url}\n\
         or in Python:  bigquery.Client(project=\"…\", credentials=AnonymousCredentials(),\n\
         \x20                              client_options={{\"api_endpoint\": \"{url}\"}})"
    );
    let _unread = writeln!(std::io::stderr(), "{help}");
}

/// Waits until somebody asks the process to end.
pub(super) async fn stop_signal() {
    let interrupt = tokio::signal::ctrl_c();
    #[cfg(unix)]
    {
        match tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate()) {
            Ok(mut terminate) => {
                tokio::select! {
                    _ = interrupt => {}
                    _ = terminate.recv() => {}
                }
            }
            Err(error) => {
                tracing::warn!(%error, "SIGTERM will not be noticed");
                let _interrupted = interrupt.await;
            }
        }
    }
    #[cfg(not(unix))]
    let _interrupted = interrupt.await;
}
