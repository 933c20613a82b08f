//! One recording in progress: its ring, its two aligned voices, and the sealed writer behind them.

use std::{
    collections::VecDeque,
    panic::{AssertUnwindSafe, catch_unwind},
    time::{Duration, Instant},
};

use exchange::Next;
use jiff::Timestamp;
use media::{Side, Tap, Track};
use rules::{CallId, CallRecord};
use storage::{Channel, Chunk, CutSegment, Gap, Opening, RecordingWriter, SealedSegment, Sealer};

use crate::recorder::stored;

/// How long a recording whose fork is gone waits for the end of its call. Both come within milliseconds; an order that found the queue
/// full never comes.
///
/// A transfer leaves the fork gone while its target rings, which may take minutes.
const LOST_END: Duration = Duration::from_secs(600);

/// One recording in progress.
pub(super) struct Live {
    pub(super) tap: Tap,
    pub(super) track: Track,
    pub(super) writer: RecordingWriter,
    /// The segment that is being written, from 0.
    pub(super) segment: u32,
    /// What the segments before it hold.
    pub(super) earlier: Option<Result<SealedSegment, Box<CutSegment>>>,
    /// The next segments, until the fork of this one is gone.
    pub(super) next: VecDeque<Next>,
    /// Whether the last chunk could not be written.
    pub(super) is_interrupted: bool,
    pub(super) refused: u64,
    /// The call as it stood when the recording began.
    pub(super) record: Box<CallRecord>,
    pub(super) dry_since: Option<Instant>,
    pub(super) over: Option<Over>,
}

/// A segment that is closed, whole or cut.
pub(super) type Sealed = Result<SealedSegment, Box<CutSegment>>;

/// A call that is over and whose last frames are awaited.
pub(super) struct Over {
    pub(super) record: Box<CallRecord>,
    pub(super) until: Instant,
}

/// What went wrong with one recording in one turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Trouble {
    DiskFull,
    Fault,
    Behind,
}

impl Live {
    /// Takes what is in the ring and writes whole chunks; whether the recording is over.
    pub(super) fn turn(
        &mut self,
        now: Instant,
        call: CallId,
        faults: &mut Vec<(CallId, Trouble)>,
    ) -> bool {
        let is_dry = self.tap.is_abandoned();
        while let Some(frame) = self.tap.pop() {
            self.track.handle_frame(&frame);
        }
        let upto = self.tap.position(now).unwrap_or(0);
        while let Some(chunk) = self.track.poll_chunk(upto) {
            self.write(&chunk, call, faults);
        }
        if self.tap.refused() > self.refused {
            self.refused = self.tap.refused();
            faults.push((call, Trouble::Behind));
        }
        if is_dry {
            self.dry_since.get_or_insert(now);
        }
        self.next.is_empty()
            && self
                .over
                .as_ref()
                .is_some_and(|over| is_dry || now >= over.until)
    }

    /// Whether the fork of this segment is gone, and another one waits.
    pub(super) fn goes_on(&self, now: Instant) -> bool {
        let is_over = |over: &Over| now >= over.until;
        let is_late = self.over.as_ref().is_some_and(is_over);
        !self.next.is_empty() && (self.dry_since.is_some() || is_late)
    }

    /// Goes on to the next segment, under the notice of the first; or says what was written when that cannot be.
    pub(super) fn go_on(
        mut self,
        now: Instant,
        wall: Timestamp,
        sealer: &Sealer,
        faults: &mut Vec<(CallId, Trouble)>,
    ) -> Result<Live, Sealed> {
        let call = self.record.call_id;
        self.write_last(now, call, faults);
        let (Some(recording), Some(next)) = (self.record.recording, self.next.pop_front()) else {
            return Err(joined(self.earlier, self.writer.finish()));
        };
        let codecs = next.codecs;
        let segment = self.segment + 1;
        let opening = Opening {
            recording,
            call,
            call_started: self.record.started_at,
            segment,
            start: wall,
            carrier: stored(codecs.carrier),
            city: stored(codecs.department),
        };
        let (closed, writer) = self.writer.follow(sealer, &opening);
        let earlier = joined(self.earlier, closed);
        match writer {
            Ok(writer) => Ok(Live {
                tap: next.tap,
                track: Track::new(codecs.carrier, codecs.department),
                writer,
                segment,
                earlier: Some(earlier),
                is_interrupted: false,
                refused: 0,
                dry_since: None,
                ..self
            }),
            Err(fault) => {
                tracing::error!(%call, %fault, "a recording cannot go on with its next segment");
                faults.push((call, Trouble::Fault));
                Err(earlier)
            }
        }
    }

    fn write_last(&mut self, now: Instant, call: CallId, faults: &mut Vec<(CallId, Trouble)>) {
        while let Some(frame) = self.tap.pop() {
            self.track.handle_frame(&frame);
        }
        let end = self.tap.ended().or_else(|| self.tap.position(now));
        while let Some(chunk) = self.track.finish(end.unwrap_or(0)) {
            self.write(&chunk, call, faults);
        }
    }

    /// Writes the last frames and the end. `None` where that panicked.
    pub(super) fn finish(
        mut self,
        now: Instant,
        call: CallId,
        faults: &mut Vec<(CallId, Trouble)>,
    ) -> Option<Sealed> {
        let written = catch_unwind(AssertUnwindSafe(|| self.write_last(now, call, faults)));
        let earlier = self.earlier.take();
        let sealed = finish(self.writer).map(|last| joined(earlier, last));
        match &sealed {
            Some(Ok(_)) if written.is_ok() => {}
            Some(Err(cut)) => {
                tracing::error!(%call, fault = %cut.fault, "a recording has no end");
                faults.push((call, Trouble::Fault));
            }
            Some(Ok(_)) | None => {
                tracing::error!(%call, "the last of a recording was lost by a panic");
                faults.push((call, Trouble::Fault));
            }
        }
        sealed
    }

    pub(super) fn end_is_lost(&self, now: Instant) -> bool {
        let is_over = |dry: Instant| now.saturating_duration_since(dry) >= LOST_END;
        self.over.is_none() && self.dry_since.is_some_and(is_over)
    }

    /// The end as the fork knows it: when the shard closed it.
    pub(super) fn end_by_fork(&self, now: Instant, wall: Timestamp) -> Over {
        let dry = self.dry_since.unwrap_or(now);
        let ago = now.saturating_duration_since(dry);
        let mut record = self.record.clone();
        record.ended_at = Some(wall.saturating_sub(ago).unwrap_or(wall));
        Over { record, until: now }
    }

    /// Seals a chunk; one that cannot be written becomes a gap, and the next one is tried again.
    fn write(&mut self, chunk: &media::Chunk, call: CallId, faults: &mut Vec<(CallId, Trouble)>) {
        let gaps: Vec<Gap> = chunk.gaps.iter().map(marked).collect();
        let sealed = Chunk {
            start: chunk.start,
            samples: chunk.samples,
            carrier: &chunk.carrier,
            city: &chunk.city,
            gaps: &gaps,
        };
        match self.writer.append(&sealed) {
            Ok(()) => self.is_interrupted = false,
            Err(fault) if !self.is_interrupted => {
                self.is_interrupted = true;
                tracing::error!(%call, %fault, "a chunk was lost; the recording has a gap");
                faults.push((
                    call,
                    if fault.is_disk_full() {
                        Trouble::DiskFull
                    } else {
                        Trouble::Fault
                    },
                ));
            }
            Err(_) => {} // Told when the interruption began.
        }
    }
}

/// Writes the final chunk; `None` where that panicked.
pub(super) fn finish(writer: RecordingWriter) -> Option<Sealed> {
    catch_unwind(AssertUnwindSafe(|| writer.finish())).ok()
}

/// What the segments of a recording hold together: cut, where one of them is.
fn joined(earlier: Option<Sealed>, last: Sealed) -> Sealed {
    let Some(earlier) = earlier else { return last };
    match (earlier, last) {
        (Ok(before), Ok(after)) => Ok(before.and(&after)),
        (Ok(before), Err(mut cut)) => {
            cut.segment = before.and(&cut.segment);
            Err(cut)
        }
        (Err(mut cut), after) => {
            let after = after.as_ref().unwrap_or_else(|cut| &cut.segment);
            cut.segment = cut.segment.and(after);
            Err(cut)
        }
    }
}

fn marked(gap: &media::Gap) -> Gap {
    let channel = match gap.side {
        Side::Carrier => Channel::Carrier,
        Side::Department => Channel::City,
    };
    Gap {
        channel,
        start: gap.start,
        samples: gap.samples,
    }
}
