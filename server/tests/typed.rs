//! What people type: a text of a record is one line of a length that is told, and nothing that is shown steers a terminal.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

mod common;

use std::{
    fs,
    io::{Read, Write},
    os::unix::net::UnixStream,
    path::Path,
    process::Command,
};

use common::{House, text};
use serde_json::Value;

const RECORDING: &str = "01M87149FV0000000000000002";
/// What a forger types: a second line that looks like one of the list's own, and what clears a screen or turns the writing.
const FORGED: [&str; 3] = [
    "法\n01M8ZZZZZZZZZZZZZZZZZZZZZZ statute approved 市長室 偽",
    "\x1b[2J\x1b[31m赤",
    "\u{202e}認承",
];

/// A house with a manager, an administrator and an assistant.
fn house() -> House {
    let house = House::init(&[]);
    house.found();
    house.enlist("hanako", "assistant");
    house
}

#[test]
fn a_text_of_a_record_that_is_not_one_line_is_refused_by_its_clause_and_written_down() {
    let house = house();
    let open = format!("requests open --kind statute --document 文1 --recording {RECORDING}");
    let acts = [
        (
            "hanako",
            format!("{open} --requester 署"),
            "--basis",
            "LEGAL_BASIS_REQUIRED",
            "open_request",
        ),
        (
            "hanako",
            format!("{open} --basis 法"),
            "--requester",
            "LEGAL_BASIS_REQUIRED",
            "open_request",
        ),
        (
            "kacho",
            "people add taro --role assistant --unit 課".to_owned(),
            "--name",
            "PARTICULARS_REQUIRED",
            "add_person",
        ),
        (
            "kacho",
            "people train hanako --on 2026-11-01".to_owned(),
            "--course",
            "PARTICULARS_REQUIRED",
            "train",
        ),
        (
            "",
            "emergency declare".to_owned(),
            "--reason",
            "REASON_REQUIRED",
            "declare_emergency",
        ),
    ];
    let mut expected = Vec::new();
    for (by, command, option, code, action) in &acts {
        for forged in FORGED {
            let command: Vec<&str> = command
                .split(' ')
                .chain([*option, forged, "--json"])
                .collect();
            let refused = match by.is_empty() {
                true => house.denwaban(&command),
                false => house.by(by, &command),
            };
            assert_eq!(
                refused.status.code(),
                Some(3),
                "{command:?} {}",
                text(&refused)
            );
            let told: Value = serde_json::from_slice(&refused.stderr).unwrap();
            assert_eq!(told["code"], *code, "{command:?}");
            assert!(!told["clause"].as_str().unwrap().is_empty());
            assert!(told["ja"].as_str().unwrap().contains("1行"), "{told}");
            expected.push(format!(
                "\"action_refused\",\"action\":\"{action}\",\"code\":\"{code}\""
            ));
        }
    }
    let trail = text(&house.by("kacho", &["audit", "list"]));
    for entry in &expected {
        let count = expected.iter().filter(|other| *other == entry).count();
        assert_eq!(
            trail.matches(entry.as_str()).count(),
            count,
            "{entry}\n{trail}"
        );
    }
}

#[test]
fn no_text_steers_the_terminal_of_whoever_reads_it() {
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("\x1b[2J\u{202e}.toml");
    let told = checked(&config);
    assert!(told.contains("/\\u{1b}[2J\\u{202e}.toml"), "{told}");
    fs::write(&config, "a = \"\x1b[2J\u{202e}\"\n").unwrap();
    let told = checked(&config);
    assert!(!told.contains(['\x1b', '\u{202e}']), "{told}");
}

/// What `check` says of a configuration.
fn checked(config: &Path) -> String {
    let mut program = Command::new(env!("CARGO_BIN_EXE_denwaban"));
    let checked = program.args(["check", "--config"]).arg(config).output();
    text(&checked.unwrap())
}

#[test]
fn a_command_line_that_cannot_be_read_is_told_in_japanese_and_to_programs_as_one_object() {
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("denwaban.toml");
    let said = |arguments: &[&str]| {
        let mut program = Command::new(env!("CARGO_BIN_EXE_denwaban"));
        let said = program.args(arguments).arg("--config").arg(&config);
        let said = said.output().unwrap();
        assert_eq!(said.status.code(), Some(2), "{}", text(&said));
        text(&said)
    };
    let long = "法".repeat(30_000);
    let open = ["requests", "open", "--kind", "statute", "--basis"];
    let told = said(&[&open[..], &[&long]].concat());
    let first = told.lines().next().unwrap();
    assert_eq!(
        first,
        "使い方が違います。--basis <BASIS> の値を読めません。--help を見てください。"
    );
    assert!(told.contains("2000"), "{told}");
    assert!(told.len() < 2_000, "{} bytes", told.len());
    let forged = said(&["requests", "open", "--kind", "\x1b[2J"]);
    assert!(!forged.contains('\x1b'), "{forged}");
    for wrong in [
        &["requests", "open", "--json"][..],
        &["calls", "--nothing", "--json"],
        &["nothing", "--json"],
        &["requests", "open", "--kind", "x", "--json"],
    ] {
        let told = said(wrong);
        let told: Value = serde_json::from_str(&told).unwrap();
        assert_eq!(
            (&told["code"], &told["status"]),
            (&"USAGE".into(), &400.into())
        );
        assert!(
            told["ja"]
                .as_str()
                .unwrap()
                .starts_with("使い方が違います。")
        );
    }
    let told = said(&["check", "--json"]);
    let told: Value = serde_json::from_str(&told).unwrap();
    assert_eq!(
        (&told["code"], &told["status"]),
        (&"USAGE".into(), &400.into())
    );
}

#[test]
fn a_number_is_typed_as_a_japanese_keyboard_types_it_and_an_id_is_no_number() {
    let mut house = house();
    let declared = house.done(&[
        "emergency",
        "declare",
        "--reason",
        "訓練",
        "--scope",
        "０７８－３３３－１０００",
    ]);
    assert!(
        text(&declared).contains("+81-78-***-**00"),
        "{}",
        text(&declared)
    );
    let find = [
        "recordings",
        "find",
        "--purpose",
        "STAFF_CHECK",
        "--json",
        "--caller",
    ];
    let unread = house.by("kacho", &[&find[..], &["九〇"]].concat());
    let told: Value = serde_json::from_slice(&unread.stderr).unwrap();
    assert_eq!(
        (&told["code"], &told["status"]),
        (&"USAGE".into(), &400.into())
    );
    assert!(
        told["ja"].as_str().unwrap().contains("078-333-1000"),
        "{told}"
    );
    for id in ["09012345678", "090-1234-5678"] {
        let add = [
            "people",
            "add",
            id,
            "--role",
            "assistant",
            "--unit",
            "課",
            "--json",
        ];
        let refused = house.by("kacho", &add);
        assert_eq!(refused.status.code(), Some(1), "{}", text(&refused));
        assert!(!text(&refused).contains(id));
    }
    let unknown = house.by("kacho", &["holds", "release", RECORDING, "--json"]);
    let told: Value = serde_json::from_slice(&unknown.stderr).unwrap();
    assert_eq!(
        (&told["code"], &told["status"]),
        (&"NOT_FOUND".into(), &404.into())
    );
    house.run();
    let long = format!("{{\"too_long\":\"{}\"}}\n", "x".repeat(70_000));
    let socket = house.dir().join("data/office/socket");
    let mut office = UnixStream::connect(socket).unwrap();
    // Whoever hears no more than it takes may end the conversation before the last octet.
    let _ = office.write_all(long.as_bytes());
    let mut answer = String::new();
    let _ = office.read_to_string(&mut answer);
    assert!(answer.contains("65536"), "{answer}");
}
