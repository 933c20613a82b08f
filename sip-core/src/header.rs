//! Names, methods and the typed values of single headers.
//!
//! Follows RFC 3261 sections 7.3 and 20; compact forms as registered there and in RFCs 3265, 3515, 3892, 4028.

use std::{borrow::Cow, fmt};

use bytes::Bytes;
use memchr::{memchr, memchr2};

use crate::{
    fault::{Flaw, Rule},
    lexis,
    lexis::Params,
    uri::Uri,
};

/// A method; the set is open (RFC 3261 section 7.1). Case matters.
#[derive(Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "each is the method of its name")]
pub enum Method {
    Invite,
    Ack,
    Bye,
    Cancel,
    Options,
    Register,
    Prack,
    Update,
    Info,
    Refer,
    Notify,
    Subscribe,
    Message,
    Publish,
    /// A token that no RFC we know defines.
    Other(Bytes),
}

static METHODS: [(&str, Method); 14] = [
    ("INVITE", Method::Invite),
    ("ACK", Method::Ack),
    ("BYE", Method::Bye),
    ("CANCEL", Method::Cancel),
    ("OPTIONS", Method::Options),
    ("REGISTER", Method::Register),
    ("PRACK", Method::Prack),
    ("UPDATE", Method::Update),
    ("INFO", Method::Info),
    ("REFER", Method::Refer),
    ("NOTIFY", Method::Notify),
    ("SUBSCRIBE", Method::Subscribe),
    ("MESSAGE", Method::Message),
    ("PUBLISH", Method::Publish),
];

impl Method {
    /// Takes a method's token; `whole` is the message it stands in.
    pub(crate) fn read(token: &[u8], whole: &Bytes) -> Method {
        match METHODS.iter().find(|(name, _)| name.as_bytes() == token) {
            Some((_, method)) => method.clone(),
            None => Method::Other(whole.slice_ref(token)),
        }
    }

    /// Takes a method's token that stands in no message.
    pub(crate) fn of(token: &[u8]) -> Method {
        let whole = Bytes::copy_from_slice(token);
        Method::read(&whole, &whole)
    }

    /// The method's octets.
    pub fn as_bytes(&self) -> &[u8] {
        match self {
            Method::Other(token) => token,
            known => known.name().as_bytes(),
        }
    }

    /// The method's name, `other` for one we do not know: safe to show.
    pub fn name(&self) -> &'static str {
        METHODS
            .iter()
            .find(|(_, method)| method == self)
            .map_or("other", |(name, _)| name)
    }
}

impl fmt::Debug for Method {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A header we look for; all others are [`HeaderName::Other`] and found by their text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[expect(missing_docs, reason = "each is the header of its name")]
pub enum HeaderName {
    Accept,
    Allow,
    Authorization,
    CallId,
    Contact,
    ContentDisposition,
    ContentEncoding,
    ContentLength,
    ContentType,
    CSeq,
    Diversion,
    Event,
    Expires,
    From,
    HistoryInfo,
    MaxForwards,
    MinExpires,
    PAssertedIdentity,
    PAssociatedUri,
    PCalledPartyId,
    Privacy,
    ProxyAuthorization,
    ProxyRequire,
    Reason,
    RecordRoute,
    ReferredBy,
    ReferTo,
    Replaces,
    Require,
    RetryAfter,
    Route,
    ServiceRoute,
    SessionExpires,
    Subject,
    Supported,
    To,
    Unsupported,
    UserAgent,
    Via,
    Other,
}

impl HeaderName {
    /// Recognises a name in any case, long or compact (RFC 3261 section 7.3.3).
    pub fn read(name: &[u8]) -> HeaderName {
        use HeaderName as H;
        // Length and first letter leave one candidate, at most two.
        let candidates: &[HeaderName] =
            match (name.len(), name.first().map_or(0, u8::to_ascii_lowercase)) {
                (1, letter) => return Self::read_compact(letter),
                (2, b't') => &[H::To],
                (3, b'v') => &[H::Via],
                (4, b'f') => &[H::From],
                (4, b'c') => &[H::CSeq],
                (5, b'r') => &[H::Route],
                (5, b'a') => &[H::Allow],
                (5, b'e') => &[H::Event],
                (6, b'a') => &[H::Accept],
                (6, b'r') => &[H::Reason],
                (7, b'c') => &[H::Contact, H::CallId],
                (7, b'r') => &[H::Require],
                (7, b's') => &[H::Subject],
                (7, b'p') => &[H::Privacy],
                (7, b'e') => &[H::Expires],
                (8, b'r') => &[H::ReferTo, H::Replaces],
                (9, b's') => &[H::Supported],
                (9, b'd') => &[H::Diversion],
                (10, b'u') => &[H::UserAgent],
                (11, b'u') => &[H::Unsupported],
                (11, b'r') => &[H::RetryAfter, H::ReferredBy],
                (11, b'm') => &[H::MinExpires],
                (12, b'c') => &[H::ContentType],
                (12, b'm') => &[H::MaxForwards],
                (12, b'r') => &[H::RecordRoute],
                (12, b'h') => &[H::HistoryInfo],
                (13, b'a') => &[H::Authorization],
                (13, b'p') => &[H::ProxyRequire],
                (13, b's') => &[H::ServiceRoute],
                (14, b'c') => &[H::ContentLength],
                (15, b's') => &[H::SessionExpires],
                (16, b'c') => &[H::ContentEncoding],
                (16, b'p') => &[H::PAssociatedUri],
                (17, b'p') => &[H::PCalledPartyId],
                (19, b'c') => &[H::ContentDisposition],
                (19, b'p') => &[H::PAssertedIdentity, H::ProxyAuthorization],
                _ => return H::Other,
            };
        let is_named = |candidate: &&HeaderName| {
            let known = candidate.as_str().as_bytes();
            known == name || known.eq_ignore_ascii_case(name)
        };
        candidates
            .iter()
            .find(is_named)
            .copied()
            .unwrap_or(H::Other)
    }

    /// `letter`: small.
    fn read_compact(letter: u8) -> HeaderName {
        match letter {
            b'b' => HeaderName::ReferredBy,
            b'c' => HeaderName::ContentType,
            b'e' => HeaderName::ContentEncoding,
            b'f' => HeaderName::From,
            b'i' => HeaderName::CallId,
            b'k' => HeaderName::Supported,
            b'l' => HeaderName::ContentLength,
            b'm' => HeaderName::Contact,
            b'o' => HeaderName::Event,
            b'r' => HeaderName::ReferTo,
            b's' => HeaderName::Subject,
            b't' => HeaderName::To,
            b'v' => HeaderName::Via,
            b'x' => HeaderName::SessionExpires,
            _ => HeaderName::Other,
        }
    }

    /// The long form; empty for [`HeaderName::Other`].
    pub fn as_str(self) -> &'static str {
        match self {
            HeaderName::Accept => "Accept",
            HeaderName::Allow => "Allow",
            HeaderName::Authorization => "Authorization",
            HeaderName::CallId => "Call-ID",
            HeaderName::Contact => "Contact",
            HeaderName::ContentDisposition => "Content-Disposition",
            HeaderName::ContentEncoding => "Content-Encoding",
            HeaderName::ContentLength => "Content-Length",
            HeaderName::ContentType => "Content-Type",
            HeaderName::CSeq => "CSeq",
            HeaderName::Diversion => "Diversion",
            HeaderName::Event => "Event",
            HeaderName::Expires => "Expires",
            HeaderName::From => "From",
            HeaderName::HistoryInfo => "History-Info",
            HeaderName::MaxForwards => "Max-Forwards",
            HeaderName::MinExpires => "Min-Expires",
            HeaderName::PAssertedIdentity => "P-Asserted-Identity",
            HeaderName::PAssociatedUri => "P-Associated-URI",
            HeaderName::PCalledPartyId => "P-Called-Party-ID",
            HeaderName::Privacy => "Privacy",
            HeaderName::ProxyAuthorization => "Proxy-Authorization",
            HeaderName::ProxyRequire => "Proxy-Require",
            HeaderName::Reason => "Reason",
            HeaderName::RecordRoute => "Record-Route",
            HeaderName::ReferredBy => "Referred-By",
            HeaderName::ReferTo => "Refer-To",
            HeaderName::Replaces => "Replaces",
            HeaderName::Require => "Require",
            HeaderName::RetryAfter => "Retry-After",
            HeaderName::Route => "Route",
            HeaderName::ServiceRoute => "Service-Route",
            HeaderName::SessionExpires => "Session-Expires",
            HeaderName::Subject => "Subject",
            HeaderName::Supported => "Supported",
            HeaderName::To => "To",
            HeaderName::Unsupported => "Unsupported",
            HeaderName::UserAgent => "User-Agent",
            HeaderName::Via => "Via",
            HeaderName::Other => "",
        }
    }
}

/// A CSeq (RFC 3261 section 20.16).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CSeq {
    /// The number, below 2^31.
    pub number: u32,
    /// The method.
    pub method: Method,
}

impl CSeq {
    pub(crate) fn read<'a>(value: &'a [u8], whole: &Bytes) -> Result<CSeq, Flaw<'a>> {
        let (number, method) = Self::split(value)?;
        Ok(CSeq {
            number,
            method: Method::read(method, whole),
        })
    }

    /// Number and method's token.
    pub(crate) fn split(value: &[u8]) -> Result<(u32, &[u8]), Flaw<'_>> {
        let flaw = Flaw {
            rule: Rule::CSeq,
            place: value,
        };
        let end = value
            .iter()
            .position(|octet| lexis::is_space(*octet))
            .ok_or(flaw)?;
        let number = lexis::number(&value[..end], (1 << 31) - 1).ok_or(flaw)?;
        let method = lexis::trim(&value[end..]);
        if !lexis::is_token(method) {
            return Err(flaw);
        }
        Ok((u32::try_from(number).map_err(|_| flaw)?, method))
    }
}

/// A party: From, To, Contact, Route, P-Asserted-Identity and their like. `Debug` shows its shape only.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct NameAddr<'a> {
    display: &'a [u8],
    uri: Uri<'a>,
    params: Params<'a>,
}

impl<'a> NameAddr<'a> {
    /// Reads a party from text: a header's value that came by another way than its header.
    ///
    /// # Errors
    /// The rule that is broken.
    pub fn parse(text: &'a str) -> Result<NameAddr<'a>, Rule> {
        Self::read(text.as_bytes()).map_err(|flaw| flaw.rule)
    }

    /// Reads `"display" <uri>;params`, `<uri>;params` or `uri;params` (RFC 3261 section 20.10).
    ///
    /// # Errors
    /// A [`Flaw`] that points at what is wrong.
    pub(crate) fn read(octets: &'a [u8]) -> Result<NameAddr<'a>, Flaw<'a>> {
        let flaw = |place| Flaw {
            rule: Rule::NameAddr,
            place,
        };
        let octets = lexis::trim(octets);
        let opening = match octets.first() {
            Some(b'"') => {
                let end = lexis::quoted_end(octets).ok_or(flaw(octets))?;
                let gap = octets[end..]
                    .iter()
                    .position(|octet| !lexis::is_space(*octet))
                    .ok_or(flaw(octets))?;
                if octets[end + gap] != b'<' {
                    return Err(flaw(&octets[end..]));
                }
                Some(end + gap)
            }
            Some(_) => memchr2(b'<', b'"', octets).filter(|at| octets[*at] == b'<'),
            None => return Err(flaw(octets)),
        };
        let (display, uri, params) = match opening {
            Some(at) => {
                let inner = &octets[at + 1..];
                let closing = memchr(b'>', inner).ok_or(flaw(octets))?;
                // White space inside the brackets is no URI's, and harmless (RFC 4475 section 3.1.2.14).
                (
                    lexis::trim(&octets[..at]),
                    lexis::trim(&inner[..closing]),
                    &inner[closing + 1..],
                )
            }
            None => {
                let end = octets
                    .iter()
                    .position(|octet| *octet == b';' || lexis::is_space(*octet))
                    .unwrap_or(octets.len());
                (&octets[..0], &octets[..end], &octets[end..])
            }
        };
        let uri = Uri::read(uri)?;
        // Without brackets a `?` cannot be told from the header's own (RFC 3261 section 20.10).
        if opening.is_none() && uri.has_headers() {
            return Err(flaw(octets));
        }
        Ok(NameAddr {
            display,
            uri,
            params: Params::parse(params).map_err(flaw)?,
        })
    }

    /// The display name without quotes and escapes; octets that are no UTF-8 become U+FFFD. None if empty.
    pub fn display(&self) -> Option<Cow<'a, str>> {
        let inner = match self.display {
            [b'"', inner @ .., b'"'] => inner,
            bare => bare,
        };
        if inner.is_empty() {
            return None;
        }
        if memchr2(b'\\', b'\r', inner).is_none() {
            return Some(String::from_utf8_lossy(inner));
        }
        let mut octets = Vec::with_capacity(inner.len());
        let mut rest = inner.iter();
        while let Some(octet) = rest.next() {
            match octet {
                b'\\' => octets.extend(rest.next()),
                b'\r' | b'\n' => {}
                plain => octets.push(*plain),
            }
        }
        Some(Cow::Owned(String::from_utf8_lossy(&octets).into_owned()))
    }

    /// The display name as it stands, quotes and all.
    pub fn display_octets(&self) -> &'a [u8] {
        self.display
    }

    /// The URI.
    pub fn uri(&self) -> Uri<'a> {
        self.uri
    }

    /// The tag of a From or To.
    pub fn tag(&self) -> Option<&'a [u8]> {
        self.params.get("tag").flatten()
    }

    /// A parameter of the header: `Some(None)` where it stands without a value.
    pub fn param(&self, name: &str) -> Option<Option<&'a [u8]>> {
        self.params.get(name)
    }
}

impl fmt::Debug for NameAddr<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NameAddr")
            .field("display_bytes", &self.display.len())
            .field("uri", &self.uri)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_name_is_found_by_its_own_text() {
        for name in [
            HeaderName::CallId,
            HeaderName::PCalledPartyId,
            HeaderName::PAssertedIdentity,
            HeaderName::PAssociatedUri,
            HeaderName::ServiceRoute,
            HeaderName::MinExpires,
            HeaderName::Expires,
            HeaderName::ContentEncoding,
        ] {
            assert_eq!(
                HeaderName::read(name.as_str().to_ascii_uppercase().as_bytes()),
                name
            );
        }
        assert_eq!(HeaderName::read(b"M"), HeaderName::Contact);
        assert_eq!(HeaderName::read(b"X-Unknown"), HeaderName::Other);
    }

    #[test]
    fn a_display_name_may_be_quoted_bare_or_absent() {
        let quoted = NameAddr::read(
            b"\"J \\\\\\\"\"       <sip:jdrosen@example.com>\r\n  ;\r\n  tag = 98asjd8",
        )
        .ok()
        .unwrap();
        assert_eq!(quoted.display().as_deref(), Some("J \\\""));
        assert_eq!(quoted.tag(), Some(&b"98asjd8"[..]));
        let bare = NameAddr::read(b"caller<sip:caller@example.com>;tag=323")
            .ok()
            .unwrap();
        assert_eq!(bare.display().as_deref(), Some("caller"));
        let none = NameAddr::read(b"sip:caller@example.net;tag=234")
            .ok()
            .unwrap();
        assert_eq!((none.display(), none.tag()), (None, Some(&b"234"[..])));
        assert_eq!(none.uri().as_str(), "sip:caller@example.net");
    }

    #[test]
    fn foreign_octets_in_a_display_name_are_no_fault() {
        let party = NameAddr::read(b"\"\xd5\xb1\" <sip:a@b>").ok().unwrap();
        assert_eq!(party.display().as_deref(), Some("\u{571}"));
        let broken = NameAddr::read(b"\"\xff\" <sip:a@b>").ok().unwrap();
        assert_eq!(broken.display().as_deref(), Some("\u{fffd}"));
    }

    #[test]
    fn an_open_quote_or_bracket_is_refused() {
        for text in [
            "\"Mr. J. User <sip:j.user@example.com>",
            "<sip:a@b",
            "\"x\" sip:a@b",
            "\"x\"",
            "",
            "\"Joe\" <sip:joe@example.org>;;;;",
        ] {
            assert!(NameAddr::read(text.as_bytes()).is_err(), "{text}");
        }
    }

    #[test]
    fn a_cseq_is_a_31_bit_number_and_a_token() {
        let whole = Bytes::from_static(b"0009\r\n  INVITE");
        assert_eq!(
            CSeq::read(&whole, &whole).ok(),
            Some(CSeq {
                number: 9,
                method: Method::Invite
            })
        );
        for text in [
            "36893488147419103232 REGISTER",
            "2147483648 BYE",
            "1",
            "1 ",
            "x INVITE",
        ] {
            assert!(CSeq::split(text.as_bytes()).is_err(), "{text}");
        }
    }
}
