//! A trail of several months and both chains: an attacker writes into it, heads are kept outside, and months are removed.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod common;

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use common::*;
use jiff::{Timestamp, ToSpan};
use rules::{Actor, AuditDraft, AuditEvent, Digest, JstMonth, TrailTerm};
use storage::{
    Anchored, AuditFault, AuditTrail, BrokenReason, ChainReport, Disk, Duty, Faults, Head, Heads,
    MemoryDisk, OldMonths, Removal, RemovalFault, SignFault, SignedHead, SignedHere, Signing,
    read_entries, remove_months, verifier_keys, verify,
};

const CHAINS: [Duty; 2] = [Duty::Calls, Duty::Office];
/// Entries a month, its beginning not counted: more than one tile holds.
const ENTRIES: i64 = 300;
const MONTHS: i64 = 4;

fn month(number: i64) -> Timestamp {
    now() + (number * 31 * 24).hours()
}

fn draft(number: i64) -> AuditDraft {
    AuditDraft::system(AuditEvent::ClockStepped { by_ms: number })
}

/// A city hall whose office keeps a trail, and somebody outside who keeps heads of it.
struct Hall {
    disk: MemoryDisk,
    signing: Signing,
    kept: Vec<SignedHead>,
}

fn dynamic(disk: &MemoryDisk) -> Arc<dyn Disk> {
    Arc::new(disk.clone())
}

fn open(disk: &MemoryDisk, chain: Duty) -> AuditTrail {
    AuditTrail::open(dynamic(disk), &memory_layout(), chain).unwrap()
}

fn heads(disk: &MemoryDisk) -> Heads {
    Heads::new(dynamic(disk), &memory_layout())
}

fn checkpoint(chain: Duty) -> PathBuf {
    let folder = memory_layout().tiles().join(chain.name());
    folder.join("checkpoint")
}

fn check(disk: &MemoryDisk, chain: Duty, heads: &[Head]) -> ChainReport {
    verify(disk, &memory_layout(), chain, heads).unwrap()
}

/// Writes the months of both chains; `said` is what an entry says. Heads are taken at the end of each.
fn hall_that_says(said: impl Fn(i64) -> i64) -> Hall {
    let disk = MemoryDisk::new();
    let signing = Signing::open(&dynamic(&disk), &memory_layout(), now()).unwrap();
    let mut trails = CHAINS.map(|chain| open(&disk, chain));
    let mut kept = Vec::new();
    for number in 0..MONTHS {
        for (chain, trail) in CHAINS.into_iter().zip(&mut trails) {
            let entries = number * ENTRIES..(number + 1) * ENTRIES;
            let drafts = entries.map(|entry| draft(said(entry))).collect();
            let _ = trail.append_all(drafts, month(number)).unwrap();
            kept.push(heads(&disk).sign(chain, signing.key()).unwrap());
        }
    }
    Hall {
        disk,
        signing,
        kept,
    }
}

fn hall() -> Hall {
    hall_that_says(|entry| entry)
}

impl Hall {
    /// What the one outside kept, as far as the installation's keys signed it.
    fn outside(&self) -> Vec<Head> {
        let keys = verifier_keys(&self.disk, &memory_layout()).unwrap();
        let kept = self.kept.iter().map(|head| head.note().to_string());
        kept.map(|note| SignedHead::read(&note, &keys).unwrap().head())
            .collect()
    }

    fn file(&self, chain: Duty, number: usize) -> PathBuf {
        let folder = match chain {
            Duty::Calls => memory_layout().calls_audit(),
            Duty::Office => memory_layout().office_audit(),
        };
        let names = self.disk.list(&folder).unwrap();
        folder.join(&names[number])
    }

    fn lines(&self, path: &Path) -> Vec<String> {
        let text = String::from_utf8(self.disk.read(path).unwrap()).unwrap();
        text.lines().map(str::to_owned).collect()
    }

    /// Of the first months that the hall ever had.
    fn removal(chain: Duty, months: i64) -> Removal {
        Removal {
            months: OldMonths {
                chain,
                through: JstMonth::of(month(months - 1)),
                term: TrailTerm::default(),
            },
            decision: Digest([9; 32]),
            actor: Actor::System,
        }
    }

    fn remove(&self, chain: Duty, months: i64) -> Result<u64, RemovalFault> {
        let years_later = month(MONTHS) + (3 * 366 * 24).hours();
        remove_months(
            &Hall::removal(chain, months),
            &heads(&self.disk),
            self.signing.key(),
            &mut open(&self.disk, Duty::Office),
            years_later,
        )
    }
}

#[test]
fn a_whole_trail_agrees_with_every_head_that_was_kept() {
    let hall = hall();
    for chain in CHAINS {
        let report = check(&hall.disk, chain, &hall.outside());
        let size = u64::try_from(MONTHS * (ENTRIES + 1)).unwrap();
        assert!(report.is_whole(), "{report:?}");
        assert_eq!((report.end.seq, report.removed), (size, 0));
        let last = hall.kept.iter().rfind(|head| head.head().chain == chain);
        assert_eq!(report.head, last.unwrap().head());
        let last_agreeing = Some(size);
        assert_eq!(
            report.anchored,
            Anchored::Heads {
                last_agreeing,
                first_disagreeing: None
            }
        );
        assert_eq!(check(&hall.disk, chain, &[]).anchored, Anchored::None);
    }
}

/// Whatever is changed without computing anew is named by its file and line.
#[test]
fn what_an_attacker_changes_is_named() {
    type Change = fn(&mut Vec<String>);
    let changes: [(&str, Change, u64, BrokenReason); 8] = [
        (
            "edit",
            |lines| lines[40] = lines[40].replace("by_ms", "bY_ms"),
            41,
            BrokenReason::HashDiffers,
        ),
        (
            "insert",
            |lines| lines.insert(40, lines[7].clone()),
            41,
            BrokenReason::HashDiffers,
        ),
        (
            "delete",
            |lines| drop(lines.remove(40)),
            41,
            BrokenReason::HashDiffers,
        ),
        (
            "swap",
            |lines| lines.swap(40, 41),
            41,
            BrokenReason::HashDiffers,
        ),
        (
            "duplicate",
            |lines| lines.insert(41, lines[40].clone()),
            42,
            BrokenReason::HashDiffers,
        ),
        (
            "no entry",
            |lines| lines[40] = "{}".into(),
            41,
            BrokenReason::NoEntry,
        ),
        (
            "first line gone",
            |lines| drop(lines.remove(0)),
            1,
            BrokenReason::HashDiffers,
        ),
        ("all lines gone", Vec::clear, 0, BrokenReason::HashDiffers),
    ];
    let whole = hall();
    for chain in CHAINS {
        for number in 1..usize::try_from(MONTHS).unwrap() - 1 {
            for (name, change, line, reason) in &changes {
                let hall = Hall {
                    disk: whole.disk.after_kill(),
                    signing: Signing::open(&dynamic(&whole.disk), &memory_layout(), now()).unwrap(),
                    kept: whole.kept.clone(),
                };
                let path = hall.file(chain, number);
                let mut lines = hall.lines(&path);
                change(&mut lines);
                let text: String = lines.iter().map(|line| format!("{line}\n")).collect();
                hall.disk.plant(&path, text.as_bytes());
                let report = check(&hall.disk, chain, &hall.outside());
                let bad = report.first_bad.clone().unwrap();
                // Where nothing is left of a month, the next one does not follow.
                let (path, line) = match line {
                    0 => (hall.file(chain, number + 1), 1),
                    line => (path, *line),
                };
                assert_eq!(
                    (bad.path, bad.line, bad.reason),
                    (path, line, *reason),
                    "{name}"
                );
                assert_eq!(bad.seq, report.end.seq + 1, "{name}");
                let last_agreeing = Some(u64::try_from(number).unwrap() * 301);
                assert!(
                    matches!(report.anchored, Anchored::Heads { last_agreeing: last, first_disagreeing: Some(_) } if last == last_agreeing),
                    "{name}: {report:?}"
                );
            }
        }
    }
}

/// Whoever computes everything anew makes a trail that is whole in itself: heads outside show it.
#[test]
fn a_trail_that_was_computed_anew_is_shown_by_a_head_kept_outside() {
    let honest = hall();
    let forged = hall_that_says(|entry| if entry == ENTRIES + 50 { -1 } else { entry });
    for path in forged.disk.everything().keys() {
        let name = path.display().to_string();
        if name.contains("/audit/") {
            honest.disk.plant(path, &forged.disk.read(path).unwrap());
        }
    }
    for chain in CHAINS {
        let alone = check(&honest.disk, chain, &[]);
        assert_eq!((&alone.first_bad, alone.anchored), (&None, Anchored::None));
        // What was signed here shows it, as long as nobody takes it away.
        let differs = SignedHere::Differs { size: 1204 };
        assert!(!alone.is_whole() && alone.signed_here == differs);
        let without = honest.disk.after_kill();
        without.unlink(&checkpoint(chain)).unwrap();
        assert!(check(&without, chain, &[]).is_whole());
        let report = check(&honest.disk, chain, &honest.outside());
        assert_eq!(report.first_bad, None);
        assert!(!report.is_whole());
        let expected = Anchored::Heads {
            last_agreeing: Some(301),
            first_disagreeing: Some(602),
        };
        assert_eq!(report.anchored, expected);
        // The office sees it too, and signs nothing.
        let refused = heads(&honest.disk).sign(chain, honest.signing.key());
        assert!(matches!(
            refused,
            Err(SignFault::Altered { size: 1204, .. })
        ));
    }
    // Heads of another installation prove nothing here.
    let keys = verifier_keys(&honest.disk, &memory_layout()).unwrap();
    assert!(SignedHead::read(&forged.kept[0].note().to_string(), &keys).is_err());
}

#[test]
fn a_trail_that_was_shortened_is_shown_by_a_head_kept_outside() {
    let hall = hall();
    let last = usize::try_from(MONTHS).unwrap() - 1;
    let path = hall.file(Duty::Calls, last);
    let lines = hall.lines(&path);
    let text: String = lines[..100]
        .iter()
        .map(|line| format!("{line}\n"))
        .collect();
    hall.disk.plant(&path, text.as_bytes());
    let report = check(&hall.disk, Duty::Calls, &hall.outside());
    assert_eq!((report.first_bad.as_ref(), report.end.seq), (None, 1003));
    let expected = Anchored::Heads {
        last_agreeing: Some(903),
        first_disagreeing: Some(1204),
    };
    assert_eq!(report.anchored, expected);

    hall.disk.unlink(&path).unwrap();
    let report = check(&hall.disk, Duty::Calls, &hall.outside());
    assert!(!report.is_whole() && report.first_bad.is_none());
}

#[test]
fn a_trail_that_was_shortened_or_is_gone_is_shown_by_the_last_head_that_was_signed_here() {
    let hall = hall();
    let months = 0..usize::try_from(MONTHS).unwrap();
    let agrees = SignedHere::Agrees { size: 1204 };
    assert_eq!(check(&hall.disk, Duty::Calls, &[]).signed_here, agrees);
    for month in months.rev() {
        hall.disk.unlink(&hall.file(Duty::Calls, month)).unwrap();
        let report = check(&hall.disk, Duty::Calls, &[]);
        assert_eq!(
            (&report.first_bad, report.anchored),
            (&None, Anchored::None)
        );
        assert_eq!(report.signed_here, SignedHere::Differs { size: 1204 });
        assert!(!report.is_whole());
    }
    let office = checkpoint(Duty::Office);
    hall.disk.plant(&office, b"no head");
    let report = check(&hall.disk, Duty::Office, &[]);
    assert!(!report.is_whole() && report.signed_here == SignedHere::Spoilt);
}

#[test]
fn a_head_is_signed_once_for_the_same_entries_and_only_for_durable_ones() {
    let hall = hall();
    let again = heads(&hall.disk)
        .sign(Duty::Calls, hall.signing.key())
        .unwrap();
    assert_eq!(
        Some(&again),
        hall.kept
            .iter()
            .rfind(|head| head.head().chain == Duty::Calls)
    );

    // A line is on its way to the disk.
    let path = hall.file(Duty::Calls, 3);
    let mut file = hall.disk.append(&path).unwrap();
    file.write(b"{\"hash\":\"00").unwrap();
    let meanwhile = heads(&hall.disk)
        .sign(Duty::Calls, hall.signing.key())
        .unwrap();
    assert_eq!(meanwhile.head(), again.head());

    // In a month that is over nobody writes any more.
    let last = usize::try_from(MONTHS).unwrap() - 1;
    let disk = hall.disk.after_kill();
    let month = hall.file(Duty::Calls, last - 1);
    disk.append(&month).unwrap().write(b"{").unwrap();
    disk.unlink(&memory_layout().tiles().join("calls/checkpoint"))
        .unwrap();
    let refused = heads(&disk).sign(Duty::Calls, hall.signing.key());
    assert!(matches!(
        refused,
        Err(SignFault::Audit(AuditFault::Broken(_)))
    ));
}

#[test]
fn heads_that_are_asked_for_without_end_push_out_none_that_the_clock_made() {
    let hall = hall();
    let (disk, key) = (&hall.disk, hall.signing.key());
    let folder = memory_layout().heads().join("calls");
    // With the newest they are as many as are kept: hourly ones of six weeks.
    for size in 1..1024 {
        disk.plant(&folder.join(format!("{size:020}.note")), b"kept");
    }
    let before = disk.list(&folder).unwrap();
    assert_eq!(before.len(), 1024);
    let mut asked = None;
    for entry in 0..3 {
        let _ = open(disk, Duty::Calls)
            .append(draft(entry), month(MONTHS))
            .unwrap();
        asked = Some(heads(disk).sign_asked(Duty::Calls, key).unwrap());
    }
    let size = asked.unwrap().head().size;
    let newest = format!("{size:020}.asked");
    let known = [&before[..], std::slice::from_ref(&newest)].concat();
    assert_eq!(disk.list(&folder).unwrap(), known);

    // The clock keeps it among its own, also where nothing came after it.
    heads(disk).sign(Duty::Calls, key).unwrap();
    let own = format!("{size:020}.note");
    assert_eq!(disk.list(&folder).unwrap(), [&known[1..], &[own]].concat());
}

/// The power goes at every sync between an entry and its head; the next office goes on.
#[test]
fn a_power_cut_while_a_head_is_signed_costs_no_tile_and_no_head() {
    let whole = hall();
    let mut cuts = 0;
    for sync in 1.. {
        let disk = whole.disk.after_kill();
        let mut trail = open(&disk, Duty::Calls);
        let _ = trail
            .append_all((0..700).map(draft).collect(), month(3))
            .unwrap();
        disk.set_faults(Faults {
            freeze_at_sync: Some(disk.sync_count() + sync),
            ..Faults::default()
        });
        let signed = heads(&disk).sign(Duty::Calls, whole.signing.key());
        for disk in [disk.after_power_cut(), disk.after_kill()] {
            let head = heads(&disk).sign(Duty::Calls, whole.signing.key()).unwrap();
            assert_eq!(head.head(), check(&disk, Duty::Calls, &[]).head);
            let outside: Vec<Head> = signed
                .iter()
                .map(SignedHead::head)
                .chain(whole.outside())
                .collect();
            assert!(
                check(&disk, Duty::Calls, &outside).is_whole(),
                "sync {sync}"
            );
        }
        if signed.is_ok() {
            break;
        }
        cuts += 1;
    }
    assert!(cuts >= 5, "{cuts} syncs");
}

#[test]
fn removed_months_leave_a_trail_that_verifies_and_heads_that_are_still_checked() {
    let hall = hall();
    for chain in CHAINS {
        assert_eq!(hall.remove(chain, 2).unwrap(), 602);
        // Asked again, nothing more happens.
        let end = open(&hall.disk, Duty::Office).end();
        assert_eq!(hall.remove(chain, 2).unwrap(), 602);
        assert_eq!(open(&hall.disk, Duty::Office).end(), end);
    }
    for chain in CHAINS {
        let report = check(&hall.disk, chain, &hall.outside());
        assert!(report.is_whole(), "{report:?}");
        assert_eq!(report.removed, 602);
        let expected = Anchored::Heads {
            last_agreeing: Some(1204),
            first_disagreeing: None,
        };
        assert_eq!(report.anchored, expected);
        // A head of a removed month that tells of other entries.
        let mut forged = hall.outside();
        forged
            .iter_mut()
            .for_each(|head| head.root = Digest([1; 32]));
        let expected = Anchored::Heads {
            last_agreeing: None,
            first_disagreeing: Some(301),
        };
        assert_eq!(check(&hall.disk, chain, &forged).anchored, expected);
    }
    // The trail goes on, and so do its heads.
    let _ = open(&hall.disk, Duty::Calls)
        .append(draft(1), month(5))
        .unwrap();
    let head = heads(&hall.disk)
        .sign(Duty::Calls, hall.signing.key())
        .unwrap();
    assert_eq!(head.head().size, 1206);
    let mut numbers = Vec::new();
    read_entries(
        &hall.disk,
        &memory_layout(),
        Duty::Calls,
        1200,
        &mut |_, entry| {
            numbers.push(entry[..11].to_owned());
        },
    )
    .unwrap();
    assert_eq!(numbers.len(), 7);
}

#[test]
fn months_go_by_decision_after_their_term_and_never_the_newest() {
    let hall = hall();
    let early = remove_months(
        &Hall::removal(Duty::Calls, 1),
        &heads(&hall.disk),
        hall.signing.key(),
        &mut open(&hall.disk, Duty::Office),
        month(MONTHS),
    );
    assert!(matches!(early, Err(RemovalFault::TooEarly { .. })));
    let last = (MONTHS - 1) * (ENTRIES + 1);
    assert_eq!(
        hall.remove(Duty::Office, 4).unwrap(),
        u64::try_from(last).unwrap()
    );
    assert!(check(&hall.disk, Duty::Office, &hall.outside()).is_whole());

    // Somebody removes a month without asking.
    let path = hall.file(Duty::Calls, 0);
    hall.disk.unlink(&path).unwrap();
    let report = check(&hall.disk, Duty::Calls, &hall.outside());
    let bad = report.first_bad.unwrap();
    let gone = BrokenReason::RemovedUndecided { size: 301 };
    assert_eq!((bad.seq, bad.line, bad.reason), (1, 1, gone));
}

#[test]
fn tiles_of_removed_months_that_were_changed_are_shown() {
    let hall = hall();
    hall.remove(Duty::Calls, 2).unwrap();
    let report = |index: &str| {
        let tile = memory_layout().tiles().join("calls/tile/0").join(index);
        let mut bytes = hall.disk.read(&tile).unwrap();
        bytes[40] ^= 1;
        hall.disk.plant(&tile, &bytes);
        check(&hall.disk, Duty::Calls, &hall.outside())
    };
    // Hashes that only a head needs, and those that lead to the first month that is there.
    let expected = Anchored::Heads {
        last_agreeing: Some(1204),
        first_disagreeing: Some(301),
    };
    assert_eq!(report("001").anchored, expected);
    let bad = report("002").first_bad.unwrap();
    assert_eq!((bad.seq, bad.reason), (603, BrokenReason::TilesDiffer));
}

#[test]
fn a_removal_that_is_cut_off_anywhere_verifies_and_is_finished_by_the_next() {
    let whole = hall();
    let mut cuts = 0;
    for sync in 1.. {
        let hall = Hall {
            disk: whole.disk.after_kill(),
            signing: Signing::open(&dynamic(&whole.disk), &memory_layout(), now()).unwrap(),
            kept: whole.kept.clone(),
        };
        hall.disk.set_faults(Faults {
            freeze_at_sync: Some(sync),
            ..Faults::default()
        });
        let ended = hall.remove(Duty::Calls, 2);
        for disk in [hall.disk.after_power_cut(), hall.disk.after_kill()] {
            let hall = Hall {
                disk,
                signing: Signing::open(&dynamic(&whole.disk), &memory_layout(), now()).unwrap(),
                kept: whole.kept.clone(),
            };
            let report = check(&hall.disk, Duty::Calls, &hall.outside());
            assert!(report.is_whole(), "sync {sync}: {report:?}");
            assert_eq!(hall.remove(Duty::Calls, 2).unwrap(), 602);
            let report = check(&hall.disk, Duty::Calls, &hall.outside());
            assert!(
                report.is_whole() && report.removed == 602,
                "sync {sync}: {report:?}"
            );
            assert!(check(&hall.disk, Duty::Office, &hall.outside()).is_whole());
        }
        if ended.is_ok() {
            break;
        }
        cuts += 1;
    }
    assert!(cuts >= 3, "{cuts} syncs");
}

/// The files that the first version wrote say nothing of what came before them.
#[test]
fn a_trail_of_the_first_version_stays_valid_and_its_next_month_can_be_a_first_one() {
    let hall = hall();
    let disk = MemoryDisk::new();
    let folder = memory_layout().calls_audit();
    for (name, text) in [
        ("2026-09.jsonl", include_str!("first-version/2026-09.jsonl")),
        ("2026-10.jsonl", include_str!("first-version/2026-10.jsonl")),
    ] {
        disk.plant(&folder.join(name), text.as_bytes());
    }
    assert_eq!(check(&disk, Duty::Calls, &[]).end.seq, 5);

    let mut trail = open(&disk, Duty::Calls);
    let october: Timestamp = "2026-10-31T14:59:59Z".parse().unwrap();
    for at in [october, now()] {
        let _ = trail.append(draft(1), at).unwrap();
    }
    let report = check(&disk, Duty::Calls, &[]);
    assert!(report.is_whole() && report.end.seq == 8, "{report:?}");
    let november = disk.read(&folder.join("2026-11.jsonl")).unwrap();
    assert!(contains(
        &november,
        b"\"event\":\"month_begun\",\"size\":6,"
    ));
    let signed = heads(&disk).sign(Duty::Calls, hall.signing.key());
    assert_eq!(signed.unwrap().head(), report.head);

    // A month of the first version cannot be the first one.
    disk.unlink(&folder.join("2026-09.jsonl")).unwrap();
    let bad = check(&disk, Duty::Calls, &[]).first_bad.unwrap();
    assert_eq!((bad.line, bad.reason), (1, BrokenReason::NoBeginning));
}
