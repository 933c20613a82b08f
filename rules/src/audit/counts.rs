//! What became of a day's recordings, counted so that nothing is missing.

use serde::{Deserialize, Serialize};

use crate::fault::Fault;

/// What became of a day's recordings: due = disposed + held + failed (R-14).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "SavedCounts")]
pub struct DisposalCounts {
    due: u64,
    disposed: u64,
    held: u64,
    failed: u64,
}

impl DisposalCounts {
    /// Counts that add up.
    ///
    /// # Errors
    /// [`CountsFault`] where they do not: a recording is missing or counted twice.
    pub fn new(
        due: u64,
        disposed: u64,
        held: u64,
        failed: u64,
    ) -> Result<DisposalCounts, CountsFault> {
        let sum = disposed
            .checked_add(held)
            .and_then(|sum| sum.checked_add(failed));
        if sum == Some(due) {
            return Ok(DisposalCounts {
                due,
                disposed,
                held,
                failed,
            });
        }
        Err(CountsFault {
            due,
            disposed,
            held,
            failed,
        })
    }

    /// Recordings of the day.
    pub fn due(self) -> u64 {
        self.due
    }

    /// Destroyed.
    pub fn disposed(self) -> u64 {
        self.disposed
    }

    /// Kept by a legal hold.
    pub fn held(self) -> u64 {
        self.held
    }

    /// To be tried again.
    pub fn failed(self) -> u64 {
        self.failed
    }
}

#[derive(Deserialize)]
struct SavedCounts {
    due: u64,
    disposed: u64,
    held: u64,
    failed: u64,
}

impl TryFrom<SavedCounts> for DisposalCounts {
    type Error = CountsFault;

    fn try_from(
        SavedCounts {
            due,
            disposed,
            held,
            failed,
        }: SavedCounts,
    ) -> Result<DisposalCounts, CountsFault> {
        DisposalCounts::new(due, disposed, held, failed)
    }
}

/// Counts of a disposal that do not add up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "{due} recordings were due, found {disposed} disposed of, {held} held and {failed} failed; look for the difference before it is certified"
)]
pub struct CountsFault {
    /// Recordings of the day.
    pub due: u64,
    /// Destroyed.
    pub disposed: u64,
    /// Kept by a legal hold.
    pub held: u64,
    /// To be tried again.
    pub failed: u64,
}

impl CountsFault {
    /// Ours.
    pub fn fault(&self) -> Fault {
        Fault::Ours
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_of_a_disposal_add_up_or_are_refused() {
        assert!(DisposalCounts::new(6, 3, 2, 1).is_ok());
        assert_eq!(
            DisposalCounts::new(7, 3, 2, 1),
            Err(CountsFault {
                due: 7,
                disposed: 3,
                held: 2,
                failed: 1
            })
        );
        assert!(DisposalCounts::new(0, u64::MAX, 1, 0).is_err());
        assert!(
            serde_json::from_str::<DisposalCounts>(r#"{"due":7,"disposed":3,"held":2,"failed":1}"#)
                .is_err()
        );
    }
}
