//! The oldest months of the trail go by the manager's decision, and none of them within its term (諮問書 7(1), K-15).
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails there")]

mod common;

use jiff::Timestamp;
use rules::{Action, DecisionId, Digest, Fact, JstMonth, Register, RegisterFault, access_table};

use common::now;

fn month(text: &str) -> JstMonth {
    text.parse().unwrap()
}

fn forgotten(through: &str) -> Fact {
    Fact::MonthsForgotten {
        through: month(through),
        decision: DecisionId::new(now(), 1),
        text: Digest([7; 32]),
    }
}

/// Whether it is new; else the refusal's code and clause.
fn asked(register: &Register, by: &str, through: &str, at: Timestamp) -> Result<bool, String> {
    let proved = common::proved(by);
    let petitioner = common::petitioner(&proved);
    let judged = register.judge_forgetting(&petitioner, month(through), at);
    match register.request(&petitioner, forgotten(through), at) {
        Ok(grant) => {
            assert_eq!(judged, Ok(()), "the plan is judged as the decision is");
            Ok(grant.is_some())
        }
        Err(RegisterFault::Refused(refusal)) => {
            assert_eq!(judged, Err(refusal));
            let clause = refusal.clause().japanese();
            Err(format!("{} {clause}", refusal.code().code()))
        }
        Err(fault) => panic!("{fault}"),
    }
}

#[test]
fn a_month_goes_by_the_managers_decision_from_the_instant_its_term_is_over() {
    let register = common::register();
    let over: Timestamp = "2026-11-30T15:00:00Z".parse().unwrap();
    assert_eq!(asked(&register, "kacho", "2023-11", over), Ok(true));
    let early = Err("NOT_DUE 諮問書7(1)".to_owned());
    let before = over - std::time::Duration::from_nanos(1);
    assert_eq!(asked(&register, "kacho", "2023-11", before), early);
    let by_others = Err("ROLE_NOT_PERMITTED 諮問書7(1)".to_owned());
    for other in ["hanako", "kanri"] {
        assert_eq!(asked(&register, other, "2023-11", over), by_others);
    }
}

#[test]
fn nobody_but_the_manager_may_and_not_by_deputy_or_root() {
    let lines = access_table().filter(|line| line.action == Action::ForgetMonths);
    let may = lines.filter(|line| line.verdict.is_ok());
    let may: Vec<_> = may
        .map(|line| (line.standing.code(), line.state.code()))
        .collect();
    assert_eq!(may, [("manager", "sound")]);
}

#[test]
fn a_decision_reaches_at_least_as_far_as_the_one_before_and_is_recorded_once() {
    let register = common::register_with(vec![forgotten("2023-09"), forgotten("2023-07")]);
    assert_eq!(register.forgotten().unwrap().through, month("2023-09"));
    for through in ["2023-07", "2023-09"] {
        assert_eq!(asked(&register, "kacho", through, now()), Ok(false));
    }
    assert_eq!(asked(&register, "kacho", "2023-10", now()), Ok(true));
}
