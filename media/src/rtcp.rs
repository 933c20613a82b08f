//! RTCP: the reports that both ends of a stream exchange (RFC 3550 section 6), as views over bytes.
//!
//! We write one compound packet, SR or RR, SDES with a random CNAME, and BYE at the end, and read the reports of others.

use thiserror::Error;

/// Room for the longest compound packet we write: SR with one block (52), SDES (28), BYE (8).
pub const MAX_REPORT_BYTES: usize = 88;
/// Letters of a CNAME: 96 random bits (RFC 7022 section 4.2) in base64, and no host's name.
pub const CNAME_BYTES: usize = 16;

const SENDER_REPORT: u8 = 200;
const RECEIVER_REPORT: u8 = 201;
const SOURCE_DESCRIPTION: u8 = 202;
const GOODBYE: u8 = 203;

/// How one stream was received (RFC 3550 section 6.4.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReportBlock {
    /// The stream.
    pub ssrc: u32,
    /// Share lost since the last report, in 1/256.
    pub fraction_lost: u8,
    /// Packets lost since the beginning, 24 bits; negative with duplicates.
    pub lost: i32,
    /// Highest sequence number, extended by its wraps.
    pub highest: u32,
    /// Interarrival jitter in samples.
    pub jitter: u32,
    /// Middle of the NTP time in the last sender report, 0 for none.
    pub last_report: u32,
    /// Time since then, in 1/65536 s.
    pub delay: u32,
}

/// What a sender says of its own stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SenderInfo {
    /// Time in 1/2^32 s from any fixed instant: we have no wall clock here, and RFC 3550 section 6.4.1 asks for none.
    pub ntp: u64,
    /// The same instant as an RTP timestamp.
    pub rtp_timestamp: u32,
    /// Packets sent.
    pub packets: u32,
    /// Payload bytes sent.
    pub bytes: u32,
}

/// What one of our compound packets says.
#[derive(Clone, Copy, Debug)]
pub struct Report<'a> {
    /// Our stream.
    pub ssrc: u32,
    /// Makes it a sender report; without, it is a receiver report.
    pub sender: Option<SenderInfo>,
    /// The peer's stream, if any came.
    pub block: Option<ReportBlock>,
    /// Our name on this leg.
    pub cname: &'a [u8; CNAME_BYTES],
    /// Whether our stream ends.
    pub is_goodbye: bool,
}

/// Something that a peer's compound packet says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Item {
    /// A sender report's time.
    Sender {
        /// The peer's stream.
        ssrc: u32,
        /// Its time, to be given back.
        ntp: u64,
    },
    /// How the peer receives some stream.
    Block(ReportBlock),
    /// A stream's end.
    Goodbye {
        /// The stream.
        ssrc: u32,
    },
}

/// Why bytes are no compound packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum RtcpFault {
    /// Shorter than a header, or than a header announces.
    #[error("compound packet ends at byte {found}, expected {expected}")]
    Short {
        /// Bytes the headers ask for.
        expected: usize,
        /// Bytes there are.
        found: usize,
    },
    /// Not version 2.
    #[error("version {found}, expected 2")]
    Version {
        /// The version found.
        found: u8,
    },
    /// The first packet is no report.
    #[error("first packet has type {found}, expected 200 or 201")]
    NoReport {
        /// The type found.
        found: u8,
    },
}

impl Report<'_> {
    /// Writes the compound packet and returns its length.
    ///
    /// Source: RFC 3550 sections 6.1 (order), 6.4, 6.5, 6.6.
    #[must_use]
    pub fn write(&self, buffer: &mut [u8; MAX_REPORT_BYTES]) -> usize {
        let mut writer = Writer { buffer, len: 0 };
        let blocks = u8::from(self.block.is_some());
        match self.sender {
            Some(sender) => {
                writer.header(blocks, SENDER_REPORT, 6 + 6 * u16::from(blocks));
                writer.word(self.ssrc);
                writer.bytes(&sender.ntp.to_be_bytes());
                writer.word(sender.rtp_timestamp);
                writer.word(sender.packets);
                writer.word(sender.bytes);
            }
            None => {
                writer.header(blocks, RECEIVER_REPORT, 1 + 6 * u16::from(blocks));
                writer.word(self.ssrc);
            }
        }
        if let Some(block) = &self.block {
            let [_, lost @ ..] = block.lost.to_be_bytes();
            writer.word(block.ssrc);
            writer.bytes(&[block.fraction_lost]);
            writer.bytes(&lost);
            writer.word(block.highest);
            writer.word(block.jitter);
            writer.word(block.last_report);
            writer.word(block.delay);
        }
        writer.header(1, SOURCE_DESCRIPTION, 6);
        writer.word(self.ssrc);
        // CNAME, its length, the name, and the null bytes that end the chunk.
        writer.bytes(&[1, 16]);
        writer.bytes(self.cname);
        writer.bytes(&[0, 0]);
        if self.is_goodbye {
            writer.header(1, GOODBYE, 1);
            writer.word(self.ssrc);
        }
        writer.len
    }
}

/// Appends to a buffer whose size covers the longest packet.
struct Writer<'a> {
    buffer: &'a mut [u8; MAX_REPORT_BYTES],
    len: usize,
}

impl Writer<'_> {
    fn header(&mut self, count: u8, kind: u8, words: u16) {
        self.bytes(&[0x80 | count, kind]);
        self.bytes(&words.to_be_bytes());
    }

    fn word(&mut self, word: u32) {
        self.bytes(&word.to_be_bytes());
    }

    fn bytes(&mut self, bytes: &[u8]) {
        self.buffer[self.len..self.len + bytes.len()].copy_from_slice(bytes);
        self.len += bytes.len();
    }
}

/// Reads a peer's compound packet: checks all of it, then tells each item.
///
/// # Errors
/// [`RtcpFault`] for what breaks the rules of RFC 3550 appendix A.2; nothing is told then.
pub fn read(packet: &[u8], mut tell: impl FnMut(Item)) -> Result<(), RtcpFault> {
    let mut rest = packet;
    let mut is_first = true;
    while !rest.is_empty() || is_first {
        let found = rest.get(1).copied().unwrap_or_default();
        rest = split(packet, rest)?.1;
        if is_first && !matches!(found, SENDER_REPORT | RECEIVER_REPORT) {
            return Err(RtcpFault::NoReport { found });
        }
        is_first = false;
    }
    let mut rest = packet;
    while let Ok((one, further)) = split(packet, rest) {
        read_one(one, &mut tell);
        rest = further;
    }
    Ok(())
}

/// Cuts the first packet off a compound one.
fn split<'a>(packet: &[u8], rest: &'a [u8]) -> Result<(&'a [u8], &'a [u8]), RtcpFault> {
    let offset = packet.len() - rest.len();
    let Some(&[first, _, high, low]) = rest.first_chunk::<4>() else {
        return Err(RtcpFault::Short {
            expected: offset + 4,
            found: packet.len(),
        });
    };
    if first >> 6 != 2 {
        return Err(RtcpFault::Version { found: first >> 6 });
    }
    let len = 4 + 4 * usize::from(u16::from_be_bytes([high, low]));
    rest.split_at_checked(len).ok_or(RtcpFault::Short {
        expected: offset + len,
        found: packet.len(),
    })
}

fn read_one(packet: &[u8], tell: &mut impl FnMut(Item)) {
    let count = usize::from(packet[0] & 0x1F);
    let blocks = match packet[1] {
        SENDER_REPORT => {
            let (Some(ssrc), Some(high), Some(low)) =
                (word(packet, 4), word(packet, 8), word(packet, 12))
            else {
                return;
            };
            tell(Item::Sender {
                ssrc,
                ntp: (u64::from(high) << 32) | u64::from(low),
            });
            packet.get(28..)
        }
        RECEIVER_REPORT => packet.get(8..),
        GOODBYE => {
            let sources = packet[4..].as_chunks::<4>().0;
            sources.iter().take(count).for_each(|&ssrc| {
                tell(Item::Goodbye {
                    ssrc: u32::from_be_bytes(ssrc),
                });
            });
            None
        }
        // SDES, APP, feedback and extended reports say nothing that we use.
        _ => None,
    };
    for block in blocks
        .unwrap_or_default()
        .as_chunks::<24>()
        .0
        .iter()
        .take(count)
    {
        tell(Item::Block(read_block(block)));
    }
}

fn read_block(block: &[u8; 24]) -> ReportBlock {
    let word = |at| word(block, at).expect("a block has 24 bytes");
    ReportBlock {
        ssrc: word(0),
        fraction_lost: block[4],
        // 24 bits with a sign: read at the top, then shifted down.
        lost: (word(4) << 8).cast_signed() >> 8,
        highest: word(8),
        jitter: word(12),
        last_report: word(16),
        delay: word(20),
    }
}

fn word(bytes: &[u8], at: usize) -> Option<u32> {
    bytes
        .get(at..)?
        .first_chunk()
        .copied()
        .map(u32::from_be_bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    const CNAME: [u8; CNAME_BYTES] = *b"AbCdEfGhIjKlMnOp";

    fn block() -> ReportBlock {
        ReportBlock {
            ssrc: 7,
            fraction_lost: 64,
            lost: -3,
            highest: 70_000,
            jitter: 12,
            last_report: 99,
            delay: 65_536,
        }
    }

    fn written(report: Report<'_>) -> Vec<u8> {
        let mut buffer = [0; MAX_REPORT_BYTES];
        let len = report.write(&mut buffer);
        buffer[..len].to_vec()
    }

    fn items(packet: &[u8]) -> Vec<Item> {
        let mut items = Vec::new();
        read(packet, |item| items.push(item)).unwrap();
        items
    }

    #[test]
    fn a_sender_report_reads_back_as_written() {
        let sender = SenderInfo {
            ntp: 0x0102_0304_0506_0708,
            rtp_timestamp: 1,
            packets: 2,
            bytes: 3,
        };
        let packet = written(Report {
            ssrc: 5,
            sender: Some(sender),
            block: Some(block()),
            cname: &CNAME,
            is_goodbye: true,
        });
        assert_eq!(packet.len(), MAX_REPORT_BYTES);
        assert_eq!(
            items(&packet),
            [
                Item::Sender {
                    ssrc: 5,
                    ntp: sender.ntp
                },
                Item::Block(block()),
                Item::Goodbye { ssrc: 5 }
            ]
        );
    }

    #[test]
    fn a_receiver_report_of_nothing_is_still_a_whole_compound_packet() {
        let packet = written(Report {
            ssrc: 5,
            sender: None,
            block: None,
            cname: &CNAME,
            is_goodbye: false,
        });
        let expected = [
            &[0x80, 201, 0, 1, 0, 0, 0, 5][..],
            &[0x81, 202, 0, 6, 0, 0, 0, 5, 1, 16],
            &CNAME,
            &[0, 0],
        ]
        .concat();
        assert_eq!(packet, expected);
        assert_eq!(items(&packet), []);
    }

    #[test]
    fn broken_compound_packets_are_refused_whole() {
        let packet = written(Report {
            ssrc: 5,
            sender: None,
            block: Some(block()),
            cname: &CNAME,
            is_goodbye: false,
        });
        let refused = |bytes: &[u8]| read(bytes, |item| panic!("told {item:?}")).unwrap_err();
        assert_eq!(
            refused(&[]),
            RtcpFault::Short {
                expected: 4,
                found: 0
            }
        );
        assert_eq!(
            refused(&packet[..40]),
            RtcpFault::Short {
                expected: 60,
                found: 40
            }
        );
        assert_eq!(refused(&packet[32..]), RtcpFault::NoReport { found: 202 });
        let mut old = packet.clone();
        old[32] = 0x41;
        assert_eq!(refused(&old), RtcpFault::Version { found: 1 });
    }

    #[test]
    fn counts_that_promise_more_than_the_packet_holds_are_read_as_far_as_it_goes() {
        assert_eq!(items(&[0x9F, 201, 0, 1, 0, 0, 0, 5]), []);
        assert_eq!(items(&[0x9F, 200, 0, 0]), []);
        assert_eq!(items(&[0x80, 201, 0, 1, 0, 0, 0, 5, 0x9F, 203, 0, 0]), []);
    }
}
