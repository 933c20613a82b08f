//! A telephone that lives by itself: it repeats what is not answered, answers what it is asked, and does what its agenda says.
//!
//! Unlike a [`Line`](crate::line::Line) it needs nobody to drive it, so that hundreds of them can be thrown into a storm. It speaks its
//! SIP with nothing of `sip-core`. Start at [`Phone::dial`] and [`Phone::ring`]; what it writes stands in `phone/letter.rs`.

mod letter;
#[cfg(test)]
mod tests;

use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
    time::{Duration, Instant},
};

use crate::{carrier::Repeat, net::Packet, text::Text, voice::Voice};

/// 64*T1: nobody waits longer for an answer.
const LAST: Duration = Duration::from_secs(32);

/// What a telephone is like.
#[derive(Debug, Clone)]
pub struct Habits {
    /// What it says of 100rel.
    pub reliable: Reliable,
    /// How long it takes to acknowledge a reliable provisional answer.
    pub pracks_after: Duration,
    /// When it offers.
    pub offer: OfferTime,
    /// Whether it says that it takes UPDATE.
    pub allows_update: bool,
    /// The session interval that it asks for, in seconds.
    pub interval_s: Option<u32>,
    /// Its codecs, the best first.
    pub payload_types: Vec<u8>,
    /// What it answers to an offer in the middle of a call.
    pub change: u16,
    /// Header lines of its INVITE.
    pub headers: Vec<String>,
    /// The display name of its From.
    pub display: String,
    /// How long it speaks.
    pub speaks: Duration,
}

/// Whether a telephone takes reliable provisional answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reliable {
    /// It says nothing.
    No,
    /// It supports them.
    Supported,
    /// It requires them.
    Required,
}

/// When a caller describes its media.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OfferTime {
    /// In its INVITE.
    AtOnce,
    /// In its ACK or PRACK: the called one offers.
    Later,
}

impl Default for Habits {
    fn default() -> Self {
        Habits {
            reliable: Reliable::No,
            pracks_after: Duration::ZERO,
            offer: OfferTime::AtOnce,
            allows_update: true,
            interval_s: None,
            payload_types: vec![0, 8, 101],
            change: 200,
            headers: Vec::new(),
            display: String::new(),
            speaks: Duration::from_secs(2),
        }
    }
}

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
    /// The PRACK of the answer that this `RAck` names, with this body.
    Prack(String, String),
    /// BYE; before an answer, what ends the call there.
    HangUp,
    /// It speaks on to whom it spoke.
    Speak,
    /// It stops speaking.
    Hush,
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

/// Where it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Stage {
    /// Its INVITE is on the way; nothing came.
    Inviting,
    /// A provisional answer came.
    Proceeding,
    /// It wants out: CANCEL is sent, or waits for a provisional answer.
    Cancelling,
    /// It is called and has not answered.
    Alerting,
    /// It is answered, or has answered.
    Talking,
    /// It has said BYE.
    Leaving,
    /// It is over, and how.
    Over(String),
}

/// A request of its own that waits for an answer.
#[derive(Debug)]
struct Client {
    branch: String,
    method: String,
    payload: Vec<u8>,
    repeat: Option<Repeat>,
    until: Option<Instant>,
}

/// An answer of its own that is repeated until somebody acknowledges it.
#[derive(Debug)]
struct Waiting {
    /// ACK or PRACK.
    what: &'static str,
    sequence: u32,
    payload: Vec<u8>,
    repeat: Repeat,
    until: Instant,
}

/// A telephone; see the module.
#[derive(Debug)]
pub struct Phone {
    /// Which of the city's.
    pub index: usize,
    /// Its SIP address: that of the peer it belongs to.
    pub address: SocketAddr,
    exchange: SocketAddr,
    /// Its name: in its tags, branches and Call-ID.
    pub name: String,
    /// Its user part.
    pub user: String,
    /// The number that it called, or that called it by.
    pub called: String,
    /// What it is like.
    pub habits: Habits,
    /// Its speech and what it hears.
    pub voice: Voice,
    /// The INVITE that began its call.
    pub invite: Text,
    /// Everything that happened, in words: `> INVITE`, `< 200 INVITE`.
    pub log: Vec<(Instant, String)>,
    /// The last direction that both sides agreed on, as it sees it.
    pub direction: &'static str,
    stage: Stage,
    call_id: String,
    local: String,
    remote: String,
    target: String,
    sequence: u32,
    remote_sequence: u32,
    reliable_sequence: u32,
    /// Its reliable answers that no PRACK has named.
    unpracked: BTreeSet<u32>,
    version: u64,
    clients: Vec<Client>,
    waiting: Vec<Waiting>,
    answers: BTreeMap<(String, String), Vec<u8>>,
    acknowledgements: BTreeMap<u32, Vec<u8>>,
    agenda: BTreeMap<(Instant, u64), Act>,
    acts: u64,
    offered: Option<&'static str>,
    /// What it has answered to the INVITE's offer, so that a 200 repeats it.
    described: Option<String>,
}

impl Waiting {
    /// Whether a 2xx has to wait for it: an offer or an answer stands in it.
    fn holds_answer(&self) -> bool {
        self.what == "PRACK"
            && self
                .payload
                .windows(7)
                .any(|octets| octets == b"\r\n\r\nv=0")
    }
}

impl Phone {
    /// A telephone that calls a number; returns it with its INVITE.
    pub fn dial(
        now: Instant,
        index: usize,
        from: SocketAddr,
        exchange: SocketAddr,
        user: &str,
        called: &str,
        habits: Habits,
    ) -> (Phone, Packet) {
        let mut phone = Phone::new(index, from, exchange, user, called, habits);
        phone.call_id = format!("{}@storm", phone.name);
        let display = match phone.habits.display.as_str() {
            "" => String::new(),
            display => format!("\"{display}\" "),
        };
        phone.local = format!("{display}<sip:{user}@{}>;tag={}", from.ip(), phone.name);
        phone.remote = format!("<sip:{called}@{}>", exchange.ip());
        phone.target = format!("sip:{called}@{exchange}");
        let body = match phone.habits.offer {
            OfferTime::AtOnce => phone.offer("sendrecv"),
            OfferTime::Later => String::new(),
        };
        let headers = phone.headers_of_invite();
        let packet = phone.request(now, "INVITE", &headers, "application/sdp", &body);
        phone.invite = Text::read(&packet.payload);
        // Nobody rings for more than three minutes.
        phone.plan(now + Duration::from_secs(185), Act::Cancel);
        (phone, packet)
    }

    /// A telephone that is called.
    pub fn ring(
        now: Instant,
        index: usize,
        at: SocketAddr,
        exchange: SocketAddr,
        invite: &Text,
        habits: Habits,
    ) -> Phone {
        let user = invite.called_user().to_owned();
        let mut phone = Phone::new(index, at, exchange, &user, &user, habits);
        phone.call_id = invite.header("Call-ID").to_owned();
        phone.local = format!("{};tag={}", invite.header("To"), phone.name);
        phone.remote = invite.header("From").to_owned();
        phone.target = invite.contact();
        phone.remote_sequence = invite.sequence();
        phone.invite = invite.clone();
        phone.stage = Stage::Alerting;
        phone.note(now, format!("< INVITE{}", described(invite)));
        phone
    }

    /// Its 100, so that it is not called again and again.
    pub fn trying(&mut self, now: Instant) -> Packet {
        self.answer_invite(now, 100, &[], "")
    }

    fn new(
        index: usize,
        address: SocketAddr,
        exchange: SocketAddr,
        user: &str,
        called: &str,
        habits: Habits,
    ) -> Phone {
        let port = 30_000 + 2 * u16::try_from(index % 15_000).expect("below 15,000");
        let side = if address.port() == 5062 { 2 } else { 1 };
        Phone {
            index,
            address,
            exchange,
            name: format!("p{index}"),
            user: user.to_owned(),
            called: called.to_owned(),
            habits,
            voice: Voice::new(SocketAddr::new(address.ip(), port), side),
            invite: Text::read(b"NONE\r\n\r\n"),
            log: Vec::new(),
            direction: "sendrecv",
            stage: Stage::Inviting,
            call_id: String::new(),
            local: String::new(),
            remote: String::new(),
            target: String::new(),
            sequence: 0,
            remote_sequence: 0,
            reliable_sequence: 0,
            unpracked: BTreeSet::new(),
            version: 0,
            clients: Vec::new(),
            waiting: Vec::new(),
            answers: BTreeMap::new(),
            acknowledgements: BTreeMap::new(),
            agenda: BTreeMap::new(),
            acts: 0,
            offered: None,
            described: None,
        }
    }

    /// Puts something into its agenda.
    pub fn plan(&mut self, at: Instant, act: Act) {
        self.acts += 1;
        self.agenda.insert((at, self.acts), act);
    }

    // What can be seen.

    /// Where it stands.
    pub fn stage(&self) -> &Stage {
        &self.stage
    }

    /// How its call ended; empty while it has not.
    pub fn end_of_call(&self) -> &str {
        match &self.stage {
            Stage::Over(how) => how,
            _ => "",
        }
    }

    /// The Call-ID of its call.
    pub fn call_id(&self) -> &str {
        &self.call_id
    }

    /// Its dialog as a Replaces names it to whoever it talks with: their tag is `to-tag` (RFC 3891 section 3).
    pub fn replaces(&self) -> String {
        let tag = |party: &str| {
            let (_, tag) = party.split_once(";tag=").unwrap_or_default();
            tag.split(';').next().unwrap_or_default().to_owned()
        };
        let (theirs, own) = (tag(&self.remote), tag(&self.local));
        format!("{};to-tag={theirs};from-tag={own}", self.call_id)
    }

    /// Whether it waits for the answer to the INVITE of its call.
    fn is_calling(&self) -> bool {
        matches!(
            self.stage,
            Stage::Inviting | Stage::Proceeding | Stage::Cancelling
        )
    }

    /// Whether a message belongs to its call.
    pub fn is_mine(&self, message: &Text) -> bool {
        message.header("Call-ID") == self.call_id
    }

    /// Whether it did or got this, in the words of its log.
    pub fn has(&self, words: &str) -> bool {
        self.log.iter().any(|(_, entry)| entry == words)
    }

    /// When it did or got this for the first time.
    pub fn when(&self, words: &str) -> Option<Instant> {
        let entry = self.log.iter().find(|(_, entry)| entry == words);
        entry.map(|(at, _)| *at)
    }

    /// Whether nothing of its own waits for an answer.
    pub fn is_quiet(&self) -> bool {
        self.clients.is_empty() && self.waiting.is_empty()
    }

    fn note(&mut self, now: Instant, words: impl Into<String>) {
        self.log.push((now, words.into()));
    }

    // Time.

    /// When something is due.
    pub fn next_due(&self) -> Option<Instant> {
        let agenda = self.agenda.keys().next().map(|(at, _)| *at);
        let clients = self.clients.iter().flat_map(|client| {
            let repeat = client.repeat.as_ref().and_then(Repeat::due);
            [repeat, client.until]
        });
        let waiting = self
            .waiting
            .iter()
            .flat_map(|waiting| [waiting.repeat.due(), Some(waiting.until)]);
        clients
            .chain(waiting)
            .chain([agenda, self.voice.next_due()])
            .flatten()
            .min()
    }

    /// Does what is due.
    pub fn handle_timeout(&mut self, now: Instant) -> Vec<Packet> {
        let mut packets = Vec::new();
        while let Some(packet) = self.voice.poll(now) {
            packets.push(packet);
        }
        self.repeat(now, &mut packets);
        while let Some(entry) = self.agenda.first_entry() {
            if entry.key().0 > now {
                break;
            }
            let act = entry.remove();
            packets.extend(self.act(now, act));
        }
        packets
    }

    fn repeat(&mut self, now: Instant, packets: &mut Vec<Packet>) {
        let is_late = |until: Option<Instant>| until.is_some_and(|until| until <= now);
        while let Some(at) = self.clients.iter().position(|client| is_late(client.until)) {
            let client = self.clients.remove(at);
            packets.extend(self.unanswered(now, &client));
        }
        while let Some(at) = self.waiting.iter().position(|waiting| waiting.until <= now) {
            let waiting = self.waiting.remove(at);
            self.note(now, format!("no {}", waiting.what));
            // RFC 3261 section 13.3.1.4, RFC 3262 section 3.
            packets.extend(match self.stage {
                Stage::Talking => self.act(now, Act::HangUp),
                Stage::Alerting => self.act(now, Act::Refuse(504)),
                _ => Vec::new(),
            });
        }
        let (from, to) = (self.address, self.exchange);
        let send = |payload: &Vec<u8>| Packet {
            from,
            to,
            payload: payload.clone(),
        };
        for client in &mut self.clients {
            if let Some(repeat) = &client.repeat
                && repeat.due().is_some_and(|due| due <= now)
            {
                client.repeat = Some(repeat.again());
                packets.push(send(&client.payload));
            }
        }
        for waiting in &mut self.waiting {
            if waiting.repeat.due().is_some_and(|due| due <= now) {
                waiting.repeat = waiting.repeat.again();
                packets.push(send(&waiting.payload));
            }
        }
    }

    /// 64*T1 have passed.
    fn unanswered(&mut self, now: Instant, client: &Client) -> Vec<Packet> {
        self.note(now, format!("no answer to {}", client.method));
        match client.method.as_str() {
            "BYE" => self.end(now, "hung up, nobody answered"),
            "INVITE" if self.is_calling() => self.end(now, "nobody answered"),
            "CANCEL" if self.stage == Stage::Cancelling => {
                self.end(now, "cancelled, nobody answered");
            }
            // Whoever does not answer inside a dialog is gone (RFC 3261 section 12.2.1.2).
            _ if self.stage == Stage::Talking => return self.act(now, Act::HangUp),
            _ => {}
        }
        Vec::new()
    }

    // Acts.

    fn act(&mut self, now: Instant, act: Act) -> Vec<Packet> {
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
            (Act::Reinvite(direction), Stage::Talking) if self.may_offer() => {
                let offer = self.offer(direction);
                vec![self.request(now, "INVITE", &[], "application/sdp", &offer)]
            }
            (Act::ReinviteBare, Stage::Talking) if self.may_offer() => {
                vec![self.request(now, "INVITE", &[], "", "")]
            }
            (Act::Update(direction), Stage::Talking) if self.may_offer() => {
                let offer = self.offer(direction);
                vec![self.request(now, "UPDATE", &[], "application/sdp", &offer)]
            }
            (Act::Say(method), Stage::Talking) => {
                let (kind, body) = match method {
                    "INFO" => ("application/x-storm", "Signal=5\r\n"),
                    _ => ("", ""),
                };
                vec![self.request(now, method, &[], kind, body)]
            }
            (Act::Refer(referred), Stage::Talking) => {
                let refer_to = self.refer_to(&referred);
                vec![self.request(now, "REFER", &[refer_to], "", "")]
            }
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
                | Act::Reinvite(_)
                | Act::ReinviteBare
                | Act::Update(_)
                | Act::Say(_)
                | Act::Refer(_)
                | Act::Prack(..)
                | Act::Speak
                | Act::HangUp,
                _,
            ) => Vec::new(),
        }
    }

    /// Whether no offer of either side is open (RFC 3264 section 4).
    fn may_offer(&self) -> bool {
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

    fn speak(&mut self, now: Instant) {
        let invite = &self.invite;
        if let Some(media) = invite.media().filter(|_| self.described.is_some()) {
            let payload_type = self.common(invite).first().copied().unwrap_or(0);
            self.voice.speak(now, media, payload_type);
        }
    }

    // What it gets.

    /// Takes a message of its call.
    pub fn handle(&mut self, now: Instant, message: &Text) -> Vec<Packet> {
        match message.status() {
            Some(status) => self.handle_answer(now, status, message),
            None => self.handle_request(now, message),
        }
    }

    fn handle_answer(&mut self, now: Instant, status: u16, message: &Text) -> Vec<Packet> {
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
    fn leave_if_gone(&mut self, now: Instant, status: u16) -> Vec<Packet> {
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
    fn follow(&mut self, message: &Text) {
        let payload_type = self.common(message).first().copied();
        if let (Some(media), Some(payload_type)) = (message.media(), payload_type) {
            self.voice.turn_to(media, payload_type);
        }
    }

    /// An offer of its own has its outcome.
    fn settle_offer(&mut self, now: Instant, status: u16, message: &Text) {
        let Some(offered) = self.offered.take() else {
            return;
        };
        if (200..300).contains(&status) && !message.body.is_empty() {
            self.follow(message);
            self.direction = offered;
            self.note(now, format!("agreed {offered}"));
        }
    }

    fn handle_request(&mut self, now: Instant, message: &Text) -> Vec<Packet> {
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

    fn end(&mut self, now: Instant, how: &str) {
        if !matches!(self.stage, Stage::Over(_)) {
            self.note(now, format!("over: {how}"));
            self.stage = Stage::Over(how.to_owned());
            self.voice.hush();
            self.agenda.clear();
            self.clients.retain(|client| client.method == "CANCEL");
            // A 200 whose ACK may still come is no more repeated: the dialog is over.
            let is_refused = how.starts_with("refused") || how == "cancelled";
            self.waiting
                .retain(|waiting| is_refused && waiting.what == "ACK");
            self.offered = None;
        }
    }
}

fn branch_of(message: &Text) -> String {
    let via = message.header("Via");
    let branch = via
        .split(';')
        .find_map(|param| param.trim().strip_prefix("branch="));
    branch.unwrap_or_default().to_owned()
}

fn described(message: &Text) -> &'static str {
    if message.body.starts_with("v=0") {
        " (sdp)"
    } else {
        ""
    }
}

/// What a description says of who speaks.
pub fn direction_of(body: &str) -> &'static str {
    ["sendonly", "recvonly", "inactive"]
        .into_iter()
        .find(|direction| body.contains(&format!("a={direction}")))
        .unwrap_or("sendrecv")
}
