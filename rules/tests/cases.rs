//! Requests: whoever opens one never decides it, and nothing is permitted by a case before another person approved it (K-09, K-20, K-33).
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails there")]

mod common;

use jiff::ToSpan;
use rules::{
    Action, Application, CaseId, CaseStage, Digest, Fact, Heard, ListenGrant, ListenRequest,
    Period, Permit as _, Purpose, RecordingId, RecordingState, Refusal, RefusalCode, Register,
    RegisterFault, RequestFact, RequestKind, StaffId, Verdict,
};

use common::{now, receipt};

const CASE: u128 = 7;

fn case() -> CaseId {
    CaseId::new(now(), CASE)
}

fn application(kind: RequestKind) -> Application {
    Application {
        kind,
        unit: common::unit(),
        recordings: [common::heard().recording].into(),
        basis: Some(Digest([1; 32])),
        requester: Some(Digest([2; 32])),
        document: Some(Digest([3; 32])),
    }
}

fn opened(kind: RequestKind) -> Fact {
    Fact::Request(RequestFact::Opened {
        case: case(),
        application: application(kind),
    })
}

fn decided(verdict: Verdict) -> Fact {
    Fact::Request(RequestFact::Decided {
        case: case(),
        verdict,
        reason: Digest([4; 32]),
    })
}

fn suspended() -> Fact {
    Fact::Request(RequestFact::Suspended { case: case() })
}

/// Two managers and two assistants, one of whom is a deputy.
fn city() -> Register {
    let taro: StaffId = "taro".parse().unwrap();
    let day = |text: &str| text.parse().unwrap();
    let deputised = Fact::Deputised {
        person: taro.clone(),
        period: Period::new(day("2026-11-01"), day("2026-11-30")).unwrap(),
        basis: Digest([5; 32]),
    };
    common::register_with(vec![deputised])
}

/// Asks as this person, and takes the fact in where it is allowed.
fn ask(
    register: &mut Register,
    by: &str,
    fact: Fact,
    heard: &[Heard],
) -> Result<(), RegisterFault> {
    let proved = common::proved(by);
    let petitioner = common::petitioner(&proved);
    if let Some(grant) = register.request_with(&petitioner, fact, heard, now())? {
        let receipt = receipt(grant.entry(), now());
        let permit = rules::RegisterPermit::issue(grant, receipt).unwrap();
        register.handle_recorded(permit.record());
    }
    Ok(())
}

fn code(result: Result<(), RegisterFault>) -> Result<(), RefusalCode> {
    result.map_err(|fault| match fault {
        RegisterFault::Refused(refusal) => refusal.code(),
        fault => panic!("{fault}"),
    })
}

fn listen(
    register: &Register,
    by: &str,
    purpose: Purpose,
    case: Option<CaseId>,
) -> Result<ListenGrant, Refusal> {
    let proved = common::proved(by);
    let request = ListenRequest {
        petitioner: common::petitioner(&proved),
        action: Action::Listen,
        heard: common::heard(),
        purpose: Some(purpose),
        case,
        range_ms: None,
    };
    request.judge(register, now())
}

fn heard_code(
    register: &Register,
    purpose: Purpose,
    case: Option<CaseId>,
) -> Result<(), RefusalCode> {
    listen(register, "hanako", purpose, case)
        .map(drop)
        .map_err(|refusal| refusal.code())
}

#[test]
fn a_request_is_opened_by_one_decided_by_another_and_permits_its_own_use_only() {
    let mut register = city();
    let heard = [common::heard()];
    ask(
        &mut register,
        "hanako",
        opened(RequestKind::Statute),
        &heard,
    )
    .unwrap();
    assert_eq!(
        heard_code(&register, Purpose::Statute, Some(case())),
        Err(RefusalCode::DecisionRequired)
    );
    assert_eq!(
        code(ask(
            &mut register,
            "hanako",
            decided(Verdict::Approved),
            &[]
        )),
        Err(RefusalCode::RoleNotPermitted)
    );
    ask(&mut register, "taro", decided(Verdict::Approved), &[]).unwrap();
    assert_eq!(
        heard_code(&register, Purpose::Statute, Some(case())),
        Ok(())
    );
    for (purpose, named) in [
        (Purpose::Statute, None),
        (Purpose::SubjectRights, Some(case())),
        (Purpose::UnreasonableDemand, Some(case())),
        (Purpose::Statute, Some(CaseId::new(now(), 8))),
    ] {
        assert_eq!(
            heard_code(&register, purpose, named),
            Err(RefusalCode::DecisionRequired)
        );
    }
    assert_eq!(
        heard_code(&register, Purpose::StaffCheck, Some(case())),
        Err(RefusalCode::PurposeNotPermitted)
    );
    assert_eq!(heard_code(&register, Purpose::StaffCheck, None), Ok(()));
}

#[test]
fn whoever_opened_it_never_decides_as_manager_or_as_deputy() {
    for opener in ["kacho", "taro"] {
        let mut register = city();
        let heard = [common::heard()];
        ask(&mut register, opener, opened(RequestKind::Subject), &heard).unwrap();
        assert_eq!(
            code(ask(&mut register, opener, decided(Verdict::Approved), &[])),
            Err(RefusalCode::SelfApproval)
        );
        assert_eq!(
            register.cases().get(case()).unwrap().stage(),
            &CaseStage::Undecided
        );
    }
}

#[test]
fn a_request_without_what_it_rests_on_is_not_taken() {
    let without = |change: fn(&mut Application)| {
        let mut application = application(RequestKind::Statute);
        change(&mut application);
        let fact = RequestFact::Opened {
            case: case(),
            application,
        };
        code(ask(
            &mut city(),
            "hanako",
            Fact::Request(fact),
            &[common::heard()],
        ))
    };
    let missing = Err(RefusalCode::LegalBasisRequired);
    assert_eq!(without(|application| application.basis = None), missing);
    assert_eq!(without(|application| application.requester = None), missing);
    assert_eq!(without(|application| application.document = None), missing);
    assert_eq!(
        without(|application| application.recordings.clear()),
        missing
    );
    assert_eq!(without(|_| ()), Ok(()));
}

#[test]
fn a_request_is_about_recordings_of_the_own_unit_that_are_there() {
    let open = |heard: Heard| {
        code(ask(
            &mut city(),
            "hanako",
            opened(RequestKind::Statute),
            &[heard],
        ))
    };
    let elsewhere = Heard {
        unit: "税務課".parse().unwrap(),
        ..common::heard()
    };
    let gone = Heard {
        state: RecordingState::Disposed,
        ..common::heard()
    };
    let expired = Heard {
        expires_at: now(),
        ..common::heard()
    };
    assert_eq!(open(elsewhere), Err(RefusalCode::OrgNotPermitted));
    assert_eq!(open(gone), Err(RefusalCode::Disposed));
    assert_eq!(open(expired), Err(RefusalCode::Disposed));
    let unknown = ask(&mut city(), "hanako", opened(RequestKind::Statute), &[]);
    assert_eq!(
        unknown,
        Err(RegisterFault::NoSuchRecording(common::heard().recording))
    );
}

#[test]
fn a_decision_stands_and_the_same_one_again_changes_nothing() {
    let mut register = city();
    let heard = [common::heard()];
    ask(
        &mut register,
        "hanako",
        opened(RequestKind::Statute),
        &heard,
    )
    .unwrap();
    ask(&mut register, "kacho", decided(Verdict::Rejected), &[]).unwrap();
    let before = register.clone();
    ask(&mut register, "kacho", decided(Verdict::Rejected), &[]).unwrap();
    assert_eq!(register, before);
    assert_eq!(
        code(ask(&mut register, "kacho", decided(Verdict::Approved), &[])),
        Err(RefusalCode::AlreadyDecided)
    );
    assert_eq!(
        code(ask(&mut register, "kacho", suspended(), &[])),
        Err(RefusalCode::DecisionRequired)
    );
}

#[test]
fn a_suspended_recording_is_used_for_its_case_and_a_running_use_ends() {
    let mut register = city();
    let heard = [common::heard()];
    ask(
        &mut register,
        "hanako",
        opened(RequestKind::Subject),
        &heard,
    )
    .unwrap();
    ask(&mut register, "kacho", decided(Verdict::Approved), &[]).unwrap();
    let grant = listen(&register, "hanako", Purpose::StaffCheck, None).unwrap();
    let own = receipt(grant.entry(), now());
    let permit = rules::ListenPermit::issue(grant, own, now()).unwrap();
    assert!(
        permit
            .judge_anew(&register, RecordingState::Sealed, now())
            .is_ok()
    );
    ask(&mut register, "kacho", suspended(), &[]).unwrap();
    let ended = permit
        .judge_anew(&register, RecordingState::Sealed, now() + 1.second())
        .unwrap_err();
    assert_eq!(ended.code(), RefusalCode::UseSuspended);
    assert_eq!(
        heard_code(&register, Purpose::AnalysisInquiry, None),
        Err(RefusalCode::UseSuspended)
    );
    assert_eq!(
        heard_code(&register, Purpose::SubjectRights, Some(case())),
        Ok(())
    );
    let proved = common::proved("hanako");
    let mut to_file = ListenRequest {
        petitioner: common::petitioner(&proved),
        action: Action::ListenToFile,
        heard: common::heard(),
        purpose: Some(Purpose::StaffCheck),
        case: None,
        range_ms: None,
    };
    let refused = to_file.judge(&register, now()).unwrap_err();
    assert_eq!(refused.code(), RefusalCode::UseSuspended);
    to_file.purpose = Some(Purpose::SubjectRights);
    to_file.case = Some(case());
    let refused = to_file.judge(&register, now()).unwrap_err();
    assert_eq!(refused.code(), RefusalCode::PurposeNotPermitted);
}

#[test]
fn an_auditor_sees_every_case_and_others_those_of_their_unit() {
    let mut register = city();
    ask(
        &mut register,
        "hanako",
        opened(RequestKind::Statute),
        &[common::heard()],
    )
    .unwrap();
    let shown = |id: &str| register.cases_shown_to(&id.parse().unwrap()).count();
    assert_eq!((shown("kacho"), shown("nobody")), (1, 0));
}

/// 100,000 orders of steps by anybody: a use is permitted only if another person than the opener approved before.
#[test]
fn no_order_of_steps_permits_a_use_without_anothers_decision() {
    let city = city();
    let people = ["kacho", "hanako", "taro", "kanri"];
    let mut dice = common::Dice(20_261_130);
    let (mut permitted, mut refused) = (0, 0);
    for round in 0..100_000 {
        let mut register = city.clone();
        let mut opener = None;
        let mut approver = None;
        for _ in 0..dice.below(6) {
            let by = people[dice.below(people.len())];
            let fact = match dice.below(5) {
                0 | 1 => opened(RequestKind::ALL[dice.below(3)]),
                2 => decided(Verdict::Approved),
                3 => decided(Verdict::Rejected),
                _ => suspended(),
            };
            let is_opening = matches!(fact, Fact::Request(RequestFact::Opened { .. }));
            let is_approval = fact == decided(Verdict::Approved);
            let before = register.clone();
            if ask(&mut register, by, fact, &[common::heard()]).is_err() {
                refused += 1;
                assert_eq!(register, before, "round {round}");
            } else if register != before {
                opener = if is_opening { Some(by) } else { opener };
                approver = if is_approval { Some(by) } else { approver };
            }
        }
        for kind in RequestKind::ALL {
            let is_permitted =
                register
                    .cases()
                    .permit(case(), common::heard().recording, kind.purpose());
            if is_permitted {
                permitted += 1;
                assert!(approver.is_some() && opener.is_some(), "round {round}");
                assert_ne!(approver, opener, "round {round}");
            }
            let other = RecordingId::new(now(), 99);
            assert!(!register.cases().permit(case(), other, kind.purpose()));
        }
    }
    assert!(
        permitted > 1_000 && refused > 1_000,
        "{permitted} {refused}"
    );
}
