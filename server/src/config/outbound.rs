//! `[outbound]`: whom people of the city may call outside, and whose number an emergency call shows.

use exchange::{Allowed, Outbound, PeerRole, Prefix, Site, Trunk};
use rules::Number;

use super::{
    quoted,
    reader::{Faults, Placed, Section},
};

/// More calls than one host carries.
const MAX_CALLS: i64 = 100_000;

pub(super) fn read(section: Option<Section<'_>>, peers: &[Trunk], faults: &mut Faults) -> Outbound {
    let mut outbound = Outbound::default();
    let Some(mut section) = section else {
        return outbound;
    };
    outbound.calls = count(&mut section, faults);
    for allowed in section.sections(faults, "allowed") {
        outbound.allowed.extend(read_allowed(allowed, faults));
    }
    for site in section.sections(faults, "site") {
        outbound.sites.extend(read_site(site, peers, faults));
    }
    section.finish(faults);
    outbound
}

fn count(section: &mut Section<'_>, faults: &mut Faults) -> Option<u32> {
    let calls = section.integer(faults, "calls", 1..MAX_CALLS + 1)?;
    u32::try_from(calls.value).ok()
}

fn read_allowed(mut section: Section<'_>, faults: &mut Faults) -> Option<Allowed> {
    let prefix = section.required_text(
        faults,
        "prefix",
        "write how the numbers begin: { prefix = \"0\" }",
    );
    let calls = count(&mut section, faults);
    section.finish(faults);
    let prefix = prefix?;
    match Prefix::parse(prefix.value) {
        Ok(prefix) => Some(Allowed { prefix, calls }),
        Err(fault) => {
            faults.at(
                &prefix,
                format!("{} ({fault})", quoted(&prefix)),
                "how numbers begin",
                "write 0 for all of Japan, 010 for abroad, 0120 and the like for a part",
            );
            None
        }
    }
}

/// A site without its trunk or number could not make an emergency call as the law wants it, so neither may be missing.
fn read_site(mut section: Section<'_>, peers: &[Trunk], faults: &mut Faults) -> Option<Site> {
    let name = section.required_text(faults, "name", "give the site a name, such as \"本庁\"");
    let pbxs = section.texts(faults, "peers").unwrap_or_default();
    let extensions = section.texts(faults, "extensions").unwrap_or_default();
    let trunk = section.required_text(
        faults,
        "trunk",
        "name the carrier whose line the site has: trunk = \"carrier\"",
    );
    let number = section.required_text(
        faults,
        "number",
        "write the number that says where the site is, as its emergency calls show it",
    );
    section.finish(faults);
    for pbx in &pbxs {
        judge_peer(
            pbx,
            PeerRole::Pbx,
            "a peer with role = \"pbx\"",
            peers,
            faults,
        );
    }
    for extension in &extensions {
        judge_extension(extension, faults);
    }
    let trunk = trunk?;
    let expected = "a peer with role = \"carrier\"";
    judge_peer(&trunk, PeerRole::Carrier, expected, peers, faults);
    let number = number?;
    let shown = match Number::parse(number.value) {
        Ok(shown) => shown,
        Err(fault) => {
            let expected = "a telephone number such as \"0783331000\"";
            let remedy = "write the site's own number";
            let found = format!("{} ({fault})", quoted(&number));
            faults.at(&number, found, expected, remedy);
            return None;
        }
    };
    let owned = |texts: &[Placed<&str>]| texts.iter().map(|text| text.value.to_owned()).collect();
    Some(Site {
        name: name?.value.to_owned(),
        peers: owned(&pbxs),
        extensions: owned(&extensions),
        trunk: trunk.value.to_owned(),
        number: shown,
    })
}

fn judge_peer(
    name: &Placed<&str>,
    role: PeerRole,
    expected: &str,
    peers: &[Trunk],
    faults: &mut Faults,
) {
    let is_there = |peer: &Trunk| peer.name == name.value && peer.role == role;
    if !peers.iter().any(is_there) {
        let found = format!("the peer {}", quoted(name));
        faults.at(name, found, expected, "name one that is there");
    }
}

fn judge_extension(extension: &Placed<&str>, faults: &mut Faults) {
    let is_plain = |letter: char| letter.is_ascii_alphanumeric() || "+-_.*#".contains(letter);
    if extension.value.is_empty() || !extension.value.chars().all(is_plain) {
        let expected = "how the site's extensions begin, such as \"21\"";
        let remedy = "use letters, digits and + - _ . * # only";
        faults.at(extension, quoted(extension), expected, remedy);
    }
}
