//! The mappings in force: read once, kept for the process, read again while there are none.

use std::sync::Arc;

use async_trait::async_trait;
use tokio::sync::Mutex;

use crate::cloud::Deadline;
use crate::outcome::record::Chain;
use crate::route::{MappingFile, Mappings};

/// Where mapping files come from.
#[async_trait]
pub trait MappingSource: Send + Sync {
    /// Reads all of them.
    ///
    /// # Errors
    /// What kept them from being read, in words.
    async fn read(&self, deadline: Deadline) -> Result<Vec<MappingFile>, String>;
}

/// The mappings of a process. One snapshot serves a whole invocation.
pub struct MappingStore {
    source: Option<Arc<dyn MappingSource>>,
    current: Mutex<Option<Arc<Mappings>>>,
}

impl MappingStore {
    /// Mappings that are at hand.
    pub fn fixed(mappings: Arc<Mappings>) -> Self {
        Self { source: None, current: Mutex::new(Some(mappings)) }
    }

    /// Mappings that are read from `source` when they are first needed.
    pub fn from_source(source: Arc<dyn MappingSource>) -> Self {
        Self { source: Some(source), current: Mutex::new(None) }
    }

    /// The mappings to go by. While there are none, each call tries to read them: a network that failed at the
    /// start must not cost more than the invocations that it failed.
    ///
    /// # Errors
    /// Why there are none, in words; all problems of all files at once.
    pub async fn snapshot(&self, deadline: Deadline) -> Result<Arc<Mappings>, String> {
        let mut current = self.current.lock().await;
        if let Some(mappings) = current.as_ref() {
            return Ok(Arc::clone(mappings));
        }
        let Some(source) = &self.source else { return Err("no mappings were given".to_owned()) };
        let files = match tokio::time::timeout_at(deadline.instant(), source.read(deadline)).await {
            Ok(files) => files?,
            Err(_elapsed) => return Err("reading them took longer than there was time".to_owned()),
        };
        let mappings = Mappings::parse(files).map_err(|problems| Chain(&problems).to_string())?;
        let mappings = Arc::new(mappings);
        *current = Some(Arc::clone(&mappings));
        Ok(mappings)
    }
}
