//! Names of things: calls, recordings, emergencies, people, days.
//!
//! A call's id is ours; the SIP Call-ID never comes this far (K-01). Times are the city's: +09:00 all year round, so no time zone database is asked.

use std::{fmt, str::FromStr};

use jiff::{Timestamp, civil::Date, tz::Offset};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::{fault::Fault, text::OneLine};

/// Japan Standard Time. It has known no summer time since 1951, so a fixed offset is the whole zone.
const JST: Offset = Offset::constant(9);

/// The digits of Crockford's base 32: no I, L, O, U, so that an id can be read out over the telephone.
const CROCKFORD: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";
const ID_CHARACTERS: usize = 26;

/// A text that is not the id, day or hash it should be. It never quotes the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{what} is {expected}, found another text of {found_bytes} bytes")]
pub struct IdFault {
    /// What was to be read.
    pub what: &'static str,
    /// The form it must have.
    pub expected: &'static str,
    /// How long the text was.
    pub found_bytes: usize,
}

impl IdFault {
    /// The operator's, who typed it or edited the file in which it stands.
    pub fn fault(&self) -> Fault {
        Fault::Operator
    }
}

macro_rules! id {
    ($(#[$doc:meta])* $name:ident, $what:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(u128);

        impl $name {
            /// Makes an id whose order is its time's: 48 bits of Unix milliseconds, then the low 80 bits of `random`.
            pub fn new(wall: Timestamp, random: u128) -> $name {
                $name(ulid(wall, random))
            }

            /// The instant at which it was made, in whole milliseconds.
            pub fn made_at(self) -> Timestamp {
                made_at(self.0)
            }

            /// The 16 bytes, most significant first, as file formats hold them.
            pub fn to_bytes(self) -> [u8; 16] {
                self.0.to_be_bytes()
            }

            /// Reads the 16 bytes that [`Self::to_bytes`] wrote.
            pub fn from_bytes(bytes: [u8; 16]) -> $name {
                $name(u128::from_be_bytes(bytes))
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write_base32(self.0, f)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write_base32(self.0, f)
            }
        }

        impl FromStr for $name {
            type Err = IdFault;

            fn from_str(text: &str) -> Result<$name, IdFault> {
                let fault = IdFault { what: $what, expected: "26 characters of Crockford's base 32", found_bytes: text.len() };
                read_base32(text).map($name).ok_or(fault)
            }
        }

        serde_as_text!($name);
    };
}

macro_rules! serde_as_text {
    ($name:ident) => {
        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<$name, D::Error> {
                String::deserialize(deserializer)?
                    .parse()
                    .map_err(de::Error::custom)
            }
        }
    };
}

id! {
    /// One call, from the carrier's INVITE to the end of its last leg.
    CallId, "call id"
}
id! {
    /// One recording: what was kept of one call.
    RecordingId, "recording id"
}
id! {
    /// One request, and the case that it opens: what holds, listening and hand-overs name (要領 5-2, 5-4).
    CaseId, "case id"
}
id! {
    /// One legal hold of a case (要領 5-4).
    HoldId, "hold id"
}
id! {
    /// One hand-over (要領 5-3).
    HandOverId, "hand-over id"
}
id! {
    /// One copy outside the vault (K-39).
    CopyId, "copy id"
}
id! {
    /// One decision of a manager about a number's notice, a measure or a policy.
    DecisionId, "decision id"
}
id! {
    /// One word of a person that the clock is right.
    ConfirmationId, "confirmation id"
}
id! {
    /// One declaration of an emergency; every call under it carries this id (K-05).
    EmergencyId, "emergency id"
}

macro_rules! plain_id {
    ($(#[$doc:meta])* $name:ident, $what:literal) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
        pub struct $name(String);

        impl $name {
            /// The text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(&self.0)
            }
        }

        impl FromStr for $name {
            type Err = IdFault;

            fn from_str(text: &str) -> Result<$name, IdFault> {
                let is_plain = |byte: u8| {
                    byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"._-".contains(&byte)
                };
                if (1..=64).contains(&text.len()) && text.bytes().all(is_plain) {
                    return Ok($name(text.to_owned()));
                }
                Err(IdFault {
                    what: $what,
                    expected: "1 to 64 of a-z, 0-9, dot, underscore, hyphen",
                    found_bytes: text.len(),
                })
            }
        }

        serde_as_text!($name);
    };
}

plain_id! {
    /// A person of the city or of a contractor: 1 to 64 of `a-z 0-9 . _ -`.
    StaffId, "staff id"
}
const MAX_DIGITS_IN_A_ROW: usize = 8; // A date; a telephone number of ours has nine behind its 0.

impl StaffId {
    /// Whether a telephone number fits into it, with separators or without: ids stand in the trail in clear (K-15).
    pub fn fits_a_number(&self) -> bool {
        let letters = self.0.split(|letter: char| letter.is_ascii_lowercase());
        let digit_count = |part: &str| part.bytes().filter(u8::is_ascii_digit).count();
        letters.map(digit_count).max() > Some(MAX_DIGITS_IN_A_ROW)
    }
}

plain_id! {
    /// 委託事業者: a contractor.
    VendorId, "vendor id"
}
plain_id! {
    /// 委託契約: a contract with a contractor.
    ContractId, "contract id"
}

/// The name of an office, a course or a kind of attestation: one line of 1 to 64 characters, at most 8 digits, so that no telephone number fits.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Label(String);

const MAX_LABEL_CHARACTERS: usize = 64; // The longest name of a city's office fits twice.
const MAX_LABEL_DIGITS: usize = 8; // A date.

impl Label {
    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Label {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl FromStr for Label {
    type Err = IdFault;

    fn from_str(text: &str) -> Result<Label, IdFault> {
        let line = OneLine::read(text).ok().map(OneLine::as_str);
        let label = line.filter(|line| fits(line)).map(str::to_owned);
        label.map(Label).ok_or_else(|| label_fault(text))
    }
}

impl Serialize for Label {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Label {
    /// Whatever earlier versions wrote into the trail is read as it stands there.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Label, D::Error> {
        let text = String::deserialize(deserializer)?;
        let label = text.trim();
        let is_kept = !label.is_empty() && fits(label) && !label.contains(char::is_control);
        let fault = || de::Error::custom(label_fault(&text));
        is_kept.then(|| Label(label.to_owned())).ok_or_else(fault)
    }
}

fn fits(label: &str) -> bool {
    let digit_count = label.chars().filter(|letter| letter.is_numeric()).count();
    label.chars().count() <= MAX_LABEL_CHARACTERS && digit_count <= MAX_LABEL_DIGITS
}

fn label_fault(text: &str) -> IdFault {
    IdFault {
        what: "name",
        expected: "one line of 1 to 64 characters with at most 8 digits",
        found_bytes: text.len(),
    }
}

/// A day of the city's calendar, 00:00 to 24:00 +09:00. All recordings of a day share its key and expire together (K-22).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct JstDay(Date);

impl JstDay {
    /// The day on which `at` falls.
    pub fn of(at: Timestamp) -> JstDay {
        JstDay(JST.to_datetime(at).date())
    }

    /// The day with this date.
    pub fn on(date: Date) -> JstDay {
        JstDay(date)
    }

    /// Its date.
    pub fn date(self) -> Date {
        self.0
    }

    /// 00:00 +09:00, its first instant.
    pub fn start(self) -> Timestamp {
        // Only the first day of the year -9999 begins before the first timestamp.
        JST.to_timestamp(self.0.at(0, 0, 0, 0))
            .unwrap_or(Timestamp::MIN)
    }

    /// The next day; the last day of the year 9999 is its own.
    pub fn next(self) -> JstDay {
        JstDay(self.0.tomorrow().unwrap_or(self.0))
    }
}

impl fmt::Display for JstDay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

impl fmt::Debug for JstDay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

impl FromStr for JstDay {
    type Err = IdFault;

    fn from_str(text: &str) -> Result<JstDay, IdFault> {
        let fault = IdFault {
            what: "day",
            expected: "yyyy-mm-dd",
            found_bytes: text.len(),
        };
        // jiff reads further forms of a date; a folder's name has one.
        if text.len() != 10 {
            return Err(fault);
        }
        text.parse().map(JstDay).map_err(|_| fault)
    }
}

serde_as_text!(JstDay);

/// Writes an instant as the city reads it: RFC 3339 with milliseconds and +09:00.
pub fn jst_rfc3339(at: Timestamp) -> String {
    let civil = JST.to_datetime(at);
    format!(
        "{}T{:02}:{:02}:{:02}.{:03}+09:00",
        civil.date(),
        civil.hour(),
        civil.minute(),
        civil.second(),
        civil.millisecond()
    )
}

/// The hour of the city's day, from 0 to 23.
pub(crate) fn jst_hour(at: Timestamp) -> i8 {
    JST.to_datetime(at).hour()
}

fn ulid(wall: Timestamp, random: u128) -> u128 {
    // Before 1970 and after the year 10889 the order is lost, not the uniqueness.
    let milliseconds =
        u128::from(u64::try_from(wall.as_millisecond()).unwrap_or(0)) & ((1 << 48) - 1);
    milliseconds << 80 | random & ((1 << 80) - 1)
}

fn made_at(ulid: u128) -> Timestamp {
    let milliseconds = i64::try_from(ulid >> 80).unwrap_or(i64::MAX);
    Timestamp::from_millisecond(milliseconds).unwrap_or(Timestamp::MAX)
}

fn write_base32(value: u128, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let mut text = [0; ID_CHARACTERS];
    let mut rest = value;
    for character in text.iter_mut().rev() {
        *character = CROCKFORD[usize::try_from(rest % 32).expect("below 32")];
        rest /= 32;
    }
    f.pad(std::str::from_utf8(&text).expect("base 32 is ASCII"))
}

/// Upper or lower case; `None` for any other character and for more than 128 bits.
fn read_base32(text: &str) -> Option<u128> {
    if text.len() != ID_CHARACTERS {
        return None;
    }
    text.bytes().try_fold(0_u128, |value, byte| {
        let digit = CROCKFORD
            .iter()
            .position(|character| *character == byte.to_ascii_uppercase())?;
        value
            .checked_mul(32)?
            .checked_add(u128::try_from(digit).ok()?)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    #[test]
    fn ids_sort_as_their_times_do_in_text_too() {
        let early = CallId::new(at("2026-11-24T00:00:00Z"), u128::MAX);
        let late = CallId::new(at("2026-11-24T00:00:00.001Z"), 0);
        assert!(early < late);
        assert!(early.to_string() < late.to_string());
        assert_eq!(early.to_string().len(), 26);
        assert_eq!(late.made_at(), at("2026-11-24T00:00:00.001Z"));
    }

    #[test]
    fn an_id_reads_back_what_it_prints() {
        for value in [0, 1, u128::MAX, 0x0123_4567_89ab_cdef_0123_4567_89ab_cdef] {
            let id = RecordingId::from_bytes(value.to_be_bytes());
            assert_eq!(id.to_string().parse(), Ok(id));
            assert_eq!(id.to_string().to_lowercase().parse(), Ok(id));
            assert_eq!(RecordingId::from_bytes(id.to_bytes()), id);
        }
    }

    #[test]
    fn a_text_that_is_no_id_is_refused_without_being_quoted() {
        for text in [
            "",
            "8ZZZZZZZZZZZZZZZZZZZZZZZZZ",
            "0000000000000000000000000U",
            "../../../../etc/passwd/0000",
            "あいうえおかきく00",
        ] {
            let fault = text.parse::<CallId>().unwrap_err();
            assert!(text.is_empty() || !fault.to_string().contains(text));
        }
    }

    #[test]
    fn a_staff_id_is_short_and_plain() {
        assert_eq!(
            "sato.h_1-2".parse::<StaffId>().unwrap().as_str(),
            "sato.h_1-2"
        );
        for text in ["", "Sato", "佐藤", "a b", "a/b", &"x".repeat(65)] {
            assert!(text.parse::<StaffId>().is_err());
        }
    }

    #[test]
    fn a_telephone_number_fits_into_no_id_of_a_date() {
        let fits = |text: &str| text.parse::<StaffId>().unwrap().fits_a_number();
        for text in ["09012345678", "090-1234-5678", "sato.0783331000"] {
            assert!(fits(text), "{text}");
        }
        for text in ["sato", "sato.20260401", "2026a0401b123"] {
            assert!(!fits(text), "{text}");
        }
    }

    #[test]
    fn no_telephone_number_is_a_label() {
        for text in ["市長室広報戦略部", "研修 2026-04", "令和8年度 2026"] {
            assert_eq!(text.parse::<Label>().unwrap().as_str(), text);
        }
        for text in [
            "",
            "  ",
            "078-333-1000",
            "０７８３３３１０００",
            "a\nb",
            "課\u{202e}",
            "\u{200b}",
            &"課".repeat(65),
        ] {
            assert!(text.parse::<Label>().is_err(), "{text}");
        }
    }

    #[test]
    fn the_citys_day_changes_at_15_utc() {
        let before = at("2026-11-24T14:59:59.999999999Z");
        let after = at("2026-11-24T15:00:00Z");
        assert_eq!(JstDay::of(before).to_string(), "2026-11-24");
        assert_eq!(JstDay::of(after).to_string(), "2026-11-25");
        assert_eq!(JstDay::of(after).start(), after);
        assert_eq!(JstDay::of(before).next(), JstDay::of(after));
    }

    #[test]
    fn a_day_reads_back_and_nothing_else_is_a_day() {
        let day: JstDay = "2028-02-29".parse().unwrap();
        assert_eq!(day.to_string(), "2028-02-29");
        for text in [
            "",
            "2027-02-29",
            "20280229",
            "2028-02-29T00:00:00",
            "+002028-02-29",
            "2028/02/29",
        ] {
            assert!(text.parse::<JstDay>().is_err(), "{text}");
        }
    }

    #[test]
    fn instants_are_shown_in_the_citys_time() {
        assert_eq!(
            jst_rfc3339(at("2026-11-24T15:00:00.0129Z")),
            "2026-11-25T00:00:00.012+09:00"
        );
        // The ends of time are shown too.
        jst_rfc3339(Timestamp::MIN);
        jst_rfc3339(Timestamp::MAX);
        JstDay::of(Timestamp::MIN).start();
        JstDay::of(Timestamp::MAX).next().start();
    }
}
