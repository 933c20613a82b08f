//! An INVITE that comes in and waits for its answer.
// The caller at 192.0.2.9 is patient, or says so.
use super::*;

#[test]
fn who_rings_long_says_so_every_minute() {
    // RFC 3261 section 13.3.1.1: else a proxy's timer C cancels the call after three.
    let mut bench = Bench::new();
    let id = bench.invited();
    bench.wait(Duration::from_secs(65));
    assert_eq!(bench.ladder(), ["< INVITE", "> 100 INVITE"]);
    bench
        .endpoint
        .ring(bench.now, id, Ring::plain(180, "Ringing"));
    bench.drain();
    bench.wait(Duration::from_secs(125));
    assert_eq!(
        bench.ladder(),
        ["> 180 INVITE", "> 180 INVITE again", "> 180 INVITE again"]
    );
    bench
        .endpoint
        .reject(bench.now, id, 480, "Temporarily Unavailable", Vec::new());
    bench.drain();
    bench.hear(&request("ACK", "1", &bench.tag(), ""));
    bench.wait(FOREVER);
    assert_eq!(bench.ladder(), ["> 480 INVITE", "< ACK"]);
    assert!(bench.is_empty());
}

#[test]
fn a_100_carries_the_timestamp_of_its_invite() {
    // RFC 3261 section 8.2.6.1.
    let mut bench = Bench::new();
    bench.hear(&request("INVITE", "1", "", "Timestamp: 54.21\r\n"));
    let trying = bench.last();
    assert_eq!(trying.status(), Some(100));
    assert_eq!(trying.named("timestamp").collect::<Vec<_>>(), ["54.21"]);
}

#[test]
fn a_method_nobody_knows_is_no_repetition_of_an_invite() {
    let mut bench = Bench::new();
    bench.invited();
    bench.ladder();
    bench.hear(&request("I", "1", "", ""));
    assert_eq!(bench.ladder(), ["< other", "> 501 other"]);
}

/// A caller whose first INVITE was answered by `answer`, which it never heard: its last copy comes after 64*T1 and is no new call.
#[track_caller]
fn is_no_new_call(answer: impl FnOnce(&mut Bench, DialogId)) {
    let mut bench = Bench::new();
    let id = bench.invited();
    answer(&mut bench, id);
    bench.wait(Duration::from_millis(32_100));
    bench.ladder();
    bench.names();
    bench.hear(&request("INVITE", "1", "", ""));
    let heard = bench.names();
    assert!(!heard.contains(&"Invited"), "{heard:?}");
    assert!(!bench.ladder().contains(&"> 100 INVITE".to_owned()));
}

#[test]
fn a_copy_of_an_accepted_invite_that_was_long_under_way_is_no_new_call() {
    is_no_new_call(|bench, id| bench.endpoint.accept(bench.now, id, Vec::new(), sdp()));
}

#[test]
fn a_copy_of_a_refused_invite_that_was_long_under_way_is_no_new_call() {
    is_no_new_call(|bench, id| {
        bench
            .endpoint
            .reject(bench.now, id, 486, "Busy Here", Vec::new());
    });
}
