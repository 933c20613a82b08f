//! Connections: what two addresses say to each other arrives once and in order, cut anywhere, until the connection is lost.
//!
//! Whoever reads parts the messages as the service does, with `sip_core::StreamFrames`; a new connection begins a new stream.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    time::{Duration, Instant},
};

use sip_core::StreamFrames;

use crate::net::{Dice, Packet, Weather};

/// What waits for a packet that was lost below: the first time after which a kernel sends again.
const STALL: Duration = Duration::from_millis(200);

/// A message is cut into so many pieces at most.
const MOST_PIECES: u64 = 4;

/// All connections of a world; see the module.
#[derive(Debug)]
pub struct Connections {
    dice: Dice,
    weather: Weather,
    ways: BTreeMap<(SocketAddr, SocketAddr), Way>,
    on_the_way: BTreeMap<(Instant, u64), Piece>,
    sent: u64,
    /// Messages that came in pieces.
    pub cut: u64,
    /// Pieces that waited for what was lost below.
    pub stalled: u64,
    /// Connections that were made anew.
    pub reopened: u64,
}

/// One direction between two addresses.
#[derive(Debug)]
struct Way {
    stands: Stands,
    frames: StreamFrames,
    /// When the last piece arrives: none overtakes another.
    last: Instant,
}

/// Whether a connection stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stands {
    Yes,
    Lost,
}

#[derive(Debug)]
struct Piece {
    from: SocketAddr,
    to: SocketAddr,
    octets: Vec<u8>,
}

impl Connections {
    /// None yet.
    pub fn new(seed: u64) -> Connections {
        Connections {
            dice: Dice::new(seed),
            weather: Weather::default(),
            ways: BTreeMap::new(),
            on_the_way: BTreeMap::new(),
            sent: 0,
            cut: 0,
            stalled: 0,
            reopened: 0,
        }
    }

    /// The weather changes.
    pub fn set_weather(&mut self, weather: Weather) {
        self.weather = weather;
    }

    /// Takes a message; a connection that was lost is made anew for it.
    pub fn send(&mut self, now: Instant, message: Packet) {
        let Packet { from, to, payload } = message;
        let way = self.ways.entry((from, to)).or_insert_with(|| Way {
            stands: Stands::Yes,
            frames: StreamFrames::new(),
            last: now,
        });
        if way.stands == Stands::Lost {
            way.stands = Stands::Yes;
            self.reopened += 1;
        }
        let pieces = 1 + self.dice.roll() % MOST_PIECES;
        self.cut += u64::from(pieces > 1);
        let length = payload.len() / usize::try_from(pieces).expect("few") + 1;
        for octets in payload.chunks(length) {
            let mut arrival = way.last.max(now + self.weather.delay);
            arrival += Duration::from_millis(self.dice.roll() % 3);
            if self.dice.roll() % 1_000 < u64::from(self.weather.loss_permille) {
                self.stalled += 1;
                arrival += STALL;
            }
            way.last = arrival;
            self.sent += 1;
            let octets = octets.to_vec();
            let piece = Piece { from, to, octets };
            self.on_the_way.insert((arrival, self.sent), piece);
        }
    }

    /// When the next piece arrives.
    pub fn next_due(&self) -> Option<Instant> {
        self.on_the_way.keys().next().map(|(arrival, _)| *arrival)
    }

    /// The next piece that has arrived: the messages that are whole by it.
    pub fn deliver(&mut self, now: Instant) -> Option<Vec<Packet>> {
        let first = self.on_the_way.first_entry()?;
        if first.key().0 > now {
            return None;
        }
        let Piece { from, to, octets } = first.remove();
        let mut messages = Vec::new();
        if let Some(way) = self.ways.get_mut(&(from, to)) {
            way.frames.push(&octets);
            while let Some(Ok(message)) = way.frames.poll() {
                let payload = message.to_vec();
                messages.push(Packet { from, to, payload });
            }
        }
        Some(messages)
    }

    /// The connection with a peer is lost, and all that is on its way either way.
    pub fn lose(&mut self, peer: SocketAddr) {
        self.on_the_way
            .retain(|_, piece| piece.from != peer && piece.to != peer);
        for ((from, to), way) in &mut self.ways {
            if *from == peer || *to == peer {
                way.stands = Stands::Lost;
                way.frames = StreamFrames::new();
            }
        }
    }
}
