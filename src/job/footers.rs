//! Reading a footer from S3: the end of the object, and once more if the end was not enough.

use std::sync::Arc;

use tokio::sync::Semaphore;

use crate::cloud::Objects;
use crate::object::footer::{self, Footer, FooterRead, TAIL_BYTES};
use crate::object::{Object, ObjectError};

/// What all footers being read at one time may hold in memory together, in KiB: one of the largest at once.
const BUDGET_KIB: u32 = (footer::MAX_FOOTER_BYTES / 1024) as u32;

/// A footer, and the size that S3 told with it.
#[derive(Debug, Clone)]
pub struct ReadFooter {
    /// What the file says of itself.
    pub footer: Footer,
    /// The size of the object in bytes.
    pub object_size_bytes: u64,
}

/// Reads footers within one budget of memory for the whole process.
pub struct FooterReader {
    objects: Arc<dyn Objects>,
    budget_kib: Semaphore,
}

impl FooterReader {
    /// A reader over `objects`.
    pub fn new(objects: Arc<dyn Objects>) -> Self {
        Self { objects, budget_kib: Semaphore::new(BUDGET_KIB as usize) }
    }

    /// Reads the footer of an object.
    ///
    /// # Errors
    /// [`ObjectError`]: the object is gone, replaced, empty, no Parquet file that BigQuery takes, or S3 failed.
    pub async fn read(&self, object: &Object) -> Result<ReadFooter, ObjectError> {
        let mut tail_bytes = TAIL_BYTES;
        // Twice at most: the first read tells how long the footer is.
        loop {
            let kib = u32::try_from(tail_bytes.div_ceil(1024)).unwrap_or(BUDGET_KIB).min(BUDGET_KIB);
            let _permit = self.budget_kib.acquire_many(kib).await;
            let tail = self
                .objects
                .read_tail(object, tail_bytes)
                .await
                .map_err(|e| ObjectError::unread(object, e))?;
            if tail.object_size_bytes == 0 {
                return Err(ObjectError::Empty { object: object.to_string() });
            }
            let read = footer::read(&tail.bytes, tail.object_size_bytes)
                .map_err(|source| ObjectError::Footer { object: object.to_string(), source })?;
            match read {
                FooterRead::Done(footer) => {
                    return Ok(ReadFooter { footer, object_size_bytes: tail.object_size_bytes });
                }
                FooterRead::More { tail_bytes: needed } => tail_bytes = needed,
            }
        }
    }
}
