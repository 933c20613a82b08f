//! Where people of the city may call: their own numbers, 110, 118 and 119 always, and else what the operator allows.
//!
//! Only a PBX peer calls out; nothing that came from a carrier leaves through one (T-11). A REFER and a redirection are judged by the same
//! rules. Follows 事業用電気通信設備規則 35条の2の4 for emergency calls. Start at [`judge`].

use std::fmt;

use rules::{Number, NumberPolicy};
use sip_core::{Host, PeerId, Scheme, Uri};

use crate::{
    identity::{Identity, Shown, UriText},
    number_form::{self, Called, Wish},
    selection::{Precedence, Tier},
    settings::Settings,
    trunk::{PeerRole, Place, Trunk},
};

/// What may be called from inside.
#[derive(Debug, Clone, Default)]
pub struct Outbound {
    /// Which numbers may be called. Empty: the city's own and the emergency numbers only.
    pub allowed: Vec<Allowed>,
    /// How many calls out there may be at once, emergency calls not counted; none: as many as there is room for.
    pub calls: Option<u32>,
    /// The sites with their trunks, for emergency calls. Empty: any trunk, with its own first number.
    pub sites: Vec<Site>,
}

/// Numbers that may be called.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Allowed {
    /// How they begin.
    pub prefix: Prefix,
    /// How many calls to them there may be at once; none: as many as there is room for.
    pub calls: Option<u32>,
}

/// How numbers begin: `0`, `0120`, `+81`, `010`, or one special number such as `117`.
#[derive(Clone, PartialEq, Eq)]
pub struct Prefix(String);

impl Prefix {
    /// Reads a prefix as people write it, with the separators of numbers.
    ///
    /// # Errors
    /// [`PrefixFault`] for every text that begins no number.
    pub fn parse(text: &str) -> Result<Prefix, PrefixFault> {
        let digits: String = text
            .chars()
            .filter(|letter| !matches!(letter, '-' | '.' | '(' | ')' | ' '))
            .collect();
        let bare = digits.strip_prefix('+').unwrap_or(&digits);
        if bare.is_empty() || !bare.bytes().all(|octet| octet.is_ascii_digit()) {
            return Err(PrefixFault);
        }
        if digits.starts_with('+') {
            return Ok(Prefix(digits));
        }
        if let Some(abroad) = digits.strip_prefix("010") {
            return Ok(Prefix(format!("+{abroad}")));
        }
        if let Some(national) = digits.strip_prefix('0') {
            return Ok(Prefix(format!("+81{national}")));
        }
        match Number::parse(&digits) {
            Ok(special) if special.is_special() => Ok(Prefix(digits)),
            Ok(_) | Err(_) => Err(PrefixFault),
        }
    }

    fn begins(&self, number: &Number) -> bool {
        if number.is_special() {
            return number.e164() == self.0;
        }
        if self.0 == "+" {
            // 010 alone stands for calls abroad, and our own country is not abroad.
            return !number.e164().starts_with("+81");
        }
        number.e164().starts_with(&self.0)
    }
}

impl fmt::Debug for Prefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Prefix({} digits)", self.0.len())
    }
}

/// A text that begins no number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "prefix begins no number, expected for example 0, 0120, +81, 010 for calls abroad, or a special number such as 117"
)]
pub struct PrefixFault;

/// A place whose emergency calls go to the police and the fire brigade of that place.
#[derive(Debug, Clone)]
pub struct Site {
    /// Its name.
    pub name: String,
    /// Its PBX peers, by name. Empty: all.
    pub peers: Vec<String>,
    /// How the user parts of its telephones begin. Empty: all.
    pub extensions: Vec<String>,
    /// Its trunk, by name.
    pub trunk: String,
    /// The number that says where it is.
    pub number: Number,
}

/// A call that may be made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct OutboundPlan {
    pub(crate) called: Called,
    pub(crate) class: Class,
    /// The trunks that are tried first, for the reason that the class gives.
    pub(crate) first: Vec<Exit>,
    /// The other trunks.
    pub(crate) then: Vec<Exit>,
}

impl OutboundPlan {
    /// What is shown to a trunk; none for one that the call may not leave through.
    pub(crate) fn exit(&self, peer: PeerId) -> Option<&Exit> {
        let mut exits = self.first.iter().chain(&self.then);
        exits.find(|exit| exit.peer == peer)
    }

    /// Whether a trunk is tried before others; none for one that the call may not leave through.
    pub(crate) fn tier(&self, peer: PeerId) -> Option<Tier> {
        let has = |exits: &[Exit]| exits.iter().any(|exit| exit.peer == peer);
        if has(&self.first) {
            Some(Tier::First)
        } else {
            has(&self.then).then_some(Tier::Then)
        }
    }

    /// For what some trunks are tried before others.
    pub(crate) fn precedence(&self) -> Precedence {
        match self.class {
            Class::Emergency => Precedence::Site,
            Class::Internal | Class::Ordinary => Precedence::Number,
        }
    }
}

/// What kind of call it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Class {
    /// To a number of the city's own: it leaves through no trunk.
    Internal,
    /// To 110, 118 or 119: above every cap and channel limit, by the site's trunk first.
    Emergency,
    /// Any other, by the trunks that have the caller's number first.
    Ordinary,
}

/// A trunk that a call may leave through, and what it shows there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Exit {
    pub(crate) peer: PeerId,
    pub(crate) cli: Cli,
}

/// The number that is shown to a trunk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Cli {
    /// One that the trunk has.
    Number(Number),
    /// The same, but not to people.
    Withheld(Number),
    /// Nobody has configured any: an emergency call goes out as it came rather than not.
    AsItCame,
}

impl Cli {
    pub(crate) fn shown(&self) -> Shown<'_> {
        match self {
            Cli::Number(number) => Shown::Number(number),
            Cli::Withheld(number) => Shown::Withheld(number),
            Cli::AsItCame => Shown::AsItCame,
        }
    }
}

/// Judges a call of one of our own people.
///
/// `running`: the numbers of the calls out that there are, emergency calls left out.
///
/// # Errors
/// The status that refuses it: 403 where it is not allowed, 503 over a cap or without a trunk.
pub(crate) fn judge<'a>(
    settings: &Settings,
    peer: PeerId,
    called: Called,
    identity: &Identity,
    running: impl Iterator<Item = &'a Number> + Clone,
) -> Result<OutboundPlan, u16> {
    let caller = settings
        .peer(peer)
        .filter(|trunk| trunk.role == PeerRole::Pbx)
        .ok_or(403_u16)?;
    let called = called.alone();
    if settings.policy(&called.number).is_some() {
        return Ok(OutboundPlan {
            called,
            class: Class::Internal,
            first: Vec::new(),
            then: Vec::new(),
        });
    }
    if number_form::is_emergency(&called.number) {
        return emergency(settings, caller, called, identity);
    }
    let allowed = settings
        .outbound
        .allowed
        .iter()
        .filter(|allowed| allowed.prefix.begins(&called.number))
        .max_by_key(|allowed| allowed.prefix.0.len())
        .ok_or(403_u16)?;
    // Calls are counted only where there is a cap: there may be thousands of them.
    let is_full = move |most: Option<u32>, begins: &dyn Fn(&Number) -> bool| {
        most.and_then(|most| usize::try_from(most).ok())
            .is_some_and(|most| running.clone().filter(|number| begins(number)).count() >= most)
    };
    let is_alike = |number: &Number| allowed.prefix.begins(number);
    if is_full(settings.outbound.calls, &|_| true) || is_full(allowed.calls, &is_alike) {
        return Err(503);
    }
    ordinary(settings, called, identity)
}

fn ordinary(settings: &Settings, called: Called, identity: &Identity) -> Result<OutboundPlan, u16> {
    let (mut first, mut then) = (Vec::new(), Vec::new());
    for (peer, trunk) in settings.peers_by_id() {
        if !leads_out(trunk) {
            continue;
        }
        let own = own_number(settings, trunk, identity);
        let is_own = own.is_some();
        let Some(number) = own.or_else(|| numbers_of(settings, trunk).next()) else {
            continue;
        };
        let number = number.clone();
        let cli = match called.wish {
            Wish::Withhold => Cli::Withheld(number),
            Wish::Show => Cli::Number(number),
            Wish::Nothing if identity.is_withheld() => Cli::Withheld(number),
            Wish::Nothing => Cli::Number(number),
        };
        let tier = if is_own { &mut first } else { &mut then };
        tier.push(Exit { peer, cli });
    }
    if first.is_empty() && then.is_empty() {
        return Err(503);
    }
    Ok(OutboundPlan {
        called,
        class: Class::Ordinary,
        first,
        then,
    })
}

/// An emergency call: whatever else holds, it goes out, and says who and where it is.
fn emergency(
    settings: &Settings,
    caller: &Trunk,
    called: Called,
    identity: &Identity,
) -> Result<OutboundPlan, u16> {
    let site = site_of(settings, caller, identity);
    let (mut first, mut then) = (Vec::new(), Vec::new());
    for (peer, trunk) in settings.peers_by_id() {
        if !leads_out(trunk) {
            continue;
        }
        let is_sites = site.is_some_and(|site| site.trunk == trunk.name);
        let has = |number: &Number| numbers_of(settings, trunk).any(|own| own == number);
        let number = match site {
            Some(site) if is_sites || has(&site.number) => Some(&site.number),
            Some(_) | None => {
                own_number(settings, trunk, identity).or_else(|| numbers_of(settings, trunk).next())
            }
        };
        let exit = Exit {
            peer,
            cli: number.cloned().map_or(Cli::AsItCame, Cli::Number),
        };
        let is_first = is_sites || site.is_none();
        let tier = if is_first { &mut first } else { &mut then };
        tier.push(exit);
    }
    if first.is_empty() && then.is_empty() {
        return Err(503);
    }
    Ok(OutboundPlan {
        called,
        class: Class::Emergency,
        first,
        then,
    })
}

/// The site of a caller: the one that names the longest beginning of its user part, then the one that names its PBX.
fn site_of<'a>(settings: &'a Settings, caller: &Trunk, identity: &Identity) -> Option<&'a Site> {
    let extension = identity.extension();
    let sites = settings.outbound.sites.iter().filter_map(|site| {
        let is_peers = site.peers.is_empty() || site.peers.contains(&caller.name);
        let beginnings = site.extensions.iter();
        let longest = beginnings
            .filter(|beginning| extension.starts_with(beginning.as_str()))
            .map(String::len)
            .max();
        let fits = is_peers && (site.extensions.is_empty() || longest.is_some());
        fits.then_some(((longest, !site.peers.is_empty()), site))
    });
    // Of equals the first one.
    sites
        .reduce(|best, next| if next.0 > best.0 { next } else { best })
        .map(|(_, site)| site)
}

fn leads_out(trunk: &Trunk) -> bool {
    trunk.role == PeerRole::Carrier && trunk.takes_calls()
}

/// The numbers that a trunk has: its contracted ones; where nobody has listed them, the city's.
pub(crate) fn numbers_of<'a>(
    settings: &'a Settings,
    trunk: &'a Trunk,
) -> impl Iterator<Item = &'a Number> {
    let unlisted: &[NumberPolicy] = match trunk.contracted.as_slice() {
        [] => &settings.numbers,
        [_, ..] => &[],
    };
    let of_city = unlisted.iter().map(|policy| &policy.number);
    trunk.contracted.iter().chain(of_city)
}

/// The number of a trunk that the caller is named by.
fn own_number<'a>(
    settings: &'a Settings,
    trunk: &'a Trunk,
    identity: &Identity,
) -> Option<&'a Number> {
    let mut named = identity.numbers();
    named.find_map(|number| numbers_of(settings, trunk).find(|own| **own == number))
}

/// Judges where a PBX wants a party of its call to go by REFER, or a call of ours by a redirection.
///
/// `remaining`: who would be joined to it. Two legs of carriers are never joined.
///
/// # Errors
/// The status that refuses it.
pub(crate) fn refer_target<'a>(
    settings: &Settings,
    peer: PeerId,
    target: &Uri<'_>,
    identity: &Identity,
    remaining: PeerRole,
    running: impl Iterator<Item = &'a Number> + Clone,
) -> Result<OutboundPlan, u16> {
    let called = called_here(settings, peer, target, &["Replaces"]).ok_or(403_u16)?;
    let plan = judge(settings, peer, called, identity, running)?;
    match (remaining, plan.class) {
        (PeerRole::Carrier, Class::Emergency | Class::Ordinary) => Err(403),
        (PeerRole::Carrier, Class::Internal) | (PeerRole::Pbx, _) => Ok(plan),
    }
}

/// The city's own number that a PBX redirects a call to by 3xx; none where it names anything else.
pub(crate) fn redirect_target(
    settings: &Settings,
    peer: PeerId,
    contact: &Uri<'_>,
) -> Option<Number> {
    let called = called_here(settings, peer, contact, &[])?;
    settings
        .policy(&called.number)
        .map(|policy| policy.number.clone())
}

/// The number that a URI names, where it is ours to call: at our own address or that PBX's, and asking for nothing else.
///
/// A URI that routes (`maddr`, `lr`), wants another method, or brings headers is no number's (RFC 3261 section 19.1.1).
fn called_here(
    settings: &Settings,
    peer: PeerId,
    uri: &Uri<'_>,
    headers: &[&str],
) -> Option<Called> {
    let trunk = settings.peer(peer)?;
    let is_plain = uri.param("maddr").is_none()
        && uri.param("lr").is_none()
        && uri
            .param("method")
            .is_none_or(|method| method.eq_ignore_ascii_case("INVITE"));
    let asked = uri.as_str().split_once('?').map_or("", |(_, asked)| asked);
    let is_asking_for_no_more =
        asked
            .split('&')
            .filter(|header| !header.is_empty())
            .all(|header| {
                let name = header.split_once('=').map_or(header, |(name, _)| name);
                headers.iter().any(|known| known.eq_ignore_ascii_case(name))
            });
    let is_at_home = match (uri.scheme(), uri.host()) {
        (Scheme::Tel, _) => true,
        (Scheme::Sip | Scheme::Sips, Host::Address(address)) => {
            let address = address.to_canonical();
            let mut ours = settings.listeners.iter();
            ours.any(|listener| listener.address.ip().to_canonical() == address)
                || trunk.known_addresses().any(|known| known == address)
        }
        (Scheme::Sip | Scheme::Sips, Host::Name(name)) => {
            trunk.targets.iter().any(|target| match &target.place {
                Place::Name { host, .. } => host.eq_ignore_ascii_case(name),
                Place::Address(_) => false,
            })
        }
        (Scheme::Other, _) => false,
    };
    if !(is_plain && is_asking_for_no_more && is_at_home) {
        return None;
    }
    Called::read(&UriText::read(uri)?)
}

#[cfg(test)]
mod tests;
