//! What lets a package leave: made of the grant of its beginning and the receipt of that entry, and asked again at each part.

use std::{collections::BTreeSet, sync::Arc};

use jiff::Timestamp;

use super::{HandOver, HandOverFact, HandOverState, MaskBeyond, Masks, Stretch};
use crate::{
    audit::AuditReceipt,
    ids::{CopyId, HandOverId, RecordingId, StaffId},
    listen::Heard,
    permit::{Permit, Validity},
    recording::RecordingState,
    refusal::{Clause, Refusal, RefusalCode},
    register::{Fact, Register, RegisterGrant, RegisterPermit},
};

/// Leave to package the recordings of one hand-over, once, for at most 15 minutes.
#[derive(Debug)]
#[must_use = "a permit is moved into the package that it allows"]
pub struct HandOverPermit {
    granted: Arc<Granted>,
    /// The recordings that are still to be opened, the next one last, and until when the own request holds each.
    left: Vec<(RecordingId, Option<Timestamp>)>,
}

/// What was granted to whom, as it is judged again.
#[derive(Debug)]
struct Granted {
    person: StaffId,
    fact: Fact,
    hand_over: HandOverId,
    copy: CopyId,
    heard: Vec<Heard>,
    masks: Masks,
    validity: Validity,
}

impl HandOverPermit {
    /// Turns the grant of a package's beginning into the leave to record it and the leave to make it, now that its entry is durable.
    ///
    /// `register`: by which it was granted. `heard`: the recordings, as they were judged.
    ///
    /// # Errors
    /// `AUDIT_UNAVAILABLE` where the receipt is for another entry than the grant's, or the grant is for another fact.
    pub fn issue(
        register: &Register,
        grant: RegisterGrant,
        receipt: AuditReceipt,
        heard: Vec<Heard>,
        now: Timestamp,
    ) -> Result<(RegisterPermit, HandOverPermit), Refusal> {
        let fact = grant.fact().clone();
        let person = grant.entry().actor.person().cloned();
        let recorded = RegisterPermit::issue(grant, receipt)?;
        let (
            Fact::HandOver(HandOverFact::PackageBegun {
                hand_over,
                copy,
                destroy_by,
                ..
            }),
            Some(person),
        ) = (&fact, person)
        else {
            return Err(Refusal::audit_unavailable());
        };
        let (hand_over, copy) = (*hand_over, *copy);
        let known = register.hand_over(hand_over);
        let held_until = |recording| known?.wish().to.held_until(register.holds(), recording);
        let recordings = heard.iter().rev().map(|heard| heard.recording);
        let left = recordings.map(|recording| (recording, held_until(recording)));
        let left = left.collect();
        let granted = Granted {
            validity: Validity::begin(now, *destroy_by),
            person,
            hand_over,
            copy,
            heard,
            masks: known.map(HandOver::masks).unwrap_or_default(),
            fact,
        };
        let granted = Arc::new(granted);
        Ok((recorded, HandOverPermit { granted, left }))
    }

    /// The leave to open the next recording; each is given once.
    pub fn next_item(&mut self) -> Option<ItemPermit> {
        let (recording, held_until) = self.left.pop()?;
        Some(ItemPermit {
            granted: Arc::clone(&self.granted),
            recording,
            held_until,
        })
    }

    /// Of which hand-over.
    pub fn hand_over(&self) -> HandOverId {
        self.granted.hand_over
    }

    /// The copy that the package is.
    pub fn copy(&self) -> CopyId {
        self.granted.copy
    }
}

/// Leave to open one recording of a package, with what must be silenced of it.
#[derive(Debug)]
#[must_use = "a permit is moved into the reading that it allows"]
pub struct ItemPermit {
    granted: Arc<Granted>,
    recording: RecordingId,
    held_until: Option<Timestamp>,
}

impl ItemPermit {
    /// What of the recording, which is this many milliseconds long, the package silences.
    ///
    /// # Errors
    /// [`MaskBeyond`] where some of it cannot be silenced; then the package must not become whole.
    pub fn masked(&self, length_ms: u64) -> Result<BTreeSet<Stretch>, MaskBeyond> {
        self.granted.masks.within(self.recording, length_ms)
    }
}

impl Permit for ItemPermit {
    fn recording(&self) -> RecordingId {
        self.recording
    }

    fn check(&self, now: Timestamp) -> Result<(), Refusal> {
        self.granted.validity.check(now)
    }

    fn judge_anew(
        &self,
        register: &Register,
        state: RecordingState,
        now: Timestamp,
    ) -> Result<(), Refusal> {
        let Granted {
            person,
            fact,
            hand_over,
            copy,
            heard,
            ..
        } = &*self.granted;
        let mut heard = heard.clone();
        let own = heard
            .iter_mut()
            .filter(|heard| heard.recording == self.recording);
        own.for_each(|heard| heard.state = state);
        register.judge_again(person, fact, &heard, now)?;
        let stage = register.hand_over(*hand_over).map(|known| known.state());
        match stage {
            Some(HandOverState::Packaging(begun)) if begun.copy == *copy => self.check(now),
            _ => Err(Refusal::new(
                RefusalCode::OutOfOrder,
                Clause::Rules5HandOver,
            )),
        }
    }

    fn held_until(&self) -> Option<Timestamp> {
        self.held_until
    }
}
