//! Parties that are not heard for a while (S-17).

use super::support::*;

const MINUTE: Duration = Duration::from_secs(60);

#[test]
fn a_party_that_sends_nothing_for_its_time_is_reported_once_and_again_when_heard() {
    let mut shard = watched();
    shard.pass(MINUTE - millis(1));
    assert_eq!(shard.events, []);
    shard.pass(millis(1));
    assert_eq!(shard.events, [Event::FellSilent { leg: CARRIER }]);
    shard.pass(MINUTE * 10);
    assert_eq!(shard.events.len(), 1, "once");
    shard.receive(CARRIER, &packet(1, 1, 0));
    assert_eq!(shard.events[1..], [Event::Heard { leg: CARRIER }]);
    shard.pass(MINUTE);
    assert_eq!(shard.events[2..], [Event::FellSilent { leg: CARRIER }]);
}

#[test]
fn every_packet_of_the_party_counts_and_no_strangers() {
    let mut shard = watched();
    for number in 0..10_u16 {
        shard.pass(MINUTE - millis(10));
        let payload_type = [0, 101, 13][usize::from(number % 3)];
        shard.receive(CARRIER, &packet(1, number, payload_type));
    }
    assert_eq!(shard.events, []);
    shard.pass(MINUTE / 2);
    let stranger = "127.0.0.66:9000".parse().unwrap();
    shard.receive_from(CARRIER, stranger, &packet(1, 10, 0));
    shard.pass(MINUTE / 2);
    assert_eq!(shard.events, [Event::FellSilent { leg: CARRIER }]);
}

#[test]
fn nobody_is_expected_to_speak_on_hold() {
    let mut shard = watched();
    agree(&mut shard, Direction::SendOnly);
    shard.pass(MINUTE * 10);
    assert_eq!(shard.events, []);
    agree(&mut shard, Direction::SendReceive);
    shard.pass(MINUTE - millis(1));
    assert_eq!(shard.events, [], "its time begins with the resumption");
    shard.pass(millis(1));
    assert_eq!(shard.events, [Event::FellSilent { leg: CARRIER }]);
    agree(&mut shard, Direction::SendReceive);
    assert_eq!(shard.events.len(), 1, "a refresh is no sign of life");
    agree(&mut shard, Direction::Inactive);
    assert_eq!(shard.events[1..], [Event::Heard { leg: CARRIER }]);
}

#[test]
fn a_leg_that_nobody_watches_is_never_reported() {
    let mut shard = Shard::with_bridge(1);
    shard.pass(MINUTE * 60);
    assert_eq!(shard.events, []);
}

fn watched() -> Shard {
    let mut shard = Shard::with_bridge(1);
    agree(&mut shard, Direction::SendReceive);
    shard
}

fn agree(shard: &mut Shard, direction: Direction) {
    shard.command(Command::Open {
        leg: CARRIER,
        stream: StreamSettings {
            direction,
            silence: Some(MINUTE),
            ..stream(CARRIER)
        },
    });
}
