//! Sockets of programs that others wrote: how they speak, and whether they listen already.

use std::{
    fmt, fs, io,
    net::SocketAddr,
    process::Child,
    thread,
    time::{Duration, Instant},
};

use crate::server::PATIENCE;

/// How SIP goes without papers: one connection, where there are any.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    Udp,
    Tcp,
}

impl fmt::Display for Transport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Transport::Udp => "udp",
            Transport::Tcp => "tcp",
        })
    }
}

/// Waits until a program listens: a socket shows in /proc as soon as it is bound.
pub(crate) fn wait_until_bound(
    child: &mut Child,
    local: SocketAddr,
    transport: Transport,
) -> io::Result<()> {
    let SocketAddr::V4(address) = local else {
        return Err(io::Error::other("the parties of these tests are IPv4"));
    };
    let ip = u32::from_ne_bytes(address.ip().octets());
    let row = format!("{ip:08X}:{:04X}", address.port());
    let deadline = Instant::now() + PATIENCE;
    while !fs::read_to_string(format!("/proc/net/{transport}"))?.contains(&row) {
        if let Some(status) = child.try_wait()? {
            return Err(io::Error::other(format!("ended with {status}")));
        }
        if Instant::now() > deadline {
            return Err(io::Error::other(format!("does not listen at {local}")));
        }
        thread::sleep(Duration::from_millis(10));
    }
    Ok(())
}
