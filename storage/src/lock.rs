//! One writer for each duty: an advisory lock on an open file, which the kernel frees with the
//! process, SIGKILL included. The file itself stays and means nothing.

use std::{
    fs::{File, OpenOptions, Permissions},
    io,
    os::unix::fs::{OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
};

use rules::{Chain, Fault};
use rustix::fs::{FlockOperation, flock};
use thiserror::Error;

use crate::{
    files::{MODE_SECRET, MODE_SHARED, give_to_owner},
    layout::Layout,
};

/// What a process has taken upon itself, and what its lock guards.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Duty {
    /// Carries calls: writes segments, spool, the emergency's state and its own audit chain.
    Calls,
    /// Keeps the office: writes catalogue, keys and its own audit chain, exports, disposes.
    Office,
}

impl Duty {
    /// The folder that belongs to this duty.
    #[must_use]
    pub fn folder(self, layout: &Layout) -> PathBuf {
        match self {
            Duty::Calls => layout.calls(),
            Duty::Office => layout.office(),
        }
    }

    /// The audit chain that this duty writes.
    #[must_use]
    pub fn chain(self) -> Chain {
        match self {
            Duty::Calls => Chain::Calls,
            Duty::Office => Chain::Office,
        }
    }

    /// The word for messages and for the origin of the duty's audit chain.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Duty::Calls => "calls",
            Duty::Office => "office",
        }
    }
}

impl From<Chain> for Duty {
    fn from(chain: Chain) -> Duty {
        match chain {
            Chain::Calls => Duty::Calls,
            Chain::Office => Duty::Office,
        }
    }
}

/// A duty that this process holds until the value is dropped.
#[derive(Debug)]
pub struct Lock {
    duty: Duty,
    _file: File,
}

impl Lock {
    /// Takes the duty, or says at once that another process has it.
    ///
    /// # Errors
    /// [`LockFault::Held`] while another process has the duty, [`LockFault::Disk`] if the lock file
    /// cannot be opened.
    pub fn acquire(layout: &Layout, duty: Duty) -> Result<Lock, LockFault> {
        let path = duty.folder(layout).join("lock");
        let mode = match duty {
            Duty::Calls => MODE_SHARED,
            Duty::Office => MODE_SECRET,
        };
        let file = take(&path, mode, duty.name())?;
        Ok(Lock { duty, _file: file })
    }

    /// Which duty this is.
    #[must_use]
    pub fn duty(&self) -> Duty {
        self.duty
    }
}

/// Takes a lock that is called so, or says at once that another process has it. It is held as long as the file is open.
pub(crate) fn take(path: &Path, mode: u32, duty: &'static str) -> Result<File, LockFault> {
    let unusable = |source| LockFault::Disk {
        path: path.to_owned(),
        source,
    };
    let file = open(path, mode).map_err(unusable)?;
    match flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(file),
        Err(rustix::io::Errno::WOULDBLOCK) => Err(LockFault::Held {
            duty,
            path: path.to_owned(),
        }),
        Err(errno) => Err(unusable(errno.into())),
    }
}

fn open(path: &Path, mode: u32) -> io::Result<File> {
    // Read and write without truncation; the standard library opens with O_CLOEXEC, so no child
    // keeps the lock alive.
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(mode)
        .open(path)?;
    give_to_owner(&file, path)?;
    // The group could read, and so hold, the office's of former versions.
    file.set_permissions(Permissions::from_mode(mode))?;
    Ok(file)
}

/// Why a duty could not be taken.
#[derive(Debug, Error)]
pub enum LockFault {
    /// Another process has it.
    #[error("the {duty} duty is held by another process ({}); stop that one, or send it the command", path.display())]
    Held {
        /// The word for the duty.
        duty: &'static str,
        /// The lock file.
        path: PathBuf,
    },
    /// The lock file cannot be used.
    #[error("lock file {} cannot be used ({source}); check that the folder exists and belongs to this user", path.display())]
    Disk {
        /// The lock file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

impl LockFault {
    /// Whose fault it is.
    #[must_use]
    pub fn fault(&self) -> Fault {
        match self {
            LockFault::Held { .. } => Fault::Operator,
            LockFault::Disk { .. } => Fault::Resource,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::files::OsDisk;

    #[test]
    fn a_duty_is_held_once_and_free_again_when_dropped() {
        let folder = tempfile::tempdir().unwrap();
        let layout = Layout::new(folder.path().join("data"), folder.path().join("root"));
        layout.make_folders(&OsDisk).unwrap();

        let held = Lock::acquire(&layout, Duty::Calls).unwrap();
        let refused = Lock::acquire(&layout, Duty::Calls).unwrap_err();
        let other = Lock::acquire(&layout, Duty::Office).unwrap();
        drop(held);
        let again = Lock::acquire(&layout, Duty::Calls).unwrap();

        assert!(matches!(refused, LockFault::Held { duty: "calls", .. }));
        assert_eq!((other.duty(), again.duty()), (Duty::Office, Duty::Calls));
    }
}
