//! RTP packets as views over bytes (RFC 3550 section 5.1): read where they lie, rewritten in place.

use std::{
    ops::Range,
    time::{Duration, Instant},
};

use thiserror::Error;

/// Bytes of a header without contributing sources and without extension.
pub const HEADER_BYTES: usize = 12;
/// The longest packet we read or send: 60 ms of G.711 is 492 bytes, a datagram on Ethernet 1,472.
pub const MAX_PACKET_BYTES: usize = 1_500;

/// What a header says; the payload stays where it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Header {
    /// First packet of a talk-run, or of an event.
    pub marker: bool,
    /// Payload type, 0 to 127.
    pub payload_type: u8,
    /// Sequence number, wrapping.
    pub sequence: u16,
    /// Timestamp of the first sample in 1/8000 s, wrapping, from a random start.
    pub timestamp: u32,
    /// Synchronisation source: one sender's stream.
    pub ssrc: u32,
    /// Where the payload lies, without header extension and padding.
    pub payload: Range<usize>,
}

/// What of a header stands in clear in a secure packet and is needed to open it: padding cannot be read yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Clear {
    pub(crate) sequence: u16,
    pub(crate) ssrc: u32,
    /// Octets before the payload, with contributing sources and extension.
    pub(crate) header_bytes: usize,
}

impl Clear {
    /// Reads a packet; `None` for what is too short or not version 2.
    pub(crate) fn read(packet: &[u8]) -> Option<Clear> {
        let (fixed, _) = packet.split_first_chunk::<HEADER_BYTES>()?;
        let header_bytes = header_bytes(packet, fixed).ok()?;
        Some(Clear {
            sequence: u16::from_be_bytes([fixed[2], fixed[3]]),
            ssrc: u32::from_be_bytes([fixed[8], fixed[9], fixed[10], fixed[11]]),
            header_bytes,
        })
    }
}

/// Why bytes are no RTP packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum RtpFault {
    /// Shorter than what its header announces.
    #[error("packet of {found} bytes, expected at least {expected}")]
    Short {
        /// Bytes the header asks for.
        expected: usize,
        /// Bytes there are.
        found: usize,
    },
    /// Not RTP version 2.
    #[error("version {found}, expected 2")]
    Version {
        /// The version found.
        found: u8,
    },
    /// The padding count is zero or larger than the payload (RFC 3550 section 5.1).
    #[error("padding of {found} bytes in a payload of {payload}")]
    Padding {
        /// The count in the last byte.
        found: u8,
        /// Bytes behind the header.
        payload: usize,
    },
}

impl Header {
    /// Reads a packet.
    ///
    /// # Errors
    /// [`RtpFault`] for what is too short, not version 2, or padded impossibly.
    pub fn read(packet: &[u8]) -> Result<Header, RtpFault> {
        let Some((fixed, _)) = packet.split_first_chunk::<HEADER_BYTES>() else {
            return Err(RtpFault::Short {
                expected: HEADER_BYTES,
                found: packet.len(),
            });
        };
        let start = header_bytes(packet, fixed)?;
        let mut end = packet.len();
        if fixed[0] & 0x20 != 0 {
            let padding = packet[end - 1];
            if padding == 0 || usize::from(padding) > end - start {
                return Err(RtpFault::Padding {
                    found: padding,
                    payload: end - start,
                });
            }
            end -= usize::from(padding);
        }
        Ok(Header {
            marker: fixed[1] & 0x80 != 0,
            payload_type: fixed[1] & 0x7F,
            sequence: u16::from_be_bytes([fixed[2], fixed[3]]),
            timestamp: u32::from_be_bytes([fixed[4], fixed[5], fixed[6], fixed[7]]),
            ssrc: u32::from_be_bytes([fixed[8], fixed[9], fixed[10], fixed[11]]),
            payload: start..end,
        })
    }

    /// Writes a plain header: no padding, extension or contributing sources. `payload` is not looked at.
    pub fn write(&self, packet: &mut [u8; HEADER_BYTES]) {
        packet[0] = 0x80;
        packet[1] = (u8::from(self.marker) << 7) | (self.payload_type & 0x7F);
        packet[2..4].copy_from_slice(&self.sequence.to_be_bytes());
        packet[4..8].copy_from_slice(&self.timestamp.to_be_bytes());
        packet[8..12].copy_from_slice(&self.ssrc.to_be_bytes());
    }
}

/// Octets before the payload, all of which the packet has.
fn header_bytes(packet: &[u8], fixed: &[u8; HEADER_BYTES]) -> Result<usize, RtpFault> {
    let version = fixed[0] >> 6;
    if version != 2 {
        return Err(RtpFault::Version { found: version });
    }
    let mut start = HEADER_BYTES + 4 * usize::from(fixed[0] & 0x0F);
    if fixed[0] & 0x10 != 0 {
        let Some(extension) = packet.get(start..start + 4) else {
            return Err(RtpFault::Short {
                expected: start + 4,
                found: packet.len(),
            });
        };
        start += 4 + 4 * usize::from(u16::from_be_bytes([extension[2], extension[3]]));
    }
    if start > packet.len() {
        return Err(RtpFault::Short {
            expected: start,
            found: packet.len(),
        });
    }
    Ok(start)
}

/// Whole samples of 1/8000 s from `earlier` to `later`; zero when the order is the other way round.
#[must_use]
pub fn samples_between(earlier: Instant, later: Instant) -> u64 {
    samples_in(later.saturating_duration_since(earlier))
}

/// Whole samples of 1/8000 s in a duration.
#[must_use]
pub fn samples_in(duration: Duration) -> u64 {
    duration
        .as_secs()
        .saturating_mul(8_000)
        .saturating_add(u64::from(duration.subsec_nanos() / 125_000))
}

/// How long so many samples last.
#[must_use]
pub fn duration_of(samples: u64) -> Duration {
    Duration::new(
        samples / 8_000,
        u32::try_from(samples % 8_000).expect("a remainder of 8,000 fits") * 125_000,
    )
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// Some instant. The tests only add to it and subtract it.
    #[expect(
        clippy::disallowed_methods,
        reason = "std knows no other way to an Instant"
    )]
    pub(crate) fn start() -> Instant {
        Instant::now()
    }

    fn packet() -> Vec<u8> {
        let mut packet = vec![0; HEADER_BYTES];
        let header = Header {
            marker: true,
            payload_type: 8,
            sequence: 0xFFFE,
            timestamp: 0x0102_0304,
            ssrc: 0xA0B0_C0D0,
            payload: 0..0,
        };
        header.write(packet.first_chunk_mut().unwrap());
        packet.extend_from_slice(&[1, 2, 3, 4]);
        packet
    }

    #[test]
    fn a_header_reads_back_as_written() {
        let header = Header::read(&packet()).unwrap();
        assert_eq!(
            header,
            Header {
                marker: true,
                payload_type: 8,
                sequence: 0xFFFE,
                timestamp: 0x0102_0304,
                ssrc: 0xA0B0_C0D0,
                payload: 12..16
            }
        );
    }

    #[test]
    fn contributing_sources_extension_and_padding_are_not_payload() {
        let mut bytes = packet();
        bytes[0] |= 0x20 | 0x10 | 2;
        bytes.splice(
            12..12,
            [9_u8; 8].into_iter().chain([0xBE, 0xDE, 0, 1, 5, 5, 5, 5]),
        );
        bytes.extend_from_slice(&[0, 0, 3]);
        assert_eq!(Header::read(&bytes).unwrap().payload, 28..32);
    }

    #[test]
    fn impossible_packets_are_refused_with_what_is_wrong() {
        assert_eq!(
            Header::read(&packet()[..11]),
            Err(RtpFault::Short {
                expected: 12,
                found: 11
            })
        );
        let mut old = packet();
        old[0] = 0x40;
        assert_eq!(Header::read(&old), Err(RtpFault::Version { found: 1 }));
        let mut padded = packet();
        padded[0] |= 0x20;
        padded[15] = 5;
        assert_eq!(
            Header::read(&padded),
            Err(RtpFault::Padding {
                found: 5,
                payload: 4
            })
        );
        padded[15] = 0;
        assert_eq!(
            Header::read(&padded),
            Err(RtpFault::Padding {
                found: 0,
                payload: 4
            })
        );
        let mut sources = packet();
        sources[0] |= 15;
        assert_eq!(
            Header::read(&sources),
            Err(RtpFault::Short {
                expected: 72,
                found: 16
            })
        );
        let mut extended = packet();
        extended[0] |= 0x10;
        assert_eq!(
            Header::read(&extended),
            Err(RtpFault::Short {
                expected: 16 + 4 * 0x0304,
                found: 16
            })
        );
    }

    #[test]
    fn padding_without_any_payload_is_read_without_panic() {
        let mut bytes = packet()[..12].to_vec();
        bytes[0] |= 0x20;
        bytes[11] = 0;
        assert!(Header::read(&bytes).is_err());
    }

    #[test]
    fn samples_and_durations_agree() {
        let at = start();
        assert_eq!(samples_between(at, at + Duration::from_millis(20)), 160);
        assert_eq!(samples_between(at + Duration::from_millis(20), at), 0);
        assert_eq!(duration_of(64_801), Duration::from_nanos(8_100_125_000));
        assert_eq!(samples_in(duration_of(64_801)), 64_801);
    }
}
