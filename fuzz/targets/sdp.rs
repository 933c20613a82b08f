//! A session description as a peer may send it: what we can answer, we answer so that we could read it ourselves.
#![no_main]

use libfuzzer_sys::fuzz_target;
use media::{
    Codec, StreamSettings,
    sdp::{self, Local},
};

const CODECS: [Codec; 2] = [Codec::Pcmu, Codec::Pcma];

fuzz_target!(|body: &[u8]| {
    let Ok(remote) = sdp::parse(body) else { return };
    let Some(codec) = sdp::choose(&remote, &CODECS) else {
        return;
    };
    let local = Local::new("127.0.0.1:20000".parse().expect("an address"), 1);
    let answer = sdp::answer(&remote, &local, codec, true);
    let read = sdp::parse(answer.as_bytes()).expect("our own answer is one that we can read");
    assert_eq!(read.rtp, local.rtp);
    assert_eq!(sdp::choose(&read, &CODECS), Some(codec));
    assert_eq!(
        read.payload_type(codec),
        remote.payload_type(codec),
        "an answer renumbers the offer's payload"
    );

    let stream =
        StreamSettings::agreed(&remote, &local, codec).expect("a codec that was chosen can be agreed");
    assert_eq!(stream.remote_rtp, remote.rtp);
    assert!(remote.changes_nothing(&remote));
});
