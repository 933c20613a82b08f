//! A bridged, recorded call under any sequence of packets, from the parties and from strangers, RTP and RTCP.
//!
//! The input begins with the suite of the carrier's leg, or none, and goes on as a list of events: its kind, its length,
//! its octets. No stranger is ever heard, nothing leaves a secure leg but sealed, nothing that is not authentic comes in,
//! and both recorded channels stay aligned to the sample.
#![no_main]

use std::{
    net::SocketAddr,
    time::{Duration, Instant},
};

use libfuzzer_sys::fuzz_target;
use media::{
    Codec, Command, Engine, LegId, Settings, StreamSettings, Tap, Track, channel, rtcp, rtp,
    sdp::{Crypto, CryptoKey, CryptoLine, CryptoSuite, Direction},
};
use rtc_srtp::{
    context::Context,
    crypto::{RTCCryptoProvider, providers::AwsLcRsProvider},
    protection_profile::ProtectionProfile,
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
/// More than one packet brings: the ring is emptied after each.
const RING_FRAMES: usize = 16;
/// The keys of both sides and the salt of either; a suite takes as much of them as it wants.
const OURS: [u8; 32] = [7; 32];
const THEIRS: [u8; 32] = [3; 32];
const SALT: [u8; 14] = [9; 14];

fuzz_target!(|events: &[u8]| {
    let [suite, rest @ ..] = events else { return };
    let suite = CryptoSuite::ALL.get(usize::from(*suite)).copied();
    let mut call = Call::new(Instant::now(), suite);
    let mut rest = rest;
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
    carrier: Option<SecurePeer>,
}

/// The carrier of a secure leg: what it seals, and what it can open. Keys are derived when the first packet needs them.
struct SecurePeer {
    suite: CryptoSuite,
    sealing: Option<Context>,
    opening: Option<Context>,
}

impl SecurePeer {
    /// Seals what has a whole header (RFC 3550 section 5.1). The library would read an extension as one of RFC 8285 and
    /// index by its own idea of the header's length, so it is told of contributing sources of that length.
    fn seal_rtp(&mut self, packet: &[u8]) -> Option<bytes::BytesMut> {
        let sources = usize::from(packet.first()? & 0x0F);
        let mut header_bytes = 12 + 4 * sources;
        if packet[0] & 0x10 != 0 {
            let words = packet.get(header_bytes + 2..header_bytes + 4)?;
            header_bytes += 4 + 4 * usize::from(u16::from_be_bytes([words[0], words[1]]));
        }
        if packet[0] >> 6 != 2 || packet.len() < header_bytes {
            return None;
        }
        let header = rtc_rtp::Header {
            sequence_number: u16::from_be_bytes([packet[2], packet[3]]),
            ssrc: u32::from_be_bytes([packet[8], packet[9], packet[10], packet[11]]),
            csrc: vec![0; (header_bytes - 12) / 4],
            ..rtc_rtp::Header::default()
        };
        self.sealing().encrypt_rtp_with_header(packet, &header).ok()
    }

    fn sealing(&mut self) -> &mut Context {
        let suite = self.suite;
        self.sealing.get_or_insert_with(|| context(suite, &THEIRS))
    }

    fn opening(&mut self) -> &mut Context {
        let suite = self.suite;
        self.opening.get_or_insert_with(|| context(suite, &OURS))
    }
}

impl Call {
    fn new(now: Instant, suite: Option<CryptoSuite>) -> Self {
        let (crypto, carrier) = suite.map(secure).unzip();
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
                stream: StreamSettings {
                    crypto: crypto.map(Box::new),
                    ..stream(2)
                },
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
            carrier,
        }
    }

    fn receive(&mut self, kind: u8, octets: &[u8]) {
        let is_stranger = kind & 0b0100 != 0;
        let (leg, last) = if kind & 1 == 0 {
            (CARRIER, 2)
        } else {
            (DEPARTMENT, 3)
        };
        let host = if is_stranger { 99 } else { last };
        let is_rtcp = kind & 0b0010 != 0;
        // What the carrier seals itself is authentic; all else on its secure leg is not.
        let mut sealed = None;
        if let Some(carrier) = &mut self.carrier
            && leg == CARRIER
            && kind & 0b1000 != 0
        {
            sealed = if is_rtcp {
                carrier.sealing().encrypt_rtcp(octets).ok()
            } else {
                carrier.seal_rtp(octets)
            };
        }
        let is_authentic = leg != CARRIER || self.carrier.is_none() || sealed.is_some();
        let octets = sealed.as_deref().unwrap_or(octets);
        if is_rtcp {
            let _ = rtcp::read(octets, |_| {});
            self.engine
                .handle_rtcp(self.now, leg, address(host, 30_001), octets);
            return;
        }
        let mut packet = [0; rtp::MAX_PACKET_BYTES];
        packet[..octets.len()].copy_from_slice(octets);
        let Some(forward) = self.engine.handle_rtp(
            self.now,
            leg,
            address(host, 30_000),
            &mut packet,
            octets.len(),
        ) else {
            return;
        };
        assert!(!is_stranger, "a stranger's packet was forwarded");
        assert!(is_authentic, "a forged packet was forwarded");
        assert!(forward.leg != leg);
        let sent = &packet[..forward.len];
        match &mut self.carrier {
            Some(carrier) if forward.leg == CARRIER => {
                carrier
                    .opening()
                    .decrypt_rtp(sent)
                    .expect("what leaves a secure leg is sealed under its key");
            }
            Some(_) | None => {
                rtp::Header::read(sent).expect("what we forward is RTP");
            }
        }
    }

    fn drain(&mut self) {
        self.engine.handle_timeout(self.now);
        let mut buffer = [0; rtp::MAX_PACKET_BYTES];
        while let Some(transmit) = self.engine.poll_transmit(&mut buffer) {
            if transmit.rtcp {
                let mut report = buffer[..transmit.len].to_vec();
                if let Some(carrier) = &mut self.carrier
                    && transmit.leg == CARRIER
                {
                    let opened = carrier.opening().decrypt_rtcp(&report);
                    report = opened.expect("a secure leg's report is sealed").to_vec();
                }
                rtcp::read(&report, |_| {}).expect("our own report is one that we can read");
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

/// Fixed keys of a suite, and the peer that has them.
fn secure(suite: CryptoSuite) -> (Crypto, SecurePeer) {
    let key = |octets: &[u8]| {
        let (key, salt) = (&octets[..suite.key_bytes()], &SALT[..suite.salt_bytes()]);
        CryptoKey::of(1, suite, key, salt).expect("as long as the suite wants")
    };
    let theirs = CryptoLine {
        key: key(&THEIRS),
        mki: None,
    };
    let peer = SecurePeer {
        suite,
        sealing: None,
        opening: None,
    };
    let ours = key(&OURS);
    let crypto = Crypto {
        ours,
        theirs,
        counted: None,
    };
    (crypto, peer)
}

fn context(suite: CryptoSuite, key: &[u8]) -> Context {
    let profile = match suite {
        CryptoSuite::AesCm128HmacSha1_80 => ProtectionProfile::Aes128CmHmacSha1_80,
        CryptoSuite::AesCm128HmacSha1_32 => ProtectionProfile::Aes128CmHmacSha1_32,
        CryptoSuite::AeadAes128Gcm => ProtectionProfile::AeadAes128Gcm,
        CryptoSuite::AeadAes256Gcm => ProtectionProfile::AeadAes256Gcm,
    };
    let (key, salt) = (&key[..suite.key_bytes()], &SALT[..suite.salt_bytes()]);
    let provider = AwsLcRsProvider::new();
    Context::new(key, salt, profile, None, None, provider.crypto()).expect("keys of the suite")
}

fn address(host: u8, port: u16) -> SocketAddr {
    SocketAddr::from(([127, 0, 0, host], port))
}
