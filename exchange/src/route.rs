//! Where a number's calls go, and what a department's refusal means to the caller.

use std::time::Duration;

use sip_core::{Hop, PeerId};

use crate::{
    health::Ailment,
    trunk::{PeerRole, Trunk},
};

/// A department: its telephones, tried in turn.
#[derive(Debug, Clone)]
pub struct Department {
    /// Its name in the configuration.
    pub name: String,
    /// Where it is called, in order.
    pub targets: Vec<Target>,
}

/// One place where a department is called.
#[derive(Clone)]
pub struct Target {
    /// The PBX peer that has it, or any of them.
    pub places: Places,
    /// The user part it is called by; none: the called number in the form in which it came.
    pub user: Option<String>,
    /// How long it may ring.
    pub ring: Duration,
}

impl std::fmt::Debug for Target {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Target")
            .field("places", &self.places)
            .field("ring", &self.ring)
            .finish_non_exhaustive()
    }
}

/// Where an attempt goes: one or more peers, and what to call there.
#[derive(Clone)]
pub(crate) struct Destination {
    /// Who is called.
    pub(crate) places: Places,
    /// The user part; none: the called number in the form in which it came.
    pub(crate) user: Option<String>,
    /// How long it may ring.
    pub(crate) ring: Duration,
}

/// Which peers may be called.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Places {
    /// One, by its name.
    Peer(String),
    /// Any of a role that takes calls, as health, priority and weight say.
    Role(PeerRole),
}

impl Places {
    /// Whether a peer is one of them.
    pub(crate) fn include(&self, peer: &Trunk) -> bool {
        match self {
            Places::Peer(name) => peer.name == *name,
            Places::Role(role) => peer.role == *role,
        }
    }
}

/// One way to a peer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Route {
    pub(crate) peer: PeerId,
    pub(crate) role: PeerRole,
    pub(crate) hop: Hop,
}

/// Attempts ring no longer than this, whatever is configured: nobody listens to ringback for three minutes.
pub(crate) const LONGEST_RING: Duration = Duration::from_secs(120);

/// No answer at all for so long starts the next way; a provisional answer stops the wait.
pub(crate) const PATIENCE: Duration = Duration::from_secs(4);

impl Destination {
    /// A department's target.
    pub(crate) fn of_target(target: &Target) -> Destination {
        Destination {
            places: target.places.clone(),
            user: target.user.clone(),
            ring: target.ring.min(LONGEST_RING),
        }
    }

    /// Somebody outside, through any carrier that takes calls of ours.
    pub(crate) fn outside() -> Destination {
        Destination {
            places: Places::Role(PeerRole::Carrier),
            user: None,
            ring: LONGEST_RING,
        }
    }
}

/// Why a department could not be had, the most telling first: of several attempts the caller hears of the smallest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum FailureKind {
    /// Somebody is there, on the telephone.
    Busy,
    /// It rang, and nobody came.
    NoAnswer,
    /// It takes no calls at this hour, as PBXs say by 403.
    Closed,
    /// The PBX does not have it, or not any more.
    Refused,
    /// Nothing there answers at all.
    Unreachable,
    /// Something of ours or of the PBX is broken or full.
    Congestion,
}

/// How an attempt failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Failure {
    /// What it means.
    pub(crate) kind: FailureKind,
    /// The status to pass on, 400..=699.
    pub(crate) status: u16,
    /// For how much it speaks (RFC 3261 section 21.6, RFC 3263 section 4.3).
    pub(crate) reach: Reach,
}

/// For how much a failure speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Reach {
    /// For everybody who could be called: nobody else is tried.
    Everywhere,
    /// For the one destination.
    Destination,
    /// For the one way to it.
    Route,
}

/// Why a call went on from one way to the next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Setback {
    /// Something is wrong with where the way leads.
    Ailing(Ailment),
    /// It failed with this status.
    Failed(u16),
}

impl Failure {
    /// It rang for as long as the target may ring.
    pub(crate) const RING_TIME_OVER: Failure = Failure {
        kind: FailureKind::NoAnswer,
        status: 480,
        reach: Reach::Destination,
    };
    /// It rang and hung up before it answered.
    pub(crate) const HUNG_UP_EARLY: Failure = Failure::RING_TIME_OVER;
    /// Nothing answered our INVITE.
    pub(crate) const NO_RESPONSE: Failure = Failure {
        kind: FailureKind::Unreachable,
        status: 504,
        reach: Reach::Route,
    };
    /// The PBX accepted with media that we cannot or must not join.
    pub(crate) const UNUSABLE_MEDIA: Failure = Failure {
        kind: FailureKind::Congestion,
        status: 502,
        reach: Reach::Destination,
    };
    /// Whoever calls speaks no codec that those who may be called may be offered.
    pub(crate) const NO_COMMON_CODEC: Failure = Failure {
        kind: FailureKind::Congestion,
        status: 488,
        reach: Reach::Destination,
    };
    /// We have nothing left to call with: no target, no port.
    pub(crate) const NOTHING_LEFT: Failure = Failure {
        kind: FailureKind::Congestion,
        status: 503,
        reach: Reach::Destination,
    };

    /// Reads a final answer of 300..=699.
    ///
    /// What is between the PBX and us (a redirection, a demand for credentials, a complaint about our own message, its 503)
    /// never crosses: the caller gets 480, 500 or 502 for it.
    pub(crate) fn answered(status: u16) -> Failure {
        let (kind, passed) = match status {
            300..=399 => (FailureKind::NoAnswer, 480),
            486 | 600 | 603 => (FailureKind::Busy, status),
            408 | 480 => (FailureKind::NoAnswer, status),
            487 => (FailureKind::NoAnswer, 480),
            403 => (FailureKind::Closed, status),
            404 | 410 | 484 | 604 => (FailureKind::Refused, status),
            488 | 606 => (FailureKind::Congestion, status),
            // It asked us for no more calls for a while, not the caller for none at all (RFC 3261 section 16.7, step 6).
            503 => (FailureKind::Congestion, 500),
            500..=599 => (FailureKind::Congestion, status),
            _ => (FailureKind::Congestion, 502),
        };
        let reach = match status {
            600.. => Reach::Everywhere,
            503 => Reach::Route,
            _ => Reach::Destination,
        };
        Failure {
            kind,
            status: passed,
            reach,
        }
    }

    /// The value of a Reason header that says it (RFC 3326, causes of Q.850).
    pub(crate) fn reason(&self) -> &'static str {
        match self.kind {
            FailureKind::Busy => "Q.850;cause=17;text=\"User busy\"",
            FailureKind::NoAnswer => "Q.850;cause=19;text=\"No answer\"",
            FailureKind::Closed => "Q.850;cause=21;text=\"Call rejected\"",
            FailureKind::Refused => "Q.850;cause=20;text=\"Subscriber absent\"",
            FailureKind::Unreachable => "Q.850;cause=27;text=\"Destination out of order\"",
            FailureKind::Congestion => "Q.850;cause=42;text=\"Switching equipment congestion\"",
        }
    }
}

/// The reason phrase of a status that we send.
pub(crate) fn phrase(status: u16) -> &'static str {
    match status {
        100 => "Trying",
        180 => "Ringing",
        181 => "Call Is Being Forwarded",
        182 => "Queued",
        183 => "Session Progress",
        202 => "Accepted",
        400 => "Bad Request",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        408 => "Request Timeout",
        410 => "Gone",
        480 => "Temporarily Unavailable",
        481 => "Call/Transaction Does Not Exist",
        484 => "Address Incomplete",
        486 => "Busy Here",
        487 => "Request Terminated",
        488 => "Not Acceptable Here",
        491 => "Request Pending",
        500 => "Server Internal Error",
        501 => "Not Implemented",
        502 => "Bad Gateway",
        503 => "Service Unavailable",
        504 => "Server Time-out",
        600 => "Busy Everywhere",
        603 => "Decline",
        604 => "Does Not Exist Anywhere",
        606 => "Not Acceptable",
        101..=199 => "Progress",
        200..=299 => "OK",
        300..=499 => "Request Refused",
        _ => "Service Refused",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_between_the_pbx_and_us_never_crosses() {
        for (received, passed) in [
            (302, 480),
            (401, 502),
            (407, 502),
            (420, 502),
            (481, 502),
            (487, 480),
            (503, 500),
        ] {
            assert_eq!(Failure::answered(received).status, passed, "{received}");
        }
    }

    #[test]
    fn what_tells_the_caller_something_crosses_unchanged() {
        for status in [
            403, 404, 408, 410, 480, 484, 486, 488, 500, 600, 603, 604, 606,
        ] {
            assert_eq!(Failure::answered(status).status, status);
        }
    }

    #[test]
    fn of_several_failures_the_most_telling_is_the_smallest() {
        let busy = Failure::answered(486);
        assert!(busy < Failure::RING_TIME_OVER);
        assert!(Failure::RING_TIME_OVER < Failure::answered(404));
        assert!(Failure::answered(404) < Failure::NO_RESPONSE);
    }
}
