//! When each telephone has something to do, so that nobody has to ask all of them.

use std::{collections::BTreeSet, time::Instant};

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Dues {
    of: Vec<Option<Instant>>,
    sorted: BTreeSet<(Instant, usize)>,
}

impl Dues {
    /// The telephone of this index has something to do at this instant, or nothing any more.
    pub(super) fn set(&mut self, index: usize, due: Option<Instant>) {
        self.of.resize(self.of.len().max(index + 1), None);
        let before = std::mem::replace(&mut self.of[index], due);
        if let Some(before) = before {
            self.sorted.remove(&(before, index));
        }
        self.sorted.extend(due.map(|due| (due, index)));
    }

    /// The earliest of those that are alive.
    pub(super) fn next(&self, is_alive: impl Fn(usize) -> bool) -> Option<Instant> {
        let mut alive = self.sorted.iter().filter(|(_, index)| is_alive(*index));
        alive.next().map(|(due, _)| *due)
    }

    /// Those that have something to do by now, in their order.
    pub(super) fn due(&self, now: Instant) -> Vec<usize> {
        let due = self.sorted.range(..=(now, usize::MAX));
        let mut indices: Vec<usize> = due.map(|(_, index)| *index).collect();
        indices.sort_unstable();
        indices
    }
}
