//! A recording of two segments whose every sample is known, laid into a house that does not run.

use std::{
    fs,
    ops::Range,
    path::Path,
    process::{Command, Stdio},
    sync::Arc,
};

use jiff::{Timestamp, ToSpan as _};
use rules::{
    CallId, CallRecord, Caller, EndCause, JstDay, Notice, Number, Played, RecordingId,
    RecordingState, RetentionPolicy,
};
use storage::{
    Chunk, Codec, Layout, Opening, OsDisk, RecordingWriter, Row, SealedSegment, Sealer, Spool,
    SpoolEntry, Vault,
};

use super::{House, text};

/// The samples of both segments; the border lies on no whole second, and on no border of what is written at once.
pub(crate) const SEGMENTS: [Range<usize>; 2] = [0..58_400, 58_400..155_200];
/// The codecs of both segments: the citizen's and the city's, which `ffmpeg` calls `mulaw` and `alaw`.
const CODECS: [[Codec; 2]; 2] = [[Codec::Pcmu, Codec::Pcma], [Codec::Pcma, Codec::Pcmu]];
const CHUNK_SAMPLES: usize = 3_200;

/// What both parties said in the call: no two neighbouring samples are the same, and none is silence.
fn said() -> [Vec<u8>; 2] {
    [31, 47].map(|step| {
        let sample = |place| u8::try_from(place * step % 113).unwrap();
        (0..SEGMENTS[1].end).map(sample).collect()
    })
}

/// Lays the recording down as the calls do; the office takes it in with whatever is asked next.
pub(crate) fn lay_down(house: &House) -> String {
    let (disk, now) = (Arc::new(OsDisk), Timestamp::now());
    let layout = Layout::new(house.dir().join("data"), house.dir().join("root"));
    let policy = RetentionPolicy::new(89).unwrap();
    let vault = Arc::new(Vault::new(disk.clone(), &layout, policy));
    let sealer = Sealer::new(disk.clone(), &layout);
    let (recording, call) = (RecordingId::new(now, 1), CallId::new(now, 2));
    let played = Played::reported("recording-notice", [7; 32], 1, 8_000, 8_000, now, now).unwrap();
    let notice = Notice::announced(&played);
    let record = CallRecord {
        call_id: call,
        recording: Some(recording),
        called: Number::parse("0783331000").unwrap(),
        department: "daihyo".to_owned(),
        started_at: now,
        answered_at: Some(now),
        ended_at: Some(now + 19_400.milliseconds()),
        end_cause: Some(EndCause::CallerHungUp),
        emergency: None,
        notice: Some(notice.record()),
        unrecorded: None,
    };
    let openings = [0, 1].map(|segment: usize| Opening {
        recording,
        call,
        call_started: now,
        segment: u32::try_from(segment).unwrap(),
        start: now,
        carrier: CODECS[segment][0],
        city: CODECS[segment][1],
    });
    let sealed = write(notice, &vault, &sealer, &openings);
    vault.flush().unwrap();
    let caller = Caller::Known(Number::parse("0790000001").unwrap());
    let day = JstDay::of(now);
    let row = Row {
        call: record,
        caller: Some(sealer.seal_caller(call, day, &caller).unwrap()),
        expires_at: vault.begin_day(day).unwrap(),
        state: RecordingState::Sealed,
        audio: Some((&sealed).into()),
    };
    let mut spool = Spool::new(disk, &layout);
    spool.put(&SpoolEntry::Row(Box::new(row))).unwrap();
    spool.flush(now).unwrap();
    vault.close_recording(day, recording).unwrap();
    recording.to_string()
}

fn write(
    notice: Notice,
    vault: &Arc<Vault>,
    sealer: &Sealer,
    openings: &[Opening; 2],
) -> SealedSegment {
    let first = RecordingWriter::create(notice, vault, sealer, &openings[0]);
    let mut first = first.unwrap();
    append(&mut first, &SEGMENTS[0]);
    let (first, second) = first.follow(sealer, &openings[1]);
    let mut second = second.unwrap();
    append(&mut second, &SEGMENTS[1]);
    first.unwrap().and(&second.finish().unwrap())
}

fn append(writer: &mut RecordingWriter, segment: &Range<usize>) {
    let [citizen, city] = said().map(|voice| voice[segment.clone()].to_vec());
    let chunks = citizen
        .chunks(CHUNK_SAMPLES)
        .zip(city.chunks(CHUNK_SAMPLES));
    for (index, (carrier, city)) in chunks.enumerate() {
        let chunk = Chunk {
            start: u64::try_from(index * CHUNK_SAMPLES).unwrap(),
            samples: u32::try_from(carrier.len()).unwrap(),
            carrier,
            city,
            gaps: &[],
        };
        writer.append(&chunk).unwrap();
    }
}

/// The frames of the whole recording as `ffmpeg` reads what was said: the citizen's sample and the city's.
pub(crate) fn expected(folder: &Path) -> Vec<[i16; 2]> {
    let mut sides = [Vec::new(), Vec::new()];
    for (side, said) in said().into_iter().enumerate() {
        for (segment, codecs) in SEGMENTS.into_iter().zip(CODECS) {
            sides[side].extend(decoded(folder, codecs[side], &said[segment]));
        }
    }
    let [citizen, city] = sides;
    citizen
        .into_iter()
        .zip(city)
        .map(|(citizen, city)| [citizen, city])
        .collect()
}

fn decoded(folder: &Path, codec: Codec, said: &[u8]) -> Vec<i16> {
    let file = folder.join("said");
    fs::write(&file, said).unwrap();
    let codec = match codec {
        Codec::Pcmu => "mulaw",
        Codec::Pcma => "alaw",
    };
    let mut ffmpeg = Command::new("ffmpeg");
    ffmpeg.args(["-loglevel", "error", "-f", codec, "-ar", "8000", "-i"]);
    ffmpeg
        .arg(file)
        .args(["-f", "s16le", "-"])
        .stdin(Stdio::null());
    let decoded = ffmpeg.output().unwrap();
    assert!(decoded.status.success(), "{}", text(&decoded));
    let samples = decoded.stdout.chunks_exact(2);
    samples
        .map(|sample| i16::from_le_bytes([sample[0], sample[1]]))
        .collect()
}
