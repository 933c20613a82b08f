//! Where everything lies: one folder of data, one of roots, which belongs on another volume, and one
//! of the key that signs.
//!
//! Each file has one writer. What stands under `calls` and `vault` is written by the calls duty,
//! what stands under `office` and `keys`, the root and the key that signs, by the office duty.

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
        disk.make_folder(&self.data, 0o750)?;
        for folder in [
            self.calls(),
            self.spool(),
            self.calls_audit(),
            self.office(),
            self.office_audit(),
            self.disposals(),
            self.keys(),
            self.public_halves(),
            self.vault(),
            self.signing_history(),
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
