//! What one party hears, whoever speaks: one continuous RTP stream across prompt, ringback and the other party.
//!
//! A packet of another party keeps its place in its own stream: numbers and timestamps are shifted by an offset that
//! changes only with the speaker. Loss and reordering on the way to us stay visible to the listener's jitter buffer,
//! which knows better than we what to do about them. Follows RFC 3550 sections 5.1 and 7.1.

use std::time::Instant;

use crate::{
    command::LegId,
    rtcp::SenderInfo,
    rtp::{HEADER_BYTES, Header, samples_between},
};

/// A speaker whose timestamps leap by more than this within one stream has begun anew.
const MAX_LEAP_SAMPLES: i32 = 60 * 8_000;
/// An event may have begun so long before speech that was sent beside it: its duration has 16 bits (RFC 4733 section 2.3.5).
const MAX_EVENT_SAMPLES: i32 = 65_535;

/// The stream that we send to one party.
#[derive(Debug)]
pub struct Relay {
    ssrc: u32,
    /// Number of the newest packet sent, or one before the first.
    sequence: u16,
    /// Timestamp of the newest packet sent, or of the first to be.
    timestamp: u32,
    /// Samples of the newest packet.
    samples: u32,
    sent_at: Option<Instant>,
    packets: u64,
    bytes: u64,
    /// Packets and bytes that went out under an earlier SSRC.
    earlier: (u64, u64),
    speaker: Option<Speaker>,
}

/// Whose packets are being passed on, and by how much they are shifted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Speaker {
    origin: Origin,
    sequence_offset: u16,
    timestamp_offset: u32,
    /// Numbers from this speaker's first packet to the newest: a packet from further back has no number left.
    length: u32,
}

/// One run of one leg's stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Origin {
    /// The leg that receives it.
    pub leg: LegId,
    /// The run's number on that leg.
    pub run: u32,
}

/// What a packet's header says when it leaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stamp {
    /// The marker bit.
    pub marker: bool,
    /// The sequence number.
    pub sequence: u16,
    /// The timestamp.
    pub timestamp: u32,
    /// The stream's SSRC.
    pub ssrc: u32,
}

impl Stamp {
    /// Writes the whole header of the packet that leaves.
    pub fn write(&self, payload_type: u8, header: &mut [u8; HEADER_BYTES]) {
        let Stamp {
            marker,
            sequence,
            timestamp,
            ssrc,
        } = *self;
        Header {
            marker,
            payload_type,
            sequence,
            timestamp,
            ssrc,
            payload: 0..0,
        }
        .write(header);
    }
}

impl Relay {
    /// A stream of which nothing has been sent. All three start at random (RFC 3550 section 5.1).
    #[must_use]
    pub fn new(ssrc: u32, sequence: u16, timestamp: u32) -> Relay {
        Relay {
            ssrc,
            sequence,
            timestamp,
            samples: 0,
            sent_at: None,
            packets: 0,
            bytes: 0,
            earlier: (0, 0),
            speaker: None,
        }
    }

    /// Begins anew under another SSRC, as a stream whose time goes on.
    pub fn renew(&mut self, ssrc: u32, sequence: u16) {
        (self.ssrc, self.sequence) = (ssrc, sequence);
        self.earlier = (self.packets, self.bytes);
        self.speaker = None;
    }

    /// The SSRC of the stream.
    #[must_use]
    pub fn ssrc(&self) -> u32 {
        self.ssrc
    }

    /// Packets and payload bytes sent.
    #[must_use]
    pub fn sent(&self) -> (u64, u64) {
        (self.packets, self.bytes)
    }

    /// Places a packet of another party into this stream. `samples`: its length, 0 for an event and comfort noise.
    ///
    /// `None` for a packet from before the speaker's first one here: its number was used for what was heard before.
    pub fn forward(
        &mut self,
        now: Instant,
        origin: Origin,
        header: &Header,
        samples: u32,
    ) -> Option<Stamp> {
        let Some(mut speaker) = self.speaker.filter(|speaker| speaker.origin == origin) else {
            return Some(self.hand_over(now, origin, header, samples));
        };
        let sequence = header.sequence.wrapping_add(speaker.sequence_offset);
        let mut timestamp = header.timestamp.wrapping_add(speaker.timestamp_offset);
        let step = sequence.wrapping_sub(self.sequence).cast_signed();
        if step < 0 {
            if u32::from(step.unsigned_abs()) > speaker.length {
                return None;
            }
        } else {
            let earliest = if samples == 0 { -MAX_EVENT_SAMPLES } else { 0 };
            let mut leap = timestamp.wrapping_sub(self.timestamp).cast_signed();
            if !(earliest..=MAX_LEAP_SAMPLES).contains(&leap) {
                timestamp = self.resumed(now);
                speaker.timestamp_offset = timestamp.wrapping_sub(header.timestamp);
                leap = timestamp.wrapping_sub(self.timestamp).cast_signed();
            }
            speaker.length = speaker
                .length
                .saturating_add(u32::from(step.unsigned_abs()));
            self.speaker = Some(speaker);
            if samples == 0 && leap <= 0 {
                // An event that goes on: the time it began at is not the present one.
                self.sequence = sequence;
            } else {
                self.newest(now, sequence, timestamp, samples);
            }
        }
        self.count(header.payload.len());
        Some(Stamp {
            marker: header.marker,
            sequence,
            timestamp,
            ssrc: self.ssrc,
        })
    }

    /// Places a packet of our own. `is_resumed`: time passed in silence before it.
    pub fn say(&mut self, now: Instant, is_resumed: bool, samples: u32) -> Stamp {
        let marker = is_resumed || self.speaker.is_some() || self.sent_at.is_none();
        let timestamp = if marker {
            self.resumed(now)
        } else {
            self.timestamp.wrapping_add(self.samples)
        };
        self.speaker = None;
        let sequence = self.sequence.wrapping_add(1);
        self.newest(now, sequence, timestamp, samples);
        self.count(usize::try_from(samples).expect("a packet is at most 60 ms"));
        Stamp {
            marker,
            sequence,
            timestamp,
            ssrc: self.ssrc,
        }
    }

    /// The sender's part of a report (RFC 3550 section 6.4.1); `None` while nothing has been sent.
    #[must_use]
    pub fn report(&self, now: Instant, ntp: u64) -> Option<SenderInfo> {
        self.sent_at?;
        let wrapped = |count: u64| u32::try_from(count & 0xFFFF_FFFF).expect("masked to 32 bits");
        Some(SenderInfo {
            ntp,
            rtp_timestamp: self.timestamp.wrapping_add(self.elapsed(now)),
            packets: wrapped(self.packets - self.earlier.0),
            bytes: wrapped(self.bytes - self.earlier.1),
        })
    }

    /// The first packet of another speaker takes the next number and the present time.
    fn hand_over(&mut self, now: Instant, origin: Origin, header: &Header, samples: u32) -> Stamp {
        let sequence = self.sequence.wrapping_add(1);
        let timestamp = self.resumed(now);
        self.speaker = Some(Speaker {
            origin,
            sequence_offset: sequence.wrapping_sub(header.sequence),
            timestamp_offset: timestamp.wrapping_sub(header.timestamp),
            length: 0,
        });
        self.newest(now, sequence, timestamp, samples);
        self.count(header.payload.len());
        Stamp {
            marker: true,
            sequence,
            timestamp,
            ssrc: self.ssrc,
        }
    }

    /// The timestamp of a packet that begins now: time has gone on in silence, but never back into what was sent.
    fn resumed(&self, now: Instant) -> u32 {
        self.timestamp
            .wrapping_add(self.elapsed(now).max(self.samples))
    }

    fn elapsed(&self, now: Instant) -> u32 {
        let samples = self
            .sent_at
            .map_or(0, |sent_at| samples_between(sent_at, now));
        // Six days of silence wrap the clock; no call lasts so long.
        u32::try_from(samples).unwrap_or(u32::MAX)
    }

    fn newest(&mut self, now: Instant, sequence: u16, timestamp: u32, samples: u32) {
        self.sequence = sequence;
        self.timestamp = timestamp;
        self.samples = samples;
        self.sent_at = Some(now);
    }

    fn count(&mut self, bytes: usize) {
        self.packets += 1;
        self.bytes += bytes as u64;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn origin(run: u32) -> Origin {
        Origin {
            leg: LegId {
                shard: 0,
                slot: 1,
                generation: 0,
            },
            run,
        }
    }

    fn packet(sequence: u16, timestamp: u32) -> Header {
        Header {
            marker: false,
            payload_type: 0,
            sequence,
            timestamp,
            ssrc: 5,
            payload: 12..172,
        }
    }

    fn millis(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    #[test]
    fn prompt_pause_and_party_are_one_stream_and_wrap_without_a_seam() {
        let start = crate::rtp::tests::start();
        let mut relay = Relay::new(9, 65_533, u32::MAX - 200);
        let said = [
            relay.say(start, false, 160),
            relay.say(start + millis(20), false, 160),
        ];
        assert_eq!(
            said[0],
            Stamp {
                marker: true,
                sequence: 65_534,
                timestamp: u32::MAX - 200,
                ssrc: 9
            }
        );
        assert_eq!(
            said[1],
            Stamp {
                marker: false,
                sequence: 65_535,
                timestamp: u32::MAX - 40,
                ssrc: 9
            }
        );
        let party = relay
            .forward(start + millis(1_020), origin(1), &packet(65_535, 77), 160)
            .unwrap();
        assert_eq!(
            party,
            Stamp {
                marker: true,
                sequence: 0,
                timestamp: 7_959,
                ssrc: 9
            }
        );
        let party = relay
            .forward(start + millis(1_043), origin(1), &packet(0, 237), 160)
            .unwrap();
        assert_eq!(
            party,
            Stamp {
                marker: false,
                sequence: 1,
                timestamp: 8_119,
                ssrc: 9
            }
        );
        let again = relay.say(start + millis(1_063), false, 160);
        assert_eq!(
            (again.marker, again.sequence, again.timestamp),
            (true, 2, 8_279)
        );
    }

    #[test]
    fn loss_and_reordering_stay_as_they_were() {
        let start = crate::rtp::tests::start();
        let mut relay = Relay::new(9, 99, 1_000);
        let order = [10, 11, 14, 13, 15_u16];
        let sent: Vec<u16> = order
            .iter()
            .map(|&number| {
                relay
                    .forward(
                        start,
                        origin(1),
                        &packet(number, u32::from(number) * 160),
                        160,
                    )
                    .unwrap()
                    .sequence
            })
            .collect();
        assert_eq!(sent, [100, 101, 104, 103, 105]);
    }

    #[test]
    fn a_straggler_from_before_the_bridge_takes_nobodys_number() {
        let start = crate::rtp::tests::start();
        let mut relay = Relay::new(9, 99, 1_000);
        relay.say(start, false, 160);
        assert!(
            relay
                .forward(start + millis(20), origin(1), &packet(50, 8_000), 160)
                .is_some()
        );
        assert_eq!(
            relay.forward(start + millis(21), origin(1), &packet(49, 7_840), 160),
            None
        );
        assert!(
            relay
                .forward(start + millis(40), origin(1), &packet(52, 8_320), 160)
                .is_some()
        );
        assert!(
            relay
                .forward(start + millis(41), origin(1), &packet(51, 8_160), 160)
                .is_some()
        );
    }

    #[test]
    fn a_speaker_whose_clock_leaps_back_does_not_turn_the_listeners_back() {
        let start = crate::rtp::tests::start();
        let mut relay = Relay::new(9, 0, 1_000);
        relay.forward(start, origin(1), &packet(1, 500_000), 160);
        let leapt = relay
            .forward(start + millis(20), origin(1), &packet(2, 3), 160)
            .unwrap();
        assert_eq!((leapt.sequence, leapt.timestamp), (2, 1_160));
        let next = relay
            .forward(start + millis(40), origin(1), &packet(3, 163), 160)
            .unwrap();
        assert_eq!((next.sequence, next.timestamp), (3, 1_320));
    }

    #[test]
    fn the_report_knows_packets_bytes_and_the_present_timestamp() {
        let start = crate::rtp::tests::start();
        let mut relay = Relay::new(9, 0, 1_000);
        assert_eq!(relay.report(start, 0), None);
        relay.say(start, false, 160);
        relay.forward(start + millis(20), origin(1), &packet(1, 0), 160);
        let report = relay.report(start + millis(30), 42).unwrap();
        assert_eq!(
            report,
            SenderInfo {
                ntp: 42,
                rtp_timestamp: 1_240,
                packets: 2,
                bytes: 320
            }
        );
    }
}
