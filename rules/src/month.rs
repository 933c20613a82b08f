//! A calendar month of the city: what registers, trails and statements are cut into.

use std::{fmt, str::FromStr};

use jiff::Timestamp;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::ids::{IdFault, JstDay};

/// A calendar month in the city's time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct JstMonth(JstDay);

impl JstMonth {
    /// The month in which `at` falls.
    pub fn of(at: Timestamp) -> JstMonth {
        JstMonth::of_day(JstDay::of(at))
    }

    /// The month to which a day belongs.
    pub fn of_day(day: JstDay) -> JstMonth {
        JstMonth(JstDay::on(day.date().first_of_month()))
    }

    /// The month after this one.
    pub fn next(self) -> JstMonth {
        JstMonth(self.end())
    }

    /// The month before this one.
    pub fn previous(self) -> JstMonth {
        let last = self.0.date().yesterday();
        last.map_or(self, |last| JstMonth::of_day(JstDay::on(last)))
    }

    /// Its first instant.
    pub fn start(self) -> Timestamp {
        self.0.start()
    }

    /// The first day that is not in this month.
    pub fn end(self) -> JstDay {
        JstDay::on(self.0.date().last_of_month()).next()
    }
}

impl fmt::Display for JstMonth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let date = self.0.date();
        write!(f, "{:04}-{:02}", date.year(), date.month())
    }
}

/// `yyyy-mm`.
impl FromStr for JstMonth {
    type Err = IdFault;

    fn from_str(text: &str) -> Result<JstMonth, IdFault> {
        let fault = IdFault {
            what: "month",
            expected: "yyyy-mm",
            found_bytes: text.len(),
        };
        let first = format!("{text}-01").parse().map_err(|_| fault)?;
        Ok(JstMonth(first))
    }
}

impl Serialize for JstMonth {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for JstMonth {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<JstMonth, D::Error> {
        String::deserialize(deserializer)?
            .parse()
            .map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_month_begins_and_ends_at_the_citys_midnight() {
        let month = JstMonth::of("2026-12-31T15:00:00Z".parse().unwrap());
        assert_eq!(month.to_string(), "2027-01");
        assert_eq!(month.previous().to_string(), "2026-12");
        assert_eq!(month.next().to_string(), "2027-02");
        assert_eq!(month.end(), "2027-02-01".parse().unwrap());
        assert_eq!(month.start(), "2026-12-31T15:00:00Z".parse().unwrap());
        assert_eq!("2027-01".parse(), Ok(month));
        for text in ["", "2027", "2027-13", "2027-1", "2027-01-01"] {
            assert!(text.parse::<JstMonth>().is_err(), "{text}");
        }
    }
}
