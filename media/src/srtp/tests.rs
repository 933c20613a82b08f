//! Against packets that libsrtp made, and against peers that change keys, number their keys, or forge.
//!
//! The counter-mode master key is the one of RFC 3711 appendix B.3; libsrtp's own validation uses the same packets.

use super::*;
use crate::{
    rtp::{HEADER_BYTES, Header},
    sdp::crypto,
};
use rand_chacha::ChaCha8Rng;
use rand_core::SeedableRng;

const RTP: &str = "800f1234decafbadcafebabeabababababababababababababababab";
const RTCP: &str = "81c8000bcafebabeabababababababababababababababababababababababababababababababababababababababab";
const CM_RTCP: &str = "81c8000bcafebabe7128035be487b9bdbef89041f977a5a8d5efb8816abf868c340e5082be1e90ca6bdd31954a81a47d8000000163a50d16b51439563031";

/// Suite, master key, salt, what libsrtp 2 makes of `RTP`, and of `RTCP` as its first.
const LIBSRTP: [(CryptoSuite, &str, &str, &str, &str); 4] = [
    (
        CryptoSuite::AesCm128HmacSha1_80,
        "e1f97a0d3e018be0d64fa32c06de4139",
        "0ec675ad498afeebb6960b3aabe6",
        "800f1234decafbadcafebabe4e55dc4ce79978d88ca4d215949d2402b78d6acc99ea179b8dbb",
        CM_RTCP,
    ),
    (
        CryptoSuite::AesCm128HmacSha1_32,
        "e1f97a0d3e018be0d64fa32c06de4139",
        "0ec675ad498afeebb6960b3aabe6",
        "800f1234decafbadcafebabe4e55dc4ce79978d88ca4d215949d2402b78d6acc",
        CM_RTCP,
    ),
    (
        CryptoSuite::AeadAes128Gcm,
        "000102030405060708090a0b0c0d0e0f",
        "a0a1a2a3a4a5a6a7a8a9aaab",
        "800f1234decafbadcafebabec5002ede04cfdd2eb91159e0880aa06ed2976826f796b201df3131a127e8a392",
        "81c8000bcafebabec98b8b5df0392a55852b6c21ac8e702562c5a74381e97652b45899c500b1e33046789c4c81d0c115399aa88b0613e9a2d626d98d90d4a44280000001",
    ),
    (
        CryptoSuite::AeadAes256Gcm,
        "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f",
        "a0a1a2a3a4a5a6a7a8a9aaab",
        "800f1234decafbadcafebabe0af7f21e8a90bdad7a425c9c31ed4bb1d90238917e7390a2793500e1681acaea",
        "81c8000bcafebabe8abfafa780070a90e80f9161cf4aac08694e86e384e7e1d809d68289f6eefd1a8d86d5cd626ae7c923e4425ee91aea5a9146acac533c264f80000001",
    ),
];

#[test]
fn what_we_seal_is_what_libsrtp_seals_and_what_it_sealed_we_open() {
    for (suite, key, salt, sealed_rtp, sealed_rtcp) in LIBSRTP {
        let key = CryptoKey::of(1, suite, &octets(key), &octets(salt)).unwrap();
        let mut protection = Protection::new(&Crypto {
            ours: key.clone(),
            theirs: line(key),
            counted: None,
        });
        assert_eq!(hex(&seal_rtp(&mut protection, &octets(RTP))), sealed_rtp);
        assert_eq!(hex(&seal_rtcp(&mut protection, &octets(RTCP))), sealed_rtcp);
        let mut packet = octets(sealed_rtp);
        let len = protection.open_rtp(&mut packet).unwrap();
        assert_eq!(hex(&packet[..len]), RTP, "{suite:?}");
        let mut packet = octets(sealed_rtcp);
        let len = protection.open_rtcp(&mut packet).unwrap();
        assert_eq!(hex(&packet[..len]), RTCP, "{suite:?}");
    }
}

#[test]
fn one_changed_bit_a_replay_and_rtcp_in_clear_are_refused() {
    for (suite, key, salt, sealed_rtp, sealed_rtcp) in LIBSRTP {
        let key = CryptoKey::of(1, suite, &octets(key), &octets(salt)).unwrap();
        let crypto = Crypto {
            ours: key.clone(),
            theirs: line(key),
            counted: None,
        };
        let mut protection = Protection::new(&crypto);
        for bit in 0..octets(sealed_rtp).len() * 8 {
            let mut forged = octets(sealed_rtp);
            forged[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(
                protection.open_rtp(&mut forged),
                None,
                "{suite:?} bit {bit}"
            );
        }
        for bit in 0..octets(sealed_rtcp).len() * 8 {
            let mut forged = octets(sealed_rtcp);
            forged[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(
                protection.open_rtcp(&mut forged),
                None,
                "{suite:?} bit {bit}"
            );
        }
        for len in 0..octets(sealed_rtcp).len() {
            assert_eq!(
                protection.open_rtp(&mut octets(sealed_rtp)[..len.min(27)]),
                None
            );
            assert_eq!(protection.open_rtcp(&mut octets(sealed_rtcp)[..len]), None);
        }
        assert!(protection.open_rtp(&mut octets(sealed_rtp)).is_some());
        assert!(protection.open_rtcp(&mut octets(sealed_rtcp)).is_some());
        assert_eq!(protection.open_rtp(&mut octets(sealed_rtp)), None);
        assert_eq!(protection.open_rtcp(&mut octets(sealed_rtcp)), None);
    }
}

#[test]
fn forgers_with_new_ssrcs_cost_no_memory_and_no_packet_of_the_peer() {
    let (mut protection, mut peer) = pair(CryptoSuite::AesCm128HmacSha1_80);
    for number in 1..2_000_u16 {
        for forged in 0..3_u32 {
            let mut packet = rtp(u32::from(number) * 3 + forged + 1_000, number);
            assert_eq!(protection.open_rtp(&mut packet), None);
        }
        let mut packet = peer_rtp(&mut peer, 7, number);
        assert!(protection.open_rtp(&mut packet).is_some());
    }
    let trials = protection.inbound.rtp_trials();
    assert!(trials <= 16, "{trials} forgeries are remembered");
}

#[test]
fn a_peer_that_changes_its_ssrc_is_heard_and_its_stragglers_too() {
    let (mut protection, mut peer) = pair(CryptoSuite::AeadAes128Gcm);
    for (ssrc, number) in [(7, 1), (7, 3), (8, 900), (7, 2), (8, 901), (7, 4), (8, 902)] {
        let mut packet = peer_rtp(&mut peer, ssrc, number);
        assert!(
            protection.open_rtp(&mut packet).is_some(),
            "{ssrc} {number}"
        );
    }
}

#[test]
fn numbers_wrap_on_both_ways() {
    let (mut protection, mut peer) = pair(CryptoSuite::AesCm128HmacSha1_80);
    let mut outgoing = Peer::listening(&protection);
    for number in (0..200_000_u32).step_by(500) {
        let number = u16::try_from(number % 65_536).unwrap();
        assert!(
            protection
                .open_rtp(&mut peer_rtp(&mut peer, 7, number))
                .is_some()
        );
        let sealed = seal_rtp(&mut protection, &rtp(9, number));
        assert_eq!(outgoing.open(&sealed), Some(rtp(9, number)));
    }
}

#[test]
fn a_key_that_names_itself_is_cut_out_of_each_packet() {
    for suite in CryptoSuite::ALL {
        let line = {
            let key = CryptoKey::new(1, suite, &mut ChaCha8Rng::from_seed([4; 32]));
            crypto::read(&format!("{}|2^31|258:4", *key.line())).unwrap()
        };
        let mut inbound = Inbound::new(&line);
        let mut peer = Outbound::new(&line.key);
        let tag = match suite {
            CryptoSuite::AesCm128HmacSha1_80 => 10,
            CryptoSuite::AesCm128HmacSha1_32 => 4,
            CryptoSuite::AeadAes128Gcm | CryptoSuite::AeadAes256Gcm => 0,
        };
        let mut sealed = peer_rtp(&mut peer, 7, 1);
        let at = sealed.len() - tag;
        sealed.splice(at..at, [0, 0, 1, 2]);
        let mut other = sealed.clone();
        other[at + 3] = 3;
        assert_eq!(inbound.open_rtp(&mut other), None, "another key's number");
        let len = inbound.open_rtp(&mut sealed).unwrap();
        assert_eq!(sealed[..len], rtp(7, 1), "{suite:?}");

        let mut buffer = [0; 200];
        buffer[..48].copy_from_slice(&octets(RTCP));
        let len = peer.seal_rtcp(&mut buffer, 48).unwrap();
        let mut sealed = buffer[..len].to_vec();
        let at = len - if tag == 4 { 10 } else { tag };
        sealed.splice(at..at, [0, 0, 1, 2]);
        let len = inbound.open_rtcp(&mut sealed).unwrap();
        assert_eq!(hex(&sealed[..len]), RTCP, "{suite:?}");
    }
}

#[test]
fn a_peer_that_changes_its_key_is_heard_whether_its_counter_goes_on_or_begins_anew() {
    // After 0, 1 or 5 wraps; the newest number near the begin, the middle and the end.
    for wraps in [0_u32, 1, 5] {
        for newest in [3_u16, 0x5555, 0x8001, 0xFFF0] {
            for goes_on in [true, false] {
                let (mut protection, mut peer) = pair(CryptoSuite::AesCm128HmacSha1_80);
                let end = (wraps << 16) | u32::from(newest);
                for number in (0..end).step_by(7_919).chain([end]) {
                    let number = u16::try_from(number & 0xFFFF).unwrap();
                    assert!(
                        protection
                            .open_rtp(&mut peer_rtp(&mut peer, 7, number))
                            .is_some()
                    );
                }
                let key = CryptoKey::new(
                    1,
                    CryptoSuite::AesCm128HmacSha1_80,
                    &mut ChaCha8Rng::from_seed([8; 32]),
                );
                let continuity = protection.agree(
                    &Crypto {
                        ours: protection.ours.clone(),
                        theirs: line(key.clone()),
                        counted: None,
                    },
                    false,
                );
                assert_eq!(continuity, Continuity::Kept, "our own way has not changed");
                // What was on its way is still heard.
                let late = newest.wrapping_add(1);
                assert!(
                    protection
                        .open_rtp(&mut peer_rtp(&mut peer, 7, late))
                        .is_some()
                );
                let mut next = Outbound::new(&key);
                if goes_on {
                    for number in (0..end).step_by(7_919).chain([end]) {
                        peer_rtp(&mut next, 7, u16::try_from(number & 0xFFFF).unwrap());
                    }
                }
                for step in 2..6 {
                    let number = newest.wrapping_add(step);
                    if number < newest && !goes_on {
                        continue;
                    }
                    assert!(
                        protection
                            .open_rtp(&mut peer_rtp(&mut next, 7, number))
                            .is_some(),
                        "{wraps} wraps, {newest}, {goes_on}, {step}"
                    );
                }
                let old = newest.wrapping_add(2);
                assert_eq!(
                    protection.open_rtp(&mut peer_rtp(&mut peer, 7, old)),
                    None,
                    "the earlier key is over once the new one was heard"
                );
            }
        }
    }
}

#[test]
fn our_stream_is_broken_only_where_a_listener_could_not_know_its_counter() {
    let (mut protection, _) = pair(CryptoSuite::AesCm128HmacSha1_80);
    let crypto = |protection: &Protection, seed: u8| Crypto {
        ours: CryptoKey::new(
            1,
            CryptoSuite::AesCm128HmacSha1_80,
            &mut ChaCha8Rng::from_seed([seed; 32]),
        ),
        theirs: protection.theirs.clone(),
        counted: None,
    };
    seal_rtp(&mut protection, &rtp(9, 65_000));
    let second = crypto(&protection, 21);
    assert_eq!(protection.agree(&second, true), Continuity::Kept);
    for number in [65_100, 65_500, 100] {
        seal_rtp(&mut protection, &rtp(9, number));
    }
    assert_eq!(protection.agree(&second, false), Continuity::Kept);
    assert_eq!(protection.agree(&second, true), Continuity::Broken);
    let third = crypto(&protection, 22);
    assert_eq!(protection.agree(&third, false), Continuity::Broken);
}

/// Somebody who hears what we send.
struct Peer(Inbound);

impl Peer {
    fn listening(protection: &Protection) -> Peer {
        Peer(Inbound::new(&line(protection.ours.clone())))
    }

    fn open(&mut self, sealed: &[u8]) -> Option<Vec<u8>> {
        let mut packet = sealed.to_vec();
        let len = self.0.open_rtp(&mut packet)?;
        packet.truncate(len);
        Some(packet)
    }
}

/// Our side of a leg, and the peer's sending half.
fn pair(suite: CryptoSuite) -> (Protection, Outbound) {
    let mut random = ChaCha8Rng::from_seed([1; 32]);
    let ours = CryptoKey::new(1, suite, &mut random);
    let theirs = CryptoKey::new(1, suite, &mut random);
    let peer = Outbound::new(&theirs);
    let protection = Protection::new(&Crypto {
        ours,
        theirs: line(theirs),
        counted: None,
    });
    (protection, peer)
}

fn line(key: CryptoKey) -> CryptoLine {
    CryptoLine { key, mki: None }
}

fn rtp(ssrc: u32, sequence: u16) -> Vec<u8> {
    let mut packet = vec![0x55; HEADER_BYTES + 160];
    Header {
        marker: false,
        payload_type: 0,
        sequence,
        timestamp: u32::from(sequence) * 160,
        ssrc,
        payload: 0..0,
    }
    .write(packet.first_chunk_mut().unwrap());
    packet
}

fn peer_rtp(peer: &mut Outbound, ssrc: u32, sequence: u16) -> Vec<u8> {
    let mut buffer = rtp(ssrc, sequence);
    let len = buffer.len();
    buffer.resize(len + MAX_OVERHEAD_BYTES, 0);
    let len = peer.seal_rtp(&mut buffer, len).unwrap();
    buffer.truncate(len);
    buffer
}

fn seal_rtp(protection: &mut Protection, packet: &[u8]) -> Vec<u8> {
    let mut buffer = packet.to_vec();
    buffer.resize(packet.len() + MAX_OVERHEAD_BYTES, 0);
    let len = protection.seal_rtp(&mut buffer, packet.len()).unwrap();
    buffer.truncate(len);
    buffer
}

fn seal_rtcp(protection: &mut Protection, packet: &[u8]) -> Vec<u8> {
    let mut buffer = packet.to_vec();
    buffer.resize(packet.len() + MAX_OVERHEAD_BYTES, 0);
    let len = protection.seal_rtcp(&mut buffer, packet.len()).unwrap();
    buffer.truncate(len);
    buffer
}

fn octets(hex: &str) -> Vec<u8> {
    let digit = |digit: u8| u8::try_from(char::from(digit).to_digit(16).unwrap()).unwrap();
    let (pairs, _) = hex.as_bytes().as_chunks::<2>();
    pairs
        .iter()
        .map(|&[high, low]| (digit(high) << 4) | digit(low))
        .collect()
}

fn hex(octets: &[u8]) -> String {
    octets.iter().map(|octet| format!("{octet:02x}")).collect()
}
