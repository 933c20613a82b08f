//! A text that somebody types and a record keeps: one line that says something and is not longer than a record may be.
//!
//! Whoever reads a list must see what was typed, where it was typed. So nothing in it begins a line, turns the writing or
//! steers a terminal; what neither shows nor parts letters says nothing.

/// A text for a record, without the blanks around it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OneLine<'t>(&'t str);

/// Why a text is none for a record. It never quotes the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TextFault {
    /// It says nothing.
    #[error("the text is blank, expected at least one letter")]
    Blank,
    /// It is too long.
    #[error(
        "文が長すぎます / the text has {found_characters} characters, expected {most} at most; say it shorter",
        most = OneLine::MOST_CHARACTERS
    )]
    TooLong {
        /// How long it is.
        found_characters: usize,
    },
    /// It holds what no line holds.
    #[error(
        "the text holds a line break, a control character or one that turns the direction of writing; write it as one line"
    )]
    NotOneLine,
}

impl<'t> OneLine<'t> {
    /// Some three pages; a request with three of them stays within what a duty's socket takes (64 KiB).
    pub const MOST_CHARACTERS: usize = 2_000;

    /// Reads a text as it was typed or sent.
    ///
    /// # Errors
    /// [`TextFault`]; of several the first as they are listed there.
    pub fn read(text: &'t str) -> Result<OneLine<'t>, TextFault> {
        let text =
            text.trim_matches(|letter: char| letter.is_whitespace() || parts_nothing(letter));
        if text.chars().all(says_nothing) {
            return Err(TextFault::Blank);
        }
        let found_characters = text.chars().count();
        if found_characters > OneLine::MOST_CHARACTERS {
            return Err(TextFault::TooLong { found_characters });
        }
        match text.contains(steers) {
            true => Err(TextFault::NotOneLine),
            false => Ok(OneLine(text)),
        }
    }

    /// The text.
    pub fn as_str(self) -> &'t str {
        self.0
    }
}

/// Whether a character steers what shows it: controls, separators of lines and paragraphs, and what turns the direction of writing.
///
/// Source: Unicode general categories Cc, Zl, Zp; UAX #9 section 2, the explicit and implicit directional formatting characters.
pub fn steers(letter: char) -> bool {
    letter.is_control()
        || matches!(
            letter,
            '\u{061C}' | '\u{200E}' | '\u{200F}' | '\u{2028}' | '\u{2029}'
        )
        || matches!(letter, '\u{202A}'..='\u{202E}' | '\u{2066}'..='\u{2069}')
}

/// Zero width, and no part of a letter: a selector of variants or a joiner at the end of a name is one.
fn parts_nothing(letter: char) -> bool {
    matches!(letter, '\u{200B}' | '\u{2060}' | '\u{FEFF}')
}

/// Shows nothing where no letter stands beside it.
///
/// Source: the Unicode property `Default_Ignorable_Code_Point`; U+2800 is the braille pattern without a dot.
fn says_nothing(letter: char) -> bool {
    letter.is_whitespace()
        || matches!(
            letter,
            '\u{00AD}' | '\u{034F}' | '\u{115F}' | '\u{1160}' | '\u{17B4}' | '\u{17B5}'
        )
        || matches!(letter, '\u{180B}'..='\u{180F}' | '\u{200B}'..='\u{200D}' | '\u{2060}'..='\u{2065}')
        || matches!(letter, '\u{206A}'..='\u{206F}' | '\u{2800}' | '\u{3164}' | '\u{FE00}'..='\u{FE0F}')
        || matches!(letter, '\u{FEFF}' | '\u{FFA0}' | '\u{FFF0}'..='\u{FFF8}')
        || matches!(letter, '\u{1D173}'..='\u{1D17A}' | '\u{E0000}'..='\u{E0FFF}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_shows_nothing_is_blank() {
        for text in [
            "",
            " \t\n",
            "\u{3000}\u{200b}",
            "\u{feff}",
            "\u{2060}\u{00ad}\u{3164}",
            "\u{200d}\u{fe0f}\u{2800}",
        ] {
            assert_eq!(OneLine::read(text), Err(TextFault::Blank), "{text:?}");
        }
    }

    #[test]
    fn what_steers_a_terminal_or_turns_the_writing_is_no_line() {
        for text in [
            "法\n01M8 approved",
            "\x1b[2Jred",
            "a\tb",
            "a\u{85}b",
            "a\u{2028}b",
            "a\u{2029}b",
            "\u{202e}abc",
            "abc\u{2069}",
            "a\u{200f}b",
            "\u{61c}b",
            "\0",
        ] {
            assert_eq!(OneLine::read(text), Err(TextFault::NotOneLine), "{text:?}");
        }
    }

    #[test]
    fn a_name_keeps_its_letters_and_their_variants() {
        for (text, read) in [
            (" \u{3000}訓練 \n", "訓練"),
            ("\u{feff}渡邉\u{e0100}\u{200b}", "渡邉\u{e0100}"),
            ("山田　花子", "山田　花子"),
        ] {
            assert_eq!(OneLine::read(text).map(OneLine::as_str), Ok(read));
        }
    }

    #[test]
    fn a_text_that_is_too_long_says_how_long_it_may_be() {
        assert!(OneLine::read(&"法".repeat(2_000)).is_ok());
        let fault = OneLine::read(&"法".repeat(2_001)).unwrap_err();
        assert_eq!(
            fault.to_string(),
            "文が長すぎます / the text has 2001 characters, expected 2000 at most; say it shorter"
        );
    }
}
