//! What an act must say and does not, left out or blank, typed in or sent by another program: refused with its clause, and written down.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

mod common;

use std::{
    fs,
    io::{BufRead, BufReader, Write},
    os::unix::net::UnixStream,
};

use common::{House, text};
use jiff::Timestamp;
use rules::{CaseId, HandOverId, JstDay};
use serde_json::{Value, json};

const RECORDING: &str = "01M87149FV0000000000000002";
/// A day that every month before is past its term.
const LONG_AGO: &str = "2019-12";

/// A house with a manager, an administrator and an assistant.
fn house() -> House {
    let house = House::init(&[]);
    house.found();
    house.enlist("hanako", "assistant");
    house
}

/// Who does what, without which option; what it is refused as.
struct Act {
    by: Option<&'static str>,
    command: Vec<String>,
    /// The option that says it, where it can be typed in blank.
    option: Option<&'static str>,
    action: &'static str,
    code: &'static str,
}

fn act(
    by: &'static str,
    command: &str,
    option: impl Into<Option<&'static str>>,
    action: &'static str,
    code: &'static str,
) -> Act {
    Act {
        by: (!by.is_empty()).then_some(by),
        command: command.split(' ').map(str::to_owned).collect(),
        option: option.into(),
        action,
        code,
    }
}

fn acts() -> Vec<Act> {
    let today = JstDay::of(Timestamp::now()).to_string();
    let case = CaseId::new(Timestamp::now(), 7).to_string();
    let hand_over = HandOverId::new(Timestamp::now(), 7).to_string();
    let days = format!("--from {today} --until {today}");
    let contract = format!("contracts add r8-1 --vendor bunseki --number 0783331000 {days}");
    let hold = format!("holds request --recording {RECORDING}");
    let package = format!(
        "handover request --recording {RECORDING} --purpose ANALYSIS_INQUIRY --to bunseki --contract r8-1"
    );
    let under = format!(
        "handover request --recording {RECORDING} --purpose STATUTE --medium USB-12 --request {case}"
    );
    vec![
        act(
            "kacho",
            &contract,
            "--purpose",
            "add_contract",
            "PURPOSE_REQUIRED",
        ),
        act(
            "kanri",
            &contract,
            None,
            "add_contract",
            "ROLE_NOT_PERMITTED",
        ),
        act(
            "kacho",
            &format!("{contract} --purpose MARKETING"),
            None,
            "add_contract",
            "PURPOSE_NOT_PERMITTED",
        ),
        act(
            "kacho",
            &hold,
            "--case",
            "request_hold",
            "DECISION_REQUIRED",
        ),
        act(
            "kacho",
            &format!("{hold} --case {case}"),
            "--ground",
            "request_hold",
            "LEGAL_BASIS_REQUIRED",
        ),
        act(
            "kacho",
            &format!("people deputise kanri {days}"),
            "--basis",
            "deputise",
            "LEGAL_BASIS_REQUIRED",
        ),
        act(
            "kacho",
            &format!("people train hanako --on {today}"),
            "--course",
            "train",
            "PARTICULARS_REQUIRED",
        ),
        act(
            "kacho",
            &format!("vendors attest bunseki --until {today}"),
            "--kind",
            "attest_vendor",
            "PARTICULARS_REQUIRED",
        ),
        act(
            "kacho",
            &format!("numbers decide 0783331000 --review {today}"),
            "--means",
            "decide_waiver",
            "LEGAL_BASIS_REQUIRED",
        ),
        act(
            "kacho",
            &format!("numbers decide 0783331000 --review {today}"),
            "--law",
            "decide_waiver",
            "LEGAL_BASIS_REQUIRED",
        ),
        act(
            "kacho",
            &format!("requests decide {case} --approve"),
            "--reason",
            "decide_request",
            "REASON_REQUIRED",
        ),
        act(
            "kacho",
            "policy decide --measure 措置",
            "--basis",
            "decide_measure",
            "LEGAL_BASIS_REQUIRED",
        ),
        act(
            "kacho",
            "policy decide --basis 条例",
            "--measure",
            "decide_measure",
            "PARTICULARS_REQUIRED",
        ),
        act(
            "kacho",
            &format!("audit forget --yes --through {LONG_AGO}"),
            "--decision",
            "forget_months",
            "DECISION_REQUIRED",
        ),
        act(
            "hanako",
            &package,
            "--medium",
            "request_hand_over",
            "PARTICULARS_REQUIRED",
        ),
        act(
            "hanako",
            &under,
            "--receiver",
            "request_hand_over",
            "PARTICULARS_REQUIRED",
        ),
        act(
            "hanako",
            &format!("handover give {hand_over}"),
            "--receiver",
            "give_hand_over",
            "PARTICULARS_REQUIRED",
        ),
        act(
            "kacho",
            &format!("handover decide {hand_over} --approve"),
            "--reason",
            "decide_hand_over",
            "REASON_REQUIRED",
        ),
        act(
            "",
            "emergency declare",
            "--reason",
            "declare_emergency",
            "REASON_REQUIRED",
        ),
        act(
            "",
            "people acknowledge",
            None,
            "acknowledge",
            "PERSON_UNKNOWN",
        ),
        act(
            "",
            "requests open --kind statute",
            None,
            "open_request",
            "PERSON_UNKNOWN",
        ),
    ]
}

#[test]
fn what_an_act_must_say_and_does_not_is_refused_with_its_clause_and_written_down() {
    let house = house();
    let mut asked: Vec<String> = Vec::new();
    for act in acts() {
        let option = act.option.into_iter().collect::<Vec<_>>();
        let blank = option
            .iter()
            .map(|option| vec![*option, "\u{3000}\u{200b}"]);
        for more in [Vec::new()].into_iter().chain(blank) {
            let command = act.command.iter().map(String::as_str);
            let command: Vec<&str> = command.chain(more).chain(["--json"]).collect();
            let refused = match act.by {
                Some(by) => house.by(by, &command),
                None => house.denwaban(&command),
            };
            assert_eq!(
                refused.status.code(),
                Some(3),
                "{command:?} {}",
                text(&refused)
            );
            let told: Value = serde_json::from_slice(&refused.stderr).unwrap();
            assert_eq!(told["code"], act.code, "{command:?}");
            assert!(!told["clause"].as_str().unwrap().is_empty(), "{command:?}");
            asked.push(entry(act.action, act.code));
        }
    }
    let confirmed = ["dispose", "--due", "--confirm-clock", " ", "--json"];
    let refused = house.by("kacho", &confirmed);
    assert_eq!(refused.status.code(), Some(3), "{}", text(&refused));
    asked.push(entry("confirm_clock", "REASON_REQUIRED"));
    is_written_down(&house, &asked);
}

#[test]
fn a_program_that_skips_our_command_line_is_refused_as_the_command_is() {
    let mut house = house();
    house.run();
    let case = CaseId::new(Timestamp::now(), 7);
    let hand_over = HandOverId::new(Timestamp::now(), 7);
    let today = JstDay::of(Timestamp::now());
    let period = json!({"from": today, "until": today});
    let register = |ask: Value| json!({"people": {"ask": {"register": ask}}});
    let handed = |ask: Value| json!({"hand_over": {"ask": ask}});
    let mut asked = Vec::new();
    for (request, place, action, code) in [
        (
            register(json!({"forget": {"through": LONG_AGO, "step": {"remove": {}}}})),
            "/people/ask/register/forget/step/remove/decision",
            "forget_months",
            "DECISION_REQUIRED",
        ),
        (
            register(json!({"deputise": {"person": "kanri", "period": period}})),
            "/people/ask/register/deputise/basis",
            "deputise",
            "LEGAL_BASIS_REQUIRED",
        ),
        (
            register(json!({"train": {"person": "hanako", "on": today}})),
            "/people/ask/register/train/course",
            "train",
            "PARTICULARS_REQUIRED",
        ),
        (
            register(json!({"request": {"decide": {"case": case, "verdict": "approved"}}})),
            "/people/ask/register/request/decide/reason",
            "decide_request",
            "REASON_REQUIRED",
        ),
        (
            register(json!({"hold": {"request": {"recordings": [RECORDING]}}})),
            "/people/ask/register/hold/request/case",
            "request_hold",
            "DECISION_REQUIRED",
        ),
        (
            register(json!({"hold": {"request": {"recordings": [RECORDING], "case": case}}})),
            "/people/ask/register/hold/request/ground",
            "request_hold",
            "LEGAL_BASIS_REQUIRED",
        ),
        (
            register(
                json!({"number": {"decide": {"number": "0783331000", "basis": "law", "review": today}}}),
            ),
            "/people/ask/register/number/decide/text",
            "decide_waiver",
            "LEGAL_BASIS_REQUIRED",
        ),
        (
            register(json!({"decide_measure": {"basis": "条例"}})),
            "/people/ask/register/decide_measure/measure",
            "decide_measure",
            "PARTICULARS_REQUIRED",
        ),
        (
            handed(json!({"decide": {"hand_over": hand_over, "verdict": "approved"}})),
            "/hand_over/ask/decide/reason",
            "decide_hand_over",
            "REASON_REQUIRED",
        ),
    ] {
        for blank in [None, Some("\n ")] {
            let mut request = request.clone();
            if let Some(blank) = blank {
                let (within, name) = place.rsplit_once('/').unwrap();
                request.pointer_mut(within).unwrap()[name] = blank.into();
            }
            let answer = ask_raw(&house, request);
            assert_eq!(answer["refused"]["code"], code, "{place}: {answer}");
            asked.push(entry(action, code));
        }
    }
    is_written_down(&house, &asked);
}

fn entry(action: &str, code: &str) -> String {
    format!("\"action_refused\",\"action\":\"{action}\",\"code\":\"{code}\"")
}

/// Each as often as it was refused.
fn is_written_down(house: &House, asked: &[String]) {
    let trail = text(&house.by("kacho", &["audit", "list"]));
    for entry in asked {
        let count = asked.iter().filter(|other| *other == entry).count();
        assert_eq!(trail.matches(entry).count(), count, "{entry}\n{trail}");
    }
}

/// What the office answers to a line that no command wrote, by the manager.
fn ask_raw(house: &House, mut request: Value) -> Value {
    let password = fs::read_to_string(house.dir().join("kacho.password")).unwrap();
    let proof = json!({"person": "kacho", "password": password.trim(), "code": null});
    let ask = request
        .as_object_mut()
        .unwrap()
        .values_mut()
        .next()
        .unwrap();
    ask["proof"] = json!({ "password": proof });
    let socket = house.dir().join("data/office/socket");
    let mut office = BufReader::new(UnixStream::connect(socket).unwrap());
    writeln!(office.get_mut(), "{request}").unwrap();
    let mut answer = String::new();
    office.read_line(&mut answer).unwrap();
    serde_json::from_str(&answer).unwrap()
}
