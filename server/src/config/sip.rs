//! `[sip]`: where SIP is taken, who we are over TLS, how connections are kept, whom names are asked of.

use std::{fmt, net::SocketAddr, path::Path, time::Duration};

use exchange::Listener;
use sip_core::Transport;

use super::{
    peer::DSCP,
    quoted,
    reader::{Faults, Placed, Section},
    target::TRANSPORTS,
};
use crate::wire::{Keeping, TlsFiles};

/// The longest silence that a setting may ask for on a connection.
const MAX_SILENCE_S: i64 = 24 * 3600;

/// What `[sip]` says.
#[derive(Clone, Debug)]
pub(crate) struct Sip {
    /// Where SIP is taken, and how; never empty.
    pub(crate) listeners: Vec<Listener>,
    /// Who we are over TLS.
    pub(crate) tls: Option<TlsFiles>,
    /// Signs of life on connections.
    pub(crate) keeping: Keeping,
    /// How packets are marked where a peer does not say.
    pub(crate) dscp: u8,
    /// Whom names are asked of; none: what the system says.
    pub(crate) resolver: Option<SocketAddr>,
}

impl Sip {
    /// The first address at which we listen: what stands for us where any would do.
    pub(crate) fn first_address(&self) -> SocketAddr {
        self.listeners[0].address
    }
}

impl fmt::Display for Sip {
    /// `sip:192.0.2.1:5060 (UDP, TCP), sip:192.0.2.1:5061 (TLS)`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut before = None;
        for Listener { transport, address } in &self.listeners {
            match before.replace(*address) {
                None => write!(f, "sip:{address} ({transport}")?,
                Some(same) if same == *address => write!(f, ", {transport}")?,
                Some(_) => write!(f, "), sip:{address} ({transport}")?,
            }
        }
        f.write_str(")")
    }
}

pub(super) fn read(base: &Path, mut section: Section<'_>, faults: &mut Faults) -> Option<Sip> {
    let listen = section.texts(faults, "listen");
    let is_empty = listen.as_ref().is_some_and(Vec::is_empty);
    if is_empty || listen.is_none() && !section.holds("listen") {
        section.missing(faults, "listen", "add listen = \"ADDRESS:5060\"");
    }
    let mut listeners = Vec::new();
    for text in listen.iter().flatten() {
        for listener in listeners_of(text, faults) {
            if listeners.contains(&listener) {
                faults.at(
                    text,
                    quoted(text),
                    "each address once",
                    "remove one of them",
                );
            } else {
                listeners.push(listener);
            }
        }
    }
    let resolver = section.text(faults, "resolver").and_then(|text| {
        let address = text.value.parse().ok();
        if address.is_none() {
            let remedy = "write resolver = \"192.0.2.53:53\", or leave it out to ask what /etc/resolv.conf names";
            faults.at(&text, quoted(&text), "an address with port", remedy);
        }
        address
    });
    let mut keeping = Keeping::default();
    if let Some(ping) = section.integer(faults, "keepalive_s", 0..MAX_SILENCE_S + 1) {
        keeping.ping = seconds(&ping).filter(|ping| !ping.is_zero());
    }
    if let Some(idle) = section.integer(faults, "idle_s", 1..MAX_SILENCE_S + 1) {
        keeping.idle = seconds(&idle).unwrap_or(keeping.idle);
    }
    let dscp = section.integer(faults, "dscp", DSCP);
    let holds_tls = section.holds("tls");
    let tls = section
        .section(faults, "tls")
        .and_then(|section| read_tls(base, section, faults));
    let takes_tls = listeners
        .iter()
        .any(|listener| listener.transport == Transport::Tls);
    if takes_tls && !holds_tls {
        let remedy =
            "add [sip.tls] with certificate and key, or take the listener with transport=tls out";
        section.missing(faults, "tls", remedy);
    }
    section.finish(faults);
    (!listeners.is_empty()).then_some(Sip {
        listeners,
        tls,
        keeping,
        dscp: dscp.map_or(0, |dscp| u8::try_from(dscp.value).unwrap_or_default()),
        resolver,
    })
}

/// Reads `ADDRESS:PORT[;transport=udp|tcp|tls]`; without a transport it is UDP and TCP.
fn listeners_of(text: &Placed<&str>, faults: &mut Faults) -> Vec<Listener> {
    let (address, transports) = match text.value.split_once(";transport=") {
        None => (text.value, vec![Transport::Udp, Transport::Tcp]),
        Some((address, named)) => match TRANSPORTS.iter().find(|(name, _)| *name == named) {
            Some((_, transport)) => (address, vec![*transport]),
            None => {
                let remedy = "write ;transport=udp, ;transport=tcp or ;transport=tls, or leave it out for UDP and TCP";
                faults.at(text, quoted(text), "a transport that is known", remedy);
                return Vec::new();
            }
        },
    };
    let address = address.parse::<SocketAddr>().ok().filter(|address| {
        !address.ip().is_unspecified() && !address.ip().is_multicast() && address.port() != 0
    });
    let Some(address) = address else {
        let remedy = "write the host's own address and a port; it stands in every message we send, so 0.0.0.0 will not do";
        faults.at(
            text,
            quoted(text),
            "an address with port, such as 127.0.0.1:5060",
            remedy,
        );
        return Vec::new();
    };
    let listener = |transport| Listener { transport, address };
    transports.into_iter().map(listener).collect()
}

fn read_tls(base: &Path, mut section: Section<'_>, faults: &mut Faults) -> Option<TlsFiles> {
    let certificate = section.required_text(
        faults,
        "certificate",
        "name the file of our certificate and its chain: certificate = \"tls/certificate.pem\"",
    );
    let key = section.required_text(
        faults,
        "key",
        "name the file of its key: key = \"tls/key.pem\"",
    );
    let ca = section.text(faults, "ca");
    let client_ca = section.text(faults, "client_ca");
    section.finish(faults);
    let place = |text: Placed<&str>| base.join(text.value);
    Some(TlsFiles {
        certificate: place(certificate?),
        key: place(key?),
        ca: ca.map(place),
        client_ca: client_ca.map(place),
    })
}

fn seconds(value: &Placed<i64>) -> Option<Duration> {
    u64::try_from(value.value).ok().map(Duration::from_secs)
}
