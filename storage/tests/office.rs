//! The office: rows from the spool, and lists. Real SQLite.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod common;

use std::sync::Arc;

use common::*;
use jiff::ToSpan;
use rules::{
    CallRecord, Caller, CountedDays, DayCounts, Discrepancy, Number, Reason, Reconciled,
    RecordingState, RecoveryReason, Sought,
};
use storage::{
    Catalogue, Comparison, Disk, Faults, MemoryDisk, OsDisk, RecordingWriter, Row, SearchPlace,
    Spool, TakenIn, days_to_reconcile, reconcile_day,
};

#[test]
fn rows_wait_in_the_spool_and_are_taken_in_exactly_once() {
    let folder = tempfile::tempdir().unwrap();
    let layout = real_layout(folder.path());
    let city = city(Arc::new(OsDisk), &layout);
    let mut spool = Spool::new(Arc::clone(&city.disk), &layout);
    let sealed = record(&city, &opening(1), 5);
    spool.put(&entry(row(&city, &opening(1), None))).unwrap();
    spool.put(&entry(unrecorded(&city, 2))).unwrap();
    spool.flush(now()).unwrap();

    run(async {
        let mut catalogue = Catalogue::open(&layout).await.unwrap();
        let first = catalogue.take_in(&OsDisk, &layout).await.unwrap();
        let again = catalogue.take_in(&OsDisk, &layout).await.unwrap();
        let calls = listed(&mut catalogue, true, None).await;
        assert_eq!((first.entries, again), (2, TakenIn::default()));
        assert_eq!(calls[0].state, RecordingState::Open);
        assert_eq!(calls[1].reason.as_deref(), Some("NO_ANNOUNCEMENT"));
        assert_eq!(calls[1].caller.as_deref(), Some("anonymous"));

        // The end of the call, in the file of another start.
        let mut spool = Spool::new(Arc::clone(&city.disk), &layout);
        spool
            .put(&entry(Row {
                caller: None,
                ..row(&city, &opening(1), Some(&sealed))
            }))
            .unwrap();
        spool.flush(now()).unwrap();
        assert_eq!(
            catalogue.take_in(&OsDisk, &layout).await.unwrap().entries,
            1
        );
        let calls = listed(&mut catalogue, false, None).await;
        assert_eq!((calls.len(), calls[0].state), (1, RecordingState::Sealed));
        assert_eq!(calls[0].duration_ms, Some(2000));
        assert_eq!(calls[0].sha256, Some(sealed.sha256.to_string()));
        assert_eq!(calls[0].called.as_deref(), Some("+81783331000"));
        assert_eq!(calls[0].caller.as_deref(), Some("number"));
        // The first file is taken and followed, so it is gone; the second may still grow.
        assert_eq!(OsDisk.list(&layout.spool()).unwrap().len(), 1);

        let recording = opening(1).recording;
        let caller = catalogue.caller(recording).await.unwrap().unwrap();
        let permit = reveal_permit(&city, recording, now());
        let opened = city
            .opener
            .open_caller(&permit, opening(1).call, &caller, now())
            .unwrap();
        assert_eq!(opened, Caller::Known(Number::parse("0790000001").unwrap()));
        catalogue.close().await.unwrap();
    });
    let everything = every_byte_under(folder.path());
    assert!(
        !contains(&everything, b"90000001"),
        "a citizen's number lies in the clear"
    );
}

#[test]
fn a_search_reads_page_by_page_and_compares_callers_without_an_index_of_them() {
    let folder = tempfile::tempdir().unwrap();
    let layout = real_layout(folder.path());
    let city = city(Arc::new(OsDisk), &layout);
    let mut spool = Spool::new(Arc::clone(&city.disk), &layout);
    let other = Caller::Known(Number::parse("0790000002").unwrap());
    for number in 1..=600 {
        let row = row(&city, &opening(number), None);
        let caller = match number {
            600 => row.caller,
            _ => Some(
                city.sealer
                    .seal_caller(row.call.call_id, today(), &other)
                    .unwrap(),
            ),
        };
        spool.put(&entry(Row { caller, ..row })).unwrap();
    }
    spool.flush(now()).unwrap();
    let sought = Sought {
        caller: Some(Number::parse("0790000001").unwrap()),
        called: Some(Number::parse("0783331000").unwrap()),
        ..Sought::default()
    };
    run(async {
        let mut catalogue = Catalogue::open(&layout).await.unwrap();
        catalogue.take_in(&OsDisk, &layout).await.unwrap();
        let permit = find_permit(&city, sought.clone(), now());
        let (mut place, mut pages, mut found) = (SearchPlace::default(), 0, Vec::new());
        loop {
            let (calls, next) = catalogue.search(&sought, place).await.unwrap();
            if calls.is_empty() {
                break;
            }
            let compared = city.opener.compare_callers(&permit, &calls, now());
            let same = compared.unwrap().into_iter().zip(&calls);
            found.extend(
                same.filter(|(compared, _)| *compared == Comparison::Same)
                    .map(|(_, found)| found.call.recording),
            );
            (place, pages) = (next, pages + 1);
        }
        assert_eq!((pages, found), (2, vec![Some(opening(600).recording)]));
        for (sought, expected) in [
            (
                Sought {
                    from: Some(now() + 1.second()),
                    ..Sought::default()
                },
                0,
            ),
            (
                Sought {
                    from: Some(now()),
                    until: Some(now() + 1.second()),
                    ..Sought::default()
                },
                500,
            ),
            (
                Sought {
                    called: Some(Number::parse("0783332000").unwrap()),
                    ..Sought::default()
                },
                0,
            ),
        ] {
            let begin = SearchPlace::default();
            let (calls, _) = catalogue.search(&sought, begin).await.unwrap();
            assert_eq!(calls.len(), expected);
        }
        catalogue.close().await.unwrap();
    });
}

#[test]
fn of_a_thousand_calls_each_planted_loss_is_named_and_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    let layout = real_layout(folder.path());
    let city = city(Arc::new(MemoryDisk::new()), &layout);
    // Files in memory, because each would cost a sync; rows in a real database.
    layout.make_folders(&OsDisk).unwrap();
    let mut spool = Spool::new(Arc::new(OsDisk), &layout);
    for number in 1..=1_000 {
        let opening = opening(number);
        let row = match number {
            1..=900 => {
                let sealed = record(&city, &opening, 1);
                row(&city, &opening, Some(&sealed))
            }
            number => Row {
                call: CallRecord {
                    answered_at: Some(now()),
                    unrecorded: (number != 1_000).then_some(Reason::NoAnnouncement),
                    ..unrecorded(&city, number).call
                },
                ..unrecorded(&city, number)
            },
        };
        spool.put(&entry(row)).unwrap();
    }
    spool.flush(now()).unwrap();
    let lost = city.vault.segments(today(), opening(7).recording).unwrap();
    city.disk
        .unlink(&layout.vault_day(today()).join(lost[0].name()))
        .unwrap();
    record(&city, &opening(2_000), 1);
    let later = now() + 1.hour();
    run(async {
        let mut catalogue = Catalogue::open(&layout).await.unwrap();
        let days =
            days_to_reconcile(&mut catalogue, &city.vault, &CountedDays::default(), later).await;
        assert_eq!(days.unwrap(), [today()].into());
        let compared = reconcile_day(
            &mut catalogue,
            &city.vault,
            &OsDisk,
            today(),
            &CountedDays::default(),
            later,
        )
        .await;
        let Reconciled {
            counts,
            discrepancies,
        } = compared.unwrap();
        assert_eq!(
            (counts.calls, counts.recorded, counts.missing),
            (1_000, 899, 2)
        );
        assert_eq!(counts.unrecorded, [(Reason::NoAnnouncement, 99)].into());
        assert_eq!((counts.orphan_files, counts.orphan_rows), (1, 1));
        let expected = [
            Discrepancy::NoFile {
                recording: opening(7).recording,
            },
            Discrepancy::NoReason {
                call: Some(opening(1_000).call),
            },
            Discrepancy::NoRow {
                recording: opening(2_000).recording,
            },
        ];
        assert_eq!(discrepancies, expected);
        catalogue.keep_day_counts(today(), &counts).await.unwrap();
        let again = DayCounts::default();
        catalogue.keep_day_counts(today(), &again).await.unwrap();
        let kept = catalogue.day_counts(today()).await.unwrap();
        assert_eq!(kept, Some(counts), "a day is counted once");
        catalogue.close().await.unwrap();
    });
}

#[test]
fn entries_that_come_late_or_twice_change_nothing_back() {
    let folder = tempfile::tempdir().unwrap();
    let layout = real_layout(folder.path());
    let city = city(Arc::new(OsDisk), &layout);
    let sealed = record(&city, &opening(1), 5);
    run(async {
        let mut catalogue = Catalogue::open(&layout).await.unwrap();
        for row in [
            row(&city, &opening(1), Some(&sealed)),
            row(&city, &opening(1), None),
        ] {
            let mut spool = Spool::new(Arc::clone(&city.disk), &layout);
            spool.put(&entry(row)).unwrap();
            spool.flush(now()).unwrap();
            let _ = catalogue.take_in(&OsDisk, &layout).await.unwrap();
        }
        let found = catalogue.find(opening(1).recording).await.unwrap().unwrap();
        assert_eq!(found.state, RecordingState::Sealed);
    });
}

#[test]
fn a_recovered_recording_completes_its_row_or_stands_in_for_it() {
    let folder = tempfile::tempdir().unwrap();
    let layout = real_layout(folder.path());
    let city = city(Arc::new(OsDisk), &layout);
    let mut spool = Spool::new(Arc::clone(&city.disk), &layout);
    spool.put(&entry(row(&city, &opening(1), None))).unwrap();
    for number in [1, 2] {
        let opening = opening(number);
        let mut writer =
            RecordingWriter::create(notice(), &city.vault, &city.sealer, &opening).unwrap();
        append(&mut writer, 0, CHUNK, &[]).unwrap();
    }
    let (recovered, _) = city.vault.recover().unwrap();
    for segment in &recovered {
        spool.put(&segment.spool_entry()).unwrap();
        assert!(segment.audit_event().is_some());
    }
    spool.flush(now()).unwrap();
    run(async {
        let mut catalogue = Catalogue::open(&layout).await.unwrap();
        assert_eq!(
            catalogue.take_in(&OsDisk, &layout).await.unwrap().entries,
            3
        );
        let calls = listed(&mut catalogue, false, None).await;
        assert_eq!(calls.len(), 2);
        for call in &calls {
            assert_eq!(call.state, RecordingState::Recovered);
            assert_eq!(call.recovery.as_deref(), Some("NOT_FINISHED"));
            assert_eq!((call.chunks, call.duration_ms), (Some(1), Some(400)));
            assert_eq!(call.notice.as_deref(), Some("announced"));
        }
        assert_eq!(calls[0].department.as_deref(), Some("daihyo"));
        assert_eq!(calls[1].call, Some(opening(2).call));
        assert_eq!(recovered[0].row().reason, Some(RecoveryReason::NotFinished));
    });
}

#[test]
fn a_list_is_read_in_pages_newest_last_beside_a_writer_and_without_one() {
    let folder = tempfile::tempdir().unwrap();
    let layout = real_layout(folder.path());
    let city = city(Arc::new(OsDisk), &layout);
    let mut spool = Spool::new(Arc::clone(&city.disk), &layout);
    for number in 1..=1203 {
        let row = match number % 3 {
            0 => unrecorded(&city, number),
            _ => row(&city, &opening(number), None),
        };
        spool.put(&entry(row)).unwrap();
    }
    spool.flush(now()).unwrap();
    run(async {
        let mut catalogue = Catalogue::open(&layout).await.unwrap();
        assert_eq!(
            catalogue.take_in(&OsDisk, &layout).await.unwrap().entries,
            1203
        );
        for is_closed in [false, true] {
            if is_closed {
                catalogue.close().await.unwrap();
                catalogue = Catalogue::open_read_only(&layout).await.unwrap();
            }
            let mut reader = Catalogue::open_read_only(&layout).await.unwrap();
            let all = listed(&mut reader, true, None).await;
            let recorded = listed(&mut reader, false, None).await;
            let last = listed(&mut reader, false, Some(3)).await;
            assert_eq!((all.len(), recorded.len()), (1203, 802));
            assert_eq!(last, recorded[799..]);
            assert_eq!(listed(&mut reader, true, Some(0)).await, []);
            assert_eq!(all[1202].call, Some(opening(1203).call));
        }
    });
}

/// The database is no database: rows stay in the spool, and are there when it works again.
#[test]
fn while_the_catalogue_cannot_be_used_the_spool_keeps_everything() {
    let folder = tempfile::tempdir().unwrap();
    let layout = real_layout(folder.path());
    let city = city(Arc::new(OsDisk), &layout);
    std::fs::write(
        layout.catalogue(),
        "this is no database, but long enough to be read as one",
    )
    .unwrap();
    let mut spool = Spool::new(Arc::clone(&city.disk), &layout);
    for number in 1..=3 {
        spool
            .put(&entry(row(&city, &opening(number), None)))
            .unwrap();
        spool.flush(now()).unwrap();
    }
    run(async {
        let fault = Catalogue::open(&layout).await.err().unwrap();
        assert!(
            fault.to_string().contains("rows wait in the spool"),
            "{fault}"
        );
        std::fs::remove_file(layout.catalogue()).unwrap();
        let mut catalogue = Catalogue::open(&layout).await.unwrap();
        assert_eq!(
            catalogue.take_in(&OsDisk, &layout).await.unwrap().entries,
            3
        );
    });
}

#[test]
fn a_damaged_spool_line_costs_that_line_and_a_torn_one_waits() {
    let folder = tempfile::tempdir().unwrap();
    let layout = real_layout(folder.path());
    let city = city(Arc::new(OsDisk), &layout);
    let mut spool = Spool::new(Arc::clone(&city.disk), &layout);
    for number in 1..=3 {
        spool
            .put(&entry(row(&city, &opening(number), None)))
            .unwrap();
    }
    spool.flush(now()).unwrap();
    let name = OsDisk.list(&layout.spool()).unwrap().remove(0);
    let path = layout.spool().join(name);
    let mut bytes = std::fs::read(&path).unwrap();
    bytes[200] ^= 1;
    bytes.truncate(bytes.len() - 1);
    std::fs::write(&path, bytes).unwrap();
    run(async {
        let mut catalogue = Catalogue::open(&layout).await.unwrap();
        let taken = catalogue.take_in(&OsDisk, &layout).await.unwrap();
        assert_eq!((taken.entries, taken.damaged), (1, 1));
    });
}

/// Whatever write or sync of the spool fails, each row arrives once.
#[test]
fn a_spool_on_a_failing_disk_loses_and_doubles_nothing() {
    for k in 1..=8 {
        for is_sync in [false, true] {
            let disk = MemoryDisk::new();
            let city = city(Arc::new(disk.clone()), &memory_layout());
            disk.set_faults(Faults {
                refused_write: (!is_sync).then_some(disk.write_count() + k),
                refused_sync: is_sync.then_some(disk.sync_count() + k),
                ..Faults::default()
            });
            let mut spool = Spool::new(Arc::clone(&city.disk), &city.layout);
            for number in 1..=5 {
                let unsealed = unrecorded_without_disk(number);
                spool.put(&entry(unsealed)).unwrap();
                let _ = spool.flush(now());
            }
            disk.set_faults(Faults::default());
            spool.flush(now()).unwrap();
            let folder = tempfile::tempdir().unwrap();
            let layout = real_layout(folder.path());
            layout.make_folders(&OsDisk).unwrap();
            let after = disk.after_power_cut();
            run(async {
                let mut catalogue = Catalogue::open(&layout).await.unwrap();
                let taken = catalogue.take_in(&after, &city.layout).await.unwrap();
                assert_eq!((taken.entries, taken.damaged), (5, 0), "k = {k}");
            });
        }
    }
}

fn unrecorded_without_disk(number: u128) -> Row {
    let other = city(Arc::new(MemoryDisk::new()), &memory_layout());
    unrecorded(&other, number)
}

#[test]
fn a_spool_file_removed_under_its_writer_is_written_again() {
    let disk = MemoryDisk::new();
    let city = city(Arc::new(disk.clone()), &memory_layout());
    let mut spool = Spool::new(Arc::clone(&city.disk), &city.layout);
    let folder = city.layout.spool();
    spool.put(&entry(unrecorded(&city, 1))).unwrap();
    spool.flush(now()).unwrap();
    let name = disk.list(&folder).unwrap().remove(0);
    disk.unlink(&folder.join(&name)).unwrap();

    spool.put(&entry(unrecorded(&city, 2))).unwrap();
    spool.flush(now()).unwrap();
    let names = disk.list(&folder).unwrap();
    let bytes = disk.read(&folder.join(&names[0])).unwrap();
    spool.flush(now() + 24.hours()).unwrap();

    assert_eq!(names.len(), 1);
    assert!(contains(&bytes, opening(2).call.to_string().as_bytes()));
    assert!(!contains(&bytes, opening(1).call.to_string().as_bytes()));
    assert_eq!(
        disk.list(&folder).unwrap().len(),
        2,
        "each day has a file of its own"
    );
}
