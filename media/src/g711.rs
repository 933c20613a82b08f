//! G.711, the two codecs of the public telephone network: PCMU (mu-law) and PCMA (A-law), one byte a sample at 8 kHz.
//!
//! Decoding is a table of 256 values each, made at compile time from the definition; encoding is arithmetic.
//! Source: ITU-T G.711, RFC 3551 section 4.5.14. `audio-codec-algorithms` is the oracle of the tests.

use std::fmt;

/// Samples a second of every codec here.
pub const SAMPLE_RATE_HZ: u32 = 8_000;

/// An audio codec that a leg can carry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Codec {
    /// Mu-law, static payload type 0.
    Pcmu,
    /// A-law, static payload type 8.
    Pcma,
}

impl Codec {
    /// The payload type that RFC 3551 section 6 assigns for ever.
    #[must_use]
    pub fn static_payload_type(self) -> u8 {
        match self {
            Codec::Pcmu => 0,
            Codec::Pcma => 8,
        }
    }

    /// The codec's name in an `rtpmap` attribute (RFC 3551 section 6).
    #[must_use]
    pub fn encoding_name(self) -> &'static str {
        match self {
            Codec::Pcmu => "PCMU",
            Codec::Pcma => "PCMA",
        }
    }

    /// The byte of a silent sample: what fills a gap.
    #[must_use]
    pub fn silence(self) -> u8 {
        match self {
            Codec::Pcmu => 0xFF,
            Codec::Pcma => 0xD5,
        }
    }

    /// Encodes one linear sample.
    #[must_use]
    pub fn encode(self, linear: i16) -> u8 {
        match self {
            Codec::Pcmu => encode_pcmu(linear),
            Codec::Pcma => encode_pcma(linear),
        }
    }

    /// Decodes one byte into a linear sample.
    #[must_use]
    pub fn decode(self, encoded: u8) -> i16 {
        match self {
            Codec::Pcmu => PCMU_LINEAR[usize::from(encoded)],
            Codec::Pcma => PCMA_LINEAR[usize::from(encoded)],
        }
    }
}

impl fmt::Display for Codec {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.encoding_name())
    }
}

/// Re-encodes G.711 samples in place; one byte stays one byte.
///
/// A peer that was offered both codecs may change between them at any packet (RFC 3264 section 5.1).
pub fn convert(samples: &mut [u8], received: Codec, wanted: Codec) {
    let table = match (received, wanted) {
        (Codec::Pcmu, Codec::Pcma) => &PCMU_TO_PCMA,
        (Codec::Pcma, Codec::Pcmu) => &PCMA_TO_PCMU,
        (Codec::Pcmu, Codec::Pcmu) | (Codec::Pcma, Codec::Pcma) => return,
    };
    for sample in samples {
        *sample = table[usize::from(*sample)];
    }
}

/// Added to a 14 bit magnitude before its logarithm is read, so that segment 0 needs no case (ITU-T G.711 table 2).
const PCMU_BIAS: i32 = 33;
/// The largest biased magnitude that mu-law can say.
const PCMU_CLIP: i32 = 0x1FFF;

#[expect(
    clippy::cast_possible_truncation,
    reason = "segment and mantissa fill seven bits"
)]
const fn encode_pcmu(linear: i16) -> u8 {
    let sign: u8 = if linear < 0 { 0x80 } else { 0 };
    // 14 bits; the ones' complement is what the ITU's own reference rounds by.
    let magnitude = (if linear < 0 {
        !(linear as i32)
    } else {
        linear as i32
    }) >> 2;
    let biased = if magnitude + PCMU_BIAS > PCMU_CLIP {
        PCMU_CLIP
    } else {
        magnitude + PCMU_BIAS
    };
    // The bias sets bit 5 at least, so the highest bit lies between 5 and 12.
    let segment = 31 - biased.leading_zeros() - 5;
    let mantissa = (biased >> (segment + 1)) & 0x0F;
    !(sign | ((segment as u8) << 4) | mantissa as u8)
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "a mu-law magnitude is at most 32,124"
)]
const fn decode_pcmu(encoded: u8) -> i16 {
    let bits = !encoded;
    let segment = (bits >> 4) & 0x07;
    let mantissa = (bits & 0x0F) as i32;
    let magnitude = ((((mantissa << 1) + PCMU_BIAS) << segment) - PCMU_BIAS) << 2;
    (if bits & 0x80 == 0 {
        magnitude
    } else {
        -magnitude
    }) as i16
}

/// Every second bit is inverted on the line, so that silence has many edges (ITU-T G.711 table 1).
const PCMA_TOGGLE: u8 = 0x55;

#[expect(
    clippy::cast_possible_truncation,
    reason = "segment and mantissa fill seven bits"
)]
const fn encode_pcma(linear: i16) -> u8 {
    let sign: u8 = if linear < 0 { 0 } else { 0x80 };
    // 13 bits; the ones' complement keeps -1 in the first negative step.
    let magnitude = (if linear < 0 {
        !(linear as i32)
    } else {
        linear as i32
    }) >> 3;
    let bits = if magnitude < 32 {
        magnitude >> 1
    } else {
        let segment = 31 - magnitude.leading_zeros() - 4;
        ((segment as i32) << 4) | ((magnitude >> segment) & 0x0F)
    };
    (sign | bits as u8) ^ PCMA_TOGGLE
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "an A-law magnitude is at most 32,256"
)]
const fn decode_pcma(encoded: u8) -> i16 {
    let bits = encoded ^ PCMA_TOGGLE;
    let segment = (bits >> 4) & 0x07;
    let mantissa = ((bits & 0x0F) as i32) << 4;
    let magnitude = if segment == 0 {
        mantissa + 8
    } else {
        (mantissa + 0x108) << (segment - 1)
    };
    (if bits & 0x80 == 0 {
        -magnitude
    } else {
        magnitude
    }) as i16
}

const PCMU_LINEAR: [i16; 256] = {
    let mut table = [0; 256];
    let mut index = 0;
    while index < 256 {
        table[index] = decode_pcmu(index.to_le_bytes()[0]);
        index += 1;
    }
    table
};

const PCMA_LINEAR: [i16; 256] = {
    let mut table = [0; 256];
    let mut index = 0;
    while index < 256 {
        table[index] = decode_pcma(index.to_le_bytes()[0]);
        index += 1;
    }
    table
};

const PCMU_TO_PCMA: [u8; 256] = {
    let mut table = [0; 256];
    let mut index = 0;
    while index < 256 {
        table[index] = encode_pcma(PCMU_LINEAR[index]);
        index += 1;
    }
    table
};

const PCMA_TO_PCMU: [u8; 256] = {
    let mut table = [0; 256];
    let mut index = 0;
    while index < 256 {
        table[index] = encode_pcmu(PCMA_LINEAR[index]);
        index += 1;
    }
    table
};

#[cfg(test)]
mod tests {
    use super::*;
    use audio_codec_algorithms as oracle;

    #[test]
    fn every_byte_decodes_as_the_oracle_decodes_it() {
        for encoded in 0..=u8::MAX {
            assert_eq!(
                Codec::Pcmu.decode(encoded),
                oracle::decode_ulaw(encoded),
                "PCMU {encoded:#04x}"
            );
            assert_eq!(
                Codec::Pcma.decode(encoded),
                oracle::decode_alaw(encoded),
                "PCMA {encoded:#04x}"
            );
        }
    }

    #[test]
    fn every_linear_sample_encodes_as_the_oracle_encodes_it() {
        for linear in i16::MIN..=i16::MAX {
            assert_eq!(
                Codec::Pcmu.encode(linear),
                oracle::encode_ulaw(linear),
                "PCMU {linear}"
            );
            assert_eq!(
                Codec::Pcma.encode(linear),
                oracle::encode_alaw(linear),
                "PCMA {linear}"
            );
        }
    }

    #[test]
    fn silence_is_the_quietest_sample_of_its_codec() {
        assert_eq!(Codec::Pcmu.decode(Codec::Pcmu.silence()), 0);
        assert_eq!(Codec::Pcma.decode(Codec::Pcma.silence()), 8);
        assert_eq!(Codec::Pcmu.encode(0), Codec::Pcmu.silence());
        assert_eq!(Codec::Pcma.encode(0), Codec::Pcma.silence());
    }

    #[test]
    fn conversion_equals_decoding_then_encoding() {
        for (received, wanted) in [
            (Codec::Pcmu, Codec::Pcma),
            (Codec::Pcma, Codec::Pcmu),
            (Codec::Pcma, Codec::Pcma),
        ] {
            let original: Vec<u8> = (0..=u8::MAX).collect();
            let mut converted = original.clone();
            convert(&mut converted, received, wanted);
            let expected: Vec<u8> = original
                .iter()
                .map(|&byte| wanted.encode(received.decode(byte)))
                .collect();
            // A codec kept as it is must be bit-exact, which mu-law's two zeros would not survive otherwise.
            assert_eq!(
                converted,
                if received == wanted {
                    original
                } else {
                    expected
                }
            );
        }
    }
}
