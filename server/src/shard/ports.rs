//! A shard's pairs of RTP and RTCP sockets: bound ahead of need, lent, taken back, rested, lent again.
//!
//! A pair that comes back may still receive the last call's packets, so it rests before the next call gets it:
//! five seconds while others are free, never less than half a second; the longest-rested goes first.

use std::{
    collections::VecDeque,
    io,
    net::SocketAddr,
    time::{Duration, Instant},
};

use media::{LegId, OfferedLeg, StreamSettings};
use mio::{Interest, Registry, Token, net::UdpSocket};

use crate::config::PortRange;

/// How long a pair rests while others are free.
const REST: Duration = Duration::from_secs(5);
/// How long a pair rests at least.
const SHORTEST_REST: Duration = Duration::from_millis(500);
/// Pairs of a range that are lent ahead, beside one for each pair in use: a burst of calls finds them, until the first are rested and
/// others are bound.
const AHEAD: usize = 1_024;
/// Pairs bound in one tick at most, so that binding never delays packets noticeably.
const BINDS_PER_TICK: usize = 32;

/// The part of a range that one shard uses: every `step`-th pair.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Share {
    pub(crate) range: PortRange,
    pub(crate) first_pair: u16,
    pub(crate) step: u16,
    /// Pairs this shard may have open at most.
    pub(crate) limit: usize,
}

impl Share {
    /// The parts of all ranges that one shard uses; `limit` is for all of them together, and what a range does not need of
    /// its part of it is left to those behind it.
    pub(crate) fn of(ranges: &[PortRange], first_pair: u16, step: u16, limit: usize) -> Vec<Share> {
        let mut left = limit;
        let waiting = (1..=ranges.len()).rev();
        ranges
            .iter()
            .zip(waiting)
            .map(|(&range, waiting)| {
                let share = Share {
                    range,
                    first_pair,
                    step,
                    limit: (left / waiting).max(1),
                };
                left = left.saturating_sub(share.len());
                share
            })
            .collect()
    }

    fn pairs(self) -> impl Iterator<Item = u16> {
        let count = u16::try_from(self.range.pairs()).unwrap_or(u16::MAX);
        (self.first_pair..count)
            .step_by(usize::from(self.step))
            .take(self.limit)
    }

    /// Pairs that this share holds.
    pub(crate) fn len(self) -> usize {
        self.pairs().count()
    }
}

/// What a socket of a pair carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Rtp,
    Rtcp,
}

/// Whether a pair is with the exchange, in use, or at rest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Lent,
    InUse,
    Resting { since: Instant },
}

#[derive(Debug)]
pub(crate) struct Slot {
    rtp: UdpSocket,
    rtcp: UdpSocket,
    local: SocketAddr,
    /// The range it belongs to.
    pool: usize,
    /// The code point that the kernel marks its packets with.
    dscp: u8,
    /// Whom the RTP and the RTCP socket are connected to.
    peers: [Option<SocketAddr>; 2],
    generation: u32,
    state: State,
}

/// All pairs of one shard.
#[derive(Debug)]
pub(crate) struct Ports {
    shard: u16,
    pools: Vec<Pool>,
    slots: Vec<Slot>,
    /// Pairs that could not be bound since it was last told.
    left_out: usize,
}

/// The pairs of one range.
#[derive(Debug)]
struct Pool {
    range: PortRange,
    unbound: VecDeque<u16>,
    resting: VecDeque<u32>,
    lent: usize,
    in_use: usize,
}

impl Pool {
    fn new(share: Share) -> Pool {
        Pool {
            range: share.range,
            unbound: share.pairs().collect(),
            resting: VecDeque::new(),
            lent: 0,
            in_use: 0,
        }
    }
}

impl Ports {
    pub(crate) fn new(shard: u16, shares: &[Share]) -> Ports {
        Ports {
            shard,
            pools: shares.iter().copied().map(Pool::new).collect(),
            slots: Vec::new(),
            left_out: 0,
        }
    }

    /// The leg that a token of the poll belongs to, as it is lent at this time.
    pub(crate) fn leg_of(&self, token: Token) -> Option<(LegId, Kind)> {
        let slot = u32::try_from(token.0 / 2).ok()?;
        let kind = if token.0.is_multiple_of(2) {
            Kind::Rtp
        } else {
            Kind::Rtcp
        };
        Some((self.leg(slot)?, kind))
    }

    fn leg(&self, slot: u32) -> Option<LegId> {
        let held = self.slots.get(usize::try_from(slot).ok()?)?;
        Some(LegId {
            shard: self.shard,
            slot,
            generation: held.generation,
        })
    }

    /// The slot of a leg, unless the leg is an earlier one on the same pair.
    fn slot(&mut self, leg: LegId) -> Option<&mut Slot> {
        let slot = self.slots.get_mut(usize::try_from(leg.slot).ok()?)?;
        (slot.generation == leg.generation).then_some(slot)
    }

    /// The socket of a leg.
    pub(crate) fn socket(&self, leg: LegId, kind: Kind) -> Option<&UdpSocket> {
        let slot = self.slots.get(usize::try_from(leg.slot).ok()?)?;
        Some(match kind {
            Kind::Rtp => &slot.rtp,
            Kind::Rtcp => &slot.rtcp,
        })
    }

    /// Sends a packet. One that the kernel does not take is lost like any other packet on a network.
    pub(crate) fn send(&self, leg: LegId, kind: Kind, packet: &[u8], to: SocketAddr) {
        let Some(slot) = usize::try_from(leg.slot)
            .ok()
            .and_then(|slot| self.slots.get(slot))
        else {
            return;
        };
        let (socket, peer) = match kind {
            Kind::Rtp => (&slot.rtp, slot.peers[0]),
            Kind::Rtcp => (&slot.rtcp, slot.peers[1]),
        };
        // On a connected socket the kernel need not look up the way again.
        let _ = if peer == Some(to) {
            socket.send(packet)
        } else {
            socket.send_to(packet, to)
        };
    }

    /// Asks epoll to tell of a socket again, although nothing new has arrived there.
    pub(crate) fn rearm(&mut self, registry: &Registry, leg: LegId, kind: Kind, token: Token) {
        let Some(slot) = self.slot(leg) else {
            return;
        };
        let socket = match kind {
            Kind::Rtp => &mut slot.rtp,
            Kind::Rtcp => &mut slot.rtcp,
        };
        // A socket that cannot be registered again is heard at its next packet.
        let _ = registry.reregister(socket, token, Interest::READABLE);
    }

    /// A leg is opened towards its peer: the kernel now refuses every other sender, and marks what is sent.
    pub(crate) fn open(&mut self, leg: LegId, stream: &StreamSettings) {
        let Some(slot) = self.slot(leg) else {
            return;
        };
        let (rtp, rtcp) = (stream.remote_rtp, stream.remote_rtcp);
        // A peer that holds in the old way is nowhere: the sockets keep the address they have, as the engine does. To the
        // kernel that address would be this host.
        if !rtp.ip().is_unspecified() {
            // A peer that cannot be reached yet leaves the socket unconnected; the engine checks every source anyway.
            slot.peers = [
                slot.rtp.connect(rtp).ok().map(|()| rtp),
                slot.rtcp.connect(rtcp).ok().map(|()| rtcp),
            ];
        }
        slot.mark(stream.dscp);
        let pool = slot.pool;
        if slot.state == State::Lent {
            slot.state = State::InUse;
            self.pools[pool].lent -= 1;
            self.pools[pool].in_use += 1;
        }
    }

    /// A leg has ended: its pair rests.
    pub(crate) fn take_back(&mut self, leg: LegId, now: Instant) {
        let Some(slot) = self.slot(leg) else {
            return;
        };
        for socket in [&slot.rtp, &slot.rtcp] {
            // Connected or not, it is not connected afterwards; the engine checks every source.
            let _ = rustix::net::connect_unspec(socket);
        }
        slot.peers = [None, None];
        slot.generation = slot.generation.wrapping_add(1);
        let pool = slot.pool;
        let before = std::mem::replace(&mut slot.state, State::Resting { since: now });
        let pool = &mut self.pools[pool];
        match before {
            State::Lent => pool.lent -= 1,
            State::InUse => pool.in_use -= 1,
            State::Resting { .. } => return,
        }
        pool.resting.push_back(leg.slot);
    }

    /// Lends pairs until enough of each range are ahead of need.
    pub(crate) fn lend(
        &mut self,
        registry: &Registry,
        now: Instant,
        offered: &mut Vec<OfferedLeg>,
    ) {
        for pool in 0..self.pools.len() {
            self.fill(pool, registry, now, offered);
        }
        let pairs = std::mem::take(&mut self.left_out);
        if pairs > 0 {
            tracing::warn!(
                shard = self.shard,
                pairs,
                "media ports that somebody else holds were left out"
            );
        }
    }

    fn fill(
        &mut self,
        pool: usize,
        registry: &Registry,
        now: Instant,
        offered: &mut Vec<OfferedLeg>,
    ) {
        let wanted = AHEAD + self.pools[pool].in_use;
        let mut binds_left = BINDS_PER_TICK;
        while self.pools[pool].lent < wanted {
            let slot = if let Some(rested) = self.rested(pool, now, REST) {
                Some(rested)
            } else if binds_left > 0 && !self.pools[pool].unbound.is_empty() {
                binds_left -= 1;
                match self.bind_next(pool, registry) {
                    Some(fresh) => Some(fresh),
                    None => continue, // Somebody else has that port; the next may be free.
                }
            } else {
                self.rested(pool, now, SHORTEST_REST)
            };
            let Some(slot) = slot else { return };
            let Some(leg) = self.leg(slot) else { return };
            let Some(held) = self.slot(leg) else { return };
            held.state = State::Lent;
            drain(&held.rtp);
            drain(&held.rtcp);
            let rtp = held.local;
            self.pools[pool].lent += 1;
            offered.push(OfferedLeg { leg, rtp });
        }
    }

    /// The longest-rested pair, if it has rested that long.
    fn rested(&mut self, pool: usize, now: Instant, rest: Duration) -> Option<u32> {
        let slot = *self.pools[pool].resting.front()?;
        let State::Resting { since } = self.slots.get(usize::try_from(slot).ok()?)?.state else {
            return None;
        };
        if now.saturating_duration_since(since) < rest {
            return None;
        }
        self.pools[pool].resting.pop_front()
    }

    fn bind_next(&mut self, pool: usize, registry: &Registry) -> Option<u32> {
        let range = self.pools[pool].range;
        let pair = self.pools[pool].unbound.pop_front()?;
        let port = range.first + 2 * pair;
        let local = SocketAddr::new(range.address, port);
        let bound = UdpSocket::bind(local).and_then(|rtp| {
            let rtcp = UdpSocket::bind(SocketAddr::new(range.address, port + 1))?;
            Ok((rtp, rtcp))
        });
        let (mut rtp, mut rtcp) = match bound {
            Ok(pair) => pair,
            Err(fault) => {
                tracing::debug!(port, %fault, "a pair of media ports was left out");
                self.left_out += 1;
                return None;
            }
        };
        let index = self.slots.len();
        let registered = registry
            .register(&mut rtp, Token(index * 2), Interest::READABLE)
            .and_then(|()| registry.register(&mut rtcp, Token(index * 2 + 1), Interest::READABLE));
        if let Err(fault) = registered {
            tracing::debug!(port, %fault, "a pair of media ports was left out");
            self.left_out += 1;
            return None;
        }
        let slot = u32::try_from(index).ok()?;
        self.slots.push(Slot {
            rtp,
            rtcp,
            local,
            pool,
            dscp: 0,
            peers: [None, None],
            generation: 0,
            state: State::Lent,
        });
        Some(slot)
    }
}

impl Slot {
    /// Marks what leaves by both sockets (RFC 2474), where that changes. A kernel that does not allow it leaves packets
    /// unmarked: no call depends on it.
    fn mark(&mut self, dscp: u8) {
        if self.dscp == dscp {
            return;
        }
        // The two bits below are congestion's.
        let octet = dscp.min(63) << 2;
        let set = |socket: &UdpSocket| match self.local {
            SocketAddr::V4(_) => rustix::net::sockopt::set_ip_tos(socket, octet),
            SocketAddr::V6(_) => rustix::net::sockopt::set_ipv6_tclass(socket, octet.into()),
        };
        if let Err(fault) = set(&self.rtp).and_then(|()| set(&self.rtcp)) {
            tracing::debug!(dscp, %fault, "media packets could not be marked");
        }
        self.dscp = dscp;
    }
}

/// Reads away what arrived before the pair was lent.
fn drain(socket: &UdpSocket) {
    let mut bytes = [0; 16];
    const MOST: usize = 1_024; // A flood must not hold the shard; what is left, the engine refuses by its source.
    for _ in 0..MOST {
        match socket.recv_from(&mut bytes) {
            Ok(_) => {}
            Err(fault) if fault.kind() == io::ErrorKind::WouldBlock => return,
            Err(_) => {} // An ICMP message about the last call; it is read away too.
        }
    }
}

#[cfg(test)]
mod tests {
    //! The clock is given: no test waits. The sockets are real, on the loopback.

    use super::*;

    fn ports(first: u16, pairs: u16) -> (Ports, mio::Poll) {
        let last = first + 2 * pairs - 1;
        let range = PortRange {
            address: "127.0.77.1".parse().unwrap(),
            first,
            last,
        };
        let share = Share {
            range,
            first_pair: 0,
            step: 1,
            limit: usize::MAX,
        };
        (Ports::new(3, &[share]), mio::Poll::new().unwrap())
    }

    fn range(address: &str, first: u16, pairs: u16) -> PortRange {
        PortRange {
            address: address.parse().unwrap(),
            first,
            last: first + 2 * pairs - 1,
        }
    }

    fn towards(peer: SocketAddr, dscp: u8) -> StreamSettings {
        StreamSettings {
            remote_rtp: peer,
            remote_rtcp: SocketAddr::new(peer.ip(), peer.port() + 1),
            codec: media::Codec::Pcmu,
            payload_type: 0,
            events: None,
            noise: None,
            ptime_ms: 20,
            direction: media::sdp::Direction::SendReceive,
            crypto: None,
            silence: None,
            dscp,
        }
    }

    #[test]
    fn pairs_of_both_families_are_lent_ahead_and_come_back_to_their_own_range() {
        let ranges = [range("127.0.77.1", 24_000, 3), range("::1", 24_100, 2)];
        let mut ports = Ports::new(3, &Share::of(&ranges, 0, 1, 1_000));
        let poll = mio::Poll::new().unwrap();
        let begin = Instant::now();
        let first = lend(&mut ports, &poll, begin);
        let of = |offered: &[OfferedLeg], is_ipv6| -> Vec<OfferedLeg> {
            let mut legs = offered.to_vec();
            legs.retain(|leg| leg.rtp.is_ipv6() == is_ipv6);
            legs
        };
        assert_eq!((of(&first, false).len(), of(&first, true).len()), (3, 2));
        let ipv6 = of(&first, true)[0];
        ports.open(ipv6.leg, &towards("[::1]:24900".parse().unwrap(), 0));
        ports.take_back(ipv6.leg, begin);
        let again = lend(&mut ports, &poll, begin + SHORTEST_REST);
        assert_eq!(again.len(), 1);
        assert_eq!(again[0].rtp, ipv6.rtp);
        assert_eq!(again[0].leg.generation, 1);
    }

    #[test]
    fn what_a_small_range_leaves_of_the_limit_goes_to_the_next() {
        let ranges = [range("127.0.77.1", 24_200, 10), range("::1", 24_300, 100)];
        let shares = Share::of(&ranges, 1, 2, 40);
        let lens = shares.iter().map(|share| share.len()).collect::<Vec<_>>();
        assert_eq!(lens, [5, 35]);
        let shares = Share::of(&ranges, 0, 1, 2);
        let lens = shares.iter().map(|share| share.len()).collect::<Vec<_>>();
        assert_eq!(lens, [1, 1]);
    }

    #[test]
    fn packets_of_a_leg_are_marked_as_its_trunk_asks_and_those_of_the_next_call_anew() {
        let ranges = [range("127.0.77.1", 24_400, 2), range("::1", 24_500, 2)];
        let mut ports = Ports::new(3, &Share::of(&ranges, 0, 1, 100));
        let poll = mio::Poll::new().unwrap();
        let begin = Instant::now();
        for offered in lend(&mut ports, &poll, begin) {
            for dscp in [46, 34, 0] {
                let peer = SocketAddr::new(offered.rtp.ip(), 24_900);
                ports.open(offered.leg, &towards(peer, dscp));
                for kind in [Kind::Rtp, Kind::Rtcp] {
                    let socket = ports.socket(offered.leg, kind).unwrap();
                    let octet = if offered.rtp.is_ipv6() {
                        rustix::net::sockopt::ipv6_tclass(socket).unwrap()
                    } else {
                        u32::from(rustix::net::sockopt::ip_tos(socket).unwrap())
                    };
                    assert_eq!(octet >> 2, u32::from(dscp), "{kind:?} of {offered:?}");
                }
            }
        }
    }

    #[test]
    fn a_hold_in_the_old_way_does_not_turn_the_sockets_to_this_host() {
        let (mut ports, poll) = ports(24_600, 2);
        let leg = lend(&mut ports, &poll, Instant::now())[0].leg;
        let peer: SocketAddr = "127.0.77.9:24900".parse().unwrap();
        ports.open(leg, &towards(peer, 0));
        ports.open(leg, &towards("0.0.0.0:24900".parse().unwrap(), 0));
        let socket = ports.socket(leg, Kind::Rtp).unwrap();
        assert_eq!(socket.peer_addr().unwrap(), peer);
    }

    fn lend(ports: &mut Ports, poll: &mio::Poll, now: Instant) -> Vec<OfferedLeg> {
        let mut offered = Vec::new();
        ports.lend(poll.registry(), now, &mut offered);
        offered
    }

    #[test]
    fn a_pair_comes_back_with_a_new_generation_and_never_before_half_a_second() {
        let (mut ports, poll) = ports(21_000, 2);
        let begin = Instant::now();
        let first = lend(&mut ports, &poll, begin);
        assert_eq!(first.len(), 2, "the whole range is lent ahead");
        ports.take_back(first[1].leg, begin);
        ports.take_back(first[0].leg, begin + Duration::from_millis(100));
        assert!(lend(&mut ports, &poll, begin + Duration::from_millis(499)).is_empty());
        let again = lend(&mut ports, &poll, begin + Duration::from_millis(500));
        assert_eq!(again.len(), 1, "only the longest-rested has rested enough");
        assert_eq!(again[0].rtp, first[1].rtp);
        assert_eq!(again[0].leg.generation, 1);
        assert!(ports.socket(first[1].leg, Kind::Rtp).is_some());
        assert!(
            ports.slot(first[1].leg).is_none(),
            "the earlier leg is gone"
        );
    }

    #[test]
    fn a_fresh_pair_is_lent_before_one_that_rests_less_than_five_seconds() {
        crate::descriptors::raise().unwrap();
        let (mut ports, poll) = ports(21_100, 1_100);
        let begin = Instant::now();
        let ticks = AHEAD / BINDS_PER_TICK;
        let first: Vec<OfferedLeg> = (0..ticks)
            .flat_map(|_| lend(&mut ports, &poll, begin))
            .collect();
        assert_eq!(first.len(), AHEAD);
        ports.take_back(first[0].leg, begin);
        let second = lend(&mut ports, &poll, begin + Duration::from_secs(1));
        assert_ne!(second[0].rtp, first[0].rtp);
        ports.take_back(first[1].leg, begin + Duration::from_secs(1));
        let third = lend(&mut ports, &poll, begin + Duration::from_secs(6));
        assert_eq!(
            third[0].rtp, first[0].rtp,
            "five seconds have passed for the first pair"
        );
    }

    #[test]
    fn a_port_that_somebody_else_has_is_left_out() {
        let taken = std::net::UdpSocket::bind("127.0.77.1:23600").unwrap();
        let (mut ports, poll) = ports(23_600, 2);
        let offered = lend(&mut ports, &poll, Instant::now());
        assert_eq!(
            offered.iter().map(|leg| leg.rtp.port()).collect::<Vec<_>>(),
            [23_602]
        );
        drop(taken);
    }
}
