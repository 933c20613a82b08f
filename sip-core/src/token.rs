//! Names that only we can have made: tags, branches, Call-IDs.
//!
//! 64 random bits as 16 hexadecimal digits (RFC 3261 section 19.3 asks for at least 32), so that they can be looked up as numbers.

use std::fmt;

use rand_core::Rng;

/// One such name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Token(pub(crate) u64);

impl Token {
    pub(crate) fn random(generator: &mut impl Rng) -> Token {
        Token(generator.next_u64())
    }

    /// Reads back what `Display` wrote; anything else is not ours.
    pub(crate) fn read(text: &[u8]) -> Option<Token> {
        let is_ours = text.len() == 16
            && text
                .iter()
                .all(|octet| matches!(octet, b'0'..=b'9' | b'a'..=b'f'));
        let text = std::str::from_utf8(text).ok().filter(|_| is_ours)?;
        u64::from_str_radix(text, 16).ok().map(Token)
    }
}

impl fmt::Display for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_reads_back_and_nothing_else_does() {
        let token = Token(0x0123_4567_89ab_cdef);
        assert_eq!(Token::read(token.to_string().as_bytes()), Some(token));
        for text in [
            "",
            "0123456789ABCDEF",
            "0123456789abcdef0",
            "+123456789abcdef",
        ] {
            assert_eq!(Token::read(text.as_bytes()), None);
        }
    }
}
