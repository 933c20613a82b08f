//! `[[peer]]`: carriers and PBX nodes; where they are, how SIP and media go with them, and what their contracts allow.

mod contract;
mod manners;

use std::{
    collections::BTreeSet,
    net::IpAddr,
    ops::Range,
    path::{Path, PathBuf},
    time::Duration,
};

use exchange::{Dscp, Listener, MediaRange, PeerRole, Place, SecureMedia, Trunk, TrunkTarget};
use media::Codec;
use sip_core::Transport;

use super::{
    PortRange, profile, quoted,
    reader::{Faults, Placed, Section},
    target::{Destination, TRANSPORTS, is_of_one_host},
};

/// A day; longer intervals would outlive whatever they watch.
const MAX_SECONDS: i64 = 86_400;
/// Six bits (RFC 2474 section 3).
pub(super) const DSCP: Range<i64> = 0..64;

/// What stands around the peers in the file.
pub(super) struct Surroundings<'a> {
    /// The folder from which relative paths count.
    pub(super) base: &'a Path,
    /// Where SIP is taken.
    pub(super) listeners: &'a [Listener],
    /// Where media is taken.
    pub(super) rtp: &'a [PortRange],
    /// How packets are marked where a peer does not say.
    pub(super) dscp: Dscp,
}

/// The peers of the file.
#[derive(Default)]
pub(super) struct Peers {
    pub(super) trunks: Vec<Trunk>,
    /// Files that hold passwords.
    pub(super) secrets: Vec<PathBuf>,
    /// Where each stands, by its name.
    pub(super) places: Vec<(String, Range<usize>)>,
}

/// What was read of the peers so far.
#[derive(Default)]
struct Taken {
    /// No two peers may have one.
    names: BTreeSet<String>,
    /// No two peers may have one.
    addresses: BTreeSet<IpAddr>,
    /// Files that hold passwords.
    secrets: Vec<PathBuf>,
}

pub(super) fn read_peers(
    sections: Vec<Section<'_>>,
    around: &Surroundings<'_>,
    faults: &mut Faults,
) -> Peers {
    let mut taken = Taken::default();
    let mut peers = Peers::default();
    for section in sections {
        let span = section.span.clone();
        if let Some(trunk) = read_peer(section, &mut taken, around, faults) {
            judge_families(&trunk, &span, around, faults);
            peers.places.push((trunk.name.clone(), span));
            peers.trunks.push(trunk);
        }
    }
    peers.secrets = taken.secrets;
    peers
}

/// A peer of one IP version needs a listener and media ports of the same.
fn judge_families(
    trunk: &Trunk,
    span: &Range<usize>,
    around: &Surroundings<'_>,
    faults: &mut Faults,
) {
    for is_ipv4 in [true, false] {
        let version = if is_ipv4 { "IPv4" } else { "IPv6" };
        let example = if is_ipv4 {
            "192.0.2.1"
        } else {
            "[2001:db8::1]"
        };
        if !trunk.addresses.iter().any(|ip| ip.is_ipv4() == is_ipv4) {
            continue;
        }
        let found = format!("peer {} with an {version} address", trunk.name);
        let mut listeners = around.listeners.iter();
        if !around.listeners.is_empty() && !listeners.any(|ours| ours.address.is_ipv4() == is_ipv4)
        {
            let expected = format!("an {version} address in sip.listen");
            let remedy =
                format!("add \"{example}:5060\" to sip.listen, with the host's own address");
            faults.note(span.clone(), "peer.addresses", &found, &expected, &remedy);
        }
        let mut ranges = around.rtp.iter();
        if !around.rtp.is_empty() && !ranges.any(|ours| ours.address.is_ipv4() == is_ipv4) {
            let expected = format!("an {version} range in media.rtp");
            let remedy =
                format!("add \"{example}:20000-29999\" to media.rtp, with the host's own address");
            faults.note(span.clone(), "peer.addresses", &found, &expected, &remedy);
        }
    }
}

fn read_peer(
    mut section: Section<'_>,
    taken: &mut Taken,
    around: &Surroundings<'_>,
    faults: &mut Faults,
) -> Option<Trunk> {
    let name = section.required_text(faults, "name", "give the peer a name, such as \"carrier\"");
    if let Some(name) = &name {
        judge_name(name, faults);
    }
    if let Some(name) = &name
        && !taken.names.insert(name.value.to_owned())
    {
        faults.at(
            name,
            format!("the name {} a second time", quoted(name)),
            "a name of its own for each peer",
            "rename one of them",
        );
    }
    if !section.holds("role") {
        section.missing(faults, "role", "write role = \"carrier\" or role = \"pbx\"");
    }
    let roles = [("carrier", PeerRole::Carrier), ("pbx", PeerRole::Pbx)];
    let role = section.choice(faults, "role", &roles);
    take_profile(&mut section, faults);
    let listed = section.texts(faults, "addresses");
    let own = listed.iter().flatten();
    let own = own
        .filter_map(|text| address_of(text, taken, faults))
        .collect();
    let mut trunk = Trunk::new(
        name.as_ref().map_or("", |name| name.value),
        role.unwrap_or(PeerRole::Carrier),
        own,
    );
    let transport = section.choice(faults, "transport", &TRANSPORTS);
    let transport = transport.unwrap_or(Transport::Udp);
    read_targets(&mut section, &mut trunk, (role, transport), around, faults);
    contract::read(&mut section, &mut trunk, taken, around, faults);
    // A registrar is where requests go, where nothing else is written.
    if trunk.targets.is_empty()
        && let Some(registration) = &trunk.registration
        && let Ok(registrar) = Destination::parse(&registration.registrar, transport)
    {
        trunk.targets.push(registrar.target(0, 1));
    }
    let outbound = section.boolean(faults, "outbound");
    trunk.outbound = outbound.unwrap_or(!trunk.targets.is_empty());
    let names_a_place =
        !trunk.targets.is_empty() || section.holds("send_to") || section.holds("targets");
    if trunk.addresses.is_empty() && listed.as_ref().is_none_or(Vec::is_empty) && !names_a_place {
        section.missing(
            faults,
            "addresses",
            "list the addresses its messages come from: addresses = [\"192.0.2.10\"]",
        );
    }
    read_media(&mut section, &mut trunk, around, faults);
    manners::read(&mut section, &mut trunk, faults);
    section.finish(faults);
    name.and(role).map(|_| trunk)
}

/// A name stands in logs and lists, so it is short and of one line.
fn judge_name(name: &Placed<&str>, faults: &mut Faults) {
    const MAX_BYTES: usize = 64;
    let length = name.value.len();
    if length == 0 || length > MAX_BYTES || name.value.chars().any(char::is_control) {
        let found = format!("a name of {length} bytes, or with characters that nobody sees");
        let expected = "1 to 64 bytes that can be shown on a line";
        faults.at(name, found, expected, "give the peer a shorter name");
    }
}

fn take_profile(section: &mut Section<'_>, faults: &mut Faults) {
    let Some(name) = section.text(faults, "profile") else {
        return;
    };
    match profile::find(name.value) {
        Some(table) => section.fall_back(table),
        None => {
            let known: Vec<&str> = profile::names().collect();
            faults.at(
                &name,
                format!("the unknown profile {}", quoted(&name)),
                &format!("one of: {}", known.join(", ")),
                "write one of them, or leave it out and write the keys themselves (docs/trunks.md)",
            );
        }
    }
}

/// Where requests go: `send_to` for one place, `targets` for several with priority and weight.
fn read_targets(
    section: &mut Section<'_>,
    trunk: &mut Trunk,
    (role, transport): (Option<PeerRole>, Transport),
    around: &Surroundings<'_>,
    faults: &mut Faults,
) {
    if let Some(local) = section.text(faults, "local") {
        trunk.local = local.value.parse().ok();
        let is_ours =
            |listener: &Listener| Some(listener.address.ip().to_canonical()) == trunk.local;
        if !around.listeners.is_empty() && !around.listeners.iter().any(is_ours) {
            let expected = "one of the addresses of sip.listen, without port";
            faults.at(&local, quoted(&local), expected, "write one of them");
        }
    }
    let holds_send_to = section.holds("send_to");
    if let Some(text) = section.text(faults, "send_to") {
        let target = target_of(&text, transport, around, faults);
        trunk.targets.extend(target.map(|to| to.target(0, 1)));
    }
    for place in section.sections(faults, "targets") {
        trunk
            .targets
            .extend(read_target(place, transport, around, faults));
    }
    let holds_none = trunk.targets.is_empty() && !holds_send_to && !section.holds("targets");
    if role == Some(PeerRole::Pbx) && holds_none {
        section.missing(
            faults,
            "send_to",
            "say where the PBX takes calls: send_to = \"192.0.2.20:5060\"",
        );
    }
    let figure = 0..i64::from(u16::MAX) + 1;
    if let Some(priority) = section.integer(faults, "priority", figure.clone()) {
        trunk.priority = u16::try_from(priority.value).unwrap_or_default();
    }
    if let Some(weight) = section.integer(faults, "weight", figure) {
        trunk.weight = u16::try_from(weight.value).unwrap_or_default();
    }
}

fn read_target(
    mut section: Section<'_>,
    transport: Transport,
    around: &Surroundings<'_>,
    faults: &mut Faults,
) -> Option<TrunkTarget> {
    let to = section.required_text(
        faults,
        "to",
        "say where: { to = \"192.0.2.20:5060;transport=udp\" }",
    );
    let figure = 0..i64::from(u16::MAX) + 1;
    let priority = section.integer(faults, "priority", figure.clone());
    let weight = section.integer(faults, "weight", figure);
    section.finish(faults);
    let small = |figure: Option<Placed<i64>>, otherwise: u16| {
        figure.map_or(otherwise, |figure| {
            u16::try_from(figure.value).unwrap_or(otherwise)
        })
    };
    let destination = target_of(&to?, transport, around, faults)?;
    Some(destination.target(small(priority, 0), small(weight, 1)))
}

/// Reads one place. It is never our own, and a listener of ours can send there.
fn target_of(
    text: &Placed<&str>,
    transport: Transport,
    around: &Surroundings<'_>,
    faults: &mut Faults,
) -> Option<Destination> {
    let destination = match Destination::parse(text.value, transport) {
        Ok(destination) => destination,
        Err(why) => {
            faults.at(
                text,
                format!("{}: {why}", quoted(text)),
                "an address or a name, with port and transport where needed",
                "write it like \"192.0.2.20:5060\", \"[2001:db8::20]:5060\" or \"sbc.example.jp;transport=tcp\"",
            );
            return None;
        }
    };
    let mut listeners = around.listeners.iter();
    if listeners.any(|listener| Some(listener.address) == destination.address()) {
        faults.at(
            text,
            format!("our own address {}", quoted(text)),
            "an address other than those of sip.listen",
            "write where the peer takes calls; we would call ourselves",
        );
        return None;
    }
    let is_way = |listener: &Listener| {
        listener.transport == destination.transport
            && destination
                .address()
                .is_none_or(|address| address.is_ipv4() == listener.address.is_ipv4())
    };
    if !around.listeners.is_empty() && !around.listeners.iter().any(is_way) {
        faults.at(
            text,
            quoted(text),
            "a place that an address of sip.listen can reach: the same IP version and transport",
            "add such an address to sip.listen, or correct this one; what has no listener cannot be sent",
        );
        return None;
    }
    Some(destination)
}

fn address_of(text: &Placed<&str>, taken: &mut Taken, faults: &mut Faults) -> Option<IpAddr> {
    let Some(address) = text
        .value
        .parse::<IpAddr>()
        .ok()
        .map(|ip| ip.to_canonical())
    else {
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
    if !taken.addresses.insert(address) {
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

/// Where its media may lie, how it is marked, encrypted and coded.
fn read_media(
    section: &mut Section<'_>,
    trunk: &mut Trunk,
    around: &Surroundings<'_>,
    faults: &mut Faults,
) {
    let ranges = section.texts(faults, "media");
    let places = trunk
        .targets
        .iter()
        .filter_map(|target| match target.place {
            Place::Address(address) => Some(address.ip()),
            Place::Name { .. } => None,
        });
    trunk.media = match &ranges {
        Some(ranges) => ranges
            .iter()
            .filter_map(|text| range_of(text, faults))
            .collect(),
        None => {
            let hosts: BTreeSet<IpAddr> = trunk.addresses.iter().copied().chain(places).collect();
            hosts.into_iter().map(MediaRange::host).collect()
        }
    };
    if trunk.media.is_empty() && ranges.is_none() && !trunk.targets.is_empty() {
        section.missing(
            faults,
            "media",
            "a peer that is known by name alone needs its media range: media = [\"192.0.2.0/24\"]",
        );
    }
    let secure = [
        ("never", SecureMedia::Never),
        ("on_tls", SecureMedia::OnTls),
        ("always", SecureMedia::Always),
    ];
    if let Some(secure) = section.choice(faults, "secure_media", &secure) {
        trunk.secure_media = secure;
    }
    if let Some(codecs) = section.texts(faults, "codecs") {
        trunk.codecs = codecs
            .iter()
            .filter_map(|text| codec_of(text, faults))
            .collect();
    }
    trunk.dscp = around.dscp;
    if let Some(mut marks) = section.section(faults, "dscp") {
        for (key, mark) in [
            ("signalling", &mut trunk.dscp.signalling),
            ("media", &mut trunk.dscp.media),
        ] {
            if let Some(value) = marks.integer(faults, key, DSCP) {
                *mark = u8::try_from(value.value).unwrap_or_default();
            }
        }
        marks.finish(faults);
    }
}

fn codec_of(text: &Placed<&str>, faults: &mut Faults) -> Option<Codec> {
    match text.value {
        "pcmu" => Some(Codec::Pcmu),
        "pcma" => Some(Codec::Pcma),
        _ => {
            let expected = "\"pcmu\" or \"pcma\"";
            let remedy = "write codecs = [\"pcmu\", \"pcma\"], the best first";
            faults.at(text, quoted(text), expected, remedy);
            None
        }
    }
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

fn seconds(value: i64) -> Duration {
    Duration::from_secs(value.unsigned_abs())
}
