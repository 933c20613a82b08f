//! The container: what goes in comes out, what was changed does not, what was cut is a clean prefix.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod common;

use common::*;
use jiff::ToSpan;
use rules::JstDay;
use storage::{
    Channel, Disk, Gap, OpenFault, RecordingWriter, WriteFault,
    segment::{gaps_ms, inspect},
};

#[test]
fn what_was_recorded_is_heard_and_nothing_else_opens_it() {
    let (_, city) = memory_city();
    let opening = opening(1);
    let gap = Gap {
        channel: Channel::City,
        start: 3300,
        samples: 160,
    };
    let mut writer =
        RecordingWriter::create(notice(), &city.vault, &city.sealer, &opening).unwrap();
    append(&mut writer, 0, CHUNK, &[]).unwrap();
    append(&mut writer, 3200, CHUNK, &[gap]).unwrap();
    append(&mut writer, 6400, 777, &[]).unwrap();
    let sealed = writer.finish().unwrap();
    city.vault.flush().unwrap();
    city.vault
        .close_recording(today(), opening.recording)
        .unwrap();

    let (path, bytes) = only_file(&city, opening.recording);
    let inspection = inspect(&bytes).unwrap();
    assert!(path.to_string_lossy().ends_with("-000.krec"));
    assert!(!path.to_string_lossy().contains("open"));
    assert_eq!((inspection.chunks, inspection.samples), (4, 7177));
    assert_eq!(
        (inspection.is_complete, inspection.gaps.clone()),
        (true, vec![gap])
    );
    assert_eq!(inspection.gaps_ms(), 20);
    assert_eq!(gaps_ms(&[]), 0);
    assert_eq!(
        (sealed.sha256, sealed.bytes),
        (inspection.sha256, bytes.len() as u64)
    );
    assert_eq!(sealed.sha256, storage::segment::file_hash(&bytes));
    assert_eq!(
        (sealed.chunks, sealed.samples, sealed.gaps.samples),
        (4, 7177, 160)
    );
    assert!(!contains(&bytes, &voice(Channel::Carrier, 0, 32)));

    let permit = permit(&city, opening.recording, now());
    let mut playback = city
        .vault
        .open(permit, kept_on(today()), &city.opener, now())
        .unwrap();
    assert_eq!(playback.segments()[0].cut(), None);
    for range in [0..7177, 100..200, 3100..6500, 7000..9000, 0..10] {
        let audio = playback.read(0, range.clone(), now()).unwrap();
        let samples = u32::try_from(range.end.min(7177) - range.start).unwrap();
        assert_eq!(
            *audio.carrier,
            voice(Channel::Carrier, range.start, samples)
        );
        assert_eq!(*audio.city, voice(Channel::City, range.start, samples));
    }
    assert!(
        playback
            .read(0, 9000..9001, now())
            .unwrap()
            .carrier
            .is_empty()
    );
}

#[test]
fn a_recording_of_two_segments_is_heard_as_one_under_one_notice() {
    let (_, city) = memory_city();
    let first = opening(1);
    let mut writer = RecordingWriter::create(notice(), &city.vault, &city.sealer, &first).unwrap();
    append(&mut writer, 0, CHUNK, &[]).unwrap();
    let second = storage::Opening {
        segment: 1,
        city: storage::Codec::Pcma,
        ..opening(1)
    };
    let (closed, next) = writer.follow(&city.sealer, &second);
    let (closed, mut next) = (closed.unwrap(), next.unwrap());
    assert_eq!(next.notice().record(), notice().record());
    append(&mut next, 0, 777, &[]).unwrap();
    let last = next.finish().unwrap();
    let both = closed.and(&last);
    assert_eq!((both.chunks, both.samples), (2 + 2, u64::from(CHUNK) + 777));
    assert_eq!(both.bytes, closed.bytes + last.bytes);
    assert_ne!(both.sha256, last.sha256);
    city.vault.flush().unwrap();
    city.vault
        .close_recording(today(), first.recording)
        .unwrap();
    let permit = permit(&city, first.recording, now());
    let mut playback = city
        .vault
        .open(permit, kept_on(today()), &city.opener, now())
        .unwrap();
    assert_eq!(playback.segments().len(), 2);
    let audio = playback.read(1, 0..777, now()).unwrap();
    assert_eq!(*audio.carrier, voice(Channel::Carrier, 0, 777));
}

#[test]
fn a_playback_ends_with_its_permit_and_with_its_day() {
    let (_, city) = memory_city();
    let opening = opening(1);
    record(&city, &opening, 2);
    city.vault.flush().unwrap();
    let expiry = city.vault.begin_day(today()).unwrap();
    let open = |at| {
        let permit = permit(&city, opening.recording, at);
        city.vault.open(permit, kept_on(today()), &city.opener, at)
    };

    let mut playback = open(now()).unwrap();
    assert!(playback.read(0, 0..1, now() + 14.minutes()).is_ok());
    let lapsed = playback.read(0, 0..1, now() + 15.minutes()).err();
    let mut last = open(expiry - 1.minute()).unwrap();
    let heard = last.read(0, 0..1, expiry - 1.second()).is_ok();
    let over = last.read(0, 0..1, expiry).err();

    assert!(matches!(lapsed, Some(OpenFault::Refused(_))), "{lapsed:?}");
    assert!(heard);
    assert!(matches!(over, Some(OpenFault::Expired)), "{over:?}");
    assert!(matches!(open(expiry).err(), Some(OpenFault::Expired)));
}

#[test]
fn a_flipped_bit_at_any_byte_is_noticed_and_never_changes_what_is_heard() {
    let (disk, city) = memory_city();
    let opening = opening(1);
    let mut writer =
        RecordingWriter::create(notice(), &city.vault, &city.sealer, &opening).unwrap();
    let gap = Gap {
        channel: Channel::Carrier,
        start: 0,
        samples: 4,
    };
    append(&mut writer, 0, 16, &[gap]).unwrap();
    append(&mut writer, 16, 16, &[]).unwrap();
    writer.finish().unwrap();
    city.vault.flush().unwrap();
    let (path, whole) = only_file(&city, opening.recording);

    for position in 0..whole.len() {
        let mut bytes = whole.clone();
        bytes[position] ^= 0x10;
        disk.plant(&path, &bytes);
        let seen = inspect(&bytes);
        let is_whole = seen.is_ok_and(|seen| seen.is_complete);
        assert!(!is_whole, "a reader without keys missed byte {position}");
        let permit = permit(&city, opening.recording, now());
        let Ok(mut playback) = city
            .vault
            .open(permit, kept_on(today()), &city.opener, now())
        else {
            continue;
        };
        assert!(playback.segments()[0].cut().is_some(), "byte {position}");
        let samples = u32::try_from(playback.segments()[0].samples()).unwrap();
        let audio = playback.read(0, 0..u64::from(samples), now()).unwrap();
        assert_eq!(*audio.carrier, voice(Channel::Carrier, 0, samples));
        assert!(
            samples < 32 || position >= whole.len() - final_bytes(),
            "byte {position}"
        );
    }
}

/// Whoever can write files can make the links fit; the cipher then says no.
#[test]
fn a_change_with_links_made_anew_does_not_open() {
    let (disk, city) = memory_city();
    let opening = opening(1);
    record(&city, &opening, 3);
    city.vault.flush().unwrap();
    let (path, whole) = only_file(&city, opening.recording);
    let header = header_bytes(&whole);
    let chunk = (whole.len() - header - final_bytes()) / 3;

    let mut other_notice = whole.clone();
    let place = whole
        .windows(9)
        .position(|text| text == b"announced")
        .unwrap();
    other_notice[place] = b'A';
    let mut other_length = whole.clone();
    other_length[header + 27] ^= 1;
    let mut swapped = whole[..header].to_vec();
    swapped.extend_from_slice(&whole[header + chunk..header + 2 * chunk]);
    swapped.extend_from_slice(&whole[header..header + chunk]);
    let mut left_out = whole[..header].to_vec();
    left_out.extend_from_slice(&whole[header + chunk..]);

    for (what, bytes) in [
        ("length", other_length),
        ("left out", left_out),
        ("swapped", swapped),
    ] {
        let bytes = with_links(&bytes, header);
        disk.plant(&path, &bytes);
        let permit = permit(&city, opening.recording, now());
        let playback = city
            .vault
            .open(permit, kept_on(today()), &city.opener, now());
        let mut playback = playback.unwrap();
        let samples = playback.segments()[0].samples();
        let heard = playback.read(0, 0..samples, now()).is_ok();
        // Order and numbers are seen by everybody, the rest by whoever has the key.
        assert!(!heard || playback.segments()[0].cut().is_some(), "{what}");
    }
    // A notice that reads otherwise is no header any more, or does not open.
    disk.plant(&path, &with_links(&other_notice, header));
    let permit = permit(&city, opening.recording, now());
    let playback = city
        .vault
        .open(permit, kept_on(today()), &city.opener, now());
    let heard = playback.and_then(|mut playback| playback.read(0, 0..10, now()).map(|_| ()));
    assert!(heard.is_err());
}

#[test]
fn a_segment_opens_only_as_the_recording_segment_and_day_that_it_is() {
    let (disk, city) = memory_city();
    let first = opening(1);
    let second = opening(2);
    record(&city, &first, 1);
    record(&city, &second, 1);
    city.vault.flush().unwrap();
    let (_, other) = only_file(&city, second.recording);
    let (path, own) = only_file(&city, first.recording);

    disk.plant(&path, &other);
    let permit_for = || permit(&city, first.recording, now());
    let exchanged = city
        .vault
        .open(permit_for(), kept_on(today()), &city.opener, now())
        .err();
    // The header made to name the first recording; its key is sealed for the second.
    let mut renamed = other.clone();
    renamed[16..32].copy_from_slice(&own[16..32]);
    disk.plant(&path, &with_links(&renamed, header_bytes(&other)));
    let sealed_for_another = city
        .vault
        .open(permit_for(), kept_on(today()), &city.opener, now())
        .err();

    assert!(
        matches!(exchanged, Some(OpenFault::OtherRecording)),
        "{exchanged:?}"
    );
    assert!(
        matches!(sealed_for_another, Some(OpenFault::Secret(_))),
        "{sealed_for_another:?}"
    );
}

#[test]
fn a_file_cut_at_any_byte_is_a_clean_prefix() {
    let (_, city) = memory_city();
    let opening = opening(1);
    let mut writer =
        RecordingWriter::create(notice(), &city.vault, &city.sealer, &opening).unwrap();
    for chunk in 0..3 {
        append(&mut writer, chunk * 16, 16, &[]).unwrap();
    }
    writer.finish().unwrap();
    let (_, whole) = only_file(&city, opening.recording);

    let mut last = 0;
    for length in 0..whole.len() {
        let Ok(inspection) = inspect(&whole[..length]) else {
            assert!(length < header_bytes(&whole));
            continue;
        };
        assert!(!inspection.is_complete);
        assert!(inspection.samples >= last && inspection.samples <= 48);
        assert_eq!(inspection.samples, u64::from(inspection.chunks) * 16);
        let prefix = usize::try_from(inspection.whole_bytes).unwrap();
        assert_eq!(inspect(&whole[..prefix]).unwrap().sha256, inspection.sha256);
        assert_eq!(
            storage::segment::file_hash(&whole[..prefix]),
            inspection.sha256
        );
        last = inspection.samples;
    }
    assert_eq!(last, 48);
}

#[test]
fn without_the_days_public_half_nothing_is_recorded() {
    let (disk, city) = memory_city();
    let path = city.layout.public_halves().join(format!("day-{}", today()));
    let half = disk.read(&path).unwrap();
    let mut damaged = half.clone();
    damaged[50] ^= 1;

    disk.plant(&path, &damaged);
    let on_damaged = RecordingWriter::create(notice(), &city.vault, &city.sealer, &opening(1));
    disk.unlink(&path).unwrap();
    let on_missing = RecordingWriter::create(notice(), &city.vault, &city.sealer, &opening(1));

    assert!(on_damaged.is_err_and(|fault| fault.to_string().contains("damaged")));
    assert!(on_missing.is_err_and(|fault| fault.to_string().contains("missing")));
    assert!(city.vault.files(JstDay::of(now())).unwrap().is_empty());
}

#[test]
fn a_chunk_that_does_not_follow_is_refused() {
    let (_, city) = memory_city();
    let mut writer =
        RecordingWriter::create(notice(), &city.vault, &city.sealer, &opening(1)).unwrap();
    append(&mut writer, 0, CHUNK, &[]).unwrap();
    let again = append(&mut writer, 0, CHUNK, &[]).unwrap_err();
    let empty = append(&mut writer, 3200, 0, &[]).unwrap_err();
    append(&mut writer, 3200, CHUNK, &[]).unwrap();
    assert!(matches!(
        again,
        WriteFault::Chunk {
            expected_start: 3200,
            start: 0
        }
    ));
    assert!(matches!(empty, WriteFault::Chunk { .. }));
    assert_eq!(writer.finish().unwrap().samples, 6400);
}

/// Links can be made by anyone: numbers beyond all measure must do no harm to a start.
#[test]
fn a_forged_length_cannot_wrap_the_sums_of_a_recovery() {
    let (disk, city) = memory_city();
    let opening = opening(1);
    let mut writer =
        RecordingWriter::create(notice(), &city.vault, &city.sealer, &opening).unwrap();
    append(&mut writer, 0, CHUNK, &[]).unwrap();
    let (path, mut bytes) = only_file(&city, opening.recording);
    let header = header_bytes(&bytes);
    bytes[header + 16..header + 24].copy_from_slice(&(u64::MAX / 4).to_be_bytes());
    disk.plant(&path, &with_links(&bytes, header));

    let (recovered, _) = city.vault.recover().unwrap();

    assert_eq!(recovered[0].row().audio.chunks, 0);
}

fn header_bytes(file: &[u8]) -> usize {
    usize::try_from(u32::from_be_bytes(file[12..16].try_into().unwrap())).unwrap()
}

fn final_bytes() -> usize {
    28 + 8 + 16 + 32
}

/// Makes all links of a file fit its bytes.
fn with_links(file: &[u8], header: usize) -> Vec<u8> {
    let mut made = file[..header - 32].to_vec();
    let mut rest = &file[header..];
    loop {
        let link = storage::segment::file_hash(&made);
        made.extend_from_slice(&link.0);
        if rest.is_empty() {
            return made;
        }
        let length = |at: usize| {
            usize::try_from(u32::from_be_bytes(rest[at..at + 4].try_into().unwrap())).unwrap()
        };
        let part = length(0) + length(4);
        made.extend_from_slice(&rest[..part]);
        rest = &rest[part + 32..];
    }
}
