//! One SIP endpoint: messages in, messages and events out, both legs of every call.
//!
//! After a verb or a `handle_*`, drain `poll_transmit`, `poll_event` and `poll_milestone`; `poll_timeout` says when to come back and why.
//! Verbs for a dialog or request that is over do nothing: the event that says why is already queued.
//! Follows RFC 3261 sections 8, 9, 12 to 15, 17 and 18 with RFCs 3262, 3311, 3581, 4028, 4320 and 6026. Start at [`Endpoint::handle_message`].

mod answers;
mod change;
mod event;
mod gate;
mod inside;
mod label;
mod outgoing;
mod outside;
mod proof;
mod provisional;
mod refresh;
mod refusals;
mod replies;
mod requests;
mod screen;
mod session;
mod table;
mod usage;
mod verbs;
mod ways;

use std::{
    collections::{BTreeMap, VecDeque},
    fmt,
    hash::{DefaultHasher, Hash, Hasher},
    net::IpAddr,
    time::{Duration, Instant},
};

use bytes::Bytes;
use rand_chacha::ChaCha12Rng;
use rand_core::{Rng, SeedableRng};

pub use self::event::{
    Delivery, DialogId, DialogName, Event, Glare, Headers, InDialog, Invite, Malformed, Milestone,
    NameAddrText, Outside, Passage, RequestId, Ring, SentId, Settings, Transmit,
};
pub use self::screen::{NewInvite, Screened};
use self::{
    label::{Again, Label},
    outside::Series,
    proof::Nonce,
    refusals::Refusals,
    requests::Arrival,
    table::{
        ClientEntry, ClientKey, ClientMachine, Owner, ServerEntry, ServerId, ServerMachine, Stage,
        Task, Usage,
    },
};
use crate::{
    digest::Asker,
    hop::{Hop, Listeners},
    message::Message,
    peer::{PeerId, PeerSettings},
    timer::{Agenda, Intervals},
    token::Token,
    transaction::Due,
};

/// The most that all server transactions together keep of their peers' octets.
///
/// Twice what `Settings::max_transactions` ordinary ones hold; without it as many of 64 KiB would fill a machine.
const MAX_HELD_BYTES: usize = 512 * 1024 * 1024;

/// A SIP endpoint; see the module. `Debug` shows how full its tables are.
pub struct Endpoint {
    settings: Settings,
    intervals: Intervals,
    generator: ChaCha12Rng,
    /// Makes the tags of stateless answers unguessable and always the same (RFC 3261 section 8.2.7).
    secret: [u64; 2],
    next_id: u64,
    peers: BTreeMap<PeerId, PeerSettings>,
    /// For peers nothing was told of.
    any_peer: PeerSettings,
    /// What they sent that was no message.
    malformed: BTreeMap<PeerId, Malformed>,
    /// The nonces of peers that ask who we are.
    nonces: BTreeMap<(PeerId, Asker), Nonce>,
    /// Requests outside every dialog that belong together.
    series: BTreeMap<(PeerId, u64), Series>,
    listeners: Listeners,
    usages: BTreeMap<DialogId, Usage>,
    tags: BTreeMap<Token, DialogId>,
    clients: BTreeMap<ClientKey, ClientEntry>,
    servers: BTreeMap<ServerId, ServerEntry>,
    server_keys: BTreeMap<Box<[u8]>, ServerId>,
    merged: BTreeMap<Box<[u8]>, ServerId>,
    refusals: Refusals,
    agenda: Agenda<Owner>,
    /// What the server transactions keep of their peers' octets, and how much they may.
    held_bytes: usize,
    max_held_bytes: usize,
    transmits: VecDeque<Transmit>,
    events: VecDeque<Event>,
    milestones: VecDeque<Milestone>,
}

impl Endpoint {
    /// Makes an endpoint; `seed` feeds branches, tags and Call-IDs.
    pub fn new(settings: Settings, seed: [u8; 32]) -> Endpoint {
        let mut generator = ChaCha12Rng::from_seed(seed);
        // A timer of zero would fire for ever.
        let at_least = |interval: Duration| interval.max(Duration::from_millis(1));
        Endpoint {
            intervals: Intervals {
                t1: at_least(settings.t1),
                t2: at_least(settings.t2),
                t4: at_least(settings.t4),
            },
            listeners: Listeners::new(&settings.listeners),
            secret: [generator.next_u64(), generator.next_u64()],
            generator,
            settings,
            next_id: 0,
            peers: BTreeMap::new(),
            any_peer: PeerSettings::default(),
            malformed: BTreeMap::new(),
            nonces: BTreeMap::new(),
            series: BTreeMap::new(),
            usages: BTreeMap::new(),
            tags: BTreeMap::new(),
            clients: BTreeMap::new(),
            servers: BTreeMap::new(),
            server_keys: BTreeMap::new(),
            merged: BTreeMap::new(),
            refusals: Refusals::default(),
            agenda: Agenda::new(),
            held_bytes: 0,
            max_held_bytes: MAX_HELD_BYTES,
            transmits: VecDeque::new(),
            events: VecDeque::new(),
            milestones: VecDeque::new(),
        }
    }

    /// The settings it was made with.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// How many INVITE usages there are.
    pub fn dialog_count(&self) -> usize {
        self.usages.len()
    }

    /// How many transactions of both directions there are.
    pub fn transaction_count(&self) -> usize {
        self.clients.len() + self.servers.len()
    }

    /// How much of what a peer sent was no message. It is counted and never held against the peer: its address carries every citizen's call.
    pub fn malformed(&self, peer: PeerId) -> Malformed {
        self.malformed.get(&peer).copied().unwrap_or_default()
    }

    /// Tells how to speak with a peer; without it the default stands. Calls that are under way keep what they agreed.
    pub fn set_peer(&mut self, peer: PeerId, settings: PeerSettings) {
        // Another password is another answer.
        for asker in [Asker::Callee, Asker::Proxy] {
            self.nonces.remove(&(peer, asker));
        }
        self.peers.insert(peer, settings);
    }

    /// Tells at which addresses the peers are. Inside a dialog a request goes to an address that a Contact or Record-Route names only where it is
    /// one of the same peer's, else the way the dialog came; so our credentials are shown to nobody else (RFC 3261 section 12.2.1.1 would
    /// have us follow them anywhere). Until it is told, any address is followed. Dialogs keep what they began with.
    pub fn set_neighbours(&mut self, neighbours: BTreeMap<IpAddr, PeerId>) {
        self.listeners.set_neighbours(neighbours);
    }

    /// Takes what `peer` sent by `hop`: one datagram, or one message of a stream.
    ///
    /// What is no message is answered 400 where that can be (RFC 3261 section 8.2), else nothing is.
    pub fn handle_message(&mut self, now: Instant, peer: PeerId, hop: Hop, octets: Bytes) {
        // Keep-alives of NATs and of RFC 5626 section 4.4.1; over UDP they want no answer.
        if octets
            .iter()
            .all(|octet| matches!(octet, b'\r' | b'\n' | 0))
        {
            return;
        }
        match Message::parse(octets) {
            Ok(message) if message.is_request() => {
                if let Some(arrival) = Arrival::of(peer, hop, message) {
                    self.handle_request(now, arrival);
                }
            }
            Ok(message) => self.handle_response(now, peer, hop, message),
            Err(refusal) => self.refuse_unreadable(peer, hop, *refusal),
        }
    }

    /// Fires what is due.
    pub fn handle_timeout(&mut self, now: Instant) {
        while let Some(owner) = self.agenda.due(now) {
            match owner {
                Owner::Client(key) => self.client_timeout(now, key),
                Owner::Server(id) => self.server_timeout(now, id),
                Owner::Usage(id) => self.usage_timeout(now, id),
            }
        }
    }

    /// The next message to send.
    pub fn poll_transmit(&mut self) -> Option<Transmit> {
        self.transmits.pop_front()
    }

    /// The next thing that happened.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    /// The next message that was sent or received.
    pub fn poll_milestone(&mut self) -> Option<Milestone> {
        self.milestones.pop_front()
    }

    /// When `handle_timeout` is due, and why.
    pub fn poll_timeout(&self) -> Option<(Instant, &'static str)> {
        self.agenda.next()
    }

    fn client_timeout(&mut self, now: Instant, key: ClientKey) {
        let Some(entry) = self.clients.get_mut(&key) else {
            return;
        };
        let Some(timer) = entry.timers().take_due(now) else {
            return self.arm_client(key);
        };
        let due = match &mut entry.machine {
            ClientMachine::Invite { machine, .. } => machine.handle_timeout(now, timer),
            ClientMachine::Other { machine } => machine.handle_timeout(now, &self.intervals, timer),
        };
        match due {
            Due::Repeat => {
                let (usage, hop) = (entry.usage, entry.hop);
                let (request, label) = (entry.request.clone(), entry.label);
                self.transmit(usage, hop, request, label, Again::Repeated);
                self.arm_client(key);
            }
            Due::GiveUp => {
                let status = if entry.is_adrift() { 503 } else { 408 };
                self.give_up(now, key, status);
            }
            Due::Over => {
                self.close_client(key);
            }
        }
    }

    /// A request of ours will not be answered: 408 where nothing came in time, 503 where it could not be sent (RFC 3261 section 8.1.3.1).
    fn give_up(&mut self, now: Instant, key: ClientKey, status: u16) {
        let Some(entry) = self.close_client(key) else {
            return;
        };
        if let Task::Outside { sent, .. } = entry.task {
            return self.answered(sent, status, None);
        }
        let Some(id) = entry.usage else { return };
        match entry.task {
            Task::Call => self.not_called(now, id, key, status),
            Task::End => {
                self.close_usage(now, id);
                self.events.push_back(Event::ByeDone { dialog: id });
            }
            Task::Change => self.change_answered(now, id, key, status, None),
            Task::Inside(sent) => self.finish_inside(id, sent, status, None),
            // A CANCEL without answer: the INVITE's own timer follows (RFC 3261 section 9.1). A PRACK without: the peer ends its INVITE.
            Task::Cancel | Task::Acknowledge | Task::Outside { .. } => {}
        }
    }

    /// A call of ours has come to nothing, if it is this INVITE that it waits for.
    fn not_called(&mut self, now: Instant, id: DialogId, key: ClientKey, status: u16) {
        let stage = self.usages.get(&id).map(|usage| &usage.stage);
        if matches!(stage, Some(Stage::Calling { client, .. }) if *client == key) {
            self.close_usage(now, id);
            self.events
                .push_back(Event::NoResponse { dialog: id, status });
        }
    }

    fn server_timeout(&mut self, now: Instant, id: ServerId) {
        let Some(entry) = self.servers.get_mut(&id) else {
            return;
        };
        let Some(timer) = entry.timers().take_due(now) else {
            return self.arm_server(id);
        };
        let (due, answer) = match &mut entry.machine {
            ServerMachine::Invite(machine) => (
                machine.handle_timeout(now, &self.intervals, timer),
                machine.handle_invite(),
            ),
            // Timer J, or nobody waits for an answer any more (RFC 4320 section 4.2).
            ServerMachine::Other(_) => (Due::Over, None),
        };
        match (due, answer) {
            (Due::Repeat, Some(answer)) => {
                let (usage, hop, label) = (entry.usage, entry.hop, entry.label);
                self.transmit(usage, hop, answer, label, Again::Repeated);
                self.arm_server(id);
            }
            (Due::Repeat | Due::GiveUp | Due::Over, _) => {
                let usage = entry.usage;
                self.close_server(id);
                // A 2xx may have waited for an answer that the application never gave.
                if let Some(usage) = usage {
                    self.ring_on(now, usage);
                }
            }
        }
    }

    /// Sends a request of ours for the first time and keeps its transaction.
    fn open_client(&mut self, now: Instant, key: ClientKey, mut entry: ClientEntry) {
        self.prove_unasked(key, &mut entry);
        self.switch_over_size(now, &mut entry);
        self.transmit(
            entry.usage,
            entry.hop,
            entry.request.clone(),
            entry.label,
            Again::First,
        );
        self.clients.insert(key, entry);
        self.arm_client(key);
    }

    fn close_client(&mut self, key: ClientKey) -> Option<ClientEntry> {
        let entry = self.clients.remove(&key)?;
        self.agenda.forget(Owner::Client(key), entry.due);
        Some(entry)
    }

    fn close_server(&mut self, id: ServerId) {
        let Some(entry) = self.servers.remove(&id) else {
            return;
        };
        self.agenda.forget(Owner::Server(id), entry.due);
        self.held_bytes -= entry.held_bytes;
        self.server_keys.remove(&entry.key);
        if self.merged.get(&entry.identity) == Some(&id) {
            self.merged.remove(&entry.identity);
        }
        // The application never answered; the peer has given up (RFC 4320 section 4.2).
        let usage = entry.usage.and_then(|usage| self.usages.get_mut(&usage));
        if let Some(session) = usage.and_then(|usage| usage.session_asked(id)) {
            session.asked = None;
            session.turn.settle();
        }
    }

    fn arm_client(&mut self, key: ClientKey) {
        let Some(entry) = self.clients.get_mut(&key) else {
            return;
        };
        let mut due = entry.due;
        self.agenda
            .arm(Owner::Client(key), &mut due, entry.timers());
        entry.due = due;
    }

    fn arm_server(&mut self, id: ServerId) {
        let Some(entry) = self.servers.get_mut(&id) else {
            return;
        };
        let mut due = entry.due;
        self.agenda.arm(Owner::Server(id), &mut due, entry.timers());
        entry.due = due;
    }

    fn id(&mut self) -> u64 {
        self.next_id += 1;
        self.next_id
    }

    /// The To tag of an answer without state: the same for each repetition of the request (RFC 3261 section 8.2.7).
    fn stateless_tag(&self, request: &Message) -> Token {
        let mut hasher = DefaultHasher::new();
        self.secret.hash(&mut hasher);
        request.call_id().hash(&mut hasher);
        request
            .value(crate::header::HeaderName::From)
            .hash(&mut hasher);
        request
            .value(crate::header::HeaderName::CSeq)
            .hash(&mut hasher);
        Token(hasher.finish())
    }

    fn transmit(
        &mut self,
        usage: Option<DialogId>,
        hop: Hop,
        payload: Bytes,
        label: Label,
        again: Again,
    ) {
        self.milestones.push_back(Milestone {
            dialog: usage,
            passage: Passage::Sent,
            remote: hop.remote,
            line: label.line(again),
        });
        self.transmits.push_back(Transmit { hop, payload });
    }

    fn heard(&mut self, usage: Option<DialogId>, hop: Hop, label: Label, again: Again) {
        self.milestones.push_back(Milestone {
            dialog: usage,
            passage: Passage::Received,
            remote: hop.remote,
            line: label.line(again),
        });
    }
}

impl fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Endpoint")
            .field("usages", &self.usages.len())
            .field("clients", &self.clients.len())
            .field("servers", &self.servers.len())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod network_tests;
#[cfg(test)]
mod tests;
