//! One-time codes (RFC 6238): HMAC-SHA-1, six digits, as authenticators know them.

use aws_lc_rs::{constant_time, hmac};
use rules::CodeFound;
use zeroize::Zeroizing;

use crate::secret::{self, SecretFault};

const SECRET_BYTES: usize = 20; // RFC 4226 section 4, R6: 160 bits are recommended.
const DIGITS: usize = 6;

/// The secret of a person's codes. It prints as nothing.
pub struct TotpSecret(Zeroizing<Vec<u8>>);

impl std::fmt::Debug for TotpSecret {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str("TotpSecret(..)")
    }
}

impl TotpSecret {
    /// A fresh one.
    ///
    /// # Errors
    /// [`SecretFault`] if the system gives no random bytes.
    pub fn random() -> Result<TotpSecret, SecretFault> {
        let bytes: [u8; SECRET_BYTES] = secret::random()?;
        Ok(TotpSecret(Zeroizing::new(bytes.to_vec())))
    }

    pub(crate) fn from_bytes(bytes: Zeroizing<Vec<u8>>) -> TotpSecret {
        TotpSecret(bytes)
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        &self.0
    }

    /// As it is typed into an authenticator: base 32 (RFC 4648) without padding.
    #[must_use]
    pub fn text(&self) -> Zeroizing<String> {
        const LETTERS: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
        let mut text = Zeroizing::new(String::new());
        for group in self.0.chunks(5) {
            let mut bits = [0_u8; 8];
            bits[3..3 + group.len()].copy_from_slice(group);
            let bits = u64::from_be_bytes(bits);
            let letters = (group.len() * 8).div_ceil(5);
            for place in 0..letters {
                let index = usize::try_from(bits >> (35 - 5 * place) & 31).unwrap_or(0);
                text.push(char::from(LETTERS[index]));
            }
        }
        text
    }

    /// The step of which this is the code, among those that are taken.
    pub fn find(&self, code: &str, steps: impl Iterator<Item = u64>) -> CodeFound {
        let is_code = |step: &u64| {
            let expected = self.code(*step);
            constant_time::verify_slices_are_equal(expected.as_bytes(), code.as_bytes()).is_ok()
        };
        steps
            .filter(is_code)
            .last()
            .map_or(CodeFound::Wrong, CodeFound::Step)
    }

    /// The code of a step (RFC 4226 section 5.3).
    fn code(&self, step: u64) -> Zeroizing<String> {
        let key = hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, &self.0);
        let tag = hmac::sign(&key, &step.to_be_bytes());
        let tag = tag.as_ref();
        let offset = usize::from(tag[tag.len() - 1] & 0x0f);
        let mut word = [0; 4];
        word.copy_from_slice(&tag[offset..offset + 4]);
        let number = u32::from_be_bytes(word) & 0x7fff_ffff;
        Zeroizing::new(format!("{:0DIGITS$}", number % 1_000_000))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secret() -> TotpSecret {
        TotpSecret::from_bytes(Zeroizing::new(b"12345678901234567890".to_vec()))
    }

    #[test]
    fn codes_are_those_of_rfc_6238_appendix_b() {
        // The appendix has eight digits; six are their end.
        for (second, code) in [
            (59, "287082"),
            (1_111_111_109, "081804"),
            (1_111_111_111, "050471"),
            (1_234_567_890, "005924"),
            (2_000_000_000, "279037"),
            (20_000_000_000, "353130"),
        ] {
            let now = jiff::Timestamp::from_second(second).unwrap();
            let step = u64::try_from(second).unwrap() / 30;
            let found = secret().find(code, rules::totp_steps(now));
            assert_eq!(found, CodeFound::Step(step), "{second}");
        }
        let now = jiff::Timestamp::from_second(59).unwrap();
        for code in ["", "287083", "94287082", "28708"] {
            let found = secret().find(code, rules::totp_steps(now));
            assert_eq!(found, CodeFound::Wrong);
        }
    }

    #[test]
    fn the_secret_is_typed_in_base_32() {
        assert_eq!(*secret().text(), "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ");
        assert_eq!(format!("{:?}", secret()), "TotpSecret(..)");
    }
}
