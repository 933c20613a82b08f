//! Behaviour of one endpoint, told as ladders; the other side is written by hand.
// One endpoint at 192.0.2.1 and one peer at 192.0.2.9 whose datagrams we write ourselves.
use super::*;
use crate::{
    header::{HeaderName, Method},
    testing::epoch,
};

use self::bench::*;

mod adrift;
mod bench;
mod early;
mod generic;
mod hostile;
mod incoming;
mod limits;
mod outgoing;
mod proofs;
mod reinvite;
mod reliable;
mod screened;
mod session;
mod strangers;
mod update;
mod ways;

#[test]
fn a_call_that_comes_in_is_tried_rung_answered_and_ended() {
    let mut bench = Bench::new();
    let id = bench.invited();
    bench
        .endpoint
        .ring(bench.now, id, Ring::plain(180, "Ringing"));
    bench
        .endpoint
        .accept(bench.now, id, Vec::new(), Bytes::from_static(b"v=0\r\n"));
    bench.drain();
    let answer = String::from_utf8_lossy(bench.last().octets()).into_owned();
    let tag = bench.tag();
    let expected = format!(
        "SIP/2.0 200 OK\r\nVia: SIP/2.0/UDP {PEER};branch=z9hG4bK1;received=192.0.2.9;rport=5070\r\nFrom: <sip:a@x>;tag=far\r\nTo: <sip:0783331000@y>;tag={tag}\r\nCall-ID: c1\r\nCSeq: 1 INVITE\r\nContact: <sip:{US}>\r\nAllow: INVITE, ACK, BYE, CANCEL, OPTIONS, PRACK, UPDATE, INFO, REFER, NOTIFY\r\nSupported: 100rel, timer, replaces, norefersub\r\nSession-Expires: 1800;refresher=uas\r\nContent-Type: application/sdp\r\nContent-Length: 5\r\n\r\nv=0\r\n"
    );
    assert_eq!(answer, expected);
    bench.hear(&request("ACK", "2", &tag, ""));
    bench.hear(&request("BYE", "3", &tag, ""));
    bench.hear(&request("BYE", "3", &tag, ""));
    assert_eq!(
        bench.ladder(),
        [
            "< INVITE",
            "> 100 INVITE",
            "> 180 INVITE",
            "> 200 INVITE (sdp)",
            "< ACK",
            "< BYE",
            "> 200 BYE",
            "< BYE again",
            "> 200 BYE again"
        ]
    );
    assert_eq!(bench.names(), ["Acked", "Ended"]);
    bench.wait(FOREVER);
    assert!(bench.is_empty());
}

#[test]
fn a_2xx_is_repeated_until_its_ack_and_the_missing_ack_is_reported() {
    let mut bench = Bench::new();
    let id = bench.invited();
    bench
        .endpoint
        .accept(bench.now, id, Vec::new(), Bytes::from_static(b"v=0\r\n"));
    bench.drain();
    let tag = bench.tag();
    bench.ladder();
    // RFC 3261 section 13.3.1.4: at 0.5, 1.5, 3.5, 7.5 s and then each 4 s, until 32 s.
    bench.wait(Duration::from_secs(33));
    assert_eq!(bench.ladder(), vec!["> 200 INVITE (sdp) again"; 10]);
    assert_eq!(bench.names(), ["AckMissing"]);
    bench.endpoint.bye(bench.now, id, Some("SIP;cause=408"));
    bench.drain();
    assert_eq!(
        bench.last().text(HeaderName::Reason).as_deref(),
        Some("SIP;cause=408")
    );
    let bye = bench.last().clone();
    bench.answer(&bye, "481 Gone", "", "");
    assert_eq!(bench.names(), ["ByeDone"]);
    bench.hear(&request("ACK", "9", &tag, ""));
    bench.wait(FOREVER);
    assert!(bench.is_empty());
}

#[test]
fn a_bye_of_ours_waits_for_the_ack() {
    let mut bench = Bench::new();
    let id = bench.invited();
    bench
        .endpoint
        .accept(bench.now, id, Vec::new(), Bytes::from_static(b"v=0\r\n"));
    bench.endpoint.bye(bench.now, id, None);
    bench.drain();
    let tag = bench.tag();
    assert_eq!(
        bench.ladder(),
        ["< INVITE", "> 100 INVITE", "> 200 INVITE (sdp)"]
    );
    bench.hear(&request("ACK", "2", &tag, ""));
    assert_eq!(bench.ladder(), ["< ACK", "> BYE"]);
    let bye = bench.last().clone();
    assert_eq!(bye.request_uri().unwrap().as_str(), "sip:a@192.0.2.9:5070");
    bench.hear(&request("BYE", "3", &tag, ""));
    bench.answer(&bye, "200 OK", "", "");
    assert_eq!(bench.names(), ["ByeDone"], "crossing BYEs end it once");
}

#[test]
fn a_cancel_before_the_answer_ends_the_call_and_after_it_has_no_effect() {
    let mut bench = Bench::new();
    bench.invited();
    bench.hear(&request("CANCEL", "forged", "", ""));
    bench.hear(&request("CANCEL", "1", "", ""));
    bench.hear(&request("CANCEL", "1", "", ""));
    let tag = bench.tag();
    bench.hear(&request("ACK", "1", &tag, ""));
    assert_eq!(
        bench.ladder(),
        [
            "< INVITE",
            "> 100 INVITE",
            "< CANCEL",
            "> 481 CANCEL",
            "< CANCEL",
            "> 200 CANCEL",
            "> 487 INVITE",
            "< CANCEL",
            "> 200 CANCEL",
            "< ACK"
        ]
    );
    assert_eq!(bench.names(), ["Cancelled"]);
    bench.wait(FOREVER);
    assert!(bench.is_empty());

    let id = bench.invited();
    bench
        .endpoint
        .accept(bench.now, id, Vec::new(), Bytes::from_static(b"v=0\r\n"));
    bench.drain();
    bench.ladder();
    bench.hear(&request("CANCEL", "1", "", ""));
    assert_eq!(bench.ladder(), ["< CANCEL", "> 200 CANCEL"]);
    assert_eq!(bench.names(), [""; 0]);
}

#[test]
fn a_cancel_of_another_caller_is_refused_though_its_branch_fits() {
    let mut bench = Bench::new();
    bench.invited();
    bench.hear(&request("CANCEL", "1", "", "").replace("tag=far", "tag=forged"));
    bench.hear(&request("CANCEL", "1", "", "").replace("Call-ID: c1", "Call-ID: c2"));
    assert_eq!(
        bench.ladder()[2..],
        ["< CANCEL", "> 481 CANCEL", "< CANCEL", "> 481 CANCEL"]
    );
    assert_eq!(bench.endpoint.dialog_count(), 1);
}

#[test]
fn a_bye_of_the_caller_before_the_answer_is_a_cancel() {
    let mut bench = Bench::new();
    let id = bench.invited();
    bench
        .endpoint
        .ring(bench.now, id, Ring::plain(180, "Ringing"));
    bench.drain();
    let tag = bench.tag();
    bench.hear(&request("BYE", "2", &tag, ""));
    assert_eq!(bench.ladder()[3..], ["< BYE", "> 200 BYE", "> 487 INVITE"]);
    assert_eq!(bench.names(), ["Cancelled"]);
}

#[test]
fn a_failure_is_repeated_until_its_ack() {
    let mut bench = Bench::new();
    let id = bench.invited();
    bench.endpoint.reject(
        bench.now,
        id,
        486,
        "Busy Here",
        vec![("Reason", "Q.850;cause=17".to_owned())],
    );
    bench.drain();
    let tag = bench.tag();
    bench.wait(Duration::from_secs(2));
    bench.hear(&request("INVITE", "1", "", ""));
    bench.hear(&request("ACK", "1", &tag, ""));
    bench.wait(Duration::from_secs(2));
    bench.hear(&request("ACK", "1", &tag, ""));
    assert_eq!(
        bench.ladder()[2..],
        [
            "> 486 INVITE",
            "> 486 INVITE again",
            "> 486 INVITE again",
            "< INVITE again",
            "> 486 INVITE again",
            "< ACK",
            "< ACK"
        ]
    );
    assert_eq!(bench.endpoint.dialog_count(), 0);
    bench.wait(FOREVER);
    assert!(bench.is_empty());
}

#[test]
fn a_repeated_invite_gets_the_last_provisional_answer_and_no_second_call() {
    let mut bench = Bench::new();
    let id = bench.invited();
    bench.hear(&request("INVITE", "1", "", ""));
    bench.endpoint.ring(
        bench.now,
        id,
        Ring {
            body: Some(Bytes::from_static(b"v=0\r\n")),
            ..Ring::plain(183, "Session Progress")
        },
    );
    bench.drain();
    bench.hear(&request("INVITE", "1", "", ""));
    assert_eq!(
        bench.ladder()[2..],
        [
            "< INVITE again",
            "> 100 INVITE again",
            "> 183 INVITE (sdp)",
            "< INVITE again",
            "> 183 INVITE (sdp) again"
        ]
    );
    assert_eq!(bench.names(), [""; 0]);
}

#[test]
fn a_copy_that_came_by_another_way_is_a_loop() {
    let mut bench = Bench::new();
    bench.invited();
    bench.hear(&request("INVITE", "other", "", ""));
    assert_eq!(bench.last().status(), Some(482));
    assert_eq!(bench.endpoint.dialog_count(), 1);
}

#[test]
fn a_caller_of_rfc_2543_is_served() {
    let mut bench = Bench::new();
    let old =
        |method: &str, to: &str| request(method, "1", to, "").replace(";rport;branch=z9hG4bK1", "");
    bench.hear(&old("INVITE", ""));
    let Some(Event::Invited { dialog, .. }) = bench.events.pop() else {
        panic!("no call")
    };
    bench.hear(&old("INVITE", ""));
    bench
        .endpoint
        .reject(bench.now, dialog, 486, "Busy Here", Vec::new());
    bench.drain();
    let tag = bench.tag();
    bench.hear(&old("ACK", &tag));
    bench.wait(Duration::from_secs(10));
    assert_eq!(
        bench.ladder(),
        [
            "< INVITE",
            "> 100 INVITE",
            "< INVITE again",
            "> 100 INVITE again",
            "> 486 INVITE",
            "< ACK"
        ]
    );
}

#[test]
fn requests_that_fit_nothing_are_refused_without_state() {
    let mut bench = Bench::new();
    bench.hear(&request("BYE", "1", "0123456789abcdef", ""));
    bench.hear(&request("BYE", "2", "", ""));
    bench.hear(&request("INVITE", "3", "foreign", ""));
    bench.hear(&request("OPTIONS", "4", "", "Require: 100rel, foo\r\n"));
    bench.hear(&request("REGISTER", "5", "", ""));
    bench.hear(&request("ACK", "6", "foreign", ""));
    bench.hear(&request("INVITE", "7", "", "Content-Length: 9\r\n"));
    bench.hear(&request("INVITE", "8", "", "").replace("SIP/2.0\r\nVia", "SIP/3.0\r\nVia"));
    let statuses: Vec<_> = bench.sent.iter().filter_map(Message::status).collect();
    assert_eq!(statuses, [481, 481, 481, 420, 405, 400, 505]);
    assert_eq!(
        bench.sent[3].text(HeaderName::Unsupported).as_deref(),
        Some("foo")
    );
    assert_eq!(
        bench.sent[4].text(HeaderName::Allow).as_deref(),
        Some(crate::draft::ALLOW)
    );
    assert_eq!(
        bench.sent[5].phrase().as_deref(),
        Some("Content-Length is larger than the body")
    );
    assert!(bench.is_empty());
    assert_eq!(bench.names(), [""; 0]);
}

#[test]
fn an_answer_without_state_is_the_same_each_time() {
    let mut bench = Bench::new();
    bench.hear(&request("REGISTER", "5", "", ""));
    bench.hear(&request("REGISTER", "5", "", ""));
    assert_eq!(bench.sent[0].octets(), bench.sent[1].octets());
}

#[test]
fn options_wait_for_the_application_and_get_no_provisional_answer() {
    let mut bench = Bench::new();
    bench.hear(&request("OPTIONS", "1", "", ""));
    let Some(Event::Requested {
        dialog: None,
        request: id,
        ..
    }) = bench.events.pop()
    else {
        panic!("not asked")
    };
    bench.hear(&request("OPTIONS", "1", "", ""));
    bench
        .endpoint
        .respond(bench.now, id, 180, "Ringing", Vec::new(), None);
    bench
        .endpoint
        .respond(bench.now, id, 200, "OK", Vec::new(), None);
    bench
        .endpoint
        .respond(bench.now, id, 500, "Again", Vec::new(), None);
    bench.drain();
    assert_eq!(
        bench.ladder(),
        ["< OPTIONS", "< OPTIONS again", "> 200 OPTIONS"]
    );
    assert_eq!(
        bench.last().text(HeaderName::Accept).as_deref(),
        Some("application/sdp, multipart/mixed")
    );
    assert_eq!(
        bench.header("Supported").as_deref(),
        Some("100rel, timer, replaces, norefersub")
    );
    bench.hear(&request("OPTIONS", "2", "", "").replace("CSeq: 1", "CSeq: 2"));
    bench.wait(FOREVER);
    assert!(
        bench.is_empty(),
        "a request the application forgets is forgotten too"
    );
}

#[test]
fn verbs_in_the_wrong_stage_do_nothing() {
    let mut bench = Bench::new();
    let id = bench.invited();
    bench.hear(&request("CANCEL", "1", "", ""));
    bench.ladder();
    bench
        .endpoint
        .ring(bench.now, id, Ring::plain(180, "Ringing"));
    bench
        .endpoint
        .accept(bench.now, id, Vec::new(), Bytes::new());
    bench
        .endpoint
        .reject(bench.now, id, 486, "Busy Here", Vec::new());
    bench.endpoint.bye(bench.now, id, None);
    bench.endpoint.cancel(bench.now, id, None);
    bench
        .endpoint
        .respond(bench.now, RequestId(99), 200, "OK", Vec::new(), None);
    bench.drain();
    assert_eq!(bench.ladder(), [""; 0]);
}

#[test]
fn a_keep_alive_gets_no_byte() {
    let mut bench = Bench::new();
    for text in ["", "\r\n\r\n", "\0", "\r\n"] {
        bench.hear(text);
    }
    assert_eq!(bench.ladder(), [""; 0]);
    assert!(bench.sent.is_empty());
}

#[test]
fn nothing_shown_holds_a_number() {
    let mut bench = Bench::new();
    bench.call();
    bench.hear(&request("INVITE", "1", "", ""));
    let ladder = bench.ladder();
    let shown = format!(
        "{:?} {:?} {:?} {:?}",
        bench.endpoint, bench.events, bench.sent, ladder
    );
    assert!(
        !shown.contains("0790000001") && !shown.contains("0783331000"),
        "{shown}"
    );
}
