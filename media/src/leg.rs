//! One leg of a call as the engine holds it: what it receives, what it is sent, and who speaks to it.

use std::{net::SocketAddr, time::Instant};

use crate::{
    command::{Dropped, LegId, LegStatistics, ReportedReception},
    fork::Fork,
    player::Player,
    relay::Relay,
    rtcp::{self, CNAME_BYTES, Item, MAX_REPORT_BYTES, Report, ReportBlock},
    rtp::{HEADER_BYTES, Header, duration_of},
    sdp::StreamSettings,
    stream::{Accepted, Refusal, Stream},
    timers::Wake,
};

/// A leg from its opening to its end.
#[derive(Debug)]
pub(crate) struct Leg {
    pub(crate) id: LegId,
    pub(crate) settings: StreamSettings,
    pub(crate) stream: Stream,
    pub(crate) relay: Relay,
    /// What its party hears.
    pub(crate) source: Source,
    /// Which leg's party may hear this one; that leg's `source` decides whether it does.
    pub(crate) listener: Option<LegId>,
    pub(crate) copying: Copying,
    pub(crate) report_at: Instant,
    pub(crate) dropped: Dropped,
    cname: [u8; CNAME_BYTES],
    reported: Option<ReportedReception>,
    /// Whether any RTCP went out, so that a BYE has something to end (RFC 3550 section 6.6).
    has_reported: bool,
}

/// What a party hears.
#[derive(Debug)]
pub(crate) enum Source {
    /// Nothing.
    Quiet,
    /// A clip or a tone of ours.
    Playing(Player),
    /// The party of another leg.
    Party(LegId),
}

/// Whether what a leg receives is copied to a recorder.
#[derive(Debug)]
pub(crate) enum Copying {
    /// It is not.
    Off,
    /// Into this ring, as the carrier's side.
    Carrier(Fork),
    /// Into the ring of that carrier's leg, as the department's side.
    Department(LegId),
}

/// The random names a leg begins with.
#[derive(Debug)]
pub(crate) struct Names {
    pub(crate) ssrc: u32,
    pub(crate) sequence: u16,
    pub(crate) timestamp: u32,
    pub(crate) cname: [u8; CNAME_BYTES],
}

impl Leg {
    pub(crate) fn new(
        id: LegId,
        settings: StreamSettings,
        names: &Names,
        report_at: Instant,
    ) -> Leg {
        Leg {
            id,
            stream: Stream::new(&settings),
            settings,
            relay: Relay::new(names.ssrc, names.sequence, names.timestamp),
            source: Source::Quiet,
            listener: None,
            copying: Copying::Off,
            report_at,
            dropped: Dropped::default(),
            cname: names.cname,
            reported: None,
            has_reported: false,
        }
    }

    /// Checks a packet: address, form, window, and last the rate, so that a forger cannot spend what the peer may send.
    pub(crate) fn accept(
        &mut self,
        now: Instant,
        arrival: u32,
        source: SocketAddr,
        packet: &[u8],
    ) -> Option<(Header, Accepted)> {
        if source != self.settings.remote_rtp {
            self.dropped.foreign_source += 1;
            return None;
        }
        let Ok(header) = Header::read(packet) else {
            self.dropped.malformed += 1;
            return None;
        };
        match self.stream.accept(now, arrival, &header) {
            Ok(accepted) => return Some((header, accepted)),
            Err(Refusal::OverRate) => self.dropped.over_rate += 1,
            Err(Refusal::OutOfWindow) => self.dropped.out_of_window += 1,
            // Counted by the stream.
            Err(Refusal::Duplicate) => {}
        }
        None
    }

    /// Takes the peer's reports.
    pub(crate) fn handle_rtcp(
        &mut self,
        now: Instant,
        middle: u32,
        source: SocketAddr,
        packet: &[u8],
    ) {
        if source != self.settings.remote_rtcp {
            self.dropped.foreign_source += 1;
            return;
        }
        let ssrc = self.relay.ssrc();
        let (stream, reported) = (&mut self.stream, &mut self.reported);
        let read = rtcp::read(packet, |item| match item {
            Item::Sender { ssrc, ntp } => stream.handle_sender_report(now, ssrc, ntp),
            Item::Block(block) if block.ssrc == ssrc => *reported = Some(reception(&block, middle)),
            // About a stream that is not ours, or the end of one that SIP ends.
            Item::Block(_) | Item::Goodbye { .. } => {}
        });
        if read.is_err() {
            self.dropped.malformed += 1;
        }
    }

    /// Samples of each packet that we make for this leg.
    pub(crate) fn packet_samples(&self) -> u16 {
        self.settings.ptime_ms.clamp(10, 60) * 8
    }

    /// When its playback wants to be woken.
    pub(crate) fn playback_due(&self) -> Option<Instant> {
        match &self.source {
            Source::Playing(player) => player.due(),
            Source::Quiet | Source::Party(_) => None,
        }
    }

    /// Whether its player has handed out every sample.
    pub(crate) fn is_playback_sent(&self) -> bool {
        matches!(&self.source, Source::Playing(player) if player.is_sent())
    }

    /// When it wants to be woken for a reason.
    pub(crate) fn due(&self, wake: Wake) -> Option<Instant> {
        match wake {
            Wake::Playback => self.playback_due(),
            Wake::Report => Some(self.report_at),
        }
    }

    /// Writes the packet that its player has due; `None` when there is none, or `buffer` is too short.
    pub(crate) fn write_playback(&mut self, now: Instant, buffer: &mut [u8]) -> Option<usize> {
        let samples = u32::from(self.packet_samples());
        let Source::Playing(player) = &mut self.source else {
            return None;
        };
        if player.is_sent() || player.due().is_none_or(|due| due > now) {
            return None;
        }
        let len = HEADER_BYTES + usize::try_from(samples).expect("32 bits fit");
        let (header, payload) = buffer.get_mut(..len)?.split_first_chunk_mut()?;
        let is_resumed = player.write(now, self.settings.codec, payload);
        let stamp = self.relay.say(now, is_resumed, samples);
        stamp.write(self.settings.payload_type, header);
        Some(len)
    }

    /// Writes an RTCP report, with a BYE when the leg ends.
    pub(crate) fn write_report(
        &mut self,
        now: Instant,
        ntp: u64,
        is_goodbye: bool,
        buffer: &mut [u8; MAX_REPORT_BYTES],
    ) -> usize {
        self.has_reported = true;
        let report = Report {
            ssrc: self.relay.ssrc(),
            sender: self.relay.report(now, ntp),
            block: self.stream.report(now),
            cname: &self.cname,
            is_goodbye,
        };
        report.write(buffer)
    }

    /// Whether a BYE is due at its end: only who sent something may say goodbye (RFC 3550 section 6.6).
    pub(crate) fn owes_goodbye(&self) -> bool {
        self.has_reported || self.relay.sent().0 > 0
    }

    /// What the leg has counted.
    pub(crate) fn statistics(&self) -> LegStatistics {
        let (sent, sent_bytes) = self.relay.sent();
        let mut statistics = LegStatistics {
            sent,
            sent_bytes,
            reported: self.reported,
            dropped: self.dropped,
            ..LegStatistics::default()
        };
        self.stream.count_into(&mut statistics);
        statistics
    }
}

/// What a peer's block says of our stream. `middle`: the present in the middle 32 bits of our NTP time.
///
/// The round trip is now - LSR - DLSR (RFC 3550 section 6.4.1), and no more than a minute: else a peer invents it.
fn reception(block: &ReportBlock, middle: u32) -> ReportedReception {
    let elapsed = middle
        .wrapping_sub(block.last_report)
        .wrapping_sub(block.delay);
    let is_sound = block.last_report != 0 && elapsed < 60 * 65_536;
    ReportedReception {
        lost: block.lost,
        fraction_lost: block.fraction_lost,
        jitter: duration_of(u64::from(block.jitter)),
        round_trip: is_sound
            .then(|| std::time::Duration::from_micros(u64::from(elapsed) * 1_000_000 / 65_536)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_leg_takes_little_memory() {
        // Two legs and a ring of two seconds are then well under the 64 KiB of a call (P-04).
        assert!(size_of::<Leg>() <= 1_024, "{} bytes", size_of::<Leg>());
    }
}
