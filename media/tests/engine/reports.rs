//! RTCP both ways.

use super::support::*;

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
