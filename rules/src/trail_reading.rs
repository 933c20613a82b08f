//! What somebody reads of the trail (K-15): each kind is an action of the one table, and leaves an entry that is durable before anything is shown.

use std::collections::BTreeSet;

use crate::{
    access::Action,
    audit::{AuditEvent, Chain},
    ids::RecordingId,
    month::JstMonth,
};

/// What is read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TrailReading {
    /// The entries of these chains, from a number of each on.
    Entries {
        /// Which chains.
        chains: BTreeSet<Chain>,
        /// The first number.
        from_seq: u64,
    },
    /// Both chains, to a file.
    Export,
    /// Who heard a recording.
    Hearings {
        /// Which.
        recording: RecordingId,
    },
    /// Who saw the number of its caller, and why.
    Sightings {
        /// Of which recording.
        recording: RecordingId,
    },
    /// A month's supervision report.
    Supervision {
        /// Of which month.
        month: JstMonth,
    },
}

impl TrailReading {
    /// What it is judged as.
    pub fn action(&self) -> Action {
        match self {
            TrailReading::Entries { .. } => Action::ReadTrail,
            TrailReading::Export => Action::ExportTrail,
            TrailReading::Hearings { .. } | TrailReading::Sightings { .. } => Action::SeeHeard,
            TrailReading::Supervision { .. } => Action::SeeSupervision,
        }
    }

    /// What is written down before anything is shown.
    ///
    /// `policy`: the version that allowed it.
    pub fn event(self, policy: u32) -> AuditEvent {
        match self {
            TrailReading::Entries { chains, from_seq } => AuditEvent::TrailShown {
                chains,
                from_seq,
                policy,
            },
            TrailReading::Export => AuditEvent::AuditExportBegun {
                policy: Some(policy),
            },
            TrailReading::Hearings { recording } | TrailReading::Sightings { recording } => {
                AuditEvent::HearingsShown {
                    recording,
                    policy: Some(policy),
                }
            }
            TrailReading::Supervision { month } => AuditEvent::SupervisionShown {
                month,
                policy: Some(policy),
            },
        }
    }
}
