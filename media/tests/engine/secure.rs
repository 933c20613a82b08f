//! Secure legs: the peers here seal and open with `rtc-srtp` itself, which libsrtp's packets check elsewhere.

use media::sdp::{Crypto, CryptoKey, CryptoLine, CryptoSuite};
use rtc_srtp::{
    context::Context,
    crypto::{RTCCryptoProvider, providers::AwsLcRsProvider},
    protection_profile::ProtectionProfile,
};

use super::support::*;

#[test]
fn a_secure_leg_and_a_plain_one_are_bridged_recorded_and_reported() {
    for suite in CryptoSuite::ALL {
        let (mut shard, mut peer) = secure_call(suite);
        let mut tap = shard.fork();
        for number in 1..=100 {
            let spoken = packet(1, number, 0);
            let sealed = peer.seal(&spoken);
            assert!(sealed.len() > spoken.len());
            shard.receive(CARRIER, &sealed).unwrap();
            shard.receive(DEPARTMENT, &packet(2, number, 0)).unwrap();
            shard.pass(millis(20));
        }
        // To the plain leg in clear, to the secure one sealed, and both true to what was said.
        let plain = shard.rtp_to(DEPARTMENT);
        assert_eq!(plain.len(), 100);
        assert_eq!(plain[41].payload(), &packet(1, 42, 0)[12..]);
        let opened: Vec<Vec<u8>> = shard
            .rtp_to(CARRIER)
            .iter()
            .map(|sent| peer.open(&sent.packet).expect("sealed under our key"))
            .collect();
        assert_eq!(opened.len(), 100);
        assert_eq!(opened[41][12..], packet(2, 42, 0)[12..]);
        assert_eq!(frames(&mut tap).len(), 200, "both voices, in clear");

        shard.pass(Duration::from_secs(10));
        let reports: Vec<Vec<u8>> = shard
            .rtcp_to(CARRIER)
            .iter()
            .map(|sent| peer.open_rtcp(&sent.packet).expect("sealed under our key"))
            .collect();
        assert!(!reports.is_empty());
        let mut highest = None;
        for report in &reports {
            rtcp::read(report, |item| {
                if let Item::Block(block) = item {
                    highest = Some(block.highest);
                }
            })
            .unwrap();
        }
        assert_eq!(highest, Some(100));
        let sealed = peer.seal_rtcp(&reports[0]);
        shard
            .engine
            .handle_rtcp(shard.now, CARRIER, stream(CARRIER).remote_rtcp, &sealed);
        assert_eq!(
            shard
                .engine
                .statistics(CARRIER)
                .unwrap()
                .dropped
                .unauthentic,
            0
        );
    }
}

#[test]
fn what_is_plain_forged_or_sent_again_is_heard_by_nobody() {
    let (mut shard, mut peer) = secure_call(CryptoSuite::AesCm128HmacSha1_80);
    let mut tap = shard.fork();
    let sealed = peer.seal(&packet(1, 1, 0));
    shard.receive(CARRIER, &sealed).unwrap();
    assert_eq!(shard.receive(CARRIER, &packet(1, 2, 0)), None, "plain");
    assert_eq!(shard.receive(CARRIER, &sealed), None, "sent again");
    let mut forged = peer.seal(&packet(1, 3, 0));
    forged[20] ^= 1;
    assert_eq!(shard.receive(CARRIER, &forged), None, "changed");
    assert_eq!(frames(&mut tap).len(), 1);
    shard.engine.handle_rtcp(
        shard.now,
        CARRIER,
        stream(CARRIER).remote_rtcp,
        &[0x80, 201, 0, 1, 0, 0, 0, 1],
    );
    let statistics = shard.engine.statistics(CARRIER).unwrap();
    assert_eq!(
        (statistics.received, statistics.dropped.unauthentic),
        (1, 4)
    );
}

#[test]
fn a_notice_to_a_secure_leg_is_heard_whole_and_never_goes_out_plain() {
    let (mut shard, mut peer) = secure_call(CryptoSuite::AeadAes256Gcm);
    shard.command(play(CARRIER, 1_600));
    shard.pass(Duration::from_secs(1));
    let heard: Vec<u8> = shard
        .rtp_to(CARRIER)
        .iter()
        .flat_map(|sent| peer.open(&sent.packet).expect("sealed")[12..].to_vec())
        .collect();
    assert_eq!(heard, clip(1_600).encoded(Codec::Pcmu));
    let [Event::PlaybackEnded { samples_sent, .. }] = shard.events[..] else {
        panic!("{:?}", shard.events);
    };
    assert_eq!(samples_sent, 1_600);
    shard.command(Command::Close { leg: CARRIER });
    let goodbye = peer.open_rtcp(&shard.sent.last().unwrap().packet);
    let mut is_goodbye = false;
    rtcp::read(&goodbye.expect("sealed"), |item| {
        is_goodbye |= matches!(item, Item::Goodbye { .. });
    })
    .unwrap();
    assert!(is_goodbye);
}

#[test]
fn a_new_key_on_one_leg_is_not_heard_on_the_other() {
    let (mut shard, mut peer) = secure_call(CryptoSuite::AesCm128HmacSha1_80);
    for number in 1..=50 {
        let sealed = peer.seal(&packet(1, number, 0));
        shard.receive(CARRIER, &sealed).unwrap();
        shard.receive(DEPARTMENT, &packet(2, number, 0)).unwrap();
        shard.pass(millis(20));
    }
    let (crypto, mut rekeyed) = keys(CryptoSuite::AeadAes128Gcm, 2);
    open_secure(&mut shard, crypto);
    // Until our answer reaches it, the peer goes on under its key.
    let late = peer.seal(&packet(1, 51, 0));
    shard.receive(CARRIER, &late).unwrap();
    for number in 52..=100 {
        let sealed = rekeyed.seal(&packet(1, number, 0));
        shard.receive(CARRIER, &sealed).unwrap();
        shard
            .receive(DEPARTMENT, &packet(2, number - 1, 0))
            .unwrap();
        shard.pass(millis(20));
    }
    let earlier = peer.seal(&packet(1, 101, 0));
    assert_eq!(shard.receive(CARRIER, &earlier), None, "that key is over");
    assert_one_stream(&shard.rtp_to(DEPARTMENT));
    assert_eq!(shard.rtp_to(DEPARTMENT).len(), 100);
    let to_carrier: Vec<Vec<u8>> = shard
        .rtp_to(CARRIER)
        .iter()
        .enumerate()
        .map(|(index, sent)| {
            let peer = if index < 50 { &mut peer } else { &mut rekeyed };
            peer.open(&sent.packet)
                .expect("sealed under the key of its time")
        })
        .collect();
    for pair in to_carrier.windows(2) {
        let (earlier, later) = (
            Header::read(&pair[0]).unwrap(),
            Header::read(&pair[1]).unwrap(),
        );
        assert_eq!(
            (later.ssrc, later.sequence),
            (earlier.ssrc, earlier.sequence.wrapping_add(1)),
            "one stream, although its key changed"
        );
    }
}

#[test]
fn a_peer_that_moves_after_a_wrap_begins_to_listen_to_a_new_stream() {
    let (mut shard, mut peer) = secure_call(CryptoSuite::AesCm128HmacSha1_80);
    let mut ssrcs = Vec::new();
    for number in 0..70_000_u32 {
        let number = u16::try_from(number % 65_536).unwrap();
        shard.receive(DEPARTMENT, &packet(2, number, 0)).unwrap();
        shard.now += millis(20);
        let opened = peer.open(&shard.sent.pop().unwrap().packet).unwrap();
        ssrcs.push(Header::read(&opened).unwrap().ssrc);
        shard.sent.clear();
    }
    ssrcs.dedup();
    assert_eq!(ssrcs.len(), 1);
    let (crypto, _) = keys(CryptoSuite::AesCm128HmacSha1_80, 1);
    shard.command(Command::Open {
        leg: CARRIER,
        stream: StreamSettings {
            remote_rtp: "127.0.0.8:9000".parse().unwrap(),
            crypto: Some(Box::new(crypto)),
            ..stream(CARRIER)
        },
    });
    // Somebody who knows our key, and nothing of what was sent before.
    let (_, mut newcomer) = keys(CryptoSuite::AesCm128HmacSha1_80, 1);
    for number in 4_464..4_564 {
        shard.receive(DEPARTMENT, &packet(2, number, 0)).unwrap();
        shard.now += millis(20);
        let sent = shard.sent.last().unwrap();
        assert!(newcomer.open(&sent.packet).is_some());
        assert_ne!(sent.header().ssrc, ssrcs[0]);
    }
}

#[test]
fn a_leg_that_moves_to_another_shard_hears_its_peer_whose_numbers_have_wrapped() {
    let suite = CryptoSuite::AesCm128HmacSha1_80;
    // The last number in the first shard and the first in the other, wraps included: shortly before and after one, and long after.
    for (last, next) in [
        (49_200, 65_600),
        (65_540, 65_541),
        (100_000, 100_001),
        (131_000, 131_080),
        (320_000, 336_000),
    ] {
        let (mut shard, mut peer) = secure_call(suite);
        for number in (0..last).step_by(1_000).chain([last]) {
            // Only the seal counts: a stream that leaps so is not heard.
            let _ = shard.receive(CARRIER, &spoken(&mut peer, number));
        }
        let mut told = shard.events.iter().rev();
        let counted = told.find_map(|event| match event {
            Event::Counted { leg, counted } if *leg == CARRIER => Some(*counted),
            _ => None,
        });
        let (crypto, _) = keys(suite, 1);
        let mut deaf = Shard::with_bridge(2);
        open_secure(&mut deaf, crypto.clone());
        let mut other = Shard::with_bridge(3);
        open_secure(&mut other, Crypto { counted, ..crypto });
        for (step, number) in (1..=20).zip(next..) {
            let sealed = spoken(&mut peer, number);
            other.now += millis(20);
            assert_eq!(deaf.receive(CARRIER, &sealed), None);
            assert!(other.receive(CARRIER, &sealed).is_some(), "{number}");
            other.receive(DEPARTMENT, &packet(2, step, 0)).unwrap();
            let ours = other.sent.pop().unwrap();
            assert!(peer.open(&ours.packet).is_some(), "ours begins anew");
        }
    }
}

/// The packet of this number, wraps included.
fn spoken(peer: &mut SecurePeer, number: u32) -> Vec<u8> {
    let sequence = u16::try_from(number % 65_536).unwrap();
    peer.seal(&packet(1, sequence, 0))
}

/// A bridged call whose carrier's leg is secure, and the carrier's peer.
fn secure_call(suite: CryptoSuite) -> (Shard, SecurePeer) {
    let (crypto, peer) = keys(suite, 1);
    let mut shard = Shard::with_bridge(1);
    open_secure(&mut shard, crypto);
    (shard, peer)
}

fn open_secure(shard: &mut Shard, crypto: Crypto) {
    shard.command(Command::Open {
        leg: CARRIER,
        stream: StreamSettings {
            crypto: Some(Box::new(crypto)),
            ..stream(CARRIER)
        },
    });
}

/// A peer that seals under its key and opens under ours.
struct SecurePeer {
    sealing: Context,
    opening: Context,
}

impl SecurePeer {
    fn seal(&mut self, packet: &[u8]) -> Vec<u8> {
        self.sealing.encrypt_rtp(packet).unwrap().to_vec()
    }

    fn open(&mut self, packet: &[u8]) -> Option<Vec<u8>> {
        self.opening
            .decrypt_rtp(packet)
            .ok()
            .map(|opened| opened.to_vec())
    }

    fn seal_rtcp(&mut self, packet: &[u8]) -> Vec<u8> {
        self.sealing.encrypt_rtcp(packet).unwrap().to_vec()
    }

    fn open_rtcp(&mut self, packet: &[u8]) -> Option<Vec<u8>> {
        self.opening
            .decrypt_rtcp(packet)
            .ok()
            .map(|opened| opened.to_vec())
    }
}

fn keys(suite: CryptoSuite, seed: u8) -> (Crypto, SecurePeer) {
    let octets = |octet: u8| vec![octet; suite.key_bytes() + suite.salt_bytes()];
    let (ours, theirs) = (octets(seed), octets(seed + 100));
    let key = |octets: &[u8]| {
        let (key, salt) = octets.split_at(suite.key_bytes());
        CryptoKey::of(1, suite, key, salt).unwrap()
    };
    let crypto = Crypto {
        ours: key(&ours),
        theirs: CryptoLine {
            key: key(&theirs),
            mki: None,
        },
        counted: None,
    };
    let context = |octets: &[u8]| {
        let profile = match suite {
            CryptoSuite::AesCm128HmacSha1_80 => ProtectionProfile::Aes128CmHmacSha1_80,
            CryptoSuite::AesCm128HmacSha1_32 => ProtectionProfile::Aes128CmHmacSha1_32,
            CryptoSuite::AeadAes128Gcm => ProtectionProfile::AeadAes128Gcm,
            CryptoSuite::AeadAes256Gcm => ProtectionProfile::AeadAes256Gcm,
        };
        let (key, salt) = octets.split_at(suite.key_bytes());
        let provider = AwsLcRsProvider::new();
        Context::new(key, salt, profile, None, None, provider.crypto()).unwrap()
    };
    let peer = SecurePeer {
        sealing: context(&theirs),
        opening: context(&ours),
    };
    (crypto, peer)
}
