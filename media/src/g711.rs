//! G.711, the two codecs of the public telephone network: PCMU (mu-law) and PCMA (A-law), one byte a sample at 8 kHz.
//!
//! The arithmetic is `audio-codec-algorithms`'; the tests hold it against the definition.
//! Source: ITU-T G.711, RFC 3551 section 4.5.14.

use std::fmt;

use audio_codec_algorithms as laws;

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
            Codec::Pcmu => laws::encode_ulaw(linear),
            Codec::Pcma => laws::encode_alaw(linear),
        }
    }

    /// Decodes one byte into a linear sample.
    #[must_use]
    pub fn decode(self, encoded: u8) -> i16 {
        match self {
            Codec::Pcmu => laws::decode_ulaw(encoded),
            Codec::Pcma => laws::decode_alaw(encoded),
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
/// The steps are those of ITU-T G.711 tables 3 and 4.
pub fn convert(samples: &mut [u8], received: Codec, wanted: Codec) {
    let step = match (received, wanted) {
        (Codec::Pcmu, Codec::Pcma) => laws::convert_ulaw_to_alaw,
        (Codec::Pcma, Codec::Pcmu) => laws::convert_alaw_to_ulaw,
        (Codec::Pcmu, Codec::Pcmu) | (Codec::Pcma, Codec::Pcma) => return,
    };
    for sample in samples {
        *sample = step(*sample);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The value of a byte by the definition: sign, segment, mantissa.
    fn defined(codec: Codec, encoded: u8) -> i32 {
        let bits = match codec {
            Codec::Pcmu => !encoded,
            // Every second bit is inverted on the line, and the sign has the other sense.
            Codec::Pcma => encoded ^ 0xD5,
        };
        let (segment, mantissa) = (i32::from((bits >> 4) & 7), i32::from(bits & 15));
        let magnitude = match (codec, segment) {
            (Codec::Pcmu, _) => ((2 * mantissa + 33) << segment) * 4 - 132,
            (Codec::Pcma, 0) => mantissa * 16 + 8,
            (Codec::Pcma, _) => (mantissa * 16 + 264) << (segment - 1),
        };
        if bits & 0x80 == 0 {
            magnitude
        } else {
            -magnitude
        }
    }

    #[test]
    fn every_byte_has_the_value_of_the_definition() {
        for codec in [Codec::Pcmu, Codec::Pcma] {
            for encoded in 0..=u8::MAX {
                assert_eq!(
                    i32::from(codec.decode(encoded)),
                    defined(codec, encoded),
                    "{codec} {encoded:#04x}"
                );
            }
        }
    }

    #[test]
    fn every_sample_is_encoded_to_the_nearest_value() {
        // Half a step of the segment, and what exceeds the largest value is clipped.
        for codec in [Codec::Pcmu, Codec::Pcma] {
            for linear in i16::MIN..=i16::MAX {
                let error =
                    (i32::from(codec.decode(codec.encode(linear))) - i32::from(linear)).abs();
                let magnitude = i32::from(linear).abs();
                assert!(
                    error <= magnitude / 31 + 8 || magnitude > 32_100,
                    "{codec} {linear} is off by {error}"
                );
            }
        }
    }

    #[test]
    fn a_decoded_byte_encodes_to_itself() {
        for codec in [Codec::Pcmu, Codec::Pcma] {
            // Mu-law has two zeros, and the encoder knows one.
            for encoded in (0..=u8::MAX).filter(|&encoded| codec != Codec::Pcmu || encoded != 0x7F)
            {
                assert_eq!(
                    codec.encode(codec.decode(encoded)),
                    encoded,
                    "{codec} {encoded:#04x}"
                );
            }
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
    fn conversion_stays_within_a_step_and_leaves_the_same_codec_alone() {
        let original: Vec<u8> = (0..=u8::MAX).collect();
        for (received, wanted) in [(Codec::Pcmu, Codec::Pcma), (Codec::Pcma, Codec::Pcmu)] {
            let mut converted = original.clone();
            convert(&mut converted, received, wanted);
            for (&before, &after) in original.iter().zip(&converted) {
                let (before, after) = (
                    i32::from(received.decode(before)),
                    i32::from(wanted.decode(after)),
                );
                assert!(
                    (before - after).abs() <= before.abs() / 16 + 8,
                    "{before} became {after}"
                );
            }
            let mut kept = original.clone();
            convert(&mut kept, received, received);
            assert_eq!(kept, original);
        }
    }
}
