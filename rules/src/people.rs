//! One person: role, unit, and what the city has on record about designation, training, acknowledgement and deputising.
//!
//! Nothing here says "may": that is [`crate::access`]. Whether something holds is asked of an instant, never stored.

use std::{fmt, str::FromStr};

use jiff::{Timestamp, ToSpan};
use serde::{Deserialize, Serialize};

use crate::{
    access::Standing,
    fault::Fault,
    ids::{IdFault, JstDay, Label, StaffId, VendorId},
    particular::Particular,
};

/// A person's role; the city's table of who may do what is written by it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// 管理責任者: head of the unit that answers for the recordings (要領 3-1).
    Manager,
    /// 管理補助者: designated and trained, works with recordings (要領 4).
    Assistant,
    /// 電話交換業務を所管する市職員: checks recordings (consultation 4④, 7(2)).
    ExchangeStaff,
    /// 委託事業者の監督者: within the contract only (consultation 7(2)).
    VendorSupervisor,
    /// オペレーター: has own live calls, plays nothing.
    Operator,
    /// 当直: declares, extends and lifts the emergency.
    DutyOfficer,
    /// システム管理者: keeps the machine running, hears and reads nothing.
    Administrator,
    /// 分析担当: sees aggregates and masked transcripts.
    Analyst,
    /// 監査: reads and verifies the audit trail.
    Auditor,
}

impl Role {
    /// All of them, in the order of the city's table.
    pub const ALL: [Role; 9] = [
        Role::Manager,
        Role::Assistant,
        Role::ExchangeStaff,
        Role::VendorSupervisor,
        Role::Operator,
        Role::DutyOfficer,
        Role::Administrator,
        Role::Analyst,
        Role::Auditor,
    ];

    /// The id that is typed in and written down.
    pub fn code(self) -> &'static str {
        match self {
            Role::Manager => "manager",
            Role::Assistant => "assistant",
            Role::ExchangeStaff => "exchange_staff",
            Role::VendorSupervisor => "vendor_supervisor",
            Role::Operator => "operator",
            Role::DutyOfficer => "duty_officer",
            Role::Administrator => "administrator",
            Role::Analyst => "analyst",
            Role::Auditor => "auditor",
        }
    }

    /// Whether it may open what was said: no administrator grants it.
    pub fn opens_content(self) -> bool {
        match self {
            Role::Manager
            | Role::Assistant
            | Role::ExchangeStaff
            | Role::VendorSupervisor
            | Role::Analyst => true,
            Role::Operator | Role::DutyOfficer | Role::Administrator | Role::Auditor => false,
        }
    }

    /// Whether all that it allows rests on a designation or an approval, and ends with that.
    pub fn rests_on_designation(self) -> bool {
        match self {
            Role::Assistant | Role::ExchangeStaff | Role::VendorSupervisor => true,
            Role::Manager
            | Role::Operator
            | Role::DutyOfficer
            | Role::Administrator
            | Role::Analyst
            | Role::Auditor => false,
        }
    }

    /// Whether the person sees lists of every unit.
    pub fn sees_every_unit(self) -> bool {
        self == Role::Auditor
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.code())
    }
}

impl FromStr for Role {
    type Err = IdFault;

    fn from_str(text: &str) -> Result<Role, IdFault> {
        let fault = IdFault {
            what: "role",
            expected: "manager, assistant, exchange_staff, vendor_supervisor, operator, duty_officer, administrator, analyst or auditor",
            found_bytes: text.len(),
        };
        Role::ALL
            .into_iter()
            .find(|role| role.code() == text)
            .ok_or(fault)
    }
}

/// Days of the city's calendar, both ends included.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "SavedPeriod")]
pub struct Period {
    from: JstDay,
    until: JstDay,
}

impl Period {
    /// From a day to a day, both included.
    ///
    /// # Errors
    /// [`PeriodFault`] where it would end before it begins.
    pub fn new(from: JstDay, until: JstDay) -> Result<Period, PeriodFault> {
        if until < from {
            return Err(PeriodFault { from, until });
        }
        Ok(Period { from, until })
    }

    /// Its first day.
    pub fn from(self) -> JstDay {
        self.from
    }

    /// Its last day.
    pub fn until(self) -> JstDay {
        self.until
    }

    /// Whether an instant falls into it.
    pub fn contains(self, now: Timestamp) -> bool {
        (self.from..=self.until).contains(&JstDay::of(now))
    }

    /// The first instant after it.
    pub fn end(self) -> Timestamp {
        self.until.next().start()
    }
}

impl fmt::Display for Period {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}..{}", self.from, self.until)
    }
}

#[derive(Deserialize)]
struct SavedPeriod {
    from: JstDay,
    until: JstDay,
}

impl TryFrom<SavedPeriod> for Period {
    type Error = PeriodFault;

    fn try_from(SavedPeriod { from, until }: SavedPeriod) -> Result<Period, PeriodFault> {
        Period::new(from, until)
    }
}

/// A period that ends before it begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the period from {from} until {until} ends before it begins; exchange the days")]
pub struct PeriodFault {
    /// Its first day.
    pub from: JstDay,
    /// Its last day.
    pub until: JstDay,
}

impl PeriodFault {
    /// The operator's.
    pub fn fault(&self) -> Fault {
        Fault::Operator
    }
}

/// 指定 (要領 4-1): for how long, by which manager.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Designation {
    /// For which days.
    pub period: Period,
    /// Who decided; `None` for one that the first version's staff file stated.
    pub by: Option<StaffId>,
}

/// 研修 (要領 4-2).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Training {
    /// In what.
    pub course: Particular,
    /// When it was held.
    pub on: JstDay,
}

const TRAINING_MONTHS: i32 = 12; // K-11: at most 12 months.

impl Training {
    /// The first day on which it no longer counts: twelve months after it.
    pub fn lapses_on(&self) -> JstDay {
        JstDay::on(self.on.date().saturating_add(TRAINING_MONTHS.months()))
    }

    fn counts(&self, now: Timestamp) -> bool {
        (self.on..self.lapses_on()).contains(&JstDay::of(now))
    }
}

/// How a person came to decide for the unit although somebody with root on the host said so.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Recovery {
    /// It stands in every statement.
    Open {
        /// When it was done.
        at: Timestamp,
    },
    /// An auditor took note of it.
    Acknowledged,
}

/// Whether a person still has the role.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tenure {
    /// 在任: it was given.
    InOffice,
    /// 解任: it was withdrawn, and nobody gave it anew.
    Withdrawn,
}

/// One person as the register has them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Person {
    pub(crate) id: StaffId,
    pub(crate) role: Role,
    pub(crate) tenure: Tenure,
    pub(crate) unit: Label,
    pub(crate) vendor: Option<VendorId>,
    pub(crate) designations: Vec<Designation>,
    pub(crate) trainings: Vec<Training>,
    pub(crate) acknowledged: Option<u32>,
    pub(crate) deputyships: Vec<Period>,
    pub(crate) recovery: Option<Recovery>,
}

impl Person {
    pub(crate) fn new(id: StaffId, role: Role, unit: Label, vendor: Option<VendorId>) -> Person {
        Person {
            id,
            role,
            tenure: Tenure::InOffice,
            unit,
            vendor,
            designations: Vec::new(),
            trainings: Vec::new(),
            acknowledged: None,
            deputyships: Vec::new(),
            recovery: None,
        }
    }

    /// The person's own id.
    pub fn id(&self) -> &StaffId {
        &self.id
    }

    /// What the person is to the recordings, or was.
    pub fn role(&self) -> Role {
        self.role
    }

    /// Whether the person still has the role.
    pub fn tenure(&self) -> Tenure {
        self.tenure
    }

    /// As what the person stands before an act, by the own role alone.
    pub(crate) fn standing(&self) -> Standing {
        match self.tenure {
            Tenure::InOffice => Standing::Role(self.role),
            Tenure::Withdrawn => Standing::Former,
        }
    }

    /// Whether the person may come to decide for the unit: of the city (7(2)), and nobody who controls whoever decides.
    pub(crate) fn may_decide(&self) -> bool {
        let controls = matches!(self.role, Role::Administrator | Role::Auditor);
        self.vendor.is_none() && !(controls && self.tenure == Tenure::InOffice)
    }

    /// Ends all that was decided in the person's favour. A role that rests on nothing else ends with it; others are ended by what they rest on (K-11, K-12).
    pub(crate) fn withdraw(&mut self) {
        self.designations.clear();
        self.deputyships.clear();
        if !self.role.rests_on_designation() {
            self.tenure = Tenure::Withdrawn;
        }
    }

    /// 管理所管課 to which the person belongs.
    pub fn unit(&self) -> &Label {
        &self.unit
    }

    /// The contractor whom the person works for.
    pub fn vendor(&self) -> Option<&VendorId> {
        self.vendor.as_ref()
    }

    /// The designation that holds.
    pub fn designation(&self, now: Timestamp) -> Option<&Designation> {
        self.designations
            .iter()
            .find(|designation| designation.period.contains(now))
    }

    /// The training that counts the longest.
    pub fn training(&self, now: Timestamp) -> Option<&Training> {
        self.trainings
            .iter()
            .filter(|training| training.counts(now))
            .max_by_key(|training| training.on)
    }

    /// The training that was recorded last.
    pub(crate) fn newest_training(&self) -> Option<&Training> {
        self.trainings.last()
    }

    /// The newest version of the rules that the person acknowledged (K-13).
    pub fn acknowledged(&self) -> Option<u32> {
        self.acknowledged
    }

    /// 代決: the periods in which the person decides in the manager's place (K-38).
    pub fn deputyships(&self) -> &[Period] {
        &self.deputyships
    }

    /// Whether the person decides in the manager's place.
    pub fn is_deputy(&self, now: Timestamp) -> bool {
        self.deputyships.iter().any(|period| period.contains(now))
    }

    /// Whether, and how far, the person became manager by recovery.
    pub fn recovery(&self) -> Option<Recovery> {
        self.recovery
    }

    /// The instant from which designation or training of now no longer hold, as far as known today.
    pub(crate) fn lapses_at(&self, now: Timestamp) -> Option<Timestamp> {
        let designated = self.designation(now).map(|held| held.period.end());
        let trained = self.training(now).map(|held| held.lapses_on().start());
        designated.into_iter().chain(trained).min()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::digest::Digest;

    fn day(text: &str) -> JstDay {
        text.parse().unwrap()
    }

    fn person() -> Person {
        Person {
            designations: vec![Designation {
                period: Period::new(day("2026-04-01"), day("2027-03-31")).unwrap(),
                by: Some("kacho".parse().unwrap()),
            }],
            ..trained_on("2026-04-10")
        }
    }

    fn trained_on(on: &str) -> Person {
        let mut person = Person::new(
            "hanako".parse().unwrap(),
            Role::Assistant,
            "広報課".parse().unwrap(),
            None,
        );
        person.trainings.push(Training {
            course: Digest([9; 32]).into(),
            on: day(on),
        });
        person
    }

    #[test]
    fn training_counts_from_its_day_for_twelve_months() {
        for (on, asked, counts) in [
            ("2026-04-10", "2026-04-09", false),
            ("2026-04-10", "2026-04-10", true),
            ("2026-04-10", "2027-04-09", true),
            ("2026-04-10", "2027-04-10", false),
            // A leap day never counts longer than a year.
            ("2028-02-29", "2029-02-27", true),
            ("2028-02-29", "2029-02-28", false),
        ] {
            let found = trained_on(on).training(day(asked).start()).is_some();
            assert_eq!(found, counts, "{on} asked on {asked}");
        }
    }

    #[test]
    fn a_designation_holds_on_its_days_and_on_no_other() {
        let person = person();
        for (asked, holds) in [
            ("2026-03-31", false),
            ("2026-04-01", true),
            ("2027-03-31", true),
            ("2027-04-01", false),
        ] {
            let found = person.designation(day(asked).start()).is_some();
            assert_eq!(found, holds, "{asked}");
        }
    }

    #[test]
    fn the_earlier_of_designation_and_training_ends_a_right() {
        let now = day("2026-05-01").start();
        assert_eq!(person().lapses_at(now), Some(day("2027-04-01").start()));
        let mut sooner = person();
        sooner.trainings[0].on = day("2025-06-01");
        assert_eq!(sooner.lapses_at(now), Some(day("2026-06-01").start()));
    }

    #[test]
    fn a_period_that_ends_before_it_begins_is_none() {
        assert!(Period::new(day("2026-04-02"), day("2026-04-01")).is_err());
        let saved = r#"{"from":"2026-04-02","until":"2026-04-01"}"#;
        assert!(serde_json::from_str::<Period>(saved).is_err());
    }
}
