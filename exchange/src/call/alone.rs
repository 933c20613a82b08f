//! Offers inside a call that are answered on their own leg; the other party does not notice.

use media::sdp::{Direction, RemoteMedia};
use sip_core::{DialogId, PeerId, RequestId};

use crate::{
    call::{Call, negotiating::Negotiation, proposal::Proposal},
    house::House,
    leg::{Agreed, Leg, Session},
    now::Now,
};

/// What a party offers inside a call, if it may be.
///
/// # Errors
/// 488: it is no speech (a fax line alone, T.38) or none in a codec of the peer's, its media would go to a stranger, or it is plain after secure or secure where that was not
/// agreed at the beginning. The call goes on as it is.
pub(super) fn admit_offer(
    house: &House,
    peer: PeerId,
    agreed: &Agreed,
    body: &[u8],
) -> Result<RemoteMedia, u16> {
    let theirs = house.read_media(peer, body).ok_or(488_u16)?;
    if theirs.secure != agreed.theirs.secure {
        return Err(488);
    }
    Ok(theirs)
}

/// Answers an offer on its own leg, in the codec in use; `wish` is what our side may do.
///
/// # Errors
/// The status that refuses it; the leg is as it was.
pub(super) fn change_alone(
    house: &mut House,
    now: Now,
    leg: &mut Leg,
    request: RequestId,
    theirs: &RemoteMedia,
    wish: Direction,
) -> Result<(), u16> {
    let agreed = leg.agreed().ok_or(491_u16)?;
    let (codec, events) = (agreed.codec, agreed.events);
    let mut proposed = leg.clone();
    proposed.local.version += 1;
    proposed.local.direction = wish;
    house.answer_keys(&mut proposed.local, theirs);
    let agreed = proposed.answer_to(theirs, codec, events);
    let stream = proposed.stream(&agreed).ok_or(488_u16)?;
    house.answer_offer(now, request, agreed.ours.clone());
    house.open(leg.id(), leg.peer, stream);
    proposed.session = Session::Agreed(Box::new(agreed));
    *leg = proposed;
    Ok(())
}

/// Answers a request without an offer by ours, on its own leg and in the codec in use; its ACK brings the answer.
///
/// `says`: what the other party says of itself, or the leg's own where there is none. `wish`: what our side may do.
///
/// # Errors
/// 491: the leg has agreed to nothing yet.
pub(super) fn offer_alone(
    house: &mut House,
    now: Now,
    leg: &mut Leg,
    request: RequestId,
    says: &RemoteMedia,
    wish: Direction,
) -> Result<Proposal, u16> {
    let codec = leg.agreed().ok_or(491_u16)?.codec;
    let says = RemoteMedia {
        codecs: vec![(codec, codec.static_payload_type())],
        ..says.clone()
    };
    let proposal = Proposal::to(house, leg, leg.lent, &says, wish).ok_or(491_u16)?;
    house.answer_offer(now, request, proposal.text());
    Ok(proposal)
}

impl Call {
    /// Our offer in the answer to a re-INVITE of this dialog, whose ACK is still to come.
    pub(super) fn take_reoffered(&mut self, dialog: DialogId) -> Option<Proposal> {
        match std::mem::replace(&mut self.negotiation, Negotiation::Idle) {
            Negotiation::Reoffered {
                dialog: asked,
                proposal,
            } if asked == dialog => Some(proposal),
            other @ (Negotiation::Idle
            | Negotiation::PassedOn(_)
            | Negotiation::Reoffered { .. }
            | Negotiation::Own { .. }
            | Negotiation::Fitting(_)
            | Negotiation::Attended(_)
            | Negotiation::GivenUp { .. }) => {
                self.negotiation = other;
                None
            }
        }
    }
}
