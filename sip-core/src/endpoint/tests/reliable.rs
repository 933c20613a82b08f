//! Reliable provisional answers and their PRACKs, on both sides.
// The peer at 192.0.2.9 knows 100rel, and its PRACKs are late, lost, or for something else.
use super::*;
use crate::peer::{PeerSettings, Reliable};

const ABLE: &str = "Supported: 100rel\r\n";

fn progress() -> Ring {
    Ring {
        body: Some(sdp()),
        delivery: Delivery::Reliable,
        ..Ring::plain(183, "Session Progress")
    }
}

fn rack(bench: &Bench) -> String {
    format!("RAck: {} 1 INVITE\r\n", bench.header("RSeq").unwrap())
}

#[test]
fn a_reliable_answer_is_repeated_until_its_prack_and_the_2xx_waits() {
    let mut bench = Bench::new();
    let id = bench.invited_with(ABLE, SDP);
    bench.endpoint.ring(bench.now, id, progress());
    bench.drain();
    let tag = bench.tag();
    let rack = rack(&bench);
    assert_eq!(bench.header("Require").as_deref(), Some("100rel"));
    bench.endpoint.accept(bench.now, id, Vec::new(), sdp());
    bench.drain();
    bench.wait(Duration::from_millis(1600));
    bench.hear(&within("PRACK", 2, &tag, "RAck: 1 1 INVITE\r\n", ""));
    bench.hear(&within("PRACK", 3, &tag, &rack, ""));
    bench.hear(&within("PRACK", 3, &tag, &rack, ""));
    bench.hear(&within("PRACK", 4, &tag, &rack, ""));
    assert_eq!(
        bench.ladder(),
        [
            "< INVITE (sdp)",
            "> 100 INVITE",
            "> 183 INVITE (sdp)",
            "> 183 INVITE (sdp) again",
            "> 183 INVITE (sdp) again",
            "< PRACK",
            "> 481 PRACK",
            "< PRACK",
            "> 200 PRACK",
            "> 200 INVITE (sdp)",
            "< PRACK again",
            "> 200 PRACK again",
            "< PRACK",
            "> 481 PRACK",
        ]
    );
    assert_eq!(bench.names(), ["Pracked"]);
    bench.hear(&within("ACK", 1, &tag, "", ""));
    bench.hear(&within("BYE", 5, &tag, "", ""));
    assert_eq!(bench.names(), ["Acked", "Ended"]);
    bench.wait(FOREVER);
    assert!(bench.is_empty());
}

#[test]
fn the_next_reliable_answer_waits_for_the_prack_of_the_one_before() {
    let mut bench = Bench::new();
    let id = bench.invited_with("Require: 100rel\r\n", SDP);
    // The caller requires it, so the application need not ask.
    bench
        .endpoint
        .ring(bench.now, id, Ring::plain(180, "Ringing"));
    bench.endpoint.ring(bench.now, id, progress());
    bench.drain();
    let tag = bench.tag();
    let first = bench.header("RSeq").unwrap().parse::<u32>().unwrap();
    let named = rack(&bench);
    bench.ladder();
    bench.hear(&within("PRACK", 2, &tag, &named, ""));
    assert_eq!(
        bench.ladder(),
        ["< PRACK", "> 200 PRACK", "> 183 INVITE (sdp)"]
    );
    assert_eq!(bench.header("RSeq"), Some((first + 1).to_string()));
    // An answer without description holds no 2xx back, and its late PRACK is known.
    let named = rack(&bench);
    bench.hear(&within("PRACK", 3, &tag, &named, ""));
    bench
        .endpoint
        .ring(bench.now, id, Ring::plain(180, "Ringing"));
    bench.drain();
    let named = rack(&bench);
    bench
        .endpoint
        .accept(bench.now, id, Vec::new(), Bytes::new());
    bench.drain();
    bench.ladder();
    bench.hear(&within("PRACK", 4, &tag, &named, ""));
    assert_eq!(bench.ladder(), ["< PRACK", "> 200 PRACK"]);
    bench.wait(Duration::from_secs(2));
    assert_eq!(
        bench.ladder(),
        vec!["> 200 INVITE again"; 2],
        "the 180 is not repeated beside the 2xx"
    );
}

#[test]
fn a_prack_that_never_comes_is_reported_and_nothing_is_left() {
    let mut bench = Bench::new();
    let id = bench.invited_with(ABLE, SDP);
    bench.endpoint.ring(bench.now, id, progress());
    bench.endpoint.accept(bench.now, id, Vec::new(), sdp());
    bench.drain();
    bench.ladder();
    // RFC 3262 section 3: at 0.5, 1.5, 3.5, 7.5, 15.5, 31.5 s, until 32 s.
    bench.wait(Duration::from_secs(33));
    assert_eq!(bench.ladder(), vec!["> 183 INVITE (sdp) again"; 6]);
    assert_eq!(bench.names(), ["PrackMissing"]);
    bench
        .endpoint
        .reject(bench.now, id, 504, "Server Time-out", Vec::new());
    bench.drain();
    assert_eq!(bench.last().status(), Some(504));
    bench.wait(FOREVER);
    assert!(bench.is_empty());
}

#[test]
fn a_failure_does_not_wait_for_a_prack() {
    let mut bench = Bench::new();
    let id = bench.invited_with(ABLE, SDP);
    bench.endpoint.ring(bench.now, id, progress());
    bench
        .endpoint
        .reject(bench.now, id, 486, "Busy Here", Vec::new());
    bench.drain();
    assert_eq!(bench.last().status(), Some(486));
    bench.hear(&request("ACK", "1", &bench.tag(), ""));
    bench.ladder();
    bench.wait(Duration::from_secs(10));
    assert_eq!(bench.ladder(), [""; 0]);
}

#[test]
fn a_delayed_offer_is_made_in_a_reliable_answer_and_answered_by_its_prack() {
    let mut bench = Bench::new();
    let id = bench.invited_with(ABLE, "");
    bench.endpoint.ring(bench.now, id, progress());
    bench.drain();
    let (tag, named) = (bench.tag(), rack(&bench));
    bench.hear(&within("PRACK", 2, &tag, &named, SDP));
    let Some(Event::Pracked { body, .. }) = bench.events.pop() else {
        panic!("not told")
    };
    assert_eq!(body, Some(sdp()));
}

#[test]
fn an_offer_in_a_prack_is_asked_and_the_2xx_waits_for_its_answer() {
    let mut bench = Bench::new();
    let id = bench.invited_with(ABLE, SDP);
    bench.endpoint.ring(bench.now, id, progress());
    bench.drain();
    let (tag, named) = (bench.tag(), rack(&bench));
    bench.ladder();
    bench
        .endpoint
        .accept(bench.now, id, Vec::new(), Bytes::new());
    bench.hear(&within("PRACK", 2, &tag, &named, SDP));
    let Some(Event::Updated { request, .. }) = bench.events.pop() else {
        panic!("not asked")
    };
    assert_eq!(bench.ladder(), ["< PRACK (sdp)"]);
    bench
        .endpoint
        .respond(bench.now, request, 200, "OK", Vec::new(), Some(sdp()));
    bench.drain();
    assert_eq!(bench.ladder(), ["> 200 PRACK (sdp)", "> 200 INVITE"]);
}

#[test]
fn a_caller_that_does_not_know_prack_gets_its_answers_once() {
    let mut bench = Bench::new();
    let id = bench.invited_with("", SDP);
    bench.endpoint.ring(bench.now, id, progress());
    bench.endpoint.ring(bench.now, id, progress());
    bench.drain();
    assert_eq!(bench.header("RSeq"), None);
    bench.wait(Duration::from_secs(10));
    assert_eq!(
        bench.ladder()[2..],
        ["> 183 INVITE (sdp)", "> 183 INVITE (sdp)"]
    );
}

#[test]
fn settings_of_a_peer_forbid_or_demand_reliable_answers() {
    let mut bench = Bench::new();
    let mut settings = PeerSettings {
        reliable: Reliable::Off,
        ..PeerSettings::default()
    };
    bench.endpoint.set_peer(NEIGHBOUR, settings.clone());
    bench.hear(&request("INVITE", "1", "", "Require: 100rel\r\n"));
    assert_eq!(bench.last().status(), Some(420));
    assert_eq!(bench.header("Unsupported").as_deref(), Some("100rel"));
    bench.call();
    assert_eq!(
        bench.header("Supported").as_deref(),
        Some("timer, replaces, norefersub")
    );

    settings.reliable = Reliable::Required;
    bench.endpoint.set_peer(NEIGHBOUR, settings);
    bench.hear(&request("INVITE", "2", "", "").replace("Call-ID: c1", "Call-ID: c2"));
    assert_eq!(bench.last().status(), Some(421));
    assert_eq!(bench.header("Require").as_deref(), Some("100rel"));
    bench.call();
    assert_eq!(bench.header("Require").as_deref(), Some("100rel"));
}

#[test]
fn each_reliable_answer_of_a_callee_is_pracked_once_in_its_order() {
    let mut bench = Bench::new();
    bench.call();
    let invite = bench.last().clone();
    let reliable = |rseq: u32| {
        format!("Contact: <sip:200@192.0.2.9:5071>\r\nRequire: 100rel\r\nRSeq: {rseq}\r\n")
    };
    bench.answer(&invite, "180 Ringing", "near", &reliable(7));
    assert_eq!(bench.header("RAck").as_deref(), Some("7 1 INVITE"));
    let prack = bench.last().clone();
    assert_eq!(prack.cseq().unwrap().number, 2);
    assert_eq!(
        prack.request_uri().unwrap().as_str(),
        "sip:200@192.0.2.9:5071"
    );
    bench.answer(&prack, "200 OK", "", "");
    bench.answer(&invite, "180 Ringing", "near", &reliable(7));
    bench.answer(&invite, "183 Gap", "near", &reliable(9));
    bench.describe(&invite, "183 Session Progress", "near", &reliable(8));
    bench.answer(&invite, "180 Ringing", "other", &reliable(3));
    assert_eq!(bench.header("RAck").as_deref(), Some("3 1 INVITE"));
    assert_eq!(
        bench.ladder(),
        [
            "> INVITE (sdp)",
            "> PRACK",
            "< 180 INVITE",
            "< 200 PRACK",
            "< 180 INVITE again",
            "< 183 INVITE again",
            "> PRACK",
            "< 183 INVITE (sdp)",
            "> PRACK",
            "< 180 INVITE",
        ]
    );
    assert_eq!(bench.names(), ["Rang", "Rang", "Rang"]);
    // The dialog that was early goes on with its numbering; the other fork's end is above its PRACK.
    bench.answer(&invite, "200 OK", "near", "");
    assert_eq!(bench.last().cseq().unwrap().number, 1, "the ACK");
    bench.answer(&invite, "200 OK", "other", "");
    let bye = bench.last().clone();
    assert_eq!(bye.method(), Some(Method::Bye));
    assert!(bye.cseq().unwrap().number > 3);
    bench.inside(&invite, "BYE", 1, "near");
    bench.wait(FOREVER);
    assert!(bench.is_empty());
}

#[test]
fn a_cancelled_call_pracks_and_tells_no_ringing() {
    let mut bench = Bench::new();
    let id = bench.call();
    let invite = bench.last().clone();
    bench.endpoint.cancel(bench.now, id, None);
    bench.answer(
        &invite,
        "180 Ringing",
        "near",
        "Require: 100rel\r\nRSeq: 1\r\n",
    );
    assert_eq!(
        bench.ladder(),
        ["> INVITE (sdp)", "> PRACK", "< 180 INVITE", "> CANCEL"]
    );
    assert_eq!(bench.names(), [""; 0]);
    bench.wait(FOREVER);
    assert_eq!(bench.names(), ["NoResponse"]);
    assert!(bench.is_empty());
}
