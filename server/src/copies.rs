//! The register of copies over the office's socket: what is asked, and how it is told (K-39).

use jiff::Timestamp;
use rules::{CopyId, CopyOf, Digest, Holder, Reminder};
use serde::{Deserialize, Serialize};

use crate::wording::Wording;

/// What is asked.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum CopyAsk {
    List,
    Destroyed { copy: CopyId, certificate: Digest },
}

/// What was done.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum CopyTold {
    Done,
    AlreadySo,
    List(Vec<CopyView>),
}

/// A copy outside the vault, as it is listed.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct CopyView {
    pub(crate) id: CopyId,
    pub(crate) of: CopyOf,
    pub(crate) holder: Holder,
    /// A path of the host or a medium.
    pub(crate) place: Option<Wording>,
    pub(crate) state: CopyStanding,
    pub(crate) sha256: Option<Digest>,
    pub(crate) made_at: Timestamp,
    pub(crate) destroy_by: Timestamp,
    /// That its time comes.
    pub(crate) reminder: Option<Reminder>,
}

/// Where a copy stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum CopyStanding {
    Outstanding,
    Destroyed,
}
