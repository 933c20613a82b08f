//! Which leg is whose: the origin's, the far one of the stage, and how the two ends of a call are named.

use media::{LegId, sdp::Counted};
use sip_core::{DialogId, PeerId};

use crate::{
    call::{Call, Stage, attempts::Attempts, negotiating::End},
    leg::Leg,
};

impl Call {
    pub(super) fn attempts(&self) -> Option<&Attempts> {
        match &self.stage {
            Stage::Calling { attempts, .. } | Stage::Passing { attempts, .. } => Some(attempts),
            Stage::Transferring(transferring) => Some(&transferring.attempts),
            Stage::ExpectPrack(_)
            | Stage::ExpectAck(_)
            | Stage::Announcing(_)
            | Stage::Joining(_)
            | Stage::Talking(_)
            | Stage::Parted(_)
            | Stage::Closing(_)
            | Stage::Over => None,
        }
    }

    /// The leg of whoever is called, or talks, at present.
    pub(super) fn far_leg(&self) -> Option<&Leg> {
        match &self.stage {
            Stage::Calling { attempts, .. } | Stage::Passing { attempts, .. } => {
                Some(&attempts.current.leg)
            }
            Stage::Transferring(transferring) => Some(&transferring.attempts.current.leg),
            Stage::Joining(joining) => Some(&joining.far),
            Stage::Talking(talking) => Some(&talking.far),
            Stage::ExpectPrack(_)
            | Stage::ExpectAck(_)
            | Stage::Announcing(_)
            | Stage::Parted(_)
            | Stage::Closing(_)
            | Stage::Over => None,
        }
    }

    /// The peer that a dialog of the far side belongs to.
    pub(super) fn far_peer(&self, dialog: DialogId) -> Option<PeerId> {
        let far = self.far_leg().filter(|far| far.dialog == dialog)?;
        Some(far.peer)
    }

    pub(super) fn far_leg_mut(&mut self) -> Option<&mut Leg> {
        match &mut self.stage {
            Stage::Calling { attempts, .. } | Stage::Passing { attempts, .. } => {
                Some(&mut attempts.current.leg)
            }
            Stage::Transferring(transferring) => Some(&mut transferring.attempts.current.leg),
            Stage::Joining(joining) => Some(&mut joining.far),
            Stage::Talking(talking) => Some(&mut talking.far),
            Stage::ExpectPrack(_)
            | Stage::ExpectAck(_)
            | Stage::Announcing(_)
            | Stage::Parted(_)
            | Stage::Closing(_)
            | Stage::Over => None,
        }
    }

    pub(super) fn leg(&self, end: End) -> Option<&Leg> {
        match end {
            End::Origin => Some(&self.origin),
            End::Far => self.far_leg(),
        }
    }

    pub(super) fn leg_mut(&mut self, end: End) -> Option<&mut Leg> {
        match end {
            End::Origin => Some(&mut self.origin),
            End::Far => self.far_leg_mut(),
        }
    }

    /// A shard has told how far the numbers of a secure leg's party have come.
    pub(super) fn counted(&mut self, leg: LegId, counted: Counted) {
        let leaving = match &mut self.stage {
            Stage::Transferring(transferring) => transferring.leaving.as_mut(),
            Stage::ExpectPrack(_)
            | Stage::ExpectAck(_)
            | Stage::Announcing(_)
            | Stage::Calling { .. }
            | Stage::Passing { .. }
            | Stage::Joining(_)
            | Stage::Talking(_)
            | Stage::Parted(_)
            | Stage::Closing(_)
            | Stage::Over => None,
        };
        let legs = [leaving, Some(&mut self.origin)];
        if let Some(named) = legs.into_iter().flatten().find(|named| named.id() == leg) {
            named.counted = Some(counted);
        } else if let Some(far) = self.far_leg_mut().filter(|far| far.id() == leg) {
            far.counted = Some(counted);
        }
    }

    /// The dialog of a leg that is joined to the other, early or answered.
    pub(super) fn joined_leg(&self, end: End) -> Option<DialogId> {
        match &self.stage {
            Stage::Talking(_) | Stage::Passing { .. } | Stage::Joining(_) => {
                Some(self.leg(end)?.dialog)
            }
            Stage::Calling { .. }
            | Stage::Transferring(_)
            | Stage::Parted(_)
            | Stage::ExpectPrack(_)
            | Stage::ExpectAck(_)
            | Stage::Announcing(_)
            | Stage::Closing(_)
            | Stage::Over => None,
        }
    }

    /// Whose dialog it is; none where it is that of an attempt that was given up.
    pub(super) fn end_of(&self, dialog: DialogId) -> Option<End> {
        if dialog == self.origin.dialog {
            return Some(End::Origin);
        }
        let far = self.far_leg()?;
        (far.dialog == dialog).then_some(End::Far)
    }
}
