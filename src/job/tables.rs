//! What is known of the destination tables, kept for a while.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use crate::cloud::{CallError, Clock, Deadline, TableLookup, Warehouse};
use crate::job::TableInfo;
use crate::route::TableRef;

/// How long an answer of `tables.get` is believed. A plan made from an older one costs at worst one failed
/// job, and failed jobs count against the table's day; a look for every file would cost a round trip each.
const KEPT_FOR: Duration = Duration::from_secs(60);

/// How many tables are remembered at most: far more than anyone maps, so that it cannot grow without end.
const KEPT_TABLES: usize = 10_000;

/// Tables as they were when somebody last looked.
pub struct Tables {
    warehouse: Arc<dyn Warehouse>,
    clock: Arc<dyn Clock>,
    known: Mutex<HashMap<TableRef, Known>>,
}

#[derive(Clone)]
struct Known {
    lookup: TableLookup,
    seen_at: Instant,
}

impl Tables {
    /// Knows nothing yet.
    pub fn new(warehouse: Arc<dyn Warehouse>, clock: Arc<dyn Clock>) -> Self {
        Self { warehouse, clock, known: Mutex::default() }
    }

    /// What is known of a table; asked for if that is too old or nothing.
    ///
    /// # Errors
    /// The call's failure.
    pub async fn get(&self, table: &TableRef, deadline: Deadline) -> Result<TableLookup, CallError> {
        let known = self.lock().get(table).cloned();
        match known {
            Some(known) if self.clock.now() < known.seen_at + KEPT_FOR => Ok(known.lookup),
            Some(_) | None => self.get_afresh(table, deadline).await,
        }
    }

    /// Asks, whatever is known.
    ///
    /// # Errors
    /// The call's failure.
    pub async fn get_afresh(&self, table: &TableRef, deadline: Deadline) -> Result<TableLookup, CallError> {
        let seen_at = self.clock.now();
        let lookup = self.warehouse.get_table(table, deadline).await?;
        // That something is missing is not kept: somebody may be making it this moment.
        if let TableLookup::Found(_) = lookup {
            let mut known = self.lock();
            if known.len() >= KEPT_TABLES {
                known.clear();
            }
            known.insert(table.clone(), Known { lookup: lookup.clone(), seen_at });
        }
        Ok(lookup)
    }

    /// Notes that a load of our own has succeeded. Where it was planned with `table`, and brought nothing that
    /// the table does not have, what is known stays true for as long as it was; otherwise it is forgotten. (It is
    /// not believed for longer: a table that is loaded every minute would never be looked at again, and one that
    /// somebody drops would come back without its partitions.)
    pub fn loaded(&self, table: &TableRef, planned_with: Option<&TableInfo>, brought_columns: &[&str]) {
        let nothing_new = planned_with.is_some_and(|info| {
            brought_columns.iter().all(|name| info.columns.iter().any(|c| c.name.eq_ignore_ascii_case(name)))
        });
        if !nothing_new {
            self.forget(table);
        }
    }

    /// Forgets a table, so that the next look is a call.
    pub fn forget(&self, table: &TableRef) {
        self.lock().remove(table);
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<TableRef, Known>> {
        // Nothing that holds the lock can leave the map half-written, so a poisoned one is still good.
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
