//! What people are shown of calls: where each stands, and how it ended.

use exchange::{CallReport, Direction, EndedBy, Milestone, Recorded, ShownCaller};
use rules::{EndCause, Reason};
use tests::{
    City, Plan,
    carrier::Dial,
    department::answers_after,
    line::Extra,
    plan::{NUMBER, OTHER_NUMBER},
};

/// The last milestone of each call that is over, in the order in which they ended.
fn ended(city: &City) -> Vec<CallReport> {
    let ends = city.traces.iter().filter_map(|trace| match &trace.what {
        Milestone::Ended(report) => Some(CallReport::clone(report)),
        Milestone::Began
        | Milestone::Message { .. }
        | Milestone::House(_)
        | Milestone::Refused(_) => None,
    });
    ends.collect()
}

#[test]
fn a_call_is_shown_with_its_stage_its_parties_and_whether_it_is_recorded() {
    let mut city = City::new(Plan::announce());
    let caller = city.dial(Dial::to(NUMBER));
    let began = city.clock.now().wall;
    city.run_until("the notice", |city| {
        let calls = city.wiring.exchange().calls();
        calls.first().is_some_and(|call| call.stage == "Announcing")
    });
    let announcing = city.wiring.exchange().calls().remove(0);
    assert_eq!(announcing.direction, Direction::Inbound);
    assert_eq!(announcing.peers, ["carrier"]);
    assert_eq!(announcing.recorded, Recorded::Undecided);
    assert_eq!(announcing.called, "+81-78-***-**01");
    assert!(announcing.since > began, "the stage began after the INVITE");
    city.run_until("connected", |city| city.is_talking(0));
    let talking = city.wiring.exchange().calls().remove(0);
    assert_eq!(talking.stage, "Talking");
    assert_eq!(talking.peers, ["carrier", "pbx"]);
    assert!(talking.answered_at.is_some() && talking.ending.is_none());
    let Recorded::Kept(recording) = talking.recorded else {
        panic!("{talking:?}");
    };
    city.hang_up(caller);
    city.finish();
    let over = ended(&city).remove(0);
    assert_eq!(over.id, talking.id);
    assert_eq!(over.recorded, Recorded::Kept(recording));
    let ending = over.ending.expect("it is over");
    assert_eq!(ending.by, EndedBy::Cause(EndCause::CallerHungUp));
    assert!(city.wiring.exchange().calls().is_empty());
}

#[test]
fn an_extension_is_shown_as_one_and_masked() {
    for (user, header, shown) in [
        (
            "7001",
            "Subject: -",
            ShownCaller::Extension("**01".to_owned()),
        ),
        (
            "119",
            "Subject: -",
            ShownCaller::Extension("**9".to_owned()),
        ),
        ("7001", "Privacy: id", ShownCaller::Anonymous),
        (
            NUMBER,
            "Subject: -",
            ShownCaller::Number("+81-78-***-**01".to_owned()),
        ),
    ] {
        let mut city = City::new(Plan::announce().with("100", answers_after(500)));
        let extension = city.line(city.pbx.address, user);
        let offer = city.lines[extension].describe("sendrecv");
        city.line_calls(extension, OTHER_NUMBER, &Extra::body(offer).and(header));
        city.run_until_line(extension, "200 INVITE (sdp)", 1);
        let call = city.wiring.exchange().calls().remove(0);
        assert_eq!(call.direction, Direction::Internal);
        assert_eq!(call.caller, shown);
        city.run_ms(10);
        city.line_says(extension, "BYE", &Extra::default());
        city.finish();
    }
}

#[test]
fn why_a_call_was_not_recorded_or_not_taken_in_is_shown() {
    let mut city = City::new(Plan::transparent());
    let caller = city.dial(Dial::to(NUMBER));
    city.run_until("connected", |city| city.is_talking(0));
    let talking = city.wiring.exchange().calls().remove(0);
    assert_eq!(talking.recorded, Recorded::Not(Reason::NoWaiver));
    city.hang_up(caller);
    city.finish();
    city.dial(Dial::to("0783339999"));
    city.finish();
    let [unrecorded, refused] = ended(&city).try_into().expect("two calls");
    assert_eq!(unrecorded.recorded, Recorded::Not(Reason::NoWaiver));
    assert_eq!(refused.recorded, Recorded::Never);
    assert_eq!(refused.called, "+81-78-***-**99");
    assert_eq!(
        refused.ending.map(|ending| ending.by),
        Some(EndedBy::Refusal(404))
    );
}

#[test]
fn what_a_peer_sends_that_is_no_message_is_counted_and_costs_nobody_a_call() {
    let mut city = City::new(Plan::announce());
    let caller = city.dial(Dial::to(NUMBER));
    city.run_until("connected", |city| city.is_talking(0));
    let broken = [
        (&b"Max-Forwards: 70"[..], &b"Max-Forwards: 7000"[..]),
        (b"Via: ", b"V\xffia "),
    ];
    for (whole, damaged) in broken {
        let mut packet = city.carrier.options();
        let at = packet
            .payload
            .windows(whole.len())
            .position(|window| window == whole)
            .expect("it is there");
        packet
            .payload
            .splice(at..at + whole.len(), damaged.iter().copied());
        city.send(packet);
    }
    city.run_ms(500);
    assert!(city.is_talking(0));
    let now = city.clock.now();
    let trunks = city.wiring.exchange().trunks(now);
    let of = |name: &str| {
        let report = trunks.iter().find(|report| report.name == name);
        let malformed = report.expect("it is configured").malformed;
        (malformed.answered, malformed.dropped)
    };
    assert_eq!((of("carrier"), of("pbx")), ((1, 1), (0, 0)));
    city.hang_up(caller);
    city.finish();
    city.dial(Dial::to(NUMBER));
    city.run_until("connected", |city| city.is_talking(1));
}
