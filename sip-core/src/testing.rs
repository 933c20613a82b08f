//! What the tests of several files share.

use std::time::{Duration, Instant};

use crate::timer::Intervals;

/// The intervals RFC 3261 asks for.
pub(crate) const INTERVALS: Intervals = Intervals {
    t1: Duration::from_millis(500),
    t2: Duration::from_secs(4),
    t4: Duration::from_secs(5),
};

/// Some moment; tests only add to it.
#[expect(
    clippy::disallowed_methods,
    reason = "an Instant has no other maker; tests only add to it"
)]
pub(crate) fn epoch() -> Instant {
    Instant::now()
}
