//! Who may do what: every role, action, purpose, state and condition, compared with tables that are read by people.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails there")]

use std::fmt::Write as _;

use expect_test::expect_file;
use jiff::{Timestamp, ToSpan, civil::date};
use rules::{
    Action, JstDay, ListenRequest, Purpose, RecordingId, RecordingState, Refusal, Role,
    StaffMember, may, request_listen,
};

fn now() -> Timestamp {
    "2026-11-24T03:00:00Z".parse().unwrap()
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

fn request(
    person: Option<&StaffMember>,
    purpose: Option<Purpose>,
    state: RecordingState,
) -> ListenRequest<'_> {
    let recording = RecordingId::new(now(), 1);
    ListenRequest {
        person,
        unix_user: "root",
        recording,
        state,
        expires_at: now() + 720.hours(),
        purpose,
        range_ms: None,
    }
}

fn verdict<T>(result: &Result<T, Refusal>) -> &'static str {
    match result {
        Ok(_) => "yes",
        Err(refusal) => refusal.code().code(),
    }
}

#[test]
fn the_table_of_roles_and_actions_is_the_citys() {
    let mut text = String::from("role               action             verdict\n");
    for role in Role::ALL {
        for action in Action::ALL {
            let verdict = verdict(&may(Some(&person(role)), action));
            writeln!(text, "{:<18} {:<18} {verdict}", role.code(), action.code()).unwrap();
        }
    }
    for action in Action::ALL {
        writeln!(
            text,
            "{:<18} {:<18} {}",
            "(the host's user)",
            action.code(),
            verdict(&may(None, action))
        )
        .unwrap();
    }
    expect_file!["actions.table"].assert_eq(&text);
}

#[test]
fn the_table_of_listening_to_a_file_is_the_citys() {
    let mut text = String::from("role               purpose              state       verdict\n");
    for role in Role::ALL {
        let person = person(role);
        for purpose in Purpose::ALL.into_iter().map(Some).chain([None]) {
            let purpose_code = purpose.map_or("(none)", Purpose::code);
            for state in RecordingState::ALL {
                let result = request_listen(&request(Some(&person), purpose, state), now());
                writeln!(
                    text,
                    "{:<18} {purpose_code:<20} {state:<11} {}",
                    role.code(),
                    verdict(&result)
                )
                .unwrap();
            }
        }
    }
    expect_file!["access.table"].assert_eq(&text);
}

#[test]
fn exactly_four_ways_lead_to_a_closed_recording() {
    let mut ways = Vec::new();
    for role in Role::ALL {
        for purpose in Purpose::ALL {
            if request_listen(
                &request(Some(&person(role)), Some(purpose), RecordingState::Sealed),
                now(),
            )
            .is_ok()
            {
                ways.push((role.code(), purpose.code()));
            }
        }
    }
    let expected = [
        ("assistant", "ANALYSIS_INQUIRY"),
        ("assistant", "ANALYSIS_COMPLAINT"),
        ("assistant", "STAFF_CHECK"),
        ("exchange_staff", "STAFF_CHECK"),
    ];
    assert_eq!(ways, expected);
}

#[test]
fn conditions_are_cumulative_and_asked_in_their_order() {
    let sound = person(Role::Assistant);
    let untrained = StaffMember {
        trained_on: None,
        ..sound.clone()
    };
    let lapsed = StaffMember {
        trained_on: Some(date(2025, 11, 24)),
        ..sound.clone()
    };
    let undesignated = StaffMember {
        designated_on: None,
        ..untrained.clone()
    };
    let early = StaffMember {
        designated_on: Some(date(2026, 11, 25)),
        ..sound.clone()
    };
    let outsider = StaffMember {
        role: Role::Administrator,
        ..undesignated.clone()
    };
    let purpose = Some(Purpose::AnalysisInquiry);
    let wrong = Some(Purpose::Statute);
    for (person, purpose, state, expected) in [
        (None, None, RecordingState::Disposed, "PURPOSE_REQUIRED"),
        (None, wrong, RecordingState::Disposed, "PERSON_UNKNOWN"),
        (
            Some(&outsider),
            wrong,
            RecordingState::Disposed,
            "ROLE_NOT_PERMITTED",
        ),
        (
            Some(&undesignated),
            wrong,
            RecordingState::Disposed,
            "NOT_DESIGNATED",
        ),
        (
            Some(&early),
            wrong,
            RecordingState::Disposed,
            "NOT_DESIGNATED",
        ),
        (
            Some(&untrained),
            wrong,
            RecordingState::Disposed,
            "TRAINING_EXPIRED",
        ),
        (
            Some(&lapsed),
            wrong,
            RecordingState::Disposed,
            "TRAINING_EXPIRED",
        ),
        (
            Some(&sound),
            wrong,
            RecordingState::Disposed,
            "PURPOSE_NOT_PERMITTED",
        ),
        (Some(&sound), purpose, RecordingState::Disposed, "DISPOSED"),
        (Some(&sound), purpose, RecordingState::Sealed, "yes"),
    ] {
        assert_eq!(
            verdict(&request_listen(&request(person, purpose, state), now())),
            expected
        );
    }
}

#[test]
fn from_its_expiry_on_a_recording_is_gone_whether_or_not_it_was_swept() {
    let person = person(Role::Assistant);
    for state in [
        RecordingState::Open,
        RecordingState::Sealed,
        RecordingState::Recovered,
        RecordingState::Disposed,
    ] {
        let late = ListenRequest {
            expires_at: now(),
            ..request(Some(&person), Some(Purpose::StaffCheck), state)
        };
        let refusal = request_listen(&late, now()).unwrap_err();
        assert_eq!(
            (refusal.code().code(), refusal.code().status()),
            ("DISPOSED", 410)
        );
    }
}

#[test]
fn a_day_of_training_is_a_day_of_the_city() {
    let person = StaffMember {
        trained_on: Some(date(2025, 11, 25)),
        ..person(Role::Assistant)
    };
    let midnight = JstDay::on(date(2026, 11, 25)).start();
    let ask = |at| {
        request_listen(
            &request(
                Some(&person),
                Some(Purpose::StaffCheck),
                RecordingState::Sealed,
            ),
            at,
        )
    };
    assert_eq!(verdict(&ask(midnight - 1.nanosecond())), "yes");
    assert_eq!(verdict(&ask(midnight)), "TRAINING_EXPIRED");
}

#[test]
fn another_use_cannot_be_typed_in() {
    for purpose in Purpose::ALL {
        assert_eq!(purpose.code().parse(), Ok(purpose));
    }
    for text in [
        "",
        "SECONDARY_USE",
        "二次利用",
        "analysis_inquiry",
        "MARKETING",
    ] {
        let refusal = text.parse::<Purpose>().unwrap_err();
        assert_eq!(refusal.code().code(), "PURPOSE_NOT_PERMITTED");
        assert!(refusal.japanese().starts_with("要領第5条第2項により、"));
    }
}
