//! What was made, or may have been, and is to be taken away again.

use std::sync::{Mutex, PoisonError};

/// Things of one kind. Where we choose the name, each is noted before it is made, since an answer may get lost on its way; it is
/// forgotten when it is gone.
#[derive(Debug)]
pub(super) struct Made<T>(Mutex<Vec<T>>);

impl<T> Default for Made<T> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<T: Clone + PartialEq> Made<T> {
    pub(super) fn note(&self, thing: T) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(thing);
    }

    pub(super) fn forget(&self, gone: &T) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).retain(|thing| thing != gone);
    }

    /// All that may be there still.
    pub(super) fn all(&self) -> Vec<T> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}
