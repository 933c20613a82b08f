//! One connection: parts its stream into messages, answers and sends signs of life, and ends when the peer does not keep up.
//!
//! It is a task of the signalling runtime. It never makes anybody wait: what it hears waits in one bounded channel, what it is to say in
//! another, and whoever finds that one full closes the connection.

use std::{
    collections::VecDeque,
    io,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use bytes::{Buf, Bytes};
use exchange::Unreachable;
use sip_core::{FrameFault, Hop, StreamFrames};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    sync::mpsc,
    time::sleep_until,
};

use super::{Word, tls};

/// Octets read at once.
const PORTION_BYTES: usize = 8 * 1024;
/// How long a message may take to come whole, and a peer to take what it was sent: 64*T1, after which nobody waits for either.
const MESSAGE_PATIENCE: Duration = Duration::from_secs(32);
/// How long answers are still sent to a peer that has closed its own direction of a connection that it opened.
pub(super) const LAST_WORDS: Duration = Duration::from_secs(2);
/// A sign of life, and the answer to one (RFC 5626 section 4.4.1).
const PING: Bytes = Bytes::from_static(b"\r\n\r\n");
const PONG: Bytes = Bytes::from_static(b"\r\n");
/// Pings answered at once; a peer needs one answer to know that we live.
const MOST_PONGS: usize = 4;

/// How connections are kept.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Keeping {
    /// How long we keep silent before we send a sign of life; none: never.
    pub(crate) ping: Option<Duration>,
    /// How long a peer may keep silent before its connection is closed.
    pub(crate) idle: Duration,
}

impl Default for Keeping {
    fn default() -> Self {
        Keeping {
            // Shorter than what firewalls give a silent TCP connection, and RFC 5626 section 4.4.1 asks for less than 120 s.
            ping: Some(Duration::from_secs(90)),
            idle: Duration::from_secs(600),
        }
    }
}

/// The task's ends of what joins it to the wire.
pub(super) struct Line {
    pub(super) hop: Hop,
    pub(super) number: u64,
    pub(super) keeping: Keeping,
    pub(super) outbox: mpsc::Receiver<Bytes>,
    /// Octets that wait in the outbox or are being written.
    pub(super) waiting: Arc<AtomicUsize>,
    /// Set once the peer has closed its direction: what is asked there is answered by nobody.
    pub(super) closed: Arc<AtomicBool>,
    /// How long answers are still sent from then on.
    pub(super) last_words: Duration,
    pub(super) words: mpsc::Sender<Word>,
}

/// Why a connection ended.
#[derive(Debug, thiserror::Error)]
pub(super) enum End {
    #[error("it could not be made: {0}")]
    Unmade(io::Error),
    #[error("the peer closed it")]
    Closed,
    #[error("{0}")]
    Broken(#[from] io::Error),
    #[error("no TLS handshake: {0}")]
    Unsecured(io::Error),
    #[error("{0}")]
    Unparted(FrameFault),
    #[error("the peer kept silent for {0:?}")]
    Idle(Duration),
    #[error("a message did not come whole, or was not taken, within {MESSAGE_PATIENCE:?}")]
    Stalled,
    #[error("the wire let it go")]
    LetGo,
}

impl End {
    /// What whoever was to be reached by it is told.
    pub(super) fn why(&self) -> Unreachable {
        match self {
            End::Unsecured(fault) => tls::flaw(fault).unwrap_or(Unreachable::Handshake),
            // Under TLS 1.3 a peer refuses our certificate after the handshake.
            End::Broken(fault) => tls::flaw(fault).unwrap_or(Unreachable::Lost),
            End::Unmade(_) => Unreachable::Nobody,
            End::Closed | End::Unparted(_) | End::Idle(_) | End::Stalled | End::LetGo => {
                Unreachable::Lost
            }
        }
    }
}

/// Carries the connection until it ends.
pub(super) async fn carry<S: AsyncRead + AsyncWrite>(stream: S, line: &mut Line) -> End {
    let (mut reader, mut writer) = tokio::io::split(stream);
    let mut portion = vec![0; PORTION_BYTES];
    let mut ear = Ear::new(Instant::now(), line.last_words);
    let mut mouth = Mouth::new(Instant::now());
    loop {
        let now = Instant::now();
        if let Some(end) = ear.end(now, line.keeping).or_else(|| mouth.end(now)) {
            return end;
        }
        mouth.keep_alive(now, line.keeping);
        let wake = ear.next(line.keeping).min(mouth.next(line.keeping));
        tokio::select! {
            place = line.words.reserve(), if !ear.heard.is_empty() => {
                let (Ok(place), Some((payload, received_at))) = (place, ear.heard.pop_front()) else {
                    return End::LetGo;
                };
                place.send(Word::Message { hop: line.hop, payload, received_at });
            }
            place = line.words.reserve(), if ear.is_closing() => {
                let Ok(place) = place else {
                    return End::LetGo;
                };
                place.send(Word::Closed { hop: line.hop, number: line.number });
                ear.closed();
            }
            read = reader.read(&mut portion), if ear.is_open() => match read {
                Ok(0) => {
                    line.closed.store(true, Ordering::Relaxed);
                    ear.close(Instant::now());
                }
                Ok(length) => mouth.pongs += ear.take(Instant::now(), &portion[..length]),
                Err(fault) => return End::Broken(fault),
            },
            written = mouth.step(&mut writer), if mouth.is_speaking() => match written {
                Ok(told) => {
                    line.waiting.fetch_sub(told, Ordering::Relaxed);
                }
                Err(fault) => return End::Broken(fault),
            },
            message = line.outbox.recv(), if !mouth.is_speaking() => match message {
                Some(message) => {
                    let octets = message.len();
                    mouth.begin(Instant::now(), message, Kind::Message { octets });
                }
                None => return End::LetGo,
            },
            () = sleep_until(wake.into()) => {}
        }
    }
}

/// What comes in.
struct Ear {
    frames: StreamFrames,
    /// Whole messages that wait for the wire; while there are any, nothing is read.
    heard: VecDeque<(Bytes, Instant)>,
    stage: Stage,
    last_heard: Instant,
    inside_message_since: Option<Instant>,
    last_words: Duration,
}

enum Stage {
    Open,
    /// The peer says nothing more, and may still read; the wire is not told yet.
    Closing {
        since: Instant,
    },
    /// And the wire is told.
    Closed {
        since: Instant,
    },
    Faulty(FrameFault),
}

impl Ear {
    fn new(now: Instant, last_words: Duration) -> Ear {
        Ear {
            frames: StreamFrames::new(),
            heard: VecDeque::new(),
            stage: Stage::Open,
            last_heard: now,
            inside_message_since: None,
            last_words,
        }
    }

    fn is_open(&self) -> bool {
        self.heard.is_empty() && matches!(self.stage, Stage::Open)
    }

    /// The peer has closed its direction.
    fn close(&mut self, now: Instant) {
        self.stage = Stage::Closing { since: now };
    }

    fn is_closing(&self) -> bool {
        matches!(self.stage, Stage::Closing { .. })
    }

    /// The wire is told.
    fn closed(&mut self) {
        if let Stage::Closing { since } = self.stage {
            self.stage = Stage::Closed { since };
        }
    }

    /// Takes what was read; returns how many signs of life the peer asked for.
    fn take(&mut self, now: Instant, portion: &[u8]) -> usize {
        self.last_heard = now;
        self.frames.push(portion);
        while let Some(frame) = self.frames.poll() {
            match frame {
                Ok(payload) => self.heard.push_back((payload, now)),
                Err(fault) => self.stage = Stage::Faulty(fault),
            }
        }
        if !self.frames.is_inside_message() {
            self.inside_message_since = None;
        } else if !self.heard.is_empty() || self.inside_message_since.is_none() {
            self.inside_message_since = Some(now);
        }
        std::iter::from_fn(|| self.frames.poll_ping().then_some(())).count()
    }

    fn end(&self, now: Instant, keeping: Keeping) -> Option<End> {
        // What was heard before the end is passed on first.
        if !self.heard.is_empty() {
            return None;
        }
        match self.stage {
            Stage::Faulty(fault) => Some(End::Unparted(fault)),
            Stage::Closing { since } | Stage::Closed { since }
                if now >= since + self.last_words =>
            {
                Some(End::Closed)
            }
            Stage::Open
                if self
                    .inside_message_since
                    .is_some_and(|since| now >= since + MESSAGE_PATIENCE) =>
            {
                Some(End::Stalled)
            }
            Stage::Open if now >= self.last_heard + keeping.idle => Some(End::Idle(keeping.idle)),
            Stage::Open | Stage::Closing { .. } | Stage::Closed { .. } => None,
        }
    }

    fn next(&self, keeping: Keeping) -> Instant {
        match self.stage {
            Stage::Closing { since } | Stage::Closed { since } => since + self.last_words,
            Stage::Open | Stage::Faulty(_) => {
                let idle = self.last_heard + keeping.idle;
                self.inside_message_since
                    .map_or(idle, |since| idle.min(since + MESSAGE_PATIENCE))
            }
        }
    }
}

/// What goes out.
struct Mouth {
    /// What is left of what is being written.
    rest: Bytes,
    kind: Kind,
    is_flushed: bool,
    begun: Instant,
    pongs: usize,
}

/// What is being written.
#[derive(Clone, Copy)]
enum Kind {
    SignOfLife,
    Message { octets: usize },
}

impl Mouth {
    fn new(now: Instant) -> Mouth {
        Mouth {
            rest: Bytes::new(),
            kind: Kind::SignOfLife,
            is_flushed: true,
            begun: now,
            pongs: 0,
        }
    }

    fn is_speaking(&self) -> bool {
        !self.rest.is_empty() || !self.is_flushed
    }

    fn begin(&mut self, now: Instant, octets: Bytes, kind: Kind) {
        self.rest = octets;
        self.kind = kind;
        self.begun = now;
        self.is_flushed = false;
    }

    /// Answers the peer's signs of life, and gives one where we have long been silent.
    fn keep_alive(&mut self, now: Instant, keeping: Keeping) {
        if self.is_speaking() {
            return;
        }
        if self.pongs > 0 {
            let pongs = std::mem::take(&mut self.pongs).min(MOST_PONGS);
            self.begin(now, PONG.repeat(pongs).into(), Kind::SignOfLife);
        } else if keeping.ping.is_some_and(|ping| now >= self.begun + ping) {
            self.begin(now, PING, Kind::SignOfLife);
        }
    }

    /// Writes as much as goes at once; returns how many octets of a message are done with when it is out. A step that is dropped
    /// half-way has written nothing.
    async fn step(&mut self, writer: &mut (impl AsyncWrite + Unpin)) -> io::Result<usize> {
        if !self.rest.is_empty() {
            let length = writer.write(&self.rest).await?;
            if length == 0 {
                return Err(io::ErrorKind::WriteZero.into());
            }
            self.rest.advance(length);
            return Ok(0);
        }
        writer.flush().await?;
        self.is_flushed = true;
        match self.kind {
            Kind::SignOfLife => Ok(0),
            Kind::Message { octets } => Ok(octets),
        }
    }

    fn end(&self, now: Instant) -> Option<End> {
        (self.is_speaking() && now >= self.begun + MESSAGE_PATIENCE).then_some(End::Stalled)
    }

    fn next(&self, keeping: Keeping) -> Instant {
        let far = self.begun + Duration::from_secs(24 * 3600);
        if self.is_speaking() {
            self.begun + MESSAGE_PATIENCE
        } else {
            keeping.ping.map_or(far, |ping| self.begun + ping)
        }
    }
}

#[cfg(test)]
mod tests {
    //! In this world a peer keeps its connection by one octet at a time.

    use super::*;

    const HEADERS: &str = "OPTIONS sip:house@127.0.0.1 SIP/2.0\r\nVia: SIP/2.0/TCP 127.0.0.1;branch=z9hG4bKa\r\nSubject: ";
    const BODY: &str = "OPTIONS sip:house@127.0.0.1 SIP/2.0\r\nVia: SIP/2.0/TCP 127.0.0.1;branch=z9hG4bKa\r\nContent-Length: 9000\r\n\r\n";
    const WHOLE: &str = "OPTIONS sip:house@127.0.0.1 SIP/2.0\r\nVia: SIP/2.0/TCP 127.0.0.1;branch=z9hG4bKa\r\nContent-Length: 0\r\n\r\n";
    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn a_message_that_trickles_without_end_is_waited_for_32_s_and_no_longer() {
        for beginning in [HEADERS, BODY] {
            let keeping = Keeping::default();
            let begun = Instant::now();
            let mut ear = Ear::new(begun, LAST_WORDS);
            ear.take(begun, beginning.as_bytes());
            for waited_s in 1..32 {
                let now = begun + waited_s * SECOND;
                ear.take(now, b"x");
                assert!(ear.end(now, keeping).is_none(), "after {waited_s} s");
            }
            let last = begun + MESSAGE_PATIENCE;
            assert_eq!(ear.next(keeping), last, "it is looked at then");
            assert!(matches!(ear.end(last, keeping), Some(End::Stalled)));
        }
    }

    #[test]
    fn a_peer_whose_messages_come_slowly_and_whole_is_heard_for_as_long_as_it_speaks() {
        let keeping = Keeping::default();
        let mut now = Instant::now();
        let mut ear = Ear::new(now, LAST_WORDS);
        let mut heard_count = 0;
        // Each portion ends one message and begins the next, so that the ear is never outside of one.
        let (start, rest) = WHOLE.split_at(20);
        ear.take(now, start.as_bytes());
        for _ in 0..20 {
            now += 20 * SECOND;
            ear.take(now, format!("{rest}{start}").as_bytes());
            heard_count += std::iter::from_fn(|| ear.heard.pop_front()).count();
            assert!(ear.end(now, keeping).is_none());
        }
        assert_eq!(heard_count, 20);
        assert!(matches!(
            ear.end(now + MESSAGE_PATIENCE, keeping),
            Some(End::Stalled)
        ));
    }
}
