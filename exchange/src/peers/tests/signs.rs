//! Which place, and which of its words, a sign is about.

use super::*;

#[test]
fn calls_from_before_a_503_with_a_time_do_not_take_it_back() {
    // In an overload many are on their way when it comes.
    let mut house = House::new(vec![pbx("only", "192.0.2.20:5060")]);
    let Route { peer, hop, .. } = house.routes(Class::Rest)[0];
    let before = DialogId(1_000);
    house.peers.call_sent(house.now.at, before, peer, hop);
    house.pass(1);
    house.call(retry_after(600));
    let until = house.now.wall + jiff::SignedDuration::from_secs(600);
    house.pass(1);
    house.peers.call_heard(house.now, before, Sign::TookCall);
    let resting = PlaceState::Resting(until);
    assert_eq!(house.report("only").places[0].state, resting);
    house.call(Sign::TookCall);
    assert_eq!(house.report("only").places[0].state, PlaceState::Up);
}

#[test]
fn of_two_transports_at_one_address_each_has_its_own_loss() {
    let at = address("192.0.2.20:5060");
    let mut house = House::new(vec![pbx("both", "192.0.2.20:5060").at(at, Transport::Tcp)]);
    let udp = Hop::udp(address("192.0.2.1:5060"), at);
    let tcp = Hop {
        transport: Transport::Tcp,
        ..udp
    };
    for (dialog, hop) in [(1, udp), (2, tcp)] {
        house
            .peers
            .call_sent(house.now.at, DialogId(dialog), PeerId(0), hop);
    }
    house.peers.way_lost(tcp, Unreachable::Lost);
    assert_eq!(house.peers.loss(DialogId(1)), Unreachable::Nobody);
    assert_eq!(house.peers.loss(DialogId(2)), Unreachable::Lost);
    for _ in 0..2 {
        house.peers.take_sign(house.now, PeerId(0), tcp, SILENT);
    }
    let states = house.report("both").places;
    let is_up = |place: &PlaceReport| place.state == PlaceState::Up;
    assert_eq!(states.iter().map(is_up).collect::<Vec<_>>(), [true, false]);
}
