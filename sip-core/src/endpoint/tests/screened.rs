//! New INVITEs that the application turns away before anything is kept of them.
// A flood: each INVITE is another call, and nobody acknowledges anything.
use super::*;

fn invite(number: u32, to_tag: &str) -> Bytes {
    Bytes::from(format!(
        "INVITE sip:100@{US} SIP/2.0\r\nVia: SIP/2.0/UDP 192.0.2.9:5060;rport;branch=z9hG4bKf{number}\r\nMax-Forwards: 70\r\n\
         From: <sip:a@192.0.2.9>;tag=a{number}\r\nTo: <sip:100@{US}>{to_tag}\r\nCall-ID: flood{number}\r\nCSeq: 1 INVITE\r\n\
         Contact: <sip:192.0.2.9>\r\nContent-Length: 0\r\n\r\n"
    ))
}

fn handed_out(endpoint: &mut Endpoint, now: Instant, invite: Bytes) -> NewInvite {
    match endpoint.screen(now, NEIGHBOUR, hop(), invite) {
        Screened::Invite(invite) => *invite,
        other => panic!("{other:?}"),
    }
}

fn drained(endpoint: &mut Endpoint) -> Vec<String> {
    std::iter::from_fn(|| endpoint.poll_transmit())
        .map(|transmit| String::from_utf8_lossy(&transmit.payload).into_owned())
        .collect()
}

#[test]
fn what_is_turned_away_gets_one_answer_and_leaves_nothing() {
    let mut bench = Bench::new();
    let now = bench.now;
    let endpoint = &mut bench.endpoint;
    for number in 0..1_000 {
        let screened = handed_out(endpoint, now, invite(number, ""));
        endpoint.turn_away(now, &screened, 7);
    }
    let answers = drained(endpoint);
    assert_eq!(answers.len(), 1_000);
    for answer in &answers {
        assert!(
            answer.starts_with("SIP/2.0 503 Service Unavailable\r\n"),
            "{answer}"
        );
        assert!(answer.contains("\r\nRetry-After: 7\r\n"), "{answer}");
    }
    assert_eq!(
        (endpoint.transaction_count(), endpoint.dialog_count()),
        (0, 0)
    );
    assert!(endpoint.poll_event().is_none() && endpoint.poll_milestone().is_none());
    assert_eq!(endpoint.poll_timeout(), None);
}

#[test]
fn a_repetition_of_what_was_turned_away_gets_the_same_answer_and_is_not_judged_anew() {
    let mut bench = Bench::new();
    let now = bench.now;
    let endpoint = &mut bench.endpoint;
    let first = handed_out(endpoint, now, invite(0, ""));
    endpoint.turn_away(now, &first, 7);
    let answer = drained(endpoint);
    for elapsed_ms in [0, 500, 31_500] {
        let at = now + Duration::from_millis(elapsed_ms);
        let screened = endpoint.screen(at, NEIGHBOUR, hop(), invite(0, ""));
        assert!(matches!(screened, Screened::Shed), "{screened:?}");
        assert_eq!(drained(endpoint), answer, "after {elapsed_ms} ms");
        // The ACK of the refusal has its branch (RFC 3261 section 17.1.1.3).
        let ack = String::from_utf8_lossy(&invite(0, ";tag=x")).replace("INVITE", "ACK");
        let screened = endpoint.screen(at, NEIGHBOUR, hop(), Bytes::from(ack));
        assert!(matches!(screened, Screened::Shed), "{screened:?}");
        assert!(drained(endpoint).is_empty());
    }
    // Another call, another peer's call of the same branch, and what comes after every timer of the caller are new.
    let later = now + Duration::from_secs(33);
    for (at, peer, number) in [
        (now, NEIGHBOUR, 1),
        (now, PeerId(77), 0),
        (later, NEIGHBOUR, 0),
    ] {
        let screened = endpoint.screen(at, peer, hop(), invite(number, ""));
        assert!(matches!(screened, Screened::Invite(_)), "{peer:?} {number}");
    }
    assert_eq!(endpoint.transaction_count(), 0);
}

#[test]
fn what_is_taken_in_is_a_call_and_its_repetition_is_no_new_one() {
    let mut bench = Bench::new();
    let now = bench.now;
    let endpoint = &mut bench.endpoint;
    let screened = handed_out(endpoint, now, invite(1, ""));
    endpoint.take_in(now, screened);
    assert!(matches!(endpoint.poll_event(), Some(Event::Invited { .. })));
    assert!(drained(endpoint)[0].starts_with("SIP/2.0 100"));
    let again = endpoint.screen(now, NEIGHBOUR, hop(), invite(1, ""));
    assert!(matches!(again, Screened::Taken), "{again:?}");
    assert!(
        drained(endpoint)[0].starts_with("SIP/2.0 100"),
        "answered as before"
    );
    assert_eq!(endpoint.dialog_count(), 1);
}

#[test]
fn empty_lines_before_it_lead_no_invite_past_the_door() {
    // A sender may begin a datagram with empty lines (RFC 3261 section 7.5); bare line feeds are read too, as far as they can be.
    let mut bench = Bench::new();
    let now = bench.now;
    let endpoint = &mut bench.endpoint;
    let led = |led_by: &str, number, method: &str| {
        let text = String::from_utf8_lossy(&invite(number, "")).replace("INVITE", method);
        Bytes::from(format!("{led_by}{text}"))
    };
    for (number, led_by) in (0..).zip(["\r\n", "\r\n\r\n", "\n", "\r", "\r\r\n\n"]) {
        let first = handed_out(endpoint, now, led(led_by, number, "INVITE"));
        endpoint.turn_away(now, &first, 7);
        for method in ["INVITE", "ACK"] {
            let again = endpoint.screen(now, NEIGHBOUR, hop(), led(led_by, number, method));
            assert!(matches!(again, Screened::Shed), "{led_by:?} {method}");
        }
    }
    assert_eq!(
        (endpoint.transaction_count(), endpoint.dialog_count()),
        (0, 0)
    );
}

#[test]
fn what_belongs_to_a_dialog_is_never_handed_out() {
    let mut bench = Bench::new();
    let now = bench.now;
    let endpoint = &mut bench.endpoint;
    let inside = endpoint.screen(now, NEIGHBOUR, hop(), invite(1, ";tag=x"));
    assert!(matches!(inside, Screened::Taken), "{inside:?}");
    assert!(drained(endpoint)[0].starts_with("SIP/2.0 481"));
    for text in [
        "INVITE nonsense\r\n\r\n",
        "BYE sip:a@b SIP/2.0\r\n\r\n",
        "\r\n\r\n",
    ] {
        let octets = Bytes::copy_from_slice(text.as_bytes());
        let screened = endpoint.screen(now, NEIGHBOUR, hop(), octets);
        assert!(matches!(screened, Screened::Taken), "{screened:?}");
    }
}
