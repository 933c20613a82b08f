//! Groups: what lives and dies together, each with a key pair of its own.

use std::{fmt, str::FromStr};

use rules::{CaseId, JstDay, JstMonth};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// A set of objects whose keys are sealed to one pair and destroyed with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Group {
    /// Everything of the calls that began on one day.
    Day(JstDay),
    /// Everything that a case holds, beyond its days.
    Case(CaseId),
    /// One calendar month of the register: reasons, requesters; kept as long as the audit trail.
    Register(JstMonth),
}

/// `day-yyyy-mm-dd`, `case-ID` or `register-yyyy-mm`: the name in files and headers.
impl fmt::Display for Group {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Group::Day(day) => write!(out, "day-{day}"),
            Group::Case(case) => write!(out, "case-{case}"),
            Group::Register(month) => write!(out, "register-{month}"),
        }
    }
}

impl Group {
    /// The word in lists.
    #[must_use]
    pub fn kind(self) -> &'static str {
        match self {
            Group::Day(_) => "day",
            Group::Case(_) => "case",
            Group::Register(_) => "register",
        }
    }
}

impl FromStr for Group {
    type Err = GroupFault;

    fn from_str(text: &str) -> Result<Group, GroupFault> {
        if let Some(day) = text.strip_prefix("day-") {
            return day.parse().map(Group::Day).map_err(|_| GroupFault);
        }
        if let Some(case) = text.strip_prefix("case-") {
            return case.parse().map(Group::Case).map_err(|_| GroupFault);
        }
        let month = text.strip_prefix("register-").ok_or(GroupFault)?;
        month.parse().map(Group::Register).map_err(|_| GroupFault)
    }
}

/// A text that names no group.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no group of keys has this name, expected day-yyyy-mm-dd, case-ID or register-yyyy-mm")]
pub struct GroupFault;

impl Serialize for Group {
    fn serialize<S: Serializer>(&self, out: S) -> Result<S::Ok, S::Error> {
        out.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Group {
    fn deserialize<D: Deserializer<'de>>(input: D) -> Result<Group, D::Error> {
        String::deserialize(input)?
            .parse()
            .map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;

    #[test]
    fn a_group_reads_back_what_it_prints() {
        let at: Timestamp = "2026-12-31T15:00:00Z".parse().unwrap();
        let month = JstMonth::of(at);
        let case = CaseId::new(at, 1);
        for (group, text) in [
            (Group::Case(case), &*format!("case-{case}")),
            (Group::Day(JstDay::of(at)), "day-2027-01-01"),
            (Group::Register(month), "register-2027-01"),
            (Group::Register(month.next()), "register-2027-02"),
        ] {
            assert_eq!(group.to_string(), text);
            assert_eq!(text.parse(), Ok(group));
        }
        for text in [
            "",
            "day-2027-1-1",
            "register-2027",
            "week-2027-01",
            "day-../../x",
        ] {
            assert_eq!(text.parse::<Group>(), Err(GroupFault), "{text}");
        }
    }
}
