//! Dialogs: routes, targets, and the way to both.
// Two parties and the proxies between them.
use std::net::SocketAddr;

use bytes::Bytes;

use super::*;

const PEER: &str = "192.0.2.9:6000";
const LOCAL: &str = "192.0.2.1:5060";

fn to(remote: &str) -> Hop {
    Hop::udp(LOCAL.parse().unwrap(), remote.parse().unwrap())
}

fn message(start: &str, more: &str) -> Message {
    let text = format!(
        "{start}\r\nVia: SIP/2.0/UDP 192.0.2.9;branch=z9hG4bKa\r\nFrom: \"A\" <sip:a@x>;tag=f\r\nTo: <sip:b@y>;tag=t\r\nCall-ID: c\r\nCSeq: 7 INVITE\r\n{more}\r\n"
    );
    Message::parse(Bytes::from(text)).unwrap()
}

fn text_of(draft: Draft) -> String {
    String::from_utf8(draft.finish(draft::SDP, None).to_vec()).unwrap()
}

fn answered(more: &str) -> Dialog {
    let invite = message(
        "INVITE sip:b@y SIP/2.0",
        "Contact: <sip:us@192.0.2.1:5060>\r\n",
    );
    Dialog::by_answer(
        &invite,
        &message("SIP/2.0 200 OK", more),
        to(PEER),
        &Listeners::new(&[]),
    )
}

#[test]
fn loose_routers_are_passed_in_reverse_order_of_the_answer() {
    let mut dialog = answered(
        "Contact: <sip:b@192.0.2.7:5070>\r\nRecord-Route: <sip:192.0.2.8;lr>, <sip:near.example;lr>\r\n",
    );
    let (draft, hop) = dialog.request("BYE", Token(2));
    let expected = "BYE sip:b@192.0.2.7:5070 SIP/2.0\r\n\
        Via: SIP/2.0/UDP 192.0.2.1:5060;rport;branch=z9hG4bK0000000000000002\r\nMax-Forwards: 70\r\n\
        Route: <sip:near.example;lr>\r\nRoute: <sip:192.0.2.8;lr>\r\n\
        From: \"A\" <sip:a@x>;tag=f\r\nTo: <sip:b@y>;tag=t\r\nCall-ID: c\r\nCSeq: 8 BYE\r\nContent-Length: 0\r\n\r\n";
    assert_eq!(text_of(draft), expected);
    assert_eq!(hop, to(PEER), "a name is not looked up");
}

#[test]
fn a_strict_router_takes_the_request_uri() {
    let dialog = answered("Contact: <sip:b@192.0.2.7>\r\nRecord-Route: <sip:192.0.2.8:5062>\r\n");
    let (draft, hop) = dialog.ack(7, Token(2));
    let text = text_of(draft);
    assert!(
        text.starts_with("ACK sip:192.0.2.8:5062 SIP/2.0\r\n"),
        "{text}"
    );
    assert!(
        text.contains("\r\nRoute: <sip:b@192.0.2.7>\r\n") && text.contains("CSeq: 7 ACK\r\n"),
        "{text}"
    );
    assert_eq!(hop, to("192.0.2.8:5062"));
}

#[test]
fn the_contact_is_where_requests_go_and_a_reinvite_moves_it() {
    let mut dialog = answered("Contact: <sip:b@192.0.2.7:5070>\r\n");
    assert_eq!(dialog.request("BYE", Token(2)).1, to("192.0.2.7:5070"));
    dialog.refresh_target(&message(
        "INVITE sip:us@192.0.2.1 SIP/2.0",
        "Contact: <sip:b@192.0.2.6>\r\n",
    ));
    assert_eq!(dialog.request("BYE", Token(3)).1, to("192.0.2.6:5060"));
}

#[test]
fn without_a_usable_contact_the_peer_is_spoken_to_where_it_was() {
    for contact in [
        "",
        "Contact: <sip:b@255.255.255.255>\r\n",
        "Contact: <sip:b@0.0.0.0>\r\n",
        "Contact: <tel:200>\r\n",
    ] {
        assert_eq!(
            answered(contact).request("BYE", Token(2)).1,
            to(PEER),
            "{contact}"
        );
    }
}

#[test]
fn a_contact_that_asks_for_headers_is_called_without_them() {
    let mut dialog = answered("Contact: <sip:b?x@192.0.2.7:5070;ob?Subject=hi>\r\n");
    let (draft, hop) = dialog.request("BYE", Token(2));
    let text = text_of(draft);
    assert!(
        text.starts_with("BYE sip:b?x@192.0.2.7:5070;ob SIP/2.0\r\n"),
        "{text}"
    );
    assert_eq!(hop, to("192.0.2.7:5070"));
}

#[test]
fn a_foreign_tag_is_unknown_and_an_old_cseq_is_out_of_order() {
    let request = |cseq: u32, tag: &str| {
        let text = format!(
            "BYE sip:us@y SIP/2.0\r\nVia: SIP/2.0/UDP 192.0.2.9;branch=z9hG4bKa\r\nFrom: <sip:b@y>;tag={tag}\r\nTo: <sip:a@x>;tag=f\r\nCall-ID: c\r\nCSeq: {cseq} BYE\r\n\r\n"
        );
        Message::parse(Bytes::from(text)).unwrap()
    };
    let mut dialog = answered("");
    assert_eq!(dialog.handle_request(&request(5, "t")), Ok(()));
    assert_eq!(
        dialog.handle_request(&request(4, "t")),
        Err(Misfit::OutOfOrder)
    );
    assert_eq!(
        dialog.handle_request(&request(6, "x")),
        Err(Misfit::Unknown)
    );
    assert_eq!(dialog.handle_request(&request(6, "t")), Ok(()));
}

#[test]
fn the_answering_side_keeps_the_order_of_record_route() {
    let invite = message(
        "INVITE sip:b@y SIP/2.0",
        "Contact: <sip:a@192.0.2.9:6000>\r\nRecord-Route: <sip:192.0.2.8;lr>,<sip:far.example;lr>\r\n",
    );
    let mut dialog = Dialog::by_answering(&invite, Token(5), to(PEER), &Listeners::new(&[]));
    let (draft, hop) = dialog.request("BYE", Token(2));
    let text = text_of(draft);
    assert!(
        text.contains("Route: <sip:192.0.2.8;lr>\r\nRoute: <sip:far.example;lr>\r\n"),
        "{text}"
    );
    assert!(text.contains("CSeq: 1 BYE\r\n"), "{text}");
    assert_eq!(hop, to("192.0.2.8:5060"));
}

#[test]
fn a_contact_says_by_which_transport_and_a_listener_of_ours_must_speak_it() {
    let local = |port: u16| SocketAddr::new("192.0.2.1".parse().unwrap(), port);
    let listeners = Listeners::new(&[
        (Transport::Udp, local(5060)),
        (Transport::Tcp, local(5060)),
        (Transport::Tls, local(5061)),
    ]);
    let by = |transport, port, remote: &str| Hop {
        transport,
        local: local(port),
        remote: remote.parse().unwrap(),
    };
    let udp = by(Transport::Udp, 5060, PEER);
    let tcp = by(Transport::Tcp, 5060, "192.0.2.9:40123");
    let tls = by(Transport::Tls, 5061, "192.0.2.9:40124");
    for (contact, came_by, expected) in [
        (
            "sip:192.0.2.7",
            udp,
            by(Transport::Udp, 5060, "192.0.2.7:5060"),
        ),
        (
            "sip:192.0.2.7;transport=TCP",
            udp,
            by(Transport::Tcp, 5060, "192.0.2.7:5060"),
        ),
        (
            "sip:192.0.2.7:5080;transport=tls",
            udp,
            by(Transport::Tls, 5061, "192.0.2.7:5080"),
        ),
        (
            "sips:192.0.2.7",
            udp,
            by(Transport::Tls, 5061, "192.0.2.7:5061"),
        ),
        (
            "sip:192.0.2.7;transport=udp",
            tcp,
            by(Transport::Udp, 5060, "192.0.2.7:5060"),
        ),
        (
            "sip:192.0.2.7",
            tcp,
            by(Transport::Tcp, 5060, "192.0.2.7:5060"),
        ),
        ("sip:192.0.2.7;transport=sctp", tcp, tcp),
        ("sip:[2001:db8::7];transport=tcp", tcp, tcp),
        ("sip:pbx.example;transport=udp", tcp, tcp),
        ("sip:192.0.2.7;transport=udp", tls, tls),
        ("sip:192.0.2.7;transport=tcp", tls, tls),
        (
            "sip:192.0.2.7:5062",
            tls,
            by(Transport::Tls, 5061, "192.0.2.7:5062"),
        ),
    ] {
        let hop = hop_to(contact, came_by, None, &listeners);
        assert_eq!(hop, expected, "{contact}");
    }
}

#[test]
fn a_caller_behind_a_nat_is_spoken_to_where_it_was_seen() {
    // RFC 3581: its Via and Contact name an address of its own network.
    let from = |via: &str, contact: &str, remote: &str| {
        let text = format!(
            "INVITE sip:b@y SIP/2.0\r\nVia: SIP/2.0/UDP {via};branch=z9hG4bKa\r\nFrom: <sip:a@x>;tag=f\r\nTo: <sip:b@y>\r\nCall-ID: c\r\nCSeq: 7 INVITE\r\nContact: <sip:a@{contact}>\r\n\r\n"
        );
        let invite = Message::parse(Bytes::from(text)).unwrap();
        let mut dialog = Dialog::by_answering(&invite, Token(5), to(remote), &Listeners::new(&[]));
        dialog.refresh_target(&invite);
        dialog.request("BYE", Token(2)).1.remote.to_string()
    };
    let branch = "172.16.0.8:40001";
    let own = "192.168.1.5:5060";
    assert_eq!(from("192.168.1.5;rport", own, branch), branch);
    assert_eq!(
        from("192.168.1.5", own, branch),
        own,
        "it listens there, it says, and asks for nothing else"
    );
    assert_eq!(
        from("172.16.0.8;rport", "172.16.0.9:5070", branch),
        "172.16.0.9:5070"
    );
    for contact in ["10.0.0.5", "127.0.0.1:5060", "100.64.0.1", "169.254.1.1"] {
        assert_eq!(from("pbx.example", contact, PEER), PEER, "{contact}");
    }
    assert_eq!(
        from("pbx.example", "192.0.2.7", "10.0.0.5:5060"),
        "192.0.2.7:5060"
    );
}

#[test]
fn the_zone_of_a_link_local_address_is_for_us_alone() {
    let local = "[fe80::1%2]:5060".parse().unwrap();
    let seen: SocketAddr = "[fe80::9%2]:5060".parse().unwrap();
    let answer = message("SIP/2.0 200 OK", "Contact: <sip:b@[fe80::9]:5070>\r\n");
    let invite = message("INVITE sip:b@y SIP/2.0", "");
    let came_by = Hop::udp(local, seen);
    let mut dialog = Dialog::by_answer(&invite, &answer, came_by, &Listeners::new(&[]));
    let (draft, hop) = dialog.request("BYE", Token(2));
    let text = text_of(draft.contact(None, hop, Scheme::Sip));
    assert!(text.contains("UDP [fe80::1]:5060;rport"), "{text}");
    assert!(text.contains("Contact: <sip:[fe80::1]:5060>"), "{text}");
    assert_eq!(hop.remote, "[fe80::9%2]:5070".parse().unwrap());
    let answered = Dialog::by_answering(&invite, Token(5), came_by, &Listeners::new(&[]));
    assert_eq!(answered.remote_target, "sip:[fe80::9]:5060");
}

#[test]
fn a_lost_way_gives_way_to_the_one_the_dialog_came_by() {
    let mut dialog = answered("Contact: <sip:b@192.0.2.7:5070>\r\n");
    assert_eq!(dialog.alternate(), Some(to(PEER)));
    dialog.lose(to("192.0.2.8:5070"));
    assert_eq!(dialog.request("INFO", Token(2)).1, to("192.0.2.7:5070"));
    dialog.lose(to("192.0.2.7:5070"));
    assert_eq!(dialog.request("INFO", Token(3)).1, to(PEER));
    assert_eq!(dialog.alternate(), None);
}
