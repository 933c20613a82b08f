//! The SIP sockets: UDP, TCP and TLS at every address we listen at, and the names that peers are known by.
//!
//! Who may be heard is asked before anything is read. Nothing here waits for anything: what cannot go out at once is bounded and then
//! dropped, and the peer's transactions find out. Start at [`Wire::bind`], [`Wire::hear`] and [`Wire::send`].

mod connection;
mod dscp;
mod resolver;
mod streams;
mod tls;
mod udp;

use std::{
    collections::BTreeMap,
    io,
    net::{IpAddr, SocketAddr},
    sync::Arc,
    task::{Context, Poll},
    time::Instant,
};

use bytes::Bytes;
use exchange::{Listener, Question, Unreachable};
use sip_core::{Hop, Transport};
use tokio::{net::TcpStream, sync::mpsc};

pub(crate) use self::{
    connection::Keeping,
    dscp::CodePoint,
    resolver::Answer,
    streams::MOST as MOST_CONNECTIONS,
    tls::{LOOK, TlsFiles},
};
use self::{
    resolver::Resolver,
    streams::{Making, Streams},
    tls::TlsInForce,
    udp::Datagrams,
};
use crate::telemetry::Counters;

/// What connections and the resolver have to say at once; they keep what finds it full.
const WORDS: usize = 1_024;

/// What the wire is made with.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    /// Where to listen, and how.
    pub(crate) listeners: Vec<Listener>,
    /// Signs of life and patience on connections.
    pub(crate) keeping: Keeping,
    /// Who we are over TLS; none: no TLS.
    pub(crate) tls: Option<TlsFiles>,
    /// How often it is looked whether the files of TLS have changed.
    pub(crate) look: std::time::Duration,
    /// Whom to ask for names; none: what the system says.
    pub(crate) resolver: Option<SocketAddr>,
}

/// What came in.
#[derive(Debug)]
pub(crate) enum Heard {
    /// A peer's message.
    Message {
        hop: Hop,
        payload: Bytes,
        /// When it reached this host, as far as the kernel says.
        received_at: Instant,
    },
    /// What was sent this way reaches nobody.
    Unreachable { hop: Hop, why: Unreachable },
    /// The peer says nothing more by this connection of its own, and may still read answers.
    Closed { hop: Hop },
    /// Where a name leads.
    Resolved(Answer),
}

/// What a task of the wire says.
#[derive(Debug)]
enum Word {
    Accepted {
        hop: Hop,
        stream: TcpStream,
    },
    Message {
        hop: Hop,
        payload: Bytes,
        received_at: Instant,
    },
    /// The peer has closed its direction.
    Closed {
        hop: Hop,
        number: u64,
    },
    Ended {
        hop: Hop,
        number: u64,
        why: Unreachable,
    },
    Resolved(Answer),
}

/// Every SIP socket.
#[derive(Debug)]
pub(crate) struct Wire {
    datagrams: Vec<Datagrams>,
    streams: Streams,
    resolver: Resolver,
    words: mpsc::Receiver<Word>,
    word: Option<Word>,
    /// Which source is looked at first, so that none starves another.
    turn: usize,
    /// Where each name leads that was asked for: what the certificates there must carry.
    names: BTreeMap<Question, Vec<SocketAddr>>,
    counters: Arc<Counters>,
}

/// A listener that cannot be had.
#[derive(Debug, thiserror::Error)]
#[error(
    "SIP over {transport:?} cannot be taken at {address}: {source}; see that the address is this host's and that nobody else has the port"
)]
pub(crate) struct BindFault {
    transport: Transport,
    address: SocketAddr,
    source: io::Error,
}

impl Wire {
    /// Binds every listener; it must be done inside the runtime.
    ///
    /// # Errors
    /// [`BindFault`] for the first address that is taken or not this host's; or no thread or resolver is to be had.
    pub(crate) fn bind(settings: Settings, counters: Arc<Counters>) -> io::Result<Wire> {
        let (say, words) = mpsc::channel(WORDS);
        let tls = settings
            .tls
            .map(|files| TlsInForce::begin(files, settings.look));
        let mut datagrams = Vec::new();
        let mut streams = Streams::new(
            settings.keeping,
            tls.transpose()?,
            say.clone(),
            Arc::clone(&counters),
        );
        for Listener { transport, address } in settings.listeners {
            let bound = match transport {
                Transport::Udp => Datagrams::bind(address).map(|socket| datagrams.push(socket)),
                Transport::Tcp | Transport::Tls => streams.listen(transport, address).map(drop),
            };
            bound.map_err(|source| {
                io::Error::other(BindFault {
                    transport,
                    address,
                    source,
                })
            })?;
        }
        Ok(Wire {
            datagrams,
            streams,
            resolver: Resolver::begin(settings.resolver, resolver::PATIENCE, say),
            words,
            word: None,
            turn: 0,
            names: BTreeMap::new(),
            counters,
        })
    }

    /// Waits until [`Wire::hear`] has something.
    pub(crate) async fn stirred(&mut self) {
        std::future::poll_fn(|context| self.poll_stirred(context)).await;
    }

    fn poll_stirred(&mut self, context: &mut Context<'_>) -> Poll<()> {
        if self.word.is_some() || self.streams.has_gone() {
            return Poll::Ready(());
        }
        if let Poll::Ready(Some(word)) = self.words.poll_recv(context) {
            self.word = Some(word);
            return Poll::Ready(());
        }
        let mut readable = self
            .datagrams
            .iter()
            .map(|socket| socket.poll_readable(context));
        // Each is asked, so that each wakes us.
        if readable.by_ref().any(|state| state.is_ready()) {
            Poll::Ready(())
        } else {
            Poll::Pending
        }
    }

    /// Takes the next thing that came in. `mark_of`: how packets to a peer's address are marked; none for strangers.
    pub(crate) fn hear(&mut self, mark_of: impl Fn(IpAddr) -> Option<CodePoint>) -> Option<Heard> {
        if let Some((hop, why)) = self.streams.poll_gone() {
            return Some(Heard::Unreachable { hop, why });
        }
        let sources = self.datagrams.len() + 1;
        for _ in 0..sources {
            let source = self.turn;
            self.turn = (self.turn + 1) % sources;
            let is_peer = |address| mark_of(address).is_some();
            let heard = match self.datagrams.get_mut(source) {
                Some(socket) => socket.hear(is_peer, &self.counters),
                None => self.hear_word(&mark_of),
            };
            if heard.is_some() {
                return heard;
            }
        }
        None
    }

    /// Takes the next word of a task that means something to calls.
    fn hear_word(&mut self, mark_of: &impl Fn(IpAddr) -> Option<CodePoint>) -> Option<Heard> {
        const MOST: usize = 64; // Connections of strangers passed over in one look.
        for _ in 0..MOST {
            let word = self.word.take().or_else(|| self.words.try_recv().ok())?;
            match word {
                Word::Accepted { hop, stream } => {
                    let mark = mark_of(hop.remote.ip());
                    let is_peer = mark.is_some();
                    self.streams
                        .take_in(hop, stream, mark.unwrap_or_default(), is_peer);
                }
                Word::Message {
                    hop,
                    payload,
                    received_at,
                } => {
                    return Some(Heard::Message {
                        hop,
                        payload,
                        received_at,
                    });
                }
                Word::Ended { hop, number, why } if self.streams.ended(hop, number) => {
                    return Some(Heard::Unreachable { hop, why });
                }
                Word::Closed { hop, number } if self.streams.is_current(hop, number) => {
                    return Some(Heard::Closed { hop });
                }
                Word::Ended { .. } | Word::Closed { .. } => {}
                Word::Resolved(answer) => {
                    self.learn(&answer);
                    return Some(Heard::Resolved(answer));
                }
            }
        }
        None
    }

    /// Keeps where a name leads. An answer without places takes nothing away, and one in part no family that it lacks: calls still go
    /// where it led before.
    fn learn(&mut self, Answer { question, found }: &Answer) {
        if found.places.is_empty() {
            return;
        }
        let known = self.names.entry(question.clone()).or_default();
        known.retain(|address| found.lacks_family_of(*address));
        known.extend(found.places.iter().map(|place| place.address));
    }

    /// What the certificate at the other end must name; none: its address.
    fn name_at(&self, hop: Hop) -> Option<String> {
        let mut named = self.names.iter().filter(|(question, addresses)| {
            question.transport == hop.transport && addresses.contains(&hop.remote)
        });
        named.next().map(|(question, _)| question.host.clone())
    }

    /// Sends a message, a datagram at the next [`Wire::flush`]; never waits. What cannot be sent is told by [`Heard::Unreachable`], or
    /// repeated by its transaction.
    pub(crate) fn send(&mut self, hop: Hop, payload: Bytes, mark: CodePoint) {
        match hop.transport {
            Transport::Udp => {
                let mut sockets = self.datagrams.iter_mut();
                match sockets.find(|socket| socket.local() == hop.local) {
                    Some(socket) => socket.send(hop.remote, payload, mark, &self.counters),
                    None => Counters::count(&self.counters.unsent),
                }
            }
            Transport::Tcp | Transport::Tls => {
                let name = self.name_at(hop);
                self.streams.send(hop, payload, &Making { mark, name });
            }
        }
    }

    /// Lets the datagrams leave that wait to be sent together.
    pub(crate) fn flush(&mut self) {
        for socket in &mut self.datagrams {
            socket.flush(&self.counters);
        }
    }

    /// Asks where a name leads; [`Heard::Resolved`] answers, at once or later.
    pub(crate) fn resolve(&mut self, question: Question) {
        self.resolver.ask(question);
    }
}

#[cfg(test)]
mod tests;
