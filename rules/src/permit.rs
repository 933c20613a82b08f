//! Permits: what opens a recording (law 3), what destroys a day (law 4). Each is made from the trail's receipt for its own entry and from nothing else.

use jiff::{Timestamp, ToSpan};

use crate::{
    access::{ListenGrant, Purpose, judge_person},
    audit::{AuditEvent, AuditReceipt},
    ids::{JstDay, RecordingId, StaffId},
    refusal::{Clause, Refusal, RefusalCode},
    staff::StaffMember,
};

const LISTEN_MINUTES: i64 = 15; // K-08: at most 15 minutes.

/// Leave to hear one recording for one purpose, for at most 15 minutes. It is moved into the playback and asked again at every read.
#[derive(Debug)]
#[must_use = "a permit is moved into the playback that it allows"]
pub struct ListenPermit {
    grant: ListenGrant,
    receipt: AuditReceipt,
    issued_at: Timestamp,
    lapses_at: Timestamp,
}

impl ListenPermit {
    /// Turns a grant into a permit, now that its entry is durable.
    ///
    /// # Errors
    /// `AUDIT_UNAVAILABLE` where the receipt is for another entry than the grant's.
    pub fn issue(
        grant: ListenGrant,
        receipt: AuditReceipt,
        now: Timestamp,
    ) -> Result<ListenPermit, Refusal> {
        if !receipt.is_for(&grant.entry) {
            return Err(Refusal::audit_unavailable());
        }
        let longest = now.saturating_add(LISTEN_MINUTES.minutes()).unwrap_or(now);
        let lapses_at = longest.min(grant.lapses_at);
        Ok(ListenPermit {
            grant,
            receipt,
            issued_at: now,
            lapses_at,
        })
    }

    /// Whether it still holds: within its 15 minutes, the recording's retention and the person's training.
    ///
    /// A clock behind the permit's making says nothing about how long it lasted, so it ends it.
    ///
    /// # Errors
    /// `PERMIT_LAPSED`, or `DISPOSED` and `TRAINING_EXPIRED` are found by asking anew.
    pub fn check(&self, now: Timestamp) -> Result<(), Refusal> {
        if (self.issued_at..self.lapses_at).contains(&now) {
            return Ok(());
        }
        Err(Refusal::new(
            RefusalCode::PermitLapsed,
            Clause::Rules5Security,
        ))
    }

    /// Whether it still holds for the person as the staff file has them by now (K-11); `None` where they have left it.
    ///
    /// # Errors
    /// As [`Self::check`], and whatever refuses the person.
    pub fn check_person(
        &self,
        person: Option<&StaffMember>,
        now: Timestamp,
    ) -> Result<(), Refusal> {
        self.check(now)?;
        match person {
            Some(person) if Some(&person.id) == self.person() => {
                judge_person(person, self.grant.purpose, now)
            }
            Some(_) | None => Err(Refusal::new(
                RefusalCode::PersonUnknown,
                Clause::Rules4Designation,
            )),
        }
    }

    /// Who listens.
    pub fn person(&self) -> Option<&StaffId> {
        self.grant.entry.actor.person()
    }

    /// The recording it opens, and no other.
    pub fn recording(&self) -> RecordingId {
        self.grant.recording
    }

    /// What for.
    pub fn purpose(&self) -> Purpose {
        self.grant.purpose
    }

    /// Which part, in milliseconds; `None` is the whole.
    pub fn range_ms(&self) -> Option<(u64, u64)> {
        self.grant.range_ms
    }

    /// The number of the entry that stands for it in the trail.
    pub fn audit_seq(&self) -> u64 {
        self.receipt.seq()
    }
}

/// Leave to destroy the keys and bytes of one day whose retention is over.
#[derive(Debug)]
#[must_use = "a permit is moved into the disposal that it allows"]
pub struct DisposalPermit {
    day: JstDay,
    receipt: AuditReceipt,
}

impl DisposalPermit {
    /// Allows the disposal of a day that is due.
    ///
    /// `expires_at`: the instant that was fixed and stored when the day began. `receipt`: for the day's `DisposalBegun`.
    ///
    /// # Errors
    /// `NOT_DUE` before that instant and while the day itself goes on; `AUDIT_UNAVAILABLE` where the receipt is for another entry.
    pub fn due(
        day: JstDay,
        expires_at: Timestamp,
        now: Timestamp,
        receipt: AuditReceipt,
    ) -> Result<DisposalPermit, Refusal> {
        if now < expires_at || now < day.next().start() {
            return Err(Refusal::new(RefusalCode::NotDue, Clause::Rules5Retention));
        }
        match receipt.entry().event {
            AuditEvent::DisposalBegun { day: begun, .. } if begun == day => {
                Ok(DisposalPermit { day, receipt })
            }
            _ => Err(Refusal::audit_unavailable()),
        }
    }

    /// The day it is for, and no other.
    pub fn day(&self) -> JstDay {
        self.day
    }

    /// The number of the entry that stands for it in the trail.
    pub fn audit_seq(&self) -> u64 {
        self.receipt.seq()
    }
}

/// Leave to destroy one recording by itself: before its day by decision, or after it when no case holds it any more.
#[derive(Debug)]
#[must_use = "a permit is moved into the disposal that it allows"]
pub struct RecordingDisposalPermit {
    recording: RecordingId,
    receipt: AuditReceipt,
}

impl RecordingDisposalPermit {
    /// Allows the disposal whose beginning is written down.
    ///
    /// # Errors
    /// `AUDIT_UNAVAILABLE` where the receipt is for another entry.
    pub fn begun(
        recording: RecordingId,
        receipt: AuditReceipt,
    ) -> Result<RecordingDisposalPermit, Refusal> {
        match receipt.entry().event {
            AuditEvent::RecordingDisposalBegun {
                recording: begun, ..
            } if begun == recording => Ok(RecordingDisposalPermit { recording, receipt }),
            _ => Err(Refusal::audit_unavailable()),
        }
    }

    /// The recording it is for, and no other.
    pub fn recording(&self) -> RecordingId {
        self.recording
    }

    /// The number of the entry that stands for it in the trail.
    pub fn audit_seq(&self) -> u64 {
        self.receipt.seq()
    }
}

#[cfg(test)]
mod tests {
    use jiff::civil::date;

    use super::*;
    use crate::{
        access::{ListenRequest, request_listen},
        audit::{AuditDraft, AuditEntry},
        recording::RecordingState,
        staff::Role,
    };

    fn now() -> Timestamp {
        "2026-11-24T00:00:00Z".parse().unwrap()
    }

    fn person() -> StaffMember {
        StaffMember {
            id: "hanako".parse().unwrap(),
            name: "試験 花子".to_owned(),
            role: Role::Assistant,
            unit: "広報課".to_owned(),
            designated_on: Some(date(2026, 4, 1)),
            trained_on: Some(date(2026, 4, 1)),
        }
    }

    fn grant(person: &StaffMember, expires_at: Timestamp, now: Timestamp) -> ListenGrant {
        let request = ListenRequest {
            person: Some(person),
            unix_user: "root",
            recording: RecordingId::new(now, 1),
            state: RecordingState::Sealed,
            expires_at,
            purpose: Some(Purpose::AnalysisInquiry),
            range_ms: None,
        };
        request_listen(&request, now).unwrap()
    }

    fn receipt(draft: &AuditDraft, at: Timestamp) -> AuditReceipt {
        let AuditDraft { actor, event } = draft.clone();
        AuditReceipt::durable(
            AuditEntry {
                seq: 9,
                at,
                actor,
                event,
            },
            [1; 32],
        )
    }

    fn permit(person: &StaffMember, expires_at: Timestamp, now: Timestamp) -> ListenPermit {
        let grant = grant(person, expires_at, now);
        let receipt = receipt(grant.entry(), now);
        ListenPermit::issue(grant, receipt, now).unwrap()
    }

    #[test]
    fn a_permit_opens_for_15_minutes_and_not_before_it_was_made() {
        let permit = permit(&person(), now() + 720.hours(), now());
        for (at, expected) in [
            (now() - 1.nanosecond(), Err(RefusalCode::PermitLapsed)),
            (now(), Ok(())),
            (now() + 15.minutes() - 1.nanosecond(), Ok(())),
            (now() + 15.minutes(), Err(RefusalCode::PermitLapsed)),
        ] {
            assert_eq!(permit.check(at).map_err(|refusal| refusal.code()), expected);
        }
        assert_eq!(
            (permit.audit_seq(), permit.recording()),
            (9, RecordingId::new(now(), 1))
        );
    }

    #[test]
    fn a_permit_ends_with_the_retention_and_with_the_training() {
        let short = permit(&person(), now() + 1.minute(), now());
        assert!(short.check(now() + 59.seconds()).is_ok());
        assert!(short.check(now() + 1.minute()).is_err());

        // 23:59 of the last day on which the training counts.
        let eve: Timestamp = "2027-03-31T14:59:00Z".parse().unwrap();
        let last = permit(&person(), eve + 720.hours(), eve);
        assert!(last.check(eve + 59.seconds()).is_ok());
        assert!(last.check(eve + 1.minute()).is_err());
    }

    #[test]
    fn a_person_who_was_withdrawn_hears_no_more() {
        let permit = permit(&person(), now() + 720.hours(), now());
        let asked = |person: Option<&StaffMember>| {
            permit
                .check_person(person, now())
                .map_err(|refusal| refusal.code())
        };
        assert_eq!(asked(Some(&person())), Ok(()));
        assert_eq!(asked(None), Err(RefusalCode::PersonUnknown));
        assert_eq!(
            asked(Some(&StaffMember {
                designated_on: None,
                ..person()
            })),
            Err(RefusalCode::NotDesignated)
        );
        assert_eq!(
            asked(Some(&StaffMember {
                trained_on: None,
                ..person()
            })),
            Err(RefusalCode::TrainingExpired)
        );
        assert_eq!(
            asked(Some(&StaffMember {
                role: Role::Operator,
                ..person()
            })),
            Err(RefusalCode::RoleNotPermitted)
        );
        assert_eq!(
            asked(Some(&StaffMember {
                role: Role::ExchangeStaff,
                ..person()
            })),
            Err(RefusalCode::PurposeNotPermitted)
        );
        assert_eq!(
            asked(Some(&StaffMember {
                id: "taro".parse().unwrap(),
                ..person()
            })),
            Err(RefusalCode::PersonUnknown)
        );
    }

    #[test]
    fn the_receipt_of_another_entry_opens_nothing() {
        let grant = grant(&person(), now() + 720.hours(), now());
        let other = StaffMember {
            id: "taro".parse().unwrap(),
            ..person()
        };
        let receipt = receipt(
            self::grant(&other, now() + 720.hours(), now()).entry(),
            now(),
        );
        let refusal = ListenPermit::issue(grant, receipt, now()).unwrap_err();
        assert_eq!(refusal.code(), RefusalCode::AuditUnavailable);
    }

    #[test]
    fn a_day_is_disposed_of_from_its_expiry_on_and_with_its_own_entry() {
        let day: JstDay = "2026-11-24".parse().unwrap();
        let expires_at: Timestamp = "2027-02-20T15:00:00Z".parse().unwrap();
        let begun = |day| {
            receipt(
                &AuditDraft::system(AuditEvent::DisposalBegun {
                    day,
                    expires_at,
                    due: 3,
                }),
                expires_at,
            )
        };
        let code = |result: Result<DisposalPermit, Refusal>| {
            result
                .map(|permit| permit.day())
                .map_err(|refusal| refusal.code())
        };
        assert_eq!(
            code(DisposalPermit::due(day, expires_at, expires_at, begun(day))),
            Ok(day)
        );
        let early = DisposalPermit::due(day, expires_at, expires_at - 1.nanosecond(), begun(day));
        assert_eq!(code(early), Err(RefusalCode::NotDue));
        let other = DisposalPermit::due(day, expires_at, expires_at, begun(day.next()));
        assert_eq!(code(other), Err(RefusalCode::AuditUnavailable));
        let of_another_kind = receipt(
            &AuditDraft::system(AuditEvent::ServerStopped { calls_ended: 0 }),
            expires_at,
        );
        assert_eq!(
            code(DisposalPermit::due(
                day,
                expires_at,
                expires_at,
                of_another_kind
            )),
            Err(RefusalCode::AuditUnavailable)
        );
    }

    #[test]
    fn a_day_that_goes_on_is_not_disposed_of_whatever_its_expiry_says() {
        let day: JstDay = "2026-11-24".parse().unwrap();
        let noon: Timestamp = "2026-11-24T03:00:00Z".parse().unwrap();
        let begun = receipt(
            &AuditDraft::system(AuditEvent::DisposalBegun {
                day,
                expires_at: noon,
                due: 3,
            }),
            noon,
        );
        assert_eq!(
            DisposalPermit::due(day, noon, noon, begun)
                .unwrap_err()
                .code(),
            RefusalCode::NotDue
        );
    }
}
