//! How people see a text that somebody else wrote: nothing in it begins a line, turns the writing or steers the terminal.
//!
//! What is taken in is one line already (`rules::OneLine`); this is for older records, files and whatever comes over SIP.

use std::fmt;

use rules::steers;
use serde::{Deserialize, Serialize};

/// A text of a record. People see it on one line, its controls escaped; programs get it as it was written.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct Wording(String);

impl Wording {
    /// As it was written.
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<String> for Wording {
    fn from(text: String) -> Wording {
        Wording(text)
    }
}

impl From<&str> for Wording {
    fn from(text: &str) -> Wording {
        Wording(text.to_owned())
    }
}

impl fmt::Display for Wording {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        escaped(&self.0, |_| false).fmt(f)
    }
}

/// A text of several lines, as a terminal may show it.
pub(crate) fn lines(text: &str) -> String {
    escaped(text, |letter| matches!(letter, '\n' | '\t'))
}

fn escaped(text: &str, is_layout: impl Fn(char) -> bool) -> String {
    let mut shown = String::with_capacity(text.len());
    for letter in text.chars() {
        match steers(letter) && !is_layout(letter) {
            true => shown.extend(letter.escape_default()),
            false => shown.push(letter),
        }
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_is_shown_on_one_line_and_handed_on_as_it_is() {
        let written = "法\n01M8 偽\x1b[2J\u{202e}\u{85}";
        let wording = Wording::from(written);
        assert_eq!(
            wording.to_string(),
            "法\\n01M8 偽\\u{1b}[2J\\u{202e}\\u{85}"
        );
        assert_eq!(serde_json::to_value(&wording).unwrap(), written);
        assert_eq!(
            Wording::from("渡邉\u{e0100} 'a\"").to_string(),
            "渡邉\u{e0100} 'a\""
        );
    }

    #[test]
    fn lines_stay_lines_and_steer_nothing() {
        assert_eq!(lines("a\n\tb\r\u{2066}"), "a\n\tb\\r\\u{2066}");
    }
}
