//! Whoever asked for a blind transfer, until it is let go or has its call back: nobody hears it, and all it asks is answered on its own leg.

use bytes::Bytes;
use sip_core::{DialogId, Message, PeerId, RequestId};

use crate::{
    call::{
        Call, Stage,
        alone::{admit_offer, change_alone, offer_alone},
        negotiating::Negotiation,
        proposal::put_in_force,
        transferring::Transferring,
    },
    house::House,
    leg::Leg,
    now::Now,
};

impl Call {
    fn leaving(&mut self, dialog: DialogId) -> Option<&mut Leg> {
        let Stage::Transferring(transferring) = &mut self.stage else {
            return None;
        };
        let leaving = transferring.leaving.as_mut();
        leaving.filter(|leaving| leaving.dialog == dialog)
    }

    /// Whether it is the dialog of whoever asked for a transfer that is under way, blind or attended.
    pub(super) fn is_leaving(&self, dialog: DialogId) -> bool {
        match &self.stage {
            Stage::Transferring(transferring) => {
                let mut leaving = transferring.leaving.iter();
                leaving.any(|leaving| leaving.dialog == dialog)
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
        if let Some(leaving) = leaving.take_if(|leaving| leaving.dialog == dialog) {
            house.close(leaving.id());
            self.answer_whoever_leaves(house, now, dialog);
            self.take_reoffered(dialog);
        }
    }

    /// Whoever asked for the transfer wants its session refreshed or changed. What it wishes counts again where the transfer fails.
    pub(super) fn answer_leaving(
        &mut self,
        house: &mut House,
        now: Now,
        dialog: DialogId,
        request: RequestId,
        message: &Message,
    ) -> Result<(), u16> {
        let is_idle = self.negotiation.is_idle();
        let leg = self.leaving(dialog).ok_or(488_u16)?;
        let wish = leg.local.direction;
        let agreed = leg.agreed().ok_or(491_u16)?;
        let Some(body) = message.sdp() else {
            // Whoever stays may be being fetched from hold, and where the transfer fails there is but one exchange in the call.
            if !is_idle {
                return Err(491);
            }
            let says = agreed.theirs.clone();
            let proposal = offer_alone(house, now, leg, request, &says, wish)?;
            self.negotiation = Negotiation::Reoffered { dialog, proposal };
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

    /// The ACK of an answer to whoever asked for the transfer is here. Whoever leaves our offer unanswered has no session: it is hung up on.
    pub(super) fn leaving_acknowledged(
        &mut self,
        house: &mut House,
        now: Now,
        dialog: DialogId,
        body: Option<&Bytes>,
    ) {
        let Some(proposal) = self.take_reoffered(dialog) else {
            return;
        };
        let Some(leg) = self.leaving(dialog) else {
            return;
        };
        match proposal.answered(house, leg, body) {
            Some(answered) => put_in_force(house, leg, answered),
            None => {
                self.leaving_hung_up(house, now, dialog);
                house.end(now, dialog, 488, Some(Call::MEDIA_REASON));
            }
        }
    }

    /// The dialog of whoever is leaving, to be ended with the call.
    pub(super) fn leaving_leg(&self) -> Option<(DialogId, PeerId)> {
        let Stage::Transferring(transferring) = &self.stage else {
            return None;
        };
        let Transferring { leaving, .. } = &**transferring;
        let leg = leaving.as_ref()?;
        Some((leg.dialog, leg.peer))
    }
}
