//! The disk takes nothing more, or refuses one write: what is lost is marked, and what is there is a clean prefix.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod common;

use std::sync::Arc;

use common::*;
use storage::{
    Channel, CutSegment, Faults, Gap, Opening, RecordingWriter, WriteFault,
    segment::{CutReason, inspect},
};

/// A recording of which one chunk is written.
fn begun(city: &City) -> (Opening, RecordingWriter) {
    let opening = opening(1);
    let writer = RecordingWriter::create(notice(), &city.vault, &city.sealer, &opening);
    let mut writer = writer.unwrap();
    append(&mut writer, 0, CHUNK, &[]).unwrap();
    (opening, writer)
}

/// The disk is full for a while, in the middle of a call.
#[test]
fn a_full_disk_costs_a_marked_gap_and_the_recording_goes_on_when_there_is_room() {
    let (disk, city) = memory_city();
    let (opening, mut writer) = begun(&city);

    let used: usize = disk.everything().values().map(Vec::len).sum();
    disk.set_faults(Faults {
        capacity_bytes: Some(used as u64 + 1000),
        ..Faults::default()
    });
    let mut refused = Vec::new();
    for chunk in 1..4 {
        refused.push(append(&mut writer, chunk * 3200, CHUNK, &[]).unwrap_err());
        let (_, file) = only_file(&city, opening.recording);
        let inspection = inspect(&file).unwrap();
        assert_eq!(
            (inspection.chunks, inspection.cut),
            (1, Some(CutReason::NotFinished))
        );
    }
    disk.set_faults(Faults::default());
    append(&mut writer, 4 * 3200, CHUNK, &[]).unwrap();
    let sealed = writer.finish().unwrap();
    city.vault.flush().unwrap();

    assert!(refused.iter().all(WriteFault::is_disk_full), "{refused:?}");
    assert_eq!(
        (sealed.samples, sealed.gaps.milliseconds()),
        (5 * 3200, 2 * 1200)
    );
    let permit = permit(&city, opening.recording, now());
    let mut playback = city
        .vault
        .open(permit, kept_on(today()), &city.opener, now())
        .unwrap();
    let gaps = [Channel::Carrier, Channel::City].map(|channel| Gap {
        channel,
        start: 3200,
        samples: 3 * 3200,
    });
    assert_eq!(playback.segments()[0].gaps(), gaps);
    let audio = playback.read(0, 0..5 * 3200, now()).unwrap();
    assert_eq!(audio.carrier[..3200], voice(Channel::Carrier, 0, CHUNK));
    assert!(
        audio.carrier[3200..4 * 3200]
            .iter()
            .all(|sample| *sample == 0xff)
    );
    assert!(
        audio.city[3200..4 * 3200]
            .iter()
            .all(|sample| *sample == 0xd5)
    );
    assert_eq!(
        audio.city[4 * 3200..],
        voice(Channel::City, 4 * 3200, CHUNK)
    );
}

#[test]
fn a_call_that_ends_on_a_full_disk_leaves_its_whole_chunks() {
    let (disk, city) = memory_city();
    let (opening, writer) = begun(&city);
    let used: usize = disk.everything().values().map(Vec::len).sum();
    disk.set_faults(Faults {
        capacity_bytes: Some(used as u64),
        ..Faults::default()
    });

    let CutSegment { segment, fault } = *writer.finish().unwrap_err();

    assert!(fault.is_disk_full());
    let (_, file) = only_file(&city, opening.recording);
    let inspection = inspect(&file).unwrap();
    assert_eq!((segment.chunks, segment.sha256), (1, inspection.sha256));
    assert_eq!(segment.bytes, file.len() as u64);
}

/// Each write and each sync of a call fails once; the call never notices more than an error value.
#[test]
fn whichever_write_fails_the_file_opens_to_a_clean_prefix() {
    for k in 1..=8 {
        for is_sync in [false, true] {
            let (disk, city) = memory_city();
            let opening = opening(1);
            let (writes, syncs) = (disk.write_count(), disk.sync_count());
            disk.set_faults(Faults {
                refused_write: (!is_sync).then_some(writes + k),
                refused_sync: is_sync.then_some(syncs + k),
                ..Faults::default()
            });
            let writer = RecordingWriter::create(notice(), &city.vault, &city.sealer, &opening);
            let Ok(mut writer) = writer else { continue };
            for chunk in 0..4 {
                let _ = append(&mut writer, chunk * 16, 16, &[]);
                let _ = city.vault.flush();
            }
            let finished = writer.finish();
            city.vault.flush().unwrap_or_default();
            city.vault.flush().unwrap();
            let (_, file) = only_file(&city, opening.recording);
            let inspection = inspect(&file).unwrap();
            assert_eq!(inspection.is_complete, finished.is_ok(), "k = {k}");
            if finished.is_ok() {
                assert_eq!(inspection.samples, 64, "k = {k}");
            }
        }
    }
}

/// The disk takes a file's name and not its header: the call goes on unrecorded, and nothing is to be recovered.
#[test]
fn a_segment_that_could_not_begin_leaves_no_file() {
    let (disk, city) = memory_city();
    city.vault.begin_day(today()).unwrap();
    disk.set_faults(Faults {
        refused_write: Some(disk.write_count() + 1),
        ..Faults::default()
    });
    let begun = RecordingWriter::create(notice(), &city.vault, &city.sealer, &opening(1));

    assert!(begun.is_err());
    let after = city_again(Arc::new(disk.after_kill()), &memory_layout());
    assert_eq!(after.vault.recover().unwrap().0.len(), 0);
    // The disk is in order again, and so is the recording's place.
    record(&city, &opening(1), 1);
}
