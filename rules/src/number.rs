//! Telephone numbers and what the city decided about its own.
//!
//! A number prints masked, is never serialised by accident and never quoted in an error: [`Number::e164`] is the only way to its digits.

use std::fmt;

use crate::{fault::Fault, number_decision::NumberDecision};

/// A telephone number in E.164 (`+81783331000`), or one of Japan's three-digit special numbers (`110`, `118`, `119`), which have no E.164 form.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Number(String);

/// Longer texts are refused before anything is allocated; 15 digits with a separator after each fit twice.
const MAX_TEXT_BYTES: usize = 64;
/// ITU-T E.164 section 6.2.1: at most 15 digits.
const MAX_DIGITS: usize = 15;
/// The shortest numbers in use (country code and four digits of some islands).
const MIN_DIGITS: usize = 5;

impl Number {
    /// Reads a number as people and trunks write it: `0783331000`, `078-333-1000`, `+81 78 333 1000`, `010 1 212 555 0100`, `119`,
    /// and that also behind our country's code, `+81119`.
    ///
    /// Separators are those of RFC 3966 section 3 (`-` `.` `(` `)`) and the space. A `tel:` prefix and parameters are the caller's to take off.
    ///
    /// # Errors
    /// [`NumberFault`] for every text that is no number; it tells a place, never the text.
    ///
    /// Source: 電気通信番号計画: 0 is the national prefix, 010 the international one.
    pub fn parse(text: &str) -> Result<Number, NumberFault> {
        let Dialled { plus, digits } = Dialled::read(text)?;
        // No number of ours is that short: what a PBX writes so that writes all in international form is the special number itself.
        let special = match plus {
            true => digits.strip_prefix("81"),
            false => Some(digits.as_str()),
        };
        if let Some(special) = special.filter(|digits| is_special(digits)) {
            return Ok(Number(special.to_owned()));
        }
        if plus {
            return international(&digits);
        }
        if let Some(abroad) = digits.strip_prefix("010") {
            return international(abroad);
        }
        match digits.strip_prefix('0') {
            Some(national) if !national.starts_with('0') => international(&format!("81{national}")),
            Some(_) | None => Err(NumberFault::Prefix),
        }
    }

    /// Reads a number as people type it, with a Japanese keyboard too: `０７８－３３３－１０００` is `078-333-1000`.
    ///
    /// # Errors
    /// As [`Self::parse`].
    pub fn typed(text: &str) -> Result<Number, NumberFault> {
        Number::parse(&half_width(text))
    }

    /// The digits in clear. Whoever calls it writes the number somewhere: only into a SIP message, a sealed field, or the city's own number's row.
    pub fn e164(&self) -> &str {
        &self.0
    }

    /// Whether it is one of the three-digit special numbers.
    pub fn is_special(&self) -> bool {
        !self.0.starts_with('+')
    }
}

/// The text with digits, signs and spaces in their usual width; the hyphens and dashes that an input method offers are one.
pub fn half_width(text: &str) -> String {
    let narrow = |letter: char| match letter {
        '\u{3000}' => ' ',
        '‐' | '‑' | '‒' | '–' | '—' | '―' | '−' | 'ー' | 'ｰ' | '－' => '-',
        '！'..='～' => char::from_u32(u32::from(letter) - 0xFEE0).unwrap_or(letter),
        _ => letter,
    };
    text.chars().map(narrow).collect()
}

fn is_special(digits: &str) -> bool {
    digits.len() == 3 && digits.starts_with('1')
}

fn international(digits: &str) -> Result<Number, NumberFault> {
    let national = digits.strip_prefix("81");
    if digits.starts_with('0') || national.is_some_and(begins_as_another_call) {
        return Err(NumberFault::Prefix);
    }
    // Whatever stands before one, a special number is called by its three digits alone.
    let is_of_fit_length = (MIN_DIGITS..=MAX_DIGITS).contains(&digits.len());
    if !is_of_fit_length || national.is_some_and(is_special) {
        return Err(NumberFault::Digits {
            found: digits.len(),
        });
    }
    Ok(Number(format!("+{digits}")))
}

/// Whether the digits behind our country's code would dial another call once the code is dropped, or a 0 is put in its place.
///
/// No number of ours begins so: behind 0 they are 010 (abroad) or 00 (another carrier), and alone 184, 186 (how the caller is shown) or
/// 122 (no registered carrier) with a whole number after them; the digits after an area code are never 0 or 1 (電気通信番号計画).
fn begins_as_another_call(national: &str) -> bool {
    let is_prefixed = |prefix| {
        national
            .strip_prefix(prefix)
            .is_some_and(|rest: &str| rest.starts_with(['0', '1']))
    };
    national.starts_with('0')
        || national.starts_with("10")
        || ["122", "184", "186"].into_iter().any(is_prefixed)
}

/// What is left of a text once separators are gone.
struct Dialled {
    plus: bool,
    digits: String,
}

impl Dialled {
    fn read(text: &str) -> Result<Dialled, NumberFault> {
        if text.len() > MAX_TEXT_BYTES {
            return Err(NumberFault::TooLong {
                found_bytes: text.len(),
            });
        }
        let mut dialled = Dialled {
            plus: false,
            digits: String::with_capacity(text.len()),
        };
        for (offset, character) in text.char_indices() {
            match character {
                '0'..='9' => dialled.digits.push(character),
                '+' if !dialled.plus && dialled.digits.is_empty() => dialled.plus = true,
                '-' | '.' | '(' | ')' | ' ' => {}
                _ => return Err(NumberFault::Character { offset }),
            }
        }
        if dialled.digits.is_empty() {
            Err(NumberFault::Empty)
        } else {
            Ok(dialled)
        }
    }
}

/// Shows enough to tell two lines of a department apart and too little to call anyone: `+81-78-***-**18`.
impl fmt::Display for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(digits) = self.0.strip_prefix('+') else {
            return f.write_str(&self.0);
        };
        let last = &digits[digits.len() - 2..];
        match digits.strip_prefix("81") {
            Some(national) if national.len() >= 8 => {
                write!(f, "+81-{}-***-**{last}", &national[..2])
            }
            Some(_) => f.write_str("+81-***"),
            None => write!(f, "+{}***-**{last}", &digits[..1]),
        }
    }
}

impl fmt::Debug for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// 内線: a telephone of the PBX by the digits that only its own people dial, such as `7001`. It prints masked, as a number does.
#[derive(Clone, PartialEq, Eq)]
pub struct Extension(String);

/// Longer ones are none that a PBX gives; they are somebody's number, written in a way that we do not know.
const MAX_EXTENSION_DIGITS: usize = 8;

impl Extension {
    /// Reads an extension; none where the text is anything but a few digits.
    pub fn read(text: &str) -> Option<Extension> {
        let is_one = (1..=MAX_EXTENSION_DIGITS).contains(&text.len())
            && text.bytes().all(|octet| octet.is_ascii_digit());
        is_one.then(|| Extension(text.to_owned()))
    }
}

/// Shows at most two digits, and never more than half of them: `**01`.
impl fmt::Display for Extension {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = (self.0.len() / 2).min(2);
        let (hidden, last) = self.0.split_at(self.0.len() - shown);
        write!(f, "{:*<1$}{last}", "", hidden.len())
    }
}

impl fmt::Debug for Extension {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A text that is no telephone number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NumberFault {
    /// It holds no digit.
    #[error("number has no digit, expected for example 0783331000 or +81783331000")]
    Empty,
    /// It is too long to be one.
    #[error(
        "number is {found_bytes} bytes long, at most {MAX_TEXT_BYTES} are read; write digits, plus and hyphens only"
    )]
    TooLong {
        /// Length of the text.
        found_bytes: usize,
    },
    /// It holds something else than digits, one leading plus and separators.
    #[error(
        "number has a character at byte {offset} that is neither digit, leading plus nor separator (- . ( ) space)"
    )]
    Character {
        /// Where, in bytes from the start.
        offset: usize,
    },
    /// It begins neither as a national, nor as an international, nor as a special number.
    #[error(
        "number must begin with 0 and an area code, with + and a country code, or be a special number such as 119"
    )]
    Prefix,
    /// It has too few or too many digits.
    #[error(
        "number has {found} digits with its country code, expected {MIN_DIGITS} to {MAX_DIGITS}"
    )]
    Digits {
        /// Count with the country code.
        found: usize,
    },
}

impl NumberFault {
    /// The peer's; a reader of configuration says whose line it was.
    pub fn fault(&self) -> Fault {
        Fault::Peer
    }
}

/// Who calls.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Caller {
    /// A number was given. It is stored sealed.
    Known(Number),
    /// None was given, or it was withheld; stored as "anonymous" only.
    Anonymous,
}

impl Caller {
    /// What lists may show of a caller: `number` or `anonymous`.
    pub fn kind(&self) -> &'static str {
        match self {
            Caller::Known(_) => "number",
            Caller::Anonymous => "anonymous",
        }
    }
}

/// How calls to a number are taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Profile {
    /// Answered, told that the call is recorded, then connected.
    Announce,
    /// Connected as it comes; recorded only under a waiver.
    Transparent,
}

/// What holds for one number of the city.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NumberPolicy {
    /// The city's number.
    pub number: Number,
    /// How its calls are taken.
    pub profile: Profile,
    /// The decision that waives our announcement for it, if there is one.
    pub decision: Option<NumberDecision>,
    /// The department that answers it, by name.
    pub department: String,
}

/// Serialises the city's own number in clear; only this room's records of the city's own lines use it.
pub(crate) mod clear {
    use serde::{Deserialize, Deserializer, Serializer, de};

    use super::Number;

    pub(crate) fn serialize<S: Serializer>(
        number: &Number,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(number.e164())
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Number, D::Error> {
        Number::parse(&String::deserialize(deserializer)?).map_err(de::Error::custom)
    }
}

/// The same for a set of the city's own numbers.
pub(crate) mod clear_set {
    use std::collections::BTreeSet;

    use serde::{Deserialize, Deserializer, Serializer, de};

    use super::Number;

    pub(crate) fn serialize<S: Serializer>(
        numbers: &BTreeSet<Number>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(numbers.iter().map(Number::e164))
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<BTreeSet<Number>, D::Error> {
        let texts = Vec::<String>::deserialize(deserializer)?;
        let parsed = texts.iter().map(|text| Number::parse(text));
        parsed.collect::<Result<_, _>>().map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn e164(text: &str) -> Result<String, NumberFault> {
        Number::parse(text).map(|number| number.e164().to_owned())
    }

    #[test]
    fn every_way_to_write_a_number_is_one_number() {
        for text in [
            "0783331000",
            "+81783331000",
            "078-333-1000",
            "(078) 333 1000",
            "+81-78-333-1000",
            "+81.78.333.1000",
        ] {
            assert_eq!(e164(text).as_deref(), Ok("+81783331000"), "{text}");
        }
    }

    #[test]
    fn special_numbers_stay_as_they_are() {
        for text in ["110", "118", "119", "117", "188"] {
            assert_eq!(e164(text).as_deref(), Ok(text));
            assert!(Number::parse(text).unwrap().is_special());
            assert_eq!(Number::parse(text).unwrap().to_string(), text);
        }
        assert!(!Number::parse("0783331000").unwrap().is_special());
    }

    #[test]
    fn a_call_from_abroad_keeps_its_country() {
        assert_eq!(e164("010-1-212-555-0100").as_deref(), Ok("+12125550100"));
        assert_eq!(e164("+12125550100").as_deref(), Ok("+12125550100"));
    }

    #[test]
    fn a_text_that_is_no_number_is_refused_by_its_place() {
        assert_eq!(e164(""), Err(NumberFault::Empty));
        assert_eq!(e164("+"), Err(NumberFault::Empty));
        assert_eq!(e164("() -"), Err(NumberFault::Empty));
        assert_eq!(
            e164("078333x000"),
            Err(NumberFault::Character { offset: 6 })
        );
        assert_eq!(e164("０７８"), Err(NumberFault::Character { offset: 0 }));
        assert_eq!(e164("078+333"), Err(NumberFault::Character { offset: 3 }));
        assert_eq!(
            e164("++81783331000"),
            Err(NumberFault::Character { offset: 1 })
        );
        assert_eq!(e164("3331000"), Err(NumberFault::Prefix));
        assert_eq!(e164("81783331000"), Err(NumberFault::Prefix));
        assert_eq!(e164("00783331000"), Err(NumberFault::Prefix));
        assert_eq!(e164("+0783331000"), Err(NumberFault::Prefix));
        for trunk_prefix in ["+81(0)783331000", "+810106751234567", "010810783331000"] {
            assert_eq!(
                e164(trunk_prefix),
                Err(NumberFault::Prefix),
                "{trunk_prefix}"
            );
        }
        assert_eq!(e164("210"), Err(NumberFault::Prefix));
        assert_eq!(e164("0"), Err(NumberFault::Digits { found: 2 }));
        assert_eq!(e164("010"), Err(NumberFault::Digits { found: 0 }));
        assert_eq!(
            e164("+1234567890123456"),
            Err(NumberFault::Digits { found: 16 })
        );
        assert_eq!(
            e164(&"0".repeat(65)),
            Err(NumberFault::TooLong { found_bytes: 65 })
        );
    }

    #[test]
    fn no_digits_after_our_country_make_a_prefix_of_another_call() {
        for text in [
            // 0 before them is 010: a call abroad.
            "+81101212555010",
            "+81-10-1-212-555-010",
            "+81(10)1212555010",
            "010-81-10-1212555010",
            // 0 before them is 00: another carrier's prefix.
            "+810077783331000",
            "00777833310",
            // Without their 0 they are 184, 186 or 122, and then somebody else's number.
            "+811840101212555",
            "+811860783331000",
            "+811220077783331",
            "+81184119",
        ] {
            assert_eq!(e164(text), Err(NumberFault::Prefix), "{text}");
        }
        for area in ["0112223333", "0122345678", "0184222222", "0186222222"] {
            assert!(e164(area).is_ok(), "{area}");
        }
    }

    #[test]
    fn no_error_and_no_debug_text_holds_the_digits() {
        for text in [
            "078333100x",
            "+8178333100012345",
            "33310001234",
            "078-333-1000",
        ] {
            let shown = match Number::parse(text) {
                Ok(number) => format!("{number} {number:?} {:?}", Caller::Known(number.clone())),
                Err(fault) => format!("{fault} {fault:?}"),
            };
            assert!(!shown.contains("333100"), "{shown}");
            assert!(!shown.contains("333"), "{shown}");
        }
    }

    #[test]
    fn extensions_print_masked() {
        let cases = [
            ("7", Some("*")),
            ("200", Some("**0")),
            ("7001", Some("**01")),
            ("12345678", Some("******78")),
            ("123456789", None),
            ("", None),
            ("reception", None),
            ("+81783331000", None),
        ];
        for (text, masked) in cases {
            let shown = Extension::read(text).map(|extension| format!("{extension:?}"));
            assert_eq!(shown.as_deref(), masked, "{text}");
        }
    }

    #[test]
    fn numbers_print_masked() {
        assert_eq!(
            Number::parse("0783331018").unwrap().to_string(),
            "+81-78-***-**18"
        );
        assert_eq!(
            Number::parse("09000000021").unwrap().to_string(),
            "+81-90-***-**21"
        );
        assert_eq!(
            Number::parse("+12125550100").unwrap().to_string(),
            "+1***-**00"
        );
        assert_eq!(Number::parse("+8199999").unwrap().to_string(), "+81-***");
    }

    #[test]
    fn a_special_number_behind_our_countrys_code_is_that_number() {
        // A PBX that writes every number in international form.
        for (text, number) in [
            ("+81119", "119"),
            ("+81 110", "110"),
            ("+81-118", "118"),
            ("+81104", "104"),
        ] {
            let read = Number::parse(text).unwrap();
            assert!(read.is_special(), "{text}");
            assert_eq!(read.e164(), number);
        }
        for text in ["+1119", "+81019", "010 81 119", "0119", "+8119"] {
            assert!(Number::parse(text).is_err(), "{text}");
        }
        assert!(!Number::parse("+81219").unwrap().is_special());
    }

    #[test]
    fn no_text_whatever_makes_the_reader_fall() {
        // A small linear congruential walk over awkward characters: every outcome is an answer, none a panic.
        let alphabet: Vec<char> = "0189+-.() １é\u{0}\u{202e}".chars().collect();
        let mut state = 5_u64;
        for _ in 0..20_000 {
            let mut text = String::new();
            loop {
                state = state
                    .wrapping_mul(6_364_136_223_846_793_005)
                    .wrapping_add(1);
                let pick = usize::try_from(state >> 40).unwrap() % (alphabet.len() + 2);
                let Some(character) = alphabet.get(pick) else {
                    break;
                };
                text.push(*character);
            }
            if let Ok(number) = Number::parse(&text) {
                assert_eq!(Number::parse(number.e164()), Ok(number.clone()));
                assert!(!number.to_string().is_empty());
            }
        }
    }
}
