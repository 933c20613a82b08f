//! Calls over real sockets through the whole house: what the parties hear, and what is kept of it.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

mod common;

use std::{fs, time::Duration};

use common::{
    House,
    telephone::{Dialog, Telephone, Voice},
    text, wait_for,
};

/// What the caller says, and what the department says, each as one mu-law value.
const CALLER: u8 = 0x21;
const CITY: u8 = 0x47;
/// The same as 16-bit samples (ITU-T G.711 table 2a: 0x21 is segment 6, 0x47 is segment 4, both negative halves).
const CALLER_LINEAR: i16 = mu_law(CALLER);
const CITY_LINEAR: i16 = mu_law(CITY);

const fn mu_law(byte: u8) -> i16 {
    let bits = !byte;
    let magnitude = ((((bits & 0x0f) as i16) << 3) + 0x84) << ((bits >> 4) & 7);
    let linear = magnitude - 0x84;
    if bits & 0x80 == 0 { linear } else { -linear }
}

/// Half a second of G.711.
const HALF_SECOND: usize = 4_000;

fn parties(house: &House) -> (Telephone, Telephone) {
    let sip = (house.addresses.house, 5060).into();
    (
        Telephone::new(house.addresses.carrier, 0, sip),
        Telephone::new(house.addresses.pbx, 5062, sip),
    )
}

/// A call in which both parties speak.
struct Talk {
    dialog: Dialog,
    citizen: Voice,
    officer: Voice,
}

/// In the transparent profile the department answers before the caller does.
fn connect_transparently(caller: &Telephone, department: &Telephone, call_id: &str) -> Talk {
    caller.invite(call_id);
    let invite = department.pick_up();
    let officer = department.speak(invite.media(), CITY);
    let dialog = caller.answered(call_id);
    let citizen = caller.speak(dialog.answer.media(), CALLER);
    Talk {
        dialog,
        citizen,
        officer,
    }
}

/// In the announce profile the caller is answered before the department is called.
fn connect_announced(caller: &Telephone, department: &Telephone, call_id: &str) -> Talk {
    caller.invite(call_id);
    let dialog = caller.answered(call_id);
    let citizen = caller.speak(dialog.answer.media(), CALLER);
    let invite = department.pick_up();
    let officer = department.speak(invite.media(), CITY);
    Talk {
        dialog,
        citizen,
        officer,
    }
}

fn hear_each_other(talk: &Talk) {
    wait_for("both voices at the other end", || {
        (talk.citizen.heard(CITY) > 2 * HALF_SECOND && talk.officer.heard(CALLER) > 2 * HALF_SECOND)
            .then_some(())
    });
}

fn hang_up(caller: &Telephone, department: &Telephone, talk: &Talk) {
    caller.hang_up(&talk.dialog);
    let bye = department.expect("BYE");
    department.respond(&bye, "200 OK", false);
}

#[test]
fn an_announced_call_is_connected_after_the_notice_and_both_voices_are_kept_for_whoever_may_listen()
{
    let mut house = House::init(&["--profile", "announce"]);
    house.found();
    house.enlist("yamada.hanako", "assistant");
    house.enlist("sato.taro", "operator");
    house.run();
    let (caller, department) = parties(&house);
    let talk = connect_announced(&caller, &department, "announced");
    hear_each_other(&talk);
    hang_up(&caller, &department, &talk);

    let row = house.row("a sealed recording", &[], |row| row["state"] == "sealed");
    assert_eq!(row["called"], "+81783331000");
    assert_eq!(row["caller"], "number");
    assert_eq!(row["notice"], "announced");
    assert!(row["duration_ms"].as_u64().unwrap() >= 1_000, "{row}");
    assert!(
        row["started_at"].as_str().unwrap().ends_with("+09:00"),
        "{row}"
    );
    let keys: Vec<&str> = row
        .as_object()
        .unwrap()
        .keys()
        .map(String::as_str)
        .collect();
    let mut expected = [
        "id",
        "call_id",
        "called",
        "caller",
        "started_at",
        "expires_at",
        "duration_ms",
        "state",
        "notice",
        "gaps_ms",
    ]
    .to_vec();
    expected.sort_unstable();
    let mut sorted = keys.clone();
    sorted.sort_unstable();
    assert_eq!(sorted, expected);
    exports(&house, row["id"].as_str().unwrap());

    let verified = house.denwaban(&["audit", "verify"]);
    assert!(verified.status.success(), "{}", text(&verified));
    house.terminate();
    let checked = house.denwaban(&["check"]);
    assert!(checked.status.success(), "{}", text(&checked));
}

/// Whoever may not listen gets a clause and no file; whoever may gets both channels.
fn exports(house: &House, id: &str) {
    let wav = house.dir().join("call.wav");
    let export = |person: Option<&str>, more: &[&str]| {
        let out = wav.to_str().unwrap();
        let arguments = [&["recordings", "export", id, "--out", out], more].concat();
        match person {
            Some(person) => house.by(person, &arguments),
            None => house.denwaban(&arguments),
        }
    };
    let (hanako, taro) = (Some("yamada.hanako"), Some("sato.taro"));
    for (person, arguments, says) in [
        (hanako, &[][..], "PURPOSE_REQUIRED"),
        (hanako, &["--purpose", "CURIOSITY"], "PURPOSE_NOT_PERMITTED"),
        (hanako, &["--purpose", "STATUTE"], "PURPOSE_NOT_PERMITTED"),
        (taro, &["--purpose", "STAFF_CHECK"], "ROLE_NOT_PERMITTED"),
        (
            Some("kanri"),
            &["--purpose", "STAFF_CHECK"],
            "ROLE_NOT_PERMITTED",
        ),
        // An id proves nobody, and neither does nothing.
        (
            None,
            &["--purpose", "STAFF_CHECK", "--as", "yamada.hanako"],
            "PERSON_UNKNOWN",
        ),
        (None, &["--purpose", "STAFF_CHECK"], "--password-file"),
    ] {
        let refused = export(person, arguments);
        let said = text(&refused);
        assert_eq!(refused.status.code(), Some(3), "{arguments:?}: {said}");
        assert!(said.contains(says), "{arguments:?}: {said}");
        assert!(said.contains("により"), "the clause in Japanese: {said}");
        assert!(!wav.exists());
    }
    let granted = ["--purpose", "ANALYSIS_COMPLAINT"];
    let done = export(hanako, &granted);
    assert_eq!(
        done.status.code(),
        Some(0),
        "{}{}",
        text(&done),
        house.log()
    );
    let mode = std::os::unix::fs::PermissionsExt::mode(&fs::metadata(&wav).unwrap().permissions());
    assert_eq!(mode & 0o777, 0o600);
    let mut reader = hound::WavReader::open(&wav).unwrap();
    let spec = reader.spec();
    assert_eq!(
        (spec.channels, spec.sample_rate, spec.bits_per_sample),
        (2, 8_000, 16)
    );
    let samples: Vec<i16> = reader.samples().map(Result::unwrap).collect();
    let said = |channel: usize, value: i16| {
        samples
            .iter()
            .skip(channel)
            .step_by(2)
            .filter(|sample| **sample == value)
            .count()
    };
    assert!(said(0, CALLER_LINEAR) >= HALF_SECOND, "the caller is left");
    assert!(said(1, CITY_LINEAR) >= HALF_SECOND, "the city is right");
    assert_eq!(
        (said(0, CITY_LINEAR), said(1, CALLER_LINEAR)),
        (0, 0),
        "nobody is in the other's channel"
    );

    let again = export(hanako, &granted);
    assert_eq!(
        again.status.code(),
        Some(1),
        "an existing file is never overwritten: {}",
        text(&again)
    );
}

#[test]
fn a_waiver_records_a_transparent_call_and_without_one_it_is_connected_unrecorded() {
    let mut house = House::init(&["--profile", "transparent"]);
    house.run();
    let (caller, department) = parties(&house);
    let talk = connect_transparently(&caller, &department, "plain");
    hear_each_other(&talk);
    hang_up(&caller, &department, &talk);
    let row = house.row("an unrecorded call", &["--all"], |row| {
        row["state"] == "unrecorded"
    });
    assert_eq!(
        (&row["reason"], &row["id"]),
        (&"NO_WAIVER".into(), &serde_json::Value::Null)
    );
    assert_eq!(
        house.rows(&[]),
        [] as [serde_json::Value; 0],
        "without --all only recordings are listed"
    );

    let mut house = House::init(&["--profile", "transparent", "--waiver", "広報第12号"]);
    house.run();
    let (caller, department) = parties(&house);
    let talk = connect_transparently(&caller, &department, "waived");
    hear_each_other(&talk);
    hang_up(&caller, &department, &talk);
    let row = house.row("a sealed recording", &[], |row| row["state"] == "sealed");
    assert_eq!(row["notice"], "decision");
    let checked = house.denwaban(&["check"]);
    assert!(
        text(&checked).contains("広報第12号"),
        "check names the unconfirmed decision: {}",
        text(&checked)
    );
}

#[test]
fn an_emergency_declared_through_the_socket_counts_for_the_next_call_and_survives_a_restart() {
    let mut house = House::init(&["--profile", "announce"]);
    house.run();
    let without_reason = house.denwaban(&["emergency", "declare", "--scope", "all"]);
    assert_eq!(
        without_reason.status.code(),
        Some(3),
        "{}",
        text(&without_reason)
    );
    let declared = house.denwaban(&[
        "emergency",
        "declare",
        "--scope",
        "all",
        "--reason",
        "台風第10号",
        "--for",
        "1h",
    ]);
    assert!(declared.status.success(), "{}", text(&declared));

    let (caller, department) = parties(&house);
    let talk = connect_transparently(&caller, &department, "emergency");
    hear_each_other(&talk);
    hang_up(&caller, &department, &talk);
    let row = house.row("a sealed recording", &[], |row| row["state"] == "sealed");
    assert_eq!(row["notice"], "emergency");

    house.kill();
    house.run();
    let status = house.denwaban(&["emergency", "status"]);
    assert!(text(&status).contains("台風第10号"), "{}", text(&status));
    house.terminate();
    let lifted = house.denwaban(&["emergency", "lift"]);
    assert!(
        lifted.status.success(),
        "no server runs, the command does it itself: {}",
        text(&lifted)
    );
    let status = house.denwaban(&["emergency", "status"]);
    assert!(!text(&status).contains("台風第10号"), "{}", text(&status));
    let verified = house.denwaban(&["audit", "verify"]);
    assert!(verified.status.success(), "{}", text(&verified));
}

#[test]
fn a_killed_server_loses_at_most_a_second_and_the_next_start_recovers_the_rest() {
    let mut house = House::init(&["--profile", "transparent", "--waiver", "広報第12号"]);
    house.run();
    let (caller, department) = parties(&house);
    let talk = connect_transparently(&caller, &department, "killed");
    wait_for("three seconds of speech", || {
        (talk.officer.heard(CALLER) > 6 * HALF_SECOND).then_some(())
    });
    let spoken_ms = u64::try_from(talk.officer.heard(CALLER)).unwrap() / 8;
    house.kill();
    drop(talk);
    house.run();
    let row = house.row("a recovered recording", &[], |row| {
        row["state"] == "recovered"
    });
    let kept_ms = row["duration_ms"].as_u64().unwrap();
    assert!(
        kept_ms + 1_000 >= spoken_ms,
        "kept {kept_ms} ms of {spoken_ms} ms"
    );
}

#[test]
fn sigterm_ends_a_call_with_bye_and_seals_it_within_five_seconds() {
    let mut house = House::init(&["--profile", "transparent", "--waiver", "広報第12号"]);
    house.run();
    let (caller, department) = parties(&house);
    let talk = connect_transparently(&caller, &department, "terminated");
    hear_each_other(&talk);
    // The department never answers its BYE: the house does not wait for it beyond its time.
    let took = house.terminate();
    assert!(took < Duration::from_secs(5), "{took:?}");
    caller.expect("BYE");
    department.expect("BYE");
    let rows = house.rows(&[]);
    assert_eq!(rows.len(), 1);
    assert_eq!(rows[0]["state"], "sealed", "{rows:?}");
}

#[test]
fn a_stranger_gets_no_byte_back_and_a_peer_gets_its_options_answered() {
    let mut house = House::init(&["--profile", "announce"]);
    house.run();
    let sip = (house.addresses.house, 5060).into();
    let stranger = Telephone::new("127.0.0.1".parse().unwrap(), 0, sip);
    stranger.options();
    stranger.send("not SIP at all\r\n\r\n");
    let carrier = Telephone::new(house.addresses.carrier, 0, sip);
    carrier.options();
    carrier.expect("SIP/2.0 200");
    // The peer's answer came after the stranger's question was read, so silence is the answer to it.
    assert!(!stranger.hears_within(Duration::from_millis(200)));
}
