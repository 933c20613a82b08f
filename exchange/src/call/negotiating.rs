//! Offers inside a call: what one leg wants changed is asked of the other leg, and the outcome goes back at once.
//!
//! A description of the same version, or one that changes nothing, is a refresh and is answered on its own leg. So is every offer while
//! the two legs are not joined. What is refused leaves both legs as they were. Follows RFC 3264 section 8, RFC 3261 section 14, RFC 6337.

use bytes::Bytes;
use media::{
    OfferedLeg,
    sdp::{Direction, RemoteMedia},
};
use rules::EndCause;
use sip_core::{DialogId, Event, Glare, Message, Method, RequestId};

use crate::{
    call::{
        Call, Stage,
        alone::{admit_offer, change_alone, offer_alone},
        attended::{Attended, give_back},
        fitting::Fitting,
        proposal::Proposal,
    },
    house::House,
    leg::{Agreed, Events, Leg, Session},
    now::Now,
};

/// One of the two ends of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    Origin,
    Far,
}

impl End {
    pub(super) fn other(self) -> End {
        match self {
            End::Origin => End::Far,
            End::Far => End::Origin,
        }
    }
}

/// Which exchange of offers is under way; there is one at a time in a call.
#[derive(Debug)]
pub(super) enum Negotiation {
    /// None.
    Idle,
    /// What one leg asked for was offered to the other.
    PassedOn(Box<PassedOn>),
    /// A re-INVITE without a description got our offer; its ACK brings the answer.
    Reoffered {
        dialog: DialogId,
        proposal: Proposal,
    },
    /// We asked a leg for something of our own accord.
    Own { end: End, proposal: Proposal },
    /// The far side and the caller have answered in different codecs: one of them is asked for the other's before they talk.
    Fitting(Box<Fitting>),
    /// A party is to be joined with one of another call, and nobody is asked for anything else meanwhile.
    Attended(Attended),
    /// What we asked the party of this dialog for is wanted no more; it has not answered yet.
    GivenUp {
        dialog: DialogId,
        /// The pair that its leg was to move to: nobody else has it until the outcome is known.
        moves_to: Option<OfferedLeg>,
    },
}

impl Negotiation {
    pub(super) fn is_idle(&self) -> bool {
        match self {
            Negotiation::Idle => true,
            Negotiation::PassedOn(_)
            | Negotiation::Reoffered { .. }
            | Negotiation::Own { .. }
            | Negotiation::Fitting(_)
            | Negotiation::Attended(_)
            | Negotiation::GivenUp { .. } => false,
        }
    }
}

#[derive(Debug)]
pub(super) struct PassedOn {
    from: End,
    pub(super) request: RequestId,
    theirs: RemoteMedia,
    proposal: Proposal,
}

/// By which method an offer came or goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum By {
    Invite,
    Update,
}

impl Call {
    /// An INVITE or UPDATE inside a dialog.
    pub(super) fn offered(
        &mut self,
        house: &mut House,
        now: Now,
        dialog: DialogId,
        request: RequestId,
        message: &Message,
    ) {
        match self.judge_offer(house, now, dialog, request, message) {
            Ok(()) => {}
            Err(status) => house.answer_plainly(now, request, status),
        }
    }

    fn judge_offer(
        &mut self,
        house: &mut House,
        now: Now,
        dialog: DialogId,
        request: RequestId,
        message: &Message,
    ) -> Result<(), u16> {
        let Some(end) = self.end_of(dialog) else {
            return self.answer_leaving(house, now, dialog, request, message);
        };
        let leg = self.leg(end).ok_or(488_u16)?;
        let agreed = leg.agreed().ok_or(491_u16)?;
        // What it had is not the newest description any more, and what it has agreed to counts only once it is joined.
        if self.has_agreed_to_join(dialog) {
            return Err(491);
        }
        let Some(body) = message.sdp() else {
            return self.reoffer(house, now, end, request);
        };
        let theirs = admit_offer(house, leg.peer, agreed, &body)?;
        if agreed.theirs.changes_nothing(&theirs) {
            let ours = agreed.ours.clone();
            if let Some(leg) = self.leg_mut(end) {
                leg.keep_origin(theirs);
            }
            house.answer_offer(now, request, ours);
            return Ok(());
        }
        if self.is_being_fitted() {
            return Err(491);
        }
        let by = match message.method() {
            Some(Method::Update) => By::Update,
            Some(_) | None => By::Invite,
        };
        match self.way_across(house, end, by) {
            Some(way) if agreed.theirs.is_newer(&theirs) => {
                self.pass_on(house, now, end, request, theirs, way)
            }
            Some(_) | None => self.answer_alone(house, now, end, request, &theirs),
        }
    }

    /// How the other leg can be asked, where both are joined.
    fn way_across(&self, house: &mut House, from: End, by: By) -> Option<By> {
        let other = self.leg(from.other())?;
        other.agreed()?;
        let allows_update = house.endpoint.allows(other.dialog, &Method::Update);
        match &self.stage {
            Stage::Talking(_) if by == By::Update && allows_update => Some(By::Update),
            Stage::Talking(_) => Some(By::Invite),
            // Before the answer there is no other way (RFC 3311 section 5.1).
            Stage::Passing { .. } if allows_update => Some(By::Update),
            Stage::Passing { .. }
            | Stage::Joining(_)
            | Stage::Transferring(_)
            | Stage::Parted(_)
            | Stage::Calling { .. }
            | Stage::ExpectPrack(_)
            | Stage::ExpectAck(_)
            | Stage::Announcing(_)
            | Stage::Closing(_)
            | Stage::Over => None,
        }
    }

    /// Answers on the leg where it was asked; the other does not notice.
    fn answer_alone(
        &mut self,
        house: &mut House,
        now: Now,
        end: End,
        request: RequestId,
        theirs: &RemoteMedia,
    ) -> Result<(), u16> {
        // An offer of ours to this leg, which may wait for its turn, has its version already.
        if self.asked_end() == Some(end) {
            return Err(491);
        }
        let wish = self.other_wish(end);
        let leg = self.leg_mut(end).ok_or(488_u16)?;
        change_alone(house, now, leg, request, theirs, wish)
    }

    /// The end that an offer of ours goes to.
    pub(super) fn asked_end(&self) -> Option<End> {
        match &self.negotiation {
            Negotiation::Idle => None,
            Negotiation::PassedOn(passed_on) => Some(passed_on.from.other()),
            Negotiation::Own { end, .. } => Some(*end),
            Negotiation::Fitting(fitting) => Some(fitting.end),
            Negotiation::Attended(attended) => self.end_of(attended.asked()?),
            Negotiation::Reoffered { dialog, .. } | Negotiation::GivenUp { dialog, .. } => {
                self.end_of(*dialog)
            }
        }
    }

    /// Who the other leg's peer lets send, as our description on this leg says it.
    pub(super) fn other_wish(&self, end: End) -> Direction {
        let other = self.leg(end.other()).and_then(Leg::agreed);
        other.map_or(Direction::SendReceive, |agreed| agreed.wish)
    }

    /// Offers the other leg what this one wants.
    fn pass_on(
        &mut self,
        house: &mut House,
        now: Now,
        from: End,
        request: RequestId,
        theirs: RemoteMedia,
        by: By,
    ) -> Result<(), u16> {
        // Both legs want something at once (RFC 3261 section 14.2).
        if !self.negotiation.is_idle() {
            return Err(491);
        }
        let proposal = self
            .proposal(house, from.other(), &theirs, theirs.direction)
            .ok_or(488_u16)?;
        let other = self.leg(from.other()).ok_or(488_u16)?;
        let (dialog, ours) = (other.dialog, proposal.text());
        self.negotiation = Negotiation::PassedOn(Box::new(PassedOn {
            from,
            request,
            theirs,
            proposal,
        }));
        match by {
            By::Invite => house.endpoint.reinvite(now.at, dialog, ours, Glare::Report),
            By::Update => house.endpoint.update(now.at, dialog, ours),
        }
        Ok(())
    }

    /// A leg has taken what we offered it.
    pub(super) fn modified(
        &mut self,
        house: &mut House,
        now: Now,
        dialog: DialogId,
        message: &Message,
    ) {
        let Some(end) = self.end_of(dialog) else {
            return;
        };
        let body = message.sdp();
        match std::mem::replace(&mut self.negotiation, Negotiation::Idle) {
            Negotiation::PassedOn(passed_on) if passed_on.from.other() == end => {
                self.pass_back(house, now, *passed_on, body.as_ref());
            }
            Negotiation::Own {
                end: asked,
                proposal,
            } if asked == end => {
                if !self.take_answer(house, end, proposal, body.as_ref()) {
                    return self.fail(house, now, EndCause::NotAcceptable);
                }
                // Who is at the other end, or what it wishes, may have changed meanwhile.
                self.align_origin(house, now);
            }
            Negotiation::Fitting(fitting) if fitting.end == end => {
                self.fitted(house, now, *fitting, body.as_ref());
            }
            Negotiation::Attended(attended) if attended.asked() == Some(dialog) => {
                let attended = attended.answered(house, self.leg(end), body.as_ref());
                self.negotiation = Negotiation::Attended(attended);
            }
            Negotiation::GivenUp {
                dialog: asked,
                moves_to,
            } if asked == dialog => {
                give_back(house, moves_to);
                self.restore(house, now, end);
            }
            // The outcome of something that was given up meanwhile.
            other @ (Negotiation::Idle
            | Negotiation::PassedOn(_)
            | Negotiation::Reoffered { .. }
            | Negotiation::Own { .. }
            | Negotiation::Fitting(_)
            | Negotiation::Attended(_)
            | Negotiation::GivenUp { .. }) => self.negotiation = other,
        }
    }

    /// The other leg has agreed: so does the one that asked.
    fn pass_back(
        &mut self,
        house: &mut House,
        now: Now,
        passed_on: PassedOn,
        body: Option<&Bytes>,
    ) {
        let PassedOn {
            from,
            request,
            theirs,
            proposal,
        } = passed_on;
        // Cancelled meanwhile, nobody waits for it (RFC 3261 section 14.1): what the other leg has agreed to is taken back.
        let is_wanted = house.endpoint.is_waiting(request);
        let before = self.leg(from.other()).and_then(Leg::agreed).cloned();
        let is_taken = self.take_answer(house, from.other(), proposal, body);
        let answered = self.leg(from.other()).and_then(Leg::agreed).cloned();
        let done = match &answered {
            Some(answered) if is_taken && is_wanted => {
                self.agree(house, now, from, request, &theirs, answered)
            }
            Some(_) | None => None,
        };
        let codec = |agreed: &Option<Agreed>| agreed.as_ref().map(|agreed| agreed.codec);
        if done.is_some() && codec(&before) != codec(&answered) {
            // A segment holds one codec for each party.
            self.next_segment(house, now);
        }
        if done.is_none() {
            house.answer_plainly(now, request, 488);
            if let Some(before) = before {
                self.restore_to(house, now, from.other(), &before);
            }
        }
    }

    /// Answers the leg that asked, with what the other has agreed to.
    fn agree(
        &mut self,
        house: &mut House,
        now: Now,
        end: End,
        request: RequestId,
        theirs: &RemoteMedia,
        answered: &Agreed,
    ) -> Option<()> {
        let leg = self.leg_mut(end)?;
        let mut local = leg.local.clone();
        local.version += 1;
        local.direction = answered.theirs.direction;
        local.noise = answered.theirs.noise.is_some();
        house.answer_keys(&mut local, theirs);
        let proposed = Leg {
            local,
            ..leg.clone()
        };
        let agreed = proposed.answer_to(theirs, answered.codec, Events::of(&answered.theirs));
        let stream = proposed.stream(&agreed)?;
        house.answer_offer(now, request, agreed.ours.clone());
        house.open(leg.id(), leg.peer, stream);
        leg.local = proposed.local;
        // What the other does not do because this one did not ask for it was not told.
        leg.local.direction = answered.wish;
        leg.session = Session::Agreed(Box::new(agreed));
        Some(())
    }

    /// A leg has cancelled what it asked for: so do we, where the other was asked for it.
    fn withdrawn(&mut self, house: &mut House, now: Now, request: RequestId) {
        let other = match &self.negotiation {
            Negotiation::PassedOn(passed_on) if passed_on.request == request => {
                self.leg(passed_on.from.other())
            }
            // It was answered at once, on its own leg.
            Negotiation::Idle
            | Negotiation::PassedOn(_)
            | Negotiation::Reoffered { .. }
            | Negotiation::Own { .. }
            | Negotiation::Fitting(_)
            | Negotiation::Attended(_)
            | Negotiation::GivenUp { .. } => None,
        };
        if let Some(other) = other {
            house.endpoint.withdraw(now.at, other.dialog);
        }
    }

    /// A leg has refused what we offered it. Both go on as they were; the one that asked hears it.
    pub(super) fn not_modified(
        &mut self,
        house: &mut House,
        now: Now,
        dialog: DialogId,
        status: u16,
    ) {
        let Some(end) = self.end_of(dialog) else {
            return;
        };
        let mut is_missed = true;
        match std::mem::replace(&mut self.negotiation, Negotiation::Idle) {
            Negotiation::PassedOn(passed_on) if passed_on.from.other() == end => {
                let passed = if status == 491 { 491 } else { 488 };
                house.answer_plainly(now, passed_on.request, passed);
            }
            Negotiation::Own { end: asked, .. } if asked == end => {}
            Negotiation::Fitting(fitting) if fitting.end == end => {
                return self.not_fitted(house, now, end, status);
            }
            // Whoever transfers talks on with a party that merely does not answer, and hears whether it is there.
            Negotiation::Attended(attended) if attended.asked() == Some(dialog) => {
                self.negotiation = Negotiation::Attended(attended.refused(status));
                is_missed = false;
            }
            Negotiation::GivenUp {
                dialog: asked,
                moves_to,
            } if asked == dialog => {
                give_back(house, moves_to);
                is_missed = false;
            }
            other @ (Negotiation::Idle
            | Negotiation::PassedOn(_)
            | Negotiation::Reoffered { .. }
            | Negotiation::Own { .. }
            | Negotiation::Fitting(_)
            | Negotiation::Attended(_)
            | Negotiation::GivenUp { .. }) => self.negotiation = other,
        }
        // It knows of no such dialog any more, or is not there (RFC 3261 section 12.2.1.2). What merely goes unanswered ends no
        // emergency call (S-17).
        let is_gone = match status {
            481 => true,
            408 => is_missed && !self.parties.is_emergency(),
            _ => false,
        };
        if is_gone {
            self.end_of_party(house, now, end);
        }
    }

    /// Answers a re-INVITE without a description by our offer: what the other leg has to give.
    fn reoffer(
        &mut self,
        house: &mut House,
        now: Now,
        end: End,
        request: RequestId,
    ) -> Result<(), u16> {
        // The caller's answer that is still to come may need the far side's.
        if !self.negotiation.is_idle() || matches!(self.stage, Stage::Joining(_)) {
            return Err(491);
        }
        let other = self.leg(end.other()).and_then(Leg::agreed);
        let own = self.leg(end).and_then(Leg::agreed);
        let says = other.or(own).ok_or(491_u16)?.theirs.clone();
        let wish = self.other_wish(end);
        let leg = self.leg_mut(end).ok_or(491_u16)?;
        let dialog = leg.dialog;
        let proposal = offer_alone(house, now, leg, request, &says, wish)?;
        self.negotiation = Negotiation::Reoffered { dialog, proposal };
        Ok(())
    }

    /// The ACK of our answer to a re-INVITE is here; where that answer was an offer, it brings the answer.
    pub(super) fn reacked(
        &mut self,
        house: &mut House,
        now: Now,
        dialog: DialogId,
        body: Option<&Bytes>,
    ) {
        let Some(end) = self.end_of(dialog) else {
            return self.leaving_acknowledged(house, now, dialog, body);
        };
        let Some(proposal) = self.take_reoffered(dialog) else {
            return;
        };
        if !self.take_answer(house, end, proposal, body) {
            return self.fail(house, now, EndCause::NotAcceptable);
        }
        self.tell_other(house, now, end);
    }

    /// The ACK of an answer of ours never came. Where the call goes on, the leg's session stays as it was before that answer.
    pub(super) fn unacknowledged(&mut self, house: &mut House, now: Now, dialog: DialogId) {
        self.take_reoffered(dialog);
        self.fail(house, now, EndCause::NotAcknowledged);
    }

    /// Lets the far side know that the caller has held, or holds no more, since the offer that it has answered.
    pub(super) fn tell_far(&mut self, house: &mut House, now: Now) {
        // What is under way brings it.
        if !self.negotiation.is_idle() {
            return;
        }
        self.tell_other(house, now, End::Origin);
    }

    /// Lets the other leg know that this one holds, or holds no more.
    pub(super) fn tell_other(&mut self, house: &mut House, now: Now, end: End) {
        let told = self.leg(end.other()).map(|other| other.local.direction);
        let Some(agreed) = self.leg(end).and_then(Leg::agreed).cloned() else {
            return;
        };
        let is_joined = match &self.stage {
            Stage::Talking(_) => true,
            Stage::Passing { .. }
            | Stage::Joining(_)
            | Stage::Transferring(_)
            | Stage::Parted(_)
            | Stage::Calling { .. }
            | Stage::ExpectPrack(_)
            | Stage::ExpectAck(_)
            | Stage::Announcing(_)
            | Stage::Closing(_)
            | Stage::Over => false,
        };
        if is_joined && told != Some(agreed.wish) {
            let (other, wish) = (end.other(), agreed.wish);
            self.ask(house, now, other, &agreed.theirs, wish);
        }
    }

    /// Handles what belongs to offers; gives back what does not.
    pub(super) fn handle_offers(
        &mut self,
        house: &mut House,
        now: Now,
        dialog: DialogId,
        event: Event,
    ) -> Option<Event> {
        match event {
            Event::Reinvited {
                request, message, ..
            }
            | Event::Updated {
                request, message, ..
            } => self.offered(house, now, dialog, request, &message),
            Event::Withdrawn { request, .. } => self.withdrawn(house, now, request),
            Event::Modified { message, .. } => self.modified(house, now, dialog, &message),
            Event::NotModified { status, .. } => self.not_modified(house, now, dialog, status),
            Event::Reacked { body, .. } => self.reacked(house, now, dialog, body.as_ref()),
            other => return Some(other),
        }
        None
    }
}
