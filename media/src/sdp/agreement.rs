//! What offer and answer agreed for one leg.

use std::{net::SocketAddr, time::Duration};

use super::{Codec, Crypto, Direction, Local, RemoteMedia};

/// What one leg is opened with: the agreement of offer and answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StreamSettings {
    /// Where we send RTP, and the only address we take RTP from. Where it is unspecified (the peer holds in the old way),
    /// an open leg keeps the address it had, and a new one takes nothing.
    pub remote_rtp: SocketAddr,
    /// The same for RTCP.
    pub remote_rtcp: SocketAddr,
    /// What we send.
    pub codec: Codec,
    /// The peer's payload type for it.
    pub payload_type: u8,
    /// The peer's payload type for keypad events, if agreed.
    pub events: Option<u8>,
    /// The peer's payload type for comfort noise, if agreed.
    pub noise: Option<u8>,
    /// Packet time of what we make ourselves, 10 to 60.
    pub ptime_ms: u16,
    /// Who sends, seen from us: nothing goes out, and nothing is taken, where it was not agreed.
    pub direction: Direction,
    /// The keys of both ways; without, the stream is plain RTP.
    pub crypto: Option<Box<Crypto>>,
    /// Time without RTP after which the leg is reported silent; without, it never is.
    pub silence: Option<Duration>,
    /// The differentiated services code point of what we send, 0 to 63 (RFC 2474).
    pub dscp: u8,
}

impl StreamSettings {
    /// The settings of a leg on which the peer wrote `remote` and we wrote `local`, once `codec` is agreed; whose of the
    /// two was the offer does not matter. Nobody listens for silence, and packets are not marked.
    ///
    /// `None` when the peer does not have the codec, or when only one side is secure, or no key of both belongs together.
    #[must_use]
    pub fn agreed(remote: &RemoteMedia, local: &Local, codec: Codec) -> Option<StreamSettings> {
        let payload_type = remote.payload_type(codec)?;
        let crypto = match (remote.secure, local.crypto.is_empty()) {
            (false, true) => None,
            (true, false) => Some(Box::new(Crypto::agreed(&local.crypto, &remote.crypto)?)),
            (false, false) | (true, true) => return None,
        };
        Some(StreamSettings {
            remote_rtp: remote.rtp,
            remote_rtcp: remote.rtcp,
            codec,
            payload_type,
            events: remote.events,
            noise: remote.noise.filter(|_| local.noise),
            ptime_ms: remote.ptime_ms,
            direction: local.direction.and(remote.direction.answered()),
            crypto,
            silence: None,
            dscp: 0,
        })
    }
}
