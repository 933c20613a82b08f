//! 自動的に保存 (要領 5-1): has every answered call its recording, or a reason; every row its file, and every file its row (K-06).
//!
//! A day is looked at whole. What it counts is also what the monthly statement tells the public, long after the rows are gone.

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use crate::{
    counted_days::ToldOfDay,
    ids::{CallId, JstDay, RecordingId},
    notice::{NoticeKind, Reason},
    recording::RecordingState,
};

/// A citizen's call, as its row has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeptCall {
    /// Which; a tombstone does not say.
    pub call: Option<CallId>,
    /// Its recording.
    pub recording: Option<RecordingId>,
    /// Where that stands.
    pub state: RecordingState,
    /// When a department answered.
    pub answered_at: Option<Timestamp>,
    /// What allowed the recording.
    pub notice: Option<NoticeKind>,
    /// Why there is none.
    pub unrecorded: Option<Reason>,
    /// The length of its recording over all segments, in bytes, once it has ended.
    pub bytes: Option<u64>,
    /// Whether it describes any sound.
    pub tells: RowTells,
}

/// Whether a row has what only that of a recording has: chunks, a length, or a digest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RowTells {
    /// It has.
    Sound,
    /// It has nothing of it.
    NoSound,
}

/// What a day's calls came to: calls = recorded + unrecorded + missing.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DayCounts {
    /// Citizens' calls that were answered.
    pub calls: u64,
    /// Citizens' calls that were not.
    pub unanswered: u64,
    /// Answered calls with a recording.
    pub recorded: u64,
    /// Those by what allowed it; of one that was destroyed before it was counted nobody can say.
    pub notices: BTreeMap<NoticeKind, u64>,
    /// Answered calls without a recording, by the reason.
    pub unrecorded: BTreeMap<Reason, u64>,
    /// Answered calls with neither, recordings whose file is not there or whose row cannot be believed, and calls that the day had counted and that
    /// have no row any more.
    pub missing: u64,
    /// Recordings that have a file and no row.
    pub orphan_files: u64,
    /// Recordings that have a row and no file.
    pub orphan_rows: u64,
    /// Recordings of which less is there than their row says; each counts as recorded.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub incomplete: u64,
    /// Recordings whose file a restore has still to bring; each counts as recorded until the restore is over.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub awaited: u64,
}

/// What is written only where there is some.
#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde hands in a reference"
)]
fn is_zero(count: &u64) -> bool {
    *count == 0
}

impl DayCounts {
    /// Adds another day's.
    pub fn add(&mut self, other: &DayCounts) {
        self.calls += other.calls;
        self.unanswered += other.unanswered;
        self.recorded += other.recorded;
        for (kind, count) in &other.notices {
            *self.notices.entry(*kind).or_default() += count;
        }
        for (reason, count) in &other.unrecorded {
            *self.unrecorded.entry(*reason).or_default() += count;
        }
        self.missing += other.missing;
        self.orphan_files += other.orphan_files;
        self.orphan_rows += other.orphan_rows;
        self.incomplete += other.incomplete;
        self.awaited += other.awaited;
    }

    /// Whether everything has its counterpart or its reason.
    pub fn is_explained(&self) -> bool {
        [
            self.missing,
            self.orphan_files,
            self.orphan_rows,
            self.incomplete,
        ]
        .iter()
        .all(is_zero)
    }
}

/// Something without its counterpart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(tag = "finding", rename_all = "snake_case")]
pub enum Discrepancy {
    /// An answered call with neither a recording nor a reason.
    NoReason {
        /// Which.
        call: Option<CallId>,
    },
    /// A row whose recording has no file.
    NoFile {
        /// Which.
        recording: RecordingId,
    },
    /// A recording of which less is there than its row says: a segment is gone, or a file is cut.
    NotWhole {
        /// Which.
        recording: RecordingId,
        /// What the row says, in bytes.
        kept_bytes: u64,
        /// What is there.
        found_bytes: u64,
    },
    /// A file whose recording has no row.
    NoRow {
        /// Which.
        recording: RecordingId,
    },
    /// A row that says disposed of, while its day is kept and the trail knows of no disposal of this recording.
    NoDisposal {
        /// Which.
        recording: RecordingId,
    },
    /// A row that says that its call was not recorded, and has what only a recording has.
    WasRecorded {
        /// Which.
        call: Option<CallId>,
    },
    /// The day has fewer answered calls than it had counted when it had ended: rows are gone.
    FewerCalls {
        /// What the trail says.
        counted: u64,
        /// What is there.
        found: u64,
    },
    /// The day has fewer recordings than it had counted, beside the calls that are gone: rows of recordings are those of calls without one by now.
    FewerRecordings {
        /// What the trail says.
        counted: u64,
        /// What is there, or has a row at least.
        found: u64,
    },
}

impl Discrepancy {
    /// Whether it rests on what the trail told: an entry that was written since may explain it.
    pub fn rests_on_trail(&self) -> bool {
        match self {
            Discrepancy::NoDisposal { .. }
            | Discrepancy::FewerCalls { .. }
            | Discrepancy::FewerRecordings { .. } => true,
            Discrepancy::NoReason { .. }
            | Discrepancy::NoFile { .. }
            | Discrepancy::NotWhole { .. }
            | Discrepancy::NoRow { .. }
            | Discrepancy::WasRecorded { .. } => false,
        }
    }
}

/// A day after the comparison of its rows with its files.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reconciled {
    /// What was counted.
    pub counts: DayCounts,
    /// What has no counterpart.
    pub discrepancies: Vec<Discrepancy>,
}

/// From when on what began before a day is counted for good: a day later calls over midnight are over and have their rows.
pub fn counted_from(end: JstDay) -> Timestamp {
    end.next().start() + SETTLING
}

/// What has just begun may lack its counterpart: a row waits for the spool, a file for its first chunk.
const SETTLING: SignedDuration = SignedDuration::from_mins(10);

impl Reconciled {
    /// Compares a day's rows with the recordings that have files.
    ///
    /// `files`: how many bytes there are of each. They must have been listed before the rows were read, and measured after: rows come later than
    /// files, and never go before them.
    /// `is_awaited`: whether a restore may still bring the file of a recording. `told`: what the trail tells of the day.
    pub fn of(
        calls: impl IntoIterator<Item = KeptCall>,
        files: &BTreeMap<RecordingId, u64>,
        is_awaited: impl Fn(RecordingId) -> bool,
        told: ToldOfDay<'_>,
        now: Timestamp,
    ) -> Reconciled {
        let mut reconciled = Reconciled::default();
        let mut rows = BTreeSet::new();
        for call in calls {
            rows.extend(call.recording);
            let kept_bytes = call.bytes.unwrap_or(0);
            let file = match call
                .recording
                .map(|recording| (recording, files.get(&recording)))
            {
                Some((_, Some(found_bytes))) if *found_bytes >= kept_bytes => FileFound::Here,
                Some((recording, _)) if is_awaited(recording) => FileFound::Awaited,
                Some((_, Some(found_bytes))) => FileFound::Short {
                    kept_bytes,
                    found_bytes: *found_bytes,
                },
                Some((_, None)) | None => FileFound::Nowhere,
            };
            reconciled.count(&call, file, told, now);
        }
        for recording in files.keys().filter(|recording| !rows.contains(recording)) {
            if has_settled(*recording, now) {
                reconciled.counts.orphan_files += 1;
                let recording = *recording;
                reconciled
                    .discrepancies
                    .push(Discrepancy::NoRow { recording });
            }
        }
        if let Some(counted) = told.counted() {
            reconciled.measure_by(counted);
        }
        reconciled
    }

    fn count(&mut self, call: &KeptCall, file: FileFound, told: ToldOfDay<'_>, now: Timestamp) {
        match call.recording {
            Some(recording) => {
                self.counts.calls += 1;
                self.count_recording(call, recording, file, told, now);
            }
            None if call.tells == RowTells::Sound => {
                self.counts.calls += 1;
                self.miss(Discrepancy::WasRecorded { call: call.call });
            }
            None => match (call.answered_at, call.unrecorded) {
                (None, _) => self.counts.unanswered += 1,
                (Some(_), Some(reason)) => {
                    self.counts.calls += 1;
                    *self.counts.unrecorded.entry(reason).or_default() += 1;
                }
                (Some(_), None) => {
                    self.counts.calls += 1;
                    self.miss(Discrepancy::NoReason { call: call.call });
                }
            },
        }
    }

    fn count_recording(
        &mut self,
        call: &KeptCall,
        recording: RecordingId,
        file: FileFound,
        told: ToldOfDay<'_>,
        now: Timestamp,
    ) {
        match (call.state, file) {
            (RecordingState::Disposed, _) => match told.explains(recording) {
                // What was destroyed as the rules say is no loss.
                true => self.count_recorded(call),
                false => self.miss(Discrepancy::NoDisposal { recording }),
            },
            (RecordingState::Unrecorded, FileFound::Here | FileFound::Short { .. }) => {
                self.miss(Discrepancy::WasRecorded { call: call.call });
            }
            (_, FileFound::Nowhere) if has_settled(recording, now) => {
                self.counts.orphan_rows += 1;
                self.miss(Discrepancy::NoFile { recording });
            }
            (
                _,
                FileFound::Short {
                    kept_bytes,
                    found_bytes,
                },
            ) => {
                self.count_recorded(call);
                self.counts.incomplete += 1;
                self.discrepancies.push(Discrepancy::NotWhole {
                    recording,
                    kept_bytes,
                    found_bytes,
                });
            }
            (_, FileFound::Awaited) => {
                self.count_recorded(call);
                self.counts.awaited += 1;
            }
            (_, FileFound::Here | FileFound::Nowhere) => self.count_recorded(call),
        }
    }

    fn count_recorded(&mut self, call: &KeptCall) {
        self.counts.recorded += 1;
        if let Some(kind) = call.notice {
            *self.counts.notices.entry(kind).or_default() += 1;
        }
    }

    fn miss(&mut self, discrepancy: Discrepancy) {
        self.counts.missing += 1;
        self.discrepancies.push(discrepancy);
    }

    /// Names what the day had counted and has no more; a call that comes late makes it no less.
    fn measure_by(&mut self, counted: &DayCounts) {
        let found = self.counts.calls;
        if let Some(gone @ 1..) = counted.calls.checked_sub(found) {
            self.counts.calls += gone;
            self.counts.missing += gone;
            let counted = counted.calls;
            self.discrepancies
                .push(Discrepancy::FewerCalls { counted, found });
        }
        // Each call that is missing may be a recording.
        let found = self.counts.recorded + self.counts.missing;
        if let Some(hidden @ 1..) = counted.recorded.checked_sub(found) {
            self.unmask(hidden, &counted.unrecorded);
            let counted = counted.recorded;
            self.discrepancies
                .push(Discrepancy::FewerRecordings { counted, found });
        }
    }

    /// So many of the calls with a reason are missing recordings: those whose reason had been counted less often.
    fn unmask(&mut self, mut hidden: u64, counted: &BTreeMap<Reason, u64>) {
        for (reason, found) in &mut self.counts.unrecorded {
            let before = counted.get(reason).copied().unwrap_or(0);
            let unmasked = found.saturating_sub(before).min(hidden);
            *found -= unmasked;
            hidden -= unmasked;
            self.counts.missing += unmasked;
        }
        self.counts.unrecorded.retain(|_, found| *found > 0);
    }
}

/// Where the file of a call's recording is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum FileFound {
    Here,
    /// Less of it than its row says.
    Short {
        kept_bytes: u64,
        found_bytes: u64,
    },
    Awaited,
    Nowhere,
}

fn has_settled(recording: RecordingId, now: Timestamp) -> bool {
    now.duration_since(recording.made_at()) >= SETTLING
}

#[cfg(test)]
mod tests;
