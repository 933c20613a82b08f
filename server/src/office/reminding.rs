//! What the office reminds people of: a policy that is not what is done (K-31), and copies whose time comes (K-24). Neither stops anything.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::{Duration, Instant},
};

use jiff::Timestamp;
use rules::{
    AlarmCode, AlarmSubject, AuditDraft, AuditEvent, CopyId, Register, Reminder, jst_rfc3339,
};

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
        match prompts::played(&self.config) {
            Ok(played) => {
                let differences = register.policy().differences(&played);
                let differs = differences.first().map(|difference| {
                    format!("{difference}; see check, and apply a version that says so, or do as it says")
                });
                self.remind(AlarmCode::PolicyDiffers, differs);
            }
            Err(fault) => {
                tracing::warn!(%fault, "which prompts calls have loaded is not known");
                self.reminders_again = Instant::now() + RETRY;
            }
        }
        let Ok(lost) = self.lost_copies(&register).await else {
            self.reminders_again = Instant::now() + RETRY;
            return;
        };
        let due = due(&register, &lost, Timestamp::now());
        self.remind_of_each(AlarmCode::CopyDue, due);
    }

    /// Tells once of what waits for a person, in the log and in the trail.
    pub(super) fn remind(&mut self, code: AlarmCode, waits: Option<String>) {
        let is_news = waits.is_some() && !self.is_told(code);
        self.note(code, waits.map_or(Ok(()), Err));
        if is_news {
            self.audit(AuditDraft::system(AuditEvent::alarm(code)));
        }
    }

    /// The same of each of many: each is told of by itself, and again when something else is to be said of it.
    pub(super) fn remind_of_each(&mut self, code: AlarmCode, waiting: Vec<(AlarmSubject, String)>) {
        let news = self.reminded.handle_waiting(code, waiting);
        let entries = news.into_iter().map(|(about, why)| {
            tracing::error!(code = code.code(), "{why}");
            AuditDraft::system(AuditEvent::AlarmRaised {
                code,
                call: None,
                about: Some(about),
            })
        });
        let entries: Vec<AuditDraft> = entries.collect();
        if !entries.is_empty() {
            self.audit_all(entries);
        }
    }
}

/// What was told of each that waits for a person.
#[derive(Debug, Default)]
pub(super) struct Reminded(BTreeMap<(AlarmCode, AlarmSubject), String>);

impl Reminded {
    /// Takes in all that waits under this code; gives what was not told of yet, and forgets what waits no longer.
    fn handle_waiting(
        &mut self,
        code: AlarmCode,
        waiting: Vec<(AlarmSubject, String)>,
    ) -> Vec<(AlarmSubject, String)> {
        let still: BTreeSet<AlarmSubject> = waiting.iter().map(|(about, _)| *about).collect();
        self.0
            .retain(|(known, about), _| *known != code || still.contains(about));
        let is_news = |(about, why): &(AlarmSubject, String)| {
            self.0.insert((code, *about), why.clone()).as_ref() != Some(why)
        };
        waiting.into_iter().filter(is_news).collect()
    }
}

/// `lost`: of which nobody knows where they lie. They are told before their time comes near, as no sweep removes them.
fn due(
    register: &Register,
    lost: &BTreeSet<CopyId>,
    now: Timestamp,
) -> Vec<(AlarmSubject, String)> {
    let copies = register.copies().iter();
    let due = copies.filter_map(|(id, copy)| {
        let by = jst_rfc3339(copy.destroy_by());
        let when = match copy.reminder(now) {
            None if lost.contains(&id) => "is outstanding",
            None => return None,
            Some(Reminder::Week) => "must be gone within 7 days",
            Some(Reminder::Day) => "must be gone within a day",
            Some(Reminder::Overdue) => "should be gone",
        };
        let next = match lost.contains(&id) {
            true => "where it lies is not known, so nothing removes it; ask its holder, and say copies destroyed",
            false => "see copies list and handover list",
        };
        Some((AlarmSubject::Copy(id), format!("copy {id} {when} ({by}); {next}")))
    });
    due.collect()
}

#[cfg(test)]
mod tests {
    use rules::HoldId;

    use super::*;

    #[test]
    fn each_is_told_of_once_again_when_its_word_changes_and_anew_when_it_waits_anew() {
        let at = "2026-11-24T00:00:00Z".parse().unwrap();
        let copy = |random| AlarmSubject::Copy(CopyId::new(at, random));
        let mut reminded = Reminded::default();
        let mut told = |code, waiting: &[(AlarmSubject, &str)]| {
            let waiting = waiting
                .iter()
                .map(|(about, why)| (*about, (*why).to_owned()));
            let news = reminded.handle_waiting(code, waiting.collect());
            news.into_iter().map(|(about, _)| about).collect::<Vec<_>>()
        };
        let due = AlarmCode::CopyDue;
        assert_eq!(told(due, &[(copy(1), "week")]), [copy(1)]);
        let both = [(copy(1), "week"), (copy(2), "week")];
        assert_eq!(
            told(due, &both),
            [copy(2)],
            "the second has a word of its own"
        );
        assert_eq!(told(due, &both), []);
        assert_eq!(told(due, &[(copy(1), "day"), (copy(2), "week")]), [copy(1)]);
        // Another code has another list.
        let hold = AlarmSubject::Hold(HoldId::new(at, 3));
        assert_eq!(told(AlarmCode::HoldOverdue, &[(hold, "review")]), [hold]);
        assert_eq!(told(due, &[(copy(1), "day")]), []);
        assert_eq!(told(due, &[(copy(1), "day"), (copy(2), "week")]), [copy(2)]);
    }
}
