//! What we say ourselves: a clip from its first sample, or a tone without end, in packets of the leg's own length.
//!
//! Packet k is due at start + k x ptime, so that no delay of ours adds up. It knows samples and time, not packets.

use std::{
    fmt,
    sync::Arc,
    time::{Duration, Instant},
};

use crate::{command::PlaybackId, g711::Codec, rtp};

/// Speech or a tone, 8 kHz mono, ready in both codecs. Cloning shares the samples.
#[derive(Clone)]
pub struct Clip {
    pcmu: Arc<[u8]>,
    pcma: Arc<[u8]>,
}

impl Clip {
    /// Encodes linear samples (i16, 8 kHz mono) in both codecs.
    #[must_use]
    pub fn from_linear(samples: &[i16]) -> Clip {
        let encoded = |codec: Codec| samples.iter().map(|&sample| codec.encode(sample)).collect();
        Clip {
            pcmu: encoded(Codec::Pcmu),
            pcma: encoded(Codec::Pcma),
        }
    }

    /// Length in samples of 1/8000 s.
    #[must_use]
    pub fn samples(&self) -> u64 {
        self.pcmu.len() as u64
    }

    /// How long it lasts.
    #[must_use]
    pub fn duration(&self) -> Duration {
        rtp::duration_of(self.samples())
    }

    /// The samples in a codec, one byte each.
    #[must_use]
    pub fn encoded(&self, codec: Codec) -> &[u8] {
        match codec {
            Codec::Pcmu => &self.pcmu,
            Codec::Pcma => &self.pcma,
        }
    }
}

impl fmt::Debug for Clip {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Clip")
            .field("samples", &self.samples())
            .finish_non_exhaustive()
    }
}

/// Packets that are sent at once to make up for a late wake-up; beyond them the rest of the clip moves back.
///
/// Three packets of 20 ms fit into any telephone's jitter buffer; a longer burst would be thrown away there.
const MAX_CATCH_UP: u32 = 3;

/// How a player goes on at its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Turn {
    /// Once, and then it reports.
    Once(PlaybackId),
    /// From its first sample again, without a seam.
    Endless,
}

/// One playing of a clip to one leg.
#[derive(Debug)]
pub(crate) struct Player {
    clip: Clip,
    turn: Turn,
    /// Samples of each packet.
    packet_samples: u16,
    /// Samples taken from the clip since its start (of the present round, when endless).
    position: usize,
    /// When packet 0 was or will be due; moves back when we were too late to catch up.
    start: Instant,
    /// Packets made since `start`.
    packets: u32,
    /// When the first packet was made.
    began: Option<Instant>,
}

/// The report of a playback that is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct PlaybackReport {
    pub(crate) playback: PlaybackId,
    pub(crate) samples_sent: u64,
    pub(crate) samples_total: u64,
    pub(crate) started: Instant,
    pub(crate) ended: Instant,
}

impl Player {
    /// A player whose first packet is due at `start`.
    pub(crate) fn new(clip: Clip, turn: Turn, start: Instant, packet_samples: u16) -> Player {
        Player {
            clip,
            turn,
            packet_samples,
            position: 0,
            start,
            packets: 0,
            began: None,
        }
    }

    /// When the next packet is due or, once all is sent, when the last sample's time has passed.
    ///
    /// `None` for an endless clip that is empty: it has nothing to say.
    pub(crate) fn due(&self) -> Option<Instant> {
        match self.turn {
            Turn::Once(_) if self.is_sent() => Some(self.start + self.sent_in_run()),
            Turn::Endless if self.clip.samples() == 0 => None,
            Turn::Once(_) | Turn::Endless => Some(
                self.start
                    + rtp::duration_of(u64::from(self.packets) * u64::from(self.packet_samples)),
            ),
        }
    }

    /// Whether every sample has been handed out. Never, when endless.
    pub(crate) fn is_sent(&self) -> bool {
        match self.turn {
            Turn::Once(_) => self.position == self.clip.pcmu.len(),
            Turn::Endless => false,
        }
    }

    /// Writes the packet that is due into `payload`, which has the length of a whole packet; pads with silence.
    ///
    /// Returns whether time passed in silence before it: at the beginning, and when the rest of the clip moved back.
    pub(crate) fn write(&mut self, now: Instant, codec: Codec, payload: &mut [u8]) -> bool {
        let packet = rtp::duration_of(u64::from(self.packet_samples));
        let mut is_resumed = self.began.is_none();
        if let Some(due) = self.due() {
            let late = now.saturating_duration_since(due);
            if late > packet * MAX_CATCH_UP {
                self.start += late;
                is_resumed = true;
            }
        }
        self.began.get_or_insert(now);
        let samples = self.clip.encoded(codec);
        let mut written = 0;
        while written < payload.len() {
            let rest = &samples[self.position..];
            let taken = rest.len().min(payload.len() - written);
            payload[written..written + taken].copy_from_slice(&rest[..taken]);
            written += taken;
            self.position += taken;
            if self.position == samples.len() {
                match self.turn {
                    Turn::Once(_) => break,
                    Turn::Endless if samples.is_empty() => break,
                    Turn::Endless => self.position = 0,
                }
            }
        }
        payload[written..].fill(codec.silence());
        self.packets += 1;
        is_resumed
    }

    /// Says how it went, for a clip that is played once; `None` for a tone.
    pub(crate) fn report(&self, now: Instant) -> Option<PlaybackReport> {
        match self.turn {
            Turn::Endless => None,
            Turn::Once(playback) => Some(PlaybackReport {
                playback,
                samples_sent: self.position as u64,
                samples_total: self.clip.samples(),
                started: self.began.unwrap_or(now),
                ended: now,
            }),
        }
    }

    /// From `start` to the end of the last real sample, padding not counted.
    fn sent_in_run(&self) -> Duration {
        let packets = u64::from(self.packets) * u64::from(self.packet_samples);
        let partial = self.clip.samples() % u64::from(self.packet_samples);
        let padding = if partial == 0 {
            0
        } else {
            u64::from(self.packet_samples) - partial
        };
        rtp::duration_of(packets.saturating_sub(padding))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PACKET: Duration = Duration::from_millis(20);

    fn clip(samples: u16) -> Clip {
        Clip::from_linear(
            &(0..samples)
                .map(|sample| (sample % 2_000).cast_signed() * 8 - 8_000)
                .collect::<Vec<i16>>(),
        )
    }

    fn once(samples: u16, start: Instant) -> Player {
        Player::new(clip(samples), Turn::Once(PlaybackId(7)), start, 160)
    }

    #[test]
    fn a_clip_goes_out_whole_and_its_last_packet_is_padded_with_silence() {
        let start = rtp::tests::start();
        let mut player = once(400, start);
        let mut sent = Vec::new();
        for packet in 0..3_u32 {
            let now = start + PACKET * packet;
            assert_eq!(player.due(), Some(now));
            assert!(!player.is_sent());
            let mut payload = [0; 160];
            assert_eq!(player.write(now, Codec::Pcma, &mut payload), packet == 0);
            sent.extend_from_slice(&payload);
        }
        assert!(player.is_sent());
        assert_eq!(sent[..400], *clip(400).encoded(Codec::Pcma));
        assert_eq!(sent[400..], [Codec::Pcma.silence(); 80]);
        let end = start + Duration::from_millis(50);
        assert_eq!(
            player.due(),
            Some(end),
            "its time is over with its last real sample"
        );
        let report = player.report(end).unwrap();
        assert_eq!((report.samples_sent, report.samples_total), (400, 400));
        assert_eq!((report.started, report.ended), (start, end));
    }

    #[test]
    fn a_short_delay_is_caught_up_and_does_not_add_up() {
        let start = rtp::tests::start();
        let mut player = once(1_600, start);
        let mut payload = [0; 160];
        let late = start + Duration::from_millis(55);
        for packet in 0..3_u32 {
            assert_eq!(player.due(), Some(start + PACKET * packet));
            assert_eq!(player.write(late, Codec::Pcmu, &mut payload), packet == 0);
        }
        assert_eq!(player.due(), Some(start + Duration::from_millis(60)));
    }

    #[test]
    fn a_long_delay_moves_the_rest_back_and_skips_no_sample() {
        let start = rtp::tests::start();
        let mut player = once(1_600, start);
        let mut payload = [0; 160];
        player.write(start, Codec::Pcmu, &mut payload);
        let late = start + Duration::from_secs(1);
        assert!(player.write(late, Codec::Pcmu, &mut payload));
        assert_eq!(payload, clip(1_600).encoded(Codec::Pcmu)[160..320]);
        assert_eq!(player.due(), Some(late + PACKET));
    }

    #[test]
    fn a_tone_has_no_seam_and_no_report() {
        let start = rtp::tests::start();
        let mut player = Player::new(clip(250), Turn::Endless, start, 160);
        let mut heard = Vec::new();
        for packet in 0..10_u32 {
            let mut payload = [0; 160];
            player.write(start + PACKET * packet, Codec::Pcmu, &mut payload);
            heard.extend_from_slice(&payload);
        }
        let expected: Vec<u8> = clip(250)
            .encoded(Codec::Pcmu)
            .iter()
            .copied()
            .cycle()
            .take(1_600)
            .collect();
        assert_eq!(heard, expected);
        assert_eq!(player.report(start), None);
    }

    #[test]
    fn an_empty_clip_is_over_at_once_and_an_empty_tone_is_never_due() {
        let start = rtp::tests::start();
        let player = once(0, start);
        assert!(player.is_sent());
        assert_eq!(player.due(), Some(start));
        assert_eq!(player.report(start).unwrap().samples_total, 0);
        assert_eq!(Player::new(clip(0), Turn::Endless, start, 160).due(), None);
    }

    #[test]
    fn a_clip_prints_its_length_and_no_speech() {
        assert_eq!(format!("{:?}", clip(400)), "Clip { samples: 400, .. }");
    }
}
