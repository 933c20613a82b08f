//! The only clock of the service: one reading of both times for every input, and word of every step of the wall.

use std::time::{Duration, Instant};

use jiff::{SignedDuration, Timestamp};

/// A step smaller than this is the ordinary correction of a clock that is disciplined by NTP.
const SMALLEST_STEP: Duration = Duration::from_secs(2);

/// Compares the wall with the monotonic clock from one look to the next.
#[derive(Debug)]
pub(crate) struct Clock {
    at: Instant,
    wall: Timestamp,
}

impl Clock {
    /// Begins to watch.
    pub(crate) fn begin() -> Clock {
        Clock {
            at: Instant::now(),
            wall: Timestamp::now(),
        }
    }

    /// Both times of this moment.
    pub(crate) fn now(&self) -> exchange::Now {
        exchange::Now {
            at: Instant::now(),
            wall: Timestamp::now(),
        }
    }

    /// How far the wall was put forward (or back) since the last call that told of a step.
    pub(crate) fn step(&mut self, now: exchange::Now) -> Option<SignedDuration> {
        let passed = SignedDuration::try_from(now.at.saturating_duration_since(self.at)).ok()?;
        let stepped = self.wall.duration_until(now.wall) - passed;
        self.at = now.at;
        self.wall = now.wall;
        (stepped.unsigned_abs() >= SMALLEST_STEP).then_some(stepped)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_is_told_once_and_the_passing_of_time_is_none() {
        let mut clock = Clock::begin();
        let (at, wall) = (clock.at, clock.wall);
        let later = |seconds, step| exchange::Now {
            at: at + Duration::from_secs(seconds),
            wall: wall + SignedDuration::from_secs(i64::try_from(seconds).unwrap() + step),
        };
        assert_eq!(clock.step(later(3600, 0)), None);
        assert_eq!(
            clock.step(later(3601, -7200)),
            Some(SignedDuration::from_secs(-7200))
        );
        assert_eq!(clock.step(later(3602, -7200)), None);
    }
}
