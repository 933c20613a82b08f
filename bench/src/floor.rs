//! The floor: the least that any recorder of this kind must do, and nothing else.
//!
//! One connected socket pair per call, each packet sent on as it came, its payload appended to a file per leg.
//! No header is rewritten, nothing is sealed, nobody is told. What denwaban costs above this is what denwaban is.

use std::{
    fs::{self, File},
    io::{self, BufWriter, Write},
    net::{SocketAddr, UdpSocket},
    path::Path,
    time::Duration,
};

use crate::poll::Poll;

/// RTP's fixed header; nobody here sends extensions (RFC 3550 section 5.1).
const RTP_HEADER_BYTES: usize = 12;

/// Written through in one go, as a recorder would do with its chunks.
const BUFFER_BYTES: usize = 8 * 1024;

/// The forwarder's legs; carrier and department of call `n` are `2 n` and `2 n + 1`.
pub struct Floor {
    legs: Vec<Leg>,
    poll: Poll,
}

struct Leg {
    socket: UdpSocket,
    file: BufWriter<File>,
}

impl Floor {
    /// Binds the legs of `calls` calls at `local` and every second port above, towards the same steps at both parties.
    ///
    /// # Errors
    /// When a port is taken or a file cannot be made.
    pub fn open(
        folder: &Path,
        calls: u16,
        local: SocketAddr,
        carrier: SocketAddr,
        department: SocketAddr,
    ) -> io::Result<Self> {
        fs::create_dir_all(folder)?;
        let mut floor = Self {
            legs: Vec::new(),
            poll: Poll::new()?,
        };
        for call in 0..calls {
            for (side, remote) in [(0, carrier), (1, department)] {
                let number = 2 * call + side;
                let socket = UdpSocket::bind(step(local, number))?;
                socket.connect(step(remote, call))?;
                socket.set_nonblocking(true)?;
                floor.poll.add(&socket, number.into())?;
                let file = File::create(folder.join(format!("{number}.pcmu")))?;
                floor.legs.push(Leg {
                    socket,
                    file: BufWriter::with_capacity(BUFFER_BYTES, file),
                });
            }
        }
        Ok(floor)
    }

    /// Forwards until the process is ended.
    ///
    /// # Errors
    /// When the disk or the kernel refuses; a party that is not there yet is no error.
    pub fn run(&mut self) -> io::Result<()> {
        let mut packet = [0; 2048];
        let legs = &mut self.legs;
        loop {
            self.poll.wait(Duration::from_secs(1), |number| {
                let leg = usize::try_from(number).map_err(io::Error::other)?;
                let Some(length) = received(legs[leg].socket.recv(&mut packet))? else {
                    return Ok(());
                };
                received(legs[leg ^ 1].socket.send(&packet[..length]))?;
                legs[leg]
                    .file
                    .write_all(packet.get(RTP_HEADER_BYTES..length).unwrap_or_default())
            })?;
        }
    }
}

/// The address `count` socket pairs above: RTP on even ports, RTCP would be on the odd ones between.
#[must_use]
pub fn step(base: SocketAddr, count: u16) -> SocketAddr {
    SocketAddr::new(base.ip(), base.port() + 2 * count)
}

/// Nothing there, or nobody at the other end: both are weather, not faults.
fn received(outcome: io::Result<usize>) -> io::Result<Option<usize>> {
    match outcome {
        Ok(length) => Ok(Some(length)),
        Err(refusal)
            if matches!(
                refusal.kind(),
                io::ErrorKind::WouldBlock | io::ErrorKind::ConnectionRefused
            ) =>
        {
            Ok(None)
        }
        Err(refusal) => Err(refusal),
    }
}
