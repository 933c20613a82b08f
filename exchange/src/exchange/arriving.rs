//! Who calls, whom, and whether they may: what is asked before a call is made of an INVITE.

use rules::Number;
use sip_core::{Message, PeerId};

use crate::{
    call::{Call, Errand, Parties},
    direction::Direction,
    exchange::Exchange,
    identity::Identity,
    number_form::{self, Called},
    outbound,
    trunk::PeerRole,
};

impl Exchange {
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
        self.calls.values().filter_map(Call::outside)
    }
}
