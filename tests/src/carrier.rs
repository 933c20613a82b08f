//! The carrier's side: citizens' telephones as its gateway shows them to us.

use std::{
    net::SocketAddr,
    time::{Duration, Instant},
};

use crate::{
    net::Packet,
    text::{self, Text},
    voice::Voice,
};

/// T1 of RFC 3261: the first repetition comes after it.
const T1: Duration = Duration::from_millis(500);
/// A telephone repeats no request more often than this.
const MOST_REPETITIONS: u32 = 7;

/// The carrier's gateway with all its calls.
#[derive(Debug)]
pub struct Carrier {
    /// Its SIP address.
    pub address: SocketAddr,
    exchange: SocketAddr,
    /// Its calls, in the order in which they were made.
    pub calls: Vec<Caller>,
    /// What the last answer to its OPTIONS said that we can do, a line for each header.
    pub answer_to_options: Vec<String>,
}

/// How a citizen calls.
#[derive(Debug, Clone)]
pub struct Dial {
    /// The number that is called, as it is written.
    pub called: String,
    /// The caller's user part.
    pub caller: String,
    /// The display name; empty for none.
    pub display: String,
    /// From, where the two do not make it; without tag.
    pub from: Option<String>,
    /// Further header lines of its INVITE.
    pub headers: Vec<String>,
    /// Payload types that are offered, in order; none: no description at all.
    pub payload_types: Vec<u8>,
    /// Where the offer wants its media; none: at the telephone itself.
    pub media: Option<SocketAddr>,
    /// What the offer says of who speaks, as `sendrecv`.
    pub direction: &'static str,
    /// How many of its ACKs are not sent.
    pub acks_missing: u32,
}

impl Dial {
    /// An ordinary call to a number.
    pub fn to(called: &str) -> Dial {
        Dial {
            called: called.to_owned(),
            caller: "0790000001".to_owned(),
            display: "テスト".to_owned(),
            from: None,
            headers: Vec::new(),
            payload_types: vec![0, 8, 101],
            media: None,
            direction: "sendrecv",
            acks_missing: 0,
        }
    }
}

/// One citizen's call.
#[derive(Debug)]
pub struct Caller {
    dial: Dial,
    name: String,
    to: String,
    contact: String,
    sequence: u32,
    state: State,
    /// Its speech and what it hears.
    pub voice: Voice,
    /// Every status it got to its INVITE, with its time.
    pub statuses: Vec<(Instant, u16)>,
    /// Statuses that it got to anything else, as `200 BYE`.
    pub other_answers: Vec<String>,
    /// The Reason of the BYE it got.
    pub reason: String,
    /// The Retry-After of a refusal.
    pub retry_after: String,
    /// The last description it got.
    pub description: String,
    acks_missing: u32,
}

/// Where a caller stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum State {
    /// Its INVITE is repeated.
    Inviting(Repeat),
    /// A provisional answer came.
    Proceeding,
    /// It wants out: CANCEL is sent.
    Cancelling(Repeat),
    /// It is answered.
    Answered,
    /// It has said BYE.
    Leaving(Repeat),
    /// It is over, and how: `487`, `hung up`, `was hung up on`.
    Over(String),
}

/// When a request is repeated.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Repeat {
    at: Instant,
    interval: Duration,
    count: u32,
}

impl Repeat {
    /// The first repetition comes after T1.
    pub fn after(now: Instant) -> Repeat {
        Repeat {
            at: now + T1,
            interval: T1,
            count: 0,
        }
    }

    /// When it is due; none once it was repeated often enough.
    pub fn due(&self) -> Option<Instant> {
        (self.count < MOST_REPETITIONS).then_some(self.at)
    }

    /// The next, twice as late.
    pub fn again(&self) -> Repeat {
        let interval = (self.interval * 2).min(Duration::from_secs(4));
        Repeat {
            at: self.at + interval,
            interval,
            count: self.count + 1,
        }
    }
}

impl Carrier {
    /// A gateway without calls.
    pub fn new(address: SocketAddr, exchange: SocketAddr) -> Carrier {
        Carrier {
            address,
            exchange,
            calls: Vec::new(),
            answer_to_options: Vec::new(),
        }
    }

    /// Places a call; returns its index and its INVITE.
    pub fn dial(&mut self, now: Instant, dial: Dial) -> (usize, Packet) {
        let index = self.calls.len();
        let port = 40_000 + 2 * u16::try_from(index).expect("few calls");
        let voice = Voice::new(SocketAddr::new(self.address.ip(), port), 1);
        let acks_missing = dial.acks_missing;
        let caller = Caller {
            to: format!("<sip:{}@{}>", dial.called, self.exchange.ip()),
            dial,
            name: format!("c{index}"),
            contact: String::new(),
            sequence: 1,
            state: State::Inviting(Repeat::after(now)),
            voice,
            statuses: Vec::new(),
            other_answers: Vec::new(),
            reason: String::new(),
            retry_after: String::new(),
            description: String::new(),
            acks_missing,
        };
        self.calls.push(caller);
        let invite = self.invite(index);
        (index, invite)
    }

    /// The INVITE of a call, for the first time or again.
    pub fn invite(&self, index: usize) -> Packet {
        let caller = &self.calls[index];
        let media = caller.dial.media.unwrap_or(caller.voice.local);
        let body = if caller.dial.payload_types.is_empty() {
            String::new()
        } else {
            let body = text::describe(media, &caller.dial.payload_types);
            body.replace("sendrecv", caller.dial.direction)
        };
        self.request(index, "INVITE", 1, "invite", &body)
    }

    /// Gives up before an answer.
    pub fn cancel(&mut self, now: Instant, index: usize) -> Packet {
        self.calls[index].state = State::Cancelling(Repeat::after(now));
        self.request(index, "CANCEL", 1, "invite", "")
    }

    /// A CANCEL without giving up: what a gateway sends whose CANCEL was overtaken.
    pub fn cancel_too_late(&self, index: usize) -> Packet {
        self.request(index, "CANCEL", 1, "invite", "")
    }

    /// Hangs up.
    pub fn hang_up(&mut self, now: Instant, index: usize) -> Packet {
        self.calls[index].sequence += 1;
        self.calls[index].state = State::Leaving(Repeat::after(now));
        self.calls[index].voice.hush();
        self.bye(index)
    }

    /// A re-INVITE; the same description, or another address in it.
    pub fn reinvite(&mut self, index: usize, media: SocketAddr) -> Packet {
        let caller = &mut self.calls[index];
        caller.sequence += 1;
        let body = text::describe(media, &caller.dial.payload_types);
        let sequence = caller.sequence;
        self.request(index, "INVITE", sequence, &format!("re{sequence}"), &body)
    }

    /// OPTIONS outside of any call, as a dispatcher sends it.
    pub fn options(&self) -> Packet {
        let text = format!(
            "OPTIONS sip:{to} SIP/2.0\r\nVia: SIP/2.0/UDP {from};branch=z9hG4bKoptions1;rport\r\nMax-Forwards: 70\r\nFrom: <sip:ping@{from}>;tag=ping\r\nTo: <sip:{to}>\r\nCall-ID: ping1\r\nCSeq: 1 OPTIONS\r\nContent-Length: 0\r\n\r\n",
            to = self.exchange,
            from = self.address,
        );
        Packet {
            from: self.address,
            to: self.exchange,
            payload: text.into_bytes(),
        }
    }

    /// One INVITE of a flood, each a call of its own that nobody waits for.
    pub fn flood(&self, called: &str, drop: usize) -> Packet {
        let text = format!(
            "INVITE sip:{called}@{to} SIP/2.0\r\nVia: SIP/2.0/UDP {from};branch=z9hG4bKflood{drop};rport\r\nMax-Forwards: 70\r\nFrom: <sip:0790000001@{from}>;tag=f{drop}\r\nTo: <sip:{called}@{to}>\r\nCall-ID: flood{drop}\r\nCSeq: 1 INVITE\r\nContact: <sip:{from}>\r\nContent-Length: 0\r\n\r\n",
            to = self.exchange,
            from = self.address,
        );
        Packet {
            from: self.address,
            to: self.exchange,
            payload: text.into_bytes(),
        }
    }

    fn bye(&self, index: usize) -> Packet {
        self.request(index, "BYE", self.calls[index].sequence, "bye", "")
    }

    fn request(
        &self,
        index: usize,
        method: &str,
        sequence: u32,
        branch: &str,
        body: &str,
    ) -> Packet {
        let caller = &self.calls[index];
        let (from, name) = (self.address, &caller.name);
        let target = if caller.contact.is_empty() || branch == "invite" {
            format!("sip:{}@{}", caller.dial.called, self.exchange)
        } else {
            caller.contact.clone()
        };
        let display = if caller.dial.display.is_empty() {
            String::new()
        } else {
            format!("\"{}\" ", caller.dial.display)
        };
        let kind = if body.is_empty() {
            ""
        } else {
            "Content-Type: application/sdp\r\n"
        };
        let (user, host) = (&caller.dial.caller, from.ip());
        let party = match &caller.dial.from {
            Some(party) => party.clone(),
            None => format!("{display}<sip:{user}@{host}>"),
        };
        let headers: String = match method {
            "INVITE" => caller
                .dial
                .headers
                .iter()
                .map(|line| format!("{line}\r\n"))
                .collect(),
            _ => String::new(),
        };
        let text = format!(
            "{method} {target} SIP/2.0\r\nVia: SIP/2.0/UDP {from};branch=z9hG4bK{name}{branch};rport\r\nMax-Forwards: 70\r\nFrom: {party};tag={name}\r\nTo: {to}\r\nCall-ID: {name}@{host}\r\nCSeq: {sequence} {method}\r\nContact: <sip:{user}@{from}>\r\n{headers}{kind}Content-Length: {length}\r\n\r\n{body}",
            to = caller.to,
            length = body.len(),
        );
        Packet {
            from,
            to: self.exchange,
            payload: text.into_bytes(),
        }
    }

    /// When something is due.
    pub fn next_due(&self) -> Option<Instant> {
        self.calls
            .iter()
            .flat_map(|caller| [caller.due(), caller.voice.next_due()])
            .flatten()
            .min()
    }

    /// Sends what is due.
    pub fn handle_timeout(&mut self, now: Instant) -> Vec<Packet> {
        let mut packets = Vec::new();
        for index in 0..self.calls.len() {
            while let Some(packet) = self.calls[index].voice.poll(now) {
                packets.push(packet);
            }
            if self.calls[index].due().is_some_and(|due| due <= now) {
                packets.extend(self.repeat(index));
            }
        }
        packets
    }

    fn repeat(&mut self, index: usize) -> Option<Packet> {
        let (state, packet) = match &self.calls[index].state {
            State::Inviting(repeat) => (State::Inviting(repeat.again()), self.invite(index)),
            State::Cancelling(repeat) => (
                State::Cancelling(repeat.again()),
                self.cancel_too_late(index),
            ),
            State::Leaving(repeat) => (State::Leaving(repeat.again()), self.bye(index)),
            State::Proceeding | State::Answered | State::Over(_) => return None,
        };
        self.calls[index].state = state;
        Some(packet)
    }

    /// Takes a datagram that arrived at the gateway.
    pub fn handle(&mut self, now: Instant, packet: &Packet) -> Vec<Packet> {
        let message = Text::read(&packet.payload);
        let Some(index) = self.calls.iter().position(|caller| {
            message
                .header("Call-ID")
                .starts_with(&format!("{}@", caller.name))
        }) else {
            self.answer_to_options = ["Allow", "Accept"]
                .into_iter()
                .flat_map(|name| {
                    message
                        .all(name)
                        .into_iter()
                        .map(move |value| (name, value))
                })
                .map(|(name, value)| format!("{name}: {value}"))
                .collect();
            if let (Some(status), Some(caller)) = (message.status(), self.calls.first_mut()) {
                caller
                    .other_answers
                    .push(format!("{status} {}", message.method()));
            }
            return Vec::new();
        };
        match (message.status(), message.method()) {
            (Some(status), "INVITE") if message.sequence() == 1 => {
                self.handle_invite_answer(now, index, status, &message)
            }
            (Some(status), method) => self.handle_other_answer(index, status, method, &message),
            (None, "BYE") => {
                let caller = &mut self.calls[index];
                caller.reason = message.header("Reason").to_owned();
                caller.voice.hush();
                caller.end("was hung up on");
                let answer = text::answer(&message, 200, "OK", "", self.address, "");
                vec![Packet {
                    from: self.address,
                    to: packet.from,
                    payload: answer,
                }]
            }
            (None, _) => Vec::new(),
        }
    }

    fn handle_invite_answer(
        &mut self,
        now: Instant,
        index: usize,
        status: u16,
        message: &Text,
    ) -> Vec<Packet> {
        let caller = &mut self.calls[index];
        caller.statuses.push((now, status));
        if let Some(media) = message.media() {
            caller.description.clone_from(&message.body);
            let payload_type = message.payload_types().first().copied().unwrap_or(0);
            if matches!(status, 183 | 180 | 200) && !matches!(caller.state, State::Over(_)) {
                caller.voice.speak(now, media, payload_type);
            }
        }
        match status {
            100..=199 => {
                if matches!(caller.state, State::Inviting(_)) {
                    caller.state = State::Proceeding;
                }
                Vec::new()
            }
            200..=299 => {
                caller.to = message.header("To").to_owned();
                caller.contact = message.contact();
                let was = caller.state.clone();
                let mut packets = self.acknowledge(index);
                match was {
                    State::Cancelling(_) => packets.push(self.hang_up(now, index)),
                    State::Inviting(_) | State::Proceeding => {
                        self.calls[index].state = State::Answered;
                    }
                    State::Answered | State::Leaving(_) | State::Over(_) => {}
                }
                packets
            }
            _ => {
                // The ACK of a refusal belongs to the INVITE's transaction and carries the To of the answer.
                let own_to = std::mem::replace(&mut caller.to, message.header("To").to_owned());
                caller.retry_after = message.header("Retry-After").to_owned();
                caller.voice.hush();
                caller.end(&status.to_string());
                let ack = self.request(index, "ACK", 1, "invite", "");
                self.calls[index].to = own_to;
                vec![ack]
            }
        }
    }

    /// The ACK of a 200, unless this one is to be missing.
    fn acknowledge(&mut self, index: usize) -> Vec<Packet> {
        if self.calls[index].acks_missing > 0 {
            self.calls[index].acks_missing -= 1;
            return Vec::new();
        }
        vec![self.request(index, "ACK", 1, "ack", "")]
    }

    fn handle_other_answer(
        &mut self,
        index: usize,
        status: u16,
        method: &str,
        message: &Text,
    ) -> Vec<Packet> {
        self.calls[index]
            .other_answers
            .push(format!("{status} {method}"));
        match method {
            "BYE" => self.calls[index].end("hung up"),
            "INVITE" if status >= 200 => {
                self.calls[index].description.clone_from(&message.body);
                let branch = if status < 300 {
                    "reack".to_owned()
                } else {
                    format!("re{}", message.sequence())
                };
                return vec![self.request(index, "ACK", message.sequence(), &branch, "")];
            }
            _ => {}
        }
        Vec::new()
    }
}

impl Caller {
    /// Where it stands.
    pub fn state(&self) -> &State {
        &self.state
    }

    /// How it ended; empty while it has not.
    pub fn end_of_call(&self) -> &str {
        match &self.state {
            State::Over(how) => how,
            _ => "",
        }
    }

    /// Whether a status came to its INVITE.
    pub fn got(&self, status: u16) -> bool {
        self.statuses.iter().any(|(_, got)| *got == status)
    }

    fn end(&mut self, how: &str) {
        if !matches!(self.state, State::Over(_)) {
            self.state = State::Over(how.to_owned());
        }
    }

    fn due(&self) -> Option<Instant> {
        match &self.state {
            State::Inviting(repeat) | State::Cancelling(repeat) | State::Leaving(repeat) => {
                repeat.due()
            }
            State::Proceeding | State::Answered | State::Over(_) => None,
        }
    }
}
