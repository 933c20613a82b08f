//! The reference: what must pass at the exchange's door, told by nothing but what has passed it.
//!
//! It reads every SIP message that reaches the exchange or leaves it, keeps one small state for each leg, and knows the duties that a
//! message brings: an ACK at once for a 2xx, a BYE on the other leg at once for a BYE, an answer for every request. It shares no code
//! with the exchange and knows no timers but the standard's limits. Start at [`Reference::came`] and [`Reference::went`].

mod departures;
mod leg;
mod transfer;
mod words;

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    net::SocketAddr,
    time::{Duration, Instant},
};

pub use self::transfer::{Joined, Transfers};

use self::{
    leg::{Began, Leg, Stage},
    transfer::Transfer,
};
use crate::{net::Packet, text::Text};

/// 64*T1.
const LAST: Duration = Duration::from_secs(32);

/// The longest pause between two repetitions, and a little.
const T2: Duration = Duration::from_millis(4_100);

/// What crosses to another party is answered within its 64*T1, less the time that it was on the way.
const CROSSING: Duration = Duration::from_secs(31);

/// The reference; see the module.
#[derive(Debug)]
pub struct Reference {
    carrier: SocketAddr,
    /// Peers that are reached by TCP: no refusal is repeated there (RFC 3261 section 17.2.1).
    by_stream: BTreeSet<SocketAddr>,
    legs: BTreeMap<String, Leg>,
    /// What is to be done before the exchange rests.
    duties: Vec<Duty>,
    /// Called parties that have answered since it rested.
    answered: Vec<String>,
    transfers: Vec<Transfer>,
    joined: VecDeque<Joined>,
    /// Who was told apart, and when; the Call-IDs are sorted.
    apart: Vec<([String; 2], Instant)>,
    /// When the exchange began anew.
    forgot_at: Option<Instant>,
    /// What became of transfers.
    pub outcomes: Transfers,
    /// Talks that the exchange ended, or refused to begin, while both parties wanted them.
    pub unprovoked: Vec<Unprovoked>,
    /// What was found wrong.
    pub faults: Vec<String>,
    /// Messages that passed.
    pub passed: u64,
}

/// A talk that the exchange ended by itself.
#[derive(Debug, Clone)]
pub struct Unprovoked {
    /// The Call-IDs of the two.
    pub legs: [String; 2],
    /// What the first leg was told, and the story of both.
    pub what: String,
}

/// Something that must go out before the exchange takes its next input.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Duty {
    leg: String,
    what: What,
}

/// What must go out.
#[derive(Debug, Clone, PartialEq, Eq)]
enum What {
    /// An answer to a request, in this range.
    Answer {
        method: String,
        sequence: u32,
        least: u16,
        most: u16,
    },
    /// The ACK of a final answer.
    Ack(u32),
    /// The acknowledgement of a reliable provisional answer.
    Prack(u32),
    /// Whatever ends the leg: a refusal, CANCEL or BYE.
    End,
    /// The answer that the called one gave, to the caller.
    Pass(u16),
}

impl What {
    /// An answer to this request, in this range.
    fn answer_to(request: &Text, least: u16, most: u16) -> What {
        What::Answer {
            method: request.method().to_owned(),
            sequence: request.sequence(),
            least,
            most,
        }
    }
}

impl Reference {
    /// A reference of an exchange between these; whatever is not the carrier's is the PBX's.
    pub fn new(carrier: SocketAddr, by_stream: BTreeSet<SocketAddr>) -> Reference {
        Reference {
            carrier,
            by_stream,
            legs: BTreeMap::new(),
            duties: Vec::new(),
            answered: Vec::new(),
            transfers: Vec::new(),
            joined: VecDeque::new(),
            apart: Vec::new(),
            forgot_at: None,
            outcomes: Transfers::default(),
            unprovoked: Vec::new(),
            faults: Vec::new(),
            passed: 0,
        }
    }

    /// The exchange has begun anew and knows nothing.
    pub fn forget(&mut self, now: Instant) {
        self.legs.clear();
        self.duties.clear();
        self.transfers.clear();
        self.joined.clear();
        self.apart.clear();
        self.forgot_at = Some(now);
    }

    /// What happened to a leg; empty where none is known.
    pub fn story(&self, call_id: &str) -> String {
        self.legs.get(call_id).map(Leg::story).unwrap_or_default()
    }

    fn fault(&mut self, call_id: &str, what: impl std::fmt::Display) {
        let leg = self.story(call_id);
        self.faults.push(format!("{what}: {call_id}: {leg}"));
    }

    fn owe(&mut self, leg: &str, what: What) {
        self.duties.push(Duty {
            leg: leg.to_owned(),
            what,
        });
    }

    /// Takes a duty off that a message may fulfil; says whether there was one.
    fn done(&mut self, leg: &str, fulfils: impl Fn(&What) -> bool) -> bool {
        let found = self
            .duties
            .iter()
            .position(|duty| duty.leg == leg && fulfils(&duty.what));
        found.map(|at| self.duties.remove(at)).is_some()
    }

    /// A way to a peer is lost: an INVITE that nobody has been heard of goes another before the exchange rests, or its leg is left.
    pub fn way_lost(&mut self, remote: SocketAddr) {
        for leg in self.legs.values_mut() {
            leg.is_adrift |= leg.peer == remote && leg.is_unheard();
        }
    }

    // What reaches the exchange.

    /// A datagram reaches the exchange.
    pub fn came(&mut self, now: Instant, packet: &Packet) {
        self.passed += 1;
        let message = Text::read(&packet.payload);
        let id = message.header("Call-ID").to_owned();
        match message.status() {
            Some(status) => self.answer_came(now, &id, status, &message),
            None => self.request_came(now, &id, packet.from, &message),
        }
    }

    fn request_came(&mut self, now: Instant, id: &str, from: SocketAddr, message: &Text) {
        let (method, sequence) = (message.method(), message.sequence());
        let Some(leg) = self.legs.get_mut(id) else {
            return self.first_request_came(now, id, from, message);
        };
        leg.note(now, format!("in {method} {sequence}"));
        if leg.has_outlived_its_session(now) {
            leg.stage = Stage::Ended;
            self.fault(id, "a session that nobody refreshed");
            return;
        }
        if method == "ACK" {
            let is_first = leg.acknowledged(message);
            if is_first && leg.must_end && leg.stage == Stage::Answered && !leg.must_wait(now) {
                self.owe(id, What::End);
            }
            return;
        }
        if leg.is_repeated(message) {
            leg.came_again(message);
            return;
        }
        let is_awaited = leg.asked(now, message);
        self.owe_answer(now, id, message, is_awaited);
    }

    fn first_request_came(&mut self, now: Instant, id: &str, from: SocketAddr, message: &Text) {
        let is_opening = !message.header("To").contains(";tag=");
        match message.method() {
            "ACK" => {}
            "INVITE" if is_opening => {
                let mut leg = Leg::new(now, Began::Theirs, from, message);
                leg.is_by_stream = self.by_stream.contains(&from);
                self.legs.insert(id.to_owned(), leg);
                self.owe(id, What::answer_to(message, 100, 699));
            }
            _ => self.owe(id, What::answer_to(message, 400, 699)),
        }
    }

    /// A request came for the first time in a leg that is known.
    fn owe_answer(&mut self, now: Instant, id: &str, message: &Text, is_awaited: bool) {
        let answer = |least, most| What::answer_to(message, least, most);
        let Some(leg) = self.legs.get_mut(id) else {
            return;
        };
        match (message.method(), leg.stage) {
            // The dialog that an exchange had with it that is no more: a copy of its INVITE began ours.
            ("BYE", _) if leg.is_of_another_dialog(message) => self.owe(id, answer(481, 481)),
            ("BYE", Stage::Answered) => {
                leg.stage = Stage::Ended;
                leg.ended_at.get_or_insert(now);
                if let Some(flaw) = leg.unrepeated(now) {
                    self.fault(id, flaw);
                }
                self.owe(id, answer(200, 200));
                self.end_others(now, id);
            }
            ("BYE", _) => {
                leg.has_left_early = true;
                self.owe(id, answer(200, 699));
            }
            ("CANCEL", Stage::Inviting) if leg.began == Began::Theirs => {
                leg.stage = Stage::Ended;
                let invite = leg.first_sequence;
                self.owe(id, answer(200, 200));
                self.owe(
                    id,
                    What::Answer {
                        method: "INVITE".to_owned(),
                        sequence: invite,
                        least: 487,
                        most: 487,
                    },
                );
                self.end_others(now, id);
            }
            ("CANCEL", _) => self.owe(id, answer(200, 499)),
            ("OPTIONS", _) => self.owe(id, answer(200, 699)),
            ("PRACK", Stage::Inviting | Stage::Answered)
                if is_awaited && message.body.is_empty() =>
            {
                self.owe(id, answer(200, 200));
            }
            ("PRACK", _) if message.body.is_empty() => self.owe(id, answer(200, 500)),
            // What crosses to the other party is answered when that has answered.
            _ => {}
        }
    }

    /// A party has left: all others of its call are told at once, but for a caller who waits still: somebody else may be called for it.
    fn end_others(&mut self, now: Instant, id: &str) {
        let others: Vec<String> = self
            .legs
            .iter()
            .filter(|(other, leg)| {
                let is_pair = leg.pair.as_deref() == Some(id)
                    || self
                        .legs
                        .get(id)
                        .and_then(|own| own.pair.clone())
                        .as_deref()
                        == Some(other.as_str());
                let waits = leg.began == Began::Theirs && leg.stage == Stage::Inviting;
                is_pair && leg.is_live() && !waits && !leg.is_transferred && *other != id
            })
            .map(|(other, _)| other.clone())
            .collect();
        for other in others {
            let Some(leg) = self.legs.get_mut(&other) else {
                continue;
            };
            // Said already.
            if std::mem::replace(&mut leg.must_end, true) {
                continue;
            }
            if !leg.must_wait(now) {
                self.owe(&other, What::End);
            }
        }
    }

    fn answer_came(&mut self, now: Instant, id: &str, status: u16, message: &Text) {
        let (method, sequence) = (message.method(), message.sequence());
        let Some(leg) = self.legs.get_mut(id) else {
            return;
        };
        leg.note(now, format!("in {status} {method} {sequence}"));
        if leg.is_given_up(now) {
            leg.stage = Stage::Ended;
            leg.answered_at = Some(leg.since);
        }
        if !leg.is_answered(message) {
            leg.time_session(now, message);
        }
        if status >= 300 && ["INVITE", "UPDATE"].contains(&method) {
            self.outcome_came(id, message);
        }
        let Some(leg) = self.legs.get_mut(id) else {
            return;
        };
        if method != "INVITE" {
            let had_to_wait = leg.must_wait(now);
            leg.answered(message);
            // The last NOTIFY of a transfer has its answer: what waited for it is due.
            if had_to_wait && !leg.must_wait(now) && leg.must_end {
                self.owe(id, What::End);
            }
            return;
        }
        match status {
            300.. => self.refusal_came(now, id, message),
            _ if !leg.knows(message) => {}
            200.. => self.acceptance_came(now, id, message),
            _ => self.provisional_came(id, message),
        }
    }

    fn refusal_came(&mut self, now: Instant, id: &str, message: &Text) {
        let Some(leg) = self.legs.get_mut(id) else {
            return;
        };
        let sequence = message.sequence();
        let is_owed = leg.knows(message) && !leg.is_forgotten(now);
        leg.answered(message);
        let is_its_own = sequence == leg.first_sequence && leg.began == Began::Ours;
        if is_its_own && leg.stage == Stage::Inviting {
            leg.stage = Stage::Refused;
        }
        if is_owed {
            self.owe(id, What::Ack(sequence));
        }
    }

    fn acceptance_came(&mut self, now: Instant, id: &str, message: &Text) {
        let Some(leg) = self.legs.get_mut(id) else {
            return;
        };
        let sequence = message.sequence();
        let is_new = !leg.is_answered(message);
        leg.answered(message);
        if leg.is_forgotten(now) {
            return;
        }
        let is_first = sequence == leg.first_sequence;
        let (must_end, was) = (leg.must_end, leg.stage);
        if is_first && was == Stage::Inviting {
            leg.stage = Stage::Answered;
            leg.answered_at = Some(now);
        }
        self.owe(id, What::Ack(sequence));
        if is_first && was == Stage::Inviting && must_end {
            self.owe(id, What::End);
        } else if is_first && was == Stage::Inviting {
            self.answered.push(id.to_owned());
            self.pass_to_origin(id, 200);
        } else if is_new && was == Stage::Answered {
            // Whom a caller without an offer has answered in another codec was asked for that first.
            self.pass_to_origin(id, 200);
        }
    }

    /// A changed session was refused: whoever asked for the change hears it at once.
    fn outcome_came(&mut self, id: &str, message: &Text) {
        let Some(leg) = self.legs.get(id) else { return };
        let Some(at) = leg
            .was_sent_at(message)
            .filter(|_| message.sequence() != leg.first_sequence)
        else {
            return;
        };
        let is_answered = leg.is_answered(message);
        let pairs = self.legs.iter().filter(|(other, pair)| {
            leg.pair.as_ref() == Some(*other) || pair.pair.as_deref() == Some(id)
        });
        let waiting: Vec<(String, (String, u32))> = pairs
            .filter(|(_, pair)| pair.stage == Stage::Answered)
            .filter_map(|(other, pair)| Some((other.clone(), pair.waits_since(at)?)))
            .collect();
        if is_answered
            || message.body.len() > 1
            || [408, 422, 481].contains(&message.status().unwrap_or(0))
        {
            return;
        }
        for (other, (method, sequence)) in waiting {
            self.owe(
                &other,
                What::Answer {
                    method,
                    sequence,
                    least: 300,
                    most: 699,
                },
            );
        }
    }

    fn provisional_came(&mut self, id: &str, message: &Text) {
        let Some(leg) = self.legs.get_mut(id) else {
            return;
        };
        let was_proceeding = std::mem::replace(&mut leg.is_proceeding, true);
        if leg.must_end && !was_proceeding && leg.stage == Stage::Inviting {
            self.owe(id, What::End);
            return;
        }
        let number: u32 = message.header("RSeq").parse().unwrap_or(0);
        let is_reliable = message.header("Require").contains("100rel") && number > 0;
        let is_next = leg.reliable.is_none_or(|last| number == last + 1);
        if is_reliable && is_next && leg.stage == Stage::Inviting && !leg.must_end {
            leg.reliable = Some(number);
            self.owe(id, What::Prack(number));
        }
    }

    /// What a called party answered goes to the caller at once, unless the caller is answered.
    fn pass_to_origin(&mut self, id: &str, status: u16) {
        let origin = self.legs.get(id).and_then(|leg| leg.pair.clone());
        let Some(origin) = origin else { return };
        let is_waiting = self.legs.get(&origin).is_some_and(|leg| {
            leg.stage == Stage::Inviting && !leg.is_described_early() && !leg.is_transferred
        });
        if is_waiting {
            self.owe(&origin, What::Pass(status));
        }
    }

    // What is left.

    /// The exchange rests: what had to be done at once is done.
    pub fn rest(&mut self, now: Instant) {
        for leg in self.legs.values_mut() {
            // Whoever answers all the same is ended.
            leg.must_end |= std::mem::take(&mut leg.is_adrift);
        }
        for id in std::mem::take(&mut self.answered) {
            self.target_answered(now, &id);
        }
        for Duty { leg, what } in std::mem::take(&mut self.duties) {
            self.fault(&leg, format!("left undone: {what:?}"));
        }
    }

    /// All is over: every leg has ended, every request was answered.
    pub fn finish(&mut self, now: Instant) {
        self.rest(now);
        let ids: Vec<String> = self.legs.keys().cloned().collect();
        for id in ids {
            for flaw in self.legs[&id].left(now) {
                self.fault(&id, flaw);
            }
        }
    }
}
