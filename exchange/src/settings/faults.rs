//! Settings that cannot be used, each with what was expected and what to do.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::{IpAddr, SocketAddr},
    time::Duration,
};

use sip_core::{Reliable, Transport};

use super::Settings;
use crate::{
    outbound,
    route::Places,
    trunk::{AnnouncementMedia, Channels, Dscp, PeerRole, Place, SecureMedia, Trunk},
};

/// Far more trunks and PBX nodes than a city has; every INVITE of ours looks at them all.
const MAX_PEERS: usize = 256;

/// DSCP has six bits (RFC 2474 section 3).
const MAX_DSCP: u8 = 63;

/// No session may be shorter (RFC 4028 section 4).
const SHORTEST_SESSION: Duration = Duration::from_secs(90);

/// A registrar may refuse less than an hour, and must not be asked more often than this (RFC 3261 section 10.3).
const SHORTEST_REGISTRATION: Duration = Duration::from_secs(60);

/// A peer that is asked more often than this is not asked, it is flooded.
const SHORTEST_PROBE: Duration = Duration::from_secs(5);

/// Settings that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SettingsFault {
    /// Two of a kind.
    #[error("{what} {name} is named twice, expected once; rename or remove one")]
    Twice {
        /// `listener`, `peer`, `department`, `number` or `site`.
        what: &'static str,
        /// Its name; a number masked.
        name: String,
    },
    /// A department that is not there.
    #[error(
        "number {number} belongs to department {department}, which is not configured; add it or name another"
    )]
    DepartmentUnknown {
        /// The number, masked.
        number: String,
        /// What it names.
        department: String,
    },
    /// A department without a telephone.
    #[error("department {department} has no target, expected one at least; add one")]
    NoTarget {
        /// Which.
        department: String,
    },
    /// A target at a peer that cannot be called.
    #[error(
        "department {department} is called at {peer}, expected a pbx peer with a target address; correct one of them"
    )]
    TargetPeer {
        /// Which.
        department: String,
        /// What it names.
        peer: String,
    },
    /// Nowhere to listen.
    #[error("there is no listener, expected one at least; add one")]
    NoListener,
    /// A listener at no address of its own.
    #[error(
        "listener {address} is no address of one host with a port; it stands in every message we send, so write the host's own"
    )]
    ListenerAddress {
        /// What it says.
        address: SocketAddr,
    },
    /// More peers than can be told apart at each call.
    #[error("there are {found} peers, expected {MAX_PEERS} at most; remove some")]
    TooManyPeers {
        /// How many.
        found: usize,
    },
    /// A message from this address would have two senders.
    #[error(
        "address {address} belongs to peer {first} and to peer {second}, expected one, so that a message has one sender; \
         remove it from one of them"
    )]
    AddressShared {
        /// Which.
        address: IpAddr,
        /// Whose it is first.
        first: String,
        /// Whose it is again.
        second: String,
    },
    /// A target that is one of our own listeners.
    #[error(
        "peer {peer} takes calls at {address}, where we listen ourselves; write where the peer is"
    )]
    TargetIsOurs {
        /// Which.
        peer: String,
        /// Where.
        address: SocketAddr,
    },
    /// A target that no socket of ours can send to.
    #[error(
        "peer {peer} takes calls by {transport:?} over {family}, and no listener has both; add one, or change the target"
    )]
    NoListenerFor {
        /// Which.
        peer: String,
        /// How it is called.
        transport: Transport,
        /// `IPv4`, `IPv6`, or the address of ours that it asks for.
        family: String,
    },
    /// A peer that should be called and has no place where.
    #[error("peer {peer} {what}, and has no target; say where it takes requests")]
    NowhereToSend {
        /// Which.
        peer: String,
        /// What wants to send to it.
        what: &'static str,
    },
    /// A figure outside what can be.
    #[error("peer {peer} has {what} {found}, expected {expected}; correct it")]
    OutOfRange {
        /// Which.
        peer: String,
        /// Which figure.
        what: &'static str,
        /// What it says.
        found: String,
        /// What can be.
        expected: &'static str,
    },
    /// A site whose emergency calls would not leave.
    #[error(
        "site {site} sends its emergency calls to {peer}, expected {expected}; correct one of them"
    )]
    SitePeer {
        /// Which.
        site: String,
        /// What it names.
        peer: String,
        /// What can be.
        expected: &'static str,
    },
    /// A site whose number its trunk does not have.
    #[error(
        "site {site} shows {number} to trunk {trunk}, which does not have it; add it to the trunk's numbers, or name another"
    )]
    SiteNumber {
        /// Which.
        site: String,
        /// The number, masked.
        number: String,
        /// Its trunk.
        trunk: String,
    },
    /// Media that must be encrypted, with keys that anyone on the way can read.
    #[error(
        "peer {peer} wants encrypted media always and is called by {transport:?}, where the keys travel in clear; use tls"
    )]
    KeysInClear {
        /// Which.
        peer: String,
        /// How it is called.
        transport: Transport,
    },
    /// A notice before the answer, to a trunk that never says that it has our answer.
    #[error(
        "peer {peer} is to hear the notice before the answer while its reliable answers (100rel) are off, so that nothing shows that the notice was heard; make reliable \"supported\", or announcement \"after_answer\""
    )]
    NoticeUnacknowledged {
        /// Which.
        peer: String,
    },
}

impl SettingsFault {
    /// Whether it is a fault of the peer of this name.
    pub fn names(&self, name: &str) -> bool {
        match self {
            SettingsFault::AddressShared { second: peer, .. }
            | SettingsFault::TargetIsOurs { peer, .. }
            | SettingsFault::NoListenerFor { peer, .. }
            | SettingsFault::NowhereToSend { peer, .. }
            | SettingsFault::OutOfRange { peer, .. }
            | SettingsFault::NoticeUnacknowledged { peer }
            | SettingsFault::KeysInClear { peer, .. } => peer == name,
            SettingsFault::Twice { .. }
            | SettingsFault::DepartmentUnknown { .. }
            | SettingsFault::NoTarget { .. }
            | SettingsFault::TargetPeer { .. }
            | SettingsFault::NoListener
            | SettingsFault::ListenerAddress { .. }
            | SettingsFault::SitePeer { .. }
            | SettingsFault::SiteNumber { .. }
            | SettingsFault::TooManyPeers { .. } => false,
        }
    }
}

pub(super) fn of(settings: &Settings) -> Vec<SettingsFault> {
    let mut faults = Vec::new();
    check_listeners(settings, &mut faults);
    check_names(settings, &mut faults);
    check_addresses(settings, &mut faults);
    for peer in &settings.peers {
        check_targets(settings, peer, &mut faults);
        check_figures(peer, &mut faults);
    }
    check_departments(settings, &mut faults);
    check_sites(settings, &mut faults);
    faults
}

fn check_listeners(settings: &Settings, faults: &mut Vec<SettingsFault>) {
    if settings.listeners.is_empty() {
        faults.push(SettingsFault::NoListener);
    }
    let mut seen = BTreeSet::new();
    for listener in &settings.listeners {
        let address = listener.address;
        if address.ip().is_unspecified() || address.ip().is_multicast() || address.port() == 0 {
            faults.push(SettingsFault::ListenerAddress { address });
        }
        if !seen.insert(listener) {
            let name = format!("{:?} {address}", listener.transport);
            faults.push(SettingsFault::Twice {
                what: "listener",
                name,
            });
        }
    }
}

fn check_names(settings: &Settings, faults: &mut Vec<SettingsFault>) {
    if settings.peers.len() > MAX_PEERS {
        faults.push(SettingsFault::TooManyPeers {
            found: settings.peers.len(),
        });
    }
    twice(
        faults,
        "peer",
        settings.peers.iter().map(|peer| peer.name.clone()),
    );
    let departments = settings.departments.iter();
    twice(
        faults,
        "department",
        departments.map(|department| department.name.clone()),
    );
    // Compared by their digits, shown masked.
    let mut numbers = BTreeSet::new();
    for policy in &settings.numbers {
        if !numbers.insert(&policy.number) {
            faults.push(SettingsFault::Twice {
                what: "number",
                name: policy.number.to_string(),
            });
        }
        if settings.department(&policy.department).is_none() {
            let (number, department) = (policy.number.to_string(), policy.department.clone());
            faults.push(SettingsFault::DepartmentUnknown { number, department });
        }
    }
}

fn check_sites(settings: &Settings, faults: &mut Vec<SettingsFault>) {
    let sites = &settings.outbound.sites;
    twice(faults, "site", sites.iter().map(|site| site.name.clone()));
    for site in sites {
        let named = |name: &String| settings.peers.iter().find(|peer| peer.name == *name);
        let mut wrong = |peer: &String, expected| {
            faults.push(SettingsFault::SitePeer {
                site: site.name.clone(),
                peer: peer.clone(),
                expected,
            });
        };
        for name in &site.peers {
            if named(name).is_none_or(|peer| peer.role != PeerRole::Pbx) {
                wrong(name, "the name of a pbx peer");
            }
        }
        let trunk =
            named(&site.trunk).filter(|peer| peer.role == PeerRole::Carrier && peer.takes_calls());
        let Some(trunk) = trunk else {
            wrong(&site.trunk, "a carrier that takes calls of ours");
            continue;
        };
        if !outbound::numbers_of(settings, trunk).any(|own| *own == site.number) {
            faults.push(SettingsFault::SiteNumber {
                site: site.name.clone(),
                number: site.number.to_string(),
                trunk: trunk.name.clone(),
            });
        }
    }
}

fn check_addresses(settings: &Settings, faults: &mut Vec<SettingsFault>) {
    let mut owners: BTreeMap<IpAddr, &str> = BTreeMap::new();
    for peer in &settings.peers {
        let own: BTreeSet<IpAddr> = peer.known_addresses().collect();
        for address in own {
            if let Some(first) = owners.insert(address, &peer.name) {
                faults.push(SettingsFault::AddressShared {
                    address,
                    first: first.to_owned(),
                    second: peer.name.clone(),
                });
            }
        }
    }
}

fn check_targets(settings: &Settings, peer: &Trunk, faults: &mut Vec<SettingsFault>) {
    let name = || peer.name.clone();
    for target in &peer.targets {
        let transport = target.transport;
        let address = match target.place {
            Place::Address(address) => Some(address),
            Place::Name { .. } => None,
        };
        if let Some(address) = address.filter(|address| settings.is_listener(*address)) {
            let peer = name();
            faults.push(SettingsFault::TargetIsOurs { peer, address });
        }
        let has_listener = settings.listeners.iter().any(|listener| {
            listener.transport == transport
                && peer
                    .local
                    .is_none_or(|local| local == listener.address.ip())
                && address.is_none_or(|address| address.is_ipv4() == listener.address.is_ipv4())
        });
        if !has_listener {
            let family = match (address, peer.local) {
                (_, Some(local)) => local.to_string(),
                (Some(SocketAddr::V4(_)), None) => "IPv4".to_owned(),
                (Some(SocketAddr::V6(_)), None) => "IPv6".to_owned(),
                (None, None) => "either IP version".to_owned(),
            };
            faults.push(SettingsFault::NoListenerFor {
                peer: name(),
                transport,
                family,
            });
        }
        if peer.secure_media == SecureMedia::Always && transport != Transport::Tls {
            let peer = name();
            faults.push(SettingsFault::KeysInClear { peer, transport });
        }
    }
    if (peer.announcement, peer.sip.reliable) == (AnnouncementMedia::Early, Reliable::Off) {
        faults.push(SettingsFault::NoticeUnacknowledged { peer: name() });
    }
    let senders = [
        (peer.registration.is_some(), "is to be registered with"),
        (peer.probe.is_some(), "is to be asked by OPTIONS"),
        (
            peer.outbound && peer.role == PeerRole::Carrier,
            "is to take calls of ours",
        ),
    ];
    let wants = senders.into_iter().find(|(wants, _)| *wants);
    if let Some((_, what)) = wants.filter(|_| peer.targets.is_empty()) {
        faults.push(SettingsFault::NowhereToSend { peer: name(), what });
    }
}

fn check_figures(peer: &Trunk, faults: &mut Vec<SettingsFault>) {
    let mut out_of_range = |what, found: String, expected| {
        faults.push(SettingsFault::OutOfRange {
            peer: peer.name.clone(),
            what,
            found,
            expected,
        });
    };
    let seconds = |time: Duration| format!("{} s", time.as_secs());
    let Dscp { signalling, media } = peer.dscp;
    for (what, dscp) in [("signalling dscp", signalling), ("media dscp", media)] {
        if dscp > MAX_DSCP {
            out_of_range(what, dscp.to_string(), "0 to 63");
        }
    }
    if peer.codecs.is_empty() {
        out_of_range("codecs", "none".to_owned(), "one at least");
    }
    if let Some(Channels {
        total,
        emergency_reserve,
    }) = peer.channels
        && emergency_reserve >= total
    {
        let found = format!("{emergency_reserve} of {total}");
        out_of_range(
            "an emergency reserve of",
            found,
            "fewer than all its channels",
        );
    }
    if let Some(registration) = &peer.registration
        && registration.expires < SHORTEST_REGISTRATION
    {
        let found = seconds(registration.expires);
        out_of_range("a registration of", found, "60 s or more");
    }
    if let Some(probe) = peer.probe
        && probe.interval < SHORTEST_PROBE
    {
        out_of_range(
            "a probe interval of",
            seconds(probe.interval),
            "5 s or more",
        );
    }
    let session = &peer.sip.session;
    if session.min < SHORTEST_SESSION {
        out_of_range(
            "a smallest session interval of",
            seconds(session.min),
            "90 s or more",
        );
    }
    if let Some(interval) = session.interval
        && interval < session.min
    {
        out_of_range(
            "a session interval of",
            seconds(interval),
            "no less than its smallest",
        );
    }
}

fn check_departments(settings: &Settings, faults: &mut Vec<SettingsFault>) {
    for department in &settings.departments {
        if department.targets.is_empty() {
            faults.push(SettingsFault::NoTarget {
                department: department.name.clone(),
            });
        }
        for target in &department.targets {
            let is_callable = settings.peers.iter().any(|peer| {
                peer.role == PeerRole::Pbx && peer.takes_calls() && target.places.include(peer)
            });
            if !is_callable {
                let peer = match &target.places {
                    Places::Peer(name) => format!("peer {name}"),
                    Places::Role(PeerRole::Pbx) => "any pbx".to_owned(),
                    Places::Role(PeerRole::Carrier) => "any carrier".to_owned(),
                };
                faults.push(SettingsFault::TargetPeer {
                    department: department.name.clone(),
                    peer,
                });
            }
        }
    }
}

fn twice(faults: &mut Vec<SettingsFault>, what: &'static str, names: impl Iterator<Item = String>) {
    let mut seen = BTreeSet::new();
    for name in names {
        if !seen.insert(name.clone()) {
            faults.push(SettingsFault::Twice { what, name });
        }
    }
}

#[cfg(test)]
mod tests;
