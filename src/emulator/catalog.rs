//! Datasets and tables in memory, the gates that let one change of a table happen at a time, and the
//! changes themselves.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{OwnedMutexGuard, RwLock, RwLockReadGuard};

use super::names::{DatasetKey, TableKey};
use super::table::{Dataset, Table};

/// What exists.
#[derive(Debug, Default)]
pub(crate) struct Catalog {
    content: Mutex<Content>,
    gates: Mutex<HashMap<TableKey, Arc<tokio::sync::Mutex<()>>>>,
    /// Shared by all who change a table; whole for the one who makes or deletes a dataset.
    datasets_change: RwLock<()>,
}

#[derive(Debug, Default)]
struct Content {
    datasets: BTreeMap<DatasetKey, Arc<Dataset>>,
    tables: BTreeMap<TableKey, Arc<Table>>,
}

/// The right to change one table. Datasets stay as they are while it is held.
pub(crate) struct TableGate<'a> {
    _datasets_stay: RwLockReadGuard<'a, ()>,
    _only_one: OwnedMutexGuard<()>,
}

impl Catalog {
    pub(crate) async fn gate(&self, table: &TableKey) -> TableGate<'_> {
        let datasets_stay = self.datasets_change.read().await;
        let gate = Arc::clone(self.gates().entry(table.clone()).or_default());
        TableGate { _datasets_stay: datasets_stay, _only_one: gate.lock_owned().await }
    }

    /// The right to make or delete a dataset: no table changes while it is held.
    pub(crate) async fn datasets_gate(&self) -> tokio::sync::RwLockWriteGuard<'_, ()> {
        self.datasets_change.write().await
    }

    pub(crate) fn dataset(&self, key: &DatasetKey) -> Option<Arc<Dataset>> {
        self.content().datasets.get(key).cloned()
    }

    /// The datasets of a project, in the order of their names.
    pub(crate) fn datasets(&self, project: &str) -> Vec<Arc<Dataset>> {
        self.content().datasets.values().filter(|dataset| dataset.key.project == project).cloned().collect()
    }

    pub(crate) fn put_dataset(&self, dataset: Dataset) -> Arc<Dataset> {
        let dataset = Arc::new(dataset);
        self.content().datasets.insert(dataset.key.clone(), Arc::clone(&dataset));
        dataset
    }

    /// Forgets a dataset and its tables.
    pub(crate) fn remove_dataset(&self, key: &DatasetKey) {
        let mut content = self.content();
        content.datasets.remove(key);
        content.tables.retain(|table, _| table.dataset != *key);
    }

    pub(crate) fn table(&self, key: &TableKey) -> Option<Arc<Table>> {
        self.content().tables.get(key).cloned()
    }

    /// The tables of a dataset, in the order of their names.
    pub(crate) fn tables(&self, dataset: &DatasetKey) -> Vec<Arc<Table>> {
        self.content().tables.values().filter(|table| table.key.dataset == *dataset).cloned().collect()
    }

    pub(crate) fn put_table(&self, table: Table) -> Arc<Table> {
        let table = Arc::new(table);
        self.content().tables.insert(table.key.clone(), Arc::clone(&table));
        table
    }

    pub(crate) fn remove_table(&self, key: &TableKey) {
        self.content().tables.remove(key);
    }

    fn content(&self) -> MutexGuard<'_, Content> {
        self.content.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn gates(&self) -> MutexGuard<'_, HashMap<TableKey, Arc<tokio::sync::Mutex<()>>>> {
        self.gates.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
