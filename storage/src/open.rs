//! The way back: private halves, and what opens only against a permit.
//!
//! An [`Opener`] is another type than the [`Sealer`](crate::Sealer), and belongs to the office.
//! It keeps no key: root and key store are read for each opening, so that what was destroyed a
//! moment ago opens no more. A [`Playback`] owns its permit and asks it again at every read.

mod words;

use std::{collections::BTreeMap, ops::Range, sync::Arc};

use jiff::Timestamp;
use rules::{
    CallId, Caller, Fault, FindPermit, JstDay, MaskBeyond, Number, Permit, RecordingId, Refusal,
    RevealPermit, StaffId,
};
use thiserror::Error;
use zeroize::Zeroizing;

use crate::{
    catalogue::FoundCall,
    files::Disk,
    group::Group,
    header::Header,
    keys::{self, KeyFault, RootProvider},
    layout::Layout,
    listing::ListedCall,
    object::{Object, SealedTo},
    seal::{SealedCaller, SealedFields},
    secret::{SecretFault, SecretKey},
    segment::{
        ChunkPlace, CutReason, Gap, SegmentFault, Walk, chunk_aad, chunk_key, chunk_nonce,
        next_secret, split_channels,
    },
    totp::TotpSecret,
    vault::{SegmentFile, Vault, VaultFault},
};

/// Opens what was sealed, against permits.
#[derive(Clone)]
pub struct Opener {
    disk: Arc<dyn Disk>,
    layout: Layout,
    roots: Arc<dyn RootProvider>,
}

impl Opener {
    /// Opens with the root and key store of the layout. Nothing is read yet.
    #[must_use]
    pub fn new(disk: Arc<dyn Disk>, layout: &Layout) -> Opener {
        let roots = keys::folder_roots(&disk, layout);
        Opener::with_roots(disk, layout, roots)
    }

    /// The same with roots that are kept elsewhere than in the layout's folder.
    #[must_use]
    pub fn with_roots(
        disk: Arc<dyn Disk>,
        layout: &Layout,
        roots: Arc<dyn RootProvider>,
    ) -> Opener {
        Opener {
            disk,
            layout: layout.clone(),
            roots,
        }
    }

    /// Opens a caller's number. The permit is for one recording; `call` is that recording's, as its row says.
    ///
    /// # Errors
    /// [`OpenFault`] if the permit has lapsed, or the day's key is gone or does not fit.
    pub fn open_caller(
        &self,
        permit: &RevealPermit,
        call: CallId,
        caller: &SealedCaller,
        now: Timestamp,
    ) -> Result<Caller, OpenFault> {
        permit.check(now)?;
        let SealedCaller::Number(fields) = caller else {
            return Ok(Caller::Anonymous);
        };
        let object = Object::Caller { call };
        let key = self.key(object, fields.sealed_to())?;
        Ok(Caller::Known(read_number(object, fields, &key)?))
    }

    /// Compares callers with the number that is sought, and gives none away.
    ///
    /// # Errors
    /// [`OpenFault`] if the permit has lapsed or the key store cannot be read; a caller that does not open is one that cannot be told.
    pub fn compare_callers(
        &self,
        permit: &FindPermit,
        calls: &[FoundCall],
        now: Timestamp,
    ) -> Result<Vec<Comparison>, OpenFault> {
        permit.check(now)?;
        let sealed: Vec<Option<(Object, &SealedFields)>> = calls
            .iter()
            .map(|found| match (found.call.call, &found.caller) {
                (Some(call), Some(SealedCaller::Number(fields))) => {
                    Some((Object::Caller { call }, fields))
                }
                _ => None,
            })
            .collect();
        let objects = sealed
            .iter()
            .flatten()
            .map(|(object, fields)| (*object, fields.sealed_to()));
        let keys = keys::open_keys(&*self.disk, &self.layout, &*self.roots, objects)?;
        let mut keys = keys.into_iter();
        let compare = |sealed: &Option<(Object, &SealedFields)>| {
            let (object, fields) = (*sealed)?;
            let key = keys.next()?.ok()?;
            let number = read_number(object, fields, &key).ok()?;
            let is_sought = permit.sought().caller.as_ref() == Some(&number);
            Some(if is_sought {
                Comparison::Same
            } else {
                Comparison::Other
            })
        };
        Ok(sealed
            .iter()
            .map(compare)
            .map(|found| found.unwrap_or(Comparison::Unreadable))
            .collect())
    }

    /// Opens the secret of a person's codes, to look at a code.
    ///
    /// # Errors
    /// [`OpenFault`] if the month's key is gone or does not fit.
    pub fn open_totp(
        &self,
        person: &StaffId,
        sealed: &SealedFields,
    ) -> Result<TotpSecret, OpenFault> {
        let bytes = self.open_fields(Object::totp_of(person), sealed)?;
        Ok(TotpSecret::from_bytes(bytes))
    }

    fn open_fields(
        &self,
        object: Object,
        sealed: &SealedFields,
    ) -> Result<Zeroizing<Vec<u8>>, OpenFault> {
        let key = self.key(object, sealed.sealed_to())?;
        Ok(sealed.open(object, &key)?)
    }

    fn key(&self, object: Object, first: &SealedTo) -> Result<SecretKey, KeyFault> {
        keys::open_key(&*self.disk, &self.layout, &*self.roots, object, first)
    }

    /// The key of the first segment of each recording.
    pub(crate) fn first_keys(
        &self,
        vault: &Vault,
        recordings: &BTreeMap<RecordingId, JstDay>,
    ) -> Result<Vec<SecretKey>, OpenFault> {
        let mut sealed = Vec::with_capacity(recordings.len());
        for (recording, day) in recordings {
            let files = vault.segments(*day, *recording)?;
            let first = files.first().map(|file| vault.sealed(file)).transpose()?;
            let recording = *recording;
            sealed.push(first.flatten().ok_or(OpenFault::NoFile { recording })?);
        }
        let objects = sealed.iter().map(|sealed| (sealed.object, &sealed.first));
        let keys = keys::open_keys(&*self.disk, &self.layout, &*self.roots, objects)?;
        Ok(keys.into_iter().collect::<Result<_, _>>()?)
    }
}

fn read_number(
    object: Object,
    fields: &SealedFields,
    key: &SecretKey,
) -> Result<Number, SecretFault> {
    let digits = fields.open(object, key)?;
    let number = std::str::from_utf8(&digits)
        .ok()
        .and_then(|text| Number::parse(text).ok());
    number.ok_or(SecretFault::DoesNotOpen)
}

/// Whether a caller is the one that is sought.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Comparison {
    /// It is.
    Same,
    /// It is another.
    Other,
    /// Nobody can say: there was no number, it was not kept, or it does not open.
    Unreadable,
}

/// What a row says of a recording, by which what lies in the vault is found and measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Kept {
    /// The day of the call's start.
    pub day: JstDay,
    /// The length over all segments, once it has ended.
    pub bytes: Option<u64>,
}

impl From<&ListedCall> for Kept {
    fn from(call: &ListedCall) -> Kept {
        Kept {
            day: call.day,
            bytes: call.bytes,
        }
    }
}

impl Vault {
    /// Opens a recording. The permit is moved into the playback that it allows.
    ///
    /// What the permit's case holds is there past its day. Of what is not whole nothing is given out: nobody takes a half for the whole.
    ///
    /// # Errors
    /// [`OpenFault`] if the permit has lapsed, the day has expired, its key is gone, or less is there than the row says.
    pub fn open<P: Permit>(
        &self,
        permit: P,
        kept: Kept,
        opener: &Opener,
        now: Timestamp,
    ) -> Result<Playback<P>, OpenFault> {
        permit.check(now)?;
        let day = kept.day;
        let recording = permit.recording();
        let expires_at = self
            .fixed_expiry(day)?
            .unwrap_or_else(|| self.policy_expiry(day));
        let expires_at = permit
            .held_until()
            .map_or(expires_at, |held| held.max(expires_at));
        if now >= expires_at {
            return Err(OpenFault::Expired);
        }
        let files = self.segments(day, recording)?;
        if files.is_empty() {
            return Err(match self.awaits(day, recording)? {
                true => OpenFault::Awaited { recording },
                false => OpenFault::NoFile { recording },
            });
        }
        let mut read = Vec::with_capacity(files.len());
        for file in files {
            read.push((self.read(&file)?, file));
        }
        let there = read.iter().map(|(bytes, _)| bytes.len() as u64);
        self.check_whole(recording, kept, there.sum())?;
        let opened = read
            .into_iter()
            .map(|(bytes, file)| PlayedSegment::open(bytes, &file, opener));
        let segments: Vec<PlayedSegment> = opened.collect::<Result<_, _>>()?;
        // A chunk that is not as it was written ends its segment, however long the file goes on.
        let good = segments.iter().map(|segment| segment.good_bytes);
        self.check_whole(recording, kept, good.sum())?;
        Ok(Playback {
            permit,
            expires_at,
            segments,
        })
    }

    /// Whether as much is there as the row says.
    fn check_whole(
        &self,
        recording: RecordingId,
        kept: Kept,
        found_bytes: u64,
    ) -> Result<(), OpenFault> {
        let kept_bytes = kept.bytes.unwrap_or(0);
        if found_bytes >= kept_bytes {
            return Ok(());
        }
        Err(match self.awaits(kept.day, recording)? {
            true => OpenFault::Awaited { recording },
            false => OpenFault::NotWhole {
                recording,
                kept_bytes,
                found_bytes,
            },
        })
    }
}

/// A recording that somebody may hear or package, as long as its permit and its day last.
pub struct Playback<P> {
    permit: P,
    expires_at: Timestamp,
    segments: Vec<PlayedSegment>,
}

/// Both channels of a stretch of one segment; silence stands where nothing was kept.
#[derive(PartialEq, Eq)]
pub struct Audio {
    /// The citizen's channel, in the segment's codec: a byte a sample.
    pub carrier: Zeroizing<Vec<u8>>,
    /// The city's channel.
    pub city: Zeroizing<Vec<u8>>,
}

impl<P: Permit> Playback<P> {
    /// The permit that allows it.
    pub fn permit(&self) -> &P {
        &self.permit
    }

    /// The segments, in order: their codecs, length and gaps.
    #[must_use]
    pub fn segments(&self) -> &[PlayedSegment] {
        &self.segments
    }

    /// Reads a stretch of a segment, in samples. What lies beyond its end is left out.
    ///
    /// Reading forward costs each chunk once; reading backward begins at the first chunk again,
    /// because the ratchet turns one way only.
    ///
    /// # Errors
    /// [`OpenFault`] if the permit has lapsed or the day has expired since the last read, or a
    /// chunk is not what was sealed.
    pub fn read(
        &mut self,
        segment: usize,
        range: Range<u64>,
        now: Timestamp,
    ) -> Result<Audio, OpenFault> {
        // The day's end is told before the permit's, which ends with it (K-22).
        if now >= self.expires_at {
            return Err(OpenFault::Expired);
        }
        self.permit.check(now)?;
        let segment = self.segments.get_mut(segment).ok_or(OpenFault::NoSegment)?;
        segment.read(range)
    }
}

/// One segment of a recording that is being heard.
pub struct PlayedSegment {
    file: Vec<u8>,
    header: Header,
    places: Vec<ChunkPlace>,
    samples: u64,
    gaps: Vec<Gap>,
    cut: Option<CutReason>,
    /// Up to the end of the last chunk that is as it was written.
    good_bytes: u64,
    key: SecretKey,
    ratchet: Ratchet,
}

/// Where the reading stands.
struct Ratchet {
    index: u32,
    secret: SecretKey,
}

impl PlayedSegment {
    /// What the segment says of itself.
    #[must_use]
    pub fn header(&self) -> &Header {
        &self.header
    }

    /// Its length in samples.
    #[must_use]
    pub fn samples(&self) -> u64 {
        self.samples
    }

    /// Where nothing was received or kept.
    #[must_use]
    pub fn gaps(&self) -> &[Gap] {
        &self.gaps
    }

    /// Why it ends without its final chunk, if it does: it is played up to there.
    #[must_use]
    pub fn cut(&self) -> Option<CutReason> {
        self.cut
    }

    fn open(
        file: Vec<u8>,
        name: &SegmentFile,
        opener: &Opener,
    ) -> Result<PlayedSegment, OpenFault> {
        let mut walk = Walk::new(&file)?;
        let places: Vec<ChunkPlace> = walk.by_ref().collect();
        let Walk {
            header,
            samples,
            cut,
            chain,
            ..
        } = walk;
        let found = (header.recording, header.segment, header.group);
        if found != (name.recording, name.segment, Group::Day(name.day)) {
            return Err(OpenFault::OtherRecording);
        }
        let key = opener.key(header.object(), &header.sealed_to())?;
        let gaps = places
            .iter()
            .flat_map(|place| place.clear.gaps.iter().copied())
            .collect();
        let ratchet = Ratchet {
            index: 0,
            secret: key.clone(),
        };
        Ok(PlayedSegment {
            header,
            places,
            samples,
            gaps,
            cut,
            good_bytes: chain.bytes(),
            key,
            ratchet,
            file,
        })
    }

    fn read(&mut self, range: Range<u64>) -> Result<Audio, OpenFault> {
        let range = range.start.min(self.samples)..range.end.min(self.samples);
        let length = usize::try_from(range.end.saturating_sub(range.start)).unwrap_or(0);
        let mut audio = Audio {
            carrier: Zeroizing::new(vec![self.header.carrier.silence(); length]),
            city: Zeroizing::new(vec![self.header.city.silence(); length]),
        };
        let end = |place: &ChunkPlace| place.clear.start + u64::from(place.clear.samples);
        let first = self
            .places
            .partition_point(|place| end(place) <= range.start);
        let beyond = self
            .places
            .partition_point(|place| place.clear.start < range.end);
        for index in first..beyond {
            let clear = self.open_chunk(index)?;
            let (carrier, city) = split_channels(&clear).ok_or(SecretFault::DoesNotOpen)?;
            let place = &self.places[index];
            let samples = usize::try_from(place.clear.samples).unwrap_or(usize::MAX);
            if carrier.len() != samples || city.len() != samples {
                return Err(SecretFault::DoesNotOpen.into());
            }
            lay(carrier, place.clear.start, &mut audio.carrier, range.start);
            lay(city, place.clear.start, &mut audio.city, range.start);
        }
        Ok(audio)
    }

    fn open_chunk(&mut self, place: usize) -> Result<Zeroizing<Vec<u8>>, OpenFault> {
        let place = &self.places[place];
        let index = place.clear.index;
        if index < self.ratchet.index {
            self.ratchet = Ratchet {
                index: 0,
                secret: self.key.clone(),
            };
        }
        while self.ratchet.index < index {
            self.ratchet.secret = next_secret(&self.ratchet.secret);
            self.ratchet.index += 1;
        }
        let aad = chunk_aad(&place.link, &self.file[place.clear_bytes.clone()]);
        let sealed = &self.file[place.sealed_bytes.clone()];
        let opened = chunk_key(&self.ratchet.secret).decrypt(chunk_nonce(index), &aad, sealed)?;
        Ok(Zeroizing::new(opened))
    }
}

/// Lays a chunk's channel over the stretch that is wanted.
fn lay(channel: &[u8], start: u64, wanted: &mut [u8], wanted_start: u64) {
    let skipped = usize::try_from(wanted_start.saturating_sub(start)).unwrap_or(usize::MAX);
    let offset = usize::try_from(start.saturating_sub(wanted_start)).unwrap_or(usize::MAX);
    let channel = channel.get(skipped..).unwrap_or_default();
    let wanted = wanted.get_mut(offset..).unwrap_or_default();
    let length = channel.len().min(wanted.len());
    wanted[..length].copy_from_slice(&channel[..length]);
}

/// Why something sealed was not opened.
#[derive(Debug, Error)]
pub enum OpenFault {
    /// The permit does not hold (any more).
    #[error("{}", .0.english())]
    Refused(Box<Refusal>),
    /// The day of the recording has expired; from that instant on it is gone for every reader.
    #[error("the recording's day has expired; it is disposed of and cannot be heard")]
    Expired,
    /// The vault has no file of this recording.
    #[error(
        "the vault has no file of recording {recording}; compare the row's state, and restore nothing that was disposed of"
    )]
    NoFile {
        /// The recording.
        recording: RecordingId,
    },
    /// Less of it is there than its row says.
    #[error(
        "the vault has {found_bytes} good bytes of recording {recording}, expected {kept_bytes} as its row says: a segment is gone, or a file is cut or changed; what is left is not given out as the whole, bring the file back from a backup"
    )]
    NotWhole {
        /// The recording.
        recording: RecordingId,
        /// What the row says.
        kept_bytes: u64,
        /// What is there.
        found_bytes: u64,
    },
    /// A restore has still to bring the audio.
    #[error(
        "the audio of recording {recording} is still awaited from a backup; restore --audio brings it"
    )]
    Awaited {
        /// The recording.
        recording: RecordingId,
    },
    /// The file belongs to something else than its name says.
    #[error(
        "the segment's header names another recording, segment or day than its file; the file was exchanged"
    )]
    OtherRecording,
    /// The recording has fewer segments.
    #[error("the recording has no such segment")]
    NoSegment,
    /// The file is no segment.
    #[error(transparent)]
    Segment(#[from] SegmentFault),
    /// The vault's disk refused.
    #[error(transparent)]
    Vault(#[from] VaultFault),
    /// The key is gone or cannot be read.
    #[error(transparent)]
    Key(KeyFault),
    /// The bytes are not what was sealed.
    #[error(transparent)]
    Secret(#[from] SecretFault),
    /// The recording is shorter than what a package must silence of it.
    #[error(transparent)]
    Mask(#[from] MaskBeyond),
}

impl From<KeyFault> for OpenFault {
    /// A key that was sealed for something else says that the bytes were exchanged, not that keys are missing.
    fn from(fault: KeyFault) -> OpenFault {
        match fault {
            KeyFault::Secret(fault) => OpenFault::Secret(fault),
            other => OpenFault::Key(other),
        }
    }
}

impl From<Refusal> for OpenFault {
    fn from(refusal: Refusal) -> OpenFault {
        OpenFault::Refused(Box::new(refusal))
    }
}

impl OpenFault {
    /// Whose fault it is.
    #[must_use]
    pub fn fault(&self) -> Fault {
        match self {
            OpenFault::Refused(_)
            | OpenFault::Expired
            | OpenFault::NoSegment
            | OpenFault::Mask(_) => Fault::Operator,
            OpenFault::NoFile { .. }
            | OpenFault::NotWhole { .. }
            | OpenFault::Awaited { .. }
            | OpenFault::OtherRecording => Fault::Resource,
            OpenFault::Segment(fault) => fault.fault(),
            OpenFault::Vault(fault) => fault.fault(),
            OpenFault::Key(fault) => fault.fault(),
            OpenFault::Secret(fault) => fault.fault(),
        }
    }
}
