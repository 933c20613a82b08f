//! The media machine of one shard: all its legs, who hears whom, what is played, and what is copied for the recorder.
//!
//! Drive it so: after each `handle_*`, drain `poll_transmit`, then `poll_event`, then ask `poll_timeout`. It opens no
//! socket and reads no clock. A packet of a bridged leg costs two table look-ups, a header and a copy: no allocation,
//! no lock, no log; on a secure leg, what its cipher costs. Start at [`Engine::handle_command`] and [`Engine::handle_rtp`].

mod traffic;

use std::{
    collections::VecDeque,
    net::SocketAddr,
    time::{Duration, Instant},
};

use rand_chacha::ChaCha8Rng;
use rand_core::{Rng, SeedableRng};

use crate::{
    command::{Command, Event, Forward, LegId, LegStatistics, Transmit},
    fork::Fork,
    leg::{Copying, Found, Leg, MAX_SEALED_REPORT_BYTES, Names, Source, first_sequence},
    player::{Player, Turn},
    rtcp::CNAME_BYTES,
    rtp::samples_between,
    sdp::StreamSettings,
    stream::Payload,
    timers::{Timer, Timers, Wake},
};

/// Mean time between two RTCP reports of a leg (RFC 3550 section 6.2 asks for at least 5 s), spread by 0.5 to 1.5.
const REPORT_INTERVAL: Duration = Duration::from_secs(5);

/// What an engine is made with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// The shard; commands for legs of another are not carried out.
    pub shard: u16,
    /// Legs open at once; their slots are numbered from 0.
    pub max_legs: u32,
}

/// The legs of one shard.
#[derive(Debug)]
pub struct Engine {
    settings: Settings,
    random: ChaCha8Rng,
    legs: Vec<Option<Box<Leg>>>,
    timers: Timers,
    /// Legs that have a packet due, in the order in which they became due.
    ready: VecDeque<Timer>,
    farewells: VecDeque<Farewell>,
    events: VecDeque<Event>,
    /// The first instant ever seen: zero of our NTP time and of arrivals.
    epoch: Option<Instant>,
    now: Option<Instant>,
    ignored_commands: u64,
}

/// The last RTCP packet of a leg that is gone.
#[derive(Debug)]
struct Farewell {
    leg: LegId,
    to: SocketAddr,
    packet: [u8; MAX_SEALED_REPORT_BYTES],
    len: usize,
}

impl Engine {
    /// An engine without legs. `seed` makes SSRCs, first numbers, CNAMEs and the spread of reports.
    #[must_use]
    pub fn new(settings: Settings, seed: [u8; 32]) -> Engine {
        Engine {
            settings,
            random: ChaCha8Rng::from_seed(seed),
            legs: Vec::new(),
            timers: Timers::default(),
            ready: VecDeque::new(),
            farewells: VecDeque::new(),
            events: VecDeque::new(),
            epoch: None,
            now: None,
            ignored_commands: 0,
        }
    }

    /// Carries out what the call wants. A command for a leg that is not open is counted and changes nothing.
    pub fn handle_command(&mut self, now: Instant, command: Command) {
        self.see(now);
        let done = match command {
            Command::Open { leg, stream } => self.open(now, leg, stream),
            Command::Play {
                leg,
                playback,
                clip,
            } => self.play(now, leg, clip, Turn::Once(playback)),
            Command::Loop { leg, clip } => self.play(now, leg, clip, Turn::Endless),
            Command::Quiet { leg } => self.set_source(now, leg, Source::Quiet),
            Command::Bridge {
                carrier,
                department,
            } => self.bridge(now, carrier, department),
            Command::Fork {
                carrier,
                department,
                fork,
            } => self.fork(now, carrier, department, fork),
            Command::Unfork { carrier } => self.unfork(now, carrier),
            Command::Close { leg } => self.close(now, leg),
        };
        if done.is_none() {
            self.ignored_commands += 1;
        }
    }

    /// Takes a packet that `leg`'s RTP socket received from `source`: the first `len` bytes of `buffer`.
    ///
    /// Where the leg's party is heard by another, the packet is rewritten in place and wants to be sent: the first
    /// [`Forward::len`] bytes of `buffer`, which for a secure leg are more than came. `None` when nobody hears it or it was
    /// dropped, which the legs' statistics count by reason.
    ///
    /// Source: RFC 3550 section 7.1 (a translator that owns its SSRCs).
    pub fn handle_rtp(
        &mut self,
        now: Instant,
        leg: LegId,
        source: SocketAddr,
        buffer: &mut [u8],
        len: usize,
    ) -> Option<Forward> {
        self.see(now);
        let arrival = self.arrival(now);
        let speaker = self.leg_mut(leg)?;
        let taken = speaker.accept(now, arrival, source, buffer.get_mut(..len)?);
        if let Some(counted) = speaker.poll_counted() {
            self.events.push_back(Event::Counted { leg, counted });
        }
        let (header, accepted) = taken?;
        let speaker = self.leg_mut(leg)?;
        let look_at = speaker.hear(now);
        if accepted.payload == Payload::Foreign {
            speaker.dropped.foreign_payload += 1;
            return None;
        }
        let listener = speaker.listener;
        if let Some(at) = look_at {
            self.events.push_back(Event::Heard { leg });
            self.look(leg, at);
        }
        if let Payload::Audio(codec) = accepted.payload {
            let marker = header.marker || accepted.begins_run;
            self.copy(
                now,
                leg,
                codec,
                header.timestamp,
                marker,
                &buffer[header.payload.clone()],
            );
        }
        self.forward(now, leg, listener?, buffer, &header, accepted)
    }

    /// Takes a packet that `leg`'s RTCP socket received from `source`: reports, for the statistics.
    pub fn handle_rtcp(&mut self, now: Instant, leg: LegId, source: SocketAddr, packet: &[u8]) {
        self.see(now);
        let middle = u32::try_from((self.ntp(now) >> 16) & 0xFFFF_FFFF).expect("masked to 32 bits");
        if let Some(leg) = self.leg_mut(leg) {
            leg.handle_rtcp(now, middle, source, packet);
        }
    }

    /// Does what has become due.
    pub fn handle_timeout(&mut self, now: Instant) {
        self.see(now);
        while let Some(timer) = self.timers.pop_due(now) {
            let Some(leg) = self
                .leg(timer.leg)
                .filter(|leg| leg.due(timer.wake) == Some(timer.at))
            else {
                continue;
            };
            match timer.wake {
                Wake::Playback if leg.is_playback_sent() => {
                    self.set_source(now, timer.leg, Source::Quiet);
                }
                Wake::Playback | Wake::Report => self.ready.push_back(timer),
                Wake::Silence => self.look_for_silence(now, timer.leg),
            }
        }
    }

    /// Writes the next packet that wants to be sent. `buffer` holds at least [`crate::rtp::MAX_PACKET_BYTES`].
    pub fn poll_transmit(&mut self, buffer: &mut [u8]) -> Option<Transmit> {
        if let Some(Farewell {
            leg,
            to,
            packet,
            len,
        }) = self.farewells.pop_front()
        {
            buffer.get_mut(..len)?.copy_from_slice(&packet[..len]);
            return Some(Transmit {
                leg,
                to,
                rtcp: true,
                len,
            });
        }
        while let Some(timer) = self.ready.pop_front() {
            let transmit = match timer.wake {
                Wake::Playback => self.transmit_playback(timer.leg, buffer),
                Wake::Report => self.transmit_report(timer.leg, buffer),
                // Nothing is sent for it, and it is never ready.
                Wake::Silence => None,
            };
            if transmit.is_some() {
                return transmit;
            }
        }
        None
    }

    /// The next thing to report.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    /// When [`Engine::handle_timeout`] wants to be called, and why.
    pub fn poll_timeout(&mut self) -> Option<(Instant, &'static str)> {
        let legs = &self.legs;
        let timer = self.timers.next(|timer| {
            find(legs, timer.leg).and_then(|leg| leg.due(timer.wake)) == Some(timer.at)
        })?;
        Some((timer.at, timer.wake.reason()))
    }

    /// What an open leg has counted so far.
    #[must_use]
    pub fn statistics(&self, leg: LegId) -> Option<LegStatistics> {
        self.leg(leg).map(Leg::statistics)
    }

    /// Legs that are open.
    #[must_use]
    pub fn open_legs(&self) -> usize {
        self.legs.iter().flatten().count()
    }

    /// Commands for legs that were not open, or not ours.
    #[must_use]
    pub fn ignored_commands(&self) -> u64 {
        self.ignored_commands
    }

    fn see(&mut self, now: Instant) {
        self.epoch.get_or_insert(now);
        self.now = Some(now);
    }

    /// `now` in samples, wrapping.
    fn arrival(&self, now: Instant) -> u32 {
        let samples = samples_between(self.epoch.unwrap_or(now), now);
        u32::try_from(samples & 0xFFFF_FFFF).expect("masked to 32 bits")
    }

    /// `now` in 1/2^32 s since one second before the first instant: zero in a report would mean "none".
    fn ntp(&self, now: Instant) -> u64 {
        let elapsed =
            now.saturating_duration_since(self.epoch.unwrap_or(now)) + Duration::from_secs(1);
        (elapsed.as_secs() << 32) | ((u64::from(elapsed.subsec_nanos()) << 32) / 1_000_000_000)
    }

    fn leg(&self, id: LegId) -> Option<&Leg> {
        find(&self.legs, id)
    }

    fn leg_mut(&mut self, id: LegId) -> Option<&mut Leg> {
        let slot = usize::try_from(id.slot).ok()?;
        self.legs
            .get_mut(slot)?
            .as_deref_mut()
            .filter(|leg| leg.id == id)
    }

    fn open(&mut self, now: Instant, id: LegId, stream: StreamSettings) -> Option<()> {
        if id.shard != self.settings.shard || id.slot >= self.settings.max_legs {
            return None;
        }
        if find(&self.legs, id).is_some() {
            return self.agree(now, id, stream);
        }
        let slot = usize::try_from(id.slot).expect("32 bits fit");
        if self.legs.len() <= slot {
            self.legs.resize_with(slot + 1, || None);
        }
        // A slot that is lent again before its last leg was closed: that leg is over, with its report.
        if let Some(earlier) = self.legs[slot].as_ref().map(|leg| leg.id) {
            self.close(now, earlier);
        }
        let report_at = now + self.report_interval() / 2;
        let names = self.names();
        self.legs[slot] = Some(Box::new(Leg::new(id, stream, &names, report_at)));
        self.timers.arm(Timer {
            at: report_at,
            leg: id,
            wake: Wake::Report,
        });
        self.watch(now, id);
        Some(())
    }

    /// Changes the stream of an open leg.
    fn agree(&mut self, now: Instant, id: LegId, stream: StreamSettings) -> Option<()> {
        let slot = usize::try_from(id.slot).ok()?;
        let leg = self.legs.get_mut(slot)?.as_deref_mut()?;
        leg.agree(stream, &mut self.random);
        self.arm_playback(id);
        self.watch(now, id);
        Some(())
    }

    /// Wakes for the next packet of what a leg is played, where it may hear it.
    fn arm_playback(&mut self, id: LegId) {
        if let Some(at) = self.leg(id).and_then(Leg::playback_due) {
            self.timers.arm(Timer {
                at,
                leg: id,
                wake: Wake::Playback,
            });
        }
    }

    /// Begins or ends the watch for a leg's silence.
    fn watch(&mut self, now: Instant, id: LegId) {
        let Some((look_at, is_lifted)) = self.leg_mut(id).map(|leg| leg.watch(now)) else {
            return;
        };
        if is_lifted {
            self.events.push_back(Event::Heard { leg: id });
        }
        if let Some(at) = look_at {
            self.look(id, at);
        }
    }

    fn look_for_silence(&mut self, now: Instant, id: LegId) {
        match self.leg_mut(id).and_then(|leg| leg.look(now)) {
            Some(Found::Again(at)) => self.look(id, at),
            Some(Found::Silence) => self.events.push_back(Event::FellSilent { leg: id }),
            None => {}
        }
    }

    fn look(&mut self, leg: LegId, at: Instant) {
        self.timers.arm(Timer {
            at,
            leg,
            wake: Wake::Silence,
        });
    }

    fn play(&mut self, now: Instant, id: LegId, clip: crate::Clip, turn: Turn) -> Option<()> {
        let packet_samples = self.leg(id)?.packet_samples();
        self.set_source(
            now,
            id,
            Source::Playing(Player::new(clip, turn, now, packet_samples)),
        )?;
        self.arm_playback(id);
        Some(())
    }

    fn bridge(&mut self, now: Instant, carrier: LegId, department: LegId) -> Option<()> {
        if carrier == department || self.leg(carrier).is_none() || self.leg(department).is_none() {
            return None;
        }
        for (hearing, heard) in [(carrier, department), (department, carrier)] {
            let earlier = self
                .leg_mut(heard)?
                .listener
                .replace(hearing)
                .filter(|&listener| listener != hearing);
            if let Some(earlier) = earlier {
                self.silence_party(now, earlier, heard);
            }
            self.set_source(now, hearing, Source::Party(heard))?;
        }
        Some(())
    }

    fn fork(&mut self, now: Instant, carrier: LegId, department: LegId, fork: Fork) -> Option<()> {
        if carrier == department || self.leg(carrier).is_none() || self.leg(department).is_none() {
            return None;
        }
        self.stop_copying(now, carrier);
        self.stop_copying(now, department);
        fork.open(now);
        self.leg_mut(department)?.copying = Copying::Department(carrier);
        self.leg_mut(carrier)?.copying = Copying::Carrier(fork, department);
        Some(())
    }

    fn unfork(&mut self, now: Instant, carrier: LegId) -> Option<()> {
        match self.leg(carrier)?.copying {
            Copying::Carrier(..) => {
                self.stop_copying(now, carrier);
                Some(())
            }
            Copying::Off | Copying::Department(_) => None,
        }
    }

    fn close(&mut self, now: Instant, id: LegId) -> Option<()> {
        self.set_source(now, id, Source::Quiet)?;
        self.stop_copying(now, id);
        if let Some(listener) = self.leg(id)?.listener {
            self.silence_party(now, listener, id);
        }
        let ntp = self.ntp(now);
        let slot = usize::try_from(id.slot).expect("32 bits fit");
        let mut leg = self.legs[slot].take()?;
        let mut packet = [0; MAX_SEALED_REPORT_BYTES];
        if leg.owes_goodbye()
            && let Some(len) = leg.write_report(now, ntp, true, &mut packet)
        {
            self.farewells.push_back(Farewell {
                leg: id,
                to: leg.settings.remote_rtcp,
                packet,
                len,
            });
        }
        self.events.push_back(Event::Closed {
            leg: id,
            statistics: leg.statistics(),
        });
        Some(())
    }

    /// Changes what a party hears; a clip that this cuts, or that is over, reports.
    fn set_source(&mut self, now: Instant, id: LegId, source: Source) -> Option<()> {
        let earlier = std::mem::replace(&mut self.leg_mut(id)?.source, source);
        let still_heard = match self.leg(id)?.source {
            Source::Party(heard) => Some(heard),
            Source::Quiet | Source::Playing(_) => None,
        };
        match earlier {
            Source::Quiet => {}
            Source::Playing(player) => {
                if let Some(report) = player.report(now) {
                    self.events.push_back(Event::PlaybackEnded {
                        leg: id,
                        playback: report.playback,
                        samples_sent: report.samples_sent,
                        samples_total: report.samples_total,
                        started: report.started,
                        ended: report.ended,
                    });
                }
            }
            Source::Party(heard) if Some(heard) == still_heard => {}
            Source::Party(heard) => {
                if let Some(heard) = self
                    .leg_mut(heard)
                    .filter(|heard| heard.listener == Some(id))
                {
                    heard.listener = None;
                }
            }
        }
        Some(())
    }

    /// Ends that `listener` hears `heard`, if it does.
    fn silence_party(&mut self, now: Instant, listener: LegId, heard: LegId) {
        if self
            .leg(listener)
            .is_some_and(|leg| matches!(leg.source, Source::Party(party) if party == heard))
        {
            self.set_source(now, listener, Source::Quiet);
        }
    }

    /// Ends the copying of a leg, and of the other side where the ring was this leg's.
    fn stop_copying(&mut self, now: Instant, id: LegId) {
        let Some(leg) = self.leg_mut(id) else { return };
        let Copying::Carrier(fork, department) = std::mem::replace(&mut leg.copying, Copying::Off)
        else {
            return;
        };
        fork.close(now);
        // Else it would be heard in the next ring of this leg, although it has left the call.
        if let Some(department) = self.leg_mut(department)
            && matches!(department.copying, Copying::Department(carrier) if carrier == id)
        {
            department.copying = Copying::Off;
        }
    }

    /// A time between 0.5 and 1.5 of the mean, so that legs opened together do not report together.
    fn report_interval(&mut self) -> Duration {
        let spread_ms = u64::from(self.random.next_u32()) % 5_000;
        REPORT_INTERVAL / 2 + Duration::from_millis(spread_ms)
    }

    fn names(&mut self) -> Names {
        const LETTERS: &[u8; 64] =
            b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
        let mut cname = [0; CNAME_BYTES];
        self.random.fill_bytes(&mut cname);
        let cname = cname.map(|byte| LETTERS[usize::from(byte & 0x3F)]);
        Names {
            sequence: first_sequence(&mut self.random),
            ssrc: self.random.next_u32(),
            timestamp: self.random.next_u32(),
            cname,
        }
    }
}

fn find(legs: &[Option<Box<Leg>>], id: LegId) -> Option<&Leg> {
    let slot = usize::try_from(id.slot).ok()?;
    legs.get(slot)?.as_deref().filter(|leg| leg.id == id)
}
