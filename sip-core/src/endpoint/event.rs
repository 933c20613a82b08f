//! What goes into an [`Endpoint`](super::Endpoint) and what comes out, as plain types.
//!
//! Nothing here prints a peer's text.

use std::{fmt, net::SocketAddr, time::Duration};

use bytes::Bytes;

use crate::{
    hop::{Hop, Transport},
    message::Message,
    peer::PeerId,
};

/// Further headers of a message, each a name and a value; written as they come, CR and LF become spaces.
pub type Headers = Vec<(&'static str, String)>;

/// One INVITE usage, incoming or outgoing, from its INVITE to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct DialogId(pub u64);

/// A request that waits for the application's answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct RequestId(pub u64);

/// A request of ours other than INVITE, until its `Answered`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct SentId(pub u64);

/// A provisional answer as it is to be given.
#[derive(Clone)]
pub struct Ring {
    /// 101..=199.
    pub status: u16,
    /// The reason phrase.
    pub phrase: String,
    /// Further headers.
    pub headers: Headers,
    /// The session description.
    pub body: Option<Bytes>,
    /// A caller that does not know reliable answers gets it once; one that requires them gets it so anyhow.
    pub delivery: Delivery,
}

/// How a provisional answer is given (RFC 3262 section 3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Delivery {
    /// Once, and nobody knows whether it arrives.
    Once,
    /// It is repeated until its PRACK comes.
    Reliable,
}

impl Ring {
    /// One without headers and body, given once.
    pub fn plain(status: u16, phrase: &str) -> Ring {
        Ring {
            status,
            phrase: phrase.to_owned(),
            headers: Vec::new(),
            body: None,
            delivery: Delivery::Once,
        }
    }
}

impl fmt::Debug for Ring {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ring")
            .field("status", &self.status)
            .field("has_body", &self.body.is_some())
            .field("delivery", &self.delivery)
            .finish_non_exhaustive()
    }
}

/// What happens to a re-INVITE of ours that meets one of the peer's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Glare {
    /// The 491 is told: somebody else's offer is being passed on, and must hear it.
    Report,
    /// It is sent again after the times of RFC 3261 section 14.1.
    Repeat,
}

/// A request to send inside a dialog: INFO, NOTIFY, REFER, MESSAGE, or a method nobody here knows.
#[derive(Clone)]
pub struct InDialog {
    /// The method.
    pub method: String,
    /// Further headers.
    pub headers: Headers,
    /// Content type and body.
    pub body: Option<(String, Bytes)>,
}

impl fmt::Debug for InDialog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("InDialog")
            .field("headers", &self.headers.len())
            .field("has_body", &self.body.is_some())
            .finish_non_exhaustive()
    }
}

/// A request to send outside every dialog: REGISTER, OPTIONS.
#[derive(Clone)]
pub struct Outside {
    /// Who is asked: only its answers count, and only its settings hold the credentials that are shown.
    pub peer: PeerId,
    /// Which way it goes.
    pub hop: Hop,
    /// The method.
    pub method: String,
    /// The Request-URI; of a REGISTER the registrar's domain.
    pub request_uri: String,
    /// From, without tag.
    pub from: NameAddrText,
    /// To, without tag; of a REGISTER the address of record.
    pub to: NameAddrText,
    /// The user part of our Contact; none is fine.
    pub contact_user: Option<String>,
    /// Further headers: Expires, Supported.
    pub headers: Headers,
    /// Requests of one series to one peer have one Call-ID and rising numbers.
    pub series: u64,
    /// How long to wait where nothing at all comes back; none, and never longer than: 64*T1 (RFC 3261 section 17.1.2.2).
    pub patience: Option<Duration>,
}

impl fmt::Debug for Outside {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Outside")
            .field("peer", &self.peer)
            .field("hop", &self.hop)
            .field("series", &self.series)
            .finish_non_exhaustive()
    }
}

/// What names a dialog to its other side (RFC 3261 section 12). `Debug` shows its shape only.
#[derive(Clone, PartialEq, Eq)]
pub struct DialogName {
    /// The Call-ID.
    pub call_id: String,
    /// Our tag.
    pub local_tag: String,
    /// The other side's tag.
    pub remote_tag: String,
}

impl fmt::Debug for DialogName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DialogName")
            .field("call_id_bytes", &self.call_id.len())
            .finish_non_exhaustive()
    }
}

/// Timers and limits of an endpoint.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The round-trip estimate. RFC 3261 section 17.1.1.1 asks for 500 ms.
    pub t1: Duration,
    /// The longest interval between repetitions. RFC 3261 section 17.1.2.2 asks for 4 s.
    pub t2: Duration,
    /// How long a message may live in the network. RFC 3261 section 17.1.2.2 asks for 5 s.
    pub t4: Duration,
    /// Server transactions held at once; beyond, a new request gets a stateless 503.
    pub max_transactions: usize,
    /// INVITE usages held at once; beyond, a new INVITE gets a stateless 503.
    pub max_dialogs: usize,
    /// Where we listen: what our Via and Contact say when a peer's Contact names another transport, or another family of addresses, than its call came by.
    ///
    /// Without any, the address a message came to is taken for every transport.
    pub listeners: Vec<(Transport, SocketAddr)>,
}

impl Default for Settings {
    fn default() -> Self {
        Settings {
            t1: Duration::from_millis(500),
            t2: Duration::from_secs(4),
            t4: Duration::from_secs(5),
            max_transactions: 131_072,
            max_dialogs: 16_384,
            listeners: Vec::new(),
        }
    }
}

/// A party as it is to be written: display name (unquoted) and URI.
#[derive(Clone, PartialEq, Eq)]
pub struct NameAddrText {
    /// The display name, without quotes; escaped when written.
    pub display: Option<String>,
    /// The URI, without angle brackets.
    pub uri: String,
}

impl fmt::Debug for NameAddrText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NameAddrText")
            .field("display", &self.display.is_some())
            .field("uri_bytes", &self.uri.len())
            .finish()
    }
}

/// A new INVITE to send.
#[derive(Clone)]
pub struct Invite {
    /// Who is called: only answers and requests of this peer belong to the call.
    pub peer: PeerId,
    /// Which way it goes.
    pub hop: Hop,
    /// The Request-URI.
    pub request_uri: String,
    /// From, without tag.
    pub from: NameAddrText,
    /// To, without tag.
    pub to: NameAddrText,
    /// The user part of our Contact; none is fine.
    pub contact_user: Option<String>,
    /// The session description.
    pub body: Option<Bytes>,
    /// Further headers, as the application wants them. A Route is what the INVITE's way begins with (RFC 3608).
    pub headers: Headers,
    /// Max-Forwards; the application has counted down already.
    pub max_forwards: u8,
    /// How long nothing at all may come back before the application is told.
    pub patience: Option<Duration>,
    /// Whether the callee must make its provisional answers reliable (RFC 3262).
    pub require_reliable: bool,
}

impl fmt::Debug for Invite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Invite")
            .field("peer", &self.peer)
            .field("hop", &self.hop)
            .finish_non_exhaustive()
    }
}

/// A message to send.
#[derive(Clone, PartialEq, Eq)]
pub struct Transmit {
    /// Which way.
    pub hop: Hop,
    /// The message.
    pub payload: Bytes,
}

impl fmt::Debug for Transmit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Transmit")
            .field("hop", &self.hop)
            .field("bytes", &self.payload.len())
            .finish()
    }
}

/// How much of what a peer sent was no message.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Malformed {
    /// Requests that were answered 400.
    pub answered: u64,
    /// What could not be answered: silence.
    pub dropped: u64,
}

/// One message that was sent or received, for ladders; it holds no text of a peer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Milestone {
    /// The usage it belongs to, where there is one.
    pub dialog: Option<DialogId>,
    /// Which way it went.
    pub passage: Passage,
    /// The other side.
    pub remote: SocketAddr,
    /// What it was: `INVITE (sdp)`, `200 INVITE (sdp)`, `INVITE (sdp) again`.
    pub line: String,
}

/// Which way a message went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Passage {
    /// It is ours.
    Sent,
    /// It is the other side's.
    Received,
}

/// What happened and the application should know.
#[derive(Clone)]
pub enum Event {
    /// A new call arrived; 100 has been sent. Answer by `ring`, `accept` or `reject`.
    Invited {
        /// The new usage.
        dialog: DialogId,
        /// Who sent it.
        peer: PeerId,
        /// Which way it came.
        hop: Hop,
        /// The INVITE.
        request: Message,
    },
    /// The ACK for our 2xx to the first INVITE arrived.
    Acked {
        /// The usage.
        dialog: DialogId,
        /// The body of the ACK (an answer to a delayed offer).
        body: Option<Bytes>,
    },
    /// No ACK came within 64*T1 (RFC 3261 section 13.3.1.4); the application should send BYE.
    AckMissing {
        /// The usage.
        dialog: DialogId,
    },
    /// The caller gave up before our final answer: 200 to its CANCEL (or early BYE) and 487 to its INVITE are sent. The usage is over.
    Cancelled {
        /// The usage.
        dialog: DialogId,
        /// The CANCEL or BYE, which may say why.
        message: Message,
    },
    /// A provisional answer other than 100 to our INVITE.
    Rang {
        /// The usage.
        dialog: DialogId,
        /// 101..=198; a 199 ends an early dialog and tells no more (RFC 6228 section 4).
        status: u16,
        /// The answer.
        message: Message,
        /// How it was given; the PRACK of a reliable one has been sent.
        delivery: Delivery,
    },
    /// Nothing at all has come back within the INVITE's patience. It goes on until it is cancelled.
    Silent {
        /// The usage.
        dialog: DialogId,
    },
    /// The PRACK of a reliable provisional answer of ours came; 200 has been sent.
    Pracked {
        /// The usage.
        dialog: DialogId,
        /// Its description: the answer to the offer in ours.
        body: Option<Bytes>,
    },
    /// No PRACK came within 64*T1 (RFC 3262 section 3); the application should reject the call.
    PrackMissing {
        /// The usage.
        dialog: DialogId,
    },
    /// The first 2xx to our INVITE; its ACK has been sent.
    Accepted {
        /// The usage.
        dialog: DialogId,
        /// The answer.
        message: Message,
    },
    /// A 2xx that crossed our CANCEL: it was ACKed and ended by BYE here. The usage is over.
    AcceptedLate {
        /// The usage.
        dialog: DialogId,
        /// The answer.
        message: Message,
    },
    /// A final answer of 300..=699 to our INVITE; its ACK has been sent. The usage is over.
    Rejected {
        /// The usage.
        dialog: DialogId,
        /// 300..=699; 487 after a `cancel`.
        status: u16,
        /// The answer.
        message: Message,
    },
    /// Our INVITE got no final answer (timer B, 64*T1 after CANCEL, or the peer cannot be reached). The usage is over.
    NoResponse {
        /// The usage.
        dialog: DialogId,
        /// What stands for the answer (RFC 3261 section 8.1.3.1): 408 where none came in time, 503 where it could not be sent; 400 where it made
        /// no message.
        status: u16,
    },
    /// The other side sent BYE; 200 has been sent. The usage is over.
    Ended {
        /// The usage.
        dialog: DialogId,
        /// The BYE.
        message: Message,
    },
    /// Our BYE was answered, or nobody will answer it any more. The usage is over.
    ByeDone {
        /// The usage.
        dialog: DialogId,
    },
    /// An INVITE inside a dialog; answer by `respond`.
    Reinvited {
        /// The usage.
        dialog: DialogId,
        /// What to answer.
        request: RequestId,
        /// The INVITE.
        message: Message,
    },
    /// A `Reinvited` was cancelled before it was answered (RFC 3261 section 9.2): 200 to the CANCEL and 487 to it are sent.
    Withdrawn {
        /// The usage.
        dialog: DialogId,
        /// What needs no answer any more.
        request: RequestId,
    },
    /// The ACK for our 2xx to an INVITE inside a dialog arrived.
    Reacked {
        /// The usage.
        dialog: DialogId,
        /// The body of the ACK (the answer to an offer of ours).
        body: Option<Bytes>,
    },
    /// An UPDATE or PRACK with an offer; answer by `respond`.
    Updated {
        /// The usage.
        dialog: DialogId,
        /// What to answer.
        request: RequestId,
        /// The request.
        message: Message,
    },
    /// Our `reinvite` or `update` was taken; an ACK has been sent.
    Modified {
        /// The usage.
        dialog: DialogId,
        /// The 2xx.
        message: Message,
    },
    /// Our `reinvite` or `update` was refused, and what stood before stands on; an ACK has been sent.
    ///
    /// After 408 and 481 the other side has no dialog any more: the application should end it (RFC 3261 section 12.2.1.2).
    NotModified {
        /// The usage.
        dialog: DialogId,
        /// 300..=699; 491 without message if an exchange of offers was under way here or another callee has answered, 408 without one if nobody answered, 503
        /// without one if it could not be sent.
        status: u16,
        /// The answer.
        message: Option<Message>,
    },
    /// No refresh came in time, or ours failed (RFC 4028 section 10); the application should send BYE.
    SessionExpired {
        /// The usage.
        dialog: DialogId,
    },
    /// A request of ours other than INVITE, UPDATE and BYE is over.
    Answered {
        /// The usage it was sent in, where it was sent in one.
        dialog: Option<DialogId>,
        /// Which one.
        sent: SentId,
        /// 200..=699; 408 without message if nobody answered, 503 without one if it could not be sent.
        status: u16,
        /// The answer.
        message: Option<Message>,
    },
    /// Another request (OPTIONS, INFO, REFER, NOTIFY); answer by `respond`.
    Requested {
        /// The usage it came in, where it came in one.
        dialog: Option<DialogId>,
        /// What to answer.
        request: RequestId,
        /// Who sent it.
        peer: PeerId,
        /// Which way it came.
        hop: Hop,
        /// The request.
        message: Message,
    },
}

impl Event {
    /// The usage an event belongs to; none for a request outside of any.
    pub fn dialog(&self) -> Option<DialogId> {
        match self {
            Event::Invited { dialog, .. }
            | Event::Acked { dialog, .. }
            | Event::AckMissing { dialog }
            | Event::Cancelled { dialog, .. }
            | Event::Rang { dialog, .. }
            | Event::Silent { dialog }
            | Event::Pracked { dialog, .. }
            | Event::PrackMissing { dialog }
            | Event::Reacked { dialog, .. }
            | Event::Updated { dialog, .. }
            | Event::Modified { dialog, .. }
            | Event::NotModified { dialog, .. }
            | Event::SessionExpired { dialog }
            | Event::Accepted { dialog, .. }
            | Event::AcceptedLate { dialog, .. }
            | Event::Rejected { dialog, .. }
            | Event::NoResponse { dialog, .. }
            | Event::Ended { dialog, .. }
            | Event::ByeDone { dialog }
            | Event::Withdrawn { dialog, .. }
            | Event::Reinvited { dialog, .. } => Some(*dialog),
            Event::Requested { dialog, .. } | Event::Answered { dialog, .. } => *dialog,
        }
    }

    /// The event's name, for traces.
    pub fn name(&self) -> &'static str {
        match self {
            Event::Invited { .. } => "Invited",
            Event::Acked { .. } => "Acked",
            Event::AckMissing { .. } => "AckMissing",
            Event::Cancelled { .. } => "Cancelled",
            Event::Rang { .. } => "Rang",
            Event::Silent { .. } => "Silent",
            Event::Pracked { .. } => "Pracked",
            Event::PrackMissing { .. } => "PrackMissing",
            Event::Reacked { .. } => "Reacked",
            Event::Updated { .. } => "Updated",
            Event::Modified { .. } => "Modified",
            Event::NotModified { .. } => "NotModified",
            Event::SessionExpired { .. } => "SessionExpired",
            Event::Answered { .. } => "Answered",
            Event::Accepted { .. } => "Accepted",
            Event::AcceptedLate { .. } => "AcceptedLate",
            Event::Rejected { .. } => "Rejected",
            Event::NoResponse { .. } => "NoResponse",
            Event::Ended { .. } => "Ended",
            Event::ByeDone { .. } => "ByeDone",
            Event::Reinvited { .. } => "Reinvited",
            Event::Withdrawn { .. } => "Withdrawn",
            Event::Requested { .. } => "Requested",
        }
    }
}

impl fmt::Debug for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct(self.name())
            .field("dialog", &self.dialog())
            .finish_non_exhaustive()
    }
}
