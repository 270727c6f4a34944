//! The folder: where everything is, and how a file appears all at once or not at all.
//!
//! ```text
//! lock                                   held by the one process that serves this folder
//! jobs/<job>.json                        one record per job, pending ones included
//! uploads/<upload>.part, <upload>.json   bytes that arrive, and the resumable session that they belong to
//! tables/<project>/<dataset>/dataset.json
//! tables/<project>/<dataset>/<table>/table.json    the commit point: lists the parts and the jobs that wrote them
//! tables/<project>/<dataset>/<table>/<job>.parquet each part, as it was uploaded
//! ```

use std::fs::{self, File, TryLockError};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::EmulatorError;
use super::names::{DatasetKey, JobKey, TableKey, file_name};

/// The folder, locked for this process.
#[derive(Debug)]
pub(crate) struct Disk {
    root: PathBuf,
    /// The operating system lets go of it when the process ends, however it ends.
    lock: File,
    temporary: bool,
}

impl Disk {
    /// Opens a folder, or makes a temporary one that goes away with this value.
    ///
    /// With `fresh`, what it held is removed, once the folder is known to be ours and nobody else's.
    pub(crate) fn open(folder: Option<&Path>, fresh: bool) -> Result<Self, EmulatorError> {
        let root = folder.map_or_else(temporary_folder, Path::to_path_buf);
        let failed = |source| EmulatorError::Folder { folder: root.clone(), source };
        // Starting removes what nothing refers to, so it must not be started on somebody's other files.
        if root.exists() && !root.join("lock").exists() && !list(&root).map_err(failed)?.is_empty() {
            return Err(EmulatorError::ForeignFolder { folder: root });
        }
        // The lock comes first: a folder with anything in it and no lock is somebody else's.
        fs::create_dir_all(&root).map_err(failed)?;
        let lock = File::options()
            .create(true)
            .truncate(false)
            .write(true)
            .open(root.join("lock"))
            .map_err(failed)?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(EmulatorError::FolderInUse { folder: root }),
            Err(TryLockError::Error(source)) => return Err(failed(source)),
        }
        // Tables go before the jobs that filled them: killed in between, a job without its table is known to have
        // run, while a table without its jobs would be filled twice.
        for part in ["tables", "uploads", "jobs"] {
            let part = root.join(part);
            if fresh && part.exists() {
                fs::remove_dir_all(&part).map_err(failed)?;
            }
            fs::create_dir_all(part).map_err(failed)?;
        }
        Ok(Self { root, lock, temporary: folder.is_none() })
    }

    /// Lets another process have the folder. Said aloud, since closing the file is not always enough: a child that
    /// this process is just starting has a copy of it for a moment.
    pub(crate) fn release(&self) {
        if let Err(error) = self.lock.unlock() {
            tracing::warn!(folder = %self.root.display(), %error, "could not let go of the folder");
        }
    }

    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    pub(crate) fn jobs_dir(&self) -> PathBuf {
        self.root.join("jobs")
    }

    pub(crate) fn job_path(&self, job: &JobKey) -> PathBuf {
        self.jobs_dir().join(format!("{}.json", job_stem(job)))
    }

    pub(crate) fn uploads_dir(&self) -> PathBuf {
        self.root.join("uploads")
    }

    /// Where an upload's bytes wait until their job has run.
    pub(crate) fn upload_path(&self, upload: &str) -> PathBuf {
        self.uploads_dir().join(format!("{upload}.part"))
    }

    pub(crate) fn session_path(&self, upload: &str) -> PathBuf {
        self.uploads_dir().join(format!("{upload}.json"))
    }

    pub(crate) fn tables_dir(&self) -> PathBuf {
        self.root.join("tables")
    }

    pub(crate) fn dataset_dir(&self, dataset: &DatasetKey) -> PathBuf {
        self.tables_dir().join(file_name(&dataset.project)).join(file_name(&dataset.dataset))
    }

    pub(crate) fn dataset_path(&self, dataset: &DatasetKey) -> PathBuf {
        self.dataset_dir(dataset).join("dataset.json")
    }

    pub(crate) fn table_dir(&self, table: &TableKey) -> PathBuf {
        self.dataset_dir(&table.dataset).join(file_name(&table.table))
    }

    pub(crate) fn table_path(&self, table: &TableKey) -> PathBuf {
        self.table_dir(table).join("table.json")
    }

    pub(crate) fn part_path(&self, table: &TableKey, file: &str) -> PathBuf {
        self.table_dir(table).join(file)
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        self.release();
        if self.temporary
            && let Err(error) = fs::remove_dir_all(&self.root)
        {
            tracing::warn!(folder = %self.root.display(), %error, "could not remove the temporary folder");
        }
    }
}

fn temporary_folder() -> PathBuf {
    std::env::temp_dir().join(format!("dms2bq-emulator-{}-{}", std::process::id(), super::random_id()))
}

/// A job's name on disk, for its record and for the part that it adds.
pub(crate) fn job_stem(job: &JobKey) -> String {
    file_name(&format!("{}.{}.{}", job.project, job.location, job.id))
}

/// Writes a file so that a reader, also one after a crash, sees all of the old or all of the new.
pub(crate) fn write_json<T: Serialize>(path: &Path, value: &T) -> io::Result<()> {
    let folder = path.parent().ok_or_else(|| io::Error::other("a file without a folder"))?;
    fs::create_dir_all(folder)?;
    let staged = path.with_extension("json.new");
    let mut file = File::create(&staged)?;
    file.write_all(&serde_json::to_vec(value)?)?;
    file.sync_all()?;
    fs::rename(&staged, path)?;
    sync_folder(folder)
}

pub(crate) fn read_json<T: DeserializeOwned>(path: &Path) -> io::Result<T> {
    Ok(serde_json::from_slice(&fs::read(path)?)?)
}

/// Makes a rename or a removal in a folder last through a power cut.
pub(crate) fn sync_folder(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

/// Removes a file that may be gone already.
pub(crate) fn remove_if_there(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        done => done,
    }
}

/// The entries of a folder, in the order of their names.
pub(crate) fn list(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let mut paths =
        fs::read_dir(folder)?.map(|entry| entry.map(|e| e.path())).collect::<io::Result<Vec<_>>>()?;
    paths.sort();
    Ok(paths)
}
