//! Contracted channels: how many calls each peer has, both ways together, and whether one of ours still fits (S-11).
//!
//! A call holds its channel from its INVITE until nothing of its dialog is left. What the peer sends beyond its contract is taken: the
//! contract is its own limit, and behind each call is a citizen.

use std::collections::BTreeMap;

use sip_core::{DialogId, PeerId};

use crate::{admission::Class, trunk::Channels};

/// Who holds how many.
#[derive(Debug, Default)]
pub(crate) struct Occupancy {
    holders: BTreeMap<DialogId, PeerId>,
    held: BTreeMap<PeerId, u32>,
}

impl Occupancy {
    /// A dialog with a peer begins.
    pub(crate) fn occupy(&mut self, dialog: DialogId, peer: PeerId) {
        if self.holders.insert(dialog, peer).is_none() {
            *self.held.entry(peer).or_default() += 1;
        }
    }

    /// A dialog is over; a second time changes nothing.
    pub(crate) fn release(&mut self, dialog: DialogId) {
        if let Some(peer) = self.holders.remove(&dialog)
            && let Some(held) = self.held.get_mut(&peer)
        {
            *held -= 1;
        }
    }

    /// Who is at the other end of a dialog.
    pub(crate) fn holder(&self, dialog: DialogId) -> Option<PeerId> {
        self.holders.get(&dialog).copied()
    }

    /// How many calls a peer has.
    pub(crate) fn of(&self, peer: PeerId) -> u32 {
        self.held.get(&peer).copied().unwrap_or(0)
    }

    /// Whether one more call of ours fits into a contract.
    pub(crate) fn has_room(&self, peer: PeerId, channels: Option<Channels>, class: Class) -> bool {
        let Some(Channels {
            total,
            emergency_reserve,
        }) = channels
        else {
            return true;
        };
        let usable = match class {
            // Above every cap: should the carrier refuse it, the next one is tried.
            Class::Emergency => return true,
            Class::Priority | Class::Rest => total.saturating_sub(emergency_reserve),
        };
        self.of(peer) < usable
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reserve_is_for_emergency_calls_and_both_ways_count() {
        let peer = PeerId(0);
        let channels = Some(Channels {
            total: 3,
            emergency_reserve: 1,
        });
        let mut occupancy = Occupancy::default();
        occupancy.occupy(DialogId(1), peer);
        occupancy.occupy(DialogId(1), peer);
        assert_eq!(occupancy.of(peer), 1, "a dialog counts once");
        assert!(occupancy.has_room(peer, channels, Class::Rest));
        occupancy.occupy(DialogId(2), peer);
        assert!(!occupancy.has_room(peer, channels, Class::Rest));
        assert!(!occupancy.has_room(peer, channels, Class::Priority));
        assert!(occupancy.has_room(peer, channels, Class::Emergency));
        assert!(
            occupancy.has_room(PeerId(1), channels, Class::Rest),
            "another's are its own"
        );
        occupancy.release(DialogId(1));
        occupancy.release(DialogId(1));
        assert_eq!(occupancy.of(peer), 1);
        assert!(occupancy.has_room(peer, channels, Class::Rest));
    }
}
