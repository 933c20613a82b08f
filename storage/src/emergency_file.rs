//! The emergency that is declared, in a small file of the calls duty: it must survive a restart
//! without database, audit trail or network.

use std::{io, path::PathBuf};

use rules::{EmergencyState, Fault};
use thiserror::Error;

use crate::{
    files::{Disk, MODE_SHARED},
    layout::Layout,
};

/// What was declared when the state was last saved; nothing, if it never was.
///
/// # Errors
/// [`EmergencyFileFault`] if the file cannot be read; the caller goes on as if nothing were
/// declared, and says so.
pub fn load_emergency(
    disk: &dyn Disk,
    layout: &Layout,
) -> Result<EmergencyState, EmergencyFileFault> {
    let path = layout.emergency();
    let bytes = match disk.read(&path) {
        Ok(bytes) => bytes,
        Err(fault) if fault.kind() == io::ErrorKind::NotFound => {
            return Ok(EmergencyState::default());
        }
        Err(source) => return Err(EmergencyFileFault::Disk { path, source }),
    };
    serde_json::from_slice(&bytes).map_err(|_| EmergencyFileFault::Damaged { path })
}

/// Saves what is declared; a reader sees the old state or the new one.
///
/// # Errors
/// [`EmergencyFileFault::Disk`]; the emergency holds all the same, until the process ends.
pub fn save_emergency(
    disk: &dyn Disk,
    layout: &Layout,
    state: &EmergencyState,
) -> Result<(), EmergencyFileFault> {
    let path = layout.emergency();
    let bytes = serde_json::to_vec_pretty(state).map_err(|source| EmergencyFileFault::Disk {
        path: path.clone(),
        source: source.into(),
    })?;
    disk.replace(&path, &bytes, MODE_SHARED)
        .map_err(|source| EmergencyFileFault::Disk { path, source })
}

/// Why the emergency's state is not known, or not saved.
#[derive(Debug, Error)]
pub enum EmergencyFileFault {
    /// The file is not what was written.
    #[error("emergency state {} is damaged; nothing counts as declared, so declare the emergency again", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
    },
    /// The disk refused.
    #[error("emergency state {} cannot be used ({source}); check the disk, and declare the emergency again after a restart", path.display())]
    Disk {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

impl EmergencyFileFault {
    /// Whose fault it is.
    #[must_use]
    pub fn fault(&self) -> Fault {
        Fault::Resource
    }
}
