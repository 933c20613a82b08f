//! Bytes as lower-case hexadecimal text, in files that people may have to read.

use std::fmt::Write;

pub(crate) fn encode(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len() * 2);
    for byte in bytes {
        // Writing into a String cannot fail.
        let _ = write!(text, "{byte:02x}");
    }
    text
}

pub(crate) fn decode(text: &str) -> Option<Vec<u8>> {
    if !text.len().is_multiple_of(2) || !text.is_ascii() {
        return None;
    }
    let pair = |at: usize| u8::from_str_radix(text.get(at..at + 2)?, 16).ok();
    (0..text.len()).step_by(2).map(pair).collect()
}

pub(crate) fn decode_array<const N: usize>(text: &str) -> Option<[u8; N]> {
    decode(text)?.try_into().ok()
}

/// For `#[serde(with = "hex::serde")]` on byte vectors.
pub(crate) mod serde {
    use ::serde::{Deserialize, Deserializer, Serializer, de::Error};

    pub(crate) fn serialize<S: Serializer, B: AsRef<[u8]>>(
        bytes: &B,
        out: S,
    ) -> Result<S::Ok, S::Error> {
        out.serialize_str(&super::encode(bytes.as_ref()))
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>, B: TryFrom<Vec<u8>>>(
        input: D,
    ) -> Result<B, D::Error> {
        let text = String::deserialize(input)?;
        let bytes = super::decode(&text).ok_or_else(|| D::Error::custom("expected hexadecimal"))?;
        B::try_from(bytes).map_err(|_| D::Error::custom("expected another number of bytes"))
    }
}
