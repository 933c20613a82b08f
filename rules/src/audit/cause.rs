//! How and why something ended or was cut.

use serde::{Deserialize, Serialize};

use crate::ids::CaseId;

/// How the service had ended before it began.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LastStop {
    /// It never ran in this folder.
    Never,
    /// In order.
    Clean,
    /// It was killed or fell.
    Crash,
}

/// What a recovery found at the end of a segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum RecoveryReason {
    /// Whole chunks, without the final one.
    NotFinished,
    /// A chunk of which a part is missing.
    TornChunk,
    /// Bytes that are no chunk.
    DamagedChunk,
    /// Nothing after the header.
    HeaderOnly,
}

/// Why an export was not written to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum ExportCause {
    /// The file could not be made.
    FileRefused,
    /// The disk did not take it.
    WriteFailed,
    /// The day's key is gone or cannot be read.
    KeyUnavailable,
    /// The segment does not open.
    RecordingDamaged,
    /// The permit lapsed on the way.
    PermitLapsed,
}

/// Why a recording is disposed of by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DisposalCause {
    /// Somebody decided it before its day.
    Decided {
        /// The approved request that it was decided for.
        case: CaseId,
    },
    /// Its day was over, and the last case that held it let it go.
    Released {
        /// Which case.
        case: CaseId,
    },
}
