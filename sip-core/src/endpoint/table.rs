//! The entries of the endpoint's tables: transactions of both directions and INVITE usages.

use std::time::{Duration, Instant};

use bytes::Bytes;

use super::{
    event::{DialogId, Headers, SentId},
    label::Label,
    proof::Proof,
    session::Session,
};
use crate::{
    header::Method,
    hop::{Hop, Transport},
    message::Message,
    peer::PeerId,
    session_timer::SessionTimer,
    timer::{Intervals, TimerTable, UsageTimers},
    token::Token,
    transaction::{
        client::Client, invite_client::InviteClient, invite_server::InviteServer, server::Server,
    },
};

/// Whose timer it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Owner {
    Client(ClientKey),
    Server(ServerId),
    Usage(DialogId),
}

/// What an answer names: our branch, and whether it answers a CANCEL (RFC 3261 section 17.1.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct ClientKey {
    pub(super) branch: Token,
    pub(super) target: ClientTarget,
}

/// A CANCEL shares the branch of what it cancels (RFC 3261 section 9.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum ClientTarget {
    Request,
    Cancel,
}

/// A request of ours.
pub(super) struct ClientEntry {
    pub(super) machine: ClientMachine,
    /// What was sent; empty once it needs no repetition.
    pub(super) request: Bytes,
    pub(super) usage: Option<DialogId>,
    /// What its answer means.
    pub(super) task: Task,
    /// Whose answers count.
    pub(super) peer: PeerId,
    pub(super) hop: Hop,
    /// Which way it goes if nobody is there by `hop`.
    pub(super) alternate: Option<Hop>,
    pub(super) proof: Proof,
    pub(super) label: Label,
    pub(super) due: Option<Instant>,
}

/// What a request of ours is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Task {
    /// An INVITE that begins a usage.
    Call,
    /// The CANCEL of an INVITE.
    Cancel,
    /// A BYE.
    End,
    /// A re-INVITE or UPDATE.
    Change,
    /// A PRACK.
    Acknowledge,
    /// A request of the application's inside a dialog.
    Inside(SentId),
    /// A request of the application's outside every dialog.
    Outside { sent: SentId, series: u64 },
}

pub(super) enum ClientMachine {
    Invite {
        machine: InviteClient,
        /// The ACK of the failure, to be repeated.
        ack: Bytes,
        /// The ACK of each 2xx, by the callee's tag, to be repeated (RFC 3261 section 13.2.2.4).
        forks: Vec<Fork>,
        /// The highest number used in an early dialog, so that the BYE of another fork is above it.
        last_cseq: u32,
        /// What its CANCEL says in Reason.
        reason: Option<String>,
    },
    Other {
        machine: Client,
    },
}

impl ClientMachine {
    /// Begins the transaction of a request of this method, which has just been sent.
    pub(super) fn start(
        now: Instant,
        intervals: &Intervals,
        method: &Method,
        transport: Transport,
    ) -> ClientMachine {
        match method {
            Method::Invite => {
                ClientMachine::of_invite(InviteClient::start(now, intervals, transport))
            }
            _ => ClientMachine::Other {
                machine: Client::start(now, intervals, transport),
            },
        }
    }

    /// That of an INVITE, which nobody has answered.
    pub(super) fn of_invite(machine: InviteClient) -> ClientMachine {
        ClientMachine::Invite {
            machine,
            ack: Bytes::new(),
            forks: Vec::new(),
            last_cseq: 0,
            reason: None,
        }
    }
}

/// A callee that answered 2xx.
pub(super) struct Fork {
    pub(super) tag: Vec<u8>,
    pub(super) ack: Bytes,
    pub(super) hop: Hop,
}

/// The most callees of one INVITE that are ACKed; a further 2xx is ignored.
pub(super) const MAX_FORKS: usize = 16; // Law 5; a department's ring group is smaller.

impl ClientEntry {
    pub(super) fn timers(&mut self) -> &mut TimerTable {
        match &mut self.machine {
            ClientMachine::Invite { machine, .. } => &mut machine.timers,
            ClientMachine::Other { machine } => &mut machine.timers,
        }
    }

    pub(super) fn is_unheard(&self) -> bool {
        match &self.machine {
            ClientMachine::Invite { machine, .. } => machine.is_unheard(),
            ClientMachine::Other { machine } => machine.is_unheard(),
        }
    }

    /// Takes what the CANCEL of an INVITE is to say in Reason.
    pub(super) fn give_reason(&mut self, why: Option<&str>) {
        if let ClientMachine::Invite { reason, .. } = &mut self.machine {
            *reason = why.map(str::to_owned);
        }
    }

    pub(super) fn is_adrift(&self) -> bool {
        match &self.machine {
            ClientMachine::Invite { machine, .. } => machine.is_adrift(),
            ClientMachine::Other { .. } => false,
        }
    }
}

/// A request of the peer's; also what the application knows as `RequestId`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct ServerId(pub(super) u64);

pub(super) struct ServerEntry {
    pub(super) machine: ServerMachine,
    /// The request, until it is answered.
    pub(super) request: Option<Message>,
    /// What its repetitions look like.
    pub(super) key: Box<[u8]>,
    /// What its CANCEL and its merged copies look like.
    pub(super) identity: Box<[u8]>,
    pub(super) usage: Option<DialogId>,
    /// Who sent it.
    pub(super) peer: PeerId,
    /// Which way it came.
    pub(super) source: Hop,
    /// Which way its answers go.
    pub(super) hop: Hop,
    /// Which way they go once that connection is lost.
    pub(super) alternate: Option<Hop>,
    /// The tag of our To.
    pub(super) tag: Token,
    /// The name of the last answer.
    pub(super) label: Label,
    /// What it keeps of its peer's octets: the request until it is answered, the answer that repeats half of it, the keys.
    pub(super) held_bytes: usize,
    pub(super) due: Option<Instant>,
}

pub(super) enum ServerMachine {
    Invite(InviteServer),
    Other(Server),
}

impl ServerEntry {
    pub(super) fn timers(&mut self) -> &mut TimerTable {
        match &mut self.machine {
            ServerMachine::Invite(machine) => &mut machine.timers,
            ServerMachine::Other(machine) => &mut machine.timers,
        }
    }

    pub(super) fn is_open(&self) -> bool {
        match &self.machine {
            ServerMachine::Invite(machine) => machine.is_open(),
            ServerMachine::Other(machine) => machine.is_open(),
        }
    }
}

/// One INVITE usage.
pub(super) struct Usage {
    pub(super) stage: Stage,
    /// Our tag, by which requests inside the dialog name it.
    pub(super) tag: Token,
    /// With whom it is.
    pub(super) peer: PeerId,
    pub(super) session_timer: SessionTimer,
    /// How many requests of the application's wait for their answer.
    pub(super) inside_count: usize,
    pub(super) timers: UsageTimers,
    pub(super) due: Option<Instant>,
}

pub(super) enum Stage {
    /// Our INVITE has no final answer.
    Calling {
        client: ClientKey,
        call_id: String,
        wish: Wish,
        /// The early dialogs, at most [`MAX_FORKS`]; who spoke last is last.
        forks: Vec<Session>,
    },
    /// The peer's INVITE has no final answer.
    Ringing {
        server: ServerId,
        session: Box<Session>,
        reliability: Reliability,
        held: Option<Held2xx>,
    },
    /// Our 2xx waits for its ACK.
    ExpectAck {
        session: Box<Session>,
        unacked: Box<Unacked2xx>,
        then: Then,
    },
    /// Both sides agree that there is a call.
    Talking { session: Box<Session>, offer: Offer },
    /// Our BYE waits for its answer.
    Closing { session: Box<Session> },
}

/// Whether our provisional answers are reliable (RFC 3262 section 3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reliability {
    /// The caller or we do not know how.
    Never,
    /// Where the application asks for it.
    Possible,
    /// The caller or our settings require it.
    Always,
}

/// A 2xx that waits for a PRACK (RFC 3262 section 3).
pub(super) struct Held2xx {
    pub(super) headers: Headers,
    pub(super) body: Bytes,
}

/// What the application wants of an INVITE without final answer.
pub(super) enum Wish {
    Ring,
    /// CANCEL, as soon as a provisional answer lets it out (RFC 3261 section 9.1).
    Cancel,
}

/// What follows the ACK.
pub(super) enum Then {
    Talk,
    /// BYE (RFC 3261 section 15: not before the ACK).
    HangUp {
        reason: Option<String>,
    },
}

/// A re-INVITE of the peer's.
pub(super) enum Offer {
    None,
    /// The application has not answered.
    Asked {
        server: ServerId,
    },
    /// Our 2xx waits for its ACK.
    ExpectAck {
        unacked: Box<Unacked2xx>,
    },
}

/// A 2xx that is repeated until its ACK comes (RFC 3261 section 13.3.1.4).
pub(super) struct Unacked2xx {
    pub(super) answer: Bytes,
    pub(super) hop: Hop,
    /// Which way it goes once that connection is lost.
    pub(super) alternate: Option<Hop>,
    pub(super) cseq: u32,
    pub(super) interval: Duration,
    pub(super) label: Label,
}

/// What a repetition of a request has in common with it (RFC 3261 section 17.2.3); an ACK finds its INVITE.
///
/// Without a branch of RFC 3261 the parts that RFC 2543 compared stand in for it. What another peer sends is never the same (T-03).
pub(super) fn transaction_key(peer: PeerId, message: &Message, method: &Method) -> Vec<u8> {
    let mut key = Vec::with_capacity(96);
    key.extend_from_slice(&peer.0.to_be_bytes());
    match method {
        Method::Ack => key.extend_from_slice(Method::Invite.as_bytes()),
        other => key.extend_from_slice(other.as_bytes()),
    }
    key.push(0);
    let Ok(via) = message.via() else { return key };
    match via.unique_branch() {
        Some(branch) => key.extend_from_slice(branch),
        None => key.extend_from_slice(&identity(peer, message)),
    }
    key.push(0);
    key.extend_from_slice(via.sent_by.as_bytes());
    key
}

/// What the copies of one request have in common that came by several ways (RFC 3261 section 8.2.2.2), and its CANCEL.
pub(super) fn identity(peer: PeerId, message: &Message) -> Vec<u8> {
    let mut identity = Vec::with_capacity(96);
    identity.extend_from_slice(&peer.0.to_be_bytes());
    identity.extend_from_slice(message.call_id());
    identity.push(0);
    identity.extend_from_slice(
        message
            .from()
            .ok()
            .and_then(|from| from.tag())
            .unwrap_or_default(),
    );
    identity.push(0);
    let number = message.cseq().map_or(0, |cseq| cseq.number);
    identity.extend_from_slice(&number.to_be_bytes());
    identity
}
