//! Re-INVITEs of ours, those that meet another, and those that end with their call.
// The peer at 192.0.2.9 refuses, crosses, or says nothing.
use super::*;

fn sent_invite(bench: &Bench) -> Message {
    let last = bench
        .sent
        .iter()
        .rfind(|sent| sent.method() == Some(Method::Invite));
    last.unwrap().clone()
}

#[test]
fn a_reinvite_of_ours_is_acked_each_time_and_moves_the_target() {
    let mut bench = Bench::new();
    let (id, _) = bench.called_with("");
    bench.endpoint.reinvite(bench.now, id, sdp(), Glare::Report);
    bench.drain();
    let reinvite = bench.last().clone();
    assert_eq!(reinvite.cseq().unwrap().number, 2);
    assert_eq!(reinvite.to().unwrap().tag(), Some(&b"near"[..]));
    assert!(bench.header("Session-Expires").is_some());
    let moved = "Contact: <sip:200@192.0.2.9:5099>\r\n";
    bench.answer(&reinvite, "100 Trying", "", "");
    bench.describe(&reinvite, "200 OK", "", moved);
    bench.describe(&reinvite, "200 OK", "", moved);
    assert_eq!(
        bench.ladder(),
        [
            "> INVITE (sdp)",
            "< 100 INVITE",
            "< 200 INVITE (sdp)",
            "> ACK",
            "< 200 INVITE (sdp) again",
            "> ACK again"
        ]
    );
    let ack = bench.last();
    assert_eq!(ack.cseq().unwrap().number, 2);
    assert_eq!(
        ack.request_uri().unwrap().as_str(),
        "sip:200@192.0.2.9:5099"
    );
    assert_eq!(bench.names(), ["Modified"]);
    bench.endpoint.bye(bench.now, id, None);
    bench.drain();
    assert_eq!(bench.last().cseq().unwrap().number, 3);
    assert_eq!(bench.last().method(), Some(Method::Bye));
    bench.wait(FOREVER);
    assert_eq!(bench.names(), ["ByeDone"]);
    assert!(bench.is_empty());
}

#[test]
fn a_reinvite_of_ours_never_goes_without_a_description() {
    let mut bench = Bench::new();
    let (id, _) = bench.called_with("");
    bench
        .endpoint
        .reinvite(bench.now, id, Bytes::new(), Glare::Report);
    bench.drain();
    assert_eq!(bench.last().body(), sdp());
}

#[test]
fn a_refused_reinvite_leaves_the_call() {
    let mut bench = Bench::new();
    let (id, invite) = bench.called_with("");
    for status in [488, 481, 408] {
        bench.endpoint.reinvite(bench.now, id, sdp(), Glare::Report);
        bench.drain();
        let reinvite = sent_invite(&bench);
        bench.answer(&reinvite, &format!("{status} No"), "", "");
        assert_eq!(bench.last().method(), Some(Method::Ack));
        assert!(matches!(
            bench.events.pop(),
            Some(Event::NotModified { status: told, message: Some(_), .. }) if told == status
        ));
        assert_eq!(bench.endpoint.dialog_count(), 1);
    }
    bench.inside(&invite, "INVITE", 1, "near");
    assert_eq!(bench.names(), ["Reinvited"]);
}

#[test]
fn a_reinvite_that_is_withdrawn_is_cancelled_after_a_provisional_answer() {
    let mut bench = Bench::new();
    let (id, _) = bench.called_with("");
    bench.endpoint.reinvite(bench.now, id, sdp(), Glare::Report);
    bench.drain();
    let reinvite = sent_invite(&bench);
    bench.ladder();
    bench.endpoint.withdraw(bench.now, id);
    bench.drain();
    assert_eq!(bench.ladder(), [""; 0]);
    bench.answer(&reinvite, "100 Trying", "", "");
    bench.answer(&reinvite, "180 Ringing", "", "");
    assert_eq!(bench.ladder(), ["< 100 INVITE", "> CANCEL", "< 180 INVITE"]);
    bench.answer(&reinvite, "487 Request Terminated", "", "");
    assert_eq!(bench.ladder(), ["< 487 INVITE", "> ACK"]);
    assert_eq!(bench.names().last(), Some(&"NotModified"));
    assert_eq!(bench.endpoint.dialog_count(), 1);
}

#[test]
fn a_reinvite_that_waits_and_is_withdrawn_is_never_sent() {
    let mut bench = Bench::new();
    let (id, _) = bench.called_with("");
    bench.endpoint.reinvite(bench.now, id, sdp(), Glare::Repeat);
    bench.drain();
    let reinvite = sent_invite(&bench);
    bench.answer(&reinvite, "491 Request Pending", "", "");
    bench.ladder();
    bench.endpoint.withdraw(bench.now, id);
    bench.drain();
    assert!(matches!(
        bench.events.pop(),
        Some(Event::NotModified {
            status: 487,
            message: None,
            ..
        })
    ));
    bench.wait(Duration::from_secs(10));
    assert_eq!(bench.ladder(), [""; 0]);
}

#[test]
fn a_reinvite_that_nobody_answers_is_told_and_over() {
    let mut bench = Bench::new();
    let (id, _) = bench.called_with("");
    bench.endpoint.reinvite(bench.now, id, sdp(), Glare::Report);
    bench.wait(Duration::from_secs(33));
    assert!(matches!(
        bench.events.pop(),
        Some(Event::NotModified {
            status: 408,
            message: None,
            ..
        })
    ));
    // One that rings for ever is cancelled, and over when its 487 does not come either.
    bench.endpoint.reinvite(bench.now, id, sdp(), Glare::Report);
    bench.drain();
    let reinvite = sent_invite(&bench);
    bench.answer(&reinvite, "180 Ringing", "", "");
    bench.ladder();
    bench.wait(Duration::from_secs(33));
    assert_eq!(bench.ladder()[0], "> CANCEL");
    assert_eq!(bench.names(), [""; 0]);
    bench.wait(Duration::from_secs(33));
    assert_eq!(bench.names(), ["NotModified"]);
}

#[test]
fn two_reinvites_that_meet_are_refused_by_both_and_only_ours_is_repeated() {
    // RFC 3261 section 14.1: whoever made the Call-ID waits 2.1 to 4 s, the other at most 2 s.
    let mut bench = Bench::new();
    let (id, invite) = bench.called_with("");
    bench.endpoint.reinvite(bench.now, id, sdp(), Glare::Repeat);
    bench.drain();
    let reinvite = sent_invite(&bench);
    bench.inside_with(&invite, "INVITE", 1, "near", "", SDP);
    assert_eq!(bench.last().status(), Some(491));
    bench.ack_refusal(&invite, 1, "near");
    bench.answer(&reinvite, "491 Request Pending", "", "");
    bench.ladder();
    // The other side is quicker.
    bench.wait(Duration::from_secs(1));
    bench.inside_with(&invite, "INVITE", 2, "near", "", SDP);
    let Some(Event::Reinvited { request, .. }) = bench.events.pop() else {
        panic!("not asked")
    };
    bench
        .endpoint
        .respond(bench.now, request, 200, "OK", Vec::new(), Some(sdp()));
    bench.drain();
    bench.inside(&invite, "ACK", 2, "near");
    bench.ladder();
    bench.wait(Duration::from_millis(1090));
    assert_eq!(bench.ladder(), [""; 0]);
    bench.wait(Duration::from_millis(1910));
    assert_eq!(bench.ladder()[0], "> INVITE (sdp)");
    let reinvite = sent_invite(&bench);
    bench.describe(&reinvite, "200 OK", "", "");
    assert_eq!(bench.names(), ["Reacked", "Modified"]);

    let mut bench = Bench::new();
    let (id, _) = bench.talking_with("");
    bench.endpoint.reinvite(bench.now, id, sdp(), Glare::Repeat);
    bench.drain();
    let reinvite = sent_invite(&bench);
    bench.answer(&reinvite, "491 Request Pending", "", "");
    bench.ladder();
    bench.wait(Duration::from_millis(2001));
    assert_eq!(bench.ladder()[0], "> INVITE (sdp)");
}

#[test]
fn a_reinvite_that_always_meets_another_is_refused_in_the_end() {
    let mut bench = Bench::new();
    let (id, _) = bench.called_with("");
    bench.endpoint.reinvite(bench.now, id, sdp(), Glare::Repeat);
    bench.drain();
    let mut sent = 0;
    while bench.events.is_empty() {
        sent += 1;
        assert!(sent < 30, "it never ends");
        let reinvite = sent_invite(&bench);
        bench.answer(&reinvite, "491 Request Pending", "", "");
        bench.wait(Duration::from_millis(4001));
    }
    assert_eq!(sent, 11);
    assert_eq!(bench.names(), ["NotModified"]);
}

#[test]
fn an_offer_that_is_passed_on_hears_of_the_glare() {
    let mut bench = Bench::new();
    let (id, _) = bench.called_with("");
    bench.endpoint.reinvite(bench.now, id, sdp(), Glare::Report);
    bench.endpoint.reinvite(bench.now, id, sdp(), Glare::Report);
    bench.drain();
    assert!(matches!(
        bench.events.pop(),
        Some(Event::NotModified {
            status: 491,
            message: None,
            ..
        })
    ));
    let reinvite = sent_invite(&bench);
    bench.answer(&reinvite, "491 Request Pending", "", "");
    assert!(matches!(
        bench.events.pop(),
        Some(Event::NotModified {
            status: 491,
            message: Some(_),
            ..
        })
    ));
}

#[test]
fn a_reinvite_before_the_ack_waits_for_it() {
    let mut bench = Bench::new();
    let id = bench.invited_with("", SDP);
    bench.endpoint.accept(bench.now, id, Vec::new(), sdp());
    bench.drain();
    let tag = bench.tag();
    bench.endpoint.reinvite(bench.now, id, sdp(), Glare::Repeat);
    bench.drain();
    bench.hear(&within("ACK", 1, &tag, "", ""));
    bench.ladder();
    bench.wait(Duration::from_millis(2001));
    assert_eq!(bench.ladder()[0], "> INVITE (sdp)");
}

#[test]
fn a_reinvite_without_description_is_answered_by_an_offer_and_its_ack_is_told() {
    let mut bench = Bench::new();
    let (id, tag) = bench.talking_with("");
    bench.hear(&within("INVITE", 2, &tag, "", ""));
    let Some(Event::Reinvited { request, .. }) = bench.events.pop() else {
        panic!("not asked")
    };
    bench
        .endpoint
        .respond(bench.now, request, 200, "OK", Vec::new(), Some(sdp()));
    bench.drain();
    // Our offer is open: no other meets it.
    bench.hear(&within("UPDATE", 3, &tag, "", SDP));
    assert_eq!(bench.last().status(), Some(491));
    bench.endpoint.update(bench.now, id, sdp());
    bench.drain();
    assert_eq!(bench.names(), ["NotModified"]);
    bench.hear(&within("ACK", 2, &tag, "", SDP));
    let Some(Event::Reacked { body, .. }) = bench.events.pop() else {
        panic!("not told")
    };
    assert_eq!(body, Some(sdp()));
    bench.hear(&within("UPDATE", 4, &tag, "", SDP));
    assert_eq!(bench.names(), ["Updated"]);
}

#[test]
fn a_bye_of_ours_crosses_our_reinvite() {
    for answer in ["487 Request Terminated", "200 OK", ""] {
        let mut bench = Bench::new();
        let (id, _) = bench.called_with("");
        bench.endpoint.reinvite(bench.now, id, sdp(), Glare::Report);
        bench.drain();
        let reinvite = sent_invite(&bench);
        bench.answer(&reinvite, "100 Trying", "", "");
        bench.endpoint.bye(bench.now, id, None);
        bench.drain();
        let bye = bench.last().clone();
        bench.answer(&bye, "200 OK", "", "");
        bench.ladder();
        if !answer.is_empty() {
            bench.answer(&reinvite, answer, "", "");
            let heard = format!("< {} INVITE", &answer[..3]);
            assert_eq!(bench.ladder(), [heard.as_str(), "> ACK"]);
        }
        bench.wait(FOREVER);
        assert_eq!(bench.names(), ["ByeDone"], "{answer}");
        assert!(bench.is_empty(), "{answer}");
    }
}

#[test]
fn a_bye_of_the_peer_crosses_our_reinvite() {
    for answer in ["487 Request Terminated", "200 OK", ""] {
        let mut bench = Bench::new();
        let (id, invite) = bench.called_with("");
        bench.endpoint.reinvite(bench.now, id, sdp(), Glare::Repeat);
        bench.drain();
        let reinvite = sent_invite(&bench);
        bench.answer(&reinvite, "100 Trying", "", "");
        bench.inside(&invite, "BYE", 1, "near");
        bench.ladder();
        if !answer.is_empty() {
            bench.answer(&reinvite, answer, "", "");
            let heard = format!("< {} INVITE", &answer[..3]);
            assert_eq!(bench.ladder(), [heard.as_str(), "> ACK"]);
        }
        bench.wait(FOREVER);
        assert_eq!(bench.names(), ["Ended"], "{answer}");
        assert!(bench.is_empty(), "{answer}");
    }
}

#[test]
fn a_reliable_answer_to_a_reinvite_is_pracked() {
    let mut bench = Bench::new();
    let (id, _) = bench.called_with("Supported: 100rel\r\n");
    bench.endpoint.reinvite(bench.now, id, sdp(), Glare::Report);
    bench.drain();
    let reinvite = sent_invite(&bench);
    bench.answer(&reinvite, "183 Wait", "", "Require: 100rel\r\nRSeq: 44\r\n");
    assert_eq!(bench.header("RAck").as_deref(), Some("44 2 INVITE"));
    bench.answer(&reinvite, "200 OK", "", "");
    assert_eq!(bench.names(), ["Modified"]);
}

#[test]
fn a_reinvite_before_the_answer_is_refused_at_once() {
    let mut bench = Bench::new();
    let id = bench.invited_with("", SDP);
    bench.endpoint.reinvite(bench.now, id, sdp(), Glare::Repeat);
    bench.drain();
    assert_eq!(bench.names(), ["NotModified"]);
    bench.endpoint.accept(bench.now, id, Vec::new(), sdp());
    bench.drain();
    assert_eq!(bench.last().status(), Some(200));
}
