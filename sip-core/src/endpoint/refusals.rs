//! What was turned away without state, remembered for as long as it can come again.
//!
//! A repetition that is judged anew could be let in after its first copy was refused: the caller would have its 503, and a telephone
//! would ring for nobody. So each refusal leaves a mark of a few octets in a table of fixed size, where the newest goes over the oldest.

use std::time::{Duration, Instant};

/// Marks, a power of two: 13,000 refusals a second leave nine of ten in place for half a second, when the first repetition comes.
const PLACES: usize = 1 << 16;

#[derive(Debug, Clone, Copy)]
struct Refusal {
    /// A keyed hash of the INVITE's transaction.
    mark: u64,
    at: Instant,
    retry_after_s: u64,
}

/// The marks of what was turned away.
#[derive(Debug, Default)]
pub(super) struct Refusals {
    /// Empty until something is refused.
    places: Vec<Option<Refusal>>,
}

impl Refusals {
    pub(super) fn is_empty(&self) -> bool {
        self.places.is_empty()
    }

    pub(super) fn insert(&mut self, now: Instant, mark: u64, retry_after_s: u64) {
        if self.places.is_empty() {
            self.places = vec![None; PLACES];
        }
        self.places[place(mark)] = Some(Refusal {
            mark,
            at: now,
            retry_after_s,
        });
    }

    /// What the caller was told in Retry-After, in seconds, if it was turned away within `lifetime`.
    pub(super) fn find(&self, now: Instant, mark: u64, lifetime: Duration) -> Option<u64> {
        let refusal = (*self.places.get(place(mark))?)?;
        let is_fresh = now.saturating_duration_since(refusal.at) < lifetime;
        (refusal.mark == mark && is_fresh).then_some(refusal.retry_after_s)
    }
}

fn place(mark: u64) -> usize {
    usize::try_from(mark % PLACES as u64).unwrap_or_default()
}
