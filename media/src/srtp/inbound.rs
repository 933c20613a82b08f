//! What a peer sends on a secure leg.
//!
//! `rtc-srtp` begins state for every SSRC that a packet names, authentic or not, and never gives it up. So that a forger
//! cannot fill our memory, an unknown SSRC is tried in a context of its own, which is thrown away after a few forgeries and
//! becomes a known one with its first authentic packet.

use rtc_srtp::context::Context;

use super::{Index, context, header, replace};
use crate::{
    rtp,
    sdp::{Counted, CryptoKey, CryptoLine, CryptoSuite, crypto::Mki},
};

/// Senders of a leg that are known at once: the present one, and the one before while its last packets arrive.
const KNOWN: usize = 2;
/// Forged packets that one trial context takes.
const TRIALS: u8 = 16;
/// Wraps of a stream's numbers that a new key can take over: at 100 packets a second a day's. A stream of more wraps is
/// taken only from peers that begin anew with the key.
const MAX_CARRIED_WRAPS: u32 = 140;

pub(super) struct Inbound {
    key: CryptoKey,
    mki: Option<Mki>,
    rtp: Senders,
    rtcp: Senders,
}

/// The states of one kind of packet.
#[derive(Default)]
struct Senders {
    known: [Option<Sender>; KNOWN],
    trial: Option<(Context, u8)>,
}

/// The state of one SSRC.
struct Sender {
    ssrc: u32,
    context: Context,
    index: Index,
    /// Whether a packet was authentic in this state; before, it is only one of two guesses.
    standing: Standing,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Standing {
    Guessed,
    Proven,
}

impl Inbound {
    pub(super) fn new(line: &CryptoLine) -> Inbound {
        Inbound {
            key: line.key.clone(),
            mki: line.mki,
            rtp: Senders::default(),
            rtcp: Senders::default(),
        }
    }

    /// The state of a leg that was open elsewhere. Whether the peer's counter goes on is found out with its first packet.
    pub(super) fn resumed(line: &CryptoLine, counted: &Counted) -> Inbound {
        let mut resumed = Inbound::new(line);
        let index = Index {
            rollover: counted.rollover,
            newest: Some(counted.newest),
        };
        resumed.rtp.known[0] = Sender::carried(&line.key, counted.ssrc, index);
        resumed
    }

    /// How far the numbers of the present sender have come, where a packet of it was authentic here.
    pub(super) fn counted(&self) -> Option<Counted> {
        let sender = self.rtp.known[0].as_ref();
        let sender = sender.filter(|sender| sender.standing == Standing::Proven)?;
        Some(Counted {
            ssrc: sender.ssrc,
            rollover: sender.index.rollover,
            newest: sender.index.newest?,
        })
    }

    /// The state under the peer's next key. Whether its counter goes on or begins anew is found out with its first packet.
    pub(super) fn succeeded_by(&self, line: &CryptoLine) -> Inbound {
        let mut next = Inbound::new(line);
        let current = self.rtp.known[0].as_ref();
        if let Some(sender) = current.filter(|sender| sender.index.rollover > 0) {
            next.rtp.known[0] = Sender::carried(&line.key, sender.ssrc, sender.index);
        }
        next
    }

    pub(super) fn open_rtp(&mut self, packet: &mut [u8]) -> Option<usize> {
        let clear = rtp::Clear::read(packet)?;
        let mut room = [0; rtp::MAX_PACKET_BYTES];
        let sealed = self.without_mki(packet, self.rtp_tag_bytes(), &mut room)?;
        let header = header(clear.sequence, clear.ssrc, clear.header_bytes);
        let opened = self.rtp.open(&self.key, clear.ssrc, |context, index| {
            let opened = context.decrypt_rtp_with_header(sealed, &header).ok()?;
            index.see(clear.sequence);
            Some(opened)
        })?;
        replace(packet, &opened)
    }

    pub(super) fn open_rtcp(&mut self, packet: &mut [u8]) -> Option<usize> {
        let mut room = [0; rtp::MAX_PACKET_BYTES];
        let sealed = self.without_mki(packet, self.rtcp_trailer_bytes(), &mut room)?;
        let ssrc = u32::from_be_bytes(*sealed.get(4..)?.first_chunk()?);
        // The flag E, before the index: nobody agreed to RTCP in clear, which the library would take unauthenticated.
        let index_at = sealed.len().checked_sub(4 + self.rtcp_trailer_bytes())?;
        if sealed.get(index_at)? & 0x80 == 0 {
            return None;
        }
        let opened = self.rtcp.open(&self.key, ssrc, |context, _| {
            context.decrypt_rtcp(sealed).ok()
        })?;
        replace(packet, &opened)
    }

    /// The packet without the key's identifier, where the peer writes one: then it is laid together in `room`.
    ///
    /// It stands before `behind_bytes` of tag (RFC 3711 sections 3.1 and 3.4, RFC 7714 sections 8.2 and 9.2), and no tag covers it.
    fn without_mki<'a>(
        &self,
        packet: &'a [u8],
        behind_bytes: usize,
        room: &'a mut [u8; rtp::MAX_PACKET_BYTES],
    ) -> Option<&'a [u8]> {
        let Some(mki) = self.mki else {
            return Some(packet);
        };
        let end = packet.len().checked_sub(behind_bytes)?;
        let start = end.checked_sub(mki.bytes())?;
        let len = start + behind_bytes;
        if !mki.is(&packet[start..end]) || len > room.len() {
            return None;
        }
        room[..start].copy_from_slice(&packet[..start]);
        room[start..len].copy_from_slice(&packet[end..]);
        Some(&room[..len])
    }

    /// Octets of a tag that stands apart from the ciphertext; GCM's is a part of it.
    fn rtp_tag_bytes(&self) -> usize {
        match self.key.suite() {
            CryptoSuite::AesCm128HmacSha1_80 => 10,
            CryptoSuite::AesCm128HmacSha1_32 => 4,
            CryptoSuite::AeadAes128Gcm | CryptoSuite::AeadAes256Gcm => 0,
        }
    }

    /// SRTCP has the long tag in both counter-mode suites (RFC 4568 section 6.2.2).
    fn rtcp_trailer_bytes(&self) -> usize {
        match self.key.suite() {
            CryptoSuite::AesCm128HmacSha1_80 | CryptoSuite::AesCm128HmacSha1_32 => 10,
            CryptoSuite::AeadAes128Gcm | CryptoSuite::AeadAes256Gcm => 0,
        }
    }
}

#[cfg(test)]
impl Inbound {
    /// Forgeries that the present trial context has seen.
    pub(super) fn rtp_trials(&self) -> u8 {
        self.rtp.trial.as_ref().map_or(0, |&(_, trials)| trials)
    }
}

impl Senders {
    /// Opens a packet in the state of its sender, or in a trial state that becomes its sender's.
    fn open<T>(
        &mut self,
        key: &CryptoKey,
        ssrc: u32,
        mut open: impl FnMut(&mut Context, &mut Index) -> Option<T>,
    ) -> Option<T> {
        let known = self
            .known
            .iter_mut()
            .flatten()
            .find(|sender| sender.ssrc == ssrc);
        if let Some(sender) = known {
            let opened = open(&mut sender.context, &mut sender.index);
            if opened.is_some() {
                sender.standing = Standing::Proven;
            }
            if opened.is_some() || sender.standing == Standing::Proven {
                return opened;
            }
        }
        let (mut trial, trials) = match self.trial.take() {
            Some((trial, trials)) if trials < TRIALS => (trial, trials + 1),
            Some(_) | None => (context(key)?, 1),
        };
        let mut index = Index::default();
        let Some(opened) = open(&mut trial, &mut index) else {
            self.trial = Some((trial, trials));
            return None;
        };
        self.remember(Sender {
            ssrc,
            context: trial,
            index,
            standing: Standing::Proven,
        });
        Some(opened)
    }

    /// Puts a sender first; the one before moves back, unless it was a guess at the same sender.
    fn remember(&mut self, sender: Sender) {
        let before = self.known[0]
            .take()
            .filter(|before| before.ssrc != sender.ssrc);
        if before.is_some() {
            self.known[1] = before;
        }
        self.known[0] = Some(sender);
    }
}

impl Sender {
    /// The state of a sender whose counter goes on under a new key.
    ///
    /// The library begins every counter at zero and lets it only be counted up by packets, so packets of our own making
    /// count it up: three for each wrap.
    fn carried(key: &CryptoKey, ssrc: u32, index: Index) -> Option<Sender> {
        if index.rollover > MAX_CARRIED_WRAPS {
            return None;
        }
        let (mut sealing, mut opening) = (context(key)?, context(key)?);
        let newest = index.newest?;
        let wraps = (0..index.rollover).flat_map(|_| [0_u16, 0x5555, 0xAAAA]);
        // Those of the last, begun wrap up to the newest number.
        let rest = [0, 0x5555, 0xAAAA]
            .into_iter()
            .filter(|&step| step < newest);
        for sequence in wraps.chain(rest).chain([newest.wrapping_sub(1)]) {
            let mut packet = [0; rtp::HEADER_BYTES];
            rtp::Header {
                marker: false,
                payload_type: 0,
                sequence,
                timestamp: 0,
                ssrc,
                payload: 0..0,
            }
            .write(&mut packet);
            let header = header(sequence, ssrc, rtp::HEADER_BYTES);
            let sealed = sealing.encrypt_rtp_with_header(&packet, &header).ok()?;
            // The same number twice, where the newest lies on a step.
            let _ = opening.decrypt_rtp_with_header(&sealed, &header);
        }
        Some(Sender {
            ssrc,
            context: opening,
            index,
            standing: Standing::Guessed,
        })
    }
}
