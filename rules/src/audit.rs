//! What the audit trail says (K-15): who did what, when. Every field is an id, a time, a count, a code or a digest; none can hold a citizen's number or free text.
//!
//! This room makes entries; `storage` numbers, chains and keeps them, and gives an [`AuditReceipt`] for each that is durable.

mod alarm;
mod cause;
mod counts;
mod event;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::ids::StaffId;

pub use alarm::{AlarmCode, AlarmSubject};
pub use cause::{DisposalCause, ExportCause, LastStop, RecoveryReason};
pub use counts::{CountsFault, DisposalCounts};
pub use event::AuditEvent;

/// Who did it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Actor {
    /// The service, by itself.
    System,
    /// Somebody.
    Person {
        /// The Unix user that the socket or the process reports.
        unix_user: String,
        /// The person, where one was proved; `None` is the host's user alone, let in by the socket's mode and group.
        person: Option<StaffId>,
    },
}

impl Actor {
    /// The person who was proved.
    pub fn person(&self) -> Option<&StaffId> {
        match self {
            Actor::System => None,
            Actor::Person { person, .. } => person.as_ref(),
        }
    }
}

/// What is to be written: the trail adds number, time and chain.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditDraft {
    /// Who.
    pub actor: Actor,
    /// What.
    pub event: AuditEvent,
}

impl AuditDraft {
    /// What the service did by itself.
    pub fn system(event: AuditEvent) -> AuditDraft {
        AuditDraft {
            actor: Actor::System,
            event,
        }
    }
}

/// What was written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditEntry {
    /// Its number, without a gap over the whole trail.
    pub seq: u64,
    /// When it was written.
    pub at: Timestamp,
    /// Who.
    pub actor: Actor,
    /// What.
    pub event: AuditEvent,
}

/// Proof that an entry is durable. Only the trail makes one, after its flush.
#[derive(Debug)]
#[must_use = "a receipt is moved into the permit that it allows"]
pub struct AuditReceipt {
    entry: AuditEntry,
    hash: [u8; 32],
}

impl AuditReceipt {
    /// Says that this entry is on disk, with this hash in the chain.
    pub fn durable(entry: AuditEntry, hash: [u8; 32]) -> AuditReceipt {
        AuditReceipt { entry, hash }
    }

    /// The entry.
    pub fn entry(&self) -> &AuditEntry {
        &self.entry
    }

    /// Its number.
    pub fn seq(&self) -> u64 {
        self.entry.seq
    }

    /// Its hash in the chain.
    pub fn hash(&self) -> [u8; 32] {
        self.hash
    }

    /// Whether this draft is what was written.
    pub fn is_for(&self, draft: &AuditDraft) -> bool {
        self.entry.actor == draft.actor && self.entry.event == draft.event
    }
}

/// Whose audit chain.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Chain {
    /// That of whoever carries calls.
    Calls,
    /// The office's.
    Office,
}
