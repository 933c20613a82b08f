//! What we play: whole, punctual, and true to what was heard.

use super::support::*;

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
