//! Calling the far side: one destination after the other, until one answers or none is left.

use std::{collections::VecDeque, time::Instant};

use bytes::Bytes;
use media::{Codec, Command, OfferedLeg, sdp};
use rules::{EndCause, Keeping};
use sip_core::{DialogId, Headers, Invite, Message, PeerId, RequestId, Ring};

use crate::{
    admission::Class,
    call::{Call, Stage, answer_reinvite},
    direction::Direction,
    house::House,
    identity,
    leg::{Agreed, Events, Leg, Session},
    now::Now,
    route::{Destination, Failure, Reach, Route, phrase},
    settings::FaultMoment,
};

/// The attempts of a call: the one that rings, those that wait, and the most telling failure so far.
pub(super) struct Attempts {
    current: Attempt,
    /// Other ways to where the current attempt goes.
    routes: VecDeque<Route>,
    waiting: VecDeque<Destination>,
    failure: Option<Failure>,
}

/// One INVITE to one place.
struct Attempt {
    leg: Leg,
    destination: Destination,
    until: Instant,
}

impl Attempts {
    /// Calls the call's first destination.
    ///
    /// # Errors
    /// `Failure::NOTHING_LEFT` where there is none; configuration checks keep that from happening to a department.
    pub(super) fn begin(
        call: &mut Call,
        house: &mut House,
        now: Now,
        lent: OfferedLeg,
    ) -> Result<Attempts, Failure> {
        let mut waiting = std::mem::take(&mut call.destinations);
        let mut routes = VecDeque::new();
        let destination = None;
        match Attempt::next(
            call,
            house,
            now,
            lent,
            destination,
            &mut routes,
            &mut waiting,
        ) {
            Some(current) => Ok(Attempts {
                current,
                routes,
                waiting,
                failure: None,
            }),
            None => {
                house.close(lent.leg);
                Err(Failure::NOTHING_LEFT)
            }
        }
    }

    pub(super) fn until(&self) -> Instant {
        self.current.until
    }

    pub(super) fn is_current(&self, dialog: DialogId) -> bool {
        self.current.leg.dialog == dialog
    }

    /// Goes on to the next way or destination after a failure; or says what the caller is to hear.
    fn go_on(
        self,
        call: &mut Call,
        house: &mut House,
        now: Now,
        failure: Failure,
    ) -> Result<Attempts, Failure> {
        let Attempts {
            current,
            mut routes,
            mut waiting,
            failure: earlier,
        } = self;
        let telling = earlier.map_or(failure, |earlier| earlier.min(failure));
        let lent = match current.leg.session {
            // Nobody ever sent to this pair from an agreed address: the next attempt can have it.
            Session::Offered => Some(current.leg.lent),
            Session::Agreed(_) => {
                house.close(current.leg.id());
                None
            }
        };
        match failure.reach {
            Reach::Everywhere => return Attempts::give_up(house, lent, telling),
            Reach::Destination => routes.clear(),
            Reach::Route => {}
        }
        if routes.is_empty() && waiting.is_empty() {
            return Attempts::give_up(house, lent, telling);
        }
        let lent = lent.or_else(|| {
            let lent = house.admission.take_of(call.shard())?;
            house.belongs(lent, call.id);
            Some(lent)
        });
        let Some(lent) = lent else {
            return Err(telling.min(Failure::NOTHING_LEFT));
        };
        let destination = Some(current.destination);
        match Attempt::next(
            call,
            house,
            now,
            lent,
            destination,
            &mut routes,
            &mut waiting,
        ) {
            Some(current) => Ok(Attempts {
                current,
                routes,
                waiting,
                failure: Some(telling),
            }),
            None => Attempts::give_up(house, Some(lent), telling),
        }
    }

    fn give_up(
        house: &mut House,
        lent: Option<OfferedLeg>,
        telling: Failure,
    ) -> Result<Attempts, Failure> {
        if let Some(lent) = lent {
            house.close(lent.leg);
        }
        Err(telling)
    }
}

impl Attempt {
    /// Sends the INVITE the next way to this destination, or to the next one that can be called.
    fn next(
        call: &mut Call,
        house: &mut House,
        now: Now,
        lent: OfferedLeg,
        destination: Option<Destination>,
        routes: &mut VecDeque<Route>,
        waiting: &mut VecDeque<Destination>,
    ) -> Option<Attempt> {
        let mut destination = destination;
        let (route, destination) = loop {
            if let (Some(route), Some(destination)) = (routes.pop_front(), destination.take()) {
                break (route, destination);
            }
            let next = waiting.pop_front()?;
            let class = call.class(house);
            let found = house.routes(now, &next.places, class);
            *routes = call.parties.order(found).into();
            destination = Some(next);
        };
        let local = house.new_local(lent);
        let offer = sdp::offer(&local, &call.codecs(), Events::of(&call.offer).are_agreed());
        let invite = call.invitation(house, &destination, route, Bytes::from(offer))?;
        let dialog = house.invite(now, call.id, route.role.side(), invite);
        call.peers.truncate(1);
        call.peers.extend(house.peer_name(route.peer));
        let leg = Leg {
            peer: route.peer,
            dialog,
            lent,
            local,
            session: Session::Offered,
        };
        let until = now.at + destination.ring;
        Some(Attempt {
            leg,
            destination,
            until,
        })
    }
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
        match Attempts::begin(self, house, now, far) {
            Ok(attempts) => self.enter(house, now, Stage::Passing { attempts, keeping }),
            Err(failure) => self.refuse(house, now, failure),
        }
    }

    /// How urgent it is that a way is found.
    fn class(&self, house: &House) -> Class {
        Class::of_call(&house.settings, self.called(), &self.caller)
    }

    /// What the far side may be offered: the one codec the origin has agreed to, else all it offered that we know.
    fn codecs(&self) -> Vec<Codec> {
        match &self.origin.session {
            Session::Agreed(agreed) => vec![agreed.codec],
            Session::Offered => self.offer.codecs.iter().map(|(codec, _)| *codec).collect(),
        }
    }

    fn invitation(
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
            patience: None,
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
    ) {
        match std::mem::replace(&mut self.stage, Stage::Over) {
            Stage::Passing {
                mut attempts,
                keeping,
            } => {
                if attempts.is_current(dialog) {
                    let early = message
                        .has_sdp()
                        .then(|| self.agree_early(house, &mut attempts.current, message))
                        .flatten();
                    let peer = attempts.current.leg.peer;
                    let ring = Ring {
                        headers: self.told_of(house, peer, message),
                        body: early,
                        ..Ring::plain(status, phrase(status))
                    };
                    house.endpoint.ring(now.at, self.origin.dialog, ring);
                }
                self.stage = Stage::Passing { attempts, keeping };
            }
            // The answered caller hears our ringback; what the far side plays early is not for the answered.
            stage @ (Stage::Calling { .. }
            | Stage::ExpectAck(_)
            | Stage::Announcing(_)
            | Stage::Talking(_)
            | Stage::Closing(_)
            | Stage::Over) => self.stage = stage,
        }
    }

    /// What whoever called is told of the far side that answers.
    fn told_of(&self, house: &House, far: PeerId, message: &Message) -> Headers {
        identity::in_answer(message, house.trust(far), house.trust(self.origin.peer))
    }

    /// Lets the unanswered caller hear what the far side plays early. None where that cannot be: the status then crosses alone.
    fn agree_early(
        &mut self,
        house: &mut House,
        attempt: &mut Attempt,
        message: &Message,
    ) -> Option<Bytes> {
        let agreed = self.read_answer(house, attempt, message)?;
        let events = Events::of(&agreed.theirs);
        let ours = self.agree_with_origin(house, agreed.codec, events)?;
        self.bridge(house, &mut attempt.leg, agreed);
        Some(ours)
    }

    /// Reads the far side's answer to our offer; none where it cannot be joined to the origin's leg, or must not.
    fn read_answer(&self, house: &House, attempt: &Attempt, message: &Message) -> Option<Agreed> {
        if !message.has_sdp() {
            // What was answered early needs no second answer (RFC 3261 section 13.2.1); without either there is none.
            return match &attempt.leg.session {
                Session::Agreed(early) => Some(Agreed::clone(early)),
                Session::Offered => None,
            };
        }
        let theirs = sdp::parse(&message.sdp()?).ok()?;
        if !house.admits_media(attempt.leg.peer, &theirs) {
            return None;
        }
        let codec = sdp::choose(&theirs, &self.codecs())?;
        let ours = sdp::offer(
            &attempt.leg.local,
            &[codec],
            Events::of(&theirs).are_agreed(),
        );
        Some(Agreed {
            theirs,
            ours: Bytes::from(ours),
            codec,
        })
    }

    /// Opens the far leg, anew where its answer has changed, and lets both hear each other.
    fn bridge(&self, house: &mut House, leg: &mut Leg, agreed: Agreed) {
        let is_same = match &leg.session {
            Session::Agreed(before) => before.theirs == agreed.theirs,
            Session::Offered => false,
        };
        if is_same {
            return;
        }
        if let Some(stream) = Agreed::stream(
            &agreed.theirs,
            &leg.local,
            agreed.codec,
            Events::of(&agreed.theirs),
        ) {
            house.open(leg.id(), stream);
        }
        leg.session = Session::Agreed(Box::new(agreed));
        house.command(
            leg.id(),
            Command::Bridge {
                carrier: self.origin_leg(),
                department: leg.id(),
            },
        );
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
                        self.bridge(house, &mut attempts.current.leg, agreed);
                        self.connect(house, now, attempts.current.leg, keeping);
                    }
                    None => {
                        self.stage = Stage::Calling { attempts, keeping };
                        self.answer_unusable(house, now, dialog);
                    }
                }
            }
            Stage::Passing {
                mut attempts,
                keeping,
            } if attempts.is_current(dialog) => {
                let joined = self
                    .read_answer(house, &attempts.current, message)
                    .and_then(|agreed| {
                        let ours = self.agree_with_origin(
                            house,
                            agreed.codec,
                            Events::of(&agreed.theirs),
                        )?;
                        Some((agreed, ours))
                    });
                match joined {
                    Some((agreed, ours)) => {
                        let headers = self.told_of(house, attempts.current.leg.peer, message);
                        house.accept(now, self.origin.dialog, headers, ours);
                        self.bridge(house, &mut attempts.current.leg, agreed);
                        self.connect(house, now, attempts.current.leg, keeping);
                    }
                    None => {
                        self.stage = Stage::Passing { attempts, keeping };
                        self.answer_unusable(house, now, dialog);
                    }
                }
            }
            // A second answer of a forked INVITE, or one that crossed our CANCEL: the endpoint ends those.
            stage @ (Stage::Calling { .. }
            | Stage::Passing { .. }
            | Stage::ExpectAck(_)
            | Stage::Announcing(_)
            | Stage::Talking(_)
            | Stage::Closing(_)
            | Stage::Over) => self.stage = stage,
        }
    }

    /// It answered with media that cannot be joined: that destination is hung up on, and the next one tried.
    fn answer_unusable(&mut self, house: &mut House, now: Now, dialog: DialogId) {
        house.end(
            now,
            dialog,
            488,
            Some("Q.850;cause=65;text=\"Bearer capability not implemented\""),
        );
        self.attempt_failed(house, now, dialog, Failure::UNUSABLE_MEDIA);
    }

    /// The current destination has rung as long as it may.
    pub(super) fn ring_time_over(&mut self, house: &mut House, now: Now) {
        let dialog = match &self.stage {
            Stage::Calling { attempts, .. } | Stage::Passing { attempts, .. } => {
                attempts.current.leg.dialog
            }
            Stage::ExpectAck(_)
            | Stage::Announcing(_)
            | Stage::Talking(_)
            | Stage::Closing(_)
            | Stage::Over => return,
        };
        house.end(now, dialog, 480, Some("Q.850;cause=19;text=\"No answer\""));
        self.attempt_failed(house, now, dialog, Failure::RING_TIME_OVER);
    }

    /// An attempt has failed: the next way or destination, or the end of the search.
    pub(super) fn attempt_failed(
        &mut self,
        house: &mut House,
        now: Now,
        dialog: DialogId,
        failure: Failure,
    ) {
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
            // An earlier attempt that was given up: its 487 comes late.
            stage @ (Stage::Calling { .. }
            | Stage::Passing { .. }
            | Stage::ExpectAck(_)
            | Stage::Announcing(_)
            | Stage::Talking(_)
            | Stage::Closing(_)
            | Stage::Over) => self.stage = stage,
        }
    }

    /// Passes the failure on to a caller who was never answered.
    fn refuse(&mut self, house: &mut House, now: Now, failure: Failure) {
        let reason = self.parties.reason_for(house, self.origin.peer);
        house.reject_because(now, self.origin.dialog, failure.status, reason);
        self.end(house, now, failure.cause());
    }

    /// The far side changes, or does not change, its session.
    pub(super) fn far_reinvited(
        &mut self,
        house: &mut House,
        now: Now,
        dialog: DialogId,
        request: RequestId,
        message: &Message,
    ) {
        match &self.stage {
            Stage::Talking(talking) if talking.far.dialog == dialog => {
                answer_reinvite(house, now, &talking.far, request, message);
            }
            // No dialog of the far side lives long enough for it in the other stages.
            Stage::Talking(_)
            | Stage::ExpectAck(_)
            | Stage::Announcing(_)
            | Stage::Calling { .. }
            | Stage::Passing { .. }
            | Stage::Closing(_)
            | Stage::Over => {
                let endpoint = &mut house.endpoint;
                endpoint.respond(now.at, request, 488, phrase(488), Vec::new(), None);
            }
        }
    }

    /// The peer that a dialog of the far side belongs to.
    pub(super) fn far_peer(&self, dialog: DialogId) -> Option<PeerId> {
        let found = self.far_legs().into_iter().find(|(far, _)| *far == dialog);
        found.map(|(_, peer)| peer)
    }

    /// The far dialogs that the stage owns, to be ended, with their peers.
    pub(super) fn far_legs(&self) -> Vec<(DialogId, PeerId)> {
        match &self.stage {
            Stage::Calling { attempts, .. } | Stage::Passing { attempts, .. } => {
                vec![(attempts.current.leg.dialog, attempts.current.leg.peer)]
            }
            Stage::Talking(talking) => vec![(talking.far.dialog, talking.far.peer)],
            Stage::ExpectAck(_) | Stage::Announcing(_) | Stage::Closing(_) | Stage::Over => {
                Vec::new()
            }
        }
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
