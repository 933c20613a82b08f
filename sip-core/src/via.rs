//! One Via: where an answer goes, and the branch that names its transaction.
//!
//! Follows RFC 3261 sections 18.2 and 20.42, RFC 3581 (rport) and RFC 5118 section 4.5 (`received` with and without brackets).

use std::{fmt, net::IpAddr};

use crate::{
    fault::{Flaw, Rule},
    hop::Hop,
    lexis,
    lexis::Params,
    uri,
    uri::Host,
};

/// What a branch of RFC 3261 section 8.1.1.7 begins with.
pub(crate) const COOKIE: &str = "z9hG4bK";

/// A Via, as a view over a message. `Debug` shows its shape only.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Via<'a> {
    pub(crate) protocol: &'a [u8],
    pub(crate) transport: &'a [u8],
    pub(crate) sent_by: &'a str,
    pub(crate) host: Host<'a>,
    pub(crate) port: Option<u16>,
    pub(crate) params: Params<'a>,
}

impl<'a> Via<'a> {
    /// Reads one element of a Via header.
    ///
    /// # Errors
    /// A [`Flaw`] that points at what is wrong.
    ///
    /// Source: RFC 3261 section 20.42, with white space as RFC 4475 section 3.1.1.1 has it.
    pub(crate) fn read(octets: &'a [u8]) -> Result<Via<'a>, Flaw<'a>> {
        let flaw = |place| Flaw {
            rule: Rule::Via,
            place,
        };
        let (name, rest) = token(octets).ok_or(flaw(octets))?;
        let rest = slash(rest).ok_or(flaw(rest))?;
        let (version, rest) = token(rest).ok_or(flaw(rest))?;
        let rest = slash(rest).ok_or(flaw(rest))?;
        let (transport, rest) = token(rest).ok_or(flaw(rest))?;
        if !name.eq_ignore_ascii_case(b"SIP") || version.is_empty() {
            return Err(flaw(octets));
        }
        if !rest.first().is_some_and(|octet| lexis::is_space(*octet)) {
            return Err(flaw(rest));
        }
        let rest = lexis::trim_start(rest);
        let end = rest
            .iter()
            .position(|octet| *octet == b';')
            .unwrap_or(rest.len());
        let (sent_by, params) = rest.split_at(end);
        let sent_by = std::str::from_utf8(lexis::trim(sent_by)).map_err(|_| flaw(sent_by))?;
        let (host, port) = uri::read_host_port(sent_by).ok_or(flaw(rest))?;
        let params = Params::parse(params).map_err(flaw)?;
        let head = octets.len() - rest.len();
        Ok(Via {
            protocol: lexis::trim(&octets[..head]),
            transport,
            sent_by,
            host,
            port,
            params,
        })
    }

    /// The transport as it was written (`UDP`, `TCP`, or a token nobody knows).
    pub fn transport(&self) -> &'a [u8] {
        self.transport
    }

    /// Who says it sent the message.
    pub fn host(&self) -> Host<'a> {
        self.host
    }

    /// The port it says it listens at.
    pub fn port(&self) -> Option<u16> {
        self.port
    }

    /// The branch, in any form.
    pub fn branch(&self) -> Option<&'a [u8]> {
        self.params.get("branch").flatten()
    }

    /// The branch, if it is one of RFC 3261: the cookie and something behind it.
    pub(crate) fn unique_branch(&self) -> Option<&'a [u8]> {
        self.branch()
            .filter(|branch| branch.len() > COOKIE.len() && branch.starts_with(COOKIE.as_bytes()))
    }

    /// The address a hop before us saw it come from, with or without brackets (RFC 5118 section 4.5).
    pub fn received(&self) -> Option<IpAddr> {
        let text = std::str::from_utf8(self.params.get("received")??).ok()?;
        let bare = text
            .strip_prefix('[')
            .and_then(|inner| inner.strip_suffix(']'))
            .unwrap_or(text);
        match bare.parse() {
            Ok(address) => Some(IpAddr::V4(address)),
            Err(_) => uri::ipv6(bare).map(IpAddr::V6),
        }
    }

    /// Whether the sender asks for the answer at the port it sent from (RFC 3581 section 4).
    pub fn wants_rport(&self) -> bool {
        self.params.get("rport").is_some()
    }

    /// Which way an answer to a request that came by `source` goes: over a stream back by the same connection.
    ///
    /// Source: RFC 3261 section 18.2.2 and RFC 3581 section 4. `maddr` is not obeyed: answers go where the request came from.
    pub(crate) fn answer_to(&self, source: Hop) -> Hop {
        if source.transport.is_reliable() || self.wants_rport() {
            return source;
        }
        self.listens_at(source)
    }

    /// The way to where the sender of a request that came by `source` says it listens: for an answer whose connection is lost.
    ///
    /// Source: RFC 3261 section 18.2.2.
    pub(crate) fn listens_at(&self, source: Hop) -> Hop {
        let port = self.port.filter(|port| *port != 0);
        let port = port.unwrap_or(source.transport.default_port());
        Hop {
            remote: source.at(source.remote.ip(), port),
            ..source
        }
    }
}

impl fmt::Debug for Via<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Via")
            .field("host", &self.host)
            .field("port", &self.port)
            .finish_non_exhaustive()
    }
}

fn token(text: &[u8]) -> Option<(&[u8], &[u8])> {
    let end = text
        .iter()
        .position(|octet| !lexis::is_token_octet(*octet))
        .unwrap_or(text.len());
    (end > 0).then(|| text.split_at(end))
}

fn slash(text: &[u8]) -> Option<&[u8]> {
    lexis::trim_start(text)
        .strip_prefix(b"/")
        .map(lexis::trim_start)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hop::Transport;

    fn came_from(remote: &str) -> Hop {
        Hop::udp("192.0.2.1:5060".parse().unwrap(), remote.parse().unwrap())
    }

    #[test]
    fn white_space_may_stand_around_each_sign() {
        let via = Via::read(
            b"SIP  / 2.0  / TCP     spindle.example.com   ;\r\n  branch  =   z9hG4bK9ikj8",
        )
        .ok()
        .unwrap();
        assert_eq!(via.transport(), b"TCP");
        assert_eq!(via.host(), Host::Name("spindle.example.com"));
        assert_eq!(via.unique_branch(), Some(&b"z9hG4bK9ikj8"[..]));
    }

    #[test]
    fn received_is_read_with_and_without_brackets() {
        for text in ["received=2001:db8::9:255", "received=[2001:db8::9:255]"] {
            let line = format!("SIP/2.0/UDP [2001:db8::9:1];{text};branch=z9hG4bKas3");
            let via = Via::read(line.as_bytes()).ok().unwrap();
            assert_eq!(via.received(), "2001:db8::9:255".parse().ok());
        }
    }

    #[test]
    fn an_answer_goes_to_the_source_port_only_if_asked() {
        let source = came_from("192.0.2.9:6000");
        let plain = Via::read(b"SIP/2.0/UDP 192.0.2.1:5070;branch=z9hG4bKa")
            .ok()
            .unwrap();
        assert_eq!(plain.answer_to(source), came_from("192.0.2.9:5070"));
        let rport = Via::read(b"SIP/2.0/UDP 192.0.2.1:5070;rport;branch=z9hG4bKa")
            .ok()
            .unwrap();
        assert_eq!(rport.answer_to(source), source);
    }

    #[test]
    fn an_answer_goes_back_by_the_connection_and_else_to_where_its_sender_listens() {
        let via = Via::read(b"SIP/2.0/TCP 192.0.2.1:5070;branch=z9hG4bKa")
            .ok()
            .unwrap();
        let bare = Via::read(b"SIP/2.0/TLS 192.0.2.1;branch=z9hG4bKa")
            .ok()
            .unwrap();
        for (transport, port) in [(Transport::Tcp, 5060), (Transport::Tls, 5061)] {
            let by = |remote: &str| Hop {
                transport,
                ..came_from(remote)
            };
            let source = by("192.0.2.9:40123");
            assert_eq!(via.answer_to(source), source);
            assert_eq!(via.listens_at(source), by("192.0.2.9:5070"));
            assert_eq!(bare.listens_at(source), by(&format!("192.0.2.9:{port}")));
        }
    }

    #[test]
    fn an_answer_never_goes_to_port_zero() {
        let source = came_from("192.0.2.9:6000");
        let zero = Via::read(b"SIP/2.0/UDP 192.0.2.1:0;branch=z9hG4bKa")
            .ok()
            .unwrap();
        assert_eq!(zero.answer_to(source), came_from("192.0.2.9:5060"));
    }

    #[test]
    fn a_cookie_alone_is_no_branch() {
        let via = Via::read(b"SIP/2.0/UDP 192.0.2.1;branch=z9hG4bK")
            .ok()
            .unwrap();
        assert_eq!(via.unique_branch(), None);
    }

    #[test]
    fn loose_separators_are_refused() {
        for text in [
            "SIP/2.0/UDP 192.0.2.15;;,;,,",
            "SIP/2.0/UDP",
            "SIP/2.0 UDP host",
            "SIP/2.0/UDP host:port",
            "TCP/2.0/UDP host",
        ] {
            assert!(Via::read(text.as_bytes()).is_err(), "{text}");
        }
    }
}
