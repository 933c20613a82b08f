//! Hand-overs (要領 5-3): people who press every button in every order, a contractor who is late, a clock at each of its ends.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails there")]

mod common;

use common::{
    hand_over::{
        CODE, City, begun, by, copy, decided, destroyed, given, hand_over, packaged, requested,
        to_the_receiver, wished,
    },
    heard, now, petitioner, proved, receipt,
};
use jiff::ToSpan;
use rules::{
    Actor, Attestation, AttestedKind, CopyFact, Destruction, Digest, Fact, HandOverFact,
    HandOverId, HandOverPermit, Heard, Holder, PackageForm, PackageLock, Period, Permit, Purpose,
    Recorded, RecordingId, RecordingState, RefusalCode, Register, RegisterFault, Terms, Verdict,
};

#[test]
fn in_100_000_random_orders_no_package_is_before_its_decision_and_nobody_decides_alone() {
    const STEPS: usize = 9;
    let people = ["hanako", "taro", "kacho", "bucho", "kanri"];
    let sound = City::new().register;
    let proofs = people.map(proved);
    let id = hand_over();
    for seed in 0..100_000_u64 {
        let (mut dice, mut register) = (common::Dice(seed), sound.clone());
        let mut taken: Vec<(usize, HandOverFact)> = Vec::new();
        for _ in 0..STEPS {
            let form = [PackageForm::Age, PackageForm::Zip][dice.below(2)];
            let attempt = u128::try_from(dice.below(2)).unwrap();
            // The steps of the straight way come more often, so that many orders go far.
            let straight = taken.len().min(8);
            let fact = match [dice.below(11), straight, straight][dice.below(3)] {
                0 => requested(),
                1 => decided([Verdict::Approved, Verdict::Rejected][dice.below(8) / 7]),
                2 => begun(attempt, form),
                3 => packaged(attempt),
                4 => HandOverFact::PassphraseShown { hand_over: id },
                5 => given(),
                6 => HandOverFact::Received {
                    hand_over: id,
                    code: [CODE, Digest([9; 32])][dice.below(2)],
                },
                7 => destroyed(),
                8 => HandOverFact::Closed { hand_over: id },
                9 => HandOverFact::Returned { hand_over: id },
                _ => HandOverFact::PackageAbandoned {
                    hand_over: id,
                    copy: copy(attempt),
                },
            };
            let person = dice.below(people.len());
            let by_whom = petitioner(&proofs[person]);
            let asked = Fact::HandOver(fact.clone());
            let granted = register.request_with(&by_whom, asked.clone(), &[heard()], now());
            if matches!(granted, Ok(Some(_))) {
                register.handle_recorded(Recorded {
                    at: now(),
                    by: by(people[person]),
                    fact: asked,
                });
                taken.push((person, fact));
            }
            let counts = register.copies().counts();
            assert_eq!(counts.made, counts.destroyed + counts.outstanding, "{seed}");
        }
        let may_see = |proof| {
            let show = Fact::HandOver(HandOverFact::PassphraseShown { hand_over: id });
            register.request_with(&petitioner(proof), show, &[heard()], now())
        };
        let may_anybody_see = proofs.iter().any(|proof| may_see(proof).is_ok());
        let is_kept = register.kept_passphrases(now()).contains(&id);
        assert_eq!(is_kept, may_anybody_see, "{seed}");
        check_order(seed, &taken);
    }
}

/// What must be true of every order of steps that were allowed.
fn check_order(seed: u64, taken: &[(usize, HandOverFact)]) {
    let find = |wanted: &dyn Fn(&HandOverFact) -> bool| {
        let place = taken.iter().position(|(_, fact)| wanted(fact));
        place.map(|place| (place, taken[place].0))
    };
    let request = find(&|fact| matches!(fact, HandOverFact::Requested { .. }));
    let decision = find(&|fact| matches!(fact, HandOverFact::Decided { .. }));
    let package = find(&|fact| matches!(fact, HandOverFact::PackageBegun { .. }));
    let whole = find(&|fact| matches!(fact, HandOverFact::Packaged { .. }));
    let count = |wanted: &dyn Fn(&HandOverFact) -> bool| {
        taken.iter().filter(|(_, fact)| wanted(fact)).count()
    };
    if let Some((place, decider)) = decision {
        let (before, asker) = request.expect("a decision is about a request");
        assert!(before < place && asker != decider, "{seed}");
        assert!([2, 3].contains(&decider), "{seed}: a manager decides");
    }
    if let Some((place, _)) = package {
        let (before, _) = decision.expect("a package has a decision");
        assert!(before < place, "{seed}");
    }
    let shown = |fact: &HandOverFact| matches!(fact, HandOverFact::PassphraseShown { .. });
    assert!(count(&shown) <= 1, "{seed}: shown once");
    if let Some((_, seer)) = find(&shown) {
        let (_, packager) = whole.expect("a passphrase has a package");
        assert_ne!(seer, packager, "{seed}");
    }
    let closed = |fact: &HandOverFact| matches!(fact, HandOverFact::Closed { .. });
    if let (Some((end, _)), Some((begin, _))) = (find(&closed), whole) {
        let certificate = find(&|fact| matches!(fact, HandOverFact::Destroyed { .. }));
        let (place, _) = certificate.expect("what was packaged is certified before it is closed");
        assert!(begin < place && place < end, "{seed}");
    }
}

#[test]
fn a_hand_over_goes_its_whole_way_and_the_register_of_copies_with_it() {
    let mut city = to_the_receiver();
    let held_by = |city: &City| {
        city.register
            .copies()
            .get(copy(1))
            .unwrap()
            .holder()
            .clone()
    };
    assert_eq!(held_by(&city), Holder::Vendor("bunseki".parse().unwrap()));
    let received = |code| HandOverFact::Received {
        hand_over: hand_over(),
        code,
    };
    let wrong = city.ask("hanako", received(Digest([9; 32])), now());
    assert_eq!(wrong, Err(RefusalCode::ReceiptCodeWrong));
    city.ask("hanako", received(CODE), now()).unwrap();
    assert_eq!(city.state().code(), "RECEIVED");
    let closed = HandOverFact::Closed {
        hand_over: hand_over(),
    };
    let early = city.ask("kacho", closed.clone(), now());
    assert_eq!(early, Err(RefusalCode::CertificateRequired));
    city.ask("hanako", destroyed(), now()).unwrap();
    city.ask("kacho", closed, now()).unwrap();
    assert_eq!(city.state().code(), "CLOSED");
    assert_eq!(city.register.copies().counts().outstanding, 0);
}

#[test]
fn each_step_is_refused_to_whoever_may_not_take_it_and_when_it_is_not_due() {
    let mut city = City::led(&[("hanako", requested())]);
    let today = rules::JstDay::of(now());
    let deputised = Fact::Deputised {
        person: "hanako".parse().unwrap(),
        period: Period::new(today, today).unwrap(),
        basis: Digest([1; 32]),
    };
    city.record(by("kacho"), deputised, now());
    let approve = || decided(Verdict::Approved);
    let own = city.ask("hanako", approve(), now());
    assert_eq!(own, Err(RefusalCode::SelfApproval));
    let early = city.ask("taro", begun(1, PackageForm::Zip), now());
    assert_eq!(early, Err(RefusalCode::DecisionRequired));
    let assistant = city.ask("taro", approve(), now());
    assert_eq!(assistant, Err(RefusalCode::RoleNotPermitted));
    city.ask("bucho", approve(), now()).unwrap();
    let again = city.ask("bucho", decided(Verdict::Rejected), now());
    assert_eq!(again, Err(RefusalCode::OutOfOrder));
    city.ask("taro", begun(1, PackageForm::Zip), now()).unwrap();
    city.ask("taro", packaged(1), now()).unwrap();
    let show = || HandOverFact::PassphraseShown {
        hand_over: hand_over(),
    };
    let packager = city.ask("taro", show(), now());
    assert_eq!(packager, Err(RefusalCode::SelfApproval));
    let late = city.ask("hanako", show(), now() + 3_000.hours());
    assert_eq!(late, Err(RefusalCode::Disposed));
    let withdrawn = Fact::Withdrawn {
        person: "hanako".parse().unwrap(),
    };
    let before = city.register.clone();
    city.record(by("kacho"), withdrawn, now());
    let withdrawn = city.ask("hanako", show(), now());
    assert_eq!(withdrawn, Err(RefusalCode::NotDesignated));
    city.register = before;
    city.ask("hanako", show(), now()).unwrap();
    let package = city.register.hand_over(hand_over()).unwrap().package();
    assert_eq!(package.unwrap().lock, PackageLock::PassphraseShown);
    let twice = city.ask("kacho", show(), now());
    assert_eq!(twice, Err(RefusalCode::OutOfOrder));
}

#[test]
fn a_contractors_key_is_not_exchanged_for_another() {
    let city = City::led(&[]);
    let other = "age1lggyhqrw2nlhcxprm67z43rta597azn8gknawjehu9d9dl0jq3yqqvfafg";
    let fact = Fact::VendorAdded {
        vendor: "bunseki".parse().unwrap(),
        recipient: other.parse().unwrap(),
    };
    let proved = proved("kacho");
    let asked = city
        .register
        .request(&petitioner(&proved), fact.clone(), now());
    assert_eq!(
        asked.unwrap_err(),
        RegisterFault::VendorTaken("bunseki".parse().unwrap())
    );
}

#[test]
fn a_rejected_hand_over_is_never_packaged() {
    let mut city = City::led(&[
        ("hanako", requested()),
        ("kacho", decided(Verdict::Rejected)),
    ]);
    let packaged = city.ask("taro", begun(1, PackageForm::Age), now());
    assert_eq!(packaged, Err(RefusalCode::DecisionRequired));
}

#[test]
fn a_request_outside_contract_purpose_or_attestation_is_refused() {
    let day = |text: &str| text.parse::<rules::JstDay>().unwrap().start();
    let with = |wish| HandOverFact::Requested {
        hand_over: hand_over(),
        wish,
    };
    let (own, far) = ("bunseki", now() + 3_000.hours());
    let inquiry = Purpose::AnalysisInquiry;
    let elsewhere = Heard {
        called: rules::Number::parse("0783332000").ok(),
        ..heard()
    };
    let other_unit = Heard {
        unit: "税務課".parse().unwrap(),
        ..heard()
    };
    let other = Heard {
        recording: RecordingId::new(now(), 77),
        ..heard()
    };
    for (vendor, purpose, heard, at, expected) in [
        (
            "betsu",
            inquiry,
            heard(),
            now(),
            RefusalCode::WrongRecipient,
        ),
        (
            own,
            Purpose::StaffCheck,
            heard(),
            now(),
            RefusalCode::PurposeNotPermitted,
        ),
        (
            own,
            Purpose::Statute,
            heard(),
            now(),
            RefusalCode::PurposeNotPermitted,
        ),
        (
            own,
            Purpose::AnalysisComplaint,
            heard(),
            now(),
            RefusalCode::OutOfScope,
        ),
        (own, inquiry, elsewhere, now(), RefusalCode::OutOfScope),
        (own, inquiry, other, now(), RefusalCode::OutOfScope),
        (
            own,
            inquiry,
            other_unit,
            now(),
            RefusalCode::OrgNotPermitted,
        ),
        (
            own,
            inquiry,
            heard(),
            day("2026-12-11"),
            RefusalCode::NotAttested,
        ),
        (
            own,
            inquiry,
            heard(),
            day("2026-12-21"),
            RefusalCode::ContractScope,
        ),
        (
            own,
            inquiry,
            Heard {
                expires_at: now(),
                ..heard()
            },
            now(),
            RefusalCode::Disposed,
        ),
        (own, inquiry, heard(), far, RefusalCode::ContractScope),
    ] {
        let mut city = City::new();
        let asked = city.ask_about("hanako", with(wished(vendor, purpose)), &[heard], at);
        assert_eq!(asked, Err(expected), "{vendor} {purpose} {at}");
    }
}

#[test]
fn a_contractor_with_an_overdue_certificate_gets_nothing_more() {
    let mut city = to_the_receiver();
    let next = |random| HandOverFact::Requested {
        hand_over: HandOverId::new(now(), random),
        wish: wished("bunseki", Purpose::AnalysisInquiry),
    };
    let late = now() + 720.hours();
    let fresh = Heard {
        expires_at: late + 720.hours(),
        ..heard()
    };
    // The contractor attests longer, so that nothing else refuses.
    let attested = Fact::VendorAttested {
        vendor: "bunseki".parse().unwrap(),
        kind: AttestedKind::Listed(Attestation::SecurityPolicy),
        until: "2027-03-31".parse().unwrap(),
    };
    let longer = Fact::ContractAdded {
        contract: "r8-1".parse().unwrap(),
        terms: Terms {
            period: Period::new("2026-11-01".parse().unwrap(), "2027-03-31".parse().unwrap())
                .unwrap(),
            ..city.register.contracts()[&"r8-1".parse().unwrap()]
                .terms()
                .clone()
        },
    };
    city.record(by("kacho"), attested, now());
    city.record(by("kacho"), longer, now());
    let before = late - 1.second();
    city.ask_about("hanako", next(2), std::slice::from_ref(&fresh), before)
        .unwrap();
    let overdue = city.ask_about("hanako", next(3), std::slice::from_ref(&fresh), late);
    assert_eq!(overdue, Err(RefusalCode::VendorCertOverdue));
    city.ask("hanako", destroyed(), late).unwrap();
    city.ask_about("hanako", next(3), &[fresh], late).unwrap();
}

#[test]
fn a_broken_off_package_stands_as_a_copy_until_its_destruction_is_certified() {
    let mut city = City::led(&[
        ("hanako", requested()),
        ("kacho", decided(Verdict::Approved)),
        ("taro", begun(1, PackageForm::Age)),
        ("taro", begun(2, PackageForm::Age)),
        ("taro", packaged(2)),
    ]);
    assert_eq!(city.register.copies().counts().outstanding, 2);
    let certified = |copy| {
        Fact::Copy(CopyFact::Destroyed {
            copy,
            how: Destruction::Certified {
                certificate: Digest([6; 32]),
            },
        })
    };
    let taro = proved("taro");
    let whole = city
        .register
        .request(&petitioner(&taro), certified(copy(2)), now());
    assert!(matches!(whole, Err(RegisterFault::OfHandOver(..))));
    let stale = city
        .register
        .request(&petitioner(&taro), certified(copy(1)), now());
    assert!(matches!(stale, Ok(Some(_))));
    city.record(by("taro"), certified(copy(1)), now());
    assert_eq!(city.register.copies().counts().outstanding, 1);
}

#[test]
fn a_permit_opens_each_item_once_and_ends_with_what_ends_the_hand_over() {
    let mut city = City::led(&[
        ("hanako", requested()),
        ("kacho", decided(Verdict::Approved)),
    ]);
    let taro = proved("taro");
    let fact = Fact::HandOver(begun(1, PackageForm::Age));
    let grant = || {
        let asked = city
            .register
            .request_with(&petitioner(&taro), fact.clone(), &[heard()], now());
        asked.unwrap().unwrap()
    };
    let other = receipt(
        &rules::AuditDraft::system(rules::AuditEvent::LoggedIn),
        now(),
    );
    let refused = HandOverPermit::issue(&city.register, grant(), other, vec![heard()], now());
    assert_eq!(
        refused.unwrap_err().code(),
        RefusalCode::AuditUnavailable,
        "its own entry"
    );
    let granted = grant();
    let own = receipt(granted.entry(), now());
    let issued = HandOverPermit::issue(&city.register, granted, own, vec![heard()], now());
    let (recorded, mut permit) = issued.unwrap();
    let item = permit.next_item().unwrap();
    assert_eq!(item.recording(), heard().recording);
    assert!(permit.next_item().is_none(), "each once");

    let check = |register: &Register, at| {
        let checked = item.judge_anew(register, RecordingState::Sealed, at);
        checked.map_err(|refusal| refusal.code())
    };
    assert_eq!(check(&city.register, now()), Err(RefusalCode::OutOfOrder));
    city.register.handle_recorded(recorded.record());
    assert_eq!(check(&city.register, now()), Ok(()));
    let lapsed = check(&city.register, now() + 15.minutes());
    assert_eq!(lapsed, Err(RefusalCode::PermitLapsed));
    let destroyed = item.judge_anew(&city.register, RecordingState::Disposed, now());
    assert_eq!(destroyed.unwrap_err().code(), RefusalCode::Disposed);
    let withdrawn = Fact::Withdrawn {
        person: "taro".parse().unwrap(),
    };
    city.record(by("kacho"), withdrawn, now());
    assert_eq!(
        check(&city.register, now()),
        Err(RefusalCode::NotDesignated)
    );
}

#[test]
fn a_package_that_broke_off_for_good_is_certified_and_its_hand_over_closes() {
    let led = || {
        City::led(&[
            ("hanako", requested()),
            ("kacho", decided(Verdict::Approved)),
            ("taro", begun(1, PackageForm::Zip)),
        ])
    };
    // Nobody packages it any more: its recordings are gone.
    let past = heard().expires_at;
    let closed = || HandOverFact::Closed {
        hand_over: hand_over(),
    };
    let mut city = led();
    let again = city.ask("taro", begun(2, PackageForm::Zip), past);
    assert_eq!(again, Err(RefusalCode::ContractScope));
    let early = city.ask("kacho", closed(), past);
    assert_eq!(early, Err(RefusalCode::CertificateRequired));
    city.ask("hanako", destroyed(), past).unwrap();
    assert_eq!(city.register.copies().counts().outstanding, 0);
    city.ask("kacho", closed(), past).unwrap();
    assert_eq!(city.state().code(), "CLOSED");

    let mut city = led();
    let how = Destruction::Certified {
        certificate: Digest([6; 32]),
    };
    let certified = Fact::Copy(CopyFact::Destroyed { copy: copy(1), how });
    city.record(by("taro"), certified, past);
    city.ask("kacho", closed(), past).unwrap();
    assert_eq!(city.state().code(), "CLOSED");
}

#[test]
fn what_broke_off_before_the_package_was_made_anew_is_certified_before_its_hand_over_closes() {
    let mut city = City::led(&[
        ("hanako", requested()),
        ("kacho", decided(Verdict::Approved)),
        ("taro", begun(1, PackageForm::Age)),
        ("taro", begun(2, PackageForm::Age)),
        ("taro", packaged(2)),
        ("hanako", destroyed()),
    ]);
    let closed = || HandOverFact::Closed {
        hand_over: hand_over(),
    };
    let early = city.ask("kacho", closed(), now());
    assert_eq!(early, Err(RefusalCode::CertificateRequired));
    let how = Destruction::Removed;
    let removed = Fact::Copy(CopyFact::Destroyed { copy: copy(1), how });
    city.record(Actor::System, removed, now());
    city.ask("kacho", closed(), now()).unwrap();
}

#[test]
fn a_package_that_was_removed_before_it_was_given_is_made_anew_or_its_hand_over_closes() {
    let mut city = City::led(&[
        ("hanako", requested()),
        ("kacho", decided(Verdict::Approved)),
        ("taro", begun(1, PackageForm::Zip)),
        ("taro", packaged(1)),
    ]);
    let abandoned = Fact::HandOver(HandOverFact::PackageAbandoned {
        hand_over: hand_over(),
        copy: copy(1),
    });
    city.record(Actor::System, abandoned.clone(), now());
    assert_eq!(city.state().code(), "DECIDED");
    assert_eq!(city.register.copies().counts().outstanding, 0);
    assert!(city.register.kept_passphrases(now()).is_empty());
    city.ask("taro", begun(2, PackageForm::Zip), now()).unwrap();
    city.ask("taro", packaged(2), now()).unwrap();
    city.ask("taro", given(), now()).unwrap();
    city.record(Actor::System, abandoned, now());
    assert_eq!(city.state().code(), "HANDED_OVER", "what was given is not");
}
