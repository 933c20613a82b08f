//! The lists of the configuration: peers, departments and numbers, and how they refer to each other.

use std::{
    collections::BTreeSet,
    net::{IpAddr, SocketAddr},
    time::Duration,
};

use exchange::{Department, MediaRange, PeerRole, Places, Target, Trunk, TrunkTarget};
use rules::{Number, NumberDecision, NumberPolicy, Profile};
use sip_core::Transport;

use super::{
    quoted,
    reader::{Faults, Placed, Section},
};

/// 端末設備等規則 32条の3: automatic dialling gives up within 2 minutes.
const MAX_RING_S: i64 = 120;
const DEFAULT_RING_S: i64 = 30;

pub(super) fn read_peers(
    sections: Vec<Section<'_>>,
    listen: Option<SocketAddr>,
    faults: &mut Faults,
) -> Vec<Trunk> {
    let mut names = BTreeSet::new();
    let mut addresses = BTreeSet::new();
    let mut peers = Vec::new();
    for mut section in sections {
        let name =
            section.required_text(faults, "name", "give the peer a name, such as \"carrier\"");
        let role =
            section.required_text(faults, "role", "write role = \"carrier\" or role = \"pbx\"");
        let listed = section.texts(faults, "addresses");
        if listed.as_ref().is_some_and(Vec::is_empty)
            || (listed.is_none() && !section.holds("addresses"))
        {
            section.missing(
                faults,
                "addresses",
                "list the addresses its messages come from: addresses = [\"192.0.2.10\"]",
            );
        }
        let own: Vec<IpAddr> = listed
            .unwrap_or_default()
            .iter()
            .filter_map(|text| address_of(text, &mut addresses, faults))
            .collect();
        let target = section.text(faults, "send_to");
        let target = target.and_then(|text| socket_of(&text, listen, faults));
        let media = section.texts(faults, "media");
        let media = match media {
            Some(ranges) => ranges
                .iter()
                .filter_map(|text| range_of(text, faults))
                .collect(),
            None => own
                .iter()
                .map(|address| MediaRange::host(*address))
                .collect(),
        };
        if let Some(transport) = section.text(faults, "transport")
            && transport.value != "udp"
        {
            faults.at(
                &transport,
                quoted(&transport),
                "\"udp\"",
                "write transport = \"udp\"",
            );
        }
        let role = role.and_then(|text| role_of(&text, faults));
        if role == Some(PeerRole::Pbx) && target.is_none() && !section.holds("send_to") {
            section.missing(
                faults,
                "send_to",
                "say where the PBX takes calls: send_to = \"192.0.2.20:5060\"",
            );
        }
        if let Some(name) = &name
            && !names.insert(name.value)
        {
            faults.at(
                name,
                format!("the name {} a second time", quoted(name)),
                "a name of its own for each peer",
                "rename one of them",
            );
        }
        section.finish(faults);
        if let (Some(name), Some(role)) = (name, role) {
            let targets = target.map(|address| TrunkTarget::at(address, Transport::Udp));
            peers.push(Trunk {
                outbound: target.is_some(),
                targets: targets.into_iter().collect(),
                media,
                ..Trunk::new(name.value, role, own)
            });
        }
    }
    peers
}

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
    let peer = section.required_text(faults, "peer", "name the PBX: peer = \"pbx\"");
    let user = section.text(faults, "user");
    let ring = section.integer(faults, "ring_s", 1..MAX_RING_S + 1);
    section.finish(faults);
    let peer = peer?;
    if let Some(user) = &user
        && (user.value.is_empty()
            || user
                .value
                .chars()
                .any(|letter| !(letter.is_ascii_alphanumeric() || "+-_.*#".contains(letter))))
    {
        faults.at(
            user,
            quoted(user),
            "an extension such as \"2101\"",
            "use letters, digits and + - _ . * # only",
        );
    }
    match peers.iter().find(|known| known.name == peer.value) {
        Some(known) if known.role == PeerRole::Pbx => Some(Target {
            places: Places::Peer(peer.value.to_owned()),
            user: user.map(|user| user.value.to_owned()),
            ring: Duration::from_secs(
                ring.map_or(DEFAULT_RING_S, |ring| ring.value)
                    .unsigned_abs(),
            ),
        }),
        Some(_) => {
            faults.at(
                &peer,
                format!("the carrier {}", quoted(&peer)),
                "a peer with role = \"pbx\"",
                "name the PBX",
            );
            None
        }
        None => {
            let remedy = "add a [[peer]] of that name, or name one that is there";
            faults.at(
                &peer,
                format!("the unknown peer {}", quoted(&peer)),
                "the name of a [[peer]]",
                remedy,
            );
            None
        }
    }
}

pub(super) fn read_numbers(
    sections: Vec<Section<'_>>,
    departments: &[Department],
    faults: &mut Faults,
) -> Vec<NumberPolicy> {
    let mut seen = BTreeSet::new();
    let mut numbers = Vec::new();
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
            numbers.push(NumberPolicy {
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
    match NumberDecision::by_configuration(number, reference.value, date, user.value) {
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

fn role_of(text: &Placed<&str>, faults: &mut Faults) -> Option<PeerRole> {
    match text.value {
        "carrier" => Some(PeerRole::Carrier),
        "pbx" => Some(PeerRole::Pbx),
        _ => {
            faults.at(
                text,
                quoted(text),
                "\"carrier\" or \"pbx\"",
                "write one of the two",
            );
            None
        }
    }
}

fn address_of(
    text: &Placed<&str>,
    seen: &mut BTreeSet<IpAddr>,
    faults: &mut Faults,
) -> Option<IpAddr> {
    let Ok(address) = text.value.parse::<IpAddr>() else {
        faults.at(
            text,
            quoted(text),
            "an IP address without port",
            "write the address alone, such as \"192.0.2.10\"",
        );
        return None;
    };
    if !is_of_one_host(address) {
        faults.at(
            text,
            quoted(text),
            "the address of one host",
            "write the address that the peer's messages come from",
        );
        return None;
    }
    if !seen.insert(address) {
        let expected = "each address at one peer, so that a message has one sender";
        faults.at(
            text,
            format!("{} a second time", quoted(text)),
            expected,
            "remove it from one of the peers",
        );
        return None;
    }
    Some(address)
}

/// Where calls are sent: not nowhere, not to a group, and never back to ourselves.
fn socket_of(
    text: &Placed<&str>,
    listen: Option<SocketAddr>,
    faults: &mut Faults,
) -> Option<SocketAddr> {
    let address = text
        .value
        .parse::<SocketAddr>()
        .ok()
        .filter(|address| is_of_one_host(address.ip()) && address.port() != 0);
    let Some(address) = address else {
        faults.at(
            text,
            quoted(text),
            "an IP address of one host with port",
            "write it like \"192.0.2.20:5060\"",
        );
        return None;
    };
    if listen == Some(address) {
        faults.at(
            text,
            format!("our own address {}", quoted(text)),
            "an address other than sip.listen",
            "write where the PBX takes calls; we would call ourselves",
        );
        return None;
    }
    if listen.is_some_and(|listen| listen.is_ipv4() != address.is_ipv4()) {
        faults.at(
            text,
            quoted(text),
            "an address of the IP version of sip.listen",
            "write both as IPv4 or both as IPv6; one socket cannot send to the other",
        );
        return None;
    }
    Some(address)
}

fn is_of_one_host(address: IpAddr) -> bool {
    let is_broadcast = matches!(address, IpAddr::V4(address) if address.is_broadcast());
    !address.is_unspecified() && !address.is_multicast() && !is_broadcast
}

fn range_of(text: &Placed<&str>, faults: &mut Faults) -> Option<MediaRange> {
    let range = match text.value.split_once('/') {
        None => text.value.parse().ok().map(MediaRange::host),
        Some((network, bits)) => network
            .parse()
            .ok()
            .zip(bits.parse().ok())
            .and_then(|(network, bits)| MediaRange::new(network, bits)),
    };
    if range.is_none() {
        faults.at(
            text,
            quoted(text),
            "an IP address or a range of them",
            "write it like \"192.0.2.0/24\"",
        );
    }
    range
}
