//! What a process that died, or the power that went, left of recordings: the next start cuts it, closes it and writes it down.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod common;

use std::sync::Arc;

use common::*;
use storage::{Channel, Disk, Faults, RecordingWriter, segment::CutReason};

#[test]
fn a_killed_process_leaves_a_segment_that_the_next_start_cuts_and_writes_down() {
    let (disk, city) = memory_city();
    let mut writers: Vec<RecordingWriter> = (1..=3)
        .map(|number| {
            let opening = opening(number);
            RecordingWriter::create(notice(), &city.vault, &city.sealer, &opening).unwrap()
        })
        .collect();
    for writer in &mut writers[..2] {
        append(writer, 0, CHUNK, &[]).unwrap();
        append(writer, 3200, CHUNK, &[]).unwrap();
    }
    // The first was finished and not yet flushed, the second is torn, the third has no chunk.
    writers.remove(0).finish().unwrap();
    let after = disk.after_kill();
    let city = city_again(Arc::new(after.clone()), &memory_layout());
    let torn = city
        .vault
        .segments(today(), opening(2).recording)
        .unwrap()
        .remove(0);
    let path = city.layout.vault_day(today()).join(torn.name());
    let bytes = after.read(&path).unwrap();
    after.plant(&path, &bytes[..bytes.len() - 5]);

    let (recovered, faults) = city.vault.recover().unwrap();
    city.vault.settle(&recovered).unwrap();

    assert!(faults.is_empty());
    let found: Vec<_> = recovered
        .iter()
        .map(|segment| {
            (
                segment.row().state.code(),
                segment.row().audio.chunks,
                segment.row().reason,
            )
        })
        .collect();
    use rules::RecoveryReason::{HeaderOnly, TornChunk};
    assert_eq!(
        found,
        [
            ("sealed", 3, None),
            ("recovered", 1, Some(TornChunk)),
            ("recovered", 0, Some(HeaderOnly))
        ]
    );
    for segment in &recovered {
        let (path, bytes) = only_file(&city, segment.row().recording);
        assert!(!path.to_string_lossy().contains("open"));
        assert_eq!(
            segment.row().audio.sha256,
            storage::segment::file_hash(&bytes)
        );
    }
    assert!(city.vault.recover().unwrap().0.is_empty());
    let permit = permit(&city, opening(2).recording, now());
    let mut playback = city
        .vault
        .open(permit, kept_on(today()), &city.opener, now())
        .unwrap();
    assert_eq!(playback.segments()[0].cut(), Some(CutReason::NotFinished));
    let audio = playback.read(0, 0..9999, now()).unwrap();
    assert_eq!(*audio.carrier, voice(Channel::Carrier, 0, CHUNK));
}

/// The row of a finished recording waits in memory while its segment is durable already, and the process dies.
#[test]
fn a_recording_whose_row_was_lost_is_found_by_the_next_start() {
    let (disk, city) = memory_city();
    let (lost, kept) = (opening(1), opening(2));
    record(&city, &lost, 2);
    record(&city, &kept, 2);
    city.vault.flush().unwrap();
    city.vault.close_recording(today(), kept.recording).unwrap();

    let after = city_again(Arc::new(disk.after_kill()), &memory_layout());
    let (recovered, faults) = after.vault.recover().unwrap();

    assert!(faults.is_empty());
    let found: Vec<_> = recovered.iter().map(|found| found.row()).collect();
    let [row] = found[..] else {
        panic!("one row was lost, not {}", found.len())
    };
    assert_eq!(
        (row.recording, row.state.code(), row.reason),
        (lost.recording, "sealed", None)
    );
}

/// The row is durable before the segment is, because the flush was refused; the power goes, or the disk is mended.
#[test]
fn a_segment_gets_its_closed_name_when_both_its_row_and_its_bytes_are_durable() {
    let (disk, city) = memory_city();
    let opening = opening(1);
    record(&city, &opening, 2);
    disk.set_faults(Faults {
        refused_sync: Some(disk.sync_count() + 1),
        ..Faults::default()
    });
    city.vault.flush().unwrap_err();
    city.vault
        .close_recording(today(), opening.recording)
        .unwrap();
    let is_open = || {
        let (path, _) = only_file(&city, opening.recording);
        path.to_string_lossy().ends_with(".open.krec")
    };

    assert!(is_open());
    city.vault.flush().unwrap();
    assert!(!is_open());
}

#[test]
fn a_power_cut_costs_what_was_written_since_the_last_flush() {
    let (disk, city) = memory_city();
    let opening = opening(1);
    let mut writer =
        RecordingWriter::create(notice(), &city.vault, &city.sealer, &opening).unwrap();
    append(&mut writer, 0, CHUNK, &[]).unwrap();
    city.vault.flush().unwrap();
    append(&mut writer, 3200, CHUNK, &[]).unwrap();

    let after = city_again(Arc::new(disk.after_power_cut()), &memory_layout());
    let (recovered, _) = after.vault.recover().unwrap();

    assert_eq!(recovered[0].row().audio.chunks, 1);
}
