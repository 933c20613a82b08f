//! The recorder: frames out of taps into two aligned channels, sealed into the vault, and the records of calls.
//!
//! It does what the server's recorder does, on the city's clock; beside each sealed segment it keeps the sound for the tests to look at.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use exchange::{Begin, Codecs, Next, Now, RecordOrder, RecorderEvent, RecorderFault};
use media::{Chunk, Gap, Side, Tap, Track};
use rules::{CallId, CallRecord, Caller, NoticeRecord, Reason, RecordingId, RecordingState};
use storage::{Channel, Codec, Opening, RecordingWriter, SealedSegment};

use crate::archive::Archive;

const TURN: Duration = Duration::from_millis(20);
/// What a power cut costs.
const FLUSH: Duration = Duration::from_millis(300);

/// The recorder.
pub struct Recorder {
    /// Where it keeps things.
    pub archive: Archive,
    open: BTreeMap<CallId, Recording>,
    turn: Option<Instant>,
    flush: Instant,
    /// Recordings that were closed.
    pub closed: Vec<Recording>,
    /// Records of calls without one.
    pub unrecorded: Vec<CallRecord>,
}

/// What was kept of a call.
pub struct Recording {
    /// The call.
    pub call: CallId,
    /// Its id.
    pub id: RecordingId,
    /// Why it may be kept; the notice itself went into the segment.
    pub notice: NoticeRecord,
    /// What each side spoke.
    pub codecs: Codecs,
    /// The record, whole once the call is over.
    pub record: CallRecord,
    /// The citizen's channel.
    pub carrier: Vec<u8>,
    /// The city's channel.
    pub city: Vec<u8>,
    /// Time without samples.
    pub gaps: Vec<Gap>,
    /// When the gate opened.
    pub opened: Option<Instant>,
    /// When the call ended.
    pub ended: Instant,
    /// What was never received, and what no disk took, of both channels together.
    pub missing_samples: u64,
    /// Chunks that were to be written, whether or not they were.
    pub attempts: u32,
    /// What became of its last segment.
    pub segment: Segment,
    /// The segments before it that are whole.
    pub earlier: Vec<SealedSegment>,
    /// Its number, from 0; those before it that were cut count too.
    pub number: u32,
    caller: Caller,
    tap: Tap,
    track: Track,
}

/// A segment, as the recorder sees it.
pub enum Segment {
    /// Chunks are written; the last one was refused, or was not.
    Open(Box<RecordingWriter>, Disk),
    /// It is whole.
    Sealed(SealedSegment),
    /// It could not be closed.
    Cut,
}

/// How the disk took the last chunk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Disk {
    /// It took it.
    Takes,
    /// It did not.
    Refuses,
}

impl Recorder {
    /// A recorder over an archive.
    pub fn new(archive: Archive, now: Now) -> Recorder {
        Recorder {
            archive,
            open: BTreeMap::new(),
            turn: None,
            flush: now.at,
            closed: Vec::new(),
            unrecorded: Vec::new(),
        }
    }

    /// Takes an order; may have something to report.
    pub fn handle_order(&mut self, now: Now, order: RecordOrder) -> Option<RecorderEvent> {
        match order {
            RecordOrder::Begin(begin) => {
                let call = begin.call;
                match self.begin(now, *begin) {
                    Some(recording) => {
                        assert!(
                            self.open.insert(call, recording).is_none(),
                            "a call begins one recording"
                        );
                        self.turn.get_or_insert(now.at + TURN);
                        None
                    }
                    None => Some(RecorderEvent {
                        call,
                        fault: RecorderFault::NotBegun,
                    }),
                }
            }
            RecordOrder::Next(next) => {
                let recording = self.open.get_mut(&next.call);
                let recording = recording.expect("a recording goes on that has begun");
                recording.go_on(now, *next, &self.archive);
                None
            }
            RecordOrder::End { call, record } => {
                let mut recording = self
                    .open
                    .remove(&call)
                    .expect("a recording ends that has begun");
                recording.record = *record;
                recording.ended = now.at;
                recording.finish();
                self.archive.put_row(
                    &recording.record,
                    &recording.caller,
                    RecordingState::Sealed,
                    recording.sealed().as_ref(),
                );
                self.archive.flush_rows(now.wall);
                self.closed.push(recording);
                None
            }
            RecordOrder::Unrecorded { record, caller } => {
                self.archive
                    .put_row(&record, &caller, RecordingState::Unrecorded, None);
                self.archive.flush_rows(now.wall);
                self.unrecorded.push(*record);
                None
            }
        }
    }

    fn begin(&self, now: Now, begin: Begin) -> Option<Recording> {
        let Begin {
            call,
            recording: id,
            notice,
            tap,
            record,
            caller,
            codecs,
        } = begin;
        let opening = Opening {
            recording: id,
            call,
            call_started: record.started_at,
            segment: 0,
            start: now.wall,
            carrier: coded(codecs.carrier),
            city: coded(codecs.department),
        };
        let kept = notice.record();
        let writer =
            RecordingWriter::create(notice, &self.archive.vault, &self.archive.sealer, &opening)
                .ok()?;
        let (carrier, city, gaps) = (Vec::new(), Vec::new(), Vec::new());
        let track = Track::new(codecs.carrier, codecs.department);
        let segment = Segment::Open(Box::new(writer), Disk::Takes);
        Some(Recording {
            call,
            id,
            notice: kept,
            codecs,
            record,
            carrier,
            city,
            gaps,
            opened: None,
            ended: now.at,
            missing_samples: 0,
            attempts: 0,
            segment,
            earlier: Vec::new(),
            number: 0,
            caller,
            tap,
            track,
        })
    }

    /// When it looks into its taps.
    pub fn next_due(&self) -> Option<Instant> {
        self.turn
    }

    /// Looks into its taps, and flushes the vault when that is due; says which recordings cannot go on at present.
    pub fn handle_timeout(&mut self, now: Instant) -> Vec<RecorderEvent> {
        let mut events = Vec::new();
        for recording in self.open.values_mut() {
            if recording.turn(now) {
                events.push(RecorderEvent {
                    call: recording.call,
                    fault: RecorderFault::Interrupted,
                });
            }
        }
        if now >= self.flush {
            // A refused flush is tried again with the next one.
            let _ = self.archive.vault.flush();
            self.flush = now + FLUSH;
        }
        self.turn = (!self.open.is_empty()).then_some(now + TURN);
        events
    }

    /// The process died: what was open stays as it lies on the disk.
    pub fn lose(&mut self) {
        self.open.clear();
        self.turn = None;
    }

    /// Recordings that go on.
    pub fn open_count(&self) -> usize {
        self.open.len()
    }

    /// A recording that goes on.
    pub fn open(&self, call: CallId) -> Option<&Recording> {
        self.open.get(&call)
    }

    /// The record of a call, whatever became of it.
    pub fn record(&self, call: CallId) -> Option<&CallRecord> {
        let closed = self.closed.iter().map(|recording| &recording.record);
        closed
            .chain(&self.unrecorded)
            .find(|record| record.call_id == call)
    }

    /// The reason why a call was not recorded.
    pub fn reason(&self, call: CallId) -> Option<Reason> {
        self.record(call)?.unrecorded
    }
}

impl Recording {
    /// Who called, as the sealed fields keep it.
    pub fn caller(&self) -> &Caller {
        &self.caller
    }

    /// Moves on; says whether the disk has just begun to refuse.
    fn turn(&mut self, now: Instant) -> bool {
        self.drain();
        let mut has_begun_to_refuse = false;
        if let Some(upto) = self.tap.position(now) {
            while let Some(chunk) = self.track.poll_chunk(upto) {
                has_begun_to_refuse |= self.take(chunk);
            }
        }
        has_begun_to_refuse
    }

    fn drain(&mut self) {
        self.opened = self.opened.or(self.tap.opened());
        while let Some(frame) = self.tap.pop() {
            self.track.handle_frame(&frame);
        }
    }

    /// Ends this segment where its fork stands, and goes on with the next one.
    fn go_on(&mut self, now: Now, next: Next, archive: &Archive) {
        self.drain();
        let end = self.tap.ended().or_else(|| self.tap.position(now.at));
        while let Some(chunk) = self.track.finish(end.unwrap_or(0)) {
            self.take(chunk);
        }
        self.number += 1;
        let opening = Opening {
            recording: self.id,
            call: self.call,
            call_started: self.record.started_at,
            segment: self.number,
            start: now.wall,
            carrier: coded(next.codecs.carrier),
            city: coded(next.codecs.department),
        };
        if let Segment::Open(writer, _) = std::mem::replace(&mut self.segment, Segment::Cut) {
            let (closed, writer) = writer.follow(&archive.sealer, &opening);
            self.earlier.extend(closed);
            if let Ok(writer) = writer {
                self.segment = Segment::Open(Box::new(writer), Disk::Takes);
            }
        }
        self.codecs = next.codecs;
        self.track = Track::new(next.codecs.carrier, next.codecs.department);
        self.tap = next.tap;
    }

    fn finish(&mut self) {
        self.drain();
        let end = self.tap.ended().unwrap_or_else(|| self.track.start());
        while let Some(chunk) = self.track.finish(end) {
            self.take(chunk);
        }
        self.segment = match std::mem::replace(&mut self.segment, Segment::Cut) {
            Segment::Open(writer, _) => writer.finish().map_or(Segment::Cut, Segment::Sealed),
            closed => closed,
        };
    }

    fn take(&mut self, chunk: Chunk) -> bool {
        let mut has_begun_to_refuse = false;
        if let Segment::Open(writer, disk) = &mut self.segment {
            let gaps: Vec<_> = chunk.gaps.iter().map(sealed_gap).collect();
            let (start, samples) = (chunk.start, chunk.samples);
            let sealed = storage::Chunk {
                start,
                samples,
                carrier: &chunk.carrier,
                city: &chunk.city,
                gaps: &gaps,
            };
            self.attempts += 1;
            let taken = if writer.append(&sealed).is_ok() {
                self.missing_samples += gaps.iter().map(|gap| u64::from(gap.samples)).sum::<u64>();
                Disk::Takes
            } else {
                self.missing_samples += 2 * u64::from(samples);
                Disk::Refuses
            };
            has_begun_to_refuse = (*disk, taken) == (Disk::Takes, Disk::Refuses);
            *disk = taken;
        }
        self.carrier.extend(chunk.carrier);
        self.city.extend(chunk.city);
        self.gaps.extend(chunk.gaps);
        has_begun_to_refuse
    }

    /// The channel of a side.
    pub fn channel(&self, side: Side) -> &[u8] {
        match side {
            Side::Carrier => &self.carrier,
            Side::Department => &self.city,
        }
    }

    /// Its segments together, once they are whole.
    pub fn sealed(&self) -> Option<SealedSegment> {
        let last = match &self.segment {
            Segment::Sealed(sealed) => *sealed,
            Segment::Open(..) | Segment::Cut => return None,
        };
        let all = self.earlier.iter().copied().chain([last]);
        all.reduce(|before, after| before.and(&after))
    }
}

fn coded(codec: media::Codec) -> Codec {
    match codec {
        media::Codec::Pcmu => Codec::Pcmu,
        media::Codec::Pcma => Codec::Pcma,
    }
}

fn sealed_gap(gap: &Gap) -> storage::Gap {
    let channel = match gap.side {
        Side::Carrier => Channel::Carrier,
        Side::Department => Channel::City,
    };
    storage::Gap {
        channel,
        start: gap.start,
        samples: gap.samples,
    }
}
