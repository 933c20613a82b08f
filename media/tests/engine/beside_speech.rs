//! What passes beside speech: keypad events and comfort noise.

use super::support::*;

#[test]
fn keypad_events_pass_with_the_other_legs_number_and_are_never_recorded() {
    let mut shard = Shard::with_bridge(1);
    let mut tap = shard.fork();
    let mut event = packet(1, 10, 101);
    event.truncate(12);
    event[1] |= 0x80;
    event.extend([5, 0x0A, 0, 160]);
    shard.receive(CARRIER, &event).unwrap();
    let sent = shard.sent.last().unwrap();
    assert_eq!(
        (sent.header().payload_type, sent.header().marker),
        (97, true)
    );
    assert_eq!(sent.payload(), [5, 0x0A, 0, 160]);
    assert_eq!(frames(&mut tap), []);
    // What was not agreed reaches nobody.
    assert_eq!(shard.receive(CARRIER, &packet(1, 11, 18)), None);
    assert_eq!(frames(&mut tap), []);
    assert_eq!(
        shard
            .engine
            .statistics(CARRIER)
            .unwrap()
            .dropped
            .foreign_payload,
        1
    );
}

#[test]
fn comfort_noise_passes_with_the_other_legs_number_in_one_stream_and_is_never_recorded() {
    let mut shard = Shard::with_bridge(1);
    shard.command(Command::Open {
        leg: DEPARTMENT,
        stream: StreamSettings {
            noise: Some(98),
            ..stream(DEPARTMENT)
        },
    });
    let mut tap = shard.fork();
    let noise = |number| {
        let mut noise = packet(1, number, 13);
        noise.truncate(13);
        noise
    };
    shard.receive(CARRIER, &packet(1, 10, 0)).unwrap();
    shard.pass(millis(20));
    shard.receive(CARRIER, &noise(11)).unwrap();
    shard.pass(millis(400));
    // Speech resumes when the pause is over; the peer's clock went on.
    shard.receive(CARRIER, &packet(1, 12, 0)).unwrap();
    let sent = shard.rtp_to(DEPARTMENT);
    let headers = sent.iter().map(|sent| {
        let header = sent.header();
        (header.payload_type, header.sequence, header.timestamp)
    });
    let headers = headers.collect::<Vec<_>>();
    let (_, first, begin) = headers[0];
    assert_eq!(
        headers,
        [
            (0, first, begin),
            (98, first + 1, begin + 160),
            (0, first + 2, begin + 320)
        ]
    );
    let recorded = frames(&mut tap);
    assert_eq!(recorded.len(), 2, "the noise is no speech");
    // The carrier's peer agreed to none: it gets none.
    assert_eq!(shard.receive(DEPARTMENT, &noise(1)), None);
    assert_eq!(
        shard
            .engine
            .statistics(CARRIER)
            .unwrap()
            .dropped
            .not_forwarded,
        1
    );
}

#[test]
fn an_event_beside_speech_keeps_its_time_and_moves_nobodys() {
    // RFC 4733 section 2.5.1.2: an event's packets carry the time it began at, and speech may go on between them.
    let mut shard = Shard::with_bridge(1);
    let speech = |number: u16, timestamp: u32| {
        let mut speech = packet(1, number, 0);
        speech[4..8].copy_from_slice(&timestamp.to_be_bytes());
        speech
    };
    let event = |number: u16, timestamp: u32| {
        let mut event = speech(number, timestamp);
        event.truncate(12);
        event[1] = 101;
        event.extend([5, 0x0A, 0, 160]);
        event
    };
    let order = [
        speech(10, 16_000),
        event(11, 16_160),
        speech(12, 16_160),
        event(13, 16_160),
        speech(14, 16_320),
        event(15, 16_160),
        event(16, 16_160),
        speech(17, 16_480),
    ];
    for one in order {
        shard.receive(CARRIER, &one).unwrap();
        shard.pass(millis(10));
    }
    let sent = shard.rtp_to(DEPARTMENT);
    let first = sent[0].header().timestamp;
    let times: Vec<u32> = sent
        .iter()
        .map(|sent| sent.header().timestamp.wrapping_sub(first))
        .collect();
    assert_eq!(times, [0, 160, 160, 160, 320, 160, 160, 480]);
}

#[test]
fn what_follows_an_event_does_not_lie_inside_it() {
    // A key held for 400 ms, then a prompt of ours: its time is that of the wall, not 20 ms behind the key's beginning.
    let mut shard = Shard::with_bridge(1);
    shard.receive(CARRIER, &packet(1, 9, 0)).unwrap();
    shard.pass(millis(20));
    for number in 10..30 {
        let mut event = packet(1, number, 101);
        event[4..8].copy_from_slice(&packet(1, 10, 101)[4..8]);
        event.truncate(12);
        event.extend([5, 0x0A, 0, 160]);
        shard.receive(CARRIER, &event).unwrap();
        shard.pass(millis(20));
    }
    shard.command(play(DEPARTMENT, 160));
    shard.pass(millis(20));
    let sent = shard.rtp_to(DEPARTMENT);
    let began = sent[1].header().timestamp;
    let prompt = sent.last().unwrap().header().timestamp;
    assert_eq!(prompt.wrapping_sub(began), 20 * 160);
}

#[test]
fn a_peer_without_keypad_events_is_sent_none() {
    let mut shard = Shard::with_bridge(1);
    shard.command(Command::Open {
        leg: DEPARTMENT,
        stream: StreamSettings {
            events: None,
            ..stream(DEPARTMENT)
        },
    });
    assert_eq!(shard.receive(CARRIER, &packet(1, 10, 101)), None);
    assert!(shard.receive(CARRIER, &packet(1, 11, 0)).is_some());
    assert_eq!(
        shard
            .engine
            .statistics(DEPARTMENT)
            .unwrap()
            .dropped
            .not_forwarded,
        1
    );
}
