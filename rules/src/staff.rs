//! The people: who is designated, who is trained, in which unit, in which role.

use std::{collections::BTreeMap, fmt};

use jiff::{ToSpan, civil::Date};
use serde::{Deserialize, Serialize};

use crate::{
    fault::Fault,
    ids::{JstDay, StaffId},
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

    /// The id that the staff file writes.
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
}

/// Training is good for at most this long (K-11).
const TRAINING_MONTHS: i32 = 12;

/// One person as the staff file names them.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StaffMember {
    /// The person's own id.
    pub id: StaffId,
    /// The person's name; printed by no `Debug`.
    pub name: String,
    /// What the person is to the recordings.
    pub role: Role,
    /// 管理所管課 to which the person belongs.
    pub unit: String,
    /// The day from which the manager's designation holds (要領 4-1).
    #[serde(default)]
    pub designated_on: Option<Date>,
    /// The day of the last training (要領 4-2).
    #[serde(default)]
    pub trained_on: Option<Date>,
}

impl StaffMember {
    /// Whether a designation holds on this day.
    pub fn is_designated(&self, today: JstDay) -> bool {
        self.designated_on.is_some_and(|from| from <= today.date())
    }

    /// Whether training is on record and not yet lapsed on this day.
    pub fn is_trained(&self, today: JstDay) -> bool {
        let (Some(from), Some(until)) = (self.trained_on, self.training_lapses_on()) else {
            return false;
        };
        (JstDay::on(from)..until).contains(&today)
    }

    /// The first day on which the training no longer counts: twelve months after it.
    pub fn training_lapses_on(&self) -> Option<JstDay> {
        let trained_on = self.trained_on?;
        Some(JstDay::on(
            trained_on.saturating_add(TRAINING_MONTHS.months()),
        ))
    }
}

impl fmt::Debug for StaffMember {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StaffMember")
            .field("id", &self.id)
            .field("role", &self.role)
            .finish_non_exhaustive()
    }
}

/// Everybody whom the rules know.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Staff(BTreeMap<StaffId, StaffMember>);

impl Staff {
    /// Takes the people in.
    ///
    /// # Errors
    /// [`StaffFault`] for the first person who cannot be told from another or belongs nowhere.
    pub fn new(members: Vec<StaffMember>) -> Result<Staff, StaffFault> {
        let mut staff = BTreeMap::new();
        for member in members {
            if member.unit.trim().is_empty() {
                return Err(StaffFault::UnitMissing { id: member.id });
            }
            if member.name.trim().is_empty() {
                return Err(StaffFault::NameMissing { id: member.id });
            }
            let id = member.id.clone();
            if staff.insert(id.clone(), member).is_some() {
                return Err(StaffFault::Twice { id });
            }
        }
        Ok(Staff(staff))
    }

    /// Finds a person.
    pub fn find(&self, id: &StaffId) -> Option<&StaffMember> {
        self.0.get(id)
    }

    /// Everybody, by id.
    pub fn iter(&self) -> impl Iterator<Item = &StaffMember> {
        self.0.values()
    }
}

/// A list of people that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StaffFault {
    /// One id, two people.
    #[error("staff id {id} stands twice; give each person an id of their own")]
    Twice {
        /// Whose.
        id: StaffId,
    },
    /// A person without a unit.
    #[error("staff member {id} has no unit; name the 管理所管課 to which the person belongs")]
    UnitMissing {
        /// Whose.
        id: StaffId,
    },
    /// A person without a name.
    #[error("staff member {id} has no name; an audit trail of ids alone names nobody")]
    NameMissing {
        /// Whose.
        id: StaffId,
    },
}

impl StaffFault {
    /// The operator's.
    pub fn fault(&self) -> Fault {
        Fault::Operator
    }
}

#[cfg(test)]
mod tests {
    use jiff::civil::date;

    use super::*;

    fn member(id: &str) -> StaffMember {
        StaffMember {
            id: id.parse().unwrap(),
            name: "試験 花子".to_owned(),
            role: Role::Assistant,
            unit: "広報課".to_owned(),
            designated_on: Some(date(2026, 4, 1)),
            trained_on: Some(date(2026, 4, 10)),
        }
    }

    #[test]
    fn training_counts_from_its_day_for_twelve_months() {
        let person = member("hanako");
        assert!(!person.is_trained(JstDay::on(date(2026, 4, 9))));
        assert!(person.is_trained(JstDay::on(date(2026, 4, 10))));
        assert!(person.is_trained(JstDay::on(date(2027, 4, 9))));
        assert!(!person.is_trained(JstDay::on(date(2027, 4, 10))));
    }

    #[test]
    fn training_on_a_leap_day_never_counts_longer_than_a_year() {
        let person = StaffMember {
            trained_on: Some(date(2028, 2, 29)),
            ..member("hanako")
        };
        assert!(person.is_trained(JstDay::on(date(2029, 2, 27))));
        assert!(!person.is_trained(JstDay::on(date(2029, 2, 28))));
    }

    #[test]
    fn a_designation_holds_from_its_day() {
        let person = member("hanako");
        assert!(!person.is_designated(JstDay::on(date(2026, 3, 31))));
        assert!(person.is_designated(JstDay::on(date(2026, 4, 1))));
        assert!(
            !StaffMember {
                designated_on: None,
                ..person
            }
            .is_designated(JstDay::on(date(2026, 4, 1)))
        );
    }

    #[test]
    fn people_who_cannot_be_told_apart_are_refused() {
        let id: StaffId = "hanako".parse().unwrap();
        assert_eq!(
            Staff::new(vec![member("hanako"), member("hanako")]),
            Err(StaffFault::Twice { id: id.clone() })
        );
        let nowhere = StaffMember {
            unit: " ".to_owned(),
            ..member("hanako")
        };
        assert_eq!(
            Staff::new(vec![nowhere]),
            Err(StaffFault::UnitMissing { id: id.clone() })
        );
        let nobody = StaffMember {
            name: String::new(),
            ..member("hanako")
        };
        assert_eq!(
            Staff::new(vec![nobody]),
            Err(StaffFault::NameMissing { id: id.clone() })
        );
        assert_eq!(
            Staff::new(vec![member("hanako")]).unwrap().find(&id),
            Some(&member("hanako"))
        );
    }

    #[test]
    fn a_persons_name_is_in_no_debug_text() {
        assert!(!format!("{:?}", member("hanako")).contains("花子"));
    }
}
