//! The PBX's side: departments' telephones, each doing what it was told when it is called.

use std::{
    collections::{BTreeMap, VecDeque},
    net::SocketAddr,
    time::{Duration, Instant},
};

use crate::{
    carrier::Repeat,
    net::Packet,
    text::{self, Text},
    voice::Voice,
};

/// What a telephone does when it is called: each step so long after the INVITE.
pub type Manners = Vec<(Duration, Step)>;

/// One thing that a telephone does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// 180.
    Ring,
    /// 183 with a description: it plays something before it answers.
    PlayEarly,
    /// 200 with a description.
    Answer,
    /// 200 with media somewhere else.
    AnswerAt(SocketAddr),
    /// A final refusal.
    Refuse(u16),
    /// BYE.
    HangUp,
}

/// Rings after 100 ms and is answered after so many.
pub fn answers_after(ms: u64) -> Manners {
    vec![
        (Duration::from_millis(100), Step::Ring),
        (Duration::from_millis(ms), Step::Answer),
    ]
}

/// Refuses at once.
pub fn refuses(status: u16) -> Manners {
    vec![(Duration::from_millis(20), Step::Refuse(status))]
}

/// Rings and is never answered.
pub fn rings_on() -> Manners {
    vec![(Duration::from_millis(100), Step::Ring)]
}

/// The PBX with all its calls.
#[derive(Debug)]
pub struct Pbx {
    /// Its SIP address.
    pub address: SocketAddr,
    exchange: SocketAddr,
    manners: BTreeMap<String, Manners>,
    /// Its calls, in the order in which they came.
    pub calls: Vec<Telephone>,
    /// Codecs that its telephones answer with.
    pub payload_types: Vec<u8>,
}

/// One department's telephone in one call.
#[derive(Debug)]
pub struct Telephone {
    /// The INVITE it got.
    pub invite: Text,
    /// Its speech and what it hears.
    pub voice: Voice,
    /// The Reason of the CANCEL or BYE that it got.
    pub reason: String,
    name: String,
    steps: VecDeque<(Instant, Step)>,
    state: State,
    sequence: u32,
    /// Statuses that it got, as `200 BYE`.
    pub answers: Vec<String>,
}

/// Where a telephone stands.
#[derive(Debug, Clone, PartialEq, Eq)]
enum State {
    Alerting,
    /// 200 is repeated until the ACK comes.
    Answering {
        repeat: Repeat,
        ok: Vec<u8>,
    },
    Talking,
    Leaving(Repeat),
    Over(String),
}

impl Pbx {
    /// A PBX whose telephones answer by their user part.
    pub fn new(
        address: SocketAddr,
        exchange: SocketAddr,
        manners: BTreeMap<String, Manners>,
    ) -> Pbx {
        Pbx {
            address,
            exchange,
            manners,
            calls: Vec::new(),
            payload_types: vec![0, 8, 101],
        }
    }

    /// When something is due.
    pub fn next_due(&self) -> Option<Instant> {
        self.calls
            .iter()
            .flat_map(|call| [call.due(), call.voice.next_due()])
            .flatten()
            .min()
    }

    /// Does what is due.
    pub fn handle_timeout(&mut self, now: Instant) -> Vec<Packet> {
        let mut packets = Vec::new();
        for index in 0..self.calls.len() {
            while let Some(packet) = self.calls[index].voice.poll(now) {
                packets.push(packet);
            }
            while let Some((_, step)) = self.calls[index].steps.pop_front_if(|(due, _)| *due <= now)
            {
                packets.extend(self.step(now, index, step));
            }
            if self.calls[index].repeat_due().is_some_and(|due| due <= now) {
                packets.extend(self.repeat(index));
            }
        }
        packets
    }

    fn step(&mut self, now: Instant, index: usize, step: Step) -> Option<Packet> {
        if matches!(self.calls[index].state, State::Over(_)) {
            return None;
        }
        match step {
            Step::Ring => Some(self.answer(index, 180, "Ringing", "")),
            Step::PlayEarly => {
                let body = self.describe(index, None);
                self.calls[index].begin_to_speak(now);
                Some(self.answer(index, 183, "Session Progress", &body))
            }
            Step::Answer | Step::AnswerAt(_) => {
                let elsewhere = if let Step::AnswerAt(elsewhere) = step {
                    Some(elsewhere)
                } else {
                    None
                };
                let body = self.describe(index, elsewhere);
                let ok = self.answer(index, 200, "OK", &body);
                self.calls[index].begin_to_speak(now);
                self.calls[index].state = State::Answering {
                    repeat: Repeat::after(now),
                    ok: ok.payload.clone(),
                };
                Some(ok)
            }
            Step::Refuse(status) => {
                self.calls[index].state = State::Over(status.to_string());
                Some(self.answer(index, status, "Refused", ""))
            }
            Step::HangUp => Some(self.hang_up(now, index)),
        }
    }

    /// Hangs up on a call.
    pub fn hang_up(&mut self, now: Instant, index: usize) -> Packet {
        let call = &mut self.calls[index];
        call.state = State::Leaving(Repeat::after(now));
        call.sequence += 1;
        call.voice.hush();
        self.request(index, "BYE", "")
    }

    /// A re-INVITE with the same description, or with another address in it.
    pub fn reinvite(&mut self, index: usize, media: SocketAddr) -> Packet {
        self.calls[index].sequence += 1;
        let body = text::describe(media, &self.agreed(index));
        self.request(index, "INVITE", &body)
    }

    fn repeat(&mut self, index: usize) -> Option<Packet> {
        match self.calls[index].state.clone() {
            State::Answering { repeat, ok } => {
                self.calls[index].state = State::Answering {
                    repeat: repeat.again(),
                    ok: ok.clone(),
                };
                Some(Packet {
                    from: self.address,
                    to: self.exchange,
                    payload: ok,
                })
            }
            State::Leaving(repeat) => {
                self.calls[index].state = State::Leaving(repeat.again());
                Some(self.request(index, "BYE", ""))
            }
            State::Alerting | State::Talking | State::Over(_) => None,
        }
    }

    /// Takes a datagram that arrived at the PBX.
    pub fn handle(&mut self, now: Instant, packet: &Packet) -> Vec<Packet> {
        let message = Text::read(&packet.payload);
        let known = self
            .calls
            .iter()
            .position(|call| call.invite.header("Call-ID") == message.header("Call-ID"));
        match (message.status(), message.method(), known) {
            (None, "INVITE", None) => self.ring(now, message, packet.from),
            (None, "CANCEL", Some(index)) => {
                let mut packets = vec![self.respond(&message, 200, "OK", packet.from)];
                if self.calls[index].state == State::Alerting {
                    self.calls[index].reason = message.header("Reason").to_owned();
                    self.calls[index].voice.hush();
                    self.calls[index].state = State::Over("cancelled".to_owned());
                    packets.push(self.answer(index, 487, "Request Terminated", ""));
                }
                packets
            }
            (None, "ACK", Some(index)) => {
                if let State::Answering { .. } = self.calls[index].state {
                    self.calls[index].state = State::Talking;
                }
                Vec::new()
            }
            (None, "BYE", Some(index)) => {
                self.calls[index].reason = message.header("Reason").to_owned();
                self.calls[index].voice.hush();
                self.calls[index].end("was hung up on");
                vec![self.respond(&message, 200, "OK", packet.from)]
            }
            (Some(status), method, Some(index)) => {
                self.calls[index].answers.push(format!("{status} {method}"));
                match method {
                    "BYE" => self.calls[index].end("hung up"),
                    "INVITE" if status >= 200 => {
                        return vec![self.request_at(index, "ACK", message.sequence(), "ack", "")];
                    }
                    _ => {}
                }
                Vec::new()
            }
            _ => Vec::new(),
        }
    }

    fn ring(&mut self, now: Instant, invite: Text, from: SocketAddr) -> Vec<Packet> {
        let index = self.calls.len();
        let manners = self
            .manners
            .get(invite.called_user())
            .cloned()
            .unwrap_or_else(|| refuses(404));
        let port = 50_000 + 2 * u16::try_from(index).expect("few calls");
        let trying = self.respond(&invite, 100, "Trying", from);
        self.calls.push(Telephone {
            name: format!("d{index}"),
            steps: manners
                .into_iter()
                .map(|(after, step)| (now + after, step))
                .collect(),
            voice: Voice::new(SocketAddr::new(self.address.ip(), port), 2),
            state: State::Alerting,
            reason: String::new(),
            sequence: 0,
            answers: Vec::new(),
            invite,
        });
        vec![trying]
    }

    /// The codecs that both sides have, in the order of the offer.
    fn agreed(&self, index: usize) -> Vec<u8> {
        let offered = self.calls[index].invite.payload_types();
        let mut audio = offered
            .iter()
            .copied()
            .filter(|number| *number < 96 && self.payload_types.contains(number));
        let first = audio.next();
        first
            .into_iter()
            .chain(offered.iter().copied().filter(|number| *number >= 96))
            .collect()
    }

    fn describe(&self, index: usize, elsewhere: Option<SocketAddr>) -> String {
        text::describe(
            elsewhere.unwrap_or(self.calls[index].voice.local),
            &self.agreed(index),
        )
    }

    fn answer(&self, index: usize, status: u16, phrase: &str, body: &str) -> Packet {
        let call = &self.calls[index];
        let payload = text::answer(&call.invite, status, phrase, &call.name, self.address, body);
        Packet {
            from: self.address,
            to: self.exchange,
            payload,
        }
    }

    fn respond(&self, request: &Text, status: u16, phrase: &str, to: SocketAddr) -> Packet {
        let payload = text::answer(request, status, phrase, "d", self.address, "");
        Packet {
            from: self.address,
            to,
            payload,
        }
    }

    fn request(&self, index: usize, method: &str, body: &str) -> Packet {
        let sequence = self.calls[index].sequence;
        self.request_at(
            index,
            method,
            sequence,
            &format!("{method}{sequence}"),
            body,
        )
    }

    /// A request inside the dialog: our From is the To of their INVITE.
    fn request_at(
        &self,
        index: usize,
        method: &str,
        sequence: u32,
        branch: &str,
        body: &str,
    ) -> Packet {
        let call = &self.calls[index];
        let kind = if body.is_empty() {
            ""
        } else {
            "Content-Type: application/sdp\r\n"
        };
        let text = format!(
            "{method} {target} SIP/2.0\r\nVia: SIP/2.0/UDP {me};branch=z9hG4bK{name}{branch};rport\r\nMax-Forwards: 70\r\nFrom: {from};tag={name}\r\nTo: {to}\r\nCall-ID: {id}\r\nCSeq: {sequence} {method}\r\nContact: <sip:{me}>\r\n{kind}Content-Length: {length}\r\n\r\n{body}",
            target = call.invite.contact(),
            me = self.address,
            name = call.name,
            from = call.invite.header("To"),
            to = call.invite.header("From"),
            id = call.invite.header("Call-ID"),
            length = body.len(),
        );
        Packet {
            from: self.address,
            to: self.exchange,
            payload: text.into_bytes(),
        }
    }
}

impl Telephone {
    /// How it ended; empty while it has not.
    pub fn end_of_call(&self) -> &str {
        match &self.state {
            State::Over(how) => how,
            _ => "",
        }
    }

    /// Whether both sides agree that they talk.
    pub fn is_talking(&self) -> bool {
        self.state == State::Talking
    }

    fn begin_to_speak(&mut self, now: Instant) {
        if let Some(media) = self.invite.media() {
            let payload_type = self.invite.payload_types().first().copied().unwrap_or(0);
            self.voice.speak(now, media, payload_type);
        }
    }

    fn end(&mut self, how: &str) {
        if !matches!(self.state, State::Over(_)) {
            self.state = State::Over(how.to_owned());
        }
    }

    fn due(&self) -> Option<Instant> {
        let step = self.steps.front().map(|(due, _)| *due);
        [step, self.repeat_due()].into_iter().flatten().min()
    }

    fn repeat_due(&self) -> Option<Instant> {
        match &self.state {
            State::Answering { repeat, .. } | State::Leaving(repeat) => repeat.due(),
            State::Alerting | State::Talking | State::Over(_) => None,
        }
    }
}
