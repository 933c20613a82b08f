//! The audit trail: one chain a duty, one file a month, one JSON line an entry.
//!
//! Each line is linked to the one before it, and each entry is a leaf of the chain's Merkle tree, so
//! that old months can be removed and the rest still verifies (docs/decisions/0009). A receipt
//! exists only for what is durable. Start at [`AuditTrail`]; [`verify`] is what an outsider does.

mod append;
mod follow;
mod line;
mod month;
mod newest;
mod read;
mod removal;
mod verify;
mod walk;

use std::{
    io,
    path::{Path, PathBuf},
};

use rules::{Digest, Fault};
use thiserror::Error;

pub use self::{
    append::AuditTrail,
    newest::{find_newest, last_entry_at},
    read::{read_entries, read_months},
    removal::{
        OldMonth, OldMonths, Removal, RemovalFault, announce_removal, plan_removal, remove_months,
        unlink_months,
    },
    verify::{Anchored, ChainReport, SignedHere, verify},
    walk::{BrokenReason, FirstBad},
};
pub(crate) use self::{
    follow::{Followed, follow},
    line::Line,
    newest::newest_behind,
    read::entries_gone,
    walk::{Seen, Start, Walked, walk},
};
use crate::{layout::Layout, lock::Duty, secret::sha256};

/// The end of a chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ChainEnd {
    /// The number of the last entry; 0 before the first.
    pub seq: u64,
    /// Its hash.
    pub hash: Digest,
}

impl ChainEnd {
    /// Where a chain hangs: two duties' chains cannot be exchanged for each other.
    pub(crate) fn origin(chain: Duty) -> ChainEnd {
        ChainEnd {
            seq: 0,
            hash: Digest(sha256(&[b"denwaban audit ", chain.name().as_bytes()])),
        }
    }

    /// The end after one more entry, given as the bytes in its line.
    fn after(&self, entry: &[u8]) -> ChainEnd {
        ChainEnd {
            seq: self.seq + 1,
            hash: Digest(sha256(&[&self.hash.0, entry])),
        }
    }
}

/// Where a chain lies.
pub(crate) fn folder(layout: &Layout, chain: Duty) -> PathBuf {
    match chain {
        Duty::Calls => layout.calls_audit(),
        Duty::Office => layout.office_audit(),
    }
}

fn at(path: &Path) -> impl FnOnce(io::Error) -> AuditFault {
    let path = path.to_owned();
    move |source| AuditFault::Disk { path, source }
}

/// Why the trail cannot be used, or is not whole.
#[derive(Debug, Error)]
pub enum AuditFault {
    /// The disk refused.
    #[error("audit file {} cannot be used ({source}); check free space, the disk and the file's owner", path.display())]
    Disk {
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Its last whole line is no entry, so nothing can follow it.
    #[error("the last line of audit file {} is no entry; run audit verify, and move the damaged file away as evidence", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
    },
    /// Somebody deleted, cut or lengthened the file while it was in use.
    #[error("audit file {} is not as it was left: somebody else deleted it or wrote into it; put it back and run audit verify", path.display())]
    Altered {
        /// The file.
        path: PathBuf,
    },
    /// Verification found a bad entry.
    #[error(transparent)]
    Broken(#[from] FirstBad),
    /// An entry cannot be written as JSON.
    #[error("an audit entry cannot be written as JSON; this is a defect of denwaban")]
    NotJson,
}

impl AuditFault {
    /// Whose fault it is.
    #[must_use]
    pub fn fault(&self) -> Fault {
        match self {
            AuditFault::Disk { .. } | AuditFault::Damaged { .. } => Fault::Resource,
            AuditFault::Broken(_) | AuditFault::Altered { .. } => Fault::Operator,
            AuditFault::NotJson => Fault::Ours,
        }
    }
}
