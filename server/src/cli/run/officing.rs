//! What does the office's duty: its thread, its lock and its socket, in a process of its own or as a part of one that carries calls.

use std::{io, sync::Arc, time::Duration};

use rules::AlarmCode;
use storage::{Duty, Lock, LockFault, Vault};
use tokio::sync::Notify;

use crate::{
    calls,
    config::Config,
    duty, export,
    neighbour::Neighbour,
    office::{Desk, Office},
    sharing::Sharing,
};

/// The office at its duty.
pub(super) struct Officing {
    office: Office,
    /// Free when the office has ended.
    _held: Option<Lock>,
}

impl Officing {
    /// Begins the thread and opens the socket. `nudge`: told when the spool has something new.
    ///
    /// # Errors
    /// The system gives no thread or runtime.
    pub(super) fn begin(
        config: &Arc<Config>,
        vault: &Arc<Vault>,
        nudge: Arc<Notify>,
        held: Option<Lock>,
    ) -> io::Result<Officing> {
        let office = Office::begin(config, vault, nudge)?;
        if let Some(lock) = &held {
            serve(config, lock, office.desk());
        }
        Ok(Officing {
            office,
            _held: held,
        })
    }

    /// Where jobs are handed in.
    pub(super) fn desk(&self) -> Desk {
        self.office.desk()
    }

    /// Whether its thread has ended by itself.
    pub(super) fn has_ended(&self) -> bool {
        self.office.has_ended()
    }

    /// Ends it in order.
    pub(super) fn stop(self) {
        self.office.stop();
    }
}

/// The office's part of a process that carries calls: it begins when its lock is free, and no call waits for that (law 1).
pub(super) struct OfficePart {
    config: Arc<Config>,
    vault: Arc<Vault>,
    neighbour: Neighbour,
    alarms: calls::Desk,
    stage: Stage,
}

enum Stage {
    /// Nothing was tried yet.
    New,
    /// It could not begin, which was told, and is tried again.
    Waiting,
    Begun(Officing),
}

/// How long the first call may wait for the first key; without one it is connected unrecorded.
const FIRST_KEYS: Duration = Duration::from_secs(2);

impl OfficePart {
    /// One that has not begun. `neighbour`: how the calls reach it, once it has.
    pub(super) fn new(
        config: &Arc<Config>,
        vault: &Arc<Vault>,
        neighbour: Neighbour,
        alarms: calls::Desk,
    ) -> OfficePart {
        OfficePart {
            config: Arc::clone(config),
            vault: Arc::clone(vault),
            neighbour,
            alarms,
            stage: Stage::New,
        }
    }

    /// Begins, if it has not and its lock is free.
    pub(super) fn look(&mut self) {
        if matches!(self.stage, Stage::Begun(_)) {
            return;
        }
        match self.begin() {
            Ok(office) => {
                tracing::info!("the office's part has begun");
                self.neighbour.moves_in(office.desk());
                self.stage = Stage::Begun(office);
            }
            Err(cause) if matches!(self.stage, Stage::New) => {
                tracing::error!(
                    cause,
                    "the office's part begins later; calls go on, their rows wait"
                );
                self.alarms.raise(AlarmCode::OfficeHeld, None);
                self.stage = Stage::Waiting;
            }
            Err(_) => {}
        }
    }

    fn begin(&self) -> Result<Officing, String> {
        let held = match Lock::acquire(&self.config.layout(), Duty::Office) {
            Ok(lock) => Some(lock),
            Err(fault @ LockFault::Held { .. }) => return Err(fault.to_string()),
            Err(fault @ LockFault::Disk { .. }) => {
                tracing::error!(%fault, "the office's lock cannot be made; calls go on");
                None
            }
        };
        let nudge = self.neighbour.nudge();
        Officing::begin(&self.config, &self.vault, nudge, held).map_err(|fault| fault.to_string())
    }

    /// Waits until an office that has begun has looked after the keys, but not for long.
    pub(super) fn wait_for_keys(&self) {
        match &self.stage {
            Stage::Begun(office) => office.office.wait_for_keys(FIRST_KEYS),
            Stage::New | Stage::Waiting => {}
        }
    }

    /// The office, where it has begun.
    pub(super) fn begun(self) -> Option<Officing> {
        match self.stage {
            Stage::Begun(office) => Some(office),
            Stage::New | Stage::Waiting => None,
        }
    }
}

/// Opens the office's socket. One that cannot be opened costs commands, not calls.
fn serve(config: &Config, lock: &Lock, desk: Desk) {
    let sharing = Sharing::of(config.folders.group.as_ref());
    let opened = duty::listen(lock, &config.layout(), &config.office, sharing)
        .map_err(|fault| fault.to_string())
        .and_then(|listener| {
            let served = duty::serve(Duty::Office, listener, move |request, client| {
                export::attend(&desk, request, client);
            });
            served.map_err(|fault| fault.to_string())
        });
    if let Err(fault) = opened {
        tracing::error!(fault, "the office's socket cannot be opened");
    }
}
