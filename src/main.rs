//! `dms2bq`, the command line.

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use dms2bq::entry::emulator::{self, EmulatorArgs};

#[derive(Parser)]
#[command(version, about)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Emulator(EmulatorArgs),
}

#[tokio::main]
async fn main() -> ExitCode {
    let Cli { command: Command::Emulator(args) } = Cli::parse();
    match emulator::run(args).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error[{}]: {error}\n  {}", error.code(), error.remedy());
            ExitCode::FAILURE
        }
    }
}
