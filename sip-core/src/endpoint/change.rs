//! Re-INVITE and UPDATE of ours: offers of the application and refreshes, their answers, and what happens when two meet.
//!
//! Follows RFC 3261 section 14.1, RFC 3311 section 5.1 and RFC 4028 section 7.

use std::time::{Duration, Instant};

use bytes::Bytes;
use rand_core::Rng;

use super::{
    Endpoint,
    event::{DialogId, Event, Glare},
    outgoing::Inside,
    session::{Aim, Attempt, By, Change, Session},
    table::{ClientKey, ClientMachine, Offer, Stage, Task, Usage},
};
use crate::{
    dialog::Caller, draft, header::Method, message::Message, reliable::HeardAnswers, timer::Timer,
    turn::Turn,
};

/// How often a change is put off or sent again before it counts as refused.
const MAX_TRIES: u8 = 10; // Law 5; two sides that always meet are broken.

impl Endpoint {
    /// Sends an INVITE with an offer inside an answered dialog; `Modified` or `NotModified` follows.
    ///
    /// While another exchange of offers is under way there, it is refused by 491 at once, or put off with [`Glare::Repeat`]. One that waits for its
    /// time gives way to a newer one, whose outcome is that of both.
    /// An empty `body` repeats the description sent last: no INVITE of ours goes without one.
    ///
    /// Source: RFC 3261 section 14.1.
    pub fn reinvite(&mut self, now: Instant, dialog: DialogId, body: Bytes, glare: Glare) {
        self.change(now, dialog, By::Invite, Aim::Offer(glare), body);
    }

    /// Sends an UPDATE with an offer inside a dialog, early or answered; `Modified` or `NotModified` follows.
    ///
    /// Source: RFC 3311 section 5.1.
    pub fn update(&mut self, now: Instant, dialog: DialogId, body: Bytes) {
        self.change(now, dialog, By::Update, Aim::Offer(Glare::Report), body);
    }

    /// Gives up the re-INVITE that the application has sent: CANCEL, as soon as a provisional answer lets it out. One that waits for its
    /// time is not sent any more.
    ///
    /// `Modified` or `NotModified` follows as ever; what was not sent counts as cancelled (487). An UPDATE is answered too soon to be
    /// cancelled.
    ///
    /// Source: RFC 3261 section 9.1.
    pub fn withdraw(&mut self, now: Instant, dialog: DialogId) {
        let Some(session) = self.usages.get_mut(&dialog).and_then(Usage::current) else {
            return;
        };
        let is_offer = |attempt: &mut Attempt| attempt.aim != Aim::Refresh;
        let waiting = session.waiting.take_if(is_offer);
        if let Change::Sent { client, attempt } = &mut session.change
            && attempt.by == By::Invite
            && let Aim::Offer(_) = attempt.aim
        {
            attempt.aim = Aim::Withdrawn;
            let client = *client;
            self.cancel_if_possible(now, client);
        } else if let Some(attempt) = waiting {
            self.not_changed(now, dialog, attempt.aim, 487, None);
        }
    }

    fn change(&mut self, now: Instant, id: DialogId, by: By, aim: Aim, description: Bytes) {
        let attempt = Attempt {
            by,
            aim,
            description,
            tries: 0,
        };
        self.try_change(now, id, attempt);
    }

    /// Sends a change if nothing stands in its way, else puts it off or tells.
    pub(super) fn try_change(&mut self, now: Instant, id: DialogId, mut attempt: Attempt) {
        let Some(usage) = self.usages.get_mut(&id) else {
            return;
        };
        if matches!(usage.stage, Stage::Closing { .. }) {
            return;
        }
        match way(usage, &attempt) {
            Way::Free => {
                let session = usage.current();
                if let Some(session) = session
                    && attempt.description.is_empty()
                    && attempt.by == By::Invite
                {
                    attempt.description = session.description.clone();
                }
                self.send_change(now, id, attempt);
            }
            Way::Waits => self.put_off(now, id, attempt),
            Way::Taken if attempt.aim == Aim::Offer(Glare::Report) || !usage.is_confirmed() => {
                self.events.push_back(Event::NotModified {
                    dialog: id,
                    status: 491,
                    message: None,
                });
            }
            Way::Taken => self.put_off(now, id, attempt),
        }
    }

    fn send_change(&mut self, now: Instant, id: DialogId, attempt: Attempt) {
        let Some(usage) = self.usages.get_mut(&id) else {
            return;
        };
        let lines = if usage.is_confirmed() {
            usage.session_timer.offer()
        } else {
            Vec::new()
        };
        let Some(session) = usage.current() else {
            // Nobody has rung yet.
            return self.not_changed(now, id, attempt.aim, 491, None);
        };
        let tag = session.dialog.remote_tag().to_vec();
        if !attempt.description.is_empty() {
            session.turn.describe();
        }
        if attempt.aim != Aim::Refresh {
            // The newest description counts.
            session.waiting = None;
        }
        if attempt.by == By::Invite {
            session.heard = HeardAnswers::default();
            usage
                .timers
                .set(Timer::ChangeWait, now + self.intervals.long());
        }
        let description = Some(&attempt.description).filter(|body| !body.is_empty());
        let inside = Inside {
            method: attempt.by.name(),
            lines: &lines,
            headers: &[],
            content: description.map(|body| (draft::SDP, body)),
            task: Task::Change,
        };
        let client = self.send_inside(now, id, &tag, &inside);
        if let Some(client) = client
            && let Some(usage) = self.usages.get_mut(&id)
            && let Some(session) = usage.session_with(&tag)
        {
            session.change = Change::Sent { client, attempt };
        }
        self.arm_usage(id);
    }

    /// Sends a change later: who owns the Call-ID waits longer, so that two do not meet again (RFC 3261 section 14.1).
    fn put_off(&mut self, now: Instant, id: DialogId, mut attempt: Attempt) {
        attempt.tries += 1;
        if attempt.aim == Aim::Refresh {
            // A refresh says what stands when it is sent; the other offer may change that.
            attempt.description = Bytes::new();
        }
        if attempt.tries > MAX_TRIES {
            return self.not_changed(now, id, attempt.aim, 491, None);
        }
        let chance = self.generator.next_u64();
        let Some(usage) = self.usages.get_mut(&id) else {
            return;
        };
        let Some(session) = usage.current() else {
            return self.not_changed(now, id, attempt.aim, 491, None);
        };
        // In steps of 10 ms.
        let pause_ms = match session.dialog.caller() {
            Caller::Us => 2100 + chance % 191 * 10,
            Caller::Peer => chance % 201 * 10,
        };
        let is_offer = |attempt: &Attempt| attempt.aim != Aim::Refresh;
        // An offer refreshes the session too.
        if is_offer(&attempt) || !session.waiting.as_ref().is_some_and(is_offer) {
            session.waiting = Some(attempt);
        }
        usage
            .timers
            .set(Timer::Glare, now + Duration::from_millis(pause_ms));
        self.arm_usage(id);
    }

    /// The time to send a change that was put off.
    pub(super) fn retry_change(&mut self, now: Instant, id: DialogId) {
        let Some(session) = self.usages.get_mut(&id).and_then(Usage::current) else {
            return;
        };
        if let Some(attempt) = session.waiting.take() {
            self.try_change(now, id, attempt);
        }
    }

    /// A re-INVITE of ours has rung for too long: it is cancelled, and its end bounded.
    pub(super) fn give_up_change(&mut self, now: Instant, id: DialogId) {
        let Some(session) = self.usages.get_mut(&id).and_then(Usage::current) else {
            return;
        };
        let Change::Sent { client, .. } = session.change else {
            return;
        };
        let Some(entry) = self.clients.get(&client) else {
            return;
        };
        let ClientMachine::Invite { machine, .. } = &entry.machine else {
            return;
        };
        if machine.may_cancel() {
            self.cancel_if_possible(now, client);
        } else if (machine.is_unheard() || machine.is_adrift())
            && let Some(usage) = self.usages.get_mut(&id)
        {
            // It has begun anew by another way, or whoever has heard it may answer yet.
            let at = now + self.intervals.long();
            usage.timers.set(Timer::ChangeWait, at);
        }
    }

    /// A re-INVITE or UPDATE of ours has its final answer; its ACK has been sent.
    pub(super) fn change_answered(
        &mut self,
        now: Instant,
        id: DialogId,
        key: ClientKey,
        status: u16,
        message: Option<Message>,
    ) {
        let Some(usage) = self.usages.get_mut(&id) else {
            return;
        };
        let mut sessions = usage.sessions().iter_mut();
        let Some(session) = sessions.find(|session| session.change.is_of(key)) else {
            return;
        };
        let Change::Sent { attempt, .. } = std::mem::replace(&mut session.change, Change::None)
        else {
            return;
        };
        if !attempt.description.is_empty() {
            session.turn.settle();
        }
        match message {
            Some(message) if (200..300).contains(&status) => {
                changed(session, &attempt, &message);
                usage.timers.stop(Timer::ChangeWait);
                if usage.is_confirmed() && usage.session_timer.take_answer(&message) {
                    usage.time_session(now);
                }
                self.arm_usage(id);
                match attempt.aim {
                    Aim::Offer(_) | Aim::Withdrawn => self.events.push_back(Event::Modified {
                        dialog: id,
                        message,
                    }),
                    Aim::Refresh => {}
                }
            }
            message => {
                if matches!(status, 405 | 501) && attempt.by == By::Update {
                    session.abilities.forget(&Method::Update);
                }
                self.change_refused(now, id, attempt, status, message);
            }
        }
    }

    fn change_refused(
        &mut self,
        now: Instant,
        id: DialogId,
        mut attempt: Attempt,
        status: u16,
        message: Option<Message>,
    ) {
        let Some(usage) = self.usages.get_mut(&id) else {
            return;
        };
        usage.timers.stop(Timer::ChangeWait);
        if attempt.aim == Aim::Withdrawn {
            self.arm_usage(id);
            return self.not_changed(now, id, attempt.aim, status, message);
        }
        let is_unknown = matches!(status, 405 | 501) && attempt.by == By::Update;
        if is_unknown && attempt.aim == Aim::Refresh {
            attempt.by = By::Invite;
            return self.try_change(now, id, attempt);
        }
        let is_raised = status == 422
            && message
                .as_ref()
                .is_some_and(|answer| usage.session_timer.raise(answer));
        if is_raised {
            return self.try_change(now, id, attempt);
        }
        if status == 491 && attempt.aim != Aim::Offer(Glare::Report) {
            return self.put_off(now, id, attempt);
        }
        self.arm_usage(id);
        self.not_changed(now, id, attempt.aim, status, message);
    }

    fn not_changed(
        &mut self,
        now: Instant,
        id: DialogId,
        aim: Aim,
        status: u16,
        message: Option<Message>,
    ) {
        match aim {
            Aim::Offer(_) | Aim::Withdrawn => {
                self.events.push_back(Event::NotModified {
                    dialog: id,
                    status,
                    message,
                });
                // It would have refreshed the session too.
                self.refresh_soon(now, id);
            }
            Aim::Refresh => self.not_refreshed(now, id, status, message.as_ref()),
        }
    }
}

/// Whether a change can be sent.
enum Way {
    Free,
    /// A refresh is under way; it is over in no time.
    Waits,
    /// Offers are being exchanged.
    Taken,
}

fn way(usage: &mut Usage, attempt: &Attempt) -> Way {
    let by = attempt.by;
    let is_invited = match &usage.stage {
        Stage::Talking { offer, .. } => match offer {
            Offer::None => false,
            Offer::Asked { .. } => true,
            Offer::ExpectAck { .. } => by == By::Invite,
        },
        Stage::Calling { .. } | Stage::Ringing { .. } | Stage::ExpectAck { .. } => by == By::Invite,
        Stage::Closing { .. } => true,
    };
    let Some(session) = usage.current() else {
        return Way::Taken;
    };
    match &session.change {
        Change::Sent { attempt, .. } if attempt.aim == Aim::Refresh => Way::Waits,
        Change::Sent { .. } => Way::Taken,
        Change::None => {
            let is_free = !is_invited && session.turn == Turn::Agreed && session.asked.is_none();
            if is_free { Way::Free } else { Way::Taken }
        }
    }
}

/// Takes a 2xx to a change: the answer, the new target, and what the other side can do.
fn changed(session: &mut Session, attempt: &Attempt, answer: &Message) {
    if !attempt.description.is_empty() {
        session.description = attempt.description.clone();
    }
    session.dialog.refresh_target(answer);
    session.abilities.hear(answer);
}
