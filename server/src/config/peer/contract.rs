//! What the contract with a peer says: channels, numbers that may be shown, registration.

use std::net::IpAddr;

use exchange::{Channels, Registration, Trunk};
use rules::Number;
use sip_core::Credentials;

use super::{MAX_SECONDS, Surroundings, Taken, seconds};
use crate::config::{
    quoted,
    reader::{Faults, Placed, Section},
    secret,
    target::is_name,
};

/// What a registration asks for where nothing is written (RFC 3261 section 10.2.1.1 leaves it to us).
const DEFAULT_EXPIRES_S: i64 = 3_600;

/// What the contract with it says: channels, numbers, registration.
pub(super) fn read(
    section: &mut Section<'_>,
    trunk: &mut Trunk,
    taken: &mut Taken,
    around: &Surroundings<'_>,
    faults: &mut Faults,
) {
    if let Some(channels) = section.section(faults, "channels") {
        trunk.channels = read_channels(channels, faults);
    }
    if let Some(numbers) = section.texts(faults, "contracted") {
        trunk.contracted = numbers
            .iter()
            .filter_map(|text| contracted_number(text, faults))
            .collect();
    }
    if let Some(registration) = section.section(faults, "registration") {
        read_registration(registration, trunk, taken, around, faults);
    }
}

fn read_channels(mut section: Section<'_>, faults: &mut Faults) -> Option<Channels> {
    let total = section.integer(faults, "total", 1..65_536);
    if total.is_none() && !section.holds("total") {
        section.missing(faults, "total", "write channels = { total = 30 }");
    }
    let reserve = section.integer(faults, "emergency_reserve", 0..65_536);
    section.finish(faults);
    let total = total?;
    if let Some(reserve) = &reserve
        && reserve.value >= total.value
    {
        faults.at(
            reserve,
            reserve.value.to_string(),
            "fewer than all channels",
            "write how many only calls to 110, 118 and 119 may take, such as 2",
        );
        return None;
    }
    Some(Channels {
        total: u32::try_from(total.value).ok()?,
        emergency_reserve: reserve.map_or(0, |reserve| {
            u32::try_from(reserve.value).unwrap_or_default()
        }),
    })
}

fn contracted_number(text: &Placed<&str>, faults: &mut Faults) -> Option<Number> {
    match Number::parse(text.value) {
        Ok(number) => Some(number),
        Err(fault) => {
            faults.at(
                text,
                format!("{} ({fault})", quoted(text)),
                "a telephone number such as \"0783331000\"",
                "write a number of the contract; the first is shown by default",
            );
            None
        }
    }
}

fn read_registration(
    mut section: Section<'_>,
    trunk: &mut Trunk,
    taken: &mut Taken,
    around: &Surroundings<'_>,
    faults: &mut Faults,
) {
    let registrar = section.required_text(
        faults,
        "registrar",
        "write the carrier's SIP domain: registrar = \"sip.example.jp\"",
    );
    let user = section.required_text(
        faults,
        "user",
        "write the user part of our address there: user = \"0783331000\"",
    );
    let sign_in = section.text(faults, "auth_user");
    let realm = section.text(faults, "realm");
    let password = section.text(faults, "password_file");
    let expires = section.integer(faults, "expires_s", 60..MAX_SECONDS + 1);
    let contact_user = section.text(faults, "contact_user");
    section.finish(faults);
    for user in [&user, &sign_in, &contact_user].into_iter().flatten() {
        judge_user(user, faults);
    }
    let (Some(registrar), Some(user)) = (registrar, user) else {
        return;
    };
    if !is_name(registrar.value) && registrar.value.parse::<IpAddr>().is_err() {
        let expected = "a domain or an address, without sip: and without port";
        let remedy = "write it like \"sip.example.jp\", as the carrier's paper says";
        faults.at(&registrar, quoted(&registrar), expected, remedy);
    }
    if let Some(file) = &password
        && let Some(password) = secret::read(file, around.base, faults)
    {
        taken.secrets.push(around.base.join(file.value));
        trunk.sip.credentials = Some(Credentials {
            // The realm is the domain's where the carrier names none (RFC 3261 section 22.1).
            realm: realm
                .as_ref()
                .map_or(registrar.value, |realm| realm.value)
                .to_owned(),
            user: sign_in.unwrap_or(user.clone()).value.to_owned(),
            password,
        });
    }
    trunk.registration = Some(Registration {
        registrar: registrar.value.to_owned(),
        user: user.value.to_owned(),
        expires: seconds(expires.map_or(DEFAULT_EXPIRES_S, |expires| expires.value)),
        contact_user: contact_user.map(|user| user.value.to_owned()),
    });
}

/// The user part of a URI as we write it: what would need an escape is refused (RFC 3261 section 25.1, unreserved).
fn judge_user(user: &Placed<&str>, faults: &mut Faults) {
    let is_plain = |letter: char| letter.is_ascii_alphanumeric() || "-_.!~*'()+".contains(letter);
    if user.value.is_empty() || user.value.len() > 64 || !user.value.chars().all(is_plain) {
        faults.at(
            user,
            "a user part that cannot stand in a URI",
            "1 to 64 letters, digits and - _ . ! ~ * ' ( ) +",
            "write it as the carrier's paper says, without host",
        );
    }
}
