//! `KREC1`: a segment of a recording as bytes. `docs/recording-format.md` draws it.
//!
//! A segment explains itself: whose it is, which key opens it, how long it is and where its gaps
//! are can be read without any key. Only the voices are sealed.
//! [`inspect`] reads a segment without keys; [`RecordingWriter`](crate::RecordingWriter) makes
//! one, [`Vault::open`](crate::Vault::open) opens one.

use std::{io::Write, ops::Range};

use aws_lc_rs::digest;
use rules::{Digest, Fault};
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::{
    header::{Header, VERSION},
    secret::{SecretKey, digest_bytes, sha256},
};

pub(crate) const LINK_BYTES: usize = 32;
const FIXED_CLEAR_BYTES: usize = 28;
const GAP_BYTES: usize = 16;
/// A gap is at least one sample of one channel; a chunk of 400 ms cannot sensibly hold more.
pub const MAX_GAPS: usize = 4096;
/// 10 s at 8 kHz; a chunk is 400 ms.
pub const MAX_CHUNK_SAMPLES: u32 = 80_000;
const MAX_SEALED_BYTES: usize = 8 + 2 * MAX_CHUNK_SAMPLES as usize + crate::secret::TAG_BYTES;
/// Four days of 400 ms chunks; it bounds the work of a reader that must ratchet past a hole.
pub const MAX_CHUNKS: u32 = 1 << 20;
/// No sum of times can wrap below it.
pub(crate) const MAX_SAMPLES: u64 = MAX_CHUNKS as u64 * MAX_CHUNK_SAMPLES as u64;
const FINAL: u8 = 1;

/// One of the two channels of a recording.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Channel {
    /// What came from the carrier: the citizen.
    Carrier,
    /// What came from the PBX: the city.
    City,
}

/// How the bytes of a channel are to be heard. The numbers are RTP's static payload types.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Codec {
    /// G.711 mu-law, a byte a sample.
    Pcmu,
    /// G.711 A-law, a byte a sample.
    Pcma,
}

impl Codec {
    pub(crate) fn code(self) -> u8 {
        match self {
            Codec::Pcmu => 0,
            Codec::Pcma => 8,
        }
    }

    pub(crate) fn from_code(code: u8) -> Option<Codec> {
        match code {
            0 => Some(Codec::Pcmu),
            8 => Some(Codec::Pcma),
            _ => None,
        }
    }

    /// The byte that stands for silence, where nothing was kept.
    #[must_use]
    pub fn silence(self) -> u8 {
        match self {
            Codec::Pcmu => 0xff,
            Codec::Pcma => 0xd5,
        }
    }
}

/// A stretch of one channel in which nothing was received, or nothing could be kept.
///
/// In samples from the start of the segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Gap {
    /// Whose voice is missing.
    pub channel: Channel,
    /// First missing sample.
    pub start: u64,
    /// How many are missing.
    pub samples: u32,
}

/// The key of the chunk at hand, from the secret that the ratchet stands at.
pub(crate) fn chunk_key(secret: &SecretKey) -> SecretKey {
    secret.expand(b"denwaban KREC1 chunk")
}

/// The next secret of the ratchet. There is no way back.
pub(crate) fn next_secret(secret: &SecretKey) -> SecretKey {
    secret.expand(b"denwaban KREC1 next")
}

/// Each chunk has a key of its own, so the number of the chunk is all that a nonce needs.
pub(crate) fn chunk_nonce(index: u32) -> [u8; 12] {
    let mut nonce = [0; 12];
    nonce[8..].copy_from_slice(&index.to_be_bytes());
    nonce
}

/// Hashes a file as it grows, and links each part to everything before it.
#[derive(Clone)]
pub(crate) struct Chain {
    context: digest::Context,
    link: [u8; LINK_BYTES],
    bytes: u64,
}

impl Chain {
    pub(crate) fn new() -> Chain {
        let context = digest::Context::new(&digest::SHA256);
        Chain {
            context,
            link: [0; LINK_BYTES],
            bytes: 0,
        }
    }

    /// Takes in one part of the file and appends the link: SHA-256 of all bytes before the link.
    pub(crate) fn seal(&mut self, part: &mut Vec<u8>) {
        self.take(part);
        part.extend_from_slice(&self.link);
    }

    /// SHA-256 of everything that stands before the last link; authenticated by the next chunk.
    pub(crate) fn link(&self) -> [u8; LINK_BYTES] {
        self.link
    }

    /// Bytes of the file so far.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// SHA-256 of the file so far.
    pub(crate) fn file_hash(&self) -> Digest {
        Digest(digest_bytes(self.context.clone()))
    }

    pub(crate) fn take(&mut self, part: &[u8]) {
        self.context.update(part);
        self.link = digest_bytes(self.context.clone());
        self.context.update(&self.link);
        self.bytes += (part.len() + LINK_BYTES) as u64;
    }
}

/// Narrow-band telephony; both channels have it.
pub const SAMPLE_RATE_HZ: u16 = 8000;

/// What a chunk says without any key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ClearPart {
    pub(crate) index: u32,
    pub(crate) is_final: bool,
    pub(crate) start: u64,
    pub(crate) samples: u32,
    pub(crate) gaps: Vec<Gap>,
}

impl ClearPart {
    /// `sealed_bytes`: the length of what follows, its tag included.
    pub(crate) fn to_bytes(&self, sealed_bytes: usize) -> Result<Vec<u8>, SegmentFault> {
        let length = FIXED_CLEAR_BYTES + GAP_BYTES * self.gaps.len();
        let mut bytes = Vec::with_capacity(length + sealed_bytes + LINK_BYTES);
        bytes.extend_from_slice(&to_u32(length)?.to_be_bytes());
        bytes.extend_from_slice(&to_u32(sealed_bytes)?.to_be_bytes());
        bytes.extend_from_slice(&self.index.to_be_bytes());
        bytes.extend_from_slice(&[if self.is_final { FINAL } else { 0 }, 0, 0, 0]);
        bytes.extend_from_slice(&self.start.to_be_bytes());
        bytes.extend_from_slice(&self.samples.to_be_bytes());
        for gap in &self.gaps {
            let channel = match gap.channel {
                Channel::Carrier => 0,
                Channel::City => 1,
            };
            bytes.extend_from_slice(&[channel, 0, 0, 0]);
            bytes.extend_from_slice(&gap.samples.to_be_bytes());
            bytes.extend_from_slice(&gap.start.to_be_bytes());
        }
        Ok(bytes)
    }

    fn parse(bytes: &[u8]) -> Option<ClearPart> {
        let mut reader = Reader(bytes);
        reader.take(8)?;
        let index = reader.u32()?;
        let [flags, ..] = reader.array::<4>()?;
        let start = reader.u64()?;
        let samples = reader.u32()?;
        let mut gaps = Vec::with_capacity(reader.0.len() / GAP_BYTES);
        while !reader.0.is_empty() {
            let channel = match reader.array::<4>()?[0] {
                0 => Channel::Carrier,
                1 => Channel::City,
                _ => return None,
            };
            let samples = reader.u32()?;
            gaps.push(Gap {
                channel,
                samples,
                start: reader.u64()?,
            });
        }
        let is_final = match flags {
            0 => false,
            FINAL => true,
            _ => return None,
        };
        Some(ClearPart {
            index,
            is_final,
            start,
            samples,
            gaps,
        })
    }
}

/// A chunk's place in its file.
#[derive(Clone, Debug)]
pub(crate) struct ChunkPlace {
    pub(crate) clear: ClearPart,
    /// The clear part's bytes.
    pub(crate) clear_bytes: Range<usize>,
    /// The sealed part's bytes, tag included.
    pub(crate) sealed_bytes: Range<usize>,
    /// The link before the chunk, which the chunk authenticates.
    pub(crate) link: [u8; LINK_BYTES],
}

/// Why a segment ends before its final chunk.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum CutReason {
    /// The file ends with a whole chunk that is not the final one: the writer was stopped.
    NotFinished,
    /// The file ends inside a chunk.
    ChunkCut,
    /// A chunk's link does not fit its bytes, or its numbers do not fit the chunk before it.
    ChunkDamaged,
    /// Bytes follow the final chunk.
    BytesAfterEnd,
}

/// What can be said of a segment without any key.
#[derive(Clone, Debug, PartialEq)]
pub struct Inspection {
    /// What the segment says of itself.
    pub header: Header,
    /// Whole chunks, the final one included.
    pub chunks: u32,
    /// Numbers that chunks have used, those included that no disk took: none is used twice.
    pub numbers: u32,
    /// Length in samples, from sample 0 to the end of the last whole chunk.
    pub samples: u64,
    /// All gaps, in the order of the file.
    pub gaps: Vec<Gap>,
    /// True if the final chunk is there and nothing follows it.
    pub is_complete: bool,
    /// Why it is not complete.
    pub cut: Option<CutReason>,
    /// Length of the whole chunks with their header, in bytes.
    pub whole_bytes: u64,
    /// SHA-256 of those bytes.
    pub sha256: Digest,
}

impl Inspection {
    /// All gaps of both channels together, in milliseconds.
    #[must_use]
    pub fn gaps_ms(&self) -> u64 {
        gaps_ms(&self.gaps)
    }
}

/// All gaps of both channels together, in milliseconds.
#[must_use]
pub fn gaps_ms(gaps: &[Gap]) -> u64 {
    let samples: u64 = gaps.iter().map(|gap| u64::from(gap.samples)).sum();
    samples * 1000 / u64::from(SAMPLE_RATE_HZ)
}

/// Reads a segment without any key: the longest whole prefix, and why it ends there.
///
/// # Errors
/// [`SegmentFault`] if not even the header is whole.
pub fn inspect(file: &[u8]) -> Result<Inspection, SegmentFault> {
    let mut walk = Walk::new(file)?;
    let mut gaps = Vec::new();
    let mut chunks = 0;
    for place in walk.by_ref() {
        chunks += 1;
        gaps.extend(place.clear.gaps);
    }
    Ok(Inspection {
        chunks,
        numbers: walk.next_index,
        samples: walk.samples,
        gaps,
        is_complete: walk.cut.is_none(),
        cut: walk.cut,
        whole_bytes: walk.chain.bytes,
        sha256: walk.chain.file_hash(),
        header: walk.header,
    })
}

/// Goes through the whole chunks of a file.
pub(crate) struct Walk<'file> {
    file: &'file [u8],
    pub(crate) header: Header,
    pub(crate) chain: Chain,
    pub(crate) samples: u64,
    next_index: u32,
    stage: Stage,
    /// Why the walk ended, once it has, unless it ended with the final chunk.
    pub(crate) cut: Option<CutReason>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Stage {
    ExpectChunk,
    Over,
}

impl<'file> Walk<'file> {
    pub(crate) fn new(file: &'file [u8]) -> Result<Walk<'file>, SegmentFault> {
        let mut chain = Chain::new();
        let header = Header::read(file, &mut chain)?;
        let stage = Stage::ExpectChunk;
        Ok(Walk {
            file,
            header,
            chain,
            samples: 0,
            next_index: 0,
            stage,
            cut: None,
        })
    }

    fn read_chunk(&mut self) -> Result<ChunkPlace, CutReason> {
        let begin = usize::try_from(self.chain.bytes).map_err(|_| CutReason::ChunkDamaged)?;
        let rest = &self.file[begin..];
        if rest.is_empty() {
            return Err(CutReason::NotFinished);
        }
        let mut reader = Reader(rest);
        let clear_bytes = to_usize(reader.u32().ok_or(CutReason::ChunkCut)?);
        let sealed_bytes = to_usize(reader.u32().ok_or(CutReason::ChunkCut)?);
        let clear_limit = FIXED_CLEAR_BYTES + GAP_BYTES * MAX_GAPS;
        if !(FIXED_CLEAR_BYTES..=clear_limit).contains(&clear_bytes)
            || sealed_bytes > MAX_SEALED_BYTES
        {
            return Err(CutReason::ChunkDamaged);
        }
        let part_bytes = clear_bytes + sealed_bytes;
        let part = rest.get(..part_bytes).ok_or(CutReason::ChunkCut)?;
        let link = rest
            .get(part_bytes..part_bytes + LINK_BYTES)
            .ok_or(CutReason::ChunkCut)?;
        let clear = ClearPart::parse(&part[..clear_bytes]).ok_or(CutReason::ChunkDamaged)?;
        let is_in_order = clear.index >= self.next_index
            && clear.index < MAX_CHUNKS
            && clear.start >= self.samples
            && clear.samples <= MAX_CHUNK_SAMPLES
            && clear.start <= MAX_SAMPLES;
        let mut chain = self.chain.clone();
        chain.take(part);
        if chain.link != link || !is_in_order {
            return Err(CutReason::ChunkDamaged);
        }
        let link = self.chain.link;
        self.chain = chain;
        self.samples = clear.start + u64::from(clear.samples);
        self.next_index = clear.index + 1;
        Ok(ChunkPlace {
            clear,
            clear_bytes: begin..begin + clear_bytes,
            sealed_bytes: begin + clear_bytes..begin + part_bytes,
            link,
        })
    }
}

impl Iterator for Walk<'_> {
    type Item = ChunkPlace;

    fn next(&mut self) -> Option<ChunkPlace> {
        if self.stage == Stage::Over {
            return None;
        }
        match self.read_chunk() {
            Ok(place) => {
                if place.clear.is_final {
                    self.stage = Stage::Over;
                    if self.chain.bytes < self.file.len() as u64 {
                        self.cut = Some(CutReason::BytesAfterEnd);
                    }
                }
                Some(place)
            }
            Err(reason) => {
                self.stage = Stage::Over;
                self.cut = Some(reason);
                None
            }
        }
    }
}

/// The clear bytes of a chunk's sealed part: two lengths, then both channels.
pub(crate) fn join_channels(carrier: &[u8], city: &[u8]) -> Result<Vec<u8>, SegmentFault> {
    let mut bytes = Vec::with_capacity(8 + carrier.len() + city.len() + crate::secret::TAG_BYTES);
    bytes.extend_from_slice(&to_u32(carrier.len())?.to_be_bytes());
    bytes.extend_from_slice(&to_u32(city.len())?.to_be_bytes());
    // Writing into a Vec cannot fail.
    let _ = bytes.write_all(carrier);
    let _ = bytes.write_all(city);
    Ok(bytes)
}

pub(crate) fn split_channels(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let mut reader = Reader(bytes);
    let carrier = to_usize(reader.u32()?);
    let city = to_usize(reader.u32()?);
    let carrier = reader.take(carrier)?;
    let city = reader.take(city)?;
    reader.0.is_empty().then_some((carrier, city))
}

/// What authenticates a chunk beside its sealed part.
pub(crate) fn chunk_aad(link: &[u8; LINK_BYTES], clear: &[u8]) -> Vec<u8> {
    [link, clear].concat()
}

/// SHA-256 of bytes that may be no segment at all.
#[must_use]
pub fn file_hash(bytes: &[u8]) -> Digest {
    Digest(sha256(&[bytes]))
}

/// Takes numbers off the front of a slice; every length is checked against what is there.
pub(crate) struct Reader<'bytes>(pub(crate) &'bytes [u8]);

impl<'bytes> Reader<'bytes> {
    pub(crate) fn take(&mut self, length: usize) -> Option<&'bytes [u8]> {
        let (front, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(front)
    }

    pub(crate) fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        self.take(N)?.try_into().ok()
    }

    pub(crate) fn u16(&mut self) -> Option<u16> {
        self.array().map(u16::from_be_bytes)
    }

    pub(crate) fn u32(&mut self) -> Option<u32> {
        self.array().map(u32::from_be_bytes)
    }

    pub(crate) fn u64(&mut self) -> Option<u64> {
        self.array().map(u64::from_be_bytes)
    }
}

pub(crate) fn to_u32(length: usize) -> Result<u32, SegmentFault> {
    u32::try_from(length).map_err(|_| SegmentFault::HeaderTooLong)
}

pub(crate) fn to_usize(length: u32) -> usize {
    // Where usize is smaller, no file has such a part.
    usize::try_from(length).unwrap_or(usize::MAX)
}

/// Why bytes are no segment.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum SegmentFault {
    /// It does not begin as a segment does.
    #[error("the file is no KREC1 segment; expected it to begin with 89 4b 52 45 43 31 0d 0a")]
    NotASegment,
    /// A version that this program does not read.
    #[error(
        "the segment has format version {found}, expected {VERSION}; open it with a newer denwaban"
    )]
    Version {
        /// The version that it names.
        found: u16,
    },
    /// The file ends inside its header.
    #[error("the file ends inside its header; nothing of it can be opened")]
    HeaderCut,
    /// The header's link does not fit its bytes.
    #[error("the header was changed or damaged; nothing of the file can be opened")]
    HeaderDamaged,
    /// The notice record or a chunk is larger than the format allows.
    #[error("a header or chunk is longer than the format allows; this is a defect of denwaban")]
    HeaderTooLong,
}

impl SegmentFault {
    /// Whose fault it is.
    #[must_use]
    pub fn fault(self) -> Fault {
        match self {
            SegmentFault::NotASegment | SegmentFault::Version { .. } => Fault::Operator,
            SegmentFault::HeaderCut | SegmentFault::HeaderDamaged => Fault::Resource,
            SegmentFault::HeaderTooLong => Fault::Ours,
        }
    }
}
