//! The recorder: frames out of taps into two aligned channels, and the records of calls.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use exchange::{Begin, Codecs, RecordOrder, RecorderEvent, RecorderFault};
use media::{Chunk, Gap, Side, Tap, Track};
use rules::{CallId, CallRecord, Notice, Reason, RecordingId};

const TICK: Duration = Duration::from_millis(20);

/// How a recorder fares.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Mood {
    /// It works.
    #[default]
    Works,
    /// It cannot begin anything: no key of the day.
    CannotBegin,
}

/// The recorder.
#[derive(Debug, Default)]
pub struct Recorder {
    mood: Mood,
    open: BTreeMap<CallId, Recording>,
    next: Option<Instant>,
    /// Recordings that were closed.
    pub closed: Vec<Recording>,
    /// Records of calls without one.
    pub unrecorded: Vec<CallRecord>,
    /// Calls whose recording could not be begun.
    pub not_begun: Vec<CallId>,
}

/// What was kept of a call.
#[derive(Debug)]
pub struct Recording {
    /// The call.
    pub call: CallId,
    /// Its id.
    pub id: RecordingId,
    /// Why it may be kept: it lives as long as the recording.
    pub notice: Notice,
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
    tap: Tap,
    track: Track,
}

impl Recorder {
    /// A recorder in a mood.
    pub fn new(mood: Mood) -> Recorder {
        Recorder {
            mood,
            ..Recorder::default()
        }
    }

    /// Takes an order; may have something to report.
    pub fn handle_order(&mut self, now: Instant, order: RecordOrder) -> Option<RecorderEvent> {
        match order {
            RecordOrder::Begin(begin) if self.mood == Mood::CannotBegin => {
                self.not_begun.push(begin.call);
                Some(RecorderEvent {
                    call: begin.call,
                    fault: RecorderFault::NotBegun,
                })
            }
            RecordOrder::Begin(begin) => {
                self.begin(*begin);
                self.next.get_or_insert(now + TICK);
                None
            }
            RecordOrder::End { call, record } => {
                let mut recording = self
                    .open
                    .remove(&call)
                    .expect("a recording ends that has begun");
                recording.record = *record;
                recording.finish();
                self.closed.push(recording);
                None
            }
            RecordOrder::Unrecorded { record, .. } => {
                self.unrecorded.push(*record);
                None
            }
        }
    }

    fn begin(&mut self, begin: Begin) {
        let Begin {
            call,
            recording: id,
            notice,
            tap,
            record,
            caller: _,
            codecs,
        } = begin;
        let track = Track::new(codecs.carrier, codecs.department);
        let (carrier, city, gaps) = (Vec::new(), Vec::new(), Vec::new());
        let recording = Recording {
            call,
            id,
            notice,
            codecs,
            record,
            carrier,
            city,
            gaps,
            opened: None,
            tap,
            track,
        };
        assert!(
            self.open.insert(call, recording).is_none(),
            "a call begins one recording"
        );
    }

    /// When it looks into its taps.
    pub fn next_due(&self) -> Option<Instant> {
        self.next
    }

    /// Looks into its taps.
    pub fn handle_timeout(&mut self, now: Instant) {
        for recording in self.open.values_mut() {
            recording.drain(now);
        }
        self.next = (!self.open.is_empty()).then_some(now + TICK);
    }

    /// Recordings that go on.
    pub fn open_count(&self) -> usize {
        self.open.len()
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
    fn drain(&mut self, now: Instant) {
        self.opened = self.tap.opened();
        while let Some(frame) = self.tap.pop() {
            self.track.handle_frame(&frame);
        }
        let Some(upto) = self.tap.position(now) else {
            return;
        };
        while let Some(chunk) = self.track.poll_chunk(upto) {
            self.take(chunk);
        }
    }

    fn finish(&mut self) {
        self.opened = self.tap.opened();
        while let Some(frame) = self.tap.pop() {
            self.track.handle_frame(&frame);
        }
        let end = self.tap.ended().unwrap_or_else(|| self.track.start());
        while let Some(chunk) = self.track.finish(end) {
            self.take(chunk);
        }
    }

    fn take(&mut self, chunk: Chunk) {
        self.carrier.extend(chunk.carrier);
        self.city.extend(chunk.city);
        self.gaps.extend(chunk.gaps);
    }

    /// The channel of a side.
    pub fn channel(&self, side: Side) -> &[u8] {
        match side {
            Side::Carrier => &self.carrier,
            Side::Department => &self.city,
        }
    }
}
