//! Legs that open, are bridged, and close.

use super::support::*;

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
                &mut packet(1, 1, 0),
                172
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
