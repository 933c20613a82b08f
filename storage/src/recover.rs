//! What a start does with segments that a crash left open: it cuts them to their last whole chunk
//! and adds nothing, because their key is gone.

use rules::{AuditEvent, RecordingState, RecoveryReason};

use crate::{
    rows::{AudioFacts, RecoveredRow, SpoolEntry},
    segment::{self, CutReason, Inspection, SAMPLE_RATE_HZ},
    vault::{SegmentFile, Vault, VaultFault, at},
};

/// A segment that a crash left open, cut to its whole chunks.
#[derive(Clone, Debug)]
pub struct Recovered {
    file: SegmentFile,
    row: RecoveredRow,
}

impl Recovered {
    /// What the row must say.
    #[must_use]
    pub fn spool_entry(&self) -> SpoolEntry {
        SpoolEntry::Recovered(Box::new(self.row.clone()))
    }

    /// What the audit trail must say; a segment that has its end needs no entry.
    #[must_use]
    pub fn audit_event(&self) -> Option<AuditEvent> {
        Some(AuditEvent::RecordingRecovered {
            recording: self.row.recording,
            chunks: self.row.audio.chunks,
            sha256: self.row.audio.sha256,
            reason: self.row.reason?,
        })
    }

    /// What is known of it.
    #[must_use]
    pub fn row(&self) -> &RecoveredRow {
        &self.row
    }
}

impl Vault {
    /// Cuts every segment that a crash left open to its last whole chunk.
    ///
    /// To be called by the calls duty before it carries calls. A segment keeps its open name
    /// until [`settle`](Vault::settle), so that one that is not yet written down is found again.
    /// Segments that could not be cut, and days that cannot be listed, are in the second list; the others do not wait for them.
    ///
    /// # Errors
    /// [`VaultFault`] if the vault's folder cannot be listed.
    pub fn recover(&self) -> Result<(Vec<Recovered>, Vec<VaultFault>), VaultFault> {
        let mut recovered = Vec::new();
        let mut faults = Vec::new();
        for day in self.days()? {
            let files = match self.files(day) {
                Ok(files) => files,
                Err(fault) => {
                    faults.push(fault);
                    continue;
                }
            };
            for file in files.into_iter().filter(SegmentFile::is_open) {
                match self.recover_segment(file) {
                    Ok(segment) => recovered.push(segment),
                    Err(fault) => faults.push(fault),
                }
            }
        }
        Ok((recovered, faults))
    }

    /// Closes recovered segments, once row and audit entry are durable.
    ///
    /// # Errors
    /// [`VaultFault`]; what was not closed is recovered again by the next start.
    pub fn settle(&self, recovered: &[Recovered]) -> Result<(), VaultFault> {
        recovered
            .iter()
            .try_for_each(|segment| self.close(&segment.file))?;
        if !recovered.is_empty() {
            self.note_written();
        }
        self.flush()
    }

    fn recover_segment(&self, file: SegmentFile) -> Result<Recovered, VaultFault> {
        let bytes = self.read(&file)?;
        let expires_at = self.begin_day(file.day)?;
        let row = match segment::inspect(&bytes) {
            Ok(inspection) => {
                if inspection.whole_bytes < bytes.len() as u64 {
                    self.cut(&file, inspection.whole_bytes)?;
                }
                recovered_row(&file, expires_at, inspection)
            }
            // Without its header nothing of it opens; it is left as it is until its day is due.
            Err(_) => RecoveredRow {
                recording: file.recording,
                call: None,
                day: file.day,
                expires_at,
                start: None,
                notice: None,
                state: RecordingState::Recovered,
                audio: AudioFacts {
                    chunks: 0,
                    duration_ms: 0,
                    gaps_ms: 0,
                    sha256: segment::file_hash(&bytes),
                    bytes: bytes.len() as u64,
                },
                reason: Some(RecoveryReason::DamagedChunk),
            },
        };
        Ok(Recovered { file, row })
    }

    fn cut(&self, file: &SegmentFile, length: u64) -> Result<(), VaultFault> {
        let path = self.path(file);
        let mut file = self.disk.append(&path).map_err(at(&path))?;
        file.cut(length).map_err(at(&path))?;
        file.sync().map_err(at(&path))
    }
}

fn recovered_row(
    file: &SegmentFile,
    expires_at: jiff::Timestamp,
    inspection: Inspection,
) -> RecoveredRow {
    let reason = match (inspection.cut, inspection.chunks) {
        (None | Some(CutReason::BytesAfterEnd), _) => None,
        (Some(_), 0) => Some(RecoveryReason::HeaderOnly),
        (Some(CutReason::NotFinished), _) => Some(RecoveryReason::NotFinished),
        (Some(CutReason::ChunkCut), _) => Some(RecoveryReason::TornChunk),
        (Some(CutReason::ChunkDamaged), _) => Some(RecoveryReason::DamagedChunk),
    };
    let state = match reason {
        Some(_) => RecordingState::Recovered,
        None => RecordingState::Sealed,
    };
    RecoveredRow {
        recording: file.recording,
        call: Some(inspection.header.call),
        day: file.day,
        expires_at,
        start: Some(inspection.header.start),
        audio: facts(&inspection),
        notice: Some(inspection.header.notice),
        state,
        reason,
    }
}

fn facts(inspection: &Inspection) -> AudioFacts {
    AudioFacts {
        chunks: u64::from(inspection.chunks),
        duration_ms: inspection.samples * 1000 / u64::from(SAMPLE_RATE_HZ),
        gaps_ms: inspection.gaps_ms(),
        sha256: inspection.sha256,
        bytes: inspection.whole_bytes,
    }
}
