//! What a telephone makes of the answers to its requests.

use std::time::Instant;

use super::{Act, OfferTime, Phone, Stage, branch_of, described};
use crate::{net::Packet, text::Text};

impl Phone {
    pub(super) fn handle_answer(
        &mut self,
        now: Instant,
        status: u16,
        message: &Text,
    ) -> Vec<Packet> {
        let (method, sequence) = (message.method().to_owned(), message.sequence());
        let branch = branch_of(message);
        let found = self
            .clients
            .iter()
            .position(|client| client.branch == branch && client.method == method);
        let Some(found) = found else {
            // A repeated final answer: its ACK was lost.
            let is_final_of_invite = method == "INVITE" && status >= 200;
            let ack = self
                .acknowledgements
                .get(&sequence)
                .filter(|_| is_final_of_invite);
            return ack
                .cloned()
                .map(|payload| self.packet(payload))
                .into_iter()
                .collect();
        };
        self.note(now, format!("< {status} {method}{}", described(message)));
        if status < 200 {
            let client = &mut self.clients[found];
            if method == "INVITE" {
                (client.repeat, client.until) = (None, None);
                return self.handle_provisional(now, status, message);
            }
            return Vec::new();
        }
        self.clients.remove(found);
        match method.as_str() {
            "INVITE" => self.handle_final(now, status, message),
            "BYE" => {
                self.end(now, "hung up");
                Vec::new()
            }
            // The exchange has begun anew: no final answer will ever come (RFC 3261 section 9.1).
            "CANCEL" if status == 481 && self.stage == Stage::Cancelling => {
                self.clients.retain(|client| client.method != "INVITE");
                self.end(now, "was forgotten");
                Vec::new()
            }
            "CANCEL" => Vec::new(),
            "UPDATE" => {
                self.settle_offer(now, status, message);
                self.leave_if_gone(now, status)
            }
            _ => self.leave_if_gone(now, status),
        }
    }

    /// RFC 3261 section 12.2.1.2.
    pub(super) fn leave_if_gone(&mut self, now: Instant, status: u16) -> Vec<Packet> {
        match status {
            408 | 481 if self.stage == Stage::Talking => self.act(now, Act::HangUp),
            _ => Vec::new(),
        }
    }

    fn handle_provisional(&mut self, now: Instant, status: u16, message: &Text) -> Vec<Packet> {
        let mut packets = Vec::new();
        let is_early = status > 100 && message.header("To").contains(";tag=");
        if is_early && self.stage != Stage::Talking {
            self.remote = message.header("To").to_owned();
            self.target = message.contact();
        }
        match self.stage {
            Stage::Inviting => self.stage = Stage::Proceeding,
            Stage::Cancelling if !self.has("> CANCEL") => packets.push(self.cancel(now)),
            _ => {}
        }
        if status == 100 {
            return packets;
        }
        let is_reliable = message.header("Require").contains("100rel");
        let number: u32 = message.header("RSeq").parse().unwrap_or(0);
        if is_reliable {
            if number <= self.reliable_sequence {
                return packets;
            }
            self.reliable_sequence = number;
        }
        let mut body = String::new();
        if !message.body.is_empty() {
            if self.offered.is_some() {
                self.settle_offer(now, 200, message);
            } else if self.habits.offer == OfferTime::Later
                && is_reliable
                && self.described.is_none()
            {
                body = self.answer_offer(message);
                self.described = Some(body.clone());
            }
            self.listen(now, message);
        }
        if is_reliable {
            let rack = format!("RAck: {number} {}", message.header("CSeq"));
            if self.habits.pracks_after.is_zero() {
                packets.push(self.request(now, "PRACK", &[rack], "application/sdp", &body));
            } else {
                self.plan(now + self.habits.pracks_after, Act::Prack(rack, body));
            }
        }
        packets
    }

    fn handle_final(&mut self, now: Instant, status: u16, message: &Text) -> Vec<Packet> {
        let is_first = self.is_calling();
        if status >= 300 {
            let ack = self.acknowledge_refusal(now, message);
            self.offered = None;
            let mut packets = vec![ack];
            if is_first {
                self.end(now, &status.to_string());
            } else {
                packets.extend(self.leave_if_gone(now, status));
            }
            return packets;
        }
        if is_first {
            self.remote = message.header("To").to_owned();
        }
        self.target = message.contact();
        let mut body = String::new();
        if !message.body.is_empty() {
            if self.offered.is_some() {
                self.settle_offer(now, status, message);
            } else if !(is_first && self.described.is_some()) {
                body = self.answer_offer(message);
            }
        }
        let mut packets = vec![self.acknowledge(now, message.sequence(), &body)];
        if is_first {
            let wanted_out = self.stage == Stage::Cancelling;
            self.stage = Stage::Talking;
            if wanted_out {
                packets.extend(self.act(now, Act::HangUp));
            } else {
                self.listen(now, message);
                self.plan(now + self.habits.speaks, Act::Hush);
            }
        }
        packets
    }

    /// Speaks to where a description says, in the first codec of it that it has too.
    fn listen(&mut self, now: Instant, message: &Text) {
        let payload_type = self.common(message).first().copied();
        if let (Some(media), Some(payload_type)) = (message.media(), payload_type)
            && !matches!(
                self.stage,
                Stage::Cancelling | Stage::Leaving | Stage::Over(_)
            )
        {
            self.voice.speak(now, media, payload_type);
        }
    }

    /// What it says goes to where a later description wants it, in the codec that it names first of its own.
    pub(super) fn follow(&mut self, message: &Text) {
        let payload_type = self.common(message).first().copied();
        if let (Some(media), Some(payload_type)) = (message.media(), payload_type) {
            self.voice.turn_to(media, payload_type);
        }
    }

    /// An offer of its own has its outcome.
    pub(super) fn settle_offer(&mut self, now: Instant, status: u16, message: &Text) {
        let Some(offered) = self.offered.take() else {
            return;
        };
        if (200..300).contains(&status) && !message.body.is_empty() {
            self.follow(message);
            self.direction = offered;
            self.note(now, format!("agreed {offered}"));
        }
    }
}
