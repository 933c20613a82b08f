//! Where everything lies: one folder of data, one folder of roots, which belongs on another volume.
//!
//! Each file has one writer. What stands under `calls` and `vault` is written by the calls duty,
//! what stands under `office` and `keys`, and the root, by the office duty.

use std::{
    io,
    path::{Path, PathBuf},
};

use rules::JstDay;

use crate::files::Disk;

/// The paths of one installation.
#[derive(Clone, Debug)]
pub struct Layout {
    data: PathBuf,
    root: PathBuf,
}

impl Layout {
    /// `data`: the folder of data, `root`: the folder of root generations.
    #[must_use]
    pub fn new(data: impl Into<PathBuf>, root: impl Into<PathBuf>) -> Layout {
        Layout {
            data: data.into(),
            root: root.into(),
        }
    }

    /// Makes all folders that are missing.
    ///
    /// # Errors
    /// The disk's own fault.
    pub fn make_folders(&self, disk: &dyn Disk) -> io::Result<()> {
        disk.make_folder(&self.data, 0o750)?;
        for folder in [
            self.calls(),
            self.spool(),
            self.calls_audit(),
            self.office(),
            self.office_audit(),
            self.keys(),
            self.public_halves(),
            self.vault(),
        ] {
            disk.make_folder(&folder, 0o750)?;
        }
        disk.make_folder(&self.root, 0o700)
    }

    /// The folder of data.
    #[must_use]
    pub fn data(&self) -> &Path {
        &self.data
    }

    /// The folder of root generations.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// What the calls duty writes.
    #[must_use]
    pub fn calls(&self) -> PathBuf {
        self.data.join("calls")
    }

    /// Rows on their way into the catalogue.
    #[must_use]
    pub fn spool(&self) -> PathBuf {
        self.data.join("calls/spool")
    }

    /// The audit chain of the calls duty.
    #[must_use]
    pub fn calls_audit(&self) -> PathBuf {
        self.data.join("calls/audit")
    }

    /// The emergency that is declared.
    #[must_use]
    pub fn emergency(&self) -> PathBuf {
        self.data.join("calls/emergency.json")
    }

    /// What the office duty writes.
    #[must_use]
    pub fn office(&self) -> PathBuf {
        self.data.join("office")
    }

    /// The rows of all calls.
    #[must_use]
    pub fn catalogue(&self) -> PathBuf {
        self.data.join("office/catalogue.db")
    }

    /// The audit chain of the office duty.
    #[must_use]
    pub fn office_audit(&self) -> PathBuf {
        self.data.join("office/audit")
    }

    /// Key store and public halves.
    #[must_use]
    pub fn keys(&self) -> PathBuf {
        self.data.join("keys")
    }

    /// The private halves, wrapped under the root.
    #[must_use]
    pub fn key_store(&self) -> PathBuf {
        self.data.join("keys/store")
    }

    /// The public halves, all that calls ever have of a key.
    #[must_use]
    pub fn public_halves(&self) -> PathBuf {
        self.data.join("keys/public")
    }

    /// The sealed recordings.
    #[must_use]
    pub fn vault(&self) -> PathBuf {
        self.data.join("vault")
    }

    /// The sealed recordings of the calls that began on one day.
    #[must_use]
    pub fn vault_day(&self, day: JstDay) -> PathBuf {
        self.vault().join(day.to_string())
    }
}
