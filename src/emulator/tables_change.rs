//! Making and deleting datasets and tables, and the upload files that nobody wants.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::{Map, Value};

use super::Emulator;
use super::disk::{remove_if_there, sync_folder, write_json};
use super::error::ApiError;
use super::names::{DatasetKey, TableKey};
use super::run::blocking;
use super::table::{Dataset, Table};

impl Emulator {
    pub(crate) fn existing_dataset(&self, key: &DatasetKey) -> Result<Arc<Dataset>, ApiError> {
        self.catalog.dataset(key).ok_or_else(|| ApiError::not_found(format!("Dataset {key}")))
    }

    pub(crate) fn existing_table(&self, key: &TableKey) -> Result<Arc<Table>, ApiError> {
        self.existing_dataset(&key.dataset)?;
        self.catalog.table(key).ok_or_else(|| ApiError::not_found(format!("Table {key}")))
    }

    pub(crate) async fn create_dataset(
        &self,
        key: DatasetKey,
        location: String,
        given: Map<String, Value>,
    ) -> Result<Arc<Dataset>, ApiError> {
        let _gate = self.catalog.datasets_gate().await;
        if self.catalog.dataset(&key).is_some() {
            return Err(ApiError::duplicate(format!("Dataset {key}")));
        }
        let dataset = Dataset { key, location, created_ms: self.clock.unix_ms(), given };
        let (path, kept) = (self.disk.dataset_path(&dataset.key), dataset.clone());
        blocking(move || write_json(&path, &kept)).await?;
        Ok(self.catalog.put_dataset(dataset))
    }

    pub(crate) async fn delete_dataset(&self, key: &DatasetKey, with_tables: bool) -> Result<(), ApiError> {
        let _gate = self.catalog.datasets_gate().await;
        self.existing_dataset(key)?;
        if !with_tables && !self.catalog.tables(key).is_empty() {
            let message = format!("Dataset {key} is still in use");
            return Err(ApiError::new(http::StatusCode::BAD_REQUEST, "resourceInUse", message));
        }
        let (commit, folder) = (self.disk.dataset_path(key), self.disk.dataset_dir(key));
        blocking(move || remove_folder(&commit, &folder)).await?;
        self.catalog.remove_dataset(key);
        Ok(())
    }

    /// Makes an empty table. Times and location are filled in here.
    pub(crate) async fn create_table(&self, table: Table) -> Result<Arc<Table>, ApiError> {
        let _gate = self.catalog.gate(&table.key).await;
        let dataset = self.existing_dataset(&table.key.dataset)?;
        if self.catalog.table(&table.key).is_some() {
            return Err(ApiError::duplicate(format!("Table {}", table.key)));
        }
        let now_ms = self.clock.unix_ms();
        let table =
            Table { location: dataset.location.clone(), created_ms: now_ms, modified_ms: now_ms, ..table };
        let (path, kept) = (self.disk.table_path(&table.key), table.clone());
        blocking(move || write_json(&path, &kept)).await?;
        Ok(self.catalog.put_table(table))
    }

    pub(crate) async fn delete_table(&self, key: &TableKey) -> Result<(), ApiError> {
        let _gate = self.catalog.gate(key).await;
        self.existing_table(key)?;
        let (commit, folder) = (self.disk.table_path(key), self.disk.table_dir(key));
        blocking(move || remove_folder(&commit, &folder)).await?;
        self.catalog.remove_table(key);
        Ok(())
    }

    /// A name for an upload that is not a session. Its file goes away unless it is kept.
    pub(crate) fn new_upload(&self) -> NewUpload {
        let id = format!("{}{}", super::random_id(), super::random_id());
        NewUpload { path: self.disk.upload_path(&id), id, kept: false }
    }
}

/// Removes the file that says that a folder counts, then the folder.
fn remove_folder(commit: &Path, folder: &Path) -> std::io::Result<()> {
    std::fs::remove_file(commit)?;
    sync_folder(folder)?;
    std::fs::remove_dir_all(folder)
}

/// An upload on its way to become a job.
pub(crate) struct NewUpload {
    id: String,
    path: PathBuf,
    kept: bool,
}

impl NewUpload {
    pub(crate) fn id(&self) -> &str {
        &self.id
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// The file belongs to a job now.
    pub(crate) fn keep(mut self) {
        self.kept = true;
    }
}

impl Drop for NewUpload {
    fn drop(&mut self) {
        if !self.kept
            && let Err(error) = remove_if_there(&self.path)
        {
            tracing::warn!(path = %self.path.display(), %error, "could not remove an unwanted upload");
        }
    }
}
