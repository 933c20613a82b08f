//! `[people]`: 管理所管課 of the numbers that name no other, and how long a password may be used.

use rules::{Label, PasswordAge};

use super::reader::{Faults, Placed, Section};

/// What `[people]` says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct People {
    /// 管理所管課 of the first two persons, and of each number that names no other.
    pub(crate) unit: Label,
    /// How long a password may be used (要領 5-5).
    pub(crate) password_age: PasswordAge,
}

/// The unit of an installation that has one: the rules' own word for it.
pub(crate) const USUAL_UNIT: &str = "管理所管課";

pub(super) fn read(section: Option<Section<'_>>, faults: &mut Faults) -> Option<People> {
    let mut people = People {
        unit: USUAL_UNIT.parse().ok()?,
        password_age: PasswordAge::default(),
    };
    let Some(mut section) = section else {
        return Some(people);
    };
    if let Some(unit) = section.text(faults, "unit") {
        people.unit = unit_of(&unit, faults)?;
    }
    if let Some(days) = section.integer(faults, "password_days", 1..366) {
        people.password_age = u16::try_from(days.value).ok().and_then(PasswordAge::days)?;
    }
    section.finish(faults);
    Some(people)
}

/// The name of an office.
pub(super) fn unit_of(text: &Placed<&str>, faults: &mut Faults) -> Option<Label> {
    match text.value.parse::<Label>() {
        Ok(unit) => Some(unit),
        Err(fault) => {
            let remedy = "write the name of the office: unit = \"広報戦略部\"";
            faults.at(text, fault.to_string(), "the name of an office", remedy);
            None
        }
    }
}
