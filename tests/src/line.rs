//! A telephone that does only what a scenario tells it: it calls and is called, at the carrier's side or the PBX's.
//!
//! By itself it acknowledges answers, answers BYE, CANCEL and PRACK, and says 100 when it is called. Everything else is the scenario's.

use std::{
    net::SocketAddr,
    time::{Duration, Instant},
};

use crate::{
    net::Packet,
    text::{self, Text},
    voice::Voice,
};

/// A line; see the module.
#[derive(Debug)]
pub struct Line {
    /// Its SIP address: that of the peer it belongs to.
    pub address: SocketAddr,
    exchange: SocketAddr,
    name: String,
    user: String,
    call_id: String,
    /// From of what it sends, without tag where none is known yet.
    local: String,
    /// To of what it sends.
    remote: String,
    target: String,
    sequence: u32,
    /// The sequence number of its last INVITE.
    invited: u32,
    /// The INVITE that began the call, its own or ours.
    pub invite: Option<Text>,
    /// Its speech and what it hears.
    pub voice: Voice,
    /// Everything it got, with the time.
    pub got: Vec<(Instant, Text)>,
    /// What it says in the body of the ACK of the next 200 to an INVITE.
    pub ack_body: String,
    /// Whether it acknowledges a 2xx by itself.
    pub acknowledges: bool,
    /// Whether it answers PRACK and UPDATE without a description, and an INVITE inside the call that is cancelled, by itself.
    pub is_polite: bool,
    /// To of its INVITE, where it is not the called number.
    pub writes_to: Option<String>,
    /// Whether not even 100 says that it got a call.
    pub is_mute: bool,
    /// The version of its last description.
    pub version: u64,
    state: State,
}

/// Where a line stands.
#[derive(Debug, Clone, PartialEq, Eq)]
enum State {
    /// It waits to be called.
    Waiting,
    /// It is called, and has not answered; or it calls, and is not answered.
    Open,
    /// The call is over, and how.
    Over(String),
}

/// What a request or answer carries besides what every one has.
#[derive(Debug, Clone, Default)]
pub struct Extra {
    /// Header lines.
    pub headers: Vec<String>,
    /// The body.
    pub body: String,
    /// Its type; empty: `application/sdp`.
    pub kind: &'static str,
}

impl Extra {
    /// A body, and no header.
    pub fn body(body: impl Into<String>) -> Extra {
        Extra {
            body: body.into(),
            ..Extra::default()
        }
    }

    /// A header line, and no body.
    pub fn header(line: impl Into<String>) -> Extra {
        Extra {
            headers: vec![line.into()],
            ..Extra::default()
        }
    }

    /// With one more header line.
    #[must_use]
    pub fn and(mut self, line: impl Into<String>) -> Extra {
        self.headers.push(line.into());
        self
    }
}

impl Line {
    pub(crate) fn new(
        index: usize,
        address: SocketAddr,
        exchange: SocketAddr,
        user: &str,
        side: u8,
    ) -> Line {
        let port = 45_000 + 2 * u16::try_from(index).expect("few lines");
        Line {
            address,
            exchange,
            name: format!("l{index}"),
            user: user.to_owned(),
            call_id: String::new(),
            local: String::new(),
            remote: String::new(),
            target: String::new(),
            sequence: 0,
            invited: 0,
            invite: None,
            voice: Voice::new(SocketAddr::new(address.ip(), port), side),
            got: Vec::new(),
            ack_body: String::new(),
            acknowledges: true,
            is_polite: true,
            is_mute: false,
            writes_to: None,
            version: 0,
            state: State::Waiting,
        }
    }

    // What it says.

    /// Calls a number.
    pub(crate) fn call(&mut self, called: &str, extra: &Extra) -> Packet {
        self.state = State::Open;
        self.call_id = format!("{}@line", self.name);
        self.local = format!(
            "<sip:{}@{}>;tag={}",
            self.user,
            self.address.ip(),
            self.name
        );
        self.remote = match &self.writes_to {
            Some(to) => to.clone(),
            None => format!("<sip:{called}@{}>", self.exchange.ip()),
        };
        self.target = format!("sip:{called}@{}", self.exchange);
        let packet = self.request("INVITE", extra);
        self.invite = Some(Text::read(&packet.payload));
        packet
    }

    /// A request inside the call, or the one that begins it.
    pub fn request(&mut self, method: &str, extra: &Extra) -> Packet {
        self.sequence += 1;
        match method {
            "BYE" => self.voice.hush(),
            "INVITE" => self.invited = self.sequence,
            _ => {}
        }
        self.write(
            method,
            self.sequence,
            &format!("{method}{}", self.sequence),
            extra,
        )
    }

    /// Gives up the INVITE that it sent last.
    pub fn cancel(&mut self, extra: &Extra) -> Packet {
        let sequence = self.invited;
        let branch = format!("INVITE{sequence}");
        self.write("CANCEL", sequence, &branch, extra)
    }

    /// The ACK of the last 200 to an INVITE of its own.
    pub fn acknowledge(&mut self, sequence: u32, body: String) -> Packet {
        let extra = Extra::body(body);
        self.write("ACK", sequence, &format!("ack{sequence}"), &extra)
    }

    /// Acknowledges a reliable provisional answer.
    pub fn prack(&mut self, answer: &Text, body: &str) -> Packet {
        let rack = format!("RAck: {} {}", answer.header("RSeq"), answer.header("CSeq"));
        let extra = Extra::header(rack);
        let body = body.to_owned();
        self.request("PRACK", &Extra { body, ..extra })
    }

    /// An answer to the last request of this method that it got.
    pub fn answer(&mut self, method: &str, status: u16, extra: &Extra) -> Packet {
        let request = self.last(method).expect("it got such a request").clone();
        if method == "INVITE" && status >= 300 && self.is_first_invite(&request) {
            self.end(&status.to_string());
        }
        self.answer_to(&request, status, extra)
    }

    fn is_first_invite(&self, request: &Text) -> bool {
        self.invite.as_ref().is_some_and(|first| {
            first.sequence() == request.sequence() && first.header("From") == request.header("From")
        })
    }

    fn answer_to(&self, request: &Text, status: u16, extra: &Extra) -> Packet {
        let kind = if extra.kind.is_empty() {
            "application/sdp"
        } else {
            extra.kind
        };
        let payload = text::answer_with(
            request,
            status,
            "Answer",
            &self.name,
            self.address,
            &extra.headers,
            kind,
            &extra.body,
        );
        Packet {
            from: self.address,
            to: self.exchange,
            payload,
        }
    }

    fn write(&self, method: &str, sequence: u32, branch: &str, extra: &Extra) -> Packet {
        let (me, name) = (self.address, &self.name);
        let kind = match (extra.body.is_empty(), extra.kind) {
            (true, _) => String::new(),
            (false, "") => "Content-Type: application/sdp\r\n".to_owned(),
            (false, kind) => format!("Content-Type: {kind}\r\n"),
        };
        let headers: String = extra
            .headers
            .iter()
            .map(|line| format!("{line}\r\n"))
            .collect();
        let text = format!(
            "{method} {target} SIP/2.0\r\nVia: SIP/2.0/UDP {me};branch=z9hG4bK{name}{branch};rport\r\nMax-Forwards: 70\r\nFrom: {from}\r\nTo: {to}\r\nCall-ID: {id}\r\nCSeq: {sequence} {method}\r\nContact: <sip:{user}@{me}>\r\n{headers}{kind}Content-Length: {length}\r\n\r\n{body}",
            target = self.target,
            from = self.local,
            to = self.remote,
            id = self.call_id,
            user = self.user,
            length = extra.body.len(),
            body = extra.body,
        );
        Packet {
            from: me,
            to: self.exchange,
            payload: text.into_bytes(),
        }
    }

    /// Its description, one version later: both codecs, keypad events, this direction.
    pub fn describe(&mut self, direction: &str) -> String {
        self.version += 1;
        self.describe_again(direction, &[0, 8, 101])
    }

    /// Its description in the version it had, with these payload types.
    pub fn describe_again(&self, direction: &str, payload_types: &[u8]) -> String {
        text::describe(self.voice.local, payload_types)
            .replace("o=phone 1 1", &format!("o=phone 1 {}", self.version))
            .replace("sendrecv", direction)
    }

    // What it hears.

    pub(crate) fn is_called(&self, message: &Text) -> bool {
        match self.state {
            State::Waiting => message.method() == "INVITE" && message.called_user() == self.user,
            State::Open | State::Over(_) => message.header("Call-ID") == self.call_id,
        }
    }

    pub(crate) fn handle(&mut self, now: Instant, message: Text) -> Vec<Packet> {
        let mut packets = Vec::new();
        match (message.status(), message.method()) {
            (None, method) => packets.extend(self.handle_request(method, &message)),
            (Some(status), "INVITE") if status >= 200 => {
                packets.extend(self.handle_final(status, &message));
            }
            (Some(_), "BYE") => self.end("hung up"),
            (Some(_), _) => {
                // An early dialog: what is sent in it carries the tag of the answer.
                if message.header("To").contains(";tag=") && !self.remote.contains(";tag=") {
                    self.remote = message.header("To").to_owned();
                    self.target = message.contact();
                }
            }
        }
        self.got.push((now, message));
        packets
    }

    fn handle_request(&mut self, method: &str, message: &Text) -> Vec<Packet> {
        let nothing = Extra::default();
        match method {
            "INVITE" if self.state == State::Waiting => {
                self.state = State::Open;
                self.call_id = message.header("Call-ID").to_owned();
                self.local = format!("{};tag={}", message.header("To"), self.name);
                self.remote = message.header("From").to_owned();
                self.target = message.contact();
                self.invite = Some(message.clone());
                if self.is_mute {
                    return Vec::new();
                }
                vec![self.answer_to(message, 100, &nothing)]
            }
            "BYE" => {
                self.end("was hung up on");
                self.voice.hush();
                vec![self.answer_to(message, 200, &nothing)]
            }
            "CANCEL" if !self.is_first_invite(message) => {
                let asked = self.last("INVITE").filter(|_| self.is_polite);
                let refusal = asked.map(|asked| self.answer_to(asked, 487, &nothing));
                let done = self.answer_to(message, 200, &nothing);
                [done].into_iter().chain(refusal).collect()
            }
            "CANCEL" => {
                let mut packets = vec![self.answer_to(message, 200, &nothing)];
                if self.state == State::Open
                    && let Some(invite) = &self.invite
                {
                    packets.push(self.answer_to(invite, 487, &nothing));
                }
                self.end("cancelled");
                packets
            }
            "NOTIFY" if self.is_polite => vec![self.answer_to(message, 200, &nothing)],
            "PRACK" | "UPDATE" if self.is_polite && message.body.is_empty() => {
                vec![self.answer_to(message, 200, &nothing)]
            }
            _ => Vec::new(),
        }
    }

    fn handle_final(&mut self, status: u16, message: &Text) -> Vec<Packet> {
        let sequence = message.sequence();
        let is_first = self.is_first_invite(message);
        if status < 300 {
            self.remote = message.header("To").to_owned();
            self.target = message.contact();
            if !self.acknowledges {
                return Vec::new();
            }
            let body = std::mem::take(&mut self.ack_body);
            return vec![self.acknowledge(sequence, body)];
        }
        // The ACK of a refusal belongs to the INVITE's transaction and carries the To of the answer.
        let own = std::mem::replace(&mut self.remote, message.header("To").to_owned());
        let ack = self.write(
            "ACK",
            sequence,
            &format!("INVITE{sequence}"),
            &Extra::default(),
        );
        self.remote = own;
        if is_first {
            self.voice.hush();
            self.end(&status.to_string());
        }
        vec![ack]
    }

    /// Begins to speak to where the last description it got says.
    pub fn speak(&mut self, now: Instant) {
        let described = self.got.iter().rev().find_map(|(_, message)| {
            Some((message.media()?, message.payload_types().first().copied()?))
        });
        let (media, payload_type) = described.expect("it got a description");
        self.voice.speak(now, media, payload_type);
    }

    /// The last request of a method that it got.
    pub fn last(&self, method: &str) -> Option<&Text> {
        let mut got = self.got.iter().rev().map(|(_, message)| message);
        got.find(|message| message.status().is_none() && message.method() == method)
    }

    /// The last answer with this status to this method.
    pub fn answered(&self, status: u16, method: &str) -> Option<&Text> {
        let mut got = self.got.iter().rev().map(|(_, message)| message);
        got.find(|message| message.status() == Some(status) && message.method() == method)
    }

    /// Everything it got, in words: `INVITE (sdp)`, `200 BYE`.
    pub fn heard(&self) -> Vec<String> {
        let words = self.got.iter().map(|(_, message)| {
            let sdp = if message.body.starts_with("v=0") {
                " (sdp)"
            } else {
                ""
            };
            match message.status() {
                Some(status) => format!("{status} {}{sdp}", message.method()),
                None => format!("{}{sdp}", message.method()),
            }
        });
        words.collect()
    }

    /// How often it got this, in the words of [`Line::heard`].
    pub fn count(&self, words: &str) -> usize {
        self.heard().iter().filter(|heard| *heard == words).count()
    }

    /// How it ended; empty while it has not. A line that was never called has nothing to end.
    pub fn end_of_call(&self) -> &str {
        match &self.state {
            State::Over(how) => how,
            State::Open => "",
            State::Waiting => "never called",
        }
    }

    /// Its dialog as a Replaces names it to us: our tag first.
    pub fn replaces(&self) -> String {
        let tag = |party: &str| {
            let (_, tag) = party.split_once(";tag=").unwrap_or_default();
            tag.to_owned()
        };
        format!(
            "{};to-tag={};from-tag={}",
            self.call_id,
            tag(&self.remote),
            tag(&self.local)
        )
    }

    /// How long after another moment it got this for the first time.
    pub fn when(&self, words: &str) -> Option<Instant> {
        let index = self.heard().iter().position(|heard| heard == words)?;
        Some(self.got[index].0)
    }

    fn end(&mut self, how: &str) {
        if self.state == State::Open {
            self.state = State::Over(how.to_owned());
        }
    }

    /// When it speaks next.
    pub(crate) fn next_due(&self) -> Option<Instant> {
        self.voice.next_due()
    }
}

/// Whether two moments lie this near to each other.
pub fn is_near(one: Instant, other: Instant, within: Duration) -> bool {
    one.max(other).duration_since(one.min(other)) <= within
}
