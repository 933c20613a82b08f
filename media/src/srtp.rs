//! SRTP and SRTCP of one leg: what the peer sent is opened, what we send is sealed, in place.
//!
//! The packets' form and the ciphers are `rtc-srtp`'s; here is what keeps it within bounds: state is kept only for senders
//! whose packets were authentic, a roll-over counter goes on over a new key, and RTCP in clear is no RTCP.
//! Follows RFC 3711, RFC 7714, and RFC 4568 for keys that change.

mod inbound;
mod outbound;

use std::fmt;

use rtc_srtp::{
    context::Context,
    crypto::{RTCCryptoProvider, providers::AwsLcRsProvider},
    option::{srtcp_replay_protection, srtp_replay_protection},
    protection_profile::ProtectionProfile,
};

use self::{inbound::Inbound, outbound::Outbound};
use crate::sdp::{Counted, Crypto, CryptoKey, CryptoLine, CryptoSuite};

/// What sealing adds at most: SRTCP under GCM has a tag of 16 octets and an index of four.
pub(crate) const MAX_OVERHEAD_BYTES: usize = 20;

/// Packets behind the newest that may still come (RFC 3711 section 3.3.2 asks for 64): as many as the stream remembers.
const REPLAY_WINDOW_PACKETS: usize = 128;

/// Both ways of one secure leg.
pub(crate) struct Protection {
    ours: CryptoKey,
    theirs: CryptoLine,
    outbound: Outbound,
    inbound: Inbound,
    /// The key before, until the first packet under the new one: the peer changes over when our answer reaches it.
    earlier: Option<Inbound>,
    /// What of the peer's numbers was told last.
    told: Option<Counted>,
}

/// Whether a changed agreement lets the stream to the peer go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Continuity {
    /// It goes on.
    Kept,
    /// Its roll-over counter is not zero, and whoever begins to listen cannot know it: it begins anew under another SSRC.
    Broken,
}

impl Protection {
    pub(crate) fn new(crypto: &Crypto) -> Protection {
        Protection {
            ours: crypto.ours.clone(),
            theirs: crypto.theirs.clone(),
            outbound: Outbound::new(&crypto.ours),
            inbound: match &crypto.counted {
                Some(counted) => Inbound::resumed(&crypto.theirs, counted),
                None => Inbound::new(&crypto.theirs),
            },
            earlier: None,
            told: None,
        }
    }

    /// Takes what a later agreement says. `is_moved`: the peer receives at another address.
    ///
    /// Source: RFC 3711 section 3.3.1 (a new key alone resets no counter), RFC 4568 section 7.1.4 (another address does).
    /// Implementations differ, so that what we send never depends on it, and what we receive is tried both ways.
    pub(crate) fn agree(&mut self, crypto: &Crypto, is_moved: bool) -> Continuity {
        let has_wrapped = self.outbound.has_wrapped();
        let is_rekeyed = !self.ours.is_same_secret(&crypto.ours);
        if is_rekeyed {
            self.outbound = Outbound::new(&crypto.ours);
        }
        self.ours = crypto.ours.clone();
        if self.theirs.mki != crypto.theirs.mki
            || !self.theirs.key.is_same_secret(&crypto.theirs.key)
        {
            let next = self.inbound.succeeded_by(&crypto.theirs);
            self.earlier = Some(std::mem::replace(&mut self.inbound, next));
        }
        self.theirs = crypto.theirs.clone();
        if has_wrapped && (is_rekeyed || is_moved) {
            Continuity::Broken
        } else {
            Continuity::Kept
        }
    }

    /// How far the peer's numbers have come, each time they come to another quarter of a wrap: whoever takes the leg over goes on there.
    ///
    /// Of ours nothing has to be told: another engine sends under another SSRC, whose counter is zero.
    pub(crate) fn poll_counted(&mut self) -> Option<Counted> {
        let counted = self.inbound.counted()?;
        let is_told = self.told.is_some_and(|told| told.is_near(&counted));
        if is_told || !counted.has_come_far() {
            return None;
        }
        self.told = Some(counted);
        self.told
    }

    /// Opens a packet of the peer in place; `None` for one that is not authentic, or came before.
    pub(crate) fn open_rtp(&mut self, packet: &mut [u8]) -> Option<usize> {
        self.open(packet, Inbound::open_rtp)
    }

    /// The same for RTCP.
    pub(crate) fn open_rtcp(&mut self, packet: &mut [u8]) -> Option<usize> {
        self.open(packet, Inbound::open_rtcp)
    }

    /// Seals the first `len` octets of `buffer`, a packet of ours with a header of 12 octets; `None` where there is no room.
    pub(crate) fn seal_rtp(&mut self, buffer: &mut [u8], len: usize) -> Option<usize> {
        self.outbound.seal_rtp(buffer, len)
    }

    /// The same for RTCP.
    pub(crate) fn seal_rtcp(&mut self, buffer: &mut [u8], len: usize) -> Option<usize> {
        self.outbound.seal_rtcp(buffer, len)
    }

    fn open(
        &mut self,
        packet: &mut [u8],
        open: fn(&mut Inbound, &mut [u8]) -> Option<usize>,
    ) -> Option<usize> {
        if let Some(len) = open(&mut self.inbound, packet) {
            self.earlier = None;
            return Some(len);
        }
        open(self.earlier.as_mut()?, packet)
    }
}

impl fmt::Debug for Protection {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Protection")
            .field("ours", &self.ours)
            .field("theirs", &self.theirs)
            .finish_non_exhaustive()
    }
}

/// Sequence numbers of one stream, with their wraps (RFC 3711 section 3.3.1).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Index {
    rollover: u32,
    newest: Option<u16>,
}

impl Index {
    fn see(&mut self, sequence: u16) {
        let Some(newest) = self.newest else {
            self.newest = Some(sequence);
            return;
        };
        if sequence.wrapping_sub(newest).cast_signed() > 0 {
            self.rollover = self.rollover.wrapping_add(u32::from(sequence < newest));
            self.newest = Some(sequence);
        }
    }
}

/// Makes the state of one way; it is never `None` for a key of its suite's lengths, which [`CryptoKey`] has.
fn context(key: &CryptoKey) -> Option<Context> {
    let profile = match key.suite() {
        CryptoSuite::AesCm128HmacSha1_80 => ProtectionProfile::Aes128CmHmacSha1_80,
        CryptoSuite::AesCm128HmacSha1_32 => ProtectionProfile::Aes128CmHmacSha1_32,
        CryptoSuite::AeadAes128Gcm => ProtectionProfile::AeadAes128Gcm,
        CryptoSuite::AeadAes256Gcm => ProtectionProfile::AeadAes256Gcm,
    };
    Context::new(
        key.master_key(),
        key.master_salt(),
        profile,
        Some(srtp_replay_protection(REPLAY_WINDOW_PACKETS)),
        Some(srtcp_replay_protection(REPLAY_WINDOW_PACKETS)),
        AwsLcRsProvider::new().crypto(),
    )
    .ok()
}

/// The header as `rtc-srtp` wants it: it asks for number, SSRC and length alone, and counts the length in words of
/// contributing sources, so that no extension is parsed and none written anew.
fn header(sequence: u16, ssrc: u32, header_bytes: usize) -> rtc_rtp::Header {
    rtc_rtp::Header {
        sequence_number: sequence,
        ssrc,
        csrc: vec![0; header_bytes.saturating_sub(crate::rtp::HEADER_BYTES) / 4],
        ..rtc_rtp::Header::default()
    }
}

/// Puts what a cipher made into the place of the packet it was made of.
fn replace(buffer: &mut [u8], made: &[u8]) -> Option<usize> {
    buffer.get_mut(..made.len())?.copy_from_slice(made);
    Some(made.len())
}

#[cfg(test)]
mod tests;
