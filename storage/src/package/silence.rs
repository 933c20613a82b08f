//! Silence where a decision masks a third party (K-33). What is zero in the package was never written into it; the recording stays as it is.

use std::collections::BTreeSet;

use rules::{Side, Stretch};

const FRAME_BYTES: u64 = 4; // Two channels of 16 bits, the citizen's first.
const SAMPLE_BYTES: u64 = 2;
const RATE_KHZ: u64 = 8;

/// Silences what is masked in a part of a WAV file's samples.
///
/// `part`: whole frames of two channels of 16 bits, the citizen's first, at 8 kHz. `begin`: its first frame, counted from the recording's beginning.
pub fn silence(part: &mut [u8], begin: u64, masked: &BTreeSet<Stretch>) {
    let frames = u64::try_from(part.len()).unwrap_or(u64::MAX) / FRAME_BYTES;
    for stretch in masked {
        let samples = stretch.samples(RATE_KHZ);
        let channel = match stretch.side() {
            Side::Citizen => 0,
            Side::City => SAMPLE_BYTES,
        };
        let first = samples.start.saturating_sub(begin).min(frames);
        let last = samples.end.saturating_sub(begin).min(frames);
        for frame in first..last {
            let sample = usize::try_from(frame * FRAME_BYTES + channel).unwrap_or(usize::MAX);
            if let Some(sample) = part.get_mut(sample..sample.saturating_add(2)) {
                sample.fill(0);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A recording that is cut into parts of any length is silent exactly where it is masked.
    #[test]
    fn what_is_masked_is_silent_wherever_parts_begin_and_nothing_else_is() {
        const FRAMES: usize = 400; // 50 ms.
        let stretch = |text: &str| text.parse::<Stretch>().unwrap();
        let masked = BTreeSet::from([
            stretch("citizen:0.002-0.005"),
            stretch("city:0.004-0.010"),
            stretch("city:0.049-7"),
        ]);
        let is_masked = |frame: usize, city: bool| match city {
            false => (16..40).contains(&frame),
            true => (32..80).contains(&frame) || frame >= 392,
        };
        for length in [1, 7, 39, 160, FRAMES] {
            let mut voice = vec![0x55; FRAMES * 4];
            let mut begin = 0;
            for part in voice.chunks_mut(length * 4) {
                silence(part, begin, &masked);
                begin += part.len() as u64 / 4;
            }
            for (frame, samples) in voice.chunks(4).enumerate() {
                let expected = [false, true].map(|city| match is_masked(frame, city) {
                    true => [0; 2],
                    false => [0x55; 2],
                });
                assert_eq!(samples, expected.concat(), "{length}: {frame}");
            }
        }
    }
}
