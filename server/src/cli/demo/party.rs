//! A telephone for the demonstration: speaks SIP in plain text and G.711 over RTP, from blocking sockets and threads.
//!
//! It shares no code with `sip-core` or the engine, so what it hears is what another product would hear.

use std::{
    collections::VecDeque,
    io,
    net::{SocketAddr, UdpSocket},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

const PACKET: Duration = Duration::from_millis(20);
const PACKET_SAMPLES: usize = 160; // RFC 3551 section 4.5.14: 8000 samples a second, one byte each.
const RTP_HEADER_BYTES: usize = 12;
const SILENCE: u8 = 0xff; // PCMU for zero.

/// What one party says and hears: silence until something is queued, everything received kept in order of arrival.
pub(super) struct Voice {
    socket: UdpSocket,
    to_say: Arc<Mutex<VecDeque<u8>>>,
    heard: Arc<Mutex<Vec<u8>>>,
    hung_up: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
}

impl Voice {
    /// Binds an RTP socket at `address` on a port the system chooses.
    pub(super) fn bind(address: std::net::IpAddr) -> io::Result<Voice> {
        let socket = UdpSocket::bind((address, 0))?;
        socket.set_read_timeout(Some(PACKET))?;
        Ok(Voice {
            socket,
            to_say: Arc::default(),
            heard: Arc::default(),
            hung_up: Arc::default(),
            threads: Vec::new(),
        })
    }

    pub(super) fn port(&self) -> u16 {
        self.socket.local_addr().map_or(0, |address| address.port())
    }

    /// Starts to send to `remote` and to listen; a second call does nothing.
    pub(super) fn start(&mut self, remote: SocketAddr) -> io::Result<()> {
        if !self.threads.is_empty() {
            return Ok(());
        }
        let (speaker, to_say, hung_up) = (
            self.socket.try_clone()?,
            self.to_say.clone(),
            self.hung_up.clone(),
        );
        self.threads.push(thread::spawn(move || {
            speak(&speaker, remote, &to_say, &hung_up);
        }));
        let (listener, heard, hung_up) = (
            self.socket.try_clone()?,
            self.heard.clone(),
            self.hung_up.clone(),
        );
        self.threads
            .push(thread::spawn(move || listen(&listener, &heard, &hung_up)));
        Ok(())
    }

    /// Says `samples` (PCMU) and returns when the last one has gone out.
    pub(super) fn say(&self, samples: &[u8]) {
        lock(&self.to_say).extend(samples);
        while !lock(&self.to_say).is_empty() {
            thread::sleep(PACKET);
        }
    }

    /// Payload bytes received so far.
    pub(super) fn heard(&self) -> Vec<u8> {
        lock(&self.heard).clone()
    }
}

impl Drop for Voice {
    fn drop(&mut self) {
        self.hung_up.store(true, Ordering::Relaxed);
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}

fn speak(
    socket: &UdpSocket,
    remote: SocketAddr,
    to_say: &Mutex<VecDeque<u8>>,
    hung_up: &AtomicBool,
) {
    let mut due = Instant::now();
    let mut packet = [0_u8; RTP_HEADER_BYTES + PACKET_SAMPLES];
    let (mut sequence, mut timestamp) = (1_u16, 160_u32);
    packet[0] = 0x80; // Version 2, RFC 3550 section 5.1; payload type 0 is PCMU.
    packet[8..12].copy_from_slice(&u32::from(remote.port()).to_be_bytes());
    while !hung_up.load(Ordering::Relaxed) {
        packet[2..4].copy_from_slice(&sequence.to_be_bytes());
        packet[4..8].copy_from_slice(&timestamp.to_be_bytes());
        {
            let mut queue = lock(to_say);
            packet[RTP_HEADER_BYTES..].fill_with(|| queue.pop_front().unwrap_or(SILENCE));
        }
        // A refused packet is the other side's hang-up; the signalling will say so.
        let _ = socket.send_to(&packet, remote);
        sequence = sequence.wrapping_add(1);
        timestamp = timestamp.wrapping_add(160);
        due += PACKET;
        thread::sleep(due.saturating_duration_since(Instant::now()));
    }
}

fn listen(socket: &UdpSocket, heard: &Mutex<Vec<u8>>, hung_up: &AtomicBool) {
    let mut packet = [0_u8; 2048];
    while !hung_up.load(Ordering::Relaxed) {
        if let Ok(length) = socket.recv(&mut packet)
            && length > RTP_HEADER_BYTES
        {
            lock(heard).extend_from_slice(&packet[RTP_HEADER_BYTES..length]);
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex
        .lock()
        .unwrap_or_else(std::sync::PoisonError::into_inner)
}

/// One SIP message as text, read far enough for a demonstration.
pub(super) struct Text(String);

impl Text {
    pub(super) fn start_line(&self) -> &str {
        self.0.lines().next().unwrap_or_default()
    }

    /// Status code of a response, none for a request.
    pub(super) fn status(&self) -> Option<u16> {
        self.start_line()
            .strip_prefix("SIP/2.0 ")?
            .get(..3)?
            .parse()
            .ok()
    }

    pub(super) fn method(&self) -> &str {
        match self.status() {
            Some(_) => self.header("CSeq").rsplit(' ').next().unwrap_or_default(),
            None => self.start_line().split(' ').next().unwrap_or_default(),
        }
    }

    /// First value of a header, empty when it is missing.
    pub(super) fn header(&self, name: &str) -> &str {
        self.headers(name).next().unwrap_or_default()
    }

    pub(super) fn headers<'text>(&'text self, name: &str) -> impl Iterator<Item = &'text str> {
        let lines = self.0.split("\r\n").take_while(|line| !line.is_empty());
        lines.filter_map(move |line| {
            line.split_once(':')
                .filter(|(found, _)| found.trim().eq_ignore_ascii_case(name))
                .map(|(_, value)| value.trim())
        })
    }

    /// The URI between the angle brackets of Contact, where in-dialog requests go.
    pub(super) fn contact_uri(&self) -> &str {
        let contact = self.header("Contact");
        contact
            .split_once('<')
            .and_then(|(_, rest)| rest.split_once('>'))
            .map_or(contact, |(uri, _)| uri)
    }

    /// Where the SDP wants its audio, when there is one.
    pub(super) fn audio_address(&self) -> Option<SocketAddr> {
        let (_, body) = self.0.split_once("\r\n\r\n")?;
        let address = body.lines().find_map(|line| {
            line.strip_prefix("c=IN IP4 ")
                .or_else(|| line.strip_prefix("c=IN IP6 "))
        })?;
        let port = body
            .lines()
            .find_map(|line| line.strip_prefix("m=audio "))?
            .split(' ')
            .next()?;
        Some(SocketAddr::new(
            address.trim().parse().ok()?,
            port.parse().ok()?,
        ))
    }
}

/// The signalling socket of one party.
pub(super) struct Line {
    socket: UdpSocket,
}

impl Line {
    pub(super) fn bind(address: SocketAddr) -> io::Result<Line> {
        Ok(Line {
            socket: UdpSocket::bind(address)?,
        })
    }

    pub(super) fn address(&self) -> io::Result<SocketAddr> {
        self.socket.local_addr()
    }

    pub(super) fn send(&self, to: SocketAddr, message: &str) -> io::Result<()> {
        self.socket.send_to(message.as_bytes(), to).map(drop)
    }

    /// The next message, or none when `patience` ran out.
    pub(super) fn receive(&self, patience: Duration) -> io::Result<Option<(Text, SocketAddr)>> {
        self.socket
            .set_read_timeout(Some(patience.max(Duration::from_millis(1))))?;
        let mut datagram = vec![0_u8; 65_536];
        match self.socket.recv_from(&mut datagram) {
            Ok((length, from)) => Ok(Some((
                Text(String::from_utf8_lossy(&datagram[..length]).into_owned()),
                from,
            ))),
            Err(error)
                if matches!(
                    error.kind(),
                    io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut
                ) =>
            {
                Ok(None)
            }
            Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => Ok(None),
            Err(error) => Err(error),
        }
    }
}

/// An SDP with PCMU and telephone-event at `address`.
pub(super) fn description(address: SocketAddr) -> String {
    let family = if address.is_ipv6() { "IP6" } else { "IP4" };
    let (host, port) = (address.ip(), address.port());
    format!(
        "v=0\r\no=demo 1 1 IN {family} {host}\r\ns=-\r\nc=IN {family} {host}\r\nt=0 0\r\nm=audio {port} RTP/AVP 0 101\r\n\
         a=rtpmap:0 PCMU/8000\r\na=rtpmap:101 telephone-event/8000\r\na=fmtp:101 0-15\r\na=ptime:20\r\na=sendrecv\r\n"
    )
}
