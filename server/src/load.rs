//! How busy the signalling thread and the whole service are: what admission asks once a second.
//!
//! Only our own work counts. What else the host does, a backup at night for example, refuses nobody: where it keeps us from the
//! processors, messages wait, and admission sees that.

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
    /// What the calling thread ran since it began.
    thread: Duration,
    /// What all our threads together ran.
    process: Duration,
}

impl LoadMeter {
    /// The share of its time that the calling thread ran since the last look, or the service's share of all processors where that is
    /// larger: 0 to 100. None at the first look.
    pub(crate) fn percent(&mut self) -> Option<u8> {
        let reading = Reading::take();
        let before = self.before.replace(reading)?;
        let processors = thread::available_parallelism().map_or(1, usize::from);
        Some(reading.percent_since(before, processors))
    }
}

impl Reading {
    fn take() -> Reading {
        let ran = |clock| Duration::try_from(clock_gettime(clock)).unwrap_or_default();
        Reading {
            at: Instant::now(),
            thread: ran(ClockId::ThreadCPUTime),
            process: ran(ClockId::ProcessCPUTime),
        }
    }

    fn percent_since(self, before: Reading, processors: usize) -> u8 {
        let passed = self.at.saturating_duration_since(before.at);
        let thread = self.thread.saturating_sub(before.thread);
        let process = self.process.saturating_sub(before.process);
        let all = passed.saturating_mul(u32::try_from(processors).unwrap_or(u32::MAX));
        share(thread, passed).max(share(process, all))
    }
}

fn share(part: Duration, whole: Duration) -> u8 {
    let percent = (part.as_micros() * 100)
        .checked_div(whole.as_micros())
        .unwrap_or_default();
    u8::try_from(percent.min(100)).unwrap_or(100)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_busier_of_thread_and_service_counts_and_nothing_else_of_the_host() {
        let before = Reading::take();
        let after = |thread_ms, process_ms| Reading {
            at: before.at + Duration::from_secs(1),
            thread: before.thread + Duration::from_millis(thread_ms),
            process: before.process + Duration::from_millis(process_ms),
        };
        for (thread_ms, process_ms, percent) in [
            (0, 0, 0),
            (950, 950, 95),
            (100, 3_600, 90),
            // Clocks that were read one after the other.
            (1_001, 1_001, 100),
        ] {
            let reading = after(thread_ms, process_ms);
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
        while Reading::take().thread < before.thread + Duration::from_millis(20) {
            sum = std::hint::black_box(sum.wrapping_add(1));
        }
        let after = Reading::take();
        assert!(
            after.process - before.process >= Duration::from_millis(20),
            "{sum}"
        );
        assert!(meter.percent().is_some());
    }
}
