//! Who calls whom: what crosses from the leg of whoever calls to the leg that is called, and in which form.
//!
//! Everything else of the INVITE stays behind (T-16).

use rules::{Caller, Number};
use sip_core::{Headers, Message, NameAddrText, PeerId};

use crate::{
    direction::Direction,
    house::House,
    identity::{self, Identity, Shown, Towards},
    number_form::{self, Called},
    outbound::{Class, OutboundPlan},
    report::ShownCaller,
    route::{Destination, Failure, Route},
    trunk::Trust,
};

/// Who calls whom.
pub(crate) struct Parties {
    /// Who called.
    identity: Identity,
    /// Who is at the end of the origin, as whoever is called for it is told, and who at the other.
    origin: Party,
    far: Party,
    called: Called,
    way: Way,
    urgency: Urgency,
    pub(super) max_forwards: u8,
    word: Option<Word>,
    /// The user part of who referred this call, where it goes by a REFER (RFC 3892).
    referred_by: Option<String>,
}

/// Who is at one end of a call: others than whoever called and was called, once it was transferred.
enum Party {
    Caller,
    Other(Box<Identity>),
}

/// What a party said of why it left or could not be had (RFC 3326).
struct Word {
    /// The failure that it explains; none for a goodbye.
    failure: Option<Failure>,
    reason: String,
}

/// Where a call goes.
enum Way {
    /// To a number of the city's.
    In,
    /// Out, through one of these trunks.
    Out(OutboundPlan),
}

/// Whether 110, 118 or 119 are a party of the call. It stays so whoever takes the other one's place (S-17).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Urgency {
    Ordinary,
    Emergency,
}

/// How an INVITE names its parties.
pub(super) struct Naming {
    pub(super) request_uri: String,
    pub(super) from: NameAddrText,
    pub(super) to: NameAddrText,
    pub(super) headers: Headers,
}

/// RFC 3261 section 8.1.1.6: what a request without Max-Forwards is taken to say.
const MAX_FORWARDS: u8 = 70;

impl Parties {
    /// The parties of a call to a number of the city's.
    pub(crate) fn of_city(
        request: &Message,
        direction: Direction,
        identity: Identity,
        called: Called,
    ) -> Parties {
        Parties {
            urgency: Urgency::of_caller(direction, &identity),
            identity,
            origin: Party::Caller,
            far: Party::called(&called),
            called,
            way: Way::In,
            max_forwards: max_forwards(request),
            word: None,
            referred_by: None,
        }
    }

    /// The parties of a call that leaves.
    pub(crate) fn of_outbound(
        request: &Message,
        identity: Identity,
        plan: OutboundPlan,
    ) -> Parties {
        Parties {
            identity,
            origin: Party::Caller,
            far: Party::called(&plan.called),
            called: plan.called.clone(),
            urgency: Urgency::of_plan(&plan),
            way: Way::Out(plan),
            max_forwards: max_forwards(request),
            word: None,
            referred_by: None,
        }
    }

    /// Another is called in the place of whoever was.
    pub(super) fn call_instead(&mut self, plan: OutboundPlan, referred_by: Option<String>) {
        self.called = plan.called.clone();
        if Urgency::of_plan(&plan) == Urgency::Emergency {
            self.urgency = Urgency::Emergency;
        }
        self.way = match plan.class {
            Class::Internal => Way::In,
            Class::Emergency | Class::Ordinary => Way::Out(plan),
        };
        self.referred_by = referred_by;
        self.word = None;
    }

    /// Whoever was the far side is the origin from here on.
    pub(super) fn turn(&mut self) {
        std::mem::swap(&mut self.origin, &mut self.far);
    }

    /// Whoever is called has answered.
    pub(super) fn hear_answer(&mut self, house: &House, of: PeerId, message: &Message) {
        self.take_in(Identity::of_answer(&self.called, message, house.trust(of)));
    }

    /// Another is the far side from here on.
    pub(super) fn take_in(&mut self, identity: Identity) {
        self.far = Party::Other(Box::new(identity));
    }

    /// Who is at the end of the origin.
    pub(super) fn at_origin(&self) -> &Identity {
        match &self.origin {
            Party::Caller => &self.identity,
            Party::Other(identity) => identity,
        }
    }

    /// Which way a call of the PBX goes, and to which number.
    pub(super) fn direction(&self) -> (Direction, Number) {
        let direction = match &self.way {
            Way::In => Direction::Internal,
            Way::Out(_) => Direction::Outbound,
        };
        (direction, self.called.number.clone())
    }

    /// Who calls, for the record.
    pub(super) fn caller(&self) -> Caller {
        self.identity.caller()
    }

    /// Who calls, as people are shown it.
    pub(super) fn shown_caller(&self, direction: Direction) -> ShownCaller {
        self.identity.shown_caller(direction)
    }

    /// Whether 110, 118 or 119 are called, or call back.
    pub(crate) fn is_emergency(&self) -> bool {
        self.urgency == Urgency::Emergency
    }

    /// Whether 110, 118 or 119 are called.
    pub(super) fn is_to_emergency(&self) -> bool {
        match &self.way {
            Way::Out(plan) => plan.class == Class::Emergency,
            Way::In => false,
        }
    }

    /// The number that is called outside; none of a call within and of an emergency call.
    pub(super) fn outside(&self) -> Option<&Number> {
        match &self.way {
            Way::Out(plan) if plan.class == Class::Ordinary => Some(&plan.called.number),
            Way::Out(_) | Way::In => None,
        }
    }

    /// Hears why a party leaves.
    pub(super) fn hear_goodbye(&mut self, house: &House, of: PeerId, message: &Message) {
        self.word = read_reason(house, of, message).map(|reason| Word {
            failure: None,
            reason,
        });
    }

    /// Hears why an attempt failed; of several the caller hears of the most telling.
    pub(super) fn hear_failure(
        &mut self,
        house: &House,
        of: PeerId,
        failure: Failure,
        message: &Message,
    ) {
        let before = self.word.as_ref().and_then(|word| word.failure);
        if before.is_none_or(|before| failure < before) {
            self.word = read_reason(house, of, message).map(|reason| Word {
                failure: Some(failure),
                reason,
            });
        }
    }

    /// What a peer may be told of it.
    pub(super) fn reason_for(&self, house: &House, towards: PeerId) -> Option<String> {
        match house.trust(towards) {
            Trust::Inside => self.word.as_ref().map(|word| word.reason.clone()),
            Trust::Outside => None,
        }
    }

    /// How the call leaves; none of one to a number of the city's.
    pub(super) fn plan(&self) -> Option<&OutboundPlan> {
        match &self.way {
            Way::In => None,
            Way::Out(plan) => Some(plan),
        }
    }

    /// How the INVITE that goes this way names its parties; none where it may not go this way.
    pub(super) fn naming(
        &self,
        house: &House,
        destination: &Destination,
        route: Route,
    ) -> Option<Naming> {
        let trunk = house.settings.peer(route.peer)?;
        let shown = match &self.way {
            Way::In => Shown::AsItCame,
            Way::Out(plan) => plan.exit(route.peer)?.cli.shown(),
        };
        let towards = Towards {
            trust: trunk.trust,
            form: trunk.number_form,
            ours: route.hop.local,
            shown,
        };
        let (from, mut headers) = self.at_origin().write(&towards);
        if let (Trust::Inside, Some(user)) = (trunk.trust, &self.referred_by) {
            let referred_by = format!("<sip:{user}@{}>", route.hop.local);
            headers.push(("Referred-By", referred_by));
        }
        let called = number_form::of_called(&self.called, trunk.number_form);
        let user = destination.user.as_ref().unwrap_or(&called);
        let domain = house.peers.domain(route.peer, route.hop);
        Some(Naming {
            request_uri: format!("sip:{user}@{domain}"),
            from,
            to: NameAddrText {
                display: None,
                uri: format!("sip:{called}@{domain}"),
            },
            headers,
        })
    }
}

impl Party {
    fn called(called: &Called) -> Party {
        Party::Other(Box::new(Identity::of_called(called)))
    }
}

impl Urgency {
    /// They call back through a carrier; a telephone of the PBX that says it is one of them is none.
    fn of_caller(direction: Direction, identity: &Identity) -> Urgency {
        match direction {
            Direction::Inbound if identity.is_callback() => Urgency::Emergency,
            Direction::Inbound | Direction::Outbound | Direction::Internal => Urgency::Ordinary,
        }
    }

    fn of_plan(plan: &OutboundPlan) -> Urgency {
        match plan.class {
            Class::Emergency => Urgency::Emergency,
            Class::Internal | Class::Ordinary => Urgency::Ordinary,
        }
    }
}

fn read_reason(house: &House, of: PeerId, message: &Message) -> Option<String> {
    identity::reason(message, house.trust(of), Trust::Inside)
}

/// One less than the caller's: a call that comes back to us again and again ends all the same (RFC 7332).
fn max_forwards(request: &Message) -> u8 {
    request
        .max_forwards()
        .unwrap_or(MAX_FORWARDS)
        .saturating_sub(1)
}
