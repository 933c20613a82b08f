//! Calling the far side: what it says before it answers, its answer, and its refusals.

use bytes::Bytes;
use media::{Codec, Command, LegId, OfferedLeg, sdp};
use rules::{EndCause, Keeping};
use sip_core::{Delivery, DialogId, Headers, Invite, Message, PeerId, Ring};

use crate::{
    admission::Class,
    call::{
        Call, Stage,
        attempts::{Attempt, Attempts, Reliability, Tone},
        joining::Joining,
        negotiating::End,
    },
    direction::Direction,
    house::House,
    identity,
    leg::{Agreed, Leg, Session},
    now::Now,
    route::{Destination, Failure, PATIENCE, Route, phrase},
    settings::FaultMoment,
};

/// What the caller's side is told about media.
enum Told {
    /// Nothing: it knows, or cannot know yet.
    Nothing,
    /// The answer to its offer.
    Answer(Bytes),
    /// Our offer, because it made none.
    Offer(Bytes),
}

impl Call {
    /// Takes a call whose far side answers for itself.
    pub(crate) fn pass(&mut self, house: &mut House, now: Now, far: OfferedLeg, keeping: Keeping) {
        match self.direction {
            Direction::Inbound => {}
            Direction::Outbound | Direction::Internal => {
                house.trace(now, self.id, self.direction.code());
            }
        }
        match Attempts::begin(self, house, now, far, Tone::Theirs) {
            Ok(attempts) => self.enter(house, now, Stage::Passing { attempts, keeping }),
            Err(failure) => self.refuse(house, now, failure),
        }
    }

    /// How urgent it is that a way is found.
    pub(super) fn class(&self, house: &House) -> Class {
        if self.parties.is_emergency() {
            return Class::Emergency;
        }
        Class::of_number(&house.settings, self.called())
    }

    /// What the origin speaks: the one codec it has agreed to, else all it offered, else all that its peer may be offered.
    pub(super) fn codecs(&self, house: &House) -> Vec<Codec> {
        match (&self.origin.session, &self.offer) {
            (Session::Agreed(agreed), _) => vec![agreed.codec],
            (Session::Asked(asked), _) => asked.codecs.clone(),
            (Session::Unbegun | Session::Offered, Some(offer)) => {
                offer.codecs.iter().map(|(codec, _)| *codec).collect()
            }
            (Session::Unbegun | Session::Offered, None) => house.codecs_of(self.origin.peer),
        }
    }

    pub(super) fn invitation(
        &self,
        house: &House,
        destination: &Destination,
        route: Route,
        offer: Bytes,
    ) -> Option<Invite> {
        let naming = self.parties.naming(house, destination, route)?;
        Some(Invite {
            peer: route.peer,
            hop: route.hop,
            request_uri: naming.request_uri,
            from: naming.from,
            to: naming.to,
            contact_user: None,
            body: Some(offer),
            headers: naming.headers,
            max_forwards: self.parties.max_forwards,
            patience: Some(PATIENCE),
            require_reliable: false,
        })
    }

    /// The called telephone rings, or plays something before it answers.
    pub(super) fn far_rang(
        &mut self,
        house: &mut House,
        now: Now,
        dialog: DialogId,
        status: u16,
        message: &Message,
        delivery: Delivery,
    ) {
        match std::mem::replace(&mut self.stage, Stage::Over) {
            Stage::Passing {
                mut attempts,
                keeping,
            } => {
                // After an early notice the caller hears our ringback, and nothing that could stop it.
                if attempts.is_current(dialog) && attempts.tone == Tone::Theirs {
                    let told = self.agree_early(house, &mut attempts.current, message);
                    let (body, delivery) = match told {
                        Told::Nothing => (None, delivery),
                        Told::Answer(ours) => (Some(ours), delivery),
                        // Its answer comes in the PRACK (RFC 3262 section 5).
                        Told::Offer(ours) => (Some(ours), Delivery::Reliable),
                    };
                    let peer = attempts.current.leg.peer;
                    let ring = Ring {
                        headers: self.told_of(house, peer, message),
                        body,
                        delivery,
                        ..Ring::plain(status, phrase(status))
                    };
                    house.endpoint.ring(now.at, self.origin.dialog, ring);
                }
                self.stage = Stage::Passing { attempts, keeping };
            }
            Stage::Transferring(transferring) => {
                let is_current = transferring.attempts.is_current(dialog);
                self.stage = Stage::Transferring(transferring);
                if is_current {
                    self.target_rang(house, now, status);
                }
            }
            // The answered caller hears our ringback; what the far side plays early is not for the answered.
            stage @ (Stage::Calling { .. }
            | Stage::ExpectPrack(_)
            | Stage::ExpectAck(_)
            | Stage::Announcing(_)
            | Stage::Joining(_)
            | Stage::Talking(_)
            | Stage::Parted(_)
            | Stage::Closing(_)
            | Stage::Over) => self.stage = stage,
        }
    }

    /// What whoever called is told of the far side that answers.
    pub(super) fn told_of(&self, house: &House, far: PeerId, message: &Message) -> Headers {
        identity::in_answer(message, house.trust(far), house.trust(self.origin.peer))
    }

    /// Lets the unanswered caller hear what the far side plays early. Where that cannot be, the status crosses alone.
    fn agree_early(&mut self, house: &mut House, attempt: &mut Attempt, message: &Message) -> Told {
        if message.sdp().is_none() {
            return Told::Nothing;
        }
        let Some(agreed) = self.read_answer(house, attempt, message) else {
            return Told::Nothing;
        };
        let told = self.tell_origin(house, &agreed, self.reliability);
        match told {
            Some(told) => {
                self.bridge(house, &mut attempt.leg, agreed);
                told
            }
            None => Told::Nothing,
        }
    }

    /// What the origin is told now that the far side has answered this; none where the two do not fit.
    fn tell_origin(
        &mut self,
        house: &mut House,
        agreed: &Agreed,
        reliability: Reliability,
    ) -> Option<Told> {
        match &self.origin.session {
            Session::Agreed(_) if !self.fits(agreed) => None,
            Session::Offered | Session::Agreed(_) if self.offer.is_some() => {
                let ours = self.agree_with_origin(house, agreed.codec, Some(&agreed.theirs))?;
                Some(Told::Answer(ours))
            }
            Session::Agreed(_) => Some(Told::Nothing),
            Session::Asked(asked) => asked
                .codecs
                .contains(&agreed.codec)
                .then_some(Told::Nothing),
            Session::Unbegun | Session::Offered => Some(match reliability {
                // It could not answer before the 200.
                Reliability::Unknown => Told::Nothing,
                Reliability::Possible | Reliability::Required => {
                    let codecs = self.codecs_from(house, agreed.codec);
                    Told::Offer(self.ask_origin(codecs, Some(&agreed.theirs)))
                }
            }),
        }
    }

    /// Reads the far side's answer to our offer, in whichever codec of it; none where it cannot be used, or must not.
    pub(super) fn read_answer(
        &self,
        house: &House,
        attempt: &Attempt,
        message: &Message,
    ) -> Option<Agreed> {
        let Some(body) = message.sdp() else {
            // What was answered early needs no second answer (RFC 3261 section 13.2.1); without either there is none.
            return attempt.leg.agreed().cloned();
        };
        let theirs = house.read_media(attempt.leg.peer, &body)?;
        let wanted = sdp::choose(&theirs, &self.codecs(house));
        let codec = wanted.or_else(|| sdp::choose(&theirs, &attempt.codecs))?;
        let ours = attempt.offer.clone();
        let agreed = attempt.leg.answered_by(theirs, ours, codec);
        attempt.leg.stream(&agreed)?;
        Some(agreed)
    }

    /// Opens the far leg, anew where its answer has changed, and lets both hear each other.
    pub(super) fn bridge(&self, house: &mut House, leg: &mut Leg, agreed: Agreed) {
        let is_same = leg
            .agreed()
            .is_some_and(|before| before.theirs == agreed.theirs);
        if is_same {
            return;
        }
        if let Some(stream) = leg.stream(&agreed) {
            house.open(leg.id(), leg.peer, stream);
        }
        leg.session = Session::Agreed(Box::new(agreed));
        if self.origin.agreed().is_some() {
            self.join(house, leg.id());
        }
    }

    /// Lets the origin's leg and another hear each other.
    pub(super) fn join(&self, house: &mut House, far: LegId) {
        let bridge = Command::Bridge {
            carrier: self.origin_leg(),
            department: far,
        };
        house.command(far, bridge);
    }

    /// The far side has answered.
    pub(super) fn far_answered(
        &mut self,
        house: &mut House,
        now: Now,
        dialog: DialogId,
        message: &Message,
    ) {
        house
            .settings
            .inject_fault(&self.record.called, FaultMoment::Answering);
        match std::mem::replace(&mut self.stage, Stage::Over) {
            Stage::Calling {
                mut attempts,
                keeping,
            } if attempts.is_current(dialog) => {
                match self.read_answer(house, &attempts.current, message) {
                    Some(agreed) => {
                        let peer = attempts.current.leg.peer;
                        self.parties.hear_answer(house, peer, message);
                        self.bridge(house, &mut attempts.current.leg, agreed);
                        self.connect(house, now, attempts.current.leg, keeping);
                        self.tell_far(house, now);
                    }
                    None => {
                        self.stage = Stage::Calling { attempts, keeping };
                        self.answer_unusable(house, now, dialog);
                    }
                }
            }
            Stage::Passing { attempts, keeping } if attempts.is_current(dialog) => {
                self.pass_answer(house, now, attempts, keeping, message);
            }
            Stage::Transferring(transferring) if transferring.attempts.is_current(dialog) => {
                self.read_target_answer(house, now, *transferring, message);
            }
            // A second answer of a forked INVITE, or one that crossed our CANCEL: the endpoint ends those.
            stage @ (Stage::Calling { .. }
            | Stage::Passing { .. }
            | Stage::ExpectPrack(_)
            | Stage::ExpectAck(_)
            | Stage::Announcing(_)
            | Stage::Joining(_)
            | Stage::Talking(_)
            | Stage::Transferring(_)
            | Stage::Parted(_)
            | Stage::Closing(_)
            | Stage::Over) => self.stage = stage,
        }
    }

    /// Passes the far side's answer on to a caller who is not answered yet.
    fn pass_answer(
        &mut self,
        house: &mut House,
        now: Now,
        mut attempts: Attempts,
        keeping: Keeping,
        message: &Message,
    ) {
        let dialog = attempts.current.leg.dialog;
        let Some(agreed) = self.read_answer(house, &attempts.current, message) else {
            self.stage = Stage::Passing { attempts, keeping };
            return self.answer_unusable(house, now, dialog);
        };
        let peer = attempts.current.leg.peer;
        self.parties.hear_answer(house, peer, message);
        let headers = self.told_of(house, peer, message);
        if self.fits(&agreed) {
            return self.answer_origin(house, now, attempts, keeping, agreed, headers);
        }
        attempts.current.leg.session = Session::Agreed(Box::new(agreed));
        self.stage = Stage::Passing { attempts, keeping };
        self.fit(house, now, End::Far, headers);
    }

    /// Answers the caller, with these headers and what the far side has agreed to.
    pub(super) fn answer_origin(
        &mut self,
        house: &mut House,
        now: Now,
        mut attempts: Attempts,
        keeping: Keeping,
        agreed: Agreed,
        headers: Headers,
    ) {
        // Whoever knows no reliable answers takes our offer in the 200.
        let Some(told) = self.tell_origin(house, &agreed, Reliability::Possible) else {
            let dialog = attempts.current.leg.dialog;
            self.stage = Stage::Passing { attempts, keeping };
            return self.answer_unusable(house, now, dialog);
        };
        let body = match told {
            Told::Nothing => self.untold_offer(house),
            Told::Answer(ours) | Told::Offer(ours) => ours,
        };
        house.accept(now, self.origin.dialog, headers, body);
        self.bridge(house, &mut attempts.current.leg, agreed);
        let far = attempts.current.leg;
        match &self.origin.session {
            Session::Agreed(_) => {
                self.connect(house, now, far, keeping);
                self.tell_far(house, now);
            }
            Session::Unbegun | Session::Offered | Session::Asked(_) => {
                self.enter(house, now, Stage::Joining(Joining { far, keeping }));
            }
        }
    }

    /// It answered with media that cannot be joined: that destination is hung up on, and the next one tried.
    pub(super) fn answer_unusable(&mut self, house: &mut House, now: Now, dialog: DialogId) {
        house.end(now, dialog, 488, Some(Call::MEDIA_REASON));
        self.attempt_failed(house, now, dialog, Failure::UNUSABLE_MEDIA);
    }

    /// The current destination has rung as long as it may.
    pub(super) fn ring_time_over(&mut self, house: &mut House, now: Now) {
        let Some(dialog) = self.attempts().map(|attempts| attempts.current.leg.dialog) else {
            return;
        };
        house.end(now, dialog, 480, Some("Q.850;cause=19;text=\"No answer\""));
        self.attempt_failed(house, now, dialog, Failure::RING_TIME_OVER);
    }

    /// Nothing at all has come back for a while: another way is tried, where there is one. Our INVITE is cancelled as soon as it may be.
    pub(super) fn far_silent(&mut self, house: &mut House, now: Now, dialog: DialogId) {
        let is_worth_it = self
            .attempts()
            .is_some_and(|attempts| attempts.is_current(dialog) && attempts.has_more());
        if is_worth_it {
            house.trace(now, self.id, "no answer at all: the next way");
            house.end(now, dialog, 480, None);
            self.attempt_failed(house, now, dialog, Failure::NO_RESPONSE);
        }
    }

    /// The far side has refused.
    pub(super) fn far_refused(
        &mut self,
        house: &mut House,
        now: Now,
        dialog: DialogId,
        status: u16,
        message: &Message,
    ) {
        match std::mem::replace(&mut self.stage, Stage::Over) {
            Stage::Calling {
                mut attempts,
                keeping,
            } if attempts.is_current(dialog) => {
                let is_called_again = self.call_again(house, now, &mut attempts, status, message);
                self.stage = Stage::Calling { attempts, keeping };
                if is_called_again {
                    return;
                }
            }
            Stage::Passing {
                mut attempts,
                keeping,
            } if attempts.is_current(dialog) => {
                let is_called_again = self.call_again(house, now, &mut attempts, status, message);
                self.stage = Stage::Passing { attempts, keeping };
                if is_called_again {
                    return;
                }
            }
            stage @ (Stage::Calling { .. }
            | Stage::Passing { .. }
            | Stage::ExpectPrack(_)
            | Stage::ExpectAck(_)
            | Stage::Announcing(_)
            | Stage::Joining(_)
            | Stage::Talking(_)
            | Stage::Transferring(_)
            | Stage::Parted(_)
            | Stage::Closing(_)
            | Stage::Over) => self.stage = stage,
        }
        let failure = Failure::answered(status);
        if let Some(peer) = self.far_peer(dialog) {
            self.parties.hear_failure(house, peer, failure, message);
        }
        self.attempt_failed(house, now, dialog, failure);
    }

    /// Follows what a refusal asks for, where it may be followed; true where the same place is called again already.
    fn call_again(
        &mut self,
        house: &mut House,
        now: Now,
        attempts: &mut Attempts,
        status: u16,
        message: &Message,
    ) -> bool {
        match status {
            300..=399 => {
                if attempts.redirect(house, message) {
                    house.trace(now, self.id, "sent on to another number of ours");
                }
                false
            }
            420 => attempts.demand_less(self, house, now),
            _ => false,
        }
    }

    /// An attempt has failed: the next way or destination, or the end of the search.
    pub(super) fn attempt_failed(
        &mut self,
        house: &mut House,
        now: Now,
        dialog: DialogId,
        failure: Failure,
    ) {
        self.abandon_offers(house, now, dialog);
        match std::mem::replace(&mut self.stage, Stage::Over) {
            Stage::Calling { attempts, keeping } if attempts.is_current(dialog) => {
                match attempts.go_on(self, house, now, failure) {
                    Ok(attempts) => self.stage = Stage::Calling { attempts, keeping },
                    Err(telling) => self.close(house, now, telling),
                }
            }
            Stage::Passing { attempts, keeping } if attempts.is_current(dialog) => {
                match attempts.go_on(self, house, now, failure) {
                    Ok(attempts) => self.stage = Stage::Passing { attempts, keeping },
                    Err(telling) => self.refuse(house, now, telling),
                }
            }
            Stage::Transferring(transferring) if transferring.attempts.is_current(dialog) => {
                self.target_failed(house, now, *transferring, failure);
            }
            // An earlier attempt that was given up: its 487 comes late.
            stage @ (Stage::Calling { .. }
            | Stage::Passing { .. }
            | Stage::ExpectPrack(_)
            | Stage::ExpectAck(_)
            | Stage::Announcing(_)
            | Stage::Joining(_)
            | Stage::Talking(_)
            | Stage::Transferring(_)
            | Stage::Parted(_)
            | Stage::Closing(_)
            | Stage::Over) => self.stage = stage,
        }
    }

    /// Passes the failure on to a caller who was never answered.
    pub(super) fn refuse(&mut self, house: &mut House, now: Now, failure: Failure) {
        let reason = self.parties.reason_for(house, self.origin.peer);
        house.reject_because(now, self.origin.dialog, failure.status, reason);
        self.end(house, now, failure.cause());
    }

    /// What a caller without an offer is offered where the far side has answered in this codec: it may have but another.
    fn codecs_from(&self, house: &House, codec: Codec) -> Vec<Codec> {
        let mut codecs = house.codecs_of(self.origin.peer);
        // Stable: the others stay in their order.
        codecs.sort_by_key(|other| *other != codec);
        codecs
    }
}

impl Failure {
    /// What the record says of it.
    pub(super) fn cause(&self) -> EndCause {
        use crate::route::FailureKind;
        match self.kind {
            FailureKind::Busy => EndCause::Busy,
            FailureKind::NoAnswer => EndCause::NoAnswer,
            FailureKind::Closed => EndCause::Closed,
            FailureKind::Refused => EndCause::Rejected,
            FailureKind::Unreachable => EndCause::Unreachable,
            FailureKind::Congestion => EndCause::Congestion,
        }
    }
}
