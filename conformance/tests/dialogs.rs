//! SIPp on either side of the real binary, over UDP and over TCP: calls that fork, go by a proxy, are given up or handed on.

use conformance::{
    house::{
        ANNOUNCE, CITY,
        Caller::{Carrier, Pbx},
        House, SECOND_NUMBER, TRANSPARENT, announced, callee, over_both, second_pbx,
        with_second_number,
    },
    sipp::Transport::{Tcp, Udp},
};

#[test]
fn a_second_answer_of_a_fork_is_acknowledged_and_ended_and_the_first_goes_on() {
    over_both(160, |house| {
        house.play(Carrier, "caller-is-hung-up-on", "callee-forks");
        house.play(Pbx, "caller-is-hung-up-on", "callee-forks");
    });
}

#[test]
fn of_an_announced_call_too_the_second_answer_of_a_fork_is_ended() {
    announced(162, |house| {
        house.play(Carrier, "caller-is-hung-up-on", "callee-forks");
    });
}

#[test]
fn what_is_asked_inside_a_call_goes_by_the_proxy_that_stays_in_the_way() {
    over_both(164, |house| {
        for caller in [Carrier, Pbx] {
            house.play(caller, "caller-talks-briefly", "callee-behind-proxy");
            house.play(
                caller,
                "caller-talks-briefly",
                "callee-behind-strict-router",
            );
        }
    });
}

#[test]
fn of_an_announced_call_too_what_is_asked_goes_by_the_proxy() {
    announced(190, |house| {
        for proxied in ["callee-behind-proxy", "callee-behind-strict-router"] {
            house.play(Carrier, "caller-talks-briefly", proxied);
        }
    });
}

#[test]
fn a_caller_who_gives_up_stops_the_ringing() {
    over_both(166, |house| {
        house.play(Pbx, "caller-cancels", "callee-is-cancelled");
        house.play(Carrier, "caller-cancels", "callee-is-cancelled");
        let call = house.server.call_in_state("unrecorded").unwrap();
        assert_eq!(call["reason"], "CALLER_HUNG_UP", "{call}");
    });
}

#[test]
fn a_call_back_from_110_rings_the_department_without_a_notice() {
    announced(168, call_back_from_110);
    over_both(192, call_back_from_110);
}

fn call_back_from_110(house: &House) {
    let at = callee(house.server.network, Carrier);
    let answers = house.start("callee-answers", at, None, &[]);
    let words = [("number", CITY), ("caller", "110")];
    let calls = house.start_at(Carrier, 5070, "caller-talks-briefly", &words);
    house.finish(calls);
    house.finish(answers);
}

#[test]
fn an_emergency_call_goes_out_at_once_beside_announced_numbers_too() {
    announced(194, |house| {
        house.play_as(Pbx, "110", "caller-talks-briefly", "callee-answers");
    });
}

#[test]
fn a_busy_department_is_told_by_prompt_after_a_notice_and_else_by_486() {
    announced(196, |house| {
        house.play(Carrier, "carrier-hears-prompt", "department-is-busy");
        let call = house.server.call_in_state("unrecorded").unwrap();
        assert_eq!(call["reason"], "NOT_ANSWERED");
    });
    over_both(198, |house| {
        house.play(Carrier, "carrier-is-refused", "department-is-busy");
        let call = house.server.call_in_state("unrecorded").unwrap();
        assert_eq!(call["reason"], "NOT_ANSWERED");
    });
}

#[test]
fn whom_a_department_transfers_to_another_number_talks_on_with_it() {
    for (third, transport, profile) in [
        (170, Udp, TRANSPARENT),
        (171, Tcp, TRANSPARENT),
        (172, Udp, ANNOUNCE),
        (173, Tcp, ANNOUNCE),
    ] {
        let edit = |text: String| with_second_number(&text);
        House::open_as(third, transport, profile, edit, |house| {
            let network = house.server.network;
            let target = format!("sip:{SECOND_NUMBER}@{}", network.server);
            let words = [("target", target.as_str())];
            let first = house.start("callee-transfers", callee(network, Carrier), None, &words);
            let second = house.start("callee-hangs-up", second_pbx(network), None, &[]);
            let citizen = house.start_caller(Carrier, "caller-is-hung-up-on", CITY);
            house.finish(first);
            house.finish(second);
            house.finish(citizen);
        });
    }
}
