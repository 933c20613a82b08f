//! Whether more comes than can be served: what was read had waited, or the server says that it is busy.
//!
//! No figure of the machine is configured. A queue that stands shows that there is too much; while it does, a new call is let in by how
//! long its own INVITE has waited, so that there is always work and never much of a queue. One late message alone means nothing.
//! The idea of a standing queue is RFC 8289's.

use std::time::{Duration, Instant};

/// How much of all processors the service took.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Load {
    /// 0 to 100.
    pub percent: u8,
}

/// Who has waited for less has met no queue.
const NO_QUEUE: Duration = Duration::from_millis(5);

/// Who has waited for longer is refused while there is too much; its 503 leaves within 100 ms even so.
const LONG_QUEUE: Duration = Duration::from_millis(20);

/// A queue stands when nothing that was read for so long has waited for less.
const STANDS_AFTER: Duration = Duration::from_millis(50);

/// It is taken to stand for so long after that: what was let in has more messages to come.
const STANDS_FOR: Duration = Duration::from_secs(2);

/// What the server said about its load holds for so long.
const LOAD_HOLDS: Duration = Duration::from_secs(3);

/// From this load on shares count, and the more is refused the nearer it comes to 100.
const BUSY_PERCENT: u8 = 90;

/// How much room there is for a new call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Degree {
    /// Whoever comes is served.
    Free,
    /// Whoever has not had its share is served; of them so many in a hundred are not, to let a processor rest.
    Shared { refused_percent: u8 },
    /// Nobody but priority.
    Closed,
}

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Pressure {
    /// Since when everything that was read has waited.
    waits_since: Option<Instant>,
    stands_until: Option<Instant>,
    load: Option<(Instant, Load)>,
}

impl Pressure {
    /// A message was read that had waited so long.
    pub(super) fn heard(&mut self, now: Instant, waited: Duration) {
        if waited <= NO_QUEUE {
            self.waits_since = None;
            return;
        }
        let since = *self.waits_since.get_or_insert(now);
        if now.saturating_duration_since(since) >= STANDS_AFTER {
            self.stands_until = Some(now + STANDS_FOR);
        }
    }

    /// The server says how busy it was.
    pub(super) fn take_load(&mut self, now: Instant, load: Load) {
        self.load = Some((now, load));
    }

    /// How much room there is for a call whose INVITE has waited so long.
    pub(super) fn degree(&self, now: Instant, waited: Duration) -> Degree {
        let refused_percent = self.refused_percent(now);
        let stands = self.stands_until.is_some_and(|until| now < until);
        match refused_percent {
            _ if stands && waited > LONG_QUEUE => Degree::Closed,
            Some(refused_percent) => Degree::Shared { refused_percent },
            None if stands && waited > NO_QUEUE => Degree::Shared { refused_percent: 0 },
            None => Degree::Free,
        }
    }

    /// How many in a hundred the load asks to refuse; none where it is no reason to.
    fn refused_percent(&self, now: Instant) -> Option<u8> {
        let (at, load) = self.load?;
        let holds = now.saturating_duration_since(at) < LOAD_HOLDS;
        if !holds || load.percent < BUSY_PERCENT {
            return None;
        }
        // 90 refuses none, 95 half, 100 all.
        Some((load.percent.min(100) - BUSY_PERCENT) * 10)
    }
}
