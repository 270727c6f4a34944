//! The **embedded BigQuery**: small, strict, and over HTTP like the real one.
//!
//! It serves `dms2bq local`, the tests, and people who want to rehearse. It speaks the part of BigQuery's REST
//! API that loading files needs (`jobs` with media uploads, `datasets`, `tables`, `tabledata.list`), keeps its
//! tables as Parquet files in a folder, and refuses what BigQuery refuses. What it does not do, it answers with
//! 501 and a message that says so.
//!
//! A load is all or nothing, at any moment of a crash: one rename decides (see the module `disk`).

mod catalog;
mod disk;
mod error;
mod faults;
mod file_schema;
mod http;
mod jobs;
mod limits;
mod load;
mod multipart;
mod names;
mod parquet_file;
mod plan;
mod recover;
mod rows;
mod run;
mod schema;
mod server;
mod table;
mod tables_change;
mod uploads;
mod values;

use std::hash::{BuildHasher, Hasher};
use std::io;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::cloud::Clock;
use crate::cloud::clock::SystemClock;

pub use faults::{Call, Fault, Faults, JobFault, NoFaults};
pub use limits::Limits;

/// Files that are read at the same time: as many as a small machine has cores to decode with.
const READERS: usize = 4;

/// How to start an embedded BigQuery.
#[derive(Clone)]
pub struct Options {
    /// The address to listen on. Loopback, unless somebody means otherwise: there is no authentication.
    pub host: IpAddr,
    /// The port to listen on; 0 takes any free one.
    pub port: u16,
    /// The folder for tables and jobs. Without one, a temporary folder, gone at the end.
    pub data_dir: Option<PathBuf>,
    /// Whether to throw away what the folder holds from earlier runs.
    pub fresh: bool,
    /// How long a job stays PENDING.
    pub pending: Duration,
    /// How long a job is RUNNING at least.
    pub running: Duration,
    /// How often one table may change.
    pub limits: Limits,
    /// The clock for times, waits and limits.
    pub clock: Arc<dyn Clock>,
    /// What goes wrong.
    pub faults: Arc<dyn Faults>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            host: IpAddr::from([127, 0, 0, 1]),
            port: 0,
            data_dir: None,
            fresh: false,
            pending: Duration::from_millis(20),
            running: Duration::from_millis(30),
            limits: Limits::BIGQUERY,
            clock: Arc::new(SystemClock),
            faults: Arc::new(NoFaults),
        }
    }
}

/// Why an embedded BigQuery did not start, or did not do what was asked of it.
#[derive(Debug, thiserror::Error)]
pub enum EmulatorError {
    /// The address is taken, or not ours.
    #[error("cannot listen on {address}")]
    Listen {
        /// Host and port.
        address: String,
        /// The operating system's answer.
        #[source]
        source: io::Error,
    },
    /// The folder cannot be read or written, or holds what this program did not write.
    #[error("cannot use the folder {}", folder.display())]
    Folder {
        /// Which folder.
        folder: PathBuf,
        /// The operating system's answer.
        #[source]
        source: io::Error,
    },
    /// Another process serves this folder.
    #[error("the folder {} is in use by another embedded BigQuery", folder.display())]
    FolderInUse {
        /// Which folder.
        folder: PathBuf,
    },
    /// The folder holds something else.
    #[error("the folder {} is not empty and was not made by the embedded BigQuery", folder.display())]
    ForeignFolder {
        /// Which folder.
        folder: PathBuf,
    },
    /// A dataset could not be made.
    #[error("cannot make the dataset {dataset}: {message}")]
    Dataset {
        /// Which dataset.
        dataset: String,
        /// What is wrong with it.
        message: String,
    },
}

impl EmulatorError {
    /// The error's stable code.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Listen { .. } => "emulator.cannot_listen",
            Self::Folder { .. } => "emulator.folder_unusable",
            Self::FolderInUse { .. } => "emulator.folder_in_use",
            Self::ForeignFolder { .. } => "emulator.foreign_folder",
            Self::Dataset { .. } => "emulator.bad_dataset",
        }
    }

    /// What a person should do.
    pub fn remedy(&self) -> &'static str {
        match self {
            Self::Listen { .. } => "Choose another port, or port 0 for any free one.",
            Self::Folder { .. } => {
                "Check that the folder may be read and written, and that its disk is not full."
            }
            Self::FolderInUse { .. } => "Stop the other process, or use a folder of your own.",
            Self::ForeignFolder { .. } => "Name an empty folder, or one that does not exist yet.",
            Self::Dataset { .. } => "Correct the dataset's project, name or location.",
        }
    }
}

/// The state of an embedded BigQuery.
pub(crate) struct Emulator {
    options: Options,
    clock: Arc<dyn Clock>,
    base_url: String,
    disk: disk::Disk,
    catalog: catalog::Catalog,
    jobs: jobs::Jobs,
    sessions: uploads::Sessions,
    changes: Mutex<limits::ChangeLog>,
    readers: Semaphore,
    tasks: TaskTracker,
    stopping: CancellationToken,
}

/// An embedded BigQuery that serves requests until it is shut down or dropped.
pub struct Running {
    emulator: Arc<Emulator>,
    server: JoinHandle<()>,
}

/// Starts an embedded BigQuery. When this returns, it answers.
///
/// # Errors
/// [`EmulatorError`] if the address or the folder cannot be used.
pub async fn start(options: Options) -> Result<Running, EmulatorError> {
    let address = format!("{}:{}", options.host, options.port);
    let listen = |source| EmulatorError::Listen { address: address.clone(), source };
    let disk = disk::Disk::open(options.data_dir.as_deref(), options.fresh)?;
    let listener = TcpListener::bind((options.host, options.port)).await.map_err(listen)?;
    let base_url = format!("http://{}", listener.local_addr().map_err(listen)?);
    let emulator = Arc::new(Emulator {
        clock: Arc::clone(&options.clock),
        options,
        base_url,
        disk,
        catalog: catalog::Catalog::default(),
        jobs: jobs::Jobs::default(),
        sessions: uploads::Sessions::default(),
        changes: Mutex::default(),
        readers: Semaphore::new(READERS),
        tasks: TaskTracker::new(),
        stopping: CancellationToken::new(),
    });
    let unsettled = recover::recover(&emulator)
        .map_err(|source| EmulatorError::Folder { folder: emulator.disk.root().to_path_buf(), source })?;
    for job in unsettled {
        emulator.spawn_job(job);
    }
    let router = http::router(Arc::clone(&emulator));
    let faults = Arc::clone(&emulator.options.faults);
    let server = tokio::spawn(server::serve(listener, router, faults, emulator.stopping.clone()));
    Ok(Running { emulator, server })
}

impl Running {
    /// The address for clients, such as `http://127.0.0.1:41234`.
    pub fn base_url(&self) -> &str {
        &self.emulator.base_url
    }

    /// Where the tables are.
    pub fn data_dir(&self) -> &Path {
        self.emulator.disk.root()
    }

    /// Makes a dataset, unless it is there in that location already.
    ///
    /// # Errors
    /// [`EmulatorError::Dataset`] if a name is bad, or the dataset is in another location.
    pub async fn ensure_dataset(
        &self,
        project: &str,
        dataset: &str,
        location: &str,
    ) -> Result<(), EmulatorError> {
        let failed =
            |message: String| EmulatorError::Dataset { dataset: format!("{project}.{dataset}"), message };
        let key = names::DatasetKey::parse(project, dataset).map_err(|error| failed(error.to_string()))?;
        let location = names::parse_location(location).map_err(|error| failed(error.to_string()))?;
        match self.emulator.catalog.dataset(&key) {
            Some(there) if there.location == location => Ok(()),
            Some(there) => Err(failed(format!("it exists in {}, not in {location}", there.location))),
            None => {
                let made = self.emulator.create_dataset(key, location, serde_json::Map::new()).await;
                made.map(drop).map_err(|error| failed(error.to_string()))
            }
        }
    }

    /// Stops: requests under way are answered, a load that is being committed is committed, and jobs that are
    /// pending or running start again with the next process on the same folder.
    pub async fn shutdown(mut self) {
        self.emulator.stopping.cancel();
        if let Err(error) = (&mut self.server).await {
            tracing::error!(%error, "the embedded BigQuery's server ended badly");
        }
        self.emulator.tasks.close();
        self.emulator.tasks.wait().await;
        self.emulator.disk.release();
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.emulator.stopping.cancel();
    }
}

/// Sixteen characters that nobody has used before: the standard library seeds its hashers at random.
fn random_id() -> String {
    format!("{:016x}", std::hash::RandomState::new().build_hasher().finish())
}
