//! A peer: who may send us SIP, where its calls go, how it wants them, and where its media may lie.
//!
//! Only what the configuration says; what becomes of it in service lies in `peers.rs`.
//! Start at [`Trunk::new`], which gives a peer of the ordinary kind.

use std::{
    net::{IpAddr, SocketAddr},
    time::Duration,
};

use media::{Codec, Side};
use rules::Number;
use sip_core::{PeerSettings, Transport};

/// A place where we take SIP, and the address that we write into what leaves from it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Listener {
    /// How.
    pub transport: Transport,
    /// Where; an address that peers can reach, never `0.0.0.0`.
    pub address: SocketAddr,
}

/// Which side of the house a peer stands on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum PeerRole {
    /// It brings citizens' calls.
    Carrier,
    /// It has the departments' telephones.
    Pbx,
}

impl PeerRole {
    /// The side of ladders and recordings on which its legs stand.
    pub(crate) fn side(self) -> Side {
        match self {
            PeerRole::Carrier => Side::Carrier,
            PeerRole::Pbx => Side::Department,
        }
    }
}

/// Whether a peer belongs to the trust domain, where identities pass as they are (RFC 3325 section 2.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trust {
    /// Identities are believed, and told.
    Inside,
    /// None is told, none is believed.
    Outside,
}

/// A configured peer.
#[derive(Debug, Clone)]
pub struct Trunk {
    /// Its name in the configuration.
    pub name: String,
    /// What it is to us.
    pub role: PeerRole,
    /// Whether it belongs to the trust domain.
    pub trust: Trust,
    /// The addresses its signalling comes from, at any port. Those of `targets` count too.
    pub addresses: Vec<IpAddr>,
    /// Which of our addresses it is called from; none: the first listener of its transport and address family.
    pub local: Option<IpAddr>,
    /// Where its media may lie.
    pub media: Vec<MediaRange>,
    /// Where our requests to it go; a carrier that takes no calls of ours needs none.
    pub targets: Vec<TrunkTarget>,
    /// Among the peers of its role: the smaller is tried first.
    pub priority: u16,
    /// Among peers of one priority: its share of the calls (RFC 2782).
    pub weight: u16,
    /// How SIP is spoken with it.
    pub sip: PeerSettings,
    /// When a citizen who calls through it hears the notice.
    pub announcement: AnnouncementMedia,
    /// The codecs in which it is spoken with, the best first: it is offered no others, and what it names beside them is not taken.
    pub codecs: Vec<Codec>,
    /// How numbers leave towards it.
    pub number_form: NumberForm,
    /// Where the number that was called stands in its INVITEs.
    pub called_in: CalledPlace,
    /// How its packets are marked.
    pub dscp: Dscp,
    /// What its contract allows at once; none: nothing is counted against it.
    pub channels: Option<Channels>,
    /// The numbers that we may show to it, the first by default.
    pub contracted: Vec<Number>,
    /// Where we register to be called; none for a peer that knows our address.
    pub registration: Option<Registration>,
    /// Whether we ask with OPTIONS if it lives; none: its calls tell.
    pub probe: Option<Probe>,
    /// Whether media with it is encrypted.
    pub secure_media: SecureMedia,
    /// Whether calls of ours may leave through it; only a carrier's is looked at.
    pub outbound: bool,
}

impl Trunk {
    /// An ordinary peer at these addresses, inside the trust domain, its media beside its signalling; it takes no calls yet.
    pub fn new(name: impl Into<String>, role: PeerRole, addresses: Vec<IpAddr>) -> Trunk {
        Trunk {
            name: name.into(),
            role,
            trust: Trust::Inside,
            media: addresses.iter().copied().map(MediaRange::host).collect(),
            addresses,
            local: None,
            targets: Vec::new(),
            priority: 0,
            weight: 1,
            sip: PeerSettings::default(),
            announcement: AnnouncementMedia::AfterAnswer,
            codecs: vec![Codec::Pcmu, Codec::Pcma],
            number_form: NumberForm::AsItCame,
            called_in: CalledPlace::RequestUri,
            dscp: Dscp::default(),
            channels: None,
            contracted: Vec::new(),
            registration: None,
            probe: None,
            secure_media: SecureMedia::OnTls,
            outbound: false,
        }
    }

    /// The peer with one more place where it takes calls, its media beside it.
    #[must_use]
    pub fn at(mut self, address: SocketAddr, transport: Transport) -> Trunk {
        let beside = MediaRange::host(address.ip());
        if !self.media.contains(&beside) {
            self.media.push(beside);
        }
        self.targets.push(TrunkTarget::at(address, transport));
        self
    }

    /// Whether media at this address may be this peer's (T-15).
    ///
    /// Loopback is so only where the peer itself is configured there: a range that holds every address does not mean our own services.
    pub fn admits_media(&self, media: SocketAddr) -> bool {
        let address = media.ip().to_canonical();
        media.port() != 0
            && !address.is_unspecified()
            && !address.is_multicast()
            && (!address.is_loopback() || self.is_on_loopback())
            && self.media.iter().any(|range| range.contains(address))
    }

    fn is_on_loopback(&self) -> bool {
        self.known_addresses().any(|known| known.is_loopback())
    }

    /// Whether the configuration itself gives it this address.
    pub(crate) fn is_at(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        self.known_addresses().any(|known| known == address)
    }

    /// Every address that the configuration itself gives it; those behind names come later.
    pub(crate) fn known_addresses(&self) -> impl Iterator<Item = IpAddr> {
        let targets = self.targets.iter().filter_map(|target| match target.place {
            Place::Address(address) => Some(address.ip()),
            Place::Name { .. } => None,
        });
        self.addresses
            .iter()
            .copied()
            .chain(targets)
            .map(|address| address.to_canonical())
    }

    /// Whether calls of ours may go there at all.
    pub(crate) fn takes_calls(&self) -> bool {
        !self.targets.is_empty()
            && match self.role {
                PeerRole::Carrier => self.outbound,
                PeerRole::Pbx => true,
            }
    }
}

/// A place where a peer takes requests.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TrunkTarget {
    /// Where.
    pub place: Place,
    /// How.
    pub transport: Transport,
    /// Among the peer's targets: the smaller is tried first.
    pub priority: u16,
    /// Among targets of one priority: its share (RFC 2782).
    pub weight: u16,
}

impl TrunkTarget {
    /// The one target of an ordinary peer.
    pub fn at(address: SocketAddr, transport: Transport) -> TrunkTarget {
        TrunkTarget {
            place: Place::Address(address),
            transport,
            priority: 0,
            weight: 1,
        }
    }
}

/// Where a target is.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Place {
    /// At an address.
    Address(SocketAddr),
    /// Where the name system says (RFC 3263).
    Name {
        /// The name.
        host: String,
        /// A port, which asks for addresses alone; none asks for NAPTR and SRV records first.
        port: Option<u16>,
    },
}

/// When a citizen hears the notice.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AnnouncementMedia {
    /// After our 200, which every carrier lets through.
    AfterAnswer,
    /// In a 183 before it, where the carrier lets early media through.
    Early,
}

/// How a number is written towards a peer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NumberForm {
    /// As the other side wrote it.
    AsItCame,
    /// `0783331000`.
    National,
    /// `+81783331000`.
    E164,
}

/// Where the called number stands in a peer's INVITE.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CalledPlace {
    /// In the Request-URI.
    RequestUri,
    /// In To.
    To,
    /// In P-Called-Party-ID (RFC 7315 section 4.2).
    PCalledPartyId,
    /// In the first Diversion (RFC 5806).
    Diversion,
}

/// How packets are marked (RFC 2474), 0 to 63 each.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Dscp {
    /// SIP.
    pub signalling: u8,
    /// RTP and RTCP.
    pub media: u8,
}

/// How many calls a contract allows at once, both ways together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Channels {
    /// All.
    pub total: u32,
    /// Of these, how many only calls to 110, 118 and 119 may take.
    pub emergency_reserve: u32,
}

/// How we make ourselves known to a peer (RFC 3261 section 10).
#[derive(Clone)]
pub struct Registration {
    /// The domain of the registrar: the Request-URI of REGISTER, and the host of our address of record.
    pub registrar: String,
    /// The user part of our address of record.
    pub user: String,
    /// How long a registration is asked to hold; the registrar decides.
    pub expires: Duration,
    /// The user part of our Contact; none: a random one, which nobody can dial by guessing.
    pub contact_user: Option<String>,
}

impl std::fmt::Debug for Registration {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Registration")
            .field("registrar", &self.registrar)
            .field("expires", &self.expires)
            .finish_non_exhaustive()
    }
}

/// That we ask a peer with OPTIONS whether it lives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Probe {
    /// How often.
    pub interval: Duration,
}

/// Whether media with a peer is encrypted (RFC 4568).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SecureMedia {
    /// Never offered.
    Never,
    /// Offered where signalling goes over TLS, so that the keys are not read on the way.
    OnTls,
    /// Without it there is no call.
    Always,
}
/// A range of addresses, as `192.0.2.0/24`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MediaRange {
    network: IpAddr,
    prefix_bits: u8,
}

impl MediaRange {
    /// Makes a range; none when the prefix is longer than the address.
    pub fn new(network: IpAddr, prefix_bits: u8) -> Option<MediaRange> {
        (prefix_bits <= address_bits(network)).then_some(MediaRange {
            network,
            prefix_bits,
        })
    }

    /// The range that holds one address.
    pub fn host(address: IpAddr) -> MediaRange {
        MediaRange {
            network: address,
            prefix_bits: address_bits(address),
        }
    }

    /// Whether the address lies in the range; an address of the other family never does.
    pub fn contains(&self, address: IpAddr) -> bool {
        match (self.network, address) {
            (IpAddr::V4(network), IpAddr::V4(address)) => {
                let mask = u32::MAX
                    .checked_shl(32 - u32::from(self.prefix_bits))
                    .unwrap_or(0);
                network.to_bits() & mask == address.to_bits() & mask
            }
            (IpAddr::V6(network), IpAddr::V6(address)) => {
                let mask = u128::MAX
                    .checked_shl(128 - u32::from(self.prefix_bits))
                    .unwrap_or(0);
                network.to_bits() & mask == address.to_bits() & mask
            }
            (IpAddr::V4(_), IpAddr::V6(_)) | (IpAddr::V6(_), IpAddr::V4(_)) => false,
        }
    }
}

fn address_bits(address: IpAddr) -> u8 {
    match address {
        IpAddr::V4(_) => 32,
        IpAddr::V6(_) => 128,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_holds_its_own_addresses_only() {
        let range = MediaRange::new("192.0.2.0".parse().unwrap(), 24).unwrap();
        assert!(range.contains("192.0.2.77".parse().unwrap()));
        assert!(!range.contains("192.0.3.1".parse().unwrap()));
        assert!(!range.contains("::1".parse().unwrap()));
        let everything = MediaRange::new("0.0.0.0".parse().unwrap(), 0).unwrap();
        assert!(everything.contains("198.51.100.9".parse().unwrap()));
        assert!(MediaRange::new("192.0.2.0".parse().unwrap(), 33).is_none());
    }

    #[test]
    fn media_at_a_group_or_at_nothing_is_never_a_peers() {
        let address = "127.0.0.2".parse().unwrap();
        let trunk = Trunk {
            media: vec![MediaRange::new("0.0.0.0".parse().unwrap(), 0).unwrap()],
            ..Trunk::new("carrier", PeerRole::Carrier, vec![address])
        };
        assert!(trunk.admits_media("127.0.0.2:4000".parse().unwrap()));
        assert!(!trunk.admits_media("224.0.0.1:4000".parse().unwrap()));
        assert!(!trunk.admits_media("0.0.0.0:4000".parse().unwrap()));
        assert!(!trunk.admits_media("127.0.0.2:0".parse().unwrap()));
    }

    #[test]
    fn media_on_loopback_is_only_that_of_a_peer_that_is_configured_there() {
        let peer = |address: &str| Trunk {
            media: ["0.0.0.0", "::"]
                .map(|network| MediaRange::new(network.parse().unwrap(), 0).unwrap())
                .to_vec(),
            ..Trunk::new("carrier", PeerRole::Carrier, vec![address.parse().unwrap()])
        };
        let inside = ["127.0.0.1:4000", "[::1]:4000", "[::ffff:127.0.0.1]:4000"];
        for media in inside.map(|media| media.parse().unwrap()) {
            for address in ["192.0.2.9", "2001:db8::9"] {
                assert!(!peer(address).admits_media(media), "{address} {media}");
            }
            for address in ["127.0.0.2", "::1"] {
                assert!(peer(address).admits_media(media), "{address} {media}");
            }
        }
    }
}
