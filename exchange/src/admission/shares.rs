//! The share of each dialled number, of calls that are held and of calls that begin.
//!
//! While there is room anybody may have it. In the last fifth of the places, and while a queue stands, only numbers get in that have less
//! than an equal share of the whole, so that a flood at one number takes what others leave, and no more.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use rules::{CallId, Number};

/// From this part of the capacity on, shares count.
const FREE_FOR_ALL: f64 = 0.8;

/// A number that nobody dialled for so long has no share.
const IDLE: Duration = Duration::from_secs(10);

/// What begins is forgotten in steps of this length.
const STEP: Duration = Duration::from_millis(100);

/// What is left of it after a step: e to the -0.05, so that after 2 s a third is left.
const LEFT_AFTER_STEP: f64 = 0.951_229_4;

/// A number that is dialled so many times as often as numbers are on average is flooded, and gets its share and no more.
const FLOODED: f64 = 2.0;

/// Any other may have a little more than its share for a while, because calls come in heaps.
const HEAP: f64 = 1.5;

/// More steps than this leave nothing.
const STEPS_TO_NOTHING: u32 = 1_000;

/// Who has how much.
#[derive(Debug, Default)]
pub(super) struct Shares {
    /// By the city's number; what is dialled besides shares one place.
    numbers: BTreeMap<Option<Number>, Share>,
    holders: BTreeMap<CallId, Option<Number>>,
    /// How often all were dialled lately, and how often a call was let in.
    knocks: f64,
    level: f64,
    stepped_at: Option<Instant>,
}

/// What one number has.
#[derive(Debug)]
struct Share {
    held: u32,
    /// How often it was dialled lately.
    knocks: f64,
    /// How often a call to it was let in lately.
    level: f64,
    seen: Instant,
}

impl Shares {
    /// Calls that are held.
    pub(super) fn held(&self) -> usize {
        self.holders.len()
    }

    /// Lets time pass.
    pub(super) fn pass(&mut self, now: Instant) {
        let last = *self.stepped_at.get_or_insert(now);
        let steps = now.saturating_duration_since(last).as_millis() / STEP.as_millis();
        let steps = u32::try_from(steps).unwrap_or(u32::MAX);
        if steps == 0 {
            return;
        }
        self.stepped_at = Some(if steps < STEPS_TO_NOTHING {
            last + STEP * steps
        } else {
            now
        });
        let left = if steps < STEPS_TO_NOTHING {
            (0..steps).fold(1.0, |left, _| left * LEFT_AFTER_STEP)
        } else {
            0.0
        };
        self.level *= left;
        self.knocks *= left;
        for share in self.numbers.values_mut() {
            share.level *= left;
            share.knocks *= left;
        }
        self.numbers
            .retain(|_, share| share.held > 0 || now.saturating_duration_since(share.seen) < IDLE);
    }

    /// A number was dialled.
    pub(super) fn seen(&mut self, now: Instant, dialled: Option<&Number>) {
        let key = dialled.cloned();
        let share = self.numbers.entry(key).or_insert(Share {
            held: 0,
            knocks: 0.0,
            level: 0.0,
            seen: now,
        });
        share.seen = now;
        share.knocks += 1.0;
        self.knocks += 1.0;
    }

    /// A call to it was let in.
    pub(super) fn admitted(&mut self, dialled: Option<&Number>) {
        self.level += 1.0;
        if let Some(share) = self.numbers.get_mut(&dialled.cloned()) {
            share.level += 1.0;
        }
    }

    /// A call to it begins.
    pub(super) fn hold(&mut self, call: CallId, dialled: Option<&Number>) {
        let key = dialled.cloned();
        if let Some(share) = self.numbers.get_mut(&key) {
            share.held += 1;
        }
        self.holders.insert(call, key);
    }

    /// A call is over.
    pub(super) fn release(&mut self, call: CallId) {
        if let Some(key) = self.holders.remove(&call)
            && let Some(share) = self.numbers.get_mut(&key)
        {
            share.held = share.held.saturating_sub(1);
        }
    }

    /// Whether one more call to a number is within its share of so many places.
    pub(super) fn of_places(&self, dialled: Option<&Number>, places: usize) -> bool {
        let (held, places) = (count(self.holders.len()), count(places));
        let equal = places / self.active();
        held < places * FREE_FOR_ALL
            || self.share(dialled).is_some_and(|own| {
                let is_flooded = own.knocks > FLOODED * self.knocks / self.active();
                let heap = if is_flooded { 1.0 } else { HEAP };
                f64::from(own.held) < equal * heap
            })
    }

    /// Whether a number has had no more than its share of what began lately.
    pub(super) fn of_time(&self, dialled: Option<&Number>) -> bool {
        self.share(dialled)
            .is_some_and(|own| own.level <= self.level / self.active())
    }

    fn share(&self, dialled: Option<&Number>) -> Option<&Share> {
        self.numbers.get(&dialled.cloned())
    }

    /// How many numbers share.
    fn active(&self) -> f64 {
        count(self.numbers.len()).max(1.0)
    }
}

fn count(of: usize) -> f64 {
    f64::from(u32::try_from(of).unwrap_or(u32::MAX))
}
