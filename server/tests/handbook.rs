//! The handbook of the city's staff: whoever types what stands there gets what it says.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

mod common;

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::Command,
};

use common::{House, telephone::Telephone, text, wait_for};

const HANDBOOK: &str = include_str!("../../docs/ja/handbook.md");

/// Half a second of G.711.
const HALF_SECOND: usize = 4_000;

/// What stands in the frames, one after the other, as one script that stops at the first fault.
fn script() -> String {
    let frames = HANDBOOK.split("```sh\n").skip(1);
    let commands = frames.map(|frame| frame.split("```").next().unwrap());
    let shown = "set -euo pipefail\nset -x\n".to_owned();
    shown + &commands.collect::<String>()
}

/// A recorded call of a second.
fn record(house: &House) {
    let sip = (house.addresses.house, 5060).into();
    let caller = Telephone::new(house.addresses.carrier, 0, sip);
    let department = Telephone::new(house.addresses.pbx, 5062, sip);
    caller.invite("handbook");
    let invite = department.pick_up();
    let officer = department.speak(invite.media(), 0x47);
    let dialog = caller.answered("handbook");
    let citizen = caller.speak(dialog.answer.media(), 0x21);
    wait_for("both voices", || {
        (citizen.heard(0x47) > HALF_SECOND && officer.heard(0x21) > HALF_SECOND).then_some(())
    });
    caller.hang_up(&dialog);
    let bye = department.expect("BYE");
    department.respond(&bye, "200 OK", false);
    house.row("a sealed recording", &[], |row| row["state"] == "sealed");
}

/// The program's own folder before everything else, so that the handbook's `denwaban` is this one.
fn path() -> std::ffi::OsString {
    let own = Path::new(env!("CARGO_BIN_EXE_denwaban")).parent().unwrap();
    let others = env::var_os("PATH").unwrap();
    let folders = [PathBuf::from(own)].into_iter();
    env::join_paths(folders.chain(env::split_paths(&others))).unwrap()
}

#[test]
fn whatever_the_handbook_says_can_be_done_as_it_stands_there() {
    let mut house = House::init(&["--profile", "transparent", "--waiver", "広報第12号"]);
    house.run();
    record(&house);
    let file = house.dir().join("handbook.sh");
    fs::write(&file, script()).unwrap();
    let output = Command::new("bash")
        .arg(&file)
        .current_dir(house.dir())
        .env("PATH", path())
        .env("HOME", house.dir())
        .env("TZ", "Asia/Tokyo")
        .env_remove("XDG_RUNTIME_DIR")
        .output()
        .unwrap();
    assert!(output.status.success(), "{}{}", text(&output), house.log());
}

#[test]
fn the_handbook_has_a_frame_for_every_command_of_the_staff() {
    let output = Command::new(env!("CARGO_BIN_EXE_denwaban"))
        .arg("--help")
        .output()
        .unwrap();
    let help = String::from_utf8(output.stdout).unwrap();
    let commands = help
        .lines()
        .skip_while(|line| !line.starts_with("Commands:"))
        .skip(1)
        .take_while(|line| line.starts_with("  "))
        .filter_map(|line| line.split_whitespace().next());
    let script = script();
    let missing: Vec<&str> = commands
        .filter(|command| !BEFORE_OR_BESIDE.contains(command))
        .filter(|command| !script.contains(&format!("denwaban {command} ")))
        .filter(|command| !script.contains(&format!("denwaban {command}\n")))
        .collect();
    assert!(missing.is_empty(), "without a frame: {missing:?}");
}

/// What is done before the handbook begins, or while nothing runs, or has no place in a script.
const BEFORE_OR_BESIDE: [&str; 6] = ["init", "run", "demo", "call", "totp", "help"];
