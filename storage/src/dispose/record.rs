//! The record of a disposal: kept for good, one small file each, without anything of a citizen.

use std::{collections::BTreeSet, io, path::PathBuf};

use jiff::Timestamp;
use rules::{DisposalCounts, JstDay, RecordingId, StaffId};
use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::certificate::Subject;
use crate::{
    files::{Disk, MODE_SECRET, list_if_there},
    hex,
    layout::Layout,
};

/// What is known of a disposal once keys, bytes and rows are gone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DisposalRecord {
    /// What was disposed of.
    pub subject: Subject,
    /// The day of the recordings.
    pub day: JstDay,
    /// When keys, bytes and rows were gone here.
    pub destroyed_at: Timestamp,
    /// What became of the recordings.
    pub counts: DisposalCounts,
    #[serde(with = "hex::serde")]
    pub(super) salt: [u8; 32],
    #[serde(with = "hex::serde")]
    pub(super) merkle_root: [u8; 32],
    /// How far it has come.
    pub stage: DisposalStage,
}

/// How far a disposal has come.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DisposalStage {
    /// A mirror has not followed, or nothing could be signed.
    Incomplete,
    /// Every mirror has followed.
    Certified {
        /// The certificate, a signed note.
        certificate: String,
    },
    /// The responsible manager has seen it.
    Acknowledged {
        /// The certificate, a signed note.
        certificate: String,
        /// Who.
        person: StaffId,
        /// When.
        at: Timestamp,
    },
}

impl DisposalRecord {
    /// The certificate, once there is one.
    #[must_use]
    pub fn certificate(&self) -> Option<&str> {
        match &self.stage {
            DisposalStage::Incomplete => None,
            DisposalStage::Certified { certificate }
            | DisposalStage::Acknowledged { certificate, .. } => Some(certificate),
        }
    }

    /// Reads the record of a disposal, if it has come so far.
    ///
    /// # Errors
    /// [`RecordFault`] if it is there and cannot be read.
    pub fn read(
        disk: &dyn Disk,
        layout: &Layout,
        subject: Subject,
    ) -> Result<Option<DisposalRecord>, RecordFault> {
        let path = path_of(layout, subject);
        let bytes = match disk.read(&path) {
            Ok(bytes) => bytes,
            Err(fault) if fault.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(source) => return Err(RecordFault::Disk { path, source }),
        };
        let record: Option<DisposalRecord> = serde_json::from_slice(&bytes).ok();
        match record.filter(|record| record.subject == subject) {
            Some(record) => Ok(Some(record)),
            None => Err(RecordFault::Damaged { path }),
        }
    }

    /// The recordings that have a record of their own, whether or not it can be read.
    pub(super) fn recordings(
        disk: &dyn Disk,
        layout: &Layout,
    ) -> Result<BTreeSet<RecordingId>, RecordFault> {
        let path = layout.disposals();
        let names = list_if_there(disk, &path);
        let names = names.map_err(|source| RecordFault::Disk { path, source })?;
        let subjects = names.iter().filter_map(|name| name.strip_suffix(ENDING));
        Ok(subjects.filter_map(|name| name.parse().ok()).collect())
    }

    pub(super) fn write(&self, disk: &dyn Disk, layout: &Layout) -> Result<(), RecordFault> {
        let path = path_of(layout, self.subject);
        let mut bytes = serde_json::to_vec_pretty(self).expect("texts and numbers are JSON");
        bytes.push(b'\n');
        disk.make_folder(&layout.disposals(), 0o700)
            .and_then(|()| disk.replace(&path, &bytes, MODE_SECRET))
            .map_err(|source| RecordFault::Disk { path, source })
    }
}

fn path_of(layout: &Layout, subject: Subject) -> PathBuf {
    layout.disposals().join(format!("{subject}{ENDING}"))
}

const ENDING: &str = ".json";

/// Why a record cannot be used.
#[derive(Debug, Error)]
pub enum RecordFault {
    /// The disk refused.
    #[error("disposal record {} cannot be used ({source}); check the disk and the file's owner", path.display())]
    Disk {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The file is not what was written.
    #[error("disposal record {} is damaged; put it back from a backup, or move it away as evidence", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
    },
}
