//! What the recorder receives: at most 20 ms of one party's speech, as it came.

use std::fmt;

use crate::g711::Codec;

/// Samples, and G.711 bytes, of a 20 ms frame.
pub const FRAME_SAMPLES: usize = 160;

/// One of the two parties of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Side {
    /// The citizen, on the carrier's leg.
    Carrier,
    /// The city, on the department's leg.
    Department,
}

/// At most 20 ms of one party's speech, bit for bit as received.
///
/// Never a telephone-event and never comfort noise (K-03). 176 bytes, so that two seconds of both sides are 34.4 KiB.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Frame {
    /// Whose speech it is.
    pub side: Side,
    /// How `payload` is coded.
    pub codec: Codec,
    /// Arrival in 1/8000 s since the fork opened; later pieces of a longer packet count on from its first.
    pub at: u64,
    /// The sender's own RTP timestamp of the first sample.
    pub rtp_timestamp: u32,
    /// Whether a talk-run begins here: the sender's marker bit, or a stream that began anew.
    pub marker: bool,
    /// Valid bytes of `payload`, 1 to 160.
    pub len: u8,
    /// The samples; what lies behind `len` means nothing.
    pub payload: [u8; FRAME_SAMPLES],
}

impl Frame {
    /// The samples, one byte each; no more than fit, whatever `len` says.
    #[must_use]
    pub fn samples(&self) -> &[u8] {
        &self.payload[..usize::from(self.len).min(FRAME_SAMPLES)]
    }
}

/// Shape only: speech is never printed.
impl fmt::Debug for Frame {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Frame")
            .field("side", &self.side)
            .field("codec", &self.codec)
            .field("at", &self.at)
            .field("rtp_timestamp", &self.rtp_timestamp)
            .field("marker", &self.marker)
            .field("len", &self.len)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_seconds_of_both_sides_stay_under_37_kib() {
        assert!(
            200 * size_of::<Frame>() <= 37 * 1024,
            "a frame takes {} bytes",
            size_of::<Frame>()
        );
    }

    #[test]
    fn a_frame_prints_no_speech() {
        let frame = Frame {
            side: Side::Carrier,
            codec: Codec::Pcmu,
            at: 1,
            rtp_timestamp: 2,
            marker: false,
            len: 160,
            payload: [0x5A; 160],
        };
        let printed = format!("{frame:?}");
        assert!(!printed.contains("90"), "{printed}");
        assert!(!printed.contains("payload"), "{printed}");
    }
}
