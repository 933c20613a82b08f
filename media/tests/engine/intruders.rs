//! What comes from others, or is no RTP, or too much.

use super::support::*;

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
                172,
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
