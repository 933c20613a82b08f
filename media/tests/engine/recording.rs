//! What the recorder's ring gets.

use super::support::*;

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
