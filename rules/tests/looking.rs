//! Looking for recordings, at a caller's number, and at who heard: each with its own rights and its own entry.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails there")]

mod common;

use jiff::{Timestamp, ToSpan};
use rules::{
    Action, Actor, AuditDraft, AuditEntry, AuditEvent, CopyId, Destination, Digest, ExportCause,
    Fact, FindPermit, FindRequest, HandOverFact, HandOverId, Heard, Hearing, Hearings, Label,
    ListenRequest, Number, PackageForm, Petitioner, Purpose, RecordingId, RefusalCode, Register,
    RevealPermit, RevealRequest, Role, Sought, StaffId, Wished,
};

use common::{now, receipt};

fn sought() -> Sought {
    Sought {
        caller: Some(Number::parse("0790000001").unwrap()),
        from: Some(now()),
        ..Sought::default()
    }
}

fn search(register: &Register, by: &str, purpose: Purpose) -> Result<FindPermit, RefusalCode> {
    let proved = common::proved(by);
    let request = FindRequest {
        petitioner: common::petitioner(&proved),
        sought: sought(),
        purpose: Some(purpose),
    };
    let grant = request
        .judge(register, now())
        .map_err(|refusal| refusal.code())?;
    let receipt = receipt(grant.entry(), now());
    Ok(FindPermit::issue(grant, receipt, now()).unwrap())
}

fn elsewhere() -> Heard {
    Heard {
        unit: "税務課".parse::<Label>().unwrap(),
        ..common::heard()
    }
}

#[test]
fn a_search_shows_the_own_units_recordings_while_they_last() {
    let register = common::register();
    let permit = search(&register, "hanako", Purpose::SubjectRights).unwrap();
    let shows = |heard: Heard| permit.shows(&register, &heard, now());
    assert_eq!(shows(common::heard()), Ok(true));
    assert_eq!(shows(elsewhere()), Ok(false));
    let expired = Heard {
        expires_at: now(),
        ..common::heard()
    };
    assert_eq!(shows(expired), Ok(false));
    let later = permit.shows(&register, &common::heard(), now() + 15.minutes());
    assert_eq!(later.unwrap_err().code(), RefusalCode::PermitLapsed);
    let person: StaffId = "hanako".parse().unwrap();
    let withdrawn = common::register_with(vec![Fact::Withdrawn { person }]);
    let later = permit.shows(&withdrawn, &common::heard(), now());
    assert_eq!(later.unwrap_err().code(), RefusalCode::NotDesignated);
}

#[test]
fn a_contractor_finds_inside_the_contract_and_nothing_else_is_there() {
    let register = common::register_with_contractor();
    let permit = search(&register, "kantoku", Purpose::AnalysisInquiry).unwrap();
    let of_another = Heard {
        called: Number::parse("0783332000").ok(),
        ..common::heard()
    };
    assert_eq!(permit.shows(&register, &common::heard(), now()), Ok(true));
    assert_eq!(permit.shows(&register, &of_another, now()), Ok(false));
    let refused = |purpose| search(&register, "kantoku", purpose).unwrap_err();
    for purpose in [Purpose::AnalysisComplaint, Purpose::SubjectRights] {
        assert_eq!(refused(purpose), RefusalCode::PurposeNotPermitted);
    }
}

#[test]
fn the_entry_of_a_search_says_by_what_and_never_the_number() {
    let proved = common::proved("hanako");
    let request = FindRequest {
        petitioner: common::petitioner(&proved),
        sought: sought(),
        purpose: Some(Purpose::StaffCheck),
    };
    let grant = request.judge(&common::register(), now()).unwrap();
    let entry = serde_json::to_string(grant.entry()).unwrap();
    assert!(entry.contains(r#""criteria":["caller","time"]"#), "{entry}");
    assert!(!entry.contains("90000001"));
    let other = receipt(
        &AuditDraft::system(AuditEvent::ServerStopped { calls_ended: 0 }),
        now(),
    );
    let refusal = FindPermit::issue(grant, other, now()).unwrap_err();
    assert_eq!(refusal.code(), RefusalCode::AuditUnavailable);
}

fn reveal(
    by: &str,
    purpose: Option<Purpose>,
    reason: Option<Digest>,
    heard: Heard,
) -> Result<RevealPermit, RefusalCode> {
    let proved = common::proved(by);
    let request = RevealRequest {
        petitioner: common::petitioner(&proved),
        heard,
        purpose,
        reason,
    };
    let grant = request
        .judge(&common::register_with_contractor(), now())
        .map_err(|refusal| refusal.code())?;
    let receipt = receipt(grant.entry(), now());
    Ok(RevealPermit::issue(grant, receipt, now()).unwrap())
}

#[test]
fn a_number_is_revealed_with_a_reason_to_staff_of_the_unit() {
    let why = Some(Digest([7; 32]));
    let check = Some(Purpose::StaffCheck);
    for (by, purpose, reason, heard, expected) in [
        (
            "hanako",
            None,
            why,
            common::heard(),
            RefusalCode::PurposeRequired,
        ),
        (
            "hanako",
            Some(Purpose::AnalysisInquiry),
            why,
            common::heard(),
            RefusalCode::PurposeNotPermitted,
        ),
        (
            "hanako",
            check,
            None,
            elsewhere(),
            RefusalCode::ReasonRequired,
        ),
        (
            "hanako",
            check,
            why,
            elsewhere(),
            RefusalCode::OrgNotPermitted,
        ),
        (
            "kantoku",
            check,
            why,
            common::heard(),
            RefusalCode::RoleNotPermitted,
        ),
        (
            "kanri",
            check,
            why,
            common::heard(),
            RefusalCode::RoleNotPermitted,
        ),
    ] {
        assert_eq!(reveal(by, purpose, reason, heard).unwrap_err(), expected);
    }
    let permit = reveal("hanako", check, why, common::heard()).unwrap();
    assert_eq!(permit.recording(), common::heard().recording);
    let late = permit.check(now() + 15.minutes()).unwrap_err();
    assert_eq!(late.code(), RefusalCode::PermitLapsed);
}

#[test]
fn who_heard_is_seen_by_manager_and_auditor_who_read_the_trail() {
    let auditor = Fact::PersonAdded {
        person: "kansa".parse().unwrap(),
        role: Role::Auditor,
        unit: common::unit(),
        vendor: None,
    };
    let register = common::register_with(vec![auditor]);
    for (by, expected) in [
        (Some("kacho"), true),
        (Some("kansa"), true),
        (None, false),
        (Some("hanako"), false),
        (Some("kanri"), false),
    ] {
        let proved = by.map(common::proved);
        let petitioner = Petitioner {
            proved: proved.as_ref(),
            unix_user: "denwaban",
            host: rules::Host::User,
        };
        let judged = register.judge(&petitioner, Action::SeeHeard, None, now());
        assert_eq!(judged.is_ok(), expected, "{by:?}");
    }
}

#[test]
fn hearings_are_what_was_sent_and_not_what_was_asked_for() {
    let recording = common::heard().recording;
    let other = RecordingId::new(now(), 99);
    let granted = |recording| {
        let proved = common::proved("hanako");
        let request = ListenRequest {
            petitioner: common::petitioner(&proved),
            action: Action::Listen,
            heard: Heard {
                recording,
                ..common::heard()
            },
            purpose: Some(Purpose::StaffCheck),
            case: None,
            range_ms: None,
        };
        let grant = request.judge(&common::register(), now()).unwrap();
        grant.entry().clone()
    };
    let ended = |granted, recording| {
        AuditDraft::system(AuditEvent::PlaybackEnded {
            recording,
            granted,
            range_ms: (0, 900),
            cut: None,
        })
    };
    let failed = |granted, range_ms| {
        AuditDraft::system(AuditEvent::ExportFailed {
            recording,
            granted,
            cause: ExportCause::WriteFailed,
            range_ms,
        })
    };
    let drafts = [
        granted(recording),
        granted(other),
        ended(1, recording),
        granted(recording),
        ended(2, other),
        failed(4, None),
        granted(recording),
        failed(7, Some((0, 10_000))),
    ];
    let mut hearings = Hearings::of(recording);
    for (seq, AuditDraft { actor, event }) in (1..).zip(drafts) {
        let at: Timestamp = now() + i64::try_from(seq).unwrap().seconds();
        hearings.handle(&AuditEntry {
            seq,
            at,
            actor,
            event,
        });
    }
    let found: Vec<_> = hearings
        .finish()
        .map(|hearing| (hearing.at, hearing.range_ms))
        .collect();
    let expected = [
        (now() + 1.second(), Some((0, 900))),
        (now() + 4.seconds(), None),
        (now() + 7.seconds(), Some((0, 10_000))),
    ];
    assert_eq!(found, expected);
}

#[test]
fn whoever_packed_a_recording_for_a_hand_over_is_named_with_it_whether_the_package_became_whole_or_not()
 {
    let (recording, by) = (common::heard().recording, |id: &str| Actor::Person {
        unix_user: "denwaban".to_owned(),
        person: Some(id.parse().unwrap()),
    });
    let ids = [1, 2].map(|random| HandOverId::new(now(), random));
    let asked = |hand_over, item| HandOverFact::Requested {
        hand_over,
        wish: Wished {
            to: Destination::Contract {
                vendor: "bunseki".parse().unwrap(),
                contract: "r8-1".parse().unwrap(),
            },
            purpose: Purpose::AnalysisInquiry,
            medium: Digest([12; 32]).into(),
            items: [item].into(),
        },
    };
    let begun = |hand_over| HandOverFact::PackageBegun {
        hand_over,
        copy: CopyId::new(now(), 7),
        form: PackageForm::Zip,
        destroy_by: now(),
        place: None,
    };
    let other = RecordingId::new(now(), 9);
    let steps = [
        asked(ids[0], recording),
        asked(ids[1], other),
        begun(ids[0]),
        begun(ids[1]),
        begun(ids[0]),
    ];
    let mut hearings = Hearings::of(recording);
    for (seq, fact) in (1..).zip(steps) {
        let entry = AuditEntry {
            seq,
            at: now(),
            actor: by("taro"),
            event: AuditEvent::Registered {
                change: Fact::HandOver(fact),
                policy: 1,
            },
        };
        let text = serde_json::to_string(&entry).unwrap();
        assert_eq!(hearings.may_concern(&text), seq % 2 == 1, "{seq}");
        hearings.handle(&entry);
    }
    let hearing = Hearing {
        at: now(),
        who: "taro".parse().ok(),
        purpose: Purpose::AnalysisInquiry,
        hand_over: Some(ids[0]),
        range_ms: None,
    };
    let found: Vec<_> = hearings.finish().collect();
    assert_eq!(found, [hearing.clone(), hearing]);
}
