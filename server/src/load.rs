//! How busy the signalling thread and the host are: what admission asks once a second.
//!
//! Two reads, of the thread's own clock and of `/proc/stat`, which the kernel answers from memory: no disk is waited for.

use std::{
    fs,
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
    thread: Duration,
    host: Option<Ticks>,
}

/// What all processors did since the host began, in ticks of the kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Ticks {
    busy: u64,
    all: u64,
}

impl LoadMeter {
    /// The share of its time that the calling thread ran since the last look, or the share of all processors where that is larger:
    /// 0 to 100. None at the first look.
    pub(crate) fn percent(&mut self) -> Option<u8> {
        let reading = Reading::take();
        let before = self.before.replace(reading)?;
        let passed = reading.at.saturating_duration_since(before.at);
        let ran = reading.thread.saturating_sub(before.thread);
        let thread = share(ran.as_micros(), passed.as_micros());
        let host = before.host.zip(reading.host).map_or(0, |(before, now)| {
            let busy = now.busy.saturating_sub(before.busy);
            share(busy.into(), now.all.saturating_sub(before.all).into())
        });
        Some(thread.max(host))
    }
}

impl Reading {
    fn take() -> Reading {
        let thread = clock_gettime(ClockId::ThreadCPUTime);
        Reading {
            at: Instant::now(),
            thread: Duration::try_from(thread).unwrap_or_default(),
            host: fs::read_to_string("/proc/stat")
                .ok()
                .and_then(|text| ticks(&text)),
        }
    }
}

/// Reads the first line of `/proc/stat`: user, nice, system, idle, waiting for disks, interrupts twice, stolen by the host below.
fn ticks(text: &str) -> Option<Ticks> {
    let mut fields = text.lines().next()?.split_whitespace();
    if fields.next()? != "cpu" {
        return None;
    }
    // Guests stand in `user` too, so what comes after the eighth is counted already.
    let counts: Vec<u64> = fields
        .take(8)
        .map_while(|field| field.parse().ok())
        .collect();
    let all = counts
        .iter()
        .fold(0, |sum: u64, count| sum.saturating_add(*count));
    let idle = counts
        .get(3)?
        .saturating_add(counts.get(4).copied().unwrap_or_default());
    let busy = all.saturating_sub(idle);
    Some(Ticks { busy, all })
}

fn share(part: u128, whole: u128) -> u8 {
    let percent = part
        .saturating_mul(100)
        .checked_div(whole)
        .unwrap_or_default();
    u8::try_from(percent.min(100)).unwrap_or(100)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hosts_ticks_are_busy_but_for_idleness_and_waiting_for_disks() {
        let text = "cpu  100 20 30 800 50 5 5 10 7 0\ncpu0 1 1 1 1\n";
        let ticks = ticks(text).unwrap();
        assert_eq!(
            ticks,
            Ticks {
                busy: 170,
                all: 1_020
            }
        );
        assert_eq!(super::ticks("intr 1 2"), None);
    }

    #[test]
    fn a_thread_that_never_rests_is_busy_and_the_first_look_says_nothing() {
        let mut meter = LoadMeter::default();
        assert_eq!(meter.percent(), None);
        let begun = Instant::now();
        let mut sum = 0_u64;
        while begun.elapsed() < Duration::from_millis(200) {
            sum = std::hint::black_box(sum.wrapping_add(1));
        }
        assert!(meter.percent().unwrap() >= 30, "{sum}");
        let resting = share(0, 200_000);
        assert_eq!((resting, share(300, 200), share(1, 0)), (0, 100, 0));
    }
}
