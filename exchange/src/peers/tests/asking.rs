//! What peers are asked besides calls, and what their answers say of them.

use super::*;

#[test]
fn who_rests_is_not_asked_whether_it_lives_either() {
    let interval = Duration::from_secs(30);
    let mut house = House::new(vec![Trunk {
        probe: Some(Probe { interval }),
        ..pbx("node", "192.0.2.20:5060")
    }]);
    assert_eq!(house.call(retry_after(100)), "node");
    house.pass(99);
    assert!(house.peers.poll_request().is_none());
    house.pass(1);
    let request = house.peers.poll_request().expect("it is asked again");
    house.peers.request_sent(&request, SentId(1));
    let busy = answer(503, "Retry-After: 50\r\n");
    house
        .peers
        .handle_answer(house.now, SentId(1), 503, Some(&busy));
    house.pass(49);
    assert!(
        house.peers.poll_request().is_none(),
        "a 503 to OPTIONS counts as well"
    );
    house.pass(1);
    assert!(house.peers.poll_request().is_some());
}

#[test]
fn who_takes_a_call_before_its_rest_is_over_is_asked_again_as_ever() {
    let interval = Duration::from_secs(30);
    let mut house = House::new(vec![Trunk {
        probe: Some(Probe { interval }),
        ..pbx("node", "192.0.2.20:5060")
    }]);
    house.call(retry_after(3_600));
    house.pass(1);
    house.call(Sign::TookCall);
    house.pass(30);
    assert!(house.peers.poll_request().is_some());
}

#[test]
fn the_place_is_asked_by_options_where_that_is_set_and_no_call_is_spent_on_it() {
    let mut house = House::new(vec![Trunk {
        probe: Some(Probe {
            interval: Duration::from_secs(30),
        }),
        ..pbx("node", "192.0.2.20:5060")
    }]);
    let mut sent = 0;
    for _ in 0..2 {
        house.pass(30);
        let request = house.peers.poll_request().expect("it is asked each 30 s");
        assert_eq!(request.purpose, Purpose::Probe);
        sent += 1;
        house.peers.request_sent(&request, SentId(sent));
        house
            .peers
            .handle_answer(house.now, SentId(sent), 408, None);
    }
    assert_eq!(house.report("node").down.unwrap().1, Ailment::Silent);
    house.pass(3);
    assert_eq!(
        house.report("node").places[0].state,
        PlaceState::Down(Ailment::Silent)
    );
    for _ in 0..2 {
        house.pass(30);
        let request = house.peers.poll_request().unwrap();
        sent += 1;
        house.peers.request_sent(&request, SentId(sent));
        house
            .peers
            .handle_answer(house.now, SentId(sent), 404, Some(&answer(404, "")));
    }
    assert_eq!(
        house.report("node").down,
        None,
        "any answer shows that somebody is there"
    );
}

fn answer(status: u16, headers: &str) -> Message {
    let text = format!(
        "SIP/2.0 {status} X\r\nVia: SIP/2.0/UDP a;branch=z9hG4bKa\r\nFrom: <sip:a@x>;tag=1\r\nTo: <sip:a@x>;tag=2\r\n\
         Call-ID: c\r\nCSeq: 1 REGISTER\r\n{headers}\r\n"
    );
    Message::parse(bytes::Bytes::from(text)).unwrap()
}

fn registered(name: &str, place: &str) -> Trunk {
    Trunk {
        registration: Some(Registration {
            registrar: "carrier.example".to_owned(),
            user: "line".to_owned(),
            expires: Duration::from_secs(3_600),
            contact_user: Some("us".to_owned()),
        }),
        ..pbx(name, place)
    }
}

#[test]
fn a_peer_that_does_not_know_us_comes_last_and_is_left_at_the_end() {
    let mut house = House::new(vec![
        registered("line", "192.0.2.20:5060"),
        Trunk {
            priority: 9,
            ..pbx("other", "192.0.2.21:5060")
        },
    ]);
    assert_eq!(house.ways()[0], "other Udp 192.0.2.21:5060");
    let why = house.why_passed_over("line");
    assert_eq!(why, Some(PassedOver::Down(Ailment::Unregistered)));
    let request = house.peers.poll_request().unwrap();
    assert_eq!(request.expires, Some(Duration::from_secs(3_600)));
    house.peers.request_sent(&request, SentId(1));
    let granted = answer(
        200,
        "Expires: 600\r\nService-Route: <sip:edge.example;lr>\r\n",
    );
    house
        .peers
        .handle_answer(house.now, SentId(1), 200, Some(&granted));
    assert_eq!(house.news(), [PeerNews::Registered]);
    assert_eq!(house.ways()[0], "line Udp 192.0.2.20:5060");
    assert_eq!(
        house.peers.service_route(PeerId(0)),
        ["<sip:edge.example;lr>"]
    );
    assert_eq!(house.peers.registered_contact(PeerId(0)), Some("us"));
    assert_eq!(
        house.peers.domain(PeerId(0), request.hop),
        "carrier.example"
    );
    let report = house.report("line").registration.unwrap();
    let until = house.now.wall + jiff::SignedDuration::from_secs(600);
    assert_eq!(report.held_until, Some(until));

    house.peers.leave(house.now, &house.settings);
    let request = house.peers.poll_request().unwrap();
    assert_eq!(request.expires, Some(Duration::ZERO));
    house.peers.request_sent(&request, SentId(2));
    assert!(house.peers.is_leaving());
    house.peers.handle_answer(house.now, SentId(2), 408, None);
    assert!(
        !house.peers.is_leaving(),
        "nobody answers, and we go all the same"
    );
    house.pass(86_400);
    assert!(
        house.peers.poll_request().is_none(),
        "whoever has left asks no more"
    );
}

#[test]
fn a_registrar_that_cannot_be_reached_is_not_called_silent() {
    for (status, refused, ailment) in [
        (408, Refused::Silent, Ailment::Silent),
        (
            503,
            Refused::Unreachable(Unreachable::CertificateName),
            Ailment::Unreachable(Unreachable::CertificateName),
        ),
    ] {
        let mut house = House::new(vec![registered("line", "192.0.2.20:5060")]);
        let request = house.peers.poll_request().unwrap();
        house.peers.request_sent(&request, SentId(1));
        let why = Unreachable::CertificateName;
        house.peers.way_lost(request.hop, why);
        house
            .peers
            .handle_answer(house.now, SentId(1), status, None);
        assert_eq!(
            house.news()[0],
            PeerNews::NotRegistered(Some(refused)),
            "{status}"
        );
        let place = house.peers.each[0].places[0].last_ailment;
        assert_eq!(place, Some(ailment));
    }
}

#[test]
fn a_registration_that_ends_brings_the_peer_down_and_is_told() {
    let mut house = House::new(vec![registered("line", "192.0.2.20:5060")]);
    let request = house.peers.poll_request().unwrap();
    house.peers.request_sent(&request, SentId(1));
    house.peers.handle_answer(
        house.now,
        SentId(1),
        200,
        Some(&answer(200, "Expires: 60\r\n")),
    );
    house.pass(30);
    let request = house.peers.poll_request().unwrap();
    house.peers.request_sent(&request, SentId(2));
    house
        .peers
        .handle_answer(house.now, SentId(2), 403, Some(&answer(403, "")));
    assert_eq!(
        house.news(),
        [
            PeerNews::Registered,
            PeerNews::NotRegistered(Some(Refused::Status(403)))
        ],
        "it still holds"
    );
    house.pass(30);
    assert_eq!(
        house.news(),
        [
            PeerNews::NotRegistered(None),
            PeerNews::Down(Ailment::Unregistered)
        ]
    );
    assert_eq!(house.ways().len(), 1, "and it is tried all the same");
}

#[test]
fn a_silent_place_is_given_four_seconds_while_another_is_left_to_register_at() {
    let line = registered("line", "192.0.2.20:5060");
    let mut house = House::new(vec![line.at(address("192.0.2.21:5060"), Transport::Udp)]);
    let mut asked = Vec::new();
    for sent in 1..=2 {
        let request = house.peers.poll_request().unwrap();
        asked.push((request.hop.remote, request.patience));
        house.peers.request_sent(&request, SentId(sent));
        house
            .peers
            .handle_answer(house.now, SentId(sent), 408, None);
        house.pass(0);
    }
    assert_ne!(asked[0].0, asked[1].0);
    assert_eq!(asked[0].1, Some(Duration::from_secs(4)));
    assert_eq!(
        asked[1].1, None,
        "whoever is asked last has the time that any request has"
    );
    let mut alone = House::new(vec![registered("line", "192.0.2.20:5060")]);
    assert_eq!(alone.peers.poll_request().unwrap().patience, None);
}
