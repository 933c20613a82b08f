//! How packets are marked for the network's queues (RFC 2474).

use std::net::SocketAddr;

use socket2::SockRef;

/// A code point, 0 to 63.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct CodePoint(pub(crate) u8);

/// Marks what leaves by a socket from here on. A kernel that does not allow it leaves packets unmarked: calls do not depend on it.
pub(super) fn mark(socket: &SockRef<'_>, local: SocketAddr, point: CodePoint) {
    let octet = u32::from(point.0 & 0x3f) << 2; // The lower two bits are the network's own (RFC 3168).
    let marked = match local {
        SocketAddr::V4(_) => socket.set_tos_v4(octet),
        SocketAddr::V6(_) => socket.set_tclass_v6(octet),
    };
    if let Err(fault) = marked {
        tracing::debug!(%fault, code_point = point.0, "packets go unmarked");
    }
}
