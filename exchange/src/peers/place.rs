//! One place where a peer can be reached, and what is known of it.

use std::{net::SocketAddr, time::Instant};

use sip_core::{Hop, Transport};

use crate::{
    health::{Ailment, Change, Health, Sign, Unreachable, Watch},
    names::Name,
    selection::Rank,
    trunk::{Place, Trunk},
};

/// A place as configuration and names say.
#[derive(Debug, Clone)]
pub(super) struct Origin {
    pub(super) address: SocketAddr,
    pub(super) transport: Transport,
    pub(super) rank: Rank,
    /// The name it was found by.
    pub(super) name: Option<String>,
}

/// A place as people are shown it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PlaceName {
    /// Where.
    pub address: SocketAddr,
    /// How.
    pub transport: Transport,
}

impl PlaceName {
    pub(super) fn of(hop: Hop) -> PlaceName {
        PlaceName {
            address: hop.remote,
            transport: hop.transport,
        }
    }
}

/// A place in service.
#[derive(Debug)]
pub(super) struct KnownPlace {
    pub(super) address: SocketAddr,
    pub(super) transport: Transport,
    pub(super) rank: Rank,
    pub(super) name: Option<String>,
    pub(super) health: Health,
    /// Why what is sent there reaches nobody, as was told last; it means something only where that is so.
    pub(super) loss: Unreachable,
    /// What was wrong when something went wrong last.
    pub(super) last_ailment: Option<Ailment>,
    /// When it would be asked next whether it lives; see [`KnownPlace::probe_due`].
    pub(super) probe_at: Option<Instant>,
}

impl KnownPlace {
    /// A place; `known` is what it was before.
    pub(super) fn new(
        origin: Origin,
        known: Option<&KnownPlace>,
        watch: Watch,
        probe_at: Option<Instant>,
    ) -> KnownPlace {
        let Origin {
            address,
            transport,
            rank,
            name,
        } = origin;
        KnownPlace {
            address,
            transport,
            rank,
            name,
            health: known.map_or_else(|| Health::new(watch), |known| known.health.clone()),
            loss: known.map_or(Unreachable::Nobody, |known| known.loss),
            last_ailment: known.and_then(|known| known.last_ailment),
            probe_at: known.map_or(probe_at, |known| known.probe_at),
        }
    }

    /// Takes a sign; returns the change of mind where it makes one.
    pub(super) fn take(&mut self, now: Instant, sign: Sign) -> Option<Change> {
        self.last_ailment = sign.ailment().or(self.last_ailment);
        self.health.take(now, sign)
    }

    /// When it is asked whether it lives. What wants to be asked nothing is not asked that either (RFC 3261 section 21.5.4).
    pub(super) fn probe_due(&self) -> Option<Instant> {
        let rest_end = self.health.rest_end();
        self.probe_at
            .map(|at| rest_end.map_or(at, |until| at.max(until)))
    }

    pub(super) fn is_at(&self, origin: &Origin) -> bool {
        self.address == origin.address && self.transport == origin.transport
    }
}

/// Which of the places a hop leads to. What is too long for UDP may have gone to the same address by another transport.
pub(super) fn index_of(places: &[KnownPlace], hop: Hop) -> Option<usize> {
    let is_there = |place: &KnownPlace| place.address == hop.remote;
    let exact = |place: &KnownPlace| is_there(place) && place.transport == hop.transport;
    let index = places.iter().position(exact);
    index.or_else(|| places.iter().position(is_there))
}

/// The places of a peer: its targets' own, and those that its names stand for.
pub(super) fn of_targets(trunk: &Trunk, names: &[Name]) -> Vec<Origin> {
    let mut places: Vec<Origin> = Vec::new();
    for target in &trunk.targets {
        let own = Rank {
            priority: u32::from(target.priority) << 16,
            weight: target.weight,
        };
        match &target.place {
            Place::Address(address) => places.push(Origin {
                address: *address,
                transport: target.transport,
                rank: own,
                name: None,
            }),
            Place::Name { host, port } => {
                let name = names.iter().find(|name| {
                    let question = name.question();
                    question.host == *host
                        && question.port == *port
                        && question.transport == target.transport
                });
                let resolved = name.map_or(&[][..], Name::places);
                places.extend(resolved.iter().map(|place| Origin {
                    address: place.address,
                    transport: place.transport,
                    // The target's own priority goes first; the records order what stands behind it.
                    rank: Rank {
                        priority: own.priority | u32::from(place.priority),
                        weight: place.weight,
                    },
                    name: Some(host.clone()),
                }));
            }
        }
    }
    places.dedup_by(|one, next| one.address == next.address && one.transport == next.transport);
    places
}
