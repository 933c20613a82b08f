//! UPDATE, early and confirmed, in and out.
// The peer at 192.0.2.9 sends UPDATEs when it likes, and ours meet them.
use super::*;

const ABLE: &str = "Allow: INVITE, ACK, BYE, CANCEL, UPDATE, PRACK\r\nSupported: 100rel, timer\r\n";

/// Our statuses since the ladder was last asked for.
fn statuses(bench: &mut Bench) -> Vec<String> {
    bench.ladder()
}

fn asked(bench: &mut Bench) -> RequestId {
    match bench.events.pop() {
        Some(Event::Updated { request, .. }) => request,
        other => panic!("{other:?}"),
    }
}

#[test]
fn an_update_without_description_is_answered_alone_and_moves_the_target() {
    let mut bench = Bench::new();
    let (id, tag) = bench.talking_with("");
    bench.hear(&within(
        "UPDATE",
        2,
        &tag,
        "Contact: <sip:a@192.0.2.9:5099>\r\n",
        "",
    ));
    assert_eq!(statuses(&mut bench), ["< UPDATE", "> 200 UPDATE"]);
    assert!(bench.last().contact().is_some());
    assert_eq!(bench.names(), [""; 0]);
    bench.endpoint.bye(bench.now, id, None);
    bench.drain();
    assert_eq!(
        bench.last().request_uri().unwrap().as_str(),
        "sip:a@192.0.2.9:5099"
    );
}

#[test]
fn an_update_with_an_offer_is_asked_one_at_a_time() {
    let mut bench = Bench::new();
    let (id, tag) = bench.talking_with("");
    bench.hear(&within("UPDATE", 2, &tag, "", SDP));
    let request = asked(&mut bench);
    bench.hear(&within("UPDATE", 3, &tag, "", ""));
    assert_eq!(bench.last().status(), Some(500));
    assert!(bench.header("Retry-After").is_some());
    bench.hear(&within("INVITE", 4, &tag, "", SDP));
    assert_eq!(bench.last().status(), Some(500));
    // Ours meets it.
    bench.endpoint.update(bench.now, id, sdp());
    bench.drain();
    assert!(matches!(
        bench.events.pop(),
        Some(Event::NotModified {
            status: 491,
            message: None,
            ..
        })
    ));
    bench
        .endpoint
        .respond(bench.now, request, 200, "OK", Vec::new(), Some(sdp()));
    bench.drain();
    assert_eq!(bench.last().body(), sdp());
    bench.hear(&within("UPDATE", 5, &tag, "", SDP));
    let request = asked(&mut bench);
    bench.endpoint.respond(
        bench.now,
        request,
        488,
        "Not Acceptable Here",
        Vec::new(),
        None,
    );
    bench.drain();
    assert_eq!(bench.last().status(), Some(488));
    bench.hear(&within("UPDATE", 6, &tag, "", SDP));
    asked(&mut bench);
}

#[test]
fn an_update_the_application_forgets_blocks_nothing_for_ever() {
    let mut bench = Bench::new();
    let (_, tag) = bench.talking_with("");
    bench.hear(&within("UPDATE", 2, &tag, "", SDP));
    asked(&mut bench);
    bench.wait(Duration::from_secs(33));
    bench.hear(&within("UPDATE", 3, &tag, "", SDP));
    asked(&mut bench);
}

#[test]
fn a_callers_early_update_waits_for_the_answer_to_its_invite() {
    let mut bench = Bench::new();
    let id = bench.invited_with(ABLE, SDP);
    bench
        .endpoint
        .ring(bench.now, id, Ring::plain(180, "Ringing"));
    bench.drain();
    let tag = bench.tag();
    bench.hear(&within("UPDATE", 2, &tag, "", SDP));
    assert_eq!(bench.last().status(), Some(500), "its own offer is open");
    bench.hear(&within("UPDATE", 3, &tag, "", ""));
    assert_eq!(bench.last().status(), Some(200));
    assert_eq!(bench.header("Session-Expires"), None, "not yet a session");
    bench.endpoint.ring(
        bench.now,
        id,
        Ring {
            body: Some(sdp()),
            delivery: Delivery::Reliable,
            ..Ring::plain(183, "Session Progress")
        },
    );
    bench.drain();
    let named = format!("RAck: {} 1 INVITE\r\n", bench.header("RSeq").unwrap());
    bench.hear(&within("PRACK", 4, &tag, &named, ""));
    bench.hear(&within("UPDATE", 5, &tag, "", SDP));
    let request = asked_after_prack(&mut bench);
    bench
        .endpoint
        .respond(bench.now, request, 200, "OK", Vec::new(), Some(sdp()));
    // And ours to the caller.
    bench.endpoint.update(bench.now, id, sdp());
    bench.drain();
    let update = bench.last().clone();
    assert_eq!(update.method(), Some(Method::Update));
    bench.describe(&update, "200 OK", "", "");
    assert_eq!(bench.names(), ["Pracked", "Modified"]);
}

fn asked_after_prack(bench: &mut Bench) -> RequestId {
    let request = asked(bench);
    assert_eq!(bench.events.len(), 1);
    request
}

#[test]
fn our_early_update_goes_to_the_callee_that_answered_reliably() {
    let mut bench = Bench::new();
    let id = bench.call();
    let invite = bench.last().clone();
    bench.endpoint.update(bench.now, id, sdp());
    bench.drain();
    assert_eq!(bench.names(), ["NotModified"], "nobody is there yet");
    bench.describe(
        &invite,
        "183 Session Progress",
        "near",
        &format!("{ABLE}Require: 100rel\r\nRSeq: 1\r\n"),
    );
    bench.names();
    assert!(bench.endpoint.allows(id, &Method::Update));
    bench.endpoint.update(bench.now, id, sdp());
    bench.drain();
    let update = bench.last().clone();
    assert_eq!(update.cseq().unwrap().number, 3, "after the PRACK");
    assert_eq!(bench.header("Session-Expires"), None);
    // The callee's own meets it.
    bench.inside_with(&invite, "UPDATE", 1, "near", "", SDP);
    assert_eq!(bench.last().status(), Some(491));
    // The INVITE is answered before the UPDATE is.
    bench.answer(&invite, "200 OK", "near", "");
    bench.inside_with(&invite, "UPDATE", 2, "near", "", SDP);
    assert_eq!(
        bench.last().status(),
        Some(491),
        "ours is open all the same"
    );
    bench.describe(&update, "200 OK", "", "");
    assert_eq!(bench.names(), ["Accepted", "Modified"]);
    bench.inside_with(&invite, "UPDATE", 3, "near", "", SDP);
    assert_eq!(bench.names(), ["Updated"]);
}

#[test]
fn an_update_that_is_refused_or_lost_leaves_the_session() {
    let mut bench = Bench::new();
    let (id, invite) = bench.called_with(ABLE);
    for (answer, status) in [
        ("488 Not Acceptable Here", 488),
        ("491 Request Pending", 491),
    ] {
        bench.endpoint.update(bench.now, id, sdp());
        bench.drain();
        let update = bench.last().clone();
        bench.answer(&update, answer, "", "");
        assert!(matches!(
            bench.events.pop(),
            Some(Event::NotModified { status: told, message: Some(_), .. }) if told == status
        ));
    }
    bench.endpoint.update(bench.now, id, sdp());
    bench.wait(Duration::from_secs(33));
    assert!(matches!(
        bench.events.pop(),
        Some(Event::NotModified {
            status: 408,
            message: None,
            ..
        })
    ));
    bench.endpoint.update(bench.now, id, sdp());
    bench.inside(&invite, "BYE", 1, "near");
    assert_eq!(bench.names(), ["Ended"]);
    bench.wait(FOREVER);
    assert!(bench.is_empty());
}

#[test]
fn a_late_copy_of_a_refused_update_is_refused_like_the_first() {
    // Two talks that seed 3428 of the long ones brought apart: the copy came when nothing stood in its way any more.
    let mut bench = Bench::new();
    let (id, _) = bench.talking_with(ABLE);
    let tag = bench.endpoint.dialog_name(id).unwrap().local_tag;
    bench.endpoint.update(bench.now, id, sdp());
    bench.drain();
    let ours = bench.last().clone();
    bench.hear(&within("UPDATE", 2, &tag, "", SDP));
    assert_eq!(bench.last().status(), Some(491));
    bench.describe(&ours, "200 OK", "", "");
    bench.hear(&within("UPDATE", 2, &tag, "", SDP));
    assert_eq!(bench.last().status(), Some(491));
    assert_eq!(bench.names(), ["Modified"]);
}

#[test]
fn an_update_between_our_2xx_and_its_ack_outlives_the_ack() {
    let mut bench = Bench::new();
    let id = bench.invited_with(ABLE, SDP);
    bench.endpoint.accept(bench.now, id, Vec::new(), sdp());
    bench.drain();
    let tag = bench.tag();
    bench.endpoint.update(bench.now, id, sdp());
    bench.drain();
    let ours = bench.last().clone();
    assert_eq!(ours.method(), Some(Method::Update));
    bench.hear(&within("ACK", 1, &tag, "", ""));
    bench.hear(&within("UPDATE", 2, &tag, "", SDP));
    assert_eq!(bench.last().status(), Some(491));
    bench.describe(&ours, "200 OK", "", "");
    assert_eq!(bench.names(), ["Acked", "Modified"]);
}

#[test]
fn an_early_update_moves_the_target_of_its_dialog() {
    let mut bench = Bench::new();
    let id = bench.call();
    let invite = bench.last().clone();
    for fork in ["one", "two"] {
        let contact = format!("{ABLE}Contact: <sip:{fork}@192.0.2.9:5071>\r\n");
        bench.answer(&invite, "180 Ringing", fork, &contact);
    }
    let moved = "Contact: <sip:one@192.0.2.9:5099>\r\n";
    bench.inside_with(&invite, "UPDATE", 1, "one", moved, "");
    assert_eq!(bench.last().status(), Some(200));
    bench.answer(&invite, "183 Progress", "one", "");
    let info = InDialog {
        method: "INFO".to_owned(),
        headers: Vec::new(),
        body: None,
    };
    bench.endpoint.request(bench.now, id, info);
    bench.drain();
    let sent = bench.last().request_uri().unwrap().as_str().to_owned();
    assert_eq!(sent, "sip:one@192.0.2.9:5099");
}

#[test]
fn a_2xx_goes_out_though_the_application_never_answered_an_offer_before_it() {
    let mut bench = Bench::new();
    let id = bench.invited_with("Supported: 100rel\r\n", SDP);
    let ring = Ring {
        body: Some(sdp()),
        delivery: Delivery::Reliable,
        ..Ring::plain(183, "Progress")
    };
    bench.endpoint.ring(bench.now, id, ring);
    bench.drain();
    let (tag, rseq) = (bench.tag(), bench.header("RSeq").unwrap());
    let rack = format!("RAck: {rseq} 1 INVITE\r\n");
    bench.hear(&within("PRACK", 2, &tag, &rack, ""));
    bench.hear(&within("UPDATE", 3, &tag, "", SDP));
    assert_eq!(bench.names(), ["Pracked", "Updated"]);
    bench.endpoint.accept(bench.now, id, Vec::new(), sdp());
    bench.ladder();
    bench.wait(Duration::from_secs(31));
    assert_eq!(bench.ladder(), [""; 0]);
    bench.wait(Duration::from_millis(1_100));
    assert_eq!(bench.ladder(), ["> 200 INVITE (sdp)"]);
}
