//! What a package silences of a recording: third parties whom a disclosure must not show (K-33). The recording itself stays as it is.
//!
//! A mask is part of the decision about a hand-over: whoever decides says which stretches of which side are silenced.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    ops::Range,
    str::FromStr,
};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::ids::RecordingId;

/// Stretches of one hand-over, so that its entry stays a line that can be read.
pub const MOST_STRETCHES: usize = 500;
const LONGEST_MS: u64 = 24 * 3_600 * 1_000; // Longer than any call.

/// Whose channel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Side {
    /// The caller's, left in a WAV file.
    Citizen,
    /// The department's, right.
    City,
}

impl Side {
    fn code(self) -> &'static str {
        match self {
            Side::Citizen => "citizen",
            Side::City => "city",
        }
    }
}

/// A stretch of one side that is silenced: not empty, from the recording's beginning.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Stretch {
    side: Side,
    from_ms: u64,
    to_ms: u64,
}

impl Stretch {
    /// `None` where it is empty, backwards or longer than any call.
    pub fn new(side: Side, from_ms: u64, to_ms: u64) -> Option<Stretch> {
        let is_sound = from_ms < to_ms && to_ms <= LONGEST_MS;
        is_sound.then_some(Stretch {
            side,
            from_ms,
            to_ms,
        })
    }

    /// Whose channel.
    pub fn side(self) -> Side {
        self.side
    }

    /// Its samples from the recording's beginning. `rate_khz`: samples a millisecond.
    pub fn samples(self, rate_khz: u64) -> Range<u64> {
        self.from_ms * rate_khz..self.to_ms * rate_khz
    }
}

/// `citizen:12.500-20.000`: the side, and seconds.
impl fmt::Display for Stretch {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [from, to] = [self.from_ms, self.to_ms].map(|ms| (ms / 1_000, ms % 1_000));
        let side = self.side.code();
        write!(out, "{side}:{}.{:03}-{}.{:03}", from.0, from.1, to.0, to.1)
    }
}

/// A text that names no stretch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "no stretch of a recording, expected citizen:FROM-TO or city:FROM-TO in seconds with at most three decimals, FROM before TO"
)]
pub struct StretchFault;

impl FromStr for Stretch {
    type Err = StretchFault;

    fn from_str(text: &str) -> Result<Stretch, StretchFault> {
        let (side, range) = text.split_once(':').ok_or(StretchFault)?;
        let side = match side {
            "citizen" => Side::Citizen,
            "city" => Side::City,
            _ => return Err(StretchFault),
        };
        let (from, to) = range.split_once('-').ok_or(StretchFault)?;
        let (from, to) = (milliseconds(from), milliseconds(to));
        let stretch = from.zip(to);
        let stretch = stretch.and_then(|(from, to)| Stretch::new(side, from, to));
        stretch.ok_or(StretchFault)
    }
}

fn milliseconds(seconds: &str) -> Option<u64> {
    let (whole, part) = seconds.split_once('.').unwrap_or((seconds, "0"));
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if !digits(whole) || !digits(part) || part.len() > 3 {
        return None;
    }
    let whole: u64 = whole.parse().ok()?;
    let part: u64 = format!("{part:0<3}").parse().ok()?;
    whole.checked_mul(1_000)?.checked_add(part)
}

impl Serialize for Stretch {
    fn serialize<S: Serializer>(&self, out: S) -> Result<S::Ok, S::Error> {
        out.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Stretch {
    fn deserialize<D: Deserializer<'de>>(input: D) -> Result<Stretch, D::Error> {
        let text = String::deserialize(input)?;
        text.parse().map_err(de::Error::custom)
    }
}

/// A stretch that goes beyond its recording: it would be told as silenced, and is not there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "{stretch} ends beyond recording {recording}, which is {}.{:03} s long; give seconds within it",
    length_ms / 1_000,
    length_ms % 1_000
)]
pub struct MaskBeyond {
    /// Of which recording.
    pub recording: RecordingId,
    /// What was to be silenced.
    pub stretch: Stretch,
    /// How long the recording is, in milliseconds.
    pub length_ms: u64,
}

/// What is silenced of each recording of a hand-over.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Masks(BTreeMap<RecordingId, BTreeSet<Stretch>>);

impl Masks {
    /// Whether everything is handed over as it is.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// What is silenced of one recording of this length, in milliseconds.
    ///
    /// # Errors
    /// [`MaskBeyond`] for a stretch that is not all there.
    pub fn within(
        &self,
        recording: RecordingId,
        length_ms: u64,
    ) -> Result<BTreeSet<Stretch>, MaskBeyond> {
        let stretches = self.0.get(&recording).cloned().unwrap_or_default();
        let beyond = stretches.iter().find(|stretch| stretch.to_ms > length_ms);
        match beyond {
            Some(stretch) => Err(MaskBeyond {
                recording,
                stretch: *stretch,
                length_ms,
            }),
            None => Ok(stretches),
        }
    }

    /// Whether they are of these recordings alone, and few enough.
    pub(crate) fn fit(&self, items: &BTreeSet<RecordingId>) -> bool {
        let count: usize = self.0.values().map(BTreeSet::len).sum();
        count <= MOST_STRETCHES && self.0.keys().all(|recording| items.contains(recording))
    }
}

impl FromIterator<(RecordingId, Stretch)> for Masks {
    fn from_iter<T: IntoIterator<Item = (RecordingId, Stretch)>>(stretches: T) -> Masks {
        let mut masks = Masks::default();
        for (recording, stretch) in stretches {
            masks.0.entry(recording).or_default().insert(stretch);
        }
        masks
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stretch_that_is_not_all_within_its_recording_is_named_with_the_length() {
        let id = |random| RecordingId::new(jiff::Timestamp::UNIX_EPOCH, random);
        let stretch = |text: &str| text.parse::<Stretch>().unwrap();
        let last = stretch("city:1-20");
        let masks: Masks = [(id(1), stretch("citizen:0-1")), (id(1), last)]
            .into_iter()
            .collect();
        assert_eq!(masks.within(id(1), 20_000).map(|all| all.len()), Ok(2));
        assert_eq!(masks.within(id(2), 0), Ok(BTreeSet::new()));
        let beyond = masks.within(id(1), 19_999).unwrap_err();
        assert_eq!((beyond.recording, beyond.stretch), (id(1), last));
        assert!(beyond.to_string().contains("19.999 s long"), "{beyond}");
    }

    #[test]
    fn a_stretch_reads_back_what_it_prints_and_nothing_else_is_one() {
        for (text, printed) in [
            ("citizen:0-1", "citizen:0.000-1.000"),
            ("city:12.5-20.125", "city:12.500-20.125"),
            ("citizen:0.001-0.002", "citizen:0.001-0.002"),
        ] {
            let stretch: Stretch = text.parse().unwrap();
            assert_eq!(stretch.to_string(), printed);
            assert_eq!(printed.parse(), Ok(stretch));
        }
        for text in [
            "",
            "citizen",
            "caller:0-1",
            "citizen:1-1",
            "citizen:2-1",
            "citizen:0-1.0001",
            "citizen:-1",
            "citizen:1e3-9e3",
            "citizen:0-86400.001",
            "citizen:0-99999999999999999999",
            "city:.5-1",
        ] {
            assert_eq!(text.parse::<Stretch>(), Err(StretchFault), "{text}");
        }
    }
}
