//! Whose turn it is on the office's one thread while a long job is under way: whoever waits is served first, but not for ever.

use super::JOBS;

/// The turns since the long job's last piece.
#[derive(Debug, Default)]
pub(super) struct Turns(Since);

#[derive(Debug, PartialEq, Eq)]
enum Since {
    /// So many were served.
    Served(usize),
    /// Nobody waits any more.
    Idle,
}

impl Default for Since {
    fn default() -> Since {
        Since::Served(0)
    }
}

impl Turns {
    /// Somebody was served.
    pub(super) fn serve(&mut self) {
        self.0 = match self.0 {
            Since::Served(count) => Since::Served(count + 1),
            Since::Idle => Since::Served(1),
        };
    }

    /// Nobody is left to be served.
    pub(super) fn nobody_waits(&mut self) {
        self.0 = Since::Idle;
    }

    /// Whether the next piece of the long job is due; asked once a turn.
    pub(super) fn is_long_jobs(&mut self) -> bool {
        // As many as may wait at once have been heard.
        let is_due = matches!(self.0, Since::Idle | Since::Served(JOBS..));
        if is_due {
            self.0 = Since::default();
        }
        is_due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The order of events, each letter a turn: `j` somebody is served, `P` a piece is done. `waiting`: how many wait before each turn.
    fn order(waiting: impl IntoIterator<Item = usize>) -> String {
        let mut turns = Turns::default();
        let mut order = String::new();
        for waiting in waiting {
            if turns.is_long_jobs() {
                order.push('P');
            }
            match waiting {
                0 => turns.nobody_waits(),
                _ => {
                    turns.serve();
                    order.push('j');
                }
            }
        }
        order
    }

    #[test]
    fn a_withdrawal_waits_for_one_piece_at_most() {
        assert_eq!(order([0, 0, 1, 0, 0]), "PPjP");
    }

    #[test]
    fn everybody_who_waits_is_heard_before_the_next_piece_and_a_flood_does_not_stop_the_job() {
        let flood = order([1; 2 * JOBS + 1]);
        let all = "j".repeat(JOBS);
        assert_eq!(flood, format!("{all}P{all}Pj"));
    }
}
