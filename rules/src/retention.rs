//! How long a recording is kept: three months at most (要領 5-6, K-22).

use std::collections::BTreeMap;

use jiff::{Timestamp, ToSpan};
use serde::{Deserialize, Serialize};

use crate::{fault::Fault, ids::JstDay};

const DEFAULT_DAYS: u16 = 89; // Three calendar months are 89 days at their shortest (from 30 November of a year before no leap year).
const LONGEST_DAYS: u16 = 92; // Three calendar months are 92 days at their longest (from 1 July).
const MONTHS: i32 = 3; // 要領 5-6: 保存期間は3か月以内とし.

/// For how many days the city keeps a recording.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "u16", into = "u16")]
pub struct RetentionPolicy {
    days: u16,
}

impl RetentionPolicy {
    /// As long as the rules ever allow.
    pub const LONGEST: RetentionPolicy = RetentionPolicy { days: LONGEST_DAYS };

    /// Keeps for `days` days, 1 to 92.
    ///
    /// # Errors
    /// [`RetentionFault`]: the service then refuses to start with this setting.
    pub fn new(days: u16) -> Result<RetentionPolicy, RetentionFault> {
        if (1..=LONGEST_DAYS).contains(&days) {
            Ok(RetentionPolicy { days })
        } else {
            Err(RetentionFault { found_days: days })
        }
    }

    /// The days.
    pub fn days(self) -> u16 {
        self.days
    }

    /// The instant from which nothing of this day may be read: 00:00 +09:00 of D + N days or of D + 3 calendar months, whichever comes first.
    ///
    /// A month without D's day of the month ends the three months with its last day. The result is fixed when the day begins and stored then.
    pub fn expiry(self, day: JstDay) -> Timestamp {
        let by_days = day.date().saturating_add(i64::from(self.days).days());
        let by_months = day.date().saturating_add(MONTHS.months());
        JstDay::on(by_days.min(by_months)).start()
    }
}

impl Default for RetentionPolicy {
    /// 89 days, which three calendar months never fall short of.
    fn default() -> RetentionPolicy {
        RetentionPolicy { days: DEFAULT_DAYS }
    }
}

impl TryFrom<u16> for RetentionPolicy {
    type Error = RetentionFault;

    fn try_from(days: u16) -> Result<RetentionPolicy, RetentionFault> {
        RetentionPolicy::new(days)
    }
}

impl From<RetentionPolicy> for u16 {
    fn from(policy: RetentionPolicy) -> u16 {
        policy.days
    }
}

/// N as the policy's versions say it, each from the day on that follows its decision (K-22, K-31).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct PolicyDays(BTreeMap<JstDay, RetentionPolicy>);

impl PolicyDays {
    /// For how many days recordings of this day are kept: the smaller of what the configuration sets and the policy says. Before the
    /// first version the policy says nothing.
    pub fn within(&self, set: RetentionPolicy, day: JstDay) -> RetentionPolicy {
        let said = self.0.range(..=day).next_back();
        said.map_or(set, |(_, said)| set.min(*said))
    }
}

/// The later of two about one day counts.
impl FromIterator<(JstDay, RetentionPolicy)> for PolicyDays {
    fn from_iter<I: IntoIterator<Item = (JstDay, RetentionPolicy)>>(days: I) -> PolicyDays {
        PolicyDays(days.into_iter().collect())
    }
}

/// A retention that the rules do not know.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "CONFIG_RETENTION_EXCEEDS_LIMIT: retention of {found_days} days is not within 1 to {LONGEST_DAYS} (要領第5条第6項により保存期間は3か月以内); set {DEFAULT_DAYS} or fewer"
)]
pub struct RetentionFault {
    /// What was asked for.
    pub found_days: u16,
}

impl RetentionFault {
    /// The operator's.
    pub fn fault(&self) -> Fault {
        Fault::Operator
    }

    /// The code that configuration reports show.
    pub fn code(&self) -> &'static str {
        "CONFIG_RETENTION_EXCEEDS_LIMIT"
    }
}

/// How long the audit trail keeps a month's entries: never shorter than anybody may ask who listened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TrailTerm {
    months: u16,
}

impl TrailTerm {
    /// Keeps a month's entries for so many months more.
    pub fn of_months(months: u16) -> TrailTerm {
        TrailTerm { months }
    }

    /// From when on entries that were written before `end` may go.
    pub fn is_over(self, end: JstDay, now: Timestamp) -> bool {
        let expiry = end.date().saturating_add(i32::from(self.months).months());
        JstDay::on(expiry).start() <= now
    }
}

impl Default for TrailTerm {
    /// Three years.
    fn default() -> TrailTerm {
        TrailTerm::of_months(36)
    }
}

#[cfg(test)]
mod tests {
    use jiff::civil::{Date, date};

    use super::*;

    fn expiry_date(days: u16, day: Date) -> Date {
        let expiry = RetentionPolicy::new(days).unwrap().expiry(JstDay::on(day));
        let expiry_day = JstDay::of(expiry);
        assert_eq!(
            expiry_day.start(),
            expiry,
            "it expires at midnight of the city"
        );
        expiry_day.date()
    }

    /// Three months by the calendar, written without the library that the code asks.
    fn three_months_after(day: Date) -> Date {
        let index = i32::from(day.year()) * 12 + i32::from(day.month()) - 1 + 3;
        let (year, month) = (
            i16::try_from(index / 12).unwrap(),
            i8::try_from(index % 12 + 1).unwrap(),
        );
        let is_leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
        let last = match month {
            2 if is_leap => 29,
            2 => 28,
            4 | 6 | 9 | 11 => 30,
            _ => 31,
        };
        date(year, month, day.day().min(last))
    }

    #[test]
    fn a_month_of_the_trail_may_go_three_years_after_its_end_and_not_an_instant_before() {
        let end: JstDay = "2026-12-01".parse().unwrap();
        let over: Timestamp = "2029-11-30T15:00:00Z".parse().unwrap();
        assert!(TrailTerm::default().is_over(end, over));
        assert!(!TrailTerm::default().is_over(end, over - 1.nanosecond()));
        assert!(TrailTerm::of_months(0).is_over(end, end.start()));
    }

    #[test]
    fn no_day_from_2025_to_2032_is_kept_longer_than_three_months_or_its_days() {
        let mut day = date(2025, 1, 1);
        let mut days_tested = 0;
        while day <= date(2032, 12, 31) {
            let limit = three_months_after(day);
            let months_days = (limit - day).get_days();
            assert!(
                (89..=92).contains(&months_days),
                "{day}: three months are {months_days} days"
            );
            for days in 1..=92 {
                let kept = (expiry_date(days, day) - day).get_days();
                assert_eq!(
                    kept,
                    i32::from(days).min(months_days),
                    "{day} with N = {days}"
                );
            }
            assert_eq!(
                (expiry_date(89, day) - day).get_days(),
                89,
                "the default is never cut by the calendar"
            );
            day = day.tomorrow().unwrap();
            days_tested += 1;
        }
        assert_eq!(days_tested, 8 * 365 + 2);
    }

    #[test]
    fn the_awkward_days_by_hand() {
        assert_eq!(expiry_date(92, date(2025, 11, 30)), date(2026, 2, 28));
        assert_eq!(expiry_date(92, date(2027, 11, 30)), date(2028, 2, 29));
        assert_eq!(expiry_date(92, date(2026, 7, 1)), date(2026, 10, 1));
        assert_eq!(expiry_date(89, date(2026, 12, 1)), date(2027, 2, 28));
        assert_eq!(expiry_date(1, date(2026, 12, 31)), date(2027, 1, 1));
        assert_eq!(RetentionPolicy::default().days(), 89);
    }

    #[test]
    fn the_expiry_is_an_instant_of_the_city_not_of_greenwich() {
        let expiry = RetentionPolicy::default().expiry("2026-11-25".parse().unwrap());
        assert_eq!(expiry.to_string(), "2027-02-21T15:00:00Z");
    }

    #[test]
    fn a_policy_beyond_the_rules_is_refused_with_its_clause() {
        for days in [0, 93, 365, u16::MAX] {
            let fault = RetentionPolicy::new(days).unwrap_err();
            assert_eq!(fault, RetentionFault { found_days: days });
            assert!(
                fault.to_string().contains("CONFIG_RETENTION_EXCEEDS_LIMIT")
                    && fault.to_string().contains("要領第5条第6項")
            );
            assert!(serde_json::from_str::<RetentionPolicy>(&days.to_string()).is_err());
        }
    }
}
