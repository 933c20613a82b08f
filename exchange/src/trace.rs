//! The milestones of a call: the one stream that logs, ladders and captures read.

use jiff::Timestamp;
use media::Side;
use rules::CallId;
use sip_core::Passage;

use crate::report::CallReport;

/// Something that happened to a call. It holds no whole number, no name and no text of a peer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TraceEvent {
    /// When.
    pub at: Timestamp,
    /// To which call.
    pub call: CallId,
    /// What.
    pub what: Milestone,
}

/// A milestone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Milestone {
    /// An INVITE came that may become a call: its first milestone.
    Began,
    /// A SIP message, as its start line without addresses: `INVITE (sdp)`.
    Message {
        /// On which leg.
        side: Side,
        /// Which way it went.
        passage: Passage,
        /// What it was.
        line: String,
    },
    /// A stage of the call began, or something of note happened in the house.
    House(String),
    /// It was not taken in; the phrase of the answer that says why. Floods bring many of these, so they are counted rather than told.
    Refused(&'static str),
    /// The call is over, or was never taken in: its last milestone of the house. Messages may still follow.
    Ended(Box<CallReport>),
}

/// Something that happened to a peer. It holds addresses, no number and no text of the peer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PeerEvent {
    /// When.
    pub at: Timestamp,
    /// Its name in the configuration.
    pub peer: String,
    /// What.
    pub what: String,
}
