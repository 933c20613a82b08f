//! Where a named peer takes SIP: NAPTR, then SRV, then addresses, with the transport that is configured for it.
//!
//! Each question is a task of its own beside the sockets; nobody waits for the answer. The name system is asked for everything that may
//! be needed at once, and its answers are judged in the order of RFC 3263 section 4. Start at [`Resolver::ask`].

use std::{
    collections::BTreeSet,
    net::{IpAddr, SocketAddr},
    pin::{Pin, pin},
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use exchange::{Extent, Found, Question, Resolved};
use hickory_resolver::{
    TokioResolver,
    config::{ConnectionConfig, NameServerConfig, ResolverConfig},
    net::{NetError, runtime::TokioRuntimeProvider},
    proto::rr::{Name, RData, RecordType, rdata::NAPTR},
};
use sip_core::Transport;
use tokio::{sync::mpsc, task::JoinHandle};

use super::Word;

/// How long an address counts that was written as one.
const FOR_EVER: Duration = Duration::from_secs(24 * 3600);
/// How long one server is waited for, and how often it is asked again.
pub(super) const PATIENCE: Duration = Duration::from_secs(2);
const RETRIES: usize = 2;
/// How long one answer is waited for at first once another is here that does without it, as SRV does without NAPTR and each family of
/// addresses without the other: a server that drops what it does not know holds nobody up. What is late is then asked for once more, and
/// waited for like any other: it may be the only family that can be reached from here.
const GRACE: Duration = Duration::from_millis(500);
/// Questions at once; each peer has one a target.
const MOST: usize = 256;
/// Records of one answer that are followed.
const MOST_RECORDS: usize = 32;

/// What a question was answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Answer {
    pub(crate) question: Question,
    /// What was found; nothing where the name system knows nothing, or could not be asked.
    pub(crate) found: Found,
}

/// Asks the name system.
#[derive(Debug)]
pub(crate) struct Resolver {
    resolver: Result<TokioResolver, String>,
    asked: Arc<Mutex<BTreeSet<Question>>>,
    words: mpsc::Sender<Word>,
}

impl Resolver {
    /// Begins with a server's address, or with what the system says. It must be done inside the runtime.
    pub(super) fn begin(
        server: Option<SocketAddr>,
        patience: Duration,
        words: mpsc::Sender<Word>,
    ) -> Resolver {
        Resolver {
            resolver: build(server, patience).map_err(|fault| fault.to_string()),
            asked: Arc::default(),
            words,
        }
    }

    /// Begins a question, unless it is being asked already.
    pub(super) fn ask(&self, question: Question) {
        let mut asked = self.asked.lock().unwrap_or_else(PoisonError::into_inner);
        if asked.len() >= MOST || !asked.insert(question.clone()) {
            return;
        }
        drop(asked);
        let (resolver, words) = (self.resolver.clone(), self.words.clone());
        let asked = Arc::clone(&self.asked);
        tokio::spawn(async move {
            // Without anybody who listens the service is ending.
            let (mut answer, lateness) = seek(&resolver, &question, Some(GRACE)).await;
            if lateness == Lateness::Some {
                let _ = words.send(Word::Resolved(answer)).await;
                (answer, _) = seek(&resolver, &question, None).await;
            }
            asked
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .remove(&question);
            let _ = words.send(Word::Resolved(answer)).await;
        });
    }
}

/// Whether something was not waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Lateness {
    None,
    Some,
}

/// Looks for what is asked. `grace`: how long what others do without is waited for; none: like any other.
async fn seek(
    resolver: &Result<TokioResolver, String>,
    question: &Question,
    grace: Option<Duration>,
) -> (Answer, Lateness) {
    let sought = match resolver {
        Ok(resolver) => find(resolver, question, grace)
            .await
            .map_err(|fault| fault.to_string()),
        Err(fault) => Err(fault.clone()),
    };
    let (found, lateness) = sought.unwrap_or_else(|fault| {
        tracing::warn!(
            peer = question.peer,
            host = question.host,
            fault,
            "the name system could not be asked"
        );
        let nothing = Found {
            places: Vec::new(),
            ttl: Duration::ZERO,
            extent: Extent::InPart,
        };
        (nothing, Lateness::None)
    });
    let question = question.clone();
    (Answer { question, found }, lateness)
}

fn build(server: Option<SocketAddr>, patience: Duration) -> Result<TokioResolver, NetError> {
    let mut builder = match server {
        Some(address) => {
            let at = |mut connection: ConnectionConfig| {
                connection.port = address.port();
                connection
            };
            let connections = vec![at(ConnectionConfig::udp()), at(ConnectionConfig::tcp())];
            let server = NameServerConfig::new(address.ip(), true, connections);
            let config = ResolverConfig::from_name_servers(vec![server]);
            TokioResolver::builder_with_config(config, TokioRuntimeProvider::default())
        }
        None => TokioResolver::builder_tokio()?,
    };
    let options = builder.options_mut();
    options.timeout = patience;
    options.attempts = RETRIES;
    options.cache_size = 1_024;
    builder.build()
}

/// What a name stands for.
async fn find(
    resolver: &TokioResolver,
    question: &Question,
    grace: Option<Duration>,
) -> Result<(Found, Lateness), NetError> {
    let host = question.host.trim_end_matches('.');
    let transport = question.transport;
    let default = transport.default_port();
    if let Ok(address) = host.parse::<IpAddr>() {
        let address = SocketAddr::new(address, question.port.unwrap_or(default));
        let place = Resolved {
            address,
            transport,
            priority: 0,
            weight: 0,
        };
        let found = Found {
            places: vec![place],
            ttl: FOR_EVER,
            extent: Extent::Whole,
        };
        return Ok((found, Lateness::None));
    }
    // Fully qualified: no search list of this host has a say in where calls go.
    let host = Name::from_ascii(format!("{host}."))?;
    let mut places = Places {
        transport,
        grace,
        found: Vec::new(),
        until: None,
        fault: None,
        lateness: Lateness::None,
    };
    // What is begun here and not needed in the end is dropped, whatever it would have found.
    let own = HostAsked::begin(resolver, &host, grace);
    let services = match question.port {
        Some(_) => Vec::new(),
        None => places.services(resolver, &host).await?,
    };
    if services.is_empty() {
        let service = Service {
            priority: 0,
            weight: 0,
            port: question.port.unwrap_or(default),
        };
        places.addresses(own, service).await;
        return places.all();
    }
    drop(own);
    // A target of "." says that the service is not to be had here (RFC 2782).
    let targets = services.into_iter().filter(|(target, _)| !target.is_root());
    let asked: Vec<(HostAsked, Service)> = targets
        .map(|(target, service)| (HostAsked::begin(resolver, &target, grace), service))
        .collect();
    for (target, service) in asked {
        places.addresses(target, service).await;
    }
    places.all()
}

#[derive(Clone, Copy)]
struct Service {
    priority: u16,
    weight: u16,
    port: u16,
}

/// One question to the name system that is on its way; without anybody who waits for its answer it is given up.
struct Asked(JoinHandle<Answered>);

/// What the name system says to one question.
type Answered = Result<Records, NetError>;

/// A question that others do without, and whose answer has not come within its grace.
const LATE: &str = "its answer came too late";

/// A question that nobody waits for any more.
const GIVEN_UP: NetError = NetError::Message("a question was given up");

/// The records of a name, and until when they count; none where the name system says so, which is no fault.
#[derive(Default)]
struct Records {
    records: Vec<RData>,
    until: Option<Instant>,
}

impl Asked {
    fn begin(resolver: &TokioResolver, name: &Name, kind: RecordType) -> Asked {
        let (resolver, name) = (resolver.clone(), name.clone());
        Asked(tokio::spawn(async move {
            match resolver.lookup(name, kind).await {
                Ok(found) => Ok(Records {
                    until: Some(found.valid_until()),
                    records: found
                        .answers()
                        .iter()
                        .take(MOST_RECORDS)
                        .map(|record| record.data.clone())
                        .collect(),
                }),
                Err(fault) if fault.is_no_records_found() || fault.is_nx_domain() => {
                    Ok(Records::default())
                }
                Err(fault) => Err(fault),
            }
        }))
    }

    async fn answer(mut self) -> Answered {
        let answer = (&mut self.0).await;
        answer.unwrap_or(Err(GIVEN_UP))
    }
}

impl Drop for Asked {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// The addresses of a host, of both families; without anybody who waits for them they are given up.
struct HostAsked(JoinHandle<[Answered; 2]>);

impl HostAsked {
    fn begin(resolver: &TokioResolver, host: &Name, grace: Option<Duration>) -> HostAsked {
        let kinds = [RecordType::A, RecordType::AAAA];
        let [v4, v6] = kinds.map(|kind| Asked::begin(resolver, host, kind));
        HostAsked(tokio::spawn(async move {
            let (v4, v6) = (pin!(v4.answer()), pin!(v6.answer()));
            both(v4, v6, grace).await
        }))
    }

    async fn answer(mut self) -> [Answered; 2] {
        let answer = (&mut self.0).await;
        answer.unwrap_or([Err(GIVEN_UP), Err(GIVEN_UP)])
    }
}

impl Drop for HostAsked {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// What has been found so far, and until when all of it counts. A question that fails takes nothing from what others find: many
/// home gateways and name servers answer for A and fail for AAAA or NAPTR.
struct Places {
    transport: Transport,
    /// How long what others do without is waited for.
    grace: Option<Duration>,
    found: Vec<Resolved>,
    until: Option<Instant>,
    /// The first question that failed.
    fault: Option<NetError>,
    lateness: Lateness,
}

impl Places {
    /// # Errors
    /// The first question that failed, where nothing at all was found.
    fn all(self) -> Result<(Found, Lateness), NetError> {
        let ttl = self
            .until
            .map(|until| until.saturating_duration_since(Instant::now()))
            .unwrap_or_default();
        let extent = match self.fault {
            None => Extent::Whole,
            Some(fault) if self.found.is_empty() => return Err(fault),
            Some(_) => Extent::InPart,
        };
        let found = Found {
            places: self.found,
            ttl,
            extent,
        };
        Ok((found, self.lateness))
    }

    /// The SRV records that NAPTR records name for the transport, or those under the usual name.
    async fn services(
        &mut self,
        resolver: &TokioResolver,
        host: &Name,
    ) -> Result<Vec<(Name, Service)>, NetError> {
        let (service, label) = match self.transport {
            Transport::Udp => (&b"SIP+D2U"[..], "_sip._udp"),
            Transport::Tcp => (&b"SIP+D2T"[..], "_sip._tcp"),
            Transport::Tls => (&b"SIPS+D2T"[..], "_sips._tcp"),
        };
        let usual = Name::from_ascii(label)?.append_domain(host)?;
        let naptr = pin!(Asked::begin(resolver, host, RecordType::NAPTR).answer());
        let mut under_usual = pin!(Asked::begin(resolver, &usual, RecordType::SRV).answer());
        let (named, found) = beside(naptr, under_usual.as_mut(), self.grace).await;
        let mut named: Vec<NAPTR> = self
            .keep(named)
            .into_iter()
            .filter_map(|record| match record {
                RData::NAPTR(naptr) => Some(naptr),
                _ => None,
            })
            .filter(|naptr| {
                naptr.services.eq_ignore_ascii_case(service)
                    && naptr.flags.eq_ignore_ascii_case(b"s")
            })
            .collect();
        named.sort_by_key(|naptr| (naptr.order, naptr.preference));
        let records = match (named.into_iter().next(), found) {
            (Some(naptr), _) if naptr.replacement != usual => {
                let asked = Asked::begin(resolver, &naptr.replacement, RecordType::SRV);
                self.keep(asked.answer().await)
            }
            (Some(_) | None, Some(found)) => self.keep(found),
            (Some(_) | None, None) => self.keep(under_usual.await),
        };
        Ok(records
            .into_iter()
            .filter_map(|record| match record {
                RData::SRV(srv) => Some(srv),
                _ => None,
            })
            .map(|srv| {
                let service = Service {
                    priority: srv.priority,
                    weight: srv.weight,
                    port: srv.port,
                };
                (srv.target, service)
            })
            .collect())
    }

    /// Adds the addresses of a host.
    async fn addresses(&mut self, host: HostAsked, service: Service) {
        for family in host.answer().await {
            for record in self.keep(family) {
                let address = match record {
                    RData::A(address) => IpAddr::V4(address.0),
                    RData::AAAA(address) => IpAddr::V6(address.0),
                    _ => continue,
                };
                self.found.push(Resolved {
                    address: SocketAddr::new(address, service.port),
                    transport: self.transport,
                    priority: service.priority,
                    weight: service.weight,
                });
            }
        }
    }

    /// The records that a question is answered with; none where it fails, which is kept.
    fn keep(&mut self, answer: Answered) -> Vec<RData> {
        match answer {
            Ok(Records { records, until }) => {
                self.until = [self.until, until].into_iter().flatten().min();
                records
            }
            Err(fault) => {
                if matches!(fault, NetError::Message(LATE)) {
                    self.lateness = Lateness::Some;
                }
                self.fault.get_or_insert(fault);
                Vec::new()
            }
        }
    }
}

/// What NAPTR is answered, and what SRV under the usual name was where that came first. From then on NAPTR has its time and no more.
async fn beside<F>(
    mut naptr: Pin<&mut F>,
    mut under_usual: Pin<&mut F>,
    grace: Option<Duration>,
) -> (F::Output, Option<F::Output>)
where
    F: Future<Output = Answered>,
{
    tokio::select! {
        biased;
        named = naptr.as_mut() => (named, None),
        found = under_usual.as_mut() => (with_grace(naptr, grace).await, Some(found)),
    }
}

/// What both are answered. Once one has records, the other has its time and no more.
async fn both<F>(
    mut one: Pin<&mut F>,
    mut other: Pin<&mut F>,
    grace: Option<Duration>,
) -> [Answered; 2]
where
    F: Future<Output = Answered>,
{
    let has_records = |answer: &Answered| matches!(answer, Ok(found) if !found.records.is_empty());
    tokio::select! {
        biased;
        answer = one.as_mut() => match has_records(&answer) {
            true => [answer, with_grace(other, grace).await],
            false => [answer, other.await],
        },
        answer = other.as_mut() => match has_records(&answer) {
            true => [with_grace(one, grace).await, answer],
            false => [one.await, answer],
        },
    }
}

/// What is answered within its grace.
async fn with_grace<F>(asked: Pin<&mut F>, grace: Option<Duration>) -> Answered
where
    F: Future<Output = Answered>,
{
    match grace {
        Some(grace) => {
            let answer = tokio::time::timeout(grace, asked).await;
            answer.unwrap_or(Err(NetError::Message(LATE)))
        }
        None => asked.await,
    }
}

#[cfg(test)]
mod tests;
