//! Where the peers can be reached: what the configuration says, and what their names stand for.

use std::{
    collections::BTreeSet,
    net::{IpAddr, SocketAddr},
    time::{Duration, Instant},
};

use rand_core::Rng;
use sip_core::PeerId;

use super::{
    PeerNews, Peers,
    place::{self, KnownPlace},
};
use crate::{
    health::Watch,
    names::{Found, NameNews, Question},
    now::Now,
    settings::Settings,
    trunk::Trunk,
};

impl Peers {
    /// Takes what a name stands for.
    pub(crate) fn handle_resolved(
        &mut self,
        now: Now,
        settings: &Settings,
        question: &Question,
        found: &Found,
    ) {
        let told = self.each.iter_mut().zip(0..).find_map(|(peer, id)| {
            let names = &mut peer.names;
            let name = names.iter_mut().find(|name| name.question() == question)?;
            Some((PeerId(id), name.take(now.at, found)))
        });
        if let Some((id, news)) = told {
            self.tell_name(now, settings, id, news);
        }
    }

    /// Puts the places of a peer together anew; those that stay keep what is known of them.
    pub(super) fn find_places(&mut self, now: Instant, id: PeerId, trunk: &Trunk) {
        let by_address = &self.by_address;
        let is_anothers = |address: SocketAddr| {
            by_address
                .get(&address.ip().to_canonical())
                .is_some_and(|owner| *owner != id)
        };
        let Some(peer) = self.each.get_mut(usize::from(id.0)) else {
            return;
        };
        let before = std::mem::take(&mut peer.places);
        let watch = match trunk.probe {
            Some(_) => Watch::Probes,
            None => Watch::Calls,
        };
        let mut found = place::of_targets(trunk, &peer.names);
        found.retain(|place| {
            let is_taken = is_anothers(place.address);
            if is_taken {
                self.news
                    .push_back((id, PeerNews::AddressTaken(place.address)));
            }
            !is_taken
        });
        for origin in found {
            let known = before.iter().find(|place| place.is_at(&origin));
            let probe_at = trunk.probe.map(|probe| {
                let millis = u64::try_from(probe.interval.as_millis()).unwrap_or(u64::MAX);
                now + Duration::from_millis(self.generator.next_u64() % millis.max(1))
            });
            peer.places
                .push(KnownPlace::new(origin, known, watch, probe_at));
        }
        let stands: BTreeSet<IpAddr> = peer
            .places
            .iter()
            .map(|place| place.address.ip().to_canonical())
            .collect();
        // A resolved address counts as the peer's while the name stands for it; those the configuration lists always do. A zone that
        // gives each time another part of its addresses must not cut the calls off that it led to the others.
        let left: Vec<IpAddr> = self
            .by_address
            .extract_if(.., |address, owner| {
                *owner == id && !trunk.is_at(*address) && !stands.contains(address)
            })
            .map(|(address, _)| address)
            .collect();
        for address in left {
            if self.is_an_end(address) {
                self.by_former_address.insert(address, id);
            }
        }
        for address in stands {
            self.by_address.entry(address).or_insert(id);
        }
    }

    pub(super) fn tend_names(&mut self, now: Now, settings: &Settings, id: PeerId) {
        let Some(peer) = self.each.get_mut(usize::from(id.0)) else {
            return;
        };
        let mut told = Vec::new();
        for name in &mut peer.names {
            let (question, news) = name.ask(now.at);
            self.questions.extend(question);
            told.push(news);
        }
        for news in told {
            self.tell_name(now, settings, id, news);
        }
    }

    fn tell_name(&mut self, now: Now, settings: &Settings, id: PeerId, news: Option<NameNews>) {
        let Some(news) = news else { return };
        let told = match news {
            NameNews::Changed => {
                if let Some(trunk) = settings.peer(id) {
                    self.find_places(now.at, id, trunk);
                }
                PeerNews::NameChanged
            }
            NameNews::Unknown => PeerNews::NameUnknown,
            NameNews::Kept => PeerNews::NameKept,
        };
        self.news.push_back((id, told));
    }
}
