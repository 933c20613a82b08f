//! The engine as a shard drives it: packets and time in, packets and reports out. No clock runs and no socket is open.
#![expect(clippy::unwrap_used, reason = "the helpers are tests too")]

use std::{
    net::SocketAddr,
    time::{Duration, Instant},
};

use media::{
    Clip, Codec, Command, Engine, Event, Forward, Frame, LegId, PlaybackId, Settings, Side,
    StreamSettings, Tap, Transmit, channel, g711,
    rtcp::{self, Item, Report, ReportBlock},
    rtp::Header,
    sdp::Direction,
};
use rand_chacha::ChaCha8Rng;
use rand_core::{Rng, SeedableRng};

const CARRIER: LegId = LegId {
    shard: 3,
    slot: 0,
    generation: 1,
};
const DEPARTMENT: LegId = LegId {
    shard: 3,
    slot: 1,
    generation: 1,
};

/// A shard with a clock that only tests move, and everything that it sent.
struct Shard {
    engine: Engine,
    start: Instant,
    now: Instant,
    sent: Vec<Sent>,
    events: Vec<Event>,
}

/// A packet on the wire.
#[derive(Clone, Debug)]
struct Sent {
    at: Duration,
    leg: LegId,
    to: SocketAddr,
    rtcp: bool,
    packet: Vec<u8>,
}

impl Sent {
    fn header(&self) -> Header {
        Header::read(&self.packet).unwrap()
    }

    fn payload(&self) -> &[u8] {
        &self.packet[self.header().payload]
    }
}

impl Shard {
    fn new(seed: u8) -> Shard {
        #[expect(
            clippy::disallowed_methods,
            reason = "std knows no other way to an Instant"
        )]
        let start = Instant::now();
        let engine = Engine::new(
            Settings {
                shard: 3,
                max_legs: 2_000,
            },
            [seed; 32],
        );
        Shard {
            engine,
            start,
            now: start,
            sent: Vec::new(),
            events: Vec::new(),
        }
    }

    /// A shard with both legs of a call.
    fn with_call(seed: u8) -> Shard {
        let mut shard = Shard::new(seed);
        shard.command(Command::Open {
            leg: CARRIER,
            stream: stream(CARRIER),
        });
        shard.command(Command::Open {
            leg: DEPARTMENT,
            stream: stream(DEPARTMENT),
        });
        shard
    }

    fn with_bridge(seed: u8) -> Shard {
        let mut shard = Shard::with_call(seed);
        shard.command(Command::Bridge {
            carrier: CARRIER,
            department: DEPARTMENT,
        });
        shard
    }

    fn command(&mut self, command: Command) {
        self.engine.handle_command(self.now, command);
        self.drain();
    }

    fn fork(&mut self) -> Tap {
        let (fork, tap) = channel(200);
        self.command(Command::Fork {
            carrier: CARRIER,
            department: DEPARTMENT,
            fork,
        });
        tap
    }

    /// Lets time pass, waking the engine exactly when it asks.
    fn pass(&mut self, duration: Duration) {
        let end = self.now + duration;
        while let Some((at, _)) = self.engine.poll_timeout().filter(|&(at, _)| at <= end) {
            self.now = self.now.max(at);
            self.engine.handle_timeout(self.now);
            self.drain();
        }
        self.now = end;
    }

    fn drain(&mut self) {
        let mut buffer = [0; 1_500];
        while let Some(Transmit { leg, to, rtcp, len }) = self.engine.poll_transmit(&mut buffer) {
            self.sent.push(Sent {
                at: self.now - self.start,
                leg,
                to,
                rtcp,
                packet: buffer[..len].to_vec(),
            });
        }
        self.events
            .extend(std::iter::from_fn(|| self.engine.poll_event()));
    }

    /// A packet arrives from a leg's own peer; what is forwarded is noted as sent.
    fn receive(&mut self, leg: LegId, packet: &[u8]) -> Option<Forward> {
        self.receive_from(leg, stream(leg).remote_rtp, packet)
    }

    fn receive_from(&mut self, leg: LegId, source: SocketAddr, packet: &[u8]) -> Option<Forward> {
        let mut packet = packet.to_vec();
        let forward = self.engine.handle_rtp(self.now, leg, source, &mut packet);
        if let Some(Forward { leg, to, len }) = forward {
            packet.truncate(len);
            self.sent.push(Sent {
                at: self.now - self.start,
                leg,
                to,
                rtcp: false,
                packet,
            });
        }
        self.drain();
        forward
    }

    fn rtp_to(&self, leg: LegId) -> Vec<&Sent> {
        self.sent
            .iter()
            .filter(|sent| sent.leg == leg && !sent.rtcp)
            .collect()
    }

    fn rtcp_to(&self, leg: LegId) -> Vec<&Sent> {
        self.sent
            .iter()
            .filter(|sent| sent.leg == leg && sent.rtcp)
            .collect()
    }
}

fn stream(leg: LegId) -> StreamSettings {
    let port = 40_000 + u16::try_from(leg.slot).unwrap() * 2;
    StreamSettings {
        remote_rtp: SocketAddr::from(([127, 0, 0, 9], port)),
        remote_rtcp: SocketAddr::from(([127, 0, 0, 9], port + 1)),
        codec: Codec::Pcmu,
        payload_type: 0,
        events: Some(if leg == CARRIER { 101 } else { 97 }),
        ptime_ms: 20,
        noise: None,
        direction: Direction::SendReceive,
        crypto: None,
        silence: None,
        dscp: 0,
    }
}

fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

fn clip(samples: u16) -> Clip {
    Clip::from_linear(
        &(0..samples)
            .map(|sample| (sample % 4_000).cast_signed() * 8 - 16_000)
            .collect::<Vec<i16>>(),
    )
}

fn play(leg: LegId, samples: u16) -> Command {
    Command::Play {
        leg,
        playback: PlaybackId(5),
        clip: clip(samples),
    }
}

/// An RTP packet of 20 ms whose samples say its number.
fn packet(ssrc: u32, sequence: u16, payload_type: u8) -> Vec<u8> {
    let header = Header {
        marker: false,
        payload_type,
        sequence,
        timestamp: u32::from(sequence).wrapping_mul(160).wrapping_add(7_000),
        ssrc,
        payload: 0..0,
    };
    let mut packet = vec![0; 12];
    header.write(packet.first_chunk_mut().unwrap());
    packet
        .extend((0..160_u16).map(|sample| u8::try_from((sample + sequence % 251) % 251).unwrap()));
    packet
}

fn frames(tap: &mut Tap) -> Vec<Frame> {
    std::iter::from_fn(|| tap.pop()).collect()
}

/// One SSRC, one number after the other, and a clock that never goes back.
fn assert_one_stream(sent: &[&Sent]) {
    for pair in sent.windows(2) {
        let (earlier, later) = (pair[0].header(), pair[1].header());
        assert_eq!(later.ssrc, earlier.ssrc);
        assert_eq!(later.sequence, earlier.sequence.wrapping_add(1));
        let step = later.timestamp.wrapping_sub(earlier.timestamp);
        assert!((1..1_000_000).contains(&step), "timestamp steps by {step}");
        assert_eq!(later.payload_type, 0);
    }
}

#[test]
fn prompt_ringback_and_department_are_one_stream_to_the_caller() {
    for seed in 0..50 {
        println!("seed {seed}");
        let mut shard = Shard::with_call(seed);
        shard.command(play(CARRIER, 4_100));
        shard.pass(millis(700));
        shard.command(Command::Loop {
            leg: CARRIER,
            clip: clip(333),
        });
        shard.pass(millis(1_010));
        shard.command(Command::Bridge {
            carrier: CARRIER,
            department: DEPARTMENT,
        });
        for number in 0..50_u16 {
            shard
                .receive(DEPARTMENT, &packet(77, 65_500_u16.wrapping_add(number), 0))
                .unwrap();
            shard.pass(millis(20));
        }
        shard.command(play(CARRIER, 800));
        shard.pass(millis(300));
        let sent = shard.rtp_to(CARRIER);
        assert_one_stream(&sent);
        assert_eq!(sent.len(), 26 + 51 + 50 + 5);
        let marked: Vec<usize> = (0..sent.len())
            .filter(|&index| sent[index].header().marker)
            .collect();
        assert_eq!(marked, [0, 26, 77, 127], "a marker where a source begins");
        // Time in the stream is time in the world, to a packet.
        for pair in sent.windows(2) {
            let in_world = (pair[1].at - pair[0].at).as_millis().cast_signed() * 8;
            let in_stream = i128::from(
                pair[1]
                    .header()
                    .timestamp
                    .wrapping_sub(pair[0].header().timestamp),
            );
            assert!(
                (in_stream - in_world).abs() <= 160,
                "{in_stream} samples in {in_world}"
            );
        }
        assert!(shard.rtp_to(DEPARTMENT).is_empty());
    }
}

#[test]
fn a_clip_is_sent_whole_and_punctually_from_its_first_sample() {
    for ptime_ms in [10, 20, 30, 40, 60_u16] {
        let mut shard = Shard::new(1);
        let settings = StreamSettings {
            codec: Codec::Pcma,
            payload_type: 8,
            ptime_ms,
            ..stream(CARRIER)
        };
        shard.command(Command::Open {
            leg: CARRIER,
            stream: settings.clone(),
        });
        shard.pass(millis(33));
        shard.command(play(CARRIER, 8_100));
        assert_eq!(shard.engine.poll_timeout(), Some((shard.now, "playback")));
        shard.pass(Duration::from_secs(2));
        let sent = shard.rtp_to(CARRIER);
        let heard: Vec<u8> = sent
            .iter()
            .flat_map(|sent| sent.payload().to_vec())
            .collect();
        assert_eq!(heard[..8_100], *clip(8_100).encoded(Codec::Pcma));
        assert!(
            heard[8_100..]
                .iter()
                .all(|&sample| sample == Codec::Pcma.silence())
        );
        for (number, sent) in (0..).zip(sent) {
            assert_eq!(sent.at, millis(33) + millis(u64::from(ptime_ms)) * number);
            assert_eq!(
                (sent.to, sent.header().payload_type),
                (settings.remote_rtp, 8)
            );
        }
        let start = shard.start + millis(33);
        let ended = Event::PlaybackEnded {
            leg: CARRIER,
            playback: PlaybackId(5),
            samples_sent: 8_100,
            samples_total: 8_100,
            started: start,
            ended: start + Duration::from_micros(1_012_500),
        };
        assert_eq!(shard.events, [ended]);
    }
}

#[test]
fn a_playback_that_is_cut_at_any_of_its_frames_says_so() {
    // A clip of 50 packets and a half; each way to cut it, before, between and behind its packets.
    type Cut = fn(&mut Shard);
    let cuts: [(&str, Cut); 5] = [
        ("close", |shard| {
            shard.command(Command::Close { leg: CARRIER });
        }),
        ("quiet", |shard| {
            shard.command(Command::Quiet { leg: CARRIER });
        }),
        ("loop", |shard| {
            shard.command(Command::Loop {
                leg: CARRIER,
                clip: clip(160),
            });
        }),
        ("play", |shard| {
            shard.command(Command::Play {
                leg: CARRIER,
                playback: PlaybackId(6),
                clip: clip(160),
            });
        }),
        ("bridge", |shard| {
            shard.command(Command::Bridge {
                carrier: CARRIER,
                department: DEPARTMENT,
            });
        }),
    ];
    for (name, cut) in cuts {
        for cut_at in 0..=53_u64 {
            let mut shard = Shard::with_call(1);
            shard.command(play(CARRIER, 8_080));
            let begun = shard.now;
            if cut_at > 0 {
                shard.pass(millis(cut_at * 20 - 15));
            }
            cut(&mut shard);
            let Some(Event::PlaybackEnded {
                playback,
                samples_sent,
                samples_total,
                started,
                ended,
                ..
            }) = shard.events.first()
            else {
                panic!("{name} at frame {cut_at}: no report in {:?}", shard.events);
            };
            assert_eq!((*playback, *samples_total), (PlaybackId(5), 8_080));
            assert_eq!(
                *samples_sent,
                (cut_at * 160).min(8_080),
                "{name} at frame {cut_at}"
            );
            let on_wire = shard
                .rtp_to(CARRIER)
                .iter()
                .filter(|sent| sent.at < ended.duration_since(shard.start))
                .count() as u64;
            assert_eq!(
                (on_wire * 160).min(8_080),
                *samples_sent,
                "{name} at frame {cut_at}: what is reported was sent"
            );
            if cut_at > 0 {
                assert_eq!(*started, begun);
            }
            assert!(*ended <= begun + Duration::from_millis(1_010));
            let reports = shard.events.iter().filter(|event| {
                matches!(
                    event,
                    Event::PlaybackEnded {
                        playback: PlaybackId(5),
                        ..
                    }
                )
            });
            assert_eq!(
                reports.count(),
                1,
                "{name} at frame {cut_at}: reported once"
            );
        }
    }
}

#[test]
fn late_wake_ups_do_not_add_up() {
    // The shard wakes up to 15 ms late each time, and once half a second.
    let mut shard = Shard::with_call(1);
    let mut random = ChaCha8Rng::seed_from_u64(8);
    shard.command(play(CARRIER, 16_000));
    let mut has_stalled = false;
    while shard.events.is_empty() {
        let (at, _) = shard.engine.poll_timeout().unwrap();
        shard.now = shard
            .now
            .max(at + millis(u64::from(random.next_u32() % 16)));
        if !has_stalled && shard.rtp_to(CARRIER).len() == 50 {
            shard.now += millis(500);
            has_stalled = true;
        }
        shard.engine.handle_timeout(shard.now);
        shard.drain();
    }
    let sent = shard.rtp_to(CARRIER);
    assert_one_stream(&sent);
    let heard: Vec<u8> = sent
        .iter()
        .flat_map(|sent| sent.payload().to_vec())
        .collect();
    assert!(
        heard == clip(16_000).encoded(Codec::Pcmu),
        "every sample once and in order"
    );
    let last = sent[99].at;
    assert!(
        (millis(1_980 + 480)..millis(1_980 + 540)).contains(&last),
        "the last packet left at {last:?}"
    );
}

#[test]
fn a_thousand_legs_play_at_once_and_none_waits_for_another() {
    let mut shard = Shard::new(1);
    for slot in 0..1_000 {
        let leg = LegId {
            shard: 3,
            slot,
            generation: 0,
        };
        shard.command(Command::Open {
            leg,
            stream: stream(leg),
        });
        shard.command(play(leg, 800));
        shard.pass(Duration::from_micros(17));
    }
    shard.pass(millis(200));
    assert_eq!(shard.events.len(), 1_000);
    assert_eq!(shard.sent.iter().filter(|sent| !sent.rtcp).count(), 5_000);
    assert!(shard.events.iter().all(|event| matches!(
        event,
        Event::PlaybackEnded {
            samples_sent: 800,
            ..
        }
    )));
}

#[test]
fn a_bridge_keeps_numbers_apart_and_loss_visible() {
    for seed in 0..100 {
        println!("seed {seed}");
        // 5 % loss, overtaking, repetition; numbers and timestamps wrap.
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        let mut shard = Shard::with_bridge(u8::try_from(seed).unwrap());
        let first = 65_400 + u16::try_from(random.next_u32() % 100).unwrap();
        let mut arriving: Vec<(u64, u16)> = Vec::new();
        for step in 0..300_u16 {
            for _ in 0..1 + u32::from(random.next_u32() % 50 == 0) {
                if random.next_u32() % 20 > 0 {
                    arriving.push((
                        u64::from(step) * 20 + u64::from(random.next_u32() % 70),
                        first.wrapping_add(step),
                    ));
                }
            }
        }
        arriving.sort_unstable();
        let mut pairs = Vec::new();
        for (at, number) in arriving {
            shard.now = shard.start + millis(at);
            let mut arrived = packet(1, number, 0);
            let timestamp =
                (u32::MAX - 16_000).wrapping_add(u32::from(number.wrapping_sub(first)) * 160);
            arrived[4..8].copy_from_slice(&timestamp.to_be_bytes());
            if shard.receive(CARRIER, &arrived).is_some() {
                pairs.push((number, shard.sent.last().unwrap().clone()));
            }
        }
        let offsets: Vec<u16> = pairs
            .iter()
            .map(|(number, sent)| sent.header().sequence.wrapping_sub(*number))
            .collect();
        assert!(
            offsets.windows(2).all(|pair| pair[0] == pair[1]),
            "the shift never changes"
        );
        let ssrcs: Vec<u32> = pairs.iter().map(|(_, sent)| sent.header().ssrc).collect();
        assert!(ssrcs.windows(2).all(|pair| pair[0] == pair[1]) && ssrcs[0] != 1);
        let mut numbers: Vec<u16> = pairs
            .iter()
            .map(|&(number, _)| number.wrapping_sub(first))
            .collect();
        let count = numbers.len();
        numbers.sort_unstable();
        numbers.dedup();
        assert_eq!(numbers.len(), count, "nothing is sent twice");
        assert!(count > 260, "{count} packets passed");
        for (number, sent) in &pairs {
            assert_eq!(
                sent.payload(),
                &packet(1, *number, 0)[12..],
                "speech passes bit by bit"
            );
            let since = number.wrapping_sub(pairs[0].0).cast_signed();
            let expected = pairs[0]
                .1
                .header()
                .timestamp
                .wrapping_add_signed(i32::from(since) * 160);
            assert_eq!(sent.header().timestamp, expected, "and so does the clock");
        }
    }
}

#[test]
fn a_packet_from_anywhere_else_is_neither_forwarded_nor_recorded() {
    let mut shard = Shard::with_bridge(1);
    let mut tap = shard.fork();
    let signalled = stream(CARRIER).remote_rtp;
    let elsewhere = [
        SocketAddr::new(signalled.ip(), signalled.port() + 1),
        SocketAddr::from(([127, 0, 0, 10], signalled.port())),
        stream(DEPARTMENT).remote_rtp,
        "[::1]:40000".parse().unwrap(),
    ];
    for (number, source) in (0..).zip(elsewhere.into_iter().cycle().take(400)) {
        assert_eq!(
            shard.receive_from(CARRIER, source, &packet(1, number, 0)),
            None
        );
    }
    assert_eq!(frames(&mut tap), []);
    assert!(
        shard.receive(CARRIER, &packet(1, 9, 0)).is_some(),
        "the flood cost the caller nothing"
    );
    assert_eq!(frames(&mut tap).len(), 1);
    assert_eq!(
        shard
            .engine
            .statistics(CARRIER)
            .unwrap()
            .dropped
            .foreign_source,
        400
    );
}

#[test]
fn an_injector_who_forges_the_address_meets_the_window() {
    let mut shard = Shard::with_bridge(1);
    let mut tap = shard.fork();
    for number in 0..100_u16 {
        assert!(shard.receive(CARRIER, &packet(1, number, 0)).is_some());
        // Another SSRC in a row, and the right SSRC far off.
        for injected in [
            packet(666, number, 0),
            packet(666, number + 1, 0),
            packet(1, number + 20_000, 0),
        ] {
            assert_eq!(shard.receive(CARRIER, &injected), None);
        }
        shard.pass(millis(20));
    }
    let kept = frames(&mut tap);
    assert_eq!(kept.len(), 100);
    for (number, frame) in (0..).zip(kept) {
        assert_eq!(frame.samples(), &packet(1, number, 0)[12..]);
    }
    assert_eq!(
        shard
            .engine
            .statistics(CARRIER)
            .unwrap()
            .dropped
            .out_of_window,
        300
    );
}

#[test]
fn a_flood_at_one_leg_is_cut_and_counted() {
    let mut shard = Shard::with_bridge(1);
    let passed = (0..50_000_u32).filter(|&number| {
        shard.now = shard.start + Duration::from_micros(20) * number;
        let number = u16::try_from(number % 65_536).unwrap();
        shard
            .engine
            .handle_rtp(
                shard.now,
                CARRIER,
                stream(CARRIER).remote_rtp,
                &mut packet(1, number, 0),
            )
            .is_some()
    });
    assert!(passed.count() <= 251);
    assert!(shard.engine.statistics(CARRIER).unwrap().dropped.over_rate > 49_000);
    assert!(shard.receive(DEPARTMENT, &packet(2, 1, 0)).is_some());
}

#[test]
fn what_the_rate_refuses_is_neither_received_nor_newest() {
    let mut shard = Shard::with_bridge(1);
    for number in 0..100 {
        shard.receive(CARRIER, &packet(1, number, 0)).unwrap();
    }
    for number in 100..110 {
        assert_eq!(shard.receive(CARRIER, &packet(1, number, 0)), None);
    }
    let statistics = shard.engine.statistics(CARRIER).unwrap();
    assert_eq!((statistics.received, statistics.lost), (100, 0));
    assert_eq!(statistics.dropped.over_rate, 10);
    // The refused numbers are lost as on a line, and none of them is remembered as heard.
    shard.pass(millis(100));
    assert!(shard.receive(CARRIER, &packet(1, 105, 0)).is_some());
}

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
    // Comfort noise was not agreed: it reaches nobody.
    assert_eq!(shard.receive(CARRIER, &packet(1, 11, 13)), None);
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

#[test]
fn the_recorder_hears_both_sides_as_they_came_and_nothing_of_ours() {
    let mut shard = Shard::with_call(1);
    shard.receive(CARRIER, &packet(1, 9, 0));
    shard.pass(millis(100));
    let mut tap = shard.fork();
    shard.command(play(CARRIER, 800));
    shard.pass(millis(250));
    shard.command(Command::Bridge {
        carrier: CARRIER,
        department: DEPARTMENT,
    });
    shard.receive(CARRIER, &packet(1, 10, 0));
    shard.receive(DEPARTMENT, &packet(2, 500, 8));
    let kept = frames(&mut tap);
    assert_eq!(
        kept.iter()
            .map(|frame| (frame.side, frame.codec, frame.at))
            .collect::<Vec<_>>(),
        [
            (Side::Carrier, Codec::Pcmu, 2_000),
            (Side::Department, Codec::Pcma, 2_000)
        ]
    );
    assert_eq!(
        kept[1].samples(),
        &packet(2, 500, 8)[12..],
        "as received, though the caller hears it converted"
    );
    let heard = shard.rtp_to(CARRIER).last().unwrap().payload().to_vec();
    let mut expected = packet(2, 500, 8)[12..].to_vec();
    g711::convert(&mut expected, Codec::Pcma, Codec::Pcmu);
    assert_eq!(heard, expected);
    assert_eq!((kept[0].rtp_timestamp, kept[0].marker), (8_600, false));
    shard.command(Command::Unfork { carrier: CARRIER });
    shard.receive(CARRIER, &packet(1, 11, 0)).unwrap();
    assert!(tap.is_abandoned() && tap.pop().is_none());
    assert_eq!(tap.ended(), Some(2_000));
}

#[test]
fn a_recorder_that_stands_still_costs_the_call_nothing() {
    let mut shard = Shard::with_bridge(1);
    let tap = shard.fork();
    for number in 0..500 {
        assert!(shard.receive(CARRIER, &packet(1, number, 0)).is_some());
        shard.pass(millis(20));
    }
    assert_eq!(tap.refused(), 300);
}

#[test]
fn extensions_sources_and_padding_do_not_cross() {
    let mut shard = Shard::with_bridge(1);
    let mut odd = packet(1, 10, 0);
    odd[0] |= 0x20 | 0x10 | 1;
    odd.splice(12..12, [1, 2, 3, 4, 0xBE, 0xDE, 0, 1, 9, 9, 9, 9]);
    odd.extend([0, 0, 0, 4]);
    let forward = shard.receive(CARRIER, &odd).unwrap();
    assert_eq!(forward.len, 172);
    let sent = shard.sent.last().unwrap();
    assert_eq!(sent.packet[0], 0x80);
    assert_eq!(sent.payload(), &packet(1, 10, 0)[12..]);
}

#[test]
fn a_leg_of_another_generation_shard_or_slot_is_not_touched() {
    let mut shard = Shard::with_bridge(1);
    let strangers = [
        LegId {
            generation: 2,
            ..CARRIER
        },
        LegId {
            shard: 4,
            ..CARRIER
        },
        LegId {
            slot: 2_000,
            ..CARRIER
        },
    ];
    for stranger in strangers {
        assert_eq!(
            shard.engine.handle_rtp(
                shard.now,
                stranger,
                stream(CARRIER).remote_rtp,
                &mut packet(1, 1, 0)
            ),
            None
        );
        shard.command(Command::Close { leg: stranger });
        shard.command(Command::Bridge {
            carrier: CARRIER,
            department: stranger,
        });
        if stranger.generation == 1 {
            shard.command(Command::Open {
                leg: stranger,
                stream: stream(CARRIER),
            });
        }
    }
    assert_eq!(shard.engine.ignored_commands(), 8);
    assert!(shard.receive(CARRIER, &packet(1, 1, 0)).is_some());
    assert_eq!(shard.events, []);
    // A slot lent again: the leg before is over, and its late packets find nobody.
    let again = LegId {
        generation: 2,
        ..CARRIER
    };
    shard.command(Command::Open {
        leg: again,
        stream: stream(CARRIER),
    });
    assert!(matches!(
        shard.events[..],
        [Event::Closed { leg: CARRIER, .. }]
    ));
    assert_eq!(shard.receive(CARRIER, &packet(1, 2, 0)), None);
    assert_eq!(
        shard.receive(DEPARTMENT, &packet(2, 2, 0)),
        None,
        "nobody hears the department"
    );
    assert_eq!(shard.engine.open_legs(), 2);
}

#[test]
fn an_agreement_that_changes_keeps_the_stream() {
    let mut shard = Shard::with_bridge(1);
    shard.receive(DEPARTMENT, &packet(2, 1, 0)).unwrap();
    let moved = StreamSettings {
        remote_rtp: "127.0.0.8:9000".parse().unwrap(),
        ..stream(CARRIER)
    };
    shard.command(Command::Open {
        leg: CARRIER,
        stream: moved.clone(),
    });
    shard.receive(DEPARTMENT, &packet(2, 2, 0)).unwrap();
    let sent = shard.rtp_to(CARRIER);
    assert_one_stream(&sent);
    assert_eq!(sent[1].to, moved.remote_rtp);
    assert_eq!(
        shard.receive(CARRIER, &packet(1, 1, 0)),
        None,
        "the old address is a stranger's"
    );
}

#[test]
fn reports_go_to_the_rtcp_address_at_spread_times_and_a_goodbye_ends_them() {
    let mut shard = Shard::with_bridge(1);
    for number in 0..3_000_u16 {
        if number % 10 != 3 {
            shard.receive(CARRIER, &packet(1, number, 0));
        }
        shard.pass(millis(20));
    }
    shard.command(Command::Close { leg: CARRIER });
    shard.command(Command::Close { leg: DEPARTMENT });
    for leg in [CARRIER, DEPARTMENT] {
        let reports = shard.rtcp_to(leg);
        assert!(
            (8..=25).contains(&reports.len()),
            "{} reports in a minute",
            reports.len()
        );
        for pair in reports[..reports.len() - 1].windows(2) {
            assert!((millis(2_500)..millis(7_500)).contains(&(pair[1].at - pair[0].at)));
        }
        for (index, report) in reports.iter().enumerate() {
            assert_eq!(report.to, stream(leg).remote_rtcp);
            let mut items = Vec::new();
            rtcp::read(&report.packet, |item| items.push(item)).unwrap();
            let is_last = index + 1 == reports.len();
            assert_eq!(
                items
                    .iter()
                    .any(|item| matches!(item, Item::Goodbye { .. })),
                is_last
            );
            let lost = items.iter().find_map(|item| match item {
                Item::Block(block) => Some((block.ssrc, block.fraction_lost)),
                Item::Sender { .. } | Item::Goodbye { .. } => None,
            });
            let is_sender = items.iter().any(|item| matches!(item, Item::Sender { .. }));
            // The carrier speaks and hears nothing; the department the other way round.
            assert_eq!(is_sender, leg == DEPARTMENT);
            match lost {
                Some((1, share)) => assert!(
                    leg == CARRIER && (15..=40).contains(&share),
                    "{share} of 256"
                ),
                other => assert!(leg == DEPARTMENT && other.is_none(), "{other:?}"),
            }
        }
    }
    let Event::Closed { statistics, .. } = shard.events[0] else {
        panic!("{:?}", shard.events)
    };
    assert_eq!((statistics.received, statistics.lost), (2_700, 300));
    assert_eq!(statistics.sent, 0);
    let Event::Closed { statistics, .. } = shard.events[1] else {
        panic!("{:?}", shard.events)
    };
    assert_eq!(
        (statistics.received, statistics.sent, statistics.sent_bytes),
        (0, 2_700, 432_000)
    );
    assert_eq!(
        shard.engine.poll_timeout(),
        None,
        "closed legs want no time"
    );
}

#[test]
fn the_peers_report_is_read_and_gives_the_round_trip() {
    let mut shard = Shard::with_bridge(1);
    shard.receive(DEPARTMENT, &packet(2, 1, 0)).unwrap();
    let ssrc = shard.rtp_to(CARRIER)[0].header().ssrc;
    while shard.rtcp_to(CARRIER).is_empty() {
        shard.pass(millis(100));
    }
    let report = shard.rtcp_to(CARRIER)[0].clone();
    let mut sent_ntp = 0;
    rtcp::read(&report.packet, |item| {
        if let Item::Sender { ntp, .. } = item {
            sent_ntp = ntp;
        }
    })
    .unwrap();
    // The peer answers half a second later, and says that it held the report for 400 ms.
    shard.now = shard.start + report.at + millis(500);
    let last_report = u32::try_from((sent_ntp >> 16) & 0xFFFF_FFFF).unwrap();
    let block = ReportBlock {
        ssrc,
        fraction_lost: 25,
        lost: 12,
        highest: 1,
        jitter: 80,
        last_report,
        delay: 26_214,
    };
    let mut buffer = [0; rtcp::MAX_REPORT_BYTES];
    let len = Report {
        ssrc: 1,
        sender: None,
        block: Some(block),
        cname: b"0123456789abcdef",
        is_goodbye: false,
    }
    .write(&mut buffer);
    shard.engine.handle_rtcp(
        shard.now,
        CARRIER,
        stream(CARRIER).remote_rtp,
        &buffer[..len],
    );
    assert_eq!(
        shard.engine.statistics(CARRIER).unwrap().reported,
        None,
        "the RTP address is not the RTCP address"
    );
    shard.engine.handle_rtcp(
        shard.now,
        CARRIER,
        stream(CARRIER).remote_rtcp,
        &buffer[..len],
    );
    let reported = shard.engine.statistics(CARRIER).unwrap().reported.unwrap();
    assert_eq!(
        (reported.lost, reported.fraction_lost, reported.jitter),
        (12, 25, millis(10))
    );
    let round_trip = reported.round_trip.unwrap();
    assert!(
        (millis(99)..millis(101)).contains(&round_trip),
        "{round_trip:?}"
    );
}

#[test]
fn a_leg_that_closes_leaves_the_other_quiet_and_the_recording_ended() {
    let mut shard = Shard::with_bridge(1);
    let mut tap = shard.fork();
    shard.receive(CARRIER, &packet(1, 1, 0)).unwrap();
    shard.pass(millis(40));
    shard.command(Command::Close { leg: CARRIER });
    assert_eq!(shard.receive(DEPARTMENT, &packet(2, 1, 0)), None);
    assert!(tap.is_abandoned());
    assert_eq!((frames(&mut tap).len(), tap.ended()), (1, Some(320)));
    // The department still hears what we play to it.
    shard.command(play(DEPARTMENT, 160));
    shard.pass(millis(50));
    assert_one_stream(&shard.rtp_to(DEPARTMENT));
    assert_eq!(shard.rtp_to(DEPARTMENT).len(), 2);
}

#[test]
fn a_clip_to_one_party_does_not_take_its_voice_from_the_other() {
    let mut shard = Shard::with_bridge(1);
    shard.command(play(CARRIER, 1_600));
    assert!(shard.receive(CARRIER, &packet(1, 1, 0)).is_some());
    assert_eq!(shard.receive(DEPARTMENT, &packet(2, 1, 0)), None);
    shard.pass(millis(300));
    shard.command(Command::Bridge {
        carrier: CARRIER,
        department: DEPARTMENT,
    });
    assert!(shard.receive(DEPARTMENT, &packet(2, 2, 0)).is_some());
}

#[test]
fn the_same_seed_makes_the_same_packets() {
    let run = |seed| {
        let mut shard = Shard::with_call(seed);
        shard.command(play(CARRIER, 1_600));
        shard.pass(Duration::from_secs(20));
        shard
            .sent
            .iter()
            .map(|sent| (sent.at, sent.packet.clone()))
            .collect::<Vec<_>>()
    };
    assert_eq!(run(4), run(4));
    assert_ne!(run(4), run(5));
}

#[test]
fn junk_from_the_right_address_is_counted_and_harms_nobody() {
    for seed in 0..200 {
        println!("seed {seed}");
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        let mut shard = Shard::with_bridge(1);
        let mut tap = shard.fork();
        for number in 0..100_u16 {
            // A good packet with up to eight spoilt bytes, cut anywhere; the same bytes go to RTCP.
            let mut junk = packet(1, number, 0);
            for _ in 0..random.next_u32() % 9 {
                let place = usize::try_from(random.next_u32()).unwrap() % junk.len();
                junk[place % 24] = u8::try_from(random.next_u32() >> 24).unwrap();
            }
            junk.truncate(usize::try_from(random.next_u32()).unwrap() % 173);
            if let Some(forward) = shard.receive(CARRIER, &junk) {
                assert!(forward.len <= junk.len());
                assert_eq!(forward.to, stream(DEPARTMENT).remote_rtp);
            }
            shard
                .engine
                .handle_rtcp(shard.now, CARRIER, stream(CARRIER).remote_rtcp, &junk);
            shard.pass(millis(20));
        }
        assert!(shard.receive(DEPARTMENT, &packet(2, 1, 0)).is_some());
        assert!(
            frames(&mut tap)
                .iter()
                .all(|frame| (1..=160).contains(&frame.len))
        );
        let dropped = shard.engine.statistics(CARRIER).unwrap().dropped;
        assert!(dropped.malformed > 0, "{dropped:?}");
    }
}
