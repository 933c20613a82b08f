//! When the engine must wake up: a heap of instants, where a timer that no longer holds is noticed when it is due.

use std::{cmp::Reverse, collections::BinaryHeap, time::Instant};

use crate::command::LegId;

/// Why a leg wakes up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Wake {
    /// The next packet of a clip or tone, or a clip's end.
    Playback,
    /// The next RTCP report.
    Report,
    /// Nothing may have come for so long that the leg is silent.
    Silence,
}

impl Wake {
    /// The reason as `poll_timeout` gives it.
    pub(crate) fn reason(self) -> &'static str {
        match self {
            Wake::Playback => "playback",
            Wake::Report => "rtcp report",
            Wake::Silence => "silence",
        }
    }
}

/// One wake-up; ordered by time, then by leg, so that order never depends on chance.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Timer {
    pub(crate) at: Instant,
    pub(crate) leg: LegId,
    pub(crate) wake: Wake,
}

/// All wake-ups of one engine: O(log n) to arm and to take.
#[derive(Debug, Default)]
pub(crate) struct Timers(BinaryHeap<Reverse<Timer>>);

impl Timers {
    pub(crate) fn arm(&mut self, timer: Timer) {
        self.0.push(Reverse(timer));
    }

    /// The earliest timer for which `holds` is true; those before it are forgotten.
    pub(crate) fn next(&mut self, holds: impl Fn(&Timer) -> bool) -> Option<Timer> {
        while let Some(&Reverse(timer)) = self.0.peek() {
            if holds(&timer) {
                return Some(timer);
            }
            self.0.pop();
        }
        None
    }

    /// Takes the earliest timer that is due.
    pub(crate) fn pop_due(&mut self, now: Instant) -> Option<Timer> {
        self.0.peek().filter(|Reverse(timer)| timer.at <= now)?;
        self.0.pop().map(|Reverse(timer)| timer)
    }
}
