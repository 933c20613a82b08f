//! Requests that come in: repetitions, what is refused, what opens a usage, what belongs to one.

use std::time::Instant;

use bytes::Bytes;
use rand_core::Rng;

use super::{
    Endpoint,
    event::{DialogId, Event, Milestone, Passage, RequestId, Transmit},
    gate::{self, Answer},
    label::{Again, Label},
    session::Session,
    table::{self, Offer, Reliability, ServerEntry, ServerId, ServerMachine, Stage, Then},
};
use crate::{
    abilities::{self, Extension},
    draft,
    draft::Draft,
    header::Method,
    hop::Hop,
    message::{Message, Refusal},
    peer::{PeerId, PeerSettings, Reliable},
    timer::Timer,
    token::Token,
    transaction::{invite_server::InviteServer, server::Server},
};

/// A request with who sent it, and which way it came.
pub(super) struct Arrival {
    pub(super) message: Message,
    pub(super) method: Method,
    pub(super) peer: PeerId,
    pub(super) hop: Hop,
    pub(super) key: Vec<u8>,
}

/// What our 503 says in Retry-After, in seconds: callers that were refused together must not come back together.
const RETRY_AFTER_S: (u64, u64) = (5, 15);

impl Endpoint {
    /// Answers 400 to what can be answered (RFC 3261 section 21.4.1: the phrase says what is wrong), and counts it.
    pub(super) fn refuse_unreadable(&mut self, peer: PeerId, hop: Hop, refusal: Refusal) {
        let rule = refusal.fault().rule.to_string();
        let line = format!("unreadable: {rule}");
        self.milestones.push_back(Milestone {
            dialog: None,
            passage: Passage::Received,
            remote: hop.remote,
            line,
        });
        let malformed = self.malformed.entry(peer).or_default();
        let Some(request) = refusal.into_answerable() else {
            malformed.dropped += 1;
            return;
        };
        malformed.answered += 1;
        self.refuse(&request, hop, 400, &rule, &[]);
    }

    pub(super) fn handle_request(&mut self, now: Instant, arrival: Arrival) {
        if arrival.method == Method::Ack {
            return self.handle_ack(now, &arrival);
        }
        if let Some(id) = self.server_keys.get(arrival.key.as_slice()) {
            return self.repeat_answer(*id, &arrival);
        }
        if !arrival.message.is_version_2_0() {
            return self
                .answer_without_state(&arrival, &Answer::plain(505, "Version Not Supported"));
        }
        if arrival.method == Method::Cancel {
            return self.handle_cancel(now, &arrival);
        }
        let settings = self.peers.get(&arrival.peer).unwrap_or(&self.any_peer);
        if let Err(answer) = gate::check(
            &arrival.message,
            &arrival.method,
            arrival.hop.transport,
            settings,
        ) {
            return self.answer_without_state(&arrival, &answer);
        }
        let to_tag = arrival
            .message
            .to()
            .ok()
            .and_then(|to| to.tag().map(Token::read));
        match to_tag {
            None => self.handle_outside(now, arrival),
            Some(tag) => match tag.and_then(|tag| self.tags.get(&tag).copied()) {
                Some(id) => self.handle_inside(now, id, arrival),
                None => self.answer_without_state(&arrival, &gone()),
            },
        }
    }

    /// A request came again and gets what it got before (RFC 3261 sections 17.2.1 and 17.2.2).
    fn repeat_answer(&mut self, id: ServerId, arrival: &Arrival) {
        let Some(entry) = self.servers.get(&id) else {
            return;
        };
        let (usage, hop, label) = (entry.usage, entry.hop, entry.label);
        let answer = match &entry.machine {
            ServerMachine::Invite(machine) => machine.handle_invite(),
            ServerMachine::Other(machine) => machine.handle_request(),
        };
        self.heard(usage, arrival.hop, arrival.label(), Again::Repeated);
        if let Some(answer) = answer {
            self.transmit(usage, hop, answer, label, Again::Repeated);
        }
    }

    /// A request that names no dialog.
    fn handle_outside(&mut self, now: Instant, arrival: Arrival) {
        let identity = table::identity(arrival.peer, &arrival.message);
        if self.is_merged(&identity, &arrival.method) {
            return self.answer_without_state(&arrival, &Answer::plain(482, "Loop Detected"));
        }
        match arrival.method {
            Method::Invite if self.usages.len() >= self.settings.max_dialogs => {
                self.answer_busy(&arrival);
            }
            Method::Invite | Method::Options if self.is_full(1) => self.answer_busy(&arrival),
            Method::Invite => self.take_invite(arrival, identity),
            Method::Options => {
                self.heard(None, arrival.hop, arrival.label(), Again::First);
                let id = self.take_request(now, &arrival, None);
                self.merged.insert(identity.into_boxed_slice(), id);
                self.events.push_back(Event::Requested {
                    dialog: None,
                    request: RequestId(id.0),
                    peer: arrival.peer,
                    hop: arrival.hop,
                    message: arrival.message,
                });
            }
            // BYE belongs to a dialog (RFC 3261 section 15.1.2); the others never come this far.
            _ => self.answer_without_state(&arrival, &gone()),
        }
    }

    /// Whether the server transactions are `times` as many, or as large, as they may be.
    pub(super) fn is_full(&self, times: usize) -> bool {
        self.servers.len() >= self.settings.max_transactions.saturating_mul(times)
            || self.held_bytes >= self.max_held_bytes.saturating_mul(times)
    }

    /// Whether a copy of the request came by another way (RFC 3261 section 8.2.2.2).
    fn is_merged(&self, identity: &[u8], method: &Method) -> bool {
        let known = self
            .merged
            .get(identity)
            .and_then(|id| self.servers.get(id));
        known.is_some_and(|entry| {
            matches!(entry.machine, ServerMachine::Invite(_)) == (*method == Method::Invite)
        })
    }

    /// A new call: 100 at once, then the application (RFC 3261 sections 8.2.6.1 and 13.3.1).
    fn take_invite(&mut self, arrival: Arrival, identity: Vec<u8>) {
        let id = DialogId(self.id());
        self.heard(Some(id), arrival.hop, arrival.label(), Again::First);
        let tag = Token::random(&mut self.generator);
        let server = self.open_invite(&arrival, Some(id), tag);
        self.merged.insert(identity.into_boxed_slice(), server);
        let settings = self.peers.get(&arrival.peer).unwrap_or(&self.any_peer);
        let reliability = reliability(&arrival.message, settings);
        let first_rseq = self.generator.next_u32() % 65_536 + 1;
        let session = Session::by_invite(
            &arrival.message,
            tag,
            (arrival.hop, &self.listeners),
            first_rseq,
        );
        let stage = Stage::Ringing {
            server,
            session: Box::new(session),
            reliability,
            held: None,
        };
        self.open_usage(id, tag, arrival.peer, stage);
        self.events.push_back(Event::Invited {
            dialog: id,
            peer: arrival.peer,
            hop: arrival.hop,
            request: arrival.message,
        });
    }

    /// Keeps the transaction of an INVITE and sends its 100.
    pub(super) fn open_invite(
        &mut self,
        arrival: &Arrival,
        usage: Option<DialogId>,
        tag: Token,
    ) -> ServerId {
        let mut trying = Draft::answer(&arrival.message, arrival.hop.remote, 100, "Trying", None);
        if let Some(timestamp) = arrival.message.named("Timestamp").next() {
            trying = trying.line("Timestamp", &timestamp);
        }
        let trying = trying.finish(draft::SDP, None);
        let label = Label::answer(100, &arrival.message, false);
        let machine =
            ServerMachine::Invite(InviteServer::start(trying.clone(), arrival.hop.transport));
        let id = self.open_server(arrival, usage, tag, machine, label);
        self.transmit(usage, arrival.answer_to(), trying, label, Again::First);
        id
    }

    /// Keeps the transaction of a request that waits for the application.
    pub(super) fn take_request(
        &mut self,
        now: Instant,
        arrival: &Arrival,
        usage: Option<DialogId>,
    ) -> ServerId {
        let tag = Token::random(&mut self.generator);
        let machine =
            ServerMachine::Other(Server::start(now, &self.intervals, arrival.hop.transport));
        self.open_server(arrival, usage, tag, machine, arrival.label())
    }

    pub(super) fn open_server(
        &mut self,
        arrival: &Arrival,
        usage: Option<DialogId>,
        tag: Token,
        machine: ServerMachine,
        label: Label,
    ) -> ServerId {
        let id = ServerId(self.id());
        let entry = ServerEntry {
            machine,
            request: Some(arrival.message.clone()),
            key: arrival.key.clone().into_boxed_slice(),
            identity: table::identity(arrival.peer, &arrival.message).into_boxed_slice(),
            usage,
            peer: arrival.peer,
            source: arrival.hop,
            hop: arrival.answer_to(),
            alternate: arrival.sender_listens_at(),
            tag,
            label,
            held_bytes: 2 * arrival.message.octets().len(),
            due: None,
        };
        self.held_bytes += entry.held_bytes;
        self.server_keys.insert(entry.key.clone(), id);
        self.servers.insert(id, entry);
        self.arm_server(id);
        id
    }

    /// CANCEL: 200, and 487 to an INVITE without final answer; after one it has no effect (RFC 3261 section 9.2).
    ///
    /// It is found by its branch, and must be of the same caller: a forged one gets 481.
    fn handle_cancel(&mut self, now: Instant, arrival: &Arrival) {
        let key = table::transaction_key(arrival.peer, &arrival.message, &Method::Invite);
        let identity = table::identity(arrival.peer, &arrival.message);
        let found = self.server_keys.get(key.as_slice()).copied();
        let entry = found.and_then(|id| Some((id, self.servers.get(&id)?)));
        let Some((id, entry)) = entry.filter(|(_, entry)| *entry.identity == *identity) else {
            return self.answer_without_state(arrival, &gone());
        };
        let (usage, tag, is_open) = (entry.usage, entry.tag, entry.is_open());
        self.heard(usage, arrival.hop, arrival.label(), Again::First);
        let answer = Draft::answer(&arrival.message, arrival.hop.remote, 200, "OK", Some(&tag))
            .finish(draft::SDP, None);
        self.transmit(
            usage,
            arrival.answer_to(),
            answer,
            Label::answer(200, &arrival.message, false),
            Again::First,
        );
        if !is_open {
            return;
        }
        let stage = usage
            .and_then(|usage| self.usages.get(&usage))
            .map(|usage| &usage.stage);
        let is_first = matches!(stage, Some(Stage::Ringing { server, .. }) if *server == id);
        self.fail_server(now, id, 487, "Request Terminated");
        if let Some(dialog) = usage {
            self.events.push_back(if is_first {
                let message = arrival.message.clone();
                Event::Cancelled { dialog, message }
            } else {
                Event::Withdrawn {
                    dialog,
                    request: RequestId(id.0),
                }
            });
        }
    }

    /// ACK: of a failure by its branch (RFC 3261 section 17.2.1), of a 2xx by its dialog (section 13.3.1.4).
    fn handle_ack(&mut self, now: Instant, arrival: &Arrival) {
        if let Some(id) = self.server_keys.get(arrival.key.as_slice()).copied()
            && let Some(entry) = self.servers.get_mut(&id)
            && let ServerMachine::Invite(machine) = &mut entry.machine
            && !machine.is_accepted()
        {
            machine.handle_ack(now, &self.intervals);
            let usage = entry.usage;
            self.heard(usage, arrival.hop, arrival.label(), Again::First);
            return self.arm_server(id);
        }
        let tag = arrival
            .message
            .to()
            .ok()
            .and_then(|to| Token::read(to.tag()?));
        match tag.and_then(|tag| self.tags.get(&tag).copied()) {
            Some(id) => self.take_ack(now, id, arrival),
            None => self.heard(None, arrival.hop, arrival.label(), Again::First),
        }
    }

    fn take_ack(&mut self, now: Instant, id: DialogId, arrival: &Arrival) {
        if self.usages.get(&id).map(|usage| usage.peer) != Some(arrival.peer) {
            return self.heard(None, arrival.hop, arrival.label(), Again::First);
        }
        let Some(mut usage) = self.usages.remove(&id) else {
            return;
        };
        let number = arrival.message.cseq().map_or(0, |cseq| cseq.number);
        let body = || arrival.message.sdp();
        let mut hang_up = None;
        let mut again = Again::First;
        usage.stage = match usage.stage {
            Stage::ExpectAck {
                mut session,
                unacked,
                then,
            } if unacked.cseq == number && session.dialog.is_of(&arrival.message) => {
                usage.timers.stop(Timer::Repeat2xx);
                usage.timers.stop(Timer::AckWait);
                // With or without its description, no offer is open after an ACK.
                session.close_invite();
                match then {
                    Then::Talk => {
                        let body = body();
                        self.events.push_back(Event::Acked { dialog: id, body });
                    }
                    Then::HangUp { reason } => hang_up = Some(reason),
                }
                Stage::Talking {
                    session,
                    offer: Offer::None,
                }
            }
            Stage::Talking {
                mut session,
                offer: Offer::ExpectAck { unacked },
            } if unacked.cseq == number && session.dialog.is_of(&arrival.message) => {
                usage.timers.stop(Timer::Repeat2xx);
                usage.timers.stop(Timer::AckWait);
                session.close_invite();
                let body = body();
                self.events.push_back(Event::Reacked { dialog: id, body });
                Stage::Talking {
                    session,
                    offer: Offer::None,
                }
            }
            // A repeated ACK, or one of another INVITE: there is never an answer to it.
            other @ (Stage::Calling { .. }
            | Stage::Ringing { .. }
            | Stage::ExpectAck { .. }
            | Stage::Talking { .. }
            | Stage::Closing { .. }) => {
                again = Again::Repeated;
                other
            }
        };
        self.usages.insert(id, usage);
        self.arm_usage(id);
        self.heard(Some(id), arrival.hop, arrival.label(), again);
        if let Some(reason) = hang_up {
            self.hang_up(now, id, reason.as_deref());
        }
    }

    pub(super) fn answer_busy(&mut self, arrival: &Arrival) {
        let (least, most) = RETRY_AFTER_S;
        let retry_after_s = least + self.generator.next_u64() % (most - least + 1);
        self.answer_without_state(arrival, &Answer::busy(retry_after_s));
    }

    pub(super) fn answer_without_state(&mut self, arrival: &Arrival, answer: &Answer) {
        self.heard(None, arrival.hop, arrival.label(), Again::First);
        self.refuse(
            &arrival.message,
            arrival.hop,
            answer.status,
            answer.phrase,
            &answer.headers,
        );
    }

    fn refuse(
        &mut self,
        request: &Message,
        source: Hop,
        status: u16,
        phrase: &str,
        headers: &[(&'static str, String)],
    ) {
        let Ok(via) = request.via() else { return };
        let hop = via.answer_to(source);
        let tag = self.stateless_tag(request);
        let draft = Draft::answer(request, source.remote, status, phrase, Some(&tag));
        let payload: Bytes = draft.lines(headers).finish(draft::SDP, None);
        let line = Label::answer(status, request, false).line(Again::First);
        self.milestones.push_back(Milestone {
            dialog: None,
            passage: Passage::Sent,
            remote: hop.remote,
            line,
        });
        self.transmits.push_back(Transmit { hop, payload });
    }
}

impl Arrival {
    /// Takes a message that is a request.
    pub(super) fn of(peer: PeerId, hop: Hop, message: Message) -> Option<Arrival> {
        let method = message.method()?;
        let key = table::transaction_key(peer, &message, &method);
        Some(Arrival {
            message,
            method,
            peer,
            hop,
            key,
        })
    }

    /// How ladders name it.
    pub(super) fn label(&self) -> Label {
        Label::of(&self.message)
    }

    /// Which way its answers go once its connection is lost.
    fn sender_listens_at(&self) -> Option<Hop> {
        let via = self.message.via().ok()?;
        let hop = via.listens_at(self.hop);
        // Even where that is the same place: a new connection is tried once.
        self.hop.transport.is_reliable().then_some(hop)
    }

    /// Which way its answers go.
    pub(super) fn answer_to(&self) -> Hop {
        self.message
            .via()
            .map_or(self.hop, |via| via.answer_to(self.hop))
    }
}

pub(super) fn gone() -> Answer {
    Answer::plain(481, "Call/Transaction Does Not Exist")
}

/// How reliable our provisional answers to an INVITE are.
fn reliability(invite: &Message, settings: &PeerSettings) -> Reliability {
    let is_able = abilities::supports(invite, Extension::Reliable);
    match settings.reliable {
        Reliable::Off => Reliability::Never,
        _ if !is_able => Reliability::Never,
        Reliable::Supported if !abilities::requires(invite, Extension::Reliable) => {
            Reliability::Possible
        }
        Reliable::Supported | Reliable::Required => Reliability::Always,
    }
}
