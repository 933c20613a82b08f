//! Where requests to a peer go, as people write it: `HOST[:PORT][;transport=udp|tcp|tls]`.

use std::{
    fmt,
    net::{IpAddr, SocketAddr},
};

use exchange::{Place, TrunkTarget};
use sip_core::Transport;

/// A name in the name system (RFC 1035 section 2.3.4).
const MAX_NAME_BYTES: usize = 253;

/// The ways SIP travels, by the words of the configuration.
pub(crate) const TRANSPORTS: [(&str, Transport); 3] = [
    ("udp", Transport::Udp),
    ("tcp", Transport::Tcp),
    ("tls", Transport::Tls),
];

/// One place and the way to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Destination {
    pub(crate) place: Place,
    pub(crate) transport: Transport,
}

impl Destination {
    /// Reads the text; `transport` is meant where it names none.
    ///
    /// # Errors
    /// A sentence that says what is wrong with the text.
    pub(crate) fn parse(text: &str, transport: Transport) -> Result<Destination, &'static str> {
        let (place, transport) = match text.split_once(';') {
            None => (text, transport),
            Some((place, parameter)) => {
                let named = parameter.strip_prefix("transport=");
                let known = TRANSPORTS.iter().find(|(name, _)| Some(*name) == named);
                let (_, transport) =
                    known.ok_or("after the semicolon only transport=udp, tcp or tls may stand")?;
                (place, *transport)
            }
        };
        if let Ok(address) = place.parse::<SocketAddr>() {
            return Destination::at(address, transport);
        }
        let bare = place.strip_prefix('[').and_then(|v6| v6.strip_suffix(']'));
        if let Ok(address) = bare.unwrap_or(place).parse::<IpAddr>() {
            let address = SocketAddr::new(address, transport.default_port());
            return Destination::at(address, transport);
        }
        let (host, port) = match place.rsplit_once(':') {
            None => (place, None),
            Some((host, port)) => {
                let port = port.parse().ok().filter(|port| *port != 0);
                (host, Some(port.ok_or("its port is no port number")?))
            }
        };
        if !is_name(host) {
            return Err("it is neither an IP address nor a name");
        }
        Ok(Destination {
            place: Place::Name {
                host: host.to_ascii_lowercase(),
                port,
            },
            transport,
        })
    }

    fn at(address: SocketAddr, transport: Transport) -> Result<Destination, &'static str> {
        if address.port() == 0 {
            return Err("its port is no port number");
        }
        if !is_of_one_host(address.ip()) {
            return Err("it is no address of one host");
        }
        Ok(Destination {
            place: Place::Address(address),
            transport,
        })
    }

    /// The address, where it is one.
    pub(crate) fn address(&self) -> Option<SocketAddr> {
        match self.place {
            Place::Address(address) => Some(address),
            Place::Name { .. } => None,
        }
    }

    /// As one of a peer's targets.
    pub(crate) fn target(&self, priority: u16, weight: u16) -> TrunkTarget {
        TrunkTarget {
            place: self.place.clone(),
            transport: self.transport,
            priority,
            weight,
        }
    }
}

impl fmt::Display for Destination {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.place {
            Place::Address(address) => write!(f, "{address}")?,
            Place::Name { host, port } => {
                f.write_str(host)?;
                if let Some(port) = port {
                    write!(f, ":{port}")?;
                }
            }
        }
        match self.transport {
            // What is meant where nothing is written.
            Transport::Udp => Ok(()),
            Transport::Tcp => f.write_str(";transport=tcp"),
            Transport::Tls => f.write_str(";transport=tls"),
        }
    }
}

/// Whether the address is one host's, not nobody's and no group's.
pub(super) fn is_of_one_host(address: IpAddr) -> bool {
    let is_broadcast = matches!(address, IpAddr::V4(address) if address.is_broadcast());
    !address.is_unspecified() && !address.is_multicast() && !is_broadcast
}

/// RFC 1123 section 2.1; a name of digits and dots alone would be a mistyped address.
pub(super) fn is_name(host: &str) -> bool {
    let is_label = |label: &str| {
        (1..=63).contains(&label.len())
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
    };
    host.len() <= MAX_NAME_BYTES
        && host.split('.').all(is_label)
        && host.bytes().any(|byte| byte.is_ascii_alphabetic())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_destination_is_read_with_or_without_port_and_transport() {
        for (text, read) in [
            ("192.0.2.20", "192.0.2.20:5060"),
            ("192.0.2.20:5062;transport=udp", "192.0.2.20:5062"),
            ("192.0.2.20:5062", "192.0.2.20:5062"),
            ("192.0.2.20;transport=tls", "192.0.2.20:5061;transport=tls"),
            ("[2001:db8::20]", "[2001:db8::20]:5060"),
            (
                "[2001:db8::20]:5062;transport=tcp",
                "[2001:db8::20]:5062;transport=tcp",
            ),
            ("2001:db8::20", "[2001:db8::20]:5060"),
            (
                "SBC.example.jp;transport=tcp",
                "sbc.example.jp;transport=tcp",
            ),
            ("sbc.example.jp:5070", "sbc.example.jp:5070"),
        ] {
            let destination = Destination::parse(text, Transport::Udp).unwrap();
            assert_eq!(destination.to_string(), read, "{text}");
        }
    }

    #[test]
    fn what_is_no_destination_is_refused_with_its_reason() {
        for text in [
            "",
            "192.0.2.300",
            "192.0.2.20:0",
            "192.0.2.20:99999",
            "192.0.2.20;transport=sctp",
            "192.0.2.20;maddr=192.0.2.9",
            "0.0.0.0:5060",
            "224.0.0.1",
            "255.255.255.255",
            "-sbc.example.jp",
            "sbc..jp",
            "sbc.example.jp:port",
            "pbx@sbc.example.jp",
        ] {
            assert!(Destination::parse(text, Transport::Udp).is_err(), "{text}");
        }
    }
}
