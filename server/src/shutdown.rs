//! How the service ends: SIGTERM or Ctrl-C means hang up, seal and go; everything has six seconds.
//!
//! Calls to and from 110, 118 and 119 are waited for, until the signal comes again (S-17).

use std::time::Duration;

use tokio::signal::unix::{Signal, SignalKind, signal};

/// How long the signalling thread has to say that it has heard.
pub(crate) const ANSWER: Duration = Duration::from_secs(1);
/// From then to the exit; a service manager waits longer than that.
pub(crate) const PATIENCE: Duration = Duration::from_secs(5);
/// How long parties have to answer our BYE before the sockets close.
pub(crate) const HANG_UP: Duration = Duration::from_secs(2);

/// The signals that end the service.
#[derive(Debug)]
pub(crate) struct EndSignals {
    terminate: Signal,
    interrupt: Signal,
}

impl EndSignals {
    /// Begins to listen; from here on the signals no longer kill the process.
    ///
    /// # Errors
    /// The runtime cannot take signals.
    pub(crate) fn listen() -> std::io::Result<EndSignals> {
        Ok(EndSignals {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
        })
    }

    /// Waits for the first of them.
    pub(crate) async fn arrived(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}
