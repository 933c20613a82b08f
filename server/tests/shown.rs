//! What people see of calls while the service runs: the list, one call's ladder, and nothing that calls anyone back.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

mod common;

use common::{House, telephone::Telephone, text, wait_for};
use serde_json::Value;

/// Every line of a command that answers in JSON.
fn lines(house: &House, command: &[&str]) -> Vec<Value> {
    let output = house.denwaban(command);
    assert!(output.status.success(), "{}{}", text(&output), house.log());
    let lines = String::from_utf8(output.stdout).unwrap();
    lines
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

#[test]
fn a_call_is_shown_while_it_goes_on_and_after_it_has_ended() {
    let mut house = House::init(&["--profile", "transparent"]);
    house.run();
    let sip = (house.addresses.house, 5060).into();
    let caller = Telephone::new(house.addresses.carrier, 0, sip);
    let department = Telephone::new(house.addresses.pbx, 5062, sip);
    assert!(lines(&house, &["calls", "--json"]).is_empty());
    caller.invite("shown");
    department.pick_up();
    let dialog = caller.answered("shown");
    let live = wait_for("the call in the list", || {
        lines(&house, &["calls", "--json"])
            .into_iter()
            .find(|call| call["stage"] == "Talking")
    });
    assert_eq!(live["direction"], "inbound");
    assert_eq!(live["called"], "+81-78-***-**00");
    assert_eq!(live["recorded"], "no");
    assert_eq!(live["reason"], "NO_WAIVER");
    assert_eq!(live["peers"], serde_json::json!(["carrier", "pbx"]));
    assert_eq!(live["ended_at"], Value::Null);
    let id = live["id"].as_str().unwrap();

    caller.hang_up(&dialog);
    let bye = department.expect("BYE");
    department.respond(&bye, "200 OK", false);
    let ended = wait_for("the end of the call in the list", || {
        lines(&house, &["calls", "--json"])
            .into_iter()
            .find(|call| call["cause"] == "CALLER_HUNG_UP")
    });
    assert_eq!(ended["id"], id);

    let story = wait_for("the last rung", || {
        let story = lines(&house, &["call", &id[..20].to_lowercase(), "--json"]).remove(0);
        let rungs = story["ladder"].as_array().unwrap().clone();
        let is_whole = rungs
            .iter()
            .any(|rung| rung["way"] == "from_department" && rung["line"] == "200 BYE");
        is_whole.then_some(story)
    });
    assert_eq!(story["ladder"][0]["line"], "INVITE (sdp)");
    // RFC 3339 with milliseconds and +09:00, as the call's own times.
    assert_eq!(story["ladder"][0]["at"], story["started_at"]);
    let drawn = text(&house.denwaban(&["call", id]));
    for rung in [
        "carrier                       denwaban                       department",
        "|-------- INVITE (sdp) --------->|",
        "[Talking]",
        "|------------- BYE ------------->|",
        "発信側切断 CALLER_HUNG_UP",
    ] {
        assert!(drawn.contains(rung), "{rung} is missing in\n{drawn}");
    }
    let everything = format!("{drawn}{}", text(&house.denwaban(&["calls"])));
    assert!(everything.contains(id), "{everything}");
    assert!(!everything.contains("3331000"), "{everything}");
    house.terminate();
}

#[test]
fn without_a_service_there_is_nothing_to_show_and_the_remedy_is_told() {
    let house = House::init(&["--profile", "announce"]);
    for command in [["calls"].as_slice(), &["call", "01M8"], &["trunks"]] {
        let refused = house.denwaban(command);
        assert_eq!(refused.status.code(), Some(4), "{}", text(&refused));
        assert!(text(&refused).contains("denwaban run --config"));
    }
}

#[test]
fn a_pbx_that_was_chosen_and_one_that_was_passed_over_are_shown_with_the_reason() {
    let mut house = House::init(&["--profile", "transparent", "--pbx", "127.0.0.9:5062"]);
    house.run();
    let sip = (house.addresses.house, 5060).into();
    let caller = Telephone::new(house.addresses.carrier, 0, sip);
    let department = Telephone::new(house.addresses.pbx, 5062, sip);
    caller.invite("chosen");
    department.pick_up();
    caller.answered("chosen");
    let trunks = wait_for("a call at the first PBX", || {
        let trunks = lines(&house, &["trunks", "--json"]);
        (trunks[1]["calls"] == 1).then_some(trunks)
    });
    let names: Vec<_> = trunks.iter().map(|trunk| trunk["name"].clone()).collect();
    assert_eq!(names, ["carrier", "pbx", "pbx-2"]);
    assert_eq!(trunks[0]["calls"], 1);
    assert_eq!(trunks[1]["state"], "up");
    assert_eq!(trunks[1]["places"][0]["transport"], "udp");
    let chosen = &trunks[1]["last_chosen"];
    assert_eq!(chosen["because"], "PRIORITY");
    assert_eq!(chosen["address"], trunks[1]["places"][0]["address"]);
    assert_eq!(trunks[2]["last_chosen"], Value::Null);
    assert_eq!(trunks[2]["last_passed_over"]["because"], "PRIORITY");
    let shown = text(&house.denwaban(&["trunks"]));
    for words in [
        "優先順の高い相手が正常 / another",
        "優先順が最上位 / its priority",
    ] {
        assert!(shown.contains(words), "{shown}");
    }
    house.terminate();
}

#[test]
fn an_id_that_names_no_call_is_told_so() {
    let mut house = House::init(&["--profile", "announce"]);
    house.run();
    let refused = house.denwaban(&["call", "01ZZZZ"]);
    assert_eq!(refused.status.code(), Some(2), "{}", text(&refused));
    assert!(
        text(&refused).contains("denwaban calls"),
        "{}",
        text(&refused)
    );
    house.terminate();
}
