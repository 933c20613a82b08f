//! INVITEs without a way: whoever has heard one may answer it yet, by a connection of its own.
// The peer at 192.0.2.9 takes an INVITE over TCP; its connection breaks, and so does the one that was made anew.
use super::*;
use crate::hop::Transport;

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
    bench.answer(&invite, "180 Ringing", "late", "");
    assert_eq!(bench.ladder(), ["< 180 INVITE", "> CANCEL"]);
    let cancel = bench.last().clone();
    bench.answer(&cancel, "200 OK", "late", "");
    bench.answer(&invite, "487 Request Terminated", "late", "");
    assert_eq!(bench.ladder(), ["< 200 CANCEL", "< 487 INVITE", "> ACK"]);
    assert_eq!(bench.names(), [""; 0]);
    bench.wait(FOREVER);
    assert!(bench.is_empty());
}

#[test]
fn whoever_rings_after_it_was_given_up_and_its_connection_lost_is_cancelled() {
    let (mut bench, id, invite) = calling();
    bench.endpoint.cancel(bench.now, id, None);
    bench.lose(way());
    assert_eq!(
        bench.ladder(),
        [""; 0],
        "by another way it would ring for nobody"
    );
    assert_eq!(bench.names(), ["NoResponse"]);
    bench.answer(&invite, "180 Ringing", "late", "");
    assert_eq!(bench.ladder(), ["< 180 INVITE", "> CANCEL"]);
    bench.wait(FOREVER);
    assert!(bench.is_empty());
}

#[test]
fn a_2xx_after_its_connection_was_lost_is_acked_and_its_call_ended() {
    let (mut bench, _, invite) = calling();
    set_adrift(&mut bench);
    bench.describe(&invite, "200 OK", "late", "");
    bench.describe(&invite, "200 OK", "late", "");
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
    let refusal = bench.answer_text(&reinvite, "488 Not Acceptable Here", "x", "");
    bench.hear_by(renewed(), &refusal);
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
        bench.answer(&reinvite, "491 Request Pending", "x", "");
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
    bench.describe(&reinvite, "200 OK", "x", "");
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
fn of_a_change_that_finds_nobody_the_application_learns_at_once() {
    let (mut bench, _, reinvite) = changing();
    bench.miss(way());
    assert_eq!(bench.names(), ["NotModified"]);
    bench.describe(&reinvite, "200 OK", "x", "");
    assert_eq!(bench.ladder(), ["< 200 INVITE (sdp)", "> ACK"]);
    assert_eq!(bench.names(), [""; 0]);
}

#[test]
fn the_2xx_of_a_change_is_acked_after_our_bye() {
    let (mut bench, id, reinvite) = changing();
    bench.endpoint.bye(bench.now, id, None);
    bench.drain();
    bench.ladder();
    bench.endpoint.handle_closed(bench.now, way());
    bench.drain();
    bench.describe(&reinvite, "200 OK", "x", "");
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
    bench.answer(&reinvite, "180 Ringing", "x", "");
    bench.wait(Duration::from_secs(60));
    let ladder = bench.ladder();
    assert!(ladder.contains(&"> CANCEL".to_owned()), "{ladder:?}");
}
