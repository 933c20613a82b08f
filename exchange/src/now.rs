//! The two clocks of an input: one for timers, one for what is written down.

use std::time::Instant;

use jiff::Timestamp;

/// When something happened. No timer is ever computed from `wall`, which may jump.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Now {
    /// Monotonic time, for timers.
    pub at: Instant,
    /// Wall time, for records and for what holds until a date.
    pub wall: Timestamp,
}

impl Now {
    /// The wall time of a moment that lies a little before this one.
    pub fn wall_at(&self, earlier: Instant) -> Timestamp {
        let ago = self.at.saturating_duration_since(earlier);
        jiff::SignedDuration::try_from(ago)
            .ok()
            .and_then(|ago| self.wall.checked_sub(ago).ok())
            .unwrap_or(self.wall)
    }

    /// The wall time of a moment to come, as the clock stands.
    pub(crate) fn wall_to_be(&self, later: Instant) -> Timestamp {
        let left = later.saturating_duration_since(self.at);
        jiff::SignedDuration::try_from(left)
            .ok()
            .and_then(|left| self.wall.checked_add(left).ok())
            .unwrap_or(self.wall)
    }
}
