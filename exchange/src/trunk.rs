//! A peer: who may send us SIP, where its calls go, and where its media may lie.

use std::net::{IpAddr, SocketAddr};

use media::Side;

/// Which side of the house a peer stands on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PeerRole {
    /// It brings citizens' calls.
    Carrier,
    /// It has the departments' telephones.
    Pbx,
}

/// Whether a peer belongs to the trust domain, where identities pass as they are (RFC 3325 section 2.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trust {
    /// Identities are believed, and told.
    Inside,
    /// None is told, none is believed.
    Outside,
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

impl PeerRole {
    /// The side of ladders and recordings on which its legs stand.
    pub(crate) fn side(self) -> Side {
        match self {
            PeerRole::Carrier => Side::Carrier,
            PeerRole::Pbx => Side::Department,
        }
    }
}

/// A configured peer.
#[derive(Debug, Clone)]
pub struct Trunk {
    /// Its name in the configuration.
    pub name: String,
    /// What it is to us.
    pub role: PeerRole,
    /// The addresses its signalling comes from, at any port.
    pub addresses: Vec<IpAddr>,
    /// Where our requests to it go. A carrier without one gets no calls of ours.
    pub target: Option<SocketAddr>,
    /// Where its media may lie.
    pub media: Vec<MediaRange>,
}

impl Trunk {
    /// Whether its signalling comes from this address.
    pub(crate) fn is_at(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        let mut known = self.addresses.iter();
        known.any(|known| known.to_canonical() == address)
    }

    /// Whether media at this address may be this peer's (T-15).
    ///
    /// Loopback counts only where the configuration names it, which a range that contains it does.
    pub fn admits_media(&self, media: SocketAddr) -> bool {
        let address = media.ip().to_canonical();
        media.port() != 0
            && !address.is_unspecified()
            && !address.is_multicast()
            && self.media.iter().any(|range| range.contains(address))
    }
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
        let trunk = Trunk {
            name: "carrier".into(),
            role: PeerRole::Carrier,
            addresses: vec!["127.0.0.2".parse().unwrap()],
            target: None,
            media: vec![MediaRange::new("0.0.0.0".parse().unwrap(), 0).unwrap()],
        };
        assert!(trunk.admits_media("127.0.0.2:4000".parse().unwrap()));
        assert!(!trunk.admits_media("224.0.0.1:4000".parse().unwrap()));
        assert!(!trunk.admits_media("0.0.0.0:4000".parse().unwrap()));
        assert!(!trunk.admits_media("127.0.0.2:0".parse().unwrap()));
    }
}
