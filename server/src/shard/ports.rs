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

use media::{LegId, OfferedLeg};
use mio::{Interest, Registry, Token, net::UdpSocket};

use crate::config::PortRange;

/// How long a pair rests while others are free.
const REST: Duration = Duration::from_secs(5);
/// How long a pair rests at least.
const SHORTEST_REST: Duration = Duration::from_millis(500);
/// Pairs that are lent ahead, beside one for each pair in use: a burst of calls between two ticks finds them.
const AHEAD: usize = 256;
/// Pairs bound in one tick at most, so that binding never delays packets noticeably.
const BINDS_PER_TICK: usize = 32;

/// The part of the range that one shard uses: every `step`-th pair.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Share {
    pub(crate) range: PortRange,
    pub(crate) first_pair: u16,
    pub(crate) step: u16,
    /// Pairs this shard may have open at most.
    pub(crate) limit: usize,
}

impl Share {
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
    /// Whom the RTP and the RTCP socket are connected to.
    peers: [Option<SocketAddr>; 2],
    generation: u32,
    state: State,
}

/// All pairs of one shard.
#[derive(Debug)]
pub(crate) struct Ports {
    shard: u16,
    address_pairs: VecDeque<u16>,
    range: PortRange,
    slots: Vec<Slot>,
    resting: VecDeque<u32>,
    lent: usize,
    in_use: usize,
    /// Pairs that could not be bound since it was last told.
    left_out: usize,
}

impl Ports {
    pub(crate) fn new(shard: u16, share: Share) -> Ports {
        Ports {
            shard,
            address_pairs: share.pairs().collect(),
            range: share.range,
            slots: Vec::new(),
            resting: VecDeque::new(),
            lent: 0,
            in_use: 0,
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

    /// A leg is opened towards its peer: the kernel now refuses every other sender.
    pub(crate) fn open(&mut self, leg: LegId, rtp: SocketAddr, rtcp: SocketAddr) {
        let Some(slot) = self.slot(leg) else {
            return;
        };
        // A peer that cannot be reached yet leaves the socket unconnected; the engine checks every source anyway.
        slot.peers = [
            slot.rtp.connect(rtp).ok().map(|()| rtp),
            slot.rtcp.connect(rtcp).ok().map(|()| rtcp),
        ];
        if slot.state == State::Lent {
            slot.state = State::InUse;
            self.lent -= 1;
            self.in_use += 1;
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
        let before = std::mem::replace(&mut slot.state, State::Resting { since: now });
        match before {
            State::Lent => self.lent -= 1,
            State::InUse => self.in_use -= 1,
            State::Resting { .. } => return,
        }
        self.resting.push_back(leg.slot);
    }

    /// Lends pairs until enough are ahead of need.
    pub(crate) fn lend(
        &mut self,
        registry: &Registry,
        now: Instant,
        offered: &mut Vec<OfferedLeg>,
    ) {
        self.fill(registry, now, offered);
        let pairs = std::mem::take(&mut self.left_out);
        if pairs > 0 {
            tracing::warn!(
                shard = self.shard,
                pairs,
                "media ports that somebody else holds were left out"
            );
        }
    }

    fn fill(&mut self, registry: &Registry, now: Instant, offered: &mut Vec<OfferedLeg>) {
        let wanted = AHEAD + self.in_use;
        let mut binds_left = BINDS_PER_TICK;
        while self.lent < wanted {
            let slot = if let Some(rested) = self.rested(now, REST) {
                Some(rested)
            } else if binds_left > 0 && !self.address_pairs.is_empty() {
                binds_left -= 1;
                match self.bind_next(registry) {
                    Some(fresh) => Some(fresh),
                    None => continue, // Somebody else has that port; the next may be free.
                }
            } else {
                self.rested(now, SHORTEST_REST)
            };
            let Some(slot) = slot else { return };
            let Some(leg) = self.leg(slot) else { return };
            let Some(held) = self.slot(leg) else { return };
            held.state = State::Lent;
            drain(&held.rtp);
            drain(&held.rtcp);
            let rtp = held.local;
            self.lent += 1;
            offered.push(OfferedLeg { leg, rtp });
        }
    }

    /// The longest-rested pair, if it has rested that long.
    fn rested(&mut self, now: Instant, rest: Duration) -> Option<u32> {
        let slot = *self.resting.front()?;
        let State::Resting { since } = self.slots.get(usize::try_from(slot).ok()?)?.state else {
            return None;
        };
        if now.saturating_duration_since(since) < rest {
            return None;
        }
        self.resting.pop_front()
    }

    fn bind_next(&mut self, registry: &Registry) -> Option<u32> {
        let pair = self.address_pairs.pop_front()?;
        let port = self.range.first + 2 * pair;
        let local = SocketAddr::new(self.range.address, port);
        let bound = UdpSocket::bind(local).and_then(|rtp| {
            let rtcp = UdpSocket::bind(SocketAddr::new(self.range.address, port + 1))?;
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
            peers: [None, None],
            generation: 0,
            state: State::Lent,
        });
        Some(slot)
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
        (Ports::new(3, share), mio::Poll::new().unwrap())
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
        let (mut ports, poll) = ports(21_100, 600);
        let begin = Instant::now();
        let mut first = Vec::new();
        while first.len() < AHEAD {
            first.extend(lend(&mut ports, &poll, begin));
        }
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
