//! Why keys cannot be used.

use std::{
    io,
    path::{Path, PathBuf},
};

use rules::Fault;
use thiserror::Error;

use super::store::Edition;
use crate::{group::Group, secret::SecretFault};

/// Why keys cannot be used.
#[derive(Debug, Error)]
pub enum KeyFault {
    /// A new installation was to be made over another.
    #[error("there are keys already beside {}; nothing is made anew over them", path.display())]
    AlreadyThere {
        /// The key store.
        path: PathBuf,
    },
    /// There is no key store.
    #[error("key store {} is missing; recover it from a mirror by keys recover, or run init in an empty folder", path.display())]
    StoreMissing {
        /// Where it was expected.
        path: PathBuf,
    },
    /// The key store is not what was written.
    #[error("key store {} is damaged; recover it from a mirror by keys recover", path.display())]
    StoreDamaged {
        /// The file.
        path: PathBuf,
    },
    /// The root that the store names is not there.
    #[error("root {} is missing, which the key store is wrapped under; mount the root's volume, or recover root and store from a mirror by keys recover", path.display())]
    RootMissing {
        /// Where it was expected.
        path: PathBuf,
    },
    /// The root is not what was written.
    #[error("root {} is damaged; recover root and store from a mirror by keys recover", path.display())]
    RootDamaged {
        /// The file.
        path: PathBuf,
    },
    /// What is wrapped was wrapped under something else.
    #[error(
        "the key store does not open under root {root}: they are not of one time, or damaged; recover both from a mirror by keys recover"
    )]
    DoesNotUnwrap {
        /// The root's generation.
        root: u32,
    },
    /// The group has no key any more: what was sealed to it is gone.
    #[error("the keys of {group} were destroyed; what was sealed to them cannot be opened again")]
    Destroyed {
        /// The group.
        group: Group,
    },
    /// A mirror's folder does not hold what was written there.
    #[error("mirror {} holds no key store; mount its volume, or set it up anew by keys mirror", path.display())]
    MirrorAway {
        /// The mirror's folder.
        path: PathBuf,
    },
    /// A mirror holds what the key store held earlier.
    #[error("mirror {} has generation {found} of the root or earlier keys, expected generation {expected} and today's; run keys mirror", path.display())]
    MirrorStale {
        /// The mirror's folder.
        path: PathBuf,
        /// Its generation.
        found: u32,
        /// The key store's.
        expected: u32,
    },
    /// A mirror holds what the key store never held: root and key store are of an old copy.
    #[error("mirror {} holds newer keys ({found}) than the key store ({expected}), which was put back from an old copy; nothing is written over it: run keys recover --from {}", path.display(), path.display())]
    MirrorNewer {
        /// The mirror's folder.
        path: PathBuf,
        /// The mirror's.
        found: Edition,
        /// The key store's.
        expected: Edition,
    },
    /// The mirror that somebody recovers from holds older keys than the trail tells of, and another cannot be read.
    #[error("the audit trail tells of generation {told} of the root, the mirror has {found}, and mirror {} cannot be read: mount its volume and recover from it, or, where it is lost, strike it from [keys] mirrors", path.display())]
    MirrorUnread {
        /// The other mirror's folder.
        path: PathBuf,
        /// The trail's generation.
        told: u32,
        /// That of the mirror to recover from.
        found: u32,
    },
    /// The configuration names a mirror no more, and nobody answered for what it may hold.
    #[error("mirror {} is not in the configuration any more and may hold keys still; write it into [keys] mirrors again, or end it by keys mirror --ended", path.display())]
    MirrorStruck {
        /// The mirror's folder.
        path: PathBuf,
    },
    /// A mirror that follows is not ended.
    #[error("mirror {} is in the configuration; strike it from [keys] mirrors first", path.display())]
    MirrorConfigured {
        /// The mirror's folder.
        path: PathBuf,
    },
    /// No keys were ever written there.
    #[error("no keys were written to {}, or it was ended; keys status names the mirrors", path.display())]
    NoMirror {
        /// The folder.
        path: PathBuf,
    },
    /// The audit trail knows of roots that the key store never had.
    #[error(
        "the audit trail tells of generation {told} of the root, the key store has {found} and was put back from an old copy; run keys recover --from a mirror, or, where no newer one is left, keys rotate, which gives up the keys that were made since"
    )]
    TrailNewer {
        /// The trail's generation.
        told: u32,
        /// The key store's.
        found: u32,
    },
    /// Something was to be recovered over keys that can be used.
    #[error("the key store {} opens under its root and the mirror holds nothing newer; nothing is recovered over it", path.display())]
    NothingLost {
        /// The key store.
        path: PathBuf,
    },
    /// The disk refused.
    #[error("key file {} cannot be used ({source}); check the disk and the file's owner", path.display())]
    Disk {
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The cipher refused.
    #[error(transparent)]
    Secret(#[from] SecretFault),
}

impl KeyFault {
    /// Whether whoever asked may not read the keys, which tells nothing of them.
    #[must_use]
    pub fn is_forbidden(&self) -> bool {
        matches!(self, KeyFault::Disk { source, .. } if source.kind() == io::ErrorKind::PermissionDenied)
    }

    /// Whose fault it is.
    #[must_use]
    pub fn fault(&self) -> Fault {
        match self {
            KeyFault::AlreadyThere { .. }
            | KeyFault::Destroyed { .. }
            | KeyFault::MirrorStruck { .. }
            | KeyFault::MirrorConfigured { .. }
            | KeyFault::NoMirror { .. }
            | KeyFault::NothingLost { .. } => Fault::Operator,
            KeyFault::StoreMissing { .. }
            | KeyFault::StoreDamaged { .. }
            | KeyFault::RootMissing { .. }
            | KeyFault::RootDamaged { .. }
            | KeyFault::DoesNotUnwrap { .. }
            | KeyFault::MirrorAway { .. }
            | KeyFault::MirrorStale { .. }
            | KeyFault::MirrorNewer { .. }
            | KeyFault::MirrorUnread { .. }
            | KeyFault::TrailNewer { .. }
            | KeyFault::Disk { .. } => Fault::Resource,
            KeyFault::Secret(fault) => fault.fault(),
        }
    }
}

pub(super) fn at(path: &Path) -> impl FnOnce(io::Error) -> KeyFault {
    let path = path.to_owned();
    move |source| KeyFault::Disk { path, source }
}
