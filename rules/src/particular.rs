//! What a record holds in words beside ids, days and counts: on what something is handed over, in what somebody was trained (K-15).

use serde::{Deserialize, Serialize};

use crate::{digest::Digest, ids::Label};

/// What a record holds in words; the words themselves lie sealed under what the record is about.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Particular {
    /// As it is recorded.
    Sealed {
        /// The salted hash of the words.
        sealed: Digest,
    },
    /// As earlier versions wrote it into the trail, which keeps it. Nothing makes one any more but a line that stands there.
    InClear(Label),
}

impl From<Digest> for Particular {
    fn from(sealed: Digest) -> Particular {
        Particular::Sealed { sealed }
    }
}
