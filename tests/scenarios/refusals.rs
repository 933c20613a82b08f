//! What is refused before a call begins, and what a peer may ask without one.

use exchange::Limits;
use tests::{City, Plan, carrier::Dial, line::Extra, plan::NUMBER};

/// How a call ends that is refused at once.
fn refused(plan: Plan, dial: Dial) -> String {
    let mut city = City::new(plan);
    let call = city.dial(dial);
    city.finish();
    assert!(city.pbx.calls.is_empty() && city.media_sent.is_empty());
    city.caller(call).end_of_call().to_owned()
}

#[test]
fn a_number_that_is_not_the_citys_is_not_found() {
    assert_eq!(refused(Plan::announce(), Dial::to("0783339999")), "404");
    assert_eq!(refused(Plan::announce(), Dial::to("reception")), "404");
}

#[test]
fn an_offer_that_cannot_be_answered_is_not_acceptable() {
    let dial = |payload_types: &[u8]| Dial {
        payload_types: payload_types.to_vec(),
        ..Dial::to(NUMBER)
    };
    assert_eq!(
        refused(Plan::announce(), dial(&[96])),
        "488",
        "no codec of ours"
    );
    for media in [
        "198.51.100.7:4000",
        "224.0.0.1:4000",
        "127.0.0.1:4000",
        "127.0.0.1:5060",
    ] {
        let dial = Dial {
            media: Some(media.parse().unwrap()),
            ..Dial::to(NUMBER)
        };
        assert_eq!(
            refused(Plan::announce(), dial),
            "488",
            "media at {media}, T-15"
        );
    }
}

#[test]
fn an_offer_of_whoever_will_not_listen_is_not_acceptable() {
    // Its caller could not hear the notice, which would be told to nobody (law 2).
    for direction in ["sendonly", "inactive"] {
        for plan in [Plan::announce(), Plan::transparent()] {
            let dial = Dial {
                direction,
                ..Dial::to(NUMBER)
            };
            assert_eq!(refused(plan, dial), "488", "{direction}");
        }
    }
    let mut city = City::new(Plan::announce());
    let listener = city.dial(Dial {
        direction: "recvonly",
        ..Dial::to(NUMBER)
    });
    city.run_until("connected", |city| city.is_talking(0));
    city.hang_up(listener);
    city.finish();
}

#[test]
fn a_call_beyond_the_ports_or_the_cap_is_told_to_come_again() {
    let out_of_ports = Plan {
        legs: 2,
        ..Plan::announce()
    };
    let at_the_cap = Plan {
        limits: Limits {
            calls: 1,
            ..Limits::default()
        },
        ..Plan::announce()
    };
    for plan in [out_of_ports, at_the_cap] {
        let mut city = City::new(plan);
        let first = city.dial(Dial::to(NUMBER));
        city.run_ms(500);
        let second = city.dial(Dial::to(NUMBER));
        city.run_until("connected", |city| city.is_talking(0));
        city.run_ms(500);
        city.hang_up(first);
        city.run_ms(500);
        let third = city.dial(Dial::to(NUMBER));
        city.run_until("connected again", |city| city.is_talking(1));
        city.hang_up(third);
        city.finish();
        assert_eq!(city.caller(second).end_of_call(), "503");
        let retry_after_s: u64 = city.caller(second).retry_after.parse().unwrap();
        assert!((5..=15).contains(&retry_after_s), "{retry_after_s}");
        assert_eq!(city.alarms.len(), 1);
        assert_eq!(
            city.calls().len(),
            2,
            "nothing is kept of the one that was turned away"
        );
    }
}

#[test]
fn a_flood_of_calls_beyond_the_ports_raises_one_alarm_a_minute() {
    // The one call that fits is in progress; everything else a peer sends finds no room.
    let mut city = City::new(Plan {
        legs: 2,
        ..Plan::announce()
    });
    let first = city.dial(Dial::to(NUMBER));
    city.run_until("connected", |city| city.is_talking(0));
    for _ in 0..20 {
        let refused = city.dial(Dial::to(NUMBER));
        city.run_ms(100);
        assert_eq!(city.caller(refused).end_of_call(), "503");
    }
    assert_eq!(city.alarms.len(), 1, "{:?}", city.alarms);
    city.run_ms(60_000);
    city.dial(Dial::to(NUMBER));
    city.run_ms(100);
    assert_eq!(city.alarms.len(), 2, "{:?}", city.alarms);
    let second = city.alarms[1].to_string();
    assert!(second.contains("alarm: 20;"), "{second}");
    city.hang_up(first);
    city.finish();
}

#[test]
fn an_invite_that_waited_for_over_a_second_is_turned_away_and_its_bye_would_not_be() {
    // The server was stopped for a while: what it reads has waited.
    let mut city = City::new(Plan::announce());
    let first = city.dial(Dial::to(NUMBER));
    city.run_until("connected", |city| city.is_talking(0));
    city.waits_ms = 1_001;
    let late = city.dial(Dial::to(NUMBER));
    city.run_ms(100);
    assert_eq!(city.caller(late).end_of_call(), "503");
    city.hang_up(first);
    city.run_ms(100);
    assert_eq!(
        city.exchange_at_work().call_count(),
        0,
        "the BYE is taken however late"
    );
    let alarm = city.alarms[0].to_string();
    assert!(alarm.contains("1 (waited too long: 1)"), "{alarm}");
    city.waits_ms = 0;
    let again = city.dial(Dial::to(NUMBER));
    city.run_until("connected again", |city| city.is_talking(1));
    city.hang_up(again);
    city.finish();
}

#[test]
fn a_flood_leaves_nothing_behind_and_never_touches_the_call_that_stands() {
    // Ten thousand callers who acknowledge nothing, while the one place there is, is taken.
    let mut city = City::new(Plan {
        legs: 2,
        ..Plan::announce()
    });
    let first = city.dial(Dial::to(NUMBER));
    city.run_until("connected", |city| city.is_talking(0));
    let before = city.traces.len();
    for drop in 0..10_000 {
        let packet = city.carrier.flood(NUMBER, drop);
        city.send(packet);
    }
    city.run_ms(1_000);
    assert_eq!(
        city.traces.len(),
        before,
        "not a line of log for any of them"
    );
    assert_eq!(city.alarms.len(), 1);
    let answers = &city.caller(first).other_answers;
    let refused = answers.iter().filter(|answer| *answer == "503 INVITE");
    assert_eq!(refused.count(), 10_000, "silence for none of them");
    assert_eq!(city.exchange_at_work().call_count(), 1);
    city.hang_up(first);
    city.finish();
}

#[test]
fn a_carrier_that_calls_119_is_no_emergency_and_is_shed_like_the_rest() {
    // The one call that may be is in progress; there would be ports for more.
    let mut city = City::new(Plan {
        limits: Limits {
            calls: 1,
            ..Limits::default()
        },
        ..Plan::announce()
    });
    let first = city.dial(Dial::to(NUMBER));
    city.run_until("connected", |city| city.is_talking(0));
    let before = city.traces.len();
    for (drop, called) in ["110", "118", "119"]
        .into_iter()
        .cycle()
        .take(300)
        .enumerate()
    {
        let packet = city.carrier.flood(called, drop);
        city.send(packet);
    }
    city.run_ms(1_000);
    assert_eq!(city.traces.len(), before, "nothing is kept of any of them");
    let answers = &city.caller(first).other_answers;
    assert_eq!(*answers, ["503 INVITE"].repeat(300));
    let telephone = city.line(city.pbx.address, "200");
    let office = city.line(city.carrier.address, "119");
    let offer = city.lines[telephone].describe("sendrecv");
    city.line_calls(telephone, "119", &Extra::body(offer));
    city.run_until_line(office, "INVITE (sdp)", 1);
    city.line_says(telephone, "CANCEL", &Extra::default());
    city.hang_up(first);
    city.finish();
}

#[test]
fn a_strangers_packet_gets_not_one_byte_back() {
    let mut city = City::new(Plan::announce());
    let mut packet = city.carrier.options();
    packet.from = "198.51.100.9:5060".parse().unwrap();
    city.send(packet);
    city.run_ms(1_000);
    assert!(city.traces.is_empty());
    assert_eq!(city.sip_sent, 0);
}

#[test]
fn a_dispatcher_that_asks_whether_we_live_is_told() {
    let mut city = City::new(Plan::announce());
    let call = city.dial(Dial::to(NUMBER));
    let packet = city.carrier.options();
    city.send(packet);
    city.run_ms(500);
    assert_eq!(city.caller(call).other_answers, ["200 OPTIONS"]);
    assert_eq!(
        city.carrier.answer_to_options,
        [
            "Allow: INVITE, ACK, BYE, CANCEL, OPTIONS, PRACK, UPDATE, INFO, REFER, NOTIFY",
            "Accept: application/sdp, multipart/mixed"
        ]
    );
    city.hang_up(call);
    city.finish();
}
