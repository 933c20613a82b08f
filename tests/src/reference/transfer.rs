//! Transfers as the reference sees them: who is joined to whom, who is to be, and how it went (RFC 3515, RFC 5589).

use std::{
    net::SocketAddr,
    time::{Duration, Instant},
};

use super::{
    Began, Reference, What,
    leg::{Leg, Stage},
    words,
};
use crate::text::Text;

/// What was on the way when two were told apart may still be heard: it is held up twice, by 200 ms at most each time.
const ECHO: Duration = Duration::from_millis(500);

/// A transfer that was taken and whose outcome is not known.
#[derive(Debug)]
pub(super) struct Transfer {
    /// The leg that asked for it.
    referrer: String,
    /// The leg that was joined to it.
    stays: String,
    goal: Goal,
}

/// Whom a transfer joins to the one that stays.
#[derive(Debug)]
enum Goal {
    /// Whoever is called under this user part; its leg, once it is called.
    Called { user: String, leg: Option<String> },
    /// The leg that is joined to this other one of the referrer's.
    Dialog { other: String, joined: String },
}

/// Two legs whose parties hear each other from an instant on.
#[derive(Debug, Clone)]
pub struct Joined {
    /// Since when.
    pub at: Instant,
    /// The Call-IDs of the two.
    pub legs: [String; 2],
}

/// What became of the transfers that were taken.
#[derive(Debug, Clone, Copy, Default)]
pub struct Transfers {
    /// The party that stayed was joined to one that was called for it.
    pub blind: u64,
    /// Two calls became one.
    pub attended: u64,
    /// All was as it had been.
    pub failed: u64,
}

impl Transfer {
    fn target(&self) -> Option<&str> {
        match &self.goal {
            Goal::Called { leg, .. } => leg.as_deref(),
            Goal::Dialog { joined, .. } => Some(joined),
        }
    }

    fn is_of(&self, leg: &str) -> bool {
        let is_other = match &self.goal {
            Goal::Called { .. } => false,
            Goal::Dialog { other, .. } => other == leg,
        };
        is_other || self.stays == leg || self.referrer == leg || self.target() == Some(leg)
    }
}

impl Reference {
    /// Whether the party of one leg may hear that of another at this instant.
    pub fn may_hear(&self, now: Instant, ear: &str, mouth: &str) -> bool {
        let is_recent = |since: Instant| now.saturating_duration_since(since) <= ECHO;
        let (Some(one), Some(other)) = (self.legs.get(ear), self.legs.get(mouth)) else {
            // Of an exchange that is no more.
            return self.forgot_at.is_some_and(is_recent);
        };
        let were_apart = |(legs, at): &(_, Instant)| *legs == pair_of(ear, mouth) && is_recent(*at);
        let are_brought = |transfer: &Transfer| transfer.is_of(ear) && transfer.is_of(mouth);
        let has_left = |at: Option<Instant>| at.is_some_and(|at| !is_recent(at));
        let are_linked = one.pair.as_deref() == Some(mouth) || other.pair.as_deref() == Some(ear);
        let are_both_here = !has_left(one.ended_at) && !has_left(other.ended_at);
        (are_linked && are_both_here)
            || self.apart.iter().any(were_apart)
            || self.transfers.iter().any(are_brought)
            || one.is_transferred && other.is_transferred
    }

    /// Those who were joined by transfers since this was asked last.
    pub fn poll_joined(&mut self) -> Option<Joined> {
        self.joined.pop_front()
    }

    /// Whether these two talk with each other, and nobody has left.
    pub fn are_joined(&self, legs: &[String; 2]) -> bool {
        let [one, other] = legs;
        self.partner(one).as_deref() == Some(other)
            && !self
                .transfers
                .iter()
                .any(|transfer| transfer.is_of(one) || transfer.is_of(other))
    }

    /// The answered leg that a leg is joined to, or one whose 200 waits for the PRACK of what it was told.
    pub(super) fn partner(&self, id: &str) -> Option<String> {
        let own = self.legs.get(id).and_then(|leg| leg.pair.as_deref());
        let mut others = self.legs.iter().filter(|(other, leg)| {
            let is_linked = own == Some(other.as_str()) || leg.pair.as_deref() == Some(id);
            is_linked && (leg.stage == Stage::Answered || leg.is_described_early())
        });
        others.next().map(|(other, _)| other.clone())
    }

    /// A REFER was taken: whoever asked for it and whoever stays are apart until it has failed.
    pub(super) fn refer_taken(&mut self, now: Instant, id: &str, refer_to: &str) {
        let replaced = words::replaced(refer_to);
        self.end_former(id, replaced.as_deref());
        let goal = match replaced {
            Some(other) => self
                .partner(&other)
                .map(|joined| Goal::Dialog { other, joined }),
            None => Some(Goal::Called {
                user: words::user_of(refer_to),
                leg: None,
            }),
        };
        let (Some(goal), Some(stays)) = (goal, self.partner(id)) else {
            return self.lose_sight(id);
        };
        self.part(now, id, &stays);
        if let Goal::Dialog { other, joined } = &goal {
            self.part(now, other, joined);
        }
        self.transfers.push(Transfer {
            referrer: id.to_owned(),
            stays,
            goal,
        });
    }

    /// While a transfer is under way no other of its parties' is taken: a former one has failed, and whoever asked for it had left.
    fn end_former(&mut self, id: &str, replaced: Option<&str>) {
        let is_former = |transfer: &Transfer| {
            transfer.is_of(id) || replaced.is_some_and(|other| transfer.is_of(other))
        };
        while let Some(at) = self.transfers.iter().position(is_former) {
            self.fail(at);
        }
    }

    /// The transfer for which an INVITE goes out: by whom it names as called and, inside the city, by who stays. Where nobody is named, the
    /// number that is called has to do.
    pub(super) fn transfer_of(&self, to: SocketAddr, invite: &Text) -> Option<usize> {
        let (called, callers) = (words::user_of(invite.header("To")), words::callers(invite));
        let is_named = |id: &str| self.legs.get(id).is_some_and(|leg| leg.is_one_of(&callers));
        let is_wanted = |transfer: &Transfer| match &transfer.goal {
            Goal::Called { user, .. } => words::is_same_number(user, &called),
            Goal::Dialog { .. } => false,
        };
        let is_for = |transfer: &Transfer| {
            to == self.carrier || callers.is_empty() || is_named(&transfer.stays)
        };
        let mut transfers = self.transfers.iter();
        transfers.rposition(|transfer| is_wanted(transfer) && is_for(transfer))
    }

    /// An INVITE went out for a transfer; returns for whom.
    pub(super) fn target_called(&mut self, at: usize, id: &str) -> String {
        let transfer = &mut self.transfers[at];
        if let Goal::Called { leg, .. } = &mut transfer.goal {
            *leg = Some(id.to_owned());
        }
        transfer.stays.clone()
    }

    /// Whoever is called has answered, and was not hung up on at once: the transfer is done, whether or not anybody waits to hear of it.
    pub(super) fn target_answered(&mut self, now: Instant, id: &str) {
        let is_live = self
            .legs
            .get(id)
            .is_some_and(|leg| leg.stage == Stage::Answered && !leg.must_end);
        let found = self.transfers.iter().position(
            |transfer| matches!(&transfer.goal, Goal::Called { leg: Some(leg), .. } if leg == id),
        );
        if let Some(at) = found.filter(|_| is_live) {
            self.succeed(now, at);
        }
    }

    /// The last NOTIFY of a transfer goes out.
    pub(super) fn outcome_told(&mut self, now: Instant, id: &str, notify: &Text) {
        let found = self
            .transfers
            .iter()
            .position(|transfer| transfer.referrer == id);
        if words::is_transfer_done(notify) {
            // Whoever transferred is done.
            if let Some(leg) = self.legs.get_mut(id) {
                leg.must_end |= leg.stage == Stage::Answered;
            }
            if let Some(at) = found.filter(|at| self.transfers[*at].target().is_some()) {
                self.succeed(now, at);
            }
        } else if let Some(at) = found {
            self.fail(at);
        }
    }

    /// The attended transfer that a goodbye to the other leg of whoever transferred shows to be done: nobody else is told who has left.
    pub(super) fn join_shown_by(&self, id: &str) -> Option<usize> {
        let has_ended = |leg: &str| {
            let leg = self.legs.get(leg);
            leg.is_some_and(|leg| leg.stage == Stage::Ended)
        };
        let is_wanted = self.legs.get(id).is_some_and(Leg::is_settled);
        let is_shown = |transfer: &Transfer| match &transfer.goal {
            Goal::Called { .. } => false,
            Goal::Dialog { other, .. } => other == id && has_ended(&transfer.referrer),
        };
        let found = self.transfers.iter().position(is_shown);
        found.filter(|_| is_wanted)
    }

    /// Until now both calls were whole, so what is on its way may still be heard.
    pub(super) fn succeed(&mut self, now: Instant, at: usize) {
        let Transfer {
            referrer,
            stays,
            goal,
        } = self.transfers.remove(at);
        self.part(now, &referrer, &stays);
        let comes = match goal {
            Goal::Called { leg, .. } => {
                self.outcomes.blind += 1;
                leg.unwrap_or_default()
            }
            Goal::Dialog { other, joined } => {
                self.outcomes.attended += 1;
                self.part(now, &other, &joined);
                self.let_go(now, &other);
                joined
            }
        };
        self.link(&stays, &comes);
        self.joined.push_back(Joined {
            at: now,
            legs: [stays, comes],
        });
    }

    /// The referrer's other leg is of no use any more.
    fn let_go(&mut self, now: Instant, other: &str) {
        let Some(leg) = self.legs.get_mut(other).filter(|leg| leg.is_live()) else {
            return;
        };
        leg.must_end = true;
        if !leg.must_wait(now) {
            self.owe(other, What::End);
        }
    }

    fn fail(&mut self, at: usize) {
        self.outcomes.failed += 1;
        let Transfer {
            referrer,
            stays,
            goal,
        } = self.transfers.remove(at);
        self.link(&stays, &referrer);
        if let Goal::Dialog { other, joined } = goal {
            self.link(&joined, &other);
        }
    }

    fn link(&mut self, stays: &str, comes: &str) {
        if let Some(leg) = self.legs.get_mut(stays) {
            leg.pair = None;
        }
        if let Some(leg) = self.legs.get_mut(comes) {
            leg.pair = Some(stays.to_owned());
        }
    }

    fn part(&mut self, now: Instant, one: &str, other: &str) {
        for (id, with) in [(one, other), (other, one)] {
            if let Some(leg) = self.legs.get_mut(id) {
                leg.pair.take_if(|pair| *pair == with);
            }
        }
        self.apart
            .retain(|(_, at)| now.saturating_duration_since(*at) <= ECHO);
        self.apart.push((pair_of(one, other), now));
    }

    /// A transfer that cannot be followed: nothing is known any more of who is joined to whom in that call.
    fn lose_sight(&mut self, id: &str) {
        let pair = self.legs.get(id).and_then(|leg| leg.pair.clone());
        for (other, leg) in &mut self.legs {
            let is_of_call = other == id
                || pair.as_deref() == Some(other)
                || leg.pair.as_deref() == Some(id)
                || (pair.is_some() && leg.pair == pair);
            leg.is_transferred |= is_of_call;
        }
    }
}

impl Leg {
    /// Whether one of these names its party: whoever calls by what it says of itself, whoever is called by the number.
    fn is_one_of(&self, users: &[String]) -> bool {
        users.iter().any(|user| match self.began {
            Began::Theirs => self.callers.contains(user),
            Began::Ours => words::is_same_number(user, &self.number),
        })
    }
}

fn pair_of(one: &str, other: &str) -> [String; 2] {
    let mut pair = [one.to_owned(), other.to_owned()];
    pair.sort();
    pair
}
