//! One way to a peer: the transport and both its ends.

use std::{
    collections::BTreeMap,
    fmt,
    net::{IpAddr, SocketAddr},
    sync::Arc,
};

use crate::peer::PeerId;

/// What carries messages between two hosts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Transport {
    /// One datagram is one message; what is lost is sent again.
    Udp,
    /// A stream; whoever reads it parts the messages by Content-Length.
    Tcp,
    /// The same inside TLS.
    Tls,
}

/// What became of a way to a peer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Loss {
    /// Nobody is there, or it will not have us: an ICMP error, a connection that could not be made, a failed handshake.
    Unreachable,
    /// A connection that stood has ended; a new one may be made.
    Broken,
}

impl Transport {
    /// Whether what was sent needs no repetition (RFC 3261 section 17.1.1.2).
    pub fn is_reliable(self) -> bool {
        match self {
            Transport::Udp => false,
            Transport::Tcp | Transport::Tls => true,
        }
    }

    /// The port where none is named (RFC 3261 section 19.1.2).
    pub fn default_port(self) -> u16 {
        match self {
            Transport::Udp | Transport::Tcp => 5060,
            Transport::Tls => 5061,
        }
    }

    /// As a URI's `transport` names it (RFC 3261 section 19.1.1); none for one we do not speak.
    pub(crate) fn read(name: &str) -> Option<Transport> {
        [
            ("udp", Transport::Udp),
            ("tcp", Transport::Tcp),
            ("tls", Transport::Tls),
        ]
        .into_iter()
        .find_map(|(known, transport)| known.eq_ignore_ascii_case(name).then_some(transport))
    }

    /// What our Contact in a sip URI says of it; nothing of UDP, which is what a URI means that says nothing.
    pub(crate) fn uri_param(self) -> &'static str {
        match self {
            Transport::Udp => "",
            Transport::Tcp => ";transport=tcp",
            Transport::Tls => ";transport=tls",
        }
    }

    /// As a Via names it (RFC 3261 section 20.42).
    pub(crate) fn via_token(self) -> &'static str {
        match self {
            Transport::Udp => "UDP",
            Transport::Tcp => "TCP",
            Transport::Tls => "TLS",
        }
    }
}

impl fmt::Display for Transport {
    /// As a Via names it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.via_token())
    }
}

/// One way to a peer. Two messages with the same hop travel by the same socket or connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Hop {
    /// What carries the messages.
    pub transport: Transport,
    /// Where we listen: what Via and Contact say, so an address the peer can reach, never `0.0.0.0`.
    ///
    /// For TCP and TLS too, where the connection itself may leave from another port.
    pub local: SocketAddr,
    /// The other end; of a connection the peer opened, the port it opened it from.
    pub remote: SocketAddr,
}

impl Hop {
    /// The same way by a new connection; none where there are no connections that could have died unnoticed.
    pub(crate) fn anew(self) -> Option<Hop> {
        self.transport.is_reliable().then_some(self)
    }

    /// A way over UDP.
    pub fn udp(local: SocketAddr, remote: SocketAddr) -> Hop {
        Hop {
            transport: Transport::Udp,
            local,
            remote,
        }
    }
}

impl Hop {
    /// The place of an address as seen from here: a link-local one lies in the zone of `remote` (RFC 4007 section 6).
    pub(crate) fn at(&self, address: IpAddr, port: u16) -> SocketAddr {
        let mut place = SocketAddr::new(address, port);
        if let (SocketAddr::V6(place), SocketAddr::V6(remote)) = (&mut place, self.remote)
            && place.ip().is_unicast_link_local()
        {
            place.set_scope_id(remote.scope_id());
        }
        place
    }
}

/// An address as a message holds it: a zone means something to this host alone (RFC 4007 section 6).
pub(crate) fn written(mut address: SocketAddr) -> SocketAddr {
    if let SocketAddr::V6(address) = &mut address {
        address.set_scope_id(0);
    }
    address
}

/// Where we listen, and who is at which address, known to every dialog: a peer's Contact may ask for another transport, another family of
/// addresses, or another address of its own.
#[derive(Debug, Clone)]
pub(crate) struct Listeners {
    ours: Arc<[(Transport, SocketAddr)]>,
    /// None: nobody has said who is where.
    neighbours: Option<Arc<BTreeMap<IpAddr, PeerId>>>,
}

impl Listeners {
    pub(crate) fn new(listeners: &[(Transport, SocketAddr)]) -> Listeners {
        Listeners {
            ours: listeners.into(),
            neighbours: None,
        }
    }

    /// Takes who is where, for the dialogs that begin from here on.
    pub(crate) fn set_neighbours(&mut self, neighbours: BTreeMap<IpAddr, PeerId>) {
        self.neighbours = Some(Arc::new(neighbours));
    }

    /// Whether an address is one of the same peer's as the other end of `came_by`; of anybody's where nobody has said who is where.
    fn is_of_one_peer(&self, address: IpAddr, came_by: Hop) -> bool {
        let Some(neighbours) = &self.neighbours else {
            return true;
        };
        let at = |address: IpAddr| neighbours.get(&address.to_canonical());
        let peer = at(came_by.remote.ip());
        address == came_by.remote.ip() || (peer.is_some() && at(address) == peer)
    }

    /// The way to an address, written with the listener that fits; none where we have none, and none to a stranger: whatever a Contact or a
    /// Record-Route names, nobody hears from us but the peer it came from.
    ///
    /// The listener of `came_by` is preferred, and without any listener known it is taken for all transports.
    pub(crate) fn hop_to(
        &self,
        transport: Transport,
        remote: SocketAddr,
        came_by: Hop,
    ) -> Option<Hop> {
        if !self.is_of_one_peer(remote.ip(), came_by) {
            return None;
        }
        let is_of_family = |local: &SocketAddr| local.is_ipv4() == remote.is_ipv4();
        let is_known =
            |local: &SocketAddr| self.ours.is_empty() || self.ours.contains(&(transport, *local));
        let mut fitting = self.ours.iter().filter(|(known, _)| *known == transport);
        let local = Some(came_by.local)
            .filter(|local| is_of_family(local) && is_known(local))
            .or_else(|| fitting.find_map(|(_, local)| Some(*local).filter(is_of_family)))?;
        Some(Hop {
            transport,
            local,
            remote,
        })
    }
}

/// Whether an address means one host, neither nobody nor everybody.
pub(crate) fn is_one_host(address: &IpAddr) -> bool {
    let is_broadcast = matches!(address, IpAddr::V4(address) if address.is_broadcast());
    !address.is_unspecified() && !address.is_multicast() && !is_broadcast
}

/// Whether an address may be reached from where another was seen: one of a narrower network, of whoever shows us a wider one, lies behind a NAT.
pub(crate) fn is_in_reach(address: &IpAddr, seen: &IpAddr) -> bool {
    let (address, seen) = (address.to_canonical(), seen.to_canonical());
    address.is_ipv4() != seen.is_ipv4() || reach(&address) >= reach(&seen)
}

/// How far an address is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Reach {
    Host,
    Link,
    /// RFC 1918, RFC 6598 and RFC 4193.
    Site,
    World,
}

fn reach(address: &IpAddr) -> Reach {
    let is_shared = |octets: [u8; 4]| octets[0] == 100 && octets[1] & 0xc0 == 64;
    match address {
        address if address.is_loopback() => Reach::Host,
        IpAddr::V4(address) if address.is_link_local() => Reach::Link,
        IpAddr::V4(address) if address.is_private() || is_shared(address.octets()) => Reach::Site,
        IpAddr::V6(address) if address.is_unicast_link_local() => Reach::Link,
        IpAddr::V6(address) if address.is_unique_local() => Reach::Site,
        IpAddr::V4(_) | IpAddr::V6(_) => Reach::World,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> SocketAddr {
        text.parse().unwrap()
    }

    #[test]
    fn each_transport_and_family_has_its_own_listener() {
        let listeners = Listeners::new(&[
            (Transport::Udp, at("192.0.2.1:5060")),
            (Transport::Tcp, at("192.0.2.1:5060")),
            (Transport::Tls, at("192.0.2.1:5061")),
            (Transport::Udp, at("[2001:db8::1]:5060")),
        ]);
        let came_by = Hop::udp(at("192.0.2.1:5060"), at("192.0.2.9:5060"));
        let local = |transport, remote: &str| {
            let hop = listeners.hop_to(transport, at(remote), came_by)?;
            Some(hop.local.to_string())
        };
        let v4 = "192.0.2.8:5060";
        assert_eq!(local(Transport::Tcp, v4).as_deref(), Some("192.0.2.1:5060"));
        assert_eq!(local(Transport::Tls, v4).as_deref(), Some("192.0.2.1:5061"));
        let v6 = "[2001:db8::8]:5060";
        assert_eq!(
            local(Transport::Udp, v6).as_deref(),
            Some("[2001:db8::1]:5060")
        );
        assert_eq!(local(Transport::Tcp, v6), None);
        let unknown = Listeners::new(&[]);
        assert_eq!(unknown.hop_to(Transport::Tcp, at(v6), came_by), None);
        let tcp = unknown.hop_to(Transport::Tcp, at(v4), came_by).unwrap();
        assert_eq!((tcp.transport, tcp.local), (Transport::Tcp, came_by.local));
    }
}
