//! One packet through a bridged call, with and without the copy for the recorder.

use std::{
    hint::black_box,
    net::SocketAddr,
    time::{Duration, Instant},
};

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use media::{
    Codec, Command, Engine, LegId, Settings, StreamSettings, Tap, Track, channel, rtp,
    sdp::Direction,
};

criterion_group!(benches, relay);
criterion_main!(benches);

const PACKET_BYTES: usize = 172;
const FRAME: Duration = Duration::from_millis(20);

fn relay(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("relay");
    group.throughput(Throughput::Elements(1));
    group.bench_function("a packet forwarded", |bencher| {
        let mut call = Call::new(false);
        bencher.iter(|| call.packet());
    });
    group.bench_function(
        "a packet forwarded, copied to the ring and taken out",
        |bencher| {
            let mut call = Call::new(true);
            bencher.iter(|| {
                call.packet();
                black_box(call.tap.as_mut().and_then(Tap::pop))
            });
        },
    );
    group.bench_function(
        "a packet forwarded, copied, aligned into chunks",
        |bencher| {
            let mut call = Call::new(true);
            let mut track = Track::new(Codec::Pcmu, Codec::Pcmu);
            bencher.iter(|| {
                call.packet();
                if let Some(frame) = call.tap.as_mut().and_then(Tap::pop) {
                    track.handle_frame(&frame);
                }
                black_box(track.poll_chunk(rtp::samples_between(call.beginning, call.now)))
            });
        },
    );
    group.finish();
}

/// A bridged call of which the carrier's party speaks and the department's listens.
struct Call {
    engine: Engine,
    tap: Option<Tap>,
    beginning: Instant,
    now: Instant,
    sequence: u16,
    timestamp: u32,
}

impl Call {
    fn new(is_recorded: bool) -> Self {
        let now = Instant::now();
        let mut engine = Engine::new(
            Settings {
                shard: 0,
                max_legs: 2,
            },
            [3; 32],
        );
        engine.handle_command(
            now,
            Command::Open {
                leg: leg(0),
                stream: stream(2),
            },
        );
        engine.handle_command(
            now,
            Command::Open {
                leg: leg(1),
                stream: stream(3),
            },
        );
        engine.handle_command(
            now,
            Command::Bridge {
                carrier: leg(0),
                department: leg(1),
            },
        );
        let tap = is_recorded.then(|| {
            let (fork, tap) = channel(200);
            engine.handle_command(
                now,
                Command::Fork {
                    carrier: leg(0),
                    department: leg(1),
                    fork,
                },
            );
            tap
        });
        Self {
            engine,
            tap,
            beginning: now,
            now,
            sequence: 0,
            timestamp: 0,
        }
    }

    fn packet(&mut self) {
        let mut packet = [0x55; PACKET_BYTES];
        packet[..2].copy_from_slice(&[0x80, 0]);
        packet[2..4].copy_from_slice(&self.sequence.to_be_bytes());
        packet[4..8].copy_from_slice(&self.timestamp.to_be_bytes());
        packet[8..12].copy_from_slice(&[1, 2, 3, 4]);
        self.sequence = self.sequence.wrapping_add(1);
        self.timestamp = self.timestamp.wrapping_add(160);
        self.now += FRAME;
        let forward = self.engine.handle_rtp(
            self.now,
            leg(0),
            address(2, 30_000),
            black_box(&mut packet),
            PACKET_BYTES,
        );
        assert!(forward.is_some(), "every packet is forwarded");
    }
}

fn leg(slot: u32) -> LegId {
    LegId {
        shard: 0,
        slot,
        generation: 0,
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
