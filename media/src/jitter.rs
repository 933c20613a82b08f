//! One side's frames in order: laid by RTP timestamp on the clock of the call, duplicates and stragglers dropped.
//!
//! The first packet's arrival anchors the sender's clock to ours; from then on timestamps decide, so that the samples of
//! a continuous stream keep their distance whatever the network does. The anchor moves only where the stream breaks, or
//! where keeping it would lose speech. It bounds memory, because a sender decides how fast its timestamps run.

use crate::{
    frame::Frame,
    g711::{self, Codec},
};

/// Timestamp and arrival may differ by so much before the stream counts as broken: 200 ms.
///
/// Twice the worst jitter of a telephone network worth the name, and under half a chunk.
const MAX_DRIFT_SAMPLES: u64 = 1_600;
/// A sender's clock may run ahead by so much while it speaks without a pause: 1 s, which 100 ppm reach in three hours.
const MAX_EARLY_SAMPLES: u64 = 8_000;
/// Speech that may wait for its chunk: 10 s. Only a recorder that stands still, or a sender that races, reaches it.
const MAX_WAITING_SAMPLES: u64 = 80_000;

/// What one side's buffer has counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct JitterStatistics {
    /// Frames laid into the channel.
    pub kept: u64,
    /// Frames that came after their chunk had gone.
    pub late: u64,
    /// Frames whose samples were there already.
    pub duplicates: u64,
    /// Frames further ahead than the buffer reaches.
    pub beyond: u64,
    /// How often the sender's clock was anchored anew after the first time.
    pub anchored_anew: u64,
}

/// The samples of one side that wait for their chunk.
#[derive(Debug)]
pub struct JitterBuffer {
    codec: Codec,
    /// Where the next chunk begins: position of `samples[0]`.
    start: u64,
    /// From `start` on, silence where nothing was received.
    samples: Vec<u8>,
    /// What was received, as disjoint stretches of positions in order.
    present: Vec<Stretch>,
    /// The newest frame laid by its timestamp; the sender's clock hangs on it.
    anchor: Option<Anchor>,
    /// Where the anchor's run begins, while no sample of it has been cut: so long the whole run can still move.
    uncut_run: Option<u64>,
    /// The timestamp behind a late frame: if the next frame has it, the stream began anew with an older clock.
    straggler: Option<u32>,
    statistics: JitterStatistics,
}

/// Received samples, from `start` up to `end`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Stretch {
    start: u64,
    end: u64,
}

/// Where a timestamp lies on the call's clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Anchor {
    timestamp: u32,
    position: u64,
}

/// Whether timestamp and arrival have parted. `step`: ahead of the newest timestamp; `late`: arrival behind its place.
///
/// A clock that runs fast parts slowly and loses nothing, so it is put right in a pause, or when a second is reached.
fn is_broken(step: i64, late: i64) -> bool {
    let is_pause = step.unsigned_abs() > MAX_DRIFT_SAMPLES;
    let early_limit = if is_pause {
        MAX_DRIFT_SAMPLES
    } else {
        MAX_EARLY_SAMPLES
    };
    late.unsigned_abs()
        > if late > 0 {
            MAX_DRIFT_SAMPLES
        } else {
            early_limit
        }
}

/// What a frame's timestamp says of its place.
enum Place {
    At(u64),
    Late,
}

impl JitterBuffer {
    /// An empty buffer of a side whose channel has this codec.
    #[must_use]
    pub fn new(codec: Codec) -> JitterBuffer {
        JitterBuffer {
            codec,
            start: 0,
            samples: Vec::new(),
            present: Vec::new(),
            anchor: None,
            uncut_run: None,
            straggler: None,
            statistics: JitterStatistics::default(),
        }
    }

    /// Where the next cut begins.
    #[must_use]
    pub fn start(&self) -> u64 {
        self.start
    }

    /// Behind the last sample received, or `start` when there is none.
    #[must_use]
    pub fn end(&self) -> u64 {
        self.present
            .last()
            .map_or(self.start, |stretch| stretch.end)
    }

    /// What it has counted.
    #[must_use]
    pub fn statistics(&self) -> JitterStatistics {
        self.statistics
    }

    /// Lays a frame where its timestamp belongs.
    pub fn handle_frame(&mut self, frame: &Frame) {
        if frame.samples().is_empty() {
            return;
        }
        match self.place(frame) {
            Place::At(position) => self.lay(position, frame),
            Place::Late => self.statistics.late += 1,
        }
    }

    /// Takes the first `samples` positions; `gap` is told each stretch without samples.
    pub fn cut(&mut self, samples: u32, mut gap: impl FnMut(u64, u32)) -> Vec<u8> {
        let end = self.start + u64::from(samples);
        let len = usize::try_from(samples).expect("32 bits fit");
        for missing in self.missing(self.start, end) {
            gap(
                missing.start,
                u32::try_from(missing.end - missing.start)
                    .expect("a gap is not longer than the cut"),
            );
        }
        let mut channel = vec![self.codec.silence(); len];
        let received = self.samples.len().min(len);
        channel[..received].copy_from_slice(&self.samples[..received]);
        self.samples.drain(..received);
        self.present.retain_mut(|stretch| {
            stretch.start = stretch.start.max(end);
            stretch.start < stretch.end
        });
        self.start = end;
        self.uncut_run = self.uncut_run.filter(|&run| run >= end);
        channel
    }

    /// Decides the place of a frame, and moves the anchor.
    fn place(&mut self, frame: &Frame) -> Place {
        let Some(anchor) = self.anchor else {
            return self.anchor_at(frame, frame.at.max(self.start));
        };
        let step = i64::from(
            frame
                .rtp_timestamp
                .wrapping_sub(anchor.timestamp)
                .cast_signed(),
        );
        // Signed, because a frame can belong before the fork's own beginning.
        let position = anchor.position.cast_signed().saturating_add(step);
        let late = frame.at.cast_signed().saturating_sub(position);
        let start = self.start.cast_signed();
        if step > 0 {
            if !is_broken(step, late) && position >= start {
                let position = position.cast_unsigned();
                self.straggler = None;
                self.anchor = Some(Anchor {
                    timestamp: frame.rtp_timestamp,
                    position,
                });
                return Place::At(self.pull_run(position, frame.at));
            }
            return self.anchor_anew(frame, position);
        }
        if is_broken(step, late) && (frame.marker || self.straggler == Some(frame.rtp_timestamp)) {
            return self.anchor_anew(frame, position);
        }
        let len = frame.samples().len();
        let behind = position.abs_diff(start);
        if position < start && behind <= MAX_DRIFT_SAMPLES && self.push_run(behind) {
            return Place::At(self.start);
        }
        // What still fits is kept, of a frame that is partly late too.
        if position >= 0 && position.saturating_add_unsigned(len as u64) > start {
            return Place::At(position.cast_unsigned());
        }
        self.straggler = Some(frame.rtp_timestamp.wrapping_add(u32::from(frame.len)));
        Place::Late
    }

    /// The stream broke, or its newest frame would be lost: it goes on where it arrived, behind what is there.
    fn anchor_anew(&mut self, frame: &Frame, position: i64) -> Place {
        let anew = frame.at.max(self.end());
        if anew.cast_signed() != position {
            self.statistics.anchored_anew += 1;
        }
        self.anchor_at(frame, anew)
    }

    fn anchor_at(&mut self, frame: &Frame, position: u64) -> Place {
        self.straggler = None;
        self.anchor = Some(Anchor {
            timestamp: frame.rtp_timestamp,
            position,
        });
        self.uncut_run = Some(position);
        Place::At(position)
    }

    /// Moves an uncut run towards the arrival of a frame that was faster than its first: the fastest tells the delay.
    ///
    /// It never runs into what is there already. Returns where the frame then belongs.
    fn pull_run(&mut self, position: u64, at: u64) -> u64 {
        let Some(run) = self.uncut_run else {
            return position;
        };
        let room = run - self.end_before(run);
        let by = position.saturating_sub(at).min(room);
        if by > 0 {
            let gone = self.index_of(run - by)..self.index_of(run);
            self.samples.drain(gone);
            self.move_run(run, |at| at - by);
        }
        position - by
    }

    /// Moves an uncut run later, because an older frame of it belongs before the buffer's start.
    ///
    /// Says whether it could: not where anything lies before the run.
    fn push_run(&mut self, by: u64) -> bool {
        let Some(run) = self
            .uncut_run
            .filter(|&run| self.end_before(run) == self.start)
        else {
            return false;
        };
        let silence = std::iter::repeat_n(
            self.codec.silence(),
            usize::try_from(by).expect("under 200 ms"),
        );
        // In front of everything: what lies before the run is silence too.
        self.samples.splice(0..0, silence);
        self.move_run(run, |at| at + by);
        true
    }

    /// Where the received samples before a run end; the run itself when they reach it.
    fn end_before(&self, run: u64) -> u64 {
        let before = self
            .present
            .iter()
            .take_while(|stretch| stretch.start < run)
            .last();
        before.map_or(self.start, |stretch| stretch.end.min(run))
    }

    /// Moves the run's stretches and the anchor; the samples have been moved.
    fn move_run(&mut self, run: u64, moved: impl Fn(u64) -> u64) {
        for stretch in self
            .present
            .iter_mut()
            .filter(|stretch| stretch.start >= run)
        {
            *stretch = Stretch {
                start: moved(stretch.start),
                end: moved(stretch.end),
            };
        }
        if let Some(anchor) = &mut self.anchor {
            anchor.position = moved(anchor.position);
        }
        self.uncut_run = Some(moved(run));
    }

    /// Copies the samples that are not there yet.
    fn lay(&mut self, position: u64, frame: &Frame) {
        let (start, end) = (
            position.max(self.start),
            position.saturating_add(frame.samples().len() as u64),
        );
        if end > self.start.saturating_add(MAX_WAITING_SAMPLES) {
            self.statistics.beyond += 1;
            // A run whose first frame is not here cannot be moved.
            self.uncut_run = None;
            return;
        }
        let missing = self.missing(start, end);
        if missing.is_empty() {
            self.statistics.duplicates += 1;
            return;
        }
        let needed = self.index_of(end);
        if self.samples.len() < needed {
            self.samples.resize(needed, self.codec.silence());
        }
        for Stretch { start, end } in missing {
            let source = usize::try_from(start - position).expect("inside the frame");
            let target = self.index_of(start)..self.index_of(end);
            let samples = &frame.samples()[source..source + target.len()];
            self.samples[target.clone()].copy_from_slice(samples);
            g711::convert(&mut self.samples[target], frame.codec, self.codec);
            self.mark(start, end);
        }
        if let Some(run) = &mut self.uncut_run {
            *run = start.min(*run);
        }
        self.statistics.kept += 1;
    }

    /// The stretches between `start` and `end` that were not received.
    fn missing(&self, start: u64, end: u64) -> Vec<Stretch> {
        let mut missing = Vec::new();
        let mut from = start;
        for stretch in &self.present {
            if stretch.start >= end {
                break;
            }
            if stretch.start > from {
                missing.push(Stretch {
                    start: from,
                    end: stretch.start,
                });
            }
            from = from.max(stretch.end);
        }
        if from < end {
            missing.push(Stretch { start: from, end });
        }
        missing
    }

    /// Notes a stretch that was missing as received, joined with its neighbours.
    fn mark(&mut self, start: u64, end: u64) {
        let index = self
            .present
            .partition_point(|stretch| stretch.start < start);
        self.present.insert(index, Stretch { start, end });
        if self
            .present
            .get(index + 1)
            .is_some_and(|next| next.start == end)
        {
            self.present[index].end = self.present.remove(index + 1).end;
        }
        if index > 0 && self.present[index - 1].end == start {
            self.present[index - 1].end = self.present.remove(index).end;
        }
    }

    /// Where a position that is not cut yet lies in `samples`.
    fn index_of(&self, position: u64) -> usize {
        usize::try_from(position - self.start).expect("what waits is bounded by ten seconds")
    }
}
