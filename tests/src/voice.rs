//! The voice of a telephone: RTP every 20 ms, each frame with its number in it, and everything that is heard.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    time::{Duration, Instant},
};

use crate::net::Packet;

const FRAME: Duration = Duration::from_millis(20);

/// One telephone's RTP.
#[derive(Debug)]
pub struct Voice {
    /// Where it receives and sends from.
    pub local: SocketAddr,
    /// Which of the two it is; stands in every frame.
    pub side: u8,
    remote: Option<SocketAddr>,
    payload_type: u8,
    next: Option<Instant>,
    frame: u32,
    /// When each frame was sent, by its number.
    pub sent: BTreeMap<u32, Instant>,
    /// What was heard.
    pub heard: Vec<Heard>,
    digit: Option<Digit>,
}

/// A packet that was heard.
#[derive(Debug, Clone)]
pub struct Heard {
    /// When.
    pub at: Instant,
    /// From where.
    pub from: SocketAddr,
    /// Its payload type.
    pub payload_type: u8,
    /// Its sequence number.
    pub sequence: u16,
    /// Its timestamp.
    pub timestamp: u32,
    /// Its source.
    pub ssrc: u32,
    /// Its sound.
    pub payload: Vec<u8>,
}

/// A key that is held down.
#[derive(Debug)]
struct Digit {
    key: u8,
    packets_left: u8,
    timestamp: u32,
}

/// Stands at the beginning of each spoken frame, so that speech can be told from prompt and tone.
const SPEECH: [u8; 3] = [0x11, 0x77, 0x11];

impl Voice {
    /// A silent telephone.
    pub fn new(local: SocketAddr, side: u8) -> Voice {
        let heard = Vec::new();
        Voice {
            local,
            side,
            remote: None,
            payload_type: 0,
            next: None,
            frame: 0,
            sent: BTreeMap::new(),
            heard,
            digit: None,
        }
    }

    /// Begins to speak to an address.
    pub fn speak(&mut self, now: Instant, remote: SocketAddr, payload_type: u8) {
        self.remote = Some(remote);
        self.payload_type = payload_type;
        self.next.get_or_insert(now + FRAME);
    }

    /// What it says from here on goes elsewhere, or is coded otherwise.
    pub fn turn_to(&mut self, remote: SocketAddr, payload_type: u8) {
        self.remote = Some(remote);
        self.payload_type = payload_type;
    }

    /// Speaks on to where it spoke before.
    pub fn go_on(&mut self, now: Instant) {
        if self.remote.is_some() {
            self.next.get_or_insert(now + FRAME);
        }
    }

    /// Falls silent.
    pub fn hush(&mut self) {
        self.next = None;
    }

    /// Holds a key for 100 ms (RFC 4733).
    pub fn press(&mut self, key: u8) {
        self.digit = Some(Digit {
            key,
            packets_left: 5,
            timestamp: self.frame.wrapping_mul(160),
        });
    }

    /// When it speaks next.
    pub fn next_due(&self) -> Option<Instant> {
        self.next
    }

    /// The frame that is due.
    pub fn poll(&mut self, now: Instant) -> Option<Packet> {
        let due = self.next.filter(|due| *due <= now)?;
        let remote = self.remote?;
        self.next = Some(due + FRAME);
        self.frame += 1;
        let payload = match &mut self.digit {
            Some(digit) => {
                let (payload, is_last) = digit.packet(self.frame, self.side);
                if is_last {
                    self.digit = None;
                }
                payload
            }
            None => {
                self.sent.insert(self.frame, now);
                self.packet(
                    self.payload_type,
                    self.frame * 160,
                    &frame(self.side, self.frame, self.local.port()),
                )
            }
        };
        Some(Packet {
            from: self.local,
            to: remote,
            payload,
        })
    }

    fn packet(&self, payload_type: u8, timestamp: u32, payload: &[u8]) -> Vec<u8> {
        rtp(self.side, payload_type, self.frame, timestamp, payload)
    }

    /// Takes a packet that arrived.
    pub fn hear(&mut self, now: Instant, packet: &Packet) {
        let octets = &packet.payload;
        if octets.len() < 12 || packet.to != self.local {
            return;
        }
        self.heard.push(Heard {
            at: now,
            from: packet.from,
            payload_type: octets[1] & 0x7f,
            sequence: u16::from_be_bytes([octets[2], octets[3]]),
            timestamp: u32::from_be_bytes([octets[4], octets[5], octets[6], octets[7]]),
            ssrc: u32::from_be_bytes([octets[8], octets[9], octets[10], octets[11]]),
            payload: octets[12..].to_vec(),
        });
    }

    /// Frames of the other side's speech that were heard: their numbers.
    pub fn heard_speech(&self) -> Vec<u32> {
        self.heard
            .iter()
            .filter_map(|heard| spoken(&heard.payload))
            .filter(|(side, _)| *side != self.side)
            .map(|(_, number)| number)
            .collect()
    }
}

impl Digit {
    fn packet(&mut self, sequence: u32, side: u8) -> (Vec<u8>, bool) {
        self.packets_left -= 1;
        let is_last = self.packets_left == 0;
        let end = if is_last { 0x80 } else { 0 };
        let duration = (5 - u16::from(self.packets_left)) * 160;
        let [high, low] = duration.to_be_bytes();
        (
            rtp(
                side,
                101,
                sequence,
                self.timestamp,
                &[self.key, end | 10, high, low],
            ),
            is_last,
        )
    }
}

fn rtp(side: u8, payload_type: u8, sequence: u32, timestamp: u32, payload: &[u8]) -> Vec<u8> {
    let mut octets = vec![0x80, payload_type];
    octets.extend(
        u16::try_from(sequence & 0xffff)
            .expect("16 bits")
            .to_be_bytes(),
    );
    octets.extend(timestamp.to_be_bytes());
    octets.extend([0xc1, 0x70, 0, side]);
    octets.extend(payload);
    octets
}

/// The sound of one spoken frame: who speaks, and its number.
fn frame(side: u8, number: u32, port: u16) -> Vec<u8> {
    let mut sound = vec![0x40 | side; 160];
    sound[..3].copy_from_slice(&SPEECH);
    sound[3] = side;
    sound[4..8].copy_from_slice(&number.to_be_bytes());
    sound[8..10].copy_from_slice(&port.to_be_bytes());
    sound
}

/// Whose speech a frame is, and which.
pub fn spoken(sound: &[u8]) -> Option<(u8, u32)> {
    let number = sound.get(4..8)?.try_into().ok()?;
    (sound[..3] == SPEECH).then(|| (sound[3], u32::from_be_bytes(number)))
}

/// The port of the telephone that spoke a frame: no two of a city have the same.
pub fn speaker(sound: &[u8]) -> Option<u16> {
    spoken(sound)?;
    let [high, low] = sound.get(8..10)?.try_into().ok()?;
    Some(u16::from_be_bytes([high, low]))
}

/// The numbers of all frames in a channel of a recording, wherever they lie.
pub fn frames_in(channel: &[u8], side: u8) -> Vec<(usize, u32)> {
    let mut found = Vec::new();
    let mut at = 0;
    while at + 8 <= channel.len() {
        match spoken(&channel[at..]) {
            Some((speaker, number)) if speaker == side => {
                found.push((at, number));
                at += 160;
            }
            Some(_) | None => at += 1,
        }
    }
    found
}
