//! Permits: what opens a recording (law 3), what destroys a day (law 4). Each is made from the trail's receipt for its own entry and from nothing else.

use jiff::{Timestamp, ToSpan};

use crate::{
    audit::{AuditEvent, AuditReceipt},
    ids::{CaseId, JstDay, RecordingId, StaffId},
    listen::ListenGrant,
    purpose::Purpose,
    recording::RecordingState,
    refusal::{Clause, Refusal, RefusalCode},
    register::Register,
};

pub(crate) const PERMIT_MINUTES: i64 = 15; // K-08: at most 15 minutes.

/// How long a permit holds. It is asked again at every read.
#[derive(Debug)]
pub(crate) struct Validity {
    issued_at: Timestamp,
    lapses_at: Timestamp,
}

impl Validity {
    /// From now for at most 15 minutes; shorter where what it rests on lapses before.
    pub(crate) fn begin(now: Timestamp, lapses_at: Timestamp) -> Validity {
        let longest = now.saturating_add(PERMIT_MINUTES.minutes()).unwrap_or(now);
        Validity {
            issued_at: now,
            lapses_at: longest.min(lapses_at),
        }
    }

    /// A clock behind the permit's making says nothing about how long it lasted, so it ends it.
    pub(crate) fn check(&self, now: Timestamp) -> Result<(), Refusal> {
        if (self.issued_at..self.lapses_at).contains(&now) {
            return Ok(());
        }
        Err(Refusal::new(
            RefusalCode::PermitLapsed,
            Clause::Rules5Security,
        ))
    }
}

/// Leave to open one recording. It is moved into the reading that it allows, and asked again at each part.
pub trait Permit {
    /// The recording it opens, and no other.
    fn recording(&self) -> RecordingId;

    /// Whether it still holds: within its 15 minutes, the recording's retention, and what of the person's right lapses by itself.
    ///
    /// # Errors
    /// `PERMIT_LAPSED`; `DISPOSED` and `TRAINING_EXPIRED` are found by asking anew.
    fn check(&self, now: Timestamp) -> Result<(), Refusal>;

    /// Judges anew, with the register and the recording as they stand by now: a withdrawal, an expiry, the end of a contract, a lapsed training
    /// and a disposal each end it by their own clause (K-11, K-12, K-22).
    ///
    /// # Errors
    /// Whatever refuses by now, then as [`Self::check`].
    fn judge_anew(
        &self,
        register: &Register,
        state: RecordingState,
        now: Timestamp,
    ) -> Result<(), Refusal>;

    /// Until when a case holds the recording beyond its day (K-21); `None` ends with the day.
    fn held_until(&self) -> Option<Timestamp>;
}

/// Leave to hear one recording for one purpose, for at most 15 minutes. It is moved into the playback and asked again at every read.
#[derive(Debug)]
#[must_use = "a permit is moved into the playback that it allows"]
pub struct ListenPermit {
    grant: ListenGrant,
    receipt: AuditReceipt,
    validity: Validity,
}

impl ListenPermit {
    /// Turns a grant into a permit, now that its entry is durable.
    ///
    /// # Errors
    /// `AUDIT_UNAVAILABLE` where the receipt is for another entry than the grant's.
    pub fn issue(
        grant: ListenGrant,
        receipt: AuditReceipt,
        now: Timestamp,
    ) -> Result<ListenPermit, Refusal> {
        if !receipt.is_for(&grant.entry) {
            return Err(Refusal::audit_unavailable());
        }
        let validity = Validity::begin(now, grant.lapses_at);
        Ok(ListenPermit {
            grant,
            receipt,
            validity,
        })
    }

    /// Who listens.
    pub fn person(&self) -> Option<&StaffId> {
        self.grant.entry.actor.person()
    }

    /// What for.
    pub fn purpose(&self) -> Purpose {
        self.grant.purpose
    }

    /// Under which case.
    pub fn case(&self) -> Option<CaseId> {
        self.grant.case
    }

    /// Which part, in milliseconds; `None` is the whole.
    pub fn range_ms(&self) -> Option<(u64, u64)> {
        self.grant.range_ms
    }

    /// The number of the entry that stands for it in the trail.
    pub fn audit_seq(&self) -> u64 {
        self.receipt.seq()
    }
}

impl Permit for ListenPermit {
    fn recording(&self) -> RecordingId {
        self.grant.heard.recording
    }

    fn check(&self, now: Timestamp) -> Result<(), Refusal> {
        self.validity.check(now)
    }

    fn judge_anew(
        &self,
        register: &Register,
        state: RecordingState,
        now: Timestamp,
    ) -> Result<(), Refusal> {
        let person = self.person().and_then(|id| register.person(id));
        let person = person.ok_or_else(Refusal::nobody)?;
        self.grant.judge_again(register, person, state, now)?;
        self.check(now)
    }

    fn held_until(&self) -> Option<Timestamp> {
        self.grant.held_until
    }
}

/// Leave to destroy the keys and bytes of one day whose retention is over.
#[derive(Debug)]
#[must_use = "a permit is moved into the disposal that it allows"]
pub struct DisposalPermit {
    day: JstDay,
    receipt: AuditReceipt,
}

impl DisposalPermit {
    /// Allows the disposal of a day that is due.
    ///
    /// `expires_at`: the instant that was fixed and stored when the day began. `receipt`: for the day's `DisposalBegun`.
    ///
    /// # Errors
    /// `NOT_DUE` before that instant and while the day itself goes on; `AUDIT_UNAVAILABLE` where the receipt is for another entry.
    pub fn due(
        day: JstDay,
        expires_at: Timestamp,
        now: Timestamp,
        receipt: AuditReceipt,
    ) -> Result<DisposalPermit, Refusal> {
        if now < expires_at || now < day.next().start() {
            return Err(Refusal::new(RefusalCode::NotDue, Clause::Rules5Retention));
        }
        match receipt.entry().event {
            AuditEvent::DisposalBegun { day: begun, .. } if begun == day => {
                Ok(DisposalPermit { day, receipt })
            }
            _ => Err(Refusal::audit_unavailable()),
        }
    }

    /// The day it is for, and no other.
    pub fn day(&self) -> JstDay {
        self.day
    }

    /// The number of the entry that stands for it in the trail.
    pub fn audit_seq(&self) -> u64 {
        self.receipt.seq()
    }
}

/// Leave to destroy one recording by itself: before its day by decision, or after it when no case holds it any more.
#[derive(Debug)]
#[must_use = "a permit is moved into the disposal that it allows"]
pub struct RecordingDisposalPermit {
    recording: RecordingId,
    receipt: AuditReceipt,
}

impl RecordingDisposalPermit {
    /// Allows the disposal whose beginning is written down.
    ///
    /// # Errors
    /// `AUDIT_UNAVAILABLE` where the receipt is for another entry.
    pub fn begun(
        recording: RecordingId,
        receipt: AuditReceipt,
    ) -> Result<RecordingDisposalPermit, Refusal> {
        match receipt.entry().event {
            AuditEvent::RecordingDisposalBegun {
                recording: begun, ..
            } if begun == recording => Ok(RecordingDisposalPermit { recording, receipt }),
            _ => Err(Refusal::audit_unavailable()),
        }
    }

    /// The recording it is for, and no other.
    pub fn recording(&self) -> RecordingId {
        self.recording
    }

    /// The number of the entry that stands for it in the trail.
    pub fn audit_seq(&self) -> u64 {
        self.receipt.seq()
    }
}
