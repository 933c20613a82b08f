//! Who calls, as one peer says it and as another is told.
//!
//! A peer inside the trust domain is believed, and is told everything; of a peer outside only From is taken, and it is told nothing more.
//! Values cross unchanged, but every header is built anew from typed fields (T-16). Follows RFCs 3323, 3325, 3326, 4412, 5009, 5806, 7044
//! and 8224. Start at [`Identity::read`].

mod absence;
mod display;
mod passport;
mod privacy;
mod reason;
mod uri_text;

use std::net::SocketAddr;

use rules::{Caller, Extension, Number};
use sip_core::{HeaderName, Headers, Message, NameAddr, NameAddrText, Scheme};

pub(crate) use self::uri_text::UriText;
pub use self::{absence::Absence, display::display_safe};
use self::{
    passport::Passport,
    privacy::Privacy,
    reason::Reason,
    uri_text::{Address, Display, is_token},
};
use crate::{
    direction::Direction,
    number_form::{self, Called},
    report::ShownCaller,
    trunk::{NumberForm, Trust},
};

/// A caller, and what its network said of it.
#[derive(Debug, Clone)]
pub(crate) struct Identity {
    display: Option<Display>,
    from: UriText,
    privacy: Privacy,
    claims: Claims,
}

/// What only a trusted peer is believed, and only a trusted peer is told.
#[derive(Debug, Clone, Default)]
struct Claims {
    asserted: Vec<Address>,
    diversions: Vec<Address>,
    history: Vec<Address>,
    reasons: Vec<Reason>,
    early_media: Vec<String>,
    resource_priority: Vec<String>,
    passports: Vec<Passport>,
    is_callback: bool,
}

/// How one leg is told who calls.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Towards<'a> {
    /// Whether the peer is trusted.
    pub(crate) trust: Trust,
    /// How the trunk writes numbers.
    pub(crate) form: NumberForm,
    /// Our address on that leg.
    pub(crate) ours: SocketAddr,
    /// Which number is shown.
    pub(crate) shown: Shown<'a>,
}

/// Which number is shown as the caller's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shown<'a> {
    /// The caller's own.
    AsItCame,
    /// One that the trunk has.
    Number(&'a Number),
    /// None; a trusted trunk is told which of its numbers it is.
    Withheld(&'a Number),
}

const MAX_ASSERTED: usize = 4; // RFC 3325 section 9.1: one sip and one tel; gateways repeat them.
const MAX_DIVERSIONS: usize = 8; // A call is diverted at most five times in ISDN (Q.732); the counter has two digits.
const MAX_HISTORY: usize = 20; // As many as routes: each proxy may add one (RFC 7044 section 9).
const MAX_TOKENS: usize = 8; // RFC 4412 section 3.1 and RFC 5009 section 4: a few tokens.

impl Identity {
    /// Reads who calls; of an untrusted peer From, and its wish to be withheld.
    pub(crate) fn read(message: &Message, trust: Trust) -> Identity {
        let from = message.from().ok();
        let uri = from.as_ref().and_then(|from| UriText::read(&from.uri()));
        Identity {
            display: from.as_ref().and_then(Display::read),
            // The endpoint has answered 400 to a message without a From; another scheme names nobody we could call back.
            from: uri.unwrap_or_else(UriText::anonymous),
            privacy: Privacy::read(message),
            claims: match trust {
                Trust::Inside => Claims::read(message),
                Trust::Outside => Claims::default(),
            },
        }
    }

    /// Whoever is called, by the number that is called.
    pub(crate) fn of_called(called: &Called) -> Identity {
        Identity {
            display: None,
            from: UriText::of_user(&called.user),
            privacy: Privacy::default(),
            claims: Claims::default(),
        }
    }

    /// The same once it has answered: by what a trusted peer asserts of it too (RFC 3325 section 9.1).
    pub(crate) fn of_answer(called: &Called, answer: &Message, trust: Trust) -> Identity {
        let own = Identity::of_called(called);
        match trust {
            Trust::Inside => Identity {
                privacy: Privacy::read(answer),
                claims: Claims {
                    asserted: Claims::read(answer).asserted,
                    ..Claims::default()
                },
                ..own
            },
            Trust::Outside => own,
        }
    }

    /// The caller, for the record: a withheld number is nobody's.
    pub(crate) fn caller(&self) -> Caller {
        if self.privacy.hides_caller() {
            return Caller::Anonymous;
        }
        self.number().map_or(Caller::Anonymous, Caller::Known)
    }

    /// Why the caller has no number; none where it has one that is not withheld.
    pub(crate) fn absence(&self) -> Option<Absence> {
        match self.caller() {
            Caller::Known(_) => None,
            Caller::Anonymous => {
                let known = self.claims.asserted.iter().map(|address| &address.uri);
                Some(Absence::read(
                    self.display.as_ref(),
                    &self.privacy,
                    std::iter::once(&self.from).chain(known),
                ))
            }
        }
    }

    /// The number that the network vouches for, else the one in From; whether it is withheld or not.
    pub(crate) fn number(&self) -> Option<Number> {
        let asserted = self.claims.asserted.iter().map(|address| &address.uri);
        asserted
            .chain(std::iter::once(&self.from))
            .filter(|uri| !uri.is_nobody())
            .find_map(number_form::number)
    }

    /// Every number that the caller is named by.
    pub(crate) fn numbers(&self) -> impl Iterator<Item = Number> {
        let asserted = self.claims.asserted.iter().map(|address| &address.uri);
        std::iter::once(&self.from)
            .chain(asserted)
            .filter_map(number_form::number)
    }

    /// The user part of From, for a peer whose telephones have no numbers of their own.
    pub(crate) fn extension(&self) -> &str {
        &self.from.number
    }

    /// Who calls, as people are shown it. Our own people call from extensions, of which some look like 119; what looks like an extension
    /// at a carrier is a number that we cannot read.
    pub(crate) fn shown_caller(&self, direction: Direction) -> ShownCaller {
        let extension = match direction {
            Direction::Inbound => None,
            Direction::Outbound | Direction::Internal => Extension::read(self.extension()),
        };
        match (self.caller(), extension) {
            (Caller::Known(number), Some(extension)) if number.is_special() => {
                ShownCaller::Extension(extension.to_string())
            }
            (Caller::Known(number), _) => ShownCaller::Number(number.to_string()),
            (Caller::Anonymous, Some(extension)) if !self.is_withheld() => {
                ShownCaller::Extension(extension.to_string())
            }
            (Caller::Anonymous, _) => ShownCaller::Anonymous,
        }
    }

    /// Whether the caller asks not to be shown.
    pub(crate) fn is_withheld(&self) -> bool {
        self.privacy.hides_caller()
    }

    /// Whether 110, 118 or 119 call back, by the word of a trusted network.
    pub(crate) fn is_callback(&self) -> bool {
        self.claims.is_callback
    }

    /// Whether the caller asked for a privacy that cannot be given, and rather has no call: 500 (RFC 3323 section 5).
    pub(crate) fn is_beyond_us(&self, towards: Trust) -> bool {
        match towards {
            // It knows better than we what its own network can do.
            Trust::Inside => false,
            Trust::Outside => self.privacy.is_beyond_us(),
        }
    }

    /// Writes From and the headers that tell a leg who calls.
    pub(crate) fn write(&self, towards: &Towards<'_>) -> (NameAddrText, Headers) {
        match towards.shown {
            Shown::AsItCame => (
                self.caller_as_it_came(towards),
                self.headers_as_they_came(towards),
            ),
            Shown::Number(number) => {
                let uri = our_uri(number, towards);
                let asserted = format!("<{uri}>");
                let from = NameAddrText { display: None, uri };
                (
                    from,
                    self.headers_of_ours(towards, asserted, &Privacy::default()),
                )
            }
            Shown::Withheld(number) => {
                let asserted = format!("<{}>", our_uri(number, towards));
                (
                    anonymous(),
                    self.headers_of_ours(towards, asserted, &Privacy::id()),
                )
            }
        }
    }

    fn caller_as_it_came(&self, towards: &Towards<'_>) -> NameAddrText {
        if towards.trust == Trust::Outside && self.privacy.hides_caller() {
            return anonymous();
        }
        let told = self
            .display
            .as_ref()
            .map(|Display(display)| display.clone());
        // A telephone shows a display name, and no `cpc` and no Privacy: where those alone say why, it is said here.
        let display = told.or_else(|| {
            let absence = self.absence().filter(|_| self.from.is_nobody())?;
            Some(absence.display().to_owned())
        });
        NameAddrText {
            display,
            uri: self.crossing(towards),
        }
    }

    /// The caller's URI on the other leg: its user part as it came, at our own address.
    fn crossing(&self, towards: &Towards<'_>) -> String {
        let user = match number_form::rewritten(&self.from, towards.form) {
            Some(user) => user,
            None => self.from.user_as_it_came(),
        };
        let user = if user.is_empty() { "anonymous" } else { &user };
        if let Some(host) = self.from.host_of_nobody() {
            return format!("sip:{user}@{host}");
        }
        let phone = if self.from.is_telephone() {
            ";user=phone"
        } else {
            ""
        };
        format!("sip:{user}@{}{phone}", towards.ours)
    }

    fn headers_as_they_came(&self, towards: &Towards<'_>) -> Headers {
        if towards.trust == Trust::Outside {
            return Headers::new();
        }
        let asserted = self.claims.asserted.iter().map(|address| {
            let user = match address.uri.scheme {
                Scheme::Sip | Scheme::Sips => number_form::rewritten(&address.uri, towards.form),
                // In national form it would need a phone-context; it stays as it came.
                Scheme::Tel | Scheme::Other => None,
            };
            match user {
                Some(user) => address.with_user(user).to_string(),
                None => address.to_string(),
            }
        });
        self.claims.headers(asserted, &self.privacy)
    }

    /// A call of our own people: what the PBX asserts of itself stays here, the trunk's number is asserted instead.
    fn headers_of_ours(
        &self,
        towards: &Towards<'_>,
        asserted: String,
        privacy: &Privacy,
    ) -> Headers {
        match towards.trust {
            Trust::Inside => self.claims.headers(std::iter::once(asserted), privacy),
            Trust::Outside => Headers::new(),
        }
    }
}

impl Claims {
    fn read(message: &Message) -> Claims {
        let list = |name, most, params: &[&'static str]| Address::list(message, name, most, params);
        Claims {
            asserted: list(HeaderName::PAssertedIdentity, MAX_ASSERTED, &[]),
            diversions: list(
                HeaderName::Diversion,
                MAX_DIVERSIONS,
                &["reason", "counter", "limit", "privacy", "screen"],
            ),
            history: list(
                HeaderName::HistoryInfo,
                MAX_HISTORY,
                &["index", "rc", "mp", "np"],
            ),
            reasons: Reason::list(message),
            early_media: tokens(message, "P-Early-Media"),
            resource_priority: tokens(message, "Resource-Priority"),
            passports: Passport::list(message),
            is_callback: is_callback(message),
        }
    }

    fn headers(&self, asserted: impl Iterator<Item = String>, privacy: &Privacy) -> Headers {
        let mut headers: Headers = asserted
            .map(|value| ("P-Asserted-Identity", value))
            .collect();
        headers.extend(privacy.value().map(|value| ("Privacy", value)));
        headers.extend(
            self.diversions
                .iter()
                .map(|value| ("Diversion", value.to_string())),
        );
        headers.extend(
            self.history
                .iter()
                .map(|value| ("History-Info", value.to_string())),
        );
        headers.extend(self.reasons.iter().map(|value| ("Reason", value.value())));
        for (name, tokens) in [
            ("P-Early-Media", &self.early_media),
            ("Resource-Priority", &self.resource_priority),
        ] {
            if !tokens.is_empty() {
                headers.push((name, tokens.join(", ")));
            }
        }
        headers.extend(
            self.passports
                .iter()
                .map(|value| ("Identity", value.value())),
        );
        headers
    }
}

/// What an answer of one leg tells the other: who is connected, why it failed, whether its early media may be heard.
///
/// Source: RFC 3325 section 9.1, RFC 6432 section 2, RFC 5009 section 8.
pub(crate) fn in_answer(message: &Message, of: Trust, towards: Trust) -> Headers {
    match (of, towards) {
        (Trust::Inside, Trust::Inside) => {
            let claims = Claims {
                // What an answer has no use for.
                resource_priority: Vec::new(),
                passports: Vec::new(),
                ..Claims::read(message)
            };
            let asserted = claims.asserted.iter().map(Address::to_string);
            claims.headers(asserted, &Privacy::read(message))
        }
        (Trust::Inside | Trust::Outside, Trust::Outside) | (Trust::Outside, Trust::Inside) => {
            Headers::new()
        }
    }
}

/// Whether 110, 118 or 119 call back: by every number that the network asserts, or by From where it asserts nothing.
///
/// Only a trusted peer is asked. `Priority: psap-callback` is not believed: a network passes it on from whoever calls (RFC 7090 section 5).
pub(crate) fn is_callback(message: &Message) -> bool {
    let is_emergency = |address: &NameAddr<'_>| {
        let number = UriText::read(&address.uri()).and_then(|uri| number_form::number(&uri));
        number.is_some_and(|number| number_form::is_emergency(&number))
    };
    let mut asserted = message
        .addresses(HeaderName::PAssertedIdentity)
        .take(MAX_ASSERTED)
        .peekable();
    match asserted.peek() {
        Some(_) => asserted.all(|address| address.is_ok_and(|address| is_emergency(&address))),
        None => message.from().is_ok_and(|from| is_emergency(&from)),
    }
}

/// The reasons of a BYE, CANCEL or refusal of one leg, for the other leg; none where there are none or they may not cross.
pub(crate) fn reason(message: &Message, of: Trust, towards: Trust) -> Option<String> {
    if (of, towards) != (Trust::Inside, Trust::Inside) {
        return None;
    }
    let reasons: Vec<String> = Reason::list(message).iter().map(Reason::value).collect();
    (!reasons.is_empty()).then(|| reasons.join(", "))
}

/// From of a caller who is withheld (RFC 3323 section 4.1.1.3).
fn anonymous() -> NameAddrText {
    NameAddrText {
        display: Some(Absence::Withheld.display().to_owned()),
        uri: "sip:anonymous@anonymous.invalid".to_owned(),
    }
}

fn our_uri(number: &Number, towards: &Towards<'_>) -> String {
    let user = number_form::write(number, towards.form);
    format!("sip:{user}@{}", towards.ours)
}

/// The tokens of a comma list.
fn tokens(message: &Message, name: &str) -> Vec<String> {
    let mut tokens = Vec::new();
    for value in message.named(name) {
        let found = value
            .split(',')
            .map(str::trim)
            .filter(|token| is_token(token));
        tokens.extend(found.map(str::to_owned));
    }
    tokens.truncate(MAX_TOKENS);
    tokens
}

#[cfg(test)]
mod tests;
