//! The city's clock: both times move together, and only when told.

use std::time::{Duration, Instant};

use exchange::Now;
use jiff::Timestamp;

/// A clock that is moved.
#[derive(Debug, Clone, Copy)]
pub struct Clock {
    start: Instant,
    now: Now,
}

impl Clock {
    /// A clock that stands at noon of a working day in Kobe.
    pub fn new() -> Clock {
        let wall = "2026-11-20T12:00:00+09:00"
            .parse::<Timestamp>()
            .expect("a date as RFC 3339 has it");
        // Where the monotonic clock begins means nothing: it is only compared and subtracted.
        let start = Instant::now();
        Clock {
            start,
            now: Now { at: start, wall },
        }
    }

    /// What the clock shows.
    pub fn now(&self) -> Now {
        self.now
    }

    /// Time since the city began.
    pub fn elapsed(&self) -> Duration {
        self.now.at - self.start
    }

    /// Moves to a later moment; an earlier one is the present.
    pub fn move_to(&mut self, at: Instant) {
        let passed = at.saturating_duration_since(self.now.at);
        self.now = Now {
            at: self.now.at + passed,
            wall: self.now.wall + jiff::SignedDuration::try_from(passed).expect("a short time"),
        };
    }

    /// Moves the wall clock alone, as a correction of the host's clock does.
    pub fn step_wall(&mut self, step: jiff::SignedDuration) {
        self.now.wall += step;
    }
}

impl Default for Clock {
    fn default() -> Self {
        Clock::new()
    }
}
