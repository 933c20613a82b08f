//! A far side and a caller who have answered in different codecs: one of them is asked for the other's before they talk.
//!
//! It befalls a caller without an offer. Ours names every codec, the far side's first; its answer may be in another one, and may come
//! after the far side's own. The far side is asked first, and a caller who is answered already only where that refuses.

use bytes::Bytes;
use media::sdp::RemoteMedia;
use sip_core::{DialogId, Glare, Headers};

use crate::{
    call::{
        Call, Stage,
        negotiating::{End, Negotiation},
        proposal::Proposal,
    },
    house::House,
    leg::{Agreed, Leg},
    now::Now,
};

/// A party that is asked for the other's codec.
#[derive(Debug)]
pub(super) struct Fitting {
    pub(super) end: End,
    proposal: Proposal,
    /// What the far side's answer says to a caller who is not answered yet.
    told: Headers,
}

impl Call {
    /// Whether what the far side has agreed to can be joined with what the caller has, if it has.
    pub(super) fn fits(&self, far: &Agreed) -> bool {
        let own = self.origin.agreed();
        own.is_none_or(|own| own.codec == far.codec)
    }

    /// Whether both have agreed, to the same codec.
    pub(super) fn is_fitting(&self, far: &Leg) -> bool {
        far.agreed().is_some_and(|far| self.fits(far))
    }

    /// Whether a party is asked for the other's codec: until it has answered, nothing else is changed.
    pub(super) fn is_being_fitted(&self) -> bool {
        match &self.negotiation {
            Negotiation::Fitting(_) => true,
            Negotiation::Idle
            | Negotiation::PassedOn(_)
            | Negotiation::Reoffered { .. }
            | Negotiation::Own { .. }
            | Negotiation::Attended(_)
            | Negotiation::GivenUp { .. } => false,
        }
    }

    /// Asks a party, which has agreed, for the other's codec.
    pub(super) fn fit(&mut self, house: &mut House, now: Now, end: End, told: Headers) {
        let other = self.leg(end.other()).and_then(Leg::agreed);
        let says = other.map(|other| RemoteMedia {
            codecs: vec![(other.codec, other.codec.static_payload_type())],
            ..other.theirs.clone()
        });
        let wish = self.other_wish(end);
        let proposal = says.and_then(|says| self.proposal(house, end, &says, wish));
        let (Some(proposal), Some(leg)) = (proposal, self.leg(end)) else {
            return self.refuse_media(house, now);
        };
        let (dialog, ours) = (leg.dialog, proposal.text());
        self.negotiation = Negotiation::Fitting(Box::new(Fitting {
            end,
            proposal,
            told,
        }));
        house.endpoint.reinvite(now.at, dialog, ours, Glare::Repeat);
    }

    /// A party has taken the other's codec: they talk, once the caller has heard of the answer.
    pub(super) fn fitted(
        &mut self,
        house: &mut House,
        now: Now,
        fitting: Fitting,
        body: Option<&Bytes>,
    ) {
        let Fitting {
            end,
            proposal,
            told,
        } = fitting;
        if !self.take_answer(house, end, proposal, body) {
            return self.not_fitted(house, now, end, 488);
        }
        let Some(agreed) = self.far_leg().and_then(Leg::agreed).cloned() else {
            return;
        };
        match std::mem::replace(&mut self.stage, Stage::Over) {
            Stage::Passing { attempts, keeping } => {
                self.join(house, attempts.current.leg.id());
                self.answer_origin(house, now, attempts, keeping, agreed, told);
            }
            Stage::Joining(joining) => {
                self.stage = Stage::Joining(joining);
                self.joined(house, now);
            }
            // In no other stage anybody is asked.
            stage @ (Stage::ExpectPrack(_)
            | Stage::ExpectAck(_)
            | Stage::Announcing(_)
            | Stage::Calling { .. }
            | Stage::Talking(_)
            | Stage::Transferring(_)
            | Stage::Parted(_)
            | Stage::Closing(_)
            | Stage::Over) => self.stage = stage,
        }
    }

    /// A party has refused the other's codec, or knows nothing of its dialog any more.
    pub(super) fn not_fitted(&mut self, house: &mut House, now: Now, end: End, status: u16) {
        match (&self.stage, end) {
            (Stage::Passing { attempts, .. }, _) => {
                let dialog = attempts.current.leg.dialog;
                self.answer_unusable(house, now, dialog);
            }
            (Stage::Joining(_), _) if matches!(status, 408 | 481) => {
                self.end_of_party(house, now, end);
            }
            (Stage::Joining(_), End::Far) => self.fit(house, now, End::Origin, Headers::new()),
            (Stage::Joining(_), End::Origin) => self.refuse_media(house, now),
            // In no other stage anybody is asked.
            (
                Stage::ExpectPrack(_)
                | Stage::ExpectAck(_)
                | Stage::Announcing(_)
                | Stage::Calling { .. }
                | Stage::Talking(_)
                | Stage::Transferring(_)
                | Stage::Parted(_)
                | Stage::Closing(_)
                | Stage::Over,
                End::Origin | End::Far,
            ) => {}
        }
    }

    /// The party of this dialog is let go: what it was asked comes to nothing, and whoever waits for that may ask anew.
    pub(super) fn abandon_offers(&mut self, house: &mut House, now: Now, dialog: DialogId) {
        if self.end_of(dialog).is_none() || self.asked_end() != self.end_of(dialog) {
            return;
        }
        match std::mem::replace(&mut self.negotiation, Negotiation::Idle) {
            Negotiation::PassedOn(passed_on) => {
                house.answer_plainly(now, passed_on.request, 491);
            }
            Negotiation::Idle
            | Negotiation::Reoffered { .. }
            | Negotiation::Own { .. }
            | Negotiation::Fitting(_)
            | Negotiation::Attended(_)
            | Negotiation::GivenUp { .. } => {}
        }
    }
}
