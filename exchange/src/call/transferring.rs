//! Transfer: one party of a call goes, another comes, and whoever stays hears ringback meanwhile (RFC 3515, RFC 5589).
//!
//! Only a PBX peer may ask for it, and two legs of carriers are never joined; [`crate::Exchange`] sees to both. What was told to the
//! caller holds for the new party too: the recording goes on as its next segment, without a second announcement (S-09).

use std::{collections::VecDeque, net::IpAddr, time::Instant};

use media::{Command, OfferedLeg, sdp::RemoteMedia};
use rules::Reason;
use sip_core::{DialogId, Message, PeerId, RequestId};

use crate::{
    call::{
        Call, Stage,
        attempts::{Attempts, Tone},
        negotiating::End,
        talking::Talking,
    },
    call_record::Kept,
    direction::Direction,
    house::{House, Subscription},
    identity::Identity,
    leg::{Events, Leg, Session},
    now::Now,
    outbound::OutboundPlan,
    route::{Destination, Failure},
};

/// A transfer under way: the one that stays is the origin, whoever called first.
pub(super) struct Transferring {
    pub(super) attempts: Attempts,
    /// Who asked for it; none once it has hung up.
    pub(super) leaving: Option<Leg>,
    talk: Talk,
}

/// What a talk keeps over a transfer.
#[derive(Debug, Clone, Copy)]
pub(super) struct Talk {
    kept: Kept,
    until: Instant,
}

/// Where a REFER wants a party to go, after it was judged.
pub(crate) struct Referral {
    pub(crate) dialog: DialogId,
    pub(crate) request: RequestId,
    /// Of the subscription that the REFER makes; none where it wants none.
    pub(crate) id: Option<u32>,
    pub(crate) plan: OutboundPlan,
    pub(crate) destinations: VecDeque<Destination>,
    /// Who refers, for whoever is called.
    pub(crate) referred_by: Option<String>,
}

/// An INVITE that wants the place of a party, after it was judged.
pub(crate) struct Replacement {
    /// The dialog of that party.
    pub(crate) replaced: DialogId,
    /// Who comes.
    pub(crate) identity: Identity,
    pub(crate) leg: Leg,
    /// What it offers.
    pub(crate) theirs: RemoteMedia,
}

/// What BYE says to whoever has transferred a call.
pub(super) const DONE: &str = "SIP;cause=200;text=\"Call completed elsewhere\"";

impl Transferring {
    pub(super) fn kept(&self) -> Kept {
        self.talk.kept
    }
}

impl Talk {
    pub(super) fn kept(self) -> Kept {
        self.kept
    }
}

impl Call {
    /// Who would stay if the party of this dialog went: its peer. None where nobody talks.
    pub(crate) fn remaining(&self, dialog: DialogId) -> Option<&Leg> {
        let Stage::Talking(talking) = &self.stage else {
            return None;
        };
        match self.end_of(dialog)? {
            End::Origin => Some(&talking.far),
            End::Far => Some(&self.origin),
        }
    }

    /// Whether they talk, and no exchange of offers is under way.
    pub(crate) fn is_settled(&self) -> bool {
        self.negotiation.is_idle() && matches!(self.stage, Stage::Talking(_))
    }

    /// Whether whoever stays waits for somebody else.
    pub(crate) fn is_transferring(&self) -> bool {
        matches!(self.stage, Stage::Transferring(_) | Stage::Parted(_))
    }

    /// Whose dialog it is.
    pub(crate) fn peer_at(&self, dialog: DialogId) -> Option<PeerId> {
        Some(self.leg(self.end_of(dialog)?)?.peer)
    }

    /// Whether a citizen made it.
    pub(crate) fn is_inbound(&self) -> bool {
        self.direction == Direction::Inbound
    }

    /// Whether 110, 118 or 119 are a party of it.
    pub(crate) fn is_emergency(&self) -> bool {
        self.parties.is_emergency()
    }

    /// Carries a judged REFER out: the party that stays is called on for.
    ///
    /// # Errors
    /// The status that refuses it; the call is as it was.
    pub(super) fn refer(
        &mut self,
        house: &mut House,
        now: Now,
        referral: Referral,
    ) -> Result<(), u16> {
        let end = self.end_of(referral.dialog).ok_or(481_u16)?;
        self.remaining(referral.dialog).ok_or(603_u16)?;
        if !self.is_settled() {
            return Err(491);
        }
        // Where the one that is called is of another family, its attempt takes another pair.
        let lent = self.spare_pair(house, self.origin.lent.rtp.ip())?;
        let Stage::Talking(talking) = std::mem::replace(&mut self.stage, Stage::Over) else {
            house.close(lent.leg);
            return Err(603);
        };
        let (leaving, talk) = self.part(talking, end);
        self.destinations = referral.destinations;
        self.parties
            .call_instead(referral.plan, referral.referred_by);
        self.follow_direction();
        house.accept_referral(now, leaving.dialog, referral.request, referral.id);
        house.notify(now, leaving.dialog, 100, Subscription::Active);
        house.command(leaving.id(), Command::Quiet { leg: leaving.id() });
        self.wait_with_ringback(house);
        match Attempts::begin(self, house, now, lent, Tone::Ours) {
            Ok(attempts) => {
                let transferring = Transferring {
                    attempts,
                    leaving: Some(leaving),
                    talk,
                };
                self.enter(house, now, Stage::Transferring(Box::new(transferring)));
                // Whoever is on hold would not hear the ringback.
                self.align_origin(house, now);
            }
            Err(failure) => {
                self.transfer_failed(house, now, Some(leaving), talk, failure);
            }
        }
        Ok(())
    }

    /// Takes the two legs apart: the one that stays becomes the origin.
    pub(super) fn part(&mut self, talking: Talking, leaves: End) -> (Leg, Talk) {
        let Talking { far, kept, until } = talking;
        let leaving = match leaves {
            End::Far => far,
            End::Origin => {
                self.parties.turn();
                std::mem::replace(&mut self.origin, far)
            }
        };
        (leaving, Talk { kept, until })
    }

    /// One more pair of this call's shard, of the family of an address.
    fn spare_pair(&self, house: &mut House, family: IpAddr) -> Result<OfferedLeg, u16> {
        house.take_pair(self.id, self.shard(), family)
    }

    pub(super) fn wait_with_ringback(&self, house: &mut House) {
        let leg = self.origin_leg();
        // Nobody talks with whoever waits: there is nothing to record.
        house.command(leg, Command::Unfork { carrier: leg });
        let clip = house.ringback.clone();
        house.command(leg, Command::Loop { leg, clip });
    }

    /// What an internal call becomes by a transfer to somebody outside; an inbound call stays one.
    fn follow_direction(&mut self) {
        match self.direction {
            Direction::Inbound => {}
            Direction::Outbound | Direction::Internal => {
                let (direction, number) = self.parties.direction();
                self.direction = direction;
                self.record.called = number;
            }
        }
    }

    /// The one that is called rings.
    pub(super) fn target_rang(&self, house: &mut House, now: Now, status: u16) {
        if let Stage::Transferring(transferring) = &self.stage
            && let Some(leaving) = &transferring.leaving
        {
            let dialog = leaving.dialog;
            house.notify(now, dialog, status, Subscription::Active);
        }
    }

    /// The one that is called has answered: it takes the place of whoever asked for it.
    pub(super) fn transferred(&mut self, house: &mut House, now: Now, transferring: Transferring) {
        let Transferring {
            attempts,
            leaving,
            talk,
        } = transferring;
        if let Some(leaving) = leaving {
            // Nobody waits for an ACK of it any more.
            self.take_reoffered(leaving.dialog);
            self.answer_whoever_leaves(house, now, leaving.dialog);
            house.notify(now, leaving.dialog, 200, Subscription::Terminated);
            house.end(now, leaving.dialog, 480, Some(DONE));
            house.close(leaving.id());
        }
        house.trace(now, self.id, "transferred");
        self.talk_on(house, now, attempts.current.leg, talk);
    }

    /// The one that is called cannot be had: whoever asked for it has the call back.
    pub(super) fn transfer_failed(
        &mut self,
        house: &mut House,
        now: Now,
        leaving: Option<Leg>,
        talk: Talk,
        failure: Failure,
    ) {
        house.trace(now, self.id, "transfer failed");
        match leaving {
            Some(leg) => {
                let status = failure.status;
                house.notify(now, leg.dialog, status, Subscription::Terminated);
                self.join(house, leg.id());
                self.talk_on(house, now, leg, talk);
            }
            None => match self.direction {
                Direction::Inbound => self.close(house, now, failure),
                Direction::Outbound | Direction::Internal => {
                    self.end(house, now, failure.cause());
                }
            },
        }
    }

    /// Both hear each other again; the recording goes on as its next segment.
    pub(super) fn talk_on(&mut self, house: &mut House, now: Now, far: Leg, talk: Talk) {
        let Talk { kept, until } = talk;
        self.enter(house, now, Stage::Talking(Talking { far, kept, until }));
        self.next_segment(house, now);
        self.align_origin(house, now);
    }

    /// Goes on to the next place where the target may be; or gives up.
    pub(super) fn target_failed(
        &mut self,
        house: &mut House,
        now: Now,
        transferring: Transferring,
        failure: Failure,
    ) {
        let Transferring {
            attempts,
            leaving,
            talk,
        } = transferring;
        match attempts.go_on(self, house, now, failure) {
            Ok(attempts) => {
                self.stage = Stage::Transferring(Box::new(Transferring {
                    attempts,
                    leaving,
                    talk,
                }));
            }
            Err(telling) => self.transfer_failed(house, now, leaving, talk, telling),
        }
    }

    /// Lets the origin's direction follow what the far one's peer wishes. Where an exchange of offers is under way, its end does that.
    pub(super) fn align_origin(&mut self, house: &mut House, now: Now) {
        if !self.negotiation.is_idle() {
            return;
        }
        let wish = self.other_wish(End::Origin);
        let leg = &self.origin;
        let Some(own) = leg.agreed().filter(|_| leg.local.direction != wish) else {
            return;
        };
        let says = own.theirs.clone();
        self.ask(house, now, End::Origin, &says, wish);
    }

    /// An INVITE with Replaces takes the place of a party of its own peer (RFC 3891); refused, it leaves the call as it was.
    pub(super) fn replace(&mut self, house: &mut House, now: Now, replacement: Replacement) {
        let (dialog, pair) = (replacement.leg.dialog, replacement.leg.id());
        if let Err(status) = self.take_over(house, now, replacement) {
            house.reject(now, dialog, status);
            house.close(pair);
        }
    }

    fn take_over(
        &mut self,
        house: &mut House,
        now: Now,
        replacement: Replacement,
    ) -> Result<(), u16> {
        let Replacement {
            replaced,
            identity,
            mut leg,
            theirs,
        } = replacement;
        let end = self.end_of(replaced).ok_or(481_u16)?;
        let staying = self.remaining(replaced).and_then(Leg::agreed);
        let (codec, wish) = staying
            .map(|agreed| (agreed.codec, agreed.wish))
            .ok_or(481_u16)?;
        if !self.is_settled() {
            return Err(491);
        }
        theirs.payload_type(codec).ok_or(488_u16)?;
        leg.local.direction = wish;
        house.answer_keys(&mut leg.local, &theirs);
        let agreed = leg.answer_to(&theirs, codec, Events::of(&theirs));
        let stream = leg.stream(&agreed).ok_or(488_u16)?;
        let Stage::Talking(talking) = std::mem::replace(&mut self.stage, Stage::Over) else {
            return Err(481);
        };
        let (leaving, talk) = self.part(talking, end);
        self.parties.take_in(identity);
        house.open(leg.id(), leg.peer, stream);
        house.accept(now, leg.dialog, Vec::new(), agreed.ours.clone());
        leg.session = Session::Agreed(Box::new(agreed));
        self.answer_whoever_leaves(house, now, leaving.dialog);
        house.end(now, leaving.dialog, 480, None);
        house.close(leaving.id());
        self.join(house, leg.id());
        house.trace(now, self.id, "a party was replaced");
        self.talk_on(house, now, leg, talk);
        Ok(())
    }

    /// Nothing is kept of this call after all.
    pub(super) fn keep_nothing(&mut self, reason: Reason) {
        match &mut self.stage {
            Stage::Talking(talking) => talking.kept = Kept::Unrecorded(reason),
            Stage::Transferring(transferring) => {
                transferring.talk.kept = Kept::Unrecorded(reason);
            }
            Stage::Parted(talk) => talk.kept = Kept::Unrecorded(reason),
            Stage::ExpectPrack(_)
            | Stage::ExpectAck(_)
            | Stage::Announcing(_)
            | Stage::Calling { .. }
            | Stage::Passing { .. }
            | Stage::Joining(_)
            | Stage::Closing(_)
            | Stage::Over => {}
        }
    }

    /// Whoever was called on for has answered; its media is looked at before the one that leaves is let go.
    pub(super) fn read_target_answer(
        &mut self,
        house: &mut House,
        now: Now,
        mut transferring: Transferring,
        message: &Message,
    ) {
        let dialog = transferring.attempts.current.leg.dialog;
        match self.read_answer(house, &transferring.attempts.current, message) {
            Some(agreed) => {
                let peer = transferring.attempts.current.leg.peer;
                self.parties.hear_answer(house, peer, message);
                self.bridge(house, &mut transferring.attempts.current.leg, agreed);
                self.transferred(house, now, transferring);
            }
            None => {
                self.stage = Stage::Transferring(Box::new(transferring));
                self.answer_unusable(house, now, dialog);
            }
        }
    }
}
