//! Tones that a Japanese caller knows.

use std::f64::consts::TAU;

use media::Clip;

const SAMPLE_RATE: u32 = 8000;
const RINGBACK_HZ: f64 = 400.0; // 事業用電気通信設備規則 別表第5号 呼出音: 400 Hz ±20 Hz.
const RINGBACK_MODULATION_HZ: f64 = 16.0; // 同: 15 to 20 Hz, 16 there too.
const RINGBACK_ON_S: u32 = 1;
const RINGBACK_OFF_S: u32 = 2;
/// Between its pulses; what an exchange sends is -15 to -19 dBm0 (同: 送出レベル), and it must not startle beside speech of -15 dBm0.
const RINGBACK_DBM0: f64 = -16.0;

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

#[expect(clippy::cast_possible_truncation, reason = "clamped to i16 in the same expression")]
fn linear(value: f64) -> i16 {
    value.round().clamp(f64::from(i16::MIN), f64::from(i16::MAX)) as i16
}
