//! The attempts of a call: one destination after the other, each by every way that leads to it.

use std::{collections::VecDeque, net::IpAddr, time::Instant};

use bytes::Bytes;
use media::{Codec, OfferedLeg, sdp};
use sip_core::{DialogId, Message, Reliable};

use crate::{
    call::Call,
    house::House,
    leg::{Events, Leg, Session},
    now::Now,
    peers::Wanted,
    ports::can_send,
    route::{Destination, Failure, Reach, Route},
};

/// The attempts of a call: the one that rings, those that wait, and the most telling failure so far.
pub(super) struct Attempts {
    pub(super) current: Attempt,
    /// Other ways to where the current attempt goes.
    routes: VecDeque<Route>,
    waiting: VecDeque<Destination>,
    failure: Option<Failure>,
    redirections: u8,
    pub(super) tone: Tone,
}

/// What the caller hears meanwhile.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Tone {
    /// What the far side says and plays.
    Theirs,
    /// Our ringback.
    Ours,
}

/// One INVITE to one place.
pub(super) struct Attempt {
    pub(super) leg: Leg,
    /// What our INVITE offers.
    pub(super) offer: Bytes,
    /// The codecs in it.
    pub(super) codecs: Vec<Codec>,
    destination: Destination,
    route: Route,
    demand: Demand,
    until: Instant,
}

/// What an attempt asks of provisional answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Demand {
    /// They must be reliable, because the caller's side demands the same of us.
    Reliable,
    /// They may be.
    Nothing,
}

/// How often a call may be sent elsewhere; two numbers that point to each other end here.
const MOST_REDIRECTIONS: u8 = 5;

impl Attempts {
    /// Calls the call's first destination.
    ///
    /// # Errors
    /// `Failure::NOTHING_LEFT` where there is none, from which configuration checks keep a department; `Failure::NO_COMMON_CODEC` where the
    /// caller speaks none that those who may be called may be offered.
    pub(super) fn begin(
        call: &mut Call,
        house: &mut House,
        now: Now,
        mut lent: OfferedLeg,
        tone: Tone,
    ) -> Result<Attempts, Failure> {
        let codecs = house.codecs_towards(&call.codecs(house), &call.destinations);
        let nobody = match codecs.is_empty() {
            true => Failure::NO_COMMON_CODEC,
            false => Failure::NOTHING_LEFT,
        };
        let mut waiting = std::mem::take(&mut call.destinations);
        let mut routes = VecDeque::new();
        let made = Attempt::next(call, house, now, &mut lent, None, &mut routes, &mut waiting);
        let Some(current) = made else {
            house.close(lent.leg);
            return Err(nobody);
        };
        Ok(Attempts {
            current,
            routes,
            waiting,
            failure: None,
            redirections: 0,
            tone,
        })
    }

    pub(super) fn until(&self) -> Instant {
        self.current.until
    }

    pub(super) fn is_current(&self, dialog: DialogId) -> bool {
        self.current.leg.dialog == dialog
    }

    /// Whether somebody else is left to be tried.
    pub(super) fn has_more(&self) -> bool {
        !self.routes.is_empty() || !self.waiting.is_empty()
    }

    /// Goes on to the next way or destination after a failure; or says what the caller is to hear.
    pub(super) fn go_on(
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
            redirections,
            tone,
        } = self;
        let telling = earlier.map_or(failure, |earlier| earlier.min(failure));
        let lent = match current.leg.session {
            // Nobody ever sent to this pair from an agreed address: the next attempt can have it.
            Session::Unbegun | Session::Offered | Session::Asked(_) => Some(current.leg.lent),
            Session::Agreed(_) => {
                house.close(current.leg.id());
                None
            }
        };
        match failure.reach {
            // A carrier that refuses 119, whatever it says, speaks for itself alone: another may connect it.
            _ if call.parties.is_to_emergency() => {}
            Reach::Everywhere => return Attempts::give_up(house, lent, telling),
            Reach::Destination => routes.clear(),
            Reach::Route => {}
        }
        if routes.is_empty() && waiting.is_empty() {
            return Attempts::give_up(house, lent, telling);
        }
        let next = routes.front().unwrap_or(&current.route).hop.remote.ip();
        let lent = lent.or_else(|| house.take_pair(call.id, call.shard(), next).ok());
        let Some(mut lent) = lent else {
            return Err(telling.min(Failure::NOTHING_LEFT));
        };
        let is_another_way = !routes.is_empty();
        let destination = Some(current.destination);
        let made = Attempt::next(
            call,
            house,
            now,
            &mut lent,
            destination,
            &mut routes,
            &mut waiting,
        );
        let Some(next) = made else {
            return Attempts::give_up(house, Some(lent), telling);
        };
        if is_another_way {
            house.failed_over(now, current.route, failure, next.route);
        }
        Ok(Attempts {
            current: next,
            routes,
            waiting,
            failure: Some(telling),
            redirections,
            tone,
        })
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

    /// Puts the destinations of a redirection before those that wait; false where it is not followed.
    ///
    /// It is followed to the city's own numbers only, and no Contact of it goes anywhere (T-11).
    pub(super) fn redirect(&mut self, house: &House, message: &Message) -> bool {
        let elsewhere = house.redirected(self.current.leg.peer, message);
        if elsewhere.is_empty() || self.redirections == MOST_REDIRECTIONS {
            return false;
        }
        self.redirections += 1;
        for destination in elsewhere.into_iter().rev() {
            self.waiting.push_front(destination);
        }
        true
    }

    /// Calls the same place once more without a demand that it cannot meet (RFC 3262 section 4); false where there was none.
    pub(super) fn demand_less(&mut self, call: &mut Call, house: &mut House, now: Now) -> bool {
        match self.current.demand {
            Demand::Nothing => false,
            Demand::Reliable => {
                let (mut lent, route) = (self.current.leg.lent, self.current.route);
                let destination = self.current.destination.clone();
                let again = Attempt::make(
                    call,
                    house,
                    now,
                    &mut lent,
                    &destination,
                    route,
                    Demand::Nothing,
                );
                match again {
                    Some(again) => {
                        self.current = again;
                        true
                    }
                    None => false,
                }
            }
        }
    }
}

impl Attempt {
    /// Sends the INVITE the next way to this destination, or to the next one that can be called.
    fn next(
        call: &mut Call,
        house: &mut House,
        now: Now,
        lent: &mut OfferedLeg,
        destination: Option<Destination>,
        routes: &mut VecDeque<Route>,
        waiting: &mut VecDeque<Destination>,
    ) -> Option<Attempt> {
        let mut current = destination;
        loop {
            while let (Some(destination), Some(route)) = (&current, routes.pop_front()) {
                let demand = call.demand();
                let made = Attempt::make(call, house, now, lent, destination, route, demand);
                if made.is_some() {
                    return made;
                }
            }
            let next = waiting.pop_front()?;
            *routes = house.routes(
                now,
                &Wanted {
                    places: &next.places,
                    class: call.class(house),
                    plan: call.parties.plan(),
                },
            );
            current = Some(next);
        }
    }

    /// Sends the INVITE; none where the call may not go this way.
    fn make(
        call: &mut Call,
        house: &mut House,
        now: Now,
        lent: &mut OfferedLeg,
        destination: &Destination,
        route: Route,
        demand: Demand,
    ) -> Option<Attempt> {
        let lent = Attempt::fit(call, house, lent, route.hop.remote.ip())?;
        let mut local = house.new_local(lent, route.peer, route.hop.transport);
        call.adapt_to_origin(&mut local);
        let events = call.events();
        let codecs = house.codecs_for(route.peer, &call.codecs(house));
        if codecs.is_empty() {
            return None;
        }
        let offer = Bytes::from(sdp::offer(&local, &codecs, events.are_agreed()));
        let mut invite = call.invitation(house, destination, route, offer.clone())?;
        invite.require_reliable = demand == Demand::Reliable;
        let dialog = house.invite(now, call.id, route.role.side(), invite);
        call.peers.truncate(1);
        call.peers.extend(house.peer_name(route.peer));
        let leg = Leg {
            peer: route.peer,
            outside: call.parties.outside().cloned(),
            dialog,
            lent,
            local,
            session: Session::Offered,
            counted: None,
        };
        let until = now.at + destination.ring;
        Some(Attempt {
            leg,
            offer,
            codecs,
            destination: destination.clone(),
            route,
            demand,
            until,
        })
    }
}

impl Attempt {
    /// The pair for an attempt: where the peer is of the other family, a pair of that takes its place.
    fn fit(
        call: &Call,
        house: &mut House,
        lent: &mut OfferedLeg,
        peer: IpAddr,
    ) -> Option<OfferedLeg> {
        if !can_send(lent, peer) {
            let other = house.take_pair(call.id, call.shard(), peer).ok()?;
            house.close(lent.leg);
            *lent = other;
        }
        Some(*lent)
    }
}

impl Call {
    /// The other leg must be as reliable as this one only where this one insists.
    fn demand(&self) -> Demand {
        match self.reliability {
            Reliability::Required => Demand::Reliable,
            Reliability::Possible | Reliability::Unknown => Demand::Nothing,
        }
    }

    /// Whether keypad events are offered onward.
    pub(super) fn events(&self) -> Events {
        match (self.origin.agreed(), &self.offer) {
            (Some(agreed), _) => agreed.events,
            (None, Some(offer)) => Events::of(offer),
            (None, None) => Events::Agreed,
        }
    }

    /// Lets our description of another leg say what the origin's peer wishes.
    pub(super) fn adapt_to_origin(&self, local: &mut sdp::Local) {
        let theirs = self.origin.agreed().map(|agreed| &agreed.theirs);
        let Some(theirs) = theirs.or(self.offer.as_ref()) else {
            return;
        };
        local.ptime_ms = theirs.ptime_ms;
        match self.origin.agreed() {
            // It was answered before anybody was asked: what was agreed with us holds.
            Some(_) => local.noise = theirs.noise.is_some() && self.origin.local.noise,
            None => {
                local.noise = theirs.noise.is_some();
                local.direction = theirs.direction;
            }
        }
    }
}

/// How reliable provisional answers to a caller may be (RFC 3262), by its INVITE and by what is set for its peer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reliability {
    /// It demands them.
    Required,
    /// It takes them.
    Possible,
    /// It does not know them, or its peer is to get none.
    Unknown,
}

impl Reliability {
    pub(crate) fn of(request: &Message, set: Reliable) -> Reliability {
        match set {
            Reliable::Off => return Reliability::Unknown,
            Reliable::Supported | Reliable::Required => {}
        }
        let has = |name| {
            let mut tags = request.elements(name);
            tags.any(|tag| tag.eq_ignore_ascii_case(b"100rel"))
        };
        if has(sip_core::HeaderName::Require) {
            Reliability::Required
        } else if has(sip_core::HeaderName::Supported) {
            Reliability::Possible
        } else {
            Reliability::Unknown
        }
    }
}
