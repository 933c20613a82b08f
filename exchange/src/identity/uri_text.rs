//! A URI and an address taken apart, so that they are built anew and never copied (T-16).
//!
//! What routes a message (`maddr`, `transport`, `lr`, ...) is left behind; what says who somebody is crosses in its value.
//! Follows RFC 3261 sections 19.1 and 25.1, RFC 3966 section 3, RFC 4694 section 5.

use std::fmt;

use sip_core::{HeaderName, Message, NameAddr, Scheme, Uri};

/// A URI of a person, taken apart. `Debug` shows its shape only.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct UriText {
    pub(crate) scheme: Scheme,
    /// The user part with its own parameters, escaped; of a tel URI the number alone.
    pub(crate) user: String,
    /// The number or name without the user part's own parameters, escapes decoded.
    pub(crate) number: String,
    /// Host and port as they are written; empty in a tel URI.
    pub(crate) host: String,
    params: Vec<(String, Option<String>)>,
    headers: Vec<(&'static str, String)>,
}

/// Names of the URI parameters that say how to reach and not whom, or what to ask for (RFC 3261 section 19.1.1).
const ROUTING: [&str; 6] = ["maddr", "transport", "ttl", "lr", "method", "ob"];

/// A URI has few parameters; the longest that we know of have five (RFC 4694 section 5 and `cpc`).
const MAX_PARAMS: usize = 10;

/// What an entry of History-Info may ask of its URI (RFC 7044 sections 5.1 and 10.1).
const HEADERS: [&str; 2] = ["Reason", "Privacy"];

impl UriText {
    /// Takes a sip, sips or tel URI apart; none for every other scheme.
    pub(crate) fn read(uri: &Uri<'_>) -> Option<UriText> {
        let (_, rest) = uri.as_str().split_once(':')?;
        let number = uri.user_number().unwrap_or_default().into_owned();
        let scheme = uri.scheme();
        match scheme {
            Scheme::Sip | Scheme::Sips => {
                let (user, rest) = rest.rsplit_once('@').unwrap_or(("", rest));
                let user = user.split_once(':').map_or(user, |(user, _password)| user);
                let (rest, headers) = rest.split_once('?').unwrap_or((rest, ""));
                let (host, params) = rest.split_once(';').unwrap_or((rest, ""));
                Some(UriText {
                    scheme,
                    user: escape_user(user),
                    number,
                    host: escape(host.trim()),
                    params: read_params(params),
                    headers: read_headers(headers),
                })
            }
            Scheme::Tel => {
                let rest = rest.split_once('?').map_or(rest, |(number, _)| number);
                let (digits, params) = rest.split_once(';').unwrap_or((rest, ""));
                Some(UriText {
                    scheme,
                    user: escape_user(digits),
                    number,
                    host: String::new(),
                    params: read_params(params),
                    headers: Vec::new(),
                })
            }
            Scheme::Other => None,
        }
    }

    /// Whoever is reached by this user part.
    pub(crate) fn of_user(user: &str) -> UriText {
        let (number, _) = user.split_once(';').unwrap_or((user, ""));
        UriText {
            scheme: Scheme::Sip,
            user: user.to_owned(),
            number: number.to_owned(),
            host: String::new(),
            params: Vec::new(),
            headers: Vec::new(),
        }
    }

    /// Nobody (RFC 3323 section 4.1.1.3).
    pub(crate) fn anonymous() -> UriText {
        UriText {
            scheme: Scheme::Sip,
            user: "anonymous".to_owned(),
            number: String::new(),
            host: NOBODY_HOSTS[0].to_owned(),
            params: Vec::new(),
            headers: Vec::new(),
        }
    }

    /// The user part as it came, with the parameters of a tel URI: fit for the user part of a sip URI (RFC 3261 section 19.1.6).
    pub(crate) fn user_as_it_came(&self) -> String {
        match self.scheme {
            Scheme::Tel => {
                let mut user = self.user.clone();
                for (name, value) in &self.params {
                    user.push(';');
                    user.push_str(&escape_user(name));
                    if let Some(value) = value {
                        user.push('=');
                        user.push_str(&escape_user(value));
                    }
                }
                user
            }
            Scheme::Sip | Scheme::Sips | Scheme::Other => self.user.clone(),
        }
    }

    /// A parameter of the number: of a tel URI, or of a sip URI's user part; `Some("")` where it stands without a value.
    pub(crate) fn number_param(&self, name: &str) -> Option<&str> {
        let in_user = self.user.split(';').skip(1).map(|param| {
            let (name, value) = param.split_once('=').unwrap_or((param, ""));
            (name, value)
        });
        let own = self
            .params
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_deref().unwrap_or_default()));
        in_user
            .chain(own)
            .find(|(found, _)| found.eq_ignore_ascii_case(name))
            .map(|(_, value)| value)
    }

    /// Whether its user part is said to be a telephone number.
    pub(crate) fn is_telephone(&self) -> bool {
        self.scheme == Scheme::Tel
            || self.params.iter().any(|(name, value)| {
                name.eq_ignore_ascii_case("user") && value.as_deref() == Some("phone")
            })
    }

    /// The same without digits before its number; none where it has not these.
    pub(crate) fn without_prefix(&self, prefix: &str) -> Option<UriText> {
        Some(UriText {
            user: self.user.strip_prefix(prefix)?.to_owned(),
            number: self.number.strip_prefix(prefix)?.to_owned(),
            ..self.clone()
        })
    }

    /// The host that says that somebody is not to be named, or cannot be (RFC 3323 section 4.1.1.3; 3GPP TS 29.163 section 7.2.3.1).
    pub(crate) fn host_of_nobody(&self) -> Option<&'static str> {
        NOBODY_HOSTS
            .into_iter()
            .find(|host| self.host.eq_ignore_ascii_case(host))
    }

    /// Whether it names nobody: by its host, or by a user part that gateways write for it.
    pub(crate) fn is_nobody(&self) -> bool {
        self.host_of_nobody().is_some()
            || NOBODY_USERS
                .iter()
                .any(|user| self.number.eq_ignore_ascii_case(user))
    }
}

/// Hosts that no caller has.
const NOBODY_HOSTS: [&str; 3] = [
    "anonymous.invalid",
    "unknown.invalid",
    "unavailable.invalid",
];

/// User parts that no caller has.
const NOBODY_USERS: [&str; 4] = ["", "anonymous", "unavailable", "unknown"];

impl fmt::Display for UriText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = match self.scheme {
            Scheme::Sips => "sips",
            Scheme::Tel => "tel",
            Scheme::Sip | Scheme::Other => "sip",
        };
        write!(f, "{scheme}:{}", self.user)?;
        if !self.user.is_empty() && !self.host.is_empty() {
            f.write_str("@")?;
        }
        f.write_str(&self.host)?;
        for (name, value) in &self.params {
            write!(f, ";{name}")?;
            if let Some(value) = value {
                write!(f, "={value}")?;
            }
        }
        for (index, (name, value)) in self.headers.iter().enumerate() {
            let sign = if index == 0 { '?' } else { '&' };
            write!(f, "{sign}{name}={value}")?;
        }
        Ok(())
    }
}

impl fmt::Debug for UriText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UriText")
            .field("scheme", &self.scheme)
            .field("user_bytes", &self.user.len())
            .finish_non_exhaustive()
    }
}

fn read_params(text: &str) -> Vec<(String, Option<String>)> {
    text.split(';')
        .filter(|param| !param.is_empty())
        .map(|param| match param.split_once('=') {
            Some((name, value)) => (escape(name), Some(escape(value))),
            None => (escape(param), None),
        })
        .filter(|(name, _)| {
            !ROUTING
                .iter()
                .any(|routing| name.eq_ignore_ascii_case(routing))
        })
        .take(MAX_PARAMS)
        .collect()
}

fn read_headers(text: &str) -> Vec<(&'static str, String)> {
    text.split('&')
        .filter_map(|header| header.split_once('='))
        .filter_map(|(name, value)| {
            let known = HEADERS
                .into_iter()
                .find(|known| known.eq_ignore_ascii_case(name))?;
            (!holds_escaped_control(value)).then(|| (known, escape(value)))
        })
        .take(HEADERS.len())
        .collect()
}

/// Whether a text holds `%0D` and its like: a reader that decodes before it splits would see a new line.
fn holds_escaped_control(text: &str) -> bool {
    text.split('%').skip(1).any(|rest| {
        let digits = rest.get(..2).unwrap_or_default();
        u8::from_str_radix(digits, 16).is_ok_and(|octet| octet.is_ascii_control())
    })
}

/// Escapes what stands in no URI, so that everything else stays as it came.
fn escape(text: &str) -> String {
    escape_all(text, |octet| {
        octet.is_ascii_graphic() && !matches!(octet, b'<' | b'>' | b'"')
    })
}

/// Escapes what would end a user part too, so that no peer can bring a host of its own into our URIs.
///
/// A tel URI may hold the others besides `@` in its parameters. Source: RFC 3261 sections 19.1.2 and 19.1.6.
fn escape_user(text: &str) -> String {
    escape_all(text, |octet| {
        octet.is_ascii_graphic() && !matches!(octet, b'<' | b'>' | b'"' | b'@' | b':' | b'[' | b']')
    })
}

fn escape_all(text: &str, stands: impl Fn(u8) -> bool) -> String {
    let mut escaped = String::with_capacity(text.len());
    for octet in text.bytes() {
        if stands(octet) {
            escaped.push(char::from(octet));
        } else {
            escaped.push_str(&format!("%{octet:02X}"));
        }
    }
    escaped
}

/// An address of P-Asserted-Identity, Diversion or History-Info. `Debug` shows its shape only.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Address {
    pub(crate) display: Option<Display>,
    pub(crate) uri: UriText,
    params: Vec<(&'static str, String)>,
}

/// A display name in UTF-8, without quotes, escapes and control characters. `Debug` does not show it.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Display(pub(crate) String);

impl fmt::Debug for Display {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Display({} bytes)", self.0.len())
    }
}

/// A name of forty Japanese characters has 120 bytes; what is longer is no name.
const MAX_DISPLAY_BYTES: usize = 256;

impl Display {
    /// The display name of an address: UTF-8 as it came, octets of another code as U+FFFD.
    pub(crate) fn read(address: &NameAddr<'_>) -> Option<Display> {
        let display = address.display()?;
        let mut clean: String = display
            .chars()
            .map(|letter| if letter.is_control() { ' ' } else { letter })
            .collect();
        let mut end = clean.len().min(MAX_DISPLAY_BYTES);
        while !clean.is_char_boundary(end) {
            end -= 1;
        }
        clean.truncate(end);
        (!clean.trim().is_empty()).then_some(Display(clean))
    }
}

impl Address {
    /// Reads the addresses of a header, as many as `most`, each with the parameters that its standard names.
    ///
    /// What cannot be read is left out; the others stay.
    pub(crate) fn list(
        message: &Message,
        name: HeaderName,
        most: usize,
        params: &[&'static str],
    ) -> Vec<Address> {
        message
            .addresses(name)
            .filter_map(Result::ok)
            .filter_map(|address| Address::read(&address, params))
            .take(most)
            .collect()
    }

    fn read(address: &NameAddr<'_>, params: &[&'static str]) -> Option<Address> {
        let params = params.iter().filter_map(|name| {
            let value = address.param(name)??;
            Some((*name, param_value(value)?))
        });
        Some(Address {
            display: Display::read(address),
            uri: UriText::read(&address.uri())?,
            params: params.collect(),
        })
    }

    /// The same with another user part.
    pub(crate) fn with_user(&self, user: String) -> Address {
        let mut address = self.clone();
        address.uri.user = user;
        address
    }
}

/// A token or quoted string, built anew; none where it is neither.
fn param_value(value: &[u8]) -> Option<String> {
    let text = std::str::from_utf8(value).ok()?;
    match text
        .strip_prefix('"')
        .and_then(|rest| rest.strip_suffix('"'))
    {
        Some(inner) => Some(quoted(&unquoted(inner))),
        None => is_token(text).then(|| text.to_owned()),
    }
}

/// Whether a text is a token (RFC 3261 section 25.1).
pub(crate) fn is_token(text: &str) -> bool {
    !text.is_empty()
        && text
            .bytes()
            .all(|octet| octet.is_ascii_alphanumeric() || b"-.!%*_+`'~".contains(&octet))
}

/// The text of a quoted string's inside.
pub(crate) fn unquoted(inner: &str) -> String {
    let mut text = String::with_capacity(inner.len());
    let mut letters = inner.chars();
    while let Some(letter) = letters.next() {
        match letter {
            '\\' => text.extend(letters.next()),
            plain => text.push(plain),
        }
    }
    text
}

/// A quoted string; control characters become spaces.
pub(crate) fn quoted(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push('"');
    for letter in text.chars() {
        match letter {
            '"' | '\\' => quoted.extend(['\\', letter]),
            control if control.is_control() => quoted.push(' '),
            plain => quoted.push(plain),
        }
    }
    quoted.push('"');
    quoted
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(Display(display)) = &self.display {
            write!(f, "{} ", quoted(display))?;
        }
        write!(f, "<{}>", self.uri)?;
        for (name, value) in &self.params {
            write!(f, ";{name}={value}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(uri: &str) -> UriText {
        UriText::read(&Uri::parse(uri).unwrap()).unwrap()
    }

    #[test]
    fn a_user_part_crosses_as_it_came_but_for_what_would_end_it() {
        for (came, crosses) in [
            ("sip:0783331001@us", "0783331001"),
            ("sip:0783331001:secret@us", "0783331001"),
            ("sip:%30783331001;x=?@us", "%30783331001;x=?"),
            (
                "sip:0783331001;x=@evil.example@us",
                "0783331001;x=%40evil.example",
            ),
            (
                "tel:0783331001;x=@evil.example",
                "0783331001;x=%40evil.example",
            ),
            (
                "tel:0783331001;x=[:]?y=@evil.example",
                "0783331001;x=%5B%3A%5D",
            ),
            ("sip:us", ""),
        ] {
            assert_eq!(text(came).user_as_it_came(), crosses, "{came}");
        }
    }

    #[test]
    fn a_uri_is_built_anew_without_what_would_route_it() {
        for (came, crosses) in [
            ("tel:+81783331001", "tel:+81783331001"),
            (
                "tel:+81783331001;npdi;rn=+81789;cpc=payphone",
                "tel:+81783331001;npdi;rn=+81789;cpc=payphone",
            ),
            (
                "sip:0783331001@a.example:5070;user=phone",
                "sip:0783331001@a.example:5070;user=phone",
            ),
            (
                "sip:1@a.example;maddr=192.0.2.9;transport=tcp;lr;method=BYE;x=y",
                "sip:1@a.example;x=y",
            ),
            (
                "sip:1@[2001:db8::1]:5060?Route=%3Csip:evil%3E&Subject=x",
                "sip:1@[2001:db8::1]:5060",
            ),
            (
                "sip:1@a?Reason=SIP%3Bcause%3D302&Privacy=history",
                "sip:1@a?Reason=SIP%3Bcause%3D302&Privacy=history",
            ),
            ("sip:1@a?Reason=x%0d%0aVia:y", "sip:1@a"),
        ] {
            assert_eq!(text(came).to_string(), crosses, "{came}");
        }
    }

    #[test]
    fn parameters_of_a_number_are_found_in_tel_and_sip() {
        for uri in [
            "tel:3331001;phone-context=+8178;CPC=payphone",
            "sip:3331001;phone-context=+8178;cpc=payphone@a.example;user=phone",
        ] {
            let uri = text(uri);
            assert_eq!(uri.number, "3331001");
            assert_eq!(uri.number_param("phone-context"), Some("+8178"));
            assert_eq!(uri.number_param("cpc"), Some("payphone"));
            assert!(uri.is_telephone());
        }
        assert!(!text("sip:3331001@a.example").is_telephone());
    }
}
