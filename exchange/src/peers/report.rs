//! What an operator is shown of the peers. It holds addresses and counts, no number.

use jiff::Timestamp;
use sip_core::{Malformed, PeerId};

use super::{Peer, PeerStanding, Peers, PlaceName};
use crate::{
    health::{Ailment, Standing},
    now::Now,
    selection::{Choice, PassedOver},
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
    /// When a call of ours was sent there last, where to, and why.
    pub last_chosen: Option<Chosen>,
    /// When another was chosen in its stead, and why.
    pub last_passed_over: Option<Passed>,
    /// How much of what it sent was no message of SIP; counted, and never held against it.
    pub malformed: Malformed,
}

/// That a call was sent to a peer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chosen {
    /// When.
    pub at: Timestamp,
    /// To which of its places.
    pub place: PlaceName,
    /// Why there.
    pub why: Choice,
}

/// That a call was not sent to a peer, or no longer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Passed {
    /// When.
    pub at: Timestamp,
    /// Why.
    pub why: PassedOver,
}

/// One place of a peer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlaceReport {
    /// Where and how.
    pub place: PlaceName,
    /// The name it was found by.
    pub name: Option<String>,
    /// How it stands.
    pub state: PlaceState,
}

/// How a place stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PlaceState {
    /// Nothing is wrong with it.
    Up,
    /// It has asked by 503 for no calls until then; it gets one where no other takes it.
    Resting(Timestamp),
    /// It gets a call only where nobody else takes it.
    Down(Ailment),
    /// It is down, and a call may go there to see whether it lives again.
    OnTrial(Ailment),
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
            places: known.map(|peer| places(peer, now)).unwrap_or_default(),
            registration: registrar.map(|registrar| RegistrationReport {
                held_until: registrar.held_until().map(|until| now.wall_to_be(until)),
                failures: registrar.failures(),
                numbers: registrar.numbers().len(),
            }),
            last_chosen: known.and_then(|peer| peer.last_chosen.clone()),
            last_passed_over: known.and_then(|peer| peer.last_passed_over.clone()),
            malformed,
        }
    }
}

fn places(peer: &Peer, now: Now) -> Vec<PlaceReport> {
    let places = peer.places.iter().map(|place| PlaceReport {
        place: PlaceName {
            address: place.address,
            transport: place.transport,
        },
        name: place.name.clone(),
        state: match (place.health.ailment(), place.health.standing(now.at)) {
            (_, Standing::Resting { until }) => PlaceState::Resting(now.wall_to_be(until)),
            (_, Standing::Down(ailment)) => PlaceState::Down(ailment),
            (Some(ailment), Standing::Fit) => PlaceState::OnTrial(ailment),
            (None, Standing::Fit) => PlaceState::Up,
        },
    });
    places.collect()
}
