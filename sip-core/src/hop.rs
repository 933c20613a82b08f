//! One way to a peer: the transport and both its ends.

use std::net::SocketAddr;

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

impl Transport {
    /// Whether what was sent needs no repetition (RFC 3261 section 17.1.1.2).
    pub fn is_reliable(self) -> bool {
        match self {
            Transport::Udp => false,
            Transport::Tcp | Transport::Tls => true,
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
    /// A way over UDP.
    pub fn udp(local: SocketAddr, remote: SocketAddr) -> Hop {
        Hop {
            transport: Transport::Udp,
            local,
            remote,
        }
    }
}
