//! A display name made safe to show.

/// Makes a text of a peer safe to show in a terminal, a log line or a list: no control, no change of direction, nothing invisible.
///
/// Such characters are written as `\u{202e}`, a backslash as two; what is longer than 64 characters is cut.
///
/// Source: UAX #9 section 2 (directional formatting), UTS #39 section 3.1 (what identifiers may not hold).
pub fn display_safe(text: &str) -> String {
    const MOST: usize = 64; // A line of a list; a name has not half of it.
    let mut safe = String::with_capacity(text.len());
    for (count, letter) in text.chars().enumerate() {
        if count == MOST {
            safe.push('…');
            break;
        }
        match letter {
            '\\' => safe.push_str("\\\\"),
            hidden if is_hidden(hidden) => safe.push_str(&hidden.escape_unicode().to_string()),
            plain => safe.push(plain),
        }
    }
    safe
}

/// Whether a character is a control, turns the direction of its neighbours, or shows nothing.
///
/// Variation selectors stay: names such as 辻 and 髙 are told apart by them.
fn is_hidden(letter: char) -> bool {
    letter.is_control()
        || matches!(letter,
            '\u{ad}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}' | '\u{180b}'..='\u{180f}'
            | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{3164}'
            | '\u{feff}' | '\u{ffa0}' | '\u{fff0}'..='\u{fffb}'
            | '\u{e000}'..='\u{f8ff}' | '\u{e0000}'..='\u{e00ff}' | '\u{e01f0}'..='\u{10ffff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_hidden_is_left_and_names_stay_names() {
        for (came, shown) in [
            ("市役所 山田", "市役所 山田"),
            ("\u{202e}gro.elpmaxe", "\\u{202e}gro.elpmaxe"),
            ("a\u{1b}[31mb\r\nc", "a\\u{1b}[31mb\\u{d}\\u{a}c"),
            ("\\u{202e}", "\\\\u{202e}"),
            ("\u{2066}x\u{2069}\u{200b}", "\\u{2066}x\\u{2069}\\u{200b}"),
            ("辻\u{e0100}", "辻\u{e0100}"),
            ("\u{fffd}", "\u{fffd}"),
        ] {
            assert_eq!(display_safe(came), shown);
        }
        assert_eq!(display_safe(&"あ".repeat(65)).chars().count(), 65);
    }
}
