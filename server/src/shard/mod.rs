//! A media shard: an OS thread that owns its sockets and one `Engine`, and waits in epoll.
//!
//! Per packet it takes no lock, allocates nothing, logs nothing and waits for nobody. What it has to say goes up in one bounded
//! channel, the latest word for each leg and kind; what it is told comes down in another. Start at [`Shard::begin`] and [`Worker::turn`].

#[cfg(test)]
mod against_ffmpeg;
mod ports;

use std::{
    collections::BTreeMap,
    io,
    net::SocketAddr,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc,
        mpsc::{Receiver, SyncSender, TryRecvError, sync_channel},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use media::{Command, Engine, Event, LegId, OfferedLeg};
use mio::{Events, Poll, Token, Waker};
use tokio::sync::mpsc;

pub(crate) use self::ports::Share;
use self::ports::{Kind, Ports};

/// How often pairs are lent and taken back.
const TICK: Duration = Duration::from_millis(20);
/// Sockets that are served in one turn.
const EVENTS_PER_TURN: usize = 512;
/// Packets read from one socket in one turn, so that a flood at one leg leaves the others their time (T-06).
const PACKETS_PER_SOCKET: usize = 32;
/// DESIGN "Concurrency": commands are bounded by eight for each leg that can be admitted.
const COMMANDS_PER_LEG: usize = 8;
const WAKE: Token = Token(usize::MAX);
/// An Ethernet frame; nothing larger is voice.
const PACKET_BYTES: usize = 1_500;

/// What a shard says.
#[derive(Debug)]
pub(crate) enum Report {
    /// Pairs that calls may use.
    Offered(Vec<OfferedLeg>),
    /// What the engine reports.
    Media(Event),
    /// The thread has ended without being asked; its sockets are closed.
    Lost(u16),
}

enum Order {
    Media(Command),
    Stop,
}

/// A shard's thread as its master sees it.
#[derive(Debug)]
pub(crate) struct Shard {
    orders: SyncSender<Order>,
    /// Commands that it was not woken for yet.
    untold: usize,
    waker: Arc<Waker>,
    thread: JoinHandle<()>,
}

impl Shard {
    /// Begins a shard's thread.
    ///
    /// # Errors
    /// The system gives no epoll or no thread.
    pub(crate) fn begin(
        number: u16,
        shares: &[Share],
        seed: [u8; 32],
        reports: mpsc::Sender<Report>,
    ) -> io::Result<Shard> {
        let poll = Poll::new()?;
        let waker = Arc::new(Waker::new(poll.registry(), WAKE)?);
        let pairs = shares.iter().map(|share| share.len()).sum::<usize>();
        let bound = (COMMANDS_PER_LEG * pairs).max(1_024);
        let max_legs = u32::try_from(pairs).map_err(io::Error::other)?;
        let ports = Ports::new(number, shares);
        let (orders, inbox) = sync_channel(bound);
        let wakes_until_the_end = Arc::clone(&waker);
        let thread = thread::Builder::new()
            .name(format!("shard-{number}"))
            .spawn(move || {
                // A waker that is closed takes the wake-up it has just sent with it.
                let _waker = wakes_until_the_end;
                let last_word = reports.clone();
                let ended = catch_unwind(AssertUnwindSafe(|| {
                    let worker = Worker {
                        poll,
                        inbox,
                        engine: Engine::new(
                            media::Settings {
                                shard: number,
                                max_legs,
                            },
                            seed,
                        ),
                        ports,
                        reports,
                        pending: BTreeMap::new(),
                        unoffered: Vec::new(),
                        packet: [0; PACKET_BYTES],
                    };
                    worker.run()
                }));
                match ended {
                    Ok(Ok(())) => return,
                    Ok(Err(fault)) => {
                        tracing::error!(shard = number, %fault, "a media shard ended");
                    }
                    Err(_) => tracing::error!(shard = number, "a media shard panicked"),
                }
                // The master may be gone as well; then nobody has calls left to end.
                let _ = last_word.blocking_send(Report::Lost(number));
            })?;
        Ok(Shard {
            orders,
            untold: 0,
            waker,
            thread,
        })
    }

    /// Hands a command to the engine, which takes it after [`Shard::tell`]; `false` means that the shard is lost.
    pub(crate) fn send(&mut self, command: Command) -> bool {
        self.untold += 1;
        self.orders.try_send(Order::Media(command)).is_ok()
    }

    /// Wakes the engine for all commands since it was told last; `false` means that the shard is lost.
    pub(crate) fn tell(&mut self) -> bool {
        std::mem::take(&mut self.untold) == 0 || self.waker.wake().is_ok()
    }

    /// Whether the thread has ended, asked or not.
    pub(crate) fn is_finished(&self) -> bool {
        self.thread.is_finished()
    }

    /// Ends the thread and waits for it.
    pub(crate) fn stop(self) {
        // A panic was caught and reported inside the thread.
        let _ = self.retire().join();
    }

    /// Tells the thread to end and waits for nothing: it may hang, and whoever calls carries calls.
    pub(crate) fn retire(self) -> JoinHandle<()> {
        let Shard {
            orders,
            waker,
            thread,
            ..
        } = self;
        // A full queue takes no order to stop; one without a sender ends the thread too, once it is empty.
        let _ = orders.try_send(Order::Stop);
        drop(orders);
        // Without a waker there is no way to the thread; it is left behind.
        let _ = waker.wake();
        thread
    }
}

/// The latest word for a leg and a kind of event; a shard never holds more.
type Pending = BTreeMap<(LegId, u8), Event>;

struct Worker {
    poll: Poll,
    inbox: Receiver<Order>,
    engine: Engine,
    ports: Ports,
    reports: mpsc::Sender<Report>,
    pending: Pending,
    unoffered: Vec<OfferedLeg>,
    packet: [u8; PACKET_BYTES],
}

impl Worker {
    fn run(mut self) -> io::Result<()> {
        let mut events = Events::with_capacity(EVENTS_PER_TURN);
        let mut next_tick = Instant::now();
        while self.turn(&mut events, &mut next_tick)? {}
        Ok(())
    }

    /// One turn: lend, wait, obey, carry packets, keep time, report. `false` ends the shard.
    fn turn(&mut self, events: &mut Events, next_tick: &mut Instant) -> io::Result<bool> {
        let now = Instant::now();
        if now >= *next_tick {
            *next_tick = now + TICK;
            self.ports
                .lend(self.poll.registry(), now, &mut self.unoffered);
        }
        self.report();
        let until = self
            .engine
            .poll_timeout()
            .map_or(*next_tick, |(at, _)| at.min(*next_tick));
        match self
            .poll
            .poll(events, Some(until.saturating_duration_since(now)))
        {
            Err(fault) if fault.kind() == io::ErrorKind::Interrupted => return Ok(true),
            other => other?,
        }
        let now = Instant::now();
        let mut is_open = true;
        for event in &*events {
            if event.token() == WAKE {
                is_open = self.obey(now);
            } else {
                self.receive(now, event.token());
            }
        }
        if self.engine.poll_timeout().is_some_and(|(at, _)| at <= now) {
            self.engine.handle_timeout(now);
        }
        self.transmit();
        self.collect(now);
        Ok(is_open)
    }

    /// Takes the commands that have arrived.
    fn obey(&mut self, now: Instant) -> bool {
        loop {
            match self.inbox.try_recv() {
                Ok(Order::Media(command)) => {
                    match &command {
                        Command::Open { leg, stream } => self.ports.open(*leg, stream),
                        // A pair that was lent and never opened: the engine does not know it.
                        Command::Close { leg } if self.engine.statistics(*leg).is_none() => {
                            self.ports.take_back(*leg, now);
                        }
                        _ => {}
                    }
                    self.engine.handle_command(now, command);
                }
                Ok(Order::Stop) | Err(TryRecvError::Disconnected) => return false,
                Err(TryRecvError::Empty) => return true,
            }
        }
    }

    /// Reads what has arrived at a socket and carries it to the other party.
    fn receive(&mut self, now: Instant, token: Token) {
        let Some((leg, kind)) = self.ports.leg_of(token) else {
            return;
        };
        for _ in 0..PACKETS_PER_SOCKET {
            let Some(socket) = self.ports.socket(leg, kind) else {
                return;
            };
            let (length, source) = match socket.recv_from(&mut self.packet) {
                Ok(received) => received,
                Err(fault) if fault.kind() == io::ErrorKind::WouldBlock => return,
                Err(_) => continue, // An ICMP message about an earlier packet.
            };
            // A broken invariant ends this leg, not the shard.
            let carried = catch_unwind(AssertUnwindSafe(|| {
                self.carry(now, leg, kind, source, length);
            }));
            if carried.is_err() {
                self.engine.handle_command(now, Command::Close { leg });
                return;
            }
        }
        self.again(token);
    }

    /// More packets wait than one turn takes: epoll tells of them once only, so the socket is registered anew.
    fn again(&mut self, token: Token) {
        let Some((leg, kind)) = self.ports.leg_of(token) else {
            return;
        };
        let registry = self.poll.registry();
        self.ports.rearm(registry, leg, kind, token);
    }

    fn carry(&mut self, now: Instant, leg: LegId, kind: Kind, source: SocketAddr, length: usize) {
        match kind {
            Kind::Rtp => {
                if let Some(forward) =
                    self.engine
                        .handle_rtp(now, leg, source, &mut self.packet, length)
                {
                    self.ports.send(
                        forward.leg,
                        Kind::Rtp,
                        &self.packet[..forward.len],
                        forward.to,
                    );
                }
            }
            Kind::Rtcp => self
                .engine
                .handle_rtcp(now, leg, source, &self.packet[..length]),
        }
    }

    /// Sends what the engine makes itself: prompts, tones, reports.
    fn transmit(&mut self) {
        while let Some(transmit) = self.engine.poll_transmit(&mut self.packet) {
            let kind = if transmit.rtcp { Kind::Rtcp } else { Kind::Rtp };
            self.ports.send(
                transmit.leg,
                kind,
                &self.packet[..transmit.len],
                transmit.to,
            );
        }
    }

    fn collect(&mut self, now: Instant) {
        while let Some(event) = self.engine.poll_event() {
            let key = match &event {
                Event::PlaybackEnded { leg, .. } => (*leg, 0),
                Event::FellSilent { leg } | Event::Heard { leg } => (*leg, 2),
                Event::Counted { leg, .. } => (*leg, 3),
                Event::Closed { leg, .. } => {
                    self.ports.take_back(*leg, now);
                    (*leg, 1)
                }
            };
            self.pending.insert(key, event);
        }
    }

    /// Sends up what is pending; what finds the channel full stays for the next turn.
    fn report(&mut self) {
        while let Some(entry) = self.pending.first_entry() {
            let Ok(place) = self.reports.try_reserve() else {
                return;
            };
            place.send(Report::Media(entry.remove()));
        }
        if !self.unoffered.is_empty()
            && let Ok(place) = self.reports.try_reserve()
        {
            place.send(Report::Offered(std::mem::take(&mut self.unoffered)));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A shard whose thread takes its orders only when it is let go, as one that hangs does.
    fn hanging() -> (Shard, std::sync::mpsc::Sender<()>, Poll) {
        let poll = Poll::new().unwrap();
        let waker = Arc::new(Waker::new(poll.registry(), WAKE).unwrap());
        let (orders, inbox) = sync_channel(1);
        let (go, gone) = std::sync::mpsc::channel::<()>();
        let thread = thread::spawn(move || {
            let _ = gone.recv();
            while let Ok(Order::Media(_)) = inbox.recv() {}
        });
        let shard = Shard {
            orders,
            untold: 0,
            waker,
            thread,
        };
        (shard, go, poll)
    }

    fn command() -> Command {
        let leg = LegId {
            shard: 0,
            slot: 0,
            generation: 0,
        };
        Command::Close { leg }
    }

    fn ends_within_ten_seconds(thread: JoinHandle<()>) -> bool {
        let (ended, has_ended) = std::sync::mpsc::channel();
        thread::spawn(move || {
            let _ = thread.join();
            let _ = ended.send(());
        });
        has_ended.recv_timeout(Duration::from_secs(10)).is_ok()
    }

    #[test]
    fn a_shard_that_is_told_to_end_ends() {
        for first in 0..20 {
            let share = Share {
                range: crate::config::PortRange {
                    address: "127.0.77.2".parse().unwrap(),
                    first: 22_000 + 2 * first,
                    last: 22_001 + 2 * first,
                },
                first_pair: 0,
                step: 1,
                limit: usize::MAX,
            };
            let (reports, _heard) = mpsc::channel(8);
            let shard = Shard::begin(0, &[share], [0; 32], reports).unwrap();
            assert!(ends_within_ten_seconds(shard.retire()));
        }
    }

    #[test]
    fn a_shard_that_hangs_is_given_up_without_waiting_and_ends_when_it_can() {
        let (mut shard, go, _poll) = hanging();
        assert!(shard.send(command()));
        assert!(!shard.send(command()), "its bound of commands is broken");

        let retired = shard.retire();
        assert!(!retired.is_finished());
        go.send(()).unwrap();
        // The order to stop found no place; the queue without a sender is what ends the thread.
        assert!(ends_within_ten_seconds(retired));
    }
}
