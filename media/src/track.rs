//! Two channels side by side: the recorder's frames laid on the call's common clock, missing time marked.
//!
//! A [`Track`] is fed by [`crate::Tap::pop`] and gives chunks of 400 ms that a writer seals. It stores nothing itself.
//! Each side's order and place in time are [`crate::jitter`]'s; here both are cut at the same instants.

use crate::{
    frame::{Frame, Side},
    g711::Codec,
    jitter::{JitterBuffer, JitterStatistics},
};

/// Samples of a whole chunk: 400 ms, the unit that is sealed and the most that a killed process loses of it.
pub const CHUNK_SAMPLES: u32 = 3_200;
/// How long a chunk waits behind its end for late frames: 120 ms.
pub const JITTER_BUDGET_SAMPLES: u64 = 960;

/// A stretch of both channels, sample beside sample.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Chunk {
    /// Its first sample, in 1/8000 s since the fork opened.
    pub start: u64,
    /// Samples of each channel: [`CHUNK_SAMPLES`], only the last may have fewer.
    pub samples: u32,
    /// The citizen's channel, one byte a sample in the side's codec, gaps filled with silence.
    pub carrier: Vec<u8>,
    /// The city's channel.
    pub city: Vec<u8>,
    /// Where nothing was received; of the carrier's side first, each in order of time.
    pub gaps: Vec<Gap>,
}

/// Time for which a side has no samples: silence in the channel, marked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gap {
    /// Which channel.
    pub side: Side,
    /// Its first missing sample, in 1/8000 s since the fork opened.
    pub start: u64,
    /// How many are missing.
    pub samples: u32,
}

/// Both parties of one recording.
#[derive(Debug)]
pub struct Track {
    carrier: JitterBuffer,
    city: JitterBuffer,
}

impl Track {
    /// An empty track. Frames in another codec than their side's are converted into it.
    #[must_use]
    pub fn new(carrier: Codec, department: Codec) -> Track {
        Track {
            carrier: JitterBuffer::new(carrier),
            city: JitterBuffer::new(department),
        }
    }

    /// Lays a frame into its channel; what is late beyond the emitted chunk, or there already, is dropped and counted.
    pub fn handle_frame(&mut self, frame: &Frame) {
        self.side_mut(frame.side).handle_frame(frame);
    }

    /// The next whole chunk, once `upto` has passed its end by the jitter budget.
    ///
    /// `upto`: the fork's clock ([`crate::Tap::position`]) of an instant up to which all frames have been handled.
    pub fn poll_chunk(&mut self, upto: u64) -> Option<Chunk> {
        let end = self.start() + u64::from(CHUNK_SAMPLES);
        (upto >= end + JITTER_BUDGET_SAMPLES).then(|| self.cut(CHUNK_SAMPLES))
    }

    /// What is left at the call's end, chunk by chunk: call it until it returns `None`.
    ///
    /// `end`: where the recording ends ([`crate::Tap::ended`]); speech received beyond it is kept too.
    pub fn finish(&mut self, end: u64) -> Option<Chunk> {
        let end = end.max(self.carrier.end()).max(self.city.end());
        let samples = end
            .saturating_sub(self.start())
            .min(u64::from(CHUNK_SAMPLES));
        let samples = u32::try_from(samples).expect("a chunk has at most 3,200 samples");
        (samples > 0).then(|| self.cut(samples))
    }

    /// Where the next chunk begins.
    #[must_use]
    pub fn start(&self) -> u64 {
        self.carrier.start()
    }

    /// What a side has counted.
    #[must_use]
    pub fn statistics(&self, side: Side) -> JitterStatistics {
        match side {
            Side::Carrier => self.carrier.statistics(),
            Side::Department => self.city.statistics(),
        }
    }

    fn cut(&mut self, samples: u32) -> Chunk {
        let start = self.start();
        let mut gaps = Vec::new();
        let carrier = self.carrier.cut(samples, |start, samples| {
            gaps.push(Gap {
                side: Side::Carrier,
                start,
                samples,
            });
        });
        let city = self.city.cut(samples, |start, samples| {
            gaps.push(Gap {
                side: Side::Department,
                start,
                samples,
            });
        });
        Chunk {
            start,
            samples,
            carrier,
            city,
            gaps,
        }
    }

    fn side_mut(&mut self, side: Side) -> &mut JitterBuffer {
        match side {
            Side::Carrier => &mut self.carrier,
            Side::Department => &mut self.city,
        }
    }
}
