//! `dms2bq probe`: asks the real services what `docs/verified.md` takes for granted.
//!
//! Each open row of that page is a small [`Experiment`] in a scratch dataset, bucket prefix and queue,
//! or stands in [`catalog::FOR_A_PERSON`] with the reason. An experiment knows what the code assumes, and says whether it is so.

mod ask;
mod bench;
pub mod catalog;
pub mod experiment;
mod files;
mod news;
mod report;

use std::io::{self, Write};
use std::process::ExitCode;
use std::sync::Arc;

use self::bench::{Bench, ScratchDataset};
use self::experiment::{Answer, Experiment, Needs, Trouble};
use self::news::{Folder, News};
use super::assemble;
use super::check::CheckFormat;
use super::emulator::stop_signal;
use super::stdout::stdout;
use crate::cloud::aws::sdk_config;
use crate::cloud::clock::SystemClock;
use crate::config::Config;

/// The exit code of a probe that was not begun.
const EXIT_NOT_BEGUN: u8 = 2;

/// Asks BigQuery, S3 and SQS what dms2bq takes for granted about them.
///
/// Every question is a small experiment in a scratch dataset of yours. It is named after its row in docs/verified.md, costs a
/// few load jobs (which are free of charge), and is cleaned up. What it will take is said first; --yes begins.
#[derive(Debug, Clone, clap::Args)]
#[command(after_help = "\
Examples:
  dms2bq probe --list
  dms2bq probe --dataset my-project.dms2bq_probe                                    what it would take
  dms2bq probe --dataset my-project.dms2bq_probe --yes                              all that needs only BigQuery
  dms2bq probe --dataset my-project.dms2bq_probe --only rate-limit,20 --yes
  dms2bq probe --dataset my-project.dms2bq_probe --bucket-prefix s3://my-bucket/probe --queue dms2bq-probe --yes

Exit codes: 0, all that was answered is as assumed; 1, something is otherwise, or could not be asked; 2, not begun.")]
pub struct ProbeArgs {
    /// The scratch dataset, as project.dataset. Only tables of probe's own are touched in it.
    #[arg(long, value_name = "PROJECT.DATASET", required_unless_present = "list")]
    pub dataset: Option<ScratchDataset>,
    /// A scratch prefix, for experiments with S3. Events need a bucket without notifications of its own.
    #[arg(long, value_name = "S3://BUCKET/PREFIX")]
    pub bucket_prefix: Option<Folder>,
    /// The name of a scratch queue that is not there yet, for experiments with SQS. It is made, with NAME-dead beside it, and
    /// both are deleted.
    #[arg(long, value_name = "NAME")]
    pub queue: Option<String>,
    /// These experiments alone, by name or number.
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    pub only: Vec<String>,
    /// List all experiments, and the rows that need a person.
    #[arg(long)]
    pub list: bool,
    /// Begin.
    #[arg(long)]
    pub yes: bool,
    /// How to answer: for a person, or one JSON object per experiment and line.
    #[arg(long, value_enum, default_value_t)]
    pub format: CheckFormat,
}

/// Lists, says what it would take, or asks.
///
/// # Errors
/// It cannot begin: a name that is none, no such dataset, no credentials.
pub async fn run(args: &ProbeArgs, config: &Config) -> anyhow::Result<ExitCode> {
    let out = &mut stdout();
    if args.list {
        report::list(out)?;
        return Ok(ExitCode::SUCCESS);
    }
    let Some(scratch) = &args.dataset else {
        anyhow::bail!("name the scratch dataset: --dataset PROJECT.DATASET")
    };
    let experiments = catalog::named(&args.only).map_err(anyhow::Error::msg)?;
    let (asked, left): (Vec<&Experiment>, Vec<&Experiment>) =
        experiments.into_iter().partition(|experiment| is_given(args, experiment.needs));
    if matches!(args.format, CheckFormat::Human) {
        report::plan(scratch, &asked, &left, out)?;
    }
    if !args.yes {
        writeln!(io::stderr(), "Nothing was done. Add --yes to begin.")?;
        return Ok(ExitCode::from(EXIT_NOT_BEGUN));
    }
    let bench = open(args, scratch, config).await?;
    let answers = ask_all(&bench, &asked, args.format, out).await;
    let left_behind = bench.clean_up().await;
    for left in &left_behind {
        writeln!(io::stderr(), "left behind, delete it by hand: {left}")?;
    }
    let answers = answers?;
    if matches!(args.format, CheckFormat::Human) {
        report::summary(&answers, |experiment| bench.place(experiment), &today(), out)?;
    }
    let all_well = left_behind.is_empty() && answers.iter().all(|(_, answer)| is_well(answer));
    Ok(if all_well { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn is_given(args: &ProbeArgs, needs: Needs) -> bool {
    match needs {
        Needs::Dataset => true,
        Needs::Bucket => args.bucket_prefix.is_some(),
        Needs::Queue => args.queue.is_some(),
        Needs::News => args.bucket_prefix.is_some() && args.queue.is_some(),
    }
}

async fn open(args: &ProbeArgs, scratch: &ScratchDataset, config: &Config) -> anyhow::Result<Bench> {
    let sdk_config = sdk_config().await;
    let warehouse = assemble::bigquery(config, &sdk_config, Arc::new(SystemClock)).await?;
    let news = News::new(&sdk_config, args.bucket_prefix.clone(), args.queue.clone());
    Bench::open(warehouse, scratch, news).await
}

type Answered<'a> = Vec<(&'a Experiment, Answer)>;

/// Asks one after another, so that none disturbs another. When a person asks it to stop (Ctrl-C, SIGTERM), the experiment
/// that runs is the last: a load that was left alone could still make its table after all was taken away.
async fn ask_all<'a>(
    bench: &Bench,
    experiments: &[&'a Experiment],
    format: CheckFormat,
    out: &mut dyn Write,
) -> io::Result<Answered<'a>> {
    let mut answers = Vec::new();
    let mut stopped = std::pin::pin!(stop_signal());
    let mut is_stopped = false;
    for experiment in experiments {
        let mut asking = (experiment.ask)(bench);
        let answer = tokio::select! {
            answer = &mut asking => answer,
            () = &mut stopped => {
                is_stopped = true;
                writeln!(io::stderr(), "stopping: this experiment ends, and what was made is taken away")?;
                asking.await
            }
        };
        match format {
            CheckFormat::Human => report::answer(experiment, &answer, out)?,
            CheckFormat::Json => report::answer_as_json(experiment, &answer, out)?,
        }
        answers.push((*experiment, answer));
        if is_stopped {
            break;
        }
    }
    Ok(answers)
}

/// What is not here says nothing against the code.
fn is_well(answer: &Answer) -> bool {
    match answer {
        Ok(experiment::Verdict::AsAssumed(_)) | Err(Trouble::NotHere(_)) => true,
        Ok(experiment::Verdict::Otherwise(_)) | Err(Trouble::Failed(_)) => false,
    }
}

/// The day in UTC.
fn today() -> String {
    use crate::cloud::Clock as _;

    let now_ms = i64::try_from(SystemClock.unix_ms()).unwrap_or_default();
    let now = jiff::Timestamp::from_millisecond(now_ms).unwrap_or_default();
    now.to_zoned(jiff::tz::TimeZone::UTC).date().to_string()
}
