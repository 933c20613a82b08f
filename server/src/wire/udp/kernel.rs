//! What is asked of the kernel about a UDP socket: many datagrams with one call (`recvmmsg`, `sendmmsg`), and its errors.

use std::{
    io::{IoSlice, IoSliceMut},
    net::{SocketAddr, SocketAddrV4, SocketAddrV6},
    os::fd::AsRawFd,
    time::Duration,
};

use bytes::Bytes;
use nix::{
    cmsg_space,
    libc::{SO_EE_ORIGIN_ICMP, SO_EE_ORIGIN_ICMP6, sock_extended_err},
    sys::{
        socket::{
            ControlMessageOwned, MsgFlags, MultiHeaders, SockaddrStorage, recvmmsg, recvmsg,
            sendmmsg,
        },
        time::TimeSpec,
    },
};

/// Datagrams that one call reads or sends at most.
pub(super) const AT_ONCE: usize = 32;
/// A UDP datagram cannot be longer.
const DATAGRAM_BYTES: usize = 65_535;

/// Room for what one call reads. Of each place only as much becomes memory as the longest datagram there has taken.
#[derive(Debug)]
pub(super) struct Room(Vec<u8>);

/// One datagram, as long as the room is not used again.
pub(super) struct Datagram<'a> {
    pub(super) remote: SocketAddr,
    pub(super) octets: &'a [u8],
    /// What the kernel's wall clock showed when it took it in, since 1970.
    pub(super) taken_in: Option<Duration>,
}

impl Room {
    pub(super) fn new() -> Room {
        Room(vec![0; AT_ONCE * DATAGRAM_BYTES])
    }
}

/// Reads at most [`AT_ONCE`] datagrams and hands each over; returns how many there were.
///
/// # Errors
/// The first datagram could not be read: there is none, or an error about one of ours is told.
pub(super) fn receive(
    socket: &impl AsRawFd,
    room: &mut Room,
    mut take: impl FnMut(Datagram<'_>),
) -> nix::Result<usize> {
    let places = room.0.chunks_exact_mut(DATAGRAM_BYTES);
    let mut places: Vec<_> = places.map(|place| [IoSliceMut::new(place)]).collect();
    let mut headers = MultiHeaders::preallocate(places.len(), Some(cmsg_space!(TimeSpec)));
    let messages = recvmmsg::<_, SockaddrStorage, _>(
        socket.as_raw_fd(),
        &mut headers,
        &mut places,
        MsgFlags::MSG_DONTWAIT,
        None,
    )?;
    let mut count = 0;
    for message in messages {
        count += 1;
        let taken_in = message.cmsgs().ok().and_then(|mut controls| {
            controls.find_map(|control| match control {
                ControlMessageOwned::ScmTimestampns(time) => Some(Duration::from(time)),
                _ => None,
            })
        });
        if let Some(remote) = message.address.as_ref().and_then(address) {
            take(Datagram {
                remote,
                octets: message.iovs().next().unwrap_or_default(),
                taken_in,
            });
        }
    }
    Ok(count)
}

/// Sends datagrams in their order; returns how many of them, from the first on, went.
///
/// # Errors
/// The first one did not go.
pub(super) fn send(socket: &impl AsRawFd, datagrams: &[(SocketAddr, Bytes)]) -> nix::Result<usize> {
    let addresses = datagrams.iter().map(|(remote, _)| Some((*remote).into()));
    let addresses: Vec<Option<SockaddrStorage>> = addresses.collect();
    let pieces = datagrams.iter().map(|(_, payload)| [IoSlice::new(payload)]);
    let pieces: Vec<_> = pieces.collect();
    let mut headers = MultiHeaders::preallocate(datagrams.len(), None);
    let sent = sendmmsg(
        socket.as_raw_fd(),
        &mut headers,
        &pieces,
        &addresses,
        [],
        MsgFlags::MSG_DONTWAIT,
    )?;
    Ok(sent.count())
}

/// Reads one error about an earlier datagram: the address that it did not reach, or none where it may have reached it.
///
/// # Errors
/// No error is left.
pub(super) fn receive_error(socket: &impl AsRawFd) -> nix::Result<Option<SocketAddr>> {
    let mut start = [0; 1];
    // An error with the address it came from, and when it was taken in.
    let mut control = cmsg_space!(TimeSpec, [u8; 64]);
    let mut pieces = [IoSliceMut::new(&mut start)];
    let told = recvmsg::<SockaddrStorage>(
        socket.as_raw_fd(),
        &mut pieces,
        Some(&mut control),
        MsgFlags::MSG_DONTWAIT | MsgFlags::MSG_ERRQUEUE,
    )?;
    let is_lost = told.cmsgs().is_ok_and(|mut controls| {
        controls.any(|control| match control {
            ControlMessageOwned::Ipv4RecvErr(error, _)
            | ControlMessageOwned::Ipv6RecvErr(error, _) => is_lost(&error),
            _ => false,
        })
    });
    Ok(told.address.as_ref().and_then(address).filter(|_| is_lost))
}

/// Whether an error says that a datagram reached nobody. One longer than the path takes may still arrive in pieces, and a router that
/// is busy or saw it too often says nothing of where it was going (RFC 3261 section 18.4).
fn is_lost(error: &sock_extended_err) -> bool {
    const ICMP_SOURCE_QUENCH: u8 = 4; // RFC 792, like the next.
    const ICMP_TIME_EXCEEDED: u8 = 11;
    const ICMPV6_TIME_EXCEEDED: u8 = 3; // RFC 4443 section 3.3.
    let is_passing = match error.ee_origin {
        SO_EE_ORIGIN_ICMP => matches!(error.ee_type, ICMP_SOURCE_QUENCH | ICMP_TIME_EXCEEDED),
        SO_EE_ORIGIN_ICMP6 => error.ee_type == ICMPV6_TIME_EXCEEDED,
        _ => false,
    };
    !is_passing && error.ee_errno != nix::errno::Errno::EMSGSIZE as u32
}

fn address(storage: &SockaddrStorage) -> Option<SocketAddr> {
    let version_4 = storage
        .as_sockaddr_in()
        .map(|address| SocketAddrV4::from(*address).into());
    version_4.or_else(|| {
        storage
            .as_sockaddr_in6()
            .map(|address| SocketAddrV6::from(*address).into())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_of_a_router_on_the_way_loses_nothing() {
        let about = |ee_origin, ee_type, errno| sock_extended_err {
            ee_errno: errno as u32,
            ee_origin,
            ee_type,
            ee_code: 0,
            ee_pad: 0,
            ee_info: 0,
            ee_data: 0,
        };
        use nix::errno::Errno::{ECONNREFUSED, EHOSTUNREACH, EMSGSIZE, EPROTO};
        for (error, expected) in [
            (about(SO_EE_ORIGIN_ICMP, 3, ECONNREFUSED), true), // port unreachable
            (about(SO_EE_ORIGIN_ICMP, 3, EHOSTUNREACH), true),
            (about(SO_EE_ORIGIN_ICMP, 12, EPROTO), true), // parameter problem
            (about(SO_EE_ORIGIN_ICMP6, 1, ECONNREFUSED), true), // destination unreachable
            (about(SO_EE_ORIGIN_ICMP, 3, EMSGSIZE), false),
            (about(SO_EE_ORIGIN_ICMP, 4, EHOSTUNREACH), false), // source quench
            (about(SO_EE_ORIGIN_ICMP, 11, EHOSTUNREACH), false), // time exceeded
            (about(SO_EE_ORIGIN_ICMP6, 3, EHOSTUNREACH), false), // time exceeded
        ] {
            assert_eq!(is_lost(&error), expected, "{error:?}");
        }
    }
}
