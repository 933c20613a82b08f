//! Being registered with a peer: asking in time, taking what the registrar grants, and asking again when it refuses (S-11).
//!
//! Pure conversation: it says what to ask and reads the answers; `peers.rs` sends. The digest is the endpoint's.
//! What is held and what is being said are two things: a registration stands while its refresh is still on the way.
//! Follows RFC 3261 section 10 with RFCs 3327, 3608 and 7315 section 4.1; the waits are Retry-After's (RFC 3261 section 20.33), else RFC 5626's.

mod grant;

use std::time::{Duration, Instant};

use rand_core::Rng;
use rules::Number;
use sip_core::{HeaderName, Message, SentId};

use self::grant::Grant;
use crate::{
    health::{Ailment, Unreachable},
    retry_after::{RetryAfter, delta_seconds},
    route::PATIENCE,
    trunk::Registration,
};

/// After n failures in a row we wait half to all of the base times 2^n, at most this (RFC 5626 section 4.5).
const LONGEST_WAIT: Duration = Duration::from_secs(1_800);
const BASE_WAIT: Duration = Duration::from_secs(30);

/// A registrar may ask for a longer registration than this; it does not get it.
const LONGEST_EXPIRES: Duration = Duration::from_secs(7 * 86_400);

/// A registration that holds for longer than twice this is refreshed so long before its end, a shorter one at its half
/// (3GPP TS 24.229 section 5.1.1.4.1).
const MARGIN: Duration = Duration::from_secs(600);

/// But no sooner after the last one, however little was granted, or asked for by Retry-After.
const SHORTEST_PAUSE: Duration = Duration::from_secs(5);

/// Letters of a random Contact: enough that nobody finds it by guessing (26^16 is 75 bits).
const CONTACT_LETTERS: usize = 16;

/// A registration and the conversation about it.
#[derive(Debug)]
pub(crate) struct Registrar {
    settings: Registration,
    contact_user: String,
    /// What we ask for: more than configured where the registrar wants more.
    wanted: Duration,
    failures: u32,
    talk: Talk,
    held: Option<Held>,
}

/// What is being said.
#[derive(Debug)]
enum Talk {
    /// Nothing until then.
    Silent { ask_at: Instant },
    /// Our REGISTER waits for its answer.
    Asking { sent: SentId },
    /// We are leaving; its answer is only waited for.
    Leaving { sent: SentId },
    /// We have left.
    Over,
}

/// What is held.
#[derive(Debug)]
struct Held {
    until: Instant,
    service_route: Vec<String>,
    numbers: Vec<Number>,
}

/// What changed for the operator.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum News {
    /// We are registered, for the first time or again.
    Registered,
    /// The registrar refused, or did not answer; asked again later. Told once in a row of failures.
    Refused(Refused),
    /// It ended before it could be refreshed.
    Lapsed,
}

/// Why a REGISTER brought nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refused {
    /// By this status.
    Status(u16),
    /// It does not answer.
    Silent,
    /// It cannot be reached.
    Unreachable(Unreachable),
    /// 200, without our Contact or for no time at all.
    NotListed,
}

impl Refused {
    /// Why there is no answer: nothing came in time, it could not be sent for the reason in `loss`, or our own REGISTER is none.
    pub(crate) fn without_answer(status: u16, loss: Unreachable) -> Refused {
        match status {
            408 => Refused::Silent,
            503 => Refused::Unreachable(loss),
            _ => Refused::Status(status),
        }
    }

    /// As alarms say it; none: a registration that ended.
    pub(crate) fn describe(refused: Option<Refused>) -> String {
        match refused {
            Some(Refused::Silent) => "does not answer our registration".to_owned(),
            Some(Refused::Unreachable(why)) => {
                let why = Ailment::Unreachable(why).describe();
                format!("does not get our registration: {why}")
            }
            Some(Refused::Status(status)) => format!("refuses our registration with {status}"),
            Some(Refused::NotListed) => "answers our registration without listing us".to_owned(),
            None => "let our registration end".to_owned(),
        }
    }
}

impl Registrar {
    /// A registration that is asked for at once.
    pub(crate) fn new(now: Instant, settings: Registration, generator: &mut impl Rng) -> Registrar {
        let contact_user = settings
            .contact_user
            .clone()
            .unwrap_or_else(|| random_user(generator));
        Registrar {
            wanted: settings.expires,
            settings,
            contact_user,
            failures: 0,
            talk: Talk::Silent { ask_at: now },
            held: None,
        }
    }

    pub(crate) fn settings(&self) -> &Registration {
        &self.settings
    }

    /// The user part of our Contact: what incoming calls may have as Request-URI.
    pub(crate) fn contact_user(&self) -> &str {
        &self.contact_user
    }

    pub(crate) fn is_held(&self) -> bool {
        self.held.is_some()
    }

    /// Until when it is held.
    pub(crate) fn held_until(&self) -> Option<Instant> {
        self.held.as_ref().map(|held| held.until)
    }

    /// The Route that calls of ours begin with (RFC 3608 section 5).
    pub(crate) fn service_route(&self) -> &[String] {
        self.held.as_ref().map_or(&[], |held| &held.service_route)
    }

    /// The numbers that the registrar says are ours (RFC 7315 section 4.1).
    pub(crate) fn numbers(&self) -> &[Number] {
        self.held.as_ref().map_or(&[], |held| &held.numbers)
    }

    /// How many REGISTERs in a row brought nothing.
    pub(crate) fn failures(&self) -> u32 {
        self.failures
    }

    /// How long the next REGISTER waits for a sign of life: none where there is no other place to ask before we pause. `places`: as in
    /// [`Registrar::handle_answer`].
    pub(crate) fn patience(&self, places: usize) -> Option<Duration> {
        (!is_round_over(self.failures.saturating_add(1), places)).then_some(PATIENCE)
    }

    /// Whether a REGISTER waits for its answer, the last one included.
    pub(crate) fn is_waiting(&self) -> bool {
        match self.talk {
            Talk::Asking { .. } | Talk::Leaving { .. } => true,
            Talk::Silent { .. } | Talk::Over => false,
        }
    }

    /// When it wants to be looked at, and why.
    pub(crate) fn due(&self) -> Option<(Instant, &'static str)> {
        let ask = match self.talk {
            Talk::Silent { ask_at } => Some((ask_at, "registration: asks or refreshes")),
            Talk::Asking { .. } | Talk::Leaving { .. } | Talk::Over => None,
        };
        let lapse = self
            .held
            .as_ref()
            .map(|held| (held.until, "registration: ends unless refreshed"));
        [ask, lapse].into_iter().flatten().min()
    }

    /// For how long to ask, where it is time to.
    pub(crate) fn ask(&self, now: Instant) -> Option<Duration> {
        match self.talk {
            Talk::Silent { ask_at } if ask_at <= now => Some(self.wanted),
            Talk::Silent { .. } | Talk::Asking { .. } | Talk::Leaving { .. } | Talk::Over => None,
        }
    }

    /// The REGISTER has been sent.
    pub(crate) fn asked(&mut self, sent: SentId) {
        self.talk = Talk::Asking { sent };
    }

    /// There is nowhere to send it yet; asked again as after a refusal.
    pub(crate) fn found_nowhere(&mut self, now: Instant, generator: &mut impl Rng) {
        self.talk = Talk::Silent {
            ask_at: now + back_off(1, generator),
        };
    }

    /// Leaves, where there is anything to leave: asks for no time at all.
    pub(crate) fn leave(&mut self) -> Option<Duration> {
        let may_be_held = self.held.is_some() || self.is_waiting();
        self.talk = Talk::Over;
        may_be_held.then_some(Duration::ZERO)
    }

    /// The REGISTER that leaves has been sent.
    pub(crate) fn left(&mut self, sent: SentId) {
        self.talk = Talk::Leaving { sent };
    }

    /// Whether an answer is to a request of this registration.
    pub(crate) fn expects(&self, answered: SentId) -> bool {
        match self.talk {
            Talk::Asking { sent } | Talk::Leaving { sent } => sent == answered,
            Talk::Silent { .. } | Talk::Over => false,
        }
    }

    /// Takes the answer, or why there is none. `places`: how many places of the peer there are; all are asked before we wait.
    pub(crate) fn handle_answer(
        &mut self,
        now: Instant,
        answer: Result<(u16, &Message), Refused>,
        places: usize,
        generator: &mut impl Rng,
    ) -> Option<News> {
        match self.talk {
            Talk::Asking { .. } => {}
            Talk::Leaving { .. } => {
                self.talk = Talk::Over;
                self.held = None;
                return None;
            }
            // The answer to a REGISTER that was overtaken by our leaving.
            Talk::Silent { .. } | Talk::Over => return None,
        }
        let (status, message) = match answer {
            Ok(answer) => answer,
            Err(why) => return self.fail(now, why, None, places, generator),
        };
        match status {
            200..=299 => match Grant::read(message, &self.contact_user, self.wanted) {
                Some(grant) => self.take(now, grant, generator),
                None => self.fail(now, Refused::NotListed, None, places, generator),
            },
            423 => {
                let least = delta_seconds(message, HeaderName::MinExpires).unwrap_or_default();
                if least > self.wanted && least <= LONGEST_EXPIRES {
                    let is_first = self.wanted == self.settings.expires;
                    self.wanted = least;
                    // One that raises it each time would have us ask for ever without a pause.
                    if is_first {
                        self.talk = Talk::Silent { ask_at: now };
                        return None;
                    }
                }
                self.fail(now, Refused::Status(status), None, places, generator)
            }
            _ => {
                let asked = RetryAfter::read(message);
                self.fail(now, Refused::Status(status), asked, places, generator)
            }
        }
    }

    /// Ends what was not refreshed in time.
    pub(crate) fn lapse(&mut self, now: Instant) -> Option<News> {
        let is_over = self.held.as_ref().is_some_and(|held| held.until <= now);
        if !is_over {
            return None;
        }
        self.held = None;
        Some(News::Lapsed)
    }

    fn take(&mut self, now: Instant, grant: Grant, generator: &mut impl Rng) -> Option<News> {
        let margin = if grant.expires > MARGIN * 2 {
            MARGIN
        } else {
            grant.expires / 2
        };
        // A little earlier for each, so that trunks that were registered together are not refreshed together.
        let early = part(margin / 10, generator);
        let pause = grant.expires.saturating_sub(margin + early);
        self.talk = Talk::Silent {
            ask_at: now + pause.max(SHORTEST_PAUSE),
        };
        self.failures = 0;
        let was_held = self.held.replace(Held {
            until: now + grant.expires.max(SHORTEST_PAUSE * 2),
            service_route: grant.service_route,
            numbers: grant.numbers,
        });
        was_held.is_none().then_some(News::Registered)
    }

    fn fail(
        &mut self,
        now: Instant,
        refused: Refused,
        retry_after: Option<RetryAfter>,
        places: usize,
        generator: &mut impl Rng,
    ) -> Option<News> {
        self.failures = self.failures.saturating_add(1);
        let tried = usize::try_from(self.failures).unwrap_or(usize::MAX);
        let rounds = tried / places.max(1);
        let wait = match (retry_after, &self.held) {
            _ if !is_round_over(self.failures, places) => Duration::ZERO,
            // The registrar knows better than we when it is ready, sooner or later than we would ask; not all who were told the same come
            // back together.
            (Some(asked), _) => {
                let asked = asked.wait().max(SHORTEST_PAUSE);
                asked + part(asked / 10, generator)
            }
            (None, held) => {
                let wait = back_off(u32::try_from(rounds).unwrap_or(u32::MAX), generator);
                // What is still held is asked for again while it holds.
                held.as_ref().map_or(wait, |held| {
                    let left = held.until.saturating_duration_since(now);
                    wait.min((left / 2).max(SHORTEST_PAUSE))
                })
            }
        };
        self.talk = Talk::Silent { ask_at: now + wait };
        (self.failures == 1).then_some(News::Refused(refused))
    }
}

/// Whether every place has been asked as often as every other.
fn is_round_over(failures: u32, places: usize) -> bool {
    let tried = usize::try_from(failures).unwrap_or(usize::MAX);
    tried.is_multiple_of(places.max(1))
}

/// Half to all of the base times 2^failures (RFC 5626 section 4.5).
fn back_off(failures: u32, generator: &mut impl Rng) -> Duration {
    let doubled = BASE_WAIT.saturating_mul(1_u32.checked_shl(failures).unwrap_or(u32::MAX));
    let longest = doubled.min(LONGEST_WAIT);
    longest / 2 + part(longest / 2, generator)
}

/// A random part of a time.
fn part(whole: Duration, generator: &mut impl Rng) -> Duration {
    let millis = u64::try_from(whole.as_millis()).unwrap_or(u64::MAX);
    Duration::from_millis(generator.next_u64() % millis.saturating_add(1).max(1))
}

fn random_user(generator: &mut impl Rng) -> String {
    let mut letters = String::with_capacity(CONTACT_LETTERS);
    for _ in 0..CONTACT_LETTERS {
        let letter = u8::try_from(generator.next_u32() % 26).unwrap_or_default();
        letters.push(char::from(b'a' + letter));
    }
    letters
}

#[cfg(test)]
mod tests;
