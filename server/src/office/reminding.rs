//! What the office reminds people of: a policy that is not what is done (K-31), and copies whose time comes (K-24). Neither stops anything.

use std::time::{Duration, Instant};

use jiff::Timestamp;
use rules::{AlarmCode, AuditDraft, AuditEvent, Register, jst_rfc3339};

use super::owner::Owner;
use crate::prompts;

/// How often it is looked.
const EACH: Duration = Duration::from_secs(3_600);
/// How soon again where the register could not be read.
const RETRY: Duration = Duration::from_secs(60);

impl Owner {
    pub(super) async fn look_after_reminders(&mut self) {
        if Instant::now() < self.reminders_again {
            return;
        }
        self.reminders_again = Instant::now() + EACH;
        let Ok(register) = self.register().await else {
            self.reminders_again = Instant::now() + RETRY;
            return;
        };
        let differences = prompts::differences(&self.config, &register);
        let differs = differences.first().map(|difference| {
            format!("{difference}; see check, and apply a version that says so, or do as it says")
        });
        self.remind(AlarmCode::PolicyDiffers, differs);
        self.remind(AlarmCode::CopyDue, due(&register, Timestamp::now()));
    }

    /// Tells once of what waits for a person, in the log and in the trail.
    pub(super) fn remind(&mut self, code: AlarmCode, waits: Option<String>) {
        let is_news = waits.is_some() && !self.is_told(code);
        self.note(code, waits.map_or(Ok(()), Err));
        if is_news {
            self.audit(AuditDraft::system(AuditEvent::AlarmRaised {
                code,
                call: None,
            }));
        }
    }
}

fn due(register: &Register, now: Timestamp) -> Option<String> {
    let mut copies = register.copies().iter();
    let (id, copy) = copies.find(|(_, copy)| copy.reminder(now).is_some())?;
    let by = jst_rfc3339(copy.destroy_by());
    Some(format!(
        "copy {id} must be gone by {by}; see copies list and handover list"
    ))
}
