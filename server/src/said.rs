//! What somebody says of an act: typed in, sent over a socket, or left out. Blank is left out; whether an act may go without is asked of `rules`.

use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, de::IntoDeserializer as _};

use crate::proof::Secret;

/// What is said where something may be asked for: nothing, and only white space, are the same.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Said<T>(Option<T>);

impl<T> Said<T> {
    pub(crate) fn of(said: T) -> Said<T> {
        Said(Some(said))
    }

    /// What it is, unless nothing is said.
    pub(crate) fn into_option(self) -> Option<T> {
        self.0
    }
}

impl<T> Default for Said<T> {
    fn default() -> Said<T> {
        Said(None)
    }
}

impl<T: FromStr> FromStr for Said<T> {
    type Err = T::Err;

    fn from_str(text: &str) -> Result<Said<T>, T::Err> {
        let said = (!text.trim().is_empty()).then(|| text.parse());
        said.transpose().map(Said)
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Said<T> {
    fn deserialize<D: Deserializer<'de>>(input: D) -> Result<Said<T>, D::Error> {
        let text = Option::<String>::deserialize(input)?;
        let said = text.filter(|text| !text.trim().is_empty());
        said.map(|text| T::deserialize(text.into_deserializer()))
            .transpose()
            .map(Said)
    }
}

/// A free text: never blank, without the white space around it. It prints as nothing and is wiped when dropped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Words(Secret);

/// A text that says nothing.
#[derive(Debug, thiserror::Error)]
#[error("the text is blank, expected at least one letter")]
pub(crate) struct Blank;

impl Words {
    pub(crate) fn text(&self) -> &str {
        self.0.text()
    }
}

impl FromStr for Words {
    type Err = Blank;

    fn from_str(text: &str) -> Result<Words, Blank> {
        let text = text.trim();
        match text.is_empty() {
            true => Err(Blank),
            false => Ok(Words(Secret::new(text))),
        }
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

#[cfg(test)]
mod tests {
    use rules::{Ground, Label};
    use serde_json::json;

    use super::*;

    fn sent<T: for<'de> Deserialize<'de>>(value: serde_json::Value) -> Option<T> {
        let said: Said<T> = serde_json::from_value(value).unwrap();
        said.into_option()
    }

    #[test]
    fn what_is_blank_is_not_said_whether_typed_in_or_sent() {
        for blank in ["", " ", "\t\n", "\u{3000}"] {
            assert!(blank.parse::<Said<Words>>().unwrap().0.is_none());
            assert!(blank.parse::<Said<Label>>().unwrap().0.is_none());
            assert!(sent::<Words>(json!(blank)).is_none());
            assert!(sent::<Ground>(json!(blank)).is_none());
            assert!(blank.parse::<Words>().is_err());
            assert!(serde_json::from_value::<Words>(json!(blank)).is_err());
        }
        assert!(sent::<Words>(json!(null)).is_none());
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
