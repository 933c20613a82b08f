//! Every refusal says which clause forbids it, in plain Japanese and in English (K-40).
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails there")]

use std::{collections::BTreeSet, fmt::Write as _, time::Duration};

use expect_test::expect_file;
use jiff::{Timestamp, ToSpan, civil::date};
use rules::{
    Action, AuditDraft, AuditEntry, AuditEvent, AuditReceipt, Declaration, DestructionClock,
    DisposalCause, DisposalPermit, EmergencyId, EmergencyState, JstDay, ListenPermit,
    ListenRequest, Purpose, RecordingId, RecordingState, Refusal, RefusalCode, Role, Scope,
    StaffMember, may, request_listen,
};

fn now() -> Timestamp {
    "2026-11-24T03:00:00Z".parse().unwrap()
}

#[test]
fn every_refusal_names_its_clause_in_japanese_and_english() {
    let mut refusals = [listening(), acting(), permits(), emergencies(), disposals()].concat();
    refusals.sort_by_key(|refusal| (refusal.code(), refusal.clause()));
    refusals.dedup();
    let reached: BTreeSet<_> = refusals.iter().map(Refusal::code).collect();
    assert_eq!(
        reached.into_iter().collect::<Vec<_>>(),
        RefusalCode::ALL,
        "every code is reached by an act"
    );
    let mut text = String::new();
    for refusal in refusals {
        let code = refusal.code();
        writeln!(
            text,
            "{} {}\nja {}\nen {}\n",
            code.code(),
            code.status(),
            refusal.japanese(),
            refusal.english()
        )
        .unwrap();
        assert!(
            refusal
                .japanese()
                .starts_with(&format!("{}により、", refusal.clause().japanese()))
        );
        assert!(
            refusal.to_string().contains(&refusal.japanese())
                && refusal.to_string().contains(&refusal.english())
        );
        assert_eq!(
            serde_json::to_string(&code).unwrap(),
            format!("\"{}\"", code.code())
        );
    }
    expect_file!["refusals.table"].assert_eq(&text);
}

fn disposals() -> Vec<Refusal> {
    vec![
        DestructionClock::default().check().unwrap_err(),
        DisposalCause::decided(None).unwrap_err(),
    ]
}

fn person(role: Role) -> StaffMember {
    StaffMember {
        id: "hanako".parse().unwrap(),
        name: "試験 花子".to_owned(),
        role,
        unit: "広報課".to_owned(),
        designated_on: Some(date(2026, 4, 1)),
        trained_on: Some(date(2026, 4, 1)),
    }
}

fn ask(person: Option<&StaffMember>, purpose: Option<Purpose>, state: RecordingState) -> Refusal {
    let recording = RecordingId::new(now(), 1);
    let expires_at = now() + 720.hours();
    let request = ListenRequest {
        person,
        unix_user: "root",
        recording,
        state,
        expires_at,
        purpose,
        range_ms: None,
    };
    request_listen(&request, now()).unwrap_err()
}

fn listening() -> Vec<Refusal> {
    let sound = person(Role::Assistant);
    let undesignated = StaffMember {
        designated_on: None,
        ..sound.clone()
    };
    let untrained = StaffMember {
        trained_on: None,
        ..sound.clone()
    };
    let purpose = Some(Purpose::StaffCheck);
    vec![
        ask(Some(&sound), None, RecordingState::Sealed),
        ask(Some(&sound), Some(Purpose::Statute), RecordingState::Sealed),
        ask(None, purpose, RecordingState::Sealed),
        ask(Some(&undesignated), purpose, RecordingState::Sealed),
        ask(Some(&untrained), purpose, RecordingState::Sealed),
        ask(Some(&sound), purpose, RecordingState::Open),
        ask(Some(&sound), purpose, RecordingState::Unrecorded),
        ask(Some(&sound), purpose, RecordingState::Disposed),
    ]
}

fn acting() -> Vec<Refusal> {
    Action::ALL
        .into_iter()
        .map(|action| may(Some(&person(Role::Auditor)), action).unwrap_err())
        .collect()
}

fn permits() -> Vec<Refusal> {
    let person = person(Role::Assistant);
    let grant = || {
        let request = ListenRequest {
            person: Some(&person),
            unix_user: "root",
            recording: RecordingId::new(now(), 1),
            state: RecordingState::Sealed,
            expires_at: now() + 720.hours(),
            purpose: Some(Purpose::StaffCheck),
            range_ms: None,
        };
        request_listen(&request, now()).unwrap()
    };
    let receipt = |draft: &AuditDraft| {
        let AuditDraft { actor, event } = draft.clone();
        AuditReceipt::durable(
            AuditEntry {
                seq: 1,
                at: now(),
                actor,
                event,
            },
            [0; 32],
        )
    };
    let other = AuditDraft::system(AuditEvent::ServerStopped { calls_ended: 0 });
    let grant_of_permit = grant();
    let own = receipt(grant_of_permit.entry());
    let permit = ListenPermit::issue(grant_of_permit, own, now()).unwrap();
    vec![
        ListenPermit::issue(grant(), receipt(&other), now()).unwrap_err(),
        permit.check(now() + 15.minutes()).unwrap_err(),
        DisposalPermit::due(JstDay::of(now()), now() + 1.hour(), now(), receipt(&other))
            .unwrap_err(),
    ]
}

fn emergencies() -> Vec<Refusal> {
    let declare = |reason: &str, hours: u64| {
        let declaration = Declaration {
            id: EmergencyId::new(now(), 1),
            scope: Scope::All,
            reason: reason.to_owned(),
            duration: Some(Duration::from_secs(hours * 3600)),
            declared_by: None,
            unix_user: "root".to_owned(),
        };
        EmergencyState::default()
            .declare(declaration, now())
            .map(|emergency| emergency.id())
            .unwrap_err()
            .refusal()
            .unwrap()
    };
    vec![declare("", 4), declare("試験", 25), declare("試験", 0)]
}
