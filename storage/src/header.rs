//! The header of a segment: whose it is, which key opens it, how the caller was told.

use jiff::Timestamp;
use rules::{CallId, NoticeRecord, RecordingId};

use crate::{
    group::Group,
    object::{Object, SealedTo},
    secret::SealedKey,
    segment::{Chain, Codec, LINK_BYTES, Reader, SAMPLE_RATE_HZ, SegmentFault, to_u32, to_usize},
};

/// The first byte is not text, and a transfer that rewrites line ends is noticed, as in PNG.
const MAGIC: [u8; 8] = *b"\x89KREC1\r\n";
pub(crate) const VERSION: u16 = 1;
const FIXED_HEADER_BYTES: usize = 84;
/// Notice records are a few hundred bytes; more than this is damage.
pub(crate) const MAX_HEADER_BYTES: usize = 16 * 1024;

/// What a segment says of itself before its first sample.
#[derive(Clone, Debug, PartialEq)]
pub struct Header {
    /// The recording that this segment is part of.
    pub recording: RecordingId,
    /// The call that it is a recording of.
    pub call: CallId,
    /// Its place in the recording, from 0.
    pub segment: u32,
    /// The group whose private half opens it.
    pub group: Group,
    /// The generation of that pair.
    pub generation: u32,
    /// The wall clock at sample 0, to the millisecond.
    pub start: Timestamp,
    /// The citizen's channel.
    pub carrier: Codec,
    /// The city's channel.
    pub city: Codec,
    /// How the caller was told, or why not: data, never evidence.
    pub notice: NoticeRecord,
    pub(crate) sealed_key: SealedKey,
}

impl Header {
    /// What the segment is in the key store.
    pub(crate) fn object(&self) -> Object {
        Object::Segment {
            recording: self.recording,
            segment: self.segment,
        }
    }

    /// The first sealed key, which stands here for good.
    pub(crate) fn sealed_to(&self) -> SealedTo {
        SealedTo::new(self.group, self.generation, &self.sealed_key)
    }

    /// The header's bytes without their link.
    pub(crate) fn to_bytes(&self) -> Result<Vec<u8>, SegmentFault> {
        let group = self.group.to_string();
        let notice = serde_json::to_vec(&self.notice).map_err(|_| SegmentFault::HeaderTooLong)?;
        let sealed_bytes = SealedKey::ENCAPSULATED_BYTES + SealedKey::SEALED_BYTES;
        let length = FIXED_HEADER_BYTES + group.len() + sealed_bytes + notice.len() + LINK_BYTES;
        if length > MAX_HEADER_BYTES {
            return Err(SegmentFault::HeaderTooLong);
        }
        let mut bytes = Vec::with_capacity(length);
        bytes.extend_from_slice(&MAGIC);
        bytes.extend_from_slice(&VERSION.to_be_bytes());
        bytes.extend_from_slice(&[0; 2]);
        bytes.extend_from_slice(&to_u32(length)?.to_be_bytes());
        bytes.extend_from_slice(&self.recording.to_bytes());
        bytes.extend_from_slice(&self.call.to_bytes());
        bytes.extend_from_slice(&self.segment.to_be_bytes());
        bytes.extend_from_slice(&self.generation.to_be_bytes());
        bytes.extend_from_slice(&self.start.as_millisecond().to_be_bytes());
        bytes.extend_from_slice(&[self.carrier.code(), self.city.code()]);
        bytes.extend_from_slice(&SAMPLE_RATE_HZ.to_be_bytes());
        for part in [
            group.len(),
            SealedKey::ENCAPSULATED_BYTES,
            SealedKey::SEALED_BYTES,
        ] {
            bytes.extend_from_slice(&to_u32(part)?.to_be_bytes());
        }
        bytes.extend_from_slice(&to_u32(notice.len())?.to_be_bytes());
        debug_assert_eq!(bytes.len(), FIXED_HEADER_BYTES);
        bytes.extend_from_slice(group.as_bytes());
        bytes.extend_from_slice(&self.sealed_key.encapsulated);
        bytes.extend_from_slice(&self.sealed_key.sealed);
        bytes.extend_from_slice(&notice);
        Ok(bytes)
    }

    /// Reads the header at the front of a file, checks its link and takes it into the chain.
    pub(crate) fn read(file: &[u8], chain: &mut Chain) -> Result<Header, SegmentFault> {
        let mut fixed = Reader(file);
        if fixed.array::<8>().ok_or(SegmentFault::HeaderCut)? != MAGIC {
            return Err(SegmentFault::NotASegment);
        }
        let version = fixed.u16().ok_or(SegmentFault::HeaderCut)?;
        if version != VERSION {
            return Err(SegmentFault::Version { found: version });
        }
        fixed.array::<2>().ok_or(SegmentFault::HeaderCut)?;
        let length = to_usize(fixed.u32().ok_or(SegmentFault::HeaderCut)?);
        if !(FIXED_HEADER_BYTES + LINK_BYTES..=MAX_HEADER_BYTES).contains(&length) {
            return Err(SegmentFault::HeaderDamaged);
        }
        let whole = file.get(..length).ok_or(SegmentFault::HeaderCut)?;
        let (part, link) = whole.split_at(length - LINK_BYTES);
        chain.take(part);
        if chain.link() != link {
            return Err(SegmentFault::HeaderDamaged);
        }
        Header::parse(&part[16..]).ok_or(SegmentFault::HeaderDamaged)
    }

    /// Reads what follows the header's length.
    fn parse(bytes: &[u8]) -> Option<Header> {
        let mut reader = Reader(bytes);
        let recording = RecordingId::from_bytes(reader.array()?);
        let call = CallId::from_bytes(reader.array()?);
        let segment = reader.u32()?;
        let generation = reader.u32()?;
        let start = Timestamp::from_millisecond(i64::from_be_bytes(reader.array()?)).ok()?;
        let [carrier, city] = reader.array()?;
        let rate = reader.u16()?;
        let group = to_usize(reader.u32()?);
        let encapsulated = to_usize(reader.u32()?);
        let sealed = to_usize(reader.u32()?);
        let notice = to_usize(reader.u32()?);
        let sizes = (encapsulated, sealed);
        if sizes != (SealedKey::ENCAPSULATED_BYTES, SealedKey::SEALED_BYTES)
            || rate != SAMPLE_RATE_HZ
        {
            return None;
        }
        let group = std::str::from_utf8(reader.take(group)?)
            .ok()?
            .parse()
            .ok()?;
        let encapsulated = reader.array()?;
        let sealed = reader.array()?;
        let notice = serde_json::from_slice(reader.take(notice)?).ok()?;
        reader.0.is_empty().then_some(Header {
            recording,
            call,
            segment,
            group,
            generation,
            start,
            carrier: Codec::from_code(carrier)?,
            city: Codec::from_code(city)?,
            notice,
            sealed_key: SealedKey {
                encapsulated,
                sealed,
            },
        })
    }
}
