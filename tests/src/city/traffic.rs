//! What travels in the city: messages and speech, between the peers, the exchange and its shards, and what the exchange wants done.

use std::{
    net::SocketAddr,
    panic::{AssertUnwindSafe, catch_unwind},
    time::{Duration, Instant},
};

use exchange::{Input, Output, Unreachable};
use media::Event;
use sip_core::{Hop, Transport};

use super::{City, Playback};
use crate::{line::Line, net::Packet, text::Text};

impl City {
    fn hop(&self, remote: SocketAddr) -> Hop {
        let is_pbx = remote == self.pbx.address;
        Hop {
            transport: if is_pbx {
                self.plan.pbx_by
            } else {
                Transport::Udp
            },
            local: self.exchange,
            remote,
        }
    }

    pub(super) fn deliver(&mut self, packet: &Packet) {
        let now = self.clock.now().at;
        if packet.to == self.exchange {
            let hop = self.hop(packet.from);
            let payload = packet.payload.clone().into();
            return self.tell(Input::Message {
                hop,
                payload,
                received_at: now - Duration::from_millis(self.waits_ms),
            });
        }
        if let Some(shard) = self
            .shards
            .iter_mut()
            .find(|shard| shard.is_mine(packet.to))
        {
            if let Some(forward) = shard.handle_packet(now, packet) {
                self.send_media(forward);
            }
            return;
        }
        if let Some(answers) = self.deliver_to_line(now, packet) {
            for answer in answers {
                self.net.send(now, answer);
            }
            return;
        }
        let answers = if packet.to == self.carrier.address {
            self.carrier.handle(now, packet)
        } else if packet.to == self.pbx.address && self.plan.is_pbx_away {
            let hop = self.hop(packet.to);
            return self.tell(Input::Unreachable {
                hop,
                why: Unreachable::Nobody,
            });
        } else if packet.to == self.pbx.address {
            self.pbx.handle(now, packet)
        } else {
            let callers = self
                .carrier
                .calls
                .iter_mut()
                .map(|caller| &mut caller.voice);
            let telephones = self
                .pbx
                .calls
                .iter_mut()
                .map(|telephone| &mut telephone.voice);
            let lines = self.lines.iter_mut().map(|line| &mut line.voice);
            if let Some(voice) = callers
                .chain(telephones)
                .chain(lines)
                .find(|voice| voice.local == packet.to)
            {
                voice.hear(now, packet);
            }
            Vec::new()
        };
        for answer in answers {
            self.net.send(now, answer);
        }
    }

    /// Gives a SIP message to the line whose call it belongs to, if there is one.
    fn deliver_to_line(&mut self, now: Instant, packet: &Packet) -> Option<Vec<Packet>> {
        let is_sip = |line: &Line| line.address == packet.to;
        if !self.lines.iter().any(is_sip) {
            return None;
        }
        let message = Text::read(&packet.payload);
        let is_for = |line: &&mut Line| line.address == packet.to && line.is_called(&message);
        let line = self.lines.iter_mut().find(is_for)?;
        Some(line.handle(now, message))
    }

    /// Tells the exchange, as the server does: a panic ends one call and nothing else.
    pub fn tell(&mut self, input: Input) {
        self.inputs.push_back(input);
        self.work_off();
    }

    pub(super) fn work_off(&mut self) {
        while let Some(input) = self.inputs.pop_front() {
            let now = self.clock.now();
            let wiring = &mut self.wiring;
            if catch_unwind(AssertUnwindSafe(|| wiring.handle(now, input))).is_err() {
                self.abandoned.extend(self.wiring.recover(now));
            }
            assert_eq!(
                self.wiring.exchange().in_hand(),
                None,
                "no call is in hand between inputs"
            );
            self.drain();
        }
    }

    pub(super) fn drain(&mut self) {
        let now = self.clock.now().at;
        while let Some(output) = self.wiring.poll_output() {
            match output {
                Output::Sip(transmit) => {
                    self.sip_sent += 1;
                    let (from, to) = (transmit.hop.local, transmit.hop.remote);
                    let payload = transmit.payload.to_vec();
                    self.sip_to.insert(to);
                    if payload.starts_with(b"INVITE") {
                        let user = Text::read(&payload).called_user().to_owned();
                        self.invited.insert(format!("{user}@{to}"));
                    }
                    self.net.send(now, Packet { from, to, payload });
                }
                Output::Media { shard, command } => {
                    let shard = self
                        .shards
                        .iter_mut()
                        .find(|known| known.index() == shard)
                        .expect("commands go to living shards");
                    let lent = shard.handle_command(now, command);
                    if !lent.is_empty() {
                        self.inputs.push_back(Input::LegsOffered(lent));
                    }
                }
                Output::Record(order) => self.inputs.extend(
                    self.recorder
                        .handle_order(self.clock.now(), order)
                        .map(Input::Recorder),
                ),
                Output::Audit(draft) => self.audits.push(draft),
                Output::SaveEmergency(state) => self.saved.push(state),
                Output::Trace(event) => self.traces.push(event),
                Output::Peer(event) => self.peer_events.push(event),
                Output::Resolve(question) => self.questions.push(question),
                Output::Alarm(alarm) => self.alarms.push(alarm),
            }
        }
        self.drain_shards();
    }

    pub(super) fn drain_shards(&mut self) {
        let mut packets = Vec::new();
        for shard in &mut self.shards {
            packets.extend(std::iter::from_fn(|| shard.poll_packet()));
            while let Some(event) = shard.poll_event() {
                if let Event::PlaybackEnded {
                    leg,
                    playback,
                    samples_sent: sent,
                    samples_total: total,
                    started,
                    ended,
                } = event
                {
                    self.playbacks.push(Playback {
                        leg,
                        playback,
                        sent,
                        total,
                        started,
                        ended,
                    });
                }
                if !self.plan.is_shard_mute {
                    self.inputs.push_back(Input::Media(event));
                }
            }
        }
        for packet in packets {
            self.send_media(packet);
        }
    }

    fn send_media(&mut self, packet: Packet) {
        self.media_sent.insert((packet.from, packet.to));
        self.send(packet);
    }
}
