//! Port pairs that the shards have lent: which are free, and which addresses are ours.

use std::{
    collections::{BTreeMap, VecDeque},
    net::{IpAddr, SocketAddr},
};

use media::OfferedLeg;

/// The ports that calls may use.
#[derive(Debug, Default)]
pub(crate) struct Ports {
    /// By shard.
    free: BTreeMap<u16, Free>,
    /// Every RTP and RTCP address that is ours, free or in use, with its shard (T-15: no media is sent to ourselves).
    ours: BTreeMap<SocketAddr, u16>,
}

/// What is free of a shard, by address family; the longest-rested first, as the shards offer them.
#[derive(Debug, Default)]
struct Free {
    ipv4: VecDeque<OfferedLeg>,
    ipv6: VecDeque<OfferedLeg>,
}

impl Free {
    fn count(&self) -> usize {
        self.ipv4.len() + self.ipv6.len()
    }

    fn is_ipv6(address: IpAddr) -> bool {
        address.to_canonical().is_ipv6()
    }

    /// The pairs that can send to `peer`.
    fn of(&self, peer: IpAddr) -> &VecDeque<OfferedLeg> {
        if Free::is_ipv6(peer) {
            &self.ipv6
        } else {
            &self.ipv4
        }
    }

    fn take(&mut self, is_ipv6: bool) -> Option<OfferedLeg> {
        if is_ipv6 {
            self.ipv6.pop_front()
        } else {
            self.ipv4.pop_front()
        }
    }

    fn put(&mut self, leg: OfferedLeg) {
        if leg.rtp.is_ipv6() {
            self.ipv6.push_back(leg);
        } else {
            self.ipv4.push_back(leg);
        }
    }
}

impl Ports {
    /// Takes port pairs that a shard lends.
    pub(crate) fn offer(&mut self, legs: Vec<OfferedLeg>) {
        for leg in legs {
            self.ours.insert(leg.rtp, leg.leg.shard);
            self.ours.insert(rtcp(leg.rtp), leg.leg.shard);
            self.free.entry(leg.leg.shard).or_default().put(leg);
        }
    }

    /// Takes two pairs of one shard, of the one that has most: a call lives on one shard for life.
    ///
    /// The first can send to `origin`; the second too where there is another such pair. Whoever is called over the other
    /// family gets a pair of that when it is known who it is: [`Ports::take_of`].
    pub(crate) fn take_two(&mut self, origin: IpAddr) -> Option<[OfferedLeg; 2]> {
        let (_, free) = self
            .free
            .iter_mut()
            .filter(|(_, free)| free.count() >= 2)
            .max_by_key(|(shard, free)| (free.of(origin).len(), std::cmp::Reverse(**shard)))?;
        let fits = Free::is_ipv6(origin);
        let first = free.take(fits)?;
        let second = free.take(fits).or_else(|| free.take(!fits))?;
        Some([first, second])
    }

    /// Takes one more pair of a shard that can send to `peer`, for a further attempt of its call.
    pub(crate) fn take_of(&mut self, shard: u16, peer: IpAddr) -> Option<OfferedLeg> {
        self.free.get_mut(&shard)?.take(Free::is_ipv6(peer))
    }

    /// Forgets what a lost shard had lent, in use or free: its sockets are gone.
    pub(crate) fn forget_shard(&mut self, shard: u16) {
        self.free.remove(&shard);
        self.ours.retain(|_, owner| *owner != shard);
    }

    /// Whether this is one of our own media addresses.
    pub(crate) fn is_ours(&self, address: SocketAddr) -> bool {
        self.ours.contains_key(&address)
    }

    /// How many pairs are free.
    pub(crate) fn free_count(&self) -> usize {
        self.free.values().map(Free::count).sum()
    }
}

/// Whether a pair is of the family of an address.
pub(crate) fn can_send(leg: &OfferedLeg, peer: IpAddr) -> bool {
    leg.rtp.is_ipv6() == Free::is_ipv6(peer)
}

/// RTCP lies one port above its RTP (RFC 3550 section 11).
fn rtcp(rtp: SocketAddr) -> SocketAddr {
    SocketAddr::new(rtp.ip(), rtp.port().saturating_add(1))
}

#[cfg(test)]
mod tests {
    use super::*;
    use media::LegId;

    fn pair(shard: u16, slot: u16) -> OfferedLeg {
        let leg = LegId {
            shard,
            slot: u32::from(slot),
            generation: 0,
        };
        OfferedLeg {
            leg,
            rtp: SocketAddr::from(([127, 0, 0, 1], 20_000 + 1_000 * shard + 2 * slot)),
        }
    }

    const IPV4: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);
    const IPV6: IpAddr = IpAddr::V6(std::net::Ipv6Addr::LOCALHOST);

    #[test]
    fn pairs_are_of_the_family_of_whoever_they_are_for() {
        let mut ports = Ports::default();
        let of = |host: IpAddr, slot: u16| OfferedLeg {
            rtp: SocketAddr::new(host, 20_000 + 2 * slot),
            ..pair(0, slot)
        };
        let legs = [(IPV4, 0), (IPV4, 1), (IPV6, 2), (IPV4, 3), (IPV6, 4)];
        ports.offer(legs.map(|(host, slot)| of(host, slot)).to_vec());
        assert_eq!(ports.take_of(0, IPV6), Some(of(IPV6, 2)));
        assert_eq!(
            ports.take_two(IPV6),
            Some([of(IPV6, 4), of(IPV4, 0)]),
            "the second is of the other family where there is no more of this"
        );
        assert_eq!(ports.take_two(IPV6), None);
        assert_eq!(ports.free_count(), 2, "and none of a refused call is lost");
        assert_eq!(ports.take_of(0, IPV6), None);
        let mapped = "::ffff:192.0.2.1".parse().unwrap();
        assert_eq!(ports.take_two(mapped), Some([of(IPV4, 1), of(IPV4, 3)]));
    }

    #[test]
    fn both_legs_of_a_call_come_from_the_shard_that_has_most() {
        let mut ports = Ports::default();
        ports.offer(vec![
            pair(0, 0),
            pair(0, 1),
            pair(1, 0),
            pair(1, 1),
            pair(1, 2),
            pair(2, 0),
        ]);
        let shards =
            std::iter::from_fn(|| ports.take_two(IPV4)).map(|legs| legs.map(|lent| lent.leg.shard));
        assert_eq!(shards.collect::<Vec<_>>(), [[1, 1], [0, 0]]);
        assert_eq!(
            ports.free_count(),
            2,
            "two single pairs of two shards are no call"
        );
        assert!(ports.take_of(2, IPV4).is_some() && ports.take_of(2, IPV4).is_none());
    }

    #[test]
    fn the_longest_rested_pair_goes_first() {
        let mut ports = Ports::default();
        ports.offer(vec![pair(0, 7), pair(0, 3), pair(0, 5)]);
        assert_eq!(ports.take_two(IPV4), Some([pair(0, 7), pair(0, 3)]));
    }

    #[test]
    fn our_own_addresses_are_known_until_their_shard_is_lost() {
        let mut ports = Ports::default();
        ports.offer(vec![pair(0, 0), pair(0, 1), pair(0, 2), pair(1, 0)]);
        ports.take_two(IPV4);
        assert!(ports.is_ours("127.0.0.1:20000".parse().unwrap()));
        assert!(
            ports.is_ours("127.0.0.1:20001".parse().unwrap()),
            "its RTCP address too"
        );
        ports.forget_shard(0);
        for port in 20_000..20_006 {
            let address = SocketAddr::from(([127, 0, 0, 1], port));
            assert!(!ports.is_ours(address), "{address}, in use or free");
        }
        assert!(ports.is_ours("127.0.0.1:21000".parse().unwrap()));
        assert_eq!(ports.free_count(), 1, "the other shard's");
    }
}
