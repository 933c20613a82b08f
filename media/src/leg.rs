//! One leg of a call as the engine holds it: what it receives, what it is sent, and who speaks to it.

use std::{net::SocketAddr, time::Instant};

use rand_core::Rng;

use crate::{
    command::{Dropped, LegId, LegStatistics, ReportedReception},
    fork::Fork,
    player::Player,
    relay::Relay,
    rtcp::{self, CNAME_BYTES, Item, MAX_REPORT_BYTES, Report, ReportBlock},
    rtp::{HEADER_BYTES, Header, MAX_PACKET_BYTES, duration_of},
    sdp::{Counted, StreamSettings},
    srtp::{Continuity, MAX_OVERHEAD_BYTES, Protection},
    stream::{Accepted, Refusal, Stream},
    timers::Wake,
};

/// Room for a report with its seal.
pub(crate) const MAX_SEALED_REPORT_BYTES: usize = MAX_REPORT_BYTES + MAX_OVERHEAD_BYTES;

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
    watch: Watch,
    /// What seals and opens its packets, where it is secure.
    protection: Option<Box<Protection>>,
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
    /// Into this ring, as the carrier's side; and as the department's side what that leg receives.
    Carrier(Fork, LegId),
    /// Into the ring of that carrier's leg, as the department's side.
    Department(LegId),
}

/// Whether RTP of its party is waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Watch {
    /// Nobody asked, or nothing is to come.
    Off,
    /// The newest packet came at `since`; at `due` it is seen whether another came meanwhile.
    Listening { since: Instant, due: Instant },
    /// It was reported silent.
    Silent,
}

/// What a look at a leg's silence found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Found {
    /// Another look is due then.
    Again(Instant),
    /// It fell silent.
    Silence,
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
        let protection = settings.crypto.as_deref().map(Protection::new);
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
            watch: Watch::Off,
            protection: protection.map(Box::new),
            cname: names.cname,
            reported: None,
            has_reported: false,
        }
    }

    /// Takes what a later agreement says; the stream to its party goes on wherever the party can follow it.
    pub(crate) fn agree(&mut self, later: StreamSettings, random: &mut impl Rng) {
        let is_nowhere = later.remote_rtp.ip().is_unspecified();
        let addresses = if is_nowhere { &self.settings } else { &later };
        let later = StreamSettings {
            remote_rtp: addresses.remote_rtp,
            remote_rtcp: addresses.remote_rtcp,
            ..later
        };
        let is_moved = later.remote_rtp != self.settings.remote_rtp;
        if is_moved {
            self.stream.move_on();
        }
        match (&mut self.protection, &later.crypto) {
            (Some(protection), Some(crypto)) => {
                if protection.agree(crypto, is_moved) == Continuity::Broken {
                    self.relay.renew(random.next_u32(), first_sequence(random));
                }
            }
            (protection, crypto) => {
                *protection = crypto.as_deref().map(Protection::new).map(Box::new);
            }
        }
        self.stream.agree(&later);
        self.settings = later;
    }

    /// Begins, keeps up or ends the watch for silence, as the agreement has it; says when to look, and whether a leg
    /// that was silent no longer counts as such.
    pub(crate) fn watch(&mut self, now: Instant) -> (Option<Instant>, bool) {
        let before = self.watch;
        match self.settings.silence {
            Some(silence) if self.settings.direction.receives() => {
                if before == Watch::Silent {
                    return (None, false);
                }
                let due = now + silence;
                self.watch = Watch::Listening { since: now, due };
                (Some(due), false)
            }
            Some(_) | None => {
                self.watch = Watch::Off;
                (None, before == Watch::Silent)
            }
        }
    }

    /// Notes that RTP came; for a leg that was silent, says when to look again.
    pub(crate) fn hear(&mut self, now: Instant) -> Option<Instant> {
        match &mut self.watch {
            Watch::Off => None,
            Watch::Listening { since, .. } => {
                *since = now;
                None
            }
            Watch::Silent => {
                let due = now + self.settings.silence?;
                self.watch = Watch::Listening { since: now, due };
                Some(due)
            }
        }
    }

    /// Looks whether anything came since the last look.
    pub(crate) fn look(&mut self, now: Instant) -> Option<Found> {
        let Watch::Listening { since, .. } = self.watch else {
            return None;
        };
        let due = since + self.settings.silence?;
        if due > now {
            self.watch = Watch::Listening { since, due };
            return Some(Found::Again(due));
        }
        self.watch = Watch::Silent;
        Some(Found::Silence)
    }

    /// Whether anything may be sent to its party, and where to is known.
    pub(crate) fn may_send(&self) -> bool {
        self.settings.direction.sends() && !self.settings.remote_rtp.ip().is_unspecified()
    }

    /// Makes the first `len` octets of `buffer` ready to leave; `None` where they cannot be sealed.
    pub(crate) fn seal(&mut self, buffer: &mut [u8], len: usize) -> Option<usize> {
        match &mut self.protection {
            Some(protection) => protection.seal_rtp(buffer, len),
            None => Some(len),
        }
    }

    /// Checks a packet: address, seal, form, window, and last the rate, so that a forger cannot spend what the peer may
    /// send. A secure one is opened in place.
    pub(crate) fn accept(
        &mut self,
        now: Instant,
        arrival: u32,
        source: SocketAddr,
        packet: &mut [u8],
    ) -> Option<(Header, Accepted)> {
        if source != self.settings.remote_rtp {
            self.dropped.foreign_source += 1;
            return None;
        }
        let mut len = packet.len();
        if let Some(protection) = &mut self.protection {
            let Some(opened) = protection.open_rtp(packet) else {
                self.dropped.unauthentic += 1;
                return None;
            };
            len = opened;
        }
        if !self.settings.direction.receives() {
            self.dropped.on_hold += 1;
            return None;
        }
        let Ok(header) = Header::read(&packet[..len]) else {
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

    /// How far its party's numbers have come, where that is news.
    pub(crate) fn poll_counted(&mut self) -> Option<Counted> {
        self.protection.as_mut()?.poll_counted()
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
        let mut opened = [0; MAX_PACKET_BYTES];
        let packet = match &mut self.protection {
            None => packet,
            Some(protection) => {
                let Some(copy) = opened.get_mut(..packet.len()) else {
                    self.dropped.malformed += 1;
                    return;
                };
                copy.copy_from_slice(packet);
                let Some(len) = protection.open_rtcp(copy) else {
                    self.dropped.unauthentic += 1;
                    return;
                };
                &opened[..len]
            }
        };
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
            // A party that may hear nothing is not played to; the clip waits.
            Source::Playing(player) if player.is_sent() || self.may_send() => player.due(),
            Source::Playing(_) | Source::Quiet | Source::Party(_) => None,
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
            Wake::Silence => match self.watch {
                Watch::Listening { due, .. } => Some(due),
                Watch::Off | Watch::Silent => None,
            },
        }
    }

    /// Writes the packet that its player has due; `None` when there is none, or `buffer` is too short.
    pub(crate) fn write_playback(&mut self, now: Instant, buffer: &mut [u8]) -> Option<usize> {
        if !self.may_send() {
            return None;
        }
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
        self.seal(buffer, len)
    }

    /// Writes an RTCP report, with a BYE when the leg ends; `None` where nobody receives it. Hold does not end reports
    /// (RFC 3264 section 5.1).
    pub(crate) fn write_report(
        &mut self,
        now: Instant,
        ntp: u64,
        is_goodbye: bool,
        buffer: &mut [u8; MAX_SEALED_REPORT_BYTES],
    ) -> Option<usize> {
        if self.settings.remote_rtcp.ip().is_unspecified() {
            return None;
        }
        self.has_reported = true;
        let report = Report {
            ssrc: self.relay.ssrc(),
            sender: self.relay.report(now, ntp),
            block: self.stream.report(now),
            cname: &self.cname,
            is_goodbye,
        };
        let len = report.write(buffer.first_chunk_mut()?);
        match &mut self.protection {
            Some(protection) => protection.seal_rtcp(buffer, len),
            None => Some(len),
        }
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

/// A first sequence number from the lower half: one near the wrap could be told from one behind it only by luck
/// (RFC 3711 section 3.3.1).
pub(crate) fn first_sequence(random: &mut impl Rng) -> u16 {
    let [high, low, ..] = random.next_u32().to_be_bytes();
    u16::from_be_bytes([high, low]) & 0x7FFF
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
