//! How a telephone answers what it is asked.

use std::time::Instant;

use super::{Phone, Stage, branch_of, described, direction_of};
use crate::{net::Packet, text::Text};

impl Phone {
    pub(super) fn handle_request(&mut self, now: Instant, message: &Text) -> Vec<Packet> {
        let method = message.method().to_owned();
        let key = (branch_of(message), method.clone());
        if method == "ACK" {
            self.acknowledged(now, message);
            return Vec::new();
        }
        if let Some(answer) = self.answers.get(&key) {
            return vec![self.packet(answer.clone())];
        }
        // Its answer is on the way, or will be.
        let is_called_again = method == "INVITE"
            && key.0 == branch_of(&self.invite)
            && message.sequence() == self.invite.sequence();
        if is_called_again {
            return Vec::new();
        }
        self.note(now, format!("< {method}{}", described(message)));
        if method == "CANCEL" {
            return self.cancelled(now, message);
        }
        if message.sequence() < self.remote_sequence {
            return vec![self.respond(now, message, 500, &[], "")];
        }
        self.remote_sequence = message.sequence();
        match (method.as_str(), &self.stage) {
            ("BYE", Stage::Over(_)) => vec![self.respond(now, message, 481, &[], "")],
            ("BYE", stage) => {
                let is_leaving = *stage == Stage::Leaving;
                let answer = self.respond(now, message, 200, &[], "");
                if !is_leaving {
                    self.end(now, "was hung up on");
                }
                vec![answer]
            }
            (_, Stage::Over(_) | Stage::Leaving) => vec![self.respond(now, message, 481, &[], "")],
            ("INVITE" | "UPDATE", _) => vec![self.changed(now, message)],
            ("PRACK", _) => self.pracked(now, message),
            ("INFO" | "OPTIONS" | "NOTIFY" | "MESSAGE", _) => {
                vec![self.respond(now, message, 200, &[], "")]
            }
            _ => vec![self.respond(now, message, 501, &[], "")],
        }
    }

    fn cancelled(&mut self, now: Instant, message: &Text) -> Vec<Packet> {
        let mut packets = vec![self.respond(now, message, 200, &[], "")];
        if self.stage == Stage::Alerting {
            packets.push(self.answer_invite(now, 487, &[], ""));
            self.end(now, "cancelled");
        }
        packets
    }

    /// An offer in the middle of a call, or a refresh.
    fn changed(&mut self, now: Instant, message: &Text) -> Packet {
        if !self.may_offer() && !message.body.is_empty()
            || (message.method() == "INVITE" && !self.may_offer())
        {
            return self.respond(now, message, 491, &[], "");
        }
        if message.body.is_empty() {
            return match message.method() {
                "INVITE" => {
                    let offer = self.offer(self.direction);
                    self.respond(now, message, 200, &[], &offer)
                }
                _ => self.respond(now, message, 200, &[], ""),
            };
        }
        if !self.has_common(message) {
            return self.respond(now, message, 488, &[], "");
        }
        if self.habits.change != 200 {
            return self.respond(now, message, self.habits.change, &[], "");
        }
        let answer = self.answer_offer(message);
        self.follow(message);
        let direction = direction_of(&answer);
        self.direction = direction;
        self.note(now, format!("agreed {direction}"));
        self.respond(now, message, 200, &[], &answer)
    }

    fn pracked(&mut self, now: Instant, message: &Text) -> Vec<Packet> {
        let number: u32 = message
            .header("RAck")
            .split(' ')
            .next()
            .and_then(|number| number.parse().ok())
            .unwrap_or(0);
        // A final answer may have crossed it: that ends the repeating, not the waiting (RFC 3262 section 3).
        if !self.unpracked.remove(&number) {
            return vec![self.respond(now, message, 481, &[], "")];
        }
        self.waiting
            .retain(|waiting| waiting.what != "PRACK" || waiting.sequence != number);
        if !message.body.is_empty() {
            self.settle_offer(now, 200, message);
            self.invite.body.clone_from(&message.body);
            self.speak(now);
        }
        vec![self.respond(now, message, 200, &[], "")]
    }

    fn acknowledged(&mut self, now: Instant, message: &Text) {
        let found = self
            .waiting
            .iter()
            .position(|waiting| waiting.what == "ACK" && waiting.sequence == message.sequence());
        let Some(found) = found else { return };
        self.waiting.remove(found);
        self.note(now, format!("< ACK{}", described(message)));
        if !message.body.is_empty() {
            self.settle_offer(now, 200, message);
            if message.sequence() == self.invite.sequence() {
                self.invite.body.clone_from(&message.body);
                self.speak(now);
            }
        } else if self.offered.take().is_some() {
            self.note(now, "an offer without its answer");
        }
    }
}
