//! A new call is taken in, or refused with a status: who calls, whom, whether they may, and with what media.

use std::net::SocketAddr;

use media::{Side, sdp};
use rules::{CallId, Number};
use sip_core::{DialogId, Hop, Message, PeerId, Transport};

use super::{Exchange, InHand, Service};
use crate::{
    admission::Refusal,
    call::{Arrival, Call, Errand, Parties, Reliability},
    direction::Direction,
    house::{Place, Usage},
    identity::Identity,
    now::Now,
    number_form::{self, Called},
    number_policy::Plan,
    outbound,
    report::{CallReport, EndedBy, Ending, Recorded},
    route::phrase,
    settings::FaultMoment,
    trunk::{PeerRole, Trust},
};

impl Exchange {
    /// Takes a new call in, or says why not: 403, 404, 488, 503 in this order.
    pub(super) fn take_in(&mut self, now: Now, dialog: DialogId, hop: Hop, request: &Message) {
        let remote = hop.remote;
        let id = self.house.new_call_id(now);
        let side = self
            .peer_of(remote.ip())
            .map_or(Side::Carrier, |(_, role)| role.side());
        self.house.enter(
            dialog,
            Place {
                call: id,
                side,
                usage: Usage::Incoming,
            },
        );
        self.house.trace_beginning(now, id);
        self.house.trace_messages(now);
        if let Some((peer, _)) = self.peer_of(remote.ip()) {
            self.house.call_came(now, dialog, peer, hop);
        }
        // Whatever goes wrong from here on ends this call alone.
        self.in_hand = Some(InHand { id, call: None });
        let admitted = self.admit(now, id, dialog, hop, request);
        self.in_hand = None;
        match admitted {
            Ok(()) => {}
            Err(status) => {
                self.house.reject(now, dialog, status);
                self.house.trace_refusal(now, id, phrase(status));
                let report = self.refused(now, id, remote, request, status);
                self.house.trace_end(now, report);
            }
        }
    }

    fn admit(
        &mut self,
        now: Now,
        id: CallId,
        dialog: DialogId,
        hop: Hop,
        request: &Message,
    ) -> Result<(), u16> {
        let (peer, role) = self.peer_of(hop.remote.ip()).ok_or(403_u16)?;
        let identity = self.identity(peer, request)?;
        let called = self.called(peer, request).ok_or(404_u16)?;
        let settings = &self.house.settings;
        settings.inject_fault(&called.number, FaultMoment::Admitting);
        let (errand, parties) = self.errand(peer, role, request, called, identity)?;
        let theirs = match request.sdp() {
            Some(body) => Some(self.house.read_media(peer, &body).ok_or(488_u16)?),
            // The first offer is to be ours.
            None => None,
        };
        if let Some(theirs) = &theirs {
            self.admit_offer(&errand, peer, hop.transport, theirs)?;
        }
        self.admit_codecs(&errand, peer, theirs.as_ref())?;
        let is_taken = match self.service {
            Service::Open => true,
            Service::Closing => parties.is_emergency(),
            Service::Closed => false,
        };
        if !is_taken {
            return Err(503);
        }
        let origin = theirs
            .as_ref()
            .map_or(hop.remote.ip(), |media| media.rtp.ip());
        let Some(legs) = self.house.ports.take_two(origin) else {
            self.count_refusal(now, Refusal::Full);
            return Err(503);
        };
        let dialled = match &errand {
            Errand::City(_, policy) => Some(&policy.number),
            Errand::Outside(_) => None,
        };
        self.house.admission.begun(id, dialled);
        for leg in legs {
            self.house.belongs(leg, id);
        }
        let arrival = Arrival {
            id,
            dialog,
            legs,
            theirs,
            peer,
            transport: hop.transport,
            parties,
            reliability: Reliability::of(request, self.house.reliable(peer)),
            errand,
        };
        self.begin(now, arrival);
        Ok(())
    }

    /// A call that was not taken in, as people are shown it.
    fn refused(
        &self,
        now: Now,
        id: CallId,
        remote: SocketAddr,
        request: &Message,
        status: u16,
    ) -> CallReport {
        let peer = self.peer_of(remote.ip());
        let trust = peer.map_or(Trust::Outside, |(peer, _)| self.house.trust(peer));
        let called = peer
            .and_then(|(peer, _)| self.called(peer, request))
            .map(|called| called.number);
        let direction = match peer {
            Some((_, PeerRole::Pbx))
                if called.as_ref().is_some_and(|called| self.is_ours(called)) =>
            {
                Direction::Internal
            }
            Some((_, PeerRole::Pbx)) => Direction::Outbound,
            Some((_, PeerRole::Carrier)) | None => Direction::Inbound,
        };
        CallReport {
            id,
            direction,
            stage: "Refused",
            since: now.wall,
            started_at: now.wall,
            answered_at: None,
            caller: Identity::read(request, trust).shown_caller(direction),
            called: CallReport::masked(called.as_ref()),
            peers: peer
                .and_then(|(peer, _)| self.house.peer_name(peer))
                .into_iter()
                .collect(),
            recorded: Recorded::Never,
            emergency: None,
            ending: Some(Ending {
                at: now.wall,
                by: EndedBy::Refusal(status),
            }),
        }
    }

    /// Whoever does not listen cannot be told (RFC 3264 section 8.4: hold begins no call), and media is as secure as it is to be.
    fn admit_offer(
        &self,
        errand: &Errand,
        peer: PeerId,
        transport: Transport,
        theirs: &sdp::RemoteMedia,
    ) -> Result<(), u16> {
        let is_to_listen = match errand {
            Errand::City(Direction::Inbound, _) => true,
            Errand::City(_, _) | Errand::Outside(_) => false,
        };
        let is_heard = !is_to_listen || theirs.direction.receives();
        if !(is_heard && self.house.admits_security(peer, transport, theirs)) {
            return Err(488);
        }
        Ok(())
    }

    /// Somebody who may be called must be spoken with in a codec of the caller's, or of those that a caller without an offer may be offered.
    fn admit_codecs(
        &self,
        errand: &Errand,
        peer: PeerId,
        theirs: Option<&sdp::RemoteMedia>,
    ) -> Result<(), u16> {
        let house = &self.house;
        let codecs = match theirs {
            Some(theirs) => theirs.codecs.iter().map(|(codec, _)| *codec).collect(),
            None => house.codecs_of(peer),
        };
        let common = house.codecs_towards(&codecs, &errand.destinations(house));
        if common.is_empty() {
            return Err(488);
        }
        Ok(())
    }

    /// Begins the stage that number policy and emergency ask for.
    fn begin(&mut self, now: Now, arrival: Arrival) {
        let id = arrival.id;
        let plan = match &arrival.errand {
            Errand::City(Direction::Inbound, policy) => {
                let house = &self.house;
                let (emergency, notices) = (&house.emergency, &house.notices);
                let plan = Plan::of(policy, emergency, notices, &house.library, now.wall);
                if arrival.parties.is_emergency() {
                    plan.without_notice()
                } else {
                    plan
                }
            }
            Errand::City(_, _) | Errand::Outside(_) => Plan::out_of_scope(),
        };
        let emergency = plan.emergency();
        let (call, far) = Call::new(&mut self.house, now, arrival, emergency);
        let in_hand = InHand {
            id,
            call: Some(Box::new(call)),
        };
        if let Some(call) = &mut self.in_hand.insert(in_hand).call {
            let settings = &self.house.settings;
            settings.inject_fault(call.called(), FaultMoment::Beginning);
            match plan {
                Plan::Announce(prompt) => call.answer(&mut self.house, now, far, prompt),
                Plan::Pass { keeping, .. } => call.pass(&mut self.house, now, far, keeping),
            }
        }
        self.put_back(now);
    }

    /// Who calls; or the status that refuses a caller who asks for more privacy than every way of the call can give.
    ///
    /// Whoever calls 110, 118 or 119 is refused nothing for a privacy that is not given there anyway.
    pub(super) fn identity(&self, peer: PeerId, request: &Message) -> Result<Identity, u16> {
        let trust = self.house.trust(peer);
        let identity = Identity::read(request, trust);
        let called = self.called(peer, request);
        if called.is_some_and(|called| number_form::is_emergency(&called.number)) {
            return Ok(identity);
        }
        let mut others = self
            .house
            .settings
            .peers_by_id()
            .filter(|(id, _)| *id != peer);
        if others.any(|(_, trunk)| identity.is_beyond_us(trunk.trust)) {
            return Err(500);
        }
        Ok(identity)
    }

    /// The number that a request calls.
    pub(super) fn called(&self, peer: PeerId, request: &Message) -> Option<Called> {
        let trunk = self.house.settings.peer(peer)?;
        let contact = self.house.peers.registered_contact(peer);
        number_form::called(request, trunk.called_in, contact.as_slice())
    }

    /// Whom a call is for, and who calls whom; or the status that refuses it. A carrier's call never leaves through a carrier (T-11).
    pub(super) fn errand(
        &self,
        peer: PeerId,
        role: PeerRole,
        request: &Message,
        called: Called,
        identity: Identity,
    ) -> Result<(Errand, Parties), u16> {
        let settings = &self.house.settings;
        match (role, settings.policy(&called.number)) {
            (PeerRole::Carrier, None) => Err(404),
            (role, Some(policy)) => {
                let direction = match role {
                    PeerRole::Carrier => Direction::Inbound,
                    PeerRole::Pbx => Direction::Internal,
                };
                let parties = Parties::of_city(request, direction, identity, called);
                Ok((Errand::City(direction, policy.clone()), parties))
            }
            (PeerRole::Pbx, None) => {
                let plan = outbound::judge(settings, peer, called, &identity, self.running())?;
                let number = plan.called.number.clone();
                let parties = Parties::of_outbound(request, identity, plan);
                Ok((Errand::Outside(number), parties))
            }
        }
    }

    /// The numbers of the calls that are out, emergency calls left out.
    pub(super) fn running(&self) -> impl Iterator<Item = &Number> + Clone {
        self.calls.values().filter_map(|call| call.outside())
    }
}
