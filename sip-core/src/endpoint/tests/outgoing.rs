//! Calls that we place, and what happens inside them.
// The peer is a callee at 192.0.2.9 that we play by hand.
use super::*;

#[test]
fn a_call_of_ours_is_written_answered_and_acked() {
    let mut bench = Bench::new();
    bench.call();
    let invite = bench.last().clone();
    let text = String::from_utf8_lossy(invite.octets()).into_owned();
    let branch = String::from_utf8_lossy(invite.via().unwrap().branch().unwrap()).into_owned();
    let tag = String::from_utf8_lossy(invite.from().unwrap().tag().unwrap()).into_owned();
    let call_id = String::from_utf8_lossy(invite.call_id()).into_owned();
    let expected = format!(
        "INVITE sip:200@pbx.example SIP/2.0\r\nVia: SIP/2.0/UDP {US};rport;branch={branch}\r\nMax-Forwards: 69\r\nFrom: <sip:0790000001@city.example>;tag={tag}\r\nTo: <sip:200@city.example>\r\nCall-ID: {call_id}\r\nCSeq: 1 INVITE\r\nContact: <sip:denwaban@{US}>\r\nAllow: INVITE, ACK, BYE, CANCEL, OPTIONS, PRACK, UPDATE, INFO, REFER, NOTIFY\r\nSupported: 100rel, timer, replaces, norefersub\r\nSession-Expires: 1800\r\nMin-SE: 90\r\nX-Own: 1\r\nContent-Type: application/sdp\r\nContent-Length: 5\r\n\r\nv=0\r\n"
    );
    assert_eq!(text, expected);
    bench.answer(&invite, "100 Trying", "", "");
    bench.answer(&invite, "180 Ringing", "near", "");
    bench.answer(
        &invite,
        "200 OK",
        "near",
        "Contact: <sip:200@192.0.2.9:5071>\r\n",
    );
    bench.answer(
        &invite,
        "200 OK",
        "near",
        "Contact: <sip:200@192.0.2.9:5071>\r\n",
    );
    assert_eq!(
        bench.ladder(),
        [
            "> INVITE (sdp)",
            "< 100 INVITE",
            "< 180 INVITE",
            "< 200 INVITE",
            "> ACK",
            "< 200 INVITE again",
            "> ACK again"
        ]
    );
    assert_eq!(bench.names(), ["Rang", "Accepted"]);
    let ack = bench.last();
    assert_eq!(
        ack.request_uri().unwrap().as_str(),
        "sip:200@192.0.2.9:5071"
    );
    assert_ne!(ack.via().unwrap().branch(), invite.via().unwrap().branch());
    bench.inside(&invite, "BYE", 1, "near");
    assert_eq!(bench.names(), ["Ended"]);
    bench.wait(FOREVER);
    assert!(bench.is_empty());
}

#[test]
fn the_second_2xx_of_a_fork_is_acked_and_ended() {
    let mut bench = Bench::new();
    bench.call();
    let invite = bench.last().clone();
    bench.answer(&invite, "200 OK", "one", "");
    bench.answer(&invite, "200 OK", "two", "");
    bench.answer(&invite, "200 OK", "two", "");
    assert_eq!(
        bench.ladder(),
        [
            "> INVITE (sdp)",
            "< 200 INVITE",
            "> ACK",
            "< 200 INVITE",
            "> ACK",
            "> BYE",
            "< 200 INVITE again",
            "> ACK again"
        ]
    );
    assert_eq!(bench.names(), ["Accepted"]);
    assert_eq!(bench.endpoint.dialog_count(), 1);
    let bye = bench
        .sent
        .iter()
        .rfind(|sent| sent.method() == Some(Method::Bye))
        .unwrap();
    assert_eq!(bye.to().unwrap().tag(), Some(&b"two"[..]));
}

#[test]
fn a_failure_is_acked_by_the_transaction_each_time() {
    let mut bench = Bench::new();
    bench.call();
    let invite = bench.last().clone();
    bench.answer(&invite, "486 Busy Here", "near", "");
    bench.answer(&invite, "486 Busy Here", "near", "");
    assert_eq!(
        bench.ladder(),
        [
            "> INVITE (sdp)",
            "< 486 INVITE",
            "> ACK",
            "< 486 INVITE again",
            "> ACK again"
        ]
    );
    let ack = bench.last();
    assert_eq!(ack.via().unwrap().branch(), invite.via().unwrap().branch());
    assert_eq!(ack.to().unwrap().tag(), Some(&b"near"[..]));
    assert_eq!(ack.request_uri().unwrap().as_str(), "sip:200@pbx.example");
    assert_eq!(bench.names(), ["Rejected"]);
    bench.wait(FOREVER);
    assert!(bench.is_empty());
}

#[test]
fn a_cancel_of_ours_waits_for_a_provisional_answer() {
    let mut bench = Bench::new();
    let id = bench.call();
    let invite = bench.last().clone();
    bench.endpoint.cancel(bench.now, id, Some("SIP;cause=200"));
    bench.drain();
    assert_eq!(bench.ladder(), ["> INVITE (sdp)"]);
    bench.answer(&invite, "180 Ringing", "near", "");
    let cancel = bench.last().clone();
    assert_eq!(
        cancel.via().unwrap().branch(),
        invite.via().unwrap().branch()
    );
    assert_eq!(cancel.to().unwrap().tag(), None);
    assert_eq!(
        cancel.text(HeaderName::Reason).as_deref(),
        Some("SIP;cause=200")
    );
    bench.answer(&cancel, "200 OK", "near", "");
    bench.answer(&invite, "487 Request Terminated", "near", "");
    assert_eq!(
        bench.ladder(),
        [
            "< 180 INVITE",
            "> CANCEL",
            "< 200 CANCEL",
            "< 487 INVITE",
            "> ACK"
        ]
    );
    assert_eq!(bench.names(), ["Rejected"]);
    bench.wait(FOREVER);
    assert!(bench.is_empty());
}

#[test]
fn a_2xx_that_crosses_our_cancel_is_acked_ended_and_told() {
    let mut bench = Bench::new();
    let id = bench.call();
    let invite = bench.last().clone();
    bench.answer(&invite, "180 Ringing", "near", "");
    bench.endpoint.cancel(bench.now, id, None);
    bench.drain();
    bench.answer(&invite, "200 OK", "near", "");
    bench.answer(&invite, "200 OK", "near", "");
    assert_eq!(
        bench.ladder()[2..],
        [
            "> CANCEL",
            "< 200 INVITE",
            "> ACK",
            "> BYE",
            "< 200 INVITE again",
            "> ACK again"
        ]
    );
    assert_eq!(bench.names(), ["Rang", "AcceptedLate"]);
    bench.wait(FOREVER);
    assert!(bench.is_empty());
}

#[test]
fn a_cancelled_call_that_nobody_answers_is_over_after_32_seconds() {
    let mut bench = Bench::new();
    let id = bench.call();
    let invite = bench.last().clone();
    bench.answer(&invite, "180 Ringing", "near", "");
    bench.endpoint.cancel(bench.now, id, None);
    bench.drain();
    bench.wait(Duration::from_secs(31));
    assert_eq!(bench.names(), ["Rang"]);
    bench.wait(Duration::from_secs(2));
    assert_eq!(bench.names(), ["NoResponse"]);
    bench.wait(FOREVER);
    assert!(bench.is_empty());
}

#[test]
fn an_unreachable_peer_ends_only_what_got_no_answer() {
    let mut bench = Bench::new();
    bench.call();
    let ringing = bench.last().clone();
    bench.answer(&ringing, "180 Ringing", "near", "");
    bench.call();
    bench.miss(Hop::udp(hop().local, "192.0.2.8:5070".parse().unwrap()));
    assert_eq!(bench.names(), ["Rang"]);
    bench.miss(hop());
    assert_eq!(bench.names(), ["NoResponse"]);
    assert_eq!(bench.endpoint.dialog_count(), 1);
}

#[test]
fn an_invite_that_makes_no_message_is_not_sent_and_told_at_once() {
    let mut bench = Bench::new();
    for uri in [
        "",
        "200",
        "sip:",
        &format!("sip:{}@pbx.example", "2".repeat(1024)),
    ] {
        bench.call_at(uri);
        assert_eq!(bench.names(), ["NoResponse"], "{uri}");
    }
    assert!(bench.sent.is_empty() && bench.is_empty());
    bench.call_at("tel:0783331000");
    assert_eq!(bench.sent.len(), 1);
}

#[test]
fn answers_that_are_not_ours_are_dropped() {
    let mut bench = Bench::new();
    bench.call();
    let invite = bench.last().clone();
    let text = format!(
        "SIP/2.0 200 OK\r\nVia: SIP/2.0/UDP 255.255.255.255;branch={}\r\nFrom: <sip:a@x>;tag=1\r\nTo: <sip:b@y>;tag=2\r\nCall-ID: c\r\nCSeq: 1 INVITE\r\n\r\n",
        String::from_utf8_lossy(invite.via().unwrap().branch().unwrap())
    );
    bench.hear(&text);
    let ours = text.replace("255.255.255.255", US);
    bench.hear(&ours.replace("CSeq: 1 INVITE", "CSeq: 1 BYE"));
    bench.hear(&ours.replace("192.0.2.1:5060", "192.0.2.1:5061"));
    bench.hear(&ours.replace(
        "From:",
        "Via: SIP/2.0/UDP 192.0.2.3;branch=z9hG4bKx\r\nFrom:",
    ));
    bench.hear(&ours.replace("branch=z9hG4bK", "branch=z9hG4bKx"));
    assert_eq!(bench.sent.len(), 1);
    assert_eq!(bench.names(), [""; 0]);
    bench.hear(&ours);
    assert_eq!(bench.names(), ["Accepted"]);
}

#[test]
fn a_reinvite_is_asked_answered_repeated_and_acked() {
    let mut bench = Bench::new();
    bench.call();
    let invite = bench.last().clone();
    bench.answer(&invite, "180 Ringing", "near", "");
    bench.inside(&invite, "INVITE", 1, "near");
    assert_eq!(
        bench.last().status(),
        Some(491),
        "our own INVITE is pending"
    );
    bench.ack_refusal(&invite, 1, "near");
    bench.answer(
        &invite,
        "200 OK",
        "near",
        "Contact: <sip:200@192.0.2.9:5071>\r\n",
    );
    bench.names();
    bench.ladder();

    bench.inside(&invite, "INVITE", 2, "near");
    let Some(Event::Reinvited { request, .. }) = bench.events.pop() else {
        panic!("not asked")
    };
    bench.inside(&invite, "INVITE", 3, "near");
    assert_eq!(bench.last().status(), Some(500), "one at a time");
    bench.ack_refusal(&invite, 3, "near");
    bench.endpoint.respond(
        bench.now,
        request,
        200,
        "OK",
        Vec::new(),
        Some(Bytes::from_static(b"v=0\r\n")),
    );
    bench.drain();
    assert_eq!(
        bench.last().contact().unwrap().uri().user().as_deref(),
        Some("denwaban")
    );
    bench.wait(Duration::from_millis(600));
    bench.inside(&invite, "ACK", 2, "near");
    bench.wait(Duration::from_secs(5));
    assert_eq!(
        bench.ladder(),
        [
            "< INVITE",
            "> 100 INVITE",
            "< INVITE",
            "> 500 INVITE",
            "< ACK",
            "> 200 INVITE (sdp)",
            "> 200 INVITE (sdp) again",
            "< ACK"
        ]
    );
    assert_eq!(bench.names(), ["Reacked"]);

    bench.inside(&invite, "INVITE", 4, "near");
    let Some(Event::Reinvited { request, .. }) = bench.events.pop() else {
        panic!("not asked")
    };
    bench.endpoint.respond(
        bench.now,
        request,
        488,
        "Not Acceptable Here",
        Vec::new(),
        None,
    );
    bench.drain();
    bench.inside(&invite, "BYE", 3, "near");
    assert_eq!(bench.last().status(), Some(500), "an old CSeq");
    bench.inside(&invite, "BYE", 5, "forged");
    assert_eq!(bench.last().status(), Some(481));
    bench.inside(&invite, "BYE", 5, "near");
    assert_eq!(bench.names(), ["Ended"]);
}

#[test]
fn a_bye_that_crosses_a_reinvite_ends_the_call() {
    let mut bench = Bench::new();
    let id = bench.call();
    let invite = bench.last().clone();
    bench.answer(&invite, "200 OK", "near", "");
    bench.inside(&invite, "INVITE", 1, "near");
    bench.ladder();
    bench.endpoint.bye(bench.now, id, None);
    bench.drain();
    bench.inside(&invite, "INVITE", 2, "near");
    assert_eq!(
        bench.ladder(),
        ["> BYE", "> 487 INVITE", "< INVITE", "> 481 INVITE"]
    );
    bench.wait(FOREVER);
    assert_eq!(bench.names(), ["Accepted", "Reinvited", "ByeDone"]);
    assert!(bench.is_empty());
}

#[test]
fn a_cancelled_reinvite_leaves_the_call() {
    let mut bench = Bench::new();
    bench.call();
    let invite = bench.last().clone();
    bench.answer(&invite, "200 OK", "near", "");
    bench.inside(&invite, "INVITE", 1, "near");
    let value = |name| String::from_utf8_lossy(invite.value(name).unwrap()).into_owned();
    let cancel = format!(
        "CANCEL sip:us@192.0.2.1 SIP/2.0\r\nVia: SIP/2.0/UDP {PEER};branch=z9hG4bKinINVITE1\r\nFrom: {};tag=near\r\nTo: {}\r\nCall-ID: {}\r\nCSeq: 1 CANCEL\r\n\r\n",
        value(HeaderName::To),
        value(HeaderName::From),
        value(HeaderName::CallId)
    );
    bench.ladder();
    let Some(Event::Reinvited { request, .. }) = bench.events.last() else {
        panic!("not asked")
    };
    let request = *request;
    assert!(bench.endpoint.is_waiting(request));
    bench.hear(&cancel);
    assert!(!bench.endpoint.is_waiting(request));
    assert_eq!(bench.ladder(), ["< CANCEL", "> 200 CANCEL", "> 487 INVITE"]);
    assert_eq!(bench.names(), ["Accepted", "Reinvited", "Withdrawn"]);
    bench.inside(&invite, "INVITE", 2, "near");
    assert_eq!(bench.names(), ["Reinvited"]);
}

#[test]
fn a_callee_that_ends_its_early_dialog_ends_the_call() {
    let mut bench = Bench::new();
    bench.call();
    let invite = bench.last().clone();
    bench.answer(&invite, "180 Ringing", "near", "");
    bench.inside(&invite, "BYE", 1, "near");
    assert_eq!(bench.ladder()[2..], ["< BYE", "> 200 BYE", "> CANCEL"]);
    bench.answer(&invite, "200 OK", "other", "");
    assert_eq!(bench.ladder(), ["< 200 INVITE", "> ACK", "> BYE"]);
    assert_eq!(bench.names(), ["Rang", "Ended"]);
    bench.wait(FOREVER);
    assert!(bench.is_empty());
}

#[test]
fn a_callee_that_rings_after_its_bye_is_cancelled() {
    // The first 180 was lost; the BYE of the early dialog came before another.
    let mut bench = Bench::new();
    bench.call();
    let invite = bench.last().clone();
    bench.inside(&invite, "BYE", 1, "near");
    bench.answer(&invite, "180 Ringing", "near", "");
    bench.answer(&invite, "180 Ringing", "near", "");
    assert_eq!(
        bench.ladder()[1..],
        [
            "< BYE",
            "> 200 BYE",
            "< 180 INVITE",
            "> CANCEL",
            "< 180 INVITE"
        ]
    );
    assert_eq!(bench.names(), ["Ended"]);
    bench.wait(FOREVER);
    assert!(bench.is_empty(), "a callee that rings for ever is not kept");
}
