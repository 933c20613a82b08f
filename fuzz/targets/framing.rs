//! A stream cut anywhere holds the same messages, and none that is longer than the stream or than the limit.
#![no_main]

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use sip_core::{FrameFault, Message, StreamFrames};

/// What a message may be long (requirement T-01).
const MAX_MESSAGE_BYTES: usize = 64 * 1024;

// The first octet says how the rest is cut.
fuzz_target!(|input: &[u8]| {
    let Some((cut, stream)) = input.split_first() else {
        return;
    };
    let whole = read(&[stream]);
    let portions: Vec<&[u8]> = stream.chunks(usize::from(*cut).max(1)).collect();
    assert_eq!(whole, read(&portions), "a stream depends on its segments");
    let length: usize = whole.0.iter().map(Bytes::len).sum();
    assert!(length <= stream.len());
    for message in whole.0 {
        assert!(message.len() <= MAX_MESSAGE_BYTES);
        if let Ok(read) = Message::parse(message.clone()) {
            assert_eq!(
                read.octets().len(),
                message.len(),
                "stream and message do not agree where a message ends"
            );
        }
    }
});

/// The messages, the pings, and how it ended.
fn read(portions: &[&[u8]]) -> (Vec<Bytes>, usize, Option<FrameFault>) {
    let mut frames = StreamFrames::new();
    let (mut messages, mut pings, mut fault) = (Vec::new(), 0, None);
    for portion in portions {
        frames.push(portion);
        while let Some(frame) = frames.poll() {
            assert!(fault.is_none(), "something comes behind a fault");
            match frame {
                Ok(message) => messages.push(message),
                Err(found) => fault = Some(found),
            }
        }
        while frames.poll_ping() {
            pings += 1;
        }
    }
    (messages, pings, fault)
}
