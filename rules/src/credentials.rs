//! How a person is proved: password, one-time code, login session (要領 5-5, K-14). Nothing here hashes; `storage` says what was right and what was wrong.
//!
//! [`Proved`] is made by [`Trial::judge`] and [`LoginSession::judge`] and by nothing else.

mod enrolment;
mod password;

use std::time::Duration;

use jiff::{SignedDuration, Timestamp, ToSpan};

use crate::{
    access::{Action, Standing, standing_of},
    audit::Actor,
    ids::StaffId,
    people::Person,
    refusal::{Clause, Refusal, RefusalCode},
    register::Register,
};

pub use enrolment::{CodeConfirmation, CodeOffer};
pub use password::{NewPassword, REMEMBERED_PASSWORDS};

/// Somebody who was shown to be that person, just now. A value to be handed on by reference; it opens nothing by itself.
#[derive(Debug, PartialEq, Eq)]
#[must_use = "who is proved asks for something"]
pub struct Proved {
    person: StaffId,
    by: ProvedBy,
}

/// What showed who it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProvedBy {
    /// The password, and a code where codes are in force.
    Password,
    /// A login session.
    Session,
}

impl Proved {
    /// By what.
    pub fn by(&self) -> ProvedBy {
        self.by
    }

    /// Who.
    pub fn person(&self) -> &StaffId {
        &self.person
    }
}

/// Leave to change one's own password: the one that was right may be too old for anything else.
#[derive(Debug, PartialEq, Eq)]
#[must_use = "a renewal is moved into the new password"]
pub struct Renewal {
    person: StaffId,
}

impl Renewal {
    /// Whose; it is used up.
    pub fn into_person(self) -> StaffId {
        self.person
    }
}

/// Who owns the process that asks, as the kernel says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Host {
    /// Root.
    Superuser,
    /// The Unix user as whom the office runs: whoever set it up.
    Owner,
    /// Anybody else whom mode and group of the socket let in.
    User,
    /// The service, by itself.
    Service,
}

/// Whoever asks for something: a proved person, or the host's own user.
#[derive(Debug, Clone, Copy)]
pub struct Petitioner<'a> {
    /// The person.
    pub proved: Option<&'a Proved>,
    /// The Unix user.
    pub unix_user: &'a str,
    /// What that user is to the host.
    pub host: Host,
}

impl Petitioner<'_> {
    /// The service, for what it does by itself.
    pub fn service() -> Petitioner<'static> {
        Petitioner {
            proved: None,
            unix_user: "",
            host: Host::Service,
        }
    }

    /// For the audit entry.
    pub fn actor(&self) -> Actor {
        if self.host == Host::Service {
            return Actor::System;
        }
        Actor::Person {
            unix_user: self.unix_user.to_owned(),
            person: self.proved.map(|proved| proved.person.clone()),
        }
    }

    /// The person as the register has them.
    pub(crate) fn person<'r>(&self, register: &'r Register) -> Option<&'r Person> {
        self.proved
            .and_then(|proved| register.person(&proved.person))
    }

    pub(crate) fn standing(&self, person: Option<&Person>, action: Action) -> Standing {
        match (person, self.host) {
            (Some(person), _) => standing_of(person, action),
            (None, Host::Superuser) => Standing::Superuser,
            (None, Host::Owner) => Standing::OfficeUser,
            (None, Host::User) => Standing::HostUser,
            (None, Host::Service) => Standing::Service,
        }
    }
}

/// Who chose a password.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// The person, who alone knows it.
    Own,
    /// Somebody else, so it opens nothing but its own change.
    Issued,
}

/// The second factor of an account.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SecondFactor {
    /// None was enrolled.
    None,
    /// Codes of RFC 6238; the newest step that was used.
    Totp {
        /// Since 1970, in 30 s.
        last_step: Option<u64>,
    },
}

/// What is known about a person's password and code, without either.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Account {
    /// When the password was set.
    pub set_at: Timestamp,
    /// By whom.
    pub origin: Origin,
    /// The second factor.
    pub second: SecondFactor,
}

/// How long a password may be used (要領 5-5: 定期的に変更).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PasswordAge {
    days: u16,
}

const LONGEST_AGE_DAYS: u16 = 365; // A year is the longest that still is 定期的.
const USUAL_AGE_DAYS: u16 = 90; // K-14.

impl PasswordAge {
    /// So many days, 1 to 365.
    pub fn days(days: u16) -> Option<PasswordAge> {
        (1..=LONGEST_AGE_DAYS)
            .contains(&days)
            .then_some(PasswordAge { days })
    }

    fn is_over(self, set_at: Timestamp, now: Timestamp) -> bool {
        let age = SignedDuration::from_hours(24 * i64::from(self.days));
        set_at.checked_add(age).is_ok_and(|end| now >= end)
    }
}

impl Default for PasswordAge {
    /// 90 days.
    fn default() -> PasswordAge {
        PasswordAge {
            days: USUAL_AGE_DAYS,
        }
    }
}

/// What a look at the password said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PasswordFound {
    /// It is the person's.
    Right,
    /// It is not, or there is no such person.
    Wrong,
}

/// What a look at the code said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CodeFound {
    /// No code came.
    None,
    /// It is the code of no step around now.
    Wrong,
    /// It is the code of this step.
    Step(u64),
}

/// An id, a password and perhaps a code, as they were found.
#[derive(Debug, Clone)]
pub struct Trial<'a> {
    /// Whose they are said to be.
    pub person: &'a StaffId,
    /// The account, where there is one.
    pub account: Option<Account>,
    /// The password.
    pub password: PasswordFound,
    /// The code.
    pub code: CodeFound,
    /// How long a password may be used.
    pub age: PasswordAge,
}

impl Trial<'_> {
    /// Proves the person. Mind [`Attempts`] first, and keep the step that was used.
    ///
    /// # Errors
    /// `LOGIN_FAILED`, the same for an unknown id, a wrong password, a wrong, missing or used code; `PASSWORD_EXPIRED` where everything is right but the password too old or not the person's own.
    pub fn judge(&self, now: Timestamp) -> Result<Proved, Refusal> {
        let account = self.recognise()?;
        if account.origin == Origin::Issued || self.age.is_over(account.set_at, now) {
            return Err(refusal(RefusalCode::PasswordExpired));
        }
        Ok(Proved {
            person: self.person.clone(),
            by: ProvedBy::Password,
        })
    }

    /// Allows the person a new password, however old this one is.
    ///
    /// # Errors
    /// `LOGIN_FAILED`.
    pub fn renew(&self) -> Result<Renewal, Refusal> {
        self.recognise()?;
        Ok(Renewal {
            person: self.person.clone(),
        })
    }

    fn recognise(&self) -> Result<Account, Refusal> {
        let failed = || refusal(RefusalCode::LoginFailed);
        let account = self.account.ok_or_else(failed)?;
        let is_fresh = match (account.second, self.code) {
            (SecondFactor::None, _) => true,
            (SecondFactor::Totp { last_step }, CodeFound::Step(step)) => Some(step) > last_step,
            (SecondFactor::Totp { .. }, CodeFound::None | CodeFound::Wrong) => false,
        };
        if self.password == PasswordFound::Right && is_fresh {
            Ok(account)
        } else {
            Err(failed())
        }
    }
}

const TOTP_STEP_S: i64 = 30; // RFC 6238 section 5.2.

/// The steps whose codes are taken: the one of now, and one to either side for clocks that differ and for the way (RFC 6238 section 5.2).
pub fn totp_steps(now: Timestamp) -> impl Iterator<Item = u64> {
    let step = u64::try_from(now.as_second() / TOTP_STEP_S).unwrap_or(0);
    step.saturating_sub(1)..=step.saturating_add(1)
}

/// Wrong attempts on one account from one source. They delay and never lock: another source is not held up, and the emergency needs no password.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Attempts {
    /// In a row.
    pub failures: u32,
    /// When the last was.
    pub last_at: Option<Timestamp>,
}

const FREE_FAILURES: u32 = 3; // Everybody mistypes.
const LONGEST_DELAY: Duration = Duration::from_secs(300); // 288 guesses a day.

impl Attempts {
    /// Whether the next attempt is looked at.
    ///
    /// A clock that was put back before the last one says nothing about how long it is ago, and must not lock anybody out.
    ///
    /// # Errors
    /// `TOO_MANY_ATTEMPTS` while the delay lasts.
    pub fn judge(self, now: Timestamp) -> Result<(), Refusal> {
        let Some(last_at) = self.last_at else {
            return Ok(());
        };
        let waits = last_at
            .checked_add(self.delay())
            .is_ok_and(|until| (last_at..until).contains(&now));
        if waits {
            return Err(refusal(RefusalCode::TooManyAttempts));
        }
        Ok(())
    }

    /// One more was wrong.
    #[must_use]
    pub fn failed(self, now: Timestamp) -> Attempts {
        Attempts {
            failures: self.failures.saturating_add(1),
            last_at: Some(now),
        }
    }

    fn delay(self) -> Duration {
        match self.failures.checked_sub(FREE_FAILURES) {
            None => Duration::ZERO,
            Some(doublings) => Duration::from_secs(1)
                .saturating_mul(1_u32.checked_shl(doublings).unwrap_or(u32::MAX))
                .min(LONGEST_DELAY),
        }
    }
}

/// A login that goes on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoginSession {
    /// Whose.
    pub person: StaffId,
    /// Since when.
    pub began_at: Timestamp,
    /// When it was last used.
    pub seen_at: Timestamp,
}

const USE_KEPT_SECONDS: i64 = 10; // So much shorter than 15 minutes an unused session may be.
const IDLE_MINUTES: i64 = 15; // K-14.
const ABSOLUTE_HOURS: i64 = 8; // K-14: a working day.

impl LoginSession {
    /// The person, as long as the session lasts. Keep when it was used.
    ///
    /// # Errors
    /// `SESSION_OVER` after 15 minutes without use, after 8 hours, and with a clock that was put back before its beginning.
    pub fn judge(&self, now: Timestamp) -> Result<Proved, Refusal> {
        let idle = self.seen_at.checked_add(IDLE_MINUTES.minutes());
        let absolute = self.began_at.checked_add(ABSOLUTE_HOURS.hours());
        let goes_on = idle.is_ok_and(|end| now < end)
            && absolute.is_ok_and(|end| now < end)
            && self.began_at <= now;
        if goes_on {
            return Ok(Proved {
                person: self.person.clone(),
                by: ProvedBy::Session,
            });
        }
        Err(LoginSession::over())
    }

    /// Whether its use is to be kept: one that was kept a moment ago need not be, so that who hears piece by piece costs no row each.
    pub fn is_use_due(&self, now: Timestamp) -> bool {
        let next = self.seen_at.checked_add(USE_KEPT_SECONDS.seconds());
        next.is_ok_and(|next| next <= now)
    }

    /// The refusal of a session that is not there any more.
    pub fn over() -> Refusal {
        refusal(RefusalCode::SessionOver)
    }
}

fn refusal(code: RefusalCode) -> Refusal {
    Refusal::new(code, Clause::Rules5Security)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn now() -> Timestamp {
        "2026-11-24T03:00:00Z".parse().unwrap()
    }

    fn account(second: SecondFactor) -> Account {
        Account {
            set_at: now(),
            origin: Origin::Own,
            second,
        }
    }

    fn judged(
        account: Option<Account>,
        password: PasswordFound,
        code: CodeFound,
        at: Timestamp,
    ) -> Result<String, RefusalCode> {
        let trial = Trial {
            person: &"hanako".parse().unwrap(),
            account,
            password,
            code,
            age: PasswordAge::default(),
        };
        let proved = trial.judge(at).map_err(|refusal| refusal.code())?;
        Ok(proved.person().to_string())
    }

    #[test]
    fn an_unknown_id_a_wrong_password_and_a_wrong_code_are_told_alike() {
        use CodeFound::{None as NoCode, Step, Wrong};
        use PasswordFound::{Right, Wrong as Bad};
        let plain = Some(account(SecondFactor::None));
        let totp = Some(account(SecondFactor::Totp { last_step: Some(7) }));
        let failed = Err(RefusalCode::LoginFailed);
        let hanako = Ok("hanako".to_owned());
        for (account, password, code, expected) in [
            (None, Right, NoCode, &failed),
            (plain, Bad, NoCode, &failed),
            (plain, Right, NoCode, &hanako),
            (totp, Right, NoCode, &failed),
            (totp, Right, Wrong, &failed),
            (totp, Bad, Step(8), &failed),
            // A step is used once, and an older one never after a newer.
            (totp, Right, Step(7), &failed),
            (totp, Right, Step(6), &failed),
            (totp, Right, Step(8), &hanako),
        ] {
            assert_eq!(&judged(account, password, code, now()), expected);
        }
    }

    #[test]
    fn on_day_90_a_password_opens_nothing_but_its_change() {
        let own = Some(account(SecondFactor::None));
        let right = |account, at| judged(account, PasswordFound::Right, CodeFound::None, at);
        let day_90 = now() + SignedDuration::from_hours(90 * 24);
        assert!(right(own, day_90 - 1.nanosecond()).is_ok());
        assert_eq!(right(own, day_90), Err(RefusalCode::PasswordExpired));
        let issued = own.map(|account| Account {
            origin: Origin::Issued,
            ..account
        });
        assert_eq!(right(issued, now()), Err(RefusalCode::PasswordExpired));
        let person = "hanako".parse().unwrap();
        let trial = Trial {
            person: &person,
            account: issued,
            password: PasswordFound::Right,
            code: CodeFound::None,
            age: PasswordAge::default(),
        };
        assert_eq!(trial.renew().unwrap().into_person(), person);
        assert_eq!(PasswordAge::days(0), None);
        assert_eq!(PasswordAge::days(366), None);
    }

    #[test]
    fn wrong_attempts_delay_longer_and_longer_and_never_lock() {
        let mut attempts = Attempts::default();
        let mut delays = Vec::new();
        for _ in 0..14 {
            attempts = attempts.failed(now());
            let longest = (0..=400).find(|second| attempts.judge(now() + second.seconds()).is_ok());
            delays.push(longest.unwrap());
        }
        assert_eq!(
            delays,
            [0, 0, 1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300, 300]
        );
        let many = Attempts {
            failures: u32::MAX,
            ..attempts
        };
        assert!(many.judge(now() + 300.seconds()).is_ok());
        assert!(
            many.judge(now() - 1.second()).is_ok(),
            "the clock was put back"
        );
    }

    #[test]
    fn a_session_ends_by_rest_by_age_and_with_a_clock_put_back() {
        let session = |seen_at| LoginSession {
            person: "hanako".parse().unwrap(),
            began_at: now(),
            seen_at,
        };
        let code = |seen_at, at| {
            session(seen_at)
                .judge(at)
                .map(drop)
                .map_err(|refusal| refusal.code())
        };
        let over = Err(RefusalCode::SessionOver);
        assert_eq!(code(now(), now() + 15.minutes() - 1.nanosecond()), Ok(()));
        assert_eq!(code(now(), now() + 15.minutes()), over);
        let late = now() + 8.hours();
        assert_eq!(code(late - 1.second(), late - 1.nanosecond()), Ok(()));
        assert_eq!(code(late - 1.second(), late), over);
        assert_eq!(code(now(), now() - 1.nanosecond()), over);
    }

    #[test]
    fn codes_of_three_steps_are_taken() {
        let steps = |at: &str| totp_steps(at.parse().unwrap()).collect::<Vec<_>>();
        assert_eq!(steps("1970-01-01T00:00:59Z"), [0, 1, 2]);
        assert_eq!(steps("1970-01-01T00:00:00Z"), [0, 1]);
    }
}
