//! What one endpoint holds, and what it does when that is enough.
// The peer at 192.0.2.9 sends more than there is room for.
use super::*;

#[test]
fn over_its_cap_a_new_call_gets_503_and_a_running_one_is_served() {
    let mut bench = Bench::with(Settings {
        max_dialogs: 1,
        ..Settings::default()
    });
    let id = bench.invited();
    bench
        .endpoint
        .accept(bench.now, id, Vec::new(), Bytes::from_static(b"v=0\r\n"));
    bench.drain();
    let tag = bench.tag();
    bench.hear(&request("INVITE", "2", "", "").replace("Call-ID: c1", "Call-ID: c2"));
    assert_eq!(bench.last().status(), Some(503));
    bench.hear(&request("ACK", "3", &tag, ""));
    bench.hear(&request("BYE", "4", &tag, ""));
    assert_eq!(bench.last().status(), Some(200));
}

#[test]
fn whom_a_full_house_refuses_together_is_not_asked_back_together() {
    let mut bench = Bench::with(Settings {
        max_dialogs: 0,
        ..Settings::default()
    });
    let mut waits_s = std::collections::BTreeSet::new();
    for number in 0..200 {
        let other = format!("Call-ID: c{number}");
        bench.hear(&request("INVITE", &number.to_string(), "", "").replace("Call-ID: c1", &other));
        assert_eq!(bench.last().status(), Some(503));
        let wait_s = bench.last().text(HeaderName::RetryAfter).unwrap();
        waits_s.insert(wait_s.parse::<u64>().unwrap());
    }
    assert!(waits_s.into_iter().eq(5..=15));
}

#[test]
fn a_dialog_keeps_no_more_than_32_kib_of_its_invite() {
    let mut bench = Bench::new();
    let sized = |bytes: usize| {
        let text = |more: usize| {
            let lines = format!("Subject: {}\r\nX-Filler: ", "s".repeat(5_000));
            request(
                "INVITE",
                "1",
                "",
                &format!("{lines}{}\r\n", "f".repeat(more)),
            )
        };
        text(bytes - text(0).len())
    };
    bench.hear(&sized(10 * 1024 + 1));
    assert_eq!(bench.last().status(), Some(513));
    assert!(bench.is_empty() && bench.names().is_empty());
    bench.hear(&sized(10 * 1024));
    assert_eq!(bench.last().status(), Some(100));
    assert_eq!(bench.names(), ["Invited"]);
    assert!(bench.endpoint.held_bytes <= 32 * 1024);
}

#[test]
fn what_is_no_message_is_answered_or_dropped_and_counted_for_its_peer() {
    let mut bench = Bench::new();
    let broken = request("INVITE", "1", "", "").replace("Max-Forwards: 70", "Max-Forwards: 700");
    for _ in 0..300 {
        bench.hear(&broken);
        bench.hear("SIP/2.0 200\r\n\r\n");
        bench.hear("\u{16}\u{3}\u{1}");
    }
    bench.hear("\r\n\r\n");
    let statuses = bench.sent.iter().map(Message::status);
    assert!(statuses.eq([Some(400)].repeat(300)));
    let expected = Malformed {
        answered: 300,
        dropped: 600,
    };
    assert_eq!(bench.endpoint.malformed(NEIGHBOUR), expected);
    assert_eq!(bench.endpoint.malformed(PeerId(1)), Malformed::default());
    assert!(bench.is_empty());
    bench.invited();
}

#[test]
fn what_all_transactions_hold_together_is_capped() {
    let mut bench = Bench::new();
    bench.endpoint.max_held_bytes = 100_000;
    let long = format!("Subject: {}\r\n", "s".repeat(8_000));
    let statuses: Vec<Option<u16>> = (0..20)
        .map(|number| {
            let text = request("OPTIONS", &number.to_string(), "", &long);
            bench.hear(&text.replace("Call-ID: c1", &format!("Call-ID: c{number}")));
            let asked = bench.events.pop();
            if let Some(Event::Requested { request, .. }) = asked {
                bench
                    .endpoint
                    .respond(bench.now, request, 200, "OK", Vec::new(), None);
                bench.drain();
            }
            bench.last().status()
        })
        .collect();
    let served = statuses.iter().take_while(|status| **status == Some(200));
    assert!((4..12).contains(&served.count()), "{statuses:?}");
    assert_eq!(bench.last().status(), Some(503));
    bench.wait(FOREVER);
    assert_eq!(bench.endpoint.held_bytes, 0);
    assert!(bench.is_empty());
}
