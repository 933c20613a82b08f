//! The ways that a call of ours may take, and a note at each peer why it was chosen or passed over.

use std::{collections::VecDeque, time::Instant};

use sip_core::PeerId;

use super::Peers;
use crate::{
    admission::Class,
    health::{Ailment, Standing},
    now::Now,
    route::{Places, Route},
    selection::{self, Candidate, PassedOver, Rank},
    settings::Settings,
    trunk::{PeerRole, Trunk},
};

impl Peers {
    /// The ways to these peers, in the order in which they are to be tried.
    pub(crate) fn routes(
        &mut self,
        now: Now,
        settings: &Settings,
        places: &Places,
        class: Class,
    ) -> VecDeque<Route> {
        self.begin(now.at, settings);
        let mut candidates = Vec::new();
        let mut passed_over = Vec::new();
        for (id, trunk) in settings.peers_by_id() {
            if !places.include(trunk) || !trunk.takes_calls() {
                continue;
            }
            if !self.occupancy.has_room(id, trunk.channels, class) {
                passed_over.push((id, PassedOver::Full));
                continue;
            }
            let found = self.candidates(now.at, settings, id, trunk);
            if found.is_empty() {
                passed_over.push((id, PassedOver::NoAddress));
            }
            candidates.extend(found);
        }
        let ordered = selection::order(&candidates, &mut self.generator);
        let looked_at: Vec<PeerId> = candidates
            .chunk_by(|one, next| one.peer == next.peer)
            .filter_map(|places| places.first().map(|place| place.peer))
            .collect();
        for id in looked_at {
            match selection::passed_over(&ordered, id) {
                Some(why) => passed_over.push((id, why)),
                None => self.note_chosen(now, id),
            }
        }
        for (id, why) in passed_over {
            if let Some(peer) = self.each.get_mut(usize::from(id.0)) {
                peer.last_passed_over = Some((now.wall, why));
            }
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

    fn note_chosen(&mut self, now: Now, id: PeerId) {
        if let Some(peer) = self.each.get_mut(usize::from(id.0)) {
            peer.last_chosen = Some(now.wall);
        }
    }

    pub(super) fn candidates(
        &self,
        now: Instant,
        settings: &Settings,
        id: PeerId,
        trunk: &Trunk,
    ) -> Vec<Candidate> {
        let Some(peer) = self.peer(id) else {
            return Vec::new();
        };
        let is_unregistered = peer
            .registrar
            .as_ref()
            .is_some_and(|registrar| !registrar.is_held());
        let places = peer.places.iter().filter_map(|place| {
            let standing = match place.health.standing(now) {
                Standing::Fit if is_unregistered => Standing::Down(Ailment::Unregistered),
                standing => standing,
            };
            Some(Candidate {
                peer: id,
                hop: settings.hop_to(trunk, place.address, place.transport)?,
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
