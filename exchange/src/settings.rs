//! What the exchange is told once: listeners, peers, departments, numbers, limits. `settings/faults.rs` says what in it cannot be used.

mod faults;

use std::{net::SocketAddr, time::Duration};

use rules::{Number, NumberPolicy};
use sip_core::{Hop, PeerId, Transport};

pub use self::faults::SettingsFault;
use crate::{
    outbound::Outbound,
    overload::Overload,
    route::Department,
    trunk::{Listener, Trunk},
};

/// What the exchange is told once.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Where SIP comes to and leaves from.
    pub listeners: Vec<Listener>,
    /// Who may send us SIP. A peer's place here is its `PeerId`.
    pub peers: Vec<Trunk>,
    /// Who answers.
    pub departments: Vec<Department>,
    /// The city's numbers.
    pub numbers: Vec<NumberPolicy>,
    /// Where the city's people may call.
    pub outbound: Outbound,
    /// How much there may be.
    pub limits: Limits,
    /// Who goes first when there is too much, and whom caps hold back.
    pub overload: Overload,
    /// Timers and limits of SIP.
    pub sip: sip_core::Settings,
    /// A panic on purpose, for tests of `Exchange::abandon`. No configuration can set it.
    pub fault_injection: Option<FaultInjection>,
}

/// How much there may be of everything (law 5).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Calls at once; one more gets 503.
    pub calls: usize,
    /// Calls at once whose caller has not acknowledged an answer of ours; one more gets 503 (T-13).
    pub half_open: usize,
    /// How long a connected call may last. Without it a BYE that was lost with its peer would hold a call for ever.
    pub longest_call: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        // Ten times the busy hour's 130 calls; half of them ringing is three times what an emergency's calls do at that rate,
        // seven a second of which each rings for 30 s; half a day is longer than any conversation.
        Limits {
            calls: 1_300,
            half_open: 650,
            longest_call: Duration::from_secs(12 * 3600),
        }
    }
}

/// A panic on purpose.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FaultInjection {
    /// In calls to this number.
    pub called: Number,
    /// When.
    pub moment: FaultMoment,
}

/// When a call panics on purpose.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FaultMoment {
    /// Before it is one: only its INVITE is there.
    Admitting,
    /// When it begins: it is in no table yet.
    Beginning,
    /// When a department answers.
    Answering,
    /// When a department hangs up.
    HangingUp,
}

impl Settings {
    /// Looks for what cannot be used; every fault, not only the first.
    pub fn faults(&self) -> Vec<SettingsFault> {
        faults::of(self)
    }

    /// Panics where the tests want this call to.
    pub(crate) fn inject_fault(&self, called: &Number, moment: FaultMoment) {
        let is_wanted = self
            .fault_injection
            .as_ref()
            .is_some_and(|fault| fault.called == *called && fault.moment == moment);
        if is_wanted {
            panic!("a fault was injected into this call");
        }
    }

    pub(crate) fn department(&self, name: &str) -> Option<&Department> {
        self.departments
            .iter()
            .find(|department| department.name == name)
    }

    /// The policy of a number, where it is one of the city's.
    pub(crate) fn policy(&self, called: &Number) -> Option<&NumberPolicy> {
        self.numbers.iter().find(|policy| policy.number == *called)
    }

    pub(crate) fn peer(&self, id: PeerId) -> Option<&Trunk> {
        self.peers.get(usize::from(id.0))
    }

    /// The peers with the names by which the rooms below know them.
    pub(crate) fn peers_by_id(&self) -> impl Iterator<Item = (PeerId, &Trunk)> {
        (0..).map(PeerId).zip(&self.peers)
    }

    /// The way to a place of a peer, from the first listener of ours that can send there.
    pub(crate) fn hop_to(
        &self,
        peer: &Trunk,
        remote: SocketAddr,
        transport: Transport,
    ) -> Option<Hop> {
        let listener = self.listeners.iter().find(|listener| {
            listener.transport == transport
                && listener.address.is_ipv4() == remote.is_ipv4()
                && peer
                    .local
                    .is_none_or(|local| local == listener.address.ip())
        })?;
        Some(Hop {
            transport,
            local: listener.address,
            remote,
        })
    }

    /// Whether this is an address at which we listen.
    pub(crate) fn is_listener(&self, address: SocketAddr) -> bool {
        self.listeners
            .iter()
            .any(|listener| listener.address == address)
    }
}
