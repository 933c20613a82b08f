//! What travels through the world of a storm: datagrams, and what the exchange takes and gives.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    time::{Duration, Instant},
};

use exchange::{Input, Milestone, Output, Unreachable};
use media::Event;

use super::World;
use crate::{
    city::Playback,
    net::Packet,
    phone::{Act, Early, Habits, Phone},
    text::Text,
    transition,
};

impl World {
    pub(super) fn send_from_peer(&mut self, packet: Packet) {
        self.carry(packet);
    }

    pub(super) fn deliver(&mut self, packet: &Packet) {
        let now = self.clock.now().at;
        if packet.to == self.exchange {
            self.reference.came(now, packet);
            let hop = self.hop(packet.from);
            let payload = packet.payload.clone().into();
            return self.tell(Input::Message {
                hop,
                payload,
                received_at: now.checked_sub(self.lag).unwrap_or(now),
            });
        }
        if self.shard.is_mine(packet.to) {
            if let Some(forward) = self.shard.handle_packet(now, packet) {
                self.net.send(now, forward);
            }
            return;
        }
        let is_sip = packet.to == self.carrier || packet.to == self.pbx;
        match self.dead.get(&packet.to) {
            Some(true) => {
                self.tally.count("a peer refused", 1);
                self.reference.way_lost(packet.to);
                return self.tell(Input::Unreachable {
                    hop: self.hop(packet.to),
                    why: Unreachable::Nobody,
                });
            }
            Some(false) => {
                self.tally.count("a peer died in silence", 1);
                return;
            }
            None => {}
        }
        if is_sip {
            return self.deliver_to_phone(now, packet);
        }
        self.hear(now, packet.to, packet);
    }

    fn deliver_to_phone(&mut self, now: Instant, packet: &Packet) {
        let message = Text::read(&packet.payload);
        let known = self
            .phones
            .iter()
            .position(|phone| phone.address == packet.to && phone.is_mine(&message));
        let index = match known {
            Some(index) => index,
            None if message.method() == "INVITE" && message.status().is_none() => {
                let index = self.phones.len();
                let (habits, agenda) = if self.is_plain {
                    let ring = (Duration::from_millis(300), Act::Ring(Early::Silent));
                    let answer = (Duration::from_secs(1), Act::Answer);
                    (Habits::default(), vec![ring, answer])
                } else {
                    let habits = transition::habits(&mut self.dice);
                    (habits, transition::agenda_of_called(&mut self.dice))
                };
                let hop = self.hop_of_phone(packet.to);
                let mut phone = Phone::ring(now, index, hop, &message, habits);
                for (after, act) in agenda {
                    phone.plan(now + after, act);
                }
                let trying = phone.trying(now);
                self.phones.push(phone);
                self.renew(index);
                return self.carry(trying);
            }
            // A late answer to a telephone of which nobody knows any more.
            None => return,
        };
        for answer in self.phones[index].handle(now, &message) {
            self.carry(answer);
        }
        self.bring_together(now, index);
        self.renew(index);
    }

    pub(super) fn tell(&mut self, input: Input) {
        self.inputs.push_back(input);
        self.work_off();
    }

    pub(super) fn work_off(&mut self) {
        while let Some(input) = self.inputs.pop_front() {
            let now = self.clock.now();
            let wiring = &mut self.wiring;
            if catch_unwind(AssertUnwindSafe(|| wiring.handle(now, input))).is_err() {
                assert!(
                    self.wiring.recover(now).is_some(),
                    "a panic that belongs to no call"
                );
            }
            self.drain();
        }
        self.reference.rest(self.clock.now().at);
        self.note_joined();
    }

    pub(super) fn drain(&mut self) {
        let now = self.clock.now().at;
        while let Some(output) = self.wiring.poll_output() {
            match output {
                Output::Sip(transmit) => {
                    let (from, to) = (transmit.hop.local, transmit.hop.remote);
                    let payload = transmit.payload.to_vec();
                    let packet = Packet { from, to, payload };
                    self.reference.went(now, &packet);
                    self.no_emergency_call_is_turned_away(&packet);
                    self.carry(packet);
                }
                Output::Media { shard, command } => {
                    assert_eq!(shard, self.shard.index(), "commands go to living shards");
                    self.watch.commanded(&command);
                    let lent = self.shard.handle_command(now, command);
                    self.watch.lent(&lent);
                    if !lent.is_empty() {
                        self.inputs.push_back(Input::LegsOffered(lent));
                    }
                }
                Output::Record(order) => {
                    let report = self.recorder.handle_order(self.clock.now(), order);
                    self.inputs.extend(report.map(Input::Recorder));
                }
                Output::SaveEmergency(state) => self.saved = state,
                Output::Trace(event) => match event.what {
                    Milestone::House(what) if what == "ExpectAck" || what == "Passing" => {
                        self.taken_in.insert(event.call);
                        self.watch.taken_in(now, event.call);
                    }
                    Milestone::House(what) if what == "outbound" || what == "internal" => {
                        self.out_of_scope.insert(event.call);
                    }
                    Milestone::House(_)
                    | Milestone::Message { .. }
                    | Milestone::Began
                    | Milestone::Refused(_)
                    | Milestone::Ended(_) => {}
                },
                _ => {}
            }
        }
        self.drain_shard();
    }

    /// S-17: while there are ports, a call to 110, 118 or 119 finds room.
    fn no_emergency_call_is_turned_away(&mut self, packet: &Packet) {
        if self.is_closing || !packet.payload.starts_with(b"SIP/2.0 503") {
            return;
        }
        let message = Text::read(&packet.payload);
        let is_emergency = ["110", "118", "119"]
            .iter()
            .any(|number| message.header("To").contains(&format!("<sip:{number}@")));
        let is_opening = message.method() == "INVITE" && message.sequence() == 1;
        let is_within = packet.to == self.pbx;
        // What the carrier has refused is no doing of the exchange's.
        let is_refused_by_carrier = self
            .phones
            .iter()
            .any(|phone| phone.address == self.carrier && phone.has("> 503 INVITE"));
        let free = self.wiring.exchange().free_leg_count();
        if is_within
            && is_emergency
            && is_opening
            && free >= 4
            && !is_refused_by_carrier
            && !self.watch.is_rough
        {
            self.watch
                .faults
                .push("an emergency call was turned away".to_owned());
        }
    }

    pub(super) fn drain_shard(&mut self) {
        let now = self.clock.now().at;
        while let Some(packet) = self.shard.poll_packet() {
            self.watch.left(packet.from, packet.payload.len());
            self.net.send(now, packet);
        }
        while let Some(event) = self.shard.poll_event() {
            if let Event::PlaybackEnded {
                leg,
                playback,
                samples_sent: sent,
                samples_total: total,
                started,
                ended,
            } = event
            {
                self.watch.prompt_ended(leg, sent);
                let playback = Playback {
                    leg,
                    playback,
                    sent,
                    total,
                    started,
                    ended,
                };
                let wall = self.clock.now().wall_at(ended);
                self.playbacks.push((playback, wall));
            }
            self.inputs.push_back(Input::Media(event));
        }
    }
}
