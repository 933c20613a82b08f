//! What one party sends us: which packets belong to its stream, in which order, and how good the line is.
//!
//! The address has been checked by the leg before. Here an injected or stale packet is told from the stream's own by
//! SSRC and sequence window (T-05) and a flood is cut to a rate (T-06). Follows RFC 3550 appendices A.1, A.3 and A.8.

use std::time::{Duration, Instant};

use crate::{
    command::LegStatistics,
    g711::Codec,
    rtcp::ReportBlock,
    rtp::{Header, duration_of},
    sdp::{EVENTS_PAYLOAD_TYPE, NOISE_PAYLOAD_TYPE, StreamSettings},
};

/// Time a packet costs at the greatest rate taken for long: 150 a second. The fastest agreed stream has 100 (10 ms).
const PACKET_COST: Duration = Duration::from_nanos(1_000_000_000 / 150);
/// Packets that may come at once, as after a second of a stalled network.
const BURST_PACKETS: u32 = 100;
/// A sequence number may run ahead by so much, else the stream began anew (RFC 3550 appendix A.1, `MAX_DROPOUT`).
const MAX_DROPOUT: u16 = 3_000;
/// A packet may come so many others late (about RFC 3550's `MAX_MISORDER` of 100); it is one word to remember them.
const WINDOW_PACKETS: u16 = 128;
/// An SSRC may be replaced once its own packets have been missing for two packet times, and at least for this.
const MIN_ABSENCE: Duration = Duration::from_millis(50);

/// A party's stream as we receive it.
#[derive(Debug)]
pub struct Stream {
    payload_types: PayloadTypes,
    min_absence: Duration,
    /// When the packets taken so far would have come at the greatest rate (a leaky bucket kept as one instant).
    paid_until: Option<Instant>,
    run: Option<Run>,
    /// Runs so far.
    runs: u32,
    candidate: Option<Candidate>,
    /// Sums over the runs that are over.
    earlier: Sums,
    duplicates: u64,
    received_bytes: u64,
}

/// What the payload types mean on this leg.
#[derive(Clone, Copy, Debug)]
struct PayloadTypes {
    codec: Codec,
    payload_type: u8,
    events: Option<u8>,
    noise: Option<u8>,
}

/// One SSRC from its first accepted packet on.
#[derive(Debug)]
struct Run {
    /// Counts the runs of this stream, from 1.
    number: u32,
    ssrc: u32,
    first: u32,
    /// Sequence number of the newest packet, extended by its wraps.
    highest: u32,
    /// Bit i: the packet i before the newest has been received.
    window: u128,
    received: u32,
    newest_at: Instant,
    transit: Option<u32>,
    /// Jitter estimate in 1/16 of a sample (RFC 3550 appendix A.8).
    jitter_16: u32,
    reported: Sums,
    sender_report: Option<(u32, Instant)>,
}

/// A packet that does not belong; the next in its order makes a new run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Candidate {
    ssrc: u32,
    next: u16,
}

#[derive(Clone, Copy, Debug, Default)]
struct Sums {
    expected: u64,
    received: u64,
}

/// An accepted packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Accepted {
    /// What it carries.
    pub payload: Payload,
    /// Which run of the stream it belongs to; another number has nothing to do with the last one's timestamps.
    pub run: u32,
    /// Whether it is the first of its run.
    pub begins_run: bool,
}

/// What a packet carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Payload {
    /// Speech.
    Audio(Codec),
    /// A keypad event (RFC 4733): passed on, never recorded (K-03).
    Event,
    /// Comfort noise (RFC 3389): passed on, never recorded as if it were speech.
    Noise,
    /// Something that was not agreed: neither passed on nor recorded.
    Foreign,
}

/// Why a packet was not accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// Above the packet rate.
    OverRate,
    /// Outside SSRC and sequence window.
    OutOfWindow,
    /// Came before.
    Duplicate,
}

impl Stream {
    /// A stream of which nothing has come yet.
    #[must_use]
    pub fn new(settings: &StreamSettings) -> Stream {
        let mut stream = Stream {
            payload_types: PayloadTypes {
                codec: settings.codec,
                payload_type: 0,
                events: None,
                noise: None,
            },
            min_absence: MIN_ABSENCE,
            paid_until: None,
            run: None,
            runs: 0,
            candidate: None,
            earlier: Sums::default(),
            duplicates: 0,
            received_bytes: 0,
        };
        stream.agree(settings);
        stream
    }

    /// Takes what a later agreement says; what has been received stays.
    pub fn agree(&mut self, settings: &StreamSettings) {
        let StreamSettings {
            codec,
            payload_type,
            events,
            noise,
            ptime_ms,
            ..
        } = *settings;
        self.payload_types = PayloadTypes {
            codec,
            payload_type,
            events,
            noise,
        };
        self.min_absence = MIN_ABSENCE.max(Duration::from_millis(2 * u64::from(ptime_ms)));
    }

    /// The peer sends from another address: its next packet is believed at once, as the first was.
    pub fn move_on(&mut self) {
        if let Some(run) = self.run.take() {
            let sums = run.sums();
            self.earlier.expected += sums.expected;
            self.earlier.received += sums.received;
        }
        self.candidate = None;
    }

    /// Charges a packet of the stream to its rate.
    fn charge(&mut self, now: Instant) -> Result<(), Refusal> {
        let paid_until = self.paid_until.map_or(now, |paid| paid.max(now)) + PACKET_COST;
        if paid_until.duration_since(now) > PACKET_COST * BURST_PACKETS {
            return Err(Refusal::OverRate);
        }
        self.paid_until = Some(paid_until);
        Ok(())
    }

    /// Takes a packet into the stream. `arrival`: `now` in samples, from any fixed instant.
    ///
    /// The first packet is believed at once, so that no word is lost; another SSRC, or a number far off, only with
    /// two packets in a row while the stream's own are absent.
    ///
    /// # Errors
    /// [`Refusal`], to be counted.
    pub fn accept(
        &mut self,
        now: Instant,
        arrival: u32,
        header: &Header,
    ) -> Result<Accepted, Refusal> {
        let place = match &self.run {
            None => Place::Outside,
            Some(run) => match run.place(header) {
                Place::Older(age) if run.window & (1 << age) != 0 => {
                    self.duplicates += 1;
                    return Err(Refusal::Duplicate);
                }
                Place::Outside => {
                    self.consider(now, header)?;
                    Place::Outside
                }
                inside @ (Place::Newer(_) | Place::Older(_)) => inside,
            },
        };
        // Only what the stream would take is charged, and only what is paid for changes it.
        self.charge(now)?;
        let begins_run = self.take(now, header, &place);
        self.received_bytes += header.payload.len() as u64;
        let payload = self.payload_types.meaning(header.payload_type);
        let run = self.run.as_mut().expect("a packet was accepted into it");
        if let Payload::Audio(_) = payload {
            run.measure_jitter(arrival, header.timestamp);
        }
        Ok(Accepted {
            payload,
            run: run.number,
            begins_run,
        })
    }

    /// Takes a packet in its place; says whether it begins a run.
    fn take(&mut self, now: Instant, header: &Header, place: &Place) -> bool {
        match (&mut self.run, place) {
            (Some(run), Place::Newer(step)) => {
                run.advance(now, *step);
                self.candidate = None;
                false
            }
            (Some(run), Place::Older(age)) => {
                run.window |= 1 << age;
                run.received += 1;
                false
            }
            (Some(_), Place::Outside) | (None, _) => {
                self.begin_run(now, header);
                true
            }
        }
    }

    /// Remembers when and with which time the peer's sender report came (for RFC 3550's LSR and DLSR).
    pub fn handle_sender_report(&mut self, now: Instant, ssrc: u32, ntp: u64) {
        if let Some(run) = self.run.as_mut().filter(|run| run.ssrc == ssrc) {
            let middle = u32::try_from((ntp >> 16) & 0xFFFF_FFFF).expect("masked to 32 bits");
            run.sender_report = Some((middle, now));
        }
    }

    /// The report block on this stream since the last one (RFC 3550 section 6.4.1); `None` before its first packet.
    pub fn report(&mut self, now: Instant) -> Option<ReportBlock> {
        let run = self.run.as_mut()?;
        let sums = run.sums();
        let expected = sums.expected - run.reported.expected;
        let received = sums.received - run.reported.received;
        run.reported = sums;
        let lost = expected.saturating_sub(received);
        let share = (lost * 256).checked_div(expected).unwrap_or(0);
        let fraction_lost = u8::try_from(share).unwrap_or(u8::MAX);
        let (last_report, delay) = match run.sender_report {
            Some((middle, at)) => (middle, delay_65536(now.saturating_duration_since(at))),
            None => (0, 0),
        };
        let lost = sums.expected.cast_signed() - sums.received.cast_signed();
        Some(ReportBlock {
            ssrc: run.ssrc,
            fraction_lost,
            lost: i32::try_from(lost.clamp(-0x80_0000, 0x7F_FFFF)).expect("clamped to 24 bits"),
            highest: run.highest,
            jitter: run.jitter_16 / 16,
            last_report,
            delay,
        })
    }

    /// Writes what was received into a leg's statistics.
    pub fn count_into(&self, statistics: &mut LegStatistics) {
        let run = self.run.as_ref().map(Run::sums).unwrap_or_default();
        let expected = self.earlier.expected + run.expected;
        statistics.received = self.earlier.received + run.received;
        statistics.lost = expected.cast_signed() - statistics.received.cast_signed();
        statistics.received_bytes = self.received_bytes;
        statistics.duplicates = self.duplicates;
        statistics.jitter = duration_of(u64::from(
            self.run.as_ref().map_or(0, |run| run.jitter_16 / 16),
        ));
    }

    /// A packet outside the window: a stranger's, or the first of a stream that begins anew, which is taken.
    fn consider(&mut self, now: Instant, header: &Header) -> Result<(), Refusal> {
        let run = self
            .run
            .as_ref()
            .expect("only a running stream has an outside");
        let is_next = self.candidate
            == Some(Candidate {
                ssrc: header.ssrc,
                next: header.sequence,
            });
        let is_absent = now.saturating_duration_since(run.newest_at) >= self.min_absence;
        if is_next && is_absent {
            return Ok(());
        }
        self.candidate = Some(Candidate {
            ssrc: header.ssrc,
            next: header.sequence.wrapping_add(1),
        });
        Err(Refusal::OutOfWindow)
    }

    fn begin_run(&mut self, now: Instant, header: &Header) {
        self.move_on();
        self.runs = self.runs.wrapping_add(1);
        self.run = Some(Run {
            number: self.runs,
            ssrc: header.ssrc,
            first: u32::from(header.sequence),
            highest: u32::from(header.sequence),
            window: 1,
            received: 1,
            newest_at: now,
            transit: None,
            jitter_16: 0,
            reported: Sums::default(),
            sender_report: None,
        });
    }
}

/// Where a packet lies against the newest of its run.
enum Place {
    /// Ahead by so many.
    Newer(u16),
    /// Behind by so many, 0 for the newest itself.
    Older(u16),
    /// Another stream, or too far off.
    Outside,
}

impl Run {
    fn place(&self, header: &Header) -> Place {
        let [_, _, high, low] = self.highest.to_be_bytes();
        let newest = u16::from_be_bytes([high, low]);
        let ahead = header.sequence.wrapping_sub(newest);
        let behind = newest.wrapping_sub(header.sequence);
        match () {
            () if header.ssrc != self.ssrc => Place::Outside,
            () if ahead != 0 && ahead < MAX_DROPOUT => Place::Newer(ahead),
            () if behind < WINDOW_PACKETS => Place::Older(behind),
            () => Place::Outside,
        }
    }

    fn advance(&mut self, now: Instant, step: u16) {
        self.highest = self.highest.wrapping_add(u32::from(step));
        self.window = self.window.checked_shl(u32::from(step)).unwrap_or(0) | 1;
        self.received += 1;
        self.newest_at = now;
    }

    /// RFC 3550 appendix A.8, in 1/16 of a sample.
    fn measure_jitter(&mut self, arrival: u32, timestamp: u32) {
        let transit = arrival.wrapping_sub(timestamp);
        if let Some(earlier) = self.transit {
            let difference = transit.wrapping_sub(earlier).cast_signed().unsigned_abs();
            // A timestamp jump is no jitter; a second is more than any network buffers.
            let difference = difference.min(8_000);
            self.jitter_16 =
                (self.jitter_16 + difference).saturating_sub((self.jitter_16 + 8) >> 4);
        }
        self.transit = Some(transit);
    }

    /// RFC 3550 appendix A.3. A packet from before the first widens nothing, so that received may exceed expected.
    fn sums(&self) -> Sums {
        let expected = self.highest.wrapping_sub(self.first).wrapping_add(1);
        Sums {
            expected: u64::from(expected),
            received: u64::from(self.received),
        }
    }
}

impl PayloadTypes {
    /// What a payload type carries.
    ///
    /// Besides the peer's number ours is right too: an answerer sends what it offered, an offerer what we answered
    /// (RFC 3264 section 6.1). Both G.711 types and comfort noise mean themselves for ever, whatever was agreed.
    fn meaning(self, payload_type: u8) -> Payload {
        match payload_type {
            number if number == self.payload_type => Payload::Audio(self.codec),
            number if self.events == Some(number) => Payload::Event,
            number if self.noise == Some(number) => Payload::Noise,
            0 => Payload::Audio(Codec::Pcmu),
            8 => Payload::Audio(Codec::Pcma),
            NOISE_PAYLOAD_TYPE => Payload::Noise,
            EVENTS_PAYLOAD_TYPE if self.events.is_some() => Payload::Event,
            _ => Payload::Foreign,
        }
    }
}

/// A duration in 1/65536 s, as RTCP has it.
fn delay_65536(duration: Duration) -> u32 {
    u32::try_from(duration.as_micros().saturating_mul(65_536) / 1_000_000).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sdp::Direction;

    fn settings() -> StreamSettings {
        let address = "127.0.0.1:4000".parse().unwrap();
        StreamSettings {
            remote_rtp: address,
            remote_rtcp: address,
            codec: Codec::Pcmu,
            payload_type: 0,
            events: Some(97),
            ptime_ms: 20,
            noise: None,
            direction: Direction::SendReceive,
            crypto: None,
            silence: None,
            dscp: 0,
        }
    }

    fn packet(ssrc: u32, sequence: u16) -> Header {
        let timestamp = u32::from(sequence) * 160;
        Header {
            marker: false,
            payload_type: 0,
            sequence,
            timestamp,
            ssrc,
            payload: 12..172,
        }
    }

    /// Plays packets 20 ms apart and tells each one's fate.
    fn feed(
        stream: &mut Stream,
        start: Instant,
        packets: &[(u64, Header)],
    ) -> Vec<Result<(u32, bool), Refusal>> {
        let take = |(at, header): &(u64, Header)| {
            let now = start + Duration::from_millis(*at);
            stream
                .accept(now, u32::try_from(*at * 8).unwrap(), header)
                .map(|accepted| (accepted.run, accepted.begins_run))
        };
        packets.iter().map(take).collect()
    }

    #[test]
    fn the_first_packet_is_believed_and_numbers_wrap() {
        let mut stream = Stream::new(&settings());
        let start = crate::rtp::tests::start();
        let fates = feed(
            &mut stream,
            start,
            &[
                (0, packet(1, 65_534)),
                (20, packet(1, 65_535)),
                (40, packet(1, 0)),
                (60, packet(1, 1)),
            ],
        );
        assert_eq!(
            fates,
            [
                Ok((1, true)),
                Ok((1, false)),
                Ok((1, false)),
                Ok((1, false))
            ]
        );
        let block = stream.report(start).unwrap();
        assert_eq!((block.highest, block.lost), (65_537, 0));
    }

    #[test]
    fn a_late_packet_is_taken_once() {
        let mut stream = Stream::new(&settings());
        let start = crate::rtp::tests::start();
        let order = [
            (0, packet(1, 10)),
            (20, packet(1, 13)),
            (21, packet(1, 11)),
            (22, packet(1, 11)),
            (23, packet(1, 13)),
        ];
        let fates = feed(&mut stream, start, &order);
        assert_eq!(
            fates[2..],
            [
                Ok((1, false)),
                Err(Refusal::Duplicate),
                Err(Refusal::Duplicate)
            ]
        );
        let mut statistics = LegStatistics::default();
        stream.count_into(&mut statistics);
        assert_eq!(
            (statistics.received, statistics.lost, statistics.duplicates),
            (3, 1, 2)
        );
    }

    #[test]
    fn an_injected_ssrc_is_never_taken_while_the_stream_lives() {
        let mut stream = Stream::new(&settings());
        let start = crate::rtp::tests::start();
        for step in 0..200_u16 {
            let at = u64::from(step) * 20;
            assert!(feed(&mut stream, start, &[(at, packet(1, step))])[0].is_ok());
            let injected = [
                (at + 1, packet(666, step * 3)),
                (at + 2, packet(666, step * 3 + 1)),
                (at + 3, packet(666, step * 3 + 2)),
            ];
            assert_eq!(
                feed(&mut stream, start, &injected),
                [Err(Refusal::OutOfWindow); 3]
            );
        }
    }

    #[test]
    fn a_peer_that_changes_its_ssrc_is_followed_after_two_packets_in_a_row() {
        let mut stream = Stream::new(&settings());
        let start = crate::rtp::tests::start();
        let fates = feed(
            &mut stream,
            start,
            &[
                (0, packet(1, 10)),
                (20, packet(2, 500)),
                (40, packet(2, 501)),
                (60, packet(2, 502)),
                (80, packet(2, 503)),
            ],
        );
        let outside = Err(Refusal::OutOfWindow);
        assert_eq!(
            fates,
            [
                Ok((1, true)),
                outside,
                outside,
                Ok((2, true)),
                Ok((2, false))
            ]
        );
    }

    #[test]
    fn strangers_with_jumping_numbers_never_begin_a_run() {
        let mut stream = Stream::new(&settings());
        let start = crate::rtp::tests::start();
        assert!(feed(&mut stream, start, &[(0, packet(1, 10))])[0].is_ok());
        for step in 1..100_u16 {
            let injected = [(u64::from(step) * 1_000, packet(2, step.wrapping_mul(7_919)))];
            assert_eq!(
                feed(&mut stream, start, &injected),
                [Err(Refusal::OutOfWindow)]
            );
        }
    }

    #[test]
    fn a_flood_is_cut_to_its_rate_and_a_normal_stream_never() {
        let start = crate::rtp::tests::start();
        let mut stream = Stream::new(&settings());
        let flooded = (0..50_000_u32)
            .filter(|&packet| {
                stream
                    .charge(start + Duration::from_micros(20) * packet)
                    .is_ok()
            })
            .count();
        assert!(
            (245..=251).contains(&flooded),
            "{flooded} packets of a second's flood"
        );
        let mut stream = Stream::new(&settings());
        for packet in 0..10_000_u32 {
            assert!(
                stream
                    .charge(start + Duration::from_millis(10) * packet)
                    .is_ok()
            );
        }
    }

    #[test]
    fn loss_since_the_last_report_is_a_share_of_256() {
        let mut stream = Stream::new(&settings());
        let start = crate::rtp::tests::start();
        feed(
            &mut stream,
            start,
            &[(0, packet(9, 0)), (20, packet(9, 1)), (60, packet(9, 3))],
        );
        let block = stream.report(start).unwrap();
        assert_eq!((block.ssrc, block.fraction_lost, block.lost), (9, 64, 1));
        feed(&mut stream, start, &[(80, packet(9, 4))]);
        let block = stream.report(start).unwrap();
        assert_eq!((block.fraction_lost, block.lost), (0, 1));
    }

    #[test]
    fn jitter_of_a_steady_stream_is_zero_and_of_a_shaken_one_is_not() {
        let start = crate::rtp::tests::start();
        let mut steady = Stream::new(&settings());
        let mut shaken = Stream::new(&settings());
        for step in 0..100_u16 {
            let at = u64::from(step) * 20;
            feed(&mut steady, start, &[(at, packet(1, step))]);
            feed(
                &mut shaken,
                start,
                &[(at + u64::from(step % 2) * 10, packet(1, step))],
            );
        }
        assert_eq!(steady.report(start).unwrap().jitter, 0);
        // The difference is 80 samples from packet to packet, and the estimate runs towards it.
        assert!((70..=80).contains(&shaken.report(start).unwrap().jitter));
    }

    #[test]
    fn payload_types_mean_what_was_agreed_by_either_side() {
        let types = Stream::new(&settings()).payload_types;
        assert_eq!(types.meaning(0), Payload::Audio(Codec::Pcmu));
        assert_eq!(types.meaning(8), Payload::Audio(Codec::Pcma));
        assert_eq!(
            (types.meaning(97), types.meaning(101)),
            (Payload::Event, Payload::Event)
        );
        assert_eq!(
            (types.meaning(13), types.meaning(96)),
            (Payload::Noise, Payload::Foreign)
        );
        let types = PayloadTypes {
            codec: Codec::Pcma,
            payload_type: 96,
            events: None,
            noise: Some(98),
        };
        assert_eq!(
            (types.meaning(96), types.meaning(101), types.meaning(98)),
            (
                Payload::Audio(Codec::Pcma),
                Payload::Foreign,
                Payload::Noise
            )
        );
    }
}
