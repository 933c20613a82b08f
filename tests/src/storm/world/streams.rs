//! Peers that are reached by TCP, and what befalls their connections.

use std::{collections::BTreeSet, net::SocketAddr};

use exchange::{Input, Unreachable};
use sip_core::{Hop, Transport};

use super::World;
use crate::{
    net::{Dice, Packet, Weather},
    transition::chance,
};

/// Who is reached by TCP: in nearly every second storm one of the two, or both.
pub(super) fn draw(dice: &mut Dice, carrier: SocketAddr, pbx: SocketAddr) -> BTreeSet<SocketAddr> {
    let mut peers = BTreeSet::new();
    if chance(dice, 500) {
        peers.extend(chance(dice, 700).then_some(carrier));
        peers.extend(chance(dice, 700).then_some(pbx));
    }
    peers
}

impl World {
    /// The way between the exchange and a peer.
    pub(super) fn hop(&self, remote: SocketAddr) -> Hop {
        let transport = match self.by_stream.contains(&remote) {
            true => Transport::Tcp,
            false => Transport::Udp,
        };
        Hop {
            transport,
            local: self.exchange,
            remote,
        }
    }

    /// The same, as a telephone of that peer sees it.
    pub(super) fn hop_of_phone(&self, address: SocketAddr) -> Hop {
        Hop {
            local: address,
            remote: self.exchange,
            ..self.hop(address)
        }
    }

    /// Sends what a telephone or the exchange has written, as its peer is reached.
    pub(super) fn carry(&mut self, packet: Packet) {
        let now = self.clock.now().at;
        let is_sip = packet.from == self.exchange || packet.to == self.exchange;
        let ends = [packet.from, packet.to];
        let peer = ends.iter().find(|end| self.by_stream.contains(end));
        match peer {
            // Nobody takes the connection; whoever is there no more cuts none in two.
            Some(peer) if is_sip && self.dead.contains_key(peer) => self.net.send(now, packet),
            Some(_) if is_sip => self.connections.send(now, packet),
            Some(_) | None => self.net.send(now, packet),
        }
    }

    pub(super) fn weather(&mut self, weather: Weather) {
        self.net.set_weather(weather);
        self.connections.set_weather(weather);
    }

    /// Now and then a connection is lost, or its peer closes its direction.
    pub(super) fn befall_connections(&mut self) {
        for peer in self.by_stream.clone() {
            if self.dead.contains_key(&peer) {
                continue;
            }
            if chance(&mut self.stream_dice, 30) {
                self.lose_connection(peer);
                self.tally.count("a connection was lost", 1);
            } else if chance(&mut self.stream_dice, 30) {
                // What it has said before arrives, and it reads on.
                self.reference.way_lost(peer);
                let hop = self.hop(peer);
                self.tell(Input::Closed { hop });
                self.tally.count("a connection was closed on one side", 1);
            }
        }
    }

    fn lose_connection(&mut self, peer: SocketAddr) {
        self.watch.is_rough = true;
        self.connections.lose(peer);
        self.reference.way_lost(peer);
        let hop = self.hop(peer);
        self.tell(Input::Unreachable {
            hop,
            why: Unreachable::Lost,
        });
    }

    /// All peers live again; connections from before their death are no more.
    pub(super) fn revive(&mut self) {
        let dead: Vec<SocketAddr> = self.dead.keys().copied().collect();
        self.dead.clear();
        for peer in dead {
            if self.by_stream.contains(&peer) {
                self.lose_connection(peer);
            }
        }
    }

    /// The process has died, and every connection with it.
    pub(super) fn drop_connections(&mut self) {
        for peer in &self.by_stream {
            self.connections.lose(*peer);
        }
    }
}
