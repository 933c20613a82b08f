//! Session descriptions: what a peer offers or answers, what we say, and what both agree on.
//!
//! Reading is tolerant (RFC 8866 by the crate `sdp-types`), choosing is strict: G.711 over RTP/AVP, or over RTP/SAVP with
//! a key in the description (RFC 4568); one address. Writing follows RFC 3264: every media line stays in its place, those we
//! do not take with port 0. Read on in [`parse`], [`offer`], [`answer`] and [`crypto`].

mod agreement;
pub mod crypto;
mod fault;
mod reader;
mod writer;

use std::net::SocketAddr;

pub use self::{
    agreement::StreamSettings,
    crypto::{Counted, Crypto, CryptoKey, CryptoLine, CryptoSuite},
    fault::SdpFault,
    reader::parse,
    writer::{answer, offer, reoffer},
};
pub use crate::g711::Codec;

/// Media lines we read; a description with more is refused. Real ones have one or two.
pub const MAX_MEDIA_LINES: usize = 16;
/// The largest description we read. A verbose one with video has about 4 KiB.
pub const MAX_BODY_BYTES: usize = 16 * 1024;
/// Payload type under which our own offers list keypad events; by habit of all (RFC 4733 leaves it dynamic).
pub const EVENTS_PAYLOAD_TYPE: u8 = 101;
/// Payload type of comfort noise (RFC 3389 section 4).
pub const NOISE_PAYLOAD_TYPE: u8 = 13;
/// Packet time when nothing is said (RFC 3551 section 4.5).
pub const DEFAULT_PTIME_MS: u16 = 20;
/// The shortest and longest packet time we send; a wish outside is brought to the nearer end.
pub const PTIME_RANGE_MS: std::ops::RangeInclusive<u16> = 10..=60;

/// What a peer's description says of the one audio stream we use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RemoteMedia {
    /// Which description this is.
    pub origin: Origin,
    /// Where the peer receives RTP. Unspecified where it receives nowhere at present: see [`RemoteMedia::is_reachable`].
    pub rtp: SocketAddr,
    /// Where the peer receives RTCP: one port above, or as `a=rtcp` says (RFC 3605).
    pub rtcp: SocketAddr,
    /// The codecs we know with the peer's payload types, in the peer's order of preference.
    pub codecs: Vec<(Codec, u8)>,
    /// The payload type of keypad events (RFC 4733), if the peer takes them.
    pub events: Option<u8>,
    /// The payload type of comfort noise (RFC 3389), if the peer takes it.
    pub noise: Option<u8>,
    /// Packet time the peer wishes to receive, 10 to 60.
    pub ptime_ms: u16,
    /// Who sends, seen from the peer.
    pub direction: Direction,
    /// Whether the stream is RTP/SAVP: it is answered with a key, or refused, never plain.
    pub secure: bool,
    /// The peer's keys in suites we have, in its order of preference; never empty where `secure`.
    pub crypto: Vec<CryptoLine>,
    /// All media lines in order: an answer and every later offer repeat each.
    pub lines: Vec<MediaLine>,
}

/// Which description of its writer one is (RFC 8866 section 5.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Origin {
    /// The session; an id that is no number is folded into one.
    pub session_id: u64,
    /// Grows with each change.
    pub version: u64,
}

/// One `m=` line as answers and later offers need it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MediaLine {
    /// `audio`, `video`, `image`, ...
    pub media: String,
    /// The port; 0 for a line that is refused or over.
    pub port: u16,
    /// `RTP/AVP`, `udptl`, ...
    pub protocol: String,
    /// Payload types or formats, separated by spaces.
    pub formats: String,
    /// Whether this is the line we use.
    pub is_used: bool,
}

/// Who sends on a stream (RFC 8866 section 6.7), seen from whoever wrote the description.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// Both.
    SendReceive,
    /// Only the writer sends.
    SendOnly,
    /// Only the writer receives.
    ReceiveOnly,
    /// Nobody.
    Inactive,
}

impl Direction {
    /// The same stream seen from its other end: what an answer gives to this offer at most (RFC 3264 section 6.1).
    #[must_use]
    pub fn answered(self) -> Direction {
        Direction::of(self.receives(), self.sends())
    }

    /// Only the ways that both directions have.
    #[must_use]
    pub fn and(self, other: Direction) -> Direction {
        Direction::of(
            self.sends() && other.sends(),
            self.receives() && other.receives(),
        )
    }

    /// Whether the writer sends.
    #[must_use]
    pub fn sends(self) -> bool {
        matches!(self, Direction::SendReceive | Direction::SendOnly)
    }

    /// Whether the writer receives.
    #[must_use]
    pub fn receives(self) -> bool {
        matches!(self, Direction::SendReceive | Direction::ReceiveOnly)
    }

    /// The attribute's name.
    #[must_use]
    pub fn attribute(self) -> &'static str {
        match self {
            Direction::SendReceive => "sendrecv",
            Direction::SendOnly => "sendonly",
            Direction::ReceiveOnly => "recvonly",
            Direction::Inactive => "inactive",
        }
    }

    fn of(sends: bool, receives: bool) -> Direction {
        match (sends, receives) {
            (true, true) => Direction::SendReceive,
            (true, false) => Direction::SendOnly,
            (false, true) => Direction::ReceiveOnly,
            (false, false) => Direction::Inactive,
        }
    }
}

/// Our own side of a description.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Local {
    /// Where we receive RTP; RTCP one port above.
    pub rtp: SocketAddr,
    /// Origin's session id: fixed for the leg, never the other leg's.
    pub session_id: u64,
    /// Origin's version: one more for each changed description (RFC 3264 section 8).
    pub version: u64,
    /// Who sends, seen from us. An answer narrows it to what the offer leaves.
    pub direction: Direction,
    /// Whether we take comfort noise: where the other leg's peer does.
    pub noise: bool,
    /// Packet time an offer asks for: what the other leg's peer wishes, 10 to 60. An answer repeats the offer's.
    pub ptime_ms: u16,
    /// Our keys: none for plain RTP; those of an offer in order of preference; one in an answer.
    pub crypto: Vec<CryptoKey>,
}

impl Local {
    /// The first description of a leg: both send, 20 ms, no comfort noise, plain RTP.
    #[must_use]
    pub fn new(rtp: SocketAddr, session_id: u64) -> Local {
        Local {
            rtp,
            session_id,
            version: 1,
            direction: Direction::SendReceive,
            noise: false,
            ptime_ms: DEFAULT_PTIME_MS,
            crypto: Vec::new(),
        }
    }
}

/// Picks the codec for an answer: the peer's first that is allowed (RFC 3264 section 6.1).
#[must_use]
pub fn choose(remote: &RemoteMedia, allowed: &[Codec]) -> Option<Codec> {
    remote
        .codecs
        .iter()
        .map(|&(codec, _)| codec)
        .find(|codec| allowed.contains(codec))
}

impl RemoteMedia {
    /// The peer's payload type for a codec.
    #[must_use]
    pub fn payload_type(&self, codec: Codec) -> Option<u8> {
        self.codecs
            .iter()
            .find(|&&(listed, _)| listed == codec)
            .map(|&(_, payload_type)| payload_type)
    }

    /// Whether the peer receives anywhere. `c=0.0.0.0` says that it does not, an old form of hold (RFC 3264 section 8.4);
    /// its `direction` says the same then.
    #[must_use]
    pub fn is_reachable(&self) -> bool {
        !self.rtp.ip().is_unspecified()
    }

    /// Whether a fax line is offered beside the speech (T.38, RFC 3362).
    #[must_use]
    pub fn asks_fax(&self) -> bool {
        self.lines.iter().any(MediaLine::is_fax)
    }

    /// Whether a later description of the same peer is another version: only then is it to be negotiated (RFC 3264 section 8).
    #[must_use]
    pub fn is_newer(&self, later: &RemoteMedia) -> bool {
        self.origin != later.origin
    }

    /// Whether a later description of the same peer leaves the stream as it is, whatever its origin's version says.
    ///
    /// Addresses, codecs with their payload types, keypad events, comfort noise, direction, keys, and the kinds of all
    /// media lines.
    #[must_use]
    pub fn changes_nothing(&self, later: &RemoteMedia) -> bool {
        let kinds = |media: &RemoteMedia| -> Vec<(String, bool, bool)> {
            let kind = |line: &MediaLine| {
                let media = line.media.to_ascii_lowercase();
                (media, line.is_used, line.is_fax())
            };
            media.lines.iter().map(kind).collect()
        };
        self.rtp == later.rtp
            && self.rtcp == later.rtcp
            && self.codecs == later.codecs
            && self.events == later.events
            && self.noise == later.noise
            && self.direction == later.direction
            && self.secure == later.secure
            && self.crypto == later.crypto
            && kinds(self) == kinds(later)
    }
}

impl MediaLine {
    /// Whether this line wants a fax now.
    fn is_fax(&self) -> bool {
        self.port != 0 && self.media.eq_ignore_ascii_case("image")
    }
}
