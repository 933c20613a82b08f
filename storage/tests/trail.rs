//! The audit trail on a disk that breaks, and under hands that change it.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod common;

use std::{path::PathBuf, sync::Arc};

use common::*;
use jiff::ToSpan;
use rules::{AlarmCode, AuditDraft, AuditEvent};
use storage::{
    AuditFault, AuditTrail, BrokenReason, Disk, Duty, Faults, FirstBad, Layout, MemoryDisk,
    find_newest, last_entry_at, verify,
};

fn draft(number: i64) -> AuditDraft {
    AuditDraft::system(AuditEvent::ClockStepped { by_ms: number })
}

fn open(disk: &MemoryDisk, duty: Duty) -> AuditTrail {
    AuditTrail::open(Arc::new(disk.clone()), &memory_layout(), duty).unwrap()
}

fn check(disk: &MemoryDisk) -> Result<u64, FirstBad> {
    let report = verify(disk, &memory_layout(), Duty::Calls, &[]).unwrap();
    report.first_bad.map_or(Ok(report.end.seq), Err)
}

fn file(layout: &Layout, month: &str) -> PathBuf {
    layout.calls_audit().join(format!("{month}.jsonl"))
}

#[test]
fn a_receipt_is_for_what_the_next_start_finds() {
    let disk = MemoryDisk::new();
    let mut trail = open(&disk, Duty::Calls);
    let receipt = trail.append(draft(1), now()).unwrap();
    let more = trail
        .append_all((2..=40).map(draft).collect(), now())
        .unwrap();
    let syncs = disk.sync_count();

    let after = disk.after_power_cut();
    let mut again = open(&after, Duty::Calls);
    let next = again.append(draft(41), now()).unwrap();

    // The first entry says that the month begins.
    assert_eq!((receipt.seq(), more[38].seq(), next.seq()), (2, 41, 42));
    assert!(receipt.is_for(&draft(1)));
    assert_eq!(check(&after).unwrap(), 42);
    // One sync for the folder of the new file, then one for each of two calls.
    assert_eq!(syncs, 3);
}

#[test]
fn the_chain_goes_on_over_months_and_a_clock_put_back() {
    let disk = MemoryDisk::new();
    let mut trail = open(&disk, Duty::Calls);
    // November, December (in the city's time), and a clock that was put back.
    for at in [now(), now() + 200.hours(), now()] {
        let _ = trail.append(draft(1), at).unwrap();
    }
    let names = disk.list(&memory_layout().calls_audit()).unwrap();
    assert_eq!(names, ["2026-11.jsonl", "2026-12.jsonl"]);
    assert_eq!(check(&disk).unwrap(), 5);
    drop(trail);
    let receipt = open(&disk, Duty::Calls).append(draft(2), now()).unwrap();
    assert_eq!((receipt.seq(), check(&disk).unwrap()), (6, 6));
}

/// Whatever write or sync fails: no receipt without an entry, no entry lost that has a receipt.
#[test]
fn a_failing_disk_gives_no_receipt_and_breaks_no_chain() {
    for k in 1..=9 {
        for is_sync in [false, true] {
            let disk = MemoryDisk::new();
            let mut trail = open(&disk, Duty::Calls);
            disk.set_faults(Faults {
                refused_write: (!is_sync).then_some(k),
                refused_sync: is_sync.then_some(k),
                ..Faults::default()
            });
            let mut durable = 0;
            for number in 0..10 {
                if let Ok(receipt) = trail.append(draft(number), now()) {
                    durable += 1;
                    assert_eq!(receipt.seq(), durable + 1);
                    assert!(check(&disk.after_power_cut()).unwrap() > durable);
                }
            }
            assert_eq!(durable, 9, "k = {k}");
            assert_eq!(check(&disk).unwrap(), durable + 1);
        }
    }
}

/// The month's file cannot be made; then the clock is put back into the month before.
#[test]
fn a_month_that_could_not_begin_costs_nothing_of_the_month_before() {
    let disk = MemoryDisk::new();
    let mut trail = open(&disk, Duty::Calls);
    let eve = now();
    let _ = trail.append(draft(1), eve).unwrap();
    disk.set_faults(Faults {
        refused_sync: Some(disk.sync_count() + 1),
        ..Faults::default()
    });
    trail.append(draft(2), eve + 200.hours()).unwrap_err();

    for (number, at) in [(3, eve), (4, eve + 200.hours()), (5, eve)] {
        let _ = trail.append(draft(number), at).unwrap();
    }

    assert_eq!(check(&disk).unwrap(), 6);
    assert_eq!(open(&disk, Duty::Calls).end(), trail.end());
}

/// An entry was refused, and whoever asked opens the trail anew.
#[test]
fn a_refused_entry_is_not_in_the_chain_that_is_opened_next() {
    for is_sync in [false, true] {
        let disk = MemoryDisk::new();
        let mut trail = open(&disk, Duty::Calls);
        let _ = trail.append(draft(1), now()).unwrap();
        disk.set_faults(Faults {
            refused_write: (!is_sync).then_some(disk.write_count() + 1),
            refused_sync: is_sync.then_some(disk.sync_count() + 1),
            ..Faults::default()
        });
        trail
            .append_all(vec![draft(2), draft(3)], now())
            .unwrap_err();

        assert_eq!(open(&disk, Duty::Calls).end().seq, 2, "sync: {is_sync}");
    }
}

#[test]
fn a_line_cut_anywhere_is_removed_by_the_next_entry_which_tells_of_it() {
    let disk = MemoryDisk::new();
    let mut trail = open(&disk, Duty::Calls);
    for number in 0..3 {
        let _ = trail.append(draft(number), now()).unwrap();
    }
    let path = file(&memory_layout(), "2026-11");
    let whole = disk.read(&path).unwrap();
    let lines: Vec<usize> = (0..whole.len()).filter(|at| whole[*at] == b'\n').collect();

    for length in lines[2] + 2..whole.len() {
        let disk = MemoryDisk::new();
        disk.plant(&path, &whole[..length]);
        let receipt = open(&disk, Duty::Calls).append(draft(9), now()).unwrap();
        assert_eq!((receipt.seq(), check(&disk).unwrap()), (5, 5));
        let told = format!(
            "{{\"event\":\"trail_cut\",\"bytes\":{}}}",
            length - lines[2] - 1
        );
        assert!(contains(&disk.read(&path).unwrap(), told.as_bytes()));
    }
    // Nothing is told where nothing was cut.
    assert!(!contains(&whole, b"trail_cut"));
}

#[test]
fn verification_names_the_first_bad_entry() {
    let disk = MemoryDisk::new();
    let mut trail = open(&disk, Duty::Calls);
    for number in 0..1000 {
        let _ = trail.append(draft(number), now()).unwrap();
    }
    let path = file(&memory_layout(), "2026-11");
    let whole = String::from_utf8(disk.read(&path).unwrap()).unwrap();
    let lines: Vec<&str> = whole.lines().collect();
    let first_bad = |lines: &[String]| {
        let disk = MemoryDisk::new();
        disk.plant(&path, (lines.join("\n") + "\n").as_bytes());
        let bad = check(&disk).unwrap_err();
        assert_eq!(bad.seq, bad.line);
        (bad.line, bad.reason)
    };
    let changed = |change: &dyn Fn(&mut Vec<String>)| {
        let mut lines: Vec<String> = lines.iter().map(|line| (*line).to_owned()).collect();
        change(&mut lines);
        first_bad(&lines)
    };
    let differs = BrokenReason::HashDiffers;

    assert_eq!(
        changed(&|lines| lines[500] = lines[500].replace("499", "498")),
        (501, differs)
    );
    assert_eq!(
        changed(&|lines| lines.insert(10, lines[700].clone())),
        (11, differs)
    );
    assert_eq!(
        changed(&|lines| drop(lines.remove(0))),
        (1, BrokenReason::NoBeginning)
    );
    assert_eq!(changed(&|lines| drop(lines.remove(300))), (301, differs));
    assert_eq!(changed(&|lines| lines.swap(20, 21)), (21, differs));
    assert_eq!(
        changed(&|lines| lines.insert(31, lines[30].clone())),
        (32, differs)
    );
    assert_eq!(
        changed(&|lines| lines[5].push(' ')),
        (6, BrokenReason::NoEntry)
    );
    assert_eq!(
        changed(&|lines| lines[7] = String::new()),
        (8, BrokenReason::NoEntry)
    );
    let upper = changed(&|lines| {
        let (begin, hash) = (9, lines[2][9..73].to_uppercase());
        lines[2].replace_range(begin..73, &hash);
    });
    assert_eq!(upper, (3, BrokenReason::NoEntry));
}

#[test]
fn each_duty_has_a_chain_of_its_own() {
    let disk = MemoryDisk::new();
    let code = AlarmCode::DiskFull;
    let alarm = AuditDraft::system(AuditEvent::alarm(code));
    let _ = open(&disk, Duty::Calls).append(alarm, now()).unwrap();
    let calls = disk.read(&file(&memory_layout(), "2026-11")).unwrap();
    disk.plant(
        &memory_layout().office_audit().join("2026-11.jsonl"),
        &calls,
    );

    assert_eq!(check(&disk).unwrap(), 2);
    let office = verify(&disk, &memory_layout(), Duty::Office, &[]).unwrap();
    assert!(!office.is_whole());
}

#[test]
fn a_trail_whose_last_entry_is_damaged_is_not_written_on() {
    let disk = MemoryDisk::new();
    disk.plant(&file(&memory_layout(), "2026-11"), b"no entry\n");
    let refused = AuditTrail::open(Arc::new(disk), &memory_layout(), Duty::Calls).err();
    assert!(matches!(refused, Some(AuditFault::Damaged { .. })));
}

#[test]
fn a_trail_that_is_deleted_in_use_gives_no_receipt_and_shows_the_gap() {
    // Somebody deletes the file, or cuts it, under the process that holds it open.
    let path = file(&memory_layout(), "2026-11");
    let delete = |disk: &MemoryDisk| disk.unlink(&path).unwrap();
    let cut = |disk: &MemoryDisk| disk.append(&path).unwrap().cut(0).unwrap();
    for harm in [&delete as &dyn Fn(&MemoryDisk), &cut] {
        let disk = MemoryDisk::new();
        let mut trail = open(&disk, Duty::Calls);
        let _ = trail.append(draft(1), now()).unwrap();
        harm(&disk);
        let refused = trail.append(draft(2), now()).unwrap_err();
        assert!(matches!(refused, AuditFault::Altered { .. }), "{refused}");

        let receipt = trail.append(draft(2), now()).unwrap();
        assert_eq!(receipt.seq(), 4, "it follows the entries that are gone");
        let shown = check(&disk).unwrap_err();
        let gone = BrokenReason::RemovedUndecided { size: 2 };
        assert_eq!((shown.seq, shown.reason), (1, gone));
    }
}

#[test]
fn the_newest_entry_is_found_from_the_end_past_a_torn_line_and_over_months_and_blocks() {
    let disk = MemoryDisk::new();
    let layout = memory_layout();
    let city = city(Arc::new(disk.clone()), &layout);
    let nothing = last_entry_at(&disk, &layout, Duty::Office).unwrap();
    let mut trail = trail(&city);
    // More than a block of 64 KiB, and a month further.
    let drafts = (0..1_000).map(|_| AuditDraft::system(AuditEvent::LoggedIn));
    let _receipts = trail.append_all(drafts.collect(), now()).unwrap();
    let later = now() + (24 * 30).hours();
    let exported = AuditDraft::system(AuditEvent::AuditExportBegun { policy: Some(1) });
    let _receipt = trail.append(exported, later).unwrap();
    let folder = layout.office_audit();
    let newest = folder.join(disk.list(&folder).unwrap().pop().unwrap());
    let mut torn = disk.read(&newest).unwrap();
    torn.extend_from_slice(b"{\"hash\":\"00");
    disk.plant(&newest, &torn);

    let mut seen = 0;
    let first = find_newest(&disk, &layout, Duty::Office, |entry| {
        seen += 1;
        entry.contains("\"seq\":2,").then(|| entry.to_owned())
    });

    assert_eq!(nothing, None);
    assert_eq!(
        last_entry_at(&disk, &layout, Duty::Office).unwrap(),
        Some(later)
    );
    assert!(first.unwrap().unwrap().contains("logged_in"));
    // Two months' beginnings and all entries, but the very first.
    assert_eq!(seen, 1_000 + 1 + 1);
}
