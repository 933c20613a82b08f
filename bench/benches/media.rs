//! One packet through a bridged call, with and without the copy for the recorder, in clear and secure on both legs.

use std::{
    hint::black_box,
    net::SocketAddr,
    time::{Duration, Instant},
};

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use media::{
    Codec, Command, Engine, LegId, Settings, StreamSettings, Tap, Track, channel, rtp,
    sdp::{Crypto, CryptoKey, CryptoLine, CryptoSuite, Direction},
};
use rtc_srtp::{
    context::Context,
    crypto::{RTCCryptoProvider, providers::AwsLcRsProvider},
    protection_profile::ProtectionProfile,
};

criterion_group!(benches, relay, secure);
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

/// A packet opened, carried over, and sealed again: both legs are secure.
fn secure(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("secure relay");
    group.throughput(Throughput::Elements(1));
    for suite in CryptoSuite::ALL {
        group.bench_function(suite.name(), |bencher| {
            let mut call = Call::secure(suite);
            let mut peer = sealing(suite);
            let (mut sequence, mut timestamp) = (0_u16, 0_u32);
            let seal = || {
                let packet = packet(sequence, timestamp);
                sequence = sequence.wrapping_add(1);
                timestamp = timestamp.wrapping_add(160);
                let sealed = peer.encrypt_rtp(&packet).expect("a packet of the peer");
                let mut buffer = [0; rtp::MAX_PACKET_BYTES];
                buffer[..sealed.len()].copy_from_slice(&sealed);
                (buffer, sealed.len())
            };
            bencher.iter_batched_ref(
                seal,
                |(buffer, length)| call.receive(black_box(buffer), *length),
                BatchSize::SmallInput,
            );
        });
    }
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

    /// The same call with keys on both legs; nobody records.
    fn secure(suite: CryptoSuite) -> Self {
        let mut call = Self::new(false);
        for (slot, host) in [(0, 2), (1, 3)] {
            let theirs = CryptoLine {
                key: key(suite, 3),
                mki: None,
            };
            let crypto = Crypto {
                ours: key(suite, 7),
                theirs,
                counted: None,
            };
            let stream = StreamSettings {
                crypto: Some(Box::new(crypto)),
                ..stream(host)
            };
            let leg = leg(slot);
            call.engine
                .handle_command(call.now, Command::Open { leg, stream });
        }
        call
    }

    fn packet(&mut self) {
        let mut packet = packet(self.sequence, self.timestamp);
        self.sequence = self.sequence.wrapping_add(1);
        self.timestamp = self.timestamp.wrapping_add(160);
        self.receive(black_box(&mut packet), PACKET_BYTES);
    }

    fn receive(&mut self, buffer: &mut [u8], length: usize) {
        self.now += FRAME;
        let forward = self
            .engine
            .handle_rtp(self.now, leg(0), address(2, 30_000), buffer, length);
        assert!(forward.is_some(), "every packet is forwarded");
    }
}

fn packet(sequence: u16, timestamp: u32) -> [u8; PACKET_BYTES] {
    let mut packet = [0x55; PACKET_BYTES];
    packet[..2].copy_from_slice(&[0x80, 0]);
    packet[2..4].copy_from_slice(&sequence.to_be_bytes());
    packet[4..8].copy_from_slice(&timestamp.to_be_bytes());
    packet[8..12].copy_from_slice(&[1, 2, 3, 4]);
    packet
}

fn key(suite: CryptoSuite, octet: u8) -> CryptoKey {
    let (key, salt) = ([octet; 32], [octet; 14]);
    let (key, salt) = (&key[..suite.key_bytes()], &salt[..suite.salt_bytes()]);
    CryptoKey::of(1, suite, key, salt).expect("as long as the suite wants")
}

/// The peer's sending half, under its key.
fn sealing(suite: CryptoSuite) -> Context {
    let profile = match suite {
        CryptoSuite::AesCm128HmacSha1_80 => ProtectionProfile::Aes128CmHmacSha1_80,
        CryptoSuite::AesCm128HmacSha1_32 => ProtectionProfile::Aes128CmHmacSha1_32,
        CryptoSuite::AeadAes128Gcm => ProtectionProfile::AeadAes128Gcm,
        CryptoSuite::AeadAes256Gcm => ProtectionProfile::AeadAes256Gcm,
    };
    let (key, salt) = (
        &[3; 32][..suite.key_bytes()],
        &[3; 14][..suite.salt_bytes()],
    );
    let provider = AwsLcRsProvider::new();
    Context::new(key, salt, profile, None, None, provider.crypto()).expect("keys of the suite")
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
