//! The copy of a call for its recorder: a bounded ring of frames between a media shard and a recorder worker.
//!
//! A shard never waits for a recorder: a full ring refuses the new frame, counts it, and the call goes on (law 1).
//! The ring is the recording's gate too: without a [`Fork`] nothing is copied, and only a [`Tap`]'s owner can keep it.

use std::{
    fmt,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicU64, Ordering},
    },
    time::Instant,
};

use rtrb::{Consumer, Producer, PushError, RingBuffer};

use crate::{
    frame::{FRAME_SAMPLES, Frame, Side},
    g711::Codec,
    rtp,
};

/// Makes a ring that holds `frames` frames of both parties together; 200 are two seconds at 20 ms.
#[must_use]
pub fn channel(frames: usize) -> (Fork, Tap) {
    let (producer, consumer) = RingBuffer::new(frames);
    let shared = Arc::new(Shared::default());
    (
        Fork {
            producer,
            shared: Arc::clone(&shared),
        },
        Tap { consumer, shared },
    )
}

/// What both ends of a ring can see besides the frames.
#[derive(Debug, Default)]
struct Shared {
    refused: AtomicU64,
    opened: OnceLock<Instant>,
    closed: OnceLock<Instant>,
}

/// The shard's end of the ring: it only writes.
///
/// The engine opens it when the command arrives; that instant is the zero of every frame's `at`.
pub struct Fork {
    producer: Producer<Frame>,
    shared: Arc<Shared>,
}

impl Fork {
    /// Starts the fork's clock. The first call counts, later ones change nothing.
    pub(crate) fn open(&self, now: Instant) {
        self.shared.opened.get_or_init(|| now);
    }

    /// Says when the copying ended; the fork is dropped next.
    pub(crate) fn close(&self, now: Instant) {
        self.shared.closed.get_or_init(|| now);
    }

    /// Copies the audio of one packet, cut into frames of 20 ms.
    ///
    /// `timestamp`: the sender's, of the first sample. Frames that find no room are counted in [`Tap::refused`].
    pub(crate) fn copy(
        &mut self,
        now: Instant,
        side: Side,
        codec: Codec,
        timestamp: u32,
        marker: bool,
        samples: &[u8],
    ) {
        let Some(opened) = self.shared.opened.get() else {
            return;
        };
        let mut at = rtp::samples_between(*opened, now);
        let mut frame = Frame {
            side,
            codec,
            at,
            rtp_timestamp: timestamp,
            marker,
            len: 0,
            payload: [0; FRAME_SAMPLES],
        };
        for piece in samples.chunks(FRAME_SAMPLES) {
            let len = u8::try_from(piece.len()).expect("a piece is at most 160 samples");
            frame.at = at;
            frame.len = len;
            frame.payload[..piece.len()].copy_from_slice(piece);
            self.push(frame);
            at += u64::from(len);
            frame.rtp_timestamp = frame.rtp_timestamp.wrapping_add(u32::from(len));
            frame.marker = false;
        }
    }

    /// Places one frame, or counts it where the ring is full.
    fn push(&mut self, frame: Frame) {
        match self.producer.push(frame) {
            Ok(()) => {}
            // One writer only, so no read-modify-write is needed: a load and a store are cheaper and never wait.
            Err(PushError::Full(_)) => {
                let refused = self.shared.refused.load(Ordering::Relaxed);
                self.shared.refused.store(refused + 1, Ordering::Relaxed);
            }
        }
    }

    /// Frames refused so far because the ring was full.
    #[must_use]
    pub fn refused(&self) -> u64 {
        self.shared.refused.load(Ordering::Relaxed)
    }
}

impl fmt::Debug for Fork {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Fork")
            .field("refused", &self.refused())
            .finish_non_exhaustive()
    }
}

/// The recorder's end of the ring: it only reads.
pub struct Tap {
    consumer: Consumer<Frame>,
    shared: Arc<Shared>,
}

impl Tap {
    /// Takes the oldest frame.
    pub fn pop(&mut self) -> Option<Frame> {
        self.consumer.pop().ok()
    }

    /// Whether the fork is gone: once the ring is empty too, nothing more will come.
    ///
    /// Ask this first and pop afterwards, so that the last frames are not missed.
    #[must_use]
    pub fn is_abandoned(&self) -> bool {
        self.consumer.is_abandoned()
    }

    /// Frames refused so far because the ring was full.
    #[must_use]
    pub fn refused(&self) -> u64 {
        self.shared.refused.load(Ordering::Relaxed)
    }

    /// When the shard opened the fork; `None` while the command is on its way.
    #[must_use]
    pub fn opened(&self) -> Option<Instant> {
        self.shared.opened.get().copied()
    }

    /// `now` on the fork's own clock, in 1/8000 s: what [`crate::Track::poll_chunk`] asks for as `upto`.
    ///
    /// `None` while the fork is not open.
    #[must_use]
    pub fn position(&self, now: Instant) -> Option<u64> {
        self.opened()
            .map(|opened| rtp::samples_between(opened, now))
    }

    /// Where the recording ends on the fork's own clock, once the shard has closed the fork.
    #[must_use]
    pub fn ended(&self) -> Option<u64> {
        self.position(self.shared.closed.get().copied()?)
    }
}

impl fmt::Debug for Tap {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Tap")
            .field("waiting", &self.consumer.slots())
            .field("refused", &self.refused())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn start() -> Instant {
        rtp::tests::start()
    }

    #[test]
    fn a_packet_of_60_ms_becomes_three_frames_that_follow_each_other() {
        let now = start();
        let (mut fork, mut tap) = channel(10);
        fork.open(now);
        let samples: Vec<u8> = (0..=255).chain(0..224).collect();
        fork.copy(
            now + Duration::from_millis(500),
            Side::Department,
            Codec::Pcma,
            u32::MAX - 99,
            true,
            &samples,
        );
        let frames: Vec<Frame> = std::iter::from_fn(|| tap.pop()).collect();
        assert_eq!(
            frames.iter().map(|frame| frame.at).collect::<Vec<_>>(),
            [4_000, 4_160, 4_320]
        );
        assert_eq!(
            frames
                .iter()
                .map(|frame| frame.rtp_timestamp)
                .collect::<Vec<_>>(),
            [u32::MAX - 99, 60, 220]
        );
        assert_eq!(
            frames.iter().map(|frame| frame.marker).collect::<Vec<_>>(),
            [true, false, false]
        );
        assert_eq!(
            frames
                .iter()
                .flat_map(|frame| frame.samples().to_vec())
                .collect::<Vec<u8>>(),
            samples
        );
    }

    #[test]
    fn a_short_packet_stays_one_short_frame() {
        let now = start();
        let (mut fork, mut tap) = channel(4);
        fork.open(now);
        fork.copy(now, Side::Carrier, Codec::Pcmu, 0, false, &[7; 80]);
        let frame = tap.pop().unwrap();
        assert_eq!(frame.samples(), [7; 80]);
        assert!(tap.pop().is_none());
    }

    #[test]
    fn a_full_ring_refuses_counts_and_goes_on_when_there_is_room() {
        let now = start();
        let (mut fork, mut tap) = channel(2);
        fork.open(now);
        for packet in 0..5_u32 {
            fork.copy(
                now,
                Side::Carrier,
                Codec::Pcmu,
                packet * 160,
                false,
                &[0; 160],
            );
        }
        assert_eq!((fork.refused(), tap.refused()), (3, 3));
        assert_eq!(
            tap.pop().unwrap().rtp_timestamp,
            0,
            "what was in the ring stays in it"
        );
        fork.copy(now, Side::Carrier, Codec::Pcmu, 9_999, false, &[0; 160]);
        assert_eq!(tap.refused(), 3);
        assert_eq!(tap.pop().unwrap().rtp_timestamp, 160);
        assert_eq!(tap.pop().unwrap().rtp_timestamp, 9_999);
    }

    #[test]
    fn a_tap_reads_the_last_frames_of_a_fork_that_is_gone() {
        let now = start();
        let (mut fork, mut tap) = channel(2);
        assert_eq!(tap.position(now), None);
        fork.open(now);
        fork.copy(now, Side::Carrier, Codec::Pcmu, 0, false, &[0; 160]);
        fork.close(now + Duration::from_secs(3));
        drop(fork);
        assert!(tap.is_abandoned());
        assert_eq!(tap.ended(), Some(24_000));
        assert!(tap.pop().is_some());
        assert!(tap.pop().is_none());
    }

    #[test]
    fn a_fork_that_no_command_opened_keeps_nothing() {
        let (mut fork, mut tap) = channel(2);
        fork.copy(start(), Side::Carrier, Codec::Pcmu, 0, false, &[0; 160]);
        assert!(tap.pop().is_none());
    }
}
