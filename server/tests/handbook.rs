//! The handbook of the city's staff: whoever types what stands there gets what it says.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

mod common;

use std::{
    env,
    fs::{self, Permissions},
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::Command,
};

use common::{House, telephone, text};
use serde_json::Value;

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

/// Types in what stands in the handbook; `denwaban` is the one in this folder.
fn work_through(house: &House, programs: &Path) {
    let file = house.dir().join("handbook.sh");
    fs::write(&file, script()).unwrap();
    let others = env::var_os("PATH").unwrap();
    let folders = [PathBuf::from(programs)].into_iter();
    let path = env::join_paths(folders.chain(env::split_paths(&others))).unwrap();
    let output = Command::new("bash")
        .arg(&file)
        .current_dir(house.dir())
        .env("PATH", path)
        .env("HOME", house.dir())
        .env("TZ", "Asia/Tokyo")
        .env_remove("XDG_RUNTIME_DIR")
        .output()
        .unwrap();
    assert!(output.status.success(), "{}{}", text(&output), house.log());
}

#[test]
fn whatever_the_handbook_says_can_be_done_as_it_stands_there() {
    let mut house = House::init(&["--profile", "transparent", "--waiver", "広報第12号"]);
    house.run();
    telephone::call(&house, "handbook", HALF_SECOND);
    house.row("a sealed recording", &[], |row| row["state"] == "sealed");
    let program = Path::new(env!("CARGO_BIN_EXE_denwaban"));
    work_through(&house, program.parent().unwrap());
}

#[test]
fn the_handbook_has_a_frame_for_every_command() {
    let script = script();
    let has_frame = |command: &&str| {
        [" ", "\n", "\""]
            .iter()
            .any(|end| script.contains(&format!("denwaban {command}{end}")))
    };
    let commands = include_str!("commands.table")
        .lines()
        .filter(|line| !line.starts_with('#'));
    let commands = commands.map(|line| line[..30].trim()).chain(FORMS);
    let missing: Vec<&str> = commands
        .filter(|command| !BESIDE.contains(command))
        .filter(|command| !has_frame(command))
        .collect();
    assert!(missing.is_empty(), "without a frame: {missing:?}");
}

/// What one command does in more than one way.
const FORMS: [&str; 6] = [
    "dispose --plan",
    "dispose --due",
    "dispose --due --confirm-clock",
    "dispose --one",
    "keys rotate --signing",
    "password --for",
];

/// What is done before the handbook begins or while nothing runs, or needs an authenticator or a lost volume; each has a test of its own.
const BESIDE: [&str; 6] = [
    "init",
    "run",
    "demo",
    "dispose",
    "totp confirm",
    "keys recover",
];

/// The program, asked for JSON whatever is asked, and kept with what it said. What the next command reads as text is asked again; sound is no text.
const SHIM: &str = r#"#!/bin/bash
set -o pipefail
case "$1 $2 $* " in
    "recordings play"*) exec PROGRAM "$@" ;;
    *" --json "*) PROGRAM "$@" | tee -p -a LINES ;;
    "keys public"* | "audit head"*) PROGRAM "$@" --json >> LINES && exec PROGRAM "$@" ;;
    *) PROGRAM "$@" --json | tee -p -a LINES ;;
esac
"#;

#[test]
fn whatever_a_command_says_to_a_program_is_an_object_a_line_in_the_citys_time() {
    let mut house = House::init(&["--profile", "transparent", "--waiver", "広報第12号"]);
    house.run();
    telephone::call(&house, "handbook", HALF_SECOND);
    house.row("a sealed recording", &[], |row| row["state"] == "sealed");
    let (shims, lines) = (house.dir().join("shims"), house.dir().join("lines"));
    fs::create_dir(&shims).unwrap();
    let shim = SHIM.replace("PROGRAM", env!("CARGO_BIN_EXE_denwaban"));
    let shim = shim.replace("LINES", lines.to_str().unwrap());
    fs::write(shims.join("denwaban"), shim).unwrap();
    fs::set_permissions(shims.join("denwaban"), Permissions::from_mode(0o700)).unwrap();

    work_through(&house, &shims);

    let said = fs::read_to_string(lines).unwrap();
    for line in said.lines() {
        let object: Result<serde_json::Map<String, Value>, _> = serde_json::from_str(line);
        let object = object.unwrap_or_else(|fault| panic!("{fault}: {line}"));
        assert!(!object.keys().eq(["text"]), "prose is no object: {line}");
        assert!(
            !instants(&Value::Object(object)).any(|at| at.ends_with('Z')),
            "{line}"
        );
    }
    assert!(said.lines().count() > 50, "{said}");
}

/// The strings that are instants and nothing else.
fn instants(value: &Value) -> Box<dyn Iterator<Item = &str> + '_> {
    match value {
        Value::Array(values) => Box::new(values.iter().flat_map(instants)),
        Value::Object(fields) => Box::new(fields.values().flat_map(instants)),
        Value::String(text) => Box::new(
            text.parse::<jiff::Timestamp>()
                .is_ok()
                .then_some(&**text)
                .into_iter(),
        ),
        Value::Null | Value::Bool(_) | Value::Number(_) => Box::new(std::iter::empty()),
    }
}
