//! One UDP socket of SIP: who may be heard is asked before anything is read, and a stranger gets no byte back.
//!
//! With each datagram comes when the kernel took it in (`SO_TIMESTAMPNS`), and with each ICMP error whom it is about (`IP_RECVERR`).
//! What is sent leaves with [`Datagrams::flush`], or as soon as there is enough for one call of the kernel.

mod kernel;

use std::{
    collections::VecDeque,
    io,
    net::{IpAddr, SocketAddr},
    task::{Context, Poll},
    time::{Duration, Instant, SystemTime},
};

use bytes::Bytes;
use exchange::Unreachable;
use nix::sys::socket::{
    setsockopt,
    sockopt::{Ipv4RecvErr, Ipv6RecvErr, ReceiveTimestampns},
};
use sip_core::Hop;
use socket2::{Domain, Protocol, SockRef, Socket, Type};
use tokio::{io::Interest, net::UdpSocket};

use self::kernel::{AT_ONCE, Room};
use super::{
    Heard,
    dscp::{self, CodePoint},
};
use crate::telemetry::Counters;

/// What the kernel keeps for us while a burst is read; it halves what is asked for when its own limit is lower.
const RECEIVE_BUFFER_BYTES: usize = 4 * 1024 * 1024;
/// Errors read in one look.
const MOST_ERRORS: usize = 64;
/// What may be read and not be taken yet; an error beyond it is not told.
const MOST_HEARD: usize = AT_ONCE + MOST_ERRORS;
/// A longer wait than this is a clock that was put on: no transaction outlives it.
const LONGEST_WAIT: Duration = Duration::from_secs(32);

/// One socket.
#[derive(Debug)]
pub(super) struct Datagrams {
    socket: UdpSocket,
    local: SocketAddr,
    room: Room,
    /// Read, and not taken yet.
    heard: VecDeque<Heard>,
    /// Waits for the next flush; all of it is marked alike.
    outgoing: Vec<(SocketAddr, Bytes)>,
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
            room: Room::new(),
            heard: VecDeque::new(),
            outgoing: Vec::new(),
            marked: CodePoint::default(),
        })
    }

    pub(super) fn local(&self) -> SocketAddr {
        self.local
    }

    /// Whether something can be read; the task is woken when it can.
    pub(super) fn poll_readable(&self, context: &mut Context<'_>) -> Poll<()> {
        if !self.heard.is_empty() {
            return Poll::Ready(());
        }
        self.socket.poll_recv_ready(context).map(drop)
    }

    /// Takes one datagram of a peer, or an error about one of ours; those of strangers are counted and passed over.
    pub(super) fn hear(
        &mut self,
        is_peer: impl Fn(IpAddr) -> bool,
        counters: &Counters,
    ) -> Option<Heard> {
        const MOST: usize = 8; // Batches of strangers passed over in one look, so that a flood of them leaves time for calls.
        for _ in 0..MOST {
            if let Some(heard) = self.heard.pop_front() {
                return Some(heard);
            }
            match self.receive(&is_peer, counters) {
                Ok(()) => {}
                Err(fault) if fault.kind() == io::ErrorKind::WouldBlock => break,
                Err(_) => self.read_errors(),
            }
        }
        self.heard.pop_front()
    }

    /// Reads what one call of the kernel gives.
    ///
    /// # Errors
    /// `WouldBlock`: the socket is empty now, whether or not something was read; any other: an error about a datagram of ours.
    fn receive(&mut self, is_peer: impl Fn(IpAddr) -> bool, counters: &Counters) -> io::Result<()> {
        let Datagrams {
            socket,
            local,
            room,
            heard,
            ..
        } = self;
        let clocks = Clocks::read();
        socket.try_io(Interest::READABLE, || {
            let count = kernel::receive(socket, room, |datagram| {
                if !is_peer(datagram.remote.ip()) {
                    return Counters::count(&counters.strangers);
                }
                heard.push_back(Heard::Message {
                    hop: Hop::udp(*local, datagram.remote),
                    payload: Bytes::copy_from_slice(datagram.octets),
                    received_at: clocks.received_at(datagram.taken_in),
                });
            })?;
            // The kernel stopped because there was no more: the reactor need not be shown that by another call.
            if count < AT_ONCE {
                return Err(io::ErrorKind::WouldBlock.into());
            }
            Ok(())
        })
    }

    /// Reads whom the kernel's errors are about: the addresses to which datagrams of ours could not be delivered.
    fn read_errors(&mut self) {
        for _ in 0..MOST_ERRORS {
            let Ok(lost) = kernel::receive_error(&self.socket) else {
                return;
            };
            if let Some(remote) = lost.filter(|_| self.heard.len() < MOST_HEARD) {
                self.heard.push_back(Heard::Unreachable {
                    hop: Hop::udp(self.local, remote),
                    why: Unreachable::Nobody,
                });
            }
        }
    }

    /// Takes a datagram to send with others.
    pub(super) fn send(
        &mut self,
        remote: SocketAddr,
        payload: Bytes,
        mark: CodePoint,
        counters: &Counters,
    ) {
        if mark != self.marked {
            self.flush(counters);
            self.marked = mark;
            dscp::mark(&SockRef::from(&self.socket), self.local, mark);
        }
        self.outgoing.push((remote, payload));
        if self.outgoing.len() == AT_ONCE {
            self.flush(counters);
        }
    }

    /// Sends what waits. The kernel's buffer may be full: then it is lost, and its transactions repeat it.
    pub(super) fn flush(&mut self, counters: &Counters) {
        const TRIES: usize = 3; // An error about an earlier datagram is told to whoever sends next, and is over then.
        let mut outgoing = std::mem::take(&mut self.outgoing);
        let mut waiting = &outgoing[..];
        let mut tries = TRIES;
        while !waiting.is_empty() {
            let sent = self.socket.try_io(Interest::WRITABLE, || {
                Ok(kernel::send(&self.socket, waiting)?)
            });
            match sent {
                Ok(count) => (waiting, tries) = (&waiting[count..], TRIES),
                Err(fault) if fault.kind() == io::ErrorKind::WouldBlock => break,
                Err(_) if tries > 1 => {
                    tries -= 1;
                    self.read_errors();
                }
                Err(_) => {
                    self.read_errors();
                    Counters::count(&counters.unsent);
                    (waiting, tries) = (&waiting[1..], TRIES);
                }
            }
        }
        waiting
            .iter()
            .for_each(|_| Counters::count(&counters.unsent));
        outgoing.clear();
        self.outgoing = outgoing;
    }
}

/// Both clocks at one moment, so that the kernel's wall time can be told as ours.
#[derive(Clone, Copy)]
struct Clocks {
    at: Instant,
    wall: Option<Duration>,
}

impl Clocks {
    fn read() -> Clocks {
        Clocks {
            at: Instant::now(),
            wall: SystemTime::now()
                .duration_since(SystemTime::UNIX_EPOCH)
                .ok(),
        }
    }

    /// When it was that the kernel's wall clock showed this. What came after the clocks were read came at that moment.
    fn received_at(self, taken_in: Option<Duration>) -> Instant {
        let waited = self
            .wall
            .zip(taken_in)
            .and_then(|(now, then)| now.checked_sub(then))
            .filter(|waited| *waited <= LONGEST_WAIT);
        self.at
            .checked_sub(waited.unwrap_or_default())
            .unwrap_or(self.at)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::Ordering;

    use super::*;

    /// More than two calls of the kernel read or send.
    const MANY: usize = 2 * AT_ONCE + 5;

    fn everybody(_: IpAddr) -> bool {
        true
    }

    fn send(datagrams: &mut Datagrams, remote: SocketAddr, text: &str) {
        let payload = Bytes::copy_from_slice(text.as_bytes());
        datagrams.send(remote, payload, CodePoint::default(), &Counters::default());
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
    fn a_burst_is_heard_in_its_order_and_strangers_among_it_are_counted() {
        runtime().block_on(async {
            let mut datagrams = Datagrams::bind("127.0.77.3:0".parse().unwrap()).unwrap();
            let peer = std::net::UdpSocket::bind("127.0.77.3:0").unwrap();
            let stranger = std::net::UdpSocket::bind("127.0.77.4:0").unwrap();
            for number in 0..MANY {
                let text = number.to_string();
                peer.send_to(text.as_bytes(), datagrams.local()).unwrap();
                stranger.send_to(b"stranger", datagrams.local()).unwrap();
            }
            let counters = Counters::default();
            let is_peer = |address| address == peer.local_addr().unwrap().ip();
            std::future::poll_fn(|context| datagrams.poll_readable(context)).await;
            for number in 0..MANY {
                let Some(Heard::Message { payload, .. }) = datagrams.hear(is_peer, &counters)
                else {
                    panic!("{number} is not heard");
                };
                assert_eq!(payload, number.to_string());
            }
            assert!(datagrams.hear(is_peer, &counters).is_none());
            let strangers = counters.strangers.load(Ordering::Relaxed);
            assert_eq!(usize::try_from(strangers).unwrap(), MANY);
        });
    }

    #[test]
    fn a_burst_leaves_in_its_order_whoever_of_it_cannot_be_reached() {
        runtime().block_on(async {
            let mut datagrams = Datagrams::bind("127.0.77.5:0".parse().unwrap()).unwrap();
            let counters = Counters::default();
            let closed = {
                let gone = std::net::UdpSocket::bind("127.0.77.5:0").unwrap();
                gone.local_addr().unwrap()
            };
            let far = std::net::UdpSocket::bind("127.0.77.5:0").unwrap();
            far.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
            datagrams.socket.writable().await.unwrap();
            for number in 0..MANY {
                send(&mut datagrams, closed, "lost");
                send(
                    &mut datagrams,
                    far.local_addr().unwrap(),
                    &number.to_string(),
                );
            }
            datagrams.flush(&counters);
            let mut buffer = [0; 16];
            for number in 0..MANY {
                let length = far.recv(&mut buffer).unwrap();
                assert_eq!(&buffer[..length], number.to_string().as_bytes());
            }
            assert_eq!(counters.unsent.load(Ordering::Relaxed), 0);
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
                send(&mut datagrams, closed, "lost");
                datagrams.flush(&counters);
                send(&mut datagrams, far.local_addr().unwrap(), "found");
                datagrams.flush(&counters);
                assert_eq!(counters.unsent.load(Ordering::Relaxed), 0);
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
