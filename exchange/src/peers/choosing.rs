//! The ways that a call of ours may take, and a note at each peer why it was chosen or passed over.

use std::{collections::VecDeque, time::Instant};

use sip_core::{Hop, PeerId};

use super::{Chosen, Passed, Peers, PlaceName};
use crate::{
    admission::Class,
    health::{Ailment, Standing},
    now::Now,
    outbound::OutboundPlan,
    route::{Failure, Places, Reach, Route, Setback},
    selection::{self, Candidate, Choice, PassedOver, Precedence, Rank, Tier},
    settings::Settings,
    trunk::{PeerRole, Trunk},
};

/// What a call asks of the ways it may take.
pub(crate) struct Wanted<'a> {
    /// Who is called.
    pub(crate) places: &'a Places,
    /// How urgent it is.
    pub(crate) class: Class,
    /// How it leaves; none of one to a number of the city's.
    pub(crate) plan: Option<&'a OutboundPlan>,
}

impl Wanted<'_> {
    fn tier(&self, peer: PeerId) -> Option<Tier> {
        self.plan.map_or(Some(Tier::First), |plan| plan.tier(peer))
    }

    fn precedence(&self) -> Precedence {
        self.plan
            .map_or(Precedence::Number, OutboundPlan::precedence)
    }
}

impl Peers {
    /// The ways to these peers, in the order in which they are to be tried. The first is noted as the one that is.
    pub(crate) fn routes(
        &mut self,
        now: Now,
        settings: &Settings,
        wanted: &Wanted<'_>,
    ) -> VecDeque<Route> {
        self.begin(now.at, settings);
        let mut candidates = Vec::new();
        let mut looked_at = Vec::new();
        for (id, trunk) in settings.peers_by_id() {
            if !wanted.places.include(trunk) {
                continue;
            }
            match self.candidates_for(now.at, settings, id, trunk, wanted) {
                Ok(found) => {
                    looked_at.push(id);
                    candidates.extend(found);
                }
                Err(why) => self.note_passed_over(now, id, why),
            }
        }
        let precedence = wanted.precedence();
        let ordered = selection::order(&candidates, precedence, &mut self.generator);
        for id in looked_at {
            if let Some(why) = selection::passed_over(&ordered, precedence, id, now) {
                self.note_passed_over(now, id, why);
            }
        }
        if let (Some(first), Some(why)) = (ordered.first(), selection::chosen(&ordered, precedence))
        {
            self.note_chosen(now, first.peer, first.hop, why);
        }
        let roles = |id: PeerId| settings.peer(id).map_or(PeerRole::Pbx, |peer| peer.role);
        ordered
            .into_iter()
            .map(|Candidate { peer, hop, .. }| Route {
                peer,
                role: roles(peer),
                hop,
            })
            .collect()
    }

    /// A call went on from one way to the next, as this failure of the former had it.
    pub(crate) fn failed_over(
        &mut self,
        now: Now,
        settings: &Settings,
        former: Route,
        failure: Failure,
        next: Route,
    ) {
        let setback = self.setback(former, failure);
        let name = settings.peer(former.peer).map(|peer| peer.name.clone());
        let why = Choice::After {
            peer: name.unwrap_or_default(),
            place: PlaceName::of(former.hop),
            setback,
        };
        self.note_chosen(now, next.peer, next.hop, why);
        if former.peer != next.peer {
            self.note_passed_over(now, former.peer, PassedOver::Failed(setback));
        }
    }

    /// What a failure says of the way: a status, or what its place showed when it failed.
    fn setback(&self, way: Route, failure: Failure) -> Setback {
        let place = self.peer(way.peer).and_then(|peer| peer.place(way.hop));
        match (failure.reach, place.and_then(|place| place.last_ailment)) {
            (Reach::Route, Some(ailment)) => Setback::Ailing(ailment),
            (Reach::Route | Reach::Destination | Reach::Everywhere, _) => {
                Setback::Failed(failure.status)
            }
        }
    }

    fn note_chosen(&mut self, now: Now, id: PeerId, hop: Hop, why: Choice) {
        if let Some(peer) = self.each.get_mut(usize::from(id.0)) {
            peer.last_chosen = Some(Chosen {
                at: now.wall,
                place: PlaceName::of(hop),
                why,
            });
        }
    }

    fn note_passed_over(&mut self, now: Now, id: PeerId, why: PassedOver) {
        if let Some(peer) = self.each.get_mut(usize::from(id.0)) {
            peer.last_passed_over = Some(Passed { at: now.wall, why });
        }
    }

    /// The places of a peer for a call.
    ///
    /// # Errors
    /// Why the call cannot go there at all.
    fn candidates_for(
        &self,
        now: Instant,
        settings: &Settings,
        id: PeerId,
        trunk: &Trunk,
        wanted: &Wanted<'_>,
    ) -> Result<Vec<Candidate>, PassedOver> {
        if !trunk.takes_calls() {
            return Err(PassedOver::NotForCalls);
        }
        let tier = wanted.tier(id).ok_or(PassedOver::NoNumber)?;
        if !self.occupancy.has_room(id, trunk.channels, wanted.class) {
            return Err(PassedOver::Full);
        }
        if self.peer(id).is_none_or(|peer| peer.places.is_empty()) {
            return Err(PassedOver::NoAddress);
        }
        let found = self.candidates(now, settings, id, trunk, tier);
        if found.is_empty() {
            return Err(PassedOver::NoListener);
        }
        Ok(found)
    }

    pub(super) fn candidates(
        &self,
        now: Instant,
        settings: &Settings,
        id: PeerId,
        trunk: &Trunk,
        tier: Tier,
    ) -> Vec<Candidate> {
        let Some(peer) = self.peer(id) else {
            return Vec::new();
        };
        let is_unregistered = peer
            .registrar
            .as_ref()
            .is_some_and(|registrar| !registrar.is_held());
        let places = peer.places.iter().filter_map(|place| {
            let standing = match (place.health.standing(now), is_unregistered) {
                (Standing::Fit | Standing::Resting { .. }, true) => {
                    Standing::Down(Ailment::Unregistered)
                }
                (standing, _) => standing,
            };
            Some(Candidate {
                peer: id,
                hop: settings.hop_to(trunk, place.address, place.transport)?,
                tier,
                peer_rank: Rank {
                    priority: u32::from(trunk.priority),
                    weight: trunk.weight,
                },
                place_rank: place.rank,
                standing,
            })
        });
        places.collect()
    }
}
