//! What somebody says of an act: typed in, sent over a socket, or left out. Blank is left out; whether an act may go without is asked of `rules`.

use std::str::FromStr;

use rules::{OneLine, TextFault, Unsaid};
use serde::{Deserialize, Deserializer, Serialize, de::IntoDeserializer as _};

use crate::proof::Secret;

/// What is said where something may be asked for.
#[derive(Clone, Debug, Default)]
pub(crate) enum Said<T> {
    /// Nothing; blank is the same.
    #[default]
    Nothing,
    /// What no record holds, as it came: whoever is asked refuses it, and writes that down.
    NotOneLine(Secret),
    This(T),
}

impl<T> Said<T> {
    pub(crate) fn of(said: T) -> Said<T> {
        Said::This(said)
    }

    /// What it is, where it can be left out.
    ///
    /// # Errors
    /// It says something that no record holds.
    pub(crate) fn unless_unsaid(self) -> Result<Option<T>, Unsaid> {
        match self {
            Said::Nothing => Ok(None),
            Said::NotOneLine(_) => Err(Unsaid::NotOneLine),
            Said::This(said) => Ok(Some(said)),
        }
    }

    /// What it is.
    ///
    /// # Errors
    /// It says nothing, or what no record holds.
    pub(crate) fn demand(self) -> Result<T, Unsaid> {
        self.unless_unsaid()?.ok_or(Unsaid::Blank)
    }

    /// What it names, where a text that is none names nothing.
    pub(crate) fn named(self) -> Option<T> {
        self.unless_unsaid().ok().flatten()
    }

    fn read<E>(text: &str, parse: impl FnOnce() -> Result<T, E>) -> Result<Said<T>, E> {
        match OneLine::read(text) {
            Err(TextFault::Blank) => Ok(Said::Nothing),
            Err(TextFault::NotOneLine) => Ok(Said::NotOneLine(Secret::new(text))),
            // Each kind of text has a length of its own.
            Ok(_) | Err(TextFault::TooLong { .. }) => parse().map(Said::This),
        }
    }
}

impl<T: FromStr> FromStr for Said<T> {
    type Err = T::Err;

    fn from_str(text: &str) -> Result<Said<T>, T::Err> {
        Said::read(text, || text.parse())
    }
}

impl<T: Serialize> Serialize for Said<T> {
    fn serialize<S: serde::Serializer>(&self, out: S) -> Result<S::Ok, S::Error> {
        match self {
            Said::Nothing => out.serialize_none(),
            Said::NotOneLine(text) => text.serialize(out),
            Said::This(said) => said.serialize(out),
        }
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Said<T> {
    fn deserialize<D: Deserializer<'de>>(input: D) -> Result<Said<T>, D::Error> {
        let Some(text) = Option::<String>::deserialize(input)? else {
            return Ok(Said::Nothing);
        };
        Said::read(&text, || T::deserialize(text.as_str().into_deserializer()))
    }
}

/// A free text: one line that says something. It prints as nothing and is wiped when dropped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Words(Secret);

impl Words {
    pub(crate) fn text(&self) -> &str {
        self.0.text()
    }
}

impl FromStr for Words {
    type Err = TextFault;

    fn from_str(text: &str) -> Result<Words, TextFault> {
        let line = OneLine::read(text)?;
        Ok(Words(Secret::new(line.as_str())))
    }
}

impl Serialize for Words {
    fn serialize<S: serde::Serializer>(&self, out: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(out)
    }
}

impl<'de> Deserialize<'de> for Words {
    fn deserialize<D: Deserializer<'de>>(input: D) -> Result<Words, D::Error> {
        let text = Secret::deserialize(input)?;
        text.text().parse().map_err(serde::de::Error::custom)
    }
}

/// Reads what is sent as what is typed in: the trail may hold more than is taken in any more.
///
/// # Errors
/// It is not in its form.
pub(crate) fn typed<'de, D, T>(input: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: FromStr<Err: std::fmt::Display>,
{
    let text = String::deserialize(input)?;
    text.parse().map_err(serde::de::Error::custom)
}

/// A text that is judged by whoever it is sent to, unless it is too long to be sent.
///
/// # Errors
/// [`TextFault::TooLong`].
pub(crate) fn fits_a_record(text: &str) -> Result<String, TextFault> {
    match OneLine::read(text) {
        Err(fault @ TextFault::TooLong { .. }) => Err(fault),
        Ok(_) | Err(TextFault::Blank | TextFault::NotOneLine) => Ok(text.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use rules::{Ground, Label};
    use serde_json::json;

    use super::*;

    fn sent<T: for<'de> Deserialize<'de>>(value: serde_json::Value) -> Option<T> {
        let said: Said<T> = serde_json::from_value(value).unwrap();
        said.unless_unsaid().unwrap()
    }

    #[test]
    fn what_is_blank_is_not_said_whether_typed_in_or_sent() {
        for blank in ["", " ", "\t\n", "\u{3000}\u{200b}"] {
            assert!(blank.parse::<Said<Words>>().unwrap().demand() == Err(Unsaid::Blank));
            assert!(blank.parse::<Said<Label>>().unwrap().demand() == Err(Unsaid::Blank));
            assert!(sent::<Words>(json!(blank)).is_none());
            assert!(sent::<Ground>(json!(blank)).is_none());
            assert!(blank.parse::<Words>().is_err());
            assert!(serde_json::from_value::<Words>(json!(blank)).is_err());
        }
        assert!(sent::<Words>(json!(null)).is_none());
    }

    #[test]
    fn what_no_record_holds_is_handed_on_as_it_came_to_whoever_refuses_it() {
        for text in ["法\n01M8 approved", "\x1b[2J", "\u{202e}偽"] {
            let said: Said<Words> = text.parse().unwrap();
            let sent = serde_json::to_value(&said).unwrap();
            assert_eq!(sent, text);
            let came: Said<Words> = serde_json::from_value(sent).unwrap();
            assert_eq!(came.unless_unsaid(), Err(Unsaid::NotOneLine));
            assert!(text.parse::<Words>().is_err());
        }
        assert!("法".repeat(2_001).parse::<Said<Words>>().is_err());
    }

    #[test]
    fn what_is_said_is_what_it_says_and_prints_as_nothing() {
        let words: Said<Words> = "\u{3000}訓練 \n".parse().unwrap();
        assert!(!format!("{words:?}").contains("訓練"));
        let words = serde_json::to_value(words).unwrap();
        assert_eq!(words, "訓練");
        assert_eq!(sent::<Words>(words).unwrap().text(), "訓練");
        assert_eq!(sent(json!("article5")), Some(Ground::Article5));
        assert!("x".repeat(65).parse::<Said<Label>>().is_err());
        assert!(serde_json::from_value::<Said<Ground>>(json!("article-9")).is_err());
    }
}
