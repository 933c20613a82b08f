//! What a new password must be: long, not easily guessed, not used lately.

use std::fmt;

use crate::{
    ids::StaffId,
    refusal::{Clause, Refusal, RefusalCode},
};

/// None of so many last passwords is taken again (K-14).
pub const REMEMBERED_PASSWORDS: usize = 10;

const MIN_CHARACTERS: usize = 12; // K-14.
const MAX_BYTES: usize = 1024; // Hashing it costs time; a sentence fits.
const MIN_DISTINCT: usize = 5; // aaaaaaaaaaaa, 121212121212.

/// Words of which guessed passwords are made, after capitals, look-alikes and what surrounds them are taken away.
const BLOCKED_WORDS: &str = include_str!("blocked_words.txt");

/// A password that the rules take. It prints as nothing.
#[derive(Clone, PartialEq, Eq)]
pub struct NewPassword(String);

impl NewPassword {
    /// Judges a password. Whether it was used lately only hashes can say: see [`NewPassword::reused`].
    ///
    /// # Errors
    /// `PASSWORD_TOO_SHORT`, `PASSWORD_BLOCKED`.
    pub fn judge(person: &StaffId, text: &str) -> Result<NewPassword, Refusal> {
        if text.chars().count() < MIN_CHARACTERS {
            return Err(refusal(RefusalCode::PasswordTooShort));
        }
        if text.len() > MAX_BYTES || is_guessed(person, text) {
            return Err(refusal(RefusalCode::PasswordBlocked));
        }
        Ok(NewPassword(text.to_owned()))
    }

    /// The refusal of one of the last ten.
    pub fn reused() -> Refusal {
        refusal(RefusalCode::PasswordReused)
    }

    /// The text, for whoever hashes it.
    pub fn text(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for NewPassword {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("NewPassword(..)")
    }
}

fn refusal(code: RefusalCode) -> Refusal {
    Refusal::new(code, Clause::Rules5Security)
}

fn is_guessed(person: &StaffId, text: &str) -> bool {
    let mut letters: Vec<char> = text.chars().collect();
    letters.sort_unstable();
    letters.dedup();
    if letters.len() < MIN_DISTINCT || is_a_run(text) {
        return true;
    }
    let plain = plain(text);
    let own = plain_words(person.as_str());
    // What is left when every guessed word is taken out must still be long enough to be a secret.
    let words = BLOCKED_WORDS.lines().filter(|line| !line.starts_with('#'));
    let rest = words
        .chain(own.iter().map(String::as_str))
        .filter(|word| !word.is_empty())
        .fold(plain, |rest, word| rest.replace(word, ""));
    rest.chars().count() < MIN_DISTINCT
}

/// Whether each character follows or repeats the one before it, as in 123456789012 or abcdefghijkl.
fn is_a_run(text: &str) -> bool {
    let codes: Vec<i64> = text
        .chars()
        .map(|letter| i64::from(u32::from(letter)))
        .collect();
    let steps = codes
        .windows(2)
        .filter(|pair| (pair[1] - pair[0]).abs() <= 1);
    let is_wrap = |pair: &&[i64]| pair[0] == i64::from(b'9') && pair[1] == i64::from(b'0');
    let wraps = codes.windows(2).filter(is_wrap);
    steps.count() + wraps.count() + 1 >= codes.len()
}

/// Lower case, look-alikes as the letters that they stand for, and no other digits and signs.
fn plain(text: &str) -> String {
    text.chars()
        .flat_map(char::to_lowercase)
        .map(|letter| match letter {
            '0' => 'o',
            '1' | '!' => 'i',
            '3' => 'e',
            '4' | '@' => 'a',
            '5' | '$' => 's',
            '7' => 't',
            other => other,
        })
        .filter(|letter| letter.is_alphabetic())
        .collect()
}

fn plain_words(id: &str) -> Vec<String> {
    let parts = id.split(['.', '_', '-']).map(plain);
    parts.filter(|part| part.len() > 2).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_short_or_guessed_is_refused() {
        let person = "yamada.hanako".parse().unwrap();
        for (text, expected) in [
            ("", "PASSWORD_TOO_SHORT"),
            ("kaze-ni-nor", "PASSWORD_TOO_SHORT"),
            ("aaaaaaaaaaaa", "PASSWORD_BLOCKED"),
            ("121212121212", "PASSWORD_BLOCKED"),
            ("123456789012", "PASSWORD_BLOCKED"),
            ("abcdefghijkl", "PASSWORD_BLOCKED"),
            ("P@ssw0rd2026!", "PASSWORD_BLOCKED"),
            ("passwordpassword", "PASSWORD_BLOCKED"),
            ("Qwertyuiop123", "PASSWORD_BLOCKED"),
            ("Yamada-Hanako-1", "PASSWORD_BLOCKED"),
            ("denwaban-kobe-2026", "PASSWORD_BLOCKED"),
            ("Password-of-Yamada", "PASSWORD_BLOCKED"),
        ] {
            let refusal = NewPassword::judge(&person, text).unwrap_err();
            assert_eq!(refusal.code().code(), expected, "{text}");
        }
        let too_long = "kaze ni noru tori ".repeat(60);
        assert!(NewPassword::judge(&person, &too_long).is_err());
        for text in [
            "kaze-ni-noru-tori",
            "港の灯りが見える丘の街から",
            "tR7#mQ2pWz9x",
        ] {
            assert_eq!(NewPassword::judge(&person, text).unwrap().text(), text);
        }
    }

    #[test]
    fn a_password_is_in_no_debug_text() {
        let person = "hanako".parse().unwrap();
        let password = NewPassword::judge(&person, "kaze-ni-noru-tori").unwrap();
        assert_eq!(format!("{password:?}"), "NewPassword(..)");
    }
}
