//! Whether somebody asks the probe to stop, by Ctrl-C or SIGTERM: once, and the experiment that runs is the last; twice, and
//! it ends at once.

use tokio::sync::watch;

use crate::entry::emulator::stop_signal;

/// How often somebody has asked.
pub(super) struct Stops(watch::Receiver<u32>);

impl Stops {
    /// Listens from now on. Until then a signal ends the process, as any other.
    pub(super) fn listen() -> Self {
        let (times, asked) = watch::channel(0);
        tokio::spawn(async move {
            for _ in 0..2 {
                stop_signal().await;
                times.send_modify(|times| *times += 1);
            }
        });
        Self(asked)
    }

    /// Whether somebody has asked.
    pub(super) fn is_asked(&self) -> bool {
        *self.0.borrow() > 0
    }

    /// Waits until somebody has asked so many times.
    pub(super) async fn asked(&self, wanted: u32) {
        let mut times = self.0.clone();
        // Whoever counts ends only when there is nothing left to wait for.
        let _counted = times.wait_for(|times| *times >= wanted).await;
    }
}
