//! Peers that do not answer, are full or are not there: the next way is tried. The PBX has a second address, which is tried first.

use std::net::SocketAddr;

use exchange::{Ailment, Choice, MediaRange, PlaceName, Setback, Settings, TrunkTarget};
use expect_test::expect;
use sip_core::Transport;
use tests::{City, Plan, line::Extra, plan::NUMBER};

const FIRST: &str = "127.0.0.5:5062";

fn first() -> SocketAddr {
    FIRST.parse().expect("an address")
}

fn two_nodes(settings: &mut Settings) {
    let pbx = &mut settings.peers[1];
    pbx.addresses.push(first().ip());
    pbx.media.push(MediaRange::host(first().ip()));
    for target in &mut pbx.targets {
        target.priority = 2;
    }
    pbx.targets.insert(
        0,
        TrunkTarget {
            priority: 1,
            ..TrunkTarget::at(first(), Transport::Udp)
        },
    );
}

/// A citizen who calls, and a telephone at either address of the PBX.
fn nodes() -> (City, usize, usize, usize) {
    let mut city = City::new(Plan {
        adapt: two_nodes,
        ..Plan::transparent()
    });
    let citizen = city.line(city.carrier.address, "0790000001");
    let one = city.line(first(), "100");
    let other = city.line(city.pbx.address, "100");
    let offer = Extra::body(city.lines[citizen].describe("sendrecv"));
    city.line_calls(citizen, NUMBER, &offer);
    (city, citizen, one, other)
}

fn answer_and_end(city: &mut City, citizen: usize, department: usize) {
    let body = city.lines[department].describe("sendrecv");
    city.line_answers(department, "INVITE", 200, &Extra::body(body));
    city.run_until_line(citizen, "200 INVITE (sdp)", 1);
    city.run_ms(100);
    city.line_says(citizen, "BYE", &Extra::default());
}

#[test]
fn four_seconds_without_any_answer_start_the_next_way_and_a_late_answer_is_ended() {
    let (mut city, citizen, one, other) = nodes();
    city.lines[one].is_mute = true;
    city.run_until_line(other, "INVITE (sdp)", 1);
    city.line_answers(other, "INVITE", 180, &Extra::default());
    city.run_ms(500);
    assert_eq!(
        city.lines[one].count("CANCEL"),
        0,
        "not before it shows itself"
    );
    city.line_answers(one, "INVITE", 180, &Extra::default());
    city.run_until_line(one, "CANCEL", 1);
    answer_and_end(&mut city, citizen, other);
    city.finish();
    expect![[r#"
        seconds  carrier                       denwaban                       department
        0000.000 |-------- INVITE (sdp) --------->|                                |
        0000.000 |<--------- 100 INVITE ----------|                                |
        0000.000 |                                |-------- INVITE (sdp) --------->|
        0000.000 |                            [Passing]                            |
        0000.500 |                                |----- INVITE (sdp) again ------>|
        0001.500 |                                |----- INVITE (sdp) again ------>|
        0003.500 |                                |----- INVITE (sdp) again ------>|
        0004.000 |                [no answer at all: the next way]                 |
        0004.000 |                                |-------- INVITE (sdp) --------->|
        0004.010 |                                |<--------- 100 INVITE ----------|
        0004.010 |                                |<--------- 180 INVITE ----------|
        0004.010 |<--------- 180 INVITE ----------|                                |
        0004.510 |                                |<--------- 180 INVITE ----------|
        0004.510 |                                |----------- CANCEL ------------>|
        0004.520 |                                |<--------- 200 CANCEL ----------|
        0004.520 |                                |<--------- 487 INVITE ----------|
        0004.520 |                                |------------- ACK ------------->|
        0004.520 |                                |<------ 200 INVITE (sdp) -------|
        0004.520 |                                |------------- ACK ------------->|
        0004.520 |<------ 200 INVITE (sdp) -------|                                |
        0004.520 |                    [not recorded: NO_WAIVER]                    |
        0004.520 |                            [Talking]                            |
        0004.530 |------------- ACK ------------->|                                |
        0004.630 |------------- BYE ------------->|                                |
        0004.630 |<----------- 200 BYE -----------|                                |
        0004.630 |                                |------------- BYE ------------->|
        0004.630 |                     [Over: CALLER_HUNG_UP]                      |
        0004.640 |                                |<----------- 200 BYE -----------|
    "#]]
    .assert_eq(&city.ladder(0));
}

#[test]
fn a_late_200_of_an_abandoned_attempt_is_acknowledged_and_ended() {
    let (mut city, citizen, one, other) = nodes();
    city.lines[one].is_mute = true;
    city.run_until_line(other, "INVITE (sdp)", 1);
    let body = city.lines[one].describe("sendrecv");
    city.line_answers(one, "INVITE", 200, &Extra::body(body));
    city.run_until_line(one, "BYE", 1);
    assert_eq!(city.lines[one].count("ACK"), 1);
    answer_and_end(&mut city, citizen, other);
    city.finish();
}

#[test]
fn a_503_starts_the_next_way_and_a_busy_telephone_does_not() {
    for (status, passed) in [(503, "200 INVITE (sdp)"), (486, "486 INVITE")] {
        let (mut city, citizen, one, other) = nodes();
        city.run_until_line(one, "INVITE (sdp)", 1);
        city.line_answers(one, "INVITE", status, &Extra::default());
        city.run_ms(100);
        if status == 503 {
            answer_and_end(&mut city, citizen, other);
        }
        city.run_until_line(citizen, passed, 1);
        city.finish();
    }
}

#[test]
fn a_503_that_says_when_to_come_back_sends_later_calls_elsewhere_first_until_then() {
    // RFC 3261 section 21.5.4. The node takes calls again after half a minute, as it said.
    let (mut city, citizen, one, other) = nodes();
    city.run_until_line(one, "INVITE (sdp)", 1);
    city.line_answers(one, "INVITE", 503, &Extra::header("Retry-After: 30"));
    city.run_until_line(other, "INVITE (sdp)", 1);
    answer_and_end(&mut city, citizen, other);
    let second = city.pbx.address;
    for node in [second, second, first()] {
        let citizen = city.line(city.carrier.address, "0790000001");
        let department = city.line(node, "100");
        let offer = Extra::body(city.lines[citizen].describe("sendrecv"));
        city.line_calls(citizen, NUMBER, &offer);
        city.run_until_line(department, "INVITE (sdp)", 1);
        answer_and_end(&mut city, citizen, department);
        city.run_ms(16_000);
    }
    city.finish();
    let pbx = city.exchange_at_work().trunks(city.clock.now()).remove(1);
    assert_eq!(pbx.last_chosen.unwrap().place.address, first());
}

#[test]
fn after_a_failover_trunks_say_where_the_call_went_and_what_failed_before() {
    for (status, setback) in [
        (None, Setback::Ailing(Ailment::Silent)),
        (Some(503), Setback::Ailing(Ailment::Unavailable)),
    ] {
        let (mut city, citizen, one, other) = nodes();
        city.lines[one].is_mute = true;
        city.run_until_line(one, "INVITE (sdp)", 1);
        if let Some(status) = status {
            city.line_answers(one, "INVITE", status, &Extra::default());
        }
        city.run_until_line(other, "INVITE (sdp)", 1);
        let trunks = city.exchange_at_work().trunks(city.clock.now());
        let chosen = trunks[1].last_chosen.as_ref().unwrap();
        assert_eq!(chosen.place.address, city.pbx.address);
        let failed = PlaceName {
            address: first(),
            transport: Transport::Udp,
        };
        assert_eq!(
            chosen.why,
            Choice::After {
                peer: "pbx".to_owned(),
                place: failed,
                setback
            }
        );
        answer_and_end(&mut city, citizen, other);
        if status.is_none() {
            city.line_answers(one, "INVITE", 180, &Extra::default());
        }
        city.finish();
    }
}

#[test]
fn the_last_way_is_waited_for_as_long_as_it_may_take() {
    let mut city = City::new(Plan::transparent());
    let citizen = city.line(city.carrier.address, "0790000001");
    let department = city.line(city.pbx.address, "100");
    city.lines[department].is_mute = true;
    let offer = Extra::body(city.lines[citizen].describe("sendrecv"));
    city.line_calls(citizen, NUMBER, &offer);
    city.run_ms(8_000);
    answer_and_end(&mut city, citizen, department);
    city.finish();
}

#[test]
fn nobody_is_rung_for_longer_than_two_minutes() {
    let mut city = City::new(Plan::transparent());
    let extension = city.line(city.pbx.address, "200");
    let citizen = city.line(city.carrier.address, "0790000009");
    let offer = Extra::body(city.lines[extension].describe("sendrecv"));
    city.line_calls(extension, "0790000009", &offer);
    city.run_until_line(citizen, "INVITE (sdp)", 1);
    city.line_answers(citizen, "INVITE", 180, &Extra::default());
    city.run_ms(119_000);
    assert_eq!(city.lines[citizen].count("CANCEL"), 0);
    city.run_ms(2_000);
    city.finish();
    assert_eq!(city.lines[citizen].end_of_call(), "cancelled");
    assert_eq!(city.lines[extension].end_of_call(), "480");
}
