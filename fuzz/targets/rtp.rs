//! A bridged, recorded call under any sequence of packets, from the parties and from strangers, RTP and RTCP.
//!
//! The input is a list of events: its kind, its length, its octets. No stranger is ever heard, and both recorded
//! channels stay aligned to the sample.
#![no_main]

use std::{
    net::SocketAddr,
    time::{Duration, Instant},
};

use libfuzzer_sys::fuzz_target;
use media::{
    Codec, Command, Engine, LegId, Settings, StreamSettings, Tap, Track, channel, rtcp, rtp,
    sdp::Direction,
};

const CARRIER: LegId = LegId {
    shard: 0,
    slot: 0,
    generation: 0,
};
const DEPARTMENT: LegId = LegId {
    shard: 0,
    slot: 1,
    generation: 0,
};
/// Two seconds of both parties.
const RING_FRAMES: usize = 200;

fuzz_target!(|events: &[u8]| {
    let mut call = Call::new(Instant::now());
    let mut rest = events;
    while let [kind, length, tail @ ..] = rest {
        let (packet, tail) = tail.split_at(tail.len().min(usize::from(*length)));
        rest = tail;
        call.now += Duration::from_millis(u64::from(kind >> 4) * 7);
        call.receive(kind & 0x0F, packet);
        call.drain();
        call.record();
    }
    call.end();
});

struct Call {
    now: Instant,
    beginning: Instant,
    engine: Engine,
    tap: Tap,
    track: Track,
    recorded: u64,
}

impl Call {
    fn new(now: Instant) -> Self {
        let mut engine = Engine::new(
            Settings {
                shard: 0,
                max_legs: 2,
            },
            [7; 32],
        );
        let (fork, tap) = channel(RING_FRAMES);
        engine.handle_command(
            now,
            Command::Open {
                leg: CARRIER,
                stream: stream(2),
            },
        );
        engine.handle_command(
            now,
            Command::Open {
                leg: DEPARTMENT,
                stream: stream(3),
            },
        );
        engine.handle_command(
            now,
            Command::Bridge {
                carrier: CARRIER,
                department: DEPARTMENT,
            },
        );
        engine.handle_command(
            now,
            Command::Fork {
                carrier: CARRIER,
                department: DEPARTMENT,
                fork,
            },
        );
        Self {
            now,
            beginning: now,
            engine,
            tap,
            track: Track::new(Codec::Pcmu, Codec::Pcmu),
            recorded: 0,
        }
    }

    fn receive(&mut self, kind: u8, octets: &[u8]) {
        let mut packet = [0; rtp::MAX_PACKET_BYTES];
        packet[..octets.len()].copy_from_slice(octets);
        let packet = &mut packet[..octets.len()];
        let is_stranger = kind & 0b0100 != 0;
        let (leg, last) = if kind & 1 == 0 {
            (CARRIER, 2)
        } else {
            (DEPARTMENT, 3)
        };
        let host = if is_stranger { 99 } else { last };
        if kind & 0b0010 != 0 {
            let _ = rtcp::read(octets, |_| {});
            self.engine
                .handle_rtcp(self.now, leg, address(host, 30_001), packet);
            return;
        }
        let Some(forward) = self
            .engine
            .handle_rtp(self.now, leg, address(host, 30_000), packet)
        else {
            return;
        };
        assert!(!is_stranger, "a stranger's packet was forwarded");
        assert!(forward.len <= packet.len() && forward.leg != leg);
        rtp::Header::read(&packet[..forward.len]).expect("what we forward is RTP");
    }

    fn drain(&mut self) {
        self.engine.handle_timeout(self.now);
        let mut buffer = [0; rtp::MAX_PACKET_BYTES];
        while let Some(transmit) = self.engine.poll_transmit(&mut buffer) {
            if transmit.rtcp {
                rtcp::read(&buffer[..transmit.len], |_| {})
                    .expect("our own report is one that we can read");
            }
        }
        while self.engine.poll_event().is_some() {}
        if let Some((due, _)) = self.engine.poll_timeout() {
            assert!(due > self.now, "a wake-up that is due was not done");
        }
    }

    fn record(&mut self) {
        while let Some(frame) = self.tap.pop() {
            self.track.handle_frame(&frame);
        }
        let position = rtp::samples_between(self.beginning, self.now);
        while let Some(chunk) = self.track.poll_chunk(position) {
            self.check(&chunk);
        }
    }

    fn end(&mut self) {
        self.engine
            .handle_command(self.now, Command::Unfork { carrier: CARRIER });
        self.record();
        let end = rtp::samples_between(self.beginning, self.now);
        while let Some(chunk) = self.track.finish(end) {
            self.check(&chunk);
        }
        assert!(
            self.recorded >= end,
            "the recording is shorter than the call"
        );
    }

    fn check(&mut self, chunk: &media::Chunk) {
        assert_eq!(
            chunk.start, self.recorded,
            "a chunk does not follow the one before"
        );
        self.recorded += u64::from(chunk.samples);
        let samples = usize::try_from(chunk.samples).expect("a chunk is short");
        assert_eq!(
            (chunk.carrier.len(), chunk.city.len()),
            (samples, samples),
            "the channels are not aligned"
        );
        for gap in &chunk.gaps {
            assert!(
                gap.start >= chunk.start && gap.start + u64::from(gap.samples) <= self.recorded,
                "a gap lies outside of its chunk"
            );
        }
    }
}

fn stream(host: u8) -> StreamSettings {
    StreamSettings {
        remote_rtp: address(host, 30_000),
        remote_rtcp: address(host, 30_001),
        codec: Codec::Pcmu,
        payload_type: 0,
        events: Some(101),
        ptime_ms: 20,
        noise: None,
        direction: Direction::SendReceive,
        crypto: None,
        silence: None,
        dscp: 0,
    }
}

fn address(host: u8, port: u16) -> SocketAddr {
    SocketAddr::from(([127, 0, 0, host], port))
}
