//! What differs is named once, and what may differ is not.

use super::*;
use crate::{
    audit::{Actor, AuditEntry, AuditEvent, DisposalCause},
    counted_days::CountedDays,
    ids::CaseId,
    retention::RetentionPolicy,
};

fn now() -> Timestamp {
    "2026-11-24T15:00:00Z".parse().unwrap()
}

const BYTES: u64 = 96_000;

fn recording(number: u128) -> RecordingId {
    RecordingId::new(now() - SignedDuration::from_hours(3), number)
}

fn recorded(recording: RecordingId) -> KeptCall {
    KeptCall {
        call: Some(CallId::new(now(), 1)),
        recording: Some(recording),
        state: RecordingState::Sealed,
        answered_at: Some(now()),
        notice: Some(NoticeKind::Announced),
        unrecorded: None,
        bytes: Some(BYTES),
        tells: RowTells::Sound,
    }
}

fn unrecorded(answered_at: Option<Timestamp>, reason: Option<Reason>) -> KeptCall {
    KeptCall {
        recording: None,
        state: RecordingState::Unrecorded,
        answered_at,
        notice: None,
        unrecorded: reason,
        bytes: None,
        tells: RowTells::NoSound,
        ..recorded(recording(0))
    }
}

#[test]
fn each_answered_call_is_recorded_or_has_a_reason_or_is_missed() {
    let calls = [
        recorded(recording(1)),
        recorded(recording(2)),
        unrecorded(Some(now()), Some(Reason::NoWaiver)),
        unrecorded(Some(now()), None),
        unrecorded(None, Some(Reason::CallerHungUp)),
    ];
    let files = [(recording(1), BYTES), (recording(3), BYTES)].into();
    let Reconciled {
        counts,
        discrepancies,
    } = Reconciled::of(calls, &files, |_| false, ToldOfDay::Over, now());
    let expected = DayCounts {
        calls: 4,
        unanswered: 1,
        recorded: 1,
        notices: [(NoticeKind::Announced, 1)].into(),
        unrecorded: [(Reason::NoWaiver, 1)].into(),
        missing: 2,
        orphan_files: 1,
        orphan_rows: 1,
        incomplete: 0,
        awaited: 0,
    };
    assert_eq!(counts, expected);
    assert!(!counts.is_explained());
    let call = Some(CallId::new(now(), 1));
    let found = [
        Discrepancy::NoFile {
            recording: recording(2),
        },
        Discrepancy::NoReason { call },
        Discrepancy::NoRow {
            recording: recording(3),
        },
    ];
    assert_eq!(discrepancies, found);
}

#[test]
fn a_recording_of_which_a_segment_is_gone_or_empty_is_not_whole_unless_a_restore_may_bring_it() {
    let (whole, cut, empty, awaited) = (recording(1), recording(2), recording(3), recording(4));
    let calls = [whole, cut, empty, awaited].map(recorded);
    let files = [(whole, BYTES), (cut, BYTES - 1), (empty, 0), (awaited, 1)].into();
    let Reconciled {
        counts,
        discrepancies,
    } = Reconciled::of(
        calls,
        &files,
        |recording| recording == awaited,
        ToldOfDay::Over,
        now(),
    );

    assert!(!counts.is_explained());
    let DayCounts {
        recorded,
        incomplete,
        awaited: still_to_come,
        missing,
        ..
    } = counts;
    assert_eq!((recorded, incomplete, still_to_come, missing), (4, 2, 1, 0));
    let short = |recording, found_bytes| Discrepancy::NotWhole {
        recording,
        kept_bytes: BYTES,
        found_bytes,
    };
    assert_eq!(discrepancies, [short(cut, BYTES - 1), short(empty, 0)]);
}

#[test]
fn what_has_just_begun_or_was_destroyed_is_no_loss() {
    let fresh = RecordingId::new(now() - SignedDuration::from_mins(1), 1);
    let of_a_row_to_come = RecordingId::new(now(), 2);
    let disposed = KeptCall {
        state: RecordingState::Disposed,
        call: None,
        notice: None,
        ..recorded(recording(3))
    };
    let files = [(of_a_row_to_come, BYTES)].into();
    let reconciled = Reconciled::of(
        [recorded(fresh), disposed],
        &files,
        |_| false,
        ToldOfDay::Over,
        now(),
    );
    assert!(reconciled.counts.is_explained());
    assert_eq!(
        (reconciled.counts.calls, reconciled.counts.recorded),
        (2, 2)
    );
}

#[test]
fn what_a_restore_may_still_bring_is_no_loss_and_is_told_apart() {
    let (awaited, lost) = (recording(1), recording(2));
    let calls = [recorded(awaited), recorded(lost)];
    let may_come = |recording| recording == awaited;
    let reconciled = Reconciled::of(calls, &BTreeMap::new(), may_come, ToldOfDay::Over, now());
    let DayCounts {
        recorded,
        awaited: still_to_come,
        missing,
        ..
    } = reconciled.counts;
    assert_eq!((recorded, still_to_come, missing), (1, 1, 1));
    let found = [Discrepancy::NoFile { recording: lost }];
    assert_eq!(reconciled.discrepancies, found);
}

fn days(events: impl IntoIterator<Item = AuditEvent>) -> CountedDays {
    let mut days = CountedDays::default();
    for (seq, event) in (1..).zip(events) {
        days.handle(&AuditEntry {
            seq,
            at: now(),
            actor: Actor::System,
            event,
        });
    }
    days
}

fn today() -> JstDay {
    JstDay::of(recording(0).made_at())
}

fn day_counted() -> AuditEvent {
    let counts = DayCounts {
        calls: 4,
        recorded: 3,
        unrecorded: [(Reason::NoWaiver, 1)].into(),
        ..DayCounts::default()
    };
    AuditEvent::DayCounted {
        day: today(),
        counts,
    }
}

fn by(days: &CountedDays, calls: &[KeptCall]) -> Reconciled {
    let files = [(recording(1), BYTES), (recording(2), BYTES)].into();
    let told = days.told_of(today(), None, now());
    Reconciled::of(calls.to_vec(), &files, |_| false, told, now())
}

#[test]
fn a_day_with_fewer_calls_or_recordings_than_it_had_counted_is_not_explained() {
    let day = days([day_counted()]);
    let without = unrecorded(Some(now()), Some(Reason::NoWaiver));
    let (first, second) = (recorded(recording(1)), recorded(recording(2)));

    let deleted = by(&day, &[first.clone(), second.clone(), without.clone()]);
    let fewer_calls = Discrepancy::FewerCalls {
        counted: 4,
        found: 3,
    };
    assert_eq!(deleted.discrepancies, [fewer_calls]);
    assert_eq!((deleted.counts.calls, deleted.counts.missing), (4, 1));

    let masked = by(&day, &[first, second, without.clone(), without]);
    let fewer_recordings = Discrepancy::FewerRecordings {
        counted: 3,
        found: 2,
    };
    assert_eq!(masked.discrepancies, [fewer_recordings]);
    assert_eq!((masked.counts.calls, masked.counts.missing), (4, 1));
    assert_eq!(masked.counts.unrecorded, [(Reason::NoWaiver, 1)].into());
}

#[test]
fn a_day_whose_disposal_has_begun_or_that_has_expired_may_have_fewer_calls() {
    let begun = AuditEvent::DisposalBegun {
        day: today(),
        expires_at: now(),
        due: 3,
    };
    let begun = days([day_counted(), begun]);
    let kept = days([day_counted()]);
    assert!(
        by(&begun, &[])
            .discrepancies
            .iter()
            .all(|found| !found.rests_on_trail())
    );
    assert_eq!(begun.kept(now()).count(), 0);
    assert_eq!(kept.kept(now()).collect::<Vec<_>>(), [today()]);

    let expired = RetentionPolicy::LONGEST.expiry(today());
    assert_eq!(kept.kept(expired).count(), 0);
    assert_eq!(kept.told_of(today(), None, expired), ToldOfDay::Over);
    assert_eq!(kept.told_of(today(), Some(now()), now()), ToldOfDay::Over);
}

#[test]
fn a_row_says_disposed_of_only_where_the_trail_knows_of_a_disposal() {
    let disposed = |number| KeptCall {
        state: RecordingState::Disposed,
        ..recorded(recording(number))
    };
    let case = CaseId::new(now(), 1);
    let begun = AuditEvent::RecordingDisposalBegun {
        recording: recording(1),
        day: today(),
        cause: DisposalCause::Decided { case },
    };
    let found = by(&days([begun]), &[disposed(1), disposed(2), disposed(3)]);
    let no_disposal = |number| Discrepancy::NoDisposal {
        recording: recording(number),
    };
    assert_eq!(found.discrepancies, [no_disposal(2), no_disposal(3)]);
    assert_eq!((found.counts.recorded, found.counts.missing), (1, 2));
}

#[test]
fn a_row_that_says_unrecorded_and_describes_sound_was_recorded() {
    let was_recorded = Discrepancy::WasRecorded {
        call: recorded(recording(1)).call,
    };
    let says_so = KeptCall {
        state: RecordingState::Unrecorded,
        unrecorded: Some(Reason::NoWaiver),
        ..recorded(recording(1))
    };
    let without_recording = KeptCall {
        recording: None,
        ..says_so.clone()
    };
    let without_file = KeptCall {
        recording: Some(recording(3)),
        ..says_so.clone()
    };
    let (second, recording) = (recorded(recording(2)), recording(3));
    let found = by(
        &CountedDays::default(),
        &[second, says_so, without_recording, without_file],
    );
    let no_file = Discrepancy::NoFile { recording };
    assert_eq!(found.discrepancies, [was_recorded, was_recorded, no_file]);
    assert_eq!((found.counts.calls, found.counts.missing), (4, 3));
}
