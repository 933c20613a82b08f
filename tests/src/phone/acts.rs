//! What a telephone does of its own accord, as its agenda has it.

use std::time::{Duration, Instant};

use super::{Client, LAST, Phone, Reliable, Stage, Waiting};
use crate::{carrier::Repeat, net::Packet};

/// One thing that a telephone does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Act {
    /// 180, or 183 with its media.
    Ring(Early),
    /// 200.
    Answer,
    /// A final refusal.
    Refuse(u16),
    /// It gives up.
    Cancel,
    /// It asks something inside its call.
    Ask(Request),
    /// The PRACK of the answer that this `RAck` names, with this body.
    Prack(String, String),
    /// BYE; before an answer, what ends the call there.
    HangUp,
    /// It speaks on to whom it spoke.
    Speak,
    /// It stops speaking.
    Hush,
}

/// What a telephone asks inside a talk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Request {
    /// A re-INVITE with this direction.
    Reinvite(&'static str),
    /// A re-INVITE without a description.
    ReinviteBare,
    /// UPDATE with this direction.
    Update(&'static str),
    /// Another request with a body or without one.
    Say(&'static str),
    /// REFER.
    Refer(Referred),
}

/// Whom a REFER wants the other party joined to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Referred {
    /// Whoever has this URI.
    Uri(&'static str),
    /// A number outside that nobody else calls.
    Outside,
    /// The other party of this dialog of its own, named as Replaces names it (RFC 3891).
    Dialog(String),
}

/// Whether something is heard before the answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Early {
    /// It rings.
    Silent,
    /// It plays something.
    Media,
}

impl Phone {
    pub(super) fn act(&mut self, now: Instant, act: Act) -> Vec<Packet> {
        match (act, &self.stage) {
            (Act::Ring(early), Stage::Alerting) => self.alert(now, early),
            (Act::Answer, Stage::Alerting) => self.answer_call(now),
            (Act::Refuse(status), Stage::Alerting) => {
                let refusal = self.answer_invite(now, status, &[], "");
                self.end(now, &format!("refused {status}"));
                vec![refusal]
            }
            (Act::Cancel, Stage::Inviting) => {
                // A CANCEL waits for a provisional answer (RFC 3261 section 9.1).
                self.stage = Stage::Cancelling;
                Vec::new()
            }
            (Act::Cancel | Act::HangUp, Stage::Proceeding) => {
                self.stage = Stage::Cancelling;
                vec![self.cancel(now)]
            }
            (Act::HangUp, Stage::Inviting) => self.act(now, Act::Cancel),
            (Act::HangUp, Stage::Alerting) => self.act(now, Act::Refuse(480)),
            (Act::HangUp, Stage::Talking) => {
                self.stage = Stage::Leaving;
                self.voice.hush();
                self.clients.retain(|client| client.method == "INVITE");
                vec![self.request(now, "BYE", &[], "", "")]
            }
            (Act::Hush, _) => {
                self.voice.hush();
                Vec::new()
            }
            (Act::Ask(request), Stage::Talking) => self.ask(now, &request).into_iter().collect(),
            (Act::Prack(rack, body), Stage::Proceeding | Stage::Cancelling | Stage::Talking) => {
                vec![self.request(now, "PRACK", &[rack], "application/sdp", &body)]
            }
            (Act::Speak, Stage::Talking) => {
                self.voice.go_on(now);
                Vec::new()
            }
            // Too early or too late for it: people try all the time.
            (
                Act::Ring(_)
                | Act::Answer
                | Act::Refuse(_)
                | Act::Cancel
                | Act::Ask(_)
                | Act::Prack(..)
                | Act::Speak
                | Act::HangUp,
                _,
            ) => Vec::new(),
        }
    }

    /// Asks something inside the talk; a change only while no other is under way.
    fn ask(&mut self, now: Instant, request: &Request) -> Option<Packet> {
        let is_change = match request {
            Request::Reinvite(_) | Request::ReinviteBare | Request::Update(_) => true,
            Request::Say(_) | Request::Refer(_) => false,
        };
        if is_change && !self.may_offer() {
            return None;
        }
        Some(match request {
            Request::Reinvite(direction) => {
                let offer = self.offer(direction);
                self.request(now, "INVITE", &[], "application/sdp", &offer)
            }
            Request::ReinviteBare => self.request(now, "INVITE", &[], "", ""),
            Request::Update(direction) => {
                let offer = self.offer(direction);
                self.request(now, "UPDATE", &[], "application/sdp", &offer)
            }
            Request::Say("INFO") => {
                let body = "Signal=5\r\n";
                self.request(now, "INFO", &[], "application/x-storm", body)
            }
            Request::Say(method) => self.request(now, method, &[], "", ""),
            Request::Refer(referred) => {
                let refer_to = self.refer_to(referred);
                self.request(now, "REFER", &[refer_to], "", "")
            }
        })
    }

    /// Whether no offer of either side is open (RFC 3264 section 4).
    pub(super) fn may_offer(&self) -> bool {
        let is_open = |client: &Client| matches!(client.method.as_str(), "INVITE" | "UPDATE");
        self.offered.is_none() && !self.clients.iter().any(is_open) && self.waiting.is_empty()
    }

    fn alert(&mut self, now: Instant, early: Early) -> Vec<Packet> {
        let wants = |line: &str| self.invite.all(line).join(",").contains("100rel");
        let is_reliable = match self.habits.reliable {
            Reliable::No => wants("Require"),
            Reliable::Supported | Reliable::Required => wants("Supported") || wants("Require"),
        };
        // One reliable answer at a time (RFC 3262 section 3).
        if is_reliable && self.waiting.iter().any(|waiting| waiting.what == "PRACK") {
            return Vec::new();
        }
        let early = if self.has_common(&self.invite) {
            early
        } else {
            Early::Silent
        };
        let (status, body) = match early {
            Early::Silent => (180, String::new()),
            Early::Media => (183, self.describe_call()),
        };
        let mut headers = Vec::new();
        if is_reliable {
            self.reliable_sequence += 1;
            headers = vec![
                "Require: 100rel".to_owned(),
                format!("RSeq: {}", self.reliable_sequence),
            ];
        }
        let packet = self.answer_invite(now, status, &headers, &body);
        if is_reliable {
            self.unpracked.insert(self.reliable_sequence);
            self.waiting.push(Waiting {
                what: "PRACK",
                sequence: self.reliable_sequence,
                payload: packet.payload.clone(),
                repeat: Repeat::after(now),
                until: now + LAST,
            });
        }
        self.speak(now);
        vec![packet]
    }

    fn answer_call(&mut self, now: Instant) -> Vec<Packet> {
        if !self.has_common(&self.invite) {
            return self.act(now, Act::Refuse(488));
        }
        if self.waiting.iter().any(Waiting::holds_answer) {
            // RFC 3262 section 3: the 2xx waits while an offer or answer of a reliable one is unacknowledged, and for nothing else.
            self.plan(now + Duration::from_millis(100), Act::Answer);
            return Vec::new();
        }
        let body = match &self.described {
            Some(described) => described.clone(),
            None => self.describe_call(),
        };
        let ok = self.answer_invite(now, 200, &[], &body);
        self.stage = Stage::Talking;
        self.speak(now);
        let talks = self.habits.speaks;
        self.plan(now + talks, Act::Hush);
        vec![ok]
    }

    /// The answer to the INVITE's offer, or an offer where it had none.
    fn describe_call(&mut self) -> String {
        if let Some(described) = &self.described {
            return described.clone();
        }
        let body = if self.invite.body.is_empty() {
            self.offer("sendrecv")
        } else {
            self.answer_offer(&self.invite.clone())
        };
        self.described = Some(body.clone());
        body
    }

    pub(super) fn speak(&mut self, now: Instant) {
        let invite = &self.invite;
        if let Some(media) = invite.media().filter(|_| self.described.is_some()) {
            let payload_type = self.common(invite).first().copied().unwrap_or(0);
            self.voice.speak(now, media, payload_type);
        }
    }
}
