//! The writer of one segment: seals chunk after chunk and forgets each key behind it.
//!
//! It exists only with a [`Notice`], which it owns. It cannot read what it wrote.

use std::sync::Arc;

use jiff::Timestamp;
use rules::{CallId, Digest, Fault, JstDay, Notice, RecordingId};
use thiserror::Error;

use crate::{
    files::DiskFile,
    header::Header,
    object::Object,
    seal::{PublicHalf, SealFault, Sealer},
    secret::{SealedKey, SecretFault, SecretKey},
    segment::{
        Chain, Channel, ClearPart, Codec, Gap, MAX_CHUNK_SAMPLES, MAX_CHUNKS, MAX_GAPS,
        MAX_SAMPLES, SAMPLE_RATE_HZ, SegmentFault, chunk_aad, chunk_key, chunk_nonce, file_hash,
        join_channels, next_secret,
    },
    vault::{SegmentFile, Vault, VaultFault},
};

/// What a segment is opened with, beside its notice.
#[derive(Clone, Debug)]
pub struct Opening {
    /// The recording.
    pub recording: RecordingId,
    /// The call that it is of.
    pub call: CallId,
    /// When the call began: its day is the day of everything that is kept of it.
    pub call_started: Timestamp,
    /// The segment's place in the recording, from 0.
    pub segment: u32,
    /// The wall clock at sample 0.
    pub start: Timestamp,
    /// The citizen's channel.
    pub carrier: Codec,
    /// The city's channel.
    pub city: Codec,
}

/// 400 ms of both channels, as `media::track` aligns them; silence fills the gaps.
#[derive(Clone, Copy, Debug)]
pub struct Chunk<'bytes> {
    /// First sample, from the start of the segment.
    pub start: u64,
    /// Length in samples, at 8 kHz.
    pub samples: u32,
    /// The citizen's channel: a byte a sample.
    pub carrier: &'bytes [u8],
    /// The city's channel: a byte a sample.
    pub city: &'bytes [u8],
    /// Where nothing was received.
    pub gaps: &'bytes [Gap],
}

/// Gaps of both channels, added up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct GapTotal {
    /// How many.
    pub count: u64,
    /// Their samples, both channels together.
    pub samples: u64,
}

impl GapTotal {
    /// In milliseconds, both channels together.
    #[must_use]
    pub fn milliseconds(self) -> u64 {
        self.samples * 1000 / u64::from(SAMPLE_RATE_HZ)
    }

    /// Together with those of a further segment.
    #[must_use]
    pub fn and(self, next: GapTotal) -> GapTotal {
        GapTotal {
            count: self.count + next.count,
            samples: self.samples + next.samples,
        }
    }

    fn add(&mut self, gap: &Gap) {
        self.count += 1;
        self.samples += u64::from(gap.samples);
    }
}

/// What is known of a segment that will not grow any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SealedSegment {
    /// Whole chunks, the final one included.
    pub chunks: u32,
    /// Length in samples.
    pub samples: u64,
    /// What is missing of it.
    pub gaps: GapTotal,
    /// SHA-256 of the file.
    pub sha256: Digest,
    /// Length of the file.
    pub bytes: u64,
}

impl SealedSegment {
    /// What is known of a recording that goes on with a further segment; its hash is that of both hashes, in their order.
    #[must_use]
    pub fn and(&self, next: &SealedSegment) -> SealedSegment {
        let mut hashes = [0; 64];
        hashes[..32].copy_from_slice(&self.sha256.0);
        hashes[32..].copy_from_slice(&next.sha256.0);
        SealedSegment {
            chunks: self.chunks.saturating_add(next.chunks),
            samples: self.samples + next.samples,
            gaps: self.gaps.and(next.gaps),
            sha256: file_hash(&hashes),
            bytes: self.bytes + next.bytes,
        }
    }

    /// Length in milliseconds.
    #[must_use]
    pub fn duration_ms(&self) -> u64 {
        self.samples * 1000 / u64::from(SAMPLE_RATE_HZ)
    }
}

/// Writes one segment.
pub struct RecordingWriter {
    vault: Arc<Vault>,
    file: Box<dyn DiskFile>,
    name: SegmentFile,
    notice: Notice,
    secret: SecretKey,
    chain: Chain,
    next_index: u32,
    written: Written,
    tail: Tail,
    /// What could not be written since the last whole chunk, of both channels.
    lost: Vec<Gap>,
}

/// A segment whose header is written.
struct Begun {
    file: Box<dyn DiskFile>,
    name: SegmentFile,
    secret: SecretKey,
    chain: Chain,
}

impl Begun {
    fn create(
        notice: &Notice,
        vault: &Vault,
        half: &PublicHalf,
        opening: &Opening,
    ) -> Result<Begun, WriteFault> {
        let secret = SecretKey::random()?;
        let object = Object::Segment {
            recording: opening.recording,
            segment: opening.segment,
        };
        let header = Header {
            recording: opening.recording,
            call: opening.call,
            segment: opening.segment,
            group: half.group,
            generation: half.generation,
            start: opening.start,
            carrier: opening.carrier,
            city: opening.city,
            notice: notice.record(),
            sealed_key: SealedKey::seal(&secret, &object.info(), &half.bytes)?,
        };
        let mut chain = Chain::new();
        let mut bytes = header.to_bytes()?;
        chain.seal(&mut bytes);

        let day = JstDay::of(opening.call_started);
        let name = SegmentFile::open(day, opening.recording, opening.segment);
        let mut file = vault.create(&name)?;
        file.write(&bytes).map_err(|source| {
            vault.discard(&name);
            VaultFault::Disk {
                path: vault.path(&name),
                source,
            }
        })?;
        vault.note_written();
        Ok(Begun {
            file,
            name,
            secret,
            chain,
        })
    }

    fn into_writer(self, notice: Notice, vault: &Arc<Vault>) -> RecordingWriter {
        RecordingWriter {
            vault: Arc::clone(vault),
            file: self.file,
            name: self.name,
            notice,
            secret: self.secret,
            chain: self.chain,
            next_index: 0,
            written: Written::default(),
            tail: Tail::Clean,
            lost: Vec::new(),
        }
    }
}

/// What the whole chunks hold.
#[derive(Clone, Copy, Default)]
struct Written {
    chunks: u32,
    /// End of the last whole chunk.
    samples: u64,
    gaps: GapTotal,
}

/// What stands behind the last whole chunk.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Tail {
    Clean,
    /// A part of a chunk, which could not be cut off yet.
    Torn,
}

impl RecordingWriter {
    /// Makes the segment's file and writes its header.
    ///
    /// # Errors
    /// [`WriteFault`] if the day's public half or the disk cannot be used; the call then goes on
    /// unrecorded (law 1).
    pub fn create(
        notice: Notice,
        vault: &Arc<Vault>,
        sealer: &Sealer,
        opening: &Opening,
    ) -> Result<RecordingWriter, WriteFault> {
        let day = JstDay::of(opening.call_started);
        // Without a fixed expiry nothing of the day may be kept (K-22).
        vault.begin_day(day)?;
        let mut half = sealer.day(day)?;
        loop {
            let begun = Begun::create(&notice, vault, &half, opening)?;
            // The day may have got a new generation meanwhile. Either it is seen here, or whoever made it sees the file.
            let now = sealer.day(day);
            match now {
                Ok(now) if now != half => {
                    vault.discard(&begun.name);
                    half = now;
                }
                Ok(_) => return Ok(begun.into_writer(notice, vault)),
                Err(fault) => {
                    vault.discard(&begun.name);
                    return Err(fault.into());
                }
            }
        }
    }

    /// The notice that allows this recording.
    pub fn notice(&self) -> &Notice {
        &self.notice
    }

    /// The day that the recording belongs to.
    #[must_use]
    pub fn day(&self) -> JstDay {
        self.name.day
    }

    /// End of the last whole chunk, in samples.
    #[must_use]
    pub fn samples(&self) -> u64 {
        self.written.samples
    }

    /// Seals a chunk and hands it to the operating system.
    ///
    /// # Errors
    /// [`WriteFault`]. What the chunk held is lost, and the next one that can be written says so
    /// as a gap of both channels. The file keeps its whole chunks; appending may go on.
    pub fn append(&mut self, chunk: &Chunk<'_>) -> Result<(), WriteFault> {
        self.check(chunk)?;
        let end = chunk.start + u64::from(chunk.samples);
        let begin = self.accounted();
        self.note_lost(begin, chunk.start);
        let written = self.write(chunk, false);
        if written.is_err() {
            self.note_lost(chunk.start, end);
        }
        written
    }

    /// Writes the final chunk. Its length is that of the call, whatever was lost of it.
    ///
    /// # Errors
    /// [`CutSegment`]: the final chunk could not be written. The whole chunks stay, and are to be
    /// put into the row as recovered.
    pub fn finish(self) -> Result<SealedSegment, Box<CutSegment>> {
        self.close().0
    }

    /// Finishes this segment and begins the recording's next one, under the same notice.
    ///
    /// `opening`: of the same recording and call, one segment on.
    ///
    /// # Errors
    /// Of each segment its own, as [`RecordingWriter::finish`] and [`RecordingWriter::create`] say.
    pub fn follow(
        self,
        sealer: &Sealer,
        opening: &Opening,
    ) -> (
        Result<SealedSegment, Box<CutSegment>>,
        Result<RecordingWriter, WriteFault>,
    ) {
        let vault = Arc::clone(&self.vault);
        let (closed, notice) = self.close();
        let next = RecordingWriter::create(notice, &vault, sealer, opening);
        (closed, next)
    }

    fn close(mut self) -> (Result<SealedSegment, Box<CutSegment>>, Notice) {
        let end = Chunk {
            start: self.accounted(),
            samples: 0,
            carrier: &[],
            city: &[],
            gaps: &[],
        };
        let written = self.write(&end, true);
        let segment = SealedSegment {
            chunks: self.written.chunks,
            samples: self.written.samples,
            gaps: self.written.gaps,
            sha256: self.chain.file_hash(),
            bytes: self.chain.bytes(),
        };
        let closed = match (written, self.tail) {
            (Ok(()), _) => {
                self.vault.note_finished(self.name);
                Ok(segment)
            }
            (Err(fault), Tail::Clean) => {
                self.vault.note_finished(self.name);
                Err(Box::new(CutSegment { segment, fault }))
            }
            // It keeps its open name, so that the next start cuts off what could not be cut here.
            (Err(fault), Tail::Torn) => Err(Box::new(CutSegment { segment, fault })),
        };
        (closed, self.notice)
    }

    fn check(&self, chunk: &Chunk<'_>) -> Result<(), WriteFault> {
        let samples = usize::try_from(chunk.samples).unwrap_or(usize::MAX);
        let is_sound = chunk.samples > 0
            && chunk.samples <= MAX_CHUNK_SAMPLES
            && chunk.carrier.len() == samples
            && chunk.city.len() == samples
            && chunk.gaps.len() <= MAX_GAPS / 2
            && chunk.start >= self.accounted();
        match is_sound {
            true => Ok(()),
            false => Err(WriteFault::Chunk {
                expected_start: self.accounted(),
                start: chunk.start,
            }),
        }
    }

    /// Up to where it is settled what the recording holds or has lost.
    fn accounted(&self) -> u64 {
        let lost = self
            .lost
            .last()
            .map(|gap| gap.start + u64::from(gap.samples));
        lost.unwrap_or(0).max(self.written.samples)
    }

    /// Notes that both channels of a stretch are lost; it grows the gap before it if it can.
    fn note_lost(&mut self, mut from: u64, to: u64) {
        if let [.., carrier, city] = &mut self.lost[..] {
            let grown = to
                .checked_sub(city.start)
                .and_then(|samples| u32::try_from(samples).ok());
            if let Some(samples) = grown
                && city.start + u64::from(city.samples) == from
            {
                carrier.samples = samples;
                city.samples = samples;
                return;
            }
        }
        while from < to {
            let samples = u32::try_from(to - from).unwrap_or(u32::MAX);
            for channel in [Channel::Carrier, Channel::City] {
                self.lost.push(Gap {
                    channel,
                    start: from,
                    samples,
                });
            }
            from += u64::from(samples);
        }
    }

    fn write(&mut self, chunk: &Chunk<'_>, is_final: bool) -> Result<(), WriteFault> {
        if self.tail == Tail::Torn {
            self.cut_tail()?;
        }
        if self.next_index >= MAX_CHUNKS || chunk.start > MAX_SAMPLES {
            return Err(WriteFault::TooLong);
        }
        let gaps = [&self.lost[..], chunk.gaps].concat();
        let clear = ClearPart {
            index: self.next_index,
            is_final,
            start: chunk.start,
            samples: chunk.samples,
            gaps,
        };
        let mut sealed = join_channels(chunk.carrier, chunk.city)?;
        let mut part = clear.to_bytes(sealed.len() + crate::secret::TAG_BYTES)?;
        let aad = chunk_aad(&self.chain.link(), &part);
        chunk_key(&self.secret).encrypt(chunk_nonce(self.next_index), &aad, &mut sealed)?;
        // The key is spent, whether or not its chunk reaches the disk: it never seals twice.
        self.secret = next_secret(&self.secret);
        self.next_index += 1;

        part.extend_from_slice(&sealed);
        let mut chain = self.chain.clone();
        chain.seal(&mut part);
        let outcome = self.file.write(&part);
        self.vault.note_written();
        if let Err(source) = outcome {
            self.tail = Tail::Torn;
            // What cannot be cut now is cut before the next write.
            let _ = self.cut_tail();
            return Err(VaultFault::Disk {
                path: self.vault.path(&self.name),
                source,
            }
            .into());
        }
        self.chain = chain;
        self.written.chunks += 1;
        self.written.samples = clear.start + u64::from(clear.samples);
        clear.gaps.iter().for_each(|gap| self.written.gaps.add(gap));
        self.lost.clear();
        Ok(())
    }

    fn cut_tail(&mut self) -> Result<(), VaultFault> {
        let cut = self.file.cut(self.chain.bytes());
        cut.map_err(|source| VaultFault::Disk {
            path: self.vault.path(&self.name),
            source,
        })?;
        self.tail = Tail::Clean;
        Ok(())
    }
}

/// A segment without its final chunk.
#[derive(Debug, Error)]
#[error("the recording has no end: {fault}")]
pub struct CutSegment {
    /// Its whole chunks.
    pub segment: SealedSegment,
    /// Why the final one is missing.
    pub fault: WriteFault,
}

/// Why a chunk was not written.
#[derive(Debug, Error)]
pub enum WriteFault {
    /// The day cannot be sealed to.
    #[error(transparent)]
    Seal(#[from] SealFault),
    /// The disk refused.
    #[error(transparent)]
    Vault(#[from] VaultFault),
    /// The cipher refused.
    #[error(transparent)]
    Secret(#[from] SecretFault),
    /// The header or chunk is larger than the format allows.
    #[error(transparent)]
    Segment(#[from] SegmentFault),
    /// The chunk does not follow the one before it, or its parts differ in length.
    #[error(
        "a chunk from sample {start} does not fit, expected both channels from sample {expected_start} on; this is a defect of the recorder"
    )]
    Chunk {
        /// Where the recording stands.
        expected_start: u64,
        /// Where the chunk begins.
        start: u64,
    },
    /// The segment has as many chunks as a segment may have.
    #[error("the segment holds {MAX_CHUNKS} chunks already; begin another segment")]
    TooLong,
}

impl WriteFault {
    /// Whose fault it is.
    #[must_use]
    pub fn fault(&self) -> Fault {
        match self {
            WriteFault::Seal(fault) => fault.fault(),
            WriteFault::Vault(fault) => fault.fault(),
            WriteFault::Secret(fault) => fault.fault(),
            WriteFault::Segment(fault) => fault.fault(),
            WriteFault::Chunk { .. } => Fault::Ours,
            WriteFault::TooLong => Fault::Resource,
        }
    }

    /// True if the disk is full.
    #[must_use]
    pub fn is_disk_full(&self) -> bool {
        match self {
            WriteFault::Vault(fault) => fault.is_disk_full(),
            WriteFault::Seal(_)
            | WriteFault::Secret(_)
            | WriteFault::Segment(_)
            | WriteFault::Chunk { .. }
            | WriteFault::TooLong => false,
        }
    }
}
