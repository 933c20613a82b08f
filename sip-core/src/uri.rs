//! URIs: sip, sips, tel, and any other scheme as it stands.
//!
//! A view over the message's octets. Follows RFC 3261 section 19.1, RFC 3966 section 3 and RFC 5118 sections 4.1 to 4.10.

use std::{
    borrow::Cow,
    fmt,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};

use memchr::{memchr, memchr2, memrchr};

use crate::{
    fault::{Flaw, Rule},
    lexis,
    lexis::Params,
};

/// The longest URI that is read.
const MAX_URI_BYTES: usize = 1024; // Requirement T-01; RFC 4475's longest is under 700.

/// Octets that stand in no URI: controls, space, angle brackets, quotes.
static NEVER: [bool; 256] = {
    let mut table = [false; 256];
    let mut octet = 0_u8;
    while octet < 128 {
        table[octet as usize] = octet <= b' ' || matches!(octet, b'<' | b'>' | b'"' | 0x7f);
        octet += 1;
    }
    table
};

/// The scheme of a URI.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Scheme {
    /// `sip:`
    Sip,
    /// `sips:`
    Sips,
    /// `tel:`
    Tel,
    /// Any other.
    Other,
}

/// A host as it stands in a URI or Via.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Host<'a> {
    /// A name.
    Name(&'a str),
    /// An address.
    Address(IpAddr),
}

impl Host<'_> {
    /// The address, where the host is one.
    pub fn address(&self) -> Option<IpAddr> {
        match self {
            Host::Name(_) => None,
            Host::Address(address) => Some(*address),
        }
    }
}

impl fmt::Debug for Host<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Host::Name(name) => write!(f, "Name({} bytes)", name.len()),
            Host::Address(IpAddr::V4(_)) => write!(f, "Address(V4)"),
            Host::Address(IpAddr::V6(_)) => write!(f, "Address(V6)"),
        }
    }
}

/// A URI, as a view over a message. `Debug` shows its shape only.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Uri<'a> {
    text: &'a str,
    scheme: Scheme,
    user: Option<&'a str>,
    host: Host<'a>,
    port: Option<u16>,
    params: &'a str,
    headers: Option<&'a str>,
}

impl<'a> Uri<'a> {
    /// Reads a URI that stands alone, without angle brackets.
    ///
    /// # Errors
    /// A [`Flaw`] with the rule that is broken.
    ///
    /// Source: RFC 3261 section 19.1.1, RFC 3966 section 3.
    pub(crate) fn read(octets: &'a [u8]) -> Result<Uri<'a>, Flaw<'a>> {
        if octets.len() > MAX_URI_BYTES {
            return Err(Flaw {
                rule: Rule::UriTooLong,
                place: octets,
            });
        }
        let flaw = Flaw {
            rule: Rule::Uri,
            place: octets,
        };
        if octets.iter().any(|octet| NEVER[usize::from(*octet)]) {
            return Err(flaw);
        }
        let text = std::str::from_utf8(octets).map_err(|_| flaw)?;
        let colon = octets.iter().position(|octet| *octet == b':').ok_or(flaw)?;
        let (scheme, rest) = (&text[..colon], &text[colon + 1..]);
        if rest.is_empty() {
            return Err(flaw);
        }
        if scheme.eq_ignore_ascii_case("sip") {
            return Self::read_sip(text, Scheme::Sip, rest).ok_or(flaw);
        }
        if scheme.eq_ignore_ascii_case("sips") {
            return Self::read_sip(text, Scheme::Sips, rest).ok_or(flaw);
        }
        let is_scheme = scheme.starts_with(|first: char| first.is_ascii_alphabetic())
            && scheme
                .bytes()
                .all(|octet| octet.is_ascii_alphanumeric() || matches!(octet, b'+' | b'-' | b'.'));
        if !is_scheme {
            return Err(flaw);
        }
        let opaque = Uri {
            text,
            scheme: Scheme::Other,
            user: None,
            host: Host::Name(""),
            port: None,
            params: "",
            headers: None,
        };
        if scheme.eq_ignore_ascii_case("tel") {
            let end = memchr(b';', rest.as_bytes()).unwrap_or(rest.len());
            let (number, params) = rest.split_at(end);
            if number.is_empty() {
                return Err(flaw);
            }
            return Ok(Uri {
                scheme: Scheme::Tel,
                user: Some(number),
                params,
                ..opaque
            });
        }
        Ok(opaque)
    }

    /// Reads a URI from text.
    ///
    /// # Errors
    /// The rule that is broken.
    pub fn parse(text: &'a str) -> Result<Uri<'a>, Rule> {
        Self::read(text.as_bytes()).map_err(|flaw| flaw.rule)
    }

    fn read_sip(text: &'a str, scheme: Scheme, rest: &'a str) -> Option<Uri<'a>> {
        // The user part may hold `;` and `?`, the rest no `@`: the last `@` parts them (RFC 4475 section 3.1.1.9).
        let (user, rest) = match memrchr(b'@', rest.as_bytes()) {
            Some(at) => (Some(&rest[..at]), &rest[at + 1..]),
            None => (None, rest),
        };
        if user.is_some_and(str::is_empty) {
            return None;
        }
        let end = rest
            .bytes()
            .position(|octet| matches!(octet, b';' | b'?'))
            .unwrap_or(rest.len());
        let (host_port, rest) = rest.split_at(end);
        let (host, port) = read_host_port(host_port)?;
        let (params, headers) = match rest.bytes().position(|octet| octet == b'?') {
            Some(at) => (&rest[..at], Some(&rest[at + 1..])),
            None => (rest, None),
        };
        Params::parse(params.as_bytes()).ok()?;
        Some(Uri {
            text,
            scheme,
            user,
            host,
            port,
            params,
            headers,
        })
    }

    /// The whole URI.
    pub fn as_str(&self) -> &'a str {
        self.text
    }

    /// The scheme.
    pub fn scheme(&self) -> Scheme {
        self.scheme
    }

    /// The user part of a sip or sips URI, or the number of a tel URI; escapes decoded, without a password.
    pub fn user(&self) -> Option<Cow<'a, str>> {
        let user = self.user?;
        let end = memchr(b':', user.as_bytes()).unwrap_or(user.len());
        Some(unescape(&user[..end]))
    }

    /// The part of the user before its own parameters: the number of a caller or callee (RFC 3261 section 19.1.6).
    pub fn user_number(&self) -> Option<Cow<'a, str>> {
        let user = self.user?;
        let end = memchr2(b';', b':', user.as_bytes()).unwrap_or(user.len());
        Some(unescape(&user[..end]))
    }

    /// The host; an empty name in a URI without one.
    pub fn host(&self) -> Host<'a> {
        self.host
    }

    /// The port, where one is given.
    pub fn port(&self) -> Option<u16> {
        self.port
    }

    /// The value of a parameter; `Some("")` where it stands without one.
    pub fn param(&self, name: &str) -> Option<&'a str> {
        let params = Params::parse(self.params.as_bytes()).ok()?;
        let value = params.get(name)?;
        std::str::from_utf8(value.unwrap_or_default()).ok()
    }

    /// Whether its user part is a telephone number: a tel URI, or a sip URI that says so by `user=phone`.
    ///
    /// Source: RFC 3261 section 19.1.6.
    pub fn is_telephone(&self) -> bool {
        let is_said = |kind: &str| kind.eq_ignore_ascii_case("phone");
        self.scheme == Scheme::Tel || self.param("user").is_some_and(is_said)
    }

    /// A parameter of the number: of a tel URI, of a sip URI's user part (RFC 3261 section 19.1.6), or, where gateways put it, of the sip URI.
    ///
    /// `Some("")` where it stands without a value; escapes are decoded.
    pub fn number_param(&self, name: &str) -> Option<Cow<'a, str>> {
        let user = self.user.unwrap_or_default();
        let in_user = user.split(';').skip(1).find_map(|param| {
            let (found, value) = param.split_once('=').unwrap_or((param, ""));
            found.eq_ignore_ascii_case(name).then_some(value)
        });
        in_user.or_else(|| self.param(name)).map(unescape)
    }

    /// Where a number that is not global is valid: a prefix of digits or a domain (RFC 3966 section 5.1.5).
    pub fn phone_context(&self) -> Option<Cow<'a, str>> {
        self.number_param("phone-context")
    }

    /// What kind of telephone calls: `ordinary`, `payphone`, ... (3GPP TS 24.229 section 7.2A.12).
    pub fn cpc(&self) -> Option<Cow<'a, str>> {
        self.number_param("cpc")
    }

    /// Whether the database of ported numbers has been asked already (RFC 4694 section 5).
    pub fn npdi(&self) -> bool {
        self.number_param("npdi").is_some()
    }

    /// The routing number of a ported number (RFC 4694 section 5).
    pub fn rn(&self) -> Option<Cow<'a, str>> {
        self.number_param("rn")
    }

    /// A header it asks for (`?name=value`), escapes decoded; none too where it asks twice.
    pub fn header(&self, name: &str) -> Option<Cow<'a, str>> {
        let mut found = self.headers?.split('&').filter_map(|header| {
            let (asked, value) = header.split_once('=')?;
            unescape(asked).eq_ignore_ascii_case(name).then_some(value)
        });
        let value = found.next().filter(|_| found.next().is_none())?;
        Some(unescape(value))
    }

    /// Whether it asks for headers (`?name=value`).
    pub fn has_headers(&self) -> bool {
        self.headers.is_some()
    }

    /// The URI as it may stand in a request line, where headers may not (RFC 3261 section 19.1.1, table 1).
    pub(crate) fn without_headers(&self) -> &'a str {
        match self.headers {
            Some(headers) => &self.text[..self.text.len() - headers.len() - 1],
            None => self.text,
        }
    }

    /// Whether a Route with this URI is a loose router's (RFC 3261 section 16.12).
    pub(crate) fn is_loose(&self) -> bool {
        self.param("lr").is_some()
    }
}

impl fmt::Debug for Uri<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Uri")
            .field("scheme", &self.scheme)
            .field("user_bytes", &self.user.map(str::len))
            .field("host", &self.host)
            .field("port", &self.port)
            .finish_non_exhaustive()
    }
}

/// Reads `host[:port]`; an IPv6 address needs its brackets (RFC 5118 section 4.2).
pub(crate) fn read_host_port(text: &str) -> Option<(Host<'_>, Option<u16>)> {
    let (host, rest) = match text.strip_prefix('[') {
        Some(inner) => {
            let (address, rest) = inner.split_once(']')?;
            (Host::Address(IpAddr::V6(ipv6(address)?)), rest)
        }
        None => {
            let (name, rest) = text.split_at(
                text.bytes()
                    .position(|octet| octet == b':')
                    .unwrap_or(text.len()),
            );
            (read_host(name)?, rest)
        }
    };
    let rest = trim(rest);
    if rest.is_empty() {
        return Some((host, None));
    }
    let port = lexis::trim(rest.strip_prefix(':')?.as_bytes());
    let port = lexis::number(port, u64::from(u16::MAX))?;
    Some((host, u16::try_from(port).ok()))
}

/// Octets of names and IPv4 addresses; `_` is no host's by the standard, and many hosts'.
static HOST: [bool; 256] = {
    let mut table = [false; 256];
    let mut octet = 0_u8;
    while octet < 128 {
        table[octet as usize] =
            octet.is_ascii_alphanumeric() || matches!(octet, b'-' | b'_' | b'.');
        octet += 1;
    }
    table
};

/// Reads a name or an IPv4 address.
fn read_host(text: &str) -> Option<Host<'_>> {
    let text = trim(text);
    let last = *text.as_bytes().last()?;
    if !text.bytes().all(|octet| HOST[usize::from(octet)]) {
        return None;
    }
    match last.is_ascii_digit().then(|| text.parse::<Ipv4Addr>()) {
        Some(Ok(address)) => Some(Host::Address(IpAddr::V4(address))),
        Some(Err(_)) | None => Some(Host::Name(text)),
    }
}

/// The text without the white space of SIP around it.
fn trim(text: &str) -> &str {
    let mut text = text;
    while text.bytes().next().is_some_and(lexis::is_space) {
        text = &text[1..];
    }
    while text.bytes().next_back().is_some_and(lexis::is_space) {
        text = &text[..text.len() - 1];
    }
    text
}

/// Reads an IPv6 address without brackets; `:::` before an IPv4 tail is taken for `::` (RFC 5118 section 4.10).
pub(crate) fn ipv6(text: &str) -> Option<Ipv6Addr> {
    match text.parse() {
        Ok(address) => Some(address),
        Err(_) if text.contains(":::") => text.replacen(":::", "::", 1).parse().ok(),
        Err(_) => None,
    }
}

/// Decodes `%hh`; what is no escape stays, and so does text that would be no UTF-8.
fn unescape(text: &str) -> Cow<'_, str> {
    if memchr(b'%', text.as_bytes()).is_none() {
        return Cow::Borrowed(text);
    }
    let mut octets = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        let escape = (*first == b'%')
            .then(|| after.get(..2))
            .flatten()
            .and_then(hex_pair);
        match escape {
            Some(octet) => {
                octets.push(octet);
                rest = &after[2..];
            }
            None => {
                octets.push(*first);
                rest = after;
            }
        }
    }
    String::from_utf8(octets).map_or(Cow::Borrowed(text), Cow::Owned)
}

fn hex_pair(pair: &[u8]) -> Option<u8> {
    let high = char::from(pair[0]).to_digit(16)?;
    let low = char::from(pair[1]).to_digit(16)?;
    u8::try_from(high * 16 + low).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_at_ends_the_user_part() {
        let uri = Uri::parse("sip:user;par=u%40example.net@example.com;lr").unwrap();
        assert_eq!(uri.user().as_deref(), Some("user;par=u@example.net"));
        assert_eq!(uri.user_number().as_deref(), Some("user"));
        assert_eq!(uri.host(), Host::Name("example.com"));
        assert_eq!(uri.param("lr"), Some(""));
        assert!(uri.is_loose());
    }

    #[test]
    fn a_tel_uri_has_a_number_and_no_port() {
        let uri = Uri::parse("tel:+81783331000;phone-context=example.jp").unwrap();
        assert_eq!(uri.scheme(), Scheme::Tel);
        assert_eq!(uri.user().as_deref(), Some("+81783331000"));
        assert_eq!(uri.param("phone-context"), Some("example.jp"));
        assert_eq!(uri.port(), None);
    }

    #[test]
    fn an_ipv6_host_needs_brackets_and_may_have_three_colons() {
        assert!(Uri::parse("sip:2001:db8::10").is_err());
        let ambiguous = Uri::parse("sip:[2001:db8::10:5070]").unwrap();
        assert_eq!(
            (ambiguous.host().address(), ambiguous.port()),
            ("2001:db8::10:5070".parse().ok(), None)
        );
        let clear = Uri::parse("sip:[2001:db8::10]:5070").unwrap();
        assert_eq!(
            (clear.host().address(), clear.port()),
            ("2001:db8::10".parse().ok(), Some(5070))
        );
        let bug = Uri::parse("sip:user@[2001:db8:::192.0.2.1]").unwrap();
        assert_eq!(bug.host().address(), "2001:db8::192.0.2.1".parse().ok());
    }

    #[test]
    fn an_unknown_scheme_is_kept_as_it_is() {
        let uri = Uri::parse("soap.beep://192.0.2.103:3002").unwrap();
        assert_eq!(uri.scheme(), Scheme::Other);
        assert_eq!(uri.as_str(), "soap.beep://192.0.2.103:3002");
    }

    #[test]
    fn what_is_no_uri_is_refused() {
        for text in [
            "",
            "sip:",
            "sip:@host",
            "sip:user@",
            "<sip:a@b>",
            "sip:a b@c",
            "sip:a@b:99999",
            "1:x",
            "tel:;x=y",
        ] {
            assert_eq!(Uri::parse(text), Err(Rule::Uri), "{text}");
        }
        assert_eq!(
            Uri::parse(&format!("sip:{}@host", "u".repeat(1024))),
            Err(Rule::UriTooLong)
        );
    }

    #[test]
    fn an_escape_that_is_none_stays() {
        assert_eq!(
            Uri::parse("sip:a%4@host").unwrap().user().as_deref(),
            Some("a%4")
        );
        assert_eq!(
            Uri::parse("sip:%00@host").unwrap().user().as_deref(),
            Some("\0")
        );
    }

    #[test]
    fn the_parameters_of_a_number_are_found_wherever_they_stand() {
        for text in [
            "tel:3331001;phone-context=+8178;npdi;rn=+81789;CPC=payphone",
            "sip:3331001;phone-context=%2B8178;npdi;rn=+81789;cpc=payphone@a.example;user=Phone",
            "sip:3331001@a.example;user=phone;phone-context=+8178;npdi;rn=+81789;cpc=payphone",
        ] {
            let uri = Uri::parse(text).unwrap();
            assert!(uri.is_telephone() && uri.npdi(), "{text}");
            assert_eq!(uri.phone_context().as_deref(), Some("+8178"), "{text}");
            assert_eq!(uri.rn().as_deref(), Some("+81789"), "{text}");
            assert_eq!(uri.cpc().as_deref(), Some("payphone"), "{text}");
        }
        let plain = Uri::parse("sip:rn@npdi;user=ip").unwrap();
        assert!(!plain.is_telephone() && !plain.npdi());
        assert_eq!((plain.rn(), plain.cpc()), (None, None));
    }

    #[test]
    fn a_header_that_is_asked_for_is_decoded() {
        let uri = Uri::parse("sip:b@x?Replaces=a%40b%3Bto-tag%3Dc&Subject=&subject=y").unwrap();
        assert_eq!(uri.header("replaces").as_deref(), Some("a@b;to-tag=c"));
        assert_eq!(uri.header("Subject"), None, "it is asked for twice");
        assert_eq!(Uri::parse("sip:b@x").unwrap().header("Replaces"), None);
    }

    #[test]
    fn debug_shows_no_text() {
        let shown = format!("{:?}", Uri::parse("sip:0790000001@pbx.example").unwrap());
        assert!(
            !shown.contains("0790000001") && !shown.contains("pbx"),
            "{shown}"
        );
    }
}
