//! A caller that made no offer: it has ours, in a provisional answer or the 200, and its answer comes by PRACK or ACK (RFC 3262 section 5).

use bytes::Bytes;
use media::{
    Codec,
    sdp::{self, RemoteMedia},
};
use rules::Keeping;
use sip_core::Headers;

use crate::{
    call::{Call, Stage, negotiating::End},
    house::House,
    leg::{Asked, Leg, Session},
    now::Now,
};

/// A far side that has answered, and a caller whose answer to our own offer is still to come.
pub(super) struct Joining {
    pub(super) far: Leg,
    pub(super) keeping: Keeping,
}

impl Call {
    /// Writes our offer to an origin that made none. `theirs`: what the far side said, where it has.
    pub(super) fn ask_origin(&mut self, codecs: Vec<Codec>, theirs: Option<&RemoteMedia>) -> Bytes {
        let local = &mut self.origin.local;
        if let Some(theirs) = theirs {
            local.direction = theirs.direction;
            local.noise = theirs.noise.is_some();
            local.ptime_ms = theirs.ptime_ms;
        }
        let has_events = theirs.is_none_or(|theirs| theirs.events.is_some());
        let ours = Bytes::from(sdp::offer(local, &codecs, has_events));
        self.origin.session = Session::Asked(Box::new(Asked {
            ours: ours.clone(),
            codecs,
        }));
        ours
    }

    /// Takes the origin's answer to our offer, from an ACK or a PRACK; false where it cannot be used.
    pub(super) fn origin_answers(&mut self, house: &mut House, body: Option<&Bytes>) -> bool {
        let Session::Asked(asked) = &self.origin.session else {
            // There was no offer of ours, or it is answered.
            return true;
        };
        let theirs = body.and_then(|body| house.read_media(self.origin.peer, body));
        let Some((theirs, codec)) = theirs.and_then(|theirs| {
            // The far side's, where it has answered and the origin takes it.
            let far = self.far_leg().and_then(Leg::agreed);
            let far = far.map(|far| far.codec);
            let common = far.filter(|codec| theirs.payload_type(*codec).is_some());
            let codec = common.or_else(|| sdp::choose(&theirs, &asked.codecs))?;
            Some((theirs, codec))
        }) else {
            return false;
        };
        let agreed = self.origin.answered_by(theirs, asked.ours.clone(), codec);
        let Some(stream) = self.origin.stream(&agreed) else {
            return false;
        };
        house.open(self.origin_leg(), self.origin.peer, stream);
        self.origin.session = Session::Agreed(Box::new(agreed));
        true
    }

    /// A PRACK came; where it brings the answer to our offer, the caller can hear what is played early.
    pub(super) fn origin_pracked(&mut self, house: &mut House, now: Now, body: Option<&Bytes>) {
        let was_asked = matches!(self.origin.session, Session::Asked(_));
        let is_of_notice = matches!(self.stage, Stage::ExpectPrack(_));
        if was_asked && body.is_none() && !is_of_notice {
            // It acknowledges an answer sent before our offer (RFC 3262 section 3). The ACK shows an answer that never comes.
            return;
        }
        if !self.origin_answers(house, body) {
            return self.refuse_media(house, now);
        }
        match std::mem::replace(&mut self.stage, Stage::Over) {
            Stage::ExpectPrack(notice) => return self.announce(house, now, notice),
            stage => self.stage = stage,
        }
        if was_asked {
            let far = self.far_leg().filter(|far| self.is_fitting(far));
            let far = far.map(Leg::id);
            if let Some(far) = far {
                self.join(house, far);
            }
            self.joined(house, now);
        }
    }

    /// The caller's answer is here, and the far side's came before: they talk.
    pub(super) fn joined(&mut self, house: &mut House, now: Now) {
        match std::mem::replace(&mut self.stage, Stage::Over) {
            Stage::Joining(joining) if !self.is_fitting(&joining.far) => {
                self.stage = Stage::Joining(joining);
                // The ACK of a caller whose PRACK has brought the answer asks nobody anew.
                if !self.is_being_fitted() {
                    self.fit(house, now, End::Far, Headers::new());
                }
            }
            Stage::Joining(Joining { far, keeping }) => {
                self.join(house, far.id());
                self.connect(house, now, far, keeping);
                // The far side may have held while the caller's ACK was on its way.
                self.tell_other(house, now, End::Far);
                self.tell_far(house, now);
            }
            stage @ (Stage::Calling { .. }
            | Stage::Passing { .. }
            | Stage::ExpectPrack(_)
            | Stage::ExpectAck(_)
            | Stage::Announcing(_)
            | Stage::Talking(_)
            | Stage::Transferring(_)
            | Stage::Parted(_)
            | Stage::Closing(_)
            | Stage::Over) => self.stage = stage,
        }
    }

    /// Our offer, where it still waited for the PRACK of an earlier answer: no provisional answer follows the 200 that would tell it.
    pub(super) fn untold_offer(&self, house: &House) -> Bytes {
        match &self.origin.session {
            Session::Asked(asked) if !house.endpoint.has_described(self.origin.dialog) => {
                asked.ours.clone()
            }
            Session::Asked(_) | Session::Unbegun | Session::Offered | Session::Agreed(_) => {
                Bytes::new()
            }
        }
    }
}
