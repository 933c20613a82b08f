//! What one peer can do to the calls of another: nothing.
// The peer of the call is 0; peer 1 has seen every tag, branch and Call-ID, and sends from the same address.
use super::*;

const STRANGER: PeerId = PeerId(1);

#[test]
fn a_bye_of_another_peer_gets_481_and_the_call_goes_on() {
    let mut bench = Bench::new();
    let id = bench.invited();
    bench
        .endpoint
        .accept(bench.now, id, Vec::new(), Bytes::from_static(b"v=0\r\n"));
    bench.drain();
    let tag = bench.tag();
    bench.hear_from(STRANGER, &request("ACK", "ack", &tag, ""));
    assert_eq!(bench.names(), Vec::<&str>::new());
    bench.hear(&request("ACK", "ack", &tag, ""));
    assert_eq!(bench.names(), ["Acked"]);
    for method in ["BYE", "INVITE", "OPTIONS"] {
        bench.hear_from(STRANGER, &request(method, method, &tag, ""));
        assert_eq!(bench.last().status(), Some(481), "{method}");
    }
    assert_eq!((bench.names(), bench.endpoint.dialog_count()), (vec![], 1));
    bench.hear(&request("BYE", "BYE", &tag, ""));
    assert_eq!(bench.last().status(), Some(200));
    assert_eq!(bench.names(), ["Ended"]);
}

#[test]
fn a_cancel_of_another_peer_gets_481_and_the_invite_waits_on() {
    let mut bench = Bench::new();
    bench.invited();
    bench.hear_from(STRANGER, &request("CANCEL", "1", "", ""));
    assert_eq!(bench.last().status(), Some(481));
    assert_eq!(bench.names(), Vec::<&str>::new());
    bench.hear(&request("CANCEL", "1", "", ""));
    assert_eq!(bench.names(), ["Cancelled"]);
}

#[test]
fn an_invite_of_another_peer_is_neither_a_repetition_nor_a_merged_copy() {
    let mut bench = Bench::new();
    bench.invited();
    bench.hear_from(STRANGER, &request("INVITE", "1", "", ""));
    assert_eq!(bench.names(), ["Invited"]);
    bench.hear_from(STRANGER, &request("INVITE", "2", "", ""));
    assert_eq!(bench.last().status(), Some(482));
}

#[test]
fn an_answer_of_another_peer_is_not_heard() {
    let mut bench = Bench::new();
    bench.call();
    let invite = bench.last().clone();
    let answer = answer_to(&invite, "200 OK", "far");
    bench.hear_from(STRANGER, &answer);
    assert_eq!((bench.names(), bench.sent.len()), (vec![], 1));
    bench.hear(&answer);
    assert_eq!(bench.names(), ["Accepted"]);
}

pub(super) fn answer_to(request: &Message, status: &str, tag: &str) -> String {
    let value = |name| String::from_utf8_lossy(request.value(name).unwrap()).into_owned();
    format!(
        "SIP/2.0 {status}\r\nVia: {}\r\nFrom: {}\r\nTo: {};tag={tag}\r\nCall-ID: {}\r\nCSeq: {}\r\nContent-Length: 0\r\n\r\n",
        value(HeaderName::Via),
        value(HeaderName::From),
        value(HeaderName::To),
        value(HeaderName::CallId),
        value(HeaderName::CSeq)
    )
}
