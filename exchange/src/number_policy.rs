//! What a number's policy, the managers' decisions about its notice and the emergency make of a call that comes in.

use announcements::{Library, Prompt, PromptId};
use jiff::Timestamp;
use rules::{EmergencyId, EmergencyState, Keeping, Notices, NumberPolicy, Reason, Telling};

use crate::keeping;

/// How a call is taken.
pub(crate) enum Plan {
    /// It is answered and hears the notice first.
    Announce(Prompt),
    /// It is not answered before the department answers.
    Pass {
        /// Decided before the department is called, carried out when it answers.
        keeping: Keeping,
        /// The emergency it comes under.
        emergency: Option<EmergencyId>,
    },
}

impl Plan {
    /// Decides about one call. An emergency goes before everything; else callers are told as was decided ([`Notices::telling`]).
    pub(crate) fn of(
        policy: &NumberPolicy,
        emergency: &EmergencyState,
        notices: &Notices,
        library: &Library,
        now: Timestamp,
    ) -> Plan {
        if let Some(emergency) = emergency.in_force(&policy.number, now) {
            let keeping = keeping::under_emergency(emergency, &policy.number, now);
            return Plan::Pass {
                keeping,
                emergency: Some(emergency.id()),
            };
        }
        let keeping = match notices.telling(policy, now) {
            Telling::Announced => match library.get(PromptId::RecordingNotice) {
                Some(prompt) => return Plan::Announce(prompt.clone()),
                // Without an announcement there is no reason to answer, and to let the caller pay, before the department does.
                None => Keeping::Unrecorded(Reason::NoAnnouncement),
            },
            Telling::Waived(decision) => keeping::under_decision(decision, &policy.number, now),
            Telling::Untold => Keeping::Unrecorded(Reason::NoWaiver),
        };
        Plan::Pass {
            keeping,
            emergency: None,
        }
    }

    /// The same for a call back from 110, 118 or 119: nothing is said to it first (事業用電気通信設備規則 35条の2の4).
    pub(crate) fn without_notice(self) -> Plan {
        match self {
            Plan::Announce(_) => Plan::Pass {
                keeping: Keeping::Unrecorded(Reason::CallBack),
                emergency: None,
            },
            Plan::Pass { .. } => self,
        }
    }

    /// How a call is taken that no citizen makes: never answered by us, never recorded (K-02).
    pub(crate) fn out_of_scope() -> Plan {
        Plan::Pass {
            keeping: Keeping::Unrecorded(Reason::OutOfScope),
            emergency: None,
        }
    }

    /// The emergency that the call comes under.
    pub(crate) fn emergency(&self) -> Option<EmergencyId> {
        match self {
            Plan::Announce(_) => None,
            Plan::Pass { emergency, .. } => *emergency,
        }
    }
}
