//! Rows: what is kept of a call beside its sound, on its way from the call to the catalogue.

use jiff::Timestamp;
use rules::{
    CallId, CallRecord, Digest, EmergencyId, JstDay, NoticeRecord, RecordingId, RecordingState,
    RecoveryReason,
};
use serde::{Deserialize, Serialize};

use crate::{
    seal::{SealedCaller, SealedFields},
    writer::SealedSegment,
};

/// What the spool carries to the office.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SpoolEntry {
    /// A call, as far as it has come.
    Row(Box<Row>),
    /// A recording that a start found without its end.
    Recovered(Box<RecoveredRow>),
    /// The sealed reason of an emergency.
    Reason {
        /// Which emergency.
        emergency: EmergencyId,
        /// When it was declared.
        at: Timestamp,
        /// Salt and reason.
        sealed: SealedFields,
    },
}

/// A call, as far as it has come. A later row of the same call replaces an earlier one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Row {
    /// What is kept of it in the clear.
    pub call: CallRecord,
    /// Who called; `None` leaves what an earlier row said.
    pub caller: Option<SealedCaller>,
    /// When everything of it expires.
    pub expires_at: Timestamp,
    /// Where the recording stands.
    pub state: RecordingState,
    /// What was recorded, once it has ended.
    pub audio: Option<AudioFacts>,
}

/// What a row says of its sealed segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AudioFacts {
    /// Whole chunks.
    pub chunks: u64,
    /// Length in milliseconds.
    pub duration_ms: u64,
    /// Gaps of both channels together, in milliseconds.
    pub gaps_ms: u64,
    /// SHA-256 of the file.
    pub sha256: Digest,
    /// Length of the file.
    pub bytes: u64,
}

impl From<&SealedSegment> for AudioFacts {
    fn from(segment: &SealedSegment) -> AudioFacts {
        AudioFacts {
            chunks: u64::from(segment.chunks),
            duration_ms: segment.duration_ms(),
            gaps_ms: segment.gaps.milliseconds(),
            sha256: segment.sha256,
            bytes: segment.bytes,
        }
    }
}

/// What a start found of a recording: completes its row, or stands for it if that was lost.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecoveredRow {
    /// The recording.
    pub recording: RecordingId,
    /// Its call, which only a readable header names.
    pub call: Option<CallId>,
    /// The day that it belongs to.
    pub day: JstDay,
    /// When it expires.
    pub expires_at: Timestamp,
    /// The wall clock at its first sample.
    pub start: Option<Timestamp>,
    /// Its notice.
    pub notice: Option<NoticeRecord>,
    /// `Sealed` if only its closed name was missing, else `Recovered`.
    pub state: RecordingState,
    /// What is left of it.
    pub audio: AudioFacts,
    /// Why it had no end.
    pub reason: Option<RecoveryReason>,
}

#[cfg(test)]
mod tests {
    use std::fs;

    /// The columns of every table, as `table.column`.
    fn columns() -> Vec<String> {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/migrations/sqlite");
        let mut columns = Vec::new();
        for file in fs::read_dir(folder).unwrap() {
            let text = fs::read_to_string(file.unwrap().path()).unwrap();
            let mut table = None;
            for line in text.lines() {
                let words: Vec<&str> = line.split_whitespace().collect();
                match (words.as_slice(), table) {
                    (["CREATE", "TABLE", name, ..], _) => table = Some(*name),
                    ([")" | ");", ..], _) => table = None,
                    (["ALTER", "TABLE", name, "ADD", "COLUMN", column, ..], _) => {
                        columns.push(format!("{name}.{column}"));
                    }
                    ([column, ..], Some(name)) => columns.push(format!("{name}.{column}")),
                    (_, None) | ([], _) => {}
                }
            }
        }
        columns
    }

    /// 声紋は個人識別符号: what is kept of a call is this and nothing of how somebody sounds (K-34).
    #[test]
    fn nothing_that_is_kept_of_a_call_tells_how_anybody_sounds() {
        let columns = columns();
        let of_calls: Vec<&str> = columns
            .iter()
            .filter_map(|column| column.strip_prefix("calls."))
            .collect();
        let expected = "row call_id recording day expires_at state rank called department started_at answered_at \
            ended_at end_cause emergency notice_kind notice reason caller_kind caller chunks duration_ms gaps_ms \
            sha256 bytes recovery";
        assert_eq!(of_calls.join(" "), expected);
        for word in [
            "voice",
            "speaker",
            "print",
            "embedding",
            "biometric",
            "emotion",
            "score",
            "rating",
        ] {
            let named: Vec<_> = columns
                .iter()
                .filter(|column| column.contains(word))
                .collect();
            assert_eq!(named, Vec::<&String>::new(), "{word}");
        }
    }
}
