//! Where a named peer takes SIP: NAPTR, then SRV, then addresses, with the transport that is configured for it.
//!
//! Each question is a task of its own beside the sockets; nobody waits for the answer. Follows RFC 3263 section 4. Start at
//! [`Resolver::ask`].

use std::{
    collections::BTreeSet,
    net::{IpAddr, SocketAddr},
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use exchange::{Question, Resolved};
use hickory_resolver::{
    TokioResolver,
    config::{ConnectionConfig, NameServerConfig, ResolverConfig},
    net::{NetError, runtime::TokioRuntimeProvider},
    proto::rr::{Name, RData, RecordType, rdata::NAPTR},
};
use sip_core::Transport;
use tokio::sync::mpsc;

use super::Word;

/// How long an address counts that was written as one.
const FOR_EVER: Duration = Duration::from_secs(24 * 3600);
/// How long an answer counts at most that was found in part: what failed may be the better part.
const IN_PART: Duration = Duration::from_secs(60);
/// How long one server is waited for, and how often each is asked.
const PATIENCE: Duration = Duration::from_secs(2);
const TRIES: usize = 2;
/// Questions at once; each peer has one a target.
const MOST: usize = 256;
/// Records of one answer that are followed.
const MOST_RECORDS: usize = 32;

/// What a question was answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Answer {
    pub(crate) question: Question,
    /// Where the name leads; nowhere where the name system knows nothing, or could not be asked.
    pub(crate) places: Vec<Resolved>,
    /// How long that holds.
    pub(crate) ttl: Duration,
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
    pub(super) fn begin(server: Option<SocketAddr>, words: mpsc::Sender<Word>) -> Resolver {
        Resolver {
            resolver: build(server).map_err(|fault| fault.to_string()),
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
            let found = match &resolver {
                Ok(resolver) => find(resolver, &question)
                    .await
                    .map_err(|fault| fault.to_string()),
                Err(fault) => Err(fault.clone()),
            };
            asked
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .remove(&question);
            let answer = answer(question, found);
            // Without anybody who listens the service is ending.
            let _ = words.send(Word::Resolved(answer)).await;
        });
    }
}

fn answer(question: Question, found: Result<(Vec<Resolved>, Duration), String>) -> Answer {
    let (places, ttl) = found.unwrap_or_else(|fault| {
        tracing::warn!(
            peer = question.peer,
            host = question.host,
            fault,
            "the name system could not be asked"
        );
        (Vec::new(), Duration::ZERO)
    });
    Answer {
        question,
        places,
        ttl,
    }
}

fn build(server: Option<SocketAddr>) -> Result<TokioResolver, NetError> {
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
    options.timeout = PATIENCE;
    options.attempts = TRIES;
    options.cache_size = 1_024;
    builder.build()
}

/// The places of a name, and how long they count.
async fn find(
    resolver: &TokioResolver,
    question: &Question,
) -> Result<(Vec<Resolved>, Duration), NetError> {
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
        return Ok((vec![place], FOR_EVER));
    }
    // Fully qualified: no search list of this host has a say in where calls go.
    let host = Name::from_ascii(format!("{host}."))?;
    let mut places = Places {
        transport,
        found: Vec::new(),
        until: None,
        fault: None,
    };
    if let Some(port) = question.port {
        places
            .addresses(
                resolver,
                &host,
                Service {
                    priority: 0,
                    weight: 0,
                    port,
                },
            )
            .await;
        return places.all();
    }
    let services = places.services(resolver, &host).await?;
    if services.is_empty() {
        let service = Service {
            priority: 0,
            weight: 0,
            port: default,
        };
        places.addresses(resolver, &host, service).await;
    }
    for (target, service) in services {
        // A target of "." says that the service is not to be had here (RFC 2782).
        if !target.is_root() {
            places.addresses(resolver, &target, service).await;
        }
    }
    places.all()
}

#[derive(Clone, Copy)]
struct Service {
    priority: u16,
    weight: u16,
    port: u16,
}

/// What has been found so far, and until when all of it counts. A question that fails takes nothing from what others find: many
/// home gateways and name servers answer for A and fail for AAAA or NAPTR.
struct Places {
    transport: Transport,
    found: Vec<Resolved>,
    until: Option<Instant>,
    /// The first question that failed.
    fault: Option<NetError>,
}

impl Places {
    /// # Errors
    /// The first question that failed, where nothing at all was found.
    fn all(self) -> Result<(Vec<Resolved>, Duration), NetError> {
        let ttl = self
            .until
            .map(|until| until.saturating_duration_since(Instant::now()))
            .unwrap_or_default();
        match self.fault {
            None => Ok((self.found, ttl)),
            Some(fault) if self.found.is_empty() => Err(fault),
            Some(_) => Ok((self.found, ttl.min(IN_PART))),
        }
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
        let mut named: Vec<NAPTR> = self
            .records(resolver, host, RecordType::NAPTR)
            .await
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
        let usual = Name::from_ascii(label)?.append_domain(host)?;
        let name = named
            .into_iter()
            .next()
            .map_or(usual, |naptr| naptr.replacement);
        let records = self.records(resolver, &name, RecordType::SRV).await;
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

    /// Adds the addresses of a host, of both families.
    async fn addresses(&mut self, resolver: &TokioResolver, host: &Name, service: Service) {
        for kind in [RecordType::A, RecordType::AAAA] {
            for record in self.records(resolver, host, kind).await {
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

    /// The records of a name; none where the name system says so, which is no fault, or fails, which is kept.
    async fn records(
        &mut self,
        resolver: &TokioResolver,
        name: &Name,
        kind: RecordType,
    ) -> Vec<RData> {
        let looked_up = match resolver.lookup(name.clone(), kind).await {
            Ok(looked_up) => looked_up,
            Err(fault) if fault.is_no_records_found() || fault.is_nx_domain() => {
                return Vec::new();
            }
            Err(fault) => {
                self.fault.get_or_insert(fault);
                return Vec::new();
            }
        };
        let until = looked_up.valid_until();
        self.until = Some(self.until.map_or(until, |earlier| earlier.min(until)));
        let records = looked_up.answers().iter().take(MOST_RECORDS);
        records.map(|record| record.data.clone()).collect()
    }
}

#[cfg(test)]
mod tests;
