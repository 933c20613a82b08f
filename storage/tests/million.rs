//! A trail of a million entries, and a hand that touches one of them (K-15).
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod common;

use std::{fs, sync::Arc};

use common::{reading::Dice, *};
use rules::{AuditDraft, AuditEvent};
use storage::{AuditTrail, ChainReport, Duty, Layout, OsDisk, verify};

const ENTRIES: usize = 1_000_000;
/// Entries that one sync makes durable.
const BATCH: i64 = 10_000;
const SEED: u64 = 15;

/// What becomes of an entry and the one behind it, and which of the two places is the first bad one.
///
/// It is given both lines, and one from elsewhere.
type Tampering = fn(&str, &str, &str) -> Vec<String>;

const KINDS: [(&str, Tampering, usize); 5] = [
    ("edit", |one, next, _| vec![edited(one), next.into()], 0),
    (
        "insert",
        |one, next, other| vec![other.into(), one.into(), next.into()],
        0,
    ),
    ("delete", |_, next, _| vec![next.into()], 0),
    ("swap", |one, next, _| vec![next.into(), one.into()], 0),
    (
        "duplicate",
        |one, next, _| vec![one.into(), one.into(), next.into()],
        1,
    ),
];

/// Whatever was done and wherever: the first entry that is not as it was written has its number in the report.
#[test]
fn one_of_a_million_entries_that_somebody_touched_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let layout = real_layout(folder.path());
    write(&layout);
    let path = layout.calls_audit().join("2026-11.jsonl");
    let whole = fs::read_to_string(&path).unwrap();
    let lines: Vec<&str> = whole.split_inclusive('\n').collect();
    let report = check(&layout);
    assert!(report.is_whole() && report.entries() == 1_000_000);

    let mut dice = Dice(SEED);
    for (name, tamper, bad) in KINDS {
        // Neither the month's beginning nor the last two.
        let place = 1 + dice.below(ENTRIES - 3);
        let elsewhere = dice.below(ENTRIES);
        let touched = tamper(lines[place], lines[place + 1], lines[elsewhere]);
        let before = lines[..place].concat();
        let behind = lines[place + 2..].concat();
        fs::write(&path, [before, touched.concat(), behind].concat()).unwrap();

        let found = check(&layout).first_bad.unwrap();

        let expected = u64::try_from(place + bad + 1).unwrap();
        assert_eq!(
            (found.seq, found.line),
            (expected, expected),
            "{name}, seed {SEED}: {found}"
        );
    }
}

fn edited(line: &str) -> String {
    line.replacen("\"by_ms\":", "\"by_ms\":1", 1)
}

fn check(layout: &Layout) -> ChainReport {
    verify(&OsDisk, layout, Duty::Calls, &[]).unwrap()
}

fn write(layout: &Layout) {
    let mut trail = AuditTrail::open(Arc::new(OsDisk), layout, Duty::Calls).unwrap();
    // The month's beginning is the first.
    let mut left = i64::try_from(ENTRIES - 1).unwrap();
    while left > 0 {
        let drafts = (0..left.min(BATCH))
            .map(|by_ms| AuditDraft::system(AuditEvent::ClockStepped { by_ms }))
            .collect();
        let receipts = trail.append_all(drafts, now()).unwrap();
        left -= i64::try_from(receipts.len()).unwrap();
    }
}
