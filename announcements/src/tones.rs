//! Tones that a Japanese caller knows.

use std::f64::consts::TAU;

use media::Clip;

const SAMPLE_RATE: u32 = 8000;
const RINGBACK_HZ: f64 = 400.0; // 事業用電気通信設備規則 別表第5号: 400 Hz, modulated by 15 to 20 Hz.
const RINGBACK_MODULATION_HZ: f64 = 16.0;
const RINGBACK_ON_S: u32 = 1; // The cadence of the ringing signal itself (同 別表第4号): 20 a minute, a third of it on.
const RINGBACK_OFF_S: u32 = 2;
/// While it is on. 4 dB below our speech, so that it does not startle who has just listened to the notice.
const RINGBACK_DBM0: f64 = -19.0;

/// A sine of this peak is 0 dBm0 in 16-bit samples: at full scale (32,767) it is +3.17 dBm0 (ITU-T G.711, mu-law).
const PEAK_0_DBM0: f64 = 22_747.0;

/// The ringback tone: 400 Hz modulated by 16 Hz, one second of tone, two of silence. Made to be looped.
pub fn ringback() -> Clip {
    Clip::from_linear(&ringback_samples())
}

fn ringback_samples() -> Vec<i16> {
    // The modulated sine's power is that of the carrier times the mean square of the envelope (1 + sin) / 2, which is 3/8.
    let peak = PEAK_0_DBM0 * 10_f64.powf(RINGBACK_DBM0 / 20.0) / (3.0_f64 / 8.0).sqrt();
    let tone = (0..RINGBACK_ON_S * SAMPLE_RATE).map(|index| {
        let seconds = f64::from(index) / f64::from(SAMPLE_RATE);
        // It begins and ends at the envelope's zero, so that no click frames the tone.
        let envelope = (1.0 - (TAU * RINGBACK_MODULATION_HZ * seconds).cos()) / 2.0;
        linear(peak * envelope * (TAU * RINGBACK_HZ * seconds).sin())
    });
    let silence = (0..RINGBACK_OFF_S * SAMPLE_RATE).map(|_| 0);
    tone.chain(silence).collect()
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "clamped to i16 in the same expression"
)]
fn linear(value: f64) -> i16 {
    value
        .round()
        .clamp(f64::from(i16::MIN), f64::from(i16::MAX)) as i16
}

#[cfg(test)]
mod tests {
    use media::Codec;

    use super::*;

    /// The level of one frequency in dBm0, by Goertzel's recurrence over the whole slice.
    fn level_dbm0(samples: &[i16], hz: f64) -> f64 {
        let coefficient = 2.0 * (TAU * hz / f64::from(SAMPLE_RATE)).cos();
        let (mut last, mut before) = (0.0, 0.0);
        for sample in samples {
            (last, before) = (f64::from(*sample) + coefficient * last - before, last);
        }
        let power = last * last + before * before - coefficient * last * before;
        let peak = 2.0 * power.sqrt() / f64::from(u32::try_from(samples.len()).unwrap());
        20.0 * (peak / PEAK_0_DBM0).log10()
    }

    fn rms_dbm0(samples: &[i16]) -> f64 {
        let sum: f64 = samples
            .iter()
            .map(|sample| f64::from(*sample).powi(2))
            .sum();
        let mean = sum / f64::from(u32::try_from(samples.len()).unwrap());
        20.0 * (mean.sqrt() * 2.0_f64.sqrt() / PEAK_0_DBM0).log10()
    }

    #[test]
    fn ringback_is_400_hz_with_sidebands_16_hz_beside_and_nothing_else() {
        let samples = ringback_samples();
        let tone = &samples[..8000];
        let carrier = level_dbm0(tone, 400.0);
        for sideband in [384.0, 416.0] {
            assert!((level_dbm0(tone, sideband) - (carrier - 6.02)).abs() < 0.1);
        }
        for other in [300.0, 368.0, 432.0, 500.0, 800.0, 1200.0, 3000.0] {
            assert!(level_dbm0(tone, other) < carrier - 50.0, "{other} Hz");
        }
    }

    #[test]
    fn ringback_is_on_for_a_second_at_its_level_and_off_for_two() {
        let samples = ringback_samples();
        assert_eq!(samples.len(), 24_000);
        assert!((rms_dbm0(&samples[..8000]) - RINGBACK_DBM0).abs() < 0.1);
        assert!(samples[8000..].iter().all(|sample| *sample == 0));
    }

    #[test]
    fn ringback_loops_without_a_click() {
        let samples = ringback_samples();
        assert!(samples[0].abs() < 20 && samples[7999].abs() < 20);
        let largest_step = samples
            .windows(2)
            .map(|pair| (i32::from(pair[1]) - i32::from(pair[0])).abs())
            .max()
            .unwrap();
        // The envelope's full height is 4168; a 400 Hz sine of it moves by 4168 x 2 pi x 400 / 8000 a sample at most.
        assert!(largest_step <= 1310, "{largest_step}");
    }

    #[test]
    fn ringback_sounds_the_same_in_both_codecs() {
        let clip = ringback();
        assert_eq!(clip.samples(), 24_000);
        for codec in [Codec::Pcmu, Codec::Pcma] {
            let heard: Vec<i16> = clip
                .encoded(codec)
                .iter()
                .map(|byte| codec.decode(*byte))
                .collect();
            assert!((rms_dbm0(&heard[..8000]) - RINGBACK_DBM0).abs() < 0.2);
            assert!(level_dbm0(&heard[..8000], 400.0) > level_dbm0(&heard[..8000], 1200.0) + 30.0);
        }
    }
}
