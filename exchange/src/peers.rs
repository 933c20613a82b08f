//! The peers in service: where each can be reached, how it stands, and what is asked of it besides calls.
//!
//! It decides and sends nothing: what it wants sent comes out of [`Peers::poll_request`], what an operator should hear out of
//! [`Peers::poll_news`]. `house.rs` passes both on. Start at [`Peers::tend`].

mod asking;
mod choosing;
mod naming;
mod place;
mod report;

use std::{
    collections::{BTreeMap, VecDeque},
    net::{IpAddr, SocketAddr},
    time::{Duration, Instant},
};

use jiff::Timestamp;
use rand_chacha::ChaCha20Rng;
use rules::Number;
use sip_core::{DialogId, Hop, PeerId, SentId};

pub(crate) use self::choosing::Wanted;
use self::place::KnownPlace;
pub use self::{
    place::PlaceName,
    report::{Chosen, Passed, PlaceReport, PlaceState, RegistrationReport, TrunkReport},
};
use crate::{
    channels::Occupancy,
    health::{Ailment, Change, Sign, Unreachable},
    names::{Name, Question},
    now::Now,
    registration::{Refused, Registrar},
    settings::Settings,
    trunk::Place,
};

/// A peer that sends more than its contract is told of once in this time.
const CONTRACT_PAUSE: Duration = Duration::from_secs(60);

/// The peers; see the module.
#[derive(Debug)]
pub(crate) struct Peers {
    each: Vec<Peer>,
    /// Who is at an address: what the configuration lists, and what names stand for.
    by_address: BTreeMap<IpAddr, PeerId>,
    /// Who is at an address that its name no longer stands for, as long as a call with it stands.
    by_former_address: BTreeMap<IpAddr, PeerId>,
    /// Where the other end of each call is.
    ends: BTreeMap<DialogId, IpAddr>,
    pub(crate) occupancy: Occupancy,
    /// INVITEs of ours of which nothing has been heard.
    unheard: BTreeMap<DialogId, Unheard>,
    /// Requests of ours outside of dialogs, and what for.
    asked: BTreeMap<SentId, (PeerId, Hop, Purpose)>,
    generator: ChaCha20Rng,
    service: Service,
    requests: VecDeque<PeerRequest>,
    questions: VecDeque<Question>,
    news: VecDeque<(PeerId, PeerNews)>,
}

/// An INVITE of ours of which nothing has been heard.
#[derive(Debug, Clone, Copy)]
struct Unheard {
    peer: PeerId,
    hop: Hop,
    sent_at: Instant,
}

/// How far the peers' service is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Service {
    /// Nothing has been asked yet: no time has been seen.
    NotBegun,
    Open,
    /// Registrations are being given up.
    Leaving,
}

/// One peer in service.
#[derive(Debug)]
struct Peer {
    places: Vec<KnownPlace>,
    names: Vec<Name>,
    registrar: Option<Registrar>,
    standing: PeerStanding,
    last_chosen: Option<Chosen>,
    last_passed_over: Option<Passed>,
    contract_pause_ends: Option<Instant>,
    /// The numbers that its registrar named last.
    numbers: Vec<Number>,
}

/// What the operator was told last of a peer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum PeerStanding {
    Up,
    Down { since: Timestamp, why: Ailment },
}

/// A request to a peer outside of calls.
#[derive(Debug)]
pub(crate) struct PeerRequest {
    pub(crate) peer: PeerId,
    pub(crate) hop: Hop,
    pub(crate) purpose: Purpose,
    /// What REGISTER asks for; none in OPTIONS.
    pub(crate) expires: Option<Duration>,
    /// How long to wait for a sign of life; none: as long as any request waits.
    pub(crate) patience: Option<Duration>,
}

/// What a request to a peer is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Purpose {
    Register,
    Probe,
}

/// What an operator should hear of a peer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum PeerNews {
    /// One of its places changed.
    Place(SocketAddr, Change),
    /// None of its places is up any more, or it does not know us.
    Down(Ailment),
    Up,
    Registered,
    /// Its registrar names other numbers as ours than before (RFC 7315 section 4.1).
    Numbers(Vec<Number>),
    NotRegistered(Option<Refused>),
    NameUnknown,
    NameKept,
    NameChanged,
    /// A name stands for an address that is another peer's.
    AddressTaken(SocketAddr),
    /// It has more calls than its contract says.
    OverContract {
        calls: u32,
        contracted: u32,
    },
}

impl Peers {
    pub(crate) fn new(settings: &Settings, generator: ChaCha20Rng) -> Peers {
        let mut by_address = BTreeMap::new();
        for (id, peer) in settings.peers_by_id() {
            for address in peer.known_addresses() {
                by_address.entry(address).or_insert(id);
            }
        }
        Peers {
            each: Vec::new(),
            by_address,
            by_former_address: BTreeMap::new(),
            ends: BTreeMap::new(),
            occupancy: Occupancy::default(),
            unheard: BTreeMap::new(),
            asked: BTreeMap::new(),
            generator,
            service: Service::NotBegun,
            requests: VecDeque::new(),
            questions: VecDeque::new(),
            news: VecDeque::new(),
        }
    }

    /// Who is at an address.
    pub(crate) fn at(&self, address: IpAddr) -> Option<PeerId> {
        let address = address.to_canonical();
        let known = self.by_address.get(&address);
        known
            .or_else(|| self.by_former_address.get(&address))
            .copied()
    }

    /// Who is at which address, former ones included.
    pub(crate) fn neighbours(&self) -> BTreeMap<IpAddr, PeerId> {
        let former = self.by_former_address.iter();
        let known = former.chain(&self.by_address);
        known.map(|(address, peer)| (*address, *peer)).collect()
    }

    /// Contacts of ours that a Request-URI from this peer may name.
    pub(crate) fn registered_contact(&self, peer: PeerId) -> Option<&str> {
        let registrar = self.peer(peer)?.registrar.as_ref()?;
        Some(registrar.contact_user())
    }

    /// The Route that a call to this peer begins with (RFC 3608).
    pub(crate) fn service_route(&self, peer: PeerId) -> &[String] {
        let registrar = self.peer(peer).and_then(|peer| peer.registrar.as_ref());
        registrar.map_or(&[], Registrar::service_route)
    }

    /// What stands behind the `@` of addresses at a peer: the registrar's domain, the name it is found by, or its address.
    pub(crate) fn domain(&self, peer: PeerId, hop: Hop) -> String {
        let known = self.peer(peer);
        let registrar = known.and_then(|peer| peer.registrar.as_ref());
        if let Some(registrar) = registrar {
            return registrar.settings().registrar.clone();
        }
        let place = known.and_then(|peer| peer.place(hop));
        place
            .and_then(|place| place.name.clone())
            .unwrap_or_else(|| hop.remote.to_string())
    }

    fn peer(&self, id: PeerId) -> Option<&Peer> {
        self.each.get(usize::from(id.0))
    }

    // What calls show.

    /// A call of ours has been sent.
    pub(crate) fn call_sent(&mut self, now: Instant, dialog: DialogId, peer: PeerId, hop: Hop) {
        self.occupancy.occupy(dialog, peer);
        self.ends.insert(dialog, hop.remote.ip().to_canonical());
        let sent_at = now;
        self.unheard.insert(dialog, Unheard { peer, hop, sent_at });
        if let Some(place) = self.place_mut(peer, hop) {
            place.health.is_called(now);
        }
    }

    /// Something, or nothing, came back from a call of ours. Only the first word about each counts.
    pub(crate) fn call_heard(&mut self, now: Now, dialog: DialogId, sign: Sign) {
        let Some(Unheard { peer, hop, sent_at }) = self.unheard.remove(&dialog) else {
            return;
        };
        let place = self.peer(peer).and_then(|peer| peer.place(hop));
        let sign = place.map_or(sign, |place| place.health.weigh(sent_at, sign));
        self.take_sign(now, peer, hop, sign);
    }

    /// What is sent this way reaches nobody. What is unanswered tells by itself whether that harms it, or another way is left.
    pub(crate) fn way_lost(&mut self, hop: Hop, why: Unreachable) {
        let places = self.each.iter_mut().filter_map(|peer| peer.place_mut(hop));
        for place in places {
            place.loss = why;
        }
    }

    /// Why what was sent to whoever is called reaches nobody, if that is so.
    pub(crate) fn loss(&self, dialog: DialogId) -> Unreachable {
        let sent = self.unheard.get(&dialog);
        sent.map_or(Unreachable::Nobody, |sent| {
            self.loss_of(sent.peer, sent.hop)
        })
    }

    fn loss_of(&self, peer: PeerId, hop: Hop) -> Unreachable {
        let place = self.peer(peer).and_then(|peer| peer.place(hop));
        place.map_or(Unreachable::Nobody, |place| place.loss)
    }

    /// A peer calls us.
    pub(crate) fn call_came(
        &mut self,
        now: Now,
        settings: &Settings,
        dialog: DialogId,
        id: PeerId,
        hop: Hop,
    ) {
        self.occupancy.occupy(dialog, id);
        self.ends.insert(dialog, hop.remote.ip().to_canonical());
        let calls = self.occupancy.of(id);
        let contract = settings.peer(id).and_then(|peer| peer.channels);
        let Some(peer) = self.each.get_mut(usize::from(id.0)) else {
            return;
        };
        for place in &mut peer.places {
            place.health.take(now.at, Sign::CalledUs);
        }
        let Some(contract) = contract.filter(|contract| calls > contract.total) else {
            return;
        };
        if peer.contract_pause_ends.is_none_or(|end| end <= now.at) {
            peer.contract_pause_ends = Some(now.at + CONTRACT_PAUSE);
            let contracted = contract.total;
            self.news
                .push_back((id, PeerNews::OverContract { calls, contracted }));
        }
    }

    /// The peer at the other end of a dialog.
    pub(crate) fn holder(&self, dialog: DialogId) -> Option<PeerId> {
        self.occupancy.holder(dialog)
    }

    /// Nothing is left of a dialog.
    pub(crate) fn call_over(&mut self, dialog: DialogId) {
        self.occupancy.release(dialog);
        self.unheard.remove(&dialog);
        if let Some(end) = self.ends.remove(&dialog)
            && self.by_former_address.contains_key(&end)
            && !self.is_an_end(end)
        {
            self.by_former_address.remove(&end);
        }
    }

    /// Whether the other end of a call is at this address.
    fn is_an_end(&self, address: IpAddr) -> bool {
        self.ends.values().any(|end| *end == address)
    }

    fn take_sign(&mut self, now: Now, id: PeerId, hop: Hop, sign: Sign) {
        let Some(place) = self.place_mut(id, hop) else {
            return;
        };
        let change = place.take(now.at, sign);
        if let Some(change) = change {
            self.news
                .push_back((id, PeerNews::Place(hop.remote, change)));
            self.judge(now, id);
        }
    }

    fn place_mut(&mut self, peer: PeerId, hop: Hop) -> Option<&mut KnownPlace> {
        self.each.get_mut(usize::from(peer.0))?.place_mut(hop)
    }

    /// Tells when a peer as a whole falls or rises.
    fn judge(&mut self, now: Now, id: PeerId) {
        let Some(peer) = self.each.get_mut(usize::from(id.0)) else {
            return;
        };
        let ailment = peer.ailment();
        match (peer.standing, ailment) {
            (PeerStanding::Up, Some(why)) => {
                peer.standing = PeerStanding::Down {
                    since: now.wall,
                    why,
                };
                self.news.push_back((id, PeerNews::Down(why)));
            }
            (PeerStanding::Down { .. }, None) => {
                peer.standing = PeerStanding::Up;
                self.news.push_back((id, PeerNews::Up));
            }
            (PeerStanding::Down { since, .. }, Some(why)) => {
                peer.standing = PeerStanding::Down { since, why };
            }
            (PeerStanding::Up, None) => {}
        }
    }

    // What is asked besides calls.

    /// Does what is due: names, registrations, probes.
    pub(crate) fn tend(&mut self, now: Now, settings: &Settings) {
        self.begin(now.at, settings);
        for (id, trunk) in settings.peers_by_id() {
            self.tend_names(now, settings, id);
            self.tend_registration(now, settings, id, trunk);
            if self.service == Service::Open {
                self.tend_probes(now, settings, id, trunk);
            }
        }
    }

    /// When [`Peers::tend`] is due, and why.
    pub(crate) fn due(&self) -> Option<(Instant, &'static str)> {
        let each = self.each.iter().filter_map(|peer| {
            let names = peer.names.iter().map(Name::due);
            let registration = peer.registrar.iter().filter_map(Registrar::due);
            let probes = peer.places.iter().filter_map(|place| {
                let at = place
                    .probe_due()
                    .filter(|_| self.service == Service::Open)?;
                Some((at, "health: asks a peer whether it lives"))
            });
            names.chain(registration).chain(probes).min()
        });
        each.min()
    }

    /// The next request to send; [`Peers::request_sent`] follows.
    pub(crate) fn poll_request(&mut self) -> Option<PeerRequest> {
        self.requests.pop_front()
    }

    /// The next name to look up.
    pub(crate) fn poll_question(&mut self) -> Option<Question> {
        self.questions.pop_front()
    }

    /// The next thing an operator should hear.
    pub(crate) fn poll_news(&mut self) -> Option<(PeerId, PeerNews)> {
        self.news.pop_front()
    }

    // Inside.

    /// Makes the peers of the settings, once a time is known.
    fn begin(&mut self, now: Instant, settings: &Settings) {
        if self.service != Service::NotBegun {
            return;
        }
        self.service = Service::Open;
        for trunk in &settings.peers {
            let registration = trunk.registration.clone();
            let registrar = registration
                .map(|registration| Registrar::new(now, registration, &mut self.generator));
            let names = trunk
                .targets
                .iter()
                .filter_map(|target| match &target.place {
                    Place::Address(_) => None,
                    Place::Name { host, port } => Some(Name::new(
                        now,
                        Question {
                            peer: trunk.name.clone(),
                            host: host.clone(),
                            port: *port,
                            transport: target.transport,
                        },
                    )),
                });
            self.each.push(Peer {
                places: Vec::new(),
                names: names.collect(),
                registrar,
                standing: PeerStanding::Up,
                last_chosen: None,
                last_passed_over: None,
                contract_pause_ends: None,
                numbers: Vec::new(),
            });
        }
        for (id, trunk) in settings.peers_by_id() {
            self.find_places(now, id, trunk);
        }
    }
}

impl Peer {
    /// The place that a hop leads to.
    fn place(&self, hop: Hop) -> Option<&KnownPlace> {
        self.places.get(place::index_of(&self.places, hop)?)
    }

    fn place_mut(&mut self, hop: Hop) -> Option<&mut KnownPlace> {
        let index = place::index_of(&self.places, hop)?;
        self.places.get_mut(index)
    }

    /// What is wrong with it as a whole; none while one of its places can be called.
    fn ailment(&self) -> Option<Ailment> {
        let registrar = self.registrar.as_ref();
        if registrar.is_some_and(|registrar| !registrar.is_held() && registrar.failures() > 0) {
            return Some(Ailment::Unregistered);
        }
        let mut ailments = self.places.iter().map(|place| place.health.ailment());
        let first = ailments.next()??;
        ailments.all(|ailment| ailment.is_some()).then_some(first)
    }
}

#[cfg(test)]
mod tests;
