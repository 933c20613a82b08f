//! Who gets in when there is too much (S-20, R-08, T-12, T-13): a new INVITE is judged before anything is kept of it.
//!
//! What belongs to a call that stands is never held back. Then calls to and from 110, 118 and 119, above every cap; then priority
//! numbers; then all others, each number of the city with its share. Start at [`Admission::judge`].

mod caps;
mod pressure;
mod shares;

use std::{
    collections::{BTreeMap, BTreeSet},
    time::{Duration, Instant},
};

use rand_chacha::ChaCha20Rng;
use rand_core::Rng;
use rules::{CallId, Caller, Number};
use sip_core::PeerId;

pub use self::pressure::Load;
use self::{
    caps::CapKeeper,
    pressure::{Degree, Pressure},
    shares::Shares,
};
use crate::{
    overload::Overload,
    settings::{Limits, Settings},
};

/// Refusals raise one alarm in this time, so that a flood of calls fills neither log nor audit trail.
const ALARM_PAUSE: Duration = Duration::from_secs(60);

/// An INVITE that waited longer is of no use to its caller any more, or will come again (S-20).
const LONGEST_WAIT: Duration = Duration::from_secs(1);

/// One in so many places is kept for emergency and priority numbers, and one in twice as many for the former alone.
const RESERVED_ONE_IN: usize = 50;

/// A house with fewer places than this keeps none back: nobody else would get in.
const FEWEST_TO_RESERVE: usize = 10;

/// What a 503 says in Retry-After, in seconds: a busy hour's calls last three minutes, ports come back every second, and callers that
/// were refused together must not come back together.
const RETRY_AFTER_S: (u64, u64) = (5, 15);

/// Who goes first. Whatever belongs to a call that stands goes before all of these and is never held back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Class {
    /// To or from 110, 118 and 119: above every cap.
    Emergency,
    /// To a number that the city has named as one of priority.
    Priority,
    /// All others.
    Rest,
}

impl Class {
    /// How urgent a call to a number is that is no emergency call.
    pub(crate) fn of_number(settings: &Settings, called: &Number) -> Class {
        if settings.overload.priority_numbers.contains(called) {
            return Class::Priority;
        }
        Class::Rest
    }
}

/// What is known of a new INVITE before anything is kept of it.
pub(crate) struct Newcomer<'a> {
    pub(crate) class: Class,
    /// Who brings it.
    pub(crate) peer: PeerId,
    /// The number that was dialled, where it is one of the city's. All others share one place.
    pub(crate) dialled: Option<&'a Number>,
    /// Who calls; asked only where a cap wants to know.
    pub(crate) caller: &'a dyn Fn() -> Caller,
    /// How long it waited before it was read.
    pub(crate) waited: Duration,
}

/// What there is room for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Room {
    /// Port pairs that are free.
    pub(crate) free_legs: usize,
    pub(crate) limits: Limits,
}

/// Why a new call is refused with 503.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Refusal {
    /// It waited for over a second before it was read.
    Waited,
    /// Ports or calls are used up.
    Full,
    /// Too many callers have not acknowledged an answer of ours.
    HalfOpen,
    /// There is more than can be served, and its number has had its share.
    Share,
    /// A configured cap is reached.
    Cap,
}

impl Refusal {
    /// As alarms say it.
    pub(crate) fn describe(self) -> &'static str {
        match self {
            Refusal::Waited => "waited too long",
            Refusal::Full => "no ports or calls left",
            Refusal::HalfOpen => "too many unacknowledged calls",
            Refusal::Share => "too much load",
            Refusal::Cap => "a cap was reached",
        }
    }
}

/// Refusals since the last alarm, by their reason.
pub(crate) type Refused = BTreeMap<Refusal, u64>;

/// Judges new calls; see the module.
#[derive(Debug)]
pub(crate) struct Admission {
    shares: Shares,
    pressure: Pressure,
    caps: CapKeeper,
    half_open: BTreeSet<CallId>,
    refused: Refused,
    alarm_pause_ends: Option<Instant>,
    generator: ChaCha20Rng,
}

impl Admission {
    pub(crate) fn new(overload: &Overload, generator: ChaCha20Rng) -> Admission {
        Admission {
            shares: Shares::default(),
            pressure: Pressure::default(),
            caps: CapKeeper::new(&overload.caps),
            half_open: BTreeSet::new(),
            refused: Refused::new(),
            alarm_pause_ends: None,
            generator,
        }
    }

    /// A message was read: how long it had waited shows whether we keep up.
    pub(crate) fn heard(&mut self, now: Instant, waited: Duration) {
        self.pressure.heard(now, waited);
    }

    /// The server says how busy it was.
    pub(crate) fn take_load(&mut self, now: Instant, load: Load) {
        self.pressure.take_load(now, load);
    }

    /// Judges a new INVITE.
    ///
    /// # Errors
    /// Why it is to be refused with 503.
    pub(crate) fn judge(
        &mut self,
        now: Instant,
        newcomer: &Newcomer<'_>,
        room: Room,
    ) -> Result<(), Refusal> {
        self.shares.pass(now);
        self.shares.seen(now, newcomer.dialled);
        let judgement = self.weigh(now, newcomer, room);
        if judgement.is_ok() {
            self.shares.admitted(newcomer.dialled);
        }
        judgement
    }

    fn weigh(&mut self, now: Instant, newcomer: &Newcomer<'_>, room: Room) -> Result<(), Refusal> {
        // Another attempt of any call needs a pair too, so the last ones are no room for a new call.
        if room.free_legs < 2 {
            return Err(Refusal::Full);
        }
        if newcomer.class == Class::Emergency {
            return Ok(());
        }
        if newcomer.waited > LONGEST_WAIT {
            return Err(Refusal::Waited);
        }
        let calls = self.shares.held();
        let places = room.limits.calls.min(calls + room.free_legs / 2);
        let open = places - reserved(newcomer.class, places);
        if calls >= open {
            return Err(Refusal::Full);
        }
        if self.half_open.len() >= room.limits.half_open {
            return Err(Refusal::HalfOpen);
        }
        if !self.caps.admit(now, newcomer) {
            return Err(Refusal::Cap);
        }
        let degree = self.pressure.degree(now, newcomer.waited);
        let has_share = match (newcomer.class, degree) {
            (Class::Emergency | Class::Priority, _) => true,
            (Class::Rest, Degree::Free) => self.shares.of_places(newcomer.dialled, open),
            (Class::Rest, Degree::Shared { refused_percent }) => {
                self.generator.next_u32() % 100 >= u32::from(refused_percent)
                    && self.shares.of_places(newcomer.dialled, open)
                    && self.shares.of_time(newcomer.dialled)
            }
            (Class::Rest, Degree::Closed) => false,
        };
        if has_share {
            Ok(())
        } else {
            Err(Refusal::Share)
        }
    }

    /// A call that was let in begins; until [`Admission::acknowledged`] it is half open.
    pub(crate) fn begun(&mut self, call: CallId, dialled: Option<&Number>) {
        self.shares.hold(call, dialled);
        self.half_open.insert(call);
    }

    /// The caller has acknowledged an answer of ours.
    pub(crate) fn acknowledged(&mut self, call: CallId) {
        self.half_open.remove(&call);
    }

    /// A call is over.
    pub(crate) fn ended(&mut self, call: CallId) {
        self.half_open.remove(&call);
        self.shares.release(call);
    }

    /// Counts a refusal; when an alarm is due, returns how many there were since the last, by their reason.
    pub(crate) fn refuse(&mut self, now: Instant, refusal: Refusal) -> Option<Refused> {
        *self.refused.entry(refusal).or_default() += 1;
        if self.alarm_pause_ends.is_some_and(|end| now < end) {
            return None;
        }
        self.alarm_pause_ends = Some(now + ALARM_PAUSE);
        Some(std::mem::take(&mut self.refused))
    }

    /// What the next 503 says in Retry-After, in seconds.
    pub(crate) fn retry_after_s(&mut self) -> u64 {
        let (least, most) = RETRY_AFTER_S;
        least + self.generator.next_u64() % (most - least + 1)
    }
}

/// How many of all places are not for a class.
fn reserved(class: Class, places: usize) -> usize {
    if places < FEWEST_TO_RESERVE {
        return 0;
    }
    let for_emergency = places.div_ceil(2 * RESERVED_ONE_IN);
    match class {
        Class::Emergency => 0,
        Class::Priority => for_emergency,
        Class::Rest => for_emergency.max(places / RESERVED_ONE_IN),
    }
}

#[cfg(test)]
mod tests;
