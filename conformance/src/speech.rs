//! Speech that cannot be mistaken: noise from a seed, and where in a recording which part of it lies.

use std::{fmt, io, path::Path};

use audio_codec_algorithms::decode_ulaw;

/// So many samples, found at one place, are no accident: 50 ms of noise.
const CERTAIN_SAMPLES: usize = 400;

/// PCMU noise: every 50 ms of it occur once, and the noise of two seeds shares none.
#[must_use]
pub fn noise(seed: u64, seconds: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let mut next = || {
        // Marsaglia's xorshift with 64 bits.
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()[3]
    };
    (0..seconds * 8000).map(|_| next()).collect()
}

/// PCMU as linear samples, by tables that are not ours.
#[must_use]
pub fn linear(pcmu: &[u8]) -> Vec<i16> {
    pcmu.iter().map(|octet| decode_ulaw(*octet)).collect()
}

/// Where a stretch of what was said lies in what was recorded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Overlap {
    /// Its first sample in what was said.
    pub said_from: usize,
    /// Its first sample in the recording.
    pub recorded_from: usize,
    pub samples: usize,
}

impl fmt::Display for Overlap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} samples, said from {}, recorded from {}",
            self.samples, self.said_from, self.recorded_from
        )
    }
}

/// Finds what was said in a recorded channel, and wants all of the rest to be silence.
///
/// # Errors
/// Where the channel holds anything that was not said there: noise of another place, a hole, a changed sample.
pub fn overlap(said: &[i16], recorded: &[i16]) -> Result<Overlap, String> {
    let first = recorded
        .iter()
        .position(|sample| *sample != 0)
        .ok_or("the channel is silent from its beginning to its end")?;
    let probe = recorded
        .get(first..first + CERTAIN_SAMPLES)
        .ok_or("the channel holds less than 50 ms of sound")?;
    let found = said
        .windows(CERTAIN_SAMPLES)
        .position(|window| window == probe);
    let said_from = found
        .ok_or_else(|| format!("the sound from sample {first} on was not said by this party"))?;
    let pairs = said[said_from..].iter().zip(&recorded[first..]);
    let samples = pairs
        .take_while(|(said, recorded)| said == recorded)
        .count();
    let end = first + samples;
    if let Some(offset) = recorded[end..].iter().position(|sample| *sample != 0) {
        let place = end + offset;
        return Err(format!(
            "{samples} samples agree from {first} on, then sample {place} of {} does not",
            recorded.len()
        ));
    }
    Ok(Overlap {
        said_from,
        recorded_from: first,
        samples,
    })
}

/// The two channels of a recording that was written out: caller, then city.
///
/// # Errors
/// When the file is no WAV with two channels of 16 bit at 8 kHz.
pub fn channels(wav: &Path) -> io::Result<[Vec<i16>; 2]> {
    let mut reader = hound::WavReader::open(wav).map_err(io::Error::other)?;
    let hound::WavSpec {
        channels,
        sample_rate,
        bits_per_sample,
        ..
    } = reader.spec();
    if (channels, sample_rate, bits_per_sample) != (2, 8000, 16) {
        let found = format!("{channels} channels, {sample_rate} Hz, {bits_per_sample} bit");
        return Err(io::Error::other(format!(
            "the recording has {found}, expected 2 channels, 8000 Hz, 16 bit"
        )));
    }
    let samples: Vec<i16> = reader
        .samples()
        .collect::<Result<_, _>>()
        .map_err(io::Error::other)?;
    let side = |first| samples.iter().copied().skip(first).step_by(2).collect();
    Ok([side(0), side(1)])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stretch_is_found_wherever_it_lies() {
        let said = linear(&noise(1, 2));
        let recorded = [&[0; 77], &said[1_000..9_000], &[0; 30]].concat();
        let found = overlap(&said, &recorded).unwrap();
        // The noise may begin with a sample that is zero, which looks like the silence before it.
        assert!(found.said_from - 1_000 < 10);
        assert_eq!(found.said_from - 1_000, found.recorded_from - 77);
        assert_eq!(
            found.samples,
            9_000 + 30
                - found.said_from
                - said[9_000..9_030]
                    .iter()
                    .zip([0; 30])
                    .filter(|(said, silence)| *said != silence)
                    .count()
        );
    }

    #[test]
    fn a_hole_a_changed_sample_and_another_voice_are_told() {
        let said = linear(&noise(1, 1));
        let mut hole = said.clone();
        hole[4_000..4_160].fill(0);
        assert!(overlap(&said, &hole).unwrap_err().contains("then sample"));
        let mut changed = said.clone();
        changed[5_000] ^= 4;
        assert!(overlap(&said, &changed).is_err());
        assert!(
            overlap(&said, &linear(&noise(2, 1)))
                .unwrap_err()
                .contains("not said by this party")
        );
        assert!(overlap(&said, &[0; 8_000]).is_err());
    }
}
