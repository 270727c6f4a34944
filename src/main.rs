//! `dms2bq`, the command line.

use std::io::{self, Write};
use std::process::ExitCode;

use anyhow::Context;
use clap::{CommandFactory, Parser, Subcommand};
use dms2bq::config::{Config, MappingsLocation};
use dms2bq::entry::stdout::{is_closed, stdout};
use dms2bq::entry::{
    assemble, check, diff, dms_rules, doctor, emulator, explain, load, local, probe, publish,
};
use dms2bq::route::{MappingFile, Mappings};
use dms2bq::telemetry;

/// The exit code of "could not even begin", as clap uses it for a command line it cannot read.
const EXIT_USAGE: u8 = 2;

/// The exit code of an answer that nobody read to its end: as of a program that the signal ends (128 + SIGPIPE), since
/// what was cut off may have been an error.
const EXIT_UNREAD: u8 = 141;

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
///
/// The environment says where things are: DMS2BQ_MAPPINGS (a file, a folder or s3://bucket/prefix; default
/// `mappings`), GOOGLE_APPLICATION_CREDENTIALS or BIGQUERY_EMULATOR_HOST, and what every AWS SDK reads.
#[derive(Debug, Parser)]
#[command(name = "dms2bq", version, arg_required_else_help = true, verbatim_doc_comment)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Local(local::LocalArgs),
    Explain(explain::ExplainArgs),
    Check(check::CheckArgs),
    DmsRules(dms_rules::DmsRulesArgs),
    Diff(diff::DiffArgs),
    Publish(publish::PublishArgs),
    Load(load::LoadArgs),
    Doctor(doctor::DoctorArgs),
    Probe(probe::ProbeArgs),
    Emulator(emulator::EmulatorArgs),
    /// Print a script that completes dms2bq's commands in your shell
    ///
    /// For bash:
    ///
    ///   dms2bq completions bash > ~/.local/share/bash-completion/completions/dms2bq
    #[command(verbatim_doc_comment)]
    Completions {
        /// Which shell
        shell: clap_complete::Shell,
    },
}

#[tokio::main]
async fn main() -> ExitCode {
    let cli = Cli::parse();
    telemetry::init(
        telemetry::Format::Terminal,
        Config::log_directives().as_deref(),
        default_level(&cli.command),
    );
    dms2bq::cloud::google::install_crypto();
    match run(cli.command).await {
        Ok(exit_code) => exit_code,
        Err(error) if is_closed(&error) => ExitCode::from(EXIT_UNREAD),
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::from(EXIT_USAGE)
        }
    }
}

/// What is logged unless RUST_LOG says otherwise. Commands answer in their own words; but a load by the version of the
/// mappings before the one in force, because that one is broken, must not pass in silence.
fn default_level(command: &Command) -> &'static str {
    if matches!(command, Command::Load(_)) { "error" } else { "off" }
}

async fn run(command: Command) -> anyhow::Result<ExitCode> {
    Ok(match command {
        Command::Local(args) => local::run(args, &Config::from_env()?).await,
        Command::Load(args) => load::run(args, &Config::from_env()?).await,
        Command::Doctor(args) => doctor::run(&args, &Config::from_env()?).await?,
        Command::Probe(args) => probe::run(&args, &Config::from_env()?).await?,
        Command::Explain(args) => {
            let mappings = mappings().await?;
            explain::run(&args, &mappings, &mut io::stdin(), &mut stdout())?.into()
        }
        Command::Check(args) => {
            let place = match &args.place {
                Some(place) => diff::place(place)?,
                None => Config::from_env()?.mappings,
            };
            check::run_at(&args, &place, &mut stdout()).await?.into()
        }
        Command::DmsRules(args) => {
            let mappings = mappings().await?;
            dms_rules::run(&args, &mappings, &mut stdout(), &mut io::stderr())?.into()
        }
        Command::Diff(args) => diff::run(&args).await?,
        Command::Publish(args) => publish::run(args).await?,
        Command::Emulator(args) => {
            emulator::run(args).await?;
            ExitCode::SUCCESS
        }
        Command::Completions { shell } => {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut Cli::command(), "dms2bq", &mut script);
            stdout().write_all(&script)?;
            ExitCode::SUCCESS
        }
    })
}

/// The mappings that the environment names.
async fn mappings() -> anyhow::Result<Mappings> {
    let files = mapping_files(&Config::from_env()?.mappings).await?;
    Mappings::parse(files).context("the mappings have problems; `dms2bq check` explains each")
}

/// The mapping files of a place on this machine or in S3.
async fn mapping_files(place: &MappingsLocation) -> anyhow::Result<Vec<MappingFile>> {
    let files = assemble::read_mappings_at(place).await;
    files.map_err(|error| anyhow::anyhow!("{}", error.in_words()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_well_formed() {
        Cli::command().debug_assert();
    }
}
