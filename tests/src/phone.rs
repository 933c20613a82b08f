//! A telephone that lives by itself: it repeats what is not answered, answers what it is asked, and does what its agenda says.
//!
//! Unlike a [`Line`](crate::line::Line) it needs nobody to drive it, so that hundreds of them can be thrown into a storm. It speaks its
//! SIP with nothing of `sip-core`. Start at [`Phone::dial`] and [`Phone::ring`]; what it writes stands in `phone/letter.rs`.

mod acts;
mod answers;
mod habits;
mod letter;
mod requests;
#[cfg(test)]
mod tests;

use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
    time::{Duration, Instant},
};

pub use self::{
    acts::{Act, Early, Referred, Request},
    habits::{Habits, OfferTime, Reliable},
};
use sip_core::{Hop, Transport};

use crate::{carrier::Repeat, net::Packet, text::Text, voice::Voice};

/// 64*T1: nobody waits longer for an answer.
const LAST: Duration = Duration::from_secs(32);

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
    /// What carries its messages.
    transport: Transport,
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
    /// A telephone that calls a number; returns it with its INVITE. `hop`: from its address to the exchange's.
    pub fn dial(
        now: Instant,
        index: usize,
        hop: Hop,
        user: &str,
        called: &str,
        habits: Habits,
    ) -> (Phone, Packet) {
        let (from, exchange) = (hop.local, hop.remote);
        let mut phone = Phone::new(index, hop, user, called, habits);
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
    pub fn ring(now: Instant, index: usize, hop: Hop, invite: &Text, habits: Habits) -> Phone {
        let user = invite.called_user().to_owned();
        let mut phone = Phone::new(index, hop, &user, &user, habits);
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

    fn new(index: usize, hop: Hop, user: &str, called: &str, habits: Habits) -> Phone {
        let Hop {
            transport,
            local: address,
            remote: exchange,
        } = hop;
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
            transport,
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

    // What it gets.

    /// Takes a message of its call.
    pub fn handle(&mut self, now: Instant, message: &Text) -> Vec<Packet> {
        match message.status() {
            Some(status) => self.handle_answer(now, status, message),
            None => self.handle_request(now, message),
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
