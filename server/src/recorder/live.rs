//! One recording in progress: its ring, its two aligned voices, and the sealed writer behind them.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    time::{Duration, Instant},
};

use jiff::Timestamp;
use media::{Side, Tap, Track};
use rules::{CallId, CallRecord};
use storage::{Channel, Chunk, CutSegment, Gap, RecordingWriter, SealedSegment};

/// How long a recording whose fork is gone waits for the end of its call. Both come within milliseconds; an order that found the queue
/// full never comes.
const LOST_END: Duration = Duration::from_secs(60);

/// One recording in progress.
pub(super) struct Live {
    pub(super) tap: Tap,
    pub(super) track: Track,
    pub(super) writer: RecordingWriter,
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
        self.over
            .as_ref()
            .is_some_and(|over| is_dry || now >= over.until)
    }

    /// Writes the last frames and the end. `None` where that panicked.
    pub(super) fn finish(
        mut self,
        now: Instant,
        call: CallId,
        faults: &mut Vec<(CallId, Trouble)>,
    ) -> Option<Sealed> {
        let written = catch_unwind(AssertUnwindSafe(|| {
            while let Some(frame) = self.tap.pop() {
                self.track.handle_frame(&frame);
            }
            let end = self.tap.ended().or_else(|| self.tap.position(now));
            while let Some(chunk) = self.track.finish(end.unwrap_or(0)) {
                self.write(&chunk, call, faults);
            }
        }));
        let sealed = finish(self.writer);
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
