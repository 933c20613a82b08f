//! How busy the service is: what admission asks once a second.
//!
//! Only our own work counts. What else the host does, a backup at night for example, refuses nobody: where it keeps us from the
//! processors, messages wait, and admission sees that. The same goes for the one thread that signals: with nothing left of its time,
//! messages wait.

use std::{
    thread,
    time::{Duration, Instant},
};

use rustix::time::{ClockId, clock_gettime};

/// Measures between one look and the next.
#[derive(Debug, Default)]
pub(crate) struct LoadMeter {
    before: Option<Reading>,
}

#[derive(Clone, Copy, Debug)]
struct Reading {
    at: Instant,
    /// What all our threads together ran since the service began.
    ran: Duration,
}

impl LoadMeter {
    /// The share of all processors that the service took since the last look: 0 to 100. None at the first look.
    pub(crate) fn percent(&mut self) -> Option<u8> {
        let reading = Reading::take();
        let before = self.before.replace(reading)?;
        let processors = thread::available_parallelism().map_or(1, usize::from);
        Some(reading.percent_since(before, processors))
    }
}

impl Reading {
    fn take() -> Reading {
        let ran = clock_gettime(ClockId::ProcessCPUTime);
        Reading {
            at: Instant::now(),
            ran: Duration::try_from(ran).unwrap_or_default(),
        }
    }

    fn percent_since(self, before: Reading, processors: usize) -> u8 {
        let passed = self.at.saturating_duration_since(before.at);
        let ran = self.ran.saturating_sub(before.ran);
        let all = passed.as_micros() * processors as u128;
        let percent = (ran.as_micros() * 100).checked_div(all).unwrap_or_default();
        u8::try_from(percent.min(100)).unwrap_or(100)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_all_threads_ran_is_a_share_of_all_processors() {
        let before = Reading::take();
        for (ran_ms, percent) in [(0, 0), (1_000, 25), (3_600, 90), (4_001, 100)] {
            let reading = Reading {
                at: before.at + Duration::from_secs(1),
                ran: before.ran + Duration::from_millis(ran_ms),
            };
            assert_eq!(reading.percent_since(before, 4), percent);
        }
        assert_eq!(before.percent_since(before, 4), 0, "no time has passed");
    }

    #[test]
    fn the_first_look_says_nothing_and_work_is_seen_afterwards() {
        let mut meter = LoadMeter::default();
        assert_eq!(meter.percent(), None);
        let before = Reading::take();
        let mut sum = 0_u64;
        while Reading::take().ran < before.ran + Duration::from_millis(20) {
            sum = std::hint::black_box(sum.wrapping_add(1));
        }
        assert!(meter.percent().is_some(), "{sum}");
    }
}
