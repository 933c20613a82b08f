//! A right that ends while somebody hears: the day is over, or the recording is destroyed by decision. The sound stops, and answer and entry say why.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

mod common;

use std::{
    fs,
    io::Read,
    process::{Command, Output, Stdio},
};

use common::{
    House,
    hand_over::{code, field},
    telephone, text,
};
use jiff::{SignedDuration, Timestamp};
use rules::JstDay;
use serde_json::Value;

/// Twelve seconds of a call.
const SAMPLES: usize = 96_000;

/// A house with a manager, an assistant, and a recording of twelve seconds that is kept for a day.
fn house() -> (House, String) {
    let mut house = House::init(&["--profile", "transparent", "--waiver", "広報第12号"]);
    let config = fs::read_to_string(house.config()).unwrap();
    fs::write(house.config(), config.replace("days = 89", "days = 1")).unwrap();
    house.found();
    house.enlist("hanako", "assistant");
    let today = JstDay::of(Timestamp::now()).to_string();
    let days = ["--from", &today, "--until", "2099-12-31"];
    let designate = [&["people", "designate", "hanako"], &days[..]].concat();
    assert!(house.by("kacho", &designate).status.success());
    house.run();
    telephone::call(&house, "long", SAMPLES);
    let row = house.row("a sealed recording", &[], |row| row["state"] == "sealed");
    let recording = row["id"].as_str().unwrap().to_owned();
    (house, recording)
}

/// The command that plays a recording to the assistant.
fn play(house: &House, recording: &str) -> Command {
    let play = ["recordings", "play", recording, "--purpose", "STAFF_CHECK"];
    let mut command = house.command(&play);
    command.arg("--json").args(house.proof("hanako"));
    command
}

/// It was cut by the end of its retention, with something of it sent and not all.
fn check_that_it_was_cut(house: &House, played: &Output) {
    assert_eq!(code(played), "DISPOSED");
    let refusal: Value = serde_json::from_slice(&played.stderr).unwrap();
    assert_eq!(refusal["status"], 410);
    assert_eq!(refusal["clause"], "要領第5条第6項");
    let trail = house.by("kacho", &["audit", "list", "--json"]);
    let trail = String::from_utf8(trail.stdout).unwrap();
    let ended = trail.lines().find(|line| line.contains("playback_ended"));
    let ended = ended.unwrap_or_else(|| panic!("{trail}"));
    assert!(ended.contains("\"cut\":\"DISPOSED\""), "{ended}");
    let sent = played.stdout.len() as u64;
    let all = SAMPLES as u64 * 4;
    assert!((44..all).contains(&sent), "{sent} of {all} octets");
}

#[test]
fn the_end_of_its_day_stops_a_recording_that_is_being_heard_with_410() {
    let (mut house, recording) = house();
    house.terminate();
    let midnight = JstDay::of(Timestamp::now()).next().start();
    let eve = midnight - SignedDuration::from_secs(10);
    let play = play(&house, &recording);

    let played = Command::new("faketime")
        .env("TZ", "UTC")
        .arg(eve.strftime("%Y-%m-%d %H:%M:%S").to_string())
        .arg(play.get_program())
        .args(play.get_args())
        .env("HOME", house.dir())
        .env_remove("XDG_RUNTIME_DIR")
        .output()
        .unwrap();

    check_that_it_was_cut(&house, &played);
}

#[test]
fn a_disposal_by_decision_stops_a_recording_that_is_being_heard_with_410() {
    let (house, recording) = house();
    let open = [
        "requests",
        "open",
        "--kind",
        "subject",
        "--basis",
        "個人情報の保護に関する法律第98条",
        "--requester",
        "試験 花子",
        "--document",
        "試発第1号",
        "--recording",
        &recording,
        "--json",
    ];
    let case = field(&house.by("hanako", &open), "id");
    let approve = ["--approve", "--reason", "本人を確認"];
    let decide = [&["requests", "decide", &case], &approve[..]].concat();
    let decided = house.by("kacho", &decide);
    assert!(decided.status.success(), "{}", text(&decided));
    house.by("kacho", &["login"]);
    let mut player = play(&house, &recording)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut sound = player.stdout.take().unwrap();
    let mut first = vec![0; 1_000];
    sound.read_exact(&mut first).unwrap();

    house.done(&["dispose", "--one", &recording, "--decision", &case]);

    let mut rest = Vec::new();
    sound.read_to_end(&mut rest).unwrap();
    let mut played = player.wait_with_output().unwrap();
    played.stdout = [first, rest].concat();
    check_that_it_was_cut(&house, &played);
}
