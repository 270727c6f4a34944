//! `dms2bq local`: the whole main job on this machine.

mod events;
mod ground;
mod ledger;
mod queue;
mod report;

use std::collections::BTreeMap;
use std::io::{IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};

use crate::cloud::clock::SystemClock;
use crate::cloud::google::{BigQuery, Settings};
use crate::cloud::{Clock, Objects};
use crate::config::{Config, MappingsLocation};
use crate::emulator;
use crate::entry::lambda::Handler;
use crate::entry::mapping_store::MappingStore;
use crate::entry::stdout::stdout;
use crate::outcome::record::{Chain, Record};
use crate::pipeline::Pipeline;
use crate::route::TableRef;
use ground::{Expected, Ground};
use queue::Records;
use report::Report;

/// Where the tables of `dms2bq local` are kept, below the current folder.
const STATE_FOLDER: &str = ".dms2bq";

/// Run the whole main job on this machine, without any cloud.
///
/// Takes the files below DIR for objects that DMS has just written to S3, announces each as AWS would (in SQS
/// batches, some twice, some wrapped by SNS or EventBridge), runs the announcements through the very handler that
/// the Lambda runs, and loads the files over HTTP into an embedded BigQuery. Looks at no AWS, Google or BigQuery
/// setting of your environment.
///
/// DIR is laid out as DMS lays out a bucket. Its mappings are in DIR/mappings. Where it holds a folder with the
/// name of a mapped bucket, its folders are buckets; otherwise DIR is the bucket.
///
/// Run it twice: the second time nothing is loaded, because every file's job is known. Kill it in the middle and
/// run it again: every row is in once.
///
/// Exit code: 0 if everything that should load did, 1 if not, 2 if it could not start. A file that comes back is a
/// failure, unless DIR/expected.json says that it should, as for the samples that are there to fail.
#[derive(Debug, Args)]
#[command(verbatim_doc_comment)]
pub struct LocalArgs {
    /// The folder with the files.
    #[arg(default_value = "samples")]
    dir: PathBuf,
    /// Mappings from elsewhere than DIR/mappings.
    #[arg(long, value_name = "PATH")]
    mappings: Option<PathBuf>,
    /// Where the embedded BigQuery keeps its tables [default: .dms2bq/ and the name of DIR].
    #[arg(long, value_name = "FOLDER")]
    warehouse: Option<PathBuf>,
    /// Throw away the tables of earlier runs first.
    #[arg(long)]
    fresh: bool,
    /// Keep the embedded BigQuery up afterwards, for Google's own clients.
    #[arg(long)]
    serve: bool,
    /// The port of the embedded BigQuery; any free one by default.
    #[arg(long, default_value_t = 0)]
    port: u16,
}

/// Runs the main job on this machine and reports.
pub async fn run(args: LocalArgs, config: &Config) -> ExitCode {
    match run_or_fail(args, config).await {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("error: {}", Chain(error.as_ref()));
            ExitCode::from(2)
        }
    }
}

async fn run_or_fail(args: LocalArgs, config: &Config) -> anyhow::Result<bool> {
    let ground = Ground::read(&args.dir, args.mappings.as_deref(), fallback_mappings(config))?;
    anyhow::ensure!(
        !ground.objects.is_empty(),
        "there is nothing to load below {}: it holds buckets as folders (BUCKET/dms/schema/table/LOAD00000001.parquet), and \
         mappings/",
        args.dir.display()
    );
    let warehouse_folder = args.warehouse.clone().unwrap_or_else(|| state_folder(&args.dir));
    let options = emulator::Options {
        port: args.port,
        data_dir: Some(warehouse_folder.clone()),
        fresh: args.fresh,
        ..emulator::Options::default()
    };
    let bigquery = emulator::start(options).await?;
    let begun = format!(
        "{} files below {}, into the embedded BigQuery at {} (its tables: {})",
        ground.objects.len(),
        args.dir.display(),
        bigquery.base_url(),
        warehouse_folder.display()
    );
    say(&begun);
    let expected = ground.expected().await;
    make_datasets(&bigquery, &expected).await?;
    let records = load_everything(&ground, bigquery.base_url()).await?;
    let held = ledger::read(bigquery.base_url(), expected.keys()).await?;
    let report = Report::new(&records, expected, &held, &ground.meant_to_return);
    say(report.render().trim_end_matches('\n'));
    if args.serve {
        serve(bigquery.base_url()).await?;
    }
    bigquery.shutdown().await;
    Ok(report.is_good())
}

/// The mappings of the environment serve where DIR has none of its own.
fn fallback_mappings(config: &Config) -> &Path {
    match &config.mappings {
        MappingsLocation::Local(path) => path,
        MappingsLocation::S3 { .. } => Path::new("mappings"),
    }
}

fn state_folder(dir: &Path) -> PathBuf {
    let name = dir.canonicalize().ok().and_then(|dir| dir.file_name().map(PathBuf::from));
    Path::new(STATE_FOLDER).join(name.unwrap_or_else(|| PathBuf::from("warehouse")))
}

async fn make_datasets(
    bigquery: &emulator::Running,
    expected: &BTreeMap<TableRef, Expected>,
) -> anyhow::Result<()> {
    for (table, expected) in expected {
        bigquery.ensure_dataset(&table.project, &table.dataset, &expected.location).await?;
    }
    Ok(())
}

/// Announces every object and hands the announcements to the handler until all are settled.
async fn load_everything(ground: &Ground, bigquery_url: &str) -> anyhow::Result<Vec<Record>> {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let warehouse = BigQuery::new(Settings::emulator(bigquery_url)?, Arc::clone(&clock)).await?;
    let objects = Arc::clone(&ground.folder) as Arc<dyn Objects>;
    let pipeline = Pipeline::new(objects, Arc::new(warehouse), Arc::clone(&clock));
    let records = Arc::new(Records::default());
    let observer = Arc::clone(&records);
    let handler =
        Handler::new(pipeline, MappingStore::fixed(Arc::clone(&ground.mappings)), Arc::clone(&clock), true)
            .observed_by(Arc::new(move |record| observer.push(record)));

    let messages = events::messages(&ground.objects, clock.unix_ms());
    let bar = progress_bar(messages.len());
    let total = messages.len();
    queue::drain(messages, &handler, &records, &|done| tick(&bar, done, total)).await?;
    bar.finish_and_clear();
    Ok(records.all())
}

fn progress_bar(message_count: usize) -> ProgressBar {
    let style = ProgressStyle::with_template("{bar:30} {pos}/{len} messages done, {elapsed}");
    let bar = ProgressBar::new(message_count as u64);
    bar.with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
}

/// Says it to whoever reads; the exit code is for the others.
fn say(text: &str) {
    let _unread = writeln!(stdout(), "{text}");
}

fn tick(bar: &ProgressBar, done: usize, total: usize) {
    bar.inc(done as u64);
    if !std::io::stderr().is_terminal() {
        eprintln!("{} of {total} messages done", bar.position());
    }
}

async fn serve(base_url: &str) -> anyhow::Result<()> {
    say(&format!(
        "\nThe embedded BigQuery stays up at {base_url}. Google's clients find it by\n  \
         export BIGQUERY_EMULATOR_HOST={base_url}\nStop it with ctrl-c; its tables are kept."
    ));
    tokio::signal::ctrl_c().await?;
    Ok(())
}
