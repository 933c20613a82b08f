//! Walks a TOML document with its spans and collects every fault, each with place, expectation and remedy.
//!
//! It knows no key of ours; `config` asks for keys by name, and what nobody asked for is an unknown key.

use std::{collections::BTreeSet, ops::Range};

use toml::{Spanned, de::DeTable, de::DeValue};

/// One fault in the file: where, what was found, what was expected, and what to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ConfigFault {
    /// Bytes of the file that the report underlines.
    pub span: Range<usize>,
    /// The key in dotted form, such as `number[0].profile`.
    pub place: String,
    /// What was found.
    pub found: String,
    /// What was expected there.
    pub expected: String,
    /// What to do.
    pub remedy: String,
}

/// A value with its place in the file.
#[derive(Clone, Debug)]
pub(crate) struct Placed<T> {
    /// The value itself.
    pub value: T,
    /// Where it stands.
    pub span: Range<usize>,
    /// Its key in dotted form.
    pub place: String,
}

/// The faults found so far.
#[derive(Debug, Default)]
pub(crate) struct Faults(Vec<ConfigFault>);

impl Faults {
    /// Notes a fault at a placed value.
    pub(crate) fn at<T>(
        &mut self,
        placed: &Placed<T>,
        found: impl Into<String>,
        expected: &str,
        remedy: &str,
    ) {
        self.note(placed.span.clone(), &placed.place, found, expected, remedy);
    }

    /// Notes a fault at a span.
    pub(crate) fn note(
        &mut self,
        span: Range<usize>,
        place: &str,
        found: impl Into<String>,
        expected: &str,
        remedy: &str,
    ) {
        self.0.push(ConfigFault {
            span,
            place: place.to_owned(),
            found: found.into(),
            expected: expected.to_owned(),
            remedy: remedy.to_owned(),
        });
    }

    /// Whether there is none.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// All faults in the order of the file.
    pub(crate) fn into_sorted(mut self) -> Vec<ConfigFault> {
        self.0
            .sort_by_key(|fault| (fault.span.start, fault.span.end));
        self.0
    }
}

/// A table of the file, with the keys that were asked for.
#[derive(Debug)]
pub(crate) struct Section<'t> {
    table: &'t DeTable<'t>,
    /// What holds where the table itself does not say.
    fallback: Option<&'t DeTable<'t>>,
    /// Where the table stands: its header or its braces.
    pub span: Range<usize>,
    path: String,
    known: BTreeSet<&'static str>,
}

impl<'t> Section<'t> {
    /// The whole document.
    pub(crate) fn root(table: &'t DeTable<'t>) -> Section<'t> {
        Section {
            table,
            fallback: None,
            span: 0..0,
            path: String::new(),
            known: BTreeSet::new(),
        }
    }

    /// The key's dotted form inside this section.
    pub(crate) fn place(&self, key: &str) -> String {
        if self.path.is_empty() {
            key.to_owned()
        } else {
            format!("{}.{key}", self.path)
        }
    }

    /// From here on what the section does not say is read from this table. What it says itself wins.
    pub(crate) fn fall_back(&mut self, table: &'t DeTable<'t>) {
        self.fallback = Some(table);
    }

    /// Whether the key is written at all.
    pub(crate) fn holds(&self, key: &str) -> bool {
        self.table.contains_key(key)
    }

    fn take(&mut self, key: &'static str) -> Option<(&'t Spanned<DeValue<'t>>, String)> {
        self.known.insert(key);
        let written = self.table.get(key);
        let value = written.or_else(|| self.fallback?.get(key));
        value.map(|value| (value, self.place(key)))
    }

    /// One of a few words, if the key is there.
    pub(crate) fn choice<T: Copy>(
        &mut self,
        faults: &mut Faults,
        key: &'static str,
        choices: &[(&str, T)],
    ) -> Option<T> {
        let text = self.text(faults, key)?;
        let chosen = choices.iter().find(|(word, _)| *word == text.value);
        if chosen.is_none() {
            let words: Vec<String> = choices
                .iter()
                .map(|(word, _)| format!("\"{word}\""))
                .collect();
            faults.at(
                &text,
                format!("\"{}\"", text.value.escape_debug()),
                &words.join(" or "),
                "write one of them",
            );
        }
        chosen.map(|(_, choice)| *choice)
    }

    /// `true` or `false`, if the key is there.
    pub(crate) fn boolean(&mut self, faults: &mut Faults, key: &'static str) -> Option<bool> {
        let (value, place) = self.take(key)?;
        let found = value.get_ref().as_bool();
        if found.is_none() {
            let expected = "true or false";
            let remedy = "write it without quotation marks";
            faults.note(value.span(), &place, kind(value), expected, remedy);
        }
        found
    }

    /// A text, if the key is there.
    pub(crate) fn text(
        &mut self,
        faults: &mut Faults,
        key: &'static str,
    ) -> Option<Placed<&'t str>> {
        let (value, place) = self.take(key)?;
        text_of(faults, value, place)
    }

    /// A text that must be there; `remedy` says what to write.
    pub(crate) fn required_text(
        &mut self,
        faults: &mut Faults,
        key: &'static str,
        remedy: &str,
    ) -> Option<Placed<&'t str>> {
        if !self.table.contains_key(key) {
            self.known.insert(key);
            self.missing(faults, key, remedy);
            return None;
        }
        self.text(faults, key)
    }

    /// Notes that a key is missing.
    pub(crate) fn missing(&self, faults: &mut Faults, key: &str, remedy: &str) {
        faults.note(
            self.span.clone(),
            &self.place(key),
            "nothing",
            &format!("the key `{key}`"),
            remedy,
        );
    }

    /// A whole number inside a range, if the key is there.
    pub(crate) fn integer(
        &mut self,
        faults: &mut Faults,
        key: &'static str,
        range: Range<i64>,
    ) -> Option<Placed<i64>> {
        let (value, place) = self.take(key)?;
        let expected = format!("a whole number from {} to {}", range.start, range.end - 1);
        let number = value
            .get_ref()
            .as_integer()
            .and_then(|digits| i64::from_str_radix(digits.as_str(), digits.radix()).ok());
        let placed = Placed {
            value: number.unwrap_or_default(),
            span: value.span(),
            place,
        };
        match number {
            Some(number) if range.contains(&number) => Some(placed),
            Some(number) => {
                faults.at(
                    &placed,
                    number.to_string(),
                    &expected,
                    "write a number inside that range",
                );
                None
            }
            None => {
                faults.at(
                    &placed,
                    kind(value),
                    &expected,
                    "write the number without quotation marks",
                );
                None
            }
        }
    }

    /// A local date, written without quotation marks, if the key is there.
    pub(crate) fn date(
        &mut self,
        faults: &mut Faults,
        key: &'static str,
    ) -> Option<Placed<jiff::civil::Date>> {
        let (value, place) = self.take(key)?;
        let date = match value.get_ref() {
            DeValue::Datetime(when) => when.date.filter(|_| when.time.is_none()).and_then(|date| {
                let (month, day) = (i8::try_from(date.month).ok()?, i8::try_from(date.day).ok()?);
                jiff::civil::Date::new(i16::try_from(date.year).ok()?, month, day).ok()
            }),
            DeValue::String(text) => text.parse().ok(),
            DeValue::Integer(_)
            | DeValue::Float(_)
            | DeValue::Boolean(_)
            | DeValue::Array(_)
            | DeValue::Table(_) => None,
        };
        let placed = Placed {
            value: date,
            span: value.span(),
            place,
        };
        if date.is_none() {
            faults.at(
                &placed,
                kind(value),
                "a date such as 2026-04-01",
                "write year-month-day without quotation marks",
            );
        }
        date.map(|date| Placed {
            value: date,
            span: placed.span,
            place: placed.place,
        })
    }

    /// The texts of an array, if the key is there; a single text counts as an array of one.
    pub(crate) fn texts(
        &mut self,
        faults: &mut Faults,
        key: &'static str,
    ) -> Option<Vec<Placed<&'t str>>> {
        let (value, place) = self.take(key)?;
        match value.get_ref() {
            DeValue::Array(items) => Some(
                items
                    .iter()
                    .enumerate()
                    .filter_map(|(index, item)| text_of(faults, item, format!("{place}[{index}]")))
                    .collect(),
            ),
            DeValue::String(_) => text_of(faults, value, place).map(|text| vec![text]),
            DeValue::Integer(_)
            | DeValue::Float(_)
            | DeValue::Boolean(_)
            | DeValue::Datetime(_)
            | DeValue::Table(_) => {
                faults.note(
                    value.span(),
                    &place,
                    kind(value),
                    "a list of texts",
                    "write [\"one\", \"two\"]",
                );
                None
            }
        }
    }

    /// A table inside this one, if the key is there.
    pub(crate) fn section(
        &mut self,
        faults: &mut Faults,
        key: &'static str,
    ) -> Option<Section<'t>> {
        let (value, place) = self.take(key)?;
        section_of(faults, value, place)
    }

    /// The tables of an array (`[[key]]`), empty if the key is missing.
    pub(crate) fn sections(&mut self, faults: &mut Faults, key: &'static str) -> Vec<Section<'t>> {
        let Some((value, place)) = self.take(key) else {
            return Vec::new();
        };
        match value.get_ref() {
            DeValue::Array(items) => items
                .iter()
                .enumerate()
                .filter_map(|(index, item)| section_of(faults, item, format!("{place}[{index}]")))
                .collect(),
            _ => {
                faults.note(
                    value.span(),
                    &place,
                    kind(value),
                    "a list of tables",
                    &format!("begin each with [[{key}]]"),
                );
                Vec::new()
            }
        }
    }

    /// Ends the section: a key that nobody asked for is a fault.
    pub(crate) fn finish(self, faults: &mut Faults) {
        for (key, _) in self.table {
            let name = key.get_ref().as_ref();
            if self.known.contains(name) {
                continue;
            }
            let known: Vec<&str> = self.known.iter().copied().collect();
            let remedy = match nearest(name, &known) {
                Some(near) => format!("did you mean `{near}`? write that, or remove the key"),
                None => "remove the key".to_owned(),
            };
            let expected = format!("one of: {}", known.join(", "));
            faults.note(
                key.span(),
                &self.place(name),
                format!("the unknown key `{name}`"),
                &expected,
                &remedy,
            );
        }
    }
}

fn text_of<'t>(
    faults: &mut Faults,
    value: &'t Spanned<DeValue<'t>>,
    place: String,
) -> Option<Placed<&'t str>> {
    let placed = Placed {
        value: value.get_ref().as_str().unwrap_or_default(),
        span: value.span(),
        place,
    };
    if value.get_ref().is_str() {
        return Some(placed);
    }
    faults.at(
        &placed,
        kind(value),
        "a text",
        "put the value in quotation marks",
    );
    None
}

fn section_of<'t>(
    faults: &mut Faults,
    value: &'t Spanned<DeValue<'t>>,
    path: String,
) -> Option<Section<'t>> {
    if let Some(table) = value.get_ref().as_table() {
        return Some(Section {
            table,
            fallback: None,
            span: value.span(),
            path,
            known: BTreeSet::new(),
        });
    }
    faults.note(
        value.span(),
        &path,
        kind(value),
        "a table",
        "write { key = \"value\" } or a [section]",
    );
    None
}

fn kind(value: &Spanned<DeValue<'_>>) -> String {
    match value.get_ref() {
        DeValue::String(_) => "a text",
        DeValue::Integer(_) => "a whole number",
        DeValue::Float(_) => "a number with a point",
        DeValue::Boolean(_) => "true or false",
        DeValue::Datetime(_) => "a date or time",
        DeValue::Array(_) => "a list",
        DeValue::Table(_) => "a table",
    }
    .to_owned()
}

/// The known key that differs least, if it differs by at most two letters.
fn nearest<'k>(name: &str, known: &[&'k str]) -> Option<&'k str> {
    known
        .iter()
        .map(|key| (distance(name, key), *key))
        .min()
        .filter(|(distance, _)| *distance <= 2)
        .map(|(_, key)| key)
}

/// Levenshtein's distance.
fn distance(one: &str, other: &str) -> usize {
    let other: Vec<char> = other.chars().collect();
    let mut row: Vec<usize> = (0..=other.len()).collect();
    for (line, letter) in one.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = line + 1;
        for (column, against) in other.iter().enumerate() {
            let replaced = diagonal + usize::from(letter != *against);
            diagonal = row[column + 1];
            row[column + 1] = replaced.min(diagonal + 1).min(row[column] + 1);
        }
    }
    row[other.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_with_a_slip_of_the_finger_is_recognised() {
        assert_eq!(nearest("lsten", &["listen", "rtp"]), Some("listen"));
        assert_eq!(nearest("frobnicate", &["listen", "rtp"]), None);
    }
}
