//! A full load of one table beside other tables' changes, over HTTP, in real time, while the embedded BigQuery holds
//! BigQuery's limits.
//!
//! `cargo bench --bench full_load` takes some twenty minutes, since an unpartitioned table takes 5 changes in ten seconds;
//! `-- partitioned` takes two.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a bench stops at what it did not expect")]

#[path = "../tests/support/event_source.rs"]
mod event_source;
#[path = "../tests/support/full_load.rs"]
mod full_load;

use std::sync::Arc;
use std::time::Duration;

use arrow::array::{Int64Array, RecordBatch};
use dms2bq::cloud::clock::SystemClock;
use dms2bq::cloud::google::{BigQuery, Settings, install_crypto};
use dms2bq::cloud::{Clock, Warehouse};
use dms2bq::emulator::{self, Limits, Options};
use full_load::{Announced, Figures};
use parquet::arrow::ArrowWriter;

const FILES: u32 = 300;
const WORKERS: usize = 3;

/// BigQuery's jobs take longer than the embedded one's by default.
const PENDING: Duration = Duration::from_millis(300);
const RUNNING: Duration = Duration::from_millis(900);

fn file(rows: i64) -> bytes::Bytes {
    let ids = Int64Array::from_iter_values(0..rows);
    let batch = RecordBatch::try_from_iter([("id", Arc::new(ids) as _)]).expect("one column");
    let mut bytes = Vec::new();
    let mut writer = ArrowWriter::try_new(&mut bytes, batch.schema(), None).expect("a plain schema");
    writer.write(&batch).expect("memory");
    writer.close().expect("memory");
    bytes.into()
}

async fn run(partitioned: bool) -> Figures {
    let folder = tempfile::tempdir().expect("a folder");
    let options = Options {
        data_dir: Some(folder.path().to_owned()),
        pending: PENDING,
        running: RUNNING,
        limits: Limits::BIGQUERY,
        ..Options::default()
    };
    let bigquery = emulator::start(options).await.expect("loopback is there");
    bigquery.ensure_dataset("acme-dw", "shop", "asia-northeast3").await.expect("a good name");
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let mut clients: Vec<Arc<dyn Warehouse>> = Vec::new();
    for _ in 0..WORKERS {
        let settings = Settings::emulator(bigquery.base_url()).expect("a URL");
        clients
            .push(Arc::new(BigQuery::new(settings, Arc::clone(&clock)).await.expect("no network is needed")));
    }
    let announced = Announced {
        files: FILES,
        within: Duration::from_secs(60),
        other_tables: 20,
        workers: WORKERS,
        partitioned,
    };
    let files: Vec<_> = (1..=7).map(file).collect();
    let figures =
        full_load::run(announced, clock, clients, |n| files[n as usize % files.len()].clone()).await;
    bigquery.shutdown().await;
    println!("{figures}");
    figures
}

#[tokio::main]
async fn main() {
    install_crypto();
    let asked: Vec<String> = std::env::args().skip(1).filter(|arg| !arg.starts_with("--")).collect();
    let both = asked.is_empty();
    let wants = |name: &str| both || asked.iter().any(|arg| arg == name);
    let partitioned = async { if wants("partitioned") { Some(run(true).await) } else { None } };
    let unpartitioned = async { if wants("unpartitioned") { Some(run(false).await) } else { None } };
    let (partitioned, unpartitioned) = tokio::join!(partitioned, unpartitioned);
    for figures in [partitioned, unpartitioned].into_iter().flatten() {
        figures.check();
    }
}
