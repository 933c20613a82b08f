//! The SIP socket: who may be heard is asked before anything is read, and a stranger gets no byte back.

use std::{
    io,
    net::{IpAddr, SocketAddr},
};

use bytes::Bytes;
use tokio::net::UdpSocket;

use crate::telemetry::Counters;

/// A UDP datagram cannot be longer.
const DATAGRAM_BYTES: usize = 65_535;
/// What the kernel keeps for us while a burst is read; it halves what is asked for when its own limit is lower.
const RECEIVE_BUFFER_BYTES: usize = 4 * 1024 * 1024;

/// The socket on which SIP comes and goes.
#[derive(Debug)]
pub(crate) struct Wire {
    socket: UdpSocket,
    local: SocketAddr,
    buffer: Vec<u8>,
}

/// What a look at the socket brought.
#[derive(Debug)]
pub(crate) enum Heard {
    /// A peer's datagram.
    Datagram { remote: SocketAddr, payload: Bytes },
    /// Nothing is waiting.
    Nothing,
}

impl Wire {
    /// Binds the socket; it must be done inside the runtime.
    ///
    /// # Errors
    /// The address is taken or not this host's.
    pub(crate) fn bind(listen: SocketAddr) -> io::Result<Wire> {
        let domain = socket2::Domain::for_address(listen);
        let socket =
            socket2::Socket::new(domain, socket2::Type::DGRAM, Some(socket2::Protocol::UDP))?;
        socket.set_nonblocking(true)?;
        // The kernel's limit may be lower; a smaller buffer only drops bursts earlier.
        let _ = socket.set_recv_buffer_size(RECEIVE_BUFFER_BYTES);
        socket.bind(&listen.into())?;
        let socket = UdpSocket::from_std(socket.into())?;
        let local = socket.local_addr()?;
        Ok(Wire {
            socket,
            local,
            buffer: vec![0; DATAGRAM_BYTES],
        })
    }

    /// Where it is bound.
    pub(crate) fn local(&self) -> SocketAddr {
        self.local
    }

    /// Waits until something can be read.
    pub(crate) async fn readable(&self) -> io::Result<()> {
        self.socket.readable().await
    }

    /// Reads one datagram of a peer; those of strangers are counted and passed over.
    pub(crate) fn hear(&mut self, is_peer: impl Fn(IpAddr) -> bool, counters: &Counters) -> Heard {
        const MOST: usize = 256; // Strangers passed over in one look, so that a flood of them leaves time for calls.
        for _ in 0..MOST {
            match self.socket.try_recv_from(&mut self.buffer) {
                Ok((length, remote)) if is_peer(remote.ip()) => {
                    return Heard::Datagram {
                        remote,
                        payload: Bytes::copy_from_slice(&self.buffer[..length]),
                    };
                }
                Ok(_) => Counters::count(&counters.strangers),
                Err(fault) if fault.kind() == io::ErrorKind::WouldBlock => return Heard::Nothing,
                // An ICMP message about something sent before; timers deal with silence.
                Err(_) => {}
            }
        }
        Heard::Nothing
    }

    /// Sends a datagram. The kernel's buffer may be full: then it is lost, and the transaction repeats it.
    pub(crate) fn send(&self, remote: SocketAddr, payload: &[u8], counters: &Counters) {
        if self.socket.try_send_to(payload, remote).is_err() {
            Counters::count(&counters.unsent);
        }
    }
}
