//! An offer of ours to a leg inside its call: made of what the other party says of itself, and read back with the answer.
//!
//! The leg stays as it is until the answer is put in force. Follows RFC 3264 section 8.

use bytes::Bytes;
use media::{
    Codec, OfferedLeg,
    sdp::{self, Direction, RemoteMedia},
};
use sip_core::Glare;

use crate::{
    call::{
        Call,
        negotiating::{End, Negotiation},
    },
    house::House,
    leg::{Agreed, Leg, Session},
    now::Now,
};

/// See the module.
#[derive(Debug)]
pub(super) struct Proposal {
    /// Where the leg's media is to be: its pair, or another that it moves to.
    lent: OfferedLeg,
    local: sdp::Local,
    ours: Bytes,
    codecs: Vec<Codec>,
}

impl Proposal {
    /// What a leg that has agreed is to be offered on this pair; `says` is the other party's description of itself. None where the peer may
    /// be spoken with in no codec of it.
    ///
    /// Its version is used up even where it is refused: the next text may not have the same (RFC 3264 section 8).
    pub(super) fn to(
        house: &House,
        leg: &mut Leg,
        lent: OfferedLeg,
        says: &RemoteMedia,
        direction: Direction,
    ) -> Option<Proposal> {
        leg.agreed()?;
        leg.local.version += 1;
        let agreed = leg.agreed()?;
        // The codec in use stays where it can: the recorder and the other leg go on undisturbed.
        let codecs = if says.payload_type(agreed.codec).is_some() {
            vec![agreed.codec]
        } else {
            let spoken: Vec<Codec> = says.codecs.iter().map(|(codec, _)| *codec).collect();
            house.codecs_for(leg.peer, &spoken)
        };
        if codecs.is_empty() {
            return None;
        }
        let mut local = leg.local.clone();
        local.rtp = lent.rtp;
        local.direction = direction;
        local.noise = says.noise.is_some();
        local.ptime_ms = says.ptime_ms;
        let events = says.events.is_some();
        let ours = Bytes::from(sdp::reoffer(&agreed.theirs, &local, &codecs, events));
        Some(Proposal {
            lent,
            local,
            ours,
            codecs,
        })
    }

    /// Its text.
    pub(super) fn text(&self) -> Bytes {
        self.ours.clone()
    }

    /// The leg as it is to be now that its party has answered; none where the answer cannot be used.
    pub(super) fn answered(self, house: &House, leg: &Leg, body: Option<&Bytes>) -> Option<Leg> {
        let theirs = house.read_media(leg.peer, body?)?;
        let codec = sdp::choose(&theirs, &self.codecs)?;
        let mut answered = Leg {
            lent: self.lent,
            local: self.local,
            ..leg.clone()
        };
        let agreed = answered.answered_by(theirs, self.ours, codec);
        answered.stream(&agreed)?;
        answered.session = Session::Agreed(Box::new(agreed));
        Some(answered)
    }
}

/// Puts in force what a leg has agreed to: its stream, and its pair where it moves.
pub(super) fn put_in_force(house: &mut House, leg: &mut Leg, answered: Leg) {
    if let Some(stream) = answered.agreed().and_then(|agreed| answered.stream(agreed)) {
        house.open(answered.id(), answered.peer, stream);
    }
    if leg.lent != answered.lent {
        house.close(leg.id());
    }
    *leg = answered;
}

impl Call {
    /// Our offer to a leg, made of what the other one's peer says of itself.
    pub(super) fn proposal(
        &mut self,
        house: &House,
        to: End,
        says: &RemoteMedia,
        direction: Direction,
    ) -> Option<Proposal> {
        let leg = self.leg_mut(to)?;
        Proposal::to(house, leg, leg.lent, says, direction)
    }

    /// Offers a leg something of our own accord; a 491 is repeated.
    pub(super) fn ask(
        &mut self,
        house: &mut House,
        now: Now,
        end: End,
        says: &RemoteMedia,
        direction: Direction,
    ) {
        let Some(proposal) = self.proposal(house, end, says, direction) else {
            return;
        };
        let Some(leg) = self.leg(end) else { return };
        let (dialog, ours) = (leg.dialog, proposal.text());
        self.negotiation = Negotiation::Own { end, proposal };
        house.endpoint.reinvite(now.at, dialog, ours, Glare::Repeat);
    }

    /// Takes a leg's answer to our proposal; false where it cannot be used, and the leg's session is as it was.
    pub(super) fn take_answer(
        &mut self,
        house: &mut House,
        end: End,
        proposal: Proposal,
        body: Option<&Bytes>,
    ) -> bool {
        let Some(leg) = self.leg_mut(end) else {
            return false;
        };
        let Some(answered) = proposal.answered(house, leg, body) else {
            return false;
        };
        put_in_force(house, leg, answered);
        true
    }

    /// Offers a leg again what is in force, after it agreed to something that came to nothing.
    pub(super) fn restore(&mut self, house: &mut House, now: Now, end: End) {
        if let Some(before) = self.leg(end).and_then(Leg::agreed).cloned() {
            self.restore_to(house, now, end, &before);
        }
    }

    /// Offers a leg again what it had before.
    pub(super) fn restore_to(&mut self, house: &mut House, now: Now, end: End, before: &Agreed) {
        let direction = self.other_wish(end);
        let says = RemoteMedia {
            codecs: vec![(before.codec, before.codec.static_payload_type())],
            ..before.theirs.clone()
        };
        self.ask(house, now, end, &says, direction);
    }
}
