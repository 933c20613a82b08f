//! INVITEs without a way: whoever has heard one may answer it yet, by a connection of its own.
// The peer at 192.0.2.9 takes an INVITE over TCP; its connection breaks, and so does the one that was made anew.
use super::*;
use crate::{
    hop::{Loss, Transport},
    peer::{PeerSettings, RefreshMethod, SessionSettings},
};

fn settings() -> Settings {
    Settings {
        listeners: vec![(Transport::Tcp, US.parse().unwrap())],
        ..Settings::default()
    }
}

/// Where the peer listens.
fn way() -> Hop {
    Hop {
        transport: Transport::Tcp,
        ..hop()
    }
}

/// The connection that the peer makes itself.
fn renewed() -> Hop {
    Hop {
        remote: "192.0.2.9:40999".parse().unwrap(),
        ..way()
    }
}

/// A call that has rung nowhere yet, and its INVITE.
fn calling() -> (Bench, DialogId, Message) {
    let mut bench = Bench::with(settings());
    let id = bench.call_by(way(), "sip:200@pbx.example");
    let invite = bench.last().clone();
    bench.ladder();
    (bench, id, invite)
}

/// A call that was answered, and the re-INVITE that is under way in it.
fn changing() -> (Bench, DialogId, Message) {
    let (mut bench, id, invite) = calling();
    bench.describe(&invite, "200 OK", "x", "Contact: <sip:x@pbx.example>\r\n");
    bench.endpoint.reinvite(bench.now, id, sdp(), Glare::Report);
    bench.drain();
    let reinvite = bench.last().clone();
    bench.ladder();
    bench.names();
    (bench, id, reinvite)
}

/// What a peer whose connection is lost answers comes by another of its own, and so does what it is told.
fn answer(bench: &mut Bench, request: &Message, status: &str) {
    let tag = String::from_utf8_lossy(request.to().unwrap().tag().unwrap_or(b"late")).into_owned();
    let text = bench.answer_text(request, status, &tag, "");
    bench.hear_by(renewed(), &text);
}

/// The same with a description.
fn accept(bench: &mut Bench, request: &Message) {
    bench.body = SDP;
    let kind = "Contact: <sip:x@pbx.example>\r\nContent-Type: application/sdp\r\n";
    let text = bench.answer_text(request, "200 OK", "late", kind);
    bench.body = "";
    bench.hear_by(renewed(), &text);
}

/// Twice: the first time it goes by a new connection.
fn set_adrift(bench: &mut Bench) {
    bench.lose(way());
    bench.lose(way());
    let sent = bench.ladder();
    assert!(sent.len() == 1 && sent[0].ends_with("again"), "{sent:?}");
}

#[test]
fn whoever_rings_after_its_connection_was_lost_is_cancelled() {
    let (mut bench, _, invite) = calling();
    set_adrift(&mut bench);
    assert_eq!(bench.names(), ["NoResponse"]);
    answer(&mut bench, &invite, "180 Ringing");
    assert_eq!(bench.ladder(), ["< 180 INVITE", "> CANCEL"]);
    assert_eq!(bench.ways.last(), Some(&renewed()));
    let cancel = bench.last().clone();
    answer(&mut bench, &cancel, "200 OK");
    answer(&mut bench, &invite, "487 Request Terminated");
    assert_eq!(bench.ladder(), ["< 200 CANCEL", "< 487 INVITE", "> ACK"]);
    assert_eq!(bench.names(), [""; 0]);
    bench.wait(FOREVER);
    assert!(bench.is_empty());
}

#[test]
fn whoever_rings_after_it_was_given_up_and_its_connection_lost_is_cancelled() {
    let (mut bench, id, invite) = calling();
    let reason = "SIP;cause=200;text=\"Call completed elsewhere\"";
    bench.endpoint.cancel(bench.now, id, Some(reason));
    bench.lose(way());
    assert_eq!(
        bench.ladder(),
        [""; 0],
        "by another way it would ring for nobody"
    );
    assert_eq!(bench.names(), ["NoResponse"]);
    answer(&mut bench, &invite, "180 Ringing");
    assert_eq!(bench.ladder(), ["< 180 INVITE", "> CANCEL"]);
    assert_eq!(bench.ways.last(), Some(&renewed()));
    assert_eq!(bench.header("Reason").as_deref(), Some(reason));
    bench.wait(FOREVER);
    assert!(bench.is_empty());
}

#[test]
fn a_2xx_after_its_connection_was_lost_is_acked_and_its_call_ended() {
    let (mut bench, _, invite) = calling();
    set_adrift(&mut bench);
    accept(&mut bench, &invite);
    accept(&mut bench, &invite);
    assert_eq!(
        bench.ladder(),
        [
            "< 200 INVITE (sdp)",
            "> ACK",
            "> BYE",
            "< 200 INVITE (sdp) again",
            "> ACK again"
        ]
    );
    assert_eq!(bench.names(), ["NoResponse"]);
    bench.wait(FOREVER);
    assert!(bench.is_empty());
}

#[test]
fn a_refusal_by_a_connection_of_the_peers_own_is_acked_there() {
    let (mut bench, _, reinvite) = changing();
    set_adrift(&mut bench);
    answer(&mut bench, &reinvite, "488 Not Acceptable Here");
    assert_eq!(bench.ladder(), ["< 488 INVITE", "> ACK"]);
    assert_eq!(bench.ways.last(), Some(&renewed()));
    assert_eq!(bench.names(), ["NotModified"]);
}

#[test]
fn a_refusal_of_what_was_heard_by_both_connections_is_acked_twice() {
    let (mut bench, _, reinvite) = changing();
    bench.lose(way());
    bench.ladder();
    for _ in 0..2 {
        answer(&mut bench, &reinvite, "491 Request Pending");
        bench.wait(Duration::from_millis(60));
    }
    assert_eq!(
        bench.ladder(),
        ["< 491 INVITE", "> ACK", "< 491 INVITE again", "> ACK again"]
    );
    assert_eq!(bench.names(), ["NotModified"]);
}

#[test]
fn the_answer_to_a_change_is_taken_although_its_connection_was_lost() {
    let (mut bench, _, reinvite) = changing();
    set_adrift(&mut bench);
    assert_eq!(bench.names(), [""; 0]);
    accept(&mut bench, &reinvite);
    assert_eq!(bench.ladder(), ["< 200 INVITE (sdp)", "> ACK"]);
    assert_eq!(bench.names(), ["Modified"]);
}

#[test]
fn a_change_that_nobody_answers_after_its_connection_was_lost_ends_no_talk() {
    let (mut bench, id, _) = changing();
    set_adrift(&mut bench);
    // By a connection that stands, no answer would mean that nobody is there (RFC 3261 section 12.2.1.2).
    bench.wait(Duration::from_secs(40));
    let [Event::NotModified { dialog, status, .. }] = bench.events.as_slice() else {
        panic!("{:?}", bench.names())
    };
    assert_eq!((*dialog, *status), (id, 503));
}

#[test]
fn the_late_answer_to_a_change_is_taken_however_its_ways_were_lost() {
    // A reported failure would leave the peer with our new offer and us with the old session.
    let refused = &[Loss::Unreachable][..];
    for losses in [refused, &[Loss::Broken, Loss::Unreachable]] {
        let (mut bench, _, reinvite) = changing();
        for loss in losses {
            bench.endpoint.handle_loss(bench.now, way(), *loss);
            bench.drain();
        }
        assert_eq!(bench.names(), [""; 0]);
        bench.ladder();
        accept(&mut bench, &reinvite);
        assert_eq!(bench.ladder(), ["< 200 INVITE (sdp)", "> ACK"]);
        assert_eq!(bench.names(), ["Modified"]);
    }
}

#[test]
fn a_call_whose_new_connection_is_refused_may_have_been_heard_by_the_old_one() {
    for status in ["180 Ringing", "200 OK"] {
        let (mut bench, _, invite) = calling();
        bench.lose(way());
        bench.miss(way());
        assert_eq!(bench.names(), ["NoResponse"]);
        bench.ladder();
        answer(&mut bench, &invite, status);
        let ladder = bench.ladder();
        let expected: &[&str] = match status {
            "180 Ringing" => &["< 180 INVITE", "> CANCEL"],
            _ => &["< 200 INVITE", "> ACK", "> BYE"],
        };
        assert_eq!(ladder, expected);
        bench.wait(FOREVER);
        assert!(bench.is_empty());
    }
}

#[test]
fn a_refresh_that_was_given_up_and_rings_late_is_cancelled() {
    let mut bench = Bench::with(settings());
    let session = SessionSettings {
        interval: Some(Duration::from_secs(300)),
        min: Duration::from_secs(90),
        method: RefreshMethod::Invite,
    };
    let peer = PeerSettings {
        session,
        ..PeerSettings::default()
    };
    bench.endpoint.set_peer(NEIGHBOUR, peer);
    bench.call_by(way(), "sip:200@pbx.example");
    let invite = bench.last().clone();
    let timed =
        "Contact: <sip:x@pbx.example>\r\nRequire: timer\r\nSession-Expires: 300;refresher=uac\r\n";
    bench.describe(&invite, "200 OK", "x", timed);
    bench.wait(Duration::from_secs(150));
    let refresh = bench.last().clone();
    assert_eq!(refresh.method(), Some(Method::Invite));
    bench.ladder();
    set_adrift(&mut bench);
    answer(&mut bench, &refresh, "180 Ringing");
    assert_eq!(bench.ladder(), ["< 180 INVITE", "> CANCEL"]);
}

#[test]
fn the_2xx_of_a_change_is_acked_after_our_bye() {
    let (mut bench, id, reinvite) = changing();
    bench.endpoint.bye(bench.now, id, None);
    bench.drain();
    bench.ladder();
    bench.endpoint.handle_closed(bench.now, way());
    bench.drain();
    accept(&mut bench, &reinvite);
    assert_eq!(bench.ladder(), ["< 200 INVITE (sdp)", "> ACK"]);
    bench.wait(FOREVER);
    assert!(bench.is_empty());
}

#[test]
fn a_cancel_whose_connection_was_lost_is_sent_once_by_a_new_one() {
    let (mut bench, id, invite) = calling();
    bench.answer(&invite, "180 Ringing", "x", "");
    bench.endpoint.cancel(bench.now, id, None);
    bench.drain();
    let branch_of = |bench: &Bench| bench.last().via().unwrap().branch().map(<[u8]>::to_vec);
    let branch = branch_of(&bench);
    bench.ladder();
    bench.lose(way());
    assert_eq!(bench.ladder(), ["> CANCEL again"]);
    assert_eq!(branch_of(&bench), branch);
    bench.lose(way());
    assert_eq!(bench.ladder(), [""; 0], "once");
}

#[test]
fn a_change_that_rings_long_after_its_way_was_lost_is_cancelled() {
    let (mut bench, _, reinvite) = changing();
    bench.wait(Duration::from_secs(20));
    set_adrift(&mut bench);
    bench.wait(Duration::from_secs(13));
    answer(&mut bench, &reinvite, "180 Ringing");
    bench.wait(Duration::from_secs(60));
    let ladder = bench.ladder();
    assert!(ladder.contains(&"> CANCEL".to_owned()), "{ladder:?}");
}
