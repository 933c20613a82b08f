//! The connections: taken from peers alone, made where there is none, found again by their hop, and never more than there may be.

use std::{
    collections::{BTreeMap, VecDeque},
    io,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use exchange::Unreachable;
use sip_core::{Hop, Transport};
use socket2::{Domain, Protocol, SockRef, Socket, Type};
use tokio::{
    net::{TcpListener, TcpSocket, TcpStream},
    sync::mpsc,
    task::AbortHandle,
    time::timeout,
};
use tokio_rustls::{TlsAcceptor, TlsConnector};

use super::{
    Word,
    connection::{self, End, Keeping, LAST_WORDS, Line},
    dscp::{self, CodePoint},
    tls::{self, Tls, TlsInForce},
};
use crate::telemetry::Counters;

/// Connections that one address may open to us: a PBX has one a telephone line at most, and reuses few.
const MOST_OF_A_PEER: usize = 128;
/// Connections at once, ours and theirs; each is a file and at most a message of 64 KiB.
pub(crate) const MOST: usize = 1_024;
/// Of these, how many only we may open.
const OURS: usize = 128;
/// Messages and octets that may wait for one connection: some hundred calls' worth. A peer that reads slower than that is let go.
const WAITING_MESSAGES: usize = 512;
const WAITING_OCTETS: usize = 1024 * 1024;
/// How long a connection may take to be made, and a TLS handshake to be done. Shorter than the 4 s after which a silent target is passed
/// over, so that the reason is known by then.
const CONNECT: Duration = Duration::from_secs(3);
const HANDSHAKE: Duration = Duration::from_secs(5);
/// How long octets may go unacknowledged until the kernel calls the connection lost: a peer that vanished is found out by this.
const UNACKNOWLEDGED: Duration = Duration::from_secs(20);
/// Connections that the kernel holds until we take them.
const BACKLOG: i32 = 1_024;

/// All connections.
#[derive(Debug)]
pub(super) struct Streams {
    listeners: Vec<(Transport, SocketAddr)>,
    open: BTreeMap<Hop, Connection>,
    next: u64,
    keeping: Keeping,
    tls: Option<TlsInForce>,
    words: mpsc::Sender<Word>,
    /// Hops of connections that were let go here.
    gone: VecDeque<(Hop, Unreachable)>,
    counters: Arc<Counters>,
}

#[derive(Debug)]
struct Connection {
    number: u64,
    opener: Opener,
    outbox: mpsc::Sender<Bytes>,
    waiting: Arc<AtomicUsize>,
    /// The peer has closed its direction.
    closed: Arc<AtomicBool>,
    task: AbortHandle,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Opener {
    Peer,
    Us,
}

impl Opener {
    /// How long a connection outlives the peer's end of its direction: who opened it may wait for an answer; whom we opened it to
    /// answers no more, and is reached by a new one (RFC 3261 section 18.2.2).
    fn last_words(self) -> Duration {
        match self {
            Opener::Peer => LAST_WORDS,
            Opener::Us => Duration::ZERO,
        }
    }
}

/// What a new connection of ours is made with.
#[derive(Clone, Debug)]
pub(super) struct Making {
    pub(super) mark: CodePoint,
    /// What the certificate of the other end must name, over TLS; none: its address.
    pub(super) name: Option<String>,
}

impl Streams {
    pub(super) fn new(
        keeping: Keeping,
        tls: Option<TlsInForce>,
        words: mpsc::Sender<Word>,
        counters: Arc<Counters>,
    ) -> Streams {
        Streams {
            listeners: Vec::new(),
            open: BTreeMap::new(),
            next: 0,
            keeping,
            tls,
            words,
            gone: VecDeque::new(),
            counters,
        }
    }

    /// Listens at an address; it must be done inside the runtime. Returns the address, with its port where none was asked for.
    ///
    /// # Errors
    /// The address is taken or not this host's.
    pub(super) fn listen(
        &mut self,
        transport: Transport,
        address: SocketAddr,
    ) -> io::Result<SocketAddr> {
        let socket = Socket::new(
            Domain::for_address(address),
            Type::STREAM,
            Some(Protocol::TCP),
        )?;
        socket.set_nonblocking(true)?;
        // Connections of an earlier run may linger at this address; nobody else can take it while we listen.
        socket.set_reuse_address(true)?;
        if address.is_ipv6() {
            socket.set_only_v6(true)?;
        }
        socket.bind(&address.into())?;
        socket.listen(BACKLOG)?;
        let listener = TcpListener::from_std(socket.into())?;
        let address = listener.local_addr()?;
        self.listeners.push((transport, address));
        tokio::spawn(accept(listener, transport, address, self.words.clone()));
        Ok(address)
    }

    /// Takes a connection that somebody opened. Nothing of it was read: a stranger's is closed at once, by a reset.
    pub(super) fn take_in(&mut self, hop: Hop, stream: TcpStream, mark: CodePoint, is_peer: bool) {
        if !is_peer {
            Counters::count(&self.counters.strangers);
            return reset(&stream);
        }
        let of_peer = self.open.iter().filter(|(open, connection)| {
            open.remote.ip() == hop.remote.ip() && connection.opener == Opener::Peer
        });
        if of_peer.count() >= MOST_OF_A_PEER || self.open.len() >= MOST - OURS {
            Counters::count(&self.counters.connections_refused);
            return reset(&stream);
        }
        let tls = self.tls.as_ref().and_then(TlsInForce::get);
        if hop.transport == Transport::Tls && tls.is_none() {
            Counters::count(&self.counters.connections_refused);
            return reset(&stream);
        }
        self.begin(hop, Opener::Peer, |mut line| async move {
            prepare(&stream, hop, mark);
            match tls {
                Some(tls) if hop.transport == Transport::Tls => {
                    carry_theirs(stream, &tls, &mut line).await
                }
                _ => connection::carry(stream, &mut line).await,
            }
        });
    }

    /// Sends a message on the connection of this hop, or makes one. Where the peer has closed its direction only answers go: it would
    /// answer no request.
    pub(super) fn send(&mut self, hop: Hop, payload: Bytes, making: &Making) {
        if !self.open.contains_key(&hop)
            && let Err(why) = self.make(hop, making.clone())
        {
            Counters::count(&self.counters.unsent);
            self.gone.push_back((hop, why));
            return;
        }
        let Some(connection) = self.open.get(&hop) else {
            return;
        };
        if connection.closed.load(Ordering::Relaxed) && !is_answer(&payload) {
            return self.let_go(hop);
        }
        let length = payload.len();
        let waiting = connection.waiting.fetch_add(length, Ordering::Relaxed) + length;
        if waiting > WAITING_OCTETS || connection.outbox.try_send(payload).is_err() {
            Counters::count(&self.counters.slow_readers);
            self.let_go(hop);
        }
    }

    fn make(&mut self, hop: Hop, making: Making) -> Result<(), Unreachable> {
        let tls = self.tls.as_ref().and_then(TlsInForce::get);
        if hop.transport == Transport::Tls && tls.is_none() {
            return Err(Unreachable::OwnCertificate);
        }
        if self.open.len() >= MOST {
            return Err(Unreachable::Nobody);
        }
        let counters = Arc::clone(&self.counters);
        self.begin(hop, Opener::Us, move |mut line| async move {
            let carried = carry_ours(hop, making, tls, &mut line).await;
            carried.unwrap_or_else(|fault| {
                Counters::count(&counters.connects_failed);
                tracing::debug!(remote = %hop.remote, transport = ?hop.transport, %fault, "a connection could not be made");
                fault
            })
        });
        Ok(())
    }

    /// Begins the task of a connection and enters it into the table.
    fn begin<F>(&mut self, hop: Hop, opener: Opener, task: impl FnOnce(Line) -> F)
    where
        F: Future<Output = End> + Send + 'static,
    {
        let (outbox, inbox) = mpsc::channel(WAITING_MESSAGES);
        let waiting = Arc::new(AtomicUsize::new(0));
        let closed = Arc::new(AtomicBool::new(false));
        let number = self.next;
        self.next += 1;
        let line = Line {
            hop,
            number,
            keeping: self.keeping,
            outbox: inbox,
            waiting: Arc::clone(&waiting),
            closed: Arc::clone(&closed),
            last_words: opener.last_words(),
            words: self.words.clone(),
        };
        let words = self.words.clone();
        let carried = task(line);
        let task = tokio::spawn(async move {
            let end = carried.await;
            tracing::debug!(remote = %hop.remote, transport = ?hop.transport, %end, "a connection ended");
            // Without anybody who listens the service is ending.
            let why = end.why();
            let _ = words.send(Word::Ended { hop, number, why }).await;
        });
        let connection = Connection {
            number,
            opener,
            outbox,
            waiting,
            closed,
            task: task.abort_handle(),
        };
        if let Some(earlier) = self.open.insert(hop, connection) {
            // The same port was opened anew: the peer has forgotten the earlier connection.
            earlier.task.abort();
        }
    }

    /// A task has ended by itself; whether its connection was the one of this hop.
    pub(super) fn ended(&mut self, hop: Hop, number: u64) -> bool {
        let known = self.is_current(hop, number);
        if known {
            self.open.remove(&hop);
        }
        known
    }

    /// Whether this is the connection of this hop, and no earlier one.
    pub(super) fn is_current(&self, hop: Hop, number: u64) -> bool {
        let open = self.open.get(&hop);
        open.is_some_and(|connection| connection.number == number)
    }

    fn let_go(&mut self, hop: Hop) {
        if let Some(connection) = self.open.remove(&hop) {
            connection.task.abort();
            self.gone.push_back((hop, Unreachable::Lost));
        }
    }

    /// A hop whose connection was let go, or could not be made.
    pub(super) fn poll_gone(&mut self) -> Option<(Hop, Unreachable)> {
        self.gone.pop_front()
    }

    pub(super) fn has_gone(&self) -> bool {
        !self.gone.is_empty()
    }
}

fn is_answer(message: &[u8]) -> bool {
    message.starts_with(b"SIP/2.0 ")
}

/// Waits for connections; whether they are taken is decided where peers are known.
async fn accept(
    listener: TcpListener,
    transport: Transport,
    local: SocketAddr,
    words: mpsc::Sender<Word>,
) {
    const PAUSE: Duration = Duration::from_millis(50); // Out of descriptors: others must close theirs first.
    loop {
        match listener.accept().await {
            Ok((stream, remote)) => {
                let hop = Hop {
                    transport,
                    local,
                    remote,
                };
                if words.send(Word::Accepted { hop, stream }).await.is_err() {
                    return;
                }
            }
            Err(_) => tokio::time::sleep(PAUSE).await,
        }
    }
}

async fn carry_theirs(stream: TcpStream, tls: &Tls, line: &mut Line) -> End {
    let acceptor = TlsAcceptor::from(Arc::clone(&tls.server));
    match timeout(HANDSHAKE, acceptor.accept(stream)).await {
        Ok(Ok(stream)) => connection::carry(stream, line).await,
        Ok(Err(fault)) => {
            tracing::warn!(remote = %line.hop.remote.ip(), %fault, "a peer's TLS handshake was refused");
            End::Unsecured(fault)
        }
        Err(_) => End::Stalled,
    }
}

/// Makes a connection and carries it until it ends; an error is that of making it.
async fn carry_ours(
    hop: Hop,
    making: Making,
    tls: Option<Arc<Tls>>,
    line: &mut Line,
) -> Result<End, End> {
    let stream = connect(hop, making.mark).await.map_err(End::Unmade)?;
    match tls {
        Some(tls) if hop.transport == Transport::Tls => {
            let name = tls::server_name(making.name.as_deref(), hop.remote).ok_or_else(|| {
                let fault = "the peer's name cannot stand in a certificate; correct it";
                End::Unmade(io::Error::other(fault))
            })?;
            let connector = TlsConnector::from(Arc::clone(&tls.client));
            let secured = timeout(HANDSHAKE, connector.connect(name, stream)).await;
            let stream = secured.map_err(io::Error::from).flatten().map_err(|fault| {
                tracing::warn!(remote = %hop.remote, %fault, "a TLS handshake with a peer failed");
                End::Unsecured(fault)
            })?;
            Ok(connection::carry(stream, line).await)
        }
        _ => Ok(connection::carry(stream, line).await),
    }
}

async fn connect(hop: Hop, mark: CodePoint) -> io::Result<TcpStream> {
    let socket = match hop.local {
        SocketAddr::V4(_) => TcpSocket::new_v4()?,
        SocketAddr::V6(_) => TcpSocket::new_v6()?,
    };
    // The address that Via names, from any port: the peer may know us by it.
    socket.bind(SocketAddr::new(hop.local.ip(), 0))?;
    dscp::mark(&SockRef::from(&socket), hop.local, mark);
    let stream = timeout(CONNECT, socket.connect(hop.remote)).await??;
    prepare(&stream, hop, mark);
    Ok(stream)
}

/// Sets what can be set; nothing of it decides whether a call goes.
fn prepare(stream: &TcpStream, hop: Hop, mark: CodePoint) {
    let socket = SockRef::from(stream);
    dscp::mark(&socket, hop.local, mark);
    let set = stream
        .set_nodelay(true)
        .and_then(|()| socket.set_keepalive(true))
        .and_then(|()| socket.set_tcp_user_timeout(Some(UNACKNOWLEDGED)));
    if let Err(fault) = set {
        tracing::debug!(%fault, "a connection goes without some of its settings");
    }
}

/// Closes without a farewell: the kernel keeps nothing of a connection that was never ours.
fn reset(stream: &TcpStream) {
    // A kernel that refuses it closes in the ordinary way.
    let _ = SockRef::from(stream).set_linger(Some(Duration::ZERO));
}
