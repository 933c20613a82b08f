//! A recording that is being heard, as 16-bit PCM: the caller left, the city right. Before each part the right is looked at anew (K-11).

use std::ops::Range;

use jiff::Timestamp;
use rules::{CopyId, Permit, Refusal};
use storage::{Codec, OpenFault, Playback, PlayedSegment};

use crate::{
    duty::{Answer, Message},
    office::Desk,
    people,
};

const WAV_HEADER_BYTES: usize = 44;
pub(crate) const SAMPLE_RATE_HZ: u32 = 8_000;
const CHANNELS: u16 = 2;
const BYTES_PER_FRAME: u16 = 4; // Two channels of 16 bits.

/// What is left to be heard of a playback.
pub(crate) struct Voice<P> {
    playback: Playback<P>,
    /// In samples from the recording's beginning, over all its segments.
    range: Range<u64>,
}

/// A stretch of a voice.
pub(crate) struct Part {
    pub(crate) bytes: Vec<u8>,
    /// Of each channel.
    samples: u64,
}

impl<P: Permit> Voice<P> {
    /// `range_ms`: what is asked for; `None` is the whole. What lies beyond the end is left out.
    pub(crate) fn new(playback: Playback<P>, range_ms: Option<(u64, u64)>) -> Voice<P> {
        let total: u64 = playback.segments().iter().map(PlayedSegment::samples).sum();
        let sample = |ms: u64| {
            ms.saturating_mul(u64::from(SAMPLE_RATE_HZ) / 1_000)
                .min(total)
        };
        let range = range_ms.map_or(0..total, |(from, to)| sample(from)..sample(to));
        Voice { playback, range }
    }

    /// The permit that allows it.
    pub(crate) fn permit(&self) -> &P {
        self.playback.permit()
    }

    /// How much is left, in samples.
    pub(crate) fn samples(&self) -> u64 {
        self.range.end.saturating_sub(self.range.start)
    }

    /// Where it stands: before what was not sent yet, in milliseconds from the recording's beginning.
    pub(crate) fn at_ms(&self) -> u64 {
        milliseconds(self.range.start)
    }

    /// The next part, of at most so many samples; `None` at the end. Until [`Self::pass`] is told that it was sent it stays the next one.
    ///
    /// # Errors
    /// The right is over by now, the recording is disposed of, or it does not open.
    pub(crate) fn part(&mut self, desk: &Desk, samples: u64) -> Result<Option<Part>, OpenFault> {
        let Some((segment, stretch)) = self.stretch(samples) else {
            return Ok(None);
        };
        let now = Timestamp::now();
        let permit = self.playback.permit();
        // Where nobody can be looked up, nobody hears on.
        let standing = desk.standing(permit.recording());
        let (register, state) = standing.ok_or_else(Refusal::nobody)?;
        permit.judge_anew(&register, state, now)?;
        let header = self.playback.segments()[segment].header();
        let (carrier, city) = (media_codec(header.carrier), media_codec(header.city));
        let samples = stretch.end - stretch.start;
        let audio = self.playback.read(segment, stretch, now)?;
        let frames = audio.carrier.iter().zip(audio.city.iter());
        let bytes = frames.flat_map(|(left, right)| {
            let [low, high] = carrier.decode(*left).to_le_bytes();
            let [right_low, right_high] = city.decode(*right).to_le_bytes();
            [low, high, right_low, right_high]
        });
        Ok(Some(Part {
            bytes: bytes.collect(),
            samples,
        }))
    }

    /// Stands behind a part that was sent.
    pub(crate) fn pass(&mut self, part: &Part) {
        self.range.start += part.samples;
    }

    /// The next stretch that lies within one segment, in that segment's own samples.
    fn stretch(&self, samples: u64) -> Option<(usize, Range<u64>)> {
        let mut begin = 0;
        for (index, segment) in self.playback.segments().iter().enumerate() {
            let end = begin + segment.samples();
            if self.range.start < end && self.range.start < self.range.end {
                let last = end.min(self.range.end).min(self.range.start + samples);
                return Some((index, self.range.start - begin..last - begin));
            }
            begin = end;
        }
        None
    }
}

/// What is said of a recording that broke off. A right that lapsed and a day that is over are refusals (K-22); of all else `ja` says it.
pub(crate) fn broken_off<T>(fault: &OpenFault, ja: &str) -> Answer<T> {
    match fault {
        OpenFault::Refused(refusal) => Answer::Refused(people::message(refusal)),
        OpenFault::Expired => Answer::Refused(people::message(&Refusal::disposed())),
        OpenFault::Mask(beyond) => Answer::Failed(Message::new(
            people::mask_beyond(beyond),
            beyond.to_string(),
        )),
        OpenFault::NotWhole { .. } => Answer::Failed(Message::new(
            "録音の一部が失われています（区間の欠落、切断または変更）。残りを全体として渡すことはできません。バックアップから戻してください。",
            fault.to_string(),
        )),
        OpenFault::NoFile { .. }
        | OpenFault::OtherRecording
        | OpenFault::NoSegment
        | OpenFault::Segment(_)
        | OpenFault::Vault(_)
        | OpenFault::Secret(_)
        | OpenFault::Awaited { .. }
        | OpenFault::Key(_) => Answer::Failed(Message::new(ja, fault.to_string())),
    }
}

/// Samples as time.
pub(crate) fn milliseconds(samples: u64) -> u64 {
    samples * 1_000 / u64::from(SAMPLE_RATE_HZ)
}

fn media_codec(codec: Codec) -> media::Codec {
    match codec {
        Codec::Pcmu => media::Codec::Pcmu,
        Codec::Pcma => media::Codec::Pcma,
    }
}

/// The length of the WAV file of so many samples.
pub(crate) fn wav_bytes(samples: u64) -> u64 {
    samples * u64::from(BYTES_PER_FRAME) + u64::try_from(WAV_HEADER_BYTES).unwrap_or(0)
}

/// The header of a WAV file: PCM, 16 bits, two channels, 8 kHz. Source: Microsoft and IBM, RIFF 1.0, chapter 3.
pub(crate) fn wav_header(samples: u64) -> Vec<u8> {
    header(samples, &[])
}

/// The header of a file outside the vault, whose comment (RIFF 1.0, chapter 2, `INFO`) says which copy it is.
pub(crate) fn copy_header(samples: u64, copy: CopyId) -> Vec<u8> {
    header(samples, &comment(&format!("denwaban copy {copy}")))
}

/// The length of such a header: every copy's is the same.
pub(crate) fn copy_header_bytes(copy: CopyId) -> usize {
    copy_header(0, copy).len()
}

/// Whether a file that begins so is this copy. `front`: as many octets as its header has.
pub(crate) fn is_copy(front: &[u8], copy: CopyId) -> bool {
    let Some(data) = front.last_chunk() else {
        return false;
    };
    let samples = u32::from_le_bytes(*data) / u32::from(BYTES_PER_FRAME);
    front == copy_header(samples.into(), copy)
}

/// A list of one comment, which ends with a zero and is as long as an even number of octets.
fn comment(text: &str) -> Vec<u8> {
    let padding = [0; 2];
    let text = [text.as_bytes(), &padding[..2 - text.len() % 2]].concat();
    let length = |bytes: usize| u32::try_from(bytes).unwrap_or(u32::MAX).to_le_bytes();
    let list = b"INFOICMT".len() + 4 + text.len();
    let parts = [
        &b"LIST"[..],
        &length(list),
        b"INFOICMT",
        &length(text.len()),
        &text,
    ];
    parts.concat()
}

fn header(samples: u64, comment: &[u8]) -> Vec<u8> {
    let rest = u32::try_from(WAV_HEADER_BYTES - 8 + comment.len()).unwrap_or(u32::MAX);
    let frame = u32::from(BYTES_PER_FRAME);
    // 37 hours are 4 GiB; what lies beyond is no recording of a call.
    let samples = u32::try_from(samples).unwrap_or(u32::MAX);
    let data = samples.min((u32::MAX - rest) / frame) * frame;
    let mut header = Vec::with_capacity(WAV_HEADER_BYTES + comment.len());
    header.extend_from_slice(b"RIFF");
    header.extend_from_slice(&(data + rest).to_le_bytes());
    header.extend_from_slice(b"WAVEfmt ");
    header.extend_from_slice(&16_u32.to_le_bytes());
    header.extend_from_slice(&1_u16.to_le_bytes());
    header.extend_from_slice(&CHANNELS.to_le_bytes());
    header.extend_from_slice(&SAMPLE_RATE_HZ.to_le_bytes());
    header.extend_from_slice(&(SAMPLE_RATE_HZ * u32::from(BYTES_PER_FRAME)).to_le_bytes());
    header.extend_from_slice(&BYTES_PER_FRAME.to_le_bytes());
    header.extend_from_slice(&16_u16.to_le_bytes());
    header.extend_from_slice(comment);
    header.extend_from_slice(b"data");
    header.extend_from_slice(&data.to_le_bytes());
    header
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;

    #[test]
    fn the_header_is_what_an_independent_reader_expects() {
        let copy = CopyId::new(Timestamp::UNIX_EPOCH, 7);
        for header in [wav_header(3), copy_header(3, copy)] {
            let file = [&header[..], &[0; 12]].concat();
            let reader = hound::WavReader::new(io::Cursor::new(file)).unwrap();
            assert_eq!(
                (
                    reader.spec().channels,
                    reader.spec().sample_rate,
                    reader.duration()
                ),
                (2, 8_000, 3)
            );
        }
    }

    #[test]
    fn a_copy_is_known_by_its_header_whatever_its_length() {
        let [own, other] = [1, 2].map(|random| CopyId::new(Timestamp::UNIX_EPOCH, random));
        for samples in [0, 1, 80_000, u64::from(u32::MAX)] {
            let header = copy_header(samples, own);
            assert_eq!(header.len(), copy_header_bytes(other));
            assert!(is_copy(&header, own) && !is_copy(&header, other));
            assert!(!is_copy(&header[1..], own) && !is_copy(&[], own));
        }
        assert!(!is_copy(&wav_header(1), own));
    }
}
