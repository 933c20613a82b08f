//! Attended transfer: two calls of whoever transfers become one, once it is certain that those who stay can hear each other.
//!
//! Those who stay are asked one after the other, where they have to be: first the one of the call that goes on, unless it is to be told
//! that the other one holds. Whoever transfers is told and let go when both have agreed; where one cannot be joined it is told so and has
//! both calls as they were. It may hang up meanwhile.
//! What each call does is in `call/attended.rs`. Follows RFC 3515 section 2.4.4, RFC 3891 and RFC 5589 section 7.

use rules::CallId;
use sip_core::DialogId;

use crate::{
    call::{CallInput, Handover, Prospect, Terms},
    exchange::{Exchange, InHand},
    house::Subscription,
    now::Now,
};

/// An attended transfer under way.
///
/// It needs no deadline: the endpoint ends each re-INVITE.
#[derive(Debug, Clone, Copy)]
pub(super) struct AttendedTransfer {
    /// The dialog of the REFER.
    referrer: DialogId,
    /// The call that goes on.
    kept: CallId,
    /// The call whose leg goes over to it.
    given: CallId,
}

/// What is to be done next.
enum Step {
    /// Nothing: an answer is due.
    Await,
    /// A party has to be asked.
    Ask(CallId, Box<Terms>),
    /// Both are ready.
    Join,
    /// It cannot be, for which this status stands.
    GiveUp(u16),
}

impl Exchange {
    /// Begins the join of two calls, each given with the dialog of whoever transfers.
    pub(super) fn begin_attended(
        &mut self,
        now: Now,
        referrer: DialogId,
        kept: (CallId, DialogId),
        given: (CallId, DialogId),
    ) {
        for (call, leaving) in [kept, given] {
            self.let_handle(now, call, CallInput::Attend(leaving));
        }
        let (kept, given) = (kept.0, given.0);
        let transfer = AttendedTransfer {
            referrer,
            kept,
            given,
        };
        self.attended.push(transfer);
        match self.next_step(&transfer) {
            Step::Await | Step::Ask(..) => {
                self.house.notify(now, referrer, 100, Subscription::Active);
            }
            // The first NOTIFY is the last one too.
            Step::Join | Step::GiveUp(_) => {}
        }
        self.attend_on(now, kept);
    }

    /// A call has handled an input: where it is being joined, the next step is taken.
    pub(super) fn attend_on(&mut self, now: Now, call: CallId) {
        let is_of = |transfer: &AttendedTransfer| [transfer.kept, transfer.given].contains(&call);
        // It stays in the list until it is done: a panic in one call must not leave the other waiting.
        while let Some(transfer) = self.attended.iter().copied().find(is_of) {
            match self.next_step(&transfer) {
                Step::Await => return,
                Step::Ask(asked, terms) => {
                    self.let_handle(now, asked, CallInput::AskToJoin(terms));
                }
                Step::Join => self.join_calls(now, &transfer),
                Step::GiveUp(status) => self.give_up_join(now, &transfer, status),
            }
        }
    }

    fn next_step(&self, transfer: &AttendedTransfer) -> Step {
        let prospect = |id| self.calls.get(&id)?.prospect();
        let (Some(kept), Some(given)) = (prospect(transfer.kept), prospect(transfer.given)) else {
            // One of them is over.
            return Step::GiveUp(480);
        };
        if let Prospect::Refused(status) = kept {
            return Step::GiveUp(status);
        }
        if let Prospect::Refused(status) = given {
            return Step::GiveUp(status);
        }
        let (Some(staying), Some(coming)) = (kept.leg(), given.leg()) else {
            return Step::Await;
        };
        let Some(codec) = staying.codec_with(coming) else {
            return Step::GiveUp(488);
        };
        let shard = staying.lent.leg.shard;
        let of_kept = (transfer.kept, &kept, coming);
        let of_given = (transfer.given, &given, staying);
        // Whoever is to be told that the other one holds comes last: until then it talks on.
        let order = match coming.holds() && !staying.holds() {
            true => [of_given, of_kept],
            false => [of_kept, of_given],
        };
        for (call, prospect, other) in order {
            if let Prospect::Unasked(leg) = prospect
                && let Some(terms) = Terms::between(leg, other, codec, shard)
            {
                return Step::Ask(call, Box::new(terms));
            }
        }
        Step::Join
    }

    /// Tells whoever transfers, and lets it go.
    fn join_calls(&mut self, now: Now, transfer: &AttendedTransfer) {
        let AttendedTransfer {
            referrer,
            kept,
            given,
        } = *transfer;
        self.house
            .notify(now, referrer, 200, Subscription::Terminated);
        if let Some(handover) = self.give_away(now, given) {
            self.house.adopt(handover.leg.dialog, kept);
            self.house.belongs(handover.leg.lent, kept);
            self.let_handle(now, kept, CallInput::Receive(Box::new(handover)));
        }
        self.forget_attended(transfer);
    }

    /// Tells whoever transfers that both calls are as they were.
    fn give_up_join(&mut self, now: Now, transfer: &AttendedTransfer, status: u16) {
        self.house
            .notify(now, transfer.referrer, status, Subscription::Terminated);
        for call in [transfer.kept, transfer.given] {
            self.let_handle(now, call, CallInput::NotJoined(status));
        }
        self.forget_attended(transfer);
    }

    fn forget_attended(&mut self, done: &AttendedTransfer) {
        self.attended.retain(|transfer| transfer.kept != done.kept);
    }

    /// Takes from a call the leg that stays, and ends the call.
    fn give_away(&mut self, now: Now, id: CallId) -> Option<Handover> {
        let call = self.take_out(id)?;
        let in_hand = InHand {
            id,
            call: Some(call),
        };
        let in_hand = self.in_hand.insert(in_hand);
        let call = in_hand.call.as_mut()?;
        let handover = call.give_away(&mut self.house, now);
        self.put_back(now);
        handover
    }
}
