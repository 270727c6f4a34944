//! `dms2bq`, the command line.

use std::process::ExitCode;

use clap::{CommandFactory, Parser, Subcommand};
use dms2bq::config::Config;
use dms2bq::entry::{check, emulator, local};
use dms2bq::telemetry;

/// Brings the Parquet files that AWS DMS writes to S3 into Google BigQuery: every row once.
///
/// See it work on this machine, without any cloud:
///
///   dms2bq local
///
/// Then write a mapping for your own bucket, and ask what would happen to one of its files:
///
///   dms2bq check
///   dms2bq explain s3://acme-landing/dms/casino-a/game/player/LOAD00000001.parquet
#[derive(Debug, Parser)]
#[command(version, arg_required_else_help = true, verbatim_doc_comment, max_term_width = 100)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Local(local::LocalArgs),
    Emulator(emulator::EmulatorArgs),
    Check(check::CheckArgs),
    /// Print a script that completes dms2bq's commands in your shell.
    ///
    /// For bash: `dms2bq completions bash > ~/.local/share/bash-completion/completions/dms2bq`
    #[command(verbatim_doc_comment)]
    Completions {
        /// Which shell.
        shell: clap_complete::Shell,
    },
}

#[tokio::main]
async fn main() -> ExitCode {
    let cli = Cli::parse();
    telemetry::init(telemetry::Format::Terminal, Config::log_directives().as_deref(), "off");
    dms2bq::cloud::google::install_crypto();
    let config = match Config::from_env() {
        Ok(config) => config,
        Err(error) => {
            eprintln!("error: {error} [{}]", error.code());
            return ExitCode::from(2);
        }
    };
    match cli.command {
        Command::Local(args) => local::run(args, &config).await,
        Command::Emulator(_args) => ExitCode::SUCCESS,
        Command::Check(_args) => ExitCode::SUCCESS,
        Command::Completions { shell } => {
            clap_complete::generate(shell, &mut Cli::command(), "dms2bq", &mut std::io::stdout());
            ExitCode::SUCCESS
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_well_formed() {
        Cli::command().debug_assert();
    }
}
