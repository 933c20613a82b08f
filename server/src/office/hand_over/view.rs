//! A hand-over as `handover list` shows it.

use jiff::Timestamp;
use rules::{Destination, HandOver, HandOverFact, HandOverId, RecordingId, Register, Step};

use crate::hand_over::{Done, HandOverView, ItemView};

impl HandOverView {
    /// What the register says of it; the sealed names, the medium and the reason are the caller's to open.
    ///
    /// `number`: in the unit's 収受簿.
    pub(super) fn of(
        id: HandOverId,
        number: u64,
        known: &HandOver,
        register: &Register,
        now: Timestamp,
    ) -> HandOverView {
        let wish = known.wish();
        let (vendor, contract, request) = match &wish.to {
            Destination::Contract { vendor, contract } => {
                (Some(vendor.clone()), Some(contract.clone()), None)
            }
            Destination::Request { case, .. } => (None, None, Some(*case)),
        };
        let mut view = HandOverView {
            id,
            number,
            state: known.state().code().to_owned(),
            unit: known.unit().clone(),
            vendor,
            contract,
            request,
            addressee: None,
            purpose: wish.purpose,
            medium: None,
            items: wish.items.iter().map(unwritten).collect(),
            requested: Done {
                by: Some(known.requested_by().clone()),
                at: known.steps().first().map_or(now, |step| step.at),
            },
            decided: None,
            verdict: None,
            reason: None,
            packaged: None,
            form: None,
            package_sha256: None,
            passphrase_shown: None,
            given: None,
            receiver: None,
            received: None,
            returned: None,
            destroyed: None,
            certificate: None,
            closed: None,
            destroy_by: None,
            overdue: false,
            reminder: None,
        };
        for step in known.steps() {
            view.handle_step(step, register, now);
        }
        view
    }

    /// Takes in a step that was taken.
    fn handle_step(&mut self, step: &Step, register: &Register, now: Timestamp) {
        let done = Some(Done {
            by: step.by.clone(),
            at: step.at,
        });
        match &step.fact {
            HandOverFact::Decided { verdict, .. } => {
                (self.decided, self.verdict) = (done, Some(*verdict));
            }
            HandOverFact::PackageBegun {
                copy,
                form,
                destroy_by,
                ..
            } => {
                (self.form, self.destroy_by) = (Some(*form), Some(*destroy_by));
                let copy = register.copies().get(*copy);
                self.overdue |= copy.is_some_and(|copy| copy.is_overdue(now));
                let reminder = copy.and_then(|copy| copy.reminder(now));
                self.reminder = self.reminder.max(reminder);
            }
            HandOverFact::Packaged { contents, .. } => {
                (self.packaged, self.package_sha256) = (done, Some(contents.sha256));
                for item in &mut self.items {
                    item.sha256 = contents.items.get(&item.recording).copied();
                }
            }
            HandOverFact::Given { .. } => self.given = done,
            HandOverFact::Received { .. } => self.received = done,
            HandOverFact::Returned { .. } => self.returned = done,
            HandOverFact::Destroyed { certificate, .. } => {
                (self.destroyed, self.certificate) = (done, Some(*certificate));
            }
            HandOverFact::Closed { .. } => self.closed = done,
            HandOverFact::PackageAbandoned { .. } => self.unpack(),
            HandOverFact::PassphraseShown { .. } => self.passphrase_shown = done,
            HandOverFact::Requested { .. } => {}
        }
    }

    /// There is no package, or none any more.
    fn unpack(&mut self) {
        (self.packaged, self.form, self.package_sha256) = (None, None, None);
        self.destroy_by = None;
        for item in &mut self.items {
            item.sha256 = None;
        }
    }
}

/// A recording of a package that is not made yet.
fn unwritten(recording: &RecordingId) -> ItemView {
    ItemView {
        recording: *recording,
        sha256: None,
    }
}
