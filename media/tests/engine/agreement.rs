//! Agreements that change while a leg is open.

use super::support::*;

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
fn on_hold_nothing_goes_where_it_may_not_and_what_comes_is_taken_where_agreed() {
    let table = [
        (Direction::SendReceive, true, true),
        (Direction::SendOnly, true, false),
        (Direction::ReceiveOnly, false, true),
        (Direction::Inactive, false, false),
    ];
    for (direction, sends, receives) in table {
        let mut shard = Shard::with_bridge(1);
        let mut tap = shard.fork();
        agree(&mut shard, CARRIER, |stream| StreamSettings {
            direction,
            ..stream
        });
        let to_carrier = shard.receive(DEPARTMENT, &packet(2, 1, 0));
        let from_carrier = shard.receive(CARRIER, &packet(1, 1, 0));
        assert_eq!(
            (to_carrier.is_some(), from_carrier.is_some()),
            (sends, receives),
            "{direction:?}"
        );
        // The department's own voice is recorded in any case: it was sent to us as agreed.
        assert_eq!(frames(&mut tap).len(), 1 + usize::from(receives));
        let dropped = shard.engine.statistics(CARRIER).unwrap().dropped;
        assert_eq!(
            dropped.on_hold,
            u64::from(!sends) + u64::from(!receives),
            "{direction:?}"
        );
    }
}

#[test]
fn hold_and_resume_are_one_stream_to_the_party_and_reports_go_on() {
    let mut shard = Shard::with_bridge(1);
    let speak = |shard: &mut Shard, numbers: std::ops::Range<u16>| {
        for number in numbers {
            shard.receive(DEPARTMENT, &packet(2, number, 0));
            shard.pass(millis(20));
        }
    };
    speak(&mut shard, 0..50);
    agree(&mut shard, CARRIER, |stream| StreamSettings {
        direction: Direction::Inactive,
        ..stream
    });
    let before = shard.rtp_to(CARRIER).len();
    speak(&mut shard, 50..700);
    assert_eq!(shard.rtp_to(CARRIER).len(), before, "it may hear nothing");
    let reports = shard.rtcp_to(CARRIER).len();
    assert!(reports >= 2, "{reports} reports, hold included");
    agree(&mut shard, CARRIER, |stream| stream);
    speak(&mut shard, 700..750);
    let sent = shard.rtp_to(CARRIER);
    assert_eq!(sent.len(), 100);
    for pair in sent.windows(2) {
        let (earlier, later) = (pair[0].header(), pair[1].header());
        assert_eq!(later.ssrc, earlier.ssrc);
        let (numbers, samples) = if earlier.payload.is_empty() {
            (0, 0)
        } else {
            (
                later.sequence.wrapping_sub(earlier.sequence),
                later.timestamp.wrapping_sub(earlier.timestamp),
            )
        };
        assert_eq!(samples, u32::from(numbers) * 160, "its clock goes on");
    }
}

#[test]
fn a_clip_waits_while_its_party_may_hear_nothing_and_skips_no_sample() {
    for at_frame in 0..10 {
        let mut shard = Shard::with_call(1);
        shard.command(play(CARRIER, 1_600));
        shard.pass(millis(20 * at_frame + 10));
        agree(&mut shard, CARRIER, |stream| StreamSettings {
            direction: Direction::Inactive,
            ..stream
        });
        shard.pass(Duration::from_secs(30));
        let sent = shard.rtp_to(CARRIER).len();
        assert_eq!(sent, usize::try_from(at_frame).unwrap() + 1);
        let whole = at_frame == 9;
        assert_eq!(shard.events.len(), usize::from(whole), "frame {at_frame}");
        agree(&mut shard, CARRIER, |stream| stream);
        shard.pass(Duration::from_secs(1));
        let heard: Vec<u8> = shard
            .rtp_to(CARRIER)
            .iter()
            .flat_map(|sent| sent.payload().to_vec())
            .collect();
        assert_eq!(heard, clip(1_600).encoded(Codec::Pcmu), "frame {at_frame}");
        let [Event::PlaybackEnded { samples_sent, .. }] = shard.events[..] else {
            panic!("{:?}", shard.events);
        };
        assert_eq!(samples_sent, 1_600);
    }
}

#[test]
fn a_clip_that_is_cut_on_hold_was_not_heard_whole() {
    let mut shard = Shard::with_call(1);
    agree(&mut shard, CARRIER, |stream| StreamSettings {
        direction: Direction::ReceiveOnly,
        ..stream
    });
    shard.command(play(CARRIER, 1_600));
    shard.pass(Duration::from_secs(5));
    assert_eq!(shard.rtp_to(CARRIER).len(), 0);
    shard.command(Command::Close { leg: CARRIER });
    let ended = shard
        .events
        .iter()
        .find(|event| matches!(event, Event::PlaybackEnded { .. }));
    let Some(Event::PlaybackEnded { samples_sent, .. }) = ended else {
        panic!("{:?}", shard.events);
    };
    assert_eq!(*samples_sent, 0);
}

#[test]
fn a_hold_in_the_old_way_sends_nowhere_and_keeps_the_address() {
    let mut shard = Shard::with_bridge(1);
    shard.receive(DEPARTMENT, &packet(2, 1, 0)).unwrap();
    shard.receive(CARRIER, &packet(1, 1, 0)).unwrap();
    agree(&mut shard, CARRIER, |stream| StreamSettings {
        remote_rtp: "0.0.0.0:40000".parse().unwrap(),
        remote_rtcp: "0.0.0.0:40001".parse().unwrap(),
        direction: Direction::ReceiveOnly,
        ..stream
    });
    assert_eq!(shard.receive(DEPARTMENT, &packet(2, 2, 0)), None);
    assert!(
        shard.receive(CARRIER, &packet(1, 2, 0)).is_some(),
        "its music is heard"
    );
    shard.pass(Duration::from_secs(60));
    assert!(
        shard
            .rtcp_to(CARRIER)
            .iter()
            .all(|report| report.to == stream(CARRIER).remote_rtcp)
    );
}

#[test]
fn a_leg_that_begins_nowhere_is_sent_nothing_at_all() {
    let mut shard = Shard::new(1);
    let nowhere = StreamSettings {
        remote_rtp: "[::]:40000".parse().unwrap(),
        remote_rtcp: "[::]:40001".parse().unwrap(),
        ..stream(CARRIER)
    };
    shard.command(Command::Open {
        leg: CARRIER,
        stream: nowhere,
    });
    shard.command(play(CARRIER, 1_600));
    shard.pass(Duration::from_secs(60));
    assert_eq!(shard.sent.len(), 0);
    agree(&mut shard, CARRIER, |stream| stream);
    shard.pass(Duration::from_secs(60));
    assert_eq!(shard.rtp_to(CARRIER).len(), 10);
    assert!(shard.rtcp_to(CARRIER).len() > 5);
}

#[test]
fn a_peer_that_moves_is_heard_from_its_first_packet() {
    let mut shard = Shard::with_bridge(1);
    for number in 0..10 {
        shard.receive(CARRIER, &packet(1, number, 0)).unwrap();
        shard.pass(millis(20));
    }
    let moved = "127.0.0.8:9000".parse().unwrap();
    agree(&mut shard, CARRIER, |stream| StreamSettings {
        remote_rtp: moved,
        ..stream
    });
    for number in 0..10 {
        assert!(
            shard
                .receive_from(CARRIER, moved, &packet(77, 30_000 + number, 0))
                .is_some()
        );
        shard.pass(millis(20));
    }
    assert_one_stream(&shard.rtp_to(DEPARTMENT));
    let statistics = shard.engine.statistics(CARRIER).unwrap();
    assert_eq!((statistics.received, statistics.lost), (20, 0));
}

#[test]
fn a_transferred_call_goes_on_with_the_third_party_in_one_stream_and_without_a_gap() {
    let third = LegId {
        slot: 2,
        ..DEPARTMENT
    };
    let mut shard = Shard::with_bridge(1);
    let mut first_segment = shard.fork();
    shard.command(Command::Open {
        leg: third,
        stream: stream(third),
    });
    let speak = |shard: &mut Shard, city: LegId, number: u16| {
        shard.receive(CARRIER, &packet(1, number, 0));
        shard.receive(city, &packet(city.slot + 10, number, 0));
        shard.pass(millis(20));
    };
    for number in 0..50 {
        speak(&mut shard, DEPARTMENT, number);
    }
    // The department talks to the third party beforehand; the citizen waits and hears nothing of it.
    let (fork, mut second_segment) = channel(200);
    shard.command(Command::Bridge {
        carrier: CARRIER,
        department: third,
    });
    shard.command(Command::Fork {
        carrier: CARRIER,
        department: third,
        fork,
    });
    for number in 50..100 {
        speak(&mut shard, third, number);
        assert_eq!(
            shard.receive(DEPARTMENT, &packet(11, 1_000 + number, 0)),
            None,
            "nobody hears the one who transferred"
        );
    }
    shard.command(Command::Close { leg: DEPARTMENT });
    for number in 100..150 {
        speak(&mut shard, third, number);
    }
    assert_one_stream(&shard.rtp_to(CARRIER));
    assert_eq!(shard.rtp_to(CARRIER).len(), 150);
    assert_eq!(shard.rtp_to(third).len(), 100);
    let sides = |tap: &mut Tap| {
        let frames = frames(tap);
        let of = |side| frames.iter().filter(|frame| frame.side == side).count();
        (of(Side::Carrier), of(Side::Department))
    };
    assert!(first_segment.is_abandoned());
    assert_eq!(sides(&mut first_segment), (50, 50));
    assert_eq!(sides(&mut second_segment), (100, 100));
}

/// A later agreement on an open leg.
fn agree(shard: &mut Shard, leg: LegId, change: impl Fn(StreamSettings) -> StreamSettings) {
    shard.command(Command::Open {
        leg,
        stream: change(stream(leg)),
    });
}
