//! Keys in descriptions (SDES, RFC 4568): what is offered, taken and printed.

use media::{
    Codec,
    sdp::{self, Crypto, CryptoKey, CryptoSuite, Local, StreamSettings},
};
use rand_chacha::ChaCha8Rng;
use rand_core::SeedableRng;

use super::{lines_of, local, read};

/// The key of RFC 4568's example, and some of other lengths.
const KEY: &str = "d0RmdmcmVCspeEc3QGZiNWpVLFJhQX1cfHAwJSoj";
pub(crate) const SECURE: &str = "m=audio 5000 RTP/SAVP 0 8\n\
                      a=crypto:1 F8_128_HMAC_SHA1_80 inline:d0RmdmcmVCspeEc3QGZiNWpVLFJhQX1cfHAwJSoj\n\
                      a=crypto:2 AES_CM_128_HMAC_SHA1_80 inline:d0RmdmcmVCspeEc3QGZiNWpVLFJhQX1cfHAwJSoj|2^20|1:4\n\
                      a=crypto:3 AEAD_AES_128_GCM inline:d0RmdmcmVCspeEc3QGZiNWpVLFJhQX1cfHAwJw==\n";

fn random() -> ChaCha8Rng {
    ChaCha8Rng::from_seed([5; 32])
}

#[test]
fn a_secure_offer_is_answered_with_a_key_of_the_line_that_is_taken() {
    let remote = read(SECURE).unwrap();
    assert!(remote.secure);
    let suites: Vec<_> = remote.crypto.iter().map(|line| line.key.suite()).collect();
    assert_eq!(
        suites,
        [CryptoSuite::AesCm128HmacSha1_80, CryptoSuite::AeadAes128Gcm]
    );
    let mut local = local("192.0.2.9:20000");
    local.crypto = vec![CryptoKey::answering(&remote.crypto[0], &mut random())];
    let answer = sdp::answer(&remote, &local, Codec::Pcmu, false);
    assert_eq!(
        lines_of(&answer, "m="),
        ["m=audio 20000 RTP/SAVP 0"],
        "{answer}"
    );
    let [line] = lines_of(&answer, "a=crypto:")[..] else {
        panic!("{answer}");
    };
    assert!(line.starts_with("a=crypto:2 AES_CM_128_HMAC_SHA1_80 inline:"));
    assert!(!line.contains(KEY), "each side has a key of its own");
    let stream = StreamSettings::agreed(&remote, &local, Codec::Pcmu).unwrap();
    let Some(crypto) = stream.crypto else {
        panic!("a secure stream has keys");
    };
    assert_eq!((crypto.ours.tag(), crypto.theirs.key.tag()), (2, 2));
    assert!(crypto.theirs.mki.is_some());
    // The peer reads the same of our answer.
    let read_back = sdp::parse(answer.as_bytes()).unwrap();
    assert_eq!(read_back.crypto[0].key, crypto.ours);
}

#[test]
fn a_secure_offer_is_never_answered_plain_nor_a_plain_one_secure() {
    let secure = read(SECURE).unwrap();
    let unkeyed = local("192.0.2.9:20000");
    let answer = sdp::answer(&secure, &unkeyed, Codec::Pcmu, false);
    assert_eq!(lines_of(&answer, "m="), ["m=audio 0 RTP/SAVP 0 8"]);
    assert_eq!(StreamSettings::agreed(&secure, &unkeyed, Codec::Pcmu), None);
    let other_line = Local {
        crypto: vec![CryptoKey::new(
            1,
            CryptoSuite::AesCm128HmacSha1_80,
            &mut random(),
        )],
        ..unkeyed
    };
    let answer = sdp::answer(&secure, &other_line, Codec::Pcmu, false);
    assert_eq!(lines_of(&answer, "m="), ["m=audio 0 RTP/SAVP 0 8"]);
    // Our secure offer, answered plain.
    let plain = read("m=audio 5000 RTP/AVP 0\n").unwrap();
    assert_eq!(
        StreamSettings::agreed(&plain, &other_line, Codec::Pcmu),
        None
    );
}

#[test]
fn our_secure_offer_lists_its_suites_and_takes_the_one_that_is_answered() {
    let mut ours = local("192.0.2.9:20000");
    ours.crypto = CryptoKey::offered(&CryptoSuite::OFFERED, &mut random());
    let offer = sdp::offer(&ours, &[Codec::Pcmu], false);
    assert_eq!(lines_of(&offer, "m="), ["m=audio 20000 RTP/SAVP 0"]);
    let suites: Vec<&str> = lines_of(&offer, "a=crypto:")
        .iter()
        .map(|line| line.split(' ').nth(1).unwrap())
        .collect();
    assert_eq!(
        suites,
        [
            "AEAD_AES_256_GCM",
            "AEAD_AES_128_GCM",
            "AES_CM_128_HMAC_SHA1_80"
        ]
    );
    let answer =
        format!("m=audio 5000 RTP/SAVP 0\na=crypto:3 AES_CM_128_HMAC_SHA1_80 inline:{KEY}\n");
    let stream = StreamSettings::agreed(&read(&answer).unwrap(), &ours, Codec::Pcmu).unwrap();
    assert_eq!(stream.crypto.unwrap().ours, ours.crypto[2]);
    let wrong = answer.replace("crypto:3", "crypto:2");
    assert_eq!(
        StreamSettings::agreed(&read(&wrong).unwrap(), &ours, Codec::Pcmu),
        None,
        "line 2 is of another suite"
    );
    // An independent reader finds every line whole.
    let session = sdp_types::Session::parse(offer.as_bytes()).unwrap();
    let mut written = Vec::new();
    session.write(&mut written).unwrap();
    assert_eq!(String::from_utf8(written).unwrap(), offer);
}

#[test]
fn a_secure_line_goes_before_a_plain_one_wherever_it_stands() {
    let remote = read(&format!("m=audio 5002 RTP/AVP 0\n{SECURE}")).unwrap();
    assert_eq!((remote.rtp.port(), remote.secure), (5000, true));
    let used: Vec<bool> = remote.lines.iter().map(|line| line.is_used).collect();
    assert_eq!(used, [false, true]);
}

#[test]
fn keys_are_no_ones_to_read_in_what_is_printed() {
    let remote = read(SECURE).unwrap();
    let mut local = local("192.0.2.9:20000");
    local.crypto = vec![CryptoKey::answering(&remote.crypto[0], &mut random())];
    let crypto = Crypto::agreed(&local.crypto, &remote.crypto).unwrap();
    let stream = StreamSettings::agreed(&remote, &local, Codec::Pcmu).unwrap();
    for printed in [
        format!("{remote:?}"),
        format!("{local:?}"),
        format!("{crypto:?}"),
        format!("{stream:?}"),
    ] {
        assert!(printed.contains("AesCm128HmacSha1_80"), "{printed}");
        assert!(
            !printed.contains("octets") && !printed.contains(KEY),
            "{printed}"
        );
        assert!(!printed.contains("119, 68"), "{printed}");
    }
}
