//! What an operator is shown of the peers. It holds addresses and counts, no number.

use std::{net::SocketAddr, time::Instant};

use jiff::Timestamp;
use sip_core::{Malformed, PeerId, Transport};

use super::{Peer, PeerStanding, Peers};
use crate::{
    health::{Ailment, Standing},
    now::Now,
    selection::PassedOver,
    settings::Settings,
    trunk::{Channels, PeerRole, Trunk},
};

/// One peer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TrunkReport {
    /// Its name.
    pub name: String,
    /// What it is to us.
    pub role: PeerRole,
    /// What is wrong with it as a whole, and since when; none where it can be called.
    pub down: Option<(Timestamp, Ailment)>,
    /// Calls it has, both ways, each leg counted.
    pub calls: u32,
    /// What its contract allows.
    pub channels: Option<Channels>,
    /// Where it takes calls, as far as is known.
    pub places: Vec<PlaceReport>,
    /// How we stand with its registrar; none where we do not register.
    pub registration: Option<RegistrationReport>,
    /// When it was chosen first for a call of ours.
    pub last_chosen: Option<Timestamp>,
    /// When another was chosen in its stead, and why.
    pub last_passed_over: Option<(Timestamp, PassedOver)>,
    /// How much of what it sent was no message of SIP; counted, and never held against it.
    pub malformed: Malformed,
}

/// One place of a peer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlaceReport {
    /// Where.
    pub address: SocketAddr,
    /// How.
    pub transport: Transport,
    /// The name it was found by.
    pub name: Option<String>,
    /// What is wrong with it; none where nothing is.
    pub down: Option<Ailment>,
    /// Whether a call may go there although it is down, to see whether it lives again.
    pub is_on_trial: bool,
}

/// How we stand with a registrar.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RegistrationReport {
    /// Until when we are registered; none where we are not.
    pub held_until: Option<Timestamp>,
    /// How many REGISTERs in a row brought nothing.
    pub failures: u32,
    /// How many numbers the registrar says are ours.
    pub numbers: usize,
}

impl Peers {
    /// Every peer, in the order of the configuration.
    pub(crate) fn reports(
        &self,
        now: Now,
        settings: &Settings,
        malformed: impl Fn(PeerId) -> Malformed,
    ) -> Vec<TrunkReport> {
        let peers = settings.peers_by_id();
        peers
            .map(|(id, trunk)| self.report(now, id, trunk, malformed(id)))
            .collect()
    }

    fn report(&self, now: Now, id: PeerId, trunk: &Trunk, malformed: Malformed) -> TrunkReport {
        let known = self.peer(id);
        let registrar = known.and_then(|peer| peer.registrar.as_ref());
        let down = known.and_then(|peer| match peer.standing {
            PeerStanding::Up => None,
            PeerStanding::Down { since, why } => Some((since, why)),
        });
        TrunkReport {
            name: trunk.name.clone(),
            role: trunk.role,
            down,
            calls: self.occupancy.of(id),
            channels: trunk.channels,
            places: known.map(|peer| places(peer, now.at)).unwrap_or_default(),
            registration: registrar.map(|registrar| RegistrationReport {
                held_until: registrar.held_until().map(|until| later(now, until)),
                failures: registrar.failures(),
                numbers: registrar.numbers().len(),
            }),
            last_chosen: known.and_then(|peer| peer.last_chosen),
            last_passed_over: known.and_then(|peer| peer.last_passed_over),
            malformed,
        }
    }
}

fn places(peer: &Peer, now: Instant) -> Vec<PlaceReport> {
    let places = peer.places.iter().map(|place| {
        let down = place.health.ailment();
        PlaceReport {
            address: place.address,
            transport: place.transport,
            name: place.name.clone(),
            down,
            is_on_trial: down.is_some() && place.health.standing(now) == Standing::Fit,
        }
    });
    places.collect()
}

/// The wall time of a moment to come, as the clock stands.
fn later(now: Now, at: Instant) -> Timestamp {
    let left = at.saturating_duration_since(now.at);
    jiff::SignedDuration::try_from(left)
        .ok()
        .and_then(|left| now.wall.checked_add(left).ok())
        .unwrap_or(now.wall)
}
