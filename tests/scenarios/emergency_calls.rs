//! Calls to 110, 118 and 119, and calls back from them. Two carriers: the hall's and the annex's.

use std::time::Duration;

use exchange::{Outbound, PeerRole, Settings, Site, Trunk, Trust};
use expect_test::expect;
use rules::{Number, Reason};
use sip_core::Transport;
use tests::{
    City, Plan,
    carrier::Dial,
    department::answers_after,
    line::Extra,
    plan::{NUMBER, OTHER_NUMBER},
};

use crate::transfer::refer_to_dialog;

const WEST: &str = "127.0.0.4:5060";

/// A second carrier, with the second number, for telephones whose extension begins with 7.
fn two_sites(settings: &mut Settings) {
    let west: std::net::SocketAddr = WEST.parse().expect("an address");
    let number = |text: &str| Number::parse(text).expect("a number");
    settings.peers[0].contracted = vec![number(NUMBER)];
    settings.peers.push(
        Trunk {
            outbound: true,
            contracted: vec![number(OTHER_NUMBER)],
            ..Trunk::new("west", PeerRole::Carrier, vec![west.ip()])
        }
        .at(west, Transport::Udp),
    );
    let site = |name: &str, extensions: &[&str], trunk: &str, shown: &str| Site {
        name: name.to_owned(),
        peers: Vec::new(),
        extensions: extensions.iter().map(ToString::to_string).collect(),
        trunk: trunk.to_owned(),
        number: number(shown),
    };
    // Nothing else may be called, and nothing at all may be called out.
    settings.outbound = Outbound {
        allowed: Vec::new(),
        calls: Some(0),
        sites: vec![
            site("hall", &[], "carrier", NUMBER),
            site("annex", &["7"], "west", OTHER_NUMBER),
        ],
    };
}

fn city() -> City {
    City::new(Plan {
        adapt: two_sites,
        ..Plan::announce()
    })
}

#[test]
fn the_trunk_of_the_site_is_tried_first_though_its_503_asks_for_patience() {
    // The other trunk leads to the police of another town: better late than there.
    let mut city = city();
    for _ in 0..2 {
        let caller = city.line(city.pbx.address, "700");
        let own = city.line(WEST.parse().unwrap(), "110");
        let other = city.line(city.carrier.address, "110");
        let offer = city.lines[caller].describe("sendrecv");
        city.line_calls(caller, "110", &Extra::body(offer));
        city.run_until_line(own, "INVITE (sdp)", 1);
        city.line_answers(own, "INVITE", 503, &Extra::header("Retry-After: 600"));
        city.run_until_line(other, "INVITE (sdp)", 1);
        let answer = city.lines[other].describe("sendrecv");
        city.line_answers(other, "INVITE", 200, &Extra::body(answer));
        city.run_until_line(caller, "200 INVITE (sdp)", 1);
        city.run_ms(100);
        city.line_says(caller, "BYE", &Extra::default());
        city.run_ms(100);
    }
    city.finish();
}

#[test]
fn each_emergency_number_is_called_at_once_by_the_trunk_of_its_site_with_its_number() {
    for (extension, called, trunk, shown) in [
        ("200", "110", "127.0.0.2:5060", NUMBER),
        ("200", "118", "127.0.0.2:5060", NUMBER),
        ("700", "119", WEST, OTHER_NUMBER),
        ("700", "184119", WEST, OTHER_NUMBER),
        ("700", "+81119", WEST, OTHER_NUMBER),
        ("200", "186110", "127.0.0.2:5060", NUMBER),
    ] {
        let mut city = city();
        let caller = city.line(city.pbx.address, extension);
        let office = city.line(trunk.parse().unwrap(), &called[called.len() - 3..]);
        let offer = city.lines[caller].describe("sendrecv");
        city.line_calls(caller, called, &Extra::body(offer).and("Privacy: id"));
        city.run_until_line(office, "INVITE (sdp)", 1);
        let invite = city.lines[office].invite.clone().unwrap();
        let from = format!("<sip:{shown}@127.0.0.1:5060>");
        assert!(
            invite.header("From").starts_with(&from),
            "{}",
            invite.header("From")
        );
        assert_eq!(invite.header("P-Asserted-Identity"), from);
        assert_eq!(invite.header("Privacy"), "", "nobody is withheld from them");
        let answer = city.lines[office].describe("sendrecv");
        city.line_answers(office, "INVITE", 200, &Extra::body(answer));
        city.run_until_line(caller, "200 INVITE (sdp)", 1);
        city.run_ms(20);
        city.line_says(office, "BYE", &Extra::default());
        city.finish();
        assert!(city.recorder.closed.is_empty() && city.recorder.unrecorded.is_empty());
    }
}

#[test]
fn an_emergency_call_is_made_where_no_other_call_can() {
    let plan = Plan {
        adapt: |settings| {
            two_sites(settings);
            settings.limits.calls = 0;
        },
        ..Plan::announce()
    };
    let mut city = City::new(plan);
    let caller = city.line(city.pbx.address, "200");
    let office = city.line(city.carrier.address, "119");
    let refused = city.dial(Dial::to(NUMBER));
    city.run_ms(50);
    assert_eq!(city.caller(refused).end_of_call(), "503");
    let offer = city.lines[caller].describe("sendrecv");
    city.line_calls(caller, "119", &Extra::body(offer));
    city.run_until_line(office, "INVITE (sdp)", 1);
    city.line_says(caller, "CANCEL", &Extra::default());
    city.line_answers(office, "INVITE", 180, &Extra::default());
    city.finish();
}

#[test]
fn an_emergency_call_goes_by_the_other_trunk_when_its_own_refuses_it() {
    for status in [503, 500, 486, 404, 403, 408, 603] {
        let mut city = city();
        let caller = city.line(city.pbx.address, "200");
        let first = city.line(city.carrier.address, "119");
        let other = city.line(WEST.parse().unwrap(), "119");
        let offer = city.lines[caller].describe("sendrecv");
        city.line_calls(caller, "119", &Extra::body(offer));
        city.run_until_line(first, "INVITE (sdp)", 1);
        city.line_answers(first, "INVITE", status, &Extra::default());
        city.run_until_line(other, "INVITE (sdp)", 1);
        let invite = city.lines[other].invite.clone().unwrap();
        assert!(
            invite
                .header("From")
                .starts_with(&format!("<sip:{OTHER_NUMBER}@")),
            "a number that this trunk has"
        );
        let answer = city.lines[other].describe("sendrecv");
        city.line_answers(other, "INVITE", 200, &Extra::body(answer));
        city.run_until_line(caller, "200 INVITE (sdp)", 1);
        city.run_ms(20);
        city.line_says(caller, "BYE", &Extra::default());
        city.finish();
    }
}

#[test]
fn a_call_back_rings_the_department_without_a_word() {
    let mut city = City::new(Plan::announce().with("100", answers_after(500)));
    let call = city.dial(Dial {
        caller: "119".to_owned(),
        display: String::new(),
        ..Dial::to(NUMBER)
    });
    city.run_until("connected", |city| city.is_talking(0));
    city.run_ms(500);
    city.hang_up(call);
    city.finish();
    expect![[r#"
        seconds  carrier                       denwaban                       department
        0000.000 |-------- INVITE (sdp) --------->|                                |
        0000.000 |<--------- 100 INVITE ----------|                                |
        0000.000 |                                |-------- INVITE (sdp) --------->|
        0000.000 |                            [Passing]                            |
        0000.010 |                                |<--------- 100 INVITE ----------|
        0000.110 |                                |<--------- 180 INVITE ----------|
        0000.110 |<--------- 180 INVITE ----------|                                |
        0000.510 |                                |<------ 200 INVITE (sdp) -------|
        0000.510 |                                |------------- ACK ------------->|
        0000.510 |<------ 200 INVITE (sdp) -------|                                |
        0000.510 |                    [not recorded: CALL_BACK]                    |
        0000.510 |                            [Talking]                            |
        0000.520 |------------- ACK ------------->|                                |
        0001.020 |------------- BYE ------------->|                                |
        0001.020 |<----------- 200 BYE -----------|                                |
        0001.020 |                                |------------- BYE ------------->|
        0001.020 |                     [Over: CALLER_HUNG_UP]                      |
        0001.030 |                                |<----------- 200 BYE -----------|
    "#]]
    .assert_eq(&city.ladder(call));
    assert_eq!(city.record(call).unrecorded, Some(Reason::CallBack));
    assert!(city.playbacks.is_empty());
    let invite = &city.telephone(0).invite;
    assert!(
        invite
            .header("From")
            .starts_with("<sip:119@127.0.0.1:5060>")
    );
}

#[test]
fn the_end_of_service_waits_for_a_call_back_until_it_is_asked_again() {
    let mut city = City::new(Plan::announce().with("100", answers_after(500)));
    let urgent = city.dial(Dial {
        caller: "119".to_owned(),
        display: String::new(),
        ..Dial::to(NUMBER)
    });
    let other = city.dial(Dial::to(NUMBER));
    city.run_until("connected", |city| city.is_talking(0));
    city.shut_down();
    city.run_ms(5_000);
    assert_eq!(city.caller(other).end_of_call(), "was hung up on");
    assert!(city.is_talking(urgent), "{}", city.ladder(urgent));
    let late = city.dial(Dial::to(NUMBER));
    city.run_ms(100);
    assert_eq!(city.caller(late).end_of_call(), "503");
    assert_eq!(city.wiring.exchange().emergency_call_count(), 1);
    city.shut_down();
    city.finish();
    assert_eq!(city.caller(urgent).end_of_call(), "was hung up on");
}

#[test]
fn the_end_of_service_lets_119_be_called_while_it_waits_for_another_such_call() {
    let mut city = city();
    let (caller, office) = talking(&mut city);
    city.shut_down();
    city.run_ms(60_000);
    let late = city.dial(Dial::to(NUMBER));
    city.run_ms(100);
    assert_eq!(city.caller(late).end_of_call(), "503");
    let second = city.line(city.pbx.address, "201");
    let other_office = city.line(city.carrier.address, "119");
    call(&mut city, second, "119", other_office);
    city.line_says(caller, "BYE", &Extra::default());
    city.run_ms(500);
    assert_eq!(city.lines[office].end_of_call(), "was hung up on");
    assert_eq!(city.lines[second].end_of_call(), "");
    assert_eq!(city.wiring.exchange().emergency_call_count(), 1);
    city.shut_down();
    let third = city.line(city.pbx.address, "202");
    let offer = city.lines[third].describe("sendrecv");
    city.line_calls(third, "119", &Extra::body(offer));
    city.finish();
    assert_eq!(city.lines[second].end_of_call(), "was hung up on");
    assert_eq!(city.lines[third].end_of_call(), "503");
}

#[test]
fn who_asks_whether_a_service_that_ends_lives_is_told_to_go_elsewhere() {
    let mut city = city();
    talking(&mut city);
    for expected in ["200 OPTIONS", "503 OPTIONS"] {
        // A refused call gives it a Call-ID, and nothing else.
        let asker = city.line(city.pbx.address, "300");
        city.line_calls(asker, "0312345678", &Extra::default());
        city.run_until_line(asker, "403 INVITE", 1);
        city.line_says(asker, "OPTIONS", &Extra::default());
        city.run_until_line(asker, expected, 1);
        city.shut_down();
    }
    city.finish();
}

#[test]
fn an_ack_that_never_brings_its_answer_leaves_an_emergency_call_open_to_the_next_hold() {
    let mut city = city();
    let (caller, office) = talking(&mut city);
    city.lines[office].acknowledges = false;
    city.line_says(office, "INVITE", &Extra::default());
    city.run_until_line(office, "200 INVITE (sdp)", 1);
    city.run_ms(40_000);
    city.lines[office].acknowledges = true;
    let body = city.lines[caller].describe("sendonly");
    city.line_says(caller, "INVITE", &Extra::body(body));
    city.run_until_line(office, "INVITE (sdp)", 2);
    let body = city.lines[office].describe("recvonly");
    city.line_answers(office, "INVITE", 200, &Extra::body(body));
    city.run_until_line(caller, "200 INVITE (sdp)", 2);
    city.run_ms(100);
    city.line_says(caller, "BYE", &Extra::default());
    city.finish();
}

#[test]
fn who_says_119_from_outside_the_trust_domain_is_told_like_everybody() {
    let mut city = City::new(Plan {
        adapt: |settings| settings.peers[0].trust = Trust::Outside,
        ..Plan::announce()
    });
    let call = city.dial(Dial {
        caller: "119".to_owned(),
        ..Dial::to(NUMBER)
    });
    city.run_until("connected", |city| city.is_talking(0));
    city.hang_up(call);
    city.finish();
    assert_eq!(city.playbacks.len(), 1, "the notice was played");
    assert!(city.clock.elapsed() > Duration::from_secs(5));
}

/// Extension 200 talks with 119.
fn talking(city: &mut City) -> (usize, usize) {
    let caller = city.line(city.pbx.address, "200");
    let office = city.line(city.carrier.address, "119");
    call(city, caller, "119", office);
    (caller, office)
}

fn call(city: &mut City, caller: usize, called: &str, callee: usize) {
    let offer = city.lines[caller].describe("sendrecv");
    city.line_calls(caller, called, &Extra::body(offer));
    city.run_until_line(callee, "INVITE (sdp)", 1);
    let answer = city.lines[callee].describe("sendrecv");
    city.line_answers(callee, "INVITE", 200, &Extra::body(answer));
    city.run_until_line(callee, "ACK", 1);
    for line in [caller, callee] {
        city.line_speaks(line);
    }
    city.run_ms(500);
}

/// One telephone joins its two calls, of which it is these lines.
fn join(city: &mut City, first: usize, second: usize) {
    let replaces = city.lines[second].replaces();
    refer_to_dialog(city, first, &replaces);
    city.run_until_line(second, "BYE", 1);
}

/// No call lasts longer than a minute, but for those to 110, 118 and 119.
fn short_calls(settings: &mut Settings) {
    settings.limits.longest_call = Duration::from_secs(60);
}

#[test]
fn an_emergency_call_goes_on_when_an_answer_or_an_ack_is_missing() {
    // The PBX forgets its ACK, and then even the call; both people still speak.
    let mut city = city();
    let (caller, office) = talking(&mut city);
    city.lines[caller].acknowledges = false;
    let same = city.lines[caller].describe_again("sendrecv", &[0, 8, 101]);
    city.line_says(caller, "INVITE", &Extra::body(same));
    city.run_ms(40_000);
    assert_eq!(city.lines[office].end_of_call(), "");
    city.line_says(office, "INFO", &Extra::default());
    city.run_until_line(caller, "INFO", 1);
    city.line_answers(caller, "INFO", 481, &Extra::default());
    city.run_ms(1_000);
    assert_eq!(city.lines[office].end_of_call(), "");
    city.line_says(office, "BYE", &Extra::default());
    city.finish();
}

#[test]
fn an_emergency_call_that_is_handed_on_is_still_one() {
    let mut city = City::new(Plan {
        adapt: short_calls,
        ..Plan::announce()
    });
    let (caller, office) = talking(&mut city);
    let next = city.line(city.pbx.address, "100");
    let refer = Extra::header(format!("Refer-To: <sip:{OTHER_NUMBER}@127.0.0.1>"));
    city.line_says(caller, "REFER", &refer);
    city.run_until_line(next, "INVITE (sdp)", 1);
    let answer = city.lines[next].describe("sendrecv");
    city.line_answers(next, "INVITE", 200, &Extra::body(answer));
    city.run_until_line(caller, "BYE", 1);
    city.line_speaks(next);
    city.run_ms(90_000);
    assert_eq!(city.lines[office].end_of_call(), "");
    city.line_says(office, "BYE", &Extra::default());
    city.finish();
}

#[test]
fn an_emergency_call_that_is_joined_to_another_is_still_one() {
    let mut city = City::new(Plan {
        adapt: short_calls,
        ..Plan::announce()
    });
    let first = city.line(city.pbx.address, "200");
    let colleague = city.line(city.pbx.address, "100");
    call(&mut city, first, NUMBER, colleague);
    let (caller, office) = talking(&mut city);
    join(&mut city, first, caller);
    city.run_ms(90_000);
    assert_eq!(city.lines[office].end_of_call(), "");
    city.line_says(office, "BYE", &Extra::default());
    city.finish();
    assert_eq!(city.lines[colleague].end_of_call(), "was hung up on");
}

#[test]
fn an_emergency_call_that_got_a_silent_party_by_a_join_ends_when_the_other_falls_silent() {
    let mut city = city();
    let first = city.line(city.pbx.address, "200");
    let colleague = city.line(city.pbx.address, "100");
    call(&mut city, first, NUMBER, colleague);
    city.lines[colleague].voice.hush();
    city.run_ms(65_000);
    let (caller, office) = talking(&mut city);
    join(&mut city, first, caller);
    city.run_ms(65_000);
    assert_eq!(city.lines[office].end_of_call(), "");
    city.lines[office].voice.hush();
    city.run_ms(65_000);
    assert_eq!(city.lines[office].end_of_call(), "was hung up on");
    city.finish();
}

#[test]
fn silence_counts_from_the_answer_on() {
    for ring_ms in [58_000, 63_000] {
        let mut city = city();
        let caller = city.line(city.pbx.address, "200");
        let office = city.line(city.carrier.address, "119");
        let offer = city.lines[caller].describe("sendrecv");
        city.line_calls(caller, "119", &Extra::body(offer));
        city.run_until_line(office, "INVITE (sdp)", 1);
        let answer = Extra::body(city.lines[office].describe("sendrecv"));
        city.line_answers(office, "INVITE", 183, &answer);
        city.run_ms(ring_ms);
        city.line_answers(office, "INVITE", 200, &answer);
        city.run_ms(50_000);
        assert_eq!(
            city.lines[office].end_of_call(),
            "",
            "rang for {ring_ms} ms"
        );
        city.run_ms(15_000);
        assert_eq!(city.lines[office].end_of_call(), "was hung up on");
        city.finish();
    }
}

#[test]
fn who_says_119_and_is_not_believed_waits_like_everybody() {
    fn closed(settings: &mut Settings) {
        settings.limits.calls = 0;
    }
    fn closed_and_outside(settings: &mut Settings) {
        closed(settings);
        settings.peers[0].trust = Trust::Outside;
    }
    for (adapt, end) in [
        (closed as fn(&mut Settings), "taken"),
        (closed_and_outside, "503"),
    ] {
        let mut city = City::new(Plan {
            adapt,
            ..Plan::announce()
        });
        let call = city.dial(Dial {
            caller: "119".to_owned(),
            ..Dial::to(NUMBER)
        });
        city.run_ms(100);
        let is_taken = city.exchange_at_work().call_count() == 1;
        let told = if is_taken {
            "taken"
        } else {
            city.caller(call).end_of_call()
        };
        assert_eq!(told, end);
    }
    // A telephone that calls itself 119.
    let mut city = City::new(Plan {
        adapt: closed,
        ..Plan::announce()
    });
    let caller = city.line(city.pbx.address, "119");
    let offer = city.lines[caller].describe("sendrecv");
    city.line_calls(caller, NUMBER, &Extra::body(offer));
    city.run_ms(100);
    assert_eq!(city.lines[caller].end_of_call(), "503");
}

#[test]
fn no_privacy_is_a_reason_to_refuse_an_emergency_call() {
    let mut city = City::new(Plan {
        adapt: |settings| settings.peers[0].trust = Trust::Outside,
        ..Plan::announce()
    });
    let caller = city.line(city.pbx.address, "200");
    let office = city.line(city.carrier.address, "119");
    let offer = city.lines[caller].describe("sendrecv");
    let extra = Extra::body(offer).and("Privacy: critical;nobody-knows-this");
    city.line_calls(caller, "119", &extra);
    city.run_until_line(office, "INVITE (sdp)", 1);
    city.line_answers(office, "INVITE", 486, &Extra::default());
    city.finish();
}
