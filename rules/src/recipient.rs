//! The public key of whoever receives a package: an X25519 recipient of `age`, as text in Bech32.
//!
//! Source: age-encryption.org/v1 ("the X25519 recipient type"); BIP 173 for Bech32.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::ids::IdFault;

/// The public key to which packages for somebody are encrypted. A mistyped one is found by its checksum.
#[derive(Clone, PartialEq, Eq)]
pub struct Recipient([u8; KEY_BYTES]);

const KEY_BYTES: usize = 32; // RFC 7748 section 6.1.
const PREFIX: &[u8] = b"age";
const CHARACTERS: &[u8; 32] = b"qpzry9x8gf2tvdw0s3jn54khce6mua7l";
const CHECKSUM: usize = 6;
const DIGITS: usize = 52; // 256 bits in digits of 5.

impl Recipient {
    /// The X25519 public key.
    pub fn key(&self) -> &[u8; KEY_BYTES] {
        &self.0
    }

    /// The key of this text, if its length, characters, padding and checksum are right.
    fn read(text: &str) -> Option<Recipient> {
        let rest = text.strip_prefix("age1")?;
        let digits: Vec<u8> = rest.bytes().map(digit).collect::<Option<_>>()?;
        let is_whole = digits.len() == DIGITS + CHECKSUM
            && polymod(expanded_prefix().chain(digits.iter().copied())) == 1;
        let (mut key, mut bits, mut bit_count) = ([0; KEY_BYTES], 0_u32, 0);
        let mut bytes = key.iter_mut();
        for value in digits.get(..DIGITS).filter(|_| is_whole)? {
            bits = bits << 5 | u32::from(*value);
            bit_count += 5;
            if bit_count >= 8 {
                bit_count -= 8;
                *bytes.next()? = u8::try_from(bits >> bit_count & 0xff).ok()?;
            }
        }
        let is_padded_with_zeros = bits & ((1 << bit_count) - 1) == 0;
        is_padded_with_zeros.then_some(Recipient(key))
    }
}

fn digit(character: u8) -> Option<u8> {
    let place = CHARACTERS.iter().position(|known| *known == character)?;
    u8::try_from(place).ok()
}

fn expanded_prefix() -> impl Iterator<Item = u8> {
    let high = PREFIX.iter().map(|character| character >> 5);
    let low = PREFIX.iter().map(|character| character & 31);
    high.chain([0]).chain(low)
}

/// The remainder of BIP 173; 1 where the checksum is right.
fn polymod(values: impl Iterator<Item = u8>) -> u32 {
    const GENERATOR: [u32; 5] = [
        0x3b6a_57b2,
        0x2650_8e6d,
        0x1ea1_19fa,
        0x3d42_33dd,
        0x2a14_62b3,
    ];
    values.fold(1, |checksum, value| {
        let shifted = (checksum & 0x1ff_ffff) << 5 ^ u32::from(value);
        let top = checksum >> 25;
        let terms = GENERATOR.iter().enumerate();
        terms
            .filter(|(bit, _)| top >> bit & 1 == 1)
            .fold(shifted, |sum, (_, term)| sum ^ term)
    })
}

impl fmt::Display for Recipient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (mut digits, mut bits, mut bit_count) = (Vec::with_capacity(DIGITS), 0_u32, 0);
        for byte in self.0 {
            bits = (bits << 8 | u32::from(byte)) & 0xfff;
            bit_count += 8;
            while bit_count >= 5 {
                bit_count -= 5;
                digits.push(u8::try_from(bits >> bit_count & 31).unwrap_or(0));
            }
        }
        digits.push(u8::try_from(bits << (5 - bit_count) & 31).unwrap_or(0));
        let open = digits.iter().copied().chain([0; CHECKSUM]);
        let checksum = polymod(expanded_prefix().chain(open)) ^ 1;
        let checksum = (0..CHECKSUM)
            .rev()
            .map(|index| checksum >> (5 * index) & 31);
        digits.extend(checksum.map(|value| u8::try_from(value).unwrap_or(0)));
        f.write_str("age1")?;
        digits
            .iter()
            .try_for_each(|value| write!(f, "{}", char::from(CHARACTERS[usize::from(*value)])))
    }
}

impl fmt::Debug for Recipient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Recipient {
    type Err = IdFault;

    fn from_str(text: &str) -> Result<Recipient, IdFault> {
        Recipient::read(text).ok_or(IdFault {
            what: "recipient",
            expected: "an age public key, age1 and 58 characters, the last six of which are right",
            found_bytes: text.len(),
        })
    }
}

impl Serialize for Recipient {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Recipient {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Recipient, D::Error> {
        String::deserialize(deserializer)?
            .parse()
            .map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RECIPIENT: &str = "age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p";

    #[test]
    fn a_recipient_is_a_public_key_of_age_and_never_a_secret_one() {
        let recipient: Recipient = RECIPIENT.parse().unwrap();
        assert_eq!(recipient.to_string(), RECIPIENT);
        let secret = "AGE-SECRET-KEY-1QQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQ";
        for text in ["", "age1", secret] {
            assert!(text.parse::<Recipient>().is_err());
        }
        let fault = secret.parse::<Recipient>().unwrap_err();
        assert!(!fault.to_string().contains(secret));
    }

    #[test]
    fn one_wrong_character_anywhere_is_found() {
        for index in 4..RECIPIENT.len() {
            let mut text = RECIPIENT.to_owned();
            let other = if &text[index..=index] == "q" {
                "p"
            } else {
                "q"
            };
            text.replace_range(index..=index, other);
            assert!(text.parse::<Recipient>().is_err(), "{index}");
        }
    }
}
