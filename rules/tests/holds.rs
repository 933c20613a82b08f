//! Holds: asked for by one, decided by another, heard by their case alone, and let go by a person (K-21).
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails there")]

mod common;

use std::collections::BTreeMap;

use jiff::{Timestamp, ToSpan};
use rules::{
    Action, Application, CaseId, Digest, DisposalCause, Fact, Ground, Heard, HoldFact, HoldId,
    HoldTerms, JstMonth, ListenRequest, Overdue, Permit as _, Purpose, RecordingId, RefusalCode,
    Register, RegisterFault, RegisterPermit, RequestFact, RequestKind, StaffId, SupervisionLine,
    Verdict,
};

use common::{now, receipt};

fn case() -> CaseId {
    CaseId::new(now(), 7)
}

fn hold() -> HoldId {
    HoldId::new(now(), 8)
}

fn recording() -> RecordingId {
    common::heard().recording
}

fn opened() -> Fact {
    Fact::Request(RequestFact::Opened {
        case: case(),
        application: Application {
            kind: RequestKind::Unreasonable,
            unit: common::unit(),
            recordings: [recording()].into(),
            basis: Some(Digest([1; 32])),
            requester: None,
            document: None,
        },
    })
}

fn case_decided() -> Fact {
    Fact::Request(RequestFact::Decided {
        case: case(),
        verdict: Verdict::Approved,
        reason: Digest([2; 32]),
    })
}

fn terms() -> HoldTerms {
    let until = HoldTerms::usual_end(now());
    HoldTerms {
        case: case(),
        ground: Ground::Article5,
        recordings: [recording()].into(),
        review: HoldTerms::usual_review(now(), until),
        until,
    }
}

fn requested() -> Fact {
    let (hold, terms) = (hold(), terms());
    Fact::Hold(HoldFact::Requested { hold, terms })
}

fn decided(verdict: Verdict) -> Fact {
    Fact::Hold(HoldFact::Decided {
        hold: hold(),
        verdict,
        reason: None,
    })
}

fn released() -> Fact {
    Fact::Hold(HoldFact::Released { hold: hold() })
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
        let permit = RegisterPermit::issue(grant, receipt).unwrap();
        register.handle_recorded(permit.record());
    }
    Ok(())
}

fn code<T: std::fmt::Debug>(result: Result<T, RegisterFault>) -> RefusalCode {
    match result.unwrap_err() {
        RegisterFault::Refused(refusal) => refusal.code(),
        fault => panic!("{fault}"),
    }
}

/// A register after these facts, each by whom it is written.
fn after(facts: &[(&str, Fact)]) -> Register {
    let mut register = common::register();
    for (by, fact) in facts {
        ask(&mut register, by, fact.clone(), &[common::heard()]).unwrap();
    }
    register
}

fn held() -> Register {
    after(&[
        ("hanako", opened()),
        ("kacho", case_decided()),
        ("hanako", requested()),
        ("kacho", decided(Verdict::Approved)),
    ])
}

fn listen(
    register: &Register,
    purpose: Purpose,
    case: Option<CaseId>,
    at: Timestamp,
) -> Result<Option<Timestamp>, RefusalCode> {
    let proved = common::proved("hanako");
    let request = ListenRequest {
        petitioner: common::petitioner(&proved),
        action: Action::Listen,
        heard: common::heard(),
        purpose: Some(purpose),
        case,
        range_ms: None,
    };
    let grant = request
        .judge(register, at)
        .map_err(|refusal| refusal.code())?;
    let own = receipt(grant.entry(), at);
    let permit = rules::ListenPermit::issue(grant, own, at).unwrap();
    Ok(permit.held_until())
}

#[test]
fn what_a_case_holds_is_heard_by_it_past_its_day_and_by_nobody_else() {
    let register = held();
    let past = common::heard().expires_at;
    let end = terms().until.next().start();
    let demand = Purpose::UnreasonableDemand;
    assert_eq!(listen(&register, demand, Some(case()), past), Ok(Some(end)));
    assert_eq!(
        listen(&register, Purpose::StaffCheck, None, past),
        Err(RefusalCode::Disposed)
    );
    // The designation and training of whoever listens end before the hold does; its own end is asked of the register.
    assert_eq!(register.holds().end_for(case(), recording()), Some(end));
    let other = CaseId::new(now(), 9);
    assert_eq!(register.holds().end_for(other, recording()), None);
    let mut let_go = register.clone();
    ask(&mut let_go, "kacho", released(), &[]).unwrap();
    assert_eq!(
        listen(&let_go, demand, Some(case()), past),
        Err(RefusalCode::Disposed)
    );
}

#[test]
fn a_hold_is_bounded_and_of_what_its_case_is_about() {
    let ask_for = |change: fn(&mut HoldTerms)| {
        let mut terms = terms();
        change(&mut terms);
        let fact = Fact::Hold(HoldFact::Requested {
            hold: hold(),
            terms,
        });
        let mut register = after(&[("hanako", opened())]);
        ask(&mut register, "hanako", fact, &[common::heard()])
    };
    assert_eq!(ask_for(|_| ()), Ok(()));
    for wrong in [
        (|terms| terms.until = terms.until.next()) as fn(&mut HoldTerms),
        |terms| terms.review = terms.until.next(),
        |terms| terms.review = "2026-11-23".parse().unwrap(),
        |terms| terms.recordings.clear(),
    ] {
        assert_eq!(code(ask_for(wrong)), RefusalCode::HoldTooLong);
    }
    let fault = ask_for(|terms| {
        let _ = terms.recordings.insert(RecordingId::new(now(), 99));
    });
    assert!(matches!(fault, Err(RegisterFault::OtherCase { .. })));
    let mut empty = common::register();
    assert_eq!(
        ask(&mut empty, "hanako", requested(), &[common::heard()]),
        Err(RegisterFault::NoSuchCase(case()))
    );
}

#[test]
fn what_is_gone_is_not_held_and_what_was_not_decided_is_not_let_go() {
    let gone = Heard {
        expires_at: now(),
        ..common::heard()
    };
    let mut register = after(&[("hanako", opened()), ("hanako", requested())]);
    let approve = decided(Verdict::Approved);
    let refused = ask(&mut register, "kacho", approve, &[gone]);
    assert_eq!(code(refused), RefusalCode::Disposed);
    let early = ask(&mut register, "kacho", released(), &[]);
    assert_eq!(code(early), RefusalCode::DecisionRequired);
    // To say no, nothing need be there.
    ask(&mut register, "kacho", decided(Verdict::Rejected), &[]).unwrap();
}

#[test]
fn a_hold_is_overdue_after_its_review_and_after_its_end_until_it_is_let_go() {
    let register = held();
    let overdue =
        |register: &Register, at: Timestamp| register.holds().get(hold()).unwrap().overdue(at);
    let (review, end) = (terms().review.next().start(), terms().until.next().start());
    assert_eq!(overdue(&register, review - 1.second()), None);
    assert_eq!(overdue(&register, review), Some(Overdue::Review));
    assert_eq!(overdue(&register, end), Some(Overdue::End));
    let mut let_go = register.clone();
    ask(&mut let_go, "kacho", released(), &[]).unwrap();
    assert_eq!(overdue(&let_go, end), None);
    let reported = |register: &Register, at: Timestamp| {
        let lines = register.supervision(JstMonth::of(at), at);
        lines.contains(&SupervisionLine::Overdue {
            copies: 0,
            holds: 1,
        })
    };
    assert!(!reported(&register, review - 1.second()) && reported(&register, review));
    assert!(reported(&register, end) && !reported(&let_go, end));
}

#[test]
fn the_keys_are_made_to_hold_what_the_register_says_and_a_lost_register_lets_nothing_go() {
    let nothing = BTreeMap::new();
    let all = BTreeMap::from([(case(), [recording()].into())]);
    let tasks = held().holds().settle(&nothing);
    let pairs: Vec<_> = tasks
        .hold
        .iter()
        .map(|task| (task.case(), task.recording()))
        .collect();
    assert_eq!(pairs, [(case(), recording())]);
    assert!(tasks.release.is_empty());
    assert!(held().holds().settle(&all).hold.is_empty());
    let mut let_go = held();
    ask(&mut let_go, "kacho", released(), &[]).unwrap();
    let tasks = let_go.holds().settle(&all);
    assert!(tasks.hold.is_empty());
    assert_eq!(tasks.release[0].recording(), recording());
    assert!(let_go.holds().settle(&nothing).release.is_empty());
    assert!(common::register().holds().settle(&all).release.is_empty());
    // Another hold of the same case keeps it.
    let again = Fact::Hold(HoldFact::Requested {
        hold: HoldId::new(now(), 10),
        terms: terms(),
    });
    let approve = Fact::Hold(HoldFact::Decided {
        hold: HoldId::new(now(), 10),
        verdict: Verdict::Approved,
        reason: None,
    });
    ask(&mut let_go, "hanako", again, &[common::heard()]).unwrap();
    ask(&mut let_go, "kacho", approve, &[common::heard()]).unwrap();
    assert!(let_go.holds().settle(&all).release.is_empty());
}

/// The last case to let a recording go disposes of it where its day is over.
#[test]
fn what_one_case_lets_go_waits_until_the_other_holds_it() {
    let other = CaseId::new(now(), 17);
    let second = HoldId::new(now(), 18);
    let Fact::Request(RequestFact::Opened { application, .. }) = opened() else {
        unreachable!("it is opened")
    };
    let mut register = held();
    for (by, fact) in [
        (
            "hanako",
            Fact::Request(RequestFact::Opened {
                case: other,
                application,
            }),
        ),
        (
            "kacho",
            Fact::Request(RequestFact::Decided {
                case: other,
                verdict: Verdict::Approved,
                reason: Digest([2; 32]),
            }),
        ),
        (
            "hanako",
            Fact::Hold(HoldFact::Requested {
                hold: second,
                terms: HoldTerms {
                    case: other,
                    ..terms()
                },
            }),
        ),
        (
            "kacho",
            Fact::Hold(HoldFact::Decided {
                hold: second,
                verdict: Verdict::Approved,
                reason: None,
            }),
        ),
        ("kacho", released()),
    ] {
        ask(&mut register, by, fact, &[common::heard()]).unwrap();
    }
    let mut held = BTreeMap::from([(case(), [recording()].into())]);
    let wanted = [(other, recording())].into();
    assert_eq!(register.holds().unsettled(&held), wanted);
    assert!(register.holds().settle(&held).release.is_empty());
    held.insert(other, [recording()].into());
    assert!(register.holds().unsettled(&held).is_empty());
    assert_eq!(register.holds().settle(&held).release[0].case(), case());
}

#[test]
fn one_recording_is_destroyed_early_by_a_subjects_right_and_never_while_it_is_held() {
    let subject = |kind| {
        let Fact::Request(RequestFact::Opened {
            case,
            mut application,
        }) = opened()
        else {
            unreachable!("a request that is opened");
        };
        application.kind = kind;
        application.requester = Some(Digest([3; 32]));
        application.document = Some(Digest([4; 32]));
        Fact::Request(RequestFact::Opened { case, application })
    };
    let judge = |register: &Register, by: &str| {
        let proved = common::proved(by);
        let petitioner = common::petitioner(&proved);
        register.judge_early_disposal(
            &petitioner,
            Some(case()),
            recording(),
            Some(&common::heard()),
            now(),
        )
    };
    let undecided = after(&[("hanako", subject(RequestKind::Subject))]);
    assert_eq!(
        code(judge(&undecided, "kacho")),
        RefusalCode::DecisionRequired
    );
    let demand = after(&[("hanako", opened()), ("kacho", case_decided())]);
    assert_eq!(code(judge(&demand, "kacho")), RefusalCode::DecisionRequired);
    let mut register = after(&[
        ("hanako", subject(RequestKind::Subject)),
        ("kacho", case_decided()),
    ]);
    assert_eq!(
        code(judge(&register, "hanako")),
        RefusalCode::RoleNotPermitted
    );
    assert_eq!(
        judge(&register, "kacho"),
        Ok(DisposalCause::Decided { case: case() })
    );
    ask(&mut register, "hanako", requested(), &[common::heard()]).unwrap();
    ask(
        &mut register,
        "kacho",
        decided(Verdict::Approved),
        &[common::heard()],
    )
    .unwrap();
    assert_eq!(code(judge(&register, "kacho")), RefusalCode::LegalHold);
}

/// 100,000 orders of steps by anybody: nothing is held but by another's decision, and nothing held is let go by itself.
#[test]
fn no_order_of_steps_holds_without_anothers_decision() {
    let begun = after(&[("hanako", opened()), ("kacho", case_decided())]);
    let people: [StaffId; 4] = ["kacho", "hanako", "taro", "kanri"].map(|id| id.parse().unwrap());
    let mut dice = common::Dice(20_261_130);
    let (mut kept, mut refused) = (0, 0);
    for round in 0..100_000 {
        let mut register = begun.clone();
        let (mut requester, mut approver, mut releaser) = (None, None, None);
        for _ in 0..dice.below(6) {
            let by = &people[dice.below(people.len())];
            let (fact, step) = match dice.below(5) {
                0 | 1 => (requested(), &mut requester),
                2 => (decided(Verdict::Approved), &mut approver),
                3 => (decided(Verdict::Rejected), &mut None),
                _ => (released(), &mut releaser),
            };
            let before = register.clone();
            if ask(&mut register, by.as_str(), fact, &[common::heard()]).is_err() {
                refused += 1;
            } else if register != before {
                *step = Some(by);
            }
        }
        if register.holds().keep(recording()) {
            kept += 1;
            assert!(requester.is_some() && approver.is_some(), "round {round}");
            assert_ne!(requester, approver, "round {round}");
            assert_eq!(releaser, None, "round {round}");
        }
    }
    assert!(kept > 1_000 && refused > 1_000, "{kept} {refused}");
}
