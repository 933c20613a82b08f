//! An offer of ours to a leg inside its call: made of what the other party says of itself, and read back with the answer.
//!
//! The leg stays as it is until the answer is put in force. Follows RFC 3264 section 8.

use bytes::Bytes;
use media::{
    Codec, OfferedLeg,
    sdp::{self, Direction, RemoteMedia},
};

use crate::{
    house::House,
    leg::{Leg, Session},
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
    /// What a leg that has agreed is to be offered on this pair; `says` is the other party's description of itself.
    ///
    /// Its version is used up even where it is refused: the next text may not have the same (RFC 3264 section 8).
    pub(super) fn to(
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
            says.codecs.iter().map(|(codec, _)| *codec).collect()
        };
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
        let theirs = sdp::parse(body?).ok()?;
        if !house.admits_media(leg.peer, &theirs) {
            return None;
        }
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
