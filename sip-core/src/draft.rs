//! A message that is being written, from typed fields only.
//!
//! What an application or a peer hands over cannot break a line: control characters become spaces, URIs are escaped.
//! Follows RFC 3261 sections 7.3, 8.1.1 (requests) and 8.2.6 (answers).

use std::{fmt::Display, io::Write, net::SocketAddr};

use bytes::Bytes;

use crate::{
    header::HeaderName,
    hop::{Hop, written},
    lexis,
    message::{Message, push_unfolded},
    token::Token,
    uri::Scheme,
    via,
};

/// What an answer may allow: the methods this endpoint understands.
pub(crate) const ALLOW: &str =
    "INVITE, ACK, BYE, CANCEL, OPTIONS, PRACK, UPDATE, INFO, REFER, NOTIFY";

/// The one type of body it understands.
pub(crate) const SDP: &str = "application/sdp";

/// What a body may be: a description, or several parts with one among them.
pub(crate) const ACCEPT: &str = "application/sdp, multipart/mixed";

/// See the module.
pub(crate) struct Draft {
    octets: Vec<u8>,
}

impl Draft {
    pub(crate) fn request(method: &str, uri: &str) -> Draft {
        let mut draft = Draft {
            octets: Vec::with_capacity(1024),
        };
        draft.octets.extend_from_slice(method.as_bytes());
        draft.octets.push(b' ');
        draft.push_uri(uri);
        draft.octets.extend_from_slice(b" SIP/2.0\r\n");
        draft
    }

    /// Writes a request of ours once more: under a new branch and number, with `lines` instead of headers of their names.
    pub(crate) fn again(
        request: &Message,
        method: &str,
        hop: Hop,
        branch: Token,
        cseq: u32,
        lines: &[(&'static str, String)],
    ) -> Bytes {
        let uri = request.request_uri().map_or("", |uri| uri.as_str());
        let mut draft = Draft::request(method, uri).via(hop, branch);
        for (name, value) in request.fields() {
            let is_replaced = lines
                .iter()
                .any(|(line, _)| name.eq_ignore_ascii_case(line.as_bytes()));
            let is_own = matches!(
                HeaderName::read(name),
                HeaderName::Via
                    | HeaderName::CSeq
                    | HeaderName::ContentLength
                    | HeaderName::ContentType
            );
            if !is_replaced && !is_own {
                draft.octets.extend_from_slice(name);
                draft.copy("", Some(value));
            }
        }
        draft = draft.format("CSeq", format_args!("{cseq} {method}"));
        for (name, value) in lines {
            draft = draft.line(name, value);
        }
        let kind = request.text(HeaderName::ContentType);
        draft.finish(kind.as_deref().unwrap_or(SDP), Some(&request.body()))
    }

    /// Begins an answer to a request that came from `source`: Via, From, To, Call-ID and CSeq as RFC 3261 section 8.2.6.2 wants them.
    ///
    /// `tag`: our To tag, for a request whose To has none.
    pub(crate) fn answer(
        request: &Message,
        source: SocketAddr,
        status: u16,
        phrase: &str,
        tag: Option<&dyn Display>,
    ) -> Draft {
        let mut draft = Draft {
            octets: Vec::with_capacity(768),
        };
        draft.write(format_args!("SIP/2.0 {status} "));
        draft.push_clean(phrase.as_bytes());
        draft.octets.extend_from_slice(b"\r\n");
        draft.vias(request, source);
        draft.copy("From", request.value(HeaderName::From));
        draft.octets.extend_from_slice(b"To: ");
        push_unfolded(
            &mut draft.octets,
            request.value(HeaderName::To).unwrap_or_default(),
        );
        if let Some(tag) = tag
            && request.to().is_ok_and(|to| to.tag().is_none())
        {
            draft.write(format_args!(";tag={tag}"));
        }
        draft.octets.extend_from_slice(b"\r\n");
        draft.copy("Call-ID", request.value(HeaderName::CallId));
        draft.copy("CSeq", request.value(HeaderName::CSeq));
        draft
    }

    /// Copies the Via; the topmost gets `received` and `rport` (RFC 3261 section 18.2.1, RFC 3581 section 4).
    fn vias(&mut self, request: &Message, source: SocketAddr) {
        let mut is_top = true;
        for value in request.values(HeaderName::Via) {
            self.octets.extend_from_slice(b"Via: ");
            if std::mem::take(&mut is_top) {
                self.top_via(request, source);
                for element in lexis::elements(value).skip(1) {
                    self.octets.extend_from_slice(b", ");
                    push_unfolded(&mut self.octets, element);
                }
            } else {
                push_unfolded(&mut self.octets, value);
            }
            self.octets.extend_from_slice(b"\r\n");
        }
    }

    fn top_via(&mut self, request: &Message, source: SocketAddr) {
        let Ok(via) = request.via() else { return };
        push_unfolded(&mut self.octets, via.protocol);
        self.octets.push(b' ');
        push_unfolded(&mut self.octets, via.sent_by.as_bytes());
        for (name, value) in via.params.iter() {
            if name.eq_ignore_ascii_case(b"received") || name.eq_ignore_ascii_case(b"rport") {
                continue;
            }
            self.octets.push(b';');
            self.octets.extend_from_slice(name);
            if let Some(value) = value {
                self.octets.push(b'=');
                push_unfolded(&mut self.octets, value);
            }
        }
        let address = source.ip().to_canonical();
        if via.wants_rport() || via.host.address() != Some(address) {
            self.write(format_args!(";received={address}"));
        }
        if via.wants_rport() {
            self.write(format_args!(";rport={}", source.port()));
        }
    }

    /// Writes one header.
    pub(crate) fn line(mut self, name: &str, value: &str) -> Draft {
        self.octets.extend_from_slice(name.as_bytes());
        self.octets.extend_from_slice(b": ");
        self.push_clean(value.as_bytes());
        self.octets.extend_from_slice(b"\r\n");
        self
    }

    /// Writes one header of formatted, harmless parts.
    pub(crate) fn format(mut self, name: &str, value: std::fmt::Arguments<'_>) -> Draft {
        self.write(format_args!("{name}: {value}\r\n"));
        self
    }

    /// Names where answers to a request of ours are to come, and its transaction (RFC 3261 section 8.1.1.7, RFC 3581 section 3).
    pub(crate) fn via(self, hop: Hop, branch: Token) -> Draft {
        self.format(
            "Via",
            format_args!(
                "SIP/2.0/{} {};rport;branch={}{branch}",
                hop.transport.via_token(),
                written(hop.local),
                via::COOKIE
            ),
        )
    }

    /// Writes one header whose value is already in SIP's form.
    pub(crate) fn octets(mut self, name: &str, value: &[u8]) -> Draft {
        self.copy(name, Some(value));
        self
    }

    /// Copies the headers of a name out of a message of the same leg.
    pub(crate) fn same(mut self, message: &Message, name: HeaderName) -> Draft {
        for value in message.values(name) {
            self.copy(name.as_str(), Some(value));
        }
        self
    }

    /// Writes the application's headers, but none of those that the endpoint owns.
    pub(crate) fn lines(mut self, headers: &[(&'static str, String)]) -> Draft {
        for (name, value) in headers {
            let is_ours = matches!(
                HeaderName::read(name.as_bytes()),
                HeaderName::Via
                    | HeaderName::From
                    | HeaderName::To
                    | HeaderName::CallId
                    | HeaderName::CSeq
                    | HeaderName::MaxForwards
                    | HeaderName::Contact
                    | HeaderName::Route
                    | HeaderName::RecordRoute
                    | HeaderName::ContentLength
                    | HeaderName::ContentType
            );
            if !is_ours && lexis::is_token(name.as_bytes()) {
                self = self.line(name, value);
            }
        }
        self
    }

    /// Writes the route that a request outside of a dialog begins with (RFC 3261 section 8.1.2); inside, the dialog has its own.
    pub(crate) fn preloaded_route(mut self, headers: &[(&'static str, String)]) -> Draft {
        for (name, value) in headers {
            if HeaderName::read(name.as_bytes()) == HeaderName::Route {
                self = self.line("Route", value);
            }
        }
        self
    }

    /// Writes our Contact.
    ///
    /// `scheme`: sips where the call is (RFC 3261 section 8.1.1.8), which says the transport itself.
    pub(crate) fn contact(mut self, user: Option<&str>, hop: Hop, scheme: Scheme) -> Draft {
        let (scheme, transport) = match scheme {
            Scheme::Sips => ("sips", ""),
            Scheme::Sip | Scheme::Tel | Scheme::Other => ("sip", hop.transport.uri_param()),
        };
        self.write(format_args!("Contact: <{scheme}:"));
        if let Some(user) = user {
            self.push_user(user);
            self.octets.push(b'@');
        }
        self.write(format_args!("{}{transport}>\r\n", written(hop.local)));
        self
    }

    /// Writes the end; an empty body is none.
    pub(crate) fn finish(mut self, content_type: &str, body: Option<&[u8]>) -> Bytes {
        let body = body.unwrap_or_default();
        if !body.is_empty() {
            self = self.line("Content-Type", content_type);
        }
        self.write(format_args!("Content-Length: {}\r\n\r\n", body.len()));
        self.octets.extend_from_slice(body);
        Bytes::from(self.octets)
    }

    fn copy(&mut self, name: &str, value: Option<&[u8]>) {
        let Some(value) = value else { return };
        self.octets.extend_from_slice(name.as_bytes());
        self.octets.extend_from_slice(b": ");
        push_unfolded(&mut self.octets, value);
        self.octets.extend_from_slice(b"\r\n");
    }

    fn write(&mut self, arguments: std::fmt::Arguments<'_>) {
        self.octets
            .write_fmt(arguments)
            .expect("a vector takes every write");
    }

    fn push_clean(&mut self, text: &[u8]) {
        self.octets.extend(text.iter().map(|octet| {
            if octet.is_ascii_control() {
                b' '
            } else {
                *octet
            }
        }));
    }

    fn push_uri(&mut self, uri: &str) {
        push_uri(&mut self.octets, uri);
    }

    /// Escapes what may not stand in a user part (RFC 3261 section 25.1).
    fn push_user(&mut self, user: &str) {
        for octet in user.bytes() {
            let stands = octet.is_ascii_alphanumeric() || b"-_.!~*'()&=+$,;?/".contains(&octet);
            push_escaped(&mut self.octets, octet, stands);
        }
    }
}

/// Escapes what would end a URI early.
fn push_uri(out: &mut Vec<u8>, uri: &str) {
    for octet in uri.bytes() {
        let ends = octet <= b' ' || matches!(octet, b'<' | b'>' | b'"' | 0x7f);
        push_escaped(out, octet, !ends);
    }
}

fn push_escaped(out: &mut Vec<u8>, octet: u8, stands: bool) {
    if stands {
        out.push(octet);
    } else {
        write!(out, "%{octet:02X}").expect("a vector takes every write");
    }
}

/// Writes `"display" <uri>`.
pub(crate) fn party(display: Option<&str>, uri: &str) -> Vec<u8> {
    let mut out = Vec::with_capacity(64);
    if let Some(display) = display {
        out.push(b'"');
        for octet in display.bytes() {
            match octet {
                b'"' | b'\\' => out.extend_from_slice(&[b'\\', octet]),
                control if control.is_ascii_control() => out.push(b' '),
                plain => out.push(plain),
            }
        }
        out.extend_from_slice(b"\" ");
    }
    out.push(b'<');
    push_uri(&mut out, uri);
    out.push(b'>');
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source() -> SocketAddr {
        "192.0.2.9:6000".parse().unwrap()
    }

    #[test]
    fn an_answer_copies_what_names_the_transaction_and_says_where_it_came_from() {
        let request = "OPTIONS sip:b@y SIP/2.0\r\nv: SIP / 2.0 / UDP 192.0.2.1;rport;x=\"a,b\";branch=z9hG4bKa,\r\n SIP/2.0/TCP p\r\n\
            Via: SIP/2.0/UDP q\r\nf: <sip:a@x>;\r\n tag=1\r\nt: <sip:b@y>\r\ni: c\r\nCSeq: 1\r\n OPTIONS\r\n\r\n";
        let request = Message::parse(Bytes::from_static(request.as_bytes())).unwrap();
        let answer = Draft::answer(&request, source(), 405, "No\r\nNo", Some(&"t"))
            .line("Allow", ALLOW)
            .finish(SDP, None);
        let expected = "SIP/2.0 405 No  No\r\n\
            Via: SIP / 2.0 / UDP 192.0.2.1;x=\"a,b\";branch=z9hG4bKa;received=192.0.2.9;rport=6000, SIP/2.0/TCP p\r\n\
            Via: SIP/2.0/UDP q\r\nFrom: <sip:a@x>; tag=1\r\nTo: <sip:b@y>;tag=t\r\nCall-ID: c\r\nCSeq: 1 OPTIONS\r\n\
            Allow: INVITE, ACK, BYE, CANCEL, OPTIONS, PRACK, UPDATE, INFO, REFER, NOTIFY\r\nContent-Length: 0\r\n\r\n";
        assert_eq!(String::from_utf8_lossy(&answer), expected);
    }

    #[test]
    fn nothing_handed_over_can_break_a_line() {
        let headers = vec![
            ("X-A", "b\r\nVia: forged".to_owned()),
            ("Via", "forged".to_owned()),
            ("bad name", String::new()),
        ];
        let text = Draft::request("INVITE", "sip:a@b>\r\nX: y")
            .octets("From", &party(Some("\"quoted\"\r\n\\"), "sip:c@d>;tag=x"))
            .contact(Some("e@f g"), Hop::udp(source(), source()), Scheme::Sip)
            .lines(&headers)
            .finish(SDP, Some(b"v=0"));
        let expected = "INVITE sip:a@b%3E%0D%0AX:%20y SIP/2.0\r\nFrom: \"\\\"quoted\\\"  \\\\\" <sip:c@d%3E;tag=x>\r\n\
            Contact: <sip:e%40f%20g@192.0.2.9:6000>\r\nX-A: b  Via: forged\r\nContent-Type: application/sdp\r\nContent-Length: 3\r\n\r\nv=0";
        assert_eq!(String::from_utf8_lossy(&text), expected);
    }

    #[test]
    fn a_route_of_the_application_is_written_only_where_a_request_begins() {
        let headers = vec![
            ("Route", "<sip:edge.example;lr>".to_owned()),
            ("X-Own", "1".to_owned()),
            ("route", "<sip:home.example;lr>".to_owned()),
        ];
        let draft = Draft::request("INVITE", "sip:b@y").preloaded_route(&headers);
        let text = draft.lines(&headers).finish(SDP, None);
        let text = String::from_utf8_lossy(&text).into_owned();
        let expected = "INVITE sip:b@y SIP/2.0\r\nRoute: <sip:edge.example;lr>\r\nRoute: <sip:home.example;lr>\r\nX-Own: 1\r\n";
        assert!(text.starts_with(expected), "{text}");
        assert_eq!(text.matches("oute:").count(), 2);
    }
}
