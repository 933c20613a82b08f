//! Whose offer is open in a dialog: at most one at a time, whatever request or answer carries it.
//!
//! It knows that there is a description, not what it means. Follows RFC 3264 section 4, RFC 3311 section 5.2 and RFC 6337.

/// See the module.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Turn {
    /// No offer has been made (an INVITE came without one).
    Unbegun,
    /// We offered and wait for the answer.
    Ours,
    /// The other side offered and waits for ours.
    Theirs,
    /// Both descriptions stand.
    Agreed,
}

/// Why an offer cannot be taken now.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Overlap {
    /// Ours is open: 491.
    Ours,
    /// An earlier one of theirs is: 500 with Retry-After.
    Theirs,
}

impl Turn {
    /// Whether the other side may offer.
    ///
    /// # Errors
    /// Whose offer stands in the way (RFC 3311 section 5.2).
    pub(crate) fn takes_offer(self) -> Result<(), Overlap> {
        match self {
            Turn::Agreed => Ok(()),
            Turn::Ours => Err(Overlap::Ours),
            // The answer to the INVITE, or our first offer, comes first.
            Turn::Theirs | Turn::Unbegun => Err(Overlap::Theirs),
        }
    }

    /// Takes that we send a description where it counts: in a request, a reliable answer or a 2xx.
    pub(crate) fn describe(&mut self) {
        *self = match self {
            Turn::Theirs => Turn::Agreed,
            Turn::Unbegun | Turn::Agreed | Turn::Ours => Turn::Ours,
        };
    }

    /// Takes that the other side sent a description where it counts.
    pub(crate) fn hear_description(&mut self) {
        *self = match self {
            Turn::Ours => Turn::Agreed,
            Turn::Unbegun | Turn::Agreed | Turn::Theirs => Turn::Theirs,
        };
    }

    /// Takes that the open offer failed: what stood before stands again (RFC 3261 section 14.1).
    pub(crate) fn settle(&mut self) {
        *self = Turn::Agreed;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_description_is_the_answer_to_the_open_offer_or_a_new_offer() {
        let mut turn = Turn::Unbegun;
        assert_eq!(turn.takes_offer(), Err(Overlap::Theirs));
        turn.describe();
        assert_eq!((turn, turn.takes_offer()), (Turn::Ours, Err(Overlap::Ours)));
        turn.hear_description();
        assert_eq!((turn, turn.takes_offer()), (Turn::Agreed, Ok(())));
        turn.hear_description();
        assert_eq!(
            (turn, turn.takes_offer()),
            (Turn::Theirs, Err(Overlap::Theirs))
        );
        turn.settle();
        assert_eq!(turn, Turn::Agreed);
    }
}
