//! Tricks to call at the city's expense (T-11). Every peer does what it should not; each gets its refusal, and nobody is called.

use std::{collections::BTreeSet, net::SocketAddr};

use tests::{City, Plan, carrier::Dial, line::Extra, net::Packet, plan::NUMBER};

/// Somebody abroad whom every trick wants called.
const EVIL: &str = "198.51.100.9:5060";

/// An INVITE as a peer writes it by hand.
fn invite(from: SocketAddr, request_uri: &str, lines: &[&str]) -> Packet {
    let headers: String = lines.iter().map(|line| format!("{line}\r\n")).collect();
    let body = tests::text::describe(SocketAddr::new(from.ip(), 47_000), &[0]);
    let text = format!(
        "INVITE {request_uri} SIP/2.0\r\nVia: SIP/2.0/UDP {from};branch=z9hG4bKevil;rport\r\nMax-Forwards: 70\r\nFrom: <sip:0790000001@{host}>;tag=evil\r\n\
        To: <{request_uri}>\r\nCall-ID: evil\r\nCSeq: 1 INVITE\r\nContact: <sip:evil@{from}>\r\n{headers}Content-Type: application/sdp\r\n\
        Content-Length: {length}\r\n\r\n{body}",
        host = from.ip(),
        length = body.len(),
    );
    Packet {
        from,
        to: "127.0.0.1:5060".parse().expect("an address"),
        payload: text.into_bytes(),
    }
}

/// Where INVITEs of ours went, as `user@address`.
fn called(city: &City) -> BTreeSet<String> {
    city.invited.clone()
}

#[test]
fn a_carrier_reaches_nobody_outside_whatever_it_writes() {
    let carrier: SocketAddr = "127.0.0.2:5060".parse().unwrap();
    for (request_uri, lines) in [
        ("sip:0790000009@127.0.0.1:5060", &[][..]),
        ("sip:01012125550100@127.0.0.1", &[]),
        ("sip:0790000009@198.51.100.9", &[]),
        ("sip:119@127.0.0.1", &[]),
        ("tel:+12125550100", &[]),
        (
            "sip:0790000009@127.0.0.1",
            &["Route: <sip:127.0.0.2:5060;lr>"],
        ),
        (
            "sip:0790000009@127.0.0.1",
            &["Route: <sip:127.0.0.1;lr>, <sip:198.51.100.9;lr>"],
        ),
        ("sip:0790000009@127.0.0.1;maddr=198.51.100.9", &[]),
        (
            "sip:0790000009@127.0.0.1",
            &["Diversion: <sip:0783331001@x>"],
        ),
        (
            "sip:0790000009@127.0.0.1",
            &[
                "P-Asserted-Identity: <sip:200@127.0.0.3>",
                "Referred-By: <sip:200@127.0.0.3>",
            ],
        ),
        (
            "sip:0790000009@127.0.0.1",
            &["Replaces: x;to-tag=a;from-tag=b"],
        ),
        ("sip:0790000009%40198.51.100.9@127.0.0.1", &[]),
    ] {
        let mut city = City::new(Plan::announce());
        let line = city.line(carrier, "0790000009");
        city.send(invite(carrier, request_uri, lines));
        city.run_ms(40_000);
        assert_eq!(called(&city), BTreeSet::new(), "{request_uri} {lines:?}");
        assert_eq!(city.lines[line].end_of_call(), "never called");
        assert!(city.wiring.is_idle());
    }
}

#[test]
fn a_route_of_a_peer_leads_nowhere_but_where_its_call_may_go() {
    // The number is the city's, so the call is taken; its route, and its maddr, are not.
    let carrier: SocketAddr = "127.0.0.2:5060".parse().unwrap();
    for (request_uri, lines) in [
        (
            "sip:0783331001@127.0.0.1:5060",
            &["Route: <sip:198.51.100.9;lr>"][..],
        ),
        ("sip:0783331001@127.0.0.1;maddr=198.51.100.9", &[]),
        (
            "sip:0783331001@127.0.0.1",
            &["Record-Route: <sip:198.51.100.9;lr>"],
        ),
    ] {
        let mut city = City::new(Plan::transparent());
        city.send(invite(carrier, request_uri, lines));
        city.run_ms(3_000);
        let evil = city
            .sip_to
            .iter()
            .filter(|to| to.to_string() == EVIL)
            .count();
        assert_eq!(evil, 0, "{request_uri} {lines:?}");
        assert_eq!(
            called(&city),
            BTreeSet::from(["100@127.0.0.3:5062".to_owned()]),
            "{request_uri} {lines:?}"
        );
    }
}

#[test]
fn the_pbx_calls_out_what_is_allowed_and_at_no_host_of_its_choice() {
    let pbx: SocketAddr = "127.0.0.3:5062".parse().unwrap();
    for (request_uri, expected) in [
        (
            "sip:0790000009@127.0.0.1:5060",
            Some("0790000009@127.0.0.2:5060"),
        ),
        (
            "sip:0790000009@198.51.100.9",
            Some("0790000009@127.0.0.2:5060"),
        ),
        (
            "sip:0790000009@127.0.0.1;maddr=198.51.100.9",
            Some("0790000009@127.0.0.2:5060"),
        ),
        ("sip:01012125550100@127.0.0.1", None),
        ("tel:+12125550100", None),
        ("sip:18401012125550100@127.0.0.1", None),
        // Our country's code and then the prefix of calls abroad: a carrier that drops the former would call there.
        ("sip:+81-010-675-123-4567@127.0.0.1", None),
        ("tel:010-675-123-4567;phone-context=+81", None),
        // Our country's code and then what becomes that prefix, or another carrier's, behind the national 0.
        ("sip:+81101212555010@127.0.0.1", None),
        ("sip:%2B81101212555010@127.0.0.1", None),
        ("sip:%2B81-(10)1212555010@127.0.0.1", None),
        ("tel:101212555010;phone-context=+81", None),
        ("sip:101212555010;phone-context=+81@127.0.0.1", None),
        ("tel:1101212555010;phone-context=+8", None),
        (
            "tel:01212555010;phone-context=+811",
            Some("01212555010@127.0.0.2:5060"),
        ),
        (
            "tel:077783331000;phone-context=+810",
            Some("077783331000@127.0.0.2:5060"),
        ),
        ("sip:01081101212555010@127.0.0.1", None),
        ("sip:18481101212555010@127.0.0.1", None),
        ("sip:184%2B81101212555010@127.0.0.1", None),
        ("sip:+810077783331000@127.0.0.1", None),
        ("sip:0077783331000@127.0.0.1", None),
        ("tel:77783331000;phone-context=+8100", None),
        ("sip:1220077783331000@127.0.0.1", None),
        // The same behind 184, 186 and 122, which a carrier that only drops the code would read.
        ("sip:+811840101212555@127.0.0.1", None),
        ("sip:+811860101212555@127.0.0.1", None),
        ("tel:1220101212555;phone-context=+81", None),
        ("tel:18401012125550100;phone-context=+81", None),
        (
            "tel:0790000009;rn=+12125550100",
            Some("0790000009@127.0.0.2:5060"),
        ),
        (
            "sip:119;phone-context=+1212555@127.0.0.1",
            Some("119@127.0.0.2:5060"),
        ),
        ("sip:117@127.0.0.1", None),
        ("sip:evil@198.51.100.9", None),
    ] {
        let mut city = City::new(Plan::announce());
        city.send(invite(pbx, request_uri, &["Route: <sip:198.51.100.9;lr>"]));
        city.run_ms(3_000);
        let expected: BTreeSet<String> = expected.into_iter().map(str::to_owned).collect();
        assert_eq!(called(&city), expected, "{request_uri}");
        assert!(city.sip_to.iter().all(|to| to.to_string() != EVIL));
    }
}

#[test]
fn a_refer_of_a_carrier_or_outside_of_a_call_calls_nobody() {
    let mut city = City::new(Plan::transparent());
    let citizen = city.line(city.carrier.address, "0790000001");
    let offer = city.lines[citizen].describe("sendrecv");
    city.line_calls(citizen, NUMBER, &Extra::body(offer));
    city.run_until_line(citizen, "200 INVITE (sdp)", 1);
    city.run_ms(20);
    for target in [
        "sip:0790000009@127.0.0.1",
        "sip:01012125550100@198.51.100.9",
        "sip:0783331002@127.0.0.1",
        "sip:0783331002@127.0.0.1?Replaces=c0%40127.0.0.2%3Bto-tag%3Da%3Bfrom-tag%3Db",
    ] {
        city.line_says(
            citizen,
            "REFER",
            &Extra::header(format!("Refer-To: <{target}>")),
        );
        city.run_ms(2_000);
    }
    assert_eq!(
        called(&city),
        BTreeSet::from(["100@127.0.0.3:5062".to_owned()])
    );
    city.line_says(citizen, "BYE", &Extra::default());
    city.finish();
    let stranger = city.line(city.pbx.address, "200");
    city.line_says(
        stranger,
        "REFER",
        &Extra::header("Refer-To: <sip:0790000009@127.0.0.1>"),
    );
    city.run_ms(40_000);
    assert_eq!(called(&city).len(), 1);
}

#[test]
fn a_redirection_to_somebody_outside_is_not_followed() {
    for contact in [
        "sip:0790000009@127.0.0.1",
        "sip:01012125550100@198.51.100.9",
        "sip:0783331002@198.51.100.9",
        "sip:0783331002@127.0.0.1;maddr=198.51.100.9",
        "sip:0783331002@127.0.0.1?Route=%3Csip%3A198.51.100.9%3Blr%3E",
    ] {
        let mut city = City::new(Plan::transparent());
        let telephone = city.line(city.pbx.address, "100");
        let call = city.dial(Dial::to(NUMBER));
        city.run_until_line(telephone, "INVITE (sdp)", 1);
        let moved = Extra::header(format!("Contact: <{contact}>"));
        city.line_answers(telephone, "INVITE", 302, &moved);
        city.finish();
        assert_eq!(city.caller(call).end_of_call(), "480", "{contact}");
        assert_eq!(
            called(&city),
            BTreeSet::from(["100@127.0.0.3:5062".to_owned()]),
            "{contact}"
        );
    }
}

#[test]
fn a_redirection_to_very_many_places_calls_a_few_of_them() {
    // Otherwise one telephone could make a citizen's call ring for hours, place after place.
    let mut city = City::new(Plan::transparent());
    let telephone = city.line(city.pbx.address, "100");
    let next: Vec<usize> = (0..20)
        .map(|_| city.line(city.pbx.address, "100"))
        .collect();
    city.dial(Dial::to(NUMBER));
    city.run_until_line(telephone, "INVITE (sdp)", 1);
    let contact = "<sip:0783331002@127.0.0.1>";
    let moved = Extra::header(format!("Contact: {}", [contact; 40].join(", ")));
    city.line_answers(telephone, "INVITE", 302, &moved);
    for line in &next {
        city.run_ms(100);
        if city.lines[*line].invite.is_some() {
            city.line_answers(*line, "INVITE", 404, &Extra::default());
        }
    }
    city.finish();
    let called = next
        .iter()
        .filter(|line| city.lines[**line].invite.is_some())
        .count();
    assert!((2..=8).contains(&called), "{called}");
}
