//! What a start does with segments that a crash left open: it cuts them to their last whole chunk
//! and adds nothing, because their key is gone.

use std::collections::BTreeMap;

use rules::{AuditEvent, JstDay, RecordingId, RecordingState, RecoveryReason};

use crate::{
    header::Header,
    rows::{AudioFacts, RecoveredRow, SpoolEntry},
    segment::{self, CutReason, Inspection},
    vault::{SegmentFile, Vault, VaultFault, at},
    writer::{GapTotal, SealedSegment},
};

/// A recording of which a crash left segments open, each cut to its whole chunks.
#[derive(Clone, Debug)]
pub struct Recovered {
    /// Those that were open.
    files: Vec<SegmentFile>,
    /// Of all its segments.
    row: RecoveredRow,
}

impl Recovered {
    /// What the row must say.
    #[must_use]
    pub fn spool_entry(&self) -> SpoolEntry {
        SpoolEntry::Recovered(Box::new(self.row.clone()))
    }

    /// What the audit trail must say; one whose segments have their end needs no entry.
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
    /// Recordings that could not be cut, and days that cannot be listed, are in the second list; the others do not wait for them.
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
            let mut recordings: BTreeMap<RecordingId, Vec<SegmentFile>> = BTreeMap::new();
            for file in files {
                recordings.entry(file.recording).or_default().push(file);
            }
            for (recording, files) in recordings {
                if files.iter().any(SegmentFile::is_open) {
                    match self.recover_recording(day, recording, files) {
                        Ok(recording) => recovered.push(recording),
                        Err(fault) => faults.push(fault),
                    }
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
            .flat_map(|recording| &recording.files)
            .try_for_each(|file| self.close(file))?;
        if !recovered.is_empty() {
            self.note_written();
        }
        self.flush()
    }

    /// What is left of a recording: its row adds all segments up, those too that were closed already.
    fn recover_recording(
        &self,
        day: JstDay,
        recording: RecordingId,
        mut files: Vec<SegmentFile>,
    ) -> Result<Recovered, VaultFault> {
        files.sort_by_key(|file| file.segment);
        let expires_at = self.begin_day(day)?;
        let segments = files.iter().map(|file| self.recover_segment(file));
        let segments = segments.collect::<Result<Vec<_>, _>>()?;
        files.retain(SegmentFile::is_open);
        let sealed = segments.iter().map(|segment| segment.sealed);
        let whole = sealed
            .reduce(|whole, next| whole.and(&next))
            .expect("one of its segments was open");
        let reason = segments.iter().find_map(|segment| segment.reason);
        let header = segments.into_iter().find_map(|segment| segment.header);
        let row = RecoveredRow {
            recording,
            call: header.as_ref().map(|header| header.call),
            day,
            expires_at,
            start: header.as_ref().map(|header| header.start),
            notice: header.map(|header| header.notice),
            state: match reason {
                Some(_) => RecordingState::Recovered,
                None => RecordingState::Sealed,
            },
            audio: AudioFacts::from(&whole),
            reason,
        };
        Ok(Recovered { files, row })
    }

    fn recover_segment(&self, file: &SegmentFile) -> Result<Left, VaultFault> {
        let bytes = self.read(file)?;
        match segment::inspect(&bytes) {
            Ok(inspection) => {
                if file.is_open() && inspection.whole_bytes < bytes.len() as u64 {
                    self.cut(file, inspection.whole_bytes)?;
                }
                Ok(Left::of(inspection))
            }
            // Without its header nothing of it opens; it is left as it is until its day is due.
            Err(_) => Ok(Left {
                sealed: SealedSegment {
                    chunks: 0,
                    samples: 0,
                    gaps: GapTotal::default(),
                    sha256: segment::file_hash(&bytes),
                    bytes: bytes.len() as u64,
                },
                header: None,
                reason: Some(RecoveryReason::DamagedChunk),
            }),
        }
    }

    fn cut(&self, file: &SegmentFile, length: u64) -> Result<(), VaultFault> {
        let path = self.path(file);
        let mut file = self.disk.append(&path).map_err(at(&path))?;
        file.cut(length).map_err(at(&path))?;
        file.sync().map_err(at(&path))
    }
}

/// What is left of a segment.
struct Left {
    sealed: SealedSegment,
    header: Option<Header>,
    /// Why it has no end of its own.
    reason: Option<RecoveryReason>,
}

impl Left {
    fn of(inspection: Inspection) -> Left {
        let reason = match (inspection.cut, inspection.chunks) {
            (None | Some(CutReason::BytesAfterEnd), _) => None,
            (Some(_), 0) => Some(RecoveryReason::HeaderOnly),
            (Some(CutReason::NotFinished), _) => Some(RecoveryReason::NotFinished),
            (Some(CutReason::ChunkCut), _) => Some(RecoveryReason::TornChunk),
            (Some(CutReason::ChunkDamaged), _) => Some(RecoveryReason::DamagedChunk),
        };
        let gaps = &inspection.gaps;
        let gaps = GapTotal {
            count: gaps.len() as u64,
            samples: gaps.iter().map(|gap| u64::from(gap.samples)).sum(),
        };
        Left {
            sealed: SealedSegment {
                chunks: inspection.chunks,
                samples: inspection.samples,
                gaps,
                sha256: inspection.sha256,
                bytes: inspection.whole_bytes,
            },
            header: Some(inspection.header),
            reason,
        }
    }
}
