//! The enrolment of one-time codes (K-14): offered, and in force once a code of them was typed in.

use jiff::{SignedDuration, Timestamp};

use super::{CodeFound, Proved, ProvedBy, SecondFactor, refusal};
use crate::{
    ids::StaffId,
    refusal::{Refusal, RefusalCode},
};

/// Codes that were offered to a person. Until they are confirmed, whatever proved the person before goes on doing so.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CodeOffer {
    offered_at: Timestamp,
}

const OFFER_LASTS: SignedDuration = SignedDuration::from_mins(15); // As long as a permit: time to find the telephone, and no more.

impl CodeOffer {
    /// Offered then.
    pub fn new(offered_at: Timestamp) -> CodeOffer {
        CodeOffer { offered_at }
    }

    /// Offers codes to whoever is proved.
    ///
    /// Codes in force are replaced by whoever shows one of them, so a login that somebody else took over replaces none. Whoever has lost them
    /// is given a new password by another person, which takes them away.
    ///
    /// # Errors
    /// `PERSON_UNKNOWN`: the person shows password and code with this very request.
    pub fn judge(
        proved: &Proved,
        second: SecondFactor,
        now: Timestamp,
    ) -> Result<CodeOffer, Refusal> {
        match (second, proved.by()) {
            (SecondFactor::None, _) | (SecondFactor::Totp { .. }, ProvedBy::Password) => {
                Ok(CodeOffer::new(now))
            }
            (SecondFactor::Totp { .. }, ProvedBy::Session) => Err(Refusal::nobody()),
        }
    }

    /// What was offered then or before can be confirmed no more.
    pub fn oldest_open(now: Timestamp) -> Timestamp {
        now.checked_sub(OFFER_LASTS).unwrap_or(Timestamp::MIN)
    }

    /// When.
    pub fn offered_at(self) -> Timestamp {
        self.offered_at
    }

    /// Whether it can still be confirmed. A clock that was put back makes no offer longer.
    pub fn is_open(self, now: Timestamp) -> bool {
        now >= self.offered_at && now.duration_since(self.offered_at) < OFFER_LASTS
    }

    /// Confirms it, by a code that the person read where the secret was entered.
    ///
    /// # Errors
    /// `LOGIN_FAILED` where the code is none of the offered ones, or the offer is over.
    pub fn confirm(
        self,
        person: &StaffId,
        code: CodeFound,
        now: Timestamp,
    ) -> Result<CodeConfirmation, Refusal> {
        match code {
            CodeFound::Step(step) if self.is_open(now) => Ok(CodeConfirmation {
                person: person.clone(),
                step,
            }),
            CodeFound::Step(_) | CodeFound::None | CodeFound::Wrong => {
                Err(refusal(RefusalCode::LoginFailed))
            }
        }
    }
}

/// Leave to put offered codes in force. It is moved into the record.
#[derive(Debug)]
#[must_use = "a confirmation is moved into the codes that it puts in force"]
pub struct CodeConfirmation {
    person: StaffId,
    step: u64,
}

impl CodeConfirmation {
    /// Whose codes.
    pub fn person(&self) -> &StaffId {
        &self.person
    }

    /// The step whose code was typed in; it proves nobody a second time.
    pub fn step(&self) -> u64 {
        self.step
    }
}

#[cfg(test)]
mod tests {
    use jiff::ToSpan;

    use super::*;

    #[test]
    fn a_login_alone_replaces_no_codes_that_are_in_force() {
        let now: Timestamp = "2026-11-24T00:00:00Z".parse().unwrap();
        let offer = |by, second| {
            let person = "hanako".parse().unwrap();
            let offered = CodeOffer::judge(&Proved { person, by }, second, now);
            offered.map_err(|refusal| refusal.code())
        };
        let enrolled = SecondFactor::Totp { last_step: Some(7) };
        let offered = Ok(CodeOffer::new(now));
        assert_eq!(offer(ProvedBy::Session, SecondFactor::None), offered);
        assert_eq!(offer(ProvedBy::Password, SecondFactor::None), offered);
        assert_eq!(
            offer(ProvedBy::Password, enrolled),
            offered,
            "a code was with it"
        );
        let refused = Err(RefusalCode::PersonUnknown);
        assert_eq!(offer(ProvedBy::Session, enrolled), refused);
    }

    #[test]
    fn only_a_code_of_what_was_offered_confirms_it_and_only_for_a_quarter_of_an_hour() {
        let offered: Timestamp = "2026-11-24T00:00:00Z".parse().unwrap();
        let hanako = "hanako".parse().unwrap();
        let confirm = |code, now| {
            let confirmed = CodeOffer::new(offered).confirm(&hanako, code, now);
            confirmed
                .map(|confirmation| confirmation.step())
                .map_err(|refusal| refusal.code())
        };
        let failed = Err(RefusalCode::LoginFailed);
        let last = offered + 15.minutes() - 1.nanoseconds();
        assert_eq!(confirm(CodeFound::Step(7), offered), Ok(7));
        assert_eq!(confirm(CodeFound::Step(7), last), Ok(7));
        assert_eq!(confirm(CodeFound::Step(7), offered + 15.minutes()), failed);
        assert_eq!(confirm(CodeFound::Step(7), offered - 1.seconds()), failed);
        assert_eq!(confirm(CodeFound::Wrong, offered), failed);
        assert_eq!(confirm(CodeFound::None, offered), failed);
    }
}
