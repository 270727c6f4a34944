//! `dms2bq probe`: asks the real services what `docs/verified.md` takes for granted.
//!
//! Each open row of that page is a small [`Experiment`] in a scratch dataset, bucket prefix and queue,
//! or stands in [`catalog::FOR_A_PERSON`] with the reason. An experiment knows what the code assumes, and says whether it is so.

mod ask;
mod bench;
pub mod catalog;
pub mod experiment;
mod files;
mod made;
mod news;
mod objects;
mod report;
mod stops;
mod words;

use std::io::{self, Write};
use std::process::ExitCode;
use std::sync::Arc;

use self::bench::{Bench, ScratchDataset};
use self::experiment::{Answer, Experiment, Needs, Trouble};
use self::news::News;
use self::objects::Folder;
use self::stops::Stops;
use super::assemble;
use super::check::CheckFormat;
use super::stdout::{printable, stdout};
use crate::cloud::Clock;
use crate::cloud::aws::sdk_config;
use crate::cloud::clock::SystemClock;
use crate::config::Config;

/// The exit code of a probe that was not begun.
const EXIT_NOT_BEGUN: u8 = 2;

/// The exit code of a probe that was stopped at once: as of a program that Ctrl-C ends (128 + SIGINT).
const EXIT_STOPPED_AT_ONCE: u8 = 130;

/// Asks BigQuery, S3 and SQS what dms2bq takes for granted about them.
///
/// Every question is a small experiment in a scratch dataset of yours. It is named after its row in docs/verified.md, costs a
/// few load jobs (which are free of charge), and is cleaned up. What it will take is said first; --yes begins.
#[derive(Debug, Clone, clap::Args)]
#[command(after_help = "\
Examples:
  dms2bq probe --list
  dms2bq probe --dataset my-project.dms2bq_probe            what it would take
  dms2bq probe --dataset my-project.dms2bq_probe --yes      all that needs only BigQuery
  dms2bq probe --dataset my-project.dms2bq_probe --only rate-limit,20 --yes
  dms2bq probe --dataset my-project.dms2bq_probe --yes \\
    --bucket-prefix s3://my-bucket/probe --queue dms2bq-probe

Ctrl-C or SIGTERM: the experiment that runs is the last, and what was made is taken away.
Once more: it stops at once, and says what may be left behind.

Exit codes: 0, all that was asked is as assumed; 1, something is otherwise, could not be asked
or taken away, or somebody stopped it; 2, not begun; 130, stopped at once.")]
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
/// It cannot begin: a name that is none, no such dataset or bucket, a queue that is there, no credentials.
pub async fn run(args: &ProbeArgs, config: &Config) -> anyhow::Result<ExitCode> {
    let out = &mut stdout();
    if args.list {
        report::list(args.format, out)?;
        return Ok(ExitCode::SUCCESS);
    }
    let Some(scratch) = &args.dataset else {
        anyhow::bail!("name the scratch dataset: --dataset PROJECT.DATASET")
    };
    let experiments = catalog::named(&args.only).map_err(anyhow::Error::msg)?;
    let (asked, left): (Vec<&Experiment>, Vec<&Experiment>) =
        experiments.into_iter().partition(|experiment| is_given(args, experiment.needs));
    if !args.only.is_empty() && !left.is_empty() {
        anyhow::bail!(report::lacking(&left));
    }
    let plan = report::Plan { dataset: scratch, asked: &asked, left: &left };
    match args.format {
        CheckFormat::Human => plan.write(out)?,
        // What follows --yes is one line for each experiment, and nothing else.
        CheckFormat::Json if !args.yes => plan.write_as_json(out)?,
        CheckFormat::Json => {}
    }
    if !args.yes {
        writeln!(io::stderr(), "Nothing was done. Add --yes to begin.")?;
        return Ok(ExitCode::from(EXIT_NOT_BEGUN));
    }
    let bench = open(args, scratch, config).await?;
    probe(&bench, &plan, args.format, out).await
}

/// Asks, takes away what was made, and tells.
async fn probe(
    bench: &Bench,
    plan: &report::Plan<'_>,
    format: CheckFormat,
    out: &mut dyn Write,
) -> anyhow::Result<ExitCode> {
    let stops = Stops::listen();
    let mut answers = Vec::new();
    let asking = async {
        let asked = ask_all(bench, plan.asked, &stops, format, &mut answers, out).await;
        (asked, bench.clean_up().await)
    };
    let (asked, left_behind, is_at_once) = tokio::select! {
        (asked, left_behind) = asking => (asked, left_behind, false),
        () = wait_for_second_stop(bench, &stops) => (Ok(()), bench.made(), true),
    };
    let is_stopped = stops.is_asked();
    say_left_behind(&left_behind, is_at_once, is_stopped)?;
    asked?;
    let unasked: Vec<&Experiment> = plan.asked.iter().skip(answers.len()).copied().collect();
    if !unasked.is_empty() {
        writeln!(io::stderr(), "{}", report::unasked(&unasked))?;
    }
    match format {
        CheckFormat::Json => report::unasked_as_json(&unasked, plan.left, out)?,
        CheckFormat::Human => {
            let page = report::Page { names: bench.names(), today: &today() };
            report::summary(&answers, |experiment| bench.place(experiment), &page, out)?;
        }
    }
    let all_well = left_behind.is_empty() && answers.iter().all(|(_, answer)| is_well(answer));
    Ok(match (is_at_once, all_well && unasked.is_empty()) {
        (true, _) => ExitCode::from(EXIT_STOPPED_AT_ONCE),
        (false, true) => ExitCode::SUCCESS,
        (false, false) => ExitCode::FAILURE,
    })
}

/// Says, when somebody asks it to stop, what a second time would leave; and waits for that.
async fn wait_for_second_stop(bench: &Bench, stops: &Stops) {
    stops.asked(1).await;
    let made = bench.made();
    let left = if made.is_empty() { "nothing yet".to_owned() } else { made.join(", ") };
    // Where nobody listens, it must be cleaned up all the same.
    let _told = writeln!(
        io::stderr(),
        "Stopping: the experiment that runs ends, and what was made is taken away. Again to stop at once; left behind: {}",
        printable(&left)
    );
    stops.asked(2).await;
}

fn say_left_behind(left_behind: &[String], is_at_once: bool, is_stopped: bool) -> io::Result<()> {
    let err = &mut io::stderr();
    for left in left_behind {
        let may_be = if is_at_once { "may be left behind" } else { "left behind" };
        writeln!(err, "{may_be}, delete it by hand: {}", printable(left))?;
    }
    if is_stopped && left_behind.is_empty() {
        writeln!(err, "Nothing is left behind.")?;
    }
    Ok(())
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
    let run = format!("dms2bq_probe_{}", SystemClock.unix_ms());
    let news = News::new(&sdk_config, args.bucket_prefix.clone(), args.queue.clone(), &run);
    Bench::open(warehouse, scratch, news, run).await
}

/// What was asked until now, each with its answer.
type Answered<'a> = Vec<(&'a Experiment, Answer)>;

/// Asks one after another, so that none disturbs another. When somebody asks it to stop, the experiment that runs is the
/// last: a load that was left alone could still make its table after all was taken away.
async fn ask_all<'a>(
    bench: &Bench,
    experiments: &[&'a Experiment],
    stops: &Stops,
    format: CheckFormat,
    answers: &mut Answered<'a>,
    out: &mut dyn Write,
) -> io::Result<()> {
    for experiment in experiments {
        if stops.is_asked() {
            break;
        }
        let answer = (experiment.ask)(bench).await;
        match format {
            CheckFormat::Human => report::answer(experiment, &answer, out)?,
            CheckFormat::Json => report::answer_as_json(experiment, &answer, out)?,
        }
        answers.push((*experiment, answer));
    }
    Ok(())
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
    let now_ms = i64::try_from(SystemClock.unix_ms()).unwrap_or_default();
    let now = jiff::Timestamp::from_millisecond(now_ms).unwrap_or_default();
    now.to_zoned(jiff::tz::TimeZone::UTC).date().to_string()
}
