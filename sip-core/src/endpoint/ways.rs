//! Ways to a peer: what happens when one is lost, and when a request is too long for its own.
//!
//! Follows RFC 3261 sections 17.1.4, 18.1.1, 18.2.2 and 18.4.

use std::time::Instant;

use bytes::Bytes;

use super::{
    Endpoint,
    event::DialogId,
    label::{Again, Label},
    session::{Aim, Change},
    table::{
        ClientEntry, ClientKey, ClientMachine, Fork, Offer, ServerId, ServerMachine, Stage, Task,
        Usage, Wish,
    },
};
use crate::{
    draft::Draft,
    hop::{Hop, Loss, Transport},
    message::Message,
    timer::Intervals,
    token::Token,
    transaction::{client::Client, invite_client::InviteClient},
    via,
};

/// A longer request may be cut into pieces on its way, which many firewalls do not pass (RFC 3261 section 18.1.1).
const MAX_DATAGRAM_BYTES: usize = 1300;

/// What a way was lost by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Lost {
    /// Nobody is there.
    Nobody,
    /// A connection that stood has ended; another may be made.
    Connection,
    /// The peer has closed its direction of a connection: another to that port of its would find nobody.
    Direction,
}

impl Endpoint {
    /// Takes the report that messages by `hop` find nobody.
    ///
    /// A request that nothing at all has come back to goes its other way at once, if it has one: by UDP if it went over TCP for its length, by the way its
    /// dialog came if the Contact named another, once more by a new connection if its own had died unnoticed. Else it is over (RFC 3261
    /// section 17.1.4), as if it had been answered 503; so is at once an INVITE that the application has given up. But an INVITE may have been
    /// heard: who answers it all the same is cancelled, or is ACKed and hears BYE, and a re-INVITE waits for its answer as long as ever, unless it
    /// merely refreshes the session. Answers go to where their caller listens.
    pub fn handle_loss(&mut self, now: Instant, hop: Hop, loss: Loss) {
        self.speak_elsewhere(hop);
        for usage in self.usages.values_mut() {
            usage.lose_answer(hop);
        }
        self.ack_by_another_way(hop);
        let lost = match loss {
            Loss::Unreachable => Lost::Nobody,
            Loss::Broken => Lost::Connection,
        };
        self.ask_elsewhere(now, hop, lost);
        if hop.transport.is_reliable() {
            self.answer_by_another_way(hop);
        }
    }

    /// Takes the report that the peer has closed its direction of a connection: it answers by it no request any more, and may still read
    /// answers, which go on by it.
    ///
    /// A request that nothing at all has come back to goes its other way, or is given up, as by [`Endpoint::handle_loss`].
    pub fn handle_closed(&mut self, now: Instant, hop: Hop) {
        self.speak_elsewhere(hop);
        self.ask_elsewhere(now, hop, Lost::Direction);
    }

    /// Lets further requests of dialogs go another way than by `hop`.
    fn speak_elsewhere(&mut self, hop: Hop) {
        for session in self.usages.values_mut().flat_map(Usage::sessions) {
            session.dialog.lose(hop);
        }
    }

    /// Gives requests that went by `hop` unheard their other way, or gives them up.
    fn ask_elsewhere(&mut self, now: Instant, hop: Hop, lost: Lost) {
        let is_lost = |entry: &ClientEntry| entry.hop == hop && entry.is_unheard();
        let keys: Vec<ClientKey> = self
            .clients
            .iter()
            .filter(|(_, entry)| is_lost(entry))
            .map(|(key, _)| *key)
            .collect();
        for key in keys {
            if self.is_given_up(key) || !self.ask_by_another_way(now, key, lost) {
                self.set_adrift(now, key);
            }
        }
    }

    /// No way is left for a request. Whoever has heard an INVITE may answer it yet, by a connection of its own: its transaction waits for
    /// that. So does the application for a re-INVITE: the peer may have taken our offer, and what was agreed before would not stand any more
    /// (RFC 3261 section 14.1). Of anything else it learns at once, and calls somebody else.
    fn set_adrift(&mut self, now: Instant, key: ClientKey) {
        let Some(entry) = self.clients.get_mut(&key) else {
            return;
        };
        let ClientMachine::Invite { machine, .. } = &mut entry.machine else {
            return self.give_up(now, key, 503);
        };
        machine.set_adrift();
        // What was its other way is no way of a dialog that it may yet begin.
        entry.alternate = None;
        let (usage, task) = (entry.usage, entry.task);
        self.arm_client(key);
        match (usage, task) {
            (Some(id), Task::Call) => {
                self.abandon_invite(now, key);
                self.not_called(now, id, key, 503);
            }
            // The session would not last until a refresh is given up by itself; whoever has heard it learnt nothing new.
            (Some(id), _) if self.is_refresh(id, key) => {
                self.change_answered(now, id, key, 503, None);
            }
            // Given up before, or not yet.
            (None | Some(_), _) => {}
        }
    }

    fn is_refresh(&mut self, id: DialogId, key: ClientKey) -> bool {
        let usage = self.usages.get_mut(&id);
        usage.is_some_and(|usage| {
            let mut sessions = usage.sessions().iter_mut();
            sessions.any(|session| session.change.is_refresh_by(key))
        })
    }

    /// Whether nobody wants the answer to an INVITE any more: by another way it would ring for nobody, and its CANCEL might come too late.
    pub(super) fn is_given_up(&mut self, key: ClientKey) -> bool {
        let entry = self.clients.get(&key);
        let Some(ClientMachine::Invite { .. }) = entry.map(|entry| &entry.machine) else {
            return false;
        };
        let usage = entry.and_then(|entry| entry.usage);
        let usage = usage.and_then(|id| self.usages.get_mut(&id));
        usage.is_none_or(|usage| !usage.wants(key))
    }

    /// Sends a request the other way; whether there is one. The same way anew is none where nobody was there.
    fn ask_by_another_way(&mut self, now: Instant, key: ClientKey, lost: Lost) -> bool {
        let intervals = self.intervals;
        let Some(entry) = self.clients.get_mut(&key) else {
            return false;
        };
        let former = entry.hop;
        let other = entry.alternate.take();
        let Some(hop) = other.filter(|hop| *hop != former || lost == Lost::Connection) else {
            return false;
        };
        if !entry.redirect(now, &intervals, hop) {
            return false;
        }
        let (usage, request, label) = (entry.usage, entry.request.clone(), entry.label);
        self.arm_client(key);
        self.transmit(usage, hop, request, label, Again::Repeated);
        true
    }

    /// Sends the ACK of a 2xx whose Contact could not be reached by the way of its INVITE.
    fn ack_by_another_way(&mut self, lost: Hop) {
        let mut acks = Vec::new();
        for entry in self.clients.values_mut() {
            let (usage, came_by) = (entry.usage, entry.came_by());
            let ClientMachine::Invite { forks, .. } = &mut entry.machine else {
                continue;
            };
            let is_lost = |fork: &&mut Fork| fork.hop == lost && came_by != lost;
            for fork in forks.iter_mut().filter(is_lost) {
                if let Some(ack) = by_another_way(&fork.ack, came_by) {
                    fork.hop = came_by;
                    fork.ack = ack.clone();
                    acks.push((usage, came_by, ack));
                }
            }
        }
        for (usage, hop, ack) in acks {
            let label = Label::request("ACK", false);
            self.transmit(usage, hop, ack, label, Again::Repeated);
        }
    }

    /// Answers over a connection that is gone go to where the caller says it listens (RFC 3261 section 18.2.2).
    fn answer_by_another_way(&mut self, lost: Hop) {
        let ids: Vec<ServerId> = self
            .servers
            .iter()
            .filter(|(_, entry)| entry.hop == lost)
            .map(|(id, _)| *id)
            .collect();
        for id in ids {
            let Some(entry) = self.servers.get_mut(&id) else {
                continue;
            };
            let Some(hop) = entry.alternate.take() else {
                continue;
            };
            entry.hop = hop;
            let (usage, label) = (entry.usage, entry.label);
            let answer = match &entry.machine {
                ServerMachine::Invite(machine) => machine.handle_invite(),
                ServerMachine::Other(machine) => machine.handle_request(),
            };
            if let Some(answer) = answer {
                self.transmit(usage, hop, answer, label, Again::Repeated);
            }
        }
    }

    /// Lets a request that is too long for a datagram go over TCP, where the peer's settings say so; UDP stays its other way.
    pub(super) fn switch_over_size(&self, now: Instant, entry: &mut ClientEntry) {
        let settings = self.peers.get(&entry.peer).unwrap_or(&self.any_peer);
        let is_too_long = entry.request.len() > MAX_DATAGRAM_BYTES;
        if entry.hop.transport != Transport::Udp || !is_too_long || !settings.switch_over_mtu {
            return;
        }
        let udp = entry.hop;
        let tcp = self.listeners.hop_to(Transport::Tcp, udp.remote, udp);
        if let Some(tcp) = tcp
            && entry.redirect(now, &self.intervals, tcp)
        {
            entry.alternate = Some(udp);
        }
    }
}

impl Usage {
    /// Whether the application still waits for what this INVITE or re-INVITE of ours asks for.
    pub(super) fn wants(&mut self, key: ClientKey) -> bool {
        if let Stage::Calling { client, wish, .. } = &self.stage
            && *client == key
        {
            return matches!(wish, Wish::Ring);
        }
        let is_wanted = |change: &Change| match change {
            Change::Sent { client, attempt } => *client == key && attempt.aim != Aim::Withdrawn,
            Change::None => false,
        };
        let mut sessions = self.sessions().iter();
        sessions.any(|session| is_wanted(&session.change))
    }

    /// A 2xx of ours over a connection that is gone is repeated to where its caller listens.
    fn lose_answer(&mut self, lost: Hop) {
        let unacked = match &mut self.stage {
            Stage::ExpectAck { unacked, .. }
            | Stage::Talking {
                offer: Offer::ExpectAck { unacked },
                ..
            } => unacked,
            Stage::Calling { .. }
            | Stage::Ringing { .. }
            | Stage::Talking { .. }
            | Stage::Closing { .. } => return,
        };
        if unacked.hop == lost
            && let Some(hop) = unacked.alternate.take()
        {
            unacked.hop = hop;
        }
    }
}

impl ClientEntry {
    /// The way a dialog of this INVITE comes by: the peer's own, whatever its length made it go.
    pub(super) fn came_by(&self) -> Hop {
        if self.task == Task::Call {
            self.alternate.unwrap_or(self.hop)
        } else {
            self.hop
        }
    }

    /// Begins anew by another way, under the same branch: whoever has heard it after all sees one request.
    fn redirect(&mut self, now: Instant, intervals: &Intervals, hop: Hop) -> bool {
        let Some(request) = by_another_way(&self.request, hop) else {
            return false;
        };
        self.request = request;
        self.hop = hop;
        match &mut self.machine {
            ClientMachine::Invite { machine, .. } => {
                *machine = InviteClient::start_again(now, intervals, hop.transport);
            }
            ClientMachine::Other { machine } => {
                *machine = Client::start(now, intervals, hop.transport);
            }
        }
        true
    }
}

/// A request of ours with the Via of another way.
fn by_another_way(request: &Bytes, hop: Hop) -> Option<Bytes> {
    let request = Message::parse(request.clone()).ok()?;
    let branch = request.via().ok()?.branch()?;
    let branch = Token::read(branch.strip_prefix(via::COOKIE.as_bytes())?)?;
    let method = request.method()?;
    let method = std::str::from_utf8(method.as_bytes()).ok()?;
    let cseq = request.cseq().ok()?.number;
    Some(Draft::again(&request, method, hop, branch, cseq, &[]))
}
