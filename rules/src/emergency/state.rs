//! What is declared, and its file: the state that outlives a restart.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::{Declaration, Emergency, EmergencyFault, MAX_DECLARED, Scope};
use crate::{
    ids::{EmergencyId, StaffId},
    number::Number,
    text::{OneLine, TextFault},
};

const DEFAULT_DURATION: Duration = Duration::from_secs(4 * 3600); // K-05: four hours unless said otherwise.
const LONGEST_DURATION: Duration = Duration::from_secs(24 * 3600); // K-05: at most a day; it can be declared again.
const SHORTEST_DURATION: Duration = Duration::from_secs(1); // Shorter than that is a slip of the unit.

/// What is declared at present, at most one emergency for each scope.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Saved")]
pub struct EmergencyState {
    declared: Vec<Emergency>,
}

impl EmergencyState {
    /// Declares an emergency. One of the same scope is renewed: the new one takes its place and names it.
    ///
    /// # Errors
    /// [`EmergencyFault`] without a reason, or for longer than 24 h; what was declared stays as it was.
    pub fn declare(
        &mut self,
        declaration: Declaration,
        now: Timestamp,
    ) -> Result<&Emergency, EmergencyFault> {
        let Declaration {
            id,
            scope,
            reason,
            duration,
            declared_by,
            unix_user,
        } = declaration;
        let reason = OneLine::read(&reason)?.as_str().to_owned();
        let duration = duration.unwrap_or(DEFAULT_DURATION);
        if !(SHORTEST_DURATION..=LONGEST_DURATION).contains(&duration) {
            return Err(EmergencyFault::Duration {
                found_s: duration.as_secs(),
            });
        }
        let place = self
            .declared
            .iter()
            .position(|emergency| emergency.scope == scope);
        if place.is_none() && self.declared.len() >= MAX_DECLARED {
            return Err(EmergencyFault::TooMany);
        }
        let replaces = place.map(|place| self.declared.remove(place).id);
        let expires = now.saturating_add(duration).unwrap_or(Timestamp::MAX);
        let emergency = Emergency {
            id,
            scope,
            reason,
            declared_by,
            unix_user,
            declared: now,
            started: now,
            expires,
            replaces,
        };
        self.declared.push(emergency);
        Ok(self.declared.last().expect("it has just been pushed"))
    }

    /// Ends the emergency of this scope, or every one if no scope is named, and returns what ended.
    ///
    /// # Errors
    /// [`EmergencyFault::NothingDeclared`] where there is none.
    pub fn lift(&mut self, scope: Option<&Scope>) -> Result<Vec<Emergency>, EmergencyFault> {
        let lifted: Vec<_> = self
            .declared
            .extract_if(.., |emergency| {
                scope.is_none_or(|scope| emergency.scope == *scope)
            })
            .collect();
        if lifted.is_empty() {
            Err(EmergencyFault::NothingDeclared)
        } else {
            Ok(lifted)
        }
    }

    /// Takes out one emergency that has ended by itself. Ask until there is none: each is audited.
    pub fn expire(&mut self, now: Timestamp) -> Option<Emergency> {
        let place = self
            .declared
            .iter()
            .position(|emergency| !emergency.is_in_force(now))?;
        Some(self.declared.remove(place))
    }

    /// The emergency under which a call to this number stands, the narrower scope first.
    pub fn in_force(&self, called: &Number, now: Timestamp) -> Option<&Emergency> {
        let mut covering = self
            .declared
            .iter()
            .filter(|emergency| emergency.is_in_force(now) && emergency.scope.covers(called));
        covering
            .clone()
            .find(|emergency| emergency.scope != Scope::All)
            .or_else(|| covering.next())
    }

    /// Everything declared, in the order of declaration, what has ended but was not yet taken out included.
    pub fn declared(&self) -> &[Emergency] {
        &self.declared
    }

    /// When the next one ends.
    pub fn next_expiry(&self) -> Option<Timestamp> {
        self.declared.iter().map(Emergency::expires).min()
    }

    /// Moves beginnings and ends along with a step of the wall clock, so that what is left stays what it was. Save the state afterwards.
    ///
    /// `step`: the clock after the step less the clock as it would have been. Tell it before [`Self::expire`] sees the new time.
    pub fn handle_clock_step(&mut self, step: SignedDuration) {
        for emergency in &mut self.declared {
            emergency.shift(step);
        }
    }

    /// Looks at what was read back after a restart. A clock behind an emergency's beginning was put back meanwhile: the emergency then begins now,
    /// so that it lasts its own length at most and not that length and the step.
    pub fn handle_restart(&mut self, now: Timestamp) {
        for emergency in &mut self.declared {
            let ahead = now.duration_until(emergency.started);
            if ahead.is_positive() {
                emergency.shift(-ahead);
            }
        }
    }
}

/// The file's form, checked before it counts.
#[derive(Deserialize)]
struct Saved {
    declared: Vec<SavedEmergency>,
}

#[derive(Deserialize)]
struct SavedEmergency {
    id: EmergencyId,
    scope: Scope,
    reason: String,
    declared_by: Option<StaffId>,
    unix_user: String,
    declared: Timestamp,
    started: Timestamp,
    expires: Timestamp,
    replaces: Option<EmergencyId>,
}

impl TryFrom<Saved> for EmergencyState {
    type Error = EmergencyFault;

    fn try_from(saved: Saved) -> Result<EmergencyState, EmergencyFault> {
        if saved.declared.len() > MAX_DECLARED {
            return Err(EmergencyFault::TooMany);
        }
        let declared = saved
            .declared
            .into_iter()
            .map(SavedEmergency::check)
            .collect::<Result<_, _>>()?;
        Ok(EmergencyState { declared })
    }
}

impl SavedEmergency {
    fn check(self) -> Result<Emergency, EmergencyFault> {
        let SavedEmergency {
            id,
            scope,
            reason,
            declared_by,
            unix_user,
            declared,
            started,
            expires,
            replaces,
        } = self;
        let length = started.duration_until(expires);
        // What was declared stays declared, whatever an earlier version took for a reason.
        if reason.trim().is_empty() {
            return Err(TextFault::Blank.into());
        }
        match length.try_into() {
            Ok(length) if (SHORTEST_DURATION..=LONGEST_DURATION).contains(&length) => {}
            Ok(_) | Err(_) => {
                return Err(EmergencyFault::Duration {
                    found_s: u64::try_from(length.as_secs()).unwrap_or(0),
                });
            }
        }
        Ok(Emergency {
            id,
            scope,
            reason,
            declared_by,
            unix_user,
            declared,
            started,
            expires,
            replaces,
        })
    }
}

#[cfg(test)]
mod tests {
    use jiff::ToSpan;

    use super::*;

    const HOUR: Duration = Duration::from_secs(3600);

    fn now() -> Timestamp {
        "2026-11-24T00:00:00Z".parse().unwrap()
    }

    fn number(text: &str) -> Number {
        Number::parse(text).unwrap()
    }

    fn declaration(id: u128, scope: Scope, duration: Option<Duration>) -> Declaration {
        Declaration {
            id: EmergencyId::new(now(), id),
            scope,
            reason: "地震のため".to_owned(),
            duration,
            declared_by: Some("toban".parse().unwrap()),
            unix_user: "root".to_owned(),
        }
    }

    fn state(duration: Option<Duration>) -> EmergencyState {
        let mut state = EmergencyState::default();
        state
            .declare(declaration(1, Scope::All, duration), now())
            .unwrap();
        state
    }

    fn is_in_force(state: &EmergencyState, at: Timestamp) -> bool {
        state.in_force(&number("0783331000"), at).is_some()
    }

    #[test]
    fn an_emergency_holds_four_hours_unless_said_otherwise_and_ends_by_itself() {
        let mut state = state(None);
        let end = now() + 4.hours();
        assert!(is_in_force(&state, end - 1.nanosecond()));
        assert!(!is_in_force(&state, end));
        assert_eq!(state.next_expiry(), Some(end));
        assert_eq!(state.expire(end - 1.nanosecond()), None);
        assert_eq!(state.expire(end).unwrap().id(), EmergencyId::new(now(), 1));
        assert_eq!(state.expire(end), None);
        assert_eq!(state, EmergencyState::default());
    }

    #[test]
    fn an_emergency_lasts_at_most_a_day_and_needs_a_reason() {
        let mut state = EmergencyState::default();
        let mut declare = |declaration| state.declare(declaration, now()).map(Emergency::id);
        let day = 24 * HOUR;
        for length in [
            Duration::ZERO,
            Duration::from_millis(999),
            day + Duration::from_nanos(1),
            Duration::MAX,
        ] {
            let refused = declare(declaration(1, Scope::All, Some(length))).unwrap_err();
            assert_eq!(
                refused,
                EmergencyFault::Duration {
                    found_s: length.as_secs()
                }
            );
            assert_eq!(refused.refusal().unwrap().code().status(), 422);
        }
        for (reason, fault) in [
            ("", TextFault::Blank),
            (" \u{3000}\n", TextFault::Blank),
            ("\u{200b}", TextFault::Blank),
            ("地震\n解除", TextFault::NotOneLine),
        ] {
            let refused = declare(Declaration {
                reason: reason.to_owned(),
                ..declaration(1, Scope::All, None)
            })
            .unwrap_err();
            assert_eq!(refused, EmergencyFault::Reason(fault));
            assert_eq!(refused.refusal().unwrap().code().code(), "REASON_REQUIRED");
        }
        let long = Declaration {
            reason: "あ".repeat(2_001),
            ..declaration(1, Scope::All, None)
        };
        let found_characters = 2_001;
        let fault = TextFault::TooLong { found_characters };
        assert_eq!(declare(long), Err(EmergencyFault::Reason(fault)));
        assert!(declare(declaration(1, Scope::All, Some(day))).is_ok());
    }

    #[test]
    fn a_refused_declaration_leaves_what_is_declared() {
        let mut state = state(None);
        let before = state.clone();
        state
            .declare(declaration(2, Scope::All, Some(25 * HOUR)), now())
            .unwrap_err();
        assert_eq!(state, before);
    }

    #[test]
    fn an_emergency_for_one_number_touches_no_other() {
        let mut state = EmergencyState::default();
        let scope = Scope::Number(number("0783331001"));
        state
            .declare(declaration(1, scope.clone(), None), now())
            .unwrap();
        assert!(state.in_force(&number("+81 78 333 1001"), now()).is_some());
        assert!(state.in_force(&number("0783331002"), now()).is_none());
        state
            .declare(declaration(2, Scope::All, None), now())
            .unwrap();
        assert_eq!(
            state
                .in_force(&number("0783331001"), now())
                .unwrap()
                .scope(),
            &scope,
            "the narrower comes first"
        );
        assert_eq!(
            state
                .in_force(&number("0783331002"), now())
                .unwrap()
                .scope(),
            &Scope::All
        );
    }

    #[test]
    fn declaring_again_renews_and_names_what_it_renews() {
        let mut state = state(Some(24 * HOUR));
        let later = now() + 20.hours();
        let renewed = state
            .declare(declaration(2, Scope::All, Some(24 * HOUR)), later)
            .unwrap();
        assert_eq!(renewed.replaces(), Some(EmergencyId::new(now(), 1)));
        assert_eq!(renewed.expires(), later + 24.hours());
        assert_eq!(state.declared().len(), 1);
    }

    #[test]
    fn lifting_ends_one_scope_or_all() {
        let mut state = state(None);
        let scope = Scope::Number(number("0783331001"));
        state
            .declare(declaration(2, scope.clone(), None), now())
            .unwrap();
        assert_eq!(state.lift(Some(&Scope::All)).unwrap().len(), 1);
        assert_eq!(
            state.lift(Some(&Scope::All)),
            Err(EmergencyFault::NothingDeclared)
        );
        assert!(state.in_force(&number("0783331001"), now()).is_some());
        assert_eq!(state.lift(None).unwrap()[0].scope(), &scope);
        assert_eq!(state.lift(None), Err(EmergencyFault::NothingDeclared));
    }

    #[test]
    fn there_is_a_limit_to_scopes_and_renewing_is_always_possible() {
        let mut state = EmergencyState::default();
        let line = |index: usize| Scope::Number(number(&format!("078333{index:04}")));
        for index in 0..MAX_DECLARED {
            state
                .declare(declaration(1, line(index), None), now())
                .unwrap();
        }
        assert_eq!(
            state.declare(declaration(2, Scope::All, None), now()),
            Err(EmergencyFault::TooMany)
        );
        assert!(state.declare(declaration(3, line(0), None), now()).is_ok());
    }

    #[test]
    fn a_step_of_the_clock_neither_prolongs_nor_shortens() {
        // The clock is put on or back by up to a week in the middle of four hours, of which one has passed.
        for step_hours in [-168, -25, -4, -1, 0, 1, 3, 4, 25, 168] {
            let mut state = state(None);
            let step = SignedDuration::from_hours(step_hours);
            let after = now() + 1.hour() + step;
            state.handle_clock_step(step);
            assert!(is_in_force(&state, after), "{step_hours} h");
            assert!(
                is_in_force(&state, after + 3.hours() - 1.second()),
                "{step_hours} h"
            );
            assert!(!is_in_force(&state, after + 3.hours()), "{step_hours} h");
            let emergency = &state.declared()[0];
            assert_eq!(emergency.declared(), now());
            assert_eq!(
                emergency.started().duration_until(emergency.expires()),
                SignedDuration::from_hours(4)
            );
        }
    }

    #[test]
    fn steps_at_the_ends_of_time_do_not_prolong() {
        let mut state = state(Some(24 * HOUR));
        for step in [
            SignedDuration::MAX,
            SignedDuration::MIN,
            SignedDuration::from_hours(70_000_000),
        ] {
            state.handle_clock_step(step);
            let emergency = &state.declared()[0];
            assert!(
                emergency.started().duration_until(emergency.expires())
                    <= SignedDuration::from_hours(24)
            );
        }
    }

    #[test]
    fn a_clock_put_back_while_we_were_down_cannot_prolong_beyond_the_emergencys_own_length() {
        let mut state = state(Some(24 * HOUR));
        let much_earlier = now() - (24 * 30).hours();
        state.handle_restart(much_earlier);
        assert!(is_in_force(&state, much_earlier), "it has not ended either");
        assert!(!is_in_force(&state, much_earlier + 24.hours()));
        let unmoved = state.clone();
        state.handle_restart(much_earlier + 5.hours());
        assert_eq!(state, unmoved, "a restart with a sound clock moves nothing");
    }

    #[test]
    fn what_is_declared_survives_a_restart() {
        let mut state = state(None);
        state
            .declare(
                declaration(2, Scope::Number(number("0783331001")), Some(HOUR)),
                now(),
            )
            .unwrap();
        let file = serde_json::to_string(&state).unwrap();
        assert_eq!(
            serde_json::from_str::<EmergencyState>(&file).unwrap(),
            state
        );
    }

    #[test]
    fn a_file_that_says_more_than_could_be_declared_is_refused() {
        let file = serde_json::to_string(&state(None)).unwrap();
        assert!(file.contains("2026-11-24T04:00:00Z"));
        for (sound, forged) in [
            ("2026-11-24T04:00:00Z", "2026-11-25T00:00:01Z"),
            ("2026-11-24T04:00:00Z", "2026-11-23T04:00:00Z"),
            ("地震のため", " "),
        ] {
            assert!(
                serde_json::from_str::<EmergencyState>(&file.replace(sound, forged)).is_err(),
                "{forged}"
            );
        }
    }

    #[test]
    fn reason_and_number_are_in_no_debug_text() {
        let scope = Scope::Number(number("0783331001"));
        let mut state = EmergencyState::default();
        let shown = format!("{:?}", declaration(1, scope.clone(), None));
        state.declare(declaration(1, scope, None), now()).unwrap();
        for shown in [shown, format!("{state:?}")] {
            assert!(
                !shown.contains("地震") && !shown.contains("3331001"),
                "{shown}"
            );
        }
    }

    #[test]
    fn scopes_are_read_as_they_are_typed() {
        assert_eq!("all".parse(), Ok(Scope::All));
        assert_eq!(
            "078-333-1001".parse(),
            Ok(Scope::Number(number("0783331001")))
        );
        assert!("ward:chuo".parse::<Scope>().is_err());
    }
}
