//! Transports: what goes by which way, what is repeated, and where it goes when a way is lost.
// The peer at 192.0.2.9 is spoken to over UDP, TCP and TLS; its connections are refused, or break.
use std::net::SocketAddr;

use super::*;
use crate::{
    hop::Transport,
    peer::{PeerSettings, SessionSettings},
};

fn settings() -> Settings {
    let at = |port: u16| SocketAddr::new("192.0.2.1".parse().unwrap(), port);
    Settings {
        listeners: vec![
            (Transport::Udp, at(5060)),
            (Transport::Tcp, at(5060)),
            (Transport::Tls, at(5061)),
        ],
        ..Settings::default()
    }
}

fn by(transport: Transport, remote: &str) -> Hop {
    let local = match transport {
        Transport::Udp | Transport::Tcp => US,
        Transport::Tls => "192.0.2.1:5061",
    };
    Hop {
        transport,
        local: local.parse().unwrap(),
        remote: remote.parse().unwrap(),
    }
}

/// A connection that the peer opened.
fn connection() -> Hop {
    by(Transport::Tcp, "192.0.2.9:40123")
}

fn text(message: &Message, name: HeaderName) -> String {
    message.text(name).unwrap().into_owned()
}

/// A request of the peer's over TCP.
fn over_tcp(method: &str, branch: &str, tag: &str, more: &str) -> String {
    request(method, branch, tag, more).replace("SIP/2.0/UDP", "SIP/2.0/TCP")
}

/// A call that came in by [`connection`] and was accepted and ACKed; its Contact is `contact`.
fn talking(bench: &mut Bench, contact: &str) -> DialogId {
    let contact = format!("Contact: <{contact}>\r\n");
    bench.hear_by(connection(), &over_tcp("INVITE", "1", "", &contact));
    let Some(Event::Invited { dialog, hop, .. }) = bench.events.pop() else {
        panic!("no call")
    };
    assert_eq!(hop, connection());
    bench.endpoint.accept(bench.now, dialog, Vec::new(), sdp());
    bench.drain();
    let tag = bench.tag();
    bench.hear_by(connection(), &over_tcp("ACK", "ack", &tag, ""));
    bench.names();
    dialog
}

#[test]
fn over_a_stream_nothing_is_repeated_but_a_2xx() {
    let mut bench = Bench::with(settings());
    let tcp = by(Transport::Tcp, PEER);
    bench.call_by(tcp, "sip:200@pbx.example");
    let invite = bench.last().clone();
    let via = text(&invite, HeaderName::Via);
    assert!(via.starts_with("SIP/2.0/TCP 192.0.2.1:5060;"), "{via}");
    assert_eq!(
        text(&invite, HeaderName::Contact),
        "<sip:denwaban@192.0.2.1:5060;transport=tcp>"
    );
    bench.wait(Duration::from_secs(40));
    assert_eq!(bench.ladder(), ["> INVITE (sdp)"]);
    assert_eq!(bench.names(), ["NoResponse"]);
    assert!(bench.is_empty());

    bench.hear_by(connection(), &over_tcp("INVITE", "1", "", ""));
    let Some(Event::Invited { dialog, .. }) = bench.events.pop() else {
        panic!("no call")
    };
    bench.ladder();
    bench.endpoint.accept(bench.now, dialog, Vec::new(), sdp());
    bench.wait(Duration::from_secs(2));
    assert_eq!(
        bench.ladder(),
        [
            "> 200 INVITE (sdp)",
            "> 200 INVITE (sdp) again",
            "> 200 INVITE (sdp) again"
        ],
        "RFC 3261 section 13.3.1.4: a proxy may have changed the transport"
    );
    assert!(bench.ways.ends_with(&[connection(); 3]));
    assert_eq!(
        text(bench.last(), HeaderName::Contact),
        "<sip:192.0.2.1:5060;transport=tcp>"
    );
}

#[test]
fn a_failure_over_a_stream_is_over_with_its_ack() {
    let mut bench = Bench::with(settings());
    bench.hear_by(connection(), &over_tcp("INVITE", "1", "", ""));
    let Some(Event::Invited { dialog, .. }) = bench.events.pop() else {
        panic!("no call")
    };
    bench
        .endpoint
        .reject(bench.now, dialog, 486, "Busy Here", Vec::new());
    bench.drain();
    let ack = over_tcp("ACK", "1", &bench.tag(), "");
    bench.wait(Duration::from_secs(5));
    bench.hear_by(connection(), &ack);
    bench.wait(Duration::ZERO);
    assert_eq!(
        bench.ladder(),
        ["< INVITE", "> 100 INVITE", "> 486 INVITE", "< ACK"]
    );
    assert!(bench.is_empty());
}

#[test]
fn requests_in_a_dialog_go_to_the_contact_and_else_back_by_the_connection() {
    let mut bench = Bench::with(settings());
    let contact = by(Transport::Tcp, "192.0.2.9:5060");
    let id = talking(&mut bench, "sip:a@192.0.2.9;transport=tcp");
    let info = || InDialog {
        method: "INFO".to_owned(),
        headers: Vec::new(),
        body: None,
    };
    bench.endpoint.request(bench.now, id, info());
    bench.drain();
    assert_eq!(bench.ways.last(), Some(&contact));
    let first = bench.last().clone();
    bench.ladder();
    bench.lose(contact);
    assert_eq!(bench.ladder(), ["> INFO again"]);
    assert_eq!(bench.ways.last(), Some(&connection()));
    let second = bench.last().clone();
    assert_eq!(
        (second.cseq(), second.via().unwrap().branch()),
        (first.cseq(), first.via().unwrap().branch())
    );
    // What follows does not try the Contact again.
    bench.endpoint.bye(bench.now, id, None);
    bench.drain();
    assert_eq!(bench.ways.last(), Some(&connection()));
    bench.lose(connection());
    let listens = by(Transport::Tcp, PEER);
    assert_eq!(bench.ways.last(), Some(&listens), "as its Via said");
    bench.lose(listens);
    assert_eq!(bench.names(), ["Answered", "ByeDone"]);
    bench.wait(FOREVER);
    assert!(bench.is_empty());
}

#[test]
fn a_peer_that_connects_anew_is_spoken_to_by_its_new_connection() {
    let mut bench = Bench::with(settings());
    let id = talking(&mut bench, "sip:a@pbx.example;transport=tcp");
    let renewed = by(Transport::Tcp, "192.0.2.9:40999");
    let tag = bench.tag();
    let options = over_tcp("OPTIONS", "o", &tag, "").replace("CSeq: 1", "CSeq: 2");
    bench.hear_by(renewed, &options);
    assert_eq!(bench.names(), ["Requested"]);
    bench.endpoint.bye(bench.now, id, None);
    bench.drain();
    assert_eq!(bench.ways.last(), Some(&renewed), "a name is not looked up");
}

#[test]
fn a_call_whose_connection_was_lost_is_ended_where_its_caller_listens() {
    let mut bench = Bench::with(settings());
    let id = talking(&mut bench, "sip:a@pbx.example;transport=tcp");
    bench.lose(connection());
    bench.endpoint.bye(bench.now, id, None);
    bench.drain();
    assert_eq!(bench.ways.last(), Some(&by(Transport::Tcp, PEER)));
}

#[test]
fn a_contact_over_udp_of_a_call_that_came_over_tcp_is_obeyed() {
    let mut bench = Bench::with(settings());
    let id = talking(&mut bench, "sip:a@192.0.2.9:5070;transport=udp");
    bench.endpoint.bye(bench.now, id, None);
    bench.drain();
    assert_eq!(bench.ways.last(), Some(&by(Transport::Udp, PEER)));
    let via = text(bench.last(), HeaderName::Via);
    assert!(via.starts_with("SIP/2.0/UDP 192.0.2.1:5060;"), "{via}");
    bench.wait(Duration::from_secs(1));
    assert_eq!(
        bench.ladder().last().map(String::as_str),
        Some("> BYE again")
    );
}

#[test]
fn the_ack_of_a_2xx_whose_contact_is_refused_goes_the_way_of_its_invite() {
    let mut bench = Bench::with(settings());
    let id = bench.call();
    let invite = bench.last().clone();
    let contact = by(Transport::Tcp, "192.0.2.9:5060");
    bench.describe(
        &invite,
        "200 OK",
        "near",
        "Contact: <sip:200@192.0.2.9;transport=tcp>\r\n",
    );
    assert_eq!(bench.ways.last(), Some(&contact));
    bench.ladder();
    bench.lose(contact);
    assert_eq!(bench.ladder(), ["> ACK again"]);
    assert_eq!(bench.ways.last(), Some(&hop()));
    let via = text(bench.last(), HeaderName::Via);
    assert!(via.starts_with("SIP/2.0/UDP "), "{via}");
    bench.endpoint.bye(bench.now, id, None);
    bench.drain();
    assert_eq!(bench.ways.last(), Some(&hop()));
}

#[test]
fn answers_of_a_lost_connection_go_to_where_the_caller_listens() {
    let mut bench = Bench::with(settings());
    bench.hear_by(connection(), &over_tcp("INVITE", "1", "", ""));
    let Some(Event::Invited { dialog, .. }) = bench.events.pop() else {
        panic!("no call")
    };
    bench
        .endpoint
        .ring(bench.now, dialog, Ring::plain(180, "Ringing"));
    bench.drain();
    bench.ladder();
    bench.lose(connection());
    let listens = by(Transport::Tcp, PEER);
    assert_eq!(bench.ladder(), ["> 180 INVITE again"]);
    assert_eq!(bench.ways.last(), Some(&listens));
    bench.endpoint.accept(bench.now, dialog, Vec::new(), sdp());
    bench.drain();
    assert_eq!(bench.ways.last(), Some(&listens));

    // The 2xx itself is on its way when the connection breaks.
    let mut bench = Bench::with(settings());
    bench.hear_by(connection(), &over_tcp("INVITE", "1", "", ""));
    let Some(Event::Invited { dialog, .. }) = bench.events.pop() else {
        panic!("no call")
    };
    bench.endpoint.accept(bench.now, dialog, Vec::new(), sdp());
    bench.drain();
    bench.lose(connection());
    bench.wait(Duration::from_millis(500));
    assert_eq!(bench.ways.last(), Some(&listens));
}

#[test]
fn a_long_invite_goes_over_tcp_where_the_peer_wants_it_and_back_to_udp_when_refused() {
    let long = |bench: &mut Bench| {
        let uri = format!("sip:200@pbx.example;x={}", "y".repeat(900));
        bench.call_at(&uri);
        assert!(bench.last().octets().len() > 1300);
    };
    let mut bench = Bench::with(settings());
    long(&mut bench);
    assert_eq!(bench.ways, [hop()], "a carrier may speak UDP alone");

    let mut bench = Bench::with(settings());
    let switching = PeerSettings {
        switch_over_mtu: true,
        session: SessionSettings::default(),
        ..PeerSettings::default()
    };
    bench.endpoint.set_peer(NEIGHBOUR, switching);
    bench.call();
    assert_eq!(bench.ways, [hop()], "a short one fits");
    let short = bench.last().clone();
    bench.answer(&short, "486 Busy Here", "near", "");
    bench.names();
    bench.ways.clear();
    long(&mut bench);
    let tcp = by(Transport::Tcp, PEER);
    assert_eq!(bench.ways, [tcp]);
    let contact = text(bench.last(), HeaderName::Contact);
    assert_eq!(contact, "<sip:denwaban@192.0.2.1:5060>", "short ones fit");
    let over_tcp = bench.last().clone();
    bench.ladder();
    bench.lose(tcp);
    assert_eq!(bench.ladder(), ["> INVITE (sdp) again"]);
    assert_eq!(bench.ways, [tcp, hop()]);
    let over_udp = bench.last().clone();
    assert_eq!(over_udp.body(), over_tcp.body());
    assert_eq!(
        text(&over_udp, HeaderName::Via),
        text(&over_tcp, HeaderName::Via).replace("TCP", "UDP")
    );
    // From here on it is repeated like any other, and ends like any other.
    bench.wait(Duration::from_millis(600));
    assert_eq!(bench.ladder(), ["> INVITE (sdp) again"]);
    bench.answer(&over_udp, "486 Busy Here", "near", "");
    assert_eq!(bench.ladder(), ["< 486 INVITE", "> ACK"]);
    assert_eq!(bench.names(), ["Rejected"]);
}

#[test]
fn a_call_whose_invite_was_too_long_for_udp_goes_on_over_udp() {
    let mut bench = Bench::with(settings());
    let switching = PeerSettings {
        switch_over_mtu: true,
        ..PeerSettings::default()
    };
    bench.endpoint.set_peer(NEIGHBOUR, switching);
    let uri = format!("sip:200@pbx.example;x={}", "y".repeat(900));
    let id = bench.call_at(&uri);
    let invite = bench.last().clone();
    bench.describe(
        &invite,
        "200 OK",
        "near",
        "Contact: <sip:200@192.0.2.9:5070>\r\n",
    );
    assert_eq!(bench.ways, [by(Transport::Tcp, PEER), hop()]);
    bench.endpoint.bye(bench.now, id, None);
    bench.drain();
    assert_eq!(bench.ways.last(), Some(&hop()));
}

#[test]
fn a_secure_call_is_secure_on_every_way() {
    let mut bench = Bench::with(settings());
    bench.call_by(by(Transport::Tcp, PEER), "sips:200@pbx.example");
    assert_eq!((bench.names(), bench.sent.len()), (vec!["NoResponse"], 0));

    let tls = by(Transport::Tls, "192.0.2.9:5061");
    bench.call_by(tls, "sips:200@pbx.example");
    let via = text(bench.last(), HeaderName::Via);
    assert!(via.starts_with("SIP/2.0/TLS 192.0.2.1:5061;"), "{via}");
    assert_eq!(
        text(bench.last(), HeaderName::Contact),
        "<sips:denwaban@192.0.2.1:5061>"
    );
    let secure = request("INVITE", "2", "", "").replace("INVITE sip:", "INVITE sips:");
    bench.hear(&secure);
    assert_eq!(bench.last().status(), Some(416));
    bench.hear_by(tls, &secure);
    let Some(Event::Invited { dialog, .. }) = bench.events.pop() else {
        panic!("no call")
    };
    bench.endpoint.accept(bench.now, dialog, Vec::new(), sdp());
    bench.drain();
    assert_eq!(
        text(bench.last(), HeaderName::Contact),
        "<sips:192.0.2.1:5061>"
    );
}

#[test]
fn an_ipv6_caller_is_answered_with_its_address_in_the_right_form() {
    // RFC 5118 section 4.5: no brackets in `received`, brackets in Via and Contact.
    let mut bench = Bench::with(settings());
    let v6 = Hop::udp(
        "[2001:db8::1]:5060".parse().unwrap(),
        "[2001:db8::9]:5070".parse().unwrap(),
    );
    let invite = request("INVITE", "1", "", "Contact: <sip:a@[2001:db8::9]:5070>\r\n")
        .replace("192.0.2.9:5070", "[2001:db8::9]:5070");
    bench.hear_by(v6, &invite);
    let Some(Event::Invited { dialog, .. }) = bench.events.pop() else {
        panic!("no call")
    };
    bench.endpoint.accept(bench.now, dialog, Vec::new(), sdp());
    bench.drain();
    assert_eq!(
        text(bench.last(), HeaderName::Via),
        "SIP/2.0/UDP [2001:db8::9]:5070;branch=z9hG4bK1;received=2001:db8::9;rport=5070"
    );
    assert_eq!(
        text(bench.last(), HeaderName::Contact),
        "<sip:[2001:db8::1]:5060>"
    );
    let tag = bench.tag();
    bench.hear_by(v6, &request("ACK", "ack", &tag, ""));
    bench.endpoint.bye(bench.now, dialog, None);
    bench.drain();
    let via = text(bench.last(), HeaderName::Via);
    assert!(
        via.starts_with("SIP/2.0/UDP [2001:db8::1]:5060;rport;"),
        "{via}"
    );
    assert_eq!(bench.ways.last(), Some(&v6));
}

#[test]
fn a_reinvite_that_began_anew_by_another_way_and_never_ends_is_given_up() {
    let mut bench = Bench::with(settings());
    let id = bench.call();
    let invite = bench.last().clone();
    let contact = "Contact: <sip:200@192.0.2.9;transport=tcp>\r\n";
    bench.describe(&invite, "200 OK", "near", contact);
    bench.names();
    bench.endpoint.reinvite(bench.now, id, sdp(), Glare::Report);
    bench.drain();
    bench.wait(Duration::from_secs(20));
    bench.lose(by(Transport::Tcp, "192.0.2.9:5060"));
    let reinvite = bench.last().clone();
    assert_eq!(reinvite.method(), Some(Method::Invite));
    bench.wait(Duration::from_secs(15));
    bench.answer(&reinvite, "100 Trying", "", "");
    bench.wait(Duration::from_secs(100));
    assert_eq!(bench.names(), ["NotModified"]);
}

#[test]
fn a_request_by_a_connection_that_has_died_is_sent_once_by_a_new_one() {
    // We began the call; the connection was idle, and whatever stands between has forgotten it.
    let mut bench = Bench::with(settings());
    let way = by(Transport::Tcp, PEER);
    let id = bench.call_by(way, "sip:200@pbx.example");
    let invite = bench.last().clone();
    bench.answer(&invite, "200 OK", "x", "Contact: <sip:x@pbx.example>\r\n");
    let info = InDialog {
        method: "INFO".to_owned(),
        headers: Vec::new(),
        body: None,
    };
    bench.endpoint.request(bench.now, id, info);
    bench.drain();
    assert_eq!(bench.ways.last(), Some(&way));
    bench.ladder();
    bench.names();
    bench.lose(way);
    assert_eq!(bench.ladder(), ["> INFO again"]);
    assert_eq!(bench.ways.last(), Some(&way));
    bench.lose(way);
    assert_eq!(bench.ladder(), [""; 0], "once");
    assert_eq!(bench.names(), ["Answered"]);
}

#[test]
fn a_new_request_by_a_connection_that_has_died_is_sent_once_by_a_new_one() {
    // We use a connection again as long as it stands; this one was idle, and is gone.
    let way = by(Transport::Tcp, PEER);
    let begin: [fn(&mut Bench, Hop); 2] = [
        |bench, way| {
            bench.call_by(way, "sip:200@pbx.example");
        },
        |bench, hop| {
            let options = Outside {
                hop,
                ..proofs::outside("OPTIONS")
            };
            bench.endpoint.send(bench.now, options);
            bench.drain();
        },
    ];
    for begin in begin {
        let mut bench = Bench::with(settings());
        begin(&mut bench, way);
        let method = bench.last().method().unwrap().name().to_owned();
        bench.ladder();
        bench.lose(way);
        let again = bench.ladder();
        assert!(again.len() == 1 && again[0].ends_with("again"), "{again:?}");
        assert_eq!(bench.names(), [""; 0], "{method}");
        bench.lose(way);
        assert_eq!(bench.ladder(), [""; 0], "once");
        assert_eq!(bench.names().len(), 1);
        // Where no connection can be made, another would not be either.
        begin(&mut bench, way);
        bench.ladder();
        bench.miss(way);
        assert_eq!(bench.ladder(), [""; 0]);
        assert_eq!(bench.names().len(), 1);
    }
}

#[test]
fn an_invite_that_was_given_up_goes_no_other_way() {
    // A silent PBX starts anew after the call was answered elsewhere.
    let mut bench = Bench::with(settings());
    let way = by(Transport::Tcp, PEER);
    let id = bench.call_by(way, "sip:200@pbx.example");
    bench.endpoint.cancel(bench.now, id, None);
    bench.ladder();
    bench.lose(way);
    assert_eq!(bench.ladder(), [""; 0]);
    assert_eq!(bench.names(), ["NoResponse"]);
    bench.wait(FOREVER);
    assert!(bench.is_empty());

    let id = bench.call();
    let invite = bench.last().clone();
    let contact = "Contact: <sip:200@192.0.2.9;transport=tcp>\r\n";
    bench.describe(&invite, "200 OK", "near", contact);
    bench.endpoint.reinvite(bench.now, id, sdp(), Glare::Report);
    bench.endpoint.withdraw(bench.now, id);
    bench.drain();
    bench.ladder();
    bench.lose(by(Transport::Tcp, "192.0.2.9:5060"));
    assert_eq!(bench.ladder(), ["> ACK again"], "that of the 2xx alone");
    assert_eq!(bench.names(), ["Accepted"]);
    bench.wait(FOREVER);
    assert_eq!(bench.names(), ["NotModified"]);
}

#[test]
fn where_the_peer_has_closed_its_direction_answers_go_on_and_requests_go_elsewhere() {
    // The Contact is the connection itself.
    let mut bench = Bench::with(settings());
    let id = talking(&mut bench, "sip:a@192.0.2.9:40123;transport=tcp");
    let tag = bench.tag();
    let asked = over_tcp("INFO", "2", &tag, "").replace("CSeq: 1", "CSeq: 2");
    bench.hear_by(connection(), &asked);
    let Some(Event::Requested { request, .. }) = bench.events.pop() else {
        panic!("nothing is asked")
    };
    let info = InDialog {
        method: "INFO".to_owned(),
        headers: Vec::new(),
        body: None,
    };
    bench.endpoint.request(bench.now, id, info);
    bench.drain();
    assert_eq!(bench.ways.last(), Some(&connection()));
    bench.ladder();
    bench.endpoint.handle_closed(bench.now, connection());
    bench.drain();
    assert_eq!(bench.ladder(), ["> INFO again"]);
    assert_eq!(bench.ways.last(), Some(&by(Transport::Tcp, PEER)));
    bench
        .endpoint
        .respond(bench.now, request, 200, "OK", Vec::new(), None);
    bench.drain();
    assert_eq!(bench.ladder(), ["> 200 INFO"]);
    assert_eq!(bench.ways.last(), Some(&connection()));
}
