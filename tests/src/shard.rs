//! A media shard without sockets: one real engine, and port pairs that it lends.

use std::{collections::BTreeMap, net::SocketAddr, time::Instant};

use media::{Command, Engine, Event, LegId, OfferedLeg, Settings};

use crate::net::Packet;

/// The largest RTP packet of a telephone here.
const MOST_OCTETS: usize = 512;

/// A shard.
#[derive(Debug)]
pub struct Shard {
    index: u16,
    engine: Engine,
    address: SocketAddr,
    legs: BTreeMap<u32, LegId>,
}

impl Shard {
    /// A shard whose ports lie from `address` on, two for each leg.
    pub fn new(index: u16, address: SocketAddr, legs: u32, seed: u64) -> Shard {
        let mut octets = [0; 32];
        octets[..8].copy_from_slice(&seed.to_le_bytes());
        let legs = (0..legs)
            .map(|slot| {
                (
                    slot,
                    LegId {
                        shard: index,
                        slot,
                        generation: 0,
                    },
                )
            })
            .collect::<BTreeMap<_, _>>();
        let most = u32::try_from(legs.len()).expect("few legs");
        Shard {
            index,
            engine: Engine::new(
                Settings {
                    shard: index,
                    max_legs: most,
                },
                octets,
            ),
            address,
            legs,
        }
    }

    /// Everything it lends at its start.
    pub fn offer_all(&self) -> Vec<OfferedLeg> {
        self.legs
            .values()
            .map(|leg| OfferedLeg {
                leg: *leg,
                rtp: self.rtp(*leg),
            })
            .collect()
    }

    fn rtp(&self, leg: LegId) -> SocketAddr {
        SocketAddr::new(
            self.address.ip(),
            self.address.port() + 2 * u16::try_from(leg.slot).expect("few slots"),
        )
    }

    /// Which leg an address belongs to, and whether it is its RTCP address.
    fn leg_at(&self, address: SocketAddr) -> Option<(LegId, bool)> {
        if address.ip() != self.address.ip() {
            return None;
        }
        let offset = address.port().checked_sub(self.address.port())?;
        let leg = self.legs.get(&u32::from(offset / 2))?;
        Some((*leg, offset % 2 == 1))
    }

    /// Whether a packet is for this shard.
    pub fn is_mine(&self, address: SocketAddr) -> bool {
        self.leg_at(address).is_some()
    }

    /// Which shard it is.
    pub fn index(&self) -> u16 {
        self.index
    }

    /// Takes a command; what comes back is lent again.
    pub fn handle_command(&mut self, now: Instant, command: Command) -> Vec<OfferedLeg> {
        let closed = if let Command::Close { leg } = &command {
            Some(*leg)
        } else {
            None
        };
        self.engine.handle_command(now, command);
        let Some(leg) = closed.filter(|leg| self.legs.get(&leg.slot) == Some(leg)) else {
            return Vec::new();
        };
        let next = LegId {
            generation: leg.generation + 1,
            ..leg
        };
        self.legs.insert(leg.slot, next);
        vec![OfferedLeg {
            leg: next,
            rtp: self.rtp(next),
        }]
    }

    /// Takes a packet; gives back what is to be sent on.
    pub fn handle_packet(&mut self, now: Instant, packet: &Packet) -> Option<Packet> {
        let (leg, is_rtcp) = self.leg_at(packet.to)?;
        if is_rtcp {
            self.engine
                .handle_rtcp(now, leg, packet.from, &packet.payload);
            return None;
        }
        let mut octets = packet.payload.clone();
        let length = octets.len();
        // A sealed packet is longer than the plain one that came.
        octets.resize(length.max(MOST_OCTETS), 0);
        let forward = self
            .engine
            .handle_rtp(now, leg, packet.from, &mut octets, length)?;
        octets.truncate(forward.len);
        Some(Packet {
            from: self.rtp(forward.leg),
            to: forward.to,
            payload: octets,
        })
    }

    /// Fires what is due.
    pub fn handle_timeout(&mut self, now: Instant) {
        self.engine.handle_timeout(now);
    }

    /// The next packet of the engine's own.
    pub fn poll_packet(&mut self) -> Option<Packet> {
        let mut buffer = [0; MOST_OCTETS];
        let transmit = self.engine.poll_transmit(&mut buffer)?;
        let rtp = self.rtp(transmit.leg);
        let from = if transmit.rtcp {
            SocketAddr::new(rtp.ip(), rtp.port() + 1)
        } else {
            rtp
        };
        Some(Packet {
            from,
            to: transmit.to,
            payload: buffer[..transmit.len].to_vec(),
        })
    }

    /// The next event.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.engine.poll_event()
    }

    /// When something is due.
    pub fn next_due(&mut self) -> Option<Instant> {
        self.engine.poll_timeout().map(|(due, _)| due)
    }
}
