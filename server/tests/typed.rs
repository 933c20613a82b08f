//! What people type: a text of a record is one line of a length that is told, and nothing that is shown steers a terminal.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

mod common;

use std::{fs, path::Path, process::Command};

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
