//! Session timers on one dialog: who refreshes, how, and what happens when nobody does.
// The peer at 192.0.2.9 knows session timers, or others, or none; it dies without a BYE.
use super::*;
use crate::peer::{PeerSettings, RefreshMethod, SessionSettings};

const ABLE: &str = "Allow: INVITE, ACK, BYE, CANCEL, UPDATE\r\nSupported: timer\r\n";

fn settings(interval_s: Option<u64>, min_s: u64, method: RefreshMethod) -> PeerSettings {
    PeerSettings {
        session: SessionSettings {
            interval: interval_s.map(Duration::from_secs),
            min: Duration::from_secs(min_s),
            method,
        },
        ..PeerSettings::default()
    }
}

fn bench(interval_s: u64) -> Bench {
    let mut bench = Bench::new();
    let settings = settings(Some(interval_s), 90, RefreshMethod::Update);
    bench.endpoint.set_peer(NEIGHBOUR, settings);
    bench
}

#[test]
fn an_interval_below_our_minimum_is_refused_with_it() {
    let mut bench = Bench::new();
    bench
        .endpoint
        .set_peer(NEIGHBOUR, settings(Some(1800), 120, RefreshMethod::Update));
    let small = "Supported: timer\r\nSession-Expires: 100\r\n";
    bench.hear(&request("INVITE", "1", "", small));
    assert_eq!(bench.last().status(), Some(422));
    assert_eq!(bench.header("Min-SE").as_deref(), Some("120"));
    assert!(bench.is_empty());
    let (_, tag) = bench.talking_with(ABLE);
    for (method, cseq) in ["UPDATE", "INVITE"].into_iter().zip(2..) {
        bench.hear(&within(method, cseq, &tag, small, ""));
        assert_eq!(bench.last().status(), Some(422), "{method}");
    }
    assert_eq!(bench.names(), [""; 0]);
}

#[test]
fn a_422_to_our_invite_is_answered_by_a_longer_interval() {
    let mut bench = bench(300);
    bench.call();
    let first = bench.last().clone();
    bench.answer(
        &first,
        "422 Session Interval Too Small",
        "near",
        "Min-SE: 600\r\n",
    );
    let second = bench.last().clone();
    assert_eq!(second.method(), Some(Method::Invite));
    assert_eq!(bench.header("Session-Expires").as_deref(), Some("600"));
    assert_eq!(bench.header("Min-SE").as_deref(), Some("600"));
    assert_eq!(bench.header("X-Own").as_deref(), Some("1"));
    assert_eq!(second.call_id(), first.call_id());
    assert_eq!(second.from().unwrap().tag(), first.from().unwrap().tag());
    assert_eq!(second.to().unwrap().tag(), None);
    assert_eq!(second.cseq().unwrap().number, 2);
    assert_eq!(second.body(), first.body());
    assert_ne!(
        second.via().unwrap().branch(),
        first.via().unwrap().branch()
    );
    bench.answer(&second, "200 OK", "near", "");
    assert_eq!(bench.last().cseq().unwrap().number, 2);
    assert_eq!(
        bench.ladder(),
        [
            "> INVITE (sdp)",
            "< 422 INVITE",
            "> ACK",
            "> INVITE (sdp)",
            "< 200 INVITE",
            "> ACK"
        ]
    );
    assert_eq!(bench.names(), ["Accepted"]);
    bench.inside(&first, "BYE", 1, "near");
    bench.wait(FOREVER);
    assert!(bench.is_empty());
}

#[test]
fn a_peer_that_never_finds_the_interval_long_enough_refuses_the_call() {
    let mut bench = bench(300);
    bench.call();
    for min_s in [400, 500, 600, 700] {
        let invite = bench.last().clone();
        let more = format!("Min-SE: {min_s}\r\n");
        bench.answer(&invite, "422 Session Interval Too Small", "near", &more);
    }
    assert_eq!(bench.names(), ["Rejected"]);
    bench.wait(FOREVER);
    assert!(bench.is_empty());
}

#[test]
fn we_refresh_at_half_the_interval_by_update() {
    let mut bench = bench(1800);
    let more = format!("{ABLE}Require: timer\r\nSession-Expires: 200;refresher=uac\r\n");
    bench.called_with(&more);
    bench.wait(Duration::from_secs(99));
    assert_eq!(bench.ladder(), [""; 0]);
    bench.wait(Duration::from_millis(1_400));
    assert_eq!(bench.ladder(), ["> UPDATE"]);
    assert_eq!(
        bench.header("Session-Expires").as_deref(),
        Some("200;refresher=uac")
    );
    for _ in 0..3 {
        let update = bench.last().clone();
        bench.answer(
            &update,
            "200 OK",
            "",
            "Session-Expires: 200;refresher=uac\r\n",
        );
        bench.ladder();
        bench.wait(Duration::from_millis(100_400));
        assert_eq!(bench.ladder(), ["> UPDATE"]);
    }
    assert_eq!(bench.names(), [""; 0]);
}

#[test]
fn a_peer_without_timer_and_update_is_refreshed_by_a_reinvite_with_what_we_said_last() {
    let mut bench = bench(200);
    bench.called_with("");
    bench.wait(Duration::from_millis(100_400));
    let reinvite = bench.last().clone();
    assert_eq!(reinvite.method(), Some(Method::Invite));
    assert_eq!(reinvite.body(), sdp());
    bench.describe(&reinvite, "200 OK", "", "");
    bench.ladder();
    assert_eq!(bench.names(), [""; 0], "the application need not know");
    bench.wait(Duration::from_millis(100_400));
    assert_eq!(bench.ladder(), ["> INVITE (sdp)"]);

    // By setting of the peer.
    let mut bench = Bench::new();
    bench
        .endpoint
        .set_peer(NEIGHBOUR, settings(Some(200), 90, RefreshMethod::Invite));
    bench.called_with(ABLE);
    bench.wait(Duration::from_millis(100_400));
    assert_eq!(bench.ladder(), ["> INVITE (sdp)"]);
}

#[test]
fn an_update_that_is_not_known_after_all_becomes_a_reinvite() {
    let mut bench = bench(200);
    bench.called_with(ABLE);
    bench.wait(Duration::from_millis(100_400));
    let update = bench.last().clone();
    bench.answer(&update, "501 Not Implemented", "", "");
    assert_eq!(
        bench.ladder(),
        ["> UPDATE", "< 501 UPDATE", "> INVITE (sdp)"]
    );
}

#[test]
fn a_refresh_that_is_refused_is_tried_again_until_the_session_expires() {
    let mut bench = bench(200);
    bench.called_with(&format!("{ABLE}Session-Expires: 200;refresher=uac\r\n"));
    bench.wait(Duration::from_millis(100_400));
    let update = bench.last().clone();
    bench.answer(
        &update,
        "503 Service Unavailable",
        "",
        "Retry-After: 20\r\n",
    );
    bench.ladder();
    bench.wait(Duration::from_secs(19));
    assert_eq!(bench.ladder(), [""; 0]);
    bench.wait(Duration::from_millis(1_400));
    assert_eq!(bench.ladder(), ["> UPDATE"]);
    let update = bench.last().clone();
    bench.answer(&update, "500 Busy", "", "Retry-After: 3000 (later)\r\n");
    // It expires 32 s before its end, 168 s after the answer.
    bench.wait(Duration::from_secs(46));
    assert_eq!(bench.names(), [""; 0]);
    bench.wait(Duration::from_secs(2));
    assert_eq!(bench.names(), ["SessionExpired"]);
    bench.wait(Duration::from_secs(60));
    assert_eq!(bench.names(), [""; 0], "once");
}

#[test]
fn a_peer_that_knows_no_session_timer_may_refuse_every_refresh_and_keeps_its_call() {
    let mut bench = bench(200);
    bench.called_with("");
    for _ in 0..3 {
        bench.wait(Duration::from_millis(100_400));
        let reinvite = bench.last().clone();
        assert_eq!(reinvite.method(), Some(Method::Invite));
        bench.answer(&reinvite, "488 Not Acceptable Here", "", "");
    }
    assert_eq!(bench.names(), [""; 0]);
    // One that is gone is noticed all the same.
    bench.wait(Duration::from_secs(134));
    assert_eq!(bench.names(), ["SessionExpired"]);
}

#[test]
fn a_refresh_without_answer_or_dialog_ends_the_session_at_once() {
    let mut bench = bench(200);
    let (id, _) = bench.called_with(ABLE);
    bench.wait(Duration::from_millis(100_400));
    let update = bench.last().clone();
    bench.answer(&update, "481 Gone", "", "");
    assert_eq!(bench.names(), ["SessionExpired"]);
    bench.endpoint.bye(bench.now, id, None);
    bench.wait(FOREVER);
    assert_eq!(bench.names(), ["ByeDone"]);
    assert!(bench.is_empty());

    bench.called_with(ABLE);
    bench.wait(Duration::from_millis(100_400));
    bench.wait(Duration::from_secs(33));
    assert_eq!(bench.names(), ["SessionExpired"]);
}

#[test]
fn a_session_the_caller_does_not_refresh_expires_and_each_of_its_refreshes_restarts_it() {
    let mut bench = bench(1800);
    let (_, tag) = bench.talking_with(&format!("{ABLE}Session-Expires: 90;refresher=uac\r\n"));
    let timed = "Supported: timer\r\nSession-Expires: 90;refresher=uac\r\n";
    bench.wait(Duration::from_secs(50));
    bench.hear(&within("UPDATE", 2, &tag, timed, ""));
    assert_eq!(
        bench.header("Session-Expires").as_deref(),
        Some("90;refresher=uac")
    );
    assert_eq!(bench.header("Require").as_deref(), Some("timer"));
    bench.wait(Duration::from_secs(50));
    bench.hear(&within("INVITE", 3, &tag, timed, SDP));
    let Some(Event::Reinvited { request, .. }) = bench.events.pop() else {
        panic!("not asked")
    };
    bench
        .endpoint
        .respond(bench.now, request, 200, "OK", Vec::new(), Some(sdp()));
    bench.drain();
    assert_eq!(
        bench.header("Session-Expires").as_deref(),
        Some("90;refresher=uac")
    );
    bench.hear(&within("ACK", 3, &tag, "", ""));
    bench.names();
    bench.wait(Duration::from_secs(59));
    assert_eq!(bench.names(), [""; 0]);
    bench.wait(Duration::from_secs(2));
    assert_eq!(bench.names(), ["SessionExpired"]);
}

#[test]
fn the_callee_refreshes_where_it_said_so() {
    let mut bench = bench(1800);
    let (_, invite) = bench.called_with(&format!(
        "{ABLE}Require: timer\r\nSession-Expires: 90;refresher=uas\r\n"
    ));
    bench.wait(Duration::from_secs(50));
    bench.inside_with(
        &invite,
        "UPDATE",
        1,
        "near",
        "Supported: timer\r\nSession-Expires: 90;refresher=uac\r\n",
        "",
    );
    bench.ladder();
    bench.wait(Duration::from_secs(59));
    assert_eq!((bench.ladder(), bench.names()), (Vec::new(), Vec::new()));
    bench.wait(Duration::from_secs(2));
    assert_eq!(bench.names(), ["SessionExpired"]);
}

#[test]
fn an_offer_of_the_application_refreshes_too_and_a_422_to_it_is_answered() {
    let mut bench = bench(200);
    let (id, _) = bench.called_with(ABLE);
    bench.wait(Duration::from_secs(90));
    bench.endpoint.reinvite(bench.now, id, sdp(), Glare::Report);
    bench.drain();
    let reinvite = bench.last().clone();
    bench.answer(
        &reinvite,
        "422 Session Interval Too Small",
        "",
        "Min-SE: 400\r\n",
    );
    let reinvite = bench.last().clone();
    assert_eq!(
        bench.header("Session-Expires").as_deref(),
        Some("400;refresher=uac")
    );
    bench.describe(&reinvite, "200 OK", "", "");
    assert_eq!(bench.names(), ["Modified"]);
    bench.ladder();
    bench.wait(Duration::from_secs(199));
    assert_eq!(bench.ladder(), [""; 0]);
    bench.wait(Duration::from_millis(1_400));
    assert_eq!(bench.ladder(), ["> UPDATE"]);
    // An offer that meets a refresh waits for it.
    let update = bench.last().clone();
    bench.endpoint.reinvite(bench.now, id, sdp(), Glare::Report);
    bench.answer(&update, "200 OK", "", "");
    bench.wait(Duration::from_secs(5));
    assert_eq!(bench.names(), [""; 0]);
    assert_eq!(bench.ladder()[..2], ["< 200 UPDATE", "> INVITE (sdp)"]);
}

#[test]
fn without_session_timers_nothing_is_said_and_nothing_expires() {
    let mut bench = Bench::new();
    bench
        .endpoint
        .set_peer(NEIGHBOUR, settings(None, 90, RefreshMethod::Update));
    bench.hear(&request("INVITE", "1", "", "Require: timer\r\n"));
    assert_eq!(bench.last().status(), Some(420));
    bench.talking_with(&format!("{ABLE}Session-Expires: 90\r\n"));
    bench.called_with(&format!("{ABLE}Session-Expires: 90\r\n"));
    for sent in &bench.sent {
        assert_eq!(sent.value(HeaderName::SessionExpires), None);
    }
    bench.wait(FOREVER);
    assert_eq!(bench.names(), [""; 0]);
    assert!(bench.endpoint.poll_timeout().is_none());
}

#[test]
fn a_refresh_that_met_an_offer_says_what_was_agreed_by_it() {
    // Seed 5877 of the long talks: the refresh came again with the description from before the offer.
    let mut bench = bench(200);
    let (_, invite) = bench.called_with("");
    bench.wait(Duration::from_millis(100_400));
    let refresh = bench.last().clone();
    bench.answer(&refresh, "491 Request Pending", "", "");
    bench.inside_with(&invite, "INVITE", 1, "near", "", SDP);
    let Some(Event::Reinvited { request, .. }) = bench.events.pop() else {
        panic!("not asked")
    };
    let agreed = Bytes::from_static(b"v=0\r\no=2\r\n");
    let body = Some(agreed.clone());
    bench
        .endpoint
        .respond(bench.now, request, 200, "OK", Vec::new(), body);
    bench.drain();
    bench.inside(&invite, "ACK", 1, "near");
    bench.wait(Duration::from_millis(4_001));
    let again = bench
        .sent
        .iter()
        .rfind(|sent| sent.method() == Some(Method::Invite));
    let again = again.unwrap();
    assert_eq!((again.cseq().unwrap().number, again.body()), (3, agreed));
}

#[test]
fn an_offer_that_took_the_place_of_a_refresh_and_failed_is_followed_by_one() {
    let mut bench = bench(200);
    let (id, _) = bench.called_with(ABLE);
    bench.wait(Duration::from_millis(100_400));
    let update = bench.last().clone();
    bench.answer(&update, "491 Request Pending", "", "");
    bench.endpoint.reinvite(bench.now, id, sdp(), Glare::Report);
    bench.drain();
    let reinvite = bench.last().clone();
    assert_eq!(reinvite.method(), Some(Method::Invite));
    bench.answer(&reinvite, "488 Not Acceptable Here", "", "");
    bench.ladder();
    bench.wait(Duration::from_millis(10_400));
    assert_eq!(bench.ladder(), ["> UPDATE"]);
}

#[test]
fn a_refresh_whose_way_is_lost_is_tried_again_while_the_session_lasts() {
    // One ICMP error, or one reset connection, says nothing about the other end (RFC 3261 section 8.1.3.1).
    let mut bench = bench(200);
    bench.called_with(ABLE);
    bench.wait(Duration::from_millis(100_400));
    // The address of its Contact, then the way the call came.
    for _ in 0..2 {
        let way = *bench.ways.last().unwrap();
        bench.lose(way);
    }
    bench.ladder();
    assert_eq!(bench.names(), [""; 0]);
    bench.wait(Duration::from_millis(10_200));
    assert_eq!(bench.ladder(), ["> UPDATE"]);
    let update = bench.last().clone();
    let more = "Session-Expires: 200;refresher=uac\r\n";
    bench.answer(&update, "200 OK", "", more);
    bench.ladder();
    // Where it stays lost the session ends when it expires, and not before.
    bench.wait(Duration::from_millis(100_400));
    let mut tries = 0;
    while bench.names() != ["SessionExpired"] {
        let way = *bench.ways.last().unwrap();
        bench.lose(way);
        bench.wait(Duration::from_secs(10));
        tries += 1;
        assert!(tries < 20, "it ends");
    }
    assert!(tries >= 6, "{tries}");
}
