//! Departments and numbers, and how they refer to each other and to peers.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use exchange::{Department, PeerRole, Places, Target, Trunk};
use jiff::civil::Date;
use rules::{DecisionId, JstDay, Label, Number, NumberDecision, NumberPolicy, Profile};

use super::{
    people, quoted,
    reader::{Faults, Placed, Section},
};
use crate::life;

/// 端末設備等規則 32条の3: automatic dialling gives up within 2 minutes.
const MAX_RING_S: i64 = 120;
const DEFAULT_RING_S: i64 = 30;

pub(super) fn read_departments(
    sections: Vec<Section<'_>>,
    peers: &[Trunk],
    faults: &mut Faults,
) -> Vec<Department> {
    let mut names = BTreeSet::new();
    let mut departments = Vec::new();
    for mut section in sections {
        let name = section.required_text(faults, "name", "give the department a name");
        let targets = section.sections(faults, "targets");
        if targets.is_empty() {
            section.missing(
                faults,
                "targets",
                "list whom to ring: targets = [{ peer = \"pbx\", ring_s = 30 }]",
            );
        }
        let targets = targets
            .into_iter()
            .filter_map(|target| read_target(target, peers, faults))
            .collect();
        section.finish(faults);
        let Some(name) = name else { continue };
        if !names.insert(name.value) {
            let expected = "a name of its own for each department";
            faults.at(
                &name,
                format!("the name {} a second time", quoted(&name)),
                expected,
                "rename one of them",
            );
        }
        departments.push(Department {
            name: name.value.to_owned(),
            targets,
        });
    }
    departments
}

fn read_target(mut section: Section<'_>, peers: &[Trunk], faults: &mut Faults) -> Option<Target> {
    let any = section.choice(faults, "role", &[("pbx", PeerRole::Pbx)]);
    let peer = if section.holds("role") {
        section.text(faults, "peer")
    } else {
        let remedy = "name the PBX: peer = \"pbx\"; or role = \"pbx\" for any of them";
        section.required_text(faults, "peer", remedy)
    };
    let user = section.text(faults, "user");
    let ring = section.integer(faults, "ring_s", 1..MAX_RING_S + 1);
    section.finish(faults);
    if let Some(user) = &user {
        judge_extension(user, faults);
    }
    let places = match (any, peer) {
        (Some(role), None) => Places::Role(role),
        (None, Some(peer)) => pbx_of(&peer, peers, faults)?,
        (Some(_), Some(peer)) => {
            let expected = "either peer or role";
            faults.at(&peer, "both peer and role", expected, "remove one of them");
            return None;
        }
        (None, None) => return None,
    };
    Some(Target {
        places,
        user: user.map(|user| user.value.to_owned()),
        ring: Duration::from_secs(
            ring.map_or(DEFAULT_RING_S, |ring| ring.value)
                .unsigned_abs(),
        ),
    })
}

fn judge_extension(user: &Placed<&str>, faults: &mut Faults) {
    let is_plain = |letter: char| letter.is_ascii_alphanumeric() || "+-_.*#".contains(letter);
    if user.value.is_empty() || !user.value.chars().all(is_plain) {
        faults.at(
            user,
            quoted(user),
            "an extension such as \"2101\"",
            "use letters, digits and + - _ . * # only",
        );
    }
}

/// The PBX of this name.
fn pbx_of(peer: &Placed<&str>, peers: &[Trunk], faults: &mut Faults) -> Option<Places> {
    match peers.iter().find(|known| known.name == peer.value) {
        Some(known) if known.role == PeerRole::Pbx => Some(Places::Peer(peer.value.to_owned())),
        Some(_) => {
            faults.at(
                peer,
                format!("the carrier {}", quoted(peer)),
                "a peer with role = \"pbx\"",
                "name the PBX",
            );
            None
        }
        None => {
            let remedy = "add a [[peer]] of that name, or name one that is there";
            faults.at(
                peer,
                format!("the unknown peer {}", quoted(peer)),
                "the name of a [[peer]]",
                remedy,
            );
            None
        }
    }
}

/// The city's numbers, and whose those are that name another unit.
#[derive(Debug, Default)]
pub(super) struct Numbers {
    pub(super) policies: Vec<NumberPolicy>,
    pub(super) units: BTreeMap<Number, Label>,
}

pub(super) fn read_numbers(
    sections: Vec<Section<'_>>,
    departments: &[Department],
    faults: &mut Faults,
) -> Numbers {
    let mut seen = BTreeSet::new();
    let mut numbers = Numbers::default();
    for mut section in sections {
        let number = section.required_text(
            faults,
            "number",
            "write the number: number = \"0783331000\"",
        );
        let profile = section.required_text(
            faults,
            "profile",
            "write profile = \"announce\" or \"transparent\"",
        );
        let department =
            section.required_text(faults, "department", "name the department that answers");
        let unit = section.text(faults, "unit");
        let waiver = section.section(faults, "waiver");
        section.finish(faults);
        let number = number.and_then(|text| number_of(&text, &mut seen, faults));
        let profile = profile.and_then(|text| profile_of(&text, faults));
        if let Some(name) = &department
            && !departments.iter().any(|known| known.name == name.value)
        {
            let remedy = "add a [[department]] of that name, or name one that is there";
            faults.at(
                name,
                format!("the unknown department {}", quoted(name)),
                "the name of a [[department]]",
                remedy,
            );
        }
        let decision = waiver.map(|waiver| read_waiver(waiver, number.as_ref(), faults));
        if let (Some(number), Some(profile), Some(department)) = (number, profile, department) {
            let unit = unit.and_then(|unit| people::unit_of(&unit, faults));
            numbers
                .units
                .extend(unit.map(|unit| (number.clone(), unit)));
            numbers.policies.push(NumberPolicy {
                number,
                profile,
                decision: decision.flatten(),
                department: department.value.to_owned(),
            });
        }
    }
    numbers
}

fn read_waiver(
    mut section: Section<'_>,
    number: Option<&Number>,
    faults: &mut Faults,
) -> Option<NumberDecision> {
    let reference = section.required_text(
        faults,
        "reference",
        "name the decision that tells callers by other means",
    );
    let decided_on = section.date(faults, "date");
    if decided_on.is_none() && !section.holds("date") {
        section.missing(
            faults,
            "date",
            "write the day of the decision: date = 2026-04-01",
        );
    }
    let unix_user = section.required_text(
        faults,
        "unix_user",
        "write the Unix user who entered the decision",
    );
    section.finish(faults);
    let (number, reference, date, user) =
        (number?.clone(), reference?, decided_on?.value, unix_user?);
    let id = configured_id(&number, reference.value, date, user.value);
    match NumberDecision::by_configuration(id, number, reference.value, date, user.value) {
        Ok(decision) => Some(decision),
        Err(fault) => {
            let found = format!("{} ({fault})", quoted(&reference));
            faults.at(
                &reference,
                found,
                "a recorded decision with its reference",
                "name the decision, or remove the waiver",
            );
            None
        }
    }
}

/// The id of what the configuration says: other words are another decision, which nobody has confirmed.
fn configured_id(number: &Number, reference: &str, date: Date, unix_user: &str) -> DecisionId {
    // The length keeps apart what both texts could say together.
    let words = format!(
        "{}\n{date}\n{}\n{unix_user}{reference}",
        number.e164(),
        unix_user.len()
    );
    let mut first = [0; 16];
    first.copy_from_slice(&life::sha256(words.as_bytes()).0[..16]);
    DecisionId::new(JstDay::on(date).start(), u128::from_be_bytes(first))
}

fn number_of(
    text: &Placed<&str>,
    seen: &mut BTreeSet<String>,
    faults: &mut Faults,
) -> Option<Number> {
    match Number::parse(text.value) {
        Ok(number) => {
            if !seen.insert(number.e164().to_owned()) {
                let expected = "each number once; 0783331000 and +81783331000 are one number";
                faults.at(
                    text,
                    "a number that stands here a second time",
                    expected,
                    "remove one of the two",
                );
                return None;
            }
            Some(number)
        }
        Err(fault) => {
            let remedy = "write it as it is dialled in Japan, or in E.164 with +81";
            faults.at(
                text,
                format!("{} ({fault})", quoted(text)),
                "a telephone number such as \"0783331000\"",
                remedy,
            );
            None
        }
    }
}

fn profile_of(text: &Placed<&str>, faults: &mut Faults) -> Option<Profile> {
    match text.value {
        "announce" => Some(Profile::Announce),
        "transparent" => Some(Profile::Transparent),
        _ => {
            faults.at(
                text,
                quoted(text),
                "\"announce\" or \"transparent\"",
                "write one of the two",
            );
            None
        }
    }
}
