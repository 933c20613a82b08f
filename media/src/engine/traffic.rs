//! The packets of an engine's legs: copied, carried to whoever hears them, and made.

use std::time::Instant;

use super::Engine;
use crate::{
    command::{Forward, LegId, Transmit},
    frame::Side,
    g711,
    leg::{Copying, Source},
    relay::Origin,
    rtp::{HEADER_BYTES, Header},
    stream::{Accepted, Payload},
    timers::{Timer, Wake},
};

impl Engine {
    /// Copies accepted audio into the recorder's ring, where the leg has one.
    pub(super) fn copy(
        &mut self,
        now: Instant,
        id: LegId,
        codec: g711::Codec,
        timestamp: u32,
        marker: bool,
        samples: &[u8],
    ) {
        let Some(leg) = self.leg_mut(id) else { return };
        let (owner, side) = match &mut leg.copying {
            Copying::Off => return,
            Copying::Carrier(fork, _) => {
                return fork.copy(now, Side::Carrier, codec, timestamp, marker, samples);
            }
            Copying::Department(owner) => (*owner, Side::Department),
        };
        if let Some(Copying::Carrier(fork, _)) = self.leg_mut(owner).map(|owner| &mut owner.copying)
        {
            fork.copy(now, side, codec, timestamp, marker, samples);
        }
    }

    /// Rewrites an accepted packet for the leg that hears it.
    pub(super) fn forward(
        &mut self,
        now: Instant,
        heard: LegId,
        listener: LegId,
        buffer: &mut [u8],
        header: &Header,
        accepted: Accepted,
    ) -> Option<Forward> {
        let leg = self.leg_mut(listener)?;
        let Source::Party(party) = leg.source else {
            return None;
        };
        if party != heard {
            return None;
        }
        if !leg.may_send() {
            leg.dropped.on_hold += 1;
            return None;
        }
        let (payload_type, samples) = match accepted.payload {
            Payload::Audio(_) => (Some(leg.settings.payload_type), header.payload.len()),
            Payload::Event => (leg.settings.events, 0),
            Payload::Noise => (leg.settings.noise, 0),
            Payload::Foreign => (None, 0),
        };
        let samples = u32::try_from(samples).expect("a datagram is under 64 KiB");
        let origin = Origin {
            leg: heard,
            run: accepted.run,
        };
        let stamp = payload_type.and_then(|_| leg.relay.forward(now, origin, header, samples));
        let (Some(payload_type), Some(stamp)) = (payload_type, stamp) else {
            leg.dropped.not_forwarded += 1;
            return None;
        };
        let len = HEADER_BYTES + header.payload.len();
        // Contributing sources, extensions and padding were agreed with us at most: they do not cross.
        if header.payload.start != HEADER_BYTES {
            buffer.copy_within(header.payload.clone(), HEADER_BYTES);
        }
        if let Payload::Audio(codec) = accepted.payload {
            g711::convert(&mut buffer[HEADER_BYTES..len], codec, leg.settings.codec);
        }
        stamp.write(payload_type, buffer.first_chunk_mut()?);
        let Some(len) = leg.seal(buffer, len) else {
            leg.dropped.not_forwarded += 1;
            return None;
        };
        Some(Forward {
            leg: listener,
            to: leg.settings.remote_rtp,
            len,
        })
    }

    pub(super) fn transmit_playback(&mut self, id: LegId, buffer: &mut [u8]) -> Option<Transmit> {
        let now = self.now?;
        let leg = self.leg_mut(id)?;
        let len = leg.write_playback(now, buffer)?;
        let to = leg.settings.remote_rtp;
        let is_behind = leg.playback_due().is_some_and(|at| at <= now) && !leg.is_playback_sent();
        let timer = leg.playback_due().map(|at| Timer {
            at,
            leg: id,
            wake: Wake::Playback,
        });
        match timer {
            Some(timer) if is_behind => self.ready.push_back(timer),
            Some(timer) => self.timers.arm(timer),
            None => {}
        }
        Some(Transmit {
            leg: id,
            to,
            rtcp: false,
            len,
        })
    }

    pub(super) fn transmit_report(&mut self, id: LegId, buffer: &mut [u8]) -> Option<Transmit> {
        let now = self.now?;
        let (ntp, report_at) = (self.ntp(now), now + self.report_interval());
        let leg = self.leg_mut(id)?;
        leg.report_at = report_at;
        let written = leg.write_report(now, ntp, false, buffer.first_chunk_mut()?);
        let to = leg.settings.remote_rtcp;
        self.timers.arm(Timer {
            at: report_at,
            leg: id,
            wake: Wake::Report,
        });
        let len = written?;
        Some(Transmit {
            leg: id,
            to,
            rtcp: true,
            len,
        })
    }
}
