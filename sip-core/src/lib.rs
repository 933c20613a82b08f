//! SIP for the exchange: text, transactions, dialogs and one [`Endpoint`] that joins them.
//!
//! Sans-IO: the time is an argument, the generator is seeded; messages go in and come out as bytes, each with the [`Hop`] it travels by.
//! It knows no sockets and not what SDP means. Follows RFC 3261 and RFC 6026, inside a dialog RFCs 3262, 3311 and 4028, for digest RFC 7616. Start at [`Endpoint`].
#![warn(missing_docs)]

mod abilities;
mod dialog;
mod digest;
mod draft;
mod endpoint;
mod fault;
mod framing;
mod header;
mod hop;
mod lexis;
mod message;
mod multipart;
mod peer;
mod reliable;
mod replaces;
mod session_timer;
mod start_line;
mod stream;
#[cfg(test)]
mod testing;
mod timer;
mod token;
mod transaction;
mod turn;
mod uri;
mod via;

pub use endpoint::{
    Delivery, DialogId, DialogName, Endpoint, Event, Glare, Headers, InDialog, Invite, Malformed,
    Milestone, NameAddrText, NewInvite, Outside, Passage, RequestId, Ring, Screened, SentId,
    Settings, Transmit,
};
pub use fault::{Fault, ParseFault, Rule};
pub use header::{CSeq, HeaderName, Method, NameAddr};
pub use hop::{Hop, Loss, Transport};
pub use message::{Message, Refusal};
pub use peer::{Credentials, PeerId, PeerSettings, RefreshMethod, Reliable, SessionSettings};
pub use replaces::Replaces;
pub use stream::{FrameFault, StreamFrames};
pub use uri::{Host, Scheme, Uri};
pub use via::Via;
