//! One dialog of a usage with what is under way in it, early or confirmed.

use bytes::Bytes;

use super::{
    Endpoint,
    event::{DialogId, Event, Glare, Ring},
    table::{ClientKey, ServerId, Stage, Usage},
};
use crate::{
    abilities::Abilities,
    dialog::Dialog,
    hop::{Hop, Listeners},
    message::Message,
    reliable::{HeardAnswers, ReliableAnswers},
    token::Token,
    turn::Turn,
};

/// See the module.
pub(super) struct Session {
    pub(super) dialog: Dialog,
    /// What the other side can do.
    pub(super) abilities: Abilities,
    /// Whose offer is open.
    pub(super) turn: Turn,
    /// The description we sent last; a refresh by re-INVITE says it again.
    pub(super) description: Bytes,
    /// An UPDATE or PRACK of the peer's with an offer that the application has not answered.
    pub(super) asked: Option<ServerId>,
    /// The re-INVITE or UPDATE of ours.
    pub(super) change: Change,
    /// One that met another, or is put off until an exchange is over (RFC 3261 section 14.1).
    pub(super) waiting: Option<Attempt>,
    /// Our reliable answers to its INVITE.
    pub(super) answers: ReliableAnswers<Ring>,
    /// Its reliable answers to ours.
    pub(super) heard: HeardAnswers,
}

impl Session {
    /// Begins with an INVITE of the peer's. `first_rseq`: where the numbers of our reliable answers begin.
    pub(super) fn by_invite(
        request: &Message,
        tag: Token,
        (came_by, listeners): (Hop, &Listeners),
        first_rseq: u32,
    ) -> Self {
        Session {
            dialog: Dialog::by_answering(request, tag, came_by, listeners),
            abilities: Abilities::of(request),
            turn: if request.has_sdp() {
                Turn::Theirs
            } else {
                Turn::Unbegun
            },
            description: Bytes::new(),
            asked: None,
            change: Change::None,
            waiting: None,
            answers: ReliableAnswers::new(first_rseq),
            heard: HeardAnswers::default(),
        }
    }

    /// Begins with an answer to an INVITE of ours.
    pub(super) fn by_answer(
        invite: &Message,
        answer: &Message,
        came_by: Hop,
        listeners: &Listeners,
    ) -> Self {
        Session {
            dialog: Dialog::by_answer(invite, answer, came_by, listeners),
            abilities: Abilities::of(answer),
            turn: if invite.body().is_empty() {
                Turn::Unbegun
            } else {
                Turn::Ours
            },
            description: invite.body(),
            asked: None,
            change: Change::None,
            waiting: None,
            answers: ReliableAnswers::new(1),
            heard: HeardAnswers::default(),
        }
    }

    /// Takes that an INVITE of either side is complete: with or without its descriptions, no offer of it is open any more.
    pub(super) fn close_invite(&mut self) {
        // One that came or went by UPDATE or PRACK meanwhile is.
        if !self.change.is_offer() && self.asked.is_none() {
            self.turn.settle();
        }
    }

    /// Takes that a description of ours goes out where it counts.
    pub(super) fn describe(&mut self, description: &Bytes) {
        if !description.is_empty() {
            self.turn.describe();
            self.description = description.clone();
        }
    }
}

/// A re-INVITE or UPDATE of ours.
pub(super) enum Change {
    None,
    /// Its answer is due.
    Sent {
        client: ClientKey,
        attempt: Attempt,
    },
}

impl Change {
    pub(super) fn is_of(&self, key: ClientKey) -> bool {
        matches!(self, Change::Sent { client, .. } if *client == key)
    }

    /// Whether this request refreshes the session and changes nothing of it.
    pub(super) fn is_refresh_by(&self, key: ClientKey) -> bool {
        matches!(self, Change::Sent { client, attempt } if *client == key && attempt.aim == Aim::Refresh)
    }

    pub(super) fn is_sent(&self) -> bool {
        match self {
            Change::Sent { .. } => true,
            Change::None => false,
        }
    }

    /// Whether the application waits for its outcome.
    fn is_awaited(&self) -> bool {
        match self {
            Change::Sent { attempt, .. } => attempt.aim != Aim::Refresh,
            Change::None => false,
        }
    }

    /// Whether it has an offer.
    pub(super) fn is_offer(&self) -> bool {
        match self {
            Change::Sent { attempt, .. } => !attempt.description.is_empty(),
            Change::None => false,
        }
    }
}

/// One try to change or refresh the session.
#[derive(Clone)]
pub(super) struct Attempt {
    pub(super) by: By,
    pub(super) aim: Aim,
    /// Our description; empty for a refresh by UPDATE.
    pub(super) description: Bytes,
    /// How often it has been put off or met another.
    pub(super) tries: u8,
}

/// What carries a change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum By {
    Invite,
    Update,
}

impl By {
    pub(super) fn name(self) -> &'static str {
        match self {
            By::Invite => "INVITE",
            By::Update => "UPDATE",
        }
    }
}

/// Who wants a change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Aim {
    /// The application.
    Offer(Glare),
    /// The application did, and has given it up: CANCEL, as soon as a provisional answer lets it out (RFC 3261 section 9.1).
    Withdrawn,
    /// The session timer.
    Refresh,
}

impl Endpoint {
    /// Leaves the early dialogs of a call of ours, all but those to `keep`: an offer of ours in one of them has failed.
    pub(super) fn leave_forks(&mut self, id: DialogId, keep: impl Fn(&Session) -> bool) {
        let usage = self.usages.get_mut(&id);
        let Some(Stage::Calling { forks, .. }) = usage.map(|usage| &mut usage.stage) else {
            return;
        };
        let is_left = |fork: &Session| fork.change.is_awaited() && !keep(fork);
        let failed = forks.iter().filter(|fork| is_left(fork)).count();
        forks.retain(keep);
        for _ in 0..failed {
            self.events.push_back(Event::NotModified {
                dialog: id,
                status: 491,
                message: None,
            });
        }
    }
}

impl Usage {
    /// Its dialogs: several while an INVITE of ours is forked, who spoke last is last.
    pub(super) fn sessions(&mut self) -> &mut [Session] {
        match &mut self.stage {
            Stage::Calling { forks, .. } => forks,
            Stage::Ringing { session, .. }
            | Stage::ExpectAck { session, .. }
            | Stage::Talking { session, .. }
            | Stage::Closing { session } => std::slice::from_mut(session),
        }
    }

    /// The dialog the application means: the only one, or that of who spoke last.
    pub(super) fn current(&mut self) -> Option<&mut Session> {
        self.sessions().last_mut()
    }

    /// The dialog a request of the peer's is in.
    pub(super) fn session_of(&mut self, request: &Message) -> Option<&mut Session> {
        let mut sessions = self.sessions().iter_mut();
        sessions.find(|session| session.dialog.is_of(request))
    }

    /// The dialog with a callee.
    pub(super) fn session_with(&mut self, remote_tag: &[u8]) -> Option<&mut Session> {
        let mut sessions = self.sessions().iter_mut();
        sessions.find(|session| session.dialog.remote_tag() == remote_tag)
    }

    /// The dialog in which a request of the peer's waits for the application.
    pub(super) fn session_asked(&mut self, server: ServerId) -> Option<&mut Session> {
        let mut sessions = self.sessions().iter_mut();
        sessions.find(|session| session.asked == Some(server))
    }

    /// Whether the dialog has been answered by a 2xx and has not been ended.
    pub(super) fn is_confirmed(&self) -> bool {
        match &self.stage {
            Stage::ExpectAck { .. } | Stage::Talking { .. } => true,
            Stage::Calling { .. } | Stage::Ringing { .. } | Stage::Closing { .. } => false,
        }
    }
}
