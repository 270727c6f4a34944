//! A place of its own for `google-cloud-auth`, which can be closed with all that is in it.
//!
//! The crate asks for tokens in a task that it starts and never ends, through clients without time-outs: when we stop waiting
//! for a server that is silent, its task goes on, for ever, with its socket. So each of its credentials live on a runtime of
//! their own, and what is given up is shut down.

use std::io;

use tokio::runtime::{Builder, Handle, Runtime};
use tokio::task::JoinHandle;

/// A runtime with one thread. What runs on it ends when it is dropped.
#[derive(Debug)]
pub(super) struct Fence {
    handle: Handle,
    /// Taken only to be shut down.
    runtime: Option<Runtime>,
}

impl Fence {
    /// Starts the thread.
    ///
    /// # Errors
    /// The system has no more threads.
    pub(super) fn new() -> io::Result<Self> {
        let runtime = Builder::new_multi_thread()
            .worker_threads(1)
            // Looking up a host's name takes one of these; the system's own time-out ends it.
            .max_blocking_threads(2)
            .thread_name("google-sign-in")
            .enable_all()
            .build()?;
        Ok(Self { handle: runtime.handle().clone(), runtime: Some(runtime) })
    }

    /// Runs something that starts tasks of its own: they are started inside.
    pub(super) fn inside<T>(&self, work: impl FnOnce() -> T) -> T {
        let _inside = self.handle.enter();
        work()
    }

    /// Starts a task inside.
    pub(super) fn spawn<T: Send + 'static>(
        &self,
        work: impl Future<Output = T> + Send + 'static,
    ) -> JoinHandle<T> {
        self.handle.spawn(work)
    }
}

impl Drop for Fence {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            // Not waited for: this may be a thread that must not block.
            runtime.shutdown_background();
        }
    }
}
