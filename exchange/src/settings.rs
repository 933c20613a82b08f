//! What the exchange is told once: peers, departments, numbers, limits; and what in it cannot be used.

use std::{
    collections::BTreeSet,
    net::{IpAddr, SocketAddr},
    time::Duration,
};

use rules::{Number, NumberPolicy};
use sip_core::PeerId;

use crate::{
    route::Department,
    trunk::{PeerRole, Trunk},
};

/// What the exchange is told once.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The socket that SIP comes to and leaves from.
    pub listen: SocketAddr,
    /// Who may send us SIP.
    pub peers: Vec<Trunk>,
    /// Who answers.
    pub departments: Vec<Department>,
    /// The city's numbers.
    pub numbers: Vec<NumberPolicy>,
    /// How much there may be.
    pub limits: Limits,
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
    /// How long a connected call may last. Without it a BYE that was lost with its peer would hold a call for ever.
    pub longest_call: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        // Ten times the busy hour's 130 calls; half a day is longer than any conversation.
        Limits {
            calls: 1_300,
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
    /// When it begins: it is in no table yet.
    Beginning,
    /// When a department answers.
    Answering,
    /// When a department hangs up.
    HangingUp,
}

/// Settings that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SettingsFault {
    /// Two of a kind.
    #[error("{what} {name} is named twice, expected once; rename or remove one")]
    Twice {
        /// `peer`, `department` or `number`.
        what: &'static str,
        /// Its name; a number masked.
        name: String,
    },
    /// A department that is not there.
    #[error(
        "number {number} belongs to department {department}, which is not configured; add it or name another"
    )]
    DepartmentUnknown {
        /// The number, masked.
        number: String,
        /// What it names.
        department: String,
    },
    /// A department without a telephone.
    #[error("department {department} has no target, expected one at least; add one")]
    NoTarget {
        /// Which.
        department: String,
    },
    /// A target at a peer that cannot be called.
    #[error(
        "department {department} is called at peer {peer}, expected a pbx peer with a target address; correct one of them"
    )]
    TargetPeer {
        /// Which.
        department: String,
        /// What it names.
        peer: String,
    },
}

impl Settings {
    /// Looks for what cannot be used; every fault, not only the first.
    pub fn faults(&self) -> Vec<SettingsFault> {
        let mut faults = Vec::new();
        twice(
            &mut faults,
            "peer",
            self.peers.iter().map(|peer| peer.name.clone()),
        );
        twice(
            &mut faults,
            "department",
            self.departments
                .iter()
                .map(|department| department.name.clone()),
        );
        // Compared by their digits, shown masked.
        let mut numbers = BTreeSet::new();
        for policy in &self.numbers {
            if !numbers.insert(&policy.number) {
                faults.push(SettingsFault::Twice {
                    what: "number",
                    name: policy.number.to_string(),
                });
            }
            if self.department(&policy.department).is_none() {
                let (number, department) = (policy.number.to_string(), policy.department.clone());
                faults.push(SettingsFault::DepartmentUnknown { number, department });
            }
        }
        for department in &self.departments {
            if department.targets.is_empty() {
                faults.push(SettingsFault::NoTarget {
                    department: department.name.clone(),
                });
            }
            for target in department
                .targets
                .iter()
                .filter(|target| self.pbx(&target.peer).is_none())
            {
                faults.push(SettingsFault::TargetPeer {
                    department: department.name.clone(),
                    peer: target.peer.clone(),
                });
            }
        }
        faults
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

    /// Who is at an address: the first peer that lists it.
    pub(crate) fn peer_of(&self, address: IpAddr) -> Option<PeerId> {
        let is_at = |peer: &Trunk| peer.is_at(address);
        let index = self.peers.iter().position(is_at)?;
        u16::try_from(index).ok().map(PeerId)
    }

    /// The policy of a number, where it is one of the city's.
    pub(crate) fn policy(&self, called: &Number) -> Option<&NumberPolicy> {
        self.numbers.iter().find(|policy| policy.number == *called)
    }

    /// Where a PBX peer is called.
    pub(crate) fn pbx(&self, name: &str) -> Option<SocketAddr> {
        self.peers
            .iter()
            .find(|peer| peer.name == name && peer.role == PeerRole::Pbx)?
            .target
    }

    pub(crate) fn peer(&self, id: PeerId) -> Option<&Trunk> {
        self.peers.get(usize::from(id.0))
    }
}

fn twice(faults: &mut Vec<SettingsFault>, what: &'static str, names: impl Iterator<Item = String>) {
    let mut seen = BTreeSet::new();
    for name in names {
        if !seen.insert(name.clone()) {
            faults.push(SettingsFault::Twice { what, name });
        }
    }
}
