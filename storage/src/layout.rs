//! Where everything lies: one folder of data, one of roots, which belongs on another volume, and one
//! of the key that signs.
//!
//! Each file has one writer. What stands under `calls` and `vault` is written by the calls duty,
//! what stands under `office` and `keys`, the root and the key that signs, by the office duty.
//! From spool and vault the office also takes away, so both folders are open to the common group.

use std::{
    io,
    path::{Path, PathBuf},
};

use rules::JstDay;

use crate::{files::Disk, lock::Duty};

/// A folder from which the other duty reads.
pub(crate) const MODE_READ: u32 = 0o750;
/// A folder from which the other duty takes away what it has taken in, or what is due.
pub(crate) const MODE_TAKEN_AWAY: u32 = 0o770;
/// A folder through which the other duty passes to what it may read, and which it cannot list.
const MODE_PASSED: u32 = 0o710;
/// A folder of nobody else.
pub(crate) const MODE_OWN: u32 = 0o700;

/// The paths of one installation.
#[derive(Clone, Debug)]
pub struct Layout {
    data: PathBuf,
    root: PathBuf,
    signing: PathBuf,
    mirrors: Vec<PathBuf>,
}

impl Layout {
    /// `data`: the folder of data, `root`: the folder of root generations. The key that signs lies
    /// in `signing` beside the data.
    #[must_use]
    pub fn new(data: impl Into<PathBuf>, root: impl Into<PathBuf>) -> Layout {
        let data = data.into();
        Layout {
            signing: data.with_file_name("signing"),
            data,
            root: root.into(),
            mirrors: Vec::new(),
        }
    }

    /// The same with another folder for the key that signs.
    #[must_use]
    pub fn with_signing(self, signing: impl Into<PathBuf>) -> Layout {
        Layout {
            signing: signing.into(),
            ..self
        }
    }

    /// The same with folders on other volumes that follow the keys.
    #[must_use]
    pub fn with_mirrors(self, mirrors: Vec<PathBuf>) -> Layout {
        Layout { mirrors, ..self }
    }

    /// Makes all folders that are missing.
    ///
    /// # Errors
    /// The disk's own fault.
    pub fn make_folders(&self, disk: &dyn Disk) -> io::Result<()> {
        self.make_folders_of(Duty::Calls, disk)?;
        self.make_folders_of(Duty::Office, disk)
    }

    /// Makes the folders that are missing of what a duty writes.
    ///
    /// # Errors
    /// The disk's own fault.
    pub fn make_folders_of(&self, duty: Duty, disk: &dyn Disk) -> io::Result<()> {
        disk.make_folder(&self.data, 0o750)?;
        for (folder, mode) in self.folders_of(duty) {
            disk.make_folder(&folder, mode)?;
        }
        Ok(())
    }

    /// The folders of what a duty writes, each with its mode.
    #[must_use]
    pub fn folders_of(&self, duty: Duty) -> Vec<(PathBuf, u32)> {
        match duty {
            Duty::Calls => vec![
                (self.calls(), MODE_READ),
                (self.spool(), MODE_TAKEN_AWAY),
                (self.calls_audit(), MODE_READ),
                (self.vault(), MODE_TAKEN_AWAY),
            ],
            Duty::Office => vec![
                (self.office(), MODE_PASSED),
                (self.office_audit(), MODE_OWN),
                (self.disposals(), MODE_OWN),
                (self.keys(), MODE_PASSED),
                (self.public_halves(), MODE_READ),
                (self.signing_history(), MODE_READ),
                (self.root.clone(), MODE_OWN),
            ],
        }
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

    /// The folders that follow the keys; each is made by whoever writes it first.
    #[must_use]
    pub fn mirrors(&self) -> &[PathBuf] {
        &self.mirrors
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

    /// Whether the wall clock is believed enough to destroy by it.
    #[must_use]
    pub fn clock(&self) -> PathBuf {
        self.data.join("office/clock.json")
    }

    /// What was decided about the numbers' notices, for whoever carries calls.
    #[must_use]
    pub fn notices(&self) -> PathBuf {
        self.data.join("office/notices.json")
    }

    /// What the office wrote there last.
    #[must_use]
    pub fn notices_note(&self) -> PathBuf {
        self.data.join("office/notices.note")
    }

    /// What whoever carries calls took in of it last.
    #[must_use]
    pub fn known_notices(&self) -> PathBuf {
        self.data.join("calls/notices.json")
    }

    /// What a restore has still to bring.
    #[must_use]
    pub fn restoration(&self) -> PathBuf {
        self.data.join("office/restoration.json")
    }

    /// N as the policy's versions say it, for whoever fixes a day's expiry.
    #[must_use]
    pub fn policy_days(&self) -> PathBuf {
        self.data.join("office/policy-days.json")
    }

    /// What the office wrote there last.
    #[must_use]
    pub fn policy_days_note(&self) -> PathBuf {
        self.data.join("office/policy-days.note")
    }

    /// What whoever carries calls took in of it last.
    #[must_use]
    pub fn known_policy_days(&self) -> PathBuf {
        self.data.join("calls/policy-days.json")
    }

    /// A record of each disposal, with its certificate.
    #[must_use]
    pub fn disposals(&self) -> PathBuf {
        self.data.join("office/disposals")
    }

    /// The hashes of both chains' trees, a folder a chain.
    #[must_use]
    pub fn tiles(&self) -> PathBuf {
        self.data.join("office/tiles")
    }

    /// The signed heads of both chains, a folder a chain.
    #[must_use]
    pub fn heads(&self) -> PathBuf {
        self.data.join("office/heads")
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

    /// The key that signs and its history.
    #[must_use]
    pub fn signing(&self) -> PathBuf {
        self.signing.clone()
    }

    /// The private key that signs.
    #[must_use]
    pub fn signing_key(&self) -> PathBuf {
        self.signing.join("key")
    }

    /// The public keys that have signed, each named by the one before it.
    #[must_use]
    pub fn signing_history(&self) -> PathBuf {
        self.signing.join("history")
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
