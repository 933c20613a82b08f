//! Hand-overs under a request by statute or by whoever was recorded: the listed recordings, after both decisions, and nothing else (K-09, K-20, K-33).
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails there")]

mod common;

use common::{heard, now, petitioner, proved, receipt, unit};
use rules::{
    Actor, Application, CaseId, Contents, CopyId, Destination, Digest, Fact, Ground, HandOverFact,
    HandOverId, HandOverPermit, Heard, HoldFact, HoldId, HoldTerms, Holder, JstDay, Masks,
    PackageForm, Permit as _, Purpose, Recorded, RecordingId, RecordingState, RefusalCode,
    Register, RegisterFault, RequestFact, RequestKind, Subject, Verdict, Wished,
};

fn case() -> CaseId {
    CaseId::new(now(), 7)
}

fn hold() -> HoldId {
    HoldId::new(now(), 8)
}

fn hand_over() -> HandOverId {
    HandOverId::new(now(), 1)
}

fn copy() -> CopyId {
    CopyId::new(now(), 1)
}

/// The small city with a request about one recording.
struct City {
    register: Register,
}

impl City {
    fn with_request(kind: RequestKind, verdict: Option<Verdict>) -> City {
        let register = common::register();
        let mut city = City { register };
        city.open(case(), kind, verdict);
        city
    }

    fn open(&mut self, case: CaseId, kind: RequestKind, verdict: Option<Verdict>) {
        let application = Application {
            kind,
            unit: unit(),
            recordings: [heard().recording].into(),
            basis: Some(Digest([1; 32])),
            requester: Some(Digest([2; 32])),
            document: Some(Digest([3; 32])),
        };
        let opened = RequestFact::Opened { case, application };
        self.record("hanako", Fact::Request(opened));
        if let Some(verdict) = verdict {
            let reason = Digest([4; 32]);
            let decided = RequestFact::Decided {
                case,
                verdict,
                reason,
            };
            self.record("kacho", Fact::Request(decided));
        }
    }

    /// Holds the recording for the request.
    ///
    /// # Returns
    /// The hold's last day.
    fn hold(&mut self) -> JstDay {
        let until = HoldTerms::usual_end(now());
        let terms = HoldTerms {
            case: case(),
            ground: Ground::Law,
            recordings: [heard().recording].into(),
            review: HoldTerms::usual_review(now(), until),
            until,
        };
        let hold = hold();
        let decided = HoldFact::Decided {
            hold,
            verdict: Verdict::Approved,
            reason: None,
        };
        self.record("hanako", Fact::Hold(HoldFact::Requested { hold, terms }));
        self.record("kacho", Fact::Hold(decided));
        until
    }

    /// Asks, and records what is allowed.
    fn ask(&mut self, id: &str, fact: HandOverFact) -> Result<(), RefusalCode> {
        self.ask_about(id, fact, &[heard()])
    }

    fn ask_about(
        &mut self,
        id: &str,
        fact: HandOverFact,
        heard: &[Heard],
    ) -> Result<(), RefusalCode> {
        let (proved, fact) = (proved(id), Fact::HandOver(fact));
        let by_whom = petitioner(&proved);
        match self
            .register
            .request_with(&by_whom, fact.clone(), heard, now())
        {
            Ok(_) => {
                self.record(id, fact);
                Ok(())
            }
            Err(RegisterFault::Refused(refusal)) => Err(refusal.code()),
            Err(fault) => panic!("{fault}"),
        }
    }

    fn record(&mut self, id: &str, fact: Fact) {
        let by = Actor::Person {
            unix_user: "denwaban".to_owned(),
            person: Some(id.parse().unwrap()),
        };
        let at = now();
        self.register.handle_recorded(Recorded { at, by, fact });
    }
}

/// A hand-over of one recording under the request, to somebody without a key.
fn under_request(purpose: Purpose, recording: RecordingId) -> HandOverFact {
    HandOverFact::Requested {
        hand_over: hand_over(),
        wish: Wished {
            to: Destination::Request {
                case: case(),
                receiver: Digest([7; 32]),
                recipient: None,
            },
            purpose,
            medium: Digest([12; 32]).into(),
            items: [recording].into(),
        },
    }
}

fn decided() -> HandOverFact {
    HandOverFact::Decided {
        hand_over: hand_over(),
        verdict: Verdict::Approved,
        reason: Digest([1; 32]),
        masks: Masks::default(),
    }
}

fn begun(form: PackageForm) -> HandOverFact {
    HandOverFact::PackageBegun {
        hand_over: hand_over(),
        copy: copy(),
        form,
        destroy_by: heard().expires_at,
        place: None,
    }
}

fn packaged() -> HandOverFact {
    HandOverFact::Packaged {
        hand_over: hand_over(),
        copy: copy(),
        contents: Contents {
            sha256: Digest([2; 32]),
            bytes: 1_000,
            code: Digest([3; 32]),
            items: [(heard().recording, Digest([4; 32]))].into(),
        },
    }
}

fn given() -> HandOverFact {
    HandOverFact::Given {
        hand_over: hand_over(),
        receiver: Digest([5; 32]),
    }
}

#[test]
fn a_package_without_a_key_or_a_passphrase_does_not_leave() {
    let mut city = City::with_request(RequestKind::Statute, Some(Verdict::Approved));
    let request = under_request(Purpose::Statute, heard().recording);
    city.ask("hanako", request).unwrap();
    city.ask("kacho", decided()).unwrap();
    let plain = city.ask("taro", begun(PackageForm::Age));
    assert_eq!(plain, Err(RefusalCode::PlainExportForbidden));
    city.ask("taro", begun(PackageForm::Zip)).unwrap();
}

#[test]
fn a_package_under_a_request_holds_the_recordings_of_the_approved_request_and_nothing_else() {
    let listed = heard();
    let unlisted = Heard {
        recording: RecordingId::new(now(), 77),
        ..heard()
    };
    let (statute, approved) = (RequestKind::Statute, Some(Verdict::Approved));
    let (undecided, unfit) = (
        RefusalCode::DecisionRequired,
        RefusalCode::PurposeNotPermitted,
    );
    for (kind, verdict, purpose, item, expected) in [
        (statute, approved, Purpose::Statute, &listed, Ok(())),
        (
            RequestKind::Subject,
            approved,
            Purpose::SubjectRights,
            &listed,
            Ok(()),
        ),
        (statute, None, Purpose::Statute, &listed, Err(undecided)),
        (
            statute,
            Some(Verdict::Rejected),
            Purpose::Statute,
            &listed,
            Err(undecided),
        ),
        (
            RequestKind::Subject,
            approved,
            Purpose::Statute,
            &listed,
            Err(undecided),
        ),
        (
            statute,
            approved,
            Purpose::Statute,
            &unlisted,
            Err(undecided),
        ),
        (
            statute,
            approved,
            Purpose::AnalysisInquiry,
            &listed,
            Err(unfit),
        ),
    ] {
        let mut city = City::with_request(kind, verdict);
        let request = under_request(purpose, item.recording);
        let asked = city.ask_about("hanako", request, std::slice::from_ref(item));
        assert_eq!(asked, expected, "{kind} {verdict:?} {purpose}");
    }

    let mut city = City::with_request(statute, approved);
    let request = under_request(Purpose::Statute, listed.recording);
    city.ask("hanako", request).unwrap();
    let zip = || begun(PackageForm::Zip);
    assert_eq!(city.ask("taro", zip()), Err(RefusalCode::DecisionRequired));
    city.ask("kacho", decided()).unwrap();
    let more = city.ask_about("taro", zip(), &[listed, unlisted]);
    assert_eq!(more, Err(RefusalCode::OutOfScope));
    city.ask("taro", zip()).unwrap();
    city.ask("taro", packaged()).unwrap();
    city.ask("taro", given()).unwrap();
    let package = city.register.copies().get(copy()).unwrap();
    assert_eq!(*package.holder(), Holder::Receiver(hand_over()));
}

#[test]
fn what_a_subject_had_suspended_is_handed_over_under_the_own_request_alone() {
    let mut city = City::with_request(RequestKind::Statute, Some(Verdict::Approved));
    let request = |purpose| under_request(purpose, heard().recording);
    city.ask("hanako", request(Purpose::Statute)).unwrap();
    city.ask("kacho", decided()).unwrap();
    let other = CaseId::new(now(), 9);
    city.open(other, RequestKind::Subject, Some(Verdict::Approved));
    city.record(
        "kacho",
        Fact::Request(RequestFact::Suspended { case: other }),
    );
    let packaged = city.ask("taro", begun(PackageForm::Zip));
    assert_eq!(packaged, Err(RefusalCode::UseSuspended));

    let mut city = City::with_request(RequestKind::Subject, Some(Verdict::Approved));
    city.record(
        "kacho",
        Fact::Request(RequestFact::Suspended { case: case() }),
    );
    city.ask("hanako", request(Purpose::SubjectRights)).unwrap();
    city.ask("kacho", decided()).unwrap();
    city.ask("taro", begun(PackageForm::Zip)).unwrap();
}

#[test]
fn what_a_request_holds_past_its_day_is_packaged_under_that_request() {
    let mut city = City::with_request(RequestKind::Statute, Some(Verdict::Approved));
    let past = Heard {
        expires_at: now(),
        ..heard()
    };
    let past = std::slice::from_ref(&past);
    let request = || under_request(Purpose::Statute, heard().recording);
    let unheld = city.ask_about("hanako", request(), past);
    assert_eq!(unheld, Err(RefusalCode::Disposed));
    let until = city.hold();

    city.ask_about("hanako", request(), past).unwrap();
    city.ask("kacho", decided()).unwrap();
    let taro = proved("taro");
    let destroy_by = city.register.package_destroy_by(hand_over(), past, now());
    let fact = Fact::HandOver(HandOverFact::PackageBegun {
        hand_over: hand_over(),
        copy: copy(),
        form: PackageForm::Zip,
        destroy_by: destroy_by.unwrap(),
        place: None,
    });
    let asked = city
        .register
        .request_with(&petitioner(&taro), fact, past, now());
    let grant = asked.unwrap().unwrap();
    let own = receipt(grant.entry(), now());
    let issued = HandOverPermit::issue(&city.register, grant, own, past.to_vec(), now());
    let (recorded, mut permit) = issued.unwrap();
    city.register.handle_recorded(recorded.record());
    let item = permit.next_item().unwrap();
    item.judge_anew(&city.register, RecordingState::Sealed, now())
        .unwrap();
    assert_eq!(item.held_until(), Some(until.next().start()));

    let released = Fact::Hold(HoldFact::Released { hold: hold() });
    city.record("kacho", released);
    let ended = item.judge_anew(&city.register, RecordingState::Sealed, now());
    assert_eq!(ended.unwrap_err().code(), RefusalCode::Disposed);
}

/// The same for another hand-over, of another case or to a key.
fn another(random: u128, case: CaseId, recipient: Option<&str>) -> HandOverFact {
    let HandOverFact::Requested { wish, .. } = under_request(Purpose::Statute, heard().recording)
    else {
        panic!("a request");
    };
    let to = Destination::Request {
        case,
        receiver: Digest([7; 32]),
        recipient: recipient.map(|key| key.parse().unwrap()),
    };
    HandOverFact::Requested {
        hand_over: HandOverId::new(now(), random),
        wish: Wished { to, ..wish },
    }
}

#[test]
fn an_overdue_copy_under_a_request_blocks_the_next_of_its_case_and_of_its_key() {
    const KEY: &str = "age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p";
    let statute = RequestKind::Statute;
    for key in [None, Some(KEY)] {
        let mut city = City::with_request(statute, Some(Verdict::Approved));
        let other = CaseId::new(now(), 9);
        city.open(other, statute, Some(Verdict::Approved));
        city.ask("hanako", another(1, case(), key)).unwrap();
        city.ask("kacho", decided()).unwrap();
        let overdue = HandOverFact::PackageBegun {
            hand_over: hand_over(),
            copy: copy(),
            form: PackageForm::Zip,
            destroy_by: now(),
            place: None,
        };
        for (by, fact) in [("taro", overdue), ("taro", packaged()), ("taro", given())] {
            city.record(by, Fact::HandOver(fact));
        }
        let blocked = Err(RefusalCode::VendorCertOverdue);
        assert_eq!(city.ask("hanako", another(2, case(), None)), blocked);
        let of_key = city.ask("hanako", another(3, other, Some(KEY)));
        assert_eq!(of_key, if key.is_some() { blocked } else { Ok(()) });
        city.ask("hanako", another(4, other, None)).unwrap();

        let certificate = Digest([6; 32]);
        let hand_over = hand_over();
        let destroyed = HandOverFact::Destroyed {
            hand_over,
            certificate,
        };
        city.ask("hanako", destroyed).unwrap();
        city.ask("hanako", another(5, case(), key)).unwrap();
    }
}

#[test]
fn what_is_asked_for_again_is_found_for_whoever_asked_alike_while_it_is_undecided() {
    const KEY: &str = "age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p";
    let mut city = City::with_request(RequestKind::Statute, Some(Verdict::Approved));
    city.ask("hanako", another(1, case(), None)).unwrap();
    let found = |city: &City, by: &str, fact: HandOverFact| {
        let by = by.parse().unwrap();
        city.register.asked_before(&by, &Fact::HandOver(fact))
    };
    let again = || another(2, case(), None);
    let known = [Subject::HandOver(hand_over())];
    assert_eq!(found(&city, "hanako", again()), known);
    assert_eq!(found(&city, "taro", again()), []);
    let elsewhere = another(2, CaseId::new(now(), 9), None);
    assert_eq!(found(&city, "hanako", elsewhere), []);
    assert_eq!(found(&city, "hanako", another(2, case(), Some(KEY))), []);
    city.ask("kacho", decided()).unwrap();
    assert_eq!(found(&city, "hanako", again()), [], "decided");
}
