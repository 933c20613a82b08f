//! Why a description cannot be used.

use thiserror::Error;

use super::{MAX_BODY_BYTES, MAX_MEDIA_LINES};
use crate::command::Fault;

/// Why a description cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum SdpFault {
    /// Larger than we read.
    #[error("description of {found} bytes, expected at most {MAX_BODY_BYTES}; refusing it")]
    Large {
        /// Its bytes.
        found: usize,
    },
    /// No session description, or a line in it is broken.
    #[error("description is broken at line {line}, expected RFC 8866; refusing it")]
    Malformed {
        /// The line, from 1; 0 when a whole part is missing.
        line: usize,
    },
    /// More media lines than we read.
    #[error("{found} media lines, expected at most {MAX_MEDIA_LINES}; refusing the description")]
    Crowded {
        /// Their number.
        found: usize,
    },
    /// No audio line, or each has port 0.
    #[error("no audio line with a port, expected one; refusing the description")]
    NoAudio,
    /// Only a fax: T.38 takes the place of the speech.
    #[error("a T.38 fax line and no speech, expected an audio line; refusing the description")]
    Fax,
    /// Audio only over a transport we do not speak, such as UDP/TLS/RTP/SAVP.
    #[error(
        "audio over a transport that is neither RTP/AVP nor RTP/SAVP; refusing the description"
    )]
    Transport,
    /// Secure audio without a key in the description.
    #[error("RTP/SAVP without a crypto line, expected one of RFC 4568; refusing the description")]
    NoKey,
    /// Secure audio with keys none of which can be used.
    #[error(
        "RTP/SAVP without a crypto line we can use, expected one key of AES_CM_128_HMAC_SHA1_80 or _32, or \
         AEAD_AES_128_GCM or _256_GCM, and no parameters that change the protection; refusing the description"
    )]
    NoSuite,
    /// Audio only in codecs we do not have.
    #[error("no audio codec in common, expected PCMU or PCMA at 8000 Hz; refusing the description")]
    NoCodec,
    /// The connection address is missing or no IP address.
    #[error("connection address is missing or no IP address; refusing the description")]
    NoAddress,
    /// The connection address is one that nobody can be called at.
    #[error(
        "connection address is multicast or broadcast, expected one host; refusing the description"
    )]
    NoHost,
    /// The RTP port leaves no port for RTCP, or `a=rtcp` names port 0.
    #[error("port cannot be used for RTP with RTCP beside it; refusing the description")]
    Port,
}

impl SdpFault {
    /// Whose fault it is: always the peer's.
    #[must_use]
    pub fn fault(&self) -> Fault {
        Fault::Peer
    }
}
