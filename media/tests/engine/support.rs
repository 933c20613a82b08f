//! A shard without sockets, whose clock only tests move.

pub(crate) use std::{
    net::SocketAddr,
    time::{Duration, Instant},
};

pub(crate) use media::{
    Clip, Codec, Command, Engine, Event, Forward, Frame, LegId, PlaybackId, Settings, Side,
    StreamSettings, Tap, Transmit, channel, g711,
    rtcp::{self, Item, Report, ReportBlock},
    rtp::Header,
    sdp::Direction,
};
pub(crate) use rand_chacha::ChaCha8Rng;
pub(crate) use rand_core::{Rng, SeedableRng};

pub(crate) const CARRIER: LegId = LegId {
    shard: 3,
    slot: 0,
    generation: 1,
};
pub(crate) const DEPARTMENT: LegId = LegId {
    shard: 3,
    slot: 1,
    generation: 1,
};

/// A shard with a clock that only tests move, and everything that it sent.
pub(crate) struct Shard {
    pub(crate) engine: Engine,
    pub(crate) start: Instant,
    pub(crate) now: Instant,
    pub(crate) sent: Vec<Sent>,
    pub(crate) events: Vec<Event>,
}

/// A packet on the wire.
#[derive(Clone, Debug)]
pub(crate) struct Sent {
    pub(crate) at: Duration,
    pub(crate) leg: LegId,
    pub(crate) to: SocketAddr,
    pub(crate) rtcp: bool,
    pub(crate) packet: Vec<u8>,
}

impl Sent {
    pub(crate) fn header(&self) -> Header {
        Header::read(&self.packet).unwrap()
    }

    pub(crate) fn payload(&self) -> &[u8] {
        &self.packet[self.header().payload]
    }
}

impl Shard {
    pub(crate) fn new(seed: u8) -> Shard {
        #[expect(
            clippy::disallowed_methods,
            reason = "std knows no other way to an Instant"
        )]
        let start = Instant::now();
        let engine = Engine::new(
            Settings {
                shard: 3,
                max_legs: 2_000,
            },
            [seed; 32],
        );
        Shard {
            engine,
            start,
            now: start,
            sent: Vec::new(),
            events: Vec::new(),
        }
    }

    /// A shard with both legs of a call.
    pub(crate) fn with_call(seed: u8) -> Shard {
        let mut shard = Shard::new(seed);
        shard.command(Command::Open {
            leg: CARRIER,
            stream: stream(CARRIER),
        });
        shard.command(Command::Open {
            leg: DEPARTMENT,
            stream: stream(DEPARTMENT),
        });
        shard
    }

    pub(crate) fn with_bridge(seed: u8) -> Shard {
        let mut shard = Shard::with_call(seed);
        shard.command(Command::Bridge {
            carrier: CARRIER,
            department: DEPARTMENT,
        });
        shard
    }

    pub(crate) fn command(&mut self, command: Command) {
        self.engine.handle_command(self.now, command);
        self.drain();
    }

    pub(crate) fn fork(&mut self) -> Tap {
        let (fork, tap) = channel(200);
        self.command(Command::Fork {
            carrier: CARRIER,
            department: DEPARTMENT,
            fork,
        });
        tap
    }

    /// Lets time pass, waking the engine exactly when it asks.
    pub(crate) fn pass(&mut self, duration: Duration) {
        let end = self.now + duration;
        while let Some((at, _)) = self.engine.poll_timeout().filter(|&(at, _)| at <= end) {
            self.now = self.now.max(at);
            self.engine.handle_timeout(self.now);
            self.drain();
        }
        self.now = end;
    }

    pub(crate) fn drain(&mut self) {
        let mut buffer = [0; 1_500];
        while let Some(Transmit { leg, to, rtcp, len }) = self.engine.poll_transmit(&mut buffer) {
            self.sent.push(Sent {
                at: self.now - self.start,
                leg,
                to,
                rtcp,
                packet: buffer[..len].to_vec(),
            });
        }
        self.events
            .extend(std::iter::from_fn(|| self.engine.poll_event()));
    }

    /// A packet arrives from a leg's own peer; what is forwarded is noted as sent.
    pub(crate) fn receive(&mut self, leg: LegId, packet: &[u8]) -> Option<Forward> {
        self.receive_from(leg, stream(leg).remote_rtp, packet)
    }

    pub(crate) fn receive_from(
        &mut self,
        leg: LegId,
        source: SocketAddr,
        packet: &[u8],
    ) -> Option<Forward> {
        let mut packet = packet.to_vec();
        let len = packet.len();
        packet.resize(1_500, 0);
        let forward = self
            .engine
            .handle_rtp(self.now, leg, source, &mut packet, len);
        if let Some(Forward { leg, to, len }) = forward {
            packet.truncate(len);
            self.sent.push(Sent {
                at: self.now - self.start,
                leg,
                to,
                rtcp: false,
                packet,
            });
        }
        self.drain();
        forward
    }

    pub(crate) fn rtp_to(&self, leg: LegId) -> Vec<&Sent> {
        self.sent
            .iter()
            .filter(|sent| sent.leg == leg && !sent.rtcp)
            .collect()
    }

    pub(crate) fn rtcp_to(&self, leg: LegId) -> Vec<&Sent> {
        self.sent
            .iter()
            .filter(|sent| sent.leg == leg && sent.rtcp)
            .collect()
    }
}

pub(crate) fn stream(leg: LegId) -> StreamSettings {
    let port = 40_000 + u16::try_from(leg.slot).unwrap() * 2;
    StreamSettings {
        remote_rtp: SocketAddr::from(([127, 0, 0, 9], port)),
        remote_rtcp: SocketAddr::from(([127, 0, 0, 9], port + 1)),
        codec: Codec::Pcmu,
        payload_type: 0,
        events: Some(if leg == CARRIER { 101 } else { 97 }),
        ptime_ms: 20,
        noise: None,
        direction: Direction::SendReceive,
        crypto: None,
        silence: None,
        dscp: 0,
    }
}

pub(crate) fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

pub(crate) fn clip(samples: u16) -> Clip {
    Clip::from_linear(
        &(0..samples)
            .map(|sample| (sample % 4_000).cast_signed() * 8 - 16_000)
            .collect::<Vec<i16>>(),
    )
}

pub(crate) fn play(leg: LegId, samples: u16) -> Command {
    Command::Play {
        leg,
        playback: PlaybackId(5),
        clip: clip(samples),
    }
}

/// An RTP packet of 20 ms whose samples say its number.
pub(crate) fn packet(ssrc: u32, sequence: u16, payload_type: u8) -> Vec<u8> {
    let header = Header {
        marker: false,
        payload_type,
        sequence,
        timestamp: u32::from(sequence).wrapping_mul(160).wrapping_add(7_000),
        ssrc,
        payload: 0..0,
    };
    let mut packet = vec![0; 12];
    header.write(packet.first_chunk_mut().unwrap());
    packet
        .extend((0..160_u16).map(|sample| u8::try_from((sample + sequence % 251) % 251).unwrap()));
    packet
}

pub(crate) fn frames(tap: &mut Tap) -> Vec<Frame> {
    std::iter::from_fn(|| tap.pop()).collect()
}

/// One SSRC, one number after the other, and a clock that never goes back.
pub(crate) fn assert_one_stream(sent: &[&Sent]) {
    for pair in sent.windows(2) {
        let (earlier, later) = (pair[0].header(), pair[1].header());
        assert_eq!(later.ssrc, earlier.ssrc);
        assert_eq!(later.sequence, earlier.sequence.wrapping_add(1));
        let step = later.timestamp.wrapping_sub(earlier.timestamp);
        assert!((1..1_000_000).contains(&step), "timestamp steps by {step}");
        assert_eq!(later.payload_type, 0);
    }
}
