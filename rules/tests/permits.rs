//! Permits: made of a grant and the receipt of its own entry, and ended by whatever ends the right.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails there")]

mod common;

use jiff::{Timestamp, ToSpan};
use rules::{
    Action, AuditDraft, AuditEvent, CaseId, DisposalPermit, Fact, Ground, Heard, HoldFact, HoldId,
    HoldTerms, JstDay, ListenGrant, ListenPermit, ListenRequest, Period, Permit, Petitioner,
    Purpose, RecordingId, RecordingState, Refusal, RefusalCode, Register, RegisterFault,
    RegisterPermit, Role, StaffId,
};

use common::{now, receipt};

fn grant(register: &Register, id: &str, expires_at: Timestamp, now: Timestamp) -> ListenGrant {
    grant_to(register, (id, Action::ListenToFile), expires_at, now)
}

fn grant_to(
    register: &Register,
    (id, action): (&str, Action),
    expires_at: Timestamp,
    now: Timestamp,
) -> ListenGrant {
    let proved = common::proved(id);
    let request = ListenRequest {
        petitioner: common::petitioner(&proved),
        action,
        heard: Heard {
            expires_at,
            ..common::heard()
        },
        purpose: Some(Purpose::AnalysisInquiry),
        case: None,
        range_ms: None,
    };
    request.judge(register, now).unwrap()
}

fn permit(expires_at: Timestamp, now: Timestamp) -> ListenPermit {
    let grant = grant(&common::register(), "hanako", expires_at, now);
    let receipt = receipt(grant.entry(), now);
    ListenPermit::issue(grant, receipt, now).unwrap()
}

#[test]
fn a_permit_opens_for_15_minutes_and_not_before_it_was_made() {
    let permit = permit(now() + 720.hours(), now());
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
        (9, common::heard().recording)
    );
}

#[test]
fn a_permit_ends_with_the_retention_and_with_the_training() {
    let short = permit(now() + 1.minute(), now());
    assert!(short.check(now() + 59.seconds()).is_ok());
    assert!(short.check(now() + 1.minute()).is_err());

    // 23:59 of the last day on which the training counts.
    let eve: Timestamp = "2027-03-31T14:59:00Z".parse().unwrap();
    let last = permit(eve + 720.hours(), eve);
    assert!(last.check(eve + 59.seconds()).is_ok());
    assert!(last.check(eve + 1.minute()).is_err());
}

#[test]
fn a_person_who_was_withdrawn_hears_no_more() {
    let permit = permit(now() + 720.hours(), now());
    let asked = |facts: Vec<Fact>| {
        let register = common::register_with(facts);
        permit
            .judge_anew(&register, RecordingState::Sealed, now())
            .map_err(|refusal| refusal.code())
    };
    assert_eq!(asked(Vec::new()), Ok(()));
    let person: StaffId = "hanako".parse().unwrap();
    let withdrawn = Fact::Withdrawn {
        person: person.clone(),
    };
    assert_eq!(asked(vec![withdrawn]), Err(RefusalCode::NotDesignated));
    let promoted = Fact::Appointed { person };
    assert_eq!(asked(vec![promoted]), Err(RefusalCode::RoleNotPermitted));
    assert_eq!(
        permit
            .judge_anew(&Register::default(), RecordingState::Sealed, now())
            .unwrap_err()
            .code(),
        RefusalCode::PersonUnknown
    );
}

/// A permit to hear, for a recording that stays, made a minute before something ends.
fn permit_to_hear(register: &Register, id: &str, end: Timestamp) -> ListenPermit {
    let now = end - 1.minute();
    let grant = grant_to(register, (id, Action::Listen), end + 720.hours(), now);
    let receipt = receipt(grant.entry(), now);
    ListenPermit::issue(grant, receipt, now).unwrap()
}

#[test]
fn whatever_a_right_rests_on_ends_a_running_permit_at_its_own_instant() {
    let hanako = || "hanako".parse::<StaffId>().unwrap();
    let designated = |until: &str| {
        let period = Period::new("2026-11-01".parse().unwrap(), until.parse().unwrap()).unwrap();
        let person = hanako();
        let withdrawn = Fact::Withdrawn { person: hanako() };
        vec![withdrawn, Fact::Designated { person, period }]
    };
    let contractor = common::register_with_contractor_after;
    for (what, id, register, last_day, code) in [
        (
            "designation",
            "hanako",
            common::register_with(designated("2026-11-25")),
            "2026-11-25",
            RefusalCode::NotDesignated,
        ),
        (
            "training",
            "hanako",
            common::register(),
            "2027-03-31",
            RefusalCode::TrainingExpired,
        ),
        (
            "contract",
            "kantoku",
            contractor(Vec::new()),
            "2026-11-30",
            RefusalCode::ContractScope,
        ),
        (
            "attestation",
            "kantoku",
            contractor(vec![common::attested("2026-11-26")]),
            "2026-11-26",
            RefusalCode::NotAttested,
        ),
    ] {
        let end = last_day.parse::<JstDay>().unwrap().next().start();
        let permit = permit_to_hear(&register, id, end);
        let last = permit.judge_anew(&register, RecordingState::Sealed, end - 1.nanosecond());
        assert!(last.is_ok(), "{what}: {last:?}");
        let over = permit.judge_anew(&register, RecordingState::Sealed, end);
        assert_eq!(over.unwrap_err().code(), code, "{what}");
        assert!(permit.check(end).is_err(), "{what}");
    }
}

/// K-22: every read ends with 410, a running playback included.
#[test]
fn a_running_permit_ends_with_the_recording_by_its_own_clause_at_its_day_and_at_its_disposal() {
    let register = common::register();
    let expires_at = now() + 1.minute();
    let permit = permit(expires_at, now());
    let sealed = RecordingState::Sealed;
    let disposed = RecordingState::Disposed;
    for (state, at, expected) in [
        (sealed, expires_at - 1.nanosecond(), Ok(())),
        (sealed, expires_at, Err((410, "要領第5条第6項"))),
        (disposed, now(), Err((410, "要領第5条第6項"))),
    ] {
        let judged = permit.judge_anew(&register, state, at);
        let told = |refusal: Refusal| (refusal.code().status(), refusal.clause().japanese());
        assert_eq!(judged.map_err(told), expected);
    }
}

#[test]
fn a_contractor_hears_no_more_once_withdrawn_or_once_an_attestation_has_lapsed() {
    let contractor = common::register_with_contractor_after;
    let permit = permit_to_hear(&contractor(Vec::new()), "kantoku", now() + 1.minute());
    let person: StaffId = "kantoku".parse().unwrap();
    let withdrawn = Fact::Withdrawn { person };
    let lapsed = common::attested("2026-11-23");
    let approved_anew = vec![withdrawn.clone(), common::approved()];
    for (facts, expected) in [
        (Vec::new(), Ok(())),
        (vec![withdrawn], Err(RefusalCode::NotApproved)),
        (approved_anew, Ok(())),
        (vec![lapsed], Err(RefusalCode::NotAttested)),
    ] {
        let register = contractor(facts);
        let checked = permit.judge_anew(&register, RecordingState::Sealed, now());
        assert_eq!(checked.map_err(|refusal| refusal.code()), expected);
    }
}

#[test]
fn the_receipt_of_another_entry_opens_nothing() {
    let register = common::register();
    let grant = grant(&register, "hanako", now() + 720.hours(), now());
    let of_another = self::grant(&register, "taro", now() + 720.hours(), now());
    let receipt = receipt(of_another.entry(), now());
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

fn asked(register: &Register, by: &str, fact: Fact) -> Result<bool, RegisterFault> {
    let proved = common::proved(by);
    let granted = register.request(&common::petitioner(&proved), fact, now())?;
    Ok(granted.is_some())
}

fn code(outcome: &Result<bool, RegisterFault>) -> &'static str {
    match outcome {
        Ok(true) => "yes",
        Ok(false) => "already so",
        Err(RegisterFault::Refused(refusal)) => refusal.code().code(),
        Err(_) => "not there",
    }
}

fn designation(person: &str) -> Fact {
    Fact::Designated {
        person: person.parse().unwrap(),
        period: Period::new("2026-11-01".parse().unwrap(), "2027-03-31".parse().unwrap()).unwrap(),
    }
}

#[test]
fn a_manager_decides_for_the_own_unit_and_about_others_only() {
    let outsider = Fact::PersonAdded {
        person: "jiro".parse().unwrap(),
        role: Role::Assistant,
        unit: "税務課".parse().unwrap(),
        vendor: None,
    };
    let register = common::register_with(vec![outsider.clone()]);
    for (by, fact, expected) in [
        ("kacho", designation("hanako"), "yes"),
        ("kacho", designation("jiro"), "ORG_NOT_PERMITTED"),
        ("kacho", designation("kacho"), "SELF_APPROVAL"),
        ("kacho", designation("nobody"), "not there"),
        ("hanako", designation("taro"), "ROLE_NOT_PERMITTED"),
        // Whoever may not ask is not told who is there.
        ("hanako", designation("nobody"), "ROLE_NOT_PERMITTED"),
        ("kanri", designation("hanako"), "ROLE_NOT_PERMITTED"),
        ("kanri", outsider, "ROLE_NOT_GRANTABLE"),
    ] {
        assert_eq!(
            code(&asked(&register, by, fact.clone())),
            expected,
            "{by} {fact:?}"
        );
    }
}

#[test]
fn whoever_has_not_the_right_is_not_told_what_there_is() {
    let hold = HoldFact::Released {
        hold: HoldId::new(now(), 9),
    };
    let fact = Fact::Hold(hold);
    let within = common::register_with(vec![]);
    let outside = common::register_with(vec![Fact::Withdrawn {
        person: "hanako".parse().unwrap(),
    }]);
    let requested = |register: &Register| {
        let request = Fact::Hold(HoldFact::Requested {
            hold: HoldId::new(now(), 9),
            terms: HoldTerms {
                case: CaseId::new(now(), 9),
                ground: Ground::Law,
                recordings: [RecordingId::new(now(), 9)].into(),
                review: HoldTerms::usual_end(now()),
                until: HoldTerms::usual_end(now()),
            },
        });
        code(&asked(register, "hanako", request))
    };
    let proved = common::proved("hanako");
    let asks = |register: &Register| {
        let petitioner = common::petitioner(&proved);
        register.judge_asker(&petitioner, Action::RequestHandOver, now())
    };
    assert!(asks(&within).is_ok());
    let refused = asks(&outside).unwrap_err();
    assert_eq!(refused.code(), RefusalCode::NotDesignated);
    assert_eq!(requested(&within), "not there");
    assert_eq!(requested(&outside), "NOT_DESIGNATED");
    assert_eq!(code(&asked(&within, "hanako", fact)), "ROLE_NOT_PERMITTED");
}

#[test]
fn a_deputy_decides_inside_the_period_and_names_no_manager() {
    let deputised = |from: &str, until: &str| Fact::Deputised {
        person: "taro".parse().unwrap(),
        period: Period::new(from.parse().unwrap(), until.parse().unwrap()).unwrap(),
        basis: rules::Digest([7; 32]),
    };
    let appoint = Fact::Appointed {
        person: "hanako".parse().unwrap(),
    };
    let today = deputised("2026-11-24", "2026-11-24");
    let within = common::register_with(vec![today.clone()]);
    let person = "taro".parse().unwrap();
    let withdrawn = common::register_with(vec![today, Fact::Withdrawn { person }]);
    let after = common::register_with(vec![deputised("2026-11-01", "2026-11-23")]);
    for (register, fact, expected) in [
        (&within, designation("hanako"), "yes"),
        (&within, designation("taro"), "SELF_APPROVAL"),
        (&within, appoint, "ROLE_NOT_PERMITTED"),
        (&after, designation("hanako"), "DEPUTY_NOT_IN_PERIOD"),
        (&withdrawn, designation("hanako"), "ROLE_NOT_PERMITTED"),
    ] {
        assert_eq!(
            code(&asked(register, "taro", fact.clone())),
            expected,
            "{fact:?}"
        );
    }
}

#[test]
fn what_is_so_already_is_not_recorded_again() {
    let register = common::register_with(vec![designation("hanako")]);
    assert_eq!(
        code(&asked(&register, "kacho", designation("hanako"))),
        "already so"
    );
    let founded = Fact::Founded {
        manager: "kacho".parse().unwrap(),
        administrator: "kanri".parse().unwrap(),
        unit: common::unit(),
        taken_in: Vec::new(),
    };
    let by = |register: &Register, host| {
        let petitioner = Petitioner {
            proved: None,
            unix_user: "denwaban",
            host,
        };
        let granted = register.request(&petitioner, founded.clone(), now());
        code(&granted.map(|granted| granted.is_some()))
    };
    assert_eq!(by(&register, rules::Host::Owner), "ALREADY_FOUNDED");
    // Whoever is only in the socket's group names no manager, first or not.
    let nobody = Register::default();
    assert_eq!(by(&nobody, rules::Host::User), "ROLE_NOT_PERMITTED");
    assert_eq!(by(&nobody, rules::Host::Owner), "yes");
    assert_eq!(by(&nobody, rules::Host::Superuser), "yes");
}

#[test]
fn a_fact_is_recorded_with_the_receipt_of_its_own_entry() {
    let register = common::register();
    let proved = common::proved("kacho");
    let grant = |person: &str| {
        let petitioner = common::petitioner(&proved);
        let granted = register.request(&petitioner, designation(person), now());
        granted.unwrap().unwrap()
    };
    let (own, other) = (grant("hanako"), grant("taro"));
    let receipt_of_own = receipt(own.entry(), now());
    let permit = RegisterPermit::issue(own, receipt_of_own).unwrap();
    assert_eq!(permit.record().fact, designation("hanako"));
    assert_eq!(permit.record().by.person(), Some(&"kacho".parse().unwrap()));
    let of_another = receipt(grant("hanako").entry(), now());
    let refusal = RegisterPermit::issue(other, of_another).unwrap_err();
    assert_eq!(refusal.code(), RefusalCode::AuditUnavailable);
}
