//! What stands in the trail, entry by entry, as it is written (K-15): ids, times, counts, codes and digests.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails there")]

use expect_test::expect_file;
use jiff::Timestamp;
use rules::{
    Action, Actor, AlarmCode, AlarmSubject, Application, Attestation, AttestedKind, AuditDraft,
    AuditEntry, AuditEvent, CallId, CaseId, Chain, Contents, CopyFact, CopyId, Criterion,
    DayCounts, DecisionId, Declaration, Destination, Destruction, Digest, DisposalCause,
    DisposalCounts, EmergencyId, EmergencyState, ExportCause, Fact, FreezeCause, Ground,
    HandOverFact, HandOverId, HoldFact, HoldId, HoldTerms, LastStop, NoticeKind, Number,
    POLICY_VERSION, Period, PolicyFact, PolicyTerms, Purpose, Reason, RecordingId, RecoveryReason,
    RefusalCode, RequestFact, RequestKind, Scope, Verdict, WaiverBasis, WaiverFact, WaiverTerms,
    Wished,
};

fn now() -> Timestamp {
    "2026-11-24T15:00:00.123456789Z".parse().unwrap()
}

#[test]
fn every_entry_reads_back_and_looks_as_it_always_did() {
    let mut text = String::new();
    for (seq, AuditDraft { actor, event }) in (1..).zip(drafts()) {
        let entry = AuditEntry {
            seq,
            at: now(),
            actor,
            event,
        };
        let line = serde_json::to_string(&entry).unwrap();
        assert_eq!(serde_json::from_str::<AuditEntry>(&line).unwrap(), entry);
        text += &line;
        text.push('\n');
    }
    expect_file!["audit.entries"].assert_eq(&text);
}

/// The lines of a trail that stands since before these events named a version of the policy.
#[test]
fn an_entry_that_names_no_version_of_the_policy_still_reads_back_as_it_stands() {
    let hash = "ab".repeat(32);
    for event in [
        r#"{"event":"hearings_shown","recording":"01M87149FV0000000000000002"}"#,
        r#"{"event":"supervision_shown","month":"2026-10"}"#,
        &format!(r#"{{"event":"statement_signed","month":"2026-10","sha256":"{hash}"}}"#),
        r#"{"event":"audit_export_begun"}"#,
        &format!(r#"{{"event":"audit_exported","entries":9,"sha256":"{hash}"}}"#),
    ] {
        let line = format!(
            r#"{{"seq":7,"at":"2026-11-24T15:00:00.123456789Z","actor":"system","event":{event}}}"#
        );
        let entry: AuditEntry = serde_json::from_str(&line).unwrap();
        assert_eq!(serde_json::to_string(&entry).unwrap(), line);
    }
}

/// The lines of a trail that stands since before these words were sealed, or were of a list.
#[test]
fn an_entry_that_holds_a_medium_a_course_or_a_kind_in_clear_still_reads_back_as_it_stands() {
    let recording = RecordingId::new(now(), 2);
    let to = r#""to":{"to":"contract","vendor":"bunseki","contract":"r8-1"}"#;
    for change in [
        r#"{"fact":"trained","person":"hanako","course":"個人情報","on":"2026-04-01"}"#,
        r#"{"fact":"vendor_attested","vendor":"bunseki","kind":"isms","until":"2027-03-31"}"#,
        &format!(
            r#"{{"fact":"hand_over","step":"requested","hand_over":"{recording}",{to},"purpose":"STATUTE","medium":"USB-12","items":["{recording}"]}}"#
        ),
    ] {
        let line = format!(
            r#"{{"seq":7,"at":"2026-11-24T15:00:00.123456789Z","actor":"system","event":{{"event":"registered","change":{change},"policy":1}}}}"#
        );
        let entry: AuditEntry = serde_json::from_str(&line).unwrap();
        assert_eq!(serde_json::to_string(&entry).unwrap(), line);
    }
}

#[test]
fn no_entry_holds_the_words_of_a_reason() {
    let text = serde_json::to_string(&drafts()).unwrap();
    assert!(!text.contains("地震"));
}

fn drafts() -> Vec<AuditDraft> {
    let person = |name: Option<&str>| Actor::Person {
        unix_user: "denwaban".to_owned(),
        person: name.map(|name| name.parse().unwrap()),
    };
    let by = |event| AuditDraft {
        actor: person(Some("hanako")),
        event,
    };
    let mut drafts: Vec<_> = by_itself().into_iter().map(AuditDraft::system).collect();
    drafts.extend(by_people().into_iter().map(by));
    drafts.extend(of_keys().into_iter().map(by));
    drafts.extend(of_cases().into_iter().map(by));
    let refused = AuditEvent::ListenRefused {
        recording: RecordingId::new(now(), 2),
        action: Action::ListenToFile,
        purpose: None,
        case: None,
        code: RefusalCode::PurposeRequired,
        policy: POLICY_VERSION,
    };
    drafts.push(AuditDraft {
        actor: person(None),
        event: refused,
    });
    drafts.push(by(AuditEvent::AuditExportBegun {
        policy: Some(POLICY_VERSION),
    }));
    drafts
}

fn by_itself() -> Vec<AuditEvent> {
    let (day, digest, recording) = (
        "2026-11-25".parse().unwrap(),
        Digest([0xab; 32]),
        RecordingId::new(now(), 2),
    );
    vec![
        AuditEvent::ServerStarted {
            last_stop: LastStop::Crash,
        },
        AuditEvent::ConfigurationLoaded { sha256: digest },
        AuditEvent::KeysMade {
            day,
            expires_at: now(),
        },
        AuditEvent::KeysRotated {
            day,
            generation: 2,
            wrapped: 89,
        },
        AuditEvent::EmergencyExpired {
            emergency: EmergencyId::new(now(), 1),
        },
        AuditEvent::RecordingRecovered {
            recording,
            chunks: 12,
            sha256: digest,
            reason: RecoveryReason::TornChunk,
        },
        AuditEvent::DisposalBegun {
            day,
            expires_at: now(),
            due: 6,
        },
        AuditEvent::DisposalCompleted {
            day,
            counts: DisposalCounts::new(6, 3, 2, 1).unwrap(),
        },
        AuditEvent::DayCounted {
            day,
            counts: DayCounts {
                calls: 12,
                unanswered: 3,
                recorded: 10,
                notices: [(NoticeKind::Announced, 9), (NoticeKind::Emergency, 1)].into(),
                unrecorded: [(Reason::RecorderFault, 2)].into(),
                ..DayCounts::default()
            },
        },
        AuditEvent::ClockStepped { by_ms: -3_600_000 },
        AuditEvent::AlarmRaised {
            code: AlarmCode::CopyDue,
            call: None,
            about: Some(AlarmSubject::Copy(CopyId::new(now(), 5))),
        },
        AuditEvent::AlarmRaised {
            code: AlarmCode::DiskFull,
            call: Some(CallId::new(now(), 1)),
            about: None,
        },
        AuditEvent::CatalogueRebuilt {
            recordings: 10,
            unrecorded: 2,
        },
        AuditEvent::MonthBegun {
            size: 3,
            chain_hash: digest,
            frontier: vec![digest, Digest([0xcd; 32])],
        },
        AuditEvent::TrailCut { bytes: 17 },
        AuditEvent::SigningKeyMade {
            generation: 2,
            sha256: digest,
        },
        AuditEvent::ServerStopped { calls_ended: 3 },
    ]
}

fn of_keys() -> Vec<AuditEvent> {
    let (day, recording) = ("2026-11-25".parse().unwrap(), RecordingId::new(now(), 2));
    vec![
        AuditEvent::DisposalIncomplete {
            day,
            counts: DisposalCounts::new(6, 3, 2, 1).unwrap(),
            mirrors: 1,
        },
        AuditEvent::StraysRemoved { day, recordings: 1 },
        AuditEvent::DisposalAcknowledged {
            day,
            recording: None,
        },
        AuditEvent::RecordingDisposalBegun {
            recording,
            day,
            cause: DisposalCause::Decided {
                case: CaseId::new(now(), 3),
            },
        },
        AuditEvent::RecordingDisposalBegun {
            recording,
            day,
            cause: DisposalCause::Released {
                case: CaseId::new(now(), 3),
            },
        },
        AuditEvent::RecordingDisposed { recording, day },
        AuditEvent::BackedUp { rows: 4, files: 4 },
        AuditEvent::Restored {
            rows: 4,
            files: 4,
            purged: 3,
        },
        AuditEvent::TrailRestored {
            carried: 2,
            head: Digest([0xab; 32]),
        },
        AuditEvent::ExportFailed {
            recording,
            granted: 16,
            cause: ExportCause::PermitLapsed,
            range_ms: Some((0, 10_000)),
        },
        AuditEvent::AudioRestored { days: 90 },
        AuditEvent::AudioGivenUp { days: 1 },
        AuditEvent::DestructionFrozen {
            cause: FreezeCause::AwayFromMonotonic,
            by_ms: 7_776_000_000,
        },
        AuditEvent::DestructionResumed {
            reason: Some(Digest([0xcd; 32])),
        },
        AuditEvent::KeysBegun {
            action: Action::MirrorKeys,
        },
        AuditEvent::KeysMirrored {
            generation: 7,
            current: 1,
            behind: 1,
        },
        AuditEvent::KeysRecovered { generation: 8 },
    ]
}

fn of_cases() -> Vec<AuditEvent> {
    let (case, policy) = (CaseId::new(now(), 3), POLICY_VERSION);
    let recording = RecordingId::new(now(), 2);
    let application = Application {
        kind: RequestKind::Statute,
        unit: "広報課".parse().unwrap(),
        recordings: [recording].into(),
        basis: Some(Digest([0xab; 32])),
        requester: Some(Digest([0xcd; 32])),
        document: Some(Digest([0xef; 32])),
    };
    let steps = [
        RequestFact::Opened { case, application },
        RequestFact::Decided {
            case,
            verdict: Verdict::Approved,
            reason: Digest([0xcd; 32]),
        },
        RequestFact::Suspended { case },
    ];
    let registered = steps.map(|step| AuditEvent::Registered {
        change: Fact::Request(step),
        policy,
    });
    let mut events = registered.to_vec();
    let hold = HoldId::new(now(), 4);
    let terms = HoldTerms {
        case,
        ground: Ground::Article5,
        recordings: [recording].into(),
        review: "2027-02-23".parse().unwrap(),
        until: "2027-11-24".parse().unwrap(),
    };
    let steps = [
        HoldFact::Requested { hold, terms },
        HoldFact::Decided {
            hold,
            verdict: Verdict::Approved,
            reason: None,
        },
        HoldFact::Released { hold },
    ];
    events.extend(steps.map(|step| AuditEvent::Registered {
        change: Fact::Hold(step),
        policy,
    }));
    let (decision, number) = (
        DecisionId::new(now(), 6),
        Number::parse("0783331000").unwrap(),
    );
    let terms = WaiverTerms {
        number: number.clone(),
        unit: "広報課".parse().unwrap(),
        review: "2027-11-24".parse().unwrap(),
    };
    let waivers = [
        WaiverFact::Decided {
            decision,
            basis: WaiverBasis::Means,
            terms: terms.clone(),
            text: Digest([0xab; 32]),
        },
        WaiverFact::Confirmed {
            decision,
            terms,
            text: Digest([0xab; 32]),
        },
        WaiverFact::Withdrawn {
            decision,
            number: number.clone(),
            unit: "広報課".parse().unwrap(),
        },
    ];
    events.extend(waivers.map(|step| AuditEvent::Registered {
        change: Fact::Waiver(step),
        policy,
    }));
    events.push(AuditEvent::WaiverUnconfirmed { decision, number });
    events.push(AuditEvent::RegisterShown {
        action: Action::ListRequests,
        policy,
    });
    events.push(AuditEvent::ListenGranted {
        recording,
        action: Action::Listen,
        purpose: Purpose::Statute,
        case: Some(case),
        range_ms: None,
        policy,
    });
    events
}

fn by_people() -> Vec<AuditEvent> {
    let (recording, policy) = (RecordingId::new(now(), 2), POLICY_VERSION);
    let mut state = EmergencyState::default();
    let declaration = Declaration {
        id: EmergencyId::new(now(), 1),
        scope: Scope::All,
        reason: "地震のため".to_owned(),
        duration: None,
        declared_by: None,
        unix_user: "denwaban".to_owned(),
    };
    let emergency = state.declare(declaration, now()).unwrap();
    let (hand_over, copy) = (HandOverId::new(now(), 4), CopyId::new(now(), 5));
    let registered = |change| AuditEvent::Registered { change, policy };
    let granted = |range_ms| AuditEvent::ListenGranted {
        recording,
        action: Action::ListenToFile,
        purpose: Purpose::AnalysisComplaint,
        case: None,
        range_ms,
        policy,
    };
    vec![
        AuditEvent::emergency_declared(emergency, Digest([0xcd; 32])),
        AuditEvent::EmergencyLifted {
            emergency: emergency.id(),
        },
        AuditEvent::MonthsRemoved {
            chain: Chain::Calls,
            size: 3,
            chain_hash: Digest([0xcd; 32]),
            decision: Digest([0xef; 32]),
        },
        AuditEvent::MonthsGone {
            chain: Chain::Calls,
            through: "2023-10".parse().unwrap(),
        },
        AuditEvent::AuditExported {
            granted: Some(25),
            entries: 3,
            sha256: Digest([0xef; 32]),
        },
        granted(None),
        granted(Some((0, 60_000))),
        AuditEvent::ExportCompleted {
            recording,
            granted: 15,
            sha256: Digest([0xef; 32]),
            bytes: 1_920_044,
            range_ms: (0, 60_000),
        },
        AuditEvent::ExportFailed {
            recording,
            granted: 16,
            cause: ExportCause::WriteFailed,
            range_ms: None,
        },
        AuditEvent::Registered {
            change: Fact::Designated {
                person: "hanako".parse().unwrap(),
                period: Period::new("2026-11-25".parse().unwrap(), "2027-03-31".parse().unwrap())
                    .unwrap(),
            },
            policy,
        },
        registered(Fact::Trained {
            person: "hanako".parse().unwrap(),
            course: Digest([0xab; 32]).into(),
            on: "2026-11-20".parse().unwrap(),
        }),
        registered(Fact::VendorAttested {
            vendor: "bunseki".parse().unwrap(),
            kind: AttestedKind::Listed(Attestation::EncryptedStorage),
            until: "2027-03-31".parse().unwrap(),
        }),
        registered(Fact::HandOver(HandOverFact::Requested {
            hand_over,
            wish: Wished {
                to: Destination::Contract {
                    vendor: "bunseki".parse().unwrap(),
                    contract: "r8-1".parse().unwrap(),
                },
                purpose: Purpose::AnalysisInquiry,
                medium: Digest([12; 32]).into(),
                items: [recording].into(),
            },
        })),
        registered(Fact::HandOver(HandOverFact::Packaged {
            hand_over,
            copy,
            contents: Contents {
                sha256: Digest([0xcd; 32]),
                bytes: 1_920_700,
                code: Digest([0xef; 32]),
                items: [(recording, Digest([0xef; 32]))].into(),
            },
        })),
        registered(Fact::Copy(CopyFact::Destroyed {
            copy,
            how: Destruction::Certified {
                certificate: Digest([0xcd; 32]),
            },
        })),
        AuditEvent::LoggedIn,
        AuditEvent::LoginRefused {
            tried: Some("hanako".parse().unwrap()),
            code: RefusalCode::LoginFailed,
        },
        AuditEvent::LoggedOut,
        AuditEvent::PasswordSet {
            person: "hanako".parse().unwrap(),
        },
        AuditEvent::TotpOffered,
        AuditEvent::TotpEnrolled,
        AuditEvent::PlaybackEnded {
            recording,
            granted: 15,
            range_ms: (0, 12_000),
            cut: Some(RefusalCode::NotDesignated),
        },
        AuditEvent::SearchGranted {
            criteria: [Criterion::Caller, Criterion::Time].into(),
            purpose: Purpose::SubjectRights,
            policy,
        },
        AuditEvent::SearchEnded {
            granted: 24,
            found: 2,
            compared: 6_700,
            cut: None,
        },
        AuditEvent::NumberRevealed {
            recording,
            purpose: Purpose::StaffCheck,
            reason: Digest([0xcd; 32]),
            policy,
        },
        AuditEvent::TrailShown {
            chains: [Chain::Calls, Chain::Office].into(),
            from_seq: 1,
            policy,
        },
        AuditEvent::HearingsShown {
            recording,
            policy: Some(policy),
        },
        AuditEvent::SupervisionShown {
            month: "2026-10".parse().unwrap(),
            policy: Some(policy),
        },
        AuditEvent::StatementSigned {
            month: "2026-10".parse().unwrap(),
            sha256: Digest([0xef; 32]),
            policy: Some(policy),
        },
        AuditEvent::Registered {
            change: Fact::Policy(PolicyFact::Applied {
                decision: DecisionId::new(now(), 4),
                version: 2,
                terms: PolicyTerms {
                    retention_days: 60,
                    purposes: [Purpose::StaffCheck].into(),
                    prompts: [("recording-notice".parse().unwrap(), Digest([0xab; 32]))].into(),
                    bases: ["情報セキュリティポリシー".parse().unwrap()].into(),
                },
                text: Digest([0xcd; 32]),
            }),
            policy,
        },
        AuditEvent::Registered {
            change: Fact::Policy(PolicyFact::MeasureDecided {
                decision: DecisionId::new(now(), 5),
                basis: "情報セキュリティポリシー".parse().unwrap(),
                measure: Digest([0xef; 32]),
            }),
            policy: 2,
        },
        AuditEvent::Registered {
            change: Fact::SupervisionSigned {
                month: "2026-10".parse().unwrap(),
                report: Digest([0xab; 32]),
            },
            policy,
        },
        AuditEvent::Registered {
            change: Fact::MonthsForgotten {
                through: "2023-10".parse().unwrap(),
                decision: DecisionId::new(now(), 6),
                text: Digest([0xcd; 32]),
            },
            policy,
        },
        AuditEvent::Registered {
            change: Fact::MirrorEnded {
                mirror: "/mnt/keys".to_owned(),
                decision: DecisionId::new(now(), 7),
                text: Digest([0xce; 32]),
            },
            policy,
        },
        AuditEvent::ActionRefused {
            action: Action::DeclareEmergency,
            code: RefusalCode::RoleNotPermitted,
            policy,
        },
    ]
}
