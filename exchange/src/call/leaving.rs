//! Whoever asked for a blind transfer, until it is let go or has its call back: nobody hears it, and all it asks is answered on its own leg.

use bytes::Bytes;
use sip_core::{DialogId, Message, PeerId, RequestId};

use crate::{
    call::{
        Call, Stage,
        alone::{admit_offer, change_alone, offer_alone},
        proposal::{Proposal, put_in_force},
        transferring::Transferring,
    },
    house::House,
    leg::Leg,
    now::Now,
};

/// See the module.
pub(super) struct Leaving {
    pub(super) leg: Leg,
    /// Our offer in the answer to a re-INVITE without one; the ACK brings its answer.
    pub(super) reoffered: Option<Proposal>,
}

impl Leaving {
    pub(super) fn new(leg: Leg) -> Leaving {
        let reoffered = None;
        Leaving { leg, reoffered }
    }

    /// Wants its session refreshed or changed. What it wishes counts again where the transfer fails.
    fn asks(
        &mut self,
        house: &mut House,
        now: Now,
        request: RequestId,
        message: &Message,
    ) -> Result<(), u16> {
        let leg = &mut self.leg;
        let wish = leg.local.direction;
        let agreed = leg.agreed().ok_or(491_u16)?;
        let Some(body) = message.sdp() else {
            let says = agreed.theirs.clone();
            self.reoffered = Some(offer_alone(house, now, leg, request, &says, wish)?);
            return Ok(());
        };
        let theirs = admit_offer(house, leg.peer, agreed, &body)?;
        if !agreed.theirs.changes_nothing(&theirs) {
            return change_alone(house, now, leg, request, &theirs, wish);
        }
        house.answer_offer(now, request, agreed.ours.clone());
        leg.keep_origin(theirs);
        Ok(())
    }

    /// Takes the ACK of an answer of ours; false where it does not bring the answer to our offer that it has to.
    fn acknowledges(&mut self, house: &mut House, body: Option<&Bytes>) -> bool {
        let Some(proposal) = self.reoffered.take() else {
            return true;
        };
        let answered = proposal.answered(house, &self.leg, body);
        let is_usable = answered.is_some();
        if let Some(answered) = answered {
            put_in_force(house, &mut self.leg, answered);
        }
        is_usable
    }
}

impl Call {
    fn leaving(&mut self, dialog: DialogId) -> Option<&mut Leaving> {
        let Stage::Transferring(transferring) = &mut self.stage else {
            return None;
        };
        let leaving = transferring.leaving.as_mut();
        leaving.filter(|leaving| leaving.leg.dialog == dialog)
    }

    /// Whether it is the dialog of whoever asked for a transfer that is under way, blind or attended.
    pub(super) fn is_leaving(&self, dialog: DialogId) -> bool {
        match &self.stage {
            Stage::Transferring(transferring) => {
                let mut leaving = transferring.leaving.iter();
                leaving.any(|leaving| leaving.leg.dialog == dialog)
            }
            Stage::Talking(_) => self.is_joined_away_by(dialog),
            Stage::ExpectPrack(_)
            | Stage::ExpectAck(_)
            | Stage::Announcing(_)
            | Stage::Calling { .. }
            | Stage::Passing { .. }
            | Stage::Joining(_)
            | Stage::Parted(_)
            | Stage::Closing(_)
            | Stage::Over => false,
        }
    }

    /// Whoever asked for the transfer has hung up, as many do at once; the transfer goes on.
    pub(super) fn leaving_hung_up(&mut self, house: &mut House, now: Now, dialog: DialogId) {
        let Stage::Transferring(transferring) = &mut self.stage else {
            return self.left_to_join(house, now, dialog);
        };
        let leaving = &mut transferring.leaving;
        if let Some(leaving) = leaving.take_if(|leaving| leaving.leg.dialog == dialog) {
            house.close(leaving.leg.id());
        }
    }

    /// Whoever asked for the transfer wants its session refreshed or changed.
    pub(super) fn answer_leaving(
        &mut self,
        house: &mut House,
        now: Now,
        dialog: DialogId,
        request: RequestId,
        message: &Message,
    ) -> Result<(), u16> {
        let leaving = self.leaving(dialog).ok_or(488_u16)?;
        leaving.asks(house, now, request, message)
    }

    /// The ACK of an answer to whoever asked for the transfer is here. Whoever leaves our offer unanswered has no session: it is hung up on.
    pub(super) fn leaving_acknowledged(
        &mut self,
        house: &mut House,
        now: Now,
        dialog: DialogId,
        body: Option<&Bytes>,
    ) {
        let Some(leaving) = self.leaving(dialog) else {
            return;
        };
        if !leaving.acknowledges(house, body) {
            self.leaving_hung_up(house, now, dialog);
            house.end(now, dialog, 488, Some(Call::MEDIA_REASON));
        }
    }

    /// That ACK never came: the session stays as it was before.
    pub(super) fn leaving_unacknowledged(&mut self, dialog: DialogId) {
        if let Some(leaving) = self.leaving(dialog) {
            leaving.reoffered = None;
        }
    }

    /// The dialog of whoever is leaving, to be ended with the call.
    pub(super) fn leaving_leg(&self) -> Option<(DialogId, PeerId)> {
        let Stage::Transferring(transferring) = &self.stage else {
            return None;
        };
        let Transferring { leaving, .. } = &**transferring;
        let leg = &leaving.as_ref()?.leg;
        Some((leg.dialog, leg.peer))
    }
}
