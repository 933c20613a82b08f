//! One UDP socket of SIP: who may be heard is asked before anything is read, and a stranger gets no byte back.
//!
//! With each datagram comes when the kernel took it in (`SO_TIMESTAMPNS`), and with each ICMP error whom it is about (`IP_RECVERR`).

use std::{
    collections::VecDeque,
    io::{self, IoSliceMut},
    net::{IpAddr, SocketAddr, SocketAddrV4, SocketAddrV6},
    os::fd::AsRawFd,
    task::{Context, Poll},
    time::{Duration, Instant, SystemTime},
};

use bytes::Bytes;
use exchange::Unreachable;
use nix::{
    cmsg_space,
    libc::{SO_EE_ORIGIN_ICMP, SO_EE_ORIGIN_ICMP6, sock_extended_err},
    sys::{
        socket::{
            ControlMessageOwned, MsgFlags, SockaddrStorage, recvmsg, setsockopt,
            sockopt::{Ipv4RecvErr, Ipv6RecvErr, ReceiveTimestampns},
        },
        time::TimeSpec,
    },
};
use sip_core::{Hop, Transport};
use socket2::{Domain, Protocol, SockRef, Socket, Type};
use tokio::{io::Interest, net::UdpSocket};

use super::{
    Heard,
    dscp::{self, CodePoint},
};
use crate::telemetry::Counters;

/// A UDP datagram cannot be longer.
const DATAGRAM_BYTES: usize = 65_535;
/// What the kernel keeps for us while a burst is read; it halves what is asked for when its own limit is lower.
const RECEIVE_BUFFER_BYTES: usize = 4 * 1024 * 1024;
/// Errors read in one look.
const MOST_ERRORS: usize = 64;
/// A longer wait than this is a clock that was put on: no transaction outlives it.
const LONGEST_WAIT: Duration = Duration::from_secs(32);

/// One socket.
#[derive(Debug)]
pub(super) struct Datagrams {
    socket: UdpSocket,
    local: SocketAddr,
    buffer: Vec<u8>,
    control: Vec<u8>,
    unreachable: VecDeque<SocketAddr>,
    marked: CodePoint,
}

impl Datagrams {
    /// Binds the socket; it must be done inside the runtime.
    ///
    /// # Errors
    /// The address is taken or not this host's.
    pub(super) fn bind(listen: SocketAddr) -> io::Result<Datagrams> {
        let socket = Socket::new(
            Domain::for_address(listen),
            Type::DGRAM,
            Some(Protocol::UDP),
        )?;
        socket.set_nonblocking(true)?;
        if listen.is_ipv6() {
            socket.set_only_v6(true)?;
        }
        // The kernel's limit may be lower; a smaller buffer only drops bursts earlier.
        let _ = socket.set_recv_buffer_size(RECEIVE_BUFFER_BYTES);
        setsockopt(&socket, ReceiveTimestampns, &true)?;
        if listen.is_ipv4() {
            setsockopt(&socket, Ipv4RecvErr, &true)?;
        } else {
            setsockopt(&socket, Ipv6RecvErr, &true)?;
        }
        socket.bind(&listen.into())?;
        let socket = UdpSocket::from_std(socket.into())?;
        let local = socket.local_addr()?;
        Ok(Datagrams {
            socket,
            local,
            buffer: vec![0; DATAGRAM_BYTES],
            // Room for either message: a time, or an error with the address it came from.
            control: cmsg_space!(TimeSpec, [u8; 64]),
            unreachable: VecDeque::new(),
            marked: CodePoint::default(),
        })
    }

    pub(super) fn local(&self) -> SocketAddr {
        self.local
    }

    /// Whether something can be read; the task is woken when it can.
    pub(super) fn poll_readable(&self, context: &mut Context<'_>) -> Poll<()> {
        if !self.unreachable.is_empty() {
            return Poll::Ready(());
        }
        self.socket.poll_recv_ready(context).map(drop)
    }

    /// Reads one datagram of a peer, or an error about one of ours; those of strangers are counted and passed over.
    pub(super) fn hear(
        &mut self,
        is_peer: impl Fn(IpAddr) -> bool,
        counters: &Counters,
    ) -> Option<Heard> {
        const MOST: usize = 256; // Strangers passed over in one look, so that a flood of them leaves time for calls.
        for _ in 0..MOST {
            if let Some(remote) = self.unreachable.pop_front() {
                let hop = self.hop(remote);
                return Some(Heard::Unreachable {
                    hop,
                    why: Unreachable::Nobody,
                });
            }
            match self.receive() {
                Ok((length, Some(remote), waited)) if is_peer(remote.ip()) => {
                    return Some(Heard::Message {
                        hop: self.hop(remote),
                        payload: Bytes::copy_from_slice(&self.buffer[..length]),
                        received_at: received_at(waited),
                    });
                }
                Ok(_) => Counters::count(&counters.strangers),
                Err(fault) if fault.kind() == io::ErrorKind::WouldBlock => return None,
                Err(_) => self.read_errors(),
            }
        }
        None
    }

    fn hop(&self, remote: SocketAddr) -> Hop {
        Hop {
            transport: Transport::Udp,
            local: self.local,
            remote,
        }
    }

    /// The length of a datagram, its sender, and how long it lay in the kernel's buffer.
    fn receive(&mut self) -> io::Result<(usize, Option<SocketAddr>, Duration)> {
        let Datagrams {
            socket,
            buffer,
            control,
            ..
        } = self;
        socket.try_io(Interest::READABLE, || {
            let mut pieces = [IoSliceMut::new(buffer)];
            let message = recvmsg::<SockaddrStorage>(
                socket.as_raw_fd(),
                &mut pieces,
                Some(control),
                MsgFlags::MSG_DONTWAIT,
            )?;
            let taken_in = message.cmsgs()?.find_map(|control| match control {
                ControlMessageOwned::ScmTimestampns(time) => Some(Duration::from(time)),
                _ => None,
            });
            let remote = message.address.as_ref().and_then(address);
            Ok((message.bytes, remote, waited_since(taken_in)))
        })
    }

    /// Reads whom the kernel's errors are about: the addresses to which datagrams of ours could not be delivered.
    fn read_errors(&mut self) {
        let mut start = [0; 1];
        for _ in 0..MOST_ERRORS {
            let mut pieces = [IoSliceMut::new(&mut start)];
            let told = recvmsg::<SockaddrStorage>(
                self.socket.as_raw_fd(),
                &mut pieces,
                Some(&mut self.control),
                MsgFlags::MSG_DONTWAIT | MsgFlags::MSG_ERRQUEUE,
            );
            let Ok(told) = told else { return };
            let remote = told.address.as_ref().and_then(address);
            let is_lost = told.cmsgs().is_ok_and(|mut messages| {
                messages.any(|message| match message {
                    ControlMessageOwned::Ipv4RecvErr(error, _)
                    | ControlMessageOwned::Ipv6RecvErr(error, _) => is_lost(&error),
                    _ => false,
                })
            });
            if let Some(remote) = remote.filter(|_| is_lost && self.unreachable.len() < MOST_ERRORS)
            {
                self.unreachable.push_back(remote);
            }
        }
    }

    /// Sends a datagram. The kernel's buffer may be full: then it is lost, and the transaction repeats it.
    pub(super) fn send(
        &mut self,
        remote: SocketAddr,
        payload: &[u8],
        mark: CodePoint,
        counters: &Counters,
    ) {
        const TRIES: usize = 3; // An error about an earlier datagram is told to whoever sends next, and is over then.
        if std::mem::replace(&mut self.marked, mark) != mark {
            dscp::mark(&SockRef::from(&self.socket), self.local, mark);
        }
        for _ in 0..TRIES {
            match self.socket.try_send_to(payload, remote) {
                Ok(_) => return,
                Err(fault) if fault.kind() == io::ErrorKind::WouldBlock => break,
                Err(_) => self.read_errors(),
            }
        }
        Counters::count(&counters.unsent);
    }
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

/// How long ago the kernel's wall clock showed this.
fn waited_since(taken_in: Option<Duration>) -> Duration {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    let waited = now
        .ok()
        .zip(taken_in)
        .and_then(|(now, then)| now.checked_sub(then));
    waited
        .filter(|waited| *waited <= LONGEST_WAIT)
        .unwrap_or_default()
}

fn received_at(waited: Duration) -> Instant {
    let now = Instant::now();
    now.checked_sub(waited).unwrap_or(now)
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

    fn everybody(_: IpAddr) -> bool {
        true
    }

    async fn heard(datagrams: &mut Datagrams) -> Heard {
        let counters = Counters::default();
        loop {
            if let Some(heard) = datagrams.hear(everybody, &counters) {
                return heard;
            }
            std::future::poll_fn(|context| datagrams.poll_readable(context)).await;
        }
    }

    fn runtime() -> tokio::runtime::Runtime {
        tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap()
    }

    #[test]
    fn a_datagram_says_how_long_it_lay_in_the_kernels_buffer() {
        runtime().block_on(async {
            let mut datagrams = Datagrams::bind("127.0.77.1:0".parse().unwrap()).unwrap();
            let far = std::net::UdpSocket::bind("127.0.77.1:0").unwrap();
            // A kernel that stamped nothing before begins to a moment after it was asked.
            let waited = async {
                loop {
                    far.send_to(b"one", datagrams.local()).unwrap();
                    let sent = Instant::now();
                    std::thread::sleep(Duration::from_millis(300));
                    let Heard::Message {
                        hop,
                        payload,
                        received_at,
                    } = heard(&mut datagrams).await
                    else {
                        panic!("no message");
                    };
                    assert_eq!(hop.remote, far.local_addr().unwrap());
                    assert_eq!(&payload[..], b"one");
                    if received_at < sent + Duration::from_millis(100) {
                        return sent.saturating_duration_since(received_at);
                    }
                }
            };
            let early = tokio::time::timeout(Duration::from_secs(10), waited).await;
            assert!(early.expect("the wait is told") < Duration::from_millis(100));
        });
    }

    #[test]
    fn a_port_where_nobody_listens_is_told_and_harms_no_datagram_to_others() {
        runtime().block_on(async {
            for address in ["127.0.77.2:0", "[::1]:0"] {
                let mut datagrams = Datagrams::bind(address.parse().unwrap()).unwrap();
                let counters = Counters::default();
                let closed = {
                    let gone = std::net::UdpSocket::bind(address).unwrap();
                    gone.local_addr().unwrap()
                };
                let far = std::net::UdpSocket::bind(address).unwrap();
                far.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
                datagrams.socket.writable().await.unwrap();
                datagrams.send(closed, b"lost", CodePoint::default(), &counters);
                datagrams.send(
                    far.local_addr().unwrap(),
                    b"found",
                    CodePoint::default(),
                    &counters,
                );
                let mut buffer = [0; 16];
                let length = far.recv(&mut buffer).unwrap();
                assert_eq!(&buffer[..length], b"found");
                let Heard::Unreachable { hop, .. } = heard(&mut datagrams).await else {
                    panic!("no error");
                };
                assert_eq!(hop.remote, closed);
            }
        });
    }
}
