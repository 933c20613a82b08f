//! The declared emergency: told to the audit trail, saved at each change, ended at its time, and moved along with a clock that jumps.

use std::time::Duration;

use jiff::SignedDuration;
use rules::{
    Actor, AuditDraft, AuditEvent, Declaration, Digest, Emergency, EmergencyFault, Scope, StaffId,
};

use super::Exchange;
use crate::{now::Now, output::Output};

/// While an emergency is declared we look this often whether it has ended; each call asks again anyway.
const EMERGENCY_CHECK: Duration = Duration::from_secs(1);

/// A smaller step is the ordinary correction of a disciplined clock, and changes nothing that is worth saving.
const SMALLEST_STEP: Duration = Duration::from_secs(2);

impl Exchange {
    /// Compares both clocks with what they were at the input before. A wall clock that jumped moves the emergency along, before
    /// anything else looks at it: neither a step forward ends it early nor a step back prolongs it.
    pub(crate) fn watch_clock(&mut self, now: Now) {
        let Some(before) = self.last_seen.replace(now) else {
            return;
        };
        let passed = SignedDuration::try_from(now.at.saturating_duration_since(before.at));
        let step = before.wall.duration_until(now.wall) - passed.unwrap_or(SignedDuration::MAX);
        if step.unsigned_abs() >= SMALLEST_STEP && !self.house.emergency.declared().is_empty() {
            self.house.emergency.handle_clock_step(step);
            self.save_emergency();
        }
    }

    pub(crate) fn declare(
        &mut self,
        now: Now,
        declaration: Declaration,
        reason: Digest,
    ) -> Result<Emergency, EmergencyFault> {
        let emergency = self.house.emergency.declare(declaration, now.wall)?.clone();
        let actor = Actor::Person {
            unix_user: emergency.unix_user().to_owned(),
            person: emergency.declared_by().cloned(),
        };
        let event = AuditEvent::emergency_declared(&emergency, reason);
        self.house.put(Output::Audit(AuditDraft { actor, event }));
        self.save_emergency();
        self.emergency_check = Some(now.at + EMERGENCY_CHECK);
        Ok(emergency)
    }

    pub(crate) fn lift(
        &mut self,
        now: Now,
        scope: Option<&Scope>,
        unix_user: &str,
        person: Option<&StaffId>,
    ) -> Result<Vec<Emergency>, EmergencyFault> {
        self.check_emergency(now);
        let lifted = self.house.emergency.lift(scope)?;
        for emergency in &lifted {
            let actor = Actor::Person {
                unix_user: unix_user.to_owned(),
                person: person.cloned(),
            };
            let event = AuditEvent::EmergencyLifted {
                emergency: emergency.id(),
            };
            self.house.put(Output::Audit(AuditDraft { actor, event }));
        }
        self.save_emergency();
        Ok(lifted)
    }

    pub(super) fn check_emergency(&mut self, now: Now) {
        let mut expired = false;
        while let Some(emergency) = self.house.emergency.expire(now.wall) {
            let event = AuditEvent::EmergencyExpired {
                emergency: emergency.id(),
            };
            self.house.put(Output::Audit(AuditDraft::system(event)));
            expired = true;
        }
        if expired {
            self.save_emergency();
        }
        let is_declared = !self.house.emergency.declared().is_empty();
        if is_declared && self.emergency_check.is_none_or(|due| due <= now.at) {
            self.emergency_check = Some(now.at + EMERGENCY_CHECK);
        }
        if !is_declared {
            self.emergency_check = None;
        }
    }

    fn save_emergency(&mut self) {
        let state = self.house.emergency.clone();
        self.house.put(Output::SaveEmergency(state));
    }
}
