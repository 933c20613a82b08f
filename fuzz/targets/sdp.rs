//! A session description as a peer may send it: what we can answer, we answer so that we could read it ourselves, with a
//! key where it is secure and never without; and a later offer of ours keeps all of its lines.
#![no_main]

use libfuzzer_sys::fuzz_target;
use media::{
    Codec, StreamSettings,
    sdp::{self, CryptoKey, CryptoLine, CryptoSuite, Local},
};

const CODECS: [Codec; 2] = [Codec::Pcmu, Codec::Pcma];

fuzz_target!(|body: &[u8]| {
    let Ok(remote) = sdp::parse(body) else { return };
    let Some(codec) = sdp::choose(&remote, &CODECS) else {
        return;
    };
    let mut local = Local::new("127.0.0.1:20000".parse().expect("an address"), 1);
    local.noise = true;
    let unkeyed = sdp::answer(&remote, &local, codec, true);
    if remote.secure {
        assert_eq!(sdp::parse(unkeyed.as_bytes()), Err(sdp::SdpFault::NoAudio));
        assert_eq!(StreamSettings::agreed(&remote, &local, codec), None);
        local.crypto.push(our_key(&remote.crypto[0]));
    }
    let answer = sdp::answer(&remote, &local, codec, true);
    let read = match sdp::parse(answer.as_bytes()) {
        // A peer whose key is ours by chance is refused.
        Err(sdp::SdpFault::NoAudio) if remote.secure => return,
        read => read.expect("our own answer is one that we can read"),
    };
    assert_eq!((read.rtp, read.secure), (local.rtp, remote.secure));
    assert_eq!(sdp::choose(&read, &CODECS), Some(codec));
    assert_eq!(
        read.payload_type(codec),
        remote.payload_type(codec),
        "an answer renumbers the offer's payload"
    );
    assert!(!read.direction.sends() || remote.direction.receives());
    assert!(!read.direction.receives() || remote.direction.sends());

    let stream = StreamSettings::agreed(&remote, &local, codec)
        .expect("a codec that was chosen can be agreed");
    assert_eq!(stream.remote_rtp, remote.rtp);
    assert_eq!(stream.crypto.is_some(), remote.secure);
    assert!(remote.changes_nothing(&remote) && !remote.is_newer(&remote));

    let later = sdp::reoffer(&remote, &local, &CODECS, true);
    let read = sdp::parse(later.as_bytes()).expect("our own offer is one that we can read");
    let kinds = |media: &sdp::RemoteMedia| -> Vec<(String, bool)> {
        let lines = media.lines.iter();
        lines
            .map(|line| (line.media.to_ascii_lowercase(), line.is_used))
            .collect()
    };
    assert_eq!(kinds(&read), kinds(&remote));
});

/// A key for the answer to a line; its octets are fixed.
fn our_key(line: &CryptoLine) -> CryptoKey {
    let suite: CryptoSuite = line.key.suite();
    let (key, salt) = ([1; 32], [2; 14]);
    CryptoKey::of(
        line.key.tag(),
        suite,
        &key[..suite.key_bytes()],
        &salt[..suite.salt_bytes()],
    )
    .expect("as long as the suite wants")
}
