//! Who may do what: every standing, action and state, compared with a table that is read by people (K-08).
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails there")]

mod common;

use std::fmt::Write as _;

use expect_test::expect_file;
use jiff::{Timestamp, ToSpan};
use rules::{
    Action, Condition, Fact, Heard, ListenRequest, Purpose, RecordingState, Refusal, RefusalCode,
    Register, Role, StaffId, Standing, State, access_table,
};

use common::now;

fn verdict<T>(result: &Result<T, Refusal>) -> &'static str {
    match result {
        Ok(_) => "yes",
        Err(refusal) => refusal.code().code(),
    }
}

#[test]
fn the_table_is_the_citys() {
    let mut text = String::new();
    for line in access_table() {
        let (standing, action) = (line.standing.code(), line.action.code());
        let state = line.state.code();
        let verdict = verdict(&line.verdict);
        writeln!(text, "{standing:<18} {action:<21} {state:<22} {verdict}").unwrap();
    }
    expect_file!["access.table"].assert_eq(&text);
}

/// Nobody of the host's group by the group alone; root where a lost key or catalogue lets nobody be proved.
#[test]
fn who_reads_the_trail_touches_keys_and_says_that_the_clock_is_right() {
    let whom = |action: Action| {
        let lines = access_table().filter(|line| line.action == action && line.verdict.is_ok());
        let whom: Vec<_> = lines.map(|line| line.standing.code()).collect();
        whom.join(" ")
    };
    for action in [Action::ReadTrail, Action::ExportTrail] {
        assert_eq!(whom(action), "manager auditor superuser", "{action:?}");
    }
    for action in [
        Action::RotateKeys,
        Action::MirrorKeys,
        Action::EndMirror,
        Action::RecoverKeys,
        Action::BackUp,
        Action::Restore,
    ] {
        assert_eq!(whom(action), "administrator superuser", "{action:?}");
    }
    // Ids, days and counts, asked for without a person.
    for action in [Action::Reconcile, Action::SignHeads, Action::PlanDisposal] {
        assert_eq!(
            whom(action),
            "host_user office_user superuser",
            "{action:?}"
        );
    }
    for action in [Action::AcknowledgeDisposal, Action::ConfirmClock] {
        assert_eq!(whom(action), "manager manager deputy", "{action:?}");
    }
}

/// Whoever founds names the managers: not those who are in the group because they may declare an emergency.
#[test]
fn who_founds_runs_the_office_or_is_root() {
    let lines = access_table().filter(|line| line.action == Action::Found && line.verdict.is_ok());
    let whom: Vec<_> = lines.map(|line| line.standing.code()).collect();
    assert_eq!(whom, ["office_user", "superuser"]);
}

/// A list of requests, hand-overs or copies tells whose they are.
#[test]
fn staff_see_no_list_of_what_they_may_not_handle() {
    let lists = [
        Action::ListRequests,
        Action::ListHolds,
        Action::ListHandOvers,
        Action::ListCopies,
        Action::ReadWaivers,
    ];
    let demanded = [
        Condition::Designated,
        Condition::Trained,
        Condition::Acknowledged,
    ];
    let verdict = |role, action, state| {
        let of = |line: &rules::AccessLine| {
            (line.standing, line.action, line.state) == (Standing::Role(role), action, state)
        };
        access_table().find(of).map(|line| line.verdict.is_ok())
    };
    for action in lists {
        for role in [Role::Assistant, Role::ExchangeStaff] {
            if verdict(role, action, State::Sound) == Some(false) {
                continue;
            }
            for missing in demanded {
                let shown = verdict(role, action, State::Without(missing));
                assert_eq!(shown, Some(false), "{role} {action:?} {missing:?}");
            }
        }
    }
}

#[test]
fn a_login_that_ran_out_stops_no_emergency_and_a_wrong_password_does() {
    let declare = Action::DeclareEmergency;
    assert!(declare.goes_on_unnamed(RefusalCode::SessionOver));
    assert!(Action::LiftEmergency.goes_on_unnamed(RefusalCode::SessionOver));
    assert!(declare.goes_on_unnamed(RefusalCode::RoleEnded));
    assert!(!declare.goes_on_unnamed(RefusalCode::LoginFailed));
    assert!(!declare.goes_on_unnamed(RefusalCode::RoleNotPermitted));
    assert!(!Action::Dispose.goes_on_unnamed(RefusalCode::SessionOver));
    for code in RefusalCode::ALL {
        assert_eq!(RefusalCode::of(code.code()), Some(code));
    }
}

#[test]
fn exactly_these_ways_lead_to_what_was_said_and_to_who_called() {
    // What a standing does not need may be missing, so the lines that are counted are those of a purpose.
    let ways: Vec<_> = access_table()
        .filter(|line| matches!(line.state, State::For(_)) && line.verdict.is_ok())
        .filter(|line| line.action != Action::Find)
        .map(|line| (line.standing.code(), line.action.code(), line.state.code()))
        .collect();
    let expected = [
        ("manager", "listen", "ANALYSIS_INQUIRY"),
        ("manager", "listen", "ANALYSIS_COMPLAINT"),
        ("manager", "listen", "STAFF_CHECK"),
        ("manager", "listen", "UNREASONABLE_DEMAND"),
        ("manager", "listen", "STATUTE"),
        ("manager", "listen", "SUBJECT_RIGHTS"),
        ("manager", "reveal", "ANALYSIS_COMPLAINT"),
        ("manager", "reveal", "STAFF_CHECK"),
        ("manager", "request_hand_over", "ANALYSIS_INQUIRY"),
        ("manager", "request_hand_over", "ANALYSIS_COMPLAINT"),
        ("manager", "request_hand_over", "UNREASONABLE_DEMAND"),
        ("manager", "request_hand_over", "STATUTE"),
        ("manager", "request_hand_over", "SUBJECT_RIGHTS"),
        ("assistant", "listen", "ANALYSIS_INQUIRY"),
        ("assistant", "listen", "ANALYSIS_COMPLAINT"),
        ("assistant", "listen", "STAFF_CHECK"),
        ("assistant", "listen", "UNREASONABLE_DEMAND"),
        ("assistant", "listen", "STATUTE"),
        ("assistant", "listen", "SUBJECT_RIGHTS"),
        ("assistant", "listen_to_file", "ANALYSIS_INQUIRY"),
        ("assistant", "listen_to_file", "ANALYSIS_COMPLAINT"),
        ("assistant", "listen_to_file", "STAFF_CHECK"),
        ("assistant", "reveal", "ANALYSIS_COMPLAINT"),
        ("assistant", "reveal", "STAFF_CHECK"),
        ("assistant", "request_hand_over", "ANALYSIS_INQUIRY"),
        ("assistant", "request_hand_over", "ANALYSIS_COMPLAINT"),
        ("assistant", "request_hand_over", "UNREASONABLE_DEMAND"),
        ("assistant", "request_hand_over", "STATUTE"),
        ("assistant", "request_hand_over", "SUBJECT_RIGHTS"),
        ("exchange_staff", "listen", "STAFF_CHECK"),
        ("exchange_staff", "listen_to_file", "STAFF_CHECK"),
        ("exchange_staff", "reveal", "STAFF_CHECK"),
        ("vendor_supervisor", "listen", "ANALYSIS_INQUIRY"),
        ("vendor_supervisor", "listen", "ANALYSIS_COMPLAINT"),
    ];
    assert_eq!(ways, expected);
}

#[test]
fn no_administrator_has_a_way_to_content() {
    let administrator = Standing::Role(Role::Administrator);
    for line in access_table().filter(|line| line.standing == administrator) {
        let is_sound = line.state == State::Sound;
        assert!(!line.action.opens_content() || line.verdict.is_err());
        let grants = matches!(
            line.action,
            Action::Designate | Action::Appoint | Action::ApproveSupervisor
        );
        assert!(!(grants && is_sound) || line.verdict.is_err());
    }
    for role in Role::ALL {
        let added = Fact::PersonAdded {
            person: "new".parse().unwrap(),
            role,
            unit: common::unit(),
            vendor: None,
        };
        let proved = common::proved("kanri");
        let register = common::register();
        let granted = register.request(&common::petitioner(&proved), added, now());
        assert_eq!(granted.is_ok(), !role.opens_content(), "{role}");
    }
}

fn listen(
    register: &Register,
    by: Option<&str>,
    purpose: Option<Purpose>,
    heard: Heard,
    at: Timestamp,
) -> &'static str {
    let proved = by.map(common::proved);
    let request = ListenRequest {
        petitioner: rules::Petitioner {
            proved: proved.as_ref(),
            unix_user: "denwaban",
            host: rules::Host::User,
        },
        action: Action::Listen,
        heard,
        purpose,
        case: None,
        range_ms: None,
    };
    verdict(&request.judge(register, at))
}

#[test]
fn conditions_are_cumulative_and_asked_in_their_order() {
    let hanako: StaffId = "hanako".parse().unwrap();
    let withdrawn = Fact::Withdrawn { person: hanako };
    let undesignated = common::register_with(vec![withdrawn]);
    let sound = common::register();
    let inquiry = Some(Purpose::AnalysisInquiry);
    let wrong = Some(Purpose::Disposal);
    let gone = || Heard {
        state: RecordingState::Disposed,
        ..common::heard()
    };
    let elsewhere = || Heard {
        unit: "税務課".parse().unwrap(),
        ..gone()
    };
    let lapsed = now() + (24 * 365).hours();
    for (register, by, purpose, heard, at, expected) in [
        (&sound, None, None, elsewhere(), now(), "PURPOSE_REQUIRED"),
        (&sound, None, wrong, elsewhere(), now(), "PERSON_UNKNOWN"),
        (
            &sound,
            Some("ghost"),
            wrong,
            elsewhere(),
            now(),
            "PERSON_UNKNOWN",
        ),
        (
            &sound,
            Some("kanri"),
            wrong,
            elsewhere(),
            now(),
            "ROLE_NOT_PERMITTED",
        ),
        (
            &undesignated,
            Some("hanako"),
            wrong,
            elsewhere(),
            lapsed,
            "NOT_DESIGNATED",
        ),
        (
            &sound,
            Some("hanako"),
            wrong,
            elsewhere(),
            lapsed,
            "TRAINING_EXPIRED",
        ),
        (
            &sound,
            Some("hanako"),
            wrong,
            elsewhere(),
            now(),
            "PURPOSE_NOT_PERMITTED",
        ),
        (
            &sound,
            Some("hanako"),
            inquiry,
            elsewhere(),
            now(),
            "ORG_NOT_PERMITTED",
        ),
        (&sound, Some("hanako"), inquiry, gone(), now(), "DISPOSED"),
        (
            &sound,
            Some("hanako"),
            inquiry,
            common::heard(),
            now(),
            "yes",
        ),
        (
            &sound,
            Some("hanako"),
            inquiry,
            common::heard(),
            common::heard().expires_at,
            "DISPOSED",
        ),
    ] {
        assert_eq!(listen(register, by, purpose, heard, at), expected);
    }
}

#[test]
fn a_contractor_hears_inside_the_contract_and_nothing_else_is_there() {
    let day = |text: &str| text.parse::<rules::JstDay>().unwrap();
    let unapproved = common::register_with_supervisor();
    let sound = common::register_with_contractor();
    let lapsed = common::register_with_contractor_after(vec![common::attested("2026-11-23")]);
    let elsewhere = || Heard {
        called: rules::Number::parse("0783332000").ok(),
        ..common::heard()
    };
    let (inquiry, check) = (Some(Purpose::AnalysisInquiry), Some(Purpose::StaffCheck));
    let complaint = Some(Purpose::AnalysisComplaint);
    let ended = day("2026-12-01").start();
    for (register, purpose, heard, at, expected) in [
        (&unapproved, inquiry, common::heard(), now(), "NOT_APPROVED"),
        (&lapsed, inquiry, common::heard(), now(), "NOT_ATTESTED"),
        (&sound, inquiry, common::heard(), now(), "yes"),
        (&sound, inquiry, elsewhere(), now(), "OUT_OF_SCOPE"),
        (
            &sound,
            complaint,
            common::heard(),
            now(),
            "PURPOSE_NOT_PERMITTED",
        ),
        (
            &sound,
            check,
            common::heard(),
            now(),
            "PURPOSE_NOT_PERMITTED",
        ),
        (&sound, inquiry, common::heard(), ended - 1.second(), "yes"),
        (&sound, inquiry, common::heard(), ended, "CONTRACT_SCOPE"),
    ] {
        assert_eq!(
            listen(register, Some("kantoku"), purpose, heard, at),
            expected
        );
    }
}

#[test]
fn another_use_cannot_be_typed_in() {
    for purpose in Purpose::ALL {
        assert_eq!(purpose.code().parse(), Ok(purpose));
    }
    for (text, code) in [
        ("", "PURPOSE_REQUIRED"),
        ("\u{3000} ", "PURPOSE_REQUIRED"),
        ("SECONDARY_USE", "PURPOSE_NOT_PERMITTED"),
        ("二次利用", "PURPOSE_NOT_PERMITTED"),
        ("analysis_inquiry", "PURPOSE_NOT_PERMITTED"),
        ("MARKETING", "PURPOSE_NOT_PERMITTED"),
    ] {
        let refusal = text.parse::<Purpose>().unwrap_err();
        assert_eq!(refusal.code().code(), code);
        assert!(refusal.japanese().starts_with("要領第5条第2項により、"));
    }
}
