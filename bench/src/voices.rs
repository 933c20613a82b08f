//! Both parties' speech: 20 ms packets that carry their own time of departure, and the ear that reads it.
//!
//! One thread serves every leg, since the generator shares the machine with what it measures. The payload holds, in this
//! order: a mark, the speaker's leg, its count of packets, and the time of departure; whoever relays it must not touch it.

use std::{
    io,
    net::{SocketAddr, UdpSocket},
    sync::mpsc::{Receiver, Sender, TryRecvError, channel},
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use crate::poll::Poll;

/// RFC 3551 section 4.5.14: 160 bytes of PCMU are 20 ms.
const SAMPLE_COUNT: u32 = 160;
const RTP_HEADER_BYTES: usize = 12;
const PACKET_BYTES: usize = RTP_HEADER_BYTES + 160;
const MARK: [u8; 4] = *b"dnwb";

/// Legs speak in this many groups, one after the other, so that the load has no 20 ms beat of its own.
const GROUP_COUNT: usize = 20;
const FRAME: Duration = Duration::from_millis(20);

enum Order {
    Speak {
        leg: u32,
        socket: UdpSocket,
        remote: SocketAddr,
    },
    Hush,
    Measure {
        from: Instant,
        until: Instant,
    },
}

/// The thread of all voices; dropping it without [`Voices::finish`] leaves the thread to end by itself.
pub struct Voices {
    orders: Sender<Order>,
    thread: JoinHandle<io::Result<Heard>>,
}

/// What was heard of the packets that left within the measured window.
#[derive(Debug, Default)]
pub struct Heard {
    /// Packets that left within the window.
    pub sent: u64,
    /// How many of them arrived.
    pub received: u64,
    /// Packets that reached a party they were not meant for: another leg than the first one heard.
    pub strayed: u64,
    /// Packets without our mark, such as a prompt's.
    pub foreign: u64,
    /// Time between departure and arrival, in microseconds, ascending.
    pub delays_us: Vec<u32>,
    /// The most that a packet left behind its time: how far the generator itself was late.
    pub late_us: u128,
}

impl Heard {
    /// The delay that a share of all packets did not exceed, in microseconds.
    #[must_use]
    pub fn delay_us(&self, percent: usize) -> u32 {
        let index =
            (self.delays_us.len() * percent / 100).min(self.delays_us.len().saturating_sub(1));
        self.delays_us.get(index).copied().unwrap_or(0)
    }

    /// Packets of the window that never arrived.
    #[must_use]
    pub fn lost(&self) -> u64 {
        self.sent.saturating_sub(self.received)
    }
}

impl Voices {
    /// Starts the thread; nobody speaks yet.
    ///
    /// # Errors
    /// When the process has no file descriptor left.
    pub fn start() -> io::Result<Self> {
        let (orders, inbox) = channel();
        let mut hall = Hall::new(inbox)?;
        let thread = thread::Builder::new()
            .name("voices".to_owned())
            .spawn(move || hall.run())?;
        Ok(Self { orders, thread })
    }

    /// A party begins to speak, and goes on until [`Voices::hush`].
    pub fn speak(&self, leg: u32, socket: UdpSocket, remote: SocketAddr) {
        self.order(Order::Speak {
            leg,
            socket,
            remote,
        });
    }

    /// Counts and times the packets that leave between two instants.
    pub fn measure(&self, from: Instant, until: Instant) {
        self.order(Order::Measure { from, until });
    }

    /// Everybody falls silent; what is under way is still heard.
    pub fn hush(&self) {
        self.order(Order::Hush);
    }

    /// Ends the thread and says what it heard.
    ///
    /// # Errors
    /// What stopped the thread early.
    pub fn finish(self) -> io::Result<Heard> {
        drop(self.orders);
        self.thread
            .join()
            .unwrap_or_else(|_| Err(io::Error::other("the thread of voices panicked")))
    }

    /// A thread that has ended says why in [`Voices::finish`]; until then its orders go nowhere.
    fn order(&self, order: Order) {
        let _ = self.orders.send(order);
    }
}

/// Where all legs are: the thread's own state.
struct Hall {
    inbox: Receiver<Order>,
    poll: Poll,
    epoch: Instant,
    legs: Vec<Leg>,
    is_hushed: bool,
    window_ns: Option<(u64, u64)>,
    heard: Heard,
}

struct Leg {
    socket: UdpSocket,
    packet: [u8; PACKET_BYTES],
    sequence: u16,
    timestamp: u32,
    count: u32,
    partner: Option<u32>,
}

impl Hall {
    fn new(inbox: Receiver<Order>) -> io::Result<Self> {
        let poll = Poll::new()?;
        let epoch = Instant::now();
        Ok(Self {
            inbox,
            poll,
            epoch,
            legs: Vec::new(),
            is_hushed: false,
            window_ns: None,
            heard: Heard::default(),
        })
    }

    fn run(&mut self) -> io::Result<Heard> {
        let step = FRAME / u32::try_from(GROUP_COUNT).map_err(io::Error::other)?;
        let mut due = Instant::now();
        let mut group = 0;
        while self.take_orders()? {
            let now = Instant::now();
            if now < due {
                self.listen(due - now)?;
                continue;
            }
            if self.is_measured(self.since_epoch(now)) {
                self.heard.late_us = self.heard.late_us.max((now - due).as_micros());
            }
            self.speak(group)?;
            self.listen(Duration::ZERO)?;
            group = (group + 1) % GROUP_COUNT;
            due += step;
        }
        self.heard.delays_us.sort_unstable();
        Ok(std::mem::take(&mut self.heard))
    }

    /// Carries out what has been asked; false once nobody can ask any more.
    fn take_orders(&mut self) -> io::Result<bool> {
        loop {
            match self.inbox.try_recv() {
                Ok(Order::Speak {
                    leg,
                    socket,
                    remote,
                }) => {
                    socket.connect(remote)?;
                    socket.set_nonblocking(true)?;
                    self.poll.add(
                        &socket,
                        u64::try_from(self.legs.len()).map_err(io::Error::other)?,
                    )?;
                    self.legs.push(Leg::new(leg, socket));
                }
                Ok(Order::Hush) => self.is_hushed = true,
                Ok(Order::Measure { from, until }) => {
                    self.window_ns = Some((self.since_epoch(from), self.since_epoch(until)));
                }
                Err(TryRecvError::Empty) => return Ok(true),
                Err(TryRecvError::Disconnected) => return Ok(false),
            }
        }
    }

    /// Sends one packet from each leg of a group.
    fn speak(&mut self, group: usize) -> io::Result<()> {
        if self.is_hushed {
            return Ok(());
        }
        let epoch = self.epoch;
        for leg in self.legs.iter_mut().skip(group).step_by(GROUP_COUNT) {
            let departure_ns = nanoseconds(epoch, Instant::now());
            if leg.send(departure_ns)?
                && self
                    .window_ns
                    .is_some_and(|(from, until)| (from..until).contains(&departure_ns))
            {
                self.heard.sent += 1;
            }
        }
        Ok(())
    }

    fn listen(&mut self, patience: Duration) -> io::Result<()> {
        let Self {
            poll,
            legs,
            heard,
            window_ns,
            epoch,
            ..
        } = self;
        poll.wait(patience, |number| {
            let leg = usize::try_from(number)
                .ok()
                .and_then(|index| legs.get_mut(index));
            let leg =
                leg.expect("each watched number is the index of a leg, and no leg is ever removed");
            let mut packet = [0; 2048];
            let length = match leg.socket.recv(&mut packet) {
                Ok(length) => length,
                Err(refusal) if is_weather(&refusal) => return Ok(()),
                Err(refusal) => return Err(refusal),
            };
            let arrival_ns = nanoseconds(*epoch, Instant::now());
            leg.hear(&packet[..length], arrival_ns, *window_ns, heard);
            Ok(())
        })
    }

    fn is_measured(&self, at_ns: u64) -> bool {
        self.window_ns
            .is_some_and(|(from, until)| (from..until).contains(&at_ns))
    }

    fn since_epoch(&self, at: Instant) -> u64 {
        nanoseconds(self.epoch, at)
    }
}

impl Leg {
    fn new(leg: u32, socket: UdpSocket) -> Self {
        let mut packet = [0xD5; PACKET_BYTES];
        packet[0] = 0x80; // RTP version 2 (RFC 3550 section 5.1).
        packet[1] = 0; // PCMU (RFC 3551 section 6).
        packet[8..12].copy_from_slice(&leg.to_be_bytes());
        packet[12..16].copy_from_slice(&MARK);
        packet[16..20].copy_from_slice(&leg.to_be_bytes());
        Self {
            socket,
            packet,
            sequence: 0,
            timestamp: 0,
            count: 0,
            partner: None,
        }
    }

    /// Whether the packet left: a full or deaf socket drops it, as the kernel would on any sender.
    fn send(&mut self, departure_ns: u64) -> io::Result<bool> {
        self.packet[2..4].copy_from_slice(&self.sequence.to_be_bytes());
        self.packet[4..8].copy_from_slice(&self.timestamp.to_be_bytes());
        self.packet[20..24].copy_from_slice(&self.count.to_be_bytes());
        self.packet[24..32].copy_from_slice(&departure_ns.to_be_bytes());
        self.sequence = self.sequence.wrapping_add(1);
        self.timestamp = self.timestamp.wrapping_add(SAMPLE_COUNT);
        self.count += 1;
        match self.socket.send(&self.packet) {
            Ok(_) => Ok(true),
            Err(refusal) if is_weather(&refusal) => Ok(false),
            Err(refusal) => Err(refusal),
        }
    }

    fn hear(
        &mut self,
        packet: &[u8],
        arrival_ns: u64,
        window_ns: Option<(u64, u64)>,
        heard: &mut Heard,
    ) {
        let Some((speaker, departure_ns)) = read(packet) else {
            heard.foreign += 1;
            return;
        };
        if *self.partner.get_or_insert(speaker) != speaker {
            heard.strayed += 1;
        }
        if window_ns.is_some_and(|(from, until)| (from..until).contains(&departure_ns)) {
            heard.received += 1;
            let delay_us = arrival_ns.saturating_sub(departure_ns) / 1000;
            heard
                .delays_us
                .push(u32::try_from(delay_us).unwrap_or(u32::MAX));
        }
    }
}

/// The speaker's leg and the time of departure, when the payload is one of ours.
fn read(packet: &[u8]) -> Option<(u32, u64)> {
    let payload = packet.get(RTP_HEADER_BYTES..)?.strip_prefix(&MARK)?;
    let (speaker, rest) = payload.split_first_chunk()?;
    let departure = rest.get(4..)?.first_chunk()?;
    Some((u32::from_be_bytes(*speaker), u64::from_be_bytes(*departure)))
}

/// A socket buffer that is full for a moment, or a party that has gone: neither is a fault of the run.
fn is_weather(refusal: &io::Error) -> bool {
    matches!(
        refusal.kind(),
        io::ErrorKind::WouldBlock | io::ErrorKind::ConnectionRefused
    )
}

fn nanoseconds(epoch: Instant, at: Instant) -> u64 {
    u64::try_from(at.saturating_duration_since(epoch).as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_packet_tells_who_spoke_and_when() {
        let ear = UdpSocket::bind("127.0.0.1:0").unwrap();
        let mouth = UdpSocket::bind("127.0.0.1:0").unwrap();
        mouth.connect(ear.local_addr().unwrap()).unwrap();
        let mut leg = Leg::new(7, mouth);
        assert!(leg.send(123_456_789).unwrap());

        let mut packet = [0; 2048];
        let length = ear.recv(&mut packet).unwrap();
        assert_eq!(length, PACKET_BYTES);
        assert_eq!(read(&packet[..length]), Some((7, 123_456_789)));
        assert_eq!(read(&packet[1..length]), None);
    }
}
